import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generative.mixtures import gaussian_mixture
from core.generative.probability_flow import (
    exact_flow,
    flow_path,
    flow_velocity,
    gaussian_flow,
    integrate_flow,
    line_flow,
    probed_divergence,
    quantile_flow,
)
from core.generative.sampler_steps import trajectory
from core.generative.scores import ExactScore
from core.generative.sde import EDM, VE, VP, SubVP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}
ONE = ([1.0], [[0.7, -0.4]], [[[0.5, 0.3], [0.3, 0.4]]])
ROW = ([0.8, 0.2], [[1.0, 2.0, 0.0], [-1.0, -2.0, 1.0]], [0.3 * np.eye(3)] * 2)
CASES = {"gaussian": (ONE, gaussian_flow), "quantile": (oracle.LINE, quantile_flow), "line": (ROW, line_flow)}


def ends(kind, example, x, t_from, t_to):
    return np.array([oracle.flow(kind, *example, point, t_from, t_to)[0] for point in x.numpy()])


@pytest.mark.parametrize("kind", PROCESSES)
@pytest.mark.parametrize("case", CASES)
def test_exact_maps_are_dop853(kind, case, receipt):
    process, (example, map_) = PROCESSES[kind], CASES[case]
    mixture = gaussian_mixture(*oracle.tensors(example))
    x = prior_sampling(process, (3, mixture.dim), seed=1)
    t_to = 0.02 if kind != "EDM" else 0.05
    expected = ends(kind, example, x, process.T, t_to)
    got = map_(mixture, process, x, t_from=process.T, t_to=t_to)
    receipt(map_, "end", got, expected, reference="DOP853 at 1e-12", tolerance=2e-9)
    chosen = exact_flow(mixture, process, x, t_from=process.T, t_to=t_to)
    assert chosen.method == case
    receipt(exact_flow, "end", chosen.x, expected, reference="DOP853 at 1e-12", tolerance=2e-9)
    back = map_(mixture, process, got, t_from=t_to, t_to=process.T)
    assert torch.allclose(back, x, atol=1e-7 * process.sigma(process.T))


@pytest.mark.parametrize("kind", PROCESSES)
def test_integration_is_dop853(kind, receipt):
    process = PROCESSES[kind]
    mixture = gaussian_mixture(*oracle.tensors(oracle.PLANE))
    x = prior_sampling(process, (2, 2), seed=2)
    t_to = 0.02 if kind != "EDM" else 0.05
    expected = ends(kind, oracle.PLANE, x, process.T, t_to)
    found = exact_flow(mixture, process, x, t_from=process.T, t_to=t_to)
    assert found.method == "integrated"
    receipt(exact_flow, "end", found.x, expected, reference="DOP853 at 1e-12", tolerance=1e-7)
    rough = integrate_flow(ExactScore(mixture, process), process, x, t_from=process.T, t_to=t_to, rtol=1e-4, atol=1e-4)
    receipt(integrate_flow, "end", rough.x, expected, reference="DOP853 at 1e-12", tolerance=2e-2)
    fine = integrate_flow(ExactScore(mixture, process), process, x, t_from=process.T, t_to=t_to, rtol=1e-9, atol=1e-9)
    assert (fine.evaluations > 2 * rough.evaluations).all()
    assert np.abs(fine.x.numpy() - expected).max() < 0.05 * np.abs(rough.x.numpy() - expected).max() + 1e-9
    assert ((fine.evaluations - 1) % 6 == 0).all()


