"""Colours keep their meaning for every eye: apart from each other, from the page, and in order where they stand for size."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest
from plotly.colors import sequential

from demos.kit.theme import (
    CATEGORIES,
    FONT,
    FONTS,
    ROLES,
    class_colors,
    gradio_theme,
    magnitude_colors,
    rgb,
    role_css,
    signed_colors,
)

# Viénot, Brettel, Mollon 1999, "Digital video colourmaps for checking the legibility of displays by dichromats": linear RGB to linear RGB.
DICHROMATS = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def linear(colors: np.ndarray) -> np.ndarray:
    """sRGB bytes to linear light 0…1."""
    c = np.asarray(colors, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(colors: np.ndarray) -> np.ndarray:
    return linear(colors) @ [0.2126, 0.7152, 0.0722]


def lab(light: np.ndarray) -> np.ndarray:
    """Linear RGB to CIELAB, D65."""
    xyz = light @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    t = xyz / [0.9505, 1.0, 1.089]
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def nearest(light: np.ndarray) -> float:
    """Smallest distance in CIELAB between two of the colours; about 2 is just noticeable."""
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(lab(light), 2))


def contrast(a: np.ndarray, b: np.ndarray) -> float:
    low, high = sorted((float(luminance(a)), float(luminance(b))))
    return (high + 0.05) / (low + 0.05)


def bytes_of(names: tuple[str, ...]) -> np.ndarray:
    return np.array([rgb(name) for name in names])


def test_signed_colours_part_at_zero_and_stay_apart_for_every_eye() -> None:
    ramp = signed_colors(255)
    light = luminance(ramp)
    assert int(light.argmax()) == 127
    assert (np.diff(light[:128]) > 0).all()
    assert (np.diff(light[127:]) < 0).all()
    for matrix in (np.eye(3), *DICHROMATS.values()):
        below, above = linear(ramp[:64]) @ np.array(matrix).T, linear(ramp[:-65:-1]) @ np.array(matrix).T
        assert np.linalg.norm(lab(below) - lab(above), axis=1).min() > 20


def test_rgb_reads_hexadecimal() -> None:
    assert rgb("#0A10fF") == (10, 16, 255)


@pytest.mark.parametrize("colour", [*CATEGORIES, *ROLES.values()])
def test_colours_are_written_alike(colour: str) -> None:
    assert re.fullmatch(r"#[0-9A-F]{6}", colour)


def test_categories_are_okabe_and_itos() -> None:
    assert set(CATEGORIES[:7]) == {"#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}


@pytest.mark.parametrize("eye", ["usual", *DICHROMATS])
def test_categories_stay_apart_for_every_eye(eye: str) -> None:
    light = linear(bytes_of(CATEGORIES))
    seen = light if eye == "usual" else np.clip(light @ np.array(DICHROMATS[eye]).T, 0, 1)
    assert nearest(seen) > 5


def test_the_simulation_would_notice() -> None:
    """Red and green of one luminance fall together for a deuteranope; without the simulation they do not."""
    pair = np.array([[200, 60, 60], [105, 105, 60]])
    light = linear(pair)
    assert nearest(light) > 40
    assert nearest(np.clip(light @ np.array(DICHROMATS["deuteranopia"]).T, 0, 1)) < 25


@pytest.mark.parametrize("eye", ["usual", *DICHROMATS])
def test_hit_false_alarm_and_miss_stay_apart(eye: str) -> None:
    light = linear(bytes_of(tuple(ROLES[role] for role in ("hit", "false_alarm", "miss"))))
    seen = light if eye == "usual" else np.clip(light @ np.array(DICHROMATS[eye]).T, 0, 1)
    assert nearest(seen) > 15


@pytest.mark.parametrize("role", ROLES)
def test_roles_are_seen_on_both_pages(role: str) -> None:
    """Lines and areas need 3 : 1 against the page (WCAG 1.4.11); on light or dark at least one must hold, the other nearly."""
    colour = np.array(rgb(ROLES[role]))
    light, dark = contrast(colour, np.array([255, 255, 255])), contrast(colour, np.array([17, 24, 39]))
    assert max(light, dark) >= 3
    assert min(light, dark) >= 2


@pytest.mark.parametrize("count", [1, 2, 5, 7, 8, 21, 60])
def test_class_colours_are_distinct(count: int) -> None:
    colors = class_colors(count)
    assert colors.shape == (count, 3)
    assert colors.dtype == np.uint8
    assert len({tuple(c) for c in colors.tolist()}) == count
    assert (class_colors(count + 1)[:count] == colors).all()  # a further class recolours no other


@pytest.mark.parametrize("count", [2, 5, 7])
def test_the_first_classes_stay_apart_for_every_eye(count: int) -> None:
    light = linear(class_colors(count))
    for matrix in (np.eye(3), *map(np.array, DICHROMATS.values())):
        assert nearest(np.clip(light @ matrix.T, 0, 1)) > 5


def test_many_classes_are_still_told_apart() -> None:
    colors = class_colors(254)
    assert colors.shape == (254, 3)
    assert len({tuple(c) for c in colors.tolist()}) == 254
    assert class_colors(0).shape == (0, 3)


def test_the_error_colour_is_no_class() -> None:
    assert rgb(ROLES["error"]) not in {tuple(c) for c in class_colors(254).tolist()}


def test_magnitudes_grow_in_luminance() -> None:
    ramp = magnitude_colors()
    assert ramp.shape == (256, 3)
    assert ramp.dtype == np.uint8
    steps = np.diff(luminance(ramp))
    assert (steps >= -2e-4).all()  # bytes round
    assert (np.diff(luminance(ramp[::16])) > 0).all()
    assert tuple(ramp[0]) == rgb("#00224e")
    assert tuple(ramp[-1]) == rgb("#fee838")


def test_magnitudes_are_cividis() -> None:
    """Against plotly's own table of the map of Nuñez, Anderton and Renslow (2018)."""
    published = np.array([rgb(color) for color in sequential.Cividis])
    assert (magnitude_colors(len(published)) == published).all()


@pytest.mark.parametrize("count", [1, 2, 9, 100])
def test_a_ramp_has_as_many_colours_as_asked(count: int) -> None:
    assert magnitude_colors(count).shape == (count, 3)


def test_style_sheets_know_every_colour() -> None:
    css = role_css()
    assert re.fullmatch(r":root\{(--gb-[a-z0-9-]+:#[0-9A-Fa-f]{6};)+\}", css)
    for role, colour in ROLES.items():
        assert f"--gb-{role.replace('_', '-')}:{colour};" in css
    for k, colour in enumerate(CATEGORIES):
        assert f"--gb-c{k}:{colour};" in css


def test_the_page_asks_for_no_font() -> None:
    """System fonts only: no request to another host."""
    theme = gradio_theme()
    assert theme._font_css == []
    assert theme._stylesheets == []
    assert "PingFang SC" in FONT
    assert "Noto Sans CJK SC" in FONTS
