"""Diffusion by plain formulas, loops and SciPy's integrators: slow, and short enough to be checked by reading."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from scipy import integrate, stats

BETA0, BETA1 = 0.1, 20.0
SMALL, LARGE = 0.01, 50.0


def beta(t):
    return BETA0 + t * (BETA1 - BETA0)


def rates(kind, t):
    """(a, g²) of dx = a·x dt + g dw."""
    if kind == "VP":
        return -0.5 * beta(t), beta(t)
    if kind == "sub-VP":
        return -0.5 * beta(t), beta(t) * (1 - math.exp(-2 * BETA0 * t - (BETA1 - BETA0) * t * t))
    if kind == "VE":
        s = SMALL * (LARGE / SMALL) ** t
        return 0.0, s * s * 2 * math.log(LARGE / SMALL)
    return 0.0, 2 * t  # EDM


def moments(kind, t, *, variance0=0.0):
    """(α, σ) at t by integrating the moments' own equations, α' = aα, v' = 2av + g²."""

    def slope(u, y):
        a, g2 = rates(kind, u)
        return [a * y[0], 2 * a * y[1] + g2]

    found = integrate.solve_ivp(slope, (0, t), [1.0, variance0], method="DOP853", rtol=1e-12, atol=1e-14)
    return found.y[0, -1], math.sqrt(found.y[1, -1])


def log_prob(weights, means, covariances, x, alpha=1.0, sigma=0.0):
    """Log density of α·X + σ·Z at each row, by SciPy's multivariate normal."""
    d = len(means[0])
    total = np.zeros(len(x))
    for w, m, c in zip(weights, means, covariances, strict=True):
        noisy = alpha**2 * np.asarray(c) + sigma**2 * np.eye(d)
        total = total + w * stats.multivariate_normal(alpha * np.asarray(m), noisy).pdf(x)
    return np.log(total)


def log_prob_torch(weights, means, covariances, x, alpha=1.0, sigma=0.0):
    """The same, differentiable, by torch's own distributions."""
    eye = torch.eye(means.shape[1], dtype=torch.float64)
    each = torch.distributions.MultivariateNormal(alpha * means, alpha**2 * covariances + sigma**2 * eye)
    family = torch.distributions.Categorical(weights)
    return torch.distributions.MixtureSameFamily(family, each).log_prob(x)


def autograd_score(weights, means, covariances, x, alpha=1.0, sigma=0.0):
    at = x.clone().requires_grad_()
    (score,) = torch.autograd.grad(log_prob_torch(weights, means, covariances, at, alpha, sigma).sum(), at)
    return score


def autograd_hessian(weights, means, covariances, x, alpha=1.0, sigma=0.0):
    """(N, d, d)"""

    def one(point):
        return log_prob_torch(weights, means, covariances, point[None], alpha, sigma)[0]

    return torch.stack([torch.autograd.functional.hessian(one, point) for point in x])


def numpy_score(weights, means, covariances, x, alpha, sigma):
    """Score of α·X + σ·Z at one point, written out."""
    d = len(x)
    top, bottom = np.zeros(d), 0.0
    logs, pulls = [], []
    for w, m, c in zip(weights, means, covariances, strict=True):
        noisy = alpha**2 * np.asarray(c) + sigma**2 * np.eye(d)
        apart = np.asarray(x) - alpha * np.asarray(m)
        pull = -np.linalg.solve(noisy, apart)
        logs.append(math.log(w) - 0.5 * np.linalg.slogdet(noisy)[1] + 0.5 * apart @ pull)
        pulls.append(pull)
    for log, pull in zip(logs, pulls, strict=True):
        r = math.exp(log - max(logs))
        top, bottom = top + r * pull, bottom + r
    return top / bottom


SCALES = {
    "VP": lambda t: _vp(t),
    "sub-VP": lambda t: (_vp(t)[0], 1 - _vp(t)[0] ** 2),
    "VE": lambda t: (1.0, SMALL * (LARGE / SMALL) ** t),
    "EDM": lambda t: (1.0, t),
}


def _vp(t):
    alpha = math.exp(-0.25 * t * t * (BETA1 - BETA0) - 0.5 * t * BETA0)
    return alpha, math.sqrt(1 - alpha * alpha)


def flow(kind, weights, means, covariances, x, t_from, t_to, *, rtol=1e-12):
    """The probability flow of one point, by DOP853; (end, ∫∇·velocity dt)."""
    d = len(x)

    def velocity(t, y):
        alpha, sigma = SCALES[kind](t)
        a, g2 = rates(kind, t)
        return a * y - 0.5 * g2 * numpy_score(weights, means, covariances, y, alpha, sigma)

    def slope(t, y):
        v = velocity(t, y[:d])
        h = 1e-5
        growth = 0.0
        for j in range(d):
            e = np.zeros(d)
            e[j] = h
            growth += (velocity(t, y[:d] + e)[j] - velocity(t, y[:d] - e)[j]) / (2 * h)
        return np.concatenate([v, [growth]])

    found = integrate.solve_ivp(
        lambda t, y: velocity(t, y), (t_from, t_to), np.asarray(x, float), method="DOP853", rtol=rtol, atol=1e-12
    )
    return found.y[:, -1], slope


