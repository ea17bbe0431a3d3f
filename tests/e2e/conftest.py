"""The real app on a free port and a real browser, both once per session.

* `app_url`: the app's address, ending in a slash.
* `browser`: Chromium.
* `shared_page`: one page per test module, opened at `app_url`; a test fails if the page misbehaves during it.
* `watch`: what `shared_page` did wrong; `watch.allow(pattern)` for an error that a test provokes.
* `fresh_page(path, viewport=…, dark=…, locale=…)`: a page of the test's own, checked after it; takes seconds.
* `client`: calls endpoints.
* `axe(page, scope)`: accessibility violations that are ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import pytest
from gradio_client import Client
from playwright.sync_api import Browser, Page, ViewportSize

from demos.kit.server import Options, launch
from tests.browser import Watch, open_browser
from tests.browser import axe as run_axe

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
FreshPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/e2e/"):
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def app_url() -> Iterator[str]:
    import torch  # noqa: F401 - topics import it when they are first opened; that is not what these tests wait for

    import app

    running = launch(app.build_app(), Options(port=0), head=app.page_head(), theme=app.page_theme(), block=False)
    yield running.url
    running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if hasattr(os, "sched_getscheduler"):  # what an encoder may do when it runs as root
        assert os.sched_getscheduler(0) == os.SCHED_OTHER, "a real-time process: its browser would starve this machine"
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def module_page(browser: Browser, app_url: str) -> Iterator[tuple[Page, Watch]]:
    context = browser.new_context(viewport=DESKTOP, accept_downloads=True)
    page = context.new_page()
    watch = Watch(page, app_url)
    page.goto(app_url)
    yield page, watch
    context.close()


@pytest.fixture
def watch(module_page: tuple[Page, Watch]) -> Watch:
    return module_page[1]


@pytest.fixture
def shared_page(module_page: tuple[Page, Watch]) -> Iterator[Page]:
    page, watch = module_page
    yield page
    watch.check()


@pytest.fixture
def fresh_page(browser: Browser, app_url: str) -> Iterator[FreshPage]:
    opened: list[tuple[Page, Watch]] = []

    def open_page(
        path: str = "",
        *,
        viewport: ViewportSize = DESKTOP,
        dark: bool = False,
        locale: str = "en-US",
        touch: bool = False,
    ) -> Page:
        """`path` below the app's address (or another address of ours)."""
        context = browser.new_context(
            viewport=viewport, color_scheme="dark" if dark else "light", locale=locale, has_touch=touch
        )
        page = context.new_page()
        url = urljoin(app_url, path)
        opened.append((page, Watch(page, urljoin(url, "/"))))
        page.goto(url)
        return page

    yield open_page
    try:
        for _, watch in opened:
            watch.check()
    finally:
        for page, _ in opened:
            page.context.close()


@pytest.fixture(scope="session")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False, analytics_enabled=False)


@pytest.fixture(scope="session")
def axe() -> Callable[..., list[str]]:
    return run_axe
