"""One query's way through the tiles against softmax over what it has seen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.systems.attention_query import query_steps
from core.systems.flash_attention import attention_tiles


def draw(n_q: int, n_k: int, d: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, d, generator=g, dtype=torch.float64).to(dtype) for n in (n_q, n_k, n_k))


# -- oracle ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["fa1", "fa2"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_order", [None, (2, 0, 3, 1)])
def test_a_query_has_seen_a_softmax_over_what_it_has_seen(receipt, order, causal: bool, key_order) -> None:
    q, k, v = draw(11, 11, 3, seed=4)
    steps = list(attention_tiles(q, k, v, block_q=4, block_k=3, causal=causal, order=order, key_order=key_order))
    scores = (q @ k.T / 3**0.5).numpy()
    for query in (0, 4, 10):
        told = query_steps(steps, query, n_k=11)
        assert [s.step for s in told] == [s.tile.index for s in steps if query in s.tile.rows]
        seen: list[int] = []
        for one in told:
            seen += [c for c in steps[one.step].tile.cols if not causal or c <= query]
            row = scores[query, seen]
            expected = np.zeros(11)
            if seen:
                expected[seen] = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            form = "softmax over the keys seen so far"
            receipt(query_steps, "weight", one.weights, expected, reference=form)
            receipt(query_steps, "row_max", one.row_max, max(row, default=-math.inf), reference=form)
            receipt(query_steps, "row_sum", one.row_sum, np.exp(row - row.max()).sum() if seen else 0, reference=form)
            kept = np.exp(one.previous_max - one.row_max) if one.row_max > -math.inf else 0.0
            receipt(query_steps, "rescale", one.rescale, kept, reference="numpy")
            assert one.row_max == max(one.previous_max, one.tile_max)
            assert one.row_sum == pytest.approx(one.rescale * one.previous_sum + one.tile_sum, abs=1e-12)
            assert one.max_changed == (one.row_max > one.previous_max)


def test_the_first_sum_starts_from_nothing() -> None:
    q, k, v = draw(4, 4, 2)
    first, second = query_steps(attention_tiles(q, k, v, block_q=2, block_k=2), 3, n_k=4)
    assert (first.previous_sum, first.previous_max, first.rescale) == (0.0, -math.inf, 0.0)
    assert second.previous_sum == first.row_sum
    assert first.weights.tolist()[2:] == [0.0, 0.0]  # and it is not changed by the second


# -- degenerate ------------------------------------------------------------------------------------------------------


def test_a_query_that_sees_no_key_has_no_weights() -> None:
    q, k, v = draw(6, 2, 3)
    told = query_steps(attention_tiles(q, k, v, block_q=6, block_k=2, causal=True), 0, n_k=2)
    assert [s.weights.tolist() for s in told] == [[0.0, 0.0]]
    assert not told[0].max_changed
    assert query_steps((), 3, n_k=2) == ()


def test_overflow_is_told() -> None:
    q, k, v = (x * 40 for x in draw(4, 4, 4, seed=1))
    steps = list(
        attention_tiles(q.half(), k.half(), v.half(), block_q=2, block_k=2, rule="no_max", state_dtype=torch.float16)
    )
    assert any(not math.isfinite(s.row_sum) for s in query_steps(steps, 0, n_k=4) + query_steps(steps, 3, n_k=4))


def test_wrong_arguments_are_refused() -> None:
    q, k, v = draw(4, 4, 2)
    with pytest.raises(ValueError, match="negative"):
        query_steps((), -1, n_k=4)
    with pytest.raises(ValueError, match="one head"):
        query_steps(attention_tiles(q[None], k[None], v[None], block_q=2, block_k=2), 0, n_k=4)


def test_the_largest_score_of_a_tile_is_not_yet_the_running_maximum() -> None:
    x = torch.tensor([[1.0], [3.0], [2.0]], dtype=torch.float64)
    seen = query_steps(attention_tiles(x, x, x, block_q=3, block_k=1), 0, n_k=3)
    assert [(step.tile_max, step.row_max) for step in seen] == [(1, 1), (3, 3), (2, 3)]
