"""Masks over time: many files, an archive of them, one (N, H, W) array, or a video."""

from __future__ import annotations

import io
import math
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

import numpy as np

from demos.kit.jobs import counted
from demos.kit.mask_files import Loaded, load_masks, lossy_colors, whole_numbers, with_table
from demos.kit.masks import resolve
from demos.kit.palettes import MAX_GUESSED, LossyColors, Palette
from demos.kit.upload_errors import (
    EmptyFile,
    FilePath,
    Note,
    Truncated,
    UploadError,
    clean_text,
    display_name,
    open_upload,
    refusing,
)
from demos.kit.uploads import checked_members, read_npy
from demos.kit.video import SNIFF_BYTES, open_video, video_format

MAX_ARCHIVE_BYTES = 256_000_000
MAX_MEMBERS = 2000  # of an archive, before system files are passed over
MAX_SEQUENCE_PIXELS = 300_000_000  # all frames together; a label takes one or two bytes
_SYSTEM_FILES = re.compile(r"(^|/)(__MACOSX/|\.|Thumbs\.db$|desktop\.ini$)")


@dataclass(frozen=True, slots=True)
class MaskSequence:
    """Label masks of one size, in order."""

    frames: tuple[np.ndarray, ...]  # T × (H, W) labels, all of one dtype
    times: np.ndarray | None  # (T,) float64 seconds from the first frame; None where the files carry no time
    palette: np.ndarray | None  # (K, 3) uint8, as in LabelMask
    names: tuple[str, ...] | None  # (K,)
    notes: tuple[Note, ...]


def read_mask_sequence(
    paths: FilePath | Sequence[FilePath],
    *,
    palette: Palette | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    allow_lossy: bool = False,
    max_frames: int = 600,
) -> MaskSequence:
    """A sequence of masks, with one meaning for all frames; what a colour or a value means is told at
    `masks.read_masks`.

    Several files are ordered by name with numbers read as numbers (frame2 before frame10), as are the members of a
    .zip or .npz. A single .npy or .npz may hold (N, H, W). A video is taken frame by frame; its pixels go to the
    nearest colour of `palette`, or of the colours that fill the flat regions of its first frames (note
    video_mask_snapped). What exceeds `max_frames` or MAX_SEQUENCE_PIXELS is left off (note frames_capped); more files
    than `max_frames` are refused.

    Raises:
        UploadError: no_files, too_many_files, sizes_differ, unsafe_archive, nested_archive, Truncated, and those of
            `read_masks`.
    """
    (sequence,) = _read([paths], palette, num_classes, ignore_index, allow_lossy, max_frames)
    return sequence


def read_mask_sequence_pair(
    targets: FilePath | Sequence[FilePath],
    predictions: FilePath | Sequence[FilePath],
    *,
    palette: Palette | None = None,
    num_classes: int | None = None,
    ignore_index: int | None = None,
    allow_lossy: bool = False,
    max_frames: int = 600,
) -> tuple[MaskSequence, MaskSequence]:
    """Truth and prediction with one meaning, one size and the same number of frames.

    Raises:
        UploadError: lengths_differ, and those of `read_mask_sequence`.
    """
    first, second = _read([targets, predictions], palette, num_classes, ignore_index, allow_lossy, max_frames)
    if len(first.frames) != len(second.frames):
        raise UploadError("lengths_differ", first=len(first.frames), second=len(second.frames))
    (h1, w1), (h2, w2) = first.frames[0].shape, second.frames[0].shape
    if (h1, w1) != (h2, w2):
        raise UploadError("sizes_differ", first=f"{w1}×{h1}", second=f"{w2}×{h2}")
    return first, second


@dataclass(slots=True)
class _Part:
    """One sequence as stored."""

    loaded: list[Loaded]
    times: np.ndarray | None
    notes: list[Note]


def _read(
    groups: Sequence[FilePath | Sequence[FilePath]],
    palette: Palette | None,
    num_classes: int | None,
    ignore_index: int | None,
    allow_lossy: bool,
    max_frames: int,
) -> list[MaskSequence]:
    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    lists = [[group] if isinstance(group, (str, os.PathLike)) else list(group) for group in groups]
    parts: list[_Part | None] = [
        None if _is_video(files) else _load_files(files, palette, allow_lossy, max_frames) for files in lists
    ]
    # Videos come last: what the exact files of the call show decides which colours the smeared ones are snapped to.
    lossy = lossy_colors([mask for part in parts if part for mask in part.loaded], palette)
    whole = [part or _load_video(files[0], lossy, max_frames) for part, files in zip(parts, lists, strict=True)]
    flat = [with_table(mask, lossy) for part in whole for mask in part.loaded]
    resolved = iter(resolve(flat, palette=palette, num_classes=num_classes, ignore_index=ignore_index))
    sequences: list[MaskSequence] = []
    for part in whole:
        masks = [next(resolved) for _ in part.loaded]
        notes = (*part.notes, *_merged([note for mask in masks for note in mask.notes]))
        sequences.append(
            MaskSequence(tuple(m.labels for m in masks), part.times, masks[0].palette, masks[0].names, notes)
        )
    return sequences


