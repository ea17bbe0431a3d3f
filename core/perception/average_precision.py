"""Average precision of a detector: how good its ranking is, at one IoU threshold.

Source: Everingham et al., "The Pascal visual object classes challenge", IJCV 2010, §4.2; Lin et al., "Microsoft COCO",
arXiv:1405.0312; cocodataset/cocoapi PythonAPI/pycocotools/cocoeval.py.
Notation: precision TP / (TP + FP), recall TP / targets, over the detections of one class with a score of at least s,
as s falls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.perception.assignment import Flags, Ints
from core.perception.boxes import Array, Floats, as_boxes, as_floats, box_iou
from core.perception.detr_matching import Detections


@dataclass(frozen=True, slots=True)
class ClassPrecision:
    """Ranking of one class's detections over all images, best first."""

    ap: float  # area under the interpolated precision; NaN if there is no target of this class
    scores: Floats  # (D,) falling
    hit: Flags  # (D,) whether the detection found a target that was still free
    precision: Floats  # (D,) after each detection
    recall: Floats  # (D,) after each detection; NaN without targets
    targets: int  # of this class, over all images


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """Mean over the classes that occur among the targets."""

    mean: float  # in [0, 1]; NaN if there is no target at all
    classes: tuple[ClassPrecision, ...]  # K


def average_precision(
    detections: Sequence[Detections],
    targets: Sequence[tuple[Array, Array]],
    *,
    num_classes: int,
    iou_threshold: float = 0.5,
    interpolation: Literal["coco", "area"] = "coco",
) -> AveragePrecision:
    """AP of many images at one IoU threshold; AP50 at 0.5.

    Convention: in falling order of score, each detection takes the free target of its class and image with the
    largest IoU, if that is at least the threshold; others are false. "coco": the mean of the interpolated precision at
    recalls 0, 0.01, … 1; "area": the exact area below it, as in VOC from 2010. Classes without targets are left out of the
    mean. Equal scores keep the order of images and detections.

    Args:
        detections: N, one for each image; boxes in px.
        targets: N pairs of labels (G,) in 0..K-1 and boxes (G, 4) xyxy px.
        num_classes: K.
        iou_threshold: in (0, 1].
        interpolation: which area.

    Raises:
        ValueError: if the lengths differ, a label is out of range or the threshold is, or as `box_iou`.

    Source: cocoeval.py, evaluateImg and accumulate; VOC devkit VOCevaldet.m.
    Differs: no crowd or difficult objects, no limit on detections, one threshold, all sizes.

    >>> found = Detections(np.array([0.9, 0.8]), np.array([0, 0]), np.array([[0, 0, 2, 2], [5, 5, 7, 7.0]]), np.arange(2))
    >>> result = average_precision([found], [([0, 0], [[0, 0, 2, 2], [8, 8, 9, 9]])], num_classes=1)
    >>> print(round(result.mean, 4), result.classes[0].hit)
    0.505 [ True False]
    """
    if len(detections) != len(targets):
        raise ValueError(f"detections and targets must be of as many images, got {len(detections)} and {len(targets)}")
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in (0, 1], got {iou_threshold}")
    truths = [_target(labels, boxes, num_classes) for labels, boxes in targets]
    classes: list[ClassPrecision] = []
    for c in range(num_classes):
        scores, hits = list[Floats](), list[Flags]()
        for found, (labels, boxes) in zip(detections, truths, strict=True):
            mine = found.labels == c
            scores.append(found.scores[mine])
            hits.append(_hits(found.scores[mine], found.boxes_xyxy[mine], boxes[labels == c], iou_threshold))
        count = sum(int((labels == c).sum()) for labels, _ in truths)
        classes.append(_ranked(np.concatenate([np.zeros(0), *scores]), hits, count, interpolation))
    present = [c.ap for c in classes if c.targets]
    return AveragePrecision(float(np.mean(present)) if present else float("nan"), tuple(classes))


def _target(labels: Array, boxes: Array, num_classes: int) -> tuple[Ints, Floats]:
    named, there = as_floats(labels, name="targets").astype(np.int64), as_boxes(boxes, name="targets")
    if named.shape != there.shape[:1]:
        raise ValueError(f"targets must have a label for each box, got {named.shape} and {there.shape}")
    if named.size and not (named.min() >= 0 and named.max() < num_classes):
        raise ValueError(f"targets must have labels in 0..{num_classes - 1}, got {named.tolist()}")
    return named, there


def _hits(scores: Floats, boxes: Floats, goals: Floats, threshold: float) -> Flags:
    """(D,) in the order given; detections choose in falling order of score."""
    hit = np.zeros(len(boxes), np.bool_)
    iou = box_iou(boxes, goals)  # (D, G)
    free = np.ones(len(goals), np.bool_)
    for d in np.argsort(-scores, kind="stable").tolist():
        best = int(np.argmax(np.where(free, iou[d], -1))) if free.any() else -1
        if best >= 0 and iou[d, best] >= threshold:
            hit[d], free[best] = True, False
    return hit


def _ranked(scores: Floats, hits: Sequence[Flags], count: int, interpolation: str) -> ClassPrecision:
    order = np.argsort(-scores, kind="stable")
    hit = np.concatenate([np.zeros(0, np.bool_), *hits])[order]
    found = np.cumsum(hit)
    precision = found / np.arange(1, hit.size + 1)
    recall = found / count if count else np.full(hit.size, np.nan)
    ap = float("nan")
    if count:
        # interpolated: the best precision at this recall or any higher one
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        if interpolation == "coco":
            ap = float(best[np.searchsorted(recall, np.linspace(0, 1, 101), side="left")].mean())
        else:
            ap = float((best[:-1] * np.diff(recall, prepend=0.0)).sum())
    return ClassPrecision(ap, scores[order], hit, precision, recall, count)
