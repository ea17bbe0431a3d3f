"""The one shape every demo has, and how one becomes a tab, an endpoint and a share link.

`run` computes and `show` draws; neither knows Gradio. Tests, goldens, the endpoint, benchmarks and the interface all call `run`.
A long one says how far it is, and may publish what it has so far (`kit/jobs`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import gradio as gr

from demos.kit import stage
from demos.kit.controls import ControlError, checked, is_content, nearest_preset, spec_of, to_query
from demos.kit.jobs import Stopped, run_job
from demos.kit.numbers import Number
from demos.kit.scene import Guess, Scene
from demos.kit.stage import Payload
from demos.kit.text import Text
from demos.kit.uploads import UploadError, error_sentence

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from demos.panel import Panel

LOG = logging.getLogger(__name__)
C = TypeVar("C")  # the demo's own frozen dataclass of controls; its defaults are the opening view
R = TypeVar("R")  # the demo's own result record
BULKY = ("files", "drawn", "marks")  # kinds of controls that no view tells back


@dataclass(frozen=True)
class View:
    """A result as it is drawn, in one language."""

    scene: Scene
    modes: Mapping[str, str] = field(default_factory=dict)  # which optional controls belong to this view
    items: Mapping[str, str] = field(default_factory=dict)  # names, in this view, of the numbers' items


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
    picks: tuple[str, ...] = ()  # controls whose value can be chosen on the stage
    drawing: Callable[[str, Mapping[str, Any]], str] | None = (
        None  # (one of `draws`, control values) -> control to fill
    )
    draws: tuple[str, ...] = ("box", "paint")  # what can be made on the stage: box, paint, boxes, cells, way
    drawing_sets: Mapping[str, Any] = field(default_factory=dict)  # what other controls become with a drawing

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
    return _value(demo, language, preset, controls, computed(demo, controls))


def _value(demo: Demo[Any, Any], language: str, preset: str, controls: Any, result: Any) -> str:
    text = demo.text(language)
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
            values={f.name: getattr(controls, f.name) for f in fields(controls) if spec_of(f).kind not in BULKY},
            preset=preset if controls == demo.presets[preset] else "",
            presets={name: text("presets", name, "name") for name in demo.presets},
            modes=view.modes,
            items=view.items,
            script=demo.script(controls),
            guesses=demo.guesses(text),
        ),
        text,
    )


def attempt(
    demo: Demo[Any, Any],
    language: str,
    values: Mapping[str, Any],
    preset: str = "",
    *,
    opened: Sequence[bool] = (),
    question: str = "",
) -> tuple[Any, ...]:
    """Stage value, and a figure for each chart whose section is open; on wrong input one sentence, and all that is drawn stays.

    `question` is the number of the question that this answers: the stage drops answers to earlier ones.
    """
    try:
        controls = checked(demo.kind, dict(values))
        preset = preset or nearest_preset(controls, dict(demo.presets))
        shown = [*opened, *(False for _ in demo.charts)]

        def drawn() -> tuple[Any, ...]:
            value, text = rendered(demo, language, preset, controls), demo.text(language)
            figures = [
                draw(computed(demo, controls), text) if on else gr.skip()
                for on, draw in zip(shown, demo.charts.values(), strict=False)
            ]
            return (stage.answer(question, value), *figures)

        return run_job(question, drawn, draw=partial(_value, demo, language, preset, controls))
    except Stopped:
        sentence = Text(language)("kit", "stopped")
    except UploadError as error:
        sentence = error_sentence(error.code, error.fields, language)
    except ControlError as error:
        sentence = str(error)
    except Exception:  # a visitor gets one sentence, the log the whole story
        LOG.exception("%s failed", demo.slug)
        sentence = error_sentence("internal", {}, language)
    said = stage.message_only(sentence, _choices(demo, values))
    return (stage.answer(question, said), *(gr.skip() for _ in demo.charts))


def _choices(demo: Demo[Any, Any], values: Mapping[str, Any]) -> dict[str, str]:
    """What stands in the choices, as modes: also when it makes no view yet, the controls that belong to it are shown."""
    offered = {item.name: spec_of(item).options for item in fields(demo.presets["start"])}
    return {name: value for name, value in values.items() if isinstance(value, str) and value in offered.get(name, ())}


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


def content_names(demo: Demo[Any, Any]) -> tuple[str, ...]:
    """Controls that carry a visitor's own content."""
    return tuple(item.name for item in fields(demo.presets["start"]) if is_content(item))
