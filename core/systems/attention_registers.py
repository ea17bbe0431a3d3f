"""What one row of the output goes through, and how far two ways of computing it end up apart.

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
    raise NotImplementedError


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
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Difference:
    """How far two tensors of one type are apart."""

    entries: int  # how many were compared
    bit_equal: int  # how many have the same bits
    largest: float  # largest |a − b|; NaN if any of them is NaN
    relative: float  # ‖a − b‖ / ‖b‖, Frobenius; 0 if both are 0

    @property
    def bit_equal_share(self) -> float:
        """bit_equal / entries."""
        return self.bit_equal / self.entries


def difference(got: Tensor, reference: Tensor) -> Difference:
    """Compare two tensors bit by bit and by value.

    Convention: bits are compared in the tensors' own type; 0.0 and −0.0 are equal values with different bits. Values
    are compared in float64. Equal infinities are 0 apart.

    Args:
        got, reference: of one shape and type, not empty.

    Raises:
        TypeError: if the types differ or are not floating.
        ValueError: if the shapes differ or are empty.

    Source: own.
    Differs: nothing left out.

    >>> difference(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0000002]))
    Difference(entries=3, bit_equal=2, largest=2.384185791015625e-07, relative=6.371790972127784e-08)
    """
    raise NotImplementedError
