"""A small score network trained while one watches, by denoising score matching, and a map of where it is wrong.

Source: Vincent 2011; Song & Ermon, arXiv:1907.05600, §3.2 and 4.2 (figure 2: scores are wrong where there are no data);
Kingma & Ba, arXiv:1412.6980 (Adam).
Notation: s_θ(x, σ) network, s* exact score of the data with noise σ, λ(σ) = σ² weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals


@dataclass(frozen=True, slots=True)
class ScoreNetwork:
    """s_θ(x, σ) = MLP(x/√(σ² + scale²), ln σ/4)/σ with SiLU between layers."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # (out, in) weight and (out,) bias of each layer
    scale: float  # spread of the data, so that the first layer sees numbers around 1

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """(N, d) points and one σ, or (N,) of them -> (N, d) score"""
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))[:, None]
        h = torch.cat([x / (s * s + self.scale**2).sqrt(), s.log() / 4], 1)
        for i, (weight, bias) in enumerate(self.layers):
            h = functional.linear(h, weight, bias)
            if i + 1 < len(self.layers):
                h = functional.silu(h)
        return h / s

    @property
    def parameters(self) -> int:
        return sum(weight.numel() + bias.numel() for weight, bias in self.layers)


def score_network(dim: int, *, hidden: int = 64, depth: int = 3, scale: float = 1.0, seed: int) -> ScoreNetwork:
    """An untrained network; its numbers depend on the seed only.

    Convention: weights N(0, 1/fan_in), biases 0, last layer 0, so that it starts as the score 0.

    Args:
        dim: d ≥ 1.
        hidden: width, ≥ 1.
        depth: hidden layers, ≥ 1.
        scale: spread of the data, above 0.
        seed: of the weights.

    Raises:
        ValueError: if a size or the scale is out of range.

    Source: own; LeCun 1998 for the scale of the weights.
    Differs: nothing.

    >>> net = score_network(2, seed=0)
    >>> print(net.parameters, net(torch.ones(1, 2, dtype=torch.float64), 1.0).tolist())
    8706 [[0.0, 0.0]]
    """
    if min(dim, hidden, depth) < 1 or not scale > 0:
        raise ValueError(
            f"dim, hidden, depth and scale must be at least 1 (scale above 0), got {dim}, {hidden}, {depth}, {scale}"
        )
    sizes = [dim + 1, *[hidden] * depth, dim]
    layers: list[tuple[Tensor, Tensor]] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        weight = particle_normals(seed, (i, 10), (fan_out, fan_in)) / math.sqrt(fan_in)
        last = i + 2 == len(sizes)
        layers.append((0 * weight if last else weight, torch.zeros(fan_out, dtype=weight.dtype)))
    return ScoreNetwork(tuple(layers), scale)


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """The network after some updates."""

    index: int  # updates so far
    loss: float  # mean weighted loss σ²·½|s_θ + z/σ|² since the last report; NaN at the start
    excess: float  # E σ²·½|s_θ − s*|² on fresh points, averaged over the levels: loss minus the least possible loss
    network: ScoreNetwork  # a copy that never changes


