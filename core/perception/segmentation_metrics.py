"""Scores of semantic segmentation, all from one confusion matrix.

Source: Long, Shelhamer, Darrell, "Fully convolutional networks", arXiv:1411.4038, §5 (pixel accuracy, mean accuracy,
mean IU, f.w. IU).
Notation: n[i, j] pixels of class i predicted as j, t[i] = Σ_j n[i, j] target pixels, p[j] = Σ_i n[i, j] predicted
pixels, K classes. Where libraries differ the difference is an option here; `segmentation_conventions` says which
library chose what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, as_labels, check_num_classes, clip_labels, label_pair, refuse_labels

Absent: TypeAlias = Literal["exclude", "zero", "one"]
PredictedOnly: TypeAlias = Literal["zero", "exclude"]
OutOfRange: TypeAlias = Literal["raise", "other"]
Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

EXACT_PIXELS = 1 << 24  # cv2.calcHist hands its counts over as float32, which is exact up to here
CODE_PIXELS = 1 << 18  # smallest chunk of the general path: its int64 codes stay in cache


def confusion_matrix(
    prediction: Labels,
    target: Labels,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    out_of_range: OutOfRange = "raise",
) -> Counts:
    """Count every (target class, predicted class) pair: rows are the target, columns the prediction.

    Convention: a pixel is ignored when its *target* equals `ignore_index`, whatever was predicted there. A predicted
    label outside 0..K-1 is never dropped: it raises, or it is counted in one more column, so that it still lowers
    the scores of its target class.

    Args:
        prediction, target: one shape, integer or bool, NumPy arrays or tensors of any integer type and strides.
        num_classes: K.
        ignore_index: target label to leave out; inside or outside 0..K-1, may be negative; None leaves nothing out.
        out_of_range: "raise", or "other" for a last column of predictions outside 0..K-1.

    Returns:
        (K, K) int64 counts, or (K, K + 1) with `out_of_range="other"`; exact however many pixels fall into one cell.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if the shapes differ, or a target label is neither in 0..K-1 nor ignored, or (with "raise") a
            prediction is not.

    Source: own; rows and columns as in scikit-learn's confusion_matrix.
    Differs: mmsegmentation and HF evaluate accept out-of-range predictions without a word.

    >>> target = np.array([[0, 0, 1, 1], [0, 255, 1, 1]])
    >>> print(confusion_matrix(np.array([[0, 1, 1, 1], [0, 1, 1, 0]]), target, num_classes=2, ignore_index=255))
    [[2 1]
     [1 3]]
    """
    k = check_num_classes(num_classes)
    if out_of_range not in ("raise", "other"):
        raise ValueError(f'out_of_range must be "raise" or "other", got {out_of_range!r}')
    p, t = label_pair(prediction, target)

    if p.dtype == t.dtype == np.uint8 and k <= 256:
        joint = _count_bytes(p, t)  # every byte value has its row: nothing to mask beforehand
        if ignore_index is not None and 0 <= ignore_index < 256:
            joint[ignore_index] = 0
        strangers = int(joint[k:].sum())
    else:
        joint = _count_codes(p, t, k)  # row K and column K hold everything out of range
        strangers = int(joint[k].sum())
        if ignore_index is not None and 0 <= ignore_index < k:
            joint[ignore_index] = 0
        elif ignore_index is not None and strangers:
            strangers -= int(np.count_nonzero(t == ignore_index))
    if strangers:
        refuse_labels(t, name="target", num_classes=k, ignore_index=ignore_index, valid=np.ones(t.shape, np.bool_))
    other = joint[:k, k:].sum(axis=1)
    if out_of_range == "other":
        return np.column_stack((joint[:k, :k], other))
    if other.any():
        counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
        refuse_labels(p, name="prediction", num_classes=k, ignore_index=None, valid=counted)
    return np.ascontiguousarray(joint[:k, :k])


def _count_bytes(p: npt.NDArray[Any], t: npt.NDArray[Any]) -> Counts:
    """(256, 256) counts of every pair of byte values."""
    p, t = p.ravel()[None], t.ravel()[None]
    joint = np.zeros((256, 256), np.int64)
    for start in range(0, t.size, EXACT_PIXELS):
        part = slice(start, start + EXACT_PIXELS)
        pair = (np.ascontiguousarray(t[:, part]), np.ascontiguousarray(p[:, part]))
        joint += cv2.calcHist(pair, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
    return joint


def _count_codes(p: npt.NDArray[Any], t: npt.NDArray[Any], k: int) -> Counts:
    """(K + 1, K + 1) counts for any integer type and any K; index K stands for everything out of range."""
    p, t = p.ravel(), t.ravel()
    if k < 256:  # labels clipped to K fit a byte
        joint = np.zeros((256, 256), np.int64)
        for start in range(0, t.size, EXACT_PIXELS):
            part = slice(start, start + EXACT_PIXELS)
            joint += _count_bytes(clip_labels(p[part], k).astype(np.uint8), clip_labels(t[part], k).astype(np.uint8))
        return joint[: k + 1, : k + 1]
    counts = np.zeros((k + 1) ** 2, np.int64)
    step = max(CODE_PIXELS, counts.size)  # pixels at a time, worth one pass over the counts
    for start in range(0, t.size, step):
        part = slice(start, start + step)
        codes = clip_labels(t[part], k).astype(np.int64) * (k + 1) + clip_labels(p[part], k).astype(np.int64)
        counts += np.bincount(codes, minlength=counts.size)
    return np.reshape(counts, (k + 1, k + 1))


@dataclass(frozen=True, slots=True)
class SegmentationScores:
    """What one confusion matrix says under one set of conventions."""

    iou: Floats  # (K,) n_kk / (t_k + p_k − n_kk); absent classes by convention
    accuracy: Floats  # (K,) recall n_kk / t_k; NaN where the class is only predicted
    precision: Floats  # (K,) n_kk / p_k; NaN where the class is never predicted
    dice: Floats  # (K,) 2 n_kk / (t_k + p_k)
    true_positive: Counts  # (K,) n_kk, pixels
    target_pixels: Counts  # (K,) t_k, pixels
    predicted_pixels: Counts  # (K,) p_k, pixels
    union: Counts  # (K,) t_k + p_k − n_kk, pixels
    counted: npt.NDArray[np.bool_]  # (K,) class enters the mean IoU and the mean Dice
    counted_accuracy: npt.NDArray[np.bool_]  # (K,) class enters the mean accuracy
    pixel_accuracy: float  # Σ n_kk / Σ t_k over all counted pixels, whatever class is excluded
    mean_accuracy: float  # mean of accuracy over counted_accuracy
    mean_iou: float  # mean of iou over counted
    frequency_weighted_iou: float  # Σ t_k iou_k / Σ t_k over the classes that are not excluded
    mean_dice: float  # mean of dice over counted
    micro_iou: float  # Σ n_kk / Σ union_k over the classes that are not excluded


def segmentation_scores(
    confusion: npt.NDArray[Any] | Sequence[Sequence[int]],
    *,
    absent: Absent = "exclude",
    predicted_only: PredictedOnly = "zero",
    excluded_classes: Sequence[int] = (),
) -> SegmentationScores:
    """Every score of a confusion matrix, under stated conventions; the defaults are those of mmsegmentation and HF
    evaluate.

    Convention: 0/0 has no value. A class absent from target and prediction is left out of the means (NaN), or set to
    0 or 1. A class that is only predicted has IoU 0 and counts, or is left out; its recall is 0/0 either way. An
    *excluded* class is left out of the means over classes, but pixels of other classes predicted as it stay wrong;
    ignored pixels, in contrast, never reached the matrix.

    Args:
        confusion: (K, K) or (K, K + 1) counts, rows target, columns prediction; a last column holds predictions out
            of range.
        absent: value of a class in neither map: "exclude" (NaN), "zero" or "one".
        predicted_only: a class in the prediction only: "zero" counts its IoU of 0, "exclude" leaves it out of mean
            IoU and mean Dice.
        excluded_classes: classes to leave out of every mean over classes.

    Returns:
        All scores; NaN where nothing was counted.

    Raises:
        TypeError: if the matrix does not hold integers.
        ValueError: if its shape is wrong, a count is negative, or an option is unknown.

    Source: arXiv:1411.4038 §5; mmsegmentation 1.2.2 mmseg/evaluation/metrics/iou_metric.py, total_area_to_metrics.
    Differs: no F-beta, no NaN replacement.

    >>> scores = segmentation_scores([[2, 1, 0], [1, 3, 0], [0, 0, 0]])
    >>> print(scores.iou, round(scores.mean_iou, 4), round(scores.pixel_accuracy, 4))
    [0.5 0.6 nan] 0.55 0.7143
    """
    n = checked_matrix(confusion)
    k = n.shape[0]
    for value, allowed, name in (
        (absent, ("exclude", "zero", "one"), "absent"),
        (predicted_only, ("zero", "exclude"), "predicted_only"),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    if wrong := [c for c in excluded_classes if not 0 <= c < k]:
        raise ValueError(f"excluded_classes must lie in 0..{k - 1}, got {wrong}")

    tp = n[np.arange(k), np.arange(k)]
    t, p = n.sum(axis=1), n[:, :k].sum(axis=0)
    union = t + p - tp
    gone = {"exclude": np.nan, "zero": 0.0, "one": 1.0}[absent]
    included = np.ones(k, np.bool_)
    included[list(excluded_classes)] = False
    counted = included & ((union > 0) | (absent != "exclude"))
    if predicted_only == "exclude":
        counted &= (t > 0) | (p == 0)

    iou, dice = _ratio(tp, union), _ratio(2 * tp, t + p)
    accuracy, precision = _ratio(tp, t), _ratio(tp, p)
    for score in (iou, dice, accuracy, precision):
        score[union == 0] = gone
    counted_accuracy = included & ~np.isnan(accuracy)
    return SegmentationScores(
        iou=iou,
        accuracy=accuracy,
        precision=precision,
        dice=dice,
        true_positive=tp,
        target_pixels=t,
        predicted_pixels=p,
        union=union,
        counted=counted,
        counted_accuracy=counted_accuracy,
        pixel_accuracy=_share(tp.sum(), t.sum()),
        mean_accuracy=_mean(accuracy[counted_accuracy]),
        mean_iou=_mean(iou[counted]),
        frequency_weighted_iou=_share((t * iou)[included & (t > 0)].sum(), t[included].sum()),
        mean_dice=_mean(dice[counted]),
        micro_iou=_share(tp[included].sum(), union[included].sum()),
    )


def checked_matrix(confusion: npt.NDArray[Any] | Sequence[Sequence[int]], *, name: str = "confusion") -> Counts:
    """A confusion matrix as (K, K) or (K, K + 1) int64, never the caller's own array.

    Args:
        confusion: counts, rows target, columns prediction; a last column holds predictions out of range.
        name: what to call it in an error.

    Raises:
        TypeError: if it does not hold integers.
        ValueError: if its shape is wrong or a count is negative.

    Source: own.
    Differs: nothing left out.

    >>> print(checked_matrix([[2, 1], [0, 3]]).sum())
    6
    """
    n = np.asarray(confusion)
    if n.ndim != 2 or not 1 <= n.shape[0] <= n.shape[1] <= n.shape[0] + 1:
        raise ValueError(f"{name} must be (K, K) or (K, K + 1), got shape {n.shape}")
    n = as_labels(n, name=name).astype(np.int64)
    if n.min() < 0:
        raise ValueError(f"{name} must hold counts, got the negative {n.min()}")
    return n


def _ratio(part: Counts, whole: Counts) -> Floats:
    """part / whole, NaN for 0 / 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else float("nan")


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")


