import numpy as np
import pytest
import torch

from core.perception.label_maps import (
    as_labels,
    check_num_classes,
    clip_labels,
    image_pair,
    label_pair,
    mask_pair,
    refuse_labels,
)

INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("k", [1, 2, 100, 127, 128, 200, 254, 255, 256, 300, 32768, 70000])
def test_clipping_sends_exactly_what_is_out_of_range_to_k(dtype, k):
    info = np.iinfo(dtype)
    wanted = [0, 1, k - 1, k, k + 1, -1, -2, -128, 127, 128, 255, 256, info.min, info.max]
    labels = np.array([v for v in wanted if info.min <= v <= info.max], dtype)
    assert clip_labels(labels, k).tolist() == [v if 0 <= v < k else k for v in labels.tolist()]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16])
def test_tensors_are_read_as_they_are(dtype):
    tensor = torch.tensor([[0, 1, 2], [3, 4, 5]]).to(dtype)
    assert as_labels(tensor, name="target").tolist() == tensor.tolist()
    assert as_labels(tensor.T, name="target").tolist() == tensor.T.tolist()


def test_bools_are_zeros_and_ones():
    assert as_labels(np.array([True, False]), name="target").tolist() == [1, 0]
    assert as_labels(torch.tensor([True, False]), name="target").tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.array([0.5]), np.array([np.nan]), torch.tensor([1.0]), torch.tensor([1j]), ["cat"]])
def test_anything_but_integers_is_refused_by_name(bad):
    with pytest.raises(TypeError, match="target must hold integer class labels"):
        as_labels(bad, name="target")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_float_tensors_are_refused(dtype):
    with pytest.raises(TypeError, match="argmax"):
        as_labels(torch.zeros(2, dtype=dtype), name="prediction")


def test_pairs_must_have_one_shape_and_images_two_dimensions():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        label_pair(np.zeros((2, 3), int), np.zeros((3, 2), int))
    with pytest.raises(ValueError, match=r"\(H, W\)"):
        image_pair(np.zeros(3, int), np.zeros(3, int))


@pytest.mark.parametrize("inside", [True, 1, 255, 7])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_masks_become_zero_and_one(inside, dtype):
    given = np.array([[0, inside, 0]]).astype(dtype)[:, ::-1]
    before = given.copy()
    mask, _ = mask_pair(given, given)
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    assert mask.tolist() == [[0, 1, 0]]
    assert np.array_equal(given, before)


def test_a_negative_label_is_inside_a_mask():
    assert mask_pair(np.array([[-1, 0]]), np.array([[0, 0]]))[0].tolist() == [[1, 0]]


@pytest.mark.parametrize("k", [0, -1, 255])
def test_number_of_classes_has_bounds(k):
    with pytest.raises(ValueError, match=f"got {k}"):
        check_num_classes(k, most=254)
    with pytest.raises(TypeError):
        check_num_classes(2.5)


def test_refusal_counts_only_valid_pixels_that_are_not_ignored():
    labels, valid = np.array([0, 9, 9, -1, 255, 8]), np.array([True, True, False, True, True, True])
    with pytest.raises(ValueError, match=r"0\.\.2 or the ignored 255, got 9 \(3 pixels are out of range\)"):
        refuse_labels(labels, name="target", num_classes=3, ignore_index=255, valid=valid)
    refuse_labels(np.array([0, 255]), name="target", num_classes=3, ignore_index=255, valid=np.ones(2, bool))
