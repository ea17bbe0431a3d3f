import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from core.perception.graph_network import read_graph, run_graph
from core.perception.pose_network import (
    AUXILIARY,
    HEATMAPS,
    LANDMARKS,
    SKELETON,
    Crop,
    box_crop,
    estimate_pose,
    next_crop,
    pose_input,
    refine_landmarks,
    whole_crop,
)
from tests.oracles.litert import litert_maps

MODEL = Path(__file__).parents[3] / "assets" / "models" / "pose_landmarks"
DOCUMENT = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))
WIDE = Crop(-187, -29, 761)  # of the portrait, as its second look finds it


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights():
    return load_file(MODEL.with_suffix(".safetensors"))


@pytest.fixture(scope="module")
def network(weights):
    return read_graph(DOCUMENT, weights)


@pytest.fixture(scope="module")
def photo():
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def found(network, photo):
    return estimate_pose(network, photo, WIDE)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_answers_are_the_networks_numbers_laid_on_the_picture(network, photo, found, receipt):
    raw = {k: v[0].double().numpy() for k, v in run_graph(network, pose_input(photo, WIDE)).outputs.items()}
    rows = raw["landmarks"].reshape(39, 5)
    places = np.array([[x / 256 * 761 - 187, y / 256 * 761 - 29, z / 256 * 761] for x, y, z in rows[:, :3]])
    by_hand = "the network's own numbers, scaled by hand"
    for name, mine, other in (
        ("landmarks", found.landmarks, places[:33]),
        ("auxiliary", found.auxiliary, places[33:, :2]),
        ("visibility", found.visibility, sigmoid(rows[:33, 3])),
        ("presence", found.presence, sigmoid(rows[:33, 4])),
        ("score", found.score, raw["presence"][0]),
        ("world", found.world, raw["world_landmarks"].reshape(39, 3)[:33]),
    ):
        receipt(estimate_pose, name, mine, other, reference=by_hand, tolerance=1e-9)
    receipt(
        estimate_pose, "heatmaps", found.heatmaps, sigmoid(raw["heatmap_logits"]), reference=by_hand, tolerance=1e-6
    )
    assert found.heatmaps.shape == (39, 64, 64)
    assert found.world.shape == (33, 3)


def test_the_portrait_has_its_face_where_it_is(found):
    """Read off the photograph: px of the eyes, nose and mouth."""
    assert found.score > 0.99
    at = {"left_eye": (243, 104), "right_eye": (202, 103), "nose": (221, 122), "mouth_left": (236, 145)}
    for name, place in at.items():
        k = LANDMARKS.index(name)
        assert np.hypot(*(found.refined[k] - place)) < 12, name
        assert found.visibility[k] > 0.9
    left, right = found.refined[LANDMARKS.index("left_shoulder")], found.refined[LANDMARKS.index("right_shoulder")]
    assert left[0] > right[0]  # she faces us: her left is on the right of the picture
    assert found.visibility[LANDMARKS.index("left_ankle")] < 0.5


def test_the_mask_lies_where_the_crop_does(network, photo, found, receipt):
    logits = run_graph(network, pose_input(photo, WIDE)).outputs["mask_logits"]
    whole = torch.nn.functional.interpolate(logits.double().sigmoid(), size=(761, 761), mode="bilinear")[0, 0]
    expected = whole[29 : 29 + 512, 187 : 187 + 512]
    receipt(estimate_pose, "probability", found.probability, expected, reference="torch", tolerance=1e-3)
    corner = estimate_pose(network, photo, Crop(300, 350, 400))
    assert not corner.probability[:350].any()
    assert not corner.probability[:, :300].any()
    assert corner.probability.shape == (512, 512)
    for beside in (Crop(-900, 0, 300), Crop(-350, 0, 300), Crop(0, 600, 300)):
        assert not estimate_pose(network, photo, beside).probability.any()


def test_the_photo_through_litert(photo, weights, found, receipt):
    pytest.importorskip("ai_edge_litert", reason="LiteRT has no build for this system")
    arrays = {name: w.numpy() for name, w in weights.items()}
    maps = litert_maps(DOCUMENT, arrays, pose_input(photo, WIDE).numpy())
    points = maps["landmarks"].reshape(39, 5)[:33, :2] / 256 * 761 + (-187, -29)
    reference = "ai-edge-litert"
    receipt(estimate_pose, "landmarks_px", found.landmarks[:, :2], points, reference=reference, tolerance=0.05)
    receipt(
        estimate_pose,
        "heatmaps",
        found.heatmaps,
        sigmoid(maps["heatmap_logits"][0]),
        reference=reference,
        tolerance=1e-3,
    )


def test_beyond_the_picture_its_border_is_repeated(receipt):
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    padded = np.pad(image, ((200, 700), (150, 500), (0, 0)), mode="edge")
    crop = Crop(-100, -150, 512)
    expected = padded[50 : 50 + 512, 50 : 50 + 512].reshape(256, 2, 256, 2, 3).mean((1, 3)) / 255
    got = pose_input(image, crop)[0].permute(1, 2, 0)
    receipt(pose_input, "pixels", got, expected, reference="numpy.pad, then means of 2 × 2", tolerance=0.5 / 255 + 1e-6)
    inside = pose_input(image, Crop(20, 10, 256))[0].permute(1, 2, 0)
    receipt(pose_input, "pixels", inside, image[10:266, 20:276] / 255, reference="bytes / 255", tolerance=1e-7)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_the_whole_picture_lies_in_the_middle_of_its_crop(height, width):
    crop = whole_crop(height, width)
    assert crop.side == max(height, width)
    for start, size in ((crop.left, width), (crop.top, height)):
        after = start + crop.side - size
        assert 0 <= after - -start <= 1
        assert start <= 0


