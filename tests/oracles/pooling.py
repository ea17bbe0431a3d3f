"""Pooling by loops over cells, in fractions where there are divisions: slow, and short enough to be checked by reading."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np


def adaptive(a, n):
    """[⌊i·a/n⌋, ⌈(i+1)·a/n⌉)"""
    return [(math.floor(Fraction(i * a, n)), math.ceil(Fraction((i + 1) * a, n))) for i in range(n)]


def paper(a, n):
    """Slide a window of ⌈a/n⌉ by ⌊a/n⌋ as long as it stays on the map."""
    window, stride, start, found = math.ceil(Fraction(a, n)), math.floor(Fraction(a, n)), 0, []
    while start + window <= a:
        found.append((start, start + window))
        start += stride
    return found


def caffe(a, n):
    """(bins, whether Caffe runs): SPPLayer's parameters, then PoolingLayer's loop over cells."""
    kernel = math.ceil(Fraction(a, n))
    pad = int(Fraction(kernel * n - a + 1, 2))
    pooled = math.ceil(Fraction(a + 2 * pad - kernel, kernel)) + 1
    if pad and (pooled - 1) * kernel >= a + pad:
        pooled -= 1
    bins = [[row for row in range(i * kernel - pad, i * kernel - pad + kernel) if 0 <= row < a] for i in range(pooled)]
    return bins, pad == 0 or pad < kernel


def rows(a, n, rule):
    """Per bin the list of its rows."""
    if rule == "caffe":
        return caffe(a, n)[0]
    return [list(range(*edges)) for edges in {"adaptive": adaptive, "paper": paper}[rule](a, n)]


def first_maximum(cells):
    """(value, place) of [(value, place)] in reading order; NaN above all; (-inf, None) without cells."""
    for value, place in cells:
        if math.isnan(value):
            return value, place
    best = (-math.inf, None)
    for value, place in cells:
        if best[1] is None or value > best[0]:
            best = (value, place)
    return best


def pyramid(features, levels, rule="adaptive", start="lowest"):
    """[(level, channel, row, column, value, (x, y))] in the released code's order; features (C, H, W)."""
    channels, h, w = features.shape
    out = []
    for number, n in enumerate(levels):
        for c in range(channels):
            for (i, ys), (j, xs) in product(enumerate(rows(h, n, rule)), enumerate(rows(w, n, rule))):
                cells = [(float(features[c, y, x]), (x, y)) for y in ys for x in xs]
                value, place = first_maximum(cells)
                if start == "zero" and value <= 0:
                    value, place = 0.0, None
                out.append((number, c, i, j, value, place))
    return out


def read_counts(h, w, n, rule):
    """(h, w) how many bins read each cell."""
    out = np.zeros((h, w), int)
    for ys, xs in product(rows(h, n, rule), rows(w, n, rule)):
        for y, x in product(ys, xs):
            out[y, x] += 1
    return out


def released_cells(low, high, stride, offset0, offset, size):
    """One axis of spm_pool_caffe_mex.cpp for a box that counts from 1: first and last cell, from 1."""
    first = int(math.floor((low - offset0 + offset) / stride + 0.5) + 1)
    last = int(math.ceil((high - offset0 - offset) / stride - 0.5) + 1)
    if first > last:
        first = last = int((first + last) / 2)
    return min(size, max(1, first)), min(size, max(1, last))


def inner_cells(low, high, stride, size):
    """Cells whose centres lie strictly inside (low, high), found by looking at each; centres are multiples of stride."""
    around = range(-3 * size - 50, 3 * size + 50)
    return [i for i in around if low < i * stride < high]


def window(y, x, h, w, high, wide):
    """Cells of a centred window inside the map, in reading order."""
    p, q = high // 2, wide // 2
    return [(r, s) for r in range(y - p, y + p + 1) for s in range(x - q, x + q + 1) if 0 <= r < h and 0 <= s < w]


