"""Truth and prediction from every place they can come from: real files, painting, degrading, OpenCV."""

from __future__ import annotations

import contextlib
import zipfile
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demos.kit.controls import spec_of
from demos.kit.drawings import write_painting
from demos.kit.text import LANGUAGES
from demos.kit.upload_errors import UploadError
from demos.kit.video import write_video
from demos.perception.segmentation_inputs import PHOTOS, Pairs, _segmented, pairs_of
from demos.perception.segmentation_metrics import DEMO, Controls

OPTIONS = {name: spec_of(Controls.__dataclass_fields__[name]).options for name in ("source", "predictor")}
TRUTH = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 2, 2, 0]], np.uint8)
GUESS = np.array([[0, 1, 1, 1], [0, 2, 0, 1], [0, 2, 2, 0]], np.uint8)
COLORS = np.array([[0, 0, 0], [200, 30, 40], [20, 90, 230]], np.uint8)


def grey(path: Path, labels: np.ndarray) -> str:
    Image.fromarray(labels).save(path)
    return str(path)


def indexed(path: Path, labels: np.ndarray) -> str:
    image = Image.fromarray(labels, mode="P")
    image.putpalette(COLORS.ravel().tolist())
    image.save(path)
    return str(path)


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def uploaded(truth: Any, prediction: Any = (), **options: Any) -> Controls:
    def paths(files: Any) -> tuple[str, ...]:
        return (files,) if isinstance(files, str) else tuple(files)

    predictor = options.pop("predictor", "given")
    return Controls(
        source="files", predictor=predictor, truth_files=paths(truth), prediction_files=paths(prediction), **options
    )


