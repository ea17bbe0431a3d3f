"""What a stage shows: panes of layers, as records.

A layer's arrays either stay the same or have one slice a step (their first axis). `stage` hands a scene to the browser.

Linked highlighting: items of several layers (a box, a point, a table's row, the pixels of a code) carry ids under the name of a
`link`. While the visitor points at an item, or moves the keyboard's focus to it, everything that has its id is lit; what is
under `also` lights up with it. Between two glances the items of the current step are lit (`Scene.followed`), and choosing an
item goes to its step. Only links named in `Scene.pointed` do this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from demos.kit.numbers import Number

Place = Literal["main", "side", "wide", "below"]  # wide: across the whole stage, above the scrubber
Extent = tuple[float, float, float, float]


def _no_ids() -> Mapping[str, np.ndarray]:
    return {}


# -- layers ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """A photograph or rendering under everything else."""

    key: str
    label: str
    frames: tuple[bytes, ...]  # one encoded JPEG or PNG, or one a step
    visible: bool = True
    opacity: float = 1.0
    extent: Extent | None = None  # x0 y0 x1 y1 in the pane's units; None: the whole pane
    type: str = "picture"


@dataclass(frozen=True)
class View:
    """One way to colour a label map."""

    key: str
    label: str
    colors: np.ndarray  # (C, 4) uint8 RGBA of each code
    hatch: np.ndarray | None = None  # (C,) uint8: 0 plain, 1 rising, 2 falling stripes
    legend: tuple[tuple[str, str, int], ...] = ()  # (label, "#RRGGBB", hatch)


@dataclass(frozen=True)
class Hover:
    """What the tooltip says of a pixel: `label: names[index[code]]`."""

    label: str
    index: np.ndarray  # (C,) integer
    names: tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """An integer code per pixel, coloured by one of several tables. `link` joins it to a matrix whose cells carry the same codes."""

    key: str
    label: str
    codes: np.ndarray  # (H, W), or (T, H, W) one a step; uint8 or uint16
    views: tuple[View, ...]
    view: str = ""  # key of the view shown first; "" = the first
    visible: bool = True
    opacity: float = 0.6
    link: str = ""
    hover: tuple[Hover, ...] = ()
    extent: Extent | None = None  # x0 y0 x1 y1 in the pane's units; None: the whole pane
    items: np.ndarray | None = None  # (C,) id of each code under the link; −1: none; None: the code itself
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> (C,) ids that light up with a code
    pick: str = ""  # control that takes the code of the pixel that is chosen; it must be among the scene's `picks`
    smooth: bool = False  # enlarged without edges between pixels: a field that was sampled, not a map of regions
    type: str = "labels"


@dataclass(frozen=True)
class Boxes:
    """Rectangles in the pane's units."""

    key: str
    label: str
    xyxy: np.ndarray  # (N, 4), or (T, N, 4); NaN hides a box in a step
    names: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()  # role or #RRGGBB, one a box or one for all
    dashed: bool = False
    visible: bool = True
    width: float = 2.0  # of the line, in screen pixels
    quiet: bool = False  # drawn only while lit
    hints: tuple[str, ...] = ()  # what the tooltip says of each box
    link: str = ""
    items: np.ndarray | None = None  # (N,), or (T, N): id of each box under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    halo: bool = False  # on a photograph: a light line under the box, its name in white
    names_at: Literal["top", "bottom"] = (
        "top"  # with a halo: two sets of boxes keep their names out of each other's way
    )
    type: str = "boxes"


@dataclass(frozen=True)
class Points:
    key: str
    label: str
    xy: np.ndarray  # (N, 2), or (T, N, 2); NaN hides
    names: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    radius: float = 4.0  # screen pixels
    visible: bool = True
    quiet: bool = False  # drawn only while lit
    hints: tuple[str, ...] = ()  # what the tooltip says of each point
    link: str = ""
    items: np.ndarray | None = None  # (N,), or (T, N): id of each point under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    names_at: Literal["right", "left"] = "right"
    swarm: bool = False  # drawn with the pixels, below all lines: a thousand stay quick; without names
    type: str = "points"


