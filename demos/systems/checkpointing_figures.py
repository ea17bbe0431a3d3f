"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.systems.checkpoint_plans import Nodes, flattened
from demos.contract import View as DemoView
from demos.kit.numbers import Number, format_value
from demos.kit.scene import Areas, Axes, Layer, Level, Mark, Pane, Paths, Points, Scene, Strip, Tiles
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES
from demos.kit.upload_errors import error_sentence
from demos.systems.checkpointing_tables_figures import tables

if TYPE_CHECKING:
    from demos.systems.checkpointing import Result

KINDS = ("states", "parameters", "gradients", "inputs", "activations", "recomputed", "workspace")  # from the ground up
COLORS = (CATEGORIES[3], "neutral", CATEGORIES[2], CATEGORIES[1], "forward", "recompute", "backward")
HATCH = (2, 0, 0, 0, 0, 1, 0)
PHASES = ("forward", "recompute", "backward")
PHASE_COLORS, PHASE_HATCH = ("forward", "recompute", "backward"), (0, 1, 0)
IDLE = 0  # state of a box; a phase's is its place in PHASES + 1
MOST_STEP_NUMBERS = 64  # layers whose names are written on the ribbon


def show_run(result: Result, text: Text) -> DemoView:
    c = result.controls
    scene = Scene(
        panes=(_chain(result, text), _mountain(result, text), *tables(result, text)),
        steps=len(result.moments),
        captions=_captions(result, text),
        step=result.over if result.over is not None else result.peak_step,
        notes=tuple(error_sentence(n.code, n.fields, text.language) for n in result.subject.notes)
        + _notes(result, text),
        marks=_marks(result, text),
    )
    modes = {
        "model": c.model,
        "picture": c.picture,
        "named": c.named,
        "strategy": c.strategy,
    }
    return DemoView(scene, modes, {key: text("controls", "strategy", "options", key) for key in STRATEGY_NAMES})


STRATEGY_NAMES = ("none", "every_layer", "sqrt", "sequential", "matmul", "attention", "optimal", "own", "every_kth")


def groups_of(nodes: Nodes, depth: int = 1) -> tuple[tuple[int, int, int], ...]:
    """(first layer, last + 1, depth) of every segment, outer ones first."""
    found: list[tuple[int, int, int]] = []
    for node in nodes:
        if isinstance(node, tuple):
            inside = tuple(flattened(node))
            found += [(inside[0], inside[-1] + 1, depth), *groups_of(node, depth + 1)]
    return tuple(found)


def _short(name: str) -> str:
    """The name of a layer as it fits on a small box: its number, or its first letters."""
    last = name.rsplit(" ", 1)[-1]
    return last if last.isdecimal() and not name.startswith(("down", "up")) else name.replace(" ", "")[:6]


# -- the chain --------------------------------------------------------------------------------------------------------


def _chain(result: Result, text: Text) -> Pane:
    names, moments, n = result.subject.chain.names, result.moments, result.layers
    states = np.zeros((len(moments), n), np.uint8)
    for t, i in enumerate(moments):
        event = result.events[i]
        if event.phase in PHASES and 0 <= event.layer < n:
            states[t, event.layer] = PHASES.index(event.phase) + 1
    held = np.array([result.held[i] for i in moments], np.float64).reshape(len(moments), n)
    fixed = result.plan.forward_calls
    hints = tuple(text("chain", "hint", layer=name, runs=str(calls)) for name, calls in zip(names, fixed, strict=True))
    layers: list[Layer] = [
        Tiles(
            "chain",
            text("chain", "yours"),
            tuple(_short(name) for name in names),
            states,
            ("", *(text("phases", phase) for phase in PHASES)),
            ("", *PHASE_COLORS),
            (0, *PHASE_HATCH),
            shares=(held / (held.max(initial=0) or 1.0)).astype(np.float32),
            hints=hints,
            groups=groups_of(result.plan.nodes),
            group_label=text("chain", "segment"),
            on=result.plan.kept_inputs,
            on_label=text("chain", "pinned"),
            pick=True,
            receipts=_proofs(result),
        )
    ]
    if result.best is not None and result.best.plan != result.plan:
        layers.append(
            Tiles(
                "best",
                text("chain", "best"),
                tuple(_short(name) for name in names),
                np.zeros(n, np.uint8),
                ("",),
                ("",),
                (0,),
                groups=groups_of(result.best.plan.nodes),
                on=result.best.plan.kept_inputs,
                small=True,
            )
        )
    return Pane("chain", "", tuple(layers))


def _proofs(result: Result) -> tuple[Number, ...]:
    """One a step, to vouch for how full the boxes are."""
    return tuple(next(n for n in step if n.key == "activations_now") for step in result.numbers)


# -- the mountain -----------------------------------------------------------------------------------------------------


