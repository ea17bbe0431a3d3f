"""What visitors draw on the stage, read back: label maps and boxes, as the bounded text the browser sends."""

from __future__ import annotations

import base64
import binascii
import re
import zlib

import numpy as np

from demos.kit.upload_errors import UploadError

MAX_PIXELS = 4_000_000


def read_painting(text: str, *, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 labels from `"<width>x<height>:<base64 of deflated bytes>"`.

    Raises:
        UploadError: drawing_broken if it is anything else, drawing_size if it was painted on a picture of another size.
    """
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5}):([A-Za-z0-9+/=]+)", text)
    if not match:
        raise UploadError("drawing_broken")
    width, height = int(match[1]), int(match[2])
    if (height, width) != size:
        raise UploadError("drawing_size", first=f"{width}×{height}", second=f"{size[1]}×{size[0]}")
    if not 0 < width * height <= MAX_PIXELS:
        raise UploadError("drawing_broken")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(
            base64.b64decode(match[3], validate=True), width * height + 1
        )  # never more than the picture holds
    except (binascii.Error, zlib.error) as error:
        raise UploadError("drawing_broken") from error
    if len(raw) != width * height or not unpacker.eof or unpacker.unused_data:
        raise UploadError("drawing_broken")
    return np.frombuffer(raw, np.uint8).reshape(height, width)


def write_painting(labels: np.ndarray) -> str:
    """The text of (H, W) uint8 labels, as the browser writes it."""
    height, width = labels.shape
    return (
        f"{width}x{height}:{base64.b64encode(zlib.compress(np.ascontiguousarray(labels, np.uint8).tobytes())).decode()}"
    )


def read_box(text: str, *, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in px from `"x0,y0,x1,y1"`, put in order and clipped to the (height, width) picture.

    Raises:
        UploadError: drawing_broken if it is anything else or empty.
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"-?[0-9]{1,6}(\.[0-9]{1,6})?", part) for part in parts):
        raise UploadError("drawing_broken")
    a, b, c, d = (float(part) for part in parts)
    height, width = size
    box = max(0.0, min(a, c)), max(0.0, min(b, d)), min(float(width), max(a, c)), min(float(height), max(b, d))
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise UploadError("drawing_broken")
    return box
