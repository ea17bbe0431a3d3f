"""Live memory of real PyTorch code: every operator is watched, every storage counted from its birth to its death.

A tensor is a view; bytes belong to its storage. The tracker therefore follows storages: it registers those of the parameters and
inputs when it is entered, sees every operator's outputs through a dispatch mode, and is told by a weak reference when a storage
dies. A kernel's private scratch never becomes a tensor and is invisible here; the allocator's own curve shows it.

Source: `torch.utils._python_dispatch.TorchDispatchMode`; the idea is that of `torch.distributed._tools.mem_tracker.MemTracker`.
Notation: a byte is 8 bits, MiB = 2²⁰ bytes; FLOPs count a multiply-add as two.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Kind = Literal["parameters", "gradients", "inputs", "activations", "recomputed", "workspace"]
Phase = Literal["baseline", "forward", "recompute", "backward", "end"]
Bytes: TypeAlias = tuple[int, int, int, int, int, int]

KINDS: tuple[Kind, ...] = ("parameters", "gradients", "inputs", "activations", "recomputed", "workspace")
BORN_IN: dict[Phase, int] = {"baseline": 2, "forward": 3, "recompute": 4, "backward": 5, "end": 5}  # index into KINDS
GRADIENTS = KINDS.index("gradients")
CUDA_BLOCK = 512  # bytes, what the CUDA caching allocator rounds up to


class RunCancelled(Exception):
    """The tracked code was stopped between two operators."""


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """What memory holds right after one operator, or after storages were released."""

    index: int  # position in the run, from 0
    seconds: float  # since the tracker was entered
    op: str  # "aten.addmm"; "baseline", "gradient" (a storage became a parameter's .grad), "free", "end"
    phase: Phase  # what the run was doing
    layer: int  # layer at work; -1 outside the chain
    live_bytes: Bytes  # (6,) bytes alive by KINDS
    allocated: tuple[tuple[int, int, int], ...]  # (storage number, bytes, index into KINDS) born in this event
    freed: tuple[int, ...]  # numbers of the storages that died since the event before
    became_gradients: tuple[int, ...]  # numbers of the storages that a parameter's .grad took over in this event
    flops: int  # floating point operations of this operator, by PyTorch's own formulas; 0 where it has none
    allocator_bytes: int  # in use by the count of the device's own allocator; −1 on the CPU, whose allocator keeps none

    @property
    def total_bytes(self) -> int:
        """All bytes alive."""
        return sum(self.live_bytes)

    @property
    def activation_bytes(self) -> int:
        """Bytes that are neither parameters nor their gradients nor inputs: what checkpointing can change."""
        return sum(self.live_bytes[3:])


@dataclass(frozen=True, slots=True)
class ComputeSpan:
    """A stretch of the compute ribbon: one layer in one phase."""

    phase: Phase  # forward, recompute (hatched), backward
    layer: int  # -1 outside the chain
    first_event: int  # index of its first event
    last_event: int  # index of its last event, inclusive
    start_s: float  # seconds since the run began
    end_s: float  # seconds since the run began
    flops: int  # sum over its events


class LiveMemoryTracker(TorchDispatchMode):
    """Counts the bytes of every storage that the code inside `with` makes, from its birth to its death.

    Convention: bytes are the storage's own (`untyped_storage().nbytes()`); views share. What exists before and was not
    registered is not counted until an operator returns it. A storage belongs to the phase in which it was born (forward:
    activations; recompute: recomputed; backward: workspace) until a parameter's `.grad` takes it over.

    The list of events only grows, so another thread may read it while the code runs, and `cancel` from there.

    Args:
        parameters: tensors that count as parameters (buffers too); their gradients are recognised.
        inputs: tensors that count as inputs.

    Source: torch.distributed._tools.mem_tracker.MemTracker.
    Differs: no optimizer and no module statistics; names the layer at work, counts FLOPs, streams events, can be cancelled.

    >>> x = torch.zeros(4, 8)
    >>> with LiveMemoryTracker(inputs=[x]) as tracker:
    ...     y = torch.relu(x) + 1
    >>> print([(event.op, event.total_bytes) for event in tracker.events])
    [('baseline', 128), ('aten.relu', 256), ('aten.add', 384), ('free', 256), ('end', 256)]
    """

    def __init__(self, *, parameters: Iterable[torch.Tensor] = (), inputs: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._parameters, self._inputs = tuple(parameters), tuple(inputs)
        self._events: list[MemoryEvent] = []
        self._storages: dict[int, _Storage] = {}  # by address of the storage, while it lives
        self._live = [0] * len(KINDS)
        self._born: list[tuple[int, int, int]] = []
        self._freed: list[int] = []
        self._adopted: list[int] = []
        self._count = 0
        self._phase: Phase = "baseline"
        self._layer = -1
        self._cancelled = False
        self._start_s = 0.0
        self._hooks: list[Any] = []
        device = next((t.device for t in (*self._parameters, *self._inputs)), torch.device("cpu"))
        fake = any(isinstance(t, FakeTensor) for t in (*self._parameters, *self._inputs))
        counts = device.type != "cpu" and not fake
        self._counter: Any = torch.get_device_module(device).memory_allocated if counts else None

    @property
    def events(self) -> Sequence[MemoryEvent]:
        """What has happened so far; it only grows."""
        return self._events

    @property
    def phase(self) -> Phase:
        """What the code is doing now."""
        return self._phase

    @property
    def layer(self) -> int:
        """The layer at work now; -1 outside the chain."""
        return self._layer

    def cancel(self) -> None:
        """Stop the tracked code: its next operator raises `RunCancelled`. Any thread may call it."""
        self._cancelled = True

    def turn_to(self, phase: Phase, layer: int) -> None:
        """From here on, operators belong to this phase and layer."""
        self._note_freed()
        self._phase, self._layer = phase, layer

    @contextmanager
    def at(self, phase: Phase, layer: int) -> Generator[None, None, None]:
        """Operators inside belong to this phase and layer."""
        before = self._phase, self._layer
        self.turn_to(phase, layer)
        try:
            yield
        finally:
            self.turn_to(*before)

    def __enter__(self) -> LiveMemoryTracker:
        self._start_s = time.perf_counter()
        for kind, tensors in ((0, self._parameters), (2, self._inputs)):
            for tensor in tensors:
                self._register(tensor, kind)
        for parameter in self._parameters:
            if parameter.grad is not None:
                self._register(parameter.grad, GRADIENTS)
            if parameter.requires_grad:
                untyped: Any = parameter
                self._hooks.append(untyped.register_post_accumulate_grad_hook(self._adopt))
        self._note("baseline", 0)
        self._phase = "forward"
        return super().__enter__()

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # pyright: ignore[reportUnknownMemberType]
        for hook in self._hooks:
            hook.remove()
        self._note_freed()
        self._phase, self._layer = "end", -1
        self._note("end", 0)
        self._storages.clear()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._cancelled:
            raise RunCancelled("the run was cancelled")
        if func.is_view or func.namespace == "prim":  # a question about a tensor, no work
            return func(*args, **(kwargs or {}))
        self._note_freed()
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._register(tensor, BORN_IN[self._phase])
        self._note(str(func._overloadpacket), _flops(func._overloadpacket, args, kwargs or {}, out))
        return out

    def _register(self, tensor: torch.Tensor, kind: int) -> None:
        storage = tensor.untyped_storage()
        key, size = storage_address(tensor), storage.nbytes()
        known = self._storages.get(key)
        if known is not None and known.size == size:
            return
        if known is not None:  # resized in place
            self._forget(key)
            kind = known.kind
        number, self._count = self._count, self._count + 1
        self._storages[key] = _Storage(number, size, kind, weakref.ref(storage, lambda _: self._forget(key)))
        self._live[kind] += size
        self._born.append((number, size, kind))

    def _forget(self, key: int) -> None:
        storage = self._storages.pop(key, None)
        if storage is not None:
            self._live[storage.kind] -= storage.size
            self._freed.append(storage.number)

    def _adopt(self, parameter: torch.Tensor) -> None:
        """A parameter's gradient is ready: its storage is no workspace any more."""
        if parameter.grad is None:
            return
        storage = self._storages.get(storage_address(parameter.grad))
        if storage is not None and storage.kind != GRADIENTS:
            self._note_freed()
            self._live[storage.kind] -= storage.size
            self._live[GRADIENTS] += storage.size
            storage.kind = GRADIENTS
            self._adopted.append(storage.number)
            self._note("gradient", 0)

    def _note_freed(self) -> None:
        if self._freed:
            self._note("free", 0)

    def _note(self, op: str, flops: int) -> None:
        freed, self._freed = self._freed, []
        born, self._born = self._born, []
        adopted, self._adopted = self._adopted, []
        a, b, c, d, e, f = self._live
        self._events.append(
            MemoryEvent(
                len(self._events),
                time.perf_counter() - self._start_s,
                op,
                self._phase,
                self._layer,
                (a, b, c, d, e, f),
                tuple(born),
                tuple(freed),
                tuple(adopted),
                flops,
                -1 if self._counter is None else int(self._counter()),
            )
        )


