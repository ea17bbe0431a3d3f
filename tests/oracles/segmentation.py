"""Segmentation measures by loops over pixels and sets of pixels: slow, and short enough to be checked by reading."""

from __future__ import annotations

import math
from itertools import product

import numpy as np


def pixels(labels, value):
    """The set of positions that hold a value."""
    return {at for at in np.ndindex(labels.shape) if int(labels[at]) == value}


def confusion(prediction, target, k, ignore=None):
    """(k, k + 1) counts; the last column is everything predicted outside 0..k-1."""
    n = [[0] * (k + 1) for _ in range(k)]
    for at in np.ndindex(target.shape):
        if int(target[at]) != ignore:
            said = int(prediction[at])
            n[int(target[at])][said if 0 <= said < k else k] += 1
    return np.array(n)


def class_scores(prediction, target, k, ignore=None):
    """Per class (iou, recall, precision, dice) from sets; NaN for 0/0."""
    kept = {at for at in np.ndindex(target.shape) if int(target[at]) != ignore}

    def ratio(a, b):
        return a / b if b else math.nan

    rows = []
    for c in range(k):
        t, p = pixels(target, c) & kept, pixels(prediction, c) & kept
        hits = len(t & p)
        rows.append(
            [ratio(hits, len(t | p)), ratio(hits, len(t)), ratio(hits, len(p)), ratio(2 * hits, len(t) + len(p))]
        )
    return np.array(rows, float).reshape(k, 4).T


def nanmean(values):
    values = [v for v in values if not math.isnan(v)]
    return sum(values) / len(values) if values else math.nan


def erode_once(mask):
    """3×3 erosion; outside the image is background."""
    h, w = mask.shape
    return np.array(
        [
            [
                all(
                    0 <= y + dy < h and 0 <= x + dx < w and mask[y + dy, x + dx]
                    for dy, dx in product((-1, 0, 1), repeat=2)
                )
                for x in range(w)
            ]
            for y in range(h)
        ],
        bool,
    ).reshape(mask.shape)


def boundary_iou(prediction, target, ratio):
    """(iou, d)."""
    d = max(1, round(ratio * math.sqrt(target.shape[0] ** 2 + target.shape[1] ** 2)))
    bands = []
    for mask in (prediction != 0, target != 0):
        core = mask
        for _ in range(d):
            core = erode_once(core)
        bands.append({tuple(at) for at in np.argwhere(mask & ~core).tolist()})
    union = len(bands[0] | bands[1])
    return (len(bands[0] & bands[1]) / union if union else math.nan), d


def davis_outline(mask):
    """Positions that differ from the neighbour to the right, below or diagonally below; neighbours outside do not
    count, except that on the last row and column the neighbour along the border does."""
    h, w = mask.shape
    return {
        (y, x)
        for y, x in np.ndindex(mask.shape)
        for dy, dx in ((0, 1), (1, 0), (1, 1))
        if y + dy < h and x + dx < w and bool(mask[y, x]) != bool(mask[y + dy, x + dx])
    }


def boundary_f(prediction, target, radius):
    """(f, precision, recall)."""
    p, t = davis_outline(prediction), davis_outline(target)

    def share(of, near):
        if not of:
            return 1.0
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in near) for y, x in of) / len(of)

    precision, recall = share(p, t), share(t, p)
    return (2 * precision * recall / (precision + recall) if precision + recall else 0.0), precision, recall


def inner_edge(mask):
    """Mask pixels with a 4-neighbour outside the mask or the image."""
    h, w = mask.shape

    def inside(y, x):
        return 0 <= y < h and 0 <= x < w and bool(mask[y, x])

    return [
        (y, x)
        for y, x in np.ndindex(mask.shape)
        if inside(y, x) and not all(inside(y + dy, x + dx) for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))
    ]


def directed_distances(start, goal):
    return [min(math.dist(a, b) for b in goal) for a in start]


def hausdorff(prediction, target, percentile):
    p, t = inner_edge(prediction), inner_edge(target)
    if not p and not t:
        return math.nan
    if not p or not t:
        return math.inf
    return max(np.percentile(directed_distances(a, b), percentile) for a, b in ((p, t), (t, p)))


def depth(prediction, target, k, ignore=None):
    """Distance of every wrong pixel to the nearest target pixel of the predicted class."""
    out = np.zeros(target.shape)
    for at in np.ndindex(target.shape):
        said = int(prediction[at])
        if int(target[at]) in (ignore, said):
            continue
        goal = pixels(target, said) if said != ignore else set()
        out[at] = min((math.dist(at, g) for g in goal), default=math.sqrt(sum(n * n for n in target.shape)))
    return out


def panoptic(prediction, prediction_classes, target, target_classes, crowds=()):
    """{class: [iou sum, tp, fp, fn]} by sets, straight from the paper's and the official code's rules."""
    p = {i: pixels(prediction, i) for i in prediction_classes if (prediction == i).any()}
    t = {i: pixels(target, i) for i in target_classes if (target == i).any()}
    void = pixels(target, 0)
    table = {c: [0.0, 0, 0, 0] for c in [prediction_classes[i] for i in p] + [target_classes[i] for i in t]}
    hit_p, hit_t = set(), set()
    for i, j in product(t, p):
        if i in crowds or target_classes[i] != prediction_classes[j]:
            continue
        iou = len(t[i] & p[j]) / len((t[i] | p[j]) - (void & p[j]))
        if iou > 0.5:
            hit_t.add(i)
            hit_p.add(j)
            table[target_classes[i]][0] += iou
            table[target_classes[i]][1] += 1
    for i in t:
        table[target_classes[i]][3] += i not in hit_t and i not in crowds
    for j in p:
        crowd = set().union(*(t[i] for i in t if i in crowds and target_classes[i] == prediction_classes[j]))
        forgiven = 2 * len(p[j] & (void | crowd)) > len(p[j])
        table[prediction_classes[j]][2] += j not in hit_p and not forgiven
    return table


def hf_mean_iou(predictions, targets, k, ignore):
    """HF evaluate's metric: np.histogram of intersection, prediction and label over 0..K-1, sums, then nanmean."""
    sums = np.zeros((3, k))
    for prediction, target in zip(predictions, targets, strict=True):
        kept = target != ignore
        p, t = prediction[kept], target[kept]
        for row, values in zip(sums, (p[p == t], p, t), strict=True):
            row += np.histogram(values, bins=k, range=(0, k - 1))[0]
    ratios = [i / (p + t - i) if p + t - i else math.nan for i, p, t in sums.T]
    return nanmean(ratios), ratios


def semseg_mean_iou(predictions, targets, k, ignore):
    """hszhao/semseg's rule on np.histogram with its closed last bin."""
    sums = np.zeros((3, k))
    for prediction, target in zip(predictions, targets, strict=True):
        p, t = prediction.astype(np.int64).ravel(), target.astype(np.int64).ravel()
        if ignore is not None:
            p[t == ignore] = ignore
        for row, values in zip(sums, (p[p == t], p, t), strict=True):
            row += np.histogram(values, bins=np.arange(k + 1))[0]
    iou = sums[0] / (sums[1] + sums[2] - sums[0] + 1e-10)
    return float(np.mean(iou)), iou
