import math

import pytest
import torch

from core.perception.residual_log_likelihood import (
    VARIANTS,
    RealNVP,
    best_sigma,
    flow_spread,
    flow_training,
    frozen_copy,
    log_density,
    residual_log_likelihood,
)
from tests.oracles.libraries import mmpose_loss


def bent_flow(*, seed=0, strength=0.5):
    """A double-precision flow that is far from the identity."""
    generator, flow = torch.Generator().manual_seed(seed), RealNVP().double()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(strength * torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 8)
    return frozen_copy(flow)


def cloud(count=4000, seed=3):
    """Laplace along x; y leans on |x|."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(count, generator=generator) - 0.5
    x = -0.5 * u.sign() * torch.log1p(-2 * u.abs())
    return torch.stack([x, 0.6 * x.abs() + 0.2 * torch.randn(count, generator=generator)], 1)


def mmposes(ours):
    """mmpose's loss with this flow's weights."""
    theirs = mmpose_loss("regression_loss.RLELoss")().to(next(ours.parameters()))
    for coupling in range(6):
        for k, nets in enumerate((theirs.flow_model.s, theirs.flow_model.t)):
            for layer, place in enumerate((0, 2, 4)):
                nets[coupling][place].weight.data = ours.weights[layer][coupling, k].T.clone()
                nets[coupling][place].bias.data = ours.biases[layer][coupling, k, 0].clone()
    return theirs


def test_flow_is_mmposes(receipt):
    flow = bent_flow()
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theirs = mmposes(flow).flow_model
    receipt(RealNVP.log_density, "log_density", flow.log_density(x), theirs.log_prob(x).detach(), reference="mmpose")
    z, log_det = flow.to_normal(x)
    their_z, their_det = theirs.backward_p(x)
    receipt(RealNVP.to_normal, "z", z, their_z.detach(), reference="mmpose")
    receipt(RealNVP.to_normal, "log_det", log_det, their_det.detach(), reference="mmpose")
    assert log_det.abs().max() > 0.3
    assert sum(p.numel() for p in flow.parameters()) == sum(p.numel() for p in theirs.parameters()) == 53784


def test_log_det_is_the_jacobians_and_the_flow_can_be_undone(receipt):
    flow = bent_flow(seed=2)
    for x in torch.randn(8, 1, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2:
        jacobian = torch.autograd.functional.jacobian(lambda v: flow.to_normal(v)[0], x)[0, :, 0]
        expected = jacobian.det().abs().log()
        receipt(RealNVP.to_normal, "log_det", flow.to_normal(x)[1][0], expected, reference="autograd", tolerance=1e-12)
        receipt(
            RealNVP.from_normal, "x", flow.from_normal(flow.to_normal(x)[0]), x, reference="inverse", tolerance=1e-12
        )


def test_densities_integrate_to_one(receipt):
    flow, side = bent_flow(seed=1), torch.linspace(-9, 9, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    cell = float((side[1] - side[0]) ** 2)
    for kind in ("flow", "laplace", "gauss"):
        total = log_density(grid, flow, kind=kind).exp().sum() * cell
        receipt(log_density, kind, total, 1.0, reference="integral is 1", tolerance=3e-3)


def test_densities_are_torchs(receipt):
    flow, x = bent_flow(), torch.randn(50, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    laplace = torch.distributions.Laplace(zero, one).log_prob(x).sum(1)
    gauss = torch.distributions.Normal(zero, one).log_prob(x).sum(1)
    receipt(log_density, "laplace", log_density(x, flow, kind="laplace"), laplace, reference="torch")
    receipt(log_density, "gauss", log_density(x, flow, kind="gauss"), gauss, reference="torch")
    product = log_density(x, flow, kind="product")
    for kind, known in (("laplace", laplace), ("gauss", gauss), ("flow", flow.log_density(x))):
        receipt(log_density, f"fit_{kind}", -log_density(x, flow, kind=kind).mean(), -known.mean(), reference="torch")
    receipt(log_density, "product", product, laplace + flow.log_density(x), reference="torch")
    with pytest.raises(ValueError, match="kind must be flow, laplace, gauss or product"):
        log_density(x, flow, kind="l1")
    with pytest.raises(ValueError, match=r"residuals must have shape \(N, 2\)"):
        log_density(x[0], flow, kind="flow")


def draws(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pred, target = (torch.rand(count, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return pred, 0.05 + torch.rand(count, 2, generator=generator, dtype=torch.float64), target


def test_variants_are_their_codes(receipt):
    """ "mmpose" against mmpose; "official" against its sum written out; "paper" against equation 10."""
    flow, (pred, sigma, target) = bent_flow(), draws(30)
    theirs = mmposes(flow)(pred[None], torch.logit(sigma.clamp(max=0.999))[None], target[None]).detach()
    capped = sigma.clamp(max=0.999)
    got = residual_log_likelihood(pred, capped, target, flow, variant="mmpose")
    receipt(residual_log_likelihood, "mmpose", got.loss.sum(), theirs, reference="mmpose", tolerance=1e-5)
    back = (pred - target) / sigma
    nf = sigma.log() - flow.log_density(back)[:, None]
    simple = torch.log(sigma * math.sqrt(2 * math.pi)) + (pred - target).abs() / (math.sqrt(2) * sigma)
    got = residual_log_likelihood(pred, sigma, target, flow, variant="official")
    receipt(
        residual_log_likelihood, "official", got.loss, (nf + simple).sum(1), reference="the official sum, axis by axis"
    )
    on = (target - pred) / sigma
    laplace = torch.distributions.Laplace(torch.zeros_like(on), torch.ones_like(on)).log_prob(on).sum(1)
    expected = -laplace - flow.log_density(on) + sigma.log().sum(1)
    got = residual_log_likelihood(pred, sigma, target, flow)
    receipt(residual_log_likelihood, "paper", got.loss, expected, reference="torch")
    receipt(residual_log_likelihood, "rle_loss", got.loss, expected, reference="torch")
    for variant in VARIANTS:
        got = residual_log_likelihood(pred, sigma, target, flow, variant=variant)
        assert torch.equal(got.loss, got.flow_part + got.simple_part + got.sigma_part)
        sign = 1 if variant == "paper" else -1
        receipt(residual_log_likelihood, "residual", got.residual, sign * on, reference="by hand")


def test_gradients_are_finite_differences():
    flow, (pred, sigma, target) = bent_flow(), draws(4)
    for variant in VARIANTS:
        assert torch.autograd.gradcheck(
            lambda p, s, v=variant: residual_log_likelihood(p, s, target, flow, variant=v).loss,
            (pred.requires_grad_(True), sigma.requires_grad_(True)),
        )


@pytest.mark.parametrize("variant", [*VARIANTS, "laplace"])
def test_best_sigma_has_no_slope(variant, receipt):
    """With the standard normal density: the closed form is where the loss's gradient is 0. With a flow: nothing near it is better."""
    error = (0.05, -0.03)
    flat = RealNVP().double()
    with torch.no_grad():
        for parameter in flat.parameters():
            parameter.zero_()
    best = best_sigma(error, None, variant=variant)
    known = {
        "official": (0.0596, 0.0358),
        "mmpose": (0.0640, 0.0384),
        "paper": (0.0809, 0.0485),
        "laplace": (0.05, 0.03),
    }
    assert best.tolist() == pytest.approx(known[variant], abs=5e-5)
    target, pred = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([error], dtype=torch.float64)

    def loss(sigma, flow):
        if variant == "laplace":
            return (sigma.log() + pred.abs() / sigma).sum()
        return residual_log_likelihood(pred, sigma, target, flow, variant=variant).loss.sum()

    sigma = best[None].clone().requires_grad_(True)
    slope = torch.autograd.grad(loss(sigma, flat), sigma)[0]
    receipt(best_sigma, variant, slope, torch.zeros(1, 2), reference="gradient is 0", tolerance=1e-11)
    searched = best_sigma(error, flat, variant=variant)
    receipt(best_sigma, variant, searched, best, reference="closed form", tolerance=1e-4)
    receipt(best_sigma, "best_sigma", searched, best, reference="closed form", tolerance=1e-4)
    flow = bent_flow(seed=4)
    best = best_sigma(error, flow, variant=variant)[None]
    for step in ([1.01, 1], [0.99, 1], [1, 1.01], [1, 0.99]):
        assert loss(best, flow) <= loss(best * torch.tensor([step], dtype=torch.float64), flow) + 1e-12


