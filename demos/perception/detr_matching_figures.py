"""Result -> scene. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from core.perception.boxes import cxcywh_to_xyxy
from demos.contract import View as DemoView
from demos.kit.controls import LINKED_MARKS
from demos.kit.numbers import Number, format_value
from demos.kit.scene import (
    Boxes,
    BoxSet,
    Face,
    Labels,
    Layer,
    Matrix,
    Pane,
    Picture,
    Points,
    Ribbons,
    Scene,
    Tools,
    View,
    jpeg,
)
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors
from demos.kit.upload_errors import error_sentence
from demos.perception.detr_matching_inputs import PREDICTION, TRUTH, made_from_truth, spoken_class
from demos.perception.detr_matching_numbers import cell_number, query_name, target_name
from demos.perception.detr_matching_tables_figures import (
    box_losses_pane,
    detections_pane,
    losses_pane,
    objects_pane,
    pairs_pane,
    rules_pane,
)

if TYPE_CHECKING:
    from demos.perception.detr_matching import Result

PAIR = "#CC79A7"  # what belongs together: ribbons and outlined cells, everywhere
LANES = (600, 340)  # units of the drawing without boxes
CLEAR = (0.0, 0.0, 0.0, 0.0)


def show(result: Result, text: Text) -> DemoView:
    c, problem = result.controls, result.problem
    names = class_names(result, text)
    notes = [error_sentence(note.code, note.fields, text.language) for note in problem.notes]
    if len(c.boxes) + len(c.pairs) > LINKED_MARKS:
        notes.append(text("too_long_to_link"))
    if len(result.cost) < result.cost.shape[1]:
        notes.append(text("fewer_queries", queries=str(result.cost.shape[0]), targets=str(result.cost.shape[1])))
    panes, steps, captions, step_names, first = _lens(result, names, text)
    scene = Scene(
        panes=tuple(panes),
        steps=steps,
        captions=captions,
        step_names=step_names,
        step=first,
        tools=_tools(result, names, text) if problem.image is not None and result.looks is None else None,
        notes=tuple(notes),
        pointed=("cell", "query", "target")
        if result.controls.lens == "match"
        else ("place",)
        if _places_shown(result)
        else (),
        followed={"place": np.arange(steps, dtype=np.int32)} if _places_shown(result) else {},
    )
    made_of_boxes = problem.cost is None
    modes = {
        "lens": c.lens,
        "source": c.source,
        "predictor": "noisy" if problem.cost is None and made_from_truth(c) else c.predictor,
        "boxes": "yes" if made_of_boxes else "no",
        "costs": "yes" if made_of_boxes and c.lens in ("match", "solver", "loss") else "no",
        "more": "yes" if made_of_boxes else "no",
        "view": c.view,
    }
    return DemoView(scene, modes)


def _places_shown(result: Result) -> bool:
    """Whether the steps are places of the feature map, which can be pointed at."""
    return result.looks is not None and not result.looks.queries


def class_names(result: Result, text: Text) -> tuple[str, ...]:
    """Names in this language; those of a foreign model as they are."""
    return tuple(text.find("classes", name.replace(":", "_")) or name for name in result.problem.names)


Opened = tuple[list[Pane], int, tuple[str, ...], tuple[str, ...], int]


def _lens(result: Result, names: tuple[str, ...], text: Text) -> Opened:
    if result.steps:
        return _solver(result, text)
    if result.loss is not None:
        return _loss(result, names, text)
    if result.suppressed is not None:
        return _suppression(result, names, text)
    if result.looks is not None:
        return _attention(result, names, text)
    main = _lanes_pane(result, text) if result.problem.image is None else _picture(result, names, text)
    tables = [rules_pane(result, text), pairs_pane(result, text)]
    return [main, _cost_pane(result, text), *tables], 1, (_caption(result, text),), (), 0


def _caption(result: Result, text: Text) -> str:
    if not result.optimal.picks:
        return text("captions", "nothing")
    if result.controls.rule == "optimal":
        return text(
            "captions", "optimal", pairs=str(len(result.optimal.picks)), cost=format_value(result.optimal.total)
        )
    if result.controls.rule == "greedy":
        return text(
            "captions", "greedy", cost=format_value(result.greedy.total), best=format_value(result.optimal.total)
        )
    shared = ", ".join(query_name(result, r) for r in result.cheapest.shared_rows)
    return text("captions", "shared", queries=shared) if shared else text("captions", "not_shared")


# -- the picture with its boxes --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _encoded(image: bytes, height: int, width: int) -> bytes:
    return jpeg(np.frombuffer(image, np.uint8).reshape(height, width, 3))


def _photo(result: Result, text: Text) -> Picture:
    image = result.problem.image
    assert image is not None
    return Picture("photo", text("layers", "photo"), (_encoded(image.tobytes(), *image.shape[:2]),))


def _pixels(result: Result, boxes: np.ndarray) -> np.ndarray:
    """(…, 4) cxcywh in shares -> xyxy px, float32."""
    height, width = result.problem.size
    flat = cxcywh_to_xyxy(boxes.reshape(-1, 4)) * np.array([width, height, width, height])
    return flat.reshape(boxes.shape).astype(np.float32)


def _truth_layer(result: Result, names: tuple[str, ...], text: Text) -> Boxes:
    truth = result.problem.truth
    labels = tuple(f"{target_name(result, g)} {names[k]}" for g, k in enumerate(truth.labels))
    cells = _cells(result)
    return Boxes(
        "truth",
        text("layers", "truth"),
        _pixels(result, truth.boxes),
        labels,
        ("truth",),
        halo=True,
        link="target",
        also={"cell": np.array([cells.get(("target", g), -1) for g in range(len(labels))], np.int32)},
    )


def _cells(result: Result) -> dict[tuple[str, int], int]:
    """The cell of the matrix in which a query or an object is paired."""
    columns = result.cost.shape[1]
    found = {("query", r): r * columns + c for r, c in result.taken.picks}
    return found | {("target", c): r * columns + c for r, c in result.taken.picks}


def _spoken(result: Result, layer: int, row: int) -> str:
    """q3 0.97: a query and how sure it is of its class."""
    m = result.match if result.loss is None else result.loss.layers[layer].matches[0]
    assert m is not None
    sure = m.probabilities[row, spoken_class(result.problem.predictions.logits[layer, row])]
    return f"{query_name(result, row)} {sure:.2f}"


def _picture(result: Result, names: tuple[str, ...], text: Text) -> Pane:
    """Objects solid, matched queries dashed, ∅ grey; ribbons between the pairs of the rule."""
    height, width = result.problem.size
    boxes = _pixels(result, result.problem.predictions.boxes[-1])
    goals = _pixels(result, result.problem.truth.boxes)
    taken, cells = result.taken.picks, _cells(result)
    matched = sorted({r for r, _ in taken})
    spare = [r for r in range(len(boxes)) if r not in matched]
    layers: list[Layer] = [
        _photo(result, text),
        Boxes(
            "spare",
            text("layers", "spare"),
            boxes[spare],
            tuple(f"{query_name(result, r)} ∅" for r in spare),
            ("neutral",),
            dashed=True,
            visible=result.controls.predictor != "hub",
            link="query",
            items=np.array(spare, np.int32),
        ),
        _truth_layer(result, names, text),
        Boxes(
            "queries",
            text("layers", "queries"),
            boxes[matched],
            tuple(_spoken(result, -1, r) for r in matched),
            ("prediction",),
            dashed=True,
            halo=True,
            names_at="bottom",
            link="query",
            items=np.array(matched, np.int32),
            also={"cell": np.array([cells.get(("query", r), -1) for r in matched], np.int32)},
        ),
        Ribbons(
            "pairs", text("layers", "pairs"), _ends(boxes, goals, taken), np.full(len(taken), 5, np.float32), (PAIR,)
        ),
    ]
    return Pane("picture", "", tuple(layers), width, height)


def _ends(boxes: np.ndarray, goals: np.ndarray, pairs: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(N, 4) centre of the object, centre of the query."""
    middle = lambda b: ((b[0] + b[2]) / 2, (b[1] + b[3]) / 2)  # noqa: E731
    return np.array([[*middle(goals[c]), *middle(boxes[r])] for r, c in pairs], np.float32).reshape(-1, 4)


