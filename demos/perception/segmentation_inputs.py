"""Where truth and prediction come from: examples, uploads, painting, degrading, OpenCV or a network on a photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.example_masks import MaskPair, drifting_shapes, ellipse_mask, worked_example
from core.perception.mask_degradation import degrade
from core.perception.panoptic_quality import classes_of_ids
from core.perception.photo_segmentation import grabcut_segments, kmeans_segments, name_segments, watershed_segments
from core.perception.pixel_codes import MOST_CLASSES
from demos.kit.drawings import MAX_PIXELS, read_box, read_painting
from demos.kit.jobs import counted
from demos.kit.mask_sequences import MaskSequence, read_mask_sequence, read_mask_sequence_pair
from demos.kit.palettes import Palette, read_palette
from demos.kit.upload_errors import Note, UploadError, display_name
from demos.kit.uploads import Picture, read_image
from demos.kit.video import Clip
from demos.perception.segmentation_footage import LEAST_SIDE, check_proportions, person_labels, read_footage, under

if TYPE_CHECKING:
    from demos.perception.segmentation_metrics import Controls

ASSETS = Path(__file__).parents[2] / "assets"
MAX_FRAMES = 120
DISTANCE_PIXELS = 4_000_000  # boundary F, Hausdorff distances and Panoptic Quality of larger pictures take seconds
SHOWN_PIXELS = 2_100_000  # of one picture; of a clip, all frames together may have SHOWN_CLIP
SHOWN_CLIP = 6_000_000
PHOTOS = {"coffee": 5, "rocket": 2}  # bundled photographs with a truth drawn by hand: number of classes


@dataclass(frozen=True)
class Pairs:
    """Truth and prediction, ready to be compared."""

    targets: tuple[np.ndarray, ...]  # T × (H, W) integer labels
    predictions: tuple[np.ndarray, ...]  # T × (H, W)
    photo: np.ndarray | None  # (H, W, 3) uint8 under all masks
    num_classes: int
    ignore_index: int | None
    names: tuple[str, ...] | None = None  # (K,) from a palette file
    colors: np.ndarray | None = None  # (K, 3) uint8 from a palette or an indexed file
    times: np.ndarray | None = None  # (T,) seconds
    notes: tuple[Note, ...] = ()
    painting: np.ndarray | None = None  # (H, W) uint8: the map that the brush works on
    paints_truth: bool = False  # and whether that is the truth
    ids: tuple[np.ndarray, np.ndarray] | None = (
        None  # (H, W) each: instance ids of target and prediction, if the files hold them
    )
    footage: np.ndarray | None = None  # (T, h, w, 3) uint8: one frame under each mask, instead of a photo

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px."""
        height, width = self.targets[0].shape
        return height, width


