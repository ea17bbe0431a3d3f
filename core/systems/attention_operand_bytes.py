"""Bytes of unfused attention as PyTorch really runs it: every operation's operands, read off the dispatcher.

Source: own; an observer around real torch operations, run on the meta device, which needs neither time nor memory.
Notation: none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperandBytes:
    """The operations of one forward and backward pass."""

    operations: tuple[tuple[str, int], ...]  # (name, bytes of its tensors in and out), in the order in which they ran

    @property
    def total(self) -> int:
        """Bytes of all operations."""
        return sum(moved for _, moved in self.operations)


def unfused_operand_bytes(
    n: int, d: int, *, heads: int = 1, key_padding_mask: bool = False, dtype_bytes: int = 2
) -> OperandBytes:
    """Run softmax(q kᵀ / √d + mask) v and its backward operation by operation and add up what each reads and writes.

    Convention: an operation reads each tensor argument once and writes each tensor result once; views and
    allocations move nothing. Nothing is kept in a cache between operations.

    Args:
        n, d: tokens and channels.
        heads: heads, batch included.
        key_padding_mask: fill the scores of masked keys with −inf, a boolean mask shared by all queries.
        dtype_bytes: 2 (float16), 4 or 8.

    Raises:
        ValueError: if a size is not positive or dtype_bytes none of these.

    Source: own.
    Differs: no dropout.

    >>> round(unfused_operand_bytes(1024, 64, heads=1024).total / 1e9, 2)
    26.17
    """
    raise NotImplementedError
