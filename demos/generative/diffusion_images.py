"""The lens "images": a picture noised, the optimal denoiser that only memorises, a small network that samples new digits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.generative.diffusion_hub import HubSamples, run_hub
from demos.generative.diffusion_inputs import IMAGES, PHOTO_PIXELS, process_of
from demos.generative.diffusion_numbers import scale_numbers
from demos.kit.numbers import Number
from demos.kit.upload_errors import Note
from demos.kit.uploads import read_image

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.digit_scores import DenoiserReport, Novelty
    from core.generative.empirical import DecisionCurve, EmpiricalStep, Filmstrip
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

MODEL = Path(__file__).parents[2] / "assets" / "models" / "digit_scores.safetensors"
SIDE = 32  # of a crop, pixels
ROWS, COLUMNS = 3, 4  # crops of each photograph
SAMPLES = 6  # of the optimal denoiser
DIGITS = 24  # of the network
LEVELS = 18  # EDM's
SIGMAS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # of the table of losses


@dataclass(frozen=True)
class ImageResult:
    """One of three: a filmstrip, samples of the optimal denoiser, samples of the network."""

    controls: Controls
    process: Process
    data: Tensor  # (N, D) pictures in [−1, 1]
    own: int  # row of the picture that is noised
    notes: tuple[Note, ...] = ()
    strip: Filmstrip | None = None
    steps: tuple[EmpiricalStep, ...] = ()
    curve: DecisionCurve | None = None
    states: Tensor | None = None  # (S + 1, DIGITS, 64) of the network
    levels: tuple[float, ...] = ()  # σ of the states
    novelty: Novelty | None = None
    report: DenoiserReport | None = None

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return _strip(self) if self.strip else _memory(self) if self.curve else _digits(self)


# Uploads are stored under their content's hash and never change: reading one twice is waste.
_read: Any = lru_cache(maxsize=4)(read_image)


def crop(rgb: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    """A square of a photograph as (SIDE, SIDE, 3) uint8."""
    import cv2

    return cv2.resize(rgb[top : top + size, left : left + size], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def pictures_of(c: Controls) -> tuple[np.ndarray, int, tuple[Note, ...]]:
    """(N, SIDE, SIDE, 3) uint8: crops of the bundled photographs and, last, the visitor's; the row that is noised; notes.

    Raises:
        UploadError: the picture cannot be used.
    """
    found: list[np.ndarray] = []
    for name in ("coffee", "rocket"):
        rgb = _read(str(IMAGES / f"{name}.jpg"), max_pixels=PHOTO_PIXELS).rgb
        height, width = rgb.shape[:2]
        size = min(height // ROWS, width // COLUMNS)
        found += [
            crop(rgb, (height - ROWS * size) // 2 + i * size, (width - COLUMNS * size) // 2 + j * size, size)
            for i in range(ROWS)
            for j in range(COLUMNS)
        ]
    if not c.picture:
        return np.stack(found), c.crop - 1, ()
    mine = _read(c.picture[0], max_pixels=PHOTO_PIXELS)
    height, width = mine.rgb.shape[:2]
    size = min(height, width)
    found.append(crop(mine.rgb, (height - size) // 2, (width - size) // 2, size))
    return np.stack(found), len(found) - 1, mine.notes


def run_images(c: Controls) -> ImageResult | HubSamples:
    """Raises: UploadError, as `run`."""
    return run_hub(c) if c.album == "hub" else run_album(c)


def run_album(c: Controls) -> ImageResult:
    """What needs nothing but what is bundled. Raises: UploadError, as `run`."""
    import torch

    from core.generative.empirical import decision_curve, empirical_denoiser, empirical_sampler, noising_filmstrip
    from core.generative.sde import EDM, prior_sampling, time_grid

    process = process_of(c)
    if c.album == "digits":
        return _sampled_digits(c, process)
    crops, own, notes = pictures_of(c)
    data = torch.from_numpy(crops.reshape(len(crops), -1).astype(np.float64) / 127.5 - 1)
    best = empirical_denoiser(data)
    if c.album == "noising":
        times = [0.0, *time_grid(process, c.steps)[::-1]]
        strip = noising_filmstrip(data[own], process, times, seed=c.seed, denoiser=best)
        return ImageResult(c, process, data, own, notes, strip)
    sigmas = time_grid(EDM(), LEVELS, spacing="karras", to_zero=True)
    noise = prior_sampling(EDM(), (SAMPLES, data.shape[1]), seed=c.seed)
    steps = tuple(empirical_sampler(best, noise, sigmas))
    return ImageResult(c, process, data, own, notes, steps=steps, curve=decision_curve(best, steps))


@lru_cache(maxsize=1)
def _model() -> tuple[Any, Any, Any]:
    """The network, its training digits and those it never saw, in [−1, 1]."""
    from safetensors import safe_open

    from core.generative.digit_scores import digit_denoiser

    with safe_open(str(MODEL), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        spread = float(file.metadata()["sigma_data"])
    train, test = (tensors[f"digits.{name}"].float() / 8 - 1 for name in ("train", "test"))
    return digit_denoiser(tensors, sigma_data=spread), train, test


@lru_cache(maxsize=1)
def _report() -> DenoiserReport:
    from core.generative.digit_scores import denoiser_report

    net, train, test = _model()
    return denoiser_report(net, train, test, SIGMAS, seed=1)


def _sampled_digits(c: Controls, process: Process) -> ImageResult:
    import torch

    from core.generative.digit_scores import novelty
    from core.generative.empirical import empirical_denoiser
    from core.generative.ode_samplers import heun
    from core.generative.sampler_steps import trajectory
    from core.generative.scores import score_of_denoiser
    from core.generative.sde import EDM, prior_sampling, time_grid

    net, train, _ = _model()
    edm = EDM()
    times = time_grid(edm, LEVELS, spacing="karras", to_zero=True)
    noise = prior_sampling(edm, (DIGITS, 64), seed=c.seed, dtype=torch.float32)
    states = trajectory(heun(score_of_denoiser(net, edm), edm, noise, times))
    return ImageResult(
        c,
        process,
        train,
        0,
        states=states,
        levels=tuple(times),
        novelty=novelty(states[-1], empirical_denoiser(train)),
        report=_report(),
    )


# -- numbers ----------------------------------------------------------------------------------------------------------


def entropy_numbers(weights: Tensor, entropy: float, top: float) -> tuple[Number, Number, Number]:
    """How undecided the posterior over the pictures is; what the most undecided would be; the likeliest one's weight."""
    from core.generative.empirical import EmpiricalDenoiser, decision_curve

    count = len(weights)
    w = [float(v) for v in weights]
    operands: dict[str, Any] = {}
    if entropy > 0.05:  # six digits of the weights give it
        operands = {"w": w, "surprise": [-math.log(v) if v > 0 else 0.0 for v in w]}
    return (
        Number("entropy", entropy, EmpiricalDenoiser.posterior, "dot(w, surprise)", operands, "nat", gauge=False),
        Number("most", math.log(count), decision_curve, "log(n)", {"n": count}, "nat", gauge=False),
        Number("top_weight", top, EmpiricalDenoiser.posterior, "max(w)", {"w": w}),
    )


