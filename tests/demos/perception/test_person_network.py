"""person_network: the bundled networks are read once, and answer as core says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.perception.graph_network import run_graph
from core.perception.map_geometry import map_geometry
from core.perception.person_segmentation import segment_person, segmentation_input
from core.perception.pose_network import Crop, estimate_pose, next_crop
from demos.perception.person_network import ENCODER_MAPS, encoder_map, network, person_mask, person_pose


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return cv2.resize(pytest.importorskip("skimage.data").astronaut(), (480, 320), interpolation=cv2.INTER_AREA)


def test_networks_are_read_once() -> None:
    assert network("person_segmentation") is network("person_segmentation")
    assert (network("person_segmentation").parameters, network("pose_landmarks").parameters) == (106_401, 1_363_089)


def test_answers_are_cores(photo: np.ndarray) -> None:
    mask = person_mask(photo)
    assert (mask.probability == segment_person(network("person_segmentation"), photo).probability).all()
    assert person_mask(photo.copy()) is mask
    pose = person_pose(photo)
    again = estimate_pose(network("pose_landmarks"), photo)
    assert (pose.landmarks == again.landmarks).all()
    assert pose.crop == Crop(0, -80, 480)
    second = person_pose(photo, looks=2)
    assert second.crop == next_crop(pose)
    boxed = person_pose(photo, box_xyxy=(100, 0, 300, 320))
    assert boxed.crop == Crop(0, -40, 400)
    with pytest.raises(ValueError, match="looks must be at least 1, got 0"):
        person_pose(photo, looks=0)


def test_single_precision_is_near(photo: np.ndarray) -> None:
    assert np.abs(person_mask(photo).probability - person_mask(photo, double=False).probability).max() < 1e-3
    one, two = person_pose(photo), person_pose(photo, double=False)
    assert np.abs(one.landmarks - two.landmarks).max() < 0.1


@pytest.mark.parametrize(
    ("name", "shape"), [("stride4", (16, 64, 64)), ("stride8", (24, 32, 32)), ("stride16", (32, 16, 16))]
)
def test_encoder_maps_are_the_networks(photo: np.ndarray, name: str, shape: tuple[int, ...]) -> None:
    got = encoder_map(photo, name)
    assert got.shape == shape
    asked = network("person_segmentation")
    maps = run_graph(asked, segmentation_input(photo).double()).maps
    assert (got == maps[ENCODER_MAPS[name]][0].float().numpy()).all()
    assert map_geometry(asked, ENCODER_MAPS[name]).stride == int(name.removeprefix("stride"))


def test_nothing_heavy_is_loaded_before_a_network_is_asked_for() -> None:
    code = "import sys; import demos.perception.person_network; print('torch' in sys.modules, 'safetensors' in sys.modules)"
    root = Path(__file__).parents[3]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True).stdout
    assert said.split() == ["False", "False"]
