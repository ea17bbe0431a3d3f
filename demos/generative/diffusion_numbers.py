"""Result -> numbers with formulas and operands; every value is a field or property of a record in core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demos.kit.numbers import Number

if TYPE_CHECKING:
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Result


def numbers_of(result: Result) -> tuple[tuple[Number, ...], ...]:
    """What stands beside the picture, one tuple a step."""
    times = [float(t) for t in result.lanes.times]
    own = _bundle(result) if result.bundle is not None else lane_numbers(result)
    return tuple((*scale_numbers(result.process, t), *own[k]) for k, t in enumerate(times))


def scale_numbers(process: Process, t: float) -> tuple[Number, Number]:
    """α and σ of a time, by the process' own formula."""
    kind: Any = type(process)
    alpha, sigma = process.alpha(t), process.sigma(t)
    if process.name == "VE":
        operands = {"s_min": process.sigma_min, "s_max": process.sigma_max, "t": t}  # type: ignore[attr-defined]
        return (
            Number("alpha", alpha, kind.alpha, "1"),
            Number("sigma", sigma, kind.sigma, "s_min · exp(t · log(s_max / s_min))", operands, gauge=False),
        )
    betas = {"b_min": process.beta_min, "b_max": process.beta_max, "t": t}  # type: ignore[attr-defined]
    root = "sqrt(1 − alpha · alpha)" if process.name == "VP" else "1 − alpha · alpha"
    return (
        Number("alpha", alpha, kind.alpha, "exp(−0.25 · t · t · (b_max − b_min) − 0.5 · t · b_min)", betas),
        Number("sigma", sigma, kind.sigma, root, {"alpha": alpha} if sigma > 0.05 else {}, gauge=False),
    )


def _agreement(result: Any, k: int) -> tuple[Number, ...]:
    from core.generative.lanes import marginal_agreement

    found, n = result.agreement, result.lanes.reverse.shape[1]
    return (
        Number("between", float(found.between[k]), marginal_agreement, "max |F_reverse − F_flow|"),
        Number(
            "critical",
            found.critical_two,
            marginal_agreement,
            "1.3581 · sqrt(2 / n)",
            {"n": n},
        ),
    )


def lane_numbers(result: Any) -> list[tuple[Number, ...]]:
    """How well two lanes agree at every step, in the plane or on a line."""
    from core.generative.lanes import marginal_agreement, three_lanes

    found, lanes = result.agreement, result.lanes
    n = lanes.reverse.shape[1]
    same = Number("same_end", lanes.same_end, three_lanes, "same / n", {"same": round(lanes.same_end * n), "n": n})
    distance = lanes.path_distance
    return [
        (
            *_agreement(result, k),
            Number("reverse", float(found.reverse[k]), marginal_agreement, "max |F_reverse − F_exact|"),
            Number("flow", float(found.flow[k]), marginal_agreement, "max |F_flow − F_exact|"),
            Number("path_distance", float(distance[k]), three_lanes, "mean |x_reverse − x_flow|", gauge=False),
            same,
        )
        for k in range(len(lanes.times))
    ]


def _bundle(result: Result) -> list[tuple[Number, ...]]:
    from core.generative.lanes import path_bundle

    bundle = result.bundle
    assert bundle is not None
    spread = bundle.spread
    home = Number("return_error", bundle.return_error, path_bundle, "|x_T − encoded|", gauge=False)
    return [
        (
            *_agreement(result, k),
            Number("spread", float(spread[k]), path_bundle, "sqrt(mean |x − mean x|²) over the bundle", gauge=False),
            home,
        )
        for k in range(len(bundle.times))
    ]


def group_item(result: Result, group: int) -> str:
    """How a group of components is called: a mode's number, or a side of the plane."""
    return f"sector_{group}" if result.grouped else f"mode:{group + 1}"


def share_numbers(result: Result, group: int) -> tuple[Number, ...]:
    """What a group weighs, and what each lane gave it."""
    from core.generative.plane import group_shares

    found, item = result.shares, group_item(result, group)
    weight = Number("weight", float(found.weight[group]), group_shares, "sum of w_k", item=item)
    counted = tuple(
        Number(lane, int(getattr(found, lane)[group]), group_shares, "particles counted", item=item)
        for lane in ("forward", "reverse", "flow")
    )
    return weight, *counted


def bundle_numbers(result: Result, component: int) -> tuple[Number, Number]:
    """Where one noise point may end: the law of the exact reverse process, and the share of the bundle's paths."""
    from core.generative.lanes import path_bundle

    bundle = result.bundle
    assert bundle is not None
    item, paths = f"mode:{component + 1}", bundle.bundle.shape[1]
    share = float(bundle.shares[component])
    return (
        Number("law", float(bundle.law.weights[0, component]), path_bundle, "r_k(x_T)", item=item),
        Number(
            "shares", share, path_bundle, "ended / paths", {"ended": round(share * paths), "paths": paths}, item=item
        ),
    )
