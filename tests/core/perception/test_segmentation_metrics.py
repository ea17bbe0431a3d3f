import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import multiclass_jaccard_index

from core.perception.segmentation_metrics import (
    all_background,
    background_collapse,
    checked_matrix,
    confusion_matrix,
    segmentation_scores,
)
from tests.oracles import segmentation as oracle

TARGET = np.array([[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 255, 0]])
PREDICTION = np.array([[0, 1, 1, 1], [0, 3, 1, 0], [2, 2, 4, 3]])

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def pairs(draw):
    """(prediction, target, K, ignore): any integer types, ignored labels inside, outside or below 0..K-1."""
    k = draw(st.sampled_from([1, 2, 3, 5, 127, 128, 200, 255, 256, 257, 300]))
    ignore = draw(st.sampled_from([None, 0, k - 1, k, 255, -1, -100, 1000]))
    fits = [d for d in (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64) if k - 1 <= np.iinfo(d).max]
    t_type, p_type = draw(st.sampled_from(fits)), draw(st.sampled_from(fits))
    shape = draw(st.sampled_from([(0,), (1, 1), (3, 5), (2, 3, 4)]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    target = rng.choice([0, k - 1, rng.integers(k), rng.integers(k)], shape).astype(t_type)
    if ignore is not None and np.iinfo(t_type).min <= ignore <= np.iinfo(t_type).max:
        target[rng.random(shape) < 0.2] = ignore
    info = np.iinfo(p_type)
    strange = [v for v in (k, k + 1, -1, 255, info.min, info.max) if info.min <= v <= info.max]
    prediction = np.where(
        rng.random(shape) < 0.6, np.clip(target.astype(np.int64), 0, k - 1), rng.integers(0, k, shape)
    )
    prediction = np.where(rng.random(shape) < 0.1, rng.choice(strange, shape), prediction).astype(p_type)
    return prediction, target, k, ignore


@quick
@given(case=pairs())
def test_every_pixel_is_counted_where_a_loop_counts_it(case, receipt):
    prediction, target, k, ignore = case
    expected = oracle.confusion(prediction, target, k, ignore)
    got = confusion_matrix(prediction, target, num_classes=k, ignore_index=ignore, out_of_range="other")
    assert got.dtype == np.int64
    receipt(confusion_matrix, "count", got, expected, reference="a loop over the pixels", tolerance=0)
    if expected[:, k].any():
        with pytest.raises(ValueError, match="prediction must hold labels"):
            confusion_matrix(prediction, target, num_classes=k, ignore_index=ignore)
    else:
        strict = confusion_matrix(prediction, target, num_classes=k, ignore_index=ignore)
        assert np.array_equal(strict, expected[:, :k])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_confusion_matrix_is_scikit_learns(dtype, receipt):
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 7, (2, 40, 50)).astype(dtype)
    got = confusion_matrix(prediction, target, num_classes=7, ignore_index=3)
    kept = target != 3
    expected = sklearn_metrics.confusion_matrix(target[kept], prediction[kept], labels=range(7))
    receipt(confusion_matrix, "count", got, expected, reference="scikit-learn", tolerance=0)


def test_rows_are_the_target():
    assert confusion_matrix(np.array([1]), np.array([0]), num_classes=2).tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(("dtype", "k"), [(np.uint8, 3), (np.int64, 3), (np.int16, 300)])
def test_more_than_two_to_the_24_equal_pixels_are_counted_exactly(dtype, k):
    size = (1 << 24) + 3
    constant = np.broadcast_to(np.array(2, dtype), (size,))
    assert confusion_matrix(constant, constant, num_classes=k)[2, 2] == size


def test_uint8_labels_do_not_wrap():
    target, prediction = np.full((2, 2), 200, np.uint8), np.full((2, 2), 3, np.uint8)
    assert confusion_matrix(prediction, target, num_classes=256)[200, 3] == 4
    assert confusion_matrix(prediction.astype(np.int8), target, num_classes=256)[200, 3] == 4


def test_strides_tensors_and_bools_do_not_matter():
    rng = np.random.default_rng(1)
    target, prediction = rng.integers(0, 4, (2, 12, 10))
    expected = confusion_matrix(prediction, target, num_classes=4)
    for p, t in (
        (torch.tensor(prediction).T, torch.tensor(target.T.copy())),
        (prediction[::-1].astype(np.uint8), target[::-1].astype(np.uint8)),
        (np.asfortranarray(prediction), target),
        (torch.tensor(prediction, dtype=torch.int32), target.astype(np.uint8)),
    ):
        assert np.array_equal(confusion_matrix(p, t, num_classes=4), expected)
    flags = confusion_matrix(prediction > 1, torch.tensor(target) > 1, num_classes=2)
    assert np.array_equal(flags, oracle.confusion(prediction > 1, target > 1, 2)[:, :2])


def test_arguments_are_left_alone():
    p, t = PREDICTION.copy(), TARGET.copy()
    confusion_matrix(p, t, num_classes=5, ignore_index=255)
    assert np.array_equal(p, PREDICTION)
    assert np.array_equal(t, TARGET)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_target_out_of_range_is_refused_unless_ignored(dtype):
    with pytest.raises(ValueError, match=r"target must hold labels 0\.\.4, got 255 \(2 pixels are"):
        confusion_matrix(PREDICTION.astype(dtype), TARGET.astype(dtype), num_classes=5)
    with pytest.raises(ValueError, match=r"ignored 254, got 255"):
        confusion_matrix(PREDICTION.astype(dtype), TARGET.astype(dtype), num_classes=5, ignore_index=254)


def test_a_strange_prediction_on_an_ignored_pixel_is_nobodys_business():
    for dtype in (np.uint8, np.int64):
        n = confusion_matrix(np.array([9, 0], dtype), np.array([255, 0], dtype), num_classes=2, ignore_index=255)
        assert n.tolist() == [[1, 0], [0, 0]]


def test_mistaken_arguments():
    with pytest.raises(TypeError, match="prediction must hold integer"):
        confusion_matrix(np.zeros((2, 2)), TARGET[:2, :2], num_classes=2)
    with pytest.raises(ValueError, match="one shape"):
        confusion_matrix(PREDICTION, TARGET[:2], num_classes=5)
    with pytest.raises(ValueError, match="num_classes"):
        confusion_matrix(PREDICTION, TARGET, num_classes=0)
    with pytest.raises(ValueError, match="out_of_range"):
        confusion_matrix(PREDICTION, TARGET, num_classes=5, ignore_index=255, out_of_range="drop")


def matrices(k=4):
    return st.lists(st.lists(st.integers(0, 9) | st.just(0), min_size=k, max_size=k), min_size=k, max_size=k)


@quick
@given(case=pairs())
def test_class_scores_are_those_of_the_pixel_sets(case, receipt):
    prediction, target, k, ignore = case
    assume(k <= 5)
    n = confusion_matrix(prediction, target, num_classes=k, ignore_index=ignore, out_of_range="other")
    scores = segmentation_scores(n)
    by_hand = oracle.class_scores(prediction, target, k, ignore)
    for name, expected in zip(("iou", "accuracy", "precision", "dice"), by_hand, strict=True):
        receipt(segmentation_scores, name, getattr(scores, name), expected, reference="sets of pixels")
    iou, recall, _, dice = by_hand
    for name, expected in (("mean_iou", iou), ("mean_accuracy", recall), ("mean_dice", dice)):
        receipt(segmentation_scores, name, getattr(scores, name), oracle.nanmean(expected), reference="sets of pixels")


@quick
@given(n=matrices())
def test_scores_are_scikit_learns(n, receipt):
    n = np.array(n)
    assume(n.sum())
    target, prediction = (np.repeat(axis.ravel(), n.ravel()) for axis in np.indices(n.shape))
    scores = segmentation_scores(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # absent classes, which is the point
        jaccard = sklearn_metrics.jaccard_score(target, prediction, average="macro")
        weighted = sklearn_metrics.jaccard_score(target, prediction, average="weighted")
        micro = sklearn_metrics.jaccard_score(target, prediction, average="micro")
        balanced = sklearn_metrics.balanced_accuracy_score(target, prediction)
        dice = sklearn_metrics.f1_score(target, prediction, average="macro")
        precision = sklearn_metrics.precision_score(
            target, prediction, average=None, labels=range(4), zero_division=np.nan
        )
    for name, expected in (
        ("mean_iou", jaccard),
        ("frequency_weighted_iou", weighted),
        ("micro_iou", micro),
        ("mean_accuracy", balanced),
        ("mean_dice", dice),
        ("precision", precision),
        ("pixel_accuracy", sklearn_metrics.accuracy_score(target, prediction)),
    ):
        receipt(segmentation_scores, name, getattr(scores, name), expected, reference="scikit-learn")


@quick
@given(n=matrices())
def test_identities(n):
    n = np.array(n)
    assume(n.sum())
    s = segmentation_scores(n)
    assert s.micro_iou == pytest.approx(s.pixel_accuracy / (2 - s.pixel_accuracy), abs=1e-12)
    np.testing.assert_allclose(s.dice, 2 * s.iou / (1 + s.iou), atol=1e-12)
    np.testing.assert_array_equal(s.union, s.target_pixels + s.predicted_pixels - s.true_positive)
    order = np.random.default_rng(0).permutation(4)
    swapped = segmentation_scores(n[np.ix_(order, order)])
    assert swapped.mean_iou == pytest.approx(s.mean_iou, abs=1e-12, nan_ok=True)
    np.testing.assert_array_equal(swapped.iou, s.iou[order])
    turned = segmentation_scores(n.T)  # IoU and Dice do not know which map is the target; recall and precision swap
    np.testing.assert_array_equal(turned.iou, s.iou)
    np.testing.assert_array_equal(turned.accuracy, s.precision)


def test_the_worked_example_in_every_convention():
    n = confusion_matrix(PREDICTION, TARGET, num_classes=5, ignore_index=255)
    s = segmentation_scores(n)
    np.testing.assert_allclose(s.iou, [0.4, 0.6, 1, 0, np.nan])
    assert (s.mean_iou, s.pixel_accuracy, s.mean_accuracy) == pytest.approx((0.5, 0.7, 0.75))
    assert s.counted.tolist() == [True, True, True, True, False]
    assert s.counted_accuracy.tolist() == [True, True, True, False, False]
    assert segmentation_scores(n, absent="zero").mean_iou == pytest.approx(0.4)
    assert segmentation_scores(n, absent="one").mean_iou == pytest.approx(0.6)
    assert segmentation_scores(n, predicted_only="exclude").mean_iou == pytest.approx(2 / 3)
    assert segmentation_scores(n, predicted_only="exclude", absent="one").mean_iou == pytest.approx(3 / 4)
    assert s.micro_iou == pytest.approx(0.5385, abs=5e-5)
    assert s.frequency_weighted_iou == pytest.approx(0.6)
    assert s.mean_dice == pytest.approx(0.5804, abs=5e-5)


@pytest.mark.parametrize(("absent", "value"), [("exclude", np.nan), ("zero", 0.0), ("one", 1.0)])
def test_a_class_in_neither_map_takes_the_conventions_value_everywhere(absent, value):
    s = segmentation_scores([[3, 1, 0], [0, 0, 0], [0, 0, 0]], absent=absent)  # 1 is only predicted, 2 absent
    for score in (s.iou, s.dice, s.accuracy, s.precision):
        np.testing.assert_equal(score[2], value)
    assert s.iou[1] == s.dice[1] == s.precision[1] == 0
    assert np.isnan(s.accuracy[1])
    assert s.counted.tolist() == [True, True, absent != "exclude"]


def test_a_class_never_predicted_has_no_precision_but_an_iou_of_zero():
    s = segmentation_scores([[2, 0], [1, 0]])
    assert np.isnan(s.precision[1])
    assert (s.iou[1], s.accuracy[1]) == (0, 0)


def test_ignored_and_excluded_are_two_things():
    target = np.repeat([0, 1], [900, 100])
    prediction = np.repeat([0, 1, 1], [700, 200, 100])
    excluded = segmentation_scores(confusion_matrix(prediction, target, num_classes=2), excluded_classes=[0])
    ignored = segmentation_scores(confusion_matrix(prediction, target, num_classes=2, ignore_index=0))
    assert excluded.mean_iou == pytest.approx(1 / 3)  # false alarms on the background still hurt
    assert ignored.iou[1] == 1  # with them gone, the IoU of the object is only its recall
    assert excluded.pixel_accuracy == 0.8
    assert excluded.micro_iou == pytest.approx(1 / 3)
    assert excluded.frequency_weighted_iou == pytest.approx(1 / 3)
    assert excluded.mean_accuracy == 1
    assert excluded.mean_dice == pytest.approx(0.5)


@quick
@given(n=matrices())
def test_an_excluded_class_is_torchmetrics_ignore_index_on_its_rows(n, receipt):
    n = np.array(n)
    n[2] = 0  # torchmetrics drops the pixels as well
    assume(n.sum())
    target, prediction = (torch.tensor(np.repeat(axis.ravel(), n.ravel())) for axis in np.indices(n.shape))
    scores = segmentation_scores(n, excluded_classes=[2])
    expected = float(multiclass_jaccard_index(prediction, target, 4, ignore_index=2))
    receipt(segmentation_scores, "mean_iou", scores.mean_iou, expected, reference="torchmetrics", tolerance=2e-7)


def test_predictions_out_of_range_lower_the_scores_of_their_target():
    s = segmentation_scores(np.array([[2, 0, 2], [0, 4, 0]]))
    assert s.iou.tolist() == [0.5, 1]
    assert s.pixel_accuracy == 0.75
    assert s.predicted_pixels.tolist() == [2, 4]


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (3, 4)])
def test_nothing_counted_is_nan_without_a_warning(shape):
    s = segmentation_scores(np.zeros(shape, int))
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou", "mean_dice", "micro_iou"):
        assert np.isnan(getattr(s, name))
    assert not s.counted.any()
    assert np.isnan(segmentation_scores([[1, 0], [0, 1]], excluded_classes=[0, 1]).mean_iou)


