"""DETR's set loss, taken apart: per decoder layer, per part, per query. The bundled tiny DETR was trained with it.

Source: Carion et al., arXiv:2005.12872, eq. 2 and §A.2; facebookresearch/detr models/detr.py (SetCriterion); for the
focal kind fundamentalvision/Deformable-DETR models/deformable_detr.py.
Notation: L decoder layers, B images, Q queries, K classes, n matched pairs of the batch; ∅ is class K, "no object";
w weight of a query in the class loss. Boxes are cxcywh in shares of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.perception.detr_matching import Kind, MatchResult, match


@dataclass(frozen=True, slots=True)
class Target:
    """The objects of one image."""

    labels: Tensor  # (G,) int64 in 0..K-1
    boxes: Tensor  # (G, 4) cxcywh, shares of the image


@dataclass(frozen=True, slots=True)
class LayerLoss:
    """The loss of one decoder layer, whose matching is its own. The tensors carry gradients where the inputs do."""

    matches: tuple[MatchResult, ...]  # B matchings
    target_classes: Tensor  # (B, Q) int64 class that each query should say; K for ∅
    class_weight: Tensor  # (B, Q) w: 1 for matched queries, eos_coefficient for ∅; all 1 for the focal kind
    query_class: (
        Tensor  # (B, Q) −log p of the class it should say; or the focal loss summed over K classes. Not weighted
    )
    class_normalizer: Tensor  # () what Σ w · query_class is divided by: Σ w, or for the focal kind num_boxes
    batch_idx: Tensor  # (n,) image of each matched pair
    query_idx: Tensor  # (n,) query of each matched pair
    target_idx: Tensor  # (n,) target of each matched pair, in its image
    pair_l1: Tensor  # (n,) ‖b̂ − b‖₁
    pair_giou: Tensor  # (n,) 1 − GIoU
    num_boxes: float  # targets of the whole batch, at least 1: what both box losses are divided by
    loss_class: Tensor  # () Σ w · query_class / class_normalizer
    loss_bbox: Tensor  # () Σ pair_l1 / num_boxes
    loss_giou: Tensor  # () Σ pair_giou / num_boxes
    total: Tensor  # () the three, weighted
    class_error: float  # share of matched queries whose best class is wrong, in [0, 1]; NaN without pairs. No gradient
    cardinality_error: float  # mean over images of |queries that say an object − targets|. No gradient

    @property
    def query_l1(self) -> Tensor:
        """(B, Q) ‖b̂ − b‖₁ of each query, NaN for ∅."""
        return self._spread(self.pair_l1)

    @property
    def query_giou(self) -> Tensor:
        """(B, Q) 1 − GIoU of each query, NaN for ∅."""
        return self._spread(self.pair_giou)

    @property
    def query_class_share(self) -> Tensor:
        """(B, Q) what each query adds to loss_class; their sum is loss_class."""
        return self.class_weight * self.query_class / self.class_normalizer

    @property
    def empty_share(self) -> float:
        """Share of loss_class that comes from the queries of ∅; NaN if loss_class is 0."""
        empty = self.target_of_query < 0
        return float((self.query_class_share.detach() * empty).sum() / self.loss_class.detach())

    @property
    def target_of_query(self) -> Tensor:
        """(B, Q) matched target, −1 for ∅."""
        out = torch.full_like(self.target_classes, -1)
        out[self.batch_idx, self.query_idx] = self.target_idx
        return out

    def _spread(self, values: Tensor) -> Tensor:
        out = torch.full_like(self.query_class, float("nan")).detach()
        out[self.batch_idx, self.query_idx] = values.detach()
        return out


@dataclass(frozen=True, slots=True)
class SetLoss:
    """The training loss: the sum over all decoder layers."""

    kind: Kind  # which class loss
    eos_coefficient: float  # weight of ∅ in the class loss; not used by the focal kind
    weights: tuple[float, float, float]  # of loss_class, loss_bbox and loss_giou in the total
    layers: tuple[LayerLoss, ...]  # L, the last one is the detector's output
    total: Tensor  # () Σ over layers

    @property
    def last(self) -> LayerLoss:
        """The layer whose predictions the detector returns; the others are auxiliary."""
        return self.layers[-1]


def set_loss(
    pred_logits: Tensor,
    pred_boxes: Tensor,
    targets: Sequence[Target],
    *,
    kind: Kind = "softmax",
    eos_coefficient: float = 0.1,
    weight_class: float = 1,
    weight_bbox: float = 5,
    weight_giou: float = 2,
    cost_class: float = 1,
    cost_bbox: float = 5,
    cost_giou: float = 2,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> SetLoss:
    """Loss of a set of predictions against a set of targets, with auxiliary losses.

    Convention: the matching is done again for every decoder layer and passes no gradient. It weighs −p; the loss takes
    −log p. "softmax": cross-entropy over K classes and ∅, a *weighted mean* with weight eos_coefficient for ∅, so the
    divisor is Σ w over all B · Q queries and not the number of boxes. "sigmoid_focal": focal loss over K classes,
    summed, over num_boxes. L1 and 1 − GIoU: summed over pairs, over num_boxes.

    Args:
        pred_logits: (L, B, Q, K + 1), ∅ last; (L, B, Q, K) for "sigmoid_focal". Floating point.
        pred_boxes: (L, B, Q, 4) cxcywh, shares of the image.
        targets: B.
        kind: class loss and class cost.
        eos_coefficient: weight of ∅, positive.
        weight_class, weight_bbox, weight_giou: of the losses.
        cost_class, cost_bbox, cost_giou: of the matching; see `match`.
        alpha, gamma: of the focal loss and cost.

    Raises:
        TypeError: if predictions are not floating point.
        ValueError: if shapes disagree, eos_coefficient is not positive, or as `match`.

    Source: SetCriterion in models/detr.py; sigmoid_focal_loss in models/segmentation.py.
    Differs: no masks, one process; 0/0 := 0 in GIoU.

    >>> logits, boxes = torch.tensor([[[[2.0, 0.0], [0.0, 2.0]]]]), torch.tensor([[[[0.5, 0.5, 0.4, 0.4]] * 2]])
    >>> loss = set_loss(logits, boxes, [Target(torch.tensor([0]), torch.tensor([[0.5, 0.5, 0.2, 0.4]]))])
    >>> layer = loss.last
    >>> print(f"{layer.loss_class:.4f} {layer.loss_bbox:.4f} {layer.loss_giou:.4f} {loss.total:.4f}")
    0.1269 0.2000 0.5000 2.1269
    """
    if not (pred_logits.is_floating_point() and pred_boxes.is_floating_point()):
        raise TypeError(f"predictions must be floating point, got {pred_logits.dtype} and {pred_boxes.dtype}")
    if pred_logits.ndim != 4 or pred_boxes.shape != (*pred_logits.shape[:3], 4):
        raise ValueError(
            "pred_logits and pred_boxes must have shapes (L, B, Q, C) and (L, B, Q, 4), "
            f"got {tuple(pred_logits.shape)} and {tuple(pred_boxes.shape)}"
        )
    if pred_logits.shape[0] < 1 or len(targets) != pred_logits.shape[1]:
        raise ValueError(
            f"there must be a layer and a target for each image, got {pred_logits.shape[0]} layers, "
            f"{len(targets)} targets and {pred_logits.shape[1]} images"
        )
    if not eos_coefficient > 0:
        raise ValueError(f"eos_coefficient must be positive, got {eos_coefficient}")
    costs = cost_class, cost_bbox, cost_giou
    weights = float(weight_class), float(weight_bbox), float(weight_giou)
    layers = tuple(
        _layer_loss(logits, boxes, targets, kind, eos_coefficient, weights, costs, alpha, gamma)
        for logits, boxes in zip(pred_logits, pred_boxes, strict=True)
    )
    return SetLoss(kind, float(eos_coefficient), weights, layers, torch.stack([layer.total for layer in layers]).sum())


def _layer_loss(
    logits: Tensor,
    boxes: Tensor,
    targets: Sequence[Target],
    kind: Kind,
    eos_coefficient: float,
    weights: tuple[float, float, float],
    costs: tuple[float, float, float],
    alpha: float,
    gamma: float,
) -> LayerLoss:
    logits, boxes = (x.float() if x.dtype in (torch.float16, torch.bfloat16) else x for x in (logits, boxes))
    matches = tuple(
        match(
            *(logits[b], boxes[b], target.labels, target.boxes),
            cost_class=costs[0],
            cost_bbox=costs[1],
            cost_giou=costs[2],
            kind=kind,
            alpha=alpha,
            gamma=gamma,
        )
        for b, target in enumerate(targets)
    )
    device, empty = logits.device, logits.shape[-1] - (kind == "softmax")
    batch_idx = torch.cat([torch.full((m.query_idx.size,), b) for b, m in enumerate(matches)]).long().to(device)
    query_idx = torch.cat([torch.as_tensor(m.query_idx) for m in matches]).to(device)
    target_idx = torch.cat([torch.as_tensor(m.target_idx) for m in matches]).to(device)

    wanted = torch.full(logits.shape[:2], empty, dtype=torch.int64, device=device)  # (B, Q)
    labels = [torch.as_tensor(m.target_labels[m.target_idx]) for m in matches]
    wanted[batch_idx, query_idx] = torch.cat(labels).to(device)
    goals = torch.cat([torch.as_tensor(m.target_boxes[m.target_idx]) for m in matches]).to(boxes)  # (n, 4)
    num_boxes = float(max(1, sum(m.target_labels.size for m in matches)))

    if kind == "softmax":
        query_class = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")  # (B, Q)
        weight = torch.where(wanted == empty, eos_coefficient, 1.0).to(logits)
        normalizer = weight.sum()
        says_object = logits.argmax(-1) != empty
    else:
        query_class = _focal(logits, F.one_hot(wanted, empty + 1)[..., :empty].to(logits), alpha, gamma).sum(-1)
        weight = torch.ones_like(query_class)
        normalizer = torch.full_like(query_class.sum(), num_boxes)
        says_object = logits.amax(-1) > 0  # p > 1/2
    loss_class = (weight * query_class).sum() / normalizer

    mine = boxes[batch_idx, query_idx]  # (n, 4)
    pair_l1 = (mine - goals).abs().sum(-1)
    pair_giou = 1 - _paired_giou(mine, goals)
    loss_bbox, loss_giou = pair_l1.sum() / num_boxes, pair_giou.sum() / num_boxes
    right = logits.argmax(-1)[batch_idx, query_idx] == wanted[batch_idx, query_idx]
    counts = torch.tensor([m.target_labels.size for m in matches], device=device)
    return LayerLoss(
        matches,
        wanted,
        weight,
        query_class,
        normalizer,
        batch_idx,
        query_idx,
        target_idx,
        pair_l1,
        pair_giou,
        num_boxes,
        loss_class,
        loss_bbox,
        loss_giou,
        weights[0] * loss_class + weights[1] * loss_bbox + weights[2] * loss_giou,
        float((~right).double().mean()),
        float((says_object.sum(-1) - counts).abs().double().mean()),
    )


def _focal(logits: Tensor, wanted: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of every class, wanted 0 or 1."""
    p = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missing = wanted * (1 - p) + (1 - wanted) * p
    return (wanted * alpha + (1 - wanted) * (1 - alpha)) * entropy * missing**gamma


def _paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """(n,) GIoU of box i with box i, both (n, 4) cxcywh, with gradients; 0/0 := 0."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = (
        (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2) for cx, cy, w, h in (first.unbind(-1), second.unbind(-1))
    )
    inner = (torch.minimum(ax1, bx1) - torch.maximum(ax0, bx0)).clamp(min=0) * (
        torch.minimum(ay1, by1) - torch.maximum(ay0, by0)
    ).clamp(min=0)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - inner
    hull = (torch.maximum(ax1, bx1) - torch.minimum(ax0, bx0)) * (torch.maximum(ay1, by1) - torch.minimum(ay0, by0))
    return _ratio(inner, union) - _ratio(hull - union, hull)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    there = whole > 0
    return torch.where(there, part / torch.where(there, whole, 1.0), 0.0)
