"""Four noising processes, all of the form x_t = α_t·x_0 + σ_t·z: VP, sub-VP, VE, and EDM's σ(t) = t.

Source: Song et al., "Score-based generative modeling through SDEs", arXiv:2011.13456, §3.4 and appendix B–C;
score_sde_pytorch sde_lib.py; Karras et al., "Elucidating the design space", arXiv:2206.00364, §4.
Notation: dx = f(x, t) dt + g(t) dw with f(x, t) = a(t)·x; α_t, σ_t scale and noise of the marginal; σ̂ = σ_t/α_t noise level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from core.generative.noise import particle_normals

Time = TypeVar("Time", float, Tensor, "float | Tensor")


class Process(Protocol):
    """What every noising process can do. Times are numbers, or (N,) tensors with one time per point."""

    @property
    def name(self) -> str: ...
    @property
    def T(self) -> float: ...
    @property
    def eps(self) -> float: ...
    def drift_rate(self, t: Time) -> Time: ...
    def diffusion(self, t: Time) -> Time: ...
    def alpha(self, t: Time) -> Time: ...
    def sigma(self, t: Time) -> Time: ...
    def time_of(self, noise_level: Time) -> Time: ...


@dataclass(frozen=True, slots=True)
class VP:
    """Variance preserving: dx = −½β(t)x dt + √β(t) dw, β(t) = β_min + t(β_max − β_min); the limit of DDPM.

    >>> process = VP()
    >>> print(round(process.alpha(0.5), 8), round(process.sigma(0.5), 8), round(process.alpha(1.0), 8))
    0.28118288 0.9596542 0.00657159
    """

    beta_min: float = 0.1  # β(0), 1/time
    beta_max: float = 20.0  # β(1), 1/time
    eps: float = 1e-3  # smallest time that samplers visit

    def __post_init__(self) -> None:
        _check_betas(self.beta_min, self.beta_max, self.eps)

    @property
    def name(self) -> str:
        return "VP"

    @property
    def T(self) -> float:
        return 1.0

    def beta(self, t: Time) -> Time:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_alpha(self, t: Time) -> Time:
        return -0.25 * t * t * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def drift_rate(self, t: Time) -> Time:
        """a(t) in f(x, t) = a(t)·x."""
        return -0.5 * self.beta(t)

    def diffusion(self, t: Time) -> Time:
        """g(t)."""
        return _lib(t).sqrt(self.beta(t))

    def alpha(self, t: Time) -> Time:
        return _lib(t).exp(self.log_alpha(t))

    def sigma(self, t: Time) -> Time:
        lib = _lib(t)
        return lib.sqrt(-lib.expm1(2 * self.log_alpha(t)))

    def time_of(self, noise_level: Time) -> Time:
        """The t at which σ_t/α_t is the given noise level."""
        return _vp_time(_lib(noise_level).log1p(noise_level * noise_level), self.beta_min, self.beta_max)


@dataclass(frozen=True, slots=True)
class SubVP:
    """Sub-VP: the drift of VP with less noise, g² = β(1 − α⁴); σ_t = 1 − α_t² is a standard deviation, not a variance.

    >>> round(SubVP().sigma(0.5), 8)
    0.92093619
    """

    beta_min: float = 0.1  # β(0), 1/time
    beta_max: float = 20.0  # β(1), 1/time
    eps: float = 1e-3  # smallest time that samplers visit

    def __post_init__(self) -> None:
        _check_betas(self.beta_min, self.beta_max, self.eps)

    @property
    def name(self) -> str:
        return "sub-VP"

    @property
    def T(self) -> float:
        return 1.0

    def beta(self, t: Time) -> Time:
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_alpha(self, t: Time) -> Time:
        return -0.25 * t * t * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def drift_rate(self, t: Time) -> Time:
        """a(t) in f(x, t) = a(t)·x."""
        return -0.5 * self.beta(t)

    def diffusion(self, t: Time) -> Time:
        """g(t)."""
        lib = _lib(t)
        return lib.sqrt(-self.beta(t) * lib.expm1(4 * self.log_alpha(t)))

    def alpha(self, t: Time) -> Time:
        return _lib(t).exp(self.log_alpha(t))

    def sigma(self, t: Time) -> Time:
        return -_lib(t).expm1(2 * self.log_alpha(t))

    def time_of(self, noise_level: Time) -> Time:
        """The t at which σ_t/α_t is the given noise level."""
        lib = _lib(noise_level)  # α solves α² + σ̂α − 1 = 0, so −ln α = asinh(σ̂/2)
        return _vp_time(2 * lib.asinh(0.5 * noise_level), self.beta_min, self.beta_max)


@dataclass(frozen=True, slots=True)
class VE:
    """Variance exploding: dx = g dw with σ_t = σ_min(σ_max/σ_min)^t; the limit of NCSN's noise levels.

    Convention: `exact0=False` is the reference code, which treats the data as if they had the noise σ_min already;
    started from a point, the SDE itself has the variance σ_t² − σ_min² (`exact0=True`).

    >>> print(round(VE().sigma(0.1) ** 2, 8), round(VE(exact0=True).sigma(0.1) ** 2, 8))
    0.00054928 0.00044928
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    eps: float = 1e-5  # smallest time that samplers visit
    exact0: bool = False  # the marginal of the SDE started at the data

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max, got {self.sigma_min}, {self.sigma_max}"
            )
        _check_eps(self.eps)

    @property
    def name(self) -> str:
        return "VE"

    @property
    def T(self) -> float:
        return 1.0

    def drift_rate(self, t: Time) -> Time:
        """a(t) in f(x, t) = a(t)·x: nothing pulls."""
        return 0 * t

    def diffusion(self, t: Time) -> Time:
        """g(t)."""
        return self._geometric(t) * math.sqrt(2 * math.log(self.sigma_max / self.sigma_min))

    def alpha(self, t: Time) -> Time:
        return 0 * t + 1

    def sigma(self, t: Time) -> Time:
        if not self.exact0:
            return self._geometric(t)
        lib = _lib(t)
        return self.sigma_min * lib.sqrt(lib.expm1(2 * t * math.log(self.sigma_max / self.sigma_min)))

    def time_of(self, noise_level: Time) -> Time:
        """The t at which σ_t is the given noise level; below 0 under σ_min."""
        lib = _lib(noise_level)
        rate = math.log(self.sigma_max / self.sigma_min)
        ratio = noise_level / self.sigma_min
        return lib.log1p(ratio * ratio) / (2 * rate) if self.exact0 else lib.log(ratio) / rate

    def _geometric(self, t: Time) -> Time:
        return self.sigma_min * _lib(t).exp(t * math.log(self.sigma_max / self.sigma_min))


