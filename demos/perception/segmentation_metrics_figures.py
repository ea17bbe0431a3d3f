"""Result -> scene and charts. No arithmetic of the subject here: every number is read from a record."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from core.perception.normalized_confusion import normalized_confusion
from demos.contract import View as DemoView
from demos.kit.numbers import format_value
from demos.kit.scene import (
    Hover,
    Labels,
    Layer,
    Matrix,
    Pane,
    Paths,
    Picture,
    Points,
    Scene,
    Tools,
    View,
    jpeg,
    solid,
)
from demos.kit.text import Text
from demos.kit.theme import ROLES, class_colors, magnitude_colors, rgb
from demos.kit.upload_errors import error_sentence
from demos.perception.segmentation_footage import shown_frames
from demos.perception.segmentation_inputs import SHOWN_PIXELS, thinned
from demos.perception.segmentation_numbers import matrix_number
from demos.perception.segmentation_tables_figures import class_names, classes_pane, libraries_pane, time_pane

if TYPE_CHECKING:
    from demos.perception.segmentation_metrics import Result

SHOWN_VIEWS = 24  # classes with a view of their own; the largest in the picture come first


def show(result: Result, text: Text) -> DemoView:
    c, names = result.controls, class_names(result, text)
    shown = _compact(result)
    panes = [_picture(result, shown, names, text), _matrix(result, shown, names, text)]
    if len(result.steps) > 1:
        panes.append(time_pane(result, text))
    if result.table:
        panes.append(libraries_pane(result, text))
    panes.append(classes_pane(result, names, text))
    painting = result.pairs.painting
    scene = Scene(
        panes=tuple(panes),
        steps=len(result.steps),
        step_names=_step_names(result),
        step=len(result.steps) // 4 if c.source == "clip" else 0,  # a frame in which something happens
        captions=(_caption(result, names, text),),
        tools=_tools(result, names, text) if painting is not None or c.predictor == "grabcut" else None,
        notes=tuple(error_sentence(note.code, note.fields, text.language) for note in result.pairs.notes)
        + tuple(text("skipped", key) for key in result.skipped),
    )
    only_photo = c.source == "files" and not c.truth_files
    modes = {
        "source": c.source,
        "predictor": c.predictor,
        "lag": "on" if c.source == "clip" and c.predictor == "given" else "off",
        "painting": "truth" if only_photo else "none",
    }
    return DemoView(scene, modes, {name: name for name in names} | {f"class:{k}": name for k, name in enumerate(names)})


def _colors(result: Result) -> np.ndarray:
    """(K + 1, 3): the masks' own colours if they brought any; the last one is "ignored" or "other"."""
    k, own = result.pairs.num_classes, result.pairs.colors
    colors = class_colors(k)
    if own is not None and result.controls.source == "files":
        colors[: min(k, len(own))] = own[:k]
    return np.concatenate([colors, [[60, 60, 60]]]).astype(np.uint8)


# -- the picture -----------------------------------------------------------------------------------------------------------------------


Compact: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def _compact(result: Result) -> Compact:
    """Codes that are shown, renumbered from 0 (small tables, small payload): (T, h, w), new -> code, code -> new or −1."""
    size = len(result.legend.target)
    shown = result.codes
    counts = np.zeros(size, np.int64)
    for codes in shown:
        counts += np.bincount(codes.ravel(), minlength=size)
    present = np.flatnonzero(counts)
    renumber = np.full(size, -1, np.int64)
    renumber[present] = np.arange(len(present))
    kind = np.uint8 if len(present) <= 255 else np.uint16
    table = np.where(renumber < 0, 0, renumber).astype(kind)
    frames = [table[codes] for codes in shown]
    return (frames[0] if len(frames) == 1 else np.stack(frames)), present, renumber


