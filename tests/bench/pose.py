"""Labels of a pose network: 17 joints as SimCC and as heatmaps, on one thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.perception.heatmap_keypoints import decode_heatmap, encode_heatmap
from core.perception.simcc import decode_simcc, encode_simcc
from tests.bench.segmentation import threads
from tests.bench.table import Row, versus
from tests.oracles.libraries import mmpose_codec

INPUT, MAP, JOINTS = (192, 256), (48, 64), 17


def measure() -> Iterator[Row]:
    points, visible = np.random.default_rng(0).random((JOINTS, 2)) * INPUT, np.ones(JOINTS)
    heatmaps = mmpose_codec("msra_heatmap.MSRAHeatmap")(INPUT, MAP, 2)
    theirs = mmpose_codec("simcc_label.SimCCLabel")(INPUT, "standard", simcc_split_ratio=2.0, label_smooth_weight=0.1)
    what = f"SimCC labels of {JOINTS} joints, {INPUT[0]}×{INPUT[1]}, k = 2"

    def ours() -> object:
        return encode_simcc(points, visible, input_size=INPUT)

    def drawn(center: str = "rounded") -> object:
        return encode_heatmap(points, visible, input_size=INPUT, heatmap_size=MAP, center=center)  # type: ignore[arg-type]

    with threads(1):
        yield versus(what, ours, "heatmaps 48×64, ours", drawn, at_least=5)
        yield versus(
            what, ours, "heatmaps 48×64, mmpose", lambda: heatmaps.encode(points[None], visible[None]), at_least=5
        )
        yield versus(what, ours, "heatmaps 48×64 unrounded, ours", lambda: drawn("exact"))
        yield versus(what, ours, "SimCC labels, mmpose", lambda: theirs.encode(points[None], visible[None]))
        label, maps = (
            encode_simcc(points, visible, input_size=INPUT),
            encode_heatmap(points, visible, input_size=INPUT, heatmap_size=MAP),
        )
        for decoder in ("argmax", "shift", "dark"):
            yield versus(
                f"SimCC decoding of {JOINTS} joints",
                lambda: decode_simcc(label.simcc_x, label.simcc_y, split_ratio=2.0),
                f"heatmaps, {decoder}, ours",
                lambda decoder=decoder: decode_heatmap(maps.heatmaps, input_size=INPUT, decoder=decoder),  # type: ignore[arg-type]
            )
