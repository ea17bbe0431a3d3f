"""The tab detr-matching in a real browser: boxes by pointer and by keyboard, the puzzle, every lens, what leaves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from gradio_client import Client
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from demos.perception.detr_matching import DEMO, Controls
from tests.e2e.stage_page import (
    WAIT,
    expect_numbers,
    open_preset,
    recomputing,
    refuses,
    stage_of,
    wait_ready,
)

SLUG = DEMO.slug
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def page(shared_page: Page) -> Page:
    if not shared_page.locator(f"#{SLUG}--stage .gb-stage[data-ready]").count():
        shared_page.get_by_role("tab", name=DEMO.text("en")("tab")).click()
    wait_ready(shared_page, SLUG)
    return shared_page


def said(page: Page) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlparse(page.url).query).items()}


def choose(page: Page, name: str, value: str) -> None:
    page.locator(f"#{SLUG}--{name} input[value={value}]").check()


def start(page: Page) -> Locator:
    """The opening view as it was, whatever was done to it before."""
    open_preset(page, SLUG, "greedy")
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())
    return stage_of(page, SLUG)


def box_on_screen(page: Page, key: str) -> tuple[float, float, float, float]:
    """Corners of an editable box, in px of the page."""
    stage_of(page, SLUG).locator(".gb-boxes").scroll_into_view_if_needed()
    expect(stage_of(page, SLUG).locator(f"[data-box={key}]")).to_have_count(1)
    found = stage_of(page, SLUG).locator(f"[data-box={key}]").bounding_box()
    assert found
    return found["x"], found["y"], found["x"] + found["width"], found["y"] + found["height"]


def take(page: Page) -> tuple[float, float, float, float]:
    """Chooses the first object, which then lies on top of all others; its corners."""
    stage_of(page, SLUG).locator(".gb-boxes").focus()
    page.keyboard.press("PageDown")
    return box_on_screen(page, "t0")


def controls_of(page: Page) -> Controls:
    query = said(page)
    return replace(DEMO.presets[query["preset"]], boxes=query.get("boxes", ""), pairs=query.get("pairs", ""))


def drag(page: Page, start_: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start_)
    page.mouse.down()
    page.mouse.move((start_[0] + end[0]) / 2, (start_[1] + end[1]) / 2, steps=3)
    page.mouse.move(*end, steps=3)
    page.mouse.up()


def settled(page: Page) -> Controls:
    """Waits until the numbers are those of what the address says."""
    page.wait_for_function(
        "s => { const p = document.querySelector(s).gb.painter;"
        " return p && !p.travelling && !p.unanswered && !p.hand && p.tools.edits === p.text() }",
        arg=f"#{SLUG}--stage .gb-stage",
        timeout=WAIT,
    )
    mine = controls_of(page)
    expect_numbers(page, DEMO, mine)
    return mine


def test_dragging_a_box_moves_it_and_nothing_else(page: Page) -> None:
    stage = start(page)
    x0, y0, x1, y1 = take(page)
    with recomputing(page, SLUG):
        drag(page, ((x0 + x1) / 2, (y0 + y1) / 2), ((x0 + x1) / 2 - 40, (y0 + y1) / 2 + 30))
    mine = settled(page)
    assert re.fullmatch(r"t0\.\d(\.\d+){4}", mine.boxes)
    a0, b0, a1, b1 = box_on_screen(page, "t0")
    assert (a0 - x0, b0 - y0, a1 - x1, b1 - y1) == pytest.approx((-40, 30, -40, 30), abs=1.5)
    assert stage.locator(".gb-value").count() == 5  # and the drag's own number


def test_a_corner_resizes_and_undo_takes_back(page: Page) -> None:
    start(page)
    x0, y0, x1, y1 = take(page)
    with recomputing(page, SLUG):
        drag(page, (x1, y1), (x1 - 30, y1 - 20))
    settled(page)
    a0, b0, a1, b1 = box_on_screen(page, "t0")
    assert (a0 - x0, b0 - y0, a1 - x1, b1 - y1) == pytest.approx((0, 0, -30, -20), abs=1.5)
    with recomputing(page, SLUG):
        page.keyboard.press("Control+z")
    assert settled(page) == Controls()
    assert box_on_screen(page, "t0") == pytest.approx((x0, y0, x1, y1), abs=0.6)


def test_a_second_click_chooses_the_box_below(page: Page) -> None:
    stage = start(page)
    x0, y0, x1, y1 = box_on_screen(page, "t0")
    chosen = []
    for _ in range(8):
        page.mouse.click((x0 + x1) / 2, (y0 + y1) / 2)
        chosen.append(stage.evaluate("s => s.gb.painter.chosen"))
    assert "t0" in chosen
    assert len(set(chosen)) > 1
    assert settled(page) == Controls()  # looking changes nothing


def test_pairs_follow_while_the_box_is_still_held(page: Page) -> None:
    stage = start(page)
    x0, y0, x1, y1 = take(page)
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.down()
    before = stage.get_attribute("data-ready")
    page.mouse.move((x0 + x1) / 2 - 50, (y0 + y1) / 2, steps=4)
    expect(stage).not_to_have_attribute("data-ready", before or "", timeout=WAIT)
    assert stage.evaluate("s => !!s.gb.painter.hand")
    page.mouse.up()
    settled(page)


def test_boxes_by_keyboard_alone(page: Page) -> None:
    stage = start(page)
    sheet = stage.locator(".gb-boxes")
    sheet.focus()
    with recomputing(page, SLUG):
        page.keyboard.press("PageDown")
        page.keyboard.press("ArrowRight")
    before = settled(page)
    assert before.boxes.startswith("t0.")
    with recomputing(page, SLUG):
        page.keyboard.press("Shift+ArrowDown")
    after = settled(page)
    first, second = (list(map(int, c.boxes.split(".")[2:])) for c in (before, after))
    assert second[:3] == first[:3]
    assert second[3] - first[3] == pytest.approx(50, abs=1)
    with recomputing(page, SLUG):
        page.keyboard.press("Delete")
    assert settled(page).boxes == "t0.x"
    stage.locator("[data-tool=add-t]").focus()
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")
    assert settled(page).boxes == "t0.x_tn0.2.3500.3500.6500.6500"  # of the class that the deleted one had
    assert page.evaluate("document.activeElement.classList.contains('gb-boxes')")
    with recomputing(page, SLUG):
        stage.locator("[data-tool=class]").select_option("1")
    assert settled(page).boxes == "t0.x_tn0.1.3500.3500.6500.6500"
    with recomputing(page, SLUG):
        stage.locator("[data-tool=reset]").click()
    assert settled(page) == Controls()


def test_drawing_a_box_and_its_address(page: Page, fresh_page) -> None:
    stage = start(page)
    stage.locator("[data-tool=add-p]").click()
    area = stage.locator(".gb-boxes").bounding_box()
    assert area
    with recomputing(page, SLUG):
        drag(page, (area["x"] + 30, area["y"] + 40), (area["x"] + 130, area["y"] + 190))
    mine = settled(page)
    assert mine.boxes.startswith("pn0.")
    assert len(page.url) < 2048
    other = fresh_page(urlparse(page.url)._replace(scheme="", netloc="", path="zh").geturl())
    wait_ready(other, SLUG)
    expect_numbers(other, DEMO, mine)
    assert stage_of(other, SLUG).locator("[data-box=pn0]").count() == 1


def test_a_click_beside_a_drawn_box_draws_nothing(page: Page) -> None:
    stage = start(page)
    stage.locator("[data-tool=add-t]").click()
    area = stage.locator(".gb-boxes").bounding_box()
    assert area
    page.mouse.click(area["x"] + 20, area["y"] + 20)
    expect(stage.locator("[data-box=tn0]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(stage.locator("[data-tool=add-t]")).to_have_attribute("aria-pressed", "false")
    assert settled(page) == Controls()


def test_the_puzzle(page: Page) -> None:
    open_preset(page, SLUG, "start")
    open_preset(page, SLUG, "greedy")
    expect_numbers(page, DEMO, DEMO.presets["greedy"])
    stage = stage_of(page, SLUG)
    for done, cell in enumerate(("0,0", "1,1", "2,2"), 1):
        with recomputing(page, SLUG):
            stage.locator(f'[data-pane=cost] [data-cell="{cell}"]').click()
        expect(stage.locator("[data-number=puzzle_missing]")).to_have_text(str(3 - done), timeout=WAIT)
    expect(stage.locator("[data-number=puzzle_excess]")).to_have_text("0.0000")
    assert said(page)["pairs"] == "0.0_1.1_2.2"
    with recomputing(page, SLUG):  # one a row and one a column: this one puts another out
        stage.locator('[data-pane=cost] [data-cell="0,1"]').click()
    assert said(page)["pairs"] == "2.2_0.1"
    expect(stage.locator("[data-number=puzzle_excess]")).to_have_text("–")
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")  # the same cell again lets go of it
    assert said(page)["pairs"] == "2.2"


def test_faces_of_the_matrix_need_no_request(page: Page, watch) -> None:
    stage = start(page)
    result = DEMO.run(Controls())
    assert result.match is not None
    before = watch.requests
    for key, values in (
        ("class", result.match.class_cost),
        ("bbox", result.match.bbox_cost),
        ("giou", result.match.giou_cost),
    ):
        stage.locator("[data-face=cost]").select_option(key)
        expected = f"{values[0, 0]:.2f}".replace("-", "−").replace("−0.00", "0.00")
        expect(stage.locator('[data-pane=cost] [data-cell="0,0"]')).to_have_text(expected)
        stage.locator("[data-pane=cost] .gb-proof").click()
        expect(stage.locator("dialog")).to_contain_text(f"{DEMO.text('en')('numbers', f'{key}_cost', 'label')}")
        page.keyboard.press("Escape")
    assert watch.requests == before


@pytest.mark.parametrize("name", ["solver", "duplicates", "loss"])
def test_steps_are_scrubbed_without_a_request(page: Page, watch, name: str) -> None:
    open_preset(page, SLUG, name)
    expect_numbers(page, DEMO, DEMO.presets[name])
    stage = stage_of(page, SLUG)
    count = len(DEMO.numbers(DEMO.run(DEMO.presets[name])))
    before = watch.requests
    stage.focus()
    page.keyboard.press("Home")
    for step in range(count):
        expect(stage).to_have_attribute("data-step", str(step))
        expect_numbers(page, DEMO, DEMO.presets[name], step=step)
        page.keyboard.press("ArrowRight")
    assert watch.requests == before


def test_a_click_on_the_picture_shows_that_place(page: Page) -> None:
    open_preset(page, SLUG, "attention")
    expect_numbers(page, DEMO, DEMO.presets["attention"])
    with recomputing(page, SLUG):
        choose(page, "view", "encoder_row")
    stage = stage_of(page, SLUG)
    picture = stage.locator(".gb-picture")
    size = picture.bounding_box()
    assert size
    picture.click(position={"x": size["width"] * 7.5 / 12, "y": size["height"] * 3.5 / 12})
    expect(stage).to_have_attribute("data-step", str(3 * 12 + 7))


def test_the_hub_model_is_missing_at_once_and_the_picture_stays(page: Page) -> None:
    stage = start(page)
    choose(page, "predictor", "hub")
    expect(stage.locator(".gb-alert")).to_contain_text("DETR ResNet-50", timeout=5000)
    assert stage.locator(".gb-value").count() == 4
    choose(page, "predictor", "tiny")
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)


def test_a_photo_with_boxes_of_ones_own(page: Page, tmp_path: Path) -> None:
    stage = start(page)
    photo, junk = tmp_path / "photo.png", tmp_path / "junk.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)).save(photo)
    junk.write_bytes(b"GIF89a not really")
    choose(page, "source", "files")
    expect(stage.locator(".gb-alert")).to_be_visible(timeout=WAIT)
    expect(page.locator(f"#{SLUG}--photo")).to_be_visible()
    upload = page.locator(f"#{SLUG}--photo input[type=file]")
    upload.set_input_files(junk)
    expect(stage.locator(".gb-alert")).to_contain_text("junk.png", timeout=WAIT)
    page.locator(f"#{SLUG}--photo").get_by_label("Clear").first.click()
    upload.set_input_files(photo)
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    choose(page, "predictor", "drawn")
    expect(stage.locator(".gb-caption")).to_contain_text("draw", timeout=WAIT)
    for tool in ("add-t", "add-p"):
        stage.locator(f"[data-tool={tool}]").focus()
        with recomputing(page, SLUG):
            page.keyboard.press("Enter")
    expect(stage.locator(".gb-caption")).to_contain_text("1 pairs", timeout=WAIT)
    page.locator(f"#{SLUG}--photo").get_by_label("Clear").first.click()
    open_preset(page, SLUG, "start")


def test_everything_leaves(page: Page, tmp_path: Path, fresh_page) -> None:
    stage = start(page)
    numbers = DEMO.numbers(DEMO.run(Controls()))[0]

    def save(kind: str) -> Path:
        with page.expect_download() as download:
            stage.locator(f"[data-export={kind}]").click()
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    code = save("python")
    printed = subprocess.run(
        [sys.executable, str(code)], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert json.loads(printed.stdout) == {n.key: n.value for n in numbers}
    text = save("csv").read_text(encoding="utf-8-sig")
    assert "GIoU part" in text
    with Image.open(save("png")) as image:
        assert image.size == (432, 432)
    saved = fresh_page(save("html").as_uri())
    expect(saved.locator(".gb-stage")).to_have_attribute("data-ready", "1", timeout=WAIT)
    assert saved.locator(".gb-boxes").count() == 0  # nobody there to answer a drag
    saved.locator("[data-face=cost]").select_option("class")


@pytest.mark.parametrize("path", ["", "zh"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessibility(fresh_page, axe, path: str, dark: bool) -> None:
    page = fresh_page(f"{path}?tab={SLUG}&__theme={'dark' if dark else 'light'}", dark=dark)
    wait_ready(page, SLUG)
    for name in DEMO.presets:
        open_preset(page, SLUG, name)
        expect_numbers(page, DEMO, DEMO.presets[name])
        assert not axe(page)


@pytest.mark.parametrize("path", ["", "zh"])
def test_a_phone_needs_no_sideways_scrolling_and_drags_by_touch(fresh_page, path: str) -> None:
    page = fresh_page(f"{path}?tab={SLUG}", viewport={"width": 360, "height": 740}, touch=True)
    wait_ready(page, SLUG)
    for name in DEMO.presets:
        open_preset(page, SLUG, name)
        expect_numbers(page, DEMO, DEMO.presets[name])
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())
    x0, y0, x1, y1 = take(page)
    touch = page.context.new_cdp_session(page)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    with recomputing(page, SLUG):
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for k in range(1, 5):
            touch.send(
                "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + 5 * k, "y": y + 3 * k}]}
            )
            page.wait_for_timeout(60)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert settled(page).boxes.startswith("t0.")
    assert box_on_screen(page, "t0")[0] - x0 == pytest.approx(20, abs=1.5)


@pytest.mark.parametrize(
    "values",
    [
        {"boxes": "<script>"},
        {"boxes": "t0.99.1.1.2.2"},
        {"boxes": "t0.0.5.5.5.9"},
        {"boxes": "a" * 7000},
        {"pairs": "0.0_0.1"},
        {"pairs": 7},
        {"queries": 10**9},
        {"cost_bbox": -1},
        {"lens": "../../etc/passwd"},
        {"predictor": "hub"},
        {"source": "files"},
        {"source": "trap", "lens": "loss"},
    ],
)
def test_hostile_values_are_refused_with_a_sentence(client: Client, values: dict) -> None:
    refuses(client, SLUG, values)
