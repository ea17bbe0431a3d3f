"""Boxes, matchings and rankings by exact fractions, loops and all permutations: slow, and short enough to be checked by reading."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise, permutations

import numpy as np
import torch
from torch.nn import functional as F


def overlap(a, b):
    """(intersection, union, hull, IoU, GIoU) of two xyxy boxes, in exact fractions; 0/0 is 0."""
    ax0, ay0, ax1, ay1 = map(Fraction, map(float, a))
    bx0, by0, bx1, by1 = map(Fraction, map(float, b))
    inner = max(Fraction(0), min(ax1, bx1) - max(ax0, bx0)) * max(Fraction(0), min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - inner
    hull = (max(ax1, bx1) - min(ax0, bx0)) * (max(ay1, by1) - min(ay0, by0))
    iou = inner / union if union else Fraction(0)
    empty = (hull - union) / hull if hull else Fraction(0)
    return inner, union, hull, iou, iou - empty


def overlaps(first, second):
    """(5, N, M) of `overlap`."""
    table = [[[float(x) for x in overlap(a, b)] for b in second] for a in first]
    return np.moveaxis(np.array(table, float).reshape(len(first), len(second), 5), 2, 0)


def corners(box):
    """cxcywh to xyxy."""
    cx, cy, w, h = map(float, box)
    return cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2


def cheapest(cost):
    """Least cost of a complete matching, by trying all; inf if each holds a forbidden pair."""
    cost = np.asarray(cost, float)
    if cost.shape[0] > cost.shape[1]:
        cost = cost.T
    n, m = cost.shape
    return min((math.fsum(cost[i, j] for i, j in enumerate(p)) for p in permutations(range(m), n)), default=0.0)


def greedy(cost):
    """(row, column) pairs in the order taken: again and again the first least entry among rows and columns still free."""
    rows, columns = list(range(len(cost))), list(range(len(cost[0]) if len(cost) else 0))
    picks = []
    while rows and columns:
        value, i, j = min((float(cost[i][j]), i, j) for i in rows for j in columns)
        if value == math.inf:
            break
        picks.append((i, j))
        rows.remove(i)
        columns.remove(j)
    return picks


def match_costs(logits, boxes, labels, goals, *, kind="softmax", alpha=0.25, gamma=2.0):
    """(3, Q, G) class, L1 and GIoU cost, entry by entry."""
    out = np.zeros((3, len(boxes), len(goals)))
    for q in range(len(boxes)):
        for g in range(len(goals)):
            row, c = [float(z) for z in logits[q]], int(labels[g])
            if kind == "softmax":
                out[0, q, g] = -1 / math.fsum(math.exp(z - row[c]) for z in row)
            else:
                p = 1 / (1 + math.exp(-row[c]))
                out[0, q, g] = alpha * (1 - p) ** gamma * -math.log(p + 1e-8)
                out[0, q, g] -= (1 - alpha) * p**gamma * -math.log(1 - p + 1e-8)
            out[1, q, g] = math.fsum(abs(float(a) - float(b)) for a, b in zip(boxes[q], goals[g], strict=True))
            out[2, q, g] = -float(overlap(corners(boxes[q]), corners(goals[g]))[4])
    return out


def softmax_loss(logits, boxes, targets, pairs, eos):
    """Class, L1 and GIoU loss of one decoder layer, for given (query, target) pairs of each image."""
    above = below = far = apart = 0.0
    for b, (labels, goals) in enumerate(targets):
        partner = dict(pairs[b])
        for q in range(len(boxes[b])):
            row = [float(z) for z in logits[b][q]]
            c = int(labels[partner[q]]) if q in partner else len(row) - 1
            w = 1.0 if q in partner else eos
            above += w * math.log(math.fsum(math.exp(z - row[c]) for z in row))
            below += w
        for q, g in pairs[b]:
            far += math.fsum(abs(float(x) - float(y)) for x, y in zip(boxes[b][q], goals[g], strict=True))
            apart += 1 - float(overlap(corners(boxes[b][q]), corners(goals[g]))[4])
    count = max(1, sum(len(labels) for labels, _ in targets))
    return above / below, far / count, apart / count


def suppressed(boxes, scores, labels, threshold, least=0.0):
    """Kept indices in falling order of score: a box is kept if no kept box of its class overlaps it by more."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        rivals = [k for k in kept if labels is None or labels[k] == labels[i]]
        if scores[i] > least and all(float(overlap(boxes[k], boxes[i])[3]) <= threshold for k in rivals):
            kept.append(i)
    return kept


