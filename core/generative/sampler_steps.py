"""States of a sampler, and the two processes that need no sampler: forward, and backward by exact transitions.

Source: Song et al., arXiv:2011.13456, eq. 29; `GaussianMixture.reverse_transition`.
Notation: α, σ scales of x_t = α·x_0 + σ·z.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals, particle_uniforms
from core.generative.sde import Process


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
    >>> from core.generative.sde import VP, prior_sampling
    >>> two, process = gaussian_mixture([0.8, 0.2], [[5.0], [-5.0]], 1.0), VP()
    >>> *_, last = exact_reverse(two, process, prior_sampling(process, (20000, 1), seed=0), [1.0, 0.0], seed=0)
    >>> round(float((last.x > 0).double().mean()), 2)
    0.8
    """
    check_start(x, times)
    if x.ndim != 2 or x.shape[1] != mixture.dim:
        raise ValueError(f"x must have the shape (N, {mixture.dim}), got {tuple(x.shape)}")
    return _exact_reverse(mixture, process, x, times, seed)


def _exact_reverse(
    mixture: GaussianMixture, process: Process, x: Tensor, times: Sequence[float], seed: int
) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        alpha_t, sigma_t, alpha_s, sigma_s = *scales(process, t), *scales(process, s)
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

    >>> from core.generative.sde import VP
    >>> *_, last = forward_process(VP(), torch.full((20000, 1), 3.0).double(), [0.0, 0.3, 1.0], seed=0)
    >>> print(round(float(last.x.mean()), 2), round(float(last.x.std()), 2))
    0.03 1.0
    """
    check_start(x0, list(reversed(times)))
    return _forward_process(process, x0, times, seed)


def _forward_process(process: Process, x: Tensor, times: Sequence[float], seed: int) -> Iterator[SamplerStep]:
    mean: Tensor = process.alpha(times[0]) * x
    std = process.sigma(times[0])
    x = noised(mean, std, seed, 0)
    yield SamplerStep(0, times[0], x, mean, std, None, 0)
    for i, (s, t) in enumerate(pairwise(times)):
        ratio = process.alpha(t) / process.alpha(s)
        std = math.sqrt(max(0.0, process.sigma(t) ** 2 - (ratio * process.sigma(s)) ** 2))
        mean = ratio * x
        x = noised(mean, std, seed, i + 1)
        yield SamplerStep(i + 1, t, x, mean, std, None, 0)


def final_state(steps: Iterable[SamplerStep]) -> Tensor:
    """The last state of a sampler, (N, …).

    Raises:
        ValueError: if there is none.

    >>> import torch
    >>> from core.generative.sde import VP
    >>> final_state(forward_process(VP(), torch.zeros(2, 3), [0.0, 1.0], seed=0)).shape
    torch.Size([2, 3])
    """
    last = deque(steps, maxlen=1)
    if not last:
        raise ValueError("there must be at least one step, got none")
    return last[0].x


def trajectory(steps: Iterable[SamplerStep]) -> Tensor:
    """All states of a sampler, (steps + 1, N, …).

    >>> import torch
    >>> from core.generative.sde import VP
    >>> trajectory(forward_process(VP(), torch.zeros(2, 3), [0.0, 0.5, 1.0], seed=0)).shape
    torch.Size([3, 2, 3])
    """
    return torch.stack([step.x for step in steps])


def scales(process: Process, t: float) -> tuple[float, float]:
    """α and σ; at t = 0 there is no noise, whatever the process says (VE and EDM end at a clean point)."""
    return (process.alpha(t), process.sigma(t)) if t > 0 else (1.0, 0.0)


def noised(mean: Tensor, std: float, seed: int, stream: int | tuple[int, ...]) -> Tensor:
    """mean + std·z, with the noise of a step; the mean itself if there is none."""
    if not std:
        return mean
    stream = (stream, 0) if isinstance(stream, int) else stream
    z = particle_normals(seed, stream, mean.shape, dtype=mean.dtype, device=mean.device)
    return torch.add(mean, z, alpha=std)


def check_start(x: Tensor, times: Sequence[float]) -> None:
    """Refuse a start or falling times that no sampler can use."""
    if not x.ndim:
        raise ValueError("x must have the shape (N, …), got a single number")
    if not x.is_floating_point() or not bool(torch.isfinite(x).all()):
        raise ValueError("x must hold finite floating-point numbers, got others")
    if len(times) < 2 or any(not b < a for a, b in pairwise(times)):
        raise ValueError(f"times must be at least two and in strict order, got {[round(t, 6) for t in times[:5]]}")
