"""The stage: a computed trace, handed to the browser once and scrubbed there without asking the server.

Everything travels as one string: a header in JSON, then the raw bytes of all arrays and pictures, deflated together and
written in base64. The same string opens in a self-contained page (`static_page`). The browser draws; it never computes: a
label map is coloured by a table that was made here, a tooltip reads a name that was written here.
"""

from __future__ import annotations

import base64
import html
import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from demos.kit.numbers import Number, format_value, receipt_of, where
from demos.kit.scene import Guess, Scene
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors, role_css

ASSETS = Path(__file__).parents[2] / "assets" / "stage"
SCRIPTS = (
    "decode.js",
    "links.js",
    "blocks.js",
    "timelines.js",
    "picks.js",
    "layers.js",
    "paint.js",
    "boxes.js",
    "points.js",
    "numbers.js",
    "stage.js",
)


SENT = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")  # what decode.js has typed arrays for
NARROWED = {"bool": "uint8", "int64": "int32", "uint64": "uint32", "float16": "float32", "float64": "float32"}


def _narrowed(array: np.ndarray) -> np.ndarray:
    """The array in a type that browsers have. What does not fit is an error here, not a wrong picture there."""
    name = NARROWED.get(array.dtype.name, array.dtype.name)
    if name not in SENT:
        raise ValueError(f"the stage draws no array of type {array.dtype}")
    if array.dtype.kind in "iu" and name != array.dtype.name and array.size:
        limits = np.iinfo(name)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise ValueError(f"the stage draws no whole numbers beyond {name}, got {array.min()} to {array.max()}")
    return array.astype(np.dtype(name).newbyteorder("<"), copy=False)


class _Packer:
    """Collects arrays and blobs; equal objects travel once."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.index: list[dict[str, Any]] = []
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # keeps ids alive
        self.offset = 0

    def add(self, payload: np.ndarray | bytes) -> dict[str, int]:
        if id(payload) in self.seen:
            return {"$": self.seen[id(payload)]}
        if isinstance(payload, bytes):
            raw, entry = payload, {"dtype": "blob", "shape": [len(payload)]}
        else:
            array = _narrowed(np.ascontiguousarray(payload))
            raw, entry = array.tobytes(), {"dtype": array.dtype.name, "shape": list(array.shape)}
        raw += b"\0" * (-len(raw) % 8)
        self.index.append({**entry, "offset": self.offset})
        self.parts.append(raw)
        self.offset += len(raw)
        self.kept.append(payload)
        self.seen[id(payload)] = len(self.index) - 1
        return {"$": len(self.index) - 1}

    def plain(self, value: Any, number: Callable[[Number], Any]) -> Any:
        """Dataclasses to dictionaries, arrays to references, numbers through `number`."""
        if isinstance(value, Number):
            return number(value)
        if isinstance(value, (np.ndarray, bytes)):
            return self.add(value)
        if is_dataclass(value) and not isinstance(value, type):
            return {f.name: self.plain(getattr(value, f.name), number) for f in fields(value)}
        if isinstance(value, Mapping):
            return {str(k): self.plain(v, number) for k, v in value.items()}
        if isinstance(value, (tuple, list)):
            return [self.plain(v, number) for v in value]
        if isinstance(value, np.generic):
            return value.item()
        return value

    def pack(self, header: dict[str, Any]) -> str:
        return _packed({**header, "arrays": self.index}, self.parts)


def _packed(header: dict[str, Any], parts: Sequence[bytes]) -> str:
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    body = struct.pack("<I", len(text)) + text + b"".join(parts)
    return base64.b64encode(zlib.compress(body, 4)).decode()


@dataclass(frozen=True)
class Payload:
    """All that one view of a demo sends to its stage."""

    slug: str
    language: str
    title: str
    scene: Scene
    numbers: tuple[tuple[Number, ...], ...]  # one tuple for the whole view, or one a step
    query: str = ""
    values: Mapping[str, Any] = field(
        default_factory=lambda: dict[str, Any]()
    )  # of the controls, uploads and drawings left out
    preset: str = ""
    presets: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())
    modes: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())
    items: Mapping[str, str] = field(default_factory=lambda: dict[str, str]())  # item of a number -> its name here
    script: str = ""
    guesses: tuple[Guess, ...] = ()
    message: str = ""


def number_entry(number: Number, text: Text) -> dict[str, Any]:
    """A number as the stage shows it: its text, and everything its receipt says."""
    receipt = receipt_of(number) if number.kind == "computed" else None
    return {
        "key": number.key,
        "label": text.find("numbers", number.key, "label") or number.key,
        "help": text.find("numbers", number.key, "help") or "",
        "formula": number.formula,
        "convention": "; ".join(text("conventions", part) for part in number.convention.split(".") if part),
        "kind": number.kind,
        "gauge": number.gauge,
        "source": f"{number.source.__module__}.{number.source.__qualname__}",
        "where": where(number.source),
        "receipt": receipt["comparisons"] if receipt else [],
        **_own(number, text),
    }


def _own(number: Number, text: Text) -> dict[str, Any]:
    """What a number does not share with the others of its kind."""
    value = number.value
    finite = isinstance(value, (int, float)) and math.isfinite(value)
    return {
        "item": item_text(number.item, text) if number.item else "",
        "text": format_value(value, number.unit),
        "raw": value if finite else None if value is None or value != value else str(value),
        "filled": number.filled,
    }


def item_text(item: str, text: Text) -> str:
    """`name:argument` is a text of the topic with its {k} filled in; a known key is its text; anything else stands for itself."""
    name, colon, argument = item.partition(":")
    return (
        text(name, k=argument)
        if colon and isinstance(text.find(name), str)
        else text.find(item)
        if isinstance(text.find(item), str)
        else item
    )


def encode(payload: Payload, text: Text) -> str:
    """The stage's value: one base64 string."""
    packer = _Packer()
    shared: list[dict[str, Any]] = []
    known: dict[tuple[Any, ...], int] = {}
    told: dict[
        int, tuple[Number, dict[str, Any]]
    ] = {}  # by identity; the number is kept so that its identity stays its own

    def number(value: Number) -> dict[str, Any]:
        """What all numbers of one kind share (label, source, receipt) is written once."""
        if id(value) in told:
            return told[id(value)][1]
        kind = (value.key, value.formula, value.convention, value.kind, value.source)
        own = _own(value, text)
        if kind not in known:
            known[kind] = len(shared)
            shared.append({k: v for k, v in number_entry(value, text).items() if k not in own})
        own["item"] = payload.items.get(value.item, own["item"])
        entry = {"n": known[kind], **own}
        told[id(value)] = value, entry
        return entry

    header = {
        "version": 1,
        "slug": payload.slug,
        "language": payload.language,
        "title": payload.title,
        "scene": packer.plain(payload.scene, number),
        "numbers": [[number(n) for n in step] for step in payload.numbers],
        "query": payload.query,
        "values": dict(payload.values),
        "preset": payload.preset,
        "presets": dict(payload.presets),
        "modes": dict(payload.modes),
        "script": payload.script,
        "guesses": packer.plain(payload.guesses, number),
        "message": payload.message,
        "text": text.of("labels").find("stage"),
    }
    header["kinds"] = shared
    header["ramp"] = packer.add(magnitude_colors().ravel())
    return packer.pack(header)


