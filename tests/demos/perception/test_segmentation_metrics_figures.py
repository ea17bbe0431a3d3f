"""What the browser will paint, decoded again: every pixel has the colour of its class, every cell lights exactly its pixels."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demos.contract import rendered
from demos.kit.numbers import format_value
from demos.kit.stage import decode
from demos.kit.text import LANGUAGES, Text
from demos.kit.theme import ROLES, class_colors, rgb
from demos.perception.segmentation_metrics import DEMO, Controls, Result, run
from demos.perception.segmentation_metrics_figures import SHOWN_VIEWS
from demos.perception.segmentation_tables_figures import LISTED_CLASSES, class_names, guesses_of

SINGLE = [name for name, controls in DEMO.presets.items() if controls.source != "clip"]
EN = Text("en", DEMO.slug)

singles = pytest.mark.parametrize("preset", SINGLE)
presets = pytest.mark.parametrize("preset", DEMO.presets)


class Shown:
    """A view as the browser receives it."""

    def __init__(self, controls: Controls) -> None:
        self.result: Result = run(controls)
        self.header, self.arrays = decode(rendered.__wrapped__(DEMO, "en", "start", controls))
        self.panes = {pane["key"]: pane for pane in self.header["scene"]["panes"]}

    def layer(self, key: str) -> dict[str, Any]:
        return next(layer for pane in self.panes.values() for layer in pane["layers"] if layer["key"] == key)

    def has(self, key: str) -> bool:
        return any(layer["key"] == key for pane in self.panes.values() for layer in pane["layers"])

    def array(self, reference: dict[str, int]) -> np.ndarray:
        return self.arrays[reference["$"]]

    def colours(self, layer: str, view: str, step: int = 0) -> np.ndarray:
        """(H, W, 4) what the browser looks up for every pixel."""
        found = self.layer(layer)
        table = self.array(next(v for v in found["views"] if v["key"] == view)["colors"])
        codes = self.array(found["codes"])
        return table[codes if codes.ndim == 2 else codes[step]]


@cache
def shown(preset: str) -> Shown:
    return Shown(DEMO.presets[preset])


# -- colours ---------------------------------------------------------------------------------------------------------------------


@presets
def test_every_pixel_wears_its_class(preset: str) -> None:
    view = shown(preset)
    pairs = view.result.pairs
    colors = class_colors(pairs.num_classes)
    for step in {0, len(pairs.targets) // 2, len(pairs.targets) - 1}:
        for key, maps in (("truth", pairs.targets), ("prediction", pairs.predictions)):
            painted = view.colours(key, key, step)
            inside = maps[step] < pairs.num_classes
            assert (painted[inside][:, :3] == colors[maps[step][inside]]).all()
            assert inside.all() or (painted[~inside][:, :3] == 60).all()


@presets
def test_codes_fit_their_tables(preset: str) -> None:
    view = shown(preset)
    for pane in view.panes.values():
        for layer in pane["layers"]:
            if layer["type"] == "labels":
                most = int(view.array(layer["codes"]).max())
                assert all(len(view.array(v["colors"])) > most for v in layer["views"])
                assert all(
                    v["hatch"] is None or len(view.array(v["hatch"])) == len(view.array(v["colors"]))
                    for v in layer["views"]
                )
                assert all(len(view.array(h["index"])) > most for h in layer["hover"])
                assert all(int(view.array(h["index"]).max()) < len(h["names"]) for h in layer["hover"])


@presets
def test_exactly_the_wrong_pixels_are_marked(preset: str) -> None:
    view = shown(preset)
    pairs = view.result.pairs
    for step in {0, len(pairs.targets) - 1}:
        target, prediction = pairs.targets[step], pairs.predictions[step]
        wrong = (target != prediction) & (target != pairs.ignore_index)
        painted = view.colours("errors", "all", step)
        assert ((painted[..., 3] > 0) == wrong).all()
        assert wrong.sum() == 0 or (painted[wrong][:, :3] == rgb(ROLES["error"])).all()


@presets
def test_hits_false_alarms_and_misses_of_a_class(preset: str) -> None:
    view = shown(preset)
    pairs, step = view.result.pairs, len(view.result.steps) - 1
    target, prediction = pairs.targets[step], pairs.predictions[step]
    counted = target != pairs.ignore_index
    for k in range(pairs.num_classes):
        if not any(v["key"] == f"class{k}" for v in view.layer("errors")["views"]):
            assert view.result.scores.union[k] == 0
            continue
        painted = view.colours("errors", f"class{k}", step)
        for role, mask in (
            ("hit", (target == k) & (prediction == k) & counted),
            ("false_alarm", (target != k) & (prediction == k) & counted),
            ("miss", (target == k) & (prediction != k) & counted),
        ):
            assert ((painted[..., :3] == rgb(ROLES[role])).all(-1) & (painted[..., 3] > 0)).sum() == mask.sum()
            assert (painted[mask] == [*rgb(ROLES[role]), 255]).all()


@presets
def test_errors_are_hatched_as_well(preset: str) -> None:
    """Colour never stands alone."""
    view = shown(preset)
    for v in view.layer("errors")["views"]:
        colors, hatch = view.array(v["colors"]), view.array(v["hatch"])
        for role, kind in (("error", {1}), ("false_alarm", {1}), ("miss", {2}), ("hit", {0})):
            worn = (colors[:, :3] == rgb(ROLES[role])).all(1) & (colors[:, 3] > 0)
            assert set(hatch[worn].tolist()) <= kind
        assert {tuple(entry[1:]) for entry in v["legend"]} == {tuple(entry[1:]) for entry in v["legend"] if entry[0]}


@presets
def test_the_tooltip_names_truth_and_prediction(preset: str) -> None:
    view = shown(preset)
    pairs, names = view.result.pairs, class_names(view.result, EN)
    codes = view.array(view.layer("truth")["codes"])
    codes = codes if codes.ndim == 2 else codes[0]
    truth, prediction = view.layer("truth")["hover"]
    for y, x in ((0, 0), (codes.shape[0] // 2, codes.shape[1] // 2), (codes.shape[0] - 1, codes.shape[1] // 3)):
        t, p = pairs.targets[0][y, x], pairs.predictions[0][y, x]
        assert truth["names"][view.array(truth["index"])[codes[y, x]]] == (
            names[t] if t != pairs.ignore_index else "ignored"
        )
        assert prediction["names"][view.array(prediction["index"])[codes[y, x]]] == names[p]


# -- the matrix ------------------------------------------------------------------------------------------------------------------


@singles
def test_every_cell_lights_exactly_its_pixels(preset: str) -> None:
    view = shown(preset)
    matrix, codes = view.layer("confusion"), view.array(view.layer("truth")["codes"])
    lit = view.array(matrix["codes"])
    confusion = view.result.steps[0].confusion
    assert (
        matrix["link"]
        == view.layer("truth")["link"]
        == view.layer("prediction")["link"]
        == view.layer("errors")["link"]
        != ""
    )
    pairs = view.result.pairs
    for i, j in np.ndindex(lit.shape):
        chosen = codes == lit[i, j]
        assert chosen.sum() == confusion[i, j], (i, j)
        if j < pairs.num_classes:
            assert (chosen == ((pairs.targets[0] == i) & (pairs.predictions[0] == j))).all(), (i, j)


def test_every_cell_lights_its_pixels_in_every_frame() -> None:
    view = shown("clip")
    codes, lit = view.array(view.layer("truth")["codes"]), view.array(view.layer("confusion")["codes"])
    for step in view.result.steps:
        for i, j in np.ndindex(lit.shape):
            assert (codes[step.index] == lit[i, j]).sum() == step.confusion[i, j]


def test_cells_light_other_predictions_too(tmp_path: Path) -> None:
    truth, guess = np.array([[0, 1, 1, 0, 255]]), np.array([[0, 1, 255, 255, 1]])
    for name, labels in (("t", truth), ("p", guess)):
        Image.fromarray(labels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    view = Shown(
        Controls(
            source="files",
            predictor="given",
            truth_files=(str(tmp_path / "t.png"),),
            prediction_files=(str(tmp_path / "p.png"),),
        )
    )
    matrix = view.layer("confusion")
    assert matrix["columns"][-1] == "no class"
    codes, lit = view.array(view.layer("truth")["codes"]), view.array(matrix["codes"])
    assert [[(codes == code).sum() for code in row] for row in lit] == view.result.steps[0].confusion.tolist()


@presets
def test_the_matrix_is_cores(preset: str) -> None:
    view = shown(preset)
    matrix, k = view.layer("confusion"), view.result.pairs.num_classes
    for step, texts in zip(view.result.steps, matrix["texts"], strict=True):
        assert texts == [format_value(int(n)) for n in step.confusion[:, : len(matrix["columns"])].ravel()]
    assert matrix["rows"] == list(class_names(view.result, EN))
    assert len(matrix["columns"]) in (k, k + 1)
    shade = view.array(matrix["shade"])
    assert shade.dtype == np.uint8
    assert shade.shape[-2:] == (k, len(matrix["columns"]))


@singles
def test_brightness_follows_the_count(preset: str) -> None:
    view = shown(preset)
    shade = view.array(view.layer("confusion")["shade"]).astype(int).ravel()
    counts = view.result.steps[0].confusion[:, : view.array(view.layer("confusion")["shade"]).shape[1]].ravel()
    order = np.argsort(counts, kind="stable")
    assert (np.diff(shade[order]) >= 0).all()
    assert shade[counts == 0].max(initial=0) == 0
    assert shade.max() == 255


@pytest.mark.parametrize(("normalize", "axis"), [("target", 1), ("prediction", 0)])
def test_shares_are_of_rows_or_columns_and_undefined_for_none(normalize: str, axis: int) -> None:
    view = Shown(Controls(source="worked", predictor="given", normalize=normalize))
    counts = view.result.steps[0].confusion[:, :5].astype(float)
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(axis=axis, keepdims=True)
    assert view.layer("confusion")["texts"][0] == [format_value(float(v)) for v in shares.ravel()]
    assert "–" in view.layer("confusion")["texts"][0]


# -- tables ----------------------------------------------------------------------------------------------------------------------


@presets
def test_the_class_table_is_cores(preset: str) -> None:
    view = shown(preset)
    s = view.result.scores
    for k, row in enumerate(view.layer("classes")["rows"]):
        assert row[0] == class_names(view.result, EN)[k]
        for cell, key in zip(row[1:], ("iou", "dice", "accuracy", "precision"), strict=True):
            value = float(getattr(s, key)[k])
            assert view.header["kinds"][cell["n"]]["key"] == key
            assert cell["raw"] is None if np.isnan(value) else cell["raw"] == value


@presets
def test_the_library_table_marks_the_rows_that_read_otherwise(preset: str) -> None:
    view = shown(preset)
    table, ours = view.layer("libraries"), format_value(view.result.total.mean_iou)
    assert len(table["rows"]) == len(view.result.table)
    for k, (row, expected) in enumerate(zip(table["rows"], view.result.table, strict=True)):
        if expected.errors:
            assert isinstance(row[1], str)
            assert k not in table["marked"]
        else:
            assert row[1]["raw"] == expected.mean_iou
            assert (k in table["marked"]) == (row[1]["text"] != ours)


# -- over time, extras, tools ------------------------------------------------------------------------------------------------------


def test_curves_are_the_scores_of_the_steps() -> None:
    view = shown("clip")
    curves = view.array(view.layer("scores")["xy"])
    steps = view.result.steps
    assert curves.shape == (3, len(steps), 2)
    for curve, values in zip(
        curves,
        (
            [s.scores.mean_iou for s in steps],
            [s.cumulative_scores.mean_iou for s in steps],
            [s.scores.pixel_accuracy for s in steps],
        ),
        strict=True,
    ):
        assert (curve[:, 0] == np.arange(1, len(steps) + 1)).all()
        assert (curve[:, 1] == np.asarray(values, np.float32)).all()
    assert (view.array(view.panes["time"]["axes"]["cursor"]) == np.arange(1, 49)).all()


def test_bands_are_cores() -> None:
    view = shown("boundary")
    band = view.result.boundary
    assert band is not None
    painted = view.colours("band", "band")
    truth, prediction = band.iou.target_band.astype(bool), band.iou.prediction_band.astype(bool)
    assert ((painted[..., 3] > 0) == (truth | prediction)).all()
    assert (painted[truth & prediction][:, :3] == 255).all()
    assert (painted[truth & ~prediction][:, :3] == rgb(ROLES["truth"])).all()
    assert (painted[prediction & ~truth][:, :3] == rgb(ROLES["prediction"])).all()


def test_the_worst_spots_are_cores() -> None:
    view = Shown(Controls(extra="depth"))
    worst = view.result.worst
    assert worst is not None
    assert view.array(view.layer("worst")["xy"]).tolist() == [[r.x + 0.5, r.y + 0.5] for r in worst.regions]
    depth = view.colours("depth", "depth")
    assert ((depth[..., 3] > 0) == (worst.depth > 0)).all()


def test_few_pixels_carry_their_classes() -> None:
    view = shown("libraries")
    digits = view.layer("digits")
    assert len(digits["names"]) == 12
    assert digits["names"][0] == "0→0"
    assert digits["names"][5] == "–→3"
    assert not shown("start").has("digits")


@pytest.mark.parametrize("painter", ["paint", "truth"])
def test_brush_and_picture_share_their_colours(tmp_path: Path, painter: str) -> None:
    """What the brush paints looks as what the picture shows, also where the masks brought their own colours."""
    if painter == "paint":
        image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
        image.putpalette([0, 0, 0, 10, 200, 30, 250, 20, 60])
        image.save(tmp_path / "t.png")
        view = Shown(Controls(source="files", predictor="paint", truth_files=(str(tmp_path / "t.png"),)))
    else:
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "photo.png")
        view = Shown(
            Controls(
                source="files", predictor="degrade", painter="truth", photo=(str(tmp_path / "photo.png"),), classes=4
            )
        )
    tools = view.header["scene"]["tools"]
    worn = {name: rgb(color) for name, color, _ in view.layer("truth")["views"][0]["legend"]}
    brush = {name: tuple(c) for name, c in zip(tools["classes"], view.array(tools["colors"]).tolist(), strict=True)}
    assert tools["paint"] is True
    assert len(worn) >= len(brush) - 1 >= 2  # nothing may be drawn for the background
    assert worn == {name: brush[name] for name in worn}
    assert view.array(tools["start"]).shape == view.result.pairs.size


def test_only_grabcut_asks_for_a_box() -> None:
    assert shown("grabcut").header["scene"]["tools"]["box"] is True
    assert shown("grabcut").header["scene"]["tools"]["box_xyxy"] == [70, 10, 490, 392]
    assert shown("start").header["scene"]["tools"] is None


@pytest.mark.parametrize(
    ("controls", "modes"),
    [
        (Controls(), {"source": "coffee", "predictor": "degrade", "lag": "off", "painting": "none"}),
        (
            Controls(source="clip", predictor="given"),
            {"source": "clip", "predictor": "given", "lag": "on", "painting": "none"},
        ),
        (Controls(source="clip"), {"source": "clip", "predictor": "degrade", "lag": "off", "painting": "none"}),
    ],
)
def test_modes_show_the_controls_that_belong(controls: Controls, modes: dict[str, str]) -> None:
    assert Shown(controls).header["modes"] == modes


# -- many classes ------------------------------------------------------------------------------------------------------------------


def test_two_hundred_and_fifty_four_classes_stay_readable(tmp_path: Path) -> None:
    labels = np.arange(254, dtype=np.uint8).repeat(40).reshape(254, 40)
    Image.fromarray(labels).save(tmp_path / "t.png")
    view = Shown(Controls(source="files", truth_files=(str(tmp_path / "t.png"),), extra="none", ignore_index=-1))
    assert view.result.pairs.num_classes == 254
    assert len(view.layer("errors")["views"]) <= SHOWN_VIEWS + 1
    assert len(view.layer("classes")["rows"]) == LISTED_CLASSES
    assert view.panes["classes"]["note"]
    codes, lit = view.array(view.layer("truth")["codes"]), view.array(view.layer("confusion")["codes"])
    counts = np.bincount(codes.ravel(), minlength=65536)
    assert (counts[np.where(lit == 65535, 65535, lit)] == view.result.steps[0].confusion[:, : lit.shape[1]]).all()


# -- charts and the question ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", DEMO.charts)
def test_charts_are_complete(language: str, name: str) -> None:
    figure: Any = DEMO.charts[name](shown("start").result, DEMO.text(language))
    assert len(figure.data) >= 4
    assert all(np.isfinite(np.asarray(trace.y, float)).all() for trace in figure.data)
    assert figure.layout.template.to_plotly_json() == {} or figure.layout.template.layout.to_plotly_json() == {}
    assert not figure.layout.images


def test_bars_are_the_classes_scores() -> None:
    result = shown("start").result
    figure: Any = DEMO.charts["classes"](result, EN)
    for trace, key in zip(figure.data, ("iou", "dice", "accuracy", "precision"), strict=True):
        assert np.asarray(trace.y) == pytest.approx(getattr(result.scores, key), rel=1e-6)
        assert list(trace.x) == list(class_names(result, EN))


def test_circles_lie_on_their_lines() -> None:
    """What was counted on real masks is what the closed form says."""
    figure: Any = DEMO.charts["collapse"](shown("start").result, EN)
    lines = {trace.legendgroup: trace for trace in figure.data if trace.mode == "lines"}
    circles = {trace.legendgroup: trace for trace in figure.data if trace.mode == "markers"}
    assert set(lines) == set(circles) == {"pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou"}
    for key, line in lines.items():
        on_line = np.interp(circles[key].x, line.x, line.y)
        assert np.asarray(circles[key].y) == pytest.approx(on_line, abs=2e-4)


def test_the_guess_is_computed() -> None:
    (guess,) = guesses_of(EN)
    numbers = {n.key: float(n.value or 0) for n in DEMO.numbers(run(DEMO.presets["background"]))[0]}
    keys = ("pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")
    assert guess.answer == max(range(4), key=lambda k: numbers[keys[k]])
    assert guess.options == tuple(EN("numbers", key, "label") for key in keys)
    for key, reveal in zip(keys, guess.reveal, strict=True):
        assert reveal.endswith(f"= {format_value(numbers[key])}")


def test_captions_name_the_weakest_class() -> None:
    view = shown("start")
    iou = view.result.scores.iou
    weakest = class_names(view.result, EN)[int(np.nanargmin(iou))]
    assert f"Weakest class: {weakest}." in view.header["scene"]["captions"][0]


def test_notes_say_what_was_left_out_and_what_was_assumed() -> None:
    notes = Shown(Controls(predictor="given")).header["scene"]["notes"]
    assert any("compared with itself" in note or "came without a prediction" in note for note in notes)
    clip = Shown(replace(DEMO.presets["clip"], extra="boundary")).header["scene"]["notes"]
    assert EN("skipped", "extra") in clip
