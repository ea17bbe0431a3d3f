"""Samplers of the reverse SDE: Euler–Maruyama, reverse diffusion, ancestral, predictor–corrector.

Every sampler checks its inputs at the call and returns a generator of `SamplerStep`: N updates give N + 1 states, a state
never changes once it is out, and a particle's path depends on its own noise only (see `noise`).
Source: Song et al., arXiv:2011.13456, algorithms 1–5; score_sde_pytorch sampling.py.
Notation: s score, f, g drift and diffusion, β_i, σ_i discrete levels, λ stochasticity, z noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from core.generative.noise import particle_normals
from core.generative.sampler_steps import SamplerStep, check_start, noised
from core.generative.scores import Score
from core.generative.sde import EDM, VE, VP, Process, SubVP, time_grid


def euler_maruyama(
    score: Score,
    process: Process,
    x: Tensor,
    times: Sequence[float],
    *,
    seed: int,
    stochasticity: float = 1.0,
    step_rule: Literal["grid", "reference"] = "grid",
) -> Iterator[SamplerStep]:
    """Euler–Maruyama on dx = [f − ½(1 + λ²)g²s]dt + λg dw̄: the reverse SDE at λ = 1, the probability-flow ODE at 0.

    Convention: all λ share the marginals p_t, none shares paths. `step_rule="grid"` steps by the distance of the times;
    "reference" by T/N wherever the times lie, as score_sde's predictor does (meant for `time_grid(spacing="song")`).

    Args:
        score: ∇ log p_t.
        process: VP, SubVP, VE or EDM.
        x: (N, …) start, noise at times[0].
        times: falling, at least two; see `time_grid`.
        seed: of the noise; row i of every step depends on seed, step and i only.
        stochasticity: λ ≥ 0.
        step_rule: see above.

    Raises:
        ValueError: if the times do not fall, x is not finite, or an option is out of range.

    Source: arXiv:2011.13456 eq. 6, 13; score_sde_pytorch EulerMaruyamaPredictor; λ as in Zhang & Chen, arXiv:2204.13902.
    Differs: no final denoising step.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> states = list(euler_maruyama(ExactScore(one, process), process, start, time_grid(process, 100), seed=0))
    >>> print(len(states), round(float(states[-1].x), 4))
    101 0.6269
    """
    check_start(x, times)
    if not 0 <= stochasticity < math.inf:
        raise ValueError(f"stochasticity must not be negative, got {stochasticity}")
    if step_rule not in ("grid", "reference"):
        raise ValueError(f"step_rule must be grid or reference, got {step_rule!r}")
    return _euler_maruyama(score, process, x, times, seed, stochasticity, step_rule == "reference")


def _euler_maruyama(
    score: Score, process: Process, x: Tensor, times: Sequence[float], seed: int, lam: float, reference: bool
) -> Iterator[SamplerStep]:
    n = len(times) - 1
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        dt = -process.T / n if reference else s - t
        g = process.diffusion(t)
        slope = score(x, t)
        mean = (1 + process.drift_rate(t) * dt) * x - (0.5 * (1 + lam * lam) * g * g * dt) * slope
        std = lam * g * math.sqrt(-dt)
        x = noised(mean, std, seed, i)
        yield SamplerStep(i + 1, s, x, mean, std, slope, i + 1)


def reverse_diffusion(score: Score, process: VP | VE, x: Tensor, steps: int, *, seed: int) -> Iterator[SamplerStep]:
    """Reverse diffusion sampling: the discretisation of the forward chain, run backwards with the same noise.

    Convention: N discrete levels, β_i = linspace(β_min/N, β_max/N, N) or σ_i geometric with σ_{−1} = 0; level i has the
    time ε + i(T − ε)/(N − 1) for the score; N updates, the last state is named t = 0.

    Args:
        score, x, seed: as `euler_maruyama`.
        process: VP or VE (the paper has no such discretisation of sub-VP).
        steps: N ≥ 2.

    Raises:
        TypeError: if the process has no discrete levels.
        ValueError: as `euler_maruyama`.

    Source: arXiv:2011.13456 eq. 46 and appendix E; score_sde_pytorch ReverseDiffusionPredictor, sde_lib.py discretize.
    Differs: level i is counted, not recovered from t by truncation.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> *_, last = reverse_diffusion(ExactScore(one, process), process, start, 100, seed=0)
    >>> print(last.index, last.t)
    100 0.0
    """
    times = time_grid(process, steps, spacing="song")
    _check_discrete(process, steps, "reverse diffusion")
    check_start(x, times)
    return _discrete(score, process, x, times, seed, "reverse_diffusion")


def ancestral(score: Score, process: VP | VE, x: Tensor, steps: int, *, seed: int) -> Iterator[SamplerStep]:
    """Ancestral sampling: DDPM's reverse step with the large variance β_i, and its analogue for VE.

    Convention: levels and times as `reverse_diffusion`. VP: x ← (x + β_i s)/√(1 − β_i) + √β_i z. VE: the noise has the
    posterior variance σ²_{i−1}(σ²_i − σ²_{i−1})/σ²_i, so the last step has none.

    Args, Raises: as `reverse_diffusion`.

    Source: arXiv:2006.11239 eq. 11 with σ² = β; arXiv:2011.13456 eq. 4, 47; score_sde_pytorch AncestralSamplingPredictor.
    Differs: level i is counted, not recovered from t by truncation.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VE()
    >>> *_, last = ancestral(ExactScore(one, process), process, torch.zeros(1, 1).double(), 100, seed=0)
    >>> last.std
    0.0
    """
    times = time_grid(process, steps, spacing="song")
    _check_discrete(process, steps, "ancestral sampling")
    check_start(x, times)
    return _discrete(score, process, x, times, seed, "ancestral")


def _discrete(
    score: Score, process: VP | VE, x: Tensor, times: Sequence[float], seed: int, kind: Predictor
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i in range(len(times) - 1):
        slope = score(x, times[i])
        mean, std = _discrete_update(process, x, slope, len(times) - 2 - i, len(times) - 1, kind)
        x = noised(mean, std, seed, i)
        yield SamplerStep(i + 1, times[i + 1], x, mean, std, slope, i + 1)


def _discrete_update(
    process: VP | VE, x: Tensor, slope: Tensor, level: int, n: int, kind: Predictor
) -> tuple[Tensor, float]:
    """Mean and standard deviation of the step from discrete level 0 … n − 1 to the one below."""
    if isinstance(process, VP):
        beta = (process.beta_min + (process.beta_max - process.beta_min) * level / (n - 1)) / n
        if kind == "ancestral":
            return torch.add(x, slope, alpha=beta) / math.sqrt(1 - beta), math.sqrt(beta)
        return torch.add((2 - math.sqrt(1 - beta)) * x, slope, alpha=beta), math.sqrt(beta)
    high = _geometric(process, level, n) ** 2
    low = _geometric(process, level - 1, n) ** 2 if level else 0.0
    return x + (high - low) * slope, math.sqrt((high - low) * (low / high if kind == "ancestral" else 1.0))


def _geometric(process: VE, level: int, n: int) -> float:
    return process.sigma_min * (process.sigma_max / process.sigma_min) ** (level / (n - 1))


Predictor = Literal["euler_maruyama", "reverse_diffusion", "ancestral", "none"]
NormRule = Literal["std", "sample", "batch"]


def predictor_corrector(
    score: Score,
    process: VP | SubVP | VE,
    x: Tensor,
    steps: int,
    *,
    seed: int,
    predictor: Predictor = "reverse_diffusion",
    corrector_steps: int = 1,
    snr: float = 0.16,
    norm_rule: NormRule = "std",
    order: Literal["corrector_first", "predictor_first"] = "corrector_first",
) -> Iterator[SamplerStep]:
    """A predictor step towards less noise, and Langevin steps that stay at it.

    Convention: the corrector's step is 2α_i(snr·q)², α_i = 1 − β_i for VP and sub-VP, 1 for VE, with q by `norm_rule`:
    "std" q = σ_t (score_sde's `ald` corrector); "sample" q = |z|/|s| of each particle; "batch" the ratio of the norms
    averaged over the batch, as score_sde's `langevin` corrector does, so that **a particle's path depends on its batch
    mates**. The code corrects first, the paper's algorithm predicts first: `order`.

    Args:
        score, x, seed: as `euler_maruyama`.
        process: VP, SubVP or VE; sub-VP with the Euler–Maruyama predictor or none.
        steps: N ≥ 2 updates, on the times of `time_grid(spacing="song")`.
        predictor: which; "none" is annealed Langevin dynamics alone.
        corrector_steps: per update, ≥ 0.
        snr: signal-to-noise ratio r of the corrector, ≥ 0.

    Raises:
        TypeError: if the predictor does not exist for the process.
        ValueError: if an option is out of range.

    Source: arXiv:2011.13456 algorithms 1–5; score_sde_pytorch pc_sampler, LangevinCorrector, AnnealedLangevinDynamics.
    Differs: score_sde's Langevin corrector stops with an error for sub-VP, which lacks `alphas`; here it has VP's.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> *_, last = predictor_corrector(ExactScore(one, process), process, start, 100, seed=0)
    >>> print(last.index, last.evaluations)
    100 200
    """
    if predictor not in ("euler_maruyama", "reverse_diffusion", "ancestral", "none"):
        raise ValueError(f"predictor must be euler_maruyama, reverse_diffusion, ancestral or none, got {predictor!r}")
    times = time_grid(process, steps, spacing="song")
    if predictor in ("reverse_diffusion", "ancestral"):
        _check_discrete(process, steps, predictor)
    elif isinstance(process, EDM):
        raise TypeError(f"a predictor–corrector sampler needs VP, sub-VP or VE, got {process.name}")
    if corrector_steps > 0:
        _check_betas(process, steps)
    check_start(x, times)
    if corrector_steps < 0 or not 0 <= snr < math.inf:
        raise ValueError(f"corrector_steps and snr must not be negative, got {corrector_steps} and {snr}")
    if norm_rule not in ("std", "sample", "batch"):
        raise ValueError(f"norm_rule must be std, sample or batch, got {norm_rule!r}")
    if order not in ("corrector_first", "predictor_first"):
        raise ValueError(f"order must be corrector_first or predictor_first, got {order!r}")
    return _predictor_corrector(
        score, process, x, times, seed, predictor, corrector_steps, snr, norm_rule, order == "corrector_first"
    )


def _predictor_corrector(
    score: Score,
    process: VP | SubVP | VE,
    x: Tensor,
    times: Sequence[float],
    seed: int,
    predictor: Predictor,
    corrector_steps: int,
    snr: float,
    norm_rule: NormRule,
    corrector_first: bool,
) -> Iterator[SamplerStep]:
    n = len(times) - 1
    calls = 0
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i in range(n):
        slope: Tensor | None = None
        mean: Tensor | None = None
        std = 0.0
        for part in ("correct", "predict") if corrector_first else ("predict", "correct"):
            if part == "correct":
                for j in range(corrector_steps):
                    slope = score(x, times[i])
                    z = particle_normals(seed, (i, j + 1), x.shape, dtype=x.dtype, device=x.device)
                    size = _langevin_size(process, times[i], n - 1 - i, n, z, slope, snr, norm_rule)
                    x = x + size * slope + (2 * size) ** 0.5 * z
                    mean, calls = None, calls + 1
            elif predictor != "none":
                slope = score(x, times[i])
                if predictor == "euler_maruyama":
                    dt, g = -process.T / n, process.diffusion(times[i])
                    mean = (1 + process.drift_rate(times[i]) * dt) * x - (g * g * dt) * slope
                    std = g * math.sqrt(-dt)
                else:
                    assert not isinstance(process, SubVP)
                    mean, std = _discrete_update(process, x, slope, n - 1 - i, n, predictor)
                x, calls = noised(mean, std, seed, (i, 0)), calls + 1
        yield SamplerStep(i + 1, times[i + 1], x, mean, std if mean is not None else 0.0, slope, calls)


def _langevin_size(
    process: VP | SubVP | VE, t: float, level: int, n: int, z: Tensor, slope: Tensor, snr: float, rule: NormRule
) -> float | Tensor:
    """Step size of the corrector: a number, or (N, 1, …)."""
    alpha = 1.0
    if not isinstance(process, VE):
        alpha -= (process.beta_min + (process.beta_max - process.beta_min) * level / (n - 1)) / n
    if rule == "std":
        return 2 * alpha * (snr * process.sigma(t)) ** 2
    lengths = [v.reshape(len(v), -1).square().sum(-1).sqrt() for v in (z, slope)]
    if rule == "batch":
        lengths = [length.mean().expand(len(z)) for length in lengths]
    size = 2 * alpha * (snr * lengths[0] / lengths[1]) ** 2
    return size.reshape(-1, *[1] * (z.ndim - 1))


def _check_discrete(process: Process, steps: int, what: str) -> None:
    if not isinstance(process, (VP, VE)):
        raise TypeError(f"{what} needs a process with discrete levels, VP or VE, got {process.name}")
    _check_betas(process, steps)


def _check_betas(process: Process, steps: int) -> None:
    if isinstance(process, (VP, SubVP)) and process.beta_max >= steps:
        raise ValueError(
            f"{steps} steps are too few: β_i = beta_max/steps must stay below 1, got {process.beta_max / steps:.3g}"
        )
