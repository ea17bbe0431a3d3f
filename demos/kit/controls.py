"""A demo's controls: a frozen dataclass whose fields know their range.

The range is written once, in the field. From it come the interface component, the check of values that arrive from outside (share
links, the endpoint) and the text form in the page's address.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

C = TypeVar("C")


@dataclass(frozen=True)
class Spec:
    """What a control accepts."""

    kind: str  # number, choice, toggle, line, text, files (paths of uploads); drawn and marks (made on the stage, as text)
    low: float = 0.0
    high: float = 0.0
    step: float = 1.0
    options: tuple[str, ...] = ()
    whole: bool = False  # numbers: integers only
    slider: bool = True
    many: bool = False  # files: more than one
    suffixes: tuple[str, ...] = ()
    pattern: str = ""  # line: what all of it must match


def number(default: float | int, low: float, high: float, step: float = 1, *, slider: bool = True) -> Any:
    """A number in low…high; whole if the default is."""
    whole = isinstance(default, int)
    return field(default=default, metadata={"spec": Spec("number", low, high, step, whole=whole, slider=slider)})


def choice(default: str, options: Sequence[str]) -> Any:
    return field(default=default, metadata={"spec": Spec("choice", options=tuple(options))})


def toggle(default: bool) -> Any:
    return field(default=default, metadata={"spec": Spec("toggle")})


def line(default: str, pattern: str) -> Any:
    """A short line of text that is typed, such as a list of numbers; all of it must match the regular expression."""
    return field(default=default, metadata={"spec": Spec("line", pattern=pattern)})


def text() -> Any:
    """Lines of text that a visitor pastes, such as a configuration file. Never part of a share link."""
    return field(default="", metadata={"spec": Spec("text")})


def files(*, many: bool = False, suffixes: Sequence[str] = ()) -> Any:
    """Uploaded files, as a tuple of paths below the server's upload folder. Never part of a share link."""
    return field(default=(), metadata={"spec": Spec("files", many=many, suffixes=tuple(suffixes))})


def drawn() -> Any:
    """What a visitor drew on the stage, as text made by the stage. Never part of a share link."""
    return field(default="", metadata={"spec": Spec("drawn")})


def marks() -> Any:
    """What a visitor arranged on the stage (boxes, cells), as short text. An address carries it as long as it fits."""
    return field(default="", metadata={"spec": Spec("marks")})


def spec_of(item: Field[Any]) -> Spec:
    return item.metadata["spec"]


def is_content(item: Field[Any]) -> bool:
    """Whether the field carries the visitor's own content, which no link can carry."""
    return spec_of(item).kind in ("files", "drawn", "text")


class ControlError(ValueError):
    """A control's value is outside what it accepts."""


MAX_DRAWN = 4_000_000  # characters
MAX_LINE = 120
MAX_TEXT = 20_000
MAX_MARKS = 6000
LINKED_MARKS = 1400  # of all marks together in one address: what is longer stays out, like an upload


def checked(kind: type[C], values: dict[str, Any]) -> C:
    """Build `kind` from untrusted values; missing ones keep their default.

    Raises:
        ControlError: naming the control, what it accepts and what came.
    """
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise ControlError(f"no control is called {unknown[0]!r}; there are {', '.join(known)}")
    return kind(**{name: _checked(known[name], value) for name, value in values.items()})


