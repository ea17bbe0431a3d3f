import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.generative.mixtures import gaussian_mixture
from core.generative.sampler_steps import exact_reverse, final_state, forward_process, trajectory
from core.generative.sde import EDM, VE, VP, SubVP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

MIXTURE = gaussian_mixture(*oracle.tensors(oracle.PLANE))


@pytest.mark.parametrize("process", [VP(), SubVP(), VE(), VE(exact0=True), EDM()])
def test_forward_steps_add_up_to_the_marginal(process, receipt):
    """Mean and variance of the composed Gaussian steps must be α² and σ² at every time."""
    times = [0.0, 0.1, 0.25, 0.7, 1.0]
    x0 = torch.tensor([[0.0], [1.0]]).double()
    scale, variance = 1.0, 0.0
    before = x0
    for step in forward_process(process, x0, times, seed=3):
        ratio = float((step.mean[1] - step.mean[0]) / (before[1] - before[0]))
        scale, variance = ratio * scale, ratio**2 * variance + step.std**2
        before = step.x
        receipt(forward_process, "scale", scale, process.alpha(step.t), reference="closed form", tolerance=1e-12)
        receipt(
            forward_process,
            "variance",
            variance,
            process.sigma(step.t) ** 2,
            reference="closed form",
            tolerance=1e-12 * max(1.0, variance),
        )
        assert torch.equal(step.x, step.mean) == (step.std == 0)


def test_forward_noise_is_normal_and_its_own():
    x0 = torch.zeros(20000, 2).double()
    last = final_state(forward_process(VP(), x0, [0.0, 0.5, 1.0], seed=5))
    assert stats.kstest(last[:, 0].numpy() / VP().sigma(1.0), "norm").pvalue > 0.01
    many = trajectory(forward_process(VP(), x0, [0.0, 0.5, 1.0], seed=5))
    few = trajectory(forward_process(VP(), x0[:7], [0.0, 0.5, 1.0], seed=5))
    assert torch.equal(few, many[:, :7])
    assert np.corrcoef(many[1, :, 0], (many[2] - VP().alpha(1.0) / VP().alpha(0.5) * many[1])[:, 0])[
        0, 1
    ] == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("process", [VP(), SubVP(), VE(), EDM()])
@pytest.mark.parametrize("steps", [1, 12])
def test_the_exact_reverse_process_gives_the_data_in_any_number_of_steps(process, steps):
    start, _ = MIXTURE.sample(8000, seed=1)
    start = process.alpha(process.T) * start + prior_sampling(process, (8000, 2), seed=2) * process.sigma(process.T) / (
        process.sigma_max if hasattr(process, "sigma_max") else 1.0
    )
    times = time_grid(process, steps, spacing="uniform" if process.name != "EDM" else "karras")
    last = final_state(exact_reverse(MIXTURE, process, start, [*times[:-1], 0.0], seed=4))
    for direction in ([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]):
        line = MIXTURE.project(direction)
        u = np.array(direction) / np.linalg.norm(direction)
        p = stats.kstest(last.numpy() @ u, lambda v, line=line: line.cdf(torch.as_tensor(v)).numpy()).pvalue
        assert p > 1e-3
    shares = torch.bincount(MIXTURE.responsibilities(last).argmax(-1), minlength=3) / 8000
    assert torch.allclose(shares.double(), MIXTURE.weights, atol=0.02)


def test_exact_steps_know_their_particle_only():
    start = prior_sampling(VP(), (30, 2), seed=0)
    times = time_grid(VP(), 5)
    many = list(exact_reverse(MIXTURE, VP(), start, times, seed=1))
    few = trajectory(exact_reverse(MIXTURE, VP(), start[:4], times, seed=1))
    assert torch.allclose(few, torch.stack([s.x for s in many])[:, :4], atol=1e-12)
    assert [s.index for s in many] == list(range(6))
    assert [s.t for s in many] == times
    assert {s.evaluations for s in many} == {0}


def test_states_are_apart_from_the_start_and_stay_as_they_are():
    start = torch.zeros(3, 2).double()
    first, second = forward_process(VP(), start, [0.0, 0.5], seed=0)
    assert first.x.data_ptr() != start.data_ptr()
    kept = second.x.clone()
    start += 1
    assert torch.equal(second.x, kept)


def test_folding():
    steps = list(forward_process(VP(), torch.zeros(2, 3), [0.0, 0.5, 1.0], seed=0))
    assert torch.equal(final_state(iter(steps)), steps[-1].x)
    assert trajectory(steps).shape == (3, 2, 3)
    with pytest.raises(ValueError, match="at least one step"):
        final_state([])


@pytest.mark.parametrize(
    ("x", "times", "message"),
    [
        (torch.zeros(2, 2).double(), [0.5], "times"),
        (torch.zeros(2, 2).double(), [0.5, 0.5], "times"),
        (torch.zeros(2, 2).double(), [0.5, 0.1, 0.2], "times"),
        (torch.full((2, 2), math.nan), [1.0, 0.1], "finite"),
        (torch.zeros(2, 2, dtype=torch.long), [1.0, 0.1], "finite"),
        (torch.tensor(1.0), [1.0, 0.1], "N"),
        (torch.zeros(2, 3).double(), [1.0, 0.1], "shape"),
    ],
)
def test_nonsense_is_refused_at_the_call(x, times, message):
    with pytest.raises(ValueError, match=message):
        exact_reverse(MIXTURE, VP(), x, times, seed=0)
