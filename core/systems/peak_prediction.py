"""How much memory would training take on a card that is not here: the real code runs on tensors that hold nothing.

`FakeTensorMode` runs every operator's shape and type rules and allocates no memory, so that billions of parameters pass in seconds.

Source: torch._subclasses.fake_tensor; Rajbhandari et al., "ZeRO", arXiv:1910.02054 §3.1, for mixed-precision Adam's states.
Notation: Ψ parameters; MiB = 2²⁰ bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch._subclasses.fake_tensor import FakeTensorMode

from core.systems.caching_allocator import Request, allocator_peaks, requests_of
from core.systems.checkpoint_models import Chain, Dtype
from core.systems.checkpoint_plans import CheckpointPlan, checkpoint_plan
from core.systems.checkpointing import MemoryRun, predict_run
from core.systems.transformer_config import TransformerShape, config_chain

Optimizer = Literal["none", "sgd", "sgd momentum", "adamw", "adamw fp32 master"]

# per parameter: numbers in the weights' type, and bytes besides
OPTIMIZER_BYTES: dict[Optimizer, tuple[int, int]] = {
    "none": (0, 0),
    "sgd": (0, 0),
    "sgd momentum": (1, 0),
    "adamw": (2, 0),
    "adamw fp32 master": (0, 12),
}
CONTEXT_BYTES = 600 << 20  # allowance for CUDA's context and libraries, assumed


@dataclass(frozen=True, slots=True)
class Card:
    """A graphics card; its memory is quoted, not measured."""

    name: str  # as the vendor writes it
    total_bytes: int  # what nvidia-smi lists as total memory


CARDS: tuple[Card, ...] = (
    Card("A100 80GB", 81920 << 20),
    Card("H100 80GB", 81559 << 20),
    Card("RTX 4090", 24564 << 20),
    Card("T4", 15360 << 20),
)


@dataclass(frozen=True, slots=True)
class PeakPrediction:
    """What one training step would hold."""

    parameters_bytes: int  # weights
    gradients_bytes: int  # all of them, at the end of backward
    optimizer_bytes: int  # states and master weights between steps
    inputs_bytes: int  # token numbers
    activation_peak_bytes: int  # most activations, recomputed and workspace tensors at once
    peak_bytes: int  # most tensor bytes at once, optimizer states included
    rounded_peak_bytes: int  # the same in blocks of CUDA's allocator (modelled)
    reserved_peak_bytes: int  # the same in its segments (modelled)
    forward_flops: int  # of one forward
    recompute_flops: int  # of what runs again
    run: MemoryRun  # event by event


def predict_peak(
    shape: TransformerShape,
    *,
    batch: int,
    tokens: int,
    plan: CheckpointPlan | None = None,
    dtype: Dtype = "bfloat16",
    optimizer: Optimizer = "adamw fp32 master",
) -> PeakPrediction:
    """One training step of a decoder on fake tensors: peak by kind, and what CUDA's allocator would make of it.

    Convention: loss and logits are part of the chain (embedding, blocks, head: blocks + 2 layers). Optimizer states exist before
    the step. What no tensor holds is not here: kernels' scratch, cuBLAS's workspace, the CUDA context.

    Args:
        shape: sizes of the decoder.
        batch, tokens: B, S.
        plan: over blocks + 2 layers; None is no checkpointing.
        dtype: of weights, gradients and activations.
        optimizer: states per parameter: none and sgd 0 bytes; momentum one number; AdamW two numbers, in the weights' type, or
            in float32 together with a float32 copy of the weights (12 bytes).

    Raises:
        ValueError: if a size is out of range or the plan has another number of layers.
    """
    if optimizer not in OPTIMIZER_BYTES:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZER_BYTES)}, got {optimizer!r}")
    if plan is None:
        plan = checkpoint_plan("none", shape.layers + 2)
    with FakeTensorMode():
        chain = config_chain(shape, batch=batch, tokens=tokens, dtype=dtype)
    return step_prediction(predict_run(chain, plan), chain, optimizer=optimizer)


def step_prediction(run: MemoryRun, chain: Chain, *, optimizer: Optimizer = "adamw fp32 master") -> PeakPrediction:
    """The same out of a run that was already made, real or on fake tensors: optimizer states beside it, and CUDA's allocator.

    Args:
        run: of the chain.
        chain: whose parameters the optimizer has.
        optimizer: as `predict_peak`.
    """
    states = _states(chain, optimizer)
    requests = tuple(Request(-2 - i, n) for i, n in enumerate(states) if n)
    highest = max(event.total_bytes for event in run.events)
    peaks = allocator_peaks(_renumbered((*requests, *requests_of(run.events))))
    start = run.events[0].live_bytes
    return PeakPrediction(
        parameters_bytes=start[0],
        gradients_bytes=max(event.live_bytes[1] for event in run.events),
        optimizer_bytes=sum(states),
        inputs_bytes=start[2],
        activation_peak_bytes=run.activation_peak_bytes,
        peak_bytes=highest + sum(states),
        rounded_peak_bytes=peaks.allocated_bytes,
        reserved_peak_bytes=peaks.reserved_bytes,
        forward_flops=run.forward_flops,
        recompute_flops=run.recompute_flops,
        run=run,
    )


def _states(chain: Chain, optimizer: Optimizer) -> list[int]:
    weights, per_weight = OPTIMIZER_BYTES[optimizer]
    return [p.numel() * (weights * p.element_size() + per_weight) for p in chain.parameters]


def plan_free_bytes(
    chain: Chain, *, optimizer: Optimizer = "adamw fp32 master", context_bytes: int = CONTEXT_BYTES
) -> int:
    """What a training step on a card holds under every plan: parameters, all their gradients, the input, optimizer states, context.

    Args:
        chain: whose parameters are trained.
        optimizer: as `predict_peak`.
        context_bytes: allowance, assumed, ≥ 0.

    >>> from core.systems.checkpoint_models import mlp_chain
    >>> chain = mlp_chain(layers=1, width=8, rows=2)  # 72 parameters, 16 numbers in
    >>> plan_free_bytes(chain, optimizer="adamw", context_bytes=0) == 72 * 4 * 4 + 16 * 4
    True
    """
    fixed = 2 * sum(p.nbytes for p in chain.parameters) + chain.inputs.nbytes
    return fixed + sum(_states(chain, optimizer)) + context_bytes


def _renumbered(requests: Sequence[Request]) -> tuple[Request, ...]:
    """Optimizer states, numbered below 0, made to come first."""
    lowest = min((request.number for request in requests), default=0)
    return tuple(Request(request.number - lowest, request.n_bytes) for request in requests)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a step fits a card."""

    card: Card  # the card
    fits: bool  # reserved peak and context fit
    needed_bytes: int  # reserved peak + context
    free_bytes: int  # total − needed; negative is what is missing
    context_bytes: int  # allowance for CUDA's context and libraries, assumed