def test_volumes_follow_the_divergence(receipt):
    """On one Gaussian ∫∇·velocity dt is the logarithm of the standard deviations' ratio."""
    mixture = gaussian_mixture(*oracle.tensors(ONE))
    score, x = ExactScore(mixture, VP()), oracle.points(2, 3, spread=1.0)
    found = integrate_flow(score, VP(), x, t_from=0.01, t_to=0.9, rtol=1e-10, atol=1e-10, divergence=score.divergence)
    det = [
        np.linalg.det(np.array(ONE[2][0]) * a * a + s * s * np.eye(2)) for a, s in map(oracle.SCALES["VP"], (0.01, 0.9))
    ]
    expected = np.full(3, 0.5 * math.log(det[1] / det[0]))
    receipt(
        integrate_flow,
        "divergence_integral",
        found.divergence_integral,
        expected,
        reference="closed form",
        tolerance=1e-7,
    )
    probes = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]).double()
    probed = integrate_flow(score, VP(), x, t_from=0.01, t_to=0.9, rtol=1e-8, atol=1e-8, probes=probes)
    assert torch.allclose(probed.x, found.x, atol=1e-6)
    assert float((probed.divergence_integral[0] + probed.divergence_integral[1]) / 2) == pytest.approx(
        expected[0], abs=1e-6
    )
    assert integrate_flow(score, VP(), x, t_from=0.01, t_to=0.9).divergence_integral.abs().max() == 0


@settings(deadline=None, max_examples=8)
@given(n=st.integers(1, 6), seed=st.integers(0, 50))
def test_an_adaptive_path_never_depends_on_its_batch_mates(n, seed):
    mixture = gaussian_mixture(*oracle.tensors(oracle.PLANE))
    score, x = ExactScore(mixture, VP()), prior_sampling(VP(), (n + 4, 2), seed=seed)
    many, few = (integrate_flow(score, VP(), v, t_from=1.0, t_to=1e-3) for v in (x, x[:n]))
    assert torch.allclose(many.x[:n], few.x, rtol=1e-9, atol=1e-9)
    assert torch.equal(many.evaluations[:n], few.evaluations)
    assert torch.equal(many.rejected[:n], few.rejected)


def test_rejected_steps_are_counted_and_done_again():
    sharp = gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 1e-4)
    found = integrate_flow(ExactScore(sharp, VP()), VP(), torch.tensor([[0.01], [1.0]]).double(), t_from=1.0, t_to=1e-3)
    exact = quantile_flow(sharp, VP(), torch.tensor([[0.01], [1.0]], dtype=torch.float64), t_from=1.0, t_to=1e-3)
    assert found.rejected.max() > 0
    assert torch.allclose(found.x, exact, atol=1e-3)


@pytest.mark.parametrize("method", ["runge_kutta", "heun"])
def test_grid_paths_have_their_order(method):
    mixture = gaussian_mixture(*oracle.tensors(oracle.LINE))
    x = torch.tensor([[-1.0], [0.3], [1.2]], dtype=torch.float64)
    exact = quantile_flow(mixture, VP(), x, t_from=1.0, t_to=0.1)
    errors = []
    for n in (40, 80):
        times = list(np.linspace(1.0, 0.1, n + 1))
        steps = list(flow_path(ExactScore(mixture, VP()), VP(), x, times, method=method))
        errors.append(float((steps[-1].x - exact).abs().max()))
        assert len(steps) == n + 1
        assert steps[-1].evaluations == n * (4 if method == "runge_kutta" else 2)
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4 if method == "runge_kutta" else 2, abs=0.35)


def test_encoding_a_sample_gives_its_noise_back(receipt):
    mixture = gaussian_mixture(*oracle.tensors(oracle.PLANE))
    score, x, times = ExactScore(mixture, VP()), prior_sampling(VP(), (20, 2), seed=3), time_grid(VP(), 200)
    down = list(flow_path(score, VP(), x, times))
    up = list(flow_path(score, VP(), down[-1].x, times[::-1]))
    receipt(flow_path, "returned", up[-1].x, x, reference="the noise it came from", tolerance=1e-4)
    copies = trajectory(down)
    assert torch.equal(trajectory(down), copies)
    assert torch.allclose(trajectory(flow_path(score, VP(), x[:3], times)), copies[:, :3], atol=1e-10)


def test_velocity_is_drift_and_half_the_score(receipt):
    mixture, x = gaussian_mixture(*oracle.tensors(oracle.PLANE)), oracle.points(2, 4)
    for kind, process in PROCESSES.items():
        a, g2 = oracle.rates(kind, 0.4)
        slope = oracle.autograd_score(*oracle.tensors(oracle.PLANE), x, *oracle.SCALES[kind](0.4))
        got = flow_velocity(ExactScore(mixture, process), process, x, 0.4)
        receipt(
            flow_velocity,
            "velocity",
            got,
            a * x - 0.5 * g2 * slope,
            reference="automatic differentiation",
            tolerance=1e-8,
        )


