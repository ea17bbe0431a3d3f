"""The same peak counted in several ways, every difference named, and what each layer costs when it runs alone.

Source: PyTorch torch/profiler, torch.autograd.graph.saved_tensors_hooks; Korthikanti et al., "Reducing activation recomputation in
large transformer models", arXiv:2205.05198.
Notation: s tokens, b batch, h width, a heads, t tensor parallel size.
"""

from __future__ import annotations

import copy
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.profiler import ProfilerActivity, profile

from core.systems.caching_allocator import allocator_peaks, requests_of
from core.systems.checkpoint_models import Chain, as_state
from core.systems.checkpoint_plans import CheckpointPlan
from core.systems.checkpoint_schedules import LayerSizes
from core.systems.checkpointing import Loss, MemoryRun, predict_run, run_with_checkpoints, watched_by
from core.systems.global_generator import seeded_global_generator
from core.systems.memory_tracker import LiveMemoryTracker, settled, storage_address


def profile_layers(chain: Chain) -> tuple[tuple[int, ...], tuple[LayerSizes, ...]]:
    """What each layer costs, measured by running it alone: (n,) forward FLOPs and (n,) sizes in bytes for the solver.

    Convention: a chain made inside a `FakeTensorMode` is followed without computing. Layers with dropout wait for their turn at the
    global generator, as a run does.

    Args:
        chain: layers and input.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> costs, sizes = profile_layers(mlp_chain(layers=2, width=8, rows=64))
    >>> costs, sizes[0]
    ((8192, 8192), LayerSizes(output=2048, saved=4096, forward_extra=2048, backward_extra=4096, carried=()))
    """
    if isinstance(chain.inputs, FakeTensor):
        with chain.inputs.fake_mode:
            return _profiled(chain)
    with seeded_global_generator(0, chain.inputs.device) if chain.draws else nullcontext():
        return _profiled(chain)


def _profiled(chain: Chain) -> tuple[tuple[int, ...], tuple[LayerSizes, ...]]:
    costs: list[int] = []
    sizes: list[LayerSizes] = []
    state: tuple[torch.Tensor, ...] = (chain.inputs,)
    born: list[dict[int, int]] = []  # per layer: what of its output is alive, by address
    passed: list[list[int]] = []  # per layer: bytes of its output still handed on after it, after the next …
    for layer in chain.layers:
        flops, forward, saved, backward, after = _alone(layer, state, chain.inputs)
        before = {storage_address(t) for t in state}
        fresh = {storage_address(t): t.untyped_storage().nbytes() for t in after}
        for mine, carried in zip(born, passed, strict=True):
            for address in mine.keys() - fresh.keys():  # dropped: the address may be somebody else's later
                del mine[address]
            carried.append(sum(mine.values()))
        made = {address: size for address, size in fresh.items() if address not in before}
        output = sum(made.values())
        born.append(made)
        passed.append([])
        costs.append(flops)
        saved = max(saved, output)
        sizes.append(LayerSizes(output, saved, max(0, forward - output), max(0, backward - saved)))
        state = after
    found = zip(sizes, passed, strict=True)
    return tuple(costs), tuple(replace(size, carried=_without_zeros(carried)) for size, carried in found)


def _without_zeros(values: list[int]) -> tuple[int, ...]:
    while values and not values[-1]:
        values = values[:-1]
    return tuple(values)


def _alone(
    layer: nn.Module, state: tuple[torch.Tensor, ...], shared: torch.Tensor
) -> tuple[int, int, int, int, tuple[torch.Tensor, ...]]:
    """(FLOPs, peak of a forward unrecorded, alive after a recorded one, peak of recorded forward and backward, output)."""
    known: dict[int, Any] = {id(p): nn.Parameter(p.detach()) for p in layer.parameters()}
    layer = copy.deepcopy(layer, known | {id(shared): shared})  # a loss may hold the chain's input
    parameters = tuple(layer.parameters())
    with torch.no_grad(), LiveMemoryTracker(parameters=parameters, inputs=state) as plain:
        made: Any = layer(*state)
    after = as_state(made)
    inputs = tuple(t.detach().requires_grad_(t.is_floating_point()) for t in state)
    with LiveMemoryTracker(parameters=parameters, inputs=inputs) as tracker:
        recorded: Any = layer(*inputs)
        outputs = as_state(recorded)
        tracker.turn_to("backward", -1)
        between = len(tracker.events) - 1
        fresh = [t for t in outputs if t.requires_grad and all(t is not x for x in inputs)]
        del recorded, outputs
        torch.autograd.backward(fresh, [torch.ones_like(t) for t in fresh])
        del fresh
    events = settled(tracker.events)
    flops = sum(event.flops for event in plain.events)
    return (
        flops,
        max(event.activation_bytes for event in plain.events),
        events[between].activation_bytes,
        max(event.activation_bytes for event in events),
        after,
    )


