import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from core.generative.likelihood import (
    autograd_divergence,
    hutchinson_divergence,
    likelihood_budget,
    log_likelihood,
    probe_std,
)
from core.generative.mixtures import gaussian_mixture
from core.generative.scores import ExactScore
from core.generative.sde import EDM, VE, VP, SubVP
from tests.oracles import diffusion as oracle

MIXTURE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}


def dop853_likelihood(kind, x, eps, t_end, prior):
    """log π(x_T) + ∫∇·velocity dt of one point, divergence by central differences."""
    _, slope = oracle.flow(kind, *oracle.PLANE, x, eps, eps * 1.01)
    found = integrate.solve_ivp(slope, (eps, t_end), [*x, 0.0], method="DOP853", rtol=1e-10, atol=1e-10)
    return stats.multivariate_normal(np.zeros(2), prior**2 * np.eye(2)).logpdf(found.y[:2, -1]) + found.y[2, -1]


@pytest.mark.parametrize(("kind", "prior"), [("VP", 1.0), ("sub-VP", 1.0), ("VE", 50.0)])
def test_log_likelihood_is_dop853(kind, prior, receipt):
    process, x = PROCESSES[kind], torch.tensor([[-1.4, 1.0], [0.5, -0.3]], dtype=torch.float64)
    score = ExactScore(MIXTURE, process)
    got = log_likelihood(score, process, x, divergence=score.divergence, rtol=1e-9, atol=1e-9)
    expected = [dop853_likelihood(kind, point, process.eps, 1.0, prior) for point in x.numpy()]
    receipt(
        log_likelihood, "log_prob", got.log_prob, expected, reference="DOP853 with central differences", tolerance=2e-4
    )
    assert torch.allclose(got.log_prob, got.prior_log_prob + got.divergence_integral)
    assert torch.allclose(got.bits_per_dim, -got.log_prob / (2 * math.log(2)))


@pytest.mark.parametrize("kind", PROCESSES)
def test_with_the_true_end_the_flow_gives_the_density(kind, receipt):
    process, x = PROCESSES[kind], oracle.points(2, 4, spread=1.5)
    score = ExactScore(MIXTURE, process)
    found = log_likelihood(score, process, x, divergence=score.divergence, rtol=1e-10, atol=1e-10)
    end = oracle.log_prob(*oracle.PLANE, found.latent.numpy(), *oracle.SCALES[kind](process.T))
    expected = oracle.log_prob(*oracle.PLANE, x.numpy(), *oracle.SCALES[kind](process.eps))
    reference = "closed-form density at ε"
    receipt(
        log_likelihood,
        "density",
        found.divergence_integral + torch.from_numpy(end),
        expected,
        reference=reference,
        tolerance=1e-6,
    )


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["VP", "VE"])
def test_the_budget_adds_up_and_each_part_is_what_it_says(kind, exact, receipt):
    process, x = PROCESSES[kind], oracle.points(2, 3, spread=1.0)
    budget = likelihood_budget(MIXTURE, process, x, exact_divergence=exact, seed=3)
    total = sum(part for part in budget.parts.values())
    receipt(likelihood_budget, "error", budget.error, total, reference="the sum of the parts")
    truth = oracle.log_prob(*oracle.PLANE, x.numpy())
    receipt(likelihood_budget, "truth", budget.truth, truth, reference="scipy", tolerance=1e-10)
    truncation = oracle.log_prob(*oracle.PLANE, x.numpy(), *oracle.SCALES[kind](process.eps)) - truth
    receipt(likelihood_budget, "truncation", budget.truncation, truncation, reference="scipy", tolerance=1e-9)
    score = ExactScore(MIXTURE, process)
    tight = log_likelihood(score, process, x, divergence=score.divergence, rtol=1e-10, atol=1e-10)
    prior_std = {"VP": 1.0, "VE": 50.0}[kind]
    prior = stats.multivariate_normal(np.zeros(2), prior_std**2 * np.eye(2)).logpdf(tight.latent)
    mismatch = prior - oracle.log_prob(*oracle.PLANE, tight.latent.numpy(), *oracle.SCALES[kind](process.T))
    receipt(likelihood_budget, "prior", budget.prior, mismatch, reference="scipy", tolerance=1e-9)
    assert budget.rest.abs().max() < 1e-6
    assert (budget.probes == 0).all() == exact
    assert 0 < budget.solver.abs().max() < 0.02
    alone = log_likelihood(score, process, x, divergence=score.divergence if exact else None, seed=3).log_prob
    receipt(likelihood_budget, "reported", budget.reported, alone, reference="without the budget", tolerance=1e-12)
    with_exact = log_likelihood(score, process, x, divergence=score.divergence).log_prob
    receipt(likelihood_budget, "probes", budget.probes, alone - with_exact, reference="by hand", tolerance=1e-12)
    receipt(
        likelihood_budget, "solver", budget.solver, with_exact - tight.log_prob, reference="by hand", tolerance=1e-12
    )
    ends = torch.from_numpy(oracle.log_prob(*oracle.PLANE, tight.latent.numpy(), *oracle.SCALES[kind](process.T)))
    starts = torch.from_numpy(oracle.log_prob(*oracle.PLANE, x.numpy(), *oracle.SCALES[kind](process.eps)))
    rest = tight.divergence_integral + ends - starts
    receipt(likelihood_budget, "rest", budget.rest, rest, reference="scipy", tolerance=1e-9)


