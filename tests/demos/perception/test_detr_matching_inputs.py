"""demos.perception.detr_matching_inputs: where boxes come from, and that what was dragged is what is matched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.perception.boxes import cxcywh_to_xyxy
from core.perception.shape_scenes import shape_scene
from demos.kit.upload_errors import UploadError
from demos.perception import detr_matching_inputs
from demos.perception.detr_matching import Controls
from demos.perception.detr_matching_inputs import MOST_QUERIES, PHOTOS, SCENE_SIDE, problem_of, spoken_class

NOISY = Controls(predictor="noisy")


def refused(controls: Controls, code: str) -> UploadError:
    with pytest.raises(UploadError) as caught:
        problem_of(controls)
    assert caught.value.code == code
    assert caught.value.sentence("zh") != caught.value.sentence("en")
    return caught.value


def test_a_scene_brings_its_own_objects() -> None:
    problem, scene = problem_of(Controls()), shape_scene(Controls().scene, count=Controls().objects, side=SCENE_SIDE)
    assert problem.image is not None
    assert (problem.image == scene.image).all()
    assert problem.truth.labels.tolist() == scene.labels.tolist()
    np.testing.assert_array_equal(problem.truth.boxes, scene.boxes)
    assert problem.names == ("disc", "square", "triangle")
    assert problem.output is not None
    assert problem.predictions.boxes.shape == (3, 10, 4)
    assert problem.before is None


def test_the_bundled_network_finds_the_shapes() -> None:
    """Not random: over many scenes nearly every object has a sure query of its class with a good box."""
    found = wanted = 0
    for seed in range(20):
        problem = problem_of(Controls(scene=5000 + seed))
        logits, boxes = problem.predictions.logits[-1], cxcywh_to_xyxy(problem.predictions.boxes[-1])
        for label, goal in zip(problem.truth.labels, cxcywh_to_xyxy(problem.truth.boxes), strict=True):
            near = np.abs(boxes - goal).max(axis=1) < 0.06
            wanted += 1
            found += any(near[q] and logits[q].argmax() == label for q in range(len(boxes)))
    assert found / wanted > 0.85


@pytest.mark.parametrize("source", PHOTOS)
def test_photographs_have_the_boxes_of_their_masks(source: str) -> None:
    problem = problem_of(replace(NOISY, source=source))
    root = Path(detr_matching_inputs.__file__).parents[2]
    mask = np.asarray(Image.open(root / "assets" / "masks" / f"{source}.png"))
    assert len(problem.names) == len(PHOTOS[source])
    height, width = mask.shape
    for label, box in zip(problem.truth.labels, cxcywh_to_xyxy(problem.truth.boxes), strict=True):
        ys, xs = np.nonzero(mask == PHOTOS[source][label])
        expected = np.array([xs.min() / width, ys.min() / height, (xs.max() + 1) / width, (ys.max() + 1) / height])
        np.testing.assert_allclose(box, expected, atol=1e-12)


def test_the_bundled_network_is_not_asked_about_what_it_never_saw() -> None:
    problem = problem_of(Controls(source="coffee"))
    assert [note.code for note in problem.notes] == ["tiny_needs_scene"]
    assert problem.output is None
    assert problem.predictions.logits.shape == (1, Controls().queries, 5)


def test_an_upload_is_needed_and_taken(tmp_path: Path) -> None:
    refused(Controls(source="files"), "photo_for_boxes")
    path = tmp_path / "photo.png"
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(path)
    mine = replace(NOISY, source="files", photo=(str(path),), boxes="tn0.2.1000.1000.5000.5000")
    problem = problem_of(mine)
    assert problem.size == (60, 80)
    np.testing.assert_allclose(cxcywh_to_xyxy(problem.truth.boxes), [[0.1, 0.1, 0.5, 0.5]])
    assert problem.truth.labels.tolist() == [2]
    assert problem.truth.ids == ("n0",)
    assert len(problem.predictions.ids) == mine.queries  # made from what was drawn
    path.write_bytes(b"no picture")
    refused(mine, "not_an_image")


def test_costs_without_boxes() -> None:
    problem = problem_of(Controls(source="trap"))
    assert problem.image is None
    assert problem.cost is not None
    assert problem.cost.shape == (4, 3)
    assert (len(problem.predictions.ids), len(problem.truth.ids)) == (4, 3)


# -- what was dragged ----------------------------------------------------------------------------------------------------


def test_a_moved_query_is_where_it_was_put_and_the_rest_stays_to_the_bit() -> None:
    plain = problem_of(Controls())
    said = spoken_class(plain.predictions.logits[-1, 3])
    moved = problem_of(Controls(boxes=f"p3.{said}.1000.2000.3000.5000"))
    np.testing.assert_allclose(cxcywh_to_xyxy(moved.predictions.boxes[-1, 3:4]), [[0.1, 0.2, 0.3, 0.5]], atol=1e-12)
    others = np.arange(10) != 3
    np.testing.assert_array_equal(moved.predictions.boxes[:, others], plain.predictions.boxes[:, others])
    np.testing.assert_array_equal(moved.predictions.boxes[:-1], plain.predictions.boxes[:-1])  # earlier layers
    np.testing.assert_array_equal(
        moved.predictions.logits, plain.predictions.logits
    )  # the same class: as sure as before
    assert moved.before is not None
    np.testing.assert_array_equal(moved.before.predictions.boxes, plain.predictions.boxes)


def test_a_new_class_is_said_with_the_confidence_of_the_slider() -> None:
    plain = problem_of(Controls())
    other = (spoken_class(plain.predictions.logits[-1, 3]) + 1) % 3
    moved = problem_of(Controls(boxes=f"p3.{other}.1000.2000.3000.5000", confidence=0.8))
    powers = np.exp(moved.predictions.logits[-1, 3])
    assert (powers / powers.sum())[other] == pytest.approx(0.8)


def test_deleted_and_added_boxes() -> None:
    problem = problem_of(Controls(boxes="p3.x_t0.x_pn0.1.1000.1000.2000.2000_tn4.2.1000.1000.2000.2000"))
    assert problem.predictions.ids == ("0", "1", "2", "4", "5", "6", "7", "8", "9", "n0")
    assert problem.truth.ids == ("1", "2", "3", "n4")
    assert problem.predictions.boxes.shape == (3, 10, 4)
    assert problem.truth.labels[-1] == 2
    np.testing.assert_allclose(problem.predictions.boxes[-1, -1], [0.15, 0.15, 0.1, 0.1])


def test_predictions_made_from_the_truth_follow_it_and_a_network_does_not() -> None:
    edit = "t0.1.1000.1000.3000.3000"
    for controls, follows in ((NOISY, True), (Controls(), False)):
        before, after = problem_of(controls), problem_of(replace(controls, boxes=edit))
        assert (before.predictions.boxes != after.predictions.boxes).any() == follows
        assert after.before is not None
        np.testing.assert_array_equal(after.before.predictions.boxes, before.predictions.boxes)


def test_edits_of_boxes_that_are_gone_are_left_alone() -> None:
    problem = problem_of(replace(NOISY, queries=3, boxes="p9.0.1000.1000.2000.2000_p8.x"))
    assert problem.predictions.ids == ("0", "1", "2")


@pytest.mark.parametrize("boxes", ["p0.9.1.1.2.2", "z0.x", "p0.1.5.5.5.9", "....", "p0.1.1.1.2"])
def test_broken_edits_are_refused(boxes: str) -> None:
    refused(Controls(boxes=boxes), "drawing_broken")


def test_more_queries_than_can_be_read_are_refused() -> None:
    many = "_".join(f"pn{k}.0.{k}.0.{k + 100}.100" for k in range(MOST_QUERIES))
    refused(Controls(boxes=many), "too_many_boxes")


# -- the model from the hub ------------------------------------------------------------------------------------------------


def test_a_model_that_is_not_here_is_told_at_once() -> None:
    with pytest.raises(UploadError) as caught:
        problem_of(Controls(predictor="hub"))
    assert caught.value.code in ("hub_package", "hub_offline", "hub_unreachable")


def test_a_large_model_is_read_rightly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A DETR of transformers with random weights stands for the real one: the same files, the same path."""
    transformers = pytest.importorskip("transformers")
    import torch

    from core.perception.detr_preprocessing import imagenet_input

    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage4"]
    )
    sizes = dict.fromkeys(("encoder_layers", "encoder_attention_heads", "decoder_attention_heads"), 1)
    config = transformers.DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=16,
        decoder_layers=3, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=30, num_labels=91, auxiliary_loss=True, **sizes,
    )  # fmt: skip
    model = transformers.DetrForObjectDetection(config).eval()
    model.save_pretrained(tmp_path)
    monkeypatch.setattr(detr_matching_inputs.HUB, "folder", lambda wanted: tmp_path)
    problem = problem_of(Controls(source="rocket", predictor="hub"))
    assert len(problem.names) == 91
    assert problem.predictions.logits.shape == (3, 20, 92)
    assert problem.image is not None
    labels = {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.2, 0.2]])}
    with torch.inference_mode():
        found = model(pixel_values=imagenet_input(problem.image), labels=[labels])
    layers = [*(layer["pred_boxes"] for layer in found.auxiliary_outputs), found.pred_boxes]
    for k, boxes in enumerate(layers):
        apart = np.abs(boxes[0].numpy()[:, None] - problem.predictions.boxes[k][None]).max(axis=-1).min(axis=0)
        assert apart.max() < 1e-6
