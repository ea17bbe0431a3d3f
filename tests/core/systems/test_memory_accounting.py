import numpy as np
import pytest
import torch
from torch import nn

from core.systems.caching_allocator import requests_of
from core.systems.checkpoint_models import Chain, mlp_chain, transformer_chain, unet_chain
from core.systems.checkpoint_plans import checkpoint_plan, segments_plan
from core.systems.checkpointing import run_with_checkpoints
from core.systems.memory_accounting import (
    korthikanti_bytes,
    profile_layers,
    reconcile,
    saved_tensor_bytes,
)
from core.systems.memory_tracker import cuda_rounded_bytes
from tests.oracles.checkpointing import allocator


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture():
    return np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)


def chains():
    return {
        "mlp": mlp_chain(layers=6, width=16, rows=512),
        "transformer": transformer_chain(blocks=4, width=64, heads=4, tokens=64, batch=2),
    }


@pytest.mark.parametrize("segments", [None, 1, 2])
@pytest.mark.parametrize("model", ["mlp", "transformer"])
def test_the_profilers_peak_is_ours(model, segments, receipt):
    """Within 1.5 %: a kernel's own scratch is no tensor."""
    chain = chains()[model]
    n = len(chain.layers)
    plan = checkpoint_plan("none", n) if segments is None else segments_plan(n, segments)
    result = reconcile(chain, plan, loss="squares")
    assert result.allocator == "torch.profiler"
    ratio = result.live_bytes / result.allocator_bytes
    receipt(reconcile, "live_over_allocator", ratio, 1, reference="torch.profiler memory events", tolerance=0.015)
    receipt(
        reconcile,
        "predicted_bytes",
        result.predicted_bytes,
        result.live_bytes,
        reference="measured by a run",
        tolerance=0,
    )


@pytest.mark.parametrize("model", ["mlp", "transformer", "unet"])
def test_residuals_are_the_differences_and_have_names(model, receipt):
    chain = {**chains(), "unet": unet_chain(picture())}[model]
    result = reconcile(chain, segments_plan(len(chain.layers), 2))
    residuals = {residual.name: residual.n_bytes for residual in result.residuals}
    assert list(residuals) == ["kernel scratch", "rounding to 512 B", "segments"]
    sums = [
        result.live_bytes + residuals["kernel scratch"],
        result.live_bytes + residuals["rounding to 512 B"],
        result.live_bytes + residuals["rounding to 512 B"] + residuals["segments"],
    ]
    totals = [result.allocator_bytes, result.rounded_bytes, result.reserved_bytes]
    receipt(reconcile, "residuals", sums, totals, reference="sums of the bars", tolerance=0)
    receipt(reconcile, "allocator_bytes", sums[0], result.allocator_bytes, reference="sum of the bars", tolerance=0)
    requests = [(r.number, r.n_bytes) for r in requests_of(run_with_checkpoints(chain, segments=2).events)]
    page_lists = "lists of 512-byte pages, searched from the start"
    naive = max(reserved for _, reserved in allocator(requests))
    receipt(reconcile, "reserved_bytes", result.reserved_bytes, naive, reference=page_lists, tolerance=0)
    assert result.saved_bytes < result.live_bytes <= result.rounded_bytes <= result.reserved_bytes
    assert residuals["kernel scratch"] >= 0
    run = run_with_checkpoints(chain, segments=2)
    alive, highest, sizes = 0, 0, {}
    for event in run.events:
        alive -= sum(cuda_rounded_bytes(sizes.pop(number)) for number in event.freed)
        for number, size, _ in event.allocated:
            sizes[number] = size
            alive += cuda_rounded_bytes(size)
        highest = max(highest, alive)
    # large blocks keep a rest below 1 MiB, so blocks hold at least the rounded requests
    receipt(
        reconcile,
        "rounded_bytes",
        result.rounded_bytes,
        highest,
        reference="sum of rounded storages",
        tolerance=len(sizes) << 20,
    )


def test_saved_bytes_are_what_stays_alive(receipt):
    for chain in chains().values():
        run = run_with_checkpoints(chain)
        last = run.kept_bytes - 4  # the loss
        got = sum(saved_tensor_bytes(chain))
        # nothing saves the last output, but the input is saved and is no activation
        receipt(
            saved_tensor_bytes,
            "saved_bytes",
            got,
            last - chain.unit_bytes + chain.inputs.nbytes,
            reference="LiveMemoryTracker",
            tolerance=0,
        )
        assert len(set(saved_tensor_bytes(chain)[1:])) == 1


def test_saved_bytes_of_known_operators(receipt):
    """Linear saves its input, GELU its input, ReLU its output, a sum nothing."""
    x = torch.ones(10, 4)
    layers = (nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2), nn.ReLU())
    chain = Chain(layers, ("a", "b", "c", "d"), x, 1, 1.0, 0.0, 0.0)
    expected = [160, 120, 120, 80]
    receipt(
        saved_tensor_bytes,
        "saved_bytes",
        list(saved_tensor_bytes(chain)),
        expected,
        reference="counted by hand",
        tolerance=0,
    )


