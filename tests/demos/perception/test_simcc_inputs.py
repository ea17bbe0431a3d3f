"""demos.perception.simcc_inputs: pictures, ways and codecs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from demos.kit.drawings import write_way
from demos.kit.upload_errors import UploadError
from demos.perception.simcc import Controls
from demos.perception.simcc_inputs import MOST_STEPS, SIZES, STEPS, codec_of, margin_of, subject_of


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("source", ["figure", "coffee", "rocket"])
def test_every_picture_fits_every_input(source: str, size: str) -> None:
    subject = subject_of(Controls(source=source, input=size))
    assert subject.image.shape == (SIZES[size][1], SIZES[size][0], 3)
    assert subject.way.shape == (STEPS, 2)
    assert ((subject.way >= 0) & (subject.way < SIZES[size])).all()


def test_a_visitors_way_is_taken_as_it_is() -> None:
    places = np.array([[5000, 2500], [5010, 2490], [9999, 0]])
    subject = subject_of(Controls(way=write_way(places)))
    assert (subject.places == places).all()
    assert np.allclose(subject.way, places / 10_000 * (192, 256))
    long = np.stack([np.arange(300), np.arange(300)], axis=1)
    assert (subject_of(Controls(way=write_way(long))).places == long[-MOST_STEPS:]).all()
    with pytest.raises(UploadError):
        subject_of(Controls(way="1.2.3"))


def test_uploads_are_cut_to_the_input(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)).save(path)
    subject = subject_of(Controls(source="files", photo=(str(path),)))
    assert subject.image.shape == (256, 192, 3)
    assert subject.way[-1] == pytest.approx((96, 128), abs=0.02)
    Image.fromarray(np.zeros((8, 90, 3), np.uint8)).save(path)
    with pytest.raises(UploadError) as caught:
        subject_of(Controls(source="files", photo=(str(path),)))
    assert caught.value.code == "photo_too_small"
    with pytest.raises(UploadError) as caught:
        subject_of(Controls(source="files"))
    assert caught.value.code == "no_photo"


def test_codecs_say_what_the_controls_say() -> None:
    c = Controls(input="64x64", sigma=1.5, center="exact", border="mmpose", beta=3.0, split_ratio=1.5, smoothing=0.2)
    codec = codec_of(c)
    assert (codec.input_size, codec.sigma, codec.center, codec.border) == ((64, 64), 1.5, "exact", "mmpose")
    assert (codec.beta, codec.split_ratio, codec.smoothing, codec.simcc_sigma) == (3.0, 1.5, 0.2, None)
    assert codec_of(replace(c, bins="gaussian")).simcc_sigma == 6.0
    assert codec_of(replace(c, bins="gaussian")).simcc_decoder == "argmax"
    star = codec_of(replace(c, bins="gaussian_dark"))
    assert (star.simcc_center, star.simcc_decoder) == ("exact", "dark")
    assert margin_of(codec) == 16
    assert margin_of(codec_of(Controls())) == 24
