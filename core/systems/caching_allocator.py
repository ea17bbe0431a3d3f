"""How CUDA's caching allocator turns requests into reserved memory: a model of its rounding, segments, splits and merges.

Source: PyTorch c10/cuda/CUDACachingAllocator.cpp and c10/core/AllocatorConfig.h.
Notation: a segment is one cudaMalloc, cut into blocks; reserved counts segments, allocated counts blocks in use.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

from core.systems.memory_tracker import MemoryEvent

SMALL_REQUEST = 1 << 20  # bytes; requests up to this come from small segments
SMALL_SEGMENT = 2 << 20  # bytes
LARGE_SEGMENT = 20 << 20  # bytes, for requests below MIN_LARGE
MIN_LARGE = 10 << 20  # bytes; from here on a request gets a segment of its own …
ROUND_LARGE = 2 << 20  # … of the next multiple of this


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
    raise NotImplementedError


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
    raise NotImplementedError


def allocator_peaks(requests: Sequence[Request]) -> AllocatorPeaks:
    """The highest of what `allocator_steps` says, and the blocks at that moment.

    >>> allocator_peaks([Request(0, 100), Request(0, 0), Request(1, 700)]).allocated_bytes
    1024
    """
    raise NotImplementedError
