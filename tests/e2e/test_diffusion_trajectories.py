"""The diffusion tab in a real browser: stepping, linked particles, choosing a noise point, modes by hand, pictures good and bad."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import imageio.v3 as iio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from demos.contract import numbers_as_json
from demos.generative.diffusion_plane_figures import SIDE
from demos.generative.diffusion_trajectories import DEMO, PLACES, Controls, run
from demos.generative.diffusion_trajectories_figures import placed
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
POINT = DEMO.presets["point"]


room = Room(DEMO)
pane, control, opened, place = room.pane, room.control, room.opened, room.place


@pytest.fixture
def page(shared_page: Page) -> Page:
    return enter(shared_page, DEMO)


@pytest.mark.parametrize("name", DEMO.presets)
def test_every_preset_shows_its_numbers(page: Page, name: str) -> None:
    opened(page, name)
    assert stage_of(page, SLUG).locator(".gb-unproved").count() == 0


def test_stepping_asks_nobody_and_moves_every_lane(page: Page, watch) -> None:
    opened(page, "start")
    stage, requests = stage_of(page, SLUG), watch.requests
    drawn = "p => p.querySelector('canvas').toDataURL()"
    stage.locator(".gb-range input").focus()
    page.keyboard.press("Home")
    before = [pane(page, lane).evaluate(drawn) for lane in ("forward", "reverse", "flow")]
    stairs = pane(page, "histogram").locator("path").last.get_attribute("d")
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "9")
    expect_numbers(page, DEMO, START, step=9)
    page.keyboard.press("End")
    expect_numbers(page, DEMO, START, step=50)
    after = [pane(page, lane).evaluate(drawn) for lane in ("forward", "reverse", "flow")]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert pane(page, "histogram").locator("path").last.get_attribute("d") != stairs
    assert watch.requests == requests, "stepping asked the server"


def test_a_step_is_drawn_within_its_budget(page: Page) -> None:
    opened(page, "start")
    took = stage_of(page, SLUG).evaluate(
        "s => { const out = []; for (let k = 0; k < s.gb.steps; k++) { const t = performance.now(); s.gb.show(k, false);"
        " out.push(performance.now() - t); } return out.sort((a, b) => a - b)[out.length >> 1]; }"
    )
    assert took < 50


def test_a_particle_is_found_again_in_the_other_lane(page: Page) -> None:
    opened(page, "start")
    result = run(START)
    stage_of(page, SLUG).evaluate("s => s.gb.show(50)")
    dots = placed(result, result.lanes.flow)[50]
    lonely = int(np.argmax(np.linalg.norm(dots - dots.mean(0), axis=1)))
    x, y = dots[lonely] / SIDE
    page.mouse.move(*place(page, "flow", x, y))
    lit = pane(page, "reverse").locator("circle[data-lit]")
    expect(lit).to_have_count(1)
    there = placed(result, result.lanes.reverse)[50][lonely]
    assert [round(float(lit.get_attribute(k) or 0)) for k in ("cx", "cy")] == there.tolist()
    expect(pane(page, "flow").locator(".gb-tip")).to_contain_text(f"particle {lonely}")
    page.mouse.move(2, 2)
    expect(lit).to_have_count(0)


def test_a_click_chooses_the_noise_point(page: Page) -> None:
    opened(page, "point")
    with recomputing(page, SLUG):
        page.mouse.click(*place(page, "plane", 8.5 / PLACES, 30.5 / PLACES))
    c = replace(POINT, point=30 * PLACES + 8)
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, c, step=step)
    assert parse_qs(urlparse(page.url).query)["point"] == [str(c.point)]


def test_the_noise_point_is_chosen_from_the_keyboard(page: Page) -> None:
    opened(page, "start")
    opened(page, "point")
    pane(page, "plane").locator(".gb-picture").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, replace(POINT, point=POINT.point + PLACES + 2), step=step)


def test_the_bundle_closes_without_noise(page: Page) -> None:
    opened(page, "start")
    opened(page, "point")
    with recomputing(page, SLUG):
        box = control(page, "stochasticity").locator("input[type=number]")
        box.fill("0")
        box.press("Enter")
    stage_of(page, SLUG).evaluate("s => s.gb.show(50)")
    expect_numbers(page, DEMO, replace(POINT, stochasticity=0.0), step=50)
    expect(stage_of(page, SLUG).locator("[data-number=spread]")).to_have_text("0.0000")
    opened(page, "start")


def test_a_mode_is_dragged_by_hand_and_by_keyboard(page: Page) -> None:
    opened(page, "start")
    with recomputing(page, SLUG):
        control(page, "source").locator("input[value=modes]").check()
    before = shown(page, SLUG)
    x, y = (1.6 / 3.5 + 1) / 2, (1 - 0.9 / 3.5) / 2
    page.mouse.move(*place(page, "forward", x, y))
    page.mouse.down()
    page.mouse.move(*place(page, "forward", x, y + 0.2), steps=4)
    with recomputing(page, SLUG):
        page.mouse.up()
    page.wait_for_timeout(400)
    assert shown(page, SLUG) != before
    edits = page.evaluate(f"document.querySelector('#{SLUG}--stage .gb-stage').gb.data.scene.tools.edits")
    assert edits.startswith("m0.7.")
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, replace(START, source="modes", modes=edits), step=step)
    with recomputing(page, SLUG):
        page.keyboard.press("ArrowLeft")
    opened(page, "start")


def upload(page: Page, name: str, path: Path) -> None:
    control(page, name).locator("input[type=file]").set_input_files(str(path))


def clear(page: Page, name: str) -> None:
    button = control(page, name).get_by_label("Clear")
    if button.count():
        button.first.click()


def test_a_picture_of_ones_own_is_diffused_and_bad_ones_are_one_sentence(page: Page, tmp_path: Path) -> None:
    good = tmp_path / "letter.png"
    rgb = np.zeros((60, 60, 3), np.uint8)
    rgb[10:50, 25:35] = 255
    Image.fromarray(rgb).save(good)
    opened(page, "start")
    alert = stage_of(page, SLUG).locator(".gb-alert")
    control(page, "source").locator("input[value=photo]").check()
    expect(alert).to_contain_text("Upload a picture first", timeout=WAIT)
    upload(page, "photo", good)
    expect(alert).to_be_hidden(timeout=WAIT)
    step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
    expect_numbers(page, DEMO, replace(START, source="photo", photo=(str(good),)), step=step)
    for name, content, words in (
        ("flat.png", None, "one brightness"),
        ("not.png", b"<svg onload=alert(1)>", "not.png"),
        ("empty.png", b"", "empty"),
    ):
        path = tmp_path / name
        if content is None:
            Image.fromarray(np.full((9, 9, 3), 40, np.uint8)).save(path)
        else:
            path.write_bytes(content)
        clear(page, "photo")
        expect(alert).to_contain_text("Upload a picture first", timeout=WAIT)
        upload(page, "photo", path)
        expect(alert).to_contain_text(words, timeout=WAIT)
        assert shown(page, SLUG)  # the last good picture
    clear(page, "photo")
    opened(page, "start")


def test_every_lens_and_album_is_drawn(page: Page) -> None:
    opened(page, "memoriser")
    memoriser = DEMO.presets["memoriser"]
    for album, key in (("noising", "guess"), ("digits", "nearest")):
        with recomputing(page, SLUG):
            control(page, "album").locator(f"input[value={album}]").check()
        expect(pane(page, key).locator("canvas")).to_be_visible()
        step = int(stage_of(page, SLUG).get_attribute("data-step") or 0)
        expect_numbers(page, DEMO, replace(memoriser, album=album), step=step)
    expect(control(page, "steps")).to_be_hidden()
    opened(page, "start")
    expect(control(page, "album")).to_be_hidden()
    expect(control(page, "steps")).to_be_visible()


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
    last = {n.key: n.value for n in run(START).numbers[-1]}
    for key, value in json.loads(printed.stdout).items():
        assert value == pytest.approx(last[key]), key
    saved = fresh_page(files["html"].as_uri())
    expect(saved.locator(".gb-stage")).to_have_attribute("data-ready", "1", timeout=WAIT)
    with Image.open(files["png"]) as image:
        assert image.size[0] >= 300


def test_the_endpoint_takes_a_picture(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (30, 40, 3)).astype(np.uint8)).save(path)
    answer = client.predict(source="photo", photo=handle_file(str(path)), api_name=f"/{SLUG}")
    assert answer == numbers_as_json(DEMO, Controls(source="photo", photo=(str(path),)))


@pytest.mark.parametrize(
    "values",
    [
        {"particles": 10**9},
        {"steps": -1},
        {"stochasticity": "<b>"},
        {"process": "../../etc/passwd"},
        {"source": "photo"},
        {"source": "modes", "modes": "m0.x_m1.x"},
        {"modes": "m0.9999999"},
        {"point": 10**6},
    ],
)
def test_hostile_values_are_refused_with_a_sentence(client: Client, values: dict) -> None:
    refuses(client, SLUG, {"source": "modes", **values})


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_the_trajectories_leave_as_a_film(page: Page, tmp_path: Path, kind: str) -> None:
    opened(page, "start")
    stage = stage_of(page, SLUG)
    step = stage.get_attribute("data-step")
    with page.expect_download(timeout=6 * WAIT) as download:
        stage.locator(f"[data-export={kind}]").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.suffix == f".{kind}"
    frames = iio.imread(path, plugin="pillow" if kind == "gif" else "pyav")[..., :3].astype(int)
    assert len(frames) == DEMO.presets["start"].steps + 1
    assert frames.shape[2] > 2 * frames.shape[1]  # three lanes side by side
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert (changes > 0.1).all()  # particles move between any two
    expect(stage).to_have_attribute("data-step", step or "")
