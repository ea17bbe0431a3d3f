import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from core.generative.mixtures import gaussian_mixture
from core.generative.noise import particle_normals
from core.generative.ode_samplers import ddim, dpm_solver_pp_2m, euler, heun
from core.generative.sampler_steps import final_state, trajectory
from core.generative.scores import ExactScore, score_of_noise
from core.generative.sde import EDM, VE, VP, SubVP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}


def schedulers():
    """diffusers' schedulers, imported when first needed: it takes seconds."""
    import diffusers

    return diffusers


def discrete_vp(n=1000):
    """A VP whose α and σ at t = (i + 1)/n are DDPM's own, for comparison with diffusers."""
    return np.sqrt(np.cumprod(1 - np.linspace(1e-4, 0.02, n)))


class TableProcess:
    """α and σ from a table: what a discrete scheduler believes."""

    name, T, eps = "table", 1.0, 1e-3

    def __init__(self, alphas):
        self.alphas = alphas

    def alpha(self, t):
        i = round(t * len(self.alphas)) - 1
        return float(self.alphas[i]) if i >= 0 else 1.0

    def sigma(self, t):
        return math.sqrt(1 - self.alpha(t) ** 2)


def predicted_noise(x, t):
    """Any smooth function will do as a network."""
    return torch.tanh(x) + 0.1 * torch.cos(3 * x)


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0])
def test_ddim_is_diffusers(eta, receipt):
    scheduler = schedulers().DDIMScheduler(
        clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading", steps_offset=0
    )
    scheduler.alphas_cumprod = torch.from_numpy(discrete_vp() ** 2)
    scheduler.final_alpha_cumprod = torch.tensor(1.0).double()
    scheduler.set_timesteps(20)
    process = TableProcess(discrete_vp())
    x = oracle.points(3, 5, spread=1.0)
    times = [(int(t) + 1) / 1000 for t in scheduler.timesteps] + [0.0]
    ours = trajectory(ddim(score_of_noise(predicted_noise, process), process, x, times, seed=3, eta=eta))
    for i, t in enumerate(scheduler.timesteps):
        z = particle_normals(3, (i, 0), x.shape)
        x = scheduler.step(predicted_noise(x, t), t, x, eta=eta, variance_noise=z).prev_sample
        if i < 19:  # diffusers adds noise in its last step, because its own ᾱ there is not 1
            receipt(ddim, "state", ours[i + 1], x, reference="diffusers", tolerance=1e-9)


@pytest.mark.parametrize("kind", PROCESSES)
def test_euler_is_ddim_without_noise_and_edms_formula(kind, receipt):
    process = PROCESSES[kind]
    score, x = ExactScore(PLANE, process), prior_sampling(process, (6, 2), seed=0)
    times = time_grid(process, 8, spacing="karras")
    by_hand = x.clone()
    for i, step in enumerate(euler(score, process, x, times)):
        if i:
            t, s = times[i - 1], times[i]
            (a, sig), (b, low) = oracle.SCALES[kind](t), oracle.SCALES[kind](s)
            y = by_hand / a
            slope = (y - PLANE.denoise(y, sigma=sig / a)) / (sig / a)
            by_hand = b * (y + (low / b - sig / a) * slope)
        receipt(euler, "state", step.x, by_hand, reference="(x̂ − D)/σ̂ by hand", tolerance=1e-9 * float(x.abs().max()))
    jumps = final_state(ddim(score, process, x, times, seed=0))
    receipt(
        euler, "state", final_state(euler(score, process, x, times)), jumps, reference="DDIM with η = 0", tolerance=1e-9
    )


def edm_algorithm_2(denoise, x, sigmas, churn, low, high, s_noise, noises):
    """Written from the paper's box."""
    n = len(sigmas) - 1
    for i in range(n):
        t, t_next = sigmas[i], sigmas[i + 1]
        gamma = min(churn / n, math.sqrt(2) - 1) if low <= t <= high else 0
        t_hat = t + gamma * t
        if gamma:
            x = x + math.sqrt(t_hat**2 - t**2) * s_noise * noises[i]
        d = (x - denoise(x, t_hat)) / t_hat
        x_next = x + (t_next - t_hat) * d
        if t_next != 0:
            d_next = (x_next - denoise(x_next, t_next)) / t_next
            x_next = x + (t_next - t_hat) * (d / 2 + d_next / 2)
        x = x_next
    return x