def thinned(labels: np.ndarray, frames: int = 1) -> np.ndarray:
    """The map as it is shown: whole if it fits, else every n-th pixel (labels are never mixed)."""
    limit = SHOWN_PIXELS if frames == 1 else SHOWN_CLIP // frames
    if labels.size <= limit:
        return labels
    limit, step = limit // 2, 1  # thinned out anyway: then no more than a screen can show
    while -(-labels.shape[0] // step) * -(-labels.shape[1] // step) > limit:
        step += 1
    return labels[::step, ::step]


def paints_truth(values: Mapping[str, Any]) -> bool:
    """Whether the brush works on the truth: on a photo without a mask, unless the prediction is to be painted."""
    alone = values["source"] == "files" and not values["truth_files"]
    return alone and (values["painter"] == "truth" or values["predictor"] != "paint")


def _painted(text: str, size: tuple[int, int]) -> tuple[np.ndarray, tuple[Note, ...]]:
    """What was painted on a picture of this size; what was painted on another one is put aside, and said so."""
    empty = np.zeros(size, np.uint8)
    if not text:
        return empty, ()
    try:
        return read_painting(text, size=size), ()
    except UploadError as error:
        if error.code != "drawing_size":
            raise
        return empty, (Note("drawing_put_aside", dict(error.fields)),)


def pairs_of(c: Controls) -> Pairs:
    """Everything the controls say about truth and prediction.

    Raises:
        UploadError: what was uploaded or drawn cannot be used; one sentence says why.
    """
    pairs = _truth(c)
    pairs = _with_prediction(pairs, c)
    if c.predictor != "given":
        pairs = replace(pairs, ids=None)
    if paints_truth({"source": c.source, "truth_files": c.truth_files, "painter": c.painter, "predictor": c.predictor}):
        pairs = replace(pairs, painting=pairs.targets[0].astype(np.uint8), paints_truth=True)
    elif c.predictor == "paint":
        pairs = replace(pairs, painting=pairs.predictions[0].astype(np.uint8))
    if pairs.painting is not None and pairs.painting.size > MAX_PIXELS:
        raise UploadError("too_large_to_paint", limit=MAX_PIXELS // 1_000_000)
    if c.background == "ignored":
        void = 255 if pairs.ignore_index is None else pairs.ignore_index
        dropped = tuple(np.where(t == 0, np.asarray(void).astype(_holding(t, void)), t) for t in pairs.targets)
        pairs = replace(pairs, targets=dropped, ignore_index=void)
    return pairs


def _holding(labels: np.ndarray, value: int) -> Any:
    return labels.dtype if np.iinfo(labels.dtype).min <= value <= np.iinfo(labels.dtype).max else np.int32


# -- truth ---------------------------------------------------------------------------------------------------------------------------


def _truth(c: Controls) -> Pairs:
    if c.source in PHOTOS:
        photo, truth = bundled(c.source)
        return Pairs((truth,), (), photo, PHOTOS[c.source], None)
    if c.source == "files":
        return _uploaded(c)
    return _from_example(_example(c.source, c.lag))


@lru_cache(maxsize=8)
def bundled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Photograph (H, W, 3) and truth (H, W) of a bundled example."""
    photo = read_image(ASSETS / "images" / f"{name}.jpg").rgb
    truth = read_mask_sequence(ASSETS / "masks" / f"{name}.png").frames[0]
    return photo, truth


@lru_cache(maxsize=16)
def _example(source: str, lag: int) -> MaskPair:
    if source == "clip":
        return drifting_shapes(frames=48, lag=lag)
    if source == "ellipse":
        truth = ellipse_mask((480, 800), center=(400, 240), radii=(290, 170))
        return MaskPair((truth,), (truth,), 2, None)
    return worked_example()


def _from_example(pair: MaskPair) -> Pairs:
    return Pairs(pair.targets, pair.predictions, None, pair.num_classes, pair.ignore_index)


# Uploads are stored under their content's hash and never change: reading one twice is waste.
_palette = lru_cache(maxsize=8)(read_palette)


@lru_cache(maxsize=4)
def _sequences(
    truth: tuple[str, ...], prediction: tuple[str, ...], palette: str, ignore_index: int | None, lossy: bool
) -> tuple[MaskSequence, MaskSequence | None]:
    options: dict[str, Any] = {
        "palette": _palette(palette) if palette else None,
        "ignore_index": ignore_index,
        "allow_lossy": lossy,
        "max_frames": MAX_FRAMES,
    }
    if prediction:
        return read_mask_sequence_pair(list(truth), list(prediction), **options)
    return read_mask_sequence(list(truth), **options), None


def _uploaded(c: Controls) -> Pairs:
    photo = read_footage(c.photo[0], max_frames=MAX_FRAMES) if c.photo else None
    ignore = None if c.ignore_index < 0 else c.ignore_index
    if not c.truth_files:
        if photo is None:
            raise UploadError("nothing_uploaded")
        if isinstance(photo, Clip):
            raise UploadError("video_needs_truth")
        size = (photo.rgb.shape[0], photo.rgb.shape[1])
        truth, notes = _painted(c.truth_painted, size)
        if truth.max() >= MOST_CLASSES:  # no brush of ours paints such labels
            raise UploadError("drawing_broken")
        return Pairs((truth,), (), photo.rgb, max(c.classes, int(truth.max()) + 1), ignore, notes=photo.notes + notes)
    files = c.prediction_files if c.predictor == "given" else ()
    first, second = _sequences(c.truth_files, files, c.palette[0] if c.palette else "", ignore, c.lossy)
    ids = None
    if c.instances == "ids":
        ids = (first.frames[0], (second or first).frames[0])
        first = replace(first, frames=tuple(classes_of_ids(frame) for frame in first.frames))
        second = second and replace(second, frames=tuple(classes_of_ids(frame) for frame in second.frames))
    notes = (*first.notes, *(note for note in (second.notes if second else ()) if note not in first.notes))
    pairs = Pairs(
        first.frames,
        second.frames if second else (),
        under(photo, first.frames[0].shape) if isinstance(photo, Picture) else None,
        _count(first, second, ignore, display_name(c.truth_files[0])),
        ignore,
        first.names,
        first.palette,
        first.times,
        notes + (photo.notes if photo else ()),
        ids=ids,
        footage=_footage(photo, first) if isinstance(photo, Clip) else None,
    )
    if len({frame.shape for frame in pairs.targets}) > 1:
        raise UploadError("sizes_vary")
    return pairs


def _count(first: MaskSequence, second: MaskSequence | None, ignore: int | None, name: str) -> int:
    """Number of classes: what the labels need (the ignored one aside), or the palette names."""
    frames = first.frames + (second.frames if second else ())
    most = max(_extreme(frame, ignore, np.max) for frame in frames)
    least = min(_extreme(frame, ignore, np.min) for frame in first.frames)
    if least < 0:
        raise UploadError("label_out_of_range", name=name, label=least, limit=most)
    count = max(2, most + 1, len(first.names or ()))
    if count > MOST_CLASSES:
        raise UploadError("too_many_classes", name=name, count=count, limit=MOST_CLASSES)
    return count


def _extreme(labels: np.ndarray, ignore: int | None, of: Callable[..., Any]) -> int:
    """The largest or smallest label; ignored ones count as 0. They are looked for only where they could decide it."""
    found = int(of(labels, initial=0))
    if ignore is None or found != ignore:
        return found
    return int(of(np.where(labels == ignore, 0, labels), initial=0))


def _footage(clip: Clip, masks: MaskSequence) -> np.ndarray:
    """The clip's frames; as many as there are masks, of their proportions."""
    check_proportions(clip.frames.shape[2], clip.frames.shape[1], masks.frames[0].shape)
    if len(clip.frames) != len(masks.frames):
        raise UploadError("lengths_differ", first=len(masks.frames), second=len(clip.frames))
    return clip.frames


# -- prediction ----------------------------------------------------------------------------------------------------------------------


def _with_prediction(pairs: Pairs, c: Controls) -> Pairs:
    if c.predictor == "given":
        if pairs.predictions:
            return pairs
        return replace(pairs, predictions=pairs.targets, notes=(*pairs.notes, Note("prediction_is_truth", {})))
    if c.predictor == "degrade":
        targets = counted(pairs.targets, "degrading", total=len(pairs.targets))
        return replace(pairs, predictions=tuple(_degraded(pairs, frame, c) for frame in targets))
    if c.predictor == "person":
        labels, notes = person_labels(pairs, c.person_class)
        return replace(pairs, predictions=labels, notes=pairs.notes + notes)
    if pairs.targets[1:]:
        raise UploadError("one_picture_only")
    if c.predictor == "paint":
        painted, notes = _painted(c.painted, pairs.size)
        return replace(pairs, predictions=(painted,), notes=pairs.notes + notes)
    if pairs.photo is None:
        raise UploadError("photo_needed")
    return replace(pairs, predictions=(_segmented(pairs, c),))


def _degraded(pairs: Pairs, target: np.ndarray, c: Controls) -> np.ndarray:
    return degrade(
        target,
        num_classes=pairs.num_classes,
        erode=max(0, -c.grow),
        dilate=max(0, c.grow),
        shift=(c.shift_x, c.shift_y),
        drop_class=c.drop_class if 0 <= c.drop_class < pairs.num_classes else None,
        salt=c.salt,
        all_background=c.all_background,
        ignore_index=pairs.ignore_index,
    )


def _segmented(pairs: Pairs, c: Controls) -> np.ndarray:
    """OpenCV's segments of the photo, named after the truth they overlap most."""
    assert pairs.photo is not None
    height, width = pairs.size
    if min(height, width) < LEAST_SIDE:
        raise UploadError("photo_too_small", limit=LEAST_SIDE)
    if c.predictor == "grabcut":
        box = read_box(c.box, size=pairs.size) if c.box else (width * 0.1, height * 0.1, width * 0.9, height * 0.9)
        share = (box[2] - box[0]) * (box[3] - box[1]) / (width * height)
        try:
            segments = grabcut_segments(pairs.photo, box_xyxy=box)
        except ValueError as error:  # in the copy that is segmented the box fills the picture, or holds no pixel
            raise UploadError("box_too_large" if share > 0.5 else "box_too_small") from error
    elif c.predictor == "kmeans":
        segments = kmeans_segments(pairs.photo, clusters=c.clusters, position_weight=0.5)
    else:
        segments = watershed_segments(pairs.photo)
    return name_segments(
        segments, pairs.targets[0], num_classes=pairs.num_classes, ignore_index=pairs.ignore_index
    ).labels


__all__ = ["PHOTOS", "Pairs", "Palette", "pairs_of"]
