"""The lens "likelihood": samples encoded to noise along the ODE, log p by the change of variables, and where its error comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from demos.generative.diffusion_inputs import REACH, Source, process_of, source_of
from demos.generative.diffusion_numbers import scale_numbers
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.likelihood import DivergenceEstimate, LikelihoodBudget
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

SAMPLES = 5
CELLS = 56
PARTS = ("probes", "solver", "prior", "truncation", "rest")


@dataclass(frozen=True)
class LikelihoodResult:
    """Five samples on their way to noise."""

    controls: Controls
    source: Source
    process: Process
    groups: Tensor  # (K,) group of each component
    times: tuple[float, ...]  # (S + 1,) rising
    states: Tensor  # (S + 1, samples, 2)
    origin: Tensor  # (samples,) component that each was drawn from
    scales: tuple[float, ...]  # of the view
    density: Tensor  # (S + 1, cells, cells)
    exact: Tensor  # (S + 1,) ∇·s along the followed sample's path
    estimates: tuple[DivergenceEstimate, ...]  # of the same, one a step
    budget: LikelihoodBudget

    @property
    def followed(self) -> int:
        return self.controls.sample - 1

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return _numbers(self)


def run_likelihood(c: Controls) -> LikelihoodResult:
    """Raises: UploadError, as `run`."""
    from core.generative.likelihood import hutchinson_divergence, likelihood_budget
    from core.generative.plane import component_groups, view_density, view_scale
    from core.generative.probability_flow import flow_path
    from core.generative.sampler_steps import trajectory
    from core.generative.scores import ExactScore
    from core.generative.sde import time_grid

    source, process = source_of(c), process_of(c)
    mixture = source.mixture
    x, origin = mixture.sample(SAMPLES, seed=c.seed)
    score = ExactScore(mixture, process)
    times = tuple(time_grid(process, c.steps)[::-1])
    states = trajectory(flow_path(score, process, x, times))
    here = c.sample - 1
    path = states[:, here : here + 1]
    tolerance = float(c.tolerance)
    return LikelihoodResult(
        c,
        source,
        process,
        component_groups(mixture),
        times,
        states,
        origin,
        tuple(view_scale(process, t) for t in times),
        view_density(mixture, process, times, reach=REACH, cells=CELLS),
        _stack([score.divergence(path[k], t)[0] for k, t in enumerate(times)]),
        tuple(
            hutchinson_divergence(score, path[k], t, probes=c.probes, probe=c.probe, seed=c.seed)  # type: ignore[arg-type]
            for k, t in enumerate(times)
        ),
        likelihood_budget(
            mixture,
            process,
            x,
            exact_divergence=c.divergence == "exact",
            probe=c.probe,  # type: ignore[arg-type]
            seed=c.seed,
            rtol=tolerance,
            atol=tolerance,
        ),
    )


def _stack(values: list[Tensor]) -> Tensor:
    import torch

    return torch.stack(values)


def _numbers(result: LikelihoodResult) -> tuple[tuple[Number, ...], ...]:
    from core.generative.likelihood import hutchinson_divergence
    from core.generative.scores import ExactScore

    own = budget_numbers(result, result.followed)
    whole = (own["reported"], own["truth"], own["error"])
    lines: list[tuple[Number, ...]] = []
    for k, t in enumerate(result.times):
        estimate = result.estimates[k]
        values = [float(v) for v in estimate.values[:, 0]]
        lines.append(
            (
                *scale_numbers(result.process, t),
                Number("divergence", float(result.exact[k]), ExactScore.divergence, "∇·s, closed form", gauge=False),
                Number(
                    "mean",
                    float(estimate.mean[0]),
                    hutchinson_divergence,
                    "mean(v_J_v)",
                    {"v_J_v": values},
                    gauge=False,
                ),
                Number(
                    "standard_error",
                    float(estimate.standard_error[0]),
                    hutchinson_divergence,
                    "std of vᵀJv / √probes",
                    gauge=False,
                ),
                *whole,
            )
        )
    return tuple(lines)


def budget_numbers(result: LikelihoodResult, sample: int) -> dict[str, Number]:
    """All of one sample's budget, nats."""
    from core.generative.likelihood import likelihood_budget

    budget, item = result.budget, f"sample:{sample + 1}"
    parts = {name: float(getattr(budget, name)[sample]) for name in PARTS}
    reported, truth = float(budget.reported[sample]), float(budget.truth[sample])
    found = {
        "reported": Number(
            "reported", reported, likelihood_budget, "log prior(x_T) + ∫∇·f dt", {}, "nat", item=item, gauge=False
        ),
        "truth": Number("truth", truth, likelihood_budget, "log Σ w_k N_k(x)", {}, "nat", item=item, gauge=False),
        "error": Number(
            "error",
            float(budget.error[sample]),
            likelihood_budget,
            " + ".join(PARTS),
            parts,
            "nat",
            item=item,
            gauge=False,
        ),
    }
    for name, value in parts.items():
        found[name] = Number(name, value, likelihood_budget, _PART[name], {}, "nat", item=item, gauge=False)
    return found


_PART = {
    "probes": "reported with estimates − with exact ∇·s",
    "solver": "at this tolerance − at 1e-10",
    "prior": "log prior(x_T) − log p_T(x_T)",
    "truncation": "log p_ε(x) − log p_0(x)",
    "rest": "what is left at 1e-10",
}


def script_lines(c: Controls, imports: set[str]) -> list[str]:
    """Python that prints the followed sample's likelihood."""
    imports.add("from core.generative.likelihood import likelihood_budget")
    return [
        f"x, _ = mixture.sample({SAMPLES}, seed={c.seed})",
        f"options = dict(exact_divergence={c.divergence == 'exact'}, probe={c.probe!r}, seed={c.seed})",
        f"budget = likelihood_budget(mixture, process, x, rtol={float(c.tolerance)}, atol={float(c.tolerance)}, **options)",
        f"numbers = {{name: float(getattr(budget, name)[{c.sample - 1}]) for name in ('reported', 'truth', 'error')}}",
    ]
