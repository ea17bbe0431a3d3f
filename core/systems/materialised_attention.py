"""Attention as it is written down: the whole N_q × N_k score matrix, its softmax, the product with V.

Source: Vaswani et al., "Attention is all you need", arXiv:1706.03762, eq. 1; Dao et al., "FlashAttention",
arXiv:2205.14135, Algorithm 0.
Notation: S scores, P probabilities, L logsumexp.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.flash_attention import check_attention_inputs, default_state_dtype, hidden_entries


@dataclass(frozen=True, slots=True)
class MaterialisedAttention:
    """The result and the two matrices that FlashAttention never has."""

    scores: Tensor  # (..., N_q, N_k) S; hidden entries are −inf
    probabilities: Tensor  # (..., N_q, N_k) P; rows sum to 1, a row that sees no key is 0
    output: Tensor  # (..., N_q, Dv) O, in the inputs' type
    logsumexp: Tensor  # (..., N_q) L; −inf for a query that sees no key


def materialised_attention(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, state_dtype: torch.dtype | None = None
) -> MaterialisedAttention:
    """softmax(q kᵀ / √d) v with the whole matrices in memory.

    Convention: a query that sees no key gets P = 0, O = 0 and L = −inf (torch's softmax gives NaN). Causal is
    bottom-right. Half inputs are computed in float32 unless `state_dtype` says otherwise.

    Args:
        q, k, v: as in `attention_tiles`.
        causal: hide keys after the query.
        state_dtype: type of S, P and L; None for float32 with half inputs, else the inputs' own.

    Raises:
        TypeError, ValueError: as `attention_tiles`.

    Source: arXiv:1706.03762 eq. 1.
    Differs: no dropout; P is not rounded to the inputs' type.

    >>> q = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    >>> [round(x, 6) for x in materialised_attention(q, q, q).output.flatten().tolist()]
    [0.669762, 0.660477, 0.055807, 1.888386]
    """
    check_attention_inputs(q, k, v)
    state = state_dtype or default_state_dtype(q.dtype)
    scores = (q.to(state) * q.shape[-1] ** -0.5) @ k.to(state).mT
    n_q, n_k = scores.shape[-2:]
    if causal:
        hidden = hidden_entries(range(n_q), range(n_k), shift=n_k - n_q, device=q.device)
        scores = scores.masked_fill(hidden, -torch.inf)
    largest = scores.amax(dim=-1, keepdim=True)
    exponentials = (scores - largest.masked_fill(largest == -torch.inf, 0)).exp()
    total = exponentials.sum(dim=-1, keepdim=True)
    probabilities = exponentials / total.masked_fill(total == 0, 1)
    logsumexp = (largest + total.log()).squeeze(-1)
    return MaterialisedAttention(scores, probabilities, (probabilities @ v.to(state)).to(q.dtype), logsumexp)