def train_score_network(
    network: ScoreNetwork,
    mixture: GaussianMixture,
    sigmas: Sequence[float],
    *,
    updates: int,
    samples: int = 4096,
    batch: int = 256,
    learning_rate: float = 3e-3,
    report_every: int = 50,
    seed: int,
) -> Iterator[TrainingStep]:
    """Train by denoising score matching on finitely many samples; the mixture itself is used only to say how wrong it still is.

    Convention: loss weighted by σ²; levels drawn evenly; Adam (0.9, 0.999) with its rate falling to 0 along a cosine; a state
    before the first update, one after every `report_every` updates, and one after the last.

    Args:
        network: the start, which stays as it is.
        mixture: the data.
        sigmas: noise levels, at least one, above 0.
        updates: ≥ 0.
        samples: size of the training set.
        batch: points per update.
        learning_rate: at the start.
        report_every: updates between states.
        seed: of the data, batches and noise.

    Raises:
        ValueError: if an option is out of range.

    Source: arXiv:1907.05600 eq. 6; arXiv:1412.6980 algorithm 1.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0], [-2.0]], 0.1)
    >>> steps = list(train_score_network(score_network(1, seed=0), two, [0.5], updates=200, batch=64, seed=0))
    >>> print([s.index for s in steps], steps[-1].excess < 0.1 * steps[0].excess)
    [0, 50, 100, 150, 200] True
    """
    if not sigmas or min(sigmas) <= 0:
        raise ValueError(f"sigmas must be at least one and above 0, got {list(sigmas)}")
    if updates < 0 or min(samples, batch, report_every) < 1 or not learning_rate > 0:
        raise ValueError(
            "updates must not be negative, samples, batch and report_every at least 1 and learning_rate above 0, got "
            f"{updates}, {samples}, {batch}, {report_every} and {learning_rate}"
        )
    return _train(network, mixture, list(sigmas), updates, samples, batch, learning_rate, report_every, seed)


def _train(
    network: ScoreNetwork,
    mixture: GaussianMixture,
    sigmas: list[float],
    updates: int,
    samples: int,
    batch: int,
    learning_rate: float,
    report_every: int,
    seed: int,
) -> Iterator[TrainingStep]:
    data, _ = mixture.sample(samples, seed=seed)
    levels = torch.tensor(sigmas, dtype=data.dtype)
    live = _copy(network, trained=True)
    numbers = [tensor for layer in live.layers for tensor in layer]
    first, second = [torch.zeros_like(p) for p in numbers], [torch.zeros_like(p) for p in numbers]
    losses: list[float] = []
    yield TrainingStep(0, math.nan, score_excess(network, mixture, sigmas, seed=seed + 1), _copy(network))
    for update in range(1, updates + 1):
        rng = np.random.default_rng((seed, update, 11))
        x = data[torch.as_tensor(rng.integers(0, samples, batch))]
        sigma = levels[torch.as_tensor(rng.integers(0, len(sigmas), batch))]
        z = torch.as_tensor(rng.standard_normal(tuple(x.shape)))
        with torch.enable_grad():
            error = sigma[:, None] * live(x + sigma[:, None] * z, sigma) + z
            loss = 0.5 * error.square().sum(-1).mean()
            gradients = torch.autograd.grad(loss, numbers)
        rate = learning_rate * 0.5 * (1 + math.cos(math.pi * (update - 1) / updates))
        with torch.no_grad():  # Adam
            for p, g, m, v in zip(numbers, gradients, first, second, strict=True):
                m.mul_(0.9).add_(g, alpha=0.1)
                v.mul_(0.999).addcmul_(g, g, value=0.001)
                p.sub_(rate * (m / (1 - 0.9**update)) / ((v / (1 - 0.999**update)).sqrt() + 1e-8))
        losses.append(float(loss.detach()))
        if update % report_every == 0 or update == updates:
            now = _copy(live)
            yield TrainingStep(
                update, sum(losses) / len(losses), score_excess(now, mixture, sigmas, seed=seed + 1), now
            )
            losses.clear()


def score_excess(
    network: ScoreNetwork, mixture: GaussianMixture, sigmas: Sequence[float], *, points: int = 2000, seed: int
) -> float:
    """E σ²·½|s_θ − s*|², averaged over the levels: what the weighted loss has above its least possible value.

    Args:
        network: s_θ.
        mixture: the data, whose exact score is s*.
        sigmas: noise levels.
        points: draws per level.
        seed: of the draws.

    Raises:
        ValueError: if there is no level or point.

    Source: Vincent 2011: DSM − its optimum = ESM of the noisy density.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> one = gaussian_mixture([1.0], [[0.0]], 1.0)
    >>> round(score_excess(score_network(1, seed=0), one, [1.0], points=100000, seed=0), 3)
    0.249
    """
    if not sigmas or points < 1:
        raise ValueError(f"there must be at least one level and one point, got {len(sigmas)} and {points}")
    x0, _ = mixture.sample(points, seed=seed)
    z = particle_normals(seed, (0, 12), x0.shape, dtype=x0.dtype)
    total = 0.0
    for sigma in sigmas:
        x = x0 + sigma * z
        apart = sigma * (network(x, sigma) - mixture.score(x, sigma=sigma))
        total += 0.5 * float(apart.detach().square().sum(-1).mean())
    return total / len(sigmas)


