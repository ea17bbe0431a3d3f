import numpy as np
import pytest
import torch

from core.perception.atrous_coverage import atrous_coverage
from tests.oracles import pooling as oracle


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 7), (9, 9), (13, 6)])
@pytest.mark.parametrize("rate", [1, 2, 3, 4, 6, 12, 40])
def test_taps_are_counted_like_a_loop_over_them(size, rate, receipt):
    got = atrous_coverage(size, rate)
    taps = oracle.taps(*size, rate)
    assert np.array_equal(got.taps, taps)
    receipt(atrous_coverage, "all_taps", got.all_taps, (taps == 9).mean(), reference="loop over taps")
    receipt(atrous_coverage, "one_tap", got.one_tap, (taps == 1).mean(), reference="loop over taps")
    receipt(atrous_coverage, "mean_taps", got.mean_taps, taps.mean(), reference="loop over taps")
    assert dict(got.shares) == {k: (taps == k).mean() for k in (1, 2, 3, 4, 6, 9)}
    assert sum(share for _, share in got.shares) == pytest.approx(1)
    assert (got.height, got.width, got.rate, got.positions) == (*size, rate, taps.size)


def test_taps_are_what_a_convolution_of_ones_adds_up():
    for size, rate in ((11, 3), (11, 6), (7, 12)):
        one = torch.ones(1, 1, size, size)
        counted = torch.nn.functional.conv2d(one, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)[0, 0]
        assert np.array_equal(atrous_coverage(size, rate).taps, counted.numpy())


def test_the_closed_form(receipt):
    for n in range(1, 70, 4):
        for r in (1, 2, 6, 12, 18, 24, 33, 48, 64, 100):
            got = atrous_coverage(n, r)
            every, alone = (max(0, n - 2 * r) / n) ** 2, (min(n, max(0, 2 * r - n)) / n) ** 2
            receipt(atrous_coverage, "all_taps", got.all_taps, every, reference="((n − 2r)₊/n)²")
            receipt(atrous_coverage, "one_tap", got.one_tap, alone, reference="(min(n, (2r − n)₊)/n)²")


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="size must be at least 1"):
        atrous_coverage((4, 0), 1)
    with pytest.raises(ValueError, match="size must be at least 1"):
        atrous_coverage(0, 1)
    with pytest.raises(ValueError, match="rate must be at least 1"):
        atrous_coverage(4, 0)
    with pytest.raises(TypeError, match="rate must be a whole number"):
        atrous_coverage(4, 1.5)
