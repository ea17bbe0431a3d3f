from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.attention_blocks import (
    GOALS,
    PLACEMENTS,
    BlockSizes,
    largest_feasible_blocks,
    paper_block_sizes,
    sram_bytes,
    sram_use,
)

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays(block_q, block_k, d, dtype_bytes, state_bytes, placement):
    """Bytes of the arrays that a tile needs, by their shapes."""
    inputs = [(block_q, d), (block_k, d), (block_k, d)]
    state = [(block_q, d), (block_q, block_k), (block_q,), (block_q,), (block_q,), (block_q,)]
    size = sum(dtype_bytes * shape[0] * shape[1] for shape in inputs)
    if placement == "one_memory":
        for shape in state:
            count = 1
            for n in shape:
                count *= n
            size += state_bytes * count
    return size


@quick
@given(
    block_q=st.integers(1, 200),
    block_k=st.integers(1, 200),
    d=st.integers(1, 256),
    dtype_bytes=st.sampled_from([1, 2, 4]),
    state_bytes=st.sampled_from([None, 2, 4]),
    placement=st.sampled_from(PLACEMENTS),
    capacity=st.integers(1, 10**6),
)
def test_the_working_set_is_its_arrays(block_q, block_k, d, dtype_bytes, state_bytes, placement, capacity, receipt):
    expected = arrays(block_q, block_k, d, dtype_bytes, state_bytes or dtype_bytes, placement)
    options = {"dtype_bytes": dtype_bytes, "state_bytes": state_bytes, "placement": placement}
    use = sram_use(block_q, block_k, d, capacity_bytes=capacity, **options)
    reference = "sizes of the arrays"
    for name in ("total", "sram_bytes"):
        receipt(sram_use, name, use.total, expected, reference=reference, tolerance=0)
    receipt(sram_bytes, "total", sram_bytes(block_q, block_k, d, **options), expected, reference=reference, tolerance=0)
    receipt(sram_use, "share", use.share, expected / capacity, reference=reference)
    assert sum(use.parts.values()) == use.total
    assert list(use.parts) == ["Q", "K", "V", "O", "S", "stats"]
    assert use.parts["Q"] == block_q * d * dtype_bytes
    assert use.parts["K"] == use.parts["V"] == block_k * d * dtype_bytes
    assert use.overflows == (expected > capacity)
    exact = sram_use(block_q, block_k, d, capacity_bytes=expected, **options)
    assert not exact.overflows
    assert exact.share == 1


@pytest.mark.parametrize(
    ("elements", "d", "share"), [(49152, 64, 0.92), (49152, 128, 1.195), (24576, 64, 1.094), (4096, 32, 1.28)]
)
def test_the_papers_rule_may_overflow(elements, d, share):
    blocks = paper_block_sizes(elements, d)
    use = sram_use(blocks.block_q, blocks.block_k, d, capacity_bytes=elements, dtype_bytes=1)
    assert use.share == pytest.approx(share, abs=0.005)
    assert use.overflows == (share > 1)


@quick
@given(elements=st.integers(1, 10**6), d=st.integers(1, 300))
def test_the_papers_rule(elements, d, receipt):
    columns = next(n for n in range(elements // (4 * d), elements) if 4 * d * n >= elements) if elements > 1 else 1
    got = paper_block_sizes(elements, d)
    receipt(paper_block_sizes, "block_k", got.block_k, columns, reference="smallest n with 4dn ≥ M", tolerance=0)
    receipt(paper_block_sizes, "block_q", got.block_q, min(columns, d), reference="min(⌈M/4d⌉, d)", tolerance=0)


@quick
@given(
    capacity=st.integers(1, 40_000),
    d=st.sampled_from([1, 8, 64]),
    dtype_bytes=st.sampled_from([1, 2]),
    state_bytes=st.sampled_from([None, 4]),
    placement=st.sampled_from(PLACEMENTS),
    multiple=st.sampled_from([16, 32]),
    goal=st.sampled_from(GOALS),
    limits=st.tuples(*[st.integers(1, 300)] * 2),
)
def test_the_largest_feasible_blocks_are_the_best_of_all(
    capacity, d, dtype_bytes, state_bytes, placement, multiple, goal, limits, receipt
):
    options = {"dtype_bytes": dtype_bytes, "state_bytes": state_bytes, "placement": placement}
    tops = [range(multiple, -(-limit // multiple) * multiple + 1, multiple) for limit in limits]
    fitting = [
        (q, k)
        for q, k in product(*tops)
        if arrays(q, k, d, dtype_bytes, state_bytes or dtype_bytes, placement) <= capacity
    ]
    rank = {"area": lambda b: (b[0] * b[1], b[0]), "rows": lambda b: b, "columns": lambda b: b[::-1]}[goal]
    got = largest_feasible_blocks(
        capacity, d, multiple=multiple, goal=goal, limit_q=limits[0], limit_k=limits[1], **options
    )
    if not fitting:
        assert got is None
        return
    best = max(fitting, key=rank)
    assert got is not None
    found = got.block_q, got.block_k
    receipt(largest_feasible_blocks, "blocks", found, best, reference="every pair of blocks tried", tolerance=0)


def test_without_limits_the_memory_is_the_limit():
    assert largest_feasible_blocks(98304, 128) == BlockSizes(80, 80)
    assert sram_bytes(80, 80, 128) <= 98304 < min(sram_bytes(96, 80, 128), sram_bytes(80, 96, 128))
    assert largest_feasible_blocks(100, 128) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sram_use(0, 1, 1, capacity_bytes=1), "block_q must be at least 1, got 0"),
        (lambda: sram_use(1, 0, 1, capacity_bytes=1), "block_k must be at least 1"),
        (lambda: sram_use(1, 1, 0, capacity_bytes=1), "d must be at least 1"),
        (lambda: sram_use(1, 1, 1, capacity_bytes=0), "capacity_bytes must be at least 1"),
        (lambda: sram_use(1, 1, 1, capacity_bytes=1, dtype_bytes=0), "dtype_bytes must be at least 1"),
        (lambda: sram_use(1, 1, 1, capacity_bytes=1, state_bytes=0), "state_bytes must be at least 1"),
        (lambda: sram_use(1, 1, 1, capacity_bytes=1, placement="disk"), "placement must be one of"),
        (lambda: paper_block_sizes(0, 1), "sram_elements must be at least 1"),
        (lambda: paper_block_sizes(1, 0), "d must be at least 1"),
        (lambda: largest_feasible_blocks(0, 1), "capacity_bytes must be at least 1"),
        (lambda: largest_feasible_blocks(1000, 1, multiple=0), "multiple must be at least 1"),
        (lambda: largest_feasible_blocks(1000, 1, goal="beauty"), "goal must be one of"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
