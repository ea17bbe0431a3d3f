"""All samplers from the same noise, with the same number of steps, beside the exact reverse process.

Source: the samplers of this package; Song et al., arXiv:2011.13456; Karras et al., arXiv:2206.00364.
Notation: N steps, NFE calls of the score (number of function evaluations), D Kolmogorov–Smirnov statistic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from core.generative.lanes import end_component
from core.generative.mixtures import GaussianMixture
from core.generative.ode_samplers import ddim, dpm_solver_pp_2m, euler, heun
from core.generative.probability_flow import exact_flow
from core.generative.sampler_steps import SamplerStep, exact_reverse
from core.generative.samplers import ancestral, euler_maruyama, predictor_corrector, reverse_diffusion
from core.generative.scores import ExactScore, Score
from core.generative.sde import VE, VP, Process, SubVP, time_grid
from core.generative.two_sample import ks_one_sample

Sampler = Literal[
    "exact",
    "euler_maruyama",
    "reverse_diffusion",
    "ancestral",
    "predictor_corrector",
    "euler",
    "heun",
    "ddim",
    "dpm_solver_pp_2m",
]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)


@dataclass(frozen=True, slots=True)
class SamplerRun:
    """One sampler's way from the common noise."""

    sampler: Sampler
    times: tuple[float, ...]  # (N + 1,) of the states
    states: Tensor  # (N + 1, n, d)
    evaluations: int  # NFE
    end: Tensor  # (n,) component most responsible for each last state
    gap: float  # D of the last states along the direction against the exact law at the last time
    error: float  # root mean square distance from the exact flow's end; NaN for a sampler that draws noise


def sampler_race(
    mixture: GaussianMixture,
    process: Process,
    x: Tensor,
    steps: int,
    *,
    seed: int,
    direction: Sequence[float],
    eta: float = 0.0,
    score: Score | None = None,
) -> tuple[SamplerRun, ...]:
    """Run every sampler that exists for the process from the same x_T.

    Convention: Euler–Maruyama on even times, the discrete ones on score_sde's, the ODE's four on Karras'; all end at ε, or at
    the state that score_sde calls 0. VP's discrete samplers need more than β_max steps, and of them sub-VP has only
    predictor–corrector (with Euler–Maruyama): what does not exist is left out.

    Args:
        mixture, process: the data and the process.
        x: (n, d) noise at T.
        steps: N ≥ 2.
        seed: of all noise.
        direction: on which the ends are compared with the exact law.
        eta: of DDIM.
        score: another score than the exact one; the exact reverse process uses none.

    Raises:
        ValueError: if an option is out of range.

    Source: the samplers of this package.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.lanes import noise_points
    >>> two = gaussian_mixture([0.8, 0.2], [[2.0, 0.0], [-2.0, 0.0]], 0.1)
    >>> runs = sampler_race(two, VP(), noise_points(two, VP(), 50, seed=0), 30, seed=0, direction=[1.0, 0.0])
    >>> print([(run.sampler, run.evaluations) for run in runs if run.sampler in ("exact", "heun", "ddim")])
    [('exact', 0), ('heun', 60), ('ddim', 30)]
    """
    used = ExactScore(mixture, process) if score is None else score
    even, karras = (time_grid(process, steps, spacing=spacing) for spacing in ("uniform", "karras"))
    made: dict[Sampler, Callable[[], Iterator[SamplerStep]]] = {
        "exact": lambda: exact_reverse(mixture, process, x, even, seed=seed),
        "euler_maruyama": lambda: euler_maruyama(used, process, x, even, seed=seed),
    }
    if isinstance(process, VE) or (isinstance(process, VP) and process.beta_max < steps):
        chain = process
        made["reverse_diffusion"] = lambda: reverse_diffusion(used, chain, x, steps, seed=seed)
        made["ancestral"] = lambda: ancestral(used, chain, x, steps, seed=seed)
        made["predictor_corrector"] = lambda: predictor_corrector(used, chain, x, steps, seed=seed)
    elif isinstance(process, SubVP) and process.beta_max < steps:
        sub, predictor = process, "euler_maruyama"
        made["predictor_corrector"] = lambda: predictor_corrector(used, sub, x, steps, seed=seed, predictor=predictor)
    made["euler"] = lambda: euler(used, process, x, karras)
    made["heun"] = lambda: heun(used, process, x, karras)
    made["ddim"] = lambda: ddim(used, process, x, karras, seed=seed, eta=eta)
    made["dpm_solver_pp_2m"] = lambda: dpm_solver_pp_2m(used, process, x, karras)
    truth = exact_flow(mixture, process, x, t_from=process.T, t_to=process.eps).x
    line = mixture.project(direction)
    u = torch.as_tensor(direction, dtype=x.dtype)
    u = u / u.square().sum().sqrt()
    runs: list[SamplerRun] = []
    for name, start in made.items():
        steps_made = list(start())
        last = steps_made[-1]
        level = max(last.t, process.eps)
        plain = name in ("euler", "heun", "dpm_solver_pp_2m") or (name == "ddim" and not eta)
        runs.append(
            SamplerRun(
                name,
                tuple(step.t for step in steps_made),
                torch.stack([step.x for step in steps_made]),
                last.evaluations,
                end_component(mixture, process, last.x, level),
                ks_one_sample(last.x @ u, line.diffused(process.alpha(level), process.sigma(level))).statistic,
                float((last.x - truth).square().sum(-1).mean().sqrt()) if plain else float("nan"),
            )
        )
    return tuple(runs)
