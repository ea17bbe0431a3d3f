"""The house in a real browser: addresses, languages, keyboard, small screens, accessibility, the endpoint."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import Page, expect

from core.perception.example_masks import worked_example
from demos import GROUPS
from demos.contract import numbers_as_json
from demos.perception.segmentation_metrics import DEMO, Controls
from tests.e2e.stage_page import WAIT, expect_numbers, open_preset, recomputing, stage_of, wait_ready

DEMOS = [demo for group in GROUPS.values() for demo in group]
SLUG = DEMO.slug

# Writes down in window.freed how many ms pass from the click on Stop until the stage waits no more.
FREED = """stage => {
  const root = document.querySelector(stage)
  root.querySelector('.gb-stop').addEventListener('click', () => {
    const start = performance.now()
    const look = () => { if (!root.hasAttribute('aria-busy')) window.freed ??= performance.now() - start }
    new MutationObserver(look).observe(root, {attributes: true})
  })
}"""


def test_an_address_restores_its_view_and_the_language_switch_keeps_it(fresh_page) -> None:
    page = fresh_page(f"?tab={SLUG}&preset=clip&lag=5&step=9")
    mine = replace(DEMO.presets["clip"], lag=5)
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, mine, step=9)
    expect(stage_of(page, SLUG)).to_have_attribute("data-step", "9")
    said = parse_qs(urlparse(page.url).query)
    assert (said["tab"], said["preset"], said["lag"], said["step"]) == ([SLUG], ["clip"], ["5"], ["9"])
    page.locator("[data-language=zh]").click()
    page.wait_for_url("**/zh?**")
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, mine, step=9)
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(page.get_by_text("滞后帧数")).to_be_visible()
    page.locator("[data-language=en]").click()
    page.wait_for_url(lambda url: "/zh" not in url)
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, mine, step=9)


@pytest.mark.parametrize(
    "query",
    ["?tab=nowhere&preset=<script>&grow=1e9", f"?tab={SLUG}&grow=NaN&source=../../etc&step=-4", "?" + "x=1&" * 900],
)
def test_a_broken_address_opens_a_sane_view(fresh_page, query: str) -> None:
    page = fresh_page(query)
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, Controls())


def test_a_link_to_somebodys_upload_opens_its_preset_and_says_why(fresh_page) -> None:
    page = fresh_page(f"zh?tab={SLUG}&preset=libraries&source=files")
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, DEMO.presets["libraries"])
    expect(stage_of(page, SLUG).locator(".gb-alert")).to_contain_text("请上传")


@pytest.fixture(scope="module")
def many_masks(tmp_path_factory) -> list[Path]:
    """Large enough that they take seconds, one frame like the next."""
    folder = tmp_path_factory.mktemp("masks")
    blocks = np.kron(np.random.default_rng(0).integers(0, 19, (27, 48), dtype=np.uint8), np.ones((40, 40), np.uint8))
    paths = [folder / f"{frame:02}.png" for frame in range(50)]
    for frame, path in enumerate(paths):
        Image.fromarray(np.roll(blocks, frame, axis=1)).save(path)
    return paths


def test_long_work_says_how_far_it_is_and_stops_at_once(fresh_page, many_masks: list[Path]) -> None:
    page = fresh_page(f"?tab={SLUG}")
    wait_ready(page, SLUG)
    expect_numbers(page, DEMO, Controls())
    stage = stage_of(page, SLUG)
    page.locator(f"#{SLUG}--source input[value=files]").check()
    expect(stage.locator(".gb-alert")).to_be_visible(timeout=WAIT)  # nothing is uploaded yet
    page.locator(f"#{SLUG}--truth_files input[type=file]").set_input_files(many_masks)
    expect(stage.locator(".gb-progress")).to_contain_text(re.compile(r"\d+ / 50"), timeout=WAIT)
    expect(stage.get_by_role("progressbar")).to_have_attribute("max", "50")
    page.evaluate(FREED, f"#{SLUG}--stage .gb-stage")
    stage.locator(".gb-stop").click()
    expect(stage.locator(".gb-alert")).to_contain_text("Stopped", timeout=WAIT)
    expect(stage).not_to_have_attribute("aria-busy", "true")
    expect(stage.locator(".gb-progress")).to_have_count(0)
    freed = page.evaluate("window.freed")  # ms; the budget of 500 is measured by the bench, on a quiet machine
    assert freed < 3000, "the work itself would have taken longer"
    expect_numbers(page, DEMO, Controls())  # the last picture stayed
    page.locator(f"#{SLUG}--source input[value=coffee]").check()
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)


def test_a_new_question_ends_a_long_one_without_a_word(fresh_page, many_masks: list[Path]) -> None:
    page = fresh_page(f"?tab={SLUG}")
    wait_ready(page, SLUG)
    stage = stage_of(page, SLUG)
    page.locator(f"#{SLUG}--source input[value=files]").check()
    expect(stage.locator(".gb-alert")).to_be_visible(timeout=WAIT)
    page.locator(f"#{SLUG}--truth_files input[type=file]").set_input_files(many_masks)
    expect(stage.locator(".gb-progress")).to_be_visible(timeout=WAIT)
    page.wait_for_timeout(1000)
    page.locator(f"#{SLUG}--source input[value=ellipse]").check()
    expect_numbers(page, DEMO, Controls(source="ellipse"))
    expect(stage.locator(".gb-alert")).to_be_hidden()
    expect(stage).not_to_have_attribute("aria-busy", "true")


def test_a_locked_link_hides_controls(fresh_page) -> None:
    page = fresh_page(f"?tab={SLUG}&preset=start&lock=1")
    wait_ready(page, SLUG)
    expect(page.locator(f"#{SLUG}--source")).to_be_hidden()
    page = fresh_page(f"?tab={SLUG}&preset=start&lock=source,grow,stage")
    wait_ready(page, SLUG)
    expect(page.locator(f"#{SLUG}--source")).to_be_hidden()
    expect(page.locator(f"#{SLUG}--predictor")).to_be_visible()
    with recomputing(page, SLUG):
        stage_of(page, SLUG).locator("[data-preset=libraries]").click()
    assert "lock=source" in page.url


def test_keyboard_alone(fresh_page) -> None:
    """From the top of the page to a preset, a cell of the matrix, a receipt and a clip's step, without a mouse."""
    page = fresh_page()
    wait_ready(page, SLUG)
    stage = stage_of(page, SLUG)

    def tab_to(selector: str, limit: int = 120) -> None:
        for _ in range(limit):
            page.keyboard.press("Tab")
            if page.evaluate("s => !!document.activeElement && document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"Tab never reached {selector}")

    tab_to("[data-preset=start]")
    page.keyboard.press("6")
    expect(stage.locator("[data-preset=clip]")).to_have_attribute("aria-pressed", "true", timeout=WAIT)
    tab_to(".gb-scrubber input")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(stage).to_have_attribute("data-step", "1")
    tab_to(".gb-number")
    page.keyboard.press("Enter")
    expect(stage.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(stage.locator("dialog")).to_be_hidden()
    tab_to("[data-cell]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(stage.locator('[data-cell="2,0"]')).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("path", ["", "zh"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessibility(fresh_page, axe, path: str, dark: bool) -> None:
    page = fresh_page(f"{path}?__theme={'dark' if dark else 'light'}", dark=dark)
    wait_ready(page, SLUG)
    for name in ("clip", "start"):
        open_preset(page, SLUG, name)
        expect_numbers(page, DEMO, DEMO.presets[name])
        page.locator(f"#{SLUG}--stage .gb-toggle-numbers").click()
        assert not axe(page)


@pytest.mark.parametrize("path", ["", "zh"])
def test_a_phone_needs_no_sideways_scrolling(fresh_page, path: str) -> None:
    page = fresh_page(path, viewport={"width": 360, "height": 740}, touch=True)
    wait_ready(page, SLUG)
    for name in DEMO.presets:
        open_preset(page, SLUG, name)
        expect_numbers(page, DEMO, DEMO.presets[name])
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name
    picture = page.locator(".gb-picture").bounding_box()
    numbers = page.locator(".gb-numbers").bounding_box()
    controls = page.locator(f"#{SLUG}--source").bounding_box()
    assert picture
    assert numbers
    assert controls
    assert picture["y"] < numbers["y"] < controls["y"]  # picture, numbers, controls


def test_reduced_motion_and_large_text(fresh_page) -> None:
    page = fresh_page()
    wait_ready(page, SLUG)
    before = page.locator(".gb-value").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    page.locator("[data-big]").click()
    assert page.locator(".gb-value").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") > 1.2 * before


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False, analytics_enabled=False)


@pytest.mark.parametrize("name", DEMO.presets)
def test_the_endpoint_returns_what_run_returns(client: Client, name: str) -> None:
    preset = DEMO.presets[name]
    values = {
        f: getattr(preset, f)
        for f in preset.__dataclass_fields__
        if f not in ("truth_files", "prediction_files", "photo", "palette")
    }
    assert client.predict(**values, api_name=f"/{SLUG}") == numbers_as_json(DEMO, preset)


def test_the_endpoint_takes_files(client: Client, tmp_path: Path) -> None:
    pair = worked_example()
    paths = [tmp_path / "t.png", tmp_path / "p.npy"]
    Image.fromarray(pair.targets[0]).save(paths[0])
    np.save(paths[1], pair.predictions[0])
    answer = client.predict(
        source="files", predictor="given", extra="none",
        truth_files=[handle_file(str(paths[0]))], prediction_files=[handle_file(str(paths[1]))], api_name=f"/{SLUG}",
    )  # fmt: skip
    assert answer["numbers"]["mean_iou"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "values",
    [
        {"grow": 1e9},
        {"grow": "<b>"},
        {"source": "../../etc/passwd"},
        {"painted": "600x400:" + "A" * 50, "predictor": "paint"},
        {"box": "1,2,3", "predictor": "grabcut"},
        {"class_id": -5},
        {"salt": True},
    ],
)
def test_hostile_values_are_refused_with_a_sentence(client: Client, values: dict) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - gradio_client raises several kinds
        client.predict(**values, api_name=f"/{SLUG}")
    assert "Traceback" not in str(caught.value)
    assert str(Path.cwd()) not in str(caught.value)


def test_server_files_are_out_of_reach(client: Client) -> None:
    for path in ("/etc/passwd", str(Path("app.py").resolve())):
        with pytest.raises(Exception):  # noqa: B017, PT011
            client.predict(
                source="files", truth_files=[{"path": path, "meta": {"_type": "gradio.FileData"}}], api_name=f"/{SLUG}"
            )


def test_all_demos_are_tabs(fresh_page) -> None:
    page: Page = fresh_page()
    wait_ready(page, SLUG)
    known = page.evaluate(
        "window.gradio_config.components.map(c => c.props.elem_id)"
    )  # a tab's inside waits to be opened
    for demo in DEMOS:
        assert known.count(f"tab-{demo.slug}") == 1
        page.goto(page.url.partition("?")[0] + f"?tab={demo.slug}")
        wait_ready(page, demo.slug)
