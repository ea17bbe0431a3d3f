"""Controls -> block sizes, the chip's memory, the order of the keys; free of Gradio and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.systems.attention_blocks import largest_feasible_blocks, paper_block_sizes
from core.systems.attention_devices import DEVICES
from demos.kit.upload_errors import UploadError

if TYPE_CHECKING:
    from demos.systems.flash_attention import Controls
    from demos.systems.flash_attention_inputs import Inputs

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
CHIPS = {device.key: device.shared_memory_bytes for device in DEVICES}


def memory_options(c: Controls) -> dict[str, Any]:
    """Bytes of a number, of a number of the state, and what lies in which memory."""
    state = 4 if BYTES[c.dtype] == 2 and c.state == "wide" else BYTES[c.dtype]
    return {"dtype_bytes": BYTES[c.dtype], "state_bytes": state, "placement": c.placement}


def capacity_of(c: Controls) -> int:
    return c.chip_bytes if c.chip == "own" else CHIPS[c.chip]


def blocks_of(c: Controls, inputs: Inputs) -> tuple[int, int]:
    """Br and Bc: as given, by the paper's rule, or the largest that fit; no larger than the matrix.

    Raises:
        UploadError: not even the smallest fits.
    """
    (n_q, d), n_k = inputs.q.shape, len(inputs.k)
    if c.blocks == "given":
        return min(c.block_q, n_q), min(c.block_k, n_k)
    if c.blocks == "paper":
        sizes = paper_block_sizes(capacity_of(c) // BYTES[c.dtype], d)
    else:
        multiple = 16 if c.chip != "own" else 1  # tensor cores multiply 16 × 16 pieces
        sizes = largest_feasible_blocks(
            capacity_of(c), d, multiple=multiple, limit_q=n_q, limit_k=n_k, **memory_options(c)
        )
        if sizes is None:
            raise UploadError("attention_nothing_fits", bytes=capacity_of(c))
    return min(sizes.block_q, n_q), min(sizes.block_k, n_k)


def key_order_of(c: Controls, columns: int) -> tuple[int, ...] | None:
    """The order in which key blocks are visited; None from left to right."""
    if c.key_order == "left":
        return None
    if c.key_order == "right":
        return tuple(range(columns - 1, -1, -1))
    import numpy as np

    return tuple(int(j) for j in np.random.default_rng(c.seed + 1).permutation(columns))
