"""What the tab computes, in Python; the rules that all tabs share are in tests/demos/test_contract.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from demos.generative.score_langevin import DEMO, LIGHT, Controls, run
from demos.generative.score_langevin_inputs import start_of
from demos.kit.controls import ControlError, checked
from demos.kit.upload_errors import UploadError

START = DEMO.presets["start"]
ROOT = Path(__file__).parents[3]


def test_torch_waits_until_something_is_computed() -> None:
    code = "import sys; import demos.generative.score_langevin; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def test_plain_forgets_and_annealing_nearly_repairs() -> None:
    result = run(START)
    assert result.plain_law is not None
    assert result.annealed_law is not None
    assert abs(float(result.plain_law.shares[-1, 0]) - 0.5) < 0.02
    assert float(result.annealed_law.shares[-1, 0]) == pytest.approx(0.783, abs=5e-4)  # not 0.8, and not rounded to it
    assert float(result.plain.moved[-1]) < 0.02
    assert float(result.annealed.moved[-1]) > 0.3


def test_nobody_leaves_the_mode_in_which_all_are_dropped() -> None:
    """The failure of the plain walk, and what annealing makes of the same start."""
    result = run(DEMO.presets["dropped"])
    assert int(result.plain.counts[0, 1]) == int(result.plain.counts[-1, 1]) == 400
    assert 0.7 < float(result.annealed.shares[-1, 0]) < 0.85
    place = start_of(DEMO.presets["dropped"])
    assert (place.x, place.y) == pytest.approx((-4.3, -4.7), abs=0.2)
    assert DEMO.presets["dropped"].drop == LIGHT


def test_haste_is_a_bias_that_more_levels_and_steps_repair() -> None:
    """The failure that its preset is about."""
    hasty = DEMO.presets["hasty"]
    laws = [run(c).annealed_law for c in (hasty, replace(hasty, levels=10), replace(hasty, steps_each=200))]
    shares = [float(law.shares[-1, 0]) for law in laws if law is not None]
    assert shares[0] == pytest.approx(0.60, abs=0.005)
    assert shares[0] < min(shares[1:]) < 0.8


def test_too_long_a_step_loses_the_particles() -> None:
    result = run(replace(START, sigma_min=-1.0, step_size=-0.5, steps_each=20))
    assert result.annealed.lost == 400
    assert result.annealed_law is None
    assert "ran away" in DEMO.show(result, DEMO.text("en")).scene.notes[0]


@pytest.mark.parametrize("lens", ["walks", "net"])
def test_a_picture_must_be_there(lens: str) -> None:
    with pytest.raises(UploadError) as caught:
        run(replace(START, lens=lens, source="photo"))
    assert caught.value.code == "diffusion_nothing_uploaded"


@pytest.mark.parametrize(
    "values",
    [
        {"particles": 10**9},
        {"levels": 1},
        {"steps_each": 0},
        {"step_size": float("nan")},
        {"sigma_max": 9},
        {"convention": "mine"},
        {"drop": 41 * 41},
        {"updates": 10**6},
        {"modes": "<b>"},
        {"lens": "secret"},
    ],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ControlError):
        checked(Controls, values)
