import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.generative.chain_law import CrowdStart, SquareStart
from core.generative.langevin import LangevinStep, annealed_langevin, langevin, smoothed_score
from core.generative.mixtures import gaussian_mixture
from core.generative.walks import group_weights, kept_states, landscape, record_walk, start_points
from tests.oracles import diffusion as diffusion_oracle
from tests.oracles import langevin_chains as oracle

THREE = gaussian_mixture([0.5, 0.3, 0.2], [[3.0, 0.0], [-3.0, 1.0], [0.0, -3.0]], [0.5, 1.0, 0.25])
GROUPS = torch.tensor([0, 1, 1])
quick = settings(deadline=None, max_examples=25)


def walk_of(n=60, kept=(0, 10, 20), **options):
    x = start_points(SquareStart(4.0), n, seed=2)
    return record_walk(langevin(THREE.score, x, step_size=0.1, steps=20, seed=2), kept, THREE, GROUPS, **options)


def test_particles_are_counted_where_they_are_likeliest_from(receipt):
    walk = walk_of()
    weights, means, variances = THREE.weights.tolist(), THREE.means.tolist(), THREE.variances[:, 0].tolist()
    for k in range(3):
        homes = [GROUPS[i].item() for i in oracle.likeliest(walk.x[k].tolist(), weights, means, variances)]
        assert walk.homes[k].tolist() == homes
        counts = np.bincount(homes, minlength=2)
        receipt(record_walk, "share", walk.shares[k], counts / 60, reference="counting, by loops")
        moved = np.mean([a != b for a, b in zip(homes, walk.homes[0].tolist(), strict=True)])
        receipt(record_walk, "moved", walk.moved[k], moved, reference="counting, by loops")
    assert walk.particles == 60
    assert walk.lost == 0
    assert float(walk.moved[-1]) > 0


def test_kept_states_are_the_chains_own():
    x = start_points(SquareStart(4.0), 7, seed=0)
    steps = list(
        annealed_langevin(smoothed_score(THREE), x, [2.0, 1.0], step_size=0.1, steps_each=5, seed=0, final_denoise=True)
    )
    walk = record_walk(iter(steps), kept_states(2, 5, 4), THREE, GROUPS)
    assert walk.indices == (0, 2, 5, 7, 10, 11)  # and the final denoising
    for k, i in enumerate(walk.indices):
        assert torch.equal(walk.x[k], steps[i].x)
        seen = (walk.sigmas[k], walk.levels[k], walk.drifts[k], walk.noises[k])
        assert seen == (steps[i].sigma, steps[i].level, steps[i].drift, steps[i].noise)


def test_runaways_are_lost_and_the_rest_is_counted():
    x = torch.tensor([[3.0, 0.0], [1e9, 0.0], [math.nan, 0.0], [math.inf, 1.0]], dtype=torch.float64)
    walk = record_walk([LangevinStep(0, 0, 0.0, x, 0.0, 0.0)], [0], THREE, GROUPS, reach=100.0)
    assert walk.lost == 3
    assert int(walk.counts.sum()) == 4


@quick
@given(levels=st.integers(1, 30), each=st.integers(1, 300), most=st.integers(1, 90))
def test_every_level_keeps_its_end(levels, each, most):
    kept = kept_states(levels, each, most)
    assert kept[0] == 0
    assert list(kept) == sorted(set(kept))
    assert {each * (k + 1) for k in range(levels)} <= set(kept)
    assert len(kept) <= 1 + max(most, levels)
    if each <= most // levels:
        assert kept == tuple(range(levels * each + 1))


@quick
@given(n=st.integers(1, 40), more=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_start_never_depends_on_the_number_of_particles(n, more, seed):
    for start in (SquareStart(8.0), CrowdStart(1.0, -2.0, 0.5)):
        few, many = start_points(start, n, seed=seed), start_points(start, n + more, seed=seed)
        assert torch.equal(few, many[:n])


def test_starts_are_where_they_are_said_to_be():
    square = start_points(SquareStart(8.0), 20000, seed=0)
    assert float(square.abs().max()) <= 8
    assert square.mean(0).tolist() == pytest.approx([0, 0], abs=0.15)
    assert square.var(0).tolist() == pytest.approx([64 / 3] * 2, rel=0.03)
    crowd = start_points(CrowdStart(1.0, -2.0, 0.5), 20000, seed=0)
    assert crowd.mean(0).tolist() == pytest.approx([1, -2], abs=0.02)
    assert crowd.std(0).tolist() == pytest.approx([0.5] * 2, rel=0.03)
    assert not torch.equal(start_points(SquareStart(8.0), 3, seed=1), square[:3])


def test_groups_weigh_what_their_components_do(receipt):
    receipt(group_weights, "weight", group_weights(THREE, GROUPS), [0.5, 0.5], reference="sum by hand")
    assert group_weights(THREE, torch.tensor([2, 0, 0])).tolist() == pytest.approx([0.5, 0, 0.5])


def test_landscapes_are_heights_and_slopes():
    seen = landscape(THREE, [0.0, 2.0], reach=4.0, cells=8, arrows=3)
    assert seen.heights.shape == (2, 8, 8)
    assert seen.heights.amax((1, 2)).tolist() == [0, 0]
    assert seen.places.tolist()[0] == pytest.approx([-8 / 3, 8 / 3])
    example = (THREE.weights, THREE.means, torch.diag_embed(THREE.variances))
    for k, sigma in enumerate((0.0, 2.0)):
        slope = diffusion_oracle.autograd_score(*example, seen.places, 1.0, sigma)
        assert torch.allclose(seen.arrows[k], torch.as_tensor(slope), atol=1e-9)
    corner = THREE.log_prob(torch.tensor([[-3.5, 3.5], [3.5, -3.5]], dtype=torch.float64))
    apart = float(seen.heights[0, 0, 0] - seen.heights[0, 7, 7])
    assert apart == pytest.approx(float(corner[0] - corner[1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: start_points(SquareStart(1.0), 0, seed=0), "particles"),
        (lambda: kept_states(0, 5, 5), "levels"),
        (lambda: kept_states(1, 5, 0), "most"),
        (lambda: walk_of(kept=()), None),
        (lambda: record_walk([], (0,), THREE, GROUPS), "kept"),
        (lambda: record_walk([], (0,), THREE, GROUPS[:2]), "one group"),
        (lambda: group_weights(THREE, GROUPS[:2]), "one group"),
        (lambda: landscape(THREE, [], reach=1.0, cells=2, arrows=2), "positive"),
        (lambda: landscape(THREE, [-1.0], reach=1.0, cells=2, arrows=2), "negative"),
        (lambda: landscape(gaussian_mixture([1.0], [[0.0]], 1.0), [1.0], reach=1.0, cells=2, arrows=2), "2 dimensions"),
    ],
)
def test_what_makes_no_walk_is_refused(call, message):
    if message is None:  # nothing named: every state is beyond the last of none
        assert len(call().indices) == 21
        return
    with pytest.raises(ValueError, match=message):
        call()
