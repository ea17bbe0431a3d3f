"""Panoptic quality: segments matched one to one, scored by how many match and how well.

Source: Kirillov et al., "Panoptic segmentation", arXiv:1801.00868, §4.
Notation: a segment is the set of pixels with one id; id 0 is void. TP matched pairs, FP unmatched predictions, FN
unmatched targets; PQ = Σ IoU / (TP + FP/2 + FN/2), SQ = Σ IoU / TP, RQ = TP / (TP + FP/2 + FN/2), PQ = SQ · RQ for
each class.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, as_labels, check_num_classes, image_pair, refuse_labels


@dataclass(frozen=True, slots=True)
class SegmentMatch:
    """A target segment and the predicted segment that found it."""

    target_id: int
    prediction_id: int
    class_id: int  # class of both
    iou: float  # above 1/2, so that no segment can have two matches


@dataclass(frozen=True, slots=True)
class ClassQuality:
    """PQ of one class."""

    class_id: int
    iou_sum: float  # Σ IoU of the matched pairs
    true_positives: int  # matched pairs
    false_positives: int  # predicted segments without a match, not forgiven
    false_negatives: int  # target segments without a match, crowds aside
    pq: float  # iou_sum / (TP + FP/2 + FN/2); NaN with nothing to count
    sq: float  # iou_sum / TP; 0 without a match, NaN with nothing to count
    rq: float  # TP / (TP + FP/2 + FN/2), the F1 of the segments; NaN with nothing to count


@dataclass(frozen=True, slots=True)
class PanopticQuality:
    """PQ of one image, on average and per class."""

    pq: float  # mean over the classes with something to count; NaN without any
    sq: float  # the same for SQ
    rq: float  # the same for RQ; of means, pq is not sq · rq
    per_class: tuple[ClassQuality, ...]  # (C,) every class that has a segment, ascending
    matches: tuple[SegmentMatch, ...]  # by target id
    unmatched_predictions: tuple[int, ...]  # ids counted as false positives
    unmatched_targets: tuple[int, ...]  # ids counted as false negatives
    forgiven_predictions: tuple[int, ...]  # ids without a match that lie mostly on void or on a crowd of their class


def panoptic_quality(
    prediction_ids: Labels,
    prediction_classes: Mapping[int, int],
    target_ids: Labels,
    target_classes: Mapping[int, int],
    *,
    crowd_ids: Collection[int] = (),
    excluded_classes: Collection[int] = (),
) -> PanopticQuality:
    """Match segments of one class with IoU > 1/2 and score them.

    Convention: the bound is strict. Predicted pixels on target void leave the union. A prediction without a match is
    forgiven when more than half of it lies on target void or on crowds of its class. Crowds are never matched nor
    missed. A class with neither TP, FP nor FN stays out of the means. An excluded class does too, but unlike void its
    pixels stay in every union, and what is predicted on them is not forgiven.

    Args:
        prediction_ids, target_ids: (H, W) integer segment ids; 0 is void.
        prediction_classes, target_classes: class of every id but 0; an id without pixels does not exist.
        crowd_ids: ids of target segments that stand for many objects at once.
        excluded_classes: classes to leave out of the means, a background for example.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if the shapes differ, are not (H, W), an id has no class, id 0 has one, or a crowd id has no class.

    Source: arXiv:1801.00868 eq. 1; panopticapi/evaluation.py, pq_compute_single_core.
    Differs: one image at a time; the official code remembers only the last crowd of each class, this one all of them.

    >>> target, prediction = np.array([[1, 1, 1, 2, 2, 0]]), np.array([[7, 7, 8, 8, 8, 7]])
    >>> quality = panoptic_quality(prediction, {7: 0, 8: 1}, target, {1: 0, 2: 1})
    >>> print([round(m.iou, 4) for m in quality.matches], round(quality.pq, 4))
    [0.6667, 0.6667] 0.6667
    """
    p, t = image_pair(prediction_ids, target_ids)
    p_area = _areas(p, prediction_classes, name="prediction")
    t_area = _areas(t, target_classes, name="target")
    if unknown := sorted(set(crowd_ids) - set(target_classes)):
        raise ValueError(f"crowd_ids must be among target_classes, got {unknown}")
    crowds = set(crowd_ids)
    shared = _intersections(p, t)

    matches: list[SegmentMatch] = []
    on_void: dict[int, int] = defaultdict(int)  # pixels of a prediction on target void
    on_crowd: dict[int, int] = defaultdict(int)  # ... on crowds of its own class
    for (t_id, p_id), pixels in shared.items():
        if t_id == 0:
            on_void[p_id] = pixels
        elif p_id and t_id in crowds and prediction_classes[p_id] == target_classes[t_id]:
            on_crowd[p_id] += pixels
    for (t_id, p_id), pixels in sorted(shared.items()):
        if t_id == 0 or p_id == 0 or t_id in crowds or prediction_classes[p_id] != target_classes[t_id]:
            continue
        iou = pixels / (t_area[t_id] + p_area[p_id] - pixels - on_void[p_id])
        if iou > 0.5:
            matches.append(SegmentMatch(t_id, p_id, target_classes[t_id], iou))

    found, used = {m.target_id for m in matches}, {m.prediction_id for m in matches}
    missed = tuple(i for i in sorted(t_area) if i not in found and i not in crowds)
    rest = [i for i in sorted(p_area) if i not in used]
    forgiven = tuple(i for i in rest if (on_void[i] + on_crowd[i]) / p_area[i] > 0.5)
    wrong = tuple(i for i in rest if i not in forgiven)

    classes = sorted({prediction_classes[i] for i in p_area} | {target_classes[i] for i in t_area})
    per_class = tuple(
        _class_quality(
            c,
            [m.iou for m in matches if m.class_id == c],
            fp=sum(prediction_classes[i] == c for i in wrong),
            fn=sum(target_classes[i] == c for i in missed),
        )
        for c in classes
    )
    counted = [q for q in per_class if not math.isnan(q.pq) and q.class_id not in excluded_classes]
    pq, sq, rq = (
        sum(values) / len(counted) if counted else math.nan
        for values in ([q.pq for q in counted], [q.sq for q in counted], [q.rq for q in counted])
    )
    return PanopticQuality(pq, sq, rq, per_class, tuple(matches), wrong, missed, forgiven)


def _class_quality(class_id: int, ious: list[float], *, fp: int, fn: int) -> ClassQuality:
    tp, iou_sum = len(ious), sum(ious)
    weight = tp + fp / 2 + fn / 2
    if not weight:
        return ClassQuality(class_id, 0.0, 0, 0, 0, math.nan, math.nan, math.nan)
    return ClassQuality(class_id, iou_sum, tp, fp, fn, iou_sum / weight, iou_sum / tp if tp else 0.0, tp / weight)


def _areas(ids: npt.NDArray[np.integer], classes: Mapping[int, int], *, name: str) -> dict[int, int]:
    """Pixels of every id but 0."""
    values, pixels = np.unique(ids, return_counts=True)
    area = {int(i): int(n) for i, n in zip(values, pixels, strict=True) if i}
    if 0 in classes:
        raise ValueError(f"{name}_classes must not name id 0, which is void")
    if missing := [i for i in area if i not in classes]:
        raise ValueError(f"{name}_classes must name the class of every id in {name}_ids, got none for {missing[:5]}")
    return area


def _intersections(p: npt.NDArray[np.integer], t: npt.NDArray[np.integer]) -> dict[tuple[int, int], int]:
    """Shared pixels of every (target id, prediction id) that touch."""
    t_ids, t_rank = np.unique(t, return_inverse=True)
    p_ids, p_rank = np.unique(p, return_inverse=True)
    codes, pixels = np.unique(t_rank.ravel() * p_ids.size + p_rank.ravel(), return_counts=True)
    return {
        (int(t_ids[code // p_ids.size]), int(p_ids[code % p_ids.size])): n
        for code, n in zip(codes.tolist(), pixels.tolist(), strict=True)
    }


def connected_instances(
    labels: Labels,
    *,
    num_classes: int,
    ignore_index: int | None = None,
    void_classes: Sequence[int] = (),
    stuff_classes: Sequence[int] = (),
) -> tuple[npt.NDArray[np.int32], dict[int, int]]:
    """Make every 8-connected patch of a class a segment.

    Convention: ids count from 1, class by class, then row by row; ignored pixels and void classes are id 0. Void is
    forgiven when it is predicted on: a background that a model can get wrong is stuff, not void.

    Args:
        labels: (H, W) integer label map.
        num_classes: K.
        ignore_index: label that becomes void, or None.
        void_classes: classes that become void.
        stuff_classes: classes that are one segment, however many patches they have.

    Returns:
        (H, W) int32 ids, and the class of every id.

    Raises:
        TypeError: if the map does not hold integers.
        ValueError: if it is not (H, W) or a label is out of range.

    Source: own; OpenCV's connectedComponents.
    Differs: touching objects of one class become one segment: a label map cannot tell them apart.

    >>> ids, classes = connected_instances(np.array([[0, 1, 0, 1]]), num_classes=2)
    >>> print(ids, classes)
    [[1 3 2 4]] {1: 0, 2: 0, 3: 1, 4: 1}
    """
    k = check_num_classes(num_classes)
    values = as_labels(labels, name="labels")
    if values.ndim != 2:
        raise ValueError(f"labels must be an (H, W) map, got shape {values.shape}")
    refuse_labels(
        values, name="labels", num_classes=k, ignore_index=ignore_index, valid=np.ones(values.shape, np.bool_)
    )
    ids, classes = np.zeros(values.shape, np.int32), dict[int, int]()
    void = {*void_classes, *(() if ignore_index is None else (ignore_index,))}
    for c in (int(v) for v in np.unique(values) if int(v) not in void):
        here = (values == c).astype(np.uint8)
        patch = np.asarray(here, np.int32)
        if c not in stuff_classes:
            patch = np.asarray(cv2.connectedComponents(here, connectivity=8)[1], np.int32)
        inside = patch > 0
        ids[inside] = patch[inside] + len(classes)
        for _ in range(int(patch.max())):
            classes[len(classes) + 1] = c
    return ids, classes


def decode_instance_ids(
    ids: Labels, *, divisor: int = 1000, ignore_index: int | None = None, background: bool = False
) -> tuple[npt.NDArray[np.int64], dict[int, int]]:
    """Read a Cityscapes-style map, in which class · divisor + instance is an object and a value below the divisor a
    whole class.

    Convention: 0, `ignore_index` and negative values are void; with `background`, 0 is a segment of class 0 instead.

    Args:
        ids: (H, W) integer map.
        divisor: 1000 for Cityscapes' instanceIds.
        ignore_index: a value that becomes void, or None.
        background: make 0 a segment, whose id is the first free one.

    Returns:
        (H, W) int64 ids, and the class of every id.

    Raises:
        TypeError: if the map does not hold integers.
        ValueError: if it is not (H, W) or the divisor is not positive.

    Source: cityscapesScripts, helpers and evaluation of instance-level labels.
    Differs: a class without instances counts as one segment, as in panoptic evaluation, not as a group to ignore.

    >>> print(decode_instance_ids(np.array([[0, 7, 26001, 26002]])))
    (array([[    0,     7, 26001, 26002]]), {7: 7, 26001: 26, 26002: 26})
    """
    if divisor < 1:
        raise ValueError(f"divisor must be positive, got {divisor}")
    values = as_labels(ids, name="ids").astype(np.int64)
    if values.ndim != 2:
        raise ValueError(f"ids must be an (H, W) map, got shape {values.shape}")
    void = values < 0
    if ignore_index is not None:
        void |= values == ignore_index
    nothing = (values == 0) & ~void
    values[void] = 0
    classes = {int(v): int(v) if v < divisor else int(v) // divisor for v in np.unique(values) if v}
    if background and nothing.any():
        first_free = max(classes, default=0) + 1
        values[nothing], classes[first_free] = first_free, 0
    return values, classes


def classes_of_ids(ids: Labels, *, divisor: int = 1000) -> npt.NDArray[np.int64]:
    """The class map that an instance map holds: id // divisor for objects, the value itself below the divisor.

    Args:
        ids: integer map of any shape, as `decode_instance_ids` reads it; negative values stay.
        divisor: 1000 for Cityscapes' instanceIds.

    Raises:
        TypeError: if the map does not hold integers.
        ValueError: if the divisor is not positive.

    Source: cityscapesScripts, instanceIds.
    Differs: nothing left out.

    >>> print(classes_of_ids(np.array([0, 7, 26001, 26002, -1])))
    [ 0  7 26 26 -1]
    """
    if divisor < 1:
        raise ValueError(f"divisor must be positive, got {divisor}")
    values = as_labels(ids, name="ids").astype(np.int64)
    return np.where(values < divisor, values, values // divisor)
