"""On a line: the sheet is the density, ODE paths never cross, both lanes have it as their marginal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.generative.probability_flow import quantile_flow
from demos.generative.diffusion_inputs import REACH
from demos.generative.diffusion_line import CELLS, LineResult
from demos.generative.diffusion_line_figures import HEIGHT, SHOWN
from demos.generative.diffusion_trajectories import DEMO, run, show
from demos.kit.scene import Labels, Paths
from demos.kit.text import Text

LINE = replace(DEMO.presets["start"], lens="line", source="three_modes", steps=60)
EN = Text("en", DEMO.slug)


@pytest.mark.parametrize("process", ["vp", "ve"])
def test_the_sheet_is_a_density_at_every_time(process: str) -> None:
    result = run(replace(LINE, process=process))
    assert isinstance(result, LineResult)
    sums = result.sheet.sum(1) * 2 * REACH / CELLS
    assert sums.tolist() == pytest.approx([1.0] * 61, abs=0.03)
    assert float(result.agreement.flow[-1]) < 1.5 * result.agreement.critical_one


def test_paths_of_the_ode_never_cross_and_are_the_quantile_map() -> None:
    result = run(LINE)
    start, end = result.lanes.flow[0, :, 0], result.lanes.flow[-1, :, 0]
    assert bool((end[start.argsort()].diff() > 0).all())
    exact = quantile_flow(result.source.mixture, result.process, result.lanes.flow[0], t_from=1.0, t_to=1e-3)
    assert float((result.lanes.flow[-1] - exact).abs().median()) < 0.01
    crossed = result.lanes.reverse[-1, :, 0][start.argsort()].diff()
    assert bool((crossed < 0).any())


def test_pictures_are_the_records() -> None:
    result = run(LINE)
    panes = {p.key: p for p in show(result, EN).scene.panes}
    field, paths = panes["flow"].layers[:2]
    assert isinstance(field, Labels)
    assert isinstance(paths, Paths)
    assert field.codes.shape == (CELLS, 61)
    top = int(result.sheet[-1].argmax())
    assert int(field.codes[:, -1].argmax()) == pytest.approx(CELLS - 1 - top, abs=2)
    assert paths.xy.shape == (SHOWN, 61, 2)
    y = (1 - result.lanes.flow[60, 3, 0].item() / REACH) * HEIGHT / 2
    assert paths.xy[3, 60, 1] == pytest.approx(y, rel=1e-4)
    assert np.all(np.diff(paths.xy[0, :, 0]) > 0)
