"""How many taps of a dilated 3×3 filter still lie on the map: why ASPP's large rates shrink to a 1×1 filter.

Source: Chen et al., "Rethinking atrous convolution for semantic image segmentation", arXiv:1706.05587, §3.3, figure 4.
Notation: an n×n map (or h×w), rate r: taps at −r, 0 and r in both directions; a ASPP block has rates 6, 12 and 18.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.perception.pooling_bins import positive


@dataclass(frozen=True, slots=True)
class AtrousCoverage:
    """Where on the map the nine taps of a 3×3 filter fall."""

    height: int  # cells
    width: int  # cells
    rate: int  # r, cells between taps
    taps: npt.NDArray[np.int64]  # (h, w) taps of the filter centred there that lie on the map, 1…9
    all_taps: float  # share of positions with all nine taps, ((n − 2r)₊/n)² on a square map
    one_tap: float  # share of positions where only the centre is left: the filter is a 1×1 there
    mean_taps: float  # taps on the map, mean over the positions

    @property
    def positions(self) -> int:
        """h·w."""
        return self.height * self.width

    @property
    def shares(self) -> tuple[tuple[int, float], ...]:
        """(taps, share of positions) for 1, 2, 3, 4, 6 and 9 taps, the products of two axes' 1, 2 or 3."""
        return tuple((k, int(np.count_nonzero(self.taps == k)) / self.positions) for k in (1, 2, 3, 4, 6, 9))


def atrous_coverage(size: int | tuple[int, int], rate: int) -> AtrousCoverage:
    """Share of positions at which a 3×3 filter of a given rate still sees all its nine taps, or its centre alone.

    Convention: zero padding of r, so the output has the size of the map; a tap in the padding multiplies a zero and
    does not count.

    Args:
        size: n, or (height, width), at least 1 cell.
        rate: r ≥ 1; 1 is an ordinary 3×3.

    Raises:
        TypeError: if size or rate is no whole number.
        ValueError: if one is below 1.

    Source: closed form behind arXiv:1706.05587 figure 4, derived here: an axis keeps 3 taps at (n − 2r)₊ positions
        and 1 tap at min(n, (2r − n)₊).
    Differs: counts positions, not weights; the image-level pooling branch of ASPP is not included.

    >>> print([round(atrous_coverage(65, r).all_taps, 3) for r in (6, 12, 18, 24, 32)])
    [0.665, 0.398, 0.199, 0.068, 0.0]
    >>> print(round(atrous_coverage(65, 48).one_tap, 3), round(atrous_coverage(65, 64).one_tap, 3))
    0.227 0.939
    """
    height, width = (size, size) if isinstance(size, int) else size
    h, w, r = positive("size", height), positive("size", width), positive("rate", rate)
    taps = np.outer(_axis_taps(h, r), _axis_taps(w, r)).astype(np.int64)
    total = h * w
    every, alone = int(np.count_nonzero(taps == 9)), int(np.count_nonzero(taps == 1))
    return AtrousCoverage(h, w, r, taps, every / total, alone / total, int(taps.sum()) / total)


def _axis_taps(size: int, rate: int) -> npt.NDArray[np.int64]:
    """(size,) how many of i − r, i, i + r lie in 0…size − 1."""
    i = np.arange(size)
    return 1 + (i >= rate).astype(np.int64) + (i + rate < size).astype(np.int64)
