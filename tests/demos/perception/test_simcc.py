"""demos.perception.simcc: what each lens computes, and how long a drag takes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.perception.joint_readings import DECODERS
from demos.contract import attempt
from demos.kit.drawings import write_way
from demos.kit.stage import decode, message_of
from demos.perception.simcc import DEMO, Controls, run

ARGMAX, SHIFT, DARK, SOFT, SIMCC, REGRESSION = range(len(DECODERS))


def off(controls: Controls) -> np.ndarray:
    """(D,) mean distance over the way."""
    return np.array([trail.mean_distance[-1] for trail in run(controls).trails])


def test_the_opening_view_shows_what_its_note_says() -> None:
    mean = off(Controls())
    assert mean[ARGMAX] == mean[SHIFT] == pytest.approx(mean[DARK], abs=1e-3) == pytest.approx(1.53, abs=0.12)
    assert mean[SIMCC] == pytest.approx(0.19, abs=0.03)
    assert mean[REGRESSION] == 0


def test_what_is_not_rounded_is_found() -> None:
    mean = off(DEMO.presets["exact"])
    assert mean[DARK] < 0.01
    assert mean[SIMCC] < 0.01
    assert mean[SHIFT] == pytest.approx(0.76, abs=0.1)
    assert mean[SOFT] < 1  # β = 40


def test_the_ghost_is_where_neither_is() -> None:
    result = run(DEMO.presets["ghost"])
    assert result.readings is not None
    ghost, truth, second = result.readings.found[SIMCC], result.readings.truth, result.readings.second
    assert (np.hypot(*(ghost - truth).T) > 10).all()
    assert (np.hypot(*(ghost - second).T) > 10).all()
    assert np.allclose(result.readings.found[REGRESSION], (truth + second) / 2)


def test_the_flow_learns_more_than_l1_and_l2_assume() -> None:
    state = torch.random.get_rng_state()
    residuals = run(DEMO.presets["rle"]).residuals
    assert torch.equal(torch.random.get_rng_state(), state)  # others draw from the global generator
    assert residuals is not None
    assert residuals.fit[-1, 0] < residuals.fit[-1, 1:3].min() - 0.2
    assert residuals.fit[0, 0] == pytest.approx(residuals.fit[0, 2], abs=0.05)  # untrained: nearly the Gaussian
    assert residuals.updates == (0, 10, 25, 50, 75, 100)


def test_the_network_answers_for_a_hidden_wrist_too() -> None:
    heads = run(replace(DEMO.presets["heads"], occluded=True)).heads
    assert heads is not None
    assert (heads.scene.visible == 1).any()
    assert np.isfinite(heads.found).all()
    assert heads.simcc_x.sum(axis=1) == pytest.approx(1)
    assert (heads.sigma > 0.1).all()
    assert (heads.sigma < 20).all()


@pytest.mark.parametrize(
    ("lens", "changed"),
    [
        *itertools.product(
            ("joint", "laws"),
            (
                {"bins": "gaussian"},
                {"bins": "gaussian_dark", "split_ratio": 1.5},
                {"input": "64x64", "beta": 0.0},
                {"input": "288x384", "border": "mmpose", "sigma": 4.0},
                {"smoothing": 0.9, "split_ratio": 4.0},
            ),
        ),
        ("joint", {"noise": 1.0, "share": 0.4}),
        ("joint", {"way": write_way(np.array([[0, 0], [9999, 9999]]))}),
        ("joint", {"input": "64x64", "way": write_way(np.array([[0, 9999]]))}),
        ("rle", {"updates": 0, "density": "product", "variant": "official"}),
        ("heads", {"figure": 17, "occluded": True}),
    ],
)
def test_any_view_can_be_drawn(lens: str, changed: dict[str, object]) -> None:
    controls = {**{name: getattr(Controls(lens=lens), name) for name in Controls.__dataclass_fields__}, **changed}
    for language in ("en", "zh"):
        (value, *_) = attempt(DEMO, language, controls)
        assert message_of(value) is None, message_of(value)
        assert len(value) * 3 // 4 < 300_000
        header, _ = decode(value)
        assert header["scene"]["panes"]


def test_what_cannot_be_used_is_said_in_one_sentence() -> None:
    (value, *_) = attempt(DEMO, "en", {"source": "files"})
    assert "Upload a photo" in (message_of(value) or "")
    (value, *_) = attempt(DEMO, "en", {"way": "1.2.3"})
    assert message_of(value)
