import math

import numpy as np
import pytest
import torch

from core.generative.manifold import CURVES, curve_points, curve_queries, filled_directions, point_mixture
from core.generative.noise import particle_normals
from tests.oracles import langevin_chains as oracle


def test_filled_directions_are_a_mean_over_draws(receipt):
    data = curve_points("moons", 24)
    sigmas = [3.0, 0.4, 0.05]
    found = filled_directions(data, sigmas, draws=60, seed=2)
    z = particle_normals(2, (0, 22), (60, 2)).numpy()
    at = data.numpy()[np.arange(60) % 24]
    for k, sigma in enumerate(sigmas):
        values = sigma**2 * (oracle.point_score(at + sigma * z, data.numpy(), sigma) ** 2).sum(1)
        by_hand = "softmax of exact differences, by loops"
        receipt(filled_directions, "filled", found.value[k], values.mean(), reference=by_hand, tolerance=1e-9)
        error = values.std(ddof=1) / math.sqrt(60)
        receipt(filled_directions, "filled_error", found.standard_error[k], error, reference=by_hand, tolerance=1e-9)
        rms = math.sqrt(values.mean()) / sigma
        receipt(filled_directions, "rms_score", found.rms_score[k], rms, reference=by_hand, tolerance=1e-6)


def test_the_least_is_the_smallest(receipt):
    found = filled_directions(curve_points("circle", 30), [5.0, 0.3, 0.01], draws=40, seed=0)
    receipt(filled_directions, "least", found.least, min(found.value.tolist()), reference="minimum by hand")


def test_one_point_is_filled_in_every_direction():
    """s = −z/σ: the mean of |z|², exactly."""
    data = torch.zeros(1, 3, dtype=torch.float64)
    z = particle_normals(0, (0, 22), (50, 3))
    for sigma in (10.0, 1e-4):
        found = filled_directions(data, [sigma], draws=50, seed=0)
        assert float(found.value[0]) == pytest.approx(float(z.square().sum(-1).mean()))


@pytest.mark.parametrize("curve", CURVES)
def test_a_curve_is_seen_between_two_scales(curve):
    found = filled_directions(curve_points(curve, 300), [30.0, 0.08, 5e-4], draws=3000, seed=1)
    value, error = found.value.tolist(), found.standard_error.tolist()
    for got, expected, e in zip(value, (2, 1, 2), error, strict=True):
        assert abs(got - expected) < 4 * e + 0.06
    rms = found.rms_score.tolist()
    assert rms[0] < rms[1] < rms[2]


def test_curves_are_where_they_are_said_to_be():
    circle = curve_points("circle", 50)
    assert torch.allclose(circle.square().sum(-1), torch.full((50,), 4.0).double())
    gaps = (circle - circle.roll(1, 0)).square().sum(-1)
    assert float(gaps.max() - gaps.min()) < 1e-12
    for n in (8, 9):
        moons = curve_points("moons", n)
        assert len(moons) == n
        centres = torch.tensor([[-0.8, -0.4], [0.8, 0.4]]).double()
        upper = -(-n // 2)
        apart = torch.cat([moons[:upper] - centres[0], moons[upper:] - centres[1]])
        assert torch.allclose(apart.square().sum(-1).sqrt(), torch.full((n,), 1.6).double())
        assert float(moons[:upper, 1].min()) >= -0.4 - 1e-7  # the upper one opens downwards, the lower one upwards
        assert float(moons[upper:, 1].max()) <= 0.4 + 1e-7
    assert curve_points("segment", 5)[:, 0].tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("curve", CURVES)
def test_queries_leave_the_curve_straight(curve):
    queries = curve_queries(curve, [0.0, 0.2, 0.7])
    data = curve_points(curve, 40)
    assert torch.cdist(queries, data).amin(-1)[:2].tolist() == pytest.approx([0, 0.2], abs=1e-6)
    assert (queries[2] - queries[0]).square().sum().sqrt().item() == pytest.approx(0.7)


def test_points_are_a_mixture_of_equal_weights():
    mixture = point_mixture(torch.eye(3).double())
    assert mixture.weights.tolist() == pytest.approx([1 / 3] * 3)
    assert not mixture.variances.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: curve_points("circle", 1), "points"),
        (lambda: curve_points("knot", 5), "curve"),
        (lambda: curve_queries("circle", [-1.0]), "distances"),
        (lambda: point_mixture(torch.zeros(0, 2)), "at least one"),
        (lambda: filled_directions(torch.zeros(3, 2), [], seed=0), "sigmas"),
        (lambda: filled_directions(torch.zeros(3, 2), [0.0], seed=0), "above 0"),
        (lambda: filled_directions(torch.zeros(3, 2), [1.0], draws=1, seed=0), "draws"),
    ],
)
def test_wrong_options_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
