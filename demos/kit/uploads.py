"""What visitors upload, read into plain records: pictures and arrays here, masks in masks.py, video in video.py.

Three rules hold in all of them. The type is decided by the file's content, never by its name. Every limit is checked
on the header, before memory is taken. Whatever a file contains, the outcome is a record or an `UploadError` whose
text is one sentence for the visitor and names the file, never the folder it lies in.
"""

from __future__ import annotations

import ast
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal

import cv2
import numpy as np
from PIL import Image

from demos.kit.upload_errors import (
    EmptyFile,
    FilePath,
    NotAVideo,
    Note,
    NoVideoStream,
    Truncated,
    UploadError,
    clean_text,
    display_name,
    error_sentence,
    open_upload,
    refusing,
)

__all__ = [
    "Arrays",
    "EmptyFile",
    "FilePath",
    "NoVideoStream",
    "NotAVideo",
    "Note",
    "Picture",
    "Truncated",
    "UploadError",
    "display_name",
    "error_sentence",
    "read_array",
    "read_image",
]

MAX_DECODE_PIXELS = 60_000_000  # a 50-megapixel photo passes
MAX_MEMBERS = 64  # arrays in one .npz
MAX_RATIO, RATIO_FREE_BYTES = 500, 64_000_000  # an archive may grow more than 500-fold only while it stays small
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

# Pillow's own guard, for every reader in this process: warn from here, refuse from twice as much; the warning is made
# an error.
Image.MAX_IMAGE_PIXELS = MAX_DECODE_PIXELS
warnings.simplefilter("error", Image.DecompressionBombWarning)


# --- pictures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Picture:
    """A visitor's picture, upright, opaque and small enough to compute with."""

    rgb: np.ndarray  # (H, W, 3) uint8, C-contiguous
    original_size: tuple[int, int]  # (width, height) as uploaded, after turning upright, px
    notes: tuple[Note, ...]  # what was done to it


