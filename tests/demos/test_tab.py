"""How a tab is connected: what every event asks for and brings back. What the browser makes of it is tested in tests/e2e."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import gradio as gr
import pytest

from demos import GROUPS
from demos.contract import BULKY, numbers_as_json
from demos.kit.controls import spec_of
from demos.kit.stage import decode
from demos.tab import MOVES, render

DEMO = GROUPS["perception"][0]
ITEMS = fields(DEMO.presets["start"])
NAMES = [item.name for item in ITEMS]
CHARTS = list(DEMO.charts)
DRAWN = [item.name for item in ITEMS if spec_of(item).kind == "drawn"]
START = [getattr(DEMO.presets["start"], name) for name in NAMES]


@pytest.fixture(scope="module")
def events() -> dict[str, Any]:
    with gr.Blocks() as page, gr.Tabs(), gr.Tab(id=DEMO.slug) as tab:
        render(DEMO, "en", tab, first=DEMO.slug)
    return {block.api_name or str(index): block for index, block in page.fns.items()}


def function(events: dict[str, Any], name: str) -> Callable[..., Any]:
    return inspect.unwrap(events[name].fn)


def said(value: str) -> dict[str, Any]:
    return decode(value.rpartition(":")[2])[0]


def event_of(data: Any) -> gr.EventData:
    return gr.EventData(None, data)


def moved(events: dict[str, Any], values: dict[str, Any]) -> Any:
    """The answer to a control's event when the page says these values."""
    bulky = [value for value, item in zip(START, ITEMS, strict=True) if spec_of(item).kind in BULKY]
    return function(events, "recompute")("9", json.dumps(values), *bulky, *[False] * len(CHARTS))


def test_every_kind_of_control_has_its_moves() -> None:
    assert set(MOVES) >= {spec_of(item).kind for item in ITEMS}


def test_outputs_match_what_functions_return(events: dict[str, Any]) -> None:
    assert len(events["recompute"].outputs) == 1 + len(CHARTS)
    assert len(events["open_tab"].outputs) == len(events["open_preset"].outputs) == len(NAMES) + 1 + len(CHARTS)
    assert len(moved(events, {})) == 1 + len(CHARTS)


def test_events_show_no_spinner_and_are_private(events: dict[str, Any]) -> None:
    inside = [e for name, e in events.items() if name != DEMO.slug]
    assert {e.show_progress for e in inside} == {"hidden"}
    assert {e.api_visibility for e in inside} == {"private"}
    assert {e.trigger_mode for e in inside} == {"always_last"}
    assert events[DEMO.slug].api_visibility == "public"


@pytest.mark.parametrize("preset", DEMO.presets)
def test_an_address_opens_its_view(events: dict[str, Any], preset: str) -> None:
    answer = function(events, "open_tab")("3", f"preset={preset}", *[False] * len(CHARTS))
    controls = DEMO.presets[preset]
    assert said(answer[len(NAMES)])["preset"] == preset
    for item, value in zip(ITEMS, answer, strict=False):
        expected = getattr(controls, item.name)
        assert value == ((list(expected) or None) if spec_of(item).kind == "files" else expected), item.name


def test_a_tab_that_is_shown_already_is_left_alone(events: dict[str, Any]) -> None:
    answer = function(events, "open_tab")("3", "shown", *[False] * len(CHARTS))
    assert all(value == gr.skip() for value in answer)


@pytest.mark.parametrize("query", ["", "preset=nowhere", "grow=99999&shift_x=x", "%%%"])
def test_a_broken_address_opens_the_start(events: dict[str, Any], query: str) -> None:
    answer = function(events, "open_tab")("3", query, *[False] * len(CHARTS))
    assert said(answer[len(NAMES)])["preset"] == "start"


