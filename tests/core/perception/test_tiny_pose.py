import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from core.perception.articulated_figures import SIZE, figure_scene
from core.perception.heatmap_keypoints import decode_heatmap
from core.perception.residual_log_likelihood import flow_spread
from core.perception.simcc import decode_simcc
from core.perception.tiny_pose import MAP, SPLIT, STRIDE, TinyPose, estimate, load_tiny_pose, network_input
from training import tiny_pose as training

MODEL = Path(__file__).parents[3] / "assets" / "models" / "tiny_pose.safetensors"
ABOUT = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model():
    state = torch.random.get_rng_state()
    loaded = load_tiny_pose(load_file(MODEL))
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody drew from the global generator
    return loaded


def written_out(w, x):
    """The network once more, without modules: every layer by its formula."""

    def norm(x, name):
        shape = x.shape
        groups = x.reshape(shape[0], 8, -1)
        mean, var = groups.mean(2, keepdim=True), groups.var(2, unbiased=False, keepdim=True)
        x = ((groups - mean) / (var + 1e-5).sqrt()).reshape(shape)
        return x * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]

    def conv(x, name, stride=1):
        kernel = w[f"{name}.weight"]
        pad = kernel.shape[-1] // 2
        rows = F.unfold(x, kernel.shape[2:], padding=pad, stride=stride)
        out = torch.einsum("ok,bkn->bon", kernel.flatten(1), rows)
        out = out.reshape(len(x), len(kernel), x.shape[2] // stride, x.shape[3] // stride)
        bias = w.get(f"{name}.bias")
        return out if bias is None else out + bias[:, None, None]

    def block(x, name):
        inner = norm(conv(x, f"{name}.first"), f"{name}.norm1").clamp(min=0)
        return (x + norm(conv(inner, f"{name}.second"), f"{name}.norm2")).clamp(min=0)

    twice = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
    line = lambda x, name: x @ w[f"{name}.weight"].T + w[f"{name}.bias"]  # noqa: E731
    stages = []
    for k in range(4):
        x = block(norm(conv(x, f"down.{k}", 2), f"norms.{k}").clamp(min=0), f"blocks.{k}")
        stages.append(x)
    low = stages[2] + twice(conv(stages[3], "lift16"))
    maps = block(stages[1] + twice(conv(low, "lift")), "mix")
    rows = conv(maps, "rows").flatten(2)
    flat = line(stages[3].flatten(1), "flat").clamp(min=0)
    spread = line(flat, "spread").reshape(-1, 13, 4)
    return (
        conv(maps, "heat"),
        line(rows, "bins_x"),
        line(rows, "bins_y"),
        line(flat, "point").reshape(-1, 13, 2) + 0.5,
        spread[..., :2] + 0.5,
        1 / (1 + torch.exp(-spread[..., 2:])),
    )


def test_the_whole_network_is_its_formulas(model):
    weights = {name: value.double() for name, value in model.state_dict().items()}
    double = TinyPose().double().eval()
    double.load_state_dict(weights)
    x = torch.rand(2, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    with torch.inference_mode():
        got, expected = double(x), written_out(weights, x)
    names = ("heatmaps", "simcc_x", "simcc_y", "regression", "rle", "rle_sigma")
    for name, reference in zip(names, expected, strict=True):
        assert torch.allclose(getattr(got, name), reference, atol=1e-10), name
    assert got.heatmaps.shape[2:] == (MAP[1], MAP[0]) == (SIZE[1] // STRIDE, SIZE[0] // STRIDE)


def test_it_finds_joints_of_figures_that_it_never_saw(model):
    """Heads in the order of their errors, on 40 figures; the JSON tells 500."""
    off = {name: [] for name in ("argmax", "dark", "simcc", "regression", "rle")}
    sure = []
    for seed in range(40):
        scene = figure_scene(seed)
        said = estimate(model, scene.image)
        heat = said.heatmaps[0].numpy()
        axes = [torch.softmax(v[0], 1).numpy() for v in (said.simcc_x, said.simcc_y)]
        found = {how: decode_heatmap(heat, input_size=SIZE, decoder=how).keypoints for how in ("argmax", "dark")}
        found["simcc"] = decode_simcc(*axes, split_ratio=SPLIT).keypoints
        found |= {name: getattr(said, name)[0].numpy() * SIZE for name in ("regression", "rle")}
        seen = scene.visible == 2
        for name, points in found.items():
            off[name] += np.hypot(*(points - scene.keypoints)[seen].T).tolist()
        errors = np.abs(found["rle"] - scene.keypoints)[seen]
        spread = said.rle_sigma[0] * flow_spread(model.flow)
        sure += (errors / (spread.numpy() * SIZE)[seen]).ravel().tolist()
    mean = {name: np.mean(values) for name, values in off.items()}
    assert mean["simcc"] < 1.5
    assert mean["dark"] < 1.5
    assert mean["argmax"] > mean["dark"]
    assert mean["regression"] < 3.5
    assert np.median(off["simcc"]) < 1
    assert 0.3 < np.mean(sure) < 3  # σ̂ times the flow's own spread is of the errors' size; σ̂ alone is not


def test_the_file_is_what_its_json_says(model):
    assert hashlib.sha256(MODEL.read_bytes()).hexdigest() == ABOUT["sha256"]
    assert MODEL.stat().st_size == ABOUT["bytes"] < 1_500_000
    assert sum(p.numel() for p in model.parameters()) == ABOUT["parameters"]
    log = (Path(training.__file__).with_suffix(".log")).read_text(encoding="utf-8")
    assert str(round(ABOUT["held_out"]["simcc"], 3))[:4] in log
    assert ABOUT["training"]["first_seed"] > 100_000 > ABOUT["held_out"]["figures"]


def test_training_learns(monkeypatch):
    """A few steps of the script on a few figures: every head's loss falls, with a finite gradient everywhere."""
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    data, network = training.rendered(range(16)), TinyPose()
    first = {k: v.item() for k, v in training.losses(network, data.images, data.points, data.visible).items()}
    monkeypatch.setattr(training, "STEPS", 14)
    monkeypatch.setattr(training, "BATCH", 8)
    monkeypatch.setattr(training, "WARM_UP", 2)
    monkeypatch.setattr(training, "VALIDATION", range(3))
    said = []
    training.train(network, data, said.append)
    last = training.losses(network, data.images, data.points, data.visible)
    assert all(last[name].item() < first[name] for name in first)
    assert "validation" in said[-1]
    sum(last.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    torch.random.set_rng_state(torch_state)


def test_input_and_weights_are_checked():
    with pytest.raises(TypeError, match="image must hold bytes"):
        network_input(np.zeros((96, 64, 3)))
    with pytest.raises(ValueError, match=r"image must have shape \(96, 64, 3\), got \(64, 96, 3\)"):
        network_input(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(ValueError, match="exactly the tiny pose network's parameters"):
        load_tiny_pose({})
    picture = np.zeros((96, 64, 3), np.uint8)
    picture.setflags(write=False)
    assert (network_input(picture) == -1).all()
    assert math.isclose(network_input(picture + np.uint8(255)).max().item(), 1)
