"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.kit.numbers import Number, format_value
from demos.kit.scene import Boxes, Guess, Hover, Labels, Layer, Pane, Points, Scene, Table, Tools, View
from demos.kit.text import Text
from demos.kit.theme import ROLES, magnitude_colors, rgb
from demos.kit.upload_errors import error_sentence
from demos.perception.spp_contrast_figures import atrous_scene, averages_scene, block_scene
from demos.perception.spp_inputs import NETWORK_MAPS, canvas_of, pixels_of
from demos.perception.spp_map_figures import (
    cell_codes,
    channel_name,
    heat_layer,
    level_color,
    level_name,
    photo_layer,
    shades,
)
from demos.perception.spp_numbers import level_numbers, projected_numbers, theorem_numbers

if TYPE_CHECKING:
    from core.perception.pooling_bins import Rule, RuleTheorem
    from core.perception.pooling_steps import PoolStep
    from core.perception.spatial_pyramid_pooling import PoolingPyramid
    from demos.perception.spatial_pyramid_pooling import Result

SIDE = 64  # more bins a side than any rule gives here: (level · SIDE + row) · SIDE + column names a bin
HEADER = 22.0  # px above the vector's cells
STRIP = 550.0  # px, its longest
WINDOWS = ("#E69F00", "#56B4E9")  # by the paper, by the released code


def show(result: Result, text: Text) -> DemoView:
    view = result.controls.view
    draw = {"block": block_scene, "averages": averages_scene, "atrous": atrous_scene}.get(view, _pyramid_scene)
    c = result.controls
    sized = c.source != "array" and c.features not in NETWORK_MAPS
    modes = {"view": view, "source": c.source, "sized": "yes" if sized else "no"}
    items = {name: text("items", name) for name in ("columns", "rows", "spp", "sppf", "separable")}
    return DemoView(draw(result, text), modes, items)


def _pyramid_scene(result: Result, text: Text) -> Scene:
    """Map and vector by one rule, or by two side by side."""
    boxed, other = result.controls.view == "box", result.other
    shown = [("a", result.pyramid)] + ([("b", other)] if other is not None else [])
    panes = [_map_pane(result, p, key, _title(p, text) if len(shown) > 1 else "", text) for key, p in shown]
    panes += [_vector_pane(result, p, key, text) for key, p in shown]
    panes.append(_windows_pane(result, text) if boxed else _levels_pane(result, [p for _, p in shown], text))
    if not boxed:
        panes.append(_theorem_pane(result, text))
    return Scene(
        panes=tuple(panes),
        steps=len(result.steps),
        captions=tuple(_caption(result, step, text) for step in result.steps),
        step_names=tuple(_step_name(result, step) for step in result.steps),
        step=_opening(result),
        tools=_tools(result, text) if boxed else None,
        notes=_notes(result, shown, text),
        pointed=("bin", *(f"cell-{key}" for key, _ in shown)),
        followed=_followed(result, shown),
    )


def _title(pyramid: PoolingPyramid, text: Text) -> str:
    """A rule beside another, and whether its bins are as many as were asked for."""
    wanted = pyramid.expected_length // pyramid.channels
    key = "right" if pyramid.right_length else "wrong"
    return text("titles", key, rule=text("rules", pyramid.rule), bins=str(pyramid.bins), wanted=str(wanted))


# -- ids -------------------------------------------------------------------------------------------------------------------


def _bin_ids(pyramid: PoolingPyramid, level: int) -> np.ndarray:
    """(R·K,) one number a bin: the same level, row and column of two rules have the same."""
    bins = pyramid.levels[level].bins
    rows, columns = np.divmod(np.arange(len(bins.boxes)), max(1, bins.columns.windows))
    return ((level * SIDE + rows) * SIDE + columns).astype(np.int32)


def _vector_ids(pyramid: PoolingPyramid, level: int, channel: int) -> np.ndarray:
    """(R·K,) place in the vector of each bin of a level."""
    bins = range(len(pyramid.levels[level].boxes))
    return np.array([pyramid.index(level=level, channel=channel, bin=k) for k in bins], np.int32)


