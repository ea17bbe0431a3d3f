"""Errors as lanes of histograms with their laws; curves and tables of the lens on laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.perception.joint_readings import DECODERS
from core.perception.quantization_error import growing_histogram
from core.perception.simcc_published import published_ap
from demos.kit.scene import Axes, Layer, Pane, Paths, Place, Points, Scene, Table, Words
from demos.kit.text import Text
from demos.perception.simcc_inputs import SIZES
from demos.perception.simcc_numbers import expected, law, mean_distance, quoted

if TYPE_CHECKING:
    from demos.perception.simcc import Result

# Of DECODERS, everywhere. The truth is green, as in the whole house.
COLORS = ("#E69F00", "#F0E442", "#56B4E9", "#CC79A7", "#0072B2", "#999999")
LANES = (300, 172)  # units of the drawing: across ±REACH px, down one lane a decoder
LEFT, FOOT = 62, 16  # room for names, and for the scale
REACH = 3.0  # px of an axis' error on either side
BINS, WIDE = 20, 30  # of a histogram inside ⅝ of a law's width; of one without a law


def lanes_pane(result: Result, text: Text, *, place: Place) -> Pane:
    """One lane a decoder: the errors so far along x and y, and the closed-form density over them."""
    width, height = LANES
    lane, steps = (height - FOOT) / len(DECODERS), len(result.trails[0].errors)
    scale = (width - LEFT) / (2 * REACH)
    middle = LEFT + REACH * scale
    single = result.curve is not None  # all at once, no steps
    layers: list[Layer] = []
    laws = []
    for d in range(len(DECODERS)):
        base, found = (d + 1) * lane - 2, result.laws[d]
        values = result.trails[d].errors
        span = 0.625 * found.width if found is not None and found.width else REACH
        edges = np.linspace(-span, span, (BINS if span < REACH else WIDE) + 1)
        counts = sum(growing_histogram(values[:, axis], edges.tolist()) for axis in (0, 1))  # (T, B)
        share = np.asarray(counts, float) / (2 * np.arange(1, steps + 1))[:, None]
        if single:
            share = share[-1:]
        tall = found.width and found.density * (edges[1] - edges[0]) if found is not None else 0
        high = (lane - 6) * (0.62 / tall if tall else 1 / np.maximum(share.max(axis=1, keepdims=True), 1e-9))
        outline = np.repeat(np.minimum(share * high, lane - 4), 2, axis=1)
        x = middle + np.repeat(edges, 2)[1:-1] * scale
        y = base - outline
        line = np.stack([np.broadcast_to(x, y.shape), y], axis=-1)
        ends = np.stack([np.full(len(y), x[0]), np.full(len(y), base)], -1)[:, None]
        tail = np.stack([np.full(len(y), x[-1]), np.full(len(y), base)], -1)[:, None]
        path = np.concatenate([ends, line, tail], axis=1)[:, None].astype(np.float32)
        layers.append(Paths(f"lane_{d}", "", path[0] if single else path, colors=(COLORS[d],), width=2))
        if found is not None and found.width:
            half, top = found.largest_axis * scale, base - (lane - 6) * 0.62
            laws.append([[middle - half, base], [middle - half, top], [middle + half, top], [middle + half, base]])
        elif found is not None:
            laws.append([[middle, base], [middle, base - (lane - 6)], [np.nan, np.nan], [np.nan, np.nan]])
    floors = [[[LEFT, (d + 1) * lane - 2], [width, (d + 1) * lane - 2]] for d in range(len(DECODERS))]
    layers = [
        Paths("floors", "", np.array(floors, np.float32), colors=("neutral",), width=0.6),
        *layers,
        Paths("laws", text("layers", "laws"), np.array(laws, np.float32), colors=("truth",), dashed=True, width=1.6),
        _names(lane, text),
        _scale(middle, scale, height),
    ]
    title = text("panes", "lanes_all" if single else "lanes")
    return Pane("lanes", title, tuple(layers), width, height, place=place, note=text("lanes_note"))


def _names(lane: float, text: Text) -> Words:
    places = np.array([[2, (d + 0.62) * lane] for d in range(len(DECODERS))], np.float32)
    names = tuple(text("short", name) for name in DECODERS)
    return Words("names", "", places, (names,), size=9.5, anchor="start")


def _scale(middle: float, scale: float, height: int) -> Words:
    at = (-2, -1, 0, 1, 2)
    places = np.array([[middle + v * scale, height - 6] for v in at], np.float32)
    return Words("scale", "", places, (tuple(f"{v} px".replace("-", "−") for v in at),), size=8.5)


# -- laws ------------------------------------------------------------------------------------------------------------------------


def laws_view(result: Result, text: Text) -> Scene:
    panes = (
        lanes_pane(result, text, place="main"),
        _oks_pane(result, text),
        _laws_table(result, text),
        *_tables(result, text),
    )
    return Scene(panes, 1, (text("captions", "laws", count=str(result.controls.count)),))


def _oks_pane(result: Result, text: Text) -> Pane:
    """Expected OKS of a perfect network against the input's height."""
    assert result.curve is not None
    heights = np.array([size[1] for size in SIZES.values()], np.float32)
    xy = np.stack([np.broadcast_to(heights[:, None], result.curve.shape), result.curve], axis=-1).astype(np.float32)
    from demos.perception.simcc import CURVES

    names = tuple(text("curves", name) for name, _ in CURVES)
    colors = (COLORS[0], COLORS[1], "#56B4E9", COLORS[4], "#009E73")
    layers = (
        Paths("oks", "", np.moveaxis(xy, 0, 1), names, colors),
        Points(
            "oks_at",
            "",
            xy.transpose(1, 0, 2).reshape(-1, 2),
            colors=tuple(c for c in colors for _ in heights),
            radius=3,
        ),
    )
    low = float(np.floor(result.curve.min() * 20) / 20)
    axes = Axes((float(heights[0]), float(heights[-1])), (low, 1.0), text("oks", "x"), text("oks", "y"))
    return Pane("oks", text("oks", "title"), layers, axes=axes, note=text("oks", "note"))


