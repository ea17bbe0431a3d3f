"""Read a pickle that may hold nothing but plain data.

Unpickling runs what the pickle names: a file from a stranger is a program. This reader is an interpreter of its own that knows only
the instructions for None, booleans, numbers, text, bytes, lists, tuples and dictionaries with text keys. There is no instruction for
importing or calling anything, so nothing can be run, whatever the file holds; lengths and depths are checked before memory is taken.

Source: Python's Lib/pickletools.py, which describes every instruction.
"""

from __future__ import annotations

from typing import TypeAlias, Union

Plain: TypeAlias = Union[None, bool, int, float, str, bytes, "list[Plain]", "tuple[Plain, ...]", "dict[str, Plain]"]

MOST_BYTES = 256 << 20  # bytes of one file
MOST_OPERATIONS = 20_000_000  # instructions of one file


class RefusedPickle(ValueError):
    """The file is not a pickle of plain data."""


def read_plain_pickle(data: bytes, *, most_bytes: int = MOST_BYTES, most_operations: int = MOST_OPERATIONS) -> Plain:
    """The object that a pickle of plain data describes.

    Args:
        data: the file's bytes.
        most_bytes, most_operations: limits; past them the file is refused.

    Raises:
        RefusedPickle: in one sentence, if the file asks to import or call anything, is damaged, or is too large.

    Differs: no sets, no objects, no persistent ids, no keys but text, no text protocol (0) instructions.

    >>> import pickle
    >>> read_plain_pickle(pickle.dumps({"a": [1, 2.5, None, True], "b": ("x",)}))
    {'a': [1, 2.5, None, True], 'b': ('x',)}
    """
    raise NotImplementedError
