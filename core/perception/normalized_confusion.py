"""A confusion matrix as shares instead of counts."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Per: TypeAlias = Literal["target", "prediction", "all"]


def normalized_confusion(confusion: npt.NDArray[Any], *, per: Per = "target") -> npt.NDArray[np.float64]:
    """Shares of each target class ("target": rows sum to 1), of each predicted class ("prediction": columns do), or of
    all pixels.

    Convention: a row or column without pixels has no shares (NaN), never silently 0.

    Args:
        confusion: (R, C) non-negative counts, rows target, columns prediction.
        per: what the shares are taken of.

    Returns:
        (R, C) float64.

    Raises:
        ValueError: if the matrix is not two-dimensional or `per` is unknown.

    Source: scikit-learn confusion_matrix(normalize=...), whose "true" and "pred" these are.
    Differs: scikit-learn writes 0 for an empty row.

    >>> print(normalized_confusion(np.array([[3, 1], [0, 0]])))
    [[0.75 0.25]
     [ nan  nan]]
    """
    counts = np.asarray(confusion, np.float64)
    if counts.ndim != 2:
        raise ValueError(f"confusion must be two-dimensional, got shape {counts.shape}")
    if per not in ("target", "prediction", "all"):
        raise ValueError(f'per must be "target", "prediction" or "all", got {per!r}')
    whole = counts.sum(axis={"target": 1, "prediction": 0, "all": None}[per], keepdims=True)
    return np.divide(counts, whole, out=np.full(counts.shape, np.nan), where=whole > 0)
