"""The probability-flow ODE: fixed grid, error-controlled per particle, and its exact maps where closed forms exist.

dx/dt = f(x, t) − ½g²∇log p_t(x) has the marginals of the SDE and none of its noise: each particle has one path, which can be
followed both ways. Its *joint* law differs from the SDE's; only the marginals agree.
Source: Song et al., arXiv:2011.13456, §4.3 and appendix D; Dormand & Prince 1980 (5(4) pair).
Notation: f drift, g diffusion, s score, F_t distribution function of p_t, v = α²Λ + σ².
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from core.generative.mixtures import GaussianMixture
from core.generative.sampler_steps import SamplerStep, check_start
from core.generative.scores import ExactScore, Score
from core.generative.sde import Process, rows

Divergence: TypeAlias = Callable[[Tensor, "float | Tensor"], Tensor]  # (N, …) points, time -> (N,) ∇·s


def flow_velocity(score: Score, process: Process, x: Tensor, t: float | Tensor) -> Tensor:
    """f(x, t) − ½g(t)²s(x, t): the velocity of the probability flow, (N, …).

    Args:
        score: ∇ log p_t.
        process: VP, SubVP, VE or EDM.
        x: (N, …).
        t: one time, or (N,) times.

    Source: arXiv:2011.13456 eq. 13.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0]], 3.0), EDM())
    >>> flow_velocity(score, EDM(), torch.tensor([[4.0]], dtype=torch.float64), 1.0).tolist()
    [[1.0000000000000002]]
    """
    g = process.diffusion(t)
    return rows(process.drift_rate(t), x) * x - rows(0.5 * g * g, x) * score(x, t)


def flow_path(
    score: Score,
    process: Process,
    x: Tensor,
    times: Sequence[float],
    *,
    method: Literal["runge_kutta", "heun"] = "runge_kutta",
) -> Iterator[SamplerStep]:
    """Follow the flow in t on a grid, towards the data or, encoding, away from it.

    Args:
        score, process: as `flow_velocity`.
        x: (N, …) start at times[0].
        times: falling (decode) or rising (encode), at least two, all above 0.
        method: the classical Runge–Kutta method (order 4, four scores a step) or Heun's (order 2, two scores).

    Raises:
        ValueError: if the times are not in strict order, x is not finite, or the method is unknown.

    Source: Kutta 1901; arXiv:2011.13456 eq. 13.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP, time_grid
    >>> score = ExactScore(gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 0.1), VP())
    >>> start, times = torch.tensor([[0.3]], dtype=torch.float64), time_grid(VP(), 100)
    >>> *_, sample = flow_path(score, VP(), start, times)
    >>> *_, noise = flow_path(score, VP(), sample.x, times[::-1])
    >>> print(round(float(sample.x), 4), round(float(noise.x), 4))
    1.7721 0.3
    """
    falling = len(times) > 1 and times[1] < times[0]
    check_start(x, times if falling else times[::-1])
    if min(times) <= 0:
        raise ValueError(f"times must be above 0, where the score may be infinite, got {min(times)}")
    if method not in ("runge_kutta", "heun"):
        raise ValueError(f"method must be runge_kutta or heun, got {method!r}")
    return _flow_path(score, process, x, times, method == "heun")


def _flow_path(score: Score, process: Process, x: Tensor, times: Sequence[float], heun: bool) -> Iterator[SamplerStep]:
    yield SamplerStep(0, times[0], x.clone(), None, 0.0, None, 0)
    for i, (t, s) in enumerate(pairwise(times)):
        h, middle = s - t, 0.5 * (t + s)
        slope = score(x, t)
        g = process.diffusion(t)
        k1 = process.drift_rate(t) * x - (0.5 * g * g) * slope
        if heun:
            x = x + (0.5 * h) * (k1 + flow_velocity(score, process, x + h * k1, s))
            yield SamplerStep(i + 1, s, x, x, 0.0, slope, 2 * (i + 1))
            continue
        k2 = flow_velocity(score, process, x + 0.5 * h * k1, middle)
        k3 = flow_velocity(score, process, x + 0.5 * h * k2, middle)
        k4 = flow_velocity(score, process, x + h * k3, s)
        x = x + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        yield SamplerStep(i + 1, s, x, x, 0.0, slope, 4 * (i + 1))


@dataclass(frozen=True, slots=True)
class FlowResult:
    """Where the flow led each particle, and what it did to volumes on the way."""

    x: Tensor  # (N, …) particles at the end
    divergence_integral: Tensor  # (N,) ∫∇·velocity dt along the path, nats; 0 without a divergence
    evaluations: Tensor  # (N,) calls of the score for each particle
    rejected: Tensor  # (N,) steps that were too long and done again


# Dormand–Prince 5(4): nodes, weights of the stages, of the result (order 5), and of the error estimate
_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate_flow(
    score: Score,
    process: Process,
    x: Tensor,
    *,
    t_from: float,
    t_to: float,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    divergence: Divergence | None = None,
    probes: Tensor | None = None,
    most_steps: int = 100_000,
) -> FlowResult:
    """Follow the flow from one time to another with an error control of its own for every particle.

    Convention: Dormand–Prince 5(4); a particle's error is the root mean square over its own coordinates (and, with a
    divergence, its log density) of error/(atol + rtol·|x|). The reference code hands the whole batch to SciPy's RK45 as one
    vector, so that its steps, and each particle's result, depend on the batch.

    Args:
        score, process: as `flow_velocity`; both are called with (N,) times.
        x: (N, …) start at t_from.
        t_from, t_to: either order, not below 0.
        rtol, atol: tolerances; the reference uses 1e-5 for both.
        divergence: ∇·s; if given, ∫∇·velocity dt is carried along.
        probes: like x; if given instead, ∇·s is estimated by vᵀ(∂s/∂x)v with each particle's own v, fixed over its path.
        most_steps: of any particle.

    Raises:
        ValueError: if a tolerance is not positive, the times are equal or negative, or x is not finite.
        RuntimeError: if a particle needs more steps than allowed.

    Source: Dormand & Prince 1980; Hairer, Nørsett & Wanner, Solving ODEs I, §II.4 (step control).
    Differs: no dense output.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0]], 4.0), VP())
    >>> end = integrate_flow(score, VP(), torch.tensor([[4.0]]).double(), t_from=1e-3, t_to=1.0, rtol=1e-8, atol=1e-8)
    >>> round(float(end.x), 6)
    2.000212
    """
    if not (rtol > 0 and atol > 0):
        raise ValueError(f"rtol and atol must be above 0, got {rtol} and {atol}")
    if t_from < 0 or t_to < 0:
        raise ValueError(f"t_from and t_to must not be negative, got {t_from} and {t_to}")
    check_start(x, [max(t_from, t_to), min(t_from, t_to)])
    n, shape = len(x), x.shape
    state = x.reshape(n, -1)
    volumes = divergence is not None or probes is not None
    if probes is not None and (divergence is not None or probes.shape != shape):
        raise ValueError(f"probes must have the shape of x, {tuple(shape)}, and stand instead of a divergence")
    state = torch.cat([state, state.new_zeros(n, 1)], 1) if volumes else state.clone()

    def velocity(y: Tensor, t: Tensor, who: Tensor) -> Tensor:
        points = (y[:, :-1] if volumes else y).reshape(len(y), *shape[1:])
        g = process.diffusion(t)
        if probes is not None:
            slope, trace = probed_divergence(score, points, t, probes[who])
        else:
            slope, trace = score(points, t), divergence(points, t) if divergence is not None else None
        speed = rows(process.drift_rate(t), points) * points - rows(0.5 * g * g, points) * slope
        if trace is None:
            return speed.reshape(len(y), -1)
        growth = process.drift_rate(t) * (y.shape[1] - 1) - 0.5 * g * g * trace
        return torch.cat([speed.reshape(len(y), -1), growth[:, None]], 1)

    span = t_to - t_from
    t = state.new_full((n,), t_from)
    h = state.new_full((n,), 1e-3 * span)
    calls = torch.zeros(n, dtype=torch.long, device=x.device)
    rejected = torch.zeros_like(calls)
    active = torch.arange(n, device=x.device)
    first = velocity(state, t, active)
    calls += 1
    steps = 0
    while len(active):
        steps += 1
        if steps > most_steps:
            raise RuntimeError(
                f"the flow needs more than {most_steps} steps for {len(active)} particles; relax rtol or atol"
            )
        y, t0 = state[active], t[active]
        left = t_to - t0
        last = h[active].abs() >= left.abs()
        step = torch.where(last, left, h[active])
        slopes = [first[active]]
        after = y
        for node, weights in zip(_NODES[1:], _STAGES[1:], strict=True):
            after = y + step[:, None] * sum(
                (w * k for w, k in zip(weights, slopes, strict=True) if w), torch.zeros_like(y)
            )
            slopes.append(velocity(after, t0 + node * step, active))
        error = step[:, None] * sum((e * k for e, k in zip(_ERRORS, slopes, strict=True) if e), torch.zeros_like(y))
        size = atol + rtol * torch.maximum(y.abs(), after.abs())
        norm = (error / size).square().mean(-1).sqrt()
        norm = torch.where(torch.isfinite(norm), norm, math.inf)
        good = norm <= 1
        calls[active] += 6
        rejected[active] += (~good).long()
        done = active[good]
        state[done], first[done] = after[good], slopes[-1][good]
        t[done] = torch.where(last, state.new_tensor(t_to), t0 + step)[good]
        factor = (0.9 * norm.clamp(min=1e-10).pow(-0.2)).clamp(0.2, 5.0)
        h[active] = step * torch.where(good, factor, factor.clamp(max=1.0))
        active = active[~(good & last)]
    growth = state[:, -1] if volumes else state.new_zeros(n)
    ends = state[:, :-1] if volumes else state
    return FlowResult(ends.reshape(shape).clone(), growth.clone(), calls, rejected)


def probed_divergence(score: Score, x: Tensor, t: float | Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The score and vᵀ(∂s/∂x)v, (N, …) and (N,), by one pass forward and one backward.

    Args:
        score: a differentiable score.
        x, v: (N, …) points and probes.
        t: one time, or (N,).

    Source: Hutchinson 1990; arXiv:2011.13456 eq. 40.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> score = ExactScore(gaussian_mixture([1.0], [[0.0, 0.0]], 1.0), EDM())
    >>> x = torch.zeros(1, 2, dtype=torch.float64)
    >>> probed_divergence(score, x, 1.0, torch.ones_like(x))[1].tolist()
    [-1.0]
    """
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        slope = score(at, t)
        (gradient,) = torch.autograd.grad((slope * v).sum(), at)
    return slope.detach(), (gradient * v).reshape(len(x), -1).sum(-1)


