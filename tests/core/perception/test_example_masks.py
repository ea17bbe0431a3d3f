import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import draw

from core.perception.example_masks import drifting_shapes, ellipse_mask, worked_example
from core.perception.segmentation_metrics import confusion_matrix


@pytest.mark.parametrize(
    ("size", "center", "radii"),
    [
        ((480, 800), (400, 240), (290, 170)),
        ((20, 30), (15, 10), (8, 5)),
        ((9, 7), (3.5, 4.5), (2.2, 3.9)),
        ((5, 5), (-1, 2), (3, 3)),
    ],
)
def test_ellipse_is_a_loop_over_pixel_centres(size, center, radii):
    mask = ellipse_mask(size, center=center, radii=radii)
    assert mask.shape == size
    assert mask.dtype == np.uint8
    rows = range(0, size[0], max(1, size[0] // 40))
    for y in rows:
        for x in range(0, size[1], max(1, size[1] // 40)):
            inside = ((x + 0.5 - center[0]) / radii[0]) ** 2 + ((y + 0.5 - center[1]) / radii[1]) ** 2 <= 1
            assert mask[y, x] == inside


def test_ellipse_is_scikit_images():
    mask = ellipse_mask((48, 80), center=(40, 24), radii=(29.3, 17.1))
    expected = np.zeros((48, 80), np.uint8)
    expected[draw.ellipse(23.5, 39.5, 17.1, 29.3, shape=(48, 80))] = 1  # its pixel (0, 0) has its centre at (0, 0)
    assert (mask == expected).all()


def test_ellipse_covers_its_area():
    mask = ellipse_mask((480, 800), center=(400, 240), radii=(290, 170))
    assert mask.sum() == pytest.approx(np.pi * 290 * 170, rel=1e-3)
    assert (mask == mask[::-1]).all()
    assert (mask == mask[:, ::-1]).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(-5, 5))
def test_moving_the_centre_moves_the_ellipse(height, width, shift):
    a = ellipse_mask((40, 40), center=(20, 20), radii=(width, height))
    b = ellipse_mask((40, 40), center=(20 + shift, 20), radii=(width, height))
    assert (np.roll(a, shift, axis=1) == b).all()


@pytest.mark.parametrize(("size", "radii"), [((0, 5), (1, 1)), ((5, 0), (1, 1)), ((5, 5), (0, 1)), ((5, 5), (1, -1))])
def test_ellipse_refuses_nothing_sized(size, radii):
    with pytest.raises(ValueError, match="must be positive"):
        ellipse_mask(size, center=(1, 1), radii=radii)


def test_worked_example_counts_by_hand():
    pair = worked_example()
    matrix = confusion_matrix(
        pair.predictions[0], pair.targets[0], num_classes=pair.num_classes, ignore_index=pair.ignore_index
    )
    assert matrix.tolist() == [[2, 1, 0, 1, 0], [1, 3, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert 4 not in pair.targets[0]  # absent: it is predicted on an ignored pixel only
    assert (pair.targets[0][pair.predictions[0] == 4] == pair.ignore_index).all()


def test_examples_are_made_anew():
    worked_example().targets[0][:] = 9
    assert worked_example().targets[0].max() == 255


def test_clip_lags_by_whole_frames():
    clip = drifting_shapes(frames=12, lag=3)
    assert len(clip.targets) == len(clip.predictions) == 12
    for i in range(12):
        assert (clip.predictions[i] == clip.targets[max(0, i - 3)]).all()
    assert any((a != b).any() for a, b in zip(clip.predictions, clip.targets, strict=True))
    perfect = drifting_shapes(frames=12, lag=0)
    assert all((a == b).all() for a, b in zip(perfect.predictions, perfect.targets, strict=True))


def test_every_frame_moves_and_shows_every_class():
    clip = drifting_shapes(frames=48, lag=2)
    assert clip.num_classes == 4
    assert clip.ignore_index is None
    for frame in clip.targets:
        assert set(np.unique(frame)) == {0, 1, 2, 3}
        assert frame.dtype == np.uint8
    assert all((a != b).any() for a, b in zip(clip.targets, clip.targets[1:], strict=False))


def test_disc_crosses_to_the_right_and_square_falls():
    first, *_, last = drifting_shapes(frames=9, lag=0).targets
    assert np.nonzero(last == 1)[1].mean() > np.nonzero(first == 1)[1].mean() + 100
    assert np.nonzero(last == 2)[0].mean() > np.nonzero(first == 2)[0].mean() + 50


def test_shapes_have_their_areas():
    frame = drifting_shapes(frames=1, lag=0, size=(360, 640)).targets[0]
    unit = 360
    assert (frame == 2).sum() == pytest.approx((0.3 * unit) ** 2, rel=0.02)
    assert (frame == 3).sum() == pytest.approx(np.pi * unit**2 * (0.2**2 - 0.12**2), rel=0.02)


def test_one_frame_is_a_clip():
    clip = drifting_shapes(frames=1, lag=5, size=(16, 16))
    assert len(clip.targets) == 1
    assert (clip.targets[0] == clip.predictions[0]).all()


@pytest.mark.parametrize(
    "options", [{"frames": 0, "lag": 0}, {"frames": 1, "lag": -1}, {"frames": 1, "lag": 0, "size": (15, 99)}]
)
def test_clip_refuses(options):
    with pytest.raises(ValueError, match="needs frames"):
        drifting_shapes(**options)
