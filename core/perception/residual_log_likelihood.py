"""RLE: regression whose loss is learned, by a flow that models how predictions miss.

Source: Li et al. 2021, "Human pose regression with residual log-likelihood estimation", arXiv:2107.11291; Dinh et al. 2017 (RealNVP),
arXiv:1605.08803; Jeff-sjtu/res-loglikelihood-regression (official), open-mmlab/mmpose models/losses/regression_loss.py.
Notation: μ̂ prediction, σ̂ its predicted spread, μ_g truth, x̄ = (μ_g − μ̂)/σ̂ the residual, φ density of the flow,
Q density of the simple distribution that the flow corrects. Logarithms are natural.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

Variant: TypeAlias = Literal["paper", "official", "mmpose"]
Density: TypeAlias = Literal["flow", "laplace", "gauss", "product"]

VARIANTS: tuple[Variant, ...] = ("paper", "official", "mmpose")
MASKS = ((0.0, 1.0), (1.0, 0.0)) * 3  # 1: the coordinate that a coupling leaves alone
HIDDEN = 64
GAIN = 0.01  # of the first weights: the untrained flow is nearly the identity


@dataclass(frozen=True, slots=True)
class ResidualLoss:
    """The loss of each joint, and its parts, as the chosen variant adds them up."""

    loss: Tensor  # (N,) sum of the three parts
    residual: Tensor  # (N, 2) x̄ as the variant defines it: the official code's and MMPose's has the other sign
    flow_part: Tensor  # (N,) −log φ(x̄), twice in "official" and "mmpose"
    simple_part: Tensor  # (N,) −log Q(x̄), with the variant's constants
    sigma_part: Tensor  # (N,) Σ log σ̂, twice in "official" and "mmpose"


@dataclass(frozen=True, slots=True)
class FlowStep:
    """One step of a flow's training."""

    step: int  # 0 before the first update
    loss: float  # mean −log φ over this step's samples, before the update
    flow: RealNVP  # as it is after `step` updates; a copy at the recorded steps only, else the flow in training


