import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.heatmap_keypoints import decode_heatmap, encode_heatmap, soft_argmax
from core.perception.joint_readings import (
    DECODERS,
    PoseCodec,
    decoder_errors,
    decoder_laws,
    expected_oks_curve,
    joint_readings,
    label_memory,
    wandering_path,
)
from core.perception.keypoint_metrics import COCO_SIGMAS
from core.perception.simcc import decode_simcc, encode_simcc
from tests.oracles.libraries import mmpose_codec

quick = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
CODECS = (
    PoseCodec(),
    PoseCodec(center="exact", simcc_sigma=6.0, simcc_center="exact", simcc_decoder="dark"),
    PoseCodec(input_size=(64, 64), split_ratio=1.5, beta=30.0, simcc_sigma=4.0, border="mmpose", sigma=1.5),
)


@quick
@given(seed=st.integers(0, 10**6), codec=st.sampled_from(CODECS))
def test_each_answer_is_its_decoders_own(seed, codec, receipt):
    truth = np.random.default_rng(seed).random((3, 2)) * (np.array(codec.input_size) - 1)
    seen = joint_readings(truth, codec)
    size, cells = codec.input_size, codec.heatmap_size
    for t, point in enumerate(truth):
        heat = encode_heatmap([point], [1], input_size=size, heatmap_size=cells, sigma=codec.sigma, center=codec.center)
        expected = [
            decode_heatmap(heat.heatmaps, input_size=size, decoder=how, border=codec.border).keypoints[0]
            for how in ("argmax", "shift", "dark")
        ]
        expected.append(soft_argmax(heat.heatmaps, beta=codec.beta).keypoints[0] * codec.stride)
        bins = encode_simcc(
            [np.minimum(point, np.array(size) - 1 / codec.split_ratio)],
            [1],
            input_size=size,
            split_ratio=codec.split_ratio,
            smoothing=codec.smoothing,
            sigma=codec.simcc_sigma,
            center=codec.simcc_center,
        )
        read = decode_simcc(
            bins.simcc_x,
            bins.simcc_y,
            split_ratio=codec.split_ratio,
            decoder=codec.simcc_decoder,
            blur_kernel=codec.blur_kernel,
        )
        expected += [read.keypoints[0], point]
        receipt(joint_readings, "found", seen.found[:, t], expected, reference="decoder by decoder")
        off = [math.dist(point, answer) for answer in expected]
        got = np.hypot(*(seen.found[:, t] - point).T)
        receipt(joint_readings, "distance", got, off, reference="decoder by decoder")


@pytest.mark.filterwarnings("ignore:Passing more than 2 positional arguments:DeprecationWarning")  # mmpose's own
def test_the_way_from_joint_to_answer_is_mmposes(receipt):
    """Labels and answers of whole codecs, in one go."""
    truth = np.random.default_rng(0).random((40, 2)) * (152, 216) + 20
    plain, exact = joint_readings(truth, PoseCodec(border="mmpose")), joint_readings(truth, PoseCodec(center="exact"))
    for readings, unbiased, decoder in ((plain, False, "shift"), (exact, True, "dark")):
        codec = mmpose_codec("msra_heatmap.MSRAHeatmap")((192, 256), (48, 64), 2, unbiased=unbiased)
        theirs = [codec.decode(codec.encode(p[None, None])["heatmaps"])[0][0, 0] for p in truth]
        off, known = (np.hypot(*(np.array(v) - truth).T) for v in (readings.found[DECODERS.index(decoder)], theirs))
        receipt(joint_readings, "distance", off, known, reference="mmpose", tolerance=3e-3)
    codec = mmpose_codec("simcc_label.SimCCLabel")(
        (192, 256), "standard", simcc_split_ratio=2.0, label_smooth_weight=0.1
    )
    label = codec.encode(truth[None])
    theirs = codec.decode(label["keypoint_x_labels"][0], label["keypoint_y_labels"][0])[0][0]
    receipt(joint_readings, "found", plain.found[DECODERS.index("simcc")], theirs, reference="mmpose", tolerance=1e-5)


def test_two_places_make_a_ghost():
    """Equal belief: each axis takes the first of two equal bins. The corner belongs to neither place."""
    seen = joint_readings([[80.25, 120.25]], PoseCodec(), offset=(22.0, -14.0), share=0.5)
    ghost = seen.found[DECODERS.index("simcc"), 0]
    assert ghost == pytest.approx([80, 106], abs=0.51)
    assert np.abs(ghost - seen.truth[0]).max() > 10
    assert np.abs(ghost - seen.second[0]).max() > 10
    assert seen.found[DECODERS.index("regression"), 0] == pytest.approx([91.25, 113.25])
    surer = joint_readings([[80.25, 120.25]], PoseCodec(), offset=(22.0, -14.0), share=0.6)
    assert surer.found[DECODERS.index("simcc"), 0] == pytest.approx(surer.second[0], abs=0.26)
    assert surer.found[0, 0] == pytest.approx(surer.second[0], abs=2)


def test_mixtures_are_sums_and_stay_inside():
    codec, truth = PoseCodec(), np.array([[180.0, 20]])
    one, both = joint_readings(truth, codec), joint_readings(truth, codec, offset=(50.0, -50.0), share=0.25)
    assert both.second[0] == pytest.approx([192, 0])
    other = joint_readings(both.second, codec)
    assert np.allclose(both.heatmaps, 0.75 * one.heatmaps + 0.25 * other.heatmaps)
    assert np.allclose(both.simcc_x, 0.75 * one.simcc_x + 0.25 * other.simcc_x)
    assert both.found[DECODERS.index("regression")] == pytest.approx(0.75 * truth + 0.25 * both.second)
    assert (joint_readings(truth, codec, offset=(5.0, 5.0)).second == truth).all()