ExactMethod = Literal["gaussian", "quantile", "line", "integrated"]


@dataclass(frozen=True, slots=True)
class ExactFlow:
    """Where the probability flow leads, in closed form if there is one."""

    x: Tensor  # (N, d) particles at t_to
    method: ExactMethod  # which closed form; "integrated" if there is none: Dormand–Prince at 1e-11


def exact_flow(mixture: GaussianMixture, process: Process, x: Tensor, *, t_from: float, t_to: float) -> ExactFlow:
    """The flow's own map, by the best method there is.

    Convention: one Gaussian: scaling along its axes. One dimension: the quantile map. Equal round components whose means lie
    on a line, in any dimension: the quantile map along it and scaling across. Else there is no closed form known, and the
    flow is integrated at 1e-11.

    Args:
        mixture: the data.
        process: any.
        x: (N, d) at t_from.
        t_from, t_to: either order; 0 is allowed if every variance is above 0 or a closed form exists.

    Raises:
        ValueError: if x has another dimension, or a time is negative.

    Source: own derivation; tested against DOP853 at 1e-12.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import VP
    >>> two = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)
    >>> end = exact_flow(two, VP(), torch.zeros(1, 2, dtype=torch.float64), t_from=1.0, t_to=1e-3)
    >>> print(end.method, [round(v, 4) for v in end.x[0].tolist()])
    line [4.7483, 4.7483]
    """
    if mixture.components == 1:
        return ExactFlow(gaussian_flow(mixture, process, x, t_from=t_from, t_to=t_to), "gaussian")
    if mixture.dim == 1:
        return ExactFlow(quantile_flow(mixture, process, x, t_from=t_from, t_to=t_to), "quantile")
    if _line_of(mixture) is not None:
        return ExactFlow(line_flow(mixture, process, x, t_from=t_from, t_to=t_to), "line")
    score = ExactScore(mixture, process)
    end = integrate_flow(score, process, x, t_from=t_from, t_to=t_to, rtol=1e-11, atol=1e-11)
    return ExactFlow(end.x, "integrated")