@pytest.fixture(scope="module")
def trained():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = torch.random.get_rng_state()
    steps = list(flow_training(cloud(), steps=150, batch=256, record=(0, 75)))
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody drew from the global generator
    torch.set_num_threads(threads)
    return steps


def test_training_finds_the_cloud(trained, receipt):
    fresh = cloud(seed=9)
    losses = {step.step: -step.flow.log_density(fresh).mean().item() for step in trained if step.step in (0, 75, 150)}
    assert losses[0] == pytest.approx((fresh**2).sum(1).mean().item() / 2 + math.log(2 * math.pi), abs=0.05)
    assert losses[150] < losses[75] < losses[0]
    entropy = 1 + math.log(2 * 0.5) + 0.5 * math.log(2 * math.pi * math.e * 0.04)  # of the cloud: the least possible
    assert entropy - 0.02 < losses[150] < entropy + 0.25
    batch = cloud()[torch.randint(4000, (256,), generator=torch.Generator().manual_seed(1))]
    expected = -RealNVP().log_density(batch).mean().item()
    receipt(flow_training, "loss", trained[0].loss, expected, reference="first batch, drawn again", tolerance=1e-6)


def test_the_spread_is_that_of_the_flows_own_samples(trained):
    """By the density: ∫ x² φ − (∫ x φ)², on a grid."""
    flow, side = trained[150].flow, torch.linspace(-7, 7, 141)
    grid = torch.cartesian_prod(side, side)
    p = flow.log_density(grid).exp().double()
    p /= p.sum()
    mean = (grid * p[:, None]).sum(0)
    expected = ((grid - mean) ** 2 * p[:, None]).sum(0).sqrt()
    assert flow_spread(flow, count=20_000).tolist() == pytest.approx(expected.tolist(), rel=0.05)
    assert torch.equal(flow_spread(flow), flow_spread(flow))
    assert not torch.equal(flow_spread(flow, seed=1), flow_spread(flow))
    with pytest.raises(ValueError, match="count must be 2 or more"):
        flow_spread(flow, count=1)


