import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.generative.lanes import (
    CRITICAL_5_PERCENT,
    density_sheet,
    end_component,
    marginal_agreement,
    noise_points,
    path_bundle,
    three_lanes,
)
from core.generative.mixtures import gaussian_mixture
from core.generative.probability_flow import exact_flow
from core.generative.scores import ExactScore, inject_error
from core.generative.sde import EDM, VE, VP, SubVP
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}


def oracle_mean(mean, process):
    return process.alpha(1.0) * np.array(mean)


def oracle_cov(covariance, process):
    return process.alpha(1.0) ** 2 * np.array(covariance) + process.sigma(1.0) ** 2 * np.eye(2)


@pytest.mark.parametrize("kind", PROCESSES)
def test_all_lanes_have_the_exact_marginals_though_no_path_is_shared(kind, receipt):
    process = PROCESSES[kind]
    spacing = "karras" if kind == "EDM" else "uniform"
    lanes = three_lanes(PLANE, process, particles=1000, steps=120, seed=1, spacing=spacing)
    found = marginal_agreement(lanes, PLANE, process, direction=[1.0, 1.0])
    assert found.forward.max() < 2 * found.critical_one
    assert found.flow.max() < 1.8 * found.critical_one
    assert found.reverse[60] < 2.5 * found.critical_one
    assert lanes.path_distance[0] == 0
    assert lanes.path_distance[-1] > 0.5
    assert lanes.same_end < 0.9
    u = np.array([1.0, 1.0]) / math.sqrt(2)
    for i in (0, 60, 120):
        a, b = (lane[i].numpy() @ u for lane in (lanes.reverse, lanes.flow))
        receipt(marginal_agreement, "between", found.between[i], stats.ks_2samp(a, b).statistic, reference="scipy")
        alpha, sigma = oracle.SCALES[kind](float(lanes.times[i]))
        exact = stats.norm(0, 1)

        def cdf(v, alpha=alpha, sigma=sigma, exact=exact):
            return sum(
                w * exact.cdf((v - alpha * (u @ np.array(m))) / math.sqrt(alpha**2 * (u @ np.array(c) @ u) + sigma**2))
                for w, m, c in zip(*oracle.PLANE, strict=True)
            )

        for name in ("forward", "reverse", "flow"):
            values = getattr(lanes, name)[i].numpy() @ u
            receipt(
                marginal_agreement,
                name,
                getattr(found, name)[i],
                stats.kstest(values, cdf).statistic,
                reference="scipy",
                tolerance=1e-9,
            )


def test_critical_values_are_kolmogorovs(receipt):
    receipt(
        marginal_agreement, "critical", CRITICAL_5_PERCENT, stats.kstwobign.isf(0.05), reference="scipy", tolerance=1e-9
    )
    lanes = three_lanes(PLANE, VP(), particles=50, steps=4, seed=1)
    found = marginal_agreement(lanes, PLANE, VP(), direction=[0.0, 2.0])
    assert found.critical_two == pytest.approx(CRITICAL_5_PERCENT * math.sqrt(100 / 2500))
    assert found.critical_one == pytest.approx(CRITICAL_5_PERCENT / math.sqrt(50))
    assert found.direction.tolist() == [0, 1]
    assert found.worst == int(found.between.argmax())


def test_particles_keep_their_identity_and_their_paths(receipt):
    many, few = (three_lanes(PLANE, VP(), particles=n, steps=20, seed=2) for n in (40, 6))
    for name in ("forward", "reverse", "flow"):
        assert torch.allclose(getattr(few, name), getattr(many, name)[:, :6], atol=1e-10)
        assert getattr(many, name).shape == (21, 40, 2)
    assert torch.equal(many.reverse[0], many.flow[0])
    assert torch.equal(many.origin[:6], few.origin)
    x0, k = PLANE.sample(40, seed=2)
    assert torch.equal(many.origin, k)
    assert (many.forward[-1] - x0).norm(dim=-1).max() < 0.3
    assert many.steps == 20
    expected = [(many.reverse[i] - many.flow[i]).norm(dim=-1).mean() for i in range(21)]
    receipt(three_lanes, "path_distance", many.path_distance, torch.stack(expected), reference="by hand")
    same = sum(a == b for a, b in zip(many.reverse_end.tolist(), many.flow_end.tolist(), strict=True))
    receipt(three_lanes, "same_end", many.same_end, same / 40, reference="counting")


