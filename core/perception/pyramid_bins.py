"""The bins of a pyramid over a whole map: boxes, how often each cell is read, and which levels are maxima of others.

Source: He et al., arXiv:1406.4729, §2.2; ShaoqingRen/SPP_net utils/spm_pool/spm_pool_caffe_mex.cpp.
Notation: an h×w map, level n has n×n bins; both axes follow `pooling_bins.bin_edges` separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.pooling_bins import Bin, BinReport, Rule, bin_report, positive

Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class LevelBins:
    """The bins of one pyramid level over an h×w map; rows and columns follow the rule separately."""

    level: int  # n, n×n bins wanted
    rows: BinReport  # along the height
    columns: BinReport  # along the width
    boxes: tuple[Box, ...]  # (x0, y0, x1, y1) half-open in cells, row-major: bin k is row k // columns.windows
    reads: npt.NDArray[np.int64]  # (h, w) how many bins read each cell

    @property
    def windows(self) -> int:
        """Bins that the rule really gives."""
        return len(self.boxes)

    @property
    def wanted(self) -> int:
        """n²."""
        return self.level**2

    @property
    def right_count(self) -> bool:
        """Both axes give n bins."""
        return self.rows.right_count and self.columns.right_count

    @property
    def agrees(self) -> bool:
        """Exactly the bins of "adaptive"."""
        return self.rows.agrees and self.columns.agrees

    @property
    def unread_cells(self) -> int:
        """Cells of the map that no bin reads."""
        return int(np.count_nonzero(self.reads == 0))

    @property
    def shared_cells(self) -> int:
        """Cells that more than one bin reads."""
        return int(np.count_nonzero(self.reads > 1))


def level_bins(height: int, width: int, level: int, *, rule: Rule = "adaptive") -> LevelBins:
    """All bins of one level as boxes over the map, with how often each cell is read.

    Convention: as `bin_edges`, for rows and columns separately.

    Args:
        height, width: h, w ≥ 1 cells of the map.
        level: n ≥ 1.
        rule: one of `RULES`.

    Raises:
        TypeError: if an argument is no whole number.
        ValueError: if one is below 1 or the rule is unknown.

    Source: as `bin_edges`.
    Differs: the paper speaks of square maps only; §2.3 is applied to each axis.

    >>> level = level_bins(10, 13, 4, rule="paper")
    >>> print(level.windows, level.boxes[0], level.unread_cells)
    16 (0, 0, 4, 3) 13
    """
    n = positive("level", level)
    rows = bin_report(positive("height", height), n, rule=rule)
    columns = bin_report(positive("width", width), n, rule=rule)
    boxes = tuple((x0, y0, x1, y1) for y0, y1 in rows.edges for x0, x1 in columns.edges)
    return LevelBins(n, rows, columns, boxes, np.outer(rows.reads, columns.reads).astype(np.int64))


@dataclass(frozen=True, slots=True)
class PyramidBins:
    """The bins of all levels over an h×w map."""

    rule: Rule
    height: int  # h, cells
    width: int  # w, cells
    levels: tuple[LevelBins, ...]  # in the given order

    @property
    def windows(self) -> int:
        """Bins of all levels that the rule really gives: the vector's length per channel."""
        return sum(level.windows for level in self.levels)

    @property
    def wanted(self) -> int:
        """Σn², the length that a network's next layer was built for."""
        return sum(level.wanted for level in self.levels)

    @property
    def right_count(self) -> bool:
        """Every level has n×n bins."""
        return all(level.right_count for level in self.levels)

    @property
    def nested_from(self) -> tuple[int | None, ...]:
        """(L,) per level the index of the finer level whose bins its own bins are unions of; None: read the map.

        Of several such levels the coarsest, since it has the fewest values.
        """
        return nested_levels(self.levels)


def nested_levels(levels: Sequence[LevelBins]) -> tuple[int | None, ...]:
    """For each level the coarsest other one from whose maxima its own can be taken, as an index; None if there is none.

    A level nests in a finer one with k times as many bins if each of its bins begins where the first of k fine ones
    does, ends where the last does, and these leave no gap, on both axes. The adaptive rule nests whenever n divides
    the finer level, for every size of the map: ⌊jk·a/(kn)⌋ = ⌊j·a/n⌋, and neighbours touch or overlap.

    Args:
        levels: of one map, in any order.

    Returns:
        (L,) indices; of equal levels the later ones nest in the first.

    Source: derived here; He et al. pool each level from the map.
    Differs: nothing.

    >>> print(nested_levels([level_bins(13, 11, n) for n in (6, 3, 2, 1)]))
    (None, 0, 0, 2)
    """
    found: list[int | None] = []
    for i, coarse in enumerate(levels):
        finer = [
            j
            for j, fine in enumerate(levels)
            if (fine.level > coarse.level or (fine.level == coarse.level and j < i))
            and _nests(fine.rows.edges, coarse.rows.edges)
            and _nests(fine.columns.edges, coarse.columns.edges)
        ]
        found.append(min(finer, key=lambda j: (levels[j].windows, j), default=None))
    return tuple(found)


