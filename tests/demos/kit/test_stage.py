"""The stage's one string: whatever goes in comes out, data stays data, and pages are self-contained."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from html.parser import HTMLParser
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from core.perception.segmentation_metrics import segmentation_scores
from demos.kit import stage
from demos.kit.numbers import Number
from demos.kit.scene import (
    BLANK,
    MINUS_INFINITY,
    NOT_A_NUMBER,
    PLUS_INFINITY,
    Areas,
    Axes,
    Bars,
    Boxes,
    BoxSet,
    Cells,
    Face,
    Grid,
    Guess,
    Hover,
    Labels,
    Layer,
    Level,
    Mark,
    Matrix,
    Pane,
    Paths,
    Pick,
    Picture,
    Points,
    Registers,
    Ribbons,
    Scene,
    Stack,
    Strip,
    Table,
    Tiles,
    Tools,
    View,
    Words,
    fixed_point,
    jpeg,
    solid,
)
from demos.kit.stage import (
    Payload,
    decode,
    encode,
    head,
    item_text,
    message_only,
    number_entry,
    script,
    static_page,
    style,
)
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors

TEXT = Text("en", "segmentation-metrics")
NUMBER = Number("mean_iou", 0.5, segmentation_scores, "hits / all", {"hits": 1, "all": 2}, convention="dataset.zero")
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "${alert(1)}",
    "`{{x}}`",
    "<!--",
    "]]>",
    "a\u2028b\u2029c",
    '"\\',
    "\x00\x1f",
    "𝔘 中文 é",
)


def payload(*layers: Layer, **options: Any) -> Payload:
    scene = options.pop("scene", Scene((Pane("p", "P", layers, 4, 3),)))
    return Payload(
        slug="segmentation-metrics",
        language="en",
        title="T",
        scene=scene,
        numbers=options.pop("numbers", ((NUMBER,),)),
        **options,
    )


def back(*layers: Layer, **options: Any) -> tuple[dict[str, Any], list[Any]]:
    return decode(encode(payload(*layers, **options), TEXT))


CODES = np.arange(12, dtype=np.uint16).reshape(3, 4)
VIEW = View(
    "v", "V", solid(np.arange(36, dtype=np.uint8).reshape(12, 3)), np.zeros(12, np.uint8), (("one", "#FFFFFF", 1),)
)
LAYERS: dict[str, Layer] = {
    "picture": Picture("a", "A", (b"\xff\xd8first", b"\x89PNGsecond!")),
    "labels": Labels(
        "a", "A", CODES, (VIEW,), hover=(Hover("h", np.arange(12, dtype=np.uint8), ("n",) * 12),), link="m"
    ),
    "boxes": Boxes(
        "a",
        "A",
        np.array([[0, 1, 2, 3.5], [np.nan] * 4]),
        ("x", ""),
        ("truth",),
        dashed=True,
        width=4.0,
        quiet=True,
        hints=("one", "two"),
        link="m",
        items=np.array([3, -1]),
        also={"n": np.array([[0, 1], [2, 3]])},
    ),
    "points": Points("a", "A", np.array([[[0.5, 0.5]], [[np.nan, 1]]]), ("p",)),
    "paths": Paths("a", "A", np.arange(12.0).reshape(2, 3, 2), grow=True),
    "ribbons": Ribbons("a", "A", np.arange(8.0).reshape(2, 4), np.array([1.0, 2.0])),
    "bars": Bars("a", "A", np.array([0.1, 0.9]), ("x", "y"), (("10 %", "90 %"),)),
    "matrix": Matrix(
        "a",
        "A",
        np.zeros((2, 2), np.uint8),
        (("1", "2", "3", "4"),),
        ("r", "s"),
        ("c", "d"),
        codes=np.arange(4).reshape(2, 2),
        receipts=(NUMBER,),
        faces=(Face("f", "F", np.ones((2, 2), np.uint8), (("5", "6", "7", "8"),), (NUMBER,)),),
        face="f",
        marks=np.array([[0, 1], [2, 4]], np.uint8),
        mark_names=("one", "two"),
        row_values=(("0.5", "1"), ("2", "3")),
        column_values=(("a", "b"),),
        pick=True,
        picked=((0, 1),),
    ),
    "table": Table(
        "a", "A", ("k", "v"), (("row", NUMBER),), (0,), later=((("row", NUMBER),), (("row", "–"),)), marks=((0,), ())
    ),
    "cells": Cells(
        "a",
        "A",
        np.array([[0.0, 0, 2, 3], [2, 0, 4, 3]]),
        np.array([[0, 1], [1, 1]], np.uint8),
        solid(np.zeros((2, 3), np.uint8)),
        np.array([0, 1], np.uint8),
        (("one", "#FFFFFF", 1),),
        ("left", "right"),
        np.array([0, -1]),
    ),
    "grid": Grid(
        "a",
        "A",
        (0.5, 1.0),
        fixed_point(np.array([[[1.5, np.nan]], [[-np.inf, 2.0]]]), 2),
        2,
        magnitude_colors(),
        (0.0, 2.0),
        (NUMBER,),
    ),
    "words": Words("a", "A", np.zeros((1, 2)), (("×",), ("=",))),
    "stack": Stack(
        "a",
        "A",
        np.array([[1.0, 2.0]]),
        ("bar",),
        ("x", "y"),
        (("3",),),
        4.0,
        2.5,
        "limit",
        np.array([1], np.uint8),
        ("truth",),
        (0, 1),
    ),
    "registers": Registers(
        "a",
        "item {k}",
        ("m", "l"),
        np.array([0, 2]),
        np.array([5, 5]),
        np.array([[1.0, np.nan], [np.inf, 2.0]], np.float32),
        (2, 3),
        "row",
    ),
    "areas": Areas(
        "a", "A", np.arange(4.0), np.cumsum(np.ones((3, 3)), axis=0), ("x", "y"), ("truth", "#FFFFFF"), (0, 1)
    ),
    "strip": Strip(
        "a",
        "A",
        np.array([[0.0, 1], [1, 3]]),
        np.array([1, 0], np.uint8),
        ("one", "two"),
        ("truth", "error"),
        (0, 2),
        ("w", ""),
        ("first", "second"),
    ),
    "level": Level("a", "A", 2.5, "limit", 0.5, 9.0, 0.5, "MiB"),
    "tiles": Tiles(
        "a",
        "A",
        ("x", "y"),
        np.array([[0, 1], [1, 0]], np.uint8),
        ("", "busy"),
        ("", "forward"),
        (0, 1),
        np.array([[0.0, 0.5], [1.0, 0.25]]),
        ("x box", "y box"),
        ((0, 2, 1),),
        "group",
        (1,),
        "pinned",
        True,
        (NUMBER,),
    ),
}


def unpacked(node: Any, found: list[Any]) -> Any:
    """The header with its arrays put back in place."""
    if isinstance(node, dict):
        return found[node["$"]] if set(node) == {"$"} else {k: unpacked(v, found) for k, v in node.items()}
    return [unpacked(v, found) for v in node] if isinstance(node, list) else node


def same(got: Any, given_: Any) -> None:
    if isinstance(given_, np.ndarray):
        assert got.shape == given_.shape
        np.testing.assert_array_equal(got, given_.astype(got.dtype))
    elif isinstance(given_, bytes):
        assert got == given_
    elif isinstance(given_, (tuple, list)):
        assert len(got) == len(given_)
        for a, b in zip(got, given_, strict=True):
            same(a, b)
    elif isinstance(given_, Number):
        assert got["raw"] == given_.value
    elif isinstance(given_, Mapping):
        assert set(got) == set(given_)
        for name in given_:
            same(got[name], given_[name])
    elif hasattr(given_, "__dataclass_fields__"):
        assert set(got) == {f.name for f in fields(given_)}
        for f in fields(given_):
            same(got[f.name], getattr(given_, f.name))
    else:
        assert got == given_


def test_every_layer_type_is_tried() -> None:
    assert {type(layer) for layer in LAYERS.values()} == set(get_args(Layer))
    assert {layer.type for layer in LAYERS.values()} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_come_back(name: str) -> None:
    header, found = back(LAYERS[name])
    same(unpacked(header["scene"], found)["panes"][0]["layers"][0], LAYERS[name])


def test_boxes_to_be_dragged_come_back() -> None:
    boxes = BoxSet("t", "object", ("0", "n0"), (1, 0), np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.float32), add=False)
    scene = Scene(
        (Pane("p", "", (), 8, 8),), tools=Tools("p", classes=("a", "b"), boxes=(boxes,), edits="tn0.0.1.2.3.4")
    )
    header, found = decode(encode(Payload("s", "en", "T", scene, ()), Text("en")))
    same(unpacked(header["scene"], found)["tools"], scene.tools)


def test_a_full_scene_comes_back() -> None:
    scene = Scene(
        (
            Pane(
                "p",
                "P",
                tuple(LAYERS.values()),
                4,
                3,
                Axes((0, 1), (0, 2), "x", "y", np.array([0.0, 1.0])),
                "side",
                "note",
            ),
        ),
        steps=2,
        captions=("one", "two"),
        step_names=("a", "b"),
        step=1,
        pointed=("m",),
        followed={"m": np.array([3, -1])},
        tools=Tools(
            "p", True, True, ("k",), np.zeros((1, 3), np.uint8), np.zeros((3, 4), np.uint8), 0, (0, 0, 1, 1), "L"
        ),
        notes=("n",),
        picks=(Pick("row", 3, "item {k}", ("a",)),),
        marks=(Mark("m", "Marked", (0, 1), "truth"),),
    )
    header, found = back(
        scene=scene, guesses=(Guess("q", ("a", "b"), 1, ("no", "yes"), "start"),), modes={"m": "x"}, script="print(1)"
    )
    same(unpacked(header["scene"], found), scene)
    assert header["guesses"][0]["answer"] == 1
    assert header["modes"] == {"m": "x"}
    assert header["script"] == "print(1)"
    assert header["text"]["close"] == "Close"
    assert (unpacked(header["ramp"], found).reshape(256, 3) == magnitude_colors()).all()


@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int8", "int8"),
        ("uint16", "uint16"),
        ("int16", "int16"),
        ("uint32", "uint32"),
        ("int32", "int32"),
        ("int64", "int32"),
        ("float32", "float32"),
        ("float64", "float32"),
        ("uint64", "uint32"),
        ("float16", "float32"),
        (">u2", "uint16"),
        (">f8", "float32"),
        (">i8", "int32"),
    ],
)
def test_every_type_arrives_as_one_that_browsers_have(given_: str, sent: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(given_)
    header, found = back(Bars("a", "A", array, ("x",)))
    got = unpacked(header["scene"], found)["panes"][0]["layers"][0]["values"]
    assert got.dtype == np.dtype(sent)
    assert (got == [[0, 1, 1], [1, 0, 1]]).all()


def test_types_that_no_browser_has_are_refused() -> None:
    """Better a failing test than a number that wraps around or a stage that stays empty."""
    for array in (
        np.array([2**40]),
        np.array([1 + 2j]),
        np.array(["text"]),
        np.array([2**63], np.uint64),
        np.array([-(2**31) - 1]),
    ):
        with pytest.raises(ValueError, match="stage"):
            back(Bars("a", "A", array, ("x",)))


def test_the_browser_reads_every_type_that_is_sent() -> None:
    code = (stage.ASSETS / "decode.js").read_text(encoding="utf-8")
    kinds = re.search(r"const KINDS = \{([^}]*)\}", code)
    assert kinds is not None
    assert set(re.findall(r"(\w+):", kinds[1])) == set(stage.SENT)


@settings(deadline=None, max_examples=60)
@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
        array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=7),
    )
)
def test_arrays_come_back_and_lie_aligned(array: np.ndarray) -> None:
    value = encode(payload(LAYERS["picture"], Bars("a", "A", array, ("x",)), Bars("b", "B", array[::-1], ("x",))), TEXT)
    body = zlib.decompress(base64.b64decode(value))
    (length,) = struct.unpack_from("<I", body)
    header, found = decode(value)
    assert (4 + length) % 8 == 0
    assert all(entry["offset"] % 8 == 0 for entry in header["arrays"])
    layers = unpacked(header["scene"], found)["panes"][0]["layers"]
    np.testing.assert_array_equal(layers[1]["values"], array)
    np.testing.assert_array_equal(layers[2]["values"], array[::-1])


def test_views_that_are_not_contiguous_travel_in_reading_order() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4).T
    header, found = back(Bars("a", "A", array, ("x",)))
    np.testing.assert_array_equal(unpacked(header["scene"], found)["panes"][0]["layers"][0]["values"], array)


def test_shared_arrays_travel_once() -> None:
    header, _ = back(*(Labels(str(k), "A", CODES, (VIEW,)) for k in range(3)))
    references = {layer["codes"]["$"] for layer in header["scene"]["panes"][0]["layers"]}
    assert len(references) == 1
    assert sum(entry["shape"] == [3, 4] and entry["dtype"] == "uint16" for entry in header["arrays"]) == 1


def test_equal_arrays_made_on_the_fly_are_not_confused() -> None:
    """Identity is kept alive while packing: a temporary's address, used again, must not fetch the wrong array."""
    header, found = back(*(Bars(str(k), "A", np.full(3, k, np.float32), ("x",)) for k in range(200)))
    values = [layer["values"][0] for layer in unpacked(header["scene"], found)["panes"][0]["layers"]]
    assert values == list(range(200))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(0, 3))
