"""Texts are found by path, filled in, and missed loudly. Parity of the languages is tested in tests/test_text.py."""

from __future__ import annotations

import pytest

from demos.kit.text import LANGUAGES, TEXT, Text, catalogue, prose


def test_english_comes_first_and_every_language_has_its_own_name() -> None:
    assert next(iter(LANGUAGES)) == "en"
    assert LANGUAGES == {"en": "English", "zh": "简体中文"}
    assert all((TEXT / language).is_dir() for language in LANGUAGES)


def test_a_path_finds_its_sentence() -> None:
    assert Text("en")("stage", "close") == "Close"
    assert Text("zh")("stage", "close") == "关闭"
    assert Text("en", "segmentation-metrics")("controls", "source", "label") == "Picture and truth"


def test_fields_are_filled_in() -> None:
    assert Text("en", "segmentation-metrics")("class", k="7") == "class 7"
    assert Text("zh", "segmentation-metrics")("class", k="7") == "类别 7"


def test_fields_may_hold_braces() -> None:
    """What visitors wrote is data: it is never taken for a field."""
    assert Text("en", "segmentation-metrics")("class", k="{0.__class__}") == "class {0.__class__}"


def test_a_missing_field_is_loud() -> None:
    with pytest.raises(KeyError, match="k"):
        Text("en", "segmentation-metrics")("class", wrong="7")


@pytest.mark.parametrize("path", [("nowhere",), ("stage", "nowhere"), ("stage", "close", "deeper"), ("stage",), ()])
def test_a_missing_text_is_loud(path: tuple[str, ...]) -> None:
    with pytest.raises(KeyError, match=r"en/labels\.json has no text at"):
        Text("en")(*path)


def test_find_is_quiet() -> None:
    assert Text("en").find("nowhere", "at", "all") is None
    assert Text("en").find("stage", "close", "deeper") is None
    assert Text("en").find("stage") == catalogue("en", "labels")["stage"]


def test_another_catalogue_in_the_same_language() -> None:
    assert Text("zh").of("segmentation-metrics") == Text("zh", "segmentation-metrics")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lesson_is_markdown(language: str) -> None:
    assert prose(language, "segmentation-metrics").startswith("**")


def test_texts_can_key_caches() -> None:
    assert len({Text("en"), Text("en"), Text("zh"), Text("en", "errors")}) == 3
