"""One result beside another: the plain algorithm, how far apart two outputs are, and what one query has seen so far.

Source: Vaswani et al., "Attention is all you need", arXiv:1706.03762, eq. 1; Dao et al., "FlashAttention",
arXiv:2205.14135, Algorithm 0.
Notation: as in `flash_attention`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.flash_attention import AttentionTileStep, check_attention_inputs, hidden_entries


def materialised_attention(q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False) -> Tensor:
    """(..., N_q, Dv) softmax(q kᵀ / √d) v with the whole score matrix in memory: Algorithm 0.

    Convention: causal is bottom-right; a query that sees no key gets 0.

    Args:
        q, k, v: (..., N_q, d), (..., N_k, d), (..., N_k, Dv), one floating type.
        causal: hide keys after the query.

    Raises:
        TypeError, ValueError: as `flash_attention`.

    Source: arXiv:2205.14135 Algorithm 0.
    Differs: no dropout.

    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    >>> print([round(value, 4) for value in materialised_attention(x, x, x).flatten().tolist()])
    [0.6698, 0.6605, 0.0558, 1.8884]
    """
    check_attention_inputs(q, k, v)
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if causal:
        shift = k.shape[-2] - q.shape[-2]
        hidden = hidden_entries(range(q.shape[-2]), range(k.shape[-2]), shift=shift, device=q.device)
        scores = scores.masked_fill(hidden, -torch.inf)
        return torch.softmax(scores, dim=-1).nan_to_num(nan=0.0) @ v
    return torch.softmax(scores, dim=-1) @ v


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far one array is from another."""

    max_error: float  # largest |got − expected|; NaN if `got` holds a number that is not finite
    equal_bits: int  # entries whose bits are the same
    entries: int  # all entries
    not_finite: int  # entries of `got` that are NaN or infinite

    @property
    def equal_share(self) -> float:
        """equal_bits / entries."""
        return self.equal_bits / self.entries


def agreement(got: Tensor, expected: Tensor) -> Agreement:
    """Compare two results entry by entry.

    Convention: differences are taken in float64; +0 and −0 have different bits, NaN of equal bits are equal; bits
    are compared in `got`'s type, to which `expected` is rounded.

    Args:
        got, expected: floating tensors of one shape.

    Raises:
        ValueError: if the shapes differ or are empty.

    Source: own.
    Differs: nothing left out.

    >>> agreement(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.5]))
    Agreement(max_error=0.5, equal_bits=2, entries=3, not_finite=0)
    """
    if got.shape != expected.shape or not got.numel():
        raise ValueError(
            f"got and expected must have one shape, not empty, got {tuple(got.shape)} and {tuple(expected.shape)}"
        )
    bits = {8: torch.int64, 4: torch.int32, 2: torch.int16}[got.element_size()]
    rounded = expected.to(got.dtype)
    equal = int((got.contiguous().view(bits) == rounded.contiguous().view(bits)).sum())
    broken = int((~torch.isfinite(got)).sum())
    apart = float("nan") if broken else float((got.double() - expected.double()).abs().max())
    return Agreement(apart, equal, got.numel(), broken)


@dataclass(frozen=True, slots=True)
class QueryStep:
    """What one tile does to one query."""

    step: int  # number of the step
    previous_max: float  # m before
    tile_max: float  # m̃, the query's largest score in this tile
    row_max: float  # m after
    rescale: float  # e^{m_old − m_new}
    previous_sum: float  # l before
    tile_sum: float  # what this tile adds to l, relative to the new m
    row_sum: float  # l after
    weights: Tensor  # (N_k,) attention over the keys seen so far, sums to 1; 0 for keys not seen yet

    @property
    def max_changed(self) -> bool:
        """This tile holds a new largest score."""
        return self.row_max != self.previous_max


def query_steps(steps: Iterable[AttentionTileStep], query: int, *, n_k: int) -> tuple[QueryStep, ...]:
    """Follow one query through the tiles: only the steps that visit it.

    Convention: weights are e^{S − m} / l with the algorithm's own m and l, so a rule that breaks them shows.

    Args:
        steps: of `attention_tiles`, one head (no head axis), in their order.
        query: its position.
        n_k: keys.

    Raises:
        ValueError: if the steps have a head axis or the query is negative.

    Source: own.
    Differs: nothing left out.

    >>> from core.systems.flash_attention import attention_tiles
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> seen = query_steps(attention_tiles(x, x, x, block_q=2, block_k=1), 1, n_k=2)
    >>> [(step.step, step.max_changed, [round(w, 4) for w in step.weights.tolist()]) for step in seen]
    [(0, True, [1.0, 0.0]), (1, True, [0.0558, 0.9442])]
    """
    if query < 0:
        raise ValueError(f"query must not be negative, got {query}")
    found: list[QueryStep] = []
    seen: Tensor | None = None
    total = 0.0
    for step in steps:
        if step.row_max.ndim != 1:
            raise ValueError(f"steps must be of one head, got m of shape {tuple(step.row_max.shape)}")
        rows, cols = step.tile.rows, step.tile.cols
        if query not in rows:
            continue
        r = query - rows.start
        seen = step.scores.new_full((n_k,), -torch.inf) if seen is None else seen.clone()
        seen[cols.start : cols.stop] = step.scores[r]
        m, l = step.row_max[r], step.row_sum[r]
        finite = torch.where(m == -torch.inf, torch.zeros_like(m), m)
        weights = torch.exp(seen - finite) / torch.where(l == 0, torch.ones_like(l), l)
        rescale = float(step.rescale[r])
        added = float(torch.exp(step.scores[r] - finite).sum())
        found.append(
            QueryStep(
                step.tile.index,
                float(step.previous_max[r]),
                float(step.tile_max[r]),
                float(m),
                rescale,
                total,
                added,
                float(l),
                weights,
            )
        )
        total = float(l)
    return tuple(found)
