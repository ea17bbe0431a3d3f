"""Boxes: two formats, and how much two boxes have in common.

Source: Rezatofighi et al., "Generalized intersection over union", arXiv:1902.09630, eq. 1 and algorithm 1.
Notation: I area of the intersection, U of the union, E of the smallest box around both (the hull). A box is
(x0, y0, x1, y1) = xyxy, or centre, width and height = cxcywh; x grows to the right, y downwards, any unit.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = npt.NDArray[np.float64]
Array: TypeAlias = "npt.ArrayLike | Tensor"

LARGEST = 1e150  # a coordinate whose square is still a float
LEAST = 5e-324  # the smallest number above 0
PART = 1 << 14  # pairs that are computed together


@dataclass(frozen=True, slots=True)
class BoxOverlap:
    """Every pair of two lists of boxes: the areas, and the two ratios made of them."""

    intersection: Floats  # (N, M) I, area
    union: Floats  # (N, M) U, area
    hull: Floats  # (N, M) E, area
    iou: Floats  # (N, M) I / U, in [0, 1]; 0 if U = 0
    giou: Floats  # (N, M) I / U − (E − U) / E, in [−1, 1]; a ratio 0/0 counts as 0


def as_floats(values: Array, *, name: str) -> Floats:
    """Numbers as a float64 NumPy array, from a list, an array or a torch tensor of any device and precision.

    Convention: everything is computed in float64, so that half precision neither overflows nor rounds.

    Args:
        values: real numbers of any shape.
        name: what to call them in an error.

    Raises:
        TypeError: if they are not real numbers.

    Source: own.
    Differs: gradients do not pass.

    >>> print(as_floats([1, 2], name="x").dtype)
    float64
    """
    torch: Any = sys.modules.get("torch")  # a tensor can only exist if somebody imported torch
    if torch is not None and isinstance(values, torch.Tensor):
        tensor: Any = values
        if tensor.is_complex():
            raise TypeError(f"{name} must hold real numbers, got {tensor.dtype}")
        values = tensor.detach().cpu().double().numpy()
    array: npt.NDArray[Any] = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    return array.astype(np.float64, copy=False)


def as_boxes(boxes: Array, *, name: str) -> Floats:
    """Boxes as an (N, 4) float64 array.

    Args:
        boxes: (N, 4) in any format; an empty list is no box.
        name: what to call them in an error.

    Raises:
        TypeError: if they are not real numbers.
        ValueError: if the shape is not (N, 4), or a coordinate is NaN, infinite or beyond ±1e150.

    Source: own.
    Differs: nothing left out.

    >>> print(as_boxes([], name="boxes").shape)
    (0, 4)
    """
    array = as_floats(boxes, name=name)
    if array.ndim == 1 and not array.size:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} must have shape (N, 4), got {array.shape}")
    wrong = ~(np.abs(array) <= LARGEST)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"{name} must be finite numbers, got {array[row, column]} in box {row}")
    return array


def cxcywh_to_xyxy(boxes_cxcywh: Array) -> Floats:
    """Centre, width, height to corners: (cx − w/2, cy − h/2, cx + w/2, cy + h/2).

    Convention: width before height, whatever the reference's docstring says.

    Args:
        boxes_cxcywh: (N, 4), any unit, w and h not negative.

    Raises:
        TypeError, ValueError: as `as_boxes`; ValueError if a width or height is negative.

    Source: facebookresearch/detr util/box_ops.py, box_cxcywh_to_xyxy.
    Differs: nothing left out.

    >>> print(cxcywh_to_xyxy([[0.5, 0.5, 0.2, 0.4]]))
    [[0.4 0.3 0.6 0.7]]
    """
    boxes = as_boxes(boxes_cxcywh, name="boxes_cxcywh")
    negative = (boxes[:, 2:] < 0).any(axis=1)
    if negative.any():
        row = int(np.argmax(negative))
        raise ValueError(f"boxes_cxcywh must have w and h of 0 or more, got {boxes[row].tolist()} in box {row}")
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def xyxy_to_cxcywh(boxes_xyxy: Array) -> Floats:
    """Corners to centre, width, height: ((x0 + x1)/2, (y0 + y1)/2, x1 − x0, y1 − y0).

    Convention: as `cxcywh_to_xyxy`.

    Args:
        boxes_xyxy: (N, 4), any unit, x1 ≥ x0 and y1 ≥ y0.

    Raises:
        TypeError, ValueError: as `as_boxes`; ValueError if a box's corners are in the wrong order.

    Source: facebookresearch/detr util/box_ops.py, box_xyxy_to_cxcywh.
    Differs: nothing left out.

    >>> print(xyxy_to_cxcywh([[0, 0, 4, 2]]))
    [[2. 1. 4. 2.]]
    """
    boxes = _ordered(boxes_xyxy, "boxes_xyxy")
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([low + (high - low) / 2, high - low], axis=1)


def box_overlap(boxes1_xyxy: Array, boxes2_xyxy: Array) -> BoxOverlap:
    """Intersection, union, hull, IoU and GIoU of every pair of boxes.

    Convention: 0/0 := 0 in both ratios. So two equal boxes without area have IoU 0 and GIoU 0, and two that lie apart
    GIoU −1; the usual code gives NaN for both, which stops the matching.

    Args:
        boxes1_xyxy: (N, 4), x1 ≥ x0 and y1 ≥ y0, any unit.
        boxes2_xyxy: (M, 4), the same unit.

    Raises:
        TypeError, ValueError: as `as_boxes`; ValueError if a box's corners are in the wrong order.

    Source: arXiv:1902.09630 algorithm 1; facebookresearch/detr util/box_ops.py, generalized_box_iou.
    Differs: areas that are not multiples of about 1e-308 underflow to 0.

    >>> pair = box_overlap([[0, 0, 2, 2]], [[1, 1, 3, 3]])
    >>> print(pair.intersection[0, 0], pair.union[0, 0], pair.hull[0, 0], round(pair.giou[0, 0], 4))
    1.0 7.0 9.0 -0.0794
    """
    first, second = _ordered(boxes1_xyxy, "boxes1_xyxy"), _ordered(boxes2_xyxy, "boxes2_xyxy")
    out = BoxOverlap(*(np.empty((len(first), len(second))) for _ in range(5)))
    for part in _parts(len(first), len(second)):
        out.intersection[part], out.union[part], out.hull[part] = areas = _areas(first[part], second)
        out.iou[part], out.giou[part] = _ratios(*areas)
    return out


def box_iou(boxes1_xyxy: Array, boxes2_xyxy: Array) -> Floats:
    """(N, M) intersection over union of every pair of boxes.

    Convention: 0 for two boxes without area, as in `box_overlap`.

    Args:
        boxes1_xyxy, boxes2_xyxy: (N, 4) and (M, 4), one unit.

    Raises:
        TypeError, ValueError: as `box_overlap`.

    Source: facebookresearch/detr util/box_ops.py, box_iou.
    Differs: nothing left out.

    >>> print(box_iou([[0, 0, 2, 2]], [[1, 0, 3, 2], [5, 5, 6, 6]]).round(4))
    [[0.3333 0.    ]]
    """
    return _table(boxes1_xyxy, boxes2_xyxy, 0)


def generalized_box_iou(boxes1_xyxy: Array, boxes2_xyxy: Array) -> Floats:
    """(N, M) GIoU of every pair of boxes: IoU less the share of the hull that neither box fills, in [−1, 1].

    Convention: 0/0 := 0, as in `box_overlap`.

    Args:
        boxes1_xyxy, boxes2_xyxy: (N, 4) and (M, 4), one unit.

    Raises:
        TypeError, ValueError: as `box_overlap`.

    Source: arXiv:1902.09630 algorithm 1.
    Differs: nothing left out.

    >>> print(generalized_box_iou([[0, 0, 1, 1]], [[0, 0, 1, 1], [1, 0, 2, 1], [3, 0, 4, 1]]))
    [[ 1.   0.  -0.5]]
    """
    return _table(boxes1_xyxy, boxes2_xyxy, 1)


def _ordered(boxes: Array, name: str) -> Floats:
    array = as_boxes(boxes, name=name)
    wrong = (array[:, 2:] < array[:, :2]).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"{name} must have x1 ≥ x0 and y1 ≥ y0, got {array[row].tolist()} in box {row}")
    return array


def _parts(rows: int, columns: int) -> list[slice]:
    """Rows in parts whose tables stay in the cache."""
    step = max(1, PART // max(1, columns))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _table(boxes1_xyxy: Array, boxes2_xyxy: Array, which: int) -> Floats:
    """(N, M) IoU (0) or GIoU (1)."""
    first, second = _ordered(boxes1_xyxy, "boxes1_xyxy"), _ordered(boxes2_xyxy, "boxes2_xyxy")
    out = np.empty((len(first), len(second)))
    for part in _parts(*out.shape):
        out[part] = _ratios(*_areas(first[part], second))[which]
    return out


def _areas(first: Floats, second: Floats) -> tuple[Floats, Floats, Floats]:
    """(n, M) intersection, union and hull. Coordinates come first, in memory too: loops run over boxes, not over x and y."""
    a: Floats = np.ascontiguousarray(np.transpose(first))[:, :, None]  # (4, n, 1)
    b: Floats = np.ascontiguousarray(np.transpose(second))[:, None, :]  # (4, 1, M)
    sides = np.minimum(a[2:], b[2:])  # (2, n, M)
    sides -= np.maximum(a[:2], b[:2])
    np.maximum(sides, 0, out=sides)
    inner = sides[0] * sides[1]
    np.maximum(a[2:], b[2:], out=sides)
    sides -= np.minimum(a[:2], b[:2])
    hull = sides[0] * sides[1]
    union = _area(first)[:, None] + _area(second)[None]
    union -= inner
    return inner, union, hull


def _area(boxes: Floats) -> Floats:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _ratios(inner: Floats, union: Floats, hull: Floats) -> tuple[Floats, Floats]:
    """(n, M) IoU and GIoU. Where a divisor is 0, so is what it divides."""
    iou, giou = inner / np.maximum(union, LEAST), hull - union
    giou /= np.maximum(hull, LEAST)
    np.subtract(iou, giou, out=giou)
    return iou, giou
