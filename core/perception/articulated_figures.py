"""Rendered figures with exact joints: what the bundled tiny pose network was trained on, and is shown.

Notation: W × H px, K = 13 joints. A joint is (x, y) in px; x to the right, y downwards; the middle of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float64]

SIZE = (64, 96)  # W, H of a figure's picture
JOINTS = (
    *("head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
LIMBS = ((1, 3), (3, 5), (2, 4), (4, 6), (7, 9), (9, 11), (8, 10), (10, 12))  # pairs of joints
FINER = 4  # times as large as it will be, a figure is drawn, and then averaged
SHARPNESS = 4  # fractional bits of the points that OpenCV draws


@dataclass(frozen=True, slots=True)
class FigureScene:
    """A picture of one figure."""

    image: Image  # (H, W, 3) RGB
    keypoints: Floats  # (K, 2) x, y in px, exact, hidden ones too; they may lie outside the picture
    visible: npt.NDArray[
        np.int64
    ]  # (K,) COCO's: 0 outside the picture, 1 behind the occluder, 2 seen or behind the figure itself
    occluder: Floats | None  # (4,) xyxy in px of what stands before the figure; None: nothing does


def figure_scene(seed: int, *, occluded: bool | None = None, zoom: int = 1) -> FigureScene:
    """A random figure in a random place, on a gradient with lines and noise; sometimes a box stands before an arm or a leg.

    Convention: the same seed is the same figure. "Left" is the figure's own left, that is the right of the picture as long
    as it faces us; the left limbs are darker than the right ones.

    Args:
        seed: not negative.
        occluded: whether a box hides a wrist or an ankle; None lets the seed decide, one in four times.
        zoom: 1 to 8: draws the same figure on so many times W × H px; noise and thickness of lines differ a little.

    Raises:
        ValueError: if the seed is negative or the zoom out of range.

    Source: own.
    Differs: nothing left out.

    >>> scene = figure_scene(1)
    >>> print(scene.image.shape, scene.keypoints[0].round(2), scene.visible)
    (96, 64, 3) [22.97 22.01] [2 2 2 2 2 2 2 2 2 2 2 1 2]
    """
    if seed < 0 or not 1 <= zoom <= 8:
        raise ValueError(f"needs seed >= 0 and zoom in 1..8, got {seed=}, {zoom=}")
    rng = np.random.default_rng(seed)
    joints, unit = _pose(rng)
    hides = bool(rng.random() < 0.25)
    box = _occluder(joints, unit, rng)
    if not (hides if occluded is None else occluded):
        box = None
    image = _drawn(joints, unit, box, rng, zoom)
    visible = np.full(len(JOINTS), 2, np.int64)
    if box is not None:
        visible[((joints >= box[:2]) & (joints <= box[2:])).all(axis=1)] = 1
    visible[~((joints >= 0) & (joints <= np.array(SIZE) - 1)).all(axis=1)] = 0
    if zoom > 1:  # the middle of the first pixel is (0, 0) in both
        joints, box = (joints + 0.5) * zoom - 0.5, None if box is None else (box + 0.5) * zoom - 0.5
    return FigureScene(image, joints, visible, box)


def _pose(rng: np.random.Generator) -> tuple[Floats, float]:
    """(K, 2) joints, and the length of the trunk in px."""
    width, height = SIZE
    unit = height * float(rng.uniform(0.2, 0.28))
    lean = float(rng.normal(0, 0.18))
    down, across = np.array([np.sin(lean), np.cos(lean)]), np.array([np.cos(lean), -np.sin(lean)])
    hips = np.array([width / 2 + rng.uniform(-5, 5), height * 0.5 + rng.uniform(-5, 6)])
    neck = hips - unit * down
    half = unit * float(rng.uniform(0.2, 0.36))  # of the shoulders; narrow: the figure is turned away
    joints = np.zeros((len(JOINTS), 2))
    joints[0] = neck - unit * 0.38 * _turned(down, rng.normal(0, 0.2))
    for side, sign in ((0, 1), (1, -1)):
        joints[1 + side] = neck + sign * half * across
        joints[7 + side] = hips + sign * half * 0.7 * across
        arm, bend = rng.normal(0.45, 0.7) * sign, rng.uniform(0, 2.2) * sign * (1 if rng.random() < 0.75 else -0.3)
        joints[3 + side] = joints[1 + side] + unit * 0.55 * _turned(down, arm)
        joints[5 + side] = joints[3 + side] + unit * 0.5 * _turned(down, arm + bend)
        leg, fold = rng.normal(0.12, 0.35) * sign, -rng.uniform(0, 0.9) * sign
        joints[9 + side] = joints[7 + side] + unit * 0.78 * _turned(down, leg)
        joints[11 + side] = joints[9 + side] + unit * 0.75 * _turned(down, leg + fold * rng.random())
    return joints, unit


def _turned(direction: Floats, angle: float) -> Floats:
    """The direction, turned towards the right of the picture if it points down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([direction[0] * cosine + direction[1] * sine, direction[1] * cosine - direction[0] * sine])


