import gc
import itertools
import threading

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode

from core.systems import memory_tracker
from core.systems.memory_tracker import (
    BORN_IN,
    KINDS,
    LiveMemoryTracker,
    RunCancelled,
    compute_spans,
    cuda_rounded_bytes,
    layer_bytes,
    settled,
    storage_address,
)

quick = settings(
    deadline=None,
    max_examples=100,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # the examples are small as they come
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def model(width=24, depth=3):
    return nn.Sequential(
        *(nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(depth)), nn.LayerNorm(width)
    )


def tracked(net, x, loss=lambda y: y.square().sum()):
    with LiveMemoryTracker(parameters=net.parameters(), inputs=[x]) as tracker:
        out = net(x)
        value = loss(out)
        tracker.turn_to("backward", -1)
        value.backward()
    return tracker


def theirs(net, x, loss=lambda y: y.square().sum()):
    """PyTorch's own tracker: its peak and its end by category."""
    with MemTracker() as tracker:
        tracker.track_external(net, x)
        out = net(x)
        loss(out).backward()
    cpu = torch.device("cpu")
    return tracker.get_tracker_snapshot("peak")[cpu], tracker.get_tracker_snapshot("current")[cpu]


def total(snapshot):
    return {str(getattr(key, "value", key)): value for key, value in snapshot.items()}["Total"]


@pytest.mark.parametrize("loss", ["sum", "squares"])
@pytest.mark.parametrize(("rows", "width", "depth"), [(64, 24, 3), (1, 8, 1), (300, 16, 6)])
def test_the_peak_is_memtrackers_to_the_byte(rows, width, depth, loss, receipt):
    formula = {"sum": lambda y: y.sum(), "squares": lambda y: y.square().sum()}[loss]
    x = torch.randn(rows, width)
    ours = tracked(model(width, depth), x, formula)
    peak, _ = theirs(model(width, depth), x, formula)
    got = max(event.total_bytes for event in ours.events)
    reference = "torch.distributed._tools.mem_tracker.MemTracker"
    receipt(LiveMemoryTracker, "peak_bytes", got, total(peak), reference=reference, tolerance=0)


def test_views_are_not_counted_and_storages_once():
    x = torch.zeros(10, 20)
    with LiveMemoryTracker(inputs=[x]) as tracker:
        y = x.t().reshape(5, 40)[1:]  # transposed, so reshape copies
        z = y.view(-1)[3:].unsqueeze(0)
        w = x.t()[2:]
    assert [event.op for event in tracker.events] == ["baseline", "aten.clone", "aten._unsafe_view", "end"]
    assert tracker.events[-1].total_bytes == 2 * x.nbytes
    assert storage_address(z) == storage_address(y)
    assert storage_address(w) == storage_address(x)


def test_every_byte_is_born_and_dies_once():
    x = torch.randn(30, 24)
    tracker = tracked(model(), x)
    live = [0] * len(KINDS)
    sizes: dict[int, tuple[int, int]] = {}
    for event in tracker.events:
        for number in event.freed:
            size, kind = sizes.pop(number)
            live[kind] -= size
        for number, size, kind in event.allocated:
            assert number not in sizes
            sizes[number] = size, kind
            live[kind] += size
        for number in event.became_gradients:
            size, kind = sizes[number]
            live[kind] -= size
            live[1] += size
            sizes[number] = size, 1
        assert tuple(live) == event.live_bytes
        assert event.total_bytes == sum(live)
        assert event.activation_bytes == sum(live[3:])
    assert [event.index for event in tracker.events] == list(range(len(tracker.events)))
    seconds = [event.seconds for event in tracker.events]
    assert seconds == sorted(seconds)


def test_kinds():
    net, x = model(), torch.randn(30, 24)
    tracker = tracked(net, x)
    weights = sum(p.nbytes for p in net.parameters())
    assert tracker.events[0].live_bytes == (weights, 0, x.nbytes, 0, 0, 0)
    end = tracker.events[-1]
    assert end.live_bytes[:3] == (weights, weights, x.nbytes)
    assert end.phase == "end"
    assert all(p.grad is not None for p in net.parameters())
    assert {BORN_IN[phase] for phase in ("forward", "recompute", "backward")} == {3, 4, 5}


def test_a_gradient_that_is_there_already_counts_from_the_start():
    net, x = model(), torch.randn(30, 24)
    tracked(net, x)
    again = tracked(net, x)
    weights = sum(p.nbytes for p in net.parameters())
    assert again.events[0].live_bytes[1] == weights
    assert again.events[-1].live_bytes[1] == weights
    assert not any(event.became_gradients for event in again.events)


def test_a_gradient_that_dies_was_a_gradient():
    weight = torch.ones(5, requires_grad=True)
    with LiveMemoryTracker(parameters=[weight]) as tracker:
        loss = weight.square().sum()
        tracker.turn_to("backward", 0)
        loss.backward()
        assert tracker.events[-1].live_bytes[1] == 20
        weight.grad = None
        del loss
    assert tracker.events[-1].live_bytes == (20, 0, 0, 0, 0, 0)


def test_frozen_parameters_and_integer_inputs():
    net = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4))
    net[0].weight.requires_grad_(False)
    tracker = tracked(net, torch.randint(10, (7,), generator=torch.Generator().manual_seed(0)))
    assert tracker.events[0].live_bytes[2] == 56
    assert tracker.events[-1].live_bytes[1] == 80


