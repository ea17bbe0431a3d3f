"""The other way to train and read a detector: every box near an object is told to find it, and duplicates are removed afterwards.

Source: Ren et al., "Faster R-CNN", arXiv:1506.01497, §3.1.2; torchvision models/detection/_utils.py (Matcher),
rpn.py and roi_heads.py for the thresholds; ops/boxes.py (batched_nms).
Notation: Q boxes (anchors or proposals), G objects; t thresholds of IoU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.perception.assignment import Flags, Ints
from core.perception.boxes import Array, Floats, as_floats, box_iou


@dataclass(frozen=True, slots=True)
class ProposalAssignment:
    """What each box is told to be."""

    iou: Floats  # (Q, G)
    best_target: Ints  # (Q,) object of largest IoU; −1 without objects
    best_iou: Floats  # (Q,) that IoU; 0 without objects
    target: Ints  # (Q,) object that the box is told to find; −1 background, −2 left out of the loss
    promoted: Flags  # (Q,) told so only because no other box lies nearer to some object
    positives: Ints  # (G,) boxes told to find each object


@dataclass(frozen=True, slots=True)
class NmsStep:
    """Suppression after one box was kept."""

    kept: int  # box kept in this step; −1 at the start
    removed: Ints  # boxes that it removes
    keep: Ints  # boxes kept so far, best first
    waiting: Flags  # (D,) neither kept nor removed yet
    removed_by: Ints  # (D,) the kept box that removed it; −1


def assign_proposals(
    boxes_xyxy: Array,
    target_boxes_xyxy: Array,
    *,
    positive: float = 0.5,
    negative: float = 0.5,
    allow_low_quality: bool = False,
) -> ProposalAssignment:
    """Tell every box which object to find, by IoU alone.

    Convention: IoU ≥ `positive` finds its best object, IoU < `negative` is background, between them the box is left out.
    The head of Faster R-CNN uses 0.5 and 0.5; its region proposals 0.7 and 0.3 with `allow_low_quality`, which promotes,
    for every object, *all* boxes that reach that object's largest IoU, to their own best object. Of equal objects the
    first. Without objects all is background, where the reference raises.

    Args:
        boxes_xyxy: (Q, 4), any unit.
        target_boxes_xyxy: (G, 4), the same unit.
        positive, negative: thresholds in [0, 1], negative ≤ positive.
        allow_low_quality: as above.

    Raises:
        TypeError, ValueError: as `box_iou`; ValueError if the thresholds are out of order.

    Source: torchvision models/detection/_utils.py, Matcher.
    Differs: no sampling of 256 or 512 boxes.

    >>> made = assign_proposals([[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]], [[0, 0, 10, 10]])
    >>> print(made.target, made.positives)
    [ 0  0 -1] [2]
    """
    if not 0 <= negative <= positive <= 1:
        raise ValueError(f"needs 0 <= negative <= positive <= 1, got {negative} and {positive}")
    iou = box_iou(boxes_xyxy, target_boxes_xyxy)
    count, objects = iou.shape
    if not objects:
        nothing = np.full(count, -1, np.int64)
        none = np.zeros(count, np.bool_)
        return ProposalAssignment(iou, nothing, np.zeros(count), nothing.copy(), none, np.zeros(0, np.int64))
    best = iou.argmax(axis=1)
    best_iou = iou.max(axis=1)
    target = np.where(best_iou >= positive, best, np.where(best_iou < negative, -1, -2))
    promoted = np.zeros(count, np.bool_)
    if allow_low_quality and count:
        nearest = (iou == iou.max(axis=0)).any(axis=1)
        promoted = nearest & (target < 0)
        target = np.where(nearest, best, target)
    return ProposalAssignment(
        iou, best, best_iou, target, promoted, np.bincount(target[target >= 0], minlength=objects).astype(np.int64)
    )


def nms(boxes_xyxy: Array, scores: Array, labels: Array, *, threshold: float = 0.5) -> Ints:
    """Indices of the boxes that non-maximum suppression keeps, best first.

    Convention: as `nms_steps`.

    Args:
        boxes_xyxy, scores, labels, threshold: as `nms_steps`.

    Raises:
        TypeError, ValueError: as `nms_steps`.

    Source: torchvision ops/boxes.py, batched_nms.
    Differs: nothing left out.

    >>> print(nms([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9]], [0.8, 0.9, 0.7], [0, 0, 1]))
    [1 2]
    """
    *_, last = nms_steps(boxes_xyxy, scores, labels, threshold=threshold)
    return last.keep


def nms_steps(boxes_xyxy: Array, scores: Array, labels: Array, *, threshold: float = 0.5) -> Iterator[NmsStep]:
    """Keep the best box, remove every box of its class that overlaps it by more than `threshold`, and so on.

    Convention: an IoU of exactly `threshold` survives; classes do not touch each other; equal scores in the given order.

    Args:
        boxes_xyxy: (D, 4), any unit.
        scores: (D,).
        labels: (D,) class of each box.
        threshold: of IoU, in [0, 1].

    Raises:
        TypeError, ValueError: as `box_iou`; ValueError at the call if shapes disagree, a score is NaN, or the threshold is
            out of range.

    Source: torchvision ops/boxes.py, batched_nms.
    Differs: nothing left out.

    >>> *_, last = nms_steps([[0, 0, 10, 10], [0, 0, 10, 9]], [0.8, 0.9], [0, 0])
    >>> print(last.keep, last.removed_by)
    [1] [ 1 -1]
    """
    iou = box_iou(boxes_xyxy, boxes_xyxy)
    values, classes = as_floats(scores, name="scores"), as_floats(labels, name="labels")
    if values.shape != (len(iou),) or classes.shape != (len(iou),):
        raise ValueError(f"scores and labels must have shape ({len(iou)},), got {values.shape} and {classes.shape}")
    if np.isnan(values).any() or not 0 <= threshold <= 1:
        raise ValueError(f"scores must be numbers and threshold lie in 0..1, got {values.tolist()}, {threshold}")
    return _steps((iou > threshold) & (classes[:, None] == classes), values)


def _steps(rivals: npt.NDArray[Any], scores: Floats) -> Iterator[NmsStep]:
    waiting, removed_by = np.ones(len(scores), np.bool_), np.full(len(scores), -1, np.int64)
    keep: list[int] = []
    yield NmsStep(-1, np.zeros(0, np.int64), np.zeros(0, np.int64), waiting.copy(), removed_by.copy())
    for best in np.argsort(-scores, kind="stable").tolist():
        if not waiting[best]:
            continue
        keep.append(best)
        waiting[best] = False
        removed = np.flatnonzero(rivals[best] & waiting)
        waiting[removed] = False
        removed_by[removed] = best
        yield NmsStep(best, removed, np.array(keep, np.int64), waiting.copy(), removed_by.copy())
