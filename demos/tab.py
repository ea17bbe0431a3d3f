"""How a demo becomes a tab and an endpoint: layout, and every event that connects controls, stage and charts.

Visitors' own actions recompute; values that the server itself sends (a preset, an address) do not, for they come with their
view. Every answer carries the number of the question it answers, so that a slow one never overwrites a later one.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import gradio as gr

from demos.contract import BULKY, Demo, attempt, numbers_as_json
from demos.kit import stage
from demos.kit.controls import ControlError, checked, from_query, spec_of
from demos.kit.text import Text, prose
from demos.kit.uploads import UploadError
from demos.panel import Panel

MOVES = {
    "number": ("input", "release", "submit"),  # dragged or arrow keys; reset or box left; typed and Enter
    "choice": ("input",),
    "toggle": ("input",),
    "line": ("submit", "blur"),
    "text": ("input", "blur"),  # pasted; a browser may fill a box without saying so until it is left
    "files": ("upload", "clear", "delete"),
    "drawn": (),  # the stage's own events bring these
    "marks": (),
}
PARTS = {
    "box": "xyxy",
    "paint": "drawing",
    "boxes": "boxes",
    "cells": "cells",
    "way": "way",
}  # what the stage sends with each event


def render(demo: Demo[Any, Any], language: str, tab: gr.Tab, *, first: str) -> None:
    """Fill `tab`: question, controls, stage, charts, lesson, sources; connect every event."""
    text, house = demo.text(language), Text(language)
    with gr.Column(elem_classes=["gb-tab"]):
        gr.Markdown(f"## {text('title')}\n{text('question')}", elem_classes=["gb-question"])
        with gr.Row(elem_classes=["gb-frame"]):
            left = gr.Column(scale=1, min_width=260, elem_classes=["gb-left"])
            with gr.Column(scale=4, min_width=320, elem_classes=["gb-right"]):
                scene = stage.component(f"{demo.slug}--stage")
                below = gr.Column(elem_classes=["gb-under"])
        panel = Panel(demo, language, left, below)
        demo.build(panel)
        with gr.Accordion(house("kit", "lesson"), open=False):
            gr.Markdown(prose(language, demo.slug))
        with gr.Accordion(house("kit", "sources"), open=False):
            gr.Markdown("\n".join(f"- {source}" for source in demo.sources))
        turn = gr.Textbox(visible="hidden", show_label=False, elem_id=f"{demo.slug}--turn")
        asked = gr.Textbox(visible="hidden", show_label=False, elem_id=f"{demo.slug}--asked")
    _connect(demo, language, panel, scene, turn, asked, tab, first)
    if language == "en":
        _endpoint(demo, [panel.controls[item.name] for item in fields(panel.start)])


def _connect(
    demo: Demo[Any, Any],
    language: str,
    panel: Panel,
    scene: gr.HTML,
    turn: gr.Textbox,
    asked: gr.Textbox,
    tab: gr.Tab,
    first: str,
) -> None:
    items = fields(panel.start)
    names = [item.name for item in items]
    controls = [panel.controls[name] for name in names]
    drawn = [item.name for item in items if spec_of(item).kind in ("drawn", "marks")]
    flags = [panel.opened[name] for name in demo.charts]
    outputs = [scene, *(panel.plots[name] for name in demo.charts)]
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}
    quiet["show_progress_on"] = scene

    def view(values: Sequence[Any], *, question: str, preset: str = "") -> tuple[Any, ...]:
        """Stage and charts for control values followed by the charts' flags."""
        return attempt(
            demo,
            language,
            dict(zip(names, values, strict=False)),
            preset,
            opened=values[len(names) :],
            question=question,
        )

    def whole(preset: str, values: Any, opened: Sequence[bool], question: str) -> tuple[Any, ...]:
        """All controls as in `values`, and their view."""
        raw = [getattr(values, name) for name in names]
        sent = [(list(v) or None) if spec_of(item).kind == "files" else v for item, v in zip(items, raw, strict=True)]
        return (*sent, *view([*raw, *opened], question=question, preset=preset))

    numbered = f"(turn, ...rest) => [Glassbox.page.turn('{demo.slug}'), ...rest]"
    nothing = tuple(gr.skip() for _ in (*controls, *outputs))
    bulky = [item.name for item in items if spec_of(item).kind in BULKY]

    def open_tab(question: str, query: str, *opened: bool) -> tuple[Any, ...]:
        if query == "shown":
            return nothing
        preset, wanted = from_query(demo.kind, str(query), presets=dict(demo.presets))
        answer = whole(preset, wanted, opened, question)
        if (sentence := stage.message_of(answer[len(controls)])) is not None:  # an upload that no address carries, say
            answer = whole(preset, demo.presets[preset], opened, question)
            shown = stage.with_message(answer[len(controls)], sentence)
            answer = (*answer[: len(controls)], shown, *answer[len(controls) + 1 :])
        return answer

    def open_preset(event: gr.EventData, question: str, *opened: bool) -> tuple[Any, ...]:
        name = str(_said(event).get("preset", ""))
        return whole(name, demo.presets[name], opened, question) if name in demo.presets else nothing

    def recompute(question: str, said: str, *rest: Any) -> Any:
        """`rest`: uploads and drawings, then the charts' flags, then what the page has written into `said` already."""
        values = dict(zip(names, (getattr(panel.start, name) for name in names), strict=True))
        values |= _values(said, names) | dict(zip(bulky, rest, strict=False))
        flags_now = rest[len(bulky) : len(bulky) + len(flags)]
        answer = view([*values.values(), *flags_now], question=question)
        return answer if demo.charts else answer[0]  # Gradio takes a tuple for one output as that output's value

    def drawing(kind: str, part: str) -> Callable[..., tuple[Any, ...]]:
        def received(event: gr.EventData, question: str, *values: Any) -> tuple[Any, ...]:
            assert demo.drawing is not None
            said = _said(event).get(part, "")
            if isinstance(said, list):
                said = ",".join(_plain(v) for v in said if isinstance(v, (int, float)))
            target = demo.drawing(kind, dict(zip(names, values, strict=False)))
            taken = {**demo.drawing_sets, target: str(said)}
            changed = [taken.get(name, value) for name, value in zip(names, values, strict=False)]
            kept = [taken.get(name, gr.skip()) for name in (*drawn, *demo.drawing_sets)]
            return (*kept, *view([*changed, *values[len(names) :]], question=question))

        return received

    tab.select(
        open_tab,
        [turn, asked, *flags],
        [*controls, *outputs],
        js=f"(turn, asked, ...rest) => [Glassbox.page.turn(), Glassbox.page.opening('{demo.slug}', '{first}'), ...rest]",
        **quiet,
    )
    # Gradio looks for each input of an event in the whole page. So the page keeps what the controls say and sends it as one.
    for item in items:
        control, kind = panel.controls[item.name], spec_of(item).kind
        moved = [getattr(control, move) for move in MOVES[kind] if hasattr(control, move)]
        mine = [] if kind in BULKY else [control]
        told = f"'{item.name}', rest.at(-1)" if mine else "'', null"
        js = f"(turn, said, ...rest) => [Glassbox.page.turn('{demo.slug}'), Glassbox.page.said('{demo.slug}', {told}), ...rest]"
        sent = [turn, asked, *(panel.controls[name] for name in bulky), *flags, *mine]
        if moved:
            gr.on(moved, recompute, sent, outputs, js=js, **quiet)
    scene.open_preset(open_preset, [turn, *flags], [*controls, *outputs], js=numbered, **quiet)
    if demo.drawing is not None:
        for kind in demo.draws:
            kept = [panel.controls[name] for name in (*drawn, *demo.drawing_sets)]
            event = getattr(scene, f"commit_{kind}")
            event(drawing(kind, PARTS[kind]), [turn, *controls, *flags], [*kept, *outputs], js=numbered, **quiet)
    if demo.picks:

        def picked(event: gr.EventData, question: str, *values: Any) -> tuple[Any, ...]:
            """One control takes the value that was chosen on the stage, if it may be chosen there."""
            said = _said(event)
            name, value = said.get("control"), said.get("value")
            if name not in demo.picks:
                return (*(gr.skip() for _ in demo.picks), *(gr.skip() for _ in outputs))
            changed = [value if name == other else old for other, old in zip(names, values, strict=False)]
            answer = view([*changed, *values[len(names) :]], question=question)
            refused = stage.message_of(answer[0]) is not None
            kept = [value if name == other and not refused else gr.skip() for other in demo.picks]
            return (*kept, *answer)

        takers = [panel.controls[name] for name in demo.picks]
        scene.commit_pick(picked, [turn, *controls, *flags], [*takers, *outputs], js=numbered, **quiet)
    for index, name in enumerate(demo.charts):

        def open_chart(*values: Any, index: int = index) -> tuple[Any, ...]:
            opened = [i == index for i in range(len(demo.charts))]
            return True, view([*values, *opened], question="")[1 + index]

        panel.sections[name].expand(open_chart, controls, [panel.opened[name], panel.plots[name]], **quiet)
        panel.sections[name].collapse(lambda: False, None, panel.opened[name], **quiet)