def test_tolerance_moves_only_the_solvers_part():
    x = oracle.points(2, 4, spread=1.0)
    loose, tight = (likelihood_budget(MIXTURE, VP(), x, rtol=r, atol=r) for r in (1e-3, 1e-8))
    assert tight.solver.abs().max() < 1e-5 < loose.solver.abs().max()
    assert torch.equal(loose.prior, tight.prior)
    assert torch.equal(loose.truncation, tight.truncation)
    assert (tight.evaluations > loose.evaluations).all()


@pytest.mark.parametrize("probe", ["rademacher", "gaussian"])
def test_hutchinson_is_unbiased_with_the_known_spread(probe, receipt):
    x, t = oracle.points(2, 4, spread=1.0), 0.2
    scales = oracle.SCALES["VP"](t)
    jacobian = oracle.autograd_hessian(*oracle.tensors(oracle.PLANE), x, *scales)
    trace = jacobian.diagonal(dim1=-2, dim2=-1).sum(-1)
    found = hutchinson_divergence(ExactScore(MIXTURE, VP()), x, t, probes=1500, probe=probe, seed=0)
    std = probe_std(MIXTURE, VP(), x, t, probe=probe)
    squares = jacobian.square()
    off = squares.sum((-1, -2)) - (squares.diagonal(dim1=-2, dim2=-1).sum(-1) if probe == "rademacher" else 0)
    receipt(probe_std, "probe_std", std, (2 * off).sqrt(), reference="variance of a quadratic form", tolerance=1e-9)
    assert ((found.mean - trace).abs() < 5 * std / math.sqrt(1500) + 1e-12).all()
    assert torch.allclose(found.values.std(0), std, rtol=0.12, atol=1e-9)
    values = found.values.numpy()
    receipt(hutchinson_divergence, "mean", found.mean, values.mean(0), reference="numpy")
    receipt(hutchinson_divergence, "standard_error", found.standard_error, stats.sem(values), reference="scipy")


def test_rademacher_in_two_dimensions_takes_two_values(receipt):
    """v = ±(1, 1) or ±(1, −1): the trace plus or minus twice the off-diagonal entry."""
    x = oracle.points(2, 3, spread=1.0)
    jacobian = oracle.autograd_hessian(*oracle.tensors(oracle.PLANE), x, 1.0, 0.5)
    values = hutchinson_divergence(ExactScore(MIXTURE, EDM()), x, 0.5, probes=40, seed=1).values
    for i in range(3):
        trace, off = float(jacobian[i].trace()), float(jacobian[i, 0, 1])
        low, high = sorted((trace - 2 * off, trace + 2 * off))
        receipt(
            hutchinson_divergence,
            "values",
            [values[:, i].min(), values[:, i].max()],
            [low, high],
            reference="all sign vectors",
            tolerance=1e-8,
        )


def test_autograd_divergence_is_exact(receipt):
    x = oracle.points(2, 5)
    score = ExactScore(MIXTURE, VP())
    for t in (0.1, 0.9):
        expected = oracle.autograd_hessian(*oracle.tensors(oracle.PLANE), x, *oracle.SCALES["VP"](t))
        got = autograd_divergence(score)(x, t)
        receipt(
            autograd_divergence,
            "divergence",
            got,
            expected.diagonal(dim1=-2, dim2=-1).sum(-1),
            reference="Hessian's trace",
            tolerance=1e-8,
        )
    assert not autograd_divergence(score)(x, 0.1).requires_grad


def test_probes_belong_to_particles():
    x = oracle.points(2, 6, spread=1.0)
    score = ExactScore(MIXTURE, VP())
    many, few = log_likelihood(score, VP(), x, seed=2), log_likelihood(score, VP(), x[:2], seed=2)
    assert torch.allclose(many.log_prob[:2], few.log_prob, atol=1e-9)
    assert not torch.allclose(many.log_prob, log_likelihood(score, VP(), x, seed=3).log_prob)
    assert math.isnan(float(hutchinson_divergence(score, x, 0.5, seed=0).standard_error[0]))
    for call in (
        lambda: hutchinson_divergence(score, x, 0.5, probes=0, seed=0),
        lambda: hutchinson_divergence(score, x, 0.5, probe="uniform", seed=0),
        lambda: probe_std(MIXTURE, VP(), x, 0.5, probe="uniform"),
    ):
        with pytest.raises(ValueError, match="probe"):
            call()
