import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from core.perception.assignment import (
    assignment_steps,
    cheapest_row_matching,
    greedy_matching,
    greedy_trap,
    optimal_matching,
    score_matching,
)
from tests.oracles import detection as oracle

quick = settings(deadline=None, max_examples=80)


def random_cost(rng, n, m, kind):
    """Ordinary, tied whole numbers, tied fractions, negative, with forbidden pairs."""
    if kind == "ties":
        return rng.integers(-2, 3, (n, m)).astype(float)
    if kind == "fractions":
        return rng.integers(-3, 4, (n, m)) * 0.1
    if kind == "forbidden":
        return np.where(rng.random((n, m)) < 0.3, np.inf, rng.integers(0, 4, (n, m)) * 0.3)
    return rng.normal(size=(n, m)) - 2


KINDS = ["any", "ties", "fractions", "forbidden"]


def solvable(cost):
    try:
        linear_sum_assignment(cost)
    except ValueError:
        return False
    return True


costs = st.builds(
    lambda seed, n, m, kind: random_cost(np.random.default_rng(seed), n, m, kind),
    st.integers(0, 10**6),
    st.integers(0, 6),
    st.integers(0, 6),
    st.sampled_from(KINDS),
).filter(solvable)


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_scipys_bit_for_bit_ties_included(kind, receipt):
    rng, totals = np.random.default_rng(len(kind)), []
    for _ in range(250):
        cost = random_cost(rng, *rng.integers(1, 13, 2), kind)
        if not solvable(cost):
            continue
        rows, columns = linear_sum_assignment(cost)
        *_, last = assignment_steps(cost)
        assert (last.row_idx.tolist(), last.col_idx.tolist()) == (rows.tolist(), columns.tolist())
        best = optimal_matching(cost)
        assert best.picks == tuple(zip(rows.tolist(), columns.tolist(), strict=True))
        totals.append((last.assigned_cost, best.total, cost[rows, columns].sum()))
    solved, best, expected = np.transpose(totals)
    receipt(assignment_steps, "assigned_cost", solved, expected, reference="scipy")
    receipt(optimal_matching, "optimal_cost", best, expected, reference="scipy")


@pytest.mark.parametrize("shape", [(20, 100), (100, 20), (60, 60)])
def test_large_matrices_are_scipys_too(shape):
    cost = np.random.default_rng(1).normal(size=shape)
    *_, last = assignment_steps(cost)
    rows, columns = linear_sum_assignment(cost)
    assert (last.row_idx == rows).all()
    assert (last.col_idx == columns).all()


@given(cost=costs)
@quick
def test_no_permutation_is_cheaper(cost):
    *_, last = assignment_steps(cost)
    best = oracle.cheapest(cost)
    assert last.assigned_cost == pytest.approx(best, abs=1e-12)
    assert optimal_matching(cost).total == pytest.approx(best, abs=1e-12)


def test_totals_are_those_of_all_permutations(receipt):
    rng, rows = np.random.default_rng(3), []
    for _ in range(60):
        cost = random_cost(rng, *rng.integers(1, 7, 2), "any")
        *_, last = assignment_steps(cost)
        best, greedy = oracle.cheapest(cost), greedy_matching(cost)
        by_hand = math.fsum(cost[i, j] for i, j in oracle.greedy(cost.tolist()))
        score, shorter = score_matching(cost, greedy.picks), score_matching(cost, greedy.picks[1:])
        rows.append(
            {
                (assignment_steps, "assigned_cost", "all permutations"): (last.assigned_cost, best),
                (assignment_steps, "dual_value", "all permutations"): (last.dual_value, best),
                (assignment_steps, "gap", "duality: 0 at the optimum"): (last.gap, 0),
                (assignment_steps, "entered", "shorter side"): (last.entered, min(cost.shape)),
                (optimal_matching, "optimal_cost", "all permutations"): (optimal_matching(cost).total, best),
                (greedy_matching, "greedy_cost", "search of all pairs left"): (greedy.total, by_hand),
                (cheapest_row_matching, "cheapest_cost", "least of each column"): (
                    cheapest_row_matching(cost).total,
                    math.fsum(map(min, cost.T)),
                ),
                (score_matching, "puzzle_cost", "search of all pairs left"): (score.matching.total, by_hand),
                (score_matching, "optimum", "all permutations"): (score.optimum, best),
                (score_matching, "greedy_excess", "all permutations"): (score.excess, by_hand - best),
                (score_matching, "puzzle_excess", "all permutations"): (score.excess, by_hand - best),
                (score_matching, "puzzle_missing", "one pair left out"): (shorter.missing, 1),
            }
        )
    for source, name, reference in rows[0]:
        got, expected = np.transpose([row[source, name, reference] for row in rows])
        receipt(source, name, got, expected, reference=reference)


