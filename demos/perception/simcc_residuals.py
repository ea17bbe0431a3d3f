"""The lens on RLE: a cloud of residuals, a flow that learns its density, and the spread that each variant asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.residual_clouds import residual_cloud
from demos.kit.jobs import counted
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.perception.residual_log_likelihood import RealNVP
    from demos.perception.simcc import Controls

COUNT, FRESH, SHOWN = 4000, 1500, 400  # residuals that are learned from, measured on, drawn
SIDE, REACH = 61, 4.0  # of the grid on which densities are drawn: points, x̄
FIRST = (0, 10, 25, 50, 75)  # updates after which the flow is shown, then every 50
ERROR = (0.05, 0.03)  # μ̂ − μ_g of the joint whose spread is asked for, in parts of the picture
SPREADS = ("paper", "official", "mmpose", "laplace")
FIGURES = 150  # of the network's own cloud
DENSITIES = ("flow", "laplace", "gauss", "product")


@dataclass(frozen=True)
class Residuals:
    """A cloud, and what the flow knows of it after some updates."""

    cloud: np.ndarray  # (SHOWN, 2) fresh residuals, as drawn
    updates: tuple[int, ...]  # of each step
    flows: tuple[RealNVP, ...]  # after these updates
    fields: np.ndarray  # (steps, SIDE, SIDE) −log of the density that is looked at, rows from −REACH downwards
    fit: np.ndarray  # (steps, DENSITIES) mean −log density of fresh residuals
    spreads: np.ndarray  # (steps, SPREADS, 2) σ̂ that makes the loss of ERROR least, with this flow
    closed: np.ndarray  # (SPREADS, 2) the same with the standard normal density
    losses: np.ndarray  # (steps, 3) loss of ERROR at σ̂ = |ERROR| in each variant
    parts: np.ndarray  # (steps, 3, 3) its parts: flow, simple, spread
    density: str
    variant: str


def recorded(updates: int) -> tuple[int, ...]:
    """Updates at which the flow is shown."""
    return *(k for k in (*FIRST, *range(100, updates, 50)) if k < updates), updates


def residuals_of(c: Controls) -> Residuals:
    fit, spreads, losses, parts = measured(c.cloud, c.updates, c.seed)
    return Residuals(
        cloud_of(c.cloud, c.seed)[1][:SHOWN].numpy(),
        recorded(c.updates),
        trained(c.cloud, c.updates, c.seed),
        drawn(c.cloud, c.updates, c.seed, c.density),
        fit,
        spreads,
        closed_spreads(),
        losses,
        parts,
        c.density,
        c.variant,
    )


@lru_cache(maxsize=1)
def closed_spreads() -> np.ndarray:
    """(SPREADS, 2) with the standard normal density."""
    from core.perception.residual_log_likelihood import best_sigma

    return np.stack([best_sigma(ERROR, None, variant=v).numpy() for v in SPREADS])  # type: ignore[arg-type]


@lru_cache(maxsize=16)
def drawn(kind: str, updates: int, seed: int, density: str) -> np.ndarray:
    """(steps, SIDE, SIDE) −log of the density on a grid."""
    import torch

    from core.perception.residual_log_likelihood import log_density

    side = torch.linspace(-REACH, REACH, SIDE)
    grid = torch.stack(torch.meshgrid(side, side, indexing="xy"), dim=-1).reshape(-1, 2)
    with torch.inference_mode():
        found = [log_density(grid, flow, kind=density) for flow in trained(kind, updates, seed)]  # type: ignore[arg-type]
    return np.stack([-values.reshape(SIDE, SIDE).numpy() for values in found])


@lru_cache(maxsize=16)
def measured(kind: str, updates: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fit, spreads, losses and their parts at each step, as in `Residuals`."""
    import torch

    from core.perception.residual_log_likelihood import VARIANTS, best_sigma, log_density, residual_log_likelihood

    flows, fresh = trained(kind, updates, seed), cloud_of(kind, seed)[1]
    fit, spreads, losses, parts = [], [], [], []
    pred, target = torch.tensor([ERROR]), torch.zeros(1, 2)
    with torch.inference_mode():
        for flow in counted(flows, "steps", total=len(flows)):
            fit.append([-float(log_density(fresh, flow, kind=k).double().mean()) for k in DENSITIES])  # type: ignore[arg-type]
            spreads.append([best_sigma(ERROR, flow, variant=v).numpy() for v in SPREADS])  # type: ignore[arg-type]
            said = [residual_log_likelihood(pred, pred.abs(), target, flow, variant=v) for v in VARIANTS]
            losses.append([float(s.loss) for s in said])
            parts.append([[float(s.flow_part), float(s.simple_part), float(s.sigma_part)] for s in said])
    return np.array(fit), np.array(spreads), np.array(losses), np.array(parts)


