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

from core.systems.attention_schedule import Order, Tile, TileSchedule, tile_schedule

Direction: TypeAlias = Literal["forward", "backward"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
Initial: TypeAlias = Literal["written", "uncounted", "skipped"]
INITIALS: tuple[Initial, ...] = get_args(Initial)
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
    raise NotImplementedError


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
    raise NotImplementedError


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
    step that comes next in reading order of the schedule, at the latest at the last.

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
    raise NotImplementedError
