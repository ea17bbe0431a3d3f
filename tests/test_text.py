"""Every word in both languages: the same keys, the same fields, one translation of each term, nothing missing on screen."""

from __future__ import annotations

import ast
import json
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from demos import GROUPS
from demos.contract import Demo
from demos.kit.controls import spec_of
from demos.kit.numbers import Number
from demos.kit.scene import Table
from demos.kit.text import LANGUAGES, TEXT, Text, catalogue, prose
from demos.kit.uploads import UploadError
from tests.snapshots import snapshot_file

ROOT = Path(__file__).resolve().parents[1]
OTHERS = [language for language in LANGUAGES if language != "en"]
CATALOGUES = sorted(path.stem for path in (TEXT / "en").glob("*.json"))
LESSONS = sorted(path.stem for path in (TEXT / "en").glob("*.md"))
GLOSSARY: Mapping[str, str] = json.loads((TEXT / "glossary.json").read_text(encoding="utf-8"))
DEMOS = [demo for group in GROUPS.values() for demo in group]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Values that stay as they are in every language: names of programs and their functions, and formulas.
NAMES = re.compile(
    r"^(mmsegmentation|HF evaluate|torchmetrics|scikit-learn|hszhao|segmentation-models-pytorch)\b|^[\d·/+() IoU]+。$|^S = Q Kᵀ"
)

languages = pytest.mark.parametrize("language", OTHERS)
catalogues = pytest.mark.parametrize("name", CATALOGUES)
demos = pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.slug)


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from leaves(value, (*path, str(index)))
    else:
        yield path, node


def texts(language: str, name: str) -> dict[tuple[str, ...], str]:
    return dict(leaves(catalogue(language, name)))


def fields_of(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None)


def blocks(language: str, slug: str) -> list[str]:
    """Paragraphs and list items of a lesson."""
    return [
        part for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )", prose(language, slug).strip()) if part.strip()
    ]


def kind_of(block: str) -> str:
    return re.match(r"\s*(#+ |[-*] |\d+\. )?", block)[0].strip().rstrip("0123456789.") or "text"  # type: ignore[index]


def contains(term: str, sentence: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(term)}(?![\w-])", sentence, re.IGNORECASE))


# -- parity ------------------------------------------------------------------------------------------------------------


def test_languages_have_the_same_files() -> None:
    for language in OTHERS:
        assert sorted(p.name for p in (TEXT / language).iterdir()) == sorted(p.name for p in (TEXT / "en").iterdir())


@languages
@catalogues
def test_keys_and_fields_are_the_same(language: str, name: str) -> None:
    english, other = texts("en", name), texts(language, name)
    assert english.keys() == other.keys()  # indices of lists are part of the keys
    assert {k: fields_of(v) for k, v in english.items()} == {k: fields_of(v) for k, v in other.items()}


@pytest.mark.parametrize("language", LANGUAGES)
@catalogues
def test_no_text_is_empty_or_dangling(language: str, name: str) -> None:
    for path, text in texts(language, name).items():
        assert isinstance(text, str), path
        assert text, path
        assert text == text.strip(), path


@languages
@catalogues
def test_nothing_is_left_in_english(language: str, name: str) -> None:
    left = [
        (p, t) for p, t in texts(language, name).items() if len(t) > 12 and not CHINESE.search(t) and not NAMES.match(t)
    ]
    assert left == []


@languages
@catalogues
def test_chinese_punctuation(language: str, name: str) -> None:
    """After a Chinese character stands a Chinese comma, colon or full stop."""
    wrong = [
        (p, t)
        for p, t in texts(language, name).items()
        if re.search(r"[\u4e00-\u9fff][,;:?!]|[\u4e00-\u9fff]\.(\s|$)", t)
    ]
    assert wrong == []


@languages
@pytest.mark.parametrize("slug", LESSONS)
def test_lessons_have_the_same_shape(language: str, slug: str) -> None:
    assert [kind_of(b) for b in blocks("en", slug)] == [kind_of(b) for b in blocks(language, slug)]
    assert all(CHINESE.search(block) for block in blocks(language, slug))


