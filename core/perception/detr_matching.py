"""DETR's matching: what it costs to hold a query responsible for a target, and who is matched with whom.

Source: Carion et al., "End-to-end object detection with transformers", arXiv:2005.12872, eq. 1 and 2;
facebookresearch/detr models/matcher.py; for the focal kind Zhu et al., "Deformable DETR", arXiv:2010.04159, and
fundamentalvision/Deformable-DETR models/matcher.py.
Notation: Q queries, G targets, K classes; ∅ is "no object". Boxes are cxcywh in shares of the image unless named
xyxy. C = cost_class · class + cost_bbox · ‖b̂ − b‖₁ + cost_giou · (−GIoU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from core.perception.assignment import Flags, Ints, optimal_matching
from core.perception.boxes import Array, BoxOverlap, Floats, as_boxes, as_floats, box_overlap, cxcywh_to_xyxy

Kind: TypeAlias = Literal["softmax", "sigmoid_focal"]

TINY = 1e-8  # inside the focal cost's logarithms, as in the reference


@dataclass(frozen=True, slots=True)
class MatchResult:
    """Costs of all query–target pairs of one image, and the cheapest matching."""

    kind: Kind  # which class cost
    weights: tuple[float, float, float]  # cost_class, cost_bbox, cost_giou
    probabilities: Floats  # (Q, K + 1) softmax, ∅ last; or (Q, K) sigmoid
    pred_boxes: Floats  # (Q, 4) cxcywh
    target_labels: Ints  # (G,) in 0..K-1
    target_boxes: Floats  # (G, 4) cxcywh
    overlap: BoxOverlap  # (Q, G) each: areas, IoU, GIoU
    class_cost: Floats  # (Q, G) −p, or the focal difference; not weighted
    bbox_cost: Floats  # (Q, G) L1 distance of the cxcywh boxes; not weighted
    giou_cost: Floats  # (Q, G) −GIoU; not weighted
    total_cost: Floats  # (Q, G) weighted sum
    query_idx: Ints  # (min(Q, G),) matched queries, ascending
    target_idx: Ints  # (min(Q, G),) their targets

    @property
    def assigned_cost(self) -> float:
        """Σ total_cost over the matched pairs."""
        return float(self.total_cost[self.query_idx, self.target_idx].sum())

    @property
    def target_of_query(self) -> Ints:
        """(Q,) matched target of each query, −1 for ∅."""
        return _partners(self.query_idx, self.target_idx, self.total_cost.shape[0])

    @property
    def query_of_target(self) -> Ints:
        """(G,) matched query of each target, −1 if there are fewer queries than targets."""
        return _partners(self.target_idx, self.query_idx, self.total_cost.shape[1])


@dataclass(frozen=True, slots=True)
class MatchingInstability:
    """How many queries changed their target between two matchings of the same image."""

    count: int  # DN-DETR's IS: queries whose target differs, ∅ being one of the targets
    previous_target: Ints  # (Q,) −1 for ∅
    current_target: Ints  # (Q,) −1 for ∅
    changed: Flags  # (Q,)


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector says about one image."""

    scores: Floats  # (D,) in [0, 1]
    labels: Ints  # (D,) in 0..K-1
    boxes_xyxy: Floats  # (D, 4) px
    query_idx: Ints  # (D,) which prediction each came from


