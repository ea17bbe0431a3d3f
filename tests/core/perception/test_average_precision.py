import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.average_precision import average_precision
from core.perception.detr_matching import Detections
from tests.oracles import detection as oracle

quick = settings(deadline=None, max_examples=60)
K = 3
ONE_PIXEL = np.array([0, 0, 1, 1])


def detections(scores, labels, boxes):
    scores = np.array(scores, float)
    return Detections(scores, np.array(labels, int), np.array(boxes, float).reshape(-1, 4), np.arange(len(scores)))


def random_images(seed, images=3):
    """Detections near targets and elsewhere, some doubled, some with equal scores."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(images):
        goals = np.sort(rng.integers(0, 12, (rng.integers(0, 5), 2, 2)), axis=1).reshape(-1, 4) + ONE_PIXEL
        labels = rng.integers(0, K, len(goals))
        copies = rng.integers(0, len(goals), 5) if len(goals) else np.zeros(0, int)
        near = goals[copies] + rng.integers(0, 2, (len(copies), 4)) * [-1, -1, 1, 1]
        boxes = np.concatenate([near, np.sort(rng.integers(0, 12, (2, 2, 2)), axis=1).reshape(-1, 4) + ONE_PIXEL])
        named = np.concatenate([labels[copies], rng.integers(0, K, 2)])
        flips = rng.random(len(named)) < 0.2
        named[flips] = rng.integers(0, K, flips.sum())
        found.append(detections(rng.integers(1, 8, len(named)) / 8, named, boxes))
        truth.append((labels, goals.astype(float)))
    return found, truth


def lists(found, truth):
    said = [
        (n, float(s), int(c), box.tolist())
        for n, d in enumerate(found)
        for s, c, box in zip(d.scores, d.labels, d.boxes_xyxy, strict=True)
    ]
    goals = [
        (n, int(c), b.tolist()) for n, (labels, boxes) in enumerate(truth) for c, b in zip(labels, boxes, strict=True)
    ]
    return said, goals


@pytest.mark.parametrize("interpolation", ["coco", "area"])
@pytest.mark.parametrize("threshold", [0.5, 0.75, 1.0])
def test_ap_is_that_of_loops(interpolation, threshold, receipt):
    points = np.linspace(0, 1, 101).tolist() if interpolation == "coco" else None
    for seed in range(12):
        found, truth = random_images(seed)
        got = average_precision(found, truth, num_classes=K, iou_threshold=threshold, interpolation=interpolation)
        expected = [oracle.average_precision(*lists(found, truth), c, threshold, points) for c in range(K)]
        receipt(
            average_precision, "class_ap", [c.ap for c in got.classes], expected, reference="loops over the ranking"
        )
        there = [x for x in expected if not math.isnan(x)]
        mean = sum(there) / len(there) if there else math.nan
        for name in ("ap50", "ap_all", "ap_kept"):
            receipt(average_precision, name, got.mean, mean, reference="loops over the ranking")
        hits = [h for c in range(K) for h in oracle.ranked_hits(*lists(found, truth), c, threshold)]
        for which in ("all", "kept"):
            found_sum, said_sum = (sum(f(c.hit) for c in got.classes) for f in (np.sum, len))
            receipt(average_precision, f"found_{which}", found_sum, sum(hits), reference="loops over the ranking")
            missed = hits.count(0)
            receipt(
                average_precision, f"false_{which}", said_sum - found_sum, missed, reference="loops over the ranking"
            )


@given(seed=st.integers(0, 10**6))
@quick
def test_curves_are_consistent(seed):
    found, truth = random_images(seed)
    for c, ranked in enumerate(average_precision(found, truth, num_classes=K).classes):
        assert ranked.targets == sum((labels == c).sum() for labels, _ in truth)
        assert (np.diff(ranked.scores) <= 0).all()
        assert ranked.hit.sum() <= ranked.targets
        assert (ranked.precision == np.cumsum(ranked.hit) / np.arange(1, ranked.hit.size + 1)).all()
        if ranked.targets:
            assert (ranked.recall == np.cumsum(ranked.hit) / ranked.targets).all()
            assert 0 <= ranked.ap <= 1
        else:
            assert math.isnan(ranked.ap)
            assert np.isnan(ranked.recall).all()


def test_perfect_doubled_and_missing():
    boxes = [[0, 0, 4, 4], [6, 6, 9, 9]]
    truth = [([0, 1], boxes)]
    assert average_precision([detections([0.9, 0.8], [0, 1], boxes)], truth, num_classes=2).mean == 1
    doubled = detections([0.9, 0.9, 0.8], [0, 0, 1], [boxes[0], boxes[0], boxes[1]])
    result = average_precision([doubled], truth, num_classes=2)
    assert result.mean == 1  # a duplicate below a hit costs nothing, once all targets are found
    assert result.classes[0].hit.tolist() == [True, False]
    assert average_precision([detections([0.9], [0], boxes[:1])], truth, num_classes=2).mean == 0.5
    assert average_precision([detections([], [], [])], truth, num_classes=2).mean == 0
    swapped = average_precision([detections([0.9, 0.8], [1, 0], boxes)], truth, num_classes=2)
    assert swapped.mean == 0


def test_a_false_detection_above_a_hit_costs_precision():
    truth = [([0], [[0, 0, 4, 4]])]
    said = [detections([0.9, 0.8], [0, 0], [[20, 20, 24, 24], [0, 0, 4, 4]])]
    for interpolation in ("coco", "area"):
        assert average_precision(said, truth, num_classes=1, interpolation=interpolation).mean == 0.5


def test_a_detection_may_not_use_another_images_target():
    one, none = [([0], [[0, 0, 4, 4]]), ([], [])], detections([], [], [])
    assert average_precision([none, detections([1], [0], [[0, 0, 4, 4]])], one, num_classes=1).mean == 0


def test_nothing_at_all():
    assert math.isnan(average_precision([], [], num_classes=2).mean)
    empty = average_precision([detections([0.5], [0], [[0, 0, 1, 1]])], [([], [])], num_classes=1)
    assert math.isnan(empty.mean)
    assert empty.classes[0].precision.tolist() == [0]


def test_mistakes_are_named():
    said = [detections([1], [0], [[0, 0, 1, 1]])]
    for truth, options, words in (
        ([], {}, "as many images, got 1 and 0"),
        ([([3], [[0, 0, 1, 1]])], {}, r"labels in 0\.\.1, got \[3\]"),
        ([([-1], [[0, 0, 1, 1]])], {}, r"labels in 0\.\.1"),
        ([([0, 1], [[0, 0, 1, 1]])], {}, "a label for each box"),
        ([([0], [[0, 0, 1, 1]])], {"iou_threshold": 0}, "iou_threshold"),
        ([([0], [[0, 0, 1, 1]])], {"iou_threshold": 1.1}, "iou_threshold"),
    ):
        with pytest.raises(ValueError, match=words):
            average_precision(said, truth, num_classes=2, **options)
