"""Queries, keys and values to look at: seeded noise, and the patches of a picture.

Source: Dosovitskiy et al., "An image is worth 16x16 words", arXiv:2010.11929, §3.1 (patches as tokens); Buades et al.,
"A non-local algorithm for image denoising", CVPR 2005 (patches that attend to similar patches).
Notation: N tokens, d channels; a picture is cut into gh × gw patches, N = gh · gw, token i at row i // gw, column
i % gw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SAMPLES = 4  # a patch is described by its colours at SAMPLES × SAMPLES places


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """One head's queries, keys and values."""

    q: Floats  # (N_q, d)
    k: Floats  # (N_k, d)
    v: Floats  # (N_k, d)


def noise_inputs(n_q: int, d: int, *, seed: int, n_k: int | None = None, spread: float = 1.0) -> AttentionInputs:
    """Normal noise, whose scores q·k/√d have about the standard deviation `spread`.

    Args:
        n_q, d: queries and channels.
        seed: of the generator.
        n_k: keys; None for as many as queries.
        spread: factor on the queries; large ones make scores that float16 cannot exponentiate.

    Raises:
        ValueError: if a size is not positive or spread is negative or not finite.

    Source: own.
    Differs: nothing left out.

    >>> x = noise_inputs(64, 16, seed=0, spread=3.0)
    >>> x.q.shape, x.v.shape, round(float((x.q @ x.k.T / 4).std()), 1)
    ((64, 16), (64, 16), 3.0)
    """
    keys = n_q if n_k is None else n_k
    if min(n_q, keys, d) < 1:
        raise ValueError(f"n_q, n_k and d must be at least 1, got {n_q}, {keys} and {d}")
    if not 0 <= spread < np.inf:
        raise ValueError(f"spread must be a finite number from 0, got {spread}")
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((n, d)) for n in (n_q, keys, keys))
    return AttentionInputs(q * spread, k, v)


@dataclass(frozen=True, slots=True)
class PatchInputs:
    """A picture as tokens."""

    q: Floats  # (N, d)
    k: Floats  # (N, d)
    v: Floats  # (N, d): mean red, green and blue of the patch in 0…1, then what its projection says
    rows: int  # gh
    columns: int  # gw
    colors: Floats  # (N, 3) mean red, green, blue, 0…1


def patch_inputs(
    rgb: npt.NDArray[np.uint8], *, rows: int, columns: int, d: int, sharpness: float = 8.0, seed: int = 0
) -> PatchInputs:
    """Cut a picture into patches and project each: patches that look alike get scores near `sharpness`.

    Convention: a patch is its colours at 4 × 4 places (area means), less the mean patch of the picture. A fixed
    random projection with orthonormal rows (or columns) takes these 48 numbers to d; the result is scaled to length
    1, k is it and q is it times sharpness · √d. So a score is sharpness times the cosine of two projected patches. A
    patch that is exactly the mean patch has score 0 with all. The first three channels of v are the patch's mean
    colour, so that the output's first three are a mean of colours.

    Args:
        rgb: (H, W, 3) uint8, H ≥ rows and W ≥ columns.
        rows, columns: gh, gw.
        d: channels, at least 3.
        sharpness: largest score; 0 makes all scores equal.
        seed: of the projection.

    Raises:
        ValueError: if the picture is no (H, W, 3) uint8, is smaller than the grid, or d < 3.

    Source: own; a stand-in for a trained model's projections.
    Differs: no position, no learned weights.

    >>> halves = np.zeros((8, 8, 3), np.uint8)
    >>> halves[:, 4:] = 255
    >>> x = patch_inputs(halves, rows=2, columns=2, d=4)
    >>> np.round(x.q @ x.k.T / 2, 6).tolist()[0], x.colors[:, 0].tolist()
    ([8.0, -8.0, 8.0, -8.0], [0.0, 1.0, 0.0, 1.0])
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    if rows < 1 or columns < 1 or rgb.shape[0] < rows or rgb.shape[1] < columns:
        raise ValueError(f"rgb must have at least a pixel for each of {rows} × {columns} patches, got {rgb.shape[:2]}")
    if d < 3:
        raise ValueError(f"d must be at least 3 to hold a colour, got {d}")
    size = (columns * SAMPLES, rows * SAMPLES)
    larger = rgb.shape[0] < size[1] or rgb.shape[1] < size[0]
    samples: Any = cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR if larger else cv2.INTER_AREA) / 255.0
    patches: Any = (
        samples.reshape(rows, SAMPLES, columns, SAMPLES, 3).transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
    )
    colors: Floats = patches.reshape(len(patches), -1, 3).mean(axis=1)
    projected: Floats = (patches - patches.mean(axis=0)) @ _projection(patches.shape[1], d, seed)
    length: Any = np.linalg.norm(projected, axis=1, keepdims=True)
    unit: Floats = np.divide(projected, length, out=np.zeros_like(projected), where=length > 1e-12)
    v: Floats = np.concatenate([colors, projected[:, : d - 3]], axis=1)
    return PatchInputs(unit * (sharpness * d**0.5), unit, v, rows, columns, colors)


def _projection(inputs: int, outputs: int, seed: int) -> Floats:
    """(inputs, outputs) with orthonormal columns, or rows if there are more columns than rows."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((max(inputs, outputs), min(inputs, outputs)))
    basis: Any = np.linalg.qr(noise)[0]
    return basis if inputs >= outputs else basis.T
