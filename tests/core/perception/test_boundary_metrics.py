import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from core.perception.boundary_metrics import boundary_f_score, boundary_iou, hausdorff_distance
from tests.oracles import segmentation as oracle

quick = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def mask_pairs(draw, largest=12):
    """Masks of any odd size: noise, blobs, empty, full."""
    h, w = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shares = draw(st.tuples(*[st.sampled_from([0.0, 0.02, 0.3, 0.8, 0.97, 1.0])] * 2))
    return tuple(rng.random((h, w)) < share for share in shares)


def ellipses(shift=9):
    mask = np.zeros((541, 960), np.uint8)
    cv2.ellipse(mask, (480, 270), (350, 200), 20, 0, 360, 1, -1)
    return np.roll(mask, shift, axis=1), mask


@quick
@given(pair=mask_pairs(), ratio=st.sampled_from([0.001, 0.1, 0.25, 1.0]))
def test_boundary_iou_is_that_of_repeated_erosions(pair, ratio, receipt):
    got = boundary_iou(*pair, dilation_ratio=ratio)
    iou, d = oracle.boundary_iou(*pair, ratio)
    receipt(boundary_iou, "boundary_iou", got.iou, iou, reference="d erosions, pixel by pixel")
    assert got.distance_px == d
    assert got.intersection == np.count_nonzero(got.prediction_band & got.target_band)
    assert got.union == np.count_nonzero(got.prediction_band | got.target_band)


@pytest.mark.parametrize("ratio", [0.001, 0.005, 0.02])
def test_boundary_iou_is_scipys_at_full_size(ratio, receipt):
    pair = ellipses()
    got = boundary_iou(*pair, dilation_ratio=ratio)
    d = max(1, round(ratio * math.hypot(541, 960)))
    core = [ndimage.binary_erosion(m, np.ones((3, 3)), iterations=d) for m in pair]
    bands = [(m > 0) & ~c for m, c in zip(pair, core, strict=True)]
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    receipt(boundary_iou, "boundary_iou", got.iou, expected, reference="scipy")


def test_half_a_pixel_rounds_to_even_and_a_band_has_at_least_one():
    mask = np.ones((30, 40), np.uint8)  # diagonal 50
    assert boundary_iou(mask, mask, dilation_ratio=0.05).distance_px == 2  # 2.5
    assert boundary_iou(mask, mask, dilation_ratio=0.07).distance_px == 4  # 3.5
    assert boundary_iou(mask, mask, dilation_ratio=1e-6).distance_px == 1


def test_a_mask_cut_by_the_image_border_has_a_band_there():
    full = np.ones((10, 10), bool)
    assert boundary_iou(full, full, dilation_ratio=0.01).target_band.sum() == 36


def test_empty_masks_have_no_boundary_iou():
    nothing, something = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert math.isnan(boundary_iou(nothing, nothing).iou)
    assert boundary_iou(nothing, something).iou == 0
    assert math.isnan(boundary_iou(nothing[:0], nothing[:0]).iou)


def test_masks_of_any_kind_give_the_same():
    p, t = ellipses()
    for measure, field in ((boundary_iou, "iou"), (boundary_f_score, "f_score"), (hausdorff_distance, "distance")):
        expected = getattr(measure(p, t), field)
        for a, b in ((p > 0, t > 0), (p * 255, t * 255), (torch.tensor(p).T.contiguous().T, t.astype(np.int64))):
            assert getattr(measure(a, b), field) == expected
        with pytest.raises(TypeError, match="integer"):
            measure(p * 0.5, t)
        with pytest.raises(ValueError, match="one shape"):
            measure(p[1:], t)


def test_arguments_and_bands_are_separate():
    p, t = ellipses()
    before = p.copy()
    boundary_iou(p, t).prediction_band[:] = 1
    assert np.array_equal(p, before)


@quick
@given(pair=mask_pairs(), tolerance=st.sampled_from([0.0, 0.008, 0.1, 0.2, 1, 1.5, 3]))
def test_boundary_f_is_that_of_all_pairs_of_outline_pixels(pair, tolerance, receipt):
    got = boundary_f_score(*pair, tolerance=tolerance)
    radius = math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(*pair[0].shape))
    f, precision, recall = oracle.boundary_f(*pair, radius)
    receipt(boundary_f_score, "boundary_f", got.f_score, f, reference="all pairs of outline pixels")
    assert (got.precision, got.recall, got.radius_px) == pytest.approx((precision, recall, radius))
    for line, mask in ((got.prediction_boundary, pair[0]), (got.target_boundary, pair[1])):
        assert set(map(tuple, np.argwhere(line).tolist())) == oracle.davis_outline(mask)
    assert not (got.prediction_matched & ~got.prediction_boundary).any()
    assert not (got.target_matched & ~got.target_boundary).any()


