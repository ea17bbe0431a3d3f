"""PSPNet's pyramid pooling module: averages instead of maxima, and back to the size of the map instead of a vector.

Source: Zhao et al., "Pyramid scene parsing network", arXiv:1612.01105, §3.2; hszhao/semseg model/pspnet.py, PPM.
Notation: features (B, C, H, W); bins n = 1, 2, 3, 6 by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.perception.pyramid_bins import LevelBins, check_levels, level_bins


@dataclass(frozen=True, slots=True)
class AverageLevel:
    """One level of averages."""

    bins: LevelBins  # n and its bins over the map, adaptive
    means: Tensor  # (B, C, n, n)
    upsampled: Tensor  # (B, C, H, W) bilinear, corners aligned
    nests: bool  # n divides both sides of the map: its bins are disjoint and of one size
    nesting_error: float  # max |means of the finest level's means − these|; NaN if n does not divide the finest level


@dataclass(frozen=True, slots=True)
class PyramidAverages:
    """The pyramid pooling module without its learned 1×1 convolutions."""

    levels: tuple[AverageLevel, ...]  # in the given order
    concatenated: Tensor  # (B, C·(1 + L), H, W): the map itself, then the levels
    channels_in: int  # C
    channels_out: int  # C + L·⌊C/L⌋, of the module with its 1×1 convolutions to ⌊C/L⌋ channels


def pyramid_averages(features: Tensor, bins: Sequence[int] = (1, 2, 3, 6)) -> PyramidAverages:
    """Average the map over n×n bins, enlarge each result to the map's size, and put all beside the map.

    Convention: adaptive bins; bilinear enlargement with corners aligned (align_corners=True), as the authors do.
    Unlike maxima, averages of fine bins are not those of coarse ones unless the bins are disjoint and equally large.

    Args:
        features: (B, C, H, W) floating.
        bins: n of each level.

    Raises:
        TypeError: if features is no floating tensor or a level is no whole number.
        ValueError: if features is not (B, C, H, W) or bins is empty or below 1.

    Source: arXiv:1612.01105 figure 3; hszhao/semseg model/pspnet.py PPM.
    Differs: no 1×1 convolution, normalisation and ReLU between average and enlargement: they are learned.

    >>> averages = pyramid_averages(torch.arange(36.0).view(1, 1, 6, 6), (1, 2))
    >>> print(averages.levels[1].means.flatten().tolist(), averages.concatenated.shape[1])
    [7.0, 10.0, 25.0, 28.0] 3
    """
    if not isinstance(features, Tensor) or not features.is_floating_point():  # pyright: ignore[reportUnnecessaryIsInstance]
        kind = getattr(features, "dtype", type(features).__name__)
        raise TypeError(f"features must be a floating tensor, got {kind}: convert it with .float()")
    if features.ndim != 4 or min(features.shape[1:]) < 1:
        raise ValueError(
            f"features must be (batch, channels, height, width) with at least one channel, row and column, "
            f"got shape {tuple(features.shape)}"
        )
    checked = check_levels(bins)
    channels, height, width = features.shape[1:]
    functional = torch.nn.functional
    means = {n: functional.adaptive_avg_pool2d(features, n) for n in checked}
    finest = max(checked)
    levels = tuple(
        AverageLevel(
            level_bins(height, width, n),
            means[n],
            functional.interpolate(means[n], size=(height, width), mode="bilinear", align_corners=True),
            height % n == 0 and width % n == 0,
            _nesting_error(means[finest], means[n]),
        )
        for n in checked
    )
    concatenated = torch.cat([features, *(level.upsampled for level in levels)], 1)
    return PyramidAverages(levels, concatenated, channels, channels + len(checked) * (channels // len(checked)))


def _nesting_error(fine: Tensor, coarse: Tensor) -> float:
    n = coarse.shape[-1]
    if fine.shape[-1] % n or not fine.numel():
        return float("nan")
    again = torch.nn.functional.avg_pool2d(fine.double(), fine.shape[-1] // n)
    return float((again - coarse.double()).abs().max())
