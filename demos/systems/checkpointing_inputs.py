"""Which chain of layers runs, under which plan: from the controls, a visitor's picture or a pasted configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.systems.checkpoint_plans import (
    CheckpointPlan,
    Policy,
    checkpoint_plan,
    pinned_plan,
    segments_plan,
)
from demos.kit.upload_errors import Note, UploadError
from demos.kit.uploads import read_image

if TYPE_CHECKING:
    import numpy as np

    from core.systems.checkpoint_models import Chain
    from core.systems.checkpoint_schedules import LayerSizes, TradeOff
    from core.systems.transformer_config import TransformerShape
    from demos.systems.checkpointing import Controls

IMAGES = Path(__file__).parents[2] / "assets" / "images"
PICTURES = ("coffee", "rocket")
PHOTO_PIXELS = 120_000
MOST_MEGABYTES = 700  # of activations in a real run
MOST_GIGAFLOPS = 40  # of one forward in a real run
MOST_BLOCKS = 96  # of a configuration
# sizes of published models, as their own configuration files give them
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "vocab_size": 50257,
    },
    "tinyllama": {
        "model_type": "llama",
        "hidden_size": 2048,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "intermediate_size": 5632,
        "vocab_size": 32000,
        "max_position_embeddings": 2048,
    },
    "llama7b": {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
    },
}


@dataclass(frozen=True, eq=False)
class Subject:
    """What runs; known by its identity."""

    chain: Chain
    shape: TransformerShape | None = None  # of a configuration: nothing is allocated for it
    photo: np.ndarray | None = None  # (H, W, 3) uint8
    notes: tuple[Note, ...] = ()
    recipe: tuple[str, int, int, str, int] | None = None  # what a configuration is made from anew

    @property
    def fake(self) -> bool:
        """Whether only shapes are followed."""
        return self.shape is not None


def subject_of(c: Controls) -> Subject:
    """The chain that the controls describe.

    Raises:
        UploadError: it is too large, or what was uploaded or pasted cannot be used; one sentence says why.
    """
    if c.model == "config":
        return _configured(_config_of(c), c.micro_batch, c.sequence, c.dtype, c.seed)
    if c.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UploadError("no_cuda")
    if c.model == "mlp":
        _refuse_large(c.layers * 3.25 * c.rows * c.width * 4, 2 * c.layers * c.rows * c.width**2)
        return _mlp(c.layers, c.width, c.rows, c.dropout, c.seed, c.device)
    if c.model == "transformer":
        tokens = c.batch * c.tokens
        if c.width % c.heads:
            raise UploadError("ckpt_heads", width=c.width, heads=c.heads)
        _refuse_large(
            c.layers * 20 * tokens * c.width * 4,
            c.layers * (24 * tokens * c.width**2 + 4 * tokens * c.tokens * c.width),
        )
        return _transformer(c.layers, c.width, c.heads, c.tokens, c.batch, c.dropout, c.seed, c.device)
    if c.picture == "photo" and not c.photo:
        raise UploadError("no_photo")
    path = c.photo[0] if c.picture == "photo" else str(IMAGES / f"{c.picture}.jpg")
    return _unet(path, c.channels, c.seed, c.device)


def _refuse_large(n_bytes: float, flops: float) -> None:
    if n_bytes > MOST_MEGABYTES * 1e6 or flops > MOST_GIGAFLOPS * 1e9:
        raise UploadError(
            "ckpt_too_large",
            megabytes=round(n_bytes / 1e6),
            gigaflops=round(flops / 1e9),
            limit=MOST_MEGABYTES,
            most=MOST_GIGAFLOPS,
        )


@lru_cache(maxsize=4)
def _mlp(layers: int, width: int, rows: int, dropout: float, seed: int, device: str) -> Subject:
    from core.systems.checkpoint_models import mlp_chain

    return Subject(mlp_chain(layers=layers, width=width, rows=rows, dropout=dropout, seed=seed, device=device))


@lru_cache(maxsize=4)
def _transformer(
    blocks: int, width: int, heads: int, tokens: int, batch: int, dropout: float, seed: int, device: str
) -> Subject:
    from core.systems.checkpoint_models import transformer_chain

    return Subject(
        transformer_chain(
            blocks=blocks,
            width=width,
            heads=heads,
            tokens=tokens,
            batch=batch,
            dropout=dropout,
            seed=seed,
            device=device,
        )
    )


@lru_cache(maxsize=4)
def _unet(path: str, channels: int, seed: int, device: str) -> Subject:
    from core.systems.checkpoint_models import unet_chain

    picture = read_image(path, max_pixels=PHOTO_PIXELS)
    if min(picture.rgb.shape[:2]) < 4:
        raise UploadError("photo_too_small", limit=4)
    return Subject(
        unet_chain(picture.rgb, channels=channels, seed=seed, device=device), photo=picture.rgb, notes=picture.notes
    )


def _config_of(c: Controls) -> str:
    if c.named != "own":
        return json.dumps(CONFIGS[c.named])
    if not c.config.strip():
        raise UploadError("ckpt_no_config")
    return c.config


def _configured(text: str, batch: int, tokens: int, dtype: Any, seed: int) -> Subject:
    """Made anew for each run: two runs at a time must not share a mode of fake tensors."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from core.systems.transformer_config import config_chain, transformer_shape

    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        raise UploadError("ckpt_not_json") from None
    if not isinstance(config, dict):
        raise UploadError("ckpt_not_json")
    try:
        shape = transformer_shape(config)
        if shape.layers > MOST_BLOCKS:
            raise UploadError("ckpt_too_deep", layers=shape.layers, limit=MOST_BLOCKS)
        notes: tuple[Note, ...] = ()
        if tokens > shape.positions:
            notes = (Note("ckpt_positions", {"tokens": tokens, "positions": shape.positions}),)
        with FakeTensorMode():
            chain = config_chain(shape, batch=batch, tokens=min(tokens, shape.positions), dtype=dtype, seed=seed)
    except UploadError:
        raise
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise UploadError("ckpt_config", problem=str(error)) from None
    return Subject(chain, shape, notes=notes, recipe=(text, batch, tokens, dtype, seed))


