"""What detectors do without set prediction: many predictions may answer for one object, and duplicates are thrown out.

Source: Ren et al., "Faster R-CNN", arXiv:1506.01497, §3.1.2; torchvision models/detection/_utils.py (Matcher),
rpn.py and roi_heads.py for the thresholds; Girshick et al., arXiv:1311.2524, for non-maximum suppression by class.
Notation: N candidate boxes (anchors, proposals or any predictions), G targets; IoU as in `core.perception.boxes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.perception.assignment import Flags, Ints
from core.perception.boxes import Array, Floats, as_boxes, as_floats, box_iou

BACKGROUND, BETWEEN = -1, -2  # in place of a target's index


@dataclass(frozen=True, slots=True)
class AnchorAssignment:
    """Which target each box answers for in training."""

    iou: Floats  # (N, G)
    best_iou: Floats  # (N,) with the nearest target; 0 without targets
    target_idx: Ints  # (N,) target, −1 for background, −2 for boxes between the thresholds, which do not count
    rescued: Flags  # (N,) below the foreground threshold, but the best box of some target
    positives: Ints  # (G,) boxes that answer for each target: DETR has exactly one


@dataclass(frozen=True, slots=True)
class SuppressionStep:
    """The next box in falling order of score."""

    box: int  # index of the box; −1 at the start
    keeper: int  # the kept box that suppresses it; −1 if it is kept itself, or at the start
    iou: float  # with the keeper, or the largest with any kept box of its class; 0 with none
    kept: Ints  # (k,) kept so far, in the order in which they were kept
    suppressed_by: Ints  # (N,) keeper of each suppressed box, −1 for all others
    seen: Flags  # (N,) boxes that had their turn


@dataclass(frozen=True, slots=True)
class Suppression:
    """Result of non-maximum suppression."""

    kept: Ints  # (k,) in falling order of score
    suppressed_by: Ints  # (N,) keeper of each suppressed box; −1 for kept ones and for those below the score threshold
    below_score: Flags  # (N,) never looked at


def anchor_assignment(
    boxes_xyxy: Array,
    target_boxes_xyxy: Array,
    *,
    foreground_iou: float = 0.5,
    background_iou: float = 0.5,
    allow_low_quality: bool = False,
) -> AnchorAssignment:
    """Give each box the target with which it overlaps most, if the overlap is large enough.

    Convention: IoU ≥ foreground_iou is that target's, below background_iou is background, between does not count. 0.5,
    0.5, no rescue: Faster R-CNN's second stage; 0.7, 0.3 with rescue: its region proposals. With rescue, every box that
    ties for the best of any target goes to the target with which *it* overlaps most. The first of equal targets wins.

    Args:
        boxes_xyxy: (N, 4), any unit.
        target_boxes_xyxy: (G, 4), the same unit; none is legal.
        foreground_iou, background_iou: 0 ≤ background ≤ foreground ≤ 1.
        allow_low_quality: the rescue.

    Raises:
        ValueError: if the thresholds are out of order, or as `box_iou`.

    Source: torchvision models/detection/_utils.py, Matcher; arXiv:1506.01497 §3.1.2.
    Differs: no sampling of 256 or 512 boxes; a target that no box touches rescues nobody, where the reference would
        take every box at IoU 0; without targets all is background, where the reference raises.

    >>> found = anchor_assignment([[0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 4, 4]], [[0, 0, 10, 10]])
    >>> print(found.target_idx, found.positives)
    [ 0  0 -1] [2]
    """
    if not 0 <= background_iou <= foreground_iou <= 1:
        raise ValueError(f"needs 0 <= background_iou <= foreground_iou <= 1, got {background_iou}, {foreground_iou}")
    iou = box_iou(boxes_xyxy, target_boxes_xyxy)  # (N, G)
    count, goals = len(iou), iou.shape[-1]
    if not goals:
        return AnchorAssignment(
            iou,
            np.zeros(count),
            np.full(count, BACKGROUND, np.int64),
            np.zeros(count, np.bool_),
            np.zeros(0, np.int64),
        )
    nearest: Ints = np.argmax(iou, axis=1)
    best: Floats = np.max(iou, axis=1)
    target_idx = np.where(best >= foreground_iou, nearest, np.where(best < background_iou, BACKGROUND, BETWEEN))
    rescued = np.zeros(count, np.bool_)
    if allow_low_quality and count:
        of_target = iou.max(axis=0)
        rescued = ((iou == of_target) & (of_target > 0)).any(axis=1) & (best < foreground_iou)
        target_idx = np.where(rescued, nearest, target_idx)
    positives = np.bincount(target_idx[target_idx >= 0], minlength=goals)
    return AnchorAssignment(iou, best, target_idx, rescued, positives)


def suppression_steps(
    boxes_xyxy: Array,
    scores: Array,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    labels: Array | None = None,
) -> Iterator[SuppressionStep]:
    """Non-maximum suppression, one box at a time: the best box left is kept unless a kept one overlaps it too much.

    Convention: falling score, equal scores in the order given; suppressed if IoU > iou_threshold, strictly, with a kept
    box; boxes with a score of score_threshold or less have no turn. With labels only boxes of one class suppress each
    other, as detectors do it; without, all do. The keeper named is the earliest one that suppresses.

    Args:
        boxes_xyxy: (N, 4), any unit.
        scores: (N,).
        iou_threshold: in [0, 1].
        score_threshold: below every score by default 0.
        labels: (N,) classes, or None.

    Raises:
        ValueError: if lengths differ, a score is NaN or iou_threshold is out of range, at the call; or as `box_iou`.

    Source: torchvision ops/boxes.py, nms and batched_nms; roi_heads.py, postprocess_detections.
    Differs: nothing left out.

    >>> *_, last = suppression_steps([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], [0.8, 0.9, 0.3])
    >>> print(last.kept, last.suppressed_by)
    [1 2] [ 1 -1 -1]
    """
    boxes, points = as_boxes(boxes_xyxy, name="boxes_xyxy"), as_floats(scores, name="scores")
    classes = np.zeros(len(boxes)) if labels is None else as_floats(labels, name="labels")
    if points.shape != (len(boxes),) or classes.shape != (len(boxes),):
        raise ValueError(
            f"scores and labels must be one for each box, got {points.shape} and {classes.shape} for {len(boxes)} boxes"
        )
    if np.isnan(points).any():
        raise ValueError("scores must not be NaN")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must lie in [0, 1], got {iou_threshold}")
    iou = np.where(classes[:, None] == classes[None], box_iou(boxes, boxes), 0.0)  # (N, N)
    order = np.argsort(-points, kind="stable")
    return _suppression_steps(iou, order[points[order] > score_threshold], iou_threshold)


def _suppression_steps(iou: Floats, order: Ints, threshold: float) -> Iterator[SuppressionStep]:
    kept: list[int] = []
    suppressed_by, seen = np.full(len(iou), -1), np.zeros(len(iou), np.bool_)

    def step(box: int, keeper: int, overlap: float) -> SuppressionStep:
        return SuppressionStep(box, keeper, overlap, np.array(kept, np.int64), np.array(suppressed_by), np.array(seen))

    yield step(-1, -1, 0.0)
    for box in order.tolist():
        overlaps = iou[box, kept]
        over = np.flatnonzero(overlaps > threshold)
        keeper = kept[int(over[0])] if over.size else -1
        overlap = float(overlaps[over[0]]) if over.size else float(overlaps.max(initial=0.0))
        seen[box] = True
        if keeper < 0:
            kept.append(box)
        else:
            suppressed_by[box] = keeper
        yield step(box, keeper, overlap)


def non_maximum_suppression(
    boxes_xyxy: Array,
    scores: Array,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    labels: Array | None = None,
) -> Suppression:
    """Keep the best box of every heap of overlapping ones.

    Convention: as `suppression_steps`, whose last step this is. Faster R-CNN: iou_threshold 0.5, score_threshold 0.05.

    Args:
        boxes_xyxy, scores, iou_threshold, score_threshold, labels: as `suppression_steps`.

    Raises:
        ValueError: as `suppression_steps`.

    Source: torchvision ops/boxes.py.
    Differs: no limit on the number of detections.

    >>> print(non_maximum_suppression([[0, 0, 10, 10], [1, 0, 11, 10]], [0.8, 0.9], iou_threshold=0.9).kept)
    [1 0]
    """
    *_, last = suppression_steps(
        boxes_xyxy, scores, iou_threshold=iou_threshold, score_threshold=score_threshold, labels=labels
    )
    return Suppression(last.kept, last.suppressed_by, ~last.seen)
