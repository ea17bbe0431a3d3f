"""Objectives and manifold -> scene, and the questions. Every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_plane_figures import SIDE
from demos.generative.score_langevin_figures import WALKS, arrow_layer, height_layer, placed
from demos.generative.score_langevin_manifold import DISTANCES, REACH
from demos.generative.score_langevin_objectives import row_numbers
from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Guess, Layer, Pane, Paths, Points, Scene, Table, Words
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.score_langevin_manifold import ManifoldResult
    from demos.generative.score_langevin_objectives import ObjectivesResult

OBJECTIVES = {"denoising": CATEGORIES[4], "implicit": CATEGORIES[5], "sliced": CATEGORIES[2]}
RADII = {"denoising": 5.0, "implicit": 6.0, "sliced": 3.5}
BARS = 2.0  # standard errors to each side
QUERIES = (CATEGORIES[7], CATEGORIES[0], CATEGORIES[6])


def show_objectives(result: ObjectivesResult, text: Text) -> DemoView:
    c = result.controls
    scene = Scene(
        panes=(lines_chart(result, text), objectives_table(result, text)),
        captions=(
            text(
                "captions",
                "objectives",
                denoising=format_value(result.constants.denoising_gap),
                implicit=format_value(result.constants.implicit_gap),
                sigma=format_value(result.sigma),
            ),
        ),
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes),
    )
    return DemoView(scene, {"lens": c.lens, "source": c.source, "begin": c.begin, "score": c.score})


def lines_chart(result: ObjectivesResult, text: Text) -> Pane:
    """Every model is a place along x; each objective lies on a line of slope 1, shifted by its constant."""
    rows = result.rows
    x = np.array([row.explicit.value for row in rows.values()])
    far = max(float(x.max()), 1e-6) * 1.12
    implicit = result.constants.implicit_gap
    lines = {
        "explicit": (0.0, 1.0),
        "denoising": (result.constants.denoising_gap, 1.0),
        "implicit": (implicit, 1.0),
        "sliced": (implicit, result.scale),
    }
    layers: list[Layer] = []
    everything: list[float] = []
    for name, (shift, scale) in lines.items():
        ends = np.array([[0.0, scale * shift], [far, scale * (far + shift)]])
        color = OBJECTIVES.get(name, ROLES["neutral"])
        layers.append(
            Paths(
                f"{name}_line",
                "",
                ends[None].astype(np.float32),
                (text("curves", f"{name}_line"),),
                (color,),
                width=1.5,
                dashed=True,
            )
        )
        everything += ends[:, 1].tolist()
    for name, color in OBJECTIVES.items():
        found = [getattr(row, name) for row in rows.values()]
        y = np.array([o.value for o in found])
        bars = np.array(
            [
                [[a, o.value - BARS * o.standard_error], [a, o.value + BARS * o.standard_error]]
                for a, o in zip(x, found, strict=True)
            ]
        )
        everything += bars[..., 1].ravel().tolist()
        layers.append(Paths(f"{name}_bars", "", bars.astype(np.float32), colors=(color,), width=2.0))
        layers.append(Points(name, "", np.stack([x, y], -1).astype(np.float32), (), (color,), radius=RADII[name]))
    low, high = min(everything), max(everything)
    margin = 0.12 * (high - low)
    above = np.array([[a, row.denoising.value + 0.8 * margin] for a, row in zip(x, rows.values(), strict=True)])
    said = tuple(text("models_short", model) for model in rows)
    layers.append(Words("names", "", above.astype(np.float32), (said,), size=11.0))
    axes = Axes((-0.06 * far, far), (low - margin, high + margin), text("axes", "explicit"), text("axes", "objective"))
    return Pane("lines", text("panes", "lines"), tuple(layers), axes=axes)


def objectives_table(result: ObjectivesResult, text: Text) -> Pane:
    keys = ("model", "explicit", "denoising", "error", "implicit", "error", "sliced", "error")
    rows = tuple((text("models", name), *row_numbers(result, name)) for name in result.rows)
    table = Table("objectives", text("objectives", "title"), tuple(text("objectives", key) for key in keys), rows)
    return Pane(
        "objectives",
        text("objectives", "title"),
        (table,),
        place="wide",
        note=text("objectives", "note", n=str(result.controls.samples)),
    )


# -- the manifold card --------------------------------------------------------------------------------------------------


def show_manifold(result: ManifoldResult, text: Text) -> DemoView:
    c = result.controls
    layers: tuple[Layer, ...] = (
        height_layer(result.scene.heights.numpy(), text, text("plane", "log_q")),
        arrow_layer(result.scene, text),
        Points(
            "data",
            text("manifold", "data"),
            placed(result.data, REACH),
            colors=(CATEGORIES[2],),
            radius=2.4,
            swarm=True,
        ),
        Points(
            "queries",
            text("manifold", "queries"),
            placed(result.queries, REACH),
            colors=QUERIES,
            radius=6.0,
        ),
    )
    plane = Pane(
        "curve", text("panes", "curve"), layers, SIDE, SIDE, place="wide", pixel=0.37, row="manifold", share=0.8
    )
    filled = result.filled
    scene = Scene(
        panes=(plane, filled_chart(result, text), length_chart(result, text)),
        steps=len(result.sigmas),
        captions=tuple(
            text(
                "captions", "manifold", sigma=format_value(s), filled=format_value(float(v)), rms=format_value(float(r))
            )
            for s, v, r in zip(result.sigmas, filled.value, filled.rms_score, strict=True)
        ),
        step_names=tuple(f"σ = {format_value(s)}" for s in result.sigmas),
        step=20,
        lead="wide",
    )
    return DemoView(scene, {"lens": c.lens, "source": c.source, "begin": c.begin, "score": c.score})


def filled_chart(result: ManifoldResult, text: Text) -> Pane:
    """σ²E|s|² over σ: two far away, one near the curve, two again when single points are seen."""
    x = np.log10(np.array(result.sigmas))
    y, error = result.filled.value.numpy(), result.filled.standard_error.numpy()
    layers: list[Layer] = []
    for name, values, color, width in (
        ("filled", y, WALKS["annealed"], 2.5),
        ("band", y + BARS * error, ROLES["neutral"], 1.0),
        ("", y - BARS * error, ROLES["neutral"], 1.0),
    ):
        xy = np.stack([x, values], -1)[None].astype(np.float32)
        layers.append(Paths(name or "low", "", xy, (text("curves", name),) if name else (), (color,), width=width))
    axes = Axes(
        (float(x.min()), float(x.max())),
        (0.0, 2.4),
        text("axes", "log_sigma"),
        text("axes", "filled"),
        x.astype(np.float32),
    )
    return Pane("filled", text("panes", "filled"), tuple(layers), axes=axes, place="wide", row="manifold")


def length_chart(result: ManifoldResult, text: Text) -> Pane:
    """|score| beside the curve, and distance/σ²."""
    x = np.log10(np.array(result.sigmas))
    card = result.card
    layers: list[Layer] = []
    every: list[float] = []
    for q, (distance, color) in enumerate(zip(DISTANCES, QUERIES, strict=True)):
        y = np.log10(np.maximum(card.lengths[:, q].numpy(), 1e-3))
        every += y.tolist()
        xy = np.stack([x, y], -1)[None].astype(np.float32)
        layers.append(
            Paths(f"length_{q}", "", xy, (text("curves", "length", distance=f"{distance:g}"),), (color,), width=2.5)
        )
        if distance:
            z = np.log10(card.predicted[:, q].numpy())
            every += z.tolist()
            xy = np.stack([x, z], -1)[None].astype(np.float32)
            layers.append(
                Paths(
                    f"predicted_{q}",
                    "",
                    xy,
                    (text("curves", "predicted", distance=f"{distance:g}"),),
                    (color,),
                    width=1.5,
                    dashed=True,
                )
            )
    axes = Axes(
        (float(x.min()), float(x.max())),
        (min(every) - 0.2, max(every) + 0.2),
        text("axes", "log_sigma"),
        text("axes", "log_length"),
        x.astype(np.float32),
    )
    return Pane("lengths", text("panes", "lengths"), tuple(layers), axes=axes)


# -- predict first ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _shares() -> tuple[float, float, float, int]:
    """Of the opening view: the weight, what both laws give it, and how many steps there are."""
    from demos.generative.score_langevin import DEMO

    found = DEMO.run(DEMO.presets["start"])
    assert found.plain_law is not None
    assert found.annealed_law is not None
    return (
        float(found.weights[0]),
        float(found.plain_law.shares[-1, 0]),
        float(found.annealed_law.shares[-1, 0]),
        found.annealed.indices[-1],
    )


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Plain Langevin dynamics on weights 0.8 and 0.2: what share ends in the heavier mode?"""
    weight, plain, annealed, steps = _shares()
    options = (weight, plain, 1.0)
    said = tuple(text("predict", "option", percent=f"{100 * value:.0f}") for value in options)
    reveal = (
        text("predict", "weight"),
        text("predict", "plain", plain=f"{100 * plain:.1f}", annealed=f"{100 * annealed:.1f}"),
        text("predict", "all"),
    )
    question = text("predict", "question", steps=str(steps))
    return (Guess(question, said, options.index(plain), reveal, "start"),)
