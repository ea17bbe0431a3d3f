"""A visitor's own CUDA memory snapshot: its timeline, who held the memory, and the numbers of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from demos.kit.jobs import progress
from demos.kit.numbers import Number
from demos.kit.upload_errors import UploadError

if TYPE_CHECKING:
    from core.systems.memory_snapshot import MemorySnapshot, PlaceTimeline, SnapshotBlock
    from demos.systems.checkpointing import Controls

MIB = 1 << 20
MOST_MOMENTS = 480  # steps of one view
MOST_BLOCKS = 12  # rows of the table of blocks


@dataclass(frozen=True)
class SnapshotResult:
    """What a snapshot holds, and which of its moments are shown: moment 0 is before the trace, moment i after event i − 1."""

    controls: Controls
    snapshot: MemorySnapshot
    places: PlaceTimeline

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """One a step: all, or the highest of every few, the peak and the last."""
        count = len(self.snapshot.events) + 1
        if count <= MOST_MOMENTS:
            return tuple(range(count))
        each = -(-count // (MOST_MOMENTS - 3))
        found = {max(range(i, min(i + each, count)), key=self.allocated) for i in range(0, count, each)}
        return tuple(sorted(found | {0, self.peak, count - 1}))

    @property
    def peak(self) -> int:
        """The moment with most bytes in use."""
        return self.snapshot.peak_event + 1

    def allocated(self, moment: int) -> int:
        """Bytes in use."""
        return self.snapshot.events[moment - 1].allocated_bytes if moment else self.snapshot.start_allocated_bytes

    def reserved(self, moment: int) -> int:
        """Bytes of segments."""
        return self.snapshot.events[moment - 1].reserved_bytes if moment else self.snapshot.start_reserved_bytes

    @cached_property
    def blocks_at_peak(self) -> tuple[SnapshotBlock, ...]:
        """The largest blocks that the trace saw and that are in use at the peak."""
        at = self.snapshot.peak_event
        return tuple(b for b in self.snapshot.blocks if b.born <= at < b.died and b.born >= 0)[:MOST_BLOCKS]

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return tuple((*_now(self, moment), *_whole(self)) for moment in self.moments)


def opened_snapshot(c: Controls) -> SnapshotResult:
    """The uploaded snapshot.

    Raises:
        UploadError: there is none, or it is not one; one sentence says why.
    """
    if not c.snapshot:
        raise UploadError("ckpt_no_snapshot")
    progress(0, 1, "reading")
    snapshot, places = _read(c.snapshot[0])
    return SnapshotResult(c, snapshot, places)


@lru_cache(maxsize=2)
def _read(path: str) -> tuple[MemorySnapshot, PlaceTimeline]:
    from core.systems.memory_snapshot import bytes_by_place, read_snapshot

    try:
        snapshot = read_snapshot(Path(path).read_bytes())
    except ValueError as error:
        raise UploadError("ckpt_snapshot", problem=str(error)) from None
    return snapshot, bytes_by_place(snapshot)


def _mib(key: str, value: int, formula: str, operands: dict[str, int], item: str = "") -> Number:
    from core.systems.memory_snapshot import read_snapshot

    return Number(key, value / MIB, read_snapshot, f"({formula}) / {MIB}", operands, "MiB", item=item, gauge=False)


def _now(result: SnapshotResult, moment: int) -> tuple[Number, ...]:
    allocated, reserved = result.allocated(moment), result.reserved(moment)
    return (
        _mib("allocated_now", allocated, "bytes", {"bytes": allocated}),
        _mib("reserved_now", reserved, "bytes", {"bytes": reserved}),
        _mib(
            "cached_now",
            reserved - allocated,
            "reserved − allocated",
            {"reserved": reserved, "allocated": allocated},
        ),
    )


def _whole(result: SnapshotResult) -> tuple[Number, ...]:
    from core.systems.memory_snapshot import read_snapshot

    made = result.snapshot
    return (
        _mib("allocated_peak", made.peak_allocated_bytes, "bytes", {"bytes": made.peak_allocated_bytes}),
        _mib("reserved_peak", made.peak_reserved_bytes, "bytes", {"bytes": made.peak_reserved_bytes}),
        _mib("before_trace", made.start_allocated_bytes, "bytes", {"bytes": made.start_allocated_bytes}),
        Number("trace_events", len(made.events), read_snapshot, "entries of the trace", gauge=False),
    )


def place_number(result: SnapshotResult, row: int, item: str) -> Number:
    """What one place holds at the peak."""
    from core.systems.memory_snapshot import bytes_by_place

    held = int(result.places.live_bytes[row, result.peak])
    return Number(
        "place_bytes", held / MIB, bytes_by_place, f"bytes / {MIB}", {"bytes": held}, "MiB", item=item, gauge=False
    )


def block_number(block: SnapshotBlock, item: str) -> Number:
    """The size of one block."""
    return _mib("block_bytes", block.n_bytes, "bytes", {"bytes": block.n_bytes}, item)
