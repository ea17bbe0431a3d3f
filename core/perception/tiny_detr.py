"""A DETR small enough to train on one processor core in minutes: convolutions, encoder, decoder, a set of boxes.

Source: Carion et al., "End-to-end object detection with transformers", arXiv:2005.12872, §3.2 and §A.3–A.4;
facebookresearch/detr models/{detr,transformer,position_encoding}.py, from which the parts' order is taken (norm after
each sum, positions added to queries and keys but never to values, one norm shared by all decoder outputs).
Notation: d width, h heads, H × W feature map, Q object queries, L decoder layers, K classes; ∅ is class K.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH, HEADS, HIDDEN = 96, 4, 192  # d, h, and the width inside the feed-forward blocks
CHANNELS = (24, 48, 96)  # of the three stages, each of which halves the picture
ENCODER_LAYERS, DECODER_LAYERS = 1, 3
QUERIES, CLASSES = 10, 3  # Q, K
SIDE = 96  # px of the picture that the network sees
TEMPERATURE = 10000.0  # of the sine positions


@dataclass(frozen=True, slots=True)
class TinyDetrOutput:
    """Predictions of every decoder layer, and every attention of the network. Rows of attention sum to 1."""

    pred_logits: Tensor  # (L, B, Q, K + 1), ∅ last
    pred_boxes: Tensor  # (L, B, Q, 4) cxcywh, shares of the picture
    features: Tensor  # (B, d, H, W) feature map that the encoder reads
    encoder_attention: Tensor  # (encoder layers, B, h, H·W, H·W) [..., i, j]: how much place i takes from place j
    decoder_self_attention: Tensor  # (L, B, h, Q, Q) [..., i, j]: how much query i takes from query j
    decoder_cross_attention: Tensor  # (L, B, h, Q, H·W) how much a query takes from a place


@dataclass(frozen=True, slots=True)
class AttentionViews:
    """The two readings of one place in self-attention, averaged over heads. They differ: attention is not symmetric."""

    attends_to: npt.NDArray[np.float64]  # (H, W) row: what this place takes from every place; sums to 1
    attended_by: npt.NDArray[np.float64]  # (H, W) column: what every place takes from this one; need not sum to 1


class Attention(nn.Module):
    """Multi-head attention that returns its weights: softmax(Q·Kᵀ/√(d/h))·V."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, d), (B, m, d), (B, m, d) -> (B, n, d) and weights (B, h, n, m)."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, h, n or m, d/h)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).flatten(2)), weights


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(x)))