def test_fixed_point_keeps_every_decimal(values: list[float], decimals: int) -> None:
    sent = fixed_point(np.array(values), decimals)
    assert sent.dtype == np.int32
    np.testing.assert_allclose(sent / 10.0**decimals, values, atol=0.5000001 / 10**decimals, rtol=0)


def test_fixed_point_has_codes_for_what_is_no_number() -> None:
    sent = fixed_point(np.array([np.inf, -np.inf, np.nan, 1e300, -1e300, 7.0]), 1, blank=np.array([False] * 5 + [True]))
    assert sent[:3].tolist() == [PLUS_INFINITY, MINUS_INFINITY, NOT_A_NUMBER]
    assert NOT_A_NUMBER < BLANK < sent[4] < 0 < sent[3] < PLUS_INFINITY
    assert sent[5] == BLANK


def test_the_browser_knows_the_codes() -> None:
    code = (stage.ASSETS / "blocks.js").read_text(encoding="utf-8")
    for number in (BLANK, MINUS_INFINITY, NOT_A_NUMBER, PLUS_INFINITY):
        assert str(number) in code


# -- numbers ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "raw", "text"),
    [
        (0.5, 0.5, "0.5000"),
        (3, 3, "3"),
        (None, None, "–"),
        (float("nan"), None, "–"),
        (float("inf"), "inf", "∞"),
        (float("-inf"), "-inf", "−∞"),
    ],
)
def test_undefined_and_infinite_numbers_have_no_nan_in_their_json(value: float | None, raw: Any, text: str) -> None:
    entry = number_entry(replace(NUMBER, value=value), TEXT)
    assert entry["raw"] == raw
    assert entry["text"] == text
    json.dumps(entry, allow_nan=False)


