"""PyTorch's global random generator, lent to one piece of work at a time.

`torch.native_dropout` takes no generator of its own, and what checkpointing stashes and restores is the global one. Whoever draws from
it without a turn changes the masks of whoever has one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch

_turn = threading.Lock()
LOOK_S = 0.1  # between looks whether somebody who waits has been told to stop


class TurnCancelled(Exception):
    """Whoever waited for the generator was told to stop."""


@contextmanager
def seeded_global_generator(
    seed: int, device: torch.device, *, cancelled: Callable[[], bool] = lambda: False
) -> Generator[None, None, None]:
    """The device's global generator, seeded inside, put back afterwards; others who ask for it wait.

    Convention: not reentrant; a thread that asks again inside waits for itself.

    Args:
        seed: of the generator, ≥ 0.
        device: whose generator.
        cancelled: asked every 0.1 s while waiting.

    Raises:
        TurnCancelled: `cancelled()` became true before the turn came.

    >>> def one_draw() -> float:
    ...     with seeded_global_generator(3, torch.device("cpu")):
    ...         return float(torch.rand(1))
    >>> one_draw() == one_draw()
    True
    """
    while not _turn.acquire(timeout=LOOK_S):
        if cancelled():
            raise TurnCancelled("told to stop while waiting for the global generator")
    try:
        owner: Any = torch.random if device.type == "cpu" else torch.get_device_module(device)
        before = owner.get_rng_state()
        owner.manual_seed(seed)
        try:
            yield
        finally:
            owner.set_rng_state(before)
    finally:
        _turn.release()
