"""demos.perception.detr_matching_figures (and its tables): what is drawn is what was computed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.perception.boxes import cxcywh_to_xyxy
from demos.kit.numbers import Number
from demos.kit.scene import Boxes, Labels, Matrix, Pane, Ribbons, Scene, Table
from demos.perception.detr_matching import DEMO, Controls, run
from demos.perception.detr_matching_figures import show

NOISY = Controls(predictor="noisy", noise=0.3)


def scene_of(controls: Controls, language: str = "en") -> Scene:
    return show(run(controls), DEMO.text(language)).scene


def pane(scene: Scene, key: str) -> Pane:
    return next(p for p in scene.panes if p.key == key)


def layer(scene: Scene, key: str) -> Any:
    return next(found for p in scene.panes for found in p.layers if found.key == key)


def test_boxes_stand_where_they_were_predicted() -> None:
    result, scene = run(NOISY), scene_of(NOISY)
    truth, queries, spare = (layer(scene, key) for key in ("truth", "queries", "spare"))
    side = result.problem.size[0]
    np.testing.assert_allclose(truth.xyxy, cxcywh_to_xyxy(result.problem.truth.boxes) * side, rtol=1e-5)
    matched = sorted(r for r, _ in result.optimal.picks)
    boxes = cxcywh_to_xyxy(result.problem.predictions.boxes[-1]) * side
    np.testing.assert_allclose(queries.xyxy, boxes[matched], rtol=1e-4, atol=1e-3)
    assert len(spare.xyxy) + len(queries.xyxy) == len(boxes)
    assert all("∅" in name for name in spare.names)
    assert [name[0] for name in truth.names] == ["A", "B", "C", "D"]


@pytest.mark.parametrize("rule", ["optimal", "greedy", "cheapest"])
def test_ribbons_and_outlines_are_the_pairs_of_the_rule(rule: str) -> None:
    controls = replace(NOISY, rule=rule, duplicates=6, noise=0.8)
    result, scene = run(controls), scene_of(controls)
    ribbons, matrix = layer(scene, "pairs"), layer(scene, "cost")
    assert isinstance(ribbons, Ribbons)
    assert isinstance(matrix, Matrix)
    assert len(ribbons.ends) == len(result.taken.picks)
    side = result.problem.size[0]
    for (row, column), end in zip(result.taken.picks, ribbons.ends, strict=True):
        np.testing.assert_allclose(end[:2], result.problem.truth.boxes[column, :2] * side, rtol=1e-4)
        np.testing.assert_allclose(end[2:], result.problem.predictions.boxes[-1, row, :2] * side, rtol=1e-4)
    assert matrix.marks is not None
    assert {tuple(map(int, cell)) for cell in np.argwhere(matrix.marks == 1)} == set(result.taken.picks)
    assert {tuple(map(int, cell)) for cell in np.argwhere(matrix.marks == 2)} == set(result.optimal.picks) - set(
        result.taken.picks
    )
    assert len(matrix.mark_names) == (1 if rule == "optimal" else 2)


def test_every_face_of_the_matrix_shows_its_own_costs() -> None:
    result, scene = run(NOISY), scene_of(NOISY)
    matrix = layer(scene, "cost")
    assert result.match is not None
    parts = {"class": result.match.class_cost, "bbox": result.match.bbox_cost, "giou": result.match.giou_cost}
    shown = {face.key: face for face in matrix.faces}
    assert set(shown) == set(parts)
    for key, values in parts.items():
        texts = [float(t.replace("−", "-")) for t in shown[key].texts[0]]
        np.testing.assert_allclose(texts, values.ravel(), atol=0.0051)
        assert shown[key].shade.reshape(-1)[values.argmax()] == 255
        assert shown[key].shade.reshape(-1)[values.argmin()] == 0
    assert matrix.pick


def test_all_boxes_can_be_dragged_where_they_stand_still() -> None:
    sets = {lens: scene_of(Controls(lens=lens)).tools for lens in ("match", "solver", "loss", "nms", "attention")}
    letters = {lens: [s.letter for s in tools.boxes] if tools else [] for lens, tools in sets.items()}
    assert letters == {"match": ["t", "p"], "solver": ["t", "p"], "loss": ["t"], "nms": ["t", "p"], "attention": []}
    noisy = scene_of(replace(NOISY, lens="loss")).tools
    assert noisy
    assert [s.letter for s in noisy.boxes] == ["t", "p"]
    edits = "p3.x_tn0.1.1000.1000.3000.3000"
    tools = scene_of(replace(NOISY, boxes=edits)).tools
    assert tools
    assert tools.edits == edits
    assert "n0" in tools.boxes[0].ids
    assert "3" not in tools.boxes[1].ids
    np.testing.assert_allclose(tools.boxes[0].xyxy[-1], np.array([0.1, 0.1, 0.3, 0.3]) * 432, rtol=1e-4)


def test_the_solvers_pairs_are_drawn_step_by_step() -> None:
    controls = replace(NOISY, lens="solver", noise=0.9)
    result, scene = run(controls), scene_of(controls)
    pairs, slack = layer(scene, "pairs"), layer(scene, "slack")
    assert scene.steps == len(result.steps) == len(scene.captions) == len(scene.step_names)
    for t, step in enumerate(result.steps):
        drawn = ~np.isnan(pairs.ends[t, :, 0])
        assert drawn.sum() == len(step.row_idx)
        assert {tuple(map(int, cell)) for cell in np.argwhere(slack.marks[t] == 1)} == set(
            zip(step.row_idx.tolist(), step.col_idx.tolist(), strict=True)
        )
        texts = np.array(slack.texts[t]).reshape(step.slack.shape)
        assert (texts == "–").tolist() == np.isnan(step.slack).tolist()
        assert len(slack.row_values[t]) == len(step.row_potential)
    assert len(set(scene.captions)) > 3


def test_a_pair_that_is_undone_is_named() -> None:
    result, scene = run(DEMO.presets["solver"]), scene_of(DEMO.presets["solver"])
    undone = [k for k, step in enumerate(result.steps) if step.removed]
    assert undone
    assert [k for k, caption in enumerate(scene.captions) if "undone" in caption] == undone
    assert scene.step == undone[0]


def test_layers_of_the_decoder_are_steps() -> None:
    result, scene = run(DEMO.presets["loss"]), scene_of(DEMO.presets["loss"])
    queries, losses = layer(scene, "queries"), layer(scene, "losses")
    assert result.loss is not None
    assert isinstance(queries, Boxes)
    assert queries.xyxy.shape[:2] == (3, 10)
    assert isinstance(losses, Table)
    for k, found in enumerate(result.loss.layers):
        target = found.target_of_query[0].numpy()
        assert (np.isnan(queries.xyxy[k, :, 0]) == (target < 0)).all()
        assert losses.marks[k] == tuple(np.flatnonzero(target >= 0).tolist())
        shares = [row[3].value for row in losses.later[k] if isinstance(row[3], Number)]
        assert sum(float(s or 0) for s in shares) == pytest.approx(float(found.loss_class))


def test_suppression_is_drawn_box_by_box() -> None:
    controls = replace(DEMO.presets["duplicates"], noise=0.2, duplicates=6, queries=14)
    result, scene = run(controls), scene_of(controls)
    s = result.suppressed
    assert s is not None
    for t, step in enumerate(s.steps):
        kept = ~np.isnan(layer(scene, "kept").xyxy[t, :, 0])
        removed = ~np.isnan(layer(scene, "removed").xyxy[t, :, 0])
        waiting = ~np.isnan(layer(scene, "waiting").xyxy[t, :, 0])
        assert sorted(np.flatnonzero(kept)) == sorted(step.kept)
        assert (removed == (step.suppressed_by >= 0)).all()
        assert not (kept & removed).any()
        assert not (waiting & (kept | removed)).any()


def test_attention_is_laid_over_the_picture() -> None:
    result, scene = run(DEMO.presets["attention"]), scene_of(DEMO.presets["attention"])
    heat = layer(scene, "heat")
    assert result.looks is not None
    assert isinstance(heat, Labels)
    assert heat.codes.shape == (len(result.looks.maps), 48, 48)
    for codes, values in zip(heat.codes, result.looks.maps, strict=True):
        y, x = np.unravel_index(values.argmax(), values.shape)
        assert codes[4 * y + 1, 4 * x + 1] == 255


def test_places_are_steps_that_can_be_pointed_at() -> None:
    scene = scene_of(replace(DEMO.presets["attention"], view="encoder_row"))
    assert scene.steps == 144
    assert scene.pointed == ("place",)
    assert scene.followed["place"].tolist() == list(range(144))
    places = layer(scene, "places")
    for row, column in ((0, 0), (3, 7), (11, 11)):
        assert places.xyxy[12 * row + column].tolist() == [36 * column, 36 * row, 36 * column + 36, 36 * row + 36]


def test_cells_point_at_their_boxes_and_boxes_at_their_pair() -> None:
    result, scene = run(NOISY), scene_of(NOISY)
    matrix, truth, queries = (layer(scene, key) for key in ("cost", "truth", "queries"))
    columns = result.cost.shape[1]
    for row, column in result.optimal.picks:
        cell = row * columns + column
        assert (matrix.also["query"][row, column], matrix.also["target"][row, column]) == (row, column)
        assert truth.also["cell"][column] == cell
        assert queries.also["cell"][queries.items.tolist().index(row)] == cell


def test_too_few_queries_and_too_many_edits_are_said() -> None:
    assert any("2 queries for 4 objects" in note for note in scene_of(replace(NOISY, queries=2)).notes)
    many = "_".join(f"p{k}.0.1000.1000.{2000 + k}.2000" for k in range(60))
    assert any("link" in note for note in scene_of(Controls(boxes=many)).notes)


def test_nothing_to_match_is_drawn_too() -> None:
    for lens in ("match", "solver", "loss", "nms"):
        assert scene_of(Controls(lens=lens, predictor="drawn")).panes
    assert "draw" in scene_of(Controls(predictor="drawn")).captions[0]


def test_the_question_has_its_answer_from_the_trap() -> None:
    for language in ("en", "zh"):
        (guess,) = DEMO.guesses(DEMO.text(language))
        assert guess.options[guess.answer] == DEMO.text(language)("controls", "rule", "options", "cheapest")
        assert "0.1100" in guess.reveal[2]
        assert "1.0200" in guess.reveal[1]