def test_a_tensor_that_two_layers_save_counts_once():
    class Square(nn.Module):
        def forward(self, x):
            return x * x

    x = torch.ones(8, requires_grad=True)
    chain = Chain((nn.Tanh(), Square()), ("a", "b"), x, 1, 1.0, 0.0, 0.0)
    assert saved_tensor_bytes(chain) == (32, 0)


@pytest.mark.parametrize("heads", [2, 8])
@pytest.mark.parametrize("tokens", [32, 64])
def test_korthikantis_sum_is_what_a_block_saves(tokens, heads, receipt):
    width, batch = 64, 2
    chain = transformer_chain(
        blocks=3, width=width, heads=heads, tokens=tokens, batch=batch, dropout=0.1, dtype="float16", attention="scores"
    )
    form = korthikanti_bytes(tokens=tokens, batch=batch, width=width, heads=heads)
    per_layer = saved_tensor_bytes(chain)[1]
    sbh = tokens * batch * width
    # each layer norm saves mean and 1/σ per token besides, in float16 on the CPU
    extra = per_layer - form.total
    receipt(
        korthikanti_bytes,
        "layer_bytes",
        per_layer - extra,
        sbh * (34 + 5 * heads * tokens / width),
        reference="s·b·h·(34 + 5as/h)",
    )
    receipt(
        korthikanti_bytes, "layer_share", form.total / per_layer, 1, reference="saved-tensor hooks", tolerance=0.005
    )
    assert 0 <= extra <= 2 * 2 * 4 * tokens * batch
    assert form.attention + form.mlp + form.layer_norms == form.total


def test_korthikantis_parts(receipt):
    s, b, h, a, t = 2048, 4, 4096, 32, 8
    whole = korthikanti_bytes(tokens=s, batch=b, width=h, heads=a)
    parts = [whole.attention, whole.mlp, whole.layer_norms]
    expected = [11 * s * b * h + 5 * a * s * s * b, 19 * s * b * h, 4 * s * b * h]
    receipt(korthikanti_bytes, "parts", parts, expected, reference="arXiv:2205.05198 §4.1", tolerance=0)
    fused = korthikanti_bytes(tokens=s, batch=b, width=h, heads=a, fused_attention=True)
    receipt(korthikanti_bytes, "layer_bytes", fused.total, 34 * s * b * h, reference="without 5as²b", tolerance=0)
    split = korthikanti_bytes(tokens=s, batch=b, width=h, heads=a, tensor_parallel=t)
    reference = "s·b·h·(10 + 24/t + 5as/(ht)), arXiv:2205.05198 eq. 2"
    receipt(
        korthikanti_bytes,
        "layer_bytes",
        split.total,
        s * b * h * (10 + 24 / t + 5 * a * s / (h * t)),
        reference=reference,
    )


def test_a_layers_profile_is_what_a_run_of_it_needs(receipt):
    chain = mlp_chain(layers=3, width=8, rows=64)
    costs, sizes = profile_layers(chain)
    unit = chain.unit_bytes
    assert costs == (2 * 64 * 8 * 8,) * 3
    got = [[s.output, s.saved, s.forward_extra, s.backward_extra] for s in sizes]
    # output; Linear's and GELU's results; Linear's result while GELU runs; gradients of both
    receipt(
        profile_layers, "sizes", got, [[unit, 2 * unit, unit, 2 * unit]] * 3, reference="counted by hand", tolerance=0
    )
    assert all(p.grad is None for p in chain.parameters)
    assert [size.carried for size in sizes] == [(), (), ()]


def test_skips_are_seen():
    chain = unet_chain(picture(), channels=4)
    _, sizes = profile_layers(chain)
    full, half = 4 * 32 * 40 * 4, 8 * 16 * 20 * 4
    # the skip of the first level passes three more layers, the second's one
    assert sizes[0].carried == (full, full, full)
    assert sizes[1].carried == (half,)
    assert [size.carried for size in sizes[2:]] == [()] * 4
    assert sizes[0].output == full + full // 4


def test_a_layer_alone_is_counted_by_hand(receipt):
    """Linear + GELU: a product, two activations saved, one handed on."""
    rows, width = 96, 24
    costs, sizes = profile_layers(mlp_chain(layers=2, width=width, rows=rows))
    unit = rows * width * 4
    receipt(profile_layers, "layer_flops", costs, [2 * rows * width**2] * 2, reference="2·B·S·D²", tolerance=0)
    receipt(profile_layers, "layer_saved", [size.saved for size in sizes], [2 * unit] * 2, reference="2 units")
    receipt(profile_layers, "layer_output", [size.output for size in sizes], [unit] * 2, reference="1 unit")


@pytest.mark.parametrize("name", ["tokens", "batch", "width", "heads", "tensor_parallel"])
def test_wrong_sizes_are_named(name):
    sizes = {"tokens": 4, "batch": 1, "width": 4, "heads": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        korthikanti_bytes(**sizes)


def test_measuring_layers_with_dropout_leaves_the_global_generator_as_it_was():
    chain = mlp_chain(layers=2, width=8, rows=16, dropout=0.5)
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    first = profile_layers(chain)
    assert torch.equal(torch.rand(4), expected)
    assert profile_layers(chain) == first
