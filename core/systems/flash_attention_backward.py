"""FlashAttention's backward pass, one tile at a time: P is computed again from Q, K and L instead of being kept.

Source: Dao, "FlashAttention-2", arXiv:2307.08691, Algorithm 2.
Notation: L logsumexp of each row, D = rowsum(dO ∘ O), P = e^{S − L}, dP = dO Vᵀ, dS = P ∘ (dP − D); τ = 1/√d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from core.systems.attention_schedule import Tile


@dataclass(frozen=True, slots=True)
class BackwardTileStep:
    """What is on chip just after one tile of the backward pass."""

    tile: Tile  # which rows and columns, and the number of the step
    probabilities: Tensor  # (..., Br, Bc) P, computed again; hidden entries are 0
    grad_probabilities: Tensor  # (..., Br, Bc) dP = dO Vᵀ
    grad_scores: Tensor  # (..., Br, Bc) dS = P ∘ (dP − D)
    delta: Tensor  # (..., Br) D of the rows
    grad_q: Tensor  # (..., Br, d) dQ of the rows, summed over the tiles so far
    grad_k: Tensor  # (..., Bc, d) dK of the columns, summed over the tiles so far
    grad_v: Tensor  # (..., Bc, Dv) dV of the columns, summed over the tiles so far


def backward_tiles(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    output: Tensor,
    logsumexp: Tensor,
    grad_output: Tensor,
    *,
    block_q: int,
    block_k: int,
    causal: bool = False,
) -> Iterator[BackwardTileStep]:
    """Visit the tiles of the backward pass: K/V outside, Q inside, dQ added up over the outer loop.

    Convention: both papers and the CUDA kernels run over K/V outside, where dQ of a row block is added to by every
    column block (atomically on a GPU, so its float sum depends on who comes first; here from left to right).
    A query that sees no key has gradient 0.

    Args:
        q: (..., N_q, d) queries, as given to `flash_attention`.
        k: (..., N_k, d) keys.
        v: (..., N_k, Dv) values.
        output: (..., N_q, Dv) O of the forward pass.
        logsumexp: (..., N_q) L of the forward pass.
        grad_output: (..., N_q, Dv) dO, gradient of the loss by O.
        block_q, block_k, causal: as in `flash_attention`; the blocks may be others than forward's.

    Yields:
        One step per visited tile. All arguments are checked at the call.

    Raises:
        TypeError: if the tensors are not of one floating type (L may be wider).
        ValueError: if shapes do not match or a block is not positive.

    Source: arXiv:2307.08691 Algorithm 2, with D of shape (N_q,) where it prints d, and the factor τ on dQ and dK
        that it leaves out.
    Differs: no dropout; half inputs are computed in float32 without rounding P and dS.

    >>> import torch
    >>> from core.systems.flash_attention import flash_attention
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> forward = flash_attention(x, x, x, block_q=1, block_k=1)
    >>> ones = torch.ones(2, 2)
    >>> steps = list(backward_tiles(x, x, x, forward.output, forward.logsumexp, ones, block_q=2, block_k=1))
    >>> [round(step.probabilities[0].item(), 4) for step in steps]
    [0.6698, 0.3302]
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class AttentionGradients:
    """The result of the backward pass."""

    grad_q: Tensor  # (..., N_q, d) dQ
    grad_k: Tensor  # (..., N_k, d) dK
    grad_v: Tensor  # (..., N_k, Dv) dV
    delta: Tensor  # (..., N_q) D


def flash_attention_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    output: Tensor,
    logsumexp: Tensor,
    grad_output: Tensor,
    *,
    block_q: int = 256,
    block_k: int = 256,
    causal: bool = False,
) -> AttentionGradients:
    """Gradients of attention: `backward_tiles` run to the end.

    Args, Raises, Source, Differs: as `backward_tiles`.

    >>> import torch
    >>> from core.systems.flash_attention import flash_attention
    >>> x = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> forward = flash_attention(x, x, x)
    >>> gradients = flash_attention_backward(x, x, x, forward.output, forward.logsumexp, torch.ones(2, 2))
    >>> [round(value, 4) for value in gradients.grad_v[:, 0].tolist()]
    [0.7256, 1.2744]
    """
    raise NotImplementedError
