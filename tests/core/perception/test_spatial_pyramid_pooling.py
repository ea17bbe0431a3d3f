import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.pooling_bins import RULES
from core.perception.spatial_pyramid_pooling import check_features, pyramid_vector, spatial_pyramid_pool
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
SPECIAL = [math.nan, math.inf, -math.inf, 0.0, 1.0, -1.0]


def numbers(seed, shape, kind):
    """Distinct numbers, many ties, or NaN and infinities among ties."""
    rng = np.random.default_rng(seed)
    if kind == "distinct":
        return torch.tensor(rng.permutation(math.prod(shape)).reshape(shape) / 7 - 3.0)
    return torch.tensor(rng.choice(SPECIAL[3 if kind == "ties" else 0 :], shape))


def maps(smallest=1, largest=9):
    return st.builds(
        numbers,
        st.integers(0, 10**6),
        st.tuples(*[st.integers(1, 2)] * 2, *[st.integers(smallest, largest)] * 2),
        st.sampled_from(["distinct", "ties", "special"]),
    )


def compare(pyramid, features, levels, start, receipt):
    """Every number of the vector, its place and its address against the loop's."""
    batch = features.shape[0]
    for b in range(batch):
        expected = oracle.pyramid(features[b].double().numpy(), levels, pyramid.rule, start)
        got = pyramid.vector[b].double().tolist()
        wanted = [value for *_, value, _ in expected]
        receipt(spatial_pyramid_pool, "bin_maximum", got, wanted, reference="loop over bins and cells")
        receipt(
            spatial_pyramid_pool, "vector_length", pyramid.length, len(expected), reference="loop over bins and cells"
        )
        for index, (level, channel, row, column, value, place) in enumerate(expected):
            cell = pyramid.cell(index, image=b)
            assert (cell.index, cell.level, cell.channel, cell.row, cell.column) == (index, level, channel, row, column)
            assert cell.argmax_xy == place
            assert np.array_equal(cell.value, value, equal_nan=True)
            assert pyramid.index(level=level, channel=channel, bin=cell.bin) == index


@quick
@given(x=maps(), levels=st.lists(st.integers(1, 5), min_size=1, max_size=4), start=st.sampled_from(["lowest", "zero"]))
def test_adaptive_pyramids_are_those_of_loops_in_value_place_and_order(x, levels, start, receipt):
    pyramid = spatial_pyramid_pool(x, levels, start=start)
    compare(pyramid, x, levels, start, receipt)
    total = x.shape[1] * sum(n * n for n in levels)
    receipt(
        spatial_pyramid_pool, "expected_length", pyramid.expected_length, total, reference="channels × sum of squares"
    )
    assert pyramid.right_length
    assert pyramid.vector.shape == (x.shape[0], total)


@quick
@given(x=maps(smallest=4), levels=st.lists(st.integers(1, 4), min_size=1, max_size=3), rule=st.sampled_from(RULES[1:]))
def test_the_other_rules_are_those_of_loops(x, levels, rule, receipt):
    pyramid = spatial_pyramid_pool(x, levels, rule=rule)
    compare(pyramid, x, levels, "lowest", receipt)
    assert pyramid.right_length == (pyramid.length == x.shape[1] * sum(n * n for n in levels))


@quick
@given(x=maps(largest=30), levels=st.lists(st.integers(1, 8), min_size=1, max_size=5))
def test_adaptive_pyramids_are_torchs_whatever_nests(x, levels, receipt):
    pyramid = spatial_pyramid_pool(x, levels)
    parts = [torch.nn.functional.adaptive_max_pool2d(x, n).flatten(1) for n in levels]
    receipt(spatial_pyramid_pool, "bin_maximum", pyramid.vector, torch.cat(parts, 1), reference="torch")
    for level, n in zip(pyramid.levels, levels, strict=True):
        assert level.values.shape == level.argmax.shape == (*x.shape[:2], n, n)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["distinct", "ties", "special"])
def test_types_and_memory_layouts_change_nothing(dtype, kind):
    x = numbers(3, (2, 3, 9, 11), kind).to(dtype)
    expected = spatial_pyramid_pool(x.double(), (6, 3, 2, 1))
    wide = torch.zeros(2, 3, 18, 22, dtype=dtype)
    wide[:, :, ::2, ::2] = x
    for same in (x, x.to(memory_format=torch.channels_last), x.mT.contiguous().mT, wide[:, :, ::2, ::2]):
        got = spatial_pyramid_pool(same, (6, 3, 2, 1))
        assert got.vector.dtype == dtype
        assert torch.equal(got.vector.double().nan_to_num(77.0), expected.vector.nan_to_num(77.0))
        for one, other in zip(got.levels, expected.levels, strict=True):
            assert torch.equal(one.argmax, other.argmax)


