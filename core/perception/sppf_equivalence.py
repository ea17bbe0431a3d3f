"""SPP against SPPF on the same input: their bits, their comparisons, their gradients, and what breaks the equality.

Source: ultralytics nn/modules/block.py, SPP and SPPF; torch.nn.functional.max_pool2d and its backward.
Notation: as `stride_one_pooling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from core.perception.stride_one_pooling import (
    chained_kernels,
    check_map,
    check_odd,
    same_size_pool,
    spp_block,
    sppf_block,
)


@dataclass(frozen=True, slots=True)
class PoolCost:
    """How many comparisons a way of computing the three maps takes."""

    method: Literal["spp", "sppf", "separable"]
    kernels: tuple[int, ...]  # windows pooled, one after the other
    per_pixel: int  # comparisons for one position far from the border, all maps
    total: int  # comparisons for one channel of the whole map, windows cut at its border


def pool_costs(height: int, width: int, *, kernel: int = 5, repeats: int = 3) -> tuple[PoolCost, PoolCost, PoolCost]:
    """Comparisons of SPP, SPPF and separable SPPF for the same maps.

    Convention: the maximum of m numbers takes m − 1 comparisons; padding is skipped, not compared.

    Args:
        height, width: cells of the map.
        kernel: k of SPPF, odd.
        repeats: pools in a row.

    Raises:
        ValueError: if kernel is not odd and positive, or another number is below 1.

    Source: counted; SPP k² − 1 per window, SPPF repeats·(k² − 1), separable repeats·2·(k − 1).
    Differs: no running maximum, which takes three comparisons per axis whatever the window.

    >>> print([cost.per_pixel for cost in pool_costs(13, 13)], [cost.total for cost in pool_costs(13, 13)])
    [272, 72, 24] [28512, 9936, 3588]
    """
    kernels = chained_kernels(kernel, repeats)
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1 cell, got {height} and {width}")
    same = (kernel,) * repeats

    def square(k: int) -> int:
        return _reach(height, k) * _reach(width, k) - height * width

    cross = (_reach(width, kernel) - width) * height + (_reach(height, kernel) - height) * width
    return (
        PoolCost("spp", kernels, sum(k * k - 1 for k in kernels), sum(map(square, kernels))),
        PoolCost("sppf", same, repeats * (kernel * kernel - 1), repeats * square(kernel)),
        PoolCost("separable", same, repeats * 2 * (kernel - 1), repeats * cross),
    )


def _reach(size: int, kernel: int) -> int:
    """Cells inside the map in all windows of one axis together."""
    half = kernel // 2
    return sum(min(i + half, size - 1) - max(i - half, 0) + 1 for i in range(size))


@dataclass(frozen=True, slots=True)
class BlockComparison:
    """SPP and SPPF on the same input."""

    kernels: tuple[int, ...]  # windows of SPP, and what SPPF's amount to
    spp: tuple[Tensor, ...]  # (B, C, H, W) each, one per window
    sppf: tuple[Tensor, ...]  # (B, C, H, W) each
    separable: tuple[Tensor, ...]  # (B, C, H, W) each
    differing: tuple[int, ...]  # per window: numbers of SPPF whose bits are not those of SPP
    differing_separable: tuple[int, ...]  # the same for separable SPPF
    costs: tuple[PoolCost, PoolCost, PoolCost]  # comparisons of the three

    @property
    def bit_identical(self) -> bool:
        """SPPF and separable SPPF have SPP's very bits (two NaN count as one, −0 and 0 do not)."""
        return not any(self.differing + self.differing_separable)

    @property
    def compared(self) -> int:
        """Numbers of SPPF compared with SPP's: all maps together."""
        return sum(map_.numel() for map_ in self.spp)


def compare_blocks(x: Tensor, *, kernel: int = 5, repeats: int = 3) -> BlockComparison:
    """Compute both blocks on one input and compare them bit by bit.

    Convention: as `sppf_block`. Every maximum is one of the input's numbers, so there is no rounding that could
    differ; only equal numbers with different bits could (−0 and 0).

    Args:
        x: (B, C, H, W) floating.
        kernel: k of SPPF, odd.
        repeats: pools in a row.

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W), kernel is not odd and positive or repeats is below 1.

    Source: ultralytics nn/modules/block.py.
    Differs: as `spp_block`.

    >>> same = compare_blocks(torch.linspace(-1, 1, 63).view(1, 1, 7, 9))
    >>> print(same.bit_identical, same.compared)
    True 189
    """
    check_map(x)
    kernels = chained_kernels(kernel, repeats)
    c = x.shape[1]

    def maps(block: Tensor) -> tuple[Tensor, ...]:
        return tuple(block[:, i * c : (i + 1) * c] for i in range(1, repeats + 1))

    spp = maps(spp_block(x, kernels))
    sppf = maps(sppf_block(x, kernel, repeats=repeats))
    separable = maps(sppf_block(x, kernel, repeats=repeats, separable=True))
    return BlockComparison(
        kernels,
        spp,
        sppf,
        separable,
        tuple(bits_apart(a, b) for a, b in zip(spp, sppf, strict=True)),
        tuple(bits_apart(a, b) for a, b in zip(spp, separable, strict=True)),
        pool_costs(x.shape[2], x.shape[3], kernel=kernel, repeats=repeats),
    )


