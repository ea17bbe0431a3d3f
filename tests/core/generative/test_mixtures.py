import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.generative.mixtures import GaussianMixture, gaussian_mixture
from tests.oracles import diffusion as oracle

quick = settings(deadline=None, max_examples=20)
SCALES = [(1.0, 0.0), (0.6, 0.8), (0.0066, 0.99998), (1.0, 40.0)]


def made(name):
    return gaussian_mixture(*oracle.tensors(oracle.EXAMPLES[name]))


@pytest.mark.parametrize("name", oracle.EXAMPLES)
@pytest.mark.parametrize(("alpha", "sigma"), SCALES)
def test_density_score_laplacian_and_hessian_are_those_of_automatic_differentiation(name, alpha, sigma, receipt):
    mixture, example = made(name), oracle.tensors(oracle.EXAMPLES[name])
    x = oracle.points(mixture.dim, 12, spread=1 + sigma)
    scales = {"alpha": alpha, "sigma": sigma}
    density = oracle.log_prob_torch(*example, x, **scales)
    receipt(
        GaussianMixture.log_prob, "log_prob", mixture.log_prob(x, **scales), density, reference="torch", tolerance=1e-10
    )
    score = oracle.autograd_score(*example, x, **scales)
    name = "automatic differentiation of torch.distributions"
    receipt(GaussianMixture.score, "score", mixture.score(x, **scales), score, reference=name, tolerance=1e-10)
    hessian = oracle.autograd_hessian(*example, x, **scales)
    receipt(GaussianMixture.hessian, "hessian", mixture.hessian(x, **scales), hessian, reference=name, tolerance=1e-8)
    trace = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)
    receipt(
        GaussianMixture.laplacian, "laplacian", mixture.laplacian(x, **scales), trace, reference=name, tolerance=1e-8
    )
    assert torch.allclose(mixture.diffused(alpha, sigma).log_prob(x), density)


def test_density_is_that_of_scipys_normals(receipt):
    x = oracle.points(2, 9)
    expected = oracle.log_prob(*oracle.PLANE, x.numpy(), 0.5, 0.7)
    receipt(
        GaussianMixture.log_prob,
        "log_prob",
        made("plane").log_prob(x, alpha=0.5, sigma=0.7),
        expected,
        reference="scipy",
    )


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.5), (0.3, 0.95), (0.0066, 0.99998)])
def test_the_denoiser_is_the_posterior_mean(alpha, sigma, receipt):
    mixture = made("line")
    x = oracle.points(1, 5, spread=1.0)
    grid = np.linspace(-9, 9, 40001)  # the trapezium rule is exponentially accurate here
    prior = np.exp(oracle.log_prob(*oracle.LINE, grid[:, None]))
    joint = prior * np.exp(-((x.numpy() - alpha * grid) ** 2) / (2 * sigma**2))  # (5, 40001)
    expected = (joint @ grid / joint.sum(1))[:, None]
    got = mixture.denoise(x, alpha=alpha, sigma=sigma)
    receipt(
        GaussianMixture.denoise,
        "denoised",
        got,
        expected,
        reference="SciPy's quadrature of Bayes' rule",
        tolerance=1e-8,
    )


@pytest.mark.parametrize("name", oracle.EXAMPLES)
def test_the_denoiser_is_tweedies(name):
    mixture = made(name)
    x = oracle.points(mixture.dim, 7)
    tweedie = (x + 0.8**2 * mixture.score(x, alpha=0.6, sigma=0.8)) / 0.6
    assert torch.allclose(mixture.denoise(x, alpha=0.6, sigma=0.8), tweedie, atol=1e-12)


