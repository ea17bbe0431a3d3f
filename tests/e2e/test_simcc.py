"""The tab simcc in a real browser: the joint by pointer and by keyboard, its recorded way, every lens, what leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from demos.contract import numbers_as_json
from demos.perception.simcc import DEMO, Controls
from demos.perception.simcc_inputs import STEPS
from tests.browser import Watch
from tests.e2e.stage_page import WAIT, expect_numbers, open_preset, recomputing, stage_of, wait_ready

SLUG = DEMO.slug


@pytest.fixture
def page(shared_page: Page) -> Page:
    if not shared_page.locator(f"#{SLUG}--stage .gb-stage[data-ready]").count():
        shared_page.get_by_role("tab", name=DEMO.text("en")("tab")).click()
    wait_ready(shared_page, SLUG)
    return shared_page


def start(page: Page) -> Locator:
    """The opening view as it was, whatever was done to it before."""
    open_preset(page, SLUG, "exact")
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())
    return stage_of(page, SLUG)


def grip(page: Page, which: int) -> tuple[float, float]:
    """Where the joint's mark is in the picture (0) or under the magnifier (1), in px of the page."""
    sheet = stage_of(page, SLUG).locator(".gb-way").nth(which)
    sheet.scroll_into_view_if_needed()
    box = sheet.locator(".gb-way-grip").bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def settled(page: Page) -> str:
    """The way, once the numbers are those of all of it."""
    page.wait_for_function(
        "s => { const p = document.querySelector(s).gb.painter;"
        " return p && !p.travelling && !p.unanswered && !p.hand && p.handle.way.shape[0] === p.way.length }",
        arg=f"#{SLUG}--stage .gb-stage",
        timeout=WAIT,
    )
    way = stage_of(page, SLUG).evaluate("s => s.gb.painter.text()")
    expect_numbers(page, DEMO, Controls(way=way))
    return way


