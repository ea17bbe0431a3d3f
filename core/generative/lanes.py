"""Three lanes on one time axis: the forward SDE, the reverse SDE and the probability flow, with particles that keep their names.

Source: Song et al., arXiv:2011.13456, figures 1–2.
Notation: λ stochasticity (1 reverse SDE, 0 probability flow), p_t exact marginal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture, ReverseTransition
from core.generative.noise import particle_normals
from core.generative.probability_flow import flow_path
from core.generative.sampler_steps import forward_process, trajectory
from core.generative.samplers import euler_maruyama
from core.generative.scores import ExactScore, Score
from core.generative.sde import Process, Spacing, time_grid
from core.generative.two_sample import ks_one_sample, ks_two_sample


@dataclass(frozen=True, slots=True)
class Lanes:
    """Paths of N particles. Row i of `reverse` and of `flow` starts from one and the same noise point."""

    times: Tensor  # (S + 1,) falling, T … ε: the axis of all lanes
    forward: Tensor  # (S + 1, N, d) forward SDE, in the order of `times` (so it *ends* at index 0)
    reverse: Tensor  # (S + 1, N, d) reverse SDE at the chosen stochasticity
    flow: Tensor  # (S + 1, N, d) probability flow
    origin: Tensor  # (N,) component that the forward particle's data point came from
    reverse_end: Tensor  # (N,) component most responsible for the last state of the reverse lane
    flow_end: Tensor  # (N,) the same of the flow
    stochasticity: float  # λ of the reverse lane

    @property
    def steps(self) -> int:
        return len(self.times) - 1

    @property
    def same_end(self) -> float:
        """Share of noise points whose reverse path and flow path end in the same component."""
        return float((self.reverse_end == self.flow_end).double().mean())

    @property
    def path_distance(self) -> Tensor:
        """(S + 1,) mean distance between a particle's reverse path and its flow path, at each time."""
        return (self.reverse - self.flow).square().sum(-1).sqrt().mean(-1)


def three_lanes(
    mixture: GaussianMixture,
    process: Process,
    *,
    particles: int,
    steps: int,
    seed: int,
    stochasticity: float = 1.0,
    spacing: Spacing = "uniform",
    score: Score | None = None,
) -> Lanes:
    """Run the three lanes on one grid of times.

    Convention: the forward lane is exact; the reverse lane is Euler–Maruyama's; the flow is Heun's (order 2). Reverse
    and flow start from the *exact* p_T, so that whatever differs from p_t later is the solver's or the score's fault.

    Args:
        mixture: the data.
        process: any.
        particles: N ≥ 1.
        steps: S ≥ 1.
        seed: particle i depends on seed and i only.
        stochasticity: λ of the reverse lane; 0 makes it Euler's probability flow.
        spacing: of the times; "uniform" suits VP, sub-VP and VE, "karras" EDM.
        score: another score than the exact one (see `inject_error`).

    Raises:
        ValueError: if a count or the stochasticity is out of range.

    Source: arXiv:2011.13456 eq. 5, 6, 13.
    Differs: the reference starts from the prior instead of p_T.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> lanes = three_lanes(two, VP(), particles=500, steps=100, seed=0)
    >>> print(tuple(lanes.reverse.shape), lanes.same_end)
    (101, 500, 2) 0.688
    """
    if particles < 1:
        raise ValueError(f"particles must be at least 1, got {particles}")
    used = ExactScore(mixture, process) if score is None else score
    times = time_grid(process, steps, spacing=spacing)
    x0, origin = mixture.sample(particles, seed=seed)
    forward = trajectory(forward_process(process, x0, times[::-1], seed=seed)).flip(0)
    start = noise_points(mixture, process, particles, seed=seed + 1)
    reverse = trajectory(euler_maruyama(used, process, start, times, seed=seed + 1, stochasticity=stochasticity))
    flow = trajectory(flow_path(used, process, start, times, method="heun"))
    reverse_end, flow_end = (end_component(mixture, process, lane[-1], times[-1]) for lane in (reverse, flow))
    axis = torch.tensor(times, dtype=torch.float64)
    return Lanes(axis, forward, reverse, flow, origin, reverse_end, flow_end, stochasticity)