def test_settled_counts_gradients_from_birth():
    net, x = model(), torch.randn(30, 24)
    tracker = tracked(net, x)
    final = settled(tracker.events)
    assert [event.total_bytes for event in final] == [event.total_bytes for event in tracker.events]
    adopted = {number for event in tracker.events for number in event.became_gradients}
    assert len(adopted) == len(list(net.parameters()))
    alive: dict[int, int] = {}
    for event in final:
        for number in event.freed:
            alive.pop(number, None)
        alive |= {number: size for number, size, _ in event.allocated if number in adopted}
        assert event.live_bytes[1] == sum(alive.values())
        assert all(kind == 1 for number, _, kind in event.allocated if number in adopted)
    pairs = list(zip(final, tracker.events, strict=True))
    assert all(a.live_bytes[5] <= b.live_bytes[5] for a, b in pairs)
    assert sum(a.live_bytes[5] < b.live_bytes[5] for a, b in pairs) >= len(adopted)


def test_flops_are_the_flop_counters(receipt):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    x = torch.randn(2, 3, 8, 8)
    tracker = tracked(net, x)
    with FlopCounterMode(display=False) as counter:
        net(x).square().sum().backward()
    got = sum(event.flops for event in tracker.events)
    receipt(
        LiveMemoryTracker, "flops", got, counter.get_total_flops(), reference="torch.utils.flop_counter", tolerance=0
    )


def test_fused_attention_has_flops_on_the_cpu_too(receipt):
    b, h, s, d = 2, 3, 16, 8
    q, k, v = (torch.randn(b, h, s, d, requires_grad=True) for _ in range(3))
    with LiveMemoryTracker(inputs=[q, k, v]) as tracker:
        nn.functional.scaled_dot_product_attention(q, k, v).sum().backward()
    got = [event.flops for event in tracker.events if event.flops]
    # two products forward; backward makes the scores again and four more
    expected = [2 * 2 * b * h * s * s * d, 5 * 2 * b * h * s * s * d]
    receipt(LiveMemoryTracker, "flops", got, expected, reference="multiply-adds counted by hand", tolerance=0)


def test_phases_and_layers_nest():
    with LiveMemoryTracker() as tracker:
        assert (tracker.phase, tracker.layer) == ("forward", -1)
        with tracker.at("forward", 2):
            a = torch.ones(3)
            with tracker.at("recompute", 5):
                b = a + 1
            assert (tracker.phase, tracker.layer) == ("forward", 2)
            c = b + 1
        with pytest.raises(ZeroDivisionError), tracker.at("backward", 1):
            raise ZeroDivisionError
        assert (tracker.phase, tracker.layer) == ("forward", -1)
    work = [(event.phase, event.layer) for event in tracker.events if event.allocated]
    assert work == [("forward", 2), ("recompute", 5), ("forward", 2)]
    assert c.sum() == 9


def test_releases_belong_to_the_phase_that_released():
    with LiveMemoryTracker() as tracker:
        with tracker.at("forward", 0):
            a = torch.ones(8)
            del a
        with tracker.at("forward", 1):
            b = torch.ones(2)
    free = next(event for event in tracker.events if event.op == "free")
    assert free.layer == 0
    assert b.sum() == 2


