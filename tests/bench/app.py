"""The app's budgets, measured on the real app in a process of its own and in a real browser.

`python -m tests.bench.app` prints them; `make bench` prints them with everything else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page

from demos import GROUPS
from demos.contract import rendered
from tests.browser import Watch, open_browser
from tests.visitors import FIRST_ROOM, Endpoint, percentile, storm

REPOSITORY = Path(__file__).resolve().parents[2]
STAGE = ".gb-stage[data-ready]"  # appears with the first picture; the attribute counts pictures
FIRST_INPUT = ".gb-left input, .gb-left button"
SLIDER = "#segmentation-metrics--shift_x input[type=range]"  # every press gives values that nobody asked for before
ENDPOINTS: tuple[Endpoint, ...] = (FIRST_ROOM,)  # what thirty people ask at once
CLIP = f"?tab={FIRST_ROOM.name}&preset=clip"  # a view with many steps
TILES = "?tab=flash-attention&preset=start&tokens=40"  # the bench's changes make it a schedule of 16 × 16 tiles
TOKENS = "#flash-attention--tokens input[type=range]"
TILES_STAGE = "#flash-attention--stage " + STAGE
LOADS, STEPS, CHANGES, STROKES, STOPS, CLIENTS, CALLS = 3, 100, 20, 12, 8, 30, 3

# From the key to the painted frame, without the idle wait for the screen's next frame (up to 17 ms).
STEP_TIMES = """async ([stage, key, times]) => {
  const root = document.querySelector(stage), seconds = []
  root.focus()
  for (let i = 0; i < times; i++) {
    let frame
    const framed = new Promise(done => requestAnimationFrame(() => { frame = performance.now(); setTimeout(done) }))
    const start = performance.now()
    root.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))
    const handled = performance.now()
    await framed
    seconds.push((handled - start + performance.now() - frame) / 1000)
  }
  return seconds
}"""


# milliseconds from a question to each picture of its unfinished run, in `gb.looks`
LOOK_TIMES = """s => { const g = s.gb, load = g.load.bind(g), wait = g.wait.bind(g); g.looks = [];
  g.wait = q => { g.asked = performance.now(); g.looks = []; return wait(q); };
  g.load = async (value, interim = false) => { const done = await load(value, interim);
    if (interim && done) g.looks.push(performance.now() - g.asked); return done; }; }"""


@dataclass(frozen=True, slots=True)
class Budget:
    """One promise about the whole app, and what was measured."""

    what: str
    measured: float
    unit: str
    goal: float

    @property
    def ok(self) -> bool:
        return self.measured <= self.goal


def table(rows: Iterable[Budget]) -> str:
    """The rows as Markdown.

    >>> print(table([Budget("start", 2.34, "s", 5)]))
    | what | measured | budget | |
    |---|---:|---:|---|
    | start | 2.3 s | 5 s | ok |
    """
    lines = ["| what | measured | budget | |", "|---|---:|---:|---|"]
    for row in rows:
        measured = f"{row.measured:.0f}" if row.measured >= 100 or row.measured == 0 else f"{row.measured:.2g}"
        verdict = "ok" if row.ok else "**over**"
        cells = (row.what, f"{measured} {row.unit}".strip(), f"{row.goal:g} {row.unit}".strip(), verdict)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def measure() -> Iterator[Budget]:
    with _app() as (url, ready, process):
        yield Budget("app ready: import and launch", ready, "s", 5)
        time.sleep(3)
        yield Budget("idle memory", _resident_mb(process.pid), "MB", 400)
        with open_browser() as browser:
            yield from _first_view(browser, url)
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            watch = Watch(page, url)
            page.goto(url + CLIP)
            page.wait_for_selector(STAGE)
            yield from _stepping(page, watch)
            page.goto(url)
            page.wait_for_selector(STAGE)
            yield from _changing(page)
            page.goto(url + TILES)
            page.wait_for_selector(TILES_STAGE)
            yield from _changing(page, TOKENS, "up to 16 × 16 tiles on screen", TILES_STAGE)
            yield from _stepping(page, watch, "tile", TILES_STAGE)
            page.goto(f"{url}?tab={FIRST_ROOM.name}&preset=background&predictor=paint")
            page.wait_for_selector(STAGE)
            yield from _painting(page)
            page.goto(f"{url}?tab=detr-matching&preset=start")
            page.wait_for_selector(f"#detr-matching--stage {STAGE}")
            yield from _dragging(page)
            yield from _living(browser, url)
            yield from _large_masks(browser, url)
            yield from _long_work(browser, url)
            yield _largest_view()
            yield from _large_photo(browser, url)
            for endpoint in ENDPOINTS:
                seconds = storm(url, endpoint, clients=CLIENTS, calls=CALLS)
                yield Budget(f"{CLIENTS} people at once, {endpoint.name}: p95", percentile(seconds, 0.95), "s", 3)
            context.close()


def _first_view(browser: Browser, url: str) -> Iterator[Budget]:
    inputs, pictures, sizes, strangers = [], [], [], 0
    for _ in range(LOADS):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        watch = Watch(page, url)
        network = context.new_cdp_session(page)
        size = [0.0]

        def count(event: dict[str, Any], size: list[float] = size) -> None:
            size[0] += event["encodedDataLength"]

        network.send("Network.enable")
        network.on("Network.loadingFinished", count)
        start = time.perf_counter()
        page.goto(url, wait_until="commit")
        page.wait_for_selector(FIRST_INPUT)
        inputs.append(time.perf_counter() - start)
        page.wait_for_selector(STAGE)
        pictures.append(time.perf_counter() - start)
        sizes.append(size[0] / 1e6)
        strangers += sum("another host" in t or "Content Security Policy" in t for t in watch.troubles)
        context.close()
    yield Budget("first input usable", median(inputs), "s", 2)
    yield Budget("first picture", median(pictures), "s", 2.5)
    yield Budget("bytes up to the first picture", max(sizes), "MB", 1.2)
    yield Budget("requests to other hosts", strangers, "", 0)


def _stepping(page: Page, watch: Watch, what: str = "step", stage: str = STAGE) -> Iterator[Budget]:
    page.evaluate(STEP_TIMES, [stage, "Home", 5])
    before = watch.requests
    seconds: list[float] = []
    for _round in range(STEPS // 5):  # five steps forward, then back to the start: there are as many as the trace has
        seconds += page.evaluate(STEP_TIMES, [stage, "ArrowRight", 5])
        page.evaluate(STEP_TIMES, [stage, "Home", 1])
    yield Budget(f"{what}, key to painted: median", 1000 * median(seconds), "ms", 16)
    yield Budget(f"{what}, key to painted: p95", 1000 * percentile(seconds, 0.95), "ms", 50)
    yield Budget(f"requests during the {what}s", watch.requests - before, "", 0)


def _changing(
    page: Page, control: str = SLIDER, what: str = "control to recomputed picture", stage: str = STAGE
) -> Iterator[Budget]:
    slider = page.locator(control).first
    slider.focus()
    seconds: list[float] = []
    for change in range(CHANGES + 3):
        before = page.locator(stage).first.get_attribute("data-ready")
        start = time.perf_counter()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "([stage, old]) => document.querySelector(stage).dataset.ready !== old", arg=[stage, before]
        )
        if change >= 3:  # the first ones warm up
            seconds.append(time.perf_counter() - start)
    yield Budget(f"{what}: median", 1000 * median(seconds), "ms", 300)
    yield Budget(f"{what}: p95", 1000 * percentile(seconds, 0.95), "ms", 300)


def _painting(page: Page) -> Iterator[Budget]:
    """From the end of a stroke to the picture with its new numbers."""
    sheet, seconds = page.locator(".gb-strokes"), []
    for stroke in range(STROKES + 2):
        box = sheet.bounding_box()
        assert box is not None
        before = page.locator(STAGE).first.get_attribute("data-ready")
        x = box["x"] + box["width"] * (0.1 + 0.8 * stroke / (STROKES + 2))
        page.mouse.move(x, box["y"] + box["height"] * 0.2)
        page.mouse.down()
        page.mouse.move(x, box["y"] + box["height"] * 0.6, steps=5)
        page.mouse.up()
        page.wait_for_function(
            "([stage, old]) => document.querySelector(stage).dataset.ready !== old", arg=[STAGE, before]
        )
        if stroke >= 2:
            seconds.append(float(page.locator(STAGE).first.get_attribute("data-repaint") or "nan"))
    yield Budget("brush stroke to repainted picture: median", median(seconds), "ms", 300)
    yield Budget("brush stroke to repainted picture: p95", percentile(seconds, 0.95), "ms", 300)


def _dragging(page: Page) -> Iterator[Budget]:
    """From a move of a held box to the picture with its new pairs and numbers."""
    stage, seconds = page.locator(f"#detr-matching--stage {STAGE}"), []
    for drag in range(STROKES + 2):
        while (box := stage.locator("[data-box=t0]").bounding_box()) is None:
            page.wait_for_timeout(20)  # it is being drawn anew
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        for k in range(1, 4):
            before = stage.get_attribute("data-ready")
            page.mouse.move(x + (-1) ** drag * 7 * k, y + 2 * k)
            page.wait_for_function(
                "([stage, old]) => document.querySelector(stage).dataset.ready !== old",
                arg=[f"#detr-matching--stage {STAGE}", before],
            )
            if drag >= 2:
                seconds.append(float(stage.get_attribute("data-repaint") or "nan"))
        page.mouse.up()
        page.wait_for_timeout(400)
    yield Budget("dragged box to new pairs: median", median(seconds), "ms", 300)
    yield Budget("dragged box to new pairs: p95", percentile(seconds, 0.95), "ms", 300)


def _living(browser: Browser, url: str) -> Iterator[Budget]:
    """A long run under gradient checkpointing: from a new value to its first live picture, between pictures, and from Stop to silence."""
    firsts, gaps, stops = [], [], []
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(f"{url}?tab=checkpointing&layers=16&width=256&rows=500&budget=0")
    stage = page.locator(f"#checkpointing--stage {STAGE}")
    stage.wait_for(timeout=60_000)
    page.get_by_role("button", name="Sizes", exact=False).click()
    stage.evaluate(LOOK_TIMES)
    rows = page.locator("#checkpointing--rows input")
    for turn in range(LOADS + 1):
        rows.fill(str(12_000 + turn))  # one change, one question
        page.wait_for_function(
            "document.querySelector('#checkpointing--stage .gb-stage').gb.looks.length >= 8", timeout=60_000
        )
        looks = stage.evaluate("s => s.gb.looks")
        began = time.perf_counter()
        stage.locator(".gb-stop").click()
        page.wait_for_function("!document.querySelector('#checkpointing--stage .gb-stage').hasAttribute('aria-busy')")
        if turn:  # the first imports libraries
            stops.append(1000 * (time.perf_counter() - began))
            firsts.append(looks[0])
            gaps += [b - a for a, b in pairwise(looks)]
        page.wait_for_timeout(500)
    page.context.close()
    yield Budget("live memory, new value to first picture: median", median(firsts), "ms", 300)
    yield Budget("live memory, between pictures: median", median(gaps), "ms", 100)
    yield Budget("live memory, Stop to silence: worst", max(stops), "ms", 500)


def _large_masks(browser: Browser, url: str) -> Iterator[Budget]:
    """A pair of 12-megapixel masks: from the drop of the second file to the picture with its numbers."""
    blocks = np.kron(np.random.default_rng(0).integers(0, 19, (30, 40), dtype=np.uint8), np.ones((100, 100), np.uint8))
    seconds = []
    with TemporaryDirectory() as folder:
        for turn in range(LOADS):
            files = Path(folder) / f"truth{turn}.png", Path(folder) / f"prediction{turn}.png"
            Image.fromarray(np.roll(blocks, turn, axis=0)).save(files[0])
            Image.fromarray(np.roll(blocks, turn + 15, axis=1)).save(files[1])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(url)
            page.wait_for_selector(STAGE)
            page.locator(f"#{FIRST_ROOM.name}--predictor input[value=given]").check()
            page.locator(f"#{FIRST_ROOM.name}--source input[value=files]").check()
            page.locator(f"#{FIRST_ROOM.name}--truth_files input[type=file]").set_input_files(files[0])
            page.wait_for_function("document.querySelector('.gb-value')?.textContent === '1.0000'")  # truth alone
            page.wait_for_timeout(1500)  # and nothing under way any more
            before = page.locator(STAGE).first.get_attribute("data-ready")
            start = time.perf_counter()
            page.locator(f"#{FIRST_ROOM.name}--prediction_files input[type=file]").set_input_files(files[1])
            page.wait_for_function(
                "([stage, old]) => document.querySelector(stage).dataset.ready !== old", arg=[STAGE, before]
            )
            page.wait_for_function("document.querySelector('.gb-value').textContent !== '1.0000'")  # no longer alone
            seconds.append(time.perf_counter() - start)
            page.close()
    yield Budget("12-megapixel pair, upload to picture: median", median(seconds), "s", 1)


# Two times of a stage in ms: from the last change of a control to the first sign that it is being computed, and from the click
# on Stop until the stage waits no more.
WATCH_WAITING = """stage => {
  const root = document.querySelector(stage), tab = root.closest('.gb-tab')
  let changed = 0, stopped = 0
  tab.addEventListener('input', () => { changed = performance.now(); window.signed = window.freed = null }, true)
  root.addEventListener('click', event => { if (event.target.matches('.gb-stop')) stopped = performance.now() }, true)
  new MutationObserver(() => {
    const shown = Math.max(...getComputedStyle(root, '::before').animationDelay.split(',').map(parseFloat)) * 1000
    if (root.hasAttribute('aria-busy')) window.signed ??= performance.now() - changed + shown
    else if (stopped) { window.freed = performance.now() - stopped; stopped = 0 }
  }).observe(root, {attributes: true})
}"""


def _long_work(browser: Browser, url: str) -> Iterator[Budget]:
    """Fifty full-HD masks are degraded and scored anew, and stopped on the way."""
    blocks = np.kron(np.random.default_rng(0).integers(0, 19, (27, 48), dtype=np.uint8), np.ones((40, 40), np.uint8))
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    signs, freed = [], []
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{frame:02}.png" for frame in range(50)]
        for frame, file in enumerate(files):
            Image.fromarray(np.roll(blocks, frame, axis=1)).save(file)
        page.goto(url)
        page.wait_for_selector(STAGE)
        page.locator(f"#{FIRST_ROOM.name}--source input[value=files]").check()
        page.locator(f"#{FIRST_ROOM.name}--truth_files input[type=file]").set_input_files(files)
        page.locator(".gb-stop").first.click()
        page.wait_for_function("!document.querySelector('.gb-stage[aria-busy]')")
        page.evaluate(WATCH_WAITING, STAGE)
        for _ in range(STOPS):
            page.locator(SLIDER).first.focus()
            page.keyboard.press("ArrowRight")
            page.locator(".gb-stop").first.click()
            page.wait_for_function("window.freed !== null")
            signs.append(page.evaluate("window.signed"))
            freed.append(page.evaluate("window.freed"))
    page.close()
    yield Budget("long work, change to first sign of progress: p95", percentile(signs, 0.95), "ms", 100)
    yield Budget("long work, stop to a free stage: p95", percentile(freed, 0.95), "ms", 500)


def _largest_view() -> Budget:
    """The largest stage value of all presets of all demos, deflated (in base64 it travels a third larger)."""
    sizes = {
        f"{demo.slug}, {name}": len(rendered(demo, "en", name, controls)) * 3 // 4
        for group in GROUPS.values()
        for demo in group
        for name, controls in demo.presets.items()
    }
    largest = max(sizes, key=lambda name: sizes[name])
    return Budget(f"largest trace view ({largest})", sizes[largest] / 1000, "kB", 300)


def _large_photo(browser: Browser, url: str) -> Iterator[Budget]:
    """A 12-megapixel photo is loaded already: from a move of the size's slider to the picture with its numbers."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    stage = "#spp--stage .gb-stage"
    loaded = f"([old]) => (document.querySelector('{stage}').dataset.ready ?? '') !== old"
    seconds: list[float] = []
    with TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.fromarray(np.kron(noise, np.ones((10, 10, 1), np.uint8))).save(photo)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{url}?tab=spp&preset=start")
        page.wait_for_selector(f"{stage}[data-ready]")
        page.locator("#spp--source input[value=photo]").check()
        page.wait_for_selector(f"{stage} .gb-alert:not([hidden])")
        before = page.locator(stage).get_attribute("data-ready") or ""
        page.locator("#spp--photo input[type=file]").set_input_files(photo)
        page.wait_for_function(loaded, arg=[before])
        slider = page.locator("#spp--width input[type=range]").first
        slider.focus()
        for change in range(CHANGES + 3):
            page.wait_for_timeout(100)
            before = page.locator(stage).get_attribute("data-ready") or ""
            start = time.perf_counter()
            page.keyboard.press("ArrowRight")
            page.wait_for_function(loaded, arg=[before])
            if change >= 3:  # the first ones warm up
                seconds.append(time.perf_counter() - start)
        page.close()
    yield Budget("slider with a 12-megapixel photo loaded: median", 1000 * median(seconds), "ms", 300)
    yield Budget("slider with a 12-megapixel photo loaded: p95", 1000 * percentile(seconds, 0.95), "ms", 300)


@contextmanager
def _app() -> Iterator[tuple[str, float, subprocess.Popen[str]]]:
    """The app in a process of its own: address, seconds until it says that it is ready, process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", "0"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if address := re.search(r"ready at (\S+)", line):
                yield address[1], time.perf_counter() - start, process
                return
        raise RuntimeError(f"the app ended with {process.wait()} before it was ready")
    finally:
        process.terminate()
        process.wait(timeout=20)
        if process.stdout:
            process.stdout.close()


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()  # Linux
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    return int(resident[1]) * 1024 / 1e6


if __name__ == "__main__":
    print(table(measure()))