@dataclass(frozen=True, slots=True)
class BackgroundCollapse:
    """Scores of a model that calls every pixel background, with two classes and background share b."""

    background_share: Floats  # (...) b, share of target pixels that are background
    pixel_accuracy: Floats  # (...) b
    mean_accuracy: Floats  # (...) 1/2
    mean_iou: Floats  # (...) b / 2
    frequency_weighted_iou: Floats  # (...) b²


def background_collapse(background_share: float | Sequence[float] | npt.NDArray[Any]) -> BackgroundCollapse:
    """What predicting background everywhere scores, in closed form: the better the accuracy looks, the less it says.

    Convention: the default of `segmentation_scores`. At the ends one class has no target pixels and the closed forms
    do not
    hold: without foreground (b = 1) it is absent from both maps and left out, so that every score is 1; without
    background (b = 0) it is predicted only, and every score is 0.

    Args:
        background_share: b in [0, 1], any shape.

    Raises:
        ValueError: if a share lies outside [0, 1].

    Source: own; t = (b, 1 − b), p = (1, 0), n_00 = b put into the definitions of arXiv:1411.4038 §5.
    Differs: two classes only.

    >>> scores = background_collapse([0.5, 0.95])
    >>> print(scores.pixel_accuracy, scores.mean_accuracy, scores.mean_iou, scores.frequency_weighted_iou)
    [0.5  0.95] [0.5 0.5] [0.25  0.475] [0.25   0.9025]
    """
    b: Floats = np.asarray(background_share, np.float64)
    if not bool(np.all((b >= 0) & (b <= 1))):
        raise ValueError(f"background_share must lie in [0, 1], got {background_share}")
    inside = (b > 0) & (b < 1)
    return BackgroundCollapse(
        background_share=b,
        pixel_accuracy=b,
        mean_accuracy=np.where(inside, 0.5, b),
        mean_iou=np.where(inside, b / 2, b),
        frequency_weighted_iou=b**2,
    )


@dataclass(frozen=True, slots=True)
class BackgroundOnly:
    """The prediction that calls every pixel background, and the share of pixels it gets right."""

    prediction: npt.NDArray[np.uint8]  # shape of the target, all 0
    background_share: float  # counted target pixels of class 0 / counted target pixels; NaN if none is counted


def all_background(target: Labels, *, ignore_index: int | None = None) -> BackgroundOnly:
    """Predict class 0 everywhere.

    Convention: class 0 is the background; ignored pixels do not enter the share.

    Args:
        target: any shape, integer.
        ignore_index: target label to leave out of the share, or None.

    Raises:
        TypeError: if the target does not hold integers.

    Source: own.
    Differs: nothing left out.

    >>> print(all_background(np.array([[0, 0, 1, 255]]), ignore_index=255).background_share)
    0.6666666666666666
    """
    t = as_labels(target, name="target")
    counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
    share = _share(np.count_nonzero((t == 0) & counted), np.count_nonzero(counted))
    return BackgroundOnly(np.zeros(t.shape, np.uint8), share)
