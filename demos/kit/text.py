"""Every word on screen, in every language, comes from assets/text/<language>/.

labels.json holds the house's own words (buttons, the stage, errors are in errors.json), `<slug>.json` a topic's labels and
`<slug>.md` its prose. Tests hold all languages to the same keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TEXT = Path(__file__).parents[2] / "assets" / "text"
LANGUAGES = {"en": "English", "zh": "简体中文"}  # code -> its own name; the first one is served at "/"


@cache
def catalogue(language: str, name: str) -> Mapping[str, Any]:
    """The parsed JSON catalogue `name` ("labels" or a slug) of one language."""
    return json.loads((TEXT / language / f"{name}.json").read_text(encoding="utf-8"))


@cache
def prose(language: str, slug: str) -> str:
    """The topic's lesson, Markdown."""
    return (TEXT / language / f"{slug}.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Text:
    """Words of one catalogue in one language: `text("controls", "erode", "label")`."""

    language: str
    name: str = "labels"

    def __call__(self, *path: str, **fields: Any) -> str:
        """The sentence at `path`, its `{fields}` filled in.

        Raises:
            KeyError: if the catalogue has no such entry; the message names language, catalogue and path.
        """
        found = self.find(*path)
        if not isinstance(found, str):
            raise KeyError(f"{self.language}/{self.name}.json has no text at {' / '.join(path)}")
        return found.format(**fields) if fields else found

    def find(self, *path: str) -> Any:
        """Whatever stands at `path` (a string, list or mapping), or None."""
        node: Any = catalogue(self.language, self.name)
        for key in path:
            if not isinstance(node, Mapping) or key not in node:
                return None
            node = node[key]  # pyright: ignore[reportUnknownVariableType]
        return node  # pyright: ignore[reportUnknownVariableType]

    def of(self, name: str) -> Text:
        """The same language, another catalogue."""
        return Text(self.language, name)
