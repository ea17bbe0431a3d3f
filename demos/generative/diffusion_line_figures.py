"""Paths on a sheet of p_t(x): time runs to the right, from noise to data. Every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_inputs import REACH
from demos.generative.diffusion_plane_figures import density_layer
from demos.generative.diffusion_tables_figures import gaps_pane
from demos.generative.diffusion_trajectories_figures import captions_of, histogram_pane, marks_of
from demos.kit.scene import Layer, Pane, Paths, Points, Scene
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.diffusion_line import LineResult

WIDTH, HEIGHT = 1000, 640  # units
SHOWN = 14  # particles


def show_line(result: LineResult, text: Text) -> DemoView:
    c, steps = result.controls, len(result.scales)
    sheet = density_layer(result.sheet.numpy().T[::-1][None], text)
    column = (np.arange(steps) + 0.5) / steps * WIDTH
    panes: list[Pane] = []
    for name in ("forward", "reverse", "flow"):
        lane = getattr(result.lanes, name)[:, :SHOWN, 0].numpy() * np.array(result.scales)[:, None]
        y = (1 - lane / REACH) * HEIGHT / 2
        xy = np.stack([np.broadcast_to(column[:, None], y.shape), y], -1)
        colors = tuple(CATEGORIES[k] for k in (0, 1, 2, 4, 5, 6, 7))
        layers: tuple[Layer, ...] = (
            sheet,
            Paths("paths", text("line", "paths"), xy.transpose(1, 0, 2).astype(np.float32), (), colors, grow=True),
            Points("heads", "", xy.astype(np.float32), (), colors, radius=4.0, swarm=True),
        )
        panes.append(Pane(name, text("lanes", name), layers, WIDTH, HEIGHT, place="wide", row="line"))
    scene = Scene(
        (*panes, histogram_pane(result, text, "main", "evidence"), gaps_pane(result, text, "main", "evidence")),
        steps,
        captions_of(result, text),
        tuple(f"t = {float(t):.3f}" for t in result.lanes.times),
        steps - 1,
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes),
        marks=marks_of(result, text),
        lead="wide",
    )
    modes = {"lens": c.lens, "source": c.source, "error": "no" if c.error_kind == "none" else "yes"}
    return DemoView(scene, modes)
