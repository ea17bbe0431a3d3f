"""Which tiles fit into an SM's on-chip memory: the bytes of every part, the paper's block rule, and the largest blocks.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, Algorithm 1 line 1 (the rule) and Theorem 2 (its Θ).
Notation: M on-chip memory; Br = block_q, Bc = block_k, d channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Placement: TypeAlias = Literal["one_memory", "shared_memory"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
Goal: TypeAlias = Literal["area", "rows", "columns"]
GOALS: tuple[Goal, ...] = get_args(Goal)


@dataclass(frozen=True, slots=True)
class SramUse:
    """The bytes of one tile's working set, part by part."""

    queries: int  # bytes of Q_i, Br · d
    keys: int  # bytes of K_j, Bc · d
    values: int  # bytes of V_j, Bc · d
    output: int  # bytes of O_i, Br · d; 0 if it lives in registers
    scores: int  # bytes of S and, in its place, P̃, Br · Bc; 0 if they live in registers
    statistics: int  # bytes of old and new m and l, 4 · Br; 0 if they live in registers
    capacity: int  # bytes of M

    @property
    def total(self) -> int:
        """All parts."""
        return self.queries + self.keys + self.values + self.output + self.scores + self.statistics

    @property
    def share(self) -> float:
        """total / capacity."""
        return self.total / self.capacity

    @property
    def overflows(self) -> bool:
        """The parts do not fit."""
        return self.total > self.capacity

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by operand: "Q", "K", "V", "O", "S", "stats"."""
        names = ("Q", "K", "V", "O", "S", "stats")
        return dict(
            zip(
                names,
                (self.queries, self.keys, self.values, self.output, self.scores, self.statistics),
                strict=True,
            )
        )


def sram_use(
    block_q: int,
    block_k: int,
    d: int,
    *,
    capacity_bytes: int,
    dtype_bytes: int = 2,
    state_bytes: int | None = None,
    placement: Placement = "one_memory",
) -> SramUse:
    """What one tile keeps on chip, and whether it fits.

    Convention: "one_memory" is the papers' model: Q, K, V, O, S and four statistics per row share one fast memory M.
    "shared_memory" is what the CUDA kernels do: only Q, K and V lie in shared memory; O, S, m and l are registers.

    Args:
        block_q, block_k: Br, Bc as they are (at the edge of the matrix a tile is smaller).
        d: channels.
        capacity_bytes: M in bytes.
        dtype_bytes: bytes per number of Q, K, V.
        state_bytes: bytes per number of O, S, m, l; None for dtype_bytes, as the paper's rule counts.
        placement: "one_memory" or "shared_memory".

    Raises:
        ValueError: if a size is not positive or the placement unknown.

    Source: arXiv:2205.14135 Algorithm 1; csrc/flash_attn/src/kernel_traits.h of flash-attn for the second placement.
    Differs: one buffer per operand; kernels may hold the next K and V tile as well.

    >>> use = sram_use(64, 192, 64, capacity_bytes=49152, dtype_bytes=1)
    >>> use.parts, round(use.share, 2), use.overflows
    ({'Q': 4096, 'K': 12288, 'V': 12288, 'O': 4096, 'S': 12288, 'stats': 256}, 0.92, False)
    """
    _check(block_q=block_q, block_k=block_k, d=d, capacity_bytes=capacity_bytes, dtype_bytes=dtype_bytes)
    state = dtype_bytes if state_bytes is None else state_bytes
    _check(state_bytes=state)
    if placement not in PLACEMENTS:
        raise ValueError(f"placement must be one of {PLACEMENTS}, got {placement!r}")
    on_chip = state if placement == "one_memory" else 0
    return SramUse(
        queries=block_q * d * dtype_bytes,
        keys=block_k * d * dtype_bytes,
        values=block_k * d * dtype_bytes,
        output=block_q * d * on_chip,
        scores=block_q * block_k * on_chip,
        statistics=4 * block_q * on_chip,
        capacity=capacity_bytes,
    )


def sram_bytes(
    block_q: int,
    block_k: int,
    d: int,
    *,
    dtype_bytes: int = 2,
    state_bytes: int | None = None,
    placement: Placement = "one_memory",
) -> int:
    """Bytes on chip of one tile: the total of `sram_use`.

    Args, Raises, Source, Differs: as `sram_use`.

    >>> sram_bytes(64, 64, 64), sram_bytes(128, 128, 64, state_bytes=4, placement="shared_memory")
    (41472, 49152)
    """
    use = sram_use(
        block_q, block_k, d, capacity_bytes=1, dtype_bytes=dtype_bytes, state_bytes=state_bytes, placement=placement
    )
    return use.total


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """A choice of tile."""

    block_q: int  # Br
    block_k: int  # Bc


def paper_block_sizes(sram_elements: int, d: int) -> BlockSizes:
    """The FlashAttention paper's rule: Bc = ⌈M / 4d⌉, Br = min(⌈M / 4d⌉, d).

    Convention: M counts elements, not bytes. The rule is right up to a constant factor only: the tile's working set
    may exceed M, which `sram_use` shows.

    Args:
        sram_elements: M.
        d: channels.

    Raises:
        ValueError: if either is not positive.

    Source: arXiv:2205.14135 Algorithm 1 line 1.
    Differs: not clipped to the sequence's length, not rounded to a multiple of anything.

    >>> paper_block_sizes(49152, 64), paper_block_sizes(49152, 128)
    (BlockSizes(block_q=64, block_k=192), BlockSizes(block_q=96, block_k=96))
    """
    _check(sram_elements=sram_elements, d=d)
    block_k = -(-sram_elements // (4 * d))
    return BlockSizes(min(block_k, d), block_k)


def largest_feasible_blocks(
    capacity_bytes: int,
    d: int,
    *,
    dtype_bytes: int = 2,
    state_bytes: int | None = None,
    placement: Placement = "one_memory",
    multiple: int = 16,
    goal: Goal = "area",
    limit_q: int | None = None,
    limit_k: int | None = None,
) -> BlockSizes | None:
    """The largest blocks whose working set fits.

    Convention: both blocks are multiples of `multiple` (tensor cores multiply 16 × 16 pieces). "area" makes Br · Bc
    largest, of equals the one with the larger Br; "rows" makes Br largest (each row block reads K and V again, so
    this saves most in "fa2"), then Bc; "columns" makes Bc largest (saves most in "fa1"), then Br.

    Args:
        capacity_bytes: M in bytes.
        d, dtype_bytes, state_bytes, placement: as in `sram_use`.
        multiple: of which both blocks are, at least 1.
        goal: "area", "rows" or "columns".
        limit_q, limit_k: no block is larger than these, rounded up to the multiple; None for no limit.

    Returns:
        The blocks, or None if not even the smallest fit.

    Raises:
        ValueError: if a size is not positive or an option unknown.

    Source: own.
    Differs: nothing left out.

    >>> largest_feasible_blocks(98304, 128), largest_feasible_blocks(98304, 128, goal="columns")
    (BlockSizes(block_q=80, block_k=80), BlockSizes(block_q=16, block_k=160))
    """
    _check(capacity_bytes=capacity_bytes, multiple=multiple)
    if goal not in GOALS:
        raise ValueError(f"goal must be one of {GOALS}, got {goal!r}")
    limits = [math.inf if limit is None else -(-limit // multiple) * multiple for limit in (limit_q, limit_k)]

    def size(block_q: int, block_k: int) -> int:
        return sram_bytes(block_q, block_k, d, dtype_bytes=dtype_bytes, state_bytes=state_bytes, placement=placement)

    best: tuple[tuple[int, int], BlockSizes] | None = None
    block_q = multiple
    while block_q <= limits[0] and size(block_q, multiple) <= capacity_bytes:
        spare = capacity_bytes - size(block_q, multiple)
        per_step = size(block_q, 2 * multiple) - size(block_q, multiple)  # the size is linear in either block
        block_k = int(min(multiple * (1 + spare // per_step), limits[1]))
        ranks = {"area": (block_q * block_k, block_q), "rows": (block_q, block_k), "columns": (block_k, block_q)}
        if best is None or ranks[goal] > best[0]:
            best = ranks[goal], BlockSizes(block_q, block_k)
        block_q += multiple
    return None if best is None else best[1]


def _check(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
