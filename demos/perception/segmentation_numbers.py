"""Result -> numbers with formulas and operands; every value is a field of a record in core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.boundary_metrics import boundary_f_score, boundary_iou, hausdorff_distance
from core.perception.error_regions import worst_errors
from core.perception.normalized_confusion import normalized_confusion
from core.perception.panoptic_quality import panoptic_quality
from core.perception.segmentation_accumulation import FrameStep, accumulate_scores, frame_scores
from core.perception.segmentation_metrics import (
    SegmentationScores,
    background_collapse,
    confusion_matrix,
    segmentation_scores,
)
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from demos.perception.segmentation_metrics import Boundary, Collapse, Controls, Result

LISTED = 300  # operands written out; a formula with more stays unfilled


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step: over all images first, then this image, then the extras."""
    everything = whole_numbers(result)
    if len(result.steps) == 1:
        return ((*everything, *_boundary_numbers(result.boundary), *_panoptic_numbers(result)),)
    frame = "this_frame"
    return tuple(
        (
            *everything,
            Number(
                "frame_miou",
                step.scores.mean_iou,
                frame_scores,
                *mean_of("IoU", step.scores.iou[step.scores.counted]),
                item=frame,
            ),
            Number(
                "cumulative_miou",
                step.cumulative_scores.mean_iou,
                frame_scores,
                *mean_of("IoU", step.cumulative_scores.iou[step.cumulative_scores.counted]),
                item="so_far",
            ),
        )
        for step in result.steps
    )


def mean_of(symbol: str, values: np.ndarray) -> tuple[str, dict[str, Any]]:
    """Formula and operands of a mean; too many values to read are not written out."""
    listed = [float(v) for v in values]
    return f"mean({symbol})", {symbol: listed} if len(listed) <= LISTED else {}


def whole_numbers(result: Result) -> tuple[Number, ...]:
    c, s = result.controls, result.scores
    included = np.ones(len(s.iou), bool)
    if c.background == "excluded":
        included[0] = False
    present = included & (s.target_pixels > 0)
    counted = int(s.target_pixels.sum())
    if c.accumulation == "dataset":
        iou = Number(
            "mean_iou",
            result.total.mean_iou,
            accumulate_scores,
            *mean_of("IoU", s.iou[s.counted]),
            convention=_convention(c),
        )
    else:
        values = {
            "per_image": result.total.per_image,
            "per_image_and_class": result.total.per_image_iou.ravel(),
            "per_image_per_class": result.total.iou,
        }[c.accumulation]
        iou = Number(
            "mean_iou",
            result.total.mean_iou,
            accumulate_scores,
            *mean_of("IoU", values[~np.isnan(values)]),
            convention=_convention(c),
        )
    weighted = {"t": [int(t) for t in s.target_pixels[present]], "IoU": [float(v) for v in s.iou[present]]}
    return (
        iou,
        Number(
            "pixel_accuracy",
            s.pixel_accuracy,
            segmentation_scores,
            "right / counted",
            {"right": int(s.true_positive.sum()), "counted": counted},
        ),
        Number(
            "mean_accuracy", s.mean_accuracy, segmentation_scores, *mean_of("accuracy", s.accuracy[s.counted_accuracy])
        ),
        Number(
            "frequency_weighted_iou", s.frequency_weighted_iou, segmentation_scores, "dot(t, IoU) / sum(t)", weighted
        ),
        Number(
            "mean_dice",
            s.mean_dice,
            segmentation_scores,
            *mean_of("Dice", s.dice[s.counted]),
            convention=_convention(c),
        ),
    )


def _convention(c: Controls) -> str:
    return f"{c.accumulation}.{c.absent}.only_{c.predicted_only}.{c.background}"


def class_numbers(s: SegmentationScores, k: int, name: str) -> tuple[Number, ...]:
    """The row of class k in the per-class table. A convention's value (absent as 0 or 1) has no operands."""
    n, t, p = int(s.true_positive[k]), int(s.target_pixels[k]), int(s.predicted_pixels[k])
    operands = {"hits": n, "target": t, "predicted": p}
    absent = t + p == 0

    def number(key: str, value: float, formula: str) -> Number:
        return Number(
            key, float(value), segmentation_scores, "" if absent else formula, {} if absent else operands, item=name
        )

    return (
        number("iou", s.iou[k], "hits / (target + predicted − hits)"),
        number("dice", s.dice[k], "2 · hits / (target + predicted)"),
        number("accuracy", s.accuracy[k], "hits / target"),
        number("precision", s.precision[k], "hits / predicted"),
    )


