import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher
from transformers.loss.loss_for_object_detection import HungarianMatcher

from core.perception.detr_matching import match, matching_instability, postprocess, sigmoid_logits
from tests.oracles import detection as oracle

quick = settings(deadline=None, max_examples=50)
KINDS = ["softmax", "sigmoid_focal"]


def random_image(rng, queries, targets, classes=4, kind="softmax"):
    """Logits, boxes, labels, boxes."""
    logits = rng.normal(size=(queries, classes + (kind == "softmax"))) * 2
    boxes, goals = (np.concatenate([rng.random((n, 2)), rng.random((n, 2)) * 0.5], 1) for n in (queries, targets))
    return logits, boxes, rng.integers(0, classes, targets), goals


@pytest.mark.parametrize("kind", KINDS)
def test_costs_are_those_of_scalar_formulas(kind, receipt):
    rng = np.random.default_rng(0)
    for _ in range(8):
        image = random_image(rng, *rng.integers(1, 7, 2), kind=kind)
        got = match(*image, cost_class=1.5, cost_bbox=4, cost_giou=3, kind=kind)
        expected = oracle.match_costs(*image, kind=kind)
        total = 1.5 * expected[0] + 4 * expected[1] + 3 * expected[2]
        reference = "scalar formulas, exact fractions"
        receipt(match, "class_cost", got.class_cost, expected[0], reference=reference)
        receipt(match, "bbox_cost", got.bbox_cost, expected[1], reference=reference)
        receipt(match, "giou_cost", got.giou_cost, expected[2], reference=reference)
        receipt(match, "total_cost", got.total_cost, total, reference=reference)
        receipt(match, "assigned_cost", got.assigned_cost, oracle.cheapest(total), reference="all permutations")
        assert got.weights == (1.5, 4, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("queries", "targets"), [(100, 20), (7, 7), (3, 8), (5, 0), (1, 1)])
def test_matching_and_total_are_transformers(kind, queries, targets, receipt):
    rng = np.random.default_rng(queries)
    logits, boxes, labels, goals = random_image(rng, queries, targets, kind=kind)
    matcher = (HungarianMatcher if kind == "softmax" else DeformableDetrHungarianMatcher)(1.5, 4, 3)
    outputs = {"logits": torch.from_numpy(logits)[None], "pred_boxes": torch.from_numpy(boxes)[None]}
    ((rows, columns),) = matcher(
        outputs, [{"class_labels": torch.from_numpy(labels), "boxes": torch.from_numpy(goals)}]
    )
    got = match(logits, boxes, labels, goals, cost_class=1.5, cost_bbox=4, cost_giou=3, kind=kind)
    assert got.query_idx.tolist() == rows.tolist()
    assert got.target_idx.tolist() == columns.tolist()
    receipt(match, "matched", len(got.query_idx), len(rows), reference="transformers")
    expected = oracle.match_costs(logits, boxes, labels, goals, kind=kind)
    total = (1.5 * expected[0] + 4 * expected[1] + 3 * expected[2])[rows, columns].sum()
    receipt(match, "assigned_cost", got.assigned_cost, total, reference="transformers")


def test_the_probabilities_are_torchs(receipt):
    logits, *rest = random_image(np.random.default_rng(3), 9, 2)
    got = match(logits, *rest).probabilities
    receipt(match, "probability", got, torch.from_numpy(logits).softmax(-1).numpy(), reference="torch")
    got = match(logits[:, :-1], *rest, kind="sigmoid_focal").probabilities
    receipt(match, "probability", got, torch.from_numpy(logits[:, :-1]).sigmoid().numpy(), reference="torch")


@given(seed=st.integers(0, 10**6), queries=st.integers(0, 6), targets=st.integers(0, 6), kind=st.sampled_from(KINDS))
@quick
def test_a_matching_is_complete_one_to_one_and_cheapest(seed, queries, targets, kind):
    got = match(*random_image(np.random.default_rng(seed), queries, targets, kind=kind), kind=kind)
    assert got.query_idx.size == min(queries, targets)
    assert len(set(got.query_idx.tolist())) == len(set(got.target_idx.tolist())) == got.query_idx.size
    assert sorted(got.query_idx.tolist()) == got.query_idx.tolist()
    assert got.assigned_cost == pytest.approx(oracle.cheapest(got.total_cost), abs=1e-12)
    for q, g in enumerate(got.target_of_query.tolist()):
        assert g == -1 or got.query_of_target[g] == q
    assert (got.target_of_query >= 0).sum() == (got.query_of_target >= 0).sum() == got.query_idx.size


