"""demos.perception.simcc_figures and the modules beside it: things are drawn where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.perception.joint_readings import DECODERS
from demos.kit.drawings import write_way
from demos.perception.simcc import DEMO, Controls, run
from demos.perception.simcc_figures import HALF, WINDOW, curve, heat_layer, pooled


def scene_of(controls: Controls) -> tuple[Any, Any]:
    result = run(controls)
    return result, DEMO.show(result, DEMO.text("en")).scene


def layer_of(scene: Any, pane: str, key: str) -> Any:
    return next(la for p in scene.panes if p.key == pane for la in p.layers if la.key == key)


def test_truth_answers_and_handle_share_a_place() -> None:
    result, scene = scene_of(Controls())
    handle = scene.tools.handle
    corner = np.array(handle.sheets["magnifier"][:2])
    truth = layer_of(scene, "magnifier", "truth").xy[-1, 0]
    middle = np.array([truth[[0, 1], 0].mean(), truth[[3, 4], 1].mean()])
    place = handle.way[-1] / 10_000 * (192, 256) + corner
    assert middle == pytest.approx(place, abs=1e-3)
    dots = layer_of(scene, "magnifier", "answers").xy
    assert dots.shape == (60, len(DECODERS), 2)
    assert dots[-1, DECODERS.index("regression")] == pytest.approx(middle, abs=1e-3)
    wide = layer_of(scene, "input", "answers").xy[-1, 0]
    assert wide == pytest.approx(result.readings.found[0, -1] + HALF, abs=1e-3)


def test_a_cell_is_drawn_around_its_coordinate() -> None:
    maps = np.zeros((1, 8, 6))
    maps[0, 3, 2] = 1
    layer = heat_layer(maps, 4, (0.0, 0.0), (24, 32), "heat")
    assert layer.extent is not None
    x0, y0, x1, y1 = layer.extent
    row, column = np.argwhere(layer.codes[0] == layer.codes.max())[0]
    assert x0 + (column + 0.5) * (x1 - x0) / 6 == 2 * 4 + HALF
    assert y0 + (row + 0.5) * (y1 - y0) / 8 == 3 * 4 + HALF


def test_the_magnifier_shows_the_same_cells() -> None:
    for way in ([[5000, 5000]], [[0, 0]], [[9999, 9999]], [[1234, 9000]]):
        result, scene = scene_of(Controls(way=write_way(np.array(way))))
        part, grid = layer_of(scene, "magnifier", "heat"), layer_of(scene, "magnifier", "cells").xy
        corner = -np.array(scene.tools.handle.sheets["magnifier"][:2]) + HALF
        row, column = np.unravel_index(result.readings.heatmaps[0].argmax(), (64, 48))
        centre = np.array([column, row]) * 4 + HALF - corner
        peak = np.argwhere(part.codes[0] == part.codes[0].max())[0][::-1]
        size = (np.array(part.extent[2:]) - part.extent[:2]) / part.codes.shape[:0:-1]
        assert size == pytest.approx([4, 4])
        assert np.array(part.extent[:2]) + (peak + 0.5) * 4 == pytest.approx(centre)
        for axis in (0, 1):
            edges = {float(line[0][axis]) for line in grid if line[0][axis] == line[1][axis]}
            assert all(abs((edge - centre[axis]) % 4 - 2) < 1e-4 for edge in edges)
        assert ((centre > 0) & (centre < np.array(WINDOW) + 2)).all()


def test_the_magnifier_follows_only_what_leaves() -> None:
    near = np.array([[5000, 5000], [5100, 5000], [5300, 5050]])
    far = np.array([[5000, 5000], [6500, 5000]])
    corners = [
        scene_of(Controls(way=write_way(way)))[1].tools.handle.sheets["magnifier"][:2] for way in (near[:1], near, far)
    ]
    assert corners[0] == corners[1] != corners[2]


def test_a_distribution_lies_on_the_pictures_axis() -> None:
    values = np.zeros((1, 384))
    values[0, 101] = 0.9
    high, at = pooled(values, 0.5)
    line = curve(high, at, base=10, reach=5, across=False)[0, 0]
    assert line[:, 1].max() == 15
    assert line[line[:, 1].argmax(), 0] == pytest.approx(50.5 + HALF, abs=1)
    across = curve(high, at, base=10, reach=5, across=True)[0, 0]
    assert (across == line[:, ::-1]).all()


def test_lanes_are_as_high_as_their_laws() -> None:
    """Many random errors: the histogram lies along the dashed law."""
    _, scene = scene_of(Controls(lens="laws", center="exact", count=4000))
    laws = layer_of(scene, "lanes", "laws").xy
    for lane, which in ((0, 0), (1, 1), (4, 3)):
        line = layer_of(scene, "lanes", f"lane_{lane}").xy[0]
        x0, x1 = laws[which][0][0], laws[which][3][0]
        inside = (line[:, 0] > x0 + 1e-3) & (line[:, 0] < x1 - 1e-3)
        assert np.median(line[inside, 1]) == pytest.approx(laws[which][1][1], abs=1.5)
        outside = (line[:, 0] < x0 - 1) | (line[:, 0] > x1 + 1)
        assert line[outside, 1] == pytest.approx(laws[which][0][1], abs=0.5)


def test_curves_end_where_the_table_does() -> None:
    result, scene = scene_of(DEMO.presets["laws"])
    xy = layer_of(scene, "oks", "oks").xy
    assert xy[:, 2, 1] == pytest.approx(result.curve[2], abs=1e-6)
    assert xy[0, :, 0].tolist() == [64, 128, 256, 384]


def test_the_plane_of_residuals_and_its_dots_agree() -> None:
    result, scene = scene_of(DEMO.presets["rle"])
    dots, r = layer_of(scene, "plane", "cloud").xy, result.residuals
    kept = ~np.isnan(dots[:, 0])
    assert (dots[kept] / 50 - 4) == pytest.approx(r.cloud[kept], abs=1e-4)
    codes = layer_of(scene, "plane", "density").codes
    row, column = np.unravel_index(r.fields[-1].argmin(), r.fields.shape[1:])
    assert codes[-1, row * 5 + 2, column * 5 + 2] <= codes[-1].min() + 1


def test_heads_are_drawn_at_their_joints() -> None:
    result, scene = scene_of(DEMO.presets["heads"])
    h = result.heads
    k = 6
    assert layer_of(scene, "figure", "truth").xy[k, 0] == pytest.approx(h.scene.keypoints[k] + HALF, abs=1e-4)
    box = layer_of(scene, "figure", "sigma").xyxy[k, 0]
    assert (box[2:] - box[:2]) / 2 == pytest.approx(h.sigma[k], abs=1e-4)
    line = layer_of(scene, "figure", "simcc_x").xy[k, 0]
    assert line[line[:, 1].argmax(), 0] == pytest.approx(h.found[2, k, 0] + HALF, abs=1e-4)