def _picture(result: Result, shown: Compact, names: tuple[str, ...], text: Text) -> Pane:
    c, legend = result.controls, result.legend
    height, width = result.pairs.size
    codes, present, _ = shown
    colors, ignored = _colors(result), legend.ignored[present]
    target, prediction = legend.target[present], legend.prediction[present]
    bare = result.pairs.photo is None and result.pairs.footage is None
    listed = [
        (name, "#{:02X}{:02X}{:02X}".format(*colors[k]), 0)
        for k, name in enumerate(names[:SHOWN_VIEWS])
        if k > 0 or bare
    ]
    everyone = (*names, text("ignored"))
    hover = (
        Hover(text("layers", "truth"), target, everyone),
        Hover(text("layers", "prediction"), prediction, (*names, text("other"))),
    )
    layers: list[Layer] = []
    if result.pairs.photo is not None:
        layers.append(Picture("photo", text("layers", "photo"), (_photo_jpeg(result),)))
    elif result.pairs.footage is not None:
        layers.append(Picture("photo", text("layers", "photo"), _footage_jpegs(result)))
    alpha = np.where(ignored, 90, 255).astype(np.uint8)
    if not bare:
        alpha[(target == 0) & ~ignored] = 0  # the photo shows where the background is
    guessed_alpha = np.where((prediction == 0) & (not bare), 0, 255).astype(np.uint8)
    painting = result.pairs.painting is not None
    layers += [
        Labels(
            "truth",
            text("layers", "truth"),
            codes,
            (View("truth", text("layers", "truth"), solid(colors[target], alpha=alpha), legend=tuple(listed)),),
            visible=bare or result.pairs.paints_truth,
            opacity=1.0 if bare else 0.5,
            link="confusion",
            hover=hover,
        ),
        Labels(
            "prediction",
            text("layers", "prediction"),
            codes,
            (
                View(
                    "prediction",
                    text("layers", "prediction"),
                    solid(colors[prediction], alpha=guessed_alpha),
                    legend=tuple(listed),
                ),
            ),
            visible=(not bare and c.predictor != "paint") or painting,
            opacity=0.5,
            link="confusion",
            hover=hover,
        ),
        Labels(
            "errors",
            text("layers", "errors"),
            codes,
            _error_views(result, present, names, text),
            visible=not painting,
            opacity=0.85,
            link="confusion",
            hover=hover,
        ),
    ]
    if result.worst is not None:
        layers += _worst_layers(result, text)
    if result.boundary is not None:
        layers += _boundary_layers(result, text)
    if width * height <= 200:  # few enough pixels to write their classes into
        y, x = np.mgrid[0:height, 0:width].reshape(2, -1) + 0.5
        labels = tuple("–" if t == result.pairs.ignore_index else str(t) for t in result.pairs.targets[0].ravel())
        guessed = tuple(str(p) for p in result.pairs.predictions[0].ravel())
        layers.append(
            Points(
                "digits",
                text("layers", "digits"),
                np.stack([x, y], 1),
                tuple(f"{a}→{b}" for a, b in zip(labels, guessed, strict=True)),
                radius=0,
            )
        )
    note = (
        text("shrunk", whole=f"{width}×{height}", shown=f"{codes.shape[-1]}×{codes.shape[-2]}")
        if codes.shape[-2:] != (height, width)
        else ""
    )
    return Pane("picture", "", tuple(layers), width, height, note=note)


@lru_cache(maxsize=8)
def _encoded(photo: bytes, height: int, width: int) -> bytes:
    return jpeg(np.frombuffer(photo, np.uint8).reshape(height, width, 3))


def _photo_jpeg(result: Result) -> bytes:
    photo = result.pairs.photo
    assert photo is not None
    if photo.shape[0] * photo.shape[1] > SHOWN_PIXELS:
        ratio = (SHOWN_PIXELS / (photo.shape[0] * photo.shape[1])) ** 0.5
        photo = cv2.resize(
            photo, (round(photo.shape[1] * ratio), round(photo.shape[0] * ratio)), interpolation=cv2.INTER_AREA
        )
    return _encoded(photo.tobytes(), photo.shape[0], photo.shape[1])


def _footage_jpegs(result: Result) -> tuple[bytes, ...]:
    assert result.pairs.footage is not None
    return tuple(jpeg(frame, quality=70) for frame in shown_frames(result.pairs.footage))


def _error_views(result: Result, present: np.ndarray, names: tuple[str, ...], text: Text) -> tuple[View, ...]:
    legend = result.legend
    wrong = ~legend.correct[present] & ~legend.ignored[present]
    red = np.array([*rgb(ROLES["error"]), 255], np.uint8)
    views = [
        View(
            "all",
            text("views", "all_errors"),
            np.where(wrong[:, None], red, 0).astype(np.uint8),
            np.where(wrong, 1, 0).astype(np.uint8),
            ((text("views", "wrong"), ROLES["error"], 1),),
        )
    ]
    outcomes = np.array(
        [[0, 0, 0, 0], [*rgb(ROLES["hit"]), 255], [*rgb(ROLES["false_alarm"]), 255], [*rgb(ROLES["miss"]), 255]],
        np.uint8,
    )
    hatch = np.array([0, 0, 1, 2], np.uint8)
    keys = tuple(
        (text("views", key), ROLES[role], h)
        for key, role, h in (("tp", "hit", 0), ("fp", "false_alarm", 1), ("fn", "miss", 2))
    )
    order = np.argsort(-result.scores.union, kind="stable")[:SHOWN_VIEWS]
    for k in sorted(int(k) for k in order if result.scores.union[k] > 0):
        outcome = legend.outcome[k][present]
        views.append(View(f"class{k}", text("views", "class", name=names[k]), outcomes[outcome], hatch[outcome], keys))
    return tuple(views)


