"""How far a wrong pixel is from where its prediction would have been right.

Notation: H, W image size in px; depth is a Euclidean distance between pixel centres in px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, check_num_classes, image_pair, refuse_labels


@dataclass(frozen=True, slots=True)
class ErrorRegion:
    """A connected patch of wrong pixels that were all called the same class."""

    x: int  # column of the deepest pixel, px; the topmost then leftmost one if several are as deep
    y: int  # row of the deepest pixel, px
    depth: float  # its depth, px
    area: int  # pixels in the patch
    target_class: int  # what the deepest pixel is
    predicted_class: int  # what the whole patch was called; may lie outside 0..K-1


@dataclass(frozen=True, slots=True)
class WorstErrors:
    """Wrong pixels by their distance to the class they were taken for."""

    depth: npt.NDArray[np.float32]  # (H, W) px; 0 where right or ignored
    regions: tuple[ErrorRegion, ...]  # deepest first, then largest, then topmost


def worst_errors(
    prediction: Labels, target: Labels, *, num_classes: int, ignore_index: int | None = None, count: int = 10
) -> WorstErrors:
    """Find the errors that no border shift explains: those far from any pixel that really is the predicted class.

    Convention: the depth of a wrong pixel is the distance to the nearest target pixel of the class predicted there;
    where that class does not occur in the target (or is no class at all) it is the image's diagonal √(H² + W²), more
    than any distance. Patches are 8-connected wrong pixels with one predicted class.

    Args:
        prediction, target: (H, W) integer.
        num_classes: K.
        ignore_index: target label to leave out, or None; ignored pixels are neither wrong nor somewhere to go.
        count: most patches to return.

    Returns:
        The depth map and the worst patches.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if the shapes differ, are not (H, W), `count` is negative, or a target label is out of range.

    Source: own; the distance is OpenCV's distanceTransform with the exact mask.
    Differs: float32 distances.

    >>> target = np.array([[0, 0, 0, 0, 1]])
    >>> worst = worst_errors(np.array([[1, 0, 0, 1, 1]]), target, num_classes=2)
    >>> print(worst.depth, [(r.x, r.area) for r in worst.regions])
    [[4. 0. 0. 1. 0.]] [(0, 1), (3, 1)]
    """
    k = check_num_classes(num_classes)
    if count < 0:
        raise ValueError(f"count must not be negative, got {count}")
    p, t = image_pair(prediction, target)
    counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
    refuse_labels(t, name="target", num_classes=k, ignore_index=ignore_index, valid=counted)

    wrong = (p != t) & counted
    depth = np.zeros(t.shape, np.float32)
    regions: list[ErrorRegion] = []
    for c in np.unique(p[wrong]).tolist():
        mistaken = wrong & (p == c)
        goal = (t == c) & counted
        if goal.any():
            far = (~goal).astype(np.uint8)
            away = np.asarray(cv2.distanceTransform(far, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
            depth[mistaken] = away[mistaken]
        else:
            depth[mistaken] = math.hypot(*t.shape)
        regions += _deepest(mistaken, depth, t, int(c), count)
    regions.sort(key=_rank)
    return WorstErrors(depth, tuple(regions[:count]))


def _rank(region: ErrorRegion) -> tuple[float, int, int, int]:
    return -region.depth, -region.area, region.y, region.x


def _deepest(
    mistaken: npt.NDArray[np.bool_], depth: npt.NDArray[np.float32], t: npt.NDArray[Any], c: int, count: int
) -> list[ErrorRegion]:
    """The `count` worst patches of one predicted class."""
    total, label, stats, _ = cv2.connectedComponentsWithStats(mistaken.astype(np.uint8), connectivity=8)
    at = np.flatnonzero(mistaken)  # row-major, so the first of equals is the topmost, then leftmost
    patch, deep = label.ravel()[at], depth.ravel()[at]
    order = np.lexsort((at, -deep, patch))
    first = order[np.searchsorted(patch[order], np.arange(1, total))]  # deepest pixel of each patch
    area = stats[1:, cv2.CC_STAT_AREA]
    worst = np.lexsort((at[first], -area, -deep[first]))[:count]
    width = t.shape[1]
    return [
        ErrorRegion(
            x=int(at[i] % width),
            y=int(at[i] // width),
            depth=float(deep[i]),
            area=int(area[j]),
            target_class=int(t.ravel()[at[i]]),
            predicted_class=c,
        )
        for j, i in ((j, first[j]) for j in worst.tolist())
    ]
