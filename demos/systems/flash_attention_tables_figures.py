"""Tables below the picture, charts and the question that comes first. Every number is read from a record of core."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from core.systems.attention_devices import DEVICES, KERNEL_TILES
from core.systems.attention_schedule import tile_schedule
from demos.kit.numbers import format_value
from demos.kit.scene import Guess, Pane, Table
from demos.kit.text import Text
from demos.kit.theme import CATEGORIES, FONT, ROLES
from demos.systems.flash_attention_numbers import device_numbers, operand_numbers, paper_numbers, tile_number

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from demos.systems.flash_attention import Result

STEPPED = 128  # steps up to which the table of operands follows them; of longer traces it shows the end


def operand_pane(result: Result, text: Text) -> Pane:
    last = len(result.traffic) - 1
    operands = tuple(dict.fromkeys((*result.total.operands, *result.standard.operands)))
    wanted = range(last + 1) if last < STEPPED else (last,)
    frames = tuple(
        tuple((text("symbols", name), *operand_numbers(result, name, step)) for name in operands) for step in wanted
    )
    columns = tuple(text("tables", key) for key in ("operand", "loaded", "stored", "standard"))
    table = Table("operands", text("tables", "operands"), columns, frames[0], later=frames if len(frames) > 1 else ())
    title = text("tables", "operands" if len(frames) > 1 else "operands_end")
    return Pane("operands", title, (table,), place="below", note=text("tables", "operands_note"))


def tables(result: Result, text: Text) -> tuple[Pane, ...]:
    if result.controls.compare == "paper":
        return (_paper(text),)
    return _devices(result, text), _kernels(text)


def _devices(result: Result, text: Text) -> Pane:
    columns = tuple(text("tables", key) for key in ("device", "shared", "share", "least_standard", "least_flash"))
    rows = tuple((text("devices", device.key), *device_numbers(result, device)) for device in DEVICES)
    table = Table("devices", text("tables", "devices"), columns, rows)
    return Pane("devices", text("tables", "devices"), (table,), place="below", note=text("tables", "devices_note"))


def _kernels(text: Text) -> Pane:
    columns = tuple(text("tables", key) for key in ("kernel", "head_dimension", "tile", "needs"))
    rows = tuple(
        (
            kernel.kernel,
            f"≤ {kernel.d}"
            + ("" if kernel.causal is None else " · " + text("tables", "causal" if kernel.causal else "full")),
            f"{kernel.block_q} × {kernel.block_k}",
            tile_number(kernel),
        )
        for kernel in KERNEL_TILES
    )
    table = Table("kernels", text("tables", "kernels"), columns, rows)
    return Pane("kernels", text("tables", "kernels"), (table,), place="below", note=text("tables", "kernels_note"))


def _paper(text: Text) -> Pane:
    columns = tuple(text("tables", key) for key in ("figure", "printed", "counted", "verdict"))
    rows = tuple(
        (text("paper", figure.key), printed, counted if counted is not None else "–", text("verdicts", figure.verdict))
        for figure, printed, counted in paper_numbers()
    )
    table = Table("paper", text("tables", "paper"), columns, rows)
    return Pane("paper", text("tables", "paper"), (table,), place="below", note=text("tables", "paper_note"))


# -- charts -----------------------------------------------------------------------------------------------------------


def traffic_chart(result: Result, text: Text) -> go.Figure:
    """Flash against standard over the width of the tiles."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for (name, curve), color, dash in zip(
        result.curves.items(), (CATEGORIES[4], CATEGORIES[5]), ("solid", "dash"), strict=True
    ):
        figure.add_scatter(
            x=[point for point, _ in curve],
            y=[ratio for _, ratio in curve],
            mode="lines+markers",
            name=text("controls", "order", "options", name),
            line={"color": color, "dash": dash},
        )
    figure.add_hline(
        y=1, line_dash="dot", line_color=ROLES["neutral"], annotation_text=text("charts_words", "standard")
    )
    figure.update_xaxes(title=text("charts_words", "width"), type="log", dtick="D1")
    figure.update_yaxes(title=text("charts_words", "ratio"), type="log")
    return _layout(figure)