def noise_points(mixture: GaussianMixture, process: Process, particles: int, *, seed: int) -> Tensor:
    """Draw from the exact p_T, (N, d): where reverse processes should start.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VE
    >>> round(float(noise_points(gaussian_mixture([1.0], [[0.0]], 1.0), VE(), 5000, seed=0).std()), 1)
    49.5
    """
    x0, _ = mixture.sample(particles, seed=seed)
    z = particle_normals(seed, (0, 6), x0.shape, dtype=x0.dtype, device=x0.device)
    return process.alpha(process.T) * x0 + process.sigma(process.T) * z


def end_component(mixture: GaussianMixture, process: Process, x: Tensor, t: float) -> Tensor:
    """(N,) the component most responsible for each particle at time t.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0], [-2.0]], 0.1)
    >>> end_component(two, VP(), torch.tensor([[1.9], [-2.2]], dtype=torch.float64), 1e-3).tolist()
    [0, 1]
    """
    return mixture.responsibilities(x, alpha=process.alpha(t), sigma=process.sigma(t)).argmax(-1)


@dataclass(frozen=True, slots=True)
class MarginalAgreement:
    """Kolmogorov–Smirnov statistics along one direction at every time of the lanes."""

    direction: Tensor  # (d,) unit vector on which all is projected
    between: Tensor  # (S + 1,) D of reverse lane against flow
    between_p: Tensor  # (S + 1,) its p-value
    forward: Tensor  # (S + 1,) D of the forward lane against the exact p_t
    reverse: Tensor  # (S + 1,) D of the reverse lane against the exact p_t
    flow: Tensor  # (S + 1,) D of the flow against the exact p_t
    critical_two: float  # D that two independent samples of one distribution exceed with chance 0.05
    critical_one: float  # D that a sample of the exact distribution exceeds with chance 0.05

    @property
    def worst(self) -> int:
        """Index of the time at which reverse lane and flow disagree most."""
        return int(self.between.argmax())


def marginal_agreement(
    lanes: Lanes, mixture: GaussianMixture, process: Process, *, direction: Sequence[float]
) -> MarginalAgreement:
    """How well the lanes' marginals agree, with each other and with the exact one, at every time.

    Args:
        lanes: from `three_lanes`.
        mixture, process: what they were made of.
        direction: on which line the particles are compared; (1, 0) is the horizontal axis.

    Raises:
        ValueError: if the direction has another dimension or is 0.

    Source: Kolmogorov 1933; Smirnov 1948.
    Differs: one projection; equal marginals agree on all of them.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> lanes = three_lanes(two, VP(), particles=500, steps=100, seed=0)
    >>> found = marginal_agreement(lanes, two, VP(), direction=[1.0, 0.0])
    >>> print(round(float(found.between.max()), 4), round(found.critical_two, 4))
    0.064 0.0859
    """
    u = torch.as_tensor(direction, dtype=mixture.means.dtype, device=mixture.means.device)
    line = mixture.project(u)
    u = u / u.square().sum().sqrt()
    projected = [lane @ u for lane in (lanes.forward, lanes.reverse, lanes.flow)]
    columns: list[list[float]] = [[] for _ in range(5)]
    for i, t in enumerate(float(t) for t in lanes.times):
        exact = line.diffused(process.alpha(t), process.sigma(t))
        two = ks_two_sample(projected[1][i], projected[2][i])
        found = [two.statistic, two.p_value, *(ks_one_sample(lane[i], exact).statistic for lane in projected)]
        for column, value in zip(columns, found, strict=True):
            column.append(value)
    between, between_p, forward, reverse, flow = (torch.tensor(column, dtype=torch.float64) for column in columns)
    n = lanes.reverse.shape[1]
    critical = CRITICAL_5_PERCENT / math.sqrt(n)
    return MarginalAgreement(u, between, between_p, forward, reverse, flow, critical * math.sqrt(2), critical)


CRITICAL_5_PERCENT = 1.3580986393225505  # Kolmogorov's distribution exceeds it with chance 0.05