def _checked(item: Field[Any], value: Any) -> Any:
    spec, default = spec_of(item), item.default
    if value is None:
        return default
    if spec.kind == "number":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise ControlError(f"{item.name} must be a number from {spec.low:g} to {spec.high:g}, got {_shown(value)}")
        if not spec.low <= value <= spec.high:
            raise ControlError(f"{item.name} must lie in {spec.low:g} to {spec.high:g}, got {_shown(value)}")
        if spec.whole and value != int(value):
            raise ControlError(f"{item.name} must be a whole number, got {value:g}")
        return int(value) if spec.whole else float(value)
    if spec.kind == "choice":
        if not isinstance(value, str) or value not in spec.options:
            raise ControlError(f"{item.name} must be one of {', '.join(spec.options)}, got {_shown(value)}")
        return value
    if spec.kind == "toggle":
        if not isinstance(value, bool):
            raise ControlError(f"{item.name} must be true or false, got {_shown(value)}")
        return value
    if spec.kind == "files":
        paths = (value,) if isinstance(value, str) else value
        if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
            raise ControlError(f"{item.name} must be uploaded files, got {_shown(value)}")
        return tuple(paths)
    if spec.kind == "line":
        if not isinstance(value, str) or len(value) > MAX_LINE or not re.fullmatch(spec.pattern, value):
            raise ControlError(f"{item.name} must be written like {default!r}, got {_shown(value)}")
        return value
    if spec.kind == "text":
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise ControlError(f"{item.name} must be text of at most {MAX_TEXT} characters, got {_shown(value)}")
        return value
    if spec.kind == "marks":
        if not isinstance(value, str) or not re.fullmatch(rf"[a-z0-9._]{{0,{MAX_MARKS}}}", value):
            raise ControlError(
                f"{item.name} must be at most {MAX_MARKS} of the characters a-z 0-9 . _, got {_shown(value)}"
            )
        return value
    if not isinstance(value, str) or len(value) > MAX_DRAWN:
        raise ControlError(f"{item.name} must be a drawing of at most {MAX_DRAWN} characters")
    return value


def _shown(value: Any) -> str:
    """What came, for a sentence: short whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python refuses to write out whole numbers of thousands of digits
        return "a very long number"


def to_query(controls: Any, *, preset: str, base: Any) -> str:
    """The controls as they stand in an address: the preset, then whatever differs from it. Uploads, drawings and long marks stay
    out."""
    pairs, room = [("preset", preset)], LINKED_MARKS
    for item in fields(controls):
        value = getattr(controls, item.name)
        if is_content(item) or value == getattr(base, item.name):
            continue
        if spec_of(item).kind == "marks":
            room -= len(value)
            if room < 0:
                continue
            value = value or NO_MARKS
        pairs.append((item.name, _to_text(value)))
    return urlencode(pairs)


NO_MARKS = "-"  # an empty value would be no value


def _to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return repr(value) if isinstance(value, (int, float)) else str(value)


def from_query(kind: type[C], query: str, *, presets: dict[str, C]) -> tuple[str, C]:
    """Preset's name and controls written in an address. What the address does not say, or says wrongly, stays as in the preset:
    a broken link opens a sane view."""
    try:
        said = dict(parse_qsl(query, max_num_fields=64) if len(query) <= 4096 else [])
    except ValueError:  # more fields than any link of ours has
        said = {}
    name = said.get("preset", "start") if said.get("preset", "start") in presets else "start"
    controls = presets[name]
    for item in fields(kind):  # type: ignore[arg-type]
        if item.name in said and not is_content(item):
            try:
                controls = replace(controls, **{item.name: _checked(item, _from_text(item, said[item.name]))})  # type: ignore[type-var]
            except (ControlError, ValueError):
                continue
    return name, controls


def _from_text(item: Field[Any], text: str) -> Any:
    spec = spec_of(item)
    if spec.kind == "toggle":
        return {"1": True, "0": False}.get(text, text)
    if spec.kind == "marks":
        return "" if text == NO_MARKS else text
    if spec.kind == "number":
        if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,25})?(e-?[0-9]{1,3})?", text):
            raise ControlError(f"{item.name} must be a plain number, got {text[:40]!r}")
        return int(text) if spec.whole else float(text)
    return text


def nearest_preset(controls: C, presets: dict[str, C]) -> str:
    """The preset that shares most values with `controls`: the shortest address. Ties go to the earlier one."""

    def shared(base: C) -> int:
        return sum(getattr(base, f.name) == getattr(controls, f.name) for f in fields(controls))  # type: ignore[arg-type]

    return max(presets, key=lambda name: shared(presets[name]))


def defaults_are_given(kind: type[Any]) -> bool:
    """Whether every field has a spec and a default: the opening view."""
    return all("spec" in item.metadata and item.default is not MISSING for item in fields(kind))
