"""Layers that are drawn with the pixels or change with every step, in a scene of its own, opened from disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from demos.kit import stage
from demos.kit.scene import Axes, Labels, Pane, Paths, Points, Scene, View
from demos.kit.text import Text

STEPS = np.array([[[100, 100], [300, 100]], [[100, 300], [300, 300]]], np.int16)  # two dots go down
LINES = np.array([[[[0, 0], [1, 1]]], [[[0, 1], [1, 0]]]], np.float32)  # a rising line falls
SHADES = np.zeros((2, 4), np.uint8)
SHADES[:, 2:] = 1


def scene() -> Scene:
    colors = np.array([[0, 0, 0, 255], [255, 255, 255, 255]], np.uint8)
    field = Labels("field", "field", SHADES, (View("v", "v", colors),), smooth=True, opacity=1.0)
    map_ = Labels("map", "map", SHADES, (View("v", "v", colors),), visible=False, opacity=1.0)
    swarm = Points("swarm", "", STEPS, colors=("#FF0000", "forward"), radius=6, swarm=True, link="dot")
    lines = Paths("lines", "", LINES, ("line",), ("error",), width=1.0, dashed=True)
    return Scene(
        panes=(
            Pane("dots", "dots", (field, map_, swarm), 400, 400),
            Pane("chart", "chart", (lines,), axes=Axes((0, 1), (0, 1))),
            Pane("small", "small", (lines,), axes=Axes((0, 1), (0, 1)), place="wide", row="pair"),
        ),
        steps=2,
        lead="wide",
        pointed=("dot",),
    )


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    value = stage.encode(stage.Payload("x", "en", "Layers", scene(), ((),)), Text("en"))
    path: Path = tmp_path_factory.mktemp("layers") / "layers.html"
    path.write_text(stage.static_page(value, title="Layers", language="en"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.goto(path.as_uri())
    expect(page.locator(".gb-stage")).to_have_attribute("data-ready", "1")
    yield page
    page.close()


def pixel(page: Page, x: float, y: float) -> list[int]:
    return page.evaluate(
        "([x, y]) => { const c = document.querySelector('[data-pane=dots] canvas');"
        " return [...c.getContext('2d').getImageData(x / 400 * c.width, y / 400 * c.height, 1, 1).data].slice(0, 3); }",
        [x, y],
    )


def show(page: Page, step: int) -> None:
    page.evaluate("k => document.querySelector('.gb-stage').gb.show(k)", step)


def test_a_swarm_is_drawn_with_the_pixels_and_moves(page: Page) -> None:
    for step, row in ((0, 100), (1, 300)):
        show(page, step)
        assert pixel(page, 100, row) == [255, 0, 0]
        assert pixel(page, 300, row) == [0, 0x72, 0xB2]
        assert pixel(page, 100, 400 - row) == [0, 0, 0]
    assert page.locator("[data-pane=dots] circle").count() == 0


def test_a_dot_of_a_swarm_lights_up(page: Page) -> None:
    show(page, 0)
    box = page.locator("[data-pane=dots] .gb-picture").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    expect(page.locator("[data-pane=dots] circle[data-lit]")).to_have_count(1)
    page.mouse.move(1, 1)
    expect(page.locator("[data-pane=dots] circle[data-lit]")).to_have_count(0)


def test_a_field_has_no_edges_and_a_map_has(page: Page) -> None:
    show(page, 0)
    assert 60 < pixel(page, 200, 20)[0] < 200
    page.locator("[data-layer=map]").check()
    assert pixel(page, 198, 20)[0] == 0
    assert pixel(page, 202, 20)[0] == 255
    page.locator("[data-layer=map]").uncheck()


def test_lines_may_change_with_every_step(page: Page) -> None:
    line = page.locator("[data-pane=chart] path")
    show(page, 0)
    assert line.get_attribute("d") == "M54.00 180.00L584.00 10.00"
    show(page, 1)
    assert line.get_attribute("d") == "M54.00 10.00L584.00 180.00"
    assert line.get_attribute("stroke-width") == "1"
    assert line.get_attribute("stroke-dasharray")


def test_what_leads_stands_first_and_a_chart_beside_others_is_narrow(page: Page) -> None:
    tops = [page.locator(f"[data-pane={key}]").bounding_box() for key in ("small", "dots")]
    assert tops[0]
    assert tops[1]
    assert tops[0]["y"] < tops[1]["y"]
    boxes = [page.locator(f"[data-pane={key}] svg").get_attribute("viewBox") for key in ("small", "chart")]
    assert boxes == ["0 0 380 200", "0 0 600 220"]
