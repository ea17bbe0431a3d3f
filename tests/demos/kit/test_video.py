"""Video: codecs, times, rotation, damage; every clip is encoded here."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from enum import Flag
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from demos.kit import video
from demos.kit.uploads import EmptyFile, NotAVideo, NoVideoStream, Truncated, UploadError
from demos.kit.video import Clip, frame_rotation, matrix_degrees, read_video, video_format, write_gif, write_video


class Flags(Flag):
    COVER = 0x400


QUIET = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12", "crf": "10"}}


def moving(count: int, *, height: int = 96, width: int = 128) -> np.ndarray:
    """Frame k is red with a white column at 4k and a brightness that tells k."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 0] = 160
    for k in range(count):
        frames[k, : height // 2, :, 2] = 6 * k
        frames[k, height // 2 :, 4 * k % width : 4 * k % width + 4] = 255
    return frames


def encode(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    rate: int = 25,
    times: Sequence[int] | None = None,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    sound: bool = False,
) -> Path:
    """Write frames; `times` are pts in thousandths of a second."""
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options={**QUIET.get(codec, {}), **(options or {})})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for k, rgb in enumerate(frames):
            frame: Any = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[k], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def in_a_process_of_its_own(path: Path, frames: np.ndarray, **options: Any) -> Path:
    """`encode`, for SVT-AV1: run as root it makes its process a real-time one (SCHED_FIFO 99), and a browser that
    inherits this starves the whole machine."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(encode, path, frames, **options).result()


def audio(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=44100)
        frame: Any = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def codes(clip: Clip) -> list[str]:
    return [note.code for note in clip.notes]


def refused(kind: type[UploadError], path: Path) -> UploadError:
    with pytest.raises(kind) as caught:
        read_video(path)
    assert str(path.parent) not in str(caught.value)
    return caught.value


# --- codecs and colours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("libx264", "mp4", "h264"), ("libx265", "mp4", "hevc"), ("libvpx-vp9", "webm", "vp9"), ("libsvtav1", "mp4", "av1"),
        ("libx264", "mkv", "h264"), ("mpeg4", "avi", "mpeg4"), ("libx264", "ts", "h264"), ("mpeg2video", "mpg", "mpeg2video"),
        ("libx264", "mov", "h264"), ("flv", "flv", "flv"), ("wmv2", "wmv", "wmv2"),
    ],
)  # fmt: skip
def test_every_frame_of_every_codec_in_order(tmp_path: Path, codec: str, suffix: str, name: str) -> None:
    frames = moving(20)
    write = in_a_process_of_its_own if codec == "libsvtav1" else encode
    path = write(
        tmp_path / f"x.{suffix}",
        frames,
        codec=codec,
        options={"b": "2000000"} if codec in ("mpeg4", "mpeg2video", "flv", "wmv2") else None,
    )
    clip = read_video(path.rename(tmp_path / "x.bin"))  # content decides
    assert clip.codec == name
    assert clip.frames.shape == frames.shape
    assert clip.frames.dtype == np.uint8
    assert clip.frames.flags.c_contiguous
    np.testing.assert_allclose(clip.times, np.arange(20) / 25, atol=1.1e-3)
    assert clip.times.dtype == np.float64
    assert abs(clip.average_rate - 25) < 0.01
    assert clip.original_size == (128, 96)
    assert not clip.truncated
    assert clip.corrupted_packets == 0
    assert clip.notes == ()
    column = (
        clip.frames[:, 60:90, :, 1].mean(axis=1).argmax(axis=1)
    )  # where the white column stands tells which frame it is
    assert np.abs(column - (4 * np.arange(20) + 1.5)).max() <= 2.5
    assert np.abs(clip.frames[..., 0, :, :1].astype(int) - 160).mean() < 12


def test_lossless_video_is_exact(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 40, 50, 3), np.uint8)
    clip = read_video(encode(tmp_path / "x.mkv", frames, codec="ffv1", pix_fmt="bgr0"))
    np.testing.assert_array_equal(clip.frames, frames)


def test_ten_bit_video(tmp_path: Path) -> None:
    clip = read_video(encode(tmp_path / "x.mp4", moving(5), codec="libx265", pix_fmt="yuv420p10le"))
    assert np.abs(clip.frames[0, 5:40, :, 0].astype(int) - 160).mean() < 6


# --- geometry and time ----------------------------------------------------------------------------------------------


def display_matrix(degrees: int) -> list[int]:
    """ISO 14496-12 6.2.2 for a counter-clockwise turn: x' = a x + c y and y' = b x + d y, with y pointing down."""
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    return [cos << 16, -sin << 16, 0, sin << 16, cos << 16, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("rotation", [90, 180, 270, -90])
def test_rotation_in_the_metadata_is_applied(tmp_path: Path, rotation: int) -> None:
    frames = np.zeros((3, 64, 96, 3), np.uint8)
    frames[:, :20, :30] = 255  # top left
    path = encode(tmp_path / "x.mp4", frames)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # where the track's header keeps its matrix
    assert struct.unpack(">9i", data[at : at + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = struct.pack(">9i", *display_matrix(rotation))
    path.write_bytes(bytes(data))
    clip = read_video(path)
    expected = np.rot90(frames[0], rotation // 90)
    assert clip.frames.shape[1:] == expected.shape
    assert np.abs(clip.frames[0].astype(int) - expected).mean() < 8
    assert clip.rotation == rotation % 360
    assert clip.original_size == expected.shape[1::-1]
    assert codes(clip) == ["rotated"]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_display_matrix_as_older_pyav_hands_it_over(degrees: int) -> None:
    matrix = struct.pack("=9i", *display_matrix(degrees))
    assert round(matrix_degrees(matrix)) % 360 == degrees

    class Data:
        type = SimpleNamespace(name="DISPLAYMATRIX")

        def __bytes__(self) -> bytes:
            return matrix

    assert frame_rotation(SimpleNamespace(side_data=[Data()])) == degrees // 90
    assert frame_rotation(SimpleNamespace(side_data=[])) == 0
    assert matrix_degrees(b"short") == 0


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path) -> None:
    wide = read_video(encode(tmp_path / "w.mp4", moving(2), aspect=Fraction(3, 2)))
    assert wide.frames.shape[1:3] == (96, 192)
    tall = read_video(encode(tmp_path / "t.mp4", moving(2), aspect=Fraction(1, 2)))
    assert tall.frames.shape[1:3] == (192, 128)
    assert tall.original_size == (128, 192)
    assert tall.notes == ()
    absurd = read_video(encode(tmp_path / "a.mp4", moving(2), aspect=Fraction(50, 1)))
    assert absurd.frames.shape[1:3] == (96, 128)


def test_variable_frame_rate_keeps_its_own_times(tmp_path: Path) -> None:
    times = [0, 40, 80, 500, 520, 1500]
    clip = read_video(encode(tmp_path / "x.mp4", moving(6), times=times))
    np.testing.assert_allclose(clip.times, np.array(times) / 1000, atol=1e-3)
    late = read_video(encode(tmp_path / "y.mkv", moving(6), times=[t + 3000 for t in times]))
    np.testing.assert_allclose(late.times, np.array(times) / 1000, atol=2e-3)  # counted from the first frame


def test_frames_without_times_are_spaced_by_the_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "x.mp4", moving(4))

    def untimed(self: Any) -> Any:
        for k in range(4):
            frame: Any = av.VideoFrame.from_ndarray(moving(4)[k], format="rgb24")
            yield frame

    monkeypatch.setattr(video.VideoReader, "_decoded", untimed)
    np.testing.assert_allclose(read_video(path).times, np.arange(4) / 25)


def test_large_frames_are_averaged_down_while_decoding(tmp_path: Path) -> None:
    frames = np.zeros((3, 480, 640, 3), np.uint8)
    frames[:, ::2] = 200  # lines of one pixel: skipping would show them
    clip = read_video(encode(tmp_path / "x.mp4", frames, options={"crf": "1"}), max_side=160)
    assert clip.frames.shape == (3, 120, 160, 3)
    assert np.abs(clip.frames.astype(int) - 100).max() < 12
    assert clip.original_size == (640, 480)
    (note,) = clip.notes
    assert (note.code, note.fields["before"], note.fields["after"]) == ("shrunk", "640×480", "160×120")


# --- limits ---------------------------------------------------------------------------------------------------------


def test_caps_on_frames_and_seconds(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mp4", moving(30))
    few = read_video(path, max_frames=7)
    assert len(few.frames) == len(few.times) == 7
    assert codes(few) == ["frames_capped"]
    assert not few.truncated
    assert codes(read_video(path, max_frames=30)) == []
    brief = read_video(path, max_seconds=0.2)
    assert len(brief.frames) == 6  # 0, 40, …, 200 ms
    assert codes(brief) == ["seconds_capped"]
    for options in ({"max_frames": 0}, {"max_side": 1}, {"max_seconds": -1.0}):
        with pytest.raises(ValueError, match="limits must be positive"):
            read_video(path, **options)  # pyright: ignore[reportArgumentType]


def test_memory_is_bounded_by_scaling_to_the_expected_number_of_frames(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mp4", moving(30, height=192, width=256))
    clip = read_video(path, max_bytes=30 * 192 * 256 * 3 // 4)
    assert len(clip.frames) == 30
    assert clip.frames.nbytes <= 30 * 192 * 256 * 3 // 4 * 1.02
    assert clip.frames.shape[1:3] == (96, 128)
    tiny = read_video(path, max_bytes=10 * 64 * 64 * 3)  # below 64 × 64 frames are dropped instead
    assert tiny.frames.nbytes <= 10 * 64 * 64 * 3
    assert {"shrunk", "frames_capped"} == set(codes(tiny))


def test_huge_frames_are_refused_by_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = encode(tmp_path / "x.mp4", moving(3))
    monkeypatch.setattr(video, "MAX_FRAME_PIXELS", 128 * 96 - 1)
    assert refused(UploadError, path).code == "too_many_pixels"


def test_a_frame_larger_than_its_header_said_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is also the decoder's own: with the check on the header taken away, no frame comes out."""
    path = encode(tmp_path / "x.mp4", moving(3, height=192, width=256))
    with video.open_video(path) as reader:
        context = reader._stream.codec_context
        context.options = {"max_pixels": "20000"}
        assert list(reader) == []
    assert reader.corrupted > 0


# --- damage ---------------------------------------------------------------------------------------------------------


def test_cut_off_after_the_index(tmp_path: Path) -> None:
    noisy = moving(40) // 2 + np.random.default_rng(0).integers(0, 90, (40, 96, 128, 3), np.uint8)
    path = encode(tmp_path / "x.mp4", noisy, options={"g": "10", "bf": "0"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    clip = read_video(path)
    assert 10 <= len(clip.frames) <= 30
    assert clip.truncated
    assert "cut_off" in codes(clip)
    assert next(n for n in clip.notes if n.code == "cut_off").fields["kept"] == len(clip.frames)
    path.write_bytes(data[:-30])
    nearly = read_video(path)
    assert len(nearly.frames) >= 38
    assert nearly.truncated  # not by its length, which is nearly right, but by its last packet
    path.write_bytes(data[: data.index(b"mdat") + 40])
    error = refused(Truncated, path)
    assert isinstance(error, Truncated)
    assert error.frames == 0


def test_cut_off_before_the_index(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:  # the index comes last
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width = 96, 128
        for rgb in moving(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    path.write_bytes(data[: data.index(b"moov") - 10])
    refused(NotAVideo, path)


def test_cut_off_webm(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mkv", moving(40), options={"g": "10"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    clip = read_video(path)
    assert 0 < len(clip.frames) < 40
    assert clip.truncated
    assert read_video(path, max_frames=3).truncated is False  # not known, and not of interest


def test_sound_that_outlasts_the_picture_is_no_damage(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv"):
        with av.open(str(tmp_path / f"x.{suffix}"), "w") as container:
            picture: Any = container.add_stream("libx264", rate=25)
            picture.height, picture.width = 96, 128
            sound: Any = container.add_stream("aac", rate=44100)
            for rgb in moving(10):
                container.mux(picture.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            for k in range(130):
                silence: Any = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
                silence.sample_rate, silence.pts = 44100, 1024 * k
                container.mux(sound.encode(silence))
            container.mux(picture.encode())
            container.mux(sound.encode())
        clip = read_video(tmp_path / f"x.{suffix}")
        assert len(clip.frames) == 10
        assert not clip.truncated


def test_flipped_bits_cost_packets_not_the_clip(tmp_path: Path) -> None:
    noisy = moving(40) // 2 + np.random.default_rng(0).integers(0, 90, (40, 96, 128, 3), np.uint8)
    path = encode(tmp_path / "x.mp4", noisy, codec="libx265", options={"g": "5"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    rng = np.random.default_rng(3)
    for at in rng.integers(start + (len(data) - start) // 4, len(data), 400):
        data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    clip = read_video(path)
    assert 8 <= len(clip.frames) <= 40
    assert clip.corrupted_packets > 0
    note = next(n for n in clip.notes if n.code == "corrupted_packets")
    assert note.fields["count"] == clip.corrupted_packets
    assert (np.diff(clip.times) > 0).all()


@pytest.mark.parametrize(
    "data",
    [
        b"hello world" * 50,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<?xml version='1.0'?><MPD></MPD>", b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100), b"ID3\x03" + bytes(200),
        b"\0\0\0\x20ftypisom" + bytes(200), b"\x1aE\xdf\xa3" + bytes(200), b"RIFF\0\0\0\0AVI " + bytes(200),
    ],
)  # fmt: skip
def test_what_is_no_video(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(data)
    assert refused(UploadError, path).code in ("not_a_video", "no_video_stream")
    if data[:4] not in (b"\x1aE\xdf\xa3", b"RIFF") and data[4:8] != b"ftyp":
        assert video_format(data) is None


def test_sound_alone_and_nothing_at_all(tmp_path: Path) -> None:
    refused(NoVideoStream, audio(tmp_path / "x.mp4"))
    for flags in (0x400, Flags.COVER, 0x400 | 1):  # a plain number in newer PyAV, an enumeration in older
        cover = SimpleNamespace(streams=SimpleNamespace(video=[SimpleNamespace(disposition=flags)]))
        with pytest.raises(NoVideoStream):
            video.VideoReader(cover, "x", max_side=None, as_stored=False)
    (tmp_path / "empty.mp4").write_bytes(b"")
    refused(EmptyFile, tmp_path / "empty.mp4")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_give_a_clip_or_an_upload_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    if not SEEDS:
        for codec, suffix in (("libx264", "mp4"), ("libvpx-vp9", "webm"), ("mpeg4", "avi"), ("libx264", "ts")):
            SEEDS.append(encode(folder / f"seed.{suffix}", moving(4, height=32, width=48), codec=codec).read_bytes())
        stream = io.BytesIO()
        pictures = [Image.fromarray(frame) for frame in moving(3, height=16, width=16)]
        pictures[0].save(stream, "GIF", save_all=True, append_images=pictures[1:])
        SEEDS.append(stream.getvalue())
    content = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    path = folder / "fuzz.bin"
    path.write_bytes(bytes(content))
    try:
        outcome: Any = read_video(path, max_frames=10)
    except UploadError as error:
        outcome = str(error)
    if isinstance(outcome, str):
        assert "fuzz.bin" in outcome
        assert str(folder) not in outcome
    else:
        assert len(outcome.frames) == len(outcome.times) > 0
        assert (np.diff(outcome.times) > 0).all()


SEEDS: list[bytes] = []


# --- writing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (1, 1)])
def test_written_mp4_is_what_browsers_play_and_reads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = np.zeros((8, *size, 3), np.uint8)
    frames[..., 0], frames[:, : size[0] // 2, :, 1] = 220, 130
    path = tmp_path / "x.mp4"
    write_video(iter(frames), path, rate=12.5)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.width % 2 == stream.height % 2 == 0
        assert int(stream.codec_context.colorspace) == 1  # marked as BT.709
        assert stream.average_rate == Fraction(25, 2)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is fully loaded
    clip = read_video(path)
    assert len(clip.frames) == 8
    back = clip.frames[:, : size[0], : size[1]].astype(int)
    assert np.abs(back - frames).mean() < (4 if size[0] > 1 else 8)
    assert clip.average_rate == 12.5


def test_written_gif_reads_back_with_its_times(tmp_path: Path) -> None:
    frames = np.zeros((4, 20, 30, 3), np.uint8)
    for k in range(4):
        frames[k, :, : 5 * k + 5] = (250, 0, 60 * k)
    write_gif(frames, tmp_path / "x.gif", rate=10)
    clip = read_video(tmp_path / "x.gif")
    assert np.abs(clip.frames.astype(int) - frames).max() <= 4
    np.testing.assert_allclose(clip.times, [0, 0.1, 0.2, 0.3])
    assert clip.codec == "gif"


@pytest.mark.parametrize("write", [write_video, write_gif])
def test_writers_name_what_is_wrong(tmp_path: Path, write: Any) -> None:
    good = np.zeros((4, 4, 3), np.uint8)
    for frames, message in (
        ([], "at least one"), ([good, good[:2]], "frame 1"), ([good.astype(float)], "uint8"), ([good[..., 0]], "frame 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            write(frames, tmp_path / "x.bin", rate=10)
    for rate in (0, -1, float("nan"), 1e9):
        with pytest.raises(ValueError, match="rate"):
            write([good], tmp_path / "x.bin", rate=rate)
