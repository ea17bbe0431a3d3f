"""Walks -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_plane_figures import GROUPS, SIDE, group_names, legend_layer, mode_tools
from demos.generative.score_langevin_inputs import PLACES, PLANE
from demos.generative.score_langevin_numbers import law_number, law_of, share_number, weight_number
from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Labels, Layer, Mark, Pane, Paths, Pick, Points, Scene, Table, View
from demos.kit.stage import item_text
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES, rgb
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from core.generative.walks import Landscape
    from demos.generative.score_langevin_walk import WalkResult

WALKS = {"plain": CATEGORIES[5], "annealed": CATEGORIES[4]}  # which walk is meant, in every chart
MOST_PIXELS = 0.3  # screen pixels of a unit: two planes and a chart side by side on one screen
DEEPEST = 40.0  # nats below the summit that still have a shade of their own
BANDS = 21  # of the landscape's heights
ARROW = "#3B4450"
SUMMIT, VALLEY = "#6C7A89", "#F2F5F8"  # of log p: dense is dark, as in the sister topic
FOLLOWED = 3  # skiers that leave a trail


def show_walk(result: WalkResult, text: Text) -> DemoView:
    c = result.controls
    dropped = c.begin == "click"
    editing = bool(result.source.modes)
    panes = (
        _plane_pane(result, "plain", text, pick=dropped and not editing),
        _plane_pane(result, "annealed", text, pick=dropped),
        shares_chart(result, text),
        shares_table(result, text),
        ladder_chart(result, text),
    )
    scene = Scene(
        panes=panes,
        steps=result.steps,
        captions=captions_of(result, text),
        step_names=tuple(
            text("step", i=str(i), sigma=format_value(s))
            for i, s in zip(result.annealed.indices, result.annealed.sigmas, strict=True)
        ),
        step=result.steps - 1,
        tools=mode_tools(result.source.modes, c.modes, "plain", text) if editing else None,
        notes=notes_of(result, text),
        pointed=() if dropped else ("particle",),
        picks=(Pick("drop", c.drop, text("drop_place")),) if dropped else (),
        marks=(Mark("level", text("marks", "level"), level_ends(result), ROLES["neutral"]),),
        lead="wide",
    )
    return DemoView(scene, {"lens": c.lens, "source": c.source, "begin": c.begin, "score": c.score})


def notes_of(result: WalkResult, text: Text) -> tuple[str, ...]:
    said = [error_sentence(n.code, n.fields, text.language) for n in result.source.notes]
    if result.annealed.lost:
        said.append(text("lost", k=str(result.annealed.lost), n=str(result.annealed.particles)))
    return tuple(said)


def level_ends(result: WalkResult) -> tuple[int, ...]:
    """Steps at which a level has been walked to its end."""
    levels = result.annealed.levels
    return tuple(k for k in range(len(levels)) if k + 1 == len(levels) or levels[k + 1] != levels[k])


def placed(x: Any, reach: float = PLANE) -> np.ndarray:
    """(…, 2) positions in the plane to units of the pane, as int16; what is far away stays outside the picture."""
    flat = np.nan_to_num(x.numpy(), nan=1e6, posinf=1e6, neginf=-1e6) / reach
    units = np.stack([flat[..., 0] + 1, 1 - flat[..., 1]], -1) * (SIDE / 2)
    return np.clip(np.rint(units), -SIDE, 2 * SIDE).astype(np.int16)


def height_layer(heights: np.ndarray, text: Text, label: str) -> Labels:
    """(T, H, W) log densities below their summit as bands of one shade each, like the contours of a map; one sheet stands still."""
    codes = np.rint(np.sqrt(np.clip(-heights / DEEPEST, 0, 1)) * (BANDS - 1)).astype(np.uint8)
    shade = (
        np.linspace(1.0, 0.0, BANDS)[:, None] - 0.05 * (np.arange(BANDS) % 2)[:, None]
    )  # every other band darker: contours
    pale = (shade * np.array(rgb(SUMMIT)) + (1 - shade) * np.array(rgb(VALLEY))).clip(0, 255).round().astype(np.uint8)
    colors = np.concatenate([pale, np.full((BANDS, 1), 255, np.uint8)], 1)
    legend = (
        (text("plane", "summit"), _hex(pale[0]), 0),
        (text("plane", "valley", nats=f"{DEEPEST:.0f}"), _hex(pale[-1]), 0),
    )
    view = View("height", label, colors, legend=legend)
    return Labels("height", label, codes if len(codes) > 1 else codes[0], (view,), opacity=1.0, smooth=True)


def _hex(color: np.ndarray) -> str:
    return "#{:02X}{:02X}{:02X}".format(*(int(v) for v in color))


def arrow_layer(scene: Landscape, text: Text, *, key: str = "arrows", color: str = ARROW, width: float = 1.1) -> Paths:
    """All arrows as one line, one set a sheet. Length grows with |score| and saturates at the distance of two arrows."""
    start = placed(scene.places).astype(np.float32)  # (A, 2)
    score = scene.arrows.numpy()  # (S, A, 2)
    length = np.linalg.norm(score, axis=-1, keepdims=True)
    typical = np.maximum(np.median(length, axis=1, keepdims=True), 1e-12)
    cell = SIDE / len(start) ** 0.5
    reach = 0.9 * cell * length / (length + typical)
    along = np.where(length > 0, score / np.maximum(length, 1e-300), 0.0) * [1, -1] * reach
    across = np.stack([-along[..., 1], along[..., 0]], -1)
    tip = start + along
    lines = np.stack(
        [
            np.broadcast_to(start, tip.shape),
            tip,
            tip - 0.35 * along + 0.2 * across,
            tip,
            tip - 0.35 * along - 0.2 * across,
        ],
        axis=2,
    )
    gap = np.full((*lines.shape[:2], 1, 2), np.nan)
    joined = np.concatenate([lines.round(), gap], 2).reshape(len(lines), 1, -1, 2).astype(np.float32)
    return Paths(key, text("plane", key), joined if len(joined) > 1 else joined[0], colors=(color,), width=width)


def _plane_pane(result: WalkResult, name: str, text: Text, *, pick: bool) -> Pane:
    walk = result.plain if name == "plain" else result.annealed
    at = [result.plain_at(k) for k in range(result.steps)] if name == "plain" else list(range(result.steps))
    xy = placed(walk.x)[at]
    homes = walk.homes[-1].numpy()
    others = (result.annealed if name == "plain" else result.plain).homes[-1].numpy()
    names = group_names(result.source.mixture, result.groups, text)
    layers: list[Layer] = [*_ground(result, name, text), legend_layer(result.source.mixture, result.groups, text)]
    linked = not pick and result.controls.begin != "click"
    if pick:
        places = np.arange(PLACES * PLACES, dtype=np.uint16).reshape(PLACES, PLACES)
        nothing = View("none", text("drop_place", k=""), np.zeros((PLACES * PLACES, 4), np.uint8))
        layers.append(Labels("places", "", places, (nothing,), pick="drop"))
    first, second = (homes, others) if name == "plain" else (others, homes)
    hints = tuple(
        text("plane", "hint", k=str(i), plain=names[p], annealed=names[a])
        for i, (p, a) in enumerate(zip(first, second, strict=True))
    )
    colors = tuple(GROUPS[g] for g in homes)
    layers.append(
        Points(
            "particles",
            "",
            xy,
            colors=colors,
            radius=3.2,
            swarm=True,
            link="particle" if linked else "",
            hints=hints if linked else (),
        )
    )
    layers.append(
        Paths(
            "trails",
            text("plane", "trails"),
            xy[:, :FOLLOWED].transpose(1, 0, 2),
            colors=colors[:FOLLOWED],
            grow=True,
            visible=False,
            width=1.4,
            link="particle" if linked else "",
            items=np.arange(min(FOLLOWED, xy.shape[1])) if linked else None,
        )
    )
    return Pane(
        name,
        text("walks", name),
        tuple(layers),
        SIDE,
        SIDE,
        place="wide",
        pixel=MOST_PIXELS,
        row="walks",
        nudge=SIDE / 60,
    )


def _ground(result: WalkResult, name: str, text: Text) -> list[Layer]:
    """The landscape that a walk feels, and its arrows."""
    if name == "plain":
        arrows = result.data
        if result.network is not None:
            arrows = _sheets(result.network, [len(result.sigmas) - 1])
        return [height_layer(result.data.heights.numpy(), text, text("plane", "log_p")), arrow_layer(arrows, text)]
    levels = list(result.annealed.levels)
    shown = _sheets(result.levels, levels)
    arrows = shown if result.network is None else _sheets(result.network, levels)
    return [height_layer(shown.heights.numpy(), text, text("plane", "log_q")), arrow_layer(arrows, text)]


def _sheets(scene: Landscape, which: list[int]) -> Landscape:
    """One sheet a step."""
    from dataclasses import replace

    return replace(
        scene, sigmas=tuple(scene.sigmas[i] for i in which), heights=scene.heights[which], arrows=scene.arrows[which]
    )


# -- charts and the table -----------------------------------------------------------------------------------------------


def shares_chart(result: WalkResult, text: Text) -> Pane:
    """Share of the first group over the steps: counted, and by the exact law, in both walks."""
    at = np.array(result.annealed.indices, np.float64)
    layers: list[Layer] = []
    for name in ("plain", "annealed"):
        walk, law = (result.plain, result.plain_law) if name == "plain" else (result.annealed, result.annealed_law)
        x = np.array(walk.indices, np.float64)
        layers.append(_curve(name, x, walk.shares[:, 0].numpy(), text("curves", name), WALKS[name], width=1.2))
        if law is not None:
            exact = law.shares[[law_of(result, name, k)[1] for k in range(len(x))], 0].numpy()
            layers.append(_curve(f"{name}_law", x, exact, text("curves", f"{name}_law"), WALKS[name], width=3.0))
    weight = float(result.weights[0])
    layers.append(
        _curve("weight", at[[0, -1]], np.full(2, weight), text("curves", "weight"), GROUPS[2], width=2.0, dashed=True)
    )
    axes = Axes((0.0, float(at[-1])), (0.0, 1.0), text("axes", "step"), text("axes", "share"), at.astype(np.float32))
    return Pane("shares", text("panes", "shares"), tuple(layers), axes=axes, place="wide", row="walks", share=0.9)


def _curve(
    key: str, x: np.ndarray, y: np.ndarray, name: str, color: str, *, width: float = 2.0, dashed: bool = False
) -> Paths:
    xy = np.stack([x, y], -1)[None].astype(np.float32)
    return Paths(key, "", xy, (name,), (color,), width=width, dashed=dashed)


def ladder_chart(result: WalkResult, text: Text) -> Pane:
    """The noise levels on a log scale, as a staircase that the cursor walks down."""
    walk = result.annealed
    at = np.array(walk.indices, np.float64)
    each = result.controls.steps_each
    logs = np.log10(np.array(result.sigmas))
    x = np.repeat(np.arange(len(logs) + 1) * each, 2)[1:-1].astype(np.float64)
    axes = Axes(
        (0.0, float(at[-1])),
        (float(logs[-1]) - 0.2, float(logs[0]) + 0.2),
        text("axes", "step"),
        text("axes", "log_sigma"),
        at.astype(np.float32),
    )
    stairs = _curve("ladder", x, np.repeat(logs, 2), text("curves", "ladder"), WALKS["annealed"], width=2.5)
    return Pane("ladder", text("panes", "ladder"), (stairs,), axes=axes)


def shares_table(result: WalkResult, text: Text) -> Pane:
    """Where the particles are at the end, group by group, and where the chains' laws say they are."""
    last = result.steps - 1
    rows = tuple(
        (
            item_text(item, text),
            weight_number(result, g, item),
            share_number(result, "plain", last, g, item),
            law_number(result, "plain", last, g, item),
            share_number(result, "annealed", last, g, item),
            law_number(result, "annealed", last, g, item),
        )
        for g, item in enumerate(group_items(result))
    )
    columns = tuple(text("table", key) for key in ("group", "weight", "plain", "plain_law", "annealed", "annealed_law"))
    table = Table("ends", text("table", "title"), columns, rows)
    return Pane("ends", text("table", "title"), (table,), note=text("table", "note"))


def group_items(result: WalkResult) -> tuple[str, ...]:
    count = len(result.weights)
    if count < result.source.mixture.components:
        return tuple(f"sector_{g}" for g in range(count))
    return tuple(f"mode:{g + 1}" for g in range(count))


def captions_of(result: WalkResult, text: Text) -> tuple[str, ...]:
    said: list[str] = []
    for k in range(result.steps):
        plain, annealed = (share_number(result, w, k, 0).value for w in ("plain", "annealed"))
        said.append(
            text(
                "captions",
                "walk",
                plain=format_value(plain),
                annealed=format_value(annealed),
                weight=format_value(float(result.weights[0])),
                sigma=format_value(result.annealed.sigmas[k]),
                level=str(result.annealed.levels[k] + 1),
                levels=str(len(result.sigmas)),
            )
        )
    return tuple(said)
