import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.flash_attention import (
    RULES,
    attention_tiles,
    check_attention_inputs,
    collect_tiles,
    default_state_dtype,
    flash_attention,
    hidden_entries,
)
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
ORDERS = ("fa1", "fa2")
LIBRARY = "torch"


def qkv(n_q, n_k, d=8, dv=None, heads=(), seed=0, dtype=torch.float64, scale=1.0):
    g = torch.Generator().manual_seed(seed)
    shapes = ((*heads, n_q, d), (*heads, n_k, d), (*heads, n_k, dv or d))
    q, k, v = (torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes)
    return [(x * f).to(dtype) for x, f in ((q, scale), (k, 1), (v, 1))]


def bottom_right(n_q, n_k):
    return torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)


def library(q, k, v, causal=False):
    mask = bottom_right(q.shape[-2], k.shape[-2]) if causal else None
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


@st.composite
def setups(draw, causal_seen=False):
    n_q, n_k = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    causal = draw(st.booleans())
    if causal and causal_seen:
        n_q = min(n_q, n_k)
    block_k = draw(st.integers(1, 16))
    heads = draw(st.sampled_from([(), (1,), (3,), (2, 2)]))
    inputs = qkv(n_q, n_k, draw(st.integers(1, 6)), draw(st.integers(1, 5)), heads, draw(st.integers(0, 10**6)))
    options = {
        "block_q": draw(st.integers(1, 16)),
        "block_k": block_k,
        "causal": causal,
        "order": draw(st.sampled_from(ORDERS)),
        "key_order": draw(st.permutations(range(-(-n_k // block_k)))),
    }
    return inputs, options


@quick
@given(setup=setups(causal_seen=True))
def test_any_tiling_is_the_librarys_attention(setup, receipt):
    inputs, options = setup
    got = flash_attention(*inputs, **options)
    expected = library(*inputs, causal=options["causal"])
    receipt(flash_attention, "output", got.output, expected, reference=LIBRARY)


@quick
@given(setup=setups())
def test_any_tiling_is_attention_row_by_row(setup, receipt):
    """Queries that see no key among them: O = 0, L = −inf."""
    inputs, options = setup
    got = flash_attention(*inputs, **options)
    flat = [x.reshape(-1, *x.shape[-2:]).numpy() for x in inputs]
    expected = [oracle.softmax_attention(*head, options["causal"]) for head in zip(*flat, strict=True)]
    reference = "float64 softmax, row by row"
    output = got.output.reshape(len(expected), *got.output.shape[-2:])
    logsumexp = got.logsumexp.reshape(len(expected), -1)
    receipt(flash_attention, "output", output, np.stack([o for o, _ in expected]), reference=reference)
    receipt(flash_attention, "logsumexp", logsumexp, np.stack([l for _, l in expected]), reference=reference)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("causal", [False, True])
def test_logsumexp_is_that_of_the_librarys_flash_kernel(order, causal, receipt):
    q, k, v = qkv(100, 100, 16, heads=(2, 3))
    output, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, is_causal=causal)
    got = flash_attention(q, k, v, block_q=32, block_k=48, causal=causal, order=order)
    reference = f"torch {torch.__version__}, its CPU flash kernel"
    receipt(flash_attention, "output", got.output, output, reference=reference)
    receipt(flash_attention, "logsumexp", got.logsumexp, logsumexp, reference=reference)


def test_torch_aligns_a_causal_rectangle_elsewhere():
    """The convention that differs: is_causal is top-left there, bottom-right here and in flash-attn ≥ 2.1."""
    q, k, v = qkv(3, 5)
    ours = flash_attention(q, k, v, causal=True).output
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert (ours - theirs).abs().max() > 0.1
    torch.testing.assert_close(ours[2], library(q, k, v)[2], rtol=0, atol=1e-12)
    torch.testing.assert_close(theirs[0], v[0], rtol=0, atol=1e-12)


@quick
@given(setup=setups(), printed=st.booleans())
def test_registers_are_those_of_one_row_computed_number_by_number(setup, printed, receipt):
    (q, k, v), options = setup
    q, k, v = (x.reshape(-1, *x.shape[-2:])[0] for x in (q, k, v))
    options |= {"order": "fa2", "rule": "inverse_as_printed" if printed else "running_max"}
    steps = list(attention_tiles(q, k, v, **options))
    n_q, n_k = len(q), len(k)
    for r in range(n_q):
        mine = [step for step in steps if r in step.tile.rows]
        scores = np.array(
            [
                float(q[r] @ k[c]) / math.sqrt(q.shape[1])
                if oracle.sees(r, c, n_q, n_k, options["causal"])
                else -math.inf
                for c in range(n_k)
            ]
        )
        states = oracle.registers(scores, v.numpy(), [step.tile.cols for step in mine], printed)
        for step, before, after in zip(mine, states, states[1:], strict=False):
            at = r - step.tile.rows.start
            reference = "one row, number by number"
            receipt(attention_tiles, "previous_max", step.previous_max[at], before[0], reference=reference)
            receipt(attention_tiles, "row_max", step.row_max[at], after[0], reference=reference)
            receipt(attention_tiles, "row_sum", step.row_sum[at], after[1], reference=reference, tolerance=1e-11)
            size = max(1.0, float(np.abs(after[2]).max()))
            receipt(attention_tiles, "accumulator", step.accumulator[at] / size, after[2] / size, reference=reference)
            decay = 0.0 if before[0] == -math.inf else math.exp(before[0] - after[0])
            receipt(attention_tiles, "rescale", step.rescale[at], decay, reference=reference)
            assert bool(step.max_changed[at]) == (after[0] != before[0])
            part = scores[step.tile.cols.start : step.tile.cols.stop]
            receipt(attention_tiles, "scores", step.scores[at], part, reference=reference)
            receipt(attention_tiles, "tile_max", step.tile_max[at], part.max(), reference=reference)
            weights = np.exp(part - (after[0] if after[0] > -math.inf else 0))
            receipt(attention_tiles, "probabilities", step.probabilities[at], weights, reference=reference)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("causal", [False, True])
def test_every_step_holds_attention_over_the_keys_seen_so_far(order, causal, receipt):
    q, k, v = qkv(11, 9, 4)
    seen = {r: [] for r in range(11)}
    for step in attention_tiles(q, k, v, block_q=3, block_k=2, causal=causal, order=order, key_order=[2, 0, 4, 1, 3]):
        for r in step.tile.rows:
            seen[r] += step.tile.cols
        for at, r in enumerate(step.tile.rows):
            keys = [c for c in seen[r] if oracle.sees(r, c, 11, 9, causal)]
            output, logsumexp = torch.zeros(4), -torch.inf
            if keys:
                scores = k[keys] @ q[r] / 2
                output, logsumexp = scores.softmax(0) @ v[keys], scores.logsumexp(0)
            reference = "softmax over the keys seen so far"
            receipt(attention_tiles, "output", step.output[at], output, reference=reference)
            receipt(attention_tiles, "logsumexp", step.logsumexp[at], logsumexp, reference=reference)


def test_fa1_keeps_the_divided_output_and_a_local_softmax():
    q, k, v = qkv(6, 6, 4)
    for step in attention_tiles(q, k, v, block_q=3, block_k=2, order="fa1"):
        local = torch.exp(step.scores - step.scores.amax(dim=1, keepdim=True))
        torch.testing.assert_close(step.probabilities, local, rtol=0, atol=1e-14)
        torch.testing.assert_close(step.output, step.accumulator, rtol=0, atol=0)
        assert step.order == "fa1"


@pytest.mark.parametrize("rule", ["running_max", "no_max"])
@pytest.mark.parametrize("order", ORDERS)
def test_a_step_never_changes_after_it_is_yielded(order, rule):
    q, k, v = qkv(9, 9, 4, heads=(2,))
    names = ("scores", "probabilities", "tile_max", "previous_max", "row_max", "rescale", "row_sum", "accumulator")
    kept = []
    for step in attention_tiles(q, k, v, block_q=4, block_k=3, causal=True, order=order, rule=rule):
        kept.append((step, {name: getattr(step, name).clone() for name in names}))
    for step, copies in kept:
        for name in names:
            assert torch.equal(getattr(step, name), copies[name]), name


def test_arguments_stay_as_they_are():
    inputs = qkv(9, 9, 4)
    copies = [x.clone() for x in inputs]
    for order in ORDERS:
        flash_attention(*inputs, block_q=4, block_k=4, causal=True, order=order)
    assert all(torch.equal(x, y) for x, y in zip(inputs, copies, strict=True))


@pytest.mark.parametrize("causal", [False, True])
def test_the_printed_inverse_breaks_the_result(causal, receipt):
    q, k, v = qkv(64, 64, 16, seed=1)
    right = library(q, k, v, causal)
    wrong = flash_attention(q, k, v, block_q=16, block_k=16, causal=causal, rule="inverse_as_printed").output
    assert wrong.isfinite().all()
    assert (wrong - right).abs().max() > 1
    one_tile = flash_attention(q, k, v, block_q=16, block_k=64, causal=causal, rule="inverse_as_printed").output
    receipt(flash_attention, "output", one_tile, right, reference=LIBRARY)


@pytest.mark.parametrize("order", ORDERS)
def test_without_the_maximum_real_numbers_do_and_half_precision_overflows(order, receipt):
    q, k, v = qkv(32, 32, 16)
    plain = flash_attention(q, k, v, block_q=8, block_k=8, order=order, rule="no_max", causal=True)
    receipt(flash_attention, "output", plain.output, library(q, k, v, causal=True), reference=LIBRARY)
    q, k, v = qkv(32, 32, 16, scale=8, dtype=torch.float16)
    for state in (None, torch.float16):
        options = {"block_q": 8, "block_k": 8, "order": order, "state_dtype": state}
        assert flash_attention(q, k, v, **options).output.isfinite().all()
        assert not flash_attention(q, k, v, rule="no_max", **options).output.isfinite().all()
    step = next(attention_tiles(q, k, v, rule="no_max", **options))
    assert (step.row_max == 0).all()
    assert (step.previous_max == 0).all()
    assert (step.rescale == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("order", ORDERS)
def test_half_precision_errs_at_most_twice_as_much_as_plain_half_precision(dtype, order):
    q, k, v = qkv(128, 128, 32, heads=(2,), dtype=dtype)
    truth = library(*(x.double() for x in (q, k, v)))
    plain = ((q @ k.mT * 32**-0.5).softmax(-1) @ v).double()
    got = flash_attention(q, k, v, block_q=32, block_k=32, order=order)
    assert got.output.dtype == dtype
    assert got.logsumexp.dtype == torch.float32
    assert (got.output.double() - truth).abs().max() <= 2 * (plain - truth).abs().max()
    step = next(attention_tiles(q, k, v, block_q=32, block_k=32, order=order))
    assert step.accumulator.dtype == torch.float32
    rounded = step.probabilities.to(dtype).float() @ v[:, :32].float()
    torch.testing.assert_close(step.output, rounded / step.row_sum.unsqueeze(-1), rtol=1e-6, atol=1e-6)


def test_the_state_may_be_kept_in_another_type():
    q, k, v = qkv(64, 64, 16, dtype=torch.float16)
    narrow = flash_attention(q, k, v, block_q=16, block_k=16, state_dtype=torch.float16)
    wide = flash_attention(q, k, v, block_q=16, block_k=16)
    assert narrow.logsumexp.dtype == torch.float16
    assert not torch.equal(narrow.output, wide.output)
    assert (default_state_dtype(torch.float16), default_state_dtype(torch.float32)) == (torch.float32,) * 2


@quick
@given(setup=setups(causal_seen=True), threshold=st.sampled_from([0.5, 3.0, 8.0, 50.0]))
def test_a_late_rescale_is_as_exact(setup, threshold, receipt):
    inputs, options = setup
    options |= {"order": "fa2", "rescale_threshold": threshold}
    got = flash_attention(*inputs, **options)
    receipt(flash_attention, "output", got.output, library(*inputs, causal=options["causal"]), reference=LIBRARY)
    for step in attention_tiles(*inputs, **options):
        assert (step.probabilities <= 2**threshold * (1 + 1e-12)).all()


def test_a_late_rescale_is_rarer():
    q, k, v = qkv(256, 256, 32)
    shares = []
    for threshold in (0.0, 8.0):
        steps = list(attention_tiles(q, k, v, block_q=32, block_k=32, rescale_threshold=threshold))
        shares.append(sum(int(step.max_changed.sum()) for step in steps) / sum(len(step.tile.rows) for step in steps))
    assert shares[0] > 0.25
    assert shares[1] == 1 / 8  # only each row's first tile


def test_another_order_of_keys_takes_other_ways_to_nearly_the_same_bits():
    q, k, v = qkv(128, 128, 32, dtype=torch.float32)
    options = {"block_q": 16, "block_k": 16}
    there = list(attention_tiles(q, k, v, **options))
    back = list(attention_tiles(q, k, v, key_order=range(7, -1, -1), **options))
    middle = [next(s for s in steps if s.tile.row_block == 3 and s.tile.index % 8 == 4) for steps in (there, back)]
    assert not torch.equal(middle[0].row_sum, middle[1].row_sum)
    left, right = (collect_tiles(steps, q, v).output for steps in (there, back))
    assert (left - right).abs().max() < 1e-6
    assert 0 < int((left == right).sum()) < left.numel()


def test_not_a_number_stays_in_its_row():
    q, k, v = qkv(6, 6, 4)
    clean = flash_attention(q, k, v, block_q=2, block_k=2).output
    q[3, 1] = math.nan
    for order in ORDERS:
        got = flash_attention(q, k, v, block_q=2, block_k=2, order=order).output
        assert got[3].isnan().all()
        torch.testing.assert_close(got[[0, 1, 2, 4, 5]], clean[[0, 1, 2, 4, 5]], rtol=0, atol=1e-12)


def test_huge_scores_do_not_overflow(receipt):
    q, k, v = qkv(16, 16, 8, scale=1e6)
    for order in ORDERS:
        got = flash_attention(q, k, v, block_q=4, block_k=4, order=order).output
        receipt(flash_attention, "output", got, library(q, k, v), reference=LIBRARY)


def test_strided_tensors_and_single_tokens(receipt):
    q, k, v = (x.mT.contiguous().mT for x in qkv(7, 5, 4, heads=(2,)))
    got = flash_attention(q, k, v, block_q=2, block_k=2).output
    receipt(flash_attention, "output", got, library(q, k, v), reference=LIBRARY)
    q, k, v = qkv(1, 1, 1)
    assert torch.equal(flash_attention(q, k, v, causal=True).output, v)


def test_result_tells_its_tiles_and_empty_rows():
    q, k, v = qkv(6, 2, 4)
    result = flash_attention(q, k, v, block_q=2, block_k=2, causal=True)
    assert result.visited_tiles == 1
    assert (result.output[:4] == 0).all()
    assert (result.logsumexp[:4] == -torch.inf).all()
    assert result.logsumexp[4:].isfinite().all()


def test_collected_steps_may_be_cut_short():
    q, k, v = qkv(4, 4, 4)
    for order in ORDERS:
        steps = list(attention_tiles(q, k, v, block_q=2, block_k=2, order=order))
        assert torch.equal(
            collect_tiles(iter(steps), q, v).output, flash_attention(q, k, v, block_q=2, block_k=2, order=order).output
        )
        first = collect_tiles(steps[:1], q, v)
        torch.testing.assert_close(first.output[:2], library(q[:2], k[:2], v[:2]), rtol=0, atol=1e-12)
        assert (first.output[2:] == 0).all()
    nothing = collect_tiles([], q.half(), v.half())
    assert nothing.visited_tiles == 0
    assert (nothing.logsumexp == -torch.inf).all()
    assert nothing.logsumexp.dtype == torch.float32
    with pytest.raises(ValueError, match="steps must visit rows of q, which has 2"):
        collect_tiles(steps, q[:2], v)


@quick
@given(n_q=st.integers(1, 8), n_k=st.integers(1, 8))
def test_hidden_entries(n_q, n_k):
    got = hidden_entries(range(n_q), range(n_k), shift=n_k - n_q, device=torch.device("cpu"))
    assert torch.equal(got, ~bottom_right(n_q, n_k))


BAD = [
    ({"block_q": 0}, ValueError, "block_q must be at least 1"),
    ({"block_k": 0}, ValueError, "block_k must be at least 1"),
    ({"order": "fa3"}, ValueError, "order must be one of"),
    ({"rule": "guess"}, ValueError, "rule must be one of"),
    ({"rescale_threshold": -1}, ValueError, "rescale_threshold must not be negative, got -1"),
    ({"rescale_threshold": math.nan}, ValueError, "rescale_threshold must not be negative"),
    ({"order": "fa1", "rule": "inverse_as_printed"}, ValueError, 'got order "fa1"'),
    ({"order": "fa1", "rescale_threshold": 1.0}, ValueError, "rescale_threshold needs"),
    ({"rule": "no_max", "rescale_threshold": 1.0}, ValueError, "rescale_threshold needs"),
    ({"state_dtype": torch.int32}, TypeError, "state_dtype must be a floating type"),
    ({"q": torch.zeros(4, 3)}, TypeError, "one floating type"),
    ({"q": torch.zeros(4, 3, dtype=torch.float64)}, ValueError, "one d"),
    ({"v": torch.zeros(5, 2, dtype=torch.float64)}, ValueError, "as many tokens"),
    ({"q": torch.zeros(2, 4, 2, dtype=torch.float64)}, ValueError, "the same heads"),
    ({"q": torch.zeros(0, 2, dtype=torch.float64)}, ValueError, "not empty"),
    ({"q": torch.zeros(2, dtype=torch.float64)}, ValueError, "tokens, channels"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_arguments_are_named_at_the_call(change, error, message):
    q, k, v = qkv(4, 4, 2)
    arguments = {"q": q, "k": k, "v": v, "block_q": 2, "block_k": 2} | change
    with pytest.raises(error, match=message):
        attention_tiles(**arguments)  # not iterated


def test_whole_numbers_are_no_inputs():
    x = torch.ones(2, 2, dtype=torch.int64)
    with pytest.raises(TypeError, match="one floating type"):
        check_attention_inputs(x, x, x)
    assert len(RULES) == 3
