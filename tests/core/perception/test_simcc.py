import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.quantization_error import quantization_law
from core.perception.simcc import as_distributions, bin_counts, decode_simcc, encode_simcc, simcc_loss
from tests.oracles import pose as oracle
from tests.oracles.libraries import mmpose_codec, mmpose_loss

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIZE = (192, 256)
EDGES = np.array(
    [
        [0, 0],
        [0.25, 0.75],
        [-0.2, 5],
        [191.9, 9],
        [192, 9],
        [5, 256],
        [-8, 9],
        [-12, 3],
        [5, 271],
        [7, 1e4],
        [3, 4],
        [-9.5, 9],
    ]
)


def random_points(count, *, seed=0, size=SIZE, margin=0.0):
    rng = np.random.default_rng(seed)
    return margin + rng.random((count, 2)) * (np.array(size) - 2 * margin)


@quick
@given(
    seed=st.integers(0, 10**6),
    k=st.sampled_from([0.5, 1, 1.5, 2, 3]),
    epsilon=st.sampled_from([0, 0.1, 1]),
    sigma=st.sampled_from([None, 0.7, 6.0, (2.0, 3.0)]),
    center=st.sampled_from(["rounded", "exact"]),
)
def test_labels_are_the_definition_bin_by_bin(seed, k, epsilon, sigma, center, receipt):
    rng, size = np.random.default_rng(seed), (14, 22)
    point = rng.integers(0, 8 * np.array(size) - 8, 2) / 8  # halves of bins are common
    label = encode_simcc([point], [1], input_size=size, split_ratio=k, smoothing=epsilon, sigma=sigma, center=center)
    spread = (sigma, sigma) if not isinstance(sigma, tuple) else sigma
    for axis, got in enumerate((label.simcc_x[0], label.simcc_y[0])):
        bins, at = oracle.half_even(size[axis] * k), point[axis] * k
        mu = at if sigma is not None and center == "exact" else oracle.half_even(at)
        expected = oracle.smoothed(bins, mu, epsilon) if sigma is None else oracle.bell(bins, mu, spread[axis])
        receipt(encode_simcc, "simcc", got, expected, reference="the definition, bin by bin")
        receipt(encode_simcc, "centers", label.centers[0, axis], mu, reference="the definition, bin by bin")


@pytest.mark.parametrize("k", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("kind", ["standard", "gaussian", "rtmpose"])
def test_labels_are_mmposes(k, kind, receipt):
    points = np.concatenate([random_points(60), EDGES])
    visible = (np.arange(len(points)) % 5 > 0).astype(np.float64)
    SimCC = mmpose_codec("simcc_label.SimCCLabel")
    sigma = (4.9, 5.66) if kind == "rtmpose" else 6.0
    theirs = SimCC(
        SIZE,
        "standard" if kind == "standard" else "gaussian",
        sigma=sigma,
        simcc_split_ratio=k,
        label_smooth_weight=0.1 if kind == "standard" else 0.0,
        normalize=kind != "rtmpose",
    ).encode(points[None], visible[None])
    ours = encode_simcc(
        points,
        visible,
        input_size=SIZE,
        split_ratio=k,
        sigma=None if kind == "standard" else sigma,
        outside="patch",
        normalize=kind != "rtmpose",
    )
    for ours_axis, name in ((ours.simcc_x, "keypoint_x_labels"), (ours.simcc_y, "keypoint_y_labels")):
        receipt(encode_simcc, "simcc", ours_axis, theirs[name][0], reference="mmpose", tolerance=2e-6)
    receipt(encode_simcc, "weights", ours.weights, theirs["keypoint_weights"][0], reference="mmpose")


@pytest.mark.parametrize("sigma", [None, 6.0])
def test_a_joint_outside_the_image_does_not_count(sigma):
    label = encode_simcc(EDGES, np.ones(len(EDGES)), input_size=SIZE, sigma=sigma)
    inside = ((EDGES >= 0) & (EDGES < SIZE)).all(axis=1)
    if sigma is None:
        inside[3] = False  # 191.9 px rounds to bin 384 of 0…383
    assert (label.weights == inside).all()
    assert not label.simcc_x[~inside].any()
    assert not label.simcc_y[~inside].any()
    assert np.isnan(label.centers[~inside]).all()


@quick
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["noise", "ties", "none", "one"]))
def test_decoding_is_brute_force(seed, kind, receipt):
    rng = np.random.default_rng(seed)
    make = {
        "noise": lambda n: rng.random((3, n)),
        "ties": lambda n: rng.integers(0, 3, (3, n)).astype(float),
        "none": lambda n: -rng.random((3, n)),
        "one": lambda n: np.where(rng.random((3, 1)) > 0.5, rng.random((3, n)), 0.0),
    }[kind]
    x, y, k = make(9), make(5), float(rng.choice([1, 1.5, 2, 4]))
    got = decode_simcc(x, y, split_ratio=k)
    for j in range(3):
        heights = [max(x[j]), max(y[j])]
        bins = [row.tolist().index(top) for row, top in zip((x[j], y[j]), heights, strict=True)]
        if min(heights) <= 0:
            bins = [-1, -1]
        receipt(decode_simcc, "keypoints", got.keypoints[j], np.divide(bins, k), reference="bin by bin")
        receipt(decode_simcc, "scores", got.scores[j], min(heights), reference="bin by bin")
        receipt(decode_simcc, "bins", got.bins[j], bins, reference="bin by bin")