@given(cost=costs)
@quick
def test_every_step_proves_itself(cost):
    """Slack never negative, 0 on pairs; prices of the other side never positive, 0 while it is free; no gap after a search."""
    searchers = min(cost.shape)
    steps = list(assignment_steps(cost))
    assert steps[0].kind == "start"
    assert [s.kind for s in steps].count("augment") == searchers
    assert len(steps) == 1 + sum(s.kind != "start" for s in steps)
    entered = 0
    for before, step in pairwise(steps):
        entered += step.kind == "augment"
        assert step.entered == entered
        assert step.least_slack >= -1e-12
        assert np.abs(step.slack[step.row_idx, step.col_idx]).max(initial=0) <= 1e-12
        assert abs(step.gap) <= 1e-12
        u, v = (step.row_potential, step.col_potential)[:: 1 if step.searchers == "rows" else -1]
        assert np.isnan(u).sum() == searchers - entered
        assert (v <= 1e-12).all()
        free = np.ones(len(v), bool)
        free[step.col_idx if step.searchers == "rows" else step.row_idx] = False
        assert (v[free] == 0).all()
        if step.kind == "scan":
            assert (step.row_idx.tolist(), step.col_idx.tolist()) == (before.row_idx.tolist(), before.col_idx.tolist())
            assert step.distance == step.way_cost[step.reached]
            taken = step.col_in_tree if step.searchers == "rows" else step.row_in_tree
            assert taken[step.reached]
            assert step.distance >= step.way_cost[taken].max() - 1e-12
            assert step.distance <= step.way_cost[~taken].min(initial=np.inf) + 1e-12
            assert (step.row_in_tree if step.searchers == "rows" else step.col_in_tree)[
                [step.root, step.searcher]
            ].all()
        else:
            old = set(zip(before.row_idx.tolist(), before.col_idx.tolist(), strict=True))
            new = set(zip(step.row_idx.tolist(), step.col_idx.tolist(), strict=True))
            assert set(step.added) == new - old
            assert set(step.removed) == old - new
            assert step.root in [p[0 if step.searchers == "rows" else 1] for p in step.added]
            assert step.reached == step.added[0][1 if step.searchers == "rows" else 0]
            assert free[step.reached] == np.False_


@given(cost=costs)
@quick
def test_after_each_search_those_that_entered_are_paired_at_least_cost(cost):
    by_rows = cost.shape[0] <= cost.shape[1]
    for step in assignment_steps(cost):
        if step.kind == "augment":
            part = cost[: step.entered] if by_rows else cost[:, : step.entered]
            assert step.assigned_cost == pytest.approx(oracle.cheapest(part), abs=1e-12)
            assert step.dual_value == pytest.approx(step.assigned_cost, abs=1e-12)


def test_the_least_slack_is_the_least_of_all_entries(receipt):
    rng, found = np.random.default_rng(5), []
    for _ in range(20):
        cost = rng.normal(size=rng.integers(1, 7, 2))
        for step in assignment_steps(cost):
            u, v = step.row_potential, step.col_potential
            entries = [cost[i, j] - u[i] - v[j] for i in range(len(u)) for j in range(len(v))]
            found.append((step.least_slack, min((x for x in entries if not math.isnan(x)), default=math.inf)))
    got, expected = np.transpose(found)
    receipt(assignment_steps, "least_slack", got, expected, reference="entry by entry")


def test_steps_stay_as_they_were_and_the_input_too():
    cost = np.random.default_rng(2).normal(size=(5, 7))
    given = cost.copy()
    live = []
    for step in assignment_steps(cost):
        live.append(
            (step, step.row_potential.copy(), step.way_cost.copy(), step.col_in_tree.copy(), step.col_idx.copy())
        )
    assert (cost == given).all()
    for step, u, way, tree, columns in live:
        assert np.array_equal(step.row_potential, u, equal_nan=True)
        assert (step.way_cost == way).all()
        assert (step.col_in_tree == tree).all()
        assert (step.col_idx == columns).all()
    cost[:] = 0
    assert (live[-1][0].cost == given).all()


