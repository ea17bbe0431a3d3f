import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.generative.lanes import noise_points
from core.generative.mixtures import gaussian_mixture
from core.generative.ode_samplers import ddim, heun
from core.generative.probability_flow import exact_flow
from core.generative.sampler_race import SAMPLERS, sampler_race
from core.generative.sampler_steps import exact_reverse, final_state
from core.generative.scores import ExactScore, inject_error
from core.generative.sde import VE, VP, SubVP, time_grid
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
CALLS = {"exact": 0, "predictor_corrector": 60, "heun": 60}


@pytest.mark.parametrize("process", [VP(), VE()], ids=lambda p: p.name)
def test_every_sampler_starts_from_the_same_noise_and_is_judged_alike(process, receipt):
    x, u = noise_points(PLANE, process, 80, seed=1), np.array([0.6, 0.8])
    runs = sampler_race(PLANE, process, x, 30, seed=2, direction=[3.0, 4.0])
    assert tuple(run.sampler for run in runs) == SAMPLERS
    truth = exact_flow(PLANE, process, x, t_from=process.T, t_to=process.eps).x.numpy()
    for run in runs:
        assert run.states.shape == (31, 80, 2)
        assert len(run.times) == 31
        assert torch.equal(run.states[0], x)
        receipt(sampler_race, "evaluations", run.evaluations, CALLS.get(run.sampler, 30), reference="counting")
        alpha, sigma = oracle.SCALES[process.name](process.eps)
        last = run.states[-1].numpy()

        def cdf(v, alpha=alpha, sigma=sigma):
            return sum(
                w * stats.norm(alpha * (u @ np.array(m)), math.sqrt(alpha**2 * (u @ np.array(c) @ u) + sigma**2)).cdf(v)
                for w, m, c in zip(*oracle.PLANE, strict=True)
            )

        receipt(sampler_race, "gap", run.gap, stats.kstest(last @ u, cdf).statistic, reference="scipy", tolerance=1e-9)
        if run.sampler in ("euler", "heun", "ddim", "dpm_solver_pp_2m"):
            by_hand = math.sqrt(((last - truth) ** 2).sum(1).mean())
            receipt(sampler_race, "error", run.error, by_hand, reference="Dormand–Prince at 1e-11", tolerance=1e-9)
        else:
            assert math.isnan(run.error)
        assert run.gap < 0.2


def test_each_is_the_sampler_itself():
    process = VP()
    x = noise_points(PLANE, process, 20, seed=1)
    runs = {run.sampler: run for run in sampler_race(PLANE, process, x, 24, seed=2, direction=[1.0, 0.0], eta=0.5)}
    score, karras = ExactScore(PLANE, process), time_grid(process, 24, spacing="karras")
    assert torch.equal(runs["heun"].states[-1], final_state(heun(score, process, x, karras)))
    assert torch.equal(runs["ddim"].states[-1], final_state(ddim(score, process, x, karras, seed=2, eta=0.5)))
    even = time_grid(process, 24)
    assert torch.equal(runs["exact"].states[-1], final_state(exact_reverse(PLANE, process, x, even, seed=2)))
    assert math.isnan(runs["ddim"].error)
    assert not math.isnan(runs["euler"].error)


def test_what_does_not_exist_is_left_out():
    x = noise_points(PLANE, VP(), 4, seed=1)
    few = {run.sampler for run in sampler_race(PLANE, VP(), x, 20, seed=0, direction=[1.0, 0.0])}
    assert few == set(SAMPLERS) - {"reverse_diffusion", "ancestral", "predictor_corrector"}
    sub = {run.sampler for run in sampler_race(PLANE, SubVP(), x, 24, seed=0, direction=[1.0, 0.0])}
    assert sub == set(SAMPLERS) - {"reverse_diffusion", "ancestral"}
    short = {run.sampler for run in sampler_race(PLANE, SubVP(), x, 20, seed=0, direction=[1.0, 0.0])}
    assert short == few


def test_a_wrong_score_leaves_the_exact_process_alone():
    process = VP()
    x = noise_points(PLANE, process, 30, seed=1)
    flawed = inject_error(ExactScore(PLANE, process), process, kind="shifted", size=0.8)
    a, b = (
        {run.sampler: run for run in sampler_race(PLANE, process, x, 24, seed=0, direction=[1.0, 0.0], score=score)}
        for score in (None, flawed)
    )
    assert torch.equal(a["exact"].states, b["exact"].states)
    assert b["heun"].error > 10 * a["heun"].error
