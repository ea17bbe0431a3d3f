import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generative.mixtures import gaussian_mixture
from core.generative.noise import particle_normals
from core.generative.sampler_steps import final_state, trajectory
from core.generative.samplers import ancestral, euler_maruyama, predictor_corrector, reverse_diffusion
from core.generative.scores import ExactScore
from core.generative.sde import EDM, VE, VP, SubVP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

MU, LAM = 1.5, 0.25
ONE = gaussian_mixture([1.0], [[MU]], LAM)
PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}
quick = settings(deadline=None, max_examples=10)


def updates(steps):
    """(A, c, q) of every step, read off two particles: each step is x ← A·x + c + √q·z on Gaussian data."""
    steps = list(steps)
    found = []
    for before, after in pairwise(steps):
        (a, b), (p, q) = before.x[:, 0].tolist(), after.mean[:, 0].tolist()
        slope = (q - p) / (b - a)
        found.append((slope, p - slope * a, after.std**2))
    return found


def start_pair():
    return torch.tensor([[-3.0], [4.0]]).double()


@pytest.mark.parametrize("kind", PROCESSES)
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_euler_maruyama_is_its_recursion(kind, lam, receipt):
    process = PROCESSES[kind]
    times = time_grid(process, 40)
    steps = euler_maruyama(ExactScore(ONE, process), process, start_pair(), times, seed=0, stochasticity=lam)
    expected = list(oracle.em_updates(kind, MU, LAM, times, lam_noise=lam))
    got = updates(steps)
    variance = 2500.0 if kind == "VE" else 6400.0 if kind == "EDM" else 1.0
    reference = "recursion of mean and variance"
    for quantity, a, b in zip(
        ("mean", "variance"),
        oracle.linear_recursion(got, 0.0, variance),
        oracle.linear_recursion(expected, 0.0, variance),
        strict=True,
    ):
        receipt(euler_maruyama, quantity, a, b, reference=reference, tolerance=1e-7 * max(1.0, abs(b)))
    assert np.allclose(got[:20], expected[:20], rtol=1e-6, atol=1e-9)


def test_the_reference_steps_by_one_nth(receipt):
    times = time_grid(VP(), 200, spacing="song")
    steps = euler_maruyama(ExactScore(ONE, VP()), VP(), start_pair(), times, seed=0, step_rule="reference")
    mean, variance = oracle.linear_recursion(updates(steps), 0.0, 1.0)
    expected = oracle.linear_recursion(oracle.em_updates("VP", MU, LAM, times, dt=-1 / 200), 0.0, 1.0)
    receipt(euler_maruyama, "mean", mean, expected[0], reference="recursion of mean and variance", tolerance=1e-9)
    assert (round(mean, 6), round(variance, 6)) == (1.503427, 0.252017)


@pytest.mark.parametrize("kind", ["VP", "VE"])
@pytest.mark.parametrize("rule", ["reverse_diffusion", "ancestral"])
def test_discrete_samplers_are_their_recursions(kind, rule, receipt):
    process, sampler = PROCESSES[kind], {"reverse_diffusion": reverse_diffusion, "ancestral": ancestral}[rule]
    got = updates(sampler(ExactScore(ONE, process), process, start_pair(), 200, seed=0))
    expected = list(oracle.discrete_updates(kind, MU, LAM, 200, process.eps, rule))
    variance = 2500.0 if kind == "VE" else 1.0
    for quantity, a, b in zip(
        ("mean", "variance"),
        oracle.linear_recursion(got, 0.0, variance),
        oracle.linear_recursion(expected, 0.0, variance),
        strict=True,
    ):
        receipt(sampler, quantity, a, b, reference="recursion of mean and variance", tolerance=1e-8)
    assert np.allclose(got[:100], expected[:100], rtol=1e-6, atol=1e-9)
    if kind == "VP":
        known = {"reverse_diffusion": (1.503128, 0.254229), "ancestral": (1.507119, 0.251073)}[rule]
        assert tuple(round(v, 6) for v in oracle.linear_recursion(got, 0.0, 1.0)) == known


