"""Result -> numbers with formulas and operands; every value is a field of a record in core."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from core.systems.attention_blocks import sram_use
from core.systems.attention_devices import attention_flops, roofline
from core.systems.attention_traffic import Traffic, hbm_traffic, traffic_steps
from demos.kit.numbers import Number
from demos.systems.flash_attention_blocks import memory_options

if TYPE_CHECKING:
    from core.systems.attention_devices import Device, KernelTile
    from core.systems.attention_paper_figures import PaperFigure
    from core.systems.attention_query import QueryStep
    from core.systems.split_kv_decoding import SplitPart
    from demos.systems.flash_attention import Result


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step: the odometers, the chip, the query that is followed, the result."""
    whole = (ratio_number(result), *_quality(result))
    if result.decode is not None:
        return ((*_traffic(result, -1), *_chip(result, 0), *_decoding(result), *whole),)
    own = [(_delta(result),)] * len(result.traffic) if result.backward else _query_numbers(result)
    return tuple((*_traffic(result, k), *_chip(result, k), *own[k], *whole) for k in range(len(result.traffic)))


def _traffic(result: Result, k: int) -> tuple[Number, ...]:
    so_far, standard = result.traffic[k].total, result.traffic[k].standard
    return (
        Number("flash_bytes", so_far.total, traffic_steps, "loads + stores", _both(so_far), "B"),
        Number("standard_bytes", standard.total, traffic_steps, "loads + stores", _both(standard), "B"),
        Number("ideal_bytes", so_far.ideal_total, traffic_steps, "sum(moved)", {"moved": _ideal(so_far)}, "B"),
    )


def _chip(result: Result, k: int) -> tuple[Number, ...]:
    """Of a forward tile; the backward's working set is another."""
    if result.backward:
        return ()
    use = result.use[k]
    parts = {name: size for name, size in use.parts.items() if size}
    return (Number("sram_bytes", use.total, sram_use, " + ".join(parts), parts, "B"),)


def _delta(result: Result) -> Number:
    """D of the followed query: what all its tiles subtract."""
    from core.systems.flash_attention_backward import flash_attention_backward

    assert result.gradients is not None
    assert result.grad_output is not None
    rows = {
        "dO": result.grad_output[result.query].double().tolist(),
        "O": result.output[result.query].double().tolist(),
    }
    value = float(result.gradients.delta[result.query])
    return Number("delta", value, flash_attention_backward, "dot(dO, O)", rows, item=f"query:{result.query}")


def _decoding(result: Result) -> tuple[Number, ...]:
    from core.systems.split_kv_decoding import split_kv_decode

    assert result.decode is not None
    each = [float(part.logsumexp[0]) for part in result.decode.parts]
    names = [f"L{s + 1}" for s in range(len(each))]
    formula = "log(" + " + ".join(f"exp({name})" for name in names) + ")"
    return (
        Number("parts", len(each), split_kv_decode, "parts of the keys that are not empty"),
        Number(
            "logsumexp",
            float(result.decode.logsumexp[0]),
            split_kv_decode,
            formula,
            dict(zip(names, each, strict=True)),
        ),
    )


def part_numbers(part: SplitPart, place: int) -> tuple[Number, ...]:
    from core.systems.split_kv_decoding import split_kv_decode

    item = str(place)
    return (
        Number("part_logsumexp", float(part.logsumexp[0]), split_kv_decode, "m + ln l of the part", item=item),
        Number("weight", float(part.weight[0]), split_kv_decode, "exp(L_part − L)", item=item),
    )


def _both(traffic: Traffic) -> dict[str, int]:
    return {"loads": traffic.loads, "stores": traffic.stores}


def _ideal(traffic: Traffic) -> list[int]:
    return [*traffic.ideal_loaded.values(), *traffic.ideal_stored.values()]


def ratio_number(result: Result) -> Number:
    flash, standard = result.total.total, result.standard.total
    return Number(
        "traffic_ratio",
        flash / standard if standard else math.nan,
        hbm_traffic,
        "flash / standard",
        {"flash": flash, "standard": standard},
        convention=f"initial_{result.controls.initial}",
    )


def _quality(result: Result) -> tuple[Number, ...]:
    from core.systems.attention_comparison import agreement

    a, r = result.agreement, result.reordered
    lines = [
        Number(
            "max_error",
            a.max_error if math.isfinite(a.max_error) else math.nan,
            agreement,
            "max |O − softmax(QKᵀ/√d)·V|",
        )
    ]
    if a.not_finite:
        lines.append(Number("not_finite", a.not_finite, agreement, "entries of O that are NaN or ∞"))
    if result.controls.key_order != "left":
        lines.append(
            Number("equal_share", r.equal_share, agreement, "same / all", {"same": r.equal_bits, "all": r.entries})
        )
    return tuple(lines)


def _query_numbers(result: Result) -> list[tuple[Number, ...]]:
    """m, l and the rescale factor of the query that is followed, at every step."""
    by_step = {one.step: one for one in result.story}
    last: QueryStep | None = None
    lines: list[tuple[Number, ...]] = []
    for k in range(len(result.traffic)):
        now = by_step.get(k)
        last = now or last
        lines.append(_registers(result, last, now is not None))
    return lines


