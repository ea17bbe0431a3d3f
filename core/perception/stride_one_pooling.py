"""The other SPP: YOLO's stride-1 pools beside SPPF, which computes the same maps with fewer comparisons.

Source: AlexeyAB/darknet cfg/yolov3-spp.cfg and src/maxpool_layer.c; ultralytics nn/modules/block.py, SPP and SPPF.
Notation: k = window side, odd, padding ⌊k/2⌋ of −inf, stride 1: the map keeps its size. m pools of k one after the
other are one pool of 1 + m·(k − 1), because the maximum of maxima is a maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

BranchOrder: TypeAlias = Literal["ultralytics", "darknet"]
BRANCH_ORDERS: tuple[BranchOrder, ...] = get_args(BranchOrder)


def branch_order(kernels: Sequence[int] = (5, 9, 13), *, order: BranchOrder = "ultralytics") -> tuple[int, ...]:
    """In which order the block concatenates its branches, named by their windows; 1 is the input itself.

    Convention: Ultralytics puts the input first, Darknet's route −1,−3,−5,−6 puts it last.

    Args:
        kernels: windows, ascending.
        order: "ultralytics" or "darknet".

    Raises:
        ValueError: if order is unknown.

    Source: ultralytics SPP.forward; yolov3-spp.cfg [route].
    Differs: nothing.

    >>> print(branch_order(order="ultralytics"), branch_order(order="darknet"))
    (1, 5, 9, 13) (13, 9, 5, 1)
    """
    if order not in BRANCH_ORDERS:
        raise ValueError(f"order must be one of {', '.join(BRANCH_ORDERS)}, got {order!r}")
    branches = (1, *kernels)
    return branches if order == "ultralytics" else branches[::-1]


def branch_permutation(channels: int, *, branches: int = 4) -> tuple[int, ...]:
    """Where each channel of one order's concatenation stands in the other's: weights need this when they move.

    Convention: `darknet[:, permutation]` is `ultralytics` and the other way round; it reverses blocks of channels.

    Args:
        channels: C of the block's input.
        branches: blocks concatenated, the input among them.

    Raises:
        ValueError: if channels or branches is below 1.

    Source: as `branch_order`.
    Differs: nothing.

    >>> print(branch_permutation(2, branches=3))
    (4, 5, 2, 3, 0, 1)
    """
    if channels < 1 or branches < 1:
        raise ValueError(f"channels and branches must be at least 1, got {channels} and {branches}")
    return tuple(block * channels + c for block in reversed(range(branches)) for c in range(channels))


def spp_block(x: Tensor, kernels: Sequence[int] = (5, 9, 13), *, order: BranchOrder = "ultralytics") -> Tensor:
    """YOLO's SPP: the input beside stride-1 max pools of several windows, concatenated over the channels.

    Convention: [x, 5, 9, 13] as in Ultralytics, or Darknet's [13, 9, 5, x]; padding never wins (−inf).

    Args:
        x: (B, C, H, W) floating.
        kernels: odd windows.
        order: of the branches.

    Returns:
        (B, C·(1 + len(kernels)), H, W).

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W), kernels is empty or not odd and positive, or order is unknown.

    Source: ultralytics nn/modules/block.py SPP; yolov3-spp.cfg.
    Differs: the pools only; Ultralytics has a 1×1 convolution before and after, and SPP's first one an activation that
        SPPF's lacks, so whole modules differ even where their pools do not.

    >>> x = torch.arange(36.0).view(1, 1, 6, 6)
    >>> print(spp_block(x).shape, spp_block(x)[0, :, 0, 0].tolist())
    torch.Size([1, 4, 6, 6]) [0.0, 14.0, 28.0, 35.0]
    """
    check_map(x)
    for k in kernels:
        check_odd("kernels", k)
    if not len(kernels):
        raise ValueError("kernels must list at least one odd window, as in (5, 9, 13), got none")
    return _concatenated([x, *(same_size_pool(x, k) for k in kernels)], kernels, order)


def sppf_block(
    x: Tensor, kernel: int = 5, *, repeats: int = 3, separable: bool = False, order: BranchOrder = "ultralytics"
) -> Tensor:
    """SPPF: one window three times over, each on the last one's result; the same maps as SPP's 5, 9 and 13.

    Convention: as `spp_block`. Equal only for the maximum with −inf padding: not for averages, nor with zero padding.

    Args:
        x: (B, C, H, W) floating.
        kernel: odd window.
        repeats: pools in a row.
        separable: each pool as 1×k, then k×1.
        order: of the branches.

    Returns:
        (B, C·(1 + repeats), H, W).

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W), kernel is not odd and positive, repeats is below 1, or order is unknown.

    Source: ultralytics nn/modules/block.py SPPF.
    Differs: the pools only, as `spp_block`.

    >>> x = torch.arange(36.0).view(1, 1, 6, 6)
    >>> print(torch.equal(sppf_block(x), spp_block(x)), torch.equal(sppf_block(x, separable=True), spp_block(x)))
    True True
    """
    check_map(x)
    kernels = chained_kernels(kernel, repeats)
    maps = [x]
    for _ in kernels:
        maps.append(
            same_size_pool(same_size_pool(maps[-1], (1, kernel)), (kernel, 1))
            if separable
            else same_size_pool(maps[-1], kernel)
        )
    return _concatenated(maps, kernels, order)


def chained_kernels(kernel: int = 5, repeats: int = 3) -> tuple[int, ...]:
    """The windows that 1, 2, … pools in a row amount to: 1 + m·(k − 1).

    Args:
        kernel: k, odd.
        repeats: pools in a row.

    Raises:
        ValueError: if kernel is not odd and positive or repeats is below 1.

    Source: own; the windows of two maxima in a row add like intervals.
    Differs: nothing.

    >>> chained_kernels(5, 3)
    (5, 9, 13)
    """
    check_odd("kernel", kernel)
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    return tuple(1 + m * (kernel - 1) for m in range(1, repeats + 1))


def same_size_pool(x: Tensor, kernel: int | tuple[int, int]) -> Tensor:
    """Max pool with stride 1 and −inf outside the map, which keeps its size.

    Args:
        x: (B, C, H, W) floating.
        kernel: odd window, or (height, width) of it.

    Source: Darknet src/maxpool_layer.c; Ultralytics' MaxPool2d(k, stride=1, padding=k // 2).
    Differs: nothing.

    >>> same_size_pool(torch.tensor([[[[3.0, -1, -2, -5]]]]), 3).flatten().tolist()
    [3.0, 3.0, -1.0, -2.0]
    """
    high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    return torch.nn.functional.max_pool2d(x, (high, wide), stride=1, padding=(high // 2, wide // 2))


def _concatenated(maps: Sequence[Tensor], kernels: Sequence[int], order: BranchOrder) -> Tensor:
    branches = branch_order(kernels, order=order)
    named = dict(zip((1, *kernels), maps, strict=True))
    return torch.cat([named[k] for k in branches], 1)


def check_map(x: Tensor) -> None:
    """Refuse what is no (B, C, H, W) floating tensor.

    Args:
        x: anything.

    Raises:
        TypeError: if x is no floating tensor.
        ValueError: if x is not (B, C, H, W) with at least one channel, row and column.

    Source: own.
    Differs: nothing.

    >>> check_map(torch.zeros(4, 4))
    Traceback (most recent call last):
    ValueError: x must be (batch, channels, height, width) and not empty, got shape (4, 4)
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"x must be a floating tensor, got {getattr(x, 'dtype', type(x).__name__)}: use .float()")
    if x.ndim != 4 or min(x.shape[1:]) < 1:
        raise ValueError(f"x must be (batch, channels, height, width) and not empty, got shape {tuple(x.shape)}")


def check_odd(name: str, kernel: int) -> None:
    """Refuse a window without a middle.

    Args:
        name: of the argument, for the sentence.
        kernel: side of the window.

    Raises:
        ValueError: if kernel is no odd positive whole number.

    Source: own.
    Differs: nothing.

    >>> check_odd("kernel", 4)
    Traceback (most recent call last):
    ValueError: kernel must be odd and positive, or the map would shift or change its size, got 4
    """
    if isinstance(kernel, bool) or not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{name} must be odd and positive, or the map would shift or change its size, got {kernel!r}")
