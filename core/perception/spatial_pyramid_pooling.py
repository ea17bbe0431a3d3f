"""Spatial pyramid pooling: a map of any size becomes a vector of one length, and every number of it has an address.

Source: He et al., "Spatial pyramid pooling in deep convolutional networks", arXiv:1406.4729; ShaoqingRen/SPP_net
utils/spm_pool/spm_pool_caffe_mex.cpp; torch.nn.functional.adaptive_max_pool2d.
Notation: features (B, C, H, W); level n has n×n bins; the vector holds C·Σn² numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from core.perception.pooling_bins import Rule, bin_edges
from core.perception.pyramid_bins import Box, LevelBins, PyramidBins, check_levels, finest_first, pyramid_bins

Order: TypeAlias = Literal["channel_major", "bin_major"]
Start: TypeAlias = Literal["lowest", "zero"]
Point: TypeAlias = tuple[int, int]

ORDERS: tuple[Order, ...] = get_args(Order)
STARTS: tuple[Start, ...] = get_args(Start)


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """One level of a pooled pyramid; R×K are the bins that the rule really gives, n×n if it counts right."""

    bins: LevelBins  # n, both axes' bins and their mistakes, in cells of the window
    boxes: tuple[Box, ...]  # (R·K) half-open (x0, y0, x1, y1) in cells of the map, row-major
    values: Tensor  # (B, C, R, K) maxima
    argmax: Tensor  # (B, C, R, K) int64, y·W + x of the first maximal pixel in reading order; −1 if there is none
    nested_from: int | None  # index of the level whose values these are the maxima of; None: pooled from the map
    values_read: int  # values compared per channel: cells of all bins, or the finer level's bins if nested
    cells_read: int  # the same without nesting: cells of all bins


@dataclass(frozen=True, slots=True)
class VectorCell:
    """The address of one number of the vector."""

    index: int  # position in the vector
    channel: int
    level: int  # index into the pyramid's levels
    bin: int  # row-major within the level
    row: int  # of the bin in its level
    column: int
    box: Box  # half-open (x0, y0, x1, y1), cells of the map
    value: float
    argmax_xy: Point | None  # (x, y) cell of the map that gave the value; None for an empty bin


@dataclass(frozen=True, slots=True)
class PoolingPyramid:
    """A map of any size as a vector of one length, with every intermediate."""

    levels: tuple[PyramidLevel, ...]  # in the given order
    vector: Tensor  # (B, C·bins) level by level; C·Σn² numbers if the rule counts right
    rule: Rule
    order: Order
    window: Box  # (x0, y0, x1, y1) half-open in cells: the part of the map that was pooled
    height: int  # H, cells of the whole map
    width: int  # W
    channels: int  # C

    @property
    def length(self) -> int:
        """Numbers in the vector of one image."""
        return self.channels * self.bins

    @property
    def bins(self) -> int:
        """Bins of all levels that the rule really gives."""
        return sum(len(level.boxes) for level in self.levels)

    @property
    def expected_length(self) -> int:
        """C·Σn², the length that the next layer was built for."""
        return self.channels * sum(level.bins.wanted for level in self.levels)

    @property
    def right_length(self) -> bool:
        """The rule kept its promise."""
        return self.length == self.expected_length

    @property
    def values_read(self) -> int:
        """Values compared per channel, coarse levels taken from fine ones where they nest."""
        return sum(level.values_read for level in self.levels)

    @property
    def cells_read(self) -> int:
        """Values compared per channel if every level were pooled from the map."""
        return sum(level.cells_read for level in self.levels)

    def index(self, *, level: int, channel: int, bin: int) -> int:
        """Position in the vector of one level's bin in one channel."""
        bins = len(self.levels[level].boxes)
        if not (0 <= channel < self.channels and 0 <= bin < bins):
            raise IndexError(
                f"channel must be below {self.channels} and bin below {bins}, got channel {channel}, bin {bin}"
            )
        before = self.channels * sum(len(other.boxes) for other in self.levels[:level])
        inside = channel * bins + bin if self.order == "channel_major" else bin * self.channels + channel
        return before + inside

    def cell(self, index: int, *, image: int = 0) -> VectorCell:
        """What stands at a position of the vector: its level, bin, channel, value and the pixel that gave it."""
        if not 0 <= index < self.length:
            raise IndexError(f"index must be from 0 to {self.length - 1}, got {index}")
        inside = index
        for number, level in enumerate(self.levels):
            bins = len(level.boxes)
            if inside < self.channels * bins:
                channel, at = divmod(inside, bins)
                if self.order == "bin_major":
                    at, channel = divmod(inside, self.channels)
                row, column = divmod(at, level.bins.columns.windows)
                value = float(level.values[image, channel, row, column].detach())
                flat = int(level.argmax[image, channel, row, column])
                xy = (flat % self.width, flat // self.width) if flat >= 0 else None
                return VectorCell(index, channel, number, at, row, column, level.boxes[at], value, xy)
            inside -= self.channels * bins
        raise AssertionError("unreachable: index was checked")


def spatial_pyramid_pool(
    features: Tensor,
    levels: Sequence[int] = (1, 2, 4),
    *,
    rule: Rule = "adaptive",
    order: Order = "channel_major",
    start: Start = "lowest",
    window: Box | None = None,
) -> PoolingPyramid:
    """Max-pool a map of any size into bins of several levels, and string their values into one vector.

    Convention: bins by `bin_edges`. Levels follow each other as given; within one, "channel_major" is channel by
    channel with the bins row by row, in the released code and in torch's flatten(1) of (B, C, n, n); "bin_major" is
    bin by bin with its channels, in frameworks that keep channels last. NaN wins over every number; of equal maxima
    the first in reading order is the argmax and takes the gradient. A level that nests in a finer one is taken from that one's
    values, bit for bit the same. Maps smaller than a level repeat cells under "adaptive", as in torch.

    Args:
        features: (B, C, H, W) floating, C, H, W ≥ 1; any strides; on any device.
        levels: bins per side of each level.
        rule: "adaptive", "paper" or "caffe", as `bin_edges`.
        order: of the vector.
        start: "lowest" is the maximum itself; "zero" is the released code, whose buffer starts at 0, so that a bin of
            negative values (none after a ReLU) gives 0 from no pixel.
        window: (x0, y0, x1, y1) half-open cells, to pool a part of the map; None is all of it.

    Returns:
        values and vector in the features' type and device, differentiable.

    Raises:
        TypeError: if features is no floating tensor or a level is no whole number.
        ValueError: if features is not (B, C, H, W), levels is empty or below 1, window leaves the map, an option is
            unknown, or the rule is "paper" and the map is smaller than a level.

    Source: arXiv:1406.4729 §2.2, §2.3, appendix A; spm_pool_caffe_mex.cpp.
    Differs: the released code forgets a NaN unless it comes last; Caffe's empty bins hold −FLT_MAX, here −inf.

    >>> features = torch.arange(2 * 5 * 7.0).view(1, 2, 5, 7)
    >>> pyramid = spatial_pyramid_pool(features, (2, 1))
    >>> print(pyramid.vector.tolist())
    [[17.0, 20.0, 31.0, 34.0, 52.0, 55.0, 66.0, 69.0, 34.0, 69.0]]
    >>> print(pyramid.cell(1).box, pyramid.cell(1).argmax_xy, pyramid.levels[1].nested_from)
    (3, 0, 7, 3) (6, 2) 0
    """
    _, channels, height, width = _shape(features)
    if order not in ORDERS or start not in STARTS:
        raise ValueError(f"order must be one of {ORDERS} and start one of {STARTS}, got {order!r} and {start!r}")
    x0, y0, x1, y1 = whole = _window(window, height, width)
    plan = _plan(y1 - y0, x1 - x0, levels, rule)
    part = features[:, :, y0:y1, x0:x1]
    done: dict[int, tuple[Tensor, Tensor]] = {}
    for i in finest_first(plan.levels):
        level, source = plan.levels[i], plan.nested_from[i]
        if source is not None:
            done[i] = _coarser(*done[source], level.rows.windows, level.columns.windows)
        elif rule == "adaptive":
            done[i] = _adaptive(part, level.level)
        else:
            done[i] = _by_box(part, level)
    made: list[PyramidLevel] = []
    for i, level in enumerate(plan.levels):
        values, argmax = done[i]
        argmax = torch.where(argmax < 0, argmax, (argmax // (x1 - x0) + y0) * width + argmax % (x1 - x0) + x0)
        if start == "zero":
            values, argmax = values.clamp_min(0), argmax.masked_fill(values <= 0, -1)
        boxes = tuple((a + x0, b + y0, c + x0, d + y0) for a, b, c, d in level.boxes)
        cells = sum((c - a) * (d - b) for a, b, c, d in boxes)
        source = plan.nested_from[i]
        read = cells if source is None else plan.levels[source].windows
        made.append(PyramidLevel(level, boxes, values, argmax, source, read, cells))
    strung = [level.values if order == "channel_major" else level.values.permute(0, 2, 3, 1) for level in made]
    vector = torch.cat([values.flatten(1) for values in strung], 1)
    return PoolingPyramid(tuple(made), vector, rule, order, whole, height, width, channels)


def pyramid_vector(features: Tensor, levels: Sequence[int] = (1, 2, 4), *, rule: Rule = "adaptive") -> Tensor:
    """The vector alone, as fast as it goes: for a network, where nobody asks which pixel gave a number.

    Convention: as `spatial_pyramid_pool` in its channel-major order, bit for bit but for the sign of a zero. Rows are
    pooled before columns, whole rows at a time, and levels that nest are taken from the finer one.

    Args:
        features: (B, C, H, W) floating.
        levels: bins per side of each level.
        rule: as `bin_edges`.

    Returns:
        (B, C·bins) in the features' type and device, differentiable.

    Raises:
        TypeError: if features is no floating tensor or a level is no whole number.
        ValueError: as `spatial_pyramid_pool`.

    Source: as `spatial_pyramid_pool`; the maximum over a rectangle is that of its columns' maxima.
    Differs: no argmax; equal maxima share the gradient in another way.

    >>> print(pyramid_vector(torch.arange(35.0).view(1, 1, 5, 7), (2, 1)).tolist())
    [[17.0, 20.0, 31.0, 34.0, 34.0]]
    """
    _, _, height, width = _shape(features)
    plan = _plan(height, width, levels, rule)
    done: dict[int, Tensor] = {}
    for i in finest_first(plan.levels):
        level, source = plan.levels[i], plan.nested_from[i]
        if source is None:
            rows = torch.stack([_maximum(features, 2, *edges) for edges in level.rows.edges], 2)
            if rule == "adaptive":  # rows are bins by now, and one call for all columns is faster than n
                done[i] = torch.nn.functional.adaptive_max_pool2d(rows, level.level)
            else:
                done[i] = torch.stack([_maximum(rows, 3, *edges) for edges in level.columns.edges], 3)
        else:
            done[i] = _grouped(done[source], level.rows.windows, level.columns.windows).amax(-1)
    return torch.cat([done[i].flatten(1) for i in range(len(plan.levels))], 1)


def _maximum(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    """Maximum over part of an axis; −inf over nothing."""
    if start == end:
        return torch.full_like(x.select(dim, 0), -math.inf)
    return x.narrow(dim, start, end - start).amax(dim)


def _plan(height: int, width: int, levels: Sequence[int], rule: Rule) -> PyramidBins:
    """The bins, or a sentence where the rule has none."""
    checked = check_levels(levels)
    for n in checked:
        for size in (height, width):
            bin_edges(size, n, rule=rule)
    return pyramid_bins(height, width, checked, rule=rule)


def _shape(features: Tensor) -> tuple[int, int, int, int]:
    if not isinstance(features, Tensor) or not features.is_floating_point():  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = getattr(features, "dtype", type(features).__name__)
        raise TypeError(f"features must be a floating tensor, got {kind}: convert it with .float()")
    if features.ndim != 4 or min(features.shape[1:]) < 1:
        raise ValueError(
            f"features must be (batch, channels, height, width) with at least one channel, row and column, "
            f"got shape {tuple(features.shape)}"
        )
    batch, channels, height, width = features.shape
    return batch, channels, height, width


def _window(window: Box | None, height: int, width: int) -> Box:
    if window is None:
        return 0, 0, width, height
    x0, y0, x1, y1 = window
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(
            f"window must be half-open cells (x0, y0, x1, y1) inside the {height}×{width} map, got {tuple(window)}"
        )
    return x0, y0, x1, y1


def _adaptive(part: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Maxima and flat argmax (first in reading order) of n×n adaptive bins."""
    pooled: Any = torch.nn.functional.adaptive_max_pool2d(part, n, return_indices=True)
    values, argmax = pooled
    if values.isnan().any():  # torch points at the last NaN of a bin
        first: Any = torch.nn.functional.adaptive_max_pool2d(part.isnan().float(), n, return_indices=True)
        argmax = torch.where(values.isnan(), first[1], argmax)
        values = part.flatten(2).gather(2, argmax.flatten(2)).view_as(values)
    return values, argmax


def _by_box(part: Tensor, level: LevelBins) -> tuple[Tensor, Tensor]:
    """Maxima and flat argmax of any bins, one after the other."""
    batch, channels, _, width = part.shape
    values, argmax = list[Tensor](), list[Tensor]()
    for x0, y0, x1, y1 in level.boxes:
        if x0 == x1 or y0 == y1:
            values.append(part.new_full((batch, channels), -math.inf))
            argmax.append(torch.full((batch, channels), -1, device=part.device))
            continue
        value, at = part[:, :, y0:y1, x0:x1].flatten(2).max(-1)
        values.append(value)
        argmax.append((at // (x1 - x0) + y0) * width + at % (x1 - x0) + x0)
    shape = batch, channels, level.rows.windows, level.columns.windows
    return torch.stack(values, -1).view(shape), torch.stack(argmax, -1).view(shape)


def _coarser(values: Tensor, argmax: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """A level as the maxima of a finer one; of equal maxima the pixel that comes first, not the bin."""
    group, at = _grouped(values, rows, columns), _grouped(argmax, rows, columns)
    best = group.detach().amax(-1, keepdim=True)
    wins = ((group.detach() == best) | group.detach().isnan()) & (at >= 0)
    chosen = at.masked_fill(~wins, torch.iinfo(torch.int64).max).argmin(-1, keepdim=True)
    return group.gather(-1, chosen).squeeze(-1), at.gather(-1, chosen).squeeze(-1)


def _grouped(x: Tensor, rows: int, columns: int) -> Tensor:
    """(B, C, rows·h, columns·w) as (B, C, rows, columns, h·w)."""
    high, wide = x.shape[2] // rows, x.shape[3] // columns
    parted = x.reshape(*x.shape[:2], rows, high, columns, wide).transpose(3, 4)
    return parted.reshape(*x.shape[:2], rows, columns, high * wide)


def check_features(features: Tensor, levels: Sequence[int]) -> None:
    """Refuse a map of which a pyramid would say nothing useful: too small for the finest level, or not finite.

    `spatial_pyramid_pool` itself does what torch does with such maps (cells repeat, NaN spreads); an interface asks
    here first.

    Args:
        features: (B, C, H, W) floating.
        levels: bins per side of each level.

    Raises:
        TypeError: if features is no floating tensor or a level is no whole number.
        ValueError: if features is not (B, C, H, W) or not finite, its map is smaller than the finest level, or levels
            is empty or below 1.

    Source: own.
    Differs: nothing.

    >>> check_features(torch.zeros(1, 1, 3, 5), (1, 2, 4))
    Traceback (most recent call last):
    ValueError: features must have at least 4 rows and columns for the finest level 4×4, got a 3×5 map: use a larger
        image, a smaller stride or a coarser finest level
    """
    _, _, height, width = _shape(features)
    finest = max(check_levels(levels))
    if min(height, width) < finest:
        raise ValueError(
            f"features must have at least {finest} rows and columns for the finest level {finest}×{finest}, got a "
            f"{height}×{width} map: use a larger image, a smaller stride or a coarser finest level"
        )
    bad = int(features.numel() - features.isfinite().sum())
    if bad:
        raise ValueError(
            f"features must be finite, got {bad} of {features.numel()} that are NaN or infinite: replace them, "
            "for example with torch.nan_to_num"
        )