def stride_one(x, high, wide=None):
    """(maxima, cells they came from, comparisons) of an (h, w) map."""
    h, w = x.shape
    out, source, compared = np.zeros_like(x), {}, 0
    for y, column in np.ndindex(h, w):
        cells = window(y, column, h, w, high, wide or high)
        value, place = first_maximum([(float(x[at]), at) for at in cells])
        out[y, column], source[y, column] = value, place
        compared += len(cells) - 1
    return out, source, compared


def chain_gradient(x, kernels):
    """How many outputs of pools in a row, and of the input itself, lead back to each cell."""
    counts = np.ones(x.shape)
    origin = {at: at for at in np.ndindex(x.shape)}
    for k in kernels:
        x, source, _ = stride_one(x, k)
        origin = {at: origin[source[at]] for at in source}
        for at in origin.values():
            counts[at] += 1
    return counts


def parallel_gradient(x, kernels):
    """The same for pools beside each other."""
    counts = np.ones(x.shape)
    for k in kernels:
        for at in stride_one(x, k)[1].values():
            counts[at] += 1
    return counts


def taps(h, w, rate):
    """(h, w) taps of a dilated 3×3 filter that lie on the map."""
    out = np.zeros((h, w), int)
    for y, x in np.ndindex(h, w):
        for dy, dx in product((-rate, 0, rate), repeat=2):
            out[y, x] += 0 <= y + dy < h and 0 <= x + dx < w
    return out


def means(x, n):
    """(n, n) averages of an (h, w) map over adaptive bins."""
    h, w = x.shape
    return np.array(
        [[np.mean([x[y, z] for y in ys for z in xs]) for xs in rows(w, n, "adaptive")] for ys in rows(h, n, "adaptive")]
    )


def enlarged(x, h, w):
    """Bilinear with corners aligned: output cell 0 is input cell 0, the last is the last."""
    n, m = x.shape
    out = np.zeros((h, w))
    for y, z in np.ndindex(h, w):
        v, u = y * (n - 1) / max(h - 1, 1), z * (m - 1) / max(w - 1, 1)
        i, j = min(int(v), n - 1), min(int(u), m - 1)
        k, o = min(i + 1, n - 1), min(j + 1, m - 1)
        a, b = v - i, u - j
        out[y, z] = (1 - a) * ((1 - b) * x[i, j] + b * x[i, o]) + a * ((1 - b) * x[k, j] + b * x[k, o])
    return out


def filter_kernel(kind, degrees, sigma):
    """One kernel of the bank, cell by cell."""
    radius = math.ceil(3 * sigma)
    span = range(-radius, radius + 1)
    gauss = {(y, x): math.exp(-(x * x + y * y) / (2 * sigma**2)) for y in span for x in span}
    total = sum(gauss.values())
    gauss = {at: value / total for at, value in gauss.items()}
    t = math.radians(degrees or 0)
    u = {(y, x): x * math.cos(t) + y * math.sin(t) for y in span for x in span}
    shape = {
        "blur": lambda y, x: 1.0,
        "blob": lambda y, x: 1 - (x * x + y * y) / (2 * sigma**2),
        "edge": lambda y, x: u[y, x],
        "bar": lambda y, x: math.cos(math.pi * u[y, x] / (2 * sigma)),
    }[kind]
    kernel = {at: shape(*at) * gauss[at] for at in gauss}
    if kind in ("blob", "bar"):
        mean = sum(kernel.values())
        kernel = {at: kernel[at] - mean * gauss[at] for at in kernel}
    scale = sum(map(abs, kernel.values()))
    return np.array([[kernel[y, x] / scale for x in span] for y in span])


def response(image, kernel, y, x):
    """The kernel's answer at one pixel of an (H, W, 3) picture whose border is repeated outwards."""
    h, w = image.shape[:2]
    half, total = len(kernel) // 2, 0.0
    for dy, dx in product(range(-half, half + 1), repeat=2):
        r, g, b = (int(v) for v in image[min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)])
        total += kernel[dy + half, dx + half] * (0.299 * r + 0.587 * g + 0.114 * b) / 255
    return total