class RealNVP(nn.Module):
    """Six affine couplings between the residuals' plane and a standard normal one.

    Convention: as both reference implementations: masks (0, 1), (1, 0) in turn, scale nets 2-64-64-2 with LeakyReLU and a
    tanh at their end, shift nets without; x → z runs through the couplings from the last to the first.
    """

    masks: Tensor

    def __init__(self, *, seed: int = 0) -> None:
        """
        Args:
            seed: of the first weights (Xavier with gain 0.01, zero biases): the global generator is not drawn from.
        """
        super().__init__()
        self.register_buffer("masks", torch.tensor(MASKS))
        generator, sides = torch.Generator().manual_seed(seed), (2, HIDDEN, HIDDEN, 2)
        weights, biases = list[nn.Parameter](), list[nn.Parameter]()
        for inner, outer in pairwise(sides):  # all nets in one array: coupling, scale or shift, inputs, outputs
            limit = GAIN * math.sqrt(6 / (inner + outer))
            first = (2 * torch.rand(len(MASKS), 2, inner, outer, generator=generator) - 1) * limit
            weights.append(nn.Parameter(first))
            biases.append(nn.Parameter(torch.zeros(len(MASKS), 2, 1, outer)))
        self.weights, self.biases = nn.ParameterList(weights), nn.ParameterList(biases)

    def _bend(self, coupling: int, kept: Tensor) -> tuple[Tensor, Tensor]:
        """log scale and shift of one coupling, 0 where its mask keeps the coordinate: 2 × (N, 2)."""
        x = kept.expand(2, *kept.shape)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias[coupling], x, weight[coupling])
            if layer < 2:
                x = nn.functional.leaky_relu(x)
        free = 1 - self.masks[coupling]
        return torch.tanh(x[0]) * free, x[1] * free

    def to_normal(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2) residuals to (N, 2) standard normal points, and (N,) log |det ∂z/∂x|."""
        z, log_det = x, x.new_zeros(x.shape[0])
        for coupling in reversed(range(len(MASKS))):
            kept = self.masks[coupling] * z
            s, t = self._bend(coupling, kept)
            z = kept + (1 - self.masks[coupling]) * (z - t) * torch.exp(-s)
            log_det = log_det - s.sum(dim=1)
        return z, log_det

    def from_normal(self, z: Tensor) -> Tensor:
        """(N, 2) standard normal points to residuals: the inverse of `to_normal`."""
        x = z
        for coupling in range(len(MASKS)):
            kept = self.masks[coupling] * x
            s, t = self._bend(coupling, kept)
            x = kept + (1 - self.masks[coupling]) * (x * torch.exp(s) + t)
        return x

    def log_density(self, x: Tensor) -> Tensor:
        """(N,) log φ of (N, 2) residuals."""
        z, log_det = self.to_normal(x)
        return log_det - 0.5 * (z**2).sum(dim=1) - math.log(2 * math.pi)


def residual_log_likelihood(
    pred: Tensor, sigma: Tensor, target: Tensor, flow: RealNVP, *, variant: Variant = "paper"
) -> ResidualLoss:
    """−log of the likelihood of the truth under the prediction, its spread and the flow.

    Convention: Q is the Laplace density ½e^−|x| of each axis. "paper" is equation 10 as it is written, its normaliser s
    dropped: −log φ(x̄) + Σ(log 2 + |x̄|) + Σ log σ̂. "official" adds log σ̂ twice, counts log φ twice (once an axis), flips x̄,
    and mixes Q's constants: −2 log φ(x̄) + Σ(log √2π + |x̄|/√2) + 2Σ log σ̂. "mmpose" does the same with Laplace's own
    constants: −2 log φ(x̄) + Σ(log 2 + |x̄|) + 2Σ log σ̂. The authors report no effect on AP; σ̂ means something else in each.

    Args:
        pred: μ̂ (N, 2), any unit and float type; gradients pass.
        sigma: σ̂ (N, 2), above 0, the same unit (the networks predict its logit).
        target: μ_g (N, 2).
        flow: φ.
        variant: whose formula.

    Raises:
        ValueError: if the shapes are not one (N, 2), a spread is not above 0, or the variant is unknown.

    Source: arXiv:2107.11291 eq. 8-10; Jeff-sjtu/res-loglikelihood-regression rlepose/models/losses.py (issues 41, 55);
        open-mmlab/mmpose RLELoss (issues 1766, 1825).
    Differs: MMPose divides by σ̂ + 1e-9; weights and the mean over the batch are the caller's.

    >>> pred, sigma, target = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.1, 0.1]]), torch.tensor([[0.05, 0.03]])
    >>> for name in VARIANTS:
    ...     print(name, round(residual_log_likelihood(pred, sigma, target, RealNVP(), variant=name).loss.item(), 3))
    paper -0.411
    official -2.791
    mmpose -3.008
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be paper, official or mmpose, got {variant!r}")
    if pred.ndim != 2 or pred.shape[1] != 2 or not pred.shape == sigma.shape == target.shape:
        raise ValueError(
            f"pred, sigma and target must have one shape (N, 2), got {[tuple(v.shape) for v in (pred, sigma, target)]}"
        )
    if not bool((sigma > 0).all()):
        raise ValueError("sigma must be above 0")
    residual = (target - pred if variant == "paper" else pred - target) / sigma
    times = 1 if variant == "paper" else 2
    size = residual.abs().sum(dim=1)
    simple = math.log(2 * math.pi) + size / math.sqrt(2) if variant == "official" else 2 * math.log(2) + size
    flow_part = -times * flow.log_density(residual)
    sigma_part = times * sigma.log().sum(dim=1)
    return ResidualLoss(flow_part + simple + sigma_part, residual, flow_part, simple, sigma_part)


