"""Chains of layers to run: an MLP, a transformer and a small U-Net on a picture.

Every chain is made of ordinary `torch.nn` modules whose parameters come from an explicit seed. Layers pass one tensor, or, in the
U-Net, a tuple of the running tensor and the skips. Dropout is `torch.native_dropout`, which keeps a mask of one byte per element on
every device, as CUDA does (the CPU's own `dropout` keeps a product in the tensor's type instead).

Source: Vaswani et al., arXiv:1706.03762 (pre-norm block of GPT-2); Ronneberger et al., arXiv:1505.04597, for the U-Net.
Notation: B batch, S tokens, D width, H heads; one unit is one activation of B·S·D elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

Dtype = Literal["float32", "bfloat16", "float16"]
Attention = Literal["fused", "scores"]
DTYPES: dict[Dtype, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers that run one after another, and what goes in."""

    layers: tuple[nn.Module, ...]  # (n,) each takes the output of the one before
    names: tuple[str, ...]  # (n,) "embedding", "block 3", "down 1"
    inputs: torch.Tensor  # what the first layer takes
    unit_bytes: int  # bytes of one activation, the unit of closed forms
    stored_units: float  # A of the closed form k + (n/k)·A + overhead; NaN where layers are unequal
    overhead_units: float  # overhead of the closed form; NaN where layers are unequal
    gradient_units: (
        float  # size of the weight gradient that is being made at the peak, in units; NaN where layers are unequal
    )

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """All parameters, each once."""
        return tuple({id(p): p for layer in self.layers for p in layer.parameters()}.values())

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters)

    @property
    def draws(self) -> bool:
        """Whether a layer draws from the global random generator."""
        return any(isinstance(module, Dropout) for layer in self.layers for module in layer.modules())


def as_state(output: Any) -> tuple[torch.Tensor, ...]:
    """What a layer hands on, always as a tuple.

    >>> len(as_state(torch.zeros(1))), len(as_state((torch.zeros(1), torch.zeros(2))))
    (1, 2)
    """
    return cast("tuple[torch.Tensor, ...]", output) if isinstance(output, tuple) else (output,)


def mlp_chain(
    *, layers: int = 12, width: int = 128, rows: int = 8192, dropout: float = 0.0, seed: int = 0, device: str = "cpu"
) -> Chain:
    """n × (Linear + GELU): the chain whose peak is exactly k + 2n/k activations.

    Args:
        layers: n ≥ 1.
        width: D, in and out of every layer.
        rows: B·S.
        dropout: probability in [0, 1) after each GELU; above 0 there is no closed form.
        seed: of the weights and the input.
        device: where it lives.

    Raises:
        ValueError: if a size is below 1 or the probability is out of range.

    >>> chain = mlp_chain(layers=3, width=4, rows=2)
    >>> chain.names, chain.parameter_count, chain.unit_bytes
    (('layer 1', 'layer 2', 'layer 3'), 60, 32)
    """
    for name, value in (("layers", layers), ("width", width), ("rows", rows)):
        _at_least_one(name, value)
    _probability(dropout)
    chain = tuple(
        nn.Sequential(nn.Linear(width, width, device="meta"), nn.GELU(), *_dropout(dropout)) for _ in range(layers)
    )
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, width, generator=generator).to(device)
    names = tuple(f"layer {i + 1}" for i in range(layers))
    stored = math.nan if dropout else 2.0
    return Chain(
        seeded_layers(chain, generator, device, torch.float32),
        names,
        inputs,
        rows * width * 4,
        stored,
        0.0,
        width / rows,
    )


