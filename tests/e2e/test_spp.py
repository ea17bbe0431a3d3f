"""Spatial pyramid pooling in a real browser: any size, one length, and every number linked with its bin and its cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from demos.kit.scene import Labels, Points
from demos.perception.spatial_pyramid_pooling import DEMO, Controls, run
from demos.perception.spatial_pyramid_pooling_figures import show
from tests.e2e.stage_page import WAIT, expect_numbers, open_preset, recomputing, shown, stage_of, wait_ready

SLUG = DEMO.slug


@pytest.fixture(scope="module", autouse=True)
def topic(module_page) -> None:
    page, _ = module_page
    page.locator("#gb-tabs button[role=tab]").filter(has_text=DEMO.text("en")("tab")).click()
    wait_ready(page, SLUG)


@pytest.fixture
def page(shared_page: Page) -> Page:
    shared_page.evaluate("document.querySelectorAll('dialog[open]').forEach(d => d.close())")
    shared_page.mouse.move(2, 2)
    return shared_page


def control(page: Page, name: str) -> Locator:
    return page.locator(f"#{SLUG}--{name}")


def choose(page: Page, name: str, value: str) -> None:
    control(page, name).locator(f"input[value={value}]").check()


def slide(page: Page, name: str, value: int) -> None:
    box = control(page, name).locator("input[type=number]")
    box.fill(str(value))
    box.press("Enter")


def holder(page: Page, pane: str) -> Locator:
    return stage_of(page, SLUG).locator(f"[data-pane={pane}] .gb-picture")


OPENING = show(run(Controls()), DEMO.text("en")).scene.step  # a change of controls leaves the step where it is


def start(page: Page) -> None:
    open_preset(page, SLUG, "start")
    expect_numbers(page, DEMO, Controls())


@pytest.mark.parametrize("name", DEMO.presets)
def test_every_preset_shows_its_numbers(page: Page, name: str) -> None:
    open_preset(page, SLUG, name)
    expect_numbers(page, DEMO, DEMO.presets[name])


def test_dragging_the_size_keeps_the_length(page: Page) -> None:
    start(page)
    for width, height in ((300, 224), (300, 128), (96, 400)):
        slide(page, "width", width)
        slide(page, "height", height)
        expect_numbers(page, DEMO, Controls(width=width, height=height), step=OPENING)
        assert shown(page, SLUG)[0] == "210"


def test_levels_are_typed(page: Page) -> None:
    start(page)
    box = control(page, "levels").locator("input, textarea")
    box.fill("6, 3, 2, 1")
    box.press("Enter")
    expect_numbers(page, DEMO, Controls(levels="6, 3, 2, 1"))
    box.fill("0")
    box.press("Enter")
    alert = stage_of(page, SLUG).locator(".gb-alert")
    expect(alert).to_contain_text("cannot be read", timeout=WAIT)
    assert shown(page, SLUG)[0] == "500"  # the last good picture stays
    box.fill("1, 2, 4")
    box.press("Enter")
    expect(alert).to_be_hidden(timeout=WAIT)
    expect_numbers(page, DEMO, Controls())


def test_a_map_that_is_too_small_is_said_and_nothing_is_lost(page: Page) -> None:
    start(page)
    slide(page, "width", 60)
    alert = stage_of(page, SLUG).locator(".gb-alert")
    expect(alert).to_contain_text("The map has only 13×3 cells", timeout=WAIT)
    assert shown(page, SLUG)[0] == "210"
    slide(page, "width", 224)
    expect(alert).to_be_hidden(timeout=WAIT)


def test_a_number_lights_its_bin_and_cell_and_the_other_way_round(page: Page) -> None:
    start(page)
    result = run(Controls())
    strip, picture = holder(page, "vector-a"), holder(page, "map-a")
    drawn = next(p for p in show(result, DEMO.text("en")).scene.panes if p.key == "vector-a").layers[0]
    assert isinstance(drawn, Labels)
    assert drawn.items is not None
    assert drawn.extent is not None
    rows, columns = drawn.codes.shape
    row, column = 3, columns - 1  # another channel than the one shown, last bin of the last level
    cell = result.pyramid.cell(int(drawn.items[drawn.codes[row, column]]))
    assert (cell.channel, cell.level, cell.bin) == (3, 2, 15)
    box, pane = strip.bounding_box(), next(p for p in show(result, DEMO.text("en")).scene.panes if p.key == "vector-a")
    assert box
    x0, y0, x1, y1 = drawn.extent
    page.mouse.move(
        box["x"] + box["width"] * (x0 + (x1 - x0) * (column + 0.5) / columns) / pane.width,
        box["y"] + box["height"] * (y0 + (y1 - y0) * (row + 0.5) / rows) / pane.height,
    )
    expect(picture).to_have_attribute("data-linked", "level-2:15 argmax-others:" + str(_other(result, cell.index)))
    said = stage_of(page, SLUG).locator("[data-pane=vector-a] .gb-tip")
    expect(said).to_contain_text(f"[{cell.index}] 4×4 · 4, 4 · edge 45°")
    box = picture.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.12)  # the first bin of the finest level
    index = result.pyramid.index(level=2, channel=0, bin=0)
    expect(picture).to_have_attribute("data-linked", "level-2:0 argmax:" + str(5))
    codes = drawn.items.tolist()
    expect(strip).to_have_attribute("data-linked", f"vector:{codes.index(index)}")
    page.mouse.move(2, 2)


def _other(result, index: int) -> int:
    points = next(
        found
        for p in show(result, DEMO.text("en")).scene.panes
        if p.key == "map-a"
        for found in p.layers
        if found.key == "argmax-others"
    )
    assert isinstance(points, Points)
    assert points.items is not None
    return points.items.tolist().index(index)


def test_stepping_asks_nobody_and_lights_bin_by_bin(page: Page, watch) -> None:
    open_preset(page, SLUG, "sppnet")
    c = DEMO.presets["sppnet"]
    expect_numbers(page, DEMO, c)
    stage, requests = stage_of(page, SLUG), watch.requests
    stage.locator(".gb-scrubber input").focus()
    page.keyboard.press("Home")
    expect(holder(page, "map-a")).to_have_attribute("data-linked", "level-0:0 argmax:0")
    for _ in range(36):
        page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "36")
    expect_numbers(page, DEMO, c, step=36)
    lit = holder(page, "map-a").get_attribute("data-linked") or ""
    assert lit.split()[0] == "level-1:0"
    assert sum(part.startswith("parts-1:") for part in lit.split()) == 4  # the finer bins it is made of
    page.keyboard.press("End")
    expect_numbers(page, DEMO, c, step=49)
    assert watch.requests == requests


def test_the_keyboard_points_at_bins_and_goes_to_their_step(page: Page) -> None:
    start(page)
    stage = stage_of(page, SLUG)
    holder(page, "map-a").focus()
    page.keyboard.press("ArrowUp")  # appears in the middle
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    expect(holder(page, "map-a")).to_have_attribute("data-linked", "level-2:2 argmax:7")
    page.keyboard.press("Enter")
    expect(stage.locator(".gb-step")).to_contain_text("4×4 · 3")
    page.keyboard.press("Escape")


def test_two_rules_stand_side_by_side_and_the_wrong_one_is_flagged(page: Page) -> None:
    open_preset(page, SLUG, "wrong")
    expect_numbers(page, DEMO, DEMO.presets["wrong"])
    stage = stage_of(page, SLUG)
    left, right = holder(page, "map-a").bounding_box(), holder(page, "map-b").bounding_box()
    assert left
    assert right
    assert right["x"] > left["x"] + left["width"] - 1
    assert abs(right["y"] - left["y"]) < 2
    expect(stage.locator("[data-pane=map-b] figcaption")).to_contain_text("95 bins, not 50")
    expect(stage.locator("[data-pane=theorem]")).to_contain_text("gives 9 windows, not 6")
    choose(page, "beside", "caffe")
    expect(stage.locator("[data-pane=map-b] figcaption")).to_contain_text("50 bins ✓", timeout=WAIT)


def test_a_box_is_drawn_and_projected(page: Page) -> None:
    open_preset(page, SLUG, "box")
    expect_numbers(page, DEMO, DEMO.presets["box"])
    stage = stage_of(page, SLUG)
    box = stage.locator(".gb-strokes").bounding_box()
    assert box
    with recomputing(page, SLUG):
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.1)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.8, steps=4)
        page.mouse.up()
    drawn = ",".join(f"{v:g}" for v in stage.evaluate("s => Array.from(s.gb.data.scene.tools.box_xyxy)"))
    c, step = replace(DEMO.presets["box"], box=drawn), int(stage.get_attribute("data-step") or "")
    expect_numbers(page, DEMO, c, step=step)
    choose(page, "projection", "code")
    expect_numbers(page, DEMO, replace(c, projection="code"), step=step)


def test_the_badge_of_yolos_block_is_about_the_visitors_own_photo(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "mine.jpg"
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (300, 400, 3), np.uint8)).save(photo)
    open_preset(page, SLUG, "block")
    expect_numbers(page, DEMO, DEMO.presets["block"])
    stage = stage_of(page, SLUG)
    choose(page, "source", "photo")
    expect(stage.locator(".gb-alert")).to_contain_text("Upload a photo first", timeout=WAIT)
    expect(control(page, "photo")).to_be_visible()
    control(page, "photo").locator("input[type=file]").set_input_files(str(photo))
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    expect_numbers(page, DEMO, replace(DEMO.presets["block"], source="photo", photo=(str(photo),)))
    expect(stage.locator(".gb-notice").filter(has_text="Bit-identical")).to_be_visible()


def test_arrays_that_are_not_finite_are_refused_and_others_are_pooled(page: Page, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    np.save(good, np.random.default_rng(0).normal(size=(3, 9, 11)))
    np.save(bad, np.full((3, 9, 11), np.nan))
    start(page)
    stage = stage_of(page, SLUG)
    choose(page, "source", "array")
    expect(stage.locator(".gb-alert")).to_contain_text("Upload a feature map first", timeout=WAIT)
    control(page, "feature_file").locator("input[type=file]").set_input_files(str(bad))
    expect(stage.locator(".gb-alert")).to_contain_text("297 values of 297 that are NaN", timeout=WAIT)
    control(page, "feature_file").get_by_label("Clear").first.click()
    control(page, "feature_file").locator("input[type=file]").set_input_files(str(good))
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    expect_numbers(page, DEMO, Controls(source="array", feature_file=(str(good),)), step=OPENING)
    expect(control(page, "width")).to_be_hidden()
    start(page)
    expect(control(page, "width")).to_be_visible()


@pytest.mark.parametrize("path", ["", "zh"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessibility(fresh_page, axe, path: str, dark: bool) -> None:
    page = fresh_page(f"{path}?tab={SLUG}&preset=wrong&__theme={'dark' if dark else 'light'}", dark=dark)
    wait_ready(page, SLUG)
    assert not axe(page)
    open_preset(page, SLUG, "block")
    expect_numbers(page, DEMO, DEMO.presets["block"])
    assert not axe(page)
