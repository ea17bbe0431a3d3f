"""Result -> what stands below the picture: strategies, layers, the U-curve, bytes counted in several ways; and the questions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from demos.kit.numbers import format_value
from demos.kit.scene import Axes, Guess, Layer, Pane, Paths, Points, Stack, Table
from demos.kit.text import Text
from demos.systems.checkpointing_inputs import named_plan
from demos.systems.checkpointing_numbers import (
    curve_numbers,
    hundred_numbers,
    layer_numbers,
    ledger_numbers,
    plan_numbers,
)

if TYPE_CHECKING:
    from core.systems.checkpoint_plans import CheckpointPlan
    from demos.systems.checkpointing import Result

HUNDRED = (1, 2, 4, 5, 8, 10, 20, 50)  # segments of a hundred layers


def tables(result: Result, text: Text) -> tuple[Pane, ...]:
    if result.profile is None or result.run is None:
        return ()
    found: list[Pane] = []
    if result.curve:
        found += [_curve(result, text), _dots(result, text), _hundred(text)]
    if result.ledger:
        found.append(_ledger(result, text))
    return (*found, _plans(result, text), _layers(result, text))


def _plans(result: Result, text: Text) -> Pane:
    """The strategies that need no number of their own, the solver's and the visitor's, all by one model."""
    n, rows = result.layers, []
    plans: dict[str, CheckpointPlan] = {"now": result.plan} if not result.plan.policy else {}
    plans |= {name: named_plan(name, n) for name in ("none", "every_layer", "sqrt")}
    if result.best is not None:
        plans["best"] = result.best.plan
    over = []
    for key, plan in plans.items():
        numbers = plan_numbers(result, plan, text("plans", key))
        fits = True
        if result.budget_bytes:
            assert result.profile is not None
            from core.systems.checkpoint_schedules import plan_cost

            peak = plan_cost(plan, result.profile.costs, result.profile.sizes).peak
            fits = peak + result.profile.fixed_bytes <= result.budget_bytes
        if not fits:
            over.append(len(rows))
        verdict = text("plans", "no_budget" if not result.budget_bytes else "fits" if fits else "over")
        rows.append((text("plans", key), *numbers, verdict))
    columns = tuple(text("plans", key) for key in ("strategy", "kept", "peak", "extra", "time", "verdict"))
    table = Table("plans", text("plans", "title"), columns, tuple(rows), marked=(0,) if "now" in plans else ())
    return Pane("plans", text("plans", "title"), (table,), place="below", note=text("plans", "note"))


def _layers(result: Result, text: Text) -> Pane:
    columns = tuple(text("layers", key) for key in ("layer", "flops", "saved", "output"))
    rows = tuple((name, *layer_numbers(result, i)) for i, name in enumerate(result.subject.chain.names))
    table = Table("layers", text("layers", "title"), columns, rows)
    return Pane("layers", text("layers", "title"), (table,), place="below", note=text("layers", "note"))


def _curve(result: Result, text: Text) -> Pane:
    points = result.curve
    form = [(p.segments, p.closed_form_units) for p in points if np.isfinite(p.closed_form_units)]
    measured = np.array([[p.segments, p.measured_units] for p in points], np.float32)
    layers: list[Layer] = []
    if len(form) > 1:
        line = np.array([form], np.float32)
        layers.append(Paths("form", "", line, (text("curve", "form"),), ("neutral",)))
    layers.append(Points("measured", "", measured, ("",) * len(points), ("forward",), 5.0))
    top = float(measured[:, 1].max()) * 1.1
    axes = Axes((0.0, float(result.layers) * 1.05), (0.0, top), text("curve", "segments"), text("curve", "units"))
    chart = Pane("curve", text("curve", "title"), tuple(layers), axes=axes, place="below", note=text("curve", "note"))
    return chart


def _dots(result: Result, text: Text) -> Pane:
    columns = tuple(text("curve", key) for key in ("segments", "measured", "form", "work"))
    rows = tuple((str(point.segments), *curve_numbers(point)) for point in result.curve)
    return Pane(
        "dots",
        text("curve", "table"),
        (Table("dots", text("curve", "table"), columns, rows),),
        place="below",
    )


def _hundred(text: Text) -> Pane:
    columns = tuple(text("curve", key) for key in ("segments", "live", "extra"))
    rows = tuple((str(k), hundred_numbers(k), text("curve", "one_forward")) for k in HUNDRED)
    table = Table("hundred", text("curve", "hundred"), columns, rows)
    return Pane("hundred", text("curve", "hundred"), (table,), place="below", note=text("curve", "hundred_note"))


def _ledger(result: Result, text: Text) -> Pane:
    made = result.ledger
    assert made is not None
    parts = {residual.name: residual.n_bytes for residual in made.residuals}
    live, scratch = made.live_bytes, parts["kernel scratch"]
    rounding, segments = parts["rounding to 512 B"], parts["segments"]
    bars = ("predicted_bytes", "live_bytes", "allocator_bytes", "rounded_bytes", "reserved_bytes")
    values = [
        [made.predicted_bytes, 0, 0, 0],
        [live, 0, 0, 0],
        [live, scratch, 0, 0],
        [live, 0, rounding, 0],
        [live, 0, rounding, segments],
    ]
    totals = (made.predicted_bytes, live, made.allocator_bytes, made.rounded_bytes, made.reserved_bytes)
    stack = Stack(
        "ledger",
        text("ledger", "title"),
        np.array(values, np.float32),
        tuple(text("ledger", key) for key in bars),
        tuple(text("ledger", key) for key in ("tensors", "scratch", "rounding", "segments")),
        (tuple(f"{format_value(total)} B" for total in totals),),
        float(max(totals)),
        colors=("forward", "error", "recompute", "backward"),
        hatch=(0, 1, 2, 1),
        receipts=ledger_numbers(result)[-1:],
    )
    return Pane("ledger", text("ledger", "title"), (stack,), place="below", note=text("ledger", "note"))


# -- predict first ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _peaks() -> tuple[tuple[int, float], ...]:
    """Peak in activations of the opening chain, in 1, 3, 4 and 12 segments, by the closed form that tests compare with runs."""
    from core.systems.checkpoint_plans import peak_units

    return tuple((k, peak_units(12, k, stored_units=2)) for k in (1, 4, 12))


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Where is the peak lowest, and does recomputing more often cost more forwards?"""
    peaks = _peaks()
    best = min(range(len(peaks)), key=lambda i: peaks[i][1])
    first = Guess(
        text("predict", "peak"),
        tuple(text("predict", "segments", k=str(k)) for k, _ in peaks),
        best,
        tuple(text("predict", "is", k=str(k), units=format_value(units)) for k, units in peaks),
        "oom",
    )
    block, mlp = _transformer()
    options = ("sqrt", "every")
    second = Guess(
        text("predict", "transformer"),
        tuple(text("predict", key) for key in options),
        int(block[1] < block[0]),
        tuple(
            text("predict", f"{key}_is", block=format_value(b), mlp=format_value(m))
            for key, b, m in zip(options, block, mlp, strict=True)
        ),
        "transformer",
    )
    return first, second


@lru_cache(maxsize=1)
def _transformer() -> tuple[tuple[float, float], tuple[float, float]]:
    """Peaks of √n and of every layer, of twelve transformer blocks and of twelve Linear + GELU, by the closed form."""
    from core.systems.checkpoint_plans import peak_units

    block = tuple(peak_units(12, k, stored_units=16 + 8 / 64, overhead_units=3) for k in (3, 12))
    mlp = tuple(peak_units(12, k, stored_units=2) for k in (3, 12))
    return (block[0], block[1]), (mlp[0], mlp[1])
