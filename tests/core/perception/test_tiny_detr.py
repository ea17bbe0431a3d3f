import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers.models.detr.modeling_detr import DetrSinePositionEmbedding

from core.perception.average_precision import average_precision
from core.perception.boxes import cxcywh_to_xyxy
from core.perception.detr_matching import postprocess
from core.perception.shape_scenes import CLASSES, shape_scene
from core.perception.tiny_detr import (
    Attention,
    TinyDetr,
    attention_views,
    detect,
    load_tiny_detr,
    network_input,
    sine_positions,
)
from tests.oracles import detection as oracle
from training import tiny_detr as training

MODEL = Path(__file__).parents[3] / "assets" / "models" / "tiny_detr.safetensors"
ABOUT = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights():
    return load_file(MODEL)


@pytest.fixture(scope="module")
def model(weights):
    return load_tiny_detr(weights)


@pytest.mark.parametrize("side", [96, 64])
def test_the_whole_network_is_torchs_attention_and_layers(model, side, receipt):
    """In double precision, with positions from transformers."""
    double = TinyDetr().double().eval()
    double.load_state_dict(model.state_dict())
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    cells = side // 8
    embedding = DetrSinePositionEmbedding(48, normalize=True)
    position = embedding(torch.Size([1, 1, cells, cells]), torch.device("cpu"), torch.float64)[0].flatten(1).T
    with torch.inference_mode():
        got = double(images)
        logits, boxes, maps = oracle.tiny_detr(double.state_dict(), images, position)
    reference = "torch.nn.functional's attention, with transformers' positions"
    for name, mine, other in (
        ("pred_logits", got.pred_logits, logits),
        ("pred_boxes", got.pred_boxes, boxes),
        ("encoder_attention", got.encoder_attention, maps["encoder"]),
        ("decoder_self_attention", got.decoder_self_attention, maps["self"]),
        ("decoder_cross_attention", got.decoder_cross_attention, maps["cross"]),
    ):
        receipt(TinyDetr, name, mine, other, reference=reference, tolerance=1e-10)
    assert got.features.shape == (2, 96, cells, cells)


