"""One set of colours with meanings, for Python figures, the stage and Gradio alike.

Categories are Okabe and Ito's eight (2008), chosen to stay apart under the common colour blindnesses; magnitudes are cividis.
A meaning never rests on colour alone: errors are hatched as well, and every colour stands beside a word or a number.
"""

from __future__ import annotations

import numpy as np

CATEGORIES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999")

ROLES = {
    "truth": "#009E73",
    "prediction": "#0072B2",
    "error": "#D55E00",
    "hit": "#009E73",  # true positive
    "false_alarm": "#D55E00",  # false positive
    "miss": "#CC79A7",  # false negative
    "forward": "#0072B2",
    "recompute": "#E69F00",
    "backward": "#CC79A7",
    "neutral": "#7A7F87",
}

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif'
FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)

# cividis at ten equidistant points, as plotly has it; linear in between
_CIVIDIS = (
    "#00224e",
    "#123570",
    "#3b496c",
    "#575d6d",
    "#707173",
    "#8a8678",
    "#a59c74",
    "#c3b369",
    "#e1cc55",
    "#fee838",
)


def rgb(color: str) -> tuple[int, int, int]:
    """`#RRGGBB` to three bytes.

    >>> rgb("#009E73")
    (0, 158, 115)
    """
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def class_colors(count: int) -> np.ndarray:
    """(count, 3) uint8, one colour a class: class 0 grey (it is the background nearly everywhere), then those of Okabe and Ito's that
    no error wears, then a fixed walk through hues for larger label sets."""
    named = [rgb(CATEGORIES[i]) for i in (7, 1, 2, 3, 4, 6, 0)]
    extra = [_hue((0.61803398875 * i) % 1.0, 0.55 + 0.25 * (i % 3) / 2) for i in range(max(0, count - len(named)))]
    return np.array((named + extra)[:count], dtype=np.uint8).reshape(-1, 3)


def _hue(hue: float, value: float) -> tuple[int, int, int]:
    sector, part = int(hue * 6), hue * 6 - int(hue * 6)
    low, falling, rising = value * 0.35, value * (1 - 0.65 * part), value * (1 - 0.65 * (1 - part))
    ring = [
        (value, rising, low),
        (falling, value, low),
        (low, value, rising),
        (low, falling, value),
        (rising, low, value),
        (value, low, falling),
    ]
    r, g, b = ring[sector % 6]
    return round(r * 255), round(g * 255), round(b * 255)


def magnitude_colors(count: int = 256) -> np.ndarray:
    """(count, 3) uint8 cividis ramp."""
    anchors = np.array([rgb(c) for c in _CIVIDIS], dtype=float)
    at = np.linspace(0, len(anchors) - 1, count)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def signed_colors(count: int = 256) -> np.ndarray:
    """(count, 3) uint8 from blue over near-white to vermilion: numbers below, at and above zero."""
    anchors = np.array([rgb("#0072B2"), rgb("#7FB6D6"), rgb("#F4F4F1"), rgb("#EBA97D"), rgb("#D55E00")], dtype=float)
    at = np.linspace(0, len(anchors) - 1, count)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def role_css() -> str:
    """The colours as CSS custom properties."""
    roles = "".join(f"--gb-{name.replace('_', '-')}:{value};" for name, value in ROLES.items())
    return ":root{" + roles + "".join(f"--gb-c{i}:{c};" for i, c in enumerate(CATEGORIES)) + "}"


def gradio_theme():
    """Gradio's default theme, quiet: system fonts, one accent, readable secondary text."""
    from gradio import themes

    base = themes.Default(
        primary_hue=themes.colors.blue,
        neutral_hue=themes.colors.slate,
        font=list(FONTS),
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return base.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_dark="*primary_600",
    )