def _strip(result: ImageResult) -> tuple[tuple[Number, ...], ...]:
    from core.generative.empirical import noising_filmstrip

    strip = result.strip
    assert strip is not None
    assert strip.posterior is not None
    seen = strip.posterior
    lines: list[tuple[Number, ...]] = []
    for k, t in enumerate(strip.times):
        a, s = strip.alphas[k], strip.sigmas[k]
        snr = strip.snr[k] if s else math.nan
        lines.append(
            (
                *scale_numbers(result.process, t),
                Number(
                    "snr",
                    snr,
                    noising_filmstrip,
                    "alpha · alpha / (sigma · sigma)",
                    {"alpha": a, "sigma": s} if s > 1e-3 else {},
                    gauge=False,
                ),
                *entropy_numbers(seen.weights[k], float(seen.entropy[k]), float(seen.top_weight[k])),
            )
        )
    return tuple(lines)


def _memory(result: ImageResult) -> tuple[tuple[Number, ...], ...]:
    from core.generative.empirical import decision_curve

    curve = result.curve
    assert curve is not None
    here = min(result.controls.sample, SAMPLES) - 1
    item = f"sample:{here + 1}"
    whole = (
        Number("decided", int(curve.decided[here]), decision_curve, "first level with weight ≥ 0.99", item=item),
        Number(
            "distance", float(curve.distance[here]), decision_curve, "|x − nearest| / √pixels", item=item, gauge=False
        ),
    )
    return tuple(
        (
            *entropy_numbers(
                step.posterior.weights[here],
                float(step.posterior.entropy[here]),
                float(step.posterior.top_weight[here]),
            ),
            *whole,
        )
        for step in result.steps
    )