def _worst_layers(result: Result, text: Text) -> list[Layer]:
    worst = result.worst
    assert worst is not None
    deepest = float(worst.depth.max(initial=0))
    level = (
        np.zeros(worst.depth.shape, np.uint8)
        if deepest == 0
        else np.ceil(worst.depth * (255 / deepest)).astype(np.uint8)
    )
    ramp = np.concatenate([magnitude_colors(256), np.full((256, 1), 255, np.uint8)], axis=1)
    ramp[0] = 0
    keys = (
        (text("views", "depth_low"), "#00224E", 0),
        (text("views", "depth_high", depth=f"{deepest:.1f}"), "#FEE838", 0),
    )
    layers: list[Layer] = [
        Labels(
            "depth",
            text("layers", "depth"),
            thinned(level),
            (View("depth", text("layers", "depth"), ramp, legend=keys),),
            visible=False,
            opacity=0.9,
        )
    ]
    if worst.regions:
        spots = np.array([[r.x + 0.5, r.y + 0.5] for r in worst.regions])
        layers.append(
            Points(
                "worst",
                text("layers", "worst"),
                spots,
                tuple(f"{i + 1}: {r.depth:.1f} px" for i, r in enumerate(worst.regions)),
                ("#FFFFFF",),
                visible=False,
            )
        )
    return layers


def _boundary_layers(result: Result, text: Text) -> list[Layer]:
    b = result.boundary
    assert b is not None
    bits = b.iou.target_band.astype(np.uint8) + 2 * b.iou.prediction_band.astype(np.uint8)
    colors = np.array(
        [[0, 0, 0, 0], [*rgb(ROLES["truth"]), 255], [*rgb(ROLES["prediction"]), 255], [255, 255, 255, 255]], np.uint8
    )
    keys = (
        (text("views", "band_truth"), ROLES["truth"], 0),
        (text("views", "band_prediction"), ROLES["prediction"], 0),
        (text("views", "band_both"), "#FFFFFF", 0),
    )
    shown = result.controls.source == "ellipse"
    layers: list[Layer] = [
        Labels(
            "band",
            text("layers", "band"),
            thinned(bits),
            (View("band", text("layers", "band"), colors, legend=keys),),
            visible=shown,
            opacity=0.8,
        )
    ]
    h = b.hausdorff
    if h is not None and h.start is not None and h.end is not None:
        ends = np.array([[[h.start[0] + 0.5, h.start[1] + 0.5], [h.end[0] + 0.5, h.end[1] + 0.5]]])
        layers.append(Paths("hausdorff", text("layers", "hausdorff"), ends, colors=("error",), visible=shown))
    return layers


# -- beside and below it ---------------------------------------------------------------------------------------------------------------


def _matrix(result: Result, shown: Compact, names: tuple[str, ...], text: Text) -> Pane:
    c, k = result.controls, result.pairs.num_classes
    _, _, renumber = shown
    other = bool(result.steps[-1].cumulative[:, k:].sum())
    width = k + 1 if other else k
    columns = (*names, text("other")) if other else names
    matrices = [step.confusion[:, :width] for step in result.steps]
    largest = max(int(m.max(initial=0)) for m in matrices)
    shades, texts = [], []
    for m in matrices:
        if c.normalize == "counts":
            level = np.log1p(m) / np.log1p(max(largest, 1))  # brightness only: counts span five decades
            texts.append(tuple(format_value(int(v)) for v in m.ravel()))
        else:
            share = normalized_confusion(m, per="target" if c.normalize == "target" else "prediction")
            level = np.nan_to_num(share)
            texts.append(tuple(format_value(float(v)) for v in share.ravel()))
        shades.append((level * 255).astype(np.uint8))
    codes = np.arange(k)[:, None] * (k + 1) + np.arange(width)[None]
    linked = renumber[codes]
    layer = Matrix(
        "confusion",
        text("matrix", "label"),
        shades[0] if len(shades) == 1 else np.stack(shades),
        tuple(texts),
        names,
        columns,
        text("layers", "truth"),
        text("layers", "prediction"),
        np.where(linked < 0, 65535, linked).astype(np.int32),
        "confusion",
        tuple(matrix_number(result, step, names) for step in result.steps),
    )
    title = text("matrix", "title") if len(result.steps) == 1 else text("matrix", "title_step")
    return Pane("confusion", title, (layer,), place="side", note=text("matrix", "note"))


def _step_names(result: Result) -> tuple[str, ...]:
    return () if result.pairs.times is None else tuple(f"{t:.2f} s" for t in result.pairs.times)


def _caption(result: Result, names: tuple[str, ...], text: Text) -> str:
    s = result.scores
    alive = np.where(s.counted & ~np.isnan(s.iou), s.iou, np.inf)
    if not np.isfinite(alive).any():
        return text("captions", "nothing")
    worst = int(np.argmin(alive))
    return text("captions", "worst", name=names[worst], count=str(int(s.counted.sum())))


def _tools(result: Result, names: tuple[str, ...], text: Text) -> Tools:
    painting = result.pairs.painting
    box = (
        tuple(float(v) for v in result.controls.box.split(","))
        if result.controls.predictor == "grabcut" and result.controls.box
        else ()
    )
    label = (
        text("tools", "truth" if result.pairs.paints_truth else "prediction")
        if painting is not None
        else text("tools", "box")
    )
    return Tools(
        "picture",
        painting is not None,
        result.controls.predictor == "grabcut",
        names,
        _colors(result)[:-1],
        painting,
        0,
        box,
        label,
    )
