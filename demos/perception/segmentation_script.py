"""Controls -> a few lines of Python that print the same numbers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from demos.perception.segmentation_inputs import DISTANCE_PIXELS, PHOTOS

if TYPE_CHECKING:
    from demos.perception.segmentation_metrics import Controls

FOLDERS = {"truth_files": "truth", "prediction_files": "prediction", "photo": "photo", "palette": "palette"}
INPUTS = {
    *FOLDERS, "source", "predictor", "lossy", "ignore_index", "classes", "painter", "grow", "shift_x", "shift_y", "drop_class",
    "salt", "all_background", "clusters", "person_class", "background", "instances", "painted", "truth_painted", "box",
}  # fmt: skip


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. Uploads lie in folders: truth, prediction, photo, palette."""
    imports = {"import json", "import numpy as np"}
    body: list[str] = []
    _inputs(c, imports, body)
    _prediction(c, imports, body)
    imports.add("from core.perception.segmentation_metrics import confusion_matrix, segmentation_scores")
    imports.add("from core.perception.segmentation_accumulation import accumulate_scores")
    if c.background == "ignored" and c.source != "files":
        body.append("void = 255 if ignore_index is None else ignore_index")
        body.append("targets, ignore_index = [np.where(t == 0, void, t) for t in targets], void")
    excluded = "(0,)" if c.background == "excluded" else "()"
    body += [
        f"rules = dict(absent={c.absent!r}, predicted_only={c.predicted_only!r}, excluded_classes={excluded})",
        "options = dict(num_classes=num_classes, ignore_index=ignore_index)",
        'matrices = [confusion_matrix(p, t, out_of_range="other", **options) for p, t in zip(predictions, targets)]',
        "scores = segmentation_scores(sum(matrices), **rules)",
        f"total = accumulate_scores(matrices, accumulation={c.accumulation!r}, **rules)",
        'names = ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "mean_dice")',
        'numbers = {"mean_iou": total.mean_iou, **{name: getattr(scores, name) for name in names}}',
    ]
    body += _extra(c, imports)
    body.append("print(json.dumps(numbers))")
    plain = sorted(line for line in imports if line.startswith("import"))
    return "\n".join([*plain, "", *sorted(imports.difference(plain)), "", *body]) + "\n"


def _inputs(c: Controls, imports: set[str], body: list[str]) -> None:
    if c.source in PHOTOS:
        imports |= {"from PIL import Image"}
        body += [
            f'targets = [np.asarray(Image.open("assets/masks/{c.source}.png"))]',
            f"num_classes, ignore_index = {PHOTOS[c.source]}, None",
        ]
        if c.predictor in ("grabcut", "kmeans", "watershed", "person"):
            body.append(f'photo = np.asarray(Image.open("assets/images/{c.source}.jpg").convert("RGB"))')
    elif c.source == "worked":
        imports.add("from core.perception.example_masks import worked_example")
        body.append("pair = worked_example()")
    elif c.source == "clip":
        imports.add("from core.perception.example_masks import drifting_shapes")
        body.append(f"pair = drifting_shapes(frames=48, lag={c.lag})")
    elif c.source == "ellipse":
        imports.add("from core.perception.example_masks import ellipse_mask")
        body += [
            "targets = predictions = [ellipse_mask((480, 800), center=(400, 240), radii=(290, 170))]",
            "num_classes, ignore_index = 2, None",
        ]
    else:
        imports |= {
            "from demos.perception.segmentation_inputs import pairs_of",
            "from demos.perception.segmentation_metrics import Controls",
        }
        said = [f"{item.name}={_file_names(c, item.name)!r}" for item in fields(c) if _of_inputs(c, item.name)]
        body.append(f"pair = pairs_of(Controls({', '.join(said)}))")
    if c.source in ("worked", "clip", "files"):
        body += [
            "targets, predictions = pair.targets, pair.predictions",
            "num_classes, ignore_index = pair.num_classes, pair.ignore_index",
        ]


def _of_inputs(c: Controls, name: str) -> bool:
    """Whether a control differs from the opening view and says something about truth or prediction."""
    return name in INPUTS and getattr(c, name) != getattr(type(c)(), name)


def _file_names(c: Controls, name: str) -> Any:
    """A control's value; uploads by their own names, in one folder for each control: truth and prediction may be namesakes."""
    value = getattr(c, name)
    return tuple(f"{FOLDERS[name]}/{PurePath(path).name}" for path in value) if name in FOLDERS else value


