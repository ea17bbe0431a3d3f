"""Where the feature map comes from: a photo, stretched and filtered or seen by a network, or an array of features."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from demos.kit.drawings import read_box
from demos.kit.upload_errors import Note, UploadError, display_name
from demos.kit.uploads import Picture, read_array, read_image

if TYPE_CHECKING:
    from torch import Tensor

    from core.perception.filter_bank import FilterName
    from core.perception.pyramid_bins import Box
    from demos.perception.spatial_pyramid_pooling import Controls

ASSETS = Path(__file__).parents[2] / "assets"
PHOTOS = ("coffee", "rocket")
DECODED_PIXELS = 700_000  # of an upload as it is kept: more than any size that it is ever stretched to
MOST_CHANNELS, MOST_CELLS = 32, 64  # of an array of features
MOST_LEVELS, FINEST = 6, 8
TILE = 80  # px
GREYS = [[30, 200, 90, 150], [150, 90, 200, 30], [90, 30, 150, 200], [200, 150, 30, 90]]
NETWORK_MAPS = ("stride4", "stride8", "stride16")  # of the bundled person network's encoder
LEVELS_PATTERN = r"[^\x00-\x1f\x7f]{0,60}"  # what is no list of levels is told in the visitor's language


@dataclass(frozen=True)
class Inputs:
    """A picture (or none) and its feature map."""

    photo: np.ndarray | None  # (H, W, 3) uint8, at the size asked for; None: an array of features
    features: Tensor  # (1, C, h, w) float32
    names: tuple[FilterName, ...]  # (C,), or () where channels have no names
    stride: int  # px per cell
    first_centre: float  # px where cell 0 looks
    receptive_field: int  # px on a side that a cell sees
    notes: tuple[Note, ...] = ()

    @property
    def channels(self) -> int:
        return self.features.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the map."""
        return self.features.shape[2], self.features.shape[3]

    @property
    def corner(self) -> float:
        """px from the picture's edge to the first cell's square; negative where that begins outside."""
        return self.first_centre + 0.5 - self.stride / 2


def levels_of(text: str) -> tuple[int, ...]:
    """Bins per side of each level, from `"6, 3, 2, 1"`.

    Raises:
        UploadError: levels_unreadable if there is none, too many, or one that is no whole number from 1 to FINEST.
    """
    parts = [part for part in re.split(r"[ ,]+", text.strip(" ,")) if part]
    numbers = tuple(int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 4)
    if len(numbers) < len(parts) or not 1 <= len(numbers) <= MOST_LEVELS or not all(1 <= n <= FINEST for n in numbers):
        raise UploadError("levels_unreadable", text=text, most=MOST_LEVELS, finest=FINEST)
    return numbers


def inputs_of(c: Controls) -> Inputs:
    """The feature map that the controls ask for, checked: finite, and no smaller than the finest level.

    Raises:
        UploadError: what was uploaded cannot be used; one sentence says why.
    """
    inputs = _from_array(c.feature_file[0]) if c.source == "array" and c.feature_file else _from_photo(c)
    rows, columns = inputs.size
    finest = max(levels_of(c.levels))
    if c.view in ("pyramid", "box") and min(rows, columns) < finest:
        raise UploadError("map_too_small", rows=rows, columns=columns, level=finest)
    return inputs


def _from_photo(c: Controls) -> Inputs:
    from core.perception.filter_bank import filter_bank, filter_features

    if c.source == "array":
        raise UploadError("no_feature_file")
    picture = _picture(c)
    if c.features in NETWORK_MAPS:
        return from_network(picture, c.features)
    image = np.asarray(cv2.resize(picture.rgb, (c.width, c.height), interpolation=cv2.INTER_AREA), np.uint8)
    smallest = filter_bank(sigma=max(1.0, c.stride / 4)).size
    if c.padding == "none" and min(c.width, c.height) < smallest:
        raise UploadError("picture_below_filter", first=f"{c.width}×{c.height}", limit=smallest)
    found = filter_features(
        image, stride=c.stride, padding=c.padding, activation="none" if c.features == "signed" else "relu"
    )
    return Inputs(
        image, found.features, found.names, c.stride, found.first_centre, found.receptive_field, picture.notes
    )


