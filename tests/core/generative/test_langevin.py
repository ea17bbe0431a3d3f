import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.generative.langevin import (
    annealed_langevin,
    geometric_levels,
    langevin,
    level_advice,
    mode_shares,
    share_error,
    smoothed_score,
    step_factors,
)
from core.generative.mixtures import gaussian_mixture
from core.generative.noise import particle_normals
from tests.oracles import diffusion as oracle

MU, LAM = 1.5, 0.25
ONE = gaussian_mixture([1.0], [[MU]], LAM)
TOY = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)
quick = settings(deadline=None, max_examples=10)


def factors_of(steps):
    """(A, c, q) of every step, read off two particles with the same noise taken away."""
    steps = list(steps)
    found = []
    for i, (before, after) in enumerate(pairwise(steps)):
        mean = (after.x - after.noise * particle_normals(0, (i, 7), after.x.shape))[:, 0].tolist()
        a, b = before.x[:, 0].tolist()
        slope = (mean[1] - mean[0]) / (b - a)
        found.append((slope, mean[0] - slope * a, after.noise**2))
    return found


@pytest.mark.parametrize("convention", ["paper", "repository"])
def test_plain_dynamics_is_its_recursion(convention, receipt):
    start = torch.tensor([[-2.0], [3.0]]).double()
    steps = langevin(ONE.score, start, step_size=0.05, steps=60, seed=0, convention=convention)
    got = oracle.linear_recursion(factors_of(steps), 0.0, 9.0)
    expected = oracle.langevin_moments(-1 / LAM, MU / LAM, 0.0, 9.0, 0.05, 60, repository=convention == "repository")
    for quantity, a, b in zip(("mean", "variance"), got, expected, strict=True):
        receipt(langevin, quantity, a, b, reference="recursion of mean and variance", tolerance=1e-9)


@pytest.mark.parametrize("convention", ["paper", "repository"])
def test_annealed_dynamics_is_its_recursion(convention, receipt):
    sigmas = [4.0, 2.0, 0.5]
    start = torch.tensor([[-2.0], [3.0]]).double()
    steps = list(
        annealed_langevin(
            smoothed_score(ONE), start, sigmas, step_size=0.01, steps_each=15, seed=0, convention=convention
        )
    )
    got = oracle.linear_recursion(factors_of(steps), 0.0, 9.0)
    mean, variance = 0.0, 9.0
    for sigma in sigmas:
        v, step = LAM + sigma**2, 0.01 * sigma**2 / 0.5**2
        mean, variance = oracle.langevin_moments(
            -1 / v, MU / v, mean, variance, step, 15, repository=convention == "repository"
        )
    for quantity, a, b in zip(("mean", "variance"), got, (mean, variance), strict=True):
        receipt(annealed_langevin, quantity, a, b, reference="recursion of mean and variance", tolerance=1e-9)
    assert [s.level for s in steps] == [0] * 16 + [1] * 15 + [2] * 15
    assert [s.sigma for s in steps[::15]] == [4.0, 4.0, 2.0, 0.5]
    assert [s.index for s in steps] == list(range(46))


def test_the_same_number_means_twice_the_step(receipt):
    paper, repository = step_factors(0.04, "paper"), step_factors(0.02, "repository")
    receipt(step_factors, "drift", paper[0], 0.02, reference="arXiv:1907.05600 algorithm 1")
    receipt(step_factors, "noise", paper[1], 0.2, reference="arXiv:1907.05600 algorithm 1")
    assert paper == pytest.approx(repository)
    start = torch.zeros(5, 2).double()
    runs = [
        list(langevin(TOY.score, start, step_size=size, steps=5, seed=1, convention=convention))[-1].x
        for size, convention in ((0.04, "paper"), (0.02, "repository"), (0.04, "repository"))
    ]
    assert torch.allclose(runs[0], runs[1])
    assert not torch.allclose(runs[0], runs[2])


def toy_shares(annealed, *, particles=1000, seed=0):
    start = 16 * torch.from_numpy(np.random.default_rng(seed).random((particles, 2))) - 8
    if annealed:
        sigmas = geometric_levels(20.0, 1.0, 10)
        walk = annealed_langevin(smoothed_score(TOY, toy=True), start, sigmas, step_size=0.1, steps_each=100, seed=seed)
    else:
        walk = langevin(TOY.score, start, step_size=0.1, steps=300, seed=seed)
    *_, last = walk
    return mode_shares(TOY, last.x), start


