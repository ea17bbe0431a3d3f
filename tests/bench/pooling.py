"""Pooling against torch's own calls, on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from core.perception.filter_bank import filter_features
from core.perception.spatial_pyramid_pooling import pyramid_vector, spatial_pyramid_pool
from core.perception.stride_one_pooling import spp_block, sppf_block
from tests.bench.segmentation import threads
from tests.bench.table import Row, alone, versus

LEVELS = (6, 3, 2, 1)


def separate_pools(features: torch.Tensor, *, indices: bool) -> torch.Tensor:
    """Every level pooled from the map, as networks do it."""
    pool = torch.nn.functional.adaptive_max_pool2d
    maps = [pool(features, n, return_indices=True)[0] if indices else pool(features, n) for n in LEVELS]
    return torch.cat([values.flatten(1) for values in maps], 1)


def pyramid_rows(suffix: str = "", *, at_least: float | None = None) -> Iterator[Row]:
    features = torch.randn(1, 512, 64, 64, generator=torch.Generator().manual_seed(0))

    expected = separate_pools(features, indices=True)
    assert torch.equal(pyramid_vector(features, LEVELS), expected)
    assert torch.equal(spatial_pyramid_pool(features, LEVELS).vector, expected)
    yield versus(
        f"pyramid {LEVELS}, 512×64×64{suffix}",
        lambda: pyramid_vector(features, LEVELS),
        "four adaptive_max_pool2d",
        lambda: separate_pools(features, indices=False),
        at_least=at_least,
        repeats=15,
    )
    yield versus(
        f"pyramid {LEVELS} with every argmax, 512×64×64{suffix}",
        lambda: spatial_pyramid_pool(features, LEVELS),
        "four adaptive_max_pool2d with indices",
        lambda: separate_pools(features, indices=True),
        repeats=9,
    )


def block_rows() -> Iterator[Row]:
    x = torch.randn(1, 64, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sppf_block(x), spp_block(x))
    assert torch.equal(sppf_block(x, separable=True), spp_block(x))
    what = "SPPF k = 5, 64×40×40"
    yield versus(what, lambda: sppf_block(x), "SPP k = 5, 9, 13", lambda: spp_block(x), repeats=5)
    yield versus(
        f"{what}, separable",
        lambda: sppf_block(x, separable=True),
        "SPP k = 5, 9, 13",
        lambda: spp_block(x),
        repeats=5,
    )


def measure() -> Iterator[Row]:
    """All rows."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    with threads(1):
        yield from pyramid_rows(at_least=2)
        yield from block_rows()
        yield alone("filter bank, 640×480, stride 8", lambda: filter_features(image, stride=8))
    with threads(2):  # without a goal: on a machine whose cores are taken, it measures who waits more often
        yield from pyramid_rows(", two threads")
