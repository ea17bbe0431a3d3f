"""How CUDA's caching allocator turns requests into reserved memory: a model of its rounding, segments, splits and merges.

Source: PyTorch c10/cuda/CUDACachingAllocator.cpp and c10/core/AllocatorConfig.h.
Notation: a segment is one cudaMalloc, cut into blocks; reserved counts segments, allocated counts blocks in use.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from core.systems.memory_tracker import CUDA_BLOCK, MemoryEvent, cuda_rounded_bytes

SMALL_REQUEST = 1 << 20  # bytes; requests up to this come from small segments
SMALL_SEGMENT = 2 << 20  # bytes
LARGE_SEGMENT = 20 << 20  # bytes, for requests below MIN_LARGE
MIN_LARGE = 10 << 20  # bytes; from here on a request gets a segment of its own …
ROUND_LARGE = 2 << 20  # … of the next multiple of this

_Free: TypeAlias = tuple[int, int, int]  # (bytes, segment, start)


@dataclass(frozen=True, slots=True)
class Request:
    """Something asks for memory, or gives it back."""

    number: int  # which allocation
    n_bytes: int  # size asked for; 0 gives it back


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a segment."""

    start: int  # byte offset inside the segment
    n_bytes: int  # length
    number: int  # allocation that occupies it; −1 is free


@dataclass(frozen=True, slots=True)
class AllocatorStep:
    """State after one request."""

    index: int  # position among the requests
    request: Request  # what was asked
    live_bytes: int  # bytes asked for and not given back
    allocated_bytes: int  # bytes of blocks in use
    reserved_bytes: int  # bytes of segments
    new_segment: bool  # this request made the allocator ask the device for memory


@dataclass(frozen=True, slots=True)
class AllocatorPeaks:
    """The fold of all steps."""

    live_bytes: int  # most bytes asked for at once
    allocated_bytes: int  # most bytes in blocks at once
    reserved_bytes: int  # most bytes of segments; segments are never returned here
    segments: tuple[int, ...]  # bytes of each segment, in the order of their making
    blocks_at_peak: tuple[tuple[Block, ...], ...]  # what each segment holds when allocated_bytes peaks first


def requests_of(events: Iterable[MemoryEvent]) -> tuple[Request, ...]:
    """The requests behind a tracked run: births and deaths of its storages, in order."""
    found: list[Request] = []
    for event in events:
        found += (Request(number, 0) for number in event.freed)
        found += (Request(number, size) for number, size, _ in event.allocated)
    born = {request.number for request in found if request.n_bytes}
    return tuple(request for request in found if request.number in born)  # storages of nothing are no requests


def allocator_steps(requests: Sequence[Request]) -> Generator[AllocatorStep, None, None]:
    """Serve the requests one by one.

    Convention: a request is rounded up to 512 bytes, then takes the smallest free block that is large enough (lowest address
    first) of its pool, else a new segment; what is left over is split off if it is at least 512 bytes in the small pool or more
    than 1 MiB in the large one. A freed block merges with its free neighbours. One stream; nothing is returned to the device.

    Args:
        requests: births and deaths in order.

    Raises:
        ValueError: at the call, if a size is negative, a number is born twice, or dies without living.

    Source: CUDACachingAllocator.cpp, get_free_block, should_split, free_block.
    Differs: no streams, no expandable segments, no garbage collection, no out-of-memory retry.

    >>> [(s.allocated_bytes, s.reserved_bytes >> 20) for s in allocator_steps([Request(0, 100), Request(1, 3 << 20)])]
    [(512, 2), (3146240, 22)]
    """
    _checked(requests)
    return _served(requests, _Pools())


@dataclass(slots=True)
class _Pools:
    """Segments as they are, and the free blocks of both pools in the order in which they are offered."""

    segments: list[list[Block]] = field(default_factory=list[list[Block]])  # blocks in order
    small: list[bool] = field(default_factory=list[bool])  # (segments) of the small pool
    free: tuple[list[_Free], list[_Free]] = field(
        default_factory=lambda: ([], [])
    )  # of the large and of the small pool, sorted
    blocks: dict[int, tuple[int, int]] = field(
        default_factory=dict[int, tuple[int, int]]
    )  # allocation -> (segment, start)