def test_noise_belongs_to_the_truth_and_its_size_to_the_label():
    codec, truth = PoseCodec(), np.array([[50.5, 60.5], [90.25, 33.0]])
    clean, first = joint_readings(truth, codec), joint_readings(truth, codec, noise=0.3, seed=4)
    again = joint_readings(truth[::-1], codec, noise=0.3, seed=4)
    assert (again.heatmaps[::-1] == first.heatmaps).all()
    assert not (joint_readings(truth, codec, noise=0.3, seed=5).heatmaps == first.heatmaps).any()
    assert (first.heatmaps - clean.heatmaps).std() == pytest.approx(0.3, rel=0.05)
    assert (first.simcc_x - clean.simcc_x).std() == pytest.approx(0.27, rel=0.1)
    assert (first.found[DECODERS.index("regression")] == truth).all()


@pytest.mark.parametrize("codec", CODECS, ids=["rounded", "exact", "small"])
def test_laws_are_what_random_joints_show(codec):
    seen = decoder_errors(codec, count=4000, seed=1, margin=16.0)
    for d, law in enumerate(decoder_laws(codec)):
        errors = seen.found[d] - seen.truth
        if law is None:
            assert DECODERS[d] == "soft"
        elif law.width:
            assert np.abs(errors).mean() == pytest.approx(law.mean_axis, rel=0.02)
            assert np.hypot(*errors.T).mean() == pytest.approx(law.mean_distance, rel=0.02)
        else:
            assert np.hypot(*errors.T).mean() < 0.02
    assert seen.heatmaps.size == 0
    other = decoder_errors(codec, count=450, seed=1, margin=16.0)
    assert (other.truth == decoder_errors(codec, count=450, seed=1, margin=16.0).truth).all()
    assert other.found.shape == (6, 450, 2)
    assert (other.truth >= 16).all()
    assert (other.truth <= np.array(codec.input_size) - 16).all()


def test_expected_oks_is_a_mean_over_a_bin(receipt):
    """A fine grid of truths in one bin, for two inputs and two widths."""
    sizes, widths = ((64, 64), (192, 256)), (4.0, 0.5)
    got = expected_oks_curve(sizes, widths)
    for i, (_, height) in enumerate(sizes):
        area = 0.25 * (height / 1.25) ** 2
        for j, width in enumerate(widths):
            side = (np.arange(400) + 0.5) / 400 * width - width / 2
            square = side[:, None] ** 2 + side**2
            expected = np.mean([np.exp(-square / (2 * area * (2 * s) ** 2)).mean() for s in COCO_SIGMAS])
            receipt(
                expected_oks_curve, "expected_oks", got[i, j], expected, reference="400 × 400 truths", tolerance=1e-5
            )


def test_memory_is_what_the_labels_hold(receipt):
    for codec in CODECS:
        seen = joint_readings([[30.0, 30.0]], codec)
        got = label_memory(codec)
        receipt(label_memory, "memory_heatmap", got.heatmap, 17 * seen.heatmaps.size, reference="the labels themselves")
        bins = seen.simcc_x.size + seen.simcc_y.size
        receipt(label_memory, "memory_simcc", got.simcc, 17 * bins, reference="the labels themselves")
        assert got.ratio == got.heatmap / got.simcc
        assert got.regression == 34


def test_the_way_is_even_and_ends_where_it_should():
    way = wandering_path((10.0, 20.0), steps=400, reach=4.0)
    assert way[-1] == pytest.approx([10, 20], abs=1e-9)
    assert np.abs(way - (10, 20)).max() <= 4 + 1e-9
    counts = np.histogram(way[:, 0], 8, (6, 14))[0]
    assert counts.min() > 35  # about the same time everywhere
    assert np.abs(np.diff(way, axis=0)).max() < 0.2


def test_nothing_is_changed_and_any_array_is_read():
    truth = np.array([[50.0, 60.0]])
    truth.setflags(write=False)
    expected = joint_readings(truth, PoseCodec(), share=0.3, noise=0.1).found
    for same in (truth.tolist(), torch.from_numpy(truth.copy())):
        assert (joint_readings(same, PoseCodec(), share=0.3, noise=0.1).found == expected).all()
    assert joint_readings(np.zeros((0, 2)), PoseCodec()).found.shape == (6, 0, 2)
    edge = joint_readings([[191.99, 255.99], [0, 0]], PoseCodec())
    assert np.isfinite(edge.found).all()
    assert edge.found[DECODERS.index("simcc"), 0].tolist() == [191.5, 255.5]  # the last bins
    assert PoseCodec(simcc_sigma=6.0).blur_kernel == 37
    assert all(replace(PoseCodec(), simcc_sigma=s).blur_kernel % 2 == 1 for s in (None, 0.5, 1.0, 4.9, 8.0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: joint_readings([1, 2], PoseCodec()), r"truth must have shape \(T, 2\)"),
        (lambda: joint_readings([[192, 2]], PoseCodec()), "truth must lie inside 192 × 256 px"),
        (lambda: joint_readings([[np.nan, 2]], PoseCodec()), "truth must lie inside"),
        (lambda: joint_readings([[1, 2]], PoseCodec(), share=1.1), "share in 0..1"),
        (lambda: joint_readings([[1, 2]], PoseCodec(), noise=-1), "noise >= 0"),
        (lambda: decoder_errors(PoseCodec(), count=0), "count >= 1"),
        (lambda: decoder_errors(PoseCodec(), count=1, margin=96), "margin inside the input"),
        (lambda: label_memory(PoseCodec(), joints=0), "joints must be 1 or more"),
        (lambda: wandering_path((0, 0), steps=0, reach=1), "steps must be 1 or more"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
