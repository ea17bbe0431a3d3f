"""The plain algorithm against SDPA, agreement against brute force."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from core.systems.attention_comparison import agreement, materialised_attention


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


# -- degenerate ------------------------------------------------------------------------------------------------------


def test_a_query_that_sees_no_key_gets_nothing() -> None:
    q, k, v = draw(6, 2, 3)
    assert (materialised_attention(q, k, v, causal=True)[:4] == 0).all()


def test_numbers_that_are_not_finite_are_told() -> None:
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


def test_an_infinite_entry_makes_the_error_undefined() -> None:
    got = agreement(torch.tensor([1.0, math.inf]), torch.tensor([1.0, 2.0]))
    assert math.isnan(got.max_error)
    assert got.not_finite == 1
