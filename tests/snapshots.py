"""CUDA memory snapshots as PyTorch writes them, made by hand."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

MIB = 1 << 20
# a pickle that would call os.system; plain data it is not
CODE_IN_IT = b"\x80\x04cos\nsystem\n\x8c\x09touch ran\x85R."


def snapshot_of(entries: Sequence[tuple[str, int, str, int]], *, reserved: int = 1 << 34) -> bytes:
    """(action, bytes, file, line) in order; an allocation's address is its place in the list, a release takes the last of its place."""
    trace, held = [], {}
    for i, (action, size, name, line) in enumerate(entries):
        address = i * (1 << 32)
        if action == "alloc":
            held.setdefault((name, line), []).append(address)
        elif action == "free_completed":
            address = held[name, line].pop()
        frames = [{"filename": f"/home/me/{name}", "line": line, "name": "forward" if line < 7 else "backward"}]
        trace.append(
            {"action": action, "addr": address, "size": size, "stream": 0, "time_us": 10 * i, "frames": frames}
        )
    in_use = sum(size for action, size, _, _ in entries if action == "alloc")
    in_use -= sum(size for action, size, _, _ in entries if action == "free_completed")
    segment = {"device": 0, "address": 0, "total_size": reserved, "allocated_size": in_use, "blocks": []}
    return pickle.dumps({"segments": [segment], "device_traces": [trace]})


def training_step() -> bytes:
    """A small forward and backward: 1 MiB a layer kept, 4 MiB of gradients at once at the peak of 7."""
    forward = [("alloc", MIB, "model.py", 5)] * 3
    backward = [
        ("alloc", 4 * MIB, "model.py", 7),
        ("free_completed", MIB, "model.py", 5),
        ("free_completed", 4 * MIB, "model.py", 7),
        ("alloc", MIB, "model.py", 8),
        ("free_completed", MIB, "model.py", 5),
    ]
    return snapshot_of([*forward, *backward], reserved=8 * MIB)


FOLDER = TemporaryDirectory(prefix="snapshots-")  # goes with the process


@cache
def snapshot_file() -> str:
    """The training step as a file."""
    path = Path(FOLDER.name) / "snapshot.pickle"
    path.write_bytes(training_step())
    return str(path)
