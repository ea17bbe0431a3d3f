import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval, Params
from scipy.integrate import quad

from core.perception.keypoint_metrics import COCO_JOINTS, COCO_SIGMAS, expected_oks, oks, pck, person_area

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
K = len(COCO_SIGMAS)


def pycocotools_oks(pred, truth, visible, area, box):
    """computeOks on one annotation and one detection, without files."""
    run = object.__new__(COCOeval)
    run.params = Params(iouType="keypoints")
    flat = lambda points, last: np.column_stack([points, last]).ravel().tolist()  # noqa: E731
    run._gts = {(1, 1): [{"keypoints": flat(truth, visible), "bbox": box, "area": area}]}
    run._dts = {(1, 1): [{"keypoints": flat(pred, np.ones(K)), "score": 1.0}]}
    return float(run.computeOks(1, 1)[0, 0])


@quick
@given(
    seed=st.integers(0, 10**6), labelled=st.sampled_from(["some", "all", "none"]), spread=st.sampled_from([0, 3, 60])
)
def test_oks_is_pycocotools(seed, labelled, spread, receipt):
    rng = np.random.default_rng(seed)
    truth = rng.random((K, 2)) * 200
    pred = truth + spread * rng.normal(size=(K, 2))
    visible = {"some": rng.integers(0, 3, K), "all": np.full(K, 2), "none": np.zeros(K, int)}[labelled]
    area, box = float(rng.random() * 5000), [*(rng.random(2) * 100), *(20 + rng.random(2) * 60)]
    got = oks(pred, truth, visible, area, box_xywh=box)
    expected = pycocotools_oks(pred, truth, visible, area, box)
    receipt(oks, "oks", got.oks, expected, reference="pycocotools")
    assert got.oks == pytest.approx(got.similarity[got.counted].mean())


def test_sigmas_are_cocos():
    assert pytest.approx(Params(iouType="keypoints").kpt_oks_sigmas, abs=1e-15) == COCO_SIGMAS
    assert len(COCO_JOINTS) == K


def test_parts_of_oks(receipt):
    pred, truth, visible = [[3.0, 4], [1, 1], [9, 9]], [[0.0, 0], [1, 1], [np.nan, 0]], [2, 1, 0]
    got = oks(pred, truth, visible, 100.0, sigmas=[0.1, 0.2, 0.3])
    receipt(oks, "distances", got.distances, [5, 0, 0], reference="by hand")
    receipt(
        oks, "similarity", got.similarity[0], math.exp(-25 / (2 * 100 * 0.2**2)), reference="by hand", tolerance=1e-14
    )
    assert got.counted.tolist() == [True, True, False]
    outside = oks([[0.0, 5]], [[0, 0]], [0], 100.0, sigmas=[0.1], box_xywh=[10, 0, 4, 4])
    assert outside.distances.tolist() == [6]  # 10 − 4 − 0
    assert outside.counted.all()
    assert math.isnan(oks([], [], [], 1.0, sigmas=[], box_xywh=[0, 0, 1, 1]).oks)
    assert oks([[1, 1]], [[1, 1]], [2], 0.0, sigmas=[0.1]).oks == 1  # no area, no distance
    assert oks([[1, 2]], [[1, 1]], [2], 0.0, sigmas=[0.1]).oks == 0


@quick
@given(seed=st.integers(0, 10**6), pair=st.booleans())
def test_pck_is_a_loop(seed, pair, receipt):
    rng = np.random.default_rng(seed)
    truth, visible = rng.random((9, 2)) * 9, rng.integers(0, 2, 9)
    pred = truth + rng.integers(-3, 4, (9, 2))
    length, threshold = ((4.0, 8.0) if pair else 5.0), float(rng.choice([0, 0.2, 0.6, 1]))
    lengths = length if pair else (length, length)
    for rule, near in (("below", lambda d: d < threshold), ("at_most", lambda d: d <= threshold)):
        got = pck(pred, truth, visible, length, threshold=threshold, rule=rule)
        distances = [
            math.hypot(*(v / n for v, n in zip(p - t, lengths, strict=True))) for p, t in zip(pred, truth, strict=True)
        ]
        hits = [near(d) for d, v in zip(distances, visible, strict=True) if v]
        share = sum(hits) / len(hits) if hits else math.nan
        kept = [d if v else math.nan for d, v in zip(distances, visible, strict=True)]
        if min([abs(d - threshold) for d in distances if d != threshold], default=1) > 1e-9:
            receipt(pck, "pck", got.pck, share, reference="joint by joint")
        receipt(pck, "distances", got.distances, kept, reference="joint by joint")


def test_pck_at_the_threshold_and_with_swapped_sides():
    """What HRNet and MMPose compute on a 48 × 64 heatmap: 3 cells along x are divided by 64."""
    for rule, share in (("below", 0.0), ("at_most", 1.0)):
        assert pck([[3, 0]], [[0, 0]], [1], 6.0, threshold=0.5, rule=rule).pck == share
    assert pck([[3, 0]], [[0, 0]], [1], (48.0, 64.0), threshold=0.05).pck == 0
    assert pck([[3, 0]], [[0, 0]], [1], (64.0, 48.0), threshold=0.05).pck == 1
    assert math.isnan(pck([[3, 0]], [[np.nan, 0]], [0], 6.0, threshold=0.5).pck)


