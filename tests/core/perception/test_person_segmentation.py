import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.perception.graph_network import read_graph, run_graph
from core.perception.person_segmentation import (
    answers_to,
    check_photo,
    enlarged,
    segment_person,
    segmentation_input,
    squeezed,
)
from tests.oracles.litert import litert_maps

MODEL = Path(__file__).parents[3] / "assets" / "models" / "person_segmentation"
DOCUMENT = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))


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
    return read_graph(DOCUMENT, weights, dtype=torch.float64)


@pytest.fixture(scope="module")
def photo():
    return pytest.importorskip("skimage.data").astronaut()


def test_pixels_that_fall_together_are_averaged(photo, receipt):
    got = squeezed(photo)[0].permute(1, 2, 0)
    blocks = photo.reshape(256, 2, 256, 2, 3).astype(float).mean((1, 3)) / 255
    half = 0.5 / 255 + 1e-6  # bytes are rounded
    receipt(squeezed, "pixels", got, blocks, reference="mean of 2 × 2 pixels", tolerance=half)
    same = photo[:256, :256]
    receipt(squeezed, "pixels", squeezed(same)[0].permute(1, 2, 0), same / 255, reference="bytes / 255", tolerance=1e-7)
    for shape in ((1, 1), (30, 500), (2000, 97)):
        got = segmentation_input(np.full((*shape, 3), 51, np.uint8))
        assert got.shape == (1, 3, 256, 256)
        assert got.unique().tolist() == pytest.approx([0.2])
    turned = photo[:, ::-1]
    assert torch.equal(segmentation_input(turned), segmentation_input(np.ascontiguousarray(turned)))


def test_small_pictures_are_interpolated_between_pixel_centres(receipt):
    row = np.repeat(np.array([[0, 100, 200, 40]], np.uint8)[..., None], 3, axis=2)
    places = np.clip((np.arange(256) + 0.5) * 4 / 256 - 0.5, 0, 3)
    expected = np.interp(places, np.arange(4), row[0, :, 0]) / 255
    receipt(squeezed, "pixels", squeezed(row)[0, 0, 0], expected, reference="numpy.interp", tolerance=1 / 255)
    back = enlarged(row[..., 0].astype(np.float32), 256, 1)[0] / 255
    receipt(enlarged, "values", back, expected, reference="numpy.interp", tolerance=1e-6)


def test_the_mask_is_the_networks_answer_at_the_pictures_size(network, photo, receipt):
    wide = cv2.resize(photo, (700, 300))
    found = segment_person(network, wide)
    small = run_graph(network, segmentation_input(wide).double()).outputs["mask"][0, 0].numpy()
    receipt(segment_person, "small", found.small, small, reference="the network, run by hand", tolerance=1e-6)
    torchs = torch.nn.functional.interpolate(torch.from_numpy(small)[None, None], size=(300, 700), mode="bilinear")
    receipt(segment_person, "probability", found.probability, torchs[0, 0], reference="torch", tolerance=1e-3)
    assert found.probability.shape == found.mask.shape == (300, 700)
    assert (found.mask == (found.probability >= 0.5)).all()
    assert 0 <= found.probability.min() <= found.probability.max() <= 1


def test_a_person_is_found_where_she_is(network, photo):
    found = segment_person(network, photo)
    for x, y in ((224, 100), (224, 40), (200, 300), (100, 400), (300, 280)):  # face, hair, suit, sleeve
        assert found.mask[y, x]
    for x, y in ((20, 60), (420, 120), (340, 60), (60, 30)):  # flag, rocket, wall
        assert not found.mask[y, x]
    assert 0.4 < found.mask.mean() < 0.6
    mirrored = segment_person(network, photo[:, ::-1]).mask[:, ::-1]
    both, either = (mirrored & found.mask).sum(), (mirrored | found.mask).sum()
    assert both / either > 0.95
    squeezed_too = segment_person(network, cv2.resize(photo, (640, 360), interpolation=cv2.INTER_AREA)).mask
    again = cv2.resize(squeezed_too.astype(np.uint8), (512, 512), interpolation=cv2.INTER_NEAREST) > 0
    assert (again & found.mask).sum() / (again | found.mask).sum() > 0.95


def test_nobody_is_found_in_an_empty_picture(network):
    for value in (0, 127, 255):
        assert segment_person(network, np.full((64, 64, 3), value, np.uint8)).mask.mean() < 0.05


def test_the_photo_through_litert(photo, weights, network, receipt):
    pytest.importorskip("ai_edge_litert", reason="LiteRT has no build for this system")
    arrays = {name: w.numpy() for name, w in weights.items()}
    theirs = litert_maps(DOCUMENT, arrays, segmentation_input(photo).numpy())["mask"][0, 0]
    ours = segment_person(network, photo).small
    receipt(segment_person, "small", ours, theirs, reference="ai-edge-litert", tolerance=2e-4)


def test_the_network_answers_in_its_own_type(weights, photo):
    single, double = (read_graph(DOCUMENT, weights, dtype=t) for t in (torch.float32, torch.float64))
    x = segmentation_input(photo)
    assert answers_to(single, x)["mask"].dtype == torch.float32
    assert answers_to(double, x)["mask"].dtype == torch.float64
    a, b = (segment_person(network, photo).probability for network in (single, double))
    assert a.dtype == b.dtype == np.float32
    assert np.abs(a - b).max() < 1e-3
    before = photo.copy()
    segment_person(single, photo)
    assert (photo == before).all()


def test_mistaken_pictures_and_networks_are_named(network):
    with pytest.raises(TypeError, match="image must hold bytes, got float64"):
        segment_person(network, np.zeros((4, 4, 3)))
    for shape in ((4, 4), (4, 4, 4), (0, 4, 3)):
        for function in (check_photo, squeezed, segmentation_input):
            with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
                function(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="at least 1, got 0 and 4"):
        enlarged(np.zeros((2, 2), np.float32), 0, 4)
    other = read_graph({**DOCUMENT, "outputs": {"person": "mask"}}, load_file(MODEL.with_suffix(".safetensors")))
    with pytest.raises(ValueError, match="must answer 'mask', got person"):
        segment_person(other, np.zeros((4, 4, 3), np.uint8))
