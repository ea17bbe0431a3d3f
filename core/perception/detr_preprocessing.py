"""What a DETR with an ImageNet backbone sees of a photograph.

Source: facebookresearch/detr datasets/transforms.py and datasets/coco.py (make_coco_transforms, "val").
Notation: S shortest side, M longest side allowed, px.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels, R G B in 0..1


def resized_shape(height: int, width: int, *, shortest: int = 800, longest: int = 1333) -> tuple[int, int]:
    """(height, width) in px after scaling: the shortest side becomes `shortest`, unless the other would exceed `longest`.

    Convention: the longer side is truncated to whole pixels, as in the reference.

    Args:
        height, width: px, at least 1.
        shortest, longest: px.

    Raises:
        ValueError: if a size is below 1.

    Source: datasets/transforms.py, get_size_with_aspect_ratio.
    Differs: nothing left out.

    >>> print(resized_shape(480, 640), resized_shape(100, 1000))
    (800, 1066) (133, 1330)
    """
    if min(height, width, shortest, longest) < 1:
        raise ValueError(f"sizes must be at least 1 px, got {height}×{width}, {shortest}, {longest}")
    low, high = min(height, width), max(height, width)
    size = shortest if high / low * shortest <= longest else max(1, round(longest * low / high))
    other = int(size * high / low)
    return (size, other) if height <= width else (other, size)


def imagenet_input(image: npt.NDArray[Any], *, shortest: int = 800, longest: int = 1333) -> Tensor:
    """(1, 3, h, w) float32: the picture scaled, then (value / 255 − mean) / deviation per channel.

    Convention: bilinear scaling; `resized_shape`.

    Args:
        image: (H, W, 3) RGB bytes.
        shortest, longest: px.

    Raises:
        TypeError: if the picture does not hold bytes.
        ValueError: if its shape is not (H, W, 3).

    Source: datasets/coco.py, make_coco_transforms.
    Differs: OpenCV's bilinear interpolation, without PIL's widening filter when shrinking.

    >>> print(imagenet_input(np.zeros((2, 3, 3), np.uint8), shortest=2).flatten(2)[0, :, 0])
    tensor([-2.1179, -2.0357, -1.8044])
    """
    import torch

    if image.dtype != np.uint8:
        raise TypeError(f"image must hold bytes, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
    height, width = resized_shape(image.shape[0], image.shape[1], shortest=shortest, longest=longest)
    scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_LINEAR)
    values = (scaled.astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
