"""Gaussian mixtures whose diffused densities, scores, denoisers and reverse transitions are closed forms.

If X is a mixture, α·X + σ·Z with Z standard normal is one too: N(μ_k, U_k Λ_k U_kᵀ) becomes N(αμ_k, U_k(α²Λ_k + σ²)U_kᵀ).
Every function below therefore takes `alpha` and `sigma` and speaks of the density of α·X + σ·Z; 1 and 0 are the data.
Source: the algebra of Gaussians; Robbins 1956 (Tweedie's formula) for the denoiser.
Notation: w_k weights, μ_k means, U_k axes, Λ_k variances along the axes, r_k(x) responsibilities, v = α²Λ + σ².
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from core.generative.noise import particle_normals, particle_uniforms

Scale: TypeAlias = "float | Tensor"  # one number, or a tensor of the batch shape: one number per point

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """A mixture of K Gaussians in d dimensions; made by `gaussian_mixture`, which checks it."""

    weights: Tensor  # (K,) sum to 1
    means: Tensor  # (K, d)
    variances: Tensor  # (K, d) along the axes
    axes: Tensor | None  # (K, d, d) orthonormal columns; None if every component is round

    @property
    def components(self) -> int:
        return self.means.shape[0]

    @property
    def dim(self) -> int:
        return self.means.shape[1]

    @property
    def covariances(self) -> Tensor:
        """(K, d, d)"""
        if self.axes is None:
            return torch.diag_embed(self.variances)
        return (self.axes * self.variances[:, None, :]) @ self.axes.mT

    @property
    def mean(self) -> Tensor:
        """(d,)"""
        return self.weights @ self.means

    @property
    def covariance(self) -> Tensor:
        """(d, d)"""
        apart = self.means - self.mean
        spread = torch.einsum("k,ki,kj->ij", self.weights, apart, apart)
        return spread + torch.einsum("k,kij->ij", self.weights, self.covariances)

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> GaussianMixture:
        """The same mixture in another precision or place."""

        def moved(t: Tensor) -> Tensor:
            return t.to(device=device or t.device, dtype=dtype or t.dtype)

        axes = None if self.axes is None else moved(self.axes)
        return GaussianMixture(moved(self.weights), moved(self.means), moved(self.variances), axes)

    def diffused(self, alpha: float, sigma: float) -> GaussianMixture:
        """The mixture of α·X + σ·Z.

        >>> two = gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 0.25)
        >>> two.diffused(0.5, 1.0).variances.flatten().tolist()
        [1.0625, 1.0625]
        """
        return GaussianMixture(self.weights, alpha * self.means, alpha**2 * self.variances + sigma**2, self.axes)

    def project(self, direction: Sequence[float] | Tensor) -> GaussianMixture:
        """The 1-D mixture of u·X for a direction u, scaled to length 1.

        >>> two = gaussian_mixture([0.5, 0.5], [[-3.0, 4.0], [3.0, -4.0]], 1.0)
        >>> [round(m, 6) for m in two.project([-3.0, 4.0]).means.flatten().tolist()]
        [5.0, -5.0]
        """
        u = torch.as_tensor(direction, dtype=self.means.dtype, device=self.means.device)
        length = u.square().sum().sqrt()
        if u.shape != (self.dim,) or not 0 < float(length) < math.inf:
            raise ValueError(f"direction must be {self.dim} numbers, finite and not all 0, got {list(direction)}")
        u = u / length
        along = u.expand(self.components, self.dim) if self.axes is None else u @ self.axes  # (K, d)
        return GaussianMixture(
            self.weights, (self.means @ u)[:, None], (self.variances * along**2).sum(-1, keepdim=True), None
        )

    def log_prob(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """Log density of α·X + σ·Z.

        Args:
            x: (…, d) points.
            alpha, sigma: numbers, or tensors of shape (…): one per point.

        Returns: (…) nats.

        Raises:
            ValueError: if x's last axis is not d.

        Source: the density of a mixture.
        Differs: nothing.

        >>> two = gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 0.25)
        >>> round(float(two.log_prob(torch.tensor([[2.0]], dtype=torch.float64))), 6)
        -0.918939
        """
        flat, shape, a, s = self._flat(x, alpha, sigma)
        return torch.logsumexp(self._joint(flat, a, s)[0], 0).reshape(shape)

    def responsibilities(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """Probability that a point of α·X + σ·Z came from each component.

        Args, Raises: as `log_prob`.

        Returns: (…, K), summing to 1.

        Source: Bayes' rule.
        Differs: nothing.

        >>> two = gaussian_mixture([0.8, 0.2], [[-2.0], [2.0]], 1.0)
        >>> two.responsibilities(torch.zeros(1, dtype=torch.float64)).tolist()
        [0.8, 0.20000000000000004]
        """
        flat, shape, a, s = self._flat(x, alpha, sigma)
        return _softmax(self._joint(flat, a, s)[0]).mT.reshape(*shape, self.components)

    def score(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """∇ₓ log density of α·X + σ·Z.

        Args, Raises: as `log_prob`.

        Returns: (…, d).

        Source: s = −Σ_k r_k Σ_k⁻¹ (x − αμ_k).
        Differs: nothing.

        >>> two = gaussian_mixture([0.8, 0.2], [[-2.0], [2.0]], 1.0)
        >>> round(float(two.score(torch.tensor([0.5], dtype=torch.float64))), 6)
        0.095143
        """
        flat, _, a, s = self._flat(x, alpha, sigma)
        joint, pull, _ = self._joint(flat, a, s)
        return self._mean_pull(flat, _softmax(joint), pull, a).reshape(x.shape)

    def laplacian(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """∇·s = tr ∇² log density of α·X + σ·Z: the divergence that a probability flow needs, without an estimate.

        Args, Raises: as `log_prob`.

        Returns: (…).

        Source: Σ_k r_k (|g_k|² − tr Σ_k⁻¹) − |s|² with g_k = −Σ_k⁻¹(x − αμ_k).
        Differs: nothing.

        >>> one = gaussian_mixture([1.0], [[0.0, 0.0]], 0.5)
        >>> float(one.laplacian(torch.tensor([3.0, 4.0], dtype=torch.float64)))
        -4.0
        """
        flat, shape, a, s = self._flat(x, alpha, sigma)
        joint, pull, v = self._joint(flat, a, s)
        r = _softmax(joint)
        score = self._mean_pull(flat, r, pull, a)
        if self.axes is None:  # pull is 1/v
            squared = _squared_distances(flat, a, self.means) * pull * pull
            trace = self.dim * pull
        else:  # pull is (d, K, N) in the axes
            squared, trace = (pull * pull).sum(0), (1 / v).sum(0)
        return ((r * (squared - trace)).sum(0) - (score * score).sum(-1)).reshape(shape)

    def hessian(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """∇s = ∇² log density of α·X + σ·Z.

        Args, Raises: as `log_prob`.

        Returns: (…, d, d), symmetric.

        Source: Σ_k r_k (g_k g_kᵀ − Σ_k⁻¹) − s sᵀ.
        Differs: memory grows with N·K·d².

        >>> one = gaussian_mixture([1.0], [[0.0, 0.0]], 0.5)
        >>> one.hessian(torch.zeros(2, dtype=torch.float64)).tolist()
        [[-2.0, 0.0], [0.0, -2.0]]
        """
        flat, shape, a, s = self._flat(x, alpha, sigma)
        joint, pull, v = self._joint(flat, a, s)
        r = _softmax(joint)
        score = self._mean_pull(flat, r, pull, a)
        d = self.dim
        if self.axes is None:
            g = (a * self.means.mT[:, :, None] - flat.mT[:, None, :]) * pull  # (d, K, N)
            precision = (r * pull).sum(0)[:, None, None] * torch.eye(d, dtype=flat.dtype, device=flat.device)
        else:
            g = -torch.einsum("kij,jkn->ikn", self.axes, pull)
            inverse = (1 / v).expand(pull.shape)
            precision = torch.einsum("kn,kia,akn,kja->nij", r, self.axes, inverse, self.axes)
        outer = torch.einsum("kn,ikn,jkn->nij", r, g, g) - score[:, :, None] * score[:, None, :]
        return (outer - precision).reshape(*shape, d, d)

    def denoise(self, x: Tensor, *, alpha: Scale = 1.0, sigma: Scale = 0.0) -> Tensor:
        """E[X | α·X + σ·Z = x], the best guess of the clean point in the sense of squared error.

        Args, Raises: as `log_prob`.

        Returns: (…, d).

        Source: Σ_k r_k (μ_k + αΛ_k/v_k (x − αμ_k)) in each component's axes; equal to Tweedie's (x + σ²s)/α, without its
            loss of digits at small α.
        Differs: nothing.

        >>> two = gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 0.0)
        >>> round(float(two.denoise(torch.tensor([1.0], dtype=torch.float64), sigma=1.0)), 6)
        1.928055
        """
        flat, _, a, s = self._flat(x, alpha, sigma)
        joint, pull, _ = self._joint(flat, a, s)
        r = _softmax(joint)
        guess = self.means.mT @ r  # (d, N)
        if self.axes is None:
            gain = r * pull * self.variances[:, :1]  # (K, N) r_k Λ/v, still without α
            guess = guess + a * (gain.sum(0) * flat.mT - a * (self.means.mT @ gain))
        else:
            for j in range(self.dim):
                guess = guess + a * (self.axes[:, :, j].mT @ (r * self.variances[:, j, None] * pull[j]))
        return guess.mT.reshape(x.shape)

    def cdf(self, x: Tensor, *, upper: bool = False) -> Tensor:
        """Distribution function of a 1-D mixture, or the upper tail 1 − F without its loss of digits.

        Args:
            x: (…) positions.
            upper: give P(X > x).

        Raises:
            ValueError: if the mixture is not 1-D.

        Source: Σ w_k Φ((x − μ_k)/√Λ_k).
        Differs: nothing.

        >>> two = gaussian_mixture([0.8, 0.2], [[-2.0], [2.0]], 1.0)
        >>> round(float(two.cdf(torch.zeros(1, dtype=torch.float64))), 6)
        0.78635
        """
        return torch.exp(self.log_cdf(x, upper=upper))

    def log_cdf(self, x: Tensor, *, upper: bool = False) -> Tensor:
        """Logarithm of `cdf`, exact far into the tail.

        Args, Raises, Source, Differs: as `cdf`.

        >>> one = gaussian_mixture([1.0], [[0.0]], 1.0)
        >>> round(float(one.log_cdf(torch.tensor([40.0], dtype=torch.float64), upper=True)), 4)
        -804.6084
        """
        if self.dim != 1:
            raise ValueError(f"a distribution function needs a mixture in 1 dimension, got {self.dim}")
        z = (x[..., None] - self.means[:, 0]) / self.variances[:, 0].sqrt()
        logs: Tensor = _special().log_ndtr(-z if upper else z)
        return torch.logsumexp(logs + self.weights.log(), -1)

    def sample(self, n: int, *, seed: int) -> tuple[Tensor, Tensor]:
        """Draw n points: (n, d) points and (n,) the component that each came from; point i depends on seed and i only.

        >>> two = gaussian_mixture([0.8, 0.2], [[-2.0], [2.0]], 0.01)
        >>> x, k = two.sample(1000, seed=0)
        >>> print(tuple(x.shape), round(float((k == 0).double().mean()), 3))
        (1000, 1) 0.778
        """
        dtype, device = self.means.dtype, self.means.device
        k = _choose(self.weights.expand(n, -1), particle_uniforms(seed, (0, 1), (n,), dtype=dtype, device=device))
        z = particle_normals(seed, (0, 2), (n, self.dim), dtype=dtype, device=device) * self.variances[k].sqrt()
        if self.axes is not None:
            z = torch.einsum("nij,nj->ni", self.axes[k], z)
        return self.means[k] + z, k

    def reverse_transition(
        self, x: Tensor, *, alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
    ) -> ReverseTransition:
        """The exact law of the less noisy x_s given x_t, for any step size: what every sampler's step imitates.

        Convention: x_t = (α_t/α_s)·x_s + √q·z with q = σ_t² − (α_t/α_s)²σ_s², the transition of every linear SDE.

        Args:
            x: (N, d) points at the noisier time t.
            alpha_t, sigma_t, alpha_s, sigma_s: scales at t and at s.

        Raises:
            ValueError: if the shape is wrong or s is noisier than t.

        Source: pick k ~ r_k(x_t), then the Gaussian posterior in k's axes with variance 1/(1/v_s + r²/q).
        Differs: nothing.

        >>> one = gaussian_mixture([1.0], [[0.0]], 1.0)
        >>> step = one.reverse_transition(torch.tensor([[2.0]]).double(), alpha_t=1, sigma_t=1, alpha_s=1, sigma_s=0)
        >>> print(step.means.flatten().tolist(), step.variances.flatten().tolist())
        [1.0] [0.5]
        """
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"x must have the shape (N, {self.dim}), got {tuple(x.shape)}")
        ratio = alpha_t / alpha_s
        q = sigma_t**2 - ratio**2 * sigma_s**2
        if not q > 0:
            raise ValueError(f"the transition must lead to less noise, got a variance of {q:g} for the step")
        v = alpha_s**2 * self.variances + sigma_s**2  # (K, d) of x_s
        total = ratio**2 * v + q
        apart = x[:, None, :] - alpha_t * self.means  # (N, K, d)
        gain = v * ratio / total
        if self.axes is None:
            moved = gain * apart
        else:
            moved = torch.einsum("kij,nkj->nki", self.axes, gain * torch.einsum("kji,nkj->nki", self.axes, apart))
        return ReverseTransition(
            self.responsibilities(x, alpha=alpha_t, sigma=sigma_t),
            alpha_s * self.means + moved,
            v * q / total,
            self.axes,
        )

    def _flat(self, x: Tensor, alpha: Scale, sigma: Scale) -> tuple[Tensor, torch.Size, Scale, Scale]:
        """(N, d) points, the batch shape, and scales as numbers or (N,) tensors."""
        if not x.ndim or x.shape[-1] != self.dim:
            raise ValueError(f"x must have {self.dim} numbers in its last axis, got the shape {tuple(x.shape)}")
        shape = x.shape[:-1]

        def scale(value: Scale) -> Scale:
            if not isinstance(value, Tensor):
                return float(value)
            return float(value) if not value.ndim else value.expand(shape).reshape(-1)

        return x.reshape(-1, self.dim), shape, scale(alpha), scale(sigma)

    def _joint(self, x: Tensor, alpha: Scale, sigma: Scale) -> tuple[Tensor, Tensor, Tensor]:
        """log w_k + log N_k(x), (K, N); what pulls: 1/v if round, else (x − αμ)/v in the axes (d, K, N); and v.

        Components come first: sums and maxima over a few of them then run along the points, which is several times faster.
        """
        a, s = alpha, sigma
        logs = self.weights.log()[:, None]
        if self.axes is None:
            v = a * a * self.variances[:, :1] + s * s  # (K, 1) or (K, N)
            inverse = 1 / v
            squared = _squared_distances(x, alpha, self.means)
            return logs - 0.5 * self.dim * (v.log() + LOG_2PI) - (0.5 * inverse) * squared, inverse, v
        v = a * a * self.variances.mT[:, :, None] + s * s  # (d, K, 1) or (d, K, N)
        y = torch.stack([self._along(x, j, a) for j in range(self.dim)])  # (d, K, N)
        pull = y / v
        constant = logs - 0.5 * (v.log().sum(0) + self.dim * LOG_2PI)  # (K, 1) or (K, N)
        return constant - 0.5 * (y * pull).sum(0), pull, v

    def _along(self, x: Tensor, j: int, a: Any) -> Tensor:
        """Coordinate of x − αμ_k on axis j of every component, (K, N)."""
        assert self.axes is not None
        axis = self.axes[:, :, j]  # (K, d)
        return axis @ x.mT - a * (self.means * axis).sum(-1, keepdim=True)

    def _mean_pull(self, x: Tensor, r: Tensor, pull: Tensor, alpha: Scale) -> Tensor:
        """−Σ_k r_k Σ_k⁻¹ (x − αμ_k), (N, d)."""
        if self.axes is None:
            strength = r * pull
            return (alpha * (self.means.mT @ strength) - strength.sum(0) * x.mT).mT.contiguous()
        total = self.axes[:, :, 0].mT @ (r * pull[0])
        for j in range(1, self.dim):
            total = total + self.axes[:, :, j].mT @ (r * pull[j])
        return -total.mT.contiguous()


def gaussian_mixture(
    weights: Sequence[float] | Tensor,
    means: Sequence[Sequence[float]] | Tensor,
    covariances: float | Sequence[float] | Tensor,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> GaussianMixture:
    """A checked mixture with its covariances taken apart into axes and variances, once.

    Convention: weights are scaled to sum 1; components of weight 0 are dropped. A variance of 0 is a point.

    Args:
        weights: (K,) not negative.
        means: (K, d).
        covariances: one variance for all; (K,) one variance each; or (K, d, d) matrices.

    Raises:
        ValueError: if shapes disagree, something is not finite, a weight or variance is negative, or nothing is left.

    Source: definition.
    Differs: nothing.

    >>> tilted = gaussian_mixture([3, 1], [[0.0, 0.0], [4.0, 0.0]], torch.tensor([[[2.0, 1.0], [1.0, 2.0]]] * 2))
    >>> print(tilted.weights.tolist(), tilted.variances[0].tolist())
    [0.75, 0.25] [1.0, 3.0]
    """
    w = torch.as_tensor(weights, dtype=dtype, device=device)
    m = torch.as_tensor(means, dtype=dtype, device=device)
    c = torch.as_tensor(covariances, dtype=dtype, device=device)
    if m.ndim != 2 or not m.shape[1]:
        raise ValueError(f"means must have the shape (K, d), got {tuple(m.shape)}")
    k, d = m.shape
    if w.shape != (k,):
        raise ValueError(f"there must be one weight per mean, {k}, got the shape {tuple(w.shape)}")
    if c.shape not in ((), (k,), (k, d, d)):
        raise ValueError(
            f"covariances must be one number, {k} numbers or have the shape {(k, d, d)}, got {tuple(c.shape)}"
        )
    for name, value in (("weights", w), ("means", m), ("covariances", c)):
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} must be finite, got a number that is not")
    if bool((w < 0).any()) or not float(w.sum()) > 0:
        raise ValueError(f"weights must not be negative and not all 0, got {list(weights)}")
    axes: Tensor | None = None
    if c.ndim == 3:
        if not torch.allclose(c, c.mT, atol=1e-6 * max(1.0, float(c.abs().max()))):
            raise ValueError("covariances must be symmetric matrices, got one that is not")
        library: Any = torch.linalg
        found: tuple[Tensor, Tensor] = library.eigh(c)
        variances, axes = found
        variances = torch.where(variances.abs() < 1e-12 * variances.abs().amax(-1, keepdim=True), 0.0, variances)
        if bool((variances == variances[:, :1]).all()):
            axes = None
    else:
        variances = c.expand(k)[:, None].expand(k, d).contiguous()
    if bool((variances < 0).any()):
        raise ValueError(f"covariances must have no negative variance, got {float(variances.min()):g}")
    kept = w > 0
    w = w[kept] / w[kept].sum()
    return GaussianMixture(w, m[kept], variances[kept], None if axes is None else axes[kept])


@dataclass(frozen=True, slots=True)
class ReverseTransition:
    """The law of x_s given each of N noisier points x_t: a mixture per point."""

    weights: Tensor  # (N, K) chance that x_t came from component k
    means: Tensor  # (N, K, d) of x_s, given k
    variances: Tensor  # (K, d) of x_s along the axes, given k; the same for every x_t
    axes: Tensor | None  # (K, d, d) as the mixture's

    @property
    def mean(self) -> Tensor:
        """(N, d) of the whole law."""
        return torch.einsum("nk,nkd->nd", self.weights, self.means)

    @property
    def covariance(self) -> Tensor:
        """(N, d, d) of the whole law."""
        inside = GaussianMixture(self.weights[0], self.means[0], self.variances, self.axes).covariances
        apart = self.means - self.mean[:, None, :]
        between = torch.einsum("nk,nki,nkj->nij", self.weights, apart, apart)
        return between + torch.einsum("nk,kij->nij", self.weights, inside)

    def at(self, i: int) -> GaussianMixture:
        """The law for point i, to be drawn."""
        return GaussianMixture(self.weights[i], self.means[i], self.variances, self.axes)

    def draw(self, uniforms: Tensor, normals: Tensor) -> Tensor:
        """One x_s per point from (N,) uniform and (N, d) normal numbers: (N, d)."""
        k = _choose(self.weights, uniforms)
        z = normals * self.variances[k].sqrt()
        if self.axes is not None:
            z = torch.einsum("nij,nj->ni", self.axes[k], z)
        return self.means[torch.arange(len(k), device=k.device), k] + z


def _choose(weights: Tensor, uniforms: Tensor) -> Tensor:
    """(N,) index drawn from each row of (N, K) weights by inversion."""
    edges = weights.cumsum(-1).contiguous()
    return torch.searchsorted(edges, (uniforms * edges[:, -1])[:, None], right=True)[:, 0].clamp(
        max=weights.shape[1] - 1
    )


def _softmax(joint: Tensor) -> Tensor:
    """Over the first axis."""
    e = torch.exp(joint - joint.amax(0))
    return e / e.sum(0)


def _squared_distances(x: Tensor, alpha: Scale, means: Tensor) -> Tensor:
    """(K, N) |x − αμ_k|² from differences: the expanded form would lose digits close to a mean."""
    total: Tensor | None = None
    for j in range(means.shape[1]):
        apart = x[:, j] - alpha * means[:, j, None]
        total = apart * apart if total is None else total + apart * apart
    assert total is not None
    return total


def _special() -> Any:
    return torch.special
