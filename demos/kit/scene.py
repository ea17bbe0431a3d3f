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

Place = Literal["main", "side", "below"]
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
    type: str = "points"


@dataclass(frozen=True)
class Paths:
    """Polylines. With `grow`, a path is drawn up to the current step: vertex i appears at step i."""

    key: str
    label: str
    xy: np.ndarray  # (N, V, 2); NaN breaks the line
    names: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    grow: bool = False
    visible: bool = True
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


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers. A cell that is a `Number` opens its receipt."""

    key: str
    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | Number, ...], ...]
    marked: tuple[int, ...] = ()  # rows to emphasise
    link: str = ""
    items: np.ndarray | None = None  # (R,), or (T, R): id of each row under the link; −1: none
    also: Mapping[str, np.ndarray] = field(default_factory=_no_ids)  # link -> ids that light up with it
    frames: tuple[tuple[tuple[str | Number, ...], ...], ...] = ()  # rows of each step, instead of `rows`
    marks: tuple[tuple[int, ...], ...] = ()  # rows to emphasise at each step
    type: str = "table"


Layer = Picture | Labels | Boxes | Points | Paths | Ribbons | Bars | Matrix | Table


@dataclass(frozen=True)
class Axes:
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    cursor: np.ndarray | None = None  # (T,) x position of each step


@dataclass(frozen=True)
class Pane:
    """A region of the stage with its own coordinates: a picture (width × height pixels), a chart (`axes`), or a list of tables."""

    key: str
    title: str
    layers: tuple[Layer, ...]
    width: int = 0
    height: int = 0
    axes: Axes | None = None
    place: Place = "main"
    note: str = ""
    pixel: float = 0.0  # most screen pixels of one unit: small pictures stay small; 0: as large as there is room
    nudge: float = 1.0  # units by which an arrow key moves the pointer
    row: str = ""  # neighbours with the same name stand side by side where there is room


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
class Tools:
    """What can be drawn on a picture pane: a class brush and eraser on `layer`, a box, or several sets of boxes."""

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


@dataclass(frozen=True)
class Guess:
    """A predict-first question: which option is right was computed, not written down."""

    question: str
    options: tuple[str, ...]
    answer: int
    reveal: tuple[str, ...]  # one sentence an option: what really happens to it
    preset: str = ""  # the view that shows it


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
