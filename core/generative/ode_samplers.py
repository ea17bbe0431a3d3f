"""Samplers that follow the probability-flow ODE in x̂ = x/α and σ̂ = σ/α: Euler, Heun (EDM), DDIM, DPM-Solver++(2M).

Two of them can add noise: Heun's churn and DDIM's η.
Source: Karras et al., arXiv:2206.00364, algorithms 1–2; Song, Meng & Ermon, arXiv:2010.02502; Lu et al., arXiv:2211.01095,
algorithm 2.
Notation: s score, D denoised, ε̂ = −σs predicted noise, γ churn, λ = ln(α/σ), h its step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from core.generative.sampler_steps import SamplerStep, check_start, noised, scales
from core.generative.scores import Score
from core.generative.sde import Process


def euler(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    """Euler's method on the probability-flow ODE in x̂ and σ̂, where it reads dx̂/dσ̂ = (x̂ − D)/σ̂: order 1.

    Convention: in these variables it is DDIM with η = 0, exactly; Euler in t is `euler_maruyama(stochasticity=0)`.

    Args:
        score, process, x, times: as `euler_maruyama`; the last time may be 0.

    Raises:
        ValueError: as `euler_maruyama`.

    Source: Karras et al., arXiv:2206.00364 §3; Song, Meng & Ermon, arXiv:2010.02502 eq. 13.
    Differs: nothing.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import EDM, VP, time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start = torch.full((1, 1), 80.0, dtype=torch.float64)
    >>> *_, last = euler(ExactScore(one, process), process, start, time_grid(process, 18, spacing="karras", to_zero=True))
    >>> round(float(last.x), 4)
    0.8595
    """
    check_start(x, times)
    return _euler(score, process, x, times)


def _euler(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        alpha_t, sigma_t, alpha_s, sigma_s = *scales(process, t), *scales(process, s)
        slope = score(x, t)
        # dx̂/dσ̂ = −α_t σ_t s · (α_t/σ_t)… = −σ_t·s, the predicted noise
        x = (alpha_s / alpha_t) * x - alpha_s * (sigma_s / alpha_s - sigma_t / alpha_t) * sigma_t * slope
        yield SamplerStep(i + 1, s, x, x, 0.0, slope, i + 1)


def heun(
    score: Score,
    process: Process,
    x: Tensor,
    times: Sequence[float],
    *,
    seed: int = 0,
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = math.inf,
    S_noise: float = 1.0,
) -> Iterator[SamplerStep]:
    """EDM's sampler: Heun's method in x̂ and σ̂, order 2, with fresh noise ("churn") before each step if asked for.

    Convention: γ = min(S_churn/N, √2 − 1) where S_min ≤ σ̂ ≤ S_max; the step to noise level 0 is Euler's. N updates cost
    2N scores, 2N − 1 if the last time has no noise.

    Args:
        score, process, x, times: as `euler_maruyama`; the last time may be 0.
        seed: of the churn.
        S_churn, S_min, S_max, S_noise: EDM's; S_churn = 0 is algorithm 1, deterministic.

    Raises:
        ValueError: as `euler_maruyama`, or if a churn option is negative.

    Source: Karras et al., arXiv:2206.00364 algorithms 1 and 2; edm generate.py, edm_sampler.
    Differs: works for any process through x̂ = x/α, σ̂ = σ/α; no noise is drawn where γ = 0 (k-diffusion draws it).

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import EDM, VP, time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start = torch.full((1, 1), 80.0, dtype=torch.float64)
    >>> *_, last = heun(ExactScore(one, process), process, start, time_grid(process, 18, spacing="karras", to_zero=True))
    >>> print(round(float(last.x), 4), last.evaluations)
    1.0447 35
    """
    check_start(x, times)
    if min(S_churn, S_min, S_noise) < 0 or S_max < S_min:
        raise ValueError(
            f"S_churn, S_min and S_noise must not be negative nor S_max below S_min, got {S_churn}, {S_min}, {S_noise}, {S_max}"
        )
    return _heun(score, process, x, times, seed, S_churn, S_min, S_max, S_noise)


def _heun(
    score: Score,
    process: Process,
    x: Tensor,
    times: Sequence[float],
    seed: int,
    S_churn: float,
    S_min: float,
    S_max: float,
    S_noise: float,
) -> Iterator[SamplerStep]:
    n = len(times) - 1
    calls = 0
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        alpha, sigma = scales(process, t)
        alpha_s, sigma_s = scales(process, s)
        level, level_s = sigma / alpha, sigma_s / alpha_s
        gamma = min(S_churn / n, math.sqrt(2) - 1) if S_min <= level <= S_max else 0.0
        y = x / alpha
        if gamma:
            hat = (1 + gamma) * level
            y = noised(y, S_noise * math.sqrt(hat * hat - level * level), seed, i)
            t = process.time_of(hat)
            level, alpha, sigma = hat, *scales(process, t)
        slope = score(alpha * y, t)
        d = -sigma * slope  # dx̂/dσ̂ = (x̂ − D)/σ̂ = −σ s
        after = y + (level_s - level) * d
        calls += 1
        if sigma_s > 0:
            d_s = -sigma_s * score(alpha_s * after, s)
            after = y + (level_s - level) * 0.5 * (d + d_s)
            calls += 1
        x = alpha_s * after
        yield SamplerStep(i + 1, s, x, None if gamma else x, 0.0, slope, calls)


def ddim(
    score: Score, process: Process, x: Tensor, times: Sequence[float], *, seed: int, eta: float = 0.0
) -> Iterator[SamplerStep]:
    """DDIM: jump to the predicted clean point and back to the next noise level, keeping part of the predicted noise.

    Convention: x_s = α_s D + √(σ_s² − ς²) ε̂ + ς z with ς = η (σ_s/σ_t) √(σ_t² − (α_t/α_s)²σ_s²); η = 0 is deterministic,
    η = 1 has the posterior variance of DDPM ("small").

    Args:
        score, process, x, times, seed: as `euler_maruyama`; the last time may be 0.
        eta: η in [0, 1].

    Raises:
        ValueError: as `euler_maruyama`, or if η is out of range.

    Source: Song, Meng & Ermon, arXiv:2010.02502 eq. 12, 16.
    Differs: any α, σ, not only α² + σ² = 1; no clipping of D.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import EDM, VP, time_grid
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> *_, last = ddim(ExactScore(one, process), process, start, time_grid(process, 100), seed=0)
    >>> round(float(last.x), 4)
    1.4951
    """
    check_start(x, times)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    return _ddim(score, process, x, times, seed, eta)


def _ddim(
    score: Score, process: Process, x: Tensor, times: Sequence[float], seed: int, eta: float
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        alpha_t, sigma_t, alpha_s, sigma_s = *scales(process, t), *scales(process, s)
        slope = score(x, t)
        epsilon = -sigma_t * slope
        clean = torch.sub(x, epsilon, alpha=sigma_t) / alpha_t
        std = eta * (sigma_s / sigma_t) * math.sqrt(max(0.0, sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2))
        mean = torch.add(alpha_s * clean, epsilon, alpha=math.sqrt(sigma_s**2 - std**2))
        x = noised(mean, std, seed, i)
        yield SamplerStep(i + 1, s, x, mean, std, slope, i + 1)


def dpm_solver_pp_2m(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    """DPM-Solver++(2M): a multistep method of order 2 that costs one score per step.

    Convention: in λ = ln(α/σ), x ← (σ_s/σ_t)x + α_s(1 − e^{−h})D̃ with D̃ = D + (D − D_old)/(2r), r = h_old/h. The first step,
    and one to noise level 0, are of order 1 (D̃ = D).

    Args:
        score, process, x, times: as `euler_maruyama`; the last time may be 0.

    Raises:
        ValueError: as `euler_maruyama`.

    Source: Lu et al., arXiv:2211.01095 algorithm 2; k-diffusion sampling.py, sample_dpmpp_2m.
    Differs: no thresholding of D.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import EDM, VP, time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start, times = torch.full((1, 1), 80.0).double(), time_grid(EDM(), 18, spacing="karras", to_zero=True)
    >>> *_, last = dpm_solver_pp_2m(ExactScore(one, process), process, start, times)
    >>> print(round(float(last.x), 4), last.evaluations)
    1.0511 18
    """
    check_start(x, times)
    return _dpm_solver_pp_2m(score, process, x, times)


def _dpm_solver_pp_2m(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    before: Tensor | None = None
    h_before = 0.0
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        alpha_t, sigma_t, alpha_s, sigma_s = *scales(process, t), *scales(process, s)
        slope = score(x, t)
        clean = (x + sigma_t * sigma_t * slope) / alpha_t
        h = math.log(alpha_s / alpha_t * sigma_t / sigma_s) if sigma_s > 0 else math.inf
        guess = clean
        if before is not None and h < math.inf:
            guess = clean + (clean - before) * (h / (2 * h_before))
        x = (sigma_s / sigma_t) * x - (alpha_s * math.expm1(-h)) * guess
        before, h_before = clean, h
        yield SamplerStep(i + 1, s, x, x, 0.0, slope, i + 1)
