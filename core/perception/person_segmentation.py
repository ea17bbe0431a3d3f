"""A picture into the bundled network that finds people, and its answer back onto the picture.

Source: MediaPipe, modules/selfie_segmentation/selfie_segmentation_cpu.pbtxt.
Notation: H × W picture, px.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.perception.graph_network import GraphNetwork, run_graph

SIDE = 256  # px of the square that the network sees
LIKELY = 0.5  # from here on a probability means yes

Photo = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PersonMask:
    """Where the segmentation network sees a person."""

    probability: Floats  # (H, W) 0…1, at the picture's size
    small: Floats  # (256, 256) 0…1, as the network answered, of the squeezed picture

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(H, W) where a person is more likely than not."""
        return self.probability >= LIKELY


def check_photo(image: Photo) -> None:
    """Refuse what is no picture.

    Convention: RGB bytes.

    Args:
        image: (H, W, 3) uint8.

    Raises:
        TypeError: if it does not hold bytes.
        ValueError: if its shape is not (H, W, 3).

    Source: own.
    Differs: nothing left out.

    >>> check_photo(np.zeros((2, 2, 3), np.uint8))
    """
    if image.dtype != np.uint8:
        raise TypeError(f"image must hold bytes, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")


def squeezed(image: Photo) -> Tensor:
    """(1, 3, 256, 256) float32 in [0, 1] of a picture, its sides stretched or squeezed to the network's.

    Convention: pixels that fall together are averaged; a picture with a side below 256 px is interpolated.

    Args:
        image: (H, W, 3) RGB bytes.

    Raises:
        TypeError, ValueError: as `check_photo`.

    Source: own.
    Differs: nothing left out.

    >>> print(squeezed(np.full((2, 3, 3), 255, np.uint8)).unique())
    tensor([1.])
    """
    check_photo(image)
    method = cv2.INTER_AREA if min(image.shape[:2]) >= SIDE else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=method)
    return torch.as_tensor(small).permute(2, 0, 1)[None].float() / 255


def enlarged(small: Floats, width: int, height: int) -> Floats:
    """A map at the size of a picture.

    Convention: linear between pixel centres, the border's value beyond them.

    Args:
        small: (h, w).
        width, height: px, at least 1.

    Raises:
        ValueError: if one is below 1.

    Source: cv2.resize.
    Differs: nothing left out.

    >>> print(enlarged(np.array([[0, 1]], np.float32), 4, 1))
    [[0.   0.25 0.75 1.  ]]
    """
    if min(width, height) < 1:
        raise ValueError(f"width and height must be at least 1, got {width} and {height}")
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def answers_to(network: GraphNetwork, x: Tensor) -> dict[str, Tensor]:
    """The network's answers by their names, on the device and in the type of its weights.

    Convention: as `run_graph`.

    Args:
        network: from `read_graph`.
        x: (B, C, H, W) on any device, of any type.

    Raises:
        ValueError: if x is not of the network's size.

    Source: own.
    Differs: nothing left out.

    >>> from core.perception.graph_network import read_graph
    >>> text = {"format": 1, "input": {"name": "x", "shape": [1, 1, 1]}, "nodes": [], "outputs": {"same": "x"}}
    >>> print(answers_to(read_graph(text, {}), torch.ones(1, 1, 1, 1)))
    {'same': tensor([[[[1.]]]])}
    """
    like = next((node.weight for node in network.nodes if node.weight is not None), x)
    return dict(run_graph(network, x.to(like)).outputs)


def segmentation_input(image: Photo) -> Tensor:
    """What the segmentation network sees: (1, 3, 256, 256) in [0, 1], the picture squeezed to a square.

    Convention: the aspect ratio is given up, as in the reference, and not a border added.

    Args:
        image: (H, W, 3) RGB bytes.

    Raises:
        TypeError, ValueError: as `check_photo`.

    Source: selfie_segmentation_cpu.pbtxt (keep_aspect_ratio: false, range 0 to 1).
    Differs: pixels that fall together are averaged; the reference reads single places between them, on a CPU from the
        pixels' corners, on a GPU from their centres.

    >>> print(segmentation_input(np.full((20, 30, 3), 51, np.uint8)).unique())
    tensor([0.2000])
    """
    return squeezed(image)


def segment_person(network: GraphNetwork, image: Photo) -> PersonMask:
    """Ask the segmentation network where a person is.

    Convention: the answer is a probability; the mask is where it is at least ½. The network was made for one or few people
    who fill much of the picture; it also takes animals and other salient things for people.

    Args:
        network: from `read_graph` and assets/models/person_segmentation.
        image: (H, W, 3) RGB bytes.

    Raises:
        TypeError, ValueError: as `check_photo`; ValueError if the network has no answer called "mask".

    Source: selfie_segmentation_cpu.pbtxt.
    Differs: as `segmentation_input`; nothing is smoothed over time.

    >>> layer = {"name": "mask", "op": "sigmoid", "inputs": ["one"], "shape": [1, 256, 256]}
    >>> first = {"name": "one", "op": "convolution", "inputs": ["x"], "shape": [1, 256, 256]}
    >>> text = {"format": 1, "input": {"name": "x", "shape": [3, 256, 256]}, "nodes": [first, layer], "outputs": {"mask": "mask"}}
    >>> from core.perception.graph_network import read_graph
    >>> found = segment_person(read_graph(text, {"one.weight": torch.ones(1, 3, 1, 1)}), np.zeros((8, 9, 3), np.uint8))
    >>> print(found.probability.shape, found.probability[0, 0], found.mask.all())
    (8, 9) 0.5 True
    """
    answers = answers_to(network, segmentation_input(image))
    if "mask" not in answers:
        raise ValueError(f"network must answer 'mask', got {', '.join(answers) or 'nothing'}")
    small: Floats = answers["mask"][0, 0].float().cpu().numpy()
    return PersonMask(enlarged(small, image.shape[1], image.shape[0]), small)
