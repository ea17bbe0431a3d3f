"""Tab: a joint as a heatmap, as two distributions, as a number, as a likelihood; and what each loses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.joint_readings import (
    DECODERS,
    JointReadings,
    LabelMemory,
    PoseCodec,
    decoder_errors,
    decoder_laws,
    expected_oks_curve,
    joint_readings,
    label_memory,
)
from core.perception.quantization_error import ErrorTrail, QuantizationLaw, error_trail
from demos.contract import Demo
from demos.kit.controls import choice, files, marks, number, toggle
from demos.panel import Panel
from demos.perception.simcc_figures import show
from demos.perception.simcc_guesses import guesses_of
from demos.perception.simcc_inputs import SIZES, Subject, codec_of, margin_of, subject_of
from demos.perception.simcc_numbers import numbers_of
from demos.perception.simcc_script import script_of

if TYPE_CHECKING:
    from demos.perception.simcc_heads import Heads
    from demos.perception.simcc_residuals import Residuals

CURVES = (("argmax", 4.0), ("shift", 2.0), ("simcc_1", 1.0), ("simcc_2", 0.5), ("simcc_3", 1 / 3))  # width of a bin, px


@dataclass(frozen=True)
class Controls:
    lens: str = choice("joint", ("joint", "laws", "rle", "heads"))
    source: str = choice("figure", ("figure", "coffee", "rocket", "files"))
    photo: tuple[str, ...] = files()
    center: str = choice("rounded", ("rounded", "exact"))
    split_ratio: float = number(2.0, 1.0, 4.0, 0.5)
    bins: str = choice("smoothing", ("smoothing", "gaussian", "gaussian_dark"))
    beta: float = number(10.0, 0.0, 100.0, 1.0)
    input: str = choice("192x256", tuple(SIZES))
    sigma: float = number(2.0, 1.0, 4.0, 0.5)
    smoothing: float = number(0.1, 0.0, 0.9, 0.05)
    simcc_sigma: float = number(6.0, 1.0, 8.0, 0.5)
    border: str = choice("hrnet", ("hrnet", "mmpose"))
    noise: float = number(0.0, 0.0, 1.0, 0.05)
    share: float = number(0.0, 0.0, 1.0, 0.05)
    offset_x: float = number(22.0, -80.0, 80.0, 1.0)
    offset_y: float = number(-14.0, -80.0, 80.0, 1.0)
    seed: int = number(0, 0, 9999, slider=False)
    figure: int = number(2, 0, 9999, slider=False)
    count: int = number(1000, 200, 4000, 200)
    cloud: str = choice("swapped", ("swapped", "skewed", "laplace", "gauss", "network"))
    density: str = choice("flow", ("flow", "product", "laplace", "gauss"))
    updates: int = number(100, 0, 400, 50)
    variant: str = choice("paper", ("paper", "official", "mmpose"))
    occluded: bool = toggle(False)
    way: str = marks()


@dataclass(frozen=True)
class Result:
    """What the opened lens shows."""

    controls: Controls
    codec: PoseCodec
    laws: tuple[QuantizationLaw | None, ...]  # of DECODERS
    memory: LabelMemory
    subject: Subject | None = None
    readings: JointReadings | None = None  # of the joint's way, or of random truths
    trails: tuple[ErrorTrail, ...] = ()  # of DECODERS
    curve: np.ndarray | None = None  # (sizes, CURVES) expected OKS
    residuals: Residuals | None = None
    heads: Heads | None = None


def run(c: Controls) -> Result:
    """Everything the tab shows, computed by `core`."""
    codec = codec_of(c)
    made: dict[str, Any] = {}
    if c.lens == "joint":
        subject = subject_of(c)
        readings = joint_readings(
            subject.way, codec, offset=(c.offset_x, c.offset_y), share=c.share, noise=c.noise, seed=c.seed
        )
        made = {"subject": subject, "readings": readings, "trails": _trails(readings)}
    elif c.lens == "laws":
        readings = decoder_errors(codec, count=c.count, seed=c.seed, margin=margin_of(codec))
        curve = expected_oks_curve(tuple(SIZES.values()), [width for _, width in CURVES])
        made = {"readings": readings, "trails": _trails(readings), "curve": curve}
    elif c.lens == "rle":
        import torch

        torch.set_num_threads(1)  # small tensors: more threads only wait for each other
        from demos.perception.simcc_residuals import residuals_of

        made["residuals"] = residuals_of(c)
    else:
        from demos.perception.simcc_heads import heads_of

        made["heads"] = heads_of(c.figure, occluded=c.occluded)
    return Result(c, codec, decoder_laws(codec), label_memory(codec), **made)


def _trails(readings: JointReadings) -> tuple[ErrorTrail, ...]:
    return tuple(error_trail(readings.found[d], readings.truth) for d in range(len(DECODERS)))


def build(panel: Panel) -> None:
    """Left: what is looked at and how joints are written down. Under More: what goes wrong, and finer settings."""
    with panel.left:
        panel.control("lens")
        with panel.when("lens", "joint"):
            panel.control("source")
            with panel.when("source", "files"):
                panel.control("photo")
        with panel.when("codec", "yes"):
            panel.control("center")
            panel.control("split_ratio")
            panel.control("beta")
        with panel.when("lens", "laws"):
            panel.control("count")
        with panel.when("lens", "rle"):
            for name in ("cloud", "density", "variant", "updates"):
                panel.control(name)
        with panel.when("lens", "heads"):
            panel.control("occluded")
        with panel.when("lens", "joint"), panel.more("trouble"):
            for name in ("noise", "share", "offset_x", "offset_y"):
                panel.control(name)
        with panel.when("codec", "yes"), panel.more():
            for name in ("bins", "input", "sigma", "smoothing", "simcc_sigma", "border"):
                panel.control(name)
        with panel.when("seeded", "yes"):
            panel.control("figure")
        with panel.when("drawn", "yes"), panel.more("drawing"):
            panel.control("seed")
        panel.control("way")


DEMO = Demo(
    slug="simcc",
    sources=(
        "Li et al. 2022, *SimCC: a simple coordinate classification perspective for human pose estimation*,"
        " arXiv:2107.03332; leeyegy/SimCC",
        "Xiao et al. 2018, *Simple baselines for human pose estimation*, arXiv:1804.06208; Sun et al. 2019 (HRNet),"
        " arXiv:1902.09212",
        "Zhang et al. 2020, *Distribution-aware coordinate representation* (DARK), arXiv:1910.06278",
        "Sun et al. 2018, *Integral human pose regression* (soft-argmax), arXiv:1711.08229",
        "Li et al. 2021, *Human pose regression with residual log-likelihood estimation* (RLE), arXiv:2107.11291;"
        " Jeff-sjtu/res-loglikelihood-regression (issues 41, 55)",
        "Jiang et al. 2023, *RTMPose*, arXiv:2303.07399; open-mmlab/mmpose codecs and losses",
    ),
    presets={
        "start": Controls(),
        "exact": Controls(center="exact", bins="gaussian_dark", beta=40.0),
        "ghost": Controls(share=0.5, center="exact"),
        "laws": Controls(lens="laws", center="exact"),
        "rle": Controls(lens="rle"),
        "heads": Controls(lens="heads", figure=12),
    },
    run=run,
    numbers=numbers_of,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    drawing=lambda kind, _: "way",
    draws=("way",),
)