def storage_address(tensor: torch.Tensor) -> int:
    """Which storage a tensor sees, while that storage lives; fake tensors have one too.

    >>> x = torch.zeros(2, 3)
    >>> storage_address(x.T) == storage_address(x), storage_address(x + 0) == storage_address(x)
    (True, False)
    """
    storage: Any = tensor.untyped_storage()
    return int(storage._cdata)


@dataclass(slots=True)
class _Storage:
    """One storage while it lives."""

    number: int
    size: int  # bytes
    kind: int  # index into KINDS
    reference: Any  # tells its death


def _flops(packet: Any, args: Any, kwargs: Any, out: Any) -> int:
    """What `torch.utils.flop_counter` counts for this operator, and the same for the CPU's own attention kernel."""
    counted: Any = flop_counter  # without types
    name = str(packet)
    if name == "aten._scaled_dot_product_flash_attention_for_cpu":
        return counted.sdpa_flop_count(args[0].shape, args[1].shape, args[2].shape)
    if name == "aten._scaled_dot_product_flash_attention_for_cpu_backward":
        return counted.sdpa_backward_flop_count(args[0].shape, args[1].shape, args[2].shape, args[3].shape)
    formula = counted.flop_registry.get(packet)
    return 0 if formula is None else int(formula(*args, **kwargs, out_val=out))


