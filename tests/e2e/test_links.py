"""Linked highlighting on a scene of its own, opened from disk: pointer, keyboard and steps light the same items everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core.perception.segmentation_metrics import segmentation_scores
from demos.kit import stage
from demos.kit.numbers import Number
from demos.kit.scene import (
    Axes,
    Bars,
    Boxes,
    Labels,
    Matrix,
    Pane,
    Paths,
    Points,
    Ribbons,
    Scene,
    Table,
    View,
    solid,
)
from demos.kit.text import Text

IDS = np.array([10, 11, 12])  # one item a column of the picture, and one a step
BOXES = np.array([[0, 0, 2, 6], [2, 0, 4, 6], [4, 0, 6, 6], [0, 0, 6, 6]])
CODES = np.array([[0, 1, 2], [0, 1, 2]], np.uint8)
GREYS = solid(np.array([[60] * 3, [120] * 3, [180] * 3], np.uint8))


def scene(pointed: tuple[str, ...] = ("part",)) -> Scene:
    """Three columns as boxes, dots, pixels, cells, rows, bars, lines and bands; a box around all is the fourth item."""
    picture = Pane(
        "picture",
        "Picture",
        (
            Labels("ground", "", np.zeros((6, 6), np.uint8), (View("v", "V", GREYS),), opacity=1.0),
            Boxes(
                "boxes",
                "",
                BOXES,
                items=np.array([10, 11, 12, 13]),
                hints=("left", "middle", "right", "all"),
                link="part",
            ),
            Points("dots", "", np.array([[1.0, 1], [3, 1], [5, 1]]), items=IDS, link="part"),
            Points("quiet", "", np.array([[1.0, 5], [3, 5], [5, 5]]), quiet=True, items=IDS, link="part"),
        ),
        6,
        6,
        pixel=40,
        row="both",
    )
    strip = Pane(
        "strip",
        "Strip",
        (
            Labels(
                "strip",
                "",
                CODES,
                (View("v", "V", GREYS),),
                opacity=1.0,
                items=IDS,
                also={"mark": IDS + 10},
                link="part",
            ),
            Boxes("marks", "", BOXES[:3] / 2, quiet=True, items=IDS + 10, link="mark"),
        ),
        3,
        2,
        row="both",
    )
    chart = Pane(
        "chart",
        "Chart",
        (
            Paths(
                "paths",
                "",
                np.array([[[0, k], [5, k]] for k in (1.0, 2, 3)]),
                colors=("truth",),
                items=IDS,
                link="part",
            ),
            Ribbons(
                "bands", "", np.array([[0, k, 5, k + 1] for k in (4.0, 5, 6)]), np.full(3, 2.0), items=IDS, link="part"
            ),
        ),
        axes=Axes((0, 5), (0, 8)),
    )
    number = Number("mean_iou", 0.5, segmentation_scores)
    lists = Pane(
        "lists",
        "",
        (
            Matrix("matrix", "M", np.zeros((1, 3), np.uint8), (("a", "b", "c"),), ("r",), ("x", "y", "z"), codes=IDS[None], link="part"),
            Table("table", "T", ("k", "v"), (("a", number), ("b", number), ("c", "word")), items=IDS, link="part"),
            Bars("bars", "B", np.array([0.2, 0.4, 0.6]), ("a", "b", "c"), colors=("truth",), items=IDS, link="part"),
        ),
        place="side",
    )  # fmt: skip
    return Scene(
        (picture, strip, chart, lists),
        steps=3,
        pointed=(*pointed, "mark") if pointed else (),
        followed={"part": IDS, "mark": np.full(3, -1)},
    )


def opened(browser: Browser, folder: Path, shown: Scene) -> Page:
    payload = stage.Payload("segmentation-metrics", "en", "Links", shown, ((),))
    file = folder / "links.html"
    value = stage.encode(payload, Text("en", "segmentation-metrics"))
    file.write_text(stage.static_page(value, title="Links", language="en"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(file.as_uri())
    page.wait_for_selector(".gb-stage[data-ready]")
    return page


@pytest.fixture(scope="module")
def linked(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = opened(browser, tmp_path_factory.mktemp("links"), scene())
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def page(linked: Page) -> Page:
    linked.mouse.move(1, 1)
    linked.evaluate("() => { document.activeElement.blur(); document.querySelector('.gb-stage').gb?.show(0); }")
    linked.locator(".gb-stage").evaluate("root => { root.focus(); }")
    linked.keyboard.press("Home")
    return linked


def holder(page: Page, pane: str) -> Locator:
    return page.locator(f"[data-pane={pane}] .gb-picture")


def lit(page: Page, pane: str) -> list[str]:
    return (holder(page, pane).get_attribute("data-linked") or "").split()


def lists(page: Page) -> list[list[int]]:
    """Which cells, rows and bars are lit."""
    return page.evaluate(
        "() => ['[data-cell]', '[data-pane=lists] .gb-table tbody tr', '.gb-bars > div'].map(s =>"
        " [...document.querySelectorAll(s)].flatMap((e, i) => e.classList.contains('gb-lit') ? [i] : []))"
    )


def everywhere(page: Page, k: int, *, marks: bool = False) -> None:
    expect(holder(page, "picture")).to_have_attribute("data-linked", f"boxes:{k} dots:{k} quiet:{k}")
    assert lit(page, "strip") == [f"strip:{k}"] + ([f"marks:{k}"] if marks else [])
    assert lists(page) == [[k], [k], [k]]
    assert (
        page.locator("[data-pane=chart] [data-lit]").count() == 4
    )  # a path and a band, each dark below and light on top


def center(page: Page, pane: str, x: float, y: float) -> tuple[float, float]:
    box = holder(page, pane).bounding_box()
    assert box is not None
    return box["x"] + box["width"] * x, box["y"] + box["height"] * y


def test_the_step_lights_its_item(page: Page) -> None:
    everywhere(page, 0)
    page.keyboard.press("ArrowRight")
    everywhere(page, 1)
    page.keyboard.press("End")
    everywhere(page, 2)


def test_pointing_at_a_box_lights_it_everywhere_and_leaving_gives_the_step_back(page: Page) -> None:
    page.mouse.move(*center(page, "picture", 0.45, 0.6))
    everywhere(page, 1)
    expect(page.locator("[data-pane=picture] .gb-tip")).to_have_text("middle")
    page.mouse.move(1, 1)
    everywhere(page, 0)


def test_the_smallest_box_is_meant_and_a_dot_before_any_box(page: Page) -> None:
    page.mouse.move(*center(page, "picture", 0.9, 0.5))
    everywhere(page, 2)
    page.mouse.move(*center(page, "picture", 0.34, 1 / 6))  # in the second box, but nearest to no dot
    everywhere(page, 1)
    page.mouse.move(*center(page, "picture", 1 / 6 + 0.02, 1 / 6))
    everywhere(page, 0)


def test_pixels_light_what_they_name_and_what_goes_with_it(page: Page) -> None:
    page.mouse.move(*center(page, "strip", 0.8, 0.5))
    everywhere(page, 2, marks=True)


@pytest.mark.parametrize("selector", ["[data-cell='0,1']", ".gb-bars > div:nth-child(2)", ".gb-table tbody tr:nth-child(2)"])  # fmt: skip
def test_cells_rows_and_bars_light_by_pointer_and_by_focus(page: Page, selector: str) -> None:
    part = page.locator(f"[data-pane=lists] {selector}")
    part.hover()
    everywhere(page, 1)
    page.mouse.move(1, 1)
    everywhere(page, 0)
    part.focus()
    everywhere(page, 1)
    part.blur()
    everywhere(page, 0)


def test_a_click_or_enter_goes_to_the_items_step(page: Page) -> None:
    root = page.locator(".gb-stage")
    page.mouse.click(*center(page, "picture", 0.5, 0.7))
    expect(root).to_have_attribute("data-step", "1")
    page.locator("[data-cell='0,2']").click()
    expect(root).to_have_attribute("data-step", "2")
    page.locator(".gb-bars > div:nth-child(1)").focus()
    page.keyboard.press("Enter")
    expect(root).to_have_attribute("data-step", "0")


def test_a_number_in_a_linked_row_still_opens_its_receipt(page: Page) -> None:
    page.locator("[data-pane=lists] tr:nth-child(2) .gb-cell").click()
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")


def test_arrows_move_a_pointer_over_the_picture(page: Page) -> None:
    root = page.locator(".gb-stage")
    holder(page, "picture").focus()
    page.keyboard.press("ArrowUp")  # appears in the middle
    everywhere(page, 1)
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    everywhere(page, 2)
    expect(page.locator("[data-pane=picture] .gb-tip")).to_have_attribute("aria-live", "polite")
    expect(root).to_have_attribute("data-step", "0")
    page.keyboard.press("Enter")
    expect(root).to_have_attribute("data-step", "2")
    page.keyboard.press("Shift+ArrowLeft")
    everywhere(page, 0)
    page.keyboard.press("Escape")
    everywhere(page, 2)


def test_stepping_takes_the_light_from_a_resting_pointer(page: Page) -> None:
    page.mouse.move(*center(page, "picture", 0.45, 0.6))
    everywhere(page, 1)
    page.keyboard.press("End")
    everywhere(page, 2)


def test_panes_of_a_row_stand_side_by_side_and_a_small_picture_stays_small(page: Page) -> None:
    first, second = (holder(page, pane).bounding_box() for pane in ("picture", "strip"))
    assert first
    assert second
    assert second["x"] >= first["x"] + first["width"]
    assert first["width"] == pytest.approx(240, abs=1)


def test_accessibility(page: Page, axe) -> None:
    assert [v for v in axe(page, ".gb-stage") if not v.startswith("heading-order")] == []  # the page lacks its h2


def test_links_that_are_not_named_stay_dark(browser: Browser, tmp_path: Path) -> None:
    page = opened(browser, tmp_path, scene(pointed=()))
    page.mouse.move(*center(page, "picture", 0.45, 0.6))
    assert holder(page, "picture").get_attribute("data-linked") is None
    assert page.locator("svg [data-lit], .gb-lit").count() == 0
    assert holder(page, "picture").get_attribute("tabindex") is None
    page.close()
