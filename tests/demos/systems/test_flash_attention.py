"""What the tab computes, in Python; the rules that all tabs share are in tests/demos/test_contract.py."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from core.systems.attention_traffic import hbm_traffic, standard_traffic
from demos.kit.controls import ControlError, checked
from demos.kit.upload_errors import UploadError
from demos.systems.flash_attention import DEMO, MOST_TILES, Controls, ratio_at, run
from demos.systems.flash_attention_blocks import blocks_of, capacity_of, key_order_of, memory_options
from demos.systems.flash_attention_inputs import inputs_of

START = DEMO.presets["start"]
ROOT = Path(__file__).parents[3]


def test_torch_waits_until_something_is_computed() -> None:
    code = "import sys; from demos import GROUPS; assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize("order", ["fa1", "fa2"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_output_is_attention(order, causal: bool) -> None:
    result = run(Controls(tokens=29, channels=5, block_q=4, block_k=7, order=order, causal=causal, dtype="float64"))
    q, k, v = (torch.from_numpy(x) for x in (result.inputs.q, result.inputs.k, result.inputs.v))
    expected = scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal)[0]
    torch.testing.assert_close(result.output, expected, rtol=0, atol=1e-12)
    assert result.agreement.max_error < 1e-12
    assert len(result.steps) == len(result.traffic) == len(result.schedule.tiles)


def test_the_bytes_are_the_formulas() -> None:
    c = replace(START, tokens=30, block_q=8, block_k=7, heads=3, dtype="float16", causal=True, order="fa1")
    result = run(c)
    sizes = {"block_q": 8, "block_k": 7, "causal": True, "order": "fa1", "dtype_bytes": 2, "heads": 3}
    assert result.total.total == hbm_traffic(30, 4, **sizes).total
    assert result.standard.total == standard_traffic(30, 4, dtype_bytes=2, heads=3).total


@pytest.mark.parametrize(("width", "ratio"), [(32, 1.47), (64, 0.75), (128, 0.39)])
def test_small_tiles_are_worse_than_none(width: int, ratio: float) -> None:
    """The failure that its preset is about."""
    assert ratio_at(DEMO.presets["worse"], width) == pytest.approx(ratio, abs=0.005)
    if width == 32:
        result = run(DEMO.presets["worse"])
        assert result.total.total / result.standard.total == ratio_at(DEMO.presets["worse"], 32)


def test_another_order_gives_other_registers_and_the_same_output() -> None:
    shuffled, straight = (run(replace(DEMO.presets["order"], key_order=order)) for order in ("shuffled", "left"))
    assert shuffled.reordered.max_error < 1e-6
    assert 0.3 < shuffled.reordered.equal_share < 0.9
    assert [s.row_max for s in shuffled.story] != [s.row_max for s in straight.story]
    assert shuffled.story[-1].row_max == straight.story[-1].row_max
    assert len(shuffled.schedule.skipped) == 28


def test_the_misprint_and_the_missing_maximum_break_the_result() -> None:
    assert run(DEMO.presets["misprint"]).agreement.max_error > 10
    assert run(replace(DEMO.presets["misprint"], rule="running_max")).agreement.max_error < 1e-5
    assert run(DEMO.presets["overflow"]).agreement.not_finite > 0
    for mended in ({"rule": "running_max"}, {"dtype": "float32"}):
        assert run(replace(DEMO.presets["overflow"], **mended)).agreement.not_finite == 0


def test_backward_is_autograds() -> None:
    result = run(replace(START, tokens=21, direction="backward", causal=True, dtype="float64"))
    assert result.agreement.max_error < 1e-12
    assert len(result.backward) == len(result.traffic)
    assert result.gradients is not None


@pytest.mark.parametrize("splits", [1, 3, 16])
def test_decoding_is_one_row_of_attention(splits: int) -> None:
    c = replace(START, tokens=30, block_k=4, direction="decode", splits=splits, row=7, dtype="float64", causal=True)
    result = run(c)
    q, k, v = (torch.from_numpy(x) for x in (result.inputs.q[7:8], result.inputs.k, result.inputs.v))
    torch.testing.assert_close(result.output, scaled_dot_product_attention(q[None], k[None], v[None])[0])
    assert result.decode is not None
    assert len(result.lanes) == len(result.decode.parts) <= splits
    assert sum(len(lane) for lane in result.lanes) == 8


def test_a_query_that_is_not_there_is_the_last_one() -> None:
    assert run(replace(START, tokens=3, row=1000)).query == 2


def test_keys_may_be_more_or_fewer_than_queries() -> None:
    for keys in (1, 7, 100):
        result = run(replace(START, tokens=20, keys=keys, causal=True, row=0))
        assert len(result.inputs.k) == keys
        assert result.agreement.max_error < 1e-5


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"rule": "inverse_as_printed", "order": "fa1"}, "attention_rule_order"),
        ({"threshold": 2.0, "order": "fa1"}, "attention_threshold"),
        ({"threshold": 2.0, "rule": "no_max"}, "attention_threshold"),
        ({"tokens": 1024, "block_q": 1, "block_k": 1}, "attention_too_many_tiles"),
        ({"blocks": "largest", "chip_bytes": 64, "channels": 128}, "attention_nothing_fits"),
        ({"source": "photo"}, "attention_nothing_uploaded"),
        ({"source": "arrays"}, "attention_nothing_uploaded"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(changed: dict, code: str) -> None:
    with pytest.raises(UploadError) as caught:
        run(replace(START, **changed))
    assert caught.value.code == code
    assert MOST_TILES == 1024


@pytest.mark.parametrize(
    "values",
    [{"channels": 0}, {"tokens": 10**9}, {"tokens": float("nan")}, {"block_q": 0}, {"dtype": "int8"}, {"row": -1}],
)
def test_values_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ControlError):
        checked(Controls, values)


# -- blocks ------------------------------------------------------------------------------------------------------------


def test_blocks_are_given_the_papers_or_the_largest() -> None:
    inputs = inputs_of(replace(START, tokens=1000, channels=64))
    c = replace(START, tokens=1000, channels=64, chip="a100", dtype="float16", block_q=300, block_k=8)
    assert blocks_of(replace(c, blocks="given"), inputs) == (300, 8)
    rows, columns = blocks_of(replace(c, blocks="paper"), inputs)
    assert (rows, columns) == (64, -(-(164 * 1024 // 2) // 256))
    large = blocks_of(replace(c, blocks="largest"), inputs)
    assert large[0] % 16 == large[1] % 16 == 0
    result = run(replace(c, blocks="largest"))
    assert not any(use.overflows for use in result.use)
    assert (result.block_q, result.block_k) == large


def test_the_papers_rule_can_overflow() -> None:
    result = run(Controls(tokens=64, channels=16, blocks="paper", chip_bytes=4096))
    assert any(use.overflows for use in result.use)


def test_blocks_are_no_larger_than_the_matrix() -> None:
    tiny = replace(START, tokens=3, keys=2, block_q=256, block_k=256)
    assert blocks_of(tiny, inputs_of(tiny)) == (3, 2)


def test_half_types_keep_a_wide_state_unless_told_otherwise() -> None:
    assert memory_options(replace(START, dtype="float16"))["state_bytes"] == 4
    assert memory_options(replace(START, dtype="float16", state="same"))["state_bytes"] == 2
    assert memory_options(replace(START, dtype="float64"))["state_bytes"] == 8
    assert capacity_of(replace(START, chip="h100")) == 228 * 1024


def test_orders_of_the_keys_are_permutations() -> None:
    assert key_order_of(START, 5) is None
    assert key_order_of(replace(START, key_order="right"), 3) == (2, 1, 0)
    order = key_order_of(replace(START, key_order="shuffled"), 9)
    assert order is not None
    assert sorted(order) == list(range(9))
    assert order != tuple(range(9))
