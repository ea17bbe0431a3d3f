import math

import numpy as np
import pytest
import torch
from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher, DeformableDetrImageLoss
from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss

from core.perception.detr_loss import Target, set_loss
from core.perception.detr_matching import match
from tests.oracles import detection as oracle

K = 3


def batch(seed, *, layers=3, images=2, queries=8, objects=(3, 2), kind="softmax", gradients=False):
    """Logits, boxes, targets in float64."""
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(layers, images, queries, K + (kind == "softmax"))) * 2)
    boxes = torch.from_numpy(rng.random((layers, images, queries, 4)) * 0.5 + 0.2)
    targets = [
        Target(torch.from_numpy(rng.integers(0, K, n)), torch.from_numpy(rng.random((n, 4)) * 0.5 + 0.2))
        for n in objects
    ]
    return logits.requires_grad_(gradients), boxes.requires_grad_(gradients), targets


def theirs(logits, boxes, targets, kind, eos):
    """transformers' losses and their weighted sum."""
    goals = [{"class_labels": t.labels, "boxes": t.boxes} for t in targets]
    outputs = {"logits": logits[-1], "pred_boxes": boxes[-1]}
    outputs["auxiliary_outputs"] = [
        {"logits": a, "pred_boxes": b} for a, b in zip(logits[:-1], boxes[:-1], strict=True)
    ]
    names = ["labels", "boxes", "cardinality"]
    if kind == "softmax":
        criterion = ImageLoss(HungarianMatcher(1, 5, 2), K, eos, names).double()
    else:
        criterion = DeformableDetrImageLoss(DeformableDetrHungarianMatcher(2, 5, 2), K, 0.25, names)
    return criterion(outputs, goals)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid_focal"])
@pytest.mark.parametrize("objects", [(3, 2), (0, 4), (0, 0), (8, 8), (1, 11)])
def test_every_part_of_every_layer_is_transformers(kind, objects, receipt):
    logits, boxes, targets = batch(sum(objects), objects=objects, kind=kind)
    weight = 1 if kind == "softmax" else 2
    got = set_loss(logits, boxes, targets, kind=kind, eos_coefficient=0.1, weight_class=weight, cost_class=weight)
    expected = theirs(logits, boxes, targets, kind, 0.1)
    total = 0.0
    for n, layer in enumerate(got.layers):
        suffix = f"_{n}" if n < len(got.layers) - 1 else ""
        parts = [float(expected[name + suffix]) for name in ("loss_ce", "loss_bbox", "loss_giou")]
        weighted = weight * parts[0] + 5 * parts[1] + 2 * parts[2]
        total += weighted
        receipt(set_loss, "loss_class", layer.loss_class, parts[0], reference="transformers")
        receipt(set_loss, "loss_bbox", layer.loss_bbox, parts[1], reference="transformers")
        receipt(set_loss, "loss_giou", layer.loss_giou, parts[2], reference="transformers")
        receipt(set_loss, "layer_loss", layer.total, weighted, reference="transformers")
        if kind == "softmax":
            cardinality = float(expected["cardinality_error" + suffix])
            receipt(set_loss, "cardinality_error", layer.cardinality_error, cardinality, reference="transformers")
    receipt(set_loss, "total_loss", got.total, total, reference="transformers")
    assert got.last is got.layers[-1]


@pytest.mark.parametrize("kind", ["softmax", "sigmoid_focal"])
def test_gradients_are_transformers(kind):
    ours, others = (batch(5, kind=kind, gradients=True) for _ in range(2))
    weight = 1 if kind == "softmax" else 2
    set_loss(*ours, kind=kind, weight_class=weight, cost_class=weight).total.backward()
    parts = theirs(*others, kind, 0.1)
    weights = {"loss_ce": weight, "loss_bbox": 5, "loss_giou": 2}
    sum(w * v for name, v in parts.items() for key, w in weights.items() if name.startswith(key)).backward()
    for mine, other in zip(ours[:2], others[:2], strict=True):
        assert torch.allclose(mine.grad, other.grad, atol=1e-12)
        assert mine.grad.abs().sum() > 0


