"""A real browser for the tests, the bench and the screenshots: where it is, how it starts, what it must not say."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--no-sandbox",  # containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# Console errors that are not ours: (pattern, why). Keep every pattern as narrow as it can be.
CONSOLE_EXCEPTIONS: tuple[tuple[str, str], ...] = ()

# Violations inside Gradio's own components, which this project cannot mend: (axe's rule, part of the node's HTML, why).
AXE_EXCEPTIONS: tuple[tuple[str, str, str], ...] = (
    ("aria-prohibited-attr", '<div aria-label="Empty value" class="empty', "an empty gr.Plot names a plain <div>"),
)


def find_chromium() -> str:
    """Path of the browser: GLASSBOX_CHROMIUM if set, otherwise the first of the usual names on PATH.

    Raises:
        RuntimeError: there is none.
    """
    for name in (os.environ.get("GLASSBOX_CHROMIUM"), *NAMES):
        if name and (path := shutil.which(name)):
            return path
    raise RuntimeError("The browser tests need Chromium: run `make browser`, or name one in GLASSBOX_CHROMIUM.")


@contextmanager
def open_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        yield browser
        browser.close()


class Watch:
    """Writes down what a page does wrong: exceptions, console errors, requests to anybody but `origin`."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page, self.origin, self.requests = page, origin.rstrip("/"), 0
        self.troubles: list[str] = []
        self._allowed = [pattern for pattern, _ in CONSOLE_EXCEPTIONS]
        page.on("pageerror", lambda error: self._note(f"exception: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def allow(self, pattern: str) -> None:
        """Expect console errors that match, until `check`: a refused upload is a 413 in the console."""
        self._allowed.append(pattern)

    def check(self) -> None:
        """Fail on everything noted since the last check."""
        if not self.page.is_closed():
            self.page.evaluate(
                "new Promise(done => setTimeout(done))"
            )  # Playwright hands on events only while it is asked
        troubles, self.troubles = self.troubles, []
        self._allowed = [pattern for pattern, _ in CONSOLE_EXCEPTIONS]
        assert not troubles, "the page misbehaved:\n  " + "\n  ".join(troubles)

    def _note(self, trouble: str) -> None:
        if not any(re.search(pattern, trouble) for pattern in self._allowed):
            self.troubles.append(trouble)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"console: {message.text} ({message.location.get('url', '')})")

    def _request(self, request: Request) -> None:
        self.requests += 1
        if not request.url.startswith((self.origin + "/", "data:", "blob:")):
            self._note(f"request to another host: {request.url}")


def axe(page: Page, scope: str = "body") -> list[str]:
    """Accessibility violations below the CSS selector `scope`, one line each, without those named in AXE_EXCEPTIONS."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    violations: list[dict[str, Any]] = page.evaluate(
        "async scope => (await axe.run(scope, {resultTypes: ['violations']})).violations", scope
    )
    return [
        f"{violation['id']} ({violation['impact']}): {' '.join(map(str, node['target']))}: {node['html'][:200]}"
        for violation in violations
        for node in violation["nodes"]
        if not any(violation["id"] == rule and part in node["html"] for rule, part, _ in AXE_EXCEPTIONS)
    ]