def _merged(notes: Sequence[Note]) -> list[Note]:
    """One note per code: what every frame repeats is said once, pixels counted per frame are added up."""
    merged: dict[str, Note] = {}
    for note in notes:
        first = merged.setdefault(note.code, note)
        if first is not note and note.code in ("jpeg_mask_smeared", "alpha_as_background"):
            sums = {
                key: int(first.fields[key]) + int(note.fields[key]) for key in ("count", "total") if key in note.fields
            }
            merged[note.code] = Note(note.code, {**first.fields, **sums})
    return list(merged.values())


# --- files, archives, arrays, video ---------------------------------------------------------------------------------


def _load_files(paths: Sequence[FilePath], palette: Palette | None, allow_lossy: bool, max_frames: int) -> _Part:
    if not paths:
        raise UploadError("no_files")
    if len(paths) > max_frames:
        raise UploadError("too_many_files", count=len(paths), limit=max_frames)
    if len(paths) == 1:
        with open_upload(paths[0]) as (file, name):
            head = file.read(6)
            file.seek(0)
            if head[:4] == b"PK\x03\x04":
                return _load_archive(file, name, palette, allow_lossy, max_frames)
            if head == b"\x93NUMPY":
                return _load_array(file, name, max_frames)
    sources = [partial(open_upload, path) for path in sorted(paths, key=natural_key)]
    return _same_size(load_masks(sources, palette=palette, allow_lossy=allow_lossy, max_pixels=MAX_SEQUENCE_PIXELS))


def _same_size(loaded: list[Loaded]) -> _Part:
    for mask in loaded:
        if mask.stored.shape != loaded[0].stored.shape:
            (h1, w1), (h2, w2) = loaded[0].stored.shape, mask.stored.shape
            raise UploadError("frame_size_differs", name=mask.name, size=f"{w2}×{h2}", expected=f"{w1}×{h1}")
    return _Part(loaded, None, [])


def _load_array(file: IO[bytes], name: str, max_frames: int) -> _Part:
    """(H, W) is one frame, (N, H, W) and (N, H, W, 1) are N."""
    array = read_npy(file, name, max_bytes=MAX_ARCHIVE_BYTES)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.size == 0:
        raise UploadError("wrong_shape", name=name, shape=str(array.shape), expected="(N, H, W)")
    notes = [Note("frames_capped", {"name": name, "kept": max_frames})] if len(array) > max_frames else []
    labels = whole_numbers(array[:max_frames], name)
    return _Part([Loaded(name, "values", frame, None, None) for frame in labels], None, notes)


def _load_archive(file: IO[bytes], name: str, palette: Palette | None, allow_lossy: bool, max_frames: int) -> _Part:
    """Members are read where they lie and never unpacked to disk; their names serve for order and for sentences
    only."""
    with refusing("damaged_archive", name), zipfile.ZipFile(file) as archive:
        members = checked_members(archive, name, max_members=MAX_MEMBERS, max_bytes=MAX_ARCHIVE_BYTES)
        if any(".." in re.split(r"[\\/]", m.filename) or m.filename.startswith(("/", "\\")) for m in members):
            raise UploadError("unsafe_archive", name=name)
        members = [member for member in members if not _SYSTEM_FILES.search(member.filename)]
        if not members:
            raise UploadError("no_files")
        if len(members) > max_frames:
            raise UploadError("too_many_files", count=len(members), limit=max_frames)
        members.sort(key=lambda member: natural_key(member.filename))
        sources = [partial(_open_member, archive, member) for member in members]
        if len(members) == 1:
            with sources[0]() as (stream, inner):
                if stream.read(6) == b"\x93NUMPY":
                    stream.seek(0)
                    return _load_array(stream, inner, max_frames)
        return _same_size(load_masks(sources, palette=palette, allow_lossy=allow_lossy, max_pixels=MAX_SEQUENCE_PIXELS))


