"""core.perception.box_annotations against plain loops and PyTorch's softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.box_annotations import confident_logits, label_map_boxes
from core.perception.boxes import cxcywh_to_xyxy


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))
def test_boxes_are_the_extents_of_their_pixels(height: int, width: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, (height, width))
    found = label_map_boxes(labels, classes=(3, 1))
    expected = {}
    for index, value in enumerate((3, 1)):
        spots = [(y, x) for y in range(height) for x in range(width) if labels[y, x] == value]
        if spots:
            ys, xs = zip(*spots, strict=True)
            expected[index] = (min(xs) / width, min(ys) / height, (max(xs) + 1) / width, (max(ys) + 1) / height)
    assert found.labels.tolist() == sorted(expected)
    if expected:
        np.testing.assert_allclose(cxcywh_to_xyxy(found.boxes), [expected[k] for k in sorted(expected)], atol=1e-12)


def test_a_map_without_the_classes_has_no_boxes() -> None:
    found = label_map_boxes(np.zeros((3, 4), np.uint8), classes=(1, 2))
    assert found.labels.shape == (0,)
    assert found.boxes.shape == (0, 4)


def test_one_pixel_and_the_whole_map() -> None:
    labels = np.ones((4, 5), np.int32)
    labels[3, 0] = 9
    found = label_map_boxes(labels, classes=(1, 9))
    np.testing.assert_allclose(found.boxes, [[0.5, 0.5, 1, 1], [0.1, 0.875, 0.2, 0.25]])


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 2, 2)])
def test_other_maps_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="label_map must have shape"):
        label_map_boxes(np.zeros(shape, int), classes=(1,))


@settings(deadline=None)
@given(
    st.integers(1, 6).flatmap(
        lambda k: st.tuples(st.just(k), st.lists(st.tuples(st.integers(0, k), st.floats(0.001, 0.999)), max_size=6))
    )
)
def test_softmax_gives_back_the_scores(made: tuple[int, list[tuple[int, float]]]) -> None:
    k, said = made
    labels, scores = [c for c, _ in said], [p for _, p in said]
    logits = confident_logits(labels, scores, num_classes=k)
    assert logits.shape == (len(said), k + 1)
    probabilities = torch.from_numpy(logits).softmax(-1).numpy()
    for row, (label, score) in enumerate(said):
        rest = np.delete(probabilities[row], label)
        assert probabilities[row, label] == pytest.approx(score, abs=1e-12)
        np.testing.assert_allclose(rest, (1 - score) / k, atol=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "k", "word"),
    [
        ([0], [0.5, 0.5], 2, "one shape"),
        ([[0]], [[0.5]], 2, "one shape"),
        ([0], [0.5], 0, "K = 0"),
        ([3], [0.5], 2, "labels must be whole numbers in 0..2"),
        ([-1], [0.5], 2, "labels must be"),
        ([0.5], [0.5], 2, "labels must be"),
        ([0], [0.0], 2, "strictly between"),
        ([0], [1.0], 2, "strictly between"),
        ([0], [float("nan")], 2, "strictly between"),
    ],
)
def test_wrong_arguments_are_named(labels: list, scores: list, k: int, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        confident_logits(labels, scores, num_classes=k)
