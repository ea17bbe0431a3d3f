"""Trains the bundled tiny pose network: `python -m training.tiny_pose` (under 20 minutes on one free processor core).

It renders its own figures, teaches all four heads at once with `core`'s own labels and losses, measures how far each head's joints
are off on figures that it never saw, with the weights as they are stored (half precision), and writes
assets/models/tiny_pose.safetensors, tiny_pose.json beside it, and training/tiny_pose.log.
Training figures have seeds from 1,000,000 on: every figure below is unseen.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.perception.articulated_figures import JOINTS, SIZE, figure_scene
from core.perception.heatmap_keypoints import decode_heatmap, encode_heatmap
from core.perception.residual_log_likelihood import residual_log_likelihood
from core.perception.simcc import decode_simcc, encode_simcc, simcc_loss
from core.perception.tiny_pose import HEAT_SIGMA, MAP, SIMCC_SIGMA, SPLIT, TinyPose, load_tiny_pose

ROOT = Path(__file__).parents[1]
MODELS, LOG = ROOT / "assets" / "models", Path(__file__).with_suffix(".log")
SEED = 7
FIRST_TRAINING_SEED = 1_000_000
FIGURES, BATCH, STEPS = 12_000, 32, 3600
RATE, WARM_UP, DECAY, CLIP = 1.5e-3, 150, 1e-4, 1.0
WEIGHTS = {"heat": 300.0, "simcc": 1.0, "regression": 10.0, "rle": 0.25}  # of the four losses
HELD_OUT = range(500)  # seeds of the figures that are measured on
VALIDATION = range(2000, 2100)  # seeds of the figures in the log


@dataclass(frozen=True)
class Figures:
    """Pictures as bytes, and their joints."""

    images: Tensor  # (N, 3, H, W) uint8
    points: np.ndarray  # (N, K, 2) px
    visible: np.ndarray  # (N, K)


def rendered(seeds: range) -> Figures:
    scenes = [figure_scene(seed) for seed in seeds]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2).contiguous()
    return Figures(images, np.stack([s.keypoints for s in scenes]), np.stack([s.visible for s in scenes]))


def scaled(images: Tensor) -> Tensor:
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def labels(points: np.ndarray, visible: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heatmaps, SimCC's two axes and the weights of a batch. Peaks are not rounded, bumps have area 1 on SimCC's axes."""
    flat, seen = points.reshape(-1, 2), visible.reshape(-1)
    heat = encode_heatmap(flat, seen, input_size=SIZE, heatmap_size=MAP, sigma=HEAT_SIGMA, center="exact")
    bins = encode_simcc(flat, seen, input_size=SIZE, split_ratio=SPLIT, sigma=SIMCC_SIGMA, center="exact")
    shape = points.shape[:2]
    return tuple(  # type: ignore[return-value]
        torch.from_numpy(v).float().unflatten(0, shape)
        for v in (heat.heatmaps, bins.simcc_x, bins.simcc_y, bins.weights)
    )


def losses(model: TinyPose, images: Tensor, points: np.ndarray, visible: np.ndarray) -> dict[str, Tensor]:
    """One number for each head."""
    heat, x, y, weight = labels(points, visible)
    said = model(scaled(images))
    truth = torch.from_numpy(points / SIZE).float()
    each = residual_log_likelihood(
        said.rle.flatten(0, 1), said.rle_sigma.flatten(0, 1).clamp(min=1e-3), truth.flatten(0, 1), model.flow
    ).loss
    counted = weight.sum()
    return {
        "heat": ((said.heatmaps - heat) ** 2 * weight[..., None, None]).mean(),
        "simcc": simcc_loss(said.simcc_x, said.simcc_y, x, y, weight, reduction="kl"),
        "regression": ((said.regression - truth).abs() * weight[..., None]).sum() / counted,
        "rle": (each * weight.flatten()).sum() / counted,
    }


