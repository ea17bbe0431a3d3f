"""Result -> numbers with formulas and operands; every value is a field of a record in core."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.anchor_matching import anchor_assignment, suppression_steps
from core.perception.assignment import (
    AssignmentStep,
    Matching,
    assignment_steps,
    cheapest_row_matching,
    greedy_matching,
    optimal_matching,
    score_matching,
)
from core.perception.attention_maps import query_attention
from core.perception.average_precision import average_precision
from core.perception.detr_matching import MatchResult, match, matching_instability, postprocess
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.perception.detr_loss import LayerLoss
    from demos.perception.detr_matching import Looks, Result, Suppressed

LISTED = 200  # operands written out


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step of the lens."""
    if result.steps:
        best = whole(result, "optimal")
        return tuple((best, *solver_numbers(step)) for step in result.steps)
    if result.loss is not None:
        total = [float(layer.total) for layer in result.loss.layers]
        from core.perception.detr_loss import set_loss

        everything = Number(
            "total_loss",
            float(result.loss.total),
            set_loss,
            "sum(layers)",
            {"layers": total},
            convention=convention(result),
        )
        return tuple((everything, *layer_numbers(result, k)) for k in range(len(total)))
    if result.suppressed is not None:
        return tuple(
            (*suppressed_numbers(result), *step_numbers(result.suppressed, k))
            for k in range(len(result.suppressed.steps))
        )
    if result.looks is not None:
        return tuple(look_numbers(result, result.looks, k) for k in range(len(result.looks.maps)))
    return ((*match_numbers(result),),)


def convention(result: Result) -> str:
    return "" if result.match is None else result.match.kind


def query_name(result: Result, row: int) -> str:
    """q3; n0 stands for what a visitor added."""
    return f"q{result.problem.predictions.ids[row]}"


def target_name(result: Result, column: int) -> str:
    """A, B, …: letters, so that nobody takes an object for a query."""
    number = result.problem.truth.ids[column]
    return number if number.startswith("n") else chr(65 + int(number) % 26)


def pair_name(result: Result, row: int, column: int) -> str:
    return f"{query_name(result, row)} → {target_name(result, column)}"


# -- matching --------------------------------------------------------------------------------------------------------------------


def costs_of(result: Result, matching: Matching) -> dict[str, Any]:
    """Operands of a sum of costs."""
    return {"costs": [float(v) for v in result.cost[matching.row_idx, matching.col_idx]]}


def whole(result: Result, rule: str) -> Number:
    """What one rule's pairs cost together."""
    matching, source = {
        "optimal": (result.optimal, optimal_matching),
        "greedy": (result.greedy, greedy_matching),
        "cheapest": (result.cheapest, cheapest_row_matching),
    }[rule]
    return Number(
        f"{rule}_cost",
        matching.total,
        source,
        "sum(costs)",
        costs_of(result, matching),
        convention=convention(result),
        gauge=False,
    )


def match_numbers(result: Result) -> tuple[Number, ...]:
    """The three rules, what the greedy one wastes, and what the visitor's own pairs and drags did."""
    best, greedy, score = result.optimal, result.greedy, result.greedy_score
    operands = {"greedy": greedy.total, "optimum": best.total}
    numbers = [
        whole(result, "optimal"),
        whole(result, "greedy"),
        whole(result, "cheapest"),
        Number(
            "greedy_excess",
            score.excess,
            score_matching,
            "greedy − optimum",
            _if_defined(score.excess, operands),
            gauge=False,
        ),
    ]
    if result.dragged is not None:
        changed = [int(v) for v in result.dragged.changed]
        numbers.append(
            Number("flips", result.dragged.count, matching_instability, "sum(changed)", {"changed": changed})
        )
    if result.puzzle is not None:
        mine, excess = result.puzzle.matching.total, result.puzzle.excess
        numbers += [
            Number("puzzle_cost", mine, score_matching, "sum(costs)", costs_of(result, result.puzzle.matching)),
            Number(
                "puzzle_excess",
                excess,
                score_matching,
                "mine − optimum",
                _if_defined(excess, {"mine": mine, "optimum": result.puzzle.optimum}),
            ),
            Number(
                "puzzle_missing",
                result.puzzle.missing,
                score_matching,
                "min(Q, G) − chosen",
                {"Q": result.cost.shape[0], "G": result.cost.shape[1], "chosen": len(result.picked)},
            ),
        ]
    return tuple(numbers)