@pytest.mark.parametrize("half_bin", [0, 1e-12, 0.25, 2.0, 300.0])
def test_expected_oks_is_the_integral(half_bin, receipt):
    area = 2621.44
    got = expected_oks(half_bin, area)
    for k, sigma in enumerate(COCO_SIGMAS):
        s = 2 * sigma * math.sqrt(area)
        one = quad(lambda d, s=s: math.exp(-(d**2) / (2 * s**2)), 0, min(half_bin, 40 * s), epsabs=1e-14)[0]
        expected = (one / half_bin) ** 2 if half_bin > 1e-9 else 1.0
        receipt(expected_oks, "by_joint", got.by_joint[k], expected, reference="scipy", tolerance=1e-10)
        receipt(expected_oks, "scales", got.scales[k], s, reference="by hand")
    receipt(expected_oks, "oks", got.oks, np.mean(got.by_joint), reference="mean of the integrals")


def test_expected_oks_is_what_random_points_give(receipt):
    rng = np.random.default_rng(0)
    off = rng.uniform(-2, 2, (20_000, K, 2))
    squared = (off**2).sum(2)
    similarity = np.exp(-squared / (2 * 2621.44 * (2 * np.array(COCO_SIGMAS)) ** 2)).mean()
    receipt(
        expected_oks,
        "oks",
        expected_oks(2.0, 2621.44).oks,
        similarity,
        reference="340,000 random points",
        tolerance=1e-3,
    )


def test_the_table_of_input_sizes():
    """Known values: argmax at stride 4, quarter shift, SimCC with k = 1, 2."""
    table = {
        (64, 64): (0.822, 0.944, 0.985, 0.996),
        (128, 128): (0.944, 0.985, 0.996, 0.999),
        (192, 256): (0.985, 0.996, 0.999, 1.0),
        (288, 384): (0.993, 0.998, 1.0, 1.0),
    }
    for size, values in table.items():
        got = [expected_oks(a, person_area(size)).oks for a in (2, 1, 0.5, 0.25)]
        assert got == pytest.approx(values, abs=6e-4)


def test_areas(receipt):
    receipt(person_area, "area", person_area((192, 256)), 0.5 * 204.8 * 102.4, reference="by hand", tolerance=1e-9)
    assert person_area((100, 1000), padding=1, share=1) == pytest.approx(200 * 100)  # the width is what limits


def test_nothing_is_changed_and_any_array_is_read():
    pred, truth = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 2], [3, 5]])
    pred.setflags(write=False)
    truth.setflags(write=False)
    expected = oks(pred, truth, [1, 2], 50.0, sigmas=[0.1, 0.1]).oks
    for same in (pred.tolist(), torch.from_numpy(pred.copy()).half(), np.asfortranarray(pred)):
        assert oks(same, truth, [1, 2], 50.0, sigmas=[0.1, 0.1]).oks == expected
    pck(pred, truth, [1, 1], 3.0, threshold=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: oks([[1, 2]], [[1, 2], [1, 2]], [1], 1.0), r"one shape \(K, 2\), got \(1, 2\) and \(2, 2\)"),
        (lambda: oks([[1, 2]], [[1, 2]], [1, 1], 1.0, sigmas=[1]), r"visible must have shape \(1,\)"),
        (lambda: oks([[1, 2]], [[1, 2]], [1], 1.0), "sigmas must be 1 numbers above 0"),
        (lambda: oks([[1, 2]], [[1, 2]], [1], 1.0, sigmas=[0]), "sigmas must be 1 numbers above 0"),
        (lambda: oks([[1, 2]], [[1, 2]], [1], -1.0, sigmas=[1]), "area must be a number of 0 or more"),
        (lambda: oks([[1, 2]], [[1, 2]], [0], 1.0, sigmas=[1]), "box_xywh must be given"),
        (lambda: oks([[np.nan, 2]], [[1, 2]], [1], 1.0, sigmas=[1]), "pred must hold finite numbers"),
        (lambda: oks([[1, 2]], [[np.inf, 2]], [1], 1.0, sigmas=[1]), "truth must be finite where visible"),
        (lambda: pck([[1, 2]], [[1, np.nan]], [1], 1.0, threshold=1), "truth must be finite where visible"),
        (lambda: pck([[1, 2]], [[1, 2]], [1], 0.0, threshold=1), "length must be above 0"),
        (lambda: pck([[1, 2]], [[1, 2]], [1], 1.0, threshold=np.nan), "threshold must be 0 or more"),
        (lambda: pck([[1, 2]], [[1, 2]], [1], 1.0, threshold=1, rule="near"), "rule must be below or at_most"),
        (lambda: expected_oks(-1, 1.0), "half_bin must be a number of 0 or more"),
        (lambda: expected_oks(1, 0.0), "area must be a number above 0"),
        (lambda: expected_oks(1, 1.0, sigmas=[]), "sigmas must be numbers above 0"),
        (lambda: person_area((0, 1)), "must be above 0"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
