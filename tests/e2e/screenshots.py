"""`make screenshots`: pictures of every topic to look at, in screenshots/; with `--readme` the one that README.md shows.

Every view of every topic in both languages, light and dark, at 1280 and 360 px.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser

from demos import GROUPS
from demos.kit.server import Options, launch
from demos.kit.text import LANGUAGES
from tests.browser import open_browser

ROOT = Path(__file__).parents[2]
FIRST = next(iter(LANGUAGES))


def picture(browser: Browser, url: str, path: Path, *, width: int, whole: bool) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900 if width > 600 else 740})
    page.goto(url)
    page.wait_for_selector(".gb-stage[data-ready]", timeout=30_000)
    page.wait_for_timeout(300)  # fonts and the last layout
    page.screenshot(path=path, full_page=whole)
    page.close()


def main(arguments: list[str]) -> None:
    import app

    running = launch(app.build_app(), Options(port=0), head=app.page_head(), theme=app.page_theme(), block=False)
    with open_browser() as browser:
        if "--readme" in arguments:
            picture(browser, f"{running.url}?__theme=light", ROOT / "assets/screenshot.png", width=1280, whole=False)
        else:
            folder = ROOT / "screenshots"
            folder.mkdir(exist_ok=True)
            for demo in (demo for group in GROUPS.values() for demo in group):
                for preset in demo.presets:
                    for language in LANGUAGES:
                        for theme, width in (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)):
                            page = "" if language == FIRST else language
                            url = f"{running.url}{page}?tab={demo.slug}&preset={preset}&__theme={theme}"
                            name = f"{demo.slug}-{preset}-{language}-{theme}-{width}.png"
                            picture(browser, url, folder / name, width=width, whole=True)
                            print(name)
    running.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