@pytest.mark.parametrize("name", oracle.EXAMPLES)
def test_responsibilities_are_bayes_rule(name, receipt):
    weights, means, covariances = oracle.EXAMPLES[name]
    x = oracle.points(len(means[0]), 6, spread=1.0)
    each = np.stack(
        [
            w * np.exp(oracle.log_prob([1.0], [m], [c], x.numpy(), 0.7, 0.4))
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        1,
    )
    got = made(name).responsibilities(x, alpha=0.7, sigma=0.4)
    receipt(
        GaussianMixture.responsibilities, "responsibility", got, each / each.sum(1, keepdims=True), reference="scipy"
    )
    assert torch.allclose(got.sum(-1), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("name", oracle.EXAMPLES)
def test_scales_may_differ_from_point_to_point(name):
    mixture = made(name)
    x = oracle.points(mixture.dim, 6).reshape(2, 3, mixture.dim)
    alpha, sigma = torch.rand(2, 3).double() + 0.2, torch.rand(2, 3).double() + 0.1
    for method in ("log_prob", "score", "laplacian", "hessian", "denoise", "responsibilities"):
        many = getattr(mixture, method)(x, alpha=alpha, sigma=sigma)
        for i in range(2):
            for j in range(3):
                one = getattr(mixture, method)(x[i, j], alpha=float(alpha[i, j]), sigma=float(sigma[i, j]))
                assert torch.allclose(many[i, j], one, atol=1e-12), method


@quick
@given(n=st.integers(1, 30), seed=st.integers(0, 1000), name=st.sampled_from(list(oracle.EXAMPLES)))
def test_a_points_score_does_not_know_its_neighbours(n, seed, name):
    mixture = made(name)
    x = oracle.points(mixture.dim, n + 5, seed=seed)
    assert torch.allclose(mixture.score(x, sigma=0.3)[:n], mixture.score(x[:n], sigma=0.3), rtol=1e-13, atol=1e-13)


def test_one_dimensional_distribution_functions(receipt):
    mixture = made("line")
    x = torch.linspace(-60, 60, 41, dtype=torch.float64)
    below = sum(w * stats.norm(m[0], math.sqrt(c[0][0])).cdf(x) for w, m, c in zip(*oracle.LINE, strict=True))
    above = sum(w * stats.norm(m[0], math.sqrt(c[0][0])).sf(x) for w, m, c in zip(*oracle.LINE, strict=True))
    receipt(GaussianMixture.cdf, "cdf", mixture.cdf(x), below, reference="scipy")
    receipt(GaussianMixture.cdf, "cdf", mixture.cdf(x, upper=True), above, reference="scipy")
    deep = mixture.log_cdf(torch.tensor([60.0]).double(), upper=True)
    expected = np.log(0.8) + stats.norm(1, math.sqrt(0.3)).logsf(60)
    receipt(GaussianMixture.log_cdf, "log_cdf", deep, [expected], reference="scipy", tolerance=1e-9)
    with pytest.raises(ValueError, match="1 dimension"):
        made("plane").cdf(x)


def test_projection_is_the_law_of_one_coordinate(receipt):
    line = made("plane").project([3.0, -4.0])
    u = np.array([0.6, -0.8])
    receipt(GaussianMixture.project, "mean", line.means[:, 0], np.array(oracle.PLANE[1]) @ u, reference="u·μ")
    variances = [u @ np.array(c) @ u for c in oracle.PLANE[2]]
    receipt(GaussianMixture.project, "variance", line.variances[:, 0], variances, reference="uᵀΣu")
    assert made("round").project([1, 0, 0]).variances.flatten().tolist() == [0.4, 0.1]
    with pytest.raises(ValueError, match="direction"):
        made("plane").project([0.0, 0.0])
    with pytest.raises(ValueError, match="direction"):
        made("plane").project([1.0])


@pytest.mark.parametrize("name", oracle.EXAMPLES)
def test_moments_and_samples_agree(name):
    mixture = made(name)
    x, k = mixture.sample(40000, seed=3)
    assert torch.allclose(x.mean(0), mixture.mean, atol=0.03)
    assert torch.allclose(torch.cov(x.mT).reshape(mixture.dim, mixture.dim), mixture.covariance, atol=0.06)
    assert torch.allclose(torch.bincount(k).double() / len(k), mixture.weights, atol=0.01)
    for i in range(mixture.components):
        cloud = x[k == i]
        assert torch.allclose(torch.cov(cloud.mT).reshape(mixture.dim, mixture.dim), mixture.covariances[i], atol=0.03)
    few, _ = mixture.sample(10, seed=3)
    assert torch.equal(few, x[:10])


@pytest.mark.parametrize(("alpha_s", "sigma_s"), [(1.0, 0.0), (0.9, 0.3)])
def test_reverse_transition_is_bayes_rule_on_a_grid(alpha_s, sigma_s, receipt):
    """p(x_s | x_t) ∝ p_s(x_s) N(x_t; r x_s, q), normalised by quadrature."""
    alpha_t, sigma_t, at = 0.5, 0.8, 0.4
    r = alpha_t / alpha_s
    q = sigma_t**2 - r**2 * sigma_s**2
    law = made("line").reverse_transition(
        torch.tensor([[at]], dtype=torch.float64), alpha_t=alpha_t, sigma_t=sigma_t, alpha_s=alpha_s, sigma_s=sigma_s
    )
    grid = np.linspace(-6, 6, 20001)
    prior = np.exp(oracle.log_prob(*oracle.LINE, grid[:, None], alpha_s, sigma_s))
    density = prior * stats.norm(r * grid, math.sqrt(q)).pdf(at)
    density /= density.sum() * (grid[1] - grid[0])
    got = law.at(0).log_prob(torch.from_numpy(grid)[:, None]).exp()
    receipt(
        GaussianMixture.reverse_transition, "density", got, density, reference="Bayes' rule on a grid", tolerance=1e-10
    )
    mean = (density * grid).sum() * (grid[1] - grid[0])
    receipt(
        GaussianMixture.reverse_transition,
        "mean",
        law.mean[0, 0],
        mean,
        reference="Bayes' rule on a grid",
        tolerance=1e-10,
    )
    variance = (density * (grid - mean) ** 2).sum() * (grid[1] - grid[0])
    receipt(
        GaussianMixture.reverse_transition,
        "variance",
        law.covariance[0, 0, 0],
        variance,
        reference="Bayes' rule on a grid",
        tolerance=1e-10,
    )


def test_reverse_transition_in_the_plane_keeps_the_joint_law():
    """Density of x_t times the transition must be the density of x_s times the forward step, at any pair of points."""
    mixture = made("plane")
    x_t, x_s = oracle.points(2, 5, spread=1.0, seed=1), oracle.points(2, 5, spread=1.0, seed=2)
    alpha_t, sigma_t, alpha_s, sigma_s = 0.4, 0.9, 0.8, 0.35
    law = mixture.reverse_transition(x_t, alpha_t=alpha_t, sigma_t=sigma_t, alpha_s=alpha_s, sigma_s=sigma_s)
    q = sigma_t**2 - (alpha_t / alpha_s * sigma_s) ** 2
    for i in range(5):
        backward = mixture.log_prob(x_t[i], alpha=alpha_t, sigma=sigma_t) + law.at(i).log_prob(x_s[i])
        forward = stats.multivariate_normal(alpha_t / alpha_s * x_s[i], q * np.eye(2)).logpdf(x_t[i])
        assert float(backward) == pytest.approx(
            float(mixture.log_prob(x_s[i], alpha=alpha_s, sigma=sigma_s)) + forward, abs=1e-10
        )
    n = 40000
    many = mixture.reverse_transition(
        x_t[:1].expand(n, 2), alpha_t=alpha_t, sigma_t=sigma_t, alpha_s=alpha_s, sigma_s=sigma_s
    )
    rng = np.random.default_rng(0)
    drawn = many.draw(torch.from_numpy(rng.random(n)), torch.from_numpy(rng.standard_normal((n, 2))))
    assert torch.allclose(drawn.mean(0), many.mean[0], atol=0.02)
    assert torch.allclose(torch.cov(drawn.mT), many.covariance[0], atol=0.02)


def test_points_of_no_variance_are_allowed():
    points = gaussian_mixture([1, 3], [[0.0, 0.0], [4.0, 0.0]], 0.0)
    guess = points.denoise(torch.tensor([[2.0, 7.0]]).double(), sigma=1.0)
    assert torch.allclose(guess, torch.tensor([[3.0, 0.0]]).double())
    law = points.reverse_transition(torch.tensor([[2.0, 7.0]]).double(), alpha_t=1, sigma_t=1, alpha_s=1, sigma_s=0)
    assert law.means[0].tolist() == [[0.0, 0.0], [4.0, 0.0]]
    assert law.variances.abs().max() == 0


def test_other_precisions_and_layouts():
    mixture = made("plane")
    x = oracle.points(2, 20).mT.contiguous().mT
    assert torch.allclose(
        mixture.to(dtype=torch.float32).score(x.float(), sigma=1.0).double(), mixture.score(x, sigma=1.0), atol=1e-4
    )
    before = x.clone()
    mixture.laplacian(x)
    assert torch.equal(x, before)
    assert mixture.score(x[:0]).shape == (0, 2)
    far = mixture.score(torch.tensor([[1e6, -1e6]]).double())
    assert torch.isfinite(far).all()


def test_dropped_weights_scaled_weights_and_shared_axes():
    mixture = gaussian_mixture([2, 0, 6], [[0.0], [9.0], [1.0]], [0.1, 0.2, 0.3])
    assert mixture.weights.tolist() == [0.25, 0.75]
    assert mixture.variances.flatten().tolist() == [0.1, 0.3]
    assert gaussian_mixture([1], [[0.0, 0.0]], torch.eye(2)[None]).axes is None
    assert made("plane").axes is not None
    expected = torch.tensor(oracle.PLANE[2], dtype=torch.float64)
    assert torch.allclose(made("plane").covariances, expected)


@pytest.mark.parametrize(
    ("weights", "means", "covariances", "message"),
    [
        ([1.0], [0.0], 1.0, "means"),
        ([1.0, 1.0], [[0.0]], 1.0, "one weight per mean"),
        ([1.0], [[0.0]], [1.0, 2.0], "covariances"),
        ([-1.0, 2.0], [[0.0], [1.0]], 1.0, "negative"),
        ([0.0], [[0.0]], 1.0, "all 0"),
        ([1.0], [[math.nan]], 1.0, "finite"),
        ([1.0], [[0.0]], -1.0, "no negative variance"),
        ([1.0], [[0.0, 0.0]], torch.tensor([[[1.0, 0.5], [0.1, 1.0]]]), "symmetric"),
        ([1.0], [[0.0, 0.0]], torch.tensor([[[1.0, 2.0], [2.0, 1.0]]]), "no negative variance"),
    ],
)
def test_nonsense_is_refused(weights, means, covariances, message):
    with pytest.raises(ValueError, match=message):
        gaussian_mixture(weights, means, covariances)


def test_points_of_another_dimension_and_steps_to_more_noise_are_refused():
    mixture = made("plane")
    with pytest.raises(ValueError, match="2 numbers"):
        mixture.score(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="less noise"):
        mixture.reverse_transition(torch.zeros(1, 2).double(), alpha_t=1, sigma_t=0.5, alpha_s=1, sigma_s=0.5)
    with pytest.raises(ValueError, match="shape"):
        mixture.reverse_transition(torch.zeros(2).double(), alpha_t=1, sigma_t=1, alpha_s=1, sigma_s=0.5)
