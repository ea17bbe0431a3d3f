"""Tab: what recomputing buys and costs: the memory of a real forward and backward, live, measured, predicted and explained."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from core.systems.checkpoint_plans import CheckpointPlan
from demos.contract import Demo
from demos.contract import View as DemoView
from demos.kit.controls import choice, files, marks, number, toggle
from demos.kit.controls import text as pasted
from demos.kit.jobs import counted, progress, publish
from demos.kit.numbers import Number
from demos.kit.text import Text
from demos.panel import Panel
from demos.systems.checkpointing_figures import show_run
from demos.systems.checkpointing_inputs import Profile, Subject, best_plan, plan_of, profile_of, subject_of
from demos.systems.checkpointing_numbers import numbers_of
from demos.systems.checkpointing_script import script_of
from demos.systems.checkpointing_snapshot import SnapshotResult, opened_snapshot
from demos.systems.checkpointing_snapshot_figures import show_snapshot
from demos.systems.checkpointing_tables_figures import guesses_of

if TYPE_CHECKING:
    from core.systems.checkpoint_schedules import TradeOff
    from core.systems.checkpointing import CurvePoint, GradientComparison, MemoryRun
    from core.systems.memory_accounting import Reconciliation
    from core.systems.memory_tracker import ComputeSpan, MemoryEvent
    from core.systems.peak_prediction import PeakPrediction, Verdict

MIB, GIB = 1 << 20, 1 << 30
MOST_MOMENTS = 640  # steps of one view
LIVE_SECONDS = 0.04  # between looks at a run under way
LIVE_MOMENTS = 200  # steps of such a look
STRATEGIES = (
    "none",
    "every_layer",
    "every_kth",
    "sqrt",
    "sequential",
    "matmul",
    "attention",
    "revolve",
    "optimal",
    "own",
)
WITH_K = ("every_kth", "sequential", "revolve")
EQUAL = ("mlp", "transformer")  # chains of so many equal layers
RUNS = (*EQUAL, "unet", "config")  # what runs here, on numbers or on tensors that hold nothing
CARD_NAMES = {"a100": "A100 80GB", "h100": "H100 80GB", "rtx4090": "RTX 4090", "t4": "T4"}


@dataclass(frozen=True)
class Controls:
    model: str = choice("mlp", (*RUNS, "snapshot"))
    picture: str = choice("coffee", ("coffee", "rocket", "photo"))
    photo: tuple[str, ...] = files(suffixes=(".png", ".jpg", ".jpeg", ".webp"))
    named: str = choice("tinyllama", ("gpt2", "tinyllama", "llama7b", "own"))
    config: str = pasted()
    snapshot: tuple[str, ...] = files(suffixes=(".pickle", ".pkl"))
    layers: int = number(12, 1, 48)
    strategy: str = choice("every_kth", STRATEGIES)
    k: int = number(3, 1, 48)
    budget: float = number(16.0, 0.0, 100000.0, 0.5, slider=False)
    card: str = choice("rtx4090", tuple(CARD_NAMES))
    compare: str = choice("plans", ("plans", "curve", "bytes", "gradients"))
    width: int = number(128, 8, 512, 8)
    rows: int = number(2048, 16, 16384, slider=False)
    heads: int = number(4, 1, 16)
    tokens: int = number(128, 8, 1024, 8)
    batch: int = number(2, 1, 16)
    channels: int = number(8, 2, 32)
    sequence: int = number(2048, 16, 131072, slider=False)
    micro_batch: int = number(1, 1, 64)
    dtype: str = choice("bfloat16", ("float32", "bfloat16", "float16"))
    optimizer: str = choice("adamw_master", ("none", "sgd_momentum", "adamw", "adamw_master"))
    dropout: float = number(0.0, 0.0, 0.9, 0.1)
    preserve_rng_state: bool = toggle(True)
    early_stop: bool = toggle(True)
    loss: Literal["sum", "squares"] = choice("sum", ("sum", "squares"))
    seed: int = number(0, 0, 9999, slider=False)
    device: str = choice("cpu", ("cpu", "cuda"))
    pins: str = marks()


@dataclass(frozen=True)
class Result:
    """One run as far as it has come, and what is compared with it."""

    controls: Controls
    subject: Subject
    plan: CheckpointPlan
    budget_bytes: int  # 0: none
    events: tuple[MemoryEvent, ...]  # so far
    device: str  # "cpu", "cuda" or the GPU's name, "fake"
    profile: Profile | None = None  # of a chain that really runs
    best: TradeOff | None = None  # the solver's plan under the budget
    run: MemoryRun | None = None  # None while it runs
    prediction: PeakPrediction | None = None  # of a configuration
    verdict: Verdict | None = None
    curve: tuple[CurvePoint, ...] = ()
    ledger: Reconciliation | None = None
    gradients: GradientComparison | None = None

    @property
    def layers(self) -> int:
        return len(self.subject.chain.layers)

    @property
    def unit(self) -> int:
        """Bytes of what the chart counts in."""
        return GIB if self.subject.fake else MIB

    @property
    def states_bytes(self) -> int:
        """What lies beside the run all the time: the optimizer's states."""
        return self.prediction.optimizer_bytes if self.prediction else 0

    @cached_property
    def spans(self) -> tuple[ComputeSpan, ...]:
        from core.systems.memory_tracker import compute_spans

        return self.run.spans if self.run else compute_spans(self.events)

    @cached_property
    def held(self) -> tuple[tuple[int, ...], ...]:
        """Bytes that each layer's work holds, one tuple an event."""
        from core.systems.memory_tracker import layer_bytes

        return layer_bytes(self.events, self.layers)

    @cached_property
    def moments(self) -> tuple[int, ...]:
        """Events that are shown, one a step: all, or the highest of every few, the end of forward and the last."""
        most = MOST_MOMENTS if self.run else LIVE_MOMENTS
        count = len(self.events)
        if count <= most:
            return tuple(range(count))
        each = -(-count // (most - 2))
        highest = {
            max(range(i, min(i + each, count)), key=lambda j: self.events[j].total_bytes) for i in range(0, count, each)
        }
        ends = {count - 1} | ({self.run.forward_end} if self.run else set())
        return tuple(sorted(highest | ends))

    @cached_property
    def over(self) -> int | None:
        """The step at which memory runs out; None if it never does."""
        if not self.budget_bytes:
            return None
        limit = self.budget_bytes - self.states_bytes
        return next((t for t, i in enumerate(self.moments) if self.events[i].total_bytes > limit), None)

    @cached_property
    def peak_step(self) -> int:
        return max(range(len(self.moments)), key=lambda t: self.events[self.moments[t]].total_bytes)

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return numbers_of(self)


def run(c: Controls) -> Result | SnapshotResult:
    """Everything the tab shows, computed by `core`; what is there so far is published while it runs.

    Raises:
        UploadError: the controls do not go together, or what was uploaded cannot be used; one sentence says why.
    """
    return opened_snapshot(c) if c.model == "snapshot" else run_chain(c)


def run_chain(c: Controls) -> Result:
    """A chain's run, as far as it has come published on the way.

    Raises:
        UploadError: as `run`.
    """
    import torch

    from core.systems.checkpointing import stream_run

    torch.set_num_threads(1)  # one thread: many visitors share the machine
    subject = subject_of(c)
    layers = len(subject.chain.layers)
    budget = _budget_bytes(c, subject)
    solved = c.strategy == "optimal"  # else the run comes first: there is something to see at once
    profile, best = _solved(c, subject, budget) if solved else (None, None)
    plan = plan_of(c, layers, best)
    stages = 2 * layers + sum(plan.forward_calls) - layers
    result = Result(c, subject, plan, budget, (), "fake" if subject.fake else c.device, profile, best)
    events: list[MemoryEvent] = []
    options: dict[str, Any] = {
        "preserve_rng_state": c.preserve_rng_state,
        "early_stop": c.early_stop,
        "loss": c.loss,
        "seed": c.seed,
    }
    finished: MemoryRun | None = None
    seen, stage = -1, ("baseline", -1)
    with closing(stream_run(subject.chain, plan=plan, interval_s=LIVE_SECONDS, **options)) as live:
        for update in live:
            for event in update.new_events:
                if (event.phase, event.layer) != stage:
                    stage, seen = (event.phase, event.layer), seen + 1
            events += update.new_events
            finished = update.run
            progress(min(seen, stages), stages, "running")
            if finished is None and events:
                publish(replace(result, events=tuple(events)))
    assert finished is not None
    result = replace(result, events=finished.events, run=finished, device=finished.device)
    if subject.fake:
        return _predicted(result)
    if not solved:
        profile, best = _solved(c, subject, budget)
    return _compared(replace(result, profile=profile, best=best))


def _solved(c: Controls, subject: Subject, budget: int) -> tuple[Profile, TradeOff | None]:
    """Each layer measured alone, and the solver's plan under the budget or on the card."""
    progress(0, 0, "solving")
    profile = profile_of(subject, optimizer=OPTIMIZERS[c.optimizer] if subject.fake else "none")
    progress(0, 0, "solving")
    return profile, best_plan(subject, profile, budget) if budget else None


def _budget_bytes(c: Controls, subject: Subject) -> int:
    if not subject.fake:
        return round(c.budget * MIB)
    return _card(c).total_bytes


def _card(c: Controls) -> Any:
    from core.systems.peak_prediction import CARDS

    return next(card for card in CARDS if card.name == CARD_NAMES[c.card])


OPTIMIZERS: dict[str, Any] = {
    "none": "none",
    "sgd_momentum": "sgd momentum",
    "adamw": "adamw",
    "adamw_master": "adamw fp32 master",
}


def _predicted(result: Result) -> Result:
    from core.systems.peak_prediction import fits_card, step_prediction

    assert result.run is not None
    made = step_prediction(result.run, result.subject.chain, optimizer=OPTIMIZERS[result.controls.optimizer])
    return replace(result, prediction=made, verdict=fits_card(made, _card(result.controls)))


def divisors(layers: int) -> tuple[int, ...]:
    """Numbers of equal segments that a chain can be cut into; for a prime number of layers, a few that are nearly equal."""
    exact = tuple(k for k in range(1, layers + 1) if layers % k == 0)
    return exact if len(exact) > 2 else tuple(sorted({1, 2, 3, 4, layers // 2, layers} & set(range(1, layers + 1))))


def _compared(result: Result) -> Result:
    """What was asked to stand beside the run; each takes several runs of its own."""
    from core.systems.checkpointing import compare_gradients, u_curve
    from core.systems.memory_accounting import reconcile

    c, chain, plan = result.controls, result.subject.chain, result.plan
    if c.compare == "curve":
        counts = divisors(result.layers)
        for point in counted(u_curve(chain, counts, early_stop=c.early_stop), "curve", total=len(counts)):
            result = replace(result, curve=(*result.curve, point))
            publish(result)
    elif c.compare == "bytes":
        progress(0, 1, "bytes")
        result = replace(result, ledger=reconcile(chain, plan, loss=c.loss, seed=c.seed))
    elif c.compare == "gradients":
        progress(0, 1, "gradients")
        made = compare_gradients(chain, plan, preserve_rng_state=c.preserve_rng_state, seed=c.seed)
        result = replace(result, gradients=made)
    return result


def show(result: Result | SnapshotResult, text: Text) -> DemoView:
    """The picture of a run, or of a snapshot."""
    return show_run(result, text) if isinstance(result, Result) else show_snapshot(result, text)


def build(panel: Panel) -> None:
    """Left: what runs and what is recomputed; under More: sizes, and ways to break it."""
    with panel.left:
        panel.control("model")
        with panel.when("model", "unet"):
            panel.control("picture")
            with panel.when("picture", "photo"):
                panel.control("photo")
        with panel.when("model", "config"):
            panel.control("named")
            with panel.when("named", "own"):
                panel.control("config")
        with panel.when("model", "snapshot"):
            panel.control("snapshot")
        with panel.when("model", *EQUAL):
            panel.control("layers")
        with panel.when("model", *RUNS):
            panel.control("strategy")
            with panel.when("strategy", *WITH_K):
                panel.control("k")
        with panel.when("model", *EQUAL, "unet"):
            panel.control("budget")
        with panel.when("model", "config"):
            panel.control("card")
        with panel.when("model", *RUNS), panel.more("sizes"):
            with panel.when("model", *EQUAL):
                panel.control("width")
            with panel.when("model", "mlp"):
                panel.control("rows")
            with panel.when("model", "transformer"):
                panel.control("heads")
                panel.control("tokens")
                panel.control("batch")
            with panel.when("model", "unet"):
                panel.control("channels")
            with panel.when("model", "config"):
                panel.control("sequence")
                panel.control("micro_batch")
                panel.control("dtype")
                panel.control("optimizer")
        with panel.when("model", *RUNS), panel.more():
            with panel.when("model", *EQUAL):
                panel.control("dropout")
            panel.control("preserve_rng_state")
            panel.control("early_stop")
            panel.control("loss")
            panel.control("seed")
            with panel.when("model", *EQUAL, "unet"):
                panel.control("device")
    with panel.below, panel.when("model", *EQUAL, "unet"), panel.more("compare"):
        panel.control("compare")
    with panel.below:
        panel.control("pins")


DEMO = Demo(
    slug="checkpointing",
    sources=(
        "Chen, Xu, Zhang, Guestrin 2016, *Training deep nets with sublinear memory cost*, arXiv:1604.06174",
        "Griewank, Walther 2000, *Algorithm 799: revolve*, ACM TOMS 26(1)",
        "Beaumont et al. 2019, *Optimal checkpointing for heterogeneous chains*, arXiv:1911.13214",
        "Korthikanti et al. 2022, *Reducing activation recomputation in large transformer models*, arXiv:2205.05198",
        "Rajbhandari et al. 2019, *ZeRO*, arXiv:1910.02054, for the states of mixed-precision Adam",
        "PyTorch, torch/utils/checkpoint.py, c10/cuda/CUDACachingAllocator.cpp and torch/distributed/_tools/mem_tracker.py",
    ),
    presets={
        "start": Controls(),
        "oom": Controls(strategy="none"),
        "transformer": Controls(
            model="transformer",
            layers=12,
            strategy="every_layer",
            width=64,
            tokens=128,
            batch=4,
            compare="curve",
            budget=14.0,
        ),
        "unet": Controls(model="unet", strategy="optimal", budget=46.0),
        "dropout": Controls(dropout=0.5, rows=512, preserve_rng_state=False, compare="gradients", budget=6.0),
        "card": Controls(model="config", strategy="every_layer"),
    },
    run=run,
    numbers=lambda result: result.numbers,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    picks=("budget",),
    drawing=lambda kind, values: "pins",
    draws=("cells",),
    drawing_sets={"strategy": "own"},
)
