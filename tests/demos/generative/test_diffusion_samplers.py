"""Samplers side by side: their ends, their orders, what is drawn of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demos.generative.diffusion_inputs import REACH, direction_of
from demos.generative.diffusion_plane_figures import SIDE
from demos.generative.diffusion_samplers import SamplerResult, order_number, run_numbers
from demos.generative.diffusion_trajectories import DEMO, run, show
from demos.kit.scene import Paths, Points, Table
from demos.kit.text import Text
from tests.demos.test_contract import evaluate

PRESET = DEMO.presets["samplers"]
SMALL = replace(PRESET, particles=40, source="two_modes")
EN = Text("en", DEMO.slug)
ORDERS = {"euler": 1, "heun": 2, "ddim": 1, "dpm_solver_pp_2m": 2, "euler_in_t": 1, "runge_kutta": 4}


def test_orders_are_those_of_the_books() -> None:
    result = run(PRESET)
    assert isinstance(result, SamplerResult)
    for curve in result.curves:
        assert curve.order == pytest.approx(ORDERS[curve.solver], abs=0.25)
        number = order_number(curve)
        assert evaluate(number.filled) == pytest.approx(number.value, rel=1e-4)


def test_nobody_without_noise_mixes_the_colours() -> None:
    result = run(PRESET)
    same = {run.sampler: float((run.end == result.home).double().mean()) for run in result.runs}
    assert min(same[name] for name in ("euler", "heun", "ddim", "dpm_solver_pp_2m")) > 0.9
    assert max(same[name] for name in ("exact", "euler_maruyama", "ancestral")) < 0.6


def test_the_table_is_the_runs() -> None:
    result = run(SMALL)
    u = np.array(direction_of(SMALL))
    ends = {run.sampler: run.states[-1].numpy() @ u for run in result.runs}
    for one in result.runs:
        calls, gap, error = run_numbers(one)
        assert (calls.value, gap.value) == (one.evaluations, one.gap)
        assert error.value == one.error or error.value != error.value
    assert ends["euler"] == pytest.approx(ends["ddim"], abs=1e-9)  # one method under two names
    table = next(p for p in show(result, EN).scene.panes if p.key == "race").layers[0]
    assert isinstance(table, Table)
    assert len(table.rows) == 9


def test_dots_and_curves_are_the_records() -> None:
    result = run(replace(SMALL, process="ve"))
    panes = {p.key: p for p in show(result, EN).scene.panes}
    heun = next(one for one in result.runs if one.sampler == "heun")
    dots = next(layer for layer in panes["run_heun"].layers if isinstance(layer, Points))
    scales = result.scales[[one.sampler for one in result.runs].index("heun")]
    x = heun.states[10].numpy() * scales[10]
    assert np.abs(dots.xy[10, :, 0] / SIDE * 2 * REACH - REACH - x[:, 0]).max() < REACH / SIDE + 1e-9
    line = next(layer for layer in panes["convergence"].layers if isinstance(layer, Paths))
    assert line.xy[0, :, 1] == pytest.approx(np.log10(result.curves[0].errors), rel=1e-5)
    assert line.xy[0, :, 0].tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("changed", "count", "words"),
    [({"process": "subvp"}, 7, "sub-VP"), ({"steps": 12}, 6, "20 steps"), ({"process": "ve", "steps": 12}, 9, "")],
)
def test_what_is_missing_is_said(changed: dict, count: int, words: str) -> None:
    result = run(replace(SMALL, **changed))
    assert len(result.runs) == count
    assert words in " ".join(show(result, EN).scene.notes)


def test_a_wrong_score_flattens_the_curves() -> None:
    flawed = run(replace(SMALL, error_kind="shifted", error_size=0.3))
    assert max(abs(curve.order) for curve in flawed.curves) < 0.3
