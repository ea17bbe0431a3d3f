"""Video in and out: one pass over the frames with their true times, turned upright, and H.264 or GIF to show.

A file is never handed to a probe that could take it for a playlist and open what it names: its first bytes decide the
container, only that demuxer runs, and it reads from the open file alone.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Colorspace, VideoReformatter

from demos.kit.jobs import counted
from demos.kit.upload_errors import FilePath, NotAVideo, Note, NoVideoStream, Truncated, UploadError, open_upload

SNIFF_BYTES = 1024
MAX_FRAME_PIXELS = 36_000_000  # 8192 × 4320 passes
MAX_CLIP_BYTES = 400_000_000
_COVER_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_H264 = {"crf": "18", "preset": "veryfast"}
_BT709, _HDR_CURVES = 1, (16, 18)  # of a matrix, and PQ and HLG of transfer curves: ITU-T H.273
_FAILURES = (FFmpegError, OSError, ValueError, MemoryError)


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
    path: FilePath,
    *,
    max_frames: int = 300,
    max_seconds: float = 60.0,
    max_side: int = 960,
    max_bytes: int = MAX_CLIP_BYTES,
) -> Clip:
    """The first frames of a video, in one sequential pass.

    Damaged packets are passed over and counted; a file that breaks off gives what it has (note cut_off). Frames are
    scaled while they are decoded: to `max_side`, and further where the expected number of frames would exceed
    `max_bytes`. HDR is not tone-mapped.

    Raises:
        UploadError: NotAVideo, NoVideoStream, Truncated (no frame at all), EmptyFile, too_many_pixels, those of
            opening a file.
    """
    if max_frames < 1 or max_side < 16 or max_seconds < 0:
        raise ValueError(f"limits must be positive, got {max_frames=}, {max_side=}, {max_seconds=}")
    times: list[float] = []
    frames = np.empty((0, 0, 0, 3), np.uint8)
    capped: Note | None = None
    with open_video(path, max_side=max_side) as video:
        video.fit(max_bytes // video.expected_frames(max_frames, max_seconds))
        room = max_frames
        for rgb, seconds in counted(video, "reading", total=video.expected_frames(max_frames, max_seconds)):
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
        frames=frames[: len(times)],
        times=np.array(times),
        average_rate=rate if len(times) > 1 else 0.0,
        rotation=video.rotation,
        corrupted_packets=video.corrupted,
        truncated=video.broken_off,
        codec=video.codec,
        original_size=video.shown_size,
        notes=(*video.notes(), *((capped,) if capped else ())),
    )


def video_format(head: bytes) -> str | None:
    """FFmpeg's demuxer for a file that begins like this; None for everything that is not a video container admitted
    here."""
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
    """Counter-clockwise angle of a display matrix: nine native int32, of which [0] = cos and [1] = sin in 16.16 fixed
    point."""
    if len(matrix) < 36:
        return 0.0
    a, b = (float(value) for value in np.frombuffer(matrix[:8], np.int32))
    return -math.degrees(math.atan2(b, a))


def frame_rotation(frame: Any) -> int:
    """Counter-clockwise quarter turns that set a decoded frame upright; older PyAV gives only the matrix."""
    degrees = getattr(frame, "rotation", None)
    if degrees is None:
        degrees = next(
            (matrix_degrees(bytes(data)) for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), 0.0
        )
    return quarter_turns(degrees)


def _color_matrices(frame: Any) -> tuple[Colorspace | None, Colorspace | None]:
    """From which YCbCr to which, for `reformat`; RGB has none, but PyAV before 17 looks at the frame's own only if the
    two differ, and takes BT.601 otherwise."""
    is_709 = int(getattr(frame, "colorspace", 0) or 0) == _BT709
    return (Colorspace.ITU709, Colorspace.ITU601) if is_709 else (None, None)


def _is_cover(stream: Any) -> bool:
    """Whether a "video" is the picture on an album's cover."""
    flags = getattr(stream, "disposition", 0)
    return bool(int(getattr(flags, "value", flags)) & _COVER_PICTURE)


