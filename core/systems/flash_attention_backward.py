"""FlashAttention's backward pass, one tile at a time: P is computed again from Q, K and L instead of being kept.

Source: Dao, "FlashAttention-2", arXiv:2307.08691, Algorithm 2.
Notation: L logsumexp of each row, D = rowsum(dO ∘ O), P = e^{S − L}, dP = dO Vᵀ, dS = P ∘ (dP − D); τ = 1/√d.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.attention_schedule import Tile, TileSchedule, tile_schedule
from core.systems.flash_attention import check_attention_inputs, default_state_dtype, hidden_entries


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
    check_attention_inputs(q, k, v)
    schedule = tile_schedule(q.shape[-2], k.shape[-2], block_q=block_q, block_k=block_k, causal=causal, order="fa1")
    wanted = (*q.shape[:-1], v.shape[-1])
    for name, tensor, shape in (
        ("output", output, wanted),
        ("grad_output", grad_output, wanted),
        ("logsumexp", logsumexp, q.shape[:-1]),
    ):
        if not tensor.dtype.is_floating_point:
            raise TypeError(f"{name} must be of a floating type, got {tensor.dtype}")
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")
    state = default_state_dtype(q.dtype)
    tensors = [tensor.to(state) for tensor in (q, k, v, output, logsumexp, grad_output)]
    return _steps(tensors, schedule)


def _steps(tensors: Sequence[Tensor], schedule: TileSchedule) -> Iterator[BackwardTileStep]:
    q, k, v, output, logsumexp, grad_output = tensors
    tau = q.shape[-1] ** -0.5
    delta = (grad_output * output).sum(dim=-1)
    # A row that sees no key has L = −inf; +inf makes its e^{S − L} 0 instead of NaN, as in the CUDA kernel.
    safe = logsumexp.masked_fill(logsumexp == -torch.inf, torch.inf)
    grad_q = [q.new_zeros(*q.shape[:-2], len(rows), q.shape[-1]) for rows in schedule.row_blocks]
    grad_k, grad_v = k[..., :0, :], v[..., :0, :]
    for tile in schedule.tiles:
        rows, cols = slice(tile.rows.start, tile.rows.stop), slice(tile.cols.start, tile.cols.stop)
        q_i, k_j, v_j, grad_o = q[..., rows, :], k[..., cols, :], v[..., cols, :], grad_output[..., rows, :]
        if tile.first_of_cols:
            grad_k, grad_v = torch.zeros_like(k_j), torch.zeros_like(v_j)
        s = (q_i @ k_j.mT) * tau
        if tile.masked:
            hidden = hidden_entries(tile.rows, tile.cols, shift=schedule.n_k - schedule.n_q, device=s.device)
            s = s.masked_fill_(hidden, -torch.inf)
        p = (s - safe[..., rows].unsqueeze(-1)).exp_()
        grad_v = grad_v + p.mT @ grad_o
        grad_p = grad_o @ v_j.mT
        grad_s = p * (grad_p - delta[..., rows].unsqueeze(-1))
        grad_q[tile.row_block] = grad_q[tile.row_block] + tau * (grad_s @ k_j)
        grad_k = grad_k + tau * (grad_s.mT @ q_i)
        yield BackwardTileStep(tile, p, grad_p, grad_s, delta[..., rows], grad_q[tile.row_block], grad_k, grad_v)


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
    state = default_state_dtype(q.dtype)
    steps = backward_tiles(q, k, v, output, logsumexp, grad_output, block_q=block_q, block_k=block_k, causal=causal)
    grad_q, grad_k, grad_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
    for step in steps:
        rows, cols = step.tile.rows, step.tile.cols
        if step.tile.last_of_rows:
            grad_q[..., rows.start : rows.stop, :] = step.grad_q
        if step.tile.last_of_cols:
            grad_k[..., cols.start : cols.stop, :] = step.grad_k
            grad_v[..., cols.start : cols.stop, :] = step.grad_v
    delta = (grad_output.to(state) * output.to(state)).sum(dim=-1)
    return AttentionGradients(grad_q, grad_k, grad_v, delta)