def test_the_value_is_that_of_the_pixel_it_names():
    x = numbers(5, (2, 3, 12, 10), "special")
    for rule in RULES:
        for level in spatial_pyramid_pool(x, (4, 2, 1), rule=rule).levels:
            taken = x.flatten(2).gather(2, level.argmax.flatten(2).clamp_min(0))
            kept = level.argmax.flatten(2) >= 0
            assert torch.equal(taken[kept].nan_to_num(7.0), level.values.flatten(2)[kept].nan_to_num(7.0))


@quick
@given(
    x=maps(smallest=5, largest=12),
    levels=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    rule=st.sampled_from(RULES),
)
def test_the_vector_alone_is_the_same(x, levels, rule, receipt):
    got = pyramid_vector(x, levels, rule=rule)
    expected = [[value for *_, value, _ in oracle.pyramid(image, levels, rule)] for image in x.numpy()]
    receipt(pyramid_vector, "bin_maximum", got, expected, reference="loop over bins and cells")
    assert torch.equal(got.nan_to_num(7), spatial_pyramid_pool(x, levels, rule=rule).vector.nan_to_num(7))


@pytest.mark.parametrize("rule", RULES)
def test_the_vector_alone_has_a_gradient_that_equal_maxima_share(rule):
    x = torch.tensor([[[[0.0, 3, 1], [2, 3, 3], [1, 1, 1]]]], requires_grad=True)
    pyramid_vector(x, (1,), rule=rule).sum().backward()
    assert x.grad.sum() == 1
    assert not x.grad[x.detach() < 3].any()
    y = numbers(8, (2, 3, 9, 7), "distinct").requires_grad_()
    z = y.detach().clone().requires_grad_()
    weights = torch.rand(2, 63, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pyramid_vector(y).backward(weights)
    spatial_pyramid_pool(z).vector.backward(weights)
    assert torch.allclose(y.grad, z.grad, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_vector_alone_in_any_type_and_layout(dtype):
    x = numbers(3, (2, 3, 9, 11), "special").to(dtype)
    expected = spatial_pyramid_pool(x, (6, 3, 2, 1)).vector.nan_to_num(7)
    for same in (x, x.to(memory_format=torch.channels_last), x.mT.contiguous().mT):
        got = pyramid_vector(same, (6, 3, 2, 1))
        assert got.dtype == dtype
        assert torch.equal(got.nan_to_num(7), expected)
    assert pyramid_vector(x[:0]).shape == (0, 63)
    with pytest.raises(TypeError, match="features must be a floating tensor"):
        pyramid_vector(x.int())
    with pytest.raises(ValueError, match="size must be at least bins = 10 for rule 'paper'"):
        pyramid_vector(x, (10,), rule="paper")


def test_size_never_changes_the_length():
    lengths = {spatial_pyramid_pool(torch.rand(1, 3, h, w)).vector.shape for h in range(1, 30, 3) for w in (1, 5, 28)}
    assert lengths == {(1, 63)}
    wrong = spatial_pyramid_pool(torch.rand(1, 3, 10, 10), (6, 3, 2, 1), rule="paper")
    assert (wrong.length, wrong.expected_length, wrong.right_length) == (3 * (81 + 9 + 4 + 1), 150, False)
    assert spatial_pyramid_pool(torch.rand(1, 3, 13, 13), (6, 3, 2, 1), rule="paper").right_length


def test_channels_last_order_is_bin_by_bin():
    x = numbers(1, (2, 3, 7, 8), "distinct")
    pyramid = spatial_pyramid_pool(x, (2, 3), order="bin_major")
    parts = [torch.nn.functional.adaptive_max_pool2d(x, n).permute(0, 2, 3, 1).flatten(1) for n in (2, 3)]
    assert torch.equal(pyramid.vector, torch.cat(parts, 1))
    seen = set()
    for index in range(pyramid.length):
        cell = pyramid.cell(index, image=1)
        assert cell.value == pyramid.vector[1, index]
        assert pyramid.index(level=cell.level, channel=cell.channel, bin=cell.bin) == index
        seen.add((cell.level, cell.channel, cell.bin))
    assert len(seen) == pyramid.length


def test_levels_stay_in_the_given_order():
    x = numbers(1, (1, 1, 8, 8), "distinct")
    up, down = (spatial_pyramid_pool(x, levels).vector for levels in ((1, 2), (2, 1)))
    assert torch.equal(up[:, :1], down[:, 4:])
    assert torch.equal(up[:, 1:], down[:, :4])


@pytest.mark.parametrize("rule", RULES)
def test_a_window_is_the_part_of_the_map_in_the_maps_own_cells(rule):
    x = numbers(2, (2, 2, 15, 13), "ties")
    x0, y0, x1, y1 = window = (3, 5, 11, 14)
    part = spatial_pyramid_pool(x[:, :, y0:y1, x0:x1], (4, 2, 3), rule=rule)
    got = spatial_pyramid_pool(x, (4, 2, 3), rule=rule, window=window)
    assert torch.equal(got.vector, part.vector)
    assert got.window == window
    assert (got.height, got.width) == (15, 13)
    for index in range(got.length):
        here, there = got.cell(index), part.cell(index)
        assert here.box == (there.box[0] + x0, there.box[1] + y0, there.box[2] + x0, there.box[3] + y0)
        assert here.argmax_xy == (there.argmax_xy and (there.argmax_xy[0] + x0, there.argmax_xy[1] + y0))


def test_one_cell_gives_its_value_to_every_bin():
    x = torch.tensor([[[[3.0]], [[-2.0]]]])
    pyramid = spatial_pyramid_pool(x, (1, 2, 4))
    assert pyramid.vector.tolist() == [[3, -2] + [3] * 4 + [-2] * 4 + [3] * 16 + [-2] * 16]
    assert {pyramid.cell(i).argmax_xy for i in range(pyramid.length)} == {(0, 0)}


def test_negative_maps_are_zero_in_the_released_code_and_come_from_no_pixel():
    x = -torch.ones(1, 1, 4, 4)
    x[0, 0, 0, 0] = 2
    got = spatial_pyramid_pool(x, (2, 1), start="zero")
    assert got.vector.tolist() == [[2, 0, 0, 0, 2]]
    assert [got.cell(i).argmax_xy for i in range(5)] == [(0, 0), None, None, None, (0, 0)]
    assert spatial_pyramid_pool(x, (2, 1)).vector.tolist() == [[2, -1, -1, -1, 2]]


def test_caffes_empty_bins_hold_nothing():
    got = spatial_pyramid_pool(torch.ones(1, 1, 5, 5), (4, 2), rule="caffe")
    assert got.levels[0].values[0, 0, 0].tolist() == [-math.inf] * 4
    assert got.levels[0].argmax[0, 0, 0].tolist() == [-1] * 4
    assert got.cell(0).argmax_xy is None
    infinite = spatial_pyramid_pool(torch.full((1, 1, 3, 3), -math.inf), (4, 2, 1), rule="caffe")
    assert infinite.levels[-1].argmax.item() == 0  # −inf from a pixel, not from an empty bin


def test_of_equal_maxima_the_first_pixel_wins_even_if_a_later_bin_holds_it():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 3] = x[0, 0, 1, 0] = 1  # the left bin's pixel lies a row below the right bin's
    got = spatial_pyramid_pool(x, (2, 1))
    assert got.levels[1].nested_from == 0
    assert got.cell(4).argmax_xy == (3, 0)


def test_of_several_nan_the_first_is_named():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = math.nan
    assert spatial_pyramid_pool(x, (2,)).cell(0).argmax_xy == (1, 0)
    assert spatial_pyramid_pool(x, (1,), rule="paper").cell(0).argmax_xy == (1, 0)


@pytest.mark.parametrize("kind", ["ties", "special"])
@pytest.mark.parametrize("rule", RULES)
def test_the_gradient_goes_to_the_named_pixels(rule, kind):
    x = numbers(4, (2, 2, 12, 9), kind).requires_grad_()
    pyramid = spatial_pyramid_pool(x, (4, 2, 1), rule=rule)
    weights = torch.arange(1.0, pyramid.length + 1, dtype=torch.float64)
    pyramid.vector.backward(weights.expand(2, -1))
    expected = torch.zeros_like(x)
    for b in range(2):
        for i in range(pyramid.length):
            cell = pyramid.cell(i, image=b)
            if cell.argmax_xy:
                expected[b, cell.channel, cell.argmax_xy[1], cell.argmax_xy[0]] += weights[i]
    assert torch.equal(x.grad, expected)


def test_what_is_read_is_counted(receipt):
    for h, w, levels in ((64, 64, (6, 3, 2, 1)), (13, 10, (4, 2, 1)), (7, 9, (3, 2)), (5, 5, (2, 2))):
        pyramid = spatial_pyramid_pool(torch.rand(1, 2, h, w), levels)
        cells = [int(oracle.read_counts(h, w, n, "adaptive").sum()) for n in levels]
        receipt(
            spatial_pyramid_pool, "cells_read", pyramid.cells_read, sum(cells), reference="loop over bins and cells"
        )
        finer = {
            (6, 3, 2, 1): [cells[0], 36, 36, 4],
            (4, 2, 1): [cells[0], 16, 4],
            (3, 2): cells,
            (2, 2): [cells[0], 4],
        }[levels]
        receipt(
            spatial_pyramid_pool, "values_read", pyramid.values_read, sum(finer), reference="bins of the finer level"
        )
        assert [level.values_read for level in pyramid.levels] == finer
        assert [level.cells_read for level in pyramid.levels] == cells


def test_an_empty_batch_stays_empty():
    assert spatial_pyramid_pool(torch.zeros(0, 2, 5, 5)).vector.shape == (0, 42)


def test_the_argument_is_left_alone():
    x = numbers(9, (1, 2, 6, 7), "special")
    before = x.clone()
    got = spatial_pyramid_pool(x, (3, 1), start="zero")
    got.vector.fill_(5)
    assert torch.equal(x.nan_to_num(3), before.nan_to_num(3))


def test_mistakes_are_named():
    good = torch.rand(1, 2, 8, 8)
    for bad in (good.long(), good.numpy(), None):
        with pytest.raises(TypeError, match="features must be a floating tensor"):
            spatial_pyramid_pool(bad)
    for bad in (good[0], good[..., :0], good[:, :0], good[:, :, :0]):
        with pytest.raises(ValueError, match=r"features must be \(batch, channels, height, width\)"):
            spatial_pyramid_pool(bad)
    for bad in ((), (0,), (1, -2)):
        with pytest.raises(ValueError, match="levels must"):
            spatial_pyramid_pool(good, bad)
    for bad in ((0, 0, 9, 8), (-1, 0, 4, 4), (0, 0, 0, 4), (3, 3, 2, 4), (0, 5, 4, 5), (0, 0, 8, 9), (0, -1, 4, 4)):
        with pytest.raises(ValueError, match="window must be half-open cells"):
            spatial_pyramid_pool(good, window=bad)
    with pytest.raises(ValueError, match="order must be one of"):
        spatial_pyramid_pool(good, order="torch")
    with pytest.raises(ValueError, match="start one of"):
        spatial_pyramid_pool(good, start=0)
    with pytest.raises(ValueError, match="size must be at least bins = 9 for rule 'paper'"):
        spatial_pyramid_pool(good, (1, 9), rule="paper")
    with pytest.raises(ValueError, match="size must be at least bins = 6 for rule 'paper'"):
        spatial_pyramid_pool(good[..., :5], (1, 6), rule="paper")
    with pytest.raises(ValueError, match="rule must be one of"):
        spatial_pyramid_pool(good, rule="torch")
    pyramid = spatial_pyramid_pool(good, (1, 2))
    for bad in (-1, 10):
        with pytest.raises(IndexError, match="index must be from 0 to 9"):
            pyramid.cell(bad)
    for bad in ({"level": 1, "channel": 2, "bin": 0}, {"level": 1, "channel": 0, "bin": 4}):
        with pytest.raises(IndexError, match="channel must be below 2 and bin below 4"):
            pyramid.index(**bad)


def test_the_interface_refuses_what_it_could_not_explain():
    check_features(torch.rand(1, 1, 4, 5), (1, 2, 4))
    for shape in ((1, 1, 3, 9), (1, 1, 9, 3)):
        with pytest.raises(ValueError, match=r"at least 4 rows and columns .* use a larger image, a smaller stride"):
            check_features(torch.rand(shape), (1, 4, 2))
    x = torch.rand(1, 1, 4, 4)
    x[0, 0, 0, :3] = torch.tensor([math.nan, math.inf, -math.inf])
    with pytest.raises(ValueError, match="features must be finite, got 3 of 16 that are NaN or infinite"):
        check_features(x, (1,))
    with pytest.raises(ValueError, match="levels"):
        check_features(x, ())
    with pytest.raises(TypeError, match="features"):
        check_features(x.int(), (1,))
