"""Result -> scene. The joint on its picture and under a magnifier; the other lenses are drawn in the modules beside this one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from core.perception.joint_readings import DECODERS
from demos.contract import View as DemoView
from demos.kit.numbers import Number
from demos.kit.scene import Boxes, Handle, Labels, Layer, Pane, Paths, Picture, Points, Scene, Table, Tools, View, jpeg
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors
from demos.kit.upload_errors import error_sentence
from demos.perception.simcc_curves_figures import COLORS, lanes_pane, laws_view
from demos.perception.simcc_numbers import law, mean_distance, step_numbers

if TYPE_CHECKING:
    from demos.perception.simcc import Result

WINDOW = (28, 36)  # width and height of what lies under the magnifier, px of the input
STRIPS = (7, 9)  # room for the bins beside and below it
GRID = 4  # px: the magnifier moves by whole cells of the heatmap
STAY = 8  # px that the joint may leave the magnifier's middle before it follows
LEVELS = 24  # heights of a heatmap that are told apart
MARGIN = 0.22  # of the picture's width: room for the distributions beside it
POOLED = 96  # places of a distribution that are drawn along a picture
SIGNS = ("A", "¼", "D", "S", "C", "R")  # of DECODERS, beside their dots
HALF = 0.5  # a pane's units begin at a pixel's edge, coordinates at its middle


def show(result: Result, text: Text) -> DemoView:
    c = result.controls
    if result.subject is not None:
        scene = _joint(result, text)
    elif result.curve is not None:
        scene = laws_view(result, text)
    elif result.residuals is not None:
        from demos.perception.simcc_residuals_figures import residuals_view

        scene = residuals_view(result.residuals, text)
    else:
        from demos.perception.simcc_heads_figures import heads_view

        assert result.heads is not None
        scene = heads_view(result.heads, text)
    modes = {
        "lens": c.lens,
        "source": c.source if c.lens == "joint" else "",
        "codec": "yes" if c.lens in ("joint", "laws") else "no",
        "seeded": "yes" if c.lens == "heads" or (c.lens == "joint" and c.source == "figure") else "no",
        "drawn": "yes" if c.lens in ("joint", "laws", "rle") else "no",
    }
    items = {name: text("decoders", name) for name in (*DECODERS, "rle")}
    return DemoView(scene, modes, items)


# -- one joint ---------------------------------------------------------------------------------------------------------------------


def _joint(result: Result, text: Text) -> Scene:
    s, readings = result.subject, result.readings
    assert s is not None
    assert readings is not None
    steps = len(s.way)
    corner = _window(s.way, result.codec.input_size)
    notes = [error_sentence(note.code, note.fields, text.language) for note in s.notes]
    told = [step_numbers(result, t) for t in range(steps)]
    captions = tuple(_caption(result, t, told[t], text) for t in range(steps))
    handle = Handle(
        text("joint"),
        s.places,
        {"input": _square(result, (0.0, 0.0)), "magnifier": _square(result, corner)},
        (float(result.codec.input_size[0]), float(result.codec.input_size[1])),
    )
    panes = (
        _input_pane(result, corner, text),
        _magnifier_pane(result, corner, text),
        lanes_pane(result, text, place="side"),
        _decoders_pane(result, told, text),
    )
    tools = Tools("input", handle=handle)
    return Scene(panes, steps, captions, step=steps - 1, tools=tools, notes=tuple(notes))


def _caption(result: Result, t: int, told: tuple[Number, ...], text: Text) -> str:
    numbers = {n.item: n for n in told if n.key == "distance"}
    off = {name: f"{numbers[name].value:.2f}" for name in ("argmax", "dark", "simcc", "soft")}
    x, y = result.readings.truth[t]  # type: ignore[union-attr]
    return text("captions", "joint", x=f"{x:.2f}", y=f"{y:.2f}", **off)


def _window(way: np.ndarray, size: tuple[int, int]) -> tuple[float, float]:
    """The magnifier's corner: it follows the joint in jumps, and stays on the picture."""
    middle = way[0]
    for place in way:
        if np.abs(place - middle).max() > STAY:
            middle = place
    low = np.floor((middle - np.array(WINDOW) / 2) / GRID) * GRID + GRID / 2
    low = np.maximum(0, np.minimum(low, np.array(size) - WINDOW))
    return float(low[0]), float(low[1])


def _square(result: Result, corner: tuple[float, float]) -> tuple[float, float, float, float]:
    """Where the whole input lies in a pane whose corner is at these px."""
    (width, height), (x, y) = result.codec.input_size, corner
    return HALF - x, HALF - y, width + HALF - x, height + HALF - y


@lru_cache(maxsize=1)
def _heat_colors() -> np.ndarray:
    """(LEVELS, 4): nothing where the map is empty, then the magnitude ramp."""
    alpha = np.linspace(0, 240, LEVELS).astype(np.uint8)
    return np.concatenate([magnitude_colors(LEVELS), alpha[:, None]], axis=1)