@dataclass(frozen=True)
class Paths:
    """Polylines. With `grow`, a path is drawn up to the current step: vertex i appears at step i."""

    key: str
    label: str
    xy: np.ndarray  # (N, V, 2), or (T, N, V, 2) one set a step; NaN breaks the line
    names: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    grow: bool = False
    visible: bool = True
    width: float = 2.0  # of the line, in screen pixels
    dashed: bool = False
    link: str = ""
    items: np.ndarray | None = None  # (N,), or (T, N): id of each path under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    type: str = "paths"


@dataclass(frozen=True)
class Ribbons:
    """Curved bands between pairs of points, for matches."""

    key: str
    label: str
    ends: np.ndarray  # (N, 4) x0 y0 x1 y1, or (T, N, 4); NaN hides
    widths: np.ndarray  # (N,) in screen pixels
    colors: tuple[str, ...] = ()
    visible: bool = True
    link: str = ""
    items: np.ndarray | None = None  # (N,), or (T, N): id of each band under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    type: str = "ribbons"


@dataclass(frozen=True)
class Bars:
    """Horizontal bars on a common scale."""

    key: str
    label: str
    values: np.ndarray  # (N,), or (T, N)
    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...] = ()  # (1 or T) × N, what stands beside the bar
    scale: tuple[float, float] = (0.0, 1.0)
    colors: tuple[str, ...] = ()
    link: str = ""
    items: np.ndarray | None = None  # (N,), or (T, N): id of each bar under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    type: str = "bars"


@dataclass(frozen=True)
class Face:
    """A further way to read a matrix: other numbers in the same cells. The reader chooses."""

    key: str
    label: str
    shade: np.ndarray  # (R, C) uint8, or (T, R, C)
    texts: tuple[Sequence[str], ...]  # (1 or T) × R·C
    receipts: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Matrix:
    """Numbers in cells, shaded. Clicking a cell lights the pixels of its code in every label layer with the same `link`; if the
    link is one of `Scene.pointed`, pointing at the cell does. With `pick`, clicking picks the cell (at most one a row and one a
    column) and tells Python."""

    key: str
    label: str
    shade: np.ndarray  # (R, C) uint8, or (T, R, C): 0…255 on the magnitude ramp
    texts: tuple[Sequence[str], ...]  # (1 or T) × R·C row by row
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_title: str = ""
    column_title: str = ""
    codes: np.ndarray | None = None  # (R, C)
    link: str = ""
    receipts: tuple[Number, ...] = ()  # vouch for all cells; one, or one a step
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> (R, C) ids that light up with a cell
    faces: tuple[Face, ...] = ()
    face: str = ""  # key of the face shown first; "" = the matrix itself
    marks: np.ndarray | None = None  # (R, C) or (T, R, C) uint8: 0 nothing, k = outlined as mark_names[k − 1]
    mark_names: tuple[str, ...] = ()  # at most four
    row_values: tuple[tuple[str, ...], ...] = ()  # (1 or T) × R, beside the rows' names
    column_values: tuple[tuple[str, ...], ...] = ()  # (1 or T) × C
    pick: bool = False
    picked: tuple[tuple[int, int], ...] = ()  # (row, column)
    type: str = "matrix"


