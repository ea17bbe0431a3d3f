"""What answering in bins costs, by law and by measurement.

Source: own; the constants are moments of a uniform distribution over a bin.
Notation: w width of a bin in px. With the truth anywhere in its bin and the answer its middle, an axis is off by at most w/2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats

Floats: TypeAlias = npt.NDArray[np.float64]

MEAN_DISTANCE = (math.sqrt(2) + math.asinh(1)) / 6  # from the middle of a square with sides 1 to a random point of it


@dataclass(frozen=True, slots=True)
class QuantizationLaw:
    """Errors of a perfect network that answers with the middle of a bin."""

    width: float  # w, px; 0: no bins
    mean_axis: float  # E|dx| = w/4, px
    mean_distance: float  # E√(dx² + dy²) = w(√2 + asinh 1)/6, px
    rms_axis: float  # √E dx² = w/√12, px
    largest_axis: float  # w/2, px
    density: float  # of dx, 1/w within ±w/2; infinite without bins


@dataclass(frozen=True, slots=True)
class ErrorTrail:
    """Errors of one decoder, and their statistics over the first n of them."""

    errors: Floats  # (T, 2) answer − truth, px
    mean_axis: Floats  # (T,) mean of |dx| and |dy| over the first n, px
    mean_distance: Floats  # (T,) mean distance over the first n, px
    bias: Floats  # (T, 2) mean error over the first n, px
    rms_axis: Floats  # (T,) root mean square of dx and dy over the first n, px


def quantization_law(width: float) -> QuantizationLaw:
    """What bins of a width cost on average: w/4 an axis, 0.3826 w in the plane.

    Convention: bins are squares, the answer is their middle. Argmax on a map of stride s: w = s. With the quarter shift on
    exact labels: w = s/2. SimCC with split ratio k: w = 1/k.

    Args:
        width: w, px, 0 or more.

    Raises:
        ValueError: if it is not a number of 0 or more.

    Source: own.
    Differs: nothing left out.

    >>> law = quantization_law(4)
    >>> print(law.mean_axis, round(law.mean_distance, 4), round(law.rms_axis, 4), law.largest_axis)
    1.0 1.5304 1.1547 2.0
    """
    if not 0 <= width < math.inf:
        raise ValueError(f"width must be a number of 0 or more, got {width}")
    density = 1 / width if width else math.inf
    return QuantizationLaw(width, width / 4, width * MEAN_DISTANCE, width / math.sqrt(12), width / 2, density)


def error_trail(found: Array, truth: Array) -> ErrorTrail:
    """Errors in the order in which they happened, and how their means settle.

    Convention: an answer that there is none of (NaN) stays NaN and counts in no mean.

    Args:
        found: (T, 2) answers, px.
        truth: (T, 2) px.

    Raises:
        TypeError, ValueError: if they are not two lists of points.

    Source: own.
    Differs: nothing left out.

    >>> trail = error_trail([[1, 0], [0, 3]], [[0, 0], [0, 0]])
    >>> print(trail.mean_axis, trail.mean_distance, trail.bias[-1])
    [0.5 1. ] [1. 2.] [0.5 1.5]
    """
    answers, goals = as_floats(found, name="found"), as_floats(truth, name="truth")
    if answers.ndim != 2 or answers.shape[1] != 2 or answers.shape != goals.shape:
        raise ValueError(f"found and truth must have one shape (T, 2), got {answers.shape} and {goals.shape}")
    errors: Floats = answers - goals
    there: npt.NDArray[np.bool_] = np.all(np.isfinite(errors), axis=1)
    count = np.cumsum(there).astype(np.float64)
    count[count == 0] = np.nan
    known = np.where(there[:, None], errors, 0.0)
    return ErrorTrail(
        errors,
        np.cumsum(np.abs(known).mean(axis=1)) / count,
        np.cumsum(np.hypot(known[:, 0], known[:, 1])) / count,
        np.cumsum(known, axis=0) / count[:, None],
        np.sqrt(np.cumsum((known**2).mean(axis=1)) / count),
    )


def growing_histogram(values: Array, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    """(T, B) how many of the first n values fall into each bin; what lies outside or is NaN falls into none.

    Convention: a bin holds its left edge, not its right one, except the last.

    Args:
        values: (T,).
        edges: (B + 1,) ascending.

    Raises:
        TypeError, ValueError: if the values are not a list of numbers, or the edges do not ascend.

    Source: own; NumPy's histogram at every n.
    Differs: nothing left out.

    >>> print(growing_histogram([0.5, 1.5, 0.2], [0, 1, 2]).tolist())
    [[1, 0], [1, 1], [2, 1]]
    """
    numbers, cuts = as_floats(values, name="values"), np.asarray(edges, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"values must have shape (T,), got {numbers.shape}")
    if cuts.ndim != 1 or len(cuts) < 2 or not (np.diff(cuts) > 0).all():
        raise ValueError("edges must ascend, at least two")
    which = np.searchsorted(cuts, numbers, side="right") - 1
    which[numbers == cuts[-1]] = len(cuts) - 2
    hit = which[:, None] == np.arange(len(cuts) - 1)
    return np.cumsum(hit & np.isfinite(numbers)[:, None], axis=0)
