import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.systems.memory_snapshot import bytes_by_place, read_snapshot
from core.systems.restricted_pickle import RefusedPickle


def frames(*places):
    return [{"filename": f, "line": n, "name": name} for f, n, name in places]


def entry(action, addr, size, time_us=None, places=()):
    made = {"action": action, "addr": addr, "size": size, "stream": 0, "frames": frames(*places)}
    return made if time_us is None else made | {"time_us": time_us}


def segment(total, allocated, device=0):
    return {
        "device": device,
        "address": 0,
        "total_size": total,
        "allocated_size": allocated,
        "active_size": allocated,
        "blocks": [],
    }


def packed(traces, segments):
    return pickle.dumps({"device_traces": traces, "segments": segments, "allocator_settings": {"x": "y"}})


MODEL = ("/home/me/model.py", 12, "forward")
TORCH = ("/site/torch/nn/functional.py", 5, "linear")
TRACE = [
    entry("segment_alloc", 0, 2048, 1_000_000),
    entry("alloc", 0, 512, 1_500_000, [TORCH, MODEL]),
    entry("alloc", 512, 1024, 2_000_000),
    entry("free_requested", 0, 512, 2_500_000),
    entry("free_completed", 0, 512, 3_000_000),
    entry("alloc", 0, 256, 3_000_001),
    entry("free_completed", 4096, 700, 4_000_000),  # was there before the trace began
    entry("segment_free", 9000, 5000, 5_000_000),
    entry("oom", 0, 10**12, 6_000_000),
]
SEGMENTS = [segment(2048, 1280), segment(4096, 0), segment(7, 7, device=1)]


def test_a_timeline_by_hand(receipt):
    snapshot = read_snapshot(packed([TRACE, []], SEGMENTS))
    # the end is known (1280 and 6144); what the trace adds and takes gives the start
    start = [1280 - (512 + 1024 - 512 + 256 - 700), 6144 - (2048 - 5000)]
    assert start == [700, 9096]
    allocated = [700, 1212, 2236, 2236, 1724, 1980, 1280, 1280, 1280]
    reserved = [11144] * 7 + [6144] * 2
    got = [[event.allocated_bytes, event.reserved_bytes] for event in snapshot.events]
    expected = [list(pair) for pair in zip(allocated, reserved, strict=True)]
    receipt(read_snapshot, "timeline", got, expected, reference="counted by hand", tolerance=0)
    peaks = [snapshot.peak_allocated_bytes, snapshot.peak_reserved_bytes, snapshot.peak_event]
    receipt(read_snapshot, "peaks", peaks, [2236, 11144, 2], reference="counted by hand", tolerance=0)
    assert [snapshot.start_allocated_bytes, snapshot.start_reserved_bytes] == start
    assert (snapshot.end_allocated_bytes, snapshot.end_reserved_bytes) == (1280, 6144)
    assert [event.seconds for event in snapshot.events[:3]] == [0, 0.5, 1.0]
    assert [event.index for event in snapshot.events] == list(range(9))
    assert snapshot.events[1].place == "model.py:12 forward"
    assert snapshot.events[2].place == ""
    assert snapshot.device == 0


def test_blocks_live_from_birth_to_death():
    snapshot = read_snapshot(packed([TRACE], SEGMENTS))
    assert [(b.n_bytes, b.address, b.born, b.died, b.place) for b in snapshot.blocks] == [
        (1024, 512, 2, 9, ""),
        (700, 4096, -1, 6, ""),
        (512, 0, 1, 4, "model.py:12 forward"),
        (256, 0, 5, 9, ""),
    ]


def test_without_times_the_index_is_the_time():
    snapshot = read_snapshot(packed([[entry("alloc", 0, 5), entry("free_completed", 0, 5)]], []))
    assert [event.seconds for event in snapshot.events] == [0, 1]
    assert [(block.born, block.died) for block in snapshot.blocks] == [(0, 1)]
    assert snapshot.peak_event == 0


def test_a_peak_before_the_trace():
    snapshot = read_snapshot(packed([[entry("free_completed", 0, 5)]], []))
    assert (snapshot.start_allocated_bytes, snapshot.peak_allocated_bytes, snapshot.peak_event) == (5, 5, -1)


def test_mapped_segments_count_and_out_of_memory_has_another_address():
    oom = {"action": "oom", "device_free": 123, "size": 9, "frames": []}
    trace = [entry("segment_map", 0, 50), entry("segment_unmap", 0, 20), oom]
    snapshot = read_snapshot(packed([trace], [segment(30, 0)]))
    assert [event.reserved_bytes for event in snapshot.events] == [50, 30, 30]
    assert (snapshot.start_reserved_bytes, snapshot.peak_reserved_bytes) == (0, 50)
    assert snapshot.events[2].address == 123


