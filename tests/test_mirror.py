"""Nothing without its twin: modules and tests, assets and their origin, goldens and presets."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from demos import GROUPS
from training import make_example_masks

ROOT = Path(__file__).resolve().parents[1]
ASSETS, GOLDEN = ROOT / "assets", ROOT / "tests" / "golden"
SOURCES = (ASSETS / "SOURCES.md").read_text(encoding="utf-8")
MODULES = sorted(path for top in ("core", "demos") for path in (ROOT / top).rglob("*.py") if path.name != "__init__.py")
# Modules that have no public behaviour of their own: they are the inside of a reader, and tested as that reader.
TESTED_AS = {
    "demos/kit/scene.py": "tests/demos/kit/test_stage.py",
    "demos/perception/segmentation_tables_figures.py": "tests/demos/perception/test_segmentation_metrics_figures.py",
    "demos/systems/flash_attention_blocks.py": "tests/demos/systems/test_flash_attention.py",
    "demos/systems/flash_attention_decode_figures.py": "tests/demos/systems/test_flash_attention_figures.py",
    "demos/systems/flash_attention_tables_figures.py": "tests/demos/systems/test_flash_attention_figures.py",
    "demos/systems/flash_attention_tray_figures.py": "tests/demos/systems/test_flash_attention_figures.py",
    "demos/systems/checkpointing_tables_figures.py": "tests/demos/systems/test_checkpointing_figures.py",
    "demos/systems/checkpointing_snapshot_figures.py": "tests/demos/systems/test_checkpointing_snapshot.py",
    "demos/systems/checkpointing_numbers.py": "tests/demos/systems/test_checkpointing.py",
    "demos/systems/checkpointing_script.py": "tests/demos/systems/test_checkpointing.py",
    "demos/perception/detr_matching_tables_figures.py": "tests/demos/perception/test_detr_matching_figures.py",
    "demos/perception/simcc_curves_figures.py": "tests/demos/perception/test_simcc_figures.py",
    "demos/perception/simcc_heads_figures.py": "tests/demos/perception/test_simcc_figures.py",
    "demos/perception/simcc_residuals_figures.py": "tests/demos/perception/test_simcc_figures.py",
    "demos/perception/simcc_guesses.py": "tests/demos/perception/test_simcc_numbers.py",
    "demos/generative/diffusion_images_figures.py": "tests/demos/generative/test_diffusion_images.py",
    "demos/generative/diffusion_line_figures.py": "tests/demos/generative/test_diffusion_line.py",
    "demos/generative/diffusion_samplers_figures.py": "tests/demos/generative/test_diffusion_samplers.py",
    "demos/generative/diffusion_likelihood_figures.py": "tests/demos/generative/test_diffusion_likelihood.py",
    "demos/generative/diffusion_plane_figures.py": "tests/demos/generative/test_diffusion_trajectories_figures.py",
    "demos/generative/diffusion_tables_figures.py": "tests/demos/generative/test_diffusion_trajectories_figures.py",
    "demos/generative/score_langevin_net_figures.py": "tests/demos/generative/test_score_langevin_net.py",
    "demos/generative/score_langevin_tables_figures.py": "tests/demos/generative/test_score_langevin_figures.py",
    "demos/kit/upload_errors.py": "tests/demos/kit/test_uploads.py",
    "demos/kit/mask_files.py": "tests/demos/kit/test_masks.py",
    "demos/kit/palettes.py": "tests/demos/kit/test_masks.py",
}
MOST_BYTES = 1_500_000
LARGE = {"models/pose_landmarks.safetensors": 2_800_000}  # 1.36 million weights in half precision
OURS = (
    *("stage/", "text/", "masks/", "recordings/", "models/tiny_detr.", "models/tiny_pose."),
    *("receipts.json", "screenshot.png", "SOURCES.md"),
)
ROW = re.compile(r"^\| (\S+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def assets() -> list[Path]:
    return sorted(path for path in ASSETS.rglob("*") if path.is_file() and not path.name.startswith("."))


def twin(path: Path) -> Path:
    inside = path.relative_to(ROOT)
    return ROOT / TESTED_AS.get(inside.as_posix(), Path("tests", inside).with_name(f"test_{inside.name}").as_posix())


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_every_module_has_its_test(path: Path) -> None:
    test = twin(path)
    assert test.is_file(), f"{relative(test)} is missing"
    text = test.read_text(encoding="utf-8")
    assert "def test_" in text
    assert path.stem in text or relative(path) in TESTED_AS, f"{relative(test)} never names {path.stem}"


def test_no_test_outlives_its_module() -> None:
    """Every test below tests/core and tests/demos belongs to a module."""
    wanted = {twin(path) for path in MODULES}
    found = {path for top in ("core", "demos") for path in (ROOT / "tests" / top).rglob("test_*.py")}
    assert sorted(map(relative, found - wanted)) == []


def test_exceptions_are_needed() -> None:
    assert [name for name in TESTED_AS if not (ROOT / name).is_file()] == []


def test_every_foreign_asset_is_listed_and_unchanged() -> None:
    listed = {file: sha for file, _, _, _, sha in ROW.findall(SOURCES)}
    foreign = {path.relative_to(ASSETS).as_posix() for path in assets()}
    foreign = {name for name in foreign if not name.startswith(OURS)}
    assert foreign == set(listed)
    for name, sha in listed.items():
        assert hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() == sha, name


def test_origin_and_licence_are_told() -> None:
    for file, origin, licence, changed, _ in ROW.findall(SOURCES):
        assert re.search(r"CC0|public domain|CC BY|MIT|Apache|BSD", licence), file
        assert len(origin) > 10, file
        assert changed.strip(), file


def test_our_own_assets_name_how_they_are_made() -> None:
    own = SOURCES.split("## Made by this project")[1]
    for path in (ASSETS / "masks").glob("*"):
        assert f"masks/{path.name}" in own
    for script in re.findall(r"python -m (\S+?)`", own):
        assert (ROOT / (script.replace(".", "/") + ".py")).is_file()


@pytest.mark.parametrize("path", assets(), ids=lambda path: path.relative_to(ASSETS).as_posix())
def test_no_asset_is_large(path: Path) -> None:
    assert 0 < path.stat().st_size <= LARGE.get(path.relative_to(ASSETS).as_posix(), MOST_BYTES)


@pytest.mark.parametrize("name", ["coffee", "rocket"])
def test_photographs_are_the_originals_re_encoded(name: str) -> None:
    """JPEG at quality 88 again from scikit-image's own file gives the same picture to within rounding."""
    data = Path(pytest.importorskip("skimage").__file__).parent / "data"
    original = next(data.glob(f"{name}.*"))
    with Image.open(original) as image:
        before = np.asarray(image.convert("RGB"))
    with Image.open(ASSETS / "images" / f"{name}.jpg") as image:
        after = np.asarray(image.convert("RGB"))
    assert before.shape == after.shape
    done, encoded = cv2.imencode(".jpg", before[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    again = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert again is not None
    again = again[..., ::-1]
    assert np.abs(after.astype(int) - again).mean() < 0.5


@pytest.mark.parametrize("name", ["coffee", "rocket"])
def test_masks_are_drawn_by_their_script(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_example_masks, "MASKS", tmp_path)
    make_example_masks.main()
    with Image.open(tmp_path / f"{name}.png") as drawn, Image.open(ASSETS / "masks" / f"{name}.png") as kept:
        assert drawn.mode == kept.mode == "P"
        assert (np.asarray(drawn) == np.asarray(kept)).all()
        assert drawn.getpalette() == kept.getpalette()


def test_goldens_and_presets_are_one_to_one() -> None:
    wanted = {f"{demo.slug}/{preset}.json" for group in GROUPS.values() for demo in group for preset in demo.presets}
    found = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*") if path.is_file()}
    assert found == wanted


def test_texts_belong_to_demos() -> None:
    slugs = {demo.slug for group in GROUPS.values() for demo in group}
    for language in (path for path in (ASSETS / "text").iterdir() if path.is_dir()):
        names = {path.name for path in language.iterdir()}
        assert names == {"labels.json", "errors.json"} | {f"{s}.json" for s in slugs} | {f"{s}.md" for s in slugs}
