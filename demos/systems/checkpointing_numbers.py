"""Result -> numbers with formulas and operands; every value is a field of a record in core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.systems.checkpoint_plans import CheckpointPlan, checkpoint_plan, peak_activations
from core.systems.checkpoint_schedules import plan_cost
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.systems.checkpointing import CurvePoint
    from core.systems.memory_tracker import MemoryEvent
    from demos.systems.checkpointing import Result

NAMES = ("parameters", "gradients", "inputs", "activations", "recomputed", "workspace")


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step: what is alive now, then what the whole run came to."""
    whole = _whole(result)
    return tuple((*_now(result, result.events[i]), *whole) for i in result.moments)


def _unit(result: Result) -> tuple[str, int]:
    return ("GiB" if result.subject.fake else "MiB"), result.unit


def _sum(event: MemoryEvent, names: tuple[str, ...] = NAMES) -> dict[str, int]:
    return {name: n for name, n in zip(NAMES, event.live_bytes, strict=True) if n and name in names}


def _all(result: Result, event: MemoryEvent) -> dict[str, int]:
    """Everything alive, the optimizer's states with it."""
    return {**({"states": result.states_bytes} if result.states_bytes else {}), **_sum(event)}


def _bytes(result: Result, key: str, value: int, source: Any, operands: dict[str, int], **more: Any) -> Number:
    """A number of bytes in the view's unit, as the sum of its parts."""
    unit, size = _unit(result)
    formula = f"({' + '.join(operands) or '0'}) / {size}"
    return Number(key, value / size, source, formula, operands, unit, gauge=False, **more)


def _now(result: Result, event: MemoryEvent) -> tuple[Number, ...]:
    from core.systems.memory_tracker import LiveMemoryTracker

    made = NAMES[3:]
    return (
        _bytes(result, "live", event.total_bytes + result.states_bytes, LiveMemoryTracker, _all(result, event)),
        _bytes(result, "activations_now", event.activation_bytes, LiveMemoryTracker, _sum(event, made)),
    )


def _whole(result: Result) -> tuple[Number, ...]:
    from core.systems.checkpointing import run_with_checkpoints

    run, n = result.run, result.layers
    if run is None:
        return ()
    calls = list(result.plan.forward_calls)
    unit, size = _unit(result)
    highest = max(run.events, key=lambda event: event.activation_bytes)
    lines = [
        _bytes(
            result,
            "peak",
            run.peak_bytes + result.states_bytes,
            run_with_checkpoints,
            _all(result, run.peak_event),
        ),
        Number(
            "activation_peak_units",
            run.activation_peak_bytes / result.subject.chain.unit_bytes,
            run_with_checkpoints,
            f"({' + '.join(_sum(highest, NAMES[3:])) or '0'}) / unit",
            {**_sum(highest, NAMES[3:]), "unit": result.subject.chain.unit_bytes},
            gauge=False,
        ),
        _bytes(result, "kept", run.kept_bytes, run_with_checkpoints, _sum(run.events[run.forward_end], NAMES[3:])),
        Number("extra_forwards", sum(calls) - n, checkpoint_plan, "sum(calls) − n", {"calls": calls, "n": n}),
        Number(
            "flops_ratio",
            run.flops_ratio,
            run_with_checkpoints,
            "(forward + backward + again) / (forward + backward)",
            {"forward": run.forward_flops, "backward": run.backward_flops, "again": run.recompute_flops},
            unit="×",
            gauge=False,
        ),
    ]
    if result.prediction:
        return (*lines, *_predicted(result))
    if result.budget_bytes:
        room = result.budget_bytes - run.peak_bytes
        given = {"budget": result.budget_bytes, "peak": run.peak_bytes}
        lines.append(
            Number("headroom", room / size, run_with_checkpoints, f"(budget − peak) / {size}", given, unit, gauge=False)
        )
    if result.gradients:
        lines += _gradients(result)
    if result.ledger:
        lines += ledger_numbers(result)
    return tuple(lines)


def _gradients(result: Result) -> list[Number]:
    from core.systems.checkpointing import compare_gradients

    made = result.gradients
    assert made is not None
    return [
        Number(
            "equal_gradients",
            (made.total - made.differing) / made.total if made.total else 1.0,
            compare_gradients,
            "(all − differing) / all",
            {"all": made.total, "differing": made.differing},
        ),
        Number("gradient_error", made.max_abs_difference, compare_gradients, "max |with − without|", gauge=False),
    ]


