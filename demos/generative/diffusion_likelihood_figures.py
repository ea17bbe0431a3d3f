"""Samples encoded to noise, and the budget of their likelihood's error. Every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_likelihood import PARTS, SAMPLES, budget_numbers
from demos.generative.diffusion_plane_figures import GROUPS, SIDE, density_layer, legend_layer, pixels
from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Layer, Pane, Paths, Points, Scene, Stack, Table
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.diffusion_likelihood import LikelihoodResult

PART_COLORS = (CATEGORIES[6], CATEGORIES[0], CATEGORIES[4], CATEGORIES[2], CATEGORIES[7])


def show_likelihood(result: LikelihoodResult, text: Text) -> DemoView:
    c = result.controls
    scene = Scene(
        panes=(_plane(result, text), _budget(result, text), _divergence(result, text), _table(result, text)),
        steps=len(result.times),
        captions=_captions(result, text),
        step_names=tuple(f"t = {t:.3f}" for t in result.times),
        step=round(0.12 * (len(result.times) - 1)),
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes),
        lead="wide",
    )
    modes = {"lens": c.lens, "source": c.source, "error": "hidden"}
    return DemoView(scene, modes)


def _plane(result: LikelihoodResult, text: Text) -> Pane:
    xy = pixels(result.states, result.scales)
    colors = tuple(GROUPS[g] for g in result.groups[result.origin].tolist())
    names = tuple(str(k + 1) for k in range(SAMPLES))
    layers: tuple[Layer, ...] = (
        density_layer(result.density.numpy(), text),
        legend_layer(result.source.mixture, result.groups, text),
        Paths("paths", text("likelihood", "paths"), xy.transpose(1, 0, 2), colors=colors, grow=True, width=2.5),
        Points("samples", "", xy, names, colors, radius=5.0),
    )
    return Pane(
        "encoded", text("panes", "encoded"), layers, SIDE, SIDE, place="wide", pixel=0.34, row="likelihood", share=0.8
    )


def _divergence(result: LikelihoodResult, text: Text) -> Pane:
    """Exact and estimated ∇·s along the followed path, with the estimate's standard error as a band."""
    at = np.arange(len(result.times))
    exact = result.exact.numpy()
    mean = np.array([float(e.mean[0]) for e in result.estimates])
    error = np.nan_to_num(np.array([float(e.standard_error[0]) for e in result.estimates]))
    curves = (
        ("divergence", exact, ROLES["neutral"], 3.5, False),
        ("estimate", mean, CATEGORIES[6], 2.0, False),
        ("band", mean - error, CATEGORIES[6], 1.0, True),
        ("band_above", mean + error, CATEGORIES[6], 1.0, True),
    )
    layers = tuple(
        Paths(
            name,
            "",
            np.stack([at, values], -1)[None].astype(np.float32),
            () if name == "band_above" else (text("curves", name),),
            (color,),
            width=width,
            dashed=dashed,
        )
        for name, values, color, width, dashed in curves
    )
    low, high = float(min((mean - error).min(), exact.min())), float(max((mean + error).max(), exact.max()))
    pad = 0.05 * (high - low) or 1.0
    axes = Axes(
        (0.0, float(at[-1])),
        (low - pad, high + pad),
        text("axes", "step"),
        text("axes", "divergence"),
        at.astype(float),
    )
    return Pane(
        "divergence",
        text("panes", "divergence", k=str(result.controls.sample)),
        layers,
        axes=axes,
        place="wide",
        row="likelihood",
    )


def _budget(result: LikelihoodResult, text: Text) -> Pane:
    """Sizes of the budget's parts, signs aside: those are in the table."""
    sizes = np.array([[abs(float(getattr(result.budget, part)[k])) for part in PARTS] for k in range(SAMPLES)])
    own = [budget_numbers(result, k) for k in range(SAMPLES)]
    layer = Stack(
        "budget",
        text("likelihood", "budget"),
        sizes.astype(np.float32),
        tuple(text("sample", k=str(k + 1)) for k in range(SAMPLES)),
        tuple(text("parts", part) for part in PARTS),
        (tuple(format_value(one["error"].value, "nat") for one in own),),
        float(sizes.sum(1).max()) * 1.02 or 1.0,
        colors=PART_COLORS,
        hatch=(1, 0, 0, 2, 0),
        receipts=(own[result.followed]["error"],),
    )
    return Pane("budget", "", (layer,), note=text("likelihood", "budget_note"))


def _table(result: LikelihoodResult, text: Text) -> Pane:
    columns = (
        text("likelihood", "sample"),
        text("likelihood", "reported"),
        text("likelihood", "truth"),
        *(text("parts", part) for part in PARTS),
    )
    rows = []
    for k in range(SAMPLES):
        found = budget_numbers(result, k)
        cells = (found["reported"], found["truth"], *(found[part] for part in PARTS))
        rows.append((text("sample", k=str(k + 1)), *cells))
    table = Table("likelihoods", text("likelihood", "title"), columns, tuple(rows), (result.followed,))
    return Pane("likelihoods", text("likelihood", "title"), (table,), place="below", note=text("likelihood", "note"))


def _captions(result: LikelihoodResult, text: Text) -> tuple[str, ...]:
    return tuple(
        text(
            "likelihood",
            "caption",
            k=str(result.controls.sample),
            exact=format_value(float(result.exact[i])),
            mean=format_value(float(estimate.mean[0])),
            probes=str(result.controls.probes),
        )
        for i, estimate in enumerate(result.estimates)
    )
