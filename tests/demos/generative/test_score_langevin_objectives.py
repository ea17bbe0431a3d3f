"""One constant for every model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demos.generative.score_langevin import DEMO
from demos.generative.score_langevin_objectives import constant_numbers, row_numbers, run_objectives
from tests.demos.test_contract import evaluate

START = DEMO.presets["objectives"]


@pytest.mark.parametrize("source", ["toy", "ring"])
def test_differences_are_the_constants_up_to_chance(source: str) -> None:
    result = run_objectives(replace(START, source=source))
    for row in result.rows.values():
        for gap, exact in (
            (row.denoising_gap, result.constants.denoising_gap),
            (row.implicit_gap, result.constants.implicit_gap),
        ):
            assert abs(gap.value - exact) < 4.5 * gap.standard_error + 1e-6
    assert result.rows["true"].explicit.value == pytest.approx(0, abs=1e-20)


def test_the_network_gets_a_row_if_it_is_asked_for() -> None:
    c = replace(START, score="learned", updates=200, levels=3, samples=1000)
    result = run_objectives(c)
    assert list(result.rows) == ["true", "scaled", "clean", "gaussian", "zero", "learned"]
    assert 0 < result.rows["learned"].explicit.value < result.rows["zero"].explicit.value
    assert "learned" not in run_objectives(START).rows


def test_numbers_are_the_records() -> None:
    result = run_objectives(START)
    for number in constant_numbers(result)[1:]:
        assert evaluate(number.filled) == pytest.approx(number.value, rel=1e-4)
    keys = [n.key for n in row_numbers(result, "zero")]
    assert keys[::2] == ["explicit", "denoising_gap_error", "implicit_gap_error", "sliced_gap_error"]
    assert row_numbers(result, "zero")[1].value == result.rows["zero"].denoising_gap.value
    assert {n.item for n in row_numbers(result, "zero")} == {"model_zero"}


def test_unit_slices_leave_their_line() -> None:
    result = run_objectives(replace(START, directions="sphere", slices=4))
    row = result.rows["gaussian"]
    assert result.scale == 0.5
    assert abs(row.sliced_gap.value - result.constants.implicit_gap) > 6 * row.sliced_gap.standard_error
