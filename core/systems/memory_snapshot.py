"""The timeline inside a CUDA memory snapshot (`torch.cuda.memory._dump_snapshot`).

Source: PyTorch torch/cuda/memory.py, `_snapshot` documents the format; torch/cuda/_memory_viz.py reads it.
Notation: allocated counts blocks in use, reserved counts segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from core.systems.restricted_pickle import Plain, read_plain_pickle

FREED = "free_completed"


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
    whole = read_plain_pickle(data)
    traces, segments = _lists(whole, "device_traces"), _lists(whole, "segments")
    if device is None:
        device = max(range(len(traces)), key=lambda i: len(_items(traces[i])), default=0)
    if not 0 <= device < len(traces):
        raise ValueError(f"device must be one of the snapshot's {len(traces)}, got {device}")
    trace = [_table(entry) for entry in _items(traces[device])]
    if not trace:
        raise ValueError(
            "the snapshot must hold a trace: record with torch.cuda.memory._record_memory_history(), got none"
        )
    mine = [s for s in map(_table, segments) if _whole(s, "device") == device]
    end_reserved = sum(_whole(segment, "total_size") for segment in mine)
    end_allocated = sum(_whole(s, "allocated_size") for s in mine)

    changes = [_change(entry) for entry in trace]
    start_allocated = end_allocated - sum(a for a, _ in changes)
    start_reserved = end_reserved - sum(r for _, r in changes)
    first_us = _time(trace[0])
    allocated, reserved = start_allocated, start_reserved
    peaks, peak_event = [allocated, reserved], -1
    events: list[SnapshotEvent] = []
    born: dict[int, int] = {}
    blocks: list[SnapshotBlock] = []
    for index, (entry, (a, r)) in enumerate(zip(trace, changes, strict=True)):
        allocated, reserved = allocated + a, reserved + r
        if allocated > peaks[0]:
            peaks[0], peak_event = allocated, index
        peaks[1] = max(peaks[1], reserved)
        action, size = _text(entry, "action"), _whole(entry, "size")
        address = _whole(entry, "addr" if "addr" in entry else "device_free")
        now = _time(entry)
        seconds = float(index) if first_us is None or now is None else (now - first_us) / 1e6
        place = _place(entry)
        events.append(SnapshotEvent(index, seconds, action, size, address, allocated, reserved, place))
        if action == "alloc":
            born[address] = index
        elif action == FREED:
            start = born.pop(address, -1)
            blocks.append(SnapshotBlock(size, address, start, index, events[start].place if start >= 0 else ""))
    for address, start in born.items():
        blocks.append(SnapshotBlock(events[start].n_bytes, address, start, len(events), events[start].place))
    return MemorySnapshot(
        device=device,
        events=tuple(events),
        blocks=tuple(sorted(blocks, key=lambda block: (-block.n_bytes, block.born, block.address))),
        start_allocated_bytes=start_allocated,
        start_reserved_bytes=start_reserved,
        end_allocated_bytes=end_allocated,
        end_reserved_bytes=end_reserved,
        peak_allocated_bytes=peaks[0],
        peak_reserved_bytes=peaks[1],
        peak_event=peak_event,
    )


@dataclass(frozen=True, slots=True)
class PlaceTimeline:
    """Bytes in use over a trace, by the line of code that asked for them."""

    places: tuple[str, ...]  # (P,) lines of code, most bytes at the peak first; "" where the trace names none
    live_bytes: npt.NDArray[
        np.int64
    ]  # (P + 2, E + 1) bytes in use before the trace and after each of its E events: what was
    # there before the trace, each place, all other places; the columns add up to the allocated bytes


def bytes_by_place(snapshot: MemorySnapshot, *, most: int = 6) -> PlaceTimeline:
    """Who holds the memory: the places with most bytes at the peak, each over the whole trace.

    Convention: where places hold equally much at the peak, the one with the larger blocks comes first, then the earlier one.

    Args:
        snapshot: from `read_snapshot`.
        most: places that are told apart, ≥ 1; the others are added up.

    Raises:
        ValueError: if `most` is below 1.

    Source: own; torch/cuda/_memory_viz.py draws the same blocks one by one.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    n = len(snapshot.events)
    mine = [block for block in snapshot.blocks if block.born >= 0]
    at_peak = {block.place: 0 for block in mine}
    for block in mine:
        if block.born <= snapshot.peak_event < block.died:
            at_peak[block.place] += block.n_bytes
    places = tuple(sorted(at_peak, key=lambda place: -at_peak[place])[:most])
    changes = np.zeros((len(places) + 2, n + 2), np.int64)
    rows = {place: i + 1 for i, place in enumerate(places)}
    changes[0, 0] = snapshot.start_allocated_bytes
    for block in snapshot.blocks:
        row = rows.get(block.place, len(places) + 1) if block.born >= 0 else 0
        if block.born >= 0:
            changes[row, block.born + 1] += block.n_bytes
        changes[row, block.died + 1] -= block.n_bytes
    return PlaceTimeline(places, np.cumsum(changes, axis=1)[:, : n + 1])


def _change(entry: dict[str, Any]) -> tuple[int, int]:
    """(allocated, reserved) bytes that one entry adds."""
    action = _text(entry, "action")
    size = _whole(entry, "size")
    allocated = {"alloc": size, FREED: -size}.get(action, 0)
    reserved = {"segment_alloc": size, "segment_map": size, "segment_free": -size, "segment_unmap": -size}.get(
        action, 0
    )
    return allocated, reserved


def _time(entry: dict[str, Any]) -> int | None:
    return _whole(entry, "time_us") if "time_us" in entry else None


def _place(entry: dict[str, Any]) -> str:
    """The innermost Python frame outside PyTorch's own files."""
    frames = [_table(frame) for frame in _items(entry.get("frames") or [])]
    for frame in frames:
        name = str(frame.get("filename", ""))
        if name.endswith(".py") and "/torch/" not in name:
            return f"{name.rsplit('/', 1)[-1]}:{frame.get('line', 0)} {frame.get('name', '')}"
    return ""


def _lists(whole: Plain, name: str) -> list[Any]:
    if not isinstance(whole, dict) or not isinstance(whole.get(name), list):
        raise ValueError(f"the file must be a CUDA memory snapshot with a list of {name}, got something else")
    return _items(whole[name])


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"the snapshot must hold lists where lists belong, got {type(value).__name__}")
    return cast("list[Any]", value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"the snapshot's entries must be dictionaries, got {type(value).__name__}")
    return cast("dict[str, Any]", value)


def _whole(entry: dict[str, Any], name: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the snapshot's {name} must be a whole number, got {value!r:.40}")
    return value


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise ValueError(f"the snapshot's {name} must be text, got {value!r:.40}")
    return value