def _shown_cells(pyramid: PoolingPyramid, channel: int) -> dict[int, int]:
    """Bin -> its place in the vector, in the channel that is shown."""
    levels = range(len(pyramid.levels))
    return {
        int(bin): int(place)
        for i in levels
        for bin, place in zip(_bin_ids(pyramid, i), _vector_ids(pyramid, i, channel), strict=True)
    }


def _with_cells(result: Result, bins: np.ndarray) -> dict[str, np.ndarray]:
    """For bins of either rule: the numbers, in each rule's vector, that light up with them."""
    found = {}
    for key, pyramid in (("a", result.pyramid), ("b", result.other)):
        if pyramid is not None:
            cells = _shown_cells(pyramid, result.channel)
            found[f"cell-{key}"] = np.array([cells.get(int(bin), -1) for bin in bins], np.int32)
    return found


def _followed(result: Result, shown: list[tuple[str, PoolingPyramid]]) -> dict[str, np.ndarray]:
    """What each step lights: its bin, by whichever rule, and the numbers of the channel that is shown."""
    ids = [_bin_ids(result.pyramid, i) for i in range(len(result.pyramid.levels))]
    bins = np.array([ids[step.level or 0][step.bin or 0] for step in result.steps], np.int32)
    return {"bin": bins, **_with_cells(result, bins)}


def _opening(result: Result) -> int:
    """The bin of the finest level with the largest value: something to look at."""
    first = result.steps[0].level
    values = [step.value if step.level == first else -np.inf for step in result.steps]
    return int(np.argmax(np.nan_to_num(values, nan=-np.inf)))


# -- the map ---------------------------------------------------------------------------------------------------------------


def _map_pane(result: Result, pyramid: PoolingPyramid, key: str, title: str, text: Text) -> Pane:
    inputs, channel = result.inputs, result.channel
    height, width = canvas_of(inputs)
    values = inputs.features[0, channel].numpy()
    name = text("layers", "map", channel=channel_name(inputs, channel, text))
    boxed = result.controls.view == "box"
    layers: list[Layer] = [*photo_layer(inputs, text)]
    layers.append(heat_layer(values, inputs, "map", name, text, opacity=0.55 if boxed else 0.8))
    layers.append(_reads_layer(result, pyramid, text))
    order = sorted(range(len(pyramid.levels)), key=lambda i: result.levels[i])
    for i in order:
        layers += _level_layers(result, pyramid, i)
    layers += _argmax_layers(result, pyramid, key, text)
    if boxed:
        layers += _window_layers(result, text)
    beside = result.other is not None
    scale = min(1.35, 270 / width, 250 / height) if beside else min(1.1, 560 / width, 250 / height)
    return Pane(f"map-{key}", title, tuple(layers), width, height, pixel=scale, nudge=float(inputs.stride), row="maps")


def _reads_layer(result: Result, pyramid: PoolingPyramid, text: Text) -> Labels:
    """Cells that no bin reads are hatched, cells that several read are shaded; one way to look at it a level."""
    inputs = result.inputs
    x0, y0, x1, y1 = pyramid.window
    missing, some, many = (*rgb(ROLES["error"]), 225), (*rgb("#CC79A7"), 85), (*rgb("#CC79A7"), 150)
    legend = (
        (text("views", "unread"), ROLES["error"], 1),
        (text("views", "shared"), "#CC79A7", 0),
    )
    views = []
    for level in pyramid.levels:
        reads = level.bins.reads.ravel()
        colors = np.zeros((reads.size, 4), np.uint8)
        colors[reads == 0], colors[reads > 1], colors[reads > 2] = missing, some, many
        name = level_name(level.bins.level)
        views.append(
            View(
                f"reads-{len(views)}",
                text("views", "reads", level=name),
                colors,
                np.where(reads == 0, 1, 0).astype(np.uint8),
                legend,
            )
        )
    first = int(np.argmax(result.levels)) if result.other is None else _compared(result)
    return Labels(
        "reads",
        text("layers", "reads"),
        cell_codes(y1 - y0, x1 - x0),
        tuple(views),
        view=f"reads-{first}",
        opacity=0.85,
        extent=pixels_of(inputs, pyramid.window),
    )


