"""Chains of layers to run: an MLP, a transformer, a small U-Net on a picture, and a transformer of given sizes.

Every chain is made of ordinary `torch.nn` modules whose parameters come from an explicit seed. Layers pass one tensor, or, in the
U-Net, a tuple of the running tensor and the skips. Dropout is `torch.native_dropout`, which keeps a mask of one byte per element on
every device, as CUDA does (the CPU's own `dropout` keeps a product in the tensor's type instead).

Source: Vaswani et al., arXiv:1706.03762 (pre-norm block of GPT-2); Ronneberger et al., arXiv:1505.04597, for the U-Net.
Notation: B batch, S tokens, D width, H heads; one unit is one activation of B·S·D elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers that run one after another, and what goes in."""

    layers: tuple[nn.Module, ...]  # (n,) each takes the output of the one before
    names: tuple[str, ...]  # (n,) "embedding", "block 3", "down 1"
    inputs: torch.Tensor  # what the first layer takes
    unit_bytes: int  # bytes of one activation, the unit of closed forms
    stored_units: float  # A of the closed form k + (n/k)·A + overhead; NaN where layers are unequal
    overhead_units: float  # overhead of the closed form; NaN where layers are unequal

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """All parameters, each once."""
        return tuple({id(p): p for layer in self.layers for p in layer.parameters()}.values())

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.parameters)


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """Sizes of a decoder, as its configuration gives them."""

    family: Literal["gpt2", "llama"]  # LayerNorm, learned positions, GELU MLP; or RMSNorm, rotary positions, gated MLP
    layers: int  # blocks
    width: int  # D
    heads: int  # H
    kv_heads: int  # heads of keys and values; H without grouping
    head_width: int  # width of one head
    mlp_width: int  # width inside the MLP
    vocabulary: int  # tokens
    positions: int  # longest sequence
    tied: bool  # the output layer shares the embedding's weights
    biases: bool  # linear layers of attention have biases

    @property
    def parameter_count(self) -> int:
        """How many numbers the model has."""
        raise NotImplementedError


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
    raise NotImplementedError


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
) -> Chain:
    """Pre-norm transformer blocks with fused causal attention and a 4× GELU MLP: k + (n/k)·A + 5, A = 16 + (4 + H)/D.

    Args:
        blocks: n ≥ 1.
        width: D, a multiple of `heads`.
        heads: H.
        tokens: S.
        batch: B.
        dropout: probability in [0, 1) after attention and after the MLP.
        seed: of the weights and the input.
        device: where it lives.
        dtype: of weights and activations.

    Raises:
        ValueError: if a size is below 1, D is no multiple of H, or the probability is out of range.

    >>> chain = transformer_chain(blocks=2, width=8, heads=2, tokens=4, batch=1)
    >>> chain.names, chain.stored_units
    (('block 1', 'block 2'), 16.75)
    """
    raise NotImplementedError


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
    raise NotImplementedError


def transformer_shape(config: Mapping[str, Any]) -> TransformerShape:
    """Sizes out of a Hugging Face `config.json`; no weights are read.

    Convention: understands GPT-2 (`n_embd`, `n_layer`, `n_head`) and the Llama family (`hidden_size`, `num_hidden_layers`,
    `num_attention_heads`, `num_key_value_heads`, `intermediate_size`: Llama, Mistral, Qwen2, Qwen3, …). A configuration with a
    `text_config` is read there.

    Args:
        config: the parsed JSON object.

    Raises:
        ValueError: if a size is missing, is no positive whole number, or the model is a mixture of experts or otherwise not a
            plain decoder; the sentence names it.

    >>> gpt2 = transformer_shape({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024,
    ...                           "vocab_size": 50257})
    >>> gpt2.parameter_count
    124439808
    """
    raise NotImplementedError


def config_chain(
    shape: TransformerShape, *, batch: int, tokens: int, dtype: Dtype = "bfloat16", seed: int = 0, device: str = "cpu"
) -> Chain:
    """A decoder of given sizes as a chain: embedding, blocks, and the head with its cross-entropy loss.

    Inside `FakeTensorMode` nothing is allocated, so that models far larger than the machine can be followed.

    Args:
        shape: sizes.
        batch: B ≥ 1.
        tokens: S ≥ 2, at most the model's positions.
        dtype: of weights and activations; the loss is computed in float32.
        seed: of the weights and tokens.
        device: where it lives.

    Raises:
        ValueError: if a size is out of range.
    """
    raise NotImplementedError