@pytest.mark.parametrize("churn", [0.0, 5.0, 100.0])
def test_heun_is_edms_algorithm(churn, receipt):
    x = prior_sampling(EDM(), (5, 2), seed=1)
    sigmas = time_grid(EDM(), 12, spacing="karras", to_zero=True)
    noises = [particle_normals(7, (i, 0), x.shape) for i in range(12)]
    expected = edm_algorithm_2(lambda x, s: PLANE.denoise(x, sigma=s), x, sigmas, churn, 0.05, 50.0, 1.003, noises)
    run = heun(ExactScore(PLANE, EDM()), EDM(), x, sigmas, seed=7, S_churn=churn, S_min=0.05, S_max=50.0, S_noise=1.003)
    receipt(heun, "state", final_state(run), expected, reference="arXiv:2206.00364 algorithm 2 by hand", tolerance=1e-9)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_heun_is_diffusers_to_its_single_precision(receipt):
    scheduler = schedulers().HeunDiscreteScheduler(use_karras_sigmas=True, prediction_type="epsilon")
    scheduler.set_timesteps(10)
    sigmas = [float(s) for s in scheduler.sigmas[::2]]
    sigmas = [float(s) for s in dict.fromkeys(float(s) for s in scheduler.sigmas)]
    edm = EDM(sigma_min=sigmas[-2], sigma_max=sigmas[0])
    x = sigmas[0] * oracle.points(2, 4, spread=1.0)
    ours = final_state(heun(score_of_noise(predicted_noise, edm), edm, x, sigmas))
    for t in scheduler.timesteps:
        x = scheduler.step(predicted_noise(x, t), t, x).prev_sample
    receipt(heun, "state", ours, x, reference="diffusers", tolerance=1e-4)


