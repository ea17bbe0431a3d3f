"""The assignment problem: pair rows with columns, each at most once, as many as possible, at the least total cost.

Source: Crouse, "On implementing 2D rectangular assignment algorithms", IEEE TAES 52(4), 2016, shortest augmenting
paths with potentials; scipy/optimize/rectangular_lsap.cpp for the order in which equals are taken.
Notation: C cost (N, M); u, v potentials (prices) of rows and columns; slack C_ij − u_i − v_j. The side with fewer
members searches: its members enter one after the other, each looks for the cheapest way to a free member of the other
side, over pairs that may have to be dissolved. If the sides are equal, the rows search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, Floats, as_floats

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Pairs: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class AssignmentStep:
    """The solver after one event. Everything is told in the rows and columns of `cost` as it was given.

    "start": nobody has entered. "scan": the root's search looked at all pairs of one searcher and took the cheapest
    member of the other side into its tree. "augment": the root's search ended at a free member; potentials and pairs
    are new. Between two augments potentials and pairs do not change.
    """

    kind: Literal["start", "scan", "augment"]
    cost: Floats  # (N, M) C, one array shared by all steps
    searchers: Literal["rows", "columns"]  # the side that enters one by one, S members; the other side has T
    root: int  # searcher whose search this is; −1 at the start
    searcher: int  # searcher whose pairs were looked at in this scan; −1 otherwise
    reached: int  # member of the other side that the search took; −1 at the start
    distance: float  # cost of the cheapest way from the root to `reached`, in reduced costs; NaN at the start
    way_cost: Floats  # (T,) cheapest way found so far from the root; inf where none was found
    way_from: Ints  # (T,) the searcher before the last leg of that way; −1 where there is none
    row_in_tree: Flags  # (N,) rows that the search has reached
    col_in_tree: Flags  # (M,) columns that the search has reached
    row_potential: Floats  # (N,) u; NaN for a searcher that has not entered yet
    col_potential: Floats  # (M,) v; NaN for a searcher that has not entered yet
    row_idx: Ints  # (k,) rows of the pairs, ascending
    col_idx: Ints  # (k,) their columns
    added: Pairs  # (row, column) pairs that this augment made, from the free end to the root
    removed: Pairs  # pairs that it dissolved

    @property
    def slack(self) -> Floats:
        """(N, M) C − u − v: never negative, 0 on every pair; NaN for searchers that have not entered."""
        return self.cost - self.row_potential[:, None] - self.col_potential[None]

    @property
    def least_slack(self) -> float:
        """Smallest slack of those that have entered; inf before. Not negative, to rounding, proves the potentials legal."""
        slack = self.slack
        return float(np.min(slack, where=~np.isnan(slack), initial=np.inf))

    @property
    def assigned_cost(self) -> float:
        """Σ C over the pairs."""
        return float(self.cost[self.row_idx, self.col_idx].sum())

    @property
    def dual_value(self) -> float:
        """Σ u + Σ v over those that have entered: no way to pair all of them can cost less."""
        return float(np.nansum(self.row_potential) + np.nansum(self.col_potential))

    @property
    def gap(self) -> float:
        """assigned_cost − dual_value: 0, to rounding, proves the pairs optimal for those that have entered."""
        return self.assigned_cost - self.dual_value

    @property
    def entered(self) -> int:
        """How many searchers have a partner."""
        return self.row_idx.size


@dataclass(frozen=True, slots=True)
class Matching:
    """Pairs chosen by some rule."""

    row_idx: Ints  # (k,) ascending; a row may occur twice if the rule allows it
    col_idx: Ints  # (k,) their columns
    picks: Pairs  # the same pairs in the order in which the rule took them
    total: float  # Σ C over the pairs
    shared_rows: tuple[int, ...]  # rows in more than one pair
    shared_cols: tuple[int, ...]  # columns in more than one pair


@dataclass(frozen=True, slots=True)
class PuzzleScore:
    """Somebody's own pairs beside the best ones."""

    matching: Matching  # the pairs that were scored
    optimum: float  # least possible cost of a complete matching
    missing: int  # pairs still to be chosen
    excess: float  # total − optimum, not negative to rounding; NaN while the pairs are incomplete or shared


def as_cost(cost: Array) -> Floats:
    """A cost matrix as an (N, M) float64 array; +inf forbids a pair.

    Convention: as SciPy, NaN and −inf are refused.

    Args:
        cost: (N, M) real numbers.

    Raises:
        TypeError: if they are not real numbers.
        ValueError: if the matrix is not two-dimensional, or holds NaN or −inf.

    Source: own.
    Differs: nothing left out.

    >>> print(as_cost([[1, 2]]))
    [[1. 2.]]
    """
    matrix = as_floats(cost, name="cost")
    if matrix.ndim != 2:
        raise ValueError(f"cost must have shape (N, M), got {matrix.shape}")
    wrong = np.isnan(matrix) | (matrix == -np.inf)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise ValueError(f"cost must not hold NaN or −inf, got {matrix[row, column]} in row {row}, column {column}")
    return matrix


