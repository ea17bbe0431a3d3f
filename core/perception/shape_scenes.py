"""Pictures of coloured shapes with exact boxes: what the bundled tiny DETR was trained on, and is shown.

Notation: positions and lengths are shares of the picture's side, x to the right, y downwards. Classes: 0 disc,
1 square, 2 triangle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.assignment import Ints
from core.perception.boxes import Floats, box_iou, xyxy_to_cxcywh

Image: TypeAlias = npt.NDArray[np.uint8]

CLASSES = ("disc", "square", "triangle")
SIDE = 288  # px of a scene's picture
MOST = 5  # objects in a scene
COLORS = ((213, 94, 0), (230, 159, 0), (240, 228, 66), (0, 158, 115), (86, 180, 233), (204, 121, 167))
SHARPNESS = 4  # fractional bits of the corners that OpenCV draws


@dataclass(frozen=True, slots=True)
class Shape:
    """One object."""

    label: int  # class
    center: tuple[float, float]  # (x, y)
    radius: float  # of the circle through its corners, or the disc's own
    angle: float  # rad, clockwise; of no meaning for a disc
    color: tuple[int, int, int]  # RGB bytes


@dataclass(frozen=True, slots=True)
class ShapeScene:
    """A picture and its objects."""

    image: Image  # (S, S, 3) RGB
    labels: Ints  # (G,) class of each object
    boxes: Floats  # (G, 4) cxcywh, exact extent of the whole shape, hidden parts too
    shapes: tuple[Shape, ...]  # G, later ones lie on top


def shape_scene(seed: int, *, count: int | None = None, side: int = SIDE) -> ShapeScene:
    """A random scene: one to five shapes, some overlapping, on a coloured gradient with noise.

    Convention: the same seed is the same scene, at every side length but for the noise. A shape whose box has an IoU
    above 0.3 with an earlier one, or which would hide the middle of one, is placed again, and left out after 30 tries.

    Args:
        seed: not negative.
        count: objects asked for, 0..8; None draws 1..5.
        side: S px, at least 32.

    Raises:
        ValueError: if an argument is out of range.

    Source: own.
    Differs: nothing left out.

    >>> scene = shape_scene(1)
    >>> print(scene.image.shape, scene.labels, scene.boxes[0].round(3))
    (288, 288, 3) [1 2 2] [0.839 0.358 0.181 0.181]
    """
    if seed < 0 or side < 32 or (count is not None and not 0 <= count <= 8):
        raise ValueError(f"needs seed >= 0, side >= 32 and count in 0..8, got {seed=}, {side=}, {count=}")
    rng = np.random.default_rng(seed)
    wanted = int(rng.integers(1, MOST + 1)) if count is None else count
    shapes: list[Shape] = []
    corners = np.zeros((0, 4))  # (G, 4) xyxy
    for _ in range(wanted):
        for _ in range(30):
            shape = _random_shape(rng)
            box = shape_box(shape)
            if _fits(shape, box, shapes, corners):
                shapes.append(shape)
                corners = np.vstack([corners, box])
                break
    labels = np.array([shape.label for shape in shapes], np.int64)
    return ShapeScene(_drawn(shapes, side, rng), labels, xyxy_to_cxcywh(corners), tuple(shapes))


def shape_box(shape: Shape) -> Floats:
    """(4,) xyxy extent of a shape.

    Convention: exact, from the outline and not from pixels.

    Args:
        shape: any.

    Source: own.
    Differs: nothing left out.

    >>> print(shape_box(Shape(0, (0.5, 0.4), 0.1, 0, (0, 0, 0))))
    [0.4 0.3 0.6 0.5]
    """
    if shape.label == 0:
        x, y = shape.center
        return np.array([x - shape.radius, y - shape.radius, x + shape.radius, y + shape.radius])
    points = _corners(shape)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _corners(shape: Shape) -> Floats:
    """(4 or 3, 2) corners of a square or triangle."""
    number = 4 if shape.label == 1 else 3
    angles = shape.angle + 2 * np.pi * np.arange(number) / number
    return np.array(shape.center) + shape.radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _random_shape(rng: np.random.Generator) -> Shape:
    label, color = int(rng.integers(3)), COLORS[int(rng.integers(len(COLORS)))]
    radius = float(rng.uniform(0.07, 0.2)) * (1.0, 1.15, 1.2)[label]
    x, y = rng.uniform(0.02 + radius, 0.98 - radius, 2).tolist()
    return Shape(label, (x, y), radius, float(rng.uniform(0, 2 * np.pi)), color)


def _fits(shape: Shape, box: Floats, shapes: list[Shape], corners: Floats) -> bool:
    if not shapes:
        return True
    if box_iou(box[None], corners).max() > 0.3:
        return False
    return all(
        np.hypot(shape.center[0] - other.center[0], shape.center[1] - other.center[1])
        > 0.9 * max(shape.radius, other.radius)
        for other in shapes
    )


def _drawn(shapes: list[Shape], side: int, rng: np.random.Generator) -> Image:
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    first, across, down = (rng.uniform(a, b, 3).astype(np.float32) for a, b in ((25, 150), (-70, 70), (-70, 70)))
    picture: Any = (first + ramp[None, :, None] * across) + ramp[:, None, None] * down  # (S, S, 3)
    canvas = _bytes(picture)
    one = side * (1 << SHARPNESS)
    for shape in shapes:
        shift: list[int] = rng.integers(-20, 21, 3).tolist()
        shade = tuple(min(max(c + s, 0), 255) for c, s in zip(shape.color, shift, strict=True))
        if shape.label == 0:
            middle = tuple(round(p * one - (1 << SHARPNESS) / 2) for p in shape.center)
            cv2.circle(canvas, middle, round(shape.radius * one), shade, cv2.FILLED, cv2.LINE_AA, SHARPNESS)
        else:
            points = np.rint(_corners(shape) * one - (1 << SHARPNESS) / 2).astype(np.int32)
            cv2.fillPoly(canvas, [points], shade, cv2.LINE_AA, SHARPNESS)
    noise = rng.standard_normal((side, side, 1), np.float32) * np.float32(rng.uniform(2, 14))
    return _bytes(canvas + noise)


def _bytes(values: npt.NDArray[np.float32]) -> Image:
    np.minimum(values, 255, out=values)
    np.maximum(values, 0, out=values)
    return values.astype(np.uint8)
