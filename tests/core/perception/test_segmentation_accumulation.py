import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchmetrics.functional.segmentation import mean_iou as functional_mean_iou
from torchmetrics.segmentation import MeanIoU

from core.perception.segmentation_accumulation import ACCUMULATIONS, accumulate_scores, frame_scores
from core.perception.segmentation_metrics import confusion_matrix, segmentation_scores
from tests.oracles import segmentation as oracle

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def images(seed, count=4, k=5):
    """Images that do not all hold the same classes."""
    rng = np.random.default_rng(seed)
    targets = [rng.choice(rng.choice(k, 2), (5, 6)) for _ in range(count)]
    return [np.where(rng.random((5, 6)) < 0.7, t, rng.choice(rng.choice(k, 2), (5, 6))) for t in targets], targets


@quick
@given(seed=st.integers(0, 10**6), count=st.integers(1, 4))
def test_every_way_is_its_definition_on_sets_of_pixels(seed, count, receipt):
    predictions, targets = images(seed, count)
    table = np.array([oracle.class_scores(p, t, 5)[0] for p, t in zip(predictions, targets, strict=True)])
    expected = {
        "dataset": oracle.nanmean(oracle.class_scores(np.stack(predictions), np.stack(targets), 5)[0]),
        "per_image": oracle.nanmean([oracle.nanmean(row) for row in table]),
        "per_image_and_class": oracle.nanmean(table.ravel()),
        "per_image_per_class": oracle.nanmean([oracle.nanmean(column) for column in table.T]),
    }
    matrices = [confusion_matrix(p, t, num_classes=5) for p, t in zip(predictions, targets, strict=True)]
    assert set(expected) == set(ACCUMULATIONS)
    for way, value in expected.items():
        got = accumulate_scores(matrices, accumulation=way)
        receipt(accumulate_scores, "mean_iou", got.mean_iou, value, reference="sets of pixels")
        np.testing.assert_allclose(got.per_image_iou, table, atol=1e-12)
        np.testing.assert_allclose(got.per_image, [oracle.nanmean(row) for row in table], atol=1e-12)
        assert got.images_per_class.tolist() == np.count_nonzero(~np.isnan(table), axis=0).tolist()
        assert np.array_equal(got.confusion, sum(matrices))
        assert got.accumulation == way


@quick
@given(seed=st.integers(0, 10**6))
def test_the_per_image_ways_are_torchmetrics(seed, receipt):
    predictions, targets = images(seed)
    matrices = [confusion_matrix(p, t, num_classes=5) for p, t in zip(predictions, targets, strict=True)]
    p, t = torch.tensor(np.array(predictions)), torch.tensor(np.array(targets))
    pooled = MeanIoU(num_classes=5, input_format="index")
    per_class = MeanIoU(num_classes=5, input_format="index", per_class=True)
    for each in zip(p, t, strict=True):
        for metric in (pooled, per_class):
            metric.update(each[0][None], each[1][None])
    single = [float(functional_mean_iou(a[None], b[None], 5, input_format="index")) for a, b in zip(p, t, strict=True)]
    found = per_class.compute()
    found = found[found >= 0].mean()
    for way, expected in (
        ("per_image_and_class", float(pooled.compute())),
        ("per_image_per_class", float(found)),
        ("per_image", float(np.mean(single))),
    ):
        got = accumulate_scores(matrices, accumulation=way)
        receipt(accumulate_scores, "mean_iou", got.mean_iou, expected, reference="torchmetrics", tolerance=3e-7)


def test_the_ways_differ_on_images_that_differ():
    matrices = [np.array([[3, 0], [0, 0]]), np.array([[1, 0], [1, 2]])]
    values = [round(accumulate_scores(matrices, accumulation=way).mean_iou, 4) for way in ACCUMULATIONS]
    assert values == [0.7333, 0.7917, 0.7222, 0.7083]


def test_conventions_apply_to_each_image():
    matrices = [np.array([[3, 0], [0, 0]]), np.array([[1, 0], [1, 2]])]
    one = accumulate_scores(matrices, accumulation="per_image", absent="one")
    assert one.per_image.tolist() == pytest.approx([1, (0.5 + 2 / 3) / 2])
    zero = accumulate_scores(matrices, accumulation="per_image_per_class", absent="zero")
    assert zero.iou.tolist() == pytest.approx([0.75, 1 / 3])
    only = accumulate_scores(matrices, accumulation="per_image", excluded_classes=[0])
    assert np.isnan(only.per_image[0])  # an image without a class that counts is left out
    assert only.mean_iou == pytest.approx(2 / 3)
    assert np.isnan(only.per_image_iou[:, 0]).all()
    assert only.images_per_class.tolist() == [0, 1]
    for way in ("per_image_and_class", "per_image_per_class"):
        assert accumulate_scores(matrices, accumulation=way, excluded_classes=[0]).mean_iou == pytest.approx(2 / 3)
    predicted = [np.array([[3, 1], [0, 0]])]
    assert accumulate_scores(predicted, accumulation="per_image", predicted_only="exclude").mean_iou == 0.75


