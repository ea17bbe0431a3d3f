"""A network of diffusers with random weights stands for the published one: the same files, the same path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demos.generative import diffusion_hub
from demos.generative.diffusion_hub import PICTURES, STEPS, TRAINED_STEPS, HubSamples, run_hub
from demos.generative.diffusion_trajectories import DEMO, Controls, run
from demos.kit.upload_errors import UploadError

HUB = Controls(lens="images", album="hub")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory):
    diffusers = pytest.importorskip("diffusers")
    import torch

    torch.manual_seed(0)
    model = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("ddpm")
    model.save_pretrained(folder)
    return model.eval(), folder


@pytest.fixture
def here(network, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(diffusion_hub.HUB, "folder", lambda model: network[1])
    return network[0]


def test_a_model_that_is_not_here_is_told_at_once() -> None:
    with pytest.raises(UploadError) as caught:
        run(HUB)
    assert caught.value.code in ("hub_package", "hub_offline", "hub_unreachable")


def test_files_that_fit_no_network_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    monkeypatch.setattr(diffusion_hub.HUB, "folder", lambda model: tmp_path)
    with pytest.raises(UploadError) as caught:
        run(HUB)
    assert caught.value.code == "hub_failed"


def test_the_pictures_are_ddims_of_the_networks_noise(here) -> None:
    """Equation 12 of the DDIM paper, written out, with the network asked at level 1000·t − 1."""
    import torch

    result = run_hub(HUB)
    assert isinstance(result, HubSamples)
    assert len(result.states) == len(result.times) == STEPS + 1
    levels = [round(t * TRAINED_STEPS) - 1 for t in result.times]
    x = result.states[0].view(PICTURES, 3, 8, 8)
    process = result.process
    for k, (t, s) in enumerate(zip(result.times[:-1], result.times[1:], strict=True)):
        with torch.inference_mode():
            noise = here(x, torch.full((PICTURES,), levels[k])).sample
        a, b = process.alpha(t), process.alpha(s)
        clean = (x - (1 - a * a) ** 0.5 * noise) / a
        x = b * clean + (1 - b * b) ** 0.5 * noise
        torch.testing.assert_close(result.states[k + 1].view_as(x), x, rtol=1e-3, atol=1e-3)
    assert levels[0] == TRAINED_STEPS - 1
    assert levels[-1] == 0


def test_its_levels_are_nearly_times_of_the_vp_process() -> None:
    """What the note on the stage says of α and σ, against DDPM's own products."""
    diffusers = pytest.importorskip("diffusers")
    from core.generative.sde import VP

    scheduler = diffusers.DDPMScheduler(num_train_timesteps=TRAINED_STEPS)  # betas 1e-4 to 0.02, as the model's own
    alpha_bar = scheduler.alphas_cumprod.double().numpy()
    times = (np.arange(TRAINED_STEPS) + 1) / TRAINED_STEPS
    process = VP()
    alpha = np.array([process.alpha(t) for t in times])
    sigma = np.array([process.sigma(t) for t in times])
    assert np.abs(np.sqrt(alpha_bar) - alpha).max() <= 0.00105
    off = np.abs(np.sqrt(1 - alpha_bar) / sigma - 1)
    assert off.max() <= 0.05
    assert off.argmax() == 0


def test_the_picture_shows_the_states(here) -> None:
    result = run(HUB)
    for language in ("en", "zh"):
        scene = DEMO.show(result, DEMO.text(language)).scene
        assert scene.steps == STEPS + 1
        assert len(scene.panes[0].layers[0].frames) == STEPS + 1
    assert len(result.numbers) == STEPS + 1