@pytest.mark.parametrize("dark", [False, True])
def test_decoding_is_mmposes(dark, receipt):
    rng = np.random.default_rng(2)
    label = encode_simcc(random_points(50, margin=2), np.ones(50), input_size=SIZE, sigma=6.0, center="exact")
    x, y = (
        np.maximum(v + 0.002 * rng.normal(size=v.shape), 1e-6).astype(np.float32)
        for v in (label.simcc_x, label.simcc_y)
    )
    codec = mmpose_codec("simcc_label.SimCCLabel")(SIZE, sigma=6.0, label_smooth_weight=0.0, use_dark=dark)
    theirs, scores = codec.decode(x[None].copy(), y[None].copy())  # copies: it writes into what it is given
    ours = decode_simcc(x, y, split_ratio=2, decoder="dark" if dark else "argmax", blur_kernel=37)
    receipt(decode_simcc, "keypoints", ours.keypoints, theirs[0], reference="mmpose", tolerance=5e-4)
    receipt(decode_simcc, "scores", ours.scores, scores[0], reference="mmpose")
    assert not dark or np.abs(ours.offsets).max() > 0.1


@pytest.mark.parametrize("k", [1, 1.5, 2, 3, 4])
@pytest.mark.parametrize("sigma", [None, 6.0])
def test_quantisation_follows_its_law(k, sigma):
    truth = random_points(4000, seed=9, margin=2)
    label = encode_simcc(truth, np.ones(4000), input_size=SIZE, split_ratio=k, sigma=sigma)
    errors = decode_simcc(label.simcc_x, label.simcc_y, split_ratio=k).keypoints - truth
    law = quantization_law(1 / k)
    assert np.abs(errors).mean() == pytest.approx(law.mean_axis, rel=0.02)
    assert np.hypot(*errors.T).mean() == pytest.approx(law.mean_distance, rel=0.02)
    assert np.sqrt((errors**2).mean()) == pytest.approx(law.rms_axis, rel=0.02)
    assert np.abs(errors).max() <= law.largest_axis + 1e-9


def test_dark_finds_what_was_not_rounded():
    truth = random_points(200, seed=4, margin=20)
    options = {"input_size": SIZE, "sigma": 6.0}
    exact = encode_simcc(truth, np.ones(200), center="exact", **options)
    found = decode_simcc(exact.simcc_x, exact.simcc_y, split_ratio=2, decoder="dark", blur_kernel=37)
    assert np.abs(found.keypoints - truth).max() < 1e-3
    rounded = encode_simcc(truth, np.ones(200), **options)
    found = decode_simcc(rounded.simcc_x, rounded.simcc_y, split_ratio=2, decoder="dark", blur_kernel=37)
    assert np.abs(found.offsets).max() < 1e-6


@quick
@given(seed=st.integers(0, 10**6), beta=st.sampled_from([1.0, 10.0]))
def test_losses_are_sums_of_their_terms(seed, beta, receipt):
    rng = np.random.default_rng(seed)
    pictures, joints, bins = 2, 3, (5, 4)
    logits = [rng.normal(size=(pictures, joints, n)) for n in bins]
    labels = [rng.dirichlet(np.ones(n), (pictures, joints)) * (rng.random((pictures, joints, n)) > 0.2) for n in bins]
    weights = rng.integers(0, 2, (pictures, joints)).astype(float)
    terms = np.array(
        [
            [
                [
                    oracle.divergence((beta * p[i, j]).tolist(), t[i, j].tolist())
                    for p, t in zip(logits, labels, strict=True)
                ]
                for j in range(joints)
            ]
            for i in range(pictures)
        ]
    )
    each = {"kl": terms.sum(2), "official": (terms / bins).sum(2), "mmpose": (terms / bins).sum(2) * pictures}
    given = [torch.from_numpy(v) for v in (*logits, *labels, weights)]
    for name, values in each.items():
        got = simcc_loss(*given, reduction=name, beta=beta)
        receipt(simcc_loss, name, got, (values * weights).sum() / joints / pictures, reference="term by term")
    receipt(
        simcc_loss,
        "mmpose",
        simcc_loss(*given, reduction="mmpose", beta=beta),
        mmpose_loss("classification_loss.KLDiscretLoss")(beta=beta)(given[:2], given[2:4], given[4]),
        reference="mmpose",
    )