def test_a_number_tells_everything_that_its_receipt_shows() -> None:
    entry = number_entry(NUMBER, TEXT)
    assert entry["label"] == "Mean IoU"
    assert entry["help"]
    assert entry["filled"] == "1 / 2"
    assert entry["convention"] == "all pixels summed; absent class counts 0"
    assert entry["source"] == "core.perception.segmentation_metrics.segmentation_scores"
    assert re.fullmatch(r"core/perception/segmentation_metrics\.py:\d+", entry["where"])


def test_only_computed_numbers_have_receipts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "receipt_of", lambda number: {"comparisons": [{"reference": "x"}]})
    assert number_entry(NUMBER, TEXT)["receipt"] == [{"reference": "x"}]
    assert number_entry(replace(NUMBER, kind="quoted"), TEXT)["receipt"] == []


def test_nan_anywhere_else_is_an_error_not_broken_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        back(scene=Scene((Pane("p", "P", (), axes=Axes((0, float("nan")), (0, 1))),)))


def test_what_numbers_share_is_written_once() -> None:
    header, _ = back(numbers=(tuple(replace(NUMBER, value=k / 10, item=str(k)) for k in range(10)),))
    assert len(header["kinds"]) == 1
    assert [n["raw"] for n in header["numbers"][0]] == [k / 10 for k in range(10)]
    assert {n["n"] for n in header["numbers"][0]} == {0}


