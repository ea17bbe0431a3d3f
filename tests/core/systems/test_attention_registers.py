import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.attention_registers import last_max_changes, row_registers
from core.systems.flash_attention import attention_tiles
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def runs(draw):
    n_q, n_k, block_k = (draw(st.integers(1, 9)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    q, k, v = (rng.standard_normal((n, 3)) for n in (n_q, n_k, n_k))
    options = {
        "block_q": draw(st.integers(1, 9)),
        "block_k": block_k,
        "causal": draw(st.booleans()),
        "order": draw(st.sampled_from(["fa1", "fa2"])),
        "key_order": draw(st.permutations(range(-(-n_k // block_k)))),
    }
    return (q, k, v), options, tuple(attention_tiles(*map(torch.from_numpy, (q, k, v)), **options))


@quick
@given(run=runs(), data=st.data())
def test_one_row_is_followed_through_all_tiles(run, data, receipt):
    (q, k, v), options, steps = run
    visited = sorted({r for step in steps for r in step.tile.rows})
    row = data.draw(st.sampled_from(visited))
    scores = np.array(
        [
            q[row] @ k[c] / math.sqrt(3) if oracle.sees(row, c, len(q), len(k), options["causal"]) else -math.inf
            for c in range(len(k))
        ]
    )
    parts = [step.tile.cols if row in step.tile.rows else range(0) for step in steps]
    states = oracle.registers(scores, v, parts)
    got = row_registers(steps, row)
    reference = "one row, number by number"
    for name, values in (("row_max", [s[0] for s in states]), ("row_sum", [s[1] for s in states])):
        receipt(row_registers, name, getattr(got, name), values, reference=reference, tolerance=1e-11)
    divided = np.array([o / l if l else o for _, l, o in states])
    receipt(row_registers, "output", got.output, divided, reference=reference, tolerance=1e-11)
    kept = divided if options["order"] == "fa1" else np.array([o for _, _, o in states])
    receipt(row_registers, "accumulator", got.accumulator, kept, reference=reference, tolerance=1e-10)
    assert got.touched.tolist() == [bool(part) for part in parts]
    maxima = [s[0] for s in states]
    changes = [b != a for a, b in pairwise(maxima)]
    assert got.max_changed.tolist() == changes
    expected = max((t for t, change in enumerate(changes) if change), default=-1)
    receipt(row_registers, "last_max_change", got.last_max_change, expected, reference=reference, tolerance=0)
    decays = [
        (0.0 if a == -math.inf else math.exp(a - b)) if part else 1.0
        for a, b, part in zip(maxima, maxima[1:], parts, strict=False)
    ]
    receipt(row_registers, "rescale", got.rescale, decays, reference=reference)
    assert got.row == row
    every = last_max_changes(steps, len(q))
    receipt(last_max_changes, "last_max_change", every[row], expected, reference=reference, tolerance=0)
    assert all(every[r] == -1 for r in set(range(len(q))) - set(visited))


def test_heads_are_followed_together():
    q, k, v = torch.randn(3, 2, 6, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    steps = tuple(attention_tiles(q, k, v, block_q=3, block_k=2))
    got = row_registers(steps, 4)
    assert got.row_max.shape == (2, 7)
    assert got.output.shape == (2, 7, 4)
    assert got.last_max_change.shape == (2,)
    for head in range(2):
        one = row_registers(tuple(attention_tiles(q[head], k[head], v[head], block_q=3, block_k=2)), 4)
        torch.testing.assert_close(got.output[head], one.output)
        assert got.last_max_change[head] == one.last_max_change == last_max_changes(steps, 6)[head, 4]


def test_rows_that_are_not_there_are_refused():
    x = torch.eye(4)
    steps = tuple(attention_tiles(x, x, x, block_q=2, block_k=2))
    with pytest.raises(ValueError, match="row must be one that a step visits, got row 4 and 4 steps"):
        row_registers(steps, 4)
    with pytest.raises(ValueError, match="got row 0 and 0 steps"):
        row_registers((), 0)
    with pytest.raises(ValueError, match="n_q must cover the rows that are visited, got 3"):
        last_max_changes(steps, 3)
    with pytest.raises(ValueError, match="at least one step"):
        last_max_changes((), 3)
