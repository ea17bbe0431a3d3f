"""Joints as heatmaps: drawing the label of a joint, and reading a joint back off a map.

Source: Xiao et al. 2018, "Simple baselines for human pose estimation", arXiv:1804.06208; Sun et al. 2019 (HRNet),
arXiv:1902.09212; Zhang et al. 2020 (DARK), arXiv:1910.06278; Sun et al. 2018 (integral pose), arXiv:1711.08229.
Notation: K joints, sizes (width, height), s = input size / map size (the stride, 4 as a rule), h a map, μ its peak in cells.
A keypoint is (x, y) in input px; x to the right, y downwards; a cell's number is its coordinate, without half a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Size: TypeAlias = tuple[int, int]
Center: TypeAlias = Literal["rounded", "exact"]
Outside: TypeAlias = Literal["image", "patch"]
Decoder: TypeAlias = Literal["argmax", "shift", "dark"]

LABELLED = 0.5  # a visibility from here on means that the joint is labelled
FLOOR = 1e-10  # what DARK puts under a map before its logarithm
LONGEST = 1 << 14  # px or cells of a side


@dataclass(frozen=True, slots=True)
class HeatmapLabels:
    """What a network that predicts heatmaps is trained with."""

    heatmaps: Floats  # (K, H, W) 0…1, a bump of height 1 at each joint; empty where the weight is 0
    weights: Floats  # (K,) 1: the joint counts in the loss, 0: it does not
    centers: Floats  # (K, 2) μ of each bump, in cells; NaN where the weight is 0


@dataclass(frozen=True, slots=True)
class HeatmapDecoding:
    """Joints as they are read off heatmaps."""

    keypoints: Floats  # (K, 2) x, y in input px; −s where the map has nothing above 0
    scores: Floats  # (K,) height of the map's highest cell
    peaks: Floats  # (K, 2) x, y of that cell, in cells; −1 where there is none
    offsets: Floats  # (K, 2) what the decoder added to the peak, in cells


@dataclass(frozen=True, slots=True)
class SoftArgmax:
    """The expected cell of a map that was turned into probabilities."""

    keypoints: Floats  # (K, 2) x, y in cells
    marginal_x: Floats  # (K, W) probability of each column
    marginal_y: Floats  # (K, H) probability of each row


def as_keypoints(keypoints: Array, visible: Array) -> tuple[Floats, Bools]:
    """Joints and whether they are labelled, checked.

    Convention: a visibility of at least 0.5 means labelled: COCO's 1 (hidden) and 2 (seen) alike.

    Args:
        keypoints: (K, 2) x, y, any unit.
        visible: (K,) 0, 1 or 2, or true and false.

    Raises:
        TypeError: if they are not real numbers.
        ValueError: if the shapes disagree, or a labelled joint's coordinate is not finite.

    Source: own.
    Differs: nothing left out.

    >>> points, labelled = as_keypoints([[3, 4], [0, 0]], [2, 0])
    >>> print(points.shape, labelled)
    (2, 2) [ True False]
    """
    points, seen = as_floats(keypoints, name="keypoints"), as_floats(visible, name="visible")
    if points.size == 0 and points.ndim == 1:
        points = np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"keypoints must have shape (K, 2), got {points.shape}")
    if seen.shape != (len(points),):
        raise ValueError(f"visible must have shape ({len(points)},), one for each keypoint, got {seen.shape}")
    labelled: Bools = seen >= LABELLED
    wrong = labelled & ~np.isfinite(points).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"keypoints must be finite where visible, got {points[row].tolist()} in keypoint {row}")
    return points, labelled


def as_size(size: tuple[int, int], *, name: str) -> Size:
    """A (width, height) in whole numbers.

    Args:
        size: two whole numbers from 1 to 16384.
        name: what to call it in an error.

    Raises:
        ValueError: if it is anything else.

    Source: own.
    Differs: nothing left out.

    >>> print(as_size((192, 256), name="input_size"))
    (192, 256)
    """
    if len(size) != 2 or any(int(v) != v or not 1 <= v <= LONGEST for v in size):
        raise ValueError(f"{name} must be (width, height) in whole numbers from 1 to {LONGEST}, got {size!r}")
    return int(size[0]), int(size[1])


def encode_heatmap(
    keypoints: Array,
    visible: Array,
    *,
    input_size: Size,
    heatmap_size: Size,
    sigma: float = 2.0,
    center: Center = "rounded",
    outside: Outside = "image",
) -> HeatmapLabels:
    """Draw each joint as a Gaussian bump of height 1 on a small map.

    Convention: "rounded" (SimpleBaseline, HRNet, MMPose) puts the peak on the cell ⌊x/s + ½⌋, cut towards 0, and draws a patch
    of ⌊3σ⌋ cells to each side; "exact" (DARK, MMPose's `unbiased`) leaves the peak between cells and fills the whole map.
    A joint outside the image has weight 0 and an empty map ("image"); HRNet and MMPose go by the patch instead: weight 0 only
    if no part of it touches the map ("patch": a patch that ends right before the map still counts, with an empty map).

    Args:
        keypoints: (K, 2) x, y in input px.
        visible: (K,) at least 0.5: labelled.
        input_size: (width, height) of the network's input, px.
        heatmap_size: (width, height) of the maps, cells.
        sigma: of the bump, in cells; above 0.
        center: where the peak lies.
        outside: which joints have weight 0.

    Raises:
        TypeError, ValueError: as `as_keypoints` and `as_size`; ValueError if sigma is not a number above 0.

    Source: leoxiaobin/deep-high-resolution-net.pytorch JointsDataset.generate_target; open-mmlab/mmpose codecs/utils/gaussian_heatmap.py.
    Differs: one person; where 3σ is no whole number, the references' patch is off centre, this one is not.

    >>> label = encode_heatmap([[42.0, 21.0]], [1], input_size=(64, 64), heatmap_size=(16, 16))
    >>> print(label.centers[0], label.heatmaps[0, 5, 9:13].round(4))
    [11.  5.] [0.6065 0.8825 1.     0.8825]
    """
    points, labelled = as_keypoints(keypoints, visible)
    (width, height), (columns, rows) = (
        as_size(input_size, name="input_size"),
        as_size(heatmap_size, name="heatmap_size"),
    )
    if not 0 < sigma < LONGEST:
        raise ValueError(f"sigma must be a number above 0, got {sigma}")
    stride = np.array([width / columns, height / rows])
    heatmaps, weights = np.zeros((len(points), rows, columns)), np.zeros(len(points))
    centers = np.full((len(points), 2), np.nan)
    radius = int(3 * sigma) if center == "rounded" else 3 * sigma
    for k in np.flatnonzero(labelled):
        if outside == "image" and not ((points[k] >= 0) & (points[k] < (width, height))).all():
            continue
        mu: Floats = points[k] / stride
        if center == "rounded":
            mu = np.trunc(np.minimum(np.maximum(mu + 0.5, -1e9), 1e9))
        if ((mu - radius >= (columns, rows)) | (mu + radius + 1 < 0)).any():
            continue
        weights[k], centers[k] = 1, mu
        low, high = np.zeros(2, int), np.array([columns, rows])
        if center == "rounded":  # only the patch
            low, high = np.maximum(mu - radius, 0).astype(int), np.minimum(mu + radius + 1, high).astype(int)
        along_x, along_y = (_bell(int(low[i]), int(high[i]), float(mu[i]), sigma) for i in (0, 1))
        if along_x.size and along_y.size:
            heatmaps[k, low[1] : high[1], low[0] : high[0]] = along_y[:, None] * along_x
    return HeatmapLabels(heatmaps, weights, centers)


def decode_heatmap(
    heatmaps: Array,
    *,
    input_size: Size,
    decoder: Decoder,
    border: Literal["hrnet", "mmpose"] = "hrnet",
    blur_kernel: int = 11,
) -> HeatmapDecoding:
    """Read one joint off each map: the highest cell, moved by what its neighbours say, times the stride.

    Convention: the first of several highest cells. A map without anything above 0 has no joint: its peak is −1 (MMPose; HRNet
    says 0). "shift" moves by ¼ cell towards the higher neighbour, along x only if 1 < x < W−1; HRNet also asks this of y
    before it moves at all, MMPose asks 0 < y < H. "dark" blurs the map with a Gaussian of `blur_kernel` cells, scales it back
    to its old height, and jumps to the top of the parabola through its logarithm, with second differences two cells wide, if
    1 < x < W−2 and 1 < y < H−2.

    Args:
        heatmaps: (K, H, W), any height.
        input_size: (width, height) of the network's input, px.
        decoder: argmax, shift or dark.
        border: whose rule near the edge; of shift only.
        blur_kernel: odd, of dark only: 11 for maps of σ = 2, 17 for σ = 3.

    Raises:
        TypeError, ValueError: if the maps are not (K, H, W) numbers, hold NaN, or an option is unknown.

    Source: HRNet core/inference.py; arXiv:1910.06278 eq. 7-10; open-mmlab/mmpose codecs/utils/refinement.py.
    Differs: float64; maps that hold an infinity are refused.

    >>> label = encode_heatmap([[42.0, 21.0]], [1], input_size=(64, 64), heatmap_size=(16, 16), center="exact")
    >>> for decoder in ("argmax", "shift", "dark"):
    ...     print(decode_heatmap(label.heatmaps, input_size=(64, 64), decoder=decoder).keypoints[0].round(1))
    [40. 20.]
    [41. 21.]
    [42. 21.]
    """
    maps = as_maps(heatmaps)
    width, height = as_size(input_size, name="input_size")
    if decoder not in ("argmax", "shift", "dark"):
        raise ValueError(f"decoder must be argmax, shift or dark, got {decoder!r}")
    count, rows, columns = maps.shape
    flat = np.argmax(np.reshape(maps, (count, rows * columns)), axis=1)
    y, x = np.divmod(flat, columns)
    scores = maps[np.arange(count), y, x]
    found = scores > 0
    peaks = np.where(found[:, None], np.stack([x, y], axis=1), -1).astype(np.float64)
    offsets = np.zeros((count, 2))
    for k in np.flatnonzero(found) if decoder != "argmax" else ():
        at = int(x[k]), int(y[k])
        offsets[k] = _quarter(maps[k], *at, border) if decoder == "shift" else _taylor(maps[k], *at, blur_kernel)
    return HeatmapDecoding((peaks + offsets) * (width / columns, height / rows), scores, peaks, offsets)


def soft_argmax(heatmaps: Array, *, beta: float) -> SoftArgmax:
    """The mean cell under softmax(β·h): differentiable, and drawn towards the middle of the map unless β is large.

    Convention: one softmax over the whole map (integral pose), not one an axis; coordinates in cells.

    Args:
        heatmaps: (K, H, W).
        beta: β, 0 or more; 0 gives the middle of the map.

    Raises:
        TypeError, ValueError: as `decode_heatmap`; ValueError if beta is not a number of 0 or more.

    Source: arXiv:1711.08229 eq. 2; open-mmlab/mmpose models/heads/regression_heads/integral_regression_head.py.
    Differs: the marginals are kept; MMPose's result is in parts of the map's size.

    >>> label = encode_heatmap([[42.0, 21.0]], [1], input_size=(64, 64), heatmap_size=(16, 16), center="exact")
    >>> for beta in (0, 1, 10, 100):
    ...     print(soft_argmax(label.heatmaps, beta=beta).keypoints[0].round(3))
    [7.5 7.5]
    [7.839 7.245]
    [10.488  5.256]
    [10.5    5.003]
    """
    maps = as_maps(heatmaps)
    if not 0 <= beta < np.inf:
        raise ValueError(f"beta must be a number of 0 or more, got {beta}")
    count, rows, columns = maps.shape
    top = np.max(np.reshape(maps, (count, rows * columns)), axis=1)[:, None, None]
    weight: Floats = np.exp(beta * (maps - top))
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    along_x: Floats = weight.sum(axis=1)
    along_y: Floats = weight.sum(axis=2)
    mean = np.empty((count, 2))
    mean[:, 0], mean[:, 1] = along_x @ np.arange(columns), along_y @ np.arange(rows)
    return SoftArgmax(mean, along_x, along_y)


def as_maps(heatmaps: Array) -> Floats:
    """Heatmaps as a (K, H, W) float64 array.

    Args:
        heatmaps: (K, H, W) finite numbers; K may be 0.

    Raises:
        TypeError, ValueError: if they are anything else.

    Source: own.
    Differs: nothing left out.

    >>> print(as_maps([[[0, 1]]]).shape)
    (1, 1, 2)
    """
    maps = as_floats(heatmaps, name="heatmaps")
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"heatmaps must have shape (K, H, W), got {maps.shape}")
    if not np.isfinite(maps).all():
        raise ValueError("heatmaps must be finite numbers")
    return maps


def _bell(low: int, high: int, mu: float, sigma: float) -> Floats:
    """exp(−(x − μ)²/2σ²) of the cells from low to high − 1."""
    return np.exp(-((np.arange(low, max(low, high)) - mu) ** 2) / (2 * sigma**2))


def _quarter(h: Floats, x: int, y: int, border: str) -> Floats:
    """¼ cell along each axis towards the higher neighbour."""
    if border not in ("hrnet", "mmpose"):
        raise ValueError(f"border must be hrnet or mmpose, got {border!r}")
    rows, columns = h.shape
    inside_x, inside_y = 1 < x < columns - 1, 1 < y < rows - 1
    if border == "hrnet":
        inside_x = inside_y = inside_x and inside_y
    else:
        inside_x, inside_y = inside_x and y > 0, inside_y and x > 0
    dx = h[y, x + 1] - h[y, x - 1] if inside_x else 0.0
    dy = h[y + 1, x] - h[y - 1, x] if inside_y else 0.0
    return 0.25 * np.sign([dx, dy])


def _taylor(h: Floats, x: int, y: int, blur_kernel: int) -> Floats:
    """−H⁻¹g of log h at the peak, where H can be inverted."""
    if blur_kernel < 1 or blur_kernel % 2 == 0:
        raise ValueError(f"blur_kernel must be odd, got {blur_kernel}")
    rows, columns = h.shape
    if not (1 < x < columns - 2 and 1 < y < rows - 2):
        return np.zeros(2)
    log = np.log(np.maximum(_blurred(h, blur_kernel), FLOOR))
    gx, gy = (log[y, x + 1] - log[y, x - 1]) / 2, (log[y + 1, x] - log[y - 1, x]) / 2
    xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
    yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
    xy = (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]) / 4
    determinant = xx * yy - xy**2
    if determinant == 0:
        return np.zeros(2)
    return -np.array([yy * gx - xy * gy, xx * gy - xy * gx]) / determinant


def _blurred(h: Floats, kernel: int) -> Floats:
    """The map under a Gaussian of that many cells, zeros around it, its height as before."""
    spread = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8  # OpenCV's σ of a kernel: 2 for 11, 2.9 for 17
    soft: Floats = np.asarray(cv2.GaussianBlur(h, (kernel, kernel), spread, borderType=cv2.BORDER_CONSTANT), np.float64)
    return soft * (h.max() / (soft.max() + 1e-12))
