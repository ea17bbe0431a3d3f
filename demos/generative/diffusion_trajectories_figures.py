"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.contract import View as DemoView
from demos.generative.diffusion_inputs import REACH
from demos.generative.diffusion_plane_figures import (
    GROUPS,
    SIDE,
    density_layer,
    group_names,
    legend_layer,
    mode_tools,
    pixels,
)
from demos.generative.diffusion_tables_figures import bundle_pane, gaps_pane, shares_pane
from demos.kit.numbers import format_value
from demos.kit.scene import (
    Axes,
    Labels,
    Layer,
    Mark,
    Pane,
    Paths,
    Pick,
    Points,
    Scene,
    View,
)
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES
from demos.kit.upload_errors import error_sentence

if TYPE_CHECKING:
    from demos.generative.diffusion_trajectories import Result

LANES = {"forward": ROLES["forward"], "reverse": CATEGORIES[6], "flow": CATEGORIES[5]}  # which lane is meant
FOLLOWED = 2  # particles that leave a trail
MOST_PIXELS = 0.28  # screen pixels of a unit: three planes and the numbers on one screen


def show_lanes(result: Result, text: Text) -> DemoView:
    c = result.controls
    panes = _point_panes(result, text) if result.bundle is not None else _lane_panes(result, text)
    below = [shares_pane(result, text)]
    scene = Scene(
        panes=(*panes, *below),
        steps=len(result.scales),
        captions=captions_of(result, text),
        step_names=tuple(f"t = {float(t):.3f}" for t in result.lanes.times),
        step=_first_step(result),
        tools=(
            mode_tools(result.source.modes, c.modes, "forward", text)
            if result.source.modes and result.bundle is None
            else None
        ),
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.source.notes),
        pointed=() if result.bundle is not None else ("particle",),
        picks=(Pick("point", c.point, text("noise_point")),) if result.bundle is not None else (),
        marks=marks_of(result, text),
        lead="wide",
    )
    modes = {"lens": c.lens, "source": c.source, "error": "no" if c.error_kind == "none" else "yes"}
    return DemoView(scene, modes)


def _first_step(result: Result) -> int:
    """Where the modes have begun to part and most of the way is already behind."""
    return round(0.74 * (len(result.scales) - 1))


def placed(result: Result, lane: Any) -> np.ndarray:
    """(S + 1, N, 2) positions of a lane in units of the pane."""
    return pixels(lane, result.scales)


def _lane_panes(result: Result, text: Text) -> list[Pane]:
    lanes, density = result.lanes, density_layer(result.density.numpy(), text)
    groups = result.groups.numpy()
    own = {"forward": groups[lanes.origin], "reverse": groups[lanes.flow_end], "flow": groups[lanes.flow_end]}
    names = group_names(result.source.mixture, result.groups, text)
    reverse_end, flow_end = (groups[end] for end in (lanes.reverse_end, lanes.flow_end))
    hints = tuple(
        text("plane", "hint", k=str(i), flow=names[f], reverse=names[r])
        for i, (f, r) in enumerate(zip(flow_end, reverse_end, strict=True))
    )
    legend = legend_layer(result.source.mixture, result.groups, text)
    panes: list[Pane] = []
    for name in ("forward", "reverse", "flow"):
        xy = placed(result, getattr(lanes, name))
        order = np.argsort(own[name], kind="stable") if name == "forward" else np.arange(xy.shape[1])
        linked = name != "forward"
        layers: list[Layer] = [density, legend]
        layers.append(
            Points(
                "particles",
                "",
                xy[:, order],
                colors=tuple(GROUPS[g] for g in own[name][order]),
                radius=3.4,
                swarm=True,
                link="particle" if linked else "",
                hints=hints if linked else (),
            )
        )
        if linked:
            layers.append(_trails(result, xy, own[name], text))
        panes.append(
            Pane(
                name,
                text("lanes", name),
                tuple(layers),
                SIDE,
                SIDE,
                place="wide",
                pixel=MOST_PIXELS,
                row="lanes",
                nudge=SIDE / 60,
            )
        )
    return [*panes, histogram_pane(result, text, "main", "evidence"), gaps_pane(result, text, "main", "evidence")]


