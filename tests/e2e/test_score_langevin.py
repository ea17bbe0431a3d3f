"""The Langevin tab in a real browser: stepping, linked skiers, a drop by click, noise levels, a network trained live and stopped."""

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
from demos.generative.diffusion_plane_figures import SIDE
from demos.generative.score_langevin import DEMO, Controls, run
from demos.generative.score_langevin_figures import placed
from demos.generative.score_langevin_inputs import PLACES
from tests.e2e.stage_page import (
    WAIT,
    Room,
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
DROPPED = DEMO.presets["dropped"]


room = Room(DEMO)
pane, control, opened, place = room.pane, room.control, room.opened, room.place


@pytest.fixture
def page(shared_page: Page) -> Page:
    return enter(shared_page, DEMO)


def fill(page: Page, name: str, value: str) -> None:
    box = control(page, name).locator("input[type=number]")
    box.fill(value)
    box.press("Enter")


@pytest.mark.parametrize("name", DEMO.presets)
def test_every_preset_shows_its_numbers(page: Page, name: str) -> None:
    opened(page, name)
    assert stage_of(page, SLUG).locator(".gb-unproved").count() == 0


def test_stepping_asks_nobody_and_moves_both_walks(page: Page, watch) -> None:
    opened(page, "start")
    stage, requests = stage_of(page, SLUG), watch.requests
    drawn = "p => p.querySelector('canvas').toDataURL()"
    stage.locator(".gb-range input").focus()
    page.keyboard.press("Home")
    expect_numbers(page, DEMO, START, step=0)
    before = [pane(page, name).evaluate(drawn) for name in ("plain", "annealed")]
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "9")
    expect_numbers(page, DEMO, START, step=9)
    page.keyboard.press("]")  # the end of the next level
    expect(stage).to_have_attribute("data-step", "12")
    page.keyboard.press("End")
    expect_numbers(page, DEMO, START, step=60)
    after = [pane(page, name).evaluate(drawn) for name in ("plain", "annealed")]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert watch.requests == requests, "stepping asked the server"


def test_a_skier_is_found_again_in_the_other_walk(page: Page) -> None:
    opened(page, "start")
    result = run(START)
    dots = placed(result.annealed.x[-1])
    inside = np.flatnonzero(((dots > 0) & (dots < SIDE)).all(1))
    middle = np.array([SIDE / 2, SIDE / 2])
    lonely = int(inside[np.argmin(np.linalg.norm(dots[inside] - middle, axis=1))])
    page.mouse.move(*place(page, "annealed", *(dots[lonely] / SIDE)))
    lit = pane(page, "plain").locator("circle[data-lit]")
    expect(lit).to_have_count(1)
    there = placed(result.plain.x[-1])[lonely]
    assert [round(float(lit.get_attribute(k) or 0)) for k in ("cx", "cy")] == there.tolist()
    expect(pane(page, "annealed").locator(".gb-tip")).to_contain_text(f"skier {lonely}")
    page.mouse.move(2, 2)
    expect(lit).to_have_count(0)


def test_a_click_drops_the_skiers(page: Page) -> None:
    opened(page, "dropped")
    for walk, column, row in (("plain", 8, 30), ("annealed", 33, 8)):
        with recomputing(page, SLUG):
            page.mouse.click(*place(page, walk, (column + 0.5) / PLACES, (row + 0.5) / PLACES))
        c = replace(DROPPED, drop=row * PLACES + column)
        expect_numbers(page, DEMO, c, step=60)
        assert parse_qs(urlparse(page.url).query)["drop"] == [str(c.drop)]
    opened(page, "start")


def test_the_skiers_are_dropped_from_the_keyboard(page: Page) -> None:
    opened(page, "start")
    opened(page, "dropped")
    pane(page, "plain").locator(".gb-picture").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")
    expect_numbers(page, DEMO, replace(DROPPED, drop=DROPPED.drop - 2 * PLACES + 1), step=60)
    opened(page, "start")


def test_the_ladder_and_both_conventions(page: Page) -> None:
    opened(page, "start")
    with recomputing(page, SLUG):
        fill(page, "sigma_max", "0.7")
    expect_numbers(page, DEMO, replace(START, sigma_max=0.7), step=60)
    with recomputing(page, SLUG):
        control(page, "convention").locator("input[value=repository]").check()
    c = replace(START, sigma_max=0.7, convention="repository")
    expect_numbers(page, DEMO, c, step=60)
    expect(stage_of(page, SLUG).locator("[data-number=drift]")).to_have_text("0.1000")
    with recomputing(page, SLUG):
        fill(page, "levels", "3")
    stage_of(page, SLUG).evaluate("s => s.gb.show(s.gb.steps - 1)")
    expect_numbers(page, DEMO, replace(c, levels=3), step=60)
    opened(page, "start")


