"""SnapshotResult -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.contract import View
from demos.kit.numbers import format_value
from demos.kit.scene import Areas, Axes, Layer, Mark, Pane, Paths, Scene, Table
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES
from demos.systems.checkpointing_snapshot import MIB, block_number, place_number

if TYPE_CHECKING:
    from demos.systems.checkpointing_snapshot import SnapshotResult

LONGEST_PLACE = 34  # letters of a line of code in the legend
ACTIONS = ("alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "oom")
MODES = {"model": "snapshot", "picture": "", "named": "", "equal": "no", "k": "no", "budget": "no", "runs": "no"}


def show_snapshot(result: SnapshotResult, text: Text) -> View:
    out = tuple(t for t, i in enumerate(result.moments) if i and result.snapshot.events[i - 1].action == "oom")
    marks = [Mark("peak", text("marks", "peak"), (result.moments.index(result.peak),), "forward")]
    if out:
        marks.append(Mark("over", text("marks", "over"), out, "error"))
    scene = Scene(
        panes=(_timeline(result, text), _places(result, text), _blocks(result, text)),
        steps=len(result.moments),
        captions=tuple(_caption(result, moment, text) for moment in result.moments),
        step=result.moments.index(result.peak),
        notes=(text("snapshot", "offline", device=str(result.snapshot.device)),),
        marks=tuple(marks),
    )
    return View(scene, MODES)


def _names(result: SnapshotResult, text: Text) -> tuple[str, ...]:
    """The rows of the timeline: before the trace, each place, the others."""
    places = (place or text("snapshot", "unnamed") for place in result.places.places)
    return (text("snapshot", "before"), *places, text("snapshot", "others"))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_PLACE else name[: LONGEST_PLACE - 1] + "…"


def _timeline(result: SnapshotResult, text: Text) -> Pane:
    moments = result.moments
    last = len(result.snapshot.events) + 1
    x = np.array([*moments, last], np.float32)
    held = result.places.live_bytes[:, list(moments)] / MIB
    edges = np.concatenate([np.zeros((1, len(moments))), np.cumsum(held, axis=0)])
    reserved = np.array([[[i, result.reserved(i) / MIB] for i in moments]], np.float32)
    top = max(float(edges[-1].max()), float(reserved[..., 1].max()))
    names = _names(result, text)
    layers: tuple[Layer, ...] = (
        Areas(
            "places",
            text("snapshot", "allocated"),
            x,
            edges.astype(np.float32),
            tuple(_short(name) for name in names),
            ("neutral", *CATEGORIES[: len(names) - 2], "neutral"),
            (0, *(i % 3 for i in range(len(names) - 2)), 1),
        ),
        Paths(
            "reserved", text("snapshot", "reserved"), reserved, (text("snapshot", "reserved"),), ("text",), dashed=True
        ),
    )
    axes = Axes(
        (0.0, float(last)),
        (0.0, top * 1.08 or 1.0),
        text("snapshot", "entries"),
        "MiB",
        np.array(moments, np.float32) + 0.5,
        scrub=True,
    )
    return Pane("timeline", text("snapshot", "title"), layers, height=300, axes=axes)


def _places(result: SnapshotResult, text: Text) -> Pane:
    names = _names(result, text)
    rows = tuple((name, place_number(result, i, name)) for i, name in enumerate(names))
    columns = (text("snapshot", "place"), text("snapshot", "at_peak"))
    table = Table("holders", text("snapshot", "holders"), columns, rows)
    return Pane("holders", text("snapshot", "holders"), (table,), place="below", note=text("snapshot", "holders_note"))


def _blocks(result: SnapshotResult, text: Text) -> Pane:
    events, rows = result.snapshot.events, []
    for i, block in enumerate(result.blocks_at_peak):
        dies = format_value(events[block.died].seconds) if block.died < len(events) else text("snapshot", "stays")
        name = block.place or text("snapshot", "unnamed")
        rows.append((name, block_number(block, f"{i + 1}: {name}"), format_value(events[block.born].seconds), dies))
    columns = tuple(text("snapshot", key) for key in ("place", "size", "born", "dies"))
    table = Table("blocks", text("snapshot", "blocks"), columns, tuple(rows))
    return Pane("blocks", text("snapshot", "blocks"), (table,), place="below", note=text("snapshot", "blocks_note"))


def _caption(result: SnapshotResult, moment: int, text: Text) -> str:
    if not moment:
        return text("snapshot", "start")
    event = result.snapshot.events[moment - 1]
    action = text("snapshot", "actions", event.action) if event.action in ACTIONS else event.action
    line = text(
        "snapshot",
        "caption",
        seconds=format_value(event.seconds),
        action=action,
        size=format_value(event.n_bytes / MIB),
    )
    return f"{line} {event.place}".rstrip()
