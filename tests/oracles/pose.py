"""Joints, cell by cell and number by number. Slow and obviously right; knows nothing of core."""

from __future__ import annotations

import math


def bump(point, input_size, heatmap_size, sigma, *, exact=False):
    """(H rows of W) heights and μ, straight from the definition; [] if the patch misses the map."""
    columns, rows = heatmap_size
    mu = [point[0] * columns / input_size[0], point[1] * rows / input_size[1]]
    if not exact:
        mu = [math.trunc(m + 0.5) for m in mu]
    reach = math.floor(3 * sigma)
    out = [[0.0] * columns for _ in range(rows)]
    for y in range(rows):
        for x in range(columns):
            if exact or (abs(x - mu[0]) <= reach and abs(y - mu[1]) <= reach):
                out[y][x] = math.exp(-((x - mu[0]) ** 2 + (y - mu[1]) ** 2) / (2 * sigma**2))
    return out, mu


def highest(grid):
    """(x, y, height) of the first highest cell, reading row by row."""
    best = (0, 0, grid[0][0])
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            if value > best[2]:
                best = (x, y, value)
    return best


def shifted(grid, rule):
    """The highest cell, moved a quarter towards the higher neighbour."""
    x, y, _ = highest(grid)
    rows, columns = len(grid), len(grid[0])
    ok_x, ok_y = 1 < x < columns - 1, 1 < y < rows - 1
    if rule == "hrnet":
        ok_x = ok_y = ok_x and ok_y
    else:
        ok_x, ok_y = ok_x and 0 < y < rows, ok_y and 0 < x < columns
    sign = lambda v: (v > 0) - (v < 0)  # noqa: E731
    dx = sign(grid[y][x + 1] - grid[y][x - 1]) / 4 if ok_x else 0
    dy = sign(grid[y + 1][x] - grid[y - 1][x]) / 4 if ok_y else 0
    return x + dx, y + dy


def soft_mean(grid, beta):
    """Mean cell under softmax(beta · height)."""
    top = max(map(max, grid))
    weights = [[math.exp(beta * (v - top)) for v in row] for row in grid]
    total = math.fsum(v for row in weights for v in row)
    x = math.fsum(v * x for row in weights for x, v in enumerate(row)) / total
    y = math.fsum(v * y for y, row in enumerate(weights) for v in row) / total
    return x, y


def smoothed(bins, center, epsilon):
    """Label smoothing of one axis."""
    return [1 - epsilon if b == center else epsilon / (bins - 1) for b in range(bins)]


def bell(bins, center, sigma, *, divided=True):
    """A Gaussian over the bins of one axis."""
    scale = sigma * math.sqrt(2 * math.pi) if divided else 1.0
    return [math.exp(-((b - center) ** 2) / (2 * sigma**2)) / scale for b in range(bins)]


def half_even(value):
    """Round half to even."""
    low = math.floor(value)
    rest = value - low
    return low + (rest > 0.5 or (rest == 0.5 and low % 2 == 1))


def divergence(logits, target):
    """Σ t·(log t − log softmax) over one axis, as a sum of the bins."""
    top = max(logits)
    norm = top + math.log(math.fsum(math.exp(v - top) for v in logits))
    return math.fsum(t * (math.log(t) - (v - norm)) for v, t in zip(logits, target, strict=True) if t > 0)