@contextmanager
def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[tuple[IO[bytes], str]]:
    name = display_name(member.filename)
    with refusing("truncated", name):
        data = archive.read(member)
    if not data:
        raise EmptyFile(name)
    if data[:4] == b"PK\x03\x04":
        raise UploadError("nested_archive", name=name)
    yield io.BytesIO(data), name


def _is_video(paths: Sequence[FilePath]) -> bool:
    if len(paths) != 1:
        return False
    with open_upload(paths[0]) as (file, _):
        return video_format(file.read(SNIFF_BYTES)) is not None


def _load_video(path: FilePath, lossy: LossyColors, max_frames: int) -> _Part:
    loaded: list[Loaded] = []
    times: list[float] = []
    notes: list[Note] = []
    moved = pixels = 0
    with open_video(path, as_stored=True) as video:
        name = video.name
        for rgb, seconds in counted(video, "reading", total=video.expected_frames(max_frames, math.inf)):
            if len(loaded) == max_frames or pixels + rgb.shape[0] * rgb.shape[1] > MAX_SEQUENCE_PIXELS:
                notes.append(Note("frames_capped", {"name": name, "kept": len(loaded)}))
                break
            index, count = lossy.snap(
                rgb, lambda n: UploadError("photo_not_mask", name=name, count=n, limit=MAX_GUESSED)
            )
            loaded.append(Loaded(name, "colors", index, None, None, lossy=True))
            times.append(seconds)
            moved, pixels = moved + count, pixels + index.size
        notes += video.notes()
    if not loaded:
        raise Truncated(name, 0)
    if moved:
        notes.append(Note("video_mask_snapped", {"name": name, "count": moved, "total": pixels}))
    return _Part(loaded, np.array(times), notes)


# --- order and pairs ------------------------------------------------------------------------------------------------


def natural_key(path: FilePath) -> tuple[tuple[int, int, str], ...]:
    """Sort key by a file's own name: numbers as numbers, letters without regard to case, the folder last.

    >>> sorted(["frame10.png", "frame2.png", "Frame1.png"], key=natural_key)
    ['Frame1.png', 'frame2.png', 'frame10.png']
    """
    whole = os.fspath(path)
    name = whole.replace("\\", "/").rsplit("/", 1)[-1]
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    # A number is compared by its length without leading zeros, then digit by digit: int() would refuse thousands of
    # digits.
    key = [(0, len(d := part.lstrip("0")), d) if part[0] in "0123456789" else (1, 0, part) for part in parts]
    return (*key, (-1, 0, name), (-1, 0, whole))


def pair_by_name(targets: Sequence[FilePath], predictions: Sequence[FilePath]) -> list[tuple[FilePath, FilePath]]:
    """Truth and prediction files in pairs.

    Equal names (without their endings) belong together; where no name occurs on both sides, equal last numbers in the
    names do (gt_007, pred_007); where there are none either, natural order decides, and the counts must be equal.

    Raises:
        UploadError: no_files, or unmatched_files naming what has no partner.
    """
    if not targets or not predictions:
        raise UploadError("no_files")
    left, right = sorted(targets, key=natural_key), sorted(predictions, key=natural_key)
    for key in (_stem, _last_number):
        by_left, by_right = {key(path): path for path in left}, {key(path): path for path in right}
        unique = len(by_left) == len(left) and len(by_right) == len(right) and "" not in {*by_left, *by_right}
        if not unique or not by_left.keys() & by_right.keys():
            continue
        if by_left.keys() == by_right.keys():
            return [(path, by_right[name]) for name, path in by_left.items()]
        alone = [by_left[k] for k in by_left if k not in by_right] + [by_right[k] for k in by_right if k not in by_left]
        raise _unmatched(len(left), len(right), alone)
    if len(left) != len(right):
        longer, shorter = (left, right) if len(left) > len(right) else (right, left)
        raise _unmatched(len(left), len(right), longer[len(shorter) :])
    return list(zip(left, right, strict=True))


def _stem(path: FilePath) -> str:
    return os.path.splitext(os.fspath(path).replace("\\", "/").rsplit("/", 1)[-1])[0].casefold()


def _last_number(path: FilePath) -> str:
    numbers = re.findall(r"[0-9]+", _stem(path))
    return numbers[-1].lstrip("0") or "0" if numbers else ""


def _unmatched(targets: int, predictions: int, alone: Sequence[FilePath]) -> UploadError:
    names = ", ".join(clean_text(display_name(path), limit=24) for path in alone[:3])
    return UploadError("unmatched_files", targets=targets, predictions=predictions, names=names, count=len(alone))