def _if_defined(value: float, operands: dict[str, Any]) -> dict[str, Any]:
    """No operands beside a value that has none."""
    return {} if math.isnan(value) else operands


def cell_number(result: Result, face: str) -> Number:
    """What vouches for a face of the cost matrix: its first matched cell, or its first cell."""
    pairs = result.optimal.picks or (((0, 0),) if result.cost.size else ())
    if (
        not pairs or result.match is None
    ):  # costs that were given: what is computed from them vouches for nothing but itself
        return whole(result, "optimal")
    m, (row, column) = result.match, pairs[0]
    item = pair_name(result, row, column)
    if face == "total":
        parts = {
            "w_class": m.weights[0],
            "class": float(m.class_cost[row, column]),
            "w_L1": m.weights[1],
            "L1": float(m.bbox_cost[row, column]),
            "w_GIoU": m.weights[2],
            "GIoU": float(m.giou_cost[row, column]),
        }
        formula = "w_class · class + w_L1 · L1 + w_GIoU · GIoU"
        return Number(
            "total_cost", float(m.total_cost[row, column]), match, formula, parts, convention=m.kind, item=item
        )
    return part_number(m, row, column, face, item)


def part_number(m: MatchResult, row: int, column: int, part: str, item: str) -> Number:
    """One part of one cell."""
    if part == "class":
        p = float(m.probabilities[row, m.target_labels[column]])
        value = float(m.class_cost[row, column])
        if m.kind == "softmax":
            return Number("class_cost", value, match, "−p", {"p": p}, convention=m.kind, item=item)
        formula = "0.25 · (1 − p) · (1 − p) · (0 − log(p + 1e-8)) − 0.75 · p · p · (0 − log(1 − p + 1e-8))"
        return Number("class_cost", value, match, formula, {"p": p}, convention=m.kind, item=item)
    if part == "bbox":
        gaps = [float(v) for v in np.abs(m.pred_boxes[row] - m.target_boxes[column])]
        return Number("bbox_cost", float(m.bbox_cost[row, column]), match, "sum(gaps)", {"gaps": gaps}, item=item)
    o = m.overlap
    areas = {"I": float(o.intersection[row, column]), "U": float(o.union[row, column]), "E": float(o.hull[row, column])}
    defined = areas if areas["U"] > 0 and areas["E"] > 0 else {}
    return Number("giou_cost", float(m.giou_cost[row, column]), match, "(E − U) / E − I / U", defined, item=item)


def pair_rows(result: Result) -> tuple[tuple[str | Number, ...], ...]:
    """Every pair of the rule that is looked at, with the parts of its cost."""
    m = result.match
    rows: list[tuple[str | Number, ...]] = []
    for row, column in sorted(result.taken.picks, key=lambda pair: pair[1]):
        item = pair_name(result, row, column)
        if m is None:
            rows.append((item, f"{result.cost[row, column]:.2f}"))
            continue
        total = float(m.total_cost[row, column])
        rows.append(
            (
                item,
                *(part_number(m, row, column, part, item) for part in ("class", "bbox", "giou")),
                Number("total_cost", total, match, item=item),
            )
        )
    return tuple(rows)


# -- the solver ------------------------------------------------------------------------------------------------------------------


def solver_numbers(step: AssignmentStep) -> tuple[Number, ...]:
    """The certificate, at every step."""
    u = [float(v) for v in step.row_potential if not np.isnan(v)]
    v = [float(x) for x in step.col_potential if not np.isnan(x)]
    costs = [float(x) for x in step.cost[step.row_idx, step.col_idx]]
    slack = step.slack
    known = [float(x) for x in slack[~np.isnan(slack)]]
    least = step.least_slack if known else None
    return (
        Number("assigned_cost", step.assigned_cost, assignment_steps, "sum(costs)", {"costs": costs}),
        Number("dual_value", step.dual_value, assignment_steps, "sum(u) + sum(v)", {"u": u, "v": v}),
        Number(
            "gap",
            step.gap,
            assignment_steps,
            "assigned − dual",
            {"assigned": step.assigned_cost, "dual": step.dual_value},
        ),
        Number(
            "least_slack",
            least,
            assignment_steps,
            "min(C − u − v)" if not known or len(known) > LISTED else "min(slack)",
            {"slack": known} if 0 < len(known) <= LISTED else {},
        ),
        Number("entered", step.entered, assignment_steps, "pairs", {"pairs": len(costs)}),
    )