def ranked_hits(detections, targets, c, threshold):
    """Class c's detections, best first: 1 for a hit, 0 for a false one. (image, score, label, box); targets (image, label, box)."""
    mine = sorted((d for d in detections if d[2] == c), key=lambda d: -d[1])
    goals = [t for t in targets if t[1] == c]
    used, hits = set(), []
    for image, _, _, box in mine:
        best, which = -1.0, None
        for k, (there, _, goal) in enumerate(goals):
            if there == image and k not in used and float(overlap(box, goal)[3]) > best:
                best, which = float(overlap(box, goal)[3]), k
        if which is not None and best >= threshold:
            used.add(which)
            hits.append(1)
        else:
            hits.append(0)
    return hits


def average_precision(detections, targets, c, threshold, points=None):
    """AP of class c, at given recalls or, with None, as an area; detections and targets as in `ranked_hits`."""
    goals = [t for t in targets if t[1] == c]
    if not goals:
        return math.nan
    hits = ranked_hits(detections, targets, c, threshold)
    curve = [(sum(hits[: n + 1]) / len(goals), sum(hits[: n + 1]) / (n + 1)) for n in range(len(hits))]

    def best_from(recall):
        return max((p for r, p in curve if r >= recall), default=0.0)

    if points is not None:
        return math.fsum(best_from(r) for r in points) / len(points)
    steps = sorted({0.0, *(r for r, _ in curve)})
    return math.fsum((b - a) * best_from(b) for a, b in pairwise(steps))


def tiny_detr(w, x, position, heads=4, layers=(1, 3)):
    """The tiny DETR's last-layer logits and boxes from its weights, with torch's own attention and layers."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"])

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def attention(q, k, v, name):
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        mixed, weights = F.multi_head_attention_forward(
            *(t.transpose(0, 1) for t in (q, k, v)),
            q.shape[-1],
            heads,
            torch.cat([w[f"{part}.weight"] for part in parts]),
            torch.cat([w[f"{part}.bias"] for part in parts]),
            None,
            None,
            False,
            0.0,
            w[f"{name}.out.weight"],
            w[f"{name}.out.bias"],
            training=False,
            average_attn_weights=False,
        )
        return mixed.transpose(0, 1), weights

    def feed(x, name):
        return linear(linear(x, f"{name}.first").relu(), f"{name}.second")

    for stage in range(3):
        x = F.conv2d(x, w[f"backbone.down.{stage}.weight"], stride=2, padding=1)
        x = F.group_norm(x, 8, w[f"backbone.norm_down.{stage}.weight"], w[f"backbone.norm_down.{stage}.bias"]).relu()
        y = F.conv2d(x, w[f"backbone.keep.{stage}.weight"], padding=1)
        x = (
            x + F.group_norm(y, 8, w[f"backbone.norm_keep.{stage}.weight"], w[f"backbone.norm_keep.{stage}.bias"])
        ).relu()
    memory = F.conv2d(x, w["project.weight"], w["project.bias"]).flatten(2).transpose(1, 2)
    maps = {"encoder": [], "self": [], "cross": []}
    for n in range(layers[0]):
        name = f"encoder.{n}"
        mixed, weights = attention(memory + position, memory + position, memory, f"{name}.attention")
        maps["encoder"].append(weights)
        memory = norm(memory + mixed, f"{name}.norm1")
        memory = norm(memory + feed(memory, f"{name}.feed"), f"{name}.norm2")
    queries = w["queries"][None].expand(len(memory), -1, -1)
    state, logits, boxes = torch.zeros_like(queries), [], []
    for n in range(layers[1]):
        name = f"decoder.{n}"
        mixed, weights = attention(state + queries, state + queries, state, f"{name}.self_attention")
        maps["self"].append(weights)
        state = norm(state + mixed, f"{name}.norm1")
        mixed, weights = attention(state + queries, memory + position, memory, f"{name}.cross_attention")
        maps["cross"].append(weights)
        state = norm(state + mixed, f"{name}.norm2")
        state = norm(state + feed(state, f"{name}.feed"), f"{name}.norm3")
        out = norm(state, "decoder_norm")
        logits.append(linear(out, "class_head"))
        hidden = linear(linear(out, "box_head.0").relu(), "box_head.2").relu()
        boxes.append(linear(hidden, "box_head.4").sigmoid())
    return torch.stack(logits), torch.stack(boxes), {k: torch.stack(v) for k, v in maps.items()}