def test_items_are_texts_or_stand_for_themselves() -> None:
    assert item_text("class:7", TEXT) == "class 7"
    assert item_text("this_frame", TEXT) == "this picture"
    assert item_text("sky: blue", TEXT) == "sky: blue"
    assert item_text("", TEXT) == ""
    assert item_text("controls", TEXT) == "controls"  # a key, but not of a sentence
    assert item_text("class:{k}", TEXT) == "class {k}"


# -- data stays data ---------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def tags_of(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Page()
    parser.feed(page)
    return parser.tags


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_arrive_as_they_are(text: str) -> None:
    header, _ = back(
        Points("a", text, np.zeros((1, 2)), (text,)),
        Table("b", "B", (text,), ((text, replace(NUMBER, item=text)),)),
        numbers=((replace(NUMBER, item=text),),),
        script=text,
    )
    assert sum(found == text for found in strings(header)) >= 7


@pytest.mark.parametrize("text", HOSTILE)
def test_pages_hold_hostile_words_as_data(text: str) -> None:
    plain = static_page(encode(payload(LAYERS["points"]), TEXT), title="T", language="en")
    value = encode(payload(Points("a", text, np.zeros((1, 2)), (text,)), script=text), TEXT)
    page = static_page(value, title=text, language="en")
    assert [tag for tag, _ in tags_of(page)] == [tag for tag, _ in tags_of(plain)]
    assert page.count("</script") == 2


