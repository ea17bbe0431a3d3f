import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.pooling_bins import RULES, bin_report
from core.perception.pyramid_bins import (
    check_levels,
    finest_first,
    level_bins,
    nested_bins,
    nested_levels,
    pyramid_bins,
)
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(h=st.integers(4, 20), w=st.integers(4, 20), n=st.integers(1, 4), rule=st.sampled_from(RULES))
def test_cells_are_counted_like_a_loop_over_bins(h, w, n, rule, receipt):
    level = level_bins(h, w, n, rule=rule)
    expected = oracle.read_counts(h, w, n, rule)
    assert np.array_equal(level.reads, expected)
    bins = len(oracle.rows(h, n, rule)) * len(oracle.rows(w, n, rule))
    receipt(level_bins, "windows", level.windows, bins, reference="loop over bins and cells")
    receipt(level_bins, "unread_cells", level.unread_cells, (expected == 0).sum(), reference="loop over bins and cells")
    receipt(level_bins, "shared_cells", level.shared_cells, (expected > 1).sum(), reference="loop over bins and cells")
    assert level.wanted == n * n
    columns = len(oracle.rows(w, n, rule))
    for k, (x0, y0, x1, y1) in enumerate(level.boxes):
        assert list(range(y0, y1)) == oracle.rows(h, n, rule)[k // columns]
        assert list(range(x0, x1)) == oracle.rows(w, n, rule)[k % columns]


def test_a_level_agrees_or_counts_right_only_if_both_axes_do():
    assert level_bins(13, 13, 6, rule="paper").agrees
    assert not level_bins(13, 10, 6, rule="paper").agrees
    assert not level_bins(10, 13, 6, rule="paper").agrees
    assert not level_bins(10, 13, 6, rule="paper").right_count
    assert not level_bins(13, 10, 6, rule="paper").right_count
    assert level_bins(13, 10, 6, rule="paper").columns == bin_report(10, 6, rule="paper")


def test_a_pyramid_adds_its_levels(receipt):
    for levels in ((1, 2, 4), (6, 3, 2, 1), (5,), (2, 2)):
        for h, w in ((10, 10), (13, 9), (40, 31)):
            for rule in RULES:
                pyramid = pyramid_bins(h, w, levels, rule=rule)
                bins = sum(len(oracle.rows(h, n, rule)) * len(oracle.rows(w, n, rule)) for n in levels)
                receipt(pyramid_bins, "bins", pyramid.windows, bins, reference="loop over bins")
                receipt(
                    pyramid_bins, "wanted_bins", pyramid.wanted, sum(n * n for n in levels), reference="sum of squares"
                )
                assert pyramid.right_count == all(level.right_count for level in pyramid.levels)
                assert (pyramid.height, pyramid.width, pyramid.rule) == (h, w, rule)
                assert [level.level for level in pyramid.levels] == list(levels)
    assert pyramid_bins(9, 9, (6, 3, 2, 1)).wanted == 50
    assert pyramid_bins(9, 9).wanted == 21
    assert not pyramid_bins(10, 10, (1, 6), rule="paper").right_count


@quick
@given(h=st.integers(1, 60), w=st.integers(1, 60), n=st.integers(1, 6), k=st.integers(1, 5))
def test_an_adaptive_level_nests_in_every_multiple_at_every_size(h, w, n, k):
    fine, coarse = level_bins(h, w, n * k), level_bins(h, w, n)
    assert nested_levels([fine, coarse]) == (None, 0)
    for number, (x0, y0, x1, y1) in enumerate(coarse.boxes):
        parts = [fine.boxes[i] for i in nested_bins(fine, coarse, number)]
        assert len(parts) == k * k
        covered = {(y, x) for a, b, c, d in parts for y in range(b, d) for x in range(a, c)}
        assert covered == {(y, x) for y in range(y0, y1) for x in range(x0, x1)}


def test_levels_nest_in_the_coarsest_level_that_will_do():
    assert pyramid_bins(13, 11, (6, 3, 2, 1)).nested_from == (None, 0, 0, 2)
    assert pyramid_bins(13, 11, (1, 2, 4)).nested_from == (1, 2, None)
    assert pyramid_bins(13, 11, (3, 2)).nested_from == (None, None)
    assert pyramid_bins(12, 12, (2, 2, 2)).nested_from == (None, 0, 0)


def test_levels_are_pooled_after_what_they_are_taken_from():
    for levels in ((1, 2, 4), (6, 3, 2, 1), (2, 5, 2, 1)):
        plan = pyramid_bins(13, 11, levels)
        order = finest_first(plan.levels)
        assert sorted(order) == list(range(len(levels)))
        for i, source in enumerate(plan.nested_from):
            assert source is None or order.index(source) < order.index(i)


def test_other_rules_nest_only_where_their_bins_say_so():
    assert pyramid_bins(12, 12, (4, 2), rule="paper").nested_from == (None, 0)
    assert pyramid_bins(10, 10, (4, 2), rule="paper").nested_from == (None, None)  # row 9 is not in the fine bins
    assert pyramid_bins(12, 10, (4, 2), rule="paper").nested_from == (None, None)
    assert pyramid_bins(10, 12, (4, 2), rule="paper").nested_from == (None, None)
    assert pyramid_bins(3, 3, (4, 1), rule="paper").nested_from == (None, None)
    with pytest.raises(ValueError, match="coarse must nest in fine"):
        nested_bins(level_bins(10, 10, 4, rule="paper"), level_bins(10, 10, 2, rule="paper"), 0)


def test_a_gap_between_fine_bins_is_seen():
    """Caffe's bins never leave one; bins that skip rows inside a coarse bin must not be taken for it."""
    fine = level_bins(4, 4, 2)
    gap = dataclasses.replace(fine.rows, edges=((0, 1), (3, 4)))
    assert nested_levels([dataclasses.replace(fine, rows=gap), level_bins(4, 4, 1)]) == (None, None)


@pytest.mark.parametrize(
    ("levels", "error", "words"),
    [
        ((), ValueError, "levels must list at least one"),
        ([], ValueError, "levels must list at least one"),
        (4, ValueError, "levels must list at least one"),
        ("124", ValueError, "levels must list at least one"),
        ((1, 0), ValueError, "levels must be at least 1 bin per side.* got 0"),
        ((-2,), ValueError, "got -2"),
        ((1, 2.0), TypeError, "levels must be whole numbers"),
        ((True,), TypeError, "levels must be whole numbers"),
    ],
)
def test_bad_levels_are_named(levels, error, words):
    with pytest.raises(error, match=words):
        check_levels(levels)
    with pytest.raises(error, match=words):
        pyramid_bins(8, 8, levels)


def test_levels_of_numpy_are_levels():
    assert check_levels(np.array([6, 3])) == (6, 3)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="height must be at least 1"):
        level_bins(0, 4, 1)
    with pytest.raises(ValueError, match="width must be at least 1"):
        level_bins(4, 0, 1)
    with pytest.raises(ValueError, match="level must be at least 1"):
        level_bins(4, 4, 0)
    with pytest.raises(ValueError, match="rule"):
        pyramid_bins(4, 4, (1,), rule="torch")
