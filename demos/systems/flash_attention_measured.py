"""How long attention takes and how much memory it holds on this machine, and recordings made on others."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

RECORDINGS = Path(__file__).parents[2] / "assets" / "recordings"
TOKENS, HEADS, D, TIMES = (128, 256, 512, 1024), 4, 64, 3
MEMORY_TOKENS = (128, 256, 512, 1024, 2048)
BLOCKS = (128, 512)  # rows and columns of the measured tiles
COPIED, SIDE = 128 * 2**20, 1024  # bytes of the copy, side of the matrices behind the roofline
_one = threading.Lock()


@dataclass(frozen=True)
class Measured:
    """Best time of several runs, by algorithm."""

    device: str
    versions: str
    threads: int
    heads: int
    d: int
    tokens: tuple[int, ...]
    seconds: Mapping[str, tuple[float, ...]]
    bytes_per_s: float  # of a copy that no cache holds, reading and writing
    flops_per_s: float  # of a float32 matrix product
    least: Mapping[str, tuple[float, ...]]  # seconds by the roofline of these two


def measured() -> Measured:
    """Measured once a process, for whoever opens it first; about a second."""
    with _one:
        return _measure()


@dataclass(frozen=True)
class Memory:
    """Most bytes at once beside Q, K and V, by algorithm."""

    device: str
    counted: str  # key of who counted: "storages" or "allocator"
    heads: int
    d: int
    tokens: tuple[int, ...]
    peak_bytes: Mapping[str, tuple[int, ...]]


def memory() -> Memory:
    """Measured once a process: on a GPU by its allocator, on the CPU by the bytes of all tensors."""
    with _one:
        return _measure_memory()


@lru_cache(maxsize=1)
def _measure_memory() -> Memory:
    import torch

    torch.set_num_threads(1)
    device = _device()
    peaks: dict[str, list[int]] = {}
    for n in MEMORY_TOKENS:
        for name, run in _ways(n).items():
            peaks.setdefault(name, []).append(_peak_bytes(run))
    found = {name: tuple(values) for name, values in peaks.items()}
    on_gpu = device.type == "cuda"
    return Memory(_device_name(device), "allocator" if on_gpu else "storages", HEADS, D, MEMORY_TOKENS, found)


def _peak_bytes(run: Callable[[], object]) -> int:
    """Most bytes alive at once during the run that were not there before."""
    import torch

    from core.systems.memory_tracker import LiveMemoryTracker

    if not torch.cuda.is_available():
        with LiveMemoryTracker() as tracker:
            run()
        return max(event.activation_bytes for event in tracker.events)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device_name(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name() if device.type == "cuda" else _processor()


def _ways(n: int) -> dict[str, Callable[[], object]]:
    """Three ways to the same attention over n seeded tokens."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    from core.systems.attention_comparison import materialised_attention
    from core.systems.flash_attention import flash_attention

    generator, device = torch.Generator().manual_seed(n), _device()
    q, k, v = (torch.randn(HEADS, n, D, generator=generator).to(device) for _ in range(3))
    return {
        "standard": lambda: materialised_attention(q, k, v),
        "tiled": lambda: flash_attention(q, k, v, block_q=BLOCKS[0], block_k=BLOCKS[1]),
        "sdpa": lambda: scaled_dot_product_attention(q[None], k[None], v[None]),
    }


@lru_cache(maxsize=1)
def _measure() -> Measured:
    import torch

    device = _device()
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"standard": [], "tiled": [], "sdpa": []}
    for n in TOKENS:
        for name, run in _ways(n).items():
            seconds[name].append(_best(run, synchronise=device.type == "cuda"))
    on_gpu = device.type == "cuda"
    big = torch.empty(COPIED // 4, device=device)
    target = torch.empty_like(big)
    copied = 2 * COPIED / _best(lambda: target.copy_(big), synchronise=on_gpu)
    matrix = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(0)).to(device)
    multiplied = 2 * SIDE**3 / _best(lambda: matrix @ matrix, synchronise=on_gpu)
    least = {way: tuple(_least(way, n, copied, multiplied) for n in TOKENS) for way in ("standard", "tiled")}
    name = _device_name(device)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    times = {key: tuple(values) for key, values in seconds.items()}
    return Measured(name, versions, 1, HEADS, D, TOKENS, times, copied, multiplied, least)


def _least(way: str, n: int, bytes_per_s: float, flops_per_s: float) -> float:
    """The roofline of one run in float32: its matrix products, and the bytes of the algorithm as printed."""
    from core.systems.attention_devices import attention_flops, roofline
    from core.systems.attention_traffic import hbm_traffic, standard_traffic

    rows, columns = min(n, BLOCKS[0]), min(n, BLOCKS[1])
    moved = (
        standard_traffic(n, D, dtype_bytes=4, heads=HEADS)
        if way == "standard"
        else hbm_traffic(n, D, block_q=rows, block_k=columns, dtype_bytes=4, heads=HEADS)
    )
    flops = attention_flops(n, D, block_q=rows, block_k=columns, heads=HEADS).computed
    return roofline(flops, moved.total, hbm_bytes_per_s=bytes_per_s, flops_per_s=flops_per_s).least_s


def _best(run: Callable[[], object], *, synchronise: bool) -> float:
    import torch

    best = float("inf")
    for _ in range(TIMES + 1):  # the first warms up
        start = time.perf_counter()
        run()
        if synchronise:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Recording:
    """One GPU's run of `python -m tests.gpu`, as it was written down there."""

    device: str
    date: str
    versions: str
    tokens: tuple[int, ...]
    seconds: Mapping[str, tuple[float | None, ...]]  # None: it did not fit into the GPU's memory
    peak_bytes: Mapping[str, tuple[int | None, ...]]


def recordings(folder: Path = RECORDINGS) -> tuple[Recording, ...]:
    """What lies in assets/recordings for this topic; nothing is made up where there is nothing."""
    found = []
    for path in sorted(folder.glob("flash-attention-*.json")) if folder.is_dir() else ():
        data = json.loads(path.read_text(encoding="utf-8"))
        curves = ({key: tuple(values) for key, values in data[name].items()} for name in ("seconds", "peak_bytes"))
        found.append(Recording(data["device"], data["date"], data["versions"], tuple(data["tokens"]), *curves))
    return tuple(found)
