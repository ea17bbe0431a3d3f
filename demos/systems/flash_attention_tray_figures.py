"""Result -> the tray: the tile that is on chip, laid out as its products are, left operand to the left, right operand above."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.kit.scene import Boxes, Grid, Layer, Pane, Words, fixed_point
from demos.kit.text import Text
from demos.kit.theme import magnitude_colors, signed_colors

if TYPE_CHECKING:
    from demos.kit.numbers import Number
    from demos.systems.flash_attention import Result

WHOLE, SOME = 6, 4  # sides of a block that are shown whole; of a longer side so many cells are shown
GAP, TITLE = 1.2, 0.9  # between blocks, above a block
Cut = Callable[[Any], Any]  # a step's tensor -> the part that is shown


def window(length: int, around: int = 0) -> slice:
    """The cells that are shown of a side; of a long one those around a place."""
    if length <= WHOLE:
        return slice(0, length)
    first = min(max(around - SOME // 2, 0), length - SOME)
    return slice(first, first + SOME)


def size_of(part: slice) -> int:
    return part.stop - part.start


def block(
    key: str,
    text: Text,
    xy: tuple[float, float],
    shape: tuple[int, int],
    parts: Sequence[np.ndarray],
    *,
    signed: bool = True,
    receipts: tuple[Number, ...] = (),
) -> Grid:
    """One (r, c) array a step, blank where a smaller tile has nothing; all on one scale."""
    cells, blank = np.zeros((len(parts), *shape)), np.ones((len(parts), *shape), bool)
    for k, part in enumerate(parts):
        rows, columns = part.shape
        cells[k, :rows, :columns], blank[k, :rows, :columns] = part, False
    sizes = np.abs(cells[np.isfinite(cells)])
    size = float(sizes.max(initial=0)) or 1.0
    decimals = 2 if size < 20 else 1 if size < 200 else 0
    scale = (-size, size) if signed else (0.0, size)
    values = fixed_point(cells, decimals, blank=blank)
    colors = signed_colors() if signed else magnitude_colors()
    return Grid(key, text("blocks", key), xy, values, decimals, colors, scale, receipts)


def tray_pane(result: Result, text: Text, receipts: tuple[Number, ...]) -> Pane:
    layers, width, height = _backward(result, text) if result.backward else _forward(result, text)
    first = layers[0]
    assert isinstance(first, Grid)
    note = text("tray", "note") if not (parts := _shown(result, text)) else text("tray", "shown", parts=parts)
    size = int(np.ceil(width)), int(np.ceil(height + 0.1))
    proved = (_proved(first, receipts), *layers[1:])
    return Pane("tray", text("tray", "title"), proved, *size, place="wide", note=note)


def _proved(grid: Grid, receipts: tuple[Number, ...]) -> Grid:
    from dataclasses import replace

    return replace(grid, receipts=receipts)


def _windows(result: Result) -> tuple[slice, slice, slice]:
    """Of the rows, columns and channels."""
    return (
        window(result.block_q, result.query % result.block_q),
        window(result.block_k),
        window(result.inputs.q.shape[1]),
    )


def _shown(result: Result, text: Text) -> str:
    """What is left out of the picture; "" for nothing."""
    whole = (result.block_q, result.block_k, result.inputs.q.shape[1])
    names = ("rows", "columns", "channels")
    return " · ".join(
        text("tray", "part", shown=str(size_of(part)), all=str(all_), what=text("tray", name))
        for part, all_, name in zip(_windows(result), whole, names, strict=True)
        if size_of(part) < all_
    )


def _operand(matrix: np.ndarray, spans: Sequence[range], part: slice, channels: slice) -> list[np.ndarray]:
    """The shown cells of each step's rows of a (N, d) matrix."""
    known = {span: matrix[span.start : span.stop][part, channels] for span in set(spans)}
    return [known[span] for span in spans]


