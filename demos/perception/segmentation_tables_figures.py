"""Result -> tables, curves over time, charts and the question. Every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from core.perception.segmentation_conventions import library_table
from demos.kit.numbers import Number, format_value
from demos.kit.scene import (
    Axes,
    Guess,
    Pane,
    Paths,
    Table,
)
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES
from demos.perception.segmentation_numbers import class_numbers, collapse_numbers, worst_rows

if TYPE_CHECKING:
    from demos.perception.segmentation_metrics import Result

LISTED_CLASSES = 60


def class_names(result: Result, text: Text) -> tuple[str, ...]:
    """Names from the palette, from the example, or numbers."""
    given = result.pairs.names or text.find("classes", result.controls.source) or ()
    return tuple(given[k] if k < len(given) else text("class", k=str(k)) for k in range(result.pairs.num_classes))


def libraries_pane(result: Result, text: Text) -> Pane:
    rows: list[tuple[str | Number, ...]] = []
    for row in result.table:
        name = text("libraries", "names", row.name)
        value = (
            Number("mean_iou", row.mean_iou, library_table, item=name)
            if not row.errors
            else text("libraries", "error", row.errors[0])
        )
        rows.append((name, value, text("libraries", "rules", row.name)))
    ours = format_value(result.total.mean_iou)  # rows that read otherwise are emphasised
    apart = tuple(
        i for i, row in enumerate(result.table) if row.mean_iou is not None and format_value(row.mean_iou) != ours
    )
    table = Table(
        "libraries",
        text("libraries", "title"),
        (text("libraries", "library"), text("numbers", "mean_iou", "label"), text("libraries", "rule")),
        tuple(rows),
        apart,
    )
    return Pane("libraries", text("libraries", "title"), (table,), place="below", note=text("libraries", "note"))


def classes_pane(result: Result, names: tuple[str, ...], text: Text) -> Pane:
    s = result.scores
    listed = [k for k in range(len(names)) if s.union[k] > 0 or len(names) <= LISTED_CLASSES][:LISTED_CLASSES]
    rows = tuple((names[k], *class_numbers(s, k, names[k])) for k in listed)
    columns = (
        text("class_column"),
        *(text("numbers", key, "label") for key in ("iou", "dice", "accuracy", "precision")),
    )
    note = text("more_classes", shown=str(len(listed)), all=str(len(names))) if len(listed) < len(names) else ""
    collapse = tuple(
        (closed.formula, text("numbers", closed.key, "label"), closed, counted)
        for closed, counted in collapse_numbers(result.collapse)
    )
    b = format_value(float(result.collapse.here.background_share))
    tables = (
        Table("classes", text("charts", "classes"), columns, rows),
        Table(
            "collapse",
            text("collapse", "title", b=b),
            (
                text("collapse", "form"),
                text("collapse", "score"),
                text("collapse", "closed"),
                text("collapse", "measured"),
            ),
            collapse,
        ),
    )
    if result.worst is not None and result.worst.regions:
        titles = tuple(text("worst", key) for key in ("spot", "error", "depth"))
        tables += (Table("worst", text("worst", "title"), titles, worst_rows(result, names)),)
    return Pane("classes", "", tables, place="below", note=note)


def time_pane(result: Result, text: Text) -> Pane:
    n = len(result.steps)
    x = result.pairs.times if result.pairs.times is not None else np.arange(1, n + 1, dtype=float)
    curves = [
        [s.scores.mean_iou for s in result.steps],
        [s.cumulative_scores.mean_iou for s in result.steps],
        [s.scores.pixel_accuracy for s in result.steps],
    ]
    xy = np.stack([np.stack([x, np.array(v, float)], 1) for v in curves])
    names = tuple(text("time", key) for key in ("frame_miou", "cumulative_miou", "frame_pa"))
    paths = Paths("scores", text("time", "title"), xy, names, ("prediction", "error", "neutral"))
    label = text("time", "seconds") if result.pairs.times is not None else text("time", "frame")
    axes = Axes((float(x[0]), float(x[-1])), (0.0, 1.0), label, "", x)
    return Pane("time", text("time", "title"), (paths,), axes=axes, place="main")


def _layout(figure: go.Figure, height: int) -> go.Figure:
    grey = "#7A7F87"
    figure.update_layout(
        height=height,
        margin={"l": 50, "r": 15, "t": 10, "b": 70},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": grey, "size": 13},
        legend={"orientation": "h", "y": -0.22},
        template="none",
    )
    figure.update_xaxes(gridcolor="rgba(128,128,128,.25)", zerolinecolor="rgba(128,128,128,.4)")
    figure.update_yaxes(gridcolor="rgba(128,128,128,.25)", zerolinecolor="rgba(128,128,128,.4)", range=[0, 1.02])
    return figure


def collapse_chart(result: Result, text: Text) -> go.Figure:
    c, figure = result.collapse, go.Figure()
    curve = c.curve
    for key, color in (
        ("pixel_accuracy", CATEGORIES[5]),
        ("frequency_weighted_iou", CATEGORIES[2]),
        ("mean_accuracy", CATEGORIES[6]),
        ("mean_iou", CATEGORIES[4]),
    ):
        name = text("numbers", key, "label")
        figure.add_scatter(
            x=curve.background_share,
            y=np.asarray(getattr(curve, key), np.float32),
            mode="lines",
            name=name,
            line={"color": color, "width": 2},
            legendgroup=key,
        )
        figure.add_scatter(
            x=np.array([b for b, _ in c.measured], np.float32),
            y=np.array([getattr(s, key) for _, s in c.measured], np.float32),
            mode="markers",
            name=text("collapse", "measured"),
            showlegend=False,
            marker={"color": color, "size": 8, "symbol": "circle-open"},
            legendgroup=key,
        )
    figure.add_vline(x=float(c.here.background_share), line={"dash": "dot", "color": "#7A7F87"})
    figure.update_xaxes(title=text("collapse", "share"), range=[0.49, 1.0])
    return _layout(figure, 330)


def class_chart(result: Result, text: Text) -> go.Figure:
    s, figure, names = result.scores, go.Figure(), class_names(result, text)
    listed = [k for k in range(len(names)) if s.union[k] > 0][:LISTED_CLASSES]
    for key, color, pattern in (
        ("iou", CATEGORIES[4], ""),
        ("dice", CATEGORIES[1], "/"),
        ("accuracy", CATEGORIES[2], "."),
        ("precision", CATEGORIES[0], "x"),
    ):
        figure.add_bar(
            x=[names[k] for k in listed],
            y=np.array([getattr(s, key)[k] for k in listed], np.float32),
            name=text("numbers", key, "label"),
            marker={"color": color, "pattern": {"shape": pattern}},
        )
    return _layout(figure, 300)


@lru_cache(maxsize=1)
def _background_numbers() -> dict[str, Number]:
    from demos.perception.segmentation_metrics import DEMO

    return {n.key: n for n in DEMO.numbers(DEMO.run(DEMO.presets["background"]))[0]}


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Which score stays highest when everything is called background? Computed from that preset's own numbers."""
    last = _background_numbers()
    keys = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
    best = int(np.argmax([float(last[key].value or 0) for key in keys]))
    labels = tuple(text("numbers", key, "label") for key in keys)
    reveal = tuple(
        f"{label}: {last[key].filled} = {format_value(last[key].value)}"
        for label, key in zip(labels, keys, strict=True)
    )
    return (Guess(text("predict", "question"), labels, best, reveal, "background"),)
