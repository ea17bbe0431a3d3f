"""SimCC: a joint as two classifications, one along x and one along y, with bins finer than a pixel.

Source: Li et al. 2022, "SimCC: a simple coordinate classification perspective for human pose estimation", arXiv:2107.03332;
Jiang et al. 2023 (RTMPose), arXiv:2303.07399; leeyegy/SimCC lib/dataset, lib/core; open-mmlab/mmpose codecs/simcc_label.py.
Notation: k the split ratio (bins a pixel), c = x·k the bin, W·k and H·k bins. Bin b stands for b/k px, without half a bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats
from core.perception.heatmap_keypoints import Center, Outside, Size, as_keypoints, as_size

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = npt.NDArray[np.float64]
Reduction: TypeAlias = Literal["official", "mmpose", "kl"]

FINEST = 64.0  # bins a pixel
LOW, HIGH = 1e-3, 50.0  # MMPose's limits of a distribution before DARK's logarithm


@dataclass(frozen=True, slots=True)
class SimCCLabels:
    """What a SimCC head is trained with."""

    simcc_x: Floats  # (K, W·k) label of each column bin; all 0 where the weight is 0
    simcc_y: Floats  # (K, H·k) label of each row bin
    weights: Floats  # (K,) 1: the joint counts in the loss, 0: it does not
    centers: Floats  # (K, 2) the bins of x and y, not whole if center is "exact"; NaN where the weight is 0


@dataclass(frozen=True, slots=True)
class SimCCDecoding:
    """Joints as they are read off two distributions each."""

    keypoints: Floats  # (K, 2) x, y in input px; −1/k where nothing is above 0
    scores: Floats  # (K,) the smaller of the two highest values
    bins: Floats  # (K, 2) the highest bin of x and of y; −1 where nothing is above 0
    offsets: Floats  # (K, 2) what DARK added, in bins


def bin_counts(input_size: Size, split_ratio: float) -> tuple[int, int]:
    """How many bins x and y have: the sides times k, rounded half to even.

    Args:
        input_size: (width, height), px.
        split_ratio: k, in 1/64 to 64 bins a pixel.

    Raises:
        ValueError: if either is out of range, or an axis gets less than two bins.

    Source: open-mmlab/mmpose codecs/simcc_label.py.
    Differs: the official code cuts instead of rounding; equal for whole k.

    >>> print(bin_counts((192, 256), 2.0), bin_counts((5, 7), 1.5))
    (384, 512) (8, 10)
    """
    size = as_size(input_size, name="input_size")
    if not 1 / FINEST <= split_ratio <= FINEST:
        raise ValueError(f"split_ratio must lie in 1/64 to 64, got {split_ratio}")
    columns, rows = (int(np.around(side * split_ratio)) for side in size)
    if min(columns, rows) < 2:
        raise ValueError(f"split_ratio must give two bins or more an axis, got {columns} and {rows}")
    return columns, rows


def encode_simcc(
    keypoints: Array,
    visible: Array,
    *,
    input_size: Size,
    split_ratio: float = 2.0,
    smoothing: float = 0.1,
    sigma: float | tuple[float, float] | None = None,
    center: Center = "rounded",
    outside: Outside = "image",
    normalize: bool = True,
) -> SimCCLabels:
    """Label each joint by a bin of x and a bin of y.

    Convention: without `sigma`, label smoothing: 1 − ε on the bin, ε/(n − 1) on each other one. With it, a Gaussian over all
    bins (SimCC*), and `smoothing` is not used; divided by σ√2π (official, MMPose) unless `normalize` is off (RTMPose: height 1).
    Bins are rounded half to even, as NumPy does; "exact" leaves a Gaussian's μ unrounded (official SimCC*; MMPose rounds).
    A joint outside the image has weight 0 ("image"), and so has one whose bin is none; "patch" is MMPose's rule, which asks
    the bin alone, and of a Gaussian only that 3σ bins around it touch the axis.

    Args:
        keypoints: (K, 2) x, y in input px.
        visible: (K,) at least 0.5: labelled.
        input_size: (width, height) of the network's input, px.
        split_ratio: k, bins a pixel.
        smoothing: ε in [0, 1].
        sigma: of the Gaussian, in bins, one for both axes or (x, y); None: label smoothing.
        center: whether μ is rounded; label smoothing always rounds.
        outside: which joints have weight 0.
        normalize: whether a Gaussian is divided by σ√2π.

    Raises:
        TypeError, ValueError: as `as_keypoints` and `bin_counts`; ValueError if smoothing or sigma is out of range.

    Source: arXiv:2107.03332 §3.2; leeyegy/SimCC JointsDataset.generate_sa_simdr; open-mmlab/mmpose codecs/simcc_label.py.
    Differs: one person. The official Gaussian path asks whether the unscaled coordinate is inside, with a radius of 3σ.

    >>> label = encode_simcc([[1.25, 0.75]], [1], input_size=(4, 2))
    >>> print(label.centers, label.simcc_x.round(4))  # 2.5 and 1.5: half to even
    [[2. 2.]] [[0.0143 0.0143 0.9    0.0143 0.0143 0.0143 0.0143 0.0143]]
    """
    points, labelled = as_keypoints(keypoints, visible)
    counts = bin_counts(input_size, split_ratio)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must lie in 0 to 1, got {smoothing}")
    spread = (0.0, 0.0) if sigma is None else sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if sigma is not None and not all(0 < s < np.inf for s in spread):
        raise ValueError(f"sigma must be above 0, got {sigma}")
    mu: Floats = np.where(labelled[:, None], points, 0.0) * split_ratio  # (K, 2)
    if sigma is None or center == "rounded":
        mu = np.asarray(np.around(mu), np.float64)
    reach, beyond = (0.0, 0.0) if sigma is None else (3 * np.array(spread), 1.0)
    counted = labelled & ((mu - reach < counts) & (mu + reach + beyond >= 0)).all(axis=1)
    if outside == "image":
        counted &= ((points >= 0) & (points < input_size)).all(axis=1)
    axes: list[Floats] = []
    for side in (0, 1):
        n, s, m = int(counts[side]), spread[side], mu[:, side]
        if sigma is None:
            axis = np.full((len(points), n), smoothing / (n - 1))
            axis[counted, m[counted].astype(np.int64)] = 1 - smoothing
        else:
            axis = np.exp(((np.arange(n) - m[:, None]) / s) ** 2 / -2)
            axis /= s * np.sqrt(2 * np.pi) if normalize else 1.0
        axis[~counted] = 0
        axes.append(axis)
    centers = np.where(counted[:, None], mu, np.nan)
    return SimCCLabels(axes[0], axes[1], counted.astype(np.float64), centers)


def decode_simcc(
    simcc_x: Array,
    simcc_y: Array,
    *,
    split_ratio: float,
    decoder: Literal["argmax", "dark"] = "argmax",
    blur_kernel: int = 11,
) -> SimCCDecoding:
    """Read joints off two distributions each: the highest bins, divided by k.

    Convention: the first of several highest bins. The score is the smaller of the two heights; where it is not above 0, both
    bins are −1 (MMPose). "dark" blurs each axis with a Gaussian of `blur_kernel` bins, scales it back to its old height,
    keeps it in [0.001, 50] and jumps to the top of the parabola through its logarithm, with second differences two bins wide
    and the last value repeated beyond the ends.

    Args:
        simcc_x: (K, W·k) finite, probabilities or scores; every row for itself.
        simcc_y: (K, H·k).
        split_ratio: k, bins a pixel.
        decoder: argmax, or dark.
        blur_kernel: odd; of dark only. MMPose takes ⌊(20σ − 7)/3⌋, less 1 if even.

    Raises:
        TypeError, ValueError: if they are not two lists of K distributions, or an option is out of range.

    Source: leeyegy/SimCC lib/core/function.py; open-mmlab/mmpose codecs/utils/post_processing.py, refinement.py.
    Differs: the caller's arrays stay as they are (MMPose's DARK overwrites them); a joint that was not found is not refined.

    >>> label = encode_simcc([[1.25, 0.75]], [1], input_size=(4, 2))
    >>> found = decode_simcc(label.simcc_x, label.simcc_y, split_ratio=2)
    >>> print(found.keypoints, found.scores)
    [[1. 1.]] [0.9]
    """
    axes = [as_distributions(simcc_x, name="simcc_x"), as_distributions(simcc_y, name="simcc_y")]
    if len(axes[0]) != len(axes[1]):
        raise ValueError(f"simcc_x and simcc_y must hold equally many joints, got {len(axes[0])} and {len(axes[1])}")
    if not 1 / FINEST <= split_ratio <= FINEST:
        raise ValueError(f"split_ratio must lie in 1/64 to 64, got {split_ratio}")
    if decoder not in ("argmax", "dark"):
        raise ValueError(f"decoder must be argmax or dark, got {decoder!r}")
    if blur_kernel < 1 or blur_kernel % 2 == 0:
        raise ValueError(f"blur_kernel must be odd, got {blur_kernel}")
    scores = np.minimum(axes[0].max(axis=1), axes[1].max(axis=1))
    found = scores > 0
    bins = np.where(found[:, None], np.stack([axis.argmax(axis=1) for axis in axes], axis=1), -1).astype(np.float64)
    offsets = np.zeros_like(bins)
    if decoder == "dark":
        for side, axis in enumerate(axes):
            for k in np.flatnonzero(found):
                offsets[k, side] = _taylor(axis[k], int(bins[k, side]), blur_kernel)
    return SimCCDecoding((bins + offsets) / split_ratio, scores, bins, offsets)


def simcc_loss(
    pred_x: Tensor,
    pred_y: Tensor,
    target_x: Tensor,
    target_y: Tensor,
    weights: Tensor,
    *,
    reduction: Reduction = "official",
    beta: float = 1.0,
) -> Tensor:
    """How far predicted distributions are from their labels: Kullback–Leibler divergence of x plus that of y.

    Convention: "kl" sums over the bins and averages over pictures and joints. "official" also averages over the bins, which
    makes it as many times smaller as there are bins; "mmpose" does the same but does not divide by the number of pictures N,
    so it is N times "official". All three divide by the number of joints whether they count or not.

    Args:
        pred_x: (N, K, W·k) logits, any float type; gradients pass.
        pred_y: (N, K, H·k) logits.
        target_x, target_y: labels of the same shapes; they need not sum to 1.
        weights: (N, K).
        reduction: how the terms are put together.
        beta: what logits are multiplied by first (RTMPose: 10).

    Raises:
        ValueError: if the shapes disagree, or the reduction is unknown.

    Source: leeyegy/SimCC lib/core/loss.py, KLDiscretLoss; open-mmlab/mmpose models/losses/classification_loss.py.
    Differs: MMPose's label_softmax and masks are left out.

    >>> import torch
    >>> flat, label = torch.zeros(2, 1, 4), torch.eye(4)[:2, None]
    >>> for name in ("kl", "official", "mmpose"):
    ...     print(round(simcc_loss(flat, flat, label, label, torch.ones(2, 1), reduction=name).item(), 4))
    2.7726
    0.6931
    1.3863
    """
    import torch

    if reduction not in ("official", "mmpose", "kl"):
        raise ValueError(f"reduction must be official, mmpose or kl, got {reduction!r}")
    if pred_x.ndim != 3 or pred_x.shape != target_x.shape or pred_y.shape != target_y.shape:
        raise ValueError(
            f"pred_x must be (N, K, bins) like target_x, got {tuple(pred_x.shape)} and {tuple(target_x.shape)}"
        )
    if pred_y.shape[:2] != pred_x.shape[:2] or weights.shape != pred_x.shape[:2]:
        raise ValueError(f"pred_y and weights must begin with {tuple(pred_x.shape[:2])} like pred_x")
    total = pred_x.new_zeros(())
    for pred, target in ((pred_x, target_x), (pred_y, target_y)):
        terms = torch.xlogy(target, target) - target * torch.log_softmax(beta * pred, dim=2)
        each = terms.sum(dim=2) if reduction == "kl" else terms.mean(dim=2)  # (N, K)
        total = total + (each * weights).sum() / weights.shape[1]
    return total if reduction == "mmpose" else total / len(pred_x)


def as_distributions(values: Array, *, name: str) -> Floats:
    """(K, bins) float64.

    Args:
        values: (K, bins) finite numbers, at least one bin; K may be 0.
        name: what to call them in an error.

    Raises:
        TypeError, ValueError: if they are anything else.

    Source: own.
    Differs: nothing left out.

    >>> print(as_distributions([[0.2, 0.8]], name="simcc_x").shape)
    (1, 2)
    """
    array = as_floats(values, name=name)
    if array.ndim != 2 or array.shape[1] < 1:
        raise ValueError(f"{name} must have shape (K, bins), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must hold finite numbers")
    return array


def _taylor(row: Floats, peak: int, kernel: int) -> float:
    """−g/h of the blurred logarithm at the peak, in bins."""
    spread = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8  # OpenCV's σ of a kernel
    window = cv2.getGaussianKernel(kernel, spread, cv2.CV_64F)[:, 0]
    soft = np.convolve(row, window)[kernel // 2 : kernel // 2 + len(row)]
    soft *= row.max() / (soft.max() + 1e-12)
    log = np.pad(np.log(np.minimum(np.maximum(soft, LOW), HIGH)), 2, mode="edge")
    at = peak + 2
    slope, bend = (log[at + 1] - log[at - 1]) / 2, 1e-9 + (log[at + 2] - 2 * log[at] + log[at - 2]) / 4
    return float(-slope / bend)
