"""The two bundled person networks, read once, and asked about a picture: where a person is, and where the joints are."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.perception.graph_network import GraphNetwork
    from core.perception.person_segmentation import PersonMask
    from core.perception.pose_network import PoseEstimate

MODELS = Path(__file__).parents[2] / "assets" / "models"
ENCODER_MAPS = {
    "stride4": "conv2d_4",
    "stride8": "add",
    "stride16": "add_4",
}  # the last map of each size on the way down


def network(name: str, *, double: bool = True) -> GraphNetwork:
    """`person_segmentation` or `pose_landmarks`, and torch told to use one thread.

    In double precision every machine shows the same digits; single precision is two to four times as fast, for clips.
    """
    import torch

    torch.set_num_threads(1)  # maps are small, and visitors share the cores: more threads mostly wait for each other
    return _read(name, double)


@lru_cache(maxsize=4)
def _read(name: str, double: bool) -> GraphNetwork:
    import torch
    from safetensors.torch import load_file

    from core.perception.graph_network import read_graph

    document = json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    weights = load_file(MODELS / f"{name}.safetensors")
    return read_graph(document, weights, dtype=torch.float64 if double else torch.float32)


def person_mask(picture: np.ndarray, *, double: bool = True) -> PersonMask:
    """Where a person is on a picture (H, W, 3) uint8."""
    return _mask(picture.tobytes(), picture.shape, double)


@lru_cache(maxsize=8)
def _mask(picture: bytes, shape: tuple[int, ...], double: bool) -> PersonMask:
    from core.perception.person_segmentation import segment_person

    asked = network("person_segmentation", double=double)
    return segment_person(asked, np.frombuffer(picture, np.uint8).reshape(shape))


def person_pose(
    picture: np.ndarray,
    *,
    box_xyxy: tuple[float, float, float, float] | None = None,
    looks: int = 1,
    double: bool = True,
) -> PoseEstimate:
    """Landmarks, heatmaps and mask of one person on a picture (H, W, 3) uint8.

    Without a box (px, right and bottom exclusive) the whole picture is looked at. Every further look is taken at the square
    that the pose before asks for; a person who is small in the picture gains by a second one.
    """
    if looks < 1:
        raise ValueError(f"looks must be at least 1, got {looks}")
    return _pose(picture.tobytes(), picture.shape, box_xyxy, looks, double)


@lru_cache(maxsize=8)
def _pose(
    picture: bytes,
    shape: tuple[int, ...],
    box_xyxy: tuple[float, float, float, float] | None,
    looks: int,
    double: bool,
) -> PoseEstimate:
    from core.perception.pose_network import box_crop, estimate_pose, next_crop, whole_crop

    image = np.frombuffer(picture, np.uint8).reshape(shape)
    height, width = shape[:2]
    crop = whole_crop(height, width) if box_xyxy is None else box_crop(box_xyxy)
    asked = network("pose_landmarks", double=double)
    found = estimate_pose(asked, image, crop)
    for _ in range(looks - 1):
        found = estimate_pose(asked, image, next_crop(found))
    return found


def encoder_map(picture: np.ndarray, name: str) -> np.ndarray:
    """(C, h, w) float32: a map of ENCODER_MAPS that the segmentation network makes of a picture (H, W, 3) uint8."""
    return _encoded(picture.tobytes(), picture.shape)[name]


@lru_cache(maxsize=4)
def _encoded(picture: bytes, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    import torch

    from core.perception.graph_network import run_graph
    from core.perception.person_segmentation import segmentation_input

    x = segmentation_input(np.frombuffer(picture, np.uint8).reshape(shape)).to(torch.float64)
    maps = run_graph(network("person_segmentation"), x).maps
    return {key: maps[layer][0].float().numpy() for key, layer in ENCODER_MAPS.items()}
