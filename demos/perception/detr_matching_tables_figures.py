"""Result -> tables and the question. Every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from demos.kit.numbers import Number, format_value
from demos.kit.scene import Guess, Pane, Table
from demos.kit.text import Text
from demos.perception.detr_matching_numbers import (
    box_rows,
    object_rows,
    pair_name,
    pair_rows,
    query_name,
    query_rows,
    target_name,
    whole,
)

if TYPE_CHECKING:
    from demos.perception.detr_matching import Result

RULES = ("optimal", "greedy", "cheapest")


def rules_pane(result: Result, text: Text) -> Pane:
    """The three rules side by side."""
    found = {"optimal": result.optimal, "greedy": result.greedy, "cheapest": result.cheapest}
    rows: list[tuple[str | Number, ...]] = []
    for rule in RULES:
        pairs = " · ".join(pair_name(result, r, c) for r, c in found[rule].picks)
        rows.append((text("controls", "rule", "options", rule), whole(result, rule), pairs or "–"))
    columns = tuple(text("rules", key) for key in ("rule", "cost", "pairs"))
    table = Table("rules", text("rules", "title"), columns, tuple(rows), (RULES.index(result.controls.rule),))
    return Pane("rules", text("rules", "title"), (table,), place="below", note=text("rules", "note"))


def pairs_pane(result: Result, text: Text) -> Pane:
    parts = ("class", "bbox", "giou", "total") if result.match is not None else ("total",)
    columns = (text("matrix", "pair"), *(text("matrix", key) for key in parts))
    table = Table("pairs", text("pairs", "title"), columns, pair_rows(result))
    return Pane("pairs", text("pairs", "title"), (table,), place="below", note=text("pairs", "note"))


def losses_pane(result: Result, text: Text) -> Pane:
    """One table a decoder layer."""
    assert result.loss is not None
    count = len(result.loss.layers)
    columns = tuple(text("losses", k) for k in ("query", "matching", "loss", "share"))
    marks = tuple(
        tuple(r for r, target in enumerate(layer.target_of_query[0].tolist()) if target >= 0)
        for layer in result.loss.layers
    )
    frames = tuple(query_rows(result, k) for k in range(count))
    table = Table("losses", text("losses", "title"), columns, frames[0], later=frames, marks=marks)
    return Pane("losses", text("losses", "title"), (table,), place="side", note=text("losses", "note"))


def box_losses_pane(result: Result, text: Text) -> Pane:
    assert result.loss is not None
    columns = tuple(text("losses", k) for k in ("query", "l1", "giou"))
    frames = tuple(box_rows(result, k) for k in range(len(result.loss.layers)))
    table = Table("box_losses", text("losses", "boxes"), columns, frames[0], later=frames)
    return Pane("box_losses", text("losses", "boxes"), (table,), place="below", note=text("losses", "boxes_note"))


def objects_pane(result: Result, text: Text) -> Pane:
    columns = tuple(text("objects", key) for key in ("object", "rcnn", "detr"))
    table = Table("objects", text("objects", "title"), columns, object_rows(result))
    return Pane("objects", text("objects", "title"), (table,), place="side", note=text("objects", "note"))


def detections_pane(result: Result, names: tuple[str, ...], text: Text) -> Pane:
    """Every prediction, and what the two ways make of it."""
    s = result.suppressed
    assert s is not None
    last, rows = s.steps[-1], []
    for k, query in enumerate(s.detections.query_idx):
        told, mine = int(s.assignment.target_idx[k]), int(s.matched_target[k])
        keeper = int(last.suppressed_by[k])
        fate = (
            text("detections", "removed", query=query_name(result, int(s.detections.query_idx[keeper])))
            if keeper >= 0
            else text("detections", "kept" if k in last.kept else "below")
        )
        told_name = (
            target_name(result, told) if told >= 0 else text("detections", "background" if told == -1 else "between")
        )
        mine_name = target_name(result, mine) if mine >= 0 else "∅"
        name = f"{query_name(result, int(query))} {names[int(s.detections.labels[k])]}"
        rows.append((name, f"{s.detections.scores[k]:.2f}", mine_name, told_name, fate))
    columns = tuple(text("detections", key) for key in ("prediction", "score", "detr", "rcnn", "nms"))
    kept = tuple(int(k) for k in last.kept)
    table = Table("detections", text("detections", "title"), columns, tuple(rows), kept)
    return Pane("detections", text("detections", "title"), (table,), place="below", note=text("detections", "note"))


@lru_cache(maxsize=1)
def _trap() -> Result:
    from demos.perception.detr_matching import DEMO

    return DEMO.run(DEMO.presets["greedy"])


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Which rule's pairs cost least? Computed from the preset's own costs; the answer is not the best matching."""
    found = _trap()
    numbers = {rule: whole(found, rule) for rule in RULES}
    values = [float(numbers[rule].value or 0) for rule in RULES]
    options = tuple(text("controls", "rule", "options", rule) for rule in RULES)
    shared = ", ".join(query_name(found, r) for r in found.cheapest.shared_rows)
    reveal = tuple(
        text("predict", rule, filled=numbers[rule].filled, cost=format_value(numbers[rule].value), shared=shared)
        for rule in RULES
    )
    return (Guess(text("predict", "question"), options, values.index(min(values)), reveal, "greedy"),)
