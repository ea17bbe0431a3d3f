import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.systems.attention_devices import DEVICES, KERNEL_TILES, attention_flops, roofline
from core.systems.attention_schedule import tile_schedule
from tests.oracles import attention as oracle

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    n_q=st.integers(1, 10),
    n_k=st.integers(1, 10),
    d=st.integers(1, 5),
    block_q=st.integers(1, 12),
    block_k=st.integers(1, 12),
    causal=st.booleans(),
    direction=st.sampled_from(["forward", "backward"]),
    heads=st.integers(1, 3),
)
def test_flops_are_two_for_every_product_of_two_numbers(
    n_q, n_k, d, block_q, block_k, causal, direction, heads, receipt
):
    got = attention_flops(
        n_q, d, n_k=n_k, block_q=block_q, block_k=block_k, causal=causal, direction=direction, heads=heads
    )
    each = 2 * d * {"forward": 2, "backward": 5}[direction] * heads
    seen = sum(oracle.sees(r, c, n_q, n_k, causal) for r in range(n_q) for c in range(n_k))
    done = sum(tile.entries for tile in tile_schedule(n_q, n_k, block_q=block_q, block_k=block_k, causal=causal).tiles)
    receipt(attention_flops, "visible", got.visible, each * seen, reference="every score counted", tolerance=0)
    receipt(attention_flops, "computed", got.computed, each * done, reference="every visited tile", tolerance=0)
    square = 4 * n_q * n_k * d * heads * {"forward": 1, "backward": 2.5}[direction] / (1 + causal)
    receipt(attention_flops, "convention", got.convention, square, reference="4N²d, halved, 2.5×", tolerance=0.5)


@quick
@given(*[st.floats(1e-3, 1e15)] * 4)
def test_the_roofline_is_the_larger_bound(flops, moved, bandwidth, peak):
    got = roofline(flops, moved, hbm_bytes_per_s=bandwidth, flops_per_s=peak)
    assert got.least_s == max(got.memory_s, got.compute_s)
    assert got.bound == ("memory" if moved / bandwidth > flops / peak else "compute")
    if not math.isclose(got.intensity, got.ridge):
        assert (got.intensity < got.ridge) == (got.bound == "memory")
    assert flops / got.attainable_flops_per_s == pytest.approx(got.least_s)


def test_a_roofline_by_hand(receipt):
    """2 TB/s and 300 TFLOP/s: 4 GB take 2 ms, 0.3 TFLOP 1 ms."""
    got = roofline(0.3e12, 4e9, hbm_bytes_per_s=2e12, flops_per_s=300e12)
    for name in ("least_s", "least_standard", "least_flash", "memory_s"):
        scale = 1e6 if name.startswith("least_") and name != "least_s" else 1
        receipt(
            roofline, name, getattr(got, name, got.least_s * 1e6), 0.002 * scale, reference="by hand", tolerance=1e-9
        )
    receipt(roofline, "compute_s", got.compute_s, 0.001, reference="by hand")
    receipt(roofline, "intensity", got.intensity, 75, reference="by hand")
    receipt(roofline, "ridge", got.ridge, 150, reference="by hand")
    receipt(roofline, "attainable_flops_per_s", got.attainable_flops_per_s, 150e12, reference="by hand", tolerance=1)
    assert got.bound == "memory"
    assert roofline(0.6e12, 4e9, hbm_bytes_per_s=2e12, flops_per_s=300e12).bound == "compute"
    assert roofline(3e12, 4e9, hbm_bytes_per_s=2e12, flops_per_s=300e12).least_s == pytest.approx(0.01)


def test_devices_are_the_quoted_ones():
    """Copied a second time, by hand, from the makers' tables: KiB per SM, TB/s, dense half TFLOP/s."""
    table = {"a100": (108, 164, 1.555, 312), "h100": (132, 228, 3.35, 989.4), "rtx4090": (128, 100, 1.008, 165.2)}
    got = {
        device.key: (
            device.sm_count,
            device.shared_memory_bytes / 1024,
            device.hbm_bytes_per_s / 1e12,
            device.half_flops_per_s / 1e12,
        )
        for device in DEVICES
    }
    assert got == table
    assert {device.key: (device.l1_bytes // 1024, device.l2_bytes // 1024**2) for device in DEVICES} == {
        "a100": (192, 40),
        "h100": (256, 50),
        "rtx4090": (128, 72),
    }
    assert all("compute capability" in device.source for device in DEVICES)
    assert all(tile.source.startswith("flash-attn, ") for tile in KERNEL_TILES)


BAD = [
    ({"n_q": 0}, "n_q must be at least 1"),
    ({"d": 0}, "d must be at least 1"),
    ({"heads": 0}, "heads must be at least 1"),
    ({"block_q": 0}, "block_q must be at least 1"),
    ({"block_k": 0}, "block_k must be at least 1"),
    ({"direction": "up"}, "direction must be"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_sizes_are_named(change, message):
    arguments = {"n_q": 4, "d": 2, "block_q": 2, "block_k": 2} | change
    with pytest.raises(ValueError, match=message):
        attention_flops(arguments.pop("n_q"), arguments.pop("d"), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1, 1, 1), "flops must not be negative"),
        ((1, 0, 1, 1), "moved_bytes must be positive"),
        ((1, -1, 1, 1), "moved_bytes must not be negative"),
        ((1, 1, 0, 1), "hbm_bytes_per_s must be positive"),
        ((1, 1, 1, math.nan), "flops_per_s must be positive"),
        ((math.inf, 1, 1, 1), "flops must not be negative"),
    ],
)
def test_a_roofline_needs_positive_peaks(arguments, message):
    flops, moved, bandwidth, peak = arguments
    with pytest.raises(ValueError, match=message):
        roofline(flops, moved, hbm_bytes_per_s=bandwidth, flops_per_s=peak)
