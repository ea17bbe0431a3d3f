"""Eight ways from noise to data, each in the form of its paper's algorithm, plus the exact reverse process.

Every sampler checks its inputs at the call and returns a generator of `SamplerStep`: N updates give N + 1 states, a state
never changes once it is out, and a particle's path depends on its own noise only (see `noise`).
Source: Song et al., arXiv:2011.13456, algorithms 1–5; Karras et al., arXiv:2206.00364, algorithms 1–2; Song, Meng & Ermon,
arXiv:2010.02502; Lu et al., arXiv:2211.01095, algorithm 2; score_sde_pytorch sampling.py.
Notation: s score, D denoised, α, σ scales, σ̂ = σ/α, x̂ = x/α, λ stochasticity, γ churn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals, particle_uniforms
from core.generative.scores import Score
from core.generative.sde import EDM, VE, VP, Process, SubVP


@dataclass(frozen=True, slots=True)
class SamplerStep:
    """One state of all particles, and the Gaussian it was drawn from."""

    index: int  # 0 for the start
    t: float  # time of this state
    x: Tensor  # (N, …) particles; row i is the same particle in every step
    mean: Tensor | None  # (N, …) mean of the update; None at the start, or if the update is not one Gaussian
    std: float  # standard deviation of the update's noise; 0 for a deterministic one
    score: Tensor | None  # (N, …) score at the state before, which this update used; None if it used none
    evaluations: int  # calls of the score so far


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

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> states = list(euler_maruyama(ExactScore(one, process), process, start, time_grid(process, 100), seed=0))
    >>> print(len(states), round(float(states[-1].x), 4))
    101 0.6269
    """
    _check(x, times)
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
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        dt = -process.T / n if reference else s - t
        g = process.diffusion(t)
        slope = score(x, t)
        mean = (1 + process.drift_rate(t) * dt) * x - (0.5 * (1 + lam * lam) * g * g * dt) * slope
        std = lam * g * math.sqrt(-dt)
        x = _noised(mean, std, seed, i)
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

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> *_, last = reverse_diffusion(ExactScore(one, process), process, start, 100, seed=0)
    >>> print(last.index, last.t)
    100 0.0
    """
    times = _levels(process, steps, "reverse diffusion")
    _check(x, times)
    return _discrete(score, process, x, times, seed, "reverse_diffusion")


def ancestral(score: Score, process: VP | VE, x: Tensor, steps: int, *, seed: int) -> Iterator[SamplerStep]:
    """Ancestral sampling: DDPM's reverse step with the large variance β_i, and its analogue for VE.

    Convention: levels and times as `reverse_diffusion`. VP: x ← (x + β_i s)/√(1 − β_i) + √β_i z. VE: the noise has the
    posterior variance σ²_{i−1}(σ²_i − σ²_{i−1})/σ²_i, so the last step has none.

    Args, Raises: as `reverse_diffusion`.

    Source: arXiv:2006.11239 eq. 11 with σ² = β; arXiv:2011.13456 eq. 4, 47; score_sde_pytorch AncestralSamplingPredictor.
    Differs: level i is counted, not recovered from t by truncation.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VE()
    >>> *_, last = ancestral(ExactScore(one, process), process, torch.zeros(1, 1).double(), 100, seed=0)
    >>> last.std
    0.0
    """
    times = _levels(process, steps, "ancestral sampling")
    _check(x, times)
    return _discrete(score, process, x, times, seed, "ancestral")


def _discrete(
    score: Score, process: VP | VE, x: Tensor, times: Sequence[float], seed: int, kind: Predictor
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i in range(len(times) - 1):
        slope = score(x, times[i])
        mean, std = _discrete_update(process, x, slope, len(times) - 2 - i, len(times) - 1, kind)
        x = _noised(mean, std, seed, i)
        yield SamplerStep(i + 1, times[i + 1], x, mean, std, slope, i + 1)


def _discrete_update(
    process: VP | VE, x: Tensor, slope: Tensor, level: int, n: int, kind: Predictor
) -> tuple[Tensor, float]:
    """Mean and standard deviation of the step from discrete level 0 … n − 1 to the one below."""
    if isinstance(process, VP):
        beta = (process.beta_min + (process.beta_max - process.beta_min) * level / (n - 1)) / n
        if beta >= 1:
            raise ValueError(
                f"{n} steps are too few for beta_max {process.beta_max}: β_i = {beta:.3g} must stay below 1"
            )
        if kind == "ancestral":
            return (x + beta * slope) / math.sqrt(1 - beta), math.sqrt(beta)
        return (2 - math.sqrt(1 - beta)) * x + beta * slope, math.sqrt(beta)
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
    if predictor in ("reverse_diffusion", "ancestral") and isinstance(process, SubVP):
        raise TypeError(f"{predictor} needs a process with discrete levels, VP or VE, got {process.name}")
    times = _levels(process, steps, "a predictor–corrector sampler")
    _check(x, times)
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
                x, calls = _noised(mean, std, seed, (i, 0)), calls + 1
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
    lengths = [v.reshape(len(v), -1).norm(dim=-1) for v in (z, slope)]
    if rule == "batch":
        lengths = [length.mean().expand(len(z)) for length in lengths]
    size = 2 * alpha * (snr * lengths[0] / lengths[1]) ** 2
    return size.reshape(-1, *[1] * (z.ndim - 1))


def euler(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    """Euler's method on the probability-flow ODE in x̂ and σ̂, where it reads dx̂/dσ̂ = (x̂ − D)/σ̂: order 1.

    Convention: in these variables it is DDIM with η = 0, exactly; Euler in t is `euler_maruyama(stochasticity=0)`.

    Args:
        score, process, x, times: as `euler_maruyama`; the last time may be 0.

    Raises:
        ValueError: as `euler_maruyama`.

    Source: Karras et al., arXiv:2206.00364 §3; Song, Meng & Ermon, arXiv:2010.02502 eq. 13.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start = torch.full((1, 1), 80.0, dtype=torch.float64)
    >>> *_, last = euler(ExactScore(one, process), process, start, time_grid(process, 18, spacing="karras", to_zero=True))
    >>> round(float(last.x), 4)
    0.8595
    """
    _check(x, times)
    return _euler(score, process, x, times)


def _euler(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        alpha_t, sigma_t, alpha_s, sigma_s = *_scales(process, t), *_scales(process, s)
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

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start = torch.full((1, 1), 80.0, dtype=torch.float64)
    >>> *_, last = heun(ExactScore(one, process), process, start, time_grid(process, 18, spacing="karras", to_zero=True))
    >>> print(round(float(last.x), 4), last.evaluations)
    1.0447 35
    """
    _check(x, times)
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
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        alpha, sigma = _scales(process, t)
        alpha_s, sigma_s = _scales(process, s)
        level, level_s = sigma / alpha, sigma_s / alpha_s
        gamma = min(S_churn / n, math.sqrt(2) - 1) if S_min <= level <= S_max else 0.0
        y = x / alpha
        if gamma:
            hat = (1 + gamma) * level
            y = _noised(y, S_noise * math.sqrt(hat * hat - level * level), seed, i)
            t = process.time_of(hat)
            level, alpha, sigma = hat, *_scales(process, t)
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

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[1.5]], 0.25), VP()
    >>> start = torch.zeros(1, 1, dtype=torch.float64)
    >>> *_, last = ddim(ExactScore(one, process), process, start, time_grid(process, 100), seed=0)
    >>> round(float(last.x), 4)
    1.4951
    """
    _check(x, times)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must lie in [0, 1], got {eta}")
    return _ddim(score, process, x, times, seed, eta)


def _ddim(
    score: Score, process: Process, x: Tensor, times: Sequence[float], seed: int, eta: float
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        alpha_t, sigma_t, alpha_s, sigma_s = *_scales(process, t), *_scales(process, s)
        slope = score(x, t)
        epsilon = -sigma_t * slope
        clean = (x - sigma_t * epsilon) / alpha_t
        std = eta * (sigma_s / sigma_t) * math.sqrt(max(0.0, sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2))
        mean = alpha_s * clean + math.sqrt(sigma_s**2 - std**2) * epsilon
        x = _noised(mean, std, seed, i)
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

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.scores import ExactScore
    >>> from core.generative.sde import time_grid
    >>> one, process = gaussian_mixture([1.0], [[0.0]], 1.0), EDM()
    >>> start, times = torch.full((1, 1), 80.0).double(), time_grid(EDM(), 18, spacing="karras", to_zero=True)
    >>> *_, last = dpm_solver_pp_2m(ExactScore(one, process), process, start, times)
    >>> print(round(float(last.x), 4), last.evaluations)
    1.0511 18
    """
    _check(x, times)
    return _dpm_solver_pp_2m(score, process, x, times)