def test_one_image_scores_the_same_in_every_way():
    n = np.array([[3, 1], [2, 5]])
    assert len({accumulate_scores([n], accumulation=way).mean_iou for way in ACCUMULATIONS}) == 1


@pytest.mark.parametrize("way", ACCUMULATIONS)
def test_images_without_a_pixel_are_nan_without_a_warning(way):
    assert math.isnan(accumulate_scores([np.zeros((2, 2), int)] * 2, accumulation=way).mean_iou)


def test_mistakes_are_named():
    n = np.eye(2, dtype=int)
    with pytest.raises(ValueError, match="at least one matrix"):
        accumulate_scores([])
    with pytest.raises(ValueError, match="one shape"):
        accumulate_scores([n, np.eye(3, dtype=int)])
    with pytest.raises(ValueError, match="accumulation must be one of"):
        accumulate_scores([n], accumulation="sum")
    with pytest.raises(ValueError, match=r"confusions\[1\]"):
        accumulate_scores([n, np.zeros(3, int)])


@quick
@given(seed=st.integers(0, 10**6), count=st.integers(1, 4))
def test_frames_add_up_and_never_change(seed, count, receipt):
    predictions, targets = images(seed, count)
    steps = list(frame_scores(predictions, targets, num_classes=5))  # looked at after the loop: steps are snapshots
    assert [step.index for step in steps] == list(range(count))
    total = np.zeros((5, 5), int)
    for step, p, t in zip(steps, predictions, targets, strict=True):
        n = oracle.confusion(p, t, 5)[:, :5]
        total = total + n
        assert np.array_equal(step.confusion, n)
        assert np.array_equal(step.cumulative, total)
        seen = slice(0, step.index + 1)
        both = oracle.class_scores(np.stack(predictions[seen]), np.stack(targets[seen]), 5)[0]
        alone = oracle.class_scores(p, t, 5)[0]
        for key, got, expected in (
            ("cumulative_miou", step.cumulative_scores, both),
            ("frame_miou", step.scores, alone),
        ):
            receipt(frame_scores, key, got.mean_iou, oracle.nanmean(expected), reference="sets of pixels")
    assert steps[-1].cumulative_scores.mean_iou == segmentation_scores(total).mean_iou


def test_frames_may_be_tensors_and_options_reach_the_scores():
    targets = torch.tensor([[[0, 0, 255]], [[0, 1, 255]]])
    predictions = torch.tensor([[[0, 7, 9]], [[0, 1, 0]]])
    steps = list(
        frame_scores(
            predictions,
            targets,
            num_classes=3,
            ignore_index=255,
            out_of_range="other",
            absent="one",
            excluded_classes=[1],
        )
    )
    assert steps[0].confusion.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert steps[1].cumulative[0].tolist() == [2, 0, 0, 1]
    assert steps[0].scores.mean_iou == pytest.approx((0.5 + 1) / 2)
    strict = frame_scores([[[1, 0]]], [[[0, 0]]], num_classes=2, predicted_only="exclude")
    assert next(strict).scores.mean_iou == 0.5


def test_every_frame_is_checked_at_the_call():
    good, target = np.array([[0, 1]]), np.array([[0, 1]])
    for predictions, targets, match in (
        ([good, good], [target], "as many frames"),
        ([good, good], [target, np.array([[0, 5]])], "target must hold"),
        ([good, np.array([[0, 5]])], [target, target], "prediction must hold"),
        ([good, np.array([[-1, 0]])], [target, target], "prediction must hold"),
        ([good, good[:, :1]], [target, target], "one shape"),
    ):
        with pytest.raises(ValueError, match=match):
            frame_scores(predictions, targets, num_classes=2)
    with pytest.raises(TypeError, match="integer"):
        frame_scores([good, good * 0.5], [target, target], num_classes=2)
    for option in ({"absent": "x"}, {"predicted_only": "x"}, {"out_of_range": "x"}, {"excluded_classes": [7]}):
        with pytest.raises(ValueError, match=next(iter(option))):
            frame_scores([good], [target], num_classes=2, **option)


def test_no_frame_no_step_and_ignored_strangers_are_allowed():
    assert list(frame_scores([], [], num_classes=2)) == []
    step = next(frame_scores([np.array([[9, 1]])], [np.array([[-1, 1]])], num_classes=2, ignore_index=-1))
    assert step.confusion.tolist() == [[0, 0], [0, 1]]
