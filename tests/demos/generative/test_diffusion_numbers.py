"""Every number says how it came about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demos.generative.diffusion_inputs import process_of
from demos.generative.diffusion_numbers import bundle_numbers, group_item, numbers_of, scale_numbers, share_numbers
from demos.generative.diffusion_trajectories import DEMO, run
from demos.kit.numbers import Number
from tests.demos.test_contract import evaluate

START = DEMO.presets["start"]


def by_key(numbers: tuple[Number, ...]) -> dict[str, Number]:
    return {n.key: n for n in numbers}


@pytest.mark.parametrize("name", ["vp", "subvp", "ve"])
def test_scales_follow_from_their_formulas(name: str) -> None:
    process = process_of(replace(START, process=name))
    for t in (1e-5, 0.01, 0.5, 1.0):
        alpha, sigma = scale_numbers(process, t)
        assert evaluate(alpha.filled) == pytest.approx(process.alpha(t), rel=1e-4)
        if sigma.operands:
            assert evaluate(sigma.filled) == pytest.approx(process.sigma(t), rel=1e-3)
        assert (alpha.value, sigma.value) == (process.alpha(t), process.sigma(t))


def test_lanes_numbers_are_the_records() -> None:
    result = run(START)
    steps = [by_key(step) for step in numbers_of(result)]
    assert len(steps) == 51
    for key in ("between", "reverse", "flow"):
        assert [step[key].value for step in steps] == getattr(result.agreement, key).tolist()
    assert evaluate(steps[0]["critical"].filled) == pytest.approx(result.agreement.critical_two, rel=1e-4)
    assert evaluate(steps[0]["same_end"].filled) == pytest.approx(result.lanes.same_end)
    assert steps[-1]["path_distance"].value == float(result.lanes.path_distance[-1])


def test_the_bundles_numbers_are_its_own() -> None:
    result = run(DEMO.presets["point"])
    last = by_key(numbers_of(result)[-1])
    assert {"same_end", "path_distance"}.isdisjoint(last)
    assert result.bundle is not None
    assert last["return_error"].value == result.bundle.return_error < 1e-4
    law, share = bundle_numbers(result, 0)
    assert evaluate(share.filled) == pytest.approx(share.value)
    assert law.value == float(result.bundle.law.weights[0, 0])


def test_shares_add_up_and_have_a_place() -> None:
    for source, items in (("two_modes", ["mode:1", "mode:2"]), ("ring", [f"sector_{k}" for k in range(4)])):
        result = run(replace(START, source=source))
        rows = [share_numbers(result, g) for g in range(result.shares.groups)]
        assert [group_item(result, g) for g in range(len(rows))] == items
        assert sum(row[0].value for row in rows) == pytest.approx(1)
        assert [sum(row[k].value for row in rows) for k in (1, 2, 3)] == [400] * 3
