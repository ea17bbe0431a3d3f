"""The bundled person network in a real browser: it predicts on a visitor's photo and clip, and its maps are pooled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from demos.kit.video import write_video
from demos.perception.person_network import person_mask
from demos.perception.segmentation_metrics import DEMO as SEGMENTATION
from demos.perception.segmentation_metrics import Controls as SegmentationControls
from demos.perception.spatial_pyramid_pooling import DEMO as SPP
from demos.perception.spatial_pyramid_pooling import Controls as SppControls
from tests.e2e.stage_page import WAIT, expect_numbers, open_preset, shown, stage_of, wait_ready


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, a clip that pans down over it, and their masks: the network's own, moved by a few pixels."""
    portrait = pytest.importorskip("skimage.data").astronaut()
    folder = tmp_path_factory.mktemp("person")
    Image.fromarray(portrait).save(folder / "portrait.png")
    Image.fromarray(np.roll(person_mask(portrait).mask.astype(np.uint8), 5, axis=1)).save(folder / "mask.png")
    frames = np.stack([cv2.resize(portrait[8 * i : 8 * i + 384], (256, 192)) for i in range(6)])
    write_video(frames, folder / "clip.mp4", rate=8)
    np.save(folder / "masks.npy", np.stack([person_mask(frame).mask.astype(np.uint8) for frame in frames]))
    return folder


def upload(page: Page, slug: str, name: str, path: Path) -> None:
    page.locator(f"#{slug}--{name}").locator("input[type=file]").set_input_files(str(path))


def choose(page: Page, slug: str, name: str, value: str) -> None:
    page.locator(f"#{slug}--{name}").locator(f"input[value={value}]").check()


def clear(page: Page, slug: str, *names: str) -> None:
    for name in names:
        page.locator(f"#{slug}--{name}").get_by_label("Clear").first.click()


def person(folder: Path, photo: str, truth: str) -> SegmentationControls:
    return SegmentationControls(
        source="files",
        predictor="person",
        extra="none",
        truth_files=(str(folder / truth),),
        photo=(str(folder / photo),),
    )


def test_a_photo_and_a_clip_are_segmented_and_scored(shared_page: Page, watch, folder: Path) -> None:
    page, slug = shared_page, SEGMENTATION.slug
    wait_ready(page, slug)
    stage = stage_of(page, slug)
    open_preset(page, slug, "libraries")
    expect_numbers(page, SEGMENTATION, SEGMENTATION.presets["libraries"])
    expect(page.locator(f"#{slug}--person_class")).to_be_hidden()
    choose(page, slug, "predictor", "person")
    expect(stage.locator(".gb-alert")).to_contain_text("needs a photo", timeout=WAIT)  # twelve pixels have none
    choose(page, slug, "source", "files")
    upload(page, slug, "photo", folder / "portrait.png")
    upload(page, slug, "truth_files", folder / "mask.png")
    expect_numbers(page, SEGMENTATION, person(folder, "portrait.png", "mask.png"))
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)
    assert 0.9 < float(shown(page, slug)[0]) < 1  # the masks are five pixels apart
    label = page.locator(f"#{slug}--person_class input")
    expect(label).to_be_visible()
    label.fill("2")
    label.press("Enter")
    expect(stage.locator(".gb-alert")).to_contain_text("no label 2", timeout=WAIT)
    label.fill("1")
    label.press("Enter")
    expect(stage.locator(".gb-alert")).to_be_hidden(timeout=WAIT)

    clear(page, slug, "photo", "truth_files")
    upload(page, slug, "photo", folder / "clip.mp4")
    expect(stage.locator(".gb-alert")).to_contain_text("needs truth masks", timeout=WAIT)
    upload(page, slug, "truth_files", folder / "masks.npy")
    mine = person(folder, "clip.mp4", "masks.npy")
    expect_numbers(page, SEGMENTATION, mine, step=0)
    requests = watch.requests
    stage.locator(".gb-scrubber input").focus()
    page.keyboard.press("End")
    expect_numbers(page, SEGMENTATION, mine, step=5)
    assert watch.requests == requests  # every frame is already there

    clear(page, slug, "photo", "truth_files")
    open_preset(page, slug, "start")
    expect_numbers(page, SEGMENTATION, SegmentationControls())


def test_the_encoders_maps_are_pooled(shared_page: Page, folder: Path) -> None:
    page, slug = shared_page, SPP.slug
    page.locator("#gb-tabs button[role=tab]").filter(has_text=SPP.text("en")("tab")).click()
    wait_ready(page, slug)
    open_preset(page, slug, "start")
    expect_numbers(page, SPP, SppControls())
    step = int(stage_of(page, slug).get_attribute("data-step") or "")
    page.get_by_role("button", name="More").locator("visible=true").first.click()
    choose(page, slug, "features", "stride8")
    expect_numbers(page, SPP, SppControls(features="stride8"), step=step)
    expect(page.locator(f"#{slug}--width")).to_be_hidden()  # the network sees 256 × 256 px, whatever comes in
    choose(page, slug, "source", "photo")
    upload(page, slug, "photo", folder / "portrait.png")
    photo = SppControls(features="stride8", source="photo", photo=(str(folder / "portrait.png"),))
    expect_numbers(page, SPP, photo, step=step)
    open_preset(page, slug, "start")
    expect_numbers(page, SPP, SppControls())
    expect(page.locator(f"#{slug}--width")).to_be_visible()
