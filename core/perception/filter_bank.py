"""A photo becomes a feature map without a network: a fixed bank of oriented filters with a stride.

Source: Gabor, "Theory of communication", 1946; Daugman, JOSA A 2(7), 1985; derivatives of a Gaussian.
Notation: θ = orientation of a filter's axis of change, counted from x towards y (down); σ = its width in px; S = stride.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Kind: TypeAlias = Literal["blur", "blob", "edge", "bar"]
Padding: TypeAlias = Literal["half", "none"]
Activation: TypeAlias = Literal["relu", "none"]

PADDINGS: tuple[Padding, ...] = get_args(Padding)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)


@dataclass(frozen=True, slots=True)
class FilterName:
    """What a channel responds to."""

    kind: Kind  # blur: brightness; blob: bright spot; edge: dark to bright along θ; bar: bright stripe across θ
    degrees: float | None  # θ; None for blur and blob, which have no direction


@dataclass(frozen=True, slots=True)
class FilterBank:
    """Fixed convolution kernels."""

    kernels: Tensor  # (C, 1, k, k) float32; Σ|weights| = 1; all but the blur sum to 0
    names: tuple[FilterName, ...]  # (C,)
    sigma: float  # px

    @property
    def size(self) -> int:
        """k, odd, px."""
        return self.kernels.shape[-1]


def filter_bank(*, orientations: int = 4, sigma: float = 2.0) -> FilterBank:
    """Blur, blob, and at each orientation an edge (derivative of a Gaussian) and a bar (even Gabor) filter.

    Convention: k = 2·⌈3σ⌉ + 1. Kernels are correlated, as convolution layers do, so an edge filter is positive where
    the picture gets brighter along θ. The Gabor wave is 4σ long and has its mean removed. Σ|weights| = 1, so a picture
    from 0 to 1 answers with at most ½ (the blur: 1).

    Args:
        orientations: n ≥ 1; θ = 0, 180/n, … degrees.
        sigma: px, at least 0.5.

    Raises:
        ValueError: if orientations is below 1 or sigma below 0.5 or infinite.

    Source: Daugman 1985; Marr and Hildreth 1980 for the blob.
    Differs: no odd Gabor, whose place the derivative takes.

    >>> bank = filter_bank()
    >>> print(tuple(bank.kernels.shape), [f"{n.kind} {n.degrees}" for n in bank.names[:4]])
    (10, 1, 13, 13) ['blur None', 'blob None', 'edge 0.0', 'edge 45.0']
    """
    if isinstance(orientations, bool) or not isinstance(orientations, int) or orientations < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"orientations must be a whole number of at least 1, got {orientations!r}")
    if not 0.5 <= sigma < math.inf:
        raise ValueError(f"sigma must be at least 0.5 px and finite, got {sigma}")
    radius = math.ceil(3 * sigma)
    axis = torch.arange(-radius, radius + 1, dtype=torch.float64)
    y, x = axis[:, None], axis[None, :]
    gauss = torch.exp(-(x * x + y * y) / (2 * sigma * sigma))
    gauss = gauss / gauss.sum()
    kernels = [gauss, _without_mean((1 - (x * x + y * y) / (2 * sigma * sigma)) * gauss, gauss)]
    names = [FilterName("blur", None), FilterName("blob", None)]
    angles = [180 * i / orientations for i in range(orientations)]
    for degrees in angles:
        kernels.append(_along(x, y, degrees) * gauss)
        names.append(FilterName("edge", degrees))
    for degrees in angles:
        wave = torch.cos(2 * math.pi * _along(x, y, degrees) / (4 * sigma))
        kernels.append(_without_mean(wave * gauss, gauss))
        names.append(FilterName("bar", degrees))
    weights = torch.stack([kernel / kernel.abs().sum() for kernel in kernels])
    return FilterBank(weights[:, None].float(), tuple(names), sigma)


def _along(x: Tensor, y: Tensor, degrees: float) -> Tensor:
    angle = math.radians(degrees)
    return x * math.cos(angle) + y * math.sin(angle)


def _without_mean(kernel: Tensor, gauss: Tensor) -> Tensor:
    return kernel - kernel.sum() * gauss


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A picture's responses to a filter bank."""

    features: Tensor  # (1, C, h, w) float32
    names: tuple[FilterName, ...]  # (C,)
    stride: int  # S, px per cell
    first_centre: float  # px, where cell 0 looks: cell i looks at first_centre + i·S
    receptive_field: int  # k, px on a side that one cell sees
    image_height: int  # px
    image_width: int  # px

    @property
    def height(self) -> int:
        """h, cells."""
        return self.features.shape[2]

    @property
    def width(self) -> int:
        """w, cells."""
        return self.features.shape[3]

    @property
    def offset0(self) -> float:
        """The released code's name for the first cell's place, counted from 1."""
        return self.first_centre + 1


