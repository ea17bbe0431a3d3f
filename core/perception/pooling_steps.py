"""Spatial pyramid pooling bin by bin: which cells, or which finer bins, each number of the vector was chosen from.

Source: He et al., arXiv:1406.4729, §2.2; as `spatial_pyramid_pooling`, of which this is one channel, step by step.
Notation: an H×W channel; level n has n×n bins; a coarse level that nests in a finer one is the maximum of its bins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.pooling_bins import Rule, bin_edges
from core.perception.pyramid_bins import Box, check_levels, finest_first, nested_bins, pyramid_bins

Point: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PoolStep:
    """After one more bin."""

    index: int  # bins pooled so far; 0: none
    level: int | None  # index of the level of the bin just pooled; None at index 0
    bin: int | None  # row-major in its level
    box: Box | None  # half-open (x0, y0, x1, y1), cells of the map
    value: float  # its maximum; NaN at index 0
    argmax_xy: Point | None  # (x, y) first maximal cell; None at index 0 and for an empty bin
    source_level: int | None  # level whose values were compared; None: cells of the map
    source_bins: tuple[int, ...]  # bins of that level that were compared
    vector: npt.NDArray[np.float64]  # (Σ bins,) one channel's numbers in the given order of levels, NaN where none yet


def pooling_steps(
    channel: npt.NDArray[np.floating[Any]], levels: Sequence[int] = (1, 2, 4), *, rule: Rule = "adaptive"
) -> Iterator[PoolStep]:
    """Pool one channel bin by bin, the finest level first, coarser ones from finer ones where they nest.

    Convention: as `spatial_pyramid_pool`, of which this is the explained form for one channel; it ends in the same
    numbers.

    Args:
        channel: (H, W) floating.
        levels: bins per side of each level.
        rule: as `bin_edges`.

    Returns:
        a generator of N + 1 steps for N bins; index 0 is the empty vector.

    Raises:
        TypeError: if channel does not hold floats or a level is no whole number.
        ValueError: if channel is not (H, W) with at least one cell, or as `spatial_pyramid_pool`; at the call.

    Source: arXiv:1406.4729 §2.2.
    Differs: one channel; as `spatial_pyramid_pool`.

    >>> steps = list(pooling_steps(np.arange(12.0).reshape(3, 4), (1, 2)))
    >>> print([(s.level, s.value) for s in steps[1:]], steps[-1].source_bins)
    [(1, 5.0), (1, 7.0), (1, 9.0), (1, 11.0), (0, 11.0)] (0, 1, 2, 3)
    """
    if not np.issubdtype(channel.dtype, np.floating):
        raise TypeError(f"channel must hold floats, got {channel.dtype}")
    if channel.ndim != 2 or not channel.size:
        raise ValueError(f"channel must be (height, width) with at least one cell, got shape {channel.shape}")
    checked = check_levels(levels)
    for size in channel.shape:
        for n in checked:
            bin_edges(size, n, rule=rule)
    return _pooling_steps(channel.astype(np.float64), checked, rule)


def _pooling_steps(channel: npt.NDArray[np.float64], levels: Sequence[int], rule: Rule) -> Iterator[PoolStep]:
    plan = pyramid_bins(channel.shape[0], channel.shape[1], levels, rule=rule)
    starts = list(accumulate((level.windows for level in plan.levels), initial=0))
    vector = [math.nan] * starts[-1]
    places: dict[tuple[int, int], Point | None] = {}
    yield PoolStep(0, None, None, None, math.nan, None, None, (), np.array(vector, np.float64))
    count = 0
    for i in finest_first(plan.levels):
        level, source = plan.levels[i], plan.nested_from[i]
        for number, (x0, y0, x1, y1) in enumerate(level.boxes):
            compared: tuple[int, ...] = ()
            if source is None:
                candidates = [(float(channel[y, x]), (x, y)) for y in range(y0, y1) for x in range(x0, x1)]
            else:
                compared = nested_bins(plan.levels[source], level, number)
                candidates = [(vector[starts[source] + k], places[source, k]) for k in compared]
            value, place = _first_maximum(candidates)
            places[i, number] = place
            vector[starts[i] + number] = value
            count += 1
            box = (x0, y0, x1, y1)
            yield PoolStep(count, i, number, box, value, place, source, compared, np.array(vector, np.float64))


def _first_maximum(candidates: Sequence[tuple[float, Point | None]]) -> tuple[float, Point | None]:
    """The largest value, NaN above all, and of equal ones the place that comes first in reading order."""
    best, where = -math.inf, None
    for value, place in candidates:
        if place is None:
            continue
        both_nan = math.isnan(value) and math.isnan(best)
        larger = value > best or (math.isnan(value) and not math.isnan(best))
        if where is None or larger or ((value == best or both_nan) and place[::-1] < where[::-1]):
            best, where = value, place
    return best, where
