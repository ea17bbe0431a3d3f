import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.flash_attention import flash_attention
from core.systems.flash_attention_backward import backward_tiles, flash_attention_backward

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def setup(n_q, n_k, d=4, dv=None, heads=(), seed=0, causal=False, dtype=torch.float64):
    """((q, k, v, output, logsumexp, grad_output), gradients by autograd through torch's own softmax)."""
    g = torch.Generator().manual_seed(seed)
    shapes = ((*heads, n_q, d), (*heads, n_k, d), (*heads, n_k, dv or d), (*heads, n_q, dv or d))
    q, k, v, grad = (torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes)
    leaves = [x.double().clone().requires_grad_() for x in (q, k, v)]
    scores = leaves[0] @ leaves[1].mT * d**-0.5
    if causal:
        visible = torch.ones(n_q, n_k, dtype=torch.bool).tril(n_k - n_q)
        scores = torch.where(visible, scores, -1e300)  # finite, so that empty rows have a softmax to undo
        weights = scores.softmax(-1) * visible.any(dim=1, keepdim=True)
    else:
        weights = scores.softmax(-1)
    expected = torch.autograd.grad((weights @ leaves[2] * grad.double()).sum(), leaves)
    forward = flash_attention(q, k, v, block_q=3, block_k=5, causal=causal)
    return (q, k, v, forward.output, forward.logsumexp, grad), expected


@quick
@given(
    n_q=st.integers(1, 12),
    n_k=st.integers(1, 12),
    d=st.integers(1, 5),
    dv=st.integers(1, 5),
    block_q=st.integers(1, 14),
    block_k=st.integers(1, 14),
    causal=st.booleans(),
    heads=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 10**6),
)
def test_any_tiling_has_autograds_gradients(n_q, n_k, d, dv, block_q, block_k, causal, heads, seed, receipt):
    arguments, expected = setup(n_q, n_k, d, dv, heads, seed, causal)
    got = flash_attention_backward(*arguments, block_q=block_q, block_k=block_k, causal=causal)
    for name, theirs in zip(("grad_q", "grad_k", "grad_v"), expected, strict=True):
        receipt(flash_attention_backward, name, getattr(got, name), theirs, reference="torch autograd", tolerance=1e-11)
    delta = (arguments[3] * arguments[5]).sum(-1)
    receipt(flash_attention_backward, "delta", got.delta, delta, reference="rowsum(dO ∘ O)")


def test_gradients_are_those_of_the_librarys_attention(receipt):
    (q, k, v, output, logsumexp, grad), _ = setup(40, 40, 8, heads=(2,))
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    theirs = torch.autograd.grad(torch.nn.functional.scaled_dot_product_attention(*leaves), leaves, grad)
    got = flash_attention_backward(q, k, v, output, logsumexp, grad, block_q=16, block_k=8)
    for name, expected in zip(("grad_q", "grad_k", "grad_v"), theirs, strict=True):
        receipt(flash_attention_backward, name, getattr(got, name), expected, reference="torch", tolerance=1e-11)


@pytest.mark.parametrize("causal", [False, True])
def test_every_step_is_a_tile_of_the_whole_matrices(causal, receipt):
    arguments, _ = setup(7, 9, 4, causal=causal)
    q, k, v, output, logsumexp, grad = arguments
    p = (q @ k.mT / 2 - logsumexp.unsqueeze(-1)).exp()
    if causal:
        p = p * torch.ones(7, 9).tril(2)
    grad_p = grad @ v.mT
    grad_s = p * (grad_p - (grad * output).sum(-1, keepdim=True))
    reference = "whole matrices"
    seen = torch.zeros(7, 9, dtype=torch.float64)
    for step in backward_tiles(*arguments, block_q=2, block_k=4, causal=causal):
        at = slice(step.tile.rows.start, step.tile.rows.stop), slice(step.tile.cols.start, step.tile.cols.stop)
        seen[at] = 1
        receipt(backward_tiles, "probabilities", step.probabilities, p[at], reference=reference)
        receipt(backward_tiles, "grad_probabilities", step.grad_probabilities, grad_p[at], reference=reference)
        receipt(backward_tiles, "grad_scores", step.grad_scores, grad_s[at], reference=reference)
        receipt(backward_tiles, "delta", step.delta, (grad * output).sum(-1)[at[0]], reference=reference)
        receipt(backward_tiles, "grad_q", step.grad_q, ((grad_s * seen) @ k / 2)[at[0]], reference=reference)
        receipt(backward_tiles, "grad_k", step.grad_k, ((grad_s * seen).mT @ q / 2)[at[1]], reference=reference)
        receipt(backward_tiles, "grad_v", step.grad_v, ((p * seen).mT @ grad)[at[1]], reference=reference)
    assert torch.equal(seen.bool() | (p == 0), torch.ones(7, 9, dtype=torch.bool))


def test_keys_are_outside():
    arguments, _ = setup(4, 4)
    places = [(s.tile.row_block, s.tile.col_block) for s in backward_tiles(*arguments, block_q=2, block_k=2)]
    assert places == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_a_step_never_changes_and_arguments_stay():
    arguments, _ = setup(6, 6, causal=True)
    before = [x.clone() for x in arguments]
    names = ("probabilities", "grad_probabilities", "grad_scores", "delta", "grad_q", "grad_k", "grad_v")
    kept = [
        (step, {name: getattr(step, name).clone() for name in names})
        for step in backward_tiles(*arguments, block_q=2, block_k=2, causal=True)
    ]
    assert all(torch.equal(getattr(step, name), copies[name]) for step, copies in kept for name in names)
    assert all(torch.equal(x, y) for x, y in zip(arguments, before, strict=True))


def test_queries_that_see_nothing_have_gradient_zero():
    arguments, _ = setup(6, 2, causal=True)
    got = flash_attention_backward(*arguments, block_q=3, block_k=2, causal=True)
    assert (got.grad_q[:4] == 0).all()
    assert all(x.isfinite().all() for x in (got.grad_q, got.grad_k, got.grad_v))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_types_err_by_their_rounding(dtype):
    arguments, expected = setup(64, 64, 16, dtype=dtype)
    got = flash_attention_backward(*arguments, block_q=16, block_k=16)
    for x, theirs in zip((got.grad_q, got.grad_k, got.grad_v), expected, strict=True):
        assert x.dtype == dtype
        assert (x.double() - theirs).abs().max() <= 20 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"block_q": 0}, ValueError, "block_q must be at least 1"),
        ({"output": torch.zeros(4, 3)}, ValueError, r"output must have shape \(4, 4\), got \(4, 3\)"),
        ({"grad_output": torch.zeros(3, 4)}, ValueError, "grad_output must have shape"),
        ({"logsumexp": torch.zeros(4, 4)}, ValueError, r"logsumexp must have shape \(4,\)"),
        ({"logsumexp": torch.zeros(4, dtype=torch.int64)}, TypeError, "logsumexp must be of a floating type"),
        ({"q": torch.zeros(4, 4, dtype=torch.int64)}, TypeError, "one floating type"),
    ],
)
def test_bad_arguments_are_named_at_the_call(change, error, message):
    names = ("q", "k", "v", "output", "logsumexp", "grad_output")
    arguments = dict(zip(names, setup(4, 4)[0], strict=True)) | {"block_q": 2, "block_k": 2} | change
    with pytest.raises(error, match=message):
        backward_tiles(**arguments)
