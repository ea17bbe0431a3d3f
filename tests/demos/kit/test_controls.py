"""Controls know their range: what comes from outside is accepted, refused in a sentence, or ignored; links are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, make_dataclass, replace
from keyword import iskeyword
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.kit.controls import (
    LINKED_MARKS,
    MAX_DRAWN,
    MAX_MARKS,
    MAX_TEXT,
    ControlError,
    checked,
    choice,
    defaults_are_given,
    drawn,
    files,
    from_query,
    is_content,
    line,
    marks,
    nearest_preset,
    number,
    spec_of,
    text,
    to_query,
    toggle,
)


@dataclass(frozen=True)
class Sample:
    count: int = number(3, -2, 10)
    share: float = number(0.25, 0.0, 1.0, 0.01)
    mode: str = choice("left", ("left", "right", "a b&c=d"))
    on: bool = toggle(False)
    masks: tuple[str, ...] = files(many=True)
    sketch: str = drawn()
    sizes: str = line("1, 2", r"[0-9, ]{0,12}")


PRESETS = {"start": Sample(), "other": Sample(count=7, mode="right", on=True)}

HOSTILE = [
    math.nan,
    math.inf,
    -math.inf,
    True,
    10**400,
    -(10**400),
    1e308,
    "7",
    "nan",
    "",
    [],
    [3],
    {},
    {"count": 3},
    (1, 2),
    b"3",
    3 + 0j,
    object(),
]


def test_missing_and_none_keep_the_default() -> None:
    assert checked(Sample, {}) == Sample()
    assert checked(Sample, dict.fromkeys(["count", "share", "mode", "on", "masks", "sketch", "sizes"])) == Sample()


def test_good_values_are_taken_in_their_own_type() -> None:
    got = checked(
        Sample, {"count": 4.0, "share": 1, "mode": "right", "on": True, "masks": ["a", "b"], "sketch": "1x1:AA=="}
    )
    assert got == Sample(4, 1.0, "right", True, ("a", "b"), "1x1:AA==")
    assert type(got.count) is int
    assert type(got.share) is float
    assert type(got.masks) is tuple
    hash(got)  # results are cached by it


@pytest.mark.parametrize("value", [*HOSTILE, 11, -3, 2.5], ids=lambda value: repr(value)[:20])
def test_whole_numbers_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match=r"^count must .*"):
        checked(Sample, {"count": value})


@pytest.mark.parametrize("value", [*HOSTILE, 1.0000001, -1e-9], ids=lambda value: repr(value)[:20])
def test_numbers_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match=r"^share must .*"):
        checked(Sample, {"share": value})


@pytest.mark.parametrize(
    "value", [*[v for v in HOSTILE if v != []], "Left", "left ", 0], ids=lambda value: repr(value)[:20]
)
def test_choices_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match="mode must be one of left, right"):
        checked(Sample, {"mode": value})


@pytest.mark.parametrize(
    "value", [*[v for v in HOSTILE if v is not True], 0, 1, "True"], ids=lambda value: repr(value)[:20]
)
def test_toggles_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match="on must be true or false"):
        checked(Sample, {"on": value})


@pytest.mark.parametrize(
    "value", [True, 3, math.nan, [3], [None], {"path": 1, 2: 3}, object(), b"ab"], ids=lambda value: repr(value)[:20]
)
def test_files_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match="masks must be uploaded files"):
        checked(Sample, {"masks": value})


@pytest.mark.parametrize("value", [True, 3, ["1x1"], b"1x1", "x" * (MAX_DRAWN + 1)], ids=lambda v: repr(v)[:20])
def test_drawings_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match="sketch must be a drawing"):
        checked(Sample, {"sketch": value})


def test_one_file_is_a_tuple_of_one() -> None:
    assert checked(Sample, {"masks": "a.png"}).masks == ("a.png",)


@pytest.mark.parametrize("name", ["cuont", "__class__", "", "count "])
def test_unknown_names_are_told(name: str) -> None:
    with pytest.raises(ControlError, match="no control is called"):
        checked(Sample, {name: 3})


def test_refusals_are_short_whatever_came() -> None:
    for name, value in (("share", "9" * 10_000), ("mode", "z" * 10_000), ("on", ["y"] * 10_000), ("count", 10**4000)):
        with pytest.raises(ControlError) as caught:
            checked(Sample, {name: value})
        assert len(str(caught.value)) < 300, name


def test_what_is_content_never_enters_a_link() -> None:
    assert [item.name for item in fields(Sample) if is_content(item)] == ["masks", "sketch"]
    query = to_query(Sample(masks=("secret.png",), sketch="1x1:secret"), preset="start", base=Sample())
    assert query == "preset=start"
    _, got = from_query(Sample, "masks=/etc/passwd&sketch=1x1:AA", presets=PRESETS)
    assert got == Sample()


def test_the_preset_is_the_base_of_a_link() -> None:
    controls = replace(PRESETS["other"], share=0.5)
    query = to_query(controls, preset="other", base=PRESETS["other"])
    assert query == "preset=other&share=0.5"
    assert from_query(Sample, query, presets=PRESETS) == ("other", controls)


samples = st.builds(
    Sample,
    count=st.integers(-2, 10),
    share=st.floats(0, 1),
    mode=st.sampled_from(["left", "right", "a b&c=d"]),
    on=st.booleans(),
)


@settings(deadline=None)
@given(samples, st.sampled_from(sorted(PRESETS)))
def test_links_are_exact(controls: Sample, preset: str) -> None:
    query = to_query(controls, preset=preset, base=PRESETS[preset])
    assert from_query(Sample, query, presets=PRESETS) == (preset, controls)
    assert len(query) <= 2048


names = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True).filter(lambda n: n != "preset" and not iskeyword(n))
options = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5, unique=True)


@st.composite
def generated(draw: st.DrawFn) -> tuple[type[Any], dict[str, Any]]:
    """A dataclass of controls made up on the spot, and admissible values."""
    columns: list[tuple[str, type, Any]] = []
    values: dict[str, Any] = {}
    for name in draw(st.lists(names, min_size=1, max_size=10, unique=True)):
        kind = draw(st.sampled_from(["whole", "number", "choice", "toggle"]))
        if kind == "whole":
            low, high = sorted(draw(st.tuples(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))))
            columns.append((name, int, number(low, low, high)))
            values[name] = draw(st.integers(low, high))
        elif kind == "number":
            low, high = sorted(draw(st.tuples(*[st.floats(-1e9, 1e9)] * 2)))
            columns.append((name, float, number(float(low), low, high)))
            values[name] = draw(st.floats(low, high))
        elif kind == "choice":
            listed = draw(options)
            columns.append((name, str, choice(listed[0], listed)))
            values[name] = draw(st.sampled_from(listed))
        else:
            columns.append((name, bool, toggle(False)))
            values[name] = draw(st.booleans())
    return make_dataclass("Made", columns, frozen=True), values


@settings(deadline=None, max_examples=60)
@given(generated())
def test_any_controls_survive_their_link(made: tuple[type[Any], dict[str, Any]]) -> None:
    kind, values = made
    controls = checked(kind, values)
    assert from_query(kind, to_query(controls, preset="start", base=kind()), presets={"start": kind()}) == (
        "start",
        controls,
    )


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=200))
def test_any_query_opens_a_view(query: str) -> None:
    preset, controls = from_query(Sample, query, presets=PRESETS)
    assert preset in PRESETS
    assert checked(Sample, {f.name: getattr(controls, f.name) for f in fields(Sample)}) == controls


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from(["preset", "count", "share", "mode", "on", "masks", "lock", "step"]), st.text(max_size=30)
    )
)
def test_wrong_values_in_a_link_leave_the_rest(said: dict[str, str]) -> None:
    preset, controls = from_query(Sample, urlencode({**said, "on": "1"}), presets=PRESETS)
    assert controls.on
    assert controls.masks == ()
    assert -2 <= controls.count <= 10
    assert 0 <= controls.share <= 1
    assert preset == said.get("preset", "start") or preset == "start"


@pytest.mark.parametrize(
    "query",
    [
        "count=1e3",
        "count=99",
        "count=3.5",
        "share=nan",
        "share=inf",
        "mode=up",
        "on=yes",
        "preset=nowhere",
        "a=1&" * 100,
        "count=" + "9" * 3000,
        "count=" + "9" * 5000,
        "%ff%fe=%00",
        "share=" + "9" * 4000,
        "count=٣٤",
        "x" * 100_000,
        "&=&=&;",
    ],
)
def test_broken_links_open_the_start(query: str) -> None:
    assert from_query(Sample, query, presets=PRESETS) == ("start", Sample())


def test_the_last_of_two_values_counts_and_is_checked() -> None:
    assert from_query(Sample, "count=5&count=6", presets=PRESETS)[1].count == 6
    assert dict(parse_qsl("count=5&count=6"))["count"] == "6"


def test_the_nearest_preset_shares_most() -> None:
    assert nearest_preset(Sample(count=7, mode="right"), PRESETS) == "other"
    assert nearest_preset(Sample(count=7), PRESETS) == "start"
    assert nearest_preset(Sample(count=5, mode="right"), {"b": Sample(), "a": Sample()}) == "b"  # a tie: the earlier


def test_an_opening_view_needs_every_default() -> None:
    @dataclass(frozen=True)
    class Bare:
        plain: int = 3

    assert defaults_are_given(Sample)
    assert not defaults_are_given(Bare)


def test_a_range_is_written_once() -> None:
    spec = {item.name: spec_of(item) for item in fields(Sample)}
    assert (spec["count"].low, spec["count"].high, spec["count"].whole) == (-2, 10, True)
    assert (spec["share"].whole, spec["share"].step) == (False, 0.01)
    assert spec["masks"].many


# -- lines of text -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "6, 3, 2, 1", "12"])
def test_a_line_is_taken_as_it_is_and_travels_in_the_address(value: str) -> None:
    controls = checked(Sample, {"sizes": value})
    assert controls.sizes == value
    if value:
        query = to_query(controls, preset="start", base=Sample())
        assert from_query(Sample, query, presets=PRESETS) == ("start", controls)


@pytest.mark.parametrize("value", ["1; 2", "a", "1,\n2", "1" * 13, "<b>", 7, ["1"], None.__class__])
def test_a_line_that_does_not_match_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(ControlError, match=r"sizes must be written like '1, 2'"):
        checked(Sample, {"sizes": value})
    assert from_query(Sample, urlencode({"sizes": str(value)}), presets=PRESETS)[1].sizes in ("1, 2", str(value))


# -- what is arranged on the stage ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arranged:
    boxes: str = marks()
    cells: str = marks()
    sketch: str = drawn()


ARRANGED = {"start": Arranged(), "made": Arranged(boxes="t0.x", cells="0.1")}


@pytest.mark.parametrize("preset", ARRANGED)
@pytest.mark.parametrize("boxes", ["", "t0.x", "t0.1.1000.2000.3000.4000_pn0.0.1.2.3.4"])
def test_links_carry_short_marks_exactly_and_empty_ones_too(preset: str, boxes: str) -> None:
    controls = replace(ARRANGED[preset], boxes=boxes)
    query = to_query(controls, preset=preset, base=ARRANGED[preset])
    assert from_query(Arranged, query, presets=ARRANGED) == (preset, controls)
    assert "boxes" not in query or controls.boxes != ARRANGED[preset].boxes


@pytest.mark.parametrize(("first", "second"), [(1400, 0), (1401, 0), (700, 700), (701, 700)])
def test_long_marks_stay_out_like_an_upload(first: int, second: int) -> None:
    controls = Arranged(boxes="a" * first, cells="0" * second)
    query = to_query(controls, preset="start", base=Arranged())
    assert len(query) <= 2048
    said = from_query(Arranged, query, presets=ARRANGED)[1]
    assert (said == controls) == (first + second <= LINKED_MARKS)
    assert said.boxes in ("", controls.boxes)


@pytest.mark.parametrize(
    "value",
    [True, 3, ["t0.x"], "T0.x", "t0 x", "t0,x", "<b>", "é", "a" * (MAX_MARKS + 1), "t0.x\n"],
    ids=lambda v: repr(v)[:20],
)
def test_marks_refuse(value: Any) -> None:
    with pytest.raises(ControlError, match="boxes must be at most"):
        checked(Arranged, {"boxes": value})


def test_broken_marks_in_a_link_leave_the_preset() -> None:
    assert from_query(Arranged, "preset=made&boxes=<script>", presets=ARRANGED) == ("made", ARRANGED["made"])


@dataclass(frozen=True)
class Pasting:
    config: str = text()


def test_pasted_text_is_bounded_and_never_in_a_link() -> None:
    lines = '{\n "a": 1,\n "b": "<script>"\n}'
    assert checked(Pasting, {"config": lines}).config == lines
    assert is_content(fields(Pasting)[0])
    query = to_query(Pasting(lines), preset="start", base=Pasting())
    assert query == "preset=start"
    assert from_query(Pasting, f"config={lines}", presets={"start": Pasting()}) == ("start", Pasting())
    for wrong in (7, ["a"], "x" * (MAX_TEXT + 1)):
        with pytest.raises(ControlError, match="config must be text of at most"):
            checked(Pasting, {"config": wrong})
