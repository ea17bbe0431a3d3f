"""A transformer of the sizes that a Hugging Face `config.json` gives, as a chain of layers; no weights are read.

Source: the field names of transformers' GPT2Config, LlamaConfig, MistralConfig, Qwen2Config and Qwen3Config; Touvron et al.,
arXiv:2302.13971 (RMSNorm, gated MLP, rotary positions).
Notation: B batch, S tokens, D width, H heads; one unit is one activation of B·S·D elements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from core.systems.checkpoint_models import DTYPES, Chain, Dtype, seeded_layers

LLAMAS = {"llama", "mistral", "qwen2", "qwen3"}


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
    biases: bool  # query, key and value have biases
    output_bias: bool  # attention's output matrix has one
    mlp_biases: bool  # the MLP's matrices have them
    query_key_norm: bool  # queries and keys are normalised per head

    @property
    def parameter_count(self) -> int:
        """How many numbers the model has."""
        d, kv = self.width, self.kv_heads * self.head_width
        q = self.heads * self.head_width
        attention = d * q + 2 * d * kv + q * d
        if self.family == "gpt2":
            block = attention + q + 2 * kv + d + 2 * d * self.mlp_width + self.mlp_width + d + 4 * d
            outside = self.positions * d + 2 * d
        else:
            block = attention + 3 * d * self.mlp_width + 2 * d
            block += (q + 2 * kv) * self.biases + d * self.output_bias + (2 * self.mlp_width + d) * self.mlp_biases
            block += 2 * self.head_width * self.query_key_norm
            outside = d
        return self.layers * block + outside + self.vocabulary * d * (1 if self.tied else 2)


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
    if isinstance(config.get("text_config"), Mapping):
        config = {**config, **config["text_config"]}
    for name in ("num_local_experts", "num_experts", "n_routed_experts", "moe_intermediate_size"):
        if config.get(name):
            raise ValueError(
                f"{name} = {config[name]} says mixture of experts, which is not understood: a plain decoder is"
            )
    if config.get("is_encoder_decoder"):
        raise ValueError("is_encoder_decoder is set: encoders with a decoder are not understood, plain decoders are")
    if "n_embd" in config:
        d, heads = _size(config, "n_embd"), _size(config, "n_head")
        inside = _size(config, "n_inner") if config.get("n_inner") else 4 * d
        if d % heads:
            raise ValueError(f"n_embd must be a multiple of the {heads} heads, got {d}")
        positions, vocabulary = _size(config, "n_positions"), _size(config, "vocab_size")
        tied = bool(config.get("tie_word_embeddings", True))
        return TransformerShape(
            family="gpt2",
            layers=_size(config, "n_layer"),
            width=d,
            heads=heads,
            kv_heads=heads,
            head_width=d // heads,
            mlp_width=inside,
            vocabulary=vocabulary,
            positions=positions,
            tied=tied,
            biases=True,
            output_bias=True,
            mlp_biases=True,
            query_key_norm=False,
        )
    model = str(config.get("model_type", ""))
    if model not in LLAMAS:
        raise ValueError(f"model_type must be gpt2 or one of {', '.join(sorted(LLAMAS))}, got {model!r}")
    d, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = _size(config, "num_key_value_heads") if config.get("num_key_value_heads") else heads
    head_width = _size(config, "head_dim") if config.get("head_dim") else d // heads
    if heads % kv_heads:
        raise ValueError(f"num_key_value_heads must divide the {heads} heads, got {kv_heads}")
    if head_width % 2 or (not config.get("head_dim") and d % heads):
        raise ValueError(f"hidden_size must be {heads} heads of an even width, got {d}")
    biased = bool(config.get("attention_bias", False))
    return TransformerShape(
        family="llama",
        layers=_size(config, "num_hidden_layers"),
        width=d,
        heads=heads,
        kv_heads=kv_heads,
        head_width=head_width,
        mlp_width=_size(config, "intermediate_size"),
        vocabulary=_size(config, "vocab_size"),
        positions=_size(config, "max_position_embeddings"),
        tied=bool(config.get("tie_word_embeddings", False)),
        biases=biased or model == "qwen2",
        output_bias=biased,
        mlp_biases=bool(config.get("mlp_bias", False)),
        query_key_norm=model == "qwen3",
    )


def _size(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1 << 24:
        raise ValueError(f"{name} must be a whole number from 1 to {1 << 24}, got {value!r}")
    return value


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
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if not 2 <= tokens <= shape.positions:
        raise ValueError(f"tokens must lie between 2 and the model's {shape.positions} positions, got {tokens}")
    kind = DTYPES[dtype]
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(shape.vocabulary, (batch, tokens), generator=generator).to(device)
    embedding, head = Embedding(shape), Head(shape, ids)
    blocks = tuple(DecoderBlock(shape) for _ in range(shape.layers))
    layers = seeded_layers((embedding, *blocks, head), generator, device, kind)
    if shape.tied:
        head.scores.weight = embedding.tokens.weight
    names = ("embedding", *(f"block {i + 1}" for i in range(shape.layers)), "head")
    unit = batch * tokens * shape.width * torch.empty(0, dtype=kind).element_size()
    return Chain(layers, names, ids, unit, math.nan, math.nan, math.nan)


class Embedding(nn.Module):
    """Token numbers to vectors; GPT-2 adds learned positions."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width, device="meta")
        learned = shape.family == "gpt2"
        self.places = nn.Embedding(shape.positions, shape.width, device="meta") if learned else None

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        return x if self.places is None else x + self.places.weight[: ids.shape[1]]