def test_the_device_with_the_most_events_is_taken():
    data = packed([[entry("alloc", 0, 1)], TRACE], [segment(8, 8, 1)])
    assert read_snapshot(data).device == 1
    assert read_snapshot(data, device=0).end_allocated_bytes == 0
    with pytest.raises(ValueError, match="device must be one of the snapshot's 2, got 2"):
        read_snapshot(data, device=2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "CUDA memory snapshot with a list of device_traces"),
        ({"device_traces": {}, "segments": []}, "list of device_traces"),
        ({"device_traces": [[]]}, "list of segments"),
        ({"device_traces": [[]], "segments": []}, "must hold a trace"),
        ({"device_traces": [], "segments": []}, "device must be one of the snapshot's 0"),
        ({"device_traces": [5], "segments": []}, "lists where lists belong, got int"),
        ({"device_traces": [[5]], "segments": []}, "entries must be dictionaries, got int"),
        ({"device_traces": [[{"action": "alloc"}]], "segments": []}, "size must be a whole number, got None"),
        ({"device_traces": [[entry("alloc", 0, 1)]], "segments": [{"device": 0}]}, "total_size must be a whole number"),
        ({"device_traces": [[entry(7, 0, 1)]], "segments": []}, "action must be text, got 7"),
        ({"device_traces": [[entry("alloc", "x", 1)]], "segments": []}, "addr must be a whole number"),
    ],
)
def test_what_is_no_snapshot_is_named(value, words):
    with pytest.raises(ValueError, match=words):
        read_snapshot(pickle.dumps(value))


def test_a_hostile_file_is_refused():
    with pytest.raises(RefusedPickle, match="import a name"):
        read_snapshot(pickle.dumps({"device_traces": [[print]], "segments": []}))


def test_a_large_snapshot_is_read_in_seconds():
    trace = [
        entry(action, i * 512, 512, i, [TORCH, MODEL]) for i in range(20_000) for action in ("alloc", "free_completed")
    ]
    snapshot = read_snapshot(packed([trace], []))
    assert len(snapshot.events) == 40_000
    assert snapshot.peak_allocated_bytes == 512


def test_bytes_by_place_by_hand(receipt):
    timeline = bytes_by_place(read_snapshot(packed([TRACE, []], SEGMENTS)))
    assert timeline.places == ("", "model.py:12 forward")
    before = [700] * 7 + [0] * 3
    unnamed = [0, 0, 0, 1024, 1024, 1024, 1280, 1280, 1280, 1280]
    model = [0, 0, 512, 512, 512, 0, 0, 0, 0, 0]
    expected = [before, unnamed, model, [0] * 10]
    receipt(bytes_by_place, "place_bytes", timeline.live_bytes, expected, reference="counted by hand", tolerance=0)


@st.composite
def traces(draw):
    """Allocations and releases at a few addresses, from a few places, as an allocator would do them."""
    held, trace = {}, []
    for i in range(draw(st.integers(1, 40))):
        address = draw(st.integers(0, 5))
        if address in held:
            trace.append(entry("free_completed", address, held.pop(address), i))
        else:
            held[address] = draw(st.integers(1, 9))
            place = (f"/me/{draw(st.sampled_from('abcd'))}.py", 1, "f")
            trace.append(entry("alloc", address, held[address], i, [place]))
    return trace, sum(held.values())


@settings(max_examples=60, deadline=None)
@given(traces(), st.integers(1, 5), st.integers(0, 20))
def test_places_add_up_to_what_is_allocated(made, most, before):
    trace, held = made
    snapshot = read_snapshot(packed([trace], [segment(1000, held + before)]))
    timeline = bytes_by_place(snapshot, most=most)
    allocated = [snapshot.start_allocated_bytes, *(event.allocated_bytes for event in snapshot.events)]
    np.testing.assert_array_equal(timeline.live_bytes.sum(0), allocated)
    assert (timeline.live_bytes[0] == before).all()
    assert (timeline.live_bytes >= 0).all()
    assert len(timeline.places) <= most
    at_peak = timeline.live_bytes[1:-1, snapshot.peak_event + 1]
    assert list(at_peak) == sorted(at_peak, reverse=True)
    for place, row in zip(timeline.places, timeline.live_bytes[1:], strict=False):  # each alone, counted one by one
        mine = [e for e in trace if e["frames"] and e["frames"][0]["filename"].endswith(place.split(":")[0])]
        assert row.max() <= sum(e["size"] for e in mine)
        assert row[-1] == sum(b.n_bytes for b in snapshot.blocks if b.place == place and b.died == len(trace))


def test_at_least_one_place():
    with pytest.raises(ValueError, match="most must be at least 1, got 0"):
        bytes_by_place(read_snapshot(packed([TRACE, []], SEGMENTS)), most=0)
