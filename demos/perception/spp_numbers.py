"""Result -> numbers with formulas and operands; every value is a field of a record in core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from demos.kit.numbers import Number
from demos.perception.spp_inputs import NETWORK_MAPS

if TYPE_CHECKING:
    from core.perception.atrous_coverage import AtrousCoverage
    from core.perception.pooling_bins import RuleTheorem
    from core.perception.pooling_steps import PoolStep
    from core.perception.pyramid_averages import AverageLevel
    from core.perception.pyramid_bins import LevelBins
    from core.perception.window_projection import AxisProjection, WindowProjection
    from demos.perception.spatial_pyramid_pooling import Result
    from demos.perception.spp_inputs import Inputs

LISTED = 60  # operands written out; a formula with more stays unfilled


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step."""
    return {
        "pyramid": _pyramid,
        "box": _box,
        "block": _block,
        "averages": _averages,
        "atrous": _atrous,
    }[result.controls.view](result)


# -- the pyramid ----------------------------------------------------------------------------------------------------------


def _pyramid(result: Result) -> tuple[tuple[Number, ...], ...]:
    whole = (*_lengths(result), *_map_size(result), *_reads(result))
    return tuple((*whole, _maximum(result, step)) for step in result.steps)


def _lengths(result: Result) -> tuple[Number, Number]:
    from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool

    pyramid = result.pyramid
    bins = [len(level.boxes) for level in pyramid.levels]
    squares = [level.bins.wanted for level in pyramid.levels]
    return (
        Number(
            "vector_length",
            pyramid.length,
            spatial_pyramid_pool,
            "channels · sum(bins)",
            {"channels": pyramid.channels, "bins": bins},
            convention=f"rule_{pyramid.rule}",
        ),
        Number(
            "expected_length",
            pyramid.expected_length,
            spatial_pyramid_pool,
            "channels · sum(squares)",
            {"channels": pyramid.channels, "squares": squares},
        ),
    )


def _map_size(result: Result) -> tuple[Number, ...]:
    from core.perception.filter_bank import filter_features

    inputs = result.inputs
    if inputs.photo is None:
        return ()
    height, width = inputs.photo.shape[:2]
    if result.controls.features in NETWORK_MAPS:
        return _network_map_size(inputs, width, height)
    none = result.controls.padding == "none"

    def number(key: str, value: int, pixels: int) -> Number:
        operands = {"pixels": pixels, "stride": inputs.stride} | ({"filter": inputs.receptive_field} if none else {})
        formula = "floor((pixels − filter) / stride) + 1" if none else "ceil(pixels / stride)"
        return Number(key, value, filter_features, formula, operands, convention=f"padding_{result.controls.padding}")

    return number("map_width", inputs.size[1], width), number("map_height", inputs.size[0], height)


def _network_map_size(inputs: Inputs, width: int, height: int) -> tuple[Number, Number]:
    from core.perception.graph_network import run_graph

    def number(key: str, value: int, pixels: int) -> Number:
        operands = {"pixels": pixels, "stride": inputs.stride}
        return Number(key, value, run_graph, "ceil(pixels / stride)", operands, convention="features_network")

    return number("map_width", inputs.size[1], width), number("map_height", inputs.size[0], height)


def _reads(result: Result) -> tuple[Number, Number]:
    from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool

    pyramid = result.pyramid
    nested = {"reads": [level.values_read for level in pyramid.levels]}
    plain = {"reads": [level.cells_read for level in pyramid.levels]}
    return (
        Number("values_read", pyramid.values_read, spatial_pyramid_pool, "sum(reads)", nested),
        Number("cells_read", pyramid.cells_read, spatial_pyramid_pool, "sum(reads)", plain),
    )


def _maximum(result: Result, step: PoolStep) -> Number:
    """The bin of this step: the largest of its cells, or of the finer level's bins that it is made of."""
    from core.perception.pooling_steps import pooling_steps

    if step.source_level is not None:
        before = sum(len(level.boxes) for level in result.pyramid.levels[: step.source_level])
        compared = [float(step.vector[before + k]) for k in step.source_bins]
    else:
        assert step.box is not None
        x0, y0, x1, y1 = step.box
        left, top = result.pyramid.window[:2]
        cells = result.inputs.features[0, result.channel, top + y0 : top + y1, left + x0 : left + x1]
        compared = [float(v) for v in cells.flatten()]
    shown = step.value if np.isfinite(step.value) else None
    operands = {"values": compared} if 0 < len(compared) <= LISTED and shown is not None else {}
    return Number("bin_maximum", shown, pooling_steps, "max(values)", operands)