def _dpm_solver_pp_2m(score: Score, process: Process, x: Tensor, times: Sequence[float]) -> Iterator[SamplerStep]:
    before: Tensor | None = None
    h_before = 0.0
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        alpha_t, sigma_t, alpha_s, sigma_s = *_scales(process, t), *_scales(process, s)
        slope = score(x, t)
        clean = (x + sigma_t * sigma_t * slope) / alpha_t
        h = math.log(alpha_s / alpha_t * sigma_t / sigma_s) if sigma_s > 0 else math.inf
        guess = clean
        if before is not None and h < math.inf:
            guess = clean + (clean - before) * (h / (2 * h_before))
        x = (sigma_s / sigma_t) * x - (alpha_s * math.expm1(-h)) * guess
        before, h_before = clean, h
        yield SamplerStep(i + 1, s, x, x, 0.0, slope, i + 1)


def exact_reverse(
    mixture: GaussianMixture, process: Process, x: Tensor, times: Sequence[float], *, seed: int
) -> Iterator[SamplerStep]:
    """The reverse process itself, drawn from its exact transitions: right for any number of steps, even one.

    Args:
        mixture: the data.
        process, x, times, seed: as `euler_maruyama`; the last time may be 0, x is (N, d).

    Raises:
        ValueError: as `euler_maruyama`.

    Source: `GaussianMixture.reverse_transition`.
    Differs: nothing; no score is used.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import prior_sampling
    >>> two, process = gaussian_mixture([0.8, 0.2], [[5.0], [-5.0]], 1.0), VP()
    >>> *_, last = exact_reverse(two, process, prior_sampling(process, (20000, 1), seed=0), [1.0, 0.0], seed=0)
    >>> round(float((last.x > 0).double().mean()), 2)
    0.8
    """
    _check(x, times)
    if x.ndim != 2 or x.shape[1] != mixture.dim:
        raise ValueError(f"x must have the shape (N, {mixture.dim}), got {tuple(x.shape)}")
    return _exact_reverse(mixture, process, x, times, seed)