def test_a_preset_is_opened_by_name_and_nothing_else_is(events: dict[str, Any]) -> None:
    closed = [False] * len(CHARTS)
    answer = function(events, "open_preset")(event_of({"preset": "libraries"}), "5", *closed)
    assert said(answer[len(NAMES)])["preset"] == "libraries"
    assert answer[len(NAMES)].startswith("5:")
    for data in ({"preset": "nowhere"}, {"preset": ["start"]}, {}, None):
        nothing = function(events, "open_preset")(event_of(data), "5", *closed)
        assert all(value == gr.skip() for value in nothing)


def test_moving_a_control_recomputes(events: dict[str, Any]) -> None:
    header = said(moved(events, {"grow": 0, "shift_x": 0, "shift_y": 0})[0])
    assert header["numbers"][0][0]["raw"] == 1.0
    assert "grow=0" in header["query"]


@pytest.mark.parametrize("said_by_page", ["", "{", "[]", "3", "null", '{"nobody": 1}', "[" * 99999, None])
def test_what_the_page_says_may_be_anything(events: dict[str, Any], said_by_page: Any) -> None:
    bulky = [value for value, item in zip(START, ITEMS, strict=True) if spec_of(item).kind in BULKY]
    answer = function(events, "recompute")("9", said_by_page, *bulky, *[False] * len(CHARTS))
    assert said(answer[0])["preset"] == "start"


def test_a_wrong_value_of_the_page_is_one_sentence(events: dict[str, Any]) -> None:
    assert "grow" in said(moved(events, {"grow": "<b>"})[0])["message"]


def test_a_view_tells_what_the_controls_say(events: dict[str, Any]) -> None:
    header = said(moved(events, {"grow": 3})[0])
    assert header["values"]["grow"] == 3
    assert set(header["values"]) == {item.name for item in ITEMS if spec_of(item).kind not in BULKY}


def test_an_event_of_a_control_has_few_inputs(events: dict[str, Any]) -> None:
    """Gradio looks for each of them in the whole page."""
    inputs = [len(event.inputs) for name, event in events.items() if name.startswith("recompute")]
    assert len(inputs) >= len(NAMES) / 2
    assert max(inputs) <= 3 + len([i for i in ITEMS if spec_of(i).kind in BULKY]) + len(CHARTS)


def test_a_topic_without_charts_answers_with_the_value_itself() -> None:
    """Gradio would hand a tuple of one on to the stage as it is."""
    bare = replace(DEMO, charts={}, build=build_without_charts)
    with gr.Blocks() as page, gr.Tabs(), gr.Tab(id=bare.slug) as tab:
        render(bare, "en", tab, first=bare.slug)
    event = next(block for block in page.fns.values() if block.api_name == "recompute")
    assert len(event.outputs) == 1
    assert isinstance(inspect.unwrap(event.fn)("4", "{}"), str)


def build_without_charts(panel: Any) -> None:
    with panel.left:
        for name in NAMES:
            panel.control(name)


def test_a_box_fills_its_control(events: dict[str, Any]) -> None:
    values = ["grabcut" if name == "predictor" else value for name, value in zip(NAMES, START, strict=True)]
    answer = function(events, "received")(event_of({"xyxy": [70, 10, 490, 392]}), "2", *values, *[False] * len(CHARTS))
    assert answer[DRAWN.index("box")] == "70,10,490,392"
    assert [value == gr.skip() for value in answer[: len(DRAWN)]] == [name != "box" for name in DRAWN]
    assert said(answer[len(DRAWN)])["scene"]["tools"]["box"] is True


@pytest.mark.parametrize(
    "data", [{"xyxy": []}, {"xyxy": "x"}, {"xyxy": [1, None, "a", 2]}, {"xyxy": [1e300] * 4}, {"xyxy": [5, 5, 5, 5]}]
)
def test_a_broken_box_is_one_sentence(events: dict[str, Any], data: dict[str, Any]) -> None:
    values = ["grabcut" if name == "predictor" else value for name, value in zip(NAMES, START, strict=True)]
    answer = function(events, "received")(event_of(data), "2", *values, *[False] * len(CHARTS))
    header = said(answer[len(DRAWN)])
    # an empty box is no box: the view is drawn with the one that is taken by default
    assert header["message"] or data == {"xyxy": []}


