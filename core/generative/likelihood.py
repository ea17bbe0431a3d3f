"""Likelihood by the probability flow: instantaneous change of variables, its divergence, and where its error comes from.

Source: Chen et al., arXiv:1806.07366, eq. 8; Song et al., arXiv:2011.13456, §4.3, appendix D.2; Skilling 1989 and
Hutchinson 1990 for the estimate of a trace; Grathwohl et al., arXiv:1810.01367.
Notation: v probe, J = ∂s/∂x Jacobian of the score, π prior, p_t density of x_t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals, particle_signs
from core.generative.probability_flow import Divergence, integrate_flow, probed_divergence
from core.generative.scores import ExactScore, Score
from core.generative.sde import Process, prior_log_prob

Probe = Literal["rademacher", "gaussian"]


@dataclass(frozen=True, slots=True)
class DivergenceEstimate:
    """Skilling–Hutchinson's estimate of ∇·s at each point."""

    values: Tensor  # (P, N) vᵀJv, one per probe
    mean: Tensor  # (N,) their average
    standard_error: Tensor  # (N,) of the average; NaN with one probe


def hutchinson_divergence(
    score: Score, x: Tensor, t: float | Tensor, *, probes: int = 1, probe: Probe = "rademacher", seed: int
) -> DivergenceEstimate:
    """Estimate ∇·s as the average of vᵀJv over random probes: one pass backwards each, whatever the dimension.

    Convention: Rademacher probes (±1) see the diagonal of J exactly and err by 2Σ_{i≠j}J_ij² in variance; Gaussian ones err
    by 2Σ_ij J_ij². score_sde draws Rademacher or Gaussian by an option, FFJORD Gaussian by default.

    Args:
        score: a differentiable score.
        x: (N, …).
        t: time.
        probes: ≥ 1.
        probe: "rademacher" or "gaussian".
        seed: of the probes; those of row i depend on seed and i only.

    Raises:
        ValueError: if there is no probe, or its kind is unknown.

    Source: Skilling 1989; Hutchinson 1990; arXiv:2011.13456 eq. 40.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> one = gaussian_mixture([1.0], [[0.0, 0.0]], torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]))
    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> estimate = hutchinson_divergence(ExactScore(one, EDM()), x, 1e-9, probes=400, seed=0)
    >>> print(round(float(one.laplacian(x)), 4), round(float(estimate.mean), 4), round(float(estimate.standard_error), 4))
    -1.3333 -1.3767 0.0333
    """
    if probes < 1:
        raise ValueError(f"probes must be at least 1, got {probes}")
    values = torch.stack([probed_divergence(score, x, t, _probes(x, seed, i, probe))[1] for i in range(probes)])
    error = values.std(0) / math.sqrt(probes) if probes > 1 else torch.full_like(values[0], math.nan)
    return DivergenceEstimate(values, values.mean(0), error)


def _probes(x: Tensor, seed: int, stream: int, probe: Probe) -> Tensor:
    if probe not in ("rademacher", "gaussian"):
        raise ValueError(f"probe must be rademacher or gaussian, got {probe!r}")
    draw = particle_signs if probe == "rademacher" else particle_normals
    return draw(seed, (stream, 5), x.shape, dtype=x.dtype, device=x.device)


def probe_std(mixture: GaussianMixture, process: Process, x: Tensor, t: float, *, probe: Probe) -> Tensor:
    """Standard deviation of vᵀJv for one probe, known from the mixture's Hessian: (N,).

    Args:
        mixture, process: the data and the process.
        x: (N, d).
        t: time.
        probe: "rademacher": √(2Σ_{i≠j}J_ij²); "gaussian": √(2Σ_ij J_ij²).

    Raises:
        ValueError: if the kind is unknown.

    Source: Hutchinson 1990; the variance of a quadratic form of a symmetric matrix.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> one = gaussian_mixture([1.0], [[0.0, 0.0]], 0.5)
    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> [round(float(probe_std(one, EDM(), x, 0.0, probe=kind)), 6) for kind in ("rademacher", "gaussian")]
    [0.0, 4.0]
    """
    if probe not in ("rademacher", "gaussian"):
        raise ValueError(f"probe must be rademacher or gaussian, got {probe!r}")
    jacobian = mixture.hessian(x, alpha=process.alpha(t), sigma=process.sigma(t))
    squares = jacobian.square().sum((-1, -2))
    if probe == "rademacher":
        squares = squares - jacobian.diagonal(dim1=-2, dim2=-1).square().sum(-1)
    return (2 * squares.clamp(min=0)).sqrt()


def autograd_divergence(score: Score) -> Divergence:
    """∇·s of any differentiable score, exactly: one pass backwards per coordinate.

    Args:
        score: a differentiable score.

    Source: definition of the trace.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0, 0.0]], 1.0), EDM())
    >>> autograd_divergence(score)(torch.zeros(1, 2, dtype=torch.float64), 1.0).tolist()
    [-1.0]
    """

    def divergence(x: Tensor, t: float | Tensor) -> Tensor:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            slope = score(at, t).reshape(len(x), -1)
            total = x.new_zeros(len(x))
            for j in range(slope.shape[1]):
                (gradient,) = torch.autograd.grad(slope[:, j].sum(), at, retain_graph=True)
                total = total + gradient.reshape(len(x), -1)[:, j]
        return total.detach()

    return divergence


@dataclass(frozen=True, slots=True)
class Likelihood:
    """log p_0 of each point as the flow reports it: log π(x_T) + ∫∇·velocity dt."""

    log_prob: Tensor  # (N,) nats, the sum of the next two
    prior_log_prob: Tensor  # (N,) log π(x_T), nats
    divergence_integral: Tensor  # (N,) ∫ from ε to T of ∇·velocity dt, nats
    latent: Tensor  # (N, …) x_T, the encoding
    evaluations: Tensor  # (N,) calls of the score

    @property
    def bits_per_dim(self) -> Tensor:
        """(N,) −log₂ p / d"""
        return -self.log_prob / (math.log(2) * self.latent[0].numel())


