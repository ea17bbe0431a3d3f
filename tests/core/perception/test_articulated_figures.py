import cv2
import numpy as np
import pytest

from core.perception.articulated_figures import JOINTS, LIMBS, SIZE, figure_scene


def test_the_same_seed_is_the_same_figure():
    first, again = figure_scene(5), figure_scene(5)
    assert (first.image == again.image).all()
    assert (first.keypoints == again.keypoints).all()
    assert not np.array_equal(first.image, figure_scene(6).image)
    assert first.image.shape == (SIZE[1], SIZE[0], 3)
    assert first.image.dtype == np.uint8


def test_joints_lie_on_their_limbs():
    """Along every limb of many figures, the picture looks like the limb's own end, unless something lies on it."""
    close = 0
    scenes = [figure_scene(seed, occluded=False, zoom=4) for seed in range(20)]
    for scene in scenes:
        smooth = cv2.blur(scene.image, (5, 5)).astype(float)
        for a, b in ((3, 5), (4, 6), (9, 11), (10, 12)):
            ends = scene.keypoints[[a, b]]
            at = [np.rint(ends[0] * (1 - t) + ends[1] * t).astype(int) for t in (0.7, 0.85, 1.0)]
            inside = [0 <= x < smooth.shape[1] and 0 <= y < smooth.shape[0] for x, y in at]
            if all(inside):
                colors = np.array([smooth[y, x] for x, y in at])
                close += int(np.abs(colors - colors[0]).max() < 25)
    assert close > 0.75 * 20 * 4


@pytest.mark.parametrize("zoom", [1, 4])
def test_a_joint_is_where_it_is_drawn_to_a_part_of_a_pixel(zoom):
    """The head is a disc of one colour: the middle of its pixels is the joint, as a median over figures."""
    off = []
    for seed in range(50):
        scene = figure_scene(seed, occluded=False, zoom=zoom)
        x, y = scene.keypoints[0]
        r, at_x, at_y = 9 * zoom, round(x), round(y)
        if not (r <= at_x < scene.image.shape[1] - r and r <= at_y < scene.image.shape[0] - r):
            continue
        part = scene.image[at_y - r : at_y + r + 1, at_x - r : at_x + r + 1].astype(float)
        near = np.abs(part - np.median(part[r - zoom : r + zoom + 1, r - zoom : r + zoom + 1], axis=(0, 1))).max(axis=2)
        _, pieces, _, centres = cv2.connectedComponentsWithStats((near < 40).astype(np.uint8))
        off.append(centres[pieces[r, r]] - r + (at_x - x, at_y - y))
    assert len(off) > 25
    assert np.abs(np.median(off, axis=0)).max() < 0.2


def test_a_larger_picture_has_the_same_figure():
    for seed in (1, 2, 9):
        small, large = figure_scene(seed), figure_scene(seed, zoom=4)
        assert large.image.shape == (384, 256, 3)
        assert large.keypoints == pytest.approx((small.keypoints + 0.5) * 4 - 0.5)
        again = cv2.resize(large.image, SIZE, interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(again - small.image).mean() < 9  # noise, and the thickness of lines
        assert (small.visible == large.visible).all()


def test_occluders_hide_a_joint():
    for seed in range(40):
        hidden, bare = figure_scene(seed, occluded=True), figure_scene(seed, occluded=False)
        assert (hidden.keypoints == bare.keypoints).all()
        assert hidden.occluder is not None
        assert bare.occluder is None
        x0, y0, x1, y1 = hidden.occluder
        inside = (hidden.keypoints >= (x0, y0)) & (hidden.keypoints <= (x1, y1))
        outside = ((hidden.keypoints < 0) | (hidden.keypoints > np.array(SIZE) - 1)).any(axis=1)
        assert ((hidden.visible == 1) == (inside.all(axis=1) & ~outside)).all()
        assert ((hidden.visible == 0) == outside).all()
        assert inside.all(axis=1)[[5, 6, 11, 12]].any()
    shares = [figure_scene(seed).occluder is not None for seed in range(300)]
    assert 0.18 < np.mean(shares) < 0.33


def test_names_and_wrong_input():
    assert len(JOINTS) == 13
    assert all(JOINTS[a].split("_")[0] == JOINTS[b].split("_")[0] for a, b in LIMBS)
    with pytest.raises(ValueError, match=r"seed >= 0 and zoom in 1\.\.8"):
        figure_scene(-1)
    with pytest.raises(ValueError, match="zoom"):
        figure_scene(1, zoom=9)
