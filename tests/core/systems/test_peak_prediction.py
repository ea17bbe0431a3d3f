import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from core.systems.caching_allocator import requests_of
from core.systems.checkpoint_plans import checkpoint_plan, segments_plan
from core.systems.checkpoint_schedules import checkpoint_frontier
from core.systems.checkpointing import predict_run, run_with_checkpoints
from core.systems.memory_accounting import profile_layers
from core.systems.peak_prediction import (
    CARDS,
    OPTIMIZER_BYTES,
    Card,
    fits_card,
    largest_batch,
    plan_free_bytes,
    predict_peak,
)
from core.systems.transformer_config import config_chain, transformer_shape
from tests.oracles.checkpointing import allocator

SHAPE = transformer_shape(
    {
        "model_type": "llama",
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": 97,
        "max_position_embeddings": 64,
    }
)


@pytest.mark.parametrize("segments", [None, 5, 2])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_prediction_is_the_real_run(dtype, segments, receipt):
    plan = None if segments is None else segments_plan(5, segments)
    got = predict_peak(SHAPE, batch=2, tokens=16, plan=plan, dtype=dtype, optimizer="none")
    chain = config_chain(SHAPE, batch=2, tokens=16, dtype=dtype)
    run = run_with_checkpoints(chain, plan=plan or checkpoint_plan("none", 5))
    receipt(predict_peak, "peak_bytes", got.peak_bytes, run.peak_bytes, reference="measured by a run", tolerance=0)
    pair = got.activation_peak_bytes, run.activation_peak_bytes
    receipt(predict_peak, "activation_peak_bytes", *pair, reference="measured by a run", tolerance=0)
    weights = SHAPE.parameter_count * (4 if dtype == "float32" else 2)
    assert got.parameters_bytes == got.gradients_bytes == weights
    assert got.inputs_bytes == 2 * 16 * 8
    assert got.peak_bytes <= got.rounded_peak_bytes <= got.reserved_peak_bytes
    assert (got.forward_flops, got.recompute_flops) == (run.forward_flops, run.recompute_flops)
    assert not any(torch.is_tensor(g) and type(g) is torch.Tensor for g in got.run.gradients)  # fakes hold nothing


@pytest.mark.parametrize(
    ("optimizer", "per_weight"), [("none", 0), ("sgd", 0), ("sgd momentum", 2), ("adamw", 4), ("adamw fp32 master", 12)]
)
def test_optimizer_states(optimizer, per_weight, receipt):
    got = predict_peak(SHAPE, batch=1, tokens=8, optimizer=optimizer)
    expected = SHAPE.parameter_count * per_weight
    receipt(
        predict_peak, "optimizer_bytes", got.optimizer_bytes, expected, reference="arXiv:1910.02054 §3.1", tolerance=0
    )
    bare = predict_peak(SHAPE, batch=1, tokens=8, optimizer="none")
    assert got.peak_bytes == bare.peak_bytes + expected
    assert optimizer in OPTIMIZER_BYTES


def test_adams_states_are_pytorchs(receipt):
    weight = torch.nn.Parameter(torch.ones(100))
    adam = torch.optim.AdamW([weight])
    weight.grad = torch.ones(100)
    adam.step()
    held = sum(t.nbytes for t in adam.state[weight].values() if t.ndim)
    numbers, more = OPTIMIZER_BYTES["adamw"]
    receipt(
        predict_peak, "optimizer_bytes", 100 * (4 * numbers + more), held, reference="torch.optim.AdamW", tolerance=0
    )


def test_checkpointing_lowers_the_peak_of_a_deep_model():
    plain = predict_peak(SHAPE, batch=4, tokens=64, optimizer="none")
    every = predict_peak(SHAPE, batch=4, tokens=64, plan=checkpoint_plan("every layer", 5), optimizer="none")
    assert every.activation_peak_bytes < plain.activation_peak_bytes
    assert every.forward_flops == plain.forward_flops
    assert 0 < every.recompute_flops <= every.forward_flops


