"""Where the joint is: the picture under it, the way that it took, and the codec that the controls describe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.perception.articulated_figures import JOINTS, figure_scene
from core.perception.joint_readings import PoseCodec, wandering_path
from core.perception.pose_crop import pose_crop
from demos.kit.drawings import BOX_UNITS, read_way
from demos.kit.upload_errors import Note, UploadError
from demos.kit.uploads import read_image

if TYPE_CHECKING:
    from demos.perception.simcc import Controls

ASSETS = Path(__file__).parents[2] / "assets"
ZOOM = 4  # of the figure that is rendered as a picture
WRIST = JOINTS.index("right_wrist")
SIZES = {"64x64": (64, 64), "128x128": (128, 128), "192x256": (192, 256), "288x384": (288, 384)}
STEPS, REACH = 60, 7.0  # of the way that a preset shows: places, px
MOST_STEPS = 120  # places of a visitor's way
LEAST_SIDE = 16  # px of a photo that a joint can lie on


@dataclass(frozen=True)
class Subject:
    """A network's input, and a joint that wanders on it."""

    image: np.ndarray  # (H, W, 3) uint8, the network's input
    way: np.ndarray  # (T, 2) float64 places of the joint, px
    places: np.ndarray  # (T, 2) int32 the same in 1/10000 of the input's sides
    notes: tuple[Note, ...] = ()


def codec_of(c: Controls) -> PoseCodec:
    gaussian = c.bins != "smoothing"
    return PoseCodec(
        input_size=SIZES[c.input],
        sigma=c.sigma,
        center=c.center,  # type: ignore[arg-type]
        border=c.border,  # type: ignore[arg-type]
        beta=c.beta,
        split_ratio=c.split_ratio,
        smoothing=c.smoothing,
        simcc_sigma=c.simcc_sigma if gaussian else None,
        simcc_center="exact" if c.bins == "gaussian_dark" else "rounded",
        simcc_decoder="dark" if c.bins == "gaussian_dark" else "argmax",
    )


def margin_of(codec: PoseCodec) -> float:
    """px that random joints keep from the border, where decoders behave otherwise."""
    return min(24.0, min(codec.input_size) / 4)


def subject_of(c: Controls) -> Subject:
    """The picture and the joint's way on it.

    Raises:
        UploadError: what was uploaded cannot be used; one sentence says why.
    """
    size = np.array(SIZES[c.input])
    image, joint, notes = _picture(c)
    places = read_way(c.way)[-MOST_STEPS:]
    if not len(places):
        reach = REACH * min(1.0, size.min() / 192)
        way = wandering_path((float(joint[0]), float(joint[1])), steps=STEPS, reach=reach)
        places = np.rint(way / size * BOX_UNITS).astype(np.int32).clip(0, BOX_UNITS - 1)
    return Subject(image, places / BOX_UNITS * size, places, notes)


def _picture(c: Controls) -> tuple[np.ndarray, np.ndarray, tuple[Note, ...]]:
    """The network's input, and where the joint is that a preset begins with, px."""
    size = SIZES[c.input]
    if c.source == "figure":
        return *figure_crop(c.figure, size), ()
    if c.source == "files":
        if not c.photo:
            raise UploadError("no_photo")
        picture = read_image(c.photo[0])
        if min(picture.rgb.shape[:2]) < LEAST_SIDE:
            raise UploadError("photo_too_small", limit=LEAST_SIDE)
        return pose_crop(picture.rgb, size).image, np.array(size) / 2, picture.notes
    return bundled_crop(c.source, size), np.array(size) * (0.5, 0.45), ()


@lru_cache(maxsize=8)
def figure_crop(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A rendered figure, and its right wrist."""
    scene = figure_scene(seed, zoom=ZOOM)
    crop = pose_crop(scene.image, size)
    joint = crop.inside(scene.keypoints[[WRIST]])[0]
    return crop.image, np.minimum(np.maximum(joint, 10), np.array(size) - 11)


@lru_cache(maxsize=8)
def bundled_crop(name: str, size: tuple[int, int]) -> np.ndarray:
    return pose_crop(read_image(ASSETS / "images" / f"{name}.jpg").rgb, size).image
