import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.systems.checkpoint_plans import CheckpointPlan, flattened, segments_plan
from core.systems.checkpoint_schedules import (
    LayerSizes,
    checkpoint_frontier,
    optimal_checkpoints,
    plan_cost,
    revolve_cost,
    revolve_plan,
)
from tests.oracles import checkpointing as oracle

quick = settings(
    deadline=None,
    max_examples=40,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the examples are small as they come
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CHAIN = [LayerSizes(1, 2, 0, 1)] * 4


@st.composite
def chains(draw, most=5):
    n = draw(st.integers(1, most))
    costs = [draw(st.integers(1, 9)) for _ in range(n)]
    sizes = []
    for _ in range(n):
        output = draw(st.integers(0, 5))
        extras = draw(st.tuples(st.integers(0, 20), st.integers(0, 6)))
        sizes.append((output, output + draw(st.integers(0, 12)), *extras))
    return costs, sizes


def test_revolves_cost_is_the_recursions(receipt):
    got, expected = [], []
    for length in range(1, 40):
        for checkpoints in range(1, 12):
            got.append(revolve_cost(length, checkpoints))
            expected.append(oracle.fewest_evaluations(length, checkpoints))
    receipt(revolve_cost, "revolve_cost", got, expected, reference="recursion over every first advance")
    assert (revolve_cost(12, 3), revolve_cost(36, 6)) == (21, 72)


def test_revolves_cost_is_the_best_of_all_schedules(receipt):
    cases = [(length, c) for length in range(1, 8) for c in range(1, 5)]
    got = [revolve_cost(*case) for case in cases]
    expected = [oracle.fewest_evaluations_by_search(*case) for case in cases]
    receipt(revolve_cost, "revolve_cost", got, expected, reference="Dijkstra over machine states")


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 12, 25])
def test_revolves_plan_costs_what_it_says(length, checkpoints, receipt):
    plan = revolve_plan(length, checkpoints)
    assert tuple(flattened(plan.nodes)) == tuple(range(length))
    extra = sum(plan.forward_calls) - length
    receipt(revolve_plan, "revolve_plan", extra, oracle.fewest_evaluations(length, checkpoints), reference="recursion")
    # the last output is held, the input outside; of each group one layer is recorded, and an advance has two activations
    cost = plan_cost(plan, [1.0] * length, [LayerSizes(1, 1, 0, 0)] * length)
    assert cost.peak <= 1 + (checkpoints - 1) + 2


