"""The lens "walks": plain and annealed Langevin dynamics, same particles, same noise, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from demos.generative.diffusion_inputs import Source
from demos.generative.score_langevin_inputs import (
    DATA,
    LADDER,
    PLANE,
    data_of,
    power,
    score_of,
    sigmas_of,
    start_of,
    step_of,
)
from demos.kit.jobs import counted
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.chain_law import ChainLaw
    from core.generative.walks import Landscape, Walk
    from demos.generative.score_langevin import Controls

FRAMES = 60  # states that are drawn, about
CELLS = 100  # of a landscape's sheet along a side
ARROWS = 13  # along a side
FAR = 1e4  # beyond this a particle is lost
RUN = (*DATA, *LADDER, "begin", "drop", "steps_each", "step_size", "convention", "level_score", "final_denoise")
RUN = (*RUN, "score", "updates", "particles", "seed")


@dataclass(frozen=True)
class WalkResult:
    """Both walks, the exact law of both chains where there is one, and the landscapes they walked on."""

    controls: Controls
    source: Source
    sigmas: tuple[float, ...]
    groups: Tensor  # (K,) group of each component
    weights: Tensor  # (G,)
    plain: Walk
    annealed: Walk
    plain_law: ChainLaw | None
    annealed_law: ChainLaw | None
    data: Landscape  # of the data, for plain dynamics
    levels: Landscape  # of every noise level
    network: Landscape | None  # the same with the network's arrows

    @property
    def steps(self) -> int:
        """States that are drawn."""
        return len(self.annealed.indices)

    def plain_at(self, k: int) -> int:
        """The plain walk's state at a step: a final denoising is the annealed walk's alone."""
        return min(k, len(self.plain.indices) - 1)

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        from demos.generative.score_langevin_numbers import walk_numbers

        return walk_numbers(self)


def run_walk(c: Controls) -> WalkResult:
    """Raises: UploadError, as `data_of`."""
    from dataclasses import replace

    from core.generative.plane import component_groups
    from core.generative.walks import group_weights

    source = data_of(c)
    mixture, sigmas = source.mixture, sigmas_of(c)
    groups = component_groups(mixture)
    learned = c.score == "learned"
    score = score_of(c, mixture)
    levels, network = _levels(_view_of(c)), None
    if learned:
        network = replace(levels, arrows=_stack([score(levels.places, sigma) for sigma in sigmas]))
    return WalkResult(
        c,
        source,
        tuple(sigmas),
        groups,
        group_weights(mixture, groups),
        _plain(_only(c, "plain")),
        _annealed(_only(c, "annealed")),
        exact_law(c, annealed=False),
        exact_law(c, annealed=True),
        _flat(_view_of(c)),
        levels,
        network,
    )


def _only(c: Controls, walk: str) -> Controls:
    from demos.generative.score_langevin_inputs import only

    names = [n for n in RUN if n not in ("score", "updates")] if c.score == "exact" else list(RUN)
    if walk == "plain" and c.score == "exact":  # only how many steps there are
        names = [n for n in names if n not in ("sigma_max", "sigma_min", "level_score", "final_denoise")]
    return only(c, *names)


def _stack(tensors: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(tensors)


@lru_cache(maxsize=8)
def _plain(c: Controls) -> Walk:
    from core.generative.langevin import langevin, smoothed_score
    from core.generative.plane import component_groups
    from core.generative.walks import kept_states, record_walk, start_points

    mixture = data_of(c).mixture
    score: Any = smoothed_score(mixture) if c.score == "exact" else score_of(c, mixture)
    sigma = 0.0 if c.score == "exact" else sigmas_of(c)[-1]
    total = c.levels * c.steps_each
    steps = langevin(
        lambda x: score(x, sigma),
        start_points(start_of(c), c.particles, seed=c.seed),
        step_size=step_of(c),
        steps=total,
        seed=c.seed,
        convention=c.convention,  # type: ignore[arg-type]
    )
    kept = kept_states(c.levels, c.steps_each, FRAMES)
    return record_walk(counted(steps, "sampling", total=total + 1), kept, mixture, component_groups(mixture), reach=FAR)


@lru_cache(maxsize=8)
def _annealed(c: Controls) -> Walk:
    from core.generative.langevin import annealed_langevin
    from core.generative.plane import component_groups
    from core.generative.walks import kept_states, record_walk, start_points

    mixture = data_of(c).mixture
    total = c.levels * c.steps_each
    steps = annealed_langevin(
        score_of(c, mixture),
        start_points(start_of(c), c.particles, seed=c.seed),
        sigmas_of(c),
        step_size=step_of(c),
        steps_each=c.steps_each,
        seed=c.seed,
        convention=c.convention,  # type: ignore[arg-type]
        final_denoise=c.final_denoise,
    )
    kept = kept_states(c.levels, c.steps_each, FRAMES)
    return record_walk(counted(steps, "sampling", total=total + 1), kept, mixture, component_groups(mixture), reach=FAR)


def exact_law(c: Controls, *, annealed: bool) -> ChainLaw | None:
    """A chain's exact law for these controls, if there is one."""
    if c.score == "learned":
        return None
    return _law(_only(c, "annealed" if annealed else "plain"), annealed=annealed)


@lru_cache(maxsize=8)
def _law(c: Controls, *, annealed: bool) -> ChainLaw | None:
    """The chain's exact law; None where the mixture, or the step, allows none."""
    from core.generative.chain_law import chain_law

    try:
        return chain_law(
            data_of(c).mixture,
            start_of(c),
            sigmas_of(c) if annealed else [],
            step_size=step_of(c),
            steps_each=c.steps_each if annealed else c.levels * c.steps_each,
            convention=c.convention,  # type: ignore[arg-type]
            toy=c.level_score == "toy",
            final_denoise=c.final_denoise and annealed,
        )
    except ValueError:
        return None


def _view_of(c: Controls) -> Controls:
    from demos.generative.score_langevin_inputs import only

    return only(c, *DATA, *LADDER, *(("score",) if c.score == "learned" else ()))


@lru_cache(maxsize=8)
def _flat(c: Controls) -> Landscape:
    """What the plain walk feels: the data's own landscape; a network knows only that of its last level."""
    from core.generative.walks import landscape

    sigma = power(c.sigma_min) if c.score == "learned" else 0.0
    return landscape(data_of(c).mixture, [sigma], reach=PLANE, cells=CELLS, arrows=ARROWS)


@lru_cache(maxsize=8)
def _levels(c: Controls) -> Landscape:
    from core.generative.walks import landscape

    return landscape(data_of(c).mixture, sigmas_of(c), reach=PLANE, cells=CELLS, arrows=ARROWS)