@contextmanager
def refusing_bombs(name: str) -> Iterator[None]:
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UploadError("too_many_pixels", name=name, limit=MAX_DECODE_PIXELS // 10**6) from None


@contextmanager
def decoding(name: str) -> Iterator[None]:
    """For the pixels themselves: whatever fails now, the header was that of a picture."""
    with refusing("truncated", name), refusing_bombs(name):
        yield


@contextmanager
def open_image(file: IO[bytes], name: str) -> Iterator[Image.Image]:
    """The picture with its header read and its pixels not yet: only admitted formats, at most MAX_DECODE_PIXELS."""
    with refusing("not_an_image", name), refusing_bombs(name):
        image = Image.open(file, formats=PICTURE_FORMATS)
    with image:
        if image.width * image.height > MAX_DECODE_PIXELS:  # whatever has become of the warning filter since
            raise UploadError("too_many_pixels", name=name, limit=MAX_DECODE_PIXELS // 10**6)
        yield image


def tile_layouts(image: Image.Image) -> list[str]:
    """How a picture not yet decoded stores its pixels, in Pillow's words: "RGB;16B", "L;4", …"""
    return [str(tile[3]) for tile in getattr(image, "tile", ())]


def is_sixteen_bit(image: Image.Image) -> bool:
    """Whether a picture not yet decoded stores 16 bits per channel: Pillow keeps only the upper 8 of colour."""
    tiles = tile_layouts(image)
    return image.format in ("PNG", "TIFF") and (
        image.mode.startswith("I;16") or any(";16" in layout for layout in tiles)
    )


def has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation 1–8; 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # hostile EXIF must not cost the visitor the picture
        return 1
    return value if value in range(1, 9) else 1


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """An (H, W, …) array as the camera meant it to be seen; EXIF 2.3, tag 274, values 1–8."""
    if orientation >= 5:  # 5–8: rows and columns are exchanged
        array = array.swapaxes(0, 1)
    flip_rows, flip_cols = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return array[:: -1 if flip_rows else 1, :: -1 if flip_cols else 1]


def _opaque_rgb(strip: Image.Image, name: str) -> tuple[np.ndarray, bool]:
    """(h, w, 3) uint8 colours over white, and whether anything was transparent."""
    if strip.mode == "F":  # no telling which number is white
        raise UploadError("unsupported_pixels", name=name, mode=strip.mode)
    if strip.mode.startswith("I"):
        values = np.asarray(strip).astype(np.int64)
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise UploadError("unsupported_pixels", name=name, mode=strip.mode)
        grey = ((values + 128) // 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), False
    if not has_alpha(strip):
        return np.asarray(strip.convert("RGB")), False
    rgba = np.asarray(strip.convert("RGBA"))
    rgb, alpha = rgba[..., :3], rgba[..., 3:].astype(np.uint16)
    if alpha.min(initial=255) == 255:
        return rgb, False
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8), True  # at most 65152: fits uint16


def fitted(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of the same shape with at most `max_pixels`.

    >>> fitted(4000, 3000, 2_100_000), fitted(640, 480, 2_100_000)
    ((1673, 1254), (640, 480))
    """
    if width * height <= max_pixels:
        return width, height
    scale = math.sqrt(max_pixels / (width * height))
    w, h = max(1, int(width * scale)), max(1, int(height * scale))
    w = max(1, min(w, max_pixels // h))  # a line of pixels cannot keep its shape
    return w, max(1, min(h, max_pixels // w))


def read_image(path: FilePath, *, max_pixels: int = 2_100_000) -> Picture:
    """A picture as RGB: turned upright, laid over white where transparent, shrunk by area averaging above `max_pixels`.

    PNG, JPEG, WebP, GIF, BMP and TIFF, recognised by content; of an animation the first frame. A large JPEG is
    decoded at a half, a quarter or an eighth already, so that memory follows the size asked for.

    Raises:
        UploadError: empty_file, missing_file, not_a_file, file_too_large, not_an_image, too_many_pixels, truncated.
    """
    if max_pixels < 1:
        raise ValueError(f"max_pixels must be at least 1, got {max_pixels}")
    with open_upload(path) as (file, name), open_image(file, name) as image, decoding(name):
        notes = [Note("sixteen_bit_reduced", {"name": name})] if is_sixteen_bit(image) else []
        if image.format != "MPO" and getattr(image, "is_animated", False):
            notes.append(Note("first_frame_only", {"name": name}))
        original = image.size
        target = fitted(*original, max_pixels)
        if image.format in ("JPEG", "MPO"):
            image.draft(None, target)
        image.load()
        orientation = orientation_of(image)  # after load: Pillow turns TIFF itself and then drops the tag
        if orientation == 1 and image.format == "TIFF":
            original, target = image.size, fitted(*image.size, max_pixels)
        rgb, transparent = _shrunk_rgb(image, target, name)
    rgb = np.ascontiguousarray(upright(rgb, orientation))
    if orientation >= 5:
        original = (original[1], original[0])
    if transparent:
        notes.append(Note("alpha_dropped", {"name": name}))
    if orientation != 1:
        notes.append(Note("rotated", {"name": name}))
    if rgb.shape[:2] != original[::-1]:
        before, after = "×".join(map(str, original)), f"{rgb.shape[1]}×{rgb.shape[0]}"
        notes.append(Note("shrunk", {"name": name, "before": before, "after": after}))
    return Picture(rgb, original, tuple(notes))


def _shrunk_rgb(image: Image.Image, target: tuple[int, int], name: str) -> tuple[np.ndarray, bool]:
    """Strip by strip, so that only the decoded picture itself is ever large: whole-number averaging first, the rest
    at the end."""
    width, height = image.size
    factor = max(1, min(width // target[0], height // target[1]))
    rows = factor * max(1, 1_000_000 // (width * factor))
    strips, transparent = [], False
    for top in range(0, height, rows):
        rgb, some = _opaque_rgb(image.crop((0, top, width, min(top + rows, height))), name)
        transparent |= some
        strips.append(np.asarray(Image.fromarray(rgb).reduce(factor)) if factor > 1 else rgb)
    rgb = np.concatenate(strips)
    if rgb.shape[1::-1] != target:
        rgb = cv2.resize(rgb, target, interpolation=cv2.INTER_AREA)
    return rgb, transparent


# --- arrays ---------------------------------------------------------------------------------------------------------


class Arrays(dict[str, np.ndarray]):
    """Arrays by name (a lone .npy is called "array"), with notes."""

    notes: tuple[Note, ...] = ()


def _npy_header(text: bytes) -> tuple[tuple[int, ...], np.dtype, Literal["C", "F"]]:
    """Shape, type and memory order from a .npy header, which is a Python literal and is parsed as nothing more."""
    header = ast.literal_eval(text.decode("latin1").strip())
    shape, dtype = header["shape"], np.lib.format.descr_to_dtype(header["descr"])
    if not (isinstance(shape, tuple) and len(shape) <= 32 and all(type(side) is int and side >= 0 for side in shape)):
        raise ValueError("impossible shape")
    return shape, dtype, "F" if header["fortran_order"] else "C"


def read_npy(file: IO[bytes], name: str, *, max_bytes: int) -> np.ndarray:
    """One .npy stream: the header is checked before memory is taken, and nothing is ever unpickled."""
    with refusing("not_an_array", name):
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError("unknown version")
        (length,) = struct.unpack("<H", file.read(2)) if version == (1, 0) else struct.unpack("<I", file.read(4))
        if length > 10_000:  # NumPy's own bound on a header worth parsing
            raise ValueError("header too long")
        shape, dtype, order = _npy_header(file.read(length))
    if dtype.hasobject:
        raise UploadError("pickled_array", name=name)
    if dtype.kind not in "biufc" or dtype.subdtype is not None:
        raise UploadError("not_numeric", name=name, dtype=str(dtype))
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes or any(side > 2**40 for side in shape):
        raise UploadError("array_too_large", name=name, limit=max_bytes // 10**6)
    with refusing("truncated", name):
        raw = np.empty(size, np.uint8)
        view, got = memoryview(raw.data), 0
        while got < size:
            step = file.readinto(view[got:])  # pyright: ignore[reportAttributeAccessIssue]
            if not step:
                raise EOFError
            got += step
        values = raw != 0 if dtype.kind == "b" else raw.view(dtype).astype(dtype.newbyteorder("="), copy=False)
        return values.reshape(shape, order=order)


def read_array(path: FilePath, *, max_bytes: int = 256_000_000) -> Arrays:
    """All arrays of a .npy or .npz, by name: numbers and booleans only.

    NaN and infinities are kept, and counted in a note per array.

    Raises:
        UploadError: not_an_array, pickled_array, not_numeric, array_too_large, too_many_members, zip_bomb, truncated,
            and
            those of opening a file.
    """
    with open_upload(path) as (file, name):
        if file.read(4) == b"PK\x03\x04":
            arrays = Arrays(read_npz(file, name, max_bytes=max_bytes))
        else:
            file.seek(0)
            arrays = Arrays(array=read_npy(file, name, max_bytes=max_bytes))
    bad = {
        key: int(np.count_nonzero(~np.isfinite(values))) for key, values in arrays.items() if values.dtype.kind in "fc"
    }
    arrays.notes = tuple(Note("not_finite", {"array": key, "count": n}) for key, n in bad.items() if n)
    return arrays


def read_npz(file: IO[bytes], name: str, *, max_bytes: int) -> dict[str, np.ndarray]:
    """The members of a .npz, in the archive's order."""
    arrays: dict[str, np.ndarray] = {}
    with refusing("not_an_array", name), zipfile.ZipFile(file) as archive:
        members = checked_members(archive, name, max_members=MAX_MEMBERS, max_bytes=max_bytes)
        if not members or not all(member.filename.endswith(".npy") for member in members):
            raise UploadError("not_an_array", name=name)
        for member in members:
            with archive.open(member) as stream:
                arrays[clean_text(member.filename[:-4])] = read_npy(stream, name, max_bytes=max_bytes)
    return arrays


def checked_members(archive: zipfile.ZipFile, name: str, *, max_members: int, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The files in an archive, once its directory has been found modest: their number, their size, how far they would
    grow.

    What a directory claims is also the most that `zipfile` will ever unpack of a member, so a directory that lies
    gains nothing.
    """
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > max_members:
        raise UploadError("too_many_members", name=name, count=len(members), limit=max_members)
    total, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if total > max_bytes:
        raise UploadError("archive_too_large", name=name, limit=max_bytes // 10**6)
    if total > RATIO_FREE_BYTES and total > MAX_RATIO * packed:
        raise UploadError("zip_bomb", name=name, ratio=total // max(packed, 1))
    if any(m.flag_bits & 1 or m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
        raise UploadError("unsupported_archive", name=name)
    return members