def _occluder(joints: Floats, unit: float, rng: np.random.Generator) -> Floats:
    """(4,) a box around a wrist or ankle."""
    at = joints[int(rng.choice([5, 6, 11, 12]))] + rng.uniform(-0.15, 0.15, 2) * unit
    half = unit * rng.uniform(0.22, 0.4, 2)
    return np.concatenate([at - half, at + half])


def _drawn(joints: Floats, unit: float, box: Floats | None, rng: np.random.Generator, zoom: int) -> Image:
    (width, height), fine = SIZE, FINER * zoom
    ramp_x, ramp_y = np.linspace(0, 1, width), np.linspace(0, 1, height)
    first, across, down = (rng.uniform(a, b) + rng.uniform(-28, 28, 3) for a, b in ((50, 200), (-70, 70), (-70, 70)))
    canvas = np.empty((height, width, 3))
    for c in range(3):
        canvas[:, :, c] = first[c] + ramp_x[None] * across[c] + ramp_y[:, None] * down[c]
    sheet: npt.NDArray[Any] = np.asarray(
        cv2.resize(_bytes(canvas), (width * fine, height * fine), interpolation=cv2.INTER_LINEAR)
    )
    for _ in range(int(rng.integers(2, 7))):  # lines that are no limbs
        ends = rng.uniform(0, 1, (2, 2)) * SIZE
        _line(sheet, fine, ends[0], ends[1], float(rng.uniform(0.5, 2.5)), rng.uniform(20, 235, 3))
    skin, cloth, trousers = (rng.uniform(30, 235, 3) for _ in range(3))
    thick = unit * float(rng.uniform(0.14, 0.2))
    for name in ("left", "trunk", "right"):
        if name == "trunk":
            trunk = joints[[1, 2, 8, 7]]
            cv2.fillPoly(sheet, [_fixed(trunk, fine)], _shade(cloth, 1.0), cv2.LINE_AA, SHARPNESS)
            for a, b in ((1, 2), (2, 8), (8, 7), (7, 1)):
                _line(sheet, fine, joints[a], joints[b], thick, cloth)
            cv2.circle(
                sheet,
                tuple(_fixed(joints[0], fine)),
                round(unit * 0.23 * fine * 16),
                _shade(skin, 1.0),
                -1,
                cv2.LINE_AA,
                4,
            )
            continue
        dim = 0.72 if name == "left" else 1.0
        for a, b in LIMBS:
            if JOINTS[a].startswith(name):
                limb = (trousers if a >= 7 else cloth if a < 3 else skin) * dim
                _line(sheet, fine, joints[a], joints[b], thick * (0.85 if a in (3, 4, 9, 10) else 1.0), limb)
    if box is not None:
        low, high = _fixed(box[:2], fine), _fixed(box[2:], fine)
        cv2.rectangle(sheet, tuple(low), tuple(high), _shade(rng.uniform(20, 235, 3), 1.0), -1, cv2.LINE_AA, SHARPNESS)
    small = np.asarray(cv2.resize(sheet, (width * zoom, height * zoom), interpolation=cv2.INTER_AREA), np.float64)
    return _bytes(small + rng.standard_normal(small.shape) * rng.uniform(1, 9))


def _fixed(points: Floats, fine: int) -> npt.NDArray[np.int32]:
    """Points on the finer sheet, in OpenCV's fixed point: the middle of a pixel is a whole number there too."""
    return np.rint(((points + 0.5) * fine - 0.5) * (1 << SHARPNESS)).astype(np.int32)


def _line(sheet: npt.NDArray[Any], fine: int, start: Floats, end: Floats, thickness: float, color: Floats) -> None:
    """A limb: a line with round ends."""
    a, b = _fixed(start, fine).tolist(), _fixed(end, fine).tolist()
    cv2.line(sheet, a, b, _shade(color, 1.0), max(1, round(thickness * fine)), cv2.LINE_AA, SHARPNESS)


def _shade(color: Floats, dim: float) -> tuple[float, ...]:
    return tuple(float(v) * dim for v in color)


def _bytes(values: Floats) -> Image:
    return np.minimum(np.maximum(np.rint(values), 0), 255).astype(np.uint8)
