"""spp_numbers: every number is a record's field, and its formula says why."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from core.perception.pooling_bins import rule_theorem
from core.perception.pyramid_bins import level_bins
from core.perception.window_projection import project_window
from demos.perception.spatial_pyramid_pooling import DEMO, Controls, run
from demos.perception.spp_numbers import level_numbers, numbers_of, projected_numbers, theorem_numbers
from tests.demos.test_contract import evaluate


def keys(c: Controls) -> list[str]:
    return [n.key for n in numbers_of(run(c))[0]]


def test_each_view_has_its_numbers() -> None:
    assert keys(Controls())[:2] == ["vector_length", "expected_length"]
    assert keys(DEMO.presets["box"])[:2] == ["first_cell", "last_cell"]
    assert keys(DEMO.presets["block"])[0] == "differing_bits"
    assert keys(Controls(view="averages")) == ["channels_out", "nesting_error"]
    assert keys(DEMO.presets["atrous"]) == ["all_taps", "one_tap", "mean_taps"]


def test_a_nested_bin_is_filled_in_with_the_bins_it_was_chosen_from() -> None:
    result = run(Controls(levels="1, 2, 4"))
    last = numbers_of(result)[-1][-1]
    assert last.key == "bin_maximum"
    assert len(last.operands["values"]) == 4
    assert evaluate(last.filled) == pytest.approx(last.value, rel=1e-5)


@pytest.mark.parametrize("rule", ["adaptive", "paper", "caffe"])
@pytest.mark.parametrize("size", [(10, 13), (9, 22), (6, 6)])
def test_a_levels_row_adds_up(rule, size: tuple[int, int]) -> None:
    bins = level_bins(*size, 5, rule=rule)
    for number in level_numbers(bins, "5×5"):
        assert evaluate(number.filled) == number.value, number.key


@pytest.mark.parametrize("a", range(1, 40))
def test_the_theorems_formula_counts_the_windows(a: int) -> None:
    remainder, windows = theorem_numbers(rule_theorem(a, 6), "6×6")
    assert evaluate(remainder.filled) == remainder.value
    if windows.value is None:
        assert windows.formula == ""
        assert a < 6
    else:
        assert evaluate(windows.filled) == windows.value


@pytest.mark.parametrize("rule", ["paper", "code"])
@pytest.mark.parametrize(
    "box", [(20, 40, 24, 47), (0, 0, 223, 223), (17, 0, 100, 47), (200, 3, 223, 5), (0, 0, 2, 2), (90, 80, 90, 80)]
)
def test_the_edges_of_a_window_follow_from_their_formulas(rule, box) -> None:
    projection = project_window(box, stride=16, rule=rule, map_size=(13, 13), first_centre=12.0)
    found = {(n.key, n.item): n for n in projected_numbers(projection, "")}
    assert [n.value for n in found.values()] == [
        projection.x.first, projection.x.last, projection.y.first, projection.y.last
    ]  # fmt: skip
    for number in found.values():
        assert evaluate(number.filled) == number.value, (number.key, number.filled)


def test_map_sizes_name_their_padding() -> None:
    for padding, filled in (("none", "floor((224 − 25) / 16) + 1"), ("half", "ceil(224 / 16)")):
        width = next(n for n in numbers_of(run(Controls(padding=padding)))[0] if n.key == "map_width")  # type: ignore[arg-type]
        assert width.filled == filled
        assert evaluate(filled) == width.value
        assert width.convention == f"padding_{padding}"


def test_the_networks_maps_have_its_own_strides() -> None:
    for name, cells in (("stride4", 64), ("stride8", 32), ("stride16", 16)):
        found = {n.key: n for n in numbers_of(run(Controls(features=name)))[0]}
        for key in ("map_width", "map_height"):
            assert found[key].value == cells
            assert found[key].filled == f"ceil(256 / {256 // cells})"
            assert found[key].convention == "features_network"


def test_an_empty_bin_has_no_number() -> None:
    result = run(Controls(source="coffee", levels="4", rule="caffe", width=100, height=100, padding="none"))
    assert result.inputs.size == (5, 5)
    values = [step[-1].value for step in numbers_of(result)]
    assert None in values
    assert all(v is None or math.isfinite(v) for v in values)


def test_comparisons_follow_the_window() -> None:
    c = replace(DEMO.presets["block"], kernel=3)
    found = {n.item: n.value for n in numbers_of(run(c))[0] if n.key == "comparisons_per_pixel"}
    assert found == {"spp": 8 + 24 + 48, "sppf": 24, "separable": 12}