def test_plain_dynamics_forgets_the_weights_and_annealing_nearly_repairs_them():
    plain, start = toy_shares(annealed=False)
    basin = float((start.sum(-1) > 0).double().mean())
    assert float(plain[0]) == pytest.approx(basin, abs=0.04)
    annealed, _ = toy_shares(annealed=True)
    assert 0.74 < float(annealed[0]) < 0.82


def test_smoothed_scores(receipt):
    x = oracle.points(2, 5)
    example = ([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], [np.eye(2)] * 2)
    expected = oracle.autograd_score(*oracle.tensors(example), x, 1.0, 2.0)
    receipt(smoothed_score, "score", smoothed_score(TOY)(x, 2.0), expected, reference="automatic differentiation")
    points = ([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], [np.zeros((2, 2))] * 2)
    toy = oracle.autograd_score(*oracle.tensors(points), x, 1.0, 2.0)
    receipt(smoothed_score, "score", smoothed_score(TOY, toy=True)(x, 2.0), toy, reference="automatic differentiation")


def test_few_points_and_many_have_one_score():
    tilted = gaussian_mixture([0.8, 0.2], [[1.0, 0.0], [-1.0, 0.0]], torch.tensor([[[1.0, 0.5], [0.5, 1.0]]] * 2))
    unequal = gaussian_mixture([0.5, 0.3, 0.2], [[2.0, 1.0], [-5.0, -5.0], [0.0, 3.0]], [0.2, 1.0, 3.0])
    x = oracle.points(2, 3000, seed=4)
    for mixture in (TOY, tilted, unequal):
        score = smoothed_score(mixture)
        for sigma in (0.0, 0.7, 20.0, 0.7):
            assert torch.allclose(score(x[:40], sigma), score(x, sigma)[:40], rtol=1e-12, atol=1e-12)
            assert torch.allclose(score(x, sigma), mixture.score(x, sigma=sigma), rtol=1e-12, atol=1e-12)
    far = smoothed_score(TOY)(torch.tensor([[1e6, 1e6]]).double(), 1.0)
    assert far.tolist() == TOY.score(torch.tensor([[1e6, 1e6]]).double(), sigma=1.0).tolist()
    for shape in ((3,), (2, 3)):
        with pytest.raises(ValueError, match="last axis"):
            score(torch.zeros(shape).double(), 1.0)


def test_the_noise_of_few_particles_is_that_of_many():
    few, many = (
        [s.x for s in langevin(lambda x: 0 * x, torch.zeros(n, 2).double(), step_size=1.0, steps=3, seed=9)]
        for n in (5, 3000)
    )
    for i, (a, b) in enumerate(zip(few, many, strict=True)):
        assert torch.equal(a, b[:5])
        assert i == 0 or torch.allclose(b - many[i - 1], particle_normals(9, (i - 1, 7), (3000, 2)), atol=1e-12)


def test_the_final_step_is_tweedies():
    start = torch.zeros(3, 2).double()
    steps = list(
        annealed_langevin(
            smoothed_score(TOY), start, [2.0, 1.0], step_size=0.1, steps_each=2, seed=0, final_denoise=True
        )
    )
    assert len(steps) == 6
    assert torch.allclose(steps[-1].x, TOY.denoise(steps[-2].x, sigma=1.0))
    assert (steps[-1].noise, steps[-1].drift, steps[-1].level) == (0, 1, 1)


@quick
@given(n=st.integers(1, 9), seed=st.integers(0, 50))
def test_a_path_never_depends_on_its_batch_mates_and_never_changes(n, seed):
    start = oracle.points(2, n + 11, seed=seed)
    kept = start.clone()
    for run in (
        lambda x: langevin(TOY.score, x, step_size=0.1, steps=6, seed=seed),
        lambda x: annealed_langevin(smoothed_score(TOY), x, [3.0, 1.0], step_size=0.1, steps_each=3, seed=seed),
    ):
        steps, copies = [], []
        for step in run(start):
            steps.append(step)
            copies.append(step.x.clone())
        assert len(steps) == 7
        assert all(torch.equal(s.x, c) for s, c in zip(steps, copies, strict=True))
        few = [s.x for s in run(start[:n])]
        assert all(torch.allclose(a, b[:n], atol=1e-10) for a, b in zip(few, copies, strict=True))
    assert torch.equal(start, kept)
    assert steps[0].x.data_ptr() != start.data_ptr()


