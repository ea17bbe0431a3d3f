"""Trains the bundled tiny DETR: `python -m training.tiny_detr` (about an hour on one processor core).

It draws its own scenes, learns with `core`'s own set loss, measures AP50 on scenes that it never saw, with the weights as they are
stored (half precision), and writes assets/models/tiny_detr.safetensors, tiny_detr.json beside it, and training/tiny_detr.log.
Training scenes have seeds from 1,000,000 on: every scene below is unseen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.perception.average_precision import average_precision
from core.perception.boxes import cxcywh_to_xyxy
from core.perception.detr_loss import Target, set_loss
from core.perception.detr_matching import postprocess
from core.perception.shape_scenes import CLASSES, shape_scene
from core.perception.tiny_detr import TinyDetr, load_tiny_detr, network_input

ROOT = Path(__file__).parents[1]
MODELS, LOG = ROOT / "assets" / "models", Path(__file__).with_suffix(".log")
SEED = 7
FIRST_TRAINING_SEED = 1_000_000
SCENES, BATCH = 8192, 16
# Steps, highest learning rate, weight of ∅ in the class loss. Each stage starts from the stored weights of the last. Ten queries need
# no small weight of ∅ as DETR's hundred do: in the end every query counts alike, which teaches two that found one object to agree.
STAGES = ((5000, 5e-4, 0.2), (3000, 4e-4, 1.0), (2500, 3e-4, 1.0))
WARM_UP, DECAY, CLIP = 200, 1e-4, 0.5
HELD_OUT = range(1000)  # seeds of the scenes that are measured on
VALIDATION = range(2000, 2100)  # seeds of the scenes in the log


def drawn(seeds: range) -> tuple[Tensor, list[Target]]:
    """(N, 3, S, S) uint8 pictures as the network sees them, and their objects."""
    pictures, targets = [], []
    for seed in seeds:
        scene = shape_scene(seed)
        pictures.append(((network_input(scene.image)[0] + 1) * 127.5).round().to(torch.uint8))
        targets.append(Target(torch.from_numpy(scene.labels), torch.from_numpy(scene.boxes).float()))
    return torch.stack(pictures), targets


def varied(picture: Tensor, target: Target, rng: np.random.Generator) -> tuple[Tensor, Target]:
    """One of 48 equals of a scene: mirrored, transposed, its colour channels exchanged."""
    boxes = target.boxes
    if rng.integers(2):
        picture, boxes = picture.flip(-1), torch.cat([1 - boxes[:, :1], boxes[:, 1:]], dim=1)
    if rng.integers(2):
        picture, boxes = picture.flip(-2), torch.cat([boxes[:, :1], 1 - boxes[:, 1:2], boxes[:, 2:]], dim=1)
    if rng.integers(2):
        picture, boxes = picture.transpose(-1, -2), boxes[:, [1, 0, 3, 2]]
    return picture[torch.from_numpy(rng.permutation(3))], Target(target.labels, boxes)


def scaled(pictures: Tensor) -> Tensor:
    return (pictures.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def measured(model: TinyDetr, seeds: range) -> dict[str, float]:
    """AP50, AP75 and how often the number of objects is right."""
    pictures, targets = drawn(seeds)
    found, truth, right = [], [], 0
    for start in range(0, len(targets), 100):
        output = model(scaled(pictures[start : start + 100]))
        for b, target in enumerate(targets[start : start + 100]):
            said = postprocess(output.pred_logits[-1, b], output.pred_boxes[-1, b], image_size=(1, 1))
            found.append(said)
            truth.append((target.labels, cxcywh_to_xyxy(target.boxes)))
            right += int((said.scores > 0.5).sum()) == len(target.labels)
    ap = {
        f"ap{round(100 * t)}": average_precision(found, truth, num_classes=len(CLASSES), iou_threshold=t).mean
        for t in (0.5, 0.75)
    }
    return {**ap, "exact_count": right / len(targets)}


def train(model: TinyDetr, data: tuple[Tensor, list[Target]], stage: int, log: Callable[[str], None]) -> None:
    """One stage: a warm-up, then a half cosine down to 0."""
    steps, rate, eos = STAGES[stage]
    rng = np.random.default_rng(SEED + stage)
    pictures, targets = data
    log(f"stage {stage}: {steps} steps of {BATCH} scenes, learning rate {rate}, weight of ∅ {eos}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(
            (step + 1) / WARM_UP, 0.5 * (1 + math.cos(math.pi * max(0, step - WARM_UP) / (steps - WARM_UP)))
        ),
    )
    queue: list[int] = []
    for step in range(1, steps + 1):
        if len(queue) < BATCH:
            queue += rng.permutation(len(targets)).tolist()
        batch = [varied(pictures[i], targets[i], rng) for i in queue[:BATCH]]
        del queue[:BATCH]
        output = model(scaled(torch.stack([picture for picture, _ in batch])))
        loss = set_loss(output.pred_logits, output.pred_boxes, [target for _, target in batch], eos_coefficient=eos)
        optimizer.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            last = loss.last
            parts = f"class {last.loss_class:.4f}, L1 {last.loss_bbox:.4f}, GIoU {last.loss_giou:.4f}"
            log(f"step {step:5d}: loss {loss.total:.3f}; last layer: {parts}")
        if step % 250 == 0 or step == steps:
            model.eval()
            log("validation: " + ", ".join(f"{k} {v:.4f}" for k, v in measured(model, VALIDATION).items()))
            model.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from-stage", type=int, default=0, help="go on from the stored weights of the stage before")
    first = parser.parse_args().from_stage

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    start = time.perf_counter()
    lines: list[str] = LOG.read_text(encoding="utf-8").splitlines() if first else []
    path = MODELS / "tiny_detr.safetensors"
    MODELS.mkdir(exist_ok=True)

    def log(text: str) -> None:
        lines.append(f"{time.perf_counter() - start:7.0f} s  {text}")
        print(lines[-1], flush=True)
        LOG.write_text("\n".join(lines) + "\n", encoding="utf-8")

    log(f"torch {torch.__version__}, {platform.machine()}, one thread; seed {SEED}")
    data = drawn(range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + SCENES))
    log(f"{SCENES} scenes of seed {FIRST_TRAINING_SEED} and on, {sum(len(t.labels) for t in data[1])} objects")
    model = TinyDetr()
    log(f"{sum(p.numel() for p in model.parameters())} parameters")
    for stage in range(first, len(STAGES)):
        if stage:
            model = load_tiny_detr(load_file(path)).train().requires_grad_(True)
        model = model.to(memory_format=torch.channels_last)
        train(model, data, stage, log)
        save_file({name: value.detach().half().contiguous() for name, value in model.state_dict().items()}, path)

    weights = load_file(path)
    result = measured(load_tiny_detr(weights), HELD_OUT)
    log(f"held out, seeds {HELD_OUT.start} to {HELD_OUT.stop - 1}, half-precision weights: {result}")
    about = {
        "made_with": "python -m training.tiny_detr",
        "seed": SEED,
        "parameters": sum(v.numel() for v in weights.values()),
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "training": {"scenes": SCENES, "first_seed": FIRST_TRAINING_SEED, "batch": BATCH},
        "stages": [{"steps": steps, "rate": rate, "eos_coefficient": eos} for steps, rate, eos in STAGES],
        "held_out": {"first_seed": HELD_OUT.start, "scenes": len(HELD_OUT), **{k: round(v, 4) for k, v in result.items()}},
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
