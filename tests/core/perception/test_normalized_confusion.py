import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import confusion_matrix as sklearn_confusion

from core.perception.normalized_confusion import normalized_confusion
from core.perception.segmentation_metrics import confusion_matrix

WAYS = [("target", "true"), ("prediction", "pred"), ("all", "all")]


@pytest.mark.parametrize(("per", "theirs"), WAYS)
def test_shares_are_scikit_learns(receipt, per, theirs):
    rng = np.random.default_rng(3)
    target, prediction = rng.integers(0, 6, (2, 900))
    expected = sklearn_confusion(target, prediction, normalize=theirs)
    got = normalized_confusion(confusion_matrix(prediction, target, num_classes=6), per=per)
    receipt(normalized_confusion, "share", got, expected, reference="scikit-learn")


@pytest.mark.parametrize(("per", "axis"), [("target", 1), ("prediction", 0), ("all", None)])
@settings(deadline=None, max_examples=80)
@given(counts=arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.integers(0, 10**12)))
def test_shares_sum_to_one_or_are_undefined(per, axis, counts):
    shares = normalized_confusion(counts, per=per)
    assert shares.shape == counts.shape
    assert shares.dtype == np.float64
    empty = np.broadcast_to(counts.sum(axis=axis, keepdims=True) == 0, counts.shape)
    assert (np.isnan(shares) == empty).all()
    sums = np.nansum(shares, axis=axis)
    assert np.allclose(sums, np.where(counts.sum(axis=axis) == 0, 0, 1), atol=1e-12)
    assert np.nanmin(shares, initial=0) >= 0


def test_an_empty_row_is_undefined_never_zero(receipt):
    got = normalized_confusion(np.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]]), per="target")
    by_hand = [[0.75, 0.25, 0], [np.nan] * 3, [0, 0.5, 0.5]]
    receipt(normalized_confusion, "share", got, by_hand, reference="by hand")


def test_a_column_for_other_predictions_is_normalised_along():
    got = normalized_confusion(np.array([[2, 0, 2], [0, 1, 0]]), per="prediction")
    assert got.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_the_matrix_is_left_alone():
    counts = np.array([[3, 1], [0, 4]])
    before = counts.copy()
    normalized_confusion(counts)
    assert (counts == before).all()


def test_lists_are_taken():
    assert normalized_confusion([[1, 3]]).tolist() == [[0.25, 0.75]]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="two-dimensional"):
        normalized_confusion(np.zeros(shape))


def test_other_ways_are_refused():
    with pytest.raises(ValueError, match='per must be "target"'):
        normalized_confusion(np.zeros((2, 2)), per="row")  # type: ignore[arg-type]