def _digits(result: ImageResult) -> tuple[tuple[Number, ...], ...]:
    from core.generative.digit_scores import novelty

    found = result.novelty
    assert found is not None
    here = result.controls.sample - 1
    copies = round(found.copied * DIGITS)
    return (
        (
            Number("copied", found.copied, novelty, "copies / samples", {"copies": copies, "samples": DIGITS}),
            Number("typical", found.typical, novelty, "median distance of a digit to its nearest other", gauge=False),
            Number(
                "distance",
                float(found.distance[here]),
                novelty,
                "|x − nearest| / √pixels",
                item=f"sample:{here + 1}",
                gauge=False,
            ),
        ),
    ) * len(result.levels)


def loss_numbers(report: DenoiserReport, k: int) -> tuple[Number, ...]:
    """Losses at one noise level."""
    from core.generative.digit_scores import denoiser_report

    item = f"σ = {report.sigmas[k]:g}"
    return tuple(
        Number(name, getattr(report, name)[k], denoiser_report, _LOSS[name], item=item)
        for name in ("train", "optimum", "excess", "test", "memoriser")
    )


_LOSS = {
    "train": "E|D − x₀|² / (64 σ_data²)",
    "optimum": "E|D* − x₀|² / (64 σ_data²)",
    "excess": "E|D − D*|² / (64 σ_data²)",
    "test": "E|D − x₀|² / (64 σ_data²), digits never seen",
    "memoriser": "E|D* − x₀|² / (64 σ_data²), digits never seen",
}


def script_of_images(c: Controls) -> str:
    """Python that prints what stays the same over the steps."""
    if c.album == "hub":
        return ""
    if c.album == "digits":
        return _DIGIT_SCRIPT.format(levels=LEVELS, digits=DIGITS, seed=c.seed, sample=c.sample - 1)
    mine = ", picture=('photo.png',)" if c.picture else ""
    lines = [
        "import json",
        "import math",
        "",
        "import torch",
        "",
        "from core.generative.empirical import decision_curve, empirical_denoiser, empirical_sampler",
        "from core.generative.sde import EDM, prior_sampling, time_grid",
        "from demos.generative.diffusion_images import pictures_of",
        "from types import SimpleNamespace",
        "",
        "torch.set_num_threads(1)",
        f"crops, own, _ = pictures_of(SimpleNamespace(crop={c.crop}{mine or ', picture=()'}))",
        "data = torch.from_numpy(crops.reshape(len(crops), -1) / 127.5 - 1)",
        'numbers = {"most": math.log(len(data))}',
    ]
    if c.album == "noising":
        if c.process == "ve":
            lines.append('numbers["alpha"] = 1.0')
    else:
        here = min(c.sample, SAMPLES) - 1
        lines += [
            "best = empirical_denoiser(data)",
            f"sigmas = time_grid(EDM(), {LEVELS}, spacing='karras', to_zero=True)",
            f"noise = prior_sampling(EDM(), ({SAMPLES}, data.shape[1]), seed={c.seed})",
            "curve = decision_curve(best, list(empirical_sampler(best, noise, sigmas)))",
            f"numbers.update(decided=int(curve.decided[{here}]), distance=float(curve.distance[{here}]))",
        ]
    return "\n".join([*lines, "print(json.dumps(numbers))"]) + "\n"


_DIGIT_SCRIPT = """import json

import torch
from safetensors import safe_open

from core.generative.digit_scores import digit_denoiser, novelty
from core.generative.empirical import empirical_denoiser
from core.generative.ode_samplers import heun
from core.generative.sampler_steps import final_state
from core.generative.scores import score_of_denoiser
from core.generative.sde import EDM, prior_sampling, time_grid

torch.set_num_threads(1)
with safe_open("assets/models/digit_scores.safetensors", "pt") as file:
    tensors = {{name: file.get_tensor(name) for name in file.keys()}}
    spread = float(file.metadata()["sigma_data"])
edm, train = EDM(), tensors["digits.train"].float() / 8 - 1
score = score_of_denoiser(digit_denoiser(tensors, sigma_data=spread), edm)
noise = prior_sampling(edm, ({digits}, 64), seed={seed}, dtype=torch.float32)
end = final_state(heun(score, edm, noise, time_grid(edm, {levels}, spacing="karras", to_zero=True)))
found = novelty(end, empirical_denoiser(train))
print(json.dumps(dict(copied=found.copied, typical=found.typical, distance=float(found.distance[{sample}]))))
"""
