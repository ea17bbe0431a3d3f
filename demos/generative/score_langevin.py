"""Tab: plain Langevin dynamics forgets how heavy each mode is; annealing repairs most of it. And where learned scores are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demos.contract import Demo, View
from demos.generative.diffusion_inputs import SHAPES
from demos.generative.score_langevin_figures import show_walk
from demos.generative.score_langevin_inputs import PLACES
from demos.generative.score_langevin_manifold import ManifoldResult, run_manifold
from demos.generative.score_langevin_net import NetResult, run_net
from demos.generative.score_langevin_net_figures import show_net
from demos.generative.score_langevin_objectives import ObjectivesResult, run_objectives
from demos.generative.score_langevin_script import script_of
from demos.generative.score_langevin_tables_figures import guesses_of, show_manifold, show_objectives
from demos.generative.score_langevin_walk import run_walk
from demos.kit.controls import choice, files, marks, number, toggle
from demos.kit.text import Text
from demos.panel import Panel

LIGHT = 32 * PLACES + 9  # the place nearest to (−4.5, −4.5), in the toy's lighter mode


@dataclass(frozen=True)
class Controls:
    lens: str = choice("walks", ("walks", "net", "objectives", "manifold"))
    source: str = choice("toy", ("toy", *SHAPES, "modes", "rocket", "photo"))
    photo: tuple[str, ...] = files(suffixes=(".png", ".jpg", ".jpeg", ".webp"))
    dark: bool = toggle(False)
    begin: str = choice("everywhere", ("everywhere", "click"))
    drop: int = number(LIGHT, 0, PLACES * PLACES - 1, slider=False)
    score: str = choice("exact", ("exact", "learned"))
    sigma_max: float = number(1.3, -0.5, 2.0, 0.05)
    sigma_min: float = number(0.0, -1.5, 1.0, 0.05)
    levels: int = number(10, 2, 20)
    steps_each: int = number(100, 1, 200)
    step_size: float = number(-1.0, -4.0, 0.5, 0.05)
    convention: str = choice("paper", ("paper", "repository"))
    level_score: str = choice("noised", ("noised", "toy"))
    final_denoise: bool = toggle(False)
    curve: str = choice("circle", ("circle", "moons", "segment"))
    points: int = number(60, 4, 240, 4)
    noise: float = number(-0.15, -1.0, 1.0, 0.05)
    directions: str = choice("rademacher", ("rademacher", "gaussian", "sphere"))
    slices: int = number(1, 1, 8)
    samples: int = number(4000, 500, 20000, 500)
    updates: int = number(1000, 0, 4000, 100)
    particles: int = number(400, 50, 400, 50)
    seed: int = number(0, 0, 9999, slider=False)
    modes: str = marks()


def run(c: Controls) -> Any:
    """Everything the opened lens shows, computed by `core`.

    Raises:
        UploadError: what was uploaded or arranged cannot be used; one sentence says why.
    """
    import torch

    torch.set_num_threads(1)  # small tensors: more threads only wait for each other
    lenses: dict[str, Any] = {"net": run_net, "objectives": run_objectives, "manifold": run_manifold}
    return lenses.get(c.lens, run_walk)(c)


def show(result: Any, text: Text) -> View:
    if isinstance(result, NetResult):
        return show_net(result, text)
    if isinstance(result, ObjectivesResult):
        return show_objectives(result, text)
    if isinstance(result, ManifoldResult):
        return show_manifold(result, text)
    return show_walk(result, text)


def build(panel: Panel) -> None:
    """Left: the landscape, where particles begin, which score. Then the ladder of noise; under More what is set once."""
    with panel.left:
        panel.control("lens")
        with panel.when("lens", "manifold"):
            panel.control("curve")
            panel.control("points")
        with panel.when("lens", "walks", "net", "objectives"):
            panel.control("source")
            with panel.when("source", "photo"):
                panel.control("photo")
            with panel.when("source", "photo", "rocket"):
                panel.control("dark")
        with panel.when("lens", "objectives"):
            panel.control("noise")
            panel.control("directions")
        with panel.when("lens", "walks"):
            panel.control("begin")
        with panel.when("lens", "walks", "objectives"):
            panel.control("score")
        with panel.when("lens", "walks"):
            panel.control("convention")
        with panel.when("lens", "walks", "net"), panel.more("ladder", opened=True):
            panel.control("sigma_max")
            panel.control("sigma_min")
            panel.control("levels")
            with panel.when("lens", "walks"):
                panel.control("steps_each")
                panel.control("step_size")
        with panel.more():
            with panel.when("lens", "walks"):
                with panel.when("score", "exact"):
                    panel.control("level_score")
                panel.control("final_denoise")
                panel.control("particles")
                with panel.when("begin", "click"):
                    panel.control("drop")
            with panel.when("lens", "objectives"):
                panel.control("slices")
                panel.control("samples")
            with panel.when("score", "learned"):
                panel.control("updates")
            panel.control("seed")
        panel.control("modes")


DEMO = Demo(
    slug="score-langevin",
    sources=(
        "Song, Ermon 2019, *Generative modeling by estimating gradients of the data distribution* (NCSN, annealed Langevin"
        " dynamics), arXiv:1907.05600; ermongroup/ncsn",
        "Song, Ermon 2020, *Improved techniques for training score-based generative models* (NCSNv2), arXiv:2006.09011;"
        " ermongroup/ncsnv2",
        "Hyvärinen 2005, *Estimation of non-normalized statistical models by score matching*, JMLR 6 (explicit, implicit)",
        "Vincent 2011, *A connection between score matching and denoising autoencoders*, Neural Computation 23(7)",
        "Song, Garg, Shi, Ermon 2019, *Sliced score matching*, arXiv:1905.07088",
        "Welling, Teh 2011, *Bayesian learning via stochastic gradient Langevin dynamics*, ICML (the unadjusted step)",
    ),
    presets={
        "start": Controls(),
        "dropped": Controls(begin="click"),
        "hasty": Controls(levels=3, steps_each=20, seed=1),
        "net": Controls(lens="net"),
        "objectives": Controls(lens="objectives"),
        "manifold": Controls(lens="manifold"),
    },
    run=run,
    numbers=lambda result: result.numbers,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    picks=("drop",),
    drawing=lambda kind, _: "modes",
    draws=("boxes",),
)
