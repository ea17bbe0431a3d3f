"""The lens "objectives": explicit, implicit, sliced and denoising score matching of several models on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from demos.generative.diffusion_inputs import Source
from demos.generative.score_langevin_inputs import data_of, power, training
from demos.kit.jobs import progress
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.generative.objective_race import ObjectiveConstants, ObjectiveRow
    from core.generative.score_matching import Objective
    from demos.generative.score_langevin import Controls


@dataclass(frozen=True)
class ObjectivesResult:
    """A row for each model, and the constants between the columns."""

    controls: Controls
    source: Source
    sigma: float
    rows: dict[str, ObjectiveRow]
    constants: ObjectiveConstants
    scale: float  # of the sliced objective, against the implicit one

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return (constant_numbers(self),)


def run_objectives(c: Controls) -> ObjectivesResult:
    """Raises: UploadError, as `data_of`."""
    from core.generative.objective_race import objective_constants, objective_row, simple_models, sliced_scale

    source, sigma = data_of(c), power(c.noise)
    mixture = source.mixture
    models: dict[str, Any] = dict(simple_models(mixture, sigma=sigma))
    if c.score == "learned":
        *_, found = training(c, mixture)
        network = found.last.network
        models["learned"] = lambda x: network(x, sigma)
    rows: dict[str, ObjectiveRow] = {}
    for k, (name, model) in enumerate(models.items()):
        progress(k, len(models), "scoring")
        rows[name] = objective_row(
            model,
            mixture,
            sigma=sigma,
            samples=c.samples,
            seed=c.seed,
            directions=c.directions,  # type: ignore[arg-type]
            slices=c.slices,
        )
    scale = sliced_scale(c.directions, 2)  # type: ignore[arg-type]
    return ObjectivesResult(c, source, sigma, rows, objective_constants(mixture, sigma=sigma), scale)


def constant_numbers(result: ObjectivesResult) -> tuple[Number, ...]:
    """J, and what it makes of the differences."""
    from core.generative.objective_race import objective_constants

    found, d = result.constants, result.source.mixture.dim
    operands = {"J": found.fisher}
    return (
        Number("fisher", found.fisher, objective_constants, "E_q |∇log q_σ|²", gauge=False),
        Number(
            "denoising_constant",
            found.denoising_gap,
            objective_constants,
            "(d / (s · s) − J) / 2",
            {"d": d, "s": result.sigma, **operands},
            gauge=False,
        ),
        Number("implicit_constant", found.implicit_gap, objective_constants, "−J / 2", operands, gauge=False),
    )


def row_numbers(result: ObjectivesResult, name: str) -> tuple[Number, ...]:
    """What one model's row shows: the objective one would like to know, and what the others have above it."""
    from core.generative.objective_race import objective_row

    row, item = result.rows[name], f"model_{name}"

    def pair(key: str, found: Objective, name: str, whole: Objective) -> tuple[Number, Number]:
        operands = {name: whole.value, "ESM": row.explicit.value}
        return (
            Number(key, found.value, objective_row, f"{name} − ESM", operands, item=item, gauge=False),
            Number(
                f"{key}_error",
                found.standard_error,
                objective_row,
                "std of the differences / sqrt(n)",
                item=item,
                gauge=False,
            ),
        )

    explicit = Number("explicit", row.explicit.value, objective_row, "mean |s − ∇log q_σ|² / 2", item=item, gauge=False)
    return (
        explicit,
        *pair("denoising_gap", row.denoising_gap, "DSM", row.denoising),
        *pair("implicit_gap", row.implicit_gap, "ISM", row.implicit),
        *pair("sliced_gap", row.sliced_gap, "SSM", row.sliced),
    )
