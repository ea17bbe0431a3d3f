"""GPUs whose figures bound attention, quoted from their makers, and the roofline that follows from them.

Source: NVIDIA, "CUDA Programming Guide", technical specifications per compute capability (shared memory per SM);
NVIDIA's data sheets and architecture papers named at each device. Williams, Waterman, Patterson, "Roofline", 2009.
Notation: intensity FLOP per byte of HBM traffic; the ridge is the intensity from which compute is the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from core.systems.attention_schedule import visible_entries

Bound: TypeAlias = Literal["memory", "compute"]


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as its maker describes it; every figure is quoted, none is measured."""

    key: str  # "a100"
    name: str  # as the maker writes it
    sm_count: int  # streaming multiprocessors
    shared_memory_bytes: int  # per SM, the most that can be configured
    l1_bytes: int  # per SM, L1 cache and shared memory together
    l2_bytes: int  # L2 cache
    hbm_bytes_per_s: float  # peak bandwidth of the memory
    half_flops_per_s: float  # peak dense float16 tensor-core FLOP/s with float32 accumulation
    source: str  # where the figures stand


DEVICES: tuple[Device, ...] = (
    Device(
        "a100",
        "NVIDIA A100 SXM 40 GB",
        108,
        164 * 1024,
        192 * 1024,
        40 * 1024**2,
        1555e9,
        312e12,
        "NVIDIA A100 Tensor Core GPU Architecture, 2020; NVIDIA A100 data sheet; CUDA Programming Guide, compute capability 8.0",
    ),
    Device(
        "h100",
        "NVIDIA H100 SXM5 80 GB",
        132,
        228 * 1024,
        256 * 1024,
        50 * 1024**2,
        3.35e12,
        989.4e12,
        "NVIDIA H100 Tensor Core GPU Architecture, 2022; NVIDIA H100 data sheet; CUDA Programming Guide, compute capability 9.0",
    ),
    Device(
        "rtx4090",
        "NVIDIA GeForce RTX 4090",
        128,
        100 * 1024,
        128 * 1024,
        72 * 1024**2,
        1008e9,
        165.2e12,
        "NVIDIA Ada GPU Architecture, 2022; CUDA Programming Guide, compute capability 8.9",
    ),
)


@dataclass(frozen=True, slots=True)
class KernelTile:
    """A tile that a released CUDA kernel uses, quoted."""

    kernel: str  # "FlashAttention-2, A100"
    d: int  # largest head dimension for which it holds
    causal: bool | None  # None: either
    block_q: int  # Br
    block_k: int  # Bc
    source: str  # file of the release


KERNEL_TILES: tuple[KernelTile, ...] = (
    KernelTile(
        "FlashAttention-2, A100", 64, None, 128, 128, "flash-attn, csrc/flash_attn/src/flash_fwd_launch_template.h"
    ),
    KernelTile(
        "FlashAttention-2, split-KV", 64, None, 64, 256, "flash-attn, csrc/flash_attn/src/flash_fwd_launch_template.h"
    ),
    KernelTile("FlashAttention-3, H100", 64, True, 192, 128, "flash-attn, hopper/tile_size.h"),
    KernelTile("FlashAttention-3, H100", 64, False, 192, 192, "flash-attn, hopper/tile_size.h"),
    KernelTile("FlashAttention-3, H100", 128, True, 128, 128, "flash-attn, hopper/tile_size.h"),
    KernelTile("FlashAttention-3, H100", 128, False, 128, 176, "flash-attn, hopper/tile_size.h"),
    KernelTile("FlashAttention-3, H100", 256, None, 128, 80, "flash-attn, hopper/tile_size.h"),
)


@dataclass(frozen=True, slots=True)
class AttentionFlops:
    """Floating-point operations of the matrix products, a multiplication and an addition counting two."""

    visible: int  # of the scores that the mask lets through
    computed: int  # of the tiles that are visited, hidden scores of diagonal tiles among them
    convention: int  # 4 · N_q · N_k · d, half of it if causal; 2.5 times as much backward


