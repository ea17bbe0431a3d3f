"""Where a demo puts its controls, and how a control becomes a component."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import gradio as gr

from demos.kit.controls import Spec, spec_of
from demos.kit.text import Text

if TYPE_CHECKING:
    from demos.contract import Demo


class Panel:
    """Where a demo puts its controls: `left` beside the stage, `below` under it. Components come from the controls' own ranges."""

    def __init__(self, demo: Demo[Any, Any], language: str, left: gr.Column, below: gr.Column) -> None:
        self.demo, self.text, self.left, self.below = demo, demo.text(language), left, below
        self.house = Text(language)
        self.start = demo.presets["start"]
        self.fields = {item.name: item for item in fields(self.start)}
        self.controls: dict[str, Any] = {}
        self.plots: dict[str, gr.Plot] = {}
        self.sections: dict[str, gr.Accordion] = {}
        self.opened: dict[str, gr.Checkbox] = {}

    def control(self, name: str, **options: Any) -> Any:
        """The component of one control, with its range, its label and its one-line explanation."""
        spec, value = spec_of(self.fields[name]), getattr(self.start, name)
        common: dict[str, Any] = {"elem_id": f"{self.demo.slug}--{name}", "interactive": True, **options}
        if spec.kind not in ("drawn", "marks"):
            common["label"] = self.text("controls", name, "label")
            info = self.text.find("controls", name, "info")
            if info and spec.kind != "files":
                common["info"] = info
        self.controls[name] = _component(
            spec, value, common, lambda option: self.text("controls", name, "options", option)
        )
        return self.controls[name]

    @contextmanager
    def chart(self, name: str):
        """A section with a Plotly chart, and room for its own controls above. It is drawn, and Plotly is loaded, once it is opened."""
        with gr.Accordion(
            self.text("sections", name), open=False, elem_id=f"{self.demo.slug}--section-{name}"
        ) as section:
            yield section
            self.plots[name] = gr.Plot(
                label=self.text("charts", name), show_label=False, elem_id=f"{self.demo.slug}--chart-{name}"
            )
        self.sections[name] = section
        self.opened[name] = gr.Checkbox(False, visible="hidden", show_label=False)

    @contextmanager
    def when(self, mode: str, *values: str):
        """Controls that belong to some modes only."""
        with gr.Column(
            elem_classes=["gb-when", *(f"gb-when-{mode}-{value}" for value in values)], min_width=120
        ) as column:
            yield column

    @contextmanager
    def more(self, key: str = "more", *, opened: bool = False):
        label = self.text.find("sections", key) or self.house("kit", key)
        with gr.Accordion(label, open=opened) as accordion:
            yield accordion


def _component(spec: Spec, value: Any, common: dict[str, Any], option: Callable[[str], str]) -> Any:
    if spec.kind == "number" and spec.slider:
        return gr.Slider(spec.low, spec.high, value=value, step=spec.step, **common)
    if spec.kind == "number":
        return gr.Number(
            value=value,
            minimum=spec.low,
            maximum=spec.high,
            step=spec.step,
            precision=0 if spec.whole else None,
            **common,
        )
    if spec.kind == "choice":
        return gr.Radio([(option(name), name) for name in spec.options], value=value, **common)
    if spec.kind == "toggle":
        return gr.Checkbox(value=value, **common)
    if spec.kind == "files":
        return gr.File(file_count="multiple" if spec.many else "single", type="filepath", height=150, **common)
    if spec.kind == "text":
        return gr.Textbox(value=value, lines=5, max_lines=12, **common)
    if spec.kind == "line":
        return gr.Textbox(value=value, max_lines=1, **common)
    return gr.Textbox(value=value, visible="hidden", show_label=False, **common)


def _wire(value: Any, item: Any) -> Any:
    """A control's value as its component wants it."""
    return (list(value) or None) if spec_of(item).kind == "files" else value
