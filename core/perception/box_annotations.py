"""Boxes of a label map, and predictions that say a class with a wanted confidence.

Notation: Q queries, G objects, K classes; ∅ is class K. Boxes are cxcywh in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.perception.assignment import Ints
from core.perception.boxes import Array, Floats, as_floats, xyxy_to_cxcywh


@dataclass(frozen=True, slots=True)
class BoxAnnotations:
    """The objects of one picture."""

    labels: Ints  # (G,) in 0..K-1
    boxes: Floats  # (G, 4) cxcywh


def label_map_boxes(label_map: npt.NDArray[Any], *, classes: Sequence[int]) -> BoxAnnotations:
    """The extent of each class in a label map: one box a class, pixels whole.

    Convention: a class without pixels has no box; object i has label i of `classes`.

    Args:
        label_map: (H, W) integers.
        classes: values to look for.

    Raises:
        ValueError: if the map is not two-dimensional or is empty.

    Source: own.
    Differs: nothing left out.

    >>> print(label_map_boxes(np.array([[0, 0, 7, 7], [0, 0, 7, 0]]), classes=(5, 7)))
    BoxAnnotations(labels=array([1]), boxes=array([[0.75, 0.5 , 0.5 , 1.  ]]))
    """
    if label_map.ndim != 2 or not label_map.size:
        raise ValueError(f"label_map must have shape (H, W) and hold pixels, got {label_map.shape}")
    height, width = label_map.shape
    labels: list[int] = []
    corners: list[tuple[float, float, float, float]] = []
    for label, value in enumerate(classes):
        rows, columns = np.flatnonzero((label_map == value).any(1)), np.flatnonzero((label_map == value).any(0))
        if rows.size:
            labels.append(label)
            x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
            corners.append((x0 / width, y0 / height, x1 / width, y1 / height))
    return BoxAnnotations(np.array(labels, np.int64), xyxy_to_cxcywh(np.array(corners).reshape(-1, 4)))


def confident_logits(labels: Array, scores: Array, *, num_classes: int) -> Floats:
    """(Q, K + 1) logits whose softmax gives each query's class its score, and shares the rest equally among the others.

    Convention: label K is ∅.

    Args:
        labels: (Q,) in 0..K.
        scores: (Q,) strictly between 0 and 1.
        num_classes: K, at least 1.

    Raises:
        TypeError: if they are not real numbers.
        ValueError: if shapes disagree, a label or a score is out of range, or K is not positive.

    Source: own: log p, for softmax(log p) = p.
    Differs: nothing left out.

    >>> print(np.exp(confident_logits([1], [0.9], num_classes=2)).round(3))
    [[0.05 0.9  0.05]]
    """
    wanted, p = as_floats(labels, name="labels"), as_floats(scores, name="scores")
    if num_classes < 1 or wanted.ndim != 1 or wanted.shape != p.shape:
        raise ValueError(
            f"labels and scores must have one shape (Q,), got {wanted.shape}, {p.shape}, K = {num_classes}"
        )
    if not np.all((wanted >= 0) & (wanted <= num_classes) & (wanted == np.floor(wanted))):
        raise ValueError(f"labels must be whole numbers in 0..{num_classes}, got {wanted.tolist()}")
    if not np.all((p > 0) & (p < 1)):
        raise ValueError(f"scores must lie strictly between 0 and 1, got {p.tolist()}")
    out = np.repeat(np.log((1 - p) / num_classes)[:, None], num_classes + 1, axis=1)
    out[np.arange(len(p)), wanted.astype(np.int64)] = np.log(p)
    return out
