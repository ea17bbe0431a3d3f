"""The measurement says where it was made; recordings are read as they were written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demos.systems import flash_attention_measured
from demos.systems.flash_attention_measured import BLOCKS, measured, memory, recordings


def test_it_is_measured_once_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_attention_measured, "TOKENS", (16, 32))
    flash_attention_measured._measure.cache_clear()
    found = measured()
    assert found.device
    assert "torch" in found.versions
    assert set(found.seconds) == {"standard", "tiled", "sdpa"}
    assert all(len(times) == 2 and min(times) > 0 for times in found.seconds.values())
    assert found.bytes_per_s > 1e8
    assert found.flops_per_s > 1e8
    for n, standard, tiled in zip(found.tokens, found.least["standard"], found.least["tiled"], strict=True):
        products = 4 * n * n * found.d * found.heads / found.flops_per_s
        matrix = 4 * n * n * 4 * found.heads / found.bytes_per_s  # S and P, written and read
        assert standard >= max(products, matrix)
        assert tiled >= products
        assert tiled <= standard
    assert measured() is found
    flash_attention_measured._measure.cache_clear()


def test_memory_grows_with_n_when_tiled_and_with_its_square_when_not() -> None:
    found = memory()
    assert found.device
    assert set(found.peak_bytes) == {"standard", "tiled", "sdpa"}
    matrix = [4 * found.heads * n * n for n in found.tokens]
    vectors = [4 * found.heads * n * found.d for n in found.tokens]
    for i, n in enumerate(found.tokens):
        standard, tiled, sdpa = (found.peak_bytes[way][i] for way in ("standard", "tiled", "sdpa"))
        assert standard >= 2 * matrix[i]  # S and P
        assert vectors[i] <= sdpa  # the output
        if found.counted == "storages":  # counted by hand: O, its unscaled state, statistics and a few tiles
            tile = 4 * found.heads * min(n, BLOCKS[0]) * min(n, BLOCKS[1])
            assert vectors[i] <= tiled <= 4 * vectors[i] + 6 * tile
            assert sdpa <= 2 * vectors[i] + 8 * found.heads * n
    assert memory() is found


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
