"""How long attention takes on this machine, and recordings made on others."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

RECORDINGS = Path(__file__).parents[2] / "assets" / "recordings"
TOKENS, HEADS, D, TIMES = (128, 256, 512, 1024), 4, 64, 3
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


def measured() -> Measured:
    """Measured once a process, for whoever opens it first; about a second."""
    with _one:
        return _measure()


@lru_cache(maxsize=1)
def _measure() -> Measured:
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    from core.systems.attention_comparison import materialised_attention
    from core.systems.flash_attention import flash_attention

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {"standard": [], "tiled": [], "sdpa": []}
    for n in TOKENS:
        q, k, v = (torch.randn(HEADS, n, D, generator=generator).to(device) for _ in range(3))
        runs: dict[str, Callable[[], object]] = {
            "standard": lambda q=q, k=k, v=v: materialised_attention(q, k, v),
            "tiled": lambda q=q, k=k, v=v: flash_attention(q, k, v),
            "sdpa": lambda q=q, k=k, v=v: scaled_dot_product_attention(q[None], k[None], v[None]),
        }
        for name, run in runs.items():
            seconds[name].append(_best(run, synchronise=device.type == "cuda"))
    name = torch.cuda.get_device_name() if device.type == "cuda" else _processor()
    versions = f"torch {torch.__version__}, Python {platform.python_version()}"
    return Measured(name, versions, 1, HEADS, D, TOKENS, {key: tuple(values) for key, values in seconds.items()})


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
