"""The exact law of Langevin chains on a line: what share of all particles, not of some, is in which mode after every step.

Where components are round and equal and their means lie on a line, the score along the line is that of a 1-D mixture and does not
feel the other directions. The chain's density along the line is then a product of Gaussian kernels, integrated here by the
trapezium rule on a grid finer than the noise of a step: exact to rounding, without drawing a single random number.
Notation: p_t law after t steps, m(x) = x + drift·s(x), b_k places where the likeliest component changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from core.generative.langevin import NoisyScore, StepConvention, smoothed_score, step_factors
from core.generative.mixtures import GaussianMixture

FINENESS = (
    2.5  # grid points per standard deviation of a step's noise: the trapezium rule errs by exp(−2π²·2.5²/2) ≈ 1e-27
)
REACH = 9.0  # standard deviations that the grid reaches beyond the outermost mode
MOST_NODES = 900  # of a grid
MOST_PRODUCTS = 300_000_000  # of a level's steps: every one multiplies the masses by a matrix of nodes × nodes
PIECE_NODES = 160  # Gauss–Legendre nodes of each smooth piece of the start


@dataclass(frozen=True, slots=True)
class SquareStart:
    """Particles that begin anywhere in a square, as in the paper's toy."""

    reach: float  # the square is [−reach, reach]²


@dataclass(frozen=True, slots=True)
class CrowdStart:
    """Particles that are dropped at a place."""

    x: float
    y: float
    radius: float  # standard deviation of the crowd


Start = SquareStart | CrowdStart


@dataclass(frozen=True, slots=True)
class ChainStep:
    """The law after one step."""

    index: int  # 0 for the start
    shares: Tensor  # (cells,) probability that a particle is between two neighbouring edges


@dataclass(frozen=True, slots=True)
class ChainLaw:
    """Exact shares after every step."""

    shares: Tensor  # (S + 1, K)
    edges: tuple[float, ...]  # places on the line where the likeliest component changes
    owners: tuple[int, ...]  # component between the edges, from left to right; one more than edges


def line_direction(mixture: GaussianMixture) -> Tensor | None:
    """(d,) unit vector along the line of all means, if components are round and equal; None if they are not.

    Args:
        mixture: any.

    Source: geometry.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> line_direction(gaussian_mixture([0.8, 0.2], [[3.0, 4.0], [-3.0, -4.0]], 1.0)).tolist()
    [-0.6, -0.8]
    """
    if mixture.axes is not None or not bool((mixture.variances == mixture.variances[0, 0]).all()):
        return None
    apart = mixture.means - mixture.means[0]
    far = int(apart.square().sum(-1).argmax())
    length = apart[far].square().sum().sqrt()
    if not float(length) > 0:
        return torch.eye(mixture.dim, dtype=apart.dtype, device=apart.device)[0]
    direction = apart[far] / length
    off = apart - (apart @ direction)[:, None] * direction
    return direction if float(off.abs().max()) <= 1e-12 * float(length) else None


def start_on_line(start: Start, direction: Tensor, edges: Sequence[float] = ()) -> tuple[Tensor, Tensor]:
    """Positions along a direction and weights that integrate against the start, (M,) and (M,); weights sum to 1.

    Convention: Gauss–Legendre between the kinks of the density and the given edges, so that masses between edges are exact too.

    Args:
        start: of the particles, in the plane.
        direction: (2,) of length 1.
        edges: places where an integrand may jump.

    Raises:
        ValueError: if the start has no extent or the direction is not in the plane.

    Source: a uniform square seen from the side is a trapezium; a round Gaussian is a Gaussian.
    Differs: the Gaussian is cut at 9 standard deviations.

    >>> x, w = start_on_line(SquareStart(8.0), torch.tensor([0.6, 0.8], dtype=torch.float64))
    >>> print(round(float(w.sum()), 12), round(float(w @ x**2), 6), round(64 / 3, 6))
    1.0 21.333333 21.333333
    """
    if direction.shape != (2,):
        raise ValueError(f"direction must be two numbers, got the shape {tuple(direction.shape)}")
    if isinstance(start, SquareStart):
        if not 0 < start.reach < math.inf:
            raise ValueError(f"reach must be above 0, got {start.reach}")
        u, v = (float(abs(value)) * start.reach for value in direction)
        kinks = [-u - v, -abs(u - v), abs(u - v), u + v]
        x, w = _legendre(_cuts(kinks, edges))
        if min(u, v) > 1e-12 * (u + v):  # else the side itself: even
            w = w * torch.clamp(u + v - x.abs(), max=2 * min(u, v))
        return x, w / w.sum()
    if not 0 < start.radius < math.inf:
        raise ValueError(f"radius must be above 0, got {start.radius}")
    middle = float(direction[0]) * start.x + float(direction[1]) * start.y
    x, w = _legendre(_cuts([middle + 1.5 * k * start.radius for k in range(-6, 7)], edges))
    w = w * torch.exp(-0.5 * ((x - middle) / start.radius) ** 2)
    return x, w / w.sum()


