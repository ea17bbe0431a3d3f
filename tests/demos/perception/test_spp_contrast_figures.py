"""spp_contrast_figures: YOLO's maps, PSPNet's averages and ASPP's taps as the records have them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from demos.kit.scene import Boxes, Labels, Pane, Paths, Points, Scene
from demos.perception.spatial_pyramid_pooling import DEMO, Controls, run
from demos.perception.spp_contrast_figures import atrous_scene, averages_scene, block_scene

TEXT = DEMO.text("en")
BLOCK = DEMO.presets["block"]


def find(scene: Scene, pane: str, key: str) -> Any:
    return next(found for p in scene.panes if p.key == pane for found in p.layers if found.key == key)


def rows_of(scene: Scene, name: str) -> list[Pane]:
    return [pane for pane in scene.panes if pane.row == name]


@pytest.mark.parametrize(("branches", "order"), [("ultralytics", [1, 5, 9, 13]), ("darknet", [13, 9, 5, 1])])
def test_maps_stand_in_the_order_of_their_channels(branches: Any, order: list[int]) -> None:
    scene = block_scene(run(replace(BLOCK, branches=branches)), TEXT)
    assert [pane.key for pane in rows_of(scene, "maps")] == [f"map-{k}" for k in order]
    assert [pane.title.split("(")[1] for pane in rows_of(scene, "maps")] == ["0–9)", "10–19)", "20–29)", "30–39)"]


def test_pointing_at_a_cell_lights_what_each_block_reads() -> None:
    result = run(BLOCK)
    scene = block_scene(result, TEXT)
    rows, columns = result.inputs.size
    cell = 3 * columns + 5
    heat = find(scene, "map-13", "m13")
    assert set(heat.also) == {"w13", "s13"}
    seen = find(scene, "map-1", "w13")
    assert isinstance(seen, Boxes)
    assert seen.quiet
    x0, y0, x1, y1 = seen.xyxy[cell]
    assert (x1 - x0, y1 - y0, (x0 + x1) / 2, (y0 + y1) / 2) == (13, 13, 5.5, 3.5)
    before = find(scene, "map-9", "s13")
    x0, y0, x1, y1 = before.xyxy[cell]
    assert (x1 - x0, y1 - y0) == (5, 5)
    assert len(before.xyxy) == rows * columns


def test_steps_light_one_window_after_another() -> None:
    scene = block_scene(run(BLOCK), TEXT)
    assert scene.steps == 4
    lit = [[name for name in scene.followed if scene.followed[name][t] >= 0] for t in range(4)]
    assert lit == [[], ["w5", "cell"], ["w9", "s9", "cell"], ["w13", "s13", "cell"]]
    assert set(scene.followed) <= set(scene.pointed)


def test_gradients_that_differ_are_hatched() -> None:
    result = run(BLOCK)
    labels = find(block_scene(result, TEXT), "gradient-differs", "differs")
    assert isinstance(labels, Labels)
    assert labels.views[0].hatch is not None
    assert labels.views[0].hatch.sum() == result.ties.differs[0, result.channel].sum()
    assert labels.views[0].hatch.any()


def test_the_badge_is_computed_on_the_visitors_own_input() -> None:
    assert any("Bit-identical" in note for note in block_scene(run(BLOCK), TEXT).notes)


def test_averages_are_enlarged_to_the_map() -> None:
    result = run(Controls(view="averages"))
    scene = averages_scene(result, TEXT)
    assert [pane.key for pane in rows_of(scene, "maps")] == ["map-x", "map-1", "map-2", "map-3", "map-6"]
    for level in result.averages.levels:
        heat = find(scene, f"map-{level.bins.level}", f"up{level.bins.level}")
        assert heat.codes.shape == result.inputs.size
        assert len(find(scene, f"map-{level.bins.level}", f"bins{level.bins.level}").xyxy) == level.bins.level**2


def test_taps_are_counted_at_every_rate() -> None:
    result = run(DEMO.presets["atrous"])
    scene = atrous_scene(result, TEXT)
    labels = find(scene, "taps", "taps")
    counts = np.array([1, 2, 3, 4, 6, 9])
    for t in (0, 5, 47):
        assert (counts[labels.codes[t]] == result.coverages[t].taps).all()
    curve = find(scene, "curve", "shares")
    assert isinstance(curve, Paths)
    assert curve.xy[0, :, 1].tolist() == [c.all_taps for c in result.coverages]
    dots = find(scene, "taps", "filter")
    assert isinstance(dots, Points)
    middle = result.inputs.size[0] // 2, result.inputs.size[1] // 2
    for t in (0, 40):
        shown = int(np.isfinite(dots.xy[t]).all(axis=1).sum())
        assert shown == result.coverages[t].taps[middle]
    assert scene.step == 5
