"""demos.perception.detr_matching_script: the exported Python prints the numbers of any view, not only of presets."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from demos.perception.detr_matching import DEMO, Controls
from demos.perception.detr_matching_script import script_of
from tests.demos.test_contract import agrees, printed_by, whole_view

ROOT = Path(__file__).resolve().parents[3]
VARIANTS = {
    "focal": {"kind": "sigmoid_focal"},
    "dragged": {"boxes": "p0.1.1000.1000.4000.4000_t1.2.200.300.2000.3000"},
    "noisy": {"predictor": "noisy", "noise": 0.4, "source": "coffee"},
    "few": {"predictor": "noisy", "queries": 2},
}


@pytest.mark.parametrize(("lens", "variant"), [*itertools.product(("match", "solver", "loss", "nms"), VARIANTS)])
def test_other_views_are_reproduced_too(lens: str, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    controls = replace(Controls(lens=lens), **VARIANTS[variant])
    agrees(printed_by(script_of(controls)), whole_view(DEMO, controls))


@pytest.mark.parametrize("view", ["decoder", "encoder_row", "encoder_column"])
def test_attention_is_reproduced(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    controls = Controls(lens="attention", view=view)
    agrees(printed_by(script_of(controls)), whole_view(DEMO, controls))


def test_the_puzzle_is_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    controls = replace(DEMO.presets["greedy"], pairs="0.0_1.1_2.2")
    agrees(printed_by(script_of(controls)), whole_view(DEMO, controls))


def test_uploads_go_by_their_own_names() -> None:
    script = script_of(Controls(source="files", predictor="noisy", photo=("/secret/place/my photo.png",)))
    assert "photo/my photo.png" in script
    assert "secret" not in script
