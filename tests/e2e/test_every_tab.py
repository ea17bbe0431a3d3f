"""What every tab must do: be accessible, fit a phone, and answer programs as it answers people."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from gradio_client import Client

from demos import GROUPS
from demos.contract import Demo, numbers_as_json
from demos.kit.controls import spec_of
from tests.e2e.stage_page import expect_numbers, open_preset, stage_of, wait_ready

DEMOS = [demo for group in GROUPS.values() for demo in group]
OWN = {"detr-matching", "spp"}  # whose own modules look at more of their presets
TOUCH = {"detr-matching"}  # whose own module drags on the phone, too


def slug_of(demo: Demo[Any, Any]) -> str:
    return demo.slug


@pytest.mark.parametrize("path", ["", "zh"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("demo", [demo for demo in DEMOS if demo.slug not in OWN], ids=slug_of)
def test_accessibility(fresh_page, axe, demo: Demo[Any, Any], path: str, dark: bool) -> None:
    page = fresh_page(f"{path}?tab={demo.slug}&preset=start&__theme={'dark' if dark else 'light'}", dark=dark)
    wait_ready(page, demo.slug)
    stage_of(page, demo.slug).locator(".gb-toggle-numbers").click()
    assert not axe(page)


@pytest.mark.parametrize("path", ["", "zh"])
@pytest.mark.parametrize("demo", [demo for demo in DEMOS if demo.slug not in TOUCH], ids=slug_of)
def test_a_phone_needs_no_sideways_scrolling(fresh_page, demo: Demo[Any, Any], path: str) -> None:
    page = fresh_page(f"{path}?tab={demo.slug}", viewport={"width": 360, "height": 740}, touch=True)
    wait_ready(page, demo.slug)
    for name in demo.presets:
        open_preset(page, demo.slug, name)
        expect_numbers(page, demo, demo.presets[name])
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, name


@pytest.mark.parametrize(
    ("demo", "name"),
    [pytest.param(demo, name, id=f"{demo.slug}-{name}") for demo in DEMOS for name in demo.presets],
)
def test_the_endpoint_returns_what_run_returns(client: Client, demo: Demo[Any, Any], name: str) -> None:
    preset = demo.presets[name]
    values = {item.name: getattr(preset, item.name) for item in fields(preset) if spec_of(item).kind != "files"}
    assert client.predict(**values, api_name=f"/{demo.slug}") == numbers_as_json(demo, preset)
