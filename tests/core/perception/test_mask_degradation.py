import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.mask_degradation import degrade


def label_maps(seed, k=4):
    rng = np.random.default_rng(seed)
    small = rng.choice(rng.integers(0, k, 3), tuple(rng.integers(1, 5, 2)))
    return np.repeat(np.repeat(small, rng.integers(1, 4), axis=0), rng.integers(1, 4), axis=1)


def positions(labels, test):
    return [at for at in np.ndindex(labels.shape) if test(int(labels[at]))]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), radius=st.sampled_from([0.5, 1, 1.5, 2, math.sqrt(5), 3]))
def test_erosion_clears_what_is_near_another_class(seed, radius):
    target = label_maps(seed)
    got = degrade(target, num_classes=4, erode=radius)
    for at in np.ndindex(target.shape):
        other = positions(target, lambda v, here=int(target[at]): v != here)
        near = any(math.dist(at, o) <= radius + 1e-9 for o in other)
        assert got[at] == (0 if near else target[at])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), radius=st.sampled_from([0.5, 1, 1.5, 2, math.sqrt(5), 3]))
def test_dilation_gives_background_to_the_nearest_class_the_lowest_first(seed, radius):
    target = label_maps(seed)
    got = degrade(target, num_classes=4, dilate=radius)
    objects = positions(target, lambda v: v > 0)
    for at in np.ndindex(target.shape):
        near = sorted((math.dist(at, o), int(target[o])) for o in objects if math.dist(at, o) <= radius + 1e-9)
        assert got[at] == (target[at] if target[at] or not near else near[0][1])


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), dx=st.integers(-14, 14), dy=st.integers(-14, 14))
def test_shift_moves_right_and_down_over_background(seed, dx, dy):
    target = label_maps(seed)
    got = degrade(target, num_classes=4, shift=(dx, dy))
    h, w = target.shape
    for y, x in np.ndindex(target.shape):
        inside = 0 <= y - dy < h and 0 <= x - dx < w
        assert got[y, x] == (target[y - dy, x - dx] if inside else 0)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), k=st.sampled_from([2, 3, 256]))
def test_salt_changes_exactly_that_share_into_other_classes(seed, share, k):
    target = np.random.default_rng(seed).integers(0, k, (9, 11))
    got = degrade(target, num_classes=k, salt=share, seed=seed)
    assert np.count_nonzero(got != target) == round(share * 99)
    assert got.max(initial=0) < k
    assert np.array_equal(got, degrade(target, num_classes=k, salt=share, seed=seed))


def test_salt_is_uniform_over_the_other_classes_and_follows_its_seed():
    target = np.full((300, 300), 2)
    got = degrade(target, num_classes=5, salt=1.0)
    counts = np.bincount(got.ravel(), minlength=5)
    assert counts[2] == 0
    assert np.abs(counts[[0, 1, 3, 4]] - 22500).max() < 600
    assert not np.array_equal(got, degrade(target, num_classes=5, salt=1.0, seed=1))


def test_salt_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    degrade(np.zeros((4, 4), int), num_classes=2, salt=0.5)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_dropped_class_becomes_background_and_the_rest_stays():
    target = torch.tensor([[0, 1, 2, 1]])
    assert degrade(target, num_classes=3, drop_class=1).tolist() == [[0, 0, 2, 0]]
    assert degrade(target, num_classes=3, drop_class=0).tolist() == target.tolist()


def test_steps_come_in_the_stated_order():
    target = np.zeros((1, 9), int)
    target[0, 4:7] = 1
    assert degrade(target, num_classes=2, erode=1, dilate=2).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1, 0]]
    edge = np.array([[0, 0, 1]])
    assert degrade(edge, num_classes=2, shift=(1, 0), dilate=1).tolist() == [[0, 0, 0]]
    dropped = np.array([[1, 2, 2, 0]])
    assert degrade(dropped, num_classes=3, drop_class=1, erode=1).tolist() == [[0, 0, 0, 0]]


def test_ignored_pixels_become_background_before_anything_else():
    target = np.array([[1, 1, 255, 255]])
    assert degrade(target, num_classes=2, ignore_index=255).tolist() == [[1, 1, 0, 0]]
    assert degrade(target, num_classes=2, ignore_index=255, dilate=1).tolist() == [[1, 1, 1, 0]]
    assert degrade(np.array([[-1, 1]]), num_classes=2, ignore_index=-1).tolist() == [[0, 1]]
    assert degrade(target, num_classes=2, ignore_index=255, erode=1).tolist() == [[1, 0, 0, 0]]


def test_all_background_wins_over_everything():
    target = np.array([[1, 2, 255]])
    got = degrade(target, num_classes=3, ignore_index=255, all_background=True, salt=1.0, dilate=3)
    assert got.tolist() == [[0, 0, 0]]
    assert got.dtype == np.uint8


def test_nothing_asked_is_a_copy_and_the_target_is_left_alone():
    target = np.array([[1, 0], [2, 1]], np.uint8)
    got = degrade(target, num_classes=3)
    got[:] = 0
    assert target.tolist() == [[1, 0], [2, 1]]
    degrade(target, num_classes=3, erode=1, dilate=1, salt=0.5, shift=(1, 1))
    assert target.tolist() == [[1, 0], [2, 1]]
    assert degrade(target[:0], num_classes=3, erode=1, dilate=2, salt=0.5).shape == (0, 2)


def test_the_image_border_erodes_nothing():
    assert degrade(np.ones((3, 3), int), num_classes=2, erode=5).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"erode": -1}, "erode"),
        ({"dilate": math.nan}, "dilate"),
        ({"salt": 1.5}, "salt"),
        ({"drop_class": 3}, "drop_class"),
        ({"num_classes": 257}, "num_classes"),
        ({"num_classes": 1}, "target must hold"),
    ],
)
def test_mistakes_are_named(options, match):
    with pytest.raises(ValueError, match=match):
        degrade(np.array([[0, 1]]), **{"num_classes": 3, **options})


def test_more_mistakes():
    with pytest.raises(ValueError, match="another class"):
        degrade(np.zeros((2, 2), int), num_classes=1, salt=0.5)
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        degrade(np.zeros(2, int), num_classes=1)
    with pytest.raises(TypeError, match="integer"):
        degrade(np.zeros((2, 2)), num_classes=1)
