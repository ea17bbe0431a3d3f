"""Four objectives for a score model, estimated from samples or computed by quadrature, and the constants between them.

ESM = ISM + ½E|∇log p|²; DSM = ESM of the noisy density + ½(d/σ² − E|∇log q_σ|²): both constants know nothing of the model.
Source: Hyvärinen 2005 (explicit, implicit); Vincent 2011 (denoising); Song et al., arXiv:1905.07088 (sliced);
ermongroup/ncsn losses/.
Notation: s model, p data density, q_σ density of x̃ = x + σz, v slice, d dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals, particle_signs

Model: TypeAlias = Callable[[Tensor], Tensor]  # (N, d) points -> (N, d) score


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective at each sample and on average."""

    values: Tensor  # (N,) one per sample
    value: float  # their mean
    standard_error: float  # of the mean; NaN with one sample


def explicit_score_matching(model: Model, x: Tensor, true_score: Tensor) -> Objective:
    """½E|s − ∇log p|²: what one would minimise if one knew the answer.

    Args:
        model: s.
        x: (N, d) samples of p.
        true_score: (N, d) ∇log p there.

    Raises:
        ValueError: if shapes disagree or there is no sample.

    Source: Hyvärinen 2005 eq. 2.
    Differs: nothing.

    >>> x = torch.tensor([[1.0], [2.0]])
    >>> explicit_score_matching(lambda x: 0 * x, x, -x).value
    1.25
    """
    _check(x)
    if true_score.shape != x.shape:
        raise ValueError(f"true_score must have the shape of x, {tuple(x.shape)}, got {tuple(true_score.shape)}")
    return _objective(0.5 * (model(x) - true_score).square().sum(-1))


def implicit_score_matching(model: Model, x: Tensor) -> Objective:
    """E[∇·s + ½|s|²]: the same up to a constant, without the answer, at d passes backwards.

    Args:
        model: s, differentiable.
        x: (N, d) samples of p.

    Raises:
        ValueError: if there is no sample.

    Source: Hyvärinen 2005 theorem 1.
    Differs: nothing.

    >>> implicit_score_matching(lambda x: -x, torch.tensor([[1.0], [2.0]])).value
    0.25
    """
    _check(x)
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        s = model(at)
        trace = torch.zeros_like(s[:, 0])
        for j in range(s.shape[1]):
            (gradient,) = torch.autograd.grad(s[:, j].sum(), at, create_graph=True, allow_unused=True)
            trace = trace + (0 if gradient is None else gradient[:, j])  # pyright: ignore[reportUnnecessaryComparison]
    return _objective(trace + 0.5 * s.square().sum(-1))


def denoising_score_matching(model: Model, x: Tensor, *, sigma: float, seed: int, weighted: bool = False) -> Objective:
    """½E|s(x̃) + (x̃ − x)/σ²|² with x̃ = x + σz: regress on the way back to the clean point.

    Convention: `weighted` multiplies by σ², NCSN's λ(σ) (anneal_power = 2).

    Args:
        model: s of the noisy density.
        x: (N, d) samples of p.
        sigma: σ > 0.
        seed: of the noise; row i depends on seed and i only.

    Raises:
        ValueError: if there is no sample or σ is not positive.

    Source: Vincent 2011 eq. 11; arXiv:1907.05600 eq. 5–6.
    Differs: nothing.

    >>> x = torch.zeros(20000, 1, dtype=torch.float64)
    >>> round(denoising_score_matching(lambda x: -x, x, sigma=1.0, seed=0).value, 6)
    0.0
    """
    _check(x)
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    z = particle_normals(seed, (0, 8), x.shape, dtype=x.dtype, device=x.device)
    values = 0.5 * (model(x + sigma * z) + z / sigma).square().sum(-1)
    return _objective(sigma**2 * values if weighted else values)


