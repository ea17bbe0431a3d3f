"""Tab: forward SDE, reverse SDE and probability flow on one time axis. Different paths, the same distribution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from demos.contract import Demo, View
from demos.generative.diffusion_hub import HubSamples
from demos.generative.diffusion_images import ImageResult, run_images
from demos.generative.diffusion_images_figures import show_images
from demos.generative.diffusion_inputs import REACH, SHAPES, Source, direction_of, process_of, score_of, source_of
from demos.generative.diffusion_likelihood import LikelihoodResult, run_likelihood
from demos.generative.diffusion_likelihood_figures import show_likelihood
from demos.generative.diffusion_line import LineResult, run_line
from demos.generative.diffusion_line_figures import show_line
from demos.generative.diffusion_numbers import numbers_of
from demos.generative.diffusion_samplers import SamplerResult, run_samplers
from demos.generative.diffusion_samplers_figures import show_samplers
from demos.generative.diffusion_script import script_of
from demos.generative.diffusion_tables_figures import guesses_of
from demos.generative.diffusion_trajectories_figures import show_lanes
from demos.kit.controls import choice, files, marks, number, toggle
from demos.kit.numbers import Number
from demos.kit.text import Text
from demos.panel import Panel

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.lanes import Lanes, MarginalAgreement, PathBundle
    from core.generative.plane import GroupShares, LaneHistograms
    from core.generative.sde import Process

PLACES = 41  # a noise point is one of PLACES × PLACES places of the plane
CELLS = 56  # of the density behind the particles, along a side
BINS = 36


@dataclass(frozen=True)
class Controls:
    lens: str = choice("lanes", ("lanes", "point", "line", "samplers", "likelihood", "images"))
    source: str = choice("two_modes", (*SHAPES, "modes", "rocket", "photo"))
    photo: tuple[str, ...] = files(suffixes=(".png", ".jpg", ".jpeg", ".webp"))
    dark: bool = toggle(False)
    process: str = choice("vp", ("vp", "subvp", "ve"))
    stochasticity: float = number(1.0, 0.0, 2.0, 0.1)
    steps: int = number(50, 5, 100)
    particles: int = number(400, 20, 400, 20)
    angle: int = number(30, 0, 175, 5)
    point: int = number(17 * PLACES + 22, 0, PLACES * PLACES - 1, slider=False)
    paths: int = number(16, 1, 60)
    error_kind: str = choice("none", ("none", "scaled", "shifted", "rippled", "late"))
    error_size: float = number(0.3, 0.0, 1.0, 0.05)
    album: str = choice("noising", ("noising", "memoriser", "digits", "hub"))
    picture: tuple[str, ...] = files(suffixes=(".png", ".jpg", ".jpeg", ".webp"))
    crop: int = number(6, 1, 24)
    eta: float = number(0.0, 0.0, 1.0, 0.1)
    sample: int = number(1, 1, 5)
    divergence: str = choice("exact", ("exact", "estimated"))
    probe: str = choice("rademacher", ("rademacher", "gaussian"))
    probes: int = number(8, 1, 32)
    tolerance: str = choice("1e-5", ("1e-3", "1e-5", "1e-8"))
    seed: int = number(5, 0, 9999, slider=False)
    modes: str = marks()


@dataclass(frozen=True)
class Result:
    """Three lanes, how well their marginals agree, and the bundle of one noise point."""

    controls: Controls
    source: Source
    process: Process
    groups: Tensor  # (K,) group of each component
    lanes: Lanes
    agreement: MarginalAgreement
    histograms: LaneHistograms
    shares: GroupShares
    density: Tensor  # (S + 1, cells, cells) exact, in the view's coordinates
    scales: tuple[float, ...]  # (S + 1,) of the view
    bundle: PathBundle | None = None  # of one noise point

    @property
    def grouped(self) -> bool:
        """Whether several components share a group."""
        return self.shares.groups < self.source.mixture.components

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        return numbers_of(self)


def run(c: Controls) -> Any:
    """Everything the opened lens shows, computed by `core`.

    Raises:
        UploadError: what was uploaded or arranged cannot be used; one sentence says why.
    """
    import torch

    torch.set_num_threads(1)  # small tensors: more threads only wait for each other
    lenses: dict[str, Any] = {
        "samplers": run_samplers,
        "likelihood": run_likelihood,
        "images": run_images,
        "line": run_line,
    }
    return lenses.get(c.lens, run_lanes)(c)


def run_lanes(c: Controls) -> Result:
    """Three lanes, and the bundle of one noise point if it is asked for."""
    from core.generative.lanes import marginal_agreement, path_bundle, three_lanes
    from core.generative.plane import component_groups, group_shares, lane_histograms, view_density, view_scale

    source, process = source_of(c), process_of(c)
    mixture, direction = source.mixture, direction_of(c)
    common: dict[str, Any] = {
        "steps": c.steps,
        "seed": c.seed,
        "stochasticity": c.stochasticity,
        "score": score_of(c, source, process),
    }
    lanes = three_lanes(mixture, process, particles=c.particles, **common)
    groups = component_groups(mixture)
    times = [float(t) for t in lanes.times]
    bundle = None
    if c.lens == "point":
        bundle = path_bundle(mixture, process, noise_point(c, process), paths=c.paths, **common)
    return Result(
        c,
        source,
        process,
        groups,
        lanes,
        marginal_agreement(lanes, mixture, process, direction=direction),
        lane_histograms(lanes, mixture, process, direction=direction, bins=BINS, reach=REACH),
        group_shares(mixture, lanes, groups),
        view_density(mixture, process, times, reach=REACH, cells=CELLS),
        tuple(view_scale(process, t) for t in times),
        bundle,
    )


def noise_point(c: Controls, process: Process) -> list[float]:
    """x_T of the chosen place: the view's coordinates, back to the process' own."""
    from core.generative.plane import view_scale

    row, column = divmod(c.point, PLACES)
    place = ((column + 0.5) / PLACES * 2 - 1) * REACH, (1 - (row + 0.5) / PLACES * 2) * REACH
    return [v / view_scale(process, process.T) for v in place]


def show(result: Any, text: Text) -> View:
    """The opened lens; which controls belong to it does not depend on what was computed."""
    c, view = result.controls, _shown(result, text)
    free = c.lens == "images" and c.album != "noising"  # these run levels of their own
    modes = {
        **view.modes,
        "process": "no" if free else "yes",
        "sample": "yes" if c.lens == "likelihood" or (free and c.album != "hub") else "no",
        "eta": "yes" if c.lens == "samplers" or (c.lens == "images" and c.album == "hub") else "no",
    }
    return replace(view, modes=modes)


def _shown(result: Any, text: Text) -> View:
    if isinstance(result, SamplerResult):
        return show_samplers(result, text)
    if isinstance(result, LikelihoodResult):
        return show_likelihood(result, text)
    if isinstance(result, LineResult):
        return show_line(result, text)
    if isinstance(result, (ImageResult, HubSamples)):
        return show_images(result, text)
    return show_lanes(result, text)


def build(panel: Panel) -> None:
    """Left: what is diffused, and how. Under More: particles, noise and ways to break the score."""
    with panel.left:
        panel.control("lens")
        with panel.when("lens", "images"):
            panel.control("album")
            with panel.when("album", "noising", "memoriser"):
                panel.control("picture")
            with panel.when("album", "noising"):
                panel.control("crop")
        with panel.when("lens", "lanes", "point", "line", "samplers", "likelihood"):
            panel.control("source")
            with panel.when("source", "photo"):
                panel.control("photo")
            with panel.when("source", "photo", "rocket"):
                panel.control("dark")
        with panel.when("process", "yes"):
            panel.control("process")
        with panel.when("lens", "lanes", "point", "line"):
            panel.control("stochasticity")
        with panel.when("eta", "yes"):
            panel.control("eta")
        with panel.when("sample", "yes"):
            panel.control("sample")
        with panel.when("lens", "likelihood"):
            panel.control("divergence")
        with panel.when("process", "yes"):
            panel.control("steps")
        with panel.when("error", "yes", "no"), panel.more("score"):
            panel.control("error_kind")
            with panel.when("error", "yes"):
                panel.control("error_size")
        with panel.more():
            with panel.when("lens", "lanes", "point", "line", "samplers"):
                panel.control("particles")
                panel.control("angle")
            with panel.when("lens", "point"):
                panel.control("paths")
                panel.control("point")
            with panel.when("lens", "likelihood"):
                panel.control("probe")
                panel.control("probes")
                panel.control("tolerance")
            panel.control("seed")
        panel.control("modes")


DEMO = Demo(
    slug="diffusion-trajectories",
    sources=(
        "Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole 2021, *Score-based generative modeling through stochastic"
        " differential equations*, arXiv:2011.13456; yang-song/score_sde_pytorch",
        "Anderson 1982, *Reverse-time diffusion equation models*, Stochastic Processes and their Applications 12(3)",
        "Karras, Aittala, Aila, Laine 2022, *Elucidating the design space of diffusion-based generative models*,"
        " arXiv:2206.00364; NVlabs/edm",
        "Zhang, Chen 2022, *Fast sampling of diffusion models with exponential integrator*, arXiv:2204.13902 (λ between SDE"
        " and ODE)",
        "Ho, Jain, Abbeel 2020, arXiv:2006.11239 (ancestral sampling); Song, Meng, Ermon 2020, arXiv:2010.02502 (DDIM);"
        " Lu et al. 2022, arXiv:2211.01095 (DPM-Solver++)",
        "Chen et al. 2018, *Neural ordinary differential equations*, arXiv:1806.07366; Skilling 1989, Hutchinson 1990"
        " (estimate of a trace)",
        "Kolmogorov 1933; Smirnov 1948 (two-sample statistic); SciPy ks_2samp, kstest",
    ),
    presets={
        "start": Controls(),
        "point": Controls(lens="point"),
        "samplers": Controls(lens="samplers", source="three_modes", steps=24, angle=0),
        "likelihood": Controls(lens="likelihood", source="moons", divergence="estimated", seed=3),
        "memoriser": Controls(lens="images", album="memoriser", seed=1),
        "flawed": Controls(error_kind="rippled"),
    },
    run=run,
    numbers=lambda result: result.numbers,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    picks=("point",),
    drawing=lambda kind, _: "modes",
    draws=("boxes",),
)