def refused(controls: Controls, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        pairs_of(controls)
    assert caught.value.code == code
    for language in LANGUAGES:
        assert caught.value.sentence(language)


def codes(pairs: Any) -> list[str]:
    return [note.code for note in pairs.notes]


# -- every source with every predictor ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "predictor"), list(product(OPTIONS["source"], OPTIONS["predictor"])))
def test_every_combination_is_a_view_or_a_sentence(source: str, predictor: str) -> None:
    controls = Controls(source=source, predictor=predictor)
    if source == "files":
        return refused(controls, "nothing_uploaded")
    if source not in PHOTOS and predictor == "person":
        return refused(controls, "photo_needed")
    if source == "clip" and predictor not in ("degrade", "given"):
        return refused(controls, "one_picture_only")
    if source not in PHOTOS and predictor in ("grabcut", "kmeans", "watershed"):
        return refused(controls, "photo_needed")
    result = DEMO.run(controls)
    assert len(result.steps) == len(result.pairs.targets) == len(result.pairs.predictions)
    for target, prediction in zip(result.pairs.targets, result.pairs.predictions, strict=True):
        assert target.shape == prediction.shape == result.pairs.size
    for language in LANGUAGES:
        assert DEMO.show(result, DEMO.text(language)).scene.panes


@pytest.mark.parametrize("name", PHOTOS)
def test_bundled_truths_fit_their_photographs(name: str) -> None:
    pairs = pairs_of(Controls(source=name, predictor="given"))
    assert pairs.photo is not None
    assert pairs.photo.shape[:2] == pairs.size
    assert set(np.unique(pairs.targets[0])) == set(range(PHOTOS[name]))
    assert codes(pairs) == ["prediction_is_truth"]
    assert pairs.predictions is pairs.targets or (pairs.predictions[0] == pairs.targets[0]).all()


# -- files ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["grey", "indexed", "npy", "npz", "mixed"])
def test_masks_are_read_as_they_were_saved(tmp_path: Path, kind: str) -> None:
    def write(name: str, labels: np.ndarray) -> str:
        if kind == "grey" or (kind == "mixed" and name == "t"):
            return grey(tmp_path / f"{name}.png", labels)
        if kind == "indexed":
            return indexed(tmp_path / f"{name}.png", labels)
        if kind == "npz":
            np.savez(tmp_path / f"{name}.npz", labels=labels)
            return str(tmp_path / f"{name}.npz")
        return saved(tmp_path / f"{name}.npy", labels.astype(np.int64))

    pairs = pairs_of(uploaded(write("t", TRUTH), write("p", GUESS)))
    assert (pairs.targets[0] == TRUTH).all()
    assert (pairs.predictions[0] == GUESS).all()
    assert pairs.num_classes == 3
    assert pairs.ignore_index == 255
    if kind == "indexed":
        assert pairs.colors is not None
        assert (pairs.colors[:3] == COLORS).all()


def test_several_files_are_one_data_set_in_natural_order(tmp_path: Path) -> None:
    frames = [np.full((3, 4), k, np.uint8) for k in range(3)]
    names = ("m2", "m10", "m1")  # by number: 1, 2, 10
    truth = [
        grey(tmp_path / f"{name}.png", frame)
        for name, frame in zip(names, (frames[1], frames[2], frames[0]), strict=True)
    ]
    pairs = pairs_of(uploaded(truth))
    assert [int(frame[0, 0]) for frame in pairs.targets] == [0, 1, 2]
    assert codes(pairs) == ["prediction_is_truth"]
    assert len(DEMO.run(uploaded(truth)).steps) == 3


def test_an_archive_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "frames.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k, labels in enumerate((TRUTH, GUESS)):
            archive.write(grey(tmp_path / f"{k}.png", labels), f"{k}.png")
    pairs = pairs_of(uploaded(str(path)))
    assert (pairs.targets[0] == TRUTH).all()
    assert (pairs.targets[1] == GUESS).all()


def test_a_stack_of_masks(tmp_path: Path) -> None:
    stack = np.stack([TRUTH, GUESS, TRUTH])
    pairs = pairs_of(uploaded(saved(tmp_path / "t.npy", stack), saved(tmp_path / "p.npy", stack[::-1].copy())))
    assert len(pairs.targets) == 3
    assert all((p == t).all() for p, t in zip(pairs.predictions, stack[::-1], strict=True))


def test_videos_of_masks(tmp_path: Path) -> None:
    """H.264 smears flat colours; regions of some size come back exactly, with their times."""
    labels = np.zeros((6, 96, 128), np.uint8)
    for k in range(6):
        labels[k, 20:70, 16 + 8 * k : 64 + 8 * k] = 1
    path = tmp_path / "masks.mp4"
    write_video(np.array([[0, 0, 0], [255, 255, 255]], np.uint8)[labels], path, rate=5)
    pairs = pairs_of(uploaded(str(path), ignore_index=-1))
    assert len(pairs.targets) == 6
    assert pairs.times is not None
    assert np.allclose(np.diff(pairs.times), 0.2, atol=1e-3)
    wrong = np.mean([(t != frame).mean() for t, frame in zip(pairs.targets, labels, strict=True)])
    assert wrong < 0.01
    result = DEMO.run(uploaded(str(path), ignore_index=-1))
    view = DEMO.show(result, DEMO.text("zh"))
    assert view.scene.step_names[1] == "0.20 s"


def test_a_palette_gives_numbers_names_and_colours(tmp_path: Path) -> None:
    path = tmp_path / "palette.csv"
    path.write_text("200 30 40 sky\n20 90 230 sea\n0 0 0 land\n", encoding="utf-8")
    Image.fromarray(COLORS[TRUTH]).save(tmp_path / "t.png")
    pairs = pairs_of(uploaded(str(tmp_path / "t.png"), palette=(str(path),)))
    assert pairs.names is not None
    assert pairs.names[:3] == ("sky", "sea", "land")
    assert (pairs.targets[0] == np.array([2, 0, 1])[TRUTH]).all()
    assert pairs.colors is not None
    assert (pairs.colors[:3] == COLORS[[1, 2, 0]]).all()


def test_colours_without_a_palette_are_guessed_and_said(tmp_path: Path) -> None:
    Image.fromarray(COLORS[TRUTH]).save(tmp_path / "t.png")
    pairs = pairs_of(uploaded(str(tmp_path / "t.png")))
    assert "guessed_classes" in codes(pairs)
    assert (np.unique(pairs.targets[0]) == [0, 1, 2]).all()


def test_an_ignored_label_is_no_class(tmp_path: Path) -> None:
    labels = TRUTH.copy()
    labels[0, 0] = 255
    pairs = pairs_of(uploaded(grey(tmp_path / "t.png", labels)))
    assert pairs.num_classes == 3
    assert DEMO.run(uploaded(grey(tmp_path / "t.png", labels))).total.confusion.sum() == 11
    assert (
        pairs_of(
            uploaded(grey(tmp_path / "u.png", np.where(TRUTH == 1, 7, TRUTH).astype(np.uint8)), ignore_index=7)
        ).num_classes
        == 3
    )


def test_wrong_files_are_told(tmp_path: Path) -> None:
    small, large = grey(tmp_path / "a.png", TRUTH), grey(tmp_path / "b.png", np.zeros((5, 4), np.uint8))
    refused(uploaded(small, large), "sizes_differ")
    refused(uploaded([small, large]), "frame_size_differs")
    refused(uploaded([small, small], small), "lengths_differ")
    refused(uploaded(str(tmp_path / "nowhere.png")), "missing_file")
    (tmp_path / "empty.png").touch()
    refused(uploaded(str(tmp_path / "empty.png")), "empty_file")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    refused(uploaded(str(tmp_path / "text.png")), "not_an_image")
    Image.fromarray(COLORS[TRUTH]).save(tmp_path / "c.jpg")
    refused(uploaded(str(tmp_path / "c.jpg")), "jpeg_mask_refused")
    refused(uploaded(saved(tmp_path / "f.npy", TRUTH / 3)), "not_labels")
    refused(uploaded(saved(tmp_path / "many.npy", np.array([[0, 300]]))), "too_many_classes")
    refused(uploaded(small, predictor="kmeans"), "photo_needed")
    refused(uploaded([small, small], predictor="paint"), "one_picture_only")


def test_labels_below_zero_are_wrong_in_the_truth_and_other_in_the_prediction(tmp_path: Path) -> None:
    path = saved(tmp_path / "n.npy", np.where(TRUTH == 1, np.int16(-1), TRUTH))
    refused(uploaded(path), "label_out_of_range")
    result = DEMO.run(uploaded(saved(tmp_path / "t.npy", TRUTH), path))
    assert result.total.confusion[:, -1].tolist() == [0, 3, 0]


# -- a photograph, painted -----------------------------------------------------------------------------------------------------


@pytest.fixture
def photo(tmp_path: Path) -> str:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 40, (30, 40, 3), np.uint8)
    picture[8:22, 10:30] += 180
    path = tmp_path / "photo.png"
    Image.fromarray(picture).save(path)
    return str(path)


