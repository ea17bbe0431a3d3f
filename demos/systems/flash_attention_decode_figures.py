"""Result of decoding -> scene: the parts of the keys side by side in time, and how they are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.kit.numbers import Number, format_value
from demos.kit.scene import Cells, Layer, Pane, Table
from demos.kit.text import Text
from demos.kit.theme import ROLES, rgb
from demos.systems.flash_attention_numbers import part_numbers
from demos.systems.flash_attention_tray_figures import GAP, block, size_of, window

if TYPE_CHECKING:
    from demos.systems.flash_attention import Result

WAITING, DONE, NOW = range(3)
STATES = ("#A9AFB8", "#A5CDE6", ROLES["forward"])
LANE = 0.14  # height of a lane over the width of the map


def steps_of(result: Result) -> int:
    """All parts take their tiles at the same time; the last step puts them together."""
    return max(len(lane) for lane in result.lanes) + 1


def lanes_pane(result: Result, text: Text) -> Pane:
    """One lane a part: its tiles from left to right."""
    assert result.decode is not None
    width = result.schedule.n_k
    lane = max(1, round(width * LANE))
    xyxy, places, names = [], [], []
    for s, (part, tiles) in enumerate(zip(result.decode.parts, result.lanes, strict=True)):
        for k, step in enumerate(tiles):
            start, stop = (part.keys.start + x for x in (step.tile.cols.start, step.tile.cols.stop))
            xyxy.append([start, s * lane, stop, (s + 1) * lane])
            places.append(k)
            names.append(text("decode", "tile", part=str(s + 1), k0=str(start), k1=str(stop - 1)))
    order, at = np.array(places), np.arange(steps_of(result))[:, None]
    states = np.where(order < at, DONE, np.where(order == at, NOW, WAITING)).astype(np.uint8)
    keys = tuple((text("map", key), color, 0) for key, color in zip(("waiting", "done", "now"), STATES, strict=True))
    layer = Cells(
        "tiles",
        text("map", "tiles"),
        np.array(xyxy, np.float32),
        states,
        np.array([[*rgb(color), 255] for color in STATES], np.uint8),
        legend=keys,
        names=tuple(names),
        steps=order,
    )
    height = lane * len(result.lanes)
    return Pane("map", text("decode", "title"), (layer,), width, height, row="schedule", note=text("decode", "note"))


def parts_tray(result: Result, text: Text, receipts: tuple[Number, ...]) -> Pane:
    """m, ℓ and O of every part while it runs, then what each counts for, and the sum."""
    assert result.decode is not None
    chans = window(result.inputs.q.shape[1])
    e, parts, last = size_of(chans), len(result.lanes), steps_of(result) - 1
    m, l, outputs, weights, total = [], [], [], [], []
    for t in range(last + 1):
        now = [lane[min(t, len(lane) - 1)] for lane in result.lanes]
        m.append(np.array([[float(step.row_max[0])] for step in now]))
        l.append(np.array([[float(step.row_sum[0])] for step in now]))
        outputs.append(np.stack([step.output[0, chans].double().numpy() for step in now]))
        combined = t == last
        weights.append(
            np.array([[float(part.weight[0])] for part in result.decode.parts]) if combined else np.zeros((0, 0))
        )
        total.append(result.decode.output[:, chans].double().numpy() if combined else np.zeros((0, 0)))
    x_o = 2 + GAP
    x_w = x_o + e + GAP
    x_t = x_w + 1 + GAP
    layers: tuple[Layer, ...] = (
        block("row_max", text, (0.0, 1.2), (parts, 1), m, receipts=receipts),
        block("row_sum", text, (1.0, 1.2), (parts, 1), l, signed=False),
        block("part_output", text, (x_o, 1.2), (parts, e), outputs),
        block("weight", text, (x_w, 1.2), (parts, 1), weights, signed=False),
        block("combined", text, (x_t, 1.2), (1, e), total),
    )
    return Pane(
        "tray",
        text("decode", "tray"),
        layers,
        int(np.ceil(x_t + max(e, 4))),
        parts + 2,
        place="wide",
        note=text("decode", "tray_note"),
    )


def parts_pane(result: Result, text: Text) -> Pane:
    assert result.decode is not None
    columns = tuple(text("decode", key) for key in ("part", "keys", "logsumexp", "weight"))
    rows = tuple(
        (str(s + 1), f"{part.keys.start}–{part.keys.stop - 1}", *part_numbers(part, s + 1))
        for s, part in enumerate(result.decode.parts)
    )
    return Pane(
        "parts", text("decode", "parts"), (Table("parts", text("decode", "parts"), columns, rows),), place="below"
    )


def captions(result: Result, text: Text) -> tuple[str, ...]:
    assert result.decode is not None
    last = steps_of(result) - 1
    running = (
        text("decode", "running", parts=str(sum(len(lane) > t for lane in result.lanes)), tile=str(t + 1))
        for t in range(last)
    )
    done = text(
        "decode", "combining", parts=str(len(result.lanes)), logsumexp=format_value(float(result.decode.logsumexp[0]))
    )
    return (*running, done)
