import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generative.chain_law import (
    ChainLaw,
    CrowdStart,
    SquareStart,
    chain_edges,
    chain_law,
    law_bias,
    line_direction,
    start_on_line,
)
from core.generative.langevin import (
    annealed_langevin,
    geometric_levels,
    langevin,
    mode_shares,
    share_error,
    smoothed_score,
)
from core.generative.mixtures import gaussian_mixture
from core.generative.walks import start_points
from tests.oracles import langevin_chains as oracle

TOY = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)
NEAR = gaussian_mixture([0.7, 0.3], [[1.2, 0.0], [-1.2, 0.0]], 0.5)
SQUARE = SquareStart(3.0)
quick = settings(deadline=None, max_examples=15)


def edge_of(mixture, direction):
    line = mixture.project(direction)
    w, m, v = line.weights.tolist(), line.means[:, 0].tolist(), float(line.variances[0, 0])
    return w, m, v, (m[0] + m[1]) / 2 + v * math.log(w[1] / w[0]) / (m[0] - m[1])


@pytest.mark.parametrize("mixture", [NEAR, gaussian_mixture([0.4, 0.6], [[0.9, 1.2], [-0.9, -1.2]], 0.3)])
@pytest.mark.parametrize("convention", ["paper", "repository"])
def test_shares_are_those_of_a_fine_fixed_grid(mixture, convention):
    sigmas, size = [1.6, 0.8], 0.2
    direction = line_direction(mixture)
    w, m, v, edge = edge_of(mixture, direction)
    sign = 1 if m[0] > m[1] else -1
    levels = []
    for sigma in sigmas:
        a = size * (sigma / sigmas[-1]) ** 2
        drift, noise = (a / 2, math.sqrt(a)) if convention == "paper" else (a, math.sqrt(2 * a))
        levels.append((sigma, drift, noise, 6))
    density = lambda x: oracle.square_density(x, 3.0, direction.tolist())  # noqa: E731
    above = oracle.chain_shares(w, m, v, density, levels, edge, 20.0)
    expected = above if sign > 0 else [1 - value for value in above]
    got = chain_law(mixture, SQUARE, sigmas, step_size=size, steps_each=6, convention=convention)
    assert got.shares[1:, 0].tolist() == pytest.approx(
        expected, abs=2e-4
    )  # the reference's grid blurs the square's edge
    assert got.shares.shape == (13, 2)
    assert float((got.shares.sum(-1) - 1).abs().max()) < 1e-10


def test_smooth_starts_agree_to_rounding(receipt):
    """The square's kinks limit the reference's grid; a Gaussian crowd does not."""
    crowd = CrowdStart(-0.3, 0.4, 0.5)
    direction = line_direction(NEAR)
    w, m, v, edge = edge_of(NEAR, direction)
    middle = float(direction[0]) * crowd.x + float(direction[1]) * crowd.y
    density = lambda x: np.exp(-0.5 * ((x - middle) / 0.5) ** 2)  # noqa: E731
    plain = chain_law(NEAR, crowd, [], step_size=0.15, steps_each=25)
    above = oracle.chain_shares(w, m, v, density, [(0.0, 0.075, math.sqrt(0.15), 25)], edge, 12.0)
    expected = above if m[0] > m[1] else [1 - value for value in above]
    receipt(chain_law, "law", plain.shares[1:, 0], expected, reference="dense kernel on a fixed grid", tolerance=1e-9)


@pytest.mark.parametrize("annealed", [False, True])
def test_many_particles_find_the_law(annealed):
    n, sigmas = 20000, geometric_levels(8.0, 1.0, 4)
    x = start_points(SquareStart(8.0), n, seed=3)
    if annealed:
        *_, last = annealed_langevin(smoothed_score(TOY), x, sigmas, step_size=0.1, steps_each=12, seed=3)
        law = chain_law(TOY, SquareStart(8.0), sigmas, step_size=0.1, steps_each=12)
    else:
        *_, last = langevin(TOY.score, x, step_size=0.1, steps=48, seed=3)
        law = chain_law(TOY, SquareStart(8.0), [], step_size=0.1, steps_each=48)
    share = float(law.shares[-1, 0])
    assert abs(float(mode_shares(TOY, last.x)[0]) - share) < 4 * share_error(share, n)


def test_a_final_denoising_moves_the_edge():
    n, sigmas = 20000, [3.0, 1.5]
    x = start_points(SQUARE, n, seed=1)
    walk = annealed_langevin(smoothed_score(NEAR), x, sigmas, step_size=0.3, steps_each=8, seed=1, final_denoise=True)
    *_, before, after = walk
    law = chain_law(NEAR, SQUARE, sigmas, step_size=0.3, steps_each=8, final_denoise=True)
    assert law.shares.shape == (18, 2)
    for step, row in ((before, -2), (after, -1)):
        share = float(law.shares[row, 0])
        assert abs(float(mode_shares(NEAR, step.x)[0]) - share) < 4 * share_error(share, n)
    assert abs(float(law.shares[-1, 0] - law.shares[-2, 0])) > 0.02


