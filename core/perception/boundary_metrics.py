"""Three measures of a mask's outline: Boundary IoU, the boundary F-score of DAVIS, and the Hausdorff distance.

Source: Cheng et al., "Boundary IoU", arXiv:2103.16562; Perazzi et al., "A benchmark dataset and evaluation
methodology for video object segmentation", CVPR 2016, §5; Huttenlocher et al., "Comparing images using the Hausdorff
distance", 1993.
Notation: G target mask, P prediction mask, G_d, P_d their bands of width d px; a mask is binary, any nonzero value
is inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, mask_pair

Mask: TypeAlias = npt.NDArray[np.uint8]
Flags: TypeAlias = npt.NDArray[np.bool_]
Point: TypeAlias = tuple[int, int]

DENSE = 50  # pixels of image per outline pixel below which a distance transform is faster than a tree


@dataclass(frozen=True, slots=True)
class BoundaryIoU:
    """IoU of the bands just inside the outlines of two masks."""

    iou: float  # intersection / union; NaN if both masks are empty
    intersection: int  # pixels in both bands
    union: int  # pixels in either band
    distance_px: int  # d, width of the bands
    prediction_band: Mask  # (H, W) 0/1, P_d
    target_band: Mask  # (H, W) 0/1, G_d


def boundary_iou(prediction: Labels, target: Labels, *, dilation_ratio: float = 0.02) -> BoundaryIoU:
    """Compare only the inner bands of two masks: unlike the mask IoU it does not forgive large objects.

    Convention: d = max(1, round(ratio · √(H² + W²))), halves to even; distances are Chebyshev's (d steps of a 3×3
    erosion, done as one erosion with a (2d + 1)² square); outside the image is background, so that a mask cut by the
    border has a band there.

    Args:
        prediction, target: (H, W) bool or integer masks.
        dilation_ratio: band width as a share of the image diagonal, in (0, 1].

    Raises:
        TypeError: if a mask holds floats.
        ValueError: if the shapes differ, are not (H, W), or the ratio is out of range.

    Source: arXiv:2103.16562 eq. 2; boundary_iou/utils/boundary_utils.py of the authors' release.
    Differs: no COCO variant min(mask IoU, Boundary IoU).

    >>> target = np.zeros((100, 100), bool)
    >>> target[10:90, 10:90] = True
    >>> result = boundary_iou(np.roll(target, 2, axis=1), target)
    >>> print(result.distance_px, result.intersection, result.union, round(result.iou, 4))
    3 616 1232 0.5
    """
    if not 0 < dilation_ratio <= 1:
        raise ValueError(f"dilation_ratio must lie in (0, 1], got {dilation_ratio}")
    p, t = mask_pair(prediction, target)
    d = max(1, round(dilation_ratio * math.hypot(*t.shape)))
    p_band, t_band = _inner_band(p, d), _inner_band(t, d)
    intersection = cv2.countNonZero(p_band & t_band)
    union = cv2.countNonZero(p_band) + cv2.countNonZero(t_band) - intersection
    return BoundaryIoU(intersection / union if union else math.nan, intersection, union, d, p_band, t_band)


def _inner_band(mask: Mask, d: int) -> Mask:
    """Mask pixels that have background (or the outside of the image) within d px, Chebyshev."""
    if not mask.size:
        return mask
    square = np.ones((2 * d + 1, 2 * d + 1), np.uint8)
    eroded: Any = cv2.erode(mask, square, borderType=cv2.BORDER_CONSTANT, borderValue=[0])
    return np.bitwise_xor(mask, eroded, out=eroded)


@dataclass(frozen=True, slots=True)
class BoundaryFScore:
    """How well two outlines coincide, within a tolerance."""

    f_score: float  # 2 · precision · recall / (precision + recall); 0 if both are 0
    precision: float  # share of the prediction's outline within radius_px of the target's
    recall: float  # share of the target's outline within radius_px of the prediction's
    radius_px: int  # tolerance
    prediction_boundary: Flags  # (H, W) outline of the prediction
    target_boundary: Flags  # (H, W) outline of the target
    prediction_matched: Flags  # (H, W) those of its pixels that count for precision
    target_matched: Flags  # (H, W) those of its pixels that count for recall


def boundary_f_score(prediction: Labels, target: Labels, *, tolerance: float = 0.008) -> BoundaryFScore:
    """DAVIS' contour accuracy F: harmonic mean of the precision and recall of outline pixels.

    Convention: the outline is where a pixel differs from its right, lower or lower right neighbour, so the image
    border is no outline; a distance of exactly the radius matches. Two empty outlines score 1, one empty outline 0.
    A mask that fills the image has no outline and therefore equals an empty one here.

    Args:
        prediction, target: (H, W) bool or integer masks.
        tolerance: below 1 a share of the image diagonal, rounded up to px; from 1 on px, rounded up.

    Raises:
        TypeError: if a mask holds floats.
        ValueError: if the shapes differ, are not (H, W), or the tolerance is negative.

    Source: Perazzi et al. 2016 §5.1; davis2017/metrics.py of the DAVIS 2017 evaluation, f_measure and _seg2bmap.
    Differs: no void pixels; matches by distance instead of a dilation with a disk, with the same result.

    >>> target = np.zeros((100, 100), bool)
    >>> target[10:90, 10:90] = True
    >>> result = boundary_f_score(np.roll(target, 3, axis=1), target)
    >>> print(result.radius_px, round(result.precision, 4), round(result.f_score, 4))
    2 0.5125 0.5125
    """
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must not be negative, got {tolerance}")
    p, t = mask_pair(prediction, target)
    radius = math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(*t.shape))
    p_line, t_line = _outline(p), _outline(t)
    p_matched, t_matched = _matched(p_line, t_line, radius), _matched(t_line, p_line, radius)
    p_all, t_all = int(np.count_nonzero(p_line)), int(np.count_nonzero(t_line))
    precision = int(np.count_nonzero(p_matched)) / p_all if p_all else 1.0
    recall = int(np.count_nonzero(t_matched)) / t_all if t_all else 1.0
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return BoundaryFScore(f, precision, recall, radius, p_line, t_line, p_matched, t_matched)


def _outline(mask: Mask) -> Flags:
    """Pixels unlike their right, lower or lower right neighbour; the last row and column are continued outwards."""
    if not mask.size:
        return mask.astype(np.bool_)
    m = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here, right, below, diagonal = m[:-1, :-1], m[:-1, 1:], m[1:, :-1], m[1:, 1:]
    return (here != right) | (here != below) | (here != diagonal)


def _squared_distances(points: Flags, goal: Flags) -> npt.NDArray[np.float64]:
    """(N,) squared Euclidean distance in px² from each of the N points to the nearest goal pixel; inf without goal.

    Outlines are thin: a tree of the few goal pixels beats a distance transform of the whole image. Where they are
    dense the transform is faster; its float32 root is undone by rounding (squares are whole numbers), exactly up to
    √(2²²) = 2048 px and to 1e-7 relative beyond.
    """
    goals = np.argwhere(goal)
    if not goals.size:
        return np.full(int(np.count_nonzero(points)), np.inf)
    if len(goals) * DENSE < goal.size:
        # imported here, because it takes a noticeable part of the start-up
        from scipy import spatial  # pyright: ignore[reportMissingTypeStubs]

        library: Any = spatial  # SciPy has no types
        nearest: npt.NDArray[np.float64] = library.KDTree(goals).query(np.argwhere(points))[0]
        return np.rint(nearest**2)
    distance: Any = cv2.distanceTransform((~goal).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    chosen: npt.NDArray[np.float64] = distance[points].astype(np.float64)
    return np.rint(chosen**2)


def _matched(line: Flags, other: Flags, radius: int) -> Flags:
    """Those pixels of a line that lie within the radius of the other line."""
    matched = np.zeros(line.shape, np.bool_)
    matched[line] = _squared_distances(line, other) <= radius**2
    return matched


@dataclass(frozen=True, slots=True)
class HausdorffDistance:
    """How far the worst outline pixel of either mask is from the other outline."""

    distance: float  # px, the larger of the two below; inf if one mask is empty, NaN if both are
    prediction_to_target: float  # px, percentile over the prediction's outline; NaN if it is empty
    target_to_prediction: float  # px, percentile over the target's outline; NaN if it is empty
    percentile: float  # 100 is the maximum
    from_prediction: bool  # the larger one is prediction_to_target
    start: Point | None  # (x, y) px, outline pixel at the percentile, or just below it; None if undefined
    end: Point | None  # (x, y) px, the other outline's pixel nearest to start; None if undefined
    prediction_edge: Flags  # (H, W) outline of the prediction
    target_edge: Flags  # (H, W) outline of the target


def hausdorff_distance(prediction: Labels, target: Labels, *, percentile: float = 100) -> HausdorffDistance:
    """Symmetric Hausdorff distance of two masks' outlines, or its percentile (HD95).

    Convention: the outline is the mask's inner edge, pixels with a 4-neighbour outside the mask or the image. The
    percentile is taken in each direction (linear interpolation), then the larger of the two, as in MONAI; others
    pool both directions, which gives a smaller number. One empty mask: inf. Both empty: NaN.

    Args:
        prediction, target: (H, W) bool or integer masks.
        percentile: in (0, 100]; 95 forgives a few stray pixels.

    Raises:
        TypeError: if a mask holds floats.
        ValueError: if the shapes differ, are not (H, W), or the percentile is out of range.

    Source: Huttenlocher et al. 1993 eq. 1–2; MONAI monai/metrics/hausdorff_distance.py.
    Differs: pixels are square with side 1; exact for distances up to 2048 px, 1e-7 relative beyond.

    >>> target = np.zeros((50, 50), bool)
    >>> target[10:40, 10:40] = True
    >>> prediction = target.copy()
    >>> prediction[45, 45] = True
    >>> worst, most = hausdorff_distance(prediction, target), hausdorff_distance(prediction, target, percentile=95)
    >>> print(round(worst.distance, 4), worst.start, worst.end, most.distance)
    8.4853 (45, 45) (39, 39) 0.0
    """
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must lie in (0, 100], got {percentile}")
    p, t = mask_pair(prediction, target)
    p_edge, t_edge = _inner_edge(p), _inner_edge(t)
    forward, start, end = _directed(p_edge, t_edge, percentile)
    backward, back_start, back_end = _directed(t_edge, p_edge, percentile)
    from_prediction = not backward > forward
    if not from_prediction:
        start, end = back_start, back_end
    distance = max((d for d in (forward, backward) if not math.isnan(d)), default=math.nan)
    return HausdorffDistance(distance, forward, backward, percentile, from_prediction, start, end, p_edge, t_edge)


def _inner_edge(mask: Mask) -> Flags:
    if not mask.size:
        return mask.astype(np.bool_)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    eroded: Any = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=[0])
    return mask > eroded


def _directed(edge: Flags, goal: Flags, percentile: float) -> tuple[float, Point | None, Point | None]:
    """Percentile of the distances from an outline to another, the pixel that has it, and the goal pixel next to it."""
    y, x = np.nonzero(edge)
    if not y.size:
        return math.nan, None, None
    if not goal.any():
        return math.inf, None, None
    distance = np.sqrt(_squared_distances(edge, goal))
    order = np.argsort(distance, kind="stable")
    at = order[math.floor(percentile / 100 * (distance.size - 1))]
    at = int(np.argmax(distance == distance[at]))  # the topmost, then leftmost of equals
    goal_y, goal_x = np.nonzero(goal)
    nearest = int(np.argmin((goal_y - y[at]) ** 2 + (goal_x - x[at]) ** 2))
    return (
        float(np.percentile(distance, percentile)),
        (int(x[at]), int(y[at])),
        (int(goal_x[nearest]), int(goal_y[nearest])),
    )
