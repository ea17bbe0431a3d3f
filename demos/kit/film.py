"""Every step of a stage's picture as one GIF or MP4: the browser draws the frames, this encodes them.

Anybody may call it, so everything is bounded: the number of frames, their size, and how many films are made at a time.
"""

from __future__ import annotations

import base64
import binascii
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from demos.kit.upload_errors import error_sentence

FORMATS = {"gif": "image/gif", "mp4": "video/mp4"}
MOST_FRAMES, MOST_PIXELS, MOST_LETTERS = 160, 1_500_000, 32_000_000
SLOWEST, FASTEST = 1.0, 30.0  # frames a second
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_places = threading.BoundedSemaphore(2)  # films at a time


class Refused(ValueError):
    """What was sent is no film."""


def film(message: Any) -> dict[str, str]:
    """`{"kind": "gif", "rate": 8, "language": "en", "frames": [base64 of a JPEG or PNG, …]}` to `{"type": …, "data": base64}`.

    What cannot be encoded gives `{"error": sentence}`.

    >>> film({"kind": "exe"})
    {'error': 'This film could not be made: choose another format or fewer steps.'}
    """
    language = message.get("language") if isinstance(message, dict) else None
    said = language if isinstance(language, str) else "en"
    if not _places.acquire(timeout=20):
        return {"error": error_sentence("film_busy", {}, said)}
    try:
        kind, rate, frames = _checked(message)
        with TemporaryDirectory(prefix="film-") as folder:
            path = Path(folder) / f"film.{kind}"
            _encode(kind, frames, path, rate)
            return {"type": FORMATS[kind], "data": base64.b64encode(path.read_bytes()).decode()}
    except Refused:
        return {"error": error_sentence("film", {}, said)}
    finally:
        _places.release()


def _encode(kind: str, frames: list[np.ndarray], path: Path, rate: float) -> None:
    from demos.kit.video import write_gif, write_video

    (write_gif if kind == "gif" else write_video)(frames, path, rate=rate)


def _checked(message: Any) -> tuple[str, float, list[np.ndarray]]:
    """(format, rate, pictures of one size), or Refused."""
    if not isinstance(message, dict):
        raise Refused
    kind, rate, sent = message.get("kind"), message.get("rate"), message.get("frames")
    if not isinstance(kind, str) or kind not in FORMATS or not isinstance(sent, list):
        raise Refused
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not SLOWEST <= rate <= FASTEST:
        raise Refused
    if not 1 <= len(sent) <= MOST_FRAMES or not all(isinstance(text, str) for text in sent):
        raise Refused
    if sum(len(text) for text in sent) > MOST_LETTERS:
        raise Refused
    frames = [_picture(text) for text in sent]
    if len({frame.shape for frame in frames}) != 1:
        raise Refused
    return kind, float(rate), frames


def _picture(text: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a base64 JPEG or PNG."""
    import cv2
    from PIL import Image, UnidentifiedImageError

    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused from None
    if not data.startswith((JPEG, PNG)):
        raise Refused
    from io import BytesIO

    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as header:  # its size, before any pixel is decoded
            width, height = header.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise Refused from None
    if not min(width, height) >= 16 or width * height > MOST_PIXELS:
        raise Refused
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.shape[:2] != (height, width):
        raise Refused
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
