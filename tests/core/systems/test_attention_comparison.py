"""The plain algorithm against SDPA, agreement against brute force, one query's story against softmax over prefixes."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from core.systems.attention_comparison import agreement, materialised_attention, query_steps
from core.systems.flash_attention import attention_tiles


def draw(n_q: int, n_k: int, d: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, d, generator=g, dtype=torch.float64).to(dtype) for n in (n_q, n_k, n_k))


# -- oracle ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_q", "n_k"), [(1, 1), (5, 5), (3, 8), (8, 3)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_plain_algorithm_is_sdpas(receipt, n_q: int, n_k: int, causal: bool) -> None:
    q, k, v = draw(n_q, n_k, 6)
    mask = torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q) if causal else torch.ones(n_q, n_k, dtype=torch.bool)
    expected = scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask)[0].nan_to_num(nan=0.0)
    expected[~mask.any(dim=1)] = 0
    got = materialised_attention(q, k, v, causal=causal)
    receipt(materialised_attention, "output", got, expected, reference="torch")


def test_agreement_is_what_struct_says(receipt) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal(40).astype(np.float32)
    b = a.copy()
    b[::4] = np.nextafter(b[::4], 9)
    b[1], a[2], b[2] = -a[1], 0.0, -0.0
    same = sum(struct.pack("f", x) == struct.pack("f", y) for x, y in zip(a, b, strict=True))
    got = agreement(torch.tensor(a), torch.tensor(b))
    brute = "struct, entry by entry"
    receipt(agreement, "equal_share", got.equal_share, same / 40, reference=brute)
    receipt(
        agreement,
        "max_error",
        got.max_error,
        max(abs(float(x) - float(y)) for x, y in zip(a, b, strict=True)),
        reference=brute,
    )
    receipt(agreement, "not_finite", got.not_finite, 0, reference=brute)
    assert same < 40


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
    assert (materialised_attention(q, k, v, causal=True)[:4] == 0).all()


def test_overflow_is_told() -> None:
    q, k, v = (x * 40 for x in draw(4, 4, 4, seed=1))
    steps = list(
        attention_tiles(q.half(), k.half(), v.half(), block_q=2, block_k=2, rule="no_max", state_dtype=torch.float16)
    )
    assert any(not math.isfinite(s.row_sum) for s in query_steps(steps, 0, n_k=4) + query_steps(steps, 3, n_k=4))
    broken = agreement(torch.tensor([float("nan"), math.inf, 1.0]), torch.tensor([float("nan"), 1.0, 1.0]))
    assert broken.not_finite == 2
    assert math.isnan(broken.max_error)
    assert broken.equal_bits == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_type_is_compared_in_its_own_bits(dtype: torch.dtype) -> None:
    x = torch.linspace(0, 1, 7, dtype=torch.float64)
    got = agreement(x.to(dtype), x)
    assert got.equal_bits == 7
    assert got.max_error <= torch.finfo(dtype).eps
    assert agreement(x.to(dtype)[::2], x[::2]).entries == 4


def test_heads_and_strides_are_taken() -> None:
    q, k, v = (torch.stack([x, x + 1]).transpose(0, 1).contiguous().transpose(0, 1) for x in draw(5, 5, 3))
    both = materialised_attention(q, k, v, causal=True)
    assert torch.equal(both[1], materialised_attention(q[1], k[1], v[1], causal=True))


def test_wrong_arguments_are_refused() -> None:
    q, k, v = draw(4, 4, 2)
    with pytest.raises(ValueError, match="one d"):
        materialised_attention(q, k[:, :1], v)
    with pytest.raises(ValueError, match="one shape"):
        agreement(q, q[:2])
    with pytest.raises(ValueError, match="one shape"):
        agreement(q[:0], q[:0])
    with pytest.raises(ValueError, match="negative"):
        query_steps((), -1, n_k=4)
    with pytest.raises(ValueError, match="one head"):
        query_steps(attention_tiles(q[None], k[None], v[None], block_q=2, block_k=2), 0, n_k=4)
