"""Turning a correct label map into a wrong one in a controlled way: every score can then be watched reacting to one
kind of error.

Notation: class 0 is the background, K classes; distances are Euclidean, in px.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, as_labels, check_num_classes, refuse_labels


def degrade(
    target: Labels,
    *,
    num_classes: int,
    erode: float = 0,
    dilate: float = 0,
    shift: tuple[int, int] = (0, 0),
    drop_class: int | None = None,
    salt: float = 0.0,
    all_background: bool = False,
    ignore_index: int | None = None,
    seed: int = 0,
) -> npt.NDArray[np.uint8]:
    """Make a prediction out of a target by adding errors, always in this order: shift, drop, erode, dilate, salt.

    Convention: ignored pixels become background first, for a prediction has no ignore label. Erosion turns pixels of
    a class within `erode` px of any other class into background; the image border erodes nothing. Dilation grows all
    classes at once
    into the background only: a background pixel within `dilate` px of a class takes the nearest one, the lowest if
    several are as near, so that no class grows over another and no order of classes matters.

    Args:
        target: (H, W) integer labels in 0..K-1, or ignored.
        num_classes: K, at most 256.
        erode, dilate: radius in px, not negative.
        shift: (dx, dy) px to the right and down; what comes into view is background.
        drop_class: a class that the model never learnt: its pixels become background; None drops nothing.
        salt: share of all pixels, in [0, 1], replaced by a class drawn uniformly from the K − 1 others.
        all_background: answer background everywhere, whatever else is asked.
        ignore_index: target label of ignored pixels, or None.
        seed: of the salt.

    Returns:
        (H, W) uint8 labels in 0..K-1.

    Raises:
        TypeError: if the target does not hold integers.
        ValueError: if an argument is out of its range.

    Source: own.
    Differs: nothing left out.

    >>> target = np.array([[0, 1, 1, 1, 0, 0, 2]])
    >>> print(degrade(target, num_classes=3, erode=1), degrade(target, num_classes=3, dilate=1, shift=(1, 0)))
    [[0 0 1 0 0 0 0]] [[0 1 1 1 1 1 0]]
    """
    k = check_num_classes(num_classes, most=256)
    labels = as_labels(target, name="target")
    if labels.ndim != 2:
        raise ValueError(f"target must be an (H, W) map, got shape {labels.shape}")
    refuse_labels(
        labels, name="target", num_classes=k, ignore_index=ignore_index, valid=np.ones(labels.shape, np.bool_)
    )
    if not 0 <= erode < math.inf or not 0 <= dilate < math.inf:
        raise ValueError(f"erode and dilate must not be negative, got {erode} and {dilate}")
    if not 0 <= salt <= 1:
        raise ValueError(f"salt must lie in [0, 1], got {salt}")
    if salt and k < 2:
        raise ValueError("salt needs another class to draw: num_classes must be at least 2, got 1")
    if drop_class is not None and not 0 <= drop_class < k:
        raise ValueError(f"drop_class must lie in 0..{k - 1}, got {drop_class}")

    if all_background:
        return np.zeros(labels.shape, np.uint8)
    out = labels.astype(np.uint8)
    if ignore_index is not None:
        out[labels == ignore_index] = 0
    out = _shifted(out, *shift)
    if drop_class is not None:
        out[out == drop_class] = 0
    if erode:
        out = _eroded(out, erode)
    if dilate:
        out = _dilated(out, dilate)
    if salt:
        out = _salted(out, salt, k, np.random.default_rng(seed))
    return out


def _shifted(labels: npt.NDArray[np.uint8], dx: int, dy: int) -> npt.NDArray[np.uint8]:
    """Moved dx px right and dy px down over background."""
    h, w = labels.shape
    out = np.zeros_like(labels)
    if abs(dx) < w and abs(dy) < h:
        out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = labels[
            max(-dy, 0) : h - max(dy, 0), max(-dx, 0) : w - max(dx, 0)
        ]
    return out


def _squared_distance_to(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(H, W) squared px to the nearest True; whole numbers, so that a radius of exactly r is decided exactly."""
    distance: Any = cv2.distanceTransform((~there).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared: npt.NDArray[np.float64] = np.rint(distance.astype(np.float64) ** 2)
    return squared


def _classes(labels: npt.NDArray[np.uint8]) -> list[int]:
    return [int(c) for c in np.unique(labels) if c]


def _eroded(labels: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.uint8]:
    out = np.array(labels)
    for c in _classes(labels):
        elsewhere = labels != c
        if elsewhere.any():
            out[~elsewhere & (_squared_distance_to(elsewhere) <= radius**2)] = 0
    return out


def _dilated(labels: npt.NDArray[np.uint8], radius: float) -> npt.NDArray[np.uint8]:
    out = np.array(labels)
    nearest = np.full(labels.shape, np.inf)
    for c in _classes(labels):  # ascending, and a later class must be strictly nearer
        distance = _squared_distance_to(labels == c)
        grown = (labels == 0) & (distance <= radius**2) & (distance < nearest)
        out[grown], nearest[grown] = c, distance[grown]
    return out


def _salted(labels: npt.NDArray[np.uint8], share: float, k: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    flat = labels.flatten()
    at = rng.choice(flat.size, round(share * flat.size), replace=False)
    flat[at] = (flat[at].astype(np.int64) + rng.integers(1, k, at.size)) % k  # 1..K-1 steps on: never the same class
    return np.reshape(flat, labels.shape)