@pytest.mark.parametrize("kind", ["VP", "sub-VP", "VE"])
@pytest.mark.parametrize("order", ["corrector_first", "predictor_first"])
def test_predictor_and_corrector_are_their_recursions(kind, order, receipt):
    """With the noise known, each particle's path is a linear recursion that can be followed by hand."""
    process, n, snr, seed = PROCESSES[kind], 30, 0.2, 4
    predictor = "euler_maruyama" if kind == "sub-VP" else "ancestral"
    steps = list(
        predictor_corrector(
            ExactScore(ONE, process),
            process,
            start_pair(),
            n,
            seed=seed,
            predictor=predictor,
            corrector_steps=2,
            snr=snr,
            order=order,
        )
    )
    times = time_grid(process, n, spacing="song")
    if kind == "sub-VP":
        predict = list(oracle.em_updates(kind, MU, LAM, times, dt=-1 / n))
    else:
        predict = list(oracle.discrete_updates(kind, MU, LAM, n, process.eps, "ancestral"))
    x = start_pair()
    for i in range(n):
        correct = oracle.corrector_update(kind, MU, LAM, times[i], n - 1 - i, n, snr)
        moves = [(correct, (i, 1)), (correct, (i, 2))]
        moves = [*moves, (predict[i], (i, 0))] if order == "corrector_first" else [(predict[i], (i, 0)), *moves]
        for (a, c, q), stream in moves:
            x = a * x + c + math.sqrt(q) * particle_normals(seed, stream, x.shape)
        receipt(
            predictor_corrector,
            "state",
            steps[i + 1].x,
            x,
            reference="recursion by hand",
            tolerance=1e-6 * float(x.abs().max().clamp(min=1)),
        )
        assert steps[i + 1].evaluations == 3 * (i + 1)
        assert (steps[i + 1].mean is None) == (order == "predictor_first")


def test_norm_rules_of_the_corrector():
    """Per particle, |z|/|s| of its own; in the reference, of the batch's mean norms."""
    score, seed, n = ExactScore(PLANE, VE()), 2, 10
    start = prior_sampling(VE(), (6, 2), seed=1)
    z, s = particle_normals(seed, (0, 1), (6, 2)), score(start, 1.0)
    for rule in ("sample", "batch"):
        ratio = z.norm(dim=-1) / s.norm(dim=-1)
        if rule == "batch":
            ratio = (z.norm(dim=-1).mean() / s.norm(dim=-1).mean()).expand(6)
        size = (2 * (0.1 * ratio) ** 2)[:, None]
        steps = predictor_corrector(score, VE(), start, n, seed=seed, predictor="none", snr=0.1, norm_rule=rule)
        next(steps)
        assert torch.allclose(next(steps).x, start + size * s + (2 * size).sqrt() * z)


SAMPLERS = {
    "euler_maruyama": lambda x, seed: euler_maruyama(ExactScore(PLANE, VP()), VP(), x, time_grid(VP(), 12), seed=seed),
    "reverse_diffusion": lambda x, seed: reverse_diffusion(ExactScore(PLANE, VP()), VP(), x, 25, seed=seed),
    "ancestral": lambda x, seed: ancestral(ExactScore(PLANE, VE()), VE(), x, 12, seed=seed),
    "corrector": lambda x, seed: predictor_corrector(ExactScore(PLANE, VP()), VP(), x, 25, seed=seed),
    "corrector, sample": lambda x, seed: predictor_corrector(
        ExactScore(PLANE, VE()), VE(), x, 8, seed=seed, norm_rule="sample", snr=0.01
    ),
}


@quick
@given(n=st.integers(1, 20), seed=st.integers(0, 100), name=st.sampled_from(list(SAMPLERS)))
def test_a_path_never_depends_on_its_batch_mates(n, seed, name):
    start = prior_sampling(VP(), (n + 13, 2), seed=seed)
    many, few = (trajectory(SAMPLERS[name](x, seed)) for x in (start, start[:n]))
    assert torch.allclose(few, many[:, :n], rtol=1e-9, atol=1e-9)


