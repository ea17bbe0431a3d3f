"""The lens "manifold": data on a curve, and a score that explodes as the noise vanishes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.empirical import ManifoldCard
    from core.generative.manifold import FilledDirections
    from core.generative.walks import Landscape
    from demos.generative.score_langevin import Controls

REACH = 4.0  # the plane that is drawn
HIGHEST, LOWEST, LEVELS = 10.0, 0.005, 34  # noise levels that the scrubber walks down
DISTANCES = (0.0, 0.3, 1.2)  # of the places beside the curve
DRAWS = 1000
CELLS = 48
ARROWS = 11


@dataclass(frozen=True)
class ManifoldResult:
    """Points on a curve at falling noise levels."""

    controls: Controls
    data: Tensor  # (N, 2)
    queries: Tensor  # (Q, 2)
    sigmas: tuple[float, ...]
    filled: FilledDirections
    card: ManifoldCard
    scene: Landscape

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return tuple(_step(self, k) for k in range(len(self.sigmas)))


def run_manifold(c: Controls) -> ManifoldResult:
    """Points evenly along the chosen curve; everything about them is exact but the mean over the draws."""
    from core.generative.empirical import manifold_card
    from core.generative.langevin import geometric_levels
    from core.generative.manifold import curve_points, curve_queries, filled_directions, point_mixture
    from core.generative.walks import landscape

    data = curve_points(c.curve, c.points)  # type: ignore[arg-type]
    queries = curve_queries(c.curve, DISTANCES)  # type: ignore[arg-type]
    sigmas = geometric_levels(HIGHEST, LOWEST, LEVELS)
    return ManifoldResult(
        c,
        data,
        queries,
        tuple(sigmas),
        filled_directions(data, sigmas, draws=DRAWS, seed=c.seed),
        manifold_card(data, queries, sigmas),
        landscape(point_mixture(data), sigmas, reach=REACH, cells=CELLS, arrows=ARROWS),
    )


def _step(result: ManifoldResult, k: int) -> tuple[Number, ...]:
    from core.generative.empirical import manifold_card
    from core.generative.langevin import geometric_levels
    from core.generative.manifold import filled_directions

    sigma, filled, card = result.sigmas[k], result.filled, result.card
    level = {"s_1": HIGHEST, "s_L": LOWEST, "i": k + 1, "L": LEVELS}
    value = float(filled.value[k])
    lengths = [
        number
        for q, distance in enumerate(DISTANCES)
        for number in (
            Number(
                "length",
                float(card.lengths[k, q]),
                manifold_card,
                "|∇log q_σ|",
                item=f"beside:{distance:g}",
                gauge=False,
            ),
            Number(
                "predicted",
                float(card.predicted[k, q]),
                manifold_card,
                "distance / (s · s)",
                {"distance": float(card.distances[q]), "s": sigma},
                item=f"beside:{distance:g}",
                gauge=False,
            ),
        )
        if distance or number.key == "length"
    ]
    return (
        Number("level", sigma, geometric_levels, "s_1 · (s_L / s_1) ** ((i − 1) / (L − 1))", level, gauge=False),
        Number("filled", value, filled_directions, "mean s² · |∇log q_σ|²", gauge=False),
        Number("filled_error", float(filled.standard_error[k]), filled_directions, "std / sqrt(n)", gauge=False),
        Number(
            "rms_score",
            float(filled.rms_score[k]),
            filled_directions,
            "sqrt(filled) / s",
            {"filled": value, "s": sigma},
            gauge=False,
        ),
        Number("least", filled.least, filled_directions, "min of filled over all levels", gauge=False),
        *lengths,
    )
