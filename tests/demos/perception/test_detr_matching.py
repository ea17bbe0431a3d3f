"""demos.perception.detr_matching: what each lens computes is what core computes, and every lens opens on every source."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from core.perception.assignment import greedy_trap
from demos.contract import rendered
from demos.kit.controls import spec_of
from demos.kit.upload_errors import UploadError
from demos.perception.detr_matching import DEMO, THRESHOLDS, Controls, run

NOISY = Controls(predictor="noisy")
LENSES = ("match", "solver", "loss", "nms", "attention")


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("source", ["scene", "coffee", "rocket", "trap"])
@pytest.mark.parametrize("predictor", ["tiny", "noisy", "drawn"])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid_focal"])
def test_every_lens_opens_or_says_why_not(lens: str, source: str, predictor: str, kind: str) -> None:
    controls = Controls(lens=lens, source=source, predictor=predictor, kind=kind)
    if (source == "trap" and lens not in ("match", "solver")) or (
        lens == "attention" and (source, predictor) != ("scene", "tiny")
    ):
        with pytest.raises(UploadError) as caught:
            run(controls)
        assert caught.value.code == ("lens_needs_boxes" if source == "trap" else "attention_needs_network")
        return
    for language in ("en", "zh"):
        assert rendered.__wrapped__(DEMO, language, "start", controls)


def test_the_matching_is_scipys() -> None:
    for c in (
        Controls(),
        NOISY,
        replace(NOISY, kind="sigmoid_focal"),
        replace(NOISY, queries=2),
        Controls(source="trap"),
    ):
        result = run(c)
        rows, columns = linear_sum_assignment(result.cost)
        assert sorted(result.optimal.picks) == sorted(zip(rows.tolist(), columns.tolist(), strict=True))


def test_the_trap_costs_greedy_dear() -> None:
    result = run(DEMO.presets["greedy"])
    assert (result.cost == greedy_trap()).all()
    assert round(result.greedy.total, 2) == 1.02
    assert round(result.optimal.total, 2) == 0.15
    assert result.taken is result.greedy


def test_weights_reach_the_costs() -> None:
    plain = run(NOISY)
    assert plain.match is not None
    for name, part in (
        ("cost_class", plain.match.class_cost),
        ("cost_bbox", plain.match.bbox_cost),
        ("cost_giou", plain.match.giou_cost),
    ):
        more = run(replace(NOISY, **{name: getattr(NOISY, name) + 1}))
        np.testing.assert_allclose(more.cost - plain.cost, part, atol=1e-12)


def test_a_drag_is_counted_and_an_added_box_is_not_compared() -> None:
    assert run(Controls()).dragged is None
    result = run(Controls())
    query, target = result.optimal.picks[0]
    said = int(np.argmax(result.problem.predictions.logits[-1, query, :-1]))
    corner = "0.0.300.300" if target else "9700.9700.10000.10000"
    away = run(Controls(boxes=f"p{query}.{said}.{corner}"))
    assert away.dragged is not None
    assert away.dragged.count >= 2  # it lost its object, and another one took it
    still = run(Controls(boxes=f"p{query}.{said}.x".replace(f".{said}.x", ".x")))
    assert still.dragged is None


def test_the_puzzle_is_scored() -> None:
    best = "0.0_1.1_2.2"
    solved = run(replace(DEMO.presets["greedy"], pairs=best)).puzzle
    assert solved is not None
    assert (solved.missing, round(solved.excess, 12)) == (0, 0)
    greedy = run(replace(DEMO.presets["greedy"], pairs="0.1_1.0_2.2")).puzzle
    assert greedy is not None
    assert round(greedy.excess, 2) == 0.87
    part = run(replace(DEMO.presets["greedy"], pairs="0.1")).puzzle
    assert part is not None
    assert part.missing == 2
    assert np.isnan(part.excess)
    assert run(replace(DEMO.presets["greedy"], pairs="9.9")).puzzle is None
    with pytest.raises(UploadError):
        run(replace(DEMO.presets["greedy"], pairs="0.1_0.2"))


def test_the_solvers_last_step_is_the_matching() -> None:
    for c in (DEMO.presets["solver"], Controls(lens="solver", source="trap"), replace(NOISY, lens="solver", queries=3)):
        result = run(c)
        last = result.steps[-1]
        assert sorted(zip(last.row_idx.tolist(), last.col_idx.tolist(), strict=True)) == sorted(result.optimal.picks)
        assert all(step.least_slack > -1e-9 for step in result.steps)
        assert abs(last.gap) < 1e-9


def test_every_decoder_layer_is_matched_anew() -> None:
    result = run(DEMO.presets["loss"])
    assert result.loss is not None
    assert len(result.loss.layers) == 3
    assert len(result.layers) == 2
    for before, after, change in zip(result.loss.layers[:-1], result.loss.layers[1:], result.layers, strict=True):
        told = (before.target_of_query != after.target_of_query).sum()
        assert change.count == int(told)
    assert float(result.loss.total) == pytest.approx(sum(float(layer.total) for layer in result.loss.layers))


def test_copies_go_to_nothing_in_detr_and_to_suppression_elsewhere() -> None:
    result = run(DEMO.presets["duplicates"])
    s = result.suppressed
    assert s is not None
    objects = result.cost.shape[1]
    assert (s.matched_target >= 0).sum() == objects
    assert s.assignment.positives.tolist() == [2] * objects
    assert len(s.steps[-1].kept) == objects
    said = s.precision[0].classes
    kept = s.precision[1].classes
    assert sum(int((~c.hit).sum()) for c in said) == objects
    assert sum(int((~c.hit).sum()) for c in kept) == 0
    lax = run(replace(DEMO.presets["duplicates"], nms_iou=1.0)).suppressed
    assert lax is not None
    assert sum(int((~c.hit).sum()) for c in lax.precision[1].classes) == objects


def test_both_stages_of_the_other_school() -> None:
    assert set(THRESHOLDS) == set(
        spec_of(next(f for f in DEMO.kind.__dataclass_fields__.values() if f.name == "thresholds")).options
    )
    strict = run(replace(DEMO.presets["duplicates"], noise=0.6, thresholds="rpn")).suppressed
    assert strict is not None
    assert (strict.assignment.positives >= 1).all()  # the best box of every object is rescued


def test_attention_maps_are_distributions_and_rows_are_not_columns() -> None:
    decoder = run(DEMO.presets["attention"]).looks
    assert decoder is not None
    assert len(decoder.queries) == len(decoder.maps) >= 1
    np.testing.assert_allclose(decoder.maps.sum(axis=(1, 2)), 1, atol=1e-5)
    rows, columns = (
        run(replace(DEMO.presets["attention"], view=view)).looks for view in ("encoder_row", "encoder_column")
    )
    assert rows is not None
    assert columns is not None
    assert rows.maps.shape == columns.maps.shape == (144, 12, 12)
    np.testing.assert_allclose(rows.maps.sum(axis=(1, 2)), 1, atol=1e-5)
    assert np.abs(columns.maps.sum(axis=(1, 2)) - 1).max() > 0.05
    np.testing.assert_allclose(rows.maps.reshape(144, 144).T, columns.maps.reshape(144, 144), atol=1e-12)


def test_a_score_that_nobody_reaches_is_told() -> None:
    with pytest.raises(UploadError) as caught:
        run(
            replace(
                DEMO.presets["attention"], predictor="tiny", score=0.99, boxes="_".join(f"p{k}.x" for k in range(10))
            )
        )
    assert caught.value.code == "no_query_kept"


def test_a_drag_is_answered_quickly() -> None:
    """The computing half of what the browser waits for; the bench measures the whole."""
    run(Controls())
    took = []
    for k in range(10):
        began = time.perf_counter()
        rendered.__wrapped__(DEMO, "en", "start", Controls(boxes=f"p0.0.{k}.0.1000.1000"))
        took.append(time.perf_counter() - began)
    assert sorted(took)[5] < 0.2
