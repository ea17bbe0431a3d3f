"""Tab: predictions and objects, paired off at the least cost. Why that needs neither anchors nor suppression."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.anchor_matching import AnchorAssignment, SuppressionStep, anchor_assignment, suppression_steps
from core.perception.assignment import (
    AssignmentStep,
    Matching,
    PuzzleScore,
    assignment_steps,
    cheapest_row_matching,
    greedy_matching,
    optimal_matching,
    score_matching,
)
from core.perception.attention_maps import query_attention
from core.perception.average_precision import AveragePrecision, average_precision
from core.perception.boxes import cxcywh_to_xyxy
from core.perception.detr_matching import (
    Detections,
    MatchingInstability,
    MatchResult,
    match,
    matching_instability,
    postprocess,
    sigmoid_logits,
)
from demos.contract import Demo
from demos.kit.controls import choice, files, marks, number
from demos.kit.drawings import read_cells
from demos.kit.upload_errors import UploadError
from demos.panel import Panel
from demos.perception.detr_matching_figures import show
from demos.perception.detr_matching_inputs import Problem, problem_of
from demos.perception.detr_matching_numbers import numbers_of
from demos.perception.detr_matching_script import script_of
from demos.perception.detr_matching_tables_figures import guesses_of

if TYPE_CHECKING:
    from core.perception.detr_loss import SetLoss

THRESHOLDS = {"head": (0.5, 0.5, False), "rpn": (0.7, 0.3, True)}  # foreground, background, rescue of the best box


@dataclass(frozen=True)
class Controls:
    lens: str = choice("match", ("match", "solver", "loss", "nms", "attention"))
    source: str = choice("scene", ("scene", "coffee", "rocket", "files", "trap"))
    predictor: str = choice("tiny", ("tiny", "noisy", "drawn", "hub"))
    photo: tuple[str, ...] = files()
    scene: int = number(7, 0, 9999, slider=False)
    objects: int = number(4, 1, 5)
    noise: float = number(0.2, 0.0, 1.0, 0.05)
    duplicates: int = number(2, 0, 8)
    misses: int = number(0, 0, 4)
    queries: int = number(10, 1, 24)
    label_flips: float = number(0.0, 0.0, 1.0, 0.05)
    confidence: float = number(0.9, 0.05, 0.99, 0.01)
    seed: int = number(3, 0, 9999, slider=False)
    cost_class: float = number(1.0, 0.0, 10.0, 0.1)
    cost_bbox: float = number(5.0, 0.0, 10.0, 0.1)
    cost_giou: float = number(2.0, 0.0, 10.0, 0.1)
    kind: str = choice("softmax", ("softmax", "sigmoid_focal"))
    rule: str = choice("optimal", ("optimal", "greedy", "cheapest"))
    eos: float = number(0.1, 0.01, 1.0, 0.01)
    thresholds: str = choice("head", ("head", "rpn"))
    nms_iou: float = number(0.5, 0.0, 1.0, 0.05)
    score: float = number(0.5, 0.0, 0.99, 0.01)
    view: str = choice("decoder", ("decoder", "encoder_row", "encoder_column"))
    boxes: str = marks()
    pairs: str = marks()


@dataclass(frozen=True)
class Suppressed:
    """The same predictions, trained and read as two-stage detectors do it."""

    detections: Detections  # best first
    assignment: AnchorAssignment  # of the detections' boxes, in their order
    steps: tuple[SuppressionStep, ...]  # indices into the detections
    matched_target: np.ndarray  # (D,) DETR's target of each detection, −1 for ∅
    precision: tuple[AveragePrecision, AveragePrecision]  # everything that was said; what survives


@dataclass(frozen=True)
class Looks:
    """Attention of the bundled network: one map a step."""

    maps: np.ndarray  # (T, H, W)
    queries: tuple[int, ...]  # of the decoder view: the kept queries; () for places
    scores: np.ndarray  # (T,) of the kept queries
    labels: np.ndarray  # (T,)


@dataclass(frozen=True)
class Result:
    """What the opened lens shows, and the matching that all of them rest on."""

    controls: Controls
    problem: Problem
    cost: np.ndarray  # (Q, G)
    match: MatchResult | None  # None where only costs were given
    optimal: Matching
    greedy: Matching
    cheapest: Matching
    greedy_score: PuzzleScore
    picked: tuple[tuple[int, int], ...]
    puzzle: PuzzleScore | None  # None before the first pick
    dragged: MatchingInstability | None  # against the matching before anything was dragged
    steps: tuple[AssignmentStep, ...] = ()
    loss: SetLoss | None = None
    layers: tuple[MatchingInstability, ...] = ()  # between neighbouring decoder layers
    suppressed: Suppressed | None = None
    looks: Looks | None = None

    @property
    def taken(self) -> Matching:
        """The pairs of the rule that is looked at."""
        return {"optimal": self.optimal, "greedy": self.greedy, "cheapest": self.cheapest}[self.controls.rule]


def run(c: Controls) -> Result:
    """Everything the tab shows, computed by `core`."""
    problem = problem_of(c)
    found = None if problem.cost is not None else _matched(problem, c)
    cost = problem.cost if found is None else found.total_cost
    assert cost is not None
    greedy = greedy_matching(cost)
    picked = read_cells(c.pairs, shape=(cost.shape[0], cost.shape[1]))
    made: dict[str, Any] = {}
    if c.lens == "solver":
        made["steps"] = tuple(assignment_steps(cost))
    elif found is None and c.lens != "match":
        raise UploadError("lens_needs_boxes")
    elif c.lens == "loss":
        made["loss"], made["layers"] = _loss(problem, c)
    elif c.lens == "nms":
        made["suppressed"] = _suppressed(problem, c)
    elif c.lens == "attention":
        made["looks"] = _looks(problem, c)
    return Result(
        c,
        problem,
        cost,
        found,
        optimal_matching(cost),
        greedy,
        cheapest_row_matching(cost),
        score_matching(cost, greedy.picks),
        picked,
        score_matching(cost, picked) if picked else None,
        _dragged(problem, found, c),
        **made,
    )


def _matched(problem: Problem, c: Controls) -> MatchResult:
    logits = problem.predictions.logits[-1]
    return match(
        logits if c.kind == "softmax" else sigmoid_logits(logits),
        problem.predictions.boxes[-1],
        problem.truth.labels,
        problem.truth.boxes,
        cost_class=c.cost_class,
        cost_bbox=c.cost_bbox,
        cost_giou=c.cost_giou,
        kind=c.kind,  # type: ignore[arg-type]
    )


def _dragged(problem: Problem, found: MatchResult | None, c: Controls) -> MatchingInstability | None:
    """Queries that changed their target; told only while queries and targets are the same ones."""
    before = problem.before
    same = before and (before.truth.ids, before.predictions.ids) == (problem.truth.ids, problem.predictions.ids)
    if not before or not same or found is None:
        return None
    return matching_instability(_matched(before, c), found, len(problem.predictions.ids))


def _loss(problem: Problem, c: Controls) -> tuple[SetLoss, tuple[MatchingInstability, ...]]:
    import torch

    from core.perception.detr_loss import Target, set_loss

    logits, boxes = problem.predictions.logits, problem.predictions.boxes
    if c.kind != "softmax":
        logits = np.stack([sigmoid_logits(layer) for layer in logits])
    loss = set_loss(
        torch.from_numpy(logits)[:, None],
        torch.from_numpy(boxes)[:, None],
        [Target(torch.from_numpy(problem.truth.labels), torch.from_numpy(problem.truth.boxes))],
        kind=c.kind,  # type: ignore[arg-type]
        eos_coefficient=c.eos,
        weight_class=c.cost_class,
        weight_bbox=c.cost_bbox,
        weight_giou=c.cost_giou,
        cost_class=c.cost_class,
        cost_bbox=c.cost_bbox,
        cost_giou=c.cost_giou,
    )
    matches = [layer.matches[0] for layer in loss.layers]
    return loss, tuple(matching_instability(a, b, boxes.shape[1]) for a, b in pairwise(matches))


def _suppressed(problem: Problem, c: Controls) -> Suppressed:
    size, logits = problem.size, problem.predictions.logits[-1]
    found = postprocess(logits, problem.predictions.boxes[-1], image_size=size)
    goals = cxcywh_to_xyxy(problem.truth.boxes) * np.array([size[1], size[0]] * 2)
    foreground, background, rescue = THRESHOLDS[c.thresholds]
    steps = tuple(
        suppression_steps(
            found.boxes_xyxy, found.scores, iou_threshold=c.nms_iou, score_threshold=0.05, labels=found.labels
        )
    )
    truth = [(problem.truth.labels, goals)]

    def scored(rows: np.ndarray) -> AveragePrecision:
        some = Detections(found.scores[rows], found.labels[rows], found.boxes_xyxy[rows], found.query_idx[rows])
        return average_precision([some], truth, num_classes=logits.shape[1] - 1)

    return Suppressed(
        found,
        anchor_assignment(
            found.boxes_xyxy, goals, foreground_iou=foreground, background_iou=background, allow_low_quality=rescue
        ),
        steps,
        _matched(problem, c).target_of_query[found.query_idx],
        (scored(np.flatnonzero(steps[-1].seen)), scored(steps[-1].kept)),
    )


def _looks(problem: Problem, c: Controls) -> Looks:
    output = problem.output
    if output is None:
        raise UploadError("attention_needs_network")
    height, width = output.features.shape[-2:]
    if c.view == "decoder":
        found = postprocess(problem.predictions.logits[-1], problem.predictions.boxes[-1], image_size=problem.size)
        own = output.pred_boxes.shape[2]
        rows = [k for k in range(len(found.scores)) if found.scores[k] >= c.score and found.query_idx[k] < own]
        rows = [k for k in rows if not problem.predictions.ids[found.query_idx[k]].startswith("n")]
        if not rows:
            raise UploadError("no_query_kept", score=f"{c.score:.2f}", best=f"{float(found.scores.max(initial=0)):.2f}")
        maps = query_attention(output.decoder_cross_attention[-1, 0], (height, width))
        numbers = tuple(int(problem.predictions.ids[found.query_idx[k]]) for k in rows)
        return Looks(
            maps[list(numbers)], tuple(int(found.query_idx[k]) for k in rows), found.scores[rows], found.labels[rows]
        )
    from core.perception.tiny_detr import attention_views

    weights = output.encoder_attention[-1, 0].double().mean(0)
    views = [
        attention_views(weights, (height, width), row=row, column=column)
        for row in range(height)
        for column in range(width)
    ]
    maps = np.stack([view.attends_to if c.view == "encoder_row" else view.attended_by for view in views])
    return Looks(maps, (), np.zeros(0), np.zeros(0, np.int64))


def build(panel: Panel) -> None:
    """Left: what is looked at, and what is matched with what. Under More: how predictions are made."""
    with panel.left:
        panel.control("lens")
        panel.control("source")
        with panel.when("source", "files"):
            panel.control("photo")
        with panel.when("boxes", "yes"):
            panel.control("predictor")
        with panel.when("lens", "match"):
            panel.control("rule")
        with panel.when("lens", "nms"):
            panel.control("nms_iou")
            panel.control("thresholds")
        with panel.when("lens", "loss"):
            panel.control("eos")
        with panel.when("lens", "attention"):
            panel.control("view")
            with panel.when("view", "decoder"):
                panel.control("score")
        with panel.when("costs", "yes"), panel.more("costs", opened=True):
            for name in ("cost_class", "cost_bbox", "cost_giou", "kind"):
                panel.control(name)
        with panel.when("more", "yes"), panel.more():
            with panel.when("source", "scene"):
                panel.control("scene")
                panel.control("objects")
            with panel.when("predictor", "noisy"):
                for name in ("noise", "duplicates", "misses", "queries", "label_flips", "seed"):
                    panel.control(name)
            panel.control("confidence")
        panel.control("boxes")
        panel.control("pairs")


DEMO = Demo(
    slug="detr-matching",
    sources=(
        "Carion et al. 2020, *End-to-end object detection with transformers*, arXiv:2005.12872, §3.1 and §A.2;"
        " facebookresearch/detr matcher.py, detr.py (and issues 108, 162, 390, 590)",
        "Crouse 2016, *On implementing 2D rectangular assignment algorithms*, IEEE TAES 52(4); SciPy linear_sum_assignment",
        "Rezatofighi et al. 2019, *Generalized intersection over union*, arXiv:1902.09630",
        "Zhu et al. 2020, *Deformable DETR*, arXiv:2010.04159 (focal cost); Li et al. 2022, *DN-DETR*, arXiv:2203.01305"
        " (box noise, matching instability)",
        "Ren et al. 2015, *Faster R-CNN*, arXiv:1506.01497; torchvision models/detection (thresholds, suppression)",
    ),
    presets={
        "start": Controls(),
        "greedy": Controls(source="trap", rule="greedy"),
        "solver": Controls(
            lens="solver",
            predictor="noisy",
            scene=33,
            objects=5,
            noise=1.0,
            label_flips=0.5,
            duplicates=1,
            queries=7,
            seed=4,
        ),
        "duplicates": Controls(lens="nms", source="coffee", predictor="noisy", noise=0.0, duplicates=4, queries=10),
        "loss": Controls(lens="loss"),
        "attention": Controls(lens="attention"),
    },
    run=run,
    numbers=numbers_of,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    drawing=lambda kind, _: "boxes" if kind == "boxes" else "pairs",
    draws=("boxes", "cells"),
)
