"""Photographs and clips under the masks, and where the bundled person network sees a person on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from demos.kit.jobs import counted
from demos.kit.upload_errors import Note, UploadError, open_upload
from demos.kit.uploads import Picture, read_image
from demos.kit.video import SNIFF_BYTES, Clip, read_video, video_format

if TYPE_CHECKING:
    from demos.perception.segmentation_inputs import Pairs

CLIP_SIDE = 640  # px of a frame's longest side as it is kept: more than the network sees, and than is shown
SHOWN_FRAMES = 3_000_000  # px of all frames together as they are shown
LEAST_SIDE = 16  # px of a photo that is worth segmenting

# Uploads are stored under their content's hash and never change: reading one twice is waste.
_picture = lru_cache(maxsize=4)(read_image)


def read_footage(path: str, *, max_frames: int) -> Picture | Clip:
    """A photograph, or the frames of a video. A video of one frame is a photograph.

    Raises:
        UploadError: those of `read_image` and `read_video`.
    """
    with open_upload(path) as (file, _):
        kind = video_format(file.read(SNIFF_BYTES))
    if kind is None or kind == "gif":  # a GIF is a picture here, as it was before: its first frame
        return _picture(path)
    clip = _clip(path, max_frames)
    if len(clip.frames) == 1:
        return Picture(clip.frames[0], clip.original_size, clip.notes)
    return clip


@lru_cache(maxsize=2)
def _clip(path: str, max_frames: int) -> Clip:
    return read_video(path, max_frames=max_frames, max_side=CLIP_SIDE)


def check_proportions(width: int, height: int, masks: tuple[int, ...]) -> None:
    """Refuse a photo or video that is not of the masks' shape (height, width).

    Raises:
        UploadError: photo_proportions.
    """
    have = width / height
    if not 0.98 <= have / (masks[1] / masks[0]) <= 1.02:
        raise UploadError("photo_proportions", first=f"{width}×{height}", second=f"{masks[1]}×{masks[0]}")


def under(footage: Picture, shape: tuple[int, ...]) -> np.ndarray:
    """The photo at the masks' size."""
    check_proportions(footage.rgb.shape[1], footage.rgb.shape[0], shape)
    return cv2.resize(footage.rgb, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)


def shown_frames(frames: np.ndarray) -> Sequence[np.ndarray]:
    """T × (h, w, 3) as small as they are shown."""
    count, height, width = frames.shape[:3]
    ratio = min(1.0, (SHOWN_FRAMES / (count * height * width)) ** 0.5)
    if ratio == 1.0:
        return list(frames)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]


def person_labels(pairs: Pairs, label: int) -> tuple[tuple[np.ndarray, ...], tuple[Note, ...]]:
    """T × (H, W) uint8: `label` where the network sees a person, 0 elsewhere; and what is to be said about it.

    Raises:
        UploadError: photo_needed, one_picture_only, photo_too_small, or person_class_missing if the truth has no such label.
    """
    if pairs.photo is None and pairs.footage is None:
        raise UploadError("photo_needed")
    if pairs.footage is None and len(pairs.targets) > 1:
        raise UploadError("one_picture_only")
    if min(pairs.size) < LEAST_SIDE:
        raise UploadError("photo_too_small", limit=LEAST_SIDE)
    if label >= pairs.num_classes:
        raise UploadError("person_class_missing", label=label, limit=pairs.num_classes - 1)
    masks = _photo_mask(pairs) if pairs.footage is None else _clip_masks(pairs)
    labels = tuple(np.where(mask, label, 0).astype(np.uint8) for mask in masks)
    return labels, () if any(map(np.any, labels)) else (Note("no_person_found", {}),)


def _photo_mask(pairs: Pairs) -> list[np.ndarray]:
    from demos.perception.person_network import person_mask

    assert pairs.photo is not None
    return [person_mask(pairs.photo).mask]


def _clip_masks(pairs: Pairs) -> list[np.ndarray]:
    from core.perception.person_segmentation import LIKELY, enlarged

    assert pairs.footage is not None
    height, width = pairs.size
    return [enlarged(small, width, height) >= LIKELY for small in _clip_answers(Frames(pairs.footage))]


class Frames:
    """A clip as the key of a cache: two are equal if they are the same array in memory, which the cache keeps alive."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames = frames

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frames) and self.frames is other.frames

    def __hash__(self) -> int:
        return id(self.frames)


@lru_cache(maxsize=2)
def _clip_answers(clip: Frames) -> list[np.ndarray]:
    """What the network answers to each frame, (256, 256)."""
    from core.perception.person_segmentation import segment_person
    from demos.perception.person_network import network

    asked = network("person_segmentation", double=False)
    frames = counted(clip.frames, "segmenting", total=len(clip.frames))
    return [segment_person(asked, frame).small for frame in frames]
