"""Small label maps made by formula, for examples that need no photograph.

Notation: class 0 is the background; x grows to the right, y downwards; sizes are (height, width) in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Label = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class MaskPair:
    """Truth and prediction of one or several images of one size."""

    targets: tuple[Label, ...]  # N × (H, W)
    predictions: tuple[Label, ...]  # N × (H, W)
    num_classes: int  # K
    ignore_index: int | None  # target label that does not count


def worked_example() -> MaskPair:
    """Twelve pixels on which libraries print four different mean IoUs.

    Convention: five classes, 255 ignored; class 3 is only predicted, class 4 occurs nowhere but on an ignored pixel.

    Source: own.
    Differs: nothing left out.

    >>> print(worked_example().targets[0])
    [[  0   0   1   1]
     [  0 255   1   1]
     [  2   2 255   0]]
    """
    target = np.array([[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 255, 0]], np.uint8)
    prediction = np.array([[0, 1, 1, 1], [0, 3, 1, 0], [2, 2, 4, 3]], np.uint8)
    return MaskPair((target,), (prediction,), 5, 255)


def ellipse_mask(size: tuple[int, int], *, center: tuple[float, float], radii: tuple[float, float]) -> Label:
    """(H, W) 0/1 mask of the pixels whose centre lies in an axis-parallel ellipse.

    Args:
        size: (height, width) px.
        center: (x, y) px, in which pixel (0, 0) has its centre at (0.5, 0.5).
        radii: (horizontal, vertical) px, positive.

    Raises:
        ValueError: if a size or a radius is not positive.

    Source: own.
    Differs: nothing left out.

    >>> print(int(ellipse_mask((20, 30), center=(15, 10), radii=(8, 5)).sum()))
    128
    """
    height, width = size
    if min(height, width) < 1 or min(radii) <= 0:
        raise ValueError(f"size and radii must be positive, got {size=}, {radii=}")
    x = (np.arange(width) + 0.5 - center[0]) / radii[0]
    y = (np.arange(height) + 0.5 - center[1]) / radii[1]
    return (x[None] ** 2 + y[:, None] ** 2 <= 1).astype(np.uint8)


def drifting_shapes(*, frames: int, lag: int, size: tuple[int, int] = (180, 320)) -> MaskPair:
    """A clip of three shapes that drift, and a prediction that sees every frame `lag` frames too late.

    Convention: a disc (class 1) crosses to the right, a square (2) falls, a ring (3) swings; later classes lie on
    top. For the first `lag` frames the prediction holds the first frame.

    Args:
        frames: N >= 1.
        lag: 0 for a perfect prediction.
        size: (height, width) px.

    Raises:
        ValueError: if frames < 1, lag < 0 or a side is shorter than 16 px.

    Source: own.
    Differs: nothing left out.

    >>> clip = drifting_shapes(frames=3, lag=1)
    >>> print(len(clip.targets), bool((clip.predictions[2] == clip.targets[1]).all()))
    3 True
    """
    if frames < 1 or lag < 0 or min(size) < 16:
        raise ValueError(f"needs frames >= 1, lag >= 0 and sides of 16 px or more, got {frames=}, {lag=}, {size=}")
    targets = tuple(_drift(i / max(1, frames - 1), size) for i in range(frames))
    return MaskPair(targets, tuple(targets[max(0, i - lag)] for i in range(frames)), 4, None)


def _drift(time: float, size: tuple[int, int]) -> Label:
    """The clip at `time` in 0…1."""
    height, width = size
    unit = min(height, width)
    disc = ellipse_mask(size, center=(width * (0.15 + 0.6 * time), height * 0.35), radii=(unit * 0.19, unit * 0.19))
    x, y = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    half = unit * 0.15
    square = (abs(x - width * 0.72) <= half) & (abs(y - height * (0.2 + 0.55 * time)) <= half)
    swing = width * (0.4 + 0.18 * np.sin(2 * np.pi * time))
    distance = np.hypot(x - swing, y - height * 0.7)
    ring = (distance <= unit * 0.2) & (distance >= unit * 0.12)
    frame: Label = np.array(disc)
    frame[square] = 2
    frame[ring] = 3
    return frame
