"""Drawings come back exactly, and nothing else comes in."""

from __future__ import annotations

import base64
import contextlib
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from demos.kit.drawings import (
    BOX_UNITS,
    MAX_BOXES,
    MAX_PIXELS,
    MAX_PLACES,
    BoxEdit,
    read_box,
    read_boxes,
    read_cells,
    read_painting,
    read_way,
    write_boxes,
    write_painting,
    write_way,
)
from demos.kit.upload_errors import UploadError


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


def refused(text: str, size: tuple[int, int], code: str = "drawing_broken") -> None:
    with pytest.raises(UploadError) as caught:
        read_painting(text, size=size)
    assert caught.value.code == code
    assert caught.value.sentence("zh")


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_a_painting_survives(labels: np.ndarray) -> None:
    back = read_painting(write_painting(labels), size=(labels.shape[0], labels.shape[1]))
    assert back.dtype == np.uint8
    assert (back == labels).all()


def test_width_comes_first() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert write_painting(labels).startswith("3x2:")
    assert (read_painting("3x2:" + packed(bytes(range(6))), size=(2, 3)) == labels).all()


def test_views_that_are_not_contiguous_are_written_in_reading_order() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    assert (read_painting(write_painting(labels), size=(4, 3)) == labels).all()


def test_a_painting_of_another_picture_is_told() -> None:
    refused(write_painting(np.zeros((4, 5), np.uint8)), (5, 4), "drawing_size")


def test_a_large_picture_can_be_painted() -> None:
    labels = np.zeros((2000, 2000), np.uint8)
    assert labels.size == MAX_PIXELS
    assert read_painting(write_painting(labels), size=(2000, 2000)).shape == (2000, 2000)
    refused(write_painting(np.zeros((2000, 2001), np.uint8)), (2000, 2001))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3x2",
        "3x2:",
        "3x2:AAAA",
        "3x2:" + packed(bytes(5)),
        "3x2:" + packed(bytes(7)),
        "3x2:" + packed(bytes(6))[:-4],
        "3x2:" + packed(bytes(6)) + "!",
        "3x2:" + packed(bytes(6)) + "=",
        " 3x2:" + packed(bytes(6)),
        "-3x2:" + packed(bytes(6)),
        "3x2x1:" + packed(bytes(6)),
        "3X2:" + packed(bytes(6)),
        "３x２:" + packed(bytes(6)),
        "0x0:" + packed(b""),
        "3x2:" + base64.b64encode(bytes(6)).decode(),
    ],
)
def test_broken_paintings_are_refused(text: str) -> None:
    refused(text, (0, 0) if text.startswith("0x0") else (2, 3))


