"""Cutting a pose network's input out of a picture, and where the picture's points lie in it.

Notation: a point is (x, y) in px; the middle of the first pixel is (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats
from core.perception.heatmap_keypoints import Size, as_size

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoseCrop:
    """A network's input, and how its coordinates follow from the picture's."""

    image: npt.NDArray[np.uint8]  # (h, w, 3) RGB, the network's input
    corner: tuple[float, float]  # x, y of the cut's upper left edge, px of the picture
    scale: float  # px of the input a px of the picture

    def inside(self, points: Array) -> Floats:
        """(N, 2) points of the picture, in px of the input."""
        return (as_floats(points, name="points") + 0.5 - np.array(self.corner)) * self.scale - 0.5


def pose_crop(image: npt.NDArray[np.uint8], input_size: Size) -> PoseCrop:
    """The largest part in the middle of a picture that has the input's shape, brought to the input's size.

    Convention: averaged where it shrinks, interpolated where it grows.

    Args:
        image: (H, W, 3) RGB bytes.
        input_size: (width, height) px.

    Raises:
        TypeError: if the picture does not hold bytes.
        ValueError: if its shape is not (H, W, 3) or the size is out of range.

    Source: own; SimpleBaseline's affine cut around a person's box, without turning.
    Differs: the cut is in the middle, not around a person.

    >>> crop = pose_crop(np.zeros((100, 200, 3), np.uint8), (30, 40))
    >>> print(crop.image.shape, crop.corner, crop.scale, crop.inside([[99.5, 49.5]]))
    (40, 30, 3) (62.5, 0.0) 0.4 [[14.5 19.5]]
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must hold bytes, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
    width, height = as_size(input_size, name="input_size")
    tall, wide = image.shape[:2]
    scale = max(width / wide, height / tall)
    corner = (wide - width / scale) / 2, (tall - height / scale) / 2
    smaller = scale < 1
    source: npt.NDArray[np.uint8] = np.ascontiguousarray(image)
    if smaller:  # average first, so that the cut itself only interpolates
        size = max(1, round(wide * scale)), max(1, round(tall * scale))
        source = np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA), np.uint8)
    own_x, own_y = source.shape[1] / wide, source.shape[0] / tall
    matrix = np.array(
        [
            [own_x / scale, 0, (0.5 / scale + corner[0]) * own_x - 0.5],
            [0, own_y / scale, (0.5 / scale + corner[1]) * own_y - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(source, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return PoseCrop(np.asarray(cut, np.uint8), corner, scale)
