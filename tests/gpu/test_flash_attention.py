"""Attention on a GPU: the same numbers, and time and memory of three ways of computing it, written to assets/recordings/."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from core.systems.attention_devices import DEVICES, attention_flops, roofline
from core.systems.attention_traffic import hbm_traffic, standard_traffic
from core.systems.flash_attention import flash_attention
from core.systems.flash_attention_backward import flash_attention_backward

RECORDINGS = Path(__file__).parents[2] / "assets" / "recordings"
HEADS, D, BLOCK, REPEATS = 8, 64, 512, 10
TOKENS = (512, 1024, 2048, 4096, 8192, 16384)


def qkv(n: int, dtype: torch.dtype = torch.float16) -> list[Tensor]:
    g = torch.Generator().manual_seed(0)
    return [torch.randn(HEADS, n, D, generator=g).to("cuda", dtype) for _ in range(3)]


def standard(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """S and P as whole tensors of the inputs' type."""
    return ((q * D**-0.5) @ k.mT).softmax(-1) @ v


def tiled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Our steps, each a handful of kernels: it shows the memory of FlashAttention, not its speed."""
    return flash_attention(q, k, v, block_q=BLOCK, block_k=BLOCK).output


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return scaled_dot_product_attention(q[None], k[None], v[None])[0]


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"standard": standard, "tiled": tiled, "sdpa": sdpa}


def measured(way: Callable[[Tensor, Tensor, Tensor], Tensor], n: int) -> tuple[float, int] | None:
    """(median seconds, bytes allocated above the inputs at the worst moment); None if the memory does not suffice."""
    inputs = qkv(n)
    try:
        way(*inputs)  # warms up
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        way(*inputs)
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
        seconds = []
        for _ in range(REPEATS):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            way(*inputs)
            end.record()
            torch.cuda.synchronize()
            seconds.append(start.elapsed_time(end) / 1000)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    return median(seconds), peak


def bounds(n: int, name: str) -> dict[str, float] | None:
    """Least seconds by the quoted roofline of this card; None if it is not in our table."""
    known = {"A100": "a100", "H100": "h100", "RTX 4090": "rtx4090"}
    key = next((key for word, key in known.items() if word in name), None)
    if key is None:
        return None
    device = next(device for device in DEVICES if device.key == key)
    flops = attention_flops(n, D, block_q=BLOCK, block_k=BLOCK, heads=HEADS).computed
    peaks = {"hbm_bytes_per_s": device.hbm_bytes_per_s, "flops_per_s": device.half_flops_per_s}
    moved = {
        "standard": standard_traffic(n, D, heads=HEADS).total,
        "flash": hbm_traffic(n, D, block_q=BLOCK, block_k=BLOCK, heads=HEADS).ideal_total,
    }
    return {name: roofline(flops, size, **peaks).least_s for name, size in moved.items()}


@pytest.fixture(scope="module")
def recording() -> dict[str, Any]:
    runs = {way: [measured(run, n) for n in TOKENS] for way, run in WAYS.items()}
    name = torch.cuda.get_device_name()
    return {
        "device": name,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "versions": f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {platform.python_version()}",
        "heads": HEADS,
        "d": D,
        "dtype": "float16",
        "blocks": [BLOCK, BLOCK],
        "tokens": TOKENS,
        "seconds": {way: [run and run[0] for run in found] for way, found in runs.items()},
        "peak_bytes": {way: [run and run[1] for run in found] for way, found in runs.items()},
        "least_seconds": [bounds(n, name) for n in TOKENS],
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("order", ["fa1", "fa2"])
def test_the_gpu_gives_the_same_attention(dtype: torch.dtype, order: Any) -> None:
    q, k, v = qkv(1000, dtype)
    truth = scaled_dot_product_attention(*(x.double().cpu()[None] for x in (q, k, v)), is_causal=True)[0]
    plain = scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0].double().cpu()
    got = flash_attention(q, k, v, block_q=128, block_k=64, causal=True, order=order)
    assert got.output.device == q.device
    error = (got.output.double().cpu() - truth).abs().max()
    assert error <= 2 * (plain - truth).abs().max() + torch.finfo(dtype).eps


def test_logsumexp_is_that_of_the_cuda_flash_kernel() -> None:
    q, k, v = qkv(1024)
    theirs = torch.ops.aten._scaled_dot_product_flash_attention(q[None], k[None], v[None])[1][0]
    torch.testing.assert_close(flash_attention(q, k, v).logsumexp, theirs, rtol=0, atol=2e-3)


def test_gradients_are_the_librarys() -> None:
    q, k, v = (x.requires_grad_() for x in qkv(512, torch.float32))
    grad = torch.ones_like(q)
    theirs = torch.autograd.grad(scaled_dot_product_attention(q[None], k[None], v[None])[0], (q, k, v), grad)
    with torch.no_grad():
        forward = flash_attention(q, k, v)
        got = flash_attention_backward(q, k, v, forward.output, forward.logsumexp, grad)
    for ours, expected in zip((got.grad_q, got.grad_k, got.grad_v), theirs, strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_memory_grows_with_n_when_tiled_and_with_its_square_when_not(recording: dict[str, Any]) -> None:
    for way, power in (("standard", 2), ("tiled", 1), ("sdpa", 1)):
        peaks = [peak for peak in recording["peak_bytes"][way] if peak]
        assert len(peaks) >= 3, way
        assert math.log2(peaks[-1] / peaks[-2]) == pytest.approx(power, abs=0.35), way


def test_no_run_beats_the_roofline(recording: dict[str, Any]) -> None:
    for i, bound in enumerate(recording["least_seconds"]):
        if bound is None:
            pytest.skip("this card is not in the table of quoted devices")
        assert recording["seconds"]["sdpa"][i] >= bound["flash"]


def test_the_run_is_written_down(recording: dict[str, Any]) -> None:
    slug = re.sub(r"[^a-z0-9]+", "-", recording["device"].lower()).strip("-")
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    path = RECORDINGS / f"flash-attention-{slug}.json"
    path.write_text(json.dumps(recording, indent=1) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8"))["tokens"] == list(TOKENS)