class Dropout(nn.Module):
    """`torch.native_dropout`: a mask of one byte per element on every device."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(x, self.p, True)[0] if self.training else x


def _dropout(p: float) -> tuple[nn.Module, ...]:
    return (Dropout(p),) if p else ()


def seeded_layers(
    layers: Sequence[nn.Module], generator: torch.Generator, device: str, dtype: torch.dtype
) -> tuple[nn.Module, ...]:
    """The layers, made on "meta", with weights of their own: normal matrices of variance 1/fan-in, biases 0, gains 1."""
    for layer in layers:
        for module in layer.modules():
            for name, plan in list(module.named_parameters(recurse=False)):
                made = torch.empty(plan.shape, dtype=dtype, device=device)
                if plan.ndim == 1:
                    made.fill_(0.0 if name == "bias" else 1.0)
                else:
                    noise = torch.randn(plan.shape, generator=generator, dtype=torch.float32)
                    made.copy_(noise.mul_(plan[0].numel() ** -0.5))
                setattr(module, name, nn.Parameter(made))
    return tuple(layers)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def _probability(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout}")


def transformer_chain(
    *,
    blocks: int = 12,
    width: int = 128,
    heads: int = 4,
    tokens: int = 256,
    batch: int = 4,
    dropout: float = 0.0,
    seed: int = 0,
    device: str = "cpu",
    dtype: Dtype = "float32",
    attention: Attention = "fused",
) -> Chain:
    """Pre-norm transformer blocks with fused causal attention and a 4× GELU MLP: k + (n/k)·A + 3, A = 16 + (4 + H)/D.

    Args:
        blocks: n ≥ 1.
        width: D, a multiple of `heads`.
        heads: H.
        tokens: S.
        batch: B.
        dropout: probability in [0, 1) after attention and after the MLP, and on the weights of "scores" attention.
        seed: of the weights and the input.
        device: where it lives.
        dtype: of weights and activations.
        attention: "fused" keeps no S × S matrix (PyTorch's kernel); "scores" makes and keeps it, as Korthikanti et al. count.

    Raises:
        ValueError: if a size is below 1, D is no multiple of H, or the probability is out of range.

    >>> chain = transformer_chain(blocks=2, width=8, heads=2, tokens=4, batch=1)
    >>> chain.names, chain.stored_units
    (('block 1', 'block 2'), 16.75)
    """
    sizes = {"blocks": blocks, "width": width, "heads": heads, "tokens": tokens, "batch": batch}
    for name, value in sizes.items():
        _at_least_one(name, value)
    _probability(dropout)
    if width % heads:
        raise ValueError(f"width must be a multiple of the {heads} heads, got {width}")
    kind = DTYPES[dtype]
    chain = tuple(Block(width, heads, dropout, attention) for _ in range(blocks))
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, tokens, width, generator=generator).to(device, kind)
    unit = batch * tokens * width * inputs.element_size()
    names = tuple(f"block {i + 1}" for i in range(blocks))
    # statistics of two layer norms and one logsumexp per head, all float32
    stored = 16 + (4 + heads) / width if dtype == "float32" and attention == "fused" and not dropout else math.nan
    return Chain(
        seeded_layers(chain, generator, device, kind), names, inputs, unit, stored, 3.0, 4 * width / (batch * tokens)
    )


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); queries, keys and values from one matrix."""

    def __init__(self, width: int, heads: int, dropout: float, attention: Attention) -> None:
        super().__init__()
        self.heads, self.attention = heads, attention
        self.weights_dropout = nn.Sequential(*_dropout(dropout))
        self.norm_1 = nn.LayerNorm(width, device="meta")
        self.qkv = nn.Linear(width, 3 * width, device="meta")
        self.out = nn.Sequential(nn.Linear(width, width, device="meta"), *_dropout(dropout))
        self.norm_2 = nn.LayerNorm(width, device="meta")
        inside = nn.Linear(width, 4 * width, device="meta")
        self.mlp = nn.Sequential(inside, nn.GELU(), nn.Linear(4 * width, width, device="meta"), *_dropout(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, d = x.shape
        # (B, S, 3D) -> 3 × (B, H, S, D/H)
        q, k, v = self.qkv(self.norm_1(x)).view(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if self.attention == "fused":
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            future = torch.full((s, s), -math.inf, dtype=x.dtype, device=x.device).triu(1)
            scores = q @ k.transpose(2, 3) * (d // self.heads) ** -0.5 + future  # (B, H, S, S)
            mixed = self.weights_dropout(scores.softmax(-1)) @ v
        x = x + self.out(mixed.transpose(1, 2).reshape(b, s, d))
        return x + self.mlp(self.norm_2(x))


def unet_chain(image: npt.NDArray[np.uint8], *, channels: int = 8, seed: int = 0, device: str = "cpu") -> Chain:
    """A small U-Net on a picture: two levels down, a bottom, two levels up with skips, a head; layers of very unequal size.

    Args:
        image: (H, W, 3) uint8 RGB, cut to multiples of four.
        channels: of the first level; doubled at each level down.
        seed: of the weights.
        device: where it lives.

    Raises:
        ValueError: if the picture is smaller than 4 × 4 or not RGB uint8.

    >>> unet_chain(np.zeros((9, 8, 3), np.uint8)).names
    ('down 1', 'down 2', 'bottom', 'up 2', 'up 1', 'head')
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 4:
        raise ValueError(f"image must be (H, W, 3) uint8 of at least 4 × 4 pixels, got {image.shape} {image.dtype}")
    _at_least_one("channels", channels)
    h, w = (n // 4 * 4 for n in image.shape[:2])
    c = channels
    layers = (
        Down(3, c),
        Down(c, 2 * c),
        _convolutions(2 * c, 4 * c),
        Up(4 * c, 2 * c, 2 * c),
        Up(2 * c, c, c),
        nn.Conv2d(c, 1, 1, device="meta"),
    )
    names = ("down 1", "down 2", "bottom", "up 2", "up 1", "head")
    rgb = torch.as_tensor(image[:h, :w].astype(np.float32))  # (H, W, 3)
    picture = (rgb / 255).permute(2, 0, 1)[None].contiguous()  # (1, 3, H, W)
    made = seeded_layers(_on_states(layers), torch.Generator().manual_seed(seed), device, torch.float32)
    return Chain(made, names, picture.to(device), c * h * w * 4, math.nan, math.nan, math.nan)


def _convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, device="meta"),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, device="meta"),
        nn.ReLU(),
    )


class Down(nn.Module):
    """Two convolutions; their result is handed on as a skip and, pooled, as the running tensor."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.convolutions = _convolutions(before, after)

    def forward(self, x: torch.Tensor, *skips: torch.Tensor) -> tuple[torch.Tensor, ...]:
        full = self.convolutions(x)
        return (F.max_pool2d(full, 2), *skips, full)


class Up(nn.Module):
    """Enlarge the running tensor twofold, join it with the last skip, two convolutions."""

    def __init__(self, before: int, skip: int, after: int) -> None:
        super().__init__()
        self.convolutions = _convolutions(before + skip, after)

    def forward(self, x: torch.Tensor, *skips: torch.Tensor) -> tuple[torch.Tensor, ...]:
        wide = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return (self.convolutions(torch.cat([wide, skips[-1]], 1)), *skips[:-1])


class OnFirst(nn.Module):
    """A layer that works on the running tensor and hands the skips on."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor, *skips: torch.Tensor) -> tuple[torch.Tensor, ...] | torch.Tensor:
        y = self.layer(x)
        return (y, *skips) if skips else y


def _on_states(layers: Sequence[nn.Module]) -> tuple[nn.Module, ...]:
    return tuple(layer if isinstance(layer, (Down, Up)) else OnFirst(layer) for layer in layers)