def gaussian_flow(mixture: GaussianMixture, process: Process, x: Tensor, *, t_from: float, t_to: float) -> Tensor:
    """The flow of one Gaussian: along each axis, distance from the mean in standard deviations stays the same.

    Args:
        mixture: of one component; a variance of 0 is a point.
        process, x, t_from, t_to: as `exact_flow`.

    Raises:
        ValueError: if there are more components.

    Source: x_t − α_t μ scales with √(α_t²Λ + σ_t²).
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> one = gaussian_mixture([1.0], [[1.0]], 1.0)
    >>> gaussian_flow(one, EDM(), torch.tensor([[3.0]], dtype=torch.float64), t_from=0.0, t_to=3**0.5).tolist()
    [[5.0]]
    """
    if mixture.components != 1:
        raise ValueError(f"this map is for one Gaussian, got {mixture.components}")
    _check_flow(mixture, x, t_from, t_to)
    a, b = (mixture.diffused(process.alpha(t), process.sigma(t)) for t in (t_from, t_to))
    stretch = (b.variances[0] / a.variances[0]).sqrt()
    apart = x - a.means[0]
    if mixture.axes is not None:
        apart = (stretch * (apart @ mixture.axes[0])) @ mixture.axes[0].mT
        return b.means[0] + apart
    return b.means[0] + stretch * apart


