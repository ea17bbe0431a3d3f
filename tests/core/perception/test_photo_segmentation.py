from itertools import permutations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.photo_segmentation import (
    grabcut_segments,
    kmeans_segments,
    name_segments,
    watershed_segments,
)


def photo(h=60, w=90, seed=0):
    """A red disk on a grey ground, with a little noise; and where the disk is."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    disk = (y - h / 2) ** 2 + (x - w / 2) ** 2 < (min(h, w) / 3) ** 2
    image = np.where(disk[..., None], (200, 40, 40), (90, 100, 95)) + rng.integers(-5, 6, (h, w, 3))
    return image.astype(np.uint8), disk


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_grabcut_finds_the_disk_in_its_box():
    image, disk = photo()
    got = grabcut_segments(image, box_xyxy=(20, 5, 70, 55))
    assert set(np.unique(got).tolist()) == {0, 1}
    assert got.dtype == np.int32
    assert iou(got == 1, disk) > 0.99
    assert not got[:, :20].any()


def test_kmeans_groups_colours_and_numbers_them_by_size():
    image, disk = photo()
    got = kmeans_segments(image, clusters=2)
    assert np.array_equal(got == 1, disk)
    sizes = np.bincount(kmeans_segments(image, clusters=5).ravel(), minlength=5)
    assert (np.diff(sizes) <= 0).all()


def test_kmeans_sees_colour_in_lab_and_place_only_when_asked():
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, :20] = image[:, 40:] = 200  # one colour in two places
    by_colour = kmeans_segments(image, clusters=2)
    assert len(np.unique(by_colour[:, :20])) == 1
    assert by_colour[0, 0] == by_colour[0, 59] != by_colour[0, 30]
    by_place = kmeans_segments(np.zeros((20, 60, 3), np.uint8), clusters=2, position_weight=1.0)
    assert by_place[10, 0] != by_place[10, 59]
    assert len(np.unique(by_place)) == 2


def test_kmeans_reads_red_green_blue_in_this_order():
    image = np.zeros((30, 30, 3), np.uint8)
    image[:10], image[10:20], image[20:] = (0, 0, 255), (255, 0, 0), (255, 255, 0)
    blue, red, yellow = kmeans_segments(image, clusters=2, seed=0)[[0, 15, 29], 0]
    assert (
        red == yellow != blue
    )  # in CIELAB 114 apart, blue 176 and 235 from them; with channels reversed, blue is nearer


def test_watershed_parts_at_edges_and_covers_everything():
    image, disk = photo()
    got = watershed_segments(image, min_distance=12)
    assert got.min() == 0
    assert sorted(np.unique(got).tolist()) == list(range(got.max() + 1))
    inside = got[30, 45]
    assert iou(got == inside, disk) > 0.9
    assert watershed_segments(image, min_distance=3).max() > got.max()


def test_watershed_from_strokes_of_ones_own():
    image, disk = photo()
    markers = np.zeros((60, 90), np.int64)
    markers[0, :], markers[28:32, 43:47] = 1, 2
    got = watershed_segments(image, markers=torch.tensor(markers))
    assert set(np.unique(got).tolist()) == {0, 1}
    assert iou(got == 1, disk) > 0.9
    assert (got[0] == 0).all()


@pytest.mark.parametrize("size", [(40, 30), (31, 57), (700, 1300), (1300, 701)])
@pytest.mark.parametrize(
    "segment",
    [
        lambda p: grabcut_segments(
            p, box_xyxy=(p.shape[1] * 0.2, p.shape[0] * 0.1, p.shape[1] * 0.8, p.shape[0] * 0.9)
        ),
        lambda p: kmeans_segments(p, clusters=3, position_weight=0.3),
        lambda p: watershed_segments(p),
    ],
    ids=["grabcut", "kmeans", "watershed"],
)
def test_any_size_is_covered_deterministically_and_left_alone(size, segment):
    image, _ = photo(*size)
    before = image.copy()
    first = segment(image)
    cv2.setRNGSeed(12345)
    cv2.randu(np.zeros(7, np.uint8), 0, 255)
    assert first.shape == size
    assert first.dtype == np.int32
    assert first.min() >= 0
    assert np.array_equal(first, segment(image))
    assert np.array_equal(image, before)


def test_a_large_photo_comes_back_aligned():
    image, disk = photo(900, 1400)
    assert iou(kmeans_segments(image, clusters=2) == 1, disk) > 0.99
    assert iou(grabcut_segments(image, box_xyxy=(300, 50, 1100, 850)) == 1, disk) > 0.97
    markers = np.zeros((900, 1400), np.uint8)
    markers[0, 0], markers[450, 700] = 1, 2  # a single pixel survives the reduction
    assert iou(watershed_segments(image, markers=markers) == 1, disk) > 0.95


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (2, 2)])
def test_tiny_and_flat_photos(size):
    flat = np.full((*size, 3), 7, np.uint8)
    assert kmeans_segments(flat, clusters=1).tolist() == np.zeros(size, int).tolist()
    assert watershed_segments(flat).tolist() == np.zeros(size, int).tolist()
    if size != (1, 1):
        assert grabcut_segments(flat, box_xyxy=(0, 0, 1, 1)).shape == size


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_rgb_photo_is_refused(bad):
    for call in (
        lambda: grabcut_segments(bad, box_xyxy=(0, 0, 1, 1)),
        lambda: kmeans_segments(bad, clusters=1),
        lambda: watershed_segments(bad),
    ):
        with pytest.raises(ValueError, match="RGB uint8"):
            call()


def test_mistaken_options_are_named():
    image, _ = photo(20, 20)
    for box in ((5, 5, 5, 9), (9, 9, 3, 3), (30, 30, 40, 40)):
        with pytest.raises(ValueError, match="must hold some of"):
            grabcut_segments(image, box_xyxy=box)
    with pytest.raises(ValueError, match="leave some background"):
        grabcut_segments(image, box_xyxy=(-5, 0, 20, 99))
    with pytest.raises(ValueError, match="iterations"):
        grabcut_segments(image, box_xyxy=(2, 2, 9, 9), iterations=0)
    for clusters in (0, 401):
        with pytest.raises(ValueError, match="clusters"):
            kmeans_segments(image, clusters=clusters)
    with pytest.raises(ValueError, match="position_weight"):
        kmeans_segments(image, clusters=2, position_weight=-1)
    with pytest.raises(ValueError, match="min_distance"):
        watershed_segments(image, min_distance=0)
    for markers in (np.zeros((20, 20), int), np.ones((3, 3), int), np.full((20, 20), -1)):
        with pytest.raises(ValueError, match="markers"):
            watershed_segments(image, markers=markers)
    with pytest.raises(TypeError, match="integer"):
        watershed_segments(image, markers=np.ones((20, 20)))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), s=st.integers(1, 5), k=st.integers(1, 4), ignore=st.sampled_from([None, 0, 255]))
def test_names_are_the_best_of_all_assignments_and_the_rest_majority(seed, s, k, ignore):
    rng = np.random.default_rng(seed)
    segments, target = rng.integers(0, s, (4, 5)), rng.integers(0, k, (4, 5))
    if ignore is not None:
        target[rng.random((4, 5)) < 0.2] = ignore
    named = name_segments(segments, target, num_classes=k, ignore_index=ignore)
    s = int(segments.max()) + 1
    overlap = np.array([[((segments == i) & (target == c) & (c != ignore)).sum() for c in range(k)] for i in range(s)])
    assert named.overlap.tolist() == overlap.tolist()
    wide = max(s, k)
    padded = np.zeros((wide, wide), int)
    padded[:s, :k] = overlap
    best = max(sum(padded[i, c] for i, c in enumerate(order)) for order in permutations(range(wide)))
    assert sum(overlap[i, named.names[i]] for i in range(s) if named.assigned[i]) == best
    given_out = named.names[named.assigned].tolist()
    assert len(set(given_out)) == len(given_out)
    for i in range(s):
        if not named.assigned[i]:
            assert named.names[i] == overlap[i].argmax()
    assert np.array_equal(named.labels, named.names[segments])


def test_naming_by_overlap_beats_majority_for_the_total():
    nothing_left = name_segments(np.array([[0, 0, 1]]), np.array([[0, 0, 0]]), num_classes=2)
    assert nothing_left.names.tolist() == [0, 0]  # segment 1 has nothing in common with the class left over
    assert nothing_left.assigned.tolist() == [True, False]
    segments = np.array([[0] * 10 + [1] * 9])
    target = np.array([[0] * 6 + [1] * 4 + [0] * 5 + [1] * 4])
    assert name_segments(segments, target, num_classes=2).names.tolist() == [0, 1]
    assert name_segments(segments[:, :0], target[:, :0], num_classes=2).names.tolist() == []
    with pytest.raises(ValueError, match="numbered from 0"):
        name_segments(segments - 1, target, num_classes=2)
    with pytest.raises(ValueError, match="target must hold"):
        name_segments(segments, target + 1, num_classes=2)