def from_network(picture: Picture, name: str) -> Inputs:
    """A map of the person network's encoder, of the picture squeezed to the square that the network sees."""
    import torch

    from core.perception.map_geometry import map_geometry
    from core.perception.person_segmentation import SIDE
    from demos.perception.person_network import ENCODER_MAPS, encoder_map, network

    method = cv2.INTER_AREA if min(picture.rgb.shape[:2]) >= SIDE else cv2.INTER_LINEAR
    image = np.asarray(cv2.resize(picture.rgb, (SIDE, SIDE), interpolation=method), np.uint8)
    geometry = map_geometry(network("person_segmentation"), ENCODER_MAPS[name])
    features = torch.from_numpy(encoder_map(image, name).copy())[None]
    return Inputs(image, features, (), geometry.stride, geometry.first_centre, geometry.field, picture.notes)


def _picture(c: Controls) -> Picture:
    if c.source == "photo":
        if not c.photo:
            raise UploadError("no_photo")
        return _uploaded(c.photo[0])
    if c.source == "tiles":
        return Picture(_tiles(), (320, 320), ())
    return _bundled(c.source)


@lru_cache(maxsize=4)
def _bundled(name: str) -> Picture:
    return read_image(ASSETS / "images" / f"{name}.jpg", max_pixels=DECODED_PIXELS)


@lru_cache(maxsize=1)
def _tiles() -> np.ndarray:
    """Flat squares of four greys: many places of such a picture have exactly the same features."""
    greys = np.kron(np.array(GREYS, np.uint8), np.ones((TILE, TILE), np.uint8))
    return np.repeat(greys[..., None], 3, axis=2)


def _uploaded(path: str) -> Picture:
    """Decoding twelve megapixels takes longer than everything else; a slider must not pay for it again."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        raise UploadError("missing_file", name=display_name(path)) from None
    return _decoded(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _decoded(path: str, _changed: int, _bytes: int) -> Picture:
    return read_image(path, max_pixels=DECODED_PIXELS)


def _from_array(path: str) -> Inputs:
    """A visitor's own feature map: (C, h, w), (1, C, h, w) or (h, w) finite numbers."""
    import torch

    arrays = read_array(path, max_bytes=64_000_000)
    name, values = next(iter(arrays.items()))
    if values.ndim == 4 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 2:
        values = values[None]
    shape = "×".join(map(str, values.shape))
    sides = values.shape[1:] if values.ndim == 3 else (0, 0)
    if values.ndim != 3 or not 1 <= values.shape[0] <= MOST_CHANNELS or not all(1 <= s <= MOST_CELLS for s in sides):
        raise UploadError(
            "feature_shape", name=display_name(path), shape=shape, channels=MOST_CHANNELS, cells=MOST_CELLS
        )
    if np.iscomplexobj(values):
        raise UploadError("not_numeric", name=display_name(path), dtype=str(values.dtype))
    plain = values.astype(np.float32)
    bad = int(np.count_nonzero(~np.isfinite(plain)))
    if bad:
        raise UploadError("features_not_finite", name=display_name(path), count=bad, total=plain.size)
    notes = (Note("first_array_only", {"array": name}),) if len(arrays) > 1 else ()
    return Inputs(None, torch.from_numpy(plain)[None], (), 16, 7.5, 16, notes)


def box_of(text: str, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The first and the last pixel of the drawn box, px; its middle where none was drawn."""
    height, width = size
    x0, y0, x1, y1 = read_box(text, size=size) if text else (width * 0.3, height * 0.3, width * 0.7, height * 0.7)
    return x0, y0, x1 - 1, y1 - 1


def canvas_of(inputs: Inputs) -> tuple[int, int]:
    """Height and width in px of what is drawn on: the picture, or the squares of an array's cells."""
    if inputs.photo is not None:
        return inputs.photo.shape[0], inputs.photo.shape[1]
    return inputs.size[0] * inputs.stride, inputs.size[1] * inputs.stride


def pixels_of(inputs: Inputs, box: Box | tuple[Any, ...]) -> tuple[float, float, float, float]:
    """A box of cells as px on the picture."""
    corner, stride = inputs.corner, inputs.stride
    x0, y0, x1, y1 = box
    return corner + x0 * stride, corner + y0 * stride, corner + x1 * stride, corner + y1 * stride
