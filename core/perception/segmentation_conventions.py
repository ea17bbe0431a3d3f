"""One pair of label maps, every library's mean IoU: what each of them really does with the cases that papers leave
open.

The rules were read in the versions named in each row and are re-implemented here in float64; the libraries
themselves, where they can be installed, are compared with these rows in the tests. Notation: K classes, N images, n,
t, p as in `segmentation_metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, check_num_classes, clip_labels, label_pair
from core.perception.segmentation_accumulation import accumulate_scores
from core.perception.segmentation_metrics import Counts, Floats, confusion_matrix, segmentation_scores

MMSEG, HF, TM_JACCARD, TM_MEAN_IOU, SKLEARN, SEMSEG, SMP, PRESENT = (
    "mmsegmentation IoUMetric",
    "HF evaluate mean_iou",
    "torchmetrics MulticlassJaccardIndex",
    "torchmetrics.segmentation MeanIoU",
    "scikit-learn jaccard_score",
    "semseg intersectionAndUnion",
    "segmentation-models-pytorch iou_score",
    "mean over target classes",
)


@dataclass(frozen=True, slots=True)
class AxisOption:
    """One answer to an open question, and who gives it."""

    value: str  # what to pass on, and text key
    libraries: tuple[str, ...]  # who does so by default


@dataclass(frozen=True, slots=True)
class Axis:
    """One question on which libraries differ."""

    key: str  # text key; for all but "ignored" also the name of the option in accumulate_scores
    options: tuple[AxisOption, ...]  # the first is our default


AXES: tuple[Axis, ...] = (
    Axis(
        "accumulation",
        (
            AxisOption("dataset", (MMSEG, HF, TM_JACCARD, SKLEARN, SEMSEG, f"{SMP} (macro, micro)")),
            AxisOption("per_image", ("torchmetrics.functional.segmentation mean_iou, averaged",)),
            AxisOption("per_image_and_class", (TM_MEAN_IOU, f"{SMP} (macro-imagewise)")),
            AxisOption("per_image_per_class", (f"{TM_MEAN_IOU} (per_class=True), averaged",)),
        ),
    ),
    Axis(
        "absent",
        (
            AxisOption("exclude", (MMSEG, HF, TM_JACCARD, TM_MEAN_IOU, f"{SKLEARN} (labels from the data)")),
            AxisOption("zero", (SEMSEG, f"{SKLEARN} (labels=range(K))")),
            AxisOption("one", (SMP,)),
        ),
    ),
    Axis(
        "predicted_only",
        (
            AxisOption("zero", (MMSEG, HF, TM_JACCARD, TM_MEAN_IOU, SKLEARN, SEMSEG, SMP)),
            AxisOption("exclude", (PRESENT,)),
        ),
    ),
    Axis(
        "ignored",  # a label one does not want to count: "drop" is ignore_index, "exclude" is excluded_classes
        (
            AxisOption("drop", (MMSEG, HF, SMP, f"{SKLEARN} (the caller drops)", f"{SEMSEG} (outside 0..K)")),
            AxisOption("exclude", ("torchmetrics.segmentation MeanIoU (include_background=False)",)),
            AxisOption("drop_and_exclude", (TM_JACCARD,)),
            AxisOption("count", (TM_MEAN_IOU,)),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class LibraryRow:
    """What one library answers."""

    name: str  # "mmseg_iou_metric", text key
    library: str  # "mmsegmentation", distribution or repository
    version: str  # the version whose rule this is
    mean_iou: float | None  # its answer; NaN where it answers NaN, None where it raises
    per_class: Floats | None  # (K,) its values per class; NaN where it has none; None where it raises or only pools
    average: str  # "macro", "micro" (pooled pixels) or "weighted" (by target pixels)
    accumulation: str  # see AXES
    absent: str  # see AXES; "pooled" where no class stands alone
    predicted_only: str  # see AXES; "pooled" where no class stands alone
    ignored: str  # "drop", "caller_drops", "drop_and_exclude", "count", "outside_only" or "relabel"
    errors: tuple[str, ...]  # why it raises, as text keys; empty where it answers
    note: str  # text key of what to know about this row


Images: TypeAlias = list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]
Answer: TypeAlias = tuple[float | None, Floats | None, tuple[str, ...]]


def library_table(
    predictions: Iterable[Labels], targets: Iterable[Labels], *, num_classes: int, ignore_index: int | None = None
) -> tuple[LibraryRow, ...]:
    """The mean IoU of one set of images according to each library.

    Convention: each library is called as its documentation asks, image by image, on integer labels, with this
    `ignore_index` where it has one; scikit-learn has none, so its caller drops the ignored pixels first. A row that
    raises carries a code instead.

    Args:
        predictions, targets: N label maps each; the two of an image have one shape.
        num_classes: K.
        ignore_index: target label to leave out, inside or outside 0..K-1, or None.

    Returns:
        One row per library and averaging mode, mmsegmentation first.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if there is no image, their numbers or shapes differ, or a target label is out of range: there every
            library errs in its own way.

    Source: the files named in each rule's comment.
    Differs: float64 where torchmetrics, mmsegmentation and segmentation-models-pytorch divide in float32.

    >>> target = np.array([[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 255, 0]])
    >>> prediction = np.array([[0, 1, 1, 1], [0, 3, 1, 0], [2, 2, 4, 3]])
    >>> for row in library_table([prediction], [target], num_classes=5, ignore_index=255):
    ...     print(row.name, "–" if row.mean_iou is None else round(row.mean_iou, 4))
    mmseg_iou_metric 0.5
    hf_mean_iou 0.5
    torchmetrics_jaccard_macro 0.5
    torchmetrics_jaccard_micro 0.5385
    torchmetrics_jaccard_weighted 0.6
    torchmetrics_mean_iou –
    sklearn_jaccard_auto 0.5
    sklearn_jaccard_labels 0.4
    semseg 0.4
    smp_macro 0.6
    smp_micro 0.5385
    smp_macro_imagewise 0.6
    target_present 0.6667
    """
    k = check_num_classes(num_classes)
    left, right = list[Any](predictions), list[Any](targets)
    if len(left) != len(right) or not left:
        raise ValueError(f"predictions and targets must hold the same images, got {len(left)} and {len(right)}")
    images = [label_pair(p, t) for p, t in zip(left, right, strict=True)]
    matrices = [
        confusion_matrix(p, t, num_classes=k, ignore_index=ignore_index, out_of_range="other") for p, t in images
    ]
    total = np.array(matrices).sum(axis=0)

    plain = segmentation_scores(total)  # metrics/mean_iou/mean_iou.py of evaluate: np.histogram per class, np.nanmean
    present = segmentation_scores(total, predicted_only="exclude")
    macro, micro, weighted = _torchmetrics_jaccard(images, matrices, k, ignore_index)
    smp_macro, smp_micro, smp_imagewise = _smp(images, matrices, k, ignore_index)
    tm, smp = ("torchmetrics", "1.9.0"), ("segmentation-models-pytorch", "0.6.0")
    sklearn, both = ("scikit-learn", "1.9.1"), "drop_and_exclude"
    pairs, own = "per_image_and_class", "caller_drops"
    return (
        _row("mmseg_iou_metric", ("mmsegmentation", "1.2.2"), _mmseg(total)),
        _row("hf_mean_iou", ("evaluate", "0.4.6"), (plain.mean_iou, plain.iou, ())),
        _row("torchmetrics_jaccard_macro", tm, macro, ignored=both),
        _row("torchmetrics_jaccard_micro", tm, micro, average="micro", ignored=both),
        _row("torchmetrics_jaccard_weighted", tm, weighted, average="weighted", ignored=both),
        _row(
            "torchmetrics_mean_iou",
            tm,
            _torchmetrics_mean_iou(images, matrices, k),
            accumulation=pairs,
            ignored="count",
        ),
        _row("sklearn_jaccard_auto", sklearn, _sklearn_auto(images, total, k, ignore_index), ignored=own),
        _row("sklearn_jaccard_labels", sklearn, _sklearn_labels(total), absent="zero", ignored=own),
        _row(
            "semseg",
            ("hszhao/semseg", "4f274c3"),
            _semseg(images, matrices, k, ignore_index),
            absent="zero",
            ignored="relabel",
        ),
        _row("smp_macro", smp, smp_macro, absent="one", ignored="outside_only"),
        _row("smp_micro", smp, smp_micro, average="micro", ignored="outside_only"),
        _row("smp_macro_imagewise", smp, smp_imagewise, accumulation=pairs, absent="one", ignored="outside_only"),
        _row(
            "target_present",
            ("", ""),
            (present.mean_iou, np.where(present.counted, present.iou, np.nan), ()),
            predicted_only="exclude",
        ),
    )


def _row(
    name: str,
    release: tuple[str, str],
    answer: Answer,
    *,
    average: str = "macro",
    accumulation: str = "dataset",
    absent: str = "exclude",
    predicted_only: str = "zero",
    ignored: str = "drop",
) -> LibraryRow:
    if average == "micro":  # pixels of all classes are pooled: no class is absent on its own
        absent = predicted_only = "pooled"
    mean_iou, per_class, errors = answer
    return LibraryRow(
        name=name,
        library=release[0],
        version=release[1],
        mean_iou=mean_iou,
        per_class=per_class,
        average=average,
        accumulation=accumulation,
        absent=absent,
        predicted_only=predicted_only,
        ignored=ignored,
        errors=errors,
        note=f"note_{name}",
    )


def _mmseg(total: Counts) -> Answer:
    """mmseg/evaluation/metrics/iou_metric.py: torch.histc per class, np.nanmean.

    With K = 1 the histogram's range is empty and histc takes the data's own: every pixel, whatever its label, is in
    the bin.
    """
    if len(total) > 1:
        scores = segmentation_scores(total)
        return scores.mean_iou, scores.iou, ()
    hits, pixels = int(total[0, 0]), int(total.sum())
    iou = hits / (2 * pixels - hits) if pixels else float("nan")
    return iou, np.array([iou]), ()


def _torchmetrics_jaccard(
    images: Images, matrices: list[Counts], k: int, ignore_index: int | None
) -> tuple[Answer, Answer, Answer]:
    """functional/classification/{confusion_matrix,jaccard}.py; macro, micro, weighted.

    Predictions out of range pass the check as long as there are few enough different labels, and code t · K + p then
    lands in some other class's cell, or past the last one, which raises.
    """
    if k == 1:
        single: Answer = (None, None, ("one_class",))  # "num_classes" must be larger than 1
        return single, single, single
    total = np.zeros((k, k), np.int64)
    for (p, t), n in zip(images, matrices, strict=True):
        stray = clip_labels(p, k) == k
        if not stray.any():
            total += n[:, :k]
            continue
        if np.unique(p).size > k + (ignore_index is not None):
            crowded: Answer = (None, None, ("too_many_labels",))
            return crowded, crowded, crowded
        kept = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
        codes = t[kept].astype(np.int64) * k + p[kept].astype(np.int64)
        if codes.size and (codes.min() < 0 or codes.max() >= k * k):
            strayed: Answer = (None, None, ("label_out_of_range",))
            return strayed, strayed, strayed
        total += np.reshape(np.bincount(codes, minlength=k * k), (k, k))
    excluded = [c for c in range(k) if c == ignore_index]
    scores = segmentation_scores(total, excluded_classes=excluded)
    per_class = np.nan_to_num(scores.iou, nan=0.0)  # average=None
    pooled = int(scores.union.sum() - scores.union[excluded].sum())
    micro = int(scores.true_positive.sum()) / pooled if pooled else 0.0  # hits of the ignored class stay in
    weighted = segmentation_scores(total).frequency_weighted_iou  # so does its weight; both 0 but for stray codes
    return (scores.mean_iou, per_class, ()), (micro, None, ()), (weighted, per_class, ())


def _torchmetrics_mean_iou(images: Images, matrices: list[Counts], k: int) -> Answer:
    """segmentation/mean_iou.py with input_format="index": one-hot first, so any label outside 0..K-1 raises; no
    ignore_index."""
    whole: list[Counts] = []
    for (p, t), n in zip(images, matrices, strict=True):
        if n[:, k:].any() or int(n.sum()) != t.size:  # a prediction out of range, or pixels that others ignore
            if any(labels.min(initial=0) < 0 or labels.max(initial=0) >= k for labels in (p, t)):
                return None, None, ("label_out_of_range",)
            n = confusion_matrix(p, t, num_classes=k)
        whole.append(n[:, :k])
    mean = accumulate_scores(whole, accumulation="per_image_and_class")
    return mean.mean_iou, mean.iou, ()


def _sklearn_auto(images: Images, total: Counts, k: int, ignore_index: int | None) -> Answer:
    """metrics/_classification.py: every label in either map is a class, one out of range too, with IoU 0."""
    if not total.sum():
        return None, None, ("no_pixels",)
    scores = segmentation_scores(total)
    strange: set[int] = set()
    for p, t in images:
        stray = clip_labels(p, k) == k
        if ignore_index is not None:
            stray &= t != ignore_index
        strange.update(int(v) for v in np.unique(p[stray]))
    found = int(np.count_nonzero(scores.counted))
    return float(scores.iou[scores.counted].sum()) / (found + len(strange)), scores.iou, ()


def _sklearn_labels(total: Counts) -> Answer:
    """The same with labels=range(K): a class in neither map is 0/0, set to 0 with a warning."""
    if not total.sum():
        return None, None, ("no_pixels",)
    scores = segmentation_scores(total, absent="zero")
    return scores.mean_iou, scores.iou, ()


def _semseg(images: Images, matrices: list[Counts], k: int, ignore_index: int | None) -> Answer:
    """util/util.py: ignored predictions are overwritten with the ignore label, which then equals the target.

    An ignore label inside 0..K-1 therefore counts as right; and np.histogram's last bin is closed, so that label K,
    as ignore label or as prediction, counts as class K - 1.
    """
    hits, predicted, true = (np.zeros(k, np.int64) for _ in range(3))
    for (p, t), n in zip(images, matrices, strict=True):
        hits += n[np.arange(k), np.arange(k)]
        predicted += n[:, :k].sum(axis=0)
        true += n.sum(axis=1)
        if n[:, k:].any():
            counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
            predicted[k - 1] += int(np.count_nonzero((p == k) & counted))
        if ignore_index is not None and 0 <= ignore_index <= k:
            for counts in (hits, predicted, true):
                counts[min(ignore_index, k - 1)] += t.size - int(n.sum())
    iou: Floats = hits / (predicted + true - hits + 1e-10)
    return float(iou.mean()), iou, ()


def _smp(images: Images, matrices: list[Counts], k: int, ignore_index: int | None) -> tuple[Answer, Answer, Answer]:
    """metrics/functional.py: get_stats(mode="multiclass"), iou_score(zero_division=1); macro, micro, macro-imagewise.

    With K = 1 the histogram's range is empty, histc takes the data's own, and every pixel, ignored or wrong, is a hit.
    """
    if ignore_index is not None and 0 <= ignore_index < k:
        refusal: Answer = (None, None, ("ignore_inside_classes",))
        return refusal, refusal, refusal
    if k == 1:
        matrices = [np.array([[t.size]], np.int64) for _, t in images]
    total = np.array(matrices).sum(axis=0)
    whole = segmentation_scores(total, absent="one")
    each = accumulate_scores(matrices, accumulation="per_image_and_class", absent="one")
    return (whole.mean_iou, whole.iou, ()), (whole.micro_iou, None, ()), (each.mean_iou, each.iou, ())