def test_whether_it_fits(receipt):
    prediction = predict_peak(SHAPE, batch=1, tokens=8)
    needed = prediction.reserved_peak_bytes + 100
    snug = fits_card(prediction, Card("snug", needed), context_bytes=100)
    assert snug.fits
    assert (snug.needed_bytes, snug.free_bytes) == (needed, 0)
    receipt(fits_card, "needed", snug.needed_bytes, needed, reference="sum", tolerance=0)
    receipt(fits_card, "free", snug.free_bytes, 0, reference="the smallest card that fits", tolerance=0)
    tight = fits_card(prediction, Card("tight", needed - 1), context_bytes=100)
    assert not tight.fits
    assert tight.free_bytes == -1
    assert all(fits_card(prediction, card).fits for card in CARDS)
    with pytest.raises(ValueError, match="context_bytes must not be negative"):
        fits_card(prediction, CARDS[0], context_bytes=-1)


@pytest.mark.parametrize("most", [1, 5, 9])
@pytest.mark.parametrize("room", [-(1 << 20), 0, 2 << 20, 6 << 20])
def test_the_largest_batch_is_the_last_that_fits(most, room):
    base = fits_card(predict_peak(SHAPE, batch=1, tokens=64), CARDS[0]).needed_bytes
    card = Card("small", base + room)
    fitting = [b for b in range(1, most + 1) if fits_card(predict_peak(SHAPE, batch=b, tokens=64), card).fits]
    assert largest_batch(SHAPE, card, tokens=64, most=most) == max(fitting, default=0)


def test_what_is_reserved_is_a_naive_allocators(receipt):
    """The same requests, the optimizer's states first, served from lists of pages."""
    got = predict_peak(SHAPE, batch=1, tokens=8, optimizer="adamw")
    chain = config_chain(SHAPE, batch=1, tokens=8)
    states = [(i, 4 * p.numel()) for i, p in enumerate(chain.parameters)]
    run = [(len(states) + r.number, r.n_bytes) for r in requests_of(got.run.events)]
    expected = max(reserved for _, reserved in allocator([*states, *run]))
    reference = "lists of 512-byte pages, searched from the start"
    receipt(predict_peak, "reserved", got.reserved_peak_bytes, expected, reference=reference, tolerance=0)


def test_cards_are_four_and_have_names():
    assert [card.name for card in CARDS] == ["A100 80GB", "H100 80GB", "RTX 4090", "T4"]
    assert [round(card.total_bytes / 2**30) for card in CARDS] == [80, 80, 24, 15]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch must be at least 1"),
        ({"tokens": 65}, "64 positions"),
        ({"plan": segments_plan(3, 1)}, "layers 0 to 4 in order"),
        ({"optimizer": "lion"}, "optimizer must be one of none, sgd"),
    ],
)
def test_wrong_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        predict_peak(SHAPE, **{"batch": 1, "tokens": 8} | options)


@pytest.mark.parametrize("optimizer", ["none", "adamw", "adamw fp32 master"])
def test_what_no_plan_changes_is_alive_beside_every_plans_gradients(optimizer, receipt):
    """Parameters, gradients, input and states at the end of a real run, whatever the plan."""
    shape = SHAPE
    with FakeTensorMode():
        chain = config_chain(shape, batch=2, tokens=16, dtype="bfloat16")
    fixed = plan_free_bytes(chain, optimizer=optimizer, context_bytes=7)
    for segments in (1, 2):
        made = predict_peak(
            shape, batch=2, tokens=16, dtype="bfloat16", plan=segments_plan(5, segments), optimizer=optimizer
        )
        alive = sum(made.run.events[-1].live_bytes[:3]) + made.optimizer_bytes + 7
        receipt(
            plan_free_bytes, f"fixed_{optimizer}", fixed, alive, reference="alive when the run has ended", tolerance=0
        )


def test_a_plan_that_is_certain_to_fit_fits():
    """The sizes of layers measured alone, and what no plan changes, bound the predicted peak from above."""
    shape = SHAPE
    with FakeTensorMode():
        chain = config_chain(shape, batch=2, tokens=16, dtype="float32")
    costs, sizes = profile_layers(chain)
    fixed = plan_free_bytes(chain, optimizer="adamw", context_bytes=0)
    frontier = checkpoint_frontier(costs, sizes)
    assert len(frontier) > 2
    for point in frontier:
        predicted = predict_run(chain, point.plan).peak_bytes + 2 * shape.parameter_count * 4
        assert predicted <= point.peak + fixed
