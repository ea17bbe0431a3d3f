"""Bytes of unfused attention as PyTorch really runs it: every operation's operands, read off the dispatcher.

Source: own; an observer around real torch operations, run on the meta device, which needs neither time nor memory.
Notation: none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

ScaleAt: TypeAlias = Literal["queries", "scores"]
SCALE_AT: tuple[ScaleAt, ...] = get_args(ScaleAt)
TYPES = {2: torch.float16, 4: torch.float32, 8: torch.float64}
ALLOCATIONS = ("new_empty_strided", "empty", "empty_strided", "empty_like")


@dataclass(frozen=True, slots=True)
class OperandBytes:
    """The operations of one forward and backward pass."""

    operations: tuple[tuple[str, int], ...]  # (name, bytes of its tensors in and out), in the order in which they ran

    @property
    def total(self) -> int:
        """Bytes of all operations."""
        return sum(moved for _, moved in self.operations)


def unfused_operand_bytes(
    n: int,
    d: int,
    *,
    heads: int = 1,
    key_padding_mask: bool = False,
    scale_at: ScaleAt = "queries",
    dtype_bytes: int = 2,
) -> OperandBytes:
    """Run softmax(q kᵀ / √d + mask) v and its backward operation by operation and add up what each reads and writes.

    Convention: an operation reads each tensor argument once and writes each tensor result once; views and
    allocations move nothing. Nothing is kept in a cache between operations. 1/√d multiplies the small q or, an N × N
    pass more in either direction, the scores.

    Args:
        n, d: tokens and channels.
        heads: heads, batch included.
        key_padding_mask: fill the scores of masked keys with −inf, a boolean mask shared by all queries.
        scale_at: "queries" or "scores", where 1/√d is multiplied.
        dtype_bytes: 2 (float16), 4 or 8.

    Raises:
        ValueError: if a size is not positive or an option none of these.

    Source: own.
    Differs: no dropout.

    >>> round(unfused_operand_bytes(1024, 64, heads=1024).total / 1e9, 2)
    26.04
    """
    for name, value in (("n", n), ("d", d), ("heads", heads)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if dtype_bytes not in TYPES:
        raise ValueError(f"dtype_bytes must be one of {tuple(TYPES)}, got {dtype_bytes}")
    if scale_at not in SCALE_AT:
        raise ValueError(f"scale_at must be one of {SCALE_AT}, got {scale_at!r}")
    options: Any = {"dtype": TYPES[dtype_bytes], "device": "meta"}
    q, k, v = (torch.empty(heads, n, d, requires_grad=True, **options) for _ in range(3))
    mask = torch.empty(heads, 1, n, dtype=torch.bool, device="meta")
    grad_output = torch.empty(heads, n, d, **options)
    with _Observer() as observer:
        scores = (q * d**-0.5) @ k.mT if scale_at == "queries" else (q @ k.mT) * d**-0.5
        if key_padding_mask:
            scores = scores.masked_fill(mask, -torch.inf)
        torch.autograd.backward(scores.softmax(dim=-1) @ v, grad_output)
    return OperandBytes(tuple(observer.operations))


class _Observer(TorchDispatchMode):
    """Writes down every operation that moves bytes."""

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.operations: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = str(func.overloadpacket.__name__)
        if not func.is_view and name != "_unsafe_view" and name not in ALLOCATIONS:
            results = [] if name == "copy_" else pytree.tree_leaves(result)  # copy_ returns what it was given
            leaves: list[Any] = [*pytree.tree_leaves((args, kwargs)), *results]
            moved = sum(leaf.numel() * leaf.element_size() for leaf in leaves if isinstance(leaf, Tensor))
            self.operations.append((name, moved))
        return result