def test_parts_per_query_are_those_of_scalar_formulas(receipt):
    reference = "scalar formulas, query by query"
    for seed in range(6):
        logits, boxes, targets = batch(seed, layers=1)
        layer = set_loss(logits, boxes, targets, eos_coefficient=0.25).last
        pairs = [list(zip(m.query_idx.tolist(), m.target_idx.tolist(), strict=True)) for m in layer.matches]
        goals = [(t.labels.tolist(), t.boxes.tolist()) for t in targets]
        expected = oracle.softmax_loss(logits[0].tolist(), boxes[0].tolist(), goals, pairs, 0.25)
        got = [float(x) for x in (layer.loss_class, layer.loss_bbox, layer.loss_giou)]
        for name, mine, other in zip(("loss_class", "loss_bbox", "loss_giou"), got, expected, strict=True):
            receipt(set_loss, name, mine, other, reference=reference)
        costs = np.full((2, 8, 2), np.nan)
        surprise, weight = np.zeros((2, 8)), np.full((2, 8), 0.25)
        for b, image in enumerate(pairs):
            partner = dict(image)
            l1, giou = oracle.match_costs(logits[0, b], boxes[0, b], *goals[b])[1:]
            for q in range(8):
                row = logits[0, b, q].tolist()
                c = goals[b][0][partner[q]] if q in partner else K
                surprise[b, q] = math.log(math.fsum(math.exp(z) for z in row)) - row[c]
                if q in partner:
                    costs[b, q] = l1[q, partner[q]], 1 + giou[q, partner[q]]
                    weight[b, q] = 1
                assert layer.target_classes[b, q] == c
                assert layer.target_of_query[b, q] == partner.get(q, -1)
        receipt(set_loss, "query_class", layer.query_class, surprise, reference=reference)
        receipt(set_loss, "class_weight", layer.class_weight, weight, reference=reference)
        receipt(set_loss, "class_normalizer", layer.class_normalizer, weight.sum(), reference=reference)
        receipt(set_loss, "query_share", layer.query_class_share, weight * surprise / weight.sum(), reference=reference)  # fmt: skip
        receipt(set_loss, "query_l1", layer.query_l1, costs[..., 0], reference=reference)
        receipt(set_loss, "query_giou", layer.query_giou, costs[..., 1], reference=reference)
        share = (weight * surprise)[np.isnan(costs[..., 0])].sum() / (weight * surprise).sum()
        receipt(set_loss, "empty_share", layer.empty_share, share, reference=reference)
        receipt(set_loss, "num_boxes", layer.num_boxes, 5, reference=reference)
        wrong = [
            int(np.argmax(logits[0, b, q].tolist())) != goals[b][0][g]
            for b, image in enumerate(pairs)
            for q, g in image
        ]
        receipt(set_loss, "class_error", layer.class_error, np.mean(wrong), reference=reference)


def test_focal_parts_add_up():
    logits, boxes, targets = batch(2, kind="sigmoid_focal")
    layer = set_loss(logits, boxes, targets, kind="sigmoid_focal").last
    assert (layer.class_weight == 1).all()
    assert float(layer.class_normalizer) == layer.num_boxes == 5
    assert layer.query_class_share.sum() == pytest.approx(float(layer.loss_class))
    said = (logits[-1].sigmoid() > 0.5).any(-1).sum(-1)
    assert layer.cardinality_error == pytest.approx(float((said - torch.tensor([3, 2])).abs().double().mean()))


def test_the_matching_is_done_again_in_every_layer():
    logits, boxes, targets = batch(11, layers=4)
    got = set_loss(logits, boxes, targets, cost_bbox=3)
    for n, layer in enumerate(got.layers):
        for b, target in enumerate(targets):
            alone = match(logits[n, b], boxes[n, b], target.labels, target.boxes, cost_bbox=3)
            assert (layer.matches[b].target_of_query == alone.target_of_query).all()
            assert (layer.matches[b].total_cost == alone.total_cost).all()
    assert len({tuple(layer.target_of_query.flatten().tolist()) for layer in got.layers}) > 1