@languages
def test_terms_have_one_translation(language: str) -> None:
    pairs = [
        ((name, *path), text, texts(language, name)[path])
        for name in CATALOGUES
        for path, text in texts("en", name).items()
    ]
    pairs += [
        ((slug, str(k)), *both)
        for slug in LESSONS
        for k, both in enumerate(zip(blocks("en", slug), blocks(language, slug), strict=True))
    ]
    wrong = [
        (path, term, chosen, there)
        for path, here, there in pairs
        for term, chosen in GLOSSARY.items()
        if contains(term, here) and chosen not in there and not NAMES.match(there)
    ]
    assert wrong == []


def test_the_glossary_is_in_use_and_in_order() -> None:
    everything = " ".join(
        [text for name in CATALOGUES for text in texts("en", name).values()] + [prose("en", s) for s in LESSONS]
    )
    assert [term for term in GLOSSARY if not contains(term, everything)] == []
    assert list(GLOSSARY) == sorted(GLOSSARY)
    assert all(CHINESE.search(chosen) for chosen in GLOSSARY.values())


# -- nothing on screen is without a word ---------------------------------------------------------------------------------


def displayed(demo: Demo[Any, Any], controls: Any, text: Text) -> Iterator[Number]:
    result = seen(demo.slug, controls)
    for step in demo.numbers(result):
        yield from step
    for pane in demo.show(result, text).scene.panes:
        for layer in pane.layers:
            yield from getattr(layer, "receipts", ())
            yield from (number for face in getattr(layer, "faces", ()) for number in face.receipts)
            if isinstance(layer, Table):
                for rows in (layer.rows, *layer.later):
                    yield from (cell for row in rows for cell in row if isinstance(cell, Number))


@cache
def seen(slug: str, controls: Any) -> Any:
    demo = next(demo for demo in DEMOS if demo.slug == slug)
    return demo.run(controls)


# What visitors make by hand or choose in two places and no preset holds, for numbers that only it brings
MADE: dict[str, tuple[dict[str, Any], ...]] = {
    "checkpointing": ({"model": "snapshot", "snapshot": (snapshot_file(),)},),
    "detr-matching": ({"pairs": "0.0"}, {"boxes": "p0.0.1000.1000.4000.4000"}),
    "diffusion-trajectories": ({"lens": "images", "album": "digits"},),
}


def views(demo: Demo[Any, Any]) -> Iterator[Any]:
    """Every preset, and the opening view with each option of each choice that works without an upload."""
    yield from demo.presets.values()
    start = demo.presets["start"]
    for item in fields(start):
        for option in spec_of(item).options:
            changed = replace(start, **{item.name: option})
            try:
                seen(demo.slug, changed)
            except UploadError:
                continue
            yield changed
    for made in MADE.get(demo.slug, ()):
        yield replace(start, **made)


@pytest.mark.parametrize("language", LANGUAGES)
@demos
def test_every_control_has_its_words(demo: Demo[Any, Any], language: str) -> None:
    text = demo.text(language)
    for item in fields(demo.presets["start"]):
        spec = spec_of(item)
        if spec.kind in ("drawn", "marks"):
            continue
        assert text("controls", item.name, "label")
        options = text.find("controls", item.name, "options") or {}
        assert set(options) == set(spec.options), item.name
    known = {item.name for item in fields(demo.presets["start"])}
    assert set(text.find("controls")) <= known


@pytest.mark.parametrize("language", LANGUAGES)
@demos
def test_every_preset_and_chart_has_its_words(demo: Demo[Any, Any], language: str) -> None:
    text = demo.text(language)
    assert set(text.find("presets")) == set(demo.presets)
    for preset in demo.presets:
        assert text("presets", preset, "name")
        assert text("presets", preset, "note")
    for path in [("title",), ("tab",), ("question",), *(("charts", name) for name in demo.charts)]:
        assert text(*path)
    assert set(text.find("charts") or {}) == set(demo.charts)


@pytest.mark.parametrize("language", LANGUAGES)
@demos
def test_every_displayed_number_has_a_label_a_help_and_its_convention(demo: Demo[Any, Any], language: str) -> None:
    text = demo.text(language)
    numbers = {(n.key, n.convention) for controls in views(demo) for n in displayed(demo, controls, text)}
    for key, convention in numbers:
        assert text("numbers", key, "label")
        assert text("numbers", key, "help")
        assert all(text("conventions", part) for part in convention.split(".") if part)
    assert {key for key, _ in numbers} == set(text.find("numbers"))  # and no word waits for a number that never comes