def bits_apart(a: Tensor, b: Tensor) -> int:
    """Numbers of two maps with different bits; two NaN count as one, whatever their payload.

    Args:
        a, b: of one shape and type.

    Source: IEEE 754: equal numbers with different bits are the two zeros only.
    Differs: nothing.

    >>> bits_apart(torch.tensor([0.0, 1.0, torch.nan]), torch.tensor([-0.0, 1.0, torch.nan]))
    1
    """
    apart = ((a != b) | (a.signbit() != b.signbit())) & ~(a.isnan() & b.isnan())
    return int(apart.sum())


@dataclass(frozen=True, slots=True)
class TieGradients:
    """Where the gradient of equal maps goes: how many outputs name each input pixel as the one they took."""

    spp: Tensor  # (B, C, H, W) gradient of the sum of SPP's outputs
    sppf: Tensor  # (B, C, H, W) the same for SPPF
    differs: Tensor  # (B, C, H, W) bool
    differing: int  # pixels at which they differ
    total_spp: float  # sum of the gradient: the number of outputs
    total_sppf: float  # the same
    tied: int  # pixels that share their value with another one of their channel


def tie_gradients(x: Tensor, *, kernel: int = 5, repeats: int = 3) -> TieGradients:
    """The gradients of SPP and SPPF: equal where the numbers are distinct, not where they tie.

    Convention: each pool sends its gradient to the first maximum of its window in reading order; SPPF's second pool
    chooses among windows, so of two equal pixels it may choose another. Both are subgradients of the same function.
    The gradient is that of the sum of all branches, the input's own among them.

    Args:
        x: (B, C, H, W) floating.
        kernel: k of SPPF, odd.
        repeats: pools in a row.

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W), kernel is not odd and positive or repeats is below 1.

    Source: torch.nn.functional.max_pool2d's backward.
    Differs: as `spp_block`.

    >>> x = torch.zeros(1, 1, 6, 6)
    >>> x[0, 0, 0, 5] = x[0, 0, 1, 0] = 1
    >>> ties = tie_gradients(x)
    >>> print(ties.differing, ties.spp[0, 0, 0, 5].item(), ties.sppf[0, 0, 0, 5].item())
    2 71.0 15.0
    """
    check_map(x)
    kernels = chained_kernels(kernel, repeats)
    with torch.enable_grad():
        leaf = x.detach().double().requires_grad_()
        gradient: Any = torch.autograd.grad
        (spp,) = gradient(spp_block(leaf, kernels).sum(), leaf)
        (sppf,) = gradient(sppf_block(leaf, kernel, repeats=repeats).sum(), leaf)
    differs = spp != sppf
    flat = x.detach().flatten(2).sort(-1).values
    equal = flat[..., 1:] == flat[..., :-1]
    tied = torch.nn.functional.pad(equal, (1, 0)) | torch.nn.functional.pad(equal, (0, 1))
    return TieGradients(spp, sppf, differs, int(differs.sum()), float(spp.sum()), float(sppf.sum()), int(tied.sum()))


@dataclass(frozen=True, slots=True)
class PaddingComparison:
    """What a padding of zeros instead of −inf does to a stride-1 pool."""

    kernel: int  # window
    pooled: Tensor  # (B, C, H, W) with −inf outside
    zero_padded: Tensor  # (B, C, H, W) with zeros outside
    changed: int  # numbers that differ
    share: float  # of all


def compare_padding(x: Tensor, *, kernel: int = 5) -> PaddingComparison:
    """A pool that takes the border for zeros changes every border number that should be negative.

    Convention: harmless after a ReLU, where nothing is below 0.

    Args:
        x: (B, C, H, W) floating.
        kernel: odd window.

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W) or kernel is not odd and positive.

    Source: own; AlexeyAB/darknet src/maxpool_layer.c starts at −FLT_MAX.
    Differs: nothing.

    >>> compare_padding(-torch.ones(1, 1, 8, 8)).share
    0.75
    """
    check_map(x)
    check_odd("kernel", kernel)
    half = kernel // 2
    pooled = same_size_pool(x, kernel)
    padded = torch.nn.functional.max_pool2d(torch.nn.functional.pad(x, [half] * 4), kernel, stride=1)
    changed = int(((pooled != padded) & ~(pooled.isnan() & padded.isnan())).sum())
    return PaddingComparison(kernel, pooled, padded, changed, changed / max(pooled.numel(), 1))