def _registers(result: Result, last: QueryStep | None, here: bool) -> tuple[Number, ...]:
    from core.systems.attention_query import query_steps

    item = f"query:{result.query}"

    def line(key: str, value: float | None, formula: str, operands: dict[str, Any]) -> Number:
        known = value is not None and math.isfinite(value) and all(math.isfinite(v) for v in operands.values())
        return Number(
            key,
            value if value is not None and math.isfinite(value) else math.nan,
            query_steps,
            formula,
            operands if known else {},
            item=item,
        )

    if last is None:
        return (
            line("row_max", None, "m", {}),
            line("row_sum", None, "l", {}),
            line("rescale", None, "exp(m_old − m)", {}),
        )
    if not here:
        return (
            line("row_max", last.row_max, "m", {"m": last.row_max}),
            line("row_sum", last.row_sum, "l", {"l": last.row_sum}),
            line("rescale", None, "exp(m_old − m)", {}),
        )
    kept = last.row_max not in (last.previous_max, last.tile_max) or last.row_max < last.tile_max
    first = not math.isfinite(last.previous_max)
    if kept or result.controls.threshold or result.controls.rule == "no_max":
        top = line("row_max", last.row_max, "m", {"m": last.row_max})
    elif first:
        top = line("row_max", last.row_max, "m_tile", {"m_tile": last.tile_max})
    else:
        top = line("row_max", last.row_max, "max(m_old, m_tile)", {"m_old": last.previous_max, "m_tile": last.tile_max})
    return (
        top,
        line(
            "row_sum",
            last.row_sum,
            "factor · l_old + sum_P",
            {"factor": last.rescale, "l_old": last.previous_sum, "sum_P": last.tile_sum},
        ),
        line("rescale", last.rescale, "exp(m_old − m)", {"m_old": last.previous_max, "m": last.row_max}),
    )


# -- for tables and blocks --------------------------------------------------------------------------------------------


def operand_numbers(result: Result, operand: str, step: int) -> tuple[Number, ...]:
    """Loaded and stored bytes of one operand until `step`, and the standard algorithm's."""
    flash, standard = result.traffic[step].total, result.traffic[step].standard
    return tuple(
        Number(key, value, traffic_steps, "sum over the tiles so far", item=operand, unit="B")
        for key, value in (
            ("operand_loaded", flash.loaded.get(operand, 0)),
            ("operand_stored", flash.stored.get(operand, 0)),
            ("operand_standard", standard.of(operand)),
        )
    )


def device_numbers(result: Result, device: Device) -> tuple[Number, ...]:
    """Shared memory of one SM (quoted), the tile's share of it, and the least times that bytes and FLOPs allow."""
    c, schedule = result.controls, result.schedule
    d = result.inputs.q.shape[1]
    tile = (result.block_q, result.block_k, d)
    use = sram_use(*tile, capacity_bytes=device.shared_memory_bytes, **memory_options(c))
    flops = attention_flops(
        schedule.n_q,
        d,
        n_k=schedule.n_k,
        block_q=result.block_q,
        block_k=result.block_k,
        causal=c.causal,
        direction="backward" if c.direction == "backward" else "forward",
        heads=result.inputs.heads,
    ).computed
    peaks = {"hbm_bytes_per_s": device.hbm_bytes_per_s, "flops_per_s": device.half_flops_per_s}

    def least(key: str, moved: int) -> Number:
        bound = roofline(flops, moved, **peaks)
        operands = {
            "bytes": moved,
            "bandwidth": device.hbm_bytes_per_s,
            "flops": flops,
            "peak": device.half_flops_per_s,
        }
        return Number(
            key,
            bound.least_s * 1e9,
            roofline,
            "1e9 · max(bytes / bandwidth, flops / peak)",
            operands,
            "ns",
            item=device.name,
        )

    return (
        Number(
            "shared_memory",
            device.shared_memory_bytes,
            sram_use,
            unit="B",
            item=device.name,
            kind="quoted",
        ),
        Number(
            "share",
            use.share,
            sram_use,
            "used / capacity",
            {"used": use.total, "capacity": use.capacity},
            item=device.name,
        ),
        least("least_standard", result.standard.total),
        least("least_flash", result.total.ideal_total),
    )


def tile_number(kernel: KernelTile) -> Number:
    """Shared memory that a released kernel's tile needs at 2 bytes a number."""
    use = sram_use(kernel.block_q, kernel.block_k, kernel.d, capacity_bytes=1, dtype_bytes=2, placement="shared_memory")
    parts = {name: size for name, size in use.parts.items() if size}
    item = f"{kernel.kernel}, d ≤ {kernel.d}, {kernel.block_q} × {kernel.block_k}"
    return Number("sram_bytes", use.total, sram_use, " + ".join(parts), parts, "B", item=item)


@cache
def paper_numbers() -> tuple[tuple[PaperFigure, Number, Number | None], ...]:
    """The paper's panel: what is printed, and what is counted for it."""
    from core.systems.attention_paper_figures import paper_figures

    found = []
    for figure in paper_figures():
        printed = Number("printed", figure.printed, paper_figures, unit=figure.unit, item=figure.key, kind="quoted")
        counted = None
        if figure.computed is not None:
            counted = Number("counted", figure.computed, paper_figures, unit=figure.unit, item=figure.key)
        found.append((figure, printed, counted))
    return tuple(found)
