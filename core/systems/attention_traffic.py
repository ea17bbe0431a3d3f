"""How many bytes attention moves between GPU memory (HBM) and an SM's on-chip memory, to the byte.

Source: Dao et al., "FlashAttention", arXiv:2205.14135, Algorithms 0, 1, 3 and 4; Dao, "FlashAttention-2",
arXiv:2307.08691, Algorithms 1 and 2.
Notation: N_q queries, N_k keys, d channels, tiles as in `attention_schedule`; operands "Q", "K", "V", "O", "S", "P",
"m", "l", "L", their gradients "dO", "dQ", "dK", "dV", "dS", "dP", and "D" = rowsum(dO ∘ O). m, l, L and D are the
statistics, one number per query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from core.systems.attention_schedule import ORDERS, Order, Tile, TileSchedule, tile_schedule

Direction: TypeAlias = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Initial: TypeAlias = Literal["written", "uncounted", "skipped"]
INITIALS: tuple[Initial, ...] = get_args(Initial)
Bytes: TypeAlias = dict[str, int]
STATISTICS = frozenset({"m", "l", "L", "D"})


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes between HBM and on-chip memory, all heads together."""

    loaded: Mapping[str, int]  # per operand, HBM → chip
    stored: Mapping[str, int]  # per operand, chip → HBM
    ideal_loaded: Mapping[str, int]  # the same if the L2 cache served every re-read: each input byte once
    ideal_stored: Mapping[str, int]  # the same if the L2 cache took every rewrite: each result byte once

    @property
    def loads(self) -> int:
        """All bytes loaded."""
        return sum(self.loaded.values())

    @property
    def stores(self) -> int:
        """All bytes stored."""
        return sum(self.stored.values())

    @property
    def total(self) -> int:
        """Bytes either way."""
        return self.loads + self.stores

    @property
    def ideal_total(self) -> int:
        """Bytes either way if no byte crossed HBM twice in the same direction."""
        return sum(self.ideal_loaded.values()) + sum(self.ideal_stored.values())

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the operands that move, in the order in which they first do."""
        return tuple(dict.fromkeys((*self.loaded, *self.stored)))

    def of(self, operand: str) -> int:
        """Bytes of one operand, either way."""
        return self.loaded.get(operand, 0) + self.stored.get(operand, 0)


def standard_traffic(
    n_q: int,
    d: int,
    *,
    n_k: int | None = None,
    direction: Direction = "forward",
    dtype_bytes: int = 2,
    heads: int = 1,
) -> Traffic:
    """Bytes of attention that writes S and P to memory, every printed step reading and writing its operands once.

    Convention: forward is Algorithm 0: S = QKᵀ, P = softmax(S), O = PV, each a kernel of its own. Backward is
    Algorithm 3 and starts from the stored P. A causal mask saves nothing here: the whole N_q × N_k matrix moves.

    Args:
        n_q, d: queries and channels.
        n_k: keys; None for as many as queries.
        direction: "forward" or "backward".
        dtype_bytes: bytes per number of every operand.
        heads: heads, batch included.

    Raises:
        ValueError: if a size is not positive or the direction unknown.

    Source: arXiv:2205.14135 Algorithms 0 and 3.
    Differs: real unfused libraries read and write more (masking, dropout, a copy of dP), see
        `attention_operand_bytes`.

    >>> both = [standard_traffic(1024, 64, direction=way, heads=1024).total for way in DIRECTIONS]
    >>> round(sum(both) / 1e9, 2)
    25.23
    """
    keys = n_q if n_k is None else n_k
    _check(n_q=n_q, n_k=keys, d=d, dtype_bytes=dtype_bytes, heads=heads)
    whole = Tile(0, 0, 0, range(n_q), range(keys), False, True, True, True, True)
    return Traffic(*_standard_moves(whole, d, _checked_direction(direction), dtype_bytes * heads))


def _standard_moves(tile: Tile, d: int, direction: Direction, width: int) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """Loads, stores, ideal loads and ideal stores of the standard algorithm's part at a tile, operands at first and results
    at last touch."""
    scores, rows, cols = tile.entries * width, len(tile.rows) * d * width, len(tile.cols) * d * width
    first_row, first_col = rows * tile.first_of_rows, cols * tile.first_of_cols
    last_row, last_col = rows * tile.last_of_rows, cols * tile.last_of_cols
    if direction == "forward":
        loaded = {"Q": first_row, "K": first_col, "S": scores, "P": scores, "V": first_col}
        stored = {"S": scores, "P": scores, "O": last_row}
        ideal = {"Q": first_row, "K": first_col, "V": first_col}
    else:
        loaded = {"P": 2 * scores, "dO": 2 * first_row, "V": first_col, "dP": scores}
        loaded |= {"dS": 2 * scores, "K": first_col, "Q": first_row}
        stored = {"dV": last_col, "dP": scores, "dS": scores, "dQ": last_row, "dK": last_col}
        ideal = {"P": scores, "dO": first_row, "V": first_col, "K": first_col, "Q": first_row}
    return loaded, stored, ideal, dict(stored)


def hbm_traffic(
    n_q: int,
    d: int,
    *,
    n_k: int | None = None,
    block_q: int,
    block_k: int,
    causal: bool = False,
    order: Order = "fa2",
    direction: Direction = "forward",
    dtype_bytes: int = 2,
    stat_bytes: int = 4,
    heads: int = 1,
    initial: Initial = "written",
) -> Traffic:
    """Bytes of FlashAttention, ragged tiles counted as they are and tiles hidden by the mask not at all.

    Convention: the papers' algorithms line by line.
    Forward "fa1" (Algorithm 1): K_j and V_j once per column block; Q_i, O_i, l_i, m_i loaded and O_i, l_i, m_i
    stored at every tile.
    Forward "fa2": Q_i once per row block, K_j and V_j at every tile, O_i and L_i stored once.
    Backward "fa1" (Algorithm 4): per column block K_j, V_j; at every tile Q_i, O_i, dO_i, dQ_i, l_i, m_i loaded and
    dQ_i stored; dK_j, dV_j stored once.
    Backward "fa2" (Algorithm 2): first D from O and dO; then as above with L_i and D_i in place of O_i, l_i, m_i.
    `initial` says what becomes of the accumulators that start in HBM (O, l, m; dQ, in Algorithm 4 also dK, dV):
    "written" as printed, zeros are stored first and loaded again at the first tile; "uncounted" without storing the
    zeros; "skipped" also without loading them, as an implementation does. "fa2" forward has none.
    "ideal" lets the L2 cache serve every re-read: on a GPU the blocks of one head run together, so most re-reads of
    K and V do not reach HBM.
    A row block whose queries all see no key is not loaded; its O and L (dQ) are still stored.

    Args:
        n_q, d: queries and channels.
        n_k: keys; None for as many as queries.
        block_q, block_k: Br, Bc.
        causal: bottom-right, see `tile_schedule`.
        order: "fa1" or "fa2".
        direction: "forward" or "backward"; both papers' backward runs over K/V outside.
        dtype_bytes: bytes per number of Q, K, V, O and the gradients.
        stat_bytes: bytes per number of m, l, L, D.
        heads: heads, batch included.
        initial: "written", "uncounted" or "skipped".

    Raises:
        ValueError: if a size is not positive or an option unknown.

    Source: arXiv:2205.14135 Algorithms 1, 4; arXiv:2307.08691 Algorithms 1, 2.
    Differs: dQ accumulates in dtype_bytes; the kernels use float32 for it.

    >>> standard = standard_traffic(1024, 64, dtype_bytes=4).total
    >>> for block_k in (32, 64, 128):
    ...     flash = hbm_traffic(1024, 64, block_q=64, block_k=block_k, order="fa1", dtype_bytes=4, initial="uncounted")
    ...     print(block_k, round(flash.total / standard, 2))
    32 1.47
    64 0.75
    128 0.39
    """
    keys = n_q if n_k is None else n_k
    _check(n_q=n_q, n_k=keys, d=d, block_q=block_q, block_k=block_k, dtype_bytes=dtype_bytes, heads=heads)
    _check(stat_bytes=stat_bytes)
    _check_options(order, initial)
    # Over row blocks: rows seen by any tile, rows times tiles, and the keys that all tiles of a row block load together.
    seen, rows, columns = 0, 0, 0
    for start in range(0, n_q, block_q):
        stop = min(start + block_q, n_q)
        visible = min(max(stop + keys - n_q, 0), keys) if causal else keys
        tiles = -(-visible // block_k)
        seen += (stop - start) * (tiles > 0)
        rows += (stop - start) * tiles
        columns += min(tiles * block_k, keys)
    again = rows - seen if initial == "skipped" else rows
    zeros = {"written": n_q, "uncounted": 0, "skipped": n_q - seen}[initial]  # rows stored besides those of the tiles
    results = seen if initial == "uncounted" else n_q
    if _checked_direction(direction) == "forward" and order == "fa2":
        loaded = {"Q": seen, "K": columns, "V": columns}
        stored = {"O": n_q, "L": n_q}
        ideal_loaded, ideal_stored = {"Q": seen, "K": keys, "V": keys}, stored
    elif direction == "forward":
        loaded = {"K": keys, "V": keys, "Q": rows, "O": again, "l": again, "m": again}
        stored = {"O": zeros + rows, "l": zeros + rows, "m": zeros + rows}
        ideal_loaded, ideal_stored = {"K": keys, "V": keys, "Q": seen}, {"O": results, "l": results, "m": results}
    elif order == "fa2":
        loaded = {"O": n_q, "dO": n_q + rows, "K": keys, "V": keys, "Q": rows, "L": rows, "D": rows, "dQ": again}
        stored = {"D": n_q, "dQ": zeros + rows, "dK": keys, "dV": keys}
        ideal_loaded = {"O": n_q, "dO": n_q, "K": keys, "V": keys, "Q": seen, "L": seen}
        ideal_stored = {"D": n_q, "dQ": results, "dK": keys, "dV": keys}
    else:
        twice = keys * (initial == "written")
        loaded = {"K": keys, "V": keys, "Q": rows, "O": rows, "dO": rows, "dQ": again, "l": rows, "m": rows}
        stored = {"dQ": zeros + rows, "dK": twice + keys, "dV": twice + keys}
        ideal_loaded = {"K": keys, "V": keys, "Q": seen, "O": seen, "dO": seen, "l": seen, "m": seen}
        ideal_stored = {"dQ": results, "dK": keys, "dV": keys}
    width = _Width(d * dtype_bytes * heads, stat_bytes * heads)
    return Traffic(*(width.bytes_of(part) for part in (loaded, stored, ideal_loaded, ideal_stored)))


@dataclass(frozen=True, slots=True)
class TrafficStep:
    """What one tile moves, and everything moved until then."""

    tile: Tile  # the tile, `tile.index` its step
    loaded: Mapping[str, int]  # bytes loaded for this step, per operand
    stored: Mapping[str, int]  # bytes stored at this step, per operand
    total: Traffic  # flash, this step included
    standard: Traffic  # attention with S and P in memory, the same part of the score matrix done


def traffic_steps(
    n_q: int,
    d: int,
    *,
    n_k: int | None = None,
    block_q: int,
    block_k: int,
    causal: bool = False,
    order: Order = "fa2",
    key_order: Sequence[int] | None = None,
    direction: Direction = "forward",
    dtype_bytes: int = 2,
    stat_bytes: int = 4,
    heads: int = 1,
    initial: Initial = "written",
) -> Iterator[TrafficStep]:
    """The two odometers, tile by tile; the last step's `total` is `hbm_traffic`, its `standard` is `standard_traffic`.

    Convention: what is stored before the first tile (zeros, D) counts at the first step, results of row blocks
    without a tile at the last. The standard algorithm knows no tiles: its bytes are attributed to the step at
    which flash has done the same part: a tile's S and P (and dP, dS) at its step, an operand's row or column block
    when it is first needed, a result's when it is finished. Tiles that the mask lets flash skip are charged at the
    visited tile that comes next in the loops; the last tile of the loops is always a visited one.

    Args: as `hbm_traffic`; key_order as in `tile_schedule` (it changes no sum).

    Yields:
        One step per visited tile, in the order of `tile_schedule` (backward: always K/V outside).

    Raises:
        ValueError: at the call, as `hbm_traffic` and `tile_schedule`.

    Source: as `hbm_traffic`; the attribution is our own.
    Differs: nothing left out.

    >>> for step in traffic_steps(4, 1, block_q=2, block_k=2, dtype_bytes=2):
    ...     print(step.loaded, step.stored, step.total.total, step.standard.total)
    {'Q': 4, 'K': 4, 'V': 4} {} 12 44
    {'K': 4, 'V': 4} {'O': 4, 'L': 8} 32 88
    {'Q': 4, 'K': 4, 'V': 4} {} 44 124
    {'K': 4, 'V': 4} {'O': 4, 'L': 8} 64 160
    """
    keys = n_q if n_k is None else n_k
    _check(d=d, dtype_bytes=dtype_bytes, stat_bytes=stat_bytes, heads=heads)
    _check_options(order, initial)
    outside: Order = order if _checked_direction(direction) == "forward" else "fa1"

    flash, dense = (
        tile_schedule(n_q, keys, block_q=block_q, block_k=block_k, causal=hide, order=outside, key_order=key_order)
        for hide in (causal, False)
    )
    width = _Width(d * dtype_bytes * heads, stat_bytes * heads)
    return _steps(flash, dense, order, direction, initial, width, d, dtype_bytes * heads)


def _steps(
    flash: TileSchedule,
    dense: TileSchedule,
    order: Order,
    direction: Direction,
    initial: Initial,
    width: _Width,
    d: int,
    entry_bytes: int,
) -> Iterator[TrafficStep]:
    total: list[Bytes] = [{}, {}, {}, {}]
    standard: list[Bytes] = [{}, {}, {}, {}]
    every = iter(dense.tiles)
    before, after = _outside_moves(flash, order, direction, initial)
    for tile in flash.tiles:
        last = tile.index == len(flash.tiles) - 1
        moves = _flash_moves(tile, order, direction, initial)
        if tile.index == 0:
            moves = _joined(before, moves)
        if last:
            moves = _joined(moves, after)
        moved = [width.bytes_of({name: n for name, n in part.items() if n}) for part in moves]
        total = _joined(total, moved)
        for other in every:
            standard = _joined(standard, _standard_moves(other, d, direction, entry_bytes))
            if (other.row_block, other.col_block) == (tile.row_block, tile.col_block):
                break
        yield TrafficStep(tile, moved[0], moved[1], Traffic(*total), Traffic(*standard))


def _flash_moves(tile: Tile, order: Order, direction: Direction, initial: Initial) -> list[Bytes]:
    """Loads, stores, ideal loads and ideal stores of a tile, in rows of each operand."""
    rows, cols = len(tile.rows), len(tile.cols)
    first_row, first_col = rows * tile.first_of_rows, cols * tile.first_of_cols
    last_row, last_col = rows * tile.last_of_rows, cols * tile.last_of_cols
    again = rows - first_row if initial == "skipped" else rows
    if direction == "forward" and order == "fa2":
        loaded = {"Q": first_row, "K": cols, "V": cols}
        stored = {"O": last_row, "L": last_row}
        return [loaded, stored, {"Q": first_row, "K": first_col, "V": first_col}, dict(stored)]
    loaded = {"K": first_col, "V": first_col, "Q": rows}
    ideal = {"K": first_col, "V": first_col, "Q": first_row}
    if direction == "forward":
        loaded |= {"O": again, "l": again, "m": again}
        return [loaded, {"O": rows, "l": rows, "m": rows}, ideal, {"O": last_row, "l": last_row, "m": last_row}]
    stored = {"dQ": rows, "dK": last_col, "dV": last_col}
    if order == "fa2":
        loaded |= {"dO": rows, "L": rows, "D": rows, "dQ": again}
        ideal |= {"L": first_row}
    else:
        loaded |= {"O": rows, "dO": rows, "dQ": again, "l": rows, "m": rows}
        ideal |= {"O": first_row, "dO": first_row, "l": first_row, "m": first_row}
    return [loaded, stored, ideal, {"dQ": last_row, "dK": last_col, "dV": last_col}]


def _outside_moves(
    schedule: TileSchedule, order: Order, direction: Direction, initial: Initial
) -> tuple[list[Bytes], list[Bytes]]:
    """The same for what is moved before the first tile and after the last, in rows of each operand."""
    n_q, n_k = schedule.n_q, schedule.n_k
    empty = sum(map(len, schedule.empty_rows))
    written = initial == "written"
    if direction == "forward" and order == "fa2":
        results = {"O": empty, "L": empty}
        return [{}, {}, {}, {}], [{}, results, {}, dict(results)]
    names = ("O", "l", "m") if direction == "forward" else ("dQ",)
    before: list[Bytes] = [{}, dict.fromkeys(names, n_q * written), {}, {}]
    if direction == "backward" and order == "fa2":
        read, delta = {"O": n_q, "dO": n_q}, {"D": n_q}
        before = [read, delta | before[1], dict(read), dict(delta)]
    elif direction == "backward":
        before[1] |= {"dK": n_k * written, "dV": n_k * written}
    return before, [
        {},
        dict.fromkeys(names, empty * (initial == "skipped")),
        {},
        dict.fromkeys(names, empty * (initial != "uncounted")),
    ]


def _joined(left: Sequence[Bytes], right: Sequence[Bytes]) -> list[Bytes]:
    """Operand by operand the sums of two accounts; names whose sum is 0 are left out."""
    sums = ({name: a.get(name, 0) + b.get(name, 0) for name in (*a, *b)} for a, b in zip(left, right, strict=True))
    return [{name: n for name, n in part.items() if n} for part in sums]


@dataclass(frozen=True, slots=True)
class _Width:
    row: int  # bytes of one row of an operand, all heads
    statistic: int  # bytes of one statistic, all heads

    def bytes_of(self, counts: Bytes) -> Bytes:
        return {name: n * (self.statistic if name in STATISTICS else self.row) for name, n in counts.items()}


def _check(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _check_options(order: Order, initial: Initial) -> None:
    if order not in ORDERS:
        raise ValueError(f"order must be one of {ORDERS}, got {order!r}")
    if initial not in INITIALS:
        raise ValueError(f"initial must be one of {INITIALS}, got {initial!r}")


def _checked_direction(direction: Direction) -> Direction:
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {DIRECTIONS}, got {direction!r}")
    return direction
