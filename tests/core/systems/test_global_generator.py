"""One at a time at PyTorch's global generator."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from core.systems.checkpoint_models import mlp_chain
from core.systems.checkpoint_plans import segments_plan
from core.systems.checkpointing import compare_gradients
from core.systems.global_generator import LOOK_S, TurnCancelled, seeded_global_generator
from core.systems.memory_accounting import profile_layers

CPU = torch.device("cpu")


def test_the_generator_is_put_back_also_after_an_error():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    def fail() -> None:
        with seeded_global_generator(1, CPU):
            raise ZeroDivisionError(float(torch.rand(100).sum()))

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.equal(torch.rand(3), expected)
    with seeded_global_generator(7, CPU):
        inside = torch.rand(3)
    assert torch.equal(inside, torch.rand(3, generator=torch.Generator().manual_seed(7)))


def test_two_wait_for_each_other():
    inside, most, lock = 0, 0, threading.Lock()
    step = threading.Barrier(4)

    def work(seed: int) -> torch.Tensor:
        nonlocal inside, most
        step.wait()
        with seeded_global_generator(seed, CPU):
            with lock:
                inside += 1
                most = max(most, inside)
            drawn = torch.cat([torch.rand(1000) for _ in range(50)])
            with lock:
                inside -= 1
        return drawn

    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(work, (1, 2, 1, 2)))
    assert most == 1
    assert torch.equal(drawn[0], drawn[2])
    assert torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[0], drawn[1])


def test_who_waits_can_be_told_to_stop():
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked == 2

    with seeded_global_generator(0, CPU):
        failed: list[BaseException] = []

        def wait() -> None:
            try:
                with seeded_global_generator(0, CPU, cancelled=cancelled):
                    pass
            except TurnCancelled as error:
                failed.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        thread.join(50 * LOOK_S)
        assert not thread.is_alive()
    assert len(failed) == 1
    assert asked == 2


def test_measuring_layers_with_dropout_disturbs_no_run():
    """Whoever measures layers meanwhile leaves the masks of another's run alone."""
    chain = mlp_chain(layers=4, width=16, rows=512, dropout=0.5)
    plan = segments_plan(4, 2)
    alone = compare_gradients(chain, plan, preserve_rng_state=False)
    enough = threading.Event()

    def measure() -> None:
        while not enough.is_set():
            profile_layers(chain)

    other = threading.Thread(target=measure, daemon=True)
    other.start()
    try:
        for _ in range(8):
            assert compare_gradients(chain, plan).bitwise_equal
            again = compare_gradients(chain, plan, preserve_rng_state=False)
            assert (again.differing, again.loss) == (alone.differing, alone.loss)
    finally:
        enough.set()
        other.join()
