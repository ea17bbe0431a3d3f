"""Three segmenters without a network, so that any photo has a prediction to score: GrabCut, k-means and the watershed.

Source: Rother, Kolmogorov, Blake, "GrabCut", SIGGRAPH 2004; Arthur, Vassilvitskii, "k-means++", 2007; Meyer, "Color
image segmentation", 1992. All run in OpenCV on a copy whose longest side is at most 512 px (GrabCut: 320); labels
come back by nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
import numpy.typing as npt

from core.perception.label_maps import Labels, as_labels, check_num_classes, image_pair, refuse_labels

Photo: TypeAlias = npt.NDArray[np.uint8]

LONGEST_SIDE = 512  # px of the copy that is segmented
GRABCUT_SIDE = 320  # px; its graph cut takes three times as long at 512
LAB_RANGE = 100.0  # lightness of white in CIELAB, the unit in which position is weighed


def _reduced(photo: Photo, longest: int = LONGEST_SIDE) -> Photo:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise ValueError(f"photo must be an RGB uint8 (H, W, 3) image, got {photo.dtype} {photo.shape}")
    h, w = photo.shape[:2]
    scale = longest / max(h, w)
    if scale >= 1:
        return np.ascontiguousarray(photo)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _restored(labels: npt.NDArray[Any], photo: Photo) -> npt.NDArray[np.int32]:
    """Labels of the copy brought back to the photo's size."""
    h, w = photo.shape[:2]
    if labels.shape == (h, w):
        return labels.astype(np.int32)
    small_h, small_w = (int(n) for n in labels.shape)
    rows = np.array([(2 * y + 1) * small_h // (2 * h) for y in range(h)])  # pixel centres, so never past the last one
    columns = np.array([(2 * x + 1) * small_w // (2 * w) for x in range(w)])
    return labels[rows[:, None], columns].astype(np.int32)


def grabcut_segments(
    photo: Photo, *, box_xyxy: tuple[float, float, float, float], iterations: int = 5, seed: int = 0
) -> npt.NDArray[np.int32]:
    """Cut the object in a box out of its background.

    Convention: 1 is the object, 0 everything else; pixels outside the box are background for certain.

    Args:
        photo: (H, W, 3) RGB uint8.
        box_xyxy: left, top, right, bottom in px of the photo, right and bottom exclusive; must leave some background
            outside.
        iterations: rounds of fitting colours and cutting, at least 1.
        seed: of OpenCV's generator, which belongs to the thread: it is seeded here and cannot be put back.

    Returns:
        (H, W) int32 labels 0 and 1.

    Raises:
        ValueError: if the photo is no RGB uint8 image, or the box is empty, outside, or leaves no background.

    Source: Rother et al. 2004; cv2.grabCut.
    Differs: no user strokes.

    >>> photo = np.full((40, 40, 3), 30, np.uint8)
    >>> photo[10:30, 12:28] = (220, 40, 40)
    >>> print(int(grabcut_segments(photo, box_xyxy=(6, 6, 34, 34)).sum()))
    320
    """
    small = _reduced(photo, GRABCUT_SIDE)
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, got {iterations}")
    (h, w), (sh, sw) = photo.shape[:2], small.shape[:2]
    left, right = (round(min(max(x, 0), w) * sw / w) for x in box_xyxy[::2])
    top, bottom = (round(min(max(y, 0), h) * sh / h) for y in box_xyxy[1::2])
    if right <= left or bottom <= top:
        raise ValueError(f"box_xyxy must hold some of the {w}×{h} photo, got {box_xyxy}")
    if (right - left) * (bottom - top) == sw * sh:
        raise ValueError(f"box_xyxy must leave some background outside, got {box_xyxy} for a {w}×{h} photo")
    cv2.setRNGSeed(seed)
    mask = np.zeros((sh, sw), np.uint8)
    models = np.zeros((2, 1, 65))
    rect = (left, top, right - left, bottom - top)
    cv2.grabCut(small, mask, rect, models[0], models[1], iterations, cv2.GC_INIT_WITH_RECT)
    return _restored((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), photo)


def kmeans_segments(
    photo: Photo, *, clusters: int, seed: int = 0, position_weight: float = 0.0
) -> npt.NDArray[np.int32]:
    """Group pixels of like colour, and with a position weight of like place.

    Convention: colours are CIELAB; a weight of 1 makes crossing the longest side count as much as going from black
    to white. Labels are numbered by size, 0 the largest.

    Args:
        photo: (H, W, 3) RGB uint8.
        clusters: K, at least 1 and at most the number of pixels.
        seed: of OpenCV's generator, which belongs to the thread: it is seeded here and cannot be put back.
        position_weight: not negative; 0 looks at colour only.

    Returns:
        (H, W) int32 labels in 0..K-1.

    Raises:
        ValueError: if the photo is no RGB uint8 image or an argument is out of its range.

    Source: Arthur, Vassilvitskii 2007; cv2.kmeans.
    Differs: one attempt, at most 20 rounds.

    >>> photo = np.zeros((20, 30, 3), np.uint8)
    >>> photo[:, 20:] = 255
    >>> print(kmeans_segments(photo, clusters=2)[0, [0, 19, 20, 29]])
    [0 0 1 1]
    """
    small = _reduced(photo)
    h, w = small.shape[:2]
    if not 1 <= clusters <= h * w:
        raise ValueError(f"clusters must be at least 1 and at most the {h * w} pixels, got {clusters}")
    if not 0 <= position_weight < np.inf:
        raise ValueError(f"position_weight must not be negative, got {position_weight}")
    if clusters == 1:  # and OpenCV would take a single pixel's channels for pixels
        return np.zeros(photo.shape[:2], np.int32)
    lab = np.asarray(cv2.cvtColor(small.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32)
    y, x = np.mgrid[:h, :w].astype(np.float32) * np.float32(position_weight * LAB_RANGE / max(h, w))
    channels = [*np.moveaxis(lab, 2, 0), y, x] if position_weight else [*np.moveaxis(lab, 2, 0)]
    features = np.stack([channel.ravel() for channel in channels], axis=1)
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    found: Any = cv2.kmeans(features, clusters, np.empty(0, np.int32), stop, 1, cv2.KMEANS_PP_CENTERS)[1]
    size = np.bincount(found.ravel(), minlength=clusters)
    rank = np.empty(clusters, np.int32)
    rank[np.argsort(-size, kind="stable")] = np.arange(clusters)
    return _restored(rank[found.reshape(h, w)], photo)


def watershed_segments(photo: Photo, *, min_distance: int = 12, markers: Labels | None = None) -> npt.NDArray[np.int32]:
    """Flood the photo from seeds until the floods meet at edges.

    Convention: without markers the seeds are the places farthest from any edge (a gradient above Otsu's threshold)
    within `min_distance` px of the reduced copy. Labels are 0..S-1 in the order of the seeds, row by row. The
    watershed lines that OpenCV leaves between segments go to a neighbouring segment.

    Args:
        photo: (H, W, 3) RGB uint8.
        min_distance: smallest distance between seeds, px of the copy, at least 1; more gives fewer segments.
        markers: (H, W) integer, 0 unknown and s > 0 a seed of segment s, for strokes of one's own; or None.

    Returns:
        (H, W) int32 labels in 0..S-1; with markers, segment s has label s − 1.

    Raises:
        TypeError: if the markers do not hold integers.
        ValueError: if the photo is no RGB uint8 image, `min_distance` < 1, or the markers hold no seed or have
            another size.

    Source: Meyer 1992; cv2.watershed.
    Differs: no hierarchy, no merging.

    >>> photo = np.zeros((40, 60, 3), np.uint8)
    >>> photo[:, 30:] = 255
    >>> print(watershed_segments(photo)[20, [0, 28, 31, 59]])
    [0 0 1 1]
    """
    small = _reduced(photo)
    if min_distance < 1:
        raise ValueError(f"min_distance must be at least 1, got {min_distance}")
    if markers is None:
        seeds = _seeds(small, min_distance)
    else:
        strokes = as_labels(markers, name="markers")
        if strokes.shape != photo.shape[:2] or strokes.min() < 0:
            raise ValueError(f"markers must be {photo.shape[:2]} labels from 0 on, got {strokes.shape}")
        seeds = _shrunk_strokes(strokes, small.shape[:2])
        if not seeds.any():
            raise ValueError("markers must hold at least one seed, a label above 0, got none")
    framed = np.asarray(
        cv2.copyMakeBorder(small, 1, 1, 1, 1, cv2.BORDER_REPLICATE), np.uint8
    )  # OpenCV blanks the frame
    flooded = np.asarray(cv2.watershed(framed, np.pad(seeds, 1, mode="edge")), np.int32)[1:-1, 1:-1]
    while (line := flooded <= 0).any():  # -1 on the lines between segments
        grown = cv2.dilate(np.where(line, 0, flooded).astype(np.float32), np.ones((3, 3), np.uint8))
        flooded = np.where(line, np.asarray(grown, np.int32), flooded)
    return _restored(flooded - 1, photo)


def _seeds(small: Photo, min_distance: int) -> npt.NDArray[np.int32]:
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (5, 5), 0)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    if not gradient.any():
        return np.ones(small.shape[:2], np.int32)
    scaled = (gradient * (255 / gradient.max())).astype(np.uint8)
    smooth = np.asarray(cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1], np.uint8)
    away = np.asarray(cv2.distanceTransform(smooth, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    window = np.ones((2 * min_distance + 1, 2 * min_distance + 1), np.uint8)
    peak = (away == np.asarray(cv2.dilate(away, window), np.float32)) & (away > 0)
    if not peak.any():
        return np.ones(small.shape[:2], np.int32)
    return np.asarray(cv2.connectedComponents(peak.astype(np.uint8), connectivity=8)[1], np.int32)


def _shrunk_strokes(strokes: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Strokes at the copy's size; every stroke pixel is kept, the later one (row by row) where two fall together."""
    h, w = strokes.shape
    y, x = np.nonzero(strokes)
    seeds = np.zeros(size, np.int32)
    seeds[y * size[0] // h, x * size[1] // w] = strokes[y, x]
    return seeds


@dataclass(frozen=True, slots=True)
class NamedSegments:
    """Anonymous segments and the classes they were given."""

    labels: npt.NDArray[np.int32]  # (H, W) class of every pixel
    names: npt.NDArray[np.int64]  # (S,) class of every segment
    overlap: npt.NDArray[np.int64]  # (S, K) counted pixels of segment s whose target is class k
    assigned: npt.NDArray[np.bool_]  # (S,) named by the assignment; otherwise by majority


def name_segments(
    segments: Labels, target: Labels, *, num_classes: int, ignore_index: int | None = None
) -> NamedSegments:
    """Give anonymous segments the class names that suit them best.

    Convention: an oracle naming. It looks at the target, so the scores that follow are the best this segmentation
    could have
    got, not what a predictor would get: they flatter it. One segment per class by the assignment of the largest
    total overlap; segments left over (more segments than classes, or nothing in common with their class) take their
    majority class.

    Args:
        segments: (H, W) integer, 0..S-1.
        target: (H, W) integer.
        num_classes: K.
        ignore_index: target label to leave out, or None.

    Raises:
        TypeError: if a map does not hold integers.
        ValueError: if the shapes differ, a segment is negative, or a target label is out of range.

    Source: own; SciPy's linear_sum_assignment.
    Differs: nothing left out.

    >>> named = name_segments(np.array([[0, 0, 1, 2]]), np.array([[1, 1, 0, 1]]), num_classes=2)
    >>> print(named.names, named.labels, named.assigned)
    [1 0 1] [[1 1 0 1]] [ True  True False]
    """
    k = check_num_classes(num_classes)
    s, t = image_pair(segments, target)
    refuse_labels(t, name="target", num_classes=k, ignore_index=ignore_index, valid=np.ones(t.shape, np.bool_))
    if s.min(initial=0) < 0:
        raise ValueError(f"segments must be numbered from 0, got {int(s.min())}")
    total = int(s.max(initial=-1)) + 1
    counted = np.ones(t.shape, np.bool_) if ignore_index is None else t != ignore_index
    pairs = s[counted].astype(np.int64) * k + t[counted].astype(np.int64)
    overlap = np.reshape(np.bincount(pairs, minlength=total * k), (total, k))
    names = overlap.argmax(axis=1)
    assigned = np.zeros(total, np.bool_)
    # imported here, because it takes a noticeable part of the start-up
    from scipy.optimize import linear_sum_assignment  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    solve = cast("Callable[..., tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]", linear_sum_assignment)
    rows, columns = solve(overlap, maximize=True)
    shared = overlap[rows, columns] > 0
    names[rows[shared]], assigned[rows[shared]] = columns[shared], True
    return NamedSegments(names[s].astype(np.int32), names.astype(np.int64), overlap.astype(np.int64), assigned)
