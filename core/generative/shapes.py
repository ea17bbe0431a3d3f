"""Distributions to diffuse: modes, a ring, two moons, a grid, a line of points, or the bright pixels of a picture.

Notation: all lie in about [−3, 3]²; bandwidth is the standard deviation of each round component.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from core.generative.mixtures import GaussianMixture, gaussian_mixture

Shape = Literal["two_modes", "three_modes", "ring", "moons", "grid", "spiral"]
SHAPES: tuple[Shape, ...] = get_args(Shape)


def shape_mixture(shape: Shape) -> GaussianMixture:
    """A ready distribution in the plane.

    Convention: "two_modes" weighs 0.8 and 0.2; "moons" are the two half circles of scikit-learn's make_moons, centred and
    enlarged by 1.6, with 16 components each; "ring" has 24, "spiral" 36, "grid" 3 × 3.

    Args:
        shape: "two_modes", "three_modes", "ring", "moons", "grid" or "spiral".

    Raises:
        ValueError: if the name is unknown.

    Source: own; scikit-learn make_moons for its centres.
    Differs: nothing.

    >>> print(shape_mixture("two_modes").weights.tolist(), shape_mixture("ring").components)
    [0.8, 0.2] 24
    """
    if shape == "two_modes":
        return gaussian_mixture([0.8, 0.2], [[1.6, 0.9], [-1.6, -0.9]], 0.09)
    if shape == "three_modes":
        tall, flat = [[0.45, 0.2], [0.2, 0.15]], [[0.3, -0.22], [-0.22, 0.3]]
        return gaussian_mixture(
            [0.5, 0.3, 0.2],
            [[-1.6, 0.9], [1.7, 1.0], [0.2, -1.7]],
            _matrices([tall, flat, [[0.06, 0.0], [0.0, 0.06]]]),
        )
    if shape == "ring":
        turns = [2 * math.pi * k / 24 for k in range(24)]
        return gaussian_mixture([1.0] * 24, [[2 * math.cos(a), 2 * math.sin(a)] for a in turns], 0.03)
    if shape == "moons":
        arcs = [math.pi * k / 15 for k in range(16)]
        upper = [[math.cos(a), math.sin(a)] for a in arcs]
        lower = [[1 - math.cos(a), 0.5 - math.sin(a)] for a in arcs]
        return gaussian_mixture([1.0] * 32, [[1.6 * (x - 0.5), 1.6 * (y - 0.25)] for x, y in upper + lower], 0.02)
    if shape == "grid":
        return gaussian_mixture([1.0] * 9, [[1.8 * i, 1.8 * j] for j in (-1, 0, 1) for i in (-1, 0, 1)], 0.04)
    if shape == "spiral":
        turns = [1.2 + 2.6 * math.pi * math.sqrt(k / 35) for k in range(36)]
        return gaussian_mixture([1.0] * 36, [[0.25 * a * math.cos(a), 0.25 * a * math.sin(a)] for a in turns], 0.012)
    raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}")


def modes_mixture(modes: Sequence[Sequence[float]]) -> GaussianMixture:
    """Round modes as an editor gives them: (x, y, standard deviation, weight) each.

    Args:
        modes: at least one row of four numbers, the last two above 0 and not below 0.

    Raises:
        ValueError: if there is none, a row has another length, or a standard deviation is not positive.

    Source: definition.
    Differs: nothing.

    >>> modes_mixture([(0, 0, 0.5, 3), (2, 0, 1, 1)]).weights.tolist()
    [0.75, 0.25]
    """
    if not modes or any(len(mode) != 4 for mode in modes):
        raise ValueError("modes must be at least one row of x, y, standard deviation and weight")
    if any(not mode[2] > 0 for mode in modes):
        raise ValueError(f"every standard deviation must be above 0, got {[mode[2] for mode in modes]}")
    return gaussian_mixture([m[3] for m in modes], [[m[0], m[1]] for m in modes], [m[2] ** 2 for m in modes])


def points_mixture(points: npt.ArrayLike, *, bandwidth: float = 0.12) -> GaussianMixture:
    """Equal round components around drawn points: a kernel density estimate.

    Args:
        points: (M, d) at least one.
        bandwidth: standard deviation, above 0.

    Raises:
        ValueError: if there is no point, or the bandwidth is not positive.

    Source: Rosenblatt 1956; Parzen 1962.
    Differs: nothing.

    >>> points_mixture([[0, 0], [1, 1]], bandwidth=0.5).variances.tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    array = np.asarray(points, np.float64)
    if array.ndim != 2 or not len(array):
        raise ValueError(f"points must have the shape (M, d) with at least one, got {array.shape}")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth must be above 0, got {bandwidth}")
    return gaussian_mixture([1.0] * len(array), array.tolist(), bandwidth**2)


def picture_mixture(
    image: npt.NDArray[np.uint8], *, most: int = 160, dark: bool = False, reach: float = 2.4
) -> GaussianMixture:
    """The bright pixels of a picture as a distribution in the plane: weights are brightness, y points up.

    Convention: the picture is averaged down to the finest grid whose lit cells are at most `most`; a cell is lit if its
    brightness is above half the way from the darkest to the brightest cell; each becomes a round component with half a cell
    as standard deviation, weighted by how much it is above. RGB becomes grey by OpenCV's weights.

    Args:
        image: (H, W) or (H, W, 3) uint8 RGB.
        most: components at most, ≥ 1.
        dark: take the dark pixels instead (ink on paper).
        reach: half the longer side, in units of the plane.

    Raises:
        ValueError: if the picture has another shape or type, is of one brightness, or `most` is below 1.

    Source: own.
    Differs: nothing.

    >>> image = np.zeros((40, 40), np.uint8)
    >>> image[10:30, 18:22] = 255
    >>> bar = picture_mixture(image)
    >>> print(bar.components, round(float(bar.mean[0]), 6), round(float(bar.covariance[1, 1] / bar.covariance[0, 0]), 2))
    80 -0.0 22.33
    """
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or (image.ndim == 3 and image.shape[2] != 3)
        or not image.size
    ):
        raise ValueError(f"image must be (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    grey: Any = image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    light: npt.NDArray[np.float64] = (255 - grey if dark else grey).astype(np.float64)
    h, w = light.shape
    for cells in range(min(max(h, w), 64), 0, -1):
        rows, columns = max(1, round(cells * h / max(h, w))), max(1, round(cells * w / max(h, w)))
        small: Any = cv2.resize(light, (columns, rows), interpolation=cv2.INTER_AREA)
        grid: npt.NDArray[np.float64] = small.reshape(rows, columns)
        floor = 0.5 * (grid.min() + grid.max())
        lit = grid > floor
        if 0 < np.count_nonzero(lit) <= most:
            cell = 2 * reach / cells
            y, x = np.nonzero(lit)
            centres = np.stack([(x + 0.5 - columns / 2) * cell, (rows / 2 - y - 0.5) * cell], 1)
            return gaussian_mixture((grid - floor)[lit].tolist(), centres.tolist(), (0.5 * cell) ** 2)
    raise ValueError("the picture must have brighter and darker parts, got one brightness")


def _matrices(rows: Sequence[Sequence[Sequence[float]]]) -> Any:
    import torch

    return torch.tensor(rows, dtype=torch.float64)
