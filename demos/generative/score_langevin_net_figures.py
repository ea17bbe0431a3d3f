"""Network -> scene: exact arrows, learned arrows, and the map of the difference. Every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_plane_figures import SIDE, mode_tools
from demos.generative.score_langevin_figures import WALKS, arrow_layer, height_layer
from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Labels, Layer, Pane, Paths, Scene, View
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, magnitude_colors
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.score_langevin_net import NetResult

LOW, HIGH = -2.0, 1.0  # log₁₀ of the residuals that have a colour of their own
SHADES = 25
PIXEL = 0.29


def show_net(result: NetResult, text: Text) -> DemoView:
    c, editing = result.controls, bool(result.source.modes)
    heights = height_layer(result.exact.heights.numpy(), text, text("plane", "log_q"))
    panes = (
        _plane("residual", (heights, *_residuals(result, text)), text),
        _plane("exact", (heights, arrow_layer(result.exact, text)), text),
        _plane("learned", (heights, arrow_layer(result.learned, text, color=CATEGORIES[5])), text),
        training_chart(result, text),
        inside_chart(result, text),
    )
    scene = Scene(
        panes=panes,
        steps=len(result.sigmas),
        captions=tuple(
            text(
                "captions",
                "net",
                sigma=format_value(sigma),
                inside=format_value(found.rms_inside),
                outside=format_value(found.rms_outside),
                area=f"{100 * found.area_inside:.0f}",
            )
            for sigma, found in zip(result.sigmas, result.maps, strict=True)
        ),
        step_names=tuple(f"σ = {format_value(s)}" for s in result.sigmas),
        step=len(result.sigmas) - 1,
        tools=mode_tools(result.source.modes, c.modes, "exact", text) if editing else None,
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes),
        lead="wide",
    )
    return DemoView(scene, {"lens": c.lens, "source": c.source, "begin": c.begin, "score": "learned"})


def _plane(key: str, layers: tuple[Layer, ...], text: Text) -> Pane:
    return Pane(key, text("net", key), layers, SIDE, SIDE, place="wide", pixel=PIXEL, row="net")


def _residuals(result: NetResult, text: Text) -> tuple[Layer, ...]:
    """|s_θ − s*| on a log scale, and hatched where nearly all noisy data are."""
    maps = np.stack([found.residual.numpy()[::-1] for found in result.maps])
    inside = np.stack([found.inside.numpy()[::-1] for found in result.maps])
    logs = np.log10(np.maximum(maps, 1e-12))
    codes = np.rint(np.clip((logs - LOW) / (HIGH - LOW), 0, 1) * (SHADES - 1)).astype(np.uint8)
    ramp = magnitude_colors()[np.linspace(0, 255, SHADES).round().astype(int)]
    colors = np.concatenate([ramp, np.full((SHADES, 1), 255, np.uint8)], 1)
    keys = [(f"{10.0**power:g}", round((power - LOW) / (HIGH - LOW) * (SHADES - 1))) for power in (-2, -1, 0, 1)]
    legend = tuple((name, "#{:02X}{:02X}{:02X}".format(*ramp[i].tolist()), 0) for name, i in keys)
    size = View("residual", text("net", "residual"), colors, legend=legend)
    outline = _outlines(inside)
    return (
        Labels("residual", text("net", "residual"), codes, (size,), opacity=1.0, smooth=True),
        Paths("inside", text("net", "inside"), outline, colors=("#FFFFFF",), width=4.0),
        Paths("inside_edge", "", outline, colors=("#10151C",), width=2.0, dashed=True),
    )


def _outlines(inside: np.ndarray) -> np.ndarray:
    """(T, H, W) cells that belong to a region to (T, 1, V, 2) lines along its edge, in units of the pane."""
    sheets: list[np.ndarray] = []
    for cells in inside:
        framed = np.pad(cells, 1)
        sides: list[np.ndarray] = []
        for axis in (0, 1):
            at = np.argwhere(np.diff(framed.astype(np.int8), axis=axis))  # between a cell and the next
            first = at + np.array([0, -1] if axis == 0 else [-1, 0])
            ends = np.stack([first, first + np.array([0, 1] if axis == 0 else [1, 0])], 1)  # (E, 2, 2) row, column
            sides.append(ends[..., ::-1] * (SIDE / cells.shape[0]))
        lines = np.concatenate(sides).astype(np.float32)
        gaps = np.full((len(lines), 1, 2), np.nan, np.float32)
        sheets.append(np.concatenate([lines, gaps], 1).reshape(-1, 2))
    most = max(len(sheet) for sheet in sheets)
    return np.stack([np.pad(s, ((0, most - len(s)), (0, 0)), constant_values=np.nan) for s in sheets])[:, None]


def training_chart(result: NetResult, text: Text) -> Pane:
    """Loss and excess loss over the updates: the loss has a floor that is no error."""
    steps = result.training.steps
    x = np.array([step.index for step in steps], np.float64)
    layers: list[Layer] = []
    values: list[np.ndarray] = []
    for name, color in (("loss", CATEGORIES[7]), ("excess", WALKS["plain"])):
        y = np.log10(np.array([max(getattr(step, name), 1e-9) for step in steps]))
        values.append(y[np.isfinite(y)])
        xy = np.stack([x, y], -1)[None].astype(np.float32)
        layers.append(Paths(name, "", xy, (text("curves", name),), (color,), width=2.5))
    every = np.concatenate(values)
    low, high = float(every.min()) - 0.1, float(every.max()) + 0.1
    axes = Axes(
        (0.0, float(max(result.training.updates, 1))), (low, high), text("axes", "updates"), text("axes", "log_loss")
    )
    return Pane("training", text("panes", "training"), tuple(layers), axes=axes, row="evidence")


def inside_chart(result: NetResult, text: Text) -> Pane:
    """Residual where the data are and where they are not, at every noise level."""
    x = np.log10(np.array(result.sigmas))
    layers: list[Layer] = []
    tops: list[np.ndarray] = []
    for name, color in (("rms_inside", CATEGORIES[2]), ("rms_outside", CATEGORIES[5])):
        y = np.log10(np.array([max(getattr(found, name), 1e-9) for found in result.maps]))
        tops.append(y[np.isfinite(y)])
        xy = np.stack([x, y], -1)[None].astype(np.float32)
        layers.append(Paths(name, "", xy, (text("curves", name),), (color,), width=2.5))
    every = np.concatenate(tops)
    axes = Axes(
        (float(x.min()), float(x.max())),
        (float(every.min()) - 0.1, float(every.max()) + 0.1),
        text("axes", "log_sigma"),
        text("axes", "log_residual"),
        x.astype(np.float32),
    )
    return Pane("inside", text("panes", "inside"), tuple(layers), axes=axes, row="evidence")