def optimal_matching(cost: Array) -> Matching:
    """The cheapest complete matching, min(N, M) pairs.

    Convention: among equally cheap ones SciPy's choice.

    Args:
        cost: (N, M), +inf forbids a pair.

    Raises:
        TypeError, ValueError: as `as_cost`; ValueError if every complete matching holds a forbidden pair.

    Source: scipy.optimize.linear_sum_assignment.
    Differs: nothing left out.

    >>> print(optimal_matching(greedy_trap()).picks, round(optimal_matching(greedy_trap()).total, 4))
    ((0, 0), (1, 1), (2, 2)) 0.15
    """
    matrix = as_cost(cost)
    rows, columns = _solved(matrix)
    return _matching(matrix, list(zip(rows.tolist(), columns.tolist(), strict=True)))


def greedy_matching(cost: Array) -> Matching:
    """Take the cheapest pair whose row and column are both free, until one side is used up.

    Convention: of equally cheap pairs the one in the upper row, then the one further left. Forbidden pairs are never
    taken, so the matching may stay incomplete.

    Args:
        cost: (N, M), +inf forbids a pair.

    Raises:
        TypeError, ValueError: as `as_cost`.

    Source: own; it is the rule by which detection benchmarks match by score.
    Differs: nothing left out.

    >>> print(greedy_matching(greedy_trap()).picks, round(greedy_matching(greedy_trap()).total, 4))
    ((0, 1), (2, 2), (1, 0)) 1.02
    """
    matrix = as_cost(cost)
    picks: list[tuple[int, int]] = []
    row_free, col_free = np.ones(matrix.shape[0], np.bool_), np.ones(matrix.shape[1], np.bool_)
    for flat in np.argsort(matrix, axis=None, kind="stable").tolist():
        row, column = divmod(flat, matrix.shape[1])
        if row_free[row] and col_free[column] and matrix[row, column] < np.inf:
            picks.append((row, column))
            row_free[row] = col_free[column] = False
    return _matching(matrix, picks)


def cheapest_row_matching(cost: Array) -> Matching:
    """Every column takes its cheapest row, whoever else took it: the rule "each target its best query".

    Convention: of equally cheap rows the upper one; a column of forbidden pairs takes none.

    Args:
        cost: (N, M), +inf forbids a pair.

    Raises:
        TypeError, ValueError: as `as_cost`.

    Source: own.
    Differs: nothing left out.

    >>> matching = cheapest_row_matching(greedy_trap())
    >>> print(matching.picks, matching.shared_rows, round(matching.total, 4))
    ((0, 0), (0, 1), (2, 2)) (0,) 0.11
    """
    matrix = as_cost(cost)
    if not matrix.size:
        return _matching(matrix, [])
    rows = matrix.argmin(axis=0)
    return _matching(matrix, [(r, c) for c, r in enumerate(rows.tolist()) if matrix[r, c] < np.inf])


def score_matching(cost: Array, pairs: Sequence[tuple[int, int]]) -> PuzzleScore:
    """What somebody's pairs cost beyond the optimum.

    Convention: excess is defined only for a complete matching that uses no row and no column twice.

    Args:
        cost: (N, M), +inf forbids a pair.
        pairs: (row, column), each in range.

    Raises:
        TypeError, ValueError: as `optimal_matching`; ValueError if a pair is out of range.

    Source: own.
    Differs: nothing left out.

    >>> print(round(score_matching(greedy_trap(), [(0, 1), (1, 0), (2, 2)]).excess, 4))
    0.87
    """
    matrix = as_cost(cost)
    for row, column in pairs:
        if not (0 <= row < matrix.shape[0] and 0 <= column < matrix.shape[1]):
            raise ValueError(f"pairs must lie in a {matrix.shape[0]}×{matrix.shape[1]} matrix, got {(row, column)}")
    matching = _matching(matrix, list(pairs))
    optimum = optimal_matching(matrix).total
    missing = max(0, min(matrix.shape) - len(pairs))
    whole = not (missing or matching.shared_rows or matching.shared_cols)
    return PuzzleScore(matching, optimum, missing, matching.total - optimum if whole else float("nan"))


def greedy_trap() -> Floats:
    """(4, 3) costs on which the greedy rule pays 1.02 and the optimum 0.15: one cheap pick makes the next one dear.

    Convention: rows are queries, columns targets.

    Source: own.
    Differs: no boxes have these costs; distances alone could not, by the triangle inequality.

    >>> print(greedy_trap()[1])
    [0.96 0.05 0.9 ]
    """
    return np.array([[0.05, 0.01, 0.9], [0.96, 0.05, 0.9], [0.97, 0.9, 0.05], [0.98, 0.92, 0.91]])


