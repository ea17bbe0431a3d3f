"""Langevin dynamics, plain and annealed, with both conventions for the step size, and NCSNv2's rules for noise levels.

Source: Song & Ermon, arXiv:1907.05600 (NCSN), algorithm 1; Song & Ermon, arXiv:2006.09011 (NCSNv2), propositions 1–3 and
techniques 1–5; ermongroup/ncsn and ncsnv2 for the code's conventions.
Notation: s score, z noise, σ_1 > … > σ_L noise levels, ε the paper's step, step_lr the code's, γ = σ_i/σ_{i+1}.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals

StepConvention = Literal["paper", "repository"]
FEW = 4096  # numbers: below this, Python costs more than arithmetic
NoisyScore: TypeAlias = Callable[[Tensor, float], Tensor]  # (N, …) points, σ -> (N, …) score of the data with noise σ


@dataclass(frozen=True, slots=True)
class LangevinStep:
    """All particles after one step of Langevin dynamics."""

    index: int  # 0 for the start
    level: int  # which noise level, from 0; 0 for plain dynamics
    sigma: float  # its σ; 0 for plain dynamics
    x: Tensor  # (N, …) particles; row i is the same particle in every step
    drift: float  # factor of the score in this step; 0 at the start
    noise: float  # standard deviation of this step's noise; 0 at the start and in a final denoising


def step_factors(step_size: float, convention: StepConvention) -> tuple[float, float]:
    """(factor of the score, standard deviation of the noise) of a Langevin step: the same number, two meanings.

    Convention: "paper" x ← x + (ε/2)s + √ε z (NCSN's algorithm 1, and the repository's own toy script); "repository"
    x ← x + step·s + √(2·step) z (its image runners, NCSNv2). So ε = 2·step_lr gives the same dynamics.

    Args:
        step_size: ε or step_lr, not negative.
        convention: which of them.

    Raises:
        ValueError: if the step is negative or not finite, or the convention unknown.

    Source: arXiv:1907.05600 eq. 4; ncsn runners/anneal_runner.py; ncsnv2 models/__init__.py.
    Differs: nothing.

    >>> print(step_factors(0.02, "paper"), step_factors(0.02, "repository"))
    (0.01, 0.1414213562373095) (0.02, 0.2)
    """
    if not 0 <= step_size < math.inf:
        raise ValueError(f"step_size must not be negative, got {step_size}")
    if convention == "paper":
        return step_size / 2, math.sqrt(step_size)
    if convention == "repository":
        return step_size, math.sqrt(2 * step_size)
    raise ValueError(f"convention must be paper or repository, got {convention!r}")


def langevin(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    step_size: float,
    steps: int,
    seed: int,
    convention: StepConvention = "paper",
) -> Iterator[LangevinStep]:
    """Plain (unadjusted) Langevin dynamics: walk uphill in log p, with noise.

    Args:
        score: ∇ log p of (N, …) points.
        x: (N, …) start.
        step_size: ε or step_lr by the convention.
        steps: updates, ≥ 0; there are steps + 1 states.
        seed: of the noise; row i depends on seed, step and i only.
        convention: see `step_factors`.

    Raises:
        ValueError: if an option is out of range or x is not finite.

    Source: arXiv:1907.05600 eq. 4.
    Differs: no Metropolis correction, as in the paper.

    >>> *_, last = langevin(lambda x: -x, torch.zeros(5000, 1).double(), step_size=0.1, steps=200, seed=0)
    >>> print(last.index, round(float(last.x.var()), 2))
    200 1.05
    """
    _check(x, steps)
    drift, noise = step_factors(step_size, convention)
    return _langevin(score, x, drift, noise, steps, seed)


def _langevin(
    score: Callable[[Tensor], Tensor], x: Tensor, drift: float, noise: float, steps: int, seed: int
) -> Iterator[LangevinStep]:
    yield LangevinStep(0, 0, 0.0, x.clone(), 0.0, 0.0)
    for i in range(steps):
        z = _noise(seed, i, x)
        x = x + drift * score(x) + noise * z
        yield LangevinStep(i + 1, 0, 0.0, x, drift, noise)


def annealed_langevin(
    score: NoisyScore,
    x: Tensor,
    sigmas: Sequence[float],
    *,
    step_size: float,
    steps_each: int,
    seed: int,
    convention: StepConvention = "paper",
    final_denoise: bool = False,
) -> Iterator[LangevinStep]:
    """Annealed Langevin dynamics: the same walk through smoother to sharper landscapes, with steps ∝ σ².

    Convention: α_i = step_size·σ_i²/σ_L², used by `step_factors`; NCSNv2 ends with x + σ_L²·s (`final_denoise`).

    Args:
        score: ∇ log q_σ(x).
        x: (N, …) start.
        sigmas: falling, at least one.
        step_size: at the last level.
        steps_each: T updates per level, ≥ 1.
        seed: of the noise; row i depends on seed, step and i only.
        convention: see `step_factors`.
        final_denoise: one more state, without noise.

    Raises:
        ValueError: if an option is out of range, the levels do not fall, or x is not finite.

    Source: arXiv:1907.05600 algorithm 1; arXiv:2006.09011 algorithm 1 (denoising).
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)
    >>> start = 8 * torch.rand(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    >>> sigmas = geometric_levels(20.0, 1.0, 10)
    >>> walk = annealed_langevin(smoothed_score(two), start, sigmas, step_size=0.1, steps_each=50, seed=0)
    >>> *_, last = walk
    >>> print(last.index, last.level, round(float(mode_shares(two, last.x)[0]), 2))
    500 9 0.78
    """
    _check(x, steps_each)
    if steps_each < 1:
        raise ValueError(f"steps_each must be at least 1, got {steps_each}")
    levels = list(sigmas)
    if not levels or levels[-1] <= 0 or any(not b < a for a, b in pairwise(levels)):
        raise ValueError(f"sigmas must be at least one, above 0 and falling, got {levels[:5]}")
    step_factors(step_size, convention)
    return _annealed_langevin(score, x, levels, step_size, steps_each, seed, convention, final_denoise)


def _annealed_langevin(
    score: NoisyScore,
    x: Tensor,
    sigmas: list[float],
    step_size: float,
    steps_each: int,
    seed: int,
    convention: StepConvention,
    final_denoise: bool,
) -> Iterator[LangevinStep]:
    index = 0
    yield LangevinStep(0, 0, sigmas[0], x.clone(), 0.0, 0.0)
    for level, sigma in enumerate(sigmas):
        drift, noise = step_factors(step_size * (sigma / sigmas[-1]) ** 2, convention)
        for _ in range(steps_each):
            z = _noise(seed, index, x)
            x = x + drift * score(x, sigma) + noise * z
            index += 1
            yield LangevinStep(index, level, sigma, x, drift, noise)
    if final_denoise:
        last = sigmas[-1]
        yield LangevinStep(index + 1, len(sigmas) - 1, last, x + last**2 * score(x, last), last**2, 0.0)


def smoothed_score(mixture: GaussianMixture, *, toy: bool = False) -> NoisyScore:
    """∇ log q_σ of a mixture with noise σ added, for annealed dynamics.

    Convention: variances are Λ + σ². The repository's toy script sets them to σ² itself (`toy`), which forgets the data's own
    spread and is exact only in the limit of large σ.

    Args:
        mixture: the data.
        toy: the toy script's variances.

    Source: arXiv:1907.05600 §3.2.2; ncsn runners/toy_runner.py.
    Differs: for few points and round components what depends on σ alone is computed once, as thousands of steps call this.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> one, x = gaussian_mixture([1.0], [[0.0]], 1.0), torch.ones(1, 1, dtype=torch.float64)
    >>> print(float(smoothed_score(one)(x, 1.0)), float(smoothed_score(one, toy=True)(x, 1.0)))
    -0.5 -1.0
    """
    used = mixture
    if toy:
        used = GaussianMixture(mixture.weights, mixture.means, torch.zeros_like(mixture.variances), mixture.axes)

    known: dict[
        float, tuple[Tensor, Tensor]
    ] = {}  # by σ: half the inverse variances and the constants of log r_k, (K, 1)
    columns = used.means.mT[:, :, None]  # (d, K, 1)

    def score(x: Tensor, sigma: float) -> Tensor:
        if used.axes is not None or x.ndim != 2 or x.shape[1] != used.dim or x.numel() * used.components > FEW:
            return used.score(x, sigma=sigma)
        if sigma not in known:
            v = used.variances[:, :1] + sigma**2
            known[sigma] = 0.5 / v, used.weights.log()[:, None] - 0.5 * used.dim * v.log()
        half, constant = known[sigma]
        apart = columns - x.mT[:, None, :]  # (d, K, N)
        joint = torch.addcmul(constant, half, apart.square().sum(0), value=-1)
        return (apart * (torch.softmax(joint, 0) * (2 * half))).sum(1).mT

    return score


def mode_shares(mixture: GaussianMixture, x: Tensor) -> Tensor:
    """Share of the particles that each component claims, (K,): to be compared with the mixture's weights.

    Convention: a particle belongs to the component with the largest responsibility for it.

    Args:
        mixture: the data.
        x: (N, d) particles.

    Raises:
        ValueError: if there is no particle.

    Source: definition.
    Differs: the repository's toy script counts by the nearer mode.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[5.0], [-5.0]], 1.0)
    >>> mode_shares(two, torch.tensor([[4.0], [6.0], [-4.0]], dtype=torch.float64)).tolist()
    [0.6666666666666666, 0.3333333333333333]
    """
    if not len(x):
        raise ValueError("x must hold at least one particle, got none")
    chosen = mixture.responsibilities(x).argmax(-1)
    return torch.bincount(chosen, minlength=mixture.components).double() / len(x)


def share_error(share: float, particles: int) -> float:
    """Standard deviation of a share counted over so many independent particles: √(share(1 − share)/n).

    Args:
        share: in [0, 1].
        particles: ≥ 1.

    Raises:
        ValueError: if one is out of range.

    Source: the binomial distribution.
    Differs: nothing.

    >>> round(share_error(0.8, 1280), 4)
    0.0112
    """
    if not 0 <= share <= 1 or particles < 1:
        raise ValueError(f"share must lie in [0, 1] and particles be at least 1, got {share} and {particles}")
    return math.sqrt(share * (1 - share) / particles)


def geometric_levels(sigma_max: float, sigma_min: float, levels: int) -> list[float]:
    """L noise levels σ_1 … σ_L with one ratio.

    Args:
        sigma_max, sigma_min: first and last, 0 < sigma_min < sigma_max.
        levels: L ≥ 2.

    Raises:
        ValueError: if they are out of range.

    Source: arXiv:1907.05600 §4.1.
    Differs: nothing.

    >>> [round(s, 3) for s in geometric_levels(20.0, 1.0, 4)]
    [20.0, 7.368, 2.714, 1.0]
    """
    if not 0 < sigma_min < sigma_max < math.inf or levels < 2:
        raise ValueError(
            f"levels must be at least 2 and 0 < sigma_min < sigma_max, got {levels}, {sigma_min} and {sigma_max}"
        )
    shrink = (sigma_min / sigma_max) ** (1 / (levels - 1))
    return [*(sigma_max * shrink**i for i in range(levels - 1)), sigma_min]


@dataclass(frozen=True, slots=True)
class LevelAdvice:
    """What NCSNv2's techniques say about a set of noise levels."""

    ratio: float  # γ = σ_i/σ_{i+1}
    largest_distance: float  # T1: σ_1 should be about the largest distance of two data points
    overlap: float  # T2: Φ(√(2D)(γ−1)+3γ) − Φ(√(2D)(γ−1)−3γ), should be about 0.5
    overlap_levels: int  # L that brings the overlap to 0.5
    variance_ratio: float  # T4: variance after T steps at a level over its σ², should be about 1


def level_advice(
    points: Tensor, sigmas: Sequence[float], *, step_size: float, steps_each: int, dimensions: int | None = None
) -> LevelAdvice:
    """Judge noise levels by NCSNv2's techniques 1, 2 and 4.

    Convention: T4 in the repository's step: s_T²/σ² = (1 − ε/σ_L²)^{2T}(γ² − B) + B with B = 2ε/(σ_L² − σ_L²(1 − ε/σ_L²)²).

    Args:
        points: (N, d) data, at least two.
        sigmas: falling with one ratio, at least two.
        step_size: ε of NCSNv2, that is step_lr.
        steps_each: T.
        dimensions: D of technique 2; d if not given.

    Raises:
        ValueError: if there are too few points or levels.

    Source: arXiv:2006.09011 propositions 1–3, techniques 1, 2 and 4; T4 is the variance recursion of a Gaussian, exactly.
    Differs: technique 1 over all pairs of the given points, not of a whole data set.

    >>> advice = level_advice(torch.eye(2), geometric_levels(50, 0.01, 232), step_size=6.2e-6, steps_each=5, dimensions=3072)
    >>> print(round(advice.ratio, 5), round(advice.overlap, 3), advice.overlap_levels, round(advice.variance_ratio, 4))
    1.03756 0.567 219 1.0555
    """
    if points.ndim != 2 or len(points) < 2 or len(sigmas) < 2:
        raise ValueError("there must be at least two points (N, d) and two levels")
    from scipy import special  # pyright: ignore[reportMissingTypeStubs]

    library: Any = special
    d = points.shape[1] if dimensions is None else dimensions

    def overlap(gamma: float) -> float:
        low, middle = 3 * gamma, math.sqrt(2 * d) * (gamma - 1)
        return float(library.ndtr(middle + low) - library.ndtr(middle - low))

    def levels_at(gamma: float) -> int:
        return round(1 + math.log(sigmas[0] / sigmas[-1]) / math.log(gamma))

    gamma = (sigmas[0] / sigmas[-1]) ** (1 / (len(sigmas) - 1))
    low, high = 1.0, 1.0 + 10 / math.sqrt(2 * d)
    while overlap(high) > 0.5:
        high = 1 + 2 * (high - 1)
        if high > 1e6:  # in few dimensions 3γ outruns the rest: any ratio overlaps
            break
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if overlap(middle) > 0.5 else (low, middle)
    shrink = 1 - step_size / sigmas[-1] ** 2
    fixed = 2 * step_size / (sigmas[-1] ** 2 * (1 - shrink**2)) if shrink**2 != 1 else math.nan
    variance = shrink ** (2 * steps_each) * (gamma**2 - fixed) + fixed
    distance = float(torch.cdist(points.double(), points.double()).max())
    return LevelAdvice(gamma, distance, overlap(gamma), levels_at(high) if high < 1e6 else 2, variance)


def _noise(seed: int, index: int, x: Tensor) -> Tensor:
    """A step's noise; that of few particles is kept, for plain and annealed walks use the same."""
    if x.numel() > FEW or x.dtype != torch.float64 or x.device.type != "cpu":
        return particle_normals(seed, (index, 7), x.shape, dtype=x.dtype, device=x.device)
    return _kept_noise(seed, index, tuple(x.shape))


@lru_cache(maxsize=4096)
def _kept_noise(seed: int, index: int, shape: tuple[int, ...]) -> Tensor:
    return particle_normals(seed, (index, 7), shape)


def _check(x: Tensor, steps: int) -> None:
    if not x.ndim or not x.is_floating_point() or not bool(torch.isfinite(x).all()):
        raise ValueError("x must hold finite floating-point numbers, (N, …), got others")
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps}")
