"""Predictions made from the truth by errors of a known kind: every cost can then be watched reacting to one of them.

Source: the noise on boxes and labels is that of Li et al., "DN-DETR", arXiv:2203.01305, §4.2 and its released code.
Notation: boxes are cxcywh in shares of the image; K classes, ∅ is class K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.perception.assignment import Flags, Ints
from core.perception.boxes import Array, Floats, as_boxes, as_floats


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a detector might have said."""

    pred_logits: Floats  # (Q, K + 1) logarithms of the class probabilities, ∅ last
    pred_boxes: Floats  # (Q, 4) cxcywh
    origin: Ints  # (Q,) target that the query was made from, −1 for one that means nothing
    duplicate: Flags  # (Q,) a further query from a target that already had one
    missed: Ints  # (m,) targets that no query was made from, ascending


def perturbed_predictions(
    target_labels: Array,
    target_boxes: Array,
    *,
    num_classes: int,
    num_queries: int = 10,
    box_noise: float = 0.0,
    label_flips: float = 0.0,
    duplicates: int = 0,
    misses: int = 0,
    confidence: float = 0.9,
    seed: int = 0,
) -> Predictions:
    """Make a set of predictions out of the truth: moved boxes, wrong classes, duplicates, misses, and ∅.

    Convention: all random numbers are drawn first and do not depend on the sizes of the errors, so that moving a slider
    moves the same scene. A box's centre moves by up to ±box_noise/2 of its width and height and its size changes by up
    to ±box_noise of itself, uniformly, and the box is then cut to the image. A query says its class with probability
    `confidence`, the rest in equal parts on the other classes and ∅; a query that means nothing says ∅ with it. A
    duplicate of the same target has the same class, its own noise, and 0.02 less confidence for each before it.
    Queries come in random order. If there are more than num_queries, the later duplicates and targets are cut.

    Args:
        target_labels: (G,) in 0..K-1.
        target_boxes: (G, 4) cxcywh, in [0, 1].
        num_classes: K, at least 1.
        num_queries: Q, not negative.
        box_noise: λ in [0, 1].
        label_flips: probability in [0, 1] that a query names a class drawn from all K.
        duplicates: how many further queries, dealt to the targets in random order, round and round.
        misses: how many targets get no query, at most G.
        confidence: in [0.05, 0.999].
        seed: of everything random.

    Raises:
        ValueError: if an argument is out of range or the lengths differ, or as `as_boxes`.

    Source: DN-DETR's prepare_for_dn for the noise; the rest own.
    Differs: one group; DN-DETR draws the noise for the decoder's input, not for its output.

    >>> said = perturbed_predictions([0], [[0.5, 0.5, 0.2, 0.2]], num_classes=2, num_queries=3, duplicates=1)
    >>> print(said.origin, said.duplicate, np.exp(said.pred_logits[said.origin == 0]).round(3).tolist())
    [ 0  0 -1] [ True False False] [[0.88, 0.06, 0.06], [0.9, 0.05, 0.05]]
    """
    labels = as_floats(target_labels, name="target_labels").astype(np.int64)
    boxes = as_boxes(target_boxes, name="target_boxes")
    if labels.shape != (len(boxes),):
        raise ValueError(f"target_labels must be one for each box, got {labels.shape} for {len(boxes)} boxes")
    if num_classes < 1 or (labels.size and not (labels.min() >= 0 and labels.max() < num_classes)):
        raise ValueError(f"target_labels must lie in 0..{num_classes - 1}, got {labels.tolist()}")
    if num_queries < 0 or duplicates < 0 or not 0 <= misses <= len(boxes):
        raise ValueError(
            f"needs num_queries, duplicates >= 0 and misses in 0..{len(boxes)}, got {num_queries}, {duplicates}, {misses}"
        )
    if not (0 <= box_noise <= 1 and 0 <= label_flips <= 1 and 0.05 <= confidence <= 0.999):
        raise ValueError(
            "needs box_noise and label_flips in [0, 1] and confidence in [0.05, 0.999], "
            f"got {box_noise}, {label_flips}, {confidence}"
        )
    rng = np.random.default_rng(seed)
    drop, deal = rng.permutation(len(boxes)), rng.permutation(len(boxes))
    missed = np.sort(drop[:misses])
    kept = np.setdiff1d(np.arange(len(boxes)), missed)
    again = deal[np.isin(deal, kept)]
    more = np.resize(again, duplicates if again.size else 0)
    origin = np.concatenate([kept, more])[:num_queries]
    rank = np.array([int((origin[:i] == g).sum()) for i, g in enumerate(origin)], np.int64)

    # one row of random numbers for each query that there could be
    moves = rng.uniform(-1, 1, (num_queries, 4))
    flips, others = rng.random(num_queries), rng.integers(0, num_classes, num_queries)
    sizes, corners = rng.uniform(0.05, 0.4, (num_queries, 2)), rng.random((num_queries, 2))
    order = rng.permutation(num_queries)

    said = np.full(num_queries, num_classes)  # class that each query names; ∅ at first
    where = np.concatenate([sizes / 2 + corners * (1 - sizes), sizes], axis=1)  # (Q, 4) cxcywh
    n = len(origin)
    source = boxes[origin]
    shift = moves[:n] * np.concatenate([source[:, 2:] / 2, source[:, 2:]], axis=1)
    where[:n] = _cut(source + box_noise * shift)
    said[:n] = np.where(flips[:n] < label_flips, others[:n], labels[origin])
    sure = np.full(num_queries, confidence)
    sure[:n] = np.maximum(confidence - 0.02 * rank, 0.05)
    probabilities = np.repeat(((1 - sure) / num_classes)[:, None], num_classes + 1, axis=1)  # (Q, K + 1)
    probabilities[np.arange(num_queries), said] = sure

    from_target = np.concatenate([origin, np.full(num_queries - n, -1, np.int64)])
    further = np.concatenate([rank > 0, np.zeros(num_queries - n, np.bool_)])
    lost = np.setdiff1d(np.arange(len(boxes)), origin)
    return Predictions(np.log(probabilities)[order], where[order], from_target[order], further[order], lost)


def _cut(boxes: Floats) -> Floats:
    """cxcywh cut to the image."""
    low: Floats = np.minimum(np.maximum(boxes[:, :2] - boxes[:, 2:] / 2, 0), 1)
    high: Floats = np.minimum(np.maximum(boxes[:, :2] + boxes[:, 2:] / 2, 0), 1)
    return np.concatenate([(low + high) / 2, high - low], axis=1)
