"""How good predicted joints are: OKS, PCK, and the best OKS that a network can reach which answers in bins.

Source: COCO keypoint evaluation, cocodataset/cocoapi PythonAPI/pycocotools/cocoeval.py; Yang & Ramanan 2013 (PCK); Andriluka et
al. 2014, MPII (PCKh).
Notation: d distance of a joint to the truth, A area of the object in px², σ_k spread of the annotators for joint k,
s_k = 2σ_k√A, a half a bin in px.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
EPSILON = float(np.spacing(1))  # what pycocotools adds to the area


@dataclass(frozen=True, slots=True)
class KeypointSimilarity:
    """OKS and what it is the mean of."""

    oks: float  # mean of the counted joints' similarities; NaN if there are no joints at all
    similarity: Floats  # (K,) exp(−d²/(2A(2σ)²)), in 0…1
    distances: Floats  # (K,) px; without labelled joints: distance outside the doubled box
    counted: Bools  # (K,) joints in the mean: the labelled ones, or all if none is labelled


@dataclass(frozen=True, slots=True)
class CorrectKeypoints:
    """PCK and what it is the share of."""

    pck: float  # share of the labelled joints that are close enough; NaN if none is labelled
    distances: Floats  # (K,) in parts of the reference length; NaN where not labelled
    correct: Bools  # (K,)


@dataclass(frozen=True, slots=True)
class ExpectedSimilarity:
    """OKS of a network whose only error is that it answers in bins."""

    oks: float  # mean over the joints
    by_joint: Floats  # (K,)
    scales: Floats  # (K,) s_k = 2σ_k√A, px


def oks(
    pred: Array,
    truth: Array,
    visible: Array,
    area: float,
    *,
    sigmas: Sequence[float] = COCO_SIGMAS,
    box_xywh: Sequence[float] | None = None,
) -> KeypointSimilarity:
    """Object keypoint similarity: the mean of exp(−d²/(2A(2σ_k)²)) over the labelled joints.

    Convention: pycocotools. A joint counts if its visibility is above 0; the area gets 2.2e-16 added. If no joint is labelled,
    all count, and d is how far a prediction lies outside the box drawn out by its own size to each side.

    Args:
        pred: (K, 2) x, y in px.
        truth: (K, 2) x, y in px; what is not labelled is not read.
        visible: (K,) 0 not labelled, 1 hidden, 2 seen.
        area: A of the object, px², 0 or more.
        sigmas: (K,) of the joints, above 0.
        box_xywh: of the object; needed only if no joint is labelled.

    Raises:
        TypeError, ValueError: if shapes disagree, a number that counts is not finite, or the box is needed and missing.

    Source: pycocotools/cocoeval.py, computeOks.
    Differs: one object against one.

    >>> found = oks([[10, 10], [23, 14]], [[10, 10], [20, 10]], [2, 1], 2500.0, sigmas=[0.05, 0.05])
    >>> print(round(found.oks, 4), found.similarity.round(4), found.distances)
    0.8033 [1.     0.6065] [0. 5.]
    """
    points, goals, seen = _pairs(pred, truth, visible)
    spread = np.asarray(sigmas, np.float64)
    if spread.shape != (len(points),) or not (spread > 0).all():
        raise ValueError(f"sigmas must be {len(points)} numbers above 0, one for each keypoint, got {len(spread)}")
    if not 0 <= area < np.inf:
        raise ValueError(f"area must be a number of 0 or more, got {area}")
    labelled: Bools = seen > 0
    if labelled.any():
        _finite(goals, labelled, "truth")
        gaps, counted = np.where(labelled[:, None], points - goals, 0.0), labelled
    else:
        if box_xywh is None:
            raise ValueError("box_xywh must be given where no joint is labelled")
        corner, side = np.asarray(box_xywh[:2], np.float64), np.asarray(box_xywh[2:], np.float64)
        gaps = np.maximum(0, corner - side - points) + np.maximum(0, points - (corner + 2 * side))
        counted = np.ones(len(points), np.bool_)
    squared = (gaps**2).sum(axis=1)
    similarity = np.exp(-squared / ((2 * spread) ** 2 * (area + EPSILON) * 2))
    mean = float(similarity[counted].mean()) if counted.any() else float("nan")
    return KeypointSimilarity(mean, similarity, np.sqrt(squared), counted)


def pck(
    pred: Array,
    truth: Array,
    visible: Array,
    length: float | tuple[float, float],
    *,
    threshold: float,
    rule: Literal["below", "at_most"] = "below",
) -> CorrectKeypoints:
    """Share of labelled joints that lie within `threshold` reference lengths of the truth.

    Convention: MMPose counts what is closer than the threshold ("below"), MPII's PCKh also what is as close ("at_most").
    A pair of lengths divides x and y each by its own. (HRNet and MMPose divide by (height, width) of the heatmap there, in this
    order, against an (x, y) difference: pass such a pair to see what they see.)

    Args:
        pred, truth: (K, 2) x, y in px.
        visible: (K,) above 0: labelled.
        length: reference length in px, above 0 (PCKh: 0.6 of the head's diagonal), or one for x and one for y.
        threshold: 0 or more.
        rule: what counts at the threshold itself.

    Raises:
        TypeError, ValueError: if shapes disagree or a number is out of range.

    Source: open-mmlab/mmpose evaluation/functional/keypoint_eval.py; MPII evaluatePCKh.
    Differs: one object; joints are not averaged by class first.

    >>> found = pck([[3, 0], [9, 0]], [[0, 0], [0, 0]], [1, 1], 10.0, threshold=0.3)
    >>> print(found.pck, found.distances, found.correct)
    0.0 [0.3 0.9] [False False]
    >>> print(pck([[3, 0], [9, 0]], [[0, 0], [0, 0]], [1, 1], 10.0, threshold=0.3, rule="at_most").pck)
    0.5
    """
    points, goals, seen = _pairs(pred, truth, visible)
    scale = np.broadcast_to(np.asarray(length, np.float64), 2)
    if not ((scale > 0) & np.isfinite(scale)).all():
        raise ValueError(f"length must be above 0, got {length}")
    if not threshold >= 0:
        raise ValueError(f"threshold must be 0 or more, got {threshold}")
    if rule not in ("below", "at_most"):
        raise ValueError(f"rule must be below or at_most, got {rule!r}")
    labelled: Bools = seen > 0
    _finite(goals, labelled, "truth")
    distances = np.sqrt((((points - goals) / scale) ** 2).sum(axis=1))
    distances = np.where(labelled, distances, np.nan)
    near = distances < threshold if rule == "below" else distances <= threshold
    correct: Bools = labelled & near
    return CorrectKeypoints(float(correct[labelled].mean()) if labelled.any() else float("nan"), distances, correct)


def expected_oks(half_bin: float, area: float, *, sigmas: Sequence[float] = COCO_SIGMAS) -> ExpectedSimilarity:
    """Mean OKS of a perfect network that answers with the middle of the bin which the truth lies in.

    Convention: the truth is anywhere in its bin with equal probability, x and y apart, so that a joint's mean similarity is
    the square of (s/a)·√(π/2)·erf(a/(s√2)).

    Args:
        half_bin: a, px, 0 or more: s/2 for argmax on a map of stride s, s/4 with the quarter shift, 1/(2k) for SimCC.
        area: A of the object, px², above 0.
        sigmas: (K,) of the joints.

    Raises:
        ValueError: if a number is out of range.

    Source: own, from the definition of OKS.
    Differs: nothing left out.

    >>> for half_bin in (2, 1, 0.25):  # argmax, quarter shift, SimCC with k = 2
    ...     print(round(expected_oks(half_bin, person_area((128, 128))).oks, 4))
    0.9439
    0.985
    0.999
    """
    if not 0 <= half_bin < np.inf:
        raise ValueError(f"half_bin must be a number of 0 or more, got {half_bin}")
    if not 0 < area < np.inf:
        raise ValueError(f"area must be a number above 0, got {area}")
    spread = np.asarray(sigmas, np.float64)
    if spread.ndim != 1 or not spread.size or not (spread > 0).all():
        raise ValueError("sigmas must be numbers above 0, at least one")
    scales = 2 * spread * np.sqrt(area)
    ratio = half_bin / scales
    mean: Floats = np.ones_like(ratio)
    wide = ratio > 1e-8  # below, erf(x)/x is 2/√π to the last digit
    mean[wide] = [math.sqrt(math.pi / 2) / r * math.erf(r / math.sqrt(2)) for r in ratio[wide].tolist()]
    by_joint: Floats = mean**2
    return ExpectedSimilarity(float(by_joint.mean()), by_joint, scales)


def person_area(
    input_size: tuple[int, int], *, padding: float = 1.25, aspect: float = 0.5, share: float = 0.5
) -> float:
    """A of a standing person who was cut out to fill the network's input: an assumption, to have one scale for all sizes.

    Convention: the person's box, `padding` times as large, just fits into the input; its width is `aspect` of its height; the
    person covers `share` of it (COCO's areas are areas of masks).

    Args:
        input_size: (width, height), px, above 0.
        padding, aspect, share: above 0.

    Raises:
        ValueError: if a number is not above 0.

    Source: own; 1.25 is the padding of SimpleBaseline and HRNet.
    Differs: nothing left out.

    >>> print(round(person_area((128, 128)), 2), round(person_area((192, 256)), 2))
    2621.44 10485.76
    """
    width, height = input_size
    if not (min(width, height) > 0 and min(padding, aspect, share) > 0):
        raise ValueError(
            f"sizes, padding, aspect and share must be above 0, got {(*input_size, padding, aspect, share)}"
        )
    tall = min(height, width / aspect) / padding
    return share * aspect * tall**2


def _pairs(pred: Array, truth: Array, visible: Array) -> tuple[Floats, Floats, Floats]:
    points, goals = as_floats(pred, name="pred"), as_floats(truth, name="truth")
    seen = as_floats(visible, name="visible")
    if not points.size and not goals.size:
        points = goals = np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or goals.shape != points.shape:
        raise ValueError(f"pred and truth must have one shape (K, 2), got {points.shape} and {goals.shape}")
    if seen.shape != (len(points),):
        raise ValueError(f"visible must have shape ({len(points)},), one for each keypoint, got {seen.shape}")
    if not np.isfinite(points).all():
        raise ValueError("pred must hold finite numbers")
    return points, goals, seen


def _finite(points: Floats, rows: Bools, name: str) -> None:
    if not np.isfinite(points[rows]).all():
        raise ValueError(f"{name} must be finite where visible")
