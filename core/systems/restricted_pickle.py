"""Read a pickle that may hold nothing but plain data.

Unpickling runs what the pickle names: a file from a stranger is a program. This reader is an interpreter of its own that knows only
the instructions for None, booleans, numbers, text, bytes, lists, tuples and dictionaries with text keys. There is no instruction for
importing or calling anything, so nothing can be run, whatever the file holds; lengths and depths are checked before memory is taken.

Source: Python's Lib/pickletools.py, which describes every instruction.
"""

from __future__ import annotations

from typing import Any, TypeAlias, Union

import numpy as np

Plain: TypeAlias = Union[bool, int, float, str, bytes, "list[Plain]", "tuple[Plain, ...]", "dict[str, Plain]", None]

MOST_BYTES = 256 << 20  # bytes of one file
MOST_OPERATIONS = 20_000_000  # instructions of one file
LONGEST_NUMBER = 16  # bytes

STOP = 0x2E
LENGTHS = {0x8C: 1, 0x58: 4, 0x8D: 8, 0x43: 1, 0x42: 4, 0x8E: 8}  # instruction -> bytes of its length
TEXT = {0x8C, 0x58, 0x8D}
PUTS = {0x71: 1, 0x72: 4}
GETS = {0x68: 1, 0x6A: 4}
WHOLE = {0x4B: (1, False), 0x4D: (2, False), 0x4A: (4, True)}
CONSTANTS: dict[int, Any] = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}
TUPLES = {0x85: 1, 0x86: 2, 0x87: 3}
RUNS = {  # what the refused instructions would do
    0x63: "import a name",
    0x93: "import a name",
    0x69: "import and call something",
    0x6F: "call something",
    0x52: "call something",
    0x81: "make an object",
    0x92: "make an object",
    0x62: "change an object's state",
    0x50: "load an object from elsewhere",
    0x51: "load an object from elsewhere",
    0x82: "look up a registered extension",
    0x83: "look up a registered extension",
    0x84: "look up a registered extension",
    0x8F: "make a set",
    0x91: "make a set",
    0x97: "take a buffer from elsewhere",
}


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
    if len(data) > most_bytes:
        raise RefusedPickle(f"the file must have at most {most_bytes >> 20} MiB, got {len(data) / 2**20:.1f}")
    if data[:1] != b"\x80":
        raise RefusedPickle("the file must be a binary pickle (protocol 2 or later): it does not begin like one")
    try:
        return _Reader(data, most_operations).read()
    except (IndexError, UnicodeDecodeError) as error:
        raise RefusedPickle("the pickle is damaged: it ends early or its text is no UTF-8") from error


class _Mark:
    """Where a list, tuple or dictionary under construction begins."""


_MARK = _Mark()


class _Reader:
    """The interpreter: a stack, a memory of earlier values, and a position in the file."""

    def __init__(self, data: bytes, most_operations: int) -> None:
        self.data, self.most = data, most_operations
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise IndexError
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(width), "little", signed=signed)

    def items(self) -> list[Any]:
        """What has been put on the stack since the last mark."""
        stack = self.stack
        k = len(stack) - 1
        while stack[k] is not _MARK:
            k -= 1
            if k < 0:
                raise RefusedPickle("the pickle is damaged: a mark is missing")
        found = stack[k + 1 :]
        del stack[k:]
        return found

    def into(self, kind: type) -> Any:
        """The list or dictionary on top of the stack."""
        if not isinstance(self.stack[-1], kind):
            raise RefusedPickle("the pickle is damaged: items for something that is no list or dictionary")
        return self.stack[-1]

    def read(self) -> Plain:
        for _ in range(self.most):
            code = self.data[self.at]
            self.at += 1
            if code == STOP:
                if len(self.stack) != 1 or self.stack[0] is _MARK:
                    raise RefusedPickle("the pickle is damaged: it must end with one object")
                return self.stack[0]
            self.step(code)
        raise RefusedPickle(f"the pickle must have at most {self.most} instructions, it has more")

    def step(self, code: int) -> None:
        stack, memo = self.stack, self.memo
        if code in LENGTHS:  # text and bytes: a length, then so many bytes
            raw = self.take(self.number(LENGTHS[code]))
            stack.append(raw.decode("utf-8", "surrogatepass") if code in TEXT else raw)
        elif code == 0x94:  # memoize
            memo[len(memo)] = stack[-1]
        elif code in PUTS:
            memo[self.number(PUTS[code])] = stack[-1]
        elif code in GETS:
            key = self.number(GETS[code])
            if key not in memo:
                raise RefusedPickle("the pickle is damaged: it refers to a value that it never made")
            stack.append(memo[key])
        elif code in WHOLE:
            width, signed = WHOLE[code]
            stack.append(self.number(width, signed=signed))
        elif code in CONSTANTS:
            stack.append(CONSTANTS[code])
        elif code == 0x28:  # mark
            stack.append(_MARK)
        elif code == 0x5D:
            stack.append([])
        elif code == 0x7D:
            stack.append({})
        elif code == 0x61:  # append
            value = stack.pop()
            self.into(list).append(_value(value))
        elif code == 0x65:  # appends
            values = self.items()
            self.into(list).extend(values)
        elif code == 0x73:  # setitem
            value, key = stack.pop(), stack.pop()
            self.into(dict)[_key(key)] = _value(value)
        elif code == 0x75:  # setitems
            values = self.items()
            if len(values) % 2:
                raise RefusedPickle("the pickle is damaged: a dictionary's key has no value")
            target = self.into(dict)
            for key, value in zip(values[::2], values[1::2], strict=True):
                target[_key(key)] = value
        elif code == 0x74:  # tuple from the mark on
            stack.append(tuple(self.items()))
        elif code in TUPLES:
            count = TUPLES[code]
            if len(stack) < count:
                raise IndexError
            values = [_value(value) for value in stack[-count:]]
            del stack[-count:]
            stack.append(tuple(values))
        elif code == 0x47:  # float, big-endian
            stack.append(float(np.frombuffer(self.take(8), ">f8")[0]))
        elif code == 0x8A or code == 0x8B:  # whole number of any length
            width = self.number(1) if code == 0x8A else self.number(4)
            if width > LONGEST_NUMBER:
                raise RefusedPickle(f"numbers must have at most {LONGEST_NUMBER} bytes, got {width}")
            stack.append(self.number(width, signed=True))
        elif code == 0x80:  # protocol
            protocol = self.number(1)
            if not 2 <= protocol <= 5:
                raise RefusedPickle(f"the pickle's protocol must be 2 to 5, got {protocol}")
        elif code == 0x95:  # frame: only a hint for reading ahead
            self.take(8)
        else:
            name = RUNS.get(code)
            what = f"it asks to {name}" if name else f"it holds the instruction 0x{code:02x}"
            raise RefusedPickle(f"only numbers, text, lists, tuples and dictionaries are admitted: {what}")


def _value(value: Any) -> Any:
    if value is _MARK:
        raise RefusedPickle("the pickle is damaged: a mark where a value belongs")
    return value


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise RefusedPickle(f"keys of dictionaries must be text, got {type(key).__name__}")
    return key