def _level_layers(result: Result, pyramid: PoolingPyramid, index: int) -> list[Layer]:
    """The bins of one level; where it nests in a finer one, that one's bins light up inside a lit bin."""
    level, inputs = pyramid.levels[index], result.inputs
    name, ids = level_name(level.bins.level), _bin_ids(pyramid, index)
    boxes = np.array([pixels_of(inputs, box) for box in level.boxes]).reshape(-1, 4)
    place = sorted(range(len(result.levels)), key=lambda i: (-result.levels[i], i)).index(index)
    columns = max(1, level.bins.columns.windows)
    hints = tuple(
        f"{name} · {k // columns + 1}, {k % columns + 1} · [{box[1]}, {box[3]}) × [{box[0]}, {box[2]})"
        for k, box in enumerate(level.boxes)
    )
    layers: list[Layer] = [
        Boxes(
            f"level-{index}",
            name,
            boxes,
            colors=(level_color(result.levels, index),),
            width=1.5 + 1.5 * place,
            hints=hints,
            link="bin",
            items=ids,
            also=_with_cells(result, ids),
            visible=result.other is None or index == _compared(result),
        )
    ]
    if level.nested_from is not None:
        from core.perception.pyramid_bins import nested_bins

        fine = pyramid.levels[level.nested_from]
        parts = [nested_bins(fine.bins, level.bins, k) for k in range(len(level.boxes))]
        inside = [(pixels_of(inputs, fine.boxes[j]), ids[k]) for k, group in enumerate(parts) for j in group]
        layers.append(
            Boxes(
                f"parts-{index}",
                "",
                np.array([box for box, _ in inside]).reshape(-1, 4),
                quiet=True,
                link="bin",
                items=np.array([i for _, i in inside], np.int32),
            )
        )
    return layers


def _compared(result: Result) -> int:
    """Of two rules side by side, the level to look at first: the finest one at which they differ."""
    assert result.other is not None
    pairs = zip(result.pyramid.levels, result.other.levels, strict=True)
    differ = [i for i, (a, b) in enumerate(pairs) if a.boxes != b.boxes] or list(range(len(result.levels)))
    return max(differ, key=lambda i: result.levels[i])


