import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.generative.sde import (
    EDM,
    VE,
    VP,
    SubVP,
    drift,
    marginal_prob,
    prior_log_prob,
    prior_sampling,
    prior_std,
    time_grid,
    transition,
)
from tests.oracles import diffusion as oracle

ALL = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(exact0=True), "EDM": EDM()}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("t", [0.05, 0.5, 1.0])
def test_scales_are_the_solution_of_the_moments_equations(kind, t, receipt):
    """α' = aα and (σ²)' = 2aσ² + g², integrated by DOP853."""
    process = ALL[kind]
    alpha, sigma = oracle.moments(kind, t)
    reference = "DOP853 on the moments' equations"
    receipt(type(process).alpha, "alpha", process.alpha(t), alpha, reference=reference, tolerance=1e-9)
    receipt(type(process).sigma, "sigma", process.sigma(t), sigma, reference=reference, tolerance=1e-9 * max(1, sigma))


@pytest.mark.parametrize("kind", ALL)
def test_drift_and_diffusion_are_the_papers(kind, receipt):
    process, x = ALL[kind], oracle.points(2, 3)
    for t in (0.01, 0.4, 0.9):
        a, g2 = oracle.rates(kind, t)
        receipt(drift, "drift", drift(process, x, t), a * x, reference="arXiv:2011.13456, written out")
        scale = max(1.0, math.sqrt(g2))
        receipt(
            type(process).diffusion,
            "diffusion",
            process.diffusion(t),
            math.sqrt(g2),
            reference="arXiv:2011.13456, written out",
            tolerance=1e-12 * scale,
        )


def test_the_references_numbers():
    assert round(VP().alpha(0.5), 8) == 0.28118288
    assert round(VP().sigma(0.5), 8) == 0.95965420
    assert VE().sigma(0.0) == 0.01
    assert VE().sigma(1.0) == pytest.approx(50)
    assert VE(exact0=True).sigma(0.0) == 0
    assert VE().sigma(0.4) ** 2 - VE(exact0=True).sigma(0.4) ** 2 == pytest.approx(0.01**2)
    assert prior_std(VE()) == 50
    assert prior_std(EDM()) == 80
    assert prior_std(SubVP()) == 1
    assert (VP().eps, VE().eps, EDM().eps, EDM().T) == (1e-3, 1e-5, 0.002, 80)


@pytest.mark.parametrize("process", [*ALL.values(), VE()])
def test_numbers_and_tensors_of_time_agree(process):
    times = [0.01, 0.3, 0.99]
    for name in ("alpha", "sigma", "diffusion", "drift_rate"):
        many = getattr(process, name)(torch.tensor(times, dtype=torch.float64))
        assert many.tolist() == pytest.approx([getattr(process, name)(t) for t in times], rel=1e-14)
    levels = torch.tensor([0.02, 0.5, 7.0], dtype=torch.float64)
    assert process.time_of(levels).tolist() == pytest.approx([process.time_of(v) for v in levels.tolist()], rel=1e-13)


@pytest.mark.parametrize("process", [*ALL.values(), VE()])
def test_time_of_a_noise_level_is_its_inverse(process):
    for t in (0.001, 0.1, 0.5, 1.0):
        assert process.time_of(process.sigma(t) / process.alpha(t)) == pytest.approx(t, rel=1e-9)


@pytest.mark.parametrize("process", [*ALL.values(), VE()])
def test_two_transitions_are_one(process, receipt):
    (r1, s1), (r2, s2) = transition(process, 0.2, 0.5), transition(process, 0.5, 0.9)
    ratio, std = transition(process, 0.2, 0.9)
    receipt(transition, "ratio", ratio, r1 * r2, reference="Chapman–Kolmogorov")
    receipt(transition, "std", std, math.hypot(r2 * s1, s2), reference="Chapman–Kolmogorov", tolerance=1e-11)
    assert transition(process, 0.3, 0.3) == (1.0, 0.0)
    with pytest.raises(ValueError, match="forward step"):
        transition(process, 0.5, 0.2)


def test_marginals_of_any_rank():
    x = torch.ones(2, 3, 4, 5, dtype=torch.float64)
    mean, std = marginal_prob(VP(), x, torch.tensor([0.5, 1.0]).double())
    assert mean[:, 0, 0, 0].tolist() == pytest.approx([VP().alpha(0.5), VP().alpha(1.0)])
    assert std.shape == (2, 1, 1, 1)
    assert drift(VP(), x, torch.tensor([0.0, 1.0]).double())[:, 0, 0, 0].tolist() == pytest.approx([-0.05, -10.0])
    with pytest.raises(ValueError, match="one time per row"):
        drift(VP(), x, torch.zeros(3))


def test_prior_is_its_density(receipt):
    x = oracle.points(3, 4)
    expected = stats.multivariate_normal(np.zeros(3), 2500 * np.eye(3)).logpdf(x)
    receipt(prior_log_prob, "prior_log_prob", prior_log_prob(VE(), x), expected, reference="scipy")
    flat = stats.multivariate_normal(np.zeros(3), np.eye(3)).logpdf(x)
    receipt(prior_log_prob, "prior_log_prob", prior_log_prob(VP(), x[:, :, None]), flat, reference="scipy")
    draws = prior_sampling(EDM(), (30000, 2), seed=1)
    assert stats.kstest(draws[:, 1].numpy() / 80, "norm").pvalue > 0.01
    assert torch.equal(prior_sampling(EDM(), (5, 2), seed=1), draws[:5])


def test_time_grids(receipt):
    edm = time_grid(EDM(), 18, spacing="karras", to_zero=True)
    i = np.arange(18)
    expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    receipt(time_grid, "karras", edm[:-1], expected, reference="arXiv:2206.00364 eq. 5")
    assert edm[-1] == 0
    assert len(edm) == 19
    assert time_grid(VP(), 4) == pytest.approx(np.linspace(1, 1e-3, 5))
    song = time_grid(VP(), 200, spacing="song")
    assert song[:-1] == pytest.approx(np.linspace(1, 1e-3, 200))
    assert (len(song), song[-1]) == (201, 0)
    for process in ALL.values():
        snr = [math.log(process.sigma(t) / process.alpha(t)) for t in time_grid(process, 6, spacing="log_snr")]
        if process.name != "VE":  # the exact VE has almost no noise at its ε
            assert np.diff(snr) == pytest.approx(np.full(6, np.diff(snr)[0]), rel=1e-6)
    levels = [VP().sigma(t) / VP().alpha(t) for t in time_grid(VP(), 5, spacing="karras", rho=2)]
    assert np.diff(np.sqrt(levels)) == pytest.approx(np.full(5, np.diff(np.sqrt(levels))[0]), rel=1e-9)
    assert time_grid(VP(), 1) == [1.0, 1e-3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VP(beta_min=0), "beta_min"),
        (lambda: SubVP(beta_max=0.01), "beta_min"),
        (lambda: VP(eps=0), "eps"),
        (lambda: VE(sigma_min=60), "sigma_min"),
        (lambda: EDM(sigma_min=0), "sigma_min"),
        (lambda: time_grid(VP(), 0), "steps"),
        (lambda: time_grid(VP(), 1, to_zero=True), "steps"),
        (lambda: time_grid(VP(), 3, spacing="even"), "spacing"),
        (lambda: time_grid(VP(), 3, rho=0), "rho"),
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
