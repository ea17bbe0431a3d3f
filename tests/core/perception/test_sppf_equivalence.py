import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.sppf_equivalence import bits_apart, compare_blocks, compare_padding, pool_costs, tie_gradients
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def maps(draw):
    values = [[0.0, 1.0], [math.nan, math.inf, -math.inf, -1.0], list(np.arange(99.0) - 50)]
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = 1, draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return torch.tensor(rng.choice(draw(st.sampled_from(values)), shape))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@quick
@given(x=maps(), kernel=st.sampled_from([3, 5, 7]), repeats=st.integers(1, 3))
def test_the_maps_have_the_same_bits(dtype, x, kernel, repeats, receipt):
    got = compare_blocks(x.to(dtype), kernel=kernel, repeats=repeats)
    assert got.bit_identical
    assert got.kernels == tuple(1 + m * (kernel - 1) for m in range(1, repeats + 1))
    for c in range(x.shape[1]):
        for k, *three in zip(got.kernels, got.spp, got.sppf, got.separable, strict=True):
            expected, _, _ = oracle.stride_one(x[0, c].numpy(), k)
            for one in three:
                assert np.array_equal(one[0, c].double().numpy(), expected, equal_nan=True)
    different = sum(a.numpy().tobytes() != b.numpy().tobytes() for a, b in zip(got.spp, got.sppf, strict=True))
    receipt(compare_blocks, "differing_bits", sum(got.differing), different, reference="bytes of the maps")
    receipt(compare_blocks, "compared", got.compared, len(got.kernels) * x.numel(), reference="sizes")


def test_different_bits_are_counted():
    """Zeros of either sign are equal, but a pool may take one or the other."""
    x = -torch.ones(1, 1, 6, 6)
    x[0, 0, 0, 5], x[0, 0, 1, 0] = -0.0, 0.0
    got = compare_blocks(x)
    assert not got.bit_identical
    assert all(map(torch.equal, got.spp, got.sppf))
    bits = [a.numpy().view(np.int32) != b.numpy().view(np.int32) for a, b in zip(got.spp, got.sppf, strict=True)]
    assert list(got.differing) == [int(b.sum()) for b in bits]
    assert bits_apart(torch.tensor([0.0, 1, math.nan, 2]), torch.tensor([-0.0, 1, math.nan, 3])) == 2
    assert bits_apart(torch.tensor([math.nan, 1.0]), torch.tensor([1.0, math.nan])) == 2


def test_a_difference_takes_the_badge_away():
    same = compare_blocks(torch.zeros(1, 1, 4, 4))
    assert not dataclasses.replace(same, differing=(0, 0, 1)).bit_identical
    assert not dataclasses.replace(same, differing_separable=(1, 0, 0)).bit_identical


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (13, 13), (20, 16)])
@pytest.mark.parametrize(("kernel", "repeats"), [(5, 3), (3, 2), (1, 1)])
def test_comparisons_are_those_that_a_loop_makes(size, kernel, repeats, receipt):
    x = np.zeros(size)
    spp, sppf, separable = pool_costs(*size, kernel=kernel, repeats=repeats)
    kernels = [1 + m * (kernel - 1) for m in range(1, repeats + 1)]
    expected = [
        sum(oracle.stride_one(x, k)[2] for k in kernels),
        repeats * oracle.stride_one(x, kernel)[2],
        repeats * (oracle.stride_one(x, 1, kernel)[2] + oracle.stride_one(x, kernel, 1)[2]),
    ]
    for cost, total in zip((spp, sppf, separable), expected, strict=True):
        receipt(pool_costs, "comparisons_total", cost.total, total, reference="counted in the loop")
    assert [cost.method for cost in (spp, sppf, separable)] == ["spp", "sppf", "separable"]
    assert (spp.kernels, sppf.kernels, separable.kernels) == (tuple(kernels), (kernel,) * repeats, (kernel,) * repeats)


def test_far_from_the_border_a_pixel_takes_272_72_or_24_comparisons(receipt):
    def middle(*windows):
        return sum(len(oracle.window(30, 30, 61, 61, high, wide)) - 1 for high, wide in windows)

    expected = [
        middle((5, 5), (9, 9), (13, 13)),
        middle((5, 5), (5, 5), (5, 5)),
        middle(*[(1, 5), (5, 1)] * 3),
    ]
    assert expected == [272, 72, 24]
    for cost, count in zip(pool_costs(61, 61), expected, strict=True):
        receipt(pool_costs, "comparisons_per_pixel", cost.per_pixel, count, reference="counted in the loop")
    assert compare_blocks(torch.zeros(1, 1, 61, 61)).costs == pool_costs(61, 61)


