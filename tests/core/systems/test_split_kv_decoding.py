import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.split_kv_decoding import choose_splits, split_kv_decode
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def qkv(n_q, n_k, d=4, heads=(), seed=0):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn((*heads, n, d), generator=g, dtype=torch.float64) for n in (n_q, n_k, n_k)]


@quick
@given(
    n_q=st.integers(1, 9),
    n_k=st.integers(1, 14),
    splits=st.integers(1, 9),
    block_k=st.integers(1, 8),
    causal=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_parts_combine_to_attention(n_q, n_k, splits, block_k, causal, seed, receipt):
    q, k, v = qkv(n_q, n_k, seed=seed)
    got = split_kv_decode(q, k, v, splits=splits, block_k=block_k, causal=causal)
    output, logsumexp = oracle.softmax_attention(q, k, v, causal)
    reference = "float64 softmax, row by row"
    receipt(split_kv_decode, "output", got.output, output, reference=reference)
    receipt(split_kv_decode, "logsumexp", got.logsumexp, logsumexp, reference=reference)
    assert [c for part in got.parts for c in part.keys] == list(range(n_k))
    whole = math.ceil(n_k / block_k)
    count = len(range(0, whole, math.ceil(whole / splits)))
    receipt(split_kv_decode, "parts", len(got.parts), count, reference="blocks dealt out in equal numbers", tolerance=0)
    assert len(got.parts) <= splits
    assert all(part.keys.start % block_k == 0 for part in got.parts)
    lengths = {-(-len(part.keys) // block_k) for part in got.parts[:-1]}
    assert lengths <= {math.ceil(math.ceil(n_k / block_k) / splits)}
    seen = np.isfinite(logsumexp)
    weights = torch.stack([part.weight for part in got.parts])
    receipt(split_kv_decode, "weights", weights.sum(0), seen.astype(float), reference="they sum to 1")
    for part in got.parts:
        for r in range(n_q):
            keys = [c for c in part.keys if oracle.sees(r, c, n_q, n_k, causal)]
            own, total = torch.zeros(4), -math.inf
            if keys:
                scores = k[keys] @ q[r] / 2
                own, total = scores.softmax(0) @ v[keys], scores.logsumexp(0)
            receipt(split_kv_decode, "part_output", part.output[r], own, reference="softmax over the part")
            receipt(split_kv_decode, "part_logsumexp", part.logsumexp[r], total, reference="softmax over the part")
            share = math.exp(total - logsumexp[r]) if keys else 0.0
            receipt(split_kv_decode, "weight", part.weight[r], share, reference="e^(L_s − L)")


def test_decoding_one_query_of_many_heads_is_the_librarys(receipt):
    q, k, v = qkv(1, 1000, 16, heads=(2, 3))
    for splits in (1, 3, 8, 1000):
        got = split_kv_decode(q, k, v, splits=splits, block_k=64, causal=True)
        expected = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        receipt(split_kv_decode, "output", got.output, expected, reference="torch")


def test_half_precision_is_combined_in_single():
    q, k, v = (x.half() for x in qkv(1, 64, 16))
    got = split_kv_decode(q, k, v, splits=4, block_k=16)
    assert got.output.dtype == torch.float16
    assert got.logsumexp.dtype == got.parts[0].output.dtype == torch.float32
    truth = torch.nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    assert (got.output.double() - truth).abs().max() < 1e-3


def efficient(row_blocks, sm_count, key_blocks, max_splits):
    """The rule, over a list of candidates."""
    if row_blocks >= 0.8 * sm_count:
        return 1
    found = {}
    for splits in range(1, min(max_splits, sm_count, key_blocks) + 1):
        length = math.ceil(key_blocks / splits)
        if not any(math.ceil(key_blocks / fewer) == length for fewer in range(1, splits)):
            waves = row_blocks * splits / sm_count
            found[splits] = waves / math.ceil(waves - 1e-12)
    return min(splits for splits, e in found.items() if e >= 0.85 * max(found.values()) - 1e-12)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row_blocks=st.integers(1, 250),
    sm_count=st.integers(1, 264),
    key_blocks=st.integers(1, 200),
    max_splits=st.integers(1, 130),
)
def test_the_fewest_splits_that_keep_the_sms_busy(row_blocks, sm_count, key_blocks, max_splits, receipt):
    got = choose_splits(row_blocks, sm_count=sm_count, key_blocks=key_blocks, max_splits=max_splits)
    expected = efficient(row_blocks, sm_count, key_blocks, max_splits)
    receipt(choose_splits, "splits", got.splits, expected, reference="every number of splits tried", tolerance=0)
    if got.efficiency:
        assert got.efficiency[got.splits - 1] >= got.threshold - 1e-12
        assert all(e is None or e < got.threshold + 1e-12 for e in got.efficiency[: got.splits - 1])


def test_the_releases_own_example():
    """48 blocks on 108 SMs: two splits (0.89) beat three (0.67)."""
    got = choose_splits(48, sm_count=108, key_blocks=64)
    assert got.splits == 2
    assert [round(e, 2) for e in got.efficiency[1:3]] == [0.89, 0.67]
    assert choose_splits(87, sm_count=108, key_blocks=64).splits == 1
    assert choose_splits(1, sm_count=108, key_blocks=1).splits == 1
    assert choose_splits(4, sm_count=5, key_blocks=5).splits == 1  # exactly 80 %


def test_bad_arguments_are_named():
    q, k, v = qkv(1, 4)
    with pytest.raises(ValueError, match="splits must be at least 1, got 0"):
        split_kv_decode(q, k, v, splits=0)
    with pytest.raises(ValueError, match="block_k must be at least 1"):
        split_kv_decode(q, k, v, splits=1, block_k=0)
    with pytest.raises(TypeError, match="one floating type"):
        split_kv_decode(q, k, v.float(), splits=1)
    for name in ("row_blocks", "sm_count", "key_blocks", "max_splits"):
        arguments = {"row_blocks": 1, "sm_count": 1, "key_blocks": 1, "max_splits": 1} | {name: 0}
        with pytest.raises(ValueError, match=f"{name} must be at least 1"):
            choose_splits(arguments.pop("row_blocks"), **arguments)
