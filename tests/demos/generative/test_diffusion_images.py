"""Pictures into noise and back: the album, the optimal denoiser's memory, the network's digits."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from demos.generative.diffusion_images import DIGITS, SAMPLES, SIDE, ImageResult, loss_numbers, pictures_of
from demos.generative.diffusion_images_figures import as_rgb, tiles
from demos.generative.diffusion_script import script_of
from demos.generative.diffusion_trajectories import DEMO, run, show
from demos.kit.scene import Pane, Picture, Scene, Table
from demos.kit.text import Text
from demos.kit.upload_errors import UploadError
from tests.demos.test_contract import agrees, evaluate, printed_by, whole_view

PRESET = DEMO.presets["memoriser"]
NOISING, DIGIT = (replace(PRESET, album=album) for album in ("noising", "digits"))
EN = Text("en", DEMO.slug)


def by_key(scene: Scene) -> dict[str, Pane]:
    return {p.key: p for p in scene.panes}


def decoded(pane: Pane, step: int) -> np.ndarray:
    layer = pane.layers[0]
    assert isinstance(layer, Picture)
    frame = layer.frames[min(step, len(layer.frames) - 1)]
    return cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)  # type: ignore[index]


def test_the_optimal_denoiser_gives_its_pictures_back() -> None:
    """The failure that its preset is about."""
    result = run(PRESET)
    assert isinstance(result, ImageResult)
    assert result.curve is not None
    assert float(result.curve.distance.max()) < 1e-6
    entropy = [step[0].value for step in result.numbers]
    assert entropy[0] == pytest.approx(math.log(24), rel=0.1)
    assert entropy[-1] < 1e-6
    decided = result.numbers[0][3].value
    assert result.numbers[decided][2].value >= 0.99 > result.numbers[decided - 1][2].value
    for step in result.numbers[:6]:
        assert evaluate(step[0].filled) == pytest.approx(step[0].value, rel=1e-4)


def test_a_picture_becomes_undecided_only_in_much_noise() -> None:
    result = run(NOISING)
    assert len(result.numbers) == 52
    values = [{n.key: n.value for n in step} for step in result.numbers]
    assert values[0]["top_weight"] == 1
    assert math.isnan(values[0]["snr"])
    assert values[-1]["entropy"] > 0.95 * math.log(24)
    assert values[25]["snr"] == pytest.approx((values[25]["alpha"] / values[25]["sigma"]) ** 2)
    assert run(replace(NOISING, process="ve")).numbers[-1][2].value < 1e-3


def test_a_picture_of_ones_own_joins_the_album_and_is_the_one_that_is_noised(tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    rgb = np.zeros((50, 90, 3), np.uint8)
    rgb[:, 20:70] = (200, 30, 60)
    Image.fromarray(rgb).save(path)
    crops, own, _ = pictures_of(replace(NOISING, picture=(str(path),)))
    assert crops.shape == (25, SIDE, SIDE, 3)
    assert own == 24
    assert (crops[24] == (200, 30, 60)).all()
    assert pictures_of(replace(NOISING, crop=3))[1] == 2
    mine = replace(NOISING, picture=(str(path),))
    result = run(mine)
    assert result.data.shape == (25, SIDE * SIDE * 3)
    first = decoded(by_key(show(result, EN).scene)["noised"], 0)
    assert np.abs(first - (200, 30, 60)).max() <= 6
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no")
    with pytest.raises(UploadError):
        run(replace(NOISING, picture=(str(tmp_path / "broken.png"),)))


def test_an_upload_is_read_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)).save("photo.png")
    for c in (NOISING, PRESET):
        c = replace(c, picture=(str(tmp_path / "photo.png"),), process="ve")
        agrees(printed_by(script_of(c)), whole_view(DEMO, c))


def test_the_network_samples_new_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    result = run(DIGIT)
    assert result.novelty is not None
    assert result.novelty.copied == 0
    assert float(result.novelty.distance.min()) > 0.1
    assert result.states is not None
    assert result.states.shape == (19, DIGITS, 64)
    agrees(printed_by(script_of(DIGIT)), whole_view(DEMO, DIGIT))


def test_the_table_of_losses_is_the_report() -> None:
    result = run(DIGIT)
    report = result.report
    assert report is not None
    for k in range(len(report.sigmas)):
        train, optimum, excess, test, memoriser = (n.value for n in loss_numbers(report, k))
        assert train - optimum == pytest.approx(excess, abs=0.02)
        assert test >= train * 0.99
        assert memoriser > 0.1
    table = by_key(show(result, EN).scene)["losses"].layers[0]
    assert isinstance(table, Table)
    assert len(table.rows) == 6


def test_frames_are_the_records() -> None:
    result = run(PRESET)
    panes = by_key(show(result, EN).scene)
    last = tiles(as_rgb(result.steps[-1].x), SAMPLES).astype(int)
    assert np.abs(decoded(panes["states"], 18) - last).mean() < 4
    assert np.abs(decoded(panes["ends"], 0) - last).mean() < 4
    assert panes["album"].width == 13 * (SIDE + 1) - 1
    digits = run(DIGIT)
    sheet = tiles(as_rgb(digits.states[-1]), DIGITS // 3)
    assert (decoded(by_key(show(digits, EN).scene)["digits"], 18) == sheet).all()
