"""Mask sequences: order, archives, arrays, videos, and files that belong together."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demos.kit import mask_sequences
from demos.kit.mask_sequences import (
    MaskSequence,
    natural_key,
    pair_by_name,
    read_mask_sequence,
    read_mask_sequence_pair,
)
from demos.kit.palettes import Palette
from demos.kit.uploads import UploadError
from demos.kit.video import write_gif
from tests.demos.kit.test_video import encode

BLACK, RED, GREEN = (0, 0, 0), (200, 0, 0), (0, 180, 0)


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def frame(k: int) -> np.ndarray:
    return np.full((2, 3), k, np.uint8)


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


def numbers(sequence: MaskSequence) -> list[int]:
    return [int(labels.flat[0]) for labels in sequence.frames]


def codes(sequence: MaskSequence) -> list[str]:
    return [note.code for note in sequence.notes]


def refused(code: str, call: Any, *args: Any, **options: Any) -> UploadError:
    with pytest.raises(UploadError) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return caught.value


# --- files and archives ---------------------------------------------------------------------------------------------


def test_files_are_taken_in_natural_order(tmp_path: Path) -> None:
    paths = []
    for k in (10, 9, 2, 1):
        path = tmp_path / (f"frame{k}.npy" if k == 9 else f"frame{k}.png")
        np.save(path, frame(k)) if k == 9 else path.write_bytes(png(frame(k)))
        paths.append(path)
    sequence = read_mask_sequence(paths)
    assert numbers(sequence) == [1, 2, 9, 10]
    assert sequence.times is None
    assert sequence.notes == ()
    assert {labels.dtype for labels in sequence.frames} == {np.dtype(np.uint8)}
    assert numbers(read_mask_sequence(str(paths[0]))) == [10]


def test_natural_key_survives_absurd_numbers_and_leading_zeros() -> None:
    names = ["a" + "9" * 5000, "a010", "a9", "a10", "b", "A1"]
    assert sorted(names, key=natural_key) == ["A1", "a9", "a010", "a10", "a" + "9" * 5000, "b"]


def test_zip_is_read_in_natural_order_and_past_system_files(tmp_path: Path) -> None:
    members = {f"masks/f{k}.png": png(frame(k)) for k in (10, 2, 1)}
    npy = io.BytesIO()
    np.save(npy, frame(3))
    members |= {"__MACOSX/._f1.png": b"junk", "masks/.DS_Store": b"junk", "masks/": b"", "masks/f3.bin": npy.getvalue()}
    sequence = read_mask_sequence(archive(tmp_path / "x.bin", members))
    assert numbers(sequence) == [1, 2, 3, 10]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"../f.png": png(frame(0))}, "unsafe_archive"), ({"/etc/f.png": png(frame(0))}, "unsafe_archive"),
        ({"a\\..\\f.png": png(frame(0))}, "unsafe_archive"), ({"f.png": b"PK\x03\x04" + bytes(30)}, "nested_archive"),
        ({"f.png": b""}, "empty_file"), ({"f.png": b"hello"}, "not_an_image"), ({".hidden": b"x"}, "no_files"),
        ({f"f{k}": png(frame(0)) for k in range(601)}, "too_many_files"),
        ({f"f{k}": b"" for k in range(2001)}, "too_many_members"),
        ({"f1.png": png(frame(0)), "f2.png": png(np.zeros((3, 3), np.uint8))}, "frame_size_differs"),
        ({"f.png": bytes(70_000_000)}, "zip_bomb"),
    ],
)  # fmt: skip
def test_bad_archives(tmp_path: Path, members: dict[str, bytes], code: str) -> None:
    refused(code, read_mask_sequence, archive(tmp_path / "x.zip", members))
    assert sorted(tmp_path.iterdir()) == [tmp_path / "x.zip"]  # nothing was unpacked to disk


def test_damaged_and_oversized_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "x.zip", {f"f{k}.png": png(frame(k)) for k in range(9)}, zipfile.ZIP_STORED)
    monkeypatch.setattr(mask_sequences, "MAX_ARCHIVE_BYTES", 100)
    refused("archive_too_large", read_mask_sequence, path)
    monkeypatch.undo()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused("damaged_archive", read_mask_sequence, path)
    broken = bytearray(data)
    broken[data.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(bytes(broken))
    refused("truncated", read_mask_sequence, path)  # the checksum of the member tells


def test_limits_on_files_and_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(4)]
    for path in paths:
        path.write_bytes(png(frame(1)))
    assert refused("too_many_files", read_mask_sequence, paths, max_frames=3).fields == {"count": 4, "limit": 3}
    refused("no_files", read_mask_sequence, [])
    assert len(read_mask_sequence(paths, max_frames=4).frames) == 4
    monkeypatch.setattr(mask_sequences, "MAX_SEQUENCE_PIXELS", 23)
    refused("sequence_too_large", read_mask_sequence, paths)


def test_colours_mean_the_same_in_all_frames_of_both_sequences(tmp_path: Path) -> None:
    def write(name: str, color: tuple[int, int, int]) -> Path:
        path = tmp_path / name
        path.write_bytes(png(np.array([[BLACK, color, color]], np.uint8)))
        return path

    targets = [write("t1.png", RED), write("t2.png", GREEN)]
    predictions = [write("p1.png", GREEN), write("p2.png", GREEN)]
    first, second = read_mask_sequence_pair(targets, predictions)
    assert [labels.tolist() for labels in first.frames] == [[[0, 2, 2]], [[0, 1, 1]]]  # green covers more in all four
    assert [labels.tolist() for labels in second.frames] == [[[0, 1, 1]], [[0, 1, 1]]]
    assert codes(first) == ["guessed_classes"]
    palette = Palette(np.array([BLACK, RED, GREEN], np.uint8), ("none", "red", "green"))
    named, _ = read_mask_sequence_pair(targets, predictions, palette=palette)
    assert [labels.tolist() for labels in named.frames] == [[[0, 1, 1]], [[0, 2, 2]]]
    assert named.names == ("none", "red", "green")


def test_pair_must_agree_in_length_and_size(tmp_path: Path) -> None:
    for name, shape in (("a", (3, 2, 2)), ("b", (2, 2, 2)), ("c", (3, 2, 4))):
        np.save(tmp_path / f"{name}.npy", np.ones(shape, np.uint8))
    a, b, c = (tmp_path / f"{name}.npy" for name in "abc")
    assert refused("lengths_differ", read_mask_sequence_pair, a, b).fields == {"first": 3, "second": 2}
    assert refused("sizes_differ", read_mask_sequence_pair, a, c).fields == {"first": "2×2", "second": "4×2"}
    assert len(read_mask_sequence_pair(a, a)[0].frames) == 3


# --- arrays ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["npy", "npz", "bool", "trailing"])
def test_one_array_of_frames(tmp_path: Path, store: str) -> None:
    frames = np.stack([frame(k) for k in (0, 1, 1, 0)])
    path = tmp_path / "x.npy"
    np.save(path, {"bool": frames.astype(bool), "trailing": frames[..., None].astype(float)}.get(store, frames))
    if store == "npz":
        path = tmp_path / "x.npz"
        np.savez_compressed(path, masks=frames)
    assert numbers(read_mask_sequence(path)) == [0, 1, 1, 0]
    capped = read_mask_sequence(path, max_frames=2)
    assert numbers(capped) == [0, 1]
    assert codes(capped) == ["frames_capped"]


def test_npz_of_frames_is_read_in_natural_order(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{f"f{k}": frame(k) for k in (10, 9, 1)})  # pyright: ignore[reportArgumentType]
    assert numbers(read_mask_sequence(tmp_path / "x.npz")) == [1, 9, 10]


def test_binary_is_decided_over_all_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.stack([frame(0), frame(255)]))
    sequence = read_mask_sequence(tmp_path / "x.npy")
    assert numbers(sequence) == [0, 1]
    assert codes(sequence) == ["binary_mask"]
    np.save(tmp_path / "x.npy", np.stack([frame(0), frame(255), frame(7)]))
    assert numbers(read_mask_sequence(tmp_path / "x.npy")) == [0, 255, 7]


def test_arrays_that_are_no_sequence(tmp_path: Path) -> None:
    for shape in ((4,), (2, 2, 2, 2), (0, 3, 3)):
        np.save(tmp_path / "x.npy", np.zeros(shape, np.uint8))
        refused("wrong_shape", read_mask_sequence, tmp_path / "x.npy")


# --- videos ---------------------------------------------------------------------------------------------------------


def scene(count: int = 6) -> np.ndarray:
    """(T, H, W) labels: a square moves right, another appears half-way."""
    labels = np.zeros((count, 96, 128), np.uint8)
    for k in range(count):
        labels[k, 16:64, 8 + 4 * k : 56 + 4 * k] = 1
        if k >= count // 2:
            labels[k, 70:94, 90:120] = 2
    return labels


def test_video_of_colours_is_snapped_and_says_how_much(tmp_path: Path) -> None:
    labels = scene()
    palette = np.array([BLACK, RED, GREEN], np.uint8)
    path = encode(tmp_path / "x.mp4", palette[labels], options={"crf": "28"})
    sequence = read_mask_sequence(path)
    assert sequence.times is not None
    np.testing.assert_allclose(sequence.times, np.arange(6) / 25, atol=1e-3)
    got = np.stack(sequence.frames)
    assert np.mean(got == labels) > 0.98
    assert set(np.unique(got)) == {0, 1, 2}  # the one that appears later has a class of its own
    assert codes(sequence) == ["video_mask_snapped", "guessed_classes"]
    snapped = sequence.notes[0].fields
    assert 0 < int(snapped["count"]) < int(snapped["total"]) == labels.size
    given = read_mask_sequence(path, palette=Palette(palette[[2, 0, 1]], None))
    assert np.mean(np.stack(given.frames) == np.array([1, 2, 0])[labels]) > 0.98


def test_video_of_black_and_white_beside_exact_masks(tmp_path: Path) -> None:
    labels = (scene() > 0).astype(np.uint8)
    path = encode(tmp_path / "x.mp4", np.repeat(labels[..., None] * np.uint8(255), 3, 3), options={"crf": "28"})
    np.save(tmp_path / "t.npy", labels * 255)
    alone = read_mask_sequence(path)
    assert np.mean(np.stack(alone.frames) == labels) > 0.99
    for order in (1, -1):
        pair = read_mask_sequence_pair(*[tmp_path / "t.npy", path][::order])
        target, prediction = pair[::order]
        np.testing.assert_array_equal(np.stack(target.frames), labels)
        assert np.mean(np.stack(prediction.frames) == labels) > 0.99
    np.save(tmp_path / "many.npy", scene())
    refused("kinds_differ", read_mask_sequence_pair, tmp_path / "many.npy", path)


def test_two_videos_share_their_colours(tmp_path: Path) -> None:
    palette = np.array([BLACK, RED, GREEN], np.uint8)
    labels = scene()
    swapped = np.array([0, 2, 1])[labels]
    first = encode(tmp_path / "a.mp4", palette[labels], options={"crf": "24"})
    second = encode(tmp_path / "b.mp4", palette[swapped], options={"crf": "30"})
    a, b = (np.stack(sequence.frames) for sequence in read_mask_sequence_pair(first, second))
    assert np.mean((a == 1) == (b == 2)) > 0.98
    assert np.mean((a == 2) == (b == 1)) > 0.98


def test_gif_of_masks_is_exact(tmp_path: Path) -> None:
    labels = scene()
    write_gif(np.array([BLACK, (255, 255, 255), (255, 0, 0)], np.uint8)[labels], tmp_path / "x.gif", rate=10)
    sequence = read_mask_sequence(tmp_path / "x.gif")
    np.testing.assert_array_equal(np.stack(sequence.frames), labels)
    assert sequence.palette is not None
    assert sequence.palette.tolist() == [[0, 0, 0], [255, 255, 255], [255, 0, 0]]
    assert "video_mask_snapped" not in codes(sequence)


def test_video_limits_and_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = scene()
    path = encode(tmp_path / "x.mp4", np.array([BLACK, RED, GREEN], np.uint8)[labels])
    capped = read_mask_sequence(path, max_frames=2)
    assert len(capped.frames) == 2
    assert codes(capped)[0] == "frames_capped"
    monkeypatch.setattr(mask_sequences, "MAX_SEQUENCE_PIXELS", 3 * 96 * 128)
    assert len(read_mask_sequence(path).frames) == 3
    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), np.uint8)
    refused("photo_not_mask", read_mask_sequence, encode(tmp_path / "n.mp4", noise, options={"crf": "5"}))


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_pairs_by_name_by_number_or_by_order() -> None:
    assert pair_by_name(["b.png", "a.png"], ["x/B.npy", "y/a.npy"]) == [("a.png", "y/a.npy"), ("b.png", "x/B.npy")]
    assert pair_by_name(["gt_10.png", "gt_2.png"], ["pred_02.png", "pred_10.png"]) == [
        ("gt_2.png", "pred_02.png"), ("gt_10.png", "pred_10.png"),
    ]  # fmt: skip
    assert pair_by_name(["first.png", "second.png"], ["x.png", "y.png"]) == [
        ("first.png", "x.png"),
        ("second.png", "y.png"),
    ]


def test_files_without_a_partner_are_named() -> None:
    error = refused("unmatched_files", pair_by_name, ["a.png", "b.png", "c.png"], ["b.png", "c.png", "d.png"])
    assert error.fields == {"targets": 3, "predictions": 3, "names": "a.png, d.png", "count": 2}
    shifted = refused("unmatched_files", pair_by_name, ["gt0.png", "gt1.png"], ["p1.png", "p2.png"])
    assert shifted.fields["names"] == "gt0.png, p2.png"
    assert refused("unmatched_files", pair_by_name, ["x"], ["y", "z"]).fields["names"] == "z"
    refused("no_files", pair_by_name, [], ["a"])
