import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.stride_one_pooling import (
    branch_order,
    branch_permutation,
    chained_kernels,
    check_map,
    check_odd,
    same_size_pool,
    spp_block,
    sppf_block,
)
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def maps(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = draw(st.sampled_from([[0.0, 1.0], [math.nan, math.inf, -math.inf, -1.0], list(np.arange(99.0) - 50)]))
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return torch.tensor(rng.choice(values, shape))


def looped(x, kernels):
    channels = x.numpy().reshape(-1, *x.shape[2:])
    maps = [x] + [torch.tensor(np.stack([oracle.stride_one(c, k)[0] for c in channels])).view(x.shape) for k in kernels]
    return torch.cat(maps, 1)


@quick
@given(x=maps(), kernels=st.sampled_from([(5, 9, 13), (3,), (1, 3), (7, 3)]))
def test_spp_is_that_of_loops_over_windows(x, kernels, receipt):
    receipt(spp_block, "maximum", spp_block(x, kernels), looped(x, kernels), reference="loop over windows")


@quick
@given(x=maps(), kernel=st.sampled_from([1, 3, 5, 7]), repeats=st.integers(1, 3), separable=st.booleans())
def test_sppf_is_spp_of_the_chained_windows(x, kernel, repeats, separable, receipt):
    got = sppf_block(x, kernel, repeats=repeats, separable=separable)
    kernels = chained_kernels(kernel, repeats)
    assert kernels == tuple(kernel + m * (kernel - 1) for m in range(repeats))
    receipt(sppf_block, "maximum", got, looped(x, kernels), reference="loop over windows")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_any_type_and_layout(dtype):
    x = torch.randn(2, 3, 17, 13, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = spp_block(x.double())
    for same in (x, x.to(memory_format=torch.channels_last), x.mT.contiguous().mT):
        for got in (spp_block(same), sppf_block(same), sppf_block(same, separable=True)):
            assert got.dtype == dtype
            assert torch.equal(got.double(), expected)


def test_darknet_concatenates_the_other_way_round_and_the_permutation_translates():
    x = torch.randn(1, 3, 15, 15, generator=torch.Generator().manual_seed(1))
    for block in (spp_block, sppf_block):
        ours, darknet = block(x), block(x, order="darknet")
        assert torch.equal(ours[:, :3], x)
        assert torch.equal(darknet[:, 9:], x)
        assert torch.equal(darknet[:, 3:6], ours[:, 6:9])
        permutation = list(branch_permutation(3))
        assert torch.equal(darknet[:, permutation], ours)
        assert torch.equal(ours[:, permutation], darknet)
    assert branch_order((3, 5), order="darknet") == (5, 3, 1)
    assert branch_order((3, 5)) == (1, 3, 5)


def test_a_window_as_large_as_the_map_reads_it_all():
    x = -torch.arange(1.0, 10).view(1, 1, 3, 3)
    assert same_size_pool(x, 5).unique().tolist() == [-1]
    assert same_size_pool(x, (1, 3))[0, 0, 2].tolist() == [-7, -7, -8]
    assert same_size_pool(x, (3, 1))[0, 0, :, 1].tolist() == [-2, -2, -5]


def test_mistakes_are_named():
    x = torch.zeros(1, 1, 4, 4)
    for call in (spp_block, sppf_block, check_map):
        for bad in (x.int(), x.numpy(), None):
            with pytest.raises(TypeError, match="x must be a floating tensor"):
                call(bad)
        for bad in (x[0], x[:, :, :0], x[:, :0]):
            with pytest.raises(ValueError, match="x must be"):
                call(bad)
    for bad in (4, 0, -3, 2.5, True):
        with pytest.raises(ValueError, match="kernels must be odd and positive"):
            spp_block(x, (3, bad))
        with pytest.raises(ValueError, match="kernel must be odd and positive"):
            sppf_block(x, bad)
        with pytest.raises(ValueError, match="window must be odd"):
            check_odd("window", bad)
    with pytest.raises(ValueError, match="kernels must list at least one"):
        spp_block(x, ())
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        sppf_block(x, repeats=0)
    for call in (spp_block, sppf_block):
        with pytest.raises(ValueError, match="order must be one of ultralytics, darknet"):
            call(x, order="yolo")
    for bad in ((0, 4), (3, 0)):
        with pytest.raises(ValueError, match="channels and branches must be at least 1"):
            branch_permutation(bad[0], branches=bad[1])