def test_boundary_f_is_that_of_a_dilation_with_a_disk(receipt):
    p, t = ellipses(shift=17)
    got = boundary_f_score(p, t)
    y, x = np.mgrid[-got.radius_px : got.radius_px + 1, -got.radius_px : got.radius_px + 1]
    disk = (y * y + x * x <= got.radius_px**2).astype(np.uint8)
    lines = got.prediction_boundary.astype(np.uint8), got.target_boundary.astype(np.uint8)
    precision = (lines[0] & cv2.dilate(lines[1], disk)).sum() / lines[0].sum()
    recall = (lines[1] & cv2.dilate(lines[0], disk)).sum() / lines[1].sum()
    expected = 2 * precision * recall / (precision + recall)
    assert 0 < expected < 1
    receipt(boundary_f_score, "boundary_f", got.f_score, expected, reference="dilation with a disk, DAVIS 2017")


def test_boundary_f_of_empty_outlines():
    nothing, full, dot = np.zeros((5, 5), bool), np.ones((5, 5), bool), np.zeros((5, 5), bool)
    dot[2, 2] = True
    assert boundary_f_score(nothing, nothing).f_score == 1
    assert boundary_f_score(full, nothing).f_score == 1  # DAVIS: a full image has no outline
    one = boundary_f_score(dot, nothing)
    assert (one.precision, one.recall, one.f_score) == (0, 1, 0)
    other = boundary_f_score(nothing, dot)
    assert (other.precision, other.recall, other.f_score) == (1, 0, 0)
    assert boundary_f_score(nothing[:0], nothing[:0]).f_score == 1


@quick
@given(pair=mask_pairs(), percentile=st.sampled_from([50, 95, 99.5, 100]))
def test_hausdorff_is_that_of_all_pairs_of_edge_pixels(pair, percentile, receipt):
    got = hausdorff_distance(*pair, percentile=percentile)
    expected = oracle.hausdorff(*pair, percentile)
    quantity = {100: "hausdorff", 95: "hausdorff95"}.get(percentile, "hausdorff_percentile")
    receipt(hausdorff_distance, quantity, got.distance, expected, reference="all pairs of edge pixels")
    if got.start and percentile == 100:
        assert math.dist(got.start, got.end) == pytest.approx(got.distance)
    if got.start:
        edges = got.prediction_edge, got.target_edge
        from_edge, to_edge = edges if got.from_prediction else edges[::-1]
        assert from_edge[got.start[::-1]]
        assert to_edge[got.end[::-1]]
        assert math.dist(got.start, got.end) <= got.distance + 1e-9
        assert got.distance == max(got.prediction_to_target, got.target_to_prediction)


@pytest.mark.parametrize("turn", [False, True])
def test_hausdorff_is_scipys_at_full_size_and_any_orientation(turn, receipt):
    p, t = ellipses(shift=23)
    p[500:503, 900:905] = 1
    if turn:
        p, t = p.T, t.T
    got = hausdorff_distance(p, t)
    edges = [np.argwhere(m & ~ndimage.binary_erosion(m)) for m in (p > 0, t > 0)]
    forward, backward = directed_hausdorff(*edges)[0], directed_hausdorff(*edges[::-1])[0]
    receipt(hausdorff_distance, "hausdorff", got.distance, max(forward, backward), reference="scipy")
    assert (got.prediction_to_target, got.target_to_prediction) == pytest.approx((forward, backward))
    away = [ndimage.distance_transform_edt(~(m & ~ndimage.binary_erosion(m))) for m in (p > 0, t > 0)]
    expected = max(np.percentile(away[1 - i][tuple(edges[i].T)], 95) for i in (0, 1))
    got95 = hausdorff_distance(p, t, percentile=95).distance
    receipt(hausdorff_distance, "hausdorff95", got95, expected, reference="scipy")


def test_the_percentile_is_taken_in_each_direction_before_the_larger():
    p, t = np.zeros((1, 60), bool), np.zeros((1, 60), bool)
    p[0, :20] = True  # one long and one short outline: pooling both directions would give another number
    t[0, :1] = True
    got = hausdorff_distance(p, t, percentile=50)
    assert (got.prediction_to_target, got.target_to_prediction, got.distance) == (9.5, 0, 9.5)
    assert (got.start, got.end) == ((9, 0), (0, 0))


def test_hausdorff_of_empty_masks():
    nothing, dot = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    dot[2, 2] = True
    both = hausdorff_distance(nothing, nothing)
    assert math.isnan(both.distance)
    assert both.start is both.end is None
    for p, t in ((dot, nothing), (nothing, dot)):
        one = hausdorff_distance(p, t)
        assert one.distance == math.inf
        assert one.start is one.end is None
    assert math.isnan(hausdorff_distance(nothing[:0], nothing[:0]).distance)
    assert hausdorff_distance(dot, dot).distance == 0


def test_mistaken_options_are_named():
    mask = np.ones((3, 3), bool)
    for bad in (0, -0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="dilation_ratio"):
            boundary_iou(mask, mask, dilation_ratio=bad)
    for bad in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="tolerance"):
            boundary_f_score(mask, mask, tolerance=bad)
    for bad in (0, 101, math.nan):
        with pytest.raises(ValueError, match="percentile"):
            hausdorff_distance(mask, mask, percentile=bad)
