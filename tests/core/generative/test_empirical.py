import math

import numpy as np
import pytest
import torch

from core.generative.empirical import (
    EmpiricalDenoiser,
    decision_curve,
    empirical_denoiser,
    empirical_sampler,
    manifold_card,
    noising_filmstrip,
)
from core.generative.mixtures import GaussianMixture
from core.generative.noise import particle_normals
from core.generative.ode_samplers import heun
from core.generative.sampler_steps import trajectory
from core.generative.scores import score_of_denoiser
from core.generative.sde import EDM, VP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

DATA = torch.tanh(oracle.points(6, 20, spread=1.0))
SIGMAS = time_grid(EDM(), 18, spacing="karras", to_zero=True)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 5.0, 80.0])
def test_the_denoiser_is_a_softmax_over_the_pictures(sigma, receipt):
    best, x = empirical_denoiser(DATA), DATA[:4] + sigma * oracle.points(6, 4, spread=1.0, seed=2)
    weights = np.array([oracle.posterior(DATA.tolist(), row, sigma) for row in x.tolist()])
    found = best.posterior(x, sigma)
    reference = "softmax of exact differences, by loops"
    receipt(EmpiricalDenoiser.posterior, "weights", found.weights, weights, reference=reference, tolerance=1e-10)
    receipt(
        EmpiricalDenoiser.__call__,
        "denoised",
        best(x, sigma),
        weights @ DATA.numpy(),
        reference=reference,
        tolerance=1e-10,
    )
    entropy = -np.sum(np.where(weights > 0, weights * np.log(np.maximum(weights, 1e-300)), 0), axis=1)
    receipt(EmpiricalDenoiser.posterior, "entropy", found.entropy, entropy, reference=reference, tolerance=1e-9)
    receipt(
        EmpiricalDenoiser.posterior,
        "top_weight",
        found.top_weight,
        weights.max(1),
        reference=reference,
        tolerance=1e-10,
    )
    assert (found.top.numpy() == weights.argmax(1)).all()
    assert torch.equal(found.denoised, best(x, sigma))
    many = best(x, torch.full((4,), sigma).double())
    assert torch.allclose(many, found.denoised)


def test_in_single_precision_the_common_part_does_not_drown_the_rest():
    x = 80 * torch.randn(8, 3072, generator=torch.Generator().manual_seed(0))
    data = torch.rand(50, 3072, generator=torch.Generator().manual_seed(1)) * 2 - 1
    fine = empirical_denoiser(data.double()).posterior(x.double(), 80.0).weights
    coarse = empirical_denoiser(data).posterior(x, 80.0).weights.double()
    assert ((coarse - fine).abs() / fine).max() < 2e-5


def test_the_sampler_is_edms_and_gives_the_pictures_back(receipt):
    best, x = empirical_denoiser(DATA), prior_sampling(EDM(), (7, 6), seed=0)
    steps = list(empirical_sampler(best, x, SIGMAS))
    expected = trajectory(heun(score_of_denoiser(best, EDM()), EDM(), x, SIGMAS))
    receipt(empirical_sampler, "state", torch.stack([s.x for s in steps]), expected, reference="heun", tolerance=1e-6)
    assert [s.index for s in steps] == list(range(19))
    assert steps[-1].evaluations == 35
    curve = decision_curve(best, steps)
    nearest = [min(range(20), key=lambda i, row=row: math.dist(row, DATA[i].tolist())) for row in steps[-1].x.tolist()]
    assert curve.picture.tolist() == nearest
    apart = [
        math.dist(row, DATA[i].tolist()) / math.sqrt(6) for row, i in zip(steps[-1].x.tolist(), nearest, strict=True)
    ]
    receipt(decision_curve, "distance", curve.distance, apart, reference="by loops", tolerance=1e-7)
    assert curve.distance.max() < 1e-3
    receipt(decision_curve, "most", curve.most, math.log(20), reference="ln N")
    receipt(
        decision_curve,
        "entropy",
        curve.entropy,
        torch.stack([best.posterior(s.x, s.sigma).entropy for s in steps[:-1]]),
        reference="EmpiricalDenoiser.posterior",
    )
    assert curve.entropy[0].min() > 0.95 * curve.most
    assert curve.entropy[-1].max() < 1e-6
    for m in range(7):
        states = [best.posterior(s.x, s.sigma) for s in steps[:-1]]
        settled = [bool(p.top[m] == nearest[m] and p.top_weight[m] >= 0.99) for p in states]
        first = next(i for i in range(18) if all(settled[i:]))
        receipt(decision_curve, "decided", curve.decided[m], first, reference="by loops")
    assert curve.decided.min() > 0