Rows = tuple[tuple[str | Number, ...], ...]


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers. A cell that is a `Number` opens its receipt."""

    key: str
    label: str
    columns: tuple[str, ...]
    rows: Rows
    marked: tuple[int, ...] = ()  # rows to emphasise
    link: str = ""
    items: np.ndarray | None = None  # (R,), or (T, R): id of each row under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    later: tuple[Rows, ...] = ()  # one set of rows a step; `rows` is then the first of them
    marks: tuple[tuple[int, ...], ...] = ()  # rows to emphasise at each step
    type: str = "table"


@dataclass(frozen=True)
class Cells:
    """Rectangles that each wear one of a few states, such as the parts of a schedule. Choosing one jumps to its step."""

    key: str
    label: str
    xyxy: np.ndarray  # (N, 4) in the pane's units
    states: np.ndarray  # (N,), or (T, N) one a step; uint8, a row of `colors`
    colors: np.ndarray  # (S, 4) uint8 RGBA
    hatch: np.ndarray | None = None  # (S,) uint8: 0 plain, 1 rising, 2 falling stripes
    legend: tuple[tuple[str, str, int], ...] = ()  # (label, "#RRGGBB", hatch)
    names: tuple[str, ...] = ()  # what the tooltip says of each
    steps: np.ndarray | None = None  # (N,) the step that choosing a cell jumps to; −1: none
    visible: bool = True
    type: str = "cells"


@dataclass(frozen=True)
class Grid:
    """A block of numbers at a place in a pane: each cell one unit wide, shaded by its number, which stands in it."""

    key: str
    label: str  # stands above the block
    xy: tuple[float, float]  # its upper left corner, in the pane's units
    values: np.ndarray  # (R, C), or (T, R, C) one a step; made by `fixed_point`
    decimals: int
    ramp: np.ndarray  # (256, 3) uint8 colours from `scale[0]` to `scale[1]`
    scale: tuple[float, float]
    receipts: tuple[Number, ...] = ()  # vouch for all cells; one, or one a step
    visible: bool = True
    type: str = "grid"


@dataclass(frozen=True)
class Words:
    """Short texts at places in a pane: signs between blocks, captions."""

    key: str
    label: str
    xy: np.ndarray  # (N, 2)
    texts: tuple[tuple[str, ...], ...]  # (1 or T) × N
    size: float = 0.6  # of the letters, in the pane's units
    anchor: Literal["start", "middle", "end"] = "middle"
    color: str = ""
    visible: bool = True
    type: str = "words"


@dataclass(frozen=True)
class Stack:
    """Bars made of parts, against a limit: a budget and what fills it. Whether a bar is over is said, not compared here."""

    key: str
    label: str
    values: np.ndarray  # (B, S), or (T, B, S): length of each part
    bars: tuple[str, ...]  # (B,)
    names: tuple[str, ...]  # (S,)
    texts: tuple[tuple[str, ...], ...]  # (1 or T) × B, what stands beside the bar
    scale: float  # what the whole track stands for
    limit: float | None = None
    limit_text: str = ""
    over: np.ndarray | None = None  # (B,), or (T, B) uint8: 1 where the bar is beyond the limit
    colors: tuple[str, ...] = ()  # (S,) role or #RRGGBB
    hatch: tuple[int, ...] = ()  # (S,)
    legend: bool = True  # whether the parts are named below
    receipts: tuple[Number, ...] = ()  # vouch for all parts; one, or one a step
    type: str = "stack"


@dataclass(frozen=True)
class Registers:
    """What is written down about one item at a time: at any step, the item's last writing so far and the one before it.

    Writings are listed once, in the order of their steps; which item is shown is the value of a pick, or what is pointed at.
    """

    key: str
    label: str  # "query {k}": the item's name
    names: tuple[str, ...]  # (R,) of the registers
    steps: np.ndarray  # (E,) step of each writing, ascending
    items: np.ndarray  # (E,) whom it is about
    values: np.ndarray  # (E, R) float32
    decimals: tuple[int, ...]  # (R,)
    pick: str
    first: str = ""  # stands for what comes before the first writing
    missing: str = ""  # said of an item that has no writings here
    lying: bool = False  # one column a register instead of one line
    receipts: tuple[Number, ...] = ()  # vouch for all values; one, or one a step
    type: str = "registers"


@dataclass(frozen=True)
class Areas:
    """Areas stacked on each other over a chart's x axis; every height holds until the next x."""

    key: str
    label: str
    x: np.ndarray  # (V + 1,) where each height begins, and where the last one ends
    edges: np.ndarray  # (S + 1, V) the lowest area's lower edge, then the upper edge of each area
    names: tuple[str, ...]  # (S,)
    colors: tuple[str, ...]  # (S,) role or #RRGGBB
    hatch: tuple[int, ...] = ()  # (S,): 0 plain, 1 rising, 2 falling stripes
    type: str = "areas"


@dataclass(frozen=True)
class Strip:
    """Stretches of a chart's x axis as a band below the plot: what was going on there. Choosing one jumps to its step."""

    key: str
    label: str  # stands before the band
    ends: np.ndarray  # (N, 2) x where each begins and ends
    states: np.ndarray  # (N,) uint8, a row of `names`
    names: tuple[str, ...]  # (S,) of the states
    colors: tuple[str, ...]  # (S,)
    hatch: tuple[int, ...] = ()  # (S,)
    words: tuple[str, ...] = ()  # (N,) written on each where there is room
    hints: tuple[str, ...] = ()  # (N,) what the pointer reads
    type: str = "strip"