def _predicted(result: Result) -> list[Number]:
    from core.systems.peak_prediction import fits_card, predict_peak
    from core.systems.transformer_config import transformer_shape

    made, verdict, shape = result.prediction, result.verdict, result.subject.shape
    assert made is not None
    assert verdict is not None
    assert shape is not None
    needed = {"reserved": made.reserved_peak_bytes, "context": verdict.context_bytes}
    return [
        Number("parameter_count", shape.parameter_count, transformer_shape, "numbers that are trained"),
        _bytes(result, "optimizer_bytes", made.optimizer_bytes, predict_peak, {"states": made.optimizer_bytes}),
        _bytes(
            result,
            "reserved",
            made.reserved_peak_bytes,
            predict_peak,
            {
                "tensors": made.peak_bytes,
                "rounding": made.rounded_peak_bytes - made.peak_bytes,
                "segments": made.reserved_peak_bytes - made.rounded_peak_bytes,
            },
        ),
        _bytes(result, "needed", verdict.needed_bytes, fits_card, needed),
        Number(
            "free",
            verdict.free_bytes / result.unit,
            fits_card,
            f"(card − needed) / {result.unit}",
            {"card": verdict.card.total_bytes, "needed": verdict.needed_bytes},
            "GiB",
            gauge=False,
        ),
    ]


# -- for tables and bars ----------------------------------------------------------------------------------------------


def plan_numbers(result: Result, plan: CheckpointPlan, item: str) -> tuple[Number, ...]:
    """What the model of memory says of a plan: kept after forward, peak, extra forwards, time."""
    assert result.profile is not None
    cost = plan_cost(plan, result.profile.costs, result.profile.sizes)
    n, calls = result.layers, list(plan.forward_calls)
    same: dict[str, Any] = {"item": item, "gauge": False}
    return (
        _bytes(result, "plan_kept", cost.after_forward, plan_cost, {"bytes": cost.after_forward}, item=item),
        _bytes(result, "plan_peak", cost.peak, plan_cost, {"bytes": cost.peak}, item=item),
        Number("extra_forwards", sum(calls) - n, checkpoint_plan, "sum(calls) − n", {"calls": calls, "n": n}, **same),
        Number(
            "plan_slowdown", cost.slowdown, plan_cost, "(forward + extra + backward) / (forward + backward)", **same
        ),
    )


def layer_numbers(result: Result, i: int) -> tuple[Number, ...]:
    """What one layer costs when it runs alone."""
    from core.systems.memory_accounting import profile_layers

    assert result.profile is not None
    size, item = result.profile.sizes[i], result.subject.chain.names[i]
    return (
        Number("layer_flops", result.profile.costs[i], profile_layers, "FLOPs of one forward", item=item),
        _bytes(result, "layer_saved", size.saved, profile_layers, {"bytes": size.saved}, item=item),
        _bytes(result, "layer_output", size.output, profile_layers, {"bytes": size.output}, item=item),
    )


def hundred_numbers(segments: int) -> Number:
    """Peak of a hundred equal layers."""
    return Number(
        "peak_activations",
        peak_activations(100, segments),
        peak_activations,
        "max over segments j of j + length of segment j",
        item=str(segments),
        gauge=False,
    )


def curve_numbers(point: CurvePoint) -> tuple[Number, ...]:
    from core.systems.checkpointing import u_curve

    same: dict[str, Any] = {"item": str(point.segments), "gauge": False}
    return (
        Number("measured_units", point.measured_units, u_curve, "peak / unit", **same),
        Number("closed_form_units", point.closed_form_units, u_curve, "k + n / k · A + overhead", **same),
        Number("curve_flops", point.flops_ratio, u_curve, "all FLOPs / FLOPs without recomputing", unit="×", **same),
    )


def ledger_numbers(result: Result) -> tuple[Number, ...]:
    """The same peak counted in several ways, and the differences."""
    from core.systems.memory_accounting import reconcile

    made = result.ledger
    assert made is not None
    parts = {residual.name: residual.n_bytes for residual in made.residuals}
    live = {"live": made.live_bytes}
    rounding, segments = parts["rounding to 512 B"], parts["segments"]
    return (
        _bytes(result, "predicted_bytes", made.predicted_bytes, reconcile, {"bytes": made.predicted_bytes}),
        _bytes(
            result, "allocator_bytes", made.allocator_bytes, reconcile, {**live, "scratch": parts["kernel scratch"]}
        ),
        _bytes(result, "rounded_bytes", made.rounded_bytes, reconcile, {**live, "rounding": rounding}),
        _bytes(
            result, "reserved_bytes", made.reserved_bytes, reconcile, {**live, "rounding": rounding, "rest": segments}
        ),
    )