class EncoderLayer(nn.Module):
    """Self-attention of all places, then the feed-forward block; norm after each sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.feed = Attention(WIDTH, HEADS), FeedForward(WIDTH, HIDDEN)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        mixed, weights = self.attention(x + position, x + position, x)
        x = self.norm1(x + mixed)
        return self.norm2(x + self.feed(x)), weights


class DecoderLayer(nn.Module):
    """Self-attention of the queries, their attention to the places, then the feed-forward block."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention, self.cross_attention = Attention(WIDTH, HEADS), Attention(WIDTH, HEADS)
        self.feed = FeedForward(WIDTH, HIDDEN)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))

    def forward(self, x: Tensor, query: Tensor, memory: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed, among = self.self_attention(x + query, x + query, x)
        x = self.norm1(x + mixed)
        mixed, across = self.cross_attention(x + query, memory + position, memory)
        x = self.norm2(x + mixed)
        return self.norm3(x + self.feed(x)), among, across


class Backbone(nn.Module):
    """Three stages, each a convolution of stride 2 and one with a shortcut around it: (B, 3, S, S) -> (B, 96, S/8, S/8)."""

    def __init__(self) -> None:
        super().__init__()
        before = (3, *CHANNELS[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False) for a, b in zip(before, CHANNELS, strict=True)
        )
        self.keep = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1, bias=False) for c in CHANNELS)
        self.norm_down = nn.ModuleList(nn.GroupNorm(8, c) for c in CHANNELS)
        self.norm_keep = nn.ModuleList(nn.GroupNorm(8, c) for c in CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        for down, norm, keep, norm_keep in zip(self.down, self.norm_down, self.keep, self.norm_keep, strict=True):
            x = F.relu(norm(down(x)))
            x = F.relu(x + norm_keep(keep(x)))
        return x


class TinyDetr(nn.Module):
    """The whole network. A fresh one has random weights from torch's own generator; see `load_tiny_detr`."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.project = nn.Conv2d(CHANNELS[-1], WIDTH, 1)
        self.encoder = nn.ModuleList(EncoderLayer() for _ in range(ENCODER_LAYERS))
        self.decoder = nn.ModuleList(DecoderLayer() for _ in range(DECODER_LAYERS))
        self.decoder_norm = nn.LayerNorm(WIDTH)
        self.queries = nn.Parameter(torch.randn(QUERIES, WIDTH))
        self.class_head = nn.Linear(WIDTH, CLASSES + 1)
        self.box_head = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 4)
        )
        for part in (
            self.encoder,
            self.decoder,
        ):  # as the reference: wide enough for attention to differ from place to place
            for weight in part.parameters():
                if weight.ndim > 1:
                    nn.init.xavier_uniform_(weight)

    def forward(self, images: Tensor) -> TinyDetrOutput:
        """(B, 3, S, S) from `network_input` -> predictions and attentions. S a multiple of 8, 96 in training."""
        features = self.project(self.backbone(images))  # (B, d, H, W)
        memory = features.flatten(2).transpose(1, 2)  # (B, H·W, d)
        position = sine_positions(*features.shape[-2:]).to(memory)  # (H·W, d)
        looks = list[Tensor]()
        for layer in self.encoder:
            memory, weights = layer(memory, position)
            looks.append(weights)
        x = torch.zeros_like(self.queries).expand(images.shape[0], -1, -1)  # (B, Q, d)
        states, among, across = list[Tensor](), list[Tensor](), list[Tensor]()
        for layer in self.decoder:
            x, own, cross = layer(x, self.queries, memory, position)
            states.append(self.decoder_norm(x))
            among.append(own)
            across.append(cross)
        state = torch.stack(states)  # (L, B, Q, d)
        return TinyDetrOutput(
            self.class_head(state),
            self.box_head(state).sigmoid(),
            features,
            torch.stack(looks),
            torch.stack(among),
            torch.stack(across),
        )


def sine_positions(height: int, width: int, *, channels: int = WIDTH, temperature: float = TEMPERATURE) -> Tensor:
    """(H·W, d) fixed position of every place: d/2 channels tell y, d/2 tell x, as sines and cosines in turn.

    Convention: places are counted from 1 and scaled so that the last one is at 2π (less 1e-6 in the divisor);
    wavelengths are 2π·temperature^(2i/(d/2)).

    Args:
        height, width: H, W of the feature map.
        channels: d, a multiple of 4.
        temperature: of the wavelengths.

    Raises:
        ValueError: if a size is below 1 or d is no multiple of 4.

    Source: facebookresearch/detr models/position_encoding.py, PositionEmbeddingSine with normalize=True.
    Differs: no mask, the whole map is valid.

    >>> print([round(x, 4) for x in sine_positions(2, 2)[0, [0, 1, 48, 49]].tolist()])
    [0.0, -1.0, 0.0, -1.0]
    """
    if min(height, width) < 1 or channels < 4 or channels % 4:
        raise ValueError(f"needs height, width >= 1 and channels a multiple of 4, got {height}, {width}, {channels}")
    half = channels // 2
    scale = temperature ** (2 * torch.div(torch.arange(half, dtype=torch.float64), 2, rounding_mode="floor") / half)
    parts = list[Tensor]()
    for count in (height, width):
        angle = torch.arange(1, count + 1, dtype=torch.float64) / (count + 1e-6) * 2 * math.pi
        waves = angle[:, None] / scale  # (count, d/2)
        parts.append(torch.stack([waves[:, 0::2].sin(), waves[:, 1::2].cos()], dim=2).flatten(1))
    y, x = parts[0][:, None].expand(-1, width, -1), parts[1][None].expand(height, -1, -1)
    return torch.cat([y, x], dim=2).flatten(0, 1)


def network_input(image: npt.NDArray[np.uint8]) -> Tensor:
    """(1, 3, 96, 96) float32 in [−1, 1] of a picture: each pixel the mean of those that it replaces.

    Convention: the picture is squeezed to a square, without a border; larger sides are averaged, smaller ones
    interpolated.

    Args:
        image: (H, W, 3) RGB bytes.

    Raises:
        TypeError: if the picture does not hold bytes.
        ValueError: if its shape is not (H, W, 3).

    Source: own.
    Differs: nothing left out.

    >>> print(network_input(np.full((30, 40, 3), 255, np.uint8)).unique())
    tensor([1.])
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must hold bytes, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
    method = cv2.INTER_AREA if min(image.shape[:2]) >= SIDE else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=method)
    return torch.as_tensor(small).permute(2, 0, 1)[None].float() / 127.5 - 1


