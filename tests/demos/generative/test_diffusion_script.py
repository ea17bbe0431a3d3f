"""The exported Python says what the screen says, under every control."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos.generative.diffusion_script import script_of
from demos.generative.diffusion_trajectories import DEMO, Controls
from tests.demos.test_contract import ROOT, agrees, printed_by, whole_view

SMALL = Controls(particles=40, steps=12)


@pytest.mark.parametrize("lens", ["lanes", "point", "line", "samplers", "likelihood"])
@pytest.mark.parametrize(
    "changed",
    [
        {"process": "subvp", "stochasticity": 0.4, "angle": 100},
        {"process": "ve", "source": "grid", "seed": 9},
        {"error_kind": "late", "error_size": 0.5, "source": "three_modes"},
        {"source": "modes", "modes": "m0.4.1000.1000.4000.4000", "paths": 5, "point": 77},
        {"source": "rocket", "dark": True},
        {"divergence": "estimated", "probe": "gaussian", "tolerance": "1e-3", "sample": 4, "eta": 0.5},
    ],
)
def test_the_script_carries_every_control(lens: str, changed: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    c = replace(SMALL, lens=lens, **changed)
    agrees(printed_by(script_of(c)), whole_view(DEMO, c))


def test_an_upload_is_read_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)).save("photo.png")
    c = replace(SMALL, source="photo", photo=(str(tmp_path / "photo.png"),))
    agrees(printed_by(script_of(c)), whole_view(DEMO, c))
