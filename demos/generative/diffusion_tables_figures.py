"""Result -> tables, charts of a whole run, and the question. Every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.generative.diffusion_numbers import bundle_numbers, group_item, share_numbers
from demos.kit.scene import Axes, Guess, Layer, Pane, Paths, Table
from demos.kit.stage import item_text
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, ROLES

if TYPE_CHECKING:
    from demos.generative.diffusion_trajectories import Result

MOST_ROWS = 12


def shares_pane(result: Result, text: Text) -> Pane:
    """How many particles each lane has in each mode or sector."""
    rows = tuple(
        (item_text(group_item(result, g), text), *share_numbers(result, g)) for g in range(result.shares.groups)
    )
    columns = tuple(text("shares", key) for key in ("group", "weight", "forward", "reverse", "flow"))
    table = Table("shares", text("shares", "title"), columns, rows)
    note = text("shares", "note", n=str(result.shares.particles))
    return Pane("shares", text("shares", "title"), (table,), place="below", note=note)


def bundle_pane(result: Result, text: Text) -> Pane:
    """Where the chosen noise point may end: by the exact law, and as the bundle's paths did."""
    bundle = result.bundle
    assert bundle is not None
    law = bundle.law.weights[0]
    order = sorted(range(len(law)), key=lambda k: -float(law[k]))[:MOST_ROWS]
    rows = tuple((text("mode", k=str(k + 1)), *bundle_numbers(result, k)) for k in sorted(order))
    columns = tuple(text("bundle", key) for key in ("component", "law", "paths"))
    table = Table("bundle", text("bundle", "title"), columns, rows)
    return Pane("bundle", text("bundle", "title"), (table,), row="evidence", note=text("bundle", "note"))


def gaps_pane(result: Any, text: Text, place: Any, row: str) -> Pane:
    """Two-sample statistic of the two lanes at every step, and the line that chance seldom crosses."""
    found = result.agreement
    times = result.lanes.times.numpy()
    steps = len(times)
    at = np.arange(steps)
    layers: list[Layer] = []
    curves = (
        ("between", found.between.numpy(), CATEGORIES[4], 2.5, False),
        ("critical", np.full(steps, found.critical_two), ROLES["neutral"], 2.0, True),
    )
    for name, values, color, width, dashed in curves:
        xy = np.stack([at, values], -1)[None].astype(np.float32)
        layers.append(Paths(name, "", xy, (text("curves", name),), (color,), width=width, dashed=dashed))
    top = max(float(found.between.max()), 1.5 * found.critical_two) * 1.1
    axes = Axes((0.0, float(steps - 1)), (0.0, top), text("axes", "step"), "D", at.astype(np.float32))
    return Pane("gaps", text("panes", "gaps"), tuple(layers), axes=axes, place=place, row=row)


# -- predict first ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _law() -> tuple[float, float, int]:
    """Of the view "point": what the exact law gives the first mode, what the bundle's paths did, and how many there are."""
    from demos.generative.diffusion_trajectories import DEMO

    bundle = DEMO.run(DEMO.presets["point"]).bundle
    assert bundle is not None
    return float(bundle.law.weights[0, 0]), float(bundle.shares[0]), bundle.bundle.shape[1]


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """One noise point: how many of its SDE paths end in the heavier mode? The exact law says it."""
    law, share, paths = _law()
    options = (1.0, 0.5, law)
    reveal = (
        text("predict", "all"),
        text("predict", "half"),
        text("predict", "law", law=f"{100 * law:.0f}", share=f"{100 * share:.0f}", paths=str(paths)),
    )
    said = tuple(text("predict", "option", percent=f"{100 * value:.0f}") for value in options)
    return (Guess(text("predict", "question", paths=str(paths)), said, options.index(law), reveal, "point"),)