def test_spans_cover_every_working_event_once():
    with LiveMemoryTracker() as tracker:
        for layer in (0, 1, 1, 0):
            with tracker.at("forward", layer):
                torch.ones(2, 2) @ torch.ones(2, 2)
    spans = compute_spans(tracker.events)
    covered = [i for span in spans for i in range(span.first_event, span.last_event + 1)]
    assert covered == [event.index for event in tracker.events if event.phase not in ("baseline", "end")]
    assert [span.layer for span in spans] == [0, 1, 0]
    assert [span.flops for span in spans] == [16, 32, 16]
    for before, after in itertools.pairwise(spans):
        assert before.start_s <= before.end_s == after.start_s
    assert compute_spans(()) == ()


def test_a_storage_that_grows_is_counted_anew():
    out = torch.empty(0)
    with LiveMemoryTracker(inputs=[out]) as tracker:
        torch.add(torch.ones(100), 1, out=out)
        assert tracker.events[-1].live_bytes[2] == 400
    assert tracker.events[-1].total_bytes == 400


def test_cancel_stops_at_the_next_operator_from_another_thread():
    tracker = LiveMemoryTracker()
    ready = threading.Event()

    def stop():
        ready.wait(10)
        tracker.cancel()

    thread = threading.Thread(target=stop)
    thread.start()

    def forever():
        with tracker:
            x = torch.ones(4)
            ready.set()
            while True:
                x = x + 1

    with pytest.raises(RunCancelled, match="cancelled"):
        forever()
    thread.join()
    assert tracker.events[-1].op == "end"


def test_cancel_works_inside_backward():
    x = torch.ones(4, requires_grad=True)

    def run():
        with LiveMemoryTracker(inputs=[x]) as tracker:
            y = (x * x).sin()
            y.register_hook(lambda _: tracker.cancel())
            loss = y.sum()
            tracker.turn_to("backward", 0)
            loss.backward()

    with pytest.raises(RunCancelled):
        run()


def test_nothing_is_kept_alive():
    x = torch.randn(1000, 24)
    with LiveMemoryTracker(inputs=[x]) as tracker:
        for _ in range(3):
            x * 2
            gc.collect()
    assert max(event.total_bytes for event in tracker.events) == 2 * x.nbytes


@quick
@given(n=st.integers(0, 10**13))
def test_rounding_is_to_the_next_512(n, receipt):
    got = cuda_rounded_bytes(n)
    receipt(cuda_rounded_bytes, "rounded_bytes", got, n + (-n) % 512, reference="n + (−n mod 512)", tolerance=0)
    assert 0 <= got - n < 512


def test_negative_sizes_are_refused():
    with pytest.raises(ValueError, match="n_bytes must not be negative, got -1"):
        cuda_rounded_bytes(-1)
    assert memory_tracker.CUDA_BLOCK == 512


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.bool])
def test_any_type_counts_its_own_bytes(dtype):
    x = torch.zeros(7, dtype=dtype)
    with LiveMemoryTracker(inputs=[x]) as tracker:
        y = x.clone()
    assert tracker.events[-1].total_bytes == 2 * 7 * dtype.itemsize
    assert y.dtype == dtype


def test_bytes_by_layer_are_all_bytes(receipt):
    """Two layers, one storage each that outlives its layer, one that does not: counted by hand."""
    weight = torch.ones(4, 4, requires_grad=True)
    x = torch.ones(8, 4)
    with LiveMemoryTracker(parameters=[weight], inputs=[x]) as tracker:
        with tracker.at("forward", 0):
            y = x @ weight
        with tracker.at("forward", 1):
            z = y.square()
            loss = z.sum()
            del z
        tracker.turn_to("backward", 1)
        loss.backward()
    found = layer_bytes(settled(tracker.events), 2)
    after = next(e.index for e in tracker.events if e.phase == "backward") - 1
    receipt(layer_bytes, "layer_bytes", found[after], (8 * 4 * 4, 4), reference="counted by hand", tolerance=0)
    outside = layer_bytes(settled(tracker.events), 0)
    assert set(outside) == {()}
    for event, held in zip(settled(tracker.events), found, strict=True):
        assert sum(held) == event.activation_bytes
    assert found[-1] == (128, 4)  # y and the loss are still held here
