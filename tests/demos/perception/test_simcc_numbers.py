"""demos.perception.simcc_numbers and simcc_guesses: what is told, and which answers are right."""

from __future__ import annotations

import math

import numpy as np

from core.perception.joint_readings import DECODERS
from demos.kit.numbers import Number
from demos.perception.simcc import DEMO, Controls, run
from demos.perception.simcc_guesses import EFFECTS, PLACES, ghost, shift_effect
from demos.perception.simcc_numbers import convention, law, mean_distance, numbers_of, quoted


def test_numbers_of_a_step_are_those_of_the_readings() -> None:
    result = run(Controls())
    steps = numbers_of(result)
    assert result.readings is not None
    for t in (0, 17, len(steps) - 1):
        for d in range(len(DECODERS)):
            expected = math.dist(result.readings.found[d, t], result.readings.truth[t])
            assert math.isclose(steps[t][d].value or 0.0, expected, abs_tol=1e-12)
            mean = np.mean([math.dist(result.readings.found[d, k], result.readings.truth[k]) for k in range(t + 1)])
            assert math.isclose(mean_distance(result, d, t).value or 0.0, mean, abs_tol=1e-12)


def test_laws_are_told_where_there_are_bins() -> None:
    result = run(Controls(center="exact"))
    found = [law(result, d) for d in range(len(DECODERS))]
    assert found[DECODERS.index("soft")] == "–"
    assert [n.operands["w"] for n in found if isinstance(n, Number)] == [4.0, 2.0, 0.0, 0.5, 0.0]


def test_conventions_follow_the_controls() -> None:
    result = run(Controls(bins="gaussian"))
    assert convention(result, "argmax") == "label_rounded"
    assert convention(result, "simcc") == "gaussian"
    assert convention(result, "regression") == ""


def test_quoted_numbers_are_marked() -> None:
    assert quoted(25.8, "ap_heatmap", "64 × 64").kind == "quoted"
    scene = DEMO.show(run(DEMO.presets["laws"]), DEMO.text("en")).scene
    (published,) = [pane.layers[0] for pane in scene.panes if pane.key == "published"]
    kinds = {cell.kind for row in published.rows for cell in row if isinstance(cell, Number)}  # type: ignore[union-attr]
    assert kinds == {"quoted"}


def test_guesses_are_computed() -> None:
    assert PLACES[ghost()] == "corner"
    effect, plain, shifted = shift_effect()
    assert EFFECTS[effect] == "nothing"
    assert math.isclose(plain, shifted, rel_tol=1e-6)
