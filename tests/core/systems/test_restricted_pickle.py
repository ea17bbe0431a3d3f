import collections
import contextlib
import os
import pickle
import pickletools
import struct
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.systems.restricted_pickle import RUNS, RefusedPickle, read_plain_pickle

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**90), 2**90)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(st.text(max_size=5), inside, max_size=4)
        | st.lists(inside, max_size=5).map(tuple)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=200)
@given(value=plain, protocol=st.integers(2, 5))
def test_plain_data_comes_back(value, protocol):
    if protocol == 2 and any(name in pickle.dumps(value, 2) for name in (b"c_codecs\n", b"c__builtin__\n")):
        return  # bytes are no plain data before protocol 3: they call a codec
    assert read_plain_pickle(pickle.dumps(value, protocol)) == value


def test_types_come_back_as_well(receipt):
    values = [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**63, -(2**100), 1.5, -0.0, float("inf")]
    got = read_plain_pickle(pickle.dumps(values))
    receipt(read_plain_pickle, "numbers", got, values, reference="pickle.loads", tolerance=0)
    assert [type(a) for a in got] == [type(b) for b in values]
    assert read_plain_pickle(pickle.dumps([True, None, (), [], {}, "", b""])) == [True, None, (), [], {}, "", b""]
    long = {"text": "x" * 100_000, "bytes": b"y" * 70_000, "many": list(range(5000))}
    assert read_plain_pickle(pickle.dumps(long)) == long


def test_shared_values_stay_shared_and_circles_do_no_harm():
    inner = [1]
    first, second = read_plain_pickle(pickle.dumps([inner, inner]))
    assert first is second
    circle: list = []
    circle.append(circle)
    got = read_plain_pickle(pickle.dumps(circle))
    assert got[0] is got


class Runs:
    """Unpickling this calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stateful:
    def __init__(self):
        self.x = 1


ran: list[str] = []

HOSTILE = {
    "system": pickle.dumps(Runs(os.system, "touch owned")),
    "eval": pickle.dumps(Runs(eval, "__import__('os')")),
    "inside a list": pickle.dumps({"segments": [Runs(ran.append, "ran")]}),
    "inside a tuple": pickle.dumps((1, Runs(ran.append, "ran"))),
    "inst": b"\x80\x02(S'echo'\nios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\nX\x02\x00\x00\x00ls\x6f.",
    "global": b"\x80\x02cos\nsystem\n.",
    "stack_global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "reduce": b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.",
    "class": pickle.dumps(Stateful),
    "instance": pickle.dumps(Stateful()),
    "build": b"\x80\x02}}b.",
    "persistent id": b"\x80\x02Pevil\n.",
    "binary persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "extension": b"\x80\x02\x82\x01.",
    "numpy array": pickle.dumps(np.arange(3)),
    "fraction": pickle.dumps(Fraction(1, 3)),
    "ordered dict": pickle.dumps(collections.OrderedDict(a=1)),
    "set": pickle.dumps({1, 2}),
    "frozenset": pickle.dumps(frozenset([1])),
    "bytearray": pickle.dumps(bytearray(b"x"), 5),
    "next buffer": b"\x80\x05\x97.",
    "newobj": b"\x80\x02cos\nsystem\n)\x81.",
    "builtin": pickle.dumps(print),
    "type": pickle.dumps(int),
    "codec": pickle.dumps(b"\xff\x00", 2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_runs_something_is_refused_and_does_not_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedPickle, match="only numbers, text, lists, tuples and dictionaries are admitted: it "):
        read_plain_pickle(HOSTILE[name])
    assert not ran
    assert not os.listdir(tmp_path)


DAMAGED = {
    "nothing": b"",
    "text protocol": pickle.dumps([1], 0),
    "no pickle": b"PK\x03\x04 a zip",
    "cut": pickle.dumps(list(range(1000)))[:-7],
    "no stop": b"\x80\x04]",
    "two objects": b"\x80\x04]].",
    "no object": b"\x80\x04.",
    "only a mark": b"\x80\x04(.",
    "mark in a tuple": b"\x80\x04(\x85.",
    "mark appended": b"\x80\x04](a.",
    "mark as a value": b"\x80\x04}\x8c\x01a(s.",
    "no mark": b"\x80\x04]e.",
    "items for a number": b"\x80\x04K\x01(K\x02e.",
    "append to a dictionary": b"\x80\x04}K\x02a.",
    "odd items": b"\x80\x04}(K\x01u.",
    "unknown reference": b"\x80\x04h\x07.",
    "empty stack": b"\x80\x04\x94.",
    "pop nothing": b"\x80\x04a.",
    "bad text": b"\x80\x04\x8c\x01\xff.",
    "short tuple": b"\x80\x04\x87.",
    "short float": b"\x80\x04G\x00.",
    "protocol 9": b"\x80\x09].",
    "protocol 0": b"\x80\x00].",
    "a number as key": pickle.dumps({1: 2}),
    "a list as key": b"\x80\x04}]K\x01s.",
    "a mark as key": b"\x80\x04}(K\x01s.",
    "long number": b"\x80\x02\x8b" + struct.pack("<I", 2**31 - 1) + b"\x01.",
    "17 bytes": pickle.dumps(2**130),
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_refused_in_a_sentence(name):
    with pytest.raises(RefusedPickle, match=r"^\w.{20,160}$"):
        read_plain_pickle(DAMAGED[name])


def test_far_memory_and_deep_nesting_take_no_time_and_no_memory():
    start = time.perf_counter()
    assert read_plain_pickle(b"\x80\x02]r\xff\xff\xff\xff.") == []  # the library would make room for 2³² entries
    deep = read_plain_pickle(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")
    assert isinstance(deep, list)
    laughs = b"\x80\x04]" + b"".join(b"\x94]h" + bytes([i]) + b"ah" + bytes([i]) + b"a" for i in range(60)) + b"."
    with pytest.raises(RefusedPickle):
        read_plain_pickle(laughs)  # leaves more than one object
    assert time.perf_counter() - start < 5


def test_limits():
    data = pickle.dumps(list(range(1000)))
    with pytest.raises(RefusedPickle, match="at most 100 instructions"):
        read_plain_pickle(data, most_operations=100)
    with pytest.raises(RefusedPickle, match=r"the file must have at most 0 MiB, got 0\.0"):
        read_plain_pickle(data, most_bytes=1000)
    count = sum(1 for _ in pickletools.genops(data))
    assert read_plain_pickle(data, most_operations=count, most_bytes=len(data)) == list(range(1000))


@settings(deadline=None, max_examples=400)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_data_or_refused(data):
    for blob in (data, b"\x80\x04" + data, b"\x80\x04" + data + b"."):
        with contextlib.suppress(RefusedPickle):
            read_plain_pickle(blob)


def test_every_instruction_of_python_is_understood_or_refused():
    """No instruction that pickletools knows to import or call is among those understood."""
    for opcode in pickletools.opcodes:
        code = opcode.code.encode("latin-1")
        if opcode.name in (
            "GLOBAL",
            "STACK_GLOBAL",
            "REDUCE",
            "BUILD",
            "INST",
            "OBJ",
            "NEWOBJ",
            "NEWOBJ_EX",
            "PERSID",
            "BINPERSID",
        ):
            assert ord(code) in RUNS
