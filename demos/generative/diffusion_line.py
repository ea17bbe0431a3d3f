"""The lens "line": the data along one direction, with p_t(x) as a sheet over time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from demos.generative.diffusion_inputs import REACH, Source, direction_of, process_of, score_of, source_of
from demos.generative.diffusion_numbers import lane_numbers, scale_numbers
from demos.kit.numbers import Number

if TYPE_CHECKING:
    from torch import Tensor

    from core.generative.lanes import Lanes, MarginalAgreement
    from core.generative.plane import LaneHistograms
    from core.generative.sde import Process
    from demos.generative.diffusion_trajectories import Controls

CELLS = 96  # of the sheet, across
BINS = 36


@dataclass(frozen=True)
class LineResult:
    """Both lanes of a distribution on a line."""

    controls: Controls
    source: Source  # its mixture is the projected one
    process: Process
    lanes: Lanes
    agreement: MarginalAgreement
    histograms: LaneHistograms
    sheet: Tensor  # (S + 1, cells) density of what is drawn, from below
    scales: tuple[float, ...]  # (S + 1,) of the view

    @cached_property
    def numbers(self) -> tuple[tuple[Number, ...], ...]:
        own = lane_numbers(self)
        return tuple((*scale_numbers(self.process, float(t)), *own[k]) for k, t in enumerate(self.lanes.times))


def run_line(c: Controls) -> LineResult:
    """Raises: UploadError, as `run`."""
    import torch

    from core.generative.lanes import density_sheet, marginal_agreement, three_lanes
    from core.generative.plane import lane_histograms, view_scale

    plane, process = source_of(c), process_of(c)
    source = Source(plane.mixture.project(direction_of(c)), (), plane.photo, plane.notes)
    mixture = source.mixture
    score = score_of(c, source, process)
    lanes = three_lanes(
        mixture,
        process,
        particles=c.particles,
        steps=c.steps,
        seed=c.seed,
        stochasticity=c.stochasticity,
        score=score,
    )
    times = [float(t) for t in lanes.times]
    scales = tuple(view_scale(process, t) for t in times)
    at = ((torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS * 2 - 1) * REACH
    sheet = [density_sheet(mixture, process, at / s, [t])[0] / s for t, s in zip(times, scales, strict=True)]
    return LineResult(
        c,
        source,
        process,
        lanes,
        marginal_agreement(lanes, mixture, process, direction=[1.0]),
        lane_histograms(lanes, mixture, process, direction=[1.0], bins=BINS, reach=REACH),
        torch.stack(sheet),
        scales,
    )


def script_lines() -> list[str]:
    """Python that makes the line's mixture of the plane's."""
    return ["mixture = mixture.project(direction)", "direction = [1.0]"]
