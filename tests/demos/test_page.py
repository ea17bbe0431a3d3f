"""The page as Gradio will serve it: one for each language, every identity unique, one public endpoint a demo, nothing heavy in it."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from demos import GROUPS
from demos.kit import stage
from demos.kit.text import LANGUAGES, Text
from demos.page import build_app, page_head, page_theme

DEMOS = [demo for group in GROUPS.values() for demo in group]
MOST_BYTES = (
    208_000  # of the configuration of both pages, a demo: 166 kB when the first was measured, and a quarter more
)
PAGES = ["" if language == "en" else language for language in LANGUAGES]


@pytest.fixture(scope="module")
def app() -> gr.Blocks:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # a server that its own tests have started leaves its event loop to the collector
        warnings.filterwarnings("ignore", category=ResourceWarning)
        return build_app()


@pytest.fixture(scope="module")
def config(app: gr.Blocks) -> dict[str, Any]:
    return json.loads(json.dumps(app.get_config_file()))


def components(config: dict[str, Any], page: str) -> Iterator[dict[str, Any]]:
    wanted = set(config["page"][page]["components"])
    return (component for component in config["components"] if component["id"] in wanted)


def test_one_page_a_language(config: dict[str, Any]) -> None:
    assert [page[0] for page in config["pages"]] == PAGES
    counts = [sum(1 for _ in components(config, page)) for page in PAGES]
    assert max(counts) - min(counts) <= 3 * len(DEMOS)  # endpoints' buttons and answers are on the first page only


@pytest.mark.parametrize("page", PAGES)
def test_identities_are_unique(config: dict[str, Any], page: str) -> None:
    identities = [c["props"]["elem_id"] for c in components(config, page) if c["props"].get("elem_id")]
    assert [name for name, count in Counter(identities).items() if count > 1] == []
    for demo in DEMOS:
        assert {f"{demo.slug}--stage", f"tab-{demo.slug}"} <= set(identities)


def test_pages_have_the_same_identities(config: dict[str, Any]) -> None:
    """Tests, links and style sheets know a control by one name in every language."""
    found = [{c["props"]["elem_id"] for c in components(config, page) if c["props"].get("elem_id")} for page in PAGES]
    assert all(names == found[0] for names in found)


def test_one_public_endpoint_a_demo(config: dict[str, Any], app: gr.Blocks) -> None:
    public = [d["api_name"] for d in config["dependencies"] if d["api_visibility"] == "public"]
    assert sorted(public) == sorted(demo.slug for demo in DEMOS)
    assert {d["api_visibility"] for d in config["dependencies"]} == {"public", "private"}
    info = app.get_api_info()
    assert info is not None
    assert sorted(info["named_endpoints"]) == sorted(f"/{demo.slug}" for demo in DEMOS)
    assert info["unnamed_endpoints"] == {}


@pytest.mark.parametrize("demo", DEMOS, ids=lambda demo: demo.slug)
def test_endpoints_take_the_controls_by_name(app: gr.Blocks, demo: Any) -> None:
    info = app.get_api_info()
    assert info is not None
    parameters = info["named_endpoints"][f"/{demo.slug}"]["parameters"]
    names = [parameter["parameter_name"] for parameter in parameters]
    assert names == list(vars(demo.presets["start"]))
    assert all(parameter.get("parameter_has_default") for parameter in parameters)
    assert len(info["named_endpoints"][f"/{demo.slug}"]["returns"]) == 1


def test_every_event_of_a_page_stays_on_it(config: dict[str, Any]) -> None:
    for page in PAGES:
        here = set(config["page"][page]["components"])
        for dependency in config["dependencies"]:
            if dependency["id"] in config["page"][page]["dependencies"]:
                assert set(dependency["inputs"]) | set(dependency["outputs"]) <= here


def test_no_plot_is_in_the_page(config: dict[str, Any]) -> None:
    """Charts come when their section is opened: Plotly is megabytes."""
    plots = [c for c in config["components"] if c["type"] == "plot"]
    assert plots
    assert [c for c in plots if c["props"].get("value")] == []
    stages = [c for c in config["components"] if c["props"].get("elem_id", "") in {f"{d.slug}--stage" for d in DEMOS}]
    assert len(stages) == len(DEMOS) * len(PAGES)
    assert not any(c["props"].get("value") for c in stages)


def test_the_configuration_stays_small(config: dict[str, Any]) -> None:
    assert len(json.dumps(config, separators=(",", ":"), ensure_ascii=False).encode()) <= MOST_BYTES * len(DEMOS)


def test_the_page_names_no_other_host(config: dict[str, Any]) -> None:
    """Links in prose are the visitor's to follow; nothing is fetched."""
    assert config["stylesheets"] == []
    for c in config["components"]:
        if c["type"] in ("html", "markdown"):
            text = " ".join(
                str(c["props"].get(name) or "") for name in ("value", "html_template", "css_template", "js_on_load")
            )
            assert not re.findall(r"<(?:script|link|img|iframe)[^>]*https?:", text)


def test_templates_are_constants(config: dict[str, Any]) -> None:
    for c in config["components"]:
        if c["type"] == "html":
            assert "${" not in c["props"]["html_template"]
            assert "{{" not in c["props"]["html_template"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_headers_speak_the_pages_language(config: dict[str, Any], language: str) -> None:
    page = "" if language == "en" else language
    (header,) = [c for c in components(config, page) if c["props"].get("elem_id") == "gb-header"]
    template, code = header["props"]["html_template"], header["props"]["js_on_load"]
    assert Text(language)("kit", "tagline") in template
    assert re.findall(r'data-language="(\w+)" lang="\1" aria-current="(\w+)"', template) == [
        (other, str(other == language).lower()) for other in LANGUAGES
    ]
    assert f'documentElement.lang="{language}"' in code


@pytest.mark.parametrize("language", LANGUAGES)
def test_tabs_stand_in_teaching_order(config: dict[str, Any], language: str) -> None:
    page = "" if language == "en" else language
    tabs = [c["props"]["label"] for c in components(config, page) if c["type"] == "tabitem"]
    assert tabs == [demo.text(language)("tab") for demo in DEMOS]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_input_has_a_name(config: dict[str, Any], language: str) -> None:
    page = "" if language == "en" else language
    for c in components(config, page):
        props = c["props"]
        if c["type"] in ("slider", "number", "radio", "checkbox", "file", "plot") and props.get("visible") is True:
            assert props["label"], props.get("elem_id")


def test_the_head_is_the_stages() -> None:
    assert page_head() == stage.head()


def test_the_theme_is_ours() -> None:
    assert page_theme().name == "default"
    assert page_theme()._font_css == []
