import math

import numpy as np
import pytest
import torch

from core.generative.convergence import SOLVERS, convergence, solver_end
from core.generative.mixtures import gaussian_mixture
from core.generative.scores import ExactScore, inject_error
from core.generative.sde import EDM, VP, prior_sampling, time_grid
from tests.oracles import diffusion as oracle

PLANE = gaussian_mixture(*oracle.tensors(oracle.PLANE))
ORDERS = {"euler": 1, "heun": 2, "ddim": 1, "dpm_solver_pp_2m": 2}
EDM_HALF = EDM(sigma_min=0.05)


def test_measured_orders_are_one_and_two(receipt):
    """Exact score of three modes in the plane, Karras' levels, truth by DOP853 at 1e-12."""
    process = EDM_HALF
    x = prior_sampling(process, (12, 2), seed=0)
    exact = np.array([oracle.flow("EDM", *oracle.PLANE, point, 80.0, 0.05)[0] for point in x.numpy()])
    for curve in convergence(
        PLANE, process, x, solvers=tuple(ORDERS), steps=(128, 256, 512), exact=torch.from_numpy(exact)
    ):
        receipt(convergence, "order", curve.order, ORDERS[curve.solver], reference="theory", tolerance=0.1)
        assert curve.errors == tuple(sorted(curve.errors, reverse=True))
        for n, error in zip(curve.steps, curve.errors, strict=True):
            end, _ = solver_end(
                curve.solver, ExactScore(PLANE, process), process, x, time_grid(process, n, spacing="karras")
            )
            by_hand = math.sqrt(np.mean(np.sum((end.numpy() - exact) ** 2, axis=1)))
            receipt(convergence, "error", error, by_hand, reference="DOP853 at 1e-12", tolerance=1e-9)
        assert curve.orders[0] == pytest.approx(math.log2(curve.errors[0] / curve.errors[1]))


def test_orders_in_time_on_a_line():
    mixture = gaussian_mixture(*oracle.tensors(oracle.LINE))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    curves = convergence(mixture, VP(), x, solvers=("euler_in_t", "runge_kutta"), steps=(200, 400), spacing="uniform")
    assert curves[0].order == pytest.approx(1, abs=0.1)
    assert curves[1].order == pytest.approx(4, abs=0.5)
    assert curves[0].truth == "quantile"
    assert curves[0].evaluations == (200, 400)
    assert curves[1].evaluations == (800, 1600)


def test_a_wrong_score_flattens_the_curve():
    x = prior_sampling(EDM_HALF, (6, 2), seed=0)
    flawed = inject_error(ExactScore(PLANE, EDM_HALF), EDM_HALF, kind="shifted", size=0.05)
    (wrong,) = convergence(PLANE, EDM_HALF, x, solvers=("heun",), steps=(64, 128), score=flawed)
    assert abs(wrong.order) < 0.2
    assert wrong.errors[-1] > 0.01


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_counts_its_calls(solver):
    calls = 0

    def score(x, t):
        nonlocal calls
        calls += 1
        return -x

    _, evaluations = solver_end(solver, score, VP(), torch.zeros(2, 1).double(), time_grid(VP(), 5))
    assert calls == evaluations


def test_one_number_of_steps_has_no_order_and_nonsense_is_refused():
    x = torch.zeros(1, 2).double()
    (curve,) = convergence(PLANE, EDM_HALF, x, solvers=("euler",), steps=(4,), exact=x)
    assert math.isnan(curve.order)
    assert curve.orders == ()
    with pytest.raises(ValueError, match="steps"):
        convergence(PLANE, EDM_HALF, x, steps=(8, 4), exact=x)
    with pytest.raises(ValueError, match="steps"):
        convergence(PLANE, EDM_HALF, x, steps=(), exact=x)
    with pytest.raises(ValueError, match="solver"):
        solver_end("magic", ExactScore(PLANE, VP()), VP(), x, [1.0, 0.5])
