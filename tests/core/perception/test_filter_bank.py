import math

import numpy as np
import pytest
import torch

from core.perception.filter_bank import filter_bank, filter_features
from tests.oracles import pooling as oracle


def picture(h, w, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


@pytest.mark.parametrize(("orientations", "sigma"), [(4, 2.0), (1, 0.5), (6, 3.3)])
def test_kernels_are_those_of_a_loop_over_cells(orientations, sigma, receipt):
    bank = filter_bank(orientations=orientations, sigma=sigma)
    assert bank.size == 2 * math.ceil(3 * sigma) + 1
    assert bank.sigma == sigma
    directions = [180 * i / orientations for i in range(orientations)]
    wanted = [("blur", None), ("blob", None)] + [(kind, d) for kind in ("edge", "bar") for d in directions]
    assert [(name.kind, name.degrees) for name in bank.names] == wanted
    expected = np.stack([oracle.filter_kernel(kind, degrees, sigma) for kind, degrees in wanted])
    receipt(filter_bank, "weight", bank.kernels[:, 0], expected, reference="loop over cells", tolerance=1e-7)


def test_kernels_sum_to_nothing_and_their_sizes_to_one():
    kernels = filter_bank(orientations=5, sigma=2.5).kernels.double()
    assert kernels.abs().sum((1, 2, 3)) == pytest.approx(np.ones(12), abs=1e-6)
    assert kernels.sum((1, 2, 3)).numpy() == pytest.approx([1] + [0] * 11, abs=1e-6)


@pytest.mark.parametrize(("padding", "activation"), [("half", "relu"), ("half", "none"), ("none", "none")])
@pytest.mark.parametrize(("h", "w", "stride"), [(40, 33, 4), (27, 31, 8), (14, 14, 1)])
def test_responses_are_those_of_a_loop_over_pixels(h, w, stride, padding, activation, receipt):
    image = picture(h, w)
    got = filter_features(image, stride=stride, orientations=3, sigma=1.5, padding=padding, activation=activation)
    half = 5
    first = 0 if padding == "half" else half
    rows = range(first, h - first, stride)
    columns = range(first, w - first, stride)
    receipt(filter_features, "map_height", got.height, len(rows), reference="counting the pixels looked at")
    receipt(filter_features, "map_width", got.width, len(columns), reference="counting the pixels looked at")
    assert (got.first_centre, got.offset0, got.receptive_field, got.stride) == (first, first + 1, 11, stride)
    assert (got.image_height, got.image_width) == (h, w)
    for c, name in list(enumerate(got.names))[::2]:
        kernel = oracle.filter_kernel(name.kind, name.degrees, 1.5)
        for i, j in ((0, 0), (len(rows) - 1, len(columns) - 1), (len(rows) // 2, len(columns) // 3)):
            expected = oracle.response(image, kernel, rows[i], columns[j])
            expected = max(expected, 0) if activation == "relu" else expected
            value = got.features[0, c, i, j].item()
            receipt(filter_features, "response", value, expected, reference="loop over pixels", tolerance=1e-6)


def test_edges_answer_to_their_own_direction_and_sign():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    names = {(n.kind, n.degrees): i for i, n in enumerate(filter_features(image).names)}
    here = filter_features(image, stride=4, sigma=2.0, activation="none").features[0, :, 8, 8]
    assert here[names["edge", 0.0]] > 0.4
    assert abs(here[names["edge", 90.0]]) < 1e-6
    down = filter_features(np.rot90(image, -1).copy(), stride=4, sigma=2.0, activation="none").features[0, :, 8, 8]
    assert down[names["edge", 90.0]] > 0.4
    back = filter_features(image[:, ::-1].copy(), stride=4, sigma=2.0, activation="none").features[0, :, 8, 8]
    assert back[names["edge", 0.0]] < -0.4


def test_flat_pictures_answer_with_their_brightness_only():
    for value in (0, 255, 128):
        got = filter_features(np.full((50, 41, 3), value, np.uint8), activation="none").features
        assert got[0, 0].numpy() == pytest.approx(value / 255, abs=1e-5)
        assert got[0, 1:].abs().max() < 1e-5
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = 255
    assert filter_features(red).features[0, 0] == pytest.approx(0.299, abs=1e-5)


def test_the_width_follows_the_stride():
    assert filter_features(picture(70, 70), stride=16).receptive_field == 25
    assert filter_features(picture(70, 70), stride=1).receptive_field == 7
    assert filter_features(picture(1, 1), stride=16).features.shape == (1, 10, 1, 1)


def test_other_memory_layouts_and_the_argument():
    image = picture(30, 50)
    before = image.copy()
    expected = filter_features(image).features
    turned = np.asfortranarray(image)
    assert torch.equal(filter_features(turned).features, expected)
    assert filter_features(image[:, ::-1]).features.shape == expected.shape
    assert np.array_equal(image, before)


def test_mistakes_are_named():
    image = picture(20, 20)
    with pytest.raises(TypeError, match="image must be uint8 RGB"):
        filter_features(image / 255)
    for bad in (image[..., 0], image[..., :2], image[:0]):
        with pytest.raises(ValueError, match=r"image must be \(height, width, 3\)"):
            filter_features(bad)
    for bad in (0, -4, 2.5, True):
        with pytest.raises(ValueError, match="stride must be a whole number"):
            filter_features(image, stride=bad)
    with pytest.raises(ValueError, match="image must be at least 25×25 px"):
        filter_features(image, stride=16, padding="none")
    with pytest.raises(ValueError, match="padding must be one of"):
        filter_features(image, padding="zero")
    with pytest.raises(ValueError, match="activation one of"):
        filter_features(image, activation="gelu")
    for bad in (0, 1.5, True):
        with pytest.raises(ValueError, match="orientations must be"):
            filter_bank(orientations=bad)
    for bad in (0.4, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"sigma must be at least 0\.5"):
            filter_bank(sigma=bad)
