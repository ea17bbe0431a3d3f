"""Every number says how it came about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from demos.generative.score_langevin import DEMO, run
from demos.generative.score_langevin_numbers import share_number, walk_numbers, weight_number
from tests.demos.test_contract import evaluate

START = DEMO.presets["start"]


def by_key(numbers):
    return {(n.key, n.item): n for n in numbers}


@pytest.mark.parametrize("convention", ["paper", "repository"])
def test_formulas_give_the_numbers_at_every_step(convention: str) -> None:
    result = run(replace(START, convention=convention, steps_each=10, final_denoise=True))
    for k, step in enumerate(walk_numbers(result)):
        for n in step:
            if n.operands:
                assert evaluate(n.filled) == pytest.approx(n.value, rel=1e-4, abs=1e-9), (k, n.key)
        found = by_key(step)
        assert found["drift", ""].value == result.annealed.drifts[k]
        assert found["noise", ""].value == result.annealed.noises[k]
        assert found["level", ""].value == result.annealed.sigmas[k]
    assert found["drift", ""].value == 1.0  # the denoising


def test_shares_are_the_walks_and_add_up() -> None:
    result = run(replace(START, source="three_modes", steps_each=10))
    for walk in ("plain", "annealed"):
        shares = [share_number(result, walk, 5, g).value for g in range(3)]
        assert sum(shares) == pytest.approx(1)
        assert shares == getattr(result, walk).shares[5].tolist()
    assert [weight_number(result, g).value for g in range(3)] == pytest.approx([0.5, 0.3, 0.2])


def test_bias_is_law_minus_weight_and_chance_is_told() -> None:
    result = run(START)
    found = by_key(walk_numbers(result)[-1])
    assert result.annealed_law is not None
    assert found["law", "annealed"].value == float(result.annealed_law.shares[1000, 0])
    assert found["bias", ""].value == pytest.approx(found["law", "annealed"].value - 0.8)
    assert found["bias", ""].value < -0.015
    share = found["share", "annealed"].value
    assert found["share_error", ""].value == pytest.approx((share * (1 - share) / 400) ** 0.5)