def attention_flops(
    n_q: int,
    d: int,
    *,
    n_k: int | None = None,
    block_q: int,
    block_k: int,
    causal: bool = False,
    direction: Literal["forward", "backward"] = "forward",
    heads: int = 1,
) -> AttentionFlops:
    """FLOPs of attention's matrix products: exactly, and as papers count them.

    Convention: forward has two products (QKᵀ, PV), backward five (QKᵀ again, dOVᵀ, Pᵀ dO, dS K, dSᵀ Q), each
    2 · d per score. Papers halve the square for a causal mask and take 2.5 × forward for the backward.

    Args:
        n_q, d: queries and channels.
        n_k: keys; None for as many as queries.
        block_q, block_k, causal: see `tile_schedule`.
        direction: "forward" or "backward".
        heads: heads, batch included.

    Raises:
        ValueError: if a size is not positive or the direction unknown.

    Source: arXiv:2307.08691 §4.1.
    Differs: exponentials and other work per score are not counted.

    >>> attention_flops(4, 8, block_q=2, block_k=2, causal=True)
    AttentionFlops(visible=320, computed=384, convention=256)
    """
    keys = n_q if n_k is None else n_k
    if direction not in ("forward", "backward"):
        raise ValueError(f'direction must be "forward" or "backward", got {direction!r}')
    for name, value in (("d", d), ("heads", heads), ("block_q", block_q), ("block_k", block_k)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    products = 2 if direction == "forward" else 5
    per_score = 2 * d * heads
    visible = visible_entries(n_q, keys, causal=causal)
    computed = 0
    for start in range(0, n_q, block_q):
        stop = min(start + block_q, n_q)
        seen = min(max(stop + keys - n_q, 0), keys) if causal else keys
        computed += (stop - start) * min(-(-seen // block_k) * block_k, keys)
    square = n_q * keys * per_score * products
    return AttentionFlops(visible * per_score * products, computed * per_score * products, square // (1 + causal))


@dataclass(frozen=True, slots=True)
class Roofline:
    """The least time that a device can need."""

    memory_s: float  # bytes / bandwidth
    compute_s: float  # FLOPs / peak
    intensity: float  # FLOP per byte
    ridge: float  # FLOP per byte at which both bounds are equal
    attainable_flops_per_s: float  # min(peak, intensity · bandwidth)

    @property
    def least_s(self) -> float:
        """The larger of the two."""
        return max(self.memory_s, self.compute_s)

    @property
    def bound(self) -> Bound:
        """Which of the two it is; "compute" if they are equal."""
        return "memory" if self.memory_s > self.compute_s else "compute"


def roofline(flops: float, moved_bytes: float, *, hbm_bytes_per_s: float, flops_per_s: float) -> Roofline:
    """Bound a run's time by its FLOPs and its bytes.

    Convention: both at the device's peak and perfectly overlapped, so a real run is slower.

    Args:
        flops: FLOPs of the run.
        moved_bytes: bytes through HBM, more than 0.
        hbm_bytes_per_s, flops_per_s: the device's peaks, more than 0.

    Raises:
        ValueError: if an argument is negative, or a divisor not positive.

    Source: Williams et al. 2009.
    Differs: one memory level.

    >>> bound = roofline(4e12, 1e9, hbm_bytes_per_s=2e12, flops_per_s=3e14)
    >>> bound.bound, round(bound.least_s * 1e3, 2), bound.intensity, bound.ridge
    ('compute', 13.33, 4000.0, 150.0)
    """
    for name, value in (("flops", flops), ("moved_bytes", moved_bytes)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must not be negative, got {value}")
    for name, value in (
        ("moved_bytes", moved_bytes),
        ("hbm_bytes_per_s", hbm_bytes_per_s),
        ("flops_per_s", flops_per_s),
    ):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive, got {value}")
    intensity = flops / moved_bytes
    return Roofline(
        memory_s=moved_bytes / hbm_bytes_per_s,
        compute_s=flops / flops_per_s,
        intensity=intensity,
        ridge=flops_per_s / hbm_bytes_per_s,
        attainable_flops_per_s=min(flops_per_s, intensity * hbm_bytes_per_s),
    )
