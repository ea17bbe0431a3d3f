import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from core.perception.error_regions import worst_errors
from tests.oracles import segmentation as oracle


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), h=st.integers(1, 8), w=st.integers(1, 8), ignore=st.sampled_from([None, 0, 255, -1]))
def test_depth_and_regions_against_loops(seed, h, w, ignore, receipt):
    rng = np.random.default_rng(seed)
    target, prediction = rng.choice(rng.integers(0, 4, 2), (h, w)), rng.choice(rng.integers(0, 5, 3), (h, w))
    if ignore is not None:
        target[rng.random((h, w)) < 0.2] = ignore
    result = worst_errors(prediction, target, num_classes=4, ignore_index=ignore, count=100)
    expected = oracle.depth(prediction, target, 4, ignore)
    receipt(worst_errors, "depth", result.depth, expected, reference="a loop over all pairs of pixels", tolerance=1e-5)

    regions = []
    for c in range(5):
        patches, count = ndimage.label((prediction == c) & (expected > 0), structure=np.ones((3, 3)))
        for i in range(1, count + 1):
            at = min(map(tuple, np.argwhere(patches == i).tolist()), key=lambda yx: (-result.depth[yx], yx))
            area = int((patches == i).sum())
            regions.append((-float(result.depth[at]), -area, at[0], at[1], int(target[at]), c))
    found = [(-r.depth, -r.area, r.y, r.x, r.target_class, r.predicted_class) for r in result.regions]
    assert found == sorted(regions)


def test_depth_is_scipys_on_a_larger_map(receipt):
    rng = np.random.default_rng(0)
    target = np.repeat(np.repeat(rng.integers(0, 5, (9, 11)), 17, axis=0), 13, axis=1)
    prediction = np.where(rng.random(target.shape) < 0.3, rng.integers(0, 5, target.shape), target)
    expected = np.zeros(target.shape)
    for c in range(5):
        wrong = (prediction == c) & (target != c)
        expected[wrong] = ndimage.distance_transform_edt(target != c)[wrong]
    got = worst_errors(prediction, target, num_classes=5)
    receipt(worst_errors, "depth", got.depth, expected, reference="scipy", tolerance=1e-5)
    assert len(got.regions) == 10


def test_a_class_that_occurs_nowhere_is_a_diagonal_away():
    target = np.zeros((3, 4), int)
    prediction = target.copy()
    prediction[1, 2], prediction[2, 0] = 1, 77
    result = worst_errors(prediction, target, num_classes=2)
    assert result.depth[1, 2] == result.depth[2, 0] == 5
    assert {r.predicted_class for r in result.regions} == {1, 77}
    assert all(r.depth < math.inf for r in result.regions)


def test_ignored_pixels_are_neither_wrong_nor_a_goal():
    target, prediction = np.array([[1, 0, 0, 0, 0]]), np.array([[0, 0, 0, 1, 0]])
    result = worst_errors(prediction, target, num_classes=2, ignore_index=1)
    assert result.depth.tolist() == [[0, 0, 0, np.float32(math.hypot(1, 5)), 0]]
    assert [(r.x, r.area) for r in result.regions] == [(3, 1)]


def test_regions_touching_at_a_corner_are_one_and_the_worst_come_first():
    target = np.zeros((6, 6), int)
    target[0, 0] = 1
    prediction = target.copy()
    prediction[2, 2] = prediction[3, 3] = prediction[0, 5] = 1
    regions = worst_errors(prediction, target, num_classes=2, count=2).regions
    assert [(r.x, r.y, r.area) for r in regions] == [(5, 0, 1), (3, 3, 2)]
    assert worst_errors(prediction, target, num_classes=2, count=1).regions == regions[:1]
    assert worst_errors(prediction, target, num_classes=2, count=0).regions == ()


def test_everything_right_or_nothing_there():
    target = np.array([[0, 1], [1, 0]])
    assert worst_errors(target, target, num_classes=2).regions == ()
    empty = worst_errors(target[:0], target[:0], num_classes=2)
    assert empty.depth.shape == (0, 2)


def test_mistakes_are_named():
    target = np.array([[0, 1]])
    with pytest.raises(ValueError, match="count must not be negative"):
        worst_errors(target, target, num_classes=2, count=-1)
    with pytest.raises(ValueError, match="target must hold"):
        worst_errors(target, target, num_classes=1)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        worst_errors(target[0], target[0], num_classes=2)
    with pytest.raises(TypeError, match="integer"):
        worst_errors(target * 0.5, target, num_classes=2)
