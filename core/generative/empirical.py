"""The optimal denoiser of finitely many pictures, the sampler it drives, and the moment at which the picture is decided.

The density of N pictures with noise σ is a mixture of N points, so the best denoiser is a softmax over the pictures. It is
*optimal* for these N pictures and therefore only ever gives them back: what a network adds is its failure to be optimal.
Source: Karras et al., arXiv:2206.00364, eq. 57 (appendix B.3); Song et al., arXiv:2011.13456, for the noising.
Notation: X_i pictures as rows, D(x; σ) denoiser, w_i posterior weights, H entropy in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals
from core.generative.sde import Process


@dataclass(frozen=True, slots=True)
class Posterior:
    """Which of the pictures a noisy one may have come from."""

    denoised: Tensor  # (M, D) Σ w_i X_i, the best guess
    entropy: Tensor  # (M,) −Σ w_i ln w_i, nats; ln N if nothing is decided, 0 if everything is
    top: Tensor  # (M,) index of the likeliest picture
    top_weight: Tensor  # (M,) its weight
    weights: Tensor  # (M, N) w_i


@dataclass(frozen=True, slots=True)
class EmpiricalDenoiser:
    """N pictures as rows, with what every call needs; made by `empirical_denoiser`."""

    data: Tensor  # (N, D)
    half_norms: Tensor  # (N,) ½|X_i|²

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """(M, D) noisy pictures and one σ, or (M,) of them -> (M, D) denoised"""
        return self._weights(x, sigma) @ self.data

    def posterior(self, x: Tensor, sigma: float | Tensor) -> Posterior:
        """All about (M, D) noisy pictures at noise level σ."""
        w = self._weights(x, sigma)
        entropy = _entr(w).sum(-1)
        top_weight, top = w.max(-1)
        return Posterior(w @ self.data, entropy, top, top_weight, w)

    def _weights(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.data.shape[1]:
            raise ValueError(f"x must have the shape (M, {self.data.shape[1]}), got {tuple(x.shape)}")
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        s = s[:, None] if s.ndim else s
        # −|x − X|²/2σ² without |x|², which all pictures share and which would drown the rest in rounding
        return torch.softmax((x @ self.data.mT - self.half_norms) / (s * s), -1)


def empirical_denoiser(data: Tensor) -> EmpiricalDenoiser:
    """The optimal denoiser of these pictures.

    Args:
        data: (N, D) pictures as rows, at least one, floating point (around [−1, 1]).

    Raises:
        ValueError: if the shape is wrong, there is no picture, or a number is not finite.

    Source: arXiv:2206.00364 eq. 57.
    Differs: nothing.

    >>> best = empirical_denoiser(torch.tensor([[-1.0], [1.0]], dtype=torch.float64))
    >>> print(round(float(best(torch.tensor([[0.5]]).double(), 1.0)), 6))
    0.462117
    """
    if data.ndim != 2 or not len(data) or not data.is_floating_point():
        raise ValueError(
            f"data must have the shape (N, D) in floating point, at least one row, got {tuple(data.shape)} {data.dtype}"
        )
    if not bool(torch.isfinite(data).all()):
        raise ValueError("data must be finite, got a number that is not")
    return EmpiricalDenoiser(data, 0.5 * data.square().sum(-1))


@dataclass(frozen=True, slots=True)
class EmpiricalStep:
    """M pictures on their way from noise, and how undecided each still is."""

    index: int  # 0 for pure noise
    sigma: float  # noise level of this state; 0 at the end
    x: Tensor  # (M, D)
    posterior: Posterior  # at this state; at the end, that of the state before it
    evaluations: int  # calls of the denoiser so far


def empirical_sampler(denoiser: EmpiricalDenoiser, x: Tensor, sigmas: Sequence[float]) -> Iterator[EmpiricalStep]:
    """EDM's deterministic sampler (Heun) with the optimal denoiser.

    Convention: the last noise level is 0 and its step Euler's, so N updates cost 2N − 1 calls.

    Args:
        denoiser: of the pictures.
        x: (M, D) noise at sigmas[0].
        sigmas: falling, the last one 0; for example `time_grid(EDM(), 18, spacing="karras", to_zero=True)`.

    Raises:
        ValueError: if the levels do not fall to 0, or x has another width.

    Source: arXiv:2206.00364 algorithm 1.
    Differs: nothing.

    >>> from core.generative.sde import EDM, prior_sampling, time_grid
    >>> corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    >>> noise = prior_sampling(EDM(), (3, 2), seed=0)
    >>> *_, last = empirical_sampler(empirical_denoiser(corners), noise, time_grid(EDM(), 18, spacing="karras", to_zero=True))
    >>> print(last.evaluations, [[round(v, 3) for v in row] for row in last.x.tolist()])
    35 [[-1.0, -1.0], [-1.0, -1.0], [-1.0, -1.0]]
    """
    levels = list(sigmas)
    if len(levels) < 2 or levels[-1] != 0 or any(not b < a for a, b in pairwise(levels)):
        raise ValueError(f"sigmas must be at least two, falling and end in 0, got {levels[:5]}")
    if x.ndim != 2 or x.shape[1] != denoiser.data.shape[1]:
        raise ValueError(f"x must have the shape (M, {denoiser.data.shape[1]}), got {tuple(x.shape)}")
    return _empirical_sampler(denoiser, x, levels)


def _empirical_sampler(denoiser: EmpiricalDenoiser, x: Tensor, sigmas: list[float]) -> Iterator[EmpiricalStep]:
    found = denoiser.posterior(x, sigmas[0])
    calls = 1
    yield EmpiricalStep(0, sigmas[0], x.clone(), found, calls)
    for i, (high, low) in enumerate(pairwise(sigmas)):
        d = (x - found.denoised) / high
        after = x + (low - high) * d
        if low > 0:
            d_low = (after - denoiser(after, low)) / low
            after = x + (low - high) * 0.5 * (d + d_low)
            calls += 1
        x = after
        if low > 0:
            found = denoiser.posterior(x, low)
            calls += 1
        yield EmpiricalStep(i + 1, low, x, found, calls)


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """When each picture was decided."""

    sigmas: Tensor  # (S,) noise levels above 0, falling
    entropy: Tensor  # (S, M) posterior entropy, nats
    top_weight: Tensor  # (S, M) weight of the likeliest picture
    decided: Tensor  # (M,) first index from which the likeliest picture stays the final one with the given certainty
    most: float  # ln N, the entropy of complete ignorance
    certainty: float
    picture: Tensor  # (M,) index of the picture that each sample became
    distance: Tensor  # (M,) root mean square difference per pixel between the sample and that picture


def decision_curve(
    denoiser: EmpiricalDenoiser, steps: Sequence[EmpiricalStep], *, certainty: float = 0.99
) -> DecisionCurve:
    """Read off a run when the picture was decided, and that the samples are the pictures again.

    Args:
        denoiser: that made the run.
        steps: all of them.
        certainty: weight in (0, 1) from which a picture counts as decided.

    Raises:
        ValueError: if there are fewer than two steps or the certainty is out of range.

    Source: own.
    Differs: nothing.

    >>> from core.generative.sde import EDM, prior_sampling, time_grid
    >>> best = empirical_denoiser(torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64))
    >>> sigmas = time_grid(EDM(), 18, spacing="karras", to_zero=True)
    >>> steps = list(empirical_sampler(best, prior_sampling(EDM(), (3, 2), seed=0), sigmas))
    >>> curve = decision_curve(best, steps)
    >>> print(curve.decided.tolist(), round(curve.most, 4), [round(v, 3) for v in curve.entropy[0].tolist()])
    [11, 11, 11] 1.0986 [1.099, 1.098, 1.098]
    """
    if len(steps) < 2:
        raise ValueError(f"there must be at least two steps, got {len(steps)}")
    if not 0 < certainty < 1:
        raise ValueError(f"certainty must lie in (0, 1), got {certainty}")
    noisy = [step for step in steps if step.sigma > 0]
    last = steps[-1].x
    apart = torch.cdist(last.double(), denoiser.data.double())
    nearest, picture = apart.min(-1)
    weight = torch.stack([step.posterior.top_weight for step in noisy])
    settled = (weight >= certainty) & (torch.stack([step.posterior.top for step in noisy]) == picture)
    from_here = settled.flip(0).int().cumprod(0).flip(0)  # 1 where it stays settled to the end
    decided = len(noisy) - from_here.sum(0)
    return DecisionCurve(
        torch.tensor([step.sigma for step in noisy], dtype=torch.float64),
        torch.stack([step.posterior.entropy for step in noisy]),
        weight,
        decided,
        math.log(len(denoiser.data)),
        certainty,
        picture,
        nearest / math.sqrt(last.shape[1]),
    )


@dataclass(frozen=True, slots=True)
class Filmstrip:
    """One picture on its way into noise, and what the optimal denoiser makes of every frame."""

    times: tuple[float, ...]
    frames: Tensor  # (S, D) α_t·x_0 + σ_t·z, the same z in all
    alphas: tuple[float, ...]
    sigmas: tuple[float, ...]
    posterior: Posterior | None  # of the S frames; None without a denoiser

    @property
    def snr(self) -> tuple[float, ...]:
        """α²/σ² of each frame; inf without noise"""
        return tuple(a * a / (s * s) if s else math.inf for a, s in zip(self.alphas, self.sigmas, strict=True))


def noising_filmstrip(
    x0: Tensor, process: Process, times: Sequence[float], *, seed: int, denoiser: EmpiricalDenoiser | None = None
) -> Filmstrip:
    """Noise one picture to several times with one and the same noise.

    Args:
        x0: (D,) picture.
        process: any.
        times: not negative, at least one.
        seed: of the noise.
        denoiser: looks at every frame, if given.

    Raises:
        ValueError: if the picture has more than one axis, or a time is negative or missing.

    Source: arXiv:2011.13456 eq. 29.
    Differs: nothing.

    >>> from core.generative.sde import VP
    >>> strip = noising_filmstrip(torch.ones(4, dtype=torch.float64), VP(), [0.0, 0.5, 1.0], seed=0)
    >>> print(tuple(strip.frames.shape), [round(v, 4) for v in strip.snr])
    (3, 4) [inf, 0.0859, 0.0]
    """
    if x0.ndim != 1:
        raise ValueError(f"x0 must have the shape (D,), got {tuple(x0.shape)}")
    if not times or min(times) < 0:
        raise ValueError(f"times must be at least one and not negative, got {list(times)}")
    z = particle_normals(seed, (0, 13), x0.shape, dtype=x0.dtype, device=x0.device)
    alphas, sigmas = tuple(process.alpha(t) for t in times), tuple(process.sigma(t) for t in times)
    a, s = (torch.tensor(v, dtype=x0.dtype, device=x0.device)[:, None] for v in (alphas, sigmas))
    frames = a * x0 + s * z
    posterior: Posterior | None = None
    if denoiser is not None:
        posterior = denoiser.posterior(frames / a, (s / a)[:, 0].clamp(min=1e-6))
    return Filmstrip(tuple(times), frames, alphas, sigmas, posterior)


@dataclass(frozen=True, slots=True)
class ManifoldCard:
    """How long the score is beside data that fill no volume."""

    sigmas: tuple[float, ...]
    distances: Tensor  # (Q,) from each query to the nearest data point
    lengths: Tensor  # (S, Q) |∇log q_σ|, exact
    predicted: Tensor  # (S, Q) distance/σ², what it tends to as σ → 0


def manifold_card(data: Tensor, queries: Tensor, sigmas: Sequence[float]) -> ManifoldCard:
    """The score's length off the data as the noise vanishes: it grows like distance/σ², so there is no score at σ = 0.

    Args:
        data: (N, d) points, for example on a curve.
        queries: (Q, d) where to look.
        sigmas: above 0.

    Raises:
        ValueError: if shapes disagree, something is empty, or a σ is not positive.

    Source: Song & Ermon, arXiv:1907.05600 §3.1 (the manifold hypothesis); the mixture of points is exact.
    Differs: nothing.

    >>> card = manifold_card(torch.zeros(1, 2).double(), torch.tensor([[3.0, 4.0]]).double(), [1.0, 0.1])
    >>> print([round(v, 6) for v in card.lengths[:, 0].tolist()])
    [5.0, 500.0]
    """
    if data.ndim != 2 or queries.ndim != 2 or data.shape[1] != queries.shape[1] or not len(data) or not len(queries):
        raise ValueError(
            f"data and queries must be (N, d) and (Q, d), got {tuple(data.shape)} and {tuple(queries.shape)}"
        )
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"sigmas must be at least one and above 0, got {list(sigmas)}")
    n = len(data)
    points = GaussianMixture(data.new_full((n,), 1 / n), data, torch.zeros_like(data), None)
    distances = torch.cdist(queries, data, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
    lengths = torch.stack([points.score(queries, sigma=sigma).square().sum(-1).sqrt() for sigma in sigmas])
    predicted = torch.stack([distances / sigma**2 for sigma in sigmas])
    return ManifoldCard(tuple(sigmas), distances, lengths, predicted)


def _entr(w: Tensor) -> Tensor:
    """−w ln w, 0 at 0"""
    library: Any = torch.special
    return library.entr(w)
