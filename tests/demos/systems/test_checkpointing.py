"""What the tab computes, in Python; the rules that all tabs share are in tests/demos/test_contract.py."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.systems.checkpoint_plans import flattened
from core.systems.checkpointing import run_with_checkpoints
from demos.contract import attempt
from demos.kit.controls import ControlError, checked
from demos.kit.jobs import follow
from demos.kit.stage import decode
from demos.kit.upload_errors import UploadError
from demos.systems.checkpointing import DEMO, STRATEGIES, WITH_K, Controls, divisors
from demos.systems.checkpointing import run_chain as run
from demos.systems.checkpointing_numbers import NAMES
from demos.systems.checkpointing_script import script_of

START = DEMO.presets["start"]
SMALL = replace(START, rows=64, width=16, layers=6, budget=0.0)


@pytest.mark.parametrize(("k", "units"), [(12, 25), (6, 14), (4, 11), (3, 10), (2, 10), (1, 14)])
def test_the_peaks_of_the_opening_chain(k: int, units: int) -> None:
    result = run(replace(START, k=k))
    assert result.run is not None
    assert result.run.activation_peak_bytes // result.subject.chain.unit_bytes == units


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs_and_computes_the_same_gradients(strategy: str) -> None:
    c = replace(SMALL, strategy=strategy, budget=1.0 if strategy == "optimal" else 0.0, pins="1_4", compare="gradients")
    result = run(c)
    assert tuple(flattened(result.plan.nodes)) == tuple(range(6))
    assert result.gradients is not None
    assert result.gradients.bitwise_equal


def test_the_run_is_cores() -> None:
    result = run(SMALL)
    again = run_with_checkpoints(result.subject.chain, plan=result.plan)
    assert result.run is not None
    assert [e.live_bytes for e in result.run.events] == [e.live_bytes for e in again.events]
    assert len(NAMES) == len(again.events[0].live_bytes)


def test_numbers_of_each_step_are_its_events() -> None:
    result = run(SMALL)
    for step, i in zip(result.numbers, result.moments, strict=True):
        assert step[0].value == result.events[i].total_bytes / 2**20
    assert max(step[0].value or 0 for step in result.numbers) == next(
        n.value for n in result.numbers[0] if n.key == "peak"
    )


def test_long_runs_keep_their_highest_moments() -> None:
    result = run(DEMO.presets["card"])
    assert result.run is not None
    assert len(result.moments) < 700 < len(result.events)
    assert list(result.moments) == sorted(set(result.moments))
    assert result.run.peak_event.index in result.moments
    assert result.run.forward_end in result.moments
    assert result.moments[-1] == len(result.events) - 1


def test_memory_runs_out_at_the_first_event_over_the_budget() -> None:
    result = run(DEMO.presets["oom"])
    assert result.run is not None
    first = result.run.first_over(result.budget_bytes)
    assert first is not None
    assert result.over is not None
    assert result.moments[result.over] == first.index
    assert run(replace(DEMO.presets["oom"], budget=27.0)).over is None
    assert run(replace(DEMO.presets["oom"], budget=0.0)).over is None


@pytest.mark.parametrize("budget", [11.5, 13.0, 16.0, 26.0, 28.0])
def test_the_solvers_plan_fits_when_it_really_runs(budget: float) -> None:
    result = run(replace(START, strategy="optimal", budget=budget))
    assert result.run is not None
    assert result.run.peak_bytes <= result.budget_bytes
    assert result.over is None


@pytest.mark.parametrize("budget", [46.0, 52.0, 62.0])
def test_the_solvers_plan_of_unequal_layers_fits_too(budget: float) -> None:
    result = run(replace(DEMO.presets["unet"], budget=budget))
    assert result.run is not None
    assert result.run.peak_bytes <= result.budget_bytes


def test_what_the_card_needs() -> None:
    every, none = (run(replace(DEMO.presets["card"], strategy=s)) for s in ("every_layer", "none"))
    assert every.verdict is not None
    assert none.verdict is not None
    assert every.verdict.fits
    assert every.verdict.needed_bytes < none.verdict.needed_bytes
    t4 = run(replace(DEMO.presets["card"], card="t4"))
    assert t4.verdict is not None
    assert not t4.verdict.fits


def test_wrong_masks_break_the_gradients_and_right_ones_do_not() -> None:
    broken, right = (run(replace(DEMO.presets["dropout"], preserve_rng_state=keep)) for keep in (False, True))
    assert broken.gradients is not None
    assert right.gradients is not None
    assert not broken.gradients.bitwise_equal
    assert broken.gradients.loss == broken.gradients.reference_loss
    assert right.gradients.bitwise_equal


def test_every_layer_beats_the_square_root_in_transformers() -> None:
    result = run(DEMO.presets["transformer"])
    peaks = {point.segments: point.measured_units for point in result.curve}
    assert min(peaks, key=lambda k: peaks[k]) == 12
    assert DEMO.guesses(DEMO.text("en"))[1].answer == 1


def test_bytes_are_counted_five_ways() -> None:
    result = run(replace(SMALL, compare="bytes"))
    assert result.ledger is not None
    assert result.run is not None
    assert result.ledger.predicted_bytes == result.ledger.live_bytes == result.run.peak_bytes


def test_segments_of_the_curve() -> None:
    assert divisors(12) == (1, 2, 3, 4, 6, 12)
    assert divisors(1) == (1,)
    assert divisors(7) == (1, 2, 3, 4, 7)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"model": "transformer", "heads": 3}, "ckpt_heads"),
        ({"rows": 16384, "width": 512, "layers": 48}, "ckpt_too_large"),
        ({"model": "unet", "picture": "photo"}, "no_photo"),
        ({"model": "config", "named": "own"}, "ckpt_no_config"),
        ({"model": "config", "named": "own", "config": "{"}, "ckpt_not_json"),
        ({"model": "config", "named": "own", "config": "[1]"}, "ckpt_not_json"),
        ({"model": "config", "named": "own", "config": "[" * 10_000}, "ckpt_not_json"),
        ({"model": "config", "named": "own", "config": '{"model_type": "bert"}'}, "ckpt_config"),
        ({"strategy": "optimal", "budget": 0.0}, "ckpt_no_budget"),
        ({"strategy": "optimal", "budget": 1.0}, "ckpt_nothing_fits"),
        ({"model": "config", "strategy": "optimal", "named": "llama7b", "card": "t4"}, "ckpt_no_card"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(changed: dict, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        run(replace(START, **changed))
    assert caught.value.code == code


def test_without_a_gpu_the_choice_of_one_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for model in ("mlp", "transformer", "unet"):
        with pytest.raises(UploadError) as caught:
            run(replace(START, model=model, device="cuda"))
        assert caught.value.code == "no_cuda"


def test_a_pasted_configuration_is_followed() -> None:
    config = {
        "model_type": "qwen3",
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "head_dim": 16,
        "intermediate_size": 128,
        "vocab_size": 300,
        "max_position_embeddings": 64,
    }
    c = Controls(model="config", named="own", config=json.dumps(config), sequence=2048, strategy="every_layer")
    result = run(c)
    assert result.layers == 5
    assert result.device == "fake"
    assert [note.code for note in result.subject.notes] == ["ckpt_positions"]
    deep = json.dumps(config | {"num_hidden_layers": 5000})
    with pytest.raises(UploadError) as caught:
        run(replace(c, config=deep))
    assert caught.value.code == "ckpt_too_deep"


@pytest.mark.parametrize(
    "values",
    [
        {"layers": 0},
        {"rows": 10**9},
        {"budget": float("nan")},
        {"strategy": "best"},
        {"k": 2.5},
        {"config": 7},
        {"config": "x" * 30_000},
        {"pins": "<script>"},
        {"dropout": 1.0},
    ],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ControlError):
        checked(Controls, values)


@pytest.mark.parametrize("pins", ["", "0", "99999_3", "._a", "3_3_3", "0_1_2_3_4_5", "12345678901234567890"])
def test_pins_are_whatever_was_clicked(pins: str) -> None:
    result = run(replace(SMALL, strategy="own", pins=pins))
    assert set(result.plan.kept_inputs) <= {int(p) for p in pins.split("_") if p.isdecimal()}


def test_scripts_name_what_they_run() -> None:
    for strategy in STRATEGIES:
        compile(script_of(replace(SMALL, strategy=strategy, budget=1.0)), "exported.py", "exec")
    assert set(WITH_K) < set(STRATEGIES)


# -- live ---------------------------------------------------------------------------------------------------------------

LONG = replace(START, layers=24, width=256, rows=8192, strategy="every_layer", compare="plans")


def test_the_run_is_shown_while_it_goes_on() -> None:
    """What a visitor's stage would ask for: pictures that grow, with bytes measured so far."""
    seen, editions, started = 0, [], threading.Event()

    def answer() -> tuple:
        started.set()
        return attempt(DEMO, "en", vars(LONG) | {"seed": 71}, question="71.live")

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(answer)
        started.wait(5)
        while not future.done():
            said = follow({"question": "71.live", "seen": seen})
            if "view" in said:
                seen = said["edition"]
                header, _ = decode(said["view"])
                mountain = next(pane for pane in header["scene"]["panes"] if pane["key"] == "mountain")
                editions.append(mountain["axes"]["x"][1])  # events so far
            time.sleep(0.02)
        header, _ = decode(future.result()[0].partition(":")[2])
    assert len(editions) >= 3
    assert editions == sorted(editions)
    assert any(pane["key"] == "plans" for pane in header["scene"]["panes"])


def test_a_stopped_run_ends_within_half_a_second() -> None:
    done: list[float] = []

    def answer() -> tuple:
        found = attempt(DEMO, "en", vars(LONG) | {"seed": 72}, question="72.live")
        done.append(time.perf_counter())
        return found

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(answer)
        while "view" not in follow({"question": "72.live", "seen": 0}) and not future.done():
            time.sleep(0.02)
        stopped = time.perf_counter()
        follow({"question": "72.live", "stop": True})
        header, _ = decode(future.result()[0].partition(":")[2])
    assert header["scene"] is None
    assert header["message"]
    assert done[0] - stopped < 0.5
