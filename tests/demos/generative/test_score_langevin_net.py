"""A network beside the exact score, while it is trained and afterwards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from demos.generative import score_langevin_net
from demos.generative.score_langevin import DEMO
from demos.generative.score_langevin_net import NetResult, run_net
from demos.generative.score_langevin_net_figures import _outlines, show_net

NET = replace(DEMO.presets["net"], updates=300, levels=5, seed=2)


def test_the_network_is_wrong_where_there_are_no_data() -> None:
    result = run_net(replace(NET, updates=1000, levels=10, seed=0))
    last = result.maps[-1]
    assert last.rms_outside > 5 * last.rms_inside
    assert result.maps[0].area_inside > 0.9  # at high noise the data are everywhere


def test_interim_networks_are_published_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NetResult] = []
    monkeypatch.setattr(score_langevin_net, "publish", seen.append)
    final = run_net(replace(NET, seed=3))
    assert [r.training.last.index for r in seen] == list(range(0, 300, 15))
    assert seen[0].training.last.excess > 4 * final.training.last.excess
    for result in (seen[0], seen[5], final):
        scene = show_net(result, DEMO.text("en")).scene
        assert scene.steps == len(result.numbers) == 5
        chart = next(pane for pane in scene.panes if pane.key == "training")
        assert chart.axes.x == (0.0, 300.0)
    assert np.isfinite(final.training.last.loss)


def test_an_untrained_network_is_shown_as_zero() -> None:
    result = run_net(replace(NET, updates=0))
    assert not result.learned.arrows.any()
    assert show_net(result, DEMO.text("zh")).scene.captions


def test_a_regions_edge_is_a_closed_line() -> None:
    cells = np.zeros((2, 4, 4), bool)
    cells[0, 1:3, 1] = True
    cells[1, 0, 0] = True
    lines = _outlines(cells)
    assert lines.shape[0] == 2
    for sheet, length in ((lines[0, 0], 6 * 250), (lines[1, 0], 4 * 250)):
        ends = sheet.reshape(-1, 3, 2)[:, :2]
        ends = ends[~np.isnan(ends).any((1, 2))]
        assert np.abs(ends[:, 1] - ends[:, 0]).sum() == length
        corners, counts = np.unique(ends.reshape(-1, 2), axis=0, return_counts=True)
        assert (counts % 2 == 0).all()
        assert corners.min() >= 0
    assert {tuple(p) for p in lines[1, 0][~np.isnan(lines[1, 0]).any(1)].tolist()} == {
        (0, 0),
        (250, 0),
        (0, 250),
        (250, 250),
    }
