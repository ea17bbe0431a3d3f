"""Samplers side by side, and their convergence. Every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_plane_figures import GROUPS, SIDE, density_layer, legend_layer, pixels
from demos.generative.diffusion_samplers import run_numbers
from demos.kit.scene import Axes, Layer, Pane, Paths, Points, Scene, Table
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.diffusion_samplers import SamplerResult

SOLVER_COLORS = (CATEGORIES[0], CATEGORIES[4], CATEGORIES[1], CATEGORIES[5], CATEGORIES[7], CATEGORIES[2])


def show_samplers(result: SamplerResult, text: Text) -> DemoView:
    c = result.controls
    steps = len(result.runs[0].times)
    density = density_layer(result.density[None].numpy(), text)
    groups = result.groups.numpy()
    colors = tuple(GROUPS[g] for g in groups[result.home])
    legend = legend_layer(result.source.mixture, result.groups, text)
    panes = [
        Pane(
            f"run_{run.sampler}",
            text("samplers", run.sampler),
            (
                density,
                legend,
                Points("particles", "", pixels(run.states, scales), colors=colors, radius=2.6, swarm=True),
            ),
            SIDE,
            SIDE,
            place="wide",
            pixel=0.14,
            row="samplers",
        )
        for run, scales in zip(result.runs, result.scales, strict=True)
    ]
    missing = len(result.runs) < 9
    notes = tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes)
    if missing:
        notes += (text("race", "missing_steps" if len(result.runs) == 6 else "missing_subvp"),)
    scene = Scene(
        panes=(*panes, _convergence(result, text), _table(result, text)),
        steps=steps,
        captions=(text("race", "caption", n=str(steps - 1)),),
        step=steps - 1,
        notes=notes,
        lead="wide",
    )
    modes = {"lens": c.lens, "source": c.source, "error": "no" if c.error_kind == "none" else "yes"}
    names = {key: text("samplers", key) for key in text.find("samplers")}
    return DemoView(scene, modes, names)


def _convergence(result: SamplerResult, text: Text) -> Pane:
    """Error over the number of steps, both as logarithms: an order is a slope."""
    layers: list[Layer] = []
    low, high = 0.0, -9.0
    for k, (curve, color) in enumerate(zip(result.curves, SOLVER_COLORS, strict=True)):
        y = np.log10(np.maximum(curve.errors, 1e-16))
        xy = np.stack([np.log2(curve.steps), y], -1).astype(np.float32)
        low, high = min(low, float(y.min())), max(high, float(y.max()))
        name = text("samplers", curve.solver)
        layers.append(Paths(curve.solver, "", xy[None], (name,), (color,), dashed=k % 2 == 1, width=2.5))
        layers.append(Points(f"{curve.solver}_points", "", xy, colors=(color,), radius=3.5))
    first, last = np.log2(result.curves[0].steps[0]), np.log2(result.curves[0].steps[-1])
    axes = Axes(
        (float(first) - 0.15, float(last) + 0.15),
        (low - 0.3, high + 0.3),
        text("axes", "log_steps"),
        text("axes", "log_error"),
    )
    return Pane(
        "convergence", text("panes", "convergence"), tuple(layers), axes=axes, note=text("race", "convergence_note")
    )


def _table(result: SamplerResult, text: Text) -> Pane:
    columns = tuple(text("race", key) for key in ("sampler", "evaluations", "gap", "error"))
    rows = tuple((text("samplers", run.sampler), *run_numbers(run)) for run in result.runs)
    table = Table("race", text("race", "title"), columns, rows)
    note = text("race", "note", critical=f"{result.critical:.3f}")
    return Pane("race", text("race", "title"), (table,), place="below", note=note)