def assignment_steps(cost: Array) -> Iterator[AssignmentStep]:
    """Solve the assignment problem by shortest augmenting paths, one event at a time.

    Convention: the last step's `row_idx`, `col_idx` are SciPy's, ties included: a search prefers a free member among
    equally near ones, then the one that its list of remaining members names first.

    Args:
        cost: (N, M), +inf forbids a pair.

    Raises:
        TypeError, ValueError: as `optimal_matching`, at the call.

    Source: Crouse 2016 §III; scipy/optimize/rectangular_lsap.cpp.
    Differs: nothing left out.

    >>> *_, last = assignment_steps([[4, 1, 3], [2, 0, 5], [3, 2, 2]])
    >>> print(last.row_idx, last.col_idx, last.assigned_cost, last.row_potential, last.col_potential)
    [0 1 2] [1 0 2] 5.0 [3. 2. 2.] [ 0. -2.  0.]
    """
    matrix = np.array(as_cost(cost))
    matrix.setflags(write=False)
    _solved(matrix)
    return _steps(matrix)


def _steps(cost: Floats) -> Iterator[AssignmentStep]:
    by_columns = cost.shape[1] < cost.shape[0]
    c: Floats = np.transpose(cost) if by_columns else cost  # (S, T)
    s, t = min(cost.shape), max(cost.shape)
    u, v = np.zeros(s), np.zeros(t)
    partner = np.full(s, -1)  # (S,) of each searcher
    holder = [-1] * t  # (T,) searcher that each other member is paired with
    way_cost, way_from = np.full(t, np.inf), np.full(t, -1)
    in_tree, taken = np.zeros(s, np.bool_), np.zeros(t, np.bool_)

    def step(
        kind: Literal["start", "scan", "augment"],
        root: int = -1,
        searcher: int = -1,
        reached: int = -1,
        distance: float = float("nan"),
        added: Pairs = (),
        removed: Pairs = (),
    ) -> AssignmentStep:
        entered = partner >= 0
        price = np.where(entered, u, np.nan)
        pairs = np.flatnonzero(entered), partner[entered]
        turn = slice(None, None, -1 if by_columns else 1)
        rows, columns = pairs[turn]
        order = np.argsort(rows)
        return AssignmentStep(
            kind,
            cost,
            "columns" if by_columns else "rows",
            root,
            searcher,
            reached,
            distance,
            np.array(way_cost),
            np.array(way_from),
            np.array(taken if by_columns else in_tree),
            np.array(in_tree if by_columns else taken),
            np.array(v if by_columns else price),
            np.array(price if by_columns else v),
            rows[order],
            columns[order],
            _turned(added, by_columns),
            _turned(removed, by_columns),
        )

    yield step("start")
    for root in range(s):
        way_cost, way_from = np.full(t, np.inf), np.full(t, -1)
        in_tree, taken = np.zeros(s, np.bool_), np.zeros(t, np.bool_)
        remaining = list(range(t - 1, -1, -1))
        searcher, nearest = root, 0.0
        while True:  # Dijkstra in reduced costs, until a free member is the nearest
            in_tree[searcher] = True
            here = np.array(remaining)
            through = nearest + c[searcher, here] - u[searcher] - v[here]
            better = through < way_cost[here]
            way_cost[here[better]] = through[better]
            way_from[here[better]] = searcher
            at, nearest = -1, float("inf")
            for place, (member, way) in enumerate(zip(remaining, way_cost[here].tolist(), strict=True)):
                if way < nearest or (way == nearest and holder[member] < 0):
                    at, nearest = place, way
            member = remaining[at]
            taken[member] = True
            remaining[at] = remaining[-1]
            remaining.pop()
            yield step("scan", root, searcher, member, nearest)
            if holder[member] < 0:
                break
            searcher = holder[member]

        # new potentials: tree members move so that the whole way has slack 0
        others = np.array(in_tree)
        others[root] = False
        u[root] += nearest
        u[others] += nearest - way_cost[partner[others]]
        v[taken] -= nearest - way_cost[taken]

        free, added, removed = member, list[tuple[int, int]](), list[tuple[int, int]]()
        while True:  # turn the way round: its new pairs replace its old ones
            searcher = int(way_from[member])
            before = int(partner[searcher])
            holder[member], partner[searcher] = searcher, member
            added.append((searcher, member))
            if searcher == root:
                break
            removed.append((searcher, before))
            member = before
        yield step("augment", root, -1, free, nearest, tuple(added), tuple(removed))


def _turned(pairs: Pairs, by_columns: bool) -> Pairs:
    return tuple((b, a) if by_columns else (a, b) for a, b in pairs)


def _solved(matrix: Floats) -> tuple[Ints, Ints]:
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    solve = cast(Any, linear_sum_assignment)
    try:
        pair: tuple[Ints, Ints] = solve(matrix)
    except ValueError as error:
        raise ValueError("cost must allow a complete matching, but the forbidden pairs (inf) leave none") from error
    return pair[0].astype(np.int64), pair[1].astype(np.int64)


def _matching(matrix: Floats, picks: Sequence[tuple[int, int]]) -> Matching:
    ordered = sorted(picks)
    rows, columns = (np.array([pair[side] for pair in ordered], np.int64) for side in (0, 1))
    return Matching(
        rows, columns, tuple(picks), float(matrix[rows, columns].sum()), _more_than_once(rows), _more_than_once(columns)
    )


def _more_than_once(indices: Ints) -> tuple[int, ...]:
    values, counts = np.unique(indices, return_counts=True)
    return tuple(values[counts > 1].tolist())