@dataclass(frozen=True)
class Level:
    """A horizontal line across a chart, such as a limit. With a control it is dragged, by pointer or arrow keys, and the control
    takes its value."""

    key: str
    label: str
    value: float  # on the y axis
    control: str = ""  # must be among the demo's picks
    low: float = 0.0
    high: float = 1.0
    step: float = 1.0  # of an arrow key; values are multiples of it
    unit: str = ""
    color: str = "error"
    type: str = "level"


@dataclass(frozen=True)
class Tiles:
    """A row of boxes one after another, each in one of a few states and filled to some share. With `pick`, a click switches a box
    on or off and tells Python which are on ("0_3_7")."""

    key: str
    label: str
    names: tuple[str, ...]  # (N,)
    states: np.ndarray  # (N,), or (T, N) one a step; uint8, a row of `state_names`
    state_names: tuple[str, ...]  # (S,); "" is not explained
    colors: tuple[str, ...]  # (S,) role or #RRGGBB; "" plain
    hatch: tuple[int, ...] = ()  # (S,)
    shares: np.ndarray | None = None  # (N,), or (T, N): how full each is, 0…1
    hints: tuple[str, ...] = ()  # (N,) what the tooltip says of each
    groups: tuple[tuple[int, int, int], ...] = ()  # (first, last + 1, depth) of brackets below
    group_label: str = ""  # what a bracket means
    on: tuple[int, ...] = ()  # boxes that are switched on
    on_label: str = ""  # what that means
    pick: bool = False
    small: bool = False  # a row to compare with
    receipts: tuple[Number, ...] = ()  # vouch for the shares; one, or one a step
    type: str = "tiles"


Layer = (
    Picture
    | Labels
    | Boxes
    | Points
    | Paths
    | Ribbons
    | Bars
    | Matrix
    | Table
    | Cells
    | Grid
    | Words
    | Stack
    | Registers
    | Areas
    | Strip
    | Level
    | Tiles
)


@dataclass(frozen=True)
class Axes:
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    cursor: np.ndarray | None = None  # (T,) x position of each step
    scrub: bool = False  # whether pointing at the chart with the button down goes to the nearest step


@dataclass(frozen=True)
class Pane:
    """A region of the stage with its own coordinates: a picture (width × height pixels), a chart (`axes`), or a list of tables."""

    key: str
    title: str
    layers: tuple[Layer, ...]
    width: int = 0
    height: int = 0  # of a chart: units of which its width has 600; 0: 220
    axes: Axes | None = None
    place: Place = "main"
    note: str = ""
    pixel: float = 0.0  # most screen pixels of one unit: small pictures stay small; 0: as large as there is room
    nudge: float = 1.0  # units by which an arrow key moves the pointer
    row: str = ""  # neighbours with the same name stand side by side where there is room
    share: float = 1.0  # of its row's width


@dataclass(frozen=True)
class BoxSet:
    """Boxes that visitors move, resize, draw, delete and give a class. `drawings.read_boxes` reads what they did."""

    letter: str  # one small letter: names the set in the text
    label: str
    ids: tuple[str, ...]  # "0", "1", … as computed; "n0", … as visitors added them
    classes: tuple[int, ...]  # of each box, an index into the tools' classes
    xyxy: np.ndarray  # (N, 4) float32, the pane's units
    add: bool = True


@dataclass(frozen=True)
class Handle:
    """A point that visitors drag, in one or several pictures at once. The way it took goes to Python; `drawings.read_way` reads it."""

    label: str
    way: np.ndarray  # (T, 2) int32, where it was and is, in 1/10000 of the square in which it moves
    sheets: Mapping[
        str, Extent
    ]  # pane -> where that square lies in it, in the pane's units; it may reach beyond the pane
    size: tuple[float, float]  # width and height of the square, to tell where the point is
    origin: float = 0.0  # what the square's corner is called
    nudge: float = 5.0  # parts of 1/10000 by which an arrow key moves it
    limit: int = 120  # places that are kept; older ones are forgotten


