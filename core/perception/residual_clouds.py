"""Clouds of residuals: how a pose network's answers may miss, in units of the spread that it predicts.

Notation: x̄ = (x, y), N of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CLOUDS = ("laplace", "gauss", "skewed", "swapped")
SWAP = (0.2, (2.4, 0.6))  # share of answers that name the other wrist, and where it is
LEAN = 1.2  # how far a skewed cloud's tail reaches


def residual_cloud(kind: str, *, count: int, seed: int = 0) -> Floats:
    """(N, 2) residuals.

    Convention: "laplace" and "gauss" are what L1 and L2 assume, spread 1 along each axis; "skewed" has an exponential tail to
    the right that bends downwards, as where limbs leave the picture; "swapped" is a narrow bell, and a second one where a
    fifth of all answers take the other wrist.

    Args:
        kind: laplace, gauss, skewed or swapped.
        count: N, at least 1.
        seed: not negative.

    Raises:
        ValueError: if the kind is unknown or a number is out of range.

    Source: own.
    Differs: real networks' residuals depend on the joint and the picture.

    >>> print(residual_cloud("swapped", count=4000).mean(axis=0).round(1))
    [0.5 0.1]
    """
    if kind not in CLOUDS:
        raise ValueError(f"kind must be one of {', '.join(CLOUDS)}, got {kind!r}")
    if count < 1 or seed < 0:
        raise ValueError(f"needs count >= 1 and seed >= 0, got {count=}, {seed=}")
    rng = np.random.default_rng(seed)
    if kind == "laplace":
        return rng.laplace(size=(count, 2))
    if kind == "gauss":
        return rng.standard_normal((count, 2))
    bell = rng.standard_normal((count, 2))
    if kind == "skewed":
        tail = rng.exponential(LEAN, count)
        return np.stack([0.45 * bell[:, 0] + tail - LEAN, 0.4 * bell[:, 1] + 0.18 * tail**2 - 0.36 * LEAN**2], axis=1)
    other = rng.random(count) < SWAP[0]
    return 0.55 * bell + other[:, None] * np.array(SWAP[1])
