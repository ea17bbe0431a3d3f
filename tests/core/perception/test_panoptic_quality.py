import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torchmetrics.detection import PanopticQuality as TorchmetricsPanopticQuality

from core.perception.panoptic_quality import (
    classes_of_ids,
    connected_instances,
    decode_instance_ids,
    panoptic_quality,
)
from tests.oracles import segmentation as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scene(seed, classes=3, largest=10):
    """Two overlapping layouts of segments, with void and a few ids that own no pixel."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, largest + 1, 2))
    target = np.repeat(np.sort(rng.integers(0, 6, shape[0]))[:, None], shape[1], axis=1)
    target[:, rng.random(shape[1]) < 0.2] = 0
    prediction = np.where(rng.random(shape) < rng.choice([0.6, 0.9]), target, rng.integers(0, 7, shape)) * 10
    target_classes = {i: int(rng.integers(classes)) for i in range(1, 7)}
    prediction_classes = {
        i * 10: target_classes.get(i, 0) if rng.random() < 0.8 else int(rng.integers(classes)) for i in range(1, 8)
    }
    return prediction, prediction_classes, target, target_classes


def means(table):
    """PQ, SQ, RQ averaged over the classes that count, from {class: [iou sum, tp, fp, fn]}."""
    rows = [row for row in table.values() if any(row[1:])]
    weights = [tp + fp / 2 + fn / 2 for _, tp, fp, fn in rows]
    pq = oracle.nanmean([row[0] / w for row, w in zip(rows, weights, strict=True)])
    sq = oracle.nanmean([row[0] / row[1] if row[1] else 0.0 for row in rows])
    rq = oracle.nanmean([row[1] / w for row, w in zip(rows, weights, strict=True)])
    return pq, sq, rq


@quick
@given(seed=st.integers(0, 10**6), crowded=st.booleans())
def test_pq_is_that_of_sets_of_pixels(seed, crowded, receipt):
    prediction, prediction_classes, target, target_classes = scene(seed)
    crowds = (1, 3) if crowded else ()
    got = panoptic_quality(prediction, prediction_classes, target, target_classes, crowd_ids=crowds)
    table = oracle.panoptic(prediction, prediction_classes, target, target_classes, crowds)
    assert {q.class_id: [q.true_positives, q.false_positives, q.false_negatives] for q in got.per_class} == {
        c: row[1:] for c, row in table.items()
    }
    for quantity, expected in zip(("pq", "sq", "rq"), means(table), strict=True):
        receipt(panoptic_quality, quantity, getattr(got, quantity), expected, reference="sets of pixels")
    for q in got.per_class:
        assert q.iou_sum == pytest.approx(table[q.class_id][0])
        assert q.pq == pytest.approx(q.sq * q.rq, nan_ok=True)
    assert all(m.iou > 0.5 for m in got.matches)
    assert len({m.target_id for m in got.matches}) == len({m.prediction_id for m in got.matches}) == len(got.matches)
    everything = [m.prediction_id for m in got.matches] + [*got.unmatched_predictions, *got.forgiven_predictions]
    assert sorted(everything) == sorted(set(np.unique(prediction).tolist()) - {0})


@quick
@given(seed=st.integers(0, 10**6))
def test_pq_is_torchmetrics(seed, receipt):
    prediction, prediction_classes, target, target_classes = scene(seed, classes=2)
    prediction[prediction == 0] = (
        70  # torchmetrics also forgives target pixels on *predicted* void; the official code does not
    )
    metric = TorchmetricsPanopticQuality(
        things={1, 2}, stuffs=set(), allow_unknown_preds_category=True, return_sq_and_rq=True
    )

    def pairs(ids, classes):
        category = np.vectorize(lambda i: classes[i] + 1 if i else 9)(ids)  # a category nobody declared is void
        return torch.tensor(np.stack((category, ids), axis=-1))[None]

    if not target.any():
        return  # torchmetrics has no value for an image that is all void
    metric.update(pairs(prediction, prediction_classes), pairs(target, target_classes))
    got = panoptic_quality(prediction, prediction_classes, target, target_classes)
    if math.isnan(got.pq):
        return
    for quantity, expected in zip(("pq", "sq", "rq"), metric.compute().tolist(), strict=True):
        receipt(panoptic_quality, quantity, getattr(got, quantity), expected, reference="torchmetrics", tolerance=1e-6)


def quality(prediction, target, **options):
    classes = {i: 0 for i in range(1, 10)}
    return panoptic_quality(np.array([prediction]), classes, np.array([target]), classes, **options)


def test_an_iou_of_exactly_one_half_is_no_match():
    half = quality([1, 1, 0, 0], [1, 1, 1, 1])
    assert (half.pq, half.unmatched_predictions, half.unmatched_targets) == (0, (1,), (1,))
    assert half.per_class[0].sq == 0
    assert quality([1, 1, 1, 0, 0], [1, 1, 1, 1, 1]).pq == pytest.approx(0.6)


def test_predicted_pixels_on_void_leave_the_union():
    assert quality([1, 1, 1, 1], [1, 1, 0, 0]).pq == 1
    assert quality([1, 1, 1, 1], [1, 1, 2, 2]).pq == 0


def test_a_prediction_mostly_on_void_is_forgiven_and_one_half_on_it_is_not():
    assert quality([1, 1, 1, 2], [0, 0, 3, 3]).forgiven_predictions == (1,)
    half = quality([1, 1, 1, 1, 2, 2, 2, 2], [0, 0, 3, 3, 3, 3, 3, 3])
    assert (half.unmatched_predictions, half.forgiven_predictions) == ((1,), ())


def test_crowds_are_not_matched_not_missed_and_forgive_their_own_class_only():
    got = quality([1, 1, 1, 0], [5, 5, 5, 5], crowd_ids=(5,))
    assert (got.matches, got.unmatched_targets, got.forgiven_predictions) == ((), (), (1,))
    assert math.isnan(got.pq)
    other = panoptic_quality(np.array([[1, 1]]), {1: 1}, np.array([[5, 5]]), {5: 0}, crowd_ids=[5])
    assert other.unmatched_predictions == (1,)
    two = quality([1, 1, 1, 1], [5, 5, 6, 7], crowd_ids=(5, 6))  # half and a quarter: together most of it
    assert two.forgiven_predictions == (1,)


def test_classes_must_agree():
    got = panoptic_quality(np.array([[1, 1]]), {1: 4}, np.array([[1, 1]]), {1: 7})
    assert [(q.class_id, q.false_positives, q.false_negatives) for q in got.per_class] == [(4, 1, 0), (7, 0, 1)]
    assert got.pq == 0


def test_nothing_to_count_is_nan():
    for empty in (np.zeros((2, 2), int), np.zeros((0, 3), int)):
        got = panoptic_quality(empty, {}, empty, {})
        assert math.isnan(got.pq)
        assert got.per_class == ()
    forgiven = quality([1, 1], [0, 0])
    assert math.isnan(forgiven.per_class[0].pq)
    assert math.isnan(forgiven.rq)


def test_ids_may_be_huge_negative_or_tensors():
    ids = torch.tensor([[2**40, -5]])
    got = panoptic_quality(ids, {2**40: 0, -5: 1}, ids, {2**40: 0, -5: 1})
    assert got.pq == 1


def test_mistakes_are_named():
    ids = np.array([[1, 2]])
    with pytest.raises(ValueError, match="prediction_classes must name the class"):
        panoptic_quality(ids, {1: 0}, ids, {1: 0, 2: 0})
    with pytest.raises(ValueError, match="target_classes must not name id 0"):
        panoptic_quality(ids, {1: 0, 2: 0}, ids, {0: 0, 1: 0, 2: 0})
    with pytest.raises(ValueError, match="crowd_ids"):
        quality([1], [1], crowd_ids=(77,))
    with pytest.raises(TypeError, match="integer"):
        panoptic_quality(ids * 0.5, {}, ids, {1: 0, 2: 0})


@quick
@given(seed=st.integers(0, 10**6), ignore=st.sampled_from([None, 1, 255]))
def test_connected_instances_are_scipys_patches(seed, ignore):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, tuple(rng.integers(1, 9, 2)))
    if ignore is not None:
        labels[rng.random(labels.shape) < 0.2] = ignore
    ids, classes = connected_instances(labels, num_classes=3, ignore_index=ignore, void_classes=(2,))
    assert sorted(classes) == list(range(1, len(classes) + 1)) == sorted(set(np.unique(ids).tolist()) - {0})
    assert list(classes.values()) == sorted(classes.values())
    for c in range(3):
        patches, count = ndimage.label((labels == c) & (c not in (2, ignore)), structure=np.ones((3, 3)))
        mine = [i for i in classes if classes[i] == c]
        assert len(mine) == count
        assert {frozenset(map(tuple, np.argwhere(ids == i).tolist())) for i in mine} == {
            frozenset(map(tuple, np.argwhere(patches == i).tolist())) for i in range(1, count + 1)
        }


def test_connected_instances_of_nothing_and_mistakes():
    ids, classes = connected_instances(np.zeros((0, 4), int), num_classes=2)
    assert ids.shape == (0, 4)
    assert classes == {}
    with pytest.raises(ValueError, match="labels must hold"):
        connected_instances(np.array([[3]]), num_classes=2)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        connected_instances(np.array([0]), num_classes=2)


def test_cityscapes_ids():
    given_ids = np.array([[0, 7, 999, 1000, 26001, -1]])
    ids, classes = decode_instance_ids(given_ids)
    assert ids.tolist() == [[0, 7, 999, 1000, 26001, 0]]
    assert classes == {7: 7, 999: 999, 1000: 1, 26001: 26}
    assert decode_instance_ids(np.array([[256, 515]], np.uint16), divisor=256)[1] == {256: 1, 515: 2}
    assert given_ids[0, -1] == -1
    with pytest.raises(ValueError, match="divisor"):
        decode_instance_ids(given_ids, divisor=0)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        decode_instance_ids(given_ids[0])


@given(st.lists(st.integers(-5, 40_000), min_size=1, max_size=60), st.integers(1, 2000))
def test_classes_of_ids_are_those_of_the_decoded_instances(values, divisor):
    ids = np.array([values])
    decoded, classes = decode_instance_ids(ids, divisor=divisor)
    got = classes_of_ids(ids, divisor=divisor)
    assert [classes.get(int(i), 0) for i in decoded[0]] == [max(0, int(c)) for c in got[0]]


def test_a_divisor_of_ids_is_positive():
    with pytest.raises(ValueError, match="divisor"):
        classes_of_ids(np.zeros((1, 1), int), divisor=0)


def test_a_false_object_on_a_background_of_stuff_is_not_forgiven():
    target = np.zeros((120, 160), np.uint8)
    target[20:50, 20:50] = 1
    prediction = target.copy()
    prediction[60:105, 60:145] = 1  # hallucinated
    wide = np.zeros_like(target)
    wide[10:60, 10:60] = 1
    for guess, pq in ((prediction, 2 / 3), (wide, 0.0)):  # one hit and one false alarm; IoU 900 / 2500 misses the bar
        parts = [connected_instances(m, num_classes=2, stuff_classes=(0,)) for m in (guess, target)]
        quality = panoptic_quality(*parts[0], *parts[1], excluded_classes=(0,))
        assert quality.pq == pytest.approx(pq)
        whole = panoptic_quality(*parts[0], *parts[1])
        assert whole.per_class == quality.per_class
        assert whole.pq == pytest.approx(sum(q.pq for q in whole.per_class) / 2)
        void = [connected_instances(m, num_classes=2, void_classes=(0,)) for m in (guess, target)]
        assert panoptic_quality(*void[0], *void[1]).pq == 1  # what forgiving the background would have said


def test_stuff_is_one_segment_however_many_patches():
    ids, classes = connected_instances(np.array([[0, 1, 0, 1]]), num_classes=2, stuff_classes=(0,))
    assert (ids.tolist(), classes) == ([[1, 2, 1, 3]], {1: 0, 2: 1, 3: 1})


def test_zero_of_an_instance_map_is_void_or_background():
    ids = np.array([[0, 7, 26001, 255, -3]])
    decoded, classes = decode_instance_ids(ids, ignore_index=255, background=True)
    assert (decoded.tolist(), classes) == ([[26002, 7, 26001, 0, 0]], {7: 7, 26001: 26, 26002: 0})
    decoded, classes = decode_instance_ids(ids, ignore_index=255)
    assert (decoded.tolist(), classes) == ([[0, 7, 26001, 0, 0]], {7: 7, 26001: 26})
    assert decode_instance_ids(np.array([[5]]), background=True)[1] == {5: 5}
