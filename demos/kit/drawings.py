"""What visitors draw on the stage, read back: label maps, boxes and ways, as the bounded text the browser sends."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from demos.kit.upload_errors import UploadError

MAX_PIXELS = 4_000_000
BOX_UNITS = 10_000  # boxes are written in whole parts of the picture's width and height
MAX_BOXES = 120  # changed boxes in one drawing
MAX_PLACES = 400  # of one way


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


@dataclass(frozen=True, slots=True)
class BoxEdit:
    """What a visitor did to one box."""

    set: str  # the set's letter
    id: str  # "4" as computed, "n0" as added
    label: int | None = None  # class; None: the box was deleted
    xyxy: tuple[float, float, float, float] | None = None  # 0…1 of the picture's width and height

    @property
    def added(self) -> bool:
        return self.id.startswith("n")


_EDIT = re.compile(r"([a-z])(n?[0-9]{1,4})\.(?:(x)|([0-9]{1,4})((?:\.[0-9]{1,5}){4}))")


def read_boxes(text: str, *, sets: Collection[str], classes: int) -> tuple[BoxEdit, ...]:
    """Edits from `"t0.2.1000.2000.3000.4000_p4.x"`: set and id, class and corners in 1/10000 of the picture, or x for deleted.

    Raises:
        UploadError: drawing_broken if it is anything else, names a set or class that there is not, or a box without area;
            too_many_boxes.
    """
    if not text:
        return ()
    records = text.split("_")
    if len(records) > MAX_BOXES:
        raise UploadError("too_many_boxes", count=len(records), limit=MAX_BOXES)
    edits: dict[tuple[str, str], BoxEdit] = {}
    for record in records:
        match = _EDIT.fullmatch(record)
        if not match or match[1] not in sets or (match[1], match[2]) in edits:
            raise UploadError("drawing_broken")
        if match[3]:
            edits[match[1], match[2]] = BoxEdit(match[1], match[2])
            continue
        x0, y0, x1, y1 = (int(part) for part in match[5][1:].split("."))
        if not (0 <= x0 < x1 <= BOX_UNITS and 0 <= y0 < y1 <= BOX_UNITS and int(match[4]) < classes):
            raise UploadError("drawing_broken")
        corners = (x0 / BOX_UNITS, y0 / BOX_UNITS, x1 / BOX_UNITS, y1 / BOX_UNITS)
        edits[match[1], match[2]] = BoxEdit(match[1], match[2], int(match[4]), corners)
    return tuple(edits.values())


def write_boxes(edits: Sequence[BoxEdit]) -> str:
    """The text of edits, as the browser writes it."""
    return "_".join(
        f"{e.set}{e.id}.x"
        if e.xyxy is None
        else f"{e.set}{e.id}.{e.label}.{'.'.join(str(round(v * BOX_UNITS)) for v in e.xyxy)}"
        for e in edits
    )


def read_cells(text: str, *, shape: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """(row, column) of picked cells from `"0.2_3.1"`, at most one a row and one a column. Cells outside the matrix are left out:
    it may have shrunk since.

    Raises:
        UploadError: drawing_broken if it is anything else.
    """
    if not text:
        return ()
    if not re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}(_[0-9]{1,4}\.[0-9]{1,4})*", text):
        raise UploadError("drawing_broken")
    cells = [(int(r), int(c)) for r, c in (part.split(".") for part in text.split("_"))]
    if len({r for r, _ in cells}) < len(cells) or len({c for _, c in cells}) < len(cells):
        raise UploadError("drawing_broken")
    return tuple((r, c) for r, c in cells if r < shape[0] and c < shape[1])


def read_way(text: str) -> np.ndarray:
    """(T, 2) int32 places in 1/10000 of the square in which a point moves, from `"4000.5000_4010.5003"`; T is 0 for no text.

    Raises:
        UploadError: drawing_broken if it is anything else.
    """
    if not text:
        return np.zeros((0, 2), np.int32)
    places = text.split("_")
    if len(places) > MAX_PLACES or not all(re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", place) for place in places):
        raise UploadError("drawing_broken")
    return np.array([[int(part) for part in place.split(".")] for place in places], np.int32)


def write_way(places: np.ndarray) -> str:
    """The text of (T, 2) places, as the browser writes it."""
    return "_".join(f"{x}.{y}" for x, y in np.asarray(places).tolist())