def test_a_photograph_alone_is_painted_on(photo: str) -> None:
    empty = pairs_of(Controls(source="files", predictor="degrade", painter="truth", photo=(photo,)))
    assert empty.size == (30, 40)
    assert empty.num_classes == 2
    assert not empty.targets[0].any()
    assert empty.painting is not None
    drawn = np.zeros((30, 40), np.uint8)
    drawn[8:22, 10:30] = 3
    controls = Controls(source="files", painter="truth", photo=(photo,), truth_painted=write_painting(drawn))
    pairs = pairs_of(replace(controls, predictor="grabcut", box="6,5,35,26"))
    assert (pairs.targets[0] == drawn).all()
    assert pairs.num_classes == 4  # a painted class counts even if fewer were asked for
    assert (pairs.predictions[0] == drawn).mean() > 0.95


def test_a_painted_prediction_is_the_prediction(photo: str) -> None:
    drawn = np.zeros((400, 600), np.uint8)
    drawn[50:90, 60:200] = 4
    pairs = pairs_of(Controls(predictor="paint", painted=write_painting(drawn)))
    assert (pairs.predictions[0] == drawn).all()
    assert pairs.painting is not None
    assert (pairs.painting == drawn).all()
    other = pairs_of(
        Controls(predictor="paint", painted=write_painting(drawn.T))
    )  # painted on another picture: put aside
    assert not other.predictions[0].any()
    assert [note.code for note in other.notes] == ["drawing_put_aside"]
    refused(Controls(predictor="paint", painted="rubbish"), "drawing_broken")