def quantile_flow(mixture: GaussianMixture, process: Process, x: Tensor, *, t_from: float, t_to: float) -> Tensor:
    """The flow of any 1-D mixture: x_t = F_t⁻¹(F_from(x)), because paths cannot cross.

    Convention: solved in the tail that is nearer, by bisection and Newton on log F, to the last digits.

    Args:
        mixture: 1-D.
        process, x, t_from, t_to: as `exact_flow`.

    Raises:
        ValueError: if the mixture is not 1-D.

    Source: own derivation; monotone maps between densities on a line are unique.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> two = gaussian_mixture([0.5, 0.5], [[-2.0], [2.0]], 0.25)
    >>> round(float(quantile_flow(two, EDM(), torch.tensor([[1.0]], dtype=torch.float64), t_from=10.0, t_to=0.01)), 6)
    1.290498
    """
    if mixture.dim != 1:
        raise ValueError(f"the quantile map is for 1 dimension, got {mixture.dim}")
    _check_flow(mixture, x, t_from, t_to)
    a, b = (mixture.diffused(process.alpha(t), process.sigma(t)) for t in (t_from, t_to))
    return _quantile_map(a, b, x[:, 0])[:, None]


def line_flow(mixture: GaussianMixture, process: Process, x: Tensor, *, t_from: float, t_to: float) -> Tensor:
    """The flow of equal round components whose means lie on a line: quantile map along it, scaling across it.

    Args:
        mixture: such a mixture, in any dimension.
        process, x, t_from, t_to: as `exact_flow`.

    Raises:
        ValueError: if the mixture is of another kind.

    Source: own derivation: the score splits into the line's and a Gaussian's.
    Differs: nothing.

    >>> from core.generative.mixtures import gaussian_mixture
    >>> from core.generative.sde import EDM
    >>> two = gaussian_mixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], 0.25)
    >>> end = line_flow(two, EDM(), torch.tensor([[1.0, 10.0]], dtype=torch.float64), t_from=10.0, t_to=0.01)
    >>> [round(v, 6) for v in end[0].tolist()]
    [1.290498, 0.499476]
    """
    direction = _line_of(mixture)
    if direction is None:
        raise ValueError("this map is for equal round components whose means lie on a line, got another mixture")
    _check_flow(mixture, x, t_from, t_to)
    a, b = (mixture.diffused(process.alpha(t), process.sigma(t)) for t in (t_from, t_to))
    moved = _quantile_map(a.project(direction), b.project(direction), x @ direction)
    origin = mixture.means[0] - (mixture.means[0] @ direction) * direction  # the line's point nearest to 0
    across = x - (x @ direction)[:, None] * direction - process.alpha(t_from) * origin
    stretch = (b.variances[0, 0] / a.variances[0, 0]).sqrt()
    return moved[:, None] * direction + process.alpha(t_to) * origin + stretch * across