@quick
@given(chain=chains())
def test_a_plans_price_is_that_of_going_through_it(chain, receipt):
    costs, sizes = chain
    records = [LayerSizes(*size) for size in sizes]
    plans = oracle.all_plans(0, len(costs))
    for nodes in plans[:: max(1, len(plans) // 20)]:
        got = plan_cost(CheckpointPlan(nodes), costs, records)
        peak, extra = oracle.execute(nodes, costs, sizes)
        receipt(plan_cost, "plan_peak", got.peak, peak, reference="a run with a table of what is alive")
        receipt(plan_cost, "plan_extra_cost", got.extra_cost, extra, reference="a run with a table of what is alive")
        slowdown = (3 * sum(costs) + extra) / (3 * sum(costs))
        receipt(plan_cost, "plan_slowdown", got.slowdown, slowdown, reference="definition")


@quick
@given(chain=chains())
def test_the_frontier_is_that_of_all_plans(chain, receipt):
    costs, sizes = chain
    found = checkpoint_frontier(costs, [LayerSizes(*size) for size in sizes])
    got = [(point.peak, point.extra_cost) for point in found]
    expected = oracle.frontier(costs, sizes)
    receipt(checkpoint_frontier, "frontier", got, expected, reference="every nested plan, run through")
    for point in found:
        assert oracle.execute(point.plan.nodes, costs, sizes) == (point.peak, point.extra_cost)


@quick
@given(chain=chains(), budget=st.integers(0, 60))
def test_the_best_under_a_budget_is_the_best_of_all_that_fit(chain, budget, receipt):
    costs, sizes = chain
    best = optimal_checkpoints(costs, [LayerSizes(*size) for size in sizes], budget)
    fitting = [extra for peak, extra in oracle.frontier(costs, sizes) if peak <= budget]
    assert (best is None) == (not fitting)
    if best is not None:
        receipt(optimal_checkpoints, "extra_cost", best.extra_cost, min(fitting), reference="every nested plan")
        assert best.peak <= budget
        assert best.slowdown == pytest.approx(1 + best.extra_cost / (3 * sum(costs)))


def test_what_a_plan_keeps_is_counted_by_hand(receipt):
    """Recorded layers keep what they save, segments their input, of which the chain's own is outside; and the last output."""
    sizes = [LayerSizes(3, 7, 0, 0)] * 6
    for nodes, kept in (
        (tuple(range(6)), 6 * 7),
        (((0, 1), (2, 3), (4, 5)), 3 * 3),
        (((0, 1, 2), 3, 4, 5), 3 + 3 * 7),
    ):
        got = plan_cost(CheckpointPlan(nodes), [1.0] * 6, sizes).after_forward
        receipt(plan_cost, "plan_kept", got, kept, reference="counted by hand", tolerance=0)


def test_equal_layers_are_revolves(receipt):
    """Where only one recorded layer fits beside c checkpoints, the programme finds revolve's cost."""
    n, recorded = 14, 100
    sizes = [LayerSizes(1, recorded, 0, 0)] * n  # room for one recorded layer only
    for c in (1, 2, 3, 5, 14):
        best = optimal_checkpoints([1.0] * n, sizes, 1 + (recorded - 1) + c)
        assert best is not None  # the output is held; of revolve's c checkpoints one is the input, one more is at work
        expected = oracle.fewest_evaluations(n, c)
        receipt(optimal_checkpoints, "extra_cost", best.extra_cost, expected, reference="revolve's recursion")


def test_skips_are_carried():
    """Layer 0's skip of 5 is handed on past layer 1: a segment of both keeps it as well."""
    plain = [LayerSizes(5, 5, 0, 0), LayerSizes(1, 1, 0, 0), LayerSizes(1, 1, 0, 0)]
    skipping = [LayerSizes(5, 5, 0, 0, (5,)), *plain[1:]]
    plan = CheckpointPlan(((0, 1), 2))
    assert plan_cost(plan, [1, 1, 1], plain).after_forward == 2
    assert plan_cost(plan, [1, 1, 1], skipping).after_forward == 7
    best = optimal_checkpoints([1, 1, 1], skipping, 7)
    assert best is not None
    assert best.extra_cost == 0


def test_an_unrecorded_run_needs_its_scratch():
    """Layer 2 runs unrecorded beside the kept output of layer 0 and needs ten units for that."""
    sizes = [(1, 9, 0, 0), (1, 9, 0, 0), (1, 9, 10, 0), (1, 9, 0, 0)]
    found = checkpoint_frontier([1.0] * 4, [LayerSizes(*size) for size in sizes])
    assert [(point.peak, point.extra_cost) for point in found] == oracle.frontier([1.0] * 4, sizes)


def test_half_of_the_time_for_a_third_of_the_memory():
    sizes = [LayerSizes(16, 257, 0, 0)] * 12  # A ≈ 16: a transformer block
    points = checkpoint_frontier([1.0] * 12, sizes)
    assert points[-1].slowdown == 1
    assert points[0].peak < points[-1].peak / 5
    peaks, extras = [p.peak for p in points], [p.extra_cost for p in points]
    assert peaks == sorted(set(peaks))
    assert extras == sorted(set(extras), reverse=True)


def test_every_segments_plan_is_no_better_than_the_optimum():
    costs, sizes = [1.0] * 12, [LayerSizes(1, 2, 0, 1)] * 12
    for k in range(1, 13):
        mine = plan_cost(segments_plan(12, k), costs, sizes)
        best = optimal_checkpoints(costs, sizes, mine.peak)
        assert best is not None
        assert best.extra_cost <= mine.extra_cost


def test_one_layer_and_no_cost():
    (only,) = checkpoint_frontier([0.0], [LayerSizes(0, 0, 0, 0)])
    assert (only.peak, only.extra_cost, only.slowdown, only.plan.nodes) == (0, 0, 1.0, (0,))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: revolve_cost(0, 1), "length must be at least 1"),
        (lambda: revolve_plan(3, 0), "checkpoints must be at least 1"),
        (lambda: checkpoint_frontier([], []), "one entry per layer"),
        (lambda: checkpoint_frontier([1.0], CHAIN), "one entry per layer, got 1 and 4"),
        (lambda: checkpoint_frontier([float("nan")], CHAIN[:1]), "finite"),
        (lambda: checkpoint_frontier([1.0], [LayerSizes(1, 2, -1, 0)]), "not negative"),
        (lambda: checkpoint_frontier([1.0], [LayerSizes(3, 2, 0, 0)]), "saved holds the output too, got 2 < 3"),
        (lambda: plan_cost(CheckpointPlan((0, 1, 2)), [1.0] * 4, CHAIN), "layers 0 to 3 in order"),
        (lambda: plan_cost(CheckpointPlan((1, 0, 2, 3)), [1.0] * 4, CHAIN), "in order"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