def test_the_matching_takes_the_probability_and_not_its_logarithm():
    logits = np.log([[0.9, 0.05, 0.05], [0.5, 0.45, 0.05]])
    got = match(logits, [[0.5, 0.5, 0.2, 0.2]] * 2, [0, 1], [[0.5, 0.5, 0.2, 0.2]] * 2)
    assert got.class_cost == pytest.approx(-np.array([[0.9, 0.05], [0.5, 0.45]]))
    assert got.giou_cost == pytest.approx(-np.ones((2, 2)))
    assert got.bbox_cost == pytest.approx(np.zeros((2, 2)))


def test_a_copy_of_a_perfect_box_goes_to_no_object():
    box = [0.4, 0.4, 0.2, 0.3]
    got = match([[5, 0, 0], [4.9, 0, 0], [0, 0, 3]], [box, box, [0.8, 0.8, 0.1, 0.1]], [0], [box])
    assert got.target_of_query.tolist() == [0, -1, -1]
    assert got.query_of_target.tolist() == [0]


def test_weights_of_nothing_leave_one_cost():
    image = random_image(np.random.default_rng(4), 5, 3)
    for name in ("class", "bbox", "giou"):
        weights = {f"cost_{n}": float(n == name) for n in ("class", "bbox", "giou")}
        got = match(*image, **weights)
        assert (got.total_cost == getattr(got, f"{name}_cost")).all()
    nothing = match(*image, cost_class=0, cost_bbox=0, cost_giou=0)
    assert nothing.query_idx.tolist() == [0, 1, 2]


def test_extreme_logits_and_boxes_without_size_have_finite_costs():
    huge = match([[1e4, -1e4, 0], [-1e4, 1e4, 0]], [[0.5, 0.5, 0, 0], [2, -1, 0, 0]], [0], [[0.5, 0.5, 0, 0]])
    assert np.isfinite(huge.total_cost).all()
    assert huge.class_cost[0, 0] == -1
    assert huge.overlap.giou.tolist() == [[0], [-1]]
    focal = match([[1e4], [-1e4]], [[0.5, 0.5, 0.1, 0.1]] * 2, [0], [[0.5, 0.5, 0.1, 0.1]], kind="sigmoid_focal")
    assert focal.class_cost.ravel() == pytest.approx([-0.75 * -math.log(1e-8), 0.25 * -math.log(1e-8)])


def test_half_precision_tensors_and_views_are_read_and_none_is_changed():
    logits, boxes, labels, goals = random_image(np.random.default_rng(5), 6, 3)
    halves = [torch.tensor(x, dtype=torch.float16, requires_grad=True) for x in (logits, boxes)]
    got = match(*halves, torch.from_numpy(labels), np.asfortranarray(goals))
    again = match(*(x.detach().double().numpy() for x in halves), labels.tolist(), goals.tolist())
    assert (got.total_cost == again.total_cost).all()
    before = [x.copy() for x in (logits, boxes, labels, goals)]
    got = match(logits, boxes, labels, goals)
    assert all((a == b).all() for a, b in zip(before, (logits, boxes, labels, goals), strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pred_logits": [[0, np.nan, 0], [0, 0, 0]]}, "pred_logits must be finite, got nan for query 0, class 1"),
        ({"pred_logits": [[0, 0, 0], [0, 0, np.inf]]}, "got inf for query 1, class 2"),
        ({"pred_logits": [[0, 0, 0]]}, "pred_boxes must be as many as pred_logits, got 2 and 1"),
        ({"pred_logits": [[0], [0]]}, r"\(Q, C\) with C of 2 or more, got \(2, 1\)"),
        ({"pred_logits": [0, 0]}, r"pred_logits must have shape \(Q, C\)"),
        ({"pred_boxes": [[0.5, 0.5, 0.1, np.nan]] * 2}, "pred_boxes must be finite"),
        ({"pred_boxes": [[0.5, 0.5, 0.1, -0.1]] * 2}, "w and h of 0 or more"),
        ({"target_labels": [2]}, r"target_labels must be whole numbers in 0..1, got 2"),
        ({"target_labels": [-1]}, r"in 0..1, got -1"),
        ({"target_labels": [0.5]}, "whole numbers"),
        ({"target_labels": [[0]]}, r"target_labels must have shape \(G,\)"),
        ({"target_labels": [0, 1]}, "target_boxes must be as many as target_labels, got 1 and 2"),
        ({"cost_bbox": -1}, "0 or more"),
        ({"cost_giou": np.inf}, "finite"),
        ({"cost_class": np.nan}, "finite"),
        ({"kind": "hinge"}, "softmax or sigmoid_focal, got 'hinge'"),
    ],
)
def test_mistakes_are_named(change, words):
    good = {
        "pred_logits": [[1, 0, 0], [0, 0, 1]],
        "pred_boxes": [[0.5, 0.5, 0.1, 0.1]] * 2,
        "target_labels": [0],
        "target_boxes": [[0.5, 0.5, 0.1, 0.1]],
    }
    match(**good)
    with pytest.raises(ValueError, match=words):
        match(**{**good, **change})


