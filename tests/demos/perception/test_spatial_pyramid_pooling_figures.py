"""spatial_pyramid_pooling_figures: the scene draws what the records say, and links every number with its bin and its cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from demos.kit.scene import Boxes, Labels, Pane, Picture, Points, Table
from demos.kit.text import LANGUAGES
from demos.perception.spatial_pyramid_pooling import DEMO, Controls, Result, run
from demos.perception.spatial_pyramid_pooling_figures import show
from demos.perception.spp_inputs import pixels_of

WRONG = DEMO.presets["wrong"]
VIEWS = [Controls(), WRONG, DEMO.presets["sppnet"], Controls(rule="paper", levels="4", width=196, height=196)]


def pane(result: Result, key: str) -> Pane:
    return next(p for p in show(result, DEMO.text("en")).scene.panes if p.key == key)


def layer(result: Result, pane_key: str, key: str) -> Any:
    return next(found for found in pane(result, pane_key).layers if found.key == key)


@pytest.mark.parametrize("controls", VIEWS)
def test_every_number_of_the_strip_is_linked_with_its_bin_and_its_cell(controls: Controls) -> None:
    result = run(controls)
    strip = layer(result, "vector-a", "vector")
    assert isinstance(strip, Labels)
    assert strip.items is not None
    codes = strip.codes[strip.codes > 0]
    assert sorted(strip.items[codes].tolist()) == list(range(result.pyramid.length))
    boxes = {}
    for i in range(len(result.levels)):
        level = layer(result, "map-a", f"level-{i}")
        assert isinstance(level, Boxes)
        assert level.items is not None
        boxes |= dict(zip(level.items.tolist(), level.xyxy.tolist(), strict=True))
    dots = {}
    for key in ("argmax", "argmax-others"):
        points = layer(result, "map-a", key)
        assert isinstance(points, Points)
        assert points.items is not None
        dots |= dict(zip(points.items.tolist(), points.xy.tolist(), strict=True))
    for code in codes.tolist():
        cell = result.pyramid.cell(int(strip.items[code]))
        assert boxes[int(strip.also["bin"][code])] == list(pixels_of(result.inputs, cell.box))
        assert cell.argmax_xy is not None
        x, y = cell.argmax_xy
        x0, y0, x1, y1 = pixels_of(result.inputs, (x, y, x + 1, y + 1))
        assert dots[cell.index] == [(x0 + x1) / 2, (y0 + y1) / 2]
        assert f"[{cell.index}]" in strip.hover[0].names[code]


@pytest.mark.parametrize("controls", VIEWS)
def test_steps_light_one_bin_and_one_number(controls: Controls) -> None:
    result = run(controls)
    scene = show(result, DEMO.text("en")).scene
    assert scene.steps == result.pyramid.bins == len(scene.captions) == len(scene.step_names)
    assert set(scene.followed) <= set(scene.pointed)
    places = scene.followed["cell-a"].tolist()
    assert len(set(places)) == scene.steps
    for step, place in zip(result.steps, places, strict=True):
        cell = result.pyramid.cell(place)
        assert (cell.channel, cell.level, cell.bin) == (result.channel, step.level, step.bin)
        assert cell.argmax_xy == step.argmax_xy


def test_of_two_rules_the_same_bin_lights_in_both() -> None:
    result = run(WRONG)
    scene = show(result, DEMO.text("en")).scene
    assert result.other is not None
    assert scene.pointed == ("bin", "cell-a", "cell-b")
    for a, b in zip(scene.followed["cell-a"], scene.followed["cell-b"], strict=True):
        mine, theirs = result.pyramid.cell(int(a)), result.other.cell(int(b))
        assert (mine.level, mine.row, mine.column, mine.channel) == (
            theirs.level, theirs.row, theirs.column, theirs.channel
        )  # fmt: skip
    assert [layer(result, "map-b", f"level-{i}").visible for i in range(4)] == [True, False, False, False]
    assert "95" in pane(result, "map-b").title
    assert any("10 = 1·6 + 4" in note for note in scene.notes)


def test_a_nested_bin_shows_the_bins_inside_it() -> None:
    result = run(Controls())
    parts = layer(result, "map-a", "parts-0")
    assert isinstance(parts, Boxes)
    assert parts.quiet
    fine = layer(result, "map-a", "level-1")
    assert sorted(parts.xyxy.tolist()) == sorted(fine.xyxy.tolist())  # 1×1 is the maximum of the four of 2×2
    assert parts.items is not None
    assert set(parts.items.tolist()) == set(layer(result, "map-a", "level-0").items.tolist())


def test_cells_that_no_bin_reads_are_hatched_and_shared_ones_shaded() -> None:
    result = run(Controls(levels="4", rule="paper", width=180, height=180))
    reads = layer(result, "map-a", "reads")
    assert isinstance(reads, Labels)
    (view,) = reads.views
    counts = result.pyramid.levels[0].bins.reads.ravel()
    assert (counts == 0).any()
    assert view.hatch is not None
    assert (view.hatch.astype(bool) == (counts == 0)).all()
    assert ((view.colors[:, 3] > 0) == (counts != 1)).all()


def test_the_theorem_stands_in_words_beside_its_numbers() -> None:
    result = run(replace(WRONG, width=196))
    table = layer(result, "theorem", "theorem")
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows[:3]] == ["6×6 rows", "6×6 columns", "3×3 rows"]  # 180 px down, 196 across
    assert len(table.rows) == 2 * len(result.levels)


def test_the_theorem_of_the_failing_view() -> None:
    table = layer(run(WRONG), "theorem", "theorem")
    assert table.rows[0][1] == "10 = 1·6 + 4"
    assert table.rows[0][-1] == "gives 9 windows, not 6"
    assert table.marked == (0,)


def test_the_picture_keeps_one_scale_while_it_is_dragged() -> None:
    small, large = pane(run(Controls(width=120, height=120)), "map-a"), pane(run(Controls()), "map-a")
    assert small.pixel == large.pixel > 0
    picture = layer(run(Controls()), "map-a", "photo")
    assert isinstance(picture, Picture)


def test_a_box_is_drawn_as_it_was_and_its_windows_are_the_projections() -> None:
    result = run(DEMO.presets["box"])
    scene = show(result, DEMO.text("en")).scene
    assert scene.tools is not None
    assert scene.tools.box_xyxy == (92, 84, 110, 100)
    for i, name in enumerate(("paper", "code")):
        window = layer(result, "map-a", f"window-{name}")
        assert isinstance(window, Boxes)
        wanted = result.projections[i].covered_xyxy
        np.testing.assert_allclose(window.xyxy[0], np.array(wanted) + 0.5)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", ["pyramid", "box", "block", "averages", "atrous"])
def test_every_view_is_drawn_for_arrays_without_a_photo(view: str, language: str, tmp_path) -> None:
    path = tmp_path / "features.npy"
    np.save(path, np.random.default_rng(0).normal(size=(3, 9, 11)))
    result = run(Controls(source="array", feature_file=(str(path),), view=view))
    drawn = show(result, DEMO.text(language))
    assert drawn.modes == {"view": view, "source": "array", "sized": "no"}
    assert drawn.scene.panes
    assert not any(isinstance(found, Picture) for p in drawn.scene.panes for found in p.layers)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("view", ["pyramid", "box", "block", "averages", "atrous"])
def test_every_view_is_drawn_for_the_networks_maps(view: str, language: str) -> None:
    drawn = show(run(Controls(features="stride8", view=view)), DEMO.text(language))
    assert drawn.modes == {"view": view, "source": "coffee", "sized": "no"}
    assert drawn.scene.panes
