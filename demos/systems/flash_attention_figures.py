"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.contract import View as DemoView
from demos.kit.numbers import Number, format_value
from demos.kit.scene import (
    Cells,
    Labels,
    Layer,
    Mark,
    Pane,
    Paths,
    Pick,
    Picture,
    Points,
    Registers,
    Scene,
    Stack,
    View,
    jpeg,
)
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES, magnitude_colors, rgb
from demos.kit.upload_errors import error_sentence
from demos.systems import flash_attention_decode_figures as decode
from demos.systems.flash_attention_tables_figures import operand_pane, tables
from demos.systems.flash_attention_tray_figures import tray_pane

if TYPE_CHECKING:
    from demos.systems.flash_attention import Result

MOST_WRITINGS = 40_000  # register values that travel; beyond them only those of the query's own row block do
CHANNELS = 4  # of O in the registers
COLORS = {  # one colour an operand, wherever it is drawn
    "Q": CATEGORIES[1],
    "K": CATEGORIES[0],
    "V": CATEGORIES[2],
    "O": CATEGORIES[6],
    "S": CATEGORIES[4],
    "P": CATEGORIES[3],
    "stats": CATEGORIES[7],
}
WAITING, DONE, NOW, SKIPPED = range(4)
STATES = ("#A9AFB8", "#A5CDE6", ROLES["forward"], "#C9CDD3")  # of a tile


def show(result: Result, text: Text) -> DemoView:
    c = result.controls
    decoding = result.decode is not None
    proofs = _proofs(result, "delta" if result.backward else "logsumexp" if decoding else "row_sum")
    main = [decode.lanes_pane(result, text) if decoding else _map(result, text)]
    if result.inputs.photo is not None and result.steps:
        main.append(_picture(result, text))
    main += _memory(result, text)
    if decoding:
        wide = [decode.parts_tray(result, text, proofs), decode.parts_pane(result, text)]
    else:
        wide = [tray_pane(result, text, proofs), _registers(result, text, proofs)]
    tiles = result.schedule.tiles
    scene = Scene(
        panes=(*main, *wide, operand_pane(result, text), *tables(result, text)),
        steps=decode.steps_of(result) if decoding else len(tiles),
        captions=decode.captions(result, text) if decoding else _captions(result, text),
        step_names=() if decoding else tuple(f"i={t.row_block} · j={t.col_block}" for t in tiles),
        step=_first_step(result),
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.inputs.notes)
        + _warnings(result, text),
        picks=(Pick("row", result.query, text("query")),),
        marks=_marks(result, text),
    )
    modes = {
        "source": c.source,
        "tokens": "noise" if c.source == "noise" else "arrays" if c.source == "arrays" else "picture",
        "blocks": c.blocks,
        "chip": c.chip,
        "direction": c.direction,
    }
    return DemoView(scene, modes, {key: text("paper", key) for key in text.find("paper")})


def _proofs(result: Result, key: str) -> tuple[Number, ...]:
    """A number of every step, to vouch for what is drawn beside it."""
    return tuple(next(n for n in step if n.key == key) for step in result.numbers)


def _first_step(result: Result) -> int:
    """A step at which something happens: the query's second tile, where its registers hold something already."""
    own = [tile.index for tile in result.schedule.tiles if result.query in tile.rows]
    return own[min(1, len(own) - 1)] if own and result.decode is None else 0


def _warnings(result: Result, text: Text) -> tuple[str, ...]:
    said = []
    if not result.backward and any(use.overflows for use in result.use):
        use = max(result.use, key=lambda one: one.total)
        said.append(text("warnings", "overflow", used=format_value(use.total), capacity=format_value(use.capacity)))
    if result.agreement.not_finite:
        said.append(
            text(
                "warnings",
                "not_finite",
                count=format_value(result.agreement.not_finite),
                all=format_value(result.agreement.entries),
            )
        )
    return tuple(said)


