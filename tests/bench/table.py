"""One table for all benchmarks: ours beside a peer, both timed in turn in the same process.

Only ratios are meant to be compared: times depend on the machine and on what else it does.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison."""

    what: str  # what was done, on what
    ours_ms: float  # median
    other: str  # the peer; "" if there is none
    other_ms: float | None  # median
    ratio: float | None  # other_ms / ours_ms: how many times faster we are
    goal: str = ""  # "≥ 2×", "≤ 150 ms"
    met: bool | None = None  # None without a goal


SHORT_S = (
    0.05  # a turn lasts at least this long, so that a quick call is not measured on caches that the slow one emptied
)


def race(*calls: Callable[[], Any], repeats: int = 9) -> list[float]:
    """Median time of each call in ms; the calls take turns, so that a slow moment of the machine hits all of them.

    In its turn a call runs until `SHORT_S` have passed, and the turn's median is kept; the first turn warms up and does not
    count. Garbage is collected between turns, not during them.
    """
    kept: list[list[float]] = [[] for _ in calls]
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for turn in range(repeats + 1):
            for call, medians in zip(calls, kept, strict=True):
                seconds: list[float] = []
                while sum(seconds) < SHORT_S:
                    start = time.perf_counter()
                    call()
                    seconds.append(time.perf_counter() - start)
                if turn:
                    medians.append(median(seconds))
            gc.collect()
    finally:
        if was_enabled:
            gc.enable()
    return [1000 * median(medians) for medians in kept]


def versus(
    what: str,
    ours: Callable[[], Any],
    other: str,
    theirs: Callable[[], Any],
    *,
    at_least: float | None = None,
    repeats: int = 9,
) -> Row:
    """Ours against a peer; the goal, if any, is to be at least so many times as fast."""
    ours_ms, other_ms = race(ours, theirs, repeats=repeats)
    ratio = other_ms / ours_ms
    goal, met = ("", None) if at_least is None else (f"≥ {at_least:.2g}×", ratio >= at_least)
    return Row(what, ours_ms, other, other_ms, ratio, goal, met)


def alone(what: str, ours: Callable[[], Any], *, at_most_ms: float | None = None, repeats: int = 9) -> Row:
    """Ours against a time."""
    (ours_ms,) = race(ours, repeats=repeats)
    goal, met = ("", None) if at_most_ms is None else (f"≤ {at_most_ms:g} ms", ours_ms <= at_most_ms)
    return Row(what, ours_ms, "", None, None, goal, met)


def milliseconds(value: float | None) -> str:
    """Three significant digits.

    >>> milliseconds(2.3456), milliseconds(477.3), milliseconds(None)
    ('2.35', '477', '')
    """
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def markdown(rows: Iterable[Row]) -> str:
    """The table.

    >>> print(markdown([Row("count", 2.0, "peer", 8.0, 4.0, "≥ 2×", True)]))
    | what | ours, ms | peer | peer, ms | ratio | goal | met |
    |---|--:|---|--:|--:|---|---|
    | count | 2 | peer | 8 | 4.0× | ≥ 2× | yes |
    """
    lines = ["| what | ours, ms | peer | peer, ms | ratio | goal | met |", "|---|--:|---|--:|--:|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}×" if row.ratio < 100 else f"{row.ratio:.0f}×"
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        cells = (row.what, milliseconds(row.ours_ms), row.other, milliseconds(row.other_ms), ratio, row.goal, met)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
