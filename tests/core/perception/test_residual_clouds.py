import numpy as np
import pytest
from scipy import stats

from core.perception.residual_clouds import CLOUDS, LEAN, SWAP, residual_cloud


def test_clouds_have_their_distributions():
    for kind, law in (("laplace", "laplace"), ("gauss", "norm")):
        cloud = residual_cloud(kind, count=20_000, seed=1)
        for axis in (0, 1):
            assert stats.kstest(cloud[:, axis], law).pvalue > 0.001
        assert abs(np.corrcoef(cloud.T)[0, 1]) < 0.03


def test_a_fifth_is_swapped():
    cloud = residual_cloud("swapped", count=40_000, seed=2)
    assert cloud.mean(axis=0) == pytest.approx(SWAP[0] * np.array(SWAP[1]), abs=0.03)
    assert (cloud[:, 0] > 1.2).mean() == pytest.approx(
        0.2 * stats.norm.sf(-1.2 / 0.55) + 0.8 * stats.norm.sf(1.2 / 0.55), abs=0.01
    )


def test_a_skewed_cloud_leans_and_is_centred():
    cloud = residual_cloud("skewed", count=80_000, seed=3)
    assert cloud.mean(axis=0) == pytest.approx([0, 0], abs=0.03)  # E t = LEAN, E t² = 2 LEAN²
    assert cloud[:, 0].std() == pytest.approx(np.hypot(0.45, LEAN), rel=0.03)
    assert stats.skew(cloud[:, 0]) > 1


def test_seeds_are_explicit_and_wrong_input_is_refused():
    for kind in CLOUDS:
        assert (residual_cloud(kind, count=5, seed=7) == residual_cloud(kind, count=5, seed=7)).all()
        assert residual_cloud(kind, count=1).shape == (1, 2)
    with pytest.raises(ValueError, match="kind must be one of laplace, gauss, skewed, swapped, got 'l1'"):
        residual_cloud("l1", count=3)
    with pytest.raises(ValueError, match="count >= 1"):
        residual_cloud("gauss", count=0)
