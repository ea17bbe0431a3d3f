import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad

from core.perception.quantization_error import error_trail, growing_histogram, quantization_law

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("width", [0.25, 1.0, 4.0])
def test_laws_are_integrals_over_a_bin(width, receipt):
    law, half = quantization_law(width), width / 2
    mean = quad(abs, -half, half, points=[0])[0] / width
    square = quad(lambda x: x**2, -half, half)[0] / width
    plane = 4 * dblquad(lambda y, x: math.hypot(x, y), 0, half, 0, half, epsabs=1e-12)[0] / width**2
    receipt(quantization_law, "mean_axis", law.mean_axis, mean, reference="scipy")
    receipt(quantization_law, "rms_axis", law.rms_axis, math.sqrt(square), reference="scipy")
    receipt(quantization_law, "mean_distance", law.mean_distance, plane, reference="scipy", tolerance=1e-8)
    receipt(quantization_law, "law", law.mean_distance, plane, reference="scipy", tolerance=1e-8)
    receipt(quantization_law, "largest_axis", law.largest_axis, half, reference="half a bin")
    receipt(quantization_law, "density", law.density * width, 1.0, reference="integral over the bin is 1")


def test_no_bins_no_error():
    law = quantization_law(0)
    assert (law.mean_axis, law.mean_distance, law.rms_axis, law.largest_axis, law.density) == (0, 0, 0, 0, math.inf)


@quick
@given(seed=st.integers(0, 10**6), holes=st.booleans())
def test_trails_are_means_of_the_first_n(seed, holes, receipt):
    rng = np.random.default_rng(seed)
    truth = rng.random((7, 2))
    found = truth + rng.normal(size=(7, 2))
    if holes:
        found[rng.random(7) > 0.5] = np.nan
    got = error_trail(found, truth)
    for n in range(1, 8):
        rows = [r for r in (found - truth)[:n] if not np.isnan(r).any()]
        mean = lambda values, rows=rows: float(np.mean(values)) if rows else math.nan  # noqa: E731
        expected = (
            mean([abs(v) for r in rows for v in r]),
            mean([math.hypot(*r) for r in rows]),
            math.sqrt(mean([v * v for r in rows for v in r])) if rows else math.nan,
        )
        for name, value in zip(("mean_axis", "mean_distance", "rms_axis"), expected, strict=True):
            receipt(error_trail, name, getattr(got, name)[n - 1], value, reference="the first n, one by one")
        bias = [mean([r[i] for r in rows]) for i in (0, 1)]
        receipt(error_trail, "bias", got.bias[n - 1], bias, reference="the first n, one by one")
    receipt(error_trail, "errors", got.errors, found - truth, reference="answer − truth")
    off = [math.dist(a, b) for a, b in zip(found, truth, strict=True)]
    receipt(error_trail, "distance", np.hypot(*got.errors.T), off, reference="math.dist")


@quick
@given(seed=st.integers(0, 10**6))
def test_histograms_grow_as_numpys(seed, receipt):
    rng = np.random.default_rng(seed)
    values = rng.integers(-2, 9, 12) / 2
    edges = np.sort(rng.choice(np.arange(-2, 9) / 2, 4, replace=False))
    got = growing_histogram(values, edges)
    expected = [np.histogram(values[: n + 1], edges)[0] for n in range(12)]
    receipt(growing_histogram, "counts", got, expected, reference="numpy")
    assert growing_histogram([np.nan, 1.0], [0, 2]).tolist() == [[0], [1]]
    assert growing_histogram([], [0, 2]).shape == (0, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quantization_law(-1), "width must be a number of 0 or more"),
        (lambda: quantization_law(math.nan), "width must"),
        (lambda: error_trail([[1, 2]], [[1, 2], [3, 4]]), r"one shape \(T, 2\)"),
        (lambda: error_trail([1, 2], [1, 2]), r"one shape \(T, 2\), got \(2,\)"),
        (lambda: growing_histogram([[1]], [0, 1]), r"values must have shape \(T,\)"),
        (lambda: growing_histogram([1], [1, 1]), "edges must ascend"),
        (lambda: growing_histogram([1], [1]), "edges must ascend"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
