"""The tab's `run`: conventions change the number that they are about, and nothing but it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.mask_degradation import degrade
from core.perception.segmentation_conventions import library_table
from demos.kit.controls import ControlError, checked
from demos.kit.scene import Labels
from demos.perception.segmentation_inputs import pairs_of
from demos.perception.segmentation_metrics import DEMO, Boundary, Controls, Result, run

WORKED = Controls(source="worked", predictor="given", extra="none")


def stored(path: Path, array: np.ndarray) -> tuple[str]:
    np.save(path, array)
    return (str(path),)


def uploaded(folder: Path, truth: np.ndarray, guess: np.ndarray, **options: Any) -> Result:
    controls = Controls(
        source="files",
        predictor="given",
        truth_files=stored(folder / "truth.npy", truth),
        prediction_files=stored(folder / "guess.npy", guess),
        **options,
    )
    return run(controls)


# -- conventions -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({}, 0.5),  # IoU 2/5, 3/5, 1, 0 (only predicted), absent left out: the mean of four
        ({"absent": "zero"}, 0.4),
        ({"absent": "one"}, 0.6),
        ({"predicted_only": "exclude"}, 2 / 3),
        ({"predicted_only": "exclude", "absent": "zero"}, 0.5),
        ({"background": "excluded"}, (0.6 + 1 + 0) / 3),
    ],
)
def test_four_mean_ious_of_the_worked_example(options: dict[str, Any], value: float) -> None:
    result = run(replace(WORKED, **options))
    assert result.total.mean_iou == pytest.approx(value, abs=1e-15)
    assert result.scores.pixel_accuracy == 0.7  # by hand: 7 of the 10 counted pixels, whatever the rule


def test_the_note_of_the_worked_example_is_true() -> None:
    """Both languages name the four values; they are what the switches give and what libraries print."""
    values = {
        round(run(replace(WORKED, **o)).total.mean_iou, 4)
        for o in ({}, {"absent": "zero"}, {"absent": "one"}, {"predicted_only": "exclude"})
    }
    assert values == {0.4, 0.5, 0.6, 0.6667}
    printed = {round(row.mean_iou, 4) for row in run(WORKED).table if row.mean_iou is not None}
    assert values <= printed
    for language in ("en", "zh"):
        note = DEMO.text(language)("presets", "libraries", "note")
        assert all(f"{value:g}" in note for value in values)


def test_no_convention_changes_a_pixel() -> None:
    first = run(WORKED)
    for options in (
        {"absent": "one"},
        {"predicted_only": "exclude"},
        {"background": "excluded"},
        {"accumulation": "per_image"},
    ):
        other = run(replace(WORKED, **options))
        assert (other.steps[0].confusion == first.steps[0].confusion).all()
        assert (other.codes[0] == first.codes[0]).all()
        assert [row.mean_iou for row in other.table] == [row.mean_iou for row in first.table]


def test_ignoring_the_background_turns_iou_into_recall() -> None:
    scored, ignored = (run(Controls(source="rocket", grow=0, background=b)) for b in ("scored", "ignored"))
    assert ignored.scores.iou[1] == pytest.approx(scored.scores.accuracy[1], abs=1e-15)
    assert ignored.scores.iou[1] > scored.scores.iou[1]
    assert ignored.total.confusion.sum() == (scored.pairs.targets[0] == 1).sum()


def test_an_excluded_background_still_hurts() -> None:
    scored, excluded = (run(Controls(source="rocket", grow=0, background=b)) for b in ("scored", "excluded"))
    assert (excluded.total.confusion == scored.total.confusion).all()
    assert excluded.total.mean_iou == pytest.approx(scored.scores.iou[1], abs=1e-15)


def test_a_data_set_is_not_the_mean_of_its_pictures(tmp_path: Path) -> None:
    truth = np.zeros((2, 10, 10), np.uint8)
    truth[0, :5], truth[1, 0, 0] = 1, 1
    guess = truth.copy()
    guess[1, 0, 0], guess[1, 9, 9] = 0, 1
    by_way = {
        way: uploaded(tmp_path, truth, guess, accumulation=way).total.mean_iou for way in ("dataset", "per_image")
    }
    assert by_way["per_image"] == pytest.approx((1 + (98 / 100 + 0) / 2) / 2)
    assert by_way["dataset"] == pytest.approx((148 / 150 + 50 / 52) / 2)
    result = uploaded(tmp_path, truth, guess)
    assert [step.scores.mean_iou for step in result.steps] == pytest.approx([1, 0.49])
    assert result.steps[-1].cumulative_scores.mean_iou == result.total.mean_iou


def test_labels_outside_the_classes_are_counted_as_other(tmp_path: Path) -> None:
    truth = np.array([[0, 1, 1, 0]])
    guess = np.array([[0, 1, 255, -3]])
    result = uploaded(tmp_path, truth, guess)
    assert result.pairs.num_classes >= 2
    confusion = result.total.confusion
    assert confusion.sum() == 4
    assert confusion[:, -1].sum() >= 1
    assert result.scores.pixel_accuracy == 0.5
    assert result.scores.accuracy[:2].tolist() == [0.5, 0.5]


def test_an_ignored_prediction_is_no_pardon(tmp_path: Path) -> None:
    """Only the truth's label decides what is ignored."""
    result = uploaded(tmp_path, np.array([[0, 1, 255]]), np.array([[255, 1, 0]]))
    assert result.total.confusion.sum() == 2
    assert result.scores.pixel_accuracy == 0.5