def _said(event: gr.EventData) -> dict[str, Any]:
    """What the stage sent along; anybody can send anything."""
    return event._data if isinstance(event._data, dict) else {}


def _values(said: str, names: Sequence[str]) -> dict[str, Any]:
    """What the page says that the controls say; anybody can send anything."""
    try:
        values = json.loads(said)
    except (TypeError, ValueError, RecursionError):
        return {}
    return {name: value for name, value in values.items() if name in names} if isinstance(values, dict) else {}


def _plain(value: float) -> str:
    """A coordinate without an exponent: 70, 10.25."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _endpoint(demo: Demo[Any, Any], controls: list[Any]) -> None:
    """The named endpoint: same controls, same checks, numbers as JSON. Uploads are checked by the file components."""
    items = fields(demo.presets["start"])
    names = [item.name for item in items]

    def endpoint(*values: Any) -> dict[str, Any]:
        try:
            return numbers_as_json(demo, checked(demo.kind, dict(zip(names, values, strict=True))))
        except (UploadError, ControlError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(i.name, kind, default=None if spec_of(i).kind == "files" else i.default) for i in items]
    )
    endpoint.__name__ = demo.slug.replace("-", "_")
    endpoint.__doc__ = f"{demo.text('en')('question')} Returns every number of the tab as JSON."
    with gr.Row(visible=False):
        trigger, answer = gr.Button("run"), gr.JSON()
    trigger.click(
        endpoint, controls, answer, api_name=demo.slug, api_description=endpoint.__doc__, show_progress="hidden"
    )
