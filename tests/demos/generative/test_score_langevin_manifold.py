"""Points on a curve, and a score without limit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demos.generative.score_langevin import DEMO
from demos.generative.score_langevin_manifold import DISTANCES, LEVELS, run_manifold
from tests.demos.test_contract import evaluate

START = DEMO.presets["manifold"]


@pytest.mark.parametrize("curve", ["circle", "moons", "segment"])
def test_two_one_two(curve: str) -> None:
    result = run_manifold(replace(START, curve=curve, points=120))
    filled = result.filled.value
    assert len(result.sigmas) == LEVELS == len(result.numbers)
    assert float(filled[0]) > 1.5
    assert 0.6 < float(filled.min()) < 1.1  # two moons side by side fill a little of the gap
    assert float(filled[-1]) > 1.7
    assert float(result.filled.rms_score[-1]) > 100


def test_numbers_follow_from_their_formulas() -> None:
    result = run_manifold(START)
    for k in (0, 20, LEVELS - 1):
        for n in result.numbers[k]:
            if n.operands:
                assert evaluate(n.filled) == pytest.approx(n.value, rel=1e-3), n.key
        lengths = [n.value for n in result.numbers[k] if n.key == "length"]
        assert lengths == result.card.lengths[k].tolist()
        assert len(lengths) == len(DISTANCES)
    near = {n.item: n.value for n in result.numbers[-1] if n.key == "length"}
    far = {n.item: n.value for n in result.numbers[-1] if n.key == "predicted"}
    assert near["beside:1.2"] == pytest.approx(far["beside:1.2"], rel=1e-3)