def _served(requests: Sequence[Request], pools: _Pools) -> Generator[AllocatorStep, None, None]:
    live = allocated = reserved = 0
    sizes: dict[int, int] = {}
    for index, request in enumerate(requests):
        new_segment = False
        if request.n_bytes:
            size = cuda_rounded_bytes(request.n_bytes)
            free = pools.free[size <= SMALL_REQUEST]
            place = bisect_left(free, (size, -1, -1))  # the smallest that is large enough, the oldest of equals
            if place == len(free):
                length = _segment_bytes(size)
                free.append((length, len(pools.segments), 0))
                pools.segments.append([Block(0, length, -1)])
                pools.small.append(size <= SMALL_REQUEST)
                reserved, new_segment = reserved + length, True
            _, segment, start = free.pop(place)
            allocated += _take(pools, segment, start, size, request.number)
            sizes[request.number] = request.n_bytes
            live += request.n_bytes
        else:
            allocated -= _give_back(pools, request.number)
            live -= sizes.pop(request.number)
        yield AllocatorStep(index, request, live, allocated, reserved, new_segment)


def _segment_bytes(size: int) -> int:
    if size <= SMALL_REQUEST:
        return SMALL_SEGMENT
    return LARGE_SEGMENT if size < MIN_LARGE else -(-size // ROUND_LARGE) * ROUND_LARGE


def _position(blocks: list[Block], start: int) -> int:
    return next(i for i, block in enumerate(blocks) if block.start == start)


def _take(pools: _Pools, segment: int, start: int, size: int, number: int) -> int:
    """Occupy a free block, split if the rest is worth keeping; its length."""
    blocks = pools.segments[segment]
    i = _position(blocks, start)
    length = blocks[i].n_bytes
    rest = length - size
    if rest >= CUDA_BLOCK if pools.small[segment] else rest > SMALL_REQUEST:
        blocks[i : i + 1] = [Block(start, size, number), Block(start + size, rest, -1)]
        insort(pools.free[pools.small[segment]], (rest, segment, start + size))
        length = size
    else:
        blocks[i] = Block(start, length, number)
    pools.blocks[number] = segment, start
    return length


def _give_back(pools: _Pools, number: int) -> int:
    """Free an allocation's block and merge it with its free neighbours; its length."""
    segment, start = pools.blocks.pop(number)
    blocks, free = pools.segments[segment], pools.free[pools.small[segment]]
    i = _position(blocks, start)
    size = blocks[i].n_bytes
    first = i - 1 if i and blocks[i - 1].number < 0 else i
    last = i + 1 if i + 1 < len(blocks) and blocks[i + 1].number < 0 else i
    for k in {first, last} - {i}:
        free.remove((blocks[k].n_bytes, segment, blocks[k].start))
    merged = Block(blocks[first].start, sum(block.n_bytes for block in blocks[first : last + 1]), -1)
    blocks[first : last + 1] = [merged]
    insort(free, (merged.n_bytes, segment, merged.start))
    return size


def _checked(requests: Sequence[Request]) -> None:
    alive: set[int] = set()
    for request in requests:
        if request.n_bytes < 0 or request.number < 0:
            raise ValueError(f"requests must have sizes and numbers that are not negative, got {request}")
        if (request.n_bytes > 0) == (request.number in alive):
            raise ValueError(f"requests must be born once and then die once, got {request} out of turn")
        alive ^= {request.number}


def allocator_peaks(requests: Sequence[Request]) -> AllocatorPeaks:
    """The highest of what `allocator_steps` says, and the blocks at that moment.

    >>> allocator_peaks([Request(0, 100), Request(0, 0), Request(1, 700)]).allocated_bytes
    1024
    """
    _checked(requests)
    pools = _Pools()
    live = allocated = reserved = 0
    at_peak: tuple[tuple[Block, ...], ...] = ()
    for step in _served(requests, pools):
        live, reserved = max(live, step.live_bytes), max(reserved, step.reserved_bytes)
        if step.allocated_bytes > allocated:
            allocated = step.allocated_bytes
            at_peak = tuple(tuple(blocks) for blocks in pools.segments)
    segments = tuple(sum(block.n_bytes for block in blocks) for blocks in pools.segments)
    return AllocatorPeaks(live, allocated, reserved, segments, at_peak)