def linear_recursion(updates, mean, variance):
    """Mean and variance after steps x ← A·x + c + √q·z, given as (A, c, q)."""
    for a, c, q in updates:
        mean, variance = a * mean + c, a * a * variance + q
    return mean, variance


def gaussian_score(t, kind, mu, lam):
    """(slope, constant) of the score of N(μ, λ) under a process: s = slope·x + constant."""
    alpha, sigma = SCALES[kind](t)
    v = alpha**2 * lam + sigma**2
    return -1 / v, alpha * mu / v


def em_updates(kind, mu, lam, times, *, lam_noise=1.0, dt=None):
    """Euler–Maruyama's (A, c, q) on data N(μ, λ)."""
    for t, s in pairwise(times):
        h = (s - t) if dt is None else dt
        a, g2 = rates(kind, t)
        k, c = gaussian_score(t, kind, mu, lam)
        f = 0.5 * (1 + lam_noise**2) * g2
        yield 1 + h * (a - f * k), -h * f * c, lam_noise**2 * g2 * -h


def discrete_updates(kind, mu, lam, n, eps, rule):
    """Reverse diffusion's and ancestral sampling's (A, c, q) on data N(μ, λ)."""
    for j in range(n):
        t = 1 + j / (n - 1) * (eps - 1)
        i = n - 1 - j
        k, c = gaussian_score(t, kind, mu, lam)
        if kind == "VP":
            b = np.linspace(BETA0 / n, BETA1 / n, n)[i]
            if rule == "ancestral":
                yield (1 + b * k) / math.sqrt(1 - b), b * c / math.sqrt(1 - b), b
            else:
                yield 2 - math.sqrt(1 - b) + b * k, b * c, b
        else:
            sigmas = np.exp(np.linspace(math.log(SMALL), math.log(LARGE), n))
            high, low = sigmas[i] ** 2, sigmas[i - 1] ** 2 if i else 0.0
            q = high - low
            yield 1 + q * k, q * c, q * low / high if rule == "ancestral" else q


def corrector_update(kind, mu, lam, t, i, n, snr):
    """One Langevin step with step 2α(snr·σ)² on data N(μ, λ)."""
    alpha_i = 1 - np.linspace(BETA0 / n, BETA1 / n, n)[i] if kind != "VE" else 1.0
    step = 2 * alpha_i * (snr * SCALES[kind](t)[1]) ** 2
    k, c = gaussian_score(t, kind, mu, lam)
    return 1 + step * k, step * c, 2 * step


def posterior(data, x, sigma):
    """Weights of the data rows given one noisy point, by exact differences and a loop."""
    logs = [-sum((float(a) - float(b)) ** 2 for a, b in zip(x, row, strict=True)) / (2 * sigma**2) for row in data]
    top = max(logs)
    raw = [math.exp(v - top) for v in logs]
    return np.array(raw) / sum(raw)


def langevin_moments(k, c, mean, variance, step, steps, *, repository=False):
    """Mean and variance of Langevin dynamics in the score kx + c after so many steps."""
    drift, noise = (step, 2 * step) if repository else (step / 2, step)
    return linear_recursion([(1 + drift * k, drift * c, noise)] * steps, mean, variance)


# Mixtures that the tests share: weights, means, covariances
LINE = ([0.8, 0.2], [[1.0], [-2.0]], [[[0.3]], [[0.05]]])
PLANE = (
    [0.5, 0.3, 0.2],
    [[-1.6, 0.9], [1.7, 1.0], [0.2, -1.7]],
    [[[0.45, 0.2], [0.2, 0.15]], [[0.3, -0.22], [-0.22, 0.3]], [[0.06, 0.0], [0.0, 0.07]]],
)
ROUND = ([0.7, 0.3], [[1.5, 0.5, -1.0], [-1.0, 0.0, 2.0]], [np.eye(3) * 0.4, np.eye(3) * 0.1])
EXAMPLES = {"line": LINE, "plane": PLANE, "round": ROUND}


def tensors(example):
    """An example as (K,), (K, d) and (K, d, d) float64 tensors."""
    return tuple(torch.tensor(np.asarray(part), dtype=torch.float64) for part in example)


def points(d, n, *, spread=3.0, seed=0):
    return torch.from_numpy(spread * np.random.default_rng(seed).standard_normal((n, d)))