def _argmax_layers(result: Result, pyramid: PoolingPyramid, key: str, text: Text) -> list[Layer]:
    """The cell that gave each number: dots for the channel that is shown, the others' only while they are lit."""
    own: list[tuple[tuple[float, float], int, int]] = []
    others: list[tuple[tuple[float, float], int, int]] = []
    for i, level in enumerate(pyramid.levels):
        bins, argmax = _bin_ids(pyramid, i), level.argmax[0].flatten(1).numpy()
        for channel in range(pyramid.channels):
            ids = _vector_ids(pyramid, i, channel)
            for k, flat in enumerate(argmax[channel]):
                if flat < 0:
                    continue
                x0, y0, x1, y1 = pixels_of(
                    result.inputs, (flat % pyramid.width, flat // pyramid.width, flat % pyramid.width + 1, flat // pyramid.width + 1)
                )  # fmt: skip
                (own if channel == result.channel else others).append(
                    (((x0 + x1) / 2, (y0 + y1) / 2), int(ids[k]), int(bins[k]))
                )
    return [
        Points(
            name,
            label,
            np.array([xy for xy, _, _ in found]).reshape(-1, 2),
            colors=("#FFFFFF",),
            radius=2.5,
            quiet=quiet,
            visible=quiet or result.other is None,
            link=f"cell-{key}",
            items=np.array([i for _, i, _ in found], np.int32),
            also={"bin": np.array([b for _, _, b in found], np.int32)},
        )
        for name, label, found, quiet in (
            ("argmax", text("layers", "argmax"), own, False),
            ("argmax-others", "", others, True),
        )
    ]


def _window_layers(result: Result, text: Text) -> list[Layer]:
    inputs = result.inputs
    rows, columns = inputs.size
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    centres = np.array([pixels_of(inputs, (i + 0.5, j + 0.5, 0, 0))[:2] for j, i in zip(y, x, strict=True)])
    windows = np.array([pixels_of(inputs, p.cells_xyxy) for p in result.projections])
    names = (text("windows", "paper"), text("windows", "code"))
    return [
        Points("centres", text("layers", "centres"), centres, colors=("neutral",), radius=1.4),
        *(
            Boxes(
                f"window-{name}",
                text("windows", name),
                windows[i : i + 1],
                (names[i],) if i == (result.controls.projection == "code") else (),
                (WINDOWS[i],),
                width=4.0 if i == 0 else 2.5,
                dashed=i == 1,
            )
            for i, name in enumerate(("paper", "code"))
        ),
    ]


# -- the vector ------------------------------------------------------------------------------------------------------------


def _vector_pane(result: Result, pyramid: PoolingPyramid, key: str, text: Text) -> Pane:
    """Every number of the vector: a row a channel, a column a bin, a block a level. Each row has its own shades."""
    channels, sizes = pyramid.channels, [len(level.boxes) for level in pyramid.levels]
    columns = sum(sizes) + len(sizes) - 1
    beside = result.other is not None
    margin = 4.0
    longest = max(columns, len(result.other.levels) - 1 + result.other.bins if result.other is not None else 0)
    wide, high = min(28.0, STRIP / longest), min(12.0, (60.0 if beside else 100.0) / channels)
    codes, parts, blocks = np.zeros((channels, columns), np.uint16), [], []
    at, code = 0, 1
    for i, level in enumerate(pyramid.levels):
        bins = sizes[i]
        codes[:, at : at + bins] = code + np.arange(channels * bins).reshape(channels, bins)
        blocks.append((margin + at * wide, HEADER, margin + (at + bins) * wide, HEADER + channels * high))
        parts.append(level)
        at, code = at + bins + 1, code + channels * bins
    tables = _vector_tables(result, pyramid, text)
    names = tuple(level_name(level.bins.level) for level in pyramid.levels)
    colors = tuple(level_color(result.levels, i) for i in range(len(sizes)))
    width, height = margin + longest * wide + 4, HEADER + channels * high + 4  # two vectors on one scale
    row = HEADER + result.channel * high
    layers: list[Layer] = [
        Labels(
            "vector",
            "",
            codes,
            (View("value", "", tables[0]),),
            opacity=1.0,
            link=f"cell-{key}",
            items=tables[1],
            also={"bin": tables[2]},
            hover=(Hover("", np.arange(code, dtype=np.uint16), tables[3]),),
            extent=(margin, HEADER, margin + columns * wide, HEADER + channels * high),
        ),
        Boxes("blocks", "", np.array(blocks), names if wide * min(sizes) > 1 else (), colors),
        Boxes(
            "shown", "", np.array([[margin - 3, row, margin + columns * wide + 3, row + high]]), colors=("",), width=1.2
        ),
    ]
    length = text("vector", "length", channels=str(channels), bins=str(sum(sizes)), length=str(pyramid.length))
    flag = "" if pyramid.right_length else text("vector", "wrong", expected=str(pyramid.expected_length))
    title = f"{length}{flag}"
    if beside:
        title = text("vector", "of", rule=text("rules", pyramid.rule), vector=title)
    return Pane(f"vector-{key}", title, tuple(layers), round(width), round(height), pixel=1.0, nudge=high)


def _vector_tables(
    result: Result, pyramid: PoolingPyramid, text: Text
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """Per code of the strip: colour, place in the vector, bin, and what the tooltip says. Code 0 is the gap."""
    channels = pyramid.channels
    rows = [np.concatenate([level.values[0, k].flatten().numpy() for level in pyramid.levels]) for k in range(channels)]
    shaded = np.stack([shades(row) for row in rows])
    colors, places, bins, names = [np.zeros((1, 4), np.uint8)], [np.array([-1])], [np.array([-1])], [""]
    at = 0
    for i, level in enumerate(pyramid.levels):
        count, ids = len(level.boxes), _bin_ids(pyramid, i)
        wide = max(1, level.bins.columns.windows)
        for k in range(channels):
            ramp = magnitude_colors()[shaded[k, at : at + count]]
            colors.append(np.concatenate([ramp, np.full((count, 1), 255, np.uint8)], axis=1))
            vector = _vector_ids(pyramid, i, k)
            places.append(vector)
            bins.append(ids)
            channel, values = channel_name(result.inputs, k, text), level.values[0, k].flatten().tolist()
            names += [
                f"[{vector[b]}] {level_name(level.bins.level)} · {b // wide + 1}, {b % wide + 1} · {channel}: {format_value(v)}"
                for b, v in enumerate(values)
            ]
        at += count
    return (
        np.concatenate(colors).astype(np.uint8),
        np.concatenate(places).astype(np.int32),
        np.concatenate(bins).astype(np.int32),
        tuple(names),
    )


# -- beside it -------------------------------------------------------------------------------------------------------------


def _levels_pane(result: Result, pyramids: list[PoolingPyramid], text: Text) -> Pane:
    """Per level, and per rule if there are two: bins, cells that no bin reads, cells that several read."""
    rows: list[tuple[str | Number, ...]] = []
    marked: list[int] = []
    for i, level in enumerate(result.levels):
        for pyramid in pyramids:
            name = level_name(level) + (f" {text('rules_short', pyramid.rule)}" if len(pyramids) > 1 else "")
            bins = pyramid.levels[i].bins
            if not bins.right_count or bins.unread_cells:
                marked.append(len(rows))
            rows.append((name, *level_numbers(bins, name)))
    columns = tuple(text("columns", key) for key in ("level", "bins", "unread", "shared"))
    table = Table("levels", text("tables", "levels"), columns, tuple(rows), tuple(marked))
    return Pane("levels", text("tables", "levels"), (table,), place="side")


def _theorem_pane(result: Result, text: Text) -> Pane:
    """Why the paper's formula gives these bins: one row a level and axis; both axes in one where they are alike."""
    rows: list[tuple[str | Number, ...]] = []
    marked: list[int] = []
    for level, (down, across) in zip(result.levels, result.comparisons, strict=True):
        both = [("rows", down.theorem), ("columns", across.theorem)]
        axes = [("", down.theorem)] if down.theorem == across.theorem else both
        for axis, theorem in axes:
            name = f"{level_name(level)} {text('axes', axis)}" if axis else level_name(level)
            split = f"{theorem.size} = {theorem.quotient}·{theorem.bins} + {theorem.remainder}"
            if not theorem.agrees:
                marked.append(len(rows))
            rows.append((name, split, *theorem_numbers(theorem, name), _verdict(theorem, text)))
    columns = tuple(text("columns", key) for key in ("level", "split", "remainder", "windows", "verdict"))
    table = Table("theorem", text("tables", "theorem"), columns, tuple(rows), tuple(marked))
    return Pane("theorem", text("tables", "theorem"), (table,), place="below", note=text("tables", "theorem_note"))


def _verdict(theorem: RuleTheorem, text: Text) -> str:
    if theorem.windows is None:
        return text("verdicts", "none")
    if theorem.agrees:
        return text("verdicts", "same")
    if theorem.right_count:
        return text("verdicts", "unread", unread=str(theorem.unread))
    return text("verdicts", "wrong", windows=str(theorem.windows), bins=str(theorem.bins))


def _windows_pane(result: Result, text: Text) -> Pane:
    """The box in cells: not rounded (RoIAlign), by the paper, by the released code."""
    paper, code = result.projections
    exact = tuple(
        f"{format_value(v)}" for v in (paper.x.exact_start, paper.x.exact_end, paper.y.exact_start, paper.y.exact_end)
    )
    rows: list[tuple[str | Number, ...]] = [(text("windows", "exact"), *exact)]
    for name, projection in (("paper", paper), ("code", code)):
        rows.append((text("windows", name), *projected_numbers(projection, f" · {text('windows', name)}")))
    columns = tuple(text("columns", key) for key in ("rule", "left", "right", "top", "bottom"))
    chosen = 2 if result.controls.projection == "code" else 1
    table = Table("windows", text("tables", "windows"), columns, tuple(rows), (chosen,))
    collapsed = text("windows", "collapsed") if result.projection.collapsed else text("windows", "note")
    return Pane("windows", text("tables", "windows"), (table,), place="side", note=collapsed)


# -- words -----------------------------------------------------------------------------------------------------------------


def _step_name(result: Result, step: PoolStep) -> str:
    return f"{level_name(result.levels[step.level or 0])} · {(step.bin or 0) + 1}"


def _caption(result: Result, step: PoolStep, text: Text) -> str:
    level = level_name(result.levels[step.level or 0])
    said = {"level": level, "bin": str((step.bin or 0) + 1), "value": format_value(step.value)}
    if step.box is None or step.argmax_xy is None:
        return text("captions", "empty", level=level, bin=said["bin"])
    left, top = result.pyramid.window[:2]
    said |= {"x": str(step.argmax_xy[0] + left), "y": str(step.argmax_xy[1] + top)}
    if step.source_level is not None:
        finer = level_name(result.levels[step.source_level])
        return text("captions", "nested", finer=finer, count=str(len(step.source_bins)), **said)
    x0, y0, x1, y1 = step.box
    return text("captions", "bin", rows=f"{top + y0}–{top + y1 - 1}", columns=f"{left + x0}–{left + x1 - 1}", **said)


def _notes(result: Result, shown: list[tuple[str, PoolingPyramid]], text: Text) -> tuple[str, ...]:
    notes = [error_sentence(note.code, note.fields, text.language) for note in result.inputs.notes]
    for _, pyramid in shown:
        if not pyramid.right_length:
            fields = {"length": str(pyramid.length), "expected": str(pyramid.expected_length)}
            notes.append(text("notes", "wrong_length", rule=text("rules", pyramid.rule), **fields))
            notes += _reason(result, text) if pyramid.rule == "paper" else ()
    return tuple(notes)


def _reason(result: Result, text: Text) -> tuple[str, ...]:
    """The theorem at the first level whose windows are too many."""
    both = [axis.theorem for pair in result.comparisons for axis in pair]
    t = next((t for t in both if not t.right_count), None)
    if t is None:
        return ()
    split = f"{t.size} = {t.quotient}·{t.bins} + {t.remainder}"
    words = {"q": str(t.quotient), "r": str(t.remainder), "windows": str(t.windows), "bins": str(t.bins)}
    return (text("notes", "why", split=split, **words),)


def _tools(result: Result, text: Text) -> Tools:
    x0, y0, x1, y1 = result.projection.box_xyxy
    return Tools("map-a", box=True, box_xyxy=(x0, y0, x1 + 1, y1 + 1), label=text("tools", "box"))


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Which rule's vector does not fit the next layer at 180 px? Computed by each rule on that very map."""
    rules, lengths, expected = _lengths_by_rule()
    answer = next(i for i, length in enumerate(lengths) if length != expected)
    options = tuple(text("rules", rule) for rule in rules)
    reveal = tuple(
        text("predict", "reveal", rule=name, length=str(length), expected=str(expected))
        for name, length in zip(options, lengths, strict=True)
    )
    return (Guess(text("predict", "question"), options, answer, reveal, "wrong"),)


@lru_cache(maxsize=1)
def _lengths_by_rule() -> tuple[tuple[Rule, ...], tuple[int, ...], int]:
    """The rules, their vectors' lengths on the failing view's map, and the length expected there."""
    from core.perception.pooling_bins import RULES
    from demos.perception.spatial_pyramid_pooling import DEMO, run

    result = run(DEMO.presets["wrong"])
    return RULES, tuple(result.pooled(rule).length for rule in RULES), result.pyramid.expected_length