def _mountain(result: Result, text: Text) -> Pane:
    moments, size = result.moments, result.unit
    unit = "GiB" if result.subject.fake else "MiB"
    last = len(result.events)
    x = np.array([*moments, last], np.float32)
    heights = np.array(
        [[result.states_bytes, *result.events[i].live_bytes] for i in moments], np.float64
    ).T  # (kinds, moments)
    edges = np.concatenate([np.zeros((1, len(moments))), np.cumsum(heights, axis=0)]) / size
    top = max(float(edges[-1].max()), result.budget_bytes / size)
    kinds = KINDS if result.states_bytes else KINDS[1:]
    start = len(KINDS) - len(kinds)
    areas = Areas(
        "memory",
        text("mountain", "memory"),
        x,
        edges[start:].astype(np.float32),
        tuple(text("kinds", kind) for kind in kinds),
        COLORS[start:],
        HATCH[start:],
    )
    layers: list[Layer] = [areas, _ribbon(result, text)]
    if result.budget_bytes:
        layers.append(
            Level(
                "budget",
                text("mountain", "card" if result.subject.fake else "budget"),
                round(result.budget_bytes / size, 2),
                "" if result.subject.fake else "budget",
                0.5,
                100000.0,
                0.01 if result.subject.fake else 0.5,
                unit,
            )
        )
    counted = [(i, result.events[i].allocator_bytes / size) for i in moments if result.events[i].allocator_bytes >= 0]
    if counted:  # a GPU's own count
        top = max(top, *(height for _, height in counted))
        line = np.array([counted], np.float32)
        layers.append(
            Paths(
                "allocator",
                text("mountain", "allocator"),
                line,
                (text("mountain", "allocator"),),
                ("neutral",),
                dashed=True,
            )
        )
    if result.over is not None:
        i = moments[result.over]
        at = np.array([[i, edges[-1][result.over]]], np.float32)
        layers.append(
            Points(
                "over",
                "",
                at,
                (text("mountain", "over"),),
                ("error",),
                6.0,
                names_at="right" if i < last / 2 else "left",
            )
        )
    label = text(
        "mountain", "device_" + ("fake" if result.subject.fake else "cpu" if result.device == "cpu" else "cuda")
    )
    return Pane(
        "mountain",
        label,
        tuple(layers),
        height=270,
        axes=Axes(
            (0.0, float(max(last, 1))),
            (0.0, top * 1.08 or 1.0),
            text("mountain", "operators"),
            unit,
            np.array(moments, np.float32) + 0.5,
            scrub=True,
        ),
    )


def _ribbon(result: Result, text: Text) -> Strip:
    spans = [span for span in result.spans if span.phase in PHASES]
    names = result.subject.chain.names

    def said(layer: int) -> str:
        return names[layer] if layer >= 0 else text("mountain", "loss")

    return Strip(
        "ribbon",
        text("mountain", "work"),
        np.array([[s.first_event, s.last_event + 1] for s in spans], np.float32).reshape(-1, 2),
        np.array([PHASES.index(s.phase) for s in spans], np.uint8),
        ("",) * len(PHASES),  # explained beside the boxes
        PHASE_COLORS,
        PHASE_HATCH,
        tuple(_short(names[s.layer]) if s.layer >= 0 else "" for s in spans),
        tuple(
            text("mountain", "span", phase=text("phases", s.phase), layer=said(s.layer), flops=format_value(s.flops))
            for s in spans
        ),
    )


# -- words and marks --------------------------------------------------------------------------------------------------


def _captions(result: Result, text: Text) -> tuple[str, ...]:
    names, lines = result.subject.chain.names, []
    for t, i in enumerate(result.moments):
        event = result.events[i]
        phase = text("phases", event.phase)
        if event.op == "free":
            line = text("captions", "free", phase=phase, count=str(len(event.freed)))
        elif event.op == "gradient":
            line = text("captions", "gradient", phase=phase)
        elif event.phase in ("baseline", "end"):
            line = text("captions", event.phase)
        elif event.layer < 0:
            line = text("captions", "outside", phase=phase, op=event.op)
        else:
            line = text("captions", "op", phase=phase, layer=names[event.layer], op=event.op)
        if t == result.over:
            line += " " + text("captions", "over")
        lines.append(line)
    return tuple(lines)


def _marks(result: Result, text: Text) -> tuple[Mark, ...]:
    if result.run is None:
        return ()
    peak = (result.peak_step,)
    turn = tuple(t for t, i in enumerate(result.moments) if i == result.run.forward_end)
    found = [
        Mark("peak", text("marks", "peak"), peak, "forward"),
        Mark("turn", text("marks", "turn"), turn, "backward"),
    ]
    if result.over is not None:
        found.append(Mark("over", text("marks", "over"), (result.over,), "error"))
    return tuple(found)


def _notes(result: Result, text: Text) -> tuple[str, ...]:
    said: list[str] = []
    if result.run is None:
        return (text("notes", "running"),)
    if result.over is not None:
        event = result.events[result.moments[result.over]]
        names = result.subject.chain.names
        layer = names[event.layer] if event.layer >= 0 else text("mountain", "loss")
        said.append(text("notes", "over", phase=text("phases", event.phase), layer=layer))
    if result.verdict is not None and result.over is None:
        said.append(text("notes", "fits" if result.verdict.fits else "reserved", card=result.verdict.card.name))
    if result.gradients is not None:
        said.append(text("notes", "equal" if result.gradients.bitwise_equal else "differ"))
    if result.controls.budget and result.profile and result.best is None and result.budget_bytes:
        least = result.profile.frontier[0].peak + result.profile.fixed_bytes
        said.append(text("notes", "no_plan", least=format_value(least / result.unit), unit="MiB"))
    return tuple(said)
