"""Mask files as they are stored: numbers, indices with a palette, or colours. What these mean is decided in
masks.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import IO, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image

from demos.kit.jobs import counted
from demos.kit.palettes import MAX_CLASSES, MAX_GUESSED, SAME_COLOR, LossyColors, Palette, index_colors
from demos.kit.upload_errors import Note, UploadError
from demos.kit.uploads import (
    MAX_DECODE_PIXELS,
    decoding,
    is_sixteen_bit,
    open_image,
    orientation_of,
    read_npy,
    read_npz,
    tile_layouts,
    upright,
)

MAX_ARRAY_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """One mask as stored, before anything is said about what its numbers or colours mean."""

    name: str  # for sentences
    kind: Literal["values", "indexed", "colors"]
    stored: np.ndarray  # (H, W) values; indices; or index into `table`
    table: np.ndarray | None  # (K, 3) uint8: the file's palette, or the colours that occur
    holes: np.ndarray | None  # (H, W) bool: fully transparent pixels, background
    notes: tuple[Note, ...] = ()
    lossy: bool = False  # `table` was recovered from smeared colours


Source: TypeAlias = Callable[[], "AbstractContextManager[tuple[IO[bytes], str]]"]  # opens a file; may be called again


def load_masks(
    sources: Sequence[Source], *, palette: Palette | None, allow_lossy: bool, max_pixels: int | None = None
) -> list[Loaded]:
    """All masks as stored. Exact ones are read first: smeared ones are then snapped to the colours found in them."""
    loaded: list[Loaded | None] = [None] * len(sources)
    room = max_pixels
    for exact in (True, False):
        lossy = None if exact else lossy_colors([mask for mask in loaded if mask], palette)
        for k, source in enumerate(counted(sources, "reading", total=len(sources))):
            if loaded[k] is not None:
                continue
            with source() as (file, name):
                mask = (
                    load_mask(file, name, allow_lossy=allow_lossy)
                    if lossy is None
                    else _load_smeared(file, name, lossy)
                )
            loaded[k] = mask
            if mask and room is not None:
                room -= mask.stored.size
                if room < 0:
                    raise UploadError("sequence_too_large", limit=(max_pixels or 0) // 10**6)
        if None not in loaded:
            return [with_table(mask, lossy) for mask in loaded if mask]
    raise AssertionError("the second pass reads what the first has left")


def lossy_colors(exact: Sequence[Loaded], palette: Palette | None) -> LossyColors:
    """What smeared colours are snapped to: a palette given or lent, else what the exact masks of the same call show.

    Beside masks of plain numbers a smeared grey can only be a number itself: possible if the numbers are far apart.
    """
    if palette:
        return LossyColors(known=palette.colors)
    for mask in exact:
        if mask.kind == "indexed":
            return LossyColors(known=mask.table)
    levels = sorted({v for mask in exact if mask.kind == "values" for v in distinct(mask.stored)})
    if levels and set(levels) <= {0, 255}:
        levels = [0, 255]
    if levels and levels[0] >= 0 and levels[-1] <= 255 and min(np.diff(levels), default=0) > SAME_COLOR:
        return LossyColors(known=np.repeat(np.array(levels, np.uint8)[:, None], 3, axis=1), as_values=True)
    tables = [mask.table for mask in exact if mask.kind == "colors" and mask.table is not None]
    return LossyColors(seeds=np.unique(np.concatenate(tables), axis=0) if tables else None)


def with_table(mask: Loaded, lossy: LossyColors | None) -> Loaded:
    """A smeared mask with the colours as they are known at the end, when all have been read."""
    return replace(mask, table=lossy.colors, lossy=not lossy.as_values) if mask.lossy and lossy else mask


def load_mask(file: IO[bytes], name: str, *, allow_lossy: bool) -> Loaded | None:
    """One mask as stored; None for a lossy picture, whose colours only `LossyColors` can tell."""
    head = file.read(6)
    file.seek(0)
    if head == b"\x93NUMPY":
        return labels_from_array(read_npy(file, name, max_bytes=MAX_ARRAY_BYTES), name)
    if head[:4] == b"PK\x03\x04":
        arrays = read_npz(file, name, max_bytes=MAX_ARRAY_BYTES)
        if len(arrays) != 1:
            raise UploadError("several_arrays", name=name, count=len(arrays))
        return labels_from_array(next(iter(arrays.values())), name)
    with open_image(file, name) as image:
        codec = _lossy_codec(image, file)
        if codec and not allow_lossy:
            raise UploadError("jpeg_mask_refused", name=name, format=codec)
        return None if codec else _load_image(image, name)


def labels_from_array(array: np.ndarray, name: str) -> Loaded:
    """An (H, W) array of whole numbers; (1, H, W) and (H, W, 1) pass too."""
    if array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]
    if array.ndim != 2 or array.size == 0:
        raise UploadError("wrong_shape", name=name, shape=str(array.shape), expected="(H, W)")
    if array.size > MAX_DECODE_PIXELS:
        raise UploadError("too_many_pixels", name=name, limit=MAX_DECODE_PIXELS // 10**6)
    return Loaded(name, "values", whole_numbers(array, name), None, None)


def whole_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """The same numbers as uint8, uint16 or int32, whichever is the first to hold them all."""
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (values == np.floor(values)).all()):
        raise UploadError("not_labels", name=name)
    if values.dtype.kind == "c":
        raise UploadError("not_labels", name=name)
    low, high = int(values.min()), int(values.max())
    if low < -(2**31) or high >= 2**31:
        raise UploadError("not_labels", name=name)
    return values.astype(narrowest(low, high), copy=False)


def narrowest(low: int, high: int) -> type[np.integer]:
    return np.int32 if low < 0 or high > 65535 else np.uint16 if high > 255 else np.uint8


def _load_image(image: Image.Image, name: str) -> Loaded:
    notes = (
        [Note("sixteen_bit_reduced", {"name": name})] if image.mode.startswith("RGB") and is_sixteen_bit(image) else []
    )
    if getattr(image, "is_animated", False):
        notes.append(Note("first_frame_only", {"name": name}))
    packed_grey = next((found for layout in tile_layouts(image) if (found := re.search(r"\bL;[24]", layout))), None)
    with decoding(name):
        image.load()
        pixels = upright(_pixels(image), orientation_of(image))
    holes = None
    if image.mode in ("LA", "RGBA"):
        holes = pixels[..., -1] == 0
        pixels = pixels[..., 0] if image.mode == "LA" else pixels[..., :3]
        holes = holes if holes.any() else None
    if holes is not None:
        pixels = np.where(holes if pixels.ndim == 2 else holes[..., None], np.zeros((), pixels.dtype), pixels)
        notes.append(Note("alpha_as_background", {"name": name, "count": int(holes.sum())}))
    if image.mode == "P":
        table = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return Loaded(name, "indexed", pixels, table, None, tuple(notes))
    if image.mode in ("RGB", "RGBA"):
        found = index_colors(pixels, limit=MAX_CLASSES)
        if isinstance(found, int):
            raise UploadError("photo_not_mask", name=name, count=found, limit=MAX_GUESSED)
        return Loaded(name, "colors", found[0], found[1], holes, tuple(notes))
    if pixels.ndim != 2:
        raise UploadError("unsupported_pixels", name=name, mode=image.mode)
    if packed_grey:  # Pillow spreads 2- and 4-bit greys over 0–255; the mask's numbers are 0–3 and 0–15
        pixels = pixels // (85 if "2" in packed_grey[0] else 17)
    return Loaded(name, "values", whole_numbers(pixels, name), None, holes, tuple(notes))


def _pixels(image: Image.Image) -> np.ndarray:
    """A decoded picture as an array, taken over in strips: Pillow would hold three copies of all of it at once."""
    width, height = image.size
    rows = max(1, 1_000_000 // width)
    first = np.asarray(image.crop((0, 0, width, min(rows, height))))
    pixels = np.empty((height, *first.shape[1:]), first.dtype)
    for top in range(0, height, rows):
        pixels[top : top + rows] = np.asarray(image.crop((0, top, width, min(top + rows, height))))
    return pixels


def _lossy_codec(image: Image.Image, file: IO[bytes]) -> str | None:
    """The name of the codec that has smeared this picture, if one has."""
    if image.format in ("JPEG", "MPO") or image.info.get("compression") in ("jpeg", "tiff_jpeg"):
        return "JPEG"
    if image.format == "WEBP":
        position = 12
        while True:
            file.seek(position)
            tag, size = file.read(4), int.from_bytes(file.read(4), "little")
            if tag == b"VP8 ":
                return "WebP"
            if tag in (b"VP8L", b""):
                return None
            position += (
                24 if tag == b"ANMF" else 8 + size + size % 2
            )  # a frame's own chunks follow its 16 bytes of header
    return None


def _load_smeared(file: IO[bytes], name: str, lossy: LossyColors) -> Loaded:
    with open_image(file, name) as image, decoding(name):
        rgb = upright(_pixels(image.convert("RGB")), orientation_of(image))
    index, moved = lossy.snap(
        rgb, lambda count: UploadError("photo_not_mask", name=name, count=count, limit=MAX_GUESSED)
    )
    notes = (Note("jpeg_mask_smeared", {"name": name, "count": moved, "total": index.size}),) if moved else ()
    return Loaded(name, "colors", index, None, None, notes, lossy=True)


def distinct(labels: np.ndarray) -> list[int]:
    """The different labels in ascending order."""
    if labels.dtype == np.int32:
        return [int(v) for v in np.unique(labels)]
    return [int(v) for v in np.flatnonzero(_counts(labels, 65536))]


def tally(mask: Loaded, length: int) -> np.ndarray:
    """(length,) number of pixels that hold each stored number, transparent ones left out."""
    counts = _counts(mask.stored, length)
    return counts if mask.holes is None else counts - _counts(mask.stored[mask.holes], length)


def _counts(labels: np.ndarray, length: int) -> np.ndarray:
    """(length,) occurrences; in parts, because bincount turns every label into eight bytes first and calcHist counts in float32."""
    flat, counts = labels.reshape(-1), np.zeros(length, np.int64)
    if labels.dtype == np.uint8 and length >= 256:
        for start in range(0, flat.size, 1 << 24):
            part = np.ascontiguousarray(flat[start : start + (1 << 24)])[None]
            counts[:256] += cv2.calcHist([part], [0], None, [256], [0, 256]).ravel().astype(np.int64)
        return counts
    for start in range(0, flat.size, 1_000_000):
        counts += np.bincount(flat[start : start + 1_000_000], minlength=length)
    return counts
