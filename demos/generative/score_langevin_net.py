"""The lens "network": a small net learns the score from noisy samples while one watches, and a map of where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from demos.generative.diffusion_inputs import Source
from demos.generative.score_langevin_inputs import PLANE, Training, data_of, sigmas_of, training
from demos.kit.jobs import publish
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.score_network import ResidualMap
    from core.generative.walks import Landscape
    from demos.generative.score_langevin import Controls

CELLS = 48  # of a map along a side
ARROWS = 13
MASS = 0.99  # share of the noisy data that lies inside the region called "data"


@dataclass(frozen=True)
class NetResult:
    """A network, finished or not, beside the exact score at every noise level."""

    controls: Controls
    source: Source
    groups: Tensor  # (K,)
    sigmas: tuple[float, ...]
    training: Training
    exact: Landscape

    @cached_property
    def learned(self) -> Landscape:
        """The exact heights with the network's arrows."""
        import torch

        network = self.training.last.network
        return replace(self.exact, arrows=torch.stack([network(self.exact.places, s) for s in self.sigmas]))

    @cached_property
    def maps(self) -> tuple[ResidualMap, ...]:
        """Made when they are drawn: of most states of a training nobody looks at the map."""
        from core.generative.score_network import residual_map

        network, mixture = self.training.last.network, self.source.mixture
        return tuple(residual_map(network, mixture, sigma=s, reach=PLANE, cells=CELLS, mass=MASS) for s in self.sigmas)

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return tuple((_level(self, k), *map_numbers(found), *_training(self)) for k, found in enumerate(self.maps))


def run_net(c: Controls) -> NetResult:
    """Raises: UploadError, as `data_of`; Stopped, if the visitor does not want to wait."""
    from core.generative.plane import component_groups
    from core.generative.walks import landscape

    source = data_of(c)
    sigmas = sigmas_of(c)
    exact = landscape(source.mixture, sigmas, reach=PLANE, cells=CELLS, arrows=ARROWS)
    groups = component_groups(source.mixture)
    found: NetResult | None = None
    for state in training(c, source.mixture):
        found = NetResult(c, source, groups, tuple(sigmas), state, exact)
        if state.last.index < c.updates:
            publish(found)
    assert found is not None
    return found


def _level(result: NetResult, k: int) -> Number:
    from core.generative.langevin import geometric_levels

    operands = {"s_1": result.sigmas[0], "s_L": result.sigmas[-1], "i": k + 1, "L": len(result.sigmas)}
    return Number(
        "level",
        result.sigmas[k],
        geometric_levels,
        "s_1 · (s_L / s_1) ** ((i − 1) / (L − 1))",
        operands,
        gauge=False,
    )


def map_numbers(found: ResidualMap) -> tuple[Number, ...]:
    """How wrong the network is where the data are, and where they are not."""
    from core.generative.score_network import residual_map

    formula = "sqrt(mean |s_θ − s*|²) over cells {where}"
    return (
        Number("rms_inside", found.rms_inside, residual_map, formula.format(where="inside"), gauge=False),
        Number("rms_outside", found.rms_outside, residual_map, formula.format(where="outside"), gauge=False),
        Number("area_inside", found.area_inside, residual_map, "cells inside / cells"),
    )


def _training(result: NetResult) -> tuple[Number, ...]:
    from core.generative.score_network import score_excess, train_score_network

    last = result.training.last
    return (
        Number("loss", last.loss, train_score_network, "mean σ² · |s_θ + z/σ|² / 2", gauge=False),
        Number("excess", last.excess, score_excess, "mean σ² · |s_θ − s*|² / 2", gauge=False),
    )