@dataclass(frozen=True)
class Tools:
    """What can be made on picture panes: a class brush and eraser on `layer`, a box, several sets of boxes, or the way of a point."""

    pane: str
    paint: bool = False
    box: bool = False
    classes: tuple[str, ...] = ()
    colors: np.ndarray | None = None  # (K, 3) uint8
    start: np.ndarray | None = None  # (H, W) uint8 labels to paint on
    empty: int = 0  # what the eraser writes
    box_xyxy: tuple[float, ...] = ()
    label: str = ""
    boxes: tuple[BoxSet, ...] = ()
    edits: str = ""  # what was done to them so far, as text
    handle: Handle | None = None  # instead of all of these


@dataclass(frozen=True)
class Guess:
    """A predict-first question: which option is right was computed, not written down."""

    question: str
    options: tuple[str, ...]
    answer: int
    reveal: tuple[str, ...]  # one sentence an option: what really happens to it
    preset: str = ""  # the view that shows it


@dataclass(frozen=True)
class Pick:
    """A control whose value is chosen on the picture: by pointing and clicking, or with arrow keys and Enter."""

    control: str  # its name
    value: int  # what is chosen now
    label: str  # "query {k}", for the tooltip and screen readers
    names: tuple[str, ...] = ()  # of the values; without them the label gets the number itself


@dataclass(frozen=True)
class Mark:
    """Steps worth jumping to: ticks on the scrubber, and buttons for the one before, the next and the last."""

    key: str
    label: str
    steps: tuple[int, ...]  # ascending
    color: str = ""  # role or #RRGGBB


@dataclass(frozen=True)
class Scene:
    panes: tuple[Pane, ...]
    steps: int = 1
    captions: tuple[str, ...] = ()  # one, or one a step
    step_names: tuple[str, ...] = ()
    step: int = 0  # the step shown first
    tools: Tools | None = None
    notes: tuple[str, ...] = ()
    pointed: tuple[str, ...] = ()  # links whose items light up while they are pointed at
    followed: Mapping[str, np.ndarray] = field(
        default_factory=_no_ids
    )  # link -> (T,) id that each step lights; −1: none
    picks: tuple[Pick, ...] = ()
    marks: tuple[Mark, ...] = ()
    lead: Literal["main", "wide"] = "main"  # what stands first: the numbers' row, or what runs across the whole stage


# -- helpers ------------------------------------------------------------


def jpeg(rgb: np.ndarray, *, quality: int = 85) -> bytes:
    """(H, W, 3) uint8 RGB to JPEG."""
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode a picture of shape {rgb.shape}")
    return data.tobytes()


def solid(colors: np.ndarray, *, alpha: int | np.ndarray = 255) -> np.ndarray:
    """(C, 3) colours and an alpha to (C, 4) uint8."""
    return np.concatenate(
        [colors, np.broadcast_to(np.asarray(alpha, np.uint8).reshape(-1, 1), (len(colors), 1))], axis=1
    )


BLANK, NOT_A_NUMBER, PLUS_INFINITY, MINUS_INFINITY = -(2**31) + 2, -(2**31) + 1, 2**31 - 1, -(2**31)  # as in blocks.js


def fixed_point(values: np.ndarray, decimals: int, *, blank: np.ndarray | None = None) -> np.ndarray:
    """Numbers as `Grid` sends them: int32 in units of the last decimal; infinities, NaN and blanks by codes of their own.

    >>> fixed_point(np.array([0.126, -np.inf, np.nan]), 2).tolist() == [13, MINUS_INFINITY, NOT_A_NUMBER]
    True
    """
    wide = np.asarray(values, np.float64)
    limit = float(2**31 - 4)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.clip(np.nan_to_num(np.round(wide * 10.0**decimals), nan=0.0), -limit, limit).astype(np.int64)
    scaled[np.isposinf(wide)] = PLUS_INFINITY
    scaled[np.isneginf(wide)] = MINUS_INFINITY
    scaled[np.isnan(wide)] = NOT_A_NUMBER
    if blank is not None:
        scaled[blank] = BLANK
    return scaled.astype(np.int32)
