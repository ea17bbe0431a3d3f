"""Scores of many images: four orders of averaging, and a video frame by frame.

Averages of ratios are not ratios of sums: the same confusion matrices give different mean IoUs depending on whether
they are summed before or after dividing. Notation as in `segmentation_metrics`: K classes, N images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, check_num_classes, label_pair, refuse_labels
from core.perception.segmentation_metrics import (
    Absent,
    Counts,
    Floats,
    OutOfRange,
    PredictedOnly,
    SegmentationScores,
    checked_matrix,
    confusion_matrix,
    segmentation_scores,
)

Accumulation: TypeAlias = Literal["dataset", "per_image", "per_image_and_class", "per_image_per_class"]
ACCUMULATIONS: tuple[Accumulation, ...] = ("dataset", "per_image", "per_image_and_class", "per_image_per_class")


@dataclass(frozen=True, slots=True)
class AccumulatedScores:
    """A score of several images under one way of averaging them."""

    accumulation: Accumulation  # the way
    mean_iou: float  # the score
    iou: Floats  # (K,) per class: of the summed matrix for "dataset", else mean over the images that count the class
    per_image: Floats  # (N,) mean IoU of every image on its own; NaN where no class counts
    per_image_iou: Floats  # (N, K) IoU of every class in every image; NaN where the class does not count there
    images_per_class: Counts  # (K,) images that count the class
    confusion: Counts  # (K, K) or (K, K + 1) sum over the images


def accumulate_scores(
    confusions: Iterable[npt.NDArray[Any]],
    *,
    accumulation: Accumulation = "dataset",
    absent: Absent = "exclude",
    predicted_only: PredictedOnly = "zero",
    excluded_classes: Sequence[int] = (),
) -> AccumulatedScores:
    """Mean IoU of a set of images, under one of the four ways in use.

    Convention: "dataset" sums the confusion matrices and scores the sum (mmsegmentation, HF evaluate, semseg,
    Cityscapes, torchmetrics' MulticlassJaccardIndex). "per_image" scores each image and averages the scores (the
    mean of torchmetrics.functional.segmentation.mean_iou). "per_image_and_class" averages all (image, class) pairs
    that count, so an image with more classes weighs more (torchmetrics.segmentation.MeanIoU;
    segmentation-models-pytorch's "macro-imagewise", where with absent="one" every pair counts).
    "per_image_per_class" averages each class over the images that count it, then the classes (the mean of
    MeanIoU(per_class=True)). Images and classes without a value are left out.

    Args:
        confusions: N matrices of one shape, see `segmentation_scores`.
        accumulation: "dataset", "per_image", "per_image_and_class" or "per_image_per_class".
        absent, predicted_only, excluded_classes: see `segmentation_scores`; for the per-image ways they apply to
            each image.

    Raises:
        ValueError: if there is no matrix, shapes differ, or an option is unknown.

    Source: own; the four ways as read in the libraries named above.
    Differs: images weigh the same whatever their size.

    >>> images = [np.array([[3, 0], [0, 0]]), np.array([[1, 0], [1, 2]])]
    >>> for way in ACCUMULATIONS:
    ...     print(way, round(accumulate_scores(images, accumulation=way).mean_iou, 4))
    dataset 0.7333
    per_image 0.7917
    per_image_and_class 0.7222
    per_image_per_class 0.7083
    """
    matrices = [checked_matrix(c, name=f"confusions[{i}]") for i, c in enumerate(confusions)]
    if not matrices:
        raise ValueError("confusions must hold at least one matrix, got none")
    if len({m.shape for m in matrices}) > 1:
        raise ValueError(f"confusions must have one shape, got {sorted({m.shape for m in matrices})}")
    if accumulation not in ACCUMULATIONS:
        raise ValueError(f"accumulation must be one of {ACCUMULATIONS}, got {accumulation!r}")

    def score(matrix: Counts) -> SegmentationScores:
        return segmentation_scores(
            matrix, absent=absent, predicted_only=predicted_only, excluded_classes=excluded_classes
        )

    each = [score(m) for m in matrices]
    total = np.array(matrices).sum(axis=0)
    table = np.array([np.where(s.counted, s.iou, np.nan) for s in each])
    per_image = np.array([s.mean_iou for s in each])
    images_per_class = np.count_nonzero(~np.isnan(table), axis=0).astype(np.int64)
    if accumulation == "dataset":
        whole = score(total)
        iou, mean_iou = whole.iou, whole.mean_iou
    else:
        empty = np.full(images_per_class.shape, np.nan)
        iou = np.divide(np.nansum(table, axis=0), images_per_class, out=empty, where=images_per_class > 0)
        over = {"per_image": per_image, "per_image_and_class": table, "per_image_per_class": iou}[accumulation]
        values = over[~np.isnan(over)]
        mean_iou = float(values.mean()) if values.size else float("nan")
    return AccumulatedScores(accumulation, mean_iou, iou, per_image, table, images_per_class, total)


@dataclass(frozen=True, slots=True)
class FrameStep:
    """One frame of a video counted, on its own and added to those before it."""

    index: int  # 0..N-1
    confusion: Counts  # (K, K) or (K, K + 1) this frame
    cumulative: Counts  # same shape, frames 0..index
    scores: SegmentationScores  # of this frame
    cumulative_scores: SegmentationScores  # of frames 0..index together


def frame_scores(
    predictions: Iterable[Labels],
    targets: Iterable[Labels],
    *,
    num_classes: int,
    ignore_index: int | None = None,
    out_of_range: OutOfRange = "raise",
    absent: Absent = "exclude",
    predicted_only: PredictedOnly = "zero",
    excluded_classes: Sequence[int] = (),
) -> Iterator[FrameStep]:
    """Score a video frame by frame; the last step's `cumulative_scores` are the dataset's.

    Convention: cumulative scores are those of the summed matrix (mmsegmentation, HF evaluate), not a running mean of
    frame scores.

    Args:
        predictions, targets: N label maps each, frame i of one shape in both; frames may differ in size.
        num_classes, ignore_index, out_of_range: see `confusion_matrix`.
        absent, predicted_only, excluded_classes: see `segmentation_scores`.

    Yields:
        One step per frame. Every frame is checked before the first step.

    Raises:
        TypeError, ValueError: at the call, for whatever `confusion_matrix` or `segmentation_scores` would refuse.

    Source: own.
    Differs: nothing left out.

    >>> predictions, targets = np.array([[0, 1], [1, 1]]), np.array([[0, 1], [0, 1]])
    >>> for step in frame_scores(predictions, targets, num_classes=2):
    ...     print(step.index, step.scores.mean_iou, round(step.cumulative_scores.mean_iou, 4))
    0 1.0 1.0
    1 0.25 0.5833
    """
    k = check_num_classes(num_classes)
    left, right = list(predictions), list(targets)
    if len(left) != len(right):
        raise ValueError(f"predictions and targets must hold as many frames, got {len(left)} and {len(right)}")
    if out_of_range not in ("raise", "other"):
        raise ValueError(f'out_of_range must be "raise" or "other", got {out_of_range!r}')

    def score(matrix: Counts) -> SegmentationScores:
        return segmentation_scores(
            matrix, absent=absent, predicted_only=predicted_only, excluded_classes=excluded_classes
        )

    score(np.zeros((k, k), np.int64))  # refuses unknown options now
    pairs = [label_pair(p, t) for p, t in zip(left, right, strict=True)]
    for p, t in pairs:
        if t.size and (t.min() < 0 or t.max() >= k):
            refuse_labels(t, name="target", num_classes=k, ignore_index=ignore_index, valid=np.ones(t.shape, np.bool_))
        if p.size and out_of_range == "raise" and (p.min() < 0 or p.max() >= k):
            counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
            refuse_labels(p, name="prediction", num_classes=k, ignore_index=None, valid=counted)

    def steps() -> Iterator[FrameStep]:
        cumulative = np.zeros((k, k + (out_of_range == "other")), np.int64)
        for i, (p, t) in enumerate(pairs):
            n = confusion_matrix(p, t, num_classes=k, ignore_index=ignore_index, out_of_range=out_of_range)
            cumulative = cumulative + n  # out of place: earlier steps keep theirs
            yield FrameStep(i, n, cumulative, score(n), score(cumulative))

    return steps()
