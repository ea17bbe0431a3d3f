"""The tab on a visitor's own CUDA memory snapshot, good and hostile."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demos.kit.upload_errors import UploadError, error_sentence
from demos.systems.checkpointing import DEMO, Controls, run
from demos.systems.checkpointing_script import script_of
from demos.systems.checkpointing_snapshot import MIB, MOST_MOMENTS, SnapshotResult
from tests.snapshots import CODE_IN_IT, snapshot_of, training_step

ROOT = Path(__file__).parents[3]


@pytest.fixture
def controls(tmp_path: Path) -> Controls:
    path = tmp_path / "snapshot.pickle"
    path.write_bytes(training_step())
    return Controls(model="snapshot", snapshot=(str(path),))


def opened(c: Controls) -> SnapshotResult:
    result = run(c)
    assert isinstance(result, SnapshotResult)
    return result


def test_each_step_is_a_moment_of_the_trace(controls: Controls) -> None:
    result = opened(controls)
    events = result.snapshot.events
    assert result.moments == tuple(range(len(events) + 1))
    for moment, numbers in zip(result.moments, result.numbers, strict=True):
        by_key = {number.key: number.value for number in numbers}
        if moment:
            assert by_key["allocated_now"] == events[moment - 1].allocated_bytes / MIB
            assert by_key["reserved_now"] == events[moment - 1].reserved_bytes / MIB
        assert by_key["allocated_peak"] == 7.0
    places = result.places.places
    assert places[:2] == ("model.py:7 backward", "model.py:5 forward")


def test_the_picture_adds_up(controls: Controls) -> None:
    result = opened(controls)
    for language in ("en", "zh"):
        scene = DEMO.show(result, DEMO.text(language)).scene
        areas = scene.panes[0].layers[0]
        np.testing.assert_allclose(
            areas.edges[-1], [result.allocated(moment) / MIB for moment in result.moments], rtol=1e-6
        )
        assert scene.step == result.moments.index(result.peak)
        assert len(scene.captions) == scene.steps


def test_a_long_trace_keeps_its_peak_and_its_ends(tmp_path: Path) -> None:
    path = tmp_path / "long.pickle"
    sizes = np.random.default_rng(3).integers(1, 1 << 20, 4000)
    path.write_bytes(snapshot_of([("alloc", int(size), "model.py", i) for i, size in enumerate(sizes)]))
    result = opened(Controls(model="snapshot", snapshot=(str(path),)))
    assert len(result.moments) <= MOST_MOMENTS
    assert {0, result.peak, 4000} <= set(result.moments)
    assert result.allocated(4000) == sizes.sum()


@pytest.mark.parametrize("content", [b"", b"not a pickle", CODE_IN_IT, pickle.dumps([1, 2]), training_step()[:200]])
def test_what_is_no_snapshot_is_refused_in_a_sentence(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where the hostile one would leave its mark
    path = tmp_path / "bad.pickle"
    path.write_bytes(content)
    for language, words in (("en", "cannot be read"), ("zh", "无法读取")):
        with pytest.raises(UploadError) as caught:
            run(Controls(model="snapshot", snapshot=(str(path),)))
        assert words in error_sentence(caught.value.code, caught.value.fields, language)
    assert not (tmp_path / "ran").exists()


def test_the_hostile_pickle_would_run_if_it_were_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(CODE_IN_IT)
    assert (tmp_path / "ran").exists()


def test_without_a_file_it_says_how_to_make_one() -> None:
    with pytest.raises(UploadError) as caught:
        run(Controls(model="snapshot"))
    assert caught.value.code == "ckpt_no_snapshot"


def test_the_script_prints_the_numbers(controls: Controls, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(script_of(replace(controls, strategy="none")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    printed = json.loads(done.stdout)
    shown = {number.key: number.value for number in opened(controls).numbers[0]}
    assert printed == {key: shown[key] for key in printed}
    assert len(printed) == 4