@dataclass(frozen=True, slots=True)
class EDM:
    """Karras et al.'s choice: σ_t = t, no scaling, g = √(2t); time *is* the noise level.

    >>> print(EDM().sigma(2.0), EDM().diffusion(2.0), EDM().T)
    2.0 2.0 80.0
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"sigma_min and sigma_max must satisfy 0 < sigma_min < sigma_max, got {self.sigma_min}, {self.sigma_max}"
            )

    @property
    def name(self) -> str:
        return "EDM"

    @property
    def T(self) -> float:
        return self.sigma_max

    @property
    def eps(self) -> float:
        return self.sigma_min

    def drift_rate(self, t: Time) -> Time:
        """a(t) in f(x, t) = a(t)·x: nothing pulls."""
        return 0 * t

    def diffusion(self, t: Time) -> Time:
        """g(t)."""
        return _lib(t).sqrt(2 * t)

    def alpha(self, t: Time) -> Time:
        return 0 * t + 1

    def sigma(self, t: Time) -> Time:
        return t + 0

    def time_of(self, noise_level: Time) -> Time:
        """The t at which σ_t is the given noise level."""
        return noise_level + 0


def drift(process: Process, x: Tensor, t: float | Tensor) -> Tensor:
    """f(x, t) of the forward SDE, for x of any rank.

    Args:
        process: VP, SubVP, VE or EDM.
        x: (N, …).
        t: a number, or (N,) one time per row.

    Raises:
        ValueError: if t has another length than x.

    Source: arXiv:2011.13456 eq. 9, 11 and appendix B.
    Differs: nothing.

    >>> drift(VP(), torch.ones(2, 3), 0.0)[0].tolist()
    [-0.05000000074505806, -0.05000000074505806, -0.05000000074505806]
    """
    return rows(process.drift_rate(t), x) * x


def marginal_prob(process: Process, x0: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor | float]:
    """Mean and standard deviation of x_t given x_0: (N, …) and a number or a tensor that broadcasts against x0.

    Args, Raises: as `drift`.

    Source: arXiv:2011.13456 eq. 29.
    Differs: nothing.

    >>> mean, std = marginal_prob(VP(), torch.ones(1, 2, dtype=torch.float64), 0.5)
    >>> print(round(float(mean[0, 0]), 6), round(std, 6))
    0.281183 0.959654
    """
    return rows(process.alpha(t), x0) * x0, rows(process.sigma(t), x0)


def transition(process: Process, t_from: float, t_to: float) -> tuple[float, float]:
    """(ratio, std) of the forward step x_to = ratio·x_from + std·z, exact for any step size.

    Args:
        t_from, t_to: 0 ≤ t_from ≤ t_to.

    Raises:
        ValueError: if the step goes back in time.

    Source: the transition of a linear SDE: α_t/α_s and √(σ_t² − (α_t/α_s)²σ_s²).
    Differs: nothing.

    >>> ratio, std = transition(VP(), 0.25, 0.5)
    >>> print(round(ratio, 6), round(std, 6))
    0.388558 0.921424
    """
    if not 0 <= t_from <= t_to:
        raise ValueError(f"a forward step must have 0 ≤ t_from ≤ t_to, got {t_from} and {t_to}")
    ratio = process.alpha(t_to) / process.alpha(t_from)
    return ratio, math.sqrt(max(0.0, process.sigma(t_to) ** 2 - (ratio * process.sigma(t_from)) ** 2))


def prior_sampling(
    process: Process,
    shape: Sequence[int],
    *,
    seed: int,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw from the noise that sampling starts from: N(0, I) for VP and sub-VP, N(0, σ_max² I) for VE and EDM.

    Convention: the prior is not exactly p_T (the data still shine through, α_T ≠ 0; for VE the data's own mean and spread
    are forgotten); `likelihood_budget` says what that costs.

    Args:
        shape: (N, …).
        seed: row i depends on seed and i only.

    Raises:
        ValueError: if the seed is negative.

    Source: arXiv:2011.13456 appendix C; score_sde_pytorch sde_lib.py, prior_sampling.
    Differs: nothing.

    >>> round(float(prior_sampling(VE(), (10000, 1), seed=0).std()), 2)
    50.45
    """
    return prior_std(process) * particle_normals(seed, (0, 3), shape, dtype=dtype, device=device)


