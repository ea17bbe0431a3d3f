"""Four objectives of several score models on the same samples: they differ by constants that know nothing of the model.

All speak of the noisy density q_σ, so that explicit, implicit, sliced and denoising objectives can be compared with each other:
ESM = ½E_q|s − ∇log q_σ|², ISM = E_q[∇·s + ½|s|²], SSM the same through slices, DSM = ½E|s(x̃) + (x̃ − x)/σ²|².
Source: Hyvärinen 2005; Vincent 2011; Song et al., arXiv:1905.07088.
Notation: x̃ = x + σz, J = E_q|∇log q_σ|², d dimension.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals
from core.generative.score_matching import (
    Model,
    Objective,
    denoising_score_matching,
    explicit_score_matching,
    fisher_information,
    implicit_score_matching,
    sliced_score_matching,
)

Directions = Literal["gaussian", "rademacher", "sphere"]


@dataclass(frozen=True, slots=True)
class ObjectiveRow:
    """One model's objectives, and their differences sample by sample."""

    explicit: Objective  # ½|s − ∇log q_σ|² at each x̃
    implicit: Objective
    sliced: Objective
    denoising: Objective
    denoising_gap: Objective  # denoising − explicit of the same sample
    implicit_gap: Objective  # implicit − explicit
    sliced_gap: Objective  # sliced − explicit


@dataclass(frozen=True, slots=True)
class ObjectiveConstants:
    """What the differences are, exactly."""

    denoising_gap: float  # ½(d/σ² − J)
    implicit_gap: float  # −½J
    fisher: float  # J


def difference(a: Objective, b: Objective) -> Objective:
    """a − b sample by sample: where both ran on the same samples, its standard error is smaller than either's.

    Args:
        a, b: with as many samples.

    Raises:
        ValueError: if they have different numbers of samples.

    Source: the variance of paired differences.
    Differs: nothing.

    >>> import torch
    >>> one = Objective(torch.tensor([1.0, 2.0, 3.0]), 2.0, 0.577)
    >>> print(difference(one, one).value, difference(one, one).standard_error)
    0.0 0.0
    """
    if a.values.shape != b.values.shape:
        raise ValueError(f"both must have as many samples, got {len(a.values)} and {len(b.values)}")
    values = (a.values - b.values).detach()
    n = len(values)
    return Objective(values, float(values.mean()), float(values.std()) / math.sqrt(n) if n > 1 else math.nan)


