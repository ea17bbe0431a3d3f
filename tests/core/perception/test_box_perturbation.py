import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.box_perturbation import perturbed_predictions
from core.perception.detr_matching import match

quick = settings(deadline=None, max_examples=60)
LABELS = [0, 2, 1]
BOXES = np.array([[0.3, 0.3, 0.2, 0.3], [0.6, 0.6, 0.3, 0.2], [0.8, 0.2, 0.1, 0.1]])


def said(**options):
    return perturbed_predictions(LABELS, BOXES, num_classes=3, **options)


def test_without_errors_the_truth_comes_back_in_some_order(receipt):
    got = said(confidence=0.8)
    of = got.origin >= 0
    assert sorted(got.origin[of].tolist()) == [0, 1, 2]
    assert got.pred_boxes[of] == pytest.approx(BOXES[got.origin[of]], abs=1e-12)
    p = np.exp(got.pred_logits)
    receipt(perturbed_predictions, "probability", p.sum(1), np.ones(10), reference="probabilities sum to 1")
    assert p[of, np.array(LABELS)[got.origin[of]]] == pytest.approx(0.8)
    assert p[~of, 3] == pytest.approx(0.8)
    assert np.sort(p, axis=1)[:, :3] == pytest.approx(0.2 / 3)
    found = match(got.pred_logits, got.pred_boxes, LABELS, BOXES)
    assert (found.target_of_query == got.origin).all()
    assert got.origin.tolist() != sorted(got.origin.tolist(), reverse=True)


@given(seed=st.integers(0, 10**6), noise=st.floats(0, 1))
@quick
def test_noise_moves_a_box_by_its_share_and_stays_in_the_image(seed, noise):
    got = said(box_noise=noise, seed=seed)
    low, high = got.pred_boxes[:, :2] - got.pred_boxes[:, 2:] / 2, got.pred_boxes[:, :2] + got.pred_boxes[:, 2:] / 2
    assert low.min() >= -1e-12
    assert high.max() <= 1 + 1e-12
    assert got.pred_boxes[:, 2:].min() >= 0
    of = got.origin >= 0
    truth = BOXES[got.origin[of]]
    shift = got.pred_boxes[of] - truth
    assert (np.abs(shift[:, 2:]) <= noise * truth[:, 2:] + 1e-12).all()
    inside = (low[of] > 1e-9).all(1) & (high[of] < 1 - 1e-9).all(1)
    assert (np.abs(shift[inside, :2]) <= noise * truth[inside, 2:] / 2 + 1e-12).all()


def test_noise_reaches_its_limits_and_scales_one_and_the_same_scene():
    boxes = np.array([[0.5, 0.5, 0.2, 0.1]] * 400)
    many = perturbed_predictions([0] * 400, boxes, num_classes=1, num_queries=400, box_noise=0.4)
    shift = (many.pred_boxes - boxes[0]) / (0.4 * np.array([0.1, 0.05, 0.2, 0.1]))
    assert shift.min(0) == pytest.approx([-1] * 4, abs=0.03)
    assert shift.max(0) == pytest.approx([1] * 4, abs=0.03)
    assert np.abs(shift.mean(0)).max() < 0.1
    half = perturbed_predictions([0] * 400, boxes, num_classes=1, num_queries=400, box_noise=0.2)
    assert (half.origin == many.origin).all()
    assert 2 * (half.pred_boxes - boxes[0]) == pytest.approx(many.pred_boxes - boxes[0], abs=1e-12)


def test_duplicates_are_dealt_round_and_a_little_less_sure():
    got = said(duplicates=4)
    assert np.bincount(got.origin[got.origin >= 0]).tolist() in ([3, 2, 2], [2, 3, 2], [2, 2, 3])
    assert got.duplicate.sum() == 4
    for g in range(3):
        mine = np.flatnonzero(got.origin == g)
        assert (~got.duplicate[mine]).sum() == 1
        sure = np.sort(np.exp(got.pred_logits[mine, LABELS[g]]))[::-1]
        assert sure == pytest.approx(0.9 - 0.02 * np.arange(len(mine)))
        assert got.pred_boxes[mine] == pytest.approx(np.repeat(BOXES[g : g + 1], len(mine), 0), abs=1e-12)
        first = mine[~got.duplicate[mine]][0]
        assert np.exp(got.pred_logits[first, LABELS[g]]) == pytest.approx(0.9)
    found = match(got.pred_logits, got.pred_boxes, LABELS, BOXES)
    assert (found.target_of_query[got.duplicate] == -1).all()


def test_misses_have_no_query():
    for misses in range(4):
        got = said(misses=misses, duplicates=2)
        assert len(got.missed) == misses
        assert set(got.missed.tolist()) == {0, 1, 2} - set(got.origin.tolist())
        assert got.missed.tolist() == sorted(got.missed.tolist())
    assert (said(misses=3, duplicates=2).origin == -1).all()
    assert len({tuple(said(misses=1, seed=s).missed.tolist()) for s in range(20)}) == 3


def test_flips_draw_a_class_from_all():
    boxes = np.array([[0.5, 0.5, 0.2, 0.1]] * 900)
    got = perturbed_predictions([1] * 900, boxes, num_classes=3, num_queries=900, label_flips=0.6)
    shares = np.bincount(got.pred_logits.argmax(1), minlength=4) / 900
    assert shares == pytest.approx([0.2, 0.6, 0.2, 0], abs=0.05)
    assert (said(label_flips=0, seed=4).pred_logits.argmax(1)[said(seed=4).origin == 0] == 0).all()


def test_too_few_queries_cut_the_later_ones():
    got = said(num_queries=2)
    assert sorted(got.origin.tolist()) == [0, 1]
    assert got.missed.tolist() == [2]
    assert said(num_queries=3, duplicates=5).duplicate.sum() == 0
    none = said(num_queries=0)
    assert none.pred_logits.shape == (0, 4)
    assert none.missed.tolist() == [0, 1, 2]


def test_no_targets_leave_queries_that_mean_nothing():
    got = perturbed_predictions([], [], num_classes=2, num_queries=4, duplicates=3)
    assert (got.origin == -1).all()
    assert (got.pred_logits.argmax(1) == 2).all()
    assert not got.duplicate.any()


def test_the_seed_decides_and_nothing_is_changed():
    one, same, other = said(box_noise=0.3, seed=1), said(box_noise=0.3, seed=1), said(box_noise=0.3, seed=2)
    assert (one.pred_boxes == same.pred_boxes).all()
    assert (one.pred_logits == same.pred_logits).all()
    assert not (one.pred_boxes == other.pred_boxes).all()
    assert len({tuple(said(seed=s).origin.tolist()) for s in range(5)}) > 1
    assert BOXES[0].tolist() == [0.3, 0.3, 0.2, 0.3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"misses": 4}, r"misses in 0\.\.3"),
        ({"misses": -1}, "misses"),
        ({"duplicates": -1}, "duplicates"),
        ({"num_queries": -1}, "num_queries"),
        ({"box_noise": 1.1}, "box_noise"),
        ({"box_noise": np.nan}, "box_noise"),
        ({"label_flips": -0.1}, "label_flips"),
        ({"confidence": 1.0}, "confidence"),
        ({"confidence": 0.0}, "confidence"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        said(**options)


def test_mistaken_targets_are_named():
    for labels, boxes in (([0], BOXES), ([0, 3, 1], BOXES), ([0, -1, 1], BOXES)):
        with pytest.raises(ValueError, match="target_labels"):
            perturbed_predictions(labels, boxes, num_classes=3)
