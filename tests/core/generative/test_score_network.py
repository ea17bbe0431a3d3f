import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.generative.mixtures import gaussian_mixture
from core.generative.noise import particle_normals
from core.generative.score_network import residual_map, score_excess, score_network, train_score_network
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))


def some_network(seed=0, hidden=16):
    """A network whose last layer is not 0."""
    from core.generative.score_network import ScoreNetwork

    fresh = score_network(2, hidden=hidden, depth=2, scale=1.5, seed=seed)
    *head, (weight, bias) = fresh.layers
    return ScoreNetwork((*head, (weight + 0.3, bias + 0.1)), fresh.scale)


def test_the_network_is_a_plain_mlp(receipt):
    from core.generative.score_network import ScoreNetwork

    net, x = some_network(), oracle.points(2, 5)
    sigma = torch.tensor([0.1, 0.5, 1.0, 2.0, 9.0]).double()
    h = torch.cat([x / torch.sqrt(sigma**2 + 1.5**2)[:, None], (torch.log(sigma) / 4)[:, None]], 1)
    for weight, bias in net.layers[:-1]:
        h = functional.silu(h @ weight.T + bias)
    weight, bias = net.layers[-1]
    receipt(
        ScoreNetwork.__call__,
        "score",
        net(x, sigma),
        (h @ weight.T + bias) / sigma[:, None],
        reference="layers by hand",
    )
    assert torch.allclose(net(x[:1], 0.1), net(x, sigma)[:1])
    assert net.parameters == 16 * 3 + 16 + 16 * 16 + 16 + 2 * 16 + 2
    assert score_network(2, seed=0)(x, 0.5).abs().max() == 0
    assert torch.equal(some_network(1).layers[0][0], some_network(1).layers[0][0])
    assert not torch.equal(some_network(1).layers[0][0], some_network(2).layers[0][0])
    wide = score_network(2, hidden=2000, depth=2, seed=0).layers[1][0]
    assert float(wide.var()) == pytest.approx(1 / 2000, rel=0.05)


def reference_training(network, data, sigmas, updates, batch, rate, seed):
    """The same with torch.optim.Adam."""
    numbers = [t.clone().requires_grad_() for layer in network.layers for t in layer]
    adam = torch.optim.Adam(numbers, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, updates)
    levels = torch.tensor(sigmas).double()
    losses = []
    for update in range(1, updates + 1):
        rng = np.random.default_rng((seed, update, 11))
        x = data[torch.from_numpy(rng.integers(0, len(data), batch))]
        sigma = levels[torch.from_numpy(rng.integers(0, len(sigmas), batch))]
        z = torch.from_numpy(rng.standard_normal(tuple(x.shape)))
        h = x + sigma[:, None] * z
        h = torch.cat([h / torch.sqrt(sigma**2 + network.scale**2)[:, None], (torch.log(sigma) / 4)[:, None]], 1)
        for i in range(0, len(numbers) - 2, 2):
            h = functional.silu(functional.linear(h, numbers[i], numbers[i + 1]))
        noise = functional.linear(h, numbers[-2], numbers[-1])  # σ·s
        loss = 0.5 * ((noise + z) ** 2).sum(-1).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return numbers, losses


def test_training_is_torchs_adam(receipt):
    start = score_network(2, hidden=8, depth=2, seed=1)
    steps = list(
        train_score_network(
            start, PLANE, [0.3, 1.0], updates=25, samples=100, batch=16, learning_rate=0.01, report_every=10, seed=4
        )
    )
    data, _ = PLANE.sample(100, seed=4)
    numbers, losses = reference_training(start, data, [0.3, 1.0], 25, 16, 0.01, 4)
    for (weight, bias), w, b in zip(steps[-1].network.layers, numbers[::2], numbers[1::2], strict=True):
        receipt(train_score_network, "weights", weight, w.detach(), reference="torch.optim.Adam", tolerance=1e-6)
        receipt(train_score_network, "weights", bias, b.detach(), reference="torch.optim.Adam", tolerance=1e-6)
    assert [s.index for s in steps] == [0, 10, 20, 25]
    assert math.isnan(steps[0].loss)
    for step, part in zip(steps[1:], (losses[:10], losses[10:20], losses[20:]), strict=True):
        receipt(train_score_network, "loss", step.loss, np.mean(part), reference="torch.optim.Adam", tolerance=1e-6)
    assert start.layers[-1][0].abs().max() == 0  # the start stays as it was


