"""Tab: the same two masks, and what every library would print for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import gradio as gr
import numpy as np

from core.perception.boundary_metrics import (
    BoundaryFScore,
    BoundaryIoU,
    HausdorffDistance,
    boundary_f_score,
    boundary_iou,
    hausdorff_distance,
)
from core.perception.error_regions import WorstErrors, worst_errors
from core.perception.panoptic_quality import PanopticQuality, connected_instances, decode_instance_ids, panoptic_quality
from core.perception.pixel_codes import CodeLegend, code_legend, pixel_codes
from core.perception.segmentation_accumulation import (
    AccumulatedScores,
    Accumulation,
    FrameStep,
    accumulate_scores,
    frame_scores,
)
from core.perception.segmentation_conventions import LibraryRow, library_table
from core.perception.segmentation_metrics import (
    BackgroundCollapse,
    SegmentationScores,
    all_background,
    background_collapse,
    confusion_matrix,
    segmentation_scores,
)
from demos.contract import Demo
from demos.kit.controls import choice, drawn, files, number, toggle
from demos.kit.jobs import counted
from demos.panel import Panel
from demos.perception.segmentation_inputs import DISTANCE_PIXELS, Pairs, paints_truth, pairs_of, thinned
from demos.perception.segmentation_metrics_figures import show
from demos.perception.segmentation_numbers import numbers_of
from demos.perception.segmentation_script import script_of
from demos.perception.segmentation_tables_figures import class_chart, collapse_chart, guesses_of

DEPTH_PIXELS = 2_100_000  # the worst-pixel map is left out above: a distance transform per class would take seconds
TABLE_PIXELS = 30_000_000  # masks of all frames together above which the library table is left out


@dataclass(frozen=True)
class Controls:
    source: str = choice("coffee", ("coffee", "rocket", "worked", "ellipse", "clip", "files"))
    predictor: str = choice("degrade", ("degrade", "given", "paint", "grabcut", "kmeans", "watershed", "person"))
    truth_files: tuple[str, ...] = files(many=True)
    prediction_files: tuple[str, ...] = files(many=True)
    photo: tuple[str, ...] = files()
    palette: tuple[str, ...] = files()
    lossy: bool = toggle(False)
    ignore_index: int = number(255, -1, 65535, slider=False)
    classes: int = number(2, 2, 8)
    painter: str = choice("prediction", ("prediction", "truth"))
    grow: int = number(-2, -20, 20)
    shift_x: int = number(6, -40, 40)
    shift_y: int = number(4, -40, 40)
    drop_class: int = number(-1, -1, 253, slider=False)
    salt: float = number(0.0, 0.0, 0.5, 0.01)
    all_background: bool = toggle(False)
    lag: int = number(2, 0, 12)
    clusters: int = number(5, 2, 8)
    person_class: int = number(1, 1, 253, slider=False)
    accumulation: Accumulation = choice(
        "dataset", ("dataset", "per_image", "per_image_and_class", "per_image_per_class")
    )
    absent: str = choice("exclude", ("exclude", "zero", "one"))
    predicted_only: str = choice("zero", ("zero", "exclude"))
    background: str = choice("scored", ("scored", "excluded", "ignored"))
    normalize: str = choice("counts", ("counts", "target", "prediction"))
    extra: str = choice("boundary", ("boundary", "panoptic", "depth", "none"))
    class_id: int = number(2, 0, 253, slider=False)
    dilation_ratio: float = number(0.02, 0.001, 0.05, 0.001)
    instances: str = choice("components", ("components", "ids"))
    background_share: float = number(0.95, 0.5, 0.99, 0.01)
    painted: str = drawn()
    truth_painted: str = drawn()
    box: str = drawn()


@dataclass(frozen=True)
class Boundary:
    class_id: int
    iou: BoundaryIoU
    f_score: BoundaryFScore | None  # these three: None above DISTANCE_PIXELS
    hausdorff: HausdorffDistance | None
    hausdorff95: HausdorffDistance | None


@dataclass(frozen=True)
class Collapse:
    """Predicting background everywhere: closed form against counting."""

    curve: BackgroundCollapse  # over many shares
    here: BackgroundCollapse  # at the share of the slider
    counted: SegmentationScores  # the same, counted
    measured: tuple[tuple[float, SegmentationScores], ...]  # (share, scores counted on a mask with that share)


@dataclass(frozen=True)
class Result:
    """What the numbers need is computed at once; what only the pictures need, when it is first drawn."""

    controls: Controls
    pairs: Pairs
    steps: tuple[FrameStep, ...]  # one an image or frame
    total: AccumulatedScores
    scores: SegmentationScores  # of the summed matrix
    boundary: Boundary | None  # None where it was not asked for, or there are several images
    panoptic: PanopticQuality | None

    @property
    def pixels(self) -> int:
        return sum(target.size for target in self.pairs.targets)

    @property
    def labelling(self) -> dict[str, Any]:
        return {"num_classes": self.pairs.num_classes, "ignore_index": self.pairs.ignore_index}

    @property
    def skipped(self) -> tuple[str, ...]:
        """Text keys of what was left out, and why."""
        single, c = len(self.steps) == 1, self.controls
        return (
            *(("table",) if self.pixels > TABLE_PIXELS else ()),
            *(("depth",) if single and c.extra == "depth" and self.pixels > DEPTH_PIXELS else ()),
            *(("distances",) if single and c.extra == "boundary" and self.pixels > DISTANCE_PIXELS else ()),
            *(("panoptic",) if single and c.extra == "panoptic" and self.pixels > DISTANCE_PIXELS else ()),
            *(("extra",) if not single and c.extra != "none" else ()),
        )

    @cached_property
    def table(self) -> tuple[LibraryRow, ...]:
        """() if the masks are too large for it."""
        if self.pixels > TABLE_PIXELS:
            return ()
        return library_table(self.pairs.predictions, self.pairs.targets, **self.labelling)

    @cached_property
    def codes(self) -> tuple[np.ndarray, ...]:
        """T × (h, w) uint16 of the pixels that are shown."""
        frames = len(self.steps)
        pairs = zip(self.pairs.predictions, self.pairs.targets, strict=True)
        return tuple(
            pixel_codes(thinned(p, frames), thinned(t, frames), **self.labelling)
            for p, t in counted(pairs, "drawing", total=frames)
        )

    @cached_property
    def legend(self) -> CodeLegend:
        return code_legend(self.pairs.num_classes)

    @cached_property
    def worst(self) -> WorstErrors | None:
        if self.controls.extra != "depth" or len(self.steps) > 1 or self.pixels > DEPTH_PIXELS:
            return None
        return worst_errors(self.pairs.predictions[0], self.pairs.targets[0], **self.labelling, count=5)

    @cached_property
    def collapse(self) -> Collapse:
        return collapse_of(self.controls.background_share)


def run(c: Controls) -> Result:
    """Everything the tab shows, computed by `core`."""
    pairs = pairs_of(c)
    rules = {
        "absent": c.absent,
        "predicted_only": c.predicted_only,
        "excluded_classes": (0,) if c.background == "excluded" else (),
    }
    scored = frame_scores(
        pairs.predictions,
        pairs.targets,
        num_classes=pairs.num_classes,
        ignore_index=pairs.ignore_index,
        out_of_range="other",
        **rules,
    )
    steps = tuple(counted(scored, "scoring", total=len(pairs.targets)))
    single, small = len(steps) == 1, pairs.targets[0].size <= DISTANCE_PIXELS
    return Result(
        controls=c,
        pairs=pairs,
        steps=steps,
        total=accumulate_scores([step.confusion for step in steps], accumulation=c.accumulation, **rules),
        scores=segmentation_scores(steps[-1].cumulative, **rules),
        boundary=_boundary(pairs, c) if single and c.extra == "boundary" else None,
        panoptic=_panoptic(pairs, c) if single and c.extra == "panoptic" and small else None,
    )


def _boundary(pairs: Pairs, c: Controls) -> Boundary:
    """Boundary scores of one class; ignored pixels belong to neither mask."""
    k = min(c.class_id, pairs.num_classes - 1)
    target, prediction = pairs.targets[0] == k, pairs.predictions[0] == k
    if pairs.ignore_index is not None:
        prediction &= pairs.targets[0] != pairs.ignore_index
    band = boundary_iou(prediction, target, dilation_ratio=c.dilation_ratio)
    if target.size > DISTANCE_PIXELS:
        return Boundary(k, band, None, None, None)
    return Boundary(
        k,
        band,
        boundary_f_score(prediction, target),
        hausdorff_distance(prediction, target),
        hausdorff_distance(prediction, target, percentile=95),
    )


def _panoptic(pairs: Pairs, c: Controls) -> PanopticQuality:
    """Instances are ids if the files hold them, else connected pieces of a class; the background is one piece of stuff.

    The background switch says whether it counts: excluded, it leaves the mean, and false alarms on it stay false;
    ignored, it is void, and they are forgiven.
    """
    ignored = c.background == "ignored"
    if pairs.ids is not None:
        parts = [
            decode_instance_ids(ids, ignore_index=pairs.ignore_index, background=not ignored)
            for ids in reversed(pairs.ids)
        ]
    else:
        k = pairs.num_classes
        void, stuff = ((0,), ()) if ignored else ((), (0,))
        called = pairs.predictions[0].astype(np.int64)
        called[(called < 0) | (called >= k)] = -1  # no class: belongs to no segment
        parts = [
            connected_instances(labels, num_classes=k, ignore_index=unused, void_classes=void, stuff_classes=stuff)
            for labels, unused in ((called, -1), (pairs.targets[0], pairs.ignore_index))
        ]
    return panoptic_quality(*parts[0], *parts[1], excluded_classes=(0,) if c.background == "excluded" else ())


def collapse_of(share: float) -> Collapse:
    """The closed forms over a range of shares, and real masks of 10 000 pixels counted at some of them."""
    measured = tuple(_counted(percent / 100) for percent in (50, 60, 70, 80, 90, 95, 99))
    curve = background_collapse(np.linspace(0.5, 0.99, 50))
    return Collapse(curve, background_collapse(share), _counted(share)[1], measured)


@lru_cache(maxsize=64)
def _counted(share: float) -> tuple[float, SegmentationScores]:
    background = round(share * 10_000)
    target = np.repeat(np.array([0, 1], np.uint8), [background, 10_000 - background]).reshape(100, 100)
    guess = all_background(target)
    matrix = confusion_matrix(guess.prediction, target, num_classes=2)
    return guess.background_share, segmentation_scores(matrix)


def build(panel: Panel) -> None:
    """Left: what is compared. Below: how it is counted."""
    with panel.left:
        panel.control("source")
        with panel.when("source", "files"):
            panel.control("truth_files")
            with panel.when("predictor", "given"):
                panel.control("prediction_files")
            panel.control("photo")
        panel.control("predictor")
        with panel.when("predictor", "degrade"):
            for name in ("grow", "shift_x", "shift_y"):
                panel.control(name)
        with panel.when("lag", "on"):
            panel.control("lag")
        with panel.when("predictor", "kmeans"):
            panel.control("clusters")
        with panel.when("predictor", "person"):
            panel.control("person_class")
        with panel.when("painting", "truth"):
            panel.control("painter")
            panel.control("classes")
        with panel.more("conventions", opened=True):
            for name in ("absent", "predicted_only", "background", "accumulation"):
                panel.control(name)
        with panel.more():
            with panel.when("predictor", "degrade"):
                for name in ("drop_class", "salt", "all_background"):
                    panel.control(name)
            with panel.when("source", "files"):
                for name in ("ignore_index", "lossy", "palette"):
                    panel.control(name)
            panel.control("normalize")
        for name in ("painted", "truth_painted", "box"):
            panel.control(name)
    with panel.below:
        with panel.more("extra"), gr.Row():
            panel.control("extra", min_width=220)
            panel.control("class_id", min_width=120)
            panel.control("dilation_ratio", min_width=200)
            panel.control("instances", min_width=200)
        with panel.chart("collapse"):
            panel.control("background_share")
        with panel.chart("classes"):
            pass


DEMO = Demo(
    slug="segmentation-metrics",
    sources=(
        "Long, Shelhamer, Darrell 2015, *Fully convolutional networks for semantic segmentation*, arXiv:1411.4038, §5",
        "Cheng et al. 2021, *Boundary IoU*, arXiv:2103.16562, and its reference code bowenc0221/boundary-iou-api",
        "Perazzi et al. 2016, *A benchmark dataset for video object segmentation* (boundary F), and davis2017-evaluation",
        "Kirillov et al. 2019, *Panoptic segmentation*, arXiv:1801.00868, and cocodataset/panopticapi",
        "mmsegmentation 1.2.2 IoUMetric, Hugging Face evaluate mean_iou, torchmetrics 1.9, scikit-learn 1.9,"
        " segmentation-models-pytorch 0.6, hszhao/semseg",
        "MediaPipe Selfie Segmentation (Apache-2.0), the bundled person network: 106,401 weights, a picture of 256 × 256 px",
    ),
    presets={
        "start": Controls(),
        "libraries": Controls(source="worked", predictor="given", extra="none"),
        "background": Controls(source="rocket", all_background=True, extra="depth", grow=0, shift_x=0, shift_y=0),
        "boundary": Controls(source="ellipse", grow=0, shift_x=9, shift_y=0, class_id=1),
        "grabcut": Controls(predictor="grabcut", extra="panoptic", box="70,10,490,392"),
        "clip": Controls(source="clip", predictor="given", extra="none"),
    },
    run=run,
    numbers=numbers_of,
    show=show,
    build=build,
    script=script_of,
    guesses=guesses_of,
    charts={"collapse": collapse_chart, "classes": class_chart},
    drawing=lambda kind, values: "box" if kind == "box" else "truth_painted" if paints_truth(values) else "painted",
)