def fits_card(prediction: PeakPrediction, card: Card, *, context_bytes: int = CONTEXT_BYTES) -> Verdict:
    """Whether the predicted reserved peak and an allowance for the CUDA context fit the card's memory.

    Args:
        prediction: of one step.
        card: its memory.
        context_bytes: allowance, assumed, ≥ 0.
    """
    if context_bytes < 0:
        raise ValueError(f"context_bytes must not be negative, got {context_bytes}")
    needed = prediction.reserved_peak_bytes + context_bytes
    return Verdict(card, needed <= card.total_bytes, needed, card.total_bytes - needed, context_bytes)


def largest_batch(
    shape: TransformerShape, card: Card, *, tokens: int, plan: CheckpointPlan | None = None, most: int = 1024
) -> int:
    """The largest batch in [0, most] whose step fits the card, by bisection over fake runs.

    Convention: the defaults of `predict_peak` and `fits_card`.

    Args:
        shape, tokens, plan: as `predict_peak`.
        card: its memory.
        most: where the search ends.
    """
    low, high = 0, most + 1  # low fits, high does not
    batch = 1
    while high - low > 1:
        batch = min(batch, most)
        if fits_card(predict_peak(shape, batch=batch, tokens=tokens, plan=plan), card).fits:
            low = batch
        else:
            high = batch
        batch = 2 * low if high > most else (low + high) // 2
        batch = max(batch, low + 1)
    return low
