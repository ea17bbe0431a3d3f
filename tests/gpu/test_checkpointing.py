"""Predicted against measured peaks on a CUDA device, recorded with device and versions."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.systems.caching_allocator import allocator_peaks, requests_of
from core.systems.checkpoint_models import transformer_chain
from core.systems.checkpoint_plans import checkpoint_plan, segments_plan
from core.systems.checkpointing import compare_gradients, predict_run, run_with_checkpoints, watched_by
from core.systems.memory_snapshot import read_snapshot
from demos.systems.checkpointing import DEMO, run_chain
from demos.systems.checkpointing_figures import show_run

RECORDING = Path(__file__).parents[2] / "assets" / "recordings" / "checkpointing_gpu.json"
PLANS = {
    "none": checkpoint_plan("none", 12),
    "√n": checkpoint_plan("sqrt", 12),
    "every layer": checkpoint_plan("every layer", 12),
}
rows: dict[str, dict[str, float]] = {}


def chain(device: str):
    return transformer_chain(blocks=12, width=1024, heads=16, tokens=1024, batch=4, dtype="bfloat16", device=device)


@pytest.mark.parametrize("name", PLANS)
def test_the_predicted_peak_is_within_three_percent_of_the_measured_one(name):
    plan = PLANS[name]
    predicted = allocator_peaks(requests_of(predict_run(chain("cpu"), plan).events))
    there = chain("cuda")
    run_with_checkpoints(there, plan=plan)  # warm up
    live = run_with_checkpoints(there, plan=plan)
    other = torch.cuda.memory_allocated() - live.events[0].total_bytes
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    class Clock:
        def __enter__(self):
            start.record()

        def __exit__(self, *exception):
            end.record()

    watched_by(Clock, there, plan)
    torch.cuda.synchronize()
    measured = torch.cuda.max_memory_allocated() - other
    rows[name] = {
        "predicted_bytes": predicted.allocated_bytes,
        "measured_bytes": measured,
        "tracked_bytes": live.peak_bytes,
        "reserved_model_bytes": predicted.reserved_bytes,
        "reserved_bytes": torch.cuda.max_memory_reserved(),
        "step_ms": start.elapsed_time(end),
    }
    assert abs(predicted.allocated_bytes / measured - 1) <= 0.03


def test_gradients_are_bitwise_equal_on_the_device():
    there = transformer_chain(blocks=4, width=256, heads=4, tokens=128, batch=2, dropout=0.1, device="cuda")
    assert compare_gradients(there, segments_plan(4, 2)).bitwise_equal


def test_the_allocators_own_snapshot_is_read(tmp_path):
    torch.cuda.memory._record_memory_history(max_entries=100_000)
    run_with_checkpoints(chain("cuda"), segments=3)
    file = tmp_path / "snapshot.pickle"
    torch.cuda.memory._dump_snapshot(str(file))
    torch.cuda.memory._record_memory_history(enabled=None)
    snapshot = read_snapshot(file.read_bytes())
    assert snapshot.peak_allocated_bytes >= snapshot.end_allocated_bytes > 0
    assert snapshot.events[-1].allocated_bytes == snapshot.end_allocated_bytes


def test_the_tab_runs_there_and_shows_the_allocators_count():
    result = run_chain(replace(DEMO.presets["start"], device="cuda"))
    assert result.run is not None
    assert result.device == torch.cuda.get_device_name()
    assert all(event.allocator_bytes > 0 for event in result.events)
    assert "GPU" in show_run(result, DEMO.text("en")).scene.panes[1].title


def test_what_was_measured_is_recorded():
    assert set(rows) == set(PLANS)
    versions = {"torch": torch.__version__, "cuda": torch.version.cuda, "python": sys.version.split()[0]}
    recording = {"device": torch.cuda.get_device_name(), "versions": versions, "plans": rows}
    RECORDING.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
