"""Run a chain forward and backward under a checkpoint plan, with `torch.utils.checkpoint` itself, and watch its memory.

Nothing is simulated here: segments are `torch.utils.checkpoint.checkpoint(use_reentrant=False)`, selective policies are
`create_selective_checkpoint_contexts`, and every byte is a storage's. `stream_run` delivers the events while the run goes on.

Source: PyTorch torch/utils/checkpoint.py.
Notation: n layers, k segments; F FLOPs of one forward.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils import checkpoint as torch_checkpoint

from core.systems.checkpoint_models import Chain, as_state
from core.systems.checkpoint_plans import (
    CheckpointPlan,
    Nodes,
    Policy,
    checkpoint_plan,
    flattened,
    peak_units,
    pinned_plan,
    segments_plan,
)
from core.systems.global_generator import seeded_global_generator
from core.systems.memory_tracker import (
    Bytes,
    ComputeSpan,
    LiveMemoryTracker,
    MemoryEvent,
    Phase,
    compute_spans,
    settled,
)

Loss = Literal["sum", "squares"]

aten = torch.ops.aten
MATMULS = (aten.mm.default, aten.addmm.default, aten.bmm.default, aten.baddbmm.default, aten.convolution.default)
ATTENTION = (
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention.default,
    aten._scaled_dot_product_efficient_attention.default,
    aten._scaled_dot_product_cudnn_attention.default,
)


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """One real forward and backward, event by event."""

    plan: CheckpointPlan  # what was recomputed
    layer_names: tuple[str, ...]  # (n,)
    device: str  # where it ran: "cpu" (storages counted), the CUDA device's name, or "fake" (nothing allocated)
    events: tuple[MemoryEvent, ...]  # memory over time, gradients counted as such from their birth
    spans: tuple[ComputeSpan, ...]  # compute ribbon
    forward_end: int  # index of the last event of forward
    loss: float  # sum of the output; NaN for a run on fake tensors
    watched_peak_bytes: (
        int  # as activation_peak_bytes, but a weight gradient in the making counts until .grad takes it over
    )
    gradients: tuple[torch.Tensor, ...]  # of each parameter, in the chain's order
    seconds: float  # wall time of the run, watched

    @property
    def peak_event(self) -> MemoryEvent:
        """The first event at which all live bytes are at their maximum."""
        return max(self.events, key=lambda event: event.total_bytes)

    @property
    def peak_bytes(self) -> int:
        """Most bytes alive at once, parameters and all."""
        return self.peak_event.total_bytes

    @property
    def activation_peak_bytes(self) -> int:
        """Most bytes alive at once without parameters, their gradients and inputs: what checkpointing changes."""
        return max(event.activation_bytes for event in self.events)

    @property
    def kept_bytes(self) -> int:
        """Activation bytes alive when forward has ended: saved for backward, and the output."""
        return self.events[self.forward_end].activation_bytes

    @property
    def peak_by_kind(self) -> Bytes:
        """(6,) bytes alive at the peak, by KINDS."""
        return self.peak_event.live_bytes

    @property
    def forward_flops(self) -> int:
        """FLOPs of the first forward, F."""
        return self._flops("forward")

    @property
    def recompute_flops(self) -> int:
        """FLOPs of what ran forward again."""
        return self._flops("recompute")

    @property
    def backward_flops(self) -> int:
        """FLOPs of backward without what was recomputed."""
        return self._flops("backward")

    @property
    def flops_ratio(self) -> float:
        """All FLOPs over those without recomputation; 4/3 when everything is recomputed once."""
        needed = self.forward_flops + self.backward_flops
        return (needed + self.recompute_flops) / needed if needed else 1.0

    def first_over(self, budget_bytes: float) -> MemoryEvent | None:
        """The event at which a device with so many bytes for everything would have run out; None if it fits."""
        return next((event for event in self.events if event.total_bytes > budget_bytes), None)

    def _flops(self, phase: Phase) -> int:
        return sum(event.flops for event in self.events if event.phase == phase)


@dataclass(frozen=True, slots=True)
class RunProgress:
    """What has happened since the update before."""

    new_events: tuple[MemoryEvent, ...]  # in order; gradients still count as workspace until they are taken over
    seconds: float  # since the run began
    run: MemoryRun | None  # the finished run, in the last update only


def run_with_checkpoints(
    chain: Chain,
    *,
    plan: CheckpointPlan | None = None,
    segments: int | None = None,
    checkpoint_at: Iterable[int] | None = None,
    policy: Policy = "",
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    loss: Loss = "sum",
    seed: int = 0,
) -> MemoryRun:
    """A real forward and backward of the chain under a plan.

    Convention: the loss is the sum of the last output (or of its squares), which the caller holds to the end; the gradient of a
    plain sum is one number seen as many, so that it takes no memory. Gradients start as None. At most one of
    `plan`, `segments` (k equal segments, all recomputed) and `checkpoint_at` (pins) is given; none is no checkpointing, except
    that a `policy` alone recomputes every layer but what the policy saves. Non-reentrant checkpoints.

    Dropout and `preserve_rng_state` use PyTorch's global generator, since that is what checkpointing stashes and restores: runs
    take turns, the generator is seeded for the run and put back afterwards.

    Args:
        chain: layers and input.
        plan, segments, checkpoint_at, policy: what is recomputed.
        preserve_rng_state: recompute with the generator as it was; False breaks dropout's gradients.
        early_stop: stop a recomputation once the last tensor that backward needs is there (PyTorch's default).
        loss: "sum" or "squares" of the last output.
        seed: of dropout.

    Raises:
        ValueError: if more than one is given, a number is out of range, or the plan is not over this chain's layers.

    Source: torch.utils.checkpoint.checkpoint, create_selective_checkpoint_contexts.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> chain = mlp_chain(layers=12, width=8, rows=64)
    >>> [run_with_checkpoints(chain, segments=k).activation_peak_bytes // chain.unit_bytes for k in (1, 2, 3, 4, 6, 12)]
    [25, 14, 11, 10, 10, 14]
    """
    plan = _plan(chain, plan, segments, checkpoint_at, policy)
    options = _Options(preserve_rng_state, early_stop, loss, seed)
    return _Run(chain, plan, options, device=_device_name(chain.inputs)).go()


@dataclass(frozen=True, slots=True)
class _Options:
    """How checkpoints recompute."""

    preserve_rng_state: bool
    early_stop: bool
    loss: Loss
    seed: int


class _Run:
    """One forward and backward on parameters of its own, which share the chain's memory but not its gradients."""

    def __init__(self, chain: Chain, plan: CheckpointPlan, options: _Options, *, device: str, fake: Any = None) -> None:
        if options.loss not in ("sum", "squares"):
            raise ValueError(f'loss must be "sum" or "squares", got {options.loss!r}')
        self.chain, self.plan, self.options, self.device, self.fake = chain, plan, options, device, fake
        known: dict[int, Any] = {}
        for p in chain.parameters:
            inside = p.detach() if fake is None else fake.from_tensor(p.detach())
            known[id(p)] = nn.Parameter(inside, requires_grad=p.requires_grad)
        self.inputs = chain.inputs if fake is None else fake.from_tensor(chain.inputs)
        known[id(chain.inputs)] = self.inputs
        self.parameters = [known[id(p)] for p in chain.parameters]
        self.layers: tuple[nn.Module, ...] = copy.deepcopy(chain.layers, known)
        self.tracker = LiveMemoryTracker(parameters=self.parameters, inputs=[self.inputs])
        self.backward = False
        self.stopped = False

    def cancel(self) -> None:
        """Stop at the next operator."""
        self.stopped = True
        self.tracker.cancel()

    def go(self) -> MemoryRun:
        """Run, watched."""
        start = time.perf_counter()
        with self._generator(), self.fake or nullcontext(), self.tracker:
            out = self.output()
            loss = self.loss(out)
            self.tracker.turn_to("backward", len(self.layers) - 1)
            forward_end = len(self.tracker.events) - 1
            self.backward = True
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self.tracker.turn_to("backward", -1)
        del out
        watched_peak = max(event.activation_bytes for event in self.tracker.events)
        events = settled(self.tracker.events)
        value = math.nan if self.fake is not None else float(loss.detach())
        gradients = tuple(p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters)
        seconds = time.perf_counter() - start
        return MemoryRun(
            plan=self.plan,
            layer_names=self.chain.names,
            device=self.device,
            events=events,
            spans=compute_spans(events),
            forward_end=forward_end,
            loss=value,
            watched_peak_bytes=watched_peak,
            gradients=gradients,
            seconds=seconds,
        )

    def unwatched(self) -> None:
        """The same, for somebody else to watch."""
        with self._generator():
            out = self.output()
            self.backward = True
            self.loss(out).backward()  # pyright: ignore[reportUnknownMemberType]

    def loss(self, out: torch.Tensor) -> torch.Tensor:
        """One number from the output."""
        return out.sum() if self.options.loss == "sum" else out.square().sum()

    def output(self) -> torch.Tensor:
        """Forward: the running tensor of the last state."""
        return self._through(self.plan.nodes, (self.inputs,))[0]

    def _through(self, nodes: Nodes, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        for node in nodes:
            state = self._segment(node, state) if isinstance(node, tuple) else self._layer(node, state)
        return state

    def _segment(self, nodes: Nodes, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        def inside(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return self._through(nodes, tensors)

        library: Any = torch_checkpoint  # without types
        kept = {"matmul": MATMULS, "attention": ATTENTION}.get(self.plan.policy)
        selective = (
            {} if kept is None else {"context_fn": partial(library.create_selective_checkpoint_contexts, [*kept])}
        )
        made: tuple[torch.Tensor, ...] = library.checkpoint(
            inside,
            *state,
            use_reentrant=False,
            # without dropout there is nothing to restore, and another visitor's generator is left alone
            preserve_rng_state=self.options.preserve_rng_state and self.chain.draws,
            early_stop=self.options.early_stop,
            **selective,
        )
        return made

    def _layer(self, i: int, state: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        again = self.backward
        with self.tracker.at("recompute" if again else "forward", i):
            made: Any = self.layers[i](*state)
        out = as_state(made)
        if not again and out[0].requires_grad:  # its gradient arrives when the layer's backward begins
            first, tracker = cast(Any, out[0]), self.tracker
            first.register_hook(lambda _gradient: tracker.turn_to("backward", i))  # pyright: ignore[reportUnknownLambdaType]
        return out

    @contextmanager
    def _generator(self) -> Generator[None, None, None]:
        """PyTorch's global generator for this run alone, if there is dropout at all."""
        if not self.chain.draws or self.fake is not None:
            yield
            return
        with seeded_global_generator(self.options.seed, self.inputs.device, cancelled=lambda: self.stopped):
            yield


def _device_name(tensor: torch.Tensor) -> str:
    if tensor.device.type == "cpu":
        return "cpu"
    return str(torch.get_device_module(tensor.device).get_device_name(tensor.device))


def _plan(
    chain: Chain,
    plan: CheckpointPlan | None,
    segments: int | None,
    checkpoint_at: Iterable[int] | None,
    policy: Policy,
) -> CheckpointPlan:
    n = len(chain.layers)
    if sum(option is not None for option in (plan, segments, checkpoint_at)) > 1:
        raise ValueError("give at most one of plan, segments and checkpoint_at, got more")
    if policy not in ("", "matmul", "attention"):
        raise ValueError(f'policy must be "", "matmul" or "attention", got {policy!r}')
    if plan is None:
        if segments is not None:
            plan = segments_plan(n, segments)
        elif checkpoint_at is not None:
            plan = pinned_plan(n, checkpoint_at)
        else:
            plan = checkpoint_plan("every layer" if policy else "none", n)
    if policy:
        plan = CheckpointPlan(plan.nodes, policy)
    if tuple(flattened(plan.nodes)) != tuple(range(n)):
        raise ValueError(f"the plan must hold the layers 0 to {n - 1} in order, got {plan.nodes}")
    if plan.policy and plan.depth > 1:
        raise ValueError("a policy works in segments that are not nested, got segments inside segments")
    return plan


def predict_run(chain: Chain, plan: CheckpointPlan, *, early_stop: bool = True, loss: Loss = "sum") -> MemoryRun:
    """The same run on fake tensors: every operator's shapes, types and storages, nothing allocated, nothing computed.

    Args:
        chain: real, or itself made inside a `FakeTensorMode`.
        plan, early_stop, loss: as `run_with_checkpoints`.

    Raises:
        ValueError: as `run_with_checkpoints`.

    Source: torch._subclasses.fake_tensor.FakeTensorMode.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> chain, plan = mlp_chain(layers=4, width=8, rows=64), segments_plan(4, 2)
    >>> predict_run(chain, plan).peak_bytes == run_with_checkpoints(chain, plan=plan).peak_bytes
    True
    """
    plan = _plan(chain, plan, None, None, "")
    fake = chain.inputs.fake_mode if isinstance(chain.inputs, FakeTensor) else FakeTensorMode()
    return _Run(chain, plan, _Options(True, early_stop, loss, 0), device="fake", fake=fake).go()


def watched_by(
    watch: Callable[[], AbstractContextManager[Any]],
    chain: Chain,
    plan: CheckpointPlan,
    *,
    loss: Loss = "sum",
    seed: int = 0,
) -> None:
    """The same run without the tracker, inside a context of the caller's, such as a profiler.

    Args:
        watch: makes the context; everything of the run happens inside it.
        chain, plan, loss, seed: as `run_with_checkpoints`.
    """
    run = _Run(chain, _plan(chain, plan, None, None, ""), _Options(True, True, loss, seed), device="")
    with watch():
        run.unwatched()


def stream_run(
    chain: Chain,
    *,
    plan: CheckpointPlan,
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    loss: Loss = "sum",
    seed: int = 0,
    interval_s: float = 0.05,
) -> Generator[RunProgress, None, None]:
    """The same run in a thread of its own; yields what is new every `interval_s` seconds, and the run at the end.

    Closing the generator cancels the run between two operators and waits for that. An exception of the run is raised here.

    Args:
        chain: as `run_with_checkpoints`; one made inside a `FakeTensorMode` is followed without computing, as `predict_run` does.
        plan, preserve_rng_state, early_stop, loss, seed: as `run_with_checkpoints`.
        interval_s: seconds between updates, > 0.

    Raises:
        ValueError: as `run_with_checkpoints`, at the call.
    """
    if not interval_s > 0:
        raise ValueError(f"interval_s must be positive, got {interval_s}")
    options = _Options(preserve_rng_state, early_stop, loss, seed)
    fake = chain.inputs.fake_mode if isinstance(chain.inputs, FakeTensor) else None
    device = "fake" if fake is not None else _device_name(chain.inputs)
    run = _Run(chain, _plan(chain, plan, None, None, ""), options, device=device, fake=fake)
    return _streamed(run, interval_s)


def _streamed(run: _Run, interval_s: float) -> Generator[RunProgress, None, None]:
    finished: list[MemoryRun] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            finished.append(run.go())
        except BaseException as error:
            failed.append(error)
        finally:
            done.set()

    start, seen = time.perf_counter(), 0
    thread = threading.Thread(target=work, name="watched run", daemon=True)
    thread.start()
    try:
        ended = False
        while not ended:
            ended = done.wait(interval_s)
            new = tuple(run.tracker.events[seen:])
            seen += len(new)
            if failed:
                raise failed[0]
            yield RunProgress(new, time.perf_counter() - start, finished[0] if finished else None)
            ended = ended or bool(finished)
    finally:
        run.cancel()
        thread.join()


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One number of segments."""

    segments: int  # k
    measured_units: float  # peak of a real run, in activations, without gradients of parameters
    closed_form_units: (
        float  # the closed form k + (n/k)·A + overhead; NaN where layers are unequal or k does not divide n
    )
    watched_units: float  # the same peak with the weight gradient that is being made
    watched_closed_form_units: float  # the closed form with that gradient's size
    flops_ratio: float  # all FLOPs over those without recomputation


def u_curve(chain: Chain, segments: Sequence[int], *, early_stop: bool = True) -> Generator[CurvePoint, None, None]:
    """Measured peaks against the number of segments, one real run each, beside the closed form.

    Args:
        chain: layers and input.
        segments: the k to run, each in [1, n].
        early_stop: as `run_with_checkpoints`.

    Raises:
        ValueError: at the call, if a k is out of range.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> points = u_curve(mlp_chain(layers=4, width=8, rows=64), [1, 2, 4])
    >>> [(p.segments, round(p.measured_units, 2), p.closed_form_units) for p in points]
    [(1, 9.0, 9.0), (2, 6.0, 6.0), (4, 6.0, 6.0)]
    """
    n = len(chain.layers)
    plans = [segments_plan(n, k) for k in segments]

    def points() -> Generator[CurvePoint, None, None]:
        for k, plan in zip(segments, plans, strict=True):
            run = run_with_checkpoints(chain, plan=plan, early_stop=early_stop)
            form = math.nan
            if not n % k and not math.isnan(chain.stored_units):
                form = peak_units(n, k, stored_units=chain.stored_units, overhead_units=chain.overhead_units)
            measured, watched = run.activation_peak_bytes / chain.unit_bytes, run.watched_peak_bytes / chain.unit_bytes
            yield CurvePoint(k, measured, form, watched, form + chain.gradient_units, run.flops_ratio)

    return points()


@dataclass(frozen=True, slots=True)
class GradientComparison:
    """Gradients with and without checkpointing."""

    bitwise_equal: bool  # every gradient, every bit
    max_abs_difference: float  # over all parameters
    max_abs_gradient: float  # over all parameters, without checkpointing
    differing: int  # how many numbers differ
    total: int  # of so many
    layer_equal: tuple[bool, ...]  # (n,) whether all gradients of the layer are equal
    loss: float  # with checkpointing
    reference_loss: float  # without


def compare_gradients(
    chain: Chain, plan: CheckpointPlan, *, preserve_rng_state: bool = True, seed: int = 0
) -> GradientComparison:
    """Run with and without the plan, from the same seed, and compare every bit of every gradient.

    Args:
        chain, plan, preserve_rng_state, seed: as `run_with_checkpoints`.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> from core.systems.checkpoint_plans import segments_plan
    >>> chain = mlp_chain(layers=4, width=8, rows=16, dropout=0.5)
    >>> plan = segments_plan(4, 2)
    >>> compare_gradients(chain, plan).bitwise_equal, compare_gradients(chain, plan, preserve_rng_state=False).bitwise_equal
    (True, False)
    """
    reference = run_with_checkpoints(chain, seed=seed)
    run = run_with_checkpoints(chain, plan=plan, preserve_rng_state=preserve_rng_state, seed=seed)
    pairs = list(zip(run.gradients, reference.gradients, strict=True))
    same = {id(p): _same_bits(a, b) for p, (a, b) in zip(chain.parameters, pairs, strict=True)}
    return GradientComparison(
        bitwise_equal=all(same.values()),
        max_abs_difference=max((float((a - b).abs().max()) for a, b in pairs), default=0.0),
        max_abs_gradient=max((float(b.abs().max()) for _, b in pairs), default=0.0),
        differing=sum(int((a != b).sum()) for a, b in pairs),
        total=sum(b.numel() for _, b in pairs),
        layer_equal=tuple(all(same[id(p)] for p in layer.parameters()) for layer in chain.layers),
        loss=run.loss,
        reference_loss=reference.loss,
    )


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
