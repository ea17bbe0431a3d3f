import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from core.generative.mixtures import gaussian_mixture
from core.generative.score_matching import (
    denoising_optimum,
    denoising_score_matching,
    explicit_score_matching,
    fisher_information,
    implicit_score_matching,
    objective_table,
    sliced_score_matching,
)
from tests.oracles import diffusion as oracle

LINE = gaussian_mixture(*oracle.tensors(oracle.LINE))
PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
MODELS = {
    "linear": (lambda x: -x, lambda x: -1.0),
    "sine": (lambda x: torch.sin(2 * x) - x, lambda x: 2 * math.cos(2 * x) - 1),
    "none": (lambda x: 0 * x, lambda x: 0.0),
}
SIGMA = 0.6


def value(model, x):
    return float(model(torch.tensor([[x]], dtype=torch.float64)))


def true_score(x, sigma=0.0):
    return oracle.numpy_score(*oracle.LINE, [x], 1.0, sigma)[0]


def expectation(f, sigma=0.0):
    def weighted(x):
        return f(x) * math.exp(oracle.log_prob(*oracle.LINE, np.array([[x]]), 1.0, sigma)[0])

    return integrate.quad(weighted, -12, 12, points=[-2, 1], epsabs=1e-10, limit=500)[0]


@pytest.mark.parametrize("name", MODELS)
def test_objectives_are_their_integrals(name, receipt):
    model, slope = MODELS[name]
    table = objective_table(model, LINE, sigma=SIGMA, nodes=96)
    explicit = expectation(lambda x: 0.5 * (value(model, x) - true_score(x)) ** 2)
    implicit = expectation(lambda x: slope(x) + 0.5 * value(model, x) ** 2)
    noisy = expectation(lambda x: 0.5 * (value(model, x) - true_score(x, SIGMA)) ** 2, SIGMA)
    reference = "SciPy's quadrature"
    receipt(objective_table, "explicit", table.explicit, explicit, reference=reference, tolerance=1e-6)
    receipt(objective_table, "implicit", table.implicit, implicit, reference=reference, tolerance=1e-6)
    receipt(objective_table, "sliced", table.sliced, implicit, reference=reference, tolerance=1e-6)
    receipt(objective_table, "explicit_noisy", table.explicit_noisy, noisy, reference=reference, tolerance=1e-6)
    x, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    total = 0.0
    for share, mean, cov in zip(*oracle.LINE, strict=True):
        for a, wa in zip(x, w, strict=True):
            clean = mean[0] + math.sqrt(cov[0][0]) * a
            noisy_points = torch.from_numpy(clean + SIGMA * x)[:, None]
            total += share * wa * float((0.5 * (model(noisy_points)[:, 0].numpy() + x / SIGMA) ** 2) @ w)
    receipt(
        objective_table, "denoising", table.denoising, total, reference="double sum over Hermite nodes", tolerance=1e-8
    )


def test_constants_are_the_same_for_every_model(receipt):
    tables = [objective_table(model, LINE, sigma=SIGMA, nodes=128) for model, _ in MODELS.values()]
    half = 0.5 * expectation(lambda x: true_score(x) ** 2)
    noisy = 0.5 * (1 / SIGMA**2 - expectation(lambda x: true_score(x, SIGMA) ** 2, SIGMA))
    for table in tables:
        receipt(
            objective_table,
            "explicit_minus_implicit",
            table.explicit_minus_implicit,
            half,
            reference="½E|∇log p|²",
            tolerance=1e-5,
        )
        receipt(
            objective_table,
            "denoising_minus_explicit",
            table.denoising_minus_explicit,
            noisy,
            reference="½(d/σ² − E|∇log q|²)",
            tolerance=1e-6,
        )
    receipt(
        denoising_optimum,
        "optimum",
        denoising_optimum(LINE, sigma=SIGMA),
        noisy,
        reference="SciPy's quadrature",
        tolerance=1e-6,
    )
    receipt(
        fisher_information, "fisher", fisher_information(LINE), 2 * half, reference="SciPy's quadrature", tolerance=1e-5
    )
    best = objective_table(lambda x: LINE.score(x, sigma=SIGMA), LINE, sigma=SIGMA, nodes=96)
    assert best.denoising == pytest.approx(denoising_optimum(LINE, sigma=SIGMA), abs=1e-6)


def test_in_the_plane_the_constants_hold_too():
    tables = [objective_table(m, PLANE, sigma=0.8, nodes=20) for m in (lambda x: -x, lambda x: torch.tanh(x).flip(-1))]
    assert tables[0].explicit_minus_implicit == pytest.approx(tables[1].explicit_minus_implicit, abs=1e-6)
    assert tables[0].denoising_minus_explicit == pytest.approx(tables[1].denoising_minus_explicit, abs=1e-4)
    assert tables[0].denoising_minus_explicit == pytest.approx(denoising_optimum(PLANE, sigma=0.8), abs=1e-4)
    for table in tables:
        assert table.sliced == pytest.approx(table.implicit, abs=1e-12)
    point = gaussian_mixture([1.0], [[1.0, 2.0]], torch.tensor([[[1.0, 0.3], [0.3, 0.5]]]))
    inverse = np.linalg.inv([[1.0, 0.3], [0.3, 0.5]])
    assert fisher_information(point) == pytest.approx(np.trace(inverse), abs=1e-6)


