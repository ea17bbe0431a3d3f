"""Two walks from one start and one noise, and what is remembered of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.generative.langevin import annealed_langevin, smoothed_score
from core.generative.walks import start_points
from demos.generative.score_langevin import DEMO
from demos.generative.score_langevin_inputs import data_of, sigmas_of, start_of
from demos.generative.score_langevin_walk import FRAMES, exact_law, run_walk

START = DEMO.presets["start"]
SMALL = replace(START, levels=4, steps_each=10, particles=50)


def test_both_walks_have_one_start_and_one_number_of_steps() -> None:
    result = run_walk(SMALL)
    assert torch.equal(result.plain.x[0], result.annealed.x[0])
    assert result.plain.indices == result.annealed.indices
    assert result.annealed.indices[-1] == 40
    assert result.steps <= FRAMES + 1
    assert len(run_walk(START).annealed.indices) == 61


def test_the_annealed_walk_is_cores() -> None:
    result = run_walk(SMALL)
    mixture = data_of(SMALL).mixture
    x = start_points(start_of(SMALL), 50, seed=0)
    *_, last = annealed_langevin(smoothed_score(mixture), x, sigmas_of(SMALL), step_size=0.1, steps_each=10, seed=0)
    assert torch.equal(result.annealed.x[-1], last.x)


def test_the_repositorys_step_is_the_papers_of_twice_the_size() -> None:
    paper, repository = (
        run_walk(replace(SMALL, step_size=size, convention=convention))
        for size, convention in ((-1.0, "paper"), (-1.3, "repository"))  # 0.1 and 0.05
    )
    assert torch.allclose(paper.annealed.x, repository.annealed.x, atol=1e-9)
    assert not torch.allclose(paper.annealed.x, run_walk(replace(SMALL, convention="repository")).annealed.x)


def test_a_final_denoising_is_one_more_step_of_one_walk() -> None:
    result = run_walk(replace(SMALL, final_denoise=True))
    assert result.steps == len(result.plain.indices) + 1
    assert result.plain_at(result.steps - 1) == result.plain_at(result.steps - 2)
    assert result.annealed.noises[-1] == 0
    spread = [float(result.annealed.x[k][result.annealed.homes[-1] == 0].var(0).sum()) for k in (-2, -1)]
    assert spread[1] < spread[0]


def test_what_does_not_touch_a_walk_leaves_it_alone() -> None:
    one, two = run_walk(SMALL), run_walk(replace(SMALL, sigma_max=1.0))
    assert one.plain is two.plain
    assert one.annealed is not two.annealed
    assert run_walk(replace(SMALL, curve="moons", noise=0.5)).annealed is one.annealed


@pytest.mark.parametrize("source", ["ring", "three_modes"])
def test_without_a_line_there_is_no_law(source: str) -> None:
    result = run_walk(replace(SMALL, source=source))
    assert result.annealed_law is None
    assert {n.key: n.value for n in result.numbers[-1]}["law"] is None


def test_a_network_walks_too() -> None:
    c = replace(SMALL, score="learned", updates=400, levels=6, steps_each=20)
    result = run_walk(c)
    assert exact_law(c, annealed=True) is None
    assert result.network is not None
    assert result.network.arrows.shape == result.levels.arrows.shape
    assert not torch.allclose(result.network.arrows, result.levels.arrows)
    assert 0.5 < float(result.annealed.shares[-1, 0]) < 0.95
    assert result.data.sigmas == (1.0,)  # its landscape is the last level's
