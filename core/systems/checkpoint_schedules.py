"""The best plan for a memory budget: revolve for equal layers, a dynamic programme over nested segments for unequal ones.

Both search the nested plans of `checkpoint_plans`: revolve in closed form (each layer one unit), the programme over all
(memory, recomputation) trade-offs of every stretch of the chain, so that one call answers every budget.

Source: Griewank and Walther, "Algorithm 799: revolve", ACM TOMS 26(1), 2000; Beaumont et al., "Optimal checkpointing for
heterogeneous chains", arXiv:1911.13214, for the two moves (record a layer, or recompute a stretch).
Notation: l layers, c checkpoints, r repetitions; F(i, j) trade-offs of the layers i..j−1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.systems.checkpoint_plans import CheckpointPlan, Node, Nodes, flattened


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Bytes (or any unit) that one layer needs, its input not counted."""

    output: int  # its output
    saved: int  # alive after a recorded forward: what backward needs, the output included
    forward_extra: int  # more than input and output at the peak of an unrecorded forward
    backward_extra: int  # more than `saved` at the peak of a recorded forward or of backward: gradients, scratch
    carried: tuple[int, ...] = ()  # what of its output is still handed on after 1, 2, … further layers: skips


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One plan that no other plan beats in both memory and time."""

    peak: int  # predicted most of what is alive at once: activations, gradients of activations, scratch; same unit as the sizes
    extra_cost: float  # forward cost of what is recomputed, same unit as the costs
    slowdown: float  # (forward + extra + backward) / (forward + backward), a backward costing two forwards
    plan: CheckpointPlan  # the plan


def revolve_cost(length: int, checkpoints: int) -> int:
    """Fewest extra layer evaluations that reverse a chain of equal layers with c checkpoints.

    Convention: the chain's input occupies one of the c checkpoints; the recorded run of each layer, which backward needs anyway,
    is not counted. t(l, c) = r·l − C(c + r, c + 1) with the least r for which C(c + r, c) ≥ l.

    Args:
        length: l ≥ 1 layers.
        checkpoints: c ≥ 1.

    Raises:
        ValueError: if a number is below 1.

    Source: Griewank and Walther 2000, eq. 3 and proposition 1.

    >>> revolve_cost(12, 3), revolve_cost(36, 6), revolve_cost(12, 1)
    (21, 72, 66)
    """
    _check(length, checkpoints)
    repetitions = 0
    while math.comb(checkpoints + repetitions, checkpoints) < length:
        repetitions += 1
    return repetitions * length - math.comb(checkpoints + repetitions, checkpoints + 1)


def revolve_plan(length: int, checkpoints: int) -> CheckpointPlan:
    """A nested plan that reaches `revolve_cost` with c checkpoints.

    Args, Raises: as `revolve_cost`.

    >>> revolve_plan(4, 2).nodes
    ((0,), ((1,), 2), 3)
    """
    _check(length, checkpoints)
    return CheckpointPlan(_revolve(0, length, checkpoints))


def _check(length: int, checkpoints: int) -> None:
    for name, value in (("length", length), ("checkpoints", checkpoints)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _revolve(first: int, length: int, checkpoints: int) -> Nodes:
    """Advance m layers unrecorded, keep their output as a checkpoint, reverse the rest with one checkpoint fewer, then those m."""
    if length == 1:
        return (first,)
    if checkpoints == 1:
        return (_revolve(first, length - 1, 1), first + length - 1)

    def price(m: int) -> int:
        return m + revolve_cost(length - m, checkpoints - 1) + revolve_cost(m, checkpoints)

    m = min(range(1, length), key=price)
    return (_revolve(first, m, checkpoints), *_revolve(first + m, length - m, checkpoints - 1))


def checkpoint_frontier(costs: Sequence[float], sizes: Sequence[LayerSizes]) -> tuple[TradeOff, ...]:
    """Every nested plan worth having for a chain of unequal layers, from least memory to least time.

    Convention: a stretch i..j−1 either records its first layer, whose saved tensors then stay, or runs a first part i..s−1
    unrecorded, keeps only that part's output, reverses the rest, and then reverses that part. The chain's input and parameters
    are outside; the output is held to the end; a recomputed stretch does not make its last output again.

    Args:
        costs: (n,) forward cost of each layer, any unit (FLOPs).
        sizes: (n,) what each layer needs.

    Raises:
        ValueError: if there is no layer, or the lengths differ, or a value is negative.

    Source: arXiv:1911.13214 §4, as trade-off lists instead of a table over discrete memory.
    Differs: exact in bytes; no offloading; a checkpoint lives until its stretch has run backward (persistent).

    >>> frontier = checkpoint_frontier([1.0] * 4, [LayerSizes(1, 2, 0, 1)] * 4)
    >>> [(point.peak, point.extra_cost) for point in frontier]
    [(4, 6.0), (5, 3.0), (6, 2.0), (8, 1.0), (9, 0.0)]
    """
    n = _sized(costs, sizes)
    front: dict[tuple[int, int], list[_Point]] = {}  # F(i, j), without the output of layer j−1
    for span in range(1, n + 1):
        for i in range(n - span + 1):
            front[i, i + span] = _stretch(i, i + span, costs, sizes, front)
    held, forward = sizes[-1].output, sum(costs)
    first_run = _advance(0, n, sizes)
    kept: list[TradeOff] = []
    for point in front[0, n]:
        peak = max(point.peak + held, first_run)
        if kept and kept[-1].peak == peak:  # the forward run itself is the bound: the cheaper of the two
            kept.pop()
        kept.append(TradeOff(peak, point.cost, _slowdown(point.cost, forward), CheckpointPlan(point.nodes)))
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class _Point:
    """One way to reverse a stretch."""

    peak: int
    cost: float
    nodes: Nodes


def _stretch(
    i: int, j: int, costs: Sequence[float], sizes: Sequence[LayerSizes], front: dict[tuple[int, int], list[_Point]]
) -> list[_Point]:
    """The trade-offs of layers i..j−1 from those of shorter stretches."""
    saved, at_work = sizes[i].saved, sizes[i].backward_extra
    if j == i + 1:
        return [_Point(saved - sizes[i].output + at_work, 0.0, (i,))]
    found = [_Point(saved + max(p.peak, at_work), p.cost, (i, *p.nodes)) for p in front[i + 1, j]]
    for s in range(i + 1, j):
        kept, first_run, cost = _boundary(i, s, sizes), _advance(i, s, sizes), sum(costs[i:s])
        # the rest with the checkpoint beside it, then the part itself: of each the cheapest that fits under a common peak
        rest, part = front[s, j], front[i, s]
        a, b = 0, 0  # the points taken of rest and part: as the level rises, they move on
        lowest = max(first_run, kept + rest[0].peak, part[0].peak)
        for level in sorted({lowest, *(kept + p.peak for p in rest), *(p.peak for p in part)}):
            if level < lowest:
                continue
            while a + 1 < len(rest) and kept + rest[a + 1].peak <= level:
                a += 1
            while b + 1 < len(part) and part[b + 1].peak <= level:
                b += 1
            found.append(_Point(level, cost + rest[a].cost + part[b].cost, (part[b].nodes, *rest[a].nodes)))
    return _undominated(found)


def _undominated(points: list[_Point]) -> list[_Point]:
    """Less memory first, each point cheaper than the one before."""
    kept: list[_Point] = []
    for point in sorted(points, key=lambda p: (p.peak, p.cost)):
        if not kept or point.cost < kept[-1].cost:
            kept.append(point)
    return kept


def _boundary(i: int, j: int, sizes: Sequence[LayerSizes]) -> int:
    """What layers i..j−1 hand on to layer j: the last output, and the skips among the earlier ones."""
    skips = (sizes[t].carried[j - 2 - t] for t in range(i, j - 1) if j - 2 - t < len(sizes[t].carried))
    return sizes[j - 1].output + sum(skips)


def _advance(i: int, j: int, sizes: Sequence[LayerSizes]) -> int:
    """Peak of an unrecorded run of layers i..j−1: one layer's input, output and scratch at a time."""
    before = (0 if t == i else _boundary(i, t, sizes) for t in range(i, j))
    return max(x + sizes[t].output + sizes[t].forward_extra for t, x in zip(range(i, j), before, strict=True))


