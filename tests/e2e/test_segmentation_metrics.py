"""The first room in a real browser, with real files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from core.perception.example_masks import worked_example
from demos.kit.drawings import write_painting
from demos.kit.numbers import format_value
from demos.perception.segmentation_metrics import DEMO, Controls
from tests.e2e.stage_page import WAIT, expect_numbers, open_preset, recomputing, shown, stage_of, wait_ready

SLUG = DEMO.slug
ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(shared_page: Page) -> Page:
    wait_ready(shared_page, SLUG)
    shared_page.evaluate("document.querySelectorAll('dialog[open]').forEach(d => d.close())")  # left by a failed test
    return shared_page


def control(page: Page, name: str):
    return page.locator(f"#{SLUG}--{name}")


def choose(page: Page, name: str, value: str) -> None:
    control(page, name).locator(f"input[value={value}]").check()


def test_opening_view_is_finished_and_right(page: Page) -> None:
    expect_numbers(page, DEMO, Controls())


@pytest.mark.parametrize("name", DEMO.presets)
def test_every_preset_shows_its_numbers(page: Page, name: str) -> None:
    open_preset(page, SLUG, name)
    expect_numbers(page, DEMO, DEMO.presets[name])


def test_a_confusion_cell_lights_exactly_its_pixels(page: Page) -> None:
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())
    confusion = DEMO.run(Controls()).steps[0].confusion
    stage = stage_of(page, SLUG)
    for row, column in ((4, 0), (2, 1), (3, 3)):
        cell = stage.locator(f'[data-cell="{row},{column}"]')
        cell.click()
        expect(stage.locator(".gb-picture")).to_have_attribute("data-lit", str(confusion[row, column]))
        assert format_value(int(confusion[row, column])) in stage.locator(".gb-picked").inner_text()
        cell.click()
        expect(stage.locator(".gb-picture")).to_have_attribute("data-lit", "0")


def test_four_switches_move_the_mean_iou_while_no_pixel_changes(page: Page) -> None:
    open_preset(page, SLUG, "libraries")
    mean = stage_of(page, SLUG).locator(".gb-numbers .gb-value").first
    expect(mean).to_have_text("0.5000", timeout=WAIT)
    for name, value, reads in (
        ("absent", "zero", "0.4000"),
        ("absent", "one", "0.6000"),
        ("absent", "exclude", "0.5000"),
        ("predicted_only", "exclude", "0.6667"),
        ("predicted_only", "zero", "0.5000"),
    ):
        choose(page, name, value)
        expect(mean).to_have_text(reads, timeout=WAIT)
    table = stage_of(page, SLUG).locator("[data-pane=libraries] [data-number=mean_iou]").all_inner_texts()
    assert {"0.5000", "0.4000", "0.6000", "0.6667", "0.5385"} == set(table)


def test_hover_tells_the_classes_of_a_pixel(page: Page) -> None:
    open_preset(page, SLUG, "libraries")
    expect(stage_of(page, SLUG).locator("[data-preset=libraries]")).to_have_attribute("aria-pressed", "true")
    box = stage_of(page, SLUG).locator(".gb-picture").bounding_box()
    assert box
    page.mouse.move(
        box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.5
    )  # column 3, row 1: target 1, predicted 0
    expect(stage_of(page, SLUG).locator(".gb-tip")).to_contain_text("class 1")
    expect(stage_of(page, SLUG).locator(".gb-tip")).to_contain_text("class 0")


def test_a_slider_recomputes(page: Page) -> None:
    open_preset(page, SLUG, "start")
    box = control(page, "grow").locator("input[type=number]")
    box.fill("-6")
    box.press("Enter")
    expect_numbers(page, DEMO, Controls(grow=-6))


def test_stepping_a_clip_asks_nobody_and_shows_each_frame(page: Page, watch) -> None:
    open_preset(page, SLUG, "clip")
    expect_numbers(page, DEMO, DEMO.presets["clip"])
    stage = stage_of(page, SLUG)
    requests = watch.requests
    stage.locator(".gb-scrubber input").focus()
    page.keyboard.press("Home")
    for _ in range(17):
        page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "17")
    expect_numbers(page, DEMO, DEMO.presets["clip"], step=17)
    page.keyboard.press("End")
    expect(stage).to_have_attribute("data-step", "47")
    page.keyboard.press("Home")
    expect(stage).to_have_attribute("data-step", "0")
    assert watch.requests == requests, "stepping asked the server"


def test_painting_is_exact_to_the_pixel(page: Page) -> None:
    open_preset(page, SLUG, "background")
    expect_numbers(page, DEMO, DEMO.presets["background"])
    with recomputing(page, SLUG):
        choose(page, "predictor", "paint")
    stage = stage_of(page, SLUG)
    sheet = stage.locator(".gb-strokes")
    box = sheet.bounding_box()
    assert box
    with recomputing(page, SLUG):
        page.mouse.move(box["x"] + box["width"] * 0.503, box["y"] + box["height"] * 0.35)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.503, box["y"] + box["height"] * 0.9, steps=6)
        page.mouse.up()
    with recomputing(page, SLUG):  # and from the keyboard
        sheet.focus()
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press(" ")
    labels = np.array(stage.evaluate("s => Array.from(s.gb.painter.labels)"), np.uint8).reshape(427, 640)
    assert (labels == 1).sum() > 1000
    painted = replace(DEMO.presets["background"], predictor="paint", painted=write_painting(labels))
    expect_numbers(page, DEMO, painted)
    with recomputing(page, SLUG):
        stage.locator(".gb-undo").click()
    with recomputing(page, SLUG):
        stage.locator(".gb-undo").click()
    expect_numbers(page, DEMO, replace(painted, painted=""))


def test_quick_strokes_all_arrive_though_the_server_is_slow(page: Page) -> None:
    open_preset(page, SLUG, "background")
    expect_numbers(page, DEMO, DEMO.presets["background"])
    with recomputing(page, SLUG):
        choose(page, "predictor", "paint")

    page.evaluate("""() => {
        window.quick = window.fetch;
        window.fetch = async (...request) => {
            if (String(request[0].url || request[0]).includes('queue/join')) await new Promise(r => setTimeout(r, 400));
            return window.quick(...request);
        };
    }""")
    stage = stage_of(page, SLUG)
    box = stage.locator(".gb-strokes").bounding_box()
    assert box
    for row in range(6):
        y = box["y"] + box["height"] * (0.1 + 0.14 * row)
        page.mouse.move(box["x"] + box["width"] * 0.2, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.4, y, steps=4)
        page.mouse.up()
    page.evaluate("() => { window.fetch = window.quick; }")
    labels = np.array(stage.evaluate("s => Array.from(s.gb.painter.labels)"), np.uint8).reshape(427, 640)
    rows = [labels[int(427 * (0.1 + 0.14 * row))].sum() for row in range(6)]
    assert min(rows) > 0.15 * 640, rows
    expect_numbers(page, DEMO, replace(DEMO.presets["background"], predictor="paint", painted=write_painting(labels)))
    kept = np.array(stage.evaluate("s => Array.from(s.gb.painter.labels)"), np.uint8).reshape(427, 640)
    assert (kept == labels).all()


def test_a_box_can_be_drawn_from_the_keyboard(page: Page) -> None:
    open_preset(page, SLUG, "grabcut")
    expect_numbers(page, DEMO, DEMO.presets["grabcut"])
    stage = stage_of(page, SLUG)
    stage.locator(".gb-strokes").focus()
    for key in ("Shift+ArrowLeft",) * 25 + ("Shift+ArrowUp",) * 18 + ("Enter",):
        page.keyboard.press(key)
    for key in ("Shift+ArrowRight",) * 40 + ("Shift+ArrowDown",) * 30:
        page.keyboard.press(key)
    with recomputing(page, SLUG):
        page.keyboard.press("Enter")
    assert stage.evaluate("s => Array.from(s.gb.data.scene.tools.box_xyxy)") == [50, 20, 451, 321]
    expect_numbers(page, DEMO, replace(DEMO.presets["grabcut"], box="50,20,451,321"))
    assert page.evaluate("document.activeElement.classList.contains('gb-strokes')")  # and the focus is still there


def test_grabcut_takes_the_box_that_is_drawn(page: Page) -> None:
    open_preset(page, SLUG, "grabcut")
    expect_numbers(page, DEMO, DEMO.presets["grabcut"])
    stage = stage_of(page, SLUG)
    box = stage.locator(".gb-strokes").bounding_box()
    assert box
    with recomputing(page, SLUG):
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.8, steps=4)
        page.mouse.up()
    drawn = stage.evaluate("s => Array.from(s.gb.data.scene.tools.box_xyxy)")
    assert len(drawn) == 4
    assert drawn[2] > drawn[0]
    expect_numbers(page, DEMO, replace(DEMO.presets["grabcut"], box=",".join(f"{v:g}" for v in drawn)))


def _write_masks(folder: Path) -> tuple[Path, Path]:
    pair = worked_example()
    truth, prediction = folder / "truth.png", folder / "prediction.png"
    Image.fromarray(pair.targets[0]).save(truth)
    Image.fromarray(pair.predictions[0]).save(prediction)
    return truth, prediction


def upload(page: Page, name: str, *paths: Path) -> None:
    control(page, name).locator("input[type=file]").set_input_files([str(path) for path in paths])


def clear(page: Page, name: str) -> None:
    button = control(page, name).get_by_label("Clear")
    if button.count():
        button.first.click()


def test_uploaded_masks_give_the_known_answers_and_a_jpeg_is_refused(page: Page, tmp_path: Path) -> None:
    truth, prediction = _write_masks(tmp_path)
    open_preset(page, SLUG, "libraries")
    choose(page, "source", "files")
    stage = stage_of(page, SLUG)
    expect(stage.locator(".gb-alert")).to_be_visible(
        timeout=WAIT
    )  # nothing uploaded yet: one sentence, and the picture stays
    assert shown(page, SLUG)
    expect(control(page, "truth_files")).to_be_visible()  # and the box for what is missing is there
    upload(page, "truth_files", truth)
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    upload(page, "prediction_files", prediction)
    mine = Controls(
        source="files", predictor="given", extra="none", truth_files=(str(truth),), prediction_files=(str(prediction),)
    )
    expect_numbers(page, DEMO, mine)
    assert shown(page, SLUG)[0] == "0.5000"
    smeared = tmp_path / "mask.jpg"
    Image.fromarray(np.kron(worked_example().predictions[0] * 50, np.ones((20, 20), np.uint8))).save(smeared)
    clear(page, "prediction_files")
    upload(page, "prediction_files", smeared)
    expect(stage.locator(".gb-alert")).to_contain_text("JPEG", timeout=WAIT)
    assert shown(page, SLUG)  # the last good picture
    clear(page, "prediction_files")
    clear(page, "truth_files")
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())


def test_a_photo_is_segmented_against_a_painted_truth(page: Page, tmp_path: Path) -> None:
    photo = np.full((120, 160, 3), 40, np.uint8)
    photo[30:90, 50:110] = (220, 60, 50)
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    open_preset(page, SLUG, "libraries")
    choose(page, "source", "files")
    expect(stage_of(page, SLUG).locator(".gb-alert")).to_be_visible(timeout=WAIT)
    with recomputing(page, SLUG):
        upload(page, "photo", path)
    expect(stage_of(page, SLUG).locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    with recomputing(page, SLUG):
        choose(page, "painter", "truth")
    stage = stage_of(page, SLUG)
    stage.locator("[data-tool=fillbox]").click()
    sheet = stage.locator(".gb-strokes")
    sheet.scroll_into_view_if_needed()
    box = sheet.bounding_box()
    assert box
    with recomputing(page, SLUG):
        page.mouse.move(box["x"] + box["width"] * (50.5 / 160), box["y"] + box["height"] * (30.5 / 120))
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * (109.5 / 160), box["y"] + box["height"] * (89.5 / 120), steps=3)
        page.mouse.up()
    labels = np.array(stage.evaluate("s => Array.from(s.gb.painter.labels)"), np.uint8).reshape(120, 160)
    assert (labels[30:90, 50:110] == 1).all()
    assert labels.sum() == 3600
    with recomputing(page, SLUG):
        choose(page, "predictor", "kmeans")
    mine = Controls(
        source="files",
        predictor="kmeans",
        extra="none",
        photo=(str(path),),
        painter="truth",
        truth_painted=write_painting(labels),
    )
    expect_numbers(page, DEMO, mine)
    assert shown(page, SLUG)[0] == "1.0000"  # two flat colours: k-means finds the square exactly
    clear(page, "photo")
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())


def test_a_number_opens_its_receipt(page: Page) -> None:
    open_preset(page, SLUG, "start")
    stage = stage_of(page, SLUG)
    for key, reference in (("mean_iou", "torchmetrics"), ("pixel_accuracy", "scikit-learn"), ("hausdorff", "scipy")):
        stage.locator(f".gb-number:has([data-number={key}])").click()
        dialog = stage.locator("dialog")
        expect(dialog).to_be_visible()
        for part in ("core.perception.", "tests/core/perception/", reference):
            expect(dialog).to_contain_text(part)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()


def test_predict_first_reveals_what_was_computed(page: Page) -> None:
    open_preset(page, SLUG, "start")
    stage = stage_of(page, SLUG)
    stage.locator(".gb-guess summary").click()
    stage.locator("[data-guess='2']").click()
    truth = {n.key: n for n in DEMO.numbers(DEMO.run(DEMO.presets["background"]))[0]}
    expect(stage.locator(".gb-answer")).to_contain_text(format_value(truth["pixel_accuracy"].value))
    expect(stage.locator("[data-guess='0']")).to_have_class("gb-right")
    stage.locator(".gb-answer button").click()
    expect_numbers(page, DEMO, DEMO.presets["background"])
    expect(stage.locator(".gb-guess")).to_have_count(0)  # the answer stands beside it


def test_charts_are_drawn_when_their_section_is_opened(page: Page) -> None:
    open_preset(page, SLUG, "start")
    for name in DEMO.charts:
        page.locator(f"#{SLUG}--section-{name} > button").click()
        expect(page.locator(f"#{SLUG}--chart-{name} .main-svg").first).to_be_visible(timeout=WAIT)
    page.locator(f"#{SLUG}--background_share input[type=number]").fill("0.9")
    page.locator(f"#{SLUG}--background_share input[type=number]").press("Enter")
    cell = stage_of(page, SLUG).locator("[data-pane=classes] [data-number=frequency_weighted_iou]").first
    expect(cell).to_have_text("0.8100", timeout=WAIT)
    for name in DEMO.charts:
        page.locator(f"#{SLUG}--section-{name} > button").click()


def save(page: Page, kind: str, folder: Path) -> Path:
    with page.expect_download() as download:
        stage_of(page, SLUG).locator(f"[data-export={kind}]").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_everything_leaves(page: Page, tmp_path: Path, fresh_page) -> None:
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())
    numbers = DEMO.numbers(DEMO.run(Controls()))[0]
    lines = save(page, "csv", tmp_path).read_text(encoding="utf-8-sig").splitlines()
    assert [float(line.split(",")[4]) for line in lines[1 : 1 + len(numbers)]] == [n.value for n in numbers]
    trace = json.loads(save(page, "json", tmp_path).read_text(encoding="utf-8"))
    assert [n["raw"] for n in trace["numbers"][0]] == [n.value for n in numbers]
    with Image.open(save(page, "png", tmp_path)) as image:
        assert image.size == (600, 400)
        assert len(image.getcolors(maxcolors=10_000_000) or ()) > 1000  # the photo is in it
    assert "<image" in save(page, "svg", tmp_path).read_text(encoding="utf-8")
    code = save(page, "python", tmp_path)
    printed = subprocess.run(
        [sys.executable, str(code)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(printed.stdout) == {n.key: n.value for n in numbers}
    saved = fresh_page(save(page, "html", tmp_path).as_uri())
    expect(saved.locator(".gb-stage")).to_have_attribute("data-ready", "1", timeout=WAIT)
    assert saved.locator(".gb-numbers .gb-value").all_inner_texts() == shown(page, SLUG)
    saved.locator('[data-cell="4,0"]').click()
    expect(saved.locator(".gb-picture")).to_have_attribute(
        "data-lit", str(DEMO.run(Controls()).steps[0].confusion[4, 0])
    )
