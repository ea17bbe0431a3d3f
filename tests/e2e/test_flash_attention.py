"""FlashAttention's tab in a real browser: choosing on the map, following a query, marked steps, uploads good and bad."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from demos.contract import numbers_as_json
from demos.systems.flash_attention import DEMO, Controls, run
from tests.e2e.stage_page import (
    WAIT,
    Room,
    charts_open,
    enter,
    expect_numbers,
    recomputing,
    refuses,
    shown,
    stage_of,
)

SLUG = DEMO.slug
ROOT = Path(__file__).parents[2]
START = DEMO.presets["start"]


room = Room(DEMO)
pane, control, opened, place = room.pane, room.control, room.opened, room.place


@pytest.fixture
def page(shared_page: Page) -> Page:
    return enter(shared_page, DEMO)


@pytest.mark.parametrize("name", DEMO.presets)
def test_every_preset_shows_its_numbers(page: Page, name: str) -> None:
    opened(page, name)
    assert stage_of(page, SLUG).locator(".gb-unproved").count() == 0


def test_stepping_asks_nobody_and_shows_each_tile(page: Page, watch) -> None:
    opened(page, "start")
    stage, requests = stage_of(page, SLUG), watch.requests
    stage.locator(".gb-range input").focus()
    page.keyboard.press("Home")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "20")
    expect_numbers(page, DEMO, START, step=20)
    caption = DEMO.show(run(START), DEMO.text("en")).scene.captions[20]
    expect(stage.locator(".gb-caption")).to_have_text(caption)
    operands = pane(page, "operands").locator("[data-number=operand_loaded]").all_inner_texts()
    page.keyboard.press("End")
    expect_numbers(page, DEMO, START, step=63)
    assert pane(page, "operands").locator("[data-number=operand_loaded]").all_inner_texts() != operands
    assert watch.requests == requests, "stepping asked the server"


def test_pointing_at_a_row_shows_its_registers_and_asks_nobody(page: Page, watch) -> None:
    opened(page, "start")
    page.keyboard.press("Escape")
    stage = stage_of(page, SLUG)
    stage.locator(".gb-range input").focus()
    page.keyboard.press("End")
    result, requests = run(START), watch.requests
    for row in (0, 17, 31):
        page.mouse.move(*place(page, "map", 0.5, (row + 0.5) / 32))
        expect(pane(page, "registers").locator(".gb-who")).to_have_text(f"query {row}")
        tile = result.steps[(row // 4) * 8 + 7]
        said = pane(page, "registers").locator("tbody tr").last.locator("td").all_inner_texts()
        assert said[1] == f"{float(tile.row_max[row % 4]):.4f}".replace("-", "−")
        assert said[2] == f"{float(tile.row_sum[row % 4]):.4f}"
    assert watch.requests == requests, "pointing asked the server"
    page.mouse.move(2, 2)
    expect(pane(page, "registers").locator(".gb-who")).to_have_text("query 5")


def test_a_click_on_the_map_follows_its_query_and_jumps_to_its_tile(page: Page) -> None:
    opened(page, "start")
    with recomputing(page, SLUG):
        page.mouse.click(*place(page, "map", 9.5 / 32, 22.5 / 32))  # query 22, key 9: tile i=5, j=2
    stage = stage_of(page, SLUG)
    expect(stage).to_have_attribute("data-step", str(5 * 8 + 2))
    expect_numbers(page, DEMO, replace(START, row=22), step=42)
    expect(stage.locator(".gb-mark").first).to_contain_text("query 22")
    assert parse_qs(urlparse(page.url).query)["row"] == ["22"]


def test_the_map_is_worked_from_the_keyboard(page: Page) -> None:
    opened(page, "start")
    holder = pane(page, "map").locator(".gb-picture")
    holder.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(pane(page, "map").locator(".gb-tip")).to_contain_text("query 7")
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")
    expect_numbers(page, DEMO, replace(START, row=7), step=8 + 3)
    assert page.evaluate("document.activeElement.classList.contains('gb-pickable')")  # the focus is still there


def test_marks_jump_to_where_the_maximum_changes(page: Page) -> None:
    opened(page, "worse")
    c = DEMO.presets["worse"]
    changes = [one.step for one in run(c).story if one.max_changed]
    stage = stage_of(page, SLUG)
    mark = stage.locator(".gb-mark").first
    mark.get_by_role("button", name="Last").click()
    expect(stage).to_have_attribute("data-step", str(changes[-1]))
    expect(mark.locator(".gb-mark-count")).to_have_text(f"{len(changes)} / {len(changes)}")
    mark.get_by_role("button", name="Previous").click()
    expect(stage).to_have_attribute("data-step", str(changes[-2]))
    stage.locator(".gb-range input").focus()
    page.keyboard.press("Home")
    page.keyboard.press("]")
    expect(stage).to_have_attribute("data-step", str(next(step for step in changes if step > 0)))
    expect_numbers(page, DEMO, c, step=next(step for step in changes if step > 0))


def test_the_gauge_turns_red_when_a_tile_does_not_fit(page: Page) -> None:
    opened(page, "start")
    expect(stage_of(page, SLUG).locator(".gb-over")).to_have_count(0)
    with recomputing(page, SLUG):
        box = control(page, "block_k").locator("input[type=number]")
        box.fill("16")
        box.press("Enter")
    expect(stage_of(page, SLUG).locator(".gb-over")).to_have_count(1, timeout=WAIT)
    expect(stage_of(page, SLUG).locator(".gb-notice").last).to_contain_text("does not fit")
    with recomputing(page, SLUG):
        control(page, "blocks").locator("input[value=largest]").check()
    expect(stage_of(page, SLUG).locator(".gb-over")).to_have_count(0, timeout=WAIT)


def test_a_clicked_patch_shows_its_attention(page: Page) -> None:
    opened(page, "picture")
    with recomputing(page, SLUG):
        page.mouse.click(*place(page, "picture", 2.5 / 12, 6.5 / 8))
    c = replace(DEMO.presets["picture"], row=6 * 12 + 2)
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, c, step=step)
    pane(page, "picture").locator("[data-layer=output]").check()
    drawn = "p => p.querySelector('canvas').toDataURL().length"
    assert pane(page, "picture").evaluate(drawn) > 1000


def upload(page: Page, name: str, path: Path) -> None:
    control(page, name).locator("input[type=file]").set_input_files(str(path))


def clear(page: Page, name: str) -> None:
    button = control(page, name).get_by_label("Clear")
    if button.count():
        button.first.click()


def test_arrays_are_traced_and_bad_ones_are_one_sentence(page: Page, tmp_path: Path) -> None:
    opened(page, "start")
    alert = stage_of(page, SLUG).locator(".gb-alert")
    control(page, "source").locator("input[value=arrays]").check()
    expect(alert).to_contain_text("Upload a file first", timeout=WAIT)
    rng = np.random.default_rng(1)
    good = tmp_path / "qkv.npz"
    np.savez(good, **{name: rng.standard_normal((2, 12, 4)).astype(np.float32) for name in "qkv"})
    upload(page, "arrays", good)
    expect(alert).to_be_hidden(timeout=WAIT)
    mine = replace(START, source="arrays", arrays=(str(good),))
    stage = stage_of(page, SLUG)
    stage.locator(".gb-range input").focus()
    page.keyboard.press("End")
    expect_numbers(page, DEMO, mine, step=8)
    for name, arrays, words in (
        ("pickled.npz", {"q": np.array([{}], dtype=object), "k": np.zeros(1), "v": np.zeros(1)}, "Python objects"),
        ("names.npz", {"a": np.zeros((3, 3))}, "named q, k and v"),
        ("nan.npz", dict.fromkeys("qkv", np.full((3, 3), np.nan)), "NaN"),
        ("huge.npz", dict.fromkeys("qkv", np.zeros((5000, 2))), "too large"),
    ):
        path = tmp_path / name
        np.savez(path, **arrays)
        clear(page, "arrays")
        expect(alert).to_contain_text("Upload a file first", timeout=WAIT)
        upload(page, "arrays", path)
        expect(alert).to_contain_text(words, timeout=WAIT)
        assert shown(page, SLUG)  # the last good picture
    clear(page, "arrays")
    opened(page, "start")


def test_a_picture_of_ones_own_becomes_patches(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (90, 120, 3)).astype(np.uint8)).save(path)
    opened(page, "picture")
    control(page, "source").locator("input[value=photo]").check()
    expect(stage_of(page, SLUG).locator(".gb-alert")).to_be_visible(timeout=WAIT)
    upload(page, "photo", path)
    expect(stage_of(page, SLUG).locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    mine = replace(DEMO.presets["picture"], source="photo", photo=(str(path),))
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, mine, step=step)
    clear(page, "photo")
    opened(page, "start")


def test_backward_and_decoding_are_drawn(page: Page) -> None:
    opened(page, "start")
    page.get_by_role("button", name="More", exact=False).last.click()
    for direction, block in (("backward", "dS"), ("decode", "Σ w·O")):
        with recomputing(page, SLUG):
            control(page, "direction").locator(f"input[value={direction}]").check()
        expect(pane(page, "tray").locator("svg")).to_contain_text(block)
        c = replace(START, direction=direction)
        steps = len(DEMO.numbers(run(c)))
        step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
        expect_numbers(page, DEMO, c, step=min(step, steps - 1))
    page.get_by_role("button", name="More", exact=False).last.click()
    opened(page, "start")


def test_everything_leaves(page: Page, tmp_path: Path, fresh_page) -> None:
    opened(page, "order")
    c = DEMO.presets["order"]
    files = {}
    for kind in ("png", "csv", "json", "python", "html"):
        with page.expect_download() as download:
            stage_of(page, SLUG).locator(f"[data-export={kind}]").click()
        files[kind] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[kind])
    printed = subprocess.run(
        [sys.executable, str(files["python"])],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    last = {n.key: n.value for n in run(c).numbers[-1]}
    for key, value in json.loads(printed.stdout).items():
        assert value == pytest.approx(last[key]), key
    saved = fresh_page(files["html"].as_uri())
    expect(saved.locator(".gb-stage")).to_have_attribute("data-ready", "1", timeout=WAIT)
    saved.locator("[data-pane=map] .gb-picture").hover(position={"x": 5, "y": 5})
    expect(saved.locator("[data-pane=registers] .gb-who")).not_to_have_text("query 45")
    with Image.open(files["png"]) as image:
        assert image.size[0] >= 300


def test_the_endpoint_takes_arrays(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "qkv.npz"
    np.savez(path, **dict.fromkeys("qkv", np.eye(6)))
    answer = client.predict(source="arrays", arrays=handle_file(str(path)), api_name=f"/{SLUG}")
    assert answer == numbers_as_json(DEMO, Controls(source="arrays", arrays=(str(path),)))


@pytest.mark.parametrize(
    "values",
    [
        {"tokens": 10**9},
        {"channels": 0},
        {"tokens": "<b>"},
        {"block_q": -1},
        {"dtype": "object"},
        {"tokens": 1024, "block_q": 1, "block_k": 1},
        {"source": "../../etc/passwd"},
        {"source": "arrays"},
        {"rule": "inverse_as_printed", "order": "fa1"},
    ],
)
def test_hostile_values_are_refused_with_a_sentence(client: Client, values: dict) -> None:
    refuses(client, SLUG, values)


def test_charts_are_drawn_when_their_section_is_opened(page: Page) -> None:
    opened(page, "start")
    charts_open(page, DEMO)
