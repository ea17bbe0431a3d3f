"""FlashAttention's forward pass, one tile at a time: softmax attention whose N × N score matrix never exists as a whole.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, Algorithm 1; Dao, "FlashAttention-2", arXiv:2307.08691,
Algorithm 1.
Notation: S scores q·k/√d, m running row maximum, l running row sum of e^{S−m}, O output, L = m + ln l logsumexp,
P̃ = e^{S−m} before any division; tiles as in `attention_schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from core.systems.attention_schedule import Order, Tile, TileSchedule, tile_schedule

Rule: TypeAlias = Literal["running_max", "inverse_as_printed", "no_max"]
RULES: tuple[Rule, ...] = get_args(Rule)
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class AttentionTileStep:
    """What is on chip just after one tile; `...` stands for the heads, if there are any."""

    tile: Tile  # which rows and columns, and the number of the step
    order: Order  # "fa1": the accumulator is divided by l after every tile; "fa2": only at the end
    scores: Tensor  # (..., Br, Bc) S of the tile; hidden entries are −inf
    probabilities: Tensor  # (..., Br, Bc) P̃ = e^{S − reference}, reference m̃ of the tile (fa1) or m (fa2)
    tile_max: Tensor  # (..., Br) m̃, largest score of the row in this tile; −inf if all are hidden
    previous_max: Tensor  # (..., Br) m before the tile; −inf before the first
    row_max: Tensor  # (..., Br) m after the tile
    rescale: Tensor  # (..., Br) e^{m_old − m_new}, what the old l and O still count for; 0 at the first tile
    row_sum: Tensor  # (..., Br) l after the tile, relative to row_max
    accumulator: Tensor  # (..., Br, Dv) O as it is kept after the tile

    @property
    def output(self) -> Tensor:
        """(..., Br, Dv) attention of these queries over the keys seen so far; 0 for a query that has seen none."""
        return self.accumulator if self.order == "fa1" else _divided(self.accumulator, self.row_sum)

    @property
    def logsumexp(self) -> Tensor:
        """(..., Br) L = m + ln l over the keys seen so far; −inf for a query that has seen none."""
        return self.row_max + self.row_sum.log()

    @property
    def max_changed(self) -> Tensor:
        """(..., Br) bool, the rows whose m this tile replaced."""
        return self.row_max != self.previous_max


def attention_tiles(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    block_q: int,
    block_k: int,
    causal: bool = False,
    order: Order = "fa2",
    key_order: Sequence[int] | None = None,
    rule: Rule = "running_max",
    rescale_threshold: float = 0.0,
    state_dtype: torch.dtype | None = None,
) -> Iterator[AttentionTileStep]:
    """Visit the tiles of softmax(q kᵀ / √d) v and keep m, l and O of every row up to date.

    Convention: float16 and bfloat16 inputs are multiplied exactly, S, m, l and O are kept in float32, and P̃ is
    rounded to the inputs' type before it meets V, as the CUDA kernels do; `state_dtype=q.dtype` keeps everything in
    the inputs' type instead. Causal alignment, orders and key_order as in `tile_schedule`.
    `rule` names what happens to the row maximum:
    "running_max" is the algorithm.
    "inverse_as_printed" multiplies O by diag(e^{m_old − m_new})⁻¹, as FlashAttention-2 prints it in Algorithm 1,
    line 10; it is a misprint and gives a wrong result (before a row's first tile, where it would be ∞ · 0, the
    factor is 1). "fa2" only.
    "no_max" never subtracts a maximum (m stays 0), which is the same in real numbers and overflows in floats.
    `rescale_threshold` > 0 keeps an old m, and therefore O, as long as the maximum grew by no more than so many
    powers of two; 0 always takes the new one. FlashAttention-4 does so to save work; the result is as exact. "fa2"
    only.

    Args:
        q: (..., N_q, d) queries; one head (N_q, d) or several (H, N_q, d), batched inside each tile.
        k: (..., N_k, d) keys, same heads.
        v: (..., N_k, Dv) values, same heads.
        block_q, block_k: tile height Br and width Bc, at least 1.
        causal: hide keys after the query; tiles that would be empty are skipped.
        order: "fa1" (K/V outside) or "fa2" (Q outside).
        key_order: order in which column blocks are visited, a permutation; None for left to right.
        rule: "running_max", "inverse_as_printed" or "no_max".
        rescale_threshold: in powers of two, not negative.
        state_dtype: type of S, m, l and O; None for float32 with half inputs, else the inputs' own.

    Yields:
        One step per visited tile; a step never changes after it is yielded. All arguments are checked at the call.

    Raises:
        TypeError: if q, k, v are not of one floating type.
        ValueError: if shapes do not match, a block is not positive, or an option is unknown or not for this order.

    Source: arXiv:2205.14135 Algorithm 1 and appendix B.3 ("fa1"); arXiv:2307.08691 Algorithm 1 ("fa2");
        flash_attn/cute/softmax.py of flash-attn for the threshold.
    Differs: no dropout, no exp2 trick, one row decides for itself about the threshold (the kernel: a warp together).

    >>> q = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> for step in attention_tiles(q, q, q, block_q=2, block_k=1):
    ...     print(step.tile.index, [round(x, 4) for x in step.row_max.tolist() + step.row_sum.tolist()])
    0 [0.7071, 0.0, 1.0, 1.0]
    1 [0.7071, 2.8284, 1.4931, 1.0591]
    """
    check_attention_inputs(q, k, v)
    schedule = tile_schedule(
        q.shape[-2], k.shape[-2], block_q=block_q, block_k=block_k, causal=causal, order=order, key_order=key_order
    )
    if rule not in RULES:
        raise ValueError(f"rule must be one of {RULES}, got {rule!r}")
    if not 0 <= rescale_threshold < math.inf:
        raise ValueError(f"rescale_threshold must not be negative, got {rescale_threshold}")
    if order == "fa1" and rule == "inverse_as_printed":
        raise ValueError('rule "inverse_as_printed" is a misprint of FlashAttention-2, got order "fa1"')
    if rescale_threshold and (order == "fa1" or rule == "no_max"):
        raise ValueError(f'rescale_threshold needs order "fa2" and a running maximum, got {order!r} and {rule!r}')
    state = state_dtype or default_state_dtype(q.dtype)
    if not state.is_floating_point:
        raise TypeError(f"state_dtype must be a floating type, got {state}")
    if order == "fa1":
        return _fa1_steps(q, k, v, schedule, rule, state)
    return _fa2_steps(q, k, v, schedule, rule, rescale_threshold, state)


def _fa2_steps(
    q: Tensor, k: Tensor, v: Tensor, schedule: TileSchedule, rule: Rule, threshold: float, state: torch.dtype
) -> Iterator[AttentionTileStep]:
    rounded = q.dtype if q.dtype != state else None
    queries, keys, values = _blocks(q, k, v, schedule, state)
    m, l, acc = _registers(queries[0], v)
    for tile in schedule.tiles:
        if tile.first_of_rows:
            m, l, acc = _registers(queries[tile.row_block], v)
        s = _scores(queries[tile.row_block], keys[tile.col_block], tile, schedule)
        m_tile = s.amax(dim=-1)
        if rule == "no_max":
            m_old, m_new, alpha, p = torch.zeros_like(m), torch.zeros_like(m), torch.ones_like(m), s.exp()
        else:
            m_old, m_new = m, torch.maximum(m, m_tile)
            if threshold:
                stale = (m_new - m_old) * math.log2(math.e) <= threshold  # false for −inf − −inf
                m_new = torch.where(stale, m_old, m_new)
            finite = _finite(m_new) if tile.masked else m_new  # elsewhere every row has seen a key
            alpha, p = (m_old - finite).exp_(), (s - finite.unsqueeze(-1)).exp_()
        l = torch.addcmul(p.sum(dim=-1), alpha, l)
        factor = alpha
        if rule == "inverse_as_printed":
            factor = torch.where(m_old == -torch.inf, 1, 1 / alpha)
        acc = factor.unsqueeze(-1) * acc + _rounded(p, rounded) @ values[tile.col_block]
        m = m_new
        yield AttentionTileStep(tile, "fa2", s, p, m_tile, m_old, m, alpha, l, acc)
        del s, p  # nobody here needs them any more, see `collect_tiles`


def _fa1_steps(
    q: Tensor, k: Tensor, v: Tensor, schedule: TileSchedule, rule: Rule, state: torch.dtype
) -> Iterator[AttentionTileStep]:
    rounded = q.dtype if q.dtype != state else None
    queries, keys, values = _blocks(q, k, v, schedule, state)
    memory = [_registers(q_i, v) for q_i in queries]  # m, l and O go back to HBM after every tile
    for tile in schedule.tiles:
        m, l, out = memory[tile.row_block]
        s = _scores(queries[tile.row_block], keys[tile.col_block], tile, schedule)
        m_tile = s.amax(dim=-1)
        if rule == "no_max":
            m_old = m_new = torch.zeros_like(m)
            alpha = beta = torch.ones_like(m)
            p = s.exp()
        else:
            m_old, m_new = m, torch.maximum(m, m_tile)
            reference, finite = (_finite(m_tile), _finite(m_new)) if tile.masked else (m_tile, m_new)
            p = (s - reference.unsqueeze(-1)).exp_()
            alpha, beta = torch.exp(m_old - finite), torch.exp(m_tile - finite)
        l_new = alpha * l + beta * p.sum(dim=-1)
        new = _rounded(p, rounded) @ values[tile.col_block]
        out = _divided((l * alpha).unsqueeze(-1) * out + beta.unsqueeze(-1) * new, l_new)
        memory[tile.row_block] = m_new, l_new, out
        yield AttentionTileStep(tile, "fa1", s, p, m_tile, m_old, m_new, alpha, l_new, out)
        del s, p


@dataclass(frozen=True, slots=True)
class FlashAttention:
    """The result of the forward pass."""

    output: Tensor  # (..., N_q, Dv) O, in the inputs' type; 0 for a query that sees no key
    logsumexp: Tensor  # (..., N_q) L = m + ln l; −inf for a query that sees no key
    visited_tiles: int  # steps


def flash_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    block_q: int = 128,
    block_k: int = 512,
    causal: bool = False,
    order: Order = "fa2",
    key_order: Sequence[int] | None = None,
    rule: Rule = "running_max",
    rescale_threshold: float = 0.0,
    state_dtype: torch.dtype | None = None,
) -> FlashAttention:
    """Exact attention and its logsumexp: `attention_tiles` run to the end.

    Convention: a query that sees no key (causal with N_q > N_k) gets O = 0 and L = −inf; the FlashAttention-2 CUDA
    kernel writes L = +inf there, torch's kernels −inf or NaN.

    Args: as `attention_tiles`; the default blocks are quick on a CPU.

    Raises: as `attention_tiles`.

    Source, Differs: as `attention_tiles`.

    >>> q = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    >>> result = flash_attention(q, q, q, block_q=1, block_k=1)
    >>> print([round(x, 6) for x in result.output.flatten().tolist() + result.logsumexp.tolist()])
    [0.669762, 0.660477, 0.055807, 1.888386, 1.10794, 2.885852]
    """
    steps = attention_tiles(
        q,
        k,
        v,
        block_q=block_q,
        block_k=block_k,
        causal=causal,
        order=order,
        key_order=key_order,
        rule=rule,
        rescale_threshold=rescale_threshold,
        state_dtype=state_dtype,
    )
    return collect_tiles(steps, q, v)


def collect_tiles(steps: Iterable[AttentionTileStep], q: Tensor, v: Tensor) -> FlashAttention:
    """Read the result off the steps of `attention_tiles`: the last step of each row block holds its rows' O and L.

    Convention: rows that no step visits see no key, see `flash_attention`.

    Args:
        steps: all of them, in their order.
        q, v: the tensors given to `attention_tiles`.

    Raises:
        ValueError: if the steps visit rows that q does not have.

    Source: own.
    Differs: nothing left out.

    >>> q = torch.eye(4, dtype=torch.float64)
    >>> steps = tuple(attention_tiles(q, q, q, block_q=2, block_k=2))
    >>> collect_tiles(steps, q, q).visited_tiles, round(float(collect_tiles(steps[:1], q, q).output[0, 0]), 6)
    (4, 0.622459)
    """
    output = q.new_zeros(*q.shape[:-1], v.shape[-1])
    logsumexp: Tensor | None = None
    seen = 0
    pending: dict[int, tuple[range, Order, Tensor, Tensor, Tensor]] = {}  # row blocks whose last tile has not come yet

    def write(rows: range, order: Order, m: Tensor, l: Tensor, accumulator: Tensor) -> None:
        nonlocal logsumexp
        if logsumexp is None:
            logsumexp = m.new_full(q.shape[:-1], -torch.inf)
        if rows.stop > q.shape[-2]:
            raise ValueError(f"steps must visit rows of q, which has {q.shape[-2]}, got rows {rows}")
        output[..., rows.start : rows.stop, :] = accumulator if order == "fa1" else _divided(accumulator, l)
        logsumexp[..., rows.start : rows.stop] = m + l.log()

    for step in steps:
        seen += 1
        registers = step.tile.rows, step.order, step.row_max, step.row_sum, step.accumulator
        if step.tile.last_of_rows:
            pending.pop(step.tile.row_block, None)
            write(*registers)
        else:
            pending[step.tile.row_block] = registers
        del step  # frees the tile's S and P̃ before the next ones are made, in the same memory
    for registers in pending.values():  # the steps were cut short
        write(*registers)
    if logsumexp is None:
        logsumexp = q.new_full(q.shape[:-1], -torch.inf, dtype=default_state_dtype(q.dtype))
    return FlashAttention(output, logsumexp, seen)


def default_state_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which type S, m, l and O are kept: float32 for the half types, else the inputs' own.

    Source: the CUDA kernels of flash-attn, which accumulate in float32.
    Differs: nothing left out.

    >>> default_state_dtype(torch.bfloat16), default_state_dtype(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.float32 if dtype in HALF else dtype


def check_attention_inputs(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Refuse what no attention can be computed of.

    Args:
        q, k, v: (..., N_q, d), (..., N_k, d), (..., N_k, Dv), one type, same heads.

    Raises:
        TypeError: if they are not of one floating type.
        ValueError: if the shapes do not fit.

    Source: own.
    Differs: nothing left out.

    >>> check_attention_inputs(torch.zeros(2, 4), torch.zeros(3, 5), torch.zeros(3, 4))
    Traceback (most recent call last):
    ValueError: q and k must have one d, got (2, 4) and (3, 5)
    """
    if not (q.dtype == k.dtype == v.dtype and q.dtype.is_floating_point):
        raise TypeError(f"q, k, v must be of one floating type, got {q.dtype}, {k.dtype}, {v.dtype}")
    shapes = tuple(q.shape), tuple(k.shape), tuple(v.shape)
    if min(map(len, shapes)) < 2 or 0 in sum(shapes, ()):
        raise ValueError(
            f"q, k, v must be (..., tokens, channels) and not empty, got {shapes[0]}, {shapes[1]}, {shapes[2]}"
        )
    if not shapes[0][:-2] == shapes[1][:-2] == shapes[2][:-2]:
        raise ValueError(f"q, k, v must have the same heads, got {shapes[0]}, {shapes[1]}, {shapes[2]}")
    if shapes[0][-1] != shapes[1][-1]:
        raise ValueError(f"q and k must have one d, got {shapes[0]} and {shapes[1]}")
    if shapes[1][-2] != shapes[2][-2]:
        raise ValueError(f"k and v must have as many tokens, got {shapes[1]} and {shapes[2]}")


