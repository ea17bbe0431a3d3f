import math

import numpy as np
import pytest
import torch

from core.generative.mixtures import gaussian_mixture
from core.generative.noise import particle_signs
from core.generative.objective_race import (
    difference,
    noisy_samples,
    objective_constants,
    objective_row,
    simple_models,
    sliced_scale,
)
from core.generative.score_matching import Objective, objective_table
from core.generative.score_network import score_network
from tests.oracles import diffusion as oracle

TWO = gaussian_mixture([0.7, 0.3], [[1.0, 0.5], [-1.0, -0.5]], 0.4)
SIGMA = 0.6


def test_objectives_and_their_differences_are_sums_over_the_same_samples(receipt):
    model = simple_models(TWO, sigma=SIGMA)["clean"]
    row = objective_row(model, TWO, sigma=SIGMA, samples=400, seed=3)
    x, _ = TWO.sample(400, seed=3)
    noisy = noisy_samples(x, sigma=SIGMA, seed=3)
    example = (TWO.weights, TWO.means, torch.diag_embed(TWO.variances))
    s = np.asarray(oracle.autograd_score(*example, noisy, 1.0, 0.0))
    true = np.asarray(oracle.autograd_score(*example, noisy, 1.0, SIGMA))
    explicit = 0.5 * ((s - true) ** 2).sum(1)
    denoising = 0.5 * ((s + ((noisy - x) / SIGMA**2).numpy()) ** 2).sum(1)

    def bend(v):
        """vᵀ(∇s)v by finite differences."""
        up, down = (np.asarray(oracle.autograd_score(*example, noisy + h * v, 1.0, 0.0)) for h in (1e-5, -1e-5))
        return ((up - down) * v.numpy()).sum(1) / 2e-5

    trace = sum(bend(torch.eye(2)[j].double().expand(400, 2)) for j in range(2))
    slices = bend(particle_signs(3, (0, 9), (400, 2))) + 0.5 * (s**2).sum(1)
    implicit = trace + 0.5 * (s**2).sum(1)
    by_hand = "sums over samples, by finite differences"
    receipt(objective_row, "explicit", row.explicit.value, explicit.mean(), reference=by_hand, tolerance=1e-9)
    for key, found, gap, tolerance in (
        ("denoising_gap", row.denoising_gap, denoising - explicit, 1e-9),
        ("implicit_gap", row.implicit_gap, implicit - explicit, 1e-6),
        ("sliced_gap", row.sliced_gap, slices - explicit, 1e-6),
    ):
        receipt(objective_row, key, found.value, gap.mean(), reference=by_hand, tolerance=tolerance)
        error = gap.std(ddof=1) / 20
        receipt(objective_row, f"{key}_error", found.standard_error, error, reference=by_hand, tolerance=1e-5)


@pytest.mark.parametrize("sigma", [0.3, 1.5])
def test_the_constants_are_the_same_for_every_model(sigma, receipt):
    constants = objective_constants(TWO, sigma=sigma)
    models = {**simple_models(TWO, sigma=sigma)}
    network = score_network(2, hidden=8, depth=1, seed=4)
    layers = (network.layers[0], (torch.ones_like(network.layers[1][0]) * 0.3, network.layers[1][1]))
    models["net"] = lambda x: type(network)(layers, 1.0)(x, sigma)
    for model in models.values():
        row = objective_row(model, TWO, sigma=sigma, samples=8000, seed=1)
        for gap, exact in (
            (row.denoising_gap, constants.denoising_gap),
            (row.implicit_gap, constants.implicit_gap),
            (row.sliced_gap, constants.implicit_gap),
        ):
            assert abs(gap.value - exact) < 4.5 * gap.standard_error + 1e-9
    table = objective_table(models["clean"], TWO, sigma=sigma, nodes=16)
    receipt(
        objective_constants,
        "denoising_constant",
        constants.denoising_gap,
        table.denoising_minus_explicit,
        reference="Gauss–Hermite quadrature over data and noise",
        tolerance=1e-5,
    )
    noisy = objective_table(models["clean"], TWO.diffused(1.0, sigma), sigma=1.0, nodes=4)
    minus = -noisy.explicit_minus_implicit
    reference = "explicit and implicit objective of a model, by quadrature"
    receipt(
        objective_constants, "implicit_constant", constants.implicit_gap, minus, reference=reference, tolerance=1e-5
    )
    receipt(objective_constants, "fisher", constants.fisher, -2 * minus, reference=reference, tolerance=1e-5)


def test_one_gaussian_has_its_closed_form():
    found = objective_constants(gaussian_mixture([1.0], [[2.0, 3.0]], 0.5), sigma=0.8)
    v = 0.5 + 0.64
    assert found.fisher == pytest.approx(2 / v)
    assert found.denoising_gap == pytest.approx(0.5 * (2 / 0.64 - 2 / v))


@pytest.mark.parametrize("directions", ["gaussian", "rademacher", "sphere"])
def test_slices_give_the_implicit_objective_or_its_share(directions):
    model = simple_models(TWO, sigma=SIGMA)["scaled"]
    row = objective_row(model, TWO, sigma=SIGMA, samples=6000, seed=5, directions=directions, slices=4)
    scale = sliced_scale(directions, 2)
    apart = difference(row.sliced, Objective(scale * row.implicit.values, 0.0, 0.0))
    assert abs(apart.value) < 4.5 * apart.standard_error
    assert scale == (0.5 if directions == "sphere" else 1)


def test_models_are_what_their_names_say():
    models = simple_models(TWO, sigma=SIGMA)
    x = oracle.points(2, 5)
    assert torch.allclose(models["true"](x), TWO.score(x, sigma=SIGMA))
    assert torch.allclose(models["scaled"](x), 0.7 * models["true"](x))
    assert torch.allclose(models["clean"](x), TWO.score(x))
    assert not models["zero"](x).any()
    noisy = TWO.diffused(1.0, SIGMA)
    pull = -torch.linalg.solve(noisy.covariance, (x - noisy.mean).mT).mT
    assert torch.allclose(models["gaussian"](x), pull)


def test_differences_are_paired():
    a, b = (Objective(torch.tensor(v), 0.0, 0.0) for v in ([1.0, 5.0, 9.0], [0.0, 4.5, 9.5]))
    found = difference(a, b)
    assert found.value == pytest.approx(1 / 3)
    assert found.standard_error == pytest.approx(np.std([1, 0.5, -0.5], ddof=1) / math.sqrt(3))
    one = difference(*(Objective(o.values[:1], 0.0, 0.0) for o in (a, b)))
    assert math.isnan(one.standard_error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: objective_row(lambda x: x, TWO, sigma=1.0, samples=1, seed=0), "samples"),
        (lambda: objective_row(lambda x: x, TWO, sigma=0.0, samples=9, seed=0), "sigma"),
        (lambda: objective_constants(TWO, sigma=0.0), "sigma"),
        (lambda: simple_models(TWO, sigma=-1.0), "sigma"),
        (lambda: sliced_scale("sphere", 0), "dim"),
        (lambda: difference(Objective(torch.ones(2), 0, 0), Objective(torch.ones(3), 0, 0)), "as many"),
    ],
)
def test_wrong_options_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
