import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.pose_crop import pose_crop


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), wide=st.integers(24, 400), tall=st.integers(24, 400))
def test_points_stay_on_what_they_mark(seed, wide, tall):
    """A soft blob is found again where the record says."""
    rng = np.random.default_rng(seed)
    size = (48, 64)
    scale = max(size[0] / wide, size[1] / tall)
    half = np.array(size) / scale / 2
    point = np.array([wide, tall]) / 2 - 0.5 + rng.uniform(-0.6, 0.6, 2) * half
    y, x = np.mgrid[:tall, :wide]
    spread = 3 / scale
    blob = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * spread**2))
    crop = pose_crop(np.repeat(np.rint(blob)[..., None], 3, axis=2).astype(np.uint8), size)
    weight = crop.image[..., 0].astype(float)
    weight[weight < 60] = 0
    rows, columns = np.mgrid[: size[1], : size[0]]
    found = [(weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()]
    assert crop.inside([point])[0] == pytest.approx(found, abs=0.25)
    assert crop.scale == pytest.approx(scale)


def test_a_picture_of_the_right_size_stays_itself():
    image = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    crop = pose_crop(image, (48, 64))
    assert (crop.image == image).all()
    assert (crop.scale, crop.corner) == (1, (0, 0))
    half = pose_crop(np.kron(image, np.ones((2, 2, 1), np.uint8)), (48, 64))
    assert (half.image == image).all()
    assert half.inside([[0.5, 0.5]]).tolist() == [[0, 0]]
    image.setflags(write=False)
    pose_crop(image[:, ::-1], (10, 30))


def test_smaller_is_averaged():
    image = np.zeros((80, 60, 3), np.uint8)
    image[::2] = 200
    assert np.ptp(pose_crop(image, (15, 20)).image) <= 1
    tiny = pose_crop(np.full((1, 1, 3), 7, np.uint8), (30, 40))
    assert (tiny.image == 7).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4)), "bytes"),
        (np.zeros((4, 4), np.uint8), r"shape \(H, W, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(image, words):
    with pytest.raises((TypeError, ValueError), match=words):
        pose_crop(image, (3, 4))
    with pytest.raises(ValueError, match="input_size must be"):
        pose_crop(np.zeros((4, 4, 3), np.uint8), (0, 4))