class DecoderBlock(nn.Module):
    """One pre-norm block, with separate matrices for queries, keys and values, as the configuration's family has it."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        d, q, kv = shape.width, shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        gpt2 = shape.family == "gpt2"
        self.norm_1, self.norm_2 = _norm(shape), _norm(shape)
        self.query = nn.Linear(d, q, bias=shape.biases, device="meta")
        self.key = nn.Linear(d, kv, bias=shape.biases, device="meta")
        self.value = nn.Linear(d, kv, bias=shape.biases, device="meta")
        self.out = nn.Linear(q, d, bias=shape.output_bias, device="meta")
        self.query_norm = nn.RMSNorm(shape.head_width, device="meta") if shape.query_key_norm else None
        self.key_norm = nn.RMSNorm(shape.head_width, device="meta") if shape.query_key_norm else None
        self.gate = None if gpt2 else nn.Linear(d, shape.mlp_width, bias=shape.mlp_biases, device="meta")
        self.up = nn.Linear(d, shape.mlp_width, bias=shape.mlp_biases, device="meta")
        self.down = nn.Linear(shape.mlp_width, d, bias=shape.mlp_biases, device="meta")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, _ = x.shape
        y, w = self.norm_1(x), self.shape.head_width
        # (B, S, H·w) -> (B, H, S, w)
        q = self.query(y).view(b, s, -1, w).transpose(1, 2)
        k = self.key(y).view(b, s, -1, w).transpose(1, 2)
        v = self.value(y).view(b, s, -1, w).transpose(1, 2)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if self.shape.family == "llama":
            q, k = _rotated(q), _rotated(k)
        groups = self.shape.heads // self.shape.kv_heads
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, s, -1))
        y = self.norm_2(x)
        inside = F.gelu(self.up(y), approximate="tanh") if self.gate is None else F.silu(self.gate(y)) * self.up(y)
        return x + self.down(inside)


class Head(nn.Module):
    """Last norm, scores of every token, and the cross-entropy of the next one, computed in float32."""

    def __init__(self, shape: TransformerShape, ids: torch.Tensor) -> None:
        super().__init__()
        self.ids = ids  # (B, S)
        self.norm = _norm(shape)
        self.scores = nn.Linear(shape.width, shape.vocabulary, bias=False, device="meta")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.scores(self.norm(x))[:, :-1].float()
        return F.cross_entropy(scores.flatten(0, 1), self.ids[:, 1:].flatten())


def _norm(shape: TransformerShape) -> nn.Module:
    if shape.family == "gpt2":
        return nn.LayerNorm(shape.width, device="meta")
    return nn.RMSNorm(shape.width, device="meta")


def _rotated(x: torch.Tensor) -> torch.Tensor:
    """Rotary positions: pairs (i, i + w/2) turned by the angle position · 10000^(−2i/w)."""
    s, w = x.shape[-2:]
    rates = 10000.0 ** (-torch.arange(0, w, 2, device=x.device, dtype=torch.float32) / w)
    angle = torch.arange(s, device=x.device, dtype=torch.float32)[:, None] * rates  # (S, w/2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