def test_the_class_loss_is_a_weighted_mean_and_not_divided_by_the_boxes():
    logits, boxes, targets = batch(1, layers=1)
    layer = set_loss(logits, boxes, targets).last
    weights = torch.tensor([1, 1, 1, 0.1], dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(logits[0].transpose(1, 2), layer.target_classes, weights)
    assert float(layer.loss_class) == pytest.approx(float(expected))
    assert float(layer.class_normalizer) == pytest.approx(5 + 11 * 0.1)


def test_a_picture_without_objects_teaches_no_object_only():
    logits, boxes, targets = batch(3, images=1, objects=(0,), gradients=True)
    got = set_loss(logits, boxes, targets)
    got.total.backward()
    assert (got.last.loss_bbox, got.last.loss_giou, got.last.num_boxes) == (0, 0, 1)
    assert (got.last.target_classes == K).all()
    assert math.isnan(got.last.class_error)
    assert got.last.empty_share == pytest.approx(1)
    assert logits.grad.abs().sum() > 0


def test_boxes_without_area_have_a_loss_and_gradients():
    logits = torch.zeros(1, 1, 2, K + 1, requires_grad=True)
    boxes = torch.tensor([[[[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 0.2, 0.2]]]], requires_grad=True)
    for goal in ([0.5, 0.5, 0.0, 0.0], [0.1, 0.1, 0.0, 0.0]):
        loss = set_loss(logits, boxes, [Target(torch.tensor([0]), torch.tensor([goal]))])
        loss.total.backward()
        assert torch.isfinite(loss.total)
        assert torch.isfinite(boxes.grad).all()


def test_half_precision_is_computed_in_single():
    logits, boxes, targets = batch(4)
    half = set_loss(logits.half(), boxes.half(), targets)
    single = set_loss(logits.half().float(), boxes.half().float(), targets)
    assert half.total.dtype == torch.float32
    assert half.total == single.total


def test_records_keep_gradients_where_training_needs_them():
    logits, boxes, targets = batch(6, gradients=True)
    layer = set_loss(logits, boxes, targets).last
    for part in (layer.loss_class, layer.loss_bbox, layer.loss_giou, layer.total, layer.pair_l1, layer.query_class):
        assert part.requires_grad
    for part in (layer.query_l1, layer.query_giou):
        assert not part.requires_grad


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"pred_logits": torch.zeros(1, 1, 2, 4, dtype=torch.int64)}, TypeError, "floating point"),
        ({"pred_logits": torch.zeros(1, 2, 4)}, ValueError, r"\(L, B, Q, C\)"),
        ({"pred_boxes": torch.full((1, 1, 3, 4), 0.5)}, ValueError, r"\(L, B, Q, 4\)"),
        ({"targets": []}, ValueError, "0 targets and 1 images"),
        ({"eos_coefficient": 0}, ValueError, "eos_coefficient must be positive"),
        ({"eos_coefficient": math.nan}, ValueError, "eos_coefficient must be positive"),
        ({"pred_boxes": torch.full((1, 1, 2, 4), math.nan)}, ValueError, "pred_boxes must be finite"),
        ({"pred_logits": torch.zeros(0, 1, 2, 4), "pred_boxes": torch.zeros(0, 1, 2, 4)}, ValueError, "0 layers"),
    ],
)
def test_mistakes_are_named(change, error, words):
    good = {
        "pred_logits": torch.zeros(1, 1, 2, 4),
        "pred_boxes": torch.full((1, 1, 2, 4), 0.5),
        "targets": [Target(torch.tensor([0]), torch.full((1, 4), 0.5))],
    }
    set_loss(**good)
    with pytest.raises(error, match=words):
        set_loss(**{**good, **change})