@dataclass(frozen=True, slots=True)
class PathBundle:
    """All that can become of one noise point."""

    times: Tensor  # (S + 1,) falling
    flow: Tensor  # (S + 1, d) its one probability-flow path
    bundle: Tensor  # (S + 1, M, d) M paths of the reverse SDE from the same point
    bundle_end: Tensor  # (M,) component most responsible for each path's end
    shares: Tensor  # (K,) share of the paths that end in each component
    law: ReverseTransition  # the exact law of x_ε given the noise point
    returned: Tensor  # (d,) the flow's end, encoded again: the noise point, but for the solver's error

    @property
    def spread(self) -> Tensor:
        """(S + 1,) root mean square distance of the bundle's paths from their mean, at each time."""
        apart = self.bundle - self.bundle.mean(1, keepdim=True)
        return apart.square().sum(-1).mean(-1).sqrt()

    @property
    def return_error(self) -> float:
        """Distance between the noise point and where encoding its sample leads."""
        return float((self.returned - self.flow[0]).square().sum().sqrt())


def path_bundle(
    mixture: GaussianMixture,
    process: Process,
    point: Sequence[float],
    *,
    paths: int,
    steps: int,
    seed: int,
    stochasticity: float = 1.0,
    spacing: Spacing = "uniform",
    score: Score | None = None,
) -> PathBundle:
    """Follow one noise point: one path of the flow, many of the reverse SDE.

    Args:
        mixture, process, steps, seed, stochasticity, spacing, score: as `three_lanes`.
        point: d numbers, x_T.
        paths: M ≥ 1.

    Raises:
        ValueError: if the point has another dimension or a count is out of range.

    Source: arXiv:2011.13456 figure 2.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> found = path_bundle(two, VP(), [0.5, 0.5], paths=200, steps=100, seed=0)
    >>> print([round(v, 3) for v in found.shares.tolist()], [round(v, 3) for v in found.law.weights[0].tolist()])
    [0.77, 0.23] [0.802, 0.198]
    """
    start = torch.as_tensor(point, dtype=mixture.means.dtype, device=mixture.means.device)
    if start.shape != (mixture.dim,):
        raise ValueError(f"point must be {mixture.dim} numbers, got {list(start.shape)}")
    if paths < 1:
        raise ValueError(f"paths must be at least 1, got {paths}")
    used = ExactScore(mixture, process) if score is None else score
    times = time_grid(process, steps, spacing=spacing)
    flow = trajectory(flow_path(used, process, start[None], times))
    back = trajectory(flow_path(used, process, flow[-1], times[::-1]))[-1, 0]
    many = start.expand(paths, -1).clone()
    bundle = trajectory(euler_maruyama(used, process, many, times, seed=seed, stochasticity=stochasticity))
    ends = end_component(mixture, process, bundle[-1], times[-1])
    high, low = times[0], times[-1]
    law = mixture.reverse_transition(
        start[None],
        alpha_t=process.alpha(high),
        sigma_t=process.sigma(high),
        alpha_s=process.alpha(low),
        sigma_s=process.sigma(low),
    )
    shares = torch.bincount(ends, minlength=mixture.components).double() / paths
    return PathBundle(torch.tensor(times, dtype=torch.float64), flow[:, 0], bundle, ends, shares, law, back)


def density_sheet(mixture: GaussianMixture, process: Process, x: Tensor, times: Sequence[float]) -> Tensor:
    """p_t(x) of a 1-D mixture over time, (len(times), len(x)): the heat sheet under 1-D paths.

    Args:
        mixture: 1-D (project a 2-D one first).
        process: any.
        x: (X,) positions.
        times: at which to look.

    Raises:
        ValueError: if the mixture is not 1-D.

    Source: closed form.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> sheet = density_sheet(gaussian_mixture([1.0], [[0.0]], 1.0), VP(), torch.zeros(1).double(), [0.0, 0.5])
    >>> [round(v, 6) for v in sheet[:, 0].tolist()]
    [0.398942, 0.398942]
    """
    if mixture.dim != 1:
        raise ValueError(f"a heat sheet over time needs a mixture in 1 dimension, got {mixture.dim}")
    at = x.to(mixture.means).reshape(-1, 1)
    rows = [mixture.log_prob(at, alpha=process.alpha(t), sigma=process.sigma(t)).exp() for t in times]
    return torch.stack(rows) if rows else at.new_zeros(0, len(at))