def log_likelihood(
    score: Score,
    process: Process,
    x: Tensor,
    *,
    divergence: Divergence | None = None,
    probe: Probe = "rademacher",
    seed: int = 0,
    eps: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Likelihood:
    """Encode points to noise along the flow and count how volumes change on the way.

    Convention: starts at ε, as if x were x_ε (the reference uses ε = 1e-5 for likelihoods); the end is judged by the prior
    although it follows p_T; one probe per particle, fixed over the whole path, where no divergence is given.

    Args:
        score: ∇ log p_t, differentiable unless a divergence is given.
        process: any.
        x: (N, …) data.
        divergence: exact ∇·s; without it Skilling–Hutchinson's estimate is used.
        probe, seed: of the estimate.
        eps: where the path starts; the process' own if not given.
        rtol, atol: of the integration.

    Raises:
        ValueError: as `integrate_flow`.

    Source: arXiv:2011.13456 eq. 39; score_sde_pytorch likelihood.py.
    Differs: errors are controlled per particle; data are continuous (no offset for 8-bit pixels).

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> one = gaussian_mixture([1.0], [[0.0]], 1.0)
    >>> score = ExactScore(one, VP())
    >>> found = log_likelihood(score, VP(), torch.zeros(1, 1, dtype=torch.float64), divergence=score.divergence)
    >>> round(float(found.log_prob), 6)
    -0.918939
    """
    end = integrate_flow(
        score,
        process,
        x,
        t_from=process.eps if eps is None else eps,
        t_to=process.T,
        rtol=rtol,
        atol=atol,
        divergence=divergence,
        probes=_probes(x, seed, 0, probe) if divergence is None else None,
    )
    prior = prior_log_prob(process, end.x)
    return Likelihood(prior + end.divergence_integral, prior, end.divergence_integral, end.x, end.evaluations)


@dataclass(frozen=True, slots=True)
class LikelihoodBudget:
    """Why the flow's log-likelihood is not the truth: parts that add up to the whole error, nats per point."""

    reported: Tensor  # (N,) what the flow reports
    truth: Tensor  # (N,) log p_0(x), closed form
    probes: Tensor  # (N,) of the divergence's estimate; 0 if it is exact
    solver: Tensor  # (N,) of the integration at rtol and atol instead of 1e-10
    prior: Tensor  # (N,) of judging x_T by the prior instead of by p_T
    truncation: Tensor  # (N,) log p_ε(x) − log p_0(x): the path starts at ε
    rest: Tensor  # (N,) what is left of the integration at 1e-10
    latent: Tensor  # (N, d) x_T
    evaluations: Tensor  # (N,) calls of the score for the reported value

    @property
    def error(self) -> Tensor:
        """(N,) reported − truth"""
        return self.reported - self.truth

    @property
    def parts(self) -> dict[str, Tensor]:
        """Name -> (N,), in the order of the stacked bar; they sum to `error`."""
        names = ("probes", "solver", "prior", "truncation", "rest")
        return dict(zip(names, (self.probes, self.solver, self.prior, self.truncation, self.rest), strict=True))


def likelihood_budget(
    mixture: GaussianMixture,
    process: Process,
    x: Tensor,
    *,
    exact_divergence: bool = True,
    probe: Probe = "rademacher",
    seed: int = 0,
    eps: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> LikelihoodBudget:
    """Take a flow's log-likelihood apart, replacing one approximation after another by the exact thing.

    Convention: in the order estimate of the divergence, solver, prior, truncation; the differences telescope, so the parts
    add up to the error exactly.

    Args:
        mixture: the data, whose density is known.
        process: any.
        x: (N, d).
        exact_divergence: report with the exact ∇·s, or with Skilling–Hutchinson's estimate.
        probe, seed, eps, rtol, atol: as `log_likelihood`.

    Raises:
        ValueError: as `integrate_flow`.

    Source: own; arXiv:2011.13456 appendix D.2 names the approximations.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], 0.25)
    >>> budget = likelihood_budget(two, VP(), torch.tensor([[2.5, 0.5]], dtype=torch.float64))
    >>> print(round(float(budget.reported), 4), round(float(budget.truth), 4), f"{float(budget.prior):.1e}")
    -2.145 -2.1447 -6.9e-05
    """
    score = ExactScore(mixture, process)
    start = process.eps if eps is None else eps

    def flow(divergence: Divergence | None, rtol: float, atol: float) -> Likelihood:
        return log_likelihood(
            score, process, x, divergence=divergence, probe=probe, seed=seed, eps=start, rtol=rtol, atol=atol
        )

    exact = flow(score.divergence, rtol, atol)
    reported = exact if exact_divergence else flow(None, rtol, atol)
    tight = flow(score.divergence, 1e-10, 1e-10)
    end = mixture.log_prob(tight.latent, alpha=process.alpha(process.T), sigma=process.sigma(process.T))
    with_true_end = tight.divergence_integral + end
    at_eps = mixture.log_prob(x, alpha=process.alpha(start), sigma=process.sigma(start))
    truth = mixture.log_prob(x)
    return LikelihoodBudget(
        reported.log_prob,
        truth,
        reported.log_prob - exact.log_prob,
        exact.log_prob - tight.log_prob,
        tight.log_prob - with_true_end,
        at_eps - truth,
        with_true_end - at_eps,
        reported.latent,
        reported.evaluations,
    )