@pytest.mark.parametrize("kind", ["VP", "EDM"])
def test_heun_follows_any_process_in_its_own_variables(kind):
    process = PROCESSES[kind]
    x = prior_sampling(process, (4, 2), seed=1)
    times = time_grid(process, 9, spacing="karras")
    levels = [process.sigma(t) / process.alpha(t) for t in times]
    expected = edm_algorithm_2(
        lambda x, s: PLANE.denoise(x, sigma=s), x / process.alpha(times[0]), levels, 0, 0, math.inf, 1, []
    )
    got = final_state(heun(ExactScore(PLANE, process), process, x, times))
    assert torch.allclose(got / process.alpha(times[-1]), expected, atol=1e-9)
    churned = final_state(heun(ExactScore(PLANE, process), process, x, times, S_churn=9, seed=1))
    assert not torch.allclose(churned, got, atol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_dpm_solver_is_diffusers(receipt):
    scheduler = schedulers().DPMSolverMultistepScheduler(
        use_karras_sigmas=True, lower_order_final=False, final_sigmas_type="sigma_min"
    )
    scheduler.set_timesteps(12)
    sigmas = [float(s) for s in scheduler.sigmas]
    process = TableProcess(np.array([1.0]))
    levels = {i / 100: s for i, s in enumerate(sigmas)}
    times = sorted(levels, reverse=True)

    class Levels:
        name, T, eps = "levels", 1.0, 0.0

        def sigma_hat(self, t):
            return sigmas[len(sigmas) - 1 - round((t - 0.01) * 100)]

        def alpha(self, t):
            return 1 / math.sqrt(1 + self.sigma_hat(t) ** 2)

        def sigma(self, t):
            return self.sigma_hat(t) * self.alpha(t)

    process = Levels()
    count = len(dict.fromkeys(sigmas))
    sigmas = list(dict.fromkeys(sigmas))
    times = [(i + 1) / 100 for i in range(count)][::-1]
    x = oracle.points(2, 4, spread=1.0)
    ours = trajectory(dpm_solver_pp_2m(score_of_noise(predicted_noise, process), process, x, times))
    for i, t in enumerate(scheduler.timesteps[: count - 1]):
        x = scheduler.step(predicted_noise(x, t), t, x).prev_sample
        receipt(dpm_solver_pp_2m, "state", ours[i + 1], x, reference="diffusers", tolerance=2e-5)


@pytest.mark.parametrize("kind", PROCESSES)
def test_dpm_solver_is_its_formula(kind, receipt):
    process = PROCESSES[kind]
    x = prior_sampling(process, (4, 2), seed=2)
    times = [*time_grid(process, 7, spacing="log_snr"), 0.0]
    run = list(dpm_solver_pp_2m(ExactScore(PLANE, process), process, x, times))
    before, h_before = None, None
    for i, (t, s) in enumerate(pairwise(times)):
        (a, sig), (b, low) = oracle.SCALES[kind](t), oracle.SCALES[kind](s) if s else (1.0, 0.0)
        guess = PLANE.denoise(x, alpha=a, sigma=sig)
        if s == 0:
            x = guess
        else:
            h = math.log(b / low) - math.log(a / sig)
            mixed = guess if before is None else guess + (guess - before) / (2 * h_before / h)
            x, before, h_before = low / sig * x + b * (1 - math.exp(-h)) * mixed, guess, h
        receipt(
            dpm_solver_pp_2m, "state", run[i + 1].x, x, reference="arXiv:2211.01095 algorithm 2 by hand", tolerance=1e-8
        )


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_full_noise_has_the_posteriors_variance(eta):
    """On one Gaussian point the step's variance is η² times that of q(x_s | x_t, x_0)."""
    t, s = 0.6, 0.4
    steps = ddim(ExactScore(PLANE, VP()), VP(), torch.zeros(1, 2).double(), [t, s], seed=0, eta=eta)
    next(steps)
    (a, sig), (b, low) = oracle.SCALES["VP"](t), oracle.SCALES["VP"](s)
    posterior = 1 / (1 / low**2 + (a / b) ** 2 / (sig**2 - (a / b * low) ** 2))
    assert next(steps).std ** 2 == pytest.approx(eta**2 * posterior, rel=1e-12)


RUNS = {
    "euler": lambda x: euler(ExactScore(PLANE, VP()), VP(), x, time_grid(VP(), 6)),
    "heun": lambda x: heun(ExactScore(PLANE, VP()), VP(), x, time_grid(VP(), 6), S_churn=3, seed=1),
    "ddim": lambda x: ddim(ExactScore(PLANE, VP()), VP(), x, time_grid(VP(), 6), seed=1, eta=1.0),
    "dpm": lambda x: dpm_solver_pp_2m(ExactScore(PLANE, VP()), VP(), x, time_grid(VP(), 6)),
}


@pytest.mark.parametrize("name", RUNS)
def test_states_are_counted_their_own_and_never_change(name):
    start = prior_sampling(VP(), (40, 2), seed=0)
    steps, copies = [], []
    for step in RUNS[name](start):
        steps.append(step)
        copies.append(step.x.clone())
    assert [s.index for s in steps] == list(range(7))
    assert [s.t for s in steps] == time_grid(VP(), 6)
    assert all(torch.equal(s.x, c) for s, c in zip(steps, copies, strict=True))
    assert steps[-1].evaluations == (12 if name == "heun" else 6)
    few = trajectory(RUNS[name](start[:3]))
    assert torch.allclose(few, torch.stack(copies)[:, :3], atol=1e-10)
    if name == "ddim":
        assert torch.allclose(steps[2].x - steps[2].mean, steps[2].std * particle_normals(1, (1, 0), (40, 2)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, x: euler(s, VP(), x, [1.0]), "times"),
        (lambda s, x: heun(s, VP(), x, [1.0, 0.5], S_churn=-1), "S_churn"),
        (lambda s, x: heun(s, VP(), x, [1.0, 0.5], S_min=2, S_max=1), "S_max"),
        (lambda s, x: ddim(s, VP(), x, [1.0, 0.5], seed=0, eta=1.5), "eta"),
        (lambda s, x: dpm_solver_pp_2m(s, VP(), x, [0.5, 1.0]), "times"),
    ],
)
def test_nonsense_is_refused_at_the_call(call, message):
    with pytest.raises(ValueError, match=message):
        call(ExactScore(PLANE, VP()), torch.zeros(2, 2).double())
