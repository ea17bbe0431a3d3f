"""Walks -> numbers with formulas and operands; every value is a field or property of a record in core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demos.generative.score_langevin_inputs import step_of
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.generative.chain_law import ChainLaw
    from core.generative.walks import Walk
    from demos.generative.score_langevin_walk import WalkResult

DRIFTS = {"paper": "a / 2", "repository": "a"}  # a: the step of this level
NOISES = {"paper": "sqrt(a)", "repository": "sqrt(2 · a)"}


def walk_numbers(result: WalkResult) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the pictures, one tuple a step: first what speaks of the step, then what speaks of the whole run.

    The shares are those of the first group.
    """
    last = result.steps - 1
    whole = (
        weight_number(result, 0),
        *(law_number(result, walk, last, 0) for walk in ("plain", "annealed")),
        bias_number(result),
        error_number(result),
    )
    return tuple(
        (
            level_number(result, k),
            *(share_number(result, walk, k, 0) for walk in ("plain", "annealed")),
            *whole,
            *(moved_number(result, walk, k) for walk in ("plain", "annealed")),
            *step_numbers(result, k),
        )
        for k in range(result.steps)
    )


def _walk(result: WalkResult, walk: str, k: int) -> tuple[Walk, int]:
    """A walk, and its state at a step."""
    return (result.plain, result.plain_at(k)) if walk == "plain" else (result.annealed, k)


def level_number(result: WalkResult, k: int) -> Number:
    """σ of the annealed walk's level."""
    from core.generative.langevin import geometric_levels

    count = len(result.sigmas)
    operands = {
        "s_1": result.sigmas[0],
        "s_L": result.sigmas[-1],
        "i": result.annealed.levels[k] + 1,
        "L": count,
    }
    formula = "s_1 · (s_L / s_1) ** ((i − 1) / (L − 1))"
    return Number("level", result.annealed.sigmas[k], geometric_levels, formula, operands, gauge=False)


def weight_number(result: WalkResult, group: int, item: str = "") -> Number:
    from core.generative.walks import group_weights

    return Number("weight", float(result.weights[group]), group_weights, "sum of w_k", item=item)


def share_number(result: WalkResult, walk: str, k: int, group: int, item: str = "") -> Number:
    """Share of a walk's particles that are in a group."""
    from core.generative.walks import record_walk

    found, at = _walk(result, walk, k)
    operands = {"there": int(found.counts[at, group]), "n": found.particles}
    return Number("share", float(found.shares[at, group]), record_walk, "there / n", operands, item=item or walk)


def law_of(result: WalkResult, walk: str, k: int) -> tuple[ChainLaw | None, int]:
    law = result.plain_law if walk == "plain" else result.annealed_law
    found, at = _walk(result, walk, k)
    return law, min(found.indices[at], len(law.shares) - 1) if law is not None else 0


def law_number(result: WalkResult, walk: str, k: int, group: int, item: str = "") -> Number:
    """The share that the chain itself gives the group, without particles; undefined where no exact law is known."""
    from core.generative.chain_law import chain_law

    law, at = law_of(result, walk, k)
    value = float(law.shares[at, group]) if law is not None else None
    return Number("law", value, chain_law, "∫ p_t over the mode's side", item=item or walk)


def bias_number(result: WalkResult) -> Number:
    """What would be left with infinitely many particles."""
    from core.generative.chain_law import law_bias

    law, at = law_of(result, "annealed", result.steps - 1)
    if law is None:
        return Number("bias", None, law_bias, "law − weight", gauge=False)
    weight = float(result.weights[0])
    operands = {"law": float(law.shares[at, 0]), "weight": weight}
    bias = float(law_bias(law, result.weights)[at, 0])
    return Number("bias", bias, law_bias, "law − weight", operands, gauge=False)


def error_number(result: WalkResult) -> Number:
    """How far chance alone takes the counted share of the annealed walk at its end."""
    from core.generative.langevin import share_error

    share, n = float(result.annealed.shares[-1, 0]), result.annealed.particles
    operands = {"share": share, "n": n}
    return Number(
        "share_error", share_error(share, n), share_error, "sqrt(share · (1 − share) / n)", operands, gauge=False
    )


def moved_number(result: WalkResult, walk: str, k: int) -> Number:
    from core.generative.walks import record_walk

    found, at = _walk(result, walk, k)
    moved = float(found.moved[at])
    operands = {"moved": round(moved * found.particles), "n": found.particles}
    return Number("moved", moved, record_walk, "moved / n", operands, item=walk)


def step_numbers(result: WalkResult, k: int) -> tuple[Number, Number]:
    """What the annealed walk multiplies the score and the noise with in the step that led here."""
    from core.generative.langevin import step_factors

    walk, convention = result.annealed, result.controls.convention
    drift, noise = walk.drifts[k], walk.noises[k]
    operands: dict[str, Any] = {}
    if noise:
        operands = {"a": step_of(result.controls) * (walk.sigmas[k] / result.sigmas[-1]) ** 2}
    elif k:  # the final denoising
        return (
            Number("drift", drift, step_factors, "s_L · s_L", {"s_L": result.sigmas[-1]}, gauge=False),
            Number("noise", noise, step_factors, "none in the last step", gauge=False),
        )
    return (
        Number(
            "drift",
            drift,
            step_factors,
            DRIFTS[convention] if operands else "no step yet",
            operands,
            gauge=False,
            convention=convention,
        ),
        Number(
            "noise",
            noise,
            step_factors,
            NOISES[convention] if operands else "no step yet",
            operands,
            gauge=False,
            convention=convention,
        ),
    )