def heat_layer(
    maps: np.ndarray,
    stride: float,
    corner: tuple[float, float],
    size: tuple[int, int],
    label: str,
    *,
    top: float = 0.0,
) -> Labels:
    """Heatmaps over the input: cell c is centred on its coordinate c·s; the darkest colour is at `top`, or the maps' own."""
    top = max(top or float(maps.max(initial=0)), 1e-9)
    codes = np.clip(np.rint(maps / top * (LEVELS - 1)), 0, LEVELS - 1).astype(np.uint8)
    edge = HALF - stride / 2
    extent = (edge - corner[0], edge - corner[1], size[0] + edge - corner[0], size[1] + edge - corner[1])
    return Labels("heat", label, codes, (View("heat", label, _heat_colors()),), opacity=0.8, extent=extent)


def curve(values: np.ndarray, positions: np.ndarray, *, base: float, reach: float, across: bool) -> np.ndarray:
    """(T, 1, n, 2) distributions as lines that grow from `base` by up to `reach`; `across`: along y instead of x."""
    top = np.maximum(values.max(axis=1, keepdims=True), 1e-12)
    up = base + np.maximum(values, 0) / top * reach
    along = np.broadcast_to(positions, values.shape)
    pair = (up, along) if across else (along, up)
    return np.stack(pair, axis=-1)[:, None].astype(np.float32)


def pooled(values: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, n) highest bin of each of n stretches, and the stretches' middles in the pane's units."""
    bins = values.shape[1]
    group = max(1, -(-bins // POOLED))
    padded = np.pad(values, ((0, 0), (0, -bins % group)), mode="edge").reshape(len(values), -1, group)
    starts = np.arange(padded.shape[1]) * group
    return padded.max(axis=2), (starts + (group - 1) / 2) * step + HALF


def _input_pane(result: Result, corner: tuple[float, float], text: Text) -> Pane:
    s, r = result.subject, result.readings
    assert s is not None
    assert r is not None
    (width, height), margin = result.codec.input_size, MARGIN * result.codec.input_size[0]
    x, at_x = pooled(r.simcc_x, 1 / result.codec.split_ratio)
    y, at_y = pooled(r.simcc_y, 1 / result.codec.split_ratio)
    room = margin - 6
    frame = np.array([[[0, height + 3], [width, height + 3]], [[width + 3, 0], [width + 3, height]]], np.float32)
    box = np.array([[*corner, corner[0] + WINDOW[0], corner[1] + WINDOW[1]]], np.float32)
    layers: list[Layer] = [
        _photo(s.image, (0, 0, width, height), text),
        heat_layer(r.heatmaps, result.codec.stride, (0.0, 0.0), (width, height), text("layers", "heat")),
        Paths("axes", "", frame, colors=("neutral",), width=1),
        Paths(
            "simcc_x",
            text("layers", "simcc"),
            curve(x, at_x, base=height + 3, reach=room, across=False),
            colors=(COLORS[4],),
            width=1.6,
        ),
        Paths("simcc_y", "", curve(y, at_y, base=width + 3, reach=room, across=True), colors=(COLORS[4],), width=1.6),
        Boxes("window", text("layers", "window"), box, colors=("#FFFFFF",), halo=True),
        Paths(
            "way",
            text("layers", "way"),
            (r.truth + HALF)[None].astype(np.float32),
            colors=("truth",),
            grow=True,
            width=1.5,
        ),
        _answers(result, (0.0, 0.0), text, names=False),
    ]
    return Pane(
        "input", text("panes", "input"), tuple(layers), round(width + margin), round(height + margin), row="pictures"
    )


def _photo(image: np.ndarray, extent: tuple[float, float, float, float], text: Text) -> Picture:
    height, width = image.shape[:2]
    return Picture("photo", text("layers", "photo"), (_encoded(image.tobytes(), height, width),), extent=extent)


@lru_cache(maxsize=16)
def _encoded(image: bytes, height: int, width: int) -> bytes:
    return jpeg(np.frombuffer(image, np.uint8).reshape(height, width, 3), quality=90)


def _answers(result: Result, corner: tuple[float, float], text: Text, *, names: bool) -> Points:
    """A dot for each decoder's answer."""
    found = np.moveaxis(result.readings.found, 0, 1) + HALF - np.array(corner)  # type: ignore[union-attr]
    hints = tuple(text("decoders", name) for name in DECODERS)
    return Points(
        "answers",
        text("layers", "answers"),
        found.astype(np.float32),
        SIGNS if names else (),
        COLORS,
        radius=6.0 if names else 3.0,
        hints=hints,
    )


