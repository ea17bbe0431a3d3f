"""The exported Python reproduces the screen, whatever was chosen: it is run, and its numbers are compared."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demos.kit.controls import spec_of
from demos.kit.drawings import write_painting
from demos.perception.segmentation_metrics import DEMO, Controls, run
from demos.perception.segmentation_numbers import numbers_of
from demos.perception.segmentation_script import script_of

ROOT = Path(__file__).resolve().parents[3]
STEPS = {"frame_miou", "cumulative_miou"}  # of one frame, not of the view


def printed(controls: Controls) -> dict[str, Any]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(script_of(controls), "exported.py", "exec"), {"__name__": "__main__"})
    return json.loads(said.getvalue())


def reproduces(controls: Controls) -> None:
    shown = {n.key: n.value for n in numbers_of(run(controls))[-1] if n.key not in STEPS}
    got = printed(controls)
    assert set(got) == set(shown)
    for key, value in shown.items():
        assert value is not None
        assert (math.isnan(got[key]) and math.isnan(value)) or math.isclose(got[key], value, rel_tol=1e-12), key


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def choices(name: str) -> tuple[str, ...]:
    return spec_of(Controls.__dataclass_fields__[name]).options


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {
            "source": st.sampled_from(["rocket", "worked", "ellipse"]),
            "predictor": st.sampled_from(["degrade", "given", "paint"]),
            "grow": st.integers(-4, 4),
            "shift_x": st.integers(-9, 9),
            "shift_y": st.integers(-9, 9),
            "drop_class": st.integers(-1, 6),
            "salt": st.sampled_from([0.0, 0.25]),
            "all_background": st.booleans(),
            "absent": st.sampled_from(choices("absent")),
            "predicted_only": st.sampled_from(choices("predicted_only")),
            "background": st.sampled_from(choices("background")),
            "accumulation": st.sampled_from(choices("accumulation")),
            "extra": st.sampled_from(choices("extra")),
            "instances": st.sampled_from(choices("instances")),
            "class_id": st.integers(0, 7),
            "dilation_ratio": st.sampled_from([0.001, 0.02]),
        }
    )
)
def test_any_choice_is_reproduced(values: dict[str, Any]) -> None:
    reproduces(Controls(**values))


@pytest.mark.parametrize("predictor", ["kmeans", "watershed", "grabcut", "person"])
def test_segmenters_are_reproduced(predictor: str) -> None:
    reproduces(Controls(source="rocket", predictor=predictor, clusters=3, extra="none"))


@pytest.mark.parametrize("lag", [0, 5])
@pytest.mark.parametrize("accumulation", choices("accumulation"))
def test_clips_are_reproduced(lag: int, accumulation: Any) -> None:
    reproduces(Controls(source="clip", predictor="given", lag=lag, accumulation=accumulation))


def test_degraded_clips_are_reproduced() -> None:
    reproduces(Controls(source="clip", grow=1, shift_x=3, background="ignored", extra="panoptic"))


def test_painted_predictions_are_reproduced() -> None:
    drawn = np.zeros((427, 640), np.uint8)
    drawn[100:400, 300:340] = 1
    reproduces(Controls(source="rocket", predictor="paint", painted=write_painting(drawn)))


@pytest.mark.parametrize(
    "options",
    [
        {"predictor": "given"},
        {"predictor": "degrade", "grow": 1, "salt": 0.1},
        {"predictor": "given", "background": "ignored", "absent": "zero"},
        {"predictor": "given", "ignore_index": 2},
        {"predictor": "given", "ignore_index": -1},
        {"predictor": "given", "extra": "panoptic"},
        {"predictor": "given", "extra": "panoptic", "background": "excluded"},
        {"predictor": "given", "extra": "panoptic", "instances": "ids"},
        {"predictor": "given", "extra": "panoptic", "instances": "ids", "background": "ignored"},
        {"predictor": "degrade", "extra": "panoptic", "instances": "ids"},
    ],
)
def test_uploads_are_reproduced_beside_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    for name in ("truth", "prediction"):  # namesakes, as data sets have them
        (tmp_path / name).mkdir()
        labels = rng.integers(0, 4, (20, 30), np.uint8).astype(np.int32)
        if options.get("instances") == "ids":
            labels = np.where(labels == 0, 0, labels * 1000 + labels)
        np.save(tmp_path / name / "mask.npy", labels)
    controls = Controls(
        source="files",
        truth_files=(str(tmp_path / "truth" / "mask.npy"),),
        prediction_files=(str(tmp_path / "prediction" / "mask.npy"),),
        **options,
    )
    assert str(tmp_path) not in script_of(controls)  # where the server keeps uploads is nobody's business
    wanted = {n.key: n.value for n in numbers_of(run(controls))[-1]}
    monkeypatch.chdir(tmp_path)
    got = printed(controls)
    assert got == pytest.approx(wanted, rel=1e-12, nan_ok=True)


@pytest.mark.parametrize("predictor", ["grabcut", "kmeans", "watershed", "degrade", "paint", "person"])
def test_painted_truths_are_reproduced_beside_their_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predictor: str
) -> None:
    picture = np.random.default_rng(4).integers(0, 60, (40, 50, 3), np.uint8)
    picture[10:30, 10:40] += 150
    (tmp_path / "photo").mkdir()
    Image.fromarray(picture).save(tmp_path / "photo" / "photo.png")
    drawn = np.zeros((40, 50), np.uint8)
    drawn[10:30, 10:40] = 1
    controls = Controls(
        source="files",
        photo=(str(tmp_path / "photo" / "photo.png"),),
        truth_painted=write_painting(drawn),
        painter="truth",
        predictor=predictor,
        box="5,5,45,35",
    )
    wanted = {n.key: n.value for n in numbers_of(run(controls))[-1]}
    monkeypatch.chdir(tmp_path)
    assert printed(controls) == pytest.approx(wanted, rel=1e-12, nan_ok=True)


def test_scripts_are_short_and_import_what_they_use() -> None:
    for controls in DEMO.presets.values():
        script = script_of(controls)
        assert len(script.splitlines()) <= 36
        assert max(map(len, script.splitlines())) <= 140
        compile(script, "exported.py", "exec")
        assert "gradio" not in script


@pytest.mark.parametrize(
    "hostile",
    ["x');import os;('", '";import os;"', "\n import os\n", "{__import__('os')}", "a\\", "\u2028", "日本語.png", "'''"],
)
def test_names_of_files_are_data(hostile: str) -> None:
    import ast

    controls = replace(
        Controls(source="files", predictor="given"), truth_files=(f"/tmp/{hostile}",), photo=(f"C:\\{hostile}",)
    )
    tree = ast.parse(script_of(controls))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"json", "numpy"}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & {"__import__", "exec", "eval"}
