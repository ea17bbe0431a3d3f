"""What all views of the topic draw: the picture, a feature map over it, the names of channels and levels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from demos.kit.numbers import format_value
from demos.kit.scene import Hover, Labels, Picture, View, jpeg
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors
from demos.perception.spp_inputs import Inputs, pixels_of

LEVEL_COLORS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#999999")  # finest level first
LOW, HIGH = "#00224E", "#FEE838"  # the ends of the ramp


def channel_name(inputs: Inputs, channel: int, text: Text) -> str:
    """`edge 45°`, or the channel's number where it has no name."""
    if not inputs.names:
        return text("channels", "number", k=str(channel))
    name = inputs.names[channel]
    return text("channels", name.kind, degrees="" if name.degrees is None else f"{name.degrees:g}")


def level_name(level: int) -> str:
    return f"{level}×{level}"


def level_color(levels: tuple[int, ...], index: int) -> str:
    """The finest level has the first colour, whatever the order."""
    order = sorted(range(len(levels)), key=lambda i: (-levels[i], i))
    return LEVEL_COLORS[order.index(index) % len(LEVEL_COLORS)]


def shades(values: np.ndarray, *, low: float | None = None, high: float | None = None) -> np.ndarray:
    """(…,) uint8 places on the magnitude ramp, from the smallest to the largest value; undefined ones lowest."""
    finite = values[np.isfinite(values)]
    lo = float(finite.min()) if low is None and finite.size else (low or 0.0)
    hi = float(finite.max()) if high is None and finite.size else (high or 0.0)
    span = hi - lo
    clean = np.nan_to_num(values, nan=lo, posinf=hi, neginf=lo)
    return (np.clip((clean - lo) / span, 0, 1) * 255).astype(np.uint8) if span > 0 else np.zeros(values.shape, np.uint8)


@lru_cache(maxsize=32)
def _encoded(photo: bytes, height: int, width: int) -> bytes:
    return jpeg(np.frombuffer(photo, np.uint8).reshape(height, width, 3))


def photo_layer(inputs: Inputs, text: Text) -> tuple[Picture, ...]:
    """The picture, if there is one."""
    if inputs.photo is None:
        return ()
    height, width = inputs.photo.shape[:2]
    return (Picture("photo", text("layers", "photo"), (_encoded(inputs.photo.tobytes(), height, width),)),)


def cell_codes(height: int, width: int) -> np.ndarray:
    """(h, w) uint16: every cell its own code."""
    return np.arange(height * width, dtype=np.uint16).reshape(height, width)


def heat_layer(
    values: np.ndarray,
    inputs: Inputs | None,
    key: str,
    label: str,
    text: Text,
    *,
    opacity: float = 0.8,
    low: float | None = None,
    high: float | None = None,
    **linked: object,
) -> Labels:
    """(h, w) values as shaded cells whose tooltip says the number; over the picture if `inputs` says where."""
    height, width = values.shape
    places = shades(values, low=low, high=high).ravel()
    colors = np.concatenate([magnitude_colors()[places], np.full((len(places), 1), 255, np.uint8)], axis=1)
    rows, columns = np.divmod(np.arange(values.size), width)
    names = tuple(
        text("cell", column=str(x), row=str(y), value=format_value(float(v)))
        for y, x, v in zip(rows, columns, values.ravel(), strict=True)
    )
    smallest = float(np.nanmin(values)) if low is None else low
    largest = float(np.nanmax(values)) if high is None else high
    legend = ((format_value(smallest), LOW, 0), (format_value(largest), HIGH, 0))
    return Labels(
        key,
        label,
        cell_codes(height, width),
        (View(key, label, colors.astype(np.uint8), legend=legend),),
        opacity=opacity,
        hover=(Hover("", np.arange(values.size, dtype=np.uint16), names),),
        extent=None if inputs is None else pixels_of(inputs, (0, 0, width, height)),
        **linked,  # type: ignore[arg-type]
    )
