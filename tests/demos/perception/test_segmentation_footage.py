"""segmentation_footage: photographs and clips of visitors under the masks, and the person network's labels on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from demos.kit.jobs import Stopped
from demos.kit.text import LANGUAGES, Text
from demos.kit.upload_errors import UploadError
from demos.kit.uploads import Picture
from demos.kit.video import Clip, write_video
from demos.perception import segmentation_footage
from demos.perception.person_network import network, person_mask
from demos.perception.segmentation_footage import check_proportions, read_footage, shown_frames, under
from demos.perception.segmentation_inputs import pairs_of
from demos.perception.segmentation_metrics import DEMO, Controls
from tests.demos.perception.test_segmentation_inputs import codes, grey, refused, saved


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return pytest.importorskip("skimage.data").astronaut()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    """A photo, a clip that pans over it, and masks of both."""
    folder = tmp_path_factory.mktemp("footage")
    Image.fromarray(portrait).save(folder / "portrait.png")
    drawn = person_mask(portrait).mask.astype(np.uint8)
    grey(folder / "mask.png", drawn)
    frames = [portrait[: 2 * (160 + 8 * i), 64:448] for i in range(5)]
    panned = np.stack([cv2.resize(frame, (192, 160), interpolation=cv2.INTER_AREA) for frame in frames])
    write_video(panned, folder / "clip.mp4", rate=10)
    np.save(folder / "masks.npy", np.stack([person_mask(frame).mask.astype(np.uint8) for frame in panned]))
    return folder


def person(folder: Path, photo: str = "portrait.png", truth: str = "mask.png", **more: object) -> Controls:
    truths = (str(folder / truth),) if truth else ()
    photos = (str(folder / photo),) if photo else ()
    return Controls(source="files", predictor="person", truth_files=truths, photo=photos, **more)


def test_a_photo_gets_the_networks_mask(folder: Path, portrait: np.ndarray) -> None:
    pairs = pairs_of(person(folder))
    assert (pairs.predictions[0] == person_mask(portrait).mask).all()
    assert pairs.predictions[0].dtype == np.uint8
    assert codes(pairs) == []
    result = DEMO.run(person(folder))
    assert result.scores.mean_iou == 1.0  # the truth is its own mask here


def test_the_mask_is_made_at_the_size_of_the_truth(folder: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    grey(tmp_path / "half.png", np.zeros((256, 256), np.uint8))
    pairs = pairs_of(replace(person(folder), truth_files=(str(tmp_path / "half.png"),)))
    half = cv2.resize(portrait, (256, 256), interpolation=cv2.INTER_AREA)
    assert (pairs.predictions[0] == person_mask(half).mask).all()


def test_people_get_the_label_that_the_truth_gives_them(folder: Path, tmp_path: Path) -> None:
    truth = np.zeros((512, 512), np.uint8)
    truth[0, 0] = 15
    file = grey(tmp_path / "voc.png", truth)
    chosen = replace(person(folder, person_class=15), truth_files=(file,))
    assert set(np.unique(pairs_of(chosen).predictions[0])) == {0, 15}
    with pytest.raises(UploadError) as caught:
        pairs_of(replace(chosen, person_class=16))
    assert caught.value.code == "person_class_missing"
    assert "16" in caught.value.sentence("en")
    assert "15" in caught.value.sentence("zh")


def test_without_masks_the_truth_is_painted(folder: Path) -> None:
    pairs = pairs_of(person(folder, truth=""))
    assert pairs.paints_truth
    assert not pairs.targets[0].any()
    assert pairs.predictions[0].any()


def test_it_is_said_if_nobody_is_found(folder: Path) -> None:
    """The rocket is left alone; part of the coffee cup is taken for somebody, as the lesson tells."""
    assert codes(pairs_of(Controls(source="rocket", predictor="person"))) == ["no_person_found"]
    cup = pairs_of(Controls(source="coffee", predictor="person"))
    assert codes(cup) == []
    assert 0.1 < np.mean(cup.predictions[0] == 1) < 0.3
    empty = np.full((64, 64, 3), 200, np.uint8)
    Image.fromarray(empty).save(folder / "empty.png")
    grey(folder / "nothing.png", np.zeros((64, 64), np.uint8))
    assert codes(pairs_of(person(folder, "empty.png", "nothing.png"))) == ["no_person_found"]


def test_every_frame_of_a_clip_is_segmented(folder: Path) -> None:
    pairs = pairs_of(person(folder, "clip.mp4", "masks.npy"))
    assert pairs.footage is not None
    assert pairs.photo is None
    assert pairs.footage.shape == (5, 160, 192, 3)
    assert len(pairs.predictions) == 5
    for frame, mask in zip(pairs.footage, pairs.predictions, strict=True):
        again = person_mask(frame, double=False).mask
        assert (again == mask).mean() > 0.999
        assert again.any()
    result = DEMO.run(person(folder, "clip.mp4", "masks.npy"))
    assert result.scores.mean_iou > 0.9  # of frames before they were compressed
    for language in LANGUAGES:
        scene = DEMO.show(result, DEMO.text(language)).scene
        photo = next(layer for layer in scene.panes[0].layers if layer.key == "photo")
        assert len(photo.frames) == scene.steps == 5


def test_a_clip_lies_under_other_predictions_too(folder: Path) -> None:
    for predictor in ("given", "degrade"):
        pairs = pairs_of(replace(person(folder, "clip.mp4", "masks.npy"), predictor=predictor))
        assert pairs.footage is not None
    refused(replace(person(folder, "clip.mp4", "masks.npy"), predictor="kmeans"), "one_picture_only")


def test_a_clip_is_segmented_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmentation_footage._clip_answers.cache_clear()
    pairs_of(person(folder, "clip.mp4", "masks.npy"))
    before = segmentation_footage._clip_answers.cache_info().misses
    pairs_of(person(folder, "clip.mp4", "masks.npy", background="excluded"))
    assert segmentation_footage._clip_answers.cache_info().misses == before
    assert network("person_segmentation", double=False) is network("person_segmentation", double=False)


def test_a_clip_says_how_far_it_is_and_can_be_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmentation_footage._clip_answers.cache_clear()
    said: list[tuple[str, int]] = []

    def stopped(items: np.ndarray, what: str, *, total: int) -> Iterator[np.ndarray]:
        said.append((what, total))
        yield from items[:2]
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(segmentation_footage, "counted", stopped)
        with pytest.raises(Stopped):
            pairs_of(person(folder, "clip.mp4", "masks.npy"))
    assert said == [("segmenting", 5)]
    assert all(Text(language)("stage", "progress", "segmenting") for language in LANGUAGES)
    assert len(pairs_of(person(folder, "clip.mp4", "masks.npy")).predictions) == 5  # half an answer was not kept


def test_what_does_not_fit_is_said(folder: Path, tmp_path: Path) -> None:
    refused(person(folder, "clip.mp4", ""), "video_needs_truth")
    refused(person(folder, ""), "photo_needed")
    refused(person(folder, "portrait.png", "masks.npy"), "photo_proportions")
    masks = np.load(folder / "masks.npy")
    refused(
        replace(person(folder, "clip.mp4"), truth_files=(saved(tmp_path / "four.npy", masks[:4]),)), "lengths_differ"
    )
    refused(
        replace(person(folder, "clip.mp4"), truth_files=(saved(tmp_path / "wide.npy", masks[:, :80]),)),
        "photo_proportions",
    )
    square = saved(tmp_path / "square.npy", np.zeros((2, 512, 512), np.uint8))
    refused(replace(person(folder), truth_files=(square,)), "one_picture_only")
    Image.fromarray(np.zeros((15, 15, 3), np.uint8)).save(tmp_path / "small.png")
    grey(tmp_path / "tiny.png", np.zeros((15, 15), np.uint8))
    refused(person(tmp_path, "small.png", "tiny.png"), "photo_too_small")


def test_a_video_of_one_frame_is_a_photo(folder: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    write_video(portrait[None, ::2, ::2], tmp_path / "one.mp4", rate=1)
    one = read_footage(str(tmp_path / "one.mp4"), max_frames=9)
    assert isinstance(one, Picture)
    assert one.rgb.shape == (256, 256, 3)
    clip = read_footage(str(folder / "clip.mp4"), max_frames=3)
    assert isinstance(clip, Clip)
    assert len(clip.frames) == 3
    assert [note.code for note in clip.notes] == ["frames_capped"]
    Image.fromarray(portrait).save(tmp_path / "still.gif")
    assert isinstance(read_footage(str(tmp_path / "still.gif"), max_frames=9), Picture)


def test_frames_are_shown_small_and_photos_fitted(portrait: np.ndarray) -> None:
    few = np.zeros((2, 30, 40, 3), np.uint8)
    assert [frame.shape for frame in shown_frames(few)] == [(30, 40, 3)] * 2
    many = np.broadcast_to(np.zeros((360, 640, 3), np.uint8), (120, 360, 640, 3))
    shown = shown_frames(many)
    assert sum(frame.shape[0] * frame.shape[1] for frame in shown) <= 1.02 * segmentation_footage.SHOWN_FRAMES
    fitted = under(Picture(portrait, (512, 512), ()), (256, 256))
    assert fitted.shape == (256, 256, 3)
    check_proportions(100, 50, (51, 101))
    with pytest.raises(UploadError, match="proportions"):
        check_proportions(100, 50, (50, 60))


def test_a_long_clip_stays_within_what_a_page_can_carry(portrait: np.ndarray) -> None:
    """120 frames under their masks: about a megabyte."""
    from demos.kit.scene import jpeg

    small = cv2.resize(portrait, (640, 360))
    frames = np.stack([np.roll(small, 5 * i, axis=1) for i in range(12)])
    shown = shown_frames(np.concatenate([frames] * 10))
    assert sum(len(jpeg(frame, quality=70)) for frame in shown) < 1_200_000
    assert json.dumps(len(shown)) == "120"
