import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.systems.caching_allocator import Request, allocator_peaks, allocator_steps, requests_of
from core.systems.memory_tracker import LiveMemoryTracker
from tests.oracles import checkpointing as oracle

quick = settings(
    deadline=None,
    max_examples=150,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the examples are small as they come
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MB = 1 << 20


@st.composite
def histories(draw):
    """Births of sizes around every border, deaths in any order."""
    borders = [1, 512, 513, MB - 1, MB, MB + 1, 3 * MB, 10 * MB - 512, 10 * MB - 511, 10 * MB, 11 * MB + 1, 30 * MB]
    alive, made, next_number = [], [], 0
    for _ in range(draw(st.integers(0, 25))):
        if alive and draw(st.booleans()):
            made.append(Request(alive.pop(draw(st.integers(0, len(alive) - 1))), 0))
        else:
            size = draw(st.one_of(st.sampled_from(borders), st.integers(1, 24 * MB), st.integers(1, 2 * MB)))
            made.append(Request(next_number, size))
            alive.append(next_number)
            next_number += 1
    return made


@quick
@given(history=histories())
def test_the_allocator_is_a_naive_ones(history, receipt):
    got = [(step.allocated_bytes, step.reserved_bytes) for step in allocator_steps(history)]
    expected = oracle.allocator([(r.number, r.n_bytes) for r in history])
    reference = "lists of 512-byte pages, searched from the start"
    receipt(allocator_steps, "allocated_and_reserved", got, expected, reference=reference, tolerance=0)
    peaks = allocator_peaks(history)
    highest = [max((a for a, _ in expected), default=0), max((r for _, r in expected), default=0)]
    receipt(allocator_peaks, "peaks", [peaks.allocated_bytes, peaks.reserved_bytes], highest, reference=reference)
    assert sum(peaks.segments) == peaks.reserved_bytes
    live, sizes = 0, {}
    for request, step in zip(history, allocator_steps(history), strict=True):
        live += request.n_bytes or -sizes[request.number]
        sizes[request.number] = request.n_bytes
        assert step.live_bytes == live <= step.allocated_bytes <= step.reserved_bytes
    used = sum(block.n_bytes for blocks in peaks.blocks_at_peak for block in blocks if block.number >= 0)
    assert used == peaks.allocated_bytes
    for blocks in peaks.blocks_at_peak:
        ends = [0, *(block.start + block.n_bytes for block in blocks)]
        assert [block.start for block in blocks] == ends[:-1]


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        (1, 512, 2 * MB),
        (MB, MB, 2 * MB),
        (MB + 1, MB + 512, 20 * MB),
        (10 * MB - 1, 10 * MB, 10 * MB),  # rounded first: 10 MiB has a segment of its own
        (10 * MB - 512, 10 * MB - 512, 20 * MB),
        (11 * MB, 12 * MB, 12 * MB),  # 1 MiB is left over, which is not split off
        (11 * MB - 512, 11 * MB - 512, 12 * MB),  # 1 MiB and 512 B are
    ],
)
def test_one_request(size, allocated, reserved):
    (step,) = allocator_steps([Request(0, size)])
    assert (step.allocated_bytes, step.reserved_bytes, step.new_segment) == (allocated, reserved, True)


def test_requests_come_from_births_and_deaths():
    x = torch.zeros(100)
    with LiveMemoryTracker(inputs=[x]) as tracker:
        for _ in range(2):
            y = x * 2
            z = y[:0].clone()  # nothing: no request
            del y, z
    found = [(request.number, request.n_bytes) for request in requests_of(tracker.events)]
    assert found[0] == (0, 400)
    assert [size for _, size in found] == [400, 400, 0, 400, 0]
    assert list(allocator_steps(requests_of(tracker.events)))[-1].live_bytes == 400


def test_the_blocks_are_those_of_the_first_peak():
    peaks = allocator_peaks([Request(0, 512), Request(0, 0), Request(1, 512)])
    assert [block.number for blocks in peaks.blocks_at_peak for block in blocks] == [0, -1]


def test_steps_never_change_and_a_generator_can_be_taken_again():
    history = [Request(0, 5), Request(1, 700), Request(0, 0)]
    assert list(allocator_steps(history)) == list(allocator_steps(history))
    assert allocator_peaks([]).segments == ()


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([Request(0, -1)], "not negative"),
        ([Request(-1, 5)], "not negative"),
        ([Request(0, 0)], "out of turn"),
        ([Request(0, 4), Request(0, 4)], "out of turn"),
        ([Request(0, 4), Request(0, 0), Request(0, 0)], "out of turn"),
    ],
)
def test_impossible_histories_are_refused_at_the_call(history, words):
    with pytest.raises(ValueError, match=words):
        allocator_steps(history)
    with pytest.raises(ValueError, match=words):
        allocator_peaks(history)
