"""The lens on the bundled network: a figure, the joint that is looked at, and what the four heads say of it."""

from __future__ import annotations

import numpy as np

from core.perception.articulated_figures import LIMBS, SIZE
from demos.kit.scene import Boxes, Layer, Pane, Paths, Picture, Points, Scene, Table, jpeg
from demos.kit.text import Text
from demos.perception.simcc_curves_figures import COLORS
from demos.perception.simcc_figures import HALF, curve, heat_layer
from demos.perception.simcc_heads import HEADS, Heads, head_distance

HEAD_COLORS = (COLORS[0], COLORS[2], COLORS[4], COLORS[5], COLORS[3])  # of HEADS
ROOM = 16  # px beside the picture, for the distributions
SIGNS = ("A", "D", "C", "R", "L")


def heads_view(h: Heads, text: Text) -> Scene:
    steps = len(h.names)
    names = tuple(text("joints", name) for name in h.names)
    captions = tuple(_caption(h, k, names[k], text) for k in range(steps))
    frames = tuple(_rows(h, k, text) for k in range(steps))
    columns = tuple(text("table", key) for key in ("head", "answer", "distance"))
    table = Table("heads", text("heads", "title"), columns, frames[0], later=frames)
    panes = (
        _figure(h, text),
        Pane("heads", text("heads", "title"), (table,), place="side", note=text("heads", "note")),
    )
    return Scene(panes, steps, captions, names, step=h.names.index("right_wrist"))


def _caption(h: Heads, k: int, name: str, text: Text) -> str:
    state = text("states", ("outside", "hidden", "seen")[int(h.scene.visible[k])])
    sigma = h.sigma[k]
    return text("captions", "heads", joint=name, state=state, x=f"{sigma[0]:.2f}", y=f"{sigma[1]:.2f}")


def _rows(h: Heads, k: int, text: Text):
    return tuple(
        (
            f"{SIGNS[i]} · {text('decoders', name)}",
            "{:.2f}, {:.2f}".format(*h.found[i, k]).replace("-", "−"),
            head_distance(h, i, k),
        )
        for i, name in enumerate(HEADS)
    )


def _figure(h: Heads, text: Text) -> Pane:
    width, height = SIZE
    limbs = (h.scene.keypoints[np.array(LIMBS)] + HALF).astype(np.float32)
    truth = (h.scene.keypoints + HALF).astype(np.float32)[:, None]  # one a step
    found = (np.moveaxis(h.found, 0, 1) + HALF).astype(np.float32)
    low = h.found[-1] + HALF - h.sigma
    spread = np.concatenate([low, h.found[-1] + HALF + h.sigma], axis=1)[:, None].astype(np.float32)
    at_x, at_y = (np.arange(v.shape[1]) / h.split_ratio + HALF for v in (h.simcc_x, h.simcc_y))
    frame = np.array([[[0, height + 1], [width, height + 1]], [[width + 1, 0], [width + 1, height]]], np.float32)
    layers: list[Layer] = [
        Picture("photo", text("layers", "photo"), (jpeg(h.scene.image, quality=95),), extent=(0, 0, width, height)),
        heat_layer(np.maximum(h.heatmaps, 0), h.stride, (0.0, 0.0), SIZE, text("layers", "heat")),
        Paths("skeleton", text("layers", "skeleton"), limbs, colors=("truth",), width=1.2),
        Paths("axes", "", frame, colors=("neutral",), width=1),
        Paths(
            "simcc_x",
            text("layers", "simcc"),
            curve(h.simcc_x, at_x, base=height + 1, reach=ROOM - 2, across=False),
            colors=(COLORS[4],),
            width=1.8,
        ),
        Paths(
            "simcc_y",
            "",
            curve(h.simcc_y, at_y, base=width + 1, reach=ROOM - 2, across=True),
            colors=(COLORS[4],),
            width=1.8,
        ),
        Boxes("sigma", text("layers", "sigma"), spread, colors=(HEAD_COLORS[-1],), halo=True),
        Points("truth", text("layers", "truth"), truth, colors=("truth",), radius=7),
        Points("answers", text("layers", "answers"), found, SIGNS, HEAD_COLORS, radius=4),
    ]
    return Pane("figure", text("panes", "figure"), tuple(layers), width + ROOM, height + ROOM, pixel=3.7)