def test_what_is_made_on_the_stage_can_set_other_controls() -> None:
    """Clicked cells are of use only under the choice that reads them: the choice goes along."""
    demo = next(d for d in GROUPS["systems"] if d.drawing_sets)
    names, start = [f.name for f in fields(demo.presets["start"])], demo.presets["start"]
    with gr.Blocks() as page, gr.Tabs(), gr.Tab(id=demo.slug) as tab:
        render(demo, "en", tab, first=demo.slug)
    (event,) = [block for block in page.fns.values() if block.api_name == "received"]
    values = [getattr(start, name) for name in names]
    answer = inspect.unwrap(event.fn)(event_of({"cells": "0_5"}), "2", *values)
    assert answer[:-1] == ("0_5", *demo.drawing_sets.values())
    assert len(event.outputs) == len(answer)
    assert "pins=0_5" in said(answer[-1])["query"]


def test_a_chart_comes_when_its_section_opens(events: dict[str, Any]) -> None:
    opened, figure = function(events, "open_chart")(*START)
    assert opened is True
    assert figure.to_json() == DEMO.charts[CHARTS[0]](DEMO.run(DEMO.presets["start"]), DEMO.text("en")).to_json()


def test_the_endpoint_returns_the_numbers(events: dict[str, Any]) -> None:
    assert function(events, DEMO.slug)(*START) == numbers_as_json(DEMO, DEMO.presets["start"])
    names = list(inspect.signature(function(events, DEMO.slug)).parameters)
    assert names == NAMES


def test_the_endpoint_refuses_in_a_sentence(events: dict[str, Any]) -> None:
    values = [99 if name == "grow" else value for name, value in zip(NAMES, START, strict=True)]
    with pytest.raises(gr.Error, match="grow must lie in -20 to 20"):
        function(events, DEMO.slug)(*values)


# -- choosing on the stage ---------------------------------------------------------------------------------------------------

PICKED = next(demo for group in GROUPS.values() for demo in group if demo.slug == "flash-attention")


@pytest.fixture(scope="module")
def picking() -> dict[str, Any]:
    with gr.Blocks() as page, gr.Tabs(), gr.Tab(id=PICKED.slug) as tab:
        render(PICKED, "en", tab, first=PICKED.slug)
    return {block.api_name or str(index): block for index, block in page.fns.items()}


def pick(events: dict[str, Any], data: Any) -> tuple[Any, ...]:
    start = [getattr(PICKED.presets["start"], item.name) for item in fields(PICKED.presets["start"])]
    return function(events, "picked")(event_of(data), "4", *start, *[False] * len(PICKED.charts))


def test_a_chosen_value_fills_its_control_and_is_drawn(picking: dict[str, Any]) -> None:
    name = PICKED.picks[0]
    answer = pick(picking, {"control": name, "value": 11})
    assert len(answer) == len(picking["picked"].outputs) == len(PICKED.picks) + 1 + len(PICKED.charts)
    assert answer[0] == 11
    header = said(answer[len(PICKED.picks)])
    assert f"{name}=11" in header["query"]
    assert header["scene"]["picks"][0]["value"] == 11


@pytest.mark.parametrize("value", [-1, 10**9, "x", None, [1], {"a": 1}, float("nan"), True])
def test_a_value_that_the_control_does_not_take_is_one_sentence(picking: dict[str, Any], value: Any) -> None:
    answer = pick(picking, {"control": PICKED.picks[0], "value": value})
    header = said(answer[len(PICKED.picks)])
    if value is None:  # nothing was said: the default
        assert header["scene"]
    else:
        assert header["scene"] is None
        assert PICKED.picks[0] in header["message"]
        assert answer[0] == gr.skip()


@pytest.mark.parametrize(
    "data", [{}, None, {"control": "tokens", "value": 5}, {"control": ["row"]}, {"control": "nowhere"}]
)
def test_only_controls_that_may_be_chosen_are(picking: dict[str, Any], data: Any) -> None:
    assert all(value == gr.skip() for value in pick(picking, data))
