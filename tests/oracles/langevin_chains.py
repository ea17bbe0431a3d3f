"""Slow, obvious references for Langevin chains, walks, objectives and manifolds; in NumPy, without core."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def mixture_score(x, weights, means, variance):
    """Score of a 1-D mixture at points (N,)."""
    parts = np.array([w * stats.norm.pdf(x, m, math.sqrt(variance)) for w, m in zip(weights, means, strict=True)])
    pulls = np.array([(m - x) / variance for m in means])
    return (parts * pulls).sum(0) / parts.sum(0)


def square_density(x, reach, u):
    """Density of u·X for X uniform in a square, by summing over one coordinate."""
    a, b = abs(u[0]) * reach, abs(u[1]) * reach
    if min(a, b) < 1e-12:
        half = max(a, b)
        return (np.abs(x) <= half) / (2 * half)
    first = np.linspace(-a, a, 20001)[:-1] + a / 20000
    return np.array([(np.abs(v - first) <= b).mean() / (2 * b) for v in x])


def chain_shares(weights, means, variance, density, levels, edge, half):
    """Mass above `edge` after every step, on one fixed fine grid; levels are (σ, drift, noise, steps)."""
    grid = np.linspace(-half, half, 2401)
    h = grid[1] - grid[0]
    p = density(grid)
    p = p / (p.sum() * h)
    out = []
    for sigma, drift, noise, steps in levels:
        moved = grid + drift * mixture_score(grid, weights, means, variance + sigma**2)
        kernel = stats.norm.pdf(grid[:, None], moved[None, :], noise)
        above = stats.norm.sf(edge, moved, noise)
        for _ in range(steps):
            out.append(float((above * p).sum() * h))
            p = kernel @ p * h
    return out


def likeliest(x, weights, means, variances):
    """Index of the likeliest round component of each point, by loops."""
    out = []
    for point in x:
        logs = [
            math.log(w)
            - 0.5 * sum((a - b) ** 2 for a, b in zip(point, m, strict=True)) / v
            - 0.5 * len(m) * math.log(v)
            for w, m, v in zip(weights, means, variances, strict=True)
        ]
        out.append(int(np.argmax(logs)))
    return out


def point_score(x, data, sigma):
    """Score of points with noise, by loops over exact differences."""
    out = np.zeros_like(x)
    for i, place in enumerate(x):
        exponents = np.array([-((place - d) ** 2).sum() / (2 * sigma**2) for d in data])
        w = np.exp(exponents - exponents.max())
        w /= w.sum()
        out[i] = (w[:, None] * (data - place)).sum(0) / sigma**2
    return out