def test_shares_and_their_error(receipt):
    x = torch.tensor([[4.0, 4.0], [5.0, 7.0], [-3.0, -4.0]]).double()
    receipt(mode_shares, "share", mode_shares(TOY, x), [2 / 3, 1 / 3], reference="counting by the nearer mode")
    receipt(share_error, "share_error", share_error(0.8, 1280), stats.binom(1280, 0.8).std() / 1280, reference="scipy")
    receipt(geometric_levels, "level", geometric_levels(20, 1, 10), np.geomspace(20, 1, 10), reference="numpy")


def test_advice_is_ncsnv2s(receipt):
    """CIFAR-10's configuration: γ = 1.03756; T2 = 0.567, T4 = 1.0555; overlap 0.5 would need 219 levels."""
    sigmas = geometric_levels(50, 0.01, 232)
    points = oracle.points(3, 7)
    found = level_advice(points, sigmas, step_size=6.2e-6, steps_each=5, dimensions=3072)
    gamma = (50 / 0.01) ** (1 / 231)
    receipt(level_advice, "ratio", found.ratio, gamma, reference="definition")
    middle = math.sqrt(2 * 3072) * (gamma - 1)
    overlap = stats.norm.cdf(middle + 3 * gamma) - stats.norm.cdf(middle - 3 * gamma)
    receipt(level_advice, "overlap", found.overlap, overlap, reference="scipy")
    far = max(math.dist(a, b) for a in points.tolist() for b in points.tolist())
    receipt(level_advice, "largest_distance", found.largest_distance, far, reference="all pairs")
    variance = (gamma * 0.01) ** 2
    for _ in range(5):
        variance = (1 - 6.2e-6 / 0.01**2) ** 2 * variance + 2 * 6.2e-6
    receipt(
        level_advice,
        "variance_ratio",
        found.variance_ratio,
        variance / 0.01**2,
        reference="variance recursion",
        tolerance=1e-12,
    )
    assert found.overlap_levels == 219
    low = level_advice(points, [4.0, 2.0, 1.0], step_size=0.1, steps_each=3)
    assert low.ratio == 2
    assert low.overlap > 0.5
    assert low.overlap_levels >= 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: langevin(TOY.score, x, step_size=-1, steps=3, seed=0), "step_size"),
        (lambda x: langevin(TOY.score, x, step_size=1, steps=-3, seed=0), "steps"),
        (lambda x: langevin(TOY.score, x, step_size=1, steps=3, seed=0, convention="book"), "convention"),
        (lambda x: langevin(TOY.score, x * math.nan, step_size=1, steps=3, seed=0), "finite"),
        (lambda x: annealed_langevin(smoothed_score(TOY), x, [1.0, 2.0], step_size=1, steps_each=3, seed=0), "falling"),
        (lambda x: annealed_langevin(smoothed_score(TOY), x, [], step_size=1, steps_each=3, seed=0), "falling"),
        (lambda x: annealed_langevin(smoothed_score(TOY), x, [1.0, 0.0], step_size=1, steps_each=3, seed=0), "above 0"),
        (lambda x: annealed_langevin(smoothed_score(TOY), x, [1.0], step_size=1, steps_each=0, seed=0), "steps_each"),
        (lambda x: mode_shares(TOY, x[:0]), "at least one"),
        (lambda x: share_error(1.2, 5), "share"),
        (lambda x: share_error(0.2, 0), "particles"),
        (lambda x: geometric_levels(1, 2, 5), "sigma_min"),
        (lambda x: geometric_levels(2, 1, 1), "levels"),
        (lambda x: level_advice(x[:1], [2.0, 1.0], step_size=1, steps_each=1), "two points"),
    ],
)
def test_nonsense_is_refused_at_the_call(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(3, 2).double())