def _boundary_numbers(b: Boundary | None) -> tuple[Number, ...]:
    if b is None:
        return ()
    item, iou, f = f"class:{b.class_id}", b.iou, b.f_score
    operands: dict[str, Any] = {"intersection": iou.intersection, "union": iou.union}
    numbers = [Number("boundary_iou", iou.iou, boundary_iou, "intersection / union", operands, item=item)]
    if f is not None:
        formula = "2 · precision · recall / (precision + recall)" if f.precision + f.recall > 0 else ""
        operands = {"precision": f.precision, "recall": f.recall}
        numbers.append(Number("boundary_f", f.f_score, boundary_f_score, formula, operands, item=item))
    for key, h in (("hausdorff", b.hausdorff), ("hausdorff95", b.hausdorff95)):
        if h is not None:
            operands = {"there": h.prediction_to_target, "back": h.target_to_prediction}
            numbers.append(
                Number(key, h.distance, hausdorff_distance, "max(there, back)", operands, unit="px", item=item)
            )
    return tuple(numbers)


def _panoptic_numbers(result: Result) -> tuple[Number, ...]:
    q = result.panoptic
    if q is None:
        return ()

    def number(key: str) -> Number:
        values = np.array([getattr(quality, key) for quality in q.per_class])
        return Number(key, getattr(q, key), panoptic_quality, *mean_of(key.upper(), values[~np.isnan(values)]))

    return number("pq"), number("sq"), number("rq")


def collapse_numbers(c: Collapse) -> tuple[tuple[Number, Number], ...]:
    """For each score: the closed form at the slider's share b, and the same score counted on a mask with that share."""
    b, s = float(c.here.background_share), c.counted
    forms = {"pixel_accuracy": "b", "mean_accuracy": "1 / 2", "mean_iou": "b / 2", "frequency_weighted_iou": "b · b"}
    right, counted, ious = int(s.true_positive.sum()), int(s.target_pixels.sum()), [float(v) for v in s.iou]
    counts: dict[str, tuple[str, dict[str, Any]]] = {
        "pixel_accuracy": ("right / counted", {"right": right, "counted": counted}),
        "mean_accuracy": mean_of("accuracy", s.accuracy),
        "mean_iou": mean_of("IoU", s.iou),
        "frequency_weighted_iou": ("dot(t, IoU) / sum(t)", {"t": [int(t) for t in s.target_pixels], "IoU": ious}),
    }
    return tuple(
        (
            Number(key, float(getattr(c.here, key)), background_collapse, form, {"b": b}),
            Number(key, float(getattr(s, key)), segmentation_scores, *counts[key]),
        )
        for key, form in forms.items()
    )


def matrix_number(result: Result, step: FrameStep, names: tuple[str, ...]) -> Number:
    """What vouches for the cells of one picture's confusion matrix: their sum, or one of the shares."""
    matrix, k, per = step.confusion, result.pairs.num_classes, result.controls.normalize
    cells = [int(v) for v in matrix.ravel()]
    if per == "counts":
        operands = {"cells": cells} if len(cells) <= LISTED else {}
        return Number("count", sum(cells), confusion_matrix, "sum(cells)", operands)
    shares = normalized_confusion(matrix[:, : k + 1], per="target" if per == "target" else "prediction")
    best = int(np.argmax(np.diagonal(matrix)))
    whole = int((matrix[best] if per == "target" else matrix[:, best]).sum())
    operands = {"cell": int(matrix[best, best]), "line": whole}
    item = f"{names[best]} → {names[best]}"
    return Number("share", float(shares[best, best]), normalized_confusion, "cell / line", operands, item=item)


def worst_rows(result: Result, names: tuple[str, ...]) -> tuple[tuple[str | Number, ...], ...]:
    """The worst spots: number in the picture, truth → prediction, distance."""
    assert result.worst is not None
    rows: list[tuple[str | Number, ...]] = []
    for i, region in enumerate(result.worst.regions, 1):
        called = names[region.predicted_class] if 0 <= region.predicted_class < len(names) else "–"
        depth = Number("depth", region.depth, worst_errors, unit="px", item=str(i))
        rows.append((str(i), f"{names[region.target_class]} → {called}", depth))
    return tuple(rows)