def test_a_mode_is_dragged(page: Page) -> None:
    opened(page, "start")
    with recomputing(page, SLUG):
        control(page, "source").locator("input[value=modes]").check()
    x, y = (1.6 / 3.5 + 1) / 2, (1 - 0.9 / 3.5) / 2
    page.mouse.move(*place(page, "plain", x, y))
    page.mouse.down()
    page.mouse.move(*place(page, "plain", x, y + 0.2), steps=4)
    page.mouse.up()
    edits = f"document.querySelector('#{SLUG}--stage .gb-stage').gb.data.scene.tools.edits"
    target = round((y + 0.2) * 10000)  # the box's middle, in parts of the picture
    page.wait_for_function(
        f"() => {{ const m = {edits}.match(/^m0\\.7\\.\\d+\\.(\\d+)\\.\\d+\\.(\\d+)$/);"
        f" return m && Math.abs((+m[1] + +m[2]) / 2 - {target}) < 60; }}",
        timeout=WAIT,
    )
    made = page.evaluate(edits)
    expect_numbers(page, DEMO, replace(START, source="modes", modes=made), step=60)
    opened(page, "start")


def test_a_network_is_trained_while_one_watches_and_stopped(page: Page) -> None:
    """The first map comes long before the last update; a stopped training leaves the last picture."""
    opened(page, "net")
    stage = stage_of(page, SLUG)
    page.get_by_role("button", name="More").last.click()
    fill(page, "updates", "4000")
    updates = f"document.querySelector('#{SLUG}--stage .gb-stage').gb.data.scene.panes.find(p => p.key === 'training').axes.x[1]"
    page.wait_for_function(f"() => {updates} === 4000", timeout=3 * WAIT)  # an interim map
    expect(stage).to_have_attribute("aria-busy", "true")
    expect(pane(page, "residual").locator("canvas")).to_be_visible()
    stop = stage.get_by_role("button", name="Stop")
    stop.click()
    expect(stage.locator(".gb-alert")).to_contain_text("Stopped", timeout=WAIT)
    assert len(shown(page, SLUG)) == 6
    opened(page, "start")


def test_the_walks_run_on_a_learned_score(page: Page) -> None:
    opened(page, "net")  # it is trained already
    opened(page, "start")
    with recomputing(page, SLUG):
        control(page, "score").locator("input[value=learned]").check()
    expect_numbers(page, DEMO, replace(START, score="learned"), step=60)
    expect(stage_of(page, SLUG).locator("[data-number=bias]")).to_have_text("–")
    opened(page, "start")


def test_unit_slices_leave_the_line(page: Page) -> None:
    opened(page, "objectives")
    points = "s => s.gb.data.scene.panes.find(p => p.key === 'lines').layers.find(l => l.key === 'sliced').xy[1]"
    before = stage_of(page, SLUG).evaluate(points)
    with recomputing(page, SLUG):
        control(page, "directions").locator("input[value=sphere]").check()
    assert stage_of(page, SLUG).evaluate(points) > before + 0.2
    opened(page, "start")


def upload(page: Page, path: Path) -> None:
    control(page, "photo").locator("input[type=file]").set_input_files(str(path))


def clear(page: Page) -> None:
    button = control(page, "photo").get_by_label("Clear")
    if button.count():
        button.first.click()


def test_a_picture_of_ones_own_is_a_landscape_and_bad_ones_are_one_sentence(page: Page, tmp_path: Path) -> None:
    good, flat = tmp_path / "letter.png", tmp_path / "flat.png"
    rgb = np.zeros((60, 60, 3), np.uint8)
    rgb[10:50, 25:35] = 255
    Image.fromarray(rgb).save(good)
    Image.fromarray(np.full((9, 9, 3), 40, np.uint8)).save(flat)
    opened(page, "start")
    alert = stage_of(page, SLUG).locator(".gb-alert")
    control(page, "source").locator("input[value=photo]").check()
    expect(alert).to_contain_text("Upload a picture first", timeout=WAIT)
    upload(page, flat)
    expect(alert).to_contain_text("one brightness", timeout=WAIT)
    assert shown(page, SLUG)  # the last good picture
    clear(page)
    expect(alert).to_contain_text("Upload a picture first", timeout=WAIT)
    upload(page, good)
    expect(alert).to_be_hidden(timeout=WAIT)
    expect_numbers(page, DEMO, replace(START, source="photo", photo=(str(good),)), step=60)
    clear(page)
    opened(page, "start")


def test_everything_leaves(page: Page, tmp_path: Path, fresh_page) -> None:
    opened(page, "start")
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
    last = numbers_as_json(DEMO, START)["numbers"]
    for key, value in json.loads(printed.stdout).items():
        assert value == pytest.approx(last[key]), key
    saved = fresh_page(files["html"].as_uri())
    expect(saved.locator(".gb-stage")).to_have_attribute("data-ready", "1", timeout=WAIT)
    with Image.open(files["png"]) as image:
        assert image.size[0] >= 300


def test_the_endpoint_takes_a_picture(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 40, 3)).astype(np.uint8)).save(path)
    answer = client.predict(source="photo", photo=handle_file(str(path)), steps_each=5, api_name=f"/{SLUG}")
    assert answer == numbers_as_json(DEMO, Controls(source="photo", photo=(str(path),), steps_each=5))


@pytest.mark.parametrize(
    "values",
    [
        {"particles": 10**9},
        {"levels": 1},
        {"step_size": "<b>"},
        {"convention": "../../etc/passwd"},
        {"source": "photo"},
        {"modes": "m0.x_m1.x"},
        {"modes": "m0.9999999"},
        {"drop": 10**6},
        {"updates": -1},
    ],
)
def test_hostile_values_are_refused_with_a_sentence(client: Client, values: dict) -> None:
    refuses(client, SLUG, {"source": "modes", **values})
