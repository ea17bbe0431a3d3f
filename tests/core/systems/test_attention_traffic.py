from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.attention_schedule import tile_schedule
from core.systems.attention_traffic import Traffic, hbm_traffic, standard_traffic, traffic_steps
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
PARTS = ("loaded", "stored", "ideal_loaded", "ideal_stored")
ORDERS, DIRECTIONS, INITIALS = ("fa1", "fa2"), ("forward", "backward"), ("written", "uncounted", "skipped")
setups = st.fixed_dictionaries(
    {
        "n_q": st.integers(1, 9),
        "n_k": st.integers(1, 9),
        "d": st.integers(1, 3),
        "block_q": st.integers(1, 10),
        "block_k": st.integers(1, 10),
        "causal": st.booleans(),
        "order": st.sampled_from(ORDERS),
        "direction": st.sampled_from(DIRECTIONS),
        "initial": st.sampled_from(INITIALS),
        "dtype_bytes": st.sampled_from([1, 2, 4]),
        "stat_bytes": st.sampled_from([2, 4]),
        "heads": st.integers(1, 3),
    }
)


def nonzero(counts):
    return {name: count for name, count in counts.items() if count}


def call(function, setup):
    rest = {name: value for name, value in setup.items() if name not in ("n_q", "d")}
    return function(setup["n_q"], setup["d"], **rest)


def compare(receipt, source, got, memory, reference):
    for part in PARTS:
        ours, theirs = nonzero(getattr(got, part)), nonzero(getattr(memory, part))
        assert ours == theirs, part
    receipt(source, "loads", got.loads, sum(memory.loaded.values()), reference=reference, tolerance=0)
    receipt(source, "stores", got.stores, sum(memory.stored.values()), reference=reference, tolerance=0)
    total = sum(memory.loaded.values()) + sum(memory.stored.values())
    ideal = sum(memory.ideal_loaded.values()) + sum(memory.ideal_stored.values())
    for names, ours, theirs in (
        (("total", "flash_bytes"), got.total, total),
        (("ideal_total", "ideal_bytes"), got.ideal_total, ideal),
    ):
        for name in names:
            receipt(source, name, ours, theirs, reference=reference, tolerance=0)
    for name in got.operands:
        both = memory.loaded[name], memory.stored[name]
        receipt(source, "of", got.of(name), sum(both), reference=reference, tolerance=0)
        receipt(source, "operand_loaded", got.loaded.get(name, 0), both[0], reference=reference, tolerance=0)
        receipt(source, "operand_stored", got.stored.get(name, 0), both[1], reference=reference, tolerance=0)


@quick
@given(setup=setups)
def test_flash_moves_what_a_counting_memory_counts(setup, receipt):
    memory, _ = oracle.traffic(**setup)
    compare(receipt, hbm_traffic, call(hbm_traffic, setup), memory, "a run over a memory that counts")


@quick
@given(setup=setups)
def test_the_counted_runs_compute_attention(setup):
    """The oracle's own check: what was counted was the algorithm."""
    memory, (q, k, v, grad_o) = oracle.traffic(**setup)
    causal = setup["causal"]
    if setup["direction"] == "forward":
        np.testing.assert_allclose(memory.arrays["O"], oracle.softmax_attention(q, k, v, causal)[0], atol=1e-12)
    else:
        step = 1e-6
        at = (0, 0)
        for name, x in (("dQ", q), ("dK", k), ("dV", v)):
            moved = [x.copy() + sign * step * (np.arange(x.size).reshape(x.shape) == 0) for sign in (1, -1)]
            there = [
                (oracle.softmax_attention(*[m if y is x else y for y in (q, k, v)], causal)[0] * grad_o).sum()
                for m in moved
            ]
            assert memory.arrays[name][at] == pytest.approx((there[0] - there[1]) / (2 * step), abs=1e-7)


@quick
@given(setup=setups)
def test_standard_moves_what_a_counting_memory_counts(setup, receipt):
    memory, _ = oracle.traffic(**(setup | {"order": "standard"}))
    chosen = {name: setup[name] for name in ("n_k", "direction", "dtype_bytes", "heads")}
    got = standard_traffic(setup["n_q"], setup["d"], **chosen)
    compare(receipt, standard_traffic, got, memory, "a run over a memory that counts")