@torch.inference_mode()
def measured(model: TinyPose, seeds: range) -> dict[str, float]:
    """Mean distance in px of each head's joints, of those that are seen; and of hidden ones."""
    data = rendered(seeds)
    said = [model(scaled(data.images[i : i + 100])) for i in range(0, len(data.images), 100)]
    join = lambda name: torch.cat([getattr(s, name) for s in said]).flatten(0, 1).float().numpy()  # noqa: E731
    found = {
        f"heatmap_{how}": decode_heatmap(join("heatmaps"), input_size=SIZE, decoder=how).keypoints
        for how in ("argmax", "shift", "dark")
    }
    axes = [torch.softmax(torch.from_numpy(join(name)), 1).numpy() for name in ("simcc_x", "simcc_y")]
    found["simcc"] = decode_simcc(*axes, split_ratio=SPLIT).keypoints
    found |= {name: join(name) * SIZE for name in ("regression", "rle")}
    truth, visible = data.points.reshape(-1, 2), data.visible.reshape(-1)
    result = {}
    for name, points in found.items():
        off = np.hypot(*(points - truth).T)
        result[name] = float(off[visible == 2].mean())
        result[f"{name}_hidden"] = float(off[visible == 1].mean())
    return result


def train(model: TinyPose, data: Figures, log: Callable[[str], None]) -> None:
    """A warm-up, then half a cosine down to 0. A picture's colour channels change places from time to time."""
    rng = np.random.default_rng(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(0, step - WARM_UP) / (STEPS - WARM_UP)))
        ),
    )
    queue: list[int] = []
    for step in range(1, STEPS + 1):
        if len(queue) < BATCH:
            queue += rng.permutation(len(data.images)).tolist()
        picked = queue[:BATCH]
        del queue[:BATCH]
        images = data.images[picked][:, torch.from_numpy(rng.permutation(3))]
        parts = losses(model, images, data.points[picked], data.visible[picked])
        optimizer.zero_grad()
        sum(WEIGHTS[name] * part for name, part in parts.items()).backward()  # type: ignore[union-attr]
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            log(f"step {step:5d}: " + ", ".join(f"{name} {part.item():.4f}" for name, part in parts.items()))
        if step % 500 == 0 or step == STEPS:
            model.eval()
            log("validation: " + ", ".join(f"{k} {v:.3f}" for k, v in measured(model, VALIDATION).items()))
            model.train()


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    start, lines = time.perf_counter(), list[str]()
    path = MODELS / "tiny_pose.safetensors"

    def log(text: str) -> None:
        lines.append(f"{time.perf_counter() - start:7.0f} s  {text}")
        print(lines[-1], flush=True)
        LOG.write_text("\n".join(lines) + "\n", encoding="utf-8")

    log(f"torch {torch.__version__}, {platform.machine()}, one thread; seed {SEED}")
    data = rendered(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + FIGURES))
    log(f"{FIGURES} figures of seed {FIRST_TRAINING_SEED} and on, {len(JOINTS)} joints each")
    model = TinyPose().to(memory_format=torch.channels_last)
    log(
        f"{sum(p.numel() for p in model.parameters())} parameters; {STEPS} steps of {BATCH} figures, learning rate {RATE}"
    )
    train(model, data, log)
    save_file({name: value.detach().half().contiguous() for name, value in model.state_dict().items()}, path)

    weights = load_file(path)
    result = measured(load_tiny_pose(weights), HELD_OUT)
    log(f"held out, seeds {HELD_OUT.start} to {HELD_OUT.stop - 1}, half-precision weights: {result}")
    about = {
        "made_with": "python -m training.tiny_pose",
        "seed": SEED,
        "parameters": sum(p.numel() for p in model.parameters()),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "training": {"figures": FIGURES, "first_seed": FIRST_TRAINING_SEED, "batch": BATCH, "steps": STEPS, "rate": RATE},
        "held_out": {"first_seed": HELD_OUT.start, "figures": len(HELD_OUT), **{k: round(v, 4) for k, v in result.items()}},
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
