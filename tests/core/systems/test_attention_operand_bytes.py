import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from core.systems.attention_operand_bytes import unfused_operand_bytes

quick = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    n=st.integers(2, 40),
    d=st.integers(2, 9),
    heads=st.integers(1, 3),
    masked=st.booleans(),
    scale_at=st.sampled_from(["queries", "scores"]),
    size=st.sampled_from([2, 4, 8]),
)
def test_operands_by_hand(n, d, heads, masked, scale_at, size, receipt):
    """Passes over the N × N and N × d operands of every operation, written down."""
    squares = 2 + 2 + 4 + 3  # QKᵀ out, PV in; softmax in and out; four backward products; softmax's backward
    rows = 2 * 6 + 2  # six products with two N × d operands each; dK comes transposed and is copied
    squares += 4 * masked + 4 * (scale_at == "scores")
    rows += 4 * (scale_at == "queries")
    expected = heads * (size * (squares * n * n + rows * n * d) + 2 * masked * n)
    got = unfused_operand_bytes(n, d, heads=heads, key_padding_mask=masked, scale_at=scale_at, dtype_bytes=size)
    receipt(unfused_operand_bytes, "total", got.total, expected, reference="passes written down", tolerance=0)


def test_the_operations_are_those_that_the_profiler_sees():
    q, k, v = (torch.randn(2, 24, 8, requires_grad=True) for _ in range(3))
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        (((q * 8**-0.5) @ k.mT).softmax(-1) @ v).backward(torch.randn(2, 24, 8))
    events = [event.name.removeprefix("aten::") for event in seen.events() if event.name.startswith("aten::")]
    names = [name for name, _ in unfused_operand_bytes(24, 8, heads=2).operations]
    for name in ("bmm", "_softmax", "_softmax_backward_data"):
        assert names.count(name) == events.count(name), name
    assert names.count("bmm") == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"d": 0}, "d must be at least 1"),
        ({"heads": 0}, "heads must be at least 1"),
        ({"dtype_bytes": 3}, r"dtype_bytes must be one of \(2, 4, 8\), got 3"),
        ({"scale_at": "values"}, "scale_at must be one of"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    arguments = {"n": 2, "d": 2} | arguments
    with pytest.raises(ValueError, match=message):
        unfused_operand_bytes(arguments.pop("n"), arguments.pop("d"), **arguments)