def test_every_row_of_attention_sums_to_one(model):
    found = detect(model, shape_scene(0).image)
    for weights in (found.encoder_attention, found.decoder_self_attention, found.decoder_cross_attention):
        assert weights.sum(-1) == pytest.approx(1, abs=1e-5)
        assert weights.min() >= 0
    assert found.pred_boxes.min() >= 0
    assert found.pred_boxes.max() <= 1
    assert found.pred_logits.shape == (3, 1, 10, 4)
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_attention_is_torchs_own(receipt):
    torch.manual_seed(0)
    ours, theirs = Attention(24, 3).double(), torch.nn.MultiheadAttention(24, 3, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.weight.copy_(ours.out.weight)
        theirs.out_proj.bias.copy_(ours.out.bias)
        q, k, v = (torch.randn(2, n, 24, dtype=torch.float64) for n in (5, 7, 7))
        got, expected = ours(q, k, v), theirs(q, k, v, average_attn_weights=False)
    receipt(Attention, "output", got[0], expected[0], reference="torch")
    receipt(Attention, "weights", got[1], expected[1], reference="torch")


@pytest.mark.parametrize(("height", "width", "channels"), [(12, 12, 96), (3, 7, 8), (1, 1, 4)])
def test_positions_are_transformers(height, width, channels, receipt):
    embedding = DetrSinePositionEmbedding(channels // 2, normalize=True)
    expected = embedding(torch.Size([1, 1, height, width]), torch.device("cpu"), torch.float64)[0].flatten(1).T
    got = sine_positions(height, width, channels=channels)
    receipt(sine_positions, "position", got, expected, reference="transformers")
    for bad in ((0, 1, 4), (1, 1, 6), (1, 1, 0)):
        with pytest.raises(ValueError, match="multiple of 4"):
            sine_positions(bad[0], bad[1], channels=bad[2])


def test_pictures_of_any_shape_are_averaged_to_the_networks_size(receipt):
    image = shape_scene(2).image
    blocks = image.reshape(96, 3, 96, 3, 3).astype(float).mean((1, 3)) / 127.5 - 1
    got = network_input(image)[0].permute(1, 2, 0)
    half = 0.5 / 127.5 + 1e-6  # bytes are rounded
    receipt(network_input, "pixels", got, blocks, reference="mean of 3 × 3 pixels", tolerance=half)
    for shape in ((1, 1), (30, 500), (2000, 97), (96, 96)):
        got = network_input(np.full((*shape, 3), 51, np.uint8))
        assert got.shape == (1, 3, 96, 96)
        assert got.unique().tolist() == pytest.approx([-0.6])
    assert (network_input(image[:, ::-1]) - network_input(np.ascontiguousarray(image[:, ::-1]))).abs().max() == 0
    small = image[:96, :96]
    assert (network_input(small)[0].permute(1, 2, 0).numpy() == small.astype(np.float32) / 127.5 - 1).all()


def test_mistaken_pictures_and_weights_are_named(weights):
    with pytest.raises(TypeError, match="image must hold bytes, got float64"):
        network_input(np.zeros((4, 4, 3)))
    for shape in ((4, 4), (4, 4, 4), (0, 4, 3)):
        with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
            network_input(np.zeros(shape, np.uint8))
    for wrong in ({}, {**weights, "more": torch.zeros(1)}, {**weights, "queries": torch.zeros(3, 96)}):
        with pytest.raises(ValueError, match="weights must hold exactly"):
            load_tiny_detr(wrong)


def test_rows_and_columns_of_attention_are_told_apart(model, receipt):
    found = detect(model, shape_scene(0).image)
    weights = found.encoder_attention[0, 0]
    mean = weights.double().mean(0).reshape(12, 12, 12, 12)
    views = attention_views(weights, (12, 12), row=3, column=7)
    for name, got, expected in (
        ("attention", views.attends_to, mean[3, 7]),
        ("attention", views.attended_by, mean[:, :, 3, 7]),
        ("attention_sum", views.attends_to.sum(), 1.0),
        ("attention_sum", views.attended_by.sum(), float(mean[:, :, 3, 7].sum())),
        ("attention_peak", views.attends_to.max(), float(mean[3, 7].max())),
        ("attention_peak", views.attended_by.max(), float(mean[:, :, 3, 7].max())),
    ):
        receipt(attention_views, name, got, expected, reference="index by row and column", tolerance=1e-6)
    assert not np.allclose(views.attends_to, views.attended_by)
    one = attention_views(weights[0], (12, 12), row=0, column=0)
    assert one.attends_to == pytest.approx(weights[0, 0].double().reshape(12, 12).numpy())
    wide = torch.rand(6, 6)
    assert attention_views(wide, (2, 3), row=1, column=0).attends_to.ravel() == pytest.approx(wide[3].double().numpy())
    with pytest.raises(ValueError, match="weights must be"):
        attention_views(weights, (12, 11), row=0, column=0)
    for place in ((12, 0), (0, 12), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="12×12 map"):
            attention_views(weights, (12, 12), row=place[0], column=place[1])


def test_the_bundled_weights_are_what_is_said_of_them(weights):
    assert MODEL.stat().st_size == ABOUT["bytes"] <= 1_500_000
    assert sum(w.numel() for w in weights.values()) == ABOUT["parameters"]
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == ABOUT["sha256"]
    assert all(w.dtype == torch.float16 for w in weights.values())
    assert ABOUT["held_out"]["ap50"] >= 0.95


def test_the_bundled_network_finds_shapes_that_it_never_saw(model):
    """A tenth of the held-out scenes; the whole measurement is part of the training script."""
    assert max(training.HELD_OUT) < training.FIRST_TRAINING_SEED
    found, truth = [], []
    for seed in training.HELD_OUT[:100]:
        scene = shape_scene(seed)
        output = detect(model, scene.image)
        found.append(postprocess(output.pred_logits[-1, 0], output.pred_boxes[-1, 0], image_size=(288, 288)))
        truth.append((scene.labels, cxcywh_to_xyxy(scene.boxes) * 288))
    ap50 = average_precision(found, truth, num_classes=len(CLASSES)).mean
    assert ap50 == pytest.approx(ABOUT["held_out"]["ap50"], abs=0.03)


def test_the_training_script_runs_in_one_go_or_stage_by_stage(tmp_path, monkeypatch):
    """A few steps of the real thing."""
    stages = ((3, 1e-3, 0.2), (2, 1e-3, 1.0))
    changes = {"MODELS": tmp_path, "LOG": tmp_path / "log", "HELD_OUT": range(4), "VALIDATION": range(2), "SCENES": 16}
    for name, value in {**changes, "STAGES": stages, "BATCH": 4, "WARM_UP": 1}.items():
        monkeypatch.setattr(training, name, value)
    state = torch.get_rng_state()
    monkeypatch.setattr("sys.argv", ["tiny_detr"])
    training.main()
    whole = (tmp_path / "tiny_detr.safetensors").read_bytes()
    monkeypatch.setattr(training, "STAGES", stages[:1])
    training.main()
    monkeypatch.setattr(training, "STAGES", stages)
    monkeypatch.setattr("sys.argv", ["tiny_detr", "--from-stage", "1"])
    training.main()
    torch.set_rng_state(state)
    assert (tmp_path / "tiny_detr.safetensors").read_bytes() == whole
    said = json.loads((tmp_path / "tiny_detr.json").read_text())
    assert said["parameters"] == ABOUT["parameters"]
    log = (tmp_path / "log").read_text()
    assert "validation: ap50" in log
    assert "held out, seeds 0 to 3" in log


def test_equal_scenes_of_the_training_are_equal():
    """Mirrored and transposed pictures keep their boxes on their objects."""
    scene = shape_scene(5, count=1)
    picture = network_input(scene.image)[0]
    target = training.Target(torch.from_numpy(scene.labels), torch.from_numpy(scene.boxes).float())
    color = None
    for seed in range(20):
        turned, moved = training.varied(picture, target, np.random.default_rng(seed))
        cx, cy = (moved.boxes[0, :2] * 96).long().tolist()
        here = sorted(turned[:, cy - 1 : cy + 2, cx - 1 : cx + 2].mean((1, 2)).tolist())
        color = color or here
        assert here == pytest.approx(color, abs=0.2)
    assert picture.shape == turned.shape
