import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.perception.heatmap_keypoints import (
    as_keypoints,
    as_maps,
    as_size,
    decode_heatmap,
    encode_heatmap,
    soft_argmax,
)
from core.perception.quantization_error import quantization_law
from tests.oracles import pose as oracle
from tests.oracles.libraries import mmpose_codec

quick = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
INPUT, MAP = (192, 256), (48, 64)
EDGES = np.array(
    [[0, 0], [1.9, 1.9], [2, 2], [-0.01, 5], [191.99, 255.99], [192, 10], [-8.0, 40], [-30, 20], [40, 300], [7.5, 2.5]]
)


def random_points(count, *, seed=0, size=INPUT, margin=0.0):
    rng = np.random.default_rng(seed)
    return margin + rng.random((count, 2)) * (np.array(size) - 2 * margin)


@quick
@given(
    seed=st.integers(0, 10**6), sigma=st.sampled_from([0.5, 1, 1.4, 2, 3]), center=st.sampled_from(["rounded", "exact"])
)
def test_bumps_are_the_definition_cell_by_cell(seed, sigma, center, receipt):
    size, cells = (40, 24), (10, 8)
    point = random_points(1, seed=seed, size=size)[0]
    label = encode_heatmap([point], [1], input_size=size, heatmap_size=cells, sigma=sigma, center=center)
    expected, mu = oracle.bump(point, size, cells, sigma, exact=center == "exact")
    receipt(encode_heatmap, "heatmaps", label.heatmaps[0], expected, reference="the definition, cell by cell")
    receipt(encode_heatmap, "centers", label.centers[0], mu, reference="the definition, cell by cell")
    assert label.weights[0] == 1


@pytest.mark.parametrize("unbiased", [False, True])
def test_labels_are_mmposes(unbiased, receipt):
    points = np.concatenate([random_points(40), EDGES])
    visible = (np.arange(len(points)) % 7 > 0).astype(np.float32)
    codec = mmpose_codec("msra_heatmap.MSRAHeatmap")(INPUT, MAP, 2, unbiased=unbiased)
    theirs = codec.encode(points[None], visible[None])
    ours = encode_heatmap(
        points,
        visible,
        input_size=INPUT,
        heatmap_size=MAP,
        center="exact" if unbiased else "rounded",
        outside="patch",
    )
    receipt(encode_heatmap, "heatmaps", ours.heatmaps, theirs["heatmaps"], reference="mmpose", tolerance=2e-5)
    receipt(encode_heatmap, "weights", ours.weights, theirs["keypoint_weights"][0], reference="mmpose")


def test_a_joint_outside_the_image_does_not_count():
    label = encode_heatmap(EDGES, np.ones(len(EDGES)), input_size=INPUT, heatmap_size=MAP)
    inside = ((EDGES >= 0) & (EDGES < INPUT)).all(axis=1)
    assert (label.weights == inside).all()
    assert not label.heatmaps[~inside].any()
    assert np.isnan(label.centers[~inside]).all()
    patch = encode_heatmap(EDGES, np.ones(len(EDGES)), input_size=INPUT, heatmap_size=MAP, outside="patch")
    assert patch.weights[3] == patch.weights[6] == 1
    before = encode_heatmap([[-32, 20], [-36, 20]], [1, 1], input_size=INPUT, heatmap_size=MAP, outside="patch")
    assert before.weights.tolist() == [1, 0]  # the first ends right before the map: it counts, and its map is empty
    assert not before.heatmaps[0].any()