def settled(events: Sequence[MemoryEvent]) -> tuple[MemoryEvent, ...]:
    """The same events, with every gradient counted as a gradient from its birth.

    While the code runs, nobody knows yet that a product made in backward will become a parameter's `.grad`; afterwards it is known.

    Args:
        events: as the tracker gives them, from the first on.

    >>> weight, x = torch.ones(3, 2, requires_grad=True), torch.ones(4, 3)
    >>> with LiveMemoryTracker(parameters=[weight], inputs=[x]) as tracker:
    ...     loss = (x @ weight).sum()
    ...     tracker.turn_to("backward", 0)
    ...     loss.backward()
    >>> print(max(e.live_bytes[5] for e in tracker.events), max(e.live_bytes[5] for e in settled(tracker.events)))
    28 4
    """
    gradients = {number for event in events for number in event.became_gradients}
    moved: dict[int, tuple[int, int]] = {}  # number -> (size, kind it was born in), until it is taken over or dies
    result: list[MemoryEvent] = []
    for event in events:
        for number, size, kind in event.allocated:
            if number in gradients and kind != GRADIENTS:
                moved[number] = size, kind
        for number in (*event.freed, *event.became_gradients):
            moved.pop(number, None)
        live = list(event.live_bytes)
        for size, kind in moved.values():
            live[kind] -= size
            live[GRADIENTS] += size
        a, b, c, d, e, f = live
        born = tuple((n, size, GRADIENTS if n in gradients else kind) for n, size, kind in event.allocated)
        result.append(replace(event, live_bytes=(a, b, c, d, e, f), allocated=born))
    return tuple(result)


def compute_spans(events: Sequence[MemoryEvent]) -> tuple[ComputeSpan, ...]:
    """The compute ribbon: consecutive events of one layer in one phase, without the baseline and the end.

    >>> with LiveMemoryTracker() as tracker:
    ...     with tracker.at("forward", 0):
    ...         x = torch.ones(2, 2) @ torch.ones(2, 2)
    ...     with tracker.at("forward", 1):
    ...         y = x + 1
    >>> print([(span.layer, span.flops) for span in compute_spans(tracker.events)])
    [(0, 16), (1, 0)]
    """
    working = [event for event in events if event.phase not in ("baseline", "end")]
    spans: list[ComputeSpan] = []
    for (phase, layer), group in groupby(working, key=lambda event: (event.phase, event.layer)):
        inside = list(group)
        first, last = inside[0], inside[-1]
        start_s = events[first.index - 1].seconds if first.index else first.seconds
        flops = sum(event.flops for event in inside)
        spans.append(ComputeSpan(phase, layer, first.index, last.index, start_s, last.seconds, flops))
    return tuple(spans)


def layer_bytes(events: Sequence[MemoryEvent], layers: int) -> tuple[tuple[int, ...], ...]:
    """What each layer's work has left alive after every event: activations, recomputed tensors and workspace, by where they were made.

    Convention: a storage belongs to the layer at work when it was made; parameters, their gradients and inputs are left out.

    Args:
        events: from the first on, in order.
        layers: n ≥ 0, number of layers.

    >>> with LiveMemoryTracker() as tracker:
    ...     with tracker.at("forward", 1):
    ...         x = torch.ones(2, 2)
    >>> layer_bytes(tracker.events, 2)[-1]
    (0, 16)
    """
    held = [0] * layers
    owner: dict[int, tuple[int, int]] = {}  # storage number -> (layer, bytes)
    found: list[tuple[int, ...]] = []
    for event in events:
        for number, size, kind in event.allocated:
            if 0 <= event.layer < layers and kind >= BORN_IN["forward"]:
                owner[number] = event.layer, size
                held[event.layer] += size
        for number in event.freed + event.became_gradients:
            if number in owner:
                layer, size = owner.pop(number)
                held[layer] -= size
        found.append(tuple(held))
    return tuple(found)


def cuda_rounded_bytes(n_bytes: int) -> int:
    """What the CUDA caching allocator hands out for a request: the next multiple of 512 bytes.

    Convention: a request of nothing gets nothing.

    Args:
        n_bytes: request, ≥ 0.

    Raises:
        ValueError: if it is negative.

    Source: PyTorch c10/cuda/CUDACachingAllocator.cpp, round_size, kMinBlockSize.
    Differs: no `roundup_power2_divisions`.

    >>> cuda_rounded_bytes(1), cuda_rounded_bytes(512), cuda_rounded_bytes(513)
    (512, 512, 1024)
    """
    if n_bytes < 0:
        raise ValueError(f"n_bytes must not be negative, got {n_bytes}")
    return -(-n_bytes // CUDA_BLOCK) * CUDA_BLOCK
