"""`python -m tests.bench [word]` (make bench): every benchmark whose module's name holds the word, as tables in one run."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Sequence

from tests.bench.table import markdown

MODULES = (
    "tests.bench.diffusion",
    "tests.bench.segmentation",
    "tests.bench.pooling",
    "tests.bench.detr",
    "tests.bench.attention",
    "tests.bench.checkpointing",
    "tests.bench.pose",
)  # each has measure() -> Iterable[Row]


def main(words: Sequence[str]) -> int:
    chosen = [name for name in MODULES if all(word in name for word in words)]
    if not chosen and "app" not in words:
        print(f"no benchmark matches {' '.join(words)!r}; there are {', '.join(MODULES)} and app")
        return 1
    rows = []
    for name in chosen:
        start = time.perf_counter()
        rows += importlib.import_module(name).measure()
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if rows:
        print(markdown(rows))
    if not words or "app" in words:  # the running app beside its budgets
        from tests.bench import app

        print("", app.table(app.measure()), sep="\n" if rows else "")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
