"""What the tab computes, in Python; the rules that all tabs share are in tests/demos/test_contract.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from demos.generative.diffusion_inputs import REACH, direction_of, process_of
from demos.generative.diffusion_trajectories import DEMO, PLACES, Controls, noise_point, run
from demos.kit.controls import ControlError, checked
from demos.kit.upload_errors import UploadError

START = DEMO.presets["start"]
ROOT = Path(__file__).parents[3]


def test_torch_waits_until_something_is_computed() -> None:
    code = "import sys; from demos import GROUPS; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize("process", ["vp", "subvp", "ve"])
@pytest.mark.parametrize("source", ["two_modes", "ring", "rocket"])
def test_both_lanes_have_the_exact_marginals_and_other_paths(process: str, source: str) -> None:
    result = run(replace(START, process=process, source=source, steps=100))
    assert max(result.agreement.reverse[-1], result.agreement.flow[-1]) < 1.5 * result.agreement.critical_one
    assert result.lanes.path_distance[0] == 0
    assert result.lanes.path_distance[-1] > 0.8
    assert torch.equal(result.lanes.reverse[0], result.lanes.flow[0])


def test_the_statistic_is_scipys_along_the_chosen_direction() -> None:
    c = replace(START, angle=120)
    result, u = run(c), np.array(direction_of(c))
    for k in (10, 50):
        a, b = (lane[k].numpy() @ u for lane in (result.lanes.reverse, result.lanes.flow))
        assert float(result.agreement.between[k]) == pytest.approx(stats.ks_2samp(a, b).statistic)


def test_without_noise_the_bundle_closes_and_with_it_the_weights_come_back() -> None:
    point = DEMO.presets["point"]
    tight, wide = (run(replace(point, stochasticity=v, paths=60)).bundle for v in (0.0, 1.0))
    assert tight is not None
    assert wide is not None
    assert float(tight.spread.max()) < 1e-9
    assert float(wide.spread[-1]) > 0.5
    assert abs(float(wide.shares[0]) - float(wide.law.weights[0, 0])) < 0.15
    assert float(wide.law.weights[0, 0]) == pytest.approx(0.8, abs=0.02)
    assert torch.equal(tight.flow, wide.flow)


def test_a_noise_point_is_where_it_was_chosen() -> None:
    for process in ("vp", "ve"):
        c = replace(DEMO.presets["point"], process=process, point=3 * PLACES + 30)
        model = process_of(c)
        x, y = (v / np.hypot(model.alpha(1.0), model.sigma(1.0)) for v in noise_point(c, model))
        assert x == pytest.approx((30.5 / PLACES * 2 - 1) * REACH)
        assert y == pytest.approx((1 - 3.5 / PLACES * 2) * REACH)
    assert run(replace(START, lens="point", point=PLACES * PLACES - 1)).bundle is not None


def test_the_ode_keeps_a_ripples_error_and_the_sde_forgets_it() -> None:
    """The failure that its preset is about, and that it is not a law."""
    flawed = DEMO.presets["flawed"]
    result = run(flawed)
    assert float(result.agreement.flow[-1]) == pytest.approx(0.28, abs=0.005)
    assert float(result.agreement.reverse[-1]) == pytest.approx(0.03, abs=0.005)
    late = [run(replace(flawed, error_kind="late", stochasticity=v)).agreement.reverse[-1] for v in (0.5, 1.0, 2.0)]
    assert late[0] < late[1] < late[2]
    assert float(run(replace(flawed, error_size=0.0)).agreement.flow[-1]) < 0.08


def test_seeds_and_the_number_of_particles_are_obeyed() -> None:
    few, many, other = (run(replace(START, **v)) for v in ({"particles": 40}, {}, {"seed": 6}))
    assert few.lanes.reverse.shape == (51, 40, 2)
    assert torch.allclose(few.lanes.reverse, many.lanes.reverse[:, :40], atol=1e-10)
    assert not torch.allclose(other.lanes.reverse, many.lanes.reverse)
    assert run(replace(START, particles=20, steps=5)).lanes.steps == 5


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"source": "photo"}, "diffusion_nothing_uploaded"),
        ({"source": "modes", "modes": "m0.x_m1.x"}, "diffusion_no_mode"),
    ],
)
def test_what_cannot_be_diffused_is_one_sentence(changed: dict, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        run(replace(START, **changed))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "values",
    [
        {"particles": 10**9},
        {"steps": 0},
        {"stochasticity": float("nan")},
        {"stochasticity": -0.1},
        {"point": PLACES * PLACES},
        {"source": "cifar"},
        {"process": "edm"},
        {"modes": "<b>"},
        {"paths": 0},
    ],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ControlError):
        checked(Controls, values)
