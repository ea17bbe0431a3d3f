"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.contract import View as DemoView
from demos.kit.numbers import format_value
from demos.kit.scene import (
    Boxes,
    Cells,
    Grid,
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
    Words,
    fixed_point,
    jpeg,
)
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES, magnitude_colors, rgb, signed_colors
from demos.kit.upload_errors import error_sentence
from demos.systems.flash_attention_tables_figures import operand_pane, tables

if TYPE_CHECKING:
    from demos.systems.flash_attention import Result

WHOLE, SOME = 6, 4  # sides of a block that are shown whole; of a longer side so many cells are shown
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
    main = [_map(result, text)]
    if result.inputs.photo is not None:
        main.append(_picture(result, text))
    main += _memory(result, text)
    scene = Scene(
        panes=(*main, _tray(result, text), _registers(result, text), operand_pane(result, text), *tables(result, text)),
        steps=len(result.traffic),
        captions=_captions(result, text),
        step_names=tuple(f"i={t.row_block} · j={t.col_block}" for t in result.schedule.tiles),
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
    return DemoView(scene, modes)


def _first_step(result: Result) -> int:
    """A step at which something happens: the query's second tile, where its registers hold something already."""
    return result.story[min(1, len(result.story) - 1)].step if result.story else 0


def _warnings(result: Result, text: Text) -> tuple[str, ...]:
    said = []
    if any(use.overflows for use in result.use):
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
    given = result.final.output[:, :3].double().numpy()
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
    parts = ("Q", "K", "V", "O", "S", "stats")
    known: dict[int, int] = {}
    kinds = []
    for use in result.use:
        known.setdefault(id(use), len(known))
        kinds.append(use)
    values = np.array([[[use.parts[p] for p in parts]] for use in kinds], np.float32)
    most = max(max(use.total for use in kinds), result.capacity)
    chip = Stack(
        "chip",
        text("memory", "chip"),
        values,
        (text("memory", "on_chip"),),
        tuple(text("operands", p) for p in parts),
        tuple((f"{format_value(use.total)} / {format_value(use.capacity)} B",) for use in kinds),
        float(most) * 1.02,
        float(result.capacity),
        text("memory", "limit", bytes=format_value(result.capacity)),
        np.array([[use.overflows] for use in kinds], np.uint8),
        tuple(COLORS[p] for p in parts),
        (0, 0, 0, 0, 1, 2),
        receipts=tuple(_number(result, k, "sram_bytes") for k in range(len(kinds))),
        legend=False,
    )
    odometers = _odometers(result, text)
    if result.inputs.photo is None:
        return (Pane("memory", "", (chip, odometers), row="schedule", share=1.3),)
    wide: Any = {"place": "wide", "row": "memory"}  # the picture stands in their place
    return Pane("chip", "", (chip,), share=0.8, **wide), Pane("odometers", "", (odometers,), share=1.2, **wide)


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
    for step in result.traffic:
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
        receipts=tuple(_number(result, k, "flash_bytes") for k in range(len(result.traffic))),
    )


def _number(result: Result, step: int, key: str) -> Any:
    return next(n for n in result.numbers[step] if n.key == key)


# -- the tray ---------------------------------------------------------------------------------------------------------