def _prediction(c: Controls, imports: set[str], body: list[str]) -> None:
    if c.source == "files":
        return  # `pairs_of` made it
    if c.predictor == "given":
        if c.source in PHOTOS:
            body.append("predictions = targets")
    elif c.predictor == "degrade":
        imports.add("from core.perception.mask_degradation import degrade")
        body += [
            f"drop = {c.drop_class} if 0 <= {c.drop_class} < num_classes else None",
            f"errors = dict(erode={max(0, -c.grow)}, dilate={max(0, c.grow)}, shift=({c.shift_x}, {c.shift_y}), drop_class=drop,"
            f" salt={c.salt}, all_background={c.all_background})",
            "predictions = [degrade(t, num_classes=num_classes, ignore_index=ignore_index, **errors) for t in targets]",
        ]
    elif c.predictor == "paint":
        imports.add("from demos.kit.drawings import read_painting")
        body.append(
            f"predictions = [read_painting({c.painted!r}, size=targets[0].shape)]"
            if c.painted
            else "predictions = [np.zeros_like(targets[0])]"
        )
    elif c.predictor == "person":
        imports.add("from demos.perception.person_network import person_mask")
        body.append(f"predictions = [np.where(person_mask(photo).mask, {c.person_class}, 0)]")
    else:
        imports.add(f"from core.perception.photo_segmentation import {c.predictor}_segments, name_segments")
        if c.predictor == "grabcut":
            imports.add("from demos.kit.drawings import read_box")
            box = (
                f"read_box({c.box!r}, size=targets[0].shape)"
                if c.box
                else "tuple(np.array(targets[0].shape[::-1] * 2) * (0.1, 0.1, 0.9, 0.9))"
            )
            options = f", box_xyxy={box}"
        else:
            options = f", clusters={c.clusters}, position_weight=0.5" if c.predictor == "kmeans" else ""
        body += [
            f"segments = {c.predictor}_segments(photo{options})",
            "predictions = [name_segments(segments, targets[0], num_classes=num_classes, ignore_index=ignore_index).labels]",
        ]


def _extra(c: Controls, imports: set[str]) -> list[str]:
    if c.extra in ("none", "depth") or c.source == "clip":
        return []
    body = [f"small = targets[0].size <= {DISTANCE_PIXELS}  # distances and segments of larger pictures take seconds"]
    if c.extra == "boundary":
        imports.add("from core.perception.boundary_metrics import boundary_f_score, boundary_iou, hausdorff_distance")
        return [
            *body,
            "if len(targets) == 1:",
            f"    k = min({c.class_id}, num_classes - 1)",
            "    mine, truth = predictions[0] == k, targets[0] == k",
            "    if ignore_index is not None:",
            "        mine = mine & (targets[0] != ignore_index)",
            f'    numbers["boundary_iou"] = boundary_iou(mine, truth, dilation_ratio={c.dilation_ratio}).iou',
            "if len(targets) == 1 and small:",
            '    numbers["boundary_f"] = boundary_f_score(mine, truth).f_score',
            '    numbers["hausdorff"] = hausdorff_distance(mine, truth).distance',
            '    numbers["hausdorff95"] = hausdorff_distance(mine, truth, percentile=95).distance',
        ]
    ignored = c.background == "ignored"
    if c.source == "files" and c.predictor == "given" and c.instances == "ids":  # ids that the files themselves hold
        imports.add("from core.perception.panoptic_quality import decode_instance_ids, panoptic_quality")
        segments = [
            f"    read = lambda ids: decode_instance_ids(ids, ignore_index=ignore_index, background={not ignored})",
            "    mine, truth = [read(ids) for ids in reversed(pair.ids)]",
        ]
    else:
        imports.add("from core.perception.panoptic_quality import connected_instances, panoptic_quality")
        kind = "void_classes=(0,)" if ignored else "stuff_classes=(0,)"
        segments = [
            f"    kinds = dict(num_classes=num_classes, {kind})",
            "    called = predictions[0].astype(np.int64)",
            "    called[(called < 0) | (called >= num_classes)] = -1",
            "    mine = connected_instances(called, ignore_index=-1, **kinds)",
            "    truth = connected_instances(targets[0], ignore_index=ignore_index, **kinds)",
        ]
    excluded = "(0,)" if c.background == "excluded" else "()"
    return [
        *body,
        "if len(targets) == 1 and small:",
        *segments,
        f"    quality = panoptic_quality(*mine, *truth, excluded_classes={excluded})",
        "    numbers.update(pq=quality.pq, sq=quality.sq, rq=quality.rq)",
    ]