def log_density(residuals: Tensor, flow: RealNVP, *, kind: Density) -> Tensor:
    """(N,) logarithm of a density of residuals.

    Convention: "laplace" is what L1 assumes (spread 1), "gauss" what L2 assumes, "flow" is φ, "product" is Q·φ as RLE
    multiplies them, without the factor that would make it a density (the paper's s, which it drops too).

    Args:
        residuals: x̄ (N, 2).
        flow: φ; read for "flow" and "product".
        kind: which.

    Raises:
        ValueError: if the kind is unknown or the shape is not (N, 2).

    Source: arXiv:2107.11291 §3.2-3.4.
    Differs: nothing left out.

    >>> for kind in ("laplace", "gauss"):
    ...     print(round(log_density(torch.tensor([[1.0, 0.0]]), RealNVP(), kind=kind).item(), 4))
    -2.3863
    -2.3379
    """
    if residuals.ndim != 2 or residuals.shape[1] != 2:
        raise ValueError(f"residuals must have shape (N, 2), got {tuple(residuals.shape)}")
    laplace = -residuals.abs().sum(dim=1) - 2 * math.log(2)
    if kind == "laplace":
        return laplace
    if kind == "gauss":
        return -0.5 * (residuals**2).sum(dim=1) - math.log(2 * math.pi)
    if kind in ("flow", "product"):
        return flow.log_density(residuals) + (laplace if kind == "product" else 0)
    raise ValueError(f"kind must be flow, laplace, gauss or product, got {kind!r}")


def flow_spread(flow: RealNVP, *, count: int = 4096, seed: int = 0) -> Tensor:
    """(2,) standard deviation of the residuals that a flow expects, along x and y.

    Convention: of `count` standard normal points sent through the flow. A predicted spread means σ̂ times this: a flow that is
    trained together with its network can take over any common factor of σ̂, and then σ̂ alone says little.

    Args:
        flow: φ.
        count: points, at least 2.
        seed: of the points.

    Raises:
        ValueError: if count is below 2.

    Source: own.
    Differs: Res-loglikelihood-regression takes 1 − mean σ̂ as the score, whatever the flow.

    >>> print(flow_spread(RealNVP()).numpy().round(1))
    [1. 1.]
    """
    if count < 2:
        raise ValueError(f"count must be 2 or more, got {count}")
    weight = flow.masks
    points = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with torch.no_grad():
        return flow.from_normal(points.to(weight)).std(dim=0)


def best_sigma(error: Sequence[float], flow: RealNVP | None, *, variant: Variant | Literal["laplace"]) -> Tensor:
    """The spread σ̂ that makes a variant's loss least for one error: what a network would learn to answer if it always missed so.

    Convention: (2,) float64. Without a flow, φ is the standard normal density, and σ̂ is a multiple of |Δ|: the golden ratio for
    "paper", (1/√2 + √16.5)/4 for "official", (1 + √17)/4 for "mmpose", 1 for "laplace" (Q alone). With one, the least loss on a
    grid of spreads from 1/20 to 20 of |Δ|, in seven rounds that close in on it.

    Args:
        error: μ̂ − μ_g, two numbers that are not 0.
        flow: φ, or None for the standard normal density.
        variant: whose formula, or Q alone.

    Raises:
        ValueError: if the error is not two finite numbers other than 0, or the variant is unknown.

    Source: own, from the variants' formulas.
    Differs: nothing left out.

    >>> for name in ("official", "mmpose", "paper", "laplace"):
    ...     print(name, best_sigma([0.05, 0.03], None, variant=name).numpy().round(4))
    official [0.0596 0.0358]
    mmpose [0.064  0.0384]
    paper [0.0809 0.0485]
    laplace [0.05 0.03]
    """
    delta = torch.tensor(list(error), dtype=torch.float64)
    if delta.shape != (2,) or not bool((delta.isfinite() & (delta != 0)).all()):
        raise ValueError(f"error must be two numbers other than 0, got {list(error)}")
    ratios = {
        "paper": (1 + math.sqrt(5)) / 2,
        "official": (1 / math.sqrt(2) + math.sqrt(16.5)) / 4,
        "mmpose": (1 + math.sqrt(17)) / 4,
        "laplace": 1.0,
    }
    if variant not in ratios:
        raise ValueError(f"variant must be paper, official, mmpose or laplace, got {variant!r}")
    if flow is None or variant == "laplace":
        return delta.abs() * ratios[variant]
    weight = next(flow.parameters())
    centre, reach = delta.abs().log(), math.log(20)
    for _ in range(7):
        grid = torch.linspace(-reach, reach, 21, dtype=torch.float64)
        logs = torch.stack(
            [axis.flatten() for axis in torch.meshgrid(centre[0] + grid, centre[1] + grid, indexing="ij")], 1
        )
        sigma = logs.exp().to(weight)
        pred = delta.to(weight).expand_as(sigma)
        with torch.no_grad():
            loss = residual_log_likelihood(pred, sigma, torch.zeros_like(pred), flow, variant=variant).loss
        centre, reach = logs[int(loss.argmin())], reach / 5
    return centre.exp()