def measured_chart(result: Result, text: Text) -> go.Figure:
    """Seconds on this very machine, measured once a process; and recordings of other machines, if there are any."""
    import plotly.graph_objects as go

    from demos.systems.flash_attention_measured import measured, recordings

    del result
    figure = go.Figure()
    here = measured()
    names = ("standard", "tiled", "sdpa")
    for name, color, symbol in zip(
        names, (CATEGORIES[5], CATEGORIES[4], CATEGORIES[2]), ("square", "circle", "diamond"), strict=True
    ):
        figure.add_scatter(
            x=list(here.tokens),
            y=[1000 * seconds for seconds in here.seconds[name]],
            mode="lines+markers",
            name=text("measured", name),
            line={"color": color},
            marker={"symbol": symbol, "size": 9},
        )
        if name in here.least:
            figure.add_scatter(
                x=list(here.tokens),
                y=[1000 * seconds for seconds in here.least[name]],
                mode="lines",
                name=text("measured", "roofline", way=text("measured", name)),
                line={"color": color, "dash": "dash", "width": 1.5},
            )
    found = recordings()
    for record in found:
        for name, seconds in record.seconds.items():
            figure.add_scatter(
                x=list(record.tokens),
                y=[None if s is None else 1000 * s for s in seconds],
                mode="lines",
                name=f"{record.device}, {record.date}: {text('measured', name)}",
                line={"dash": "dot"},
            )
    figure.update_xaxes(title=text("measured", "tokens"), type="log", tickvals=list(here.tokens))
    figure.update_yaxes(title=text("measured", "milliseconds"), type="log")
    heads = str(here.heads)
    said = text(
        "measured",
        "device",
        device=here.device,
        threads=str(here.threads),
        versions=here.versions,
        heads=heads,
        d=str(here.d),
    )
    bandwidth, rate = f"{here.bytes_per_s / 1e9:.1f}", f"{here.flops_per_s / 1e9:.0f}"
    said += "<br>" + text("measured", "roofline_note", bandwidth=bandwidth, rate=rate)
    if not found:
        said += "<br>" + text("measured", "no_recording")
    _layout(figure, 480)
    figure.update_yaxes(dtick=1)
    figure.update_layout(
        title={"text": said, "font": {"size": 12}, "x": 0, "xanchor": "left"},
        margin={"t": 100, "b": 90},
        legend={"y": -0.2, "yanchor": "top"},
    )
    return figure


def memory_chart(result: Result, text: Text) -> go.Figure:
    """Most bytes at once over the number of tokens, measured here once a process; and recordings of other machines."""
    import plotly.graph_objects as go

    from demos.systems.flash_attention_measured import memory, recordings

    del result
    figure = go.Figure()
    here = memory()
    ways = (
        ("standard", CATEGORIES[5], "square"),
        ("tiled", CATEGORIES[4], "circle"),
        ("sdpa", CATEGORIES[2], "diamond"),
    )
    for name, color, symbol in ways:
        figure.add_scatter(
            x=list(here.tokens),
            y=[peak / 2**20 for peak in here.peak_bytes[name]],
            mode="lines+markers",
            name=text("measured", name),
            line={"color": color},
            marker={"symbol": symbol, "size": 9},
        )
    found = recordings()
    for record in found:
        for name, peaks in record.peak_bytes.items():
            figure.add_scatter(
                x=list(record.tokens),
                y=[None if peak is None else peak / 2**20 for peak in peaks],
                mode="lines",
                name=f"{record.device}, {record.date}: {text('measured', name)}",
                line={"dash": "dot"},
            )
    figure.update_xaxes(title=text("measured", "tokens"), type="log", tickvals=list(here.tokens))
    figure.update_yaxes(title="MiB", type="log", dtick=1)
    said = text("measured", "memory_device", device=here.device, heads=str(here.heads), d=str(here.d))
    said += "<br>" + text("measured", f"memory_{here.counted}")
    if not found:
        said += "<br>" + text("measured", "no_recording")
    _layout(figure, 440)
    figure.update_layout(
        title={"text": said, "font": {"size": 12}, "x": 0, "xanchor": "left"},
        margin={"t": 90, "b": 90},
        legend={"y": -0.2, "yanchor": "top"},
    )
    return figure


def _layout(figure: go.Figure, height: int = 340) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        font={"family": FONT},
        legend={"orientation": "h", "y": 1.08, "yanchor": "bottom"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


# -- predict first ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _worse() -> tuple[tuple[int, float], ...]:
    """Flash / standard of the view "worse" at several widths."""
    from demos.systems.flash_attention import DEMO, ratio_at

    return tuple((width, ratio_at(DEMO.presets["worse"], width)) for width in (32, 64, 128, 256))


def guesses_of(text: Text) -> tuple[Guess, ...]:
    """Which tiles make it worse, and how many does a causal mask skip? Both counted."""
    ratios = _worse()
    worst = max(range(len(ratios)), key=lambda i: ratios[i][1])
    first = Guess(
        text("predict", "worse"),
        tuple(text("predict", "width", width=str(width)) for width, _ in ratios),
        worst,
        tuple(text("predict", "moves", width=str(width), ratio=format_value(ratio)) for width, ratio in ratios),
        "worse",
    )
    skipped, visited = _skipped()
    options = (skipped, (skipped + visited) // 2, visited)
    second = Guess(
        text("predict", "skips", all=str(skipped + visited)),
        tuple(str(n) for n in options),
        0,
        tuple(text("predict", key, n=str(n)) for key, n in zip(("skipped", "half", "visited"), options, strict=True)),
        "order",
    )
    return first, second


@lru_cache(maxsize=1)
def _skipped() -> tuple[int, int]:
    from demos.systems.flash_attention import DEMO

    c = DEMO.presets["order"]
    schedule = tile_schedule(c.tokens, c.tokens, block_q=c.block_q, block_k=c.block_k, causal=c.causal)
    return len(schedule.skipped), len(schedule.tiles)
