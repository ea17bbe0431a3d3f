"""Encoded samples: the budget adds up, the divergence is the exact one, pictures and tables say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demos.generative.diffusion_likelihood import PARTS, LikelihoodResult, budget_numbers
from demos.generative.diffusion_trajectories import DEMO, run, show
from demos.kit.scene import Paths, Stack, Table
from demos.kit.text import Text
from tests.demos.test_contract import evaluate

PRESET = DEMO.presets["likelihood"]
EN = Text("en", DEMO.slug)


def test_the_budget_adds_up_and_its_truth_is_the_density() -> None:
    result = run(PRESET)
    assert isinstance(result, LikelihoodResult)
    for k in range(5):
        found = budget_numbers(result, k)
        assert evaluate(found["error"].filled) == pytest.approx(found["error"].value, rel=1e-3, abs=1e-8)
        assert found["reported"].value - found["truth"].value == pytest.approx(found["error"].value)
    truth = result.source.mixture.log_prob(result.states[0]).tolist()
    assert [budget_numbers(result, k)["truth"].value for k in range(5)] == pytest.approx(truth)


def test_one_probe_spoils_more_than_everything_else() -> None:
    """What the preset's note says."""
    estimated, exact = (run(replace(PRESET, divergence=way)).budget for way in ("estimated", "exact"))
    others = sum(getattr(estimated, part).abs() for part in PARTS if part != "probes")
    assert bool((estimated.probes.abs() > 5 * others).all())
    assert not exact.probes.any()


def test_a_coarse_solver_is_seen_in_its_own_part_only() -> None:
    coarse, fine = (run(replace(PRESET, divergence="exact", tolerance=t)).budget for t in ("1e-3", "1e-8"))
    assert coarse.solver.abs().max() > 100 * fine.solver.abs().max()
    assert coarse.truncation.tolist() == fine.truncation.tolist()


def test_numbers_follow_the_chosen_sample() -> None:
    first, fourth = (run(replace(PRESET, sample=k)) for k in (1, 4))
    keys = [n.key for n in first.numbers[0]]
    assert keys == ["alpha", "sigma", "divergence", "mean", "standard_error", "reported", "truth", "error"]
    assert first.numbers[5][2].value != fourth.numbers[5][2].value
    step = first.numbers[7]
    assert evaluate(step[3].filled) == pytest.approx(step[3].value, rel=1e-4)
    assert fourth.numbers[0][5].item == "sample:4"


def test_pictures_and_tables_are_the_records() -> None:
    result = run(PRESET)
    scene = show(result, EN).scene
    panes = {p.key: p for p in scene.panes}
    (stack,) = panes["budget"].layers
    assert isinstance(stack, Stack)
    assert stack.values[1, 0] == pytest.approx(abs(float(result.budget.probes[1])), rel=1e-6)
    exact = panes["divergence"].layers[0]
    assert isinstance(exact, Paths)
    assert exact.xy[0, :, 1] == pytest.approx(result.exact.numpy().astype(np.float32))
    (table,) = panes["likelihoods"].layers
    assert isinstance(table, Table)
    assert len(table.rows) == 5
    assert scene.steps == 51
    assert len(scene.captions) == 51


def test_one_probe_has_no_standard_error() -> None:
    result = run(replace(PRESET, probes=1))
    assert result.numbers[0][4].value != result.numbers[0][4].value
    assert show(result, EN).scene.steps == 51
