import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.pooling_bins import (
    RULES,
    bin_edges,
    bin_report,
    compare_rules,
    rule_theorem,
    wrong_sizes,
)
from tests.oracles import pooling as oracle

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZES = [(a, n) for a in range(1, 80) for n in range(1, 20)]


def test_adaptive_bins_are_those_of_fractions_and_of_torch(receipt):
    got = [edges for a, n in SIZES for edges in bin_edges(a, n)]
    expected = [edges for a, n in SIZES for edges in oracle.adaptive(a, n)]
    receipt(bin_edges, "edges", got, expected, reference="floor and ceiling of fractions")
    for a, n in SIZES[::7]:
        ramp = torch.arange(float(a)).view(1, 1, a)
        last = torch.nn.functional.adaptive_max_pool1d(ramp, n)[0, 0]
        first = -torch.nn.functional.adaptive_max_pool1d(-ramp, n)[0, 0]
        edges = torch.stack([first, last + 1], 1)
        receipt(bin_edges, "edges", bin_edges(a, n), edges, reference="torch")


@pytest.mark.parametrize("rule", RULES)
def test_a_report_counts_what_each_bin_reads(rule, receipt):
    found, wanted = [], []
    for a, n in SIZES:
        if rule == "paper" and a < n:
            continue
        report = bin_report(a, n, rule=rule)
        bins = oracle.rows(a, n, rule)
        assert [list(range(*edges)) for edges in report.edges] == bins
        times = [sum(row in rows for rows in bins) for row in range(a)]
        assert report.reads == tuple(times)
        found.append((report.windows, len(report.unread), len(report.shared), len(report.empty)))
        wanted.append((len(bins), times.count(0), sum(t > 1 for t in times), bins.count([])))
        assert all(report.reads[row] == 0 for row in report.unread)
        assert all(report.reads[row] > 1 for row in report.shared)
        assert all(not bins[i] for i in report.empty)
        assert report.lengths == tuple(map(len, bins))
        assert report.surplus == len(bins) - n
        assert report.right_count == (len(bins) == n)
        assert report.agrees == (list(report.edges) == oracle.adaptive(a, n))
        assert bin_edges(a, n, rule=rule) == report.edges
    for i, quantity in enumerate(("windows", "unread_rows", "shared_rows", "empty_bins")):
        got, expected = np.array(found)[:, i], np.array(wanted)[:, i]
        receipt(bin_report, quantity, got, expected, reference="loop over rows and bins")


def test_windows_strides_and_paddings_are_named():
    assert [(r.kernel, r.stride, r.padding) for r in compare_rules(10, 4).reports] == [
        (None, None, 0),
        (3, 2, 0),
        (3, 3, 1),
    ]
    assert bin_report(5, 4, rule="caffe").padding == 2