def sliced_score_matching(
    model: Model,
    x: Tensor,
    *,
    seed: int,
    slices: int = 1,
    directions: Literal["gaussian", "rademacher", "sphere"] = "rademacher",
    variance_reduced: bool = True,
) -> Objective:
    """E_v[vᵀ(∇s)v] + ½E|s|² (or ½E_v(vᵀs)²): implicit score matching through random slices, one pass backwards each.

    Convention: v with E[vvᵀ] = I ("gaussian", "rademacher") gives the implicit objective on average; the repository's plain
    version scales v to unit length ("sphere", E[vvᵀ] = I/d), so its loss is 1/d of it. The repository's comment says
    Rademacher where the code draws Gaussian numbers.

    Args:
        model: s, differentiable.
        x: (N, d) samples of p.
        seed: of the slices; those of row i depend on seed and i only.
        slices: per sample, ≥ 1.
        directions: see above.
        variance_reduced: use ½|s|² (SSM-VR) instead of ½(vᵀs)²; not defined for "sphere".

    Raises:
        ValueError: if there is no sample or slice, or an option does not exist.

    Source: arXiv:1905.07088 eq. 8 (SSM), 9 (SSM-VR); ncsn losses/sliced_sm.py.
    Differs: nothing.

    >>> sliced_score_matching(lambda x: -x, torch.tensor([[1.0], [2.0]]), seed=0).value
    0.25
    """
    _check(x)
    if slices < 1:
        raise ValueError(f"slices must be at least 1, got {slices}")
    if directions not in ("gaussian", "rademacher", "sphere"):
        raise ValueError(f"directions must be gaussian, rademacher or sphere, got {directions!r}")
    if variance_reduced and directions == "sphere":
        raise ValueError("variance_reduced needs directions of unit covariance, got sphere")
    total = torch.zeros_like(x[:, 0])
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        s = model(at)
        for i in range(slices):
            draw = particle_signs if directions == "rademacher" else particle_normals
            v = draw(seed, (i, 9), x.shape, dtype=x.dtype, device=x.device)
            if directions == "sphere":
                v = v / v.square().sum(-1, keepdim=True).sqrt()
            along = (s * v).sum(-1)
            (gradient,) = torch.autograd.grad(along.sum(), at, create_graph=True)
            square = s.square().sum(-1) if variance_reduced else along.square()
            total = total + (gradient * v).sum(-1) + 0.5 * square
    return _objective(total / slices)


@dataclass(frozen=True, slots=True)
class ObjectiveTable:
    """All objectives of one model by quadrature, without any sampling noise."""

    explicit: float  # ½E_p|s − ∇log p|²
    implicit: float  # E_p[∇·s + ½|s|²]
    sliced: float  # the same through slices, averaged over all of them: equal to implicit
    explicit_noisy: float  # ½E_q|s − ∇log q_σ|²
    denoising: float  # ½E|s(x̃) + (x̃ − x)/σ²|²

    @property
    def explicit_minus_implicit(self) -> float:
        """½E_p|∇log p|²: the same for every model."""
        return self.explicit - self.implicit

    @property
    def denoising_minus_explicit(self) -> float:
        """½(d/σ² − E_q|∇log q_σ|²): the same for every model."""
        return self.denoising - self.explicit_noisy


def objective_table(model: Model, mixture: GaussianMixture, *, sigma: float, nodes: int = 64) -> ObjectiveTable:
    """Compute a model's objectives by quadrature, each from its own definition.

    Convention: a grid over all modes (4001 points on a line, 301² in the plane) for what is an average over one density; the
    denoising objective averages over data *and* noise by Gauss–Hermite quadrature with `nodes` per coordinate, nodes^(2d)
    points per component, so in two dimensions take about 16.

    Args:
        model: s, differentiable.
        mixture: p, in 1 or 2 dimensions.
        sigma: σ > 0.
        nodes: of the quadrature, ≥ 1.

    Raises:
        ValueError: if the mixture has more than 2 dimensions, or an option is out of range.

    Source: the definitions above.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> two = gaussian_mixture([0.8, 0.2], [[1.0], [-1.0]], 0.5)
    >>> for model in (lambda x: -x, lambda x: torch.sin(x)):
    ...     table = objective_table(model, two, sigma=0.5)
    ...     print(round(table.explicit_minus_implicit, 6), round(table.denoising_minus_explicit, 6))
    0.653905 1.567102
    0.653905 1.567102
    """
    if mixture.dim > 2:
        raise ValueError(f"quadrature needs a mixture in 1 or 2 dimensions, got {mixture.dim}")
    if not sigma > 0 or nodes < 1:
        raise ValueError(f"sigma must be above 0 and nodes at least 1, got {sigma} and {nodes}")
    x, weight = _grid(mixture)
    clean = implicit_score_matching(model, x).values.detach()
    explicit = explicit_score_matching(model, x, mixture.score(x)).values.detach()
    slices = _all_signs(mixture.dim, x)
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        s = model(at)
        sliced = torch.zeros_like(weight)
        for v in slices:
            (gradient,) = torch.autograd.grad((s * v).sum(), at, retain_graph=True, allow_unused=True)
            bend = 0 if gradient is None else (gradient * v).sum(-1)  # pyright: ignore[reportUnnecessaryComparison]
            sliced = sliced + (bend + 0.5 * (s * v).sum(-1).square()).detach() / len(slices)
    noisy = mixture.diffused(1.0, sigma)
    y, weight_y = _grid(noisy)
    explicit_noisy = explicit_score_matching(model, y, noisy.score(y)).values.detach()
    z, weight_z = _hermite(mixture.dim, nodes, x)
    x0, weight_x0 = _quadrature(mixture, nodes)
    both = x0[:, None, :] + sigma * z  # (M, Z, d)
    predicted = model(both.reshape(-1, mixture.dim)).detach().reshape(both.shape)
    denoising = 0.5 * (predicted + z / sigma).square().sum(-1)
    return ObjectiveTable(
        float(weight @ explicit),
        float(weight @ clean),
        float(weight @ sliced),
        float(weight_y @ explicit_noisy),
        float(weight_x0 @ denoising @ weight_z),
    )


