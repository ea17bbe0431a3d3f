"""How an upload is opened, and what is said when it cannot be used.

Sentences live in assets/text/<language>/errors.json under the code of the error or note; a code's fields fill them in.
"""

from __future__ import annotations

import json
import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

FilePath: TypeAlias = "str | os.PathLike[str]"
FieldValue: TypeAlias = "str | int | float"

TEXT = Path(__file__).parents[2] / "assets" / "text"
MAX_FILE_BYTES = 256_000_000


LONGEST_NAME, LONGEST_PROBLEM = 48, 200  # letters of a field


@cache
def _sentences(language: str) -> Mapping[str, str]:
    return json.loads((TEXT / language / "errors.json").read_text(encoding="utf-8"))


def clean_text(text: str, *, limit: int = LONGEST_NAME) -> str:
    """Visitors' text made fit for a sentence: no control or direction characters, and cut in the middle past `limit`.

    >>> clean_text("a\\x1b[31m\\u202egnp.exe"), clean_text("x" * 90 + ".png", limit=16)
    ('a[31mgnp.exe', 'xxxxxxx…xxxx.png')
    """
    kept = "".join(" " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c)[0] != "C")
    kept = " ".join(kept.split()) or "?"
    return kept if len(kept) <= limit else f"{kept[: (limit - 1) // 2]}…{kept[-(limit // 2) :]}"


def display_name(path: FilePath) -> str:
    """The file's own name, safe to show: no folder of either kind of slash."""
    return clean_text(os.fspath(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1])


def error_sentence(code: str, fields: Mapping[str, FieldValue], language: str = "en") -> str:
    """The sentence for an error's or a note's code; a language without sentences of its own gets English.

    >>> error_sentence("empty_file", {"name": "cat.png"})
    'cat.png is empty (0 bytes): choose the file again.'
    """
    if not (language.isalpha() and (TEXT / language / "errors.json").is_file()):
        language = "en"
    return _sentences(language)[code].format(**_cleaned(fields))


def _cleaned(fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
    """Fit for a sentence: names are cut short, a reader's own account of the problem is not."""
    return {
        key: clean_text(value, limit=LONGEST_PROBLEM if key == "problem" else LONGEST_NAME)
        if isinstance(value, str)
        else value
        for key, value in fields.items()
    }


class UploadError(ValueError):
    """A file that cannot be used; `str(error)` is the English sentence, `code` and `fields` make it in any language."""

    def __init__(self, code: str, /, **fields: FieldValue) -> None:
        self.code = code
        self.fields = _cleaned(fields)
        super().__init__(error_sentence(code, self.fields))

    def sentence(self, language: str = "en") -> str:
        return error_sentence(self.code, self.fields, language)


class EmptyFile(UploadError):
    def __init__(self, name: str) -> None:
        super().__init__("empty_file", name=name)


class NotAVideo(UploadError):
    def __init__(self, name: str) -> None:
        super().__init__("not_a_video", name=name)


class NoVideoStream(UploadError):
    def __init__(self, name: str) -> None:
        super().__init__("no_video_stream", name=name)


class Truncated(UploadError):
    """A video that breaks off before it has given enough frames."""

    def __init__(self, name: str, frames: int) -> None:
        self.frames = frames
        super().__init__("truncated_video", name=name, kept=frames)


class Note(NamedTuple):
    """Something done to an upload that its owner should know; not an error."""

    code: str
    fields: Mapping[str, FieldValue]

    def sentence(self, language: str = "en") -> str:
        return error_sentence(self.code, self.fields, language)


@contextmanager
def open_upload(path: FilePath, *, max_bytes: int = MAX_FILE_BYTES) -> Iterator[tuple[IO[bytes], str]]:
    """The file, opened for reading, and its display name; only a plain file of 1 to `max_bytes` bytes is opened."""
    name = display_name(path)
    try:
        info = os.stat(path)
    except (OSError, ValueError):  # ValueError: a zero byte in the name
        raise UploadError("missing_file", name=name) from None
    if not stat.S_ISREG(info.st_mode):
        raise UploadError("not_a_file", name=name)
    if info.st_size == 0:
        raise EmptyFile(name)
    if info.st_size > max_bytes:
        raise UploadError("file_too_large", name=name, megabytes=-(-info.st_size // 10**6), limit=max_bytes // 10**6)
    try:
        file = open(path, "rb")  # noqa: SIM115  (the with below closes it; only the opening may be called "missing")
    except OSError:
        raise UploadError("missing_file", name=name) from None
    with file:
        yield file, name


@contextmanager
def refusing(code: str, name: str) -> Iterator[None]:
    """Decoders fed hostile bytes raise nearly anything; here it all becomes `UploadError(code)`."""
    try:
        yield
    except UploadError:
        raise
    except Exception as error:
        raise UploadError(code, name=name) from error