# -- what the code asks for ----------------------------------------------------------------------------------------------


def constants(node: ast.expr) -> Iterator[str]:
    """The strings that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from constants(node.body)
        yield from constants(node.orelse)


def name_of(call: ast.Call) -> str:
    if ast.unparse(call.func) == "super().__init__":
        return "super"
    return ast.unparse(call.func).split(".")[-1]


@cache
def calls() -> tuple[tuple[Path, ast.Call], ...]:
    return tuple(
        (path, node)
        for path in sorted(ROOT.glob("demos/**/*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )


def codes() -> set[str]:
    """Codes of errors and notes in the source; in upload_errors.py the subclasses of UploadError name theirs to `super`."""
    found: set[str] = set()
    for path, call in calls():
        wanted = {"UploadError", "Note", "refusing"} | ({"super"} if path.name == "upload_errors.py" else set())
        if name_of(call) in wanted and call.args:
            found |= set(constants(call.args[0]))
    return found


def test_every_error_and_note_has_its_sentence_and_every_sentence_its_cause() -> None:
    sentences = set(catalogue("en", "errors"))
    assert codes() - sentences == set()
    everything = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("demos/**/*.py"))
    assert [code for code in sentences if f'"{code}"' not in everything] == []
    assert len(codes()) > 40


def test_every_error_brings_the_fields_of_its_sentence() -> None:
    """A sentence that misses a field would be a crash where a visitor should read it."""
    missing: list[str] = []
    for path, call in calls():
        if name_of(call) not in ("UploadError", "Note", "super") or not call.args:
            continue
        if any(keyword.arg is None for keyword in call.keywords):
            continue
        given = {str(keyword.arg) for keyword in call.keywords}
        if name_of(call) == "Note":
            if len(call.args) < 2 or not isinstance(call.args[1], ast.Dict):
                continue
            given = {key.value for key in call.args[1].keys if isinstance(key, ast.Constant)}  # type: ignore[misc]
            if None in call.args[1].keys:
                continue
        for code in constants(call.args[0]):
            needed = set(fields_of(catalogue("en", "errors").get(code, "")))
            if needed - given:
                missing.append(f"{path.name}:{call.lineno} {code} {needed - given}")
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_path_asked_for_exists(language: str) -> None:
    """`text("captions", "nothing")` anywhere in demos/ finds its sentence; a path ends early where the rest is computed."""
    missing: list[str] = []
    for path, call in calls():
        if (
            name_of(call) not in ("text", "house", "find")
            or not call.args
            or ast.unparse(call.func).endswith("demo.text")
        ):
            continue
        slug = path.stem.removesuffix("_figures").replace("_", "-")
        names = [slug] if slug in CATALOGUES else ["labels", *(demo.slug for demo in DEMOS)]
        steps = [list(constants(argument)) for argument in call.args]
        fixed = steps[: next((i for i, options in enumerate(steps) if not options), len(steps))]
        for chosen in _products(fixed):
            if chosen and not any(Text(language, name).find(*chosen) for name in names):
                missing.append(f"{path.name}:{call.lineno} {chosen}")
    assert missing == []


def _products(options: list[list[str]]) -> Iterator[tuple[str, ...]]:
    if not options:
        yield ()
        return
    for rest in _products(options[1:]):
        for first in options[0]:
            yield (first, *rest)


def test_the_stage_and_its_words_fit() -> None:
    """Every label that the scripts name exists, and every label is named."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "assets/stage").glob("*.js")))
    named = set(re.findall(r"\b(?:t|text|stage\.text)\.([a-z_]+)\b(?!\()", code)) - {"length", "replace"}
    stage = set(catalogue("en", "labels")["stage"])
    assert named - stage == set()
    assert stage - named == set()


def test_a_missing_text_says_where() -> None:
    with pytest.raises(KeyError, match=r"zh/labels\.json has no text at kit / nowhere"):
        Text("zh")("kit", "nowhere")