def test_everything_ignored_is_undefined_not_zero(tmp_path: Path) -> None:
    result = uploaded(tmp_path, np.full((3, 4), 255, np.uint8), np.zeros((3, 4), np.uint8))
    assert np.isnan(result.total.mean_iou)
    assert np.isnan(result.scores.pixel_accuracy)
    for language in ("en", "zh"):
        scene = DEMO.show(result, DEMO.text(language)).scene
        assert scene.captions == (DEMO.text(language)("captions", "nothing"),)


# -- what is shown beside the scores -----------------------------------------------------------------------------------------------


def test_a_class_beyond_the_last_is_the_last() -> None:
    boundary = run(Controls(class_id=253)).boundary
    assert isinstance(boundary, Boundary)
    assert boundary.class_id == 4


def test_boundary_scores_leave_ignored_pixels_out(tmp_path: Path) -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:30, 10:30] = 1
    guess = truth.copy()
    truth[:5], guess[:5] = 255, 1  # what is predicted where nothing is known
    result = uploaded(tmp_path, truth, guess, class_id=1)
    assert result.boundary is not None
    assert result.boundary.iou.iou == 1
    assert result.boundary.hausdorff is not None
    assert result.boundary.hausdorff.distance == 0


def test_a_band_narrows_and_its_score_falls() -> None:
    preset = DEMO.presets["boundary"]
    wide, narrow = (run(replace(preset, dilation_ratio=ratio)) for ratio in (0.03, 0.005))
    assert wide.boundary is not None
    assert narrow.boundary is not None
    assert narrow.boundary.iou.iou < 0.5 * wide.boundary.iou.iou
    assert narrow.total.mean_iou == wide.total.mean_iou


def test_every_pixel_background_is_the_closed_form() -> None:
    result = run(DEMO.presets["background"])
    b = result.scores.target_pixels[0] / result.scores.target_pixels.sum()
    assert b > 0.97
    assert result.scores.pixel_accuracy == pytest.approx(b, abs=1e-15)
    assert result.scores.mean_iou == pytest.approx(b / 2, abs=1e-15)
    assert result.scores.mean_accuracy == 0.5
    assert result.scores.frequency_weighted_iou == pytest.approx(b * b, abs=1e-15)


def test_extras_come_one_at_a_time_and_only_for_single_pictures() -> None:
    boundary, panoptic, none = (run(Controls(extra=extra)) for extra in ("boundary", "panoptic", "none"))
    assert (boundary.boundary is not None, boundary.panoptic is not None) == (True, False)
    assert (panoptic.boundary is not None, panoptic.panoptic is not None) == (False, True)
    assert none.boundary is none.panoptic is None
    clip = run(Controls(source="clip", predictor="given"))
    assert clip.boundary is clip.panoptic is clip.worst is None
    assert clip.skipped == ("extra",)


