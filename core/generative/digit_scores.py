"""A small network that denoises 8×8 digits at every noise level, and how far it is from the best possible.

Its weights come from `training/digit_scores.py`. On its own training set the best possible denoiser is known exactly
(`empirical`), so the excess is measured, not guessed; on digits it never saw the best possible is unknown and only the loss is.
Source: Karras et al., arXiv:2206.00364, table 1 (preconditioning) and eq. 2–3; scikit-learn's digits.
Notation: D_θ network, D* optimal denoiser of the training set, c_skip, c_out, c_in, c_noise preconditioning.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from core.generative.empirical import EmpiricalDenoiser, empirical_denoiser
from core.generative.noise import particle_normals

PIXELS = 64
FREQUENCIES = 8


@dataclass(frozen=True, slots=True)
class DigitDenoiser:
    """D_θ(x; σ) = c_skip·x + c_out·F(c_in·x, c_noise), F an MLP with residual blocks; made by `digit_denoiser`."""

    weights: Mapping[str, Tensor]  # "in.weight", "in.bias", "block0.weight", …, "out.weight", "out.bias"
    sigma_data: float  # spread of the data that it was trained for
    blocks: int

    def __call__(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """(N, 64) noisy digits around [−1, 1] and one σ, or (N,) of them -> (N, 64) denoised"""
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))[:, None]
        total = s * s + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / total, s * self.sigma_data / total.sqrt(), 1 / total.sqrt()
        turns = s.log() / 4 * (2.0 ** torch.arange(FREQUENCIES, dtype=x.dtype, device=x.device))
        h = self._linear("in", torch.cat([c_in * x, turns.sin(), turns.cos()], 1))
        for i in range(self.blocks):
            h = h + self._linear(f"block{i}", functional.silu(h))
        return c_skip * x + c_out * self._linear("out", functional.silu(h))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(
            x, self.weights[f"{name}.weight"].to(x.dtype), self.weights[f"{name}.bias"].to(x.dtype)
        )

    @property
    def parameters(self) -> int:
        return sum(tensor.numel() for tensor in self.weights.values())


def digit_denoiser(weights: Mapping[str, Tensor], *, sigma_data: float) -> DigitDenoiser:
    """A denoiser from named weights, checked.

    Args:
        weights: as in assets/models/digit_scores.safetensors; other names are left out.
        sigma_data: spread of the data, above 0.

    Raises:
        ValueError: if a weight is missing, shapes do not fit, or the spread is not positive.

    Source: arXiv:2206.00364 table 1.
    Differs: an MLP instead of a U-Net.

    >>> digit_denoiser(untrained_weights(hidden=16, blocks=1, seed=0), sigma_data=0.75).parameters
    2656
    """
    if not sigma_data > 0:
        raise ValueError(f"sigma_data must be above 0, got {sigma_data}")
    blocks = sum(1 for name in weights if name.startswith("block") and name.endswith(".weight"))
    names = ["in", *(f"block{i}" for i in range(blocks)), "out"]
    kept: dict[str, Tensor] = {}
    for name in names:
        for part in ("weight", "bias"):
            if f"{name}.{part}" not in weights:
                raise ValueError(f"weights must hold {name}.{part}, got {sorted(weights)}")
            kept[f"{name}.{part}"] = weights[f"{name}.{part}"]
    hidden = kept["in.bias"].shape[0]
    wanted = {"in": (hidden, PIXELS + 2 * FREQUENCIES), "out": (PIXELS, hidden)}
    for name in names:
        shape = wanted.get(name, (hidden, hidden))
        if kept[f"{name}.weight"].shape != shape or kept[f"{name}.bias"].shape != shape[:1]:
            raise ValueError(f"{name}.weight must have the shape {shape}, got {tuple(kept[f'{name}.weight'].shape)}")
    return DigitDenoiser(kept, sigma_data, blocks)


def untrained_weights(*, hidden: int, blocks: int, seed: int) -> dict[str, Tensor]:
    """Weights to start training from: N(0, 1/fan_in), the last layer 0, so that D = c_skip·x.

    Args:
        hidden: width, ≥ 1.
        blocks: residual blocks, ≥ 0.
        seed: of the weights.

    Raises:
        ValueError: if a size is out of range.

    Source: own.
    Differs: nothing.

    >>> {name: tuple(tensor.shape) for name, tensor in untrained_weights(hidden=4, blocks=0, seed=0).items()}
    {'in.weight': (4, 80), 'in.bias': (4,), 'out.weight': (64, 4), 'out.bias': (64,)}
    """
    if hidden < 1 or blocks < 0:
        raise ValueError(f"hidden must be at least 1 and blocks not negative, got {hidden} and {blocks}")
    found: dict[str, Tensor] = {}
    shapes = {"in": (hidden, PIXELS + 2 * FREQUENCIES)} | {f"block{i}": (hidden, hidden) for i in range(blocks)}
    for i, (name, shape) in enumerate((shapes | {"out": (PIXELS, hidden)}).items()):
        normals = particle_normals(seed, (i, 14), shape).float()
        found[f"{name}.weight"] = normals * (0.0 if name == "out" else 1 / math.sqrt(shape[1]))
        found[f"{name}.bias"] = torch.zeros(shape[0])
    return found


@dataclass(frozen=True, slots=True)
class DenoiserReport:
    """Losses of a denoiser at several noise levels, per pixel; all are E|D − x_0|²/(64 σ_data²)."""

    sigmas: tuple[float, ...]
    train: tuple[float, ...]  # loss on the training set
    test: tuple[float, ...]  # loss on digits never seen
    optimum: tuple[float, ...]  # loss of the optimal denoiser on the training set: nothing can be lower there
    excess: tuple[float, ...]  # E|D_θ − D*|² on the training set: train minus optimum, on average over the noise
    memoriser: tuple[float, ...]  # loss of the training set's optimal denoiser on digits never seen

    @property
    def mean_excess(self) -> float:
        """Mean excess over the levels."""
        return sum(self.excess) / len(self.excess)


def denoiser_report(
    denoiser: DigitDenoiser, train: Tensor, test: Tensor, sigmas: Sequence[float], *, seed: int, draws: int = 1
) -> DenoiserReport:
    """Measure a denoiser against the best possible one where that is known.

    Args:
        denoiser: D_θ.
        train: (N, 64) digits it was trained on.
        test: (M, 64) digits it was not.
        sigmas: noise levels, above 0.
        seed: of the noise.
        draws: noisy copies of every digit, ≥ 1.

    Raises:
        ValueError: if a set is empty, a σ is not positive, or there is no draw.

    Source: arXiv:2206.00364 eq. 2 and 57.
    Differs: nothing.

    >>> digits = torch.sin(torch.arange(640.0)).reshape(10, 64)
    >>> fresh = digit_denoiser(untrained_weights(hidden=8, blocks=0, seed=0), sigma_data=0.7)
    >>> report = denoiser_report(fresh, digits[:8], digits[8:], [0.5], seed=0)
    >>> print([round(v[0], 3) for v in (report.train, report.optimum, report.excess)])
    [0.349, 0.0, 0.349]
    """
    if not len(train) or not len(test):
        raise ValueError(f"train and test must not be empty, got {len(train)} and {len(test)} digits")
    if not sigmas or min(sigmas) <= 0 or draws < 1:
        raise ValueError(
            f"sigmas must be at least one and above 0 and draws at least 1, got {list(sigmas)} and {draws}"
        )
    best = empirical_denoiser(train)
    unit = PIXELS * denoiser.sigma_data**2

    def distance(a: Tensor, b: Tensor) -> float:
        return float((a - b).square().sum(-1).mean()) / unit

    columns: list[list[float]] = [[] for _ in range(5)]
    for sigma in sigmas:
        sums = [0.0] * 5
        for draw in range(draws):
            seen = train + sigma * particle_normals(seed, (draw, 15), train.shape).to(train.dtype)
            unseen = test + sigma * particle_normals(seed, (draw, 16), test.shape).to(test.dtype)
            d, d_best, d_unseen = denoiser(seen, sigma), best(seen, sigma), denoiser(unseen, sigma)
            found = (
                distance(d, train),
                distance(d_unseen, test),
                distance(d_best, train),
                distance(d, d_best),
                distance(best(unseen, sigma), test),
            )
            sums = [a + b / draws for a, b in zip(sums, found, strict=True)]
        for column, value in zip(columns, sums, strict=True):
            column.append(value)
    seen_loss, unseen_loss, optimum, excess, memoriser = (tuple(column) for column in columns)
    return DenoiserReport(tuple(sigmas), seen_loss, unseen_loss, optimum, excess, memoriser)


@dataclass(frozen=True, slots=True)
class Novelty:
    """Whether samples are new: how far each is from the nearest training digit."""

    nearest: Tensor  # (N,) index of the nearest training digit
    distance: Tensor  # (N,) root mean square difference per pixel
    typical: float  # median of the same between a training digit and its nearest other one
    copied: float  # share of the samples closer than a quarter of that: copies


def novelty(samples: Tensor, train: EmpiricalDenoiser) -> Novelty:
    """Tell new samples from copies of the training set.

    Args:
        samples: (N, 64), at least one.
        train: the training set.

    Raises:
        ValueError: if there is no sample, or fewer than two training digits.

    Source: own.
    Differs: nothing.

    >>> train = empirical_denoiser(torch.eye(3, 64))
    >>> novelty(torch.eye(3, 64)[:1], train).copied
    1.0
    """
    if not len(samples) or len(train.data) < 2:
        raise ValueError(f"there must be at least one sample and two digits, got {len(samples)} and {len(train.data)}")
    root = math.sqrt(samples.shape[1])
    exact = "donot_use_mm_for_euclid_dist"
    distance, nearest = torch.cdist(samples, train.data, compute_mode=exact).min(-1)
    among = torch.cdist(train.data, train.data, compute_mode=exact)
    among.fill_diagonal_(math.inf)
    typical = float(among.amin(-1).median()) / root
    return Novelty(nearest, distance / root, typical, float((distance / root < typical / 4).double().mean()))
