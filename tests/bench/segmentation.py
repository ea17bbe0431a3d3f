"""Segmentation metrics against the libraries one would otherwise use, on one thread unless a row says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional.classification import multiclass_confusion_matrix

from core.perception.boundary_metrics import boundary_f_score, boundary_iou, hausdorff_distance
from core.perception.error_regions import worst_errors
from core.perception.panoptic_quality import connected_instances, panoptic_quality
from core.perception.pixel_codes import pixel_codes
from core.perception.segmentation_conventions import library_table
from core.perception.segmentation_metrics import confusion_matrix, segmentation_scores
from tests.bench.table import Row, alone, versus

K, IGNORE = 150, 255
SIZE = (1080, 1920)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """OpenCV and torch on so many threads."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(count)
    torch.set_num_threads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def scene(size: tuple[int, int] = SIZE, classes: int = K) -> tuple[np.ndarray, np.ndarray]:
    """(prediction, target) uint8: patches of 20 px, a fifth of the pixels wrong, one in fifty ignored."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, classes, (size[0] // 20 + 1, size[1] // 20 + 1), np.uint8)
    target = np.repeat(np.repeat(patches, 20, axis=0), 20, axis=1)[: size[0], : size[1]]
    prediction = np.where(rng.random(size) < 0.2, rng.integers(0, classes, size, np.uint8), target)
    return prediction, np.where(rng.random(size) < 0.02, np.uint8(IGNORE), target)


def masked_bincount(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The usual idiom."""
    kept = target != IGNORE
    codes = target[kept].astype(np.int64) * K + prediction[kept]
    return np.bincount(codes, minlength=K * K).reshape(K, K)


def ellipses() -> tuple[np.ndarray, np.ndarray]:
    """A large object at 1080p, and the same 9 px to the right."""
    mask = np.zeros(SIZE, np.uint8)
    cv2.ellipse(mask, (960, 540), (700, 400), 20, 0, 360, 1, -1)
    return np.roll(mask, 9, axis=1), mask


def eroded_bands(prediction: np.ndarray, target: np.ndarray, d: int) -> float:
    """One erosion per mask and the counting, and nothing else."""
    square = np.ones((2 * d + 1, 2 * d + 1), np.uint8)
    bands = [m & ~cv2.erode(m, square, borderType=cv2.BORDER_CONSTANT, borderValue=0) for m in (prediction, target)]
    return np.count_nonzero(bands[0] & bands[1]) / np.count_nonzero(bands[0] | bands[1])


def confusion_rows() -> Iterator[Row]:
    prediction, target = scene()

    def count() -> np.ndarray:
        return confusion_matrix(prediction, target, num_classes=K, ignore_index=IGNORE)

    assert np.array_equal(count(), masked_bincount(prediction, target))
    what = f"confusion matrix, 1080p, {K} classes, uint8"
    yield versus(what, count, "masked np.bincount", lambda: masked_bincount(prediction, target), at_least=2, repeats=15)
    tensors = torch.tensor(prediction), torch.tensor(target)
    yield versus(
        what,
        count,
        "torchmetrics multiclass_confusion_matrix",
        lambda: multiclass_confusion_matrix(*tensors, K, ignore_index=IGNORE),
        at_least=50,
        repeats=9,
    )
    yield versus(
        what,
        count,
        "torchmetrics, validate_args=False",
        lambda: multiclass_confusion_matrix(*tensors, K, ignore_index=IGNORE, validate_args=False),
        repeats=5,
    )
    flat = prediction.ravel(), target.ravel()
    yield versus(
        what,
        count,
        "sklearn confusion_matrix",
        lambda: sklearn_metrics.confusion_matrix(flat[1], flat[0], labels=range(K)),
        repeats=3,
    )
    wide, wide_target = prediction.astype(np.int64), target.astype(np.int64)
    yield versus(
        f"confusion matrix, 1080p, {K} classes, int64",
        lambda: confusion_matrix(wide, wide_target, num_classes=K, ignore_index=IGNORE),
        "masked np.bincount",
        lambda: masked_bincount(wide, wide_target),
        repeats=15,
    )
    large, large_target = scene((3000, 4000))
    yield alone(
        "confusion matrix and all scores, 12 megapixels, uint8",
        lambda: segmentation_scores(confusion_matrix(large, large_target, num_classes=K, ignore_index=IGNORE)),
        at_most_ms=150,
    )


def boundary_rows() -> Iterator[Row]:
    prediction, target = ellipses()
    for ratio in (0.02, 0.005):
        result = boundary_iou(prediction, target, dilation_ratio=ratio)
        assert result.iou == eroded_bands(prediction, target, result.distance_px)
        yield versus(
            f"boundary IoU, 1080p, d = {result.distance_px}",
            lambda ratio=ratio: boundary_iou(prediction, target, dilation_ratio=ratio),
            "cv2.erode of both masks + counting",
            lambda d=result.distance_px: eroded_bands(prediction, target, d),
            at_least=1 / 1.1,
            repeats=25,
        )
    yield alone("boundary F, 1080p", lambda: boundary_f_score(prediction, target), repeats=5)
    yield alone("Hausdorff distance, 1080p", lambda: hausdorff_distance(prediction, target), repeats=5)


def other_rows() -> Iterator[Row]:
    prediction, target = scene((480, 640), 20)
    yield alone(
        "13 library rows, 640×480, 20 classes",
        lambda: library_table([prediction], [target], num_classes=20, ignore_index=IGNORE),
        repeats=5,
    )
    yield alone("pixel codes, 640×480", lambda: pixel_codes(prediction, target, num_classes=20, ignore_index=IGNORE))
    yield alone(
        "error depths and regions, 640×480, 20 classes",
        lambda: worst_errors(prediction, target, num_classes=20, ignore_index=IGNORE),
        repeats=5,
    )
    ids, classes = connected_instances(target, num_classes=20, ignore_index=IGNORE)
    yield alone(
        f"panoptic quality, 640×480, {len(classes)} segments",
        lambda: panoptic_quality(np.roll(ids, 2, axis=1), classes, ids, classes),
        repeats=3,
    )


def measure() -> Iterator[Row]:
    """All rows."""
    with threads(1):
        yield from confusion_rows()
        yield from boundary_rows()
        yield from other_rows()
    with threads(2):
        for row in boundary_rows():
            if row.goal:
                yield Row(
                    f"{row.what}, two threads", row.ours_ms, row.other, row.other_ms, row.ratio, row.goal, row.met
                )