def test_with_the_references_norms_it_does():
    start = prior_sampling(VE(), (20, 2), seed=0)
    runs = [
        final_state(predictor_corrector(ExactScore(PLANE, VE()), VE(), x, 8, seed=0, norm_rule="batch"))
        for x in (start, start[:5])
    ]
    assert not torch.allclose(runs[0][:5], runs[1], atol=1e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_states_are_counted_and_never_change(name):
    start = prior_sampling(VP(), (4, 2), seed=0)
    kept = start.clone()
    steps, copies = [], []
    for step in SAMPLERS[name](start, 0):
        steps.append(step)
        copies.append((step.x.clone(), None if step.mean is None else step.mean.clone()))
    assert [step.index for step in steps] == list(range(len(steps)))
    assert len(steps) == {"reverse_diffusion": 26, "corrector": 26, "corrector, sample": 9}.get(name, 13)
    assert all(a.t > b.t for a, b in pairwise(steps))
    assert torch.equal(start, kept)
    for step, (x, mean) in zip(steps, copies, strict=True):
        assert torch.equal(step.x, x)
        assert mean is None or torch.equal(step.mean, mean)
    assert steps[0].x.data_ptr() != start.data_ptr()
    assert steps[-1].evaluations == (len(steps) - 1) * (1 if "corrector" not in name else 2)


def test_images_of_any_rank_and_single_precision():
    blank = gaussian_mixture([1.0], [[0.0] * 48], 1.0)

    def score(x, t):
        flat = ExactScore(blank.to(dtype=torch.float32), VP())(x.reshape(len(x), 48), t)
        return flat.reshape(x.shape)

    start = prior_sampling(VP(), (2, 3, 4, 4), seed=0, dtype=torch.float32)
    for steps in (
        euler_maruyama(score, VP(), start, time_grid(VP(), 5), seed=0),
        predictor_corrector(score, VP(), start, 25, seed=0, norm_rule="sample"),
    ):
        last = final_state(steps)
        assert last.shape == start.shape
        assert last.dtype == torch.float32
    assert final_state(euler_maruyama(score, VP(), start[:0], time_grid(VP(), 5), seed=0)).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, x: euler_maruyama(s, VP(), x, [1.0, 0.5], seed=0, stochasticity=-1), ValueError, "stochasticity"),
        (lambda s, x: euler_maruyama(s, VP(), x, [1.0, 0.5], seed=0, step_rule="half"), ValueError, "step_rule"),
        (lambda s, x: euler_maruyama(s, VP(), x, [0.5, 1.0], seed=0), ValueError, "times"),
        (lambda s, x: reverse_diffusion(s, VP(), x, 1, seed=0), ValueError, "steps"),
        (lambda s, x: reverse_diffusion(s, EDM(), x, 5, seed=0), TypeError, "VP or VE"),
        (lambda s, x: reverse_diffusion(s, SubVP(), x, 5, seed=0), TypeError, "VP or VE"),
        (lambda s, x: ancestral(s, SubVP(), x, 5, seed=0), TypeError, "VP or VE"),
        (lambda s, x: reverse_diffusion(s, VP(), x, 10, seed=0), ValueError, "too few"),
        (lambda s, x: predictor_corrector(s, VP(), x, 10, seed=0), ValueError, "too few"),
        (lambda s, x: predictor_corrector(s, SubVP(), x, 30, seed=0), TypeError, "discrete"),
        (lambda s, x: predictor_corrector(s, VP(), x, 30, seed=0, predictor="heun"), ValueError, "predictor"),
        (lambda s, x: predictor_corrector(s, VP(), x, 30, seed=0, corrector_steps=-1), ValueError, "corrector_steps"),
        (lambda s, x: predictor_corrector(s, VP(), x, 30, seed=0, snr=math.inf), ValueError, "snr"),
        (lambda s, x: predictor_corrector(s, VP(), x, 30, seed=0, norm_rule="none"), ValueError, "norm_rule"),
        (lambda s, x: predictor_corrector(s, VP(), x, 30, seed=0, order="both"), ValueError, "order"),
    ],
)
def test_nonsense_is_refused_at_the_call(call, error, message):
    with pytest.raises(error, match=message):
        call(ExactScore(PLANE, VP()), torch.zeros(2, 2).double())


@pytest.mark.parametrize("process", [VP(), SubVP()], ids=lambda p: p.name)
def test_the_corrector_needs_more_steps_than_the_largest_beta(process):
    """Else 1 − β_i, and with it the corrector's step, is negative."""
    one, x = gaussian_mixture([1.0], [[0.0]], 1.0), torch.zeros(2, 1, dtype=torch.float64)
    score = ExactScore(one, process)
    options = {"seed": 0, "predictor": "euler_maruyama"}
    with pytest.raises(ValueError, match="20 steps are too few"):
        predictor_corrector(score, process, x, 20, **options)
    for steps, corrections in ((21, 1), (5, 0)):
        *_, last = predictor_corrector(score, process, x, steps, corrector_steps=corrections, **options)
        assert torch.isfinite(last.x).all()
