"""How much memory would training take on a card that is not here: the real code runs on tensors that hold nothing.

`FakeTensorMode` runs every operator's shape and type rules and allocates no memory, so that billions of parameters pass in seconds.

Source: torch._subclasses.fake_tensor; Rajbhandari et al., "ZeRO", arXiv:1910.02054 §3.1, for mixed-precision Adam's states.
Notation: Ψ parameters; MiB = 2²⁰ bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from core.systems.checkpoint_models import Chain, Dtype, TransformerShape
from core.systems.checkpoint_plans import CheckpointPlan
from core.systems.checkpointing import MemoryRun

Optimizer = Literal["none", "sgd", "sgd momentum", "adamw", "adamw fp32 master"]


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
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a step fits a card."""

    card: Card  # the card
    fits: bool  # reserved peak and context fit
    needed_bytes: int  # reserved peak + context
    free_bytes: int  # total − needed; negative is what is missing
    context_bytes: int  # allowance for CUDA's context and libraries, assumed


def fits_card(prediction: PeakPrediction, card: Card, *, context_bytes: int = 600 << 20) -> Verdict:
    """Whether the predicted reserved peak and an allowance for the CUDA context fit the card's memory.

    Args:
        prediction: of one step.
        card: its memory.
        context_bytes: allowance, assumed, ≥ 0.
    """
    raise NotImplementedError


def largest_batch(shape: TransformerShape, card: Card, *, tokens: int, plan: CheckpointPlan | None, most: int = 1024) -> int:
    """The largest batch in [0, most] whose step fits the card, by bisection over fake runs.

    Args, Convention: as `predict_peak` and `fits_card`, defaults of both.
    """
    raise NotImplementedError


def fake_run(chain_of: object, plan: CheckpointPlan) -> MemoryRun:
    """Run a chain made inside `FakeTensorMode`."""
    raise NotImplementedError
