import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers.loss.loss_for_object_detection import generalized_box_iou as transformers_giou

from core.perception.boxes import (
    as_boxes,
    as_floats,
    box_iou,
    box_overlap,
    cxcywh_to_xyxy,
    generalized_box_iou,
    xyxy_to_cxcywh,
)
from tests.oracles import detection as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def box_lists(draw, most=6):
    """Two lists of xyxy boxes: random, on a coarse grid (touching, equal, without area), tiny and huge."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    kind, scale = draw(st.sampled_from(["any", "grid"])), draw(st.sampled_from([1e-3, 1, 1e4]))
    lists = []
    for _ in range(2):
        ends = (
            rng.random((draw(st.integers(0, most)), 2, 2))
            if kind == "any"
            else rng.integers(0, 4, (draw(st.integers(0, most)), 2, 2))
        )
        ends = np.sort(ends.astype(float) * scale, axis=1)
        lists.append(ends.reshape(-1, 4))
    return lists


@quick
@given(lists=box_lists())
def test_every_pair_is_that_of_exact_fractions(lists, receipt):
    got = box_overlap(*lists)
    inner, union, hull, iou, giou = oracle.overlaps(*lists)
    reference, scale = "exact fractions, box by box", max(1.0, np.abs(hull).max(initial=0))
    receipt(box_overlap, "intersection", got.intersection / scale, inner / scale, reference=reference)
    receipt(box_overlap, "union", got.union / scale, union / scale, reference=reference)
    receipt(box_overlap, "hull", got.hull / scale, hull / scale, reference=reference)
    receipt(box_overlap, "iou", got.iou, iou, reference=reference)
    receipt(box_overlap, "giou", got.giou, giou, reference=reference)
    receipt(box_iou, "iou", box_iou(*lists), iou, reference=reference)
    receipt(generalized_box_iou, "giou", generalized_box_iou(*lists), giou, reference=reference)


def test_giou_is_transformers(receipt):
    rng = np.random.default_rng(0)
    first, second = (np.sort(rng.random((n, 2, 2)), axis=1).reshape(-1, 4) for n in (90, 40))
    expected = transformers_giou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    receipt(generalized_box_iou, "giou", generalized_box_iou(first, second), expected, reference="transformers")


@quick
@given(lists=box_lists())
def test_properties_of_giou(lists):
    first, second = lists
    overlap = box_overlap(first, second)
    assert (overlap.giou <= overlap.iou + 1e-12).all()
    assert ((overlap.giou >= -1 - 1e-12) & (overlap.giou <= 1 + 1e-12)).all()
    assert ((overlap.iou >= 0) & (overlap.iou <= 1 + 1e-12)).all()
    assert (overlap.giou == box_overlap(second, first).giou.T).all()
    same = box_overlap(first, first)
    areas = (first[:, 2] - first[:, 0]) * (first[:, 3] - first[:, 1])
    assert np.allclose(np.diag(same.giou), areas > 0, atol=1e-12)


def test_boxes_without_area_have_numbers():
    point, line, far = [1, 1, 1, 1], [1, 1, 4, 1], [5, 5, 5, 5]
    assert box_overlap([point], [point]).giou == 0
    assert box_overlap([line], [line]).iou == 0
    assert box_overlap([line], [point]).giou == 0  # the hull has no area either
    assert box_overlap([point], [far]).giou == -1
    assert box_overlap([point], [[0, 0, 2, 2]]).giou == 0


def test_half_precision_of_huge_boxes_does_not_overflow():
    box = torch.tensor([[0, 0, 10000, 10000]], dtype=torch.float16)
    assert generalized_box_iou(box, box) == 1
    assert generalized_box_iou(box.numpy(), box.numpy()) == 1
    assert generalized_box_iou(box.bfloat16(), box.bfloat16()) == 1
    assert generalized_box_iou([[0, 0, 1e150, 1e150]], [[0, 0, 1e150, 5e149]])[0, 0] == pytest.approx(0.5)


def test_formats_are_inverse_and_width_comes_first(receipt):
    rng = np.random.default_rng(1)
    boxes = np.concatenate([rng.random((20, 2)), rng.random((20, 2))], axis=1)
    corners = [oracle.corners(box) for box in boxes]
    receipt(cxcywh_to_xyxy, "boxes_xyxy", cxcywh_to_xyxy(boxes), corners, reference="coordinate by coordinate")
    receipt(xyxy_to_cxcywh, "boxes_cxcywh", xyxy_to_cxcywh(corners), boxes, reference="coordinate by coordinate")
    assert cxcywh_to_xyxy([[10, 10, 4, 2]]).tolist() == [[8, 9, 12, 11]]


def test_any_array_is_read_and_none_is_changed():
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 4]])
    expected = box_iou(boxes, boxes)
    wide = np.zeros((4, 8))
    wide[:, ::2] = boxes.repeat(2, axis=0)[:, [0, 1, 2, 3]]
    tensor = torch.tensor(boxes, requires_grad=True)
    for same in (boxes.tolist(), boxes.astype(int), np.asfortranarray(boxes), wide[::2, ::2], tensor):
        assert (box_iou(same, same) == expected).all()
    boxes.setflags(write=False)
    box_overlap(boxes, boxes)
    cxcywh_to_xyxy(boxes)
    assert as_floats(boxes, name="x") is boxes


def test_no_boxes_are_legal():
    assert box_overlap([], [[0, 0, 1, 1]]).giou.shape == (0, 1)
    assert box_iou(np.zeros((0, 4)), []).shape == (0, 0)
    assert cxcywh_to_xyxy([]).shape == (0, 4)
    assert xyxy_to_cxcywh([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([0, 0, 1, 1], r"boxes1_xyxy must have shape \(N, 4\), got \(4,\)"),
        ([[0, 0, 1]], r"shape \(N, 4\)"),
        ([[0, 0, 1, 1], [0, np.nan, 1, 1]], "finite numbers, got nan in box 1"),
        ([[0, 0, np.inf, 1]], "finite numbers, got inf in box 0"),
        ([[0, 0, 1e200, 1]], "finite"),
        ([[1, 0, 0, 1]], "x1 ≥ x0 and y1 ≥ y0"),
        ([[0, 0, 1, -1]], "x1 ≥ x0 and y1 ≥ y0"),
    ],
)
def test_mistaken_boxes_are_named(boxes, words):
    for measure in (box_iou, generalized_box_iou):
        with pytest.raises(ValueError, match=words):
            measure(boxes, [[0, 0, 1, 1]])


def test_other_mistakes_are_named():
    with pytest.raises(ValueError, match=r"w and h of 0 or more, got .* in box 0"):
        cxcywh_to_xyxy([[0, 0, 1, -1]])
    with pytest.raises(ValueError, match="boxes_xyxy must have x1"):
        xyxy_to_cxcywh([[1, 0, 0, 0]])
    with pytest.raises(TypeError, match="boxes must hold real numbers"):
        as_boxes([["a"] * 4], name="boxes")
    with pytest.raises(TypeError, match="real numbers"):
        as_floats(np.zeros(2, complex), name="x")
    with pytest.raises(TypeError, match=r"real numbers, got torch\.complex64"):
        as_floats(torch.zeros(2, dtype=torch.complex64), name="x")
