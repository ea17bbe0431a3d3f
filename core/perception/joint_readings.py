"""The same joint written down and read back in every way at once, by a network that answers with its labels.

Source: own arrangement of `heatmap_keypoints` and `simcc`.
Notation: T truths, D decoders, W × H input in px, s stride, k split ratio. A second mode at distance δ has the share a of all belief.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from core.perception.boxes import Array, as_floats
from core.perception.heatmap_keypoints import Center, Size, decode_heatmap, encode_heatmap, soft_argmax
from core.perception.keypoint_metrics import expected_oks, person_area
from core.perception.quantization_error import QuantizationLaw, quantization_law
from core.perception.simcc import bin_counts, decode_simcc, encode_simcc

Floats: TypeAlias = npt.NDArray[np.float64]

DECODERS = ("argmax", "shift", "dark", "soft", "simcc", "regression")
PART = 200  # truths that are drawn together


@dataclass(frozen=True, slots=True)
class PoseCodec:
    """How joints are written down and read back."""

    input_size: Size = (192, 256)  # W, H, px
    stride: int = 4  # s, px of the input a cell of the heatmap
    sigma: float = 2.0  # of the heatmap's bump, cells
    center: Center = "rounded"  # of the heatmap's bump
    border: Literal["hrnet", "mmpose"] = "hrnet"  # of the quarter shift
    beta: float = 10.0  # β of soft-argmax
    split_ratio: float = 2.0  # k
    smoothing: float = 0.1  # ε of SimCC's label smoothing
    simcc_sigma: float | None = None  # of SimCC*'s Gaussian, bins; None: label smoothing
    simcc_center: Center = "rounded"  # of SimCC*'s Gaussian
    simcc_decoder: Literal["argmax", "dark"] = "argmax"

    @property
    def heatmap_size(self) -> Size:
        """(width, height) of the heatmap, cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def blur_kernel(self) -> int:
        """Bins that DARK blurs SimCC*'s axes with, as MMPose has it."""
        size = int((20 * (self.simcc_sigma or 2.0) - 7) // 3)
        return max(1, size - (size % 2 == 0))


@dataclass(frozen=True, slots=True)
class JointReadings:
    """Labels of T truths, as a network would answer, and what each decoder reads in them."""

    truth: Floats  # (T, 2) x, y, px
    heatmaps: Floats  # (T, H/s, W/s)
    simcc_x: Floats  # (T, W·k)
    simcc_y: Floats  # (T, H·k)
    found: Floats  # (D, T, 2) x, y, px, in the order of DECODERS
    second: Floats  # (T, 2) the second mode, px; the truth itself without one


@dataclass(frozen=True, slots=True)
class LabelMemory:
    """Numbers that one picture's labels consist of."""

    heatmap: int  # K·(H/s)·(W/s)
    simcc: int  # K·(W + H)·k
    regression: int  # 2·K
    ratio: float  # heatmap / simcc


def joint_readings(
    truth: Array,
    codec: PoseCodec,
    *,
    offset: tuple[float, float] = (0.0, 0.0),
    share: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> JointReadings:
    """Write each truth down, believe a second place to some degree, add noise, and read it back by every decoder.

    Convention: a belief in two places is the sum of their labels, (1 − a) of the truth's and a of that of the truth moved
    by `offset`; on SimCC's axes too, which know nothing of each other. Regression answers with their mean, which is least
    in L2 (L1 would take the likelier one). Noise is Gaussian, its spread a share of the label's height, from a generator
    of its own for each truth, so that a truth has the same noise wherever it stands in the list; regression has none.

    Args:
        truth: (T, 2) x, y inside the input, px.
        codec: how.
        offset: δ of the second place, px.
        share: a, in 0 to 1.
        noise: share of the label's height, 0 or more.
        seed: of the noise, not negative.

    Raises:
        TypeError, ValueError: if a truth is not inside the input or a number is out of range.

    Source: own.
    Differs: a real network's answers are no labels; this one's only errors are those of writing and reading.

    >>> seen = joint_readings([[50.3, 61.9]], PoseCodec(center="exact"))
    >>> for name, point in zip(DECODERS, seen.found[:, 0], strict=True):
    ...     print(name, point.round(2))
    argmax [52. 60.]
    shift [51. 61.]
    dark [50.3 61.9]
    soft [52.36 64.91]
    simcc [50.5 62. ]
    regression [50.3 61.9]
    """
    points = as_floats(truth, name="truth")
    size = np.array(codec.input_size)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"truth must have shape (T, 2), got {points.shape}")
    if not ((points >= 0) & (points < size)).all():
        raise ValueError(f"truth must lie inside {codec.input_size[0]} × {codec.input_size[1]} px")
    if not (0 <= share <= 1 and 0 <= noise < np.inf and seed >= 0):
        raise ValueError(f"needs share in 0..1, noise >= 0 and seed >= 0, got {share=}, {noise=}, {seed=}")
    other = np.minimum(np.maximum(points + offset, 0.0), size - 1e-9) if share else points
    heat, x, y = _labels(points, codec)
    if share:
        for mine, theirs in zip((heat, x, y), _labels(other, codec), strict=True):
            mine *= 1 - share
            mine += share * theirs
    if noise:
        heights = [np.array([float(label.max()) for label in a]) for a in (heat, x, y)]
        for t, point in enumerate(points):
            rng = np.random.default_rng([seed, *(int(v) for v in np.rint(point * 1e4))])
            for label, height in zip((heat, x, y), heights, strict=True):
                label[t] += noise * height[t] * rng.standard_normal(label[t].shape)
    stride = np.array(codec.input_size) / codec.heatmap_size
    read = [
        decode_heatmap(heat, input_size=codec.input_size, decoder=how, border=codec.border).keypoints
        for how in ("argmax", "shift", "dark")
    ]
    read.append(soft_argmax(heat, beta=codec.beta).keypoints * stride)
    read.append(
        decode_simcc(
            x, y, split_ratio=codec.split_ratio, decoder=codec.simcc_decoder, blur_kernel=codec.blur_kernel
        ).keypoints
    )
    read.append((1 - share) * points + share * other)
    return JointReadings(points, heat, x, y, np.stack(read), np.asarray(other, np.float64))


def decoder_errors(codec: PoseCodec, *, count: int, seed: int = 0, margin: float = 12.0) -> JointReadings:
    """Readings of random truths, uniform in the input less a margin; their labels are not kept.

    Args:
        codec: how.
        count: T, at least 1.
        seed: of the truths, not negative.
        margin: px that the truths keep from the border, less than half of a side.

    Raises:
        ValueError: if a number is out of range.

    Source: own.
    Differs: nothing left out.

    >>> seen = decoder_errors(PoseCodec(), count=500)
    >>> print(abs(seen.found[0] - seen.truth).mean().round(2), abs(seen.found[4] - seen.truth).mean().round(3))
    1.0 0.126
    """
    if count < 1 or seed < 0 or not 0 <= margin < min(codec.input_size) / 2:
        raise ValueError(f"needs count >= 1, seed >= 0 and a margin inside the input, got {count=}, {seed=}, {margin=}")
    room = np.array(codec.input_size) - 2 * margin
    rng = np.random.default_rng(seed)
    truth: Floats = margin + rng.random((count, 2)) * room
    found = [joint_readings(truth[i : i + PART], codec).found for i in range(0, count, PART)]
    nothing = np.zeros((count, 0))
    return JointReadings(truth, np.zeros((count, 0, 0)), nothing, nothing, np.concatenate(found, axis=1), truth)


def decoder_laws(codec: PoseCodec) -> tuple[QuantizationLaw | None, ...]:
    """What each decoder's bins cost a perfect network, in the order of DECODERS; None for soft-argmax, whose error is a bias.

    Convention: the quarter shift halves a bin only where the label's peak was not rounded: a rounded bump is symmetrical and
    moves nothing. DARK has no bins on unrounded labels, and the heatmap's on rounded ones; so has SimCC* with DARK.

    Args:
        codec: how.

    Source: own; measured against MMPose's codecs.
    Differs: borders, where decoders behave otherwise, are not in the laws.

    >>> for name, law in zip(DECODERS, decoder_laws(PoseCodec(center="exact")), strict=True):
    ...     print(name, None if law is None else law.width)
    argmax 4.0
    shift 2.0
    dark 0.0
    soft None
    simcc 0.5
    regression 0.0
    """
    stride, exact = float(codec.stride), codec.center == "exact"
    free = codec.simcc_sigma is not None and codec.simcc_center == "exact" and codec.simcc_decoder == "dark"
    widths = (stride, stride / 2 if exact else stride, 0.0 if exact else stride, None)
    widths = (*widths, 0.0 if free else 1 / codec.split_ratio, 0.0)
    return tuple(None if width is None else quantization_law(width) for width in widths)


def expected_oks_curve(sizes: Sequence[Size], widths: Sequence[float]) -> Floats:
    """(N, M) expected OKS of a perfect network: N input sizes, M widths of a bin.

    Convention: the person that fills the input is that of `person_area`.

    Args:
        sizes: (width, height) of inputs, px.
        widths: of the bins, px, 0 or more.

    Raises:
        ValueError: as `expected_oks` and `person_area`.

    Source: own.
    Differs: nothing left out.

    >>> print(expected_oks_curve([(64, 64), (192, 256)], [4, 2, 1, 0.5]).round(3))
    [[0.822 0.944 0.985 0.996]
     [0.985 0.996 0.999 1.   ]]
    """
    rows = [[expected_oks(width / 2, person_area(size)).oks for width in widths] for size in sizes]
    return np.reshape(np.array(rows, np.float64), (len(sizes), len(widths)))


def label_memory(codec: PoseCodec, *, joints: int = 17) -> LabelMemory:
    """How many numbers the labels of one picture consist of.

    Convention: numbers, not bytes: all of them have the same type in a given code.

    Args:
        codec: sizes, stride and split ratio.
        joints: K, at least 1.

    Raises:
        ValueError: if joints is below 1.

    Source: own.
    Differs: weights are not counted.

    >>> print(label_memory(PoseCodec()))
    LabelMemory(heatmap=52224, simcc=15232, regression=34, ratio=3.4285714285714284)
    """
    if joints < 1:
        raise ValueError(f"joints must be 1 or more, got {joints}")
    columns, rows = codec.heatmap_size
    bins = sum(bin_counts(codec.input_size, codec.split_ratio))
    return LabelMemory(joints * columns * rows, joints * bins, 2 * joints, columns * rows / bins)


def wandering_path(center: tuple[float, float], *, steps: int, reach: float) -> Floats:
    """(T, 2) a way around a place that ends there: what a hand that does not keep still would draw.

    Convention: a ball between four walls at ±reach, 2½ times to and fro along x and 3½ times along y: it spends the same time
    everywhere, so that errors along the way are spread as those of random places.

    Args:
        center: x, y, any unit.
        steps: T, at least 1.
        reach: the same unit.

    Raises:
        ValueError: if steps is below 1.

    Source: own.
    Differs: nothing left out.

    >>> print(wandering_path((10.0, 20.0), steps=3, reach=2.0).round(2))
    [[ 8.67 21.33]
     [ 8.67 21.33]
     [10.   20.  ]]
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}")
    t = np.arange(1, steps + 1) / steps
    waves = [np.arcsin(np.sin(2 * np.pi * rate * t)) * (2 / np.pi) for rate in (2.5, 3.5)]
    return np.array(center) + reach * np.stack(waves, axis=1)


def _labels(points: Floats, codec: PoseCodec) -> tuple[Floats, Floats, Floats]:
    seen = np.ones(len(points))
    heat = encode_heatmap(
        points,
        seen,
        input_size=codec.input_size,
        heatmap_size=codec.heatmap_size,
        sigma=codec.sigma,
        center=codec.center,
    )
    bins = encode_simcc(
        np.minimum(points, np.array(codec.input_size) - 1 / codec.split_ratio),  # the last bin, not the one after it
        seen,
        input_size=codec.input_size,
        split_ratio=codec.split_ratio,
        smoothing=codec.smoothing,
        sigma=codec.simcc_sigma,
        center=codec.simcc_center,
    )
    return heat.heatmaps, bins.simcc_x, bins.simcc_y
