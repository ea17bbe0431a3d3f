"""Controls become components with the same range, in the page's language."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import gradio as gr
import pytest

from demos import GROUPS
from demos.kit.controls import spec_of
from demos.kit.text import LANGUAGES
from demos.panel import Panel

DEMOS = [demo for group in GROUPS.values() for demo in group]
KINDS: dict[str, type] = {
    "text": gr.Textbox,
    "choice": gr.Radio,
    "toggle": gr.Checkbox,
    "files": gr.File,
    "drawn": gr.Textbox,
    "line": gr.Textbox,
    "marks": gr.Textbox,
}

demos = pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.slug)
languages = pytest.mark.parametrize("language", LANGUAGES)


def built(demo: Any, language: str) -> Panel:
    with gr.Blocks():
        panel = Panel(demo, language, gr.Column(), gr.Column())
        demo.build(panel)
    return panel


@demos
@languages
def test_every_control_is_laid_out_once(demo: Any, language: str) -> None:
    panel = built(demo, language)
    assert set(panel.controls) == {item.name for item in fields(demo.presets["start"])}
    assert set(panel.plots) == set(panel.sections) == set(panel.opened) == set(demo.charts)
    assert len({component.elem_id for component in panel.controls.values()}) == len(panel.controls)


@demos
@languages
def test_components_have_the_controls_range(demo: Any, language: str) -> None:
    panel, text = built(demo, language), demo.text(language)
    for item in fields(demo.presets["start"]):
        spec = spec_of(item)
        component: Any = panel.controls[item.name]
        kind = {"number": gr.Slider if spec.slider else gr.Number, **KINDS}[spec.kind]
        assert component.__class__ is kind
        assert component.elem_id == f"{demo.slug}--{item.name}"
        if spec.kind == "number":
            assert (component.minimum, component.maximum, component.step) == (spec.low, spec.high, spec.step)
        if spec.kind == "choice":
            assert [value for _, value in component.choices] == list(spec.options)
            assert [label for label, _ in component.choices] == [
                text("controls", item.name, "options", o) for o in spec.options
            ]
        if spec.kind == "files":
            assert component.file_count == ("multiple" if spec.many else "single")
            assert component.value is None
        else:
            assert component.value == item.default
        if spec.kind in ("drawn", "marks"):
            assert component.visible == "hidden"
        else:
            assert component.label == text("controls", item.name, "label")
            assert component.interactive


@demos
def test_charts_wait_in_closed_sections(demo: Any) -> None:
    panel = built(demo, "en")
    for name in demo.charts:
        assert panel.sections[name].open is False
        assert panel.plots[name].value is None
        assert panel.opened[name].value is False


def test_controls_of_a_mode_carry_its_name() -> None:
    with gr.Blocks():
        panel = Panel(DEMOS[0], "en", gr.Column(), gr.Column())
        with panel.when("source", "files", "clip") as column:
            pass
        with panel.more() as more, panel.more("conventions", opened=True) as conventions:
            pass
    assert column.elem_classes == ["gb-when", "gb-when-source-files", "gb-when-source-clip"]
    assert (more.label, more.open) == ("More", False)
    assert conventions.open is True
    assert conventions.label == DEMOS[0].text("en")("sections", "conventions")


@demos
def test_modes_of_views_and_of_controls_fit(demo: Any) -> None:
    """A control that waits for a mode which no view ever sets would never be seen."""
    with gr.Blocks() as page:
        panel = Panel(demo, "en", gr.Column(), gr.Column())
        demo.build(panel)
    classes = {name for block in page.blocks.values() for name in getattr(block, "elem_classes", None) or ()}
    waiting = {name.removeprefix("gb-when-").partition("-")[0] for name in classes if name.startswith("gb-when-")}
    modes: set[str] = set()
    for controls in demo.presets.values():
        modes |= set(demo.show(demo.run(controls), demo.text("en")).modes)
    assert waiting
    assert waiting <= modes
