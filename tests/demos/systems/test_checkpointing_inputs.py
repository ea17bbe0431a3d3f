"""Chains and plans out of controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.systems.transformer_config import transformer_shape
from demos.kit.upload_errors import UploadError
from demos.systems.checkpointing import Controls
from demos.systems.checkpointing_inputs import CONFIGS, PICTURES, best_plan, pins_of, plan_of, profile_of, subject_of

SMALL = Controls(rows=64, width=16, layers=6)


@pytest.mark.parametrize(("name", "millions"), [("gpt2", 124), ("tinyllama", 1100), ("llama7b", 6738)])
def test_bundled_configurations_are_the_published_sizes(name: str, millions: int) -> None:
    assert round(transformer_shape(CONFIGS[name]).parameter_count / 1e6) == millions


def test_chains_are_what_was_asked_for() -> None:
    assert subject_of(SMALL).chain.inputs.shape == (64, 16)
    block = subject_of(replace(SMALL, model="transformer", tokens=8, batch=3))
    assert block.chain.inputs.shape == (3, 8, 16)
    assert subject_of(SMALL) is subject_of(replace(SMALL, strategy="none"))  # one chain for all its plans
    for picture in PICTURES:
        unet = subject_of(Controls(model="unet", picture=picture))
        assert unet.photo is not None
        assert len(unet.chain.layers) == 6


def test_a_picture_of_ones_own_runs(tmp_path) -> None:
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 41, 3)).astype(np.uint8)).save(path)
    subject = subject_of(Controls(model="unet", picture="photo", photo=(str(path),)))
    assert subject.chain.inputs.shape == (1, 3, 28, 40)
    tiny = tmp_path / "tiny.png"
    Image.fromarray(np.zeros((2, 9, 3), np.uint8)).save(tiny)
    with pytest.raises(UploadError) as caught:
        subject_of(Controls(model="unet", picture="photo", photo=(str(tiny),)))
    assert caught.value.code == "photo_too_small"


def test_plans_of_strategies() -> None:
    def nodes(**changed):
        return plan_of(replace(SMALL, **changed), 6, None).nodes

    assert nodes(strategy="none") == (0, 1, 2, 3, 4, 5)
    assert nodes(strategy="every_kth", k=4) == ((0, 1, 2, 3), (4, 5))
    assert nodes(strategy="sequential", k=2) == ((0, 1, 2), 3, 4, 5)
    assert nodes(strategy="sqrt") == ((0, 1, 2), (3, 4, 5))
    assert nodes(strategy="every_layer") == nodes(strategy="every_kth", k=1)
    assert nodes(strategy="own", pins="2_4") == (0, 1, (2, 3), (4, 5))
    assert nodes(strategy="every_kth", k=48) == ((0, 1, 2, 3, 4, 5),)
    assert plan_of(replace(SMALL, strategy="matmul"), 6, None).policy == "matmul"
    assert plan_of(replace(SMALL, strategy="attention"), 6, None).policy == "attention"


def test_pins_that_are_no_layers_are_left_out() -> None:
    assert pins_of("4_0_4_17_x_", 6) == (0, 4)


def test_the_best_plan_is_the_cheapest_that_fits() -> None:
    subject = subject_of(SMALL)
    profile = profile_of(subject)
    assert best_plan(subject, profile, 0) is None
    roomy = best_plan(subject, profile, 1e12)
    assert roomy is not None
    assert roomy.extra_cost == 0
    costs = []
    for point in profile.frontier:
        found = best_plan(subject, profile, point.peak + profile.fixed_bytes)
        assert found == point
        costs.append(found.extra_cost)
    assert costs == sorted(costs, reverse=True)
