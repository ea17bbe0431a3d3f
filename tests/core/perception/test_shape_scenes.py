import cv2
import numpy as np
import pytest

from core.perception.boxes import box_iou, cxcywh_to_xyxy
from core.perception.shape_scenes import CLASSES, Shape, shape_box, shape_scene


def test_a_scene_is_its_seed():
    one, same, other = shape_scene(3), shape_scene(3), shape_scene(4)
    assert (one.image == same.image).all()
    assert (one.boxes == same.boxes).all()
    assert not np.array_equal(one.boxes, other.boxes)
    assert one.image.shape == (288, 288, 3)
    assert one.image.dtype == np.uint8
    small = shape_scene(3, side=96)
    assert (small.boxes == one.boxes).all()
    assert small.shapes == one.shapes
    shrunk = cv2.resize(one.image, (96, 96), interpolation=cv2.INTER_AREA)
    smooth = [cv2.GaussianBlur(image, (0, 0), 2).astype(int) for image in (small.image, shrunk)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 4


def test_scenes_vary_in_everything():
    scenes = [shape_scene(seed, side=32) for seed in range(200)]
    counts = np.bincount([len(s.labels) for s in scenes], minlength=6)
    assert counts[0] == 0
    assert (counts[1:6] > 20).all()
    assert len(counts) == 6
    labels = np.concatenate([s.labels for s in scenes])
    assert np.bincount(labels, minlength=len(CLASSES)) == pytest.approx([len(labels) / 3] * 3, rel=0.2)
    assert len({shape.color for s in scenes for shape in s.shapes}) == 6
    assert {len(shape_scene(1, count=n, side=32).labels) for n in (0, 1, 2)} == {0, 1, 2}


def test_objects_lie_in_the_picture_and_beside_each_other():
    for seed in range(200):
        scene = shape_scene(seed, count=8, side=32)
        corners = cxcywh_to_xyxy(scene.boxes)
        assert corners.min() >= 0
        assert corners.max() <= 1
        iou = box_iou(corners, corners)
        assert (iou[~np.eye(len(iou), dtype=bool)] <= 0.3).all()
        middles = np.array([shape.center for shape in scene.shapes])
        for i, shape in enumerate(scene.shapes):
            away = np.hypot(*(middles - middles[i]).T)
            away[i] = np.inf
            assert away.min() > 0.9 * shape.radius


@pytest.mark.parametrize("label", [0, 1, 2])
def test_boxes_are_the_extent_of_what_is_drawn(label):
    """In pictures of one object: pixels that differ from the same scene without it."""
    checked = 0
    for seed in range(60):
        scene = shape_scene(seed, count=1)
        if scene.labels[0] != label:
            continue
        shape = scene.shapes[0]
        outline = np.zeros((288, 288), np.uint8)
        if label == 0:
            y, x = np.mgrid[:288, :288] + 0.5
            outline = np.hypot(x / 288 - shape.center[0], y / 288 - shape.center[1]) <= shape.radius
        else:
            n = 4 if label == 1 else 3
            angles = shape.angle + 2 * np.pi * np.arange(n) / n
            points = (np.array(shape.center) + shape.radius * np.stack([np.cos(angles), np.sin(angles)], 1)) * 288
            outline = cv2.fillPoly(outline, [np.rint(points - 0.5).astype(np.int32)], 1) > 0
        image = cv2.GaussianBlur(scene.image, (0, 0), 2).astype(float)
        color = image[outline].mean(0)
        near = np.abs(image - color).sum(2) < 60
        assert near[cv2.erode(outline.astype(np.uint8), np.ones((9, 9))) > 0].mean() > 0.99
        rows, columns = np.flatnonzero(outline.any(1)), np.flatnonzero(outline.any(0))
        drawn = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 288
        assert cxcywh_to_xyxy(scene.boxes)[0] == pytest.approx(drawn, abs=1.5 / 288)
        assert np.abs(color - np.array(shape.color)).max() < 30
        checked += 1
    assert checked > 5


def test_later_shapes_lie_on_top():
    for seed in range(40):
        scene = shape_scene(seed, count=8)
        last = scene.shapes[-1]
        x, y = (int(p * 288) for p in last.center)
        patch = scene.image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0)
        assert np.abs(patch - np.array(last.color)).max() < 40


def test_boxes_of_known_shapes(receipt):
    black = (0, 0, 0)
    cases = [
        (Shape(0, (0.5, 0.4), 0.1, 1.0, black), [0.4, 0.3, 0.6, 0.5]),
        (Shape(1, (0.5, 0.5), 0.2, 0.0, black), [0.3, 0.3, 0.7, 0.7]),
        (Shape(1, (0.5, 0.5), 0.2, np.pi / 4, black), [0.5 - 0.2**0.5 * 0.1**0.5, 0.5 - 0.02**0.5, 0.5 + 0.02**0.5, 0.5 + 0.02**0.5]),
        (Shape(2, (0.5, 0.5), 0.2, 0.0, black), [0.4, 0.5 - 0.2 * 3**0.5 / 2, 0.7, 0.5 + 0.2 * 3**0.5 / 2]),
    ]  # fmt: skip
    for shape, expected in cases:
        receipt(shape_box, "box", shape_box(shape), expected, reference="closed form")


@pytest.mark.parametrize(
    "options", [{"seed": -1}, {"seed": 0, "side": 31}, {"seed": 0, "count": 9}, {"seed": 0, "count": -1}]
)
def test_mistakes_are_named(options):
    with pytest.raises(ValueError, match="needs seed >= 0"):
        shape_scene(**options)
