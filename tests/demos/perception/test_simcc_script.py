"""demos.perception.simcc_script: the exported Python prints the numbers of any view, not only of presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from demos.perception.simcc import DEMO, Controls
from demos.perception.simcc_script import script_of
from tests.demos.test_contract import agrees, printed_by, whole_view

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    "controls",
    [
        Controls(way="4000.4000_4100.4100", noise=0.2, share=0.3, bins="gaussian_dark", seed=3),
        Controls(way="4000.4000", split_ratio=3.0, input="64x64"),
        Controls(lens="laws", bins="gaussian", count=200, input="64x64"),
        Controls(lens="rle", cloud="laplace", updates=0, variant="mmpose"),
        Controls(lens="heads", figure=3, occluded=True),
    ],
    ids=["way", "one", "laws", "rle", "heads"],
)
def test_other_views_are_reproduced_too(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    agrees(printed_by(script_of(controls)), whole_view(DEMO, controls))


def test_the_networks_own_residuals_are_named() -> None:
    assert "network_residuals(" in script_of(Controls(lens="rle", cloud="network"))
