"""Do two clouds of particles come from one distribution? Kolmogorov–Smirnov on a line, energy distance in any dimension.

Source: Kolmogorov 1933, Smirnov 1948; Székely & Rizzo 2013, "Energy statistics".
Notation: F_a, F_b empirical distribution functions, D their largest difference, n_a, n_b sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """The largest difference of two distribution functions, and how likely one at least so large is by chance."""

    statistic: float  # D in [0, 1]
    p_value: float  # chance of D or more for two samples of one distribution, in the limit of many points
    at: float  # where the difference is attained
    above: bool  # the first distribution function is the larger one there


def ks_two_sample(a: Tensor, b: Tensor) -> KolmogorovSmirnov:
    """Compare two samples on a line.

    Convention: two-sided; p from Kolmogorov's limit with √(n_a n_b/(n_a + n_b))·D, good from some dozens of points. It
    assumes independent samples: lanes that share noise agree better than chance.

    Args:
        a: (n_a,) numbers.
        b: (n_b,) numbers.

    Raises:
        ValueError: if a sample is empty, not one-dimensional or not finite.

    Source: Smirnov 1948; SciPy ks_2samp.
    Differs: no exact p for few points.

    >>> found = ks_two_sample(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([2.5, 3.5, 4.5, 5.5]))
    >>> print(found.statistic, round(found.p_value, 4), found.at)
    0.75 0.2106 2.0
    """
    for name, sample in (("a", a), ("b", b)):
        _check_line(name, sample)
    a, b = a.sort().values, b.sort().values
    both = torch.cat([a, b])
    apart = _share(a, both) - _share(b, both)
    worst = int(apart.abs().argmax())
    d = float(apart[worst].abs())
    effective = len(a) * len(b) / (len(a) + len(b))
    return KolmogorovSmirnov(d, _tail(d, effective), float(both[worst]), bool(apart[worst] > 0))


def ks_one_sample(sample: Tensor, mixture: GaussianMixture) -> KolmogorovSmirnov:
    """Compare a sample on a line with an exactly known 1-D mixture.

    Convention: two-sided; p from Kolmogorov's limit with √n·D.

    Args:
        sample: (n,) numbers.
        mixture: 1-D, for example `mixture.diffused(α, σ).project(direction)`.

    Raises:
        ValueError: if the sample is empty, not one-dimensional or not finite, or the mixture is not 1-D.

    Source: Kolmogorov 1933; SciPy kstest.
    Differs: no exact p for few points.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> found = ks_one_sample(torch.tensor([0.0]), gaussian_mixture([1.0], [[0.0]], 1.0))
    >>> found.statistic
    0.5
    """
    _check_line("sample", sample)
    x = sample.sort().values
    f = mixture.cdf(x.to(mixture.means))
    ranks = torch.arange(len(x) + 1, dtype=f.dtype, device=f.device) / len(x)
    over, under = ranks[1:] - f, f - ranks[:-1]
    above = bool(over.max() >= under.max())
    side = over if above else under
    worst = int(side.argmax())
    d = float(side[worst])
    return KolmogorovSmirnov(d, _tail(d, len(x)), float(x[worst]), above)


def energy_distance(a: Tensor, b: Tensor) -> float:
    """√(2E|a − b| − E|a − a'| − E|b − b'|): 0 for equal clouds, in the units of the points.

    Convention: V-statistic (a point's distance 0 to itself counts), so it is never negative; √ as in SciPy.

    Args:
        a: (n_a, d) points.
        b: (n_b, d) points.

    Raises:
        ValueError: if a cloud is empty or the dimensions differ.

    Source: Székely & Rizzo 2013; SciPy energy_distance (1-D).
    Differs: memory grows with n_a·n_b.

    >>> round(energy_distance(torch.tensor([[0.0]]), torch.tensor([[2.0]])), 4)
    2.0
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"a and b must have the shapes (N, d) and (M, d), got {tuple(a.shape)} and {tuple(b.shape)}")

    def mean_distance(p: Tensor, q: Tensor) -> float:
        return float(torch.cdist(p, q, compute_mode="donot_use_mm_for_euclid_dist").mean())

    return math.sqrt(max(0.0, 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)))


def _share(sorted_sample: Tensor, at: Tensor) -> Tensor:
    """Empirical distribution function, float64."""
    return torch.searchsorted(sorted_sample, at, right=True).double() / len(sorted_sample)


def _tail(d: float, effective: float) -> float:
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    library: Any = special  # SciPy has no types
    return float(library.kolmogorov(math.sqrt(effective) * d))


def _check_line(name: str, sample: Tensor) -> None:
    if sample.ndim != 1 or not len(sample) or not bool(torch.isfinite(sample).all()):
        raise ValueError(
            f"{name} must hold at least one finite number in one axis, got the shape {tuple(sample.shape)}"
        )
