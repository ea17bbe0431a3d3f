"""The lens on RLE: densities of residuals as contours, and the spread that each variant asks for."""

from __future__ import annotations

import cv2
import numpy as np

from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Labels, Pane, Paths, Points, Scene, Table, View, Words
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors
from demos.perception.simcc_residuals import ERROR, REACH, SPREADS, Residuals, spread_rows

BANDS = 16  # between contours
PER_NAT = 2.0  # contours
FINER = 5  # times as many cells as the density was computed on, linear in between: contours have no stairs
SPREAD_COLORS = ("#E69F00", "#CC79A7", "#0072B2", "#999999")  # of SPREADS
PLANE = 400  # units of the plane's drawing


def residuals_view(r: Residuals, text: Text) -> Scene:
    steps = len(r.updates)
    captions = tuple(
        text(
            "captions",
            "rle",
            updates=str(k),
            flow=format_value(float(fit[0])),
            laplace=format_value(float(fit[1])),
            gauss=format_value(float(fit[2])),
        )
        for k, fit in zip(r.updates, r.fit, strict=True)
    )
    names = {name: text("spreads", name) for name in SPREADS}
    frames = tuple(spread_rows(r, k, names) for k in range(steps))
    columns = tuple(text("rle", key) for key in ("variant", "normal_x", "normal_y", "flow_x", "flow_y"))
    table = Table("spreads", text("rle", "title"), columns, frames[0], (SPREADS.index(r.variant),), later=frames)
    panes = (
        _plane(r, text),
        _spreads(r, text),
        Pane("spreads", text("rle", "title"), (table,), place="below", note=text("rle", "note")),
    )
    step_names = tuple(text("rle", "updates", k=str(k)) for k in r.updates)
    return Scene(panes, steps, captions, step_names, step=steps - 1)


def _plane(r: Residuals, text: Text) -> Pane:
    """−log of the density in bands of half a nat, and fresh residuals."""
    low = r.fields.min()
    side = FINER * r.fields.shape[1]
    fine = np.stack([cv2.resize(field, (side, side), interpolation=cv2.INTER_LINEAR) for field in r.fields])
    codes = np.clip(np.floor((fine - low) * PER_NAT), 0, BANDS - 1).astype(np.uint8)
    ramp = magnitude_colors(BANDS)[::-1].copy()
    view = View(
        "density", text("rle", f"field_{r.density}"), np.concatenate([ramp, np.full((BANDS, 1), 255, np.uint8)], 1)
    )
    scale = PLANE / (2 * REACH)
    dots = ((r.cloud + REACH) * scale).astype(np.float32)
    dots[(np.abs(r.cloud) > REACH).any(axis=1)] = np.nan
    middle = PLANE / 2
    cross = np.array([[[0, middle], [PLANE, middle]], [[middle, 0], [middle, PLANE]]], np.float32)
    ticks = np.array(
        [[(v + REACH) * scale, middle + 8] for v in (-2, 2)] + [[middle + 3, 8], [PLANE - 10, middle - 9]], np.float32
    )
    layers = (
        Labels("density", text("rle", f"field_{r.density}"), codes, (view,), opacity=1.0),
        Paths("cross", "", cross, colors=("#FFFFFF",), width=0.8, dashed=True),
        Points("cloud", text("layers", "cloud"), dots, colors=("#E69F00",), radius=2.0, swarm=True),
        Words("ticks", "", ticks, (("−2", "2", "", "x̄"),), size=12, color="#FFFFFF"),
    )
    return Pane("plane", text("panes", "plane"), layers, PLANE, PLANE, note=text("rle", "plane_note"))


def _spreads(r: Residuals, text: Text) -> Pane:
    """σ* of each variant; the open dot is the one without a flow."""
    xy = r.spreads.astype(np.float32)
    names = tuple(text("spreads", name) for name in SPREADS)
    most = float(np.ceil(max(r.spreads.max(), r.closed.max()) * 21) / 20)
    layers = (
        Paths(
            "moved",
            "",
            np.stack([np.broadcast_to(r.closed, r.spreads.shape), r.spreads], 2).astype(np.float32),
            names,
            SPREAD_COLORS,
        ),
        Points("closed", text("layers", "closed"), r.closed.astype(np.float32), colors=SPREAD_COLORS, radius=3),
        Points("spreads", text("layers", "spreads"), xy, colors=SPREAD_COLORS, radius=6),
        Paths(
            "error",
            "",
            np.array([[[ERROR[0], 0], [ERROR[0], most]], [[0, ERROR[1]], [most, ERROR[1]]]], np.float32),
            colors=("error",),
            dashed=True,
            width=1,
        ),
    )
    axes = Axes((0.0, most), (0.0, most), text("rle", "sigma_x"), text("rle", "sigma_y"))
    return Pane("spread", text("panes", "spread"), layers, axes=axes, place="side", note=text("rle", "spread_note"))