def test_gradients_of_the_loss_are_finite_differences():
    generator = torch.Generator().manual_seed(0)
    pred = [torch.randn(2, 3, n, generator=generator, dtype=torch.float64, requires_grad=True) for n in (6, 5)]
    target = [torch.softmax(torch.randn(2, 3, n, generator=generator, dtype=torch.float64), 2) for n in (6, 5)]
    weights = torch.tensor([[1.0, 0, 1], [1, 1, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda *p: simcc_loss(*p, *target, weights, reduction="kl"), pred)
    simcc_loss(*pred, *target, weights).backward()
    assert not pred[0].grad[0, 1].any()  # no weight, no gradient


def test_a_perfect_answer_has_no_loss_and_one_picture_works():
    label = encode_simcc([[3, 2]], [1], input_size=(6, 4), sigma=1.0)
    x, y = (torch.from_numpy(v / v.sum())[None] for v in (label.simcc_x, label.simcc_y))
    for name in ("kl", "official", "mmpose"):
        assert abs(simcc_loss(x.log(), y.log(), x, y, torch.ones(1, 1), reduction=name)) < 1e-15


def test_nothing_is_changed_and_any_array_is_read():
    points = np.array([[50.0, 60], [70, 80]])
    points.setflags(write=False)
    label = encode_simcc(points, [2, 0], input_size=SIZE, sigma=6.0)
    assert label.weights.tolist() == [1, 0]
    for same in (
        points.tolist(),
        torch.from_numpy(points.copy()),
        points.astype(np.float16),
        np.asfortranarray(points),
    ):
        assert (encode_simcc(same, [2, 0], input_size=SIZE, sigma=6.0).simcc_y == label.simcc_y).all()
    x, y = label.simcc_x.copy(), label.simcc_y.copy()
    x.setflags(write=False)
    y.setflags(write=False)
    for decoder in ("argmax", "dark"):
        first = decode_simcc(x, y, split_ratio=2, decoder=decoder)
        assert (
            first.keypoints == decode_simcc(np.flip(np.flip(x, 1), 1), y, split_ratio=2, decoder=decoder).keypoints
        ).all()
    half = decode_simcc(torch.from_numpy(x.copy()).half(), torch.from_numpy(y.copy()).half(), split_ratio=2)
    assert half.keypoints[0].tolist() == [50, 60]


def test_no_joints_two_bins_and_peaks_at_the_ends():
    assert encode_simcc([], [], input_size=SIZE).simcc_x.shape == (0, 384)
    for decoder in ("argmax", "dark"):
        assert decode_simcc(np.zeros((0, 4)), np.zeros((0, 4)), split_ratio=2, decoder=decoder).keypoints.shape == (
            0,
            2,
        )
        for x in ([[1.0, 0]], [[0, 1.0]], [[1.0]]):
            assert np.isfinite(decode_simcc(x, x, split_ratio=1, decoder=decoder).keypoints).all()
    lost = decode_simcc([[0.0, 0]], [[0.5, 1]], split_ratio=2, decoder="dark")
    assert lost.keypoints.tolist() == [[-0.5, -0.5]]
    assert encode_simcc([[0.9, 0]], [1], input_size=(2, 2), split_ratio=1).simcc_x[0].round(2).tolist() == [0.1, 0.9]


X = torch.zeros(1, 2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bin_counts((4, 4), 0), "split_ratio must lie in 1/64 to 64, got 0"),
        (lambda: bin_counts((4, 4), np.nan), "split_ratio"),
        (lambda: bin_counts((1, 4), 1), "two bins or more an axis, got 1 and 4"),
        (lambda: encode_simcc([], [], input_size=SIZE, smoothing=1.1), "smoothing must lie in 0 to 1"),
        (lambda: encode_simcc([], [], input_size=SIZE, sigma=0.0), "sigma must be above 0"),
        (lambda: encode_simcc([], [], input_size=SIZE, sigma=(1, np.nan)), "sigma must be above 0"),
        (lambda: as_distributions([1, 2], name="simcc_x"), r"simcc_x must have shape \(K, bins\), got \(2,\)"),
        (lambda: as_distributions([[np.inf]], name="simcc_y"), "simcc_y must hold finite numbers"),
        (lambda: decode_simcc([[1.0]], [[1.0], [1.0]], split_ratio=2), "equally many joints, got 1 and 2"),
        (lambda: decode_simcc([[1.0]], [[1.0]], split_ratio=100), "split_ratio must lie"),
        (lambda: decode_simcc([[1.0]], [[1.0]], split_ratio=2, decoder="best"), "decoder must be argmax or dark"),
        (lambda: decode_simcc([[1.0]], [[1.0]], split_ratio=2, blur_kernel=2), "blur_kernel must be odd"),
        (lambda: simcc_loss(X, X, X, X, X[..., 0], reduction="mean"), "reduction must be official, mmpose or kl"),
        (lambda: simcc_loss(X, X, X[:, :1], X, X[..., 0]), r"pred_x must be \(N, K, bins\) like target_x"),
        (lambda: simcc_loss(X, X, X, X, X), r"pred_y and weights must begin with \(1, 2\)"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
