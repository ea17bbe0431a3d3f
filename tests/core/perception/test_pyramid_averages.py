import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.pyramid_averages import pyramid_averages
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    bins=st.lists(st.integers(1, 6), min_size=1, max_size=4),
)
def test_averages_and_their_enlargement_are_those_of_loops(seed, shape, bins, receipt):
    x = torch.tensor(np.random.default_rng(seed).normal(size=(1, *shape)))
    got = pyramid_averages(x, bins)
    pieces = [x]
    for n, level in zip(bins, got.levels, strict=True):
        means = np.stack([oracle.means(c.numpy(), n) for c in x[0]])
        receipt(pyramid_averages, "bin_mean", level.means[0], means, reference="loop over bins and cells")
        wide = np.stack([oracle.enlarged(m, *shape[1:]) for m in means])
        receipt(pyramid_averages, "enlarged", level.upsampled[0], wide, reference="bilinear interpolation cell by cell")
        assert level.bins.level == n
        assert level.nests == (shape[1] % n == 0 and shape[2] % n == 0)
        pieces.append(level.upsampled)
        finest = np.stack([oracle.means(c.numpy(), max(bins)) for c in x[0]])
        if max(bins) % n:
            assert math.isnan(level.nesting_error)
        else:
            k = max(bins) // n
            again = finest.reshape(shape[0], n, k, n, k).mean((2, 4))
            error = np.abs(again - means).max()
            receipt(pyramid_averages, "nesting_error", level.nesting_error, error, reference="means of means")
    assert torch.equal(got.concatenated, torch.cat(pieces, 1))


def test_averages_nest_only_where_the_bins_are_equal():
    x = torch.tensor(np.random.default_rng(0).normal(size=(1, 2, 12, 12)))
    assert max(level.nesting_error for level in pyramid_averages(x).levels) < 1e-12
    assert all(level.nests for level in pyramid_averages(x).levels)
    odd = pyramid_averages(x[..., :11])
    assert odd.levels[0].nesting_error > 1e-3
    assert odd.levels[0].nests
    assert not odd.levels[3].nests


@pytest.mark.parametrize(("channels", "out"), [(2048, 4096), (10, 18), (3, 3)])
def test_the_modules_width(channels, out, receipt):
    got = pyramid_averages(torch.zeros(1, channels, 2, 2))
    assert got.channels_in == channels
    receipt(
        pyramid_averages, "channels_out", got.channels_out, channels + 4 * int(channels / 4), reference="C + L·⌊C/L⌋"
    )
    assert got.channels_out == out
    assert got.concatenated.shape[1] == 5 * channels


def test_types_are_kept_and_nan_spreads():
    x = torch.ones(2, 1, 6, 6, dtype=torch.float16)
    assert pyramid_averages(x).concatenated.dtype == torch.float16
    x[0, 0, 0, 0] = math.nan
    assert math.isnan(pyramid_averages(x).levels[0].means[0])
    assert pyramid_averages(x).levels[0].means[1] == 1
    assert math.isnan(pyramid_averages(x[:0]).levels[0].nesting_error)


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="features must be a floating tensor"):
        pyramid_averages(torch.zeros(1, 1, 4, 4).int())
    for bad in (torch.zeros(4, 4), torch.zeros(1, 0, 4, 4)):
        with pytest.raises(ValueError, match="features must be"):
            pyramid_averages(bad)
    with pytest.raises(ValueError, match="levels must"):
        pyramid_averages(torch.zeros(1, 1, 4, 4), ())