def match(
    pred_logits: Array,
    pred_boxes: Array,
    target_labels: Array,
    target_boxes: Array,
    *,
    cost_class: float = 1,
    cost_bbox: float = 5,
    cost_giou: float = 2,
    kind: Kind = "softmax",
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> MatchResult:
    """Match the targets of one image with queries at the least total cost.

    Convention: "softmax" (DETR; weights 1, 5, 2) takes −p of the target's class, a probability and not its logarithm,
    after a softmax over K classes and ∅; ∅ is never a column of the matrix. "sigmoid_focal" (Deformable DETR, DN-DETR,
    DINO; weights 2, 5, 2) takes α(1−p)^γ·(−log p) − (1−α)p^γ·(−log(1−p)), each logarithm of p + 1e-8. Sizes beyond
    the image are allowed. Everything in float64.

    Args:
        pred_logits: (Q, K + 1), ∅ last, for "softmax"; (Q, K) for "sigmoid_focal", see `sigmoid_logits`.
        pred_boxes: (Q, 4) cxcywh, shares of the image.
        target_labels: (G,) whole numbers in 0..K-1; no target at all is legal.
        target_boxes: (G, 4) cxcywh, shares of the image.
        cost_class, cost_bbox, cost_giou: weights, not negative.
        kind: class cost.
        alpha, gamma: of the focal cost.

    Raises:
        TypeError: if an argument does not hold real numbers.
        ValueError: if shapes disagree, a label is out of range, a box has a negative size, a weight is negative, or
            anything is NaN or infinite.

    Source: arXiv:2005.12872 eq. 1; models/matcher.py of both repositories.
    Differs: one image; 0/0 := 0 in GIoU; NaN is refused by name instead of inside SciPy.

    >>> found = match([[2, 0], [0, 2]], [[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.2, 0.2]], [0], [[0.5, 0.5, 0.4, 0.4]])
    >>> print(found.total_cost.round(3).tolist(), found.query_idx, found.target_idx)
    [[-2.881], [1.381]] [0] [0]
    """
    logits, labels = _checked_classes(pred_logits, target_labels, kind)
    boxes, goals = as_boxes(pred_boxes, name="pred_boxes"), as_boxes(target_boxes, name="target_boxes")
    if len(boxes) != len(logits):
        raise ValueError(f"pred_boxes must be as many as pred_logits, got {len(boxes)} and {len(logits)}")
    if len(goals) != len(labels):
        raise ValueError(f"target_boxes must be as many as target_labels, got {len(goals)} and {len(labels)}")
    weights = (float(cost_class), float(cost_bbox), float(cost_giou))
    if not all(0 <= w < np.inf for w in weights):
        raise ValueError(f"cost_class, cost_bbox and cost_giou must be finite and 0 or more, got {weights}")

    probabilities = _softmax(logits) if kind == "softmax" else _sigmoid(logits)
    p = probabilities[:, labels]  # (Q, G)
    if kind == "softmax":
        class_cost = -p
    else:
        positive = alpha * (1 - p) ** gamma * -np.log(p + TINY)
        negative = (1 - alpha) * p**gamma * -np.log(1 - p + TINY)
        class_cost = positive - negative
    bbox_cost = np.zeros_like(p)
    for k in range(4):  # one coordinate at a time: no (Q, G, 4) array
        bbox_cost += np.abs(boxes[:, k, None] - goals[None, :, k])
    overlap = box_overlap(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(goals))
    giou_cost = -overlap.giou
    total = weights[0] * class_cost + weights[1] * bbox_cost + weights[2] * giou_cost
    pairs = optimal_matching(total)
    return MatchResult(
        kind,
        weights,
        probabilities,
        boxes,
        labels,
        goals,
        overlap,
        class_cost,
        bbox_cost,
        giou_cost,
        total,
        pairs.row_idx,
        pairs.col_idx,
    )


def sigmoid_logits(pred_logits: Array) -> Floats:
    """The (Q, K) logits whose sigmoids are the softmax's K class probabilities: z_c − log Σ_{j≠c} e^{z_j}.

    Convention: the last column of the softmax is ∅ and is left out, for sigmoid detectors have none. With it one set of
    predictions can be matched by either kind of cost.

    Args:
        pred_logits: (Q, K + 1), K ≥ 1, finite.

    Raises:
        TypeError: if they are not real numbers.
        ValueError: if the shape is not (Q, K + 1) with K ≥ 1, or a logit is NaN or infinite.

    Source: own, from σ(z) = p ⟺ z = log(p / (1 − p)).
    Differs: nothing left out.

    >>> print((1 / (1 + np.exp(-sigmoid_logits([[2.0, 1.0, 0.0]])))).round(4))
    [[0.6652 0.2447]]
    """
    logits = _checked_logits(pred_logits, 2)
    others = np.full(logits[:, :-1].shape, -np.inf)
    for c in range(logits.shape[1] - 1):
        rest = np.delete(logits, c, axis=1)
        top = rest.max(axis=1)
        others[:, c] = top + np.log(np.exp(rest - top[:, None]).sum(axis=1))
    return logits[:, :-1] - others


def postprocess(
    pred_logits: Array,
    pred_boxes: Array,
    *,
    image_size: tuple[int, int],
    kind: Kind = "softmax",
    top_k: int = 100,
) -> Detections:
    """Turn predictions into detections, best first. No non-maximum suppression.

    Convention: "softmax": one detection a query, its best class without ∅; all of them. "sigmoid_focal": the `top_k`
    best of all Q · K query–class pairs, so that a query may speak several times. Equal scores in the order of the pairs.

    Args:
        pred_logits: (Q, K + 1) or (Q, K), as in `match`.
        pred_boxes: (Q, 4) cxcywh, shares of the image.
        image_size: (height, width) px.
        kind: which probabilities.
        top_k: of the focal kind; at least 1.

    Raises:
        TypeError, ValueError: as `match`; ValueError if image_size or top_k is not positive.

    Source: PostProcess in models/detr.py and models/deformable_detr.py.
    Differs: sorted by score; the reference's softmax keeps the order of the queries.

    >>> found = postprocess([[0, 0], [2, 0]], [[0.5, 0.5, 1, 1], [0.5, 0.5, 0.5, 0.5]], image_size=(40, 80))
    >>> print(found.scores.round(3), found.boxes_xyxy[0], found.query_idx)
    [0.881 0.5  ] [20. 10. 60. 30.] [1 0]
    """
    logits = _checked_logits(pred_logits, 2 if kind == "softmax" else 1)
    boxes = as_boxes(pred_boxes, name="pred_boxes")
    if len(boxes) != len(logits):
        raise ValueError(f"pred_boxes must be as many as pred_logits, got {len(boxes)} and {len(logits)}")
    height, width = image_size
    if min(height, width) < 1 or top_k < 1:
        raise ValueError(f"image_size and top_k must be positive, got {image_size} and {top_k}")
    if kind == "softmax":
        p = _softmax(logits)[:, :-1]
        labels, queries = p.argmax(axis=1), np.arange(len(p))
        scores = p[queries, labels]
        order = np.argsort(-scores, kind="stable")
    else:
        p = _sigmoid(logits)
        queries, labels = np.divmod(np.arange(p.size), p.shape[1])
        scores = p.ravel()
        order = np.argsort(-scores, kind="stable")[:top_k]
    pixels = cxcywh_to_xyxy(boxes) * np.array([width, height, width, height])
    return Detections(scores[order], labels[order], pixels[queries[order]], queries[order])


def matching_instability(
    previous: MatchResult | tuple[Ints, Ints], current: MatchResult | tuple[Ints, Ints], num_queries: int
) -> MatchingInstability:
    """Count the queries whose target differs between two matchings: between two epochs, layers or drags of a box.

    Convention: IS = Σ_n 1(V_n ≠ V'_n) with V_n the index of the matched target and −1 for ∅; one image.

    Args:
        previous, current: matchings, or their (query_idx, target_idx).
        num_queries: Q.

    Raises:
        ValueError: if an index is out of range or a query is matched twice.

    Source: Li et al., "DN-DETR", arXiv:2203.01305, §3.2.
    Differs: the paper averages over a validation set.

    >>> change = matching_instability((np.array([0, 2]), np.array([1, 0])), (np.array([0, 1]), np.array([1, 0])), 4)
    >>> print(change.count, change.current_target)
    2 [ 1  0 -1 -1]
    """
    before, after = (_target_vector(m, num_queries) for m in (previous, current))
    changed = before != after
    return MatchingInstability(int(changed.sum()), before, after, changed)


def _target_vector(matching: MatchResult | tuple[Ints, Ints], num_queries: int) -> Ints:
    pair = (matching.query_idx, matching.target_idx) if isinstance(matching, MatchResult) else matching
    queries, targets = (np.asarray(x, np.int64) for x in pair)
    if len(queries) != len(targets):
        raise ValueError(f"query_idx and target_idx must be equally long, got {len(queries)} and {len(targets)}")
    if queries.size and not (queries.min() >= 0 and queries.max() < num_queries and targets.min() >= 0):
        raise ValueError(f"query_idx must lie in 0..{num_queries - 1} and target_idx at 0 or above, got {pair}")
    if np.unique(queries).size != queries.size:
        raise ValueError(f"query_idx must name each query once, got {queries.tolist()}")
    return _partners(queries, targets, num_queries)


def _partners(of: Ints, partners: Ints, length: int) -> Ints:
    out = np.full(length, -1, np.int64)
    out[of] = partners
    return out


def _checked_classes(pred_logits: Array, target_labels: Array, kind: Kind) -> tuple[Floats, Ints]:
    if kind not in ("softmax", "sigmoid_focal"):
        raise ValueError(f"kind must be softmax or sigmoid_focal, got {kind!r}")
    logits = _checked_logits(pred_logits, 2 if kind == "softmax" else 1)
    num_classes = logits.shape[1] - (kind == "softmax")
    labels = as_floats(target_labels, name="target_labels")
    if labels.ndim != 1:
        raise ValueError(f"target_labels must have shape (G,), got {labels.shape}")
    wrong = ~((labels >= 0) & (labels < num_classes) & (labels == np.floor(labels)))
    if wrong.any():
        raise ValueError(f"target_labels must be whole numbers in 0..{num_classes - 1}, got {labels[wrong][0]:g}")
    return logits, labels.astype(np.int64)


def _checked_logits(pred_logits: Array, least: int) -> Floats:
    logits = as_floats(pred_logits, name="pred_logits")
    if logits.ndim != 2 or logits.shape[1] < least:
        raise ValueError(f"pred_logits must have shape (Q, C) with C of {least} or more, got {logits.shape}")
    wrong = ~np.isfinite(logits)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"pred_logits must be finite, got {logits[row, column]} for query {row}, class {column}")
    return logits


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _sigmoid(logits: Floats) -> Floats:
    positive = 1 / (1 + np.exp(-np.abs(logits)))
    return np.where(logits >= 0, positive, 1 - positive)