def test_a_sample_never_depends_on_the_others_and_states_never_change():
    best, x = empirical_denoiser(DATA), prior_sampling(EDM(), (9, 6), seed=3)
    steps, copies = [], []
    for step in empirical_sampler(best, x, SIGMAS):
        steps.append(step)
        copies.append((step.x.clone(), step.posterior.weights.clone()))
    assert all(
        torch.equal(s.x, c) and torch.equal(s.posterior.weights, w) for s, (c, w) in zip(steps, copies, strict=True)
    )
    few = list(empirical_sampler(best, x[:2], SIGMAS))
    assert all(torch.allclose(a.x, b.x[:2], atol=1e-7) for a, b in zip(few, steps, strict=True))


def test_two_equal_pictures_are_never_decided():
    best = empirical_denoiser(torch.tensor([[1.0, 0.0], [1.0, 0.0]]).double())
    steps = list(empirical_sampler(best, prior_sampling(EDM(), (2, 2), seed=0), SIGMAS))
    curve = decision_curve(best, steps)
    assert curve.decided.tolist() == [18, 18]  # one past the last
    assert torch.allclose(curve.entropy, torch.full((18, 2), math.log(2)).double())


def test_the_filmstrip(receipt):
    best, times = empirical_denoiser(DATA), [0.0, 0.3, 1.0]
    strip = noising_filmstrip(DATA[4], VP(), times, seed=2, denoiser=best)
    z = particle_normals(2, (0, 13), (6,))
    scales = [oracle.SCALES["VP"](t) for t in times]
    expected = torch.stack([a * DATA[4] + s * z for a, s in scales])
    receipt(noising_filmstrip, "frame", strip.frames, expected, reference="α x + σ z by hand")
    assert strip.snr[0] == math.inf
    receipt(
        noising_filmstrip,
        "snr",
        strip.snr[1:],
        [a * a / (s * s) for a, s in scales[1:]],
        reference="α²/σ² by hand",
        tolerance=1e-10,
    )
    assert int(strip.posterior.top[0]) == 4
    weights = [
        oracle.posterior(DATA.tolist(), (expected[i] / a).tolist(), s / a) for i, (a, s) in enumerate(scales) if i
    ]
    receipt(
        noising_filmstrip,
        "weights",
        strip.posterior.weights[1:],
        np.array(weights),
        reference="by loops",
        tolerance=1e-9,
    )
    assert noising_filmstrip(DATA[4], VP(), times, seed=2).posterior is None


def test_beside_the_data_the_score_grows_like_distance_over_variance(receipt):
    turns = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = torch.from_numpy(np.stack([np.cos(turns), np.sin(turns)], 1))
    queries = torch.tensor([[1.5, 0.0], [0.2, 0.0], [1.0, 0.0]], dtype=torch.float64)
    card = manifold_card(circle, queries, [1.0, 0.3, 0.05])
    receipt(
        manifold_card, "distance", card.distances, [0.5, 0.8, 0.0], reference="distance to the circle", tolerance=1e-12
    )
    points = GaussianMixture(torch.full((400,), 1 / 400).double(), circle, torch.zeros(400, 2).double(), None)
    example = (points.weights, points.means, torch.zeros(400, 2, 2).double())
    for i, sigma in enumerate((1.0, 0.3, 0.05)):
        exact = oracle.autograd_score(*example, queries, 1.0, sigma).square().sum(-1).sqrt()
        receipt(manifold_card, "length", card.lengths[i], exact, reference="automatic differentiation", tolerance=1e-8)
        receipt(
            manifold_card,
            "predicted",
            card.predicted[i],
            card.distances / sigma**2,
            reference="distance/σ²",
            tolerance=1e-9,
        )
    assert float(card.lengths[2, 0] / card.predicted[2, 0]) == pytest.approx(1, abs=0.01)
    assert card.lengths[2, 2] < 0.2 * card.predicted[2, 0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda best: empirical_denoiser(DATA[:0]), "at least one row"),
        (lambda best: empirical_denoiser(DATA[0]), "shape"),
        (lambda best: empirical_denoiser(DATA.long()), "floating"),
        (lambda best: empirical_denoiser(DATA * math.inf), "finite"),
        (lambda best: best(DATA[:, :3], 1.0), "shape"),
        (lambda best: empirical_sampler(best, DATA, [1.0, 0.5]), "end in 0"),
        (lambda best: empirical_sampler(best, DATA, [0.5, 1.0, 0.0]), "falling"),
        (lambda best: empirical_sampler(best, DATA[:, :2], [1.0, 0.0]), "shape"),
        (lambda best: decision_curve(best, []), "two steps"),
        (lambda best: decision_curve(best, list(empirical_sampler(best, DATA, [1.0, 0.0])), certainty=1), "certainty"),
        (lambda best: noising_filmstrip(DATA, VP(), [0.5], seed=0), "shape"),
        (lambda best: noising_filmstrip(DATA[0], VP(), [], seed=0), "times"),
        (lambda best: noising_filmstrip(DATA[0], VP(), [-0.5], seed=0), "times"),
        (lambda best: manifold_card(DATA, DATA[:, :2], [1.0]), "data and queries"),
        (lambda best: manifold_card(DATA, DATA, [0.0]), "sigmas"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(empirical_denoiser(DATA))
