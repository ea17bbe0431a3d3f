import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.perception.pixel_codes import code_legend, pixel_codes


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    k=st.sampled_from([1, 2, 3, 16, 127, 254]),
    ignore=st.sampled_from([None, 0, 255, -1, 300]),
    dtype=st.sampled_from([np.uint8, np.int16, np.int64]),
)
def test_the_legend_reads_back_what_was_coded(seed, k, ignore, dtype):
    rng = np.random.default_rng(seed)
    target, prediction = rng.integers(0, k, (2, 6, 7)).astype(dtype)
    if ignore is not None and np.iinfo(dtype).min <= ignore <= np.iinfo(dtype).max:
        target[rng.random(target.shape) < 0.3] = ignore
    prediction[rng.random(target.shape) < 0.1] = 255
    codes, legend = pixel_codes(prediction, target, num_classes=k, ignore_index=ignore), code_legend(k)
    assert codes.dtype == np.uint16
    for at in np.ndindex(target.shape):
        t, p, code = int(target[at]), int(prediction[at]), int(codes[at])
        ignored = t == ignore
        assert legend.ignored[code] == ignored
        assert legend.target[code] == (k if ignored else t)
        assert legend.prediction[code] == (p if p < k else k)
        assert legend.correct[code] == (t == p and not ignored)
        for c in {0, k - 1, t if t in range(k) else 0, p if p < k else 0}:
            outcome = 0 if ignored else {(True, True): 1, (False, True): 2, (True, False): 3}.get((t == c, p == c), 0)
            assert legend.outcome[c, code] == outcome


def test_codes_by_hand():
    codes = pixel_codes(torch.tensor([0, 1, 9, 1]), torch.tensor([0, 0, 1, 255]), num_classes=2, ignore_index=255)
    assert codes.tolist() == [0, 1, 5, 7]


def test_the_largest_code_fits():
    codes = pixel_codes(np.array([255], np.uint8), np.array([255], np.uint8), num_classes=254, ignore_index=255)
    assert codes.tolist() == [254 * 255 + 254]
    assert code_legend(254).target.size == 255**2


def test_mistakes_are_named():
    labels = np.array([[0, 3]])
    with pytest.raises(ValueError, match="at most 254, got 255"):
        pixel_codes(labels, labels, num_classes=255)
    with pytest.raises(ValueError, match="at most 254, got 300"):
        code_legend(300)
    with pytest.raises(ValueError, match="target must hold"):
        pixel_codes(labels * 0, labels, num_classes=3)
    with pytest.raises(TypeError, match="integer"):
        pixel_codes(labels * 1.0, labels, num_classes=4)
    assert pixel_codes(labels[:0], labels[:0], num_classes=4).shape == (0, 2)


def test_arguments_are_left_alone():
    target, prediction = np.array([0, 1], np.uint16), np.array([1, 1], np.uint16)
    pixel_codes(prediction, target, num_classes=2, ignore_index=0)
    assert target.tolist() == [0, 1]
    assert prediction.tolist() == [1, 1]