# -- the map ----------------------------------------------------------------------------------------------------------


def _map(result: Result, text: Text) -> Pane:
    schedule = result.schedule
    n_q, n_k, steps = schedule.n_q, schedule.n_k, len(schedule.tiles)
    tiles = (*schedule.tiles, *schedule.skipped)
    xyxy = np.array([[t.cols.start, t.rows.start, t.cols.stop, t.rows.stop] for t in tiles], np.float32)
    order = np.array([t.index if not t.skipped else steps for t in tiles])
    at = np.arange(steps)[:, None]
    states = np.where(order < at, DONE, np.where(order == at, NOW, WAITING)).astype(np.uint8)
    states[:, len(schedule.tiles) :] = SKIPPED
    colors = np.array([[*rgb(color), 255] for color in STATES], np.uint8)
    shown = [
        ("waiting", WAITING, 0),
        ("done", DONE, 0),
        ("now", NOW, 0),
        *([("skipped", SKIPPED, 1)] if schedule.skipped else []),
    ]
    keys = tuple((text("map", key), STATES[state], hatch) for key, state, hatch in shown)
    names = tuple(
        text("map", "skipped_tile", i=str(t.row_block), j=str(t.col_block))
        if t.skipped
        else text("map", "tile", i=str(t.row_block), j=str(t.col_block), step=str(t.index + 1))
        for t in tiles
    )
    layers: list[Layer] = [
        Cells(
            "tiles",
            text("map", "tiles"),
            xyxy,
            states,
            colors,
            np.array([0, 0, 0, 1], np.uint8),
            keys,
            names,
            np.array([t.index for t in tiles]),
        ),
        Labels(
            "queries",
            "",
            np.arange(n_q, dtype=np.uint16)[:, None],
            (View("none", text("map", "queries"), np.zeros((n_q, 4), np.uint8)),),
            pick="row",
        ),
    ]
    if schedule.causal:
        edge = np.array([[[n_k - n_q + r + (r < n_q), r] for r in range(n_q + 1)]], np.float32).clip(0, n_k)
        layers.append(Paths("edge", text("map", "edge"), edge, colors=("neutral",)))
    layers.append(_change_dots(result, text))
    return Pane(
        "map", text("map", "title"), tuple(layers), n_k, n_q, row="schedule", share=0.8, note=text("map", "note")
    )


def _change_dots(result: Result, text: Text) -> Layer:
    """The tiles so far in which the query's maximum changed."""
    changes = [one.step for one in result.story if one.max_changed]
    steps = len(result.schedule.tiles)
    xy = np.full((steps, max(1, len(changes)), 2), np.nan, np.float32)
    for i, step in enumerate(changes):
        cols = result.schedule.tiles[step].cols
        xy[step:, i] = [(cols.start + cols.stop) / 2, result.query + 0.5]
    return Points("changes", text("map", "changes"), xy, colors=("error",), radius=3.5)


# -- the picture ------------------------------------------------------------------------------------------------------


