"""Colours and the classes they stand for: palette files, and the table made from masks that come without one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from demos.kit.upload_errors import FilePath, UploadError, clean_text, open_upload, refusing

MAX_PALETTE_BYTES = 64_000
MAX_CLASSES = 1024
MAX_GUESSED = 64  # a picture with more colours than this is a photo, not a mask
FLAT_STEP = 6  # neighbours that differ by no more lie inside a region, not on its edge
SAME_COLOR = 24  # a lossy codec moves flat colours by less than this; classes are taken to be farther apart


@dataclass(frozen=True, slots=True)
class Palette:
    """Class k is drawn in colors[k]."""

    colors: np.ndarray  # (K, 3) uint8 RGB, all different
    names: tuple[str, ...] | None  # K names, or None where the file gave none


def read_palette(path: FilePath) -> Palette:
    """A palette file: classes in the order of the file.

    JSON: `{"road": [128, 64, 128]}`, `[{"name": "road", "color": "#804080"}]` or `[[128, 64, 128]]`. Text, a class a
    line: `128 64 128 road`, `road,128,64,128` or `#804080 road`. A heading line without colours and lines of comment
    are passed over.

    Raises:
        UploadError: not_a_palette (with the line), palette_duplicate, too_many_classes, and those of opening a file.
    """
    with open_upload(path, max_bytes=MAX_PALETTE_BYTES) as (file, name):
        with refusing("not_a_palette", name):
            text = file.read().decode("utf-8-sig").strip()
        entries = _json_entries(text, name) if text[:1] in ("{", "[") else _text_entries(text, name)
    if not entries:
        raise UploadError("not_a_palette", name=name)
    if len(entries) > MAX_CLASSES:
        raise UploadError("too_many_classes", name=name, count=len(entries), limit=MAX_CLASSES)
    seen: dict[tuple[int, int, int], int] = {}
    for k, (color, _) in enumerate(entries):
        if color in seen:
            raise UploadError("palette_duplicate", name=name, first=seen[color], second=k, color=hex_color(color))
        seen[color] = k
    names = tuple(clean_text(label) if label else str(k) for k, (_, label) in enumerate(entries))
    named = any(label for _, label in entries)
    return Palette(np.array([color for color, _ in entries], np.uint8), names if named else None)


_Entry = tuple[tuple[int, int, int], str]


def _json_entries(text: str, name: str) -> list[_Entry]:
    with refusing("not_a_palette", name):
        data: Any = json.loads(text)
        if isinstance(data, dict):
            pairs = [(label, color) for label, color in data.items()]
        else:
            pairs = [(item["name"], item["color"]) if isinstance(item, dict) else ("", item) for item in data]
        return [(_color(color), str(label)) for label, color in pairs]


def _color(value: Any) -> tuple[int, int, int]:
    if isinstance(value, str):
        if not re.fullmatch(r"#?[0-9a-fA-F]{6}", value):
            raise ValueError(value)
        return tuple(bytes.fromhex(value[-6:]))  # pyright: ignore[reportReturnType]
    r, g, b = value
    if not all(type(channel) is int and 0 <= channel <= 255 for channel in (r, g, b)):
        raise ValueError("a channel lies outside 0–255")
    return r, g, b


_HEX_FIRST = re.compile(r"#([0-9a-fA-F]{6})(?:[\s,;]+(.*))?")
_RGB_FIRST = re.compile(r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})(?:[\s,;]+(.*))?", re.ASCII)
_NAME_FIRST = re.compile(r"(.*?)[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})", re.ASCII)


def _text_entries(text: str, name: str) -> list[_Entry]:
    entries: list[_Entry] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if match := _HEX_FIRST.fullmatch(line):
            entries.append((_color(match[1]), match[2] or ""))
        elif not line or line.startswith(("#", "//")) or (number == 1 and not re.search(r"\d", line)):
            continue
        else:
            rgb_first, name_first = _RGB_FIRST.fullmatch(line), _NAME_FIRST.fullmatch(line)
            channels, label = (
                (rgb_first.groups()[:3], rgb_first[4] or "")
                if rgb_first
                else (name_first.groups()[1:], name_first[1])
                if name_first
                else ((), "")
            )
            if len(channels) != 3 or max(map(int, channels)) > 255:
                raise UploadError("palette_line", name=name, line=number, text=line)
            r, g, b = map(int, channels)
            entries.append(((r, g, b), label))
    return entries


def hex_color(color: tuple[int, int, int] | np.ndarray) -> str:
    """`#rrggbb`."""
    return "#" + bytes(int(channel) for channel in color).hex()


# --- the colours of a picture ---------------------------------------------------------------------------------------


def packed(rgb: np.ndarray) -> np.ndarray:
    """(…,) uint32 0xRRGGBB of (…, 3) uint8."""
    r, g, b = rgb[..., 0].astype(np.uint32), rgb[..., 1], rgb[..., 2]
    return (r << 16) | (g.astype(np.uint32) << 8) | b


def unpacked(codes: np.ndarray) -> np.ndarray:
    """(K, 3) uint8 of (K,) 0xRRGGBB."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)


