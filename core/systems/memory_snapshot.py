"""The timeline inside a CUDA memory snapshot (`torch.cuda.memory._dump_snapshot`).

Source: PyTorch torch/cuda/memory.py, `_snapshot` documents the format; torch/cuda/_memory_viz.py reads it.
Notation: allocated counts blocks in use, reserved counts segments.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SnapshotEvent:
    """One entry of a device's trace."""

    index: int  # position in the trace
    seconds: float  # since the first entry; the index where the trace has no times
    action: str  # "alloc", "free_requested", "free_completed", "segment_alloc", "segment_free", "oom", …
    n_bytes: int  # size
    address: int  # start
    allocated_bytes: int  # bytes in use after it
    reserved_bytes: int  # bytes of segments after it
    place: str  # "model.py:12 forward", the innermost Python frame outside PyTorch; "" if none was recorded


@dataclass(frozen=True, slots=True)
class SnapshotBlock:
    """One allocation that the trace saw, for the stacked timeline."""

    n_bytes: int  # size
    address: int  # start
    born: int  # index of its first event; −1: before the trace began
    died: int  # index of the event that freed it; the trace's length if it lives to the end
    place: str  # where it was asked for


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """One device of a snapshot."""

    device: int  # number
    events: tuple[SnapshotEvent, ...]  # the trace
    blocks: tuple[SnapshotBlock, ...]  # allocations, largest first
    start_allocated_bytes: int  # in use before the first event, found by going back from the end
    start_reserved_bytes: int  # segments before the first event
    end_allocated_bytes: int  # in use at the end, by the list of segments
    end_reserved_bytes: int  # segments at the end
    peak_allocated_bytes: int  # most in use at once, over start and events
    peak_reserved_bytes: int  # most in segments at once
    peak_event: int  # index of the event at the first peak of allocated; −1: before the first


def read_snapshot(data: bytes, *, device: int | None = None) -> MemorySnapshot:
    """A snapshot's timeline; the file is read as plain data and can run nothing.

    Args:
        data: the pickle's bytes.
        device: number; None takes the device with the most events.

    Raises:
        RefusedPickle: if it is not a pickle of plain data.
        ValueError: if it is no memory snapshot, has no such device, or recorded no trace.
    """
    raise NotImplementedError
