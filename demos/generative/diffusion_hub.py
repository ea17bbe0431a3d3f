"""The lens "images" with a published network: DDPM on CIFAR-10 from the hub, sampled by this house's own DDIM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from demos.generative.diffusion_numbers import scale_numbers
from demos.kit.hub import HUB, HubModel
from demos.kit.jobs import counted
from demos.kit.numbers import Number
from demos.kit.upload_errors import UploadError

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

MODEL = HubModel(
    title="DDPM, CIFAR-10",
    repo="google/ddpm-cifar10-32",
    revision="refs/pr/14",  # the only one with safetensors
    files=("config.json", "diffusion_pytorch_model.safetensors"),
    packages=("diffusers",),
    megabytes=143,
)
PICTURES, STEPS = 6, 20
TRAINED_STEPS = 1000  # levels that the network knows


@dataclass(frozen=True)
class HubSamples:
    """Pictures sampled by a network from the hub."""

    controls: Controls
    process: Process  # the VP process whose levels its training used
    times: tuple[float, ...]  # (S + 1,)
    states: tuple[Tensor, ...]  # (S + 1) of (PICTURES, 3·32·32), channels first

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return tuple(scale_numbers(self.process, t) for t in self.times)


def run_hub(c: Controls) -> HubSamples:
    """DDIM with the chosen η over the network's own levels.

    Raises:
        UploadError: the model is not here, at once; one sentence says why.
    """
    import torch

    from core.generative.ode_samplers import ddim
    from core.generative.scores import score_of_noise
    from core.generative.sde import VP, prior_sampling, time_grid

    network, process = _network(), VP()
    side = int(network.config.sample_size)

    def noise(x: Tensor, t: Any) -> Tensor:
        """The network's ε̂; level k of its thousand is the time (k + 1)/1000."""
        level = torch.full((len(x),), round(float(t) * TRAINED_STEPS) - 1).clamp_(0, TRAINED_STEPS - 1)
        with torch.inference_mode():
            return network(x.view(-1, 3, side, side), level).sample.flatten(1).clone()

    start = prior_sampling(process, (PICTURES, 3 * side * side), seed=c.seed, dtype=torch.float32)
    times = time_grid(process, STEPS)
    steps = ddim(score_of_noise(noise, process), process, start, times, seed=c.seed, eta=c.eta)
    states = tuple(step.x for step in counted(steps, "sampling", total=STEPS + 1))
    return HubSamples(c, process, tuple(times), states)


def _network() -> Any:
    folder = HUB.folder(MODEL)
    try:
        return _network_at(str(folder))
    except Exception as error:  # a file that does not fit the package's version, say
        raise UploadError("hub_failed", model=MODEL.title, reason=type(error).__name__) from error


@lru_cache(maxsize=1)
def _network_at(folder: str) -> Any:
    import diffusers  # pyright: ignore[reportMissingImports]

    library: Any = diffusers  # its names are found when they are asked for
    network = library.UNet2DModel.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
    )
    return network.eval().requires_grad_(False)
