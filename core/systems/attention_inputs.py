"""Queries, keys and values to look at: seeded noise, and the patches of a picture.

Source: own; patches as tokens after Dosovitskiy et al., "An image is worth 16×16 words", arXiv:2010.11929.
Notation: N tokens, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """What attention is computed of."""

    q: Tensor  # (..., N_q, d)
    k: Tensor  # (..., N_k, d)
    v: Tensor  # (..., N_k, Dv)


def noise_inputs(
    n_q: int,
    d: int,
    *,
    n_k: int | None = None,
    heads: int | None = None,
    seed: int,
    logit_scale: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> AttentionInputs:
    """Normal noise, the same on every machine.

    Convention: q, k, v ~ N(0, 1), so that scores q·k/√d have variance 1; q is multiplied by logit_scale.

    Args:
        n_q, d: queries and channels.
        n_k: keys; None for as many as queries.
        heads: None for (N, d) tensors, else (heads, N, d).
        seed: of NumPy's PCG64.
        logit_scale: standard deviation of the scores.
        dtype: floating type of the result; drawn in float64 and rounded.

    Raises:
        ValueError: if a size is not positive or logit_scale negative or not finite.

    Source: own.
    Differs: nothing left out.

    >>> noise_inputs(1, 2, seed=0).q.tolist()
    [[0.12573022, -0.13210486]]
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PatchTokens:
    """A picture's patches as tokens that attend to each other."""

    q: Tensor  # (N, d) float64 queries, row by row
    k: Tensor  # (N, d) float64 keys
    v: Tensor  # (N, d) float64 values; the first three channels are the patch's mean colour, 0 to 1
    colours: Tensor  # (N, 3) float64 mean colour of each patch, RGB, 0 to 1
    rows: int  # patches from top to bottom
    cols: int  # patches from left to right
    patch_px: int  # side of a patch
    height: int  # px of the picture that patches cover, rows · patch_px
    width: int  # px of the picture that patches cover, cols · patch_px

    def token_at(self, x: float, y: float) -> int:
        """Token of the patch that holds the pixel (x, y), the nearest patch if none does."""
        col = min(max(int(x // self.patch_px), 0), self.cols - 1)
        row = min(max(int(y // self.patch_px), 0), self.rows - 1)
        return row * self.cols + col


def patch_inputs(
    image: npt.NDArray[Any], *, patch_px: int, d: int, seed: int, sharpness: float = 8.0, nearness: float = 1.0
) -> PatchTokens:
    """Turn a picture's patches into q, k, v, so that a patch attends to patches that look like it and lie near it.

    Convention: a patch's feature is its pixels, averaged to 4 × 4 cells, each of the 48 numbers standardised over
    the picture, scaled to length √(1 − w) where w = nearness / (1 + nearness), and beside it its position as four
    numbers (cosine and sine of x and of y over half a turn) of length √w. A fixed matrix with orthonormal columns,
    drawn from the seed, projects the 52 numbers to d; q = k, scaled so that the score of a patch with itself is
    `sharpness` at most. Pixels right and below that fill no whole patch are left out.
    Nothing is learned: the scores are similarities of what the patches look like.

    Args:
        image: (H, W, 3) RGB uint8, at least one patch.
        patch_px: side of a patch, at least 4.
        d: channels, 4 to 52.
        seed: of the projection.
        sharpness: largest score, not negative.
        nearness: weight of the position against the look, not negative.

    Raises:
        TypeError: if the image is not uint8.
        ValueError: if a shape or number is out of range.

    Source: own.
    Differs: from a vision transformer in having no learned weights, no class token, one head.

    >>> image = np.zeros((8, 16, 3), np.uint8)
    >>> image[:, 8:] = 255
    >>> tokens = patch_inputs(image, patch_px=4, d=16, seed=0)
    >>> tokens.rows, tokens.cols, tokens.v[3, :3].tolist()
    (2, 4, [1.0, 1.0, 1.0])
    """
    raise NotImplementedError
