"""Every number says how it came about."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from demos.kit.numbers import Number
from demos.systems.flash_attention import DEMO, run
from demos.systems.flash_attention_numbers import numbers_of, operand_numbers, paper_numbers
from tests.demos.test_contract import evaluate

START = DEMO.presets["start"]


def by_key(numbers: tuple[Number, ...]) -> dict[str, Number]:
    return {n.key: n for n in numbers}


def test_odometers_run_and_end_at_the_totals() -> None:
    result = run(replace(START, tokens=18, block_q=4, block_k=5, causal=True))
    steps = [by_key(step) for step in numbers_of(result)]
    for key in ("flash_bytes", "standard_bytes", "ideal_bytes"):
        values = [step[key].value for step in steps]
        assert values == sorted(values), key
    assert steps[-1]["flash_bytes"].value == result.total.total
    assert steps[-1]["standard_bytes"].value == result.standard.total
    assert all(step["ideal_bytes"].value <= step["flash_bytes"].value for step in steps)


@pytest.mark.parametrize("order", ["fa1", "fa2"])
@pytest.mark.parametrize("threshold", [0.0, 3.0])
def test_registers_follow_from_their_operands(order, threshold: float) -> None:
    if order == "fa1" and threshold:
        return
    result = run(replace(START, order=order, spread=3.0, threshold=threshold, row=17))
    seen = 0
    for step, line in enumerate(numbers_of(result)):
        for key in ("row_max", "row_sum", "rescale"):
            n = by_key(line)[key]
            if not n.operands:
                continue
            assert evaluate(n.filled) == pytest.approx(n.value, rel=1e-4), (step, key, n.filled)
            seen += 1
    assert seen > 3 * len(result.story)


def test_a_query_has_nothing_before_its_first_tile() -> None:
    result = run(replace(START, row=31))
    first = by_key(numbers_of(result)[0])
    assert all(math.isnan(first[key].value) for key in ("row_max", "row_sum", "rescale"))


def test_what_is_broken_is_counted_and_what_is_reordered_compared() -> None:
    assert by_key(run(DEMO.presets["overflow"]).numbers[0])["not_finite"].value == 112
    assert by_key(run(DEMO.presets["order"]).numbers[0])["equal_share"].formula == "same / all"
    assert {"not_finite", "equal_share"}.isdisjoint(by_key(run(START).numbers[0]))


def test_backward_and_decoding_have_numbers_of_their_own() -> None:
    backward = by_key(run(replace(START, direction="backward")).numbers[-1])
    assert evaluate(backward["delta"].filled) == pytest.approx(backward["delta"].value, rel=1e-4)
    assert "sram_bytes" not in backward
    (line,) = run(replace(START, direction="decode")).numbers
    decode = by_key(line)
    assert evaluate(decode["logsumexp"].filled) == pytest.approx(decode["logsumexp"].value, rel=1e-5)
    assert decode["parts"].value == 4


def test_operands_add_up_to_the_odometers() -> None:
    result = run(START)
    names = dict.fromkeys((*result.total.operands, *result.standard.operands))
    for step in (0, 20, len(result.traffic) - 1):
        lines = [operand_numbers(result, name, step) for name in names]
        moved = by_key(numbers_of(result)[step])
        assert sum(loaded.value + stored.value for loaded, stored, _ in lines) == moved["flash_bytes"].value
        assert sum(standard.value for _, _, standard in lines) == moved["standard_bytes"].value


def test_the_papers_numbers_are_quoted_and_ours_computed() -> None:
    for _, printed, counted in paper_numbers():
        assert printed.kind == "quoted"
        assert counted is None or counted.kind == "computed"
    assert sum(counted is not None for _, _, counted in paper_numbers()) == 5
