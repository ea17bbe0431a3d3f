"""Ready distributions, arranged modes, pictures good and bad."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos.generative.diffusion_inputs import MODES, MOST_MODES, REACH, SHAPES, modes_of, process_of, source_of
from demos.generative.diffusion_trajectories import DEMO
from demos.kit.upload_errors import UploadError

START = DEMO.presets["start"]


def test_ready_shapes_lie_in_the_view() -> None:
    for name in SHAPES:
        mixture = source_of(replace(START, source=name)).mixture
        assert float(mixture.means.abs().max()) < REACH - 0.5, name
        assert float(mixture.weights.sum()) == pytest.approx(1)


def test_modes_are_where_their_boxes_are() -> None:
    source = source_of(replace(START, source="modes"))
    assert [(m.x, m.y, m.std_x, m.std_y, m.weight) for m in source.modes] == list(MODES)
    moved = source_of(replace(START, source="modes", modes="m1.3.2500.7500.3500.8500_mn0.0.4000.4000.6000.5000"))
    assert moved.mixture.weights.tolist() == pytest.approx([8 / 13, 4 / 13, 1 / 13])
    assert moved.mixture.means[1].tolist() == pytest.approx([-0.4 * REACH, -0.6 * REACH])
    assert moved.mixture.means[2].tolist() == pytest.approx([0, 0.1 * REACH])
    assert sorted(moved.mixture.covariances[2].diagonal().tolist()) == pytest.approx(
        [(0.1 * REACH / 2) ** 2, (0.2 * REACH / 2) ** 2]
    )
    assert [m.id for m in modes_of("m0.x")] == ["1"]
    assert [m.id for m in modes_of("m7.0.1.1.2.2")] == ["0", "1"]  # no such mode


def test_what_is_no_arrangement_is_refused() -> None:
    many = "_".join(f"mn{k}.0.1000.1000.2000.2000" for k in range(MOST_MODES))
    for text, code in (
        ("m0.x_m1.x", "diffusion_no_mode"),
        ("t0.0.1.1.2.2", "drawing_broken"),
        ("m0.9.1000.1000.2000.2000", "drawing_broken"),
        (many, "diffusion_too_many_modes"),
    ):
        with pytest.raises(UploadError) as caught:
            modes_of(text)
        assert caught.value.code == code


def test_a_picture_becomes_its_bright_or_dark_pixels(tmp_path: Path) -> None:
    rgb = np.zeros((60, 80, 3), np.uint8)
    rgb[:, 60:] = 255
    path = tmp_path / "bar.png"
    Image.fromarray(rgb).save(path)
    bright, dark = (source_of(replace(START, source="photo", photo=(str(path),), dark=v)) for v in (False, True))
    assert bright.mixture.means[:, 0].min() > 0.9
    assert dark.mixture.means[:, 0].max() < 1.3
    assert bright.photo is not None
    flat = tmp_path / "flat.png"
    Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(flat)
    for file, code in ((flat, "diffusion_flat_picture"), (None, "diffusion_nothing_uploaded")):
        with pytest.raises(UploadError) as caught:
            source_of(replace(START, source="photo", photo=(str(file),) if file else ()))
        assert caught.value.code == code


def test_processes_are_the_references() -> None:
    names = [process_of(replace(START, process=p)).name for p in ("vp", "subvp", "ve")]
    assert names == ["VP", "sub-VP", "VE"]
