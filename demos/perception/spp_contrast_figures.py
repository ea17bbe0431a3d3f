"""What else goes by the name, or does the same job: YOLO's stride-1 block, PSPNet's averages, ASPP's dilated filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from demos.kit.numbers import Number, format_value
from demos.kit.scene import Axes, Boxes, Hover, Labels, Layer, Pane, Paths, Points, Scene, Table, View
from demos.kit.text import Text
from demos.kit.theme import ROLES, magnitude_colors, rgb
from demos.kit.upload_errors import error_sentence
from demos.perception.spp_inputs import canvas_of, pixels_of
from demos.perception.spp_map_figures import cell_codes, channel_name, heat_layer, level_name, photo_layer
from demos.perception.spp_numbers import average_number, coverage_numbers

if TYPE_CHECKING:
    from demos.perception.spatial_pyramid_pooling import Result

SMALL = 135.0  # px, one map of several
ASPP_RATES = (6, 12, 18)
TAPS = (1, 2, 3, 4, 6, 9)  # products of two axes' 1, 2 or 3


def _small_map(key: str, title: str, layers: tuple[Layer, ...], size: tuple[int, int], row: str) -> Pane:
    rows, columns = size
    return Pane(key, title, layers, columns, rows, pixel=SMALL / max(rows, columns * 0.8), row=row)


def _squares(size: tuple[int, int], reach: int) -> np.ndarray:
    """(h·w, 4) the window of `reach` cells around each cell; the picture's edge cuts it."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].reshape(2, -1) + 0.5
    half = reach / 2
    return np.stack([x - half, y - half, x + half, y + half], axis=1)


def _input_notes(result: Result, text: Text) -> tuple[str, ...]:
    return tuple(error_sentence(note.code, note.fields, text.language) for note in result.inputs.notes)


# -- YOLO's block ----------------------------------------------------------------------------------------------------------


