"""One number per pixel that says what was true and what was predicted, so that a browser only has to look things up.

Notation: K classes, C = (K + 1)² codes, code = target · (K + 1) + prediction. Target K means ignored, prediction K
means out of range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, check_num_classes, clip_labels, label_pair, refuse_labels

MOST_CLASSES = 254  # (254 + 1)² codes still fit 16 bits

NOTHING, TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = range(4)  # values of CodeLegend.outcome


def pixel_codes(
    prediction: Labels, target: Labels, *, num_classes: int, ignore_index: int | None = None
) -> npt.NDArray[np.uint16]:
    """Code each pixel as target · (K + 1) + prediction.

    Convention: an ignored pixel has target K and keeps its prediction; a prediction outside 0..K-1 becomes K. A
    target outside 0..K-1 raises unless it is ignored.

    Args:
        prediction, target: one shape, integer.
        num_classes: K, at most 254.
        ignore_index: target label to leave out; inside or outside 0..K-1, may be negative; None leaves nothing out.

    Returns:
        uint16, the shape of the maps.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if K > 254, shapes differ, or a target label is neither in 0..K-1 nor ignored.

    Source: own.
    Differs: nothing left out.

    >>> print(pixel_codes(np.array([0, 1, 9, 1]), np.array([0, 0, 1, 255]), num_classes=2, ignore_index=255))
    [0 1 5 7]
    """
    k = check_num_classes(num_classes, most=MOST_CLASSES)
    p, t = label_pair(prediction, target)
    rows = clip_labels(t, k)
    if rows.max(initial=0) == k:
        refuse_labels(t, name="target", num_classes=k, ignore_index=ignore_index, valid=np.ones(t.shape, np.bool_))
    codes = rows.astype(np.uint16)  # before the product: in uint8 it would wrap
    if ignore_index is not None and 0 <= ignore_index < k:
        codes[t == ignore_index] = k
    codes *= np.uint16(k + 1)
    codes += clip_labels(p, k).astype(np.uint16)
    return codes


@dataclass(frozen=True, slots=True)
class CodeLegend:
    """What each code of `pixel_codes` means."""

    target: npt.NDArray[np.uint8]  # (C,) class 0..K-1, or K: ignored
    prediction: npt.NDArray[np.uint8]  # (C,) class 0..K-1, or K: out of range
    correct: npt.NDArray[np.bool_]  # (C,) counted and right
    ignored: npt.NDArray[np.bool_]  # (C,) left out of every count
    outcome: npt.NDArray[
        np.uint8
    ]  # (K, C) for each class: 0 neither, 1 true positive, 2 false positive, 3 false negative


def code_legend(num_classes: int) -> CodeLegend:
    """Lookup tables over the codes of `pixel_codes`.

    Args:
        num_classes: K, at most 254.

    Raises:
        ValueError: if K is out of bounds.

    Source: own.
    Differs: nothing left out.

    >>> legend = code_legend(2)
    >>> print(legend.correct.astype(int), legend.outcome[1])
    [1 0 0 0 1 0 0 0 0] [0 2 0 3 1 3 0 0 0]
    """
    k = check_num_classes(num_classes, most=MOST_CLASSES)
    code = np.arange((k + 1) ** 2)
    target, prediction = code // (k + 1), code % (k + 1)
    ignored = target == k
    correct = (target == prediction) & ~ignored
    outcome = np.full((k, code.size), NOTHING, np.uint8)
    for c in range(k):
        outcome[c, (prediction == c) & ~ignored] = FALSE_POSITIVE
        outcome[c, target == c] = FALSE_NEGATIVE
        outcome[c, correct & (target == c)] = TRUE_POSITIVE
    return CodeLegend(target.astype(np.uint8), prediction.astype(np.uint8), correct, ignored, outcome)