def test_training_is_a_trace(trained):
    assert [step.step for step in trained] == list(range(151))
    assert trained[0].flow is not trained[75].flow
    assert torch.equal(trained[0].flow.weights[0], RealNVP().weights[0])  # recorded: it did not change later
    assert not torch.equal(trained[75].flow.weights[0], trained[150].flow.weights[0])
    assert not trained[150].flow.weights[0].requires_grad
    again = list(flow_training(cloud(), steps=2, batch=256))
    assert [step.loss for step in again[:1]] == [step.loss for step in trained[:1]]
    assert [s.loss for s in flow_training(cloud(), steps=2, batch=256)] == [s.loss for s in again]
    assert again[0].loss != next(iter(flow_training(cloud(), steps=0, batch=256, seed=1))).loss


def test_seeds_are_explicit():
    assert torch.equal(RealNVP(seed=3).weights[1], RealNVP(seed=3).weights[1])
    assert not torch.equal(RealNVP(seed=3).weights[1], RealNVP(seed=4).weights[1])
    limit = 0.01 * math.sqrt(6 / 128)
    assert 0.9 * limit < RealNVP().weights[1].abs().max() <= limit
    assert not any(bias.any() for bias in RealNVP().biases)


def test_empty_batches_and_half_precision():
    flow = RealNVP()
    nothing = torch.zeros(0, 2)
    assert residual_log_likelihood(nothing, nothing + 1, nothing, flow).loss.shape == (0,)
    half = frozen_copy(bent_flow()).bfloat16()
    x = torch.tensor([[0.5, -0.25]])
    assert abs(half.log_density(x.bfloat16()).float() - bent_flow().float().log_density(x)) < 0.1


P = torch.zeros(2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: residual_log_likelihood(P, P + 1, P, RealNVP(), variant="own"),
            "variant must be paper, official or mmpose",
        ),
        (lambda: residual_log_likelihood(P, P[:1], P, RealNVP()), r"one shape \(N, 2\)"),
        (lambda: residual_log_likelihood(P, P, P, RealNVP()), "sigma must be above 0"),
        (lambda: residual_log_likelihood(P, P + math.nan, P, RealNVP()), "sigma must be above 0"),
        (lambda: best_sigma([1], None, variant="paper"), "error must be two numbers other than 0"),
        (lambda: best_sigma([1, 0], None, variant="paper"), "error must be two numbers other than 0"),
        (lambda: best_sigma([1, 1], None, variant="own"), "variant must be paper, official, mmpose or laplace"),
        (lambda: flow_training(P[:0], steps=1), r"residuals must be \(N, 2\) finite numbers"),
        (lambda: flow_training(P + math.inf, steps=1), "finite numbers"),
        (lambda: flow_training(P, steps=-1), "steps must be 0 or more"),
        (lambda: flow_training(P, steps=1, rate=0), "batch and rate above 0"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