def level_numbers(bins: LevelBins, name: str) -> tuple[Number, Number, Number]:
    """The row of one level in the table of levels: bins, cells never read, cells read more than once."""
    from core.perception.pyramid_bins import level_bins

    rows, columns = np.array(bins.rows.reads), np.array(bins.columns.reads)
    axes = {"height": bins.rows.size, "width": bins.columns.size}
    read = {"read_rows": int((rows > 0).sum()), "read_columns": int((columns > 0).sum())}
    once = {"once_rows": int((rows == 1).sum()), "once_columns": int((columns == 1).sum())}
    return (
        Number(
            "windows",
            bins.windows,
            level_bins,
            "rows · columns",
            {"rows": bins.rows.windows, "columns": bins.columns.windows},
            item=name,
        ),
        Number(
            "unread_cells",
            bins.unread_cells,
            level_bins,
            "height · width − read_rows · read_columns",
            axes | read,
            item=name,
        ),
        Number(
            "shared_cells",
            bins.shared_cells,
            level_bins,
            "read_rows · read_columns − once_rows · once_columns",
            read | once,
            item=name,
        ),
    )


def theorem_numbers(theorem: RuleTheorem, name: str) -> tuple[Number, Number]:
    """What a = q·n + r alone says about the paper's formula: the remainder, and the number of windows."""
    from core.perception.pooling_bins import rule_theorem

    a, n, q, r = theorem.size, theorem.bins, theorem.quotient, theorem.remainder
    remainder = Number("remainder", r, rule_theorem, "a − q · n", {"a": a, "q": q, "n": n}, item=name)
    if theorem.windows is None:
        return remainder, Number("predicted_windows", None, rule_theorem, item=name)
    formula, operands = ("n + floor((r − 1) / q)", {"n": n, "r": r, "q": q}) if r else ("n", {"n": n})
    return remainder, Number("predicted_windows", theorem.windows, rule_theorem, formula, operands, item=name)


# -- a box on the picture ---------------------------------------------------------------------------------------------------


def _box(result: Result) -> tuple[tuple[Number, ...], ...]:
    projection = result.projection
    whole = (*projected_numbers(projection, ""), *_covered(projection), *_lengths(result))
    return tuple((*whole, _maximum(result, step)) for step in result.steps)


def projected_numbers(projection: WindowProjection, item: str) -> tuple[Number, ...]:
    """First and last column and row of the cells that stand for the box; `item` tells several boxes apart."""
    axes = (("columns", projection.x), ("rows", projection.y))
    return tuple(
        _edge(key, axis, projection, f"{name}{item}") for name, axis in axes for key in ("first_cell", "last_cell")
    )


def _edge(key: str, axis: AxisProjection, projection: WindowProjection, item: str) -> Number:
    """`exact` is the box's edge in cells, not yet rounded; crossed edges are repaired, and the map's edge is a bound."""
    from core.perception.window_projection import project_window

    first = key == "first_cell"
    value, rounded = (axis.first, axis.rounded_first) if first else (axis.last, axis.rounded_last)
    exact = {"exact": axis.exact_start if first else axis.exact_end}
    if axis.crossed:
        formula = "floor((first + last + 2) / 2) − 1"
        operands: dict[str, Any] = {"first": axis.rounded_first, "last": axis.rounded_last}
        rounded = (axis.rounded_first + axis.rounded_last + 2) // 2 - 1
    elif projection.rule == "paper":
        formula, operands = ("floor(exact) + 1" if first else "ceil(exact) − 1"), exact
    else:
        formula = "floor(exact + offset / stride + 0.5)" if first else "ceil(exact − offset / stride − 0.5)"
        operands = exact | {"offset": 6.5, "stride": projection.stride}
    if value > rounded:
        formula = f"max({formula}, 0)"
    elif value < rounded:
        formula, operands = f"min({formula}, end)", operands | {"end": value}
    return Number(key, value, project_window, formula, operands, item=item, convention=f"projection_{projection.rule}")


