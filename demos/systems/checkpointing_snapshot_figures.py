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
MODES = {"model": "snapshot"}


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


def _rows(result: SnapshotResult, text: Text) -> tuple[tuple[int, str, str, int], ...]:
    """(row of the timeline, name, colour, hatching): before the trace, each place, all others; without those that never hold anything."""
    places, held = result.places.places, result.places.live_bytes
    named = [(place or text("snapshot", "unnamed"), CATEGORIES[i], i % 3) for i, place in enumerate(places)]
    rows = [(text("snapshot", "before"), "neutral", 0), *named, (text("snapshot", "others"), "neutral", 1)]
    return tuple((i, *row) for i, row in enumerate(rows) if held[i].any())


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_PLACE else name[: LONGEST_PLACE - 1] + "…"


def _timeline(result: SnapshotResult, text: Text) -> Pane:
    moments = result.moments
    last = len(result.snapshot.events) + 1
    x = np.array([*moments, last], np.float32)
    rows = _rows(result, text)
    held = result.places.live_bytes[[i for i, *_ in rows]][:, list(moments)] / MIB
    edges = np.concatenate([np.zeros((1, len(moments))), np.cumsum(held, axis=0)])
    reserved = np.array([[[i, result.reserved(i) / MIB] for i in moments]], np.float32)
    top = max(float(edges[-1].max()), float(reserved[..., 1].max()))
    layers: tuple[Layer, ...] = (
        Areas(
            "places",
            text("snapshot", "allocated"),
            x,
            edges.astype(np.float32),
            tuple(_short(name) for _, name, _, _ in rows),
            tuple(color for _, _, color, _ in rows),
            tuple(hatch for *_, hatch in rows),
        ),
        Paths(
            "reserved",
            text("snapshot", "reserved"),
            reserved,
            (text("snapshot", "reserved"),),
            ("neutral",),
            dashed=True,
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
    rows = tuple((name, place_number(result, i, name)) for i, name, _, _ in _rows(result, text))
    columns = (text("snapshot", "place"), text("snapshot", "at_peak"))
    table = Table("holders", text("snapshot", "holders"), columns, rows)
    return Pane("holders", text("snapshot", "holders"), (table,), place="below", note=text("snapshot", "holders_note"))


def _blocks(result: SnapshotResult, text: Text) -> Pane:
    rows, last = [], len(result.snapshot.events)
    for i, block in enumerate(result.blocks_at_peak):
        dies = str(block.died + 1) if block.died < last else text("snapshot", "stays")
        name = block.place or text("snapshot", "unnamed")
        rows.append((name, block_number(block, f"{i + 1}: {name}"), str(block.born + 1), dies))
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
