import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from core.generative.mixtures import gaussian_mixture
from core.generative.two_sample import energy_distance, ks_one_sample, ks_two_sample
from tests.oracles import diffusion as oracle

quick = settings(deadline=None, max_examples=30)
numbers = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=25)


@quick
@given(a=numbers, b=numbers)
def test_two_samples_with_ties_by_all_points(a, b):
    found = ks_two_sample(torch.tensor(a).double(), torch.tensor(b).double())
    largest = max(abs(np.mean(np.array(a) <= v) - np.mean(np.array(b) <= v)) for v in [*a, *b])
    assert found.statistic == pytest.approx(largest, abs=1e-12)
    shares = [np.mean(np.array(s) <= found.at) for s in (a, b)]
    assert abs(shares[0] - shares[1]) == pytest.approx(found.statistic, abs=1e-12)
    assert found.above == (shares[0] > shares[1])


def kolmogorov(x):
    """2 Σ (−1)^{k−1} e^{−2k²x²}, summed by hand."""
    return 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 200))


def test_statistics_and_chances(receipt):
    rng = np.random.default_rng(0)
    for n, m, shift in ((2000, 2000, 0.0), (2000, 1500, 0.05), (400, 700, 0.3)):
        a, b = rng.standard_normal(n), rng.standard_normal(m) + shift
        found, expected = ks_two_sample(torch.from_numpy(a), torch.from_numpy(b)), stats.ks_2samp(a, b)
        receipt(ks_two_sample, "statistic", found.statistic, expected.statistic, reference="scipy")
        by_hand = kolmogorov(math.sqrt(n * m / (n + m)) * expected.statistic)
        receipt(ks_two_sample, "p_value", found.p_value, by_hand, reference="Kolmogorov's series", tolerance=1e-12)
        assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
    mixture = gaussian_mixture(*oracle.tensors(oracle.LINE))
    x, _ = mixture.sample(1500, seed=0)

    def cdf(v):
        return sum(w * stats.norm(m[0], math.sqrt(c[0][0])).cdf(v) for w, m, c in zip(*oracle.LINE, strict=True))

    for sample in (x[:, 0], x[:, 0] + 0.1, -x[:, 0]):
        found, expected = ks_one_sample(sample, mixture), stats.kstest(sample.numpy(), cdf)
        receipt(ks_one_sample, "statistic", found.statistic, expected.statistic, reference="scipy")
        receipt(
            ks_one_sample,
            "p_value",
            found.p_value,
            kolmogorov(math.sqrt(1500) * expected.statistic),
            reference="Kolmogorov's series",
        )
        assert found.at == pytest.approx(expected.statistic_location)
        assert found.above == (expected.statistic_sign == 1)


def test_energy_distance(receipt):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal(40), rng.standard_normal(30) + 1
    expected = stats.energy_distance(a, b)
    receipt(
        energy_distance,
        "energy",
        energy_distance(torch.from_numpy(a)[:, None], torch.from_numpy(b)[:, None]),
        expected,
        reference="scipy",
    )
    p, q = rng.standard_normal((12, 3)), rng.standard_normal((9, 3)) + 0.5

    def mean(u, v):
        return np.mean([[math.dist(x, y) for y in v] for x in u])

    by_hand = math.sqrt(2 * mean(p, q) - mean(p, p) - mean(q, q))
    receipt(
        energy_distance,
        "energy",
        energy_distance(torch.from_numpy(p), torch.from_numpy(q)),
        by_hand,
        reference="all pairs",
        tolerance=1e-10,
    )
    assert energy_distance(torch.from_numpy(p), torch.from_numpy(p)) == 0


def test_degenerate_samples():
    same = torch.ones(5).double()
    assert ks_two_sample(same, same).statistic == 0
    assert ks_two_sample(same, same).p_value == 1
    apart = ks_two_sample(same, same + 1)
    assert (apart.statistic, apart.at) == (1, 1)
    for bad in (torch.zeros(0), torch.zeros(2, 2), torch.tensor([math.nan])):
        with pytest.raises(ValueError, match="finite"):
            ks_two_sample(same, bad)
        with pytest.raises(ValueError, match="finite"):
            ks_one_sample(bad, gaussian_mixture([1.0], [[0.0]], 1.0))
    with pytest.raises(ValueError, match="1 dimension"):
        ks_one_sample(same, gaussian_mixture([1.0], [[0.0, 0.0]], 1.0))
    with pytest.raises(ValueError, match="shapes"):
        energy_distance(torch.zeros(2, 2), torch.zeros(2, 3))
