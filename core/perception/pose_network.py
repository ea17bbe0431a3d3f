"""A picture into the bundled pose network, and its landmarks, heatmaps and mask back onto the picture.

Source: Bazarevsky et al., "BlazePose", arXiv:2006.10204; MediaPipe, modules/pose_landmark (pose_landmark_by_roi_cpu,
tensors_to_pose_landmarks_and_segmentation and pose_landmarks_to_roi, all .pbtxt).
Notation: H × W picture, px; places count from the picture's top left corner, so pixel i covers i to i + 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from core.perception.graph_network import GraphNetwork
from core.perception.person_segmentation import LIKELY, SIDE, Floats, Photo, answers_to, check_photo, enlarged, squeezed

LANDMARKS = (
    *("nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer"),
    *("left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky"),
    *("left_index", "right_index", "left_thumb", "right_thumb", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel", "right_heel"),
    *("left_foot_index", "right_foot_index"),
)
AUXILIARY = ("body_centre", "body_reach", "auxiliary_35", "auxiliary_36", "auxiliary_37", "auxiliary_38")
HEATMAPS = (*LANDMARKS, *AUXILIARY)  # 39: what each heatmap is of
SKELETON = (  # pairs of LANDMARKS that a drawing joins
    *((0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10)),
    *((11, 12), (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19), (12, 14), (14, 16), (16, 18), (16, 20)),
    *((16, 22), (18, 20), (11, 23), (12, 24), (23, 24), (23, 25), (25, 27), (27, 29), (27, 31), (29, 31)),
    *((24, 26), (26, 28), (28, 30), (28, 32), (30, 32)),
)
NEIGHBOURHOOD = 7  # cells on a side that a landmark is refined from
REACH = 1.25  # of the crop that follows a pose, beyond the circle around the body


@dataclass(frozen=True, slots=True)
class Crop:
    """The square of the picture that the pose network looks at; beyond the picture its border is repeated."""

    left: int  # px, may be negative
    top: int  # px, may be negative
    side: int  # px

    def to_picture(self, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(…, 2) x, y as shares of the square -> px of the picture."""
        return shares * self.side + np.array([self.left, self.top], np.float64)


@dataclass(frozen=True, slots=True)
class PoseEstimate:
    """What the pose network says of one crop."""

    crop: Crop
    score: float  # how sure it is that there is a person, 0…1; below ½ everything else is made up
    landmarks: npt.NDArray[
        np.float64
    ]  # (33, 3) x, y px of the picture as regressed; z px towards the viewer negative, hips 0
    refined: npt.NDArray[np.float64]  # (33, 2) x, y px, moved to the centre of mass of the heatmap around it
    visibility: npt.NDArray[np.float64]  # (33,) 0…1, in the crop and not hidden
    presence: npt.NDArray[np.float64]  # (33,) 0…1, inside the crop, hidden or not
    auxiliary: npt.NDArray[np.float64]  # (6, 2) x, y px of AUXILIARY
    heatmaps: Floats  # (39, 64, 64) 0…1, of HEATMAPS, over the crop; they do not sum to 1
    world: npt.NDArray[np.float64]  # (33, 3) m, from the middle of the hips
    probability: Floats  # (H, W) 0…1: the same network's mask of the person; 0 outside the crop


