"""core.perception.attention_maps against PyTorch's own mean and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.perception.attention_maps import query_attention


def attention(heads: int, queries: int, places: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(heads, queries, places, generator=generator, dtype=torch.float64).softmax(-1)


def test_maps_are_the_mean_of_the_heads_and_rows_are_rows(receipt) -> None:
    weights = attention(4, 5, 12)
    maps = query_attention(weights, (3, 4))
    assert maps.shape == (5, 3, 4)
    expected = [
        [[sum(float(weights[h, q, 4 * y + x]) for h in range(4)) / 4 for x in range(4)] for y in range(3)]
        for q in range(5)
    ]
    receipt(query_attention, "map", maps, expected, reference="loops over heads and places")
    receipt(query_attention, "map", maps.reshape(5, 12), weights.mean(0), reference="torch", tolerance=1e-15)


def test_sum_and_peak(receipt) -> None:
    weights = attention(3, 4, 20, seed=1)
    maps = query_attention(weights, (4, 5))
    receipt(query_attention, "attention_sum", maps.sum(axis=(1, 2)), np.ones(4), reference="a softmax sums to 1")
    peaks = weights.mean(0).amax(-1)
    receipt(query_attention, "attention_peak", maps.max(axis=(1, 2)), peaks, reference="torch", tolerance=1e-15)


def test_one_head_one_place_and_half_precision() -> None:
    assert query_attention(torch.ones(1, 1, 1), (1, 1)).tolist() == [[[1.0]]]
    assert query_attention(torch.ones(2, 3, 4, dtype=torch.float16) / 4, (2, 2)).tolist() == [[[0.25] * 2] * 2] * 3
    assert query_attention(np.zeros((2, 0, 4)), (2, 2)).shape == (0, 2, 2)


def test_views_that_are_not_contiguous() -> None:
    weights = attention(2, 6, 6).transpose(1, 2)
    assert (query_attention(weights, (2, 3)) == query_attention(weights.contiguous(), (2, 3))).all()


@pytest.mark.parametrize("shape", [(4, 5, 11), (5, 12), (1, 2, 3, 4)])
def test_sizes_that_disagree_are_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"weights must be \(h, Q, 12\), got"):
        query_attention(np.ones(shape), (3, 4))
