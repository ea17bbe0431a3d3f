"""A box on the image becomes cells of the feature map: the rounding of SPP-net, which RoIAlign later removed.

Source: He et al., arXiv:1406.4729, appendix A; ShaoqingRen/SPP_net utils/spm_pool/spm_response_boxes.m and
spm_pool_caffe_mex.cpp.
Notation: S = stride; cell i of an axis looks at the pixel first_centre + i·S; everything counts from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Projection: TypeAlias = Literal["paper", "code"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


@dataclass(frozen=True, slots=True)
class AxisProjection:
    """One axis of a projected box."""

    start: float  # px, the box's first edge
    end: float  # px, its last edge
    exact_start: float  # cells, (start − first_centre) / S, not rounded: what RoIAlign samples
    exact_end: float  # cells
    rounded_first: int  # first cell by the formula, before any repair
    rounded_last: int  # last cell, inclusive; may lie before the first
    first: int  # first cell after repair and clamping
    last: int  # last cell, inclusive

    @property
    def crossed(self) -> bool:
        """No cell's centre lies inside: first > last, and both become their mean, rounded down."""
        return self.rounded_first > self.rounded_last

    @property
    def cells(self) -> int:
        """Cells from first to last."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class WindowProjection:
    """A box on the image as a rectangle of cells."""

    rule: Projection
    stride: int  # S, px per cell
    box_xyxy: tuple[float, float, float, float]  # px, the box as given
    x: AxisProjection
    y: AxisProjection
    cells_xyxy: tuple[int, int, int, int]  # half-open in cells: features[..., y0:y1, x0:x1]
    covered_xyxy: tuple[float, float, float, float]  # px, the image squares of side S around those cells' centres
    iou: float  # of box_xyxy and covered_xyxy: what the rounding leaves of the box; 0 for a box without area

    @property
    def cells(self) -> int:
        """Cells in the rectangle."""
        return self.x.cells * self.y.cells

    @property
    def collapsed(self) -> bool:
        """The whole box became one cell: every bin of every level then reads the same value."""
        return self.cells == 1


def project_window(
    box_xyxy: Sequence[float],
    *,
    stride: int,
    rule: Projection = "paper",
    map_size: tuple[int, int] | None = None,
    first_centre: float = 0.0,
    offset: float = 6.5,
) -> WindowProjection:
    """Cells of the feature map that stand for a box on the image.

    Convention: "paper" takes the cells whose centres lie strictly inside the box, from ⌊x/S⌋ + 1 to ⌈x/S⌉ − 1 with x
    counted from the first cell's centre; "code" is the released ⌊(x + offset)/S + ½⌋ to ⌈(x − offset)/S − ½⌉ (there
    counted from 1, as offset0 = first_centre + 1). If first > last, both become their mean, rounded down, in the code;
    the paper leaves it open, and the same is done. Then the cells are clamped to the map.

    Args:
        box_xyxy: (x0, y0, x1, y1) px, x0 ≤ x1 and y0 ≤ y1; pixel centres are whole numbers.
        stride: S ≥ 1 px per cell.
        rule: "paper" or "code".
        map_size: (h, w) of the map; None does not clamp.
        first_centre: px, where the first cell looks; 0 for a padding of half the window in every layer, as the paper
            assumes.
        offset: px by which "code" shrinks the box on each side; 6.5 is the authors', for S = 12 and S = 16.

    Raises:
        ValueError: if the box is no four finite numbers in order, or stride, map_size or rule is out of range.

    Source: arXiv:1406.4729 appendix A; spm_pool_caffe_mex.cpp x0_norm … y1_norm (offset0 21, offset 6.5, S 16: ZF-5).
    Differs: one image scale; the code first chooses one of five, nearest to a standard window size.

    >>> small = project_window((20, 40, 24, 47), stride=16, map_size=(13, 13))
    >>> print(small.cells_xyxy, small.collapsed, project_window((17, 0, 100, 47), stride=16, rule="code").cells_xyxy)
    (1, 2, 2, 3) True (1, 0, 7, 4)
    """
    box = tuple(float(v) for v in box_xyxy)
    if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
        raise ValueError(f"box_xyxy must be four finite numbers (x0, y0, x1, y1) with x0 ≤ x1 and y0 ≤ y1, got {box}")
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"stride must be a whole number of at least 1 px per cell, got {stride!r}")
    if rule not in PROJECTIONS:
        raise ValueError(f"rule must be one of {', '.join(PROJECTIONS)}, got {rule!r}")
    if map_size is not None and min(map_size) < 1:
        raise ValueError(f"map_size must be (height, width) of at least 1 cell each, got {map_size}")
    if not math.isfinite(first_centre) or not math.isfinite(offset):
        raise ValueError(f"first_centre and offset must be finite, got {first_centre} and {offset}")
    height, width = map_size or (None, None)
    x = _axis(box[0], box[2], stride, rule, width, first_centre, offset)
    y = _axis(box[1], box[3], stride, rule, height, first_centre, offset)
    covered = (
        first_centre + (x.first - 0.5) * stride,
        first_centre + (y.first - 0.5) * stride,
        first_centre + (x.last + 0.5) * stride,
        first_centre + (y.last + 0.5) * stride,
    )
    cells = (x.first, y.first, x.last + 1, y.last + 1)
    return WindowProjection(rule, stride, (box[0], box[1], box[2], box[3]), x, y, cells, covered, _iou(box, covered))


def _axis(
    start: float, end: float, stride: int, rule: Projection, size: int | None, first_centre: float, offset: float
) -> AxisProjection:
    u, v = start - first_centre, end - first_centre
    if rule == "paper":
        first, last = int(u // stride) + 1, int(-(-v // stride)) - 1
    else:
        first, last = math.floor((u + offset) / stride + 0.5), math.ceil((v - offset) / stride - 0.5)
    a, b = first, last
    if a > b:
        a = b = (first + last) // 2
    if size is not None:
        a, b = min(max(a, 0), size - 1), min(max(b, 0), size - 1)
    return AxisProjection(start, end, u / stride, v / stride, first, last, a, b)


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / area
