"""demos.perception.simcc_heads: the bundled network's answers as the lens tells them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.perception.heatmap_keypoints import decode_heatmap
from core.perception.simcc import decode_simcc
from demos.perception.simcc_heads import HEADS, head_numbers, heads_of, network_residuals


def test_answers_are_the_decoders_own() -> None:
    h = heads_of(12, occluded=False)
    assert h.found.shape == (len(HEADS), 13, 2)
    for i, how in enumerate(("argmax", "dark")):
        assert (h.found[i] == decode_heatmap(h.heatmaps, input_size=(64, 96), decoder=how).keypoints).all()  # type: ignore[arg-type]
    assert (h.found[2] == decode_simcc(h.simcc_x, h.simcc_y, split_ratio=2).keypoints).all()
    for k in (0, 6):
        values = [n.value for n in head_numbers(h, k)]
        assert values[: len(HEADS)] == pytest.approx(
            [math.dist(h.found[i, k], h.scene.keypoints[k]) for i in range(len(HEADS))]
        )
    assert h.means == pytest.approx(np.hypot(*np.moveaxis(h.errors, -1, 0)).mean(axis=1))


def test_residuals_of_figures_that_nobody_saw() -> None:
    found = network_residuals(3)
    assert found.shape[1] == 2
    assert 30 <= len(found) <= 39
    assert np.abs(found).max() < 8