def test_without_noise_the_reverse_lane_is_the_flow(receipt):
    lanes = three_lanes(PLANE, VP(), particles=30, steps=800, seed=0, stochasticity=0.0)
    assert (lanes.reverse[-1] - lanes.flow[-1]).norm(dim=-1).median() < 0.02
    exact = exact_flow(PLANE, VP(), lanes.flow[0, :4], t_from=1.0, t_to=1e-3).x
    receipt(three_lanes, "flow", lanes.flow[-1, :4], exact, reference="Dormand–Prince at 1e-11", tolerance=2e-3)


def test_a_wrong_score_is_seen():
    flawed = inject_error(ExactScore(PLANE, VP()), VP(), kind="shifted", size=1.0)
    lanes = three_lanes(PLANE, VP(), particles=800, steps=60, seed=1, score=flawed)
    found = marginal_agreement(lanes, PLANE, VP(), direction=[1.0, 1.0])
    assert min(found.reverse[-1], found.flow[-1]) > 3 * found.critical_one


def test_one_noise_point_has_one_flow_path_and_a_bundle(receipt):
    found = path_bundle(PLANE, VP(), [0.4, -0.2], paths=3000, steps=150, seed=0)
    assert found.flow.shape == (151, 2)
    assert found.bundle.shape == (151, 3000, 2)
    assert (found.bundle[0] == found.flow[0]).all()
    receipt(path_bundle, "returned", found.returned, found.flow[0], reference="the noise point", tolerance=1e-4)
    assert found.return_error < 1e-4
    distance = math.dist(found.returned.tolist(), [0.4, -0.2])
    receipt(path_bundle, "return_error", found.return_error, distance, reference="by hand")
    spread = np.sqrt(found.bundle.numpy().var(axis=1).sum(-1))
    receipt(path_bundle, "spread", found.spread, spread, reference="numpy")
    law = found.law.weights[0]
    exact = [
        w * stats.multivariate_normal(oracle_mean(m, VP()), oracle_cov(c, VP())).pdf([0.4, -0.2])
        for w, m, c in zip(*oracle.PLANE, strict=True)
    ]
    receipt(path_bundle, "law", law, np.array(exact) / sum(exact), reference="Bayes' rule", tolerance=1e-9)
    shares = np.bincount(end_component(PLANE, VP(), found.bundle[-1], 1e-3).numpy(), minlength=3) / 3000
    receipt(path_bundle, "shares", found.shares, shares, reference="counting")
    assert torch.allclose(found.shares, found.law.weights[0], atol=0.05)
    assert torch.allclose(found.bundle[-1].mean(0), found.law.mean[0], atol=0.1)
    few = path_bundle(PLANE, VP(), [0.4, -0.2], paths=5, steps=150, seed=0)
    assert torch.allclose(few.bundle, found.bundle[:, :5], atol=1e-10)
    assert not torch.allclose(few.bundle[-1, 0], few.bundle[-1, 1])
    with pytest.raises(ValueError, match="point"):
        path_bundle(PLANE, VP(), [0.0], paths=5, steps=5, seed=0)
    with pytest.raises(ValueError, match="paths"):
        path_bundle(PLANE, VP(), [0.0, 0.0], paths=0, steps=5, seed=0)


def test_noise_points_have_the_exact_law_at_the_end():
    shifted = gaussian_mixture([1.0], [[400.0]], 1.0)
    x = noise_points(shifted, VP(), 20000, seed=0)[:, 0].numpy()
    alpha, sigma = oracle.SCALES["VP"](1.0)
    assert stats.kstest(x, stats.norm(400 * alpha, math.hypot(alpha, sigma)).cdf).pvalue > 0.01


def test_the_heat_sheet_is_the_density(receipt):
    mixture, x, times = gaussian_mixture(*oracle.tensors(oracle.LINE)), np.linspace(-4, 4, 21), [0.0, 0.2, 1.0]
    sheet = density_sheet(mixture, VP(), torch.from_numpy(x), times)
    expected = [np.exp(oracle.log_prob(*oracle.LINE, x[:, None], *oracle.SCALES["VP"](t))) for t in times]
    receipt(density_sheet, "density", sheet, np.array(expected), reference="scipy")
    assert density_sheet(mixture, VP(), torch.zeros(3), []).shape == (0, 3)
    with pytest.raises(ValueError, match="1 dimension"):
        density_sheet(PLANE, VP(), torch.zeros(3), [0.5])
    with pytest.raises(ValueError, match="particles"):
        three_lanes(PLANE, VP(), particles=0, steps=3, seed=0)