def test_the_papers_toy_forgets_and_nearly_recovers(receipt):
    square, sigmas = SquareStart(8.0), geometric_levels(20.0, 1.0, 10)
    plain = chain_law(TOY, square, [], step_size=0.1, steps_each=1000)
    weights = TOY.weights
    assert abs(float(plain.shares[-1, 0]) - float(plain.shares[0, 0])) < 1e-3  # only who began there
    found = [
        float(chain_law(TOY, square, sigmas, step_size=0.1, steps_each=t, toy=True).shares[-1, 0])
        for t in (10, 100, 300)
    ]
    assert found == sorted(found)
    assert found[1] == pytest.approx(0.782, abs=5e-4)
    assert found[-1] < 0.8
    law = chain_law(TOY, square, sigmas, step_size=0.1, steps_each=10)
    receipt(law_bias, "bias", law_bias(law, weights), law.shares - weights, reference="definition")


@quick
@given(
    w=st.lists(st.floats(0.05, 1), min_size=2, max_size=4),
    m=st.lists(st.integers(-24, 24), min_size=4, max_size=4, unique=True),
    v=st.floats(0.05, 3),
)
def test_edges_are_where_the_likeliest_component_changes(w, m, v):
    line = gaussian_mixture(w, [[x / 4] for x in m[: len(w)]], v)
    edges, owners = chain_edges(line)
    assert len(owners) == len(edges) + 1
    assert list(edges) == sorted(edges)
    x = torch.linspace(-12, 12, 400, dtype=torch.float64)
    far = [k for k in range(400) if all(abs(float(x[k]) - e) > 1e-3 for e in edges)]
    expected = line.responsibilities(x[:, None]).argmax(-1)[far].tolist()
    got = [owners[int(c)] for c in torch.bucketize(x[far], torch.tensor(edges, dtype=torch.float64))]
    assert got == expected


def test_shares_belong_to_components_not_to_places():
    three = gaussian_mixture([0.3, 0.3, 0.4], [[-3.0, 0.0], [3.0, 0.0], [0.0, 0.0]], 0.2)
    for k, x in enumerate((-3.0, 3.0, 0.0)):
        law = chain_law(three, CrowdStart(x, 0.0, 0.1), [], step_size=0.05, steps_each=2)
        assert law.shares[:, k].tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_who_is_never_the_likeliest_has_no_cell():
    line = gaussian_mixture([1.0, 1e-6, 1.0, 0.5], [[-1.0], [0.0], [1.0], [4.0]], 1.0)
    edges, owners = chain_edges(line)
    assert owners == (0, 2, 3)
    assert edges[0] == pytest.approx(0)
    assert edges[1] == pytest.approx(2.5 + math.log(2) / 3)


@quick
@given(angle=st.floats(0, 6.3), reach=st.floats(0.1, 50), cut=st.floats(-1, 1))
def test_a_start_seen_from_the_side_keeps_its_moments(angle, reach, cut):
    u = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    x, w = start_on_line(SquareStart(reach), u, (cut * reach,))
    assert float(w.sum()) == pytest.approx(1)
    assert float(w @ x) == pytest.approx(0, abs=1e-9 * reach)
    assert float(w @ x**2) == pytest.approx(reach**2 / 3, rel=1e-9)
    x, w = start_on_line(CrowdStart(1.0, -2.0, reach), u)
    middle = math.cos(angle) - 2 * math.sin(angle)
    assert float(w @ x) == pytest.approx(middle, abs=1e-9 * max(1, reach))
    assert float(w @ (x - middle) ** 2) == pytest.approx(reach**2, rel=1e-9)


def test_lines_are_recognised():
    assert line_direction(gaussian_mixture([1, 1], [[0.0, 0.0], [1.0, 1.0]], [0.1, 0.2])) is None
    corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    assert line_direction(gaussian_mixture([1, 1, 1], corners, 0.1)) is None
    three = line_direction(gaussian_mixture([1, 1, 1], [[0.0, 1.0], [2.0, 5.0], [1.0, 3.0]], 0.1))
    assert three.tolist() == pytest.approx([5**-0.5, 2 * 5**-0.5])
    assert line_direction(gaussian_mixture([1.0], [[3.0, 4.0]], 0.1)).tolist() == [1, 0]
    tilted = gaussian_mixture([1.0], [[0.0, 0.0]], torch.tensor([[[2.0, 1.0], [1.0, 2.0]]]))
    assert line_direction(tilted) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chain_law(TOY, SQUARE, [], step_size=0.0, steps_each=3), "stands still"),
        (lambda: chain_law(TOY, SQUARE, [], step_size=9.0, steps_each=3), "diverges"),
        (lambda: chain_law(TOY, SQUARE, [], step_size=1e-5, steps_each=3), "too small"),
        (lambda: chain_law(TOY, SQUARE, [], step_size=0.02, steps_each=10_000), "too many"),
        (
            lambda: chain_law(
                gaussian_mixture([1, 1], [[0.0, 0.0], [1.0, 1.0]], [0.1, 0.2]), SQUARE, [], step_size=0.1, steps_each=1
            ),
            "round",
        ),
        (lambda: start_on_line(SquareStart(0.0), torch.tensor([1.0, 0.0])), "reach"),
        (lambda: start_on_line(CrowdStart(0, 0, math.nan), torch.tensor([1.0, 0.0])), "radius"),
        (lambda: start_on_line(SQUARE, torch.ones(3)), "two numbers"),
        (lambda: chain_edges(TOY), "1-D"),
        (lambda: law_bias(ChainLaw(torch.ones(2, 2), (0.0,), (0, 1)), torch.ones(3)), "one weight"),
    ],
)
def test_what_has_no_law_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
