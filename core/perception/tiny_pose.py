"""A pose network small enough to train on one processor core: one trunk, and four heads that tell the same joints differently.

Source: Xiao et al. 2018 (heatmaps), arXiv:1804.06208; Li et al. 2022 (SimCC), arXiv:2107.03332; Li et al. 2021 (RLE), arXiv:2107.11291.
Notation: B pictures, K = 13 joints, W × H = 64 × 96 px, maps of 16 × 24 cells (stride 4), k = 2 bins a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.perception.articulated_figures import JOINTS, SIZE
from core.perception.residual_log_likelihood import RealNVP

STRIDE, SPLIT = 4, 2.0
MAP = (SIZE[0] // STRIDE, SIZE[1] // STRIDE)  # W, H of the heatmaps
HEAT_SIGMA, SIMCC_SIGMA = 1.0, 4.0  # of the labels: cells, bins
CHANNELS = (24, 48, 64, 64)  # of the stages with stride 2, 4, 8, 16
HIDDEN = 112  # between the flattened last stage and the two regression heads


@dataclass(frozen=True, slots=True)
class TinyPoseOutput:
    """What the four heads say of every joint."""

    heatmaps: Tensor  # (B, K, 24, 16) heights, about 0…1
    simcc_x: Tensor  # (B, K, 128) logits
    simcc_y: Tensor  # (B, K, 192) logits
    regression: Tensor  # (B, K, 2) x, y in parts of the picture's sides
    rle: Tensor  # (B, K, 2) x, y in parts of the picture's sides
    rle_sigma: Tensor  # (B, K, 2) its spread, in the same parts, 0…1


class Block(nn.Module):
    """Two convolutions with a shortcut around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm2(self.second(F.relu(self.norm1(self.first(x))))))


class TinyPose(nn.Module):
    """The whole network, and the flow of its RLE head."""

    def __init__(self) -> None:
        super().__init__()
        before = (3, *CHANNELS[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False) for a, b in zip(before, CHANNELS, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, c) for c in CHANNELS)
        self.blocks = nn.ModuleList(Block(c) for c in CHANNELS)
        self.lift = nn.Conv2d(CHANNELS[2], CHANNELS[1], 1)  # what stride 8 knows, back at stride 4
        self.lift16 = nn.Conv2d(CHANNELS[3], CHANNELS[2], 1)
        self.mix = Block(CHANNELS[1])
        self.heat = nn.Conv2d(CHANNELS[1], len(JOINTS), 1)
        self.rows = nn.Conv2d(CHANNELS[1], len(JOINTS), 1)
        cells = MAP[0] * MAP[1]
        self.bins_x, self.bins_y = (nn.Linear(cells, int(side * SPLIT)) for side in SIZE)
        self.flat = nn.Linear(CHANNELS[3] * (SIZE[0] // 16) * (SIZE[1] // 16), HIDDEN)
        self.point = nn.Linear(HIDDEN, 2 * len(JOINTS))
        self.spread = nn.Linear(HIDDEN, 4 * len(JOINTS))
        self.flow = RealNVP()

    def forward(self, images: Tensor) -> TinyPoseOutput:
        """(B, 3, 96, 64) from `network_input` -> what the heads say."""
        stages = list[Tensor]()
        x = images
        for down, norm, block in zip(self.down, self.norms, self.blocks, strict=True):
            x = block(F.relu(norm(down(x))))
            stages.append(x)
        low = stages[2] + F.interpolate(self.lift16(stages[3]), scale_factor=2.0, mode="nearest")
        maps = self.mix(stages[1] + F.interpolate(self.lift(low), scale_factor=2.0, mode="nearest"))  # (B, 48, 24, 16)
        rows = self.rows(maps).flatten(2)  # (B, K, 384)
        flat = F.relu(self.flat(stages[3].flatten(1)))
        spread = self.spread(flat).unflatten(1, (len(JOINTS), 4))
        return TinyPoseOutput(
            self.heat(maps),
            self.bins_x(rows),
            self.bins_y(rows),
            self.point(flat).unflatten(1, (len(JOINTS), 2)) + 0.5,
            spread[..., :2] + 0.5,
            torch.sigmoid(spread[..., 2:]),
        )


def network_input(image: npt.NDArray[np.uint8]) -> Tensor:
    """(1, 3, 96, 64) float32 in [−1, 1] of a figure's picture.

    Args:
        image: (96, 64, 3) RGB bytes.

    Raises:
        TypeError: if the picture does not hold bytes.
        ValueError: if it has another size: the network knows no other.

    Source: own.
    Differs: nothing left out.

    >>> print(network_input(np.full((96, 64, 3), 255, np.uint8)).unique())
    tensor([1.])
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must hold bytes, got {image.dtype}")
    if image.shape != (SIZE[1], SIZE[0], 3):
        raise ValueError(f"image must have shape {(SIZE[1], SIZE[0], 3)}, got {image.shape}")
    return torch.as_tensor(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def load_tiny_pose(weights: Mapping[str, Tensor]) -> TinyPose:
    """The network with given weights, ready to be asked.

    Convention: weights are stored in half precision and computed with in float32. No generator is drawn from.

    Args:
        weights: by parameter name, as in assets/models/tiny_pose.safetensors.

    Raises:
        ValueError: if a parameter is missing, unknown or of another shape.

    Source: own.
    Differs: nothing left out.

    >>> fresh = TinyPose().state_dict()
    >>> model = load_tiny_pose(fresh)
    >>> print(sum(p.numel() for p in model.parameters()), model.training)
    684184 False
    """
    with torch.device("meta"):
        model = TinyPose()
    try:
        model.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    except RuntimeError as error:
        raise ValueError("weights must hold exactly the tiny pose network's parameters, in their shapes") from error
    return model.eval().requires_grad_(False)


def estimate(model: TinyPose, image: npt.NDArray[np.uint8]) -> TinyPoseOutput:
    """Ask the network about one picture: B = 1.

    Args:
        model: from `load_tiny_pose`, on any device.
        image: (96, 64, 3) RGB bytes.

    Raises:
        TypeError, ValueError: as `network_input`.

    Source: own.
    Differs: nothing left out.

    >>> found = estimate(load_tiny_pose(TinyPose().state_dict()), np.zeros((96, 64, 3), np.uint8))
    >>> print(tuple(found.heatmaps.shape), tuple(found.simcc_x.shape), tuple(found.rle_sigma.shape))
    (1, 13, 24, 16) (1, 13, 128) (1, 13, 2)
    """
    with torch.inference_mode():
        return model(network_input(image).to(model.heat.weight))