def _tools(result: Result, names: tuple[str, ...], text: Text) -> Tools:
    """All boxes can be dragged where they stand still over the steps."""
    p, truth = result.problem.predictions, result.problem.truth
    sets = [
        BoxSet(
            TRUTH,
            text("tools", "truth"),
            truth.ids,
            tuple(int(k) for k in truth.labels),
            _pixels(result, truth.boxes),
        )
    ]
    if result.loss is None or len(result.loss.layers) == 1:
        said = tuple(spoken_class(logits) for logits in p.logits[-1])
        sets.append(BoxSet(PREDICTION, text("tools", "prediction"), p.ids, said, _pixels(result, p.boxes[-1])))
    return Tools("picture", classes=names, boxes=tuple(sets), edits=result.controls.boxes)


# -- the cost matrix -------------------------------------------------------------------------------------------------------------


def _shade(values: np.ndarray) -> np.ndarray:
    """0…255 between the least and the largest finite value; undefined is dark."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return np.rint(np.nan_to_num(np.clip(scaled, 0, 255), nan=0.0)).astype(np.uint8)


def _texts(values: np.ndarray) -> tuple[str, ...]:
    return tuple(
        "–" if not np.isfinite(v) else f"{v:.2f}".replace("-", "−").replace("−0.00", "0.00") for v in values.ravel()
    )


def _heads(result: Result) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows, columns = result.cost.shape
    return tuple(query_name(result, r) for r in range(rows)), tuple(target_name(result, c) for c in range(columns))


def _cost_pane(result: Result, text: Text) -> Pane:
    rows, columns = _heads(result)
    m, face_of = (
        result.match,
        lambda key, values: Face(
            key, text("matrix", key), _shade(values), (_texts(values),), (cell_number(result, key),)
        ),
    )
    faces = (
        ()
        if m is None
        else tuple(
            face_of(key, values)
            for key, values in (("class", m.class_cost), ("bbox", m.bbox_cost), ("giou", m.giou_cost))
        )
    )
    marks = np.zeros(result.cost.shape, np.uint8)
    for row, column in result.optimal.picks:
        marks[row, column] = 2
    for row, column in result.taken.picks:
        marks[row, column] = 1
    rule, at = text("controls", "rule", "options", result.controls.rule), np.indices(result.cost.shape)
    layer = Matrix(
        "cost",
        text("matrix", "total"),
        _shade(result.cost),
        (_texts(result.cost),),
        rows,
        columns,
        text("matrix", "query"),
        text("matrix", "target"),
        receipts=(cell_number(result, "total"),),
        faces=faces,
        marks=marks,
        mark_names=(rule,) if result.controls.rule == "optimal" else (rule, text("matrix", "instead")),
        pick=True,
        picked=result.picked,
        codes=np.arange(result.cost.size, dtype=np.int32).reshape(result.cost.shape),
        link="cell",
        also={"query": at[0].astype(np.int32), "target": at[1].astype(np.int32)},
    )
    return Pane("cost", text("matrix", "title"), (layer,), place="side", note=text("matrix", "note"))


# -- the solver ------------------------------------------------------------------------------------------------------------------


def _places(count: int, x: float) -> np.ndarray:
    """(count, 2) one below the other."""
    height = LANES[1]
    return np.stack([np.full(count, x), (np.arange(count) + 0.5) * height / max(count, 1)], 1)


def _lane_points(result: Result, text: Text) -> tuple[np.ndarray, np.ndarray, list[Layer]]:
    rows, columns = _heads(result)
    left, right = _places(len(rows), 0.25 * LANES[0]), _places(len(columns), 0.75 * LANES[0])
    layers: list[Layer] = [
        Points(
            "queries", text("layers", "queries"), left, rows, ("prediction",), radius=5, names_at="left", link="query"
        ),
        Points("truth", text("layers", "truth"), right, columns, ("truth",), radius=7, link="target"),
    ]
    return left, right, layers


def _lanes_pane(result: Result, text: Text) -> Pane:
    """Queries left, objects right, ribbons between the pairs; the best pairs thin where the rule took others."""
    left, right, points = _lane_points(result, text)

    def ribbons(key: str, pairs: tuple[tuple[int, int], ...], width: float, color: str) -> Ribbons:
        ends = np.array([[*left[r], *right[c]] for r, c in pairs], np.float32).reshape(-1, 4)
        return Ribbons(key, text("layers", key), ends, np.full(len(pairs), width, np.float32), (color,))

    layers: list[Layer] = [ribbons("pairs", result.taken.picks, 7, PAIR)]
    if result.controls.rule != "optimal":
        layers.append(ribbons("best", result.optimal.picks, 2, "truth"))
    if result.picked:
        layers.append(ribbons("mine", result.picked, 3, "recompute"))
    return Pane("lanes", "", (*layers, *points), *LANES, note=text("lanes_note"))


def _solver(result: Result, text: Text) -> Opened:
    rows, columns = _heads(result)
    left, right, points = _lane_points(result, text)
    count = (len(rows), len(columns))
    pairs, ways = np.full((len(result.steps), *count, 4), np.nan, np.float32), None
    ways = pairs.copy()
    marks = np.zeros((len(result.steps), *count), np.uint8)
    ends = np.concatenate(
        [np.repeat(left[:, None], count[1], 1), np.repeat(right[None], count[0], 0)], axis=2
    )  # (Q, G, 4)
    for t, step in enumerate(result.steps):
        for other, searcher in enumerate(step.way_from if step.kind == "scan" else ()):
            if searcher >= 0:
                cell = (searcher, other) if step.searchers == "rows" else (other, searcher)
                ways[t][cell] = ends[cell]
                marks[t][cell] = 4
        if step.kind == "scan":
            searcher = int(step.way_from[step.reached])
            marks[t][(searcher, step.reached) if step.searchers == "rows" else (step.reached, searcher)] = 3
        pairs[t, step.row_idx, step.col_idx] = ends[step.row_idx, step.col_idx]
        marks[t, step.row_idx, step.col_idx] = 1
    flat = (len(result.steps), count[0] * count[1], 4)
    n = flat[1]
    layers: tuple[Layer, ...] = (
        Ribbons("ways", text("layers", "ways"), ways.reshape(flat), np.full(n, 1.5, np.float32), ("neutral",)),
        Ribbons("pairs", text("layers", "pairs"), pairs.reshape(flat), np.full(n, 7, np.float32), (PAIR,)),
        *points,
    )
    main = Pane("lanes", "", layers, *LANES, note=text("solver_note"))
    captions = tuple(_event(result, k, text) for k in range(len(result.steps)))
    names = tuple(text("events", step.kind) for step in result.steps)
    last = len(result.steps) - 1
    opened = next((k for k, step in enumerate(result.steps) if step.removed), last)  # where a pair is undone
    return [main, _slack_pane(result, marks, text)], last + 1, captions, names, opened


def _slack_pane(result: Result, marks: np.ndarray, text: Text) -> Pane:
    rows, columns = _heads(result)
    slack = [step.slack for step in result.steps]
    top = max((float(np.nanmax(s)) for s in slack if np.isfinite(s).any()), default=0.0)
    shades = np.stack(
        [np.nan_to_num(np.clip(s * (255 / top if top else 0.0), 0, 255), nan=0.0).astype(np.uint8) for s in slack]
    )
    number = cell_number(result, "total")
    layer = Matrix(
        "slack",
        text("matrix", "slack"),
        shades,
        tuple(_texts(s) for s in slack),
        rows,
        columns,
        text("matrix", "query"),
        text("matrix", "target"),
        receipts=tuple(_least(result, k) for k in range(len(slack))),
        faces=(Face("total", text("matrix", "total"), _shade(result.cost), (_texts(result.cost),), (number,)),),
        marks=marks,
        mark_names=(text("matrix", "pair"), "", text("matrix", "reached"), text("matrix", "way")),
        row_values=tuple(_texts(step.row_potential) for step in result.steps),
        column_values=tuple(_texts(step.col_potential) for step in result.steps),
    )
    return Pane("slack", text("matrix", "slack_title"), (layer,), place="side", note=text("matrix", "slack_note"))


def _least(result: Result, k: int) -> Number:
    from demos.perception.detr_matching_numbers import solver_numbers

    return next(n for n in solver_numbers(result.steps[k]) if n.key == "least_slack")


def _event(result: Result, k: int, text: Text) -> str:
    """One sentence a step."""
    step = result.steps[k]
    if step.kind == "start":
        return text("events", "say_start")
    by_rows = step.searchers == "rows"
    mine, theirs = (query_name, target_name) if by_rows else (target_name, query_name)
    root, reached = mine(result, step.root), theirs(result, step.reached)
    if step.kind == "augment":
        if not step.removed:
            return text("events", "say_pair", root=root, reached=reached)
        gone = ", ".join(f"{query_name(result, r)}–{target_name(result, c)}" for r, c in step.removed)
        return text("events", "say_turn", root=root, reached=reached, gone=gone)
    searcher, way = mine(result, step.searcher), format_value(step.distance)
    taken = bool((step.col_idx == step.reached).any() if by_rows else (step.row_idx == step.reached).any())
    key = "say_taken" if taken else "say_free"
    return text("events", key, root=root, searcher=searcher, reached=reached, way=way)


# -- the loss, layer by layer ----------------------------------------------------------------------------------------------------


def _loss(result: Result, names: tuple[str, ...], text: Text) -> Opened:
    assert result.loss is not None
    layers, p = result.loss.layers, result.problem.predictions
    height, width = result.problem.size
    count, queries = len(layers), len(p.ids)
    boxes, goals = _pixels(result, p.boxes), _pixels(result, result.problem.truth.boxes)
    matched, spare = boxes.copy(), boxes.copy()
    ends = np.full((count, queries, 4), np.nan, np.float32)
    for k, layer in enumerate(layers):
        target = layer.target_of_query[0].numpy()
        matched[k, target < 0] = np.nan
        spare[k, target >= 0] = np.nan
        pairs = tuple((r, int(g)) for r, g in enumerate(target) if g >= 0)
        ends[k, [r for r, _ in pairs]] = _ends(boxes[k], goals, pairs)
    labels = tuple(query_name(result, r) for r in range(queries))
    drawn: tuple[Layer, ...] = (
        _photo(result, text),
        Boxes("spare", text("layers", "spare"), spare, (), ("neutral",), dashed=True),
        _truth_layer(result, names, text),
        Boxes(
            "queries",
            text("layers", "queries"),
            matched,
            labels,
            ("prediction",),
            dashed=True,
            halo=True,
            names_at="bottom",
        ),
        Ribbons("pairs", text("layers", "pairs"), ends, np.full(queries, 5, np.float32), (PAIR,)),
    )
    main = Pane("picture", "", drawn, width, height)
    steps = tuple(text("layer_step", k=str(k + 1)) for k in range(count))
    captions = tuple(_layer_caption(result, k, text) for k in range(count))
    return [main, losses_pane(result, text), box_losses_pane(result, text)], count, captions, steps, count - 1


def _layer_caption(result: Result, k: int, text: Text) -> str:
    if not k:
        return text("captions", "first_layer")
    return text("captions", "flips", count=str(result.layers[k - 1].count), layer=str(k + 1))


# -- duplicates ------------------------------------------------------------------------------------------------------------------


def _suppression(result: Result, names: tuple[str, ...], text: Text) -> Opened:
    s = result.suppressed
    assert s is not None
    height, width = result.problem.size
    steps, boxes = s.steps, s.detections.boxes_xyxy.astype(np.float32)
    shown = np.repeat(boxes[None], len(steps), 0)
    waiting, kept, removed, now = (shown.copy() for _ in range(4))
    for t, step in enumerate(steps):
        is_kept = np.zeros(len(boxes), bool)
        is_kept[step.kept] = True
        is_removed = step.suppressed_by >= 0
        waiting[t, is_kept | is_removed | (s.detections.scores <= 0.05)] = np.nan
        kept[t, ~is_kept] = np.nan
        removed[t, ~is_removed] = np.nan
        now[t, np.arange(len(boxes)) != step.box] = np.nan
    labels = tuple(
        f"{query_name(result, int(q))} {score:.2f}"
        for q, score in zip(s.detections.query_idx, s.detections.scores, strict=True)
    )
    drawn: tuple[Layer, ...] = (
        _photo(result, text),
        Boxes("waiting", text("layers", "waiting"), waiting, (), ("neutral",), dashed=True),
        _truth_layer(result, names, text),
        Boxes(
            "removed", text("layers", "removed"), removed, labels, ("error",), dashed=True, halo=True, names_at="bottom"
        ),
        Boxes("kept", text("layers", "kept"), kept, labels, ("prediction",), halo=True, names_at="bottom"),
        Boxes("now", text("layers", "now"), now, (), ("recompute",), halo=True),
    )
    captions = tuple(_suppression_caption(result, k, text) for k in range(len(steps)))
    main = Pane("picture", "", drawn, width, height)
    return (
        [main, objects_pane(result, text), detections_pane(result, names, text)],
        len(steps),
        captions,
        (),
        len(steps) - 1,
    )


def _suppression_caption(result: Result, k: int, text: Text) -> str:
    s = result.suppressed
    assert s is not None
    step = s.steps[k]
    if not k:
        return text("captions", "nms_start")
    name = query_name(result, int(s.detections.query_idx[step.box]))
    if step.keeper < 0:
        return text("captions", "nms_kept", query=name)
    keeper = query_name(result, int(s.detections.query_idx[step.keeper]))
    return text("captions", "nms_removed", query=name, keeper=keeper, iou=format_value(step.iou))


# -- attention -------------------------------------------------------------------------------------------------------------------


def _attention(result: Result, names: tuple[str, ...], text: Text) -> Opened:
    looks = result.looks
    assert looks is not None
    height, width = result.problem.size
    count, rows, columns = looks.maps.shape
    side = 4 * max(rows, columns)
    largest = looks.maps.max(axis=(1, 2), keepdims=True)
    scaled = np.stack([cv2.resize(m, (side, side), interpolation=cv2.INTER_NEAREST) for m in looks.maps / largest])
    ramp = np.concatenate([magnitude_colors(256), np.linspace(40, 235, 256)[:, None]], axis=1).astype(np.uint8)
    keys = ((text("attention", "least"), "#00224E", 0), (text("attention", "most"), "#FEE838", 0))
    view = result.controls.view
    heat = Labels(
        "heat",
        text("attention", view),
        (scaled * 255).astype(np.uint8),
        (View("heat", text("attention", view), ramp, legend=keys),),
        opacity=0.75,
    )
    layers: list[Layer] = [_photo(result, text), heat]
    if looks.queries:
        boxes = _pixels(result, result.problem.predictions.boxes[-1])[list(looks.queries)]
        each = np.full((count, count, 4), np.nan, np.float32)
        each[np.arange(count), np.arange(count)] = boxes
        labels = tuple(
            f"{query_name(result, q)} {names[int(k)]} {score:.2f}"
            for q, k, score in zip(looks.queries, looks.labels, looks.scores, strict=True)
        )
        layers.append(
            Boxes("queries", text("layers", "queries"), each, labels, ("#FFFFFF",), halo=True, names_at="bottom")
        )
        step_names = labels
        captions = tuple(text("captions", "look_query", query=query_name(result, q)) for q in looks.queries)
        first = 0
    else:
        y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
        cell = np.array([width / columns, height / rows] * 2)
        places = (np.stack([x, y, x + 1, y + 1], 1) * cell).astype(np.float32)
        layers.append(Boxes("places", text("layers", "place"), places, width=0.0, link="place"))
        step_names = tuple(text("attention", "place", x=str(a + 1), y=str(b + 1)) for b, a in zip(y, x, strict=True))
        captions = (text("captions", "look_row" if view == "encoder_row" else "look_column"),)
        first = _busiest(result, rows, columns)
    main = Pane("picture", "", tuple(layers), width, height, note=text("attention", "note"))
    return [main], count, captions, step_names, first


def _busiest(result: Result, rows: int, columns: int) -> int:
    """The place in the middle of the first object: where there is something to look at."""
    boxes = result.problem.truth.boxes
    x, y = (boxes[0, 0], boxes[0, 1]) if len(boxes) else (0.5, 0.5)
    return min(rows - 1, int(y * rows)) * columns + min(columns - 1, int(x * columns))