@given(
    st.tuples(*[st.floats(-500, 500)] * 2, *[st.floats(1, 900)] * 2),
    st.floats(1, 3),
)
def test_a_crop_holds_its_box(box, reach):
    left, top, width, height = box
    crop = box_crop((left, top, left + width, top + height), reach=reach)
    assert abs(crop.side - max(width, height) * reach) <= 0.5 + 1e-6
    assert abs(crop.left + crop.side / 2 - left - width / 2) <= 0.5 + 1e-6
    assert abs(crop.top + crop.side / 2 - top - height / 2) <= 0.5 + 1e-6


def test_the_next_crop_holds_the_circle_around_the_body(found):
    centre, far = found.auxiliary[:2]
    crop = next_crop(found)
    radius = np.hypot(*(far - centre))
    assert crop.side == round(2.5 * radius)
    assert np.abs(np.array([crop.left, crop.top]) + crop.side / 2 - centre).max() <= 0.5
    still = dataclasses.replace(found, auxiliary=np.zeros((6, 2)))
    assert next_crop(still).side == 1


def loops(shares, heatmaps, size, least):
    """The reference's own loops over cells, with the missing check of rows put in."""
    out, (_, height, width) = shares.copy(), heatmaps.shape
    for k in range(len(shares)):
        column, row = int(np.floor(shares[k, 0] * width)), int(np.floor(shares[k, 1] * height))
        if column < 0 or column >= width or row < 0 or row >= height:
            continue
        total = x = y = best = 0.0
        for r in range(row - size // 2, row + size // 2 + 1):
            for c in range(column - size // 2, column + size // 2 + 1):
                if 0 <= r < height and 0 <= c < width:
                    value = float(heatmaps[k, r, c])
                    total, x, y, best = total + value, x + c * value, y + r * value, max(best, value)
        if best >= least and total > 0:
            out[k] = x / width / total, y / height / total
    return out


@given(st.integers(0, 10_000), st.sampled_from([1, 3, 7, 31]), st.sampled_from([0.0, 0.5, 0.97]))
@settings(max_examples=40)
def test_landmarks_move_to_the_mass_around_them(seed, size, least):
    rng = np.random.default_rng(seed)
    shares, heatmaps = rng.uniform(-0.1, 1.1, (9, 2)), rng.random((9, 12, 17)).astype(np.float32)
    heatmaps[0] = 0
    shares[1] = 1.0, 0.5
    shares[2] = 0.5, 1.0  # below the last row: kept
    got = refine_landmarks(shares, heatmaps, neighbourhood=size, least=least)
    assert got == pytest.approx(loops(shares, heatmaps, size, least), abs=1e-12)
    assert (got[2] == shares[2]).all()


def test_refinement_is_the_references(found, receipt):
    shares = (found.landmarks[:, :2] - (-187, -29)) / 761
    expected = loops(shares, found.heatmaps[:33], 7, 0.5) * 761 + (-187, -29)
    receipt(
        estimate_pose,
        "refined",
        found.refined,
        expected,
        reference="the loops of MediaPipe's calculator",
        tolerance=1e-9,
    )
    assert not np.allclose(found.refined, found.landmarks[:, :2])


def test_names_are_complete():
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 33
    assert (len(AUXILIARY), len(HEATMAPS)) == (6, 39)
    assert all(0 <= a < 33 and 0 <= b < 33 and a != b for a, b in SKELETON)
    assert len(set(SKELETON)) == 35
    sides = [(LANDMARKS[a], LANDMARKS[b]) for a, b in SKELETON]
    mirror = {
        name: name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right") for name in LANDMARKS
    }
    assert all((mirror[a], mirror[b]) in sides or (mirror[b], mirror[a]) in sides for a, b in sides)
    assert {name for pair in sides for name in pair} == set(LANDMARKS)


def test_mistakes_are_named(network):
    image = np.zeros((10, 20, 3), np.uint8)
    with pytest.raises(TypeError, match="image must hold bytes"):
        estimate_pose(network, image.astype(float))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        estimate_pose(network, image[..., 0])
    for side in (0, 161):
        with pytest.raises(ValueError, match=f"side from 1 to 160 px here, got {side}"):
            pose_input(image, Crop(0, 0, side))
    for size in ((0, 4), (4, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            whole_crop(*size)
    for box in ((0, 0, 0, 4), (0, 4, 4, 4), (0, 0, float("inf"), 4), (0, 0, float("nan"), 4)):
        with pytest.raises(ValueError, match="box_xyxy must hold something"):
            box_crop(box)
    with pytest.raises(ValueError, match="reach be at least 1"):
        box_crop((0, 0, 4, 4), reach=0.9)
    with pytest.raises(ValueError, match=r"shares must be \(n, 2\)"):
        refine_landmarks(np.zeros((2, 2)), np.zeros((3, 4, 4), np.float32))
    for wrong in (0, 4):
        with pytest.raises(ValueError, match="odd and at least 1"):
            refine_landmarks(np.zeros((1, 2)), np.zeros((1, 4, 4), np.float32), neighbourhood=wrong)
    other = read_graph(
        {**DOCUMENT, "outputs": {"landmarks": "landmarks"}}, load_file(MODEL.with_suffix(".safetensors"))
    )
    with pytest.raises(ValueError, match="network must answer heatmap_logits"):
        estimate_pose(other, image)