@quick
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["noise", "ties", "bump", "empty", "negative"]))
def test_argmax_and_shift_are_brute_force(seed, kind, receipt):
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 9, 2)
    grid = {
        "noise": lambda: rng.random((rows, columns)) + 0.01,
        "ties": lambda: rng.integers(1, 3, (rows, columns)).astype(float),
        "bump": lambda: np.array(oracle.bump(rng.random(2) * (columns, rows), (columns, rows), (columns, rows), 1)[0]),
        "empty": lambda: np.zeros((rows, columns)),
        "negative": lambda: -rng.random((rows, columns)) - 0.1,
    }[kind]()
    size = (int(columns) * 3, int(rows) * 5)
    x, y, height = oracle.highest(grid.tolist())
    found = decode_heatmap([grid], input_size=size, decoder="argmax")
    expected = (3 * x, 5 * y) if height > 0 else (-3, -5)
    receipt(decode_heatmap, "keypoints", found.keypoints[0], expected, reference="row by row")
    receipt(decode_heatmap, "scores", found.scores[0], height, reference="row by row")
    for rule in ("hrnet", "mmpose"):
        moved = decode_heatmap([grid], input_size=size, decoder="shift", border=rule)
        shift = oracle.shifted(grid.tolist(), rule) if height > 0 else (-1, -1)
        expected = (3 * shift[0], 5 * shift[1])
        receipt(decode_heatmap, "keypoints", moved.keypoints[0], expected, reference="row by row")


@pytest.mark.filterwarnings("ignore:Passing more than 2 positional arguments:DeprecationWarning")  # mmpose's own
@pytest.mark.parametrize("unbiased", [False, True])
def test_decoding_is_mmposes(unbiased, receipt):
    rng = np.random.default_rng(5)
    label = encode_heatmap(
        np.concatenate([random_points(60), EDGES[:5]]), np.ones(65), input_size=INPUT, heatmap_size=MAP, center="exact"
    )
    noisy = np.maximum(label.heatmaps + 0.02 * rng.normal(size=label.heatmaps.shape), 0).astype(np.float32)
    if not unbiased:
        noisy[3] = 0
    theirs, scores = mmpose_codec("msra_heatmap.MSRAHeatmap")(INPUT, MAP, 2, unbiased=unbiased).decode(noisy)
    ours = decode_heatmap(noisy, input_size=INPUT, decoder="dark" if unbiased else "shift", border="mmpose")
    receipt(decode_heatmap, "keypoints", ours.keypoints, theirs[0], reference="mmpose", tolerance=2e-4)
    receipt(decode_heatmap, "scores", ours.scores, scores[0], reference="mmpose")
    assert np.abs(ours.offsets).max() > 0.2


