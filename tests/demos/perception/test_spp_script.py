"""spp_script: the exported Python gives the numbers of the screen for other controls than the presets', too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos.perception.spatial_pyramid_pooling import DEMO, Controls
from demos.perception.spp_script import script_of
from tests.demos.test_contract import ROOT, agrees, printed_by, whole_view


@pytest.mark.parametrize(
    "controls",
    [
        Controls(view="averages", channel=3),
        Controls(rule="caffe", features="signed", start="zero", order="bin_major"),
        Controls(rule="paper", levels="4, 2", width=180, height=200, padding="half", stride=12),
        Controls(view="box", projection="code", box="3,3,200,100"),
        Controls(view="box", source="rocket"),
        Controls(view="block", kernel=3, branches="darknet"),
        Controls(view="atrous", source="tiles"),
        Controls(features="stride16", levels="6, 3", rule="caffe", start="zero"),
        Controls(features="stride8", view="box", source="rocket"),
        Controls(features="stride4", view="box", box="3,3,200,100"),
        Controls(features="stride16", view="block"),
    ],
)
def test_scripts_print_the_same_numbers(controls: Controls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    agrees(printed_by(script_of(controls)), whole_view(DEMO, controls))


def test_uploads_are_named_and_read_from_beside_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, features = tmp_path / "mine.png", tmp_path / "mine.npy"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)).save(photo)
    np.save(features, np.random.default_rng(2).random((3, 8, 9), np.float32))
    monkeypatch.chdir(tmp_path)
    for controls in (
        Controls(source="photo", photo=(str(photo),)),
        Controls(source="photo", photo=(str(photo),), features="stride8", view="averages"),
        Controls(source="array", feature_file=(str(features),)),
        Controls(source="array", feature_file=(str(features),), view="box"),
    ):
        script = script_of(controls)
        assert str(tmp_path) not in script
        agrees(printed_by(script), whole_view(DEMO, controls))
