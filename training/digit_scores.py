"""Trains the small denoiser of 8×8 digits on scikit-learn's digits, and writes it with its training set and its losses.

Run `nice python -m training.digit_scores` (about five minutes on one thread); it rewrites assets/models/digit_scores.safetensors
and prints a log. The seed fixes the split, the first weights, the batches and the noise. The weights kept are the moving average
with the lowest loss on a validation set; the losses written beside them are on the training set, where the best possible loss is
known, and on digits that were used for nothing else.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor

from core.generative.digit_scores import PIXELS, DenoiserReport, DigitDenoiser, denoiser_report, untrained_weights

MODEL = Path(__file__).parents[1] / "assets" / "models" / "digit_scores.safetensors"
SEED = 0
HIDDEN, BLOCKS = 208, 3
TRAIN, VALIDATION = 1400, 200  # of 1797; the rest is for the test
UPDATES, BATCH, RATE, REPORT = 16_000, 256, 2e-3, 1_000
AVERAGE = 0.998  # of the moving average of the weights
LOG_SIGMA_MEAN, LOG_SIGMA_STD = -0.9, 1.1
SIGMAS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)


def split() -> tuple[Tensor, Tensor, Tensor, float]:
    """Training, validation and test digits in [−1, 1], and the spread of the training set."""
    images = torch.from_numpy(load_digits().images.reshape(-1, PIXELS).astype(np.float32) / 8 - 1)
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(images)))
    train, validation, test = images[order].split([TRAIN, VALIDATION, len(images) - TRAIN - VALIDATION])
    return train, validation, test, float(train.std())


def train_weights(train: Tensor, validation: Tensor, spread: float) -> tuple[dict[str, Tensor], int]:
    """The averaged weights with the lowest validation loss, and after how many updates that was."""
    weights = {
        name: tensor.requires_grad_()
        for name, tensor in untrained_weights(hidden=HIDDEN, blocks=BLOCKS, seed=SEED).items()
    }
    average = {name: tensor.detach().clone() for name, tensor in weights.items()}
    live = DigitDenoiser(weights, spread, BLOCKS)
    adam = torch.optim.AdamW(weights.values(), RATE, weight_decay=0.05)
    rates = torch.optim.lr_scheduler.LambdaLR(adam, lambda i: 0.5 * (1 + math.cos(math.pi * min(1.0, i / UPDATES))))
    best, best_loss, best_at, losses, start = average, math.inf, 0, [], time.perf_counter()
    for update in range(1, UPDATES + 1):
        rng = np.random.default_rng((SEED, update))
        x = train[torch.from_numpy(rng.integers(0, len(train), BATCH))]
        sigma = torch.from_numpy(np.exp(LOG_SIGMA_MEAN + LOG_SIGMA_STD * rng.standard_normal(BATCH))).float()
        z = torch.from_numpy(rng.standard_normal((BATCH, PIXELS))).float()
        weight = (sigma**2 + spread**2) / (sigma * spread) ** 2  # arXiv:2206.00364: 1/c_out²
        loss = (weight * (live(x + sigma[:, None] * z, sigma) - x).square().mean(-1)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        rates.step()
        losses.append(float(loss.detach()))
        keep = min(AVERAGE, update / (update + 10))
        with torch.no_grad():
            for name, tensor in weights.items():
                average[name].lerp_(tensor, 1 - keep)
        if update % REPORT == 0:
            report = denoiser_report(
                DigitDenoiser(average, spread, BLOCKS), train, validation, SIGMAS, seed=SEED, draws=2
            )
            unseen = weighted(report)
            print(
                f"{update:6d} updates {time.perf_counter() - start:5.0f} s  loss {sum(losses) / len(losses):.4f}  "
                f"validation {unseen:.4f}  excess on the training set {report.mean_excess:.5f}",
                flush=True,
            )
            losses.clear()
            if unseen < best_loss:
                best, best_loss, best_at = {name: tensor.clone() for name, tensor in average.items()}, unseen, update
    return best, best_at


def weighted(report: DenoiserReport) -> float:
    """Loss on unseen digits over the noise levels, each counted as in training."""
    return float(np.mean([loss * (1 + 1 / s**2) for loss, s in zip(report.test, report.sigmas, strict=True)]))


def main() -> None:
    torch.set_num_threads(1)
    train, validation, test, spread = split()
    weights, updates = train_weights(train, validation, spread)
    report = denoiser_report(DigitDenoiser(weights, spread, BLOCKS), train, test, SIGMAS, seed=SEED + 1, draws=8)
    losses = {
        name: [round(v, 6) for v in getattr(report, name)]
        for name in ("sigmas", "train", "test", "optimum", "excess", "memoriser")
    }
    print(f"kept the weights after {updates} updates", json.dumps(losses), sep="\n")
    digits = {name: ((part + 1) * 8).round().to(torch.uint8) for name, part in (("train", train), ("test", test))}
    MODEL.parent.mkdir(exist_ok=True)
    save_file(
        {
            name: tensor.contiguous()
            for name, tensor in (weights | {f"digits.{k}": v for k, v in digits.items()}).items()
        },
        str(MODEL),
        metadata={"sigma_data": repr(spread), "updates": str(updates), "seed": str(SEED), "losses": json.dumps(losses)},
    )


if __name__ == "__main__":
    main()