def load_tiny_detr(weights: Mapping[str, Tensor]) -> TinyDetr:
    """The network with given weights, ready to be asked.

    Convention: weights are stored in half precision and computed with in float32.

    Args:
        weights: by parameter name, as in assets/models/tiny_detr.safetensors.

    Raises:
        ValueError: if a parameter is missing, unknown or of another shape.

    Source: own.
    Differs: nothing left out.

    >>> model = load_tiny_detr(TinyDetr().state_dict())
    >>> print(sum(p.numel() for p in model.parameters()), model.training)
    603344 False
    """
    with torch.device("meta"):  # weights that are thrown away need no draws from the global generator
        model = TinyDetr()
    try:
        model.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError("weights must hold exactly the tiny DETR's parameters, in their shapes") from error
    return model.eval().requires_grad_(False)


def detect(model: TinyDetr, image: npt.NDArray[np.uint8]) -> TinyDetrOutput:
    """Ask the network about one picture: B = 1.

    Convention: as `network_input`.

    Args:
        model: from `load_tiny_detr`, on any device.
        image: (H, W, 3) RGB bytes.

    Raises:
        TypeError, ValueError: as `network_input`.

    Source: own.
    Differs: nothing left out.

    >>> found = detect(load_tiny_detr(TinyDetr().state_dict()), np.zeros((50, 60, 3), np.uint8))
    >>> print(tuple(found.pred_boxes.shape), tuple(found.encoder_attention.shape))
    (3, 1, 10, 4) (1, 1, 4, 144, 144)
    """
    with torch.inference_mode():
        return model(network_input(image).to(model.queries))


def attention_views(weights: Tensor, size: tuple[int, int], *, row: int, column: int) -> AttentionViews:
    """What one place of the feature map looks at, and who looks at it, averaged over the heads.

    Convention: DETR's notebook shows the second ("attended_by") and is often read as the first.

    Args:
        weights: (h, H·W, H·W) self-attention of one layer and picture, or (H·W, H·W).
        size: (H, W).
        row, column: the place.

    Raises:
        ValueError: if the sizes disagree or the place lies outside.

    Source: facebookresearch/detr notebooks, detr_attention.ipynb; issue 162 there.
    Differs: nothing left out.

    >>> views = attention_views(torch.tensor([[0.25, 0.75], [0.5, 0.5]]), (1, 2), row=0, column=0)
    >>> print(views.attends_to, views.attended_by)
    [[0.25 0.75]] [[0.25 0.5 ]]
    """
    height, width = size
    heads = weights.detach().double()
    mean: npt.NDArray[np.float64] = (heads.mean(0) if heads.ndim == 3 else heads).cpu().numpy()
    if mean.shape != (height * width, height * width):
        raise ValueError(f"weights must be (h, {height * width}, {height * width}), got {tuple(weights.shape)}")
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"the place must lie in a {height}×{width} map, got row {row}, column {column}")
    place = row * width + column
    return AttentionViews(np.reshape(mean[place], size), np.reshape(mean[:, place], size))
