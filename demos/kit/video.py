"""Video in and out: one pass over the frames with their true times, turned upright, and H.264 or GIF to show.

A file is never handed to a probe that could take it for a playlist and open what it names: its first bytes decide the container,
only that demuxer runs, and it reads from the open file alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import IO, Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from demos.kit.upload_errors import FilePath, Note, NotAVideo, NoVideoStream, Truncated, UploadError, open_upload

SNIFF_BYTES = 1024
MAX_FRAME_PIXELS = 36_000_000  # 8192 × 4320 passes
MAX_CLIP_BYTES = 400_000_000
_HDR_CURVES = (16, 18)  # PQ and HLG, ITU-T H.273 table 3
_FAILURES = (av.FFmpegError, OSError, ValueError, MemoryError)


@dataclass(frozen=True, slots=True)
class Clip:
    """A visitor's video as far as it was read."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB, upright, square pixels
    times: np.ndarray  # (T,) float64 seconds from the first frame, strictly increasing: sample by these, not by number
    average_rate: float  # frames per second, 0 for a single frame
    rotation: int  # degrees counter-clockwise by which the stored frames were turned: 0, 90, 180, 270
    corrupted_packets: int  # packets that could not be decoded, or gave a frame marked as damaged
    truncated: bool  # the file breaks off before its own end
    codec: str  # "h264", "hevc", "vp9", "av1", …
    original_size: tuple[int, int]  # (width, height) as shown by a player, px
    notes: tuple[Note, ...]


def read_video(
    path: FilePath, *, max_frames: int = 300, max_seconds: float = 60.0, max_side: int = 960, max_bytes: int = MAX_CLIP_BYTES
) -> Clip:
    """The first frames of a video, in one sequential pass.

    Damaged packets are passed over and counted; a file that breaks off gives what it has (note cut_off). Frames are scaled while
    they are decoded: to `max_side`, and further where the expected number of frames would exceed `max_bytes`. HDR is not tone-mapped.

    Raises:
        UploadError: NotAVideo, NoVideoStream, Truncated (no frame at all), EmptyFile, too_many_pixels, those of opening a file.
    """
    if max_frames < 1 or max_side < 2 or max_seconds < 0:
        raise ValueError(f"limits must be positive, got {max_frames=}, {max_side=}, {max_seconds=}")
    times: list[float] = []
    frames = np.empty((0, 0, 0, 3), np.uint8)
    capped: Note | None = None
    with open_video(path, max_side=max_side) as video:
        video.fit(max_bytes // (3 * video.expected_frames(max_frames, max_seconds)))
        room = max_frames
        for rgb, seconds in video:
            if not times:
                room = max(1, min(max_frames, max_bytes // rgb.nbytes))
                frames = np.empty((room, *rgb.shape), np.uint8)  # pages that no frame fills are never taken
            if len(times) == room:
                capped = Note("frames_capped", {"name": video.name, "kept": room})
                break
            if seconds > max_seconds:
                capped = Note("seconds_capped", {"name": video.name, "seconds": f"{max_seconds:g}"})
                break
            frames[len(times)] = rgb
            times.append(seconds)
    if not times:
        raise Truncated(video.name, 0)
    rate = video.average_rate or (len(times) - 1) / max(times[-1], 1e-9)
    return Clip(
        frames[: len(times)], np.array(times), rate if len(times) > 1 else 0.0, video.rotation, video.corrupted, video.broken_off,
        video.codec, video.shown_size, (*video.notes(), *((capped,) if capped else ())),
    )  # fmt: skip


def video_format(head: bytes) -> str | None:
    """FFmpeg's demuxer for a file that begins like this; None for everything that is not a video container admitted here."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"):
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    if head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] == b"\x47":
        return "mpegts"
    starts = {
        b"\x1aE\xdf\xa3": "matroska", b"GIF8": "gif", b"OggS": "ogg", b"FLV\x01": "flv",
        b"0&\xb2u\x8ef\xcf\x11": "asf", b"\x00\x00\x01\xba": "mpeg", b"\x00\x00\x01\xb3": "mpegvideo",
    }  # fmt: skip
    return next((name for magic, name in starts.items() if head.startswith(magic)), None)


def quarter_turns(degrees: float) -> int:
    """Counter-clockwise quarter turns for `np.rot90`; angles between them go to the nearest.

    >>> [quarter_turns(d) for d in (0, 90, -90, 180, -180, 270, 91.5)]
    [0, 1, 3, 2, 2, 3, 1]
    """
    return round(degrees / 90) % 4 if math.isfinite(degrees) else 0


def matrix_degrees(matrix: bytes) -> float:
    """Counter-clockwise angle of a display matrix: nine native int32, of which [0] = cos and [1] = sin in 16.16 fixed point."""
    if len(matrix) < 36:
        return 0.0
    a, b = (float(value) for value in np.frombuffer(matrix[:8], np.int32))
    return -math.degrees(math.atan2(b, a))


def frame_rotation(frame: Any) -> int:
    """Counter-clockwise quarter turns that set a decoded frame upright; older PyAV gives only the matrix."""
    degrees = getattr(frame, "rotation", None)
    if degrees is None:
        degrees = next((matrix_degrees(bytes(data)) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), 0.0)
    return quarter_turns(degrees)


@contextmanager
def open_video(path: FilePath, *, max_side: int | None = None, as_stored: bool = False) -> Iterator[VideoReader]:
    """A video ready to be read once. `as_stored`: neither scaled nor stretched nor its colours blended, for masks."""
    with open_upload(path) as (file, name):
        demuxer = video_format(file.read(SNIFF_BYTES))
        file.seek(0)
        if demuxer is None:
            raise NotAVideo(name)
        try:
            container = av.open(file, format=demuxer, options={"protocol_whitelist": "none"}, metadata_errors="replace")
        except _FAILURES:
            raise NotAVideo(name) from None
        with container:
            yield VideoReader(container, name, max_side=max_side, as_stored=as_stored)


class VideoReader:
    """Iterating gives (RGB frame, seconds since the first); afterwards the attributes say how it went."""

    def __init__(self, container: Any, name: str, *, max_side: int | None, as_stored: bool) -> None:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise NoVideoStream(name)
        self.name, self._container, self._stream, self._as_stored = name, container, streams[0], as_stored
        self._max_side = max_side
        context = self._stream.codec_context
        if context is None:
            raise UploadError("unknown_codec", name=name)
        self._refuse_huge(context.width, context.height)
        self._stream.thread_type = "AUTO"
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        self.codec = {"libdav1d": "av1", "libaom-av1": "av1"}.get(context.name, context.name.removeprefix("lib"))
        rate = self._stream.average_rate
        self.average_rate = float(rate) if rate and 0 < rate <= 1000 else 0.0
        self.rotation = 0  # degrees counter-clockwise, known with the first frame
        self.corrupted = 0
        self.decoded = 0
        self.broken_off = False
        self.hdr = False
        self._size: tuple[int, int] | None = None  # (width, height) before turning, fixed by the first frame
        self._stored_size = (context.width, context.height)
        self._pixels: int | None = None
        self._reformatter = VideoReformatter()
