"""Reading label maps: which arrays count as one, and what happens to labels outside 0..K-1.

A label map holds one integer class per pixel. K is the number of classes; a label outside 0..K-1 is "out of range"
and only legal where the caller says so (the ignore label of a target, an "other" column for predictions).
"""

from __future__ import annotations

import operator
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Labels: TypeAlias = "npt.NDArray[Any] | Tensor"


def as_labels(labels: Labels, *, name: str) -> npt.NDArray[Any]:
    """A label map as an integer NumPy array, without a copy where that is possible.

    Args:
        labels: any shape, integer or bool, NumPy array (any strides) or torch tensor (any device).
        name: what to call it in an error.

    Raises:
        TypeError: if the labels are not integers; rounding somebody's probabilities would hide a missing argmax.

    Source: own; the refusal of floats follows scikit-learn, where continuous labels raise.
    Differs: no one-hot, no probabilities.

    >>> print(as_labels(np.array([[True, False]]), name="target"))
    [[1 0]]
    """
    torch: Any = sys.modules.get("torch")  # a tensor can only exist if somebody imported torch
    tensors: Any = getattr(torch, "Tensor", None)  # absent while another thread is still importing torch
    if tensors is not None and isinstance(labels, tensors):
        tensor: Any = labels
        if tensor.is_floating_point() or tensor.is_complex():
            raise TypeError(f"{name} must hold integer class labels, got {tensor.dtype}: take the argmax first")
        array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    else:
        array = np.asarray(labels)
    if array.dtype == np.bool_:
        flags: Any = array
        return flags.view(np.uint8)
    if not np.issubdtype(array.dtype, np.integer):
        raise TypeError(f"{name} must hold integer class labels, got {array.dtype}: take the argmax first")
    return array


def label_pair(prediction: Labels, target: Labels) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Both label maps as integer arrays of one shape.

    Args:
        prediction, target: see `as_labels`.

    Raises:
        TypeError: if either does not hold integers.
        ValueError: if the shapes differ; broadcasting would count pixels that do not exist.

    Source: own.
    Differs: nothing left out.

    >>> print(*label_pair(np.array([1, 2]), np.array([1, 0])))
    [1 2] [1 0]
    """
    p, t = as_labels(prediction, name="prediction"), as_labels(target, name="target")
    if p.shape != t.shape:
        raise ValueError(f"prediction and target must have one shape, got {p.shape} and {t.shape}")
    return p, t


def image_pair(prediction: Labels, target: Labels) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """`label_pair` for measures that know about neighbours: both must be (H, W).

    Args:
        prediction, target: (H, W) see `as_labels`.

    Raises:
        TypeError: if either does not hold integers.
        ValueError: if the shapes differ or are not two-dimensional.

    Source: own.
    Differs: nothing left out.

    >>> image_pair(np.zeros((2, 3), int), np.zeros((2, 3), int))[0].shape
    (2, 3)
    """
    p, t = label_pair(prediction, target)
    if p.ndim != 2:
        raise ValueError(f"prediction and target must be (H, W) maps, got shape {p.shape}")
    return p, t


def mask_pair(prediction: Labels, target: Labels) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two binary masks as contiguous (H, W) uint8 arrays of 0 and 1; any nonzero value is inside (0/255 masks are
    common).

    Args:
        prediction, target: (H, W) bool or integer.

    Raises:
        TypeError: if either holds floats.
        ValueError: if the shapes differ or are not two-dimensional.

    Source: own.
    Differs: nothing left out.

    >>> print(mask_pair(np.array([[0, 255]]), np.array([[True, False]]))[0])
    [[0 1]]
    """
    p, t = image_pair(prediction, target)
    return _inside(p), _inside(t)


def _inside(mask: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if mask.dtype == np.uint8 and mask.max(initial=0) <= 1:
        return np.ascontiguousarray(mask)  # as it is: most masks are, and copies cost as much as the measure
    return np.ascontiguousarray(mask != 0, np.uint8)


def check_num_classes(num_classes: int, *, most: int | None = None) -> int:
    """num_classes as a plain int of at least 1 (and at most `most`).

    Args:
        num_classes: K.
        most: largest K allowed, or None.

    Raises:
        ValueError: if K is out of bounds.

    Source: own.
    Differs: nothing left out.

    >>> check_num_classes(19)
    19
    """
    k = operator.index(num_classes)
    if k < 1 or (most is not None and k > most):
        raise ValueError(f"num_classes must be at least 1{f' and at most {most}' if most else ''}, got {k}")
    return k


def clip_labels(labels: npt.NDArray[Any], num_classes: int) -> npt.NDArray[Any]:
    """Labels with everything outside 0..K-1, negative ones too, replaced by K; an unsigned integer type wide enough
    for K.

    Args:
        labels: any shape, any integer type.
        num_classes: K.

    Source: own.
    Differs: nothing left out.

    >>> print(clip_labels(np.array([0, 2, 3, -1, 255]), 3))
    [0 2 3 3 3]
    """
    if np.iinfo(labels.dtype).max < num_classes:  # K itself must fit, and -1 must not turn into a valid label
        labels = labels.astype(np.int64)
    raw: Any = labels
    unsigned = raw.view(f"u{labels.dtype.itemsize}")  # -1 becomes the largest number there is
    return np.minimum(unsigned, unsigned.dtype.type(num_classes))


def refuse_labels(
    labels: npt.NDArray[Any], *, name: str, num_classes: int, ignore_index: int | None, valid: npt.NDArray[np.bool_]
) -> None:
    """Raise if a label on a valid pixel is neither in 0..K-1 nor `ignore_index`.

    Args:
        labels: any shape, any integer type.
        name: what to call the map in the error.
        num_classes: K.
        ignore_index: a label that is always allowed, or None.
        valid: same shape, the pixels to look at.

    Raises:
        ValueError: naming one offending label and how many pixels carry one.

    Source: own.
    Differs: nothing left out.

    >>> refuse_labels(np.array([0, 7]), name="target", num_classes=3, ignore_index=None, valid=np.ones(2, bool))
    Traceback (most recent call last):
    ValueError: target must hold labels 0..2, got 7 (1 pixel is out of range)
    """
    wrong = (clip_labels(labels, num_classes) == num_classes) & valid
    if ignore_index is not None:
        wrong &= labels != ignore_index
    if count := int(np.count_nonzero(wrong)):
        allowed = f"0..{num_classes - 1}" + ("" if ignore_index is None else f" or the ignored {ignore_index}")
        pixels = "1 pixel is" if count == 1 else f"{count} pixels are"
        raise ValueError(f"{name} must hold labels {allowed}, got {int(labels[wrong][0])} ({pixels} out of range)")