def hidden_entries(rows: range, cols: range, *, shift: int, device: torch.device) -> Tensor:
    """(Br, Bc) bool: the entries of a tile whose key comes after its query, c > r + shift.

    Convention: bottom-right, shift = N_k − N_q.

    Args:
        rows, cols: query and key positions.
        shift: N_k − N_q.
        device: where the result lives.

    Source: own.
    Differs: nothing left out.

    >>> hidden_entries(range(0, 2), range(0, 3), shift=0, device=torch.device("cpu")).tolist()
    [[False, True, True], [False, False, True]]
    """
    query = torch.arange(rows.start + shift, rows.stop + shift, device=device)
    key = torch.arange(cols.start, cols.stop, device=device)
    return key > query.unsqueeze(-1)


def _blocks(
    q: Tensor, k: Tensor, v: Tensor, schedule: TileSchedule, state: torch.dtype
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """(..., Br, d) Q_i / √d, (..., d, Bc) K_jᵀ and (..., Bc, Dv) V_j of all blocks, in the state's type."""
    scaled, k_t, v = q.to(state) * q.shape[-1] ** -0.5, k.to(state).mT, v.to(state)  # scaled once, not in every tile
    return (
        [scaled[..., rows.start : rows.stop, :] for rows in schedule.row_blocks],
        [k_t[..., cols.start : cols.stop] for cols in schedule.col_blocks],
        [v[..., cols.start : cols.stop, :] for cols in schedule.col_blocks],
    )


def _registers(q_i: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """m = −inf, l = 0, O = 0 of a row block."""
    m = torch.full_like(q_i[..., 0], -torch.inf)
    return m, torch.zeros_like(m), q_i.new_zeros(*q_i.shape[:-1], v.shape[-1])


def _scores(q_i: Tensor, k_j: Tensor, tile: Tile, schedule: TileSchedule) -> Tensor:
    s = q_i @ k_j
    if tile.masked:
        shift = schedule.n_k - schedule.n_q
        s = s.masked_fill_(hidden_entries(tile.rows, tile.cols, shift=shift, device=s.device), -torch.inf)
    return s


def _finite(m: Tensor) -> Tensor:
    """m with 0 for −inf: where nothing has been seen, e^{S − m} must be 0 and not NaN."""
    return m.masked_fill(m == -torch.inf, 0)


def _rounded(p: Tensor, dtype: torch.dtype | None) -> Tensor:
    return p if dtype is None else p.to(dtype).to(p.dtype)


def _divided(accumulator: Tensor, l: Tensor) -> Tensor:
    """O / l, 0 where no key has been seen."""
    return accumulator / l.masked_fill(l == 0, 1).unsqueeze(-1)
