"""How many directions the noise fills: the score of data on a curve, from far away, from near, and from too near.

For data on a k-dimensional manifold in d dimensions, noise of a small σ leaves it in d − k directions, and σ²E|∇log q_σ|² tends to
d − k: the score explodes like 1/σ. From far away data look like one point (d − 0), and finitely many points are points again once
σ is smaller than the gaps between them. Only in between is the manifold seen.
Source: Song & Ermon, arXiv:1907.05600 §3.1 (the manifold hypothesis); the limit by the algebra of Gaussians.
Notation: N points X_i, q_σ their density with noise σ, s = ∇log q_σ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals

Curve = Literal["circle", "moons", "segment"]
CURVES: tuple[Curve, ...] = get_args(Curve)


def curve_points(curve: Curve, points: int) -> Tensor:
    """(N, 2) points evenly along a curve.

    Args:
        curve: "circle" of radius 2, "moons" (two half circles of radius 1.6), or a "segment" of length 4.
        points: N ≥ 2.

    Raises:
        ValueError: if the name is unknown or there are too few points.

    Source: own.
    Differs: nothing.

    >>> curve_points("segment", 3).tolist()
    [[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    """
    if points < 2:
        raise ValueError(f"points must be at least 2, got {points}")
    if curve == "circle":
        turn = 2 * math.pi * torch.arange(points, dtype=torch.float64) / points
        return 2 * torch.stack([turn.cos(), turn.sin()], -1)
    if curve == "segment":
        line = torch.linspace(-2, 2, points, dtype=torch.float64)
        return torch.stack([line, torch.zeros_like(line)], -1)
    if curve == "moons":
        upper = torch.linspace(0, math.pi, (points + 1) // 2, dtype=torch.float64)
        lower = torch.linspace(0, math.pi, points // 2, dtype=torch.float64)
        both = [
            torch.stack([upper.cos() - 0.5, upper.sin() - 0.25], -1),
            torch.stack([0.5 - lower.cos(), 0.25 - lower.sin()], -1),
        ]
        return 1.6 * torch.cat(both)
    raise ValueError(f"curve must be one of {', '.join(CURVES)}, got {curve!r}")


@dataclass(frozen=True, slots=True)
class FilledDirections:
    """σ²E|∇log q_σ|² at several noise levels: in how many directions the noise is alone."""

    sigmas: tuple[float, ...]
    value: Tensor  # (S,) mean of σ²|s(x̃)|² over draws x̃ of q_σ
    standard_error: Tensor  # (S,)

    @property
    def rms_score(self) -> Tensor:
        """(S,) √E|∇log q_σ|²: how long the score is where the noisy data are."""
        sigmas = torch.tensor(self.sigmas, dtype=self.value.dtype, device=self.value.device)
        return self.value.sqrt() / sigmas

    @property
    def least(self) -> float:
        """The smallest value over the levels: where the manifold is seen best."""
        return float(self.value.min())


def curve_queries(curve: Curve, distances: Sequence[float]) -> Tensor:
    """(Q, 2) places beside the curve's first point, straight off the curve by the given distances.

    Args:
        curve: see `curve_points`.
        distances: 0 or more.

    Raises:
        ValueError: if the name is unknown or a distance is negative.

    Source: own.
    Differs: nothing.

    >>> curve_queries("circle", [0.0, 0.5]).tolist()
    [[2.0, 0.0], [2.5, 0.0]]
    """
    if any(not d >= 0 for d in distances):
        raise ValueError(f"distances must not be negative, got {list(distances)}")
    first = curve_points(curve, 2)[0]
    away = torch.tensor([0.0, 1.0] if curve == "segment" else [1.0, 0.0], dtype=first.dtype)
    return first + torch.tensor(list(distances), dtype=first.dtype)[:, None] * away


def point_mixture(data: Tensor) -> GaussianMixture:
    """The data themselves as a mixture of points of equal weight.

    Args:
        data: (N, d), at least one.

    Raises:
        ValueError: if the shape is wrong.

    Source: definition.
    Differs: nothing.

    >>> point_mixture(torch.zeros(4, 2).double()).weights.tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    if data.ndim != 2 or not len(data):
        raise ValueError(f"data must have the shape (N, d) with at least one point, got {tuple(data.shape)}")
    return GaussianMixture(data.new_full((len(data),), 1 / len(data)), data, torch.zeros_like(data), None)


def filled_directions(data: Tensor, sigmas: Sequence[float], *, draws: int = 2000, seed: int) -> FilledDirections:
    """Estimate σ²E|∇log q_σ|² of finitely many points with noise.

    Args:
        data: (N, d) points.
        sigmas: above 0.
        draws: x̃ per level, ≥ 2; draw i starts at point i mod N and has the same noise at every level.
        seed: of the noise.

    Raises:
        ValueError: if something is empty, a σ is not positive, or there are too few draws.

    Source: see the module.
    Differs: nothing.

    >>> found = filled_directions(curve_points("circle", 400), [50.0, 0.1, 0.0005], draws=4000, seed=0)
    >>> [round(v, 1) for v in found.value.tolist()]
    [2.0, 1.0, 2.0]
    """
    points = point_mixture(data)
    if not sigmas or min(sigmas) <= 0 or draws < 2:
        raise ValueError(f"sigmas must be above 0 and draws at least 2, got {list(sigmas)} and {draws}")
    z = particle_normals(seed, (0, 22), (draws, data.shape[1]), dtype=data.dtype, device=data.device)
    at = data[torch.arange(draws, device=data.device) % len(data)]
    means: list[Tensor] = []
    errors: list[Tensor] = []
    for sigma in sigmas:
        values = sigma**2 * points.score(at + sigma * z, sigma=sigma).square().sum(-1)
        means.append(values.mean())
        errors.append(values.std() / math.sqrt(draws))
    return FilledDirections(tuple(sigmas), torch.stack(means), torch.stack(errors))