def _window(length: int, around: int = 0) -> tuple[int, int]:
    """First cell and number of cells that are shown of a side."""
    if length <= WHOLE:
        return 0, length
    return min(max(around - SOME // 2, 0), length - SOME), SOME


def _tray(result: Result, text: Text) -> Pane:
    """The tile that is on chip, laid out as the products are: left operand to the left, right operand above."""
    schedule, d = result.schedule, result.inputs.q.shape[1]
    r0, rows = _window(result.block_q, result.query % result.block_q)
    c0, cols = _window(result.block_k)
    e0, chans = _window(d)
    top = 1.1 + max(chans, cols, 4)
    gap = 1.2
    x_s = chans + gap
    x_p = x_s + cols + gap
    x_m = x_p + cols + gap
    x_o = x_m + 3 + gap
    y = top + 0.9
    ramp, plain = signed_colors(), magnitude_colors()
    tiles = schedule.tiles

    def cut(matrix: np.ndarray, start: int, stop: int, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows first…first+count of matrix[start:stop], blank beyond."""
        out, blank = np.zeros((count, chans)), np.ones((count, chans), bool)
        part = matrix[start + first : min(stop, start + first + count), e0 : e0 + chans]
        out[: len(part)], blank[: len(part)] = part, False
        return out, blank

    def operand(key: str, matrix: np.ndarray, side: str, xy: tuple[float, float], *, turned: bool = False) -> Grid:
        first, count = (r0, rows) if side == "rows" else (c0, cols)
        known: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        cells, blanks = [], []
        for t in tiles:
            span = getattr(t, side)
            if span.start not in known:
                known[span.start] = cut(matrix, span.start, span.stop, first, count)
            values, blank = known[span.start]
            cells.append(values.T if turned else values)
            blanks.append(blank.T if turned else blank)
        size = float(np.abs(matrix).max()) or 1.0
        return _grid(key, text, xy, np.stack(cells), np.stack(blanks), ramp, (-size, size))

    def of_step(name: str, xy: tuple[float, float], colors: np.ndarray, scale: tuple[float, float] | None) -> Grid:
        cells = np.zeros((len(tiles), rows, cols))
        blanks = np.ones((len(tiles), rows, cols), bool)
        for k, step in enumerate(result.steps):
            part = getattr(step, name)[r0 : r0 + rows, c0 : c0 + cols].double().numpy()
            cells[k, : part.shape[0], : part.shape[1]] = part
            blanks[k, : part.shape[0], : part.shape[1]] = False
        if scale is None:
            finite = np.abs(cells[np.isfinite(cells)])
            size = float(finite.max(initial=0)) or 1.0
            scale = (-size, size) if colors is ramp else (0.0, max(1.0, size))
        return _grid(name, text, xy, cells, blanks, colors, scale)

    def register(name: str, xy: tuple[float, float], colors: np.ndarray) -> Grid:
        cells, blanks = np.zeros((len(tiles), rows, 1)), np.ones((len(tiles), rows, 1), bool)
        for k, step in enumerate(result.steps):
            part = getattr(step, name)[r0 : r0 + rows].double().numpy()
            cells[k, : len(part), 0], blanks[k, : len(part), 0] = part, False
        finite = np.abs(cells[np.isfinite(cells)])
        size = float(finite.max(initial=0)) or 1.0
        return _grid(name, text, xy, cells, blanks, colors, (-size, size) if colors is ramp else (0.0, size))

    outputs = np.zeros((len(tiles), rows, chans))
    missing = np.ones((len(tiles), rows, chans), bool)
    for k, step in enumerate(result.steps):
        part = step.accumulator[r0 : r0 + rows, e0 : e0 + chans].double().numpy()
        outputs[k, : len(part)], missing[k, : len(part)] = part, False
    finite = np.abs(outputs[np.isfinite(outputs)])
    size = float(finite.max(initial=0)) or 1.0
    q, k, v = result.inputs.q, result.inputs.k, result.inputs.v
    width, height = int(np.ceil(x_o + chans)), int(np.ceil(y + rows + 0.1))
    layers: list[Layer] = [
        operand("q", q, "rows", (0.0, y)),
        operand("k", k, "cols", (x_s, y - 1.1 - chans), turned=True),
        of_step("scores", (x_s, y), ramp, None),
        of_step("probabilities", (x_p, y), plain, None),
        register("row_max", (x_m, y), ramp),
        register("row_sum", (x_m + 1, y), plain),
        register("rescale", (x_m + 2, y), plain),
        operand("v", v, "cols", (x_o, y - 1.1 - cols)),
        _grid("accumulator", text, (x_o, y), outputs, missing, ramp, (-size, size)),
        _row_frame(result, text, r0, rows, width, y),
        _formulas(result, text, x_p, y - 1.5),
    ]
    parts = [
        text("tray", "part", shown=str(shown), all=str(whole), what=text("tray", what))
        for shown, whole, what in (
            (rows, result.block_q, "rows"),
            (cols, result.block_k, "columns"),
            (chans, d, "channels"),
        )
        if shown < whole
    ]
    note = text("tray", "note") if not parts else text("tray", "shown", parts=text("tray", "and").join(parts))
    width, height = int(np.ceil(x_o + chans)), int(np.ceil(y + rows + 0.1))
    return Pane("tray", text("tray", "title"), tuple(layers), width, height, place="wide", note=note)


def _grid(
    key: str,
    text: Text,
    xy: tuple[float, float],
    values: np.ndarray,
    blank: np.ndarray,
    ramp: np.ndarray,
    scale: tuple[float, float],
) -> Grid:
    decimals = 2 if scale[1] < 20 else 1 if scale[1] < 200 else 0
    return Grid(key, text("blocks", key), xy, fixed_point(values, decimals, blank=blank), decimals, ramp, scale)


def _row_frame(result: Result, text: Text, r0: int, rows: int, width: int, y: float) -> Layer:
    """A frame around the query that is followed, while it is on chip."""
    xyxy = np.full((len(result.schedule.tiles), 1, 4), np.nan, np.float32)
    for k, tile in enumerate(result.schedule.tiles):
        local = result.query - tile.rows.start - r0
        if result.query in tile.rows and 0 <= local < rows:
            xyxy[k, 0] = [0, y + local, width, y + local + 1]
    return Boxes("query", text("tray", "query"), xyxy, colors=("error",))


def _formulas(result: Result, text: Text, x: float, bottom: float) -> Layer:
    """The recurrence as it is computed here; the rule that is broken is marked."""
    c = result.controls
    name = c.rule if c.rule != "running_max" else c.order
    lines = text("formulas", name).split("\n")
    xy = np.array([[x, bottom - 0.78 * (len(lines) - 1 - i)] for i in range(len(lines))], np.float32)
    return Words("formulas", text("tray", "formulas"), xy, (tuple(lines),), 0.58, "start")


# -- registers, captions, marks ---------------------------------------------------------------------------------------


def _registers(result: Result, text: Text) -> Pane:
    d = result.inputs.q.shape[1]
    shown = min(CHANNELS, d)
    width = 3 + shown
    everything = sum(len(s.tile.rows) for s in result.steps) * width <= MOST_WRITINGS
    steps, items, values = [], [], []
    for step in result.steps:
        if not everything and result.query not in step.tile.rows:
            continue
        n = len(step.tile.rows)
        steps.append(np.full(n, step.tile.index))
        items.append(np.arange(step.tile.rows.start, step.tile.rows.stop))
        columns = [step.rescale[:, None], step.row_max[:, None], step.row_sum[:, None], step.accumulator[:, :shown]]
        values.append(np.concatenate([x.double().numpy() for x in columns], axis=1))
    names = (*(text("registers", key) for key in ("rescale", "row_max", "row_sum")), *(f"O[{e}]" for e in range(shown)))
    layer = Registers(
        "registers",
        text("query"),
        names,
        np.concatenate(steps) if steps else np.zeros(0, np.int32),
        np.concatenate(items) if items else np.zeros(0, np.int32),
        (np.concatenate(values) if values else np.zeros((0, width))).astype(np.float32),
        (4,) * width,
        "row",
        "–",
        text("registers", "missing"),
        True,
        tuple(_number(result, k, "row_sum") for k in range(len(result.traffic))),
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
    changed = tuple(one.step for one in result.story if one.max_changed)
    return (
        Mark("changes", text("marks", "changes", row=row), changed, "error"),
        Mark("tiles", text("marks", "tiles", row=row), tuple(one.step for one in result.story), "prediction"),
    )