def test_a_value_is_only_base64() -> None:
    """So it can stand in an attribute, a script or a template without being taken for code."""
    assert re.fullmatch(r"[A-Za-z0-9+/]+=*", encode(payload(*LAYERS.values(), script="${x}</script>"), TEXT))


def test_a_page_needs_nothing_else() -> None:
    page = static_page(encode(payload(*LAYERS.values()), TEXT), title="Title & more", language="zh")
    tags = tags_of(page)
    assert not {tag for tag, _ in tags} & {"link", "img", "iframe", "object", "embed", "base", "audio", "video"}
    assert not [
        a
        for _, attributes in tags
        for a in attributes
        if a in ("src", "href", "srcset", "action") or a.startswith("on")
    ]
    assert set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", page)) <= {"http://www.w3.org"}
    assert not re.findall(r"@import|url\((?!\s*[\"']?(?:data:|#))", page)
    assert '<html lang="zh">' in page
    assert "<title>Title &amp; more</title>" in page
    assert '<meta charset="utf-8">' in page


def test_a_page_carries_its_value_unchanged() -> None:
    value = encode(payload(*LAYERS.values()), TEXT)
    page = static_page(value, title="T", language="en")
    opened = page.rsplit("<script>", 1)[1]
    found = re.fullmatch(
        r'Glassbox\.open\(document\.getElementById\("gb-open"\),("[^"]+")\)</script></body></html>', opened
    )
    assert found is not None
    assert json.loads(found[1]) == value


def test_a_message_is_a_message_and_nothing_else() -> None:
    header, found = decode(message_only("</script> 不行 ${x}"))
    assert header["message"] == "</script> 不行 ${x}"
    assert header["scene"] is None
    assert header["modes"] == {}
    assert found == []
    assert decode(message_only("no", {"source": "files"}))[0]["modes"] == {"source": "files"}


# -- script and style ----------------------------------------------------------------------------------------------------------


def test_scripts_can_stand_inline() -> None:
    for text in (script(), style()):
        assert not re.search(r"</(script|style)|<script|<!--", text, re.IGNORECASE)
    assert script().startswith('"use strict";')


def test_all_scripts_and_no_others_are_in_it() -> None:
    assert set(stage.SCRIPTS) == {path.name for path in stage.ASSETS.glob("*.js")}
    for name in stage.SCRIPTS:
        assert (stage.ASSETS / name).read_text(encoding="utf-8").strip() in script()


def test_the_head_brings_style_and_script_once() -> None:
    assert [tag for tag, _ in tags_of(head())] == ["style", "script"]
    assert "--gb-truth:" in head()


def test_the_stage_of_the_page_is_a_constant() -> None:
    """A value in a template is executed as code: there is none."""
    component = stage.component("x")
    assert component.html_template == '<div class="gb-root"></div>'
    assert "${" not in str(component.js_on_load)
    assert component.value == ""


# -- pictures --------------------------------------------------------------------------------------------------------------------


def test_jpegs_keep_red_red() -> None:
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[..., 0] = 200
    again = cv2.imdecode(np.frombuffer(jpeg(picture), np.uint8), cv2.IMREAD_COLOR)
    assert again is not None
    assert again.shape == picture.shape
    assert np.abs(again[..., ::-1].astype(int) - picture).max() <= 4


def test_solid_adds_one_alpha_or_many() -> None:
    colors = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    assert solid(colors).tolist() == [[1, 2, 3, 255], [4, 5, 6, 255]]
    assert solid(colors, alpha=np.array([0, 9])).tolist() == [[1, 2, 3, 0], [4, 5, 6, 9]]
    assert solid(colors).dtype == np.uint8