def test_huge_counts_do_not_lose_a_pixel():
    s = segmentation_scores(np.array([[10**15, 1], [0, 10**15]]))
    assert s.union.tolist() == [10**15 + 1, 10**15 + 1]


@pytest.mark.parametrize("bad", [np.zeros((2, 4), int), np.zeros((3, 2), int), np.zeros(3, int), [[1, -1], [0, 1]]])
def test_what_is_no_confusion_matrix_is_refused(bad):
    with pytest.raises(ValueError, match="confusion must"):
        segmentation_scores(bad)


def test_unknown_options_are_refused():
    n = [[1, 0], [0, 1]]
    with pytest.raises(TypeError, match="integer"):
        segmentation_scores(np.eye(2))
    with pytest.raises(ValueError, match="absent"):
        segmentation_scores(n, absent="nan")
    with pytest.raises(ValueError, match="predicted_only"):
        segmentation_scores(n, predicted_only="one")
    with pytest.raises(ValueError, match="excluded_classes"):
        segmentation_scores(n, excluded_classes=[2])


def test_the_checked_matrix_is_a_copy():
    n = np.array([[1, 0], [0, 1]])
    checked_matrix(n)[0, 0] = 9
    assert n[0, 0] == 1


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_background_collapse_is_what_an_all_background_prediction_scores(share, receipt):
    target = np.zeros(100, np.uint8)
    target[round(100 * share) :] = 1
    only = all_background(target)
    measured = segmentation_scores(confusion_matrix(only.prediction, target, num_classes=2))
    closed = background_collapse(share)
    for name in ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"):
        reference = "the definitions, on a label map with that share"
        receipt(background_collapse, name, getattr(closed, name), getattr(measured, name), reference=reference)


def test_background_collapse_over_an_array():
    shares = np.linspace(0, 1, 11).reshape(1, 11)
    scores = background_collapse(shares)
    assert scores.mean_iou.shape == (1, 11)
    assert scores.mean_iou[0, 5] == 0.25
    for bad in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="background_share"):
            background_collapse(bad)


def test_all_background_leaves_ignored_pixels_out_of_its_share():
    only = all_background(torch.tensor([[0, 0, 1, 255]]), ignore_index=255)
    assert only.background_share == pytest.approx(2 / 3)
    assert only.prediction.tolist() == [[0, 0, 0, 0]]
    assert all_background(np.array([[0, 1]]), ignore_index=0).background_share == 0
    assert np.isnan(all_background(np.array([255]), ignore_index=255).background_share)
