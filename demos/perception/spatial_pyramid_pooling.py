"""Tab: a picture of any size in, a vector of one length out, and every bin on the way."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from core.perception.pooling_bins import RULES, Rule
from demos.contract import Demo
from demos.kit.controls import choice, drawn, files, line, number
from demos.panel import Panel
from demos.perception.spatial_pyramid_pooling_figures import guesses_of, show
from demos.perception.spp_inputs import (
    LEVELS_PATTERN,
    NETWORK_MAPS,
    PHOTOS,
    Inputs,
    box_of,
    canvas_of,
    inputs_of,
    levels_of,
)
from demos.perception.spp_numbers import numbers_of
from demos.perception.spp_script import MOST_RATE, script_of

if TYPE_CHECKING:
    from core.perception.atrous_coverage import AtrousCoverage
    from core.perception.filter_bank import Padding
    from core.perception.pooling_bins import RuleComparison
    from core.perception.pooling_steps import PoolStep
    from core.perception.pyramid_averages import PyramidAverages
    from core.perception.pyramid_bins import LevelBins
    from core.perception.spatial_pyramid_pooling import Order, PoolingPyramid, Start
    from core.perception.sppf_equivalence import BlockComparison, TieGradients
    from core.perception.stride_one_pooling import BranchOrder
    from core.perception.window_projection import Projection, WindowProjection


@dataclass(frozen=True)
class Controls:
    view: str = choice("pyramid", ("pyramid", "box", "block", "averages", "atrous"))
    source: str = choice("coffee", ("coffee", "rocket", "tiles", "photo", "array"))
    photo: tuple[str, ...] = files()
    feature_file: tuple[str, ...] = files()
    width: int = number(224, 32, 480, 4)
    height: int = number(224, 32, 480, 4)
    levels: str = line("1, 2, 4", LEVELS_PATTERN)
    rule: Rule = choice("adaptive", RULES)
    beside: str = choice("none", ("none", *RULES))
    channel: int = number(0, 0, 31, slider=False)
    features: str = choice("filters", ("filters", "signed", *NETWORK_MAPS))
    stride: int = number(16, 4, 32, 4)
    padding: Padding = choice("none", ("none", "half"))
    order: Order = choice("channel_major", ("channel_major", "bin_major"))
    start: Start = choice("lowest", ("lowest", "zero"))
    projection: Projection = choice("paper", ("paper", "code"))
    kernel: int = number(5, 3, 7, 2)
    branches: BranchOrder = choice("ultralytics", ("ultralytics", "darknet"))
    box: str = drawn()


@dataclass(frozen=True)
class Result:
    """What a view does not show is never computed."""

    controls: Controls
    inputs: Inputs
    levels: tuple[int, ...]

    @property
    def channel(self) -> int:
        """The channel that is shown: the last one where there are fewer."""
        return min(self.controls.channel, self.inputs.channels - 1)

    @cached_property
    def projections(self) -> tuple[WindowProjection, WindowProjection]:
        """The drawn box by the paper's rounding and by the released code's."""
        from core.perception.window_projection import project_window

        box = box_of(self.controls.box, canvas_of(self.inputs))
        paper, code = (
            project_window(
                box,
                stride=self.inputs.stride,
                rule=rule,
                map_size=self.inputs.size,
                first_centre=self.inputs.first_centre,
            )
            for rule in ("paper", "code")
        )
        return paper, code

    @property
    def projection(self) -> WindowProjection:
        return self.projections[self.controls.projection == "code"]

    def pooled(self, rule: Rule) -> PoolingPyramid:
        """The pyramid over the whole map, or over the projected box."""
        from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool

        c = self.controls
        window = self.projection.cells_xyxy if c.view == "box" else None
        return spatial_pyramid_pool(
            self.inputs.features, self.levels, rule=rule, order=c.order, start=c.start, window=window
        )  # type: ignore[arg-type]

    @cached_property
    def pyramid(self) -> PoolingPyramid:
        return self.pooled("adaptive" if self.controls.view == "box" else self.controls.rule)

    @cached_property
    def other(self) -> PoolingPyramid | None:
        """The second rule's pyramid, if one stands beside."""
        c = self.controls
        return self.pooled(c.beside) if c.view == "pyramid" and c.beside != "none" else None  # type: ignore[arg-type]

    @cached_property
    def steps(self) -> tuple[PoolStep, ...]:
        """One a bin: the finest level first, coarser ones from it where they nest."""
        from core.perception.pooling_steps import pooling_steps

        x0, y0, x1, y1 = self.pyramid.window
        channel = self.inputs.features[0, self.channel, y0:y1, x0:x1].numpy()
        return tuple(pooling_steps(channel, self.levels, rule=self.pyramid.rule))[1:]

    @cached_property
    def comparisons(self) -> tuple[tuple[RuleComparison, RuleComparison], ...]:
        """Per level, rows and columns: every rule, and the theorem that says when they agree."""
        from core.perception.pooling_bins import compare_rules

        rows, columns = self.inputs.size
        return tuple((compare_rules(rows, n), compare_rules(columns, n)) for n in self.levels)

    @cached_property
    def blocks(self) -> BlockComparison:
        from core.perception.sppf_equivalence import compare_blocks

        return compare_blocks(self.inputs.features, kernel=self.controls.kernel)

    @cached_property
    def ties(self) -> TieGradients:
        from core.perception.sppf_equivalence import tie_gradients

        return tie_gradients(self.inputs.features, kernel=self.controls.kernel)

    @cached_property
    def averages(self) -> PyramidAverages:
        from core.perception.pyramid_averages import pyramid_averages

        return pyramid_averages(self.inputs.features)

    @cached_property
    def coverages(self) -> tuple[AtrousCoverage, ...]:
        """Rates 1, 2, … on this map."""
        from core.perception.atrous_coverage import atrous_coverage

        return tuple(atrous_coverage(self.inputs.size, rate) for rate in range(1, MOST_RATE + 1))

    @cached_property
    def plan(self) -> tuple[LevelBins, ...]:
        return tuple(level.bins for level in self.pyramid.levels)


