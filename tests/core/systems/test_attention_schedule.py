import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.systems.attention_schedule import tile_schedule, visible_entries
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=80)
sizes, blocks = st.integers(1, 12), st.integers(1, 14)


def visible(n_q, n_k, causal):
    return {(r, c) for r in range(n_q) for c in range(n_k) if oracle.sees(r, c, n_q, n_k, causal)}


@quick
@given(n_q=sizes, n_k=sizes, block_q=blocks, block_k=blocks, causal=st.booleans(), data=st.data())
def test_tiles_cover_every_visible_score_once_and_skip_only_what_is_hidden(n_q, n_k, block_q, block_k, causal, data):
    order = data.draw(st.sampled_from(["fa1", "fa2"]))
    columns = data.draw(st.permutations(range(-(-n_k // block_k))))
    schedule = tile_schedule(n_q, n_k, block_q=block_q, block_k=block_k, causal=causal, order=order, key_order=columns)
    places = [(r, c) for tile in (*schedule.tiles, *schedule.skipped) for r in tile.rows for c in tile.cols]
    assert sorted(places) == [(r, c) for r in range(n_q) for c in range(n_k)]
    seen = visible(n_q, n_k, causal)
    for tile in schedule.tiles:
        inside = {(r, c) for r in tile.rows for c in tile.cols}
        assert inside & seen
        assert tile.masked == bool(inside - seen)
        assert tile.entries == len(inside)
        assert not tile.skipped
    for tile in schedule.skipped:
        assert tile.skipped
        assert tile.masked
        assert not {(r, c) for r in tile.rows for c in tile.cols} & seen
    assert schedule.visible_entries == visible_entries(n_q, n_k, causal=causal) == len(seen)
    assert schedule.computed_entries == sum(len(t.rows) * len(t.cols) for t in schedule.tiles)
    assert {r for rows in schedule.empty_rows for r in rows} == set(range(n_q)) - {
        r for tile in schedule.tiles for r in tile.rows
    }


@quick
@given(n_q=sizes, n_k=sizes, block_q=blocks, block_k=blocks, causal=st.booleans(), data=st.data())
def test_order_of_the_loops(n_q, n_k, block_q, block_k, causal, data):
    order = data.draw(st.sampled_from(["fa1", "fa2"]))
    columns = list(data.draw(st.permutations(range(-(-n_k // block_k)))))
    tiles = tile_schedule(
        n_q, n_k, block_q=block_q, block_k=block_k, causal=causal, order=order, key_order=columns
    ).tiles
    keys = [(t.row_block, columns.index(t.col_block)) for t in tiles]
    assert keys == sorted(keys, key=lambda place: place if order == "fa2" else place[::-1])
    assert [t.index for t in tiles] == list(range(len(tiles)))
    for name, other in (("row_block", "rows"), ("col_block", "cols")):
        for block in {getattr(t, name) for t in tiles}:
            mine = [t for t in tiles if getattr(t, name) == block]
            assert [t for t in mine if getattr(t, f"first_of_{other}")] == mine[:1]
            assert [t for t in mine if getattr(t, f"last_of_{other}")] == mine[-1:]


def test_square_causal_tiles_are_the_triangle():
    schedule = tile_schedule(64, 64, block_q=4, block_k=4, causal=True)
    assert (len(schedule.tiles), len(schedule.skipped)) == (16 * 17 // 2, 16 * 15 // 2)


def test_more_queries_than_keys_leave_rows_empty():
    schedule = tile_schedule(6, 2, block_q=2, block_k=2, causal=True)
    assert schedule.empty_rows == (range(0, 2), range(2, 4))
    assert [tile.rows for tile in schedule.tiles] == [range(4, 6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_q": 0}, "n_q must be at least 1, got 0"),
        ({"n_k": 0}, "n_k must be at least 1, got 0"),
        ({"block_q": 0}, "block_q must be at least 1, got 0"),
        ({"block_k": -1}, "block_k must be at least 1, got -1"),
        ({"order": "fa3"}, "order must be one of"),
        ({"key_order": [0, 0]}, r"permutation of 0\.\.1, got \[0, 0\]"),
        ({"key_order": [0]}, "permutation"),
    ],
)
def test_bad_arguments_are_named(options, message):
    arguments = {"n_q": 4, "n_k": 4, "block_q": 2, "block_k": 2} | options
    with pytest.raises(ValueError, match=message):
        tile_schedule(arguments.pop("n_q"), arguments.pop("n_k"), **arguments)


def test_visible_entries_needs_lengths():
    with pytest.raises(ValueError, match="n_k must be at least 1"):
        visible_entries(3, 0, causal=True)


def test_the_two_loop_orders_of_four_tiles():
    places = {
        order: [
            (tile.row_block, tile.col_block) for tile in tile_schedule(4, 4, block_q=2, block_k=2, order=order).tiles
        ]
        for order in ("fa1", "fa2")
    }
    assert places == {"fa1": [(0, 0), (1, 0), (0, 1), (1, 1)], "fa2": [(0, 0), (0, 1), (1, 0), (1, 1)]}
