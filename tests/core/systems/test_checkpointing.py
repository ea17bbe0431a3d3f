import math
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch.utils.flop_counter import FlopCounterMode

from core.systems.checkpoint_models import Chain, as_state, mlp_chain, transformer_chain, unet_chain
from core.systems.checkpoint_plans import CheckpointPlan, checkpoint_plan, peak_units, segments_plan
from core.systems.checkpoint_schedules import optimal_checkpoints, revolve_plan
from core.systems.checkpointing import (
    compare_gradients,
    predict_run,
    run_with_checkpoints,
    stream_run,
    u_curve,
    watched_by,
)
from core.systems.global_generator import seeded_global_generator
from core.systems.memory_accounting import profile_layers
from core.systems.memory_tracker import LiveMemoryTracker
from tests.oracles import checkpointing as oracle

quick = settings(
    deadline=None,
    max_examples=12,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the examples are small as they come
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KS = (1, 2, 3, 4, 6, 12)
LOSS_BYTES = 8  # the loss and its gradient, one number each, are alive too


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_mlp(**options):
    return mlp_chain(**{"layers": 12, "width": 8, "rows": 512} | options)


def small_transformer(**options):
    return transformer_chain(**{"blocks": 12, "width": 128, "heads": 4, "tokens": 256, "batch": 1} | options)


def picture(height=32, width=40):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_peaks_of_the_mlp_are_the_closed_form_to_the_byte(receipt):
    chain = small_mlp()
    peaks = [run_with_checkpoints(chain, segments=k).activation_peak_bytes - LOSS_BYTES for k in KS]
    units = [peak / chain.unit_bytes for peak in peaks]
    assert units == [25, 14, 11, 10, 10, 14]
    form = [k + 2 * 12 / k for k in KS]
    receipt(run_with_checkpoints, "activation_peak_units", units, form, reference="k + 2n/k", tolerance=0)
    receipt(
        peak_units, "peak_units", [peak_units(12, k, stored_units=2) for k in KS], units, reference="measured by a run"
    )


def test_peaks_of_the_transformer_are_the_closed_form_to_the_byte(receipt):
    chain = small_transformer()
    runs = [run_with_checkpoints(chain, segments=k) for k in KS]
    watched = [(run.watched_peak_bytes - LOSS_BYTES) / chain.unit_bytes for run in runs]
    expected = [198.75, 103.375, 72.25, 57.1875, 43.125, 33.0625]
    # biases' gradients among the gradients in the making take a few numbers
    receipt(
        run_with_checkpoints,
        "watched_peak_units",
        watched,
        expected,
        reference="k + (n/k)·A + 3 + 4D/(B·S)",
        tolerance=1e-4,
    )
    settled = [(run.activation_peak_bytes - LOSS_BYTES) / chain.unit_bytes for run in runs]
    form = [peak_units(12, k, stored_units=16.0625, overhead_units=3) for k in KS]
    receipt(peak_units, "peak_units", form, settled, reference="measured by a run", tolerance=1e-4)
    assert settled[-1] == min(settled)  # every layer beats √n here


@pytest.mark.parametrize("segments", [1, 3, 12])
@pytest.mark.parametrize("loss", ["sum", "squares"])
@pytest.mark.parametrize("model", ["mlp", "transformer", "unet"])
def test_the_peak_is_memtrackers_to_the_byte(model, segments, loss, receipt):
    """Both watch one run; where layers pass one tensor, a run by itself has the same peak.

    MemTracker's module hooks wait for the gradients of all of a module's outputs and hold them meanwhile: with the U-Net's skips
    its own presence costs memory, so there only the common run is compared.
    """
    chains = {
        "mlp": small_mlp,
        "transformer": lambda: small_transformer(blocks=4, width=32),
        "unet": lambda: unet_chain(picture()),
    }
    chain = chains[model]()
    plan = segments_plan(len(chain.layers), min(segments, len(chain.layers)))
    module = nn.ModuleList(chain.layers)

    def part(first, last):
        def run(*tensors):
            for layer in chain.layers[first:last]:
                tensors = as_state(layer(*tensors))
            return tensors

        return run

    with MemTracker() as theirs, LiveMemoryTracker(parameters=chain.parameters, inputs=[chain.inputs]) as ours:
        theirs.track_external(module, chain.inputs)
        state = (chain.inputs,)
        for a, b in plan.segments:
            state = checkpoint(part(a, b), *state, use_reentrant=False, preserve_rng_state=False)
        out = state[0]
        del state
        value = out.sum() if loss == "sum" else out.square().sum()
        value.backward()
    snapshot = theirs.get_tracker_snapshot("peak")[torch.device("cpu")]
    expected = next(v for k, v in snapshot.items() if str(getattr(k, "value", k)) == "Total")
    for p in chain.parameters:
        p.grad = None
    reference = "torch.distributed._tools.mem_tracker.MemTracker"
    together = max(event.total_bytes for event in ours.events)
    receipt(LiveMemoryTracker, "peak_bytes", together, expected, reference=reference, tolerance=0)
    if model != "unet":
        run = run_with_checkpoints(chain, plan=plan, loss=loss)
        receipt(run_with_checkpoints, "peak_bytes", run.peak_bytes, expected, reference=reference, tolerance=0)
        receipt(
            run_with_checkpoints, "peak", run.peak_bytes / 2**20, expected / 2**20, reference=reference, tolerance=0
        )


def test_gradients_are_those_of_plain_autograd(receipt):
    chain = small_mlp(layers=4)
    run = run_with_checkpoints(chain, segments=2)
    out = chain.inputs
    for layer in chain.layers:
        out = layer(out)
    expected = torch.autograd.grad(out.sum(), chain.parameters)
    for got, want in zip(run.gradients, expected, strict=True):
        receipt(
            run_with_checkpoints, "gradients", got.numpy(), want.numpy(), reference="torch.autograd.grad", tolerance=0
        )
    receipt(run_with_checkpoints, "loss", run.loss, out.sum().item(), reference="a plain forward", tolerance=0)
    assert all(p.grad is None for p in chain.parameters)  # the chain is as it was


PLANS = [
    segments_plan(6, 2),
    checkpoint_plan("every layer", 6),
    checkpoint_plan("checkpoint_sequential", 6, segments=3),
    checkpoint_plan("save matmuls", 6),
    revolve_plan(6, 2),
    CheckpointPlan((0, ((1,), 2), 3, (4, 5))),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.nodes}{plan.policy}")
def test_gradients_are_bitwise_equal_dropout_included(plan):
    for chain in (small_mlp(layers=6, dropout=0.3, rows=32), unet_chain(picture(), channels=2)):
        result = compare_gradients(chain, plan, seed=3)
        assert result.bitwise_equal
        assert (result.differing, result.max_abs_difference) == (0, 0)
        assert result.loss == result.reference_loss
        assert result.total == chain.parameter_count
        assert all(result.layer_equal)
        assert len(result.layer_equal) == 6
    if plan.policy == "":
        attention = small_transformer(blocks=6, width=16, tokens=16, dropout=0.2)
        assert compare_gradients(attention, plan).bitwise_equal


def test_another_mask_in_the_recomputation_breaks_the_gradients():
    chain = small_mlp(layers=4, dropout=0.5, rows=64)
    plan = segments_plan(4, 2)
    broken = compare_gradients(chain, plan, preserve_rng_state=False)
    assert not broken.bitwise_equal
    assert broken.loss == broken.reference_loss  # forward was the same: only the gradients lie
    assert broken.differing > broken.total / 10
    assert broken.max_abs_difference > 0.01 * broken.max_abs_gradient
    assert compare_gradients(
        small_mlp(layers=4), plan, preserve_rng_state=False
    ).bitwise_equal  # nothing random, nothing lost


def test_seeds_decide_dropout_and_the_global_generator_is_put_back():
    chain = small_mlp(layers=2, dropout=0.5, rows=64)
    before = torch.get_rng_state()
    losses = [run_with_checkpoints(chain, seed=seed).loss for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(before, torch.get_rng_state())


def test_runs_of_many_threads_do_not_disturb_one_another():
    chain = small_mlp(layers=3, dropout=0.5, rows=64)
    expected = {seed: run_with_checkpoints(chain, segments=3, seed=seed) for seed in range(4)}
    found: dict[int, object] = {}

    def work(seed):
        found[seed] = run_with_checkpoints(chain, segments=3, seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, run in expected.items():
        assert found[seed].loss == run.loss
        assert all(torch.equal(a, b) for a, b in zip(found[seed].gradients, run.gradients, strict=True))


@pytest.mark.parametrize(("length", "checkpoints"), [(12, 3), (12, 1), (7, 2)])
def test_revolve_runs_as_often_as_it_says(length, checkpoints, receipt):
    chain = small_mlp(layers=length)
    run = run_with_checkpoints(chain, plan=revolve_plan(length, checkpoints), early_stop=False)
    forward = run.forward_flops / length
    extra = run.recompute_flops / forward
    # the last of every group runs recorded again: once per layer in all, but for the last layer, which ran once
    expected = oracle.fewest_evaluations(length, checkpoints)
    receipt(
        revolve_plan,
        "measured_evaluations",
        extra,
        expected,
        reference="recursion over every first advance",
        tolerance=1e-9,
    )


def test_the_solvers_peak_is_the_measured_one(receipt):
    for chain, budgets in ((small_mlp(), (8, 9, 12)), (small_transformer(blocks=8, width=32, tokens=64), (24, 28, 40))):
        costs, sizes = profile_layers(chain)
        for budget in budgets:
            best = optimal_checkpoints(costs, sizes, budget * chain.unit_bytes)
            assert best is not None
            run = run_with_checkpoints(chain, plan=best.plan)
            # a plain sum's gradient takes no memory, where the solver assumes one activation
            assert -LOSS_BYTES - 1e-4 * best.peak <= best.peak - run.activation_peak_bytes <= chain.unit_bytes
            squares = run_with_checkpoints(chain, plan=best.plan, loss="squares")
            ratio = best.peak / squares.activation_peak_bytes
            receipt(optimal_checkpoints, "peak", ratio, 1, reference="measured by a run", tolerance=0.15)


def test_flops_are_the_flop_counters(receipt):
    chain = small_transformer(blocks=3, width=16, tokens=32)
    for plan in (checkpoint_plan("none", 3), segments_plan(3, 3)):
        run = run_with_checkpoints(chain, plan=plan)
        counter = FlopCounterMode(display=False)
        watched_by(lambda counter=counter: counter, chain, plan)
        # the counter knows no formula for the CPU's fused attention: leave it out of ours too
        fused = sum(event.flops for event in run.events if "flash_attention" in event.op)
        total = run.forward_flops + run.recompute_flops + run.backward_flops - fused
        receipt(
            run_with_checkpoints,
            "flops",
            total,
            counter.get_total_flops(),
            reference="torch.utils.flop_counter",
            tolerance=0,
        )


def test_full_recomputation_costs_a_third(receipt):
    """Backward costs two forwards where every input needs a gradient: all recomputed is 4/3."""
    chain = small_mlp(layers=5)
    open_input = Chain(
        chain.layers, chain.names, chain.inputs.clone().requires_grad_(), chain.unit_bytes, math.nan, math.nan, math.nan
    )
    run = run_with_checkpoints(open_input, segments=5, early_stop=False)
    receipt(run_with_checkpoints, "flops_ratio", run.flops_ratio, 4 / 3, reference="(1 + 1 + 2)/(1 + 2)")
    stopped = run_with_checkpoints(small_transformer(blocks=2, width=32), segments=2)
    whole = run_with_checkpoints(small_transformer(blocks=2, width=32), segments=2, early_stop=False)
    assert stopped.recompute_flops < whole.recompute_flops == whole.forward_flops
    assert run_with_checkpoints(chain).recompute_flops == 0
    assert run_with_checkpoints(chain).flops_ratio == 1


def test_checkpoint_sequential_saves_the_last_segments_work_and_nothing_else():
    chain = small_mlp()
    for k in (2, 4):
        ours = run_with_checkpoints(chain, plan=checkpoint_plan("checkpoint_sequential", 12, segments=k))
        every = run_with_checkpoints(chain, segments=k, early_stop=False)
        assert ours.activation_peak_bytes == every.activation_peak_bytes
        x = chain.inputs.clone()
        functions = list(chain.layers)
        with FlopCounterMode(display=False) as counter:
            checkpoint_sequential(functions, k, x, use_reentrant=False, preserve_rng_state=False).sum().backward()
        assert ours.forward_flops + ours.recompute_flops + ours.backward_flops == counter.get_total_flops()
        for p in chain.parameters:
            p.grad = None


def test_policies_keep_what_they_say():
    chain = small_transformer(blocks=6, width=32)
    none, full = run_with_checkpoints(chain), run_with_checkpoints(chain, segments=6)
    matmul, attention = (run_with_checkpoints(chain, policy=policy) for policy in ("matmul", "attention"))
    assert full.kept_bytes < attention.kept_bytes < matmul.kept_bytes < none.kept_bytes
    recomputed = [{event.op for event in run.events if event.phase == "recompute"} for run in (full, matmul, attention)]
    products = {"aten.addmm"}
    fused = {"aten._scaled_dot_product_flash_attention_for_cpu"}
    assert recomputed[0] >= products | fused
    assert not recomputed[1] & products
    assert recomputed[1] >= fused
    assert recomputed[2] >= products
    assert not recomputed[2] & fused
    # fused attention's output and logsumexp of six blocks
    assert attention.kept_bytes - full.kept_bytes == 6 * (chain.unit_bytes + 4 * 256 * 4)
    assert compare_gradients(chain, matmul.plan).bitwise_equal
    assert compare_gradients(chain, attention.plan).bitwise_equal


def test_a_runs_record():
    chain = small_mlp(layers=3)
    run = run_with_checkpoints(chain, checkpoint_at=[1])
    assert run.plan.nodes == (0, (1, 2))
    assert run.device == "cpu"
    assert run.layer_names == ("layer 1", "layer 2", "layer 3")
    assert (
        run.peak_bytes == sum(run.peak_by_kind) == run.peak_event.total_bytes == max(e.total_bytes for e in run.events)
    )
    assert run.first_over(run.peak_bytes) is None
    over = run.first_over(run.peak_bytes - 1)
    assert over is run.peak_event
    assert all(event.total_bytes < run.peak_bytes for event in run.events[: over.index])
    assert run.events[run.forward_end].phase == "forward"
    assert all(event.phase != "forward" for event in run.events[run.forward_end + 1 :])
    # layer 1's two tensors, the checkpoint being one of them, and the output; the loss
    assert run.kept_bytes == 3 * chain.unit_bytes + LOSS_BYTES / 2
    assert run.watched_peak_bytes >= run.activation_peak_bytes
    order = [(span.phase, span.layer) for span in run.spans if span.layer >= 0 and span.flops]
    assert order == [
        *[("forward", i) for i in range(3)],
        ("recompute", 1),
        ("recompute", 2),
        *[("backward", i) for i in (2, 1, 0)],
    ]
    assert run.seconds > 0
    assert all(event.allocator_bytes == -1 for event in run.events)


def test_backward_visits_layers_from_the_last_to_the_first():
    for chain in (small_mlp(layers=4), unet_chain(picture())):
        run = run_with_checkpoints(chain)
        visited = [span.layer for span in run.spans if span.phase == "backward" and span.flops]
        assert visited == list(reversed(range(len(chain.layers))))


@quick
@given(data=st.data())
def test_any_plan_gives_the_same_gradients_and_never_keeps_more(data):
    n = data.draw(st.integers(1, 5))
    plans = oracle.all_plans(0, n)
    plan = CheckpointPlan(data.draw(st.sampled_from(plans)))
    chain = small_mlp(layers=n, rows=64)
    plain, run = run_with_checkpoints(chain), run_with_checkpoints(chain, plan=plan)
    assert all(torch.equal(a, b) for a, b in zip(plain.gradients, run.gradients, strict=True))
    assert run.kept_bytes <= plain.kept_bytes
    whole = run_with_checkpoints(chain, plan=plan, early_stop=False)
    cost = plain.forward_flops // n
    assert whole.recompute_flops == cost * (sum(plan.forward_calls) - n)


def test_fake_runs_are_the_real_ones_event_by_event(receipt):
    block = small_transformer(blocks=3, width=16, tokens=32)
    chains = (small_mlp(rows=32), block, unet_chain(picture()), small_mlp(rows=32, dropout=0.5))
    for chain in chains:
        n = len(chain.layers)
        for plan in (checkpoint_plan("none", n), segments_plan(n, min(3, n))):
            real, fake = run_with_checkpoints(chain, plan=plan), predict_run(chain, plan)
            highest = [max(e.activation_bytes for e in run.events) for run in (fake, real)]
            receipt(
                predict_run, "peak_bytes", fake.peak_bytes, real.peak_bytes, reference="measured by a run", tolerance=0
            )
            assert highest[0] == highest[1]
            assert fake.kept_bytes == real.kept_bytes
            assert fake.forward_flops == real.forward_flops
            assert math.isnan(fake.loss)
            assert fake.device == "fake"


def test_the_u_curve(receipt):
    points = list(u_curve(small_mlp(), [1, 2, 4, 5, 12]))
    assert [point.segments for point in points] == [1, 2, 4, 5, 12]
    assert math.isnan(points[3].closed_form_units)
    for point in points:
        if point.segments != 5:
            receipt(
                u_curve,
                "measured_units",
                point.measured_units,
                point.closed_form_units,
                reference="k + 2n/k",
                tolerance=1e-3,
            )
            form = point.segments + 2 * 12 / point.segments
            receipt(u_curve, "closed_form_units", point.closed_form_units, form, reference="k + 2n/k")
            # forward n, backward 2n − 1 (the input needs no gradient), and again all but the last product's early end
            again = run_with_checkpoints(small_mlp(), segments=point.segments)
            work = again.forward_flops + again.backward_flops
            ratio = (work + again.recompute_flops) / work
            receipt(u_curve, "curve_flops", point.flops_ratio, ratio, reference="a run of its own, summed up")
            # the gradients of biases in the making, next to the weight's
            assert point.watched_units == pytest.approx(point.watched_closed_form_units, abs=0.01)
        assert 1 < point.flops_ratio <= 1.5
    assert all(math.isnan(point.closed_form_units) for point in u_curve(unet_chain(picture()), [1, 2]))
    with pytest.raises(ValueError, match="segments must lie between 1 and"):
        u_curve(small_mlp(), [13])


def test_what_is_alive_at_every_layer_is_counted_by_hand(receipt):
    """Layer by layer through forward: the weights, the input, and two activations a layer that is recorded."""
    chain = small_mlp(layers=6)
    fixed = sum(p.nbytes for p in chain.parameters) + chain.inputs.nbytes
    for segments in (None, 3):
        run = run_with_checkpoints(chain, segments=segments)
        forward = [event for event in run.events if event.phase == "forward" and event.layer >= 0]
        last = {event.layer: event for event in forward}
        for i, event in last.items():
            # in segments of two: their inputs, of which the first is the chain's own, and the running activation
            made = 2 * (i + 1) if segments is None else i // 2 + 1
            got = event.activation_bytes - _dying(run, event)
            receipt(
                LiveMemoryTracker,
                "activations_now",
                got / 2**20,
                made * chain.unit_bytes / 2**20,
                reference="counted by hand",
                tolerance=0,
            )
            receipt(
                LiveMemoryTracker,
                "live",
                (event.total_bytes - _dying(run, event)) / 2**20,
                (fixed + made * chain.unit_bytes) / 2**20,
                reference="counted by hand",
                tolerance=0,
            )
        kept = (12 if segments is None else 3) * chain.unit_bytes + 4  # and the loss
        receipt(run_with_checkpoints, "kept", run.kept_bytes / 2**20, kept / 2**20, reference="2n, or k", tolerance=0)


def _dying(run, event):
    """Bytes that the very next event releases: the layer's own scratch and input."""
    after = run.events[event.index + 1]
    sizes = {number: size for e in run.events for number, size, _ in e.allocated}
    return sum(sizes[number] for number in after.freed) if after.op == "free" else 0


@pytest.mark.parametrize("plan", [segments_plan(5, 2), revolve_plan(5, 2), checkpoint_plan("none", 5)])
def test_extra_forwards_are_counted_by_hooks(plan, receipt):
    chain = small_mlp(layers=5, rows=8)
    calls = 0

    def count(*_):
        nonlocal calls
        calls += 1

    hooks = [layer.register_forward_pre_hook(count) for layer in chain.layers]
    try:
        run_with_checkpoints(chain, plan=plan, early_stop=False)
    finally:
        for hook in hooks:
            hook.remove()
    receipt(
        checkpoint_plan,
        "extra_forwards",
        sum(plan.forward_calls) - 5,
        calls - 5,
        reference="forward hooks",
        tolerance=0,
    )


def test_what_is_left_under_a_budget_says_whether_it_fits(receipt):
    run = run_with_checkpoints(small_mlp(layers=4), segments=2)
    highest = max(sum(event.live_bytes) for event in run.events)
    for budget in (highest - 1, highest, highest + 7):
        assert (run.first_over(budget) is None) == (budget - run.peak_bytes >= 0)
        receipt(
            run_with_checkpoints,
            "headroom",
            budget - run.peak_bytes,
            budget - highest,
            reference="maximum over all events",
            tolerance=0,
        )


def test_gradients_that_differ_are_counted_number_by_number(receipt):
    chain, plan = small_mlp(layers=4, dropout=0.5, rows=64), segments_plan(4, 2)
    for keep in (True, False):
        got = compare_gradients(chain, plan, preserve_rng_state=keep)
        plain = run_with_checkpoints(chain).gradients
        other = run_with_checkpoints(chain, plan=plan, preserve_rng_state=keep).gradients
        ours, theirs = (np.concatenate([g.numpy().ravel() for g in found]) for found in (other, plain))
        share = (got.total - got.differing) / got.total
        receipt(compare_gradients, "equal_gradients", share, np.mean(ours == theirs), reference="NumPy", tolerance=0)
        receipt(
            compare_gradients,
            "gradient_error",
            got.max_abs_difference,
            np.abs(ours - theirs).max(),
            reference="NumPy",
            tolerance=0,
        )


def test_an_empty_run_is_streamed_too():
    with FakeTensorMode():
        chain = small_mlp(layers=3, rows=64)
    updates = list(stream_run(chain, plan=segments_plan(3, 3), interval_s=0.005))
    run = updates[-1].run
    assert run is not None
    assert run.device == "fake"
    assert math.isnan(run.loss)
    assert run.peak_bytes == run_with_checkpoints(small_mlp(layers=3, rows=64), segments=3).peak_bytes


def test_a_stream_delivers_every_event_and_the_run():
    chain = small_mlp(rows=2048)
    updates = list(stream_run(chain, plan=segments_plan(12, 3), interval_s=0.002))
    events = [event for update in updates for event in update.new_events]
    assert [event.index for event in events] == list(range(len(events)))
    assert all(update.run is None for update in updates[:-1])
    run = updates[-1].run
    assert run is not None
    assert len(run.events) == len(events)
    assert [e.total_bytes for e in run.events] == [e.total_bytes for e in events]
    assert run.activation_peak_bytes == run_with_checkpoints(chain, segments=3).activation_peak_bytes
    seconds = [update.seconds for update in updates]
    assert seconds == sorted(seconds)


def test_a_closed_stream_has_stopped_between_two_operators():
    chain = mlp_chain(layers=60, width=256, rows=4096)
    stream = stream_run(chain, plan=segments_plan(60, 60), interval_s=0.01)
    first = next(stream)
    assert first.run is None
    before = threading.active_count()
    start = time.perf_counter()
    stream.close()
    assert time.perf_counter() - start < 2  # one operator's time, generously
    assert threading.active_count() == before - 1


def test_what_fails_in_the_stream_is_raised_where_it_is_read():
    class Broken(nn.Module):
        def forward(self, x):
            raise FloatingPointError("broken layer")

    chain = small_mlp(layers=2)
    broken = Chain((chain.layers[0], Broken()), chain.names, chain.inputs, 1, 1.0, 0.0, 0.0)
    with pytest.raises(FloatingPointError, match="broken layer"):
        list(stream_run(broken, plan=checkpoint_plan("none", 2)))


def test_a_run_that_waits_for_its_turn_can_be_cancelled():
    chain = small_mlp(layers=2, dropout=0.5)
    with seeded_global_generator(0, torch.device("cpu")):
        stream = stream_run(chain, plan=checkpoint_plan("none", 2), interval_s=0.01)
        next(stream)
        stream.close()
    assert run_with_checkpoints(chain).loss == run_with_checkpoints(chain).loss


def test_half_precision_and_parts_of_a_larger_tensor():
    chain = small_transformer(blocks=2, width=16, tokens=16, dtype="bfloat16")
    run = run_with_checkpoints(chain, segments=2)
    assert {g.dtype for g in run.gradients} == {torch.bfloat16}
    mlp = small_mlp(layers=2, rows=16)
    wide = torch.randn(16, 16)[:, ::2]
    view = Chain(mlp.layers, mlp.names, wide, mlp.unit_bytes, 2.0, 0.0, 0.0)
    run = run_with_checkpoints(view)
    assert run.events[0].live_bytes[2] == 16 * 16 * 4  # the storage, not the view


def test_one_layer():
    chain = mlp_chain(layers=1, width=2, rows=1)
    for plan in oracle.all_plans(0, 1):
        assert compare_gradients(chain, CheckpointPlan(plan)).bitwise_equal


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"segments": 2, "checkpoint_at": [1]}, "at most one of plan, segments and checkpoint_at"),
        ({"segments": 13}, "segments must lie"),
        ({"checkpoint_at": [12]}, "checkpoint_at must name layers"),
        ({"policy": "everything"}, "policy must be"),
        ({"plan": segments_plan(11, 2)}, "layers 0 to 11 in order"),
        ({"plan": CheckpointPlan((((0, 1), 2), *range(3, 12)), "matmul")}, "not nested"),
        ({"loss": "mean"}, 'loss must be "sum" or "squares"'),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        run_with_checkpoints(small_mlp(rows=2), **options)


def test_a_stream_is_checked_at_the_call():
    with pytest.raises(ValueError, match="interval_s must be positive, got 0"):
        stream_run(small_mlp(rows=2), plan=segments_plan(12, 2), interval_s=0)
    with pytest.raises(ValueError, match="in order"):
        stream_run(small_mlp(rows=2), plan=segments_plan(3, 2))
    with pytest.raises(ValueError, match="in order"):
        predict_run(small_mlp(rows=2), segments_plan(3, 2))
