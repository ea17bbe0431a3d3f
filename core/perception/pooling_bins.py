"""Which rows a pyramid level reads: the bins of one axis by three rules, and what each rule gets wrong.

Source: He et al., "Spatial pyramid pooling in deep convolutional networks", arXiv:1406.4729, §2.3 and appendix A;
BVLC/caffe src/caffe/layers/spp_layer.cpp and pooling_layer.cpp; ShaoqingRen/SPP_net utils/spm_pool.
Notation: a = size of the map along the axis, n = bins; a = q·n + r with 0 ≤ r < n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

Rule: TypeAlias = Literal["adaptive", "paper", "caffe"]
Problem: TypeAlias = Literal["", "zero_stride", "padding"]
Bin: TypeAlias = tuple[int, int]

RULES: tuple[Rule, ...] = get_args(Rule)


def bin_edges(size: int, bins: int, *, rule: Rule = "adaptive") -> tuple[Bin, ...]:
    """Half-open bins [start, end) of one axis, which may overlap; integer arithmetic only.

    Convention: "adaptive" is bin i = [⌊i·a/n⌋, ⌈(i+1)·a/n⌉), in the paper's appendix A, the authors' released code and
    torch.nn.AdaptiveMaxPool2d; "paper" is a sliding window of ⌈a/n⌉ with stride ⌊a/n⌋ (§2.3); "caffe" is BVLC Caffe's
    SPPLayer, window and stride ⌈a/n⌉ with padding ⌊(n·⌈a/n⌉ − a + 1) / 2⌋, clipped to the map (that layer itself has
    n = 1, 2, 4, 8, … only). Only "adaptive" always
    gives n bins: see `bin_report`. Where Caffe itself refuses to run, these are the bins that copies of its arithmetic
    compute without its check, an empty one as (s, s).

    Args:
        size: a ≥ 1, rows (or columns) of the map.
        bins: n ≥ 1.
        rule: one of `RULES`.

    Raises:
        TypeError: if size or bins is no whole number.
        ValueError: if size or bins is below 1, the rule is unknown, or the rule is "paper" and size < bins.

    Source: arXiv:1406.4729 §2.3 and appendix A; spp_layer.cpp GetPoolingParam, pooling_layer.cpp Reshape.
    Differs: the released code divides in float32, which makes one bin a row longer for some (a, n) with n = 5 or 7.

    >>> print(bin_edges(10, 4), bin_edges(10, 4, rule="paper"), bin_edges(10, 4, rule="caffe"), sep="\\n")
    ((0, 3), (2, 5), (5, 8), (7, 10))
    ((0, 3), (2, 5), (4, 7), (6, 9))
    ((0, 2), (2, 5), (5, 8), (8, 10))
    """
    report = bin_report(size, bins, rule=rule)
    if report.problem == "zero_stride":
        raise ValueError(
            f"size must be at least bins = {bins} for rule 'paper', whose stride ⌊size/bins⌋ would be 0, got {size}: "
            "use a larger map, fewer bins or rule 'adaptive'"
        )
    return report.edges


@dataclass(frozen=True, slots=True)
class BinReport:
    """The bins of one axis by one rule, and what is wrong with them."""

    rule: Rule
    size: int  # a, rows of the map
    bins: int  # n, bins wanted
    edges: tuple[Bin, ...]  # half-open [start, end) in rows; () where the rule has no answer
    kernel: int | None  # window in rows; None: the bins' lengths differ by themselves (adaptive)
    stride: int | None  # rows from bin to bin; None as above
    padding: int  # rows added at either end
    problem: Problem  # "zero_stride": paper, a < n; "padding": Caffe's own check padding < window stops it; else ""
    reads: tuple[int, ...]  # (a,) how many bins read each row
    agrees: bool  # exactly the bins of "adaptive"

    @property
    def windows(self) -> int:
        """Bins that the rule really gives."""
        return len(self.edges)

    @property
    def surplus(self) -> int:
        """Bins too many (too few if negative)."""
        return self.windows - self.bins

    @property
    def right_count(self) -> bool:
        """The vector keeps its length."""
        return self.windows == self.bins

    @property
    def unread(self) -> tuple[int, ...]:
        """Rows that no bin reads."""
        return tuple(row for row, count in enumerate(self.reads) if not count)

    @property
    def shared(self) -> tuple[int, ...]:
        """Rows that more than one bin reads: the overlaps."""
        return tuple(row for row, count in enumerate(self.reads) if count > 1)

    @property
    def empty(self) -> tuple[int, ...]:
        """Indices of bins without a row."""
        return tuple(i for i, (start, end) in enumerate(self.edges) if start == end)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Rows in each bin."""
        return tuple(end - start for start, end in self.edges)