def _covered(projection: WindowProjection) -> tuple[Number, Number]:
    from core.perception.window_projection import project_window

    columns, rows = projection.x.cells, projection.y.cells
    cells = Number("cells", projection.cells, project_window, "columns · rows", {"columns": columns, "rows": rows})
    a, b, c, d = projection.box_xyxy
    e, f, g, h = projection.covered_xyxy
    operands: dict[str, Any] = {
        "shared": max(0.0, min(c, g) - max(a, e)) * max(0.0, min(d, h) - max(b, f)),
        "box": (c - a) * (d - b),
        "squares": (g - e) * (h - f),
    }
    return cells, Number("iou", projection.iou, project_window, "shared / (box + squares − shared)", operands)


# -- the other SPP --------------------------------------------------------------------------------------------------------------


def _block(result: Result) -> tuple[tuple[Number, ...], ...]:
    from core.perception.sppf_equivalence import compare_blocks, pool_costs, tie_gradients

    blocks, ties, k = result.blocks, result.ties, result.controls.kernel
    a, b, c = blocks.kernels
    spp, sppf, separable = (cost.per_pixel for cost in blocks.costs)
    apart = list(blocks.differing)
    squares = {"a": a, "b": b, "c": c}

    def compares(item: str, value: int, formula: str, operands: dict[str, Any]) -> Number:
        return Number("comparisons_per_pixel", value, pool_costs, formula, operands, item=item)

    whole = (
        Number("differing_bits", sum(apart), compare_blocks, "sum(differing)", {"differing": apart}),
        compares("spp", spp, "a · a − 1 + b · b − 1 + c · c − 1", squares),
        compares("sppf", sppf, "3 · (k · k − 1)", {"k": k}),
        compares("separable", separable, "3 · 2 · (k − 1)", {"k": k}),
        Number("tied_pixels", ties.tied, tie_gradients, "sum(equal to another)"),
        Number("differing_gradients", ties.differing, tie_gradients, "sum(gradients that differ)"),
    )
    return (whole,) * (len(blocks.kernels) + 1)


# -- averages, and dilated filters ------------------------------------------------------------------------------------------------


def _averages(result: Result) -> tuple[tuple[Number, ...], ...]:
    from core.perception.pyramid_averages import pyramid_averages

    averages = result.averages
    parts = len(averages.levels)
    operands = {"channels": averages.channels_in, "levels": parts}
    out = Number(
        "channels_out",
        averages.channels_out,
        pyramid_averages,
        "channels + levels · floor(channels / levels)",
        operands,
    )
    worst = [level.nesting_error for level in averages.levels if np.isfinite(level.nesting_error)]
    error = Number("nesting_error", max(worst), pyramid_averages, "max(errors)", {"errors": worst})
    return ((out, error),)


def average_number(level: AverageLevel) -> Number:
    """The row of one level: how far the finer means are from its own."""
    from core.perception.pyramid_averages import pyramid_averages

    n = level.bins.level
    value = float(level.nesting_error)
    return Number("nesting_error", value if np.isfinite(value) else None, pyramid_averages, item=f"{n}×{n}")


def _atrous(result: Result) -> tuple[tuple[Number, ...], ...]:
    return tuple(coverage_numbers(coverage) for coverage in result.coverages)


def coverage_numbers(coverage: AtrousCoverage) -> tuple[Number, Number, Number]:
    """Shares of positions at one rate."""
    from core.perception.atrous_coverage import atrous_coverage

    sizes = {"h": coverage.height, "w": coverage.width, "r": coverage.rate}
    return (
        Number(
            "all_taps",
            coverage.all_taps,
            atrous_coverage,
            "max(0, h − 2 · r) · max(0, w − 2 · r) / (h · w)",
            sizes,
        ),
        Number(
            "one_tap",
            coverage.one_tap,
            atrous_coverage,
            "min(h, max(0, 2 · r − h)) · min(w, max(0, 2 · r − w)) / (h · w)",
            sizes,
        ),
        Number(
            "mean_taps",
            coverage.mean_taps,
            atrous_coverage,
            "(h + 2 · max(0, h − r)) · (w + 2 · max(0, w − r)) / (h · w)",
            sizes,
        ),
    )