def block_scene(result: Result, text: Text) -> Scene:
    """The input and its three pools in the order they are concatenated; below, where the gradient goes."""
    from core.perception.stride_one_pooling import branch_order

    blocks, size, channels = result.blocks, result.inputs.size, result.inputs.channels
    order = branch_order(blocks.kernels, order=result.controls.branches)
    panes: list[Pane] = []
    for place, kernel in enumerate(order):
        title = text("block", "input") if kernel == 1 else level_name(kernel)
        where = f"{place * channels}–{(place + 1) * channels - 1}"
        panes.append(_small_map(f"map-{kernel}", f"{title} ({where})", _branch(result, kernel, text), size, "maps"))
    panes += _gradient_panes(result, text)
    panes.append(_order_pane(result, text))
    middle = (size[0] // 2) * size[1] + size[1] // 2
    pools = range(len(blocks.kernels) + 1)
    followed = {f"w{k}": np.array([middle if m == i else -1 for m in pools]) for i, k in enumerate(blocks.kernels, 1)}
    followed |= {f"s{k}": followed[f"w{k}"] for k in blocks.kernels[1:]}
    followed["cell"] = np.array([-1] + [middle] * len(blocks.kernels))
    k = result.controls.kernel
    captions = [text("captions", "input", channel=channel_name(result.inputs, result.channel, text))]
    captions += [
        text("captions", "pool", count=str(m), small=level_name(k), large=level_name(kernel))
        for m, kernel in enumerate(blocks.kernels, 1)
    ]
    badge = text("block", "identical" if blocks.bit_identical else "different", count=format_value(blocks.compared))
    return Scene(
        tuple(panes),
        steps=len(captions),
        step=len(captions) - 1,
        captions=tuple(captions),
        step_names=(text("block", "input"), *(level_name(kernel) for kernel in blocks.kernels)),
        notes=(*_input_notes(result, text), badge),
        pointed=("cell", *(f"{kind}{kernel}" for kind in "ws" for kernel in blocks.kernels)),
        followed=followed,
    )


def _branch(result: Result, kernel: int, text: Text) -> tuple[Layer, ...]:
    """One map. Pointing at a cell lights the window that SPP reads in the input and the one SPPF reads in the map before."""
    blocks, channel, size = result.blocks, result.channel, result.inputs.size
    x = result.inputs.features[0, channel].numpy()
    values = x if kernel == 1 else blocks.spp[blocks.kernels.index(kernel)][0, channel].numpy()
    ids = np.arange(values.size, dtype=np.int32)
    also = {f"w{kernel}": ids, f"s{kernel}": ids} if kernel > 1 else {}
    ends = {"low": float(x.min()), "high": float(x.max())}
    layers: list[Layer] = [
        heat_layer(values, None, f"m{kernel}", "", text, opacity=1.0, **ends, link="cell", also=also)
    ]
    if kernel == 1:
        for k in blocks.kernels:
            layers.append(Boxes(f"w{k}", "", _squares(size, k), quiet=True, link=f"w{k}", items=ids))
    later = [k for k in blocks.kernels if k > max(kernel, result.controls.kernel)][:1]
    if kernel > 1 and later:
        square = _squares(size, result.controls.kernel)
        layers.append(Boxes(f"s{later[0]}", "", square, quiet=True, link=f"s{later[0]}", items=ids))
    return tuple(layers)


def _gradient_panes(result: Result, text: Text) -> list[Pane]:
    ties, channel, size = result.ties, result.channel, result.inputs.size
    both = [ties.spp[0, channel].numpy(), ties.sppf[0, channel].numpy()]
    top = max(float(values.max()) for values in both)
    panes = [
        _small_map(
            f"gradient-{key}",
            text("block", f"gradient_{key}"),
            (heat_layer(values, None, f"g-{key}", "", text, opacity=1.0, low=0.0, high=top, link="cell"),),
            size,
            "gradients",
        )
        for key, values in zip(("spp", "sppf"), both, strict=True)
    ]
    differs = ties.differs[0, channel].numpy()
    colors = np.array([[*rgb(ROLES["neutral"]), 70], [*rgb(ROLES["error"]), 255]], np.uint8)[
        differs.ravel().astype(int)
    ]
    legend = ((text("block", "same"), ROLES["neutral"], 0), (text("block", "differs"), ROLES["error"], 1))
    view = View("differs", "", colors, differs.ravel().astype(np.uint8), legend)
    names = tuple(text("block", "differs" if d else "same") for d in differs.ravel())
    labels = Labels(
        "differs",
        "",
        cell_codes(*size),
        (view,),
        opacity=1.0,
        link="cell",
        hover=(Hover("", np.arange(differs.size, dtype=np.uint16), names),),
    )
    return [*panes, _small_map("gradient-differs", text("block", "gradient_differs"), (labels,), size, "gradients")]


def _order_pane(result: Result, text: Text) -> Pane:
    """Which window stands in which channels, by Ultralytics and by Darknet."""
    from core.perception.stride_one_pooling import branch_order

    kernels, channels = result.blocks.kernels, result.inputs.channels
    both = zip(branch_order(kernels, order="ultralytics"), branch_order(kernels, order="darknet"), strict=True)

    def name(kernel: int) -> str:
        return text("block", "input") if kernel == 1 else level_name(kernel)

    rows = tuple(
        (f"{place * channels}–{(place + 1) * channels - 1}", name(a), name(b)) for place, (a, b) in enumerate(both)
    )
    columns = (text("columns", "channels"), "Ultralytics", "Darknet")
    table = Table("order", text("tables", "order"), columns, rows)
    return Pane("order", text("tables", "order"), (table,), place="side", note=text("tables", "order_note"))


# -- PSPNet's averages -----------------------------------------------------------------------------------------------------


def averages_scene(result: Result, text: Text) -> Scene:
    """The map and each level's averages, enlarged to the map's size again."""
    inputs, channel, size = result.inputs, result.channel, result.inputs.size
    x = inputs.features[0, channel].numpy()
    ends = {"low": float(x.min()), "high": float(x.max())}
    own = heat_layer(x, None, "x", "", text, opacity=1.0, **ends, link="cell")
    panes = [_small_map("map-x", text("block", "input"), (own,), size, "maps")]
    rows: list[tuple[str | Number, ...]] = []
    for level in result.averages.levels:
        n = level.bins.level
        enlarged = level.upsampled[0, channel].numpy()
        heat = heat_layer(enlarged, None, f"up{n}", "", text, opacity=1.0, **ends, link="cell")
        bins = Boxes(f"bins{n}", "", np.array(level.bins.boxes, float), colors=("#FFFFFF",), width=1.0)
        panes.append(_small_map(f"map-{n}", level_name(n), (heat, bins), size, "maps"))
        nests = text("averages", "even" if level.nests else "uneven")
        rows.append((level_name(n), nests, average_number(level)))
    columns = tuple(text("columns", key) for key in ("level", "evenness", "nesting"))
    table = Table("nesting", text("tables", "averages"), columns, tuple(rows))
    panes.append(
        Pane("nesting", text("tables", "averages"), (table,), place="side", note=text("tables", "averages_note"))
    )
    caption = text("captions", "averages", channel=channel_name(inputs, channel, text))
    return Scene(tuple(panes), captions=(caption,), notes=_input_notes(result, text), pointed=("cell",))


# -- ASPP ------------------------------------------------------------------------------------------------------------------


def atrous_scene(result: Result, text: Text) -> Scene:
    """How many of the nine taps are on the map, rate by rate, with the nine taps of the middle cell."""
    inputs, coverages = result.inputs, result.coverages
    height, width = canvas_of(inputs)
    rows, columns = inputs.size
    codes = np.stack([np.searchsorted(TAPS, coverage.taps) for coverage in coverages]).astype(np.uint8)
    places = np.linspace(255, 0, len(TAPS)).astype(int)[::-1]
    colors = np.concatenate([magnitude_colors()[places], np.full((len(TAPS), 1), 215, np.uint8)], axis=1)
    hexes = ["#{:02X}{:02X}{:02X}".format(*magnitude_colors()[p]) for p in places]
    hatch = np.array([2, 0, 0, 0, 0, 0], np.uint8)
    names = tuple(text("atrous", "taps", count=str(k)) for k in TAPS)
    view = View("taps", "", colors.astype(np.uint8), hatch, tuple(zip(names, hexes, hatch.tolist(), strict=True)))
    taps = Labels(
        "taps",
        text("layers", "taps"),
        codes,
        (view,),
        opacity=0.8,
        hover=(Hover("", np.arange(len(TAPS), dtype=np.uint8), names),),
        extent=pixels_of(inputs, (0, 0, columns, rows)),
    )
    x, y = columns // 2, rows // 2
    points = np.full((len(coverages), 9, 2), np.nan)
    for t, coverage in enumerate(coverages):
        r = coverage.rate
        for k, (dy, dx) in enumerate((a, b) for a in (-r, 0, r) for b in (-r, 0, r)):
            if 0 <= x + dx < columns and 0 <= y + dy < rows:
                points[t, k] = pixels_of(inputs, (x + dx + 0.5, y + dy + 0.5, 0, 0))[:2]
    dots = Points("filter", text("layers", "filter"), points, colors=("#FFFFFF",), radius=4.0)
    layers = (*photo_layer(inputs, text), taps, dots)
    picture = Pane("taps", "", layers, width, height, pixel=min(3.0, 340 / max(height, width * 0.6)), row="taps")
    rates = np.array([coverage.rate for coverage in coverages], float)
    curves = np.stack(
        [np.stack([rates, [getattr(c, key) for c in coverages]], axis=1) for key in ("all_taps", "one_tap")]
    )
    curve_names = (text("numbers", "all_taps", "label"), text("numbers", "one_tap", "label"))
    chart = Pane(
        "curve",
        text("atrous", "chart", rows=str(rows), columns=str(columns)),
        (Paths("shares", "", curves, curve_names, ("forward", "error")),),
        axes=Axes((0.0, float(rates[-1]) + 1), (0.0, 1.0), text("axes", "rate"), text("axes", "share"), cursor=rates),
        place="side",
    )
    known = [c for c in coverages if c.rate in ASPP_RATES]
    listed = tuple((str(c.rate), *_items(coverage_numbers(c), str(c.rate))) for c in known)
    heads = tuple(text("columns", key) for key in ("rate", "all_taps", "one_tap", "mean_taps"))
    table = Table("rates", text("tables", "rates"), heads, listed)
    panes = (
        picture,
        chart,
        Pane("rates", text("tables", "rates"), (table,), place="side", note=text("atrous", "note")),
    )
    captions = tuple(
        text("captions", "atrous", rate=str(c.rate), all=format_value(c.all_taps), one=format_value(c.one_tap))
        for c in coverages
    )
    return Scene(
        panes,
        steps=len(coverages),
        step=ASPP_RATES[0] - 1,
        captions=captions,
        step_names=tuple(text("atrous", "rate", rate=str(c.rate)) for c in coverages),
        notes=_input_notes(result, text),
    )


def _items(numbers: tuple[Number, ...], item: str) -> tuple[Number, ...]:
    from dataclasses import replace

    return tuple(replace(number, item=item) for number in numbers)
