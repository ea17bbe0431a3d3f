"""Masks and palettes: what a pixel's number or colour is taken to mean, and what is refused rather than guessed."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demos.kit.masks import LabelMask, read_mask, read_mask_pair, read_masks
from demos.kit.palettes import Palette, index_colors, read_palette, unpacked
from demos.kit.uploads import UploadError
from tests.demos.kit.test_uploads import png

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

BLACK, RED, GREEN, WHITE = (0, 0, 0), (200, 0, 0), (0, 180, 0), (255, 255, 255)
LABELS = np.array([[0, 1, 2, 3], [3, 3, 2, 0], [1, 0, 0, 0]], np.uint8)


def put(path: Path, array: np.ndarray, **options: Any) -> Path:
    Image.fromarray(array).save(path, **options)
    return path


def colors(*rows: list[tuple[int, ...]]) -> np.ndarray:
    return np.array(rows, np.uint8)


def codes(record: LabelMask) -> list[str]:
    return [note.code for note in record.notes]


def refused(code: str, call: Any, *args: Any, **options: Any) -> UploadError:
    with pytest.raises(UploadError) as caught:
        call(*args, **options)
    assert caught.value.code == code
    return caught.value


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", ["all alike", "swapped", "transparent"])
def test_indexed_mask_gives_indices_whatever_its_palette_shows(tmp_path: Path, bits: int, kind: str) -> None:
    labels = LABELS % 2 if bits == 1 else LABELS
    image = Image.fromarray(labels)
    palette = {"all alike": [9] * 12, "swapped": [3, 3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0]}.get(kind, list(range(12)))
    image.putpalette(palette)
    if kind == "transparent":
        image.info["transparency"] = bytes(4)
    image.save(tmp_path / "x.png", bits=bits)
    header = (tmp_path / "x.png").read_bytes()
    assert (header[24], header[25]) == (bits, 3)  # stored at this depth, and indexed
    mask = read_mask(tmp_path / "x.png")
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.palette is not None
    assert mask.palette[:2].reshape(-1).tolist() == palette[:6]


def test_indexed_gif_and_bmp(tmp_path: Path) -> None:
    image = Image.fromarray(LABELS)
    image.putpalette([9, 9, 9, 50, 0, 0, 0, 50, 0, 0, 0, 50])
    for suffix in ("bmp", "tiff"):
        image.save(tmp_path / f"x.{suffix}")
        np.testing.assert_array_equal(read_mask(tmp_path / f"x.{suffix}").labels, LABELS)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_png_of_any_depth_gives_the_stored_numbers(tmp_path: Path, depth: int) -> None:
    top = min(2**depth - 1, 60_000)
    row = [0, 1, top, top - 1, 1, 0, top, 0]
    bits = "".join(f"{v:0{depth}b}" for v in row)
    data = b"\0" + int(bits, 2).to_bytes(depth, "big")
    (tmp_path / "x.png").write_bytes(png(8, 1, depth=depth, kind=0, data=data))
    mask = read_mask(tmp_path / "x.png", ignore_index=255)
    assert mask.labels.tolist() == [row]
    assert mask.labels.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert mask.palette is None


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", ">i4", "f4"])
def test_arrays_of_whole_numbers(tmp_path: Path, dtype: str) -> None:
    values = LABELS.astype(dtype)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", anything=values[None])
    expected = LABELS != 0 if dtype == "?" else LABELS
    np.testing.assert_array_equal(read_mask(tmp_path / "x.npy").labels, expected)
    np.testing.assert_array_equal(read_mask(tmp_path / "x.npz").labels, expected)
    assert read_mask(tmp_path / "x.npy").labels.dtype == np.uint8


def test_negative_and_large_labels_are_kept_exactly(tmp_path: Path) -> None:
    for values, dtype in (
        ([[-1, 3]], np.int32),
        ([[0, 65535]], np.uint8),
        ([[5, 65535]], np.uint16),
        ([[70_000]], np.int32),
    ):
        np.save(tmp_path / "x.npy", np.array(values))
        mask = read_mask(tmp_path / "x.npy")
        assert mask.labels.dtype == dtype
        assert mask.labels.tolist() == ([[0, 1]] if dtype is np.uint8 else values)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.array([[0.5]]), "not_labels"), (np.array([[np.nan]]), "not_labels"), (np.array([[np.inf]]), "not_labels"),
        (np.array([[2**31]]), "not_labels"), (np.array([[1j]]), "not_labels"), (np.array([0, 1]), "wrong_shape"),
        (np.zeros((2, 3, 4), int), "wrong_shape"), (np.zeros((0, 3), int), "wrong_shape"),
        (np.array([["a"]]), "not_numeric"), (np.array([[None]]), "pickled_array"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_labels(tmp_path: Path, values: np.ndarray, code: str) -> None:
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    refused(code, read_mask, tmp_path / "x.npy")


def test_npz_of_several_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=LABELS, b=LABELS)
    refused("several_arrays", read_mask, tmp_path / "x.npz")


# --- black and white ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["grey", "rgb", "npy", "grey16"])
def test_zero_and_white_is_a_binary_mask(tmp_path: Path, store: str) -> None:
    on = np.array([[0, 255, 255]], np.uint8)
    path = tmp_path / ("x.npy" if store == "npy" else "x.png")
    if store == "npy":
        np.save(path, on)
    else:
        put(path, {"grey": on, "rgb": np.repeat(on[..., None], 3, 2), "grey16": on.astype(np.uint16) * 257}[store])
    mask = read_mask(path)
    assert mask.labels.tolist() == [[0, 1, 1]]
    assert codes(mask) == ["binary_mask"]
    top = 65535 if store == "grey16" else 255
    kept = read_mask(path, ignore_index=top)
    assert kept.labels.tolist() == [[0, top, top]]
    assert kept.notes == ()


def test_white_beside_other_labels_stays_as_it_is(tmp_path: Path) -> None:
    mask = read_mask(put(tmp_path / "x.png", np.array([[0, 1, 255]], np.uint8)))
    assert mask.labels.tolist() == [[0, 1, 255]]
    assert mask.notes == ()


def test_binary_is_decided_for_all_files_together(tmp_path: Path) -> None:
    white = put(tmp_path / "t.png", np.array([[0, 255]], np.uint8))
    one = put(tmp_path / "p.png", np.array([[0, 1]], np.uint8))
    empty = put(tmp_path / "e.png", np.array([[0, 0]], np.uint8))
    many = put(tmp_path / "m.png", np.array([[2, 1]], np.uint8))
    assert [m.labels.tolist() for m in read_mask_pair(white, one)] == [[[0, 1]], [[0, 1]]]
    assert [m.labels.tolist() for m in read_mask_pair(empty, white)] == [[[0, 0]], [[0, 1]]]
    assert [m.labels.tolist() for m in read_mask_pair(white, many)] == [[[0, 255]], [[2, 1]]]  # 255 is "void" here
    refused("label_out_of_range", read_mask, white, num_classes=3)
    assert read_mask(white, num_classes=2).labels.tolist() == [[0, 1]]


def test_number_of_classes_is_held_to_except_for_the_ignored_label(tmp_path: Path) -> None:
    path = put(tmp_path / "x.png", np.array([[0, 4, 255]], np.uint8))
    assert refused("label_out_of_range", read_mask, path, num_classes=5).fields["label"] == 255
    assert refused("label_out_of_range", read_mask, path, num_classes=4, ignore_index=255).fields["label"] == 4
    assert read_mask(path, num_classes=5, ignore_index=255).labels.tolist() == [[0, 4, 255]]


# --- colours --------------------------------------------------------------------------------------------------------


def test_guessed_classes_are_black_first_then_by_area_over_all_files(tmp_path: Path) -> None:
    target = put(tmp_path / "t.png", colors([RED, RED, RED, GREEN, BLACK]))
    prediction = put(tmp_path / "p.png", colors([GREEN, GREEN, GREEN, GREEN, RED]))
    first, second = read_mask_pair(target, prediction)  # green 5, red 4, black 1
    assert first.labels.tolist() == [[2, 2, 2, 1, 0]]
    assert second.labels.tolist() == [[1, 1, 1, 1, 2]]
    assert first.palette is not None
    assert first.palette.tolist() == [list(BLACK), list(GREEN), list(RED)]
    np.testing.assert_array_equal(first.palette, second.palette)
    assert codes(first) == ["guessed_classes"]
    assert first.notes[0].fields == {"count": 3}
    swapped = read_mask_pair(prediction, target)
    assert swapped[1].labels.tolist() == first.labels.tolist()


def test_equal_areas_are_ordered_by_colour(tmp_path: Path) -> None:
    mask = read_mask(put(tmp_path / "x.png", colors([RED, GREEN, (0, 0, 5), (1, 0, 0)])))
    assert mask.labels.tolist() == [[3, 1, 0, 2]]


def test_palette_is_matched_exactly(tmp_path: Path) -> None:
    palette = Palette(np.array([RED, GREEN, BLACK], np.uint8), ("red", "green", "none"))
    mask = read_mask(put(tmp_path / "x.png", colors([BLACK, GREEN, RED, RED])), palette=palette)
    assert mask.labels.tolist() == [[2, 1, 0, 0]]
    assert mask.names == ("red", "green", "none")
    assert mask.notes == ()
    grey = read_mask(put(tmp_path / "y.png", np.array([[0, 2]], np.uint8)), palette=palette)
    assert grey.labels.tolist() == [[0, 2]]  # numbers stay numbers
    odd = put(tmp_path / "z.png", colors([RED, (200, 0, 1), (200, 0, 1), (9, 9, 9)]))
    assert refused("unknown_color", read_mask, odd, palette=palette).fields == {
        "name": "z.png", "color": "#c80001", "count": 2, "others": 1,
    }  # fmt: skip


def test_an_indexed_file_lends_its_palette_to_a_colour_map(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[2, 1, 0, 2]], np.uint8))
    image.putpalette([*BLACK, *GREEN, *RED, *BLACK])
    image.save(tmp_path / "t.png")
    prediction = put(tmp_path / "p.png", colors([RED, RED, BLACK, GREEN]))
    target, other = read_mask_pair(tmp_path / "t.png", prediction)
    assert target.labels.tolist() == [[2, 1, 0, 2]]
    assert other.labels.tolist() == [[2, 2, 0, 1]]  # black is 0, the index in use, not the spare 3
    assert "guessed_classes" not in codes(other)
    image.putpalette([*BLACK, *RED, *RED])
    image.save(tmp_path / "t.png")
    refused("palette_duplicate", read_mask_pair, tmp_path / "t.png", prediction)


def test_grey_colours_are_numbers_unless_a_file_of_the_call_has_colour(tmp_path: Path) -> None:
    grey = put(tmp_path / "g.png", colors([BLACK, (1, 1, 1), (2, 2, 2)]))
    black = put(tmp_path / "b.png", colors([BLACK, BLACK, BLACK]))
    red = put(tmp_path / "r.png", colors([BLACK, RED, RED]))
    numbers = put(tmp_path / "n.png", np.array([[0, 1, 2]], np.uint8))
    assert read_mask(grey).labels.tolist() == [[0, 1, 2]]
    assert [m.labels.tolist() for m in read_mask_pair(black, numbers)] == [[[0, 0, 0]], [[0, 1, 2]]]
    assert [m.labels.tolist() for m in read_mask_pair(black, red)] == [[[0, 0, 0]], [[0, 1, 1]]]
    assert refused("kinds_differ", read_mask_pair, red, numbers).fields == {"colored": "r.png", "numbers": "n.png"}


def test_photos_are_refused(tmp_path: Path) -> None:
    table = unpacked(np.arange(65, dtype=np.uint32) * 997)
    path = put(tmp_path / "x.png", table[None])
    assert refused("photo_not_mask", read_mask, path).fields["count"] == 65
    assert len(np.unique(read_mask(put(tmp_path / "y.png", table[None, :64])).labels)) == 64
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert int(refused("photo_not_mask", read_mask, put(tmp_path / "z.png", noise)).fields["count"]) > 4000
    refused("too_many_colors", read_mask, put(tmp_path / "w.png", table[None, :5]), num_classes=4)
    left, right = put(tmp_path / "l.png", table[None, :40]), put(tmp_path / "r.png", table[None, 25:])
    refused("photo_not_mask", read_mask_pair, left, right)  # neither alone, but 65 together


def test_transparent_pixels_are_background(tmp_path: Path) -> None:
    rgba = np.dstack([colors([RED, GREEN, RED]), np.array([[255, 255, 0]], np.uint8)])
    mask = read_mask(put(tmp_path / "x.png", rgba))
    assert mask.labels.tolist() == [[2, 1, 0]]
    assert codes(mask) == ["alpha_as_background", "guessed_classes"]
    assert mask.notes[0].fields["count"] == 1
    palette = Palette(np.array([RED, GREEN], np.uint8), None)
    assert read_mask(tmp_path / "x.png", palette=palette).labels.tolist() == [[0, 1, 0]]
    opaque = put(tmp_path / "o.png", np.dstack([colors([RED, BLACK]), np.full((1, 2), 255, np.uint8)]))
    assert read_mask(opaque).labels.tolist() == [[1, 0]]
    grey = put(tmp_path / "g.png", np.array([[[7, 255], [7, 0], [0, 255]]], np.uint8))
    assert read_mask(grey).labels.tolist() == [[7, 0, 0]]


def test_a_stencil_of_black_on_nothing_is_not_lost(tmp_path: Path) -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, 1, 3] = 255
    assert read_mask(put(tmp_path / "x.png", rgba)).labels.tolist() == [[0, 1, 0]]


# --- lossy ----------------------------------------------------------------------------------------------------------


def scene() -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((96, 128), np.uint8)
    labels[20:70, 4:60], labels[40:90, 70:120] = 1, 2
    return labels, np.array([BLACK, RED, GREEN], np.uint8)[labels]


@pytest.mark.parametrize(("suffix", "name"), [("jpg", "JPEG"), ("webp", "WebP"), ("tiff", "JPEG")])
def test_lossy_masks_are_refused_unless_allowed(tmp_path: Path, suffix: str, name: str) -> None:
    labels, rgb = scene()
    options = {"compression": "jpeg"} if suffix == "tiff" else {}
    path = put(tmp_path / f"x.{suffix}", rgb, quality=80, **options)
    path = path.rename(tmp_path / "x.png")  # a name proves nothing
    assert refused("jpeg_mask_refused", read_mask, path).fields["format"] == name
    mask = read_mask(path, allow_lossy=True)
    assert np.count_nonzero(mask.labels != labels) < 0.03 * labels.size
    assert {0, 1, 2} == set(np.unique(mask.labels))
    assert codes(mask) == ["jpeg_mask_smeared", "guessed_classes"]
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
    assert mask.palette is not None
    assert mask.notes[0].fields["count"] == int((stored != mask.palette[mask.labels]).any(axis=2).sum())


def test_lossless_webp_is_a_mask(tmp_path: Path) -> None:
    labels, rgb = scene()
    np.testing.assert_array_equal(read_mask(put(tmp_path / "x.webp", rgb, lossless=True)).labels > 0, labels > 0)


def test_smeared_colours_go_to_the_palette_or_to_the_exact_file_beside_them(tmp_path: Path) -> None:
    labels, rgb = scene()
    exact, smeared = put(tmp_path / "t.png", rgb), put(tmp_path / "p.jpg", rgb, quality=70)
    palette = Palette(np.array([GREEN, RED, BLACK], np.uint8), None)
    mask = read_mask(smeared, palette=palette, allow_lossy=True)
    assert np.mean(mask.labels == np.array([2, 1, 0])[labels]) > 0.98
    target, prediction = read_mask_pair(exact, smeared, allow_lossy=True)
    assert np.mean(target.labels == prediction.labels) > 0.98
    assert prediction.palette is not None
    assert {tuple(c) for c in prediction.palette.tolist()} == {BLACK, RED, GREEN}


def test_smeared_white_beside_exact_numbers(tmp_path: Path) -> None:
    labels, _ = scene()
    on = np.where(labels > 0, np.uint8(255), np.uint8(0))
    exact, smeared = put(tmp_path / "t.png", on), put(tmp_path / "p.jpg", on, quality=70)
    empty = put(tmp_path / "e.png", on * 0)
    few = put(tmp_path / "f.png", labels)
    for beside in (exact, empty):
        _, prediction = read_mask_pair(beside, smeared, allow_lossy=True)
        assert np.mean(prediction.labels == (labels > 0)) > 0.99
    refused("kinds_differ", read_mask_pair, few, smeared, allow_lossy=True)  # 0, 1, 2 cannot be told apart in a JPEG


def test_a_photo_in_jpeg_is_no_mask_even_when_loss_is_allowed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    ramp = np.dstack([np.add.outer(np.arange(200), np.arange(200)).astype(np.uint8)] * 3)
    for k, picture in enumerate((noise, noise // 2 + ramp[:64, :64] // 2)):
        refused("photo_not_mask", read_mask, put(tmp_path / f"{k}.jpg", picture, quality=90), allow_lossy=True)


def test_masks_are_never_shrunk_and_large_ones_are_cheap(tmp_path: Path) -> None:
    labels = np.zeros((4000, 5000), np.uint8)
    labels[::2] = 1
    rgb = np.array([BLACK, RED], np.uint8)[labels]
    path = put(tmp_path / "x.png", rgb, compress_level=1)
    del rgb
    tracemalloc.start()
    mask = read_mask(path)
    assert tracemalloc.get_traced_memory()[1] < 8 * labels.size
    tracemalloc.stop()
    np.testing.assert_array_equal(mask.labels, labels)


def test_sizes_of_a_pair_must_agree(tmp_path: Path) -> None:
    small, large = put(tmp_path / "a.png", LABELS), put(tmp_path / "b.png", LABELS.T.copy())
    assert refused("sizes_differ", read_mask_pair, small, large).fields == {"first": "4×3", "second": "3×4"}
    assert len(read_masks([small, large])) == 2


def test_index_colors_counts_beyond_its_limit() -> None:
    rgb = unpacked(np.arange(300, dtype=np.uint32))[None]
    assert index_colors(rgb, limit=299) == 300
    found = index_colors(rgb, limit=300)
    assert not isinstance(found, int)
    np.testing.assert_array_equal(found[1][found[0]], rgb)


# --- palettes -------------------------------------------------------------------------------------------------------

THREE = ([[128, 64, 128], [0, 0, 255], [1, 2, 3]], ("road", "blue sky", "x"))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"road": [128, 64, 128], "blue sky": "#0000FF", "x": [1, 2, 3]}),
        json.dumps([{"name": n, "color": c} for n, c in (("road", "#804080"), ("blue sky", "0000ff"), ("x", "#010203"))]),
        "128 64 128 road\n0 0 255 blue sky\n1 2 3 x",
        "name,r,g,b\r\nroad,128,64,128\r\nblue sky,0,0,255\r\n\r\nx,1,2,3\r\n",
        "# comment\n#804080 road\n#0000ff  blue sky\n// more\n#010203 x\n",
        "\ufeff128,64,128,road\n0;0;255;blue sky\n1\t2\t3\tx",
    ],
)  # fmt: skip
def test_palette_formats(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.bin").write_text(text, encoding="utf-8")
    palette = read_palette(tmp_path / "p.bin")
    assert (palette.colors.tolist(), palette.names) == THREE
    assert palette.colors.dtype == np.uint8


def test_palette_without_names(tmp_path: Path) -> None:
    for text in ("[[1, 2, 3], [4, 5, 6]]", "1 2 3\n4 5 6", "#010203\n#040506"):
        (tmp_path / "p").write_text(text)
        palette = read_palette(tmp_path / "p")
        assert palette.colors.tolist() == [[1, 2, 3], [4, 5, 6]]
        assert palette.names is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "not_a_palette"), ("[" * 30_000, "not_a_palette"), ("{}", "not_a_palette"), ("[1]", "not_a_palette"),
        ('{"a": [1, 2]}', "not_a_palette"), ('{"a": [1, 2, 256]}', "not_a_palette"),
        ('{"a": [1, 2, true]}', "not_a_palette"),
        ('{"a": [1, 2, 3.5]}', "not_a_palette"), ('{"a": "#12345"}', "not_a_palette"), ("# nothing", "not_a_palette"),
        ("1 2 3 a\n1 2 x", "palette_line"), ("1 2 300 a", "palette_line"), ("hello\nworld", "palette_line"),
        ("1 2 3 a\n1 2 3 b", "palette_duplicate"),
        ("\n".join(f"{k // 256} {k % 256} 0" for k in range(1025)), "too_many_classes"),
        ("1 2 3\n" * 11_000, "file_too_large"), ("", "empty_file"),
    ],
)  # fmt: skip
def test_bad_palettes(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "p.txt").write_text(text)
    refused(code, read_palette, tmp_path / "p.txt")


def test_binary_palette_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\0\x80")
    refused("not_a_palette", read_palette, tmp_path / "p.txt")


# --- anything at all ------------------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    found: list[bytes] = []
    indexed = Image.fromarray(LABELS)
    indexed.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0, 0, 0, 77])
    pictures = [indexed, Image.fromarray(LABELS), Image.fromarray(scene()[1][:40, :40]), Image.fromarray(LABELS > 1)]
    for kind in ("PNG", "TIFF", "WEBP", "GIF", "JPEG"):
        for picture in pictures:
            stream = io.BytesIO()
            (picture.convert("RGB") if kind in ("JPEG", "WEBP") else picture).save(stream, kind)
            found.append(stream.getvalue())
    stream = io.BytesIO()
    np.savez(stream, a=LABELS)
    return [*found, stream.getvalue(), b'{"a": [1, 2, 3]}', b"1 2 3 a\n#001122 b", struct.pack("<I", 7)]


SEEDS = seeds()


@settings(
    max_examples=120,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_bytes_give_a_mask_or_an_upload_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(bytes(content))
    for read in (lambda p: read_mask(p, allow_lossy=True), read_palette):
        try:
            outcome: Any = read(path)
        except UploadError as error:
            outcome = str(error)
        assert not isinstance(outcome, str) or ("fuzz.bin" in outcome and str(path.parent) not in outcome)
