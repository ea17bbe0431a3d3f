"""Split-KV decoding: one new query, many keys, so the keys are divided among SMs and the parts combined afterwards.

Source: Dao et al., "Flash-Decoding for long-context inference", 2023; flash_api.cpp and flash_fwd_kernel.h of
flash-attn (combine kernel).
Notation: part s has output O_s and logsumexp L_s; L = ln Σ e^{L_s}, O = Σ e^{L_s − L} O_s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from core.systems.attention_schedule import tile_schedule
from core.systems.flash_attention import attention_tiles, check_attention_inputs, default_state_dtype

BUSY = Fraction(8, 10)  # share of the SMs that row blocks alone must fill to make splitting pointless
GOOD = Fraction(85, 100)  # share of the best efficiency that is good enough


@dataclass(frozen=True, slots=True)
class SplitPart:
    """Attention over one part of the keys."""

    keys: range  # key positions of the part
    output: Tensor  # (..., N_q, Dv) O_s
    logsumexp: Tensor  # (..., N_q) L_s; −inf where a query sees no key of the part
    weight: Tensor  # (..., N_q) e^{L_s − L}, what the part counts for; the parts' weights sum to 1


@dataclass(frozen=True, slots=True)
class SplitDecode:
    """The parts and their combination."""

    output: Tensor  # (..., N_q, Dv) O
    logsumexp: Tensor  # (..., N_q) L
    parts: tuple[SplitPart, ...]  # from left to right


def split_kv_decode(
    q: Tensor, k: Tensor, v: Tensor, *, splits: int, block_k: int = 256, causal: bool = False
) -> SplitDecode:
    """Attention of a few queries with the keys divided into parts that know nothing of each other.

    Convention: the parts are whole numbers of key blocks, ⌈Tc / splits⌉ each, the last may have fewer; empty parts
    are left out, so there may be fewer parts than asked for. Causal is bottom-right: with one query it hides
    nothing.

    Args:
        q: (..., N_q, d) queries; in decoding N_q = 1.
        k: (..., N_k, d) keys.
        v: (..., N_k, Dv) values.
        splits: into how many parts, at least 1.
        block_k: Bc inside a part.
        causal: hide keys after the query.

    Raises:
        TypeError, ValueError: as `flash_attention`, or if splits is not positive.

    Source: flash-attn, combine_attn_seqk_parallel; num_n_blocks_per_split in its split-KV kernel.
    Differs: parts run one after the other; no paged cache.

    >>> import torch
    >>> q, k = torch.ones(1, 1), torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> decoded = split_kv_decode(q, k, k, splits=2, block_k=2)
    >>> [round(part.weight.item(), 4) for part in decoded.parts], round(decoded.output.item(), 4)
    ([0.1192, 0.8808], 2.4927)
    """
    if splits < 1:
        raise ValueError(f"splits must be at least 1, got {splits}")
    check_attention_inputs(q, k, v)
    n_q, n_k = q.shape[-2], k.shape[-2]
    blocks = tile_schedule(n_q, n_k, block_q=n_q, block_k=block_k).col_blocks
    per_part = -(-len(blocks) // splits)
    found: list[tuple[range, Tensor, Tensor]] = []
    for first in range(0, len(blocks), per_part):
        keys = range(blocks[first].start, blocks[min(first + per_part, len(blocks)) - 1].stop)
        hidden_tail = n_k - keys.stop  # keys after the part, which a causal mask counted from the end must know of
        found.append((keys, *_part(q, k, v, keys, hidden_tail if causal else None, block_k)))
    each = torch.stack([l for _, _, l in found])
    logsumexp = each.logsumexp(dim=0)
    weights = (each - logsumexp.masked_fill(logsumexp == -torch.inf, 0)).exp()
    parts = tuple(SplitPart(keys, o, l, w) for (keys, o, l), w in zip(found, weights, strict=True))
    output = torch.stack([part.weight.unsqueeze(-1) * part.output for part in parts]).sum(dim=0)
    return SplitDecode(output.to(q.dtype), logsumexp, parts)


def _part(q: Tensor, k: Tensor, v: Tensor, keys: range, hidden_tail: int | None, block_k: int) -> tuple[Tensor, Tensor]:
    """O_s and L_s of one part, both in the state's type; a query sees key c of the part if c ≤ r + N_k − N_q."""
    k_s, v_s = k[..., keys.start : keys.stop, :], v[..., keys.start : keys.stop, :]
    n_q = q.shape[-2]
    state = default_state_dtype(q.dtype)
    output = q.new_zeros(*q.shape[:-1], v.shape[-1], dtype=state)
    logsumexp = q.new_full(q.shape[:-1], -torch.inf, dtype=state)
    # Bottom-right: of the part's keys the last `hidden_tail` queries see all, the others are aligned to its end.
    free = n_q if hidden_tail is None else min(hidden_tail, n_q)
    for rows, masked in ((range(n_q - free), True), (range(n_q - free, n_q), False)):
        if rows:
            q_s = q[..., rows.start : rows.stop, :]
            steps = attention_tiles(q_s, k_s, v_s, block_q=len(rows), block_k=block_k, causal=masked)
            for step in steps:
                if step.tile.last_of_rows:
                    output[..., rows.start : rows.stop, :] = step.output
                    logsumexp[..., rows.start : rows.stop] = step.logsumexp
    return output, logsumexp


@dataclass(frozen=True, slots=True)
class SplitChoice:
    """Why a number of splits was chosen."""

    splits: int  # the choice
    efficiency: tuple[
        float | None, ...
    ]  # share of busy SMs with 1, 2, … splits; None: parts as long as with fewer; empty: not needed
    threshold: float  # the smallest efficiency that is good enough


def choose_splits(row_blocks: int, *, sm_count: int, key_blocks: int, max_splits: int = 128) -> SplitChoice:
    """How many splits keep the SMs busy: the fewest that reach 85 % of the best efficiency.

    Convention: efficiency is waves / ⌈waves⌉ with waves = row_blocks · splits / SMs. If the row blocks alone fill
    80 % of the SMs there is one split. A number of splits that gives parts as long as fewer splits do is no
    candidate.

    Args:
        row_blocks: batch · heads · Tr.
        sm_count: SMs; the caller of the kernel passes twice their number, because two blocks fit on each.
        key_blocks: Tc.
        max_splits: upper bound.

    Raises:
        ValueError: if an argument is not positive.

    Source: flash-attn 2, flash_api.cpp, num_splits_heuristic.
    Differs: exact fractions instead of float32.

    >>> choose_splits(48, sm_count=108, key_blocks=64).splits
    2
    """
    for name, value in (
        ("row_blocks", row_blocks),
        ("sm_count", sm_count),
        ("key_blocks", key_blocks),
        ("max_splits", max_splits),
    ):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if Fraction(row_blocks, sm_count) >= BUSY:
        return SplitChoice(1, (), 0.0)
    efficiency: list[Fraction | None] = []
    for splits in range(1, min(max_splits, sm_count, key_blocks) + 1):
        length, longer = -(-key_blocks // splits), -(-key_blocks // max(splits - 1, 1))
        waves = Fraction(row_blocks * splits, sm_count)
        efficiency.append(waves / math.ceil(waves) if splits == 1 or length != longer else None)
    threshold = GOOD * max(e for e in efficiency if e is not None)
    chosen = next(splits for splits, e in enumerate(efficiency, 1) if e is not None and e >= threshold)
    return SplitChoice(chosen, tuple(None if e is None else float(e) for e in efficiency), float(threshold))
