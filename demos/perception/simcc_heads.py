"""The lens on the bundled network: one rendered figure, and what its four heads say of every joint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.articulated_figures import JOINTS, SIZE, FigureScene, figure_scene
from core.perception.heatmap_keypoints import decode_heatmap
from core.perception.quantization_error import error_trail
from core.perception.simcc import decode_simcc
from demos.kit.jobs import counted
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.perception.tiny_pose import TinyPose

WEIGHTS = Path(__file__).parents[2] / "assets" / "models" / "tiny_pose.safetensors"
HEADS = ("argmax", "dark", "simcc", "regression", "rle")  # the first two read the heatmap head
FIRST_RESIDUAL_SEED = 10_000  # figures of the network's own cloud; neither trained on nor measured on


@dataclass(frozen=True)
class Heads:
    """A figure and everything that the network says of it."""

    scene: FigureScene
    names: tuple[str, ...]  # K
    heatmaps: np.ndarray  # (K, 24, 16)
    simcc_x: np.ndarray  # (K, 128) probabilities
    simcc_y: np.ndarray  # (K, 192)
    found: np.ndarray  # (HEADS, K, 2) px
    sigma: np.ndarray  # (K, 2) RLE's spread, σ̂ times the flow's, px
    errors: np.ndarray  # (HEADS, K, 2) answer − truth, px
    means: np.ndarray  # (HEADS,) mean distance over all joints, px
    stride: int  # px a cell of the heatmaps
    split_ratio: float  # SimCC's bins a px


@lru_cache(maxsize=1)
def network() -> TinyPose:
    from safetensors.torch import load_file

    from core.perception.tiny_pose import load_tiny_pose

    return load_tiny_pose(load_file(WEIGHTS))


@lru_cache(maxsize=8)
def heads_of(seed: int, *, occluded: bool) -> Heads:
    import torch

    from core.perception.residual_log_likelihood import flow_spread
    from core.perception.tiny_pose import SPLIT, STRIDE, estimate

    scene = figure_scene(seed, occluded=occluded)
    said = estimate(network(), scene.image)
    heat = said.heatmaps[0].double().numpy()
    x, y = (torch.softmax(v[0].double(), dim=1).numpy() for v in (said.simcc_x, said.simcc_y))
    size = np.array(SIZE, np.float64)
    found = [decode_heatmap(heat, input_size=SIZE, decoder=how).keypoints for how in ("argmax", "dark")]  # type: ignore[arg-type]
    found.append(decode_simcc(x, y, split_ratio=SPLIT).keypoints)
    found += [v[0].double().numpy() * size for v in (said.regression, said.rle)]
    sigma = said.rle_sigma[0].double().numpy() * flow_spread(network().flow).double().numpy() * size
    trails = [error_trail(points, scene.keypoints) for points in found]
    errors, means = (
        np.stack([trail.errors for trail in trails]),
        np.array([trail.mean_distance[-1] for trail in trails]),
    )
    return Heads(
        scene,
        JOINTS,
        heat,
        x,
        y,
        np.stack(found),
        sigma,
        errors,
        means,
        STRIDE,
        SPLIT,
    )


@lru_cache(maxsize=2)
def network_residuals(figures: int) -> np.ndarray:
    """(N, 2) (μ_g − μ̂)/σ̂ of the RLE head on figures of its own kind, in units of its flow's spread; beyond ±8 left out."""
    from core.perception.residual_log_likelihood import flow_spread
    from core.perception.tiny_pose import estimate

    found = []
    for seed in counted(range(FIRST_RESIDUAL_SEED, FIRST_RESIDUAL_SEED + figures), "pictures", total=figures):
        scene = figure_scene(seed)
        said = estimate(network(), scene.image)
        truth = scene.keypoints / np.array(SIZE)
        found.append((truth - said.rle[0].double().numpy()) / np.maximum(said.rle_sigma[0].double().numpy(), 1e-3))
    every = np.concatenate(found) / flow_spread(network().flow).double().numpy()
    return every[(np.abs(every) < 8).all(axis=1)]


def head_numbers(h: Heads, k: int) -> tuple[Number, ...]:
    """How far each head is off at one joint, and over all of them."""
    return (
        *(head_distance(h, i, k) for i in range(len(HEADS))),
        *(
            Number(
                "mean_distance",
                float(h.means[i]),
                error_trail,
                "sum(d) / n",
                _all_of(h, i),
                "px",
                item=name,
                gauge=False,
            )
            for i, name in enumerate(HEADS)
        ),
    )


def _all_of(h: Heads, i: int) -> dict[str, Any]:
    return {"d": [math.hypot(*row) for row in h.errors[i].tolist()], "n": len(h.names)}


def head_distance(h: Heads, i: int, k: int) -> Number:
    dx, dy = (float(v) for v in h.errors[i, k])
    operands = {"dx": dx, "dy": dy}
    return Number(
        "distance",
        math.hypot(dx, dy),
        error_trail,
        "sqrt(dx · dx + dy · dy)",
        operands,
        "px",
        item=HEADS[i],
        gauge=False,
    )