def _forward(result: Result, text: Text) -> tuple[tuple[Layer, ...], float, float]:
    rows, cols, chans = _windows(result)
    r, c, e = size_of(rows), size_of(cols), size_of(chans)
    x_s = e + GAP
    x_p = x_s + c + GAP
    x_m = x_p + c + GAP
    x_o = x_m + 3 + GAP
    y = 2 + max(c, e, 4)
    over = y - TITLE - 0.2  # foot of what stands above
    tiles, steps = result.schedule.tiles, result.steps
    queries, keys = [t.rows for t in tiles], [t.cols for t in tiles]
    inputs = result.inputs

    def each(name: str, cut: Cut) -> list[np.ndarray]:
        return [cut(getattr(step, name)).double().numpy() for step in steps]

    def column(name: str) -> list[np.ndarray]:
        return each(name, lambda x: x[rows][:, None])

    k_blocks = [x.T for x in _operand(inputs.k, keys, cols, chans)]
    width, height = x_o + e, y + r
    return (
        (
            block("q", text, (0.0, y), (r, e), _operand(inputs.q, queries, rows, chans)),
            block("k", text, (x_s, over - e), (e, c), k_blocks),
            block("scores", text, (x_s, y), (r, c), each("scores", lambda x: x[rows, cols])),
            block(
                "probabilities", text, (x_p, y), (r, c), each("probabilities", lambda x: x[rows, cols]), signed=False
            ),
            block("row_max", text, (x_m, y), (r, 1), column("row_max")),
            block("row_sum", text, (x_m + 1, y), (r, 1), column("row_sum"), signed=False),
            block("rescale", text, (x_m + 2, y), (r, 1), column("rescale"), signed=False),
            block("v", text, (x_o, over - c), (c, e), _operand(inputs.v, keys, cols, chans)),
            block("accumulator", text, (x_o, y), (r, e), each("accumulator", lambda x: x[rows, chans])),
            _frame(result, text, rows, width, y),
            _formulas(result, text, x_p, over - 0.4),
        ),
        width,
        height,
    )


def _backward(result: Result, text: Text) -> tuple[tuple[Layer, ...], float, float]:
    rows, cols, chans = _windows(result)
    r, c, e = size_of(rows), size_of(cols), size_of(chans)
    x_p = e + GAP
    x_do = x_p + max(c, e) + GAP
    x_dp = x_do + e + GAP
    x_ds = x_dp + c + GAP
    x_dq = x_ds + max(c, e) + GAP
    y = 2 + max(c, e, 4)
    over, under = y - TITLE - 0.2, y + r + TITLE + 0.2
    tiles, steps, inputs = result.schedule.tiles, result.backward, result.inputs
    queries, keys = [t.rows for t in tiles], [t.cols for t in tiles]
    assert result.grad_output is not None

    def each(name: str, cut: Cut) -> list[np.ndarray]:
        return [cut(getattr(step, name)).double().numpy() for step in steps]

    def square(x: Any) -> Any:
        return x[rows, cols]

    k_blocks = _operand(inputs.k, keys, cols, chans)
    v_blocks = _operand(inputs.v, keys, cols, chans)
    grad = _operand(result.grad_output.double().numpy(), queries, rows, chans)
    width, height = x_dq + e, under + c
    return (
        (
            block("q", text, (0.0, y), (r, e), _operand(inputs.q, queries, rows, chans)),
            block("k", text, (x_p, over - e), (e, c), [x.T for x in k_blocks]),
            block("probabilities_again", text, (x_p, y), (r, c), each("probabilities", square), signed=False),
            block("grad_output", text, (x_do, y), (r, e), grad),
            block("v_turned", text, (x_dp, over - e), (e, c), [x.T for x in v_blocks]),
            block("grad_probabilities", text, (x_dp, y), (r, c), each("grad_probabilities", square)),
            block("grad_scores", text, (x_ds, y), (r, c), each("grad_scores", square)),
            block("k_right", text, (x_dq, over - c), (c, e), k_blocks),
            block("grad_q", text, (x_dq, y), (r, e), each("grad_q", lambda x: x[rows, chans])),
            block("grad_v", text, (x_p, under), (c, e), each("grad_v", lambda x: x[cols, chans])),
            block("grad_k", text, (x_ds, under), (c, e), each("grad_k", lambda x: x[cols, chans])),
            _frame(result, text, rows, width, y),
        ),
        width,
        height,
    )


def _frame(result: Result, text: Text, rows: slice, width: float, y: float) -> Layer:
    """Around the query that is followed, while it is on chip."""
    xyxy = np.full((len(result.schedule.tiles), 1, 4), np.nan, np.float32)
    for k, tile in enumerate(result.schedule.tiles):
        local = result.query - tile.rows.start - rows.start
        if result.query in tile.rows and 0 <= local < size_of(rows):
            xyxy[k, 0] = [0, y + local, width, y + local + 1]
    return Boxes("query", text("tray", "query"), xyxy, colors=("error",))


def _formulas(result: Result, text: Text, x: float, bottom: float) -> Layer:
    """The recurrence as it is computed here; a rule that breaks it is marked."""
    c = result.controls
    lines = text("formulas", c.rule if c.rule != "running_max" else c.order).split("\n")
    xy = np.array([[x, bottom - 0.78 * (len(lines) - 1 - i)] for i in range(len(lines))], np.float32)
    return Words("formulas", text("tray", "formulas"), xy, (tuple(lines),), 0.58, "start")