def filter_features(
    image: npt.NDArray[np.uint8],
    *,
    stride: int = 16,
    orientations: int = 4,
    sigma: float | None = None,
    padding: Padding = "half",
    activation: Activation = "relu",
) -> FeatureMap:
    """Correlate the brightness of a picture with a filter bank at every S-th pixel.

    Convention: brightness is (0.299 R + 0.587 G + 0.114 B) / 255. Padding "half" repeats the border pixels by half the
    kernel on each side, so the map has ⌈H/S⌉ × ⌈W/S⌉ cells and cell 0 looks at pixel 0, as SPP-net's paper assumes;
    "none" keeps inside the picture, so cell 0 looks at pixel ⌊k/2⌋, as in SPP-net's unpadded first layers.

    Args:
        image: (H, W, 3) uint8 RGB.
        stride: S ≥ 1 px.
        orientations: of the bank.
        sigma: px; None is max(1, S/4), so that little falls between the cells.
        padding: "half" or "none".
        activation: "relu" drops negative answers, as the layers before SPP do; "none" keeps them.

    Raises:
        TypeError: if image is not uint8.
        ValueError: if image is not (H, W, 3) or empty, or smaller than a filter without padding, or an option is out of
            range.

    Source: own stand-in for a network's first layers.
    Differs: nothing is learned, and there is one layer.

    >>> image = np.zeros((48, 64, 3), np.uint8)
    >>> image[:, 32:] = 255
    >>> got = filter_features(image, stride=16)
    >>> print(tuple(got.features.shape), got.features[0, 2, 1].round(decimals=3).tolist())
    (1, 10, 3, 4) [0.0, 0.0, 0.5, 0.0]
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must be uint8 RGB, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must be (height, width, 3) RGB and not empty, got shape {image.shape}")
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"stride must be a whole number of at least 1 px, got {stride!r}")
    if padding not in PADDINGS or activation not in ACTIVATIONS:
        raise ValueError(
            f"padding must be one of {PADDINGS} and activation one of {ACTIVATIONS}, got {padding!r} and {activation!r}"
        )
    bank = filter_bank(orientations=orientations, sigma=max(1.0, stride / 4) if sigma is None else sigma)
    height, width = image.shape[:2]
    k, half = bank.size, bank.size // 2
    if padding == "none" and min(height, width) < k:
        raise ValueError(
            f"image must be at least {k}×{k} px for a filter of that size without padding, got {height}×{width}: "
            "use padding 'half', a smaller stride or a larger image"
        )
    weights = np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)
    grey: Any = torch.from_numpy(image @ weights)[None, None]  # pyright: ignore[reportUnknownMemberType]
    if padding == "half":
        grey = torch.nn.functional.pad(grey, [half] * 4, mode="replicate")
    features = torch.nn.functional.conv2d(grey, bank.kernels, stride=stride)
    if activation == "relu":
        features = features.relu()
    first = 0.0 if padding == "half" else float(half)
    return FeatureMap(features, bank.names, stride, first, k, height, width)