def chain_edges(line: GaussianMixture) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Where along a line the likeliest component changes, and who it is between: the cells that `mode_shares` counts.

    Args:
        line: 1-D mixture of equal variances.

    Raises:
        ValueError: if it is not 1-D or the variances differ.

    Source: two Gaussians of one variance v cross once, at (μ_i + μ_j)/2 + v·ln(w_i/w_j)/(μ_j − μ_i).
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> edges, owners = chain_edges(gaussian_mixture([0.8, 0.2], [[7.0], [-7.0]], 1.0))
    >>> print([round(e, 4) for e in edges], owners)
    [-0.099] (1, 0)
    """
    if line.dim != 1 or not bool((line.variances == line.variances[0, 0]).all()):
        raise ValueError("cells of a line need a 1-D mixture of equal variances")
    means = [float(m) for m in line.means[:, 0]]
    logs = [float(w) for w in line.weights.log()]
    v = float(line.variances[0, 0])
    order = sorted(range(len(means)), key=lambda k: (means[k], logs[k]))
    owners: list[int] = []
    edges: list[float] = []
    for k in order:  # upper envelope of lines in x: slope μ/v, height ln w − μ²/2v
        while owners:
            last = owners[-1]
            if means[k] == means[last]:
                crossing = -math.inf
            else:
                crossing = 0.5 * (means[k] + means[last]) + v * (logs[last] - logs[k]) / (means[k] - means[last])
            if not edges or crossing > edges[-1]:
                if crossing > -math.inf:
                    edges.append(crossing)
                else:
                    owners.pop()
                break
            owners.pop()
            edges.pop()
        owners.append(k)
    return tuple(edges), tuple(owners)


def chain_law(
    mixture: GaussianMixture,
    start: Start,
    sigmas: Sequence[float],
    *,
    step_size: float,
    steps_each: int,
    convention: StepConvention = "paper",
    toy: bool = False,
    final_denoise: bool = False,
) -> ChainLaw:
    """Exact shares of the modes after every step of plain (no noise levels) or annealed Langevin dynamics.

    Args:
        mixture: round, equal components in the plane whose means lie on a line.
        start: of the particles.
        sigmas: falling noise levels of annealed dynamics; none for plain dynamics.
        step_size, convention, toy, final_denoise: as `annealed_langevin` and `smoothed_score`.
        steps_each: steps per level; all steps if there is no level.

    Raises:
        ValueError: if the mixture is of another kind, the dynamics diverges, or its step is too small for a grid.

    Source: the chain's Chapman–Kolmogorov equation, by the trapezium rule.
    Differs: nothing.

    >>> from core.generative.langevin import geometric_levels
    >>> from core.generative.mixtures import gaussian_mixture
    >>> two, square = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0), SquareStart(8.0)
    >>> plain = chain_law(two, square, [], step_size=0.1, steps_each=1000)
    >>> annealed = chain_law(two, square, geometric_levels(20.0, 1.0, 10), step_size=0.1, steps_each=100)
    >>> print([round(float(law.shares[-1, 0]), 4) for law in (plain, annealed)])
    [0.5089, 0.7828]
    """
    direction = line_direction(mixture)
    if direction is None or mixture.dim != 2:
        raise ValueError("the law needs round, equal components in the plane whose means lie on a line")
    line = mixture.project(direction)
    edges, owners = chain_edges(line)
    steps = _chain(line, start_on_line(start, direction, edges), sigmas, step_size, steps_each, convention, toy)
    cells = torch.stack([step.shares for step in steps(edges)])
    if final_denoise and sigmas:
        low = [_before(line, sigmas[-1], edge, toy) for edge in edges]
        *_, last = steps(tuple(low))
        cells = torch.cat([cells, last.shares[None]])
    shares = cells.new_zeros(len(cells), line.components)
    shares[:, list(owners)] = cells
    return ChainLaw(shares, edges, owners)


def law_bias(law: ChainLaw, weights: Tensor) -> Tensor:
    """(S + 1, K) how far the chain's own shares are from the weights: what no number of particles would repair.

    Args:
        law: from `chain_law`.
        weights: (K,) of the mixture.

    Raises:
        ValueError: if there is not one weight a component.

    Source: definition of bias.
    Differs: nothing.

    >>> law = ChainLaw(torch.tensor([[0.5, 0.5], [0.78, 0.22]]), (0.0,), (0, 1))
    >>> [round(v, 4) for v in law_bias(law, torch.tensor([0.8, 0.2]))[-1].tolist()]
    [-0.02, 0.02]
    """
    if weights.shape != law.shares.shape[1:]:
        raise ValueError(f"there must be one weight per component, {law.shares.shape[1]}, got {tuple(weights.shape)}")
    return law.shares - weights


@dataclass(frozen=True, slots=True)
class _Chain:
    """Runs the law from its start; called with edges it yields the mass between them after every step."""

    score: NoisyScore
    positions: Tensor
    weights: Tensor
    levels: tuple[tuple[float, float, float, float], ...]  # σ, drift, noise, reach of the grid
    steps_each: int

    def __call__(self, edges: tuple[float, ...]) -> Iterator[ChainStep]:
        x, w = self.positions, self.weights
        cells = torch.bucketize(x, x.new_tensor(edges))
        yield ChainStep(0, torch.zeros(len(edges) + 1, dtype=w.dtype).index_add(0, cells, w))
        index = 0
        for sigma, drift, noise, low, high in self._grids():
            moved = x + drift * self.score(x[:, None], sigma)[:, 0]
            count = math.ceil((high - low) / noise * FINENESS) + 1
            if count > MOST_NODES:
                raise ValueError(f"the step is too small for a grid: {count} points, at most {MOST_NODES}")
            if count * count * self.steps_each > MOST_PRODUCTS:
                raise ValueError(f"{self.steps_each} steps on a grid of {count} points are too many")
            grid = torch.linspace(low, high, count, dtype=x.dtype)
            inside = grid + drift * self.score(grid[:, None], sigma)[:, 0]
            kernel, mass = _kernel(grid, inside, noise), _masses(inside, noise, edges)
            for k in range(self.steps_each):
                index += 1
                yield ChainStep(index, w @ (mass if k else _masses(moved, noise, edges)))
                w = (kernel if k else _kernel(grid, moved, noise)) @ w
            x = grid

    def _grids(self) -> Iterator[tuple[float, float, float, float, float]]:
        low, high = float(self.positions.min()), float(self.positions.max())
        for sigma, drift, noise, reach in self.levels:
            low, high = min(low - REACH * noise, -reach), max(high + REACH * noise, reach)
            yield sigma, drift, noise, low, high
            low, high = -reach, reach


def _chain(
    line: GaussianMixture,
    start: tuple[Tensor, Tensor],
    sigmas: Sequence[float],
    step_size: float,
    steps_each: int,
    convention: StepConvention,
    toy: bool,
) -> _Chain:
    score = smoothed_score(line, toy=toy and bool(sigmas))
    levels: list[tuple[float, float, float, float]] = []
    far, data = float(line.means.abs().max()), float(line.variances[0, 0])
    for sigma in sigmas or [0.0]:
        drift, noise = step_factors(step_size * (sigma / sigmas[-1]) ** 2 if sigmas else step_size, convention)
        v = sigma**2 + (0.0 if toy and sigmas else data)
        if not 0 < drift < 2 * v:
            raise ValueError(f"the dynamics diverges or stands still: a factor of {drift:g} at a variance of {v:g}")
        levels.append((sigma, drift, noise, far + REACH * math.sqrt(v / (1 - drift / (2 * v)))))
    return _Chain(score, *start, tuple(levels), steps_each)


def _kernel(grid: Tensor, moved: Tensor, noise: float) -> Tensor:
    """(G, M) probability that goes from each old position to each cell of the grid."""
    density = torch.exp(-0.5 * ((grid[:, None] - moved) / noise) ** 2)
    return density * (float(grid[1] - grid[0]) / (noise * math.sqrt(2 * math.pi)))


def _masses(moved: Tensor, noise: float, edges: tuple[float, ...]) -> Tensor:
    """(M, cells) probability that a step from each position ends between the edges."""
    library: Any = torch.special
    if not edges:
        return torch.ones_like(moved)[:, None]
    below: Tensor = library.ndtr((moved.new_tensor(edges) - moved[:, None]) / noise)
    padded = torch.cat([torch.zeros_like(below[:, :1]), below, torch.ones_like(below[:, :1])], 1)
    return padded.diff(dim=1)


def _before(line: GaussianMixture, sigma: float, edge: float, toy: bool) -> float:
    """Where a particle must be for the final denoising to bring it to an edge: the denoiser rises, so halving finds it."""
    score = smoothed_score(line, toy=toy)

    def denoised(x: float) -> float:
        return x + sigma**2 * float(score(torch.tensor([[x]], dtype=line.means.dtype), sigma))

    far = float(line.means.abs().max()) + 1
    low, high = edge - far, edge + far
    while denoised(low) > edge:
        low -= far
    while denoised(high) < edge:
        high += far
        if high > 1e9:
            break
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if denoised(middle) < edge else (low, middle)
    return 0.5 * (low + high)


def _cuts(kinks: list[float], edges: Sequence[float]) -> list[float]:
    return sorted({*kinks, *(e for e in edges if kinks[0] < e < kinks[-1])})


def _legendre(cuts: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Nodes and weights between neighbouring cuts."""
    import numpy as np

    library: Any = np.polynomial.legendre
    x, w = library.leggauss(PIECE_NODES)
    nodes, weights = torch.as_tensor(x), torch.as_tensor(w)
    at: list[Tensor] = []
    by: list[Tensor] = []
    for low, high in pairwise(cuts):
        if high > low:
            at.append(0.5 * (low + high) + 0.5 * (high - low) * nodes)
            by.append(0.5 * (high - low) * weights)
    return torch.cat(at), torch.cat(by)
