"""Boxes and matching against the usual forms, on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from transformers.loss.loss_for_object_detection import HungarianMatcher
from transformers.loss.loss_for_object_detection import generalized_box_iou as transformers_giou

from core.perception.assignment import assignment_steps
from core.perception.boxes import cxcywh_to_xyxy, generalized_box_iou
from core.perception.detr_matching import match
from tests.bench.segmentation import threads
from tests.bench.table import Row, alone, versus


def broadcast_giou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """GIoU in the usual way, corners in a last axis of two: (N, M, 2)."""
    areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (first, second)]
    inner = np.minimum(first[:, None, 2:], second[:, 2:]) - np.maximum(first[:, None, :2], second[:, :2])
    inner = inner.clip(min=0).prod(2)
    union = areas[0][:, None] + areas[1] - inner
    hull = np.maximum(first[:, None, 2:], second[:, 2:]) - np.minimum(first[:, None, :2], second[:, :2])
    hull = hull.prod(2)
    return inner / union - (hull - union) / hull


def boxes(count: int, seed: int) -> np.ndarray:
    """(count, 4) cxcywh."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.random((count, 2)), rng.random((count, 2)) * 0.3 + 0.01], axis=1)


def measure() -> Iterator[Row]:
    with threads(1):
        rng = np.random.default_rng(0)
        for n, m in ((900, 100), (100, 20)):
            first, second = (cxcywh_to_xyxy(boxes(k, k)) for k in (n, m))
            tensors = [torch.from_numpy(b).float() for b in (first, second)]
            what, goal = f"GIoU, {n}×{m}", 5 if n == 900 else None
            yield versus(
                what,
                lambda a=first, b=second: generalized_box_iou(a, b),
                "broadcast [N, M, 2], numpy",
                lambda a=first, b=second: broadcast_giou(a, b),
                at_least=goal,
            )
            yield versus(
                what,
                lambda a=first, b=second: generalized_box_iou(a, b),
                "broadcast [N, M, 2], transformers",
                lambda t=tensors: transformers_giou(*t),
                at_least=goal,
            )
        logits, labels = rng.normal(size=(100, 92)), rng.integers(0, 91, 20)
        image = logits, boxes(100, 1), labels, boxes(20, 2)
        matcher = HungarianMatcher(1, 5, 2)
        outputs = {
            "logits": torch.from_numpy(logits)[None].float(),
            "pred_boxes": torch.from_numpy(image[1])[None].float(),
        }
        goals = [{"class_labels": torch.from_numpy(labels), "boxes": torch.from_numpy(image[3]).float()}]
        yield alone("matching end to end, 100 queries, 20 targets, 91 classes", lambda: match(*image), at_most_ms=1)
        yield versus(
            "matching end to end, 100 queries, 20 targets, 91 classes",
            lambda: match(*image),
            "transformers HungarianMatcher",
            lambda: matcher(outputs, goals),
        )
        cost = match(*image).total_cost.T
        yield alone("trace of the solver, 20×100", lambda: list(assignment_steps(cost)), at_most_ms=20)
        yield versus(
            "trace of the solver, 20×100",
            lambda: list(assignment_steps(cost)),
            "scipy, the result alone",
            lambda: linear_sum_assignment(cost),
        )