def test_dark_follows_opencvs_blur_and_the_formula(receipt):
    """The same by other means: the kernel written out, a 2 × 2 system solved, on maps of any size."""
    rng = np.random.default_rng(1)
    for kernel, spread, height in ((11, 2.0, 1), (17, 2.9, 1), (1, 0.5, 1), (1, 0.5, 1e-10)):
        grid = rng.random((9, 12)) + 0.05
        grid[4, 6] = 2.0
        grid *= height  # of the last, most cells lie below the floor
        taps = np.exp(-(np.arange(-(kernel // 2), kernel // 2 + 1.0) ** 2) / (2 * spread**2))
        taps /= taps.sum()
        soft = np.apply_along_axis(lambda v, t=taps: np.convolve(v, t)[len(t) // 2 :][: len(v)], 0, grid)
        soft = np.apply_along_axis(lambda v, t=taps: np.convolve(v, t)[len(t) // 2 :][: len(v)], 1, soft)
        log = np.log(np.maximum(soft * grid.max() / (soft.max() + 1e-12), 1e-10))
        g = [(log[4, 7] - log[4, 5]) / 2, (log[5, 6] - log[3, 6]) / 2]
        cross = (log[5, 7] + log[3, 5] - log[3, 7] - log[5, 5]) / 4
        h = [
            [(log[4, 8] + log[4, 4] - 2 * log[4, 6]) / 4, cross],
            [cross, (log[6, 6] + log[2, 6] - 2 * log[4, 6]) / 4],
        ]
        got = decode_heatmap([grid], input_size=(12, 9), decoder="dark", blur_kernel=kernel)
        expected = (6, 4) - np.linalg.solve(h, g)
        receipt(
            decode_heatmap, "keypoints", got.keypoints[0], expected, reference="2 × 2 system, NumPy", tolerance=1e-9
        )


@quick
@given(seed=st.integers(0, 10**6), beta=st.sampled_from([0, 0.5, 1, 10, 300]))
def test_soft_argmax_is_the_mean_under_softmax(seed, beta, receipt):
    grid = np.random.default_rng(seed).normal(size=(2, 4, 7))
    got = soft_argmax(grid, beta=beta)
    expected = [oracle.soft_mean(part.tolist(), beta) for part in grid]
    receipt(soft_argmax, "keypoints", got.keypoints, expected, reference="term by term")
    assert np.allclose(got.marginal_x.sum(axis=1), 1)
    assert np.allclose(got.marginal_y @ np.arange(4), got.keypoints[:, 1])
    p = torch.softmax(beta * torch.from_numpy(grid).flatten(1), 1).reshape(grid.shape)
    receipt(soft_argmax, "marginal_x", got.marginal_x, p.sum(1), reference="torch")


def test_soft_argmax_is_drawn_to_the_middle_and_back_to_the_peak():
    """The figures of the bias on a row of 48 cells with σ = 2, μ = 10.3."""
    row = np.exp(-((np.arange(48) - 10.3) ** 2) / 8)[None, None]
    bias = {beta: soft_argmax(row, beta=beta).keypoints[0, 0] - 10.3 for beta in (1, 10, 50, 100)}
    assert bias[1] == pytest.approx(11.4, abs=0.05)
    assert bias[10] == pytest.approx(0.014, abs=0.001)
    assert bias[50] == pytest.approx(-0.218, abs=0.001)
    assert bias[100] == pytest.approx(-0.292, abs=0.001)
    assert soft_argmax(row, beta=0).keypoints[0] == pytest.approx([23.5, 0])


@pytest.mark.parametrize(
    ("center", "decoder", "width", "slack"),
    [("rounded", "argmax", 4, 0.02), ("rounded", "shift", 4, 0.02), ("exact", "shift", 2, 0.02)],
)
def test_quantisation_follows_its_law(center, decoder, width, slack):
    """4,000 points, away from the border by more than a bin."""
    truth, found = random_points(4000, seed=3, margin=8), []
    for part in np.array_split(truth, 20):
        label = encode_heatmap(part, np.ones(len(part)), input_size=INPUT, heatmap_size=MAP, center=center)
        found.append(decode_heatmap(label.heatmaps, input_size=INPUT, decoder=decoder).keypoints)
    errors, law = np.concatenate(found) - truth, quantization_law(width)
    assert np.abs(errors).mean() == pytest.approx(law.mean_axis, rel=slack)
    assert np.hypot(*errors.T).mean() == pytest.approx(law.mean_distance, rel=slack)
    assert np.sqrt((errors**2).mean()) == pytest.approx(law.rms_axis, rel=slack)
    assert np.abs(errors).max() <= law.largest_axis + 1e-9


def test_dark_finds_what_was_not_rounded():
    truth = random_points(300, seed=4, margin=30)
    label = encode_heatmap(truth, np.ones(300), input_size=INPUT, heatmap_size=MAP, center="exact")
    assert np.abs(decode_heatmap(label.heatmaps, input_size=INPUT, decoder="dark").keypoints - truth).max() < 5e-3
    rounded = encode_heatmap(truth, np.ones(300), input_size=INPUT, heatmap_size=MAP)
    found = decode_heatmap(rounded.heatmaps, input_size=INPUT, decoder="dark")
    assert np.abs(found.offsets).max() < 1e-6  # a rounded label is symmetrical: nothing left to find


def test_nothing_is_changed_and_any_array_is_read():
    points = np.array([[50.0, 60], [70, 80]])
    visible = np.array([2, 0])
    points.setflags(write=False)
    expected = encode_heatmap(points, visible, input_size=INPUT, heatmap_size=MAP)
    assert expected.weights.tolist() == [1, 0]
    for same in (
        points.tolist(),
        torch.from_numpy(points.copy()),
        np.asfortranarray(points),
        points.astype(np.float16),
    ):
        got = encode_heatmap(same, visible, input_size=INPUT, heatmap_size=MAP)
        assert (got.heatmaps == expected.heatmaps).all()
    maps = expected.heatmaps.copy()
    maps.setflags(write=False)
    for decoder in ("argmax", "shift", "dark"):
        first = decode_heatmap(maps, input_size=INPUT, decoder=decoder)
        wide = np.zeros((2, 128, 96))
        wide[:, ::2, ::2] = maps
        again = decode_heatmap(wide[:, ::2, ::2], input_size=INPUT, decoder=decoder)
        assert (first.keypoints == again.keypoints).all()
    half = decode_heatmap(torch.from_numpy(expected.heatmaps).half(), input_size=INPUT, decoder="argmax")
    assert (half.keypoints[0] == decode_heatmap(maps, input_size=INPUT, decoder="argmax").keypoints[0]).all()
    soft_argmax(maps, beta=3)


def test_no_joints_one_cell_and_flat_maps():
    assert encode_heatmap([], [], input_size=INPUT, heatmap_size=MAP).heatmaps.shape == (0, 64, 48)
    for decoder in ("argmax", "shift", "dark"):
        assert decode_heatmap(np.zeros((0, 4, 4)), input_size=INPUT, decoder=decoder).keypoints.shape == (0, 2)
        assert decode_heatmap([[[1.0]]], input_size=(7, 7), decoder=decoder).keypoints.tolist() == [[0, 0]]
        flat = decode_heatmap(np.ones((1, 9, 9)), input_size=(9, 9), decoder=decoder)
        assert np.isfinite(flat.keypoints).all()
    hill = np.zeros((1, 9, 9))
    hill[0, 4, 4] = 1.0
    assert decode_heatmap(hill, input_size=(9, 9), decoder="dark", blur_kernel=1).keypoints.tolist() == [[4, 4]]
    hidden = encode_heatmap([[np.nan, 1]], [0], input_size=INPUT, heatmap_size=MAP)
    assert not hidden.heatmaps.any()
    assert encode_heatmap([[1e300, 1]], [1], input_size=INPUT, heatmap_size=MAP, outside="patch").weights[0] == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: as_keypoints([[1, 2, 3]], [1]), r"keypoints must have shape \(K, 2\), got \(1, 3\)"),
        (lambda: as_keypoints([[1, 2]], [1, 1]), r"visible must have shape \(1,\)"),
        (lambda: as_keypoints([[1, 2], [np.inf, 2]], [1, 1]), r"got \[inf, 2.0\] in keypoint 1"),
        (lambda: as_size((0, 4), name="input_size"), r"input_size must be \(width, height\)"),
        (lambda: as_size((2.5, 4), name="input_size"), "whole numbers"),
        (lambda: encode_heatmap([], [], input_size=INPUT, heatmap_size=MAP, sigma=0), "sigma must be a number above 0"),
        (lambda: encode_heatmap([], [], input_size=INPUT, heatmap_size=MAP, sigma=np.nan), "sigma"),
        (lambda: as_maps([[1, 2]]), r"heatmaps must have shape \(K, H, W\), got \(1, 2\)"),
        (lambda: as_maps(np.zeros((1, 0, 3))), "heatmaps must have shape"),
        (lambda: as_maps([[[np.nan]]]), "heatmaps must be finite"),
        (lambda: decode_heatmap([[[1.0]]], input_size=INPUT, decoder="best"), "decoder must be argmax, shift or dark"),
        (lambda: decode_heatmap([[[1.0]]], input_size=INPUT, decoder="shift", border="no"), "border must be hrnet"),
        (lambda: decode_heatmap([[[1.0]]], input_size=INPUT, decoder="dark", blur_kernel=4), "blur_kernel must be odd"),
        (lambda: soft_argmax([[[1.0]]], beta=-1), "beta must be a number of 0 or more"),
        (lambda: soft_argmax([[[1.0]]], beta=np.nan), "beta must"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
    with pytest.raises(TypeError, match="keypoints must hold real numbers"):
        as_keypoints([[1j, 2]], [1])
