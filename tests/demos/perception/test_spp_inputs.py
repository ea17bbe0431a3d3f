"""spp_inputs: photos at any size, decoded once; arrays of features; levels and boxes as visitors write them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.perception.graph_network import run_graph
from demos.kit.upload_errors import UploadError
from demos.perception import spp_inputs
from demos.perception.person_network import ENCODER_MAPS, network
from demos.perception.spatial_pyramid_pooling import Controls
from demos.perception.spp_inputs import box_of, canvas_of, inputs_of, levels_of, pixels_of


@pytest.mark.parametrize(
    ("text", "levels"), [("1, 2, 4", (1, 2, 4)), ("6 3 2 1", (6, 3, 2, 1)), (" 8,", (8,)), ("2,,2", (2, 2))]
)
def test_levels_are_read(text: str, levels: tuple[int, ...]) -> None:
    assert levels_of(text) == levels


@given(st.text("0123456789, ", max_size=40))
def test_any_text_is_levels_or_one_sentence(text: str) -> None:
    found = [int(part) for part in text.replace(",", " ").split()]
    if 1 <= len(found) <= spp_inputs.MOST_LEVELS and all(1 <= n <= spp_inputs.FINEST for n in found):
        assert levels_of(text) == tuple(found)
    else:
        with pytest.raises(UploadError) as caught:
            levels_of(text)
        assert caught.value.code == "levels_unreadable"


@pytest.mark.parametrize("source", ["coffee", "rocket", "tiles"])
@pytest.mark.parametrize("padding", ["none", "half"])
def test_examples_have_the_size_asked_for(source: str, padding: str) -> None:
    inputs = inputs_of(Controls(source=source, width=300, height=160, padding=padding))  # type: ignore[arg-type]
    assert canvas_of(inputs) == (160, 300)
    assert inputs.size == ((10, 19) if padding == "half" else (9, 18))
    assert inputs.features.isfinite().all()
    assert inputs.corner == (-7.5 if padding == "half" else 4.5)


def test_signed_features_are_those_before_the_relu() -> None:
    plain, signed = inputs_of(Controls()).features, inputs_of(Controls(features="signed")).features
    assert (signed < 0).any()
    assert (signed.relu() == plain).all()


def test_an_upload_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.png"
    noise = np.random.default_rng(0).integers(0, 255, (900, 1200, 3), np.uint8)
    Image.fromarray(noise).save(path)
    calls: list[str] = []
    read = spp_inputs.read_image

    def counted(name: str, *, max_pixels: int):
        calls.append(name)
        return read(name, max_pixels=max_pixels)

    monkeypatch.setattr(spp_inputs, "read_image", counted)
    for width in (224, 228, 240):
        inputs = inputs_of(Controls(source="photo", photo=(str(path),), width=width))
        assert inputs.notes
    assert len(calls) == 1
    time.sleep(0.01)
    Image.fromarray(noise[::-1]).save(path)  # another picture under the same name is another picture
    inputs_of(Controls(source="photo", photo=(str(path),)))
    assert len(calls) == 2


def array(folder: Path, values: np.ndarray) -> Controls:
    path = folder / "features.npy"
    np.save(path, values)
    return Controls(source="array", feature_file=(str(path),))


@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (1, 3, 7, 9)])
def test_arrays_are_taken_as_they_are(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    inputs = inputs_of(array(tmp_path, values))
    assert inputs.photo is None
    assert inputs.size == (7, 9)
    assert inputs.features.flatten().tolist() == values.ravel().tolist()
    assert canvas_of(inputs) == (112, 144)
    assert pixels_of(inputs, (0, 0, 9, 7)) == (0, 0, 144, 112)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.zeros((2, 2, 7, 9)), "feature_shape"),
        (np.zeros(7), "feature_shape"),
        (np.zeros((33, 4, 4)), "feature_shape"),
        (np.zeros((1, 4, 65)), "feature_shape"),
        (np.zeros((2, 0, 5)), "feature_shape"),
        (np.full((1, 5, 5), np.nan), "features_not_finite"),
        (np.array([[[1, np.inf]] * 4] * 2), "features_not_finite"),
        (np.ones((1, 5, 5), complex), "not_numeric"),
        (np.ones((1, 3, 9)), "map_too_small"),
    ],
)
def test_arrays_that_cannot_be_pooled_are_refused(tmp_path: Path, values: np.ndarray, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        inputs_of(array(tmp_path, values))
    assert caught.value.code == code


def test_the_first_of_several_arrays_is_named(tmp_path: Path) -> None:
    path = tmp_path / "several.npz"
    np.savez(path, a=np.ones((1, 5, 5)), b=np.zeros((1, 5, 5)))
    inputs = inputs_of(Controls(source="array", feature_file=(str(path),)))
    assert [note.code for note in inputs.notes] == ["first_array_only"]


def test_boxes_count_their_last_pixel() -> None:
    assert box_of("10,20,30,40", (100, 100)) == (10, 20, 29, 39)
    assert box_of("", (100, 200)) == (60, 30, 139, 69)
    with pytest.raises(UploadError):
        box_of("1,2,3", (100, 100))


@pytest.mark.parametrize(
    ("name", "channels", "cells"), [("stride4", 16, 64), ("stride8", 24, 32), ("stride16", 32, 16)]
)
def test_a_networks_maps_can_be_pooled(name: str, channels: int, cells: int) -> None:
    """What the person network makes of the picture, squeezed to the square that it sees."""
    inputs = inputs_of(Controls(source="rocket", features=name, width=100, height=50, stride=4, padding="half"))
    assert inputs.photo is not None
    assert inputs.photo.shape == (256, 256, 3)
    assert inputs.features.shape == (1, channels, cells, cells)
    assert inputs.stride == 256 // cells
    assert inputs.names == ()
    asked = network("person_segmentation")
    x = torch.from_numpy(inputs.photo.copy()).permute(2, 0, 1)[None].float() / 255
    expected = run_graph(asked, x.double()).maps[ENCODER_MAPS[name]]
    assert torch.equal(inputs.features, expected.float())
    assert not inputs.features.is_inference()
    left, top, right, bottom = pixels_of(inputs, (0, 0, cells, cells))
    assert left == top
    assert abs((left + right) / 2 - 128) <= inputs.stride
    assert bottom - top == 256


def test_a_small_picture_is_enlarged_for_the_network(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path)
    inputs = inputs_of(Controls(source="photo", photo=(str(path),), features="stride16", levels="4, 2"))
    assert inputs.photo is not None
    assert (inputs.photo == 90).all()
    with pytest.raises(UploadError) as caught:
        inputs_of(Controls(source="photo", features="stride16"))
    assert caught.value.code == "no_photo"