def _picture(result: Result, text: Text) -> Pane:
    """Attention of the chosen patch over the keys seen so far, and the colours that attention gives back."""
    grid, photo = result.inputs.grid, result.inputs.photo
    assert grid is not None
    assert photo is not None
    height, width = photo.shape[:2]
    steps, count = len(result.schedule.tiles), grid[0] * grid[1]
    levels = np.zeros((steps, count), np.uint8)
    top = max((float(one.weights.max()) for one in result.story), default=1.0) or 1.0
    for one in result.story:
        levels[one.step :] = (
            np.nan_to_num(np.sqrt(one.weights.double().numpy() / top) * 255).clip(0, 255).astype(np.uint8)
        )
    ramp = np.concatenate([magnitude_colors(256), np.linspace(40, 235, 256).astype(np.uint8)[:, None]], axis=1)
    ramp[0, 3] = 150
    patches = np.arange(count, dtype=np.uint16).reshape(grid)
    given = result.output[:, :3].double().numpy()
    colors = np.concatenate([np.nan_to_num(given * 255).clip(0, 255), np.full((count, 1), 255)], axis=1).astype(
        np.uint8
    )
    layers: list[Layer] = [
        Picture("photo", text("picture", "photo"), (jpeg(photo, quality=80),)),
        Labels(
            "attention",
            text("picture", "attention"),
            levels.reshape(steps, *grid),
            (
                View(
                    "attention",
                    text("picture", "attention"),
                    ramp,
                    legend=((text("picture", "low"), "#00224E", 0), (text("picture", "high"), "#FEE838", 0)),
                ),
            ),
            opacity=0.85,
        ),
        Labels(
            "output",
            text("picture", "output"),
            patches,
            (View("output", text("picture", "output"), colors),),
            visible=False,
            opacity=1.0,
        ),
        Labels(
            "patches",
            "",
            patches,
            (View("none", text("picture", "patches"), np.zeros((count, 4), np.uint8)),),
            pick="row",
        ),
    ]
    return Pane(
        "picture",
        text("picture", "title"),
        tuple(layers),
        width,
        height,
        row="schedule",
        share=0.9,
        note=text("picture", "note"),
    )


# -- the chip and the odometers ---------------------------------------------------------------------------------------


def _memory(result: Result, text: Text) -> tuple[Pane, ...]:
    """The chip's memory (of a forward tile; the backward's working set is another) and the odometers."""
    odometers = _odometers(result, text)
    layers: tuple[Layer, ...] = (odometers,) if result.backward else (_chip(result, text), odometers)
    if result.inputs.photo is None or not result.steps:
        return (Pane("memory", "", layers, row="schedule", share=1.3),)
    wide: Any = {"place": "wide", "row": "memory"}  # the picture stands in their place
    return Pane("chip", "", layers[:1], share=0.8, **wide), Pane("odometers", "", layers[1:], share=1.2, **wide)


def _chip(result: Result, text: Text) -> Stack:
    parts = ("Q", "K", "V", "O", "S", "stats")
    kinds = result.use if result.steps else result.use[:1]
    most = max(max(use.total for use in kinds), result.capacity)
    return Stack(
        "chip",
        text("memory", "chip"),
        np.array([[[use.parts[p] for p in parts]] for use in kinds], np.float32),
        (text("memory", "on_chip"),),
        tuple(text("operands", p) for p in parts),
        tuple((f"{format_value(use.total)} / {format_value(use.capacity)} B",) for use in kinds),
        float(most) * 1.02,
        float(result.capacity),
        text("memory", "limit", bytes=format_value(result.capacity)),
        np.array([[use.overflows] for use in kinds], np.uint8),
        tuple(COLORS[p] for p in parts),
        (0, 0, 0, 0, 1, 2),
        legend=False,
        receipts=_proofs(result, "sram_bytes"),
    )


GROUPS = {
    "Q": ("Q", "dQ", "dO"),
    "K": ("K", "dK"),
    "V": ("V", "dV"),
    "O": ("O",),
    "S": ("S", "dS"),
    "P": ("P", "dP"),
    "stats": ("m", "l", "L", "D"),
}


