import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits
from torch.nn import functional

from core.generative.digit_scores import (
    DigitDenoiser,
    denoiser_report,
    digit_denoiser,
    novelty,
    untrained_weights,
)
from core.generative.empirical import empirical_denoiser
from core.generative.noise import particle_normals
from core.generative.ode_samplers import heun
from core.generative.sampler_steps import final_state
from core.generative.scores import score_of_denoiser
from core.generative.sde import EDM, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

MODEL = Path(__file__).parents[3] / "assets" / "models" / "digit_scores.safetensors"


@pytest.fixture(scope="module")
def bundled():
    with safe_open(MODEL, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def pictures(tensor):
    return tensor.float() / 8 - 1


def some_weights(hidden=12, blocks=2, seed=0):
    weights = untrained_weights(hidden=hidden, blocks=blocks, seed=seed)
    return weights | {
        "out.weight": weights["out.weight"] + particle_normals(1, 0, (64, hidden)).float() / 4,
        "block1.bias": torch.full((hidden,), 0.1),
    }


def test_the_network_is_edms_preconditioning_around_an_mlp(receipt):
    weights, x = {k: v.double() for k, v in some_weights().items()}, oracle.points(64, 3)
    sigma = torch.tensor([0.1, 1.0, 7.0]).double()
    net = digit_denoiser(weights, sigma_data=0.75)
    rows = []
    for row, s in zip(x, sigma.tolist(), strict=True):
        total = s * s + 0.75**2
        phases = [math.log(s) / 4 * 2**k for k in range(8)]
        h = torch.cat(
            [
                row / math.sqrt(total),
                torch.tensor([math.sin(p) for p in phases] + [math.cos(p) for p in phases]).double(),
            ]
        )
        h = weights["in.weight"] @ h + weights["in.bias"]
        for i in range(2):
            h = h + weights[f"block{i}.weight"] @ (h * torch.sigmoid(h)) + weights[f"block{i}.bias"]
        out = weights["out.weight"] @ functional.silu(h) + weights["out.bias"]
        rows.append(0.75**2 / total * row + s * 0.75 / math.sqrt(total) * out)
    receipt(
        DigitDenoiser.__call__,
        "denoised",
        net(x, sigma),
        torch.stack(rows),
        reference="arXiv:2206.00364 table 1 by hand",
        tolerance=1e-6,
    )
    assert torch.allclose(net(x[:1], 0.1), net(x, sigma)[:1])
    assert net.parameters == sum(t.numel() for t in weights.values())


def test_the_bundled_network_is_small_and_made_of_scikit_learns_digits(bundled):
    tensors, metadata = bundled
    assert MODEL.stat().st_size <= 1_000_000
    images = load_digits().images.reshape(-1, 64)
    order = np.random.default_rng(int(metadata["seed"])).permutation(len(images))
    assert np.array_equal(tensors["digits.train"].numpy(), images[order[:1400]])
    assert np.array_equal(tensors["digits.test"].numpy(), images[order[1600:]])


def test_the_stored_losses_are_measured_again(bundled, receipt):
    tensors, metadata = bundled
    net = digit_denoiser(tensors, sigma_data=float(metadata["sigma_data"]))
    losses = json.loads(metadata["losses"])
    train, test = pictures(tensors["digits.train"]), pictures(tensors["digits.test"])
    report = denoiser_report(net, train, test, losses["sigmas"], seed=1, draws=8)
    for name in ("train", "test", "optimum", "excess", "memoriser"):
        receipt(
            denoiser_report,
            name,
            getattr(report, name),
            losses[name],
            reference="the training's own log",
            tolerance=2e-6,
        )
    assert report.mean_excess < 0.05
    assert all(a < b for a, b in zip(report.test[:4], report.memoriser[:4], strict=True))  # it does not memorise


def test_reports_by_hand(receipt):
    digits = torch.tanh(oracle.points(64, 12, spread=1.0))
    train, test = digits[:8], digits[8:]
    net = digit_denoiser({k: v.double() for k, v in some_weights().items()}, sigma_data=0.75)
    report = denoiser_report(net, train, test, [0.8], seed=5, draws=2)
    sums = np.zeros(5)
    for draw in range(2):
        seen = train + 0.8 * particle_normals(5, (draw, 15), train.shape)
        unseen = test + 0.8 * particle_normals(5, (draw, 16), test.shape)
        best = torch.from_numpy(np.array([oracle.posterior(train.tolist(), row, 0.8) for row in seen.tolist()])) @ train
        other = (
            torch.from_numpy(np.array([oracle.posterior(train.tolist(), row, 0.8) for row in unseen.tolist()])) @ train
        )
        pairs = (
            (net(seen, 0.8), train),
            (net(unseen, 0.8), test),
            (best, train),
            (net(seen, 0.8), best),
            (other, test),
        )
        sums += [float(((a - b) ** 2).mean()) / 0.75**2 / 2 for a, b in pairs]
    for name, expected in zip(("train", "test", "optimum", "excess", "memoriser"), sums, strict=True):
        receipt(denoiser_report, name, getattr(report, name)[0], expected, reference="by hand", tolerance=1e-6)
    assert report.mean_excess == report.excess[0]


def test_excess_is_train_loss_minus_optimum():
    """E|D − x₀|² − E|D* − x₀|² = E|D − D*|²: orthogonality, up to the noise of the draws."""
    digits = torch.tanh(oracle.points(64, 10, spread=1.0))
    net = digit_denoiser({k: v.double() for k, v in some_weights().items()}, sigma_data=0.75)
    report = denoiser_report(net, digits, digits[:1], [3.0], seed=0, draws=400)
    assert report.train[0] - report.optimum[0] == pytest.approx(report.excess[0], rel=0.05)


def test_it_draws_new_digits(bundled, receipt):
    tensors, metadata = bundled
    net = digit_denoiser(tensors, sigma_data=float(metadata["sigma_data"]))
    edm = EDM(sigma_min=0.02, sigma_max=20.0)
    noise = prior_sampling(edm, (64, 64), seed=0, dtype=torch.float32)
    with torch.no_grad():
        samples = final_state(
            heun(score_of_denoiser(net, edm), edm, noise, time_grid(edm, 18, spacing="karras", to_zero=True))
        )
    train = empirical_denoiser(pictures(tensors["digits.train"]))
    found = novelty(samples, train)
    by_hand = [min(math.dist(a, b) for b in train.data.tolist()) / 8 for a in samples[:3].tolist()]
    receipt(novelty, "distance", found.distance[:3], by_hand, reference="all pairs", tolerance=1e-5)
    assert found.copied == 0
    assert (samples.clamp(-1, 1) - samples).abs().mean() < 0.1
    real = torch.cdist(pictures(tensors["digits.test"]), train.data).amin(-1).mean() / 8
    assert float(found.distance.mean()) < 1.5 * float(real)


def test_novelty_by_hand(receipt):
    train = empirical_denoiser(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 10.0]]).double())
    samples = torch.tensor([[0.0, 0.5], [3.0, 6.0]]).double()
    found = novelty(samples, train)
    assert found.nearest.tolist() == [0, 1]
    receipt(novelty, "distance", found.distance, [0.5 / math.sqrt(2), 2 / math.sqrt(2)], reference="by hand")
    receipt(novelty, "typical", found.typical, 5 / math.sqrt(2), reference="by hand")
    receipt(novelty, "copied", found.copied, 0.5, reference="by hand")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: digit_denoiser({}, sigma_data=1), "in.weight"),
        (lambda: digit_denoiser(some_weights(), sigma_data=0), "sigma_data"),
        (lambda: digit_denoiser(some_weights() | {"out.weight": torch.zeros(3, 3)}, sigma_data=1), "out.weight"),
        (lambda: untrained_weights(hidden=0, blocks=1, seed=0), "hidden"),
        (
            lambda: denoiser_report(
                digit_denoiser(some_weights(), sigma_data=1), torch.zeros(0, 64), torch.zeros(1, 64), [1], seed=0
            ),
            "empty",
        ),
        (
            lambda: denoiser_report(
                digit_denoiser(some_weights(), sigma_data=1), torch.zeros(1, 64), torch.zeros(1, 64), [0], seed=0
            ),
            "sigmas",
        ),
        (lambda: novelty(torch.zeros(0, 64), empirical_denoiser(torch.eye(2, 64))), "at least one sample"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