@quick
@given(x=maps(), kernel=st.sampled_from([3, 5]), repeats=st.integers(1, 3))
def test_gradients_are_those_of_following_every_output_back(x, kernel, repeats, receipt):
    got = tie_gradients(x, kernel=kernel, repeats=repeats)
    if x.isnan().any():
        return  # of several NaN torch follows the last
    kernels = [1 + m * (kernel - 1) for m in range(1, repeats + 1)]
    channels = [c.numpy() for c in x[0]]
    spp = np.stack([oracle.parallel_gradient(c, kernels) for c in channels])
    sppf = np.stack([oracle.chain_gradient(c, [kernel] * repeats) for c in channels])
    receipt(tie_gradients, "gradient", got.spp[0], spp, reference="following every output back")
    receipt(tie_gradients, "gradient", got.sppf[0], sppf, reference="following every output back")
    assert np.array_equal(got.differs[0].numpy(), spp != sppf)
    receipt(
        tie_gradients,
        "differing_gradients",
        got.differing,
        (spp != sppf).sum(),
        reference="following every output back",
    )
    outputs = x.numel() * (1 + repeats)
    receipt(tie_gradients, "gradient_total", got.total_spp, outputs, reference="number of outputs")
    receipt(tie_gradients, "gradient_total", got.total_sppf, outputs, reference="number of outputs")
    tied = sum(int((c == v).sum()) > 1 for c in channels for v in c.ravel())
    receipt(tie_gradients, "tied_pixels", got.tied, tied, reference="comparing all pairs")


def test_distinct_numbers_have_one_gradient_and_ties_may_have_two():
    rng = np.random.default_rng(0)
    distinct = torch.tensor(rng.permutation(np.arange(400.0)).reshape(1, 1, 20, 20))
    alone = tie_gradients(distinct)
    assert (alone.differing, alone.tied) == (0, 0)
    tied = tie_gradients((distinct / 40).floor())
    assert tied.differing > 0
    assert tied.tied == 400
    assert tied.total_spp == tied.total_sppf == 1600


def test_gradients_come_without_a_graph_of_the_callers():
    x = torch.zeros(1, 1, 5, 5)
    with torch.no_grad():
        assert tie_gradients(x).total_spp == 100
    assert x.grad is None
    half = tie_gradients(torch.zeros(1, 1, 51, 51, dtype=torch.float16))
    assert half.total_spp == 10404  # counted in float64: beyond 2048 float16 skips numbers


@quick
@given(x=maps(), kernel=st.sampled_from([1, 3, 5]))
def test_zero_padding_changes_what_a_loop_over_a_padded_map_says(x, kernel, receipt):
    got = compare_padding(x, kernel=kernel)
    changed = 0
    for c in x[0].numpy():
        padded = np.pad(c, kernel // 2)
        inner = (slice(kernel // 2, kernel // 2 + c.shape[0]), slice(kernel // 2, kernel // 2 + c.shape[1]))
        zero, bare = oracle.stride_one(padded, kernel)[0][inner], oracle.stride_one(c, kernel)[0]
        changed += int((~((zero == bare) | (np.isnan(zero) & np.isnan(bare)))).sum())
    receipt(compare_padding, "changed", got.changed, changed, reference="loop over a padded map")
    receipt(compare_padding, "changed_share", got.share, changed / x.numel(), reference="loop over a padded map")
    assert got.kernel == kernel


def test_zero_padding_is_harmless_after_a_relu_and_ruins_a_negative_border():
    assert compare_padding(torch.rand(1, 2, 9, 9)).changed == 0
    negative = compare_padding(-torch.ones(1, 1, 8, 8))
    assert (negative.changed, negative.share) == (48, 0.75)
    assert negative.pooled.unique().tolist() == [-1]
    assert negative.zero_padded[0, 0, 0, 0] == 0


def test_mistakes_are_named():
    x = torch.zeros(1, 1, 4, 4)
    for call in (compare_blocks, tie_gradients, compare_padding):
        with pytest.raises(TypeError, match="x must be a floating tensor"):
            call(x.int())
        with pytest.raises(ValueError, match="x must be"):
            call(x[0])
        with pytest.raises(ValueError, match="kernel must be odd"):
            call(x, kernel=4)
    for bad in ((0, 4), (4, 0)):
        with pytest.raises(ValueError, match="height and width must be at least 1"):
            pool_costs(*bad)
    with pytest.raises(ValueError, match="repeats"):
        pool_costs(4, 4, repeats=0)
