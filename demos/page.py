"""The page: one per language, one tab per topic."""

from __future__ import annotations

import json

import gradio as gr
from gradio.components import Navbar

from demos import GROUPS
from demos.kit import stage
from demos.kit.server import DELETE_CACHE
from demos.kit.text import LANGUAGES, Text
from demos.kit.theme import gradio_theme as page_theme
from demos.tab import render

__all__ = ["build_app", "page_head", "page_theme"]

FIRST = next(iter(LANGUAGES))


def page_head() -> str:
    """Stage script and style; in the head, so that the address is read before Gradio can change it."""
    return stage.head()


def build_app() -> gr.Blocks:
    """All tabs: English at "/", every other language at "/<code>"."""
    with gr.Blocks(title="Glassbox", analytics_enabled=False, delete_cache=DELETE_CACHE, fill_width=True) as app:
        _page(app, FIRST)
    for language, name in list(LANGUAGES.items())[1:]:
        with app.route(name, language, show_in_navbar=False):
            _page(app, language)
    return app


def _page(app: gr.Blocks, language: str) -> None:
    text = Text(language)
    Navbar(visible=False)  # the language links below carry the address's state along; Gradio's would drop it
    links = "".join(
        f'<button type="button" data-language="{code}" lang="{code}" aria-current="{str(code == language).lower()}">{name}</button>'
        for code, name in LANGUAGES.items()
    )
    gr.HTML(
        html_template=(
            f'<header class="gb-header"><h1>Glassbox</h1><p>{text("kit", "tagline")}</p><nav aria-label="{text("kit", "language")}">{links}'
            f'<button type="button" data-big aria-pressed="false" title="{text("kit", "big_text")}">A⁺</button></nav></header>'
        ),
        js_on_load=(
            f"document.documentElement.lang={json.dumps(language)};"
            "element.querySelectorAll('[data-language]').forEach(b => b.addEventListener('click', () =>"
            f" Glassbox.page.language(b.dataset.language, {json.dumps(FIRST)})));"
            "element.querySelector('[data-big]').addEventListener('click', e => {"
            " Glassbox.page.big(); e.target.setAttribute('aria-pressed', document.documentElement.classList.contains('gb-big-text'))});"
        ),
        apply_default_css=False,
        elem_id="gb-header",
    )
    slugs = [demo.slug for group in GROUPS.values() for demo in group]
    with gr.Tabs(elem_id="gb-tabs", selected=slugs[0]) as tabs:
        for group in GROUPS.values():
            for demo in group:
                with gr.Tab(demo.text(language)("tab"), id=demo.slug, elem_id=f"tab-{demo.slug}") as tab:
                    render(demo, language, tab, first=slugs[0])
    app.load(
        None,
        None,
        [tabs],
        js=f"() => ({{selected: Glassbox.page.tab({json.dumps(slugs[0])}, {json.dumps(slugs)}), __type__: 'update'}})",
    )
