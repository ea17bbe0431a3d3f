"""The scene draws what the records say, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.systems.checkpoint_schedules import revolve_plan
from demos.kit.scene import Areas, Level, Paths, Points, Scene, Strip, Table, Tiles
from demos.kit.text import LANGUAGES
from demos.systems.checkpointing import DEMO, Result
from demos.systems.checkpointing import run_chain as run
from demos.systems.checkpointing_figures import PHASES, groups_of
from demos.systems.checkpointing_figures import show_run as show

START = DEMO.presets["start"]
TEXT = DEMO.text("en")


def scene_of(result: Result) -> Scene:
    return show(result, TEXT).scene


def layer(scene: Scene, key: str, kind: type) -> Any:
    (found,) = [x for pane in scene.panes for x in pane.layers if x.key == key and isinstance(x, kind)]
    return found


def test_the_mountain_is_the_events() -> None:
    result = run(START)
    areas = layer(scene_of(result), "memory", Areas)
    totals = [event.total_bytes / 2**20 for event in result.events]
    np.testing.assert_allclose(areas.edges[-1], totals, rtol=1e-6)
    for i, event in enumerate(result.events):
        np.testing.assert_allclose(np.diff(areas.edges[:, i]) * 2**20, event.live_bytes, atol=4)
    assert (np.diff(areas.edges, axis=0) >= 0).all()
    assert areas.x.tolist() == list(range(len(result.events) + 1))


def test_a_gpus_own_count_is_a_line_over_the_mountain() -> None:
    result = run(START)
    assert not [x for pane in scene_of(result).panes for x in pane.layers if x.key == "allocator"]
    counts = [event.total_bytes + 512 * event.index for event in result.events]
    events = tuple(replace(e, allocator_bytes=n) for e, n in zip(result.events, counts, strict=True))
    scene = scene_of(replace(result, events=events, device="some GPU"))
    line = layer(scene, "allocator", Paths)
    np.testing.assert_allclose(line.xy[0, :, 1] * 2**20, counts, rtol=1e-6)
    mountain = next(pane for pane in scene.panes if pane.key == "mountain")
    assert "GPU" in mountain.title
    assert mountain.axes is not None
    assert mountain.axes.y[1] > max(counts) / 2**20


def test_optimizer_states_lie_below_a_predicted_run() -> None:
    result = run(DEMO.presets["card"])
    areas = layer(scene_of(result), "memory", Areas)
    assert result.prediction is not None
    np.testing.assert_allclose(areas.edges[1], result.prediction.optimizer_bytes / 2**30, rtol=1e-6)
    assert areas.edges[-1].max() == pytest.approx(result.prediction.peak_bytes / 2**30, rel=1e-6)
    level = layer(scene_of(result), "budget", Level)
    assert level.control == ""
    assert level.value == pytest.approx(24564 / 1024, abs=0.01)


def test_the_ribbon_is_the_spans() -> None:
    result = run(START)
    strip = layer(scene_of(result), "ribbon", Strip)
    assert result.run is not None
    spans = [span for span in result.run.spans if span.phase in PHASES]
    assert [PHASES[s] for s in strip.states] == [span.phase for span in spans]
    assert strip.ends.tolist() == [[span.first_event, span.last_event + 1] for span in spans]
    assert strip.hatch[PHASES.index("recompute")]


def test_boxes_light_up_where_the_work_is() -> None:
    result = run(START)
    tiles = layer(scene_of(result), "chain", Tiles)
    for t, i in enumerate(result.moments):
        event = result.events[i]
        busy = {event.layer} if event.phase in PHASES and event.layer >= 0 else set()
        assert set(np.flatnonzero(tiles.states[t])) == busy
    assert 0 <= tiles.shares.min() <= tiles.shares.max() == 1
    assert tiles.on == (0, 3, 6, 9)
    assert [group[:2] for group in tiles.groups] == [(0, 3), (3, 6), (6, 9), (9, 12)]


def test_segments_inside_segments_have_brackets_of_their_own() -> None:
    assert groups_of(revolve_plan(4, 2).nodes) == ((0, 1, 1), (1, 3, 1), (1, 2, 2))


def test_the_budget_is_a_line_and_crossing_it_is_marked() -> None:
    fits, bursts = scene_of(run(START)), scene_of(run(DEMO.presets["oom"]))
    assert layer(fits, "budget", Level).value == 16
    assert not [x for pane in fits.panes for x in pane.layers if x.key == "over"]
    point = layer(bursts, "over", Points)
    assert point.xy[0, 1] > 16
    assert any("Out of memory" in note for note in bursts.notes)
    assert [mark.key for mark in bursts.marks] == ["peak", "turn", "over"]
    free = scene_of(run(replace(START, budget=0.0)))
    assert not [x for pane in free.panes for x in pane.layers if isinstance(x, Level)]


def test_the_solvers_plan_stands_beside_the_visitors() -> None:
    result = run(START)
    best = layer(scene_of(result), "best", Tiles)
    assert result.best is not None
    assert best.on == result.best.plan.kept_inputs
    table = layer(scene_of(result), "plans", Table)
    assert table.rows[-1][0] == TEXT("plans", "best")
    assert [row[-1] for row in table.rows] == ["fits", "out of memory", "out of memory", "fits", "fits"]
    solved = scene_of(run(replace(START, strategy="optimal")))
    assert not [x for pane in solved.panes for x in pane.layers if x.key == "best"]


def test_the_curve_and_the_hundred_layers() -> None:
    scene = scene_of(run(replace(START, compare="curve", rows=256, width=16)))
    points = layer(scene, "measured", Points)
    np.testing.assert_allclose(points.xy, [[1, 25], [2, 14], [3, 11], [4, 10], [6, 10], [12, 14]], atol=2e-3)
    rows = layer(scene, "hundred", Table).rows
    assert [row[1].value for row in rows] == [100, 51, 28, 24, 19, 19, 24, 51]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_view_is_drawn_in_every_language(language: str) -> None:
    for compare in ("plans", "curve", "bytes", "gradients"):
        result = run(replace(START, compare=compare, rows=64, width=16, layers=4, strategy="sqrt"))
        view = show(result, DEMO.text(language))
        assert view.scene.steps == len(view.scene.captions) == len(result.numbers)


def test_a_run_under_way_is_drawn_too() -> None:
    whole = run(START)
    for count in (1, 2, 40, 150):
        part = replace(whole, run=None, events=whole.events[:count])
        scene = scene_of(part)
        assert scene.steps == count
        assert {pane.key for pane in scene.panes} == {"chain", "mountain"}