@quick
@given(a=st.integers(1, 400), n=st.integers(1, 40))
def test_adaptive_bins_read_every_row_and_are_never_empty(a, n):
    report = bin_report(a, n)
    assert report.right_count
    assert report.agrees
    assert not report.unread
    assert not report.empty
    assert report.problem == ""
    assert max(report.lengths) <= -(-a // n) + 1


def test_the_theorem_counts_the_papers_windows_without_listing_them(receipt):
    found, wanted = [], []
    for a in range(1, 300):
        for n in range(1, 25):
            theorem = rule_theorem(a, n)
            assert (theorem.size, theorem.bins) == (a, n)
            if a < n:
                assert theorem.windows is theorem.unread is None
                assert (theorem.quotient, theorem.remainder) == (0, a)
                assert not theorem.agrees
                assert not theorem.right_count
                continue
            windows = oracle.paper(a, n)
            found.append((theorem.windows, theorem.unread, theorem.quotient, theorem.remainder))
            wanted.append((len(windows), a - max(end for _, end in windows), math.floor(a / n), math.fmod(a, n)))
            assert theorem.right_count == (len(windows) == n)
            assert theorem.agrees == (windows == oracle.adaptive(a, n)) == (a % n in (0, 1))
    for i, quantity in enumerate(("predicted_windows", "predicted_unread", "quotient", "remainder")):
        got, expected = np.array(found)[:, i], np.array(wanted)[:, i]
        receipt(rule_theorem, quantity, got, expected, reference="sliding the window")


def test_where_caffe_runs_it_is_right_and_elsewhere_its_own_check_stops_it():
    for a, n in SIZES:
        report = bin_report(a, n, rule="caffe")
        assert (report.problem == "") == oracle.caffe(a, n)[1]
        assert (report.problem == "") == (report.right_count and not report.empty)
        assert not report.unread
        assert not report.shared


@pytest.mark.parametrize(
    ("n", "wrong"),
    [(6, (8, 9, 10, 11, 15, 16, 17, 22, 23, 29)), (4, (6, 7, 11)), (3, (5,)), (2, ()), (1, ())],
)
def test_sizes_with_the_wrong_number_of_windows(n, wrong, receipt):
    assert wrong_sizes(n, largest=100) == wrong
    expected = [a for a in range(n, 101) if len(oracle.paper(a, n)) != n]
    receipt(wrong_sizes, "wrong_sizes", len(wrong), len(expected), reference="sliding the window")
    assert wrong_sizes(n, largest=100, rule="adaptive") == ()


def test_sizes_that_caffe_refuses():
    expected = tuple(a for a in range(8, 60) if not oracle.caffe(a, 8)[1])
    assert wrong_sizes(8, largest=59, rule="caffe") == expected != ()


def test_lasagnes_bug_and_the_nine_windows():
    assert bin_report(11, 4, rule="paper").windows == 5
    assert bin_report(10, 6, rule="paper").windows == 9
    assert bin_report(13, 6, rule="paper").agrees
    assert bin_report(10, 4, rule="paper").unread == (9,)


def test_a_map_smaller_than_the_level():
    assert bin_edges(2, 4) == ((0, 1), (0, 1), (1, 2), (1, 2))
    report = bin_report(3, 4, rule="paper")
    assert (report.problem, report.edges, report.windows, report.unread) == ("zero_stride", (), 0, (0, 1, 2))
    with pytest.raises(ValueError, match=r"size must be at least bins = 4 .* got 3: use a larger map"):
        bin_edges(3, 4, rule="paper")
    assert bin_report(1, 4, rule="caffe").empty == (0, 1, 3)


def test_a_comparison_has_every_rule_and_the_theorem():
    comparison = compare_rules(10, 6)
    assert [report.rule for report in comparison.reports] == list(RULES)
    assert [comparison.report(rule) for rule in RULES] == [bin_report(10, 6, rule=rule) for rule in RULES]
    assert comparison.theorem == rule_theorem(10, 6)


def test_huge_sizes_stay_exact():
    a, n = 10**6 + 1, 7
    assert bin_edges(a, n) == tuple(oracle.adaptive(a, n))
    assert bin_edges(25, 5)[2] == (10, 15)  # in float32 it would end at 16


def test_numpy_integers_are_numbers():
    assert bin_edges(np.int64(10), np.int32(4)) == bin_edges(10, 4)
    assert isinstance(bin_report(np.int64(10), np.int32(4)).size, int)


@pytest.mark.parametrize(("size", "bins", "name"), [(0, 1, "size"), (-3, 1, "size"), (4, 0, "bins"), (4, -1, "bins")])
def test_numbers_below_one_are_refused(size, bins, name):
    for call in (bin_edges, bin_report, rule_theorem, compare_rules):
        with pytest.raises(ValueError, match=f"{name} must be at least 1"):
            call(size, bins)


@pytest.mark.parametrize("bad", [2.0, "4", None, True])
def test_what_is_no_whole_number_is_refused(bad):
    with pytest.raises(TypeError, match="bins must be a whole number"):
        bin_edges(4, bad)
    with pytest.raises(TypeError, match="size must be a whole number"):
        rule_theorem(bad, 4)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="rule must be one of adaptive, paper, caffe"):
        bin_edges(4, 2, rule="torch")
