"""Which distribution is diffused: a ready one, modes that a visitor arranges, or the bright pixels of a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from demos.kit.drawings import read_boxes
from demos.kit.upload_errors import Note, UploadError
from demos.kit.uploads import read_image

if TYPE_CHECKING:
    import numpy as np

    from core.generative.mixtures import GaussianMixture
    from core.generative.scores import Score
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

IMAGES = Path(__file__).parents[2] / "assets" / "images"
REACH = 3.5  # the plane that is drawn is [−REACH, REACH]²
WEIGHTS = tuple(range(1, 10))  # of a mode, as the editor offers them
MODES = ((1.6, 0.9, 0.3, 0.3, 8), (-1.6, -0.9, 0.3, 0.3, 2))  # x, y, two standard deviations, weight
SPREADS = 2.0  # a mode's box reaches so many standard deviations from its middle
MOST_MODES = 12
PHOTO_PIXELS = 200_000
COMPONENTS = 96  # of a picture, at most
SHAPES = ("two_modes", "three_modes", "ring", "moons", "grid", "spiral")


@dataclass(frozen=True)
class Mode:
    """One mode of the editor."""

    id: str
    x: float
    y: float
    std_x: float
    std_y: float
    weight: int


@dataclass(frozen=True)
class Source:
    """The data's distribution, and where it comes from."""

    mixture: GaussianMixture  # in the plane
    modes: tuple[Mode, ...] = ()  # of the editor
    photo: np.ndarray | None = None  # (H, W, 3) uint8
    notes: tuple[Note, ...] = ()


class SourceControls(Protocol):
    """What says which distribution: the controls of every topic that starts from one."""

    @property
    def source(self) -> str: ...
    @property
    def photo(self) -> tuple[str, ...]: ...
    @property
    def dark(self) -> bool: ...
    @property
    def modes(self) -> str: ...


def source_of(c: SourceControls) -> Source:
    """The distribution that the controls name.

    Raises:
        UploadError: the picture cannot be used, or no mode is left; one sentence says why.
    """
    from core.generative.shapes import shape_mixture

    if c.source == "modes":
        modes = modes_of(c.modes)
        return Source(mixture_of(modes), modes)
    if c.source in ("photo", "rocket"):
        if c.source == "photo" and not c.photo:
            raise UploadError("diffusion_nothing_uploaded")
        return _of_picture(c.photo[0] if c.source == "photo" else str(IMAGES / "rocket.jpg"), c.dark)
    return Source(shape_mixture(c.source))  # type: ignore[arg-type]


def modes_of(edits: str) -> tuple[Mode, ...]:
    """The editor's modes after what was done to them.

    Raises:
        UploadError: the text is not one that the stage writes, or no mode is left, or there are too many.
    """
    found = {str(k): Mode(str(k), *mode) for k, mode in enumerate(MODES)}
    for edit in read_boxes(edits, sets=("m",), classes=len(WEIGHTS)):
        if edit.xyxy is None:
            found.pop(edit.id, None)
        elif edit.added or int(edit.id) < len(MODES):
            x0, y0, x1, y1 = edit.xyxy
            found[edit.id] = Mode(
                edit.id,
                (x0 + x1 - 1) * REACH,
                (1 - y0 - y1) * REACH,
                (x1 - x0) * REACH / SPREADS,
                (y1 - y0) * REACH / SPREADS,
                WEIGHTS[edit.label or 0],
            )
    if not found:
        raise UploadError("diffusion_no_mode")
    if len(found) > MOST_MODES:
        raise UploadError("diffusion_too_many_modes", count=len(found), limit=MOST_MODES)
    return tuple(found.values())


def mixture_of(modes: tuple[Mode, ...]) -> GaussianMixture:
    """Gaussians along the axes: exactly what the boxes say."""
    import torch

    from core.generative.mixtures import gaussian_mixture

    covariances = torch.tensor([[[m.std_x**2, 0.0], [0.0, m.std_y**2]] for m in modes], dtype=torch.float64)
    return gaussian_mixture([m.weight for m in modes], [[m.x, m.y] for m in modes], covariances)


def process_of(c: Controls) -> Process:
    from core.generative.sde import VE, VP, SubVP

    return {"vp": VP(), "subvp": SubVP(), "ve": VE()}[c.process]


def score_of(c: Controls, source: Source, process: Process) -> Score | None:
    """The exact score, or one with an error put in."""
    from core.generative.scores import ExactScore, inject_error

    if c.error_kind == "none" or not c.error_size:
        return None
    exact = ExactScore(source.mixture, process)
    return inject_error(exact, process, kind=c.error_kind, size=c.error_size)  # type: ignore[arg-type]


def direction_of(c: Controls) -> list[float]:
    return [math.cos(math.radians(c.angle)), math.sin(math.radians(c.angle))]


# Uploads are stored under their content's hash and never change: reading one twice is waste.
_picture: Any = lru_cache(maxsize=4)(read_image)


@lru_cache(maxsize=4)
def _of_picture(path: str, dark: bool) -> Source:
    from core.generative.shapes import picture_mixture

    picture = _picture(path, max_pixels=PHOTO_PIXELS)
    if int(picture.rgb.max()) == int(picture.rgb.min()):
        raise UploadError("diffusion_flat_picture")
    try:
        mixture = picture_mixture(picture.rgb, most=COMPONENTS, dark=dark)
    except ValueError as error:
        raise UploadError("diffusion_flat_picture") from error
    return Source(mixture, (), picture.rgb, picture.notes)