def test_excess_is_the_loss_above_its_optimum(receipt):
    net = some_network()
    got = score_excess(net, PLANE, [0.5, 2.0], points=300, seed=3)
    x0, _ = PLANE.sample(300, seed=3)
    z = particle_normals(3, (0, 12), (300, 2))
    expected = 0.0
    for sigma in (0.5, 2.0):
        x = x0 + sigma * z
        exact = oracle.autograd_score(*oracle.tensors(oracle.PLANE), x, 1.0, sigma)
        expected += 0.5 * float((sigma**2 * (net(x, sigma) - exact) ** 2).sum(-1).mean()) / 2
    receipt(score_excess, "excess", got, expected, reference="automatic differentiation", tolerance=1e-9)


def test_steps_never_change_and_training_lowers_the_excess():
    steps, copies = [], []
    for step in train_score_network(score_network(2, hidden=32, seed=0), PLANE, [0.5], updates=250, batch=128, seed=0):
        steps.append(step)
        copies.append([t.clone() for layer in step.network.layers for t in layer])
    for step, copy in zip(steps, copies, strict=True):
        assert all(
            torch.equal(a, b) for a, b in zip([t for layer in step.network.layers for t in layer], copy, strict=True)
        )
        assert not any(t.requires_grad for layer in step.network.layers for t in layer)
    assert steps[-1].excess < 0.25 * steps[0].excess
    again = list(train_score_network(score_network(2, hidden=32, seed=0), PLANE, [0.5], updates=250, batch=128, seed=0))
    assert again[-1].excess == steps[-1].excess
    (only,) = train_score_network(score_network(2, seed=0), PLANE, [0.5], updates=0, seed=0)
    assert only.index == 0
    found = residual_map(steps[-1].network, PLANE, sigma=0.5, reach=6.0, cells=24)
    assert found.rms_outside > 2 * found.rms_inside


def test_the_map_compares_point_by_point(receipt):
    net = some_network()
    found = residual_map(net, PLANE, sigma=0.5, reach=3.0, cells=9, mass=0.9)
    assert found.xs.tolist() == pytest.approx(np.linspace(-3, 3, 9).tolist())
    points = torch.tensor([[x, y] for y in np.linspace(-3, 3, 9) for x in np.linspace(-3, 3, 9)], dtype=torch.float64)
    exact = oracle.autograd_score(*oracle.tensors(oracle.PLANE), points, 1.0, 0.5)
    apart = (net(points, 0.5) - exact).square().sum(-1).sqrt().numpy()
    density = np.exp(oracle.log_prob(*oracle.PLANE, points.numpy(), 1.0, 0.5))
    receipt(
        residual_map,
        "residual",
        found.residual,
        apart.reshape(9, 9),
        reference="automatic differentiation",
        tolerance=1e-9,
    )
    receipt(residual_map, "density", found.density, density.reshape(9, 9), reference="scipy", tolerance=1e-12)
    order, total, kept = np.argsort(-density), 0.0, set()
    for i in order:
        if total >= 0.9 * density.sum():
            break
        kept.add(int(i))
        total += density[i]
    inside = np.array([i in kept for i in range(81)])
    assert (found.inside.numpy().ravel() == inside).all()
    receipt(
        residual_map,
        "rms_inside",
        found.rms_inside,
        math.sqrt((apart[inside] ** 2).mean()),
        reference="by hand",
        tolerance=1e-9,
    )
    receipt(
        residual_map,
        "rms_outside",
        found.rms_outside,
        math.sqrt((apart[~inside] ** 2).mean()),
        reference="by hand",
        tolerance=1e-9,
    )
    receipt(residual_map, "area_inside", found.area_inside, inside.mean(), reference="by hand")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: score_network(0, seed=0), "dim"),
        (lambda n: score_network(2, scale=0, seed=0), "scale"),
        (lambda n: train_score_network(n, PLANE, [], updates=1, seed=0), "sigmas"),
        (lambda n: train_score_network(n, PLANE, [0.0], updates=1, seed=0), "sigmas"),
        (lambda n: train_score_network(n, PLANE, [1.0], updates=-1, seed=0), "updates"),
        (lambda n: train_score_network(n, PLANE, [1.0], updates=1, batch=0, seed=0), "batch"),
        (lambda n: score_excess(n, PLANE, [], seed=0), "level"),
        (lambda n: residual_map(n, gaussian_mixture([1.0], [[0.0]], 1.0), sigma=1, reach=1), "2 dimensions"),
        (lambda n: residual_map(n, PLANE, sigma=0, reach=1), "sigma"),
        (lambda n: residual_map(n, PLANE, sigma=1, reach=1, mass=1), "mass"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(score_network(2, seed=0))
