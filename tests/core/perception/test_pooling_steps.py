import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.pooling_bins import RULES
from core.perception.pooling_steps import pooling_steps
from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def channels(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = draw(st.sampled_from([[0.0, 1.0], [math.nan, math.inf, -math.inf, 0.0], list(np.arange(90.0))]))
    return rng.choice(values, (draw(st.integers(4, 10)), draw(st.integers(4, 10))))


@quick
@given(x=channels(), levels=st.lists(st.integers(1, 4), min_size=1, max_size=3), rule=st.sampled_from(RULES))
def test_the_last_step_is_the_pyramid_of_loops_and_of_the_tensor_function(x, levels, rule, receipt):
    steps = list(pooling_steps(x, levels, rule=rule))
    expected = oracle.pyramid(x[None], levels, rule)
    wanted = [value for *_, value, _ in expected]
    receipt(pooling_steps, "bin_maximum", steps[-1].vector, wanted, reference="loop over bins and cells")
    pyramid = spatial_pyramid_pool(torch.tensor(x)[None, None], levels, rule=rule)
    assert np.array_equal(steps[-1].vector, pyramid.vector[0].numpy(), equal_nan=True)
    assert [step.index for step in steps] == list(range(len(expected) + 1))
    for step in steps[1:]:
        position = pyramid.index(level=step.level, channel=0, bin=step.bin)
        cell = pyramid.cell(position)
        assert (step.box, step.argmax_xy) == (cell.box, cell.argmax_xy)
        assert step.argmax_xy == expected[position][-1]
        assert np.array_equal(step.value, cell.value, equal_nan=True)
        assert step.source_level == pyramid.levels[step.level].nested_from


def test_steps_fill_the_vector_one_by_one_and_never_change_afterwards():
    x = np.arange(30.0).reshape(5, 6)
    steps = list(pooling_steps(x, (1, 2, 3)))
    assert len(steps) == 15
    first = steps[0]
    assert (first.level, first.bin, first.box, first.argmax_xy, first.source_bins) == (None, None, None, None, ())
    assert math.isnan(first.value)
    for before, after in pairwise(steps):
        changed = ~((before.vector == after.vector) | (np.isnan(before.vector) & np.isnan(after.vector)))
        assert changed.sum() == 1
        assert after.vector[changed] == after.value
        assert np.isnan(after.vector).sum() == 14 - after.index
    assert np.isnan(first.vector).all()


def test_fine_levels_come_first_and_coarse_ones_name_their_bins():
    steps = list(pooling_steps(np.arange(64.0).reshape(8, 8), (1, 2, 4)))
    assert [step.level for step in steps[1:]] == [2] * 16 + [1] * 4 + [0]
    assert steps[18].source_level == 2
    assert steps[18].source_bins == (2, 3, 6, 7)
    assert steps[-1].source_bins == (0, 1, 2, 3)
    assert steps[1].source_bins == ()


def test_an_infinite_pixel_is_named_and_not_an_empty_bin():
    steps = list(pooling_steps(np.full((3, 3), -math.inf), (4, 2, 1), rule="caffe"))
    assert [step.source_level for step in steps[17:]] == [0, 0, 0, 0, 1]
    assert steps[1].argmax_xy is None
    assert [step.argmax_xy for step in steps[17:]] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]


def test_the_argument_is_left_alone_and_half_precision_is_read():
    x = np.arange(16, dtype=np.float16).reshape(4, 4)
    before = x.copy()
    assert list(pooling_steps(x, (1,)))[-1].vector == 15
    assert np.array_equal(x, before)


def test_mistakes_are_named_at_the_call():
    x = np.zeros((4, 4))
    with pytest.raises(TypeError, match="channel must hold floats"):
        pooling_steps(x.astype(int))
    for bad in (x[0], x[:0], x[None]):
        with pytest.raises(ValueError, match="channel must be"):
            pooling_steps(bad)
    with pytest.raises(ValueError, match="levels must"):
        pooling_steps(x, ())
    with pytest.raises(ValueError, match="size must be at least bins = 5"):
        pooling_steps(x, (5,), rule="paper")
    with pytest.raises(ValueError, match="rule"):
        pooling_steps(x, rule="torch")
