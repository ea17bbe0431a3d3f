import math

import pytest
import torch

from core.generative.mixtures import gaussian_mixture
from core.generative.scores import (
    ExactScore,
    inject_error,
    path_error,
    score_of_denoiser,
    score_of_noise,
    tweedie,
)
from core.generative.sde import EDM, VE, VP, SubVP
from tests.oracles import diffusion as oracle

MIXTURE = gaussian_mixture(*oracle.tensors(oracle.PLANE))


@pytest.mark.parametrize(("process", "kind"), [(VP(), "VP"), (SubVP(), "sub-VP"), (VE(), "VE"), (EDM(), "EDM")])
def test_the_exact_score_is_the_mixtures_under_the_process(process, kind, receipt):
    x, t = oracle.points(2, 6), 0.3
    expected = oracle.autograd_score(*oracle.tensors(oracle.PLANE), x, *oracle.SCALES[kind](t))
    score = ExactScore(MIXTURE, process)
    receipt(ExactScore.__call__, "score", score(x, t), expected, reference="automatic differentiation", tolerance=1e-9)
    hessian = oracle.autograd_hessian(*oracle.tensors(oracle.PLANE), x, *oracle.SCALES[kind](t))
    trace = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)
    receipt(
        ExactScore.divergence,
        "divergence",
        score.divergence(x, t),
        trace,
        reference="automatic differentiation",
        tolerance=1e-7,
    )
    times = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).double()
    many = score(x, times)
    for i in range(6):
        assert torch.allclose(many[i], score(x[i : i + 1], float(times[i]))[0], atol=1e-12)


def test_errors_have_the_size_that_they_say():
    exact, x, t = ExactScore(MIXTURE, VP()), oracle.points(2, 50), 0.4
    alpha, sigma = VP().alpha(t), VP().sigma(t)
    assert torch.allclose(inject_error(exact, VP(), kind="scaled", size=-0.2)(x, t), 0.8 * exact(x, t))
    shifted = inject_error(exact, VP(), kind="shifted", size=0.3)
    assert torch.allclose(sigma * shifted.error(x, t), torch.full((50, 2), 0.3 / math.sqrt(2)).double())
    assert torch.allclose(shifted(x, t), exact(x, t) + shifted.error(x, t))
    rippled = inject_error(exact, VP(), kind="rippled", size=0.3).error(x, t) * sigma
    assert torch.allclose(rippled, 0.3 * torch.sin(2 * math.pi * x / math.hypot(alpha, sigma)))
    late = inject_error(exact, VP(), kind="late", size=0.3)
    assert late.error(x, 0.9).abs().max() == 0
    assert torch.allclose(late.error(x, 0.05), inject_error(exact, VP(), kind="shifted", size=0.3).error(x, 0.05))
    for kind in ("scaled", "shifted", "rippled", "late"):
        assert torch.equal(inject_error(exact, VP(), kind=kind, size=0)(x, t), exact(x, t))
        times = torch.full((50,), t).double()
        assert torch.allclose(
            inject_error(exact, VP(), kind=kind, size=0.1)(x, times),
            inject_error(exact, VP(), kind=kind, size=0.1)(x, t),
        )


def test_girsanovs_bound_of_a_constant_error_is_an_integral(receipt):
    """½∫g²(size/σ)² dt, by SciPy's quadrature."""
    from scipy import integrate

    flawed = inject_error(ExactScore(MIXTURE, VP()), VP(), kind="shifted", size=0.1)
    expected = integrate.quad(
        lambda t: 0.5 * oracle.rates("VP", t)[1] * (0.1 / oracle.SCALES["VP"](t)[1]) ** 2,
        1e-3,
        1,
        epsabs=1e-12,
        limit=500,
    )[0]
    found = path_error(flawed, MIXTURE, points=3, nodes=4000, seed=0)
    receipt(path_error, "kl_bound", found.kl_bound, expected, reference="SciPy's quadrature", tolerance=1e-5)
    assert found.times[0] < found.times[-1]
    none = inject_error(ExactScore(MIXTURE, VP()), VP(), kind="scaled", size=0)
    assert path_error(none, MIXTURE, points=3, nodes=4, seed=0).kl_bound == 0
    with pytest.raises(ValueError, match="nodes"):
        path_error(none, MIXTURE, nodes=1, seed=0)


@pytest.mark.parametrize("process", [VP(), SubVP(), VE(), EDM()])
def test_noise_denoiser_and_score_are_one(process, receipt):
    exact, x = ExactScore(MIXTURE, process), oracle.points(2, 5)
    for t in (0.2, 0.8):
        alpha, sigma = process.alpha(t), process.sigma(t)
        denoised = MIXTURE.denoise(x, alpha=alpha, sigma=sigma)
        receipt(
            tweedie,
            "denoised",
            tweedie(x, exact(x, t), alpha=alpha, sigma=sigma),
            denoised,
            reference="closed form",
            tolerance=1e-10,
        )
        by_noise = score_of_noise(lambda x, t: -process.sigma(t) * exact(x, t), process)
        assert torch.allclose(by_noise(x, t), exact(x, t))
        by_denoiser = score_of_denoiser(lambda x, level: MIXTURE.denoise(x, sigma=level), process)
        assert torch.allclose(by_denoiser(x, t), exact(x, t), atol=1e-9)
    assert torch.allclose(
        tweedie(
            x,
            exact(x, 0.2),
            alpha=torch.full((5,), process.alpha(0.2)).double(),
            sigma=torch.full((5,), process.sigma(0.2)).double(),
        ),
        MIXTURE.denoise(x, alpha=process.alpha(0.2), sigma=process.sigma(0.2)),
        atol=1e-10,
    )


def test_nonsense_is_refused():
    exact = ExactScore(MIXTURE, VP())
    with pytest.raises(ValueError, match="kind"):
        inject_error(exact, VP(), kind="wrong", size=1)
    with pytest.raises(ValueError, match="size"):
        inject_error(exact, VP(), kind="scaled", size=math.nan)