@lru_cache(maxsize=8)
def cloud_of(kind: str, seed: int) -> tuple[Any, Any]:
    """Residuals to learn from, and fresh ones: float32 tensors."""
    import torch

    if kind == "network":
        from demos.perception.simcc_heads import network_residuals

        own = torch.from_numpy(network_residuals(FIGURES)).float()
        return own[::2], own[1::2]
    both = torch.from_numpy(residual_cloud(kind, count=COUNT + FRESH, seed=seed)).float()
    return both[:COUNT], both[COUNT:]


@lru_cache(maxsize=8)
def trained(kind: str, updates: int, seed: int) -> tuple[RealNVP, ...]:
    """The flow after each of the recorded updates."""
    from core.perception.residual_log_likelihood import flow_training

    marks, kept = recorded(updates), []
    steps = flow_training(cloud_of(kind, seed)[0], steps=updates, batch=256, seed=seed, record=marks)
    for step in counted(steps, "steps", total=updates + 1):
        if step.step in marks:
            kept.append(step.flow)
    return tuple(kept)


def residual_numbers(r: Residuals, k: int) -> tuple[Number, ...]:
    """How well each density fits, and the loss of one joint in the chosen variant."""
    from core.perception.residual_log_likelihood import VARIANTS, best_sigma, log_density, residual_log_likelihood

    chosen = VARIANTS.index(r.variant)  # type: ignore[arg-type]
    flow, simple, spread = (float(v) for v in r.parts[k, chosen])
    sigma = r.spreads[k, SPREADS.index(r.variant)]
    return (
        *(
            Number(f"fit_{kind}", float(r.fit[k, i]), log_density, "mean(−log p)", unit="nat", gauge=False)
            for i, kind in enumerate(DENSITIES[:3])
        ),
        Number(
            "rle_loss",
            float(r.losses[k, chosen]),
            residual_log_likelihood,
            "flow + simple + spread",
            {"flow": flow, "simple": simple, "spread": spread},
            "nat",
            convention=f"rle_{r.variant}",
            gauge=False,
        ),
        Number(
            "best_sigma",
            float(sigma[0]),
            best_sigma,
            "Δ · ratio",
            {"Δ": abs(ERROR[0]), "ratio": float(sigma[0]) / abs(ERROR[0])},
            convention=f"rle_{r.variant}",
            gauge=False,
        ),
    )


def spread_rows(r: Residuals, k: int, names: dict[str, str]) -> tuple[tuple[str | Number, ...], ...]:
    """σ* of each variant: with the standard normal density, and with the flow as it is."""
    from core.perception.residual_log_likelihood import best_sigma

    rows = []
    for i, name in enumerate(SPREADS):
        numbers = [
            Number("best_sigma", float(values[i][axis]), best_sigma, item=f"{name}, {'xy'[axis]}", gauge=False)
            for values in (r.closed, r.spreads[k])
            for axis in (0, 1)
        ]
        rows.append((names[name], *numbers))
    return tuple(rows)
