"""The plane as a picture: particles, the density behind them, and what the colours mean. Shared by the lenses of a topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.generative.diffusion_inputs import REACH, SPREADS, WEIGHTS, Mode
from demos.kit.scene import BoxSet, Labels, Tools, View
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, rgb

if TYPE_CHECKING:
    from core.generative.mixtures import GaussianMixture

SIDE = 1000  # units along a side of the plane
SHADES = 24  # of the density
INK = "#6C7A89"
GROUPS = (CATEGORIES[0], CATEGORIES[1], CATEGORIES[2], CATEGORIES[3], CATEGORIES[7])  # where a particle belongs


def pixels(states: Any, scales: Sequence[float]) -> np.ndarray:
    """(T, N, 2) positions in the process' coordinates to units of the pane, as int16."""
    x = states.double().numpy() * np.array(scales)[:, None, None] / REACH
    x = np.stack([x[..., 0] + 1, 1 - x[..., 1]], -1) * (SIDE / 2)
    return np.clip(np.rint(x), -SIDE, 2 * SIDE).astype(np.int16)


def density_layer(sheets: np.ndarray, text: Text) -> Labels:
    """(T, cells, cells) densities, each on its own scale; one sheet stands still."""
    most = np.maximum(sheets.max(axis=(1, 2), keepdims=True), 1e-300)
    codes = np.rint(np.sqrt(sheets / most) * (SHADES - 1)).astype(np.uint8)
    ramp = np.array([[*rgb(INK), round(200 * k / (SHADES - 1))] for k in range(SHADES)], np.uint8)
    view = View("density", text("plane", "density"), ramp, legend=((text("plane", "density"), INK, 0),))
    return Labels(
        "density",
        text("plane", "density"),
        codes if len(codes) > 1 else codes[0],
        (view,),
        opacity=1.0,
        smooth=True,
    )


def group_names(mixture: GaussianMixture, groups: Any, text: Text) -> tuple[str, ...]:
    """What the groups of components are called: modes with their weights, or sides of the plane."""
    count = int(groups.max()) + 1
    if count < mixture.components:
        return tuple(text(f"sector_{g}") for g in range(count))
    return tuple(text("plane", "mode", k=str(g + 1), weight=f"{float(w):.2f}") for g, w in enumerate(mixture.weights))


def legend_layer(mixture: GaussianMixture, groups: Any, text: Text) -> Labels:
    """Names the dots' colours; it colours nothing itself."""
    legend = tuple((name, GROUPS[g], 0) for g, name in enumerate(group_names(mixture, groups, text)))
    view = View("groups", "", np.zeros((1, 4), np.uint8), legend=legend)
    return Labels("groups", text("plane", "dots"), np.zeros((1, 1), np.uint8), (view,), opacity=1.0)


def mode_tools(modes: Sequence[Mode], edits: str, pane: str, text: Text) -> Tools:
    """Modes as boxes on a pane: middle, spread and, as class, weight."""
    corners = [
        [
            m.x - SPREADS * m.std_x,
            -m.y - SPREADS * m.std_y,
            m.x + SPREADS * m.std_x,
            -m.y + SPREADS * m.std_y,
        ]
        for m in modes
    ]
    xyxy = ((np.array(corners) / REACH + 1) * (SIDE / 2)).clip(0, SIDE).astype(np.float32)
    return Tools(
        pane,
        classes=tuple(text("editor", "weight", k=str(w)) for w in WEIGHTS),
        boxes=(
            BoxSet(
                "m",
                text("editor", "mode"),
                tuple(m.id for m in modes),
                tuple(WEIGHTS.index(m.weight) for m in modes),
                xyxy,
            ),
        ),
        edits=edits,
    )
