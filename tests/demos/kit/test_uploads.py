"""Pictures and arrays: every case is made here, and whatever is sent ends in a record or an UploadError."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import string
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from demos.kit import upload_errors, uploads
from demos.kit.upload_errors import TEXT, clean_text
from demos.kit.uploads import EmptyFile, UploadError, error_sentence, read_array, read_image

# What Pillow says about oddities in hostile files is not ours to assert.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

RAMP = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3) * 2


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def refused(code: str, path: str | Path) -> UploadError:
    with pytest.raises(UploadError) as caught:
        read_image(path)
    assert caught.value.code == code
    assert str(Path(path).parent) not in str(caught.value)
    return caught.value


def codes(record: Any) -> list[str]:
    return [note.code for note in record.notes]


def png(width: int, height: int, *, depth: int = 8, kind: int = 2, data: bytes = b"", extra: bytes = b"") -> bytes:
    """A PNG written by hand: header as claimed, rows as given."""

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


# --- sentences ------------------------------------------------------------------------------------------------------


def test_languages_have_the_same_sentences_with_the_same_fields() -> None:
    english, chinese = (json.loads((TEXT / code / "errors.json").read_text(encoding="utf-8")) for code in ("en", "zh"))
    assert english.keys() == chinese.keys()
    for code, sentence in english.items():
        fields = {field for _, field, _, _ in string.Formatter().parse(sentence) if field is not None}
        other = {field for _, field, _, _ in string.Formatter().parse(chinese[code]) if field is not None}
        assert fields == other, code
        assert sentence.endswith("."), code
        assert chinese[code].endswith("。"), code


def test_every_code_in_the_source_has_a_sentence_and_every_sentence_a_user() -> None:
    demos = Path(uploads.__file__).parents[1]
    source = "\n".join(path.read_text(encoding="utf-8") for path in demos.rglob("*.py"))
    raised = set(re.findall(r'(?:UploadError|Note|refusing|super\(\).__init__)\(\s*"([a-z_]+)"', source))
    sentences = set(json.loads((TEXT / "en" / "errors.json").read_text(encoding="utf-8")))
    assert raised <= sentences
    assert len(raised) > 50
    assert {code for code in sentences if f'"{code}"' not in source} == set()


def test_error_speaks_both_languages_and_falls_back_to_english() -> None:
    error = EmptyFile("a.png")
    assert str(error) == error.sentence("en") == error.sentence("fr") == error.sentence("../en")
    assert error.sentence("zh") == "a.png 是空文件（0 字节），请重新选择。"
    assert (error.code, error.fields) == ("empty_file", {"name": "a.png"})


def test_hostile_names_are_shown_as_plain_short_text(tmp_path: Path) -> None:
    name = "a\n\x1b[31m\u202e{name}" + "x" * 150 + ".png"
    path = tmp_path / name
    path.write_bytes(b"")
    shown = str(refused("empty_file", path))
    assert not any(ord(c) < 32 or c in "\u202e\x7f" for c in shown)
    assert "{name}" in shown
    assert len(shown) < 110
    assert ".png" in shown
    assert "C:" not in error_sentence("empty_file", {"name": upload_errors.display_name("C:\\Users\\me\\x.png")})
    assert clean_text("\ud800\x00") == "?"


def test_a_readers_account_of_a_problem_is_not_cut_as_a_name_is() -> None:
    long = "the " + "very " * 20 + "end"
    assert long in str(UploadError("ckpt_snapshot", problem=long))
    assert UploadError("ckpt_snapshot", problem="x" * 5000).sentence("zh").count("x") < 200
    assert long not in str(UploadError("empty_file", name=long))


@pytest.mark.parametrize("make", ["missing", "folder", "zero byte", "too large", "fifo"])
def test_what_is_no_plain_file_is_refused_before_it_is_opened(
    tmp_path: Path, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.png"
    if make == "folder":
        path.mkdir()
    elif make == "fifo":
        os.mkfifo(path)  # opening it would wait for a writer for ever
    elif make == "too large":
        with path.open("wb") as file:
            file.truncate(upload_errors.MAX_FILE_BYTES + 1)
    expected = {"folder": "not_a_file", "fifo": "not_a_file", "too large": "file_too_large"}.get(make, "missing_file")
    monkeypatch.setattr("builtins.open", lambda *_a, **_k: pytest.fail("opened"))
    refused(expected, f"{path}\0.png" if make == "zero byte" else path)


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_orientation_is_applied_exactly(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} | ({"lossless": True} if suffix == "webp" else {})
    path = save(tmp_path / f"x.{suffix}", Image.fromarray(RAMP), **options)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    picture = read_image(path)
    np.testing.assert_array_equal(picture.rgb, expected)
    assert picture.original_size == expected.shape[1::-1]
    assert picture.rgb.flags.c_contiguous
    if suffix != "tiff":  # Pillow turns TIFF before it hands it over
        assert ("rotated" in codes(picture)) == (orientation != 1)


def test_orientation_of_a_shrunk_jpeg_counts_sides_after_turning(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((400, 800, 3), np.uint8)
    wide[:, :400] = 255  # left half white: on top once turned clockwise
    picture = read_image(save(tmp_path / "x.jpg", Image.fromarray(wide), exif=exif), max_pixels=20_000)
    assert picture.original_size == (400, 800)
    assert picture.rgb.shape == (200, 100, 3)
    assert picture.rgb[20].min() > 250
    assert picture.rgb[-20].max() < 5
    assert {"rotated", "shrunk"} == set(codes(picture))


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "x.png", Image.fromarray(RAMP), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(path).rgb, RAMP)


def test_modes_become_the_same_rgb_that_a_viewer_shows(tmp_path: Path) -> None:
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    cases: dict[str, tuple[Image.Image, np.ndarray]] = {
        "rgb": (Image.fromarray(RAMP), RAMP),
        "grey": (Image.fromarray(grey), np.repeat(grey[..., None], 3, 2)),
        "bit": (Image.fromarray(grey > 100), np.repeat((grey > 100)[..., None] * np.uint8(255), 3, 2)),
        "grey16": (Image.fromarray(grey.astype(np.uint16) * 257), np.repeat(grey[..., None], 3, 2)),
    }
    indexed = Image.fromarray((grey % 3).astype(np.uint8))
    indexed.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    cases["indexed"] = (indexed, np.eye(3, dtype=np.uint8)[grey % 3] * 255)
    for name, (image, expected) in cases.items():
        picture = read_image(save(tmp_path / f"{name}.png", image))
        np.testing.assert_array_equal(picture.rgb, expected, err_msg=name)
        assert picture.rgb.dtype == np.uint8
        assert codes(picture) == (["sixteen_bit_reduced"] if name == "grey16" else []), name


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB"])
def test_transparency_is_laid_over_white(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8))
        image.putpalette([10, 20, 30, 200, 100, 0])
        path = save(tmp_path / "x.png", image, transparency=bytes([0, 51]))
        clear, faint = (255, 255, 255), (244, 224, 204)  # 0.2 × colour + 0.8 × white
        expected = np.array([[clear, faint], [faint, clear]])
    elif mode == "RGB":  # one colour declared transparent
        image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
        path, expected = save(tmp_path / "x.png", image, transparency=(1, 2, 3)), np.array([[[255] * 3, [4, 5, 6]]])
    else:
        bands = [[100, 0], [100, 51]] if mode == "LA" else [[100, 100, 100, 0], [100, 100, 100, 51]]
        path = save(tmp_path / "x.png", Image.fromarray(np.array([bands], np.uint8)))
        expected = np.array([[[255] * 3, [224] * 3]])
    picture = read_image(path)
    np.testing.assert_array_equal(picture.rgb, expected)
    assert codes(picture) == ["alpha_dropped"]


def test_opaque_alpha_is_not_mentioned(tmp_path: Path) -> None:
    opaque = np.dstack([RAMP, np.full((5, 7), 255, np.uint8)])
    picture = read_image(save(tmp_path / "x.png", Image.fromarray(opaque)))
    np.testing.assert_array_equal(picture.rgb, RAMP)
    assert picture.notes == ()


def test_sixteen_bit_colour_png_keeps_the_upper_byte_and_says_so(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + (RAMP[y].astype(np.uint16) * 256 + 7).astype(">u2").tobytes() for y in range(5))
    path = tmp_path / "x.png"
    path.write_bytes(png(7, 5, depth=16, data=rows))
    picture = read_image(path)
    np.testing.assert_array_equal(picture.rgb, RAMP)
    assert codes(picture) == ["sixteen_bit_reduced"]


def test_cmyk_jpeg(tmp_path: Path) -> None:
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[..., 1] = 255  # full magenta, no black
    picture = read_image(save(tmp_path / "x.jpg", _cmyk(cmyk), quality=95))
    assert np.abs(picture.rgb.astype(int) - [255, 0, 255]).max() <= 6


def _cmyk(values: np.ndarray) -> Image.Image:
    return Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(values[..., k])) for k in range(4)])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animation_gives_its_first_frame(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"x.{suffix}", frames[0], save_all=True, append_images=frames[1:], duration=50, **options)
    picture = read_image(path)
    assert (picture.rgb == [255, 0, 0]).all()
    assert codes(picture) == ["first_frame_only"]


def test_one_pixel_and_one_row(tmp_path: Path) -> None:
    assert read_image(save(tmp_path / "a.png", Image.new("RGB", (1, 1), "red"))).rgb.tolist() == [[[255, 0, 0]]]
    line = read_image(save(tmp_path / "b.png", Image.new("RGB", (30_000, 1), "red")), max_pixels=1000)
    assert line.rgb.shape == (1, 1000, 3)
    assert (line.rgb == [255, 0, 0]).all()


def test_shrinking_is_area_averaging_and_never_larger_than_asked(tmp_path: Path) -> None:
    checkers = (np.indices((300, 420)).sum(axis=0) % 2 * 255).astype(np.uint8)  # any skipped pixel would show
    path = save(tmp_path / "x.png", Image.fromarray(checkers))
    for limit in (300 * 420 // 4, 10_000, 5000, 1):
        picture = read_image(path, max_pixels=limit)
        assert picture.rgb.shape[0] * picture.rgb.shape[1] <= limit
        assert abs(picture.rgb.mean() - 127.5) < 1.5
        if limit != 10_000:  # whole-number factors: every block holds as many white as black pixels
            assert np.ptp(picture.rgb) <= 70
        assert codes(picture) == ["shrunk"]
    assert read_image(path, max_pixels=300 * 420).rgb.shape == (300, 420, 3)
    quarter = read_image(path, max_pixels=150 * 210).rgb
    np.testing.assert_allclose(quarter, 127.5, atol=1)


def test_fifty_megapixel_jpeg_is_decoded_small(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    photo = Image.new("L", (8160, 6120), 90)
    photo.paste(200, (0, 0, 4080, 6120))
    photo.save(path, quality=50)
    del photo
    modes: list[tuple[int, int]] = []
    original = Image.Image.crop

    def crop(self: Image.Image, *args: Any) -> Image.Image:
        modes.append(self.size)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "crop", crop)
        tracemalloc.start()
        picture = read_image(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert modes
    assert max(w * h for w, h in modes) <= 8160 * 6120 / 16 * 1.01  # a quarter of each side, never the full picture
    assert peak < 40e6
    assert picture.original_size == (8160, 6120)
    assert 2_000_000 < picture.rgb.shape[0] * picture.rgb.shape[1] <= 2_100_000
    assert abs(int(picture.rgb[600, 100, 0]) - 200) <= 2
    assert abs(int(picture.rgb[600, -100, 0]) - 90) <= 2


@pytest.mark.parametrize("size", [(100_000, 100_000), (8000, 8000), (2**31 - 1, 2**31 - 1), (60_000_001, 1)])
def test_bombs_are_refused_by_their_header(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    path = tmp_path / "x.png"
    path.write_bytes(png(*size, data=b"\0" * 100))
    assert refused("too_many_pixels", path).fields["limit"] == 60


def test_bomb_in_webp_and_gif_headers(tmp_path: Path) -> None:
    canvas = (16383).to_bytes(3, "little") * 2
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    (tmp_path / "x.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body)
    (tmp_path / "x.gif").write_bytes(b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b"\x2c" + bytes(20))
    for suffix in ("webp", "gif"):
        with pytest.raises(UploadError, match=r"megapixels|cannot|can be read"):
            read_image(tmp_path / f"x.{suffix}")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_cut_off_pictures_are_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    path = save(tmp_path / f"x.{suffix}", Image.fromarray(noise))
    assert read_image(path).rgb.shape == (60, 80, 3)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(UploadError) as caught:
        read_image(path)
    assert caught.value.code in ("truncated", "not_an_image")
    if suffix in ("png", "jpg", "bmp"):
        assert caught.value.code == "truncated"


@pytest.mark.parametrize(
    "data",
    [
        b"hello", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", b"<!doctype html><img src=x>",
        pickle.dumps({"a": 1}), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P6 1 1 255 \0\0\0",
        b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 4096,
    ],
)  # fmt: skip
def test_content_decides_not_the_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    assert refused("not_an_image", path).fields == {"name": "cat.png"}


def test_a_picture_under_a_wrong_name_is_read(tmp_path: Path) -> None:
    save(tmp_path / "x.png", Image.fromarray(RAMP)).rename(tmp_path / "notes.txt")
    np.testing.assert_array_equal(read_image(tmp_path / "notes.txt").rgb, RAMP)


def test_float_and_32_bit_tiff_are_refused_not_guessed(tmp_path: Path) -> None:
    refused("unsupported_pixels", save(tmp_path / "f.tiff", Image.fromarray(np.full((4, 4), 0.5, np.float32))))
    refused("unsupported_pixels", save(tmp_path / "i.tiff", Image.fromarray(np.full((4, 4), 70_000, np.int32))))


# --- arrays ---------------------------------------------------------------------------------------------------------


def array_refused(code: str, path: Path, **options: Any) -> None:
    with pytest.raises(UploadError) as caught:
        read_array(path, **options)
    assert caught.value.code == code


@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<i8", "f2", ">f4", "f8", "c8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_equal_in_native_order(tmp_path: Path, dtype: str, order: Any) -> None:
    values = np.asarray((np.arange(24).reshape(2, 3, 4) % 2).astype(dtype), order=order)
    np.save(tmp_path / "x.npy", values)
    np.savez_compressed(tmp_path / "x.npz", a=values, b=values[:0])
    loaded = read_array(tmp_path / "x.npy")["array"]
    np.testing.assert_array_equal(loaded, values)
    assert loaded.dtype.isnative
    assert loaded.dtype.kind == values.dtype.kind
    both = read_array(tmp_path / "x.npz")
    assert list(both) == ["a", "b"]
    np.testing.assert_array_equal(both["a"], values)
    assert both["b"].shape == (0, 3, 4)


def test_infinite_values_are_counted(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", good=np.ones(3), bad=np.array([np.nan, np.inf, 1, -np.inf]))
    (note,) = read_array(tmp_path / "x.npz").notes
    assert (note.code, note.fields) == ("not_finite", {"array": "bad", "count": 3})


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(self.path),))


def test_pickled_arrays_are_refused_and_never_executed(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    payload = np.array([Payload(str(mark))], dtype=object)
    np.save(tmp_path / "x.npy", payload, allow_pickle=True)
    np.savez(tmp_path / "x.npz", a=payload)
    (tmp_path / "raw.npy").write_bytes(pickle.dumps(payload))
    array_refused("pickled_array", tmp_path / "x.npy")
    array_refused("pickled_array", tmp_path / "x.npz")
    array_refused("not_an_array", tmp_path / "raw.npy")
    assert not mark.exists()
    np.load(tmp_path / "x.npy", allow_pickle=True)  # the payload does work
    assert mark.exists()


def npy(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (npy("(2**50,)"), "not_an_array"),
        (npy(f"({2**47},)"), "array_too_large"),  # a petabyte
        (npy(f"({2**32}, {2**32})"), "array_too_large"),  # whose product wraps to zero in 64 bits
        (npy(f"(0, {2**62})"), "array_too_large"),
        (npy("(-1,)"), "not_an_array"),
        (npy("(True,)"), "not_an_array"),
        (npy("(" + "1," * 33 + ")"), "not_an_array"),
        (npy("(2,)", data=b"\0" * 15), "truncated"),
        (npy("(1,)", "'<U4'", b"\0" * 16), "not_numeric"),
        (npy("(1,)", "'<M8[s]'", b"\0" * 8), "not_numeric"),
        (npy("(1,)", "[('a', '<f8')]", b"\0" * 8), "not_numeric"),
        (npy("(1,)", "'|O'"), "pickled_array"),
        (npy("(1,)", "[('a', '|O')]"), "pickled_array"),
        (npy("__import__('os')"), "not_an_array"),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31), "not_an_array"),
        (b"\x93NUMPY\x09\x00", "not_an_array"),
        (b"text", "not_an_array"),
        (b"PK\x03\x04" + b"\0" * 40, "not_an_array"),
    ],
)  # fmt: skip
def test_hostile_npy_headers(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    tracemalloc.start()
    array_refused(code, tmp_path / "x.npy")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_limit_on_bytes_is_exact(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(1000))
    assert read_array(tmp_path / "x.npy", max_bytes=8000)["array"].shape == (1000,)
    array_refused("array_too_large", tmp_path / "x.npy", max_bytes=7999)


def test_archives_are_weighed_before_they_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(name: str, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", method) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return tmp_path / name

    zeros = npy(f"({80_000_000},)", "'|u1'") + bytes(80_000_000)
    bomb = pack("bomb.npz", {"a.npy": zeros})
    many = pack("many.npz", {f"{k}.npy": npy("(0,)") for k in range(65)})
    odd = pack("odd.npz", {"a.npy": npy("(0,)")}, zipfile.ZIP_BZIP2)
    mixed = pack("mixed.npz", {"a.npy": npy("(0,)"), "b.txt": b"hello"})
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_a, **_k: pytest.fail("unpacked"))
    array_refused("zip_bomb", bomb)
    array_refused("archive_too_large", bomb, max_bytes=1000)
    array_refused("too_many_members", many)
    array_refused("unsupported_archive", odd)
    array_refused("not_an_array", mixed)


def test_a_directory_that_lies_about_size_gains_nothing(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy("(1000000,)", "'|u1'", bytes(1_000_000)))
        size = archive.infolist()[0].file_size
    (tmp_path / "x.npz").write_bytes(stream.getvalue().replace(struct.pack("<I", size), struct.pack("<I", 500)))
    tracemalloc.start()
    with pytest.raises(UploadError, match=r"^x\.npz"):
        read_array(tmp_path / "x.npz")
    assert tracemalloc.get_traced_memory()[1] < 500_000
    tracemalloc.stop()


# --- anything at all ------------------------------------------------------------------------------------------------


def seeds() -> list[bytes]:
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8))
    found: list[bytes] = []
    for kind, image in {
        "PNG": picture, "JPEG": picture, "WEBP": picture, "GIF": picture, "BMP": picture, "TIFF": picture,
        "PNG ": picture.convert("P"), "PNG  ": picture.convert("RGBA"), "TIFF ": picture.convert("CMYK"),
    }.items():  # fmt: skip
        stream = io.BytesIO()
        image.save(stream, kind.strip())
        found.append(stream.getvalue())
    for saver in (lambda s: np.save(s, rng.random((3, 4))), lambda s: np.savez_compressed(s, a=np.arange(9))):
        stream = io.BytesIO()
        saver(stream)
        found.append(stream.getvalue())
    return found


SEEDS = seeds()


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_any_bytes_give_a_record_or_an_upload_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        content = bytearray(data.draw(st.sampled_from(SEEDS)))
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, min(len(content) - 1, 200)))
            content[at] = data.draw(st.integers(0, 255))
        content = content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    else:
        content = data.draw(st.sampled_from([b"", *(seed[:8] for seed in SEEDS)])) + data.draw(st.binary(max_size=200))
    path = tmp_path_factory.getbasetemp() / "fuzz.bin"
    path.write_bytes(bytes(content))
    for read in (read_image, read_array):
        try:
            outcome: Any = read(path)
        except UploadError as error:
            outcome = str(error)
        assert not isinstance(outcome, str) or ("fuzz.bin" in outcome and str(path.parent) not in outcome)