def drag(page: Page, begin: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(begin[0] + by[0] / 2, begin[1] + by[1] / 2, steps=3)
    page.mouse.move(begin[0] + by[0], begin[1] + by[1], steps=3)
    page.mouse.up()


def places(way: str) -> np.ndarray:
    """(T, 2) px of the input."""
    return np.array([[int(v) for v in place.split(".")] for place in way.split("_")]) / 10_000 * (192, 256)


def test_it_opens_finished(page: Page) -> None:
    stage = start(page)
    expect(stage.locator(".gb-step")).to_contain_text(f"{STEPS} / {STEPS}")
    assert stage.locator("[data-pane=magnifier] canvas").is_visible()


def test_dragging_under_the_magnifier_moves_by_parts_of_a_pixel(page: Page) -> None:
    start(page)
    before = places(stage_of(page, SLUG).evaluate("s => s.gb.painter.text()"))
    x, y = grip(page, 1)
    with recomputing(page, SLUG):
        drag(page, (x, y), (24, -12))
    way = places(settled(page))
    box = stage_of(page, SLUG).locator(".gb-way").nth(1).bounding_box()
    assert box
    moved = (way[-1] - before[-1]) * box["width"] / 35  # the magnifier is 35 px of the input wide
    assert moved == pytest.approx((24, -12), abs=1.5)
    assert len(way) > len(before)
    assert (way[: len(before)] == before).all()  # what was recorded stays
    assert grip(page, 1) == pytest.approx((x + 24, y - 12), abs=1.5)


def test_a_press_in_the_picture_brings_the_joint_there(page: Page) -> None:
    start(page)
    x, y = grip(page, 0)
    with recomputing(page, SLUG):
        page.mouse.click(x + 60, y + 40)
    settled(page)
    assert grip(page, 0) == pytest.approx((x + 60, y + 40), abs=1.5)


def test_arrow_keys_move_it_finely_and_undo_takes_back(page: Page) -> None:
    start(page)
    first = places(stage_of(page, SLUG).evaluate("s => s.gb.painter.text()"))
    stage_of(page, SLUG).locator(".gb-way").first.focus()
    with recomputing(page, SLUG):
        page.keyboard.press("ArrowRight")
    near = places(settled(page))
    assert near[-1] - first[-1] == pytest.approx((0.096, 0), abs=1e-6)
    with recomputing(page, SLUG):
        page.keyboard.press("Shift+ArrowDown")
    far = places(settled(page))
    assert far[-1] - near[-1] == pytest.approx((0, 1.28), abs=1e-6)
    with recomputing(page, SLUG):
        page.keyboard.press("Control+z")
    assert len(places(settled(page))) == len(near)
    with recomputing(page, SLUG):
        stage_of(page, SLUG).locator("[data-tool=restart]").click()
    assert len(places(settled(page))) == 1
    with recomputing(page, SLUG):
        stage_of(page, SLUG).locator("[data-tool=reset]").click()
    expect_numbers(page, DEMO, Controls())


def test_the_recorded_way_is_scrubbed_without_the_server(page: Page, watch: Watch) -> None:
    stage = start(page)
    stage.focus()
    before = watch.requests
    for step in range(STEPS - 2, STEPS - 7, -1):
        page.keyboard.press("ArrowLeft")
        expect_numbers(page, DEMO, Controls(), step=step)
    page.keyboard.press("Home")
    expect_numbers(page, DEMO, Controls(), step=0)
    assert watch.requests == before


@pytest.mark.parametrize("preset", ["exact", "ghost", "laws", "rle", "heads"])
def test_every_preset_shows_what_run_computes(page: Page, preset: str) -> None:
    open_preset(page, SLUG, preset)
    expect_numbers(page, DEMO, DEMO.presets[preset])


def test_controls_change_the_view(page: Page) -> None:
    start(page)
    with recomputing(page, SLUG):
        page.locator(f"#{SLUG}--center input[value=exact]").check()
    expect_numbers(page, DEMO, Controls(center="exact"))
    with recomputing(page, SLUG):
        page.locator(f"#{SLUG}--lens input[value=laws]").check()
    expect_numbers(page, DEMO, Controls(center="exact", lens="laws"))
    expect(page.locator(f"#{SLUG}--source")).to_be_hidden()


def test_an_address_carries_the_way(page: Page, fresh_page) -> None:
    start(page)
    x, y = grip(page, 0)
    with recomputing(page, SLUG):
        page.mouse.click(x + 30, y + 20)
    way = settled(page)
    page.wait_for_function("w => new URLSearchParams(location.search).get('way') === w", arg=way, timeout=WAIT)
    query = {k: v[0] for k, v in parse_qs(urlparse(page.url).query).items()}
    assert query["way"] == way
    other = fresh_page(f"?{urlparse(page.url).query}")
    wait_ready(other, SLUG)
    expect_numbers(other, DEMO, Controls(way=way))


def test_a_photo_is_taken_and_junk_is_refused(page: Page, tmp_path: Path) -> None:
    stage = start(page)
    page.locator(f"#{SLUG}--source input[value=files]").check()
    expect(stage.locator(".gb-alert")).to_contain_text("Upload a photo first", timeout=WAIT)
    upload = page.locator(f"#{SLUG}--photo input[type=file]")
    junk, photo = tmp_path / "junk.png", tmp_path / "photo.png"
    junk.write_bytes(b"no picture")
    Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(photo)
    upload.set_input_files(junk)
    expect(stage.locator(".gb-alert")).to_contain_text("junk.png", timeout=WAIT)
    page.locator(f"#{SLUG}--photo").get_by_label("Clear").or_(
        page.locator(f"#{SLUG}--photo").get_by_label("Remove")
    ).first.click()
    with recomputing(page, SLUG):
        page.locator(f"#{SLUG}--photo input[type=file]").set_input_files(photo)
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    expect_numbers(page, DEMO, Controls(source="files", photo=(str(photo),)))


def test_the_endpoint_returns_what_run_returns(app_url: str) -> None:
    client = Client(app_url, verbose=False)
    answer = client.predict(lens="joint", center="exact", way="4000.4000_4010.4003", api_name=f"/{SLUG}")
    expected = numbers_as_json(DEMO, replace(Controls(), center="exact", way="4000.4000_4010.4003"))
    assert json.loads(json.dumps(expected)) == answer
