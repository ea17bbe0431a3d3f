"""One result beside another: the plain algorithm, and how far apart two outputs are.

Source: Vaswani et al., "Attention is all you need", arXiv:1706.03762, eq. 1; Dao et al., "FlashAttention",
arXiv:2205.14135, Algorithm 0.
Notation: as in `flash_attention`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.flash_attention import check_attention_inputs, hidden_entries


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
