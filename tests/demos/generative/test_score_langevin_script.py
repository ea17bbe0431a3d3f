"""The exported Python prints the numbers of the screen."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import pytest

from demos.generative.score_langevin import DEMO, run
from demos.generative.score_langevin_script import script_of

START = DEMO.presets["start"]
SMALL = {"steps_each": 10, "levels": 4, "particles": 50}
CASES = {
    "start": SMALL,
    "learned": {**SMALL, "score": "learned", "updates": 100},
    "ring": {**SMALL, "source": "ring"},
    "toy": {**SMALL, "level_score": "toy", "final_denoise": True, "convention": "repository"},
    "click": {**SMALL, "begin": "click"},
    "diverging": {**SMALL, "sigma_min": -1.0, "step_size": 0.0},
    "modes": {**SMALL, "source": "modes"},
    "net": {"lens": "net", "updates": 100, "levels": 4},
    "objectives": {"lens": "objectives", "samples": 500},
    "manifold": {"lens": "manifold", "curve": "moons"},
}


@pytest.mark.parametrize("name", CASES)
def test_the_script_prints_what_the_view_shows(name: str) -> None:
    c = replace(START, **CASES[name])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(script_of(c), {})
    printed = json.loads(out.getvalue())
    shown = {n.key + (f"[{n.item}]" if n.item else ""): n.value for n in run(c).numbers[-1]}
    assert printed
    assert all(value is None for key, value in printed.items() if shown[key] is None)
    printed = {key: value for key, value in printed.items() if shown[key] is not None}
    for key, value in printed.items():
        assert value == pytest.approx(shown[key]), key