@quick
@given(setup=setups, data=st.data())
def test_the_odometers_end_where_the_totals_are(setup, data, receipt):
    key_order = data.draw(st.permutations(range(-(-setup["n_k"] // setup["block_k"]))))
    steps = list(call(traffic_steps, setup | {"key_order": key_order}))
    outside = setup["order"] if setup["direction"] == "forward" else "fa1"
    blocks = {name: setup[name] for name in ("block_q", "block_k", "causal")}
    schedule = tile_schedule(setup["n_q"], setup["n_k"], order=outside, key_order=key_order, **blocks)
    assert [step.tile for step in steps] == list(schedule.tiles)
    memory, _ = oracle.traffic(**setup)
    compare(receipt, traffic_steps, steps[-1].total, memory, "a run over a memory that counts")
    plain, _ = oracle.traffic(**(setup | {"order": "standard"}))
    for part in PARTS:
        assert nonzero(getattr(steps[-1].standard, part)) == nonzero(getattr(plain, part)), part
    reference = "a run over a memory that counts"
    total = sum((plain.loaded + plain.stored).values())
    receipt(traffic_steps, "standard_bytes", steps[-1].standard.total, total, reference=reference, tolerance=0)
    for name in steps[-1].standard.operands:
        ours, theirs = steps[-1].standard.of(name), plain.loaded[name] + plain.stored[name]
        receipt(traffic_steps, "operand_standard", ours, theirs, reference=reference, tolerance=0)
    ratio = Fraction(sum((memory.loaded + memory.stored).values()), total)
    now = (
        call(hbm_traffic, setup).total
        / standard_traffic(
            setup["n_q"], setup["d"], **{name: setup[name] for name in ("n_k", "direction", "dtype_bytes", "heads")}
        ).total
    )
    receipt(hbm_traffic, "traffic_ratio", now, float(ratio), reference=reference)
    before = Traffic({}, {}, {}, {})
    for step in steps:  # every step adds what it says, and no account ever shrinks
        for part, moved in (("loaded", step.loaded), ("stored", step.stored)):
            now, then = getattr(step.total, part), getattr(before, part)
            assert nonzero({name: now.get(name, 0) - then.get(name, 0) for name in {*now, *then}}) == nonzero(moved)
        before = step.total
    for account in ("total", "standard"):
        totals = [getattr(step, account).total for step in steps]
        assert totals == sorted(totals)
        ideals = [getattr(step, account).ideal_total for step in steps]
        assert ideals == sorted(ideals)


@pytest.mark.parametrize("initial", INITIALS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("order", ORDERS)
def test_row_blocks_that_see_no_key(order, direction, initial, receipt):
    setup = {"n_q": 7, "n_k": 2, "d": 3, "block_q": 2, "block_k": 1, "causal": True, "dtype_bytes": 2, "stat_bytes": 4}
    setup |= {"order": order, "direction": direction, "initial": initial, "heads": 2}
    memory, _ = oracle.traffic(**setup)
    compare(receipt, hbm_traffic, call(hbm_traffic, setup), memory, "a run over a memory that counts")
    *_, last = call(traffic_steps, setup)
    compare(receipt, traffic_steps, last.total, memory, "a run over a memory that counts")


def test_every_tile_moves_what_the_loops_say():
    """Two row blocks of two rows, three columns in blocks of two, d = 1, one byte a number."""
    sizes = {"n_k": 3, "block_q": 2, "block_k": 2, "dtype_bytes": 1, "stat_bytes": 1}

    def moves(**options):
        return [(step.loaded, step.stored) for step in traffic_steps(4, 1, **sizes, **options)]

    first, second = {"Q": 2, "K": 2, "V": 2}, {"K": 1, "V": 1}
    assert moves(order="fa2") == [(first, {}), (second, {"O": 2, "L": 2})] * 2
    registers = {"O": 2, "l": 2, "m": 2}
    column, next_row = {"K": 2, "V": 2, "Q": 2}, {"Q": 2}
    narrow = {"K": 1, "V": 1, "Q": 2}
    assert moves(order="fa1", initial="skipped") == [
        (column, registers),
        (next_row, registers),
        (narrow | registers, registers),
        (next_row | registers, registers),
    ]
    assert moves(order="fa1")[0] == (column | registers, {"O": 6, "l": 6, "m": 6})
    rows = {"Q": 2, "dO": 2, "L": 2, "D": 2}
    backward = moves(order="fa2", direction="backward", initial="skipped")
    assert backward[0] == ({"O": 4, "K": 2, "V": 2} | rows | {"dO": 6}, {"D": 4, "dQ": 2})
    assert backward[1:] == [
        (rows, {"dQ": 2, "dK": 2, "dV": 2}),
        ({"K": 1, "V": 1, "dQ": 2} | rows, {"dQ": 2}),
        ({"dQ": 2} | rows, {"dQ": 2, "dK": 1, "dV": 1}),
    ]


def test_standard_keeps_pace_with_the_tiles():
    """Half of the tiles done: half of S and P written and read, whatever the order."""
    for order in ORDERS:
        steps = list(traffic_steps(8, 2, block_q=2, block_k=2, order=order))
        for done, step in enumerate(steps, 1):
            assert step.standard.of("S") == step.standard.of("P") == 2 * done * 4 * 2
            assert step.standard.of("Q") == 2 * 2 * 2 * len({s.tile.row_block for s in steps[:done]})
            assert step.standard.of("V") == 2 * 2 * 2 * len({s.tile.col_block for s in steps[:done]})


def test_skipped_tiles_are_charged_when_the_loops_have_passed_them():
    """Causal, Q outside: the hidden end of a row block comes with the next row block's first tile."""
    charges = [step.standard.of("S") for step in traffic_steps(6, 1, block_q=2, block_k=2, causal=True)]
    assert [b - a for a, b in zip([0, *charges], charges, strict=False)] == [16, 48, 16, 32, 16, 16]


@pytest.mark.parametrize("order", ORDERS)
def test_closed_forms_of_whole_tiles(order):
    """Elements of the papers' loops, written out: N = 1024, d = 64, every number one byte."""
    n, d, block = 1024, 64, 128
    t = n // block
    sizes = {"block_q": block, "block_k": block, "order": order, "dtype_bytes": 1, "stat_bytes": 1}
    forward, backward = (hbm_traffic(n, d, direction=way, **sizes) for way in DIRECTIONS)
    if order == "fa1":
        assert (forward.loads, forward.stores) == (
            2 * n * d + t * (2 * n * d + 2 * n),
            n * d + 2 * n + t * (n * d + 2 * n),
        )
        assert (backward.loads, backward.stores) == (2 * n * d + t * (4 * n * d + 2 * n), (3 + t + 2) * n * d)
    else:
        assert (forward.loads, forward.stores) == (n * d + t * 2 * n * d, n * d + n)
        assert (backward.loads, backward.stores) == (4 * n * d + t * (3 * n * d + 2 * n), (1 + t + 2) * n * d + n)


def test_a_causal_square_visits_the_triangle():
    n, d, block = 1024, 64, 64
    sizes = {"block_q": block, "block_k": block}
    half, whole = (hbm_traffic(n, d, causal=causal, **sizes) for causal in (True, False))
    t = n // block
    assert Fraction(half.loaded["K"], whole.loaded["K"]) == Fraction(t * (t + 1) // 2, t * t)


def test_small_tiles_move_more_than_the_standard_algorithm():
    standard = standard_traffic(1024, 64, dtype_bytes=4).total
    ratios = []
    for block_k in (32, 48, 64, 128):
        sizes = {"block_q": 64, "block_k": block_k, "order": "fa1", "dtype_bytes": 4, "initial": "uncounted"}
        ratios.append(hbm_traffic(1024, 64, **sizes).total / standard)
    assert [round(ratio, 2) for ratio in ratios] == [1.47, 1.02, 0.75, 0.39]


def test_the_papers_setting_in_gigabytes():
    def total(initial, *orders):
        sizes = {"block_q": 64, "block_k": 256, "heads": 1024, "initial": initial}
        pairs = zip(orders, DIRECTIONS, strict=True)
        return sum(hbm_traffic(1024, 64, order=order, direction=way, **sizes).total for order, way in pairs) / 1e9

    assert (
        round(sum(standard_traffic(1024, 64, direction=way, heads=1024).total for way in DIRECTIONS) / 1e9, 2) == 25.23
    )
    assert round(total("written", "fa1", "fa1"), 2) == 5.75
    assert round(total("skipped", "fa1", "fa2"), 2) == 4.66


def test_a_million_tokens_are_counted_at_once():
    assert hbm_traffic(2**20, 128, block_q=128, block_k=128, causal=True).total > 2**40


BAD = [
    ({"n_q": 0}, "n_q must be at least 1"),
    ({"n_k": 0}, "n_k must be at least 1"),
    ({"d": 0}, "d must be at least 1"),
    ({"block_q": 0}, "block_q must be at least 1"),
    ({"block_k": 0}, "block_k must be at least 1"),
    ({"dtype_bytes": 0}, "dtype_bytes must be at least 1"),
    ({"stat_bytes": 0}, "stat_bytes must be at least 1"),
    ({"heads": 0}, "heads must be at least 1"),
    ({"order": "fa3"}, "order must be one of"),
    ({"direction": "sideways"}, "direction must be one of"),
    ({"initial": "maybe"}, "initial must be one of"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("function", [hbm_traffic, traffic_steps])
def test_bad_arguments_are_named_at_the_call(function, change, message):
    with pytest.raises(ValueError, match=message):
        call(function, {"n_q": 4, "d": 2, "n_k": 4, "block_q": 2, "block_k": 2} | change)


@pytest.mark.parametrize(("change", "message"), [BAD[i] for i in (0, 1, 2, 5, 7, 9)])
def test_standard_names_them_too(change, message):
    with pytest.raises(ValueError, match=message):
        call(standard_traffic, {"n_q": 4, "d": 2, "n_k": 4} | change)
