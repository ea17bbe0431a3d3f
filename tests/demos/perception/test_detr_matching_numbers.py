"""demos.perception.detr_matching_numbers: each number is a field of core's records, and its formula gives it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from demos.kit.numbers import Number
from demos.perception.detr_matching import DEMO, Controls, run
from demos.perception.detr_matching_numbers import (
    cell_number,
    numbers_of,
    object_rows,
    pair_rows,
    query_name,
    query_rows,
    target_name,
)
from tests.demos.test_contract import evaluate

NOISY = Controls(predictor="noisy", noise=0.4, label_flips=0.5)


def by_key(controls: Controls, step: int = -1) -> dict[str, Number]:
    return {n.key: n for n in numbers_of(run(controls))[step]}


@pytest.mark.parametrize("kind", ["softmax", "sigmoid_focal"])
@pytest.mark.parametrize("lens", ["match", "solver", "loss", "nms"])
def test_formulas_give_their_numbers_for_either_cost(lens: str, kind: str) -> None:
    result = run(replace(NOISY, lens=lens, kind=kind, pairs="0.0_1.1_2.2_3.3"))
    numbers = [n for step in numbers_of(result) for n in step]
    numbers += [cell_number(result, face) for face in ("total", "class", "bbox", "giou")]
    numbers += [cell for row in pair_rows(result) for cell in row if isinstance(cell, Number)]
    if result.loss is not None:
        numbers += [cell for row in query_rows(result, 0) for cell in row if isinstance(cell, Number)]
    checked = 0
    for n in numbers:
        if n.operands and n.value is not None and not math.isnan(n.value):
            assert math.isclose(evaluate(n.filled), n.value, rel_tol=2e-4, abs_tol=2e-5), (n.key, n.filled, n.value)
            checked += 1
    assert checked >= 6


def test_objects_have_letters_and_queries_numbers() -> None:
    result = run(Controls(boxes="tn0.0.1.1.900.900_pn1.0.1.1.900.900"))
    assert [target_name(result, g) for g in range(result.cost.shape[1])] == ["A", "B", "C", "D", "n0"]
    assert query_name(result, 0) == "q0"
    assert query_name(result, result.cost.shape[0] - 1) == "qn1"


def test_what_is_undefined_has_no_operands() -> None:
    few = by_key(replace(DEMO.presets["greedy"], pairs="0.1"))
    assert math.isnan(float(few["puzzle_excess"].value or 0))
    assert not few["puzzle_excess"].operands
    first = by_key(DEMO.presets["solver"], 0)
    assert first["least_slack"].value is None
    assert by_key(DEMO.presets["loss"], 0)["layer_flips"].value is None
    assert by_key(DEMO.presets["loss"], 1)["layer_flips"].value is not None


def test_numbers_of_the_puzzle_and_of_a_drag_come_only_when_there_is_one() -> None:
    assert "puzzle_cost" not in by_key(Controls())
    assert "flips" not in by_key(Controls())
    both = by_key(Controls(pairs="0.0", boxes="t0.0.100.100.2000.2000"))
    assert {"puzzle_cost", "puzzle_missing", "flips"} <= set(both)


def test_nothing_to_match_is_no_error() -> None:
    for lens in ("match", "solver", "loss", "nms"):
        for n in by_key(Controls(lens=lens, predictor="drawn")).values():
            assert n.value is None or math.isnan(n.value) or math.isfinite(n.value)


def test_objects_count_their_boxes() -> None:
    rows = object_rows(run(DEMO.presets["duplicates"]))
    assert [row[0] for row in rows] == ["A", "B", "C", "D"]
    assert [row[1].value for row in rows if isinstance(row[1], Number)] == [2, 2, 2, 2]
    assert {row[2] for row in rows} == {"1"}
