"""Where Q, K and V come from: seeded noise, patches of a picture, a visitor's arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.systems.attention_inputs import noise_inputs, patch_inputs
from demos.kit.upload_errors import Note, UploadError, display_name
from demos.kit.uploads import read_array, read_image

if TYPE_CHECKING:
    from demos.systems.flash_attention import Controls

IMAGES = Path(__file__).parents[2] / "assets" / "images"
PICTURES = ("coffee", "rocket")  # bundled photographs
MOST_TOKENS, MOST_CHANNELS, MOST_HEADS = 1024, 128, 256
PHOTO_PIXELS = 200_000  # a picture is looked at, not measured
ARRAY_BYTES = 64_000_000


@dataclass(frozen=True)
class Inputs:
    """One head's tokens, and what is known of where they come from."""

    q: np.ndarray  # (N_q, d) float64
    k: np.ndarray  # (N_k, d)
    v: np.ndarray  # (N_k, d)
    heads: int  # how many there are of this kind, for the bytes
    grid: tuple[int, int] | None = None  # rows and columns of patches, if the tokens are a picture's
    photo: np.ndarray | None = None  # (H, W, 3) uint8
    notes: tuple[Note, ...] = ()


def inputs_of(c: Controls) -> Inputs:
    """Everything the controls say about Q, K and V.

    Raises:
        UploadError: what was uploaded cannot be used; one sentence says why.
    """
    if c.source == "noise":
        made = noise_inputs(c.tokens, c.channels, seed=c.seed, n_k=c.keys or None, spread=c.spread)
        return Inputs(made.q, made.k, made.v, c.heads)
    if c.source == "arrays":
        if not c.arrays:
            raise UploadError("attention_nothing_uploaded")
        return _uploaded(c.arrays[0], c.head)
    if c.source == "photo":
        if not c.photo:
            raise UploadError("attention_nothing_uploaded")
        path = c.photo[0]
    else:
        path = str(IMAGES / f"{c.source}.jpg")
    return _patches(path, c)


# Uploads are stored under their content's hash and never change: reading one twice is waste.
_picture = lru_cache(maxsize=4)(read_image)


def _patches(path: str, c: Controls) -> Inputs:
    picture = _picture(path, max_pixels=PHOTO_PIXELS)
    height, width = picture.rgb.shape[:2]
    columns = min(c.patches, width)
    rows = max(1, min(height, round(columns * height / width), MOST_TOKENS // columns))
    made = patch_inputs(picture.rgb, rows=rows, columns=columns, d=c.channels, sharpness=c.sharpness, seed=c.seed)
    return Inputs(made.q, made.k, made.v, c.heads, (rows, columns), picture.rgb, picture.notes)


@lru_cache(maxsize=4)
def _uploaded(path: str, head: int) -> Inputs:
    """q, k, v of a .npz, (N, d) or (heads, N, d)."""
    name, arrays = display_name(path), read_array(path, max_bytes=ARRAY_BYTES)
    found = {key.lower(): value for key, value in arrays.items()}
    if not {"q", "k", "v"} <= set(found):
        raise UploadError("attention_arrays", name=name, found=", ".join(arrays))
    q, k, v = (found[key] for key in "qkv")
    shapes = ", ".join(str(x.shape) for x in (q, k, v))
    if q.ndim not in (2, 3) or not q.ndim == k.ndim == v.ndim or k.shape != v.shape or q.shape[-1] != k.shape[-1]:
        raise UploadError("attention_shapes", name=name, shapes=shapes)
    heads = q.shape[0] if q.ndim == 3 else 1
    if q.ndim == 3 and k.shape[0] != heads:
        raise UploadError("attention_shapes", name=name, shapes=shapes)
    (n_q, d), n_k = q.shape[-2:], k.shape[-2]
    if not (
        min(n_q, n_k) >= 1 and max(n_q, n_k) <= MOST_TOKENS and 1 <= d <= MOST_CHANNELS and 1 <= heads <= MOST_HEADS
    ):
        raise UploadError(
            "attention_size",
            name=name,
            shapes=shapes,
            tokens=MOST_TOKENS,
            channels=MOST_CHANNELS,
            heads=MOST_HEADS,
        )
    if q.ndim == 3:
        q, k, v = (x[min(head, heads - 1)] for x in (q, k, v))
    if any(x.dtype.kind == "c" for x in (q, k, v)):
        raise UploadError("not_numeric", name=name, dtype=str(q.dtype))
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    if bad := sum(int(np.count_nonzero(~np.isfinite(x))) for x in (q, k, v)):
        raise UploadError("attention_not_finite", name=name, count=bad)
    return Inputs(q, k, v, heads, notes=(Note("attention_head", {"head": min(head, heads - 1), "heads": heads}),))
