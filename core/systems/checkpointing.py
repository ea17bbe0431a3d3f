"""Run a chain forward and backward under a checkpoint plan, with `torch.utils.checkpoint` itself, and watch its memory.

Nothing is simulated here: segments are `torch.utils.checkpoint.checkpoint(use_reentrant=False)`, selective policies are
`create_selective_checkpoint_contexts`, and every byte is a storage's. `stream_run` delivers the events while the run goes on.

Source: PyTorch torch/utils/checkpoint.py; Korthikanti et al., "Reducing activation recomputation in large transformer models",
arXiv:2205.05198.
Notation: n layers, k segments; F FLOPs of one forward.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from core.systems.checkpoint_models import Chain
from core.systems.checkpoint_plans import CheckpointPlan, Policy
from core.systems.checkpoint_schedules import LayerSizes
from core.systems.memory_tracker import Bytes, ComputeSpan, MemoryEvent


@dataclass(frozen=True, slots=True)
class MemoryRun:
    """One real forward and backward, event by event."""

    plan: CheckpointPlan  # what was recomputed
    layer_names: tuple[str, ...]  # (n,)
    device: str  # where it ran: "cpu" (storages counted) or the CUDA device's name
    events: tuple[MemoryEvent, ...]  # memory over time, gradients counted as such from their birth
    spans: tuple[ComputeSpan, ...]  # compute ribbon
    forward_end: int  # index of the last event of forward
    loss: float  # sum of the output; NaN for a run on fake tensors
    gradients: tuple[torch.Tensor, ...]  # of each parameter, in the chain's order
    seconds: float  # wall time of the run, watched

    @property
    def peak_event(self) -> MemoryEvent:
        """The first event at which all live bytes are at their maximum."""
        raise NotImplementedError

    @property
    def peak_bytes(self) -> int:
        """Most bytes alive at once, parameters and all."""
        raise NotImplementedError

    @property
    def activation_peak_bytes(self) -> int:
        """Most bytes alive at once without parameters, their gradients and inputs: what checkpointing changes."""
        raise NotImplementedError

    @property
    def kept_bytes(self) -> int:
        """Activation bytes alive when forward has ended: saved for backward, and the output."""
        raise NotImplementedError

    @property
    def peak_by_kind(self) -> Bytes:
        """(6,) bytes alive at the peak, by KINDS."""
        raise NotImplementedError

    @property
    def forward_flops(self) -> int:
        """FLOPs of the first forward, F."""
        raise NotImplementedError

    @property
    def recompute_flops(self) -> int:
        """FLOPs of what ran forward again."""
        raise NotImplementedError

    @property
    def backward_flops(self) -> int:
        """FLOPs of backward without what was recomputed."""
        raise NotImplementedError

    @property
    def flops_ratio(self) -> float:
        """All FLOPs over those without recomputation; 4/3 when everything is recomputed once."""
        raise NotImplementedError

    def first_over(self, budget_bytes: float) -> MemoryEvent | None:
        """The event at which a device with so many bytes for everything would have run out; None if it fits."""
        raise NotImplementedError


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
    seed: int = 0,
) -> MemoryRun:
    """A real forward and backward of the chain under a plan.

    Convention: the loss is the sum of the last output, which the caller holds to the end; gradients start as None. At most one of
    `plan`, `segments` (k equal segments, all recomputed) and `checkpoint_at` (pins) is given; none is no checkpointing, except
    that a `policy` alone recomputes every layer but what the policy saves. Non-reentrant checkpoints.

    Dropout and `preserve_rng_state` use PyTorch's global generator, since that is what checkpointing stashes and restores: runs
    take turns, the generator is seeded for the run and put back afterwards.

    Args:
        chain: layers and input.
        plan, segments, checkpoint_at, policy: what is recomputed.
        preserve_rng_state: recompute with the generator as it was; False breaks dropout's gradients.
        early_stop: stop a recomputation once the last tensor that backward needs is there (PyTorch's default).
        seed: of dropout.

    Raises:
        ValueError: if more than one is given, a number is out of range, or the plan is not over this chain's layers.

    Source: torch.utils.checkpoint.checkpoint, create_selective_checkpoint_contexts.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> chain = mlp_chain(layers=12, width=8, rows=64)
    >>> [run_with_checkpoints(chain, segments=k).activation_peak_bytes // chain.unit_bytes for k in (1, 2, 3, 4, 6, 12)]
    [25, 14, 11, 10, 10, 14]
    """
    raise NotImplementedError


def stream_run(
    chain: Chain,
    *,
    plan: CheckpointPlan,
    preserve_rng_state: bool = True,
    early_stop: bool = True,
    seed: int = 0,
    interval_s: float = 0.05,
) -> Generator[RunProgress, None, None]:
    """The same run in a thread of its own; yields what is new every `interval_s` seconds, and the run at the end.

    Closing the generator cancels the run between two operators and waits for that. An exception of the run is raised here.

    Args:
        chain, plan, preserve_rng_state, early_stop, seed: as `run_with_checkpoints`.
        interval_s: seconds between updates, > 0.

    Raises:
        ValueError: as `run_with_checkpoints`, at the call.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One number of segments."""

    segments: int  # k
    measured_units: float  # peak of a real run, in activations
    closed_form_units: float  # the closed form; NaN where layers are unequal or k does not divide n
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
    raise NotImplementedError


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
    raise NotImplementedError


def profile_layers(chain: Chain) -> tuple[tuple[int, ...], tuple[LayerSizes, ...]]:
    """What each layer costs, measured by running it alone: (n,) forward FLOPs and (n,) sizes in bytes for the solver.

    Args:
        chain: layers and input.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> costs, sizes = profile_layers(mlp_chain(layers=2, width=8, rows=64))
    >>> costs, sizes[0]
    """
    raise NotImplementedError


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
    saved_bytes: int  # distinct bytes that autograd saved for backward, measured by saved-tensor hooks, parameters left out
    allocator_bytes: int  # peak of the device's own allocator: profiler on the CPU, allocator counters on CUDA
    allocator: str  # who counted: "torch.profiler" or the CUDA device's name
    rounded_bytes: int  # peak of the same requests rounded to CUDA's 512 B, modelled
    reserved_bytes: int  # peak of segments that CUDA's caching allocator would reserve for them, modelled
    residuals: tuple[Residual, ...]  # kernel scratch = allocator − live; rounding = rounded − live; segments = reserved − rounded


def reconcile(chain: Chain, plan: CheckpointPlan, *, seed: int = 0) -> Reconciliation:
    """Predict the peak on fake tensors, measure it twice, model CUDA's allocator, and name every difference.

    Convention: all peaks include parameters, inputs and gradients. On the CPU, rounding and segments are what CUDA's allocator
    would add (a model); on CUDA `allocator_bytes` is `max_memory_allocated`, which holds the rounding too.

    Args:
        chain, plan, seed: as `run_with_checkpoints`.
    """
    raise NotImplementedError


def saved_tensor_bytes(chain: Chain) -> tuple[int, ...]:
    """(n,) distinct bytes that each layer's forward saves for backward, parameters left out, by saved-tensor hooks.

    Convention: a storage that several operators save counts once, where it is saved first. Works on fake tensors.

    Args:
        chain: layers and input.
    """
    raise NotImplementedError


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
    raise NotImplementedError