def test_a_photograph_is_fitted_to_its_masks_or_refused(photo: str, tmp_path: Path) -> None:
    mask = grey(tmp_path / "m.png", np.zeros((60, 80), np.uint8))
    pairs = pairs_of(uploaded(mask, photo=(photo,)))
    assert pairs.photo is not None
    assert pairs.photo.shape == (60, 80, 3)
    refused(uploaded(grey(tmp_path / "n.png", np.zeros((60, 60), np.uint8)), photo=(photo,)), "photo_proportions")


@pytest.mark.parametrize(
    ("box", "code"),
    [
        ("0,0,600,400", "box_too_large"),
        ("-10,-10,999,999", "box_too_large"),
        ("0.4,0,600,399.7", "box_too_large"),  # a pixel of the copy that is segmented is wider than what is left
        ("10.4,10.4,11.5,11.5", "box_too_small"),
        ("1,1,2", "drawing_broken"),
        ("5,5,5.5,5.5", "drawing_broken"),
        ("nan,0,1,1", "drawing_broken"),
    ],
)
def test_boxes_without_an_inside_or_an_outside_are_told(box: str, code: str) -> None:
    refused(Controls(predictor="grabcut", box=box), code)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(*[st.floats(-20, 660).map(lambda v: round(v, 1))] * 4)
def test_any_box_is_a_prediction_or_a_sentence(a: float, b: float, c: float, d: float) -> None:
    text, picture = (
        f"{a},{b},{c},{d}",
        Pairs((np.zeros((43, 640), np.uint8),), (), np.zeros((43, 640, 3), np.uint8), 2, 255),
    )
    controls = Controls(predictor="grabcut", box=text)
    with contextlib.suppress(UploadError):
        assert _segmented(picture, controls).shape == (43, 640)


@pytest.mark.parametrize("predictor", ["grabcut", "kmeans", "watershed"])
def test_tiny_photographs_are_told(tmp_path: Path, predictor: str) -> None:
    for size, code in (((1, 1), "photo_too_small"), ((15, 90), "photo_too_small"), ((16, 16), "")):
        path = tmp_path / f"{size[0]}.png"
        Image.fromarray(np.arange(size[0] * size[1] * 3, dtype=np.uint16).astype(np.uint8).reshape(*size, 3)).save(path)
        controls = Controls(source="files", predictor=predictor, painter="truth", photo=(str(path),), clusters=8)
        if code:
            refused(controls, code)
        else:
            assert pairs_of(controls).predictions[0].shape == size


def test_labels_that_no_brush_has_are_refused(photo: str) -> None:
    for label in (254, 255):
        text = write_painting(np.full((30, 40), label, np.uint8))
        refused(Controls(source="files", painter="truth", photo=(photo,), truth_painted=text), "drawing_broken")


# -- conventions that are about pixels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["coffee", "worked", "clip", "ellipse"])
def test_an_ignored_background_vanishes_from_the_truth(source: str) -> None:
    scored = pairs_of(Controls(source=source, predictor="given"))
    ignored = pairs_of(Controls(source=source, predictor="given", background="ignored"))
    for before, after in zip(scored.targets, ignored.targets, strict=True):
        assert (after[before == 0] == ignored.ignore_index).all()
        assert (after[before != 0] == before[before != 0]).all()
    assert all((a == b).all() for a, b in zip(scored.predictions, ignored.predictions, strict=True))


def test_a_void_label_beyond_the_masks_type_is_held(tmp_path: Path) -> None:
    controls = uploaded(grey(tmp_path / "t.png", TRUTH), ignore_index=65535, background="ignored")
    pairs = pairs_of(controls)
    assert (pairs.targets[0][TRUTH == 0] == 65535).all()
    assert DEMO.run(controls).total.confusion.sum() == (TRUTH != 0).sum()


def test_a_dropped_class_that_does_not_exist_is_no_error() -> None:
    with_it, without = (pairs_of(Controls(drop_class=k)) for k in (253, -1))
    assert (with_it.predictions[0] == without.predictions[0]).all()


def test_examples_are_never_changed_by_a_view() -> None:
    before = pairs_of(Controls(predictor="given")).targets[0].copy()
    for controls in (Controls(background="ignored"), Controls(salt=0.5), Controls(predictor="kmeans")):
        DEMO.run(controls)
    assert (pairs_of(Controls(predictor="given")).targets[0] == before).all()
