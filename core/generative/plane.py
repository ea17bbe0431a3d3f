"""What a view of particles in the plane needs beside them: a common scale, the exact density behind them, histograms, shares.

Notation: x_t = α_t·x_0 + σ_t·z; c_t = 1/√(α_t² + σ_t²) scale of the view; K components in G groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.generative.lanes import Lanes
from core.generative.mixtures import GaussianMixture
from core.generative.sde import Process

SECTORS = 4


def view_scale(process: Process, t: float) -> float:
    """c_t = 1/√(α_t² + σ_t²): data of unit variance keep unit variance, so that all times fit into one picture.

    Convention: 1 at every t for VP; EDM's c_in for data of unit variance. Exploding processes are shrunk, nothing else.

    Args:
        process: any.
        t: time.

    Source: Karras et al., arXiv:2206.00364, table 1 (input scaling).
    Differs: σ_data = 1.

    >>> from core.generative.sde import VE, VP
    >>> print(round(view_scale(VP(), 0.3), 6), round(view_scale(VE(), 1.0), 6))
    1.0 0.019996
    """
    return 1 / math.hypot(process.alpha(t), process.sigma(t))


def view_density(
    mixture: GaussianMixture, process: Process, times: Sequence[float], *, reach: float, cells: int
) -> Tensor:
    """Exact density of c_t·x_t on a square grid at several times, (T, cells, cells): row 0 is the top, y points up.

    Args:
        mixture: 2-D.
        process: any.
        times: at which to look.
        reach: the square is [−reach, reach]².
        cells: along a side; densities are those of the cells' centres.

    Raises:
        ValueError: if the mixture is not 2-D, or reach or cells are not positive.

    Source: closed form.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> one = gaussian_mixture([1.0], [[0.0, 0.0]], 1.0)
    >>> round(float(view_density(one, VP(), [0.5], reach=1.0, cells=1)), 6)
    0.159155
    """
    if mixture.dim != 2:
        raise ValueError(f"a picture of the plane needs a mixture in 2 dimensions, got {mixture.dim}")
    if cells < 1 or not reach > 0:
        raise ValueError(f"cells and reach must be positive, got {cells} and {reach}")
    centres = ((torch.arange(cells, dtype=mixture.means.dtype) + 0.5) / cells * 2 - 1) * reach
    points = torch.stack(torch.meshgrid(centres, -centres, indexing="xy"), -1)
    sheets: list[Tensor] = []
    for t in times:
        c = view_scale(process, t)
        sheets.append(mixture.log_prob(points, alpha=c * process.alpha(t), sigma=c * process.sigma(t)).exp())
    return torch.stack(sheets) if sheets else points.new_zeros(0, cells, cells)


def component_groups(mixture: GaussianMixture, *, most: int = 5) -> Tensor:
    """(K,) a small number for each component: its own if there are at most `most`, else the sector it lies in.

    Convention: four sectors around the mixture's mean, counted from the right against the clock.

    Args:
        mixture: at least 2-D if it has more than `most` components, or 1-D: then two halves.
        most: components that keep their own number, ≥ 1.

    Raises:
        ValueError: if `most` is below 1.

    Source: own.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> corners = [[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]
    >>> component_groups(gaussian_mixture([1.0] * 4, corners, 0.1), most=3).tolist()
    [0, 1, 2, 3]
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    if mixture.components <= most:
        return torch.arange(mixture.components)
    apart = mixture.means - mixture.mean
    if mixture.dim == 1:
        return (apart[:, 0] < 0).long()
    turn = torch.atan2(apart[:, 1], apart[:, 0]) / (2 * math.pi) % 1.0
    return (turn * SECTORS).floor().long().clamp(max=SECTORS - 1)


@dataclass(frozen=True, slots=True)
class GroupShares:
    """How the particles of each lane are spread over groups of components where they lie at the data's end."""

    weight: Tensor  # (G,) sum of the components' weights
    forward: Tensor  # (G,) particles that the forward lane began with, counted
    reverse: Tensor  # (G,) particles that the reverse lane ended with
    flow: Tensor  # (G,) particles that the flow ended with
    particles: int

    @property
    def groups(self) -> int:
        return len(self.weight)


def group_shares(mixture: GaussianMixture, lanes: Lanes, groups: Tensor) -> GroupShares:
    """Count the particles of three lanes by group.

    Args:
        mixture: that the lanes were made of.
        lanes: from `three_lanes`.
        groups: (K,) from `component_groups`.

    Raises:
        ValueError: if there is not one group a component.

    Source: counting.
    Differs: nothing.

    >>> from core.generative.lanes import three_lanes
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> found = group_shares(two, three_lanes(two, VP(), particles=500, steps=50, seed=0), component_groups(two))
    >>> print(found.weight.tolist(), found.flow.tolist())
    [0.8, 0.2] [408, 92]
    """
    if groups.shape != (mixture.components,):
        raise ValueError(f"there must be one group per component, {mixture.components}, got {tuple(groups.shape)}")
    count = int(groups.max()) + 1
    weight = torch.zeros(count, dtype=mixture.weights.dtype).index_add(0, groups, mixture.weights)
    forward, reverse, flow = (
        torch.bincount(groups[ends], minlength=count) for ends in (lanes.origin, lanes.reverse_end, lanes.flow_end)
    )
    return GroupShares(weight, forward, reverse, flow, lanes.reverse.shape[1])


@dataclass(frozen=True, slots=True)
class LaneHistograms:
    """Where the particles of three lanes lie along one direction, as densities of c_t·x_t, beside the exact one."""

    edges: Tensor  # (B + 1,) of the bins
    forward: Tensor  # (S + 1, B) share of the particles in a bin, over its width
    reverse: Tensor  # (S + 1, B)
    flow: Tensor  # (S + 1, B)
    exact: Tensor  # (S + 1, B) probability of the bin, over its width


def lane_histograms(
    lanes: Lanes,
    mixture: GaussianMixture,
    process: Process,
    *,
    direction: Sequence[float],
    bins: int = 32,
    reach: float = 3.5,
) -> LaneHistograms:
    """Histograms of the lanes' projections at every time, and the exact probability of every bin.

    Convention: what lies outside [−reach, reach] is in no bin; heights are densities, so they may sum to less than 1.

    Args:
        lanes, mixture, process, direction: as `marginal_agreement`.
        bins: ≥ 1.
        reach: half the width of the histogram, above 0.

    Raises:
        ValueError: if bins or reach is not positive, or the direction has another dimension or is 0.

    Source: counting; the exact heights from the mixture's distribution function.
    Differs: nothing.

    >>> from core.generative.lanes import three_lanes
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> lanes = three_lanes(two, VP(), particles=500, steps=10, seed=0)
    >>> found = lane_histograms(lanes, two, VP(), direction=[1.0, 0.0], bins=2)
    >>> [round(v * 3.5, 3) for v in (*found.exact[-1].tolist(), *found.flow[-1].tolist())]
    [0.2, 0.8, 0.184, 0.816]
    """
    if bins < 1 or not reach > 0:
        raise ValueError(f"bins and reach must be positive, got {bins} and {reach}")
    line = mixture.project(direction)
    u = torch.as_tensor(direction, dtype=mixture.means.dtype)
    u = u / u.square().sum().sqrt()
    edges = torch.linspace(-reach, reach, bins + 1, dtype=u.dtype)
    width = 2 * reach / bins
    columns: list[list[Tensor]] = [[] for _ in range(4)]
    for i, t in enumerate(float(t) for t in lanes.times):
        c = view_scale(process, t)
        for column, lane in zip(columns, (lanes.forward, lanes.reverse, lanes.flow), strict=False):
            at = lane[i] @ u * c
            inside = at[(at >= -reach) & (at < reach)]
            held = ((inside + reach) / width).floor().long().clamp(max=bins - 1)
            column.append(torch.bincount(held, minlength=bins).double() / (width * len(at)))
        f = line.diffused(c * process.alpha(t), c * process.sigma(t)).cdf(edges)
        columns[3].append(f.diff() / width)
    forward, reverse, flow, exact = (torch.stack(column) for column in columns)
    return LaneHistograms(edges, forward, reverse, flow, exact)
