"""demos.perception.simcc_residuals: which updates are shown, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest

from demos.perception import simcc_residuals
from demos.perception.simcc import Controls
from demos.perception.simcc_residuals import DENSITIES, SIDE, cloud_of, recorded, residual_numbers, residuals_of


def test_updates_that_are_shown() -> None:
    assert recorded(0) == (0,)
    assert recorded(50) == (0, 10, 25, 50)
    assert recorded(100) == (0, 10, 25, 50, 75, 100)
    assert recorded(200) == (0, 10, 25, 50, 75, 100, 150, 200)


def test_what_is_learned_from_is_not_what_is_measured_on() -> None:
    known, fresh = cloud_of("laplace", 3)
    assert not {tuple(row) for row in known.tolist()} & {tuple(row) for row in fresh.tolist()}


def test_densities_are_drawn_where_they_are() -> None:
    """The cloud's second hill lies to the right: −log p is less there than on the left."""
    r = residuals_of(Controls(lens="rle"))
    assert r.fields.shape == (6, SIDE, SIDE)
    side = np.linspace(-4, 4, SIDE)
    row, left, right = (int(np.argmin(np.abs(side - v))) for v in (0.6, -2.4, 2.4))
    assert r.fields[-1, row, right] < r.fields[-1, row, left] - 1
    assert r.fit.shape == (6, len(DENSITIES))
    numbers = residual_numbers(r, 5)
    assert numbers[0].value == pytest.approx(r.fit[5, 0])
    assert sum(numbers[3].operands.values()) == pytest.approx(numbers[3].value, rel=1e-5)


def test_the_networks_own_cloud_has_about_unit_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simcc_residuals, "FIGURES", 20)
    cloud_of.cache_clear()
    known, fresh = cloud_of("network", 0)
    assert len(known) + len(fresh) > 240
    assert 0.2 < float(known.std()) < 3
    cloud_of.cache_clear()