def whole_crop(height: int, width: int) -> Crop:
    """The square around a whole picture, centred.

    Convention: an odd pixel goes to the right or to the bottom.

    Args:
        height, width: px, at least 1.

    Raises:
        ValueError: if one is below 1.

    Source: MediaPipe's ImageToTensorCalculator with keep_aspect_ratio.
    Differs: whole pixels.

    >>> print(whole_crop(720, 1280))
    Crop(left=0, top=-280, side=1280)
    """
    if min(height, width) < 1:
        raise ValueError(f"height and width must be at least 1, got {height} and {width}")
    side = max(height, width)
    return Crop(-((side - width) // 2), -((side - height) // 2), side)


def box_crop(box_xyxy: tuple[float, float, float, float], *, reach: float = REACH) -> Crop:
    """The square around a box that holds a person.

    Convention: as long as the box's longer side, times `reach`, around its centre.

    Args:
        box_xyxy: left, top, right, bottom, px, right and bottom exclusive.
        reach: at least 1.

    Raises:
        ValueError: if the box is empty or not finite, or reach is below 1.

    Source: RectTransformationCalculator with square_long.
    Differs: whole pixels; the reference takes its first square from a detector's key points, and turns it upright.

    >>> print(box_crop((10, 20, 30, 100)))
    Crop(left=-30, top=10, side=100)
    """
    left, top, right, bottom = box_xyxy
    if not (left < right and top < bottom and math.isfinite(right - left + bottom - top) and 1 <= reach < math.inf):
        raise ValueError(f"box_xyxy must hold something and reach be at least 1, got {box_xyxy} and {reach}")
    side = max(1, round(max(right - left, bottom - top) * reach))
    return Crop(round((left + right - side) / 2), round((top + bottom - side) / 2), side)


def next_crop(found: PoseEstimate, *, reach: float = REACH) -> Crop:
    """The square for the next look at the same person: in the next frame, or closer in the same picture.

    Convention: a circle around the auxiliary point body_centre through body_reach holds the body; the square goes `reach`
    times as far.

    Args:
        found: from `estimate_pose`.
        reach: at least 1.

    Raises:
        ValueError: if reach is below 1.

    Source: pose_landmarks_to_roi.pbtxt.
    Differs: whole pixels, not turned upright, not smoothed over time.

    >>> nothing, box = np.zeros(0), np.zeros((0, 2))
    >>> points = np.array([[50.0, 60.0], [50.0, 20.0]])
    >>> found = PoseEstimate(Crop(0, 0, 100), 1.0, box, box, nothing, nothing, points, box, box, box)
    >>> print(next_crop(found))
    Crop(left=0, top=10, side=100)
    """
    (x, y), (far_x, far_y) = found.auxiliary[:2]
    radius = max(0.5, math.hypot(far_x - x, far_y - y))
    return box_crop((x - radius, y - radius, x + radius, y + radius), reach=reach)


def pose_input(image: Photo, crop: Crop) -> Tensor:
    """What the pose network sees: (1, 3, 256, 256) in [0, 1], the crop of the picture.

    Convention: beyond the picture its border pixels are repeated, as in the reference.

    Args:
        image: (H, W, 3) RGB bytes.
        crop: side at least 1, and no more than eight times as long as the picture.

    Raises:
        TypeError, ValueError: as `check_photo`; ValueError if the crop's side is out of range.

    Source: pose_landmark_by_roi_cpu.pbtxt (keep_aspect_ratio: true, range 0 to 1).
    Differs: as `segmentation_input`.

    >>> row = np.repeat(np.array([[0, 255]], np.uint8)[..., None], 3, axis=2)
    >>> print(pose_input(row, Crop(0, 0, 2))[0, 0, [0, 255]][:, [0, 255]].tolist())
    [[0.0, 1.0], [0.0, 1.0]]
    """
    check_photo(image)
    height, width = image.shape[:2]
    if not 1 <= crop.side <= 8 * max(height, width):
        raise ValueError(f"crop must have a side from 1 to {8 * max(height, width)} px here, got {crop.side}")
    rows = np.arange(crop.top, crop.top + crop.side).clip(0, height - 1)
    columns = np.arange(crop.left, crop.left + crop.side).clip(0, width - 1)
    return squeezed(image[rows][:, columns])


def refine_landmarks(
    shares: npt.NDArray[np.float64], heatmaps: Floats, *, neighbourhood: int = NEIGHBOURHOOD, least: float = LIKELY
) -> npt.NDArray[np.float64]:
    """Move each landmark to the centre of mass of its heatmap in the cells around it.

    Convention: MediaPipe's: a cell's place is its number, so its left and top edge, not its middle: refined landmarks lie
    half a cell (1/128 of the crop) up and to the left of where pixel centres would put them. A landmark keeps its place
    where no cell around it reaches `least`, or it lies outside.

    Args:
        shares: (n, 2) x, y as shares of the crop.
        heatmaps: (n, h, w) probabilities.
        neighbourhood: cells on a side, odd; fewer at the border.
        least: probability, 0…1.

    Raises:
        ValueError: if the numbers of landmarks and heatmaps differ, or the neighbourhood is not odd and positive.

    Source: refine_landmarks_from_heatmap_calculator.cc.
    Differs: a landmark below the last row keeps its place as well; there, rows beyond the map are read.

    >>> peak = np.zeros((1, 4, 4), np.float32)
    >>> peak[0, 1, 2] = 0.9
    >>> print(refine_landmarks(np.array([[0.4, 0.4]]), peak))
    [[0.5  0.25]]
    """
    if shares.shape != (len(heatmaps), 2) or heatmaps.ndim != 3:
        raise ValueError(f"shares must be (n, 2) and heatmaps (n, h, w), got {shares.shape} and {heatmaps.shape}")
    if neighbourhood < 1 or neighbourhood % 2 == 0:
        raise ValueError(f"neighbourhood must be odd and at least 1, got {neighbourhood}")
    _, height, width = heatmaps.shape
    refined, reach = shares.astype(np.float64), neighbourhood // 2
    for k, heatmap in enumerate(heatmaps):
        column, row = math.floor(shares[k, 0] * width), math.floor(shares[k, 1] * height)
        if not (0 <= column < width and 0 <= row < height):
            continue
        top, left = max(0, row - reach), max(0, column - reach)
        part = heatmap[top : row + reach + 1, left : column + reach + 1].astype(np.float64)
        if part.max() >= least and part.sum() > 0:
            y, x = np.mgrid[top : top + part.shape[0], left : left + part.shape[1]]
            refined[k] = (x * part).sum() / part.sum() / width, (y * part).sum() / part.sum() / height
    return refined


def estimate_pose(network: GraphNetwork, image: Photo, crop: Crop | None = None) -> PoseEstimate:
    """Ask the pose network about one person.

    Convention: visibility, presence, heatmaps and mask are probabilities (the network's numbers through a sigmoid). Landmarks
    are told with subpixels; `landmarks` are the regressed ones, `refined` what MediaPipe shows.

    Args:
        network: from `read_graph` and assets/models/pose_landmarks.
        image: (H, W, 3) RGB bytes.
        crop: where the person is; None looks at the whole picture. A person should fill most of it.

    Raises:
        TypeError, ValueError: as `pose_input`; ValueError if the network has other answers than the pose network's.

    Source: tensors_to_pose_landmarks_and_segmentation.pbtxt.
    Differs: answers come also where the score is below ½, and then mean little; no detector, no turning upright, no smoothing.

    >>> print(len(LANDMARKS), len(HEATMAPS), len(SKELETON), LANDMARKS[15])
    33 39 35 left_wrist
    """
    check_photo(image)
    height, width = image.shape[:2]
    crop = crop or whole_crop(height, width)
    answers = {name: answer[0].double().cpu() for name, answer in answers_to(network, pose_input(image, crop)).items()}
    wanted = {"landmarks", "presence", "mask_logits", "heatmap_logits", "world_landmarks"}
    if set(answers) != wanted:
        raise ValueError(
            f"network must answer {', '.join(sorted(wanted))}, got {', '.join(sorted(answers)) or 'nothing'}"
        )
    rows: Any = answers["landmarks"].reshape(len(HEATMAPS), 5)  # x, y, z in px of the crop, visibility, presence
    heatmaps: Floats = answers["heatmap_logits"].sigmoid().float().numpy()
    likely: npt.NDArray[np.float64] = rows[:, 3:].sigmoid().numpy()
    shares: npt.NDArray[np.float64] = rows[:, :3].numpy() / SIDE
    n = len(LANDMARKS)
    points = crop.to_picture(shares[:, :2])
    return PoseEstimate(
        crop,
        float(answers["presence"][0]),
        np.column_stack([points, shares[:, 2] * crop.side])[:n],
        crop.to_picture(refine_landmarks(shares[:, :2], heatmaps))[:n],
        likely[:n, 0],
        likely[:n, 1],
        points[n:],
        heatmaps,
        answers["world_landmarks"].reshape(-1, 3).numpy()[:n],
        _laid_out(answers["mask_logits"].sigmoid()[0].float().numpy(), crop, height, width),
    )


def _laid_out(small: Floats, crop: Crop, height: int, width: int) -> Floats:
    """The crop's mask at its place in the picture."""
    whole = np.zeros((height, width), np.float32)
    left, top = max(0, crop.left), max(0, crop.top)
    right, bottom = min(width, crop.left + crop.side), min(height, crop.top + crop.side)
    if left < right and top < bottom:
        square = enlarged(small, crop.side, crop.side)
        whole[top:bottom, left:right] = square[top - crop.top : bottom - crop.top, left - crop.left : right - crop.left]
    return whole
