"""Which layers keep their tensors and which recompute them: every strategy as one nested plan, and closed forms of its price.

A plan is a sequence of nodes. A number is a layer that runs recorded: what it saves for backward stays. A tuple of nodes is a
segment: it runs unrecorded, only its input stays, and backward runs its nodes again, which may hold segments of their own.
`(0, 1, 2, 3)` is no checkpointing, `((0, 1), (2, 3))` two segments, `(((0,), 1), 2, 3)` a segment inside a segment.

Source: Chen et al., "Training deep nets with sublinear memory cost", arXiv:1604.06174; Griewank and Walther, "Algorithm 799:
revolve", ACM TOMS 26(1), 2000; PyTorch torch/utils/checkpoint.py.
Notation: n layers, k segments, c checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, Union

Node: TypeAlias = Union[int, "tuple[Node, ...]"]
Nodes: TypeAlias = "tuple[Node, ...]"
Policy = Literal["", "matmul", "attention"]
Strategy = Literal[
    "none", "every layer", "every k-th", "sqrt", "checkpoint_sequential", "save matmuls", "save attention"
]

STRATEGIES: tuple[Strategy, ...] = (
    "none",
    "every layer",
    "every k-th",
    "sqrt",
    "checkpoint_sequential",
    "save matmuls",
    "save attention",
)


@dataclass(frozen=True, slots=True)
class CheckpointPlan:
    """What is recomputed."""

    nodes: Nodes  # nested segments over layers 0..n−1 in order
    policy: Policy = (
        ""  # what segments save all the same: "matmul" products of matrices, "attention" its kernel's results
    )

    @property
    def layers(self) -> int:
        """n, number of layers."""
        return len(tuple(flattened(self.nodes)))

    @property
    def kept_inputs(self) -> tuple[int, ...]:
        """Layers whose input stays as a checkpoint after the first forward: outermost segments' first layers."""
        return tuple(next(flattened((node,))) for node in self.nodes if isinstance(node, tuple))

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(first, last + 1) layer of each outermost segment."""
        groups = [tuple(flattened((node,))) for node in self.nodes if isinstance(node, tuple)]
        return tuple((group[0], group[-1] + 1) for group in groups)

    @property
    def depth(self) -> int:
        """How deep segments are nested; 0 is no checkpointing."""
        return _depth(self.nodes)

    @property
    def forward_calls(self) -> tuple[int, ...]:
        """(n,) how often each layer runs forward: once, and once more for every segment around it."""
        return tuple(_calls(self.nodes, 1))


def checkpoint_plan(
    strategy: Strategy, layers: int, *, segments: int | None = None, every: int | None = None
) -> CheckpointPlan:
    """The plan of a named strategy.

    Convention: `segments` cuts n layers into k segments whose lengths differ by at most one, the longer ones first, and
    recomputes all of them. "sqrt" takes k = round(√n). "checkpoint_sequential" is PyTorch's: segments of ⌊n/k⌋ layers, and what
    is left, the last segment, is *not* recomputed. The two "save" strategies recompute every layer except what their policy keeps.

    Args:
        strategy: one of `STRATEGIES`.
        layers: n ≥ 1.
        segments: k in [1, n]; for "checkpoint_sequential", and "every layer" down to few with `segments_plan`.
        every: length of a segment for "every k-th", in [1, n].

    Raises:
        ValueError: if a number is out of range or missing.

    Source: torch.utils.checkpoint.checkpoint_sequential; arXiv:1604.06174 §4.1.

    >>> checkpoint_plan("checkpoint_sequential", 5, segments=2).nodes
    ((0, 1), 2, 3, 4)
    >>> checkpoint_plan("sqrt", 10).nodes
    ((0, 1, 2, 3), (4, 5, 6), (7, 8, 9))
    """
    _at_least("layers", layers, 1)
    if strategy == "none":
        return CheckpointPlan(tuple(range(layers)))
    if strategy == "every layer":
        return segments_plan(layers, layers)
    if strategy == "sqrt":
        return segments_plan(layers, max(1, round(math.sqrt(layers))))
    if strategy == "every k-th":
        length = _within("every", every, layers)
        return pinned_plan(layers, range(0, layers, length))
    if strategy == "checkpoint_sequential":
        count = _within("segments", segments, layers)
        length, last = layers // count, layers // count * (count - 1)
        return CheckpointPlan((*(tuple(range(i, i + length)) for i in range(0, last, length)), *range(last, layers)))
    if strategy in ("save matmuls", "save attention"):
        policy: Policy = "matmul" if strategy == "save matmuls" else "attention"
        return CheckpointPlan(segments_plan(layers, layers).nodes, policy)
    raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")


def segments_plan(layers: int, segments: int) -> CheckpointPlan:
    """k segments whose lengths differ by at most one, longer ones first, all recomputed.

    Args:
        layers: n ≥ 1.
        segments: k in [1, n].

    Raises:
        ValueError: if a number is out of range.

    >>> segments_plan(5, 2).nodes
    ((0, 1, 2), (3, 4))
    """
    _at_least("layers", layers, 1)
    lengths = segment_lengths(layers, _within("segments", segments, layers))
    starts = [sum(lengths[:j]) for j in range(len(lengths))]
    return CheckpointPlan(tuple(tuple(range(a, a + m)) for a, m in zip(starts, lengths, strict=True)))


def pinned_plan(layers: int, checkpoint_at: Iterable[int]) -> CheckpointPlan:
    """The plan of pins: a segment begins at each pinned layer, whose input is kept, and ends before the next.

    Convention: layers before the first pin are not recomputed; no pin is no checkpointing.

    Args:
        layers: n ≥ 1.
        checkpoint_at: layers in [0, n), in any order, repeats allowed.

    Raises:
        ValueError: if a pin is no layer.

    >>> pinned_plan(6, [4, 1]).nodes
    (0, (1, 2, 3), (4, 5))
    """
    _at_least("layers", layers, 1)
    pins = sorted(set(checkpoint_at))
    for pin in pins:
        if not 0 <= pin < layers:
            raise ValueError(f"checkpoint_at must name layers from 0 to {layers - 1}, got {pin}")
    ends = [*pins[1:], layers]
    first = pins[0] if pins else layers
    return CheckpointPlan((*range(first), *(tuple(range(a, b)) for a, b in zip(pins, ends, strict=False))))


def segment_lengths(layers: int, segments: int) -> tuple[int, ...]:
    """Lengths of k segments of n layers, the longer ones first.

    >>> segment_lengths(100, 8)
    (13, 13, 13, 13, 12, 12, 12, 12)
    """
    short, longer = divmod(layers, segments)
    return (short + 1,) * longer + (short,) * (segments - longer)


def peak_activations(layers: int, segments: int) -> int:
    """Most activations alive at once in a chain of equal layers that each save one, with k recomputed segments.

    Convention: an activation is one layer's saved input; the chain's own input counts as the first of them. While segment j
    (from 0) runs backward, its own layers' activations are alive and one checkpoint for each segment before it:
    max over j of (j + length of segment j). Gradients and the output are not counted.

    Args:
        layers: n ≥ 1.
        segments: k in [1, n].

    Raises:
        ValueError: if a number is out of range.

    Source: arXiv:1604.06174 §4.1, with lengths that differ by at most one instead of n/k.

    >>> [peak_activations(100, k) for k in (1, 2, 4, 5, 8, 10, 20, 50)]
    [100, 51, 28, 24, 19, 19, 24, 51]
    """
    _at_least("layers", layers, 1)
    lengths = segment_lengths(layers, _within("segments", segments, layers))
    return max(j + length for j, length in enumerate(lengths))


def peak_units(layers: int, segments: int, *, stored_units: float, overhead_units: float = 0.0) -> float:
    """Peak of a real chain of equal layers in units of one activation: k + (n/k)·A + overhead.

    Convention: the chain's input is outside; the last output is held by the caller; k divides n. n × (Linear + GELU) has A = 2
    and no overhead; a pre-norm transformer block with fused attention and a 4× GELU MLP has A = 16 + (4 + H)/D and overhead 3
    (the gradient inside the MLP is 4 wide, the last output is not made again). Whoever counts the weight gradient that is being
    made at that moment adds D·D or 4·D·D elements: D/(B·S) or 4·D/(B·S) units, which is 2 for D = 128 and B·S = 256.

    Args:
        layers: n ≥ 1.
        segments: k, a divisor of n.
        stored_units: A, what one recorded layer saves, its output included, in units.
        overhead_units: backward's own tensors at the peak, in units.

    Raises:
        ValueError: if k does not divide n.

    >>> [peak_units(12, k, stored_units=2) for k in (1, 2, 3, 4, 6, 12)]
    [25.0, 14.0, 11.0, 10.0, 10.0, 14.0]
    >>> [peak_units(12, k, stored_units=16.0625, overhead_units=3 + 2) for k in (1, 2, 3, 4, 6, 12)]
    [198.75, 103.375, 72.25, 57.1875, 43.125, 33.0625]
    """
    _at_least("layers", layers, 1)
    if layers % _within("segments", segments, layers):
        raise ValueError(f"segments must divide the {layers} layers, got {segments}")
    return segments + layers / segments * stored_units + overhead_units


def best_segments(layers: int, *, stored_units: float) -> float:
    """Where k + (n/k)·A is least: k = √(n·A). With A = 1 that is Chen's √n.

    >>> round(best_segments(12, stored_units=2), 3), round(best_segments(12, stored_units=16.0625), 3)
    (4.899, 13.883)
    """
    return math.sqrt(layers * stored_units)


def flattened(nodes: Sequence[Node]) -> Iterator[int]:
    """The layers of nested nodes, in order.

    >>> list(flattened((0, (1, (2,)), 3)))
    [0, 1, 2, 3]
    """
    for node in nodes:
        if isinstance(node, tuple):
            yield from flattened(node)
        else:
            yield node


def _depth(nodes: Nodes) -> int:
    return max((1 + _depth(node) for node in nodes if isinstance(node, tuple)), default=0)


def _calls(nodes: Nodes, times: int) -> Iterator[int]:
    for node in nodes:
        if isinstance(node, tuple):
            yield from _calls(node, times + 1)
        else:
            yield times


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _within(name: str, value: int | None, most: int) -> int:
    if value is None or not 1 <= value <= most:
        raise ValueError(f"{name} must lie between 1 and the number of layers, {most}, got {value}")
    return value