def _slowdown(extra: float, forward: float) -> float:
    return 1 + extra / (3 * forward) if forward else 1.0


def _sized(costs: Sequence[float], sizes: Sequence[LayerSizes]) -> int:
    if not costs or len(costs) != len(sizes):
        raise ValueError(f"costs and sizes must have one entry per layer, got {len(costs)} and {len(sizes)}")
    for i, (cost, size) in enumerate(zip(costs, sizes, strict=True)):
        values = (cost, size.output, size.saved, size.forward_extra, size.backward_extra, *size.carried)
        if not all(0 <= value < math.inf for value in values):
            raise ValueError(f"costs and sizes must be finite and not negative, got {values} for layer {i}")
        if size.saved < size.output:
            raise ValueError(f"saved holds the output too, got {size.saved} < {size.output} for layer {i}")
    return len(costs)


def optimal_checkpoints(costs: Sequence[float], sizes: Sequence[LayerSizes], budget: float) -> TradeOff | None:
    """The plan with the least recomputation whose predicted peak fits the budget; None if none fits.

    Args:
        costs, sizes: as `checkpoint_frontier`.
        budget: same unit as the sizes.

    >>> sizes = [LayerSizes(1, 2, 0, 1)] * 4
    >>> best = optimal_checkpoints([1.0] * 4, sizes, 6)
    >>> best.plan.nodes, best.peak, best.extra_cost
    (((0, 1), 2, 3), 6, 2.0)
    """
    fitting = [point for point in checkpoint_frontier(costs, sizes) if point.peak <= budget]
    return fitting[-1] if fitting else None


