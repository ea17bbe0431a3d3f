import math

import numpy as np
import pytest
import torch
from scipy import stats

from core.generative.lanes import three_lanes
from core.generative.mixtures import gaussian_mixture
from core.generative.plane import component_groups, group_shares, lane_histograms, view_density, view_scale
from core.generative.sde import EDM, VE, VP, SubVP
from core.generative.shapes import shape_mixture
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
PROCESSES = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(), "EDM": EDM()}


@pytest.mark.parametrize("kind", PROCESSES)
def test_unit_data_fill_the_view_at_every_time(kind, receipt):
    process = PROCESSES[kind]
    for t in (process.eps, 0.3, process.T):
        alpha, sigma = oracle.SCALES[kind](t)
        scale = view_scale(process, t)
        receipt(view_scale, "scale", scale, (alpha**2 + sigma**2) ** -0.5, reference="by hand")
        assert scale <= 1.2


@pytest.mark.parametrize("kind", PROCESSES)
def test_the_density_is_that_of_what_is_drawn(kind, receipt):
    """In the view's own coordinates, a sum over the cells is the probability."""
    process, reach, cells = PROCESSES[kind], 6.0, 60
    times = [process.eps + 0.1, 0.5 * process.T, process.T]
    sheets = view_density(PLANE, process, times, reach=reach, cells=cells)
    assert sheets.shape == (3, cells, cells)
    area = (2 * reach / cells) ** 2
    assert torch.allclose(sheets.sum((1, 2)) * area, torch.ones(3, dtype=torch.float64), atol=0.02)
    for sheet, t in zip(sheets, times, strict=True):
        alpha, sigma = oracle.SCALES[kind](t)
        c = (alpha**2 + sigma**2) ** -0.5
        for row, column in ((0, 0), (20, 41), (37, 12)):
            x, y = -reach + (column + 0.5) * 2 * reach / cells, reach - (row + 0.5) * 2 * reach / cells
            expected = sum(
                w
                * stats.multivariate_normal(
                    c * alpha * np.array(m), c * c * (alpha**2 * np.array(v) + sigma**2 * np.eye(2))
                ).pdf([x, y])
                for w, m, v in zip(*oracle.PLANE, strict=True)
            )
            receipt(view_density, "density", sheet[row, column], expected, reference="scipy", tolerance=1e-9)
    assert view_density(PLANE, process, [], reach=1, cells=2).shape == (0, 2, 2)


def test_few_components_are_groups_of_their_own_and_many_are_sectors():
    assert component_groups(PLANE).tolist() == list(range(PLANE.components))
    ring = shape_mixture("ring")
    expected = [int((math.degrees(math.atan2(y, x)) % 360) // 90) for x, y in (ring.means - ring.mean).tolist()]
    assert component_groups(ring, most=5).tolist() == expected
    assert set(expected) == {0, 1, 2, 3}
    shifted = gaussian_mixture([1.0] * 4, [[11.0, 11.0], [9.0, 11.0], [9.0, 9.0], [11.0, 9.0]], 0.1)
    assert component_groups(shifted, most=1).tolist() == [0, 1, 2, 3]
    line = gaussian_mixture([1.0] * 7, [[float(k)] for k in range(7)], 0.1)
    assert component_groups(line).tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_shares_are_counted(receipt):
    ring = shape_mixture("ring")
    lanes = three_lanes(ring, VP(), particles=200, steps=20, seed=3)
    groups = component_groups(ring)
    found = group_shares(ring, lanes, groups)
    ends = {"forward": lanes.origin, "reverse": lanes.reverse_end, "flow": lanes.flow_end}
    for name, end in ends.items():
        counted = [sum(int(groups[k]) == g for k in end.tolist()) for g in range(4)]
        receipt(group_shares, name, getattr(found, name), counted, reference="counting")
        assert sum(counted) == found.particles == 200
    weights = [sum(w for w, g in zip(ring.weights.tolist(), groups.tolist(), strict=True) if g == k) for k in range(4)]
    receipt(group_shares, "weight", found.weight, weights, reference="by hand")
    assert found.groups == 4
    assert not torch.equal(found.forward, found.reverse)


@pytest.mark.parametrize("kind", ["VP", "VE"])
def test_histograms_are_numpys_and_the_exact_ones_are_probabilities(kind, receipt):
    process = PROCESSES[kind]
    lanes = three_lanes(PLANE, process, particles=300, steps=12, seed=1)
    found = lane_histograms(lanes, PLANE, process, direction=[1.0, 2.0], bins=14, reach=1.4)
    u, edges = np.array([1.0, 2.0]) / math.sqrt(5), np.linspace(-1.4, 1.4, 15)
    outside = 0
    for i in (0, 6, 12):
        alpha, sigma = oracle.SCALES[kind](float(lanes.times[i]))
        c = (alpha**2 + sigma**2) ** -0.5
        for name in ("forward", "reverse", "flow"):
            at = getattr(lanes, name)[i].numpy() @ u * c
            counted = np.histogram(at, edges)[0] / (300 * 0.2)
            receipt(lane_histograms, name, getattr(found, name)[i], counted, reference="numpy")
            outside += int((abs(at) > 1.4).sum())
        cdf = sum(
            w
            * stats.norm(c * alpha * (u @ np.array(m)), c * math.sqrt(alpha**2 * (u @ np.array(v) @ u) + sigma**2)).cdf(
                edges
            )
            for w, m, v in zip(*oracle.PLANE, strict=True)
        )
        receipt(lane_histograms, "exact", found.exact[i], np.diff(cdf) / 0.2, reference="scipy", tolerance=1e-9)
    assert outside > 20


def test_what_cannot_be_drawn_is_said():
    line, lanes = gaussian_mixture([1.0], [[0.0]], 1.0), three_lanes(PLANE, VP(), particles=3, steps=2, seed=0)
    with pytest.raises(ValueError, match="2 dimensions, got 1"):
        view_density(line, VP(), [0.5], reach=1, cells=3)
    for reach, cells in ((0, 3), (1, 0), (math.nan, 3)):
        with pytest.raises(ValueError, match="positive"):
            view_density(PLANE, VP(), [0.5], reach=reach, cells=cells)
    with pytest.raises(ValueError, match="most"):
        component_groups(PLANE, most=0)
    with pytest.raises(ValueError, match="one group per component"):
        group_shares(PLANE, lanes, torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="positive"):
        lane_histograms(lanes, PLANE, VP(), direction=[1.0, 0.0], bins=0)
