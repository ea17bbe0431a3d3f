"""Boxes of a label map, and predictions made from true boxes: displaced, doubled, lost, as wrong as one likes.

Source: the box noise is DN-DETR's (Li et al., arXiv:2203.01305, §4.2; IDEA-Research/DN-DETR models/dn_components.py).
Notation: Q queries, G objects, K classes; ∅ is class K. Boxes are cxcywh in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.perception.assignment import Ints
from core.perception.boxes import Array, Floats, as_boxes, as_floats, cxcywh_to_xyxy, xyxy_to_cxcywh

SMALLEST = 0.01  # width and height of a prediction


@dataclass(frozen=True, slots=True)
class BoxAnnotations:
    """The objects of one picture."""

    labels: Ints  # (G,) in 0..K-1
    boxes: Floats  # (G, 4) cxcywh


@dataclass(frozen=True, slots=True)
class NoisyPredictions:
    """A set of predictions in DETR's form, and where each came from."""

    logits: Floats  # (Q, K + 1), ∅ last
    boxes: Floats  # (Q, 4) cxcywh
    source: Ints  # (Q,) object that the prediction was made from; −1 for a spare query, which says ∅
    copy: npt.NDArray[np.bool_]  # (Q,) whether it doubles an earlier prediction


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
        raise ValueError(f"labels and scores must have one shape (Q,), got {wanted.shape}, {p.shape}, K = {num_classes}")
    if not np.all((wanted >= 0) & (wanted <= num_classes) & (wanted == np.floor(wanted))):
        raise ValueError(f"labels must be whole numbers in 0..{num_classes}, got {wanted.tolist()}")
    if not np.all((p > 0) & (p < 1)):
        raise ValueError(f"scores must lie strictly between 0 and 1, got {p.tolist()}")
    out = np.repeat(np.log((1 - p) / num_classes)[:, None], num_classes + 1, axis=1)
    out[np.arange(len(p)), wanted.astype(np.int64)] = np.log(p)
    return out


def noisy_predictions(
    labels: Array,
    boxes: Array,
    *,
    num_classes: int,
    noise: float = 0.1,
    label_flips: float = 0.0,
    duplicates: int = 0,
    misses: int = 0,
    spare: int = 4,
    confidence: float = 0.9,
    seed: int = 0,
) -> NoisyPredictions:
    """Predictions made from the truth: each object's box displaced, some doubled, some lost, and spare queries that say ∅.

    Convention: DN-DETR's noise. A centre moves by up to half the box's size times `noise`, a size changes by up to the size
    times `noise`, all uniform; boxes are kept in the picture. The first box of every object is made before any copy, a copy
    is the same box moved by a quarter of the noise and a little less sure of itself, and copies go round the objects. The
    last `misses` objects get no prediction at all. With noise 0 the boxes are the truth, and copies are exact.

    Args:
        labels: (G,) in 0..K-1.
        boxes: (G, 4) cxcywh in the picture.
        num_classes: K.
        noise: λ in [0, 1].
        label_flips: chance of another class, in [0, 1].
        duplicates, misses, spare: numbers of predictions, not negative.
        confidence: probability of the predicted class, in (0, 1).
        seed: not negative.

    Raises:
        TypeError, ValueError: if an argument is out of range.

    Source: arXiv:2203.01305 §4.2 for the noise; the rest own.
    Differs: one picture; the paper's groups of noised queries are not needed here.

    >>> made = noisy_predictions([0], [[0.5, 0.5, 0.2, 0.2]], num_classes=2, noise=0, duplicates=1, spare=1)
    >>> print(made.boxes[:2].tolist(), made.source, made.copy)
    [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2]] [ 0  0 -1] [False  True False]
    """
    truth, classes = as_boxes(boxes, name="boxes"), as_floats(labels, name="labels").astype(np.int64)
    if classes.shape != (len(truth),) or not np.all((classes >= 0) & (classes < num_classes)):
        raise ValueError(f"labels must be one of 0..{num_classes - 1} for each box, got {classes.tolist()}")
    if not (0 <= noise <= 1 and 0 <= label_flips <= 1 and 0 < confidence < 1):
        raise ValueError(f"noise and label_flips must lie in 0..1, confidence between, got {noise, label_flips, confidence}")
    if min(duplicates, misses, spare, seed) < 0:
        raise ValueError(f"duplicates, misses, spare and seed must not be negative, got {duplicates, misses, spare, seed}")
    rng = np.random.default_rng(seed)
    found = max(0, len(truth) - misses)
    displaced = truth + _shift(rng, truth, noise)
    chosen = classes.copy()
    flipped = rng.random(len(truth)) < label_flips
    others = (classes + rng.integers(1, max(2, num_classes), len(truth))) % num_classes
    chosen[flipped] = others[flipped]
    copies = np.arange(duplicates) % found if found else np.zeros(0, np.int64)
    nearby = displaced[copies] + _shift(rng, displaced[copies], noise / 4)
    idle = np.concatenate([rng.uniform(0.2, 0.8, (spare, 2)), rng.uniform(0.1, 0.35, (spare, 2))], axis=1)
    all_boxes = np.concatenate([displaced[:found], nearby, idle])
    wanted = np.concatenate([chosen[:found], chosen[copies], np.full(spare, num_classes)])
    sure = np.concatenate(
        [np.full(found, confidence), np.full(len(copies), 0.97 * confidence), rng.uniform(0.75, 0.95, spare)]
    )
    source = np.concatenate([np.arange(found), copies, np.full(spare, -1)]).astype(np.int64)
    copy = np.zeros(len(source), np.bool_)
    copy[found : found + len(copies)] = True
    logits = confident_logits(wanted, sure, num_classes=num_classes)
    return NoisyPredictions(logits, _inside(all_boxes), source, copy)


def _shift(rng: np.random.Generator, boxes: Floats, noise: float) -> Floats:
    """(N, 4) DN-DETR's noise: centre by w/2 · λ · U, size by w · λ · U, U uniform in −1…1."""
    reach = np.concatenate([boxes[:, 2:] / 2, boxes[:, 2:]], axis=1) * noise
    return reach * rng.uniform(-1, 1, boxes.shape)


def _inside(boxes: Floats) -> Floats:
    """Cut off at the picture's border, at least SMALLEST wide and high; what lies inside stays to the bit."""
    sized = np.concatenate([boxes[:, :2], np.maximum(boxes[:, 2:], SMALLEST)], axis=1)
    corners = cxcywh_to_xyxy(sized)
    cut = np.clip(corners, 0, 1)
    low = np.minimum(cut[:, :2], 1 - SMALLEST)
    high = np.maximum(cut[:, 2:], low + SMALLEST)
    whole = (corners == np.concatenate([low, high], axis=1)).all(axis=1)
    return np.where(whole[:, None], sized, xyxy_to_cxcywh(np.concatenate([low, high], axis=1)))