def test_sigmoid_logits_give_the_softmax_probabilities(receipt):
    logits = np.random.default_rng(6).normal(size=(20, 5)) * 4
    logits[0, 0] = 800
    got = 1 / (1 + torch.from_numpy(sigmoid_logits(logits)).neg().exp())
    expected = torch.from_numpy(logits).softmax(-1)[:, :-1]
    receipt(sigmoid_logits, "probability", got, expected, reference="torch")
    assert sigmoid_logits([[800.0, 0.0]]).tolist() == [[800.0]]
    with pytest.raises(ValueError, match="C of 2 or more"):
        sigmoid_logits([[1.0]])


def test_softmax_detections_are_the_references_sorted(receipt):
    logits, boxes, *_ = random_image(np.random.default_rng(7), 12, 1)
    got = postprocess(logits, boxes, image_size=(30, 50))
    scores, labels = torch.from_numpy(logits).softmax(-1)[..., :-1].max(-1)
    order = scores.argsort(descending=True)
    receipt(postprocess, "kept_score", got.scores, scores[order], reference="torch")
    assert got.labels.tolist() == labels[order].tolist()
    assert got.query_idx.tolist() == order.tolist()
    x0, y0, x1, y1 = np.array([oracle.corners(b) for b in boxes[order.numpy()]]).T
    expected = np.stack([x0 * 50, y0 * 30, x1 * 50, y1 * 30], 1)
    receipt(postprocess, "boxes_xyxy", got.boxes_xyxy, expected, reference="coordinate by coordinate")


def test_focal_detections_are_the_best_pairs(receipt):
    logits, boxes, *_ = random_image(np.random.default_rng(8), 12, 1)
    got = postprocess(logits, boxes, image_size=(30, 50), kind="sigmoid_focal", top_k=9)
    scores, index = torch.from_numpy(logits).sigmoid().flatten().topk(9)
    receipt(postprocess, "kept_score", got.scores, scores, reference="torch")
    assert got.query_idx.tolist() == (index // 5).tolist()
    assert got.labels.tolist() == (index % 5).tolist()
    assert postprocess(logits, boxes, image_size=(30, 50), kind="sigmoid_focal").scores.size == 60


def test_equal_scores_keep_their_order_and_nothing_gives_nothing():
    got = postprocess(np.zeros((3, 3)), [[0.5, 0.5, 1, 1]] * 3, image_size=(2, 2))
    assert got.query_idx.tolist() == [0, 1, 2]
    assert postprocess(np.zeros((0, 3)), [], image_size=(2, 2)).boxes_xyxy.shape == (0, 4)
    for options in ({"image_size": (0, 5)}, {"image_size": (5, 5), "top_k": 0}):
        with pytest.raises(ValueError, match="must be positive"):
            postprocess(np.zeros((1, 3)), [[0.5, 0.5, 1, 1]], **options)
    with pytest.raises(ValueError, match="as many"):
        postprocess(np.zeros((2, 3)), [[0.5, 0.5, 1, 1]], image_size=(5, 5))


def test_instability_counts_queries_whose_target_differs(receipt):
    rng = np.random.default_rng(9)
    for _ in range(20):
        one, two = (random_image(rng, 9, 4) for _ in range(2))
        before, after = (match(*image[:2], *one[2:]) for image in (one, two))
        pairs = [set(zip(m.query_idx.tolist(), m.target_idx.tolist(), strict=True)) for m in (before, after)]
        touched = {q for q, _ in pairs[0] ^ pairs[1]}
        got = matching_instability(before, after, 9)
        for name in ("flips", "layer_flips"):
            receipt(matching_instability, name, got.count, len(touched), reference="symmetric difference of the pairs")
        assert set(np.flatnonzero(got.changed).tolist()) == touched
        assert (got.previous_target == before.target_of_query).all()
        assert (got.current_target == after.target_of_query).all()
        tuples = [(m.query_idx, m.target_idx) for m in (before, after)]
        assert matching_instability(*tuples, 9).count == got.count
    assert matching_instability(before, before, 9).count == 0


def test_mistaken_matchings_are_named():
    none = np.zeros(0, int), np.zeros(0, int)
    for pair, words in (
        (([0, 0], [0, 1]), "each query once"),
        (([3], [0]), r"query_idx must lie in 0..2"),
        (([0], [-1]), "target_idx at 0 or above"),
        (([0, 1], [0]), "equally long"),
    ):
        with pytest.raises(ValueError, match=words):
            matching_instability(none, tuple(map(np.array, pair)), 3)
