"""The scene draws what the records say, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from demos.kit.scene import BLANK, Cells, Grid, Labels, Registers, Scene, Stack, Table
from demos.kit.text import LANGUAGES
from demos.systems.flash_attention import DEMO, Controls, Result, run
from demos.systems.flash_attention_figures import DONE, GROUPS, NOW, SKIPPED, WAITING, show
from demos.systems.flash_attention_tray_figures import window

START = DEMO.presets["start"]
TEXT = DEMO.text("en")


def scene_of(result: Result) -> Scene:
    return show(result, TEXT).scene


def layer(scene: Scene, key: str, kind: type) -> Any:
    (found,) = [x for pane in scene.panes for x in pane.layers if x.key == key and isinstance(x, kind)]
    return found


def test_the_map_shows_where_the_schedule_is() -> None:
    result = run(replace(START, tokens=30, block_q=4, block_k=7, causal=True))
    cells = layer(scene_of(result), "tiles", Cells)
    steps, skipped = len(result.schedule.tiles), len(result.schedule.skipped)
    assert cells.states.shape == (steps, steps + skipped)
    for k in range(steps):
        assert (cells.states[k, :k] == DONE).all()
        assert cells.states[k, k] == NOW
        assert (cells.states[k, k + 1 : steps] == WAITING).all()
        assert (cells.states[k, steps:] == SKIPPED).all()
        tile = result.schedule.tiles[k]
        assert cells.xyxy[k].tolist() == [tile.cols.start, tile.rows.start, tile.cols.stop, tile.rows.stop]
    assert cells.steps.tolist() == [*range(steps), *([-1] * skipped)]
    x0, y0, x1, y1 = cells.xyxy.T
    assert ((x1 - x0) * (y1 - y0)).sum() == 30 * 30  # all of the matrix, once


@pytest.mark.parametrize("order", ["fa1", "fa2"])
def test_the_tray_holds_the_tile(order) -> None:
    result = run(replace(START, tokens=10, block_q=4, block_k=4, order=order))
    scene = scene_of(result)
    for k, step in enumerate(result.steps):
        for key, field in (
            ("scores", step.scores),
            ("probabilities", step.probabilities),
            ("accumulator", step.accumulator),
        ):
            grid = layer(scene, key, Grid)
            r, c = field.shape
            np.testing.assert_allclose(
                grid.values[k, :r, :c] / 10.0**grid.decimals, field.numpy(), atol=0.5 / 10**grid.decimals + 1e-6
            )
            assert (grid.values[k, r:] == BLANK).all()
            assert (grid.values[k, :, c:] == BLANK).all()
        rows, cols = step.tile.rows, step.tile.cols
        q, kt = layer(scene, "q", Grid), layer(scene, "k", Grid)
        np.testing.assert_allclose(q.values[k, : len(rows)] / 100, result.inputs.q[rows.start : rows.stop], atol=0.0051)
        np.testing.assert_allclose(
            kt.values[k, :, : len(cols)] / 100, result.inputs.k[cols.start : cols.stop].T, atol=0.0051
        )


def test_long_sides_are_shown_in_part_and_it_is_said() -> None:
    assert window(6) == slice(0, 6)
    assert window(64, 0) == slice(0, 4)
    assert window(64, 30) == slice(28, 32)
    assert window(64, 63) == slice(60, 64)
    scene = scene_of(run(replace(START, tokens=64, channels=16, block_q=32, block_k=32, row=40)))
    tray = next(pane for pane in scene.panes if pane.key == "tray")
    assert "4 of 32 rows" in tray.note
    assert "4 of 16 channels" in tray.note
    assert layer(scene, "scores", Grid).values.shape[1:] == (4, 4)


def test_registers_are_the_steps() -> None:
    result = run(replace(START, tokens=12, block_q=4, block_k=4))
    registers = layer(scene_of(result), "registers", Registers)
    assert (np.diff(registers.steps) >= 0).all()
    for step in result.steps:
        for r, row in enumerate(step.tile.rows):
            (at,) = np.flatnonzero((registers.steps == step.tile.index) & (registers.items == row))
            expected = [step.rescale[r], step.row_max[r], step.row_sum[r], *step.accumulator[r]]
            np.testing.assert_allclose(registers.values[at], np.array(expected, np.float32))


def test_long_traces_send_the_followed_blocks_registers_only() -> None:
    result = run(DEMO.presets["worse"])
    registers = layer(scene_of(result), "registers", Registers)
    assert set(registers.items) == set(range(256, 320))
    assert registers.missing


def test_bars_are_the_bytes() -> None:
    result = run(replace(START, causal=True))
    stack = layer(scene_of(result), "odometers", Stack)
    for k, step in enumerate(result.traffic):
        expected = (step.standard.total, step.total.total, step.total.ideal_total)
        np.testing.assert_allclose(stack.values[k].sum(axis=1), expected)
    assert len(stack.names) == len(GROUPS) == stack.values.shape[2]
    chip = layer(scene_of(result), "chip", Stack)
    np.testing.assert_allclose(chip.values[:, 0].sum(axis=1), [use.total for use in result.use])


def test_the_gauge_turns_red_exactly_where_it_overflows() -> None:
    result = run(replace(START, tokens=30, block_q=8, block_k=8, chip_bytes=800))
    chip = layer(scene_of(result), "chip", Stack)
    assert chip.over[:, 0].tolist() == [use.overflows for use in result.use]
    assert 0 < chip.over.sum() < len(chip.over)
    assert any("does not fit" in note for note in scene_of(result).notes)


def test_marks_are_the_changes_of_the_maximum() -> None:
    result = run(replace(START, row=13))
    changes, tiles = scene_of(result).marks
    assert changes.steps == tuple(s.step for s in result.story if s.max_changed)
    assert tiles.steps == tuple(t.index for t in result.schedule.tiles if 13 in t.rows)
    (pick,) = scene_of(result).picks
    assert (pick.control, pick.value) == ("row", 13)


def test_attention_grows_over_the_picture() -> None:
    result = run(DEMO.presets["picture"])
    scene = scene_of(result)
    heat, patches = layer(scene, "attention", Labels), layer(scene, "patches", Labels)
    assert patches.codes.ravel().tolist() == list(range(96))
    assert patches.pick == "row"
    first = result.story[0].step
    assert (heat.codes[:first] == 0).all()
    for one in result.story:
        seen = result.schedule.tiles[one.step].cols.stop
        assert (heat.codes[one.step].ravel()[seen:] == 0).all()
    assert int(heat.codes[-1].argmax()) == int(result.story[-1].weights.argmax())


def test_captions_speak_of_the_query() -> None:
    captions = scene_of(run(replace(START, row=5))).captions
    assert len(captions) == 64
    assert "Query 5 sees its first scores" in captions[8]
    assert not any("Query 5" in caption for caption in captions[:8])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("direction", ["backward", "decode"])
def test_other_directions_are_drawn(direction: str, language: str) -> None:
    result = run(replace(START, tokens=30, direction=direction, row=9))
    view = show(result, DEMO.text(language))
    keys = {x.key for pane in view.scene.panes for x in pane.layers}
    assert view.modes["direction"] == direction
    if direction == "backward":
        assert {"grad_scores", "grad_q", "grad_k", "grad_v"} <= keys
        assert "chip" not in keys
    else:
        assert {"part_output", "weight", "combined", "parts"} <= keys
        assert view.scene.steps == max(len(lane) for lane in result.lanes) + 1
        weights = layer(view.scene, "weight", Grid)
        assert (weights.values[:-1] == BLANK).all()


def test_tables_follow_the_steps_of_short_traces_only() -> None:
    assert len(layer(scene_of(run(START)), "operands", Table).later) == 64
    assert layer(scene_of(run(DEMO.presets["worse"])), "operands", Table).later == ()


def test_the_papers_table_is_shown_when_asked() -> None:
    keys = {p.key for p in scene_of(run(replace(START, compare="paper"))).panes}
    assert "paper" in keys
    assert "devices" not in keys


@pytest.mark.parametrize("language", LANGUAGES)
def test_charts_draw_the_curves(language: str) -> None:
    result = run(Controls(tokens=128, channels=64, block_q=64, block_k=64))
    figure = DEMO.charts["traffic"](result, DEMO.text(language))
    for trace, curve in zip(figure.data, result.curves.values(), strict=False):
        assert list(trace.y) == [ratio for _, ratio in curve]
    measured: Any = DEMO.charts["measured"](result, DEMO.text(language))
    assert {len(trace.y) for trace in measured.data} == {4}
    assert "torch" in measured.layout.title.text


def test_the_questions_are_answered_by_counting() -> None:
    worse, skips = DEMO.guesses(TEXT)
    assert worse.options[worse.answer] == "Bc = 32"
    assert "1.4706" in worse.reveal[worse.answer]
    assert skips.options[skips.answer] == "28"
