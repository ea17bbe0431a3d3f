"""What the registers of one row of the output go through, tile by tile.

Source: own; the registers are those of arXiv:2307.08691 Algorithm 1.
Notation: m, l, O as in `flash_attention`; T visited tiles, so T + 1 states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.systems.flash_attention import AttentionTileStep


@dataclass(frozen=True, slots=True)
class RowRegisters:
    """One query's registers before the first tile and after every tile, whichever rows that tile is of."""

    row: int  # query position
    row_max: Tensor  # (..., T + 1) m; −inf at first
    row_sum: Tensor  # (..., T + 1) l; 0 at first
    accumulator: Tensor  # (..., T + 1, Dv) O as it is kept; 0 at first
    output: Tensor  # (..., T + 1, Dv) attention over the keys seen so far; 0 at first
    rescale: Tensor  # (..., T) e^{m_old − m_new}; 1 at tiles of other rows
    touched: Tensor  # (T,) bool, the tile is one of this row's
    max_changed: Tensor  # (..., T) bool, the tile replaced m
    last_max_change: Tensor  # (...) index of the last tile that replaced m; −1 if none did


def row_registers(steps: Sequence[AttentionTileStep], row: int) -> RowRegisters:
    """Follow one query through all steps.

    Convention: between its tiles a row keeps its state (in registers with "fa2", in HBM with "fa1").

    Args:
        steps: of `attention_tiles`, all of them, at least one.
        row: query position, one that is visited.

    Raises:
        ValueError: if there is no step, or none visits the row.

    Source: own.
    Differs: nothing left out.

    >>> from core.systems.flash_attention import attention_tiles
    >>> x = torch.tensor([[0.0], [1.0], [3.0], [2.0]])
    >>> registers = row_registers(tuple(attention_tiles(x, x, x, block_q=4, block_k=1)), 1)
    >>> registers.row_max.tolist(), registers.last_max_change.item()
    ([-inf, 0.0, 1.0, 3.0, 3.0], 2)
    """
    touched = [row in step.tile.rows for step in steps]
    if not any(touched):
        raise ValueError(f"row must be one that a step visits, got row {row} and {len(steps)} steps")
    first = steps[touched.index(True)]
    at = row - first.tile.rows.start
    m = torch.full_like(first.row_max[..., at], -torch.inf)
    l, o = torch.zeros_like(m), torch.zeros_like(first.accumulator[..., at, :])
    states = [(m, l, o, o)]
    rescale: list[Tensor] = []
    changed: list[Tensor] = []
    for step, own in zip(steps, touched, strict=True):
        if own:
            at = row - step.tile.rows.start
            states.append(
                (step.row_max[..., at], step.row_sum[..., at], step.accumulator[..., at, :], step.output[..., at, :])
            )
        else:
            states.append(states[-1])
        rescale.append(step.rescale[..., at] if own else torch.ones_like(m))
        changed.append(step.max_changed[..., at] if own else torch.zeros_like(m, dtype=torch.bool))
    m, l = (torch.stack([state[i] for state in states], dim=-1) for i in (0, 1))
    accumulator, output = (torch.stack([state[i] for state in states], dim=-2) for i in (2, 3))
    max_changed = torch.stack(changed, dim=-1)
    place = torch.arange(len(steps), device=m.device)
    last = torch.where(max_changed, place, -1).amax(dim=-1)
    return RowRegisters(
        row, m, l, accumulator, output, torch.stack(rescale, dim=-1), torch.tensor(touched), max_changed, last
    )


def last_max_changes(steps: Sequence[AttentionTileStep], n_q: int) -> Tensor:
    """(..., n_q) int64: for every row the step at which its m was last replaced; −1 if it never was.

    Args:
        steps: of `attention_tiles`, all of them, at least one.
        n_q: queries.

    Raises:
        ValueError: if there is no step, or a step visits a row that is not there.

    Source: own.
    Differs: nothing left out.

    >>> from core.systems.flash_attention import attention_tiles
    >>> x = torch.tensor([[-1.0], [1.0], [3.0], [2.0]])
    >>> last_max_changes(tuple(attention_tiles(x, x, x, block_q=2, block_k=2)), 4).tolist()
    [0, 1, 3, 3]
    """
    if not steps:
        raise ValueError("steps must hold at least one step, got none")
    last = torch.full((*steps[0].row_max.shape[:-1], n_q), -1, dtype=torch.int64, device=steps[0].row_max.device)
    for place, step in enumerate(steps):
        rows = step.tile.rows
        if rows.stop > n_q:
            raise ValueError(f"n_q must cover the rows that are visited, got {n_q} and rows {rows}")
        part = last[..., rows.start : rows.stop]
        last[..., rows.start : rows.stop] = torch.where(step.max_changed, place, part)
    return last
