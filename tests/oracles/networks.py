"""A layer of a network as sums written out: one output value after another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

import numpy as np


def layer(
    op: str,
    x: np.ndarray,
    *,
    shape: tuple[int, ...],
    weights: Mapping[str, np.ndarray],
    stride: int = 1,
    padding: str = "valid",
    window: int = 1,
    border: tuple[int, ...] = (0, 0, 0, 0),
    activation: str = "none",
) -> np.ndarray:
    """(B, C, H, W) -> (B, *shape), in double precision."""
    made = np.zeros((len(x), *shape))
    w = np.asarray(weights.get("weight", np.zeros((0, 0, 0, 0))), np.float64)
    for place in np.ndindex(*made.shape):
        made[place] = _value(op, x, place, shape, w, stride, padding, window, border)
    if "bias" in weights:
        made += weights["bias"].astype(np.float64)[:, None, None]
    if activation == "none":
        return made
    return np.clip(made, 0, 6 if activation == "relu6" else math.inf)


def _front(size: int, k: int, stride: int, padding: str) -> int:
    """Zeros in front of an axis."""
    if padding == "valid":
        return 0
    missing = max(0, (math.ceil(size / stride) - 1) * stride + k - size)
    return missing // 2


def _value(op, x, place, shape, w, stride, padding, window, border):
    b, c = place[:2]
    if op == "flatten":
        return x[b, c, 0, 0]
    i, j = place[2:]
    _, channels, height, width = x.shape

    def at(channel, row, column):
        return x[b, channel, row, column] if 0 <= row < height and 0 <= column < width else 0.0

    if op in ("convolution", "depthwise_convolution"):
        k_h, k_w = w.shape[2:]
        top = i * stride - _front(height, k_h, stride, padding)
        left = j * stride - _front(width, k_w, stride, padding)
        read = [(c, 0)] if op == "depthwise_convolution" else [(n, n) for n in range(channels)]
        return sum(
            at(source, top + u, left + v) * w[c, index, u, v]
            for (source, index), u, v in product(read, range(k_h), range(k_w))
        )
    if op == "transposed_convolution":  # which inputs fall on this place
        return sum(
            x[b, n, p, q] * w[n, c, i - p * stride, j - q * stride]
            for n, p, q in product(range(channels), range(height), range(width))
            if 0 <= i - p * stride < w.shape[2] and 0 <= j - q * stride < w.shape[3]
        )
    if op == "pad":
        left, _, top, _ = border
        return at(c, i - top, j - left)
    if op == "resize_bilinear":
        y = min(max((i + 0.5) * height / shape[1] - 0.5, 0), height - 1)
        z = min(max((j + 0.5) * width / shape[2] - 0.5, 0), width - 1)
        return sum(
            x[b, c, row, column] * max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(z - column))
            for row, column in product(range(height), range(width))
        )
    if op in ("average_pool", "max_pool"):
        cells = [x[b, c, i * stride + u, j * stride + v] for u, v in product(range(window), range(window))]
        return max(cells) if op == "max_pool" else sum(cells) / len(cells)
    value = x[b, c, i, j]
    return {
        "relu": max(value, 0.0),
        "hard_swish": value * min(max(value + 3, 0), 6) / 6,
        "sigmoid": 1 / (1 + math.exp(-value)),
    }[op]