def test_estimates_are_their_samples_mean(receipt):
    x, _ = PLANE.sample(400, seed=1)

    def model(x):
        return torch.stack([torch.sin(x[:, 0]) * x[:, 1], -(x[:, 1] ** 2)], 1)

    divergence = torch.cos(x[:, 0]) * x[:, 1] - 2 * x[:, 1]
    s = model(x)
    esm = explicit_score_matching(model, x, PLANE.score(x))
    receipt(
        explicit_score_matching,
        "value",
        esm.value,
        (0.5 * (s - PLANE.score(x)) ** 2).sum(-1).mean(),
        reference="by hand",
        tolerance=1e-10,
    )
    ism = implicit_score_matching(model, x)
    expected = divergence + 0.5 * (s**2).sum(-1)
    receipt(
        implicit_score_matching,
        "value",
        ism.values.detach(),
        expected,
        reference="derivatives by hand",
        tolerance=1e-10,
    )
    assert ism.value == pytest.approx(float(expected.mean()))
    assert ism.standard_error == pytest.approx(float(expected.std()) / 20)
    jacobian = torch.stack(
        [
            torch.stack([torch.cos(x[:, 0]) * x[:, 1], torch.sin(x[:, 0])], 1),
            torch.stack([0 * x[:, 0], -2 * x[:, 1]], 1),
        ],
        1,
    )
    for directions in ("gaussian", "rademacher", "sphere"):
        for reduced in (True, False):
            if directions == "sphere" and reduced:
                continue
            found = sliced_score_matching(model, x, seed=3, slices=2, directions=directions, variance_reduced=reduced)
            total = torch.zeros(400).double()
            for i in range(2):
                from core.generative.noise import particle_normals, particle_signs

                v = (particle_signs if directions == "rademacher" else particle_normals)(3, (i, 9), (400, 2))
                v = v / v.norm(dim=-1, keepdim=True) if directions == "sphere" else v
                square = (s**2).sum(-1) if reduced else (s * v).sum(-1) ** 2
                total += torch.einsum("ni,nij,nj->n", v, jacobian, v) + 0.5 * square
            receipt(
                sliced_score_matching,
                "value",
                found.values.detach(),
                total / 2,
                reference="derivatives by hand",
                tolerance=1e-9,
            )


def test_slices_estimate_the_implicit_objective_and_the_repositorys_its_dth_part():
    x, _ = PLANE.sample(300, seed=1)

    def model(x):
        return torch.tanh(x).flip(-1) - x

    target = implicit_score_matching(model, x).value
    for directions in ("gaussian", "rademacher"):
        for reduced in (True, False):
            found = sliced_score_matching(model, x, seed=0, slices=300, directions=directions, variance_reduced=reduced)
            assert found.value == pytest.approx(target, abs=0.05)
    sphere = sliced_score_matching(model, x, seed=0, slices=300, directions="sphere", variance_reduced=False)
    assert sphere.value == pytest.approx(target / 2, abs=0.03)


def test_the_denoising_objective_by_hand(receipt):
    from core.generative.noise import particle_normals

    x, _ = PLANE.sample(200, seed=0)
    z = particle_normals(5, (0, 8), (200, 2))
    noisy = x + 0.7 * z
    expected = 0.5 * ((-noisy + (noisy - x) / 0.49) ** 2).sum(-1)
    found = denoising_score_matching(lambda x: -x, x, sigma=0.7, seed=5)
    receipt(denoising_score_matching, "value", found.values, expected, reference="by hand", tolerance=1e-10)
    weighted = denoising_score_matching(lambda x: -x, x, sigma=0.7, seed=5, weighted=True)
    assert weighted.value == pytest.approx(0.49 * found.value)
    few = denoising_score_matching(lambda x: -x, x[:3], sigma=0.7, seed=5)
    assert torch.allclose(few.values, found.values[:3])
    assert math.isnan(denoising_score_matching(lambda x: -x, x[:1], sigma=0.7, seed=5).standard_error)
    ks = stats.kstest(z[:, 0].numpy(), "norm")
    assert ks.pvalue > 0.001


def test_objectives_can_be_trained():
    scale = torch.tensor(0.5, requires_grad=True, dtype=torch.float64)
    x = oracle.points(2, 20)
    for call in (
        lambda m: implicit_score_matching(m, x),
        lambda m: sliced_score_matching(m, x, seed=0),
        lambda m: denoising_score_matching(m, x, sigma=1.0, seed=0),
    ):
        (gradient,) = torch.autograd.grad(call(lambda x: -scale * x).values.mean(), scale)
        assert gradient != 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: explicit_score_matching(lambda x: x, x, x[:1]), "true_score"),
        (lambda x: implicit_score_matching(lambda x: x, x[:0]), "at least one sample"),
        (lambda x: denoising_score_matching(lambda x: x, x, sigma=0, seed=0), "sigma"),
        (lambda x: sliced_score_matching(lambda x: x, x, seed=0, slices=0), "slices"),
        (lambda x: sliced_score_matching(lambda x: x, x, seed=0, directions="cube"), "directions"),
        (lambda x: sliced_score_matching(lambda x: x, x, seed=0, directions="sphere"), "variance_reduced"),
        (
            lambda x: objective_table(lambda x: x, gaussian_mixture([1.0], [[0.0] * 3], 1.0), sigma=1),
            "1 or 2 dimensions",
        ),
        (lambda x: objective_table(lambda x: x, PLANE, sigma=0), "sigma"),
        (lambda x: fisher_information(gaussian_mixture([1.0], [[0.0] * 3], 1.0)), "1 or 2 dimensions"),
        (lambda x: denoising_optimum(PLANE, sigma=-1), "sigma"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(3, 2).double())