@dataclass(frozen=True, slots=True)
class PlanCost:
    """What the model of memory says of one plan."""

    peak: int  # most alive at once, unit of the sizes
    extra_cost: float  # forward cost of what is recomputed
    slowdown: float  # (forward + extra + backward) / (forward + backward), a backward costing two forwards
    after_forward: int  # alive between forward and backward, unit of the sizes


def plan_cost(plan: CheckpointPlan, costs: Sequence[float], sizes: Sequence[LayerSizes]) -> PlanCost:
    """Peak and recomputation of any plan, by the same model as `checkpoint_frontier`: the user's pins beside the optimum.

    Args:
        plan: over n layers.
        costs, sizes: as `checkpoint_frontier`.

    Raises:
        ValueError: if the plan is not over the layers 0..n−1 in order.

    >>> cost = plan_cost(CheckpointPlan(((0, 1), (2, 3))), [1.0] * 4, [LayerSizes(1, 2, 0, 1)] * 4)
    >>> cost.peak, cost.extra_cost, round(cost.slowdown, 4), cost.after_forward
    (6, 4.0, 1.3333, 2)
    """
    n = _sized(costs, sizes)
    if tuple(flattened(plan.nodes)) != tuple(range(n)):
        raise ValueError(f"the plan must hold the layers 0 to {n - 1} in order, got {plan.nodes}")
    extra = sum(cost * (calls - 1) for cost, calls in zip(costs, plan.forward_calls, strict=True))
    held, kept = sizes[-1].output, _kept(plan.nodes, sizes)
    peak = max(_reverse(plan.nodes, sizes) + held, _advance(0, n, sizes))
    return PlanCost(peak, extra, _slowdown(extra, sum(costs)), kept + held)


def _kept(nodes: Nodes, sizes: Sequence[LayerSizes]) -> int:
    """Alive after the nodes' forward, without the last output."""
    last = len(nodes) - 1
    return sum(_stays(node, sizes, is_last=k == last) for k, node in enumerate(nodes))


def _stays(node: Node, sizes: Sequence[LayerSizes], *, is_last: bool) -> int:
    inside = tuple(flattened((node,)))
    full = _boundary(inside[0], inside[-1] + 1, sizes) if isinstance(node, tuple) else sizes[node].saved
    return full - sizes[inside[-1]].output if is_last else full


def _reverse(nodes: Nodes, sizes: Sequence[LayerSizes]) -> int:
    """Peak of running the nodes forward as they say and then backward, without their input and their last output."""
    peak, before = 0, 0
    last = len(nodes) - 1
    for k, node in enumerate(nodes):
        stays = _stays(node, sizes, is_last=k == last)
        if isinstance(node, tuple):
            inside = tuple(flattened(node))
            run = _advance(inside[0], inside[-1] + 1, sizes)
            peak = max(peak, before + run, before + _reverse(node, sizes))
        else:
            peak = max(peak, before + stays + sizes[node].backward_extra)
        before += stays
    return peak