def test_instances_may_be_written_in_the_mask(tmp_path: Path) -> None:
    truth = np.zeros((8, 8), np.int32)
    truth[:3, :3], truth[:3, 5:], truth[5:, :3] = 1001, 1002, 2001
    result = uploaded(tmp_path, truth, truth, extra="panoptic", instances="ids")
    assert result.panoptic is not None
    assert result.panoptic.pq == 1
    assert result.pairs.num_classes == 3


def test_the_library_table_is_cores() -> None:
    result = run(WORKED)
    pairs = result.pairs
    expected = library_table(
        pairs.predictions, pairs.targets, num_classes=pairs.num_classes, ignore_index=pairs.ignore_index
    )
    assert [(row.name, row.mean_iou, row.errors) for row in result.table] == [
        (row.name, row.mean_iou, row.errors) for row in expected
    ]


def test_twelve_megapixels(tmp_path: Path) -> None:
    """A camera's full size: every pixel is counted, the map is thinned out for the screen, and what was left out is said."""
    truth = np.zeros((3000, 4000), np.uint8)
    truth[500:2500, 1000:3000] = 1
    guess = degrade(truth, num_classes=2, shift=(40, 0))
    result = uploaded(tmp_path, truth, guess, extra="depth")
    assert result.total.confusion.sum() == 12_000_000
    assert result.scores.true_positive[1] == 2000 * 1960
    assert result.worst is None
    assert result.skipped == ("depth",)
    scene = DEMO.show(result, DEMO.text("en")).scene
    codes = next(layer.codes for layer in scene.panes[0].layers if isinstance(layer, Labels) and layer.key == "truth")
    assert codes.size <= 2_100_000
    assert "4000×3000" in scene.panes[0].note
    assert (scene.panes[0].width, scene.panes[0].height) == (4000, 3000)


# -- Result and Controls --------------------------------------------------------------------------------------------------------


def test_controls_admit_what_they_say() -> None:
    for name, value in (("grow", 21), ("salt", 0.51), ("source", "moon"), ("clusters", 1), ("ignore_index", 1.5)):
        with pytest.raises(ControlError, match=name):
            checked(Controls, {name: value})
    assert len(fields(Controls)) == len(vars(Controls()))


@settings(deadline=None, max_examples=25)
@given(st.integers(-20, 20), st.integers(-40, 40), st.integers(-40, 40), st.floats(0, 0.5), st.booleans())
def test_degraded_truths_are_scored_as_core_degrades_them(
    grow: int, x: int, y: int, salt: float, everything: bool
) -> None:
    controls = Controls(
        source="ellipse", grow=grow, shift_x=x, shift_y=y, salt=salt, all_background=everything, extra="none"
    )
    result = run(controls)
    expected = degrade(
        result.pairs.targets[0],
        num_classes=2,
        erode=max(0, -grow),
        dilate=max(0, grow),
        shift=(x, y),
        salt=salt,
        all_background=everything,
    )
    assert (result.pairs.predictions[0] == expected).all()
    assert 0 <= result.total.mean_iou <= 1


def test_drawings_go_to_the_control_they_belong_to() -> None:
    assert DEMO.drawing is not None
    photo = {"source": "files", "truth_files": None, "painter": "prediction", "predictor": "paint"}
    assert DEMO.drawing("box", photo) == "box"
    assert DEMO.drawing("paint", photo) == "painted"
    assert DEMO.drawing("paint", {**photo, "painter": "truth"}) == "truth_painted"
    assert DEMO.drawing("paint", {**photo, "predictor": "kmeans"}) == "truth_painted"
    assert DEMO.drawing("paint", {**photo, "painter": "truth", "source": "coffee"}) == "painted"  # its truth is given


def test_results_are_remade_not_kept() -> None:
    """`run` keeps nothing of one visitor for another: two runs share no array that could be written to."""
    first, second = run(Controls()), run(Controls())
    assert first.codes[0] is not second.codes[0]
    first.codes[0][:] = 0
    first.steps[0].confusion[:] = 0
    assert second.codes[0].any()
    assert run(Controls()).total.mean_iou == second.total.mean_iou
    assert pairs_of(Controls()).targets[0].any()