def test_far_tails_and_points_keep_their_quantile():
    mixture = gaussian_mixture(*oracle.tensors(oracle.LINE))
    x = torch.tensor([[-30.0], [30.0]], dtype=torch.float64)
    there = quantile_flow(mixture, VP(), x, t_from=1.0, t_to=0.01)
    back = quantile_flow(mixture, VP(), there, t_from=0.01, t_to=1.0)
    assert torch.allclose(back, x, atol=1e-9)
    point = gaussian_mixture([1.0], [[2.0, 1.0]], 0.0)
    end = gaussian_flow(point, EDM(), torch.tensor([[5.0, 5.0]]).double(), t_from=4.0, t_to=1.0)
    assert end.tolist() == [[2.75, 2.0]]
    equal = gaussian_mixture([0.5, 0.5], [[1.0, 1.0], [1.0, 1.0]], 0.25)
    one = gaussian_mixture([1.0], [[1.0, 1.0]], 0.25)
    x = oracle.points(2, 3)
    assert torch.allclose(
        line_flow(equal, VP(), x, t_from=1.0, t_to=0.1), gaussian_flow(one, VP(), x, t_from=1.0, t_to=0.1)
    )


def test_probed_divergence_is_a_quadratic_form(receipt):
    mixture, x = gaussian_mixture(*oracle.tensors(oracle.PLANE)), oracle.points(2, 4)
    v = oracle.points(2, 4, seed=9)
    score, value = probed_divergence(ExactScore(mixture, EDM()), x, 0.5, v)
    jacobian = oracle.autograd_hessian(*oracle.tensors(oracle.PLANE), x, 1.0, 0.5)
    receipt(
        probed_divergence,
        "probed",
        value,
        torch.einsum("ni,nij,nj->n", v, jacobian, v),
        reference="automatic differentiation",
        tolerance=1e-8,
    )
    assert torch.allclose(score, mixture.score(x, sigma=0.5))
    assert not score.requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, s, x: integrate_flow(s, VP(), x, t_from=1, t_to=0.1, rtol=0), "rtol"),
        (lambda m, s, x: integrate_flow(s, VP(), x, t_from=1, t_to=-0.1), "negative"),
        (lambda m, s, x: integrate_flow(s, VP(), x, t_from=0.5, t_to=0.5), "times"),
        (lambda m, s, x: integrate_flow(s, VP(), x, t_from=1, t_to=0.1, probes=x[:1]), "probes"),
        (lambda m, s, x: flow_path(s, VP(), x, [1.0, 0.5, 0.7]), "times"),
        (lambda m, s, x: flow_path(s, VP(), x, [1.0, 0.0]), "above 0"),
        (lambda m, s, x: flow_path(s, VP(), x, [1.0, 0.5], method="euler"), "method"),
        (lambda m, s, x: gaussian_flow(m, VP(), x, t_from=1, t_to=0.1), "one Gaussian"),
        (lambda m, s, x: quantile_flow(m, VP(), x, t_from=1, t_to=0.1), "1 dimension"),
        (lambda m, s, x: line_flow(m, VP(), x, t_from=1, t_to=0.1), "on a line"),
        (lambda m, s, x: quantile_flow(m.project([1, 0]), VP(), x, t_from=1, t_to=0.1), "shape"),
        (lambda m, s, x: quantile_flow(m.project([1, 0]), VP(), x[:, :1], t_from=-1, t_to=0.1), "negative"),
    ],
)
def test_nonsense_is_refused(call, message):
    mixture = gaussian_mixture(*oracle.tensors(oracle.PLANE))
    with pytest.raises(ValueError, match=message):
        call(mixture, ExactScore(mixture, VP()), torch.zeros(2, 2).double())
    with pytest.raises(RuntimeError, match="steps"):
        integrate_flow(ExactScore(mixture, VP()), VP(), torch.zeros(2, 2).double(), t_from=1, t_to=0.1, most_steps=3)
