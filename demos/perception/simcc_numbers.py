"""Result -> the numbers on screen, each with its formula, operands and the core function that computed it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from core.perception.joint_readings import DECODERS, expected_oks_curve, joint_readings, label_memory
from core.perception.quantization_error import error_trail, quantization_law
from core.perception.simcc_published import published_ap
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from demos.perception.simcc import Result

LISTED = 12  # errors that are written out under a mean


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """One tuple a step."""
    if result.subject is not None:
        return tuple(step_numbers(result, t) for t in range(len(result.subject.way)))
    if result.curve is not None:
        return (law_numbers(result),)
    if result.residuals is not None:
        from demos.perception.simcc_residuals import residual_numbers

        return tuple(residual_numbers(result.residuals, k) for k in range(len(result.residuals.flows)))
    from demos.perception.simcc_heads import head_numbers

    assert result.heads is not None
    return tuple(head_numbers(result.heads, k) for k in range(len(result.heads.names)))


def convention(result: Result, decoder: str) -> str:
    """What the decoder's labels rest on, as text keys."""
    c = result.controls
    return {"simcc": c.bins, "regression": "", "soft": f"label_{c.center}"}.get(decoder, f"label_{c.center}")


def step_numbers(result: Result, t: int) -> tuple[Number, ...]:
    """How far each decoder is off at one place, and what bins cost the two that have them."""
    laws = [law(result, DECODERS.index(name)) for name in ("argmax", "simcc")]
    return (
        *(distance(result, d, t) for d in range(len(DECODERS))),
        *(number for number in laws if isinstance(number, Number)),
    )


def distance(result: Result, d: int, t: int) -> Number:
    dx, dy = (float(v) for v in result.trails[d].errors[t])
    name = DECODERS[d]
    return Number(
        "distance",
        math.hypot(dx, dy),
        joint_readings,
        "sqrt(dx · dx + dy · dy)",
        {"dx": dx, "dy": dy},
        "px",
        convention=convention(result, name),
        item=name,
        gauge=False,
    )


def mean_distance(result: Result, d: int, t: int) -> Number:
    """Over the first t + 1 places."""
    trail = result.trails[d]
    operands = {}
    if t < LISTED:
        operands = {"d": [math.hypot(*row) for row in trail.errors[: t + 1].tolist()], "n": t + 1}
    formula = "sum(d) / n"
    return Number(
        "mean_distance",
        float(trail.mean_distance[t]),
        error_trail,
        formula,
        operands,
        "px",
        item=DECODERS[d],
        gauge=False,
    )


def law(result: Result, d: int) -> Number | str:
    """What the bins cost on average; "–" where the error is no matter of bins."""
    found = result.laws[d]
    if found is None:
        return "–"
    formula, operands = "w · (sqrt(2) + log(1 + sqrt(2))) / 6", {"w": found.width}
    return Number("law", found.mean_distance, quantization_law, formula, operands, "px", item=DECODERS[d], gauge=False)


def law_numbers(result: Result) -> tuple[Number, ...]:
    """Measured means, and the labels' memory."""
    last = len(result.trails[0].errors) - 1
    memory, codec = result.memory, result.codec
    (width, height), (columns, rows), k = codec.input_size, codec.heatmap_size, codec.split_ratio
    return (
        *(mean_distance(result, d, last) for d in range(len(DECODERS))),
        Number("memory_heatmap", memory.heatmap, label_memory, "K · W · H", {"K": 17, "W": columns, "H": rows}),
        Number(
            "memory_simcc", memory.simcc, label_memory, "K · (w + h) · k", {"K": 17, "w": width, "h": height, "k": k}
        ),
    )


def expected(result: Result, row: int, column: int, name: str) -> Number:
    assert result.curve is not None
    return Number("expected_oks", float(result.curve[row, column]), expected_oks_curve, item=name)


def quoted(value: float, key: str, item: str) -> Number:
    return Number(key, value, published_ap, unit="%", item=item, kind="quoted", gauge=False)