# -- the loss --------------------------------------------------------------------------------------------------------------------


def layer_numbers(result: Result, k: int) -> tuple[Number, ...]:
    """The parts of one decoder layer's loss."""
    from core.perception.detr_loss import set_loss

    assert result.loss is not None
    layer, w, kind = result.loss.layers[k], result.loss.weights, result.loss.kind
    nll = [float(v) for v in layer.query_class[0]]
    weight = [float(v) for v in layer.class_weight[0]]
    parts = {
        "w_class": w[0],
        "L_class": float(layer.loss_class),
        "w_L1": w[1],
        "L_L1": float(layer.loss_bbox),
        "w_GIoU": w[2],
        "L_GIoU": float(layer.loss_giou),
    }
    shares = [float(v) for v in layer.query_class_share[0]]
    empty = [s for s, target in zip(shares, layer.target_of_query[0].tolist(), strict=True) if target < 0]
    divisor = float(layer.class_normalizer)
    changed = result.layers[k - 1] if k else None
    class_formula = "dot(w, loss) / sum(w)" if kind == "softmax" else "sum(loss) / N"
    class_operands: dict[str, Any] = (
        {"w": weight, "loss": nll} if kind == "softmax" else {"loss": nll, "N": layer.num_boxes}
    )
    return (
        Number(
            "layer_loss",
            float(layer.total),
            set_loss,
            "w_class · L_class + w_L1 · L_L1 + w_GIoU · L_GIoU",
            parts,
            convention=kind,
        ),
        Number("loss_class", parts["L_class"], set_loss, class_formula, class_operands, convention=kind),
        Number("loss_bbox", parts["L_L1"], set_loss, "sum(L1) / N", _pairs(layer, "pair_l1", "L1")),
        Number("loss_giou", parts["L_GIoU"], set_loss, "sum(G) / N", _pairs(layer, "pair_giou", "G")),
        Number(
            "class_normalizer",
            divisor,
            set_loss,
            "sum(w)" if kind == "softmax" else "N",
            {"w": weight} if kind == "softmax" else {"N": layer.num_boxes},
            convention=kind,
        ),
        Number(
            "empty_share",
            layer.empty_share,
            set_loss,
            "sum(empty) / L_class",
            _if_defined(layer.empty_share, {"empty": empty, "L_class": parts["L_class"]}),
            convention=kind,
        ),
        Number(
            "layer_flips",
            changed.count if changed else None,
            matching_instability,
            "sum(changed)",
            {"changed": [int(v) for v in changed.changed]} if changed else {},
        ),
    )


def _pairs(layer: LayerLoss, field: str, symbol: str) -> dict[str, Any]:
    return {symbol: [float(v) for v in getattr(layer, field)], "N": layer.num_boxes}


def query_rows(result: Result, k: int) -> tuple[tuple[str | Number, ...], ...]:
    """One layer's class loss, query by query: what the matching saw and what the loss charges."""
    from core.perception.detr_loss import set_loss

    assert result.loss is not None
    layer = result.loss.layers[k]
    matched = layer.matches[0]
    divisor = float(layer.class_normalizer)
    rows: list[tuple[str | Number, ...]] = []
    for row, target in enumerate(layer.target_of_query[0].tolist()):
        item = query_name(result, row)
        nll, weight, share = (
            float(values[0, row]) for values in (layer.query_class, layer.class_weight, layer.query_class_share)
        )
        parts = {"weight": weight, "loss": nll, "divisor": divisor}
        formula, operands = _charged(layer, row)
        rows.append(
            (
                f"{item} → {target_name(result, target) if target >= 0 else '∅'}",
                part_number(matched, row, target, "class", item) if target >= 0 else "–",
                Number("query_class", nll, set_loss, formula, operands, convention=matched.kind, item=item),
                Number("query_share", share, set_loss, "weight · loss / divisor", parts, item=item),
            )
        )
    return tuple(rows)


