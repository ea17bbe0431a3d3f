"""Slow and obviously right: exhaustive searches over checkpoint schedules, a naive allocator, a memory profile by hand."""

from __future__ import annotations

import heapq
import math
from functools import cache


@cache
def fewest_evaluations(length: int, checkpoints: int) -> float:
    """Extra evaluations to reverse a chain with c checkpoints (the input is one of them), by trying every first advance."""
    if length <= 1:
        return 0
    if checkpoints == 1:
        return length * (length - 1) // 2
    return min(
        m + fewest_evaluations(length - m, checkpoints - 1) + fewest_evaluations(m, checkpoints)
        for m in range(1, length)
    )


def fewest_evaluations_by_search(length: int, checkpoints: int) -> int:
    """The same by Dijkstra over machine states: (current position, kept positions, layers still to reverse)."""
    start = (0, frozenset({0}), length)
    queue: list[tuple[int, int, tuple[int, frozenset[int], int]]] = [(0, 0, start)]
    best = {start: 0}
    tick = 0
    while queue:
        cost, _, (at, kept, left) = heapq.heappop(queue)
        if best[at, kept, left] < cost:
            continue
        if not left:
            return cost
        found: list[tuple[int, tuple[int, frozenset[int], int]]] = []
        if at + 1 < left:
            found.append((cost + 1, (at + 1, kept, left)))  # run one layer unrecorded
        if at + 1 == left:
            found.append((cost, (at, kept, left - 1)))  # run it recorded and backward
        found += [(cost, (k, kept, left)) for k in kept if k < left]  # go back to a checkpoint
        if at not in kept and len(kept) < checkpoints:
            found.append((cost, (at, kept | {at}, left)))
        found += [(cost, (at, kept - {k}, left)) for k in kept]
        for price, state in found:
            if price < best.get(state, math.inf):
                best[state] = price
                tick += 1
                heapq.heappush(queue, (price, tick, state))
    raise AssertionError("no schedule reverses the chain")


@cache
def all_plans(first: int, last: int, whole: bool = True) -> list[tuple]:
    """Every nested plan over layers first..last−1; without `whole` none that is one segment, which would recompute for nothing."""
    if first == last:
        return [()]
    plans = [(first, *rest) for rest in all_plans(first + 1, last)]
    for end in range(first + 1, last + whole):
        for inside in all_plans(first, end, False):
            plans += [(inside, *rest) for rest in all_plans(end, last)]
    return plans


def leaves(node) -> list[int]:
    return [node] if isinstance(node, int) else [leaf for child in node for leaf in leaves(child)]


def execute(plan, costs, sizes) -> tuple[int, float]:
    """(peak, recomputation) of a plan, by going through the run with a table of what is alive; no skips.

    `sizes` holds (output, saved, forward_extra, backward_extra) of each layer.
    """
    n = len(costs)
    peak, spent = 0, -sum(costs)  # the first forward is not extra, nor are recorded runs counted twice

    def unrecorded(layers, base):
        nonlocal peak, spent
        before = 0
        for i in layers:
            output, _, extra, _ = sizes[i]
            peak = max(peak, base + before + output + extra)
            spent += costs[i]
            before = output

    def forward(nodes, base, whole):
        """What stays of each node."""
        nonlocal peak, spent
        stay = []
        for k, node in enumerate(nodes):
            inside = leaves(node)
            output, saved, _, at_work = sizes[inside[-1]]
            drop = 0 if whole or k < len(nodes) - 1 else output
            if isinstance(node, int):
                spent += costs[node]
                stay.append(saved - drop)
                peak = max(peak, base + sum(stay) + at_work)
            else:
                unrecorded(inside, base + sum(stay))
                stay.append(output - drop)
        return stay

    def backward(nodes, base, stay):
        nonlocal peak
        for k in reversed(range(len(nodes))):
            under = base + sum(stay[:k])
            if isinstance(nodes[k], int):
                peak = max(peak, under + stay[k] + sizes[nodes[k]][3])
            else:
                again = forward(nodes[k], under, False)
                backward(nodes[k], under, again)

    held = sizes[n - 1][0]
    stay = forward(plan, held, False)
    backward(plan, held, stay)
    # a plain run of the whole chain needs this much in any case
    bound = max((sizes[i - 1][0] if i else 0) + sizes[i][0] + sizes[i][2] for i in range(n))
    return max(peak, bound), spent


def frontier(costs, sizes) -> list[tuple[int, float]]:
    """Undominated (peak, recomputation) over all plans."""
    found = sorted({execute(plan, costs, sizes) for plan in all_plans(0, len(costs))})
    kept: list[tuple[int, float]] = []
    for peak, cost in found:
        if not kept or cost < kept[-1][1] - 1e-9:
            kept.append((peak, cost))
    return kept


def allocator(requests) -> list[tuple[int, int]]:
    """(allocated, reserved) after each (number, bytes) request: one byte map of 512-byte pages per segment."""
    page = 512
    segments: list[dict] = []  # {"small": bool, "blocks": [[pages, owner], …]}
    history = []
    for number, n_bytes in requests:
        if n_bytes:
            pages = math.ceil(n_bytes / page)
            small = pages * page <= 2**20
            fits = [
                (block[0], s, b)
                for s, segment in enumerate(segments)
                if segment["small"] == small
                for b, block in enumerate(segment["blocks"])
                if block[1] is None and block[0] >= pages
            ]
            if not fits:
                if small:
                    total = 2 * 2**20
                elif pages * page < 10 * 2**20:
                    total = 20 * 2**20
                else:
                    total = math.ceil(pages * page / 2**21) * 2**21
                segments.append({"small": small, "blocks": [[total // page, None]]})
                fits = [(total // page, len(segments) - 1, 0)]
            length, s, b = min(fits)
            rest = length - pages
            keeps = rest >= 1 if small else rest * page > 2**20
            segments[s]["blocks"][b : b + 1] = [[pages, number], [rest, None]] if keeps else [[length, number]]
        else:
            for segment in segments:
                for block in segment["blocks"]:
                    if block[1] == number:
                        block[1] = None
                merged: list = []
                for block in segment["blocks"]:
                    if merged and merged[-1][1] is None and block[1] is None:
                        merged[-1][0] += block[0]
                    else:
                        merged.append(block)
                segment["blocks"] = merged
        allocated = sum(b[0] for s in segments for b in s["blocks"] if b[1] is not None) * page
        history.append((allocated, sum(b[0] for s in segments for b in s["blocks"]) * page))
    return history
