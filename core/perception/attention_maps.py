"""Where object queries look: decoder cross-attention as maps.

Source: facebookresearch/detr notebooks, detr_attention.ipynb.
Notation: h heads, Q queries, H × W feature map.
"""

from __future__ import annotations

from core.perception.boxes import Array, Floats, as_floats


def query_attention(weights: Array, size: tuple[int, int]) -> Floats:
    """(Q, H, W) how much each query takes from each place, averaged over the heads; every map sums to 1.

    Convention: the plain mean of the heads, as in DETR's notebook; single heads look elsewhere.

    Args:
        weights: (h, Q, H·W) cross-attention of one layer and picture.
        size: (H, W).

    Raises:
        TypeError: if the weights are not real numbers.
        ValueError: if the sizes disagree.

    Source: detr_attention.ipynb.
    Differs: nothing left out.

    >>> print(query_attention([[[0.5, 0.5]], [[1.0, 0.0]]], (1, 2)))
    [[[0.75 0.25]]]
    """
    values = as_floats(weights, name="weights")
    if values.ndim != 3 or values.shape[2] != size[0] * size[1]:
        raise ValueError(f"weights must be (h, Q, {size[0] * size[1]}), got {values.shape}")
    return values.mean(axis=0).reshape(-1, *size)