def prior_std(process: Process) -> float:
    """Standard deviation of the prior: 1 for VP and sub-VP, σ_max for VE and EDM.

    >>> print(prior_std(VP()), prior_std(VE()))
    1.0 50.0
    """
    return process.sigma_max if isinstance(process, (VE, EDM)) else 1.0


def prior_log_prob(process: Process, x: Tensor) -> Tensor:
    """Log density of the prior at each row of x, (N,) nats.

    Args:
        x: (N, …).

    Source: the density of N(0, std² I).
    Differs: nothing.

    >>> round(float(prior_log_prob(VP(), torch.zeros(1, 2, dtype=torch.float64))), 6)
    -1.837877
    """
    std = prior_std(process)
    flat = x.reshape(x.shape[0], -1)
    return -0.5 * (flat / std).square().sum(-1) - flat.shape[1] * math.log(std * math.sqrt(2 * math.pi))


Spacing = Literal["uniform", "song", "karras", "log_snr"]


def time_grid(
    process: Process, steps: int, *, spacing: Spacing = "uniform", rho: float = 7.0, to_zero: bool = False
) -> list[float]:
    """The falling times of a sampler: `steps` updates give `steps` + 1 times, from T to ε (or to 0).

    Convention: "uniform" divides [ε, T] evenly; "song" is score_sde's linspace(T, ε, N) with one more state, named 0, after
    the last update; "karras" spaces σ̂^(1/ρ) evenly; "log_snr" spaces ln(σ̂) evenly (DPM-Solver). With `to_zero` the last
    time is 0 and the one before it ε, as in EDM.

    Args:
        steps: updates, ≥ 1 (≥ 2 for "song" or with `to_zero`).
        rho: exponent of "karras".

    Raises:
        ValueError: if steps is too small, or the spacing unknown.

    Source: arXiv:2011.13456 algorithm 2–3; arXiv:2206.00364 eq. 5; Lu et al., arXiv:2206.00927 §3.4.
    Differs: nothing.

    >>> [round(t, 4) for t in time_grid(EDM(), 4, spacing="karras", to_zero=True)]
    [80.0, 9.7232, 0.47, 0.002, 0.0]
    """
    fewest = 2 if to_zero or spacing == "song" else 1
    if steps < fewest:
        raise ValueError(f"steps must be at least {fewest}, got {steps}")
    if not rho > 0:
        raise ValueError(f"rho must be above 0, got {rho}")
    n = steps - 1 if to_zero or spacing == "song" else steps
    shares = [i / n for i in range(n + 1)]
    if spacing in ("uniform", "song"):
        times = [*(process.T + share * (process.eps - process.T) for share in shares[:-1]), process.eps]
    elif spacing in ("karras", "log_snr"):
        high, low = (process.sigma(t) / process.alpha(t) for t in (process.T, process.eps))
        if spacing == "karras":
            levels = [(high ** (1 / rho) + s * (low ** (1 / rho) - high ** (1 / rho))) ** rho for s in shares]
        else:
            levels = [high * (low / high) ** s for s in shares]
        times = [process.T, *(process.time_of(level) for level in levels[1:-1]), process.eps]
    else:
        raise ValueError(f"spacing must be uniform, song, karras or log_snr, got {spacing!r}")
    return [*times, 0.0] if to_zero or spacing == "song" else times


def rows(value: Time, x: Tensor) -> Time:
    """A number as it is, (N,) numbers as (N, 1, …) of x's rank."""
    if not isinstance(value, Tensor) or not value.ndim:
        return value
    if value.shape[0] != x.shape[0]:
        raise ValueError(f"there must be one time per row of x, {x.shape[0]}, got {value.shape[0]}")
    return value.reshape(-1, *[1] * (x.ndim - 1))


def _lib(t: float | Tensor) -> Any:
    return torch if isinstance(t, Tensor) else math


def _vp_time(integral: Any, low: float, high: float) -> Any:
    """Solve ½(β_max − β_min)t² + β_min t = integral for t ≥ 0."""
    slope = high - low
    return 2 * integral / (low + _lib(integral).sqrt(low * low + 2 * slope * integral))


def _check_betas(low: float, high: float, eps: float) -> None:
    if not 0 < low <= high < math.inf:
        raise ValueError(f"beta_min and beta_max must satisfy 0 < beta_min ≤ beta_max, got {low} and {high}")
    _check_eps(eps)


def _check_eps(eps: float) -> None:
    if not 0 < eps < 1:
        raise ValueError(f"eps must lie in (0, 1), got {eps}")
