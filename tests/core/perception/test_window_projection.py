import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.window_projection import project_window
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
sides = st.lists(st.one_of(st.integers(-40, 400), st.floats(-40, 400)), min_size=2, max_size=2).map(sorted)


def record(got, cells, receipt, reference):
    x0, y0, x1, y1 = cells
    receipt(project_window, "first_cell", (got.x.first, got.y.first), (x0, y0), reference=reference)
    receipt(project_window, "last_cell", (got.x.last, got.y.last), (x1, y1), reference=reference)
    receipt(project_window, "cells_wide", got.x.cells, len(range(x0, x1 + 1)), reference=reference)
    receipt(project_window, "cells_high", got.y.cells, len(range(y0, y1 + 1)), reference=reference)
    both = [(y, x) for y in range(y0, y1 + 1) for x in range(x0, x1 + 1)]
    receipt(project_window, "cells", got.cells, len(both), reference=reference)
    assert got.cells_xyxy == (x0, y0, x1 + 1, y1 + 1)
    assert got.collapsed == (len(both) == 1)


@quick
@given(
    xs=sides,
    ys=sides,
    model=st.sampled_from([(16, 21, 6.5), (12, 15, 6.5), (8, 1, 4.5), (16, 0, 6.0)]),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_the_codes_cells_are_those_of_its_own_lines(xs, ys, model, size, receipt):
    stride, offset0, offset = model
    box = xs[0], ys[0], xs[1], ys[1]
    got = project_window(box, stride=stride, rule="code", map_size=size, first_centre=offset0 - 1, offset=offset)
    x = oracle.released_cells(xs[0] + 1, xs[1] + 1, stride, offset0, offset, size[1])
    y = oracle.released_cells(ys[0] + 1, ys[1] + 1, stride, offset0, offset, size[0])
    record(got, (x[0] - 1, y[0] - 1, x[1] - 1, y[1] - 1), receipt, "the released code, line by line")


@quick
@given(xs=sides, ys=sides, stride=st.integers(1, 40), size=st.tuples(st.integers(1, 30), st.integers(1, 30)))
def test_the_papers_cells_are_those_whose_centres_lie_inside(xs, ys, stride, size, receipt):
    box = xs[0], ys[0], xs[1], ys[1]
    got = project_window(box, stride=stride, map_size=size)
    expected = []
    for axis, (low, high), n in ((got.x, xs, size[1]), (got.y, ys, size[0])):
        inside = oracle.inner_cells(low, high, stride, 200)
        assert axis.crossed == (not inside)
        if inside:
            assert (axis.rounded_first, axis.rounded_last) == (inside[0], inside[-1])
        else:
            assert axis.rounded_first * stride > low
            assert axis.rounded_last * stride < high
            inside = [math.floor((axis.rounded_first + axis.rounded_last) / 2)]
        expected.append((min(max(inside[0], 0), n - 1), min(max(inside[-1], 0), n - 1)))
    (x0, x1), (y0, y1) = expected
    record(got, (x0, y0, x1, y1), receipt, "looking at every cell's centre")


@quick
@given(xs=sides, ys=sides, stride=st.integers(1, 40), rule=st.sampled_from(["paper", "code"]))
def test_the_cells_cover_squares_around_their_centres(xs, ys, stride, rule, receipt):
    box = xs[0], ys[0], xs[1], ys[1]
    got = project_window(box, stride=stride, rule=rule, first_centre=3.0, map_size=(50, 50))
    x0, y0, x1, y1 = got.cells_xyxy
    centres = [(3 + i * stride, 3 + j * stride) for i in (x0, x1 - 1) for j in (y0, y1 - 1)]
    low, high = min(centres), max(centres)
    half = stride / 2
    assert got.covered_xyxy == pytest.approx((low[0] - half, low[1] - half, high[0] + half, high[1] + half))
    a, b = box, got.covered_xyxy
    common = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    receipt(project_window, "iou", got.iou, common / union, reference="areas")
    assert 0 <= got.iou <= 1
    assert got.x.exact_start == pytest.approx((xs[0] - 3) / stride)
    assert got.y.exact_end == pytest.approx((ys[1] - 3) / stride)
    assert (got.x.start, got.x.end, got.y.start, got.y.end) == (*xs, *ys)
    assert got.box_xyxy == box


def test_both_rules_agree_at_whole_pixels_if_the_offset_is_half_a_stride_and_a_half():
    for stride in (8, 12, 16):
        for low in range(0, 60):
            for high in range(low, 90, 7):
                box = (low, low, high, high)
                one = project_window(box, stride=stride)
                other = project_window(box, stride=stride, rule="code", offset=(stride + 1) / 2)
                assert one.cells_xyxy == other.cells_xyxy


def test_halves_round_up_on_the_left_and_down_on_the_right():
    for double in range(0, 160):
        low, high = double / 2, double / 2 + 40
        got = project_window((low, low, high, high), stride=12, rule="code", map_size=(30, 30), offset=6.0)
        first, last = oracle.released_cells(low + 1, high + 1, 12, 1, 6.0, 30)
        assert (got.x.first, got.x.last) == (first - 1, last - 1)


def test_small_boxes_collapse_and_lose_their_shape():
    small = project_window((20, 40, 24, 47), stride=16, map_size=(13, 13))
    assert small.collapsed
    assert small.x.crossed
    assert small.y.crossed
    other = project_window((25, 42, 31, 46), stride=16, map_size=(13, 13))
    assert other.cells_xyxy == small.cells_xyxy
    assert not project_window((15, 15, 33, 33), stride=16).collapsed
    released = project_window((19, 19, 23, 23), stride=12, rule="code", first_centre=14)  # x from 20 to 24 of the code
    assert released.cells_xyxy == (0, 0, 1, 1)
    flat = project_window((0, 32, 160, 32), stride=16, map_size=(13, 13))
    assert (flat.y.cells, flat.x.cells, flat.collapsed) == (1, 9, False)
    assert flat.iou == 0
    assert (flat.y.rounded_first, flat.y.rounded_last, flat.y.first) == (3, 1, 2)  # the mean, neither of the two


def test_the_smallest_number_is_beyond_a_centre():
    assert project_window((-1, -1, 5e-324, 5e-324), stride=2).cells_xyxy == (0, 0, 1, 1)
    assert project_window((-5e-324, -5e-324, 1, 1), stride=2).cells_xyxy == (0, 0, 1, 1)


def test_without_a_map_nothing_is_clamped():
    assert project_window((-100, -50, 900, 20), stride=16).cells_xyxy == (-6, -3, 57, 2)
    assert project_window((-100, -50, 900, 20), stride=16, map_size=(4, 5)).cells_xyxy == (0, 0, 5, 2)


def test_the_first_centre_moves_both_rules():
    for rule in ("paper", "code"):
        moved = project_window((40, 50, 100, 130), stride=16, rule=rule, first_centre=20)
        still = project_window((20, 30, 80, 110), stride=16, rule=rule)
        assert moved.cells_xyxy == still.cells_xyxy


def test_mistakes_are_named():
    for bad in ((1, 2, 3), (0, 0, math.nan, 4), (0, 0, math.inf, 4), (4, 0, 3, 4), (0, 4, 3, 3)):
        with pytest.raises(ValueError, match="box_xyxy must be four finite numbers"):
            project_window(bad, stride=16)
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="stride must be a whole number"):
            project_window((0, 0, 4, 4), stride=bad)
    with pytest.raises(ValueError, match="rule must be one of paper, code"):
        project_window((0, 0, 4, 4), stride=4, rule="roi_align")
    with pytest.raises(ValueError, match="map_size must be"):
        project_window((0, 0, 4, 4), stride=4, map_size=(0, 4))
    for bad in ({"first_centre": math.nan}, {"offset": math.inf}):
        with pytest.raises(ValueError, match="first_centre and offset must be finite"):
            project_window((0, 0, 4, 4), stride=4, **bad)
