"""core.perception.detr_preprocessing against the sizes that DETR's own rule gives and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.detr_preprocessing import DEVIATION, MEAN, imagenet_input, resized_shape


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((800, 800), (800, 800)),
        ((100, 1000), (133, 1330)),
        ((1000, 100), (1330, 133)),
        ((1, 1), (800, 800)),
        ((1, 5000), (1, 5000)),  # a line stays a line: the reference lets the long side grow beyond its limit
    ],
)
def test_known_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_shape(*size) == expected


@settings(deadline=None)
@given(st.integers(50, 3000), st.integers(50, 3000))
def test_the_picture_keeps_its_shape_and_fits(height: int, width: int) -> None:
    h, w = resized_shape(height, width)
    assert min(h, w) <= 800
    assert max(h, w) <= 1333 + max(height, width) / min(height, width)
    assert abs(h / w - height / width) <= 2 * height / width / min(h, w)
    assert resized_shape(width, height) == (w, h)


def test_values_are_standardised_per_channel() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[...] = (10, 128, 255)
    got = imagenet_input(image, shortest=4).numpy()
    assert got.shape == (1, 3, 4, 4)
    assert got.dtype == np.float32
    expected = [(value / 255 - m) / s for value, m, s in zip((10, 128, 255), MEAN, DEVIATION, strict=True)]
    np.testing.assert_allclose(got[0, :, 1, 2], expected, rtol=1e-6)


def test_columns_stay_columns() -> None:
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 255
    got = imagenet_input(image, shortest=8)[0, 0].numpy()
    assert got.shape == (8, 16)
    assert (got[:, :7] < 0).all()
    assert (got[:, 9:] > 0).all()


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3), (1, 3, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="image must have shape"):
        imagenet_input(np.zeros(shape, np.uint8))


def test_other_types_and_sizes_are_refused() -> None:
    with pytest.raises(TypeError, match="image must hold bytes"):
        imagenet_input(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="sizes must be at least 1 px"):
        resized_shape(0, 5)