def _magnifier_pane(result: Result, corner: tuple[float, float], text: Text) -> Pane:
    s, r, codec = result.subject, result.readings, result.codec
    assert s is not None
    assert r is not None
    x0, y0 = int(corner[0]), int(corner[1])
    part = s.image[y0 : y0 + WINDOW[1], x0 : x0 + WINDOW[0]]
    truth = (r.truth + HALF - np.array(corner)).astype(np.float32)
    soft = (r.found[DECODERS.index("soft")] + HALF - np.array(corner)).astype(np.float32)
    layers: list[Layer] = [
        _photo(np.ascontiguousarray(part), (0, 0, *WINDOW), text),
        _heat_part(r.heatmaps, codec.stride, corner, text),
        Paths("cells", text("layers", "cells"), _grid(codec.stride, corner), colors=("#FFFFFF",), width=0.6),
        *_bins(result, corner, text),
        Paths(
            "bias",
            text("layers", "bias"),
            np.stack([truth, soft], axis=1)[:, None],
            colors=(COLORS[3],),
            dashed=True,
            width=2,
        ),
        Paths("truth", text("layers", "truth"), _crosses(truth), colors=("truth",), width=2.5),
        _answers(result, corner, text, names=True),
    ]
    width, height = (side + room for side, room in zip(WINDOW, STRIPS, strict=True))
    return Pane("magnifier", text("panes", "magnifier"), tuple(layers), width, height, row="pictures")


def _heat_part(maps: np.ndarray, stride: int, corner: tuple[float, float], text: Text) -> Labels:
    """The heatmap's cells under the window, but for half a pixel at its right and lower edge."""
    first = [int(np.floor((at - HALF) / stride + 0.5)) for at in corner]
    moved = (corner[0] - first[0] * stride, corner[1] - first[1] * stride)
    columns, rows = (
        int((side + 0.6 - (HALF - stride / 2 - m)) // stride) for side, m in zip(WINDOW, moved, strict=True)
    )
    part = maps[:, first[1] : first[1] + rows, first[0] : first[0] + columns]
    return heat_layer(
        part,
        stride,
        moved,
        (part.shape[2] * stride, part.shape[1] * stride),
        text("layers", "heat"),
        top=float(maps.max(initial=0)),
    )


def _grid(stride: int, corner: tuple[float, float]) -> np.ndarray:
    """(N, 2, 2) edges of the heatmap's cells inside the window."""
    lines = []
    for axis in (0, 1):
        first = (HALF - stride / 2 - corner[axis]) % stride
        for at in np.arange(first, WINDOW[axis] + 1e-6, stride):
            ends = [[at, 0], [at, WINDOW[1]]] if axis == 0 else [[0, at], [WINDOW[0], at]]
            lines.append(ends)
    return np.array(lines, np.float32)


def _crosses(points: np.ndarray) -> np.ndarray:
    """(T, 1, 5, 2) a cross around each point."""
    arm = 1.6
    shape = np.array([[-arm, 0], [arm, 0], [np.nan, np.nan], [0, -arm], [0, arm]], np.float32)
    return (points[:, None] + shape)[:, None].astype(np.float32)


def _bins(result: Result, corner: tuple[float, float], text: Text) -> tuple[Paths, Paths]:
    """SimCC's own bins under the window, as bars' outlines."""
    r, k = result.readings, result.codec.split_ratio
    assert r is not None
    found = []
    for axis, values in enumerate((r.simcc_x, r.simcc_y)):
        low, high = int(np.ceil(corner[axis] * k)), int(np.floor((corner[axis] + WINDOW[axis] - 1) * k))
        bins = np.arange(low, min(high, values.shape[1] - 1) + 1)
        edges = np.stack([bins - 0.5, bins + 0.5], axis=1).ravel() / k + HALF - corner[axis]
        outline = np.repeat(values[:, bins], 2, axis=1)
        found.append(curve(outline, edges, base=WINDOW[1 - axis] + 0.8, reach=STRIPS[1 - axis] - 1.2, across=axis == 1))
    return (
        Paths("bins_x", text("layers", "bins"), found[0], colors=(COLORS[4],), width=1.5),
        Paths("bins_y", "", found[1], colors=(COLORS[4],), width=1.5),
    )


def _decoders_pane(result: Result, told: list[tuple[Number, ...]], text: Text) -> Pane:
    """Every decoder's answer, its error, the mean so far and its law."""
    r = result.readings
    assert r is not None
    frames, laws = [], [law(result, d) for d in range(len(DECODERS))]
    for t in range(len(r.truth)):
        frames.append(
            tuple(
                (
                    f"{SIGNS[d]} · {text('decoders', name)}",
                    "{:.2f}, {:.2f}".format(*r.found[d, t]).replace("-", "−"),
                    told[t][d],
                    mean_distance(result, d, t),
                    laws[d],
                )
                for d, name in enumerate(DECODERS)
            )
        )
    columns = tuple(text("table", key) for key in ("decoder", "answer", "distance", "mean", "law"))
    table = Table("decoders", text("table", "title"), columns, frames[0], later=tuple(frames))
    return Pane("decoders", text("table", "title"), (table,), place="below", note=text("table", "note"))