@dataclass(frozen=True, slots=True)
class Residual:
    """One named difference between two ways of counting the peak."""

    name: Literal["kernel scratch", "rounding to 512 B", "segments"]  # key of its label
    n_bytes: int  # its size


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The same run counted in five ways, each the one before plus a named residual."""

    predicted_bytes: int  # peak of the run on fake tensors: nothing allocated
    live_bytes: int  # peak of live tensor bytes, measured by the tracker
    saved_bytes: (
        int  # distinct bytes saved for backward (saved-tensor hooks); with segments, what is alive after forward
    )
    allocator_bytes: int  # peak of the device's own allocator: profiler on the CPU, allocator counters on CUDA
    allocator: str  # who counted: "torch.profiler" or the CUDA device's name
    rounded_bytes: int  # peak of the same requests rounded to CUDA's 512 B, modelled
    reserved_bytes: int  # peak of segments that CUDA's caching allocator would reserve for them, modelled
    residuals: tuple[
        Residual, ...
    ]  # kernel scratch = allocator − live; rounding = rounded − live; segments = reserved − rounded


def reconcile(chain: Chain, plan: CheckpointPlan, *, loss: Loss = "sum", seed: int = 0) -> Reconciliation:
    """Predict the peak on fake tensors, measure it twice, model CUDA's allocator, and name every difference.

    Convention: all peaks include parameters, inputs and gradients. On the CPU, rounding and segments are what CUDA's allocator
    would add (a model); on CUDA `allocator_bytes` is `max_memory_allocated`, which holds the rounding too.

    Args:
        chain, plan, loss, seed: as `run_with_checkpoints`.
    """
    run = run_with_checkpoints(chain, plan=plan, loss=loss, seed=seed)
    predicted = predict_run(chain, plan, loss=loss)
    saved = sum(saved_tensor_bytes(chain)) if not plan.segments else run.kept_bytes
    peaks = allocator_peaks(requests_of(run.events))
    in_use, allocator = _allocator_peak(chain, run, loss, seed)
    return Reconciliation(
        predicted_bytes=predicted.peak_bytes,
        live_bytes=run.peak_bytes,
        saved_bytes=saved,
        allocator_bytes=in_use,
        allocator=allocator,
        rounded_bytes=peaks.allocated_bytes,
        reserved_bytes=peaks.reserved_bytes,
        residuals=(
            Residual("kernel scratch", in_use - run.peak_bytes),
            Residual("rounding to 512 B", peaks.allocated_bytes - run.peak_bytes),
            Residual("segments", peaks.reserved_bytes - peaks.allocated_bytes),
        ),
    )


_profiler = threading.Lock()  # one at a time in a process


def _allocator_peak(chain: Chain, run: MemoryRun, loss: Loss, seed: int) -> tuple[int, str]:
    """(bytes, who counted): most that the device's own allocator had in use, the chain's parameters and input included."""
    device = chain.inputs.device
    if device.type != "cpu":
        memory: Any = torch.get_device_module(device)
        # what else lives on the device is not the run's
        other = memory.memory_allocated(device) - run.events[0].total_bytes
        with _profiler:
            memory.reset_peak_memory_stats(device)
            watched_by(nullcontext, chain, run.plan, loss=loss, seed=seed)
            return memory.max_memory_allocated(device) - other, run.device
    with _profiler:
        profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
        watched_by(lambda: profiler, chain, run.plan, loss=loss, seed=seed)
    live = peak = run.events[0].total_bytes
    changes = [event for event in cast(Any, profiler).profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(changes, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak, "torch.profiler"


def saved_tensor_bytes(chain: Chain) -> tuple[int, ...]:
    """(n,) distinct bytes that each layer's forward saves for backward, parameters left out, by saved-tensor hooks.

    Convention: a storage that several operators save counts once, where it is saved first. Works on fake tensors.

    Args:
        chain: layers and input.
    """
    layers = copy.deepcopy(chain.layers, {id(p): nn.Parameter(p.detach()) for p in chain.parameters})
    seen = {storage_address(p) for layer in layers for p in layer.parameters()}
    alive: list[torch.UntypedStorage] = []  # an address may be used again once its storage dies
    counts = [0] * len(layers)
    now = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        key = storage_address(tensor)
        if key not in seen:
            seen.add(key)
            alive.append(storage)
            counts[now] += storage.nbytes()
        return tensor

    def unpack(tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    state: tuple[torch.Tensor, ...] = (chain.inputs,)
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        for i, layer in enumerate(layers):
            now = i
            made: Any = layer(*state)
            state = as_state(made)
    return tuple(counts)


@dataclass(frozen=True, slots=True)
class BlockActivations:
    """Bytes that one transformer layer saves for backward, by Korthikanti et al."""

    attention: float  # 11·s·b·h + 5·a·s²·b, without the second term when fused
    mlp: float  # 19·s·b·h
    layer_norms: float  # 4·s·b·h
    total: float  # sum; 2·s·b·h if everything is recomputed


def korthikanti_bytes(
    *, tokens: int, batch: int, width: int, heads: int, fused_attention: bool = False, tensor_parallel: int = 1
) -> BlockActivations:
    """Activation memory of one transformer layer in 16 bits with dropout: s·b·h·(34 + 5·a·s/h) bytes.

    Convention: 2 bytes per element, 1 byte per element of a dropout mask. A fused attention kernel removes 5·a·s²·b. With t-way
    tensor parallelism without sequence parallelism s·b·h·(10 + 24/t + 5·a·s/(h·t)): layer norms, their inputs and two dropouts
    are not divided.

    Args:
        tokens: s.
        batch: b.
        width: h.
        heads: a.
        fused_attention: scores are never stored.
        tensor_parallel: t ≥ 1.

    Raises:
        ValueError: if a size is below 1.

    Source: arXiv:2205.05198 eq. 1, 2 and §4.1.

    >>> block = korthikanti_bytes(tokens=2048, batch=1, width=4096, heads=32)
    >>> block.total / (2048 * 4096)
    114.0
    """
    for name, value in (("tokens", tokens), ("batch", batch), ("width", width), ("heads", heads)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if tensor_parallel < 1:
        raise ValueError(f"tensor_parallel must be at least 1, got {tensor_parallel}")
    sbh, t = tokens * batch * width, tensor_parallel
    scores = 0.0 if fused_attention else 5 * heads * tokens * tokens * batch / t
    attention = sbh * (3 + 8 / t) + scores
    mlp = sbh * (3 + 16 / t)
    layer_norms = 4.0 * sbh
    return BlockActivations(attention, mlp, layer_norms, attention + mlp + layer_norms)
