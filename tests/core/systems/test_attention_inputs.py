"""Noise and patches: what they are made of, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.systems.attention_inputs import noise_inputs, patch_inputs

RGB = np.random.default_rng(3).integers(0, 256, (48, 64, 3)).astype(np.uint8)


# -- oracle ----------------------------------------------------------------------------------------------------------


def test_noise_is_numpys(receipt) -> None:
    rng = np.random.default_rng(5)
    expected = [rng.standard_normal((n, 3)) for n in (7, 9, 9)]
    got = noise_inputs(7, 3, seed=5, n_k=9, spread=2.0)
    receipt(noise_inputs, "inputs", got.q, 2 * expected[0], reference="numpy", tolerance=0)
    receipt(noise_inputs, "inputs", got.k, expected[1], reference="numpy", tolerance=0)
    receipt(noise_inputs, "inputs", got.v, expected[2], reference="numpy", tolerance=0)


def test_colours_are_means_of_the_patches(receipt) -> None:
    """A patch of 12 × 16 pixels is sampled at 4 × 4 places whose areas tile it, so the mean is the patch's own."""
    got = patch_inputs(RGB, rows=4, columns=4, d=5)
    brute = [
        [float(RGB[12 * r : 12 * r + 12, 16 * c : 16 * c + 16, ch].mean()) / 255 for ch in range(3)]
        for r in range(4)
        for c in range(4)
    ]
    form = "mean over each patch's pixels"
    receipt(patch_inputs, "color", got.colors, brute, reference=form, tolerance=0.5 / 255)  # areas are rounded to bytes
    assert (got.v[:, :3] == got.colors).all()


def test_scores_are_cosines_of_projected_patches(receipt) -> None:
    got = patch_inputs(
        RGB, rows=3, columns=4, d=48, sharpness=5.0
    )  # 48 of 48: a rotation, cosines are the patches' own
    flat = RGB.reshape(12, 4, 16, 4, 3).mean(axis=(1, 3)).round()
    patches = np.array([flat[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].ravel() for r in range(3) for c in range(4)])
    patches -= patches.mean(axis=0)
    norm = np.linalg.norm(patches, axis=1)
    expected = 5.0 * (patches @ patches.T) / np.outer(norm, norm)
    scores = got.q @ got.k.T / 48**0.5
    receipt(patch_inputs, "score", scores, expected, reference="cosine of centred patches", tolerance=0.05)
    assert np.allclose(np.diag(scores), 5.0)


# -- property --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(3, 60), st.floats(0, 50))
def test_no_score_is_above_the_sharpness(rows: int, columns: int, d: int, sharpness: float) -> None:
    got = patch_inputs(RGB, rows=rows, columns=columns, d=d, sharpness=sharpness)
    assert got.q.shape == got.k.shape == got.v.shape == (rows * columns, d)
    scores = got.q @ got.k.T * d**-0.5
    assert np.isfinite(scores).all()
    assert scores.max(initial=0) <= sharpness + 1e-9
    assert scores.min(initial=0) >= -sharpness - 1e-9


def test_the_projection_keeps_lengths_apart() -> None:
    """Orthonormal columns: no direction counts more than another."""
    for d in (5, 48, 70):
        x = patch_inputs(RGB, rows=6, columns=8, d=d)
        assert np.allclose(np.linalg.norm(x.k, axis=1), 1)
        assert np.allclose(x.q, x.k * 8 * d**0.5)


# -- degenerate ------------------------------------------------------------------------------------------------------


def test_a_flat_picture_has_equal_scores() -> None:
    got = patch_inputs(np.full((9, 9, 3), 77, np.uint8), rows=3, columns=3, d=4)
    assert (got.q == 0).all()
    assert np.allclose(got.colors, 77 / 255)


def test_one_pixel_a_patch_and_one_patch() -> None:
    tiny = RGB[:2, :2]
    assert np.allclose(patch_inputs(tiny, rows=1, columns=1, d=3).colors, tiny.mean(axis=(0, 1)) / 255, atol=2 / 255)
    assert patch_inputs(tiny, rows=2, columns=2, d=3).q.shape == (4, 3)
    assert patch_inputs(np.asfortranarray(RGB)[::2], rows=2, columns=2, d=3).q.shape == (4, 3)


def test_pictures_and_seeds_are_left_alone() -> None:
    before = RGB.copy()
    first, again = (patch_inputs(RGB, rows=4, columns=4, d=8) for _ in range(2))
    assert (before == RGB).all()
    assert (first.q == again.q).all()
    assert not np.allclose(first.q, patch_inputs(RGB, rows=4, columns=4, d=8, seed=1).q)


@pytest.mark.parametrize(
    "wrong", [{"n_q": 0}, {"d": 0}, {"n_k": 0}, {"spread": -1.0}, {"spread": np.nan}, {"spread": np.inf}]
)
def test_impossible_noise_is_refused(wrong: dict) -> None:
    options = {"n_q": 4, "d": 2, **wrong}
    with pytest.raises(ValueError, match=r"at least 1|finite number"):
        noise_inputs(options.pop("n_q"), options.pop("d"), seed=0, **options)


@pytest.mark.parametrize(
    ("rgb", "options"),
    [
        (RGB[..., 0], {}),
        (RGB.astype(float), {}),
        (RGB, {"rows": 0}),
        (RGB, {"columns": 65}),
        (RGB, {"d": 2}),
        (RGB[:0], {}),
    ],
)
def test_impossible_patches_are_refused(rgb: np.ndarray, options: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        patch_inputs(rgb, **{"rows": 4, "columns": 4, "d": 8, **options})
