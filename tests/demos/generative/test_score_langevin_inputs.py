"""Data in one plane, noise levels, starts, and a network that is trained once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from demos.generative import score_langevin_inputs as inputs
from demos.generative.score_langevin import DEMO
from demos.generative.score_langevin_inputs import PLACES, PLANE, data_of, only, power, sigmas_of, start_of, training
from demos.kit.jobs import Stopped, follow, run_job

START = DEMO.presets["start"]


def test_sliders_are_logarithms_of_two_digits() -> None:
    assert [power(v) for v in (1.3, 0.0, -0.15, -1.0, 0.5)] == [20.0, 1.0, 0.71, 0.1, 3.2]
    assert sigmas_of(START)[0] == 20.0
    assert sigmas_of(START)[-1] == 1.0
    assert len(sigmas_of(START)) == 10
    crossed = sigmas_of(replace(START, sigma_max=0.0, sigma_min=1.0))
    assert crossed[0] > crossed[-1] == 10.0


@pytest.mark.parametrize("source", ["two_modes", "ring", "moons", "modes", "rocket"])
def test_every_distribution_lies_in_the_papers_plane(source: str) -> None:
    mixture = data_of(replace(START, source=source)).mixture
    assert 2 < float(mixture.means.abs().max()) <= PLANE
    assert float(mixture.weights.sum()) == pytest.approx(1)


def test_the_toy_is_the_papers() -> None:
    mixture = data_of(START).mixture
    assert mixture.weights.tolist() == [0.8, 0.2]
    assert mixture.means.tolist() == [[5, 5], [-5, -5]]
    assert mixture.variances.tolist() == [[1, 1], [1, 1]]


def test_a_click_is_a_place() -> None:
    start = start_of(replace(START, begin="click", drop=0))
    assert (start.x, start.y) == pytest.approx((-PLANE * (1 - 1 / PLACES), PLANE * (1 - 1 / PLACES)))
    assert start_of(START).reach == PLANE


def test_a_key_knows_only_what_it_is_told() -> None:
    c = replace(START, seed=7, curve="moons", levels=4)
    assert only(c, "seed") == replace(START, seed=7)
    with pytest.raises(AssertionError):
        only(c, "nothing")


def test_a_network_is_trained_once_and_forgotten_last() -> None:
    c = replace(START, updates=100, seed=11, levels=3)
    mixture = data_of(c).mixture
    states = list(training(c, mixture))
    assert [s.last.index for s in states] == list(range(0, 101, 5))
    assert states[-1].last.excess < states[0].last.excess
    again = list(training(replace(c, particles=50, lens="net"), mixture))
    assert len(again) == 1
    assert again[0] is states[-1]
    for seed in range(20, 20 + inputs.REMEMBERED):
        list(training(replace(c, updates=0, seed=seed), mixture))
    assert inputs.remembered(c) is None
    assert inputs.remembered(replace(c, updates=0, seed=20)) is not None


def test_a_stopped_training_is_not_remembered() -> None:
    c = replace(START, updates=100, seed=12, levels=3)
    mixture = data_of(c).mixture
    seen: list[int] = []

    def work() -> None:
        for state in training(c, mixture):
            seen.append(state.last.index)
            if len(seen) == 3:
                follow({"question": "9.stop", "stop": True})

    with pytest.raises(Stopped):
        run_job("9.stop", work)
    assert inputs.remembered(c) is None


def test_the_learned_score_is_near_the_exact_one_where_the_data_are() -> None:
    c = replace(START, score="learned", updates=600, seed=13)
    mixture = data_of(c).mixture
    learned, exact = (inputs.score_of(replace(c, score=s), mixture) for s in ("learned", "exact"))
    x, _ = mixture.sample(200, seed=0)
    noisy = x + 3.0 * torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    apart = (learned(noisy, 3.0) - exact(noisy, 3.0)).square().sum(-1).mean().sqrt()
    assert float(apart) < 0.3 * float(exact(noisy, 3.0).square().sum(-1).mean().sqrt())
    toy = inputs.score_of(replace(c, score="exact", level_score="toy"), mixture)
    assert not torch.allclose(toy(noisy, 3.0), exact(noisy, 3.0))