def test_a_bomb_is_refused_without_its_memory() -> None:
    """A few hundred kilobytes that would unpack to a gigabyte: one block of a megabyte, repeated."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = head + block * 1023
    assert len(bomb) < 2_000_000
    assert len(zlib.decompressobj().decompress(bomb[: len(head) + 9 * len(block)])) == 10 << 20
    text = "100x100:" + base64.b64encode(bomb).decode()
    tracemalloc.start()
    try:
        began = time.perf_counter()
        refused(text, (100, 100))
        took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took < 1
    assert peak < 8_000_000


def test_a_size_that_asks_for_memory_is_refused_first() -> None:
    refused("99999x99999:" + packed(bytes(10)), (99999, 99999))


@settings(deadline=None, max_examples=200)
@given(
    st.text(max_size=60)
    | st.builds(lambda w, h, b: f"{w}x{h}:{packed(b)}", st.integers(0, 9), st.integers(0, 9), st.binary(max_size=90))
)
def test_whatever_is_sent_ends_in_labels_or_a_sentence(text: str) -> None:
    with contextlib.suppress(UploadError):
        assert read_painting(text, size=(3, 4)).shape == (3, 4)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("10,20,30,40", (10, 20, 30, 40)),
        ("30,40,10,20", (10, 20, 30, 40)),
        ("-5,-5,500,500", (0, 0, 100, 80)),
        ("1.5,2.25,3.75,4", (1.5, 2.25, 3.75, 4)),
    ],
)
def test_boxes_are_put_in_order_and_clipped(text: str, box: tuple[float, ...]) -> None:
    assert read_box(text, size=(80, 100)) == box


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "1,2,1,2",
        "1,2,1.5,40",
        "nan,0,10,10",
        "inf,0,10,10",
        "1e3,0,10,10",
        "200,200,300,300",
        "1, 2, 30, 40",
        "+1,2,30,40",
        "٣,0,10,10",
        "1,2,30,40\n",
        "1234567,0,10,10",
    ],
)
def test_broken_boxes_are_refused(text: str) -> None:
    with pytest.raises(UploadError) as caught:
        read_box(text, size=(80, 100))
    assert caught.value.code == "drawing_broken"


corner = st.floats(-1000, 1000).map(lambda v: round(v, 3))


@given(corner, corner, corner, corner)
def test_boxes_lie_in_the_picture(a: float, b: float, c: float, d: float) -> None:
    try:
        x0, y0, x1, y1 = read_box(f"{a:.3f},{b:.3f},{c:.3f},{d:.3f}", size=(80, 100))
    except UploadError:
        return
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 80


# -- boxes and cells -------------------------------------------------------------------------------------------------------------------

SETS = ("p", "t")


def test_edits_are_read_as_they_were_made() -> None:
    edits = read_boxes("t0.2.1000.2000.3000.4000_p4.x_pn0.0.0.0.10000.1", sets=SETS, classes=3)
    assert edits == (
        BoxEdit("t", "0", 2, (0.1, 0.2, 0.3, 0.4)),
        BoxEdit("p", "4"),
        BoxEdit("p", "n0", 0, (0.0, 0.0, 1.0, 0.0001)),
    )
    assert [edit.added for edit in edits] == [False, False, True]
    assert read_boxes("", sets=SETS, classes=3) == ()


corners = st.lists(st.integers(0, BOX_UNITS), min_size=2, max_size=2, unique=True).map(sorted)
names = st.tuples(st.sampled_from(SETS), st.integers(0, 9999).map(str) | st.integers(0, 9999).map(lambda n: f"n{n}"))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(names, st.none() | st.tuples(st.integers(0, 4), corners, corners)),
        max_size=20,
        unique_by=lambda e: e[0],
    )
)
def test_edits_survive_their_text(made: list) -> None:
    edits = tuple(
        BoxEdit(*name)
        if box is None
        else BoxEdit(*name, box[0], tuple(v / BOX_UNITS for v in (box[1][0], box[2][0], box[1][1], box[2][1])))
        for name, box in made
    )
    assert read_boxes(write_boxes(edits), sets=SETS, classes=5) == edits


@pytest.mark.parametrize(
    "text",
    [
        "t0",
        "t0.",
        "t0.y",
        "t0.1.2.3.4",
        "t0.1.2.3.4.5.6",
        "q0.x",
        "tt0.x",
        "t.x",
        "t00000.x",
        "t0.x_",
        "_t0.x",
        "t0.x_t0.x",
        "t0.3.1.2.3.4",
        "t0.1.5.2.3.4",
        "t0.1.1.5.3.4",
        "t0.1.3.2.3.4",
        "t0.1.1.2.3.10001",
        "t0.-1.1.2.3.4",
        "T0.x",
        "t0.x ",
        "t٠.x",
    ],
)
def test_other_edits_are_refused(text: str) -> None:
    with pytest.raises(UploadError) as caught:
        read_boxes(text, sets=SETS, classes=3)
    assert caught.value.code == "drawing_broken"


def test_more_edits_than_anybody_makes_are_refused() -> None:
    text = "_".join(f"t{k}.x" for k in range(MAX_BOXES + 1))
    assert len(read_boxes(text.rpartition("_")[0], sets=SETS, classes=3)) == MAX_BOXES
    with pytest.raises(UploadError) as caught:
        read_boxes(text, sets=SETS, classes=3)
    assert caught.value.code == "too_many_boxes"


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="tpnx0123456789._", max_size=60))
def test_whatever_is_sent_ends_in_edits_or_a_sentence(text: str) -> None:
    with contextlib.suppress(UploadError):
        for edit in read_boxes(text, sets=SETS, classes=3):
            assert edit.set in SETS
            assert edit.xyxy is None or (
                0 <= edit.xyxy[0] < edit.xyxy[2] <= 1 and 0 <= edit.xyxy[1] < edit.xyxy[3] <= 1
            )


def test_cells_are_read_and_those_outside_are_left_out() -> None:
    assert read_cells("0.2_3.1", shape=(4, 3)) == ((0, 2), (3, 1))
    assert read_cells("0.2_3.1", shape=(3, 3)) == ((0, 2),)
    assert read_cells("", shape=(0, 0)) == ()


@pytest.mark.parametrize("text", ["0", "0.1_", "0.1_0.2", "0.1_1.1", "-1.0", "a.b", "0.1.2", "0.1 ", "99999.0"])
def test_other_cells_are_refused(text: str) -> None:
    with pytest.raises(UploadError):
        read_cells(text, shape=(9, 9))


# -- ways ----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, BOX_UNITS - 1), st.integers(0, BOX_UNITS - 1)), max_size=20))
def test_ways_come_back_exactly(places: list[tuple[int, int]]) -> None:
    way = np.array(places, np.int32).reshape(-1, 2)
    again = read_way(write_way(way))
    assert again.dtype == np.int32
    assert (again == way).all()


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.2.3",
        "1.2_",
        "_1.2",
        "a.2",
        "-1.2",
        "1.2 ",
        "10000.2",
        "1.2\n",
        "1.2_3",
        "_".join(["1.2"] * (MAX_PLACES + 1)),
    ],
)
def test_anything_else_is_no_way(text: str) -> None:
    with pytest.raises(UploadError) as caught:
        read_way(text)
    assert caught.value.code == "drawing_broken"
