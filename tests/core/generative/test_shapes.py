import numpy as np
import pytest
import torch
from sklearn.datasets import make_moons

from core.generative.shapes import SHAPES, modes_mixture, picture_mixture, points_mixture, shape_mixture


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_finite_and_lie_in_the_plane(shape):
    mixture = shape_mixture(shape)
    x, _ = mixture.sample(2000, seed=0)
    assert mixture.dim == 2
    assert x.abs().max() < 4
    assert mixture.mean.abs().max() < 1
    assert float(mixture.weights.sum()) == pytest.approx(1)


def test_shapes_are_where_they_should_be(receipt):
    ring = shape_mixture("ring")
    receipt(shape_mixture, "radius", ring.means.norm(dim=-1), np.full(24, 2.0), reference="a circle of radius 2")
    assert torch.allclose(ring.mean, torch.zeros(2).double(), atol=1e-12)
    moons = shape_mixture("moons")
    points, _ = make_moons(32, shuffle=False)
    receipt(shape_mixture, "moons", moons.means, 1.6 * (points - [0.5, 0.25]), reference="scikit-learn")
    assert shape_mixture("two_modes").weights.tolist() == [0.8, 0.2]
    grid = shape_mixture("grid").means
    assert torch.cdist(grid, grid).fill_diagonal_(9).amin() == pytest.approx(1.8)
    three = shape_mixture("three_modes")
    assert three.covariances[0].tolist() == [pytest.approx([0.45, 0.2]), pytest.approx([0.2, 0.15])]
    spiral = shape_mixture("spiral").means
    assert (spiral.norm(dim=-1).diff() > 0).all()


def test_modes_and_points(receipt):
    mixture = modes_mixture([(1, 2, 0.5, 3), (-1, 0, 1, 1)])
    receipt(modes_mixture, "variance", mixture.variances[:, 0], [0.25, 1.0], reference="definition")
    receipt(modes_mixture, "weight", mixture.weights, [0.75, 0.25], reference="definition")
    assert mixture.means.tolist() == [[1, 2], [-1, 0]]
    cloud = np.random.default_rng(0).standard_normal((30, 2))
    kde = points_mixture(cloud, bandwidth=0.3)
    at = np.array([0.2, -0.1])
    expected = np.log(np.mean(np.exp(-((cloud - at) ** 2).sum(1) / (2 * 0.09)) / (2 * np.pi * 0.09)))
    receipt(points_mixture, "log_prob", kde.log_prob(torch.from_numpy(at)), expected, reference="Parzen's sum")


def test_a_picture_becomes_its_bright_part(receipt):
    image = np.zeros((60, 120, 3), np.uint8)
    image[5:15, 10:20] = 255  # top left
    mixture = picture_mixture(image, most=200)
    cell = 2 * float(mixture.variances[0, 0].sqrt())
    expected = [(14.5 + 0.5 - 60) * 4.8 / 120, (30 - 9.5 - 0.5) * 4.8 / 120]
    receipt(
        picture_mixture,
        "mean",
        mixture.mean,
        expected,
        reference="centre of the bright square",
        tolerance=1.5 * float(cell),
    )
    assert mixture.mean[0] < 0 < mixture.mean[1]
    assert mixture.components <= 200
    dark = picture_mixture(255 - image, most=200, dark=True)
    assert torch.allclose(dark.means, mixture.means)
    few = picture_mixture(image, most=3)
    assert few.components <= 3
    assert few.variances[0, 0] > mixture.variances[0, 0]
    bright = np.zeros((8, 8), np.uint8)
    bright[2, 3], bright[5, 6] = 255, 191
    weighed = picture_mixture(bright, most=10)
    receipt(
        picture_mixture, "weight", weighed.weights, np.array([127.5, 63.5]) / 191, reference="brightness above half"
    )
    side = 4.8 / 8
    assert np.allclose(
        weighed.means.numpy(), [[(3.5 - 4) * side, (4 - 2.5) * side], [(6.5 - 4) * side, (4 - 5.5) * side]]
    )
    tall = picture_mixture(np.ascontiguousarray(image[:, :, 0].T), most=200)
    assert tall.means[:, 1].abs().max() <= 2.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shape_mixture("star"), "shape"),
        (lambda: modes_mixture([]), "modes"),
        (lambda: modes_mixture([(1, 2, 3)]), "modes"),
        (lambda: modes_mixture([(1, 2, 0, 3)]), "standard deviation"),
        (lambda: points_mixture(np.zeros((0, 2))), "points"),
        (lambda: points_mixture([[0, 0]], bandwidth=0), "bandwidth"),
        (lambda: picture_mixture(np.zeros((5, 5), np.uint8)), "one brightness"),
        (lambda: picture_mixture(np.zeros((5, 5))), "uint8"),
        (lambda: picture_mixture(np.zeros((5, 5, 4), np.uint8)), "uint8"),
        (lambda: picture_mixture(np.zeros((5, 5), np.uint8), most=0), "most"),
    ],
)
def test_nonsense_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