def _laws_table(result: Result, text: Text) -> Pane:
    last = len(result.trails[0].errors) - 1
    rows = tuple(
        (text("decoders", name), mean_distance(result, d, last), law(result, d)) for d, name in enumerate(DECODERS)
    )
    columns = tuple(text("table", key) for key in ("decoder", "mean", "law"))
    table = Table("laws", text("laws", "title"), columns, rows)
    return Pane("laws", text("laws", "title"), (table,), place="side", note=text("laws", "note"))


def _tables(result: Result, text: Text) -> tuple[Pane, ...]:
    """What is computed beside what is printed: never in one table."""
    from demos.perception.simcc import CURVES

    names = {name: text("curves", name) for name, _ in CURVES}
    rows = tuple(
        (
            f"{w} × {h}",
            *(expected(result, row, column, f"{w} × {h}, {names[key]}") for column, (key, _) in enumerate(CURVES)),
        )
        for row, (w, h) in enumerate(SIZES.values())
    )
    computed = Table("oks_table", text("oks", "table"), (text("oks", "size"), *names.values()), rows)
    printed = tuple(
        (
            f"{line.input_size[0]} × {line.input_size[1]}",
            quoted(line.heatmap, "ap_heatmap", f"{line.input_size[0]} × {line.input_size[1]}"),
            quoted(line.shifted, "ap_shifted", f"{line.input_size[0]} × {line.input_size[1]}"),
            quoted(line.simcc, "ap_simcc", f"{line.input_size[0]} × {line.input_size[1]}"),
        )
        for line in published_ap()
    )
    columns = (text("oks", "size"), *(text("published", key) for key in ("heatmap", "shifted", "simcc")))
    table = Table("published", text("published", "title"), columns, printed)
    return (
        Pane("oks_table", text("oks", "table"), (computed,), place="below"),
        Pane("published", text("published", "title"), (table,), place="below", note=text("published", "note")),
    )