def bin_report(size: int, bins: int, *, rule: Rule = "adaptive") -> BinReport:
    """Bins of one axis with their mistakes: wrong count, unread rows, empty bins, refusal. Never raises for a < n.

    Convention: as `bin_edges`. Caffe's PoolingLayer checks padding < window and aborts otherwise; wherever its
    arithmetic gives a wrong count or an empty bin, that check fails ("padding"), so a Caffe that runs is right.

    Args:
        size: a ≥ 1.
        bins: n ≥ 1.
        rule: one of `RULES`.

    Raises:
        TypeError: if size or bins is no whole number.
        ValueError: if size or bins is below 1 or the rule is unknown.

    Source: as `bin_edges`; the check is CHECK_LT(pad_h_, kernel_h_) in Caffe's pooling_layer.cpp.
    Differs: as `bin_edges`.

    >>> nine = bin_report(10, 6, rule="paper")
    >>> print(nine.windows, nine.kernel, nine.stride, bin_report(10, 4, rule="paper").unread)
    9 2 1 (9,)
    """
    a, n = positive("size", size), positive("bins", bins)
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    adaptive = tuple((i * a // n, -(-(i + 1) * a // n)) for i in range(n))
    kernel, stride, padding = None, None, 0
    problem: Problem = ""
    if rule == "adaptive":
        edges = adaptive
    elif rule == "paper":
        kernel, stride = -(-a // n), a // n
        edges = tuple((s, s + kernel) for s in range(0, a - kernel + 1, stride)) if stride else ()
        problem = "" if stride else "zero_stride"
    else:
        kernel = stride = -(-a // n)
        padding = (n * kernel - a + 1) // 2
        count = -((kernel - a - 2 * padding) // stride) + 1  # rounded up
        if padding and (count - 1) * stride >= a + padding:  # a last window that starts in the padding is dropped
            count -= 1
        starts = [i * stride - padding for i in range(count)]
        edges = tuple((_inside(s, a), _inside(s + kernel, a)) for s in starts)
        problem = "padding" if padding >= kernel else ""
    reads = [0] * a
    for start, end in edges:
        for row in range(start, end):
            reads[row] += 1
    return BinReport(rule, a, n, edges, kernel, stride, padding, problem, tuple(reads), edges == adaptive)


def _inside(row: int, size: int) -> int:
    return min(max(row, 0), size)


def positive(name: str, value: int) -> int:
    """The value as an int, or a sentence that names it; True is no number here.

    Args:
        name: of the argument, for the sentence.
        value: anything.

    Raises:
        TypeError: if value is no whole number.
        ValueError: if it is below 1.

    Source: own.
    Differs: nothing.

    >>> positive("bins", np.int64(4))
    4
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)


@dataclass(frozen=True, slots=True)
class RuleTheorem:
    """What a = q·n + r alone says about the paper's formula, without listing a window."""

    size: int  # a
    bins: int  # n
    quotient: int  # q = ⌊a/n⌋, the paper's stride; 0: the formula has no answer
    remainder: int  # r = a − q·n
    windows: int | None  # n + ⌊(r − 1)/q⌋ if r > 0, else n; None if q = 0
    unread: int | None  # trailing rows never read: (r − 1) mod q if r > 0, else 0; None if q = 0
    right_count: bool  # r ≤ q and q > 0
    agrees: bool  # r ≤ 1 and q > 0: exactly the adaptive bins


def rule_theorem(size: int, bins: int) -> RuleTheorem:
    """When the paper's window and stride equal adaptive pooling: iff a mod n is 0 or 1.

    With a = q·n + r the formula slides a window of q + [r > 0] by q: n + ⌊(r−1)/q⌋ windows for r > 0, so the right
    number iff r ≤ q; then the last one ends at a − (r − 1), and (r − 1) mod q rows in general are never read.

    Args:
        size: a ≥ 1.
        bins: n ≥ 1.

    Raises:
        TypeError: if size or bins is no whole number.
        ValueError: if size or bins is below 1.

    Source: derived here from arXiv:1406.4729 §2.3; the tests count the windows of every a < 300, n ≤ 24.
    Differs: one axis; a map agrees if both of its axes do.

    >>> print(rule_theorem(13, 6).agrees, rule_theorem(10, 6).windows, rule_theorem(10, 4).unread)
    True 9 1
    """
    a, n = positive("size", size), positive("bins", bins)
    q, r = divmod(a, n)
    if not q:
        return RuleTheorem(a, n, q, r, None, None, False, False)
    windows, unread = (n + (r - 1) // q, (r - 1) % q) if r else (n, 0)
    return RuleTheorem(a, n, q, r, windows, unread, r <= q, r <= 1)


@dataclass(frozen=True, slots=True)
class RuleComparison:
    """One axis by every rule."""

    reports: tuple[BinReport, ...]  # in the order of RULES
    theorem: RuleTheorem  # of the paper's rule

    def report(self, rule: Rule) -> BinReport:
        """The report of one rule."""
        return next(report for report in self.reports if report.rule == rule)


def compare_rules(size: int, bins: int) -> RuleComparison:
    """The bins of one axis by all three rules, with the theorem that says when they agree.

    Convention: as `bin_edges`.

    Args:
        size: a ≥ 1.
        bins: n ≥ 1.

    Raises:
        TypeError: if size or bins is no whole number.
        ValueError: if size or bins is below 1.

    Source: as `bin_report` and `rule_theorem`.
    Differs: nothing.

    >>> print([(r.rule, r.windows, r.unread) for r in compare_rules(11, 4).reports])
    [('adaptive', 4, ()), ('paper', 5, ()), ('caffe', 4, ())]
    """
    return RuleComparison(tuple(bin_report(size, bins, rule=rule) for rule in RULES), rule_theorem(size, bins))


def wrong_sizes(bins: int, *, largest: int, rule: Rule = "paper") -> tuple[int, ...]:
    """Sizes a from n to `largest` at which a rule gives another number of bins than n, or an empty one (Caffe refuses there).

    Convention: as `bin_report`; sizes below n are left out, there "paper" never has an answer.

    Args:
        bins: n ≥ 1.
        largest: last size that is tried.
        rule: one of `RULES`.

    Raises:
        TypeError: if bins or largest is no whole number.
        ValueError: if bins or largest is below 1 or the rule is unknown.

    Source: counted.
    Differs: rows that are never read are no reason here: the vector keeps its length.

    >>> print(wrong_sizes(6, largest=40), wrong_sizes(4, largest=40), wrong_sizes(3, largest=40))
    (8, 9, 10, 11, 15, 16, 17, 22, 23, 29) (6, 7, 11) (5,)
    """
    n, last = positive("bins", bins), positive("largest", largest)
    reports = [bin_report(a, n, rule=rule) for a in range(n, last + 1)]
    return tuple(r.size for r in reports if r.surplus or r.empty)