def test_the_cost_of_a_step_cannot_be_written():
    step = next(assignment_steps([[1.0]]))
    with pytest.raises(ValueError, match="read-only"):
        step.cost[0, 0] = 2


def test_rows_search_if_both_sides_are_equal():
    assert next(assignment_steps(np.zeros((3, 3)))).searchers == "rows"
    assert next(assignment_steps(np.zeros((3, 4)))).searchers == "rows"
    assert next(assignment_steps(np.zeros((4, 3)))).searchers == "columns"
    *_, last = assignment_steps(np.zeros((4, 4)))
    assert last.col_idx.tolist() == [0, 1, 2, 3]


def test_the_greedy_trap_costs_what_it_says():
    cost = greedy_trap()
    assert optimal_matching(cost).total == pytest.approx(0.15)
    assert greedy_matching(cost).total == pytest.approx(1.02)
    assert score_matching(cost, [(0, 1), (1, 0), (2, 2)]).excess == pytest.approx(0.87)
    assert oracle.cheapest(cost) == pytest.approx(0.15)
    greedy_trap()[0, 0] = 9  # every call gives its own
    assert greedy_trap()[0, 0] == 0.05


@given(cost=costs)
@quick
def test_greedy_takes_the_first_least_pair_left(cost):
    matching = greedy_matching(cost)
    assert matching.picks == tuple(oracle.greedy(cost.tolist()))
    assert matching.shared_rows == matching.shared_cols == ()
    assert sorted(matching.picks) == list(zip(matching.row_idx.tolist(), matching.col_idx.tolist(), strict=True))


def test_greedy_leaves_forbidden_pairs_alone():
    assert greedy_matching([[0, np.inf], [1, np.inf]]).picks == ((0, 0),)
    assert cheapest_row_matching([[0, np.inf], [1, np.inf]]).picks == ((0, 0),)


def test_each_column_by_itself_may_share_rows():
    matching = cheapest_row_matching([[1, 0, 3], [1, 5, 3], [2, 5, 0]])
    assert matching.picks == ((0, 0), (0, 1), (2, 2))  # the upper of equals
    assert (matching.shared_rows, matching.shared_cols, matching.total) == ((0,), (), 1)


def test_scores_of_unfinished_and_illegal_puzzles():
    cost = greedy_trap()
    some = score_matching(cost, [(0, 0)])
    assert (some.missing, some.matching.total) == (2, 0.05)
    assert math.isnan(some.excess)
    shared = score_matching(cost, [(0, 0), (0, 1), (2, 2)])
    assert math.isnan(shared.excess)
    assert (shared.missing, shared.matching.shared_rows) == (0, (0,))
    column = score_matching(cost, [(0, 0), (1, 0), (2, 2)])
    assert math.isnan(column.excess)
    assert column.matching.shared_cols == (0,)
    assert score_matching(cost, [(2, 2), (0, 0), (1, 1)]).excess == 0
    for pair in ((4, 0), (0, 3), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="pairs must lie in a 4×3 matrix"):
            score_matching(cost, [pair])


def test_empty_sides():
    for shape in ((0, 0), (0, 4), (3, 0)):
        cost = np.zeros(shape)
        (only,) = assignment_steps(cost)
        assert (only.kind, only.row_idx.size, only.assigned_cost, only.gap) == ("start", 0, 0, 0)
        assert only.least_slack == math.inf
        for rule in (optimal_matching, greedy_matching, cheapest_row_matching):
            assert rule(cost).picks == ()
        assert score_matching(cost, []).excess == 0


def test_half_precision_and_tensors_are_read():
    cost = torch.tensor([[1.0, 2], [0, 5]], dtype=torch.float16, requires_grad=True)
    *_, last = assignment_steps(cost)
    assert last.col_idx.tolist() == [1, 0]
    assert optimal_matching(cost[:, ::1].T).total == 2


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        ([[0.0, np.nan]], "NaN or −inf, got nan in row 0, column 1"),
        ([[0.0], [-np.inf]], "got -inf in row 1, column 0"),
        ([1.0, 2.0], r"shape \(N, M\), got \(2,\)"),
        ([[np.inf, np.inf], [0, 0]], "complete matching"),
        ([[np.inf, 0], [np.inf, 0]], "complete matching"),
    ],
)
def test_mistaken_costs_are_named_at_the_call(cost, words):
    for solve in (assignment_steps, optimal_matching):
        with pytest.raises(ValueError, match=words):
            solve(cost)