def box_rows(result: Result, k: int) -> tuple[tuple[str | Number, ...], ...]:
    """One layer's box losses, pair by pair."""
    from core.perception.detr_loss import set_loss

    assert result.loss is not None
    layer = result.loss.layers[k]
    rows: list[tuple[str | Number, ...]] = []
    for row, target in enumerate(layer.target_of_query[0].tolist()):
        if target >= 0:
            item = pair_name(result, row, target)
            values = ("query_l1", layer.query_l1), ("query_giou", layer.query_giou)
            rows.append((item, *(Number(key, float(v[0, row]), set_loss, item=item) for key, v in values)))
    return tuple(rows)


def _charged(layer: LayerLoss, row: int) -> tuple[str, dict[str, Any]]:
    """−log p of the class that the query should say; the focal loss has K terms and is not written out."""
    matched = layer.matches[0]
    if matched.kind != "softmax":
        return "focal", {}
    return "0 − log(p)", {"p": float(matched.probabilities[row, int(layer.target_classes[0, row])])}


# -- duplicates ------------------------------------------------------------------------------------------------------------------


def suppressed_numbers(result: Result) -> tuple[Number, ...]:
    s = result.suppressed
    assert s is not None
    assert result.match is not None
    positives = [int(v) for v in s.assignment.positives]
    shape = {"Q": result.cost.shape[0], "G": result.cost.shape[1]}

    def counts(which: str, k: int) -> tuple[Number, Number]:
        """Objects found, and what else was said."""
        hits = [int(c.hit.sum()) for c in s.precision[k].classes]
        said = [len(c.hit) for c in s.precision[k].classes]
        return (
            Number(f"found_{which}", sum(hits), average_precision, "sum(hits)", {"hits": hits}),
            Number(
                f"false_{which}",
                sum(said) - sum(hits),
                average_precision,
                "sum(said) − sum(hits)",
                {"said": said, "hits": hits},
            ),
        )

    return (
        Number("matched", len(result.match.query_idx), match, "min(Q, G)", shape),
        Number("positives", sum(positives), anchor_assignment, "sum(positives)", {"positives": positives}),
        *counts("all", 0),
        *counts("kept", 1),
    )


def step_numbers(s: Suppressed, k: int) -> tuple[Number, ...]:
    step = s.steps[k]
    removed = int((step.suppressed_by >= 0).sum())
    seen = int(step.seen.sum())
    return (
        Number("kept", len(step.kept), suppression_steps, "seen − removed", {"seen": seen, "removed": removed}),
        Number("keeper_iou", step.iou if k else None, suppression_steps, "I / U"),
    )


def object_rows(result: Result) -> tuple[tuple[str | Number, ...], ...]:
    """How many predictions are told to find each object."""
    s = result.suppressed
    assert s is not None
    return tuple(
        (
            target_name(result, g),
            Number("object_positives", int(s.assignment.positives[g]), anchor_assignment, item=target_name(result, g)),
            "1" if g in result.optimal.col_idx else "0",
        )
        for g in range(result.cost.shape[1])
    )


# -- attention -------------------------------------------------------------------------------------------------------------------


def look_numbers(result: Result, looks: Looks, k: int) -> tuple[Number, ...]:
    from core.perception.tiny_detr import attention_views

    source = query_attention if looks.queries else attention_views
    values = [float(v) for v in looks.maps[k].ravel()]
    operands = {"A": values} if len(looks.maps) <= 12 else {}  # 144 places times 144 values would be too much to send
    view = result.controls.view
    numbers = (
        Number("attention_sum", math.fsum(values), source, "sum(A)", operands, convention=view),
        Number("attention_peak", max(values), source, "max(A)", operands, convention=view),
    )
    if not looks.queries:
        return numbers
    return (
        Number("kept_score", float(looks.scores[k]), postprocess, "max(p)", _said(result, looks.queries[k])),
        *numbers,
    )


def _said(result: Result, row: int) -> dict[str, Any]:
    """Class probabilities of a query without ∅, where the matching computed the same softmax."""
    m = result.match
    return {"p": [float(v) for v in m.probabilities[row, :-1]]} if m is not None and m.kind == "softmax" else {}