@dataclass(frozen=True, slots=True)
class ResidualMap:
    """Where a network's score is wrong, on a grid."""

    xs: Tensor  # (W,) positions of the columns
    ys: Tensor  # (H,) positions of the rows, rising
    network: Tensor  # (H, W, 2) s_θ
    exact: Tensor  # (H, W, 2) s*
    density: Tensor  # (H, W) q_σ
    inside: Tensor  # (H, W) bool, the densest cells that hold `mass` of the probability
    mass: float  # share of the probability inside

    @property
    def residual(self) -> Tensor:
        """(H, W) |s_θ − s*|"""
        return (self.network - self.exact).square().sum(-1).sqrt()

    @property
    def rms_inside(self) -> float:
        """Root mean square residual over the cells that hold the data."""
        return float(self.residual[self.inside].square().mean().sqrt())

    @property
    def rms_outside(self) -> float:
        """Root mean square residual over the other cells, where there are hardly any data; NaN if there is none."""
        return float(self.residual[~self.inside].square().mean().sqrt())

    @property
    def area_inside(self) -> float:
        """Share of the grid's area that holds the data."""
        return float(self.inside.double().mean())


def residual_map(
    network: ScoreNetwork,
    mixture: GaussianMixture,
    *,
    sigma: float,
    reach: float,
    cells: int = 48,
    mass: float = 0.99,
) -> ResidualMap:
    """Compare a network's score with the exact one on a square grid [−reach, reach]².

    Convention: `inside` are the densest cells whose summed density reaches `mass` of the grid's.

    Args:
        network: s_θ in two dimensions.
        mixture: the data, in two dimensions.
        sigma: noise level.
        reach: half the side, above 0.
        cells: per side, ≥ 2.
        mass: in (0, 1).

    Raises:
        ValueError: if the mixture is not 2-D or an option is out of range.

    Source: arXiv:1907.05600 figure 2.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> found = residual_map(score_network(2, seed=0), gaussian_mixture([1.0], [[0.0, 0.0]], 1.0), sigma=1.0, reach=5.0)
    >>> print(round(found.rms_inside, 3), round(found.rms_outside, 3), round(found.area_inside, 3))
    1.508 2.618 0.548
    """
    if mixture.dim != 2:
        raise ValueError(f"a map needs a mixture in 2 dimensions, got {mixture.dim}")
    if not sigma > 0 or not reach > 0 or cells < 2 or not 0 < mass < 1:
        raise ValueError(
            f"sigma and reach must be above 0, cells at least 2 and mass in (0, 1), got {sigma}, {reach}, {cells}, {mass}"
        )
    line = torch.linspace(-reach, reach, cells, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    points = torch.stack([x, y], -1).reshape(-1, 2)
    density = mixture.log_prob(points, sigma=sigma).exp()
    order = density.argsort(descending=True)
    kept = int((density[order].cumsum(0) < mass * density.sum()).sum()) + 1
    inside = torch.zeros(len(points), dtype=torch.bool)
    inside[order[:kept]] = True
    shape = (cells, cells)
    return ResidualMap(
        line,
        line.clone(),
        network(points, sigma).detach().reshape(*shape, 2),
        mixture.score(points, sigma=sigma).reshape(*shape, 2),
        density.reshape(shape),
        inside.reshape(shape),
        mass,
    )


def _copy(network: ScoreNetwork, *, trained: bool = False) -> ScoreNetwork:
    layers = tuple(
        (weight.detach().clone().requires_grad_(trained), bias.detach().clone().requires_grad_(trained))
        for weight, bias in network.layers
    )
    return ScoreNetwork(layers, network.scale)