def _line_of(mixture: GaussianMixture) -> Tensor | None:
    """Unit direction of the line through all means, if components are round and equal; None if they are not."""
    if mixture.axes is not None or not bool((mixture.variances == mixture.variances[0, 0]).all()):
        return None
    apart = mixture.means - mixture.means[0]
    far = int(apart.square().sum(-1).argmax())
    length = apart[far].square().sum().sqrt()
    if not float(length) > 0:
        return torch.eye(mixture.dim, dtype=apart.dtype, device=apart.device)[0]
    direction = apart[far] / length
    off = apart - (apart @ direction)[:, None] * direction
    return direction if float(off.abs().max()) <= 1e-12 * float(length) else None


def _quantile_map(a: GaussianMixture, b: GaussianMixture, x: Tensor) -> Tensor:
    """Solve F_b(y) = F_a(x), (N,), in whichever tail is smaller."""
    lower, upper = a.log_cdf(x), a.log_cdf(x, upper=True)
    from_above = upper < lower
    goal = torch.where(from_above, upper, lower)

    def excess(y: Tensor) -> Tensor:  # rising in y
        below, above = b.log_cdf(y) - goal, goal - b.log_cdf(y, upper=True)
        return torch.where(from_above, above, below)

    low_mean, high_mean = b.means.min(), b.means.max()
    reach = b.variances.max().sqrt() * 2
    low, high = (low_mean - reach).expand_as(x).clone(), (high_mean + reach).expand_as(x).clone()
    for _ in range(60):  # widen until the solution is inside
        too_high, too_low = excess(low) > 0, excess(high) < 0
        if not bool((too_high | too_low).any()):
            break
        width = high - low
        low, high = torch.where(too_high, low - width, low), torch.where(too_low, high + width, high)
    y = 0.5 * (low + high)
    for _ in range(100):
        value = excess(y)
        low, high = torch.where(value < 0, y, low), torch.where(value < 0, high, y)
        tail = b.log_cdf(y, upper=True)
        tail = torch.where(from_above, tail, b.log_cdf(y))
        newton = y - value / torch.exp(b.log_prob(y[:, None]) - tail)
        inside = (newton > low) & (newton < high)
        after = torch.where(inside, newton, 0.5 * (low + high))
        still = (after - y).abs() <= 4e-16 * y.abs().clamp(min=1e-300)
        y = after
        if bool(still.all()):
            break
    return y


def _check_flow(mixture: GaussianMixture, x: Tensor, t_from: float, t_to: float) -> None:
    if x.ndim != 2 or x.shape[1] != mixture.dim:
        raise ValueError(f"x must have the shape (N, {mixture.dim}), got {tuple(x.shape)}")
    if t_from < 0 or t_to < 0:
        raise ValueError(f"t_from and t_to must not be negative, got {t_from} and {t_to}")
