"""Glassbox. `python app.py` opens it; `python app.py --help` lists the options."""

import sys

from demos.kit.server import launch, parse_options
from demos.page import build_app, page_head, page_theme


def main() -> None:
    launch(build_app(), parse_options(sys.argv[1:]), head=page_head(), theme=page_theme())


if __name__ == "__main__":
    main()
