"""Average precision as SimCC's authors print it: quoted, because it needs COCO and their weights.

Source: README of leeyegy/SimCC (arXiv:2107.03332), SimpleBaseline with ResNet-50, COCO val2017.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.perception.heatmap_keypoints import Size


@dataclass(frozen=True, slots=True)
class PublishedAP:
    """One line of the table."""

    input_size: Size  # (width, height), px
    heatmap: float  # AP in %, argmax on the heatmap
    shifted: float  # AP in %, with the quarter shift
    simcc: float  # AP in %, SimCC (SimDR in the first version)


def published_ap() -> tuple[PublishedAP, ...]:
    """The table, smallest input first.

    Source: README of leeyegy/SimCC.
    Differs: nothing left out.

    >>> for line in published_ap():
    ...     print(line.input_size, line.heatmap, line.shifted, line.simcc)
    (64, 64) 25.8 34.4 40.8
    (128, 128) 55.4 60.3 62.6
    (192, 256) 68.5 70.4 71.4
    """
    return (
        PublishedAP((64, 64), 25.8, 34.4, 40.8),
        PublishedAP((128, 128), 55.4, 60.3, 62.6),
        PublishedAP((192, 256), 68.5, 70.4, 71.4),
    )
