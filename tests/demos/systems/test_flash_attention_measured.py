"""The measurement says where it was made; recordings are read as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demos.systems import flash_attention_measured
from demos.systems.flash_attention_measured import measured, recordings


def test_it_is_measured_once_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_attention_measured, "TOKENS", (16, 32))
    flash_attention_measured._measure.cache_clear()
    found = measured()
    assert found.device
    assert "torch" in found.versions
    assert set(found.seconds) == {"standard", "tiled", "sdpa"}
    assert all(len(times) == 2 and min(times) > 0 for times in found.seconds.values())
    assert measured() is found
    flash_attention_measured._measure.cache_clear()


def test_recordings_are_read_and_nothing_is_made_up(tmp_path: Path) -> None:
    assert recordings(tmp_path / "nowhere") == ()
    assert recordings(tmp_path) == ()
    data = {
        "device": "NVIDIA X",
        "date": "2026-01-01",
        "versions": "torch 9",
        "tokens": [1, 2],
        "seconds": {"sdpa": [0.1, None]},
        "peak_bytes": {"sdpa": [5, None]},
    }
    (tmp_path / "flash-attention-x.json").write_text(json.dumps(data), encoding="utf-8")
    (tmp_path / "another-topic.json").write_text("{}", encoding="utf-8")
    (found,) = recordings(tmp_path)
    assert (found.device, found.tokens, found.seconds["sdpa"]) == ("NVIDIA X", (1, 2), (0.1, None))
