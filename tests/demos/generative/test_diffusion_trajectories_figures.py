"""Pictures say what the records say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demos.contract import View
from demos.generative.diffusion_inputs import REACH
from demos.generative.diffusion_plane_figures import GROUPS, SIDE
from demos.generative.diffusion_trajectories import DEMO, PLACES, run
from demos.generative.diffusion_trajectories_figures import placed
from demos.generative.diffusion_trajectories_figures import show_lanes as show
from demos.kit.scene import Labels, Layer, Pane, Paths, Points, Table
from demos.kit.text import LANGUAGES, Text

START = DEMO.presets["start"]
EN = Text("en", DEMO.slug)


def pane(view: View, key: str) -> Pane:
    return next(p for p in view.scene.panes if p.key == key)


def layer(view: View, of: str, key: str) -> Layer:
    return next(one for one in pane(view, of).layers if one.key == key)


def test_dots_are_where_the_particles_are() -> None:
    result = run(replace(START, process="ve"))
    view = show(result, EN)
    for lane in ("reverse", "flow"):
        dots = layer(view, lane, "particles")
        assert isinstance(dots, Points)
        x = getattr(result.lanes, lane)[30].numpy() * result.scales[30]
        assert np.abs(dots.xy[30, :, 0] / SIDE * 2 * REACH - REACH - x[:, 0]).max() < REACH / SIDE + 1e-9
        assert np.abs(REACH - dots.xy[30, :, 1] / SIDE * 2 * REACH - x[:, 1]).max() < REACH / SIDE + 1e-9


def test_a_colour_says_where_the_ode_goes_in_both_lanes() -> None:
    result = run(START)
    view = show(result, EN)
    wanted = tuple(GROUPS[int(g)] for g in result.lanes.flow_end)
    assert [layer(view, lane, "particles").colors for lane in ("reverse", "flow")] == [wanted, wanted]  # type: ignore[union-attr]
    ends = [layer(view, lane, "particles").xy[-1] for lane in ("reverse", "flow")]  # type: ignore[union-attr]
    right = [float(np.mean(xy[np.array(wanted) == GROUPS[0], 0] > SIDE / 2)) for xy in ends]
    assert right[1] > 0.99
    assert 0.6 < right[0] < 0.95


def test_the_same_field_stands_behind_all_lanes_and_travels_once() -> None:
    view = show(run(START), EN)
    fields = [layer(view, lane, "density") for lane in ("forward", "reverse", "flow")]
    assert fields[0] is fields[1] is fields[2]
    assert isinstance(fields[0], Labels)
    assert fields[0].smooth
    assert fields[0].codes.max(axis=(1, 2)).min() == 23


def test_staircases_hold_the_heights() -> None:
    result = run(START)
    view = show(result, EN)
    for name in ("exact", "reverse", "flow"):
        stairs = layer(view, "histogram", name)
        assert isinstance(stairs, Paths)
        assert stairs.xy.shape == (51, 1, 2 * 36 + 2, 2)
        heights = getattr(result.histograms, name)[40].numpy()
        assert np.abs(stairs.xy[40, 0, 1:-1:2, 1] - heights).max() < 1e-3
        assert stairs.xy[40, 0, [0, -1], 1].tolist() == [0, 0]


def test_a_noise_point_has_its_paths_and_its_place() -> None:
    c = replace(DEMO.presets["point"], process="ve", point=5 * PLACES + 7)
    result = run(c)
    view = show(result, EN)
    flow, bundle = layer(view, "plane", "flow_path"), layer(view, "plane", "bundle")
    assert isinstance(flow, Paths)
    assert isinstance(bundle, Paths)
    here = [(7.5 / PLACES) * SIDE, (5.5 / PLACES) * SIDE]
    assert np.abs(flow.xy[0, 0] - here).max() <= 1
    assert np.abs(bundle.xy[:, 0] - here).max() <= 1
    assert bundle.xy.shape == (16, 51, 2)
    (pick,) = view.scene.picks
    assert (pick.control, pick.value) == ("point", c.point)
    table = layer(view, "bundle", "bundle")
    assert isinstance(table, Table)
    assert len(table.rows) == 2


def test_many_components_are_told_by_side_and_only_some_are_listed() -> None:
    view = show(run(replace(DEMO.presets["point"], source="spiral")), EN)
    table = layer(view, "bundle", "bundle")
    assert isinstance(table, Table)
    assert len(table.rows) == 12
    shares = layer(view, "shares", "shares")
    assert isinstance(shares, Table)
    assert [row[0] for row in shares.rows] == ["upper right", "upper left", "lower left", "lower right"]


def test_modes_of_ones_own_are_boxes() -> None:
    view = show(run(replace(START, source="modes")), EN)
    tools = view.scene.tools
    assert tools is not None
    assert tools.pane == "forward"
    (boxes,) = tools.boxes
    assert boxes.ids == ("0", "1")
    centre = (boxes.xyxy[0, :2] + boxes.xyxy[0, 2:]) / 2
    assert centre.tolist() == pytest.approx([(1.6 / REACH + 1) * SIDE / 2, (1 - 0.9 / REACH) * SIDE / 2], rel=1e-4)
    assert show(run(START), EN).scene.tools is None


def test_steps_beyond_chance_are_marked() -> None:
    result = run(DEMO.presets["flawed"])
    scene = show(result, EN).scene
    (mark,) = scene.marks
    assert [bool(result.agreement.between[k] > result.agreement.critical_two) for k in range(51)] == [
        k in mark.steps for k in range(51)
    ]
    assert "more than chance" in scene.captions[mark.steps[0]]
    assert show(run(START), EN).scene.marks == ()


def test_what_leaves_the_view_stays_in_its_type() -> None:
    result = run(replace(START, error_kind="shifted", error_size=1.0, stochasticity=0.0))
    assert placed(result, result.lanes.reverse * 1e6).dtype == np.int16


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_question_is_answered_by_the_exact_law(language: str) -> None:
    (guess,) = DEMO.guesses(DEMO.text(language))
    assert guess.options == ("100 %", "50 %", "80 %")
    assert guess.answer == 2
    assert guess.preset == "point"
