import math

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.systems import checkpoint_plans as plans
from core.systems.checkpoint_plans import (
    STRATEGIES,
    CheckpointPlan,
    best_segments,
    checkpoint_plan,
    flattened,
    peak_activations,
    peak_units,
    pinned_plan,
    segment_lengths,
    segments_plan,
)

quick = settings(
    deadline=None,
    max_examples=60,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the examples are small as they come
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def walked(layers, segments):
    """Most saved inputs alive, by walking backward through the segments with a set of what is kept."""
    starts, lengths = [0], segment_lengths(layers, segments)
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)
    kept, most = set(starts), 0
    for start, length in reversed(list(zip(starts, lengths, strict=True))):
        alive = kept | set(range(start, start + length))
        most = max(most, len(alive))
        kept.discard(start)
    return most


@quick
@given(layers=st.integers(1, 130), data=st.data())
def test_most_activations_alive_are_those_of_a_walk(layers, data, receipt):
    k = data.draw(st.integers(1, layers))
    got = peak_activations(layers, k)
    receipt(peak_activations, "peak_activations", got, walked(layers, k), reference="a walk with a set of what is kept")


def test_the_series_of_a_hundred_layers(receipt):
    ks = (1, 2, 4, 5, 8, 10, 20, 50)
    got = [peak_activations(100, k) for k in ks]
    receipt(
        peak_activations, "peak_activations", got, [100, 51, 28, 24, 19, 19, 24, 51], reference="series counted by hand"
    )
    assert all(sum(segments_plan(100, k).forward_calls) == 200 for k in ks)  # one extra forward in every case


@quick
@given(layers=st.integers(1, 60), data=st.data())
def test_every_strategy_holds_each_layer_once_in_order(layers, data):
    for strategy in STRATEGIES:
        k = data.draw(st.integers(1, layers))
        plan = checkpoint_plan(strategy, layers, segments=k, every=k)
        assert tuple(flattened(plan.nodes)) == tuple(range(layers))
        assert plan.layers == layers
        assert plan.depth == (0 if not plan.segments else 1)
        assert plan.kept_inputs == tuple(a for a, _ in plan.segments)
        recomputed = {i for a, b in plan.segments for i in range(a, b)}
        assert plan.forward_calls == tuple(1 + (i in recomputed) for i in range(layers))


def test_what_the_strategies_are():
    assert checkpoint_plan("none", 3).nodes == (0, 1, 2)
    assert checkpoint_plan("every layer", 3).nodes == ((0,), (1,), (2,))
    assert checkpoint_plan("every k-th", 5, every=2).nodes == ((0, 1), (2, 3), (4,))
    assert checkpoint_plan("sqrt", 12).nodes == segments_plan(12, 3).nodes
    assert checkpoint_plan("sqrt", 8).nodes == segments_plan(8, 3).nodes  # √8 = 2.83
    assert checkpoint_plan("sqrt", 1).nodes == ((0,),)
    assert checkpoint_plan("save matmuls", 2) == CheckpointPlan(((0,), (1,)), "matmul")
    assert checkpoint_plan("save attention", 2) == CheckpointPlan(((0,), (1,)), "attention")
    assert checkpoint_plan("checkpoint_sequential", 4, segments=1).nodes == (0, 1, 2, 3)


@pytest.mark.parametrize(("layers", "segments"), [(5, 2), (12, 4), (7, 7), (10, 3), (9, 1)])
def test_checkpoint_sequential_is_pytorchs(layers, segments):
    """How often each layer runs forward, counted inside PyTorch's own function."""
    calls = [0] * layers

    def layer(i):
        def run(x):
            calls[i] += 1
            return x * 1.5

        return run

    x = torch.ones(2, requires_grad=True)
    functions = [layer(i) for i in range(layers)]
    torch.utils.checkpoint.checkpoint_sequential(
        functions, segments, x, use_reentrant=False, preserve_rng_state=False
    ).sum().backward()
    plan = checkpoint_plan("checkpoint_sequential", layers, segments=segments)
    # multiplication by a number saves nothing, so nothing is ever recomputed: watch squares instead
    assert calls == [1] * layers
    calls[:] = [0] * layers
    y = torch.full((2,), 1.1, requires_grad=True)

    def square(i):
        def run(x):
            calls[i] += 1
            return x * x

        return run

    with torch.utils.checkpoint.set_checkpoint_early_stop(False):
        torch.utils.checkpoint.checkpoint_sequential(
            [square(i) for i in range(layers)], segments, y, use_reentrant=False, preserve_rng_state=False
        ).sum().backward()
    assert tuple(calls) == plan.forward_calls


def test_pins():
    assert pinned_plan(4, []).nodes == (0, 1, 2, 3)
    assert pinned_plan(4, [0]).nodes == ((0, 1, 2, 3),)
    assert pinned_plan(4, [3, 3, 2]).nodes == (0, 1, (2,), (3,))
    assert pinned_plan(4, [3, 2]).kept_inputs == (2, 3)
    for pin in (-1, 4):
        with pytest.raises(ValueError, match=f"from 0 to 3, got {pin}"):
            pinned_plan(4, [pin])


def test_nested_plans_count_every_run():
    plan = CheckpointPlan((((0,), 1), 2, (3,)))
    assert plan.forward_calls == (3, 2, 1, 2)
    assert plan.depth == 2
    assert plan.segments == ((0, 2), (3, 4))
    assert plan.kept_inputs == (0, 3)


@pytest.mark.parametrize("layers", [2, 6, 12, 60])
@pytest.mark.parametrize("stored", [1.0, 2.0, 16.0625])
def test_the_least_of_the_closed_form_is_at_root_n_a(layers, stored, receipt):
    form = [peak_units(layers, k, stored_units=stored) for k in range(1, layers + 1) if layers % k == 0]
    assert min(form) >= 2 * math.sqrt(layers * stored) - 1e-9
    k = best_segments(layers, stored_units=stored)
    receipt(
        best_segments, "best_segments", k + layers / k * stored, 2 * math.sqrt(layers * stored), reference="AM ≥ GM"
    )
    slope = 1 - layers * stored / k**2
    assert abs(slope) < 1e-12


def test_segments_differ_by_at_most_one():
    for layers in range(1, 30):
        for k in range(1, layers + 1):
            lengths = segment_lengths(layers, k)
            assert (sum(lengths), len(lengths)) == (layers, k)
            assert max(lengths) - min(lengths) <= 1
            assert list(lengths) == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: checkpoint_plan("none", 0), "layers must be at least 1"),
        (lambda: segments_plan(3, 4), "segments must lie between 1 and the number of layers, 3, got 4"),
        (lambda: segments_plan(3, 0), "got 0"),
        (lambda: checkpoint_plan("every k-th", 3), "every must lie between 1"),
        (lambda: checkpoint_plan("checkpoint_sequential", 3), "segments must lie"),
        (lambda: checkpoint_plan("all", 3), "strategy must be one of none"),
        (lambda: peak_units(12, 5, stored_units=2), "divide the 12 layers, got 5"),
        (lambda: peak_activations(4, 5), "got 5"),
        (lambda: pinned_plan(0, []), "layers must be at least 1"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_module_is_about_plans():
    assert plans.__name__.endswith("checkpoint_plans")
