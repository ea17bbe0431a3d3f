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
from functools import cache

from core.systems.checkpoint_plans import CheckpointPlan, Node, Nodes, flattened


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Bytes (or any unit) that one layer needs, its input not counted."""

    output: int  # its output
    saved: int  # alive after a recorded forward: what backward needs, the output included
    forward_extra: int  # more than that at the peak of a forward, recorded or not
    backward_extra: int  # more than `saved` at the peak of its backward: gradients of output and input, scratch


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
    raise NotImplementedError


def revolve_plan(length: int, checkpoints: int) -> CheckpointPlan:
    """A nested plan that reaches `revolve_cost` with c checkpoints.

    Args, Raises: as `revolve_cost`.

    >>> revolve_plan(4, 2).nodes
    (((0,), 1), (2,), 3)
    """
    raise NotImplementedError


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
    """
    raise NotImplementedError


def optimal_checkpoints(costs: Sequence[float], sizes: Sequence[LayerSizes], budget: float) -> TradeOff | None:
    """The plan with the least recomputation whose predicted peak fits the budget; None if none fits.

    Args:
        costs, sizes: as `checkpoint_frontier`.
        budget: same unit as the sizes.

    >>> sizes = [LayerSizes(1, 2, 0, 1)] * 4
    >>> best = optimal_checkpoints([1.0] * 4, sizes, 6)
    >>> best.plan.nodes, best.peak, best.extra_cost
    """
    raise NotImplementedError


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

    >>> plan_cost(CheckpointPlan(((0, 1), (2, 3))), [1.0] * 4, [LayerSizes(1, 2, 0, 1)] * 4)
    """
    raise NotImplementedError
