"""Tab: the schedule of FlashAttention's tiles, what lies on chip at each step, and every byte that moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from core.systems.attention_blocks import Placement, SramUse, sram_use
from core.systems.attention_inputs import noise_inputs
from core.systems.attention_schedule import Order, TileSchedule, tile_schedule
from core.systems.attention_traffic import (
    Initial,
    Traffic,
    TrafficStep,
    hbm_traffic,
    standard_traffic,
    traffic_steps,
)
from demos.contract import Demo
from demos.kit.controls import choice, files, number, toggle
from demos.kit.numbers import Number
from demos.kit.upload_errors import UploadError
from demos.panel import Panel
from demos.systems.flash_attention_blocks import (
    BYTES,
    CHIPS,
    blocks_of,
    capacity_of,
    key_order_of,
    memory_options,
)
from demos.systems.flash_attention_figures import show
from demos.systems.flash_attention_inputs import Inputs, inputs_of
from demos.systems.flash_attention_numbers import numbers_of
from demos.systems.flash_attention_script import script_of
from demos.systems.flash_attention_tables_figures import guesses_of, measured_chart, memory_chart, traffic_chart

if TYPE_CHECKING:
    from torch import Tensor

    from core.systems.attention_comparison import Agreement
    from core.systems.attention_query import QueryStep
    from core.systems.flash_attention import AttentionTileStep
    from core.systems.flash_attention_backward import AttentionGradients, BackwardTileStep
    from core.systems.split_kv_decoding import SplitDecode

MOST_TILES = 1024  # steps of one view
WIDTHS = (8, 16, 32, 48, 64, 96, 128, 192, 256)  # of the chart over Bc


@dataclass(frozen=True)
class Controls:
    source: str = choice("noise", ("noise", "coffee", "rocket", "photo", "arrays"))
    photo: tuple[str, ...] = files(suffixes=(".png", ".jpg", ".jpeg", ".webp"))
    arrays: tuple[str, ...] = files(suffixes=(".npz",))
    tokens: int = number(32, 1, 1024)
    patches: int = number(12, 2, 32)
    block_q: int = number(4, 1, 256)
    block_k: int = number(4, 1, 256)
    blocks: str = choice("given", ("given", "paper", "largest"))
    order: Order = choice("fa2", ("fa1", "fa2"))
    causal: bool = toggle(False)
    direction: str = choice("forward", ("forward", "backward", "decode"))
    row: int = number(5, 0, 1023)
    chip: str = choice("own", ("own", *CHIPS))
    chip_bytes: int = number(512, 64, 262144, slider=False)
    placement: Placement = choice("one_memory", ("one_memory", "shared_memory"))
    dtype: str = choice("float32", ("float64", "float32", "bfloat16", "float16"))
    state: str = choice("wide", ("wide", "same"))
    rule: str = choice("running_max", ("running_max", "inverse_as_printed", "no_max"))
    key_order: str = choice("left", ("left", "right", "shuffled"))
    threshold: float = number(0.0, 0.0, 16.0, 0.5)
    initial: Initial = choice("written", ("written", "uncounted", "skipped"))
    channels: int = number(4, 3, 128)
    heads: int = number(1, 1, 1024, slider=False)
    head: int = number(0, 0, 255, slider=False)
    keys: int = number(0, 0, 1024, slider=False)
    splits: int = number(4, 1, 16)
    spread: float = number(1.0, 0.0, 40.0, 0.5)
    sharpness: float = number(8.0, 0.0, 40.0, 0.5)
    seed: int = number(0, 0, 9999, slider=False)
    compare: str = choice("chips", ("chips", "paper"))


@dataclass(frozen=True)
class Result:
    """The trace of one head in one of three directions, and the bytes of all heads."""

    controls: Controls
    inputs: Inputs
    block_q: int  # Br as used
    block_k: int  # Bc as used
    capacity: int  # bytes of the chip's memory
    schedule: TileSchedule
    traffic: tuple[TrafficStep, ...]  # one a tile
    query: int  # position of the query that is followed
    output: Tensor  # (N_q, d) O
    agreement: Agreement  # of the result with the plain algorithm in float64
    reordered: Agreement  # of O with the same tiles from left to right
    steps: tuple[AttentionTileStep, ...] = ()  # forward
    story: tuple[QueryStep, ...] = ()  # forward: the followed query's steps
    backward: tuple[BackwardTileStep, ...] = ()
    gradients: AttentionGradients | None = None
    grad_output: Tensor | None = None  # (N_q, d) dO
    decode: SplitDecode | None = None
    lanes: tuple[tuple[AttentionTileStep, ...], ...] = ()  # decoding: the tiles of each part

    @property
    def total(self) -> Traffic:
        return self.traffic[-1].total

    @property
    def standard(self) -> Traffic:
        return self.traffic[-1].standard

    @property
    def bytes(self) -> int:
        """Of one number of Q, K, V."""
        return BYTES[self.controls.dtype]

    @cached_property
    def use(self) -> tuple[SramUse, ...]:
        """What lies on chip, one a step."""
        known: dict[tuple[int, int], SramUse] = {}

        def of(rows: int, columns: int) -> SramUse:
            if (rows, columns) not in known:
                known[rows, columns] = sram_use(
                    rows, columns, self.inputs.q.shape[1], capacity_bytes=self.capacity, **memory_options(self.controls)
                )
            return known[rows, columns]

        return tuple(of(len(tile.rows), len(tile.cols)) for tile in self.schedule.tiles)

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return numbers_of(self)

    @cached_property
    def curves(self) -> dict[str, tuple[tuple[int, float], ...]]:
        """Flash / standard over Bc, by loop order."""
        widths = tuple(w for w in WIDTHS if w <= self.schedule.n_k)
        orders: tuple[Order, Order] = ("fa1", "fa2")
        return {
            order: tuple(
                (
                    width,
                    _ratio(
                        self.schedule.n_q,
                        self.inputs.q.shape[1],
                        self.schedule.n_k,
                        self.block_q,
                        width,
                        replace(self.controls, order=order),
                    ),
                )
                for width in widths
            )
            for order in orders
        }


def _ratio(n_q: int, d: int, n_k: int, block_q: int, block_k: int, c: Controls) -> float:
    """Flash's bytes over the standard algorithm's."""
    way: Any = "backward" if c.direction == "backward" else "forward"
    flash = hbm_traffic(
        n_q,
        d,
        n_k=n_k,
        block_q=block_q,
        block_k=block_k,
        causal=c.causal,
        order=c.order,
        direction=way,
        dtype_bytes=BYTES[c.dtype],
        initial=c.initial,
    )
    return flash.total / standard_traffic(n_q, d, n_k=n_k, direction=way, dtype_bytes=BYTES[c.dtype]).total


def ratio_at(c: Controls, block_k: int) -> float:
    """The same for the noise of some controls, at another Bc."""
    return _ratio(c.tokens, c.channels, c.keys or c.tokens, c.block_q, block_k, c)


def run(c: Controls) -> Result:
    """Everything the tab shows, computed by `core`.

    Raises:
        UploadError: the controls do not go together, or what was uploaded cannot be used; one sentence says why.
    """
    import torch

    from core.systems.attention_comparison import agreement, materialised_attention
    from core.systems.attention_query import query_steps
    from core.systems.flash_attention import attention_tiles, collect_tiles

    torch.set_num_threads(1)  # tiles are small: more threads only wait for each other
    inputs = inputs_of(c)
    _refuse(c)
    block_q, block_k = blocks_of(c, inputs)
    (n_q, d), n_k = inputs.q.shape, len(inputs.k)
    if c.direction == "decode":
        n_q, block_q = 1, 1
    rows, columns = -(-n_q // block_q), -(-n_k // block_k)
    if rows * columns > MOST_TILES:
        raise UploadError(
            "attention_too_many_tiles", count=rows * columns, limit=MOST_TILES, rows=block_q, columns=block_k
        )
    query = min(c.row, len(inputs.q) - 1)
    dtype = getattr(torch, c.dtype)
    q, k, v = (torch.from_numpy(x).to(dtype) for x in (inputs.q, inputs.k, inputs.v))
    backward, key_order = c.direction == "backward", key_order_of(c, columns)
    causal = c.causal and c.direction != "decode"  # the newest query sees every key
    tiles: dict[str, Any] = {"block_q": block_q, "block_k": block_k, "causal": causal}
    moved: dict[str, Any] = {
        "order": c.order,
        "key_order": None if backward else key_order,
        "direction": "backward" if backward else "forward",
        "dtype_bytes": BYTES[c.dtype],
        "heads": inputs.heads,
        "initial": c.initial,
    }
    common: dict[str, Any] = {
        "controls": c,
        "inputs": inputs,
        "block_q": block_q,
        "block_k": block_k,
        "capacity": capacity_of(c),
        "query": query,
        "schedule": tile_schedule(
            n_q, n_k, order="fa1" if backward else c.order, key_order=moved["key_order"], **tiles
        ),
        "traffic": tuple(traffic_steps(n_q, d, n_k=n_k, **moved, **tiles)),
    }
    if c.direction == "decode":
        return _decoded(c, q[query : query + 1], k, v, block_k, common)
    options: dict[str, Any] = {
        "order": c.order,
        "rule": c.rule,
        "rescale_threshold": c.threshold,
        "state_dtype": dtype if c.state == "same" else None,
    }
    steps = tuple(attention_tiles(q, k, v, key_order=key_order, **tiles, **options))
    final = collect_tiles(steps, q, v)
    if backward:
        return _backward(c, (q, k, v), final, tiles, common)
    expected = materialised_attention(q.double(), k.double(), v.double(), causal=c.causal)
    straight = final if key_order is None else collect_tiles(attention_tiles(q, k, v, **tiles, **options), q, v)
    return Result(
        **common,
        steps=steps,
        story=query_steps(steps, query, n_k=n_k),
        output=final.output,
        agreement=agreement(final.output, expected),
        reordered=agreement(final.output, straight.output),
    )


def _refuse(c: Controls) -> None:
    if c.rule == "inverse_as_printed" and c.order == "fa1":
        raise UploadError("attention_rule_order")
    if c.threshold and (c.order == "fa1" or c.rule == "no_max"):
        raise UploadError("attention_threshold")


def _backward(
    c: Controls, qkv: tuple[Any, Any, Any], final: Any, tiles: dict[str, Any], common: dict[str, Any]
) -> Result:
    """The backward pass of seeded noise, beside autograd through the plain algorithm in float64."""
    import torch

    from core.systems.attention_comparison import agreement, materialised_attention
    from core.systems.flash_attention_backward import backward_tiles, flash_attention_backward

    q, k, v = qkv
    grad = torch.from_numpy(noise_inputs(*final.output.shape, seed=c.seed + 2).q).to(q.dtype)
    given = (q, k, v, final.output, final.logsumexp, grad)
    gradients = flash_attention_backward(*given, **tiles)
    wide = tuple(x.double().requires_grad_() for x in qkv)
    expected = torch.autograd.grad(materialised_attention(*wide, causal=c.causal), wide, grad.double())
    got = (gradients.grad_q, gradients.grad_k, gradients.grad_v)
    near = agreement(torch.cat([x.flatten() for x in got]), torch.cat([x.flatten() for x in expected]))
    steps = tuple(backward_tiles(*given, **tiles))
    return Result(
        **common,
        output=final.output,
        agreement=near,
        reordered=near,
        backward=steps,
        gradients=gradients,
        grad_output=grad,
    )


def _decoded(c: Controls, q: Any, k: Any, v: Any, block_k: int, common: dict[str, Any]) -> Result:
    """One query, the keys in parts that run at the same time, and their combination."""
    from core.systems.attention_comparison import agreement, materialised_attention
    from core.systems.flash_attention import attention_tiles
    from core.systems.split_kv_decoding import split_kv_decode

    decode = split_kv_decode(q, k, v, splits=c.splits, block_k=block_k)
    lanes = tuple(
        tuple(
            attention_tiles(
                q,
                k[part.keys.start : part.keys.stop],
                v[part.keys.start : part.keys.stop],
                block_q=1,
                block_k=block_k,
            )
        )
        for part in decode.parts
    )
    near = agreement(decode.output, materialised_attention(q.double(), k.double(), v.double()))
    return Result(**common, output=decode.output, agreement=near, reordered=near, decode=decode, lanes=lanes)


def build(panel: Panel) -> None:
    """Left: what is computed, and by which tiles. Under More: the chip, the number formats, and ways to break it."""
    with panel.left:
        panel.control("source")
        with panel.when("source", "photo"):
            panel.control("photo")
        with panel.when("source", "arrays"):
            panel.control("arrays")
        with panel.when("tokens", "noise"):
            panel.control("tokens")
        with panel.when("tokens", "picture"):
            panel.control("patches")
        panel.control("blocks")
        with panel.when("blocks", "given"):
            panel.control("block_q")
            panel.control("block_k")
        panel.control("order")
        panel.control("causal")
        with panel.more("variants"):
            panel.control("rule")
            panel.control("key_order")
            panel.control("threshold")
            panel.control("dtype")
            panel.control("state")
        with panel.more("chip"):
            panel.control("chip")
            with panel.when("chip", "own"):
                panel.control("chip_bytes")
            panel.control("placement")
        with panel.more():
            panel.control("direction")
            with panel.when("direction", "decode"):
                panel.control("splits")
            panel.control("row")
            panel.control("channels")
            panel.control("initial")
            with panel.when("tokens", "noise"):
                panel.control("keys")
                panel.control("spread")
            with panel.when("tokens", "picture"):
                panel.control("sharpness")
            with panel.when("source", "arrays"):
                panel.control("head")
            panel.control("heads")
            panel.control("seed")
    with panel.below:
        with panel.more("compare"):
            panel.control("compare")
        with panel.chart("traffic"):
            pass
        with panel.chart("measured"):
            pass
        with panel.chart("memory"):
            pass


DEMO = Demo(
    slug="flash-attention",
    sources=(
        "Dao, Fu, Ermon, Rudra, Ré 2022, *FlashAttention*, arXiv:2205.14135, Algorithms 0–4 and Figure 2",
        "Dao 2023, *FlashAttention-2*, arXiv:2307.08691, Algorithms 1 and 2; the sign in Algorithm 1, line 10 is a misprint",
        "Milakov, Gimelshein 2018, *Online normalizer calculation for softmax*, arXiv:1805.02867",
        "Dao-AILab/flash-attention, the released kernels (tile sizes, split-KV heuristic, conditional rescaling)",
        "NVIDIA, *CUDA Programming Guide*: shared memory per SM of compute capabilities 8.0, 8.9 and 9.0",
    ),
    presets={
        "start": Controls(),
        "worse": Controls(
            tokens=1024, channels=64, block_q=64, block_k=32, order="fa1", initial="uncounted", chip="a100", row=300
        ),
        "order": Controls(
            tokens=64, channels=16, block_q=8, block_k=8, causal=True, key_order="shuffled", row=45, chip_bytes=4096
        ),
        "misprint": Controls(rule="inverse_as_printed", spread=2.0, row=9),
        "overflow": Controls(rule="no_max", dtype="float16", state="same", spread=8.0, row=6),
        "picture": Controls(source="coffee", patches=12, channels=16, block_q=12, block_k=12, row=41, chip_bytes=8192),
    },
    run=run,
    numbers=lambda result: result.numbers,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    picks=("row",),
    charts={"traffic": traffic_chart, "measured": measured_chart, "memory": memory_chart},
)
