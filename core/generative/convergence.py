"""How fast a solver's error shrinks with its steps, measured against the exact flow: its order.

Source: any book on numerical integration; Karras et al., arXiv:2206.00364, figure 2 for the comparison.
Notation: h step, order p in error ≈ C·h^p.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.ode_samplers import ddim, dpm_solver_pp_2m, euler, heun
from core.generative.probability_flow import ExactMethod, exact_flow, flow_path
from core.generative.sampler_steps import final_state
from core.generative.samplers import euler_maruyama
from core.generative.scores import ExactScore, Score
from core.generative.sde import Process, Spacing, time_grid

Solver = Literal["euler", "heun", "ddim", "dpm_solver_pp_2m", "euler_in_t", "runge_kutta"]
SOLVERS: tuple[Solver, ...] = get_args(Solver)


@dataclass(frozen=True, slots=True)
class ConvergenceCurve:
    """Errors of one deterministic solver for several numbers of steps."""

    solver: Solver
    steps: tuple[int, ...]  # numbers of steps tried
    evaluations: tuple[int, ...]  # calls of the score for each
    errors: tuple[float, ...]  # root mean square distance from the exact end, over the particles
    orders: tuple[float, ...]  # between neighbours: ln(e₁/e₂)/ln(n₂/n₁)
    order: float  # over the last two: where the error is smallest, unless it is rounding
    truth: ExactMethod  # how the exact end was found


def solver_end(solver: Solver, score: Score, process: Process, x: Tensor, times: Sequence[float]) -> tuple[Tensor, int]:
    """The end of a deterministic solver by its name, and the calls of the score it took.

    Args:
        solver: "euler", "heun", "ddim", "dpm_solver_pp_2m", "euler_in_t" or "runge_kutta".
        score, process, x, times: as the samplers.

    Raises:
        ValueError: if the name is unknown.

    Source: the samplers of this package.
    Differs: nothing.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0]], 1.0), EDM())
    >>> solver_end("heun", score, EDM(), torch.ones(1, 1), [1.0, 0.5])[1]
    2
    """
    n = len(times) - 1
    if solver == "euler":
        return final_state(euler(score, process, x, times)), n
    if solver == "heun":
        return final_state(heun(score, process, x, times)), 2 * n - (times[-1] == 0)
    if solver == "ddim":
        return final_state(ddim(score, process, x, times, seed=0)), n
    if solver == "dpm_solver_pp_2m":
        return final_state(dpm_solver_pp_2m(score, process, x, times)), n
    if solver == "euler_in_t":
        return final_state(euler_maruyama(score, process, x, times, seed=0, stochasticity=0.0)), n
    if solver == "runge_kutta":
        return final_state(flow_path(score, process, x, times)), 4 * n
    raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")


def convergence(
    mixture: GaussianMixture,
    process: Process,
    x: Tensor,
    *,
    solvers: Sequence[Solver] = SOLVERS,
    steps: Sequence[int] = (16, 32, 64, 128, 256),
    spacing: Spacing = "karras",
    score: Score | None = None,
    exact: Tensor | None = None,
) -> tuple[ConvergenceCurve, ...]:
    """Run deterministic solvers with more and more steps from the same noise, and measure their order.

    Convention: from T to ε on the given spacing; the truth is the flow of the *exact* score from the same x at T to the same ε,
    so with a flawed score the curve flattens where the score's error begins to dominate.

    Args:
        mixture, process: the data and the process.
        x: (N, d) noise at T.
        solvers: which.
        steps: rising.
        spacing: of the times.
        score: another score than the exact one.
        exact: (N, d) the exact end, if it is known already.

    Raises:
        ValueError: if steps are not at least one, rising, or a name is unknown.

    Source: the definition of an order.
    Differs: nothing.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0], [-2.0]], 0.25)
    >>> x = torch.linspace(-80, 80, 8, dtype=torch.float64)[:, None]
    >>> [round(c.order, 1) for c in convergence(two, EDM(), x, solvers=("euler", "heun"), steps=(128, 256))]
    [1.0, 2.0]
    """
    if not steps or any(not a < b for a, b in pairwise(steps)):
        raise ValueError(f"steps must be rising and at least one, got {tuple(steps)}")
    method: ExactMethod = "integrated"
    if exact is None:
        truth = exact_flow(mixture, process, x, t_from=process.T, t_to=process.eps)
        exact, method = truth.x, truth.method
    used = ExactScore(mixture, process) if score is None else score
    curves: list[ConvergenceCurve] = []
    for solver in solvers:
        errors: list[float] = []
        calls: list[int] = []
        for n in steps:
            end, evaluations = solver_end(solver, used, process, x, time_grid(process, n, spacing=spacing))
            errors.append(float((end - exact).square().sum(-1).mean().sqrt()))
            calls.append(evaluations)
        orders = tuple(
            math.log(errors[i] / errors[i + 1]) / math.log(steps[i + 1] / steps[i])
            if errors[i] > 0 and errors[i + 1] > 0
            else math.nan
            for i in range(len(steps) - 1)
        )
        curves.append(
            ConvergenceCurve(
                solver, tuple(steps), tuple(calls), tuple(errors), orders, orders[-1] if orders else math.nan, method
            )
        )
    return tuple(curves)
