"""The lens "samplers": all of them from one noise, with one number of steps, and how fast their error shrinks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from demos.generative.diffusion_inputs import REACH, Source, direction_of, process_of, score_of, source_of
from demos.kit.jobs import progress
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.convergence import ConvergenceCurve, Solver
    from core.generative.sampler_race import SamplerRun
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

MOST_SHOWN = 150  # particles of each sampler
MEASURED = 32  # particles whose error is measured over the number of steps
STEPS = (16, 32, 64, 128)
SOLVERS: tuple[Solver, ...] = ("euler", "heun", "ddim", "dpm_solver_pp_2m", "euler_in_t", "runge_kutta")
CELLS = 56


@dataclass(frozen=True)
class SamplerResult:
    """A run of every sampler, and the convergence of those that draw no noise."""

    controls: Controls
    source: Source
    process: Process
    groups: Tensor  # (K,) group of each component
    runs: tuple[SamplerRun, ...]
    scales: tuple[tuple[float, ...], ...]  # of the view, one tuple a run
    home: Tensor  # (n,) component in which the exact flow of each noise point ends
    density: Tensor  # (cells, cells) of the data
    curves: tuple[ConvergenceCurve, ...]
    critical: float  # D that an exact sample exceeds with chance 0.05

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return (tuple(order_number(curve) for curve in self.curves),) * len(self.runs[0].times)


def run_samplers(c: Controls) -> SamplerResult:
    """Raises: UploadError, as `run`."""
    import math

    from core.generative.convergence import convergence
    from core.generative.lanes import CRITICAL_5_PERCENT, end_component, noise_points
    from core.generative.plane import component_groups, view_density, view_scale
    from core.generative.probability_flow import exact_flow
    from core.generative.sampler_race import sampler_race

    source, process = source_of(c), process_of(c)
    mixture, score = source.mixture, score_of(c, source, process)
    x = noise_points(mixture, process, min(c.particles, MOST_SHOWN), seed=c.seed + 1)
    progress(0, 2, "sampling")
    runs = sampler_race(mixture, process, x, c.steps, seed=c.seed, direction=direction_of(c), eta=c.eta, score=score)
    progress(1, 2, "sampling")
    curves = convergence(mixture, process, x[:MEASURED], solvers=SOLVERS, steps=STEPS, score=score)
    progress(2, 2, "sampling")
    ends = exact_flow(mixture, process, x, t_from=process.T, t_to=process.eps).x
    return SamplerResult(
        c,
        source,
        process,
        component_groups(mixture),
        runs,
        tuple(tuple(view_scale(process, t) for t in run.times) for run in runs),
        end_component(mixture, process, ends, process.eps),
        view_density(mixture, process, [process.eps], reach=REACH, cells=CELLS)[0],
        curves,
        CRITICAL_5_PERCENT / math.sqrt(len(x)),
    )


def order_number(curve: ConvergenceCurve) -> Number:
    """Measured order of one solver, between its two finest grids."""
    from core.generative.convergence import convergence

    operands = {
        "e1": curve.errors[-2],
        "e2": curve.errors[-1],
        "n1": curve.steps[-2],
        "n2": curve.steps[-1],
    }
    return Number(
        "order", curve.order, convergence, "log(e1 / e2) / log(n2 / n1)", operands, item=curve.solver, gauge=False
    )


def run_numbers(run: SamplerRun) -> tuple[Number, Number, Number]:
    """Calls of the score, D of the ends against the exact law, distance from the exact flow."""
    from core.generative.sampler_race import sampler_race

    return (
        Number("evaluations", run.evaluations, sampler_race, "calls of the score", item=run.sampler),
        Number("gap", run.gap, sampler_race, "max |F_sampler − F_exact|", item=run.sampler),
        Number("error", run.error, sampler_race, "sqrt(mean |x − x_exact|²)", item=run.sampler),
    )


def script_lines(c: Controls, imports: set[str]) -> list[str]:
    """Python that prints the orders."""
    imports |= {
        "from core.generative.convergence import convergence",
        "from core.generative.lanes import noise_points",
    }
    return [
        f"x = noise_points(mixture, process, {min(c.particles, MOST_SHOWN)}, seed={c.seed + 1})[:{MEASURED}]",
        f"solvers = {SOLVERS!r}",
        f"curves = convergence(mixture, process, x, solvers=solvers, steps={STEPS}, score=score)",
        'numbers = {f"order[{curve.solver}]": curve.order for curve in curves}',
    ]