def _trails(result: Result, xy: np.ndarray, groups: np.ndarray, text: Text) -> Paths:
    """Of some particles: half of them end apart from their twin in the other lane, if so many do."""
    lanes = result.lanes
    apart = (result.groups[lanes.reverse_end] != result.groups[lanes.flow_end]).numpy()
    chosen = [int(i) for i in np.flatnonzero(apart)[: FOLLOWED // 2]]
    chosen += [int(i) for i in np.flatnonzero(~apart)[: FOLLOWED - len(chosen)]]
    colors = tuple(GROUPS[groups[i]] for i in chosen)
    return Paths(
        "trails",
        text("plane", "trails"),
        xy[:, chosen].transpose(1, 0, 2),
        colors=colors,
        grow=True,
        link="particle",
        items=np.array(chosen),
        width=1.6,
    )


def _outline(edges: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """(T, B) heights to (T, 1, 2B + 2, 2) vertices of a staircase."""
    steps, bins = heights.shape
    x = np.repeat(edges, 2)
    y = np.zeros((steps, 2 * bins + 2))
    y[:, 1:-1] = np.repeat(heights, 2, axis=1)
    return np.stack([np.broadcast_to(x, y.shape), y], -1)[:, None].astype(np.float32)


def histogram_pane(result: Any, text: Text, place: Any, row: str) -> Pane:
    """Both lanes' particles along one direction, and what is exact."""
    found = result.histograms
    edges = found.edges.numpy()
    top = float(max(found.exact.max(), found.reverse.max(), found.flow.max())) * 1.05
    layers: list[Layer] = []
    for name, color, width, dashed in (
        ("exact", ROLES["neutral"], 3.5, False),
        ("reverse", LANES["reverse"], 2.0, False),
        ("flow", LANES["flow"], 2.0, True),
    ):
        heights = np.round(getattr(found, name).numpy(), 3)
        layers.append(
            Paths(name, "", _outline(edges, heights), (text("curves", name),), (color,), width=width, dashed=dashed)
        )
    axes = Axes(
        (-REACH, REACH),
        (0.0, top),
        text("axes", "projected", angle=str(result.controls.angle)),
        text("axes", "density"),
    )
    return Pane("histogram", text("panes", "histogram"), tuple(layers), axes=axes, place=place, row=row)


# -- one noise point ----------------------------------------------------------------------------------------------------


def _point_panes(result: Result, text: Text) -> list[Pane]:
    """The plane with one path of the flow and a bundle of the SDE; where it may end; both lanes' marginals."""
    bundle = result.bundle
    assert bundle is not None
    paths = placed(result, bundle.bundle)
    flow = placed(result, bundle.flow[:, None])
    ends = result.groups[bundle.bundle_end].numpy()
    from demos.generative.diffusion_trajectories import PLACES

    places = np.arange(PLACES * PLACES, dtype=np.uint16).reshape(PLACES, PLACES)
    nothing = View("none", text("noise_point", k=""), np.zeros((PLACES * PLACES, 4), np.uint8))
    layers: list[Layer] = [
        density_layer(result.density.numpy(), text),
        legend_layer(result.source.mixture, result.groups, text),
        Labels("places", "", places, (nothing,), pick="point"),
        Paths(
            "bundle",
            text("plane", "bundle"),
            paths.transpose(1, 0, 2),
            colors=tuple(GROUPS[g] for g in ends),
            grow=True,
            width=1.0,
        ),
        Paths("flow_path", text("plane", "flow_path"), flow.transpose(1, 0, 2), colors=("",), grow=True, width=3.5),
        Points("heads", "", paths, colors=tuple(GROUPS[g] for g in ends), radius=3.4, swarm=True),
        Points("flow_head", "", flow, colors=(LANES["flow"],), radius=7.0),
    ]
    plane = Pane(
        "plane",
        text("panes", "point"),
        tuple(layers),
        SIDE,
        SIDE,
        place="wide",
        pixel=0.36,
        row="point",
        share=0.8,
        note=text("plane", "point_note"),
    )
    return [
        plane,
        histogram_pane(result, text, "wide", "point"),
        bundle_pane(result, text),
        gaps_pane(result, text, "main", "evidence"),
    ]


# -- the editor, captions, marks ------------------------------------------------------------------------------------------


def captions_of(result: Any, text: Text) -> tuple[str, ...]:
    found, said = result.agreement, []
    distance = result.lanes.path_distance
    for k in range(len(result.scales)):
        beyond = bool(found.between[k] > found.critical_two)
        said.append(
            text(
                "captions",
                "beyond" if beyond else "agree",
                between=format_value(float(found.between[k])),
                critical=format_value(found.critical_two),
                distance=format_value(float(distance[k])),
            )
        )
    return tuple(said)


def marks_of(result: Any, text: Text) -> tuple[Mark, ...]:
    found = result.agreement
    beyond = tuple(int(k) for k in np.flatnonzero((found.between > found.critical_two).numpy()))
    return (Mark("beyond", text("marks", "beyond"), beyond, "error"),) if beyond else ()
