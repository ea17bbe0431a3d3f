"""Which tiles of the score matrix are visited, in which order, and which a causal mask lets one skip.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, Algorithm 1; Dao, "FlashAttention-2", arXiv:2307.08691,
Algorithm 1 and §3.1.
Notation: N_q queries, N_k keys; Br = block_q rows and Bc = block_k columns to a tile; Tr = ⌈N_q / Br⌉ row blocks
(index i), Tc = ⌈N_k / Bc⌉ column blocks (index j). The last block of either kind may be smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Order: TypeAlias = Literal["fa1", "fa2"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True, slots=True)
class Tile:
    """One block of the score matrix."""

    index: int  # number of the step that visits it, from 0; −1 if it is skipped
    row_block: int  # i, 0..Tr−1
    col_block: int  # j, 0..Tc−1
    rows: range  # query positions, Br of them or fewer
    cols: range  # key positions, Bc of them or fewer
    masked: bool  # the mask hides some of its entries, or all
    first_of_rows: bool  # no earlier step visited its row block
    last_of_rows: bool  # no later step visits its row block
    first_of_cols: bool  # no earlier step visited its column block
    last_of_cols: bool  # no later step visits its column block

    @property
    def entries(self) -> int:
        """Br · Bc as they are here."""
        return len(self.rows) * len(self.cols)

    @property
    def skipped(self) -> bool:
        """The mask hides every entry, so no step visits the tile."""
        return self.index < 0


@dataclass(frozen=True, slots=True)
class TileSchedule:
    """All tiles of one score matrix."""

    tiles: tuple[Tile, ...]  # the visited ones, in the order of the steps
    skipped: tuple[Tile, ...]  # the others, row by row
    empty_rows: tuple[range, ...]  # row blocks that no step visits: all their queries see no key
    row_blocks: tuple[range, ...]  # (Tr,) query positions of each
    col_blocks: tuple[range, ...]  # (Tc,) key positions of each
    n_q: int  # N_q
    n_k: int  # N_k
    causal: bool  # whether a query sees only keys up to its own place, counted from the end
    order: Order  # "fa1": K/V outside; "fa2": Q outside

    @property
    def computed_entries(self) -> int:
        """Scores that the visited tiles compute, hidden ones among them."""
        return sum(tile.entries for tile in self.tiles)

    @property
    def visible_entries(self) -> int:
        """Scores that the mask lets through."""
        return visible_entries(self.n_q, self.n_k, causal=self.causal)


def visible_entries(n_q: int, n_k: int, *, causal: bool) -> int:
    """How many of the N_q · N_k scores a query may see.

    Convention: causal is aligned bottom-right, see `tile_schedule`.

    Args:
        n_q, n_k: queries and keys.
        causal: a query sees only keys up to its own place, counted from the end.

    Raises:
        ValueError: if a length is not positive.

    Source: own.
    Differs: nothing left out.

    >>> visible_entries(4, 4, causal=True), visible_entries(2, 4, causal=True), visible_entries(4, 2, causal=True)
    (10, 7, 3)
    """
    _check_positive(n_q=n_q, n_k=n_k)
    if not causal:
        return n_q * n_k
    seen_by_last, rows = n_k, min(n_q, n_k)  # a row sees one key fewer than the row below it, down to none
    return rows * seen_by_last - rows * (rows - 1) // 2


def tile_schedule(
    n_q: int,
    n_k: int,
    *,
    block_q: int,
    block_k: int,
    causal: bool = False,
    order: Order = "fa2",
    key_order: Sequence[int] | None = None,
) -> TileSchedule:
    """Order the tiles of an N_q × N_k score matrix, leaving out those that a causal mask hides entirely.

    Convention: causal alignment is bottom-right, query r sees key c if c ≤ r + N_k − N_q (flash-attn ≥ 2.1, KV-cache
    decoding); torch's is_causal=True with N_q ≠ N_k is top-left. "fa1" runs over K/V outside and Q inside
    (FlashAttention, Algorithm 1, and both papers' backward), "fa2" over Q outside (FlashAttention-2, Algorithm 1).
    Keys are visited from left to right as the papers print it; the FlashAttention-2 CUDA kernel goes from right to
    left, which `key_order=range(Tc - 1, -1, -1)` shows.

    Args:
        n_q, n_k: queries and keys, at least 1.
        block_q, block_k: Br and Bc, at least 1; larger than the matrix means one block.
        causal: hide keys after the query.
        order: "fa1" or "fa2".
        key_order: a permutation of 0..Tc−1, the order in which column blocks are visited; None for left to right.

    Raises:
        ValueError: if a length or block is not positive, the order is unknown, or key_order is no permutation.

    Source: arXiv:2205.14135 Algorithm 1; arXiv:2307.08691 Algorithm 1 and §3.1 (causal masking).
    Differs: sequential; on a GPU the outer loop's blocks run at the same time on different SMs.

    >>> schedule = tile_schedule(6, 6, block_q=2, block_k=2, causal=True)
    >>> [(tile.row_block, tile.col_block) for tile in schedule.tiles], len(schedule.skipped)
    ([(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)], 3)
    """
    _check_positive(n_q=n_q, n_k=n_k, block_q=block_q, block_k=block_k)
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}")
    row_blocks, col_blocks = _blocks(n_q, block_q), _blocks(n_k, block_k)
    columns = list(range(len(col_blocks)) if key_order is None else key_order)
    if sorted(columns) != list(range(len(col_blocks))):
        raise ValueError(f"key_order must be a permutation of 0..{len(col_blocks) - 1}, got {columns}")
    shift = n_k - n_q

    def hidden(i: int, j: int) -> bool:
        return causal and col_blocks[j].start > row_blocks[i].stop - 1 + shift

    if order == "fa1":
        places = [(i, j) for j in columns for i in range(len(row_blocks)) if not hidden(i, j)]
    else:
        places = [(i, j) for i in range(len(row_blocks)) for j in columns if not hidden(i, j)]
    first_i, last_i, first_j, last_j = _ends(i for i, _ in places) + _ends(j for _, j in places)

    def tile(index: int, i: int, j: int) -> Tile:
        rows, cols = row_blocks[i], col_blocks[j]
        masked = causal and cols.stop - 1 > rows.start + shift
        seen = (first_i.get(i) == index, last_i.get(i) == index, first_j.get(j) == index, last_j.get(j) == index)
        return Tile(index, i, j, rows, cols, masked, *seen)

    visited = tuple(tile(index, i, j) for index, (i, j) in enumerate(places))
    everything = ((i, j) for i in range(len(row_blocks)) for j in range(len(col_blocks)))
    skipped = tuple(tile(-1, i, j) for i, j in everything if hidden(i, j))
    empty = tuple(rows for i, rows in enumerate(row_blocks) if i not in first_i)
    return TileSchedule(visited, skipped, empty, row_blocks, col_blocks, n_q, n_k, causal, order)


def _blocks(length: int, block: int) -> tuple[range, ...]:
    return tuple(range(start, min(start + block, length)) for start in range(0, length, block))


def _ends(blocks: Iterable[int]) -> tuple[dict[int, int], dict[int, int]]:
    """The first and the last place at which each number occurs."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for place, block in enumerate(blocks):
        first.setdefault(block, place)
        last[block] = place
    return first, last


def _check_positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