def fisher_information(mixture: GaussianMixture) -> float:
    """E|∇log p|², from which both constants are made.

    Args:
        mixture: p, in 1 or 2 dimensions.

    Raises:
        ValueError: if the mixture has more than 2 dimensions.

    Source: definition; the grid of `objective_table`.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> round(fisher_information(gaussian_mixture([1.0], [[0.0]], 0.5)), 9)
    2.0
    """
    if mixture.dim > 2:
        raise ValueError(f"quadrature needs a mixture in 1 or 2 dimensions, got {mixture.dim}")
    x, weight = _grid(mixture)
    return float(weight @ mixture.score(x).square().sum(-1))


def denoising_optimum(mixture: GaussianMixture, *, sigma: float) -> float:
    """The least denoising objective any model can have: ½(d/σ² − E|∇log q_σ|²). A loss minus this is *excess* loss.

    Args:
        mixture: p, in 1 or 2 dimensions.
        sigma: σ > 0.

    Raises:
        ValueError: if σ is not positive or the mixture has more than 2 dimensions.

    Source: Vincent 2011, the constant of eq. 11.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> round(denoising_optimum(gaussian_mixture([1.0], [[0.0]], 1.0), sigma=1.0), 6)
    0.25
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    return 0.5 * (mixture.dim / sigma**2 - fisher_information(mixture.diffused(1.0, sigma)))


def _objective(values: Tensor) -> Objective:
    n = len(values)
    error = float(values.detach().std()) / math.sqrt(n) if n > 1 else math.nan
    return Objective(values, float(values.detach().mean()), error)


def _hermite(dim: int, nodes: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(nodes^d, d) points and (nodes^d,) weights for a standard normal."""
    import numpy as np

    library: Any = np.polynomial.hermite_e
    x, w = library.hermegauss(nodes)
    points = torch.as_tensor(x, dtype=like.dtype, device=like.device)
    weights = torch.as_tensor(w / w.sum(), dtype=like.dtype, device=like.device)
    if dim == 1:
        return points[:, None], weights
    return torch.cartesian_prod(points, points), (weights[:, None] * weights).reshape(-1)


def _quadrature(mixture: GaussianMixture, nodes: int) -> tuple[Tensor, Tensor]:
    """Points and weights that integrate against a mixture, (K·nodes^d, d) and (K·nodes^d,)."""
    z, w = _hermite(mixture.dim, nodes, mixture.means)
    scaled = z[None] * mixture.variances.sqrt()[:, None, :]  # (K, M, d)
    if mixture.axes is not None:
        scaled = scaled @ mixture.axes.mT
    points = mixture.means[:, None, :] + scaled
    return points.reshape(-1, mixture.dim), (mixture.weights[:, None] * w).reshape(-1)


def _grid(mixture: GaussianMixture) -> tuple[Tensor, Tensor]:
    """Points and weights of the trapezium rule against a mixture: exponentially accurate for smooth, vanishing densities."""
    lines: list[Tensor] = []
    spread = mixture.covariances.diagonal(dim1=-2, dim2=-1).sqrt() * 9
    for low, high in zip((mixture.means - spread).amin(0), (mixture.means + spread).amax(0), strict=True):
        cells = 4001 if mixture.dim == 1 else 301
        lines.append(torch.linspace(float(low), float(high), cells, dtype=low.dtype, device=low.device))
    points = lines[0][:, None] if mixture.dim == 1 else torch.cartesian_prod(*lines)
    weights = mixture.log_prob(points).exp()
    return points, weights / weights.sum()


def _all_signs(dim: int, like: Tensor) -> list[Tensor]:
    """Every vector of ±1: the exact average over Rademacher slices."""
    signs = [[1.0], [-1.0]] if dim == 1 else [[a, b] for a in (1.0, -1.0) for b in (1.0, -1.0)]
    return [torch.tensor(row, dtype=like.dtype, device=like.device) for row in signs]


def _check(x: Tensor) -> None:
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x must have the shape (N, d) with at least one sample, got {tuple(x.shape)}")
