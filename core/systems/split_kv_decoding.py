"""Split-KV decoding: one new query, many keys, so the keys are divided among SMs and the parts combined afterwards.

Source: Dao et al., "Flash-Decoding for long-context inference", 2023; flash_api.cpp and flash_fwd_kernel.h of
flash-attn (combine kernel).
Notation: part s has output O_s and logsumexp L_s; L = ln Σ e^{L_s}, O = Σ e^{L_s − L} O_s.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
    ([0.1192, 0.8808], 2.4926)
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class SplitChoice:
    """Why a number of splits was chosen."""

    splits: int  # the choice
    efficiency: tuple[float | None, ...]  # (max,) share of busy SMs with 1, 2, … splits; None: the same as fewer
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
    raise NotImplementedError
