"""Every number on screen says how it came about: its formula with these operands is its value, under every convention."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from demos.kit.numbers import Number
from demos.perception.segmentation_metrics import DEMO, Controls, collapse_of, run
from demos.perception.segmentation_numbers import LISTED, class_numbers, collapse_numbers, mean_of, numbers_of

WORKED = Controls(source="worked", predictor="given", extra="none")


def by_key(controls: Controls, step: int = -1) -> dict[str, Number]:
    return {n.key: n for n in numbers_of(run(controls))[step]}


def arithmetic(n: Number) -> float:
    """The three shapes of formula in this tab, computed from the operands themselves: no rounding on the way."""
    o: Any = n.operands
    if match := re.fullmatch(r"mean\((\w+)\)", n.formula):
        return float(np.mean(o[match[1]])) if o[match[1]] else math.nan
    if n.formula == "dot(t, IoU) / sum(t)":
        return float(np.dot(o["t"], o["IoU"]) / np.sum(o["t"])) if sum(o["t"]) else math.nan
    if n.formula == "right / counted":
        return o["right"] / o["counted"] if o["counted"] else math.nan
    raise AssertionError(f"unknown formula {n.formula}")


@pytest.mark.parametrize(
    ("absent", "predicted_only", "background", "accumulation"),
    list(
        product(
            ("exclude", "zero", "one"),
            ("zero", "exclude"),
            ("scored", "excluded", "ignored"),
            ("dataset", "per_image", "per_image_and_class", "per_image_per_class"),
        )
    ),
)
def test_formulas_give_the_numbers_under_every_convention(
    absent: str, predicted_only: str, background: str, accumulation: Any
) -> None:
    controls = replace(
        WORKED, absent=absent, predicted_only=predicted_only, background=background, accumulation=accumulation
    )
    for n in by_key(controls).values():
        assert n.value is not None
        assert arithmetic(n) == pytest.approx(float(n.value), rel=1e-12, nan_ok=True), (n.key, n.filled)


@pytest.mark.parametrize("accumulation", ["dataset", "per_image", "per_image_and_class", "per_image_per_class"])
def test_formulas_give_the_numbers_of_clips(accumulation: Any) -> None:
    """The formula of a mean over pictures averages what it says it averages."""
    numbers = by_key(Controls(source="clip", predictor="given", lag=5, extra="none", accumulation=accumulation))
    for n in numbers.values():
        assert n.value is not None
        assert arithmetic(n) == pytest.approx(float(n.value), rel=1e-12)


def test_ways_to_accumulate_differ() -> None:
    ways = ("dataset", "per_image", "per_image_and_class", "per_image_per_class")
    values = [
        by_key(Controls(source="clip", predictor="given", lag=7, accumulation=way))["mean_iou"].value for way in ways
    ]
    assert len(set(values[:2])) == 2
    assert values[0] != values[2]


def test_conventions_are_named() -> None:
    n = by_key(replace(WORKED, absent="one", predicted_only="exclude", background="excluded"))["mean_iou"]
    assert n.convention == "dataset.one.only_exclude.excluded"


def test_a_row_of_the_class_table() -> None:
    result = run(WORKED)
    iou, dice, accuracy, precision = class_numbers(result.scores, 0, "background")
    assert [n.key for n in (iou, dice, accuracy, precision)] == ["iou", "dice", "accuracy", "precision"]
    assert iou.filled == "2 / (4 + 3 − 2)"
    assert dice.filled == "2 · 2 / (4 + 3)"
    assert accuracy.filled == "2 / 4"
    assert precision.filled == "2 / 3"
    assert [n.value for n in (iou, dice, accuracy, precision)] == pytest.approx([2 / 5, 4 / 7, 2 / 4, 2 / 3])
    assert {n.item for n in (iou, dice)} == {"background"}


@pytest.mark.parametrize(("absent", "value"), [("zero", 0.0), ("one", 1.0)])
def test_an_absent_class_shows_its_convention_and_no_division(absent: str, value: float) -> None:
    iou, *_ = class_numbers(run(replace(WORKED, absent=absent)).scores, 4, "class 4")
    assert iou.value == value
    assert iou.formula == ""
    left_out, *_ = class_numbers(run(WORKED).scores, 4, "class 4")
    assert left_out.value is not None
    assert math.isnan(left_out.value)


def test_long_means_are_not_written_out() -> None:
    formula, operands = mean_of("IoU", np.arange(LISTED, dtype=float))
    assert formula == "mean(IoU)"
    assert len(operands["IoU"]) == LISTED
    assert mean_of("IoU", np.arange(LISTED + 1, dtype=float)) == ("mean(IoU)", {})


def test_boundary_numbers_name_their_class_and_unit() -> None:
    numbers = by_key(Controls(class_id=3))
    for key in ("boundary_iou", "boundary_f", "hausdorff", "hausdorff95"):
        assert numbers[key].item == "class:3"
        assert numbers[key].unit == ("px" if key.startswith("hausdorff") else "")
    assert (numbers["hausdorff"].value or 0) >= (numbers["hausdorff95"].value or 0)


def test_a_class_beyond_the_last_is_the_last() -> None:
    beyond, last = (by_key(Controls(class_id=k)) for k in (253, 4))
    assert beyond["boundary_iou"].item == "class:4"
    assert {k: n.value for k, n in beyond.items()} == {k: n.value for k, n in last.items()}


def test_panoptic_quality_is_recognition_times_segmentation_per_class() -> None:
    numbers = by_key(Controls(extra="panoptic"))
    assert {"pq", "sq", "rq"} <= set(numbers)
    pq, sq, rq = (np.array(numbers[key].operands[key.upper()]) for key in ("pq", "sq", "rq"))
    assert len(pq) == len(sq) == len(rq)
    assert pq == pytest.approx(sq * rq)


def test_extras_belong_to_single_pictures() -> None:
    for extra in ("boundary", "panoptic"):
        assert not {"boundary_iou", "pq"} & set(by_key(Controls(source="clip", predictor="given", extra=extra)))


def test_steps_tell_this_frame_and_all_up_to_it() -> None:
    steps = numbers_of(run(Controls(source="clip", predictor="given")))
    assert len(steps) == 48
    frame, so_far = (
        [next(n for n in step if n.key == key).value for step in steps] for key in ("frame_miou", "cumulative_miou")
    )
    assert frame[0] == so_far[0] == 1.0  # the first frames are not late yet
    assert so_far[-1] == pytest.approx(by_key(Controls(source="clip", predictor="given"))["mean_iou"].value)
    assert len(set(frame)) > 20
    assert {n.item for n in steps[0] if n.item} == {"this_frame", "so_far"}


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98, 0.99])
def test_closed_forms_are_filled_in(share: float) -> None:
    numbers = {closed.key: closed for closed, _ in collapse_numbers(collapse_of(share))}
    assert numbers["pixel_accuracy"].value == pytest.approx(share)
    assert numbers["mean_accuracy"].value == 0.5
    assert numbers["mean_iou"].value == pytest.approx(share / 2)
    assert numbers["frequency_weighted_iou"].value == pytest.approx(share**2)
    assert numbers["frequency_weighted_iou"].filled == f"{share:g} · {share:g}"


@pytest.mark.parametrize("share", [0.5, 0.9, 0.98, 0.99])
def test_closed_forms_and_counting_agree(share: float) -> None:
    for closed, counted in collapse_numbers(collapse_of(share)):
        assert closed.key == counted.key
        assert counted.value == pytest.approx(closed.value, abs=1e-12)
        assert arithmetic(counted) == pytest.approx(counted.value, rel=1e-12)
        assert closed.source is not counted.source


def test_values_are_pythons_own() -> None:
    for controls in DEMO.presets.values():
        for step in numbers_of(run(controls)):
            assert {type(n.value) for n in step} <= {int, float}
