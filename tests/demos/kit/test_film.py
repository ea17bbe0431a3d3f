"""Frames in, one GIF or MP4 out; anybody may send anything."""

from __future__ import annotations

import base64
import io
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from demos.kit import film as module
from demos.kit.film import FORMATS, MOST_FRAMES, film

SHADES = (20, 80, 140, 200)


def jpeg(shade: int, *, size: tuple[int, int] = (64, 48), kind: str = "JPEG") -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, shade, 255 - shade)).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def message(**changed: Any) -> dict[str, Any]:
    return {"kind": "gif", "rate": 4, "language": "en", "frames": [jpeg(shade) for shade in SHADES]} | changed


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("picture", ["JPEG", "PNG"])
def test_every_frame_is_there_in_its_order(kind: str, picture: str) -> None:
    made = film(message(kind=kind, frames=[jpeg(shade, kind=picture) for shade in SHADES]))
    assert made["type"] == FORMATS[kind]
    frames = iio.imread(
        base64.b64decode(made["data"]), extension=f".{kind}", plugin="pillow" if kind == "gif" else "pyav"
    )
    assert frames.shape[:3] == (4, 48, 64)
    np.testing.assert_allclose(frames[..., 0].mean(axis=(1, 2)), SHADES, atol=6)


def test_the_rate_is_kept() -> None:
    made = base64.b64decode(film(message(rate=2))["data"])
    assert iio.immeta(made, extension=".gif", plugin="pillow")["duration"] == 500


HUGE = jpeg(0, size=(2000, 2000), kind="PNG")
REFUSED: dict[str, Any] = {
    "nothing": None,
    "text": "film",
    "a format that is none": message(kind="../../etc/passwd"),
    "a list as format": message(kind=["gif"]),
    "no frames": message(frames=[]),
    "too many frames": message(frames=[jpeg(1)] * (MOST_FRAMES + 1)),
    "frames that are no text": message(frames=[1, 2]),
    "no base64": message(frames=["?"]),
    "another format": message(frames=[jpeg(1, kind="BMP")]),
    "a page": message(frames=[base64.b64encode(b"<svg onload=alert(1)>").decode()]),
    "a broken picture": message(frames=[jpeg(1)[:200]]),
    "a header alone": message(frames=[base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()]),
    "frames of two sizes": message(frames=[jpeg(1), jpeg(1, size=(64, 50))]),
    "a huge frame": message(frames=[HUGE]),
    "a thin frame": message(frames=[jpeg(1, size=(64, 3))]),
    "a rate of nothing": message(rate=0),
    "a rate that is none": message(rate="fast"),
    "a rate that is no number": message(rate=float("nan")),
    "true as rate": message(rate=True),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_film_is_refused_with_a_sentence(what: str) -> None:
    assert film(REFUSED[what]) == {"error": "This film could not be made: choose another format or fewer steps."}


def test_the_sentence_is_in_the_readers_language() -> None:
    assert "无法" in film(message(frames=[], language="zh"))["error"]
    assert "could not" in film(message(frames=[], language="../x"))["error"]


def test_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def acquire(self, timeout: float) -> bool:
            return False

    monkeypatch.setattr(module, "_places", Full())
    assert "Other films" in film(message())["error"]


def test_too_much_is_not_even_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LETTERS", 100)
    monkeypatch.setattr(module, "_picture", lambda text: pytest.fail("decoded"))
    assert "error" in film(message())