def _nests(fine: tuple[Bin, ...], coarse: tuple[Bin, ...]) -> bool:
    """Each coarse bin is the union of the same number of consecutive fine bins."""
    if not fine or not coarse or len(fine) % len(coarse):
        return False
    k = len(fine) // len(coarse)
    for i, (start, end) in enumerate(coarse):
        group = fine[i * k : (i + 1) * k]
        gap = any(before[1] < after[0] for before, after in pairwise(group))
        if gap or (group[0][0], group[-1][1]) != (start, end):
            return False
    return True


def finest_first(levels: Sequence[LevelBins]) -> tuple[int, ...]:
    """The order in which levels are pooled: each after the finer one that it may be taken from.

    Args:
        levels: of one map, in any order.

    Returns:
        (L,) indices, equal levels in their own order.

    Source: as `nested_levels`.
    Differs: nothing.

    >>> print(finest_first([level_bins(9, 9, n) for n in (1, 4, 2)]))
    (1, 2, 0)
    """
    return tuple(sorted(range(len(levels)), key=lambda i: -levels[i].level))


def nested_bins(fine: LevelBins, coarse: LevelBins, bin: int) -> tuple[int, ...]:
    """Which bins of a finer level make up one bin of a coarser level that nests in it.

    Args:
        fine: the level that `PyramidBins.nested_from` names for the coarse one.
        coarse: the other.
        bin: row-major number of the coarse bin.

    Returns:
        row-major numbers of the fine bins.

    Raises:
        ValueError: if the coarse level does not nest in the fine one.

    Source: as `nested_levels`.
    Differs: nothing.

    >>> print(nested_bins(level_bins(13, 11, 4), level_bins(13, 11, 2), 1))
    (2, 3, 6, 7)
    """
    if not _nests(fine.rows.edges, coarse.rows.edges) or not _nests(fine.columns.edges, coarse.columns.edges):
        raise ValueError(f"coarse must nest in fine, got levels {coarse.level} and {fine.level} with other edges")
    high, wide = fine.rows.windows // coarse.rows.windows, fine.columns.windows // coarse.columns.windows
    row, column = divmod(bin, coarse.columns.windows)
    return tuple(
        y * fine.columns.windows + x
        for y in range(row * high, (row + 1) * high)
        for x in range(column * wide, (column + 1) * wide)
    )


def pyramid_bins(height: int, width: int, levels: Sequence[int] = (1, 2, 4), *, rule: Rule = "adaptive") -> PyramidBins:
    """The bins of a whole pyramid over an h×w map.

    Convention: as `bin_edges`; levels keep the given order (the vector, and so a checkpoint, depends on it).

    Args:
        height, width: h, w ≥ 1 cells of the map.
        levels: bins per side of each level, at least one; (1, 2, 4) gives 21 bins, (6, 3, 2, 1) SPP-net's 50.
        rule: one of `RULES`.

    Raises:
        TypeError: if an argument is no whole number.
        ValueError: if one is below 1, levels is empty, or the rule is unknown.

    Source: arXiv:1406.4729 §2.2; "spm_divs" of the released code.
    Differs: as `level_bins`.

    >>> pyramid = pyramid_bins(10, 10, (6, 3, 2, 1), rule="paper")
    >>> print(pyramid.wanted, pyramid.windows, pyramid_bins(10, 10, (6, 3, 2, 1)).nested_from)
    50 95 (None, 0, 0, 2)
    """
    checked = check_levels(levels)
    return PyramidBins(rule, height, width, tuple(level_bins(height, width, n, rule=rule) for n in checked))


def check_levels(levels: Sequence[int]) -> tuple[int, ...]:
    """The levels as ints, or a sentence that says what is wrong with them.

    Args:
        levels: bins per side of each level.

    Raises:
        TypeError: if one is no whole number.
        ValueError: if there is none, or one is below 1.

    Source: own.
    Differs: nothing.

    >>> check_levels([6, 3, 2, 1])
    (6, 3, 2, 1)
    """
    if isinstance(levels, str) or not hasattr(levels, "__len__") or not len(levels):
        raise ValueError(f"levels must list at least one number of bins per side, as in (1, 2, 4), got {levels!r}")
    for n in levels:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"levels must be whole numbers of bins per side, as in (1, 2, 4), got {n!r}")
        if n < 1:
            raise ValueError(f"levels must be at least 1 bin per side, as in (1, 2, 4), got {n}")
    return tuple(int(n) for n in levels)
