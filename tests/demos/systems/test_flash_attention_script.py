"""The exported Python says what the screen says, under every control."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos.systems.flash_attention import DEMO, Controls
from demos.systems.flash_attention_script import script_of
from tests.demos.test_contract import ROOT, agrees, printed_by, whole_view

SMALL = Controls(tokens=19, block_q=4, block_k=5, channels=5)


@pytest.mark.parametrize(
    "changed",
    [
        {"causal": True, "order": "fa1", "initial": "skipped", "heads": 12},
        {"key_order": "right", "dtype": "bfloat16", "threshold": 2.0},
        {"key_order": "shuffled", "seed": 9, "spread": 4.0},
        {"blocks": "paper", "chip_bytes": 2048, "dtype": "float16"},
        {"blocks": "largest", "chip": "rtx4090", "placement": "shared_memory", "tokens": 80},
        {"keys": 33, "causal": True, "state": "same", "dtype": "float64"},
        {"source": "rocket", "patches": 5, "sharpness": 3.0},
    ],
)
def test_the_script_carries_every_control(changed: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    c = replace(SMALL, **changed)
    agrees(printed_by(script_of(c)), whole_view(DEMO, c))


def test_uploads_are_read_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("qkv.npz", **{name: rng.standard_normal((2, 9, 4)) for name in "qkv"})
    Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).save("photo.png")
    for c in (
        replace(SMALL, source="arrays", arrays=(str(tmp_path / "qkv.npz"),), head=1),
        replace(SMALL, source="photo", photo=(str(tmp_path / "photo.png"),), patches=4),
    ):
        agrees(printed_by(script_of(c)), whole_view(DEMO, c))


@pytest.mark.parametrize("direction", ["forward", "backward", "decode"])
@pytest.mark.parametrize("block", [4, 100])
def test_every_direction_prints_its_numbers(direction: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    c = replace(SMALL, direction=direction, block_q=block, block_k=block, causal=True)
    agrees(printed_by(script_of(c)), whole_view(DEMO, c))