def answer(question: str, value: str) -> str:
    """The value as the answer to a numbered question ("7" or "7.secret"); a value without a number is always shown."""
    number = question.partition(".")[0]
    return f"{number}:{value}" if number.isdigit() else value


def message_only(sentence: str, modes: Mapping[str, str] | None = None) -> str:
    """A value that leaves the last good picture where it is and says one sentence above it.

    `modes` are those that the visitor chose: the upload box that is missing must be there to be filled.
    """
    packer = _Packer()
    return packer.pack({"version": 1, "message": sentence, "scene": None, "modes": dict(modes or {})})


def message_of(value: Any) -> str | None:
    """The sentence of a value that carries nothing else, else None."""
    if not isinstance(value, str):
        return None
    header, _ = decode(value.partition(":")[2] if ":" in value else value)
    return header["message"] if header["scene"] is None else None


def with_message(value: str, sentence: str) -> str:
    """The same view with a sentence above it."""
    question, colon, packed = value.rpartition(":")
    body = zlib.decompress(base64.b64decode(packed))
    (length,) = struct.unpack_from("<I", body)
    header = {**json.loads(body[4 : 4 + length]), "message": sentence}
    return question + colon + _packed(header, [body[4 + length :]])


def decode(value: str) -> tuple[dict[str, Any], list[Any]]:
    """The header and the arrays of a stage value; the reverse of `encode`, for tests and exports."""
    body = zlib.decompress(base64.b64decode(value))
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    start = 4 + length
    arrays: list[Any] = []
    for entry in header["arrays"]:
        at = start + entry["offset"]
        if entry["dtype"] == "blob":
            arrays.append(body[at : at + entry["shape"][0]])
        else:
            count = int(np.prod(entry["shape"], dtype=np.int64))
            arrays.append(np.frombuffer(body, entry["dtype"], count, at).reshape(entry["shape"]))
    return header, arrays


@cache
def script() -> str:
    """All of the stage's JavaScript, one strict function scope."""
    parts = "\n".join((ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'"use strict";(()=>{{\n{parts}\n}})();'


@cache
def style() -> str:
    return role_css() + (ASSETS / "stage.css").read_text(encoding="utf-8")


def static_page(value: str, *, title: str, language: str) -> str:
    """One self-contained HTML page that opens `value` from disk: same picture, same numbers, no server."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{html.escape(title)}</title><style id="gb-style">{style()}</style></head>'
        f'<body class="gb-static"><main><h1>{html.escape(title)}</h1><div id="gb-open"></div></main>'
        f'<script id="gb-script">{script()}</script>'
        f'<script>Glassbox.open(document.getElementById("gb-open"),{json.dumps(value)})</script></body></html>'
    )


def head() -> str:
    """What a page's <head> needs before the first stage is mounted."""
    return f'<style id="gb-style">{style()}</style><script id="gb-script">{script()}</script>'


def component(elem_id: str):
    """The stage as a Gradio component; events: `commit_box`, `commit_paint`, `commit_boxes`, `commit_cells`,
    `commit_way`, `commit_pick`, `open_preset`.

    The template is a constant: what visitors wrote only ever reaches `textContent`.
    """
    import gradio as gr

    from demos.kit.film import film
    from demos.kit.jobs import follow

    return gr.HTML(
        value="",
        html_template='<div class="gb-root"></div>',
        css_template="",
        js_on_load=(
            "Glassbox.mount(element, props, watch,"
            " {box: d => trigger('commit_box', d), paint: d => trigger('commit_paint', d), boxes: d => trigger('commit_boxes', d),"
            " cells: d => trigger('commit_cells', d), way: d => trigger('commit_way', d), preset: d => trigger('open_preset', d),"
            " pick: d => trigger('commit_pick', d), follow: server.follow, film: server.film})"
        ),
        server_functions=[follow, film],
        apply_default_css=False,
        elem_id=elem_id,
        elem_classes=["gb-stage-holder"],
    )
