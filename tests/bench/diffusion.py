"""Diffusion: both lanes, the optimal denoiser of pictures, and one step of each solver beside diffusers' scheduler, on one thread."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.generative.convergence import convergence
from core.generative.empirical import empirical_denoiser, empirical_sampler
from core.generative.lanes import marginal_agreement, three_lanes
from core.generative.langevin import annealed_langevin, geometric_levels, smoothed_score
from core.generative.likelihood import likelihood_budget
from core.generative.ode_samplers import ddim, dpm_solver_pp_2m, euler, heun
from core.generative.probability_flow import flow_path
from core.generative.sampler_steps import final_state
from core.generative.samplers import ancestral, euler_maruyama
from core.generative.scores import ExactScore
from core.generative.sde import EDM, VP, prior_sampling, time_grid
from core.generative.shapes import SHAPES, shape_mixture
from tests.bench.segmentation import threads
from tests.bench.table import Row, alone, versus

STEPS = 50
ORDERS = {"euler": 1, "heun": 2, "ddim": 1, "dpm_solver_pp_2m": 2}


def lane_rows() -> Iterator[Row]:
    """2,000 particles × 200 steps, reverse SDE and probability flow."""
    times = time_grid(VP(), 200)
    for shape in SHAPES:
        score = ExactScore(shape_mixture(shape), VP())
        start = prior_sampling(VP(), (2000, 2), seed=0)

        def both(score: ExactScore = score, start: Tensor = start) -> None:
            final_state(euler_maruyama(score, VP(), start, times, seed=0))
            final_state(euler_maruyama(score, VP(), start, times, seed=0, stochasticity=0.0))

        what = f"reverse SDE and ODE, 2000 particles × 200 steps, {shape} ({score.mixture.components} components)"
        yield alone(what, both, at_most_ms=300 if shape in ("two_modes", "three_modes") else None, repeats=5)
    two = shape_mixture("two_modes")
    score = ExactScore(two, VP())
    start = prior_sampling(VP(), (2000, 2), seed=0)
    yield alone(
        "probability flow by Heun, 2000 particles × 200 steps, two_modes",
        lambda: final_state(flow_path(score, VP(), start, times, method="heun")),
        repeats=5,
    )
    lanes = three_lanes(two, VP(), particles=2000, steps=200, seed=0)
    yield alone(
        "three lanes, 2000 × 200, two_modes",
        lambda: three_lanes(two, VP(), particles=2000, steps=200, seed=0),
        repeats=5,
    )
    yield alone(
        "Kolmogorov–Smirnov at 201 times, 4 comparisons each, 2000 particles",
        lambda: marginal_agreement(lanes, two, VP(), direction=[1.0, 0.0]),
        repeats=5,
    )


def picture_rows() -> Iterator[Row]:
    """1,000 pictures of 3 × 32 × 32, 16 samples, 18 steps of Heun."""
    data = torch.rand(1000, 3072, generator=torch.Generator().manual_seed(0)) * 2 - 1
    best = empirical_denoiser(data)
    start = prior_sampling(EDM(), (16, 3072), seed=0, dtype=torch.float32)
    sigmas = time_grid(EDM(), 18, spacing="karras", to_zero=True)
    yield alone(
        "optimal denoiser, 1000 × 3072, 16 samples, 18 Heun steps with entropies",
        lambda: list(empirical_sampler(best, start, sigmas)),
        at_most_ms=250,
        repeats=5,
    )


def step_rows() -> Iterator[Row]:
    """All steps of a solver with a network that costs nothing, beside the scheduler's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import diffusers

        x = torch.randn(16, 3072, generator=torch.Generator().manual_seed(0))
        noise = torch.randn(16, 3072, generator=torch.Generator().manual_seed(1))
        generator = torch.Generator().manual_seed(2)
        edm = EDM()
        karras = time_grid(edm, STEPS, spacing="karras", to_zero=True)
        vp = time_grid(VP(), STEPS)

        def ours(
            sampler: Callable[..., Iterator[object]], process: object, *args: object, **options: object
        ) -> Callable[[], None]:
            def run() -> None:
                for _ in sampler(lambda x, t: noise, process, x, *args, **options):
                    pass

            return run

        def theirs(scheduler: object, **options: object) -> Callable[[], None]:
            def run() -> None:
                scheduler.set_timesteps(STEPS)
                state = x
                for t in scheduler.timesteps:
                    state = scheduler.step(noise, t, state, **options).prev_sample

            return run

        ddim_scheduler = diffusers.DDIMScheduler(clip_sample=False)
        ddpm_scheduler = diffusers.DDPMScheduler(clip_sample=False, variance_type="fixed_large")
        noisy = {"generator": generator}
        pairs = (
            ("DDIM, η = 0", ours(ddim, VP(), vp, seed=0), ddim_scheduler, {}),
            ("DDIM, η = 1", ours(ddim, VP(), vp, seed=0, eta=1.0), ddim_scheduler, noisy | {"eta": 1.0}),
            ("Euler", ours(euler, edm, karras), diffusers.EulerDiscreteScheduler(use_karras_sigmas=True), {}),
            ("Heun", ours(heun, edm, karras), diffusers.HeunDiscreteScheduler(use_karras_sigmas=True), {}),
            (
                "DPM-Solver++(2M)",
                ours(dpm_solver_pp_2m, edm, karras),
                diffusers.DPMSolverMultistepScheduler(use_karras_sigmas=True),
                {},
            ),
            ("ancestral (DDPM)", ours(ancestral, VP(), STEPS, seed=0), ddpm_scheduler, noisy),
        )
        diffusers.utils.logging.set_verbosity_error()
        for name, run, scheduler, options in pairs:
            peer = f"diffusers {type(scheduler).__name__}"
            yield versus(
                f"{name}, {STEPS} steps of 16 × 3072, float32",
                run,
                peer,
                theirs(scheduler, **options),
                at_least=1,
                repeats=5,
            )


def order_rows() -> Iterator[Row]:
    """Measured orders, in the column of times for want of another: named as such."""
    mixture = shape_mixture("three_modes")
    process = EDM(sigma_min=0.05)
    x = prior_sampling(process, (16, 2), seed=0)
    for curve in convergence(mixture, process, x, solvers=tuple(ORDERS), steps=(128, 256, 512)):
        wanted = ORDERS[curve.solver]
        what = f"order of {curve.solver} (not a time)"
        yield Row(what, curve.order, "", None, None, f"{wanted}.0 ± 0.1", abs(curve.order - wanted) <= 0.1)


def other_rows() -> Iterator[Row]:
    three = shape_mixture("three_modes")
    points, _ = three.sample(16, seed=0)
    yield alone(
        "likelihood with its error budget, 16 points", lambda: likelihood_budget(three, VP(), points), repeats=3
    )
    sigmas = geometric_levels(20.0, 1.0, 10)
    start = 8 * torch.randn(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    yield alone(
        "annealed Langevin dynamics, 400 particles × 1000 steps",
        lambda: list(annealed_langevin(smoothed_score(three), start, sigmas, step_size=0.1, steps_each=100, seed=0)),
        repeats=3,
    )


def measure() -> Iterator[Row]:
    """All rows."""
    with threads(1):
        yield from lane_rows()
        yield from picture_rows()
        yield from step_rows()
        yield from order_rows()
        yield from other_rows()
