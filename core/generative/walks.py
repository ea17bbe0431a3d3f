"""Langevin walks as a picture needs them: where particles begin, the states worth keeping, and who ended where.

Notation: N particles, F kept states, L levels of T steps, G groups of components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.generative.chain_law import SquareStart, Start
from core.generative.langevin import LangevinStep
from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals, particle_uniforms


def start_points(start: Start, particles: int, *, seed: int) -> Tensor:
    """(N, 2) places where the particles begin; row i depends on the seed and i only.

    Args:
        start: a square or a crowd.
        particles: N ≥ 1.
        seed: of the places.

    Raises:
        ValueError: if there is no particle.

    Source: ncsn runners/toy_runner.py for the square.
    Differs: nothing.

    >>> x = start_points(SquareStart(8.0), 1000, seed=0)
    >>> print(tuple(x.shape), float(x.abs().max()) <= 8, round(float((x[:, 0] > 0).double().mean()), 2))
    (1000, 2) True 0.52
    """
    if particles < 1:
        raise ValueError(f"particles must be at least 1, got {particles}")
    if isinstance(start, SquareStart):
        return (2 * particle_uniforms(seed, (0, 20), (particles, 2)) - 1) * start.reach
    centre = torch.tensor([start.x, start.y], dtype=torch.float64)
    return centre + start.radius * particle_normals(seed, (0, 21), (particles, 2))


def kept_states(levels: int, steps_each: int, most: int) -> tuple[int, ...]:
    """Indices of at most about `most` states of a walk: the start, the last state of every level, and others spread evenly.

    Args:
        levels: L ≥ 1.
        steps_each: T ≥ 1.
        most: ≥ 1; every level keeps at least its last state.

    Raises:
        ValueError: if one is below 1.

    Source: own.
    Differs: nothing.

    >>> print(kept_states(3, 10, 6), kept_states(2, 2, 60))
    (0, 5, 10, 15, 20, 25, 30) (0, 1, 2, 3, 4)
    """
    if min(levels, steps_each, most) < 1:
        raise ValueError(f"levels, steps_each and most must be at least 1, got {levels}, {steps_each} and {most}")
    each = min(steps_each, max(1, most // levels))
    inside = [round(steps_each * (k + 1) / each) for k in range(each)]
    return (0, *(level * steps_each + at for level in range(levels) for at in inside))


@dataclass(frozen=True, slots=True)
class Walk:
    """Some states of all particles, and where they are."""

    indices: tuple[int, ...]  # (F,) number of each kept state
    sigmas: tuple[float, ...]  # (F,) σ of its level; 0 for plain dynamics
    levels: tuple[int, ...]  # (F,)
    drifts: tuple[float, ...]  # (F,) factor of the score in the step that led here
    noises: tuple[float, ...]  # (F,) standard deviation of its noise
    x: Tensor  # (F, N, 2); row i is the same particle in every state
    homes: Tensor  # (F, N) group of the component that is likeliest for each particle
    counts: Tensor  # (F, G) particles of each group
    lost: int  # particles that ended farther from every mode than the data ever are; with too large a step, all

    @property
    def particles(self) -> int:
        return self.x.shape[1]

    @property
    def shares(self) -> Tensor:
        """(F, G) counts over particles"""
        return self.counts.double() / self.particles

    @property
    def moved(self) -> Tensor:
        """(F,) share of the particles that are in another group than at the start."""
        return (self.homes != self.homes[0]).double().mean(-1)


def record_walk(
    steps: Iterable[LangevinStep], kept: Sequence[int], mixture: GaussianMixture, groups: Tensor, *, reach: float = 1e6
) -> Walk:
    """Keep some states of a walk, and say in which group of components every particle is.

    Args:
        steps: of `langevin` or `annealed_langevin`.
        kept: indices from `kept_states`, rising; a state after the last of them is kept as well (a final denoising).
        mixture: the data.
        groups: (K,) from `component_groups`.
        reach: a particle whose last place is farther out than this, or not finite, counts as lost.

    Raises:
        ValueError: if there is not one group a component, or nothing was kept.

    Source: counting, as `mode_shares`.
    Differs: nothing.

    >>> from core.generative.langevin import langevin
    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)
    >>> start = start_points(SquareStart(8.0), 300, seed=0)
    >>> walk = record_walk(langevin(two.score, start, step_size=0.1, steps=40, seed=0), (0, 20, 40), two, torch.arange(2))
    >>> print(walk.indices, walk.counts.tolist(), walk.lost)
    (0, 20, 40) [[160, 140], [161, 139], [161, 139]] 0
    """
    if groups.shape != (mixture.components,):
        raise ValueError(f"there must be one group per component, {mixture.components}, got {tuple(groups.shape)}")
    wanted, beyond = set(kept), max(kept, default=-1)
    held = [step for step in steps if step.index in wanted or step.index > beyond]
    if not held:
        raise ValueError("at least one state must be kept, got none")
    x = torch.stack([step.x for step in held])
    safe = torch.nan_to_num(x, nan=0.0, posinf=reach, neginf=-reach).clamp(-reach, reach)
    homes = groups[mixture.responsibilities(safe).argmax(-1)]
    count = int(groups.max()) + 1
    counts = torch.stack([torch.bincount(row, minlength=count) for row in homes])
    gone = ~torch.isfinite(x[-1]).all(-1) | (x[-1].abs().amax(-1) >= reach)
    return Walk(
        tuple(step.index for step in held),
        tuple(step.sigma for step in held),
        tuple(step.level for step in held),
        tuple(step.drift for step in held),
        tuple(step.noise for step in held),
        x,
        homes,
        counts,
        int(gone.sum()),
    )


def group_weights(mixture: GaussianMixture, groups: Tensor) -> Tensor:
    """(G,) what each group of components weighs: the share that a correct sampler gives it.

    Args:
        mixture: the data.
        groups: (K,) from `component_groups`.

    Raises:
        ValueError: if there is not one group a component.

    Source: definition.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> three = gaussian_mixture([0.5, 0.25, 0.25], [[0.0], [1.0], [2.0]], 1.0)
    >>> group_weights(three, torch.tensor([0, 1, 1])).tolist()
    [0.5, 0.5]
    """
    if groups.shape != (mixture.components,):
        raise ValueError(f"there must be one group per component, {mixture.components}, got {tuple(groups.shape)}")
    return mixture.weights.new_zeros(int(groups.max()) + 1).index_add(0, groups, mixture.weights)


@dataclass(frozen=True, slots=True)
class Landscape:
    """log q_σ as heights, and the score as arrows, at one or several noise levels."""

    sigmas: tuple[float, ...]  # (S,)
    heights: Tensor  # (S, cells, cells) log q_σ minus its largest value on the sheet, nats; row 0 is the top
    places: Tensor  # (A, 2) where the arrows begin
    arrows: Tensor  # (S, A, 2) score there


def landscape(
    mixture: GaussianMixture,
    sigmas: Sequence[float],
    *,
    reach: float,
    cells: int,
    arrows: int,
) -> Landscape:
    """Heights and score arrows of a mixture in the plane.

    Args:
        mixture: 2-D.
        sigmas: noise levels, 0 or more; at 0 the data themselves.
        reach: the square is [−reach, reach]².
        cells: of a sheet along a side.
        arrows: along a side.

    Raises:
        ValueError: if the mixture is not 2-D, a number is not positive, or there is no level.

    Source: closed form.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> seen = landscape(gaussian_mixture([1.0], [[0.0, 0.0]], 1.0), [0.0, 1.0], reach=2.0, cells=3, arrows=1)
    >>> print([round(v, 4) for v in seen.heights[0, 0].tolist()], seen.arrows[:, 0].tolist())
    [-1.7778, -0.8889, -1.7778] [[0.0, 0.0], [0.0, 0.0]]
    """
    if mixture.dim != 2:
        raise ValueError(f"a picture of the plane needs a mixture in 2 dimensions, got {mixture.dim}")
    if min(cells, arrows) < 1 or not reach > 0 or not sigmas or min(sigmas) < 0:
        raise ValueError(
            f"cells, arrows and reach must be positive and sigmas not negative, got {cells}, {arrows}, {reach}"
        )
    sheet, places = _square(reach, cells), _square(reach, arrows).reshape(-1, 2)
    heights = torch.stack([mixture.log_prob(sheet, sigma=sigma) for sigma in sigmas])
    return Landscape(
        tuple(sigmas),
        heights - heights.amax(dim=(1, 2), keepdim=True),
        places,
        torch.stack([mixture.score(places, sigma=sigma) for sigma in sigmas]),
    )


def _square(reach: float, cells: int) -> Tensor:
    """(cells, cells, 2) middles of the cells of [−reach, reach]²; y points up."""
    centres = ((torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 - 1) * reach
    return torch.stack(torch.meshgrid(centres, -centres, indexing="xy"), -1)