def objective_row(
    model: Model,
    mixture: GaussianMixture,
    *,
    sigma: float,
    samples: int,
    seed: int,
    directions: Directions = "rademacher",
    slices: int = 1,
) -> ObjectiveRow:
    """All four objectives of one model on the same noisy samples.

    Convention: slices use ½|s|² (SSM-VR) where their covariance is I; "sphere" is the repository's plain version, ½(vᵀs)²
    with |v| = 1, whose value is the implicit objective over d.

    Args:
        model: s of the noisy density, differentiable.
        mixture: p.
        sigma: σ > 0.
        samples: ≥ 2.
        seed: of samples, noise and slices.
        directions: of the slices.
        slices: per sample.

    Raises:
        ValueError: if an option is out of range.

    Source: see the module.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[1.0, 0.0], [-1.0, 0.0]], 0.5)
    >>> rows = [objective_row(m, two, sigma=0.5, samples=20000, seed=0) for m in (lambda x: -x, lambda x: -0.3 * x)]
    >>> [f"{r.denoising_gap.value:.2f} ± {r.denoising_gap.standard_error:.2f}" for r in rows]
    ['2.91 ± 0.02', '2.91 ± 0.02']
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    x, _ = mixture.sample(samples, seed=seed)
    denoising = _detached(denoising_score_matching(model, x, sigma=sigma, seed=seed))
    noisy = noisy_samples(x, sigma=sigma, seed=seed)
    explicit = _detached(explicit_score_matching(model, noisy, mixture.score(noisy, sigma=sigma)))
    implicit = _detached(implicit_score_matching(model, noisy))
    reduced = directions != "sphere"
    sliced = _detached(
        sliced_score_matching(model, noisy, seed=seed, slices=slices, directions=directions, variance_reduced=reduced)
    )
    return ObjectiveRow(
        explicit,
        implicit,
        sliced,
        denoising,
        difference(denoising, explicit),
        difference(implicit, explicit),
        difference(sliced, explicit),
    )


def noisy_samples(x: Tensor, *, sigma: float, seed: int) -> Tensor:
    """The x̃ = x + σz at which `denoising_score_matching` looks, with the same noise.

    Args:
        x: (N, d).
        sigma: σ.
        seed: that the objective was given.

    Source: definition.
    Differs: nothing.

    >>> import torch
    >>> x = torch.zeros(3, 1).double()
    >>> y = noisy_samples(x, sigma=2.0, seed=4)
    >>> round(denoising_score_matching(lambda at: -y / 4.0, x, sigma=2.0, seed=4).value, 12)
    0.0
    """
    return x + sigma * particle_normals(seed, (0, 8), x.shape, dtype=x.dtype, device=x.device)


def objective_constants(mixture: GaussianMixture, *, sigma: float) -> ObjectiveConstants:
    """What each objective has above the explicit one, by quadrature.

    Args:
        mixture: p, in 1 or 2 dimensions.
        sigma: σ > 0.

    Raises:
        ValueError: if σ is not positive or the mixture has more than 2 dimensions.

    Source: Vincent 2011 eq. 11; Hyvärinen 2005 theorem 1.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> found = objective_constants(gaussian_mixture([1.0], [[0.0, 0.0]], 1.0), sigma=1.0)
    >>> print(round(found.denoising_gap, 6), round(found.implicit_gap, 6))
    0.5 -0.5
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    fisher = fisher_information(mixture.diffused(1.0, sigma))
    return ObjectiveConstants(0.5 * (mixture.dim / sigma**2 - fisher), -0.5 * fisher, fisher)


def sliced_scale(directions: Directions, dim: int) -> float:
    """What the sliced objective is of the implicit one: all of it, or 1/d where slices have unit length.

    Args:
        directions: of the slices.
        dim: d ≥ 1.

    Raises:
        ValueError: if there is no dimension.

    Source: E[vvᵀ] = I, or I/d on the unit sphere.
    Differs: nothing.

    >>> print(sliced_scale("gaussian", 2), sliced_scale("sphere", 2))
    1.0 0.5
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, got {dim}")
    return 1 / dim if directions == "sphere" else 1.0


def simple_models(mixture: GaussianMixture, *, sigma: float) -> Mapping[str, Model]:
    """Score models to compare: the true one, and four that are wrong in known ways.

    Convention: "true" ∇log q_σ; "scaled" 0.7 of it; "clean" the data's own score, without the noise; "gaussian" the score of one
    Gaussian with q_σ's mean and covariance; "zero" nothing.

    Args:
        mixture: p.
        sigma: σ > 0.

    Raises:
        ValueError: if σ is not positive.

    Source: own.
    Differs: nothing.

    >>> import torch
    >>> from core.generative.mixtures import gaussian_mixture
    >>> models = simple_models(gaussian_mixture([1.0], [[0.0]], 1.0), sigma=1.0)
    >>> {name: float(model(torch.ones(1, 1).double())) for name, model in models.items()}
    {'true': -0.5, 'scaled': -0.35, 'clean': -1.0, 'gaussian': -0.5, 'zero': 0.0}
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    from core.generative.mixtures import gaussian_mixture

    noisy = mixture.diffused(1.0, sigma)
    one = gaussian_mixture([1.0], noisy.mean[None], noisy.covariance[None])
    return {
        "true": noisy.score,
        "scaled": lambda x: 0.7 * noisy.score(x),
        "clean": mixture.score,
        "gaussian": one.score,
        "zero": lambda x: 0 * x,
    }


def _detached(found: Objective) -> Objective:
    return Objective(found.values.detach(), found.value, found.standard_error)
