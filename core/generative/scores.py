"""Score functions: the exact one of a mixture, the same with an error put in, and those read off networks.

A score function is called with points (N, …) and a time (one number, or (N,) one per point) and gives ∇ log p_t(x).
Source: Song et al., arXiv:2011.13456, §3; Robbins 1956 (Tweedie's formula).
Notation: s score, ε̂ = −σ_t·s predicted noise, D = E[x_0 | x_t] denoised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.sde import Process, rows


class Score(Protocol):
    """∇ log p_t(x) for points (N, …) at a time."""

    def __call__(self, x: Tensor, t: float | Tensor, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class ExactScore:
    """The score of a Gaussian mixture under a process; its divergence is exact as well.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0]], 3.0), EDM())
    >>> score(torch.tensor([[4.0]], dtype=torch.float64), 1.0).tolist()
    [[-1.0]]
    """

    mixture: GaussianMixture
    process: Process

    def __call__(self, x: Tensor, t: float | Tensor, /) -> Tensor:
        """(N, d)"""
        return self.mixture.score(x, alpha=self.process.alpha(t), sigma=self.process.sigma(t))

    def divergence(self, x: Tensor, t: float | Tensor) -> Tensor:
        """∇·s, (N,)"""
        return self.mixture.laplacian(x, alpha=self.process.alpha(t), sigma=self.process.sigma(t))


ErrorKind = Literal["scaled", "shifted", "rippled", "late"]


@dataclass(frozen=True, slots=True)
class FlawedScore:
    """A score with an error of known size; made by `inject_error`."""

    score: Score
    process: Process
    kind: ErrorKind
    size: float

    def __call__(self, x: Tensor, t: float | Tensor, /) -> Tensor:
        """(N, d)"""
        return self.score(x, t) + self.error(x, t)

    def error(self, x: Tensor, t: float | Tensor) -> Tensor:
        """What is added to the score, (N, d)."""
        if self.kind == "scaled":
            return self.size * self.score(x, t)
        alpha, sigma = rows(self.process.alpha(t), x), rows(self.process.sigma(t), x)
        if self.kind == "rippled":
            return (
                self.size / sigma * torch.sin(2 * math.pi * x / torch.as_tensor(alpha * alpha + sigma * sigma).sqrt())
            )
        shift = torch.ones_like(x) * (self.size / sigma) / math.sqrt(x[0].numel() if len(x) else 1)
        return shift if self.kind == "shifted" else torch.where(torch.as_tensor(sigma < alpha), shift, 0.0)


def inject_error(score: Score, process: Process, *, kind: ErrorKind, size: float) -> FlawedScore:
    """The score with a known error, so that a sampler's own error can be told from the score's.

    Convention: `size` is relative to the length of the noise, since networks err in ε̂ = −σ·s. "scaled": (1 + size)·s.
    "shifted": a constant of length size/σ along the diagonal. "rippled": size/σ·sin(2πx/√(α² + σ²)) per coordinate.
    "late": "shifted", but only while σ < α, as if the network had learned the noisy half perfectly.

    Args:
        score: any score function.
        process: the process of its times.
        kind: see above.
        size: 0 gives the score back.

    Raises:
        ValueError: if the kind is unknown or the size is not finite.

    Source: own design; networks' errors are measured in ε̂ by Ho et al., arXiv:2006.11239.
    Differs: a network's error has no such simple form.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> exact = ExactScore(gaussian_mixture([1.0], [[0.0]], 3.0), EDM())
    >>> inject_error(exact, EDM(), kind="scaled", size=0.5)(torch.tensor([[4.0]], dtype=torch.float64), 1.0).tolist()
    [[-1.5]]
    """
    if kind not in ("scaled", "shifted", "rippled", "late"):
        raise ValueError(f"kind must be scaled, shifted, rippled or late, got {kind!r}")
    if not math.isfinite(size):
        raise ValueError(f"size must be a finite number, got {size}")
    return FlawedScore(score, process, kind, size)


@dataclass(frozen=True, slots=True)
class PathError:
    """What a score's error can cost the reverse SDE, by Girsanov's theorem."""

    kl_bound: float  # nats, KL(data, samples) ≤ this: ½∫g² E|error|² dt + KL(p_T, prior); here the integral alone
    times: Tensor  # (M,) times
    rates: Tensor  # (M,) ½g² E|error|² at each time, nats per unit of time


def path_error(
    flawed: FlawedScore, mixture: GaussianMixture, *, points: int = 2000, nodes: int = 200, seed: int
) -> PathError:
    """½∫g(t)² E|error|² dt over forward paths: how far wrong scores can lead the reverse SDE at most, in nats.

    Convention: expectation over `points` draws of x_t, the same noise at every time; trapezium rule in ln σ̂.

    Args:
        flawed: score with a known error.
        mixture: the data.
        points, nodes: draws and times.
        seed: of the draws.

    Raises:
        ValueError: if there are fewer than 1 point or 2 nodes.

    Source: Song et al., "Maximum likelihood training of score-based diffusion models", arXiv:2101.09258, theorem 1.
    Differs: without KL(p_T, prior), which the likelihood's budget shows.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> one = gaussian_mixture([1.0], [[0.0]], 1.0)
    >>> flawed = inject_error(ExactScore(one, VP()), VP(), kind="shifted", size=0.1)
    >>> round(path_error(flawed, one, seed=0).kl_bound, 4)
    0.0959
    """
    if points < 1 or nodes < 2:
        raise ValueError(f"there must be at least 1 point and 2 nodes, got {points} and {nodes}")
    from core.generative.noise import particle_normals
    from core.generative.sde import time_grid

    process = flawed.process
    times = time_grid(process, nodes - 1, spacing="log_snr")[::-1]
    x0, _ = mixture.sample(points, seed=seed)
    z = particle_normals(seed, (0, 4), x0.shape, dtype=x0.dtype, device=x0.device)
    found: list[float] = []
    for t in times:
        error = flawed.error(process.alpha(t) * x0 + process.sigma(t) * z, t)
        found.append(0.5 * process.diffusion(t) ** 2 * float(error.square().sum(-1).mean()))
    grid, rates = torch.tensor(times, dtype=torch.float64), torch.tensor(found, dtype=torch.float64)
    return PathError(float(torch.trapezoid(rates, grid)), grid, rates)


def tweedie(x: Tensor, score: Tensor, *, alpha: float | Tensor, sigma: float | Tensor) -> Tensor:
    """E[x_0 | x_t] = (x + σ²s)/α: the clean point that a score believes in.

    Args:
        x, score: (N, …).
        alpha, sigma: numbers, or (N,).

    Source: Robbins 1956; Efron 2011.
    Differs: nothing.

    >>> tweedie(torch.tensor([[4.0]]), torch.tensor([[-1.0]]), alpha=1.0, sigma=1.0).tolist()
    [[3.0]]
    """
    a, s = rows(alpha, x), rows(sigma, x)
    return (x + s * s * score) / a


def score_of_noise(predict: Callable[[Tensor, float | Tensor], Tensor], process: Process) -> Score:
    """The score of a network that predicts the noise: s = −ε̂/σ_t.

    Args:
        predict: ε̂(x, t).
        process: the process of its times.

    Source: Ho et al., arXiv:2006.11239; score_sde_pytorch models/utils.py, get_score_fn.
    Differs: nothing.

    >>> from core.generative.sde import EDM
    >>> score_of_noise(lambda x, t: x, EDM())(torch.tensor([[4.0]]), 2.0).tolist()
    [[-2.0]]
    """

    def score(x: Tensor, t: float | Tensor, /) -> Tensor:
        return -predict(x, t) / rows(process.sigma(t), x)

    return score


def score_of_denoiser(denoise: Callable[[Tensor, float | Tensor], Tensor], process: Process) -> Score:
    """The score of a denoiser: s = (α_t·D(x̂; σ̂) − x)/σ_t², with x̂ = x/α_t and σ̂ = σ_t/α_t.

    Args:
        denoise: D(x̂, σ̂) of points with plain noise of level σ̂ added.
        process: any process.

    Source: Karras et al., arXiv:2206.00364, eq. 3.
    Differs: nothing.

    >>> from core.generative.sde import EDM
    >>> score_of_denoiser(lambda x, sigma: 0.75 * x, EDM())(torch.tensor([[4.0]]), 1.0).tolist()
    [[-1.0]]
    """

    def score(x: Tensor, t: float | Tensor, /) -> Tensor:
        level = process.sigma(t) / process.alpha(t)
        a, s = rows(process.alpha(t), x), rows(process.sigma(t), x)
        return (a * denoise(x / a, level) - x) / (s * s)

    return score
