from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.anchor_matching import anchor_assignment, non_maximum_suppression, suppression_steps
from tests.oracles import detection as oracle

quick = settings(deadline=None, max_examples=60)


def heap(seed, most=9):
    """Boxes on a coarse grid, many of them overlapping; scores with ties; labels."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, most))
    boxes = np.sort(rng.integers(0, 6, (n, 2, 2)), axis=1).reshape(-1, 4).astype(float) + np.array([0, 0, 1, 1])
    return boxes, rng.integers(1, 6, n) / 5, rng.integers(0, 2, n)


def by_hand(boxes, goals, high, low, rescue):
    """Target of each box and whether it was rescued, from sentences of the paper."""
    iou = [[float(oracle.overlap(a, b)[3]) for b in goals] for a in boxes]
    targets, rescued = [], []
    for row in iou:
        best = max(row, default=0)
        nearest = row.index(best) if row else -1
        ties = any(x == max(other[g] for other in iou) and x > 0 for g, x in enumerate(row))
        saved = bool(rescue and ties and best < high)
        targets.append(nearest if row and (best >= high or saved) else -1 if best < low or not row else -2)
        rescued.append(saved)
    return targets, rescued


@pytest.mark.parametrize(
    ("high", "low", "rescue"), [(0.5, 0.5, False), (0.7, 0.3, True), (0.7, 0.3, False), (1, 0, True)]
)
def test_assignment_is_that_of_loops(high, low, rescue, receipt):
    counts, overlaps = [], []
    for seed in range(60):
        (boxes, *_), (goals, *_) = heap(seed), heap(seed + 1000, most=4)
        got = anchor_assignment(boxes, goals, foreground_iou=high, background_iou=low, allow_low_quality=rescue)
        targets, rescued = by_hand(boxes, goals, high, low, rescue)
        assert got.target_idx.tolist() == targets
        assert got.rescued.tolist() == rescued
        counts += zip(got.positives.tolist(), [targets.count(g) for g in range(len(goals))], strict=True)
        best = [max((float(oracle.overlap(a, b)[3]) for b in goals), default=0) for a in boxes]
        overlaps += zip(got.best_iou.tolist(), best, strict=True)
    for name in ("positives", "object_positives"):
        receipt(anchor_assignment, name, *np.transpose(counts), reference="loops over boxes and targets")
    receipt(anchor_assignment, "best_iou", *np.transpose(overlaps), reference="exact fractions, box by box")


def test_thresholds_and_ties():
    goal = [[0, 0, 10, 10]]
    half, tenth = [0, 0, 10, 5], [0, 0, 10, 1]
    assert anchor_assignment([half], goal).target_idx.tolist() == [0]  # an IoU of exactly 0.5 is foreground
    between = anchor_assignment([half, tenth], goal, foreground_iou=0.7, background_iou=0.1)
    assert between.target_idx.tolist() == [-2, -2]  # exactly 0.1 is not background
    saved = anchor_assignment([half, half, tenth], goal, foreground_iou=0.7, background_iou=0.3, allow_low_quality=True)
    assert saved.target_idx.tolist() == [0, 0, -1]  # all that tie are rescued
    assert saved.rescued.tolist() == [True, True, False]


def test_a_rescued_box_goes_to_its_own_nearest_target():
    goals = [[0, 0, 10, 10], [0, 0, 10, 40]]
    box = [[0, 0, 10, 18]]  # the best box of both; its own nearest is the first
    got = anchor_assignment(box, goals, foreground_iou=0.9, background_iou=0.1, allow_low_quality=True)
    assert got.target_idx.tolist() == [0]
    assert got.positives.tolist() == [1, 0]


def test_a_target_that_nothing_touches_rescues_nobody():
    got = anchor_assignment([[0, 0, 1, 1], [3, 3, 4, 4]], [[8, 8, 9, 9]], allow_low_quality=True)
    assert got.target_idx.tolist() == [-1, -1]
    assert not got.rescued.any()


def test_empty_sides():
    nothing = anchor_assignment([[0, 0, 1, 1]], [])
    assert (nothing.target_idx.tolist(), nothing.best_iou.tolist(), nothing.positives.size) == ([-1], [0], 0)
    nobody = anchor_assignment([], [[0, 0, 1, 1]], allow_low_quality=True)
    assert (nobody.target_idx.size, nobody.positives.tolist()) == (0, [0])


@pytest.mark.parametrize("with_labels", [True, False])
def test_suppression_is_that_of_its_definition(with_labels, receipt):
    counts = []
    for seed in range(80):
        boxes, scores, labels = heap(seed)
        classes = labels if with_labels else None
        for threshold, least in ((0.5, 0.0), (0.25, 0.4), (0, 0), (1, 0)):
            got = non_maximum_suppression(boxes, scores, iou_threshold=threshold, score_threshold=least, labels=classes)
            expected = oracle.suppressed(boxes, scores, classes, threshold, least)
            assert got.kept.tolist() == expected
            counts.append((len(got.kept), len(expected)))
            assert got.below_score.tolist() == (scores <= least).tolist()
    receipt(suppression_steps, "kept", *np.transpose(counts), reference="the definition, box by box")


def test_suppression_is_opencvs(receipt):
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 60, (80, 2))
    size = rng.integers(8, 40, (80, 2))
    scores = rng.permutation(80) / 80 + 0.01
    expected = cv2.dnn.NMSBoxes(np.concatenate([corner, size], 1).tolist(), scores.tolist(), 0.0, 0.4)
    got = non_maximum_suppression(np.concatenate([corner, corner + size], 1), scores, iou_threshold=0.4)
    assert got.kept.tolist() == np.array(expected).tolist()
    receipt(suppression_steps, "kept", len(got.kept), len(expected), reference="opencv-python-headless")


@given(seed=st.integers(0, 10**6), threshold=st.sampled_from([0, 0.2, 0.5, 0.9]))
@quick
def test_every_step_says_why(seed, threshold):
    boxes, scores, labels = heap(seed)
    steps = list(suppression_steps(boxes, scores, iou_threshold=threshold, labels=labels))
    assert (steps[0].box, steps[0].kept.size, steps[0].seen.sum()) == (-1, 0, 0)
    assert [scores[s.box] for s in steps[1:]] == sorted(scores, reverse=True)
    for number, (before, step) in enumerate(pairwise(steps), start=1):
        assert step.seen.sum() == number
        rivals = {
            k: float(oracle.overlap(boxes[k], boxes[step.box])[3])
            for k in before.kept.tolist()
            if labels[k] == labels[step.box]
        }
        over = [k for k, iou in rivals.items() if iou > threshold]
        if step.keeper < 0:
            assert not over
            assert step.kept.tolist() == [*before.kept.tolist(), step.box]
            assert step.iou == pytest.approx(max(rivals.values(), default=0))
        else:
            assert step.keeper == over[0]
            assert step.suppressed_by[step.box] == step.keeper
            assert step.iou == pytest.approx(rivals[step.keeper])
            assert step.kept.tolist() == before.kept.tolist()
    assert steps[0].seen.sum() == 0  # earlier steps stay as they were


def test_the_keepers_overlap_is_exact(receipt):
    boxes = [[0, 0, 10, 10], [0, 0, 10, 9], [1, 0, 11, 10], [30, 0, 40, 10]]
    *_, third, last = suppression_steps(boxes, [0.9, 0.8, 0.7, 0.6])
    expected = float(oracle.overlap(boxes[0], boxes[2])[3])
    receipt(suppression_steps, "keeper_iou", third.iou, expected, reference="exact fractions, box by box")
    assert (third.keeper, last.keeper, last.iou) == (0, -1, 0)


def test_an_overlap_of_exactly_the_threshold_survives_and_equals_keep_their_order():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5]]
    assert non_maximum_suppression(boxes, [0.9, 0.8], iou_threshold=0.5).kept.tolist() == [0, 1]
    assert non_maximum_suppression([boxes[0]] * 3, [0.5] * 3).kept.tolist() == [0]
    assert non_maximum_suppression([boxes[0]] * 3, [0.5] * 3).suppressed_by.tolist() == [-1, 0, 0]
    assert non_maximum_suppression([], []).kept.size == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: anchor_assignment([], [], foreground_iou=0.3, background_iou=0.5), "background_iou <= foreground_iou"),
        (lambda: anchor_assignment([], [], foreground_iou=1.5), "<= 1"),
        (lambda: suppression_steps([[0, 0, 1, 1]], [0.5, 0.5]), "one for each box"),
        (lambda: suppression_steps([[0, 0, 1, 1]], [0.5], labels=[0, 1]), "one for each box"),
        (lambda: suppression_steps([[0, 0, 1, 1]], [np.nan]), "scores must not be NaN"),
        (lambda: suppression_steps([[0, 0, 1, 1]], [0.5], iou_threshold=1.1), "iou_threshold"),
        (lambda: suppression_steps([[0, 0, 1, 1]], [0.5], iou_threshold=np.nan), "iou_threshold"),
    ],
)
def test_mistakes_are_named_at_the_call(call, words):
    with pytest.raises(ValueError, match=words):
        call()