def flow_training(
    residuals: Tensor,
    *,
    steps: int,
    batch: int = 512,
    rate: float = 2e-3,
    seed: int = 0,
    record: Sequence[int] = (),
) -> Iterator[FlowStep]:
    """Fit a flow to residuals by maximum likelihood, step by step.

    Convention: Adam, its rate falling to 0 as half a cosine; a step's samples are drawn with replacement. The step after
    the last update is yielded too, so that N updates give N + 1 steps; its loss is that of a further batch.

    Args:
        residuals: (N, 2) float, N at least 1; on the device where the flow is trained.
        steps: updates, 0 or more.
        batch: samples a step.
        rate: first learning rate.
        seed: of the first weights and of the samples.
        record: steps at which the yielded flow is a copy that later steps leave alone; the last one always is.

    Raises:
        ValueError: if the residuals are not (N, 2) finite numbers or an option is out of range.

    Source: arXiv:1605.08803; own training.
    Differs: RLE trains its flow together with the network.

    >>> cloud = torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    >>> steps = list(flow_training(cloud, steps=3, batch=100))
    >>> print(len(steps), round(steps[0].loss, 1))
    4 2.9
    """
    if residuals.ndim != 2 or residuals.shape[1] != 2 or not len(residuals) or not bool(residuals.isfinite().all()):
        raise ValueError(f"residuals must be (N, 2) finite numbers, at least one, got {tuple(residuals.shape)}")
    if steps < 0 or batch < 1 or not rate > 0:
        raise ValueError(f"steps must be 0 or more, batch and rate above 0, got {steps}, {batch}, {rate}")
    return _training(residuals.detach(), steps, batch, rate, seed, frozenset(record))


def _training(
    residuals: Tensor, steps: int, batch: int, rate: float, seed: int, record: frozenset[int]
) -> Iterator[FlowStep]:
    flow = RealNVP(seed=seed).to(residuals)
    optimizer = torch.optim.Adam(flow.parameters(), lr=rate)
    generator = torch.Generator().manual_seed(seed + 1)
    for step in range(steps + 1):
        picked = torch.randint(len(residuals), (batch,), generator=generator).to(residuals.device)
        with torch.enable_grad():
            loss = -flow.log_density(residuals[picked]).mean()
        yield FlowStep(step, float(loss.detach()), frozen_copy(flow) if step == steps or step in record else flow)
        if step == steps:
            return
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad()
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()  # pyright: ignore[reportUnknownMemberType]


def frozen_copy(flow: RealNVP) -> RealNVP:
    """The flow with these weights, for good, without gradients.

    Args:
        flow: any.

    Source: own.
    Differs: nothing left out.

    >>> print(sum(p.numel() for p in frozen_copy(RealNVP()).parameters()))
    53784
    """
    copy = RealNVP().to(next(flow.parameters()))
    copy.load_state_dict(flow.state_dict())
    return copy.eval().requires_grad_(False)