def index_colors(rgb: np.ndarray, *, limit: int) -> tuple[np.ndarray, np.ndarray] | int:
    """(H, W) uint16 index into (K, 3) uint8 distinct colours in ascending order; or how many there are, if above
    `limit`.

    One pass over a 2²⁴-entry table, a strip at a time: sorting sixty million pixels would take seconds.
    """
    seen = np.zeros(1 << 24, bool)
    rows = max(1, 1_000_000 // max(1, rgb.shape[1]))
    strips = range(0, rgb.shape[0], rows)
    for top in strips:
        seen[packed(rgb[top : top + rows])] = True
    codes = np.flatnonzero(seen).astype(np.uint32)
    if len(codes) > limit:
        return len(codes)
    position = np.zeros(1 << 24, np.uint16)
    position[codes] = np.arange(len(codes), dtype=np.uint16)
    index = np.empty(rgb.shape[:2], np.uint8 if len(codes) <= 256 else np.uint16)
    for top in strips:
        index[top : top + rows] = position[packed(rgb[top : top + rows])]
    return index, unpacked(codes)


def is_flat(rgb: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that differ little from their four neighbours, so not on the blurred edge of a region."""
    flat = np.ones(rgb.shape[:2], bool)
    for axis in (0, 1):
        steps = np.diff(rgb.astype(np.int16), axis=axis)
        small = np.abs(steps) <= FLAT_STEP
        calm = (
            small[..., 0] & small[..., 1] & small[..., 2]
        )  # a reduction over three values would take ten times as long
        before, after = (slice(None, -1), slice(1, None))
        if axis == 0:
            flat[before] &= calm
            flat[after] &= calm
        else:
            flat[:, before] &= calm
            flat[:, after] &= calm
    return flat


class LossyColors:
    """Class colours that a lossy codec has smeared, recovered one picture after another.

    With `known` colours, every pixel goes to the nearest. Without, colours that fill flat regions and are unlike all
    before become new ones; the first pictures therefore decide, and later ones may add what they show for the first
    time.
    """

    def __init__(
        self, known: np.ndarray | None = None, seeds: np.ndarray | None = None, *, as_values: bool = False
    ) -> None:
        self.fixed = known is not None
        self.as_values = as_values  # the colours are greys that stand for their own value
        start = known if known is not None else seeds
        self.colors = np.zeros((0, 3), np.uint8) if start is None else start.copy()
        self._forget()

    def _forget(self) -> None:
        """Zeroed on demand by the system, so a table of 2²⁴ colours costs only the colours that occur."""
        self._nearest = np.zeros(1 << 24, np.uint16)
        self._state = np.zeros(1 << 24, np.uint8)  # 0 not met yet, 1 near its class's colour, 2 far from all

    def snap(self, rgb: np.ndarray, refuse: Callable[[int], UploadError]) -> tuple[np.ndarray, int]:
        """(H, W) index into `colors`, and how many pixels were not exactly their class's colour.

        Raises:
            whatever `refuse(number of colours)` makes, where no few colours account for the picture.
        """
        codes = packed(rgb)
        self._meet(codes)
        if not self.fixed and self._learn(rgb, codes):
            self._forget()
            self._meet(codes)
        far = int(np.count_nonzero(self._state[codes] == 2))
        if len(self.colors) == 0 or (not self.fixed and (len(self.colors) > MAX_GUESSED or far > 0.5 * codes.size)):
            raise refuse(len(np.unique(codes)))
        index = self._nearest[codes].astype(np.uint8 if len(self.colors) <= 256 else np.uint16)
        return index, int(np.count_nonzero(packed(self.colors)[index] != codes))

    def _meet(self, codes: np.ndarray) -> None:
        new = np.unique(codes[self._state[codes] == 0])
        for start in range(0, len(new), 65536):
            some = new[start : start + 65536]
            candidates = unpacked(some).astype(np.int32)
            best, largest_step = np.full(len(some), 1 << 30), np.full(len(some), 256)
            for k, color in enumerate(self.colors.astype(np.int32)):
                difference = candidates - color
                distance = (difference**2).sum(axis=1)
                closer = distance < best
                best[closer], self._nearest[some[closer]] = distance[closer], k
                largest_step[closer] = np.abs(difference[closer]).max(axis=1)
            self._state[some] = np.where(largest_step <= SAME_COLOR, 1, 2)

    def _learn(self, rgb: np.ndarray, codes: np.ndarray) -> bool:
        """Take up the colours of large flat regions that are far from all known ones, the most frequent first."""
        enough, before = max(9, codes.size // 5000), len(self.colors)
        far = self._state[codes] == 2
        if np.count_nonzero(far) < enough:
            return False
        flat, counts = np.unique(codes[far & is_flat(rgb)], return_counts=True)
        for k in np.lexsort((flat, -counts)):
            if counts[k] < enough or len(self.colors) > MAX_GUESSED:
                break
            color = unpacked(flat[k : k + 1]).astype(np.int16)
            if np.abs(self.colors - color).max(axis=1).min(initial=256) > SAME_COLOR:
                self.colors = np.concatenate([self.colors, color.astype(np.uint8)])
        return len(self.colors) > before