def _odometers(result: Result, text: Text) -> Stack:
    """Bytes so far: the standard algorithm's, flash's, and flash's with a perfect L2 cache."""

    def split(moved: dict[str, int]) -> list[int]:
        return [sum(moved.get(name, 0) for name in names) for names in GROUPS.values()]

    rows, texts = [], []
    for step in result.traffic if result.decode is None else result.traffic[-1:]:
        flash, standard = step.total, step.standard
        ideal = {n: flash.ideal_loaded.get(n, 0) + flash.ideal_stored.get(n, 0) for n in flash.operands}
        rows.append(
            [
                split({n: standard.of(n) for n in standard.operands}),
                split({n: flash.of(n) for n in flash.operands}),
                split(ideal),
            ]
        )
        texts.append(tuple(f"{format_value(v)} B" for v in (standard.total, flash.total, flash.ideal_total)))
    most = max(result.total.total, result.standard.total)
    return Stack(
        "odometers",
        text("memory", "odometers"),
        np.array(rows, np.float32),
        tuple(text("memory", key) for key in ("standard", "flash", "ideal")),
        tuple(text("operands", key) for key in GROUPS),
        tuple(texts),
        float(most),
        colors=tuple(COLORS[key] for key in GROUPS),
        hatch=(0, 0, 0, 0, 1, 0, 2),
        receipts=_proofs(result, "flash_bytes"),
    )


# -- registers, captions, marks ---------------------------------------------------------------------------------------


def _registers(result: Result, text: Text, proofs: tuple[Number, ...]) -> Pane:
    """Of every query, if that is not too much to send; else of the followed query's block."""
    shown = min(CHANNELS, result.inputs.q.shape[1])
    if result.backward:
        keys, channels = ("delta",), "dQ"
        rows = [(s.tile, [s.delta[:, None], s.grad_q[:, :shown]]) for s in result.backward]
    else:
        keys, channels = ("rescale", "row_max", "row_sum"), "O"
        rows = [
            (s.tile, [s.rescale[:, None], s.row_max[:, None], s.row_sum[:, None], s.accumulator[:, :shown]])
            for s in result.steps
        ]
    width = len(keys) + shown
    everything = sum(len(tile.rows) for tile, _ in rows) * width <= MOST_WRITINGS
    kept = [(tile, parts) for tile, parts in rows if everything or result.query in tile.rows]
    values = [np.concatenate([part.double().numpy() for part in parts], axis=1) for _, parts in kept]
    layer = Registers(
        "registers",
        text("query"),
        (*(text("registers", key) for key in keys), *(f"{channels}[{e}]" for e in range(shown))),
        np.concatenate([np.full(len(tile.rows), tile.index) for tile, _ in kept] or [np.zeros(0, np.int32)]),
        np.concatenate([np.array(tile.rows) for tile, _ in kept] or [np.zeros(0, np.int32)]),
        np.concatenate(values or [np.zeros((0, width))]).astype(np.float32),
        (4,) * width,
        "row",
        "–",
        text("registers", "missing"),
        True,
        proofs,
    )
    return Pane("registers", text("registers", "title"), (layer,), place="wide", note=text("registers", "note"))


def _captions(result: Result, text: Text) -> tuple[str, ...]:
    by_step = {one.step: one for one in result.story}
    said = []
    for tile in result.schedule.tiles:
        line = text(
            "captions",
            "tile",
            q0=str(tile.rows.start),
            q1=str(tile.rows.stop - 1),
            k0=str(tile.cols.start),
            k1=str(tile.cols.stop - 1),
        )
        one = by_step.get(tile.index)
        if one is not None:
            key = "first" if not np.isfinite(one.previous_max) else "raised" if one.max_changed else "kept"
            line += " " + text(
                "captions",
                key,
                row=str(result.query),
                old=format_value(one.previous_max),
                new=format_value(one.row_max),
                share=format_value(one.rescale),
            )
        said.append(line)
    return tuple(said)


def _marks(result: Result, text: Text) -> tuple[Mark, ...]:
    row = str(result.query)
    if result.decode is not None:
        return ()
    if result.backward:
        own = tuple(t.index for t in result.schedule.tiles if result.query in t.rows)
        return (Mark("tiles", text("marks", "tiles", row=row), own, "backward"),)
    changed = tuple(one.step for one in result.story if one.max_changed)
    return (
        Mark("changes", text("marks", "changes", row=row), changed, "error"),
        Mark("tiles", text("marks", "tiles", row=row), tuple(one.step for one in result.story), "prediction"),
    )
