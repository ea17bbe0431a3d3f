"""Tiled attention against the whole matrices, torch's fused kernel, and its own loop without records, on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from core.systems.attention_comparison import materialised_attention
from core.systems.attention_traffic import hbm_traffic, traffic_steps
from core.systems.flash_attention import attention_tiles, collect_tiles, flash_attention
from core.systems.flash_attention_backward import flash_attention_backward
from tests.bench.segmentation import threads
from tests.bench.table import Row, alone, versus

HEADS, D = 8, 64


def qkv(n: int, heads: int = HEADS, d: int = D) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, heads, n, d, generator=g).unbind(0)
    return q, k, v


def inlined(q: Tensor, k: Tensor, v: Tensor, block_q: int, block_k: int) -> Tensor:
    """The loop of Algorithm 1 with nothing around it."""
    n, out = q.shape[-2], torch.empty_like(q)
    q, k_t = q * q.shape[-1] ** -0.5, k.mT
    for i in range(0, n, block_q):
        rows = slice(i, i + block_q)
        m = q.new_full(q[..., rows, 0].shape, -torch.inf)
        l, acc = torch.zeros_like(m), torch.zeros_like(q[..., rows, :])
        for j in range(0, n, block_k):
            s = q[..., rows, :] @ k_t[..., j : j + block_k]
            new = torch.maximum(m, s.amax(-1))
            decay, p = (m - new).exp_(), (s - new.unsqueeze(-1)).exp_()
            l = decay * l + p.sum(-1)
            acc = decay.unsqueeze(-1) * acc + p @ v[..., j : j + block_k, :]
            m = new
        out[..., rows, :] = acc / l.unsqueeze(-1)
    return out


def library(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)


def measure() -> Iterator[Row]:
    with threads(1), torch.inference_mode():
        for n, causal in ((1024, False), (4096, False), (4096, True)):
            q, k, v = qkv(n)
            what = f"attention, N={n}, {HEADS} heads, d={D}{', causal' if causal else ''}"
            tiled = flash_attention(q, k, v, causal=causal).output
            assert (tiled - library(q, k, v, causal)[0]).abs().max() < 1e-5

            def ours(q: Tensor = q, k: Tensor = k, v: Tensor = v, causal: bool = causal) -> Tensor:
                return flash_attention(q, k, v, causal=causal).output

            def plain(q: Tensor = q, k: Tensor = k, v: Tensor = v, causal: bool = causal) -> Tensor:
                return materialised_attention(q, k, v, causal=causal)

            def fused(q: Tensor = q, k: Tensor = k, v: Tensor = v, causal: bool = causal) -> Tensor:
                return library(q, k, v, causal)

            goals = (2, 0.5) if n == 4096 and not causal else (None, None)
            yield versus(what, ours, "materialised, scores scaled", plain, at_least=goals[0], repeats=3)
            yield versus(what, ours, "torch SDPA", fused, at_least=goals[1], repeats=3)
        for n, heads, block in ((4096, HEADS, 256), (1024, HEADS, 128), (256, 1, 16)):
            q, k, v = qkv(n, heads)
            what = f"steps folded, N={n}, {heads} heads, tiles {block} × {block}"

            def folded(q: Tensor = q, k: Tensor = k, v: Tensor = v, block: int = block) -> Tensor:
                return flash_attention(q, k, v, block_q=block, block_k=block).output

            def loop(q: Tensor = q, k: Tensor = k, v: Tensor = v, block: int = block) -> Tensor:
                return inlined(q, k, v, block, block)

            assert torch.allclose(folded(), loop(), atol=1e-5)
            yield versus(what, folded, "inlined loop", loop, at_least=1 / 1.3, repeats=5)
        q, k, v = (x[0].double() for x in qkv(256, 1))

        def trace() -> None:
            collect_tiles(tuple(attention_tiles(q, k, v, block_q=16, block_k=16)), q, v)
            list(traffic_steps(256, D, block_q=16, block_k=16))

        yield alone("16 × 16 tiles: every step, the result and the odometers", trace, at_most_ms=150)
        forward = flash_attention(q, k, v, block_q=16, block_k=16)

        def backward() -> None:
            flash_attention_backward(q, k, v, forward.output, forward.logsumexp, q, block_q=16, block_k=16)

        yield alone("16 × 16 tiles: backward", backward, at_most_ms=150)
        yield alone("bytes at N = 2²⁰", lambda: hbm_traffic(2**20, 128, block_q=128, block_k=128, causal=True))