def run(c: Controls) -> Result:
    """Everything the tab shows, computed by `core`."""
    result = Result(c, inputs_of(c), levels_of(c.levels))
    if c.view in ("pyramid", "box"):
        result.pyramid.vector  # a rule without an answer says so now  # noqa: B018
    return result


def build(panel: Panel) -> None:
    """Left: the picture, its size and the rule. The rest under More."""
    with panel.left:
        panel.control("view")
        panel.control("source")
        with panel.when("source", "photo"):
            panel.control("photo")
        with panel.when("source", "array"):
            panel.control("feature_file")
        with panel.when("sized", "yes"):
            panel.control("width")
            panel.control("height")
        with panel.when("view", "pyramid", "box"):
            panel.control("levels")
        with panel.when("view", "pyramid"):
            panel.control("rule")
            panel.control("beside")
        with panel.when("view", "box"):
            panel.control("projection")
        with panel.when("view", "block"):
            panel.control("kernel")
            panel.control("branches")
        with panel.more():
            panel.control("channel")
            with panel.when("source", *PHOTOS, "tiles", "photo"):
                panel.control("features")
            with panel.when("sized", "yes"):
                for name in ("stride", "padding"):
                    panel.control(name)
            with panel.when("view", "pyramid", "box"):
                panel.control("order")
                panel.control("start")
        panel.control("box")


DEMO = Demo(
    slug="spp",
    sources=(
        "He, Zhang, Ren, Sun 2014, *Spatial pyramid pooling in deep convolutional networks for visual recognition*,"
        " arXiv:1406.4729, §2.2, §2.3 and appendix A; released code ShaoqingRen/SPP_net",
        "BVLC/caffe, SPPLayer; PyTorch, AdaptiveMaxPool2d",
        "AlexeyAB/darknet, yolov3-spp.cfg; ultralytics 8.4, SPP and SPPF",
        "Zhao et al. 2016, *Pyramid scene parsing network*, arXiv:1612.01105, and hszhao/semseg",
        "Chen et al. 2017, *Rethinking atrous convolution*, arXiv:1706.05587, figure 4",
        "MediaPipe Selfie Segmentation (Apache-2.0), whose maps can be pooled",
    ),
    presets={
        "start": Controls(),
        "sppnet": Controls(levels="6, 3, 2, 1", width=320, height=224, source="rocket", channel=2),
        "wrong": Controls(levels="6, 3, 2, 1", width=180, height=180, beside="paper"),
        "box": Controls(view="box", levels="2, 1", box="92,84,110,100", stride=16),
        "block": Controls(view="block", source="tiles", stride=8),
        "atrous": Controls(view="atrous", stride=4, width=284, height=284),
    },
    run=run,
    numbers=numbers_of,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    drawing=lambda _kind, _values: "box",
)
