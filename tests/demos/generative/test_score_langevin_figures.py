"""Results as scenes: what is drawn is what the records hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from demos.generative.diffusion_plane_figures import SIDE
from demos.generative.score_langevin import DEMO, run
from demos.generative.score_langevin_figures import arrow_layer, height_layer, level_ends, placed, show_walk
from demos.generative.score_langevin_inputs import PLACES
from demos.generative.score_langevin_tables_figures import guesses_of, show_manifold, show_objectives

START = DEMO.presets["start"]
TEXT = DEMO.text("en")
SMALL = replace(START, levels=4, steps_each=10, particles=50)


def layer(scene, pane: str, key: str):
    return next(x for p in scene.panes if p.key == pane for x in p.layers if x.key == key)


def test_particles_are_where_the_walks_are() -> None:
    result = run(SMALL)
    scene = show_walk(result, TEXT).scene
    for name in ("plain", "annealed"):
        dots = layer(scene, name, "particles")
        assert dots.xy.shape == (41, 50, 2)
        x, y = getattr(result, name).x[-1, 7].tolist()
        expected = [(x / 8 + 1) * SIDE / 2, (1 - y / 8) * SIDE / 2]
        assert dots.xy[-1, 7].tolist() == pytest.approx(np.clip(expected, -SIDE, 2 * SIDE), abs=0.51)
    assert scene.steps == len(result.numbers) == len(scene.captions) == len(scene.step_names)
    assert scene.pointed == ("particle",)
    assert level_ends(result) == scene.marks[0].steps == (10, 20, 30, 40)


def test_the_plain_landscape_stands_still_and_the_annealed_one_sharpens() -> None:
    scene = show_walk(run(SMALL), TEXT).scene
    still, moving = (layer(scene, name, "height").codes for name in ("plain", "annealed"))
    assert still.ndim == 2
    assert moving.shape[0] == 41
    assert moving[0].max() < moving[-1].max()
    assert (moving[1] == moving[10]).all()
    assert (moving[10] != moving[11]).any()


def test_dropped_skiers_can_be_dropped_elsewhere() -> None:
    scene = show_walk(run(replace(SMALL, begin="click")), TEXT).scene
    for name in ("plain", "annealed"):
        places = layer(scene, name, "places")
        assert places.pick == "drop"
        assert places.codes.max() == PLACES * PLACES - 1
    assert scene.picks[0].value == START.drop
    assert scene.pointed == ()
    both = show_walk(run(replace(SMALL, begin="click", source="modes")), TEXT).scene
    assert both.tools is not None
    assert both.tools.pane == "plain"
    assert [x.key for x in both.panes[0].layers if getattr(x, "pick", "")] == []
    assert layer(both, "annealed", "places").pick == "drop"


def test_arrows_point_uphill_and_stay_short() -> None:
    result = run(SMALL)
    lines = arrow_layer(result.data, TEXT).xy
    assert lines.shape == (1, 13 * 13 * 6, 2)
    arrows = lines[0].reshape(-1, 6, 2)
    start, tip = arrows[:, 0], arrows[:, 1]
    assert np.linalg.norm(tip - start, axis=1).max() < SIDE / 13
    score = result.data.arrows[0].numpy() * [1, -1]
    assert ((tip - start) * score).sum(1).min() >= 0
    assert np.isnan(arrows[:, 5]).all()
    nothing = replace(result.data, arrows=torch.zeros_like(result.data.arrows))
    assert np.isfinite(arrow_layer(nothing, TEXT).xy[0].reshape(-1, 6, 2)[:, :5]).all()


def test_heights_have_bands_from_the_summit_down() -> None:
    codes = height_layer(np.array([[[0.0, -10.0], [-40.0, -4000.0]]]), TEXT, "x").codes
    assert codes.tolist() == [[0, 10], [20, 20]]


def test_runaways_stay_outside_the_picture() -> None:
    far = placed(torch.tensor([[float("nan"), 0.0], [float("inf"), 0.0], [-1e30, 0.0]]))
    assert far[:, 0].tolist() == [2 * SIDE, 2 * SIDE, -SIDE]


def test_objectives_lie_on_their_lines() -> None:
    result = run(DEMO.presets["objectives"])
    scene = show_objectives(result, TEXT).scene
    for name, exact in (("denoising", result.constants.denoising_gap), ("implicit", result.constants.implicit_gap)):
        dots, line = (layer(scene, "lines", key).xy for key in (name, f"{name}_line"))
        slope = (line[0, 1, 1] - line[0, 0, 1]) / (line[0, 1, 0] - line[0, 0, 0])
        assert slope == pytest.approx(1, rel=1e-5)
        assert line[0, 0, 1] == pytest.approx(exact)
        assert np.abs(dots[:, 1] - dots[:, 0] - exact).max() < 0.15
    unit = run(replace(DEMO.presets["objectives"], directions="sphere"))
    line = layer(show_objectives(unit, TEXT).scene, "lines", "sliced_line").xy
    assert line[0, 0, 1] == pytest.approx(0.5 * unit.constants.implicit_gap)
    table = layer(scene, "objectives", "objectives")
    assert len(table.rows) == len(result.rows)


def test_the_manifolds_curves_are_its_records() -> None:
    result = run(DEMO.presets["manifold"])
    scene = show_manifold(result, TEXT).scene
    assert scene.steps == len(result.sigmas)
    drawn = layer(scene, "filled", "filled").xy[0]
    assert drawn[:, 1].tolist() == pytest.approx(result.filled.value.tolist(), rel=1e-6)
    assert layer(scene, "curve", "data").xy.shape == (60, 2)


def test_the_question_is_answered_by_the_law() -> None:
    (guess,) = guesses_of(TEXT)
    assert guess.options == ("80 %", "51 %", "100 %")
    assert guess.answer == 1
    assert "78.3" in guess.reveal[1]