@contextmanager
def open_video(path: FilePath, *, max_side: int | None = None, as_stored: bool = False) -> Iterator[VideoReader]:
    """A video ready to be read once. `as_stored`: neither scaled nor stretched nor its colours blended, for masks."""
    with open_upload(path) as (file, name):
        demuxer = video_format(file.read(SNIFF_BYTES))
        file.seek(0)
        if demuxer is None:
            raise NotAVideo(name)
        try:
            container = av.open(
                file, format=demuxer, container_options={"protocol_whitelist": "none"}, metadata_errors="replace"
            )
        except _FAILURES:
            raise NotAVideo(name) from None
        with container:
            yield VideoReader(container, name, max_side=max_side, as_stored=as_stored)


class VideoReader:
    """Iterating, once, gives (RGB frame, seconds since the first); the attributes then say how it went."""

    def __init__(self, container: Any, name: str, *, max_side: int | None, as_stored: bool) -> None:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise NoVideoStream(name)
        self.name, self._container, self._stream, self._as_stored = name, container, streams[0], as_stored
        context = self._stream.codec_context
        if context is None:
            raise UploadError("unknown_codec", name=name)
        if context.width * context.height > MAX_FRAME_PIXELS:
            raise UploadError("too_many_pixels", name=name, limit=MAX_FRAME_PIXELS // 10**6)
        self._stream.thread_type = "AUTO"
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}  # a frame may be larger than its header said
        self.codec = {"libdav1d": "av1", "libaom-av1": "av1"}.get(context.name, str(context.name))
        rate = self._stream.average_rate
        self.average_rate = float(rate) if rate and 0 < rate <= 1000 else 0.0
        self.rotation = 0  # degrees counter-clockwise
        self.shown_size = (
            context.width,
            context.height,
        )  # (width, height) as a player shows it, exact from the first frame on
        self.corrupted = 0  # packets
        self.broken_off = False
        self._max_side, self._max_pixels = max_side or 2**31, 2**62
        self._size = self._unscaled = (0, 0)  # (width, height) of a frame before turning, scaled and not
        self._delivered, self._hdr = 0, False

    def fit(self, frame_bytes: int) -> None:
        """Scale frames to at most so many bytes of RGB, but not below 64 × 64."""
        self._max_pixels = max(64 * 64, frame_bytes // 3)

    def expected_frames(self, max_frames: int, max_seconds: float) -> int:
        """How many frames will come, by the file's own account; `max_frames` where it gives none."""
        length = self._end() - float((self._stream.start_time or 0) * self._stream.time_base)
        stated = self._stream.frames or (min(length, max_seconds) * self.average_rate if length < math.inf else 0)
        return int(min(max_frames, max(1, stated or max_frames, min(length, max_seconds) * self.average_rate / 2)))

    def notes(self) -> tuple[Note, ...]:
        """What a viewer should know about the decoding so far."""
        notes: list[Note] = []
        if self.corrupted:
            notes.append(Note("corrupted_packets", {"name": self.name, "count": self.corrupted}))
        if self.broken_off:
            notes.append(Note("cut_off", {"name": self.name, "kept": self._delivered}))
        if self.rotation:
            notes.append(Note("rotated", {"name": self.name}))
        if self._size != self._unscaled:
            width, height = self._size[::-1] if self.rotation % 180 else self._size
            before = "×".join(map(str, self.shown_size))
            notes.append(Note("shrunk", {"name": self.name, "before": before, "after": f"{width}×{height}"}))
        if self._hdr:
            notes.append(Note("hdr_not_toned", {"name": self.name}))
        return tuple(notes)

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        reformatter, interpolation = VideoReformatter(), "POINT" if self._as_stored else "AREA"
        step, first, last = 1 / (self.average_rate or 25.0), None, -1.0
        for frame in self._decoded():
            if self._size == (0, 0):
                self._measure(frame)
            width, height = self._size
            try:
                small = reformatter.reformat(
                    frame, width, height, "rgb24", *_color_matrices(frame), interpolation=interpolation
                )
                rgb = np.ascontiguousarray(np.rot90(small.to_ndarray(), self.rotation // 90))
            except _FAILURES:
                self.corrupted += 1
                continue
            now = frame.time if frame.time is not None else (first or 0.0) + last + step
            first = now if first is None else first
            last = now - first if now - first > last else last + step
            self._delivered += 1
            yield rgb, last

    def _measure(self, frame: Any) -> None:
        turns = frame_rotation(frame)
        width, height = frame.width, frame.height
        ratio = Fraction(1) if self._as_stored else Fraction(self._stream.sample_aspect_ratio or 1)
        if ratio != 1 and Fraction(1, 4) <= ratio <= 4:  # enlarge the short side of a pixel: nothing is lost
            width, height = (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
        scale = min(1.0, self._max_side / max(width, height), math.sqrt(self._max_pixels / (width * height)))
        self._unscaled, self._size = (width, height), (max(1, round(width * scale)), max(1, round(height * scale)))
        self.rotation, self.shown_size = 90 * turns, (height, width) if turns % 2 else (width, height)
        self._hdr = int(getattr(frame, "color_trc", 0) or 0) in _HDR_CURVES

    def _decoded(self) -> Iterator[Any]:
        packets, partial, end = self._container.demux(self._stream), False, -math.inf
        while True:
            try:
                packet = next(packets, None)
            except _FAILURES:
                self.broken_off = True
                break
            if packet is None:
                break
            if packet.size:
                partial = bool(getattr(packet, "is_corrupt", False))
            try:
                frames = packet.decode()
            except _FAILURES:
                self.corrupted += 1
                continue
            self.corrupted += bool(any(getattr(frame, "is_corrupt", False) for frame in frames))
            for frame in frames:
                if frame.time is not None:
                    end = max(end, frame.time + float((getattr(frame, "duration", 0) or 0) * frame.time_base))
                yield frame
        stated = self._end()
        self.broken_off |= partial or (stated < math.inf and end < stated - max(0.5, 0.1 * stated))

    def _end(self) -> float:
        """Seconds at which the stream ends by its header; infinity where it does not say."""
        if self._stream.duration:
            return float(((self._stream.start_time or 0) + self._stream.duration) * self._stream.time_base)
        # Matroska writes it as text; the whole file's length, another account, may be that of the sound.
        clock = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", self._stream.metadata.get("DURATION", ""), re.ASCII)
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3]) if clock else math.inf


# --- writing --------------------------------------------------------------------------------------------------------


def write_video(frames: Iterable[np.ndarray], path: FilePath, *, rate: float) -> None:
    """An MP4 that every browser plays: H.264, yuv420p, BT.709 and marked as such, the index in front.

    Args:
        frames: (H, W, 3) uint8 RGB each, all of one size; an odd side is made even by repeating its last row or column.
        rate: frames per second.

    Raises:
        ValueError: no frame, frames of different sizes or not RGB uint8, or a rate that is not positive.
    """
    if not 0 < rate <= 1000:
        raise ValueError(f"rate must lie between 0 and 1000 frames per second, got {rate}")
    checked = _checked(frames)
    first = next(checked)
    height, width = (first.shape[0] + 1) // 2 * 2, (first.shape[1] + 1) // 2 * 2
    with open(path, "wb") as file, av.open(file, "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=_H264)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = (
            1  # BT.709 in all three tables of ITU-T H.273
        )
        context.color_range = 1  # 16–235
        reformatter = VideoReformatter()
        for rgb in chain([first], checked):
            padded = np.pad(rgb, ((0, height - rgb.shape[0]), (0, width - rgb.shape[1]), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            yuv = reformatter.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU709)
            container.mux(stream.encode(yuv))
        container.mux(stream.encode())


def write_gif(frames: Iterable[np.ndarray], path: FilePath, *, rate: float) -> None:
    """An endless GIF. Its clock ticks in hundredths of a second, and below two of them browsers slow down: at most 50
    a second.

    Args:
        frames: (H, W, 3) uint8 RGB each, all of one size; equal neighbours are stored as one that lasts longer.
        rate: frames per second.

    Raises:
        ValueError: as `write_video`.
    """
    if not 0 < rate <= 1000:
        raise ValueError(f"rate must lie between 0 and 1000 frames per second, got {rate}")
    import imageio.v3 as iio  # slow to import, and rarely wanted

    ticks = max(2, round(100 / rate))
    iio.imwrite(
        os.fspath(path),
        np.stack(list(_checked(frames))),
        plugin="pillow",
        extension=".gif",
        duration=10 * ticks,
        loop=0,
    )


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    shape: tuple[int, ...] | None = None
    for k, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise ValueError(f"frame {k} must be (H, W, 3) uint8, got {frame.shape} {frame.dtype}")
        if shape not in (None, frame.shape):
            raise ValueError(f"frame {k} is {frame.shape}, the first is {shape}")
        shape = frame.shape
        yield frame
    if shape is None:
        raise ValueError("frames must hold at least one frame")
