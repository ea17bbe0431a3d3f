"""How the browser tests read and work a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client
from playwright.sync_api import Locator, Page, expect

from demos.contract import Demo
from demos.kit.numbers import format_value

WAIT = 20_000  # ms; generous, for busy machines


def stage_of(page: Page, slug: str) -> Locator:
    return page.locator(f"#{slug}--stage .gb-stage")


def wait_ready(page: Page, slug: str, *, timeout: int = WAIT) -> Locator:
    stage = stage_of(page, slug)
    expect(stage).to_have_attribute("data-ready", re.compile(r"\d+"), timeout=timeout)
    return stage


@contextmanager
def recomputing(page: Page, slug: str) -> Iterator[None]:
    """The block does something that makes the stage load a new view; waits until it stands."""
    before = stage_of(page, slug).get_attribute("data-ready")
    yield
    expect(stage_of(page, slug)).not_to_have_attribute("data-ready", before or "", timeout=WAIT)


def open_preset(page: Page, slug: str, name: str) -> None:
    button = stage_of(page, slug).locator(f"[data-preset={name}]")
    if button.get_attribute("aria-pressed") != "true":
        button.click()
    expect(button).to_have_attribute("aria-pressed", "true", timeout=WAIT)


def shown(page: Page, slug: str) -> list[str]:
    """The values of the numbers panel, in order."""
    return stage_of(page, slug).locator(".gb-numbers .gb-value").all_inner_texts()


def expected(demo: Demo[Any, Any], controls: Any, *, step: int | None = None) -> list[str]:
    """The texts of the panel at a step; without one, at the step that the view opens with."""
    key = demo.slug, controls
    if key not in _seen:  # computed once: runs take their time
        result = demo.run(controls)
        texts = [[format_value(n.value, n.unit) for n in one] for one in demo.numbers(result)]
        _seen[key] = texts, demo.show(result, demo.text("en")).scene.step
    texts, opening = _seen[key]
    return texts[opening if step is None else step]


_seen: dict[tuple[str, Any], tuple[list[list[str]], int]] = {}


def enter(page: Page, demo: Demo[Any, Any]) -> Page:
    """The tab, opened and ready, without what a failed test may have left."""
    tab = page.get_by_role("tab", name=demo.text("en")("tab"), exact=True)
    if tab.get_attribute("aria-selected") != "true":
        tab.click()
    wait_ready(page, demo.slug)
    page.evaluate("document.querySelectorAll('dialog[open]').forEach(d => d.close())")
    return page


class Room:
    """What the tests of one tab find in a page."""

    def __init__(self, demo: Demo[Any, Any]) -> None:
        self.demo, self.slug = demo, demo.slug

    def pane(self, page: Page, key: str) -> Locator:
        return stage_of(page, self.slug).locator(f"[data-pane={key}]")

    def control(self, page: Page, name: str) -> Locator:
        return page.locator(f"#{self.slug}--{name}")

    def place(self, page: Page, key: str, x: float, y: float) -> tuple[float, float]:
        """Where a share of a pane's picture is on the page."""
        holder = self.pane(page, key).locator(".gb-picture")
        holder.scroll_into_view_if_needed()
        box = holder.bounding_box()
        assert box
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def opened(self, page: Page, preset: str) -> None:
        """The preset, at the step it opens with."""
        stage = stage_of(page, self.slug)
        open_preset(page, self.slug, preset)
        expect(stage).not_to_have_attribute("aria-busy", "true", timeout=3 * WAIT)
        stage.evaluate("s => s.gb.show(s.gb.data.scene.step)")
        expect_numbers(page, self.demo, self.demo.presets[preset])


def charts_open(page: Page, demo: Demo[Any, Any]) -> None:
    """Every chart is drawn when its section is opened; then they are closed again."""
    for name in demo.charts:
        page.locator(f"#{demo.slug}--section-{name} > button").click()
        expect(page.locator(f"#{demo.slug}--chart-{name} .main-svg").first).to_be_visible(timeout=3 * WAIT)
    for name in demo.charts:
        page.locator(f"#{demo.slug}--section-{name} > button").click()


def expect_numbers(page: Page, demo: Demo[Any, Any], controls: Any, *, step: int | None = None) -> None:
    """The panel shows what `run` computes, now or soon."""
    values = stage_of(page, demo.slug).locator(".gb-numbers .gb-value")
    expect(values).to_have_text(expected(demo, controls, step=step), timeout=WAIT)


def refuses(client: Client, slug: str, values: dict[str, Any]) -> None:
    """The endpoint answers with a sentence that shows nothing of the inside."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - gradio_client raises several kinds
        client.predict(**values, api_name=f"/{slug}")
    assert "Traceback" not in str(caught.value)
    assert str(Path.cwd()) not in str(caught.value)