def _exact_reverse(
    mixture: GaussianMixture, process: Process, x: Tensor, times: Sequence[float], seed: int
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        alpha_t, sigma_t, alpha_s, sigma_s = *_scales(process, t), *_scales(process, s)
        law = mixture.reverse_transition(x, alpha_t=alpha_t, sigma_t=sigma_t, alpha_s=alpha_s, sigma_s=sigma_s)
        u = particle_uniforms(seed, (i, 1), (len(x),), dtype=x.dtype, device=x.device)
        x = law.draw(u, particle_normals(seed, (i, 2), x.shape, dtype=x.dtype, device=x.device))
        yield SamplerStep(i + 1, s, x, None, 0.0, None, 0)


def forward_process(process: Process, x0: Tensor, times: Sequence[float], *, seed: int) -> Iterator[SamplerStep]:
    """The forward SDE from data to noise, drawn from its exact transitions: no error of any step size.

    Args:
        process: any.
        x0: (N, …) data.
        times: rising from 0 or later; state 0 is x0 noised to times[0].
        seed: of the noise.

    Raises:
        ValueError: if the times do not rise or x0 is not finite.

    Source: arXiv:2011.13456 eq. 29; `sde.transition`.
    Differs: nothing.

    >>> *_, last = forward_process(VP(), torch.full((20000, 1), 3.0).double(), [0.0, 0.3, 1.0], seed=0)
    >>> print(round(float(last.x.mean()), 2), round(float(last.x.std()), 2))
    0.03 1.0
    """
    _check(x0, list(reversed(times)))
    return _forward_process(process, x0, times, seed)


def _forward_process(process: Process, x: Tensor, times: Sequence[float], seed: int) -> Iterator[SamplerStep]:
    mean: Tensor = process.alpha(times[0]) * x
    std = process.sigma(times[0])
    x = _noised(mean, std, seed, 0)
    yield SamplerStep(0, times[0], x, mean, std, None, 0)
    for i, (s, t) in enumerate(zip(times, times[1:], strict=False)):
        ratio = process.alpha(t) / process.alpha(s)
        std = math.sqrt(max(0.0, process.sigma(t) ** 2 - (ratio * process.sigma(s)) ** 2))
        mean = ratio * x
        x = _noised(mean, std, seed, i + 1)
        yield SamplerStep(i + 1, t, x, mean, std, None, 0)


def final_state(steps: Iterable[SamplerStep]) -> Tensor:
    """The last state of a sampler, (N, …).

    Raises:
        ValueError: if there is none.

    >>> final_state(forward_process(VP(), torch.zeros(2, 3), [0.0, 1.0], seed=0)).shape
    torch.Size([2, 3])
    """
    last: SamplerStep | None = None
    for last in steps:
        pass
    if last is None:
        raise ValueError("there must be at least one step, got none")
    return last.x


def trajectory(steps: Iterable[SamplerStep]) -> Tensor:
    """All states of a sampler, (steps + 1, N, …).

    >>> trajectory(forward_process(VP(), torch.zeros(2, 3), [0.0, 0.5, 1.0], seed=0)).shape
    torch.Size([3, 2, 3])
    """
    return torch.stack([step.x for step in steps])


def _scales(process: Process, t: float) -> tuple[float, float]:
    """α and σ; at t = 0 there is no noise, whatever the process says (VE and EDM end at a clean point)."""
    return (process.alpha(t), process.sigma(t)) if t > 0 else (1.0, 0.0)


def _noised(mean: Tensor, std: float, seed: int, stream: int | tuple[int, ...]) -> Tensor:
    if not std:
        return mean
    stream = (stream, 0) if isinstance(stream, int) else stream
    return mean + std * particle_normals(seed, stream, mean.shape, dtype=mean.dtype, device=mean.device)


def _levels(process: Process, steps: int, what: str) -> list[float]:
    if isinstance(process, EDM):
        raise TypeError(f"{what} needs VP or VE, got {process.name}")
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}")
    return [*(process.T + i / (steps - 1) * (process.eps - process.T) for i in range(steps)), 0.0]


def _check(x: Tensor, times: Sequence[float]) -> None:
    if not x.ndim:
        raise ValueError("x must have the shape (N, …), got a single number")
    if not x.is_floating_point() or not bool(torch.isfinite(x).all()):
        raise ValueError("x must hold finite floating-point numbers, got others")
    if len(times) < 2 or any(not b < a for a, b in zip(times, times[1:], strict=False)):
        raise ValueError(f"times must be at least two and in strict order, got {[round(t, 6) for t in times[:5]]}")
