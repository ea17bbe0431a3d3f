"""The one shape every demo has, and how one becomes a tab, an endpoint and a share link.

`run` computes and `show` draws; neither knows Gradio. Tests, goldens, the endpoint, benchmarks and the interface all call `run`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import gradio as gr

from demos.kit import stage
from demos.kit.controls import ControlError, Spec, checked, from_query, is_content, nearest_preset, spec_of, to_query
from demos.kit.numbers import Number
from demos.kit.stage import Guess, Payload, Scene
from demos.kit.text import Text, prose
from demos.kit.uploads import UploadError, error_sentence

if TYPE_CHECKING:
    import plotly.graph_objects as go

C = TypeVar("C")  # the demo's own frozen dataclass of controls; its defaults are the opening view
R = TypeVar("R")  # the demo's own result record


@dataclass(frozen=True)
class View:
    """A result as it is drawn, in one language."""

    scene: Scene
    modes: Mapping[str, str] = field(default_factory=dict)  # which optional controls belong to this view


@dataclass(frozen=True, eq=False)
class Demo(Generic[C, R]):
    """One tab. Its names, question and presets' names are in assets/text/<language>/<slug>.json, its lesson in <slug>.md."""

    slug: str  # "segmentation-metrics": tab id, address, endpoint, text and golden folder
    sources: tuple[str, ...]  # papers and reference code
    presets: Mapping[str, C]  # "start" first: the opening view
    run: Callable[[C], R]  # pure, seeded, deterministic
    numbers: Callable[[R], tuple[tuple[Number, ...], ...]]  # what is shown: one tuple, or one a step
    show: Callable[[R, Text], View]
    build: Callable[[Panel], None]  # layout of the controls only
    script: Callable[[C], str] = lambda _: ""  # Python that reproduces this screen's numbers as one JSON line
    guesses: Callable[[Text], tuple[Guess, ...]] = lambda _: ()
    charts: Mapping[str, Callable[[R, Text], go.Figure]] = field(
        default_factory=dict
    )  # drawn while their section is open
    drawing: Callable[[str, Mapping[str, Any]], str] | None = (
        None  # ("box" or "paint", control values) -> the control to fill
    )

    @property
    def kind(self) -> type[C]:
        return type(self.presets["start"])

    def text(self, language: str) -> Text:
        return Text(language, self.slug)


@lru_cache(maxsize=2)
def computed(demo: Demo[Any, Any], controls: Any) -> Any:
    """The result behind the last views: a chart that is opened later needs no second run."""
    return demo.run(controls)


@lru_cache(maxsize=48)
def rendered(demo: Demo[Any, Any], language: str, preset: str, controls: Any) -> str:
    """The stage's value for these controls. Kept for the views that a class opens together."""
    text = demo.text(language)
    result = computed(demo, controls)
    view = demo.show(result, text)
    notes = tuple(
        n for n in (text.find("presets", preset, "note") if controls == demo.presets.get(preset) else None,) if n
    )
    return stage.encode(
        Payload(
            slug=demo.slug,
            language=language,
            title=text("title"),
            scene=replace(view.scene, notes=notes + view.scene.notes),
            numbers=demo.numbers(result),
            query=to_query(controls, preset=preset, base=demo.presets[preset]),
            preset=preset if controls == demo.presets[preset] else "",
            presets={name: text("presets", name, "name") for name in demo.presets},
            modes=view.modes,
            script=demo.script(controls),
            guesses=demo.guesses(text),
        ),
        text,
    )


def attempt(
    demo: Demo[Any, Any], language: str, values: Mapping[str, Any], preset: str = "", opened: Sequence[bool] = ()
) -> tuple[Any, ...]:
    """Stage value, and a figure for each chart whose section is open; on wrong input one sentence, and everything drawn stays."""
    try:
        controls = checked(demo.kind, dict(values))
        value = rendered(demo, language, preset or nearest_preset(controls, dict(demo.presets)), controls)
        text = demo.text(language)
        shown = [*opened, *(False for _ in demo.charts)]
        figures = [
            draw(computed(demo, controls), text) if on else gr.skip()
            for on, draw in zip(shown, demo.charts.values(), strict=False)
        ]
        return (value, *figures)
    except UploadError as error:
        sentence = error_sentence(error.code, error.fields, language)
    except ControlError as error:
        sentence = str(error)
    return (stage.message_only(sentence), *(gr.skip() for _ in demo.charts))


def numbers_as_json(demo: Demo[Any, Any], controls: Any) -> dict[str, Any]:
    """What the endpoint returns: every number by key (`iou[cup]` for one of several), and a list of them if there are several steps.

    Undefined numbers are null; infinite ones are the strings "inf" and "-inf", which JSON has no numbers for.
    """

    def plain(number: Number) -> Any:
        value = number.value
        if value is None or isinstance(value, int):
            return value
        return None if value != value else value if abs(value) != float("inf") else str(value)

    steps = [
        {n.key + (f"[{n.item}]" if n.item else ""): plain(n) for n in step} for step in demo.numbers(demo.run(controls))
    ]
    return {"numbers": steps[-1], **({"steps": steps} if len(steps) > 1 else {})}


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
        if spec.kind != "drawn":
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
        return gr.File(file_count="multiple" if spec.many else "single", type="filepath", height=110, **common)
    return gr.Textbox(value=value, visible="hidden", show_label=False, **common)