# -- plans ------------------------------------------------------------------------------------------------------------


def plan_of(c: Controls, layers: int, best: TradeOff | None) -> CheckpointPlan:
    """The plan of the chosen strategy.

    Raises:
        UploadError: the strategy needs a budget that there is not.
    """
    k = min(c.k, layers)
    if c.strategy == "own":
        return pinned_plan(layers, pins_of(c.pins, layers))
    if c.strategy == "every_kth":
        return pinned_plan(layers, range(0, layers, k))
    if c.strategy == "sequential":
        return checkpoint_plan("checkpoint_sequential", layers, segments=k)
    if c.strategy == "revolve":
        from core.systems.checkpoint_schedules import revolve_plan

        return revolve_plan(layers, k)
    if c.strategy == "optimal":
        if best is None:
            raise UploadError(
                "ckpt_no_card" if c.model == "config" else "ckpt_nothing_fits" if c.budget else "ckpt_no_budget"
            )
        return best.plan
    return named_plan(c.strategy, layers)


def named_plan(strategy: str, layers: int) -> CheckpointPlan:
    """A strategy that has no number of its own."""
    if strategy == "none":
        return checkpoint_plan("none", layers)
    if strategy == "sqrt":
        return checkpoint_plan("sqrt", layers)
    policy: Policy = "matmul" if strategy == "matmul" else "attention" if strategy == "attention" else ""
    return CheckpointPlan(segments_plan(layers, layers).nodes, policy)


def pins_of(text: str, layers: int) -> tuple[int, ...]:
    """The pinned layers written as "0_3_7"; what is no layer of this chain is left out."""
    said = (part for part in text.split("_") if part.isdecimal() and len(part) < 6)
    return tuple(sorted({int(part) for part in said if int(part) < layers}))


@lru_cache(maxsize=16)
def _configured_profile(*recipe: Any) -> tuple[tuple[int, ...], tuple[LayerSizes, ...], tuple[TradeOff, ...]]:
    return _measured(_configured(*recipe))


@lru_cache(maxsize=8)
def _profiled(subject: Subject) -> tuple[tuple[int, ...], tuple[LayerSizes, ...], tuple[TradeOff, ...]]:
    return _measured(subject)


def _measured(subject: Subject) -> tuple[tuple[int, ...], tuple[LayerSizes, ...], tuple[TradeOff, ...]]:
    from core.systems.checkpoint_schedules import checkpoint_frontier
    from core.systems.memory_accounting import profile_layers

    costs, sizes = profile_layers(subject.chain)
    return costs, sizes, checkpoint_frontier(costs, sizes)


@dataclass(frozen=True)
class Profile:
    """What each layer costs by itself, and every plan worth having."""

    costs: tuple[int, ...]  # (n,) FLOPs
    sizes: tuple[LayerSizes, ...]  # (n,)
    frontier: tuple[TradeOff, ...]
    fixed_bytes: (
        int  # parameters, all their gradients and the input, states and context on a card: what no plan changes
    )


def best_plan(subject: Subject, profile: Profile, budget_bytes: float) -> TradeOff | None:
    """The cheapest plan whose predicted peak fits beside what no plan changes.

    The model's layers hand on one tensor; where they hand on skips too, a plan must also fit when it is run on empty tensors.
    """
    fitting = [point for point in profile.frontier if point.peak + profile.fixed_bytes <= budget_bytes]
    if subject.photo is None:
        return fitting[-1] if fitting else None
    return next((point for point in reversed(fitting) if _peak(subject, point.plan) <= budget_bytes), None)


@lru_cache(maxsize=64)
def _peak(subject: Subject, plan: CheckpointPlan) -> int:
    from core.systems.checkpointing import predict_run

    return predict_run(subject.chain, plan).peak_bytes


def profile_of(subject: Subject, *, optimizer: Any = "none") -> Profile:
    """Measured once for a chain; a configuration's, without allocating anything, beside the optimizer's states and CUDA's context."""
    from core.systems.peak_prediction import CONTEXT_BYTES, plan_free_bytes

    costs, sizes, frontier = _configured_profile(*subject.recipe) if subject.recipe else _profiled(subject)
    context = CONTEXT_BYTES if subject.fake else 0
    return Profile(costs, sizes, frontier, plan_free_bytes(subject.chain, optimizer=optimizer, context_bytes=context))
