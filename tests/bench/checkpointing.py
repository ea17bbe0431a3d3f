"""What watching a run costs, and how long budgets, predictions and snapshots take; one thread."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker

from core.systems.caching_allocator import allocator_peaks, requests_of
from core.systems.checkpoint_models import mlp_chain, transformer_chain
from core.systems.checkpoint_plans import checkpoint_plan, segments_plan
from core.systems.checkpoint_schedules import checkpoint_frontier
from core.systems.checkpointing import compare_gradients, predict_run, run_with_checkpoints, stream_run, watched_by
from core.systems.memory_accounting import profile_layers, reconcile
from core.systems.memory_snapshot import read_snapshot
from core.systems.peak_prediction import predict_peak
from core.systems.transformer_config import transformer_shape
from tests.bench.table import Row, alone, versus

SEVEN_BILLION = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "intermediate_size": 11008,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
}


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def snapshot() -> bytes:
    """40 000 events with two frames each."""
    frames = [
        {"filename": "torch/nn/functional.py", "line": 5, "name": "linear"},
        {"filename": "model.py", "line": 12, "name": "forward"},
    ]
    trace = [
        {"action": action, "addr": 512 * i, "size": 512, "stream": 0, "time_us": i, "frames": frames}
        for i in range(20_000)
        for action in ("alloc", "free_completed")
    ]
    return pickle.dumps({"segments": [], "device_traces": [trace]})


def measure() -> Iterator[Row]:
    with one_thread():
        yield from rows()


def rows() -> Iterator[Row]:
    chain = transformer_chain(blocks=12, width=128, heads=4, tokens=256, batch=4)
    plan = segments_plan(12, 3)
    module = nn.ModuleList(chain.layers)

    def watched_by_memtracker() -> None:
        with MemTracker() as tracker:
            tracker.track_external(module, chain.inputs)
            watched_by(nullcontext, chain, plan)

    def first_point() -> None:
        stream = stream_run(chain, plan=plan, interval_s=0.05)
        next(stream)
        stream.close()

    yield versus(
        "12 blocks of 1024 × 128, 3 segments: a step, watched",
        lambda: run_with_checkpoints(chain, plan=plan),
        "unwatched",
        lambda: watched_by(nullcontext, chain, plan),
        repeats=5,
    )
    small = mlp_chain(layers=12, width=32, rows=64)
    yield versus(
        "12 tiny layers: a step, watched (every operator shows)",
        lambda: run_with_checkpoints(small, segments=3),
        "unwatched",
        lambda: watched_by(nullcontext, small, segments_plan(12, 3)),
    )
    yield versus(
        "12 blocks, 3 segments: watched",
        lambda: run_with_checkpoints(chain, plan=plan),
        "MemTracker",
        watched_by_memtracker,
        repeats=3,
    )
    yield alone("first events of a streamed run, and cancelling it", first_point, at_most_ms=300, repeats=5)
    yield versus(
        "12 blocks: predicted on fake tensors",
        lambda: predict_run(chain, plan),
        "measured",
        lambda: run_with_checkpoints(chain, plan=plan),
        repeats=3,
    )
    costs, sizes = profile_layers(chain)
    yield alone("every budget's best plan, 12 blocks", lambda: checkpoint_frontier(costs, sizes), at_most_ms=300)
    yield alone("every budget's best plan, 24 blocks", lambda: checkpoint_frontier(costs * 2, sizes * 2), repeats=3)
    events = run_with_checkpoints(chain, plan=plan).events
    yield alone("caching allocator, one step's requests", lambda: allocator_peaks(requests_of(events)), at_most_ms=50)
    yield alone("gradients compared bit by bit", lambda: compare_gradients(chain, plan), repeats=3)
    yield alone("predicted, tracked, profiled, modelled", lambda: reconcile(chain, plan), repeats=3)
    data = snapshot()
    yield alone(f"snapshot of 40 000 events ({len(data) / 2**20:.1f} MiB)", lambda: read_snapshot(data), repeats=3)
    shape = transformer_shape(SEVEN_BILLION)
    every = checkpoint_plan("every layer", 34)
    predict_peak(shape, batch=1, tokens=2048, plan=every)  # the first imports much
    start = time.perf_counter()
    predict_peak(shape, batch=1, tokens=2048, plan=every)
    took = 1000 * (time.perf_counter() - start)
    yield Row("6.7 B parameters, 2048 tokens, every layer: predicted", took, "", None, None)