def _wire(value: Any, item: Any) -> Any:
    """A control's value as its component wants it."""
    return (list(value) or None) if spec_of(item).kind == "files" else value


def render(demo: Demo[Any, Any], language: str, tab: gr.Tab, *, first: str) -> None:
    """Fill `tab`: question, controls, stage, charts, lesson, sources; connect every event."""
    text, house = demo.text(language), Text(language)
    public = language == "en"
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
        asked = gr.Textbox(visible="hidden", show_label=False, elem_id=f"{demo.slug}--asked")
    controls = [panel.controls[item.name] for item in fields(panel.start)]
    names = [item.name for item in fields(panel.start)]
    drawn = [item.name for item in fields(panel.start) if spec_of(item).kind == "drawn"]
    outputs = [scene, *(panel.plots[name] for name in demo.charts)]
    flags = [panel.opened[name] for name in demo.charts]
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last", "api_visibility": "private"}

    def everything(preset: str, values: Any, opened: Sequence[bool]) -> tuple[Any, ...]:
        sent = [_wire(getattr(values, item.name), item) for item in fields(values)]
        return (*sent, *attempt(demo, language, {n: getattr(values, n) for n in names}, preset, opened))

    def open_tab(query: str, *opened: bool) -> tuple[Any, ...]:
        if query == "shown":
            return tuple(gr.skip() for _ in (*controls, *outputs))
        preset, wanted = from_query(demo.kind, query, presets=dict(demo.presets))
        return everything(preset, wanted, opened)

    def recompute(*values: Any) -> tuple[Any, ...]:
        return attempt(demo, language, dict(zip(names, values, strict=False)), opened=values[len(names) :])

    def open_preset(opened: dict[Any, Any], event: gr.EventData) -> tuple[Any, ...]:
        name = str((event._data or {}).get("preset", ""))
        if name not in demo.presets:
            return tuple(gr.skip() for _ in (*controls, *outputs))
        return everything(name, demo.presets[name], [opened[flag] for flag in flags])

    def draw(kind: str, part: str) -> Callable[..., tuple[Any, ...]]:
        def received(values: dict[Any, Any], event: gr.EventData) -> tuple[Any, ...]:
            assert demo.drawing is not None
            said = (event._data or {}).get(part, "")
            sketch = (
                ",".join(f"{v:g}" for v in said if isinstance(v, (int, float))) if isinstance(said, list) else str(said)
            )
            named = {name: values[component] for name, component in panel.controls.items()}
            target = demo.drawing(kind, named)
            return (
                *(sketch if name == target else gr.skip() for name in drawn),
                *attempt(demo, language, {**named, target: sketch}, opened=[values[flag] for flag in flags]),
            )

        return received

    tab.select(
        open_tab,
        [asked, *flags],
        [*controls, *outputs],
        js=f"(asked, ...rest) => [Glassbox.page.opening('{demo.slug}', '{first}'), ...rest]",
        **quiet,
    )
    moved = [panel.controls[item.name].change for item in fields(panel.start) if spec_of(item).kind != "drawn"]
    gr.on(moved, recompute, [*controls, *flags], outputs, **quiet)
    scene.open_preset(open_preset, set(flags), [*controls, *outputs], **quiet)
    if demo.drawing is not None:
        for kind, part in (("box", "xyxy"), ("paint", "drawing")):
            event = getattr(scene, f"commit_{kind}")
            event(draw(kind, part), {*controls, *flags}, [*(panel.controls[name] for name in drawn), *outputs], **quiet)
    for index, name in enumerate(demo.charts):

        def open_chart(*values: Any, index: int = index) -> tuple[Any, ...]:
            opened = [i == index for i in range(len(demo.charts))]
            return True, attempt(demo, language, dict(zip(names, values, strict=True)), opened=opened)[1 + index]

        panel.sections[name].expand(open_chart, controls, [panel.opened[name], panel.plots[name]], **quiet)
        panel.sections[name].collapse(lambda: False, None, panel.opened[name], **quiet)
    if public:
        _endpoint(demo, controls, names)


def _endpoint(demo: Demo[Any, Any], controls: list[Any], names: list[str]) -> None:
    """The named endpoint: the same controls, the same checks, numbers as JSON. Uploads are checked by the file components."""

    def endpoint(*values: Any) -> dict[str, Any]:
        try:
            return numbers_as_json(demo, checked(demo.kind, dict(zip(names, values, strict=True))))
        except (UploadError, ControlError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    kinds = {item.name: item for item in fields(demo.presets["start"])}
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=kinds[name].default)
            for name in names
        ]
    )
    endpoint.__name__ = demo.slug.replace("-", "_")
    endpoint.__doc__ = f"{demo.text('en')('question')} Returns every number of the tab as JSON."
    with gr.Row(visible=False):
        trigger, answer = gr.Button("run"), gr.JSON()
    trigger.click(
        endpoint, controls, answer, api_name=demo.slug, api_description=endpoint.__doc__, show_progress="hidden"
    )


def content_names(demo: Demo[Any, Any]) -> tuple[str, ...]:
    """Controls that carry a visitor's own content."""
    return tuple(item.name for item in fields(demo.presets["start"]) if is_content(item))
