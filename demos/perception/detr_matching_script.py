"""Controls -> a few lines of Python that print the same numbers."""

from __future__ import annotations

from dataclasses import fields
from pathlib import PurePath
from typing import TYPE_CHECKING

from demos.perception.detr_matching_inputs import PHOTOS, SCENE_SIDE

if TYPE_CHECKING:
    from demos.perception.detr_matching import Controls

INPUTS = {
    "source", "predictor", "photo", "scene", "objects", "noise", "duplicates", "misses", "queries", "label_flips", "confidence",
    "seed", "boxes",
}  # fmt: skip
STEADY = "numbers |= {key: value for key, value in steps[0].items() if all(repr(step[key]) == repr(value) for step in steps)}"


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON: every number that is the same at all steps."""
    body = ["numbers = {}"]
    imports = {"import json"}
    if c.source == "trap":
        imports.add("from core.perception.assignment import greedy_trap")
        body.append("cost = greedy_trap()")
    else:
        body += _boxes(c, imports)
        logits = "logits[-1]" if c.kind == "softmax" else "sigmoid_logits(logits[-1])"
        imports.add("from core.perception.detr_matching import match, sigmoid_logits")
        body += [
            f"weights = dict(cost_class={c.cost_class}, cost_bbox={c.cost_bbox}, cost_giou={c.cost_giou})",
            f"found = match({logits}, boxes[-1], labels, goals, kind={c.kind!r}, **weights)",
            "cost = found.total_cost",
        ]
    body += {"match": _match, "solver": _solver, "loss": _loss, "nms": _nms, "attention": _attention}[c.lens](
        c, imports
    )
    body.append("print(json.dumps(numbers))")
    plain = sorted(line for line in imports if line.startswith("import"))
    return "\n".join([*plain, "", *sorted(imports.difference(plain)), "", *body]) + "\n"


def _boxes(c: Controls, imports: set[str]) -> list[str]:
    """Objects and predictions: `labels`, `goals`, `size`, `logits`, `boxes`, `ids`, and the network's `output`."""
    if c.boxes or c.source == "files" or c.predictor not in ("tiny", "noisy"):
        imports |= {
            "from types import SimpleNamespace",
            "from demos.perception.detr_matching_inputs import problem_of",
        }
        said = ", ".join(f"{item.name}={_said(c, item.name)!r}" for item in fields(c) if item.name in INPUTS)
        return [
            f"problem = problem_of(SimpleNamespace({said}))",
            "labels, goals, size, output = problem.truth.labels, problem.truth.boxes, problem.size, problem.output",
            "logits, boxes, ids = problem.predictions.logits, problem.predictions.boxes, problem.predictions.ids",
        ]
    if c.source == "scene":
        imports.add("from core.perception.shape_scenes import shape_scene")
        classes = "3"
        body = [
            f"scene = shape_scene({c.scene}, count={c.objects}, side={SCENE_SIDE})",
            "labels, goals, size = scene.labels, scene.boxes, scene.image.shape[:2]",
        ]
    else:
        imports |= {
            "import numpy as np",
            "from PIL import Image",
            "from core.perception.box_annotations import label_map_boxes",
        }
        classes = str(len(PHOTOS[c.source]))
        body = [
            f'mask = np.asarray(Image.open("assets/masks/{c.source}.png"))',
            f"objects = label_map_boxes(mask, classes={PHOTOS[c.source]})",
            "labels, goals, size = objects.labels, objects.boxes, mask.shape",
        ]
    if c.predictor == "tiny" and c.source == "scene":
        imports |= {
            "from safetensors.torch import load_file",
            "from core.perception.tiny_detr import detect, load_tiny_detr",
        }
        body += [
            'output = detect(load_tiny_detr(load_file("assets/models/tiny_detr.safetensors")).double(), scene.image)',
            "logits, boxes = output.pred_logits[:, 0].double().numpy(), output.pred_boxes[:, 0].double().numpy()",
        ]
    else:
        imports.add("from core.perception.box_perturbation import perturbed_predictions")
        errors = (
            f"num_classes={classes}, num_queries={c.queries}, box_noise={c.noise}, label_flips={c.label_flips}, "
            f"duplicates={c.duplicates}, misses=min({c.misses}, len(labels)), confidence={c.confidence}, seed={c.seed}"
        )
        body += [
            f"made = perturbed_predictions(labels, goals, {errors})",
            "logits, boxes = made.pred_logits[None], made.pred_boxes[None]",
        ]
    return [*body, "ids = [str(i) for i in range(boxes.shape[1])]"]


def _said(c: Controls, name: str) -> object:
    """A control's value; uploads by their own names, in the folder photo."""
    value = getattr(c, name)
    return tuple(f"photo/{PurePath(path).name}" for path in value) if name == "photo" else value


def _match(c: Controls, imports: set[str]) -> list[str]:
    imports.add(
        "from core.perception.assignment import cheapest_row_matching, greedy_matching, optimal_matching, score_matching"
    )
    body = [
        "greedy = greedy_matching(cost)",
        "numbers = dict(optimal_cost=optimal_matching(cost).total, greedy_cost=greedy.total,"
        " cheapest_cost=cheapest_row_matching(cost).total)",
        'numbers["greedy_excess"] = score_matching(cost, greedy.picks).excess',
    ]
    if c.boxes:
        imports |= {"from core.perception.detr_matching import matching_instability"}
        logits = "old.logits[-1]" if c.kind == "softmax" else "sigmoid_logits(old.logits[-1])"
        body += [
            "before = problem.before",
            "if before and (before.truth.ids, before.predictions.ids) == (problem.truth.ids, problem.predictions.ids):",
            "    old = before.predictions",
            f"    was = match({logits}, old.boxes[-1], before.truth.labels, before.truth.boxes, kind={c.kind!r}, **weights)",
            '    numbers["flips"] = matching_instability(was, found, len(old.ids)).count',
        ]
    if c.pairs:
        imports.add("from demos.kit.drawings import read_cells")
        body += [
            f"pairs = read_cells({c.pairs!r}, shape=cost.shape)",
            "if pairs:",
            "    mine = score_matching(cost, pairs)",
            "    numbers |= dict(puzzle_cost=mine.matching.total, puzzle_excess=mine.excess, puzzle_missing=mine.missing)",
        ]
    return body


def _solver(c: Controls, imports: set[str]) -> list[str]:
    imports.add("from core.perception.assignment import assignment_steps, optimal_matching")
    return [
        "numbers = dict(optimal_cost=optimal_matching(cost).total)",
        "steps = [dict(assigned_cost=s.assigned_cost, dual_value=s.dual_value, gap=s.gap,",
        '    least_slack=None if s.least_slack == float("inf") else s.least_slack, entered=s.entered)',
        "    for s in assignment_steps(cost)]",
        STEADY,
    ]


def _loss(c: Controls, imports: set[str]) -> list[str]:
    imports |= {
        "import numpy as np",
        "import torch",
        "from core.perception.detr_loss import Target, set_loss",
        "from core.perception.detr_matching import matching_instability",
    }
    return [
        *(() if c.kind == "softmax" else ("logits = np.stack([sigmoid_logits(layer) for layer in logits])",)),
        "target = Target(torch.from_numpy(labels), torch.from_numpy(goals))",
        "losses = {name.replace('cost', 'weight'): value for name, value in weights.items()}",
        "loss = set_loss(torch.from_numpy(logits)[:, None], torch.from_numpy(boxes)[:, None], [target],",
        f"    kind={c.kind!r}, eos_coefficient={c.eos}, **weights, **losses)",
        "pairs = [layer.matches[0] for layer in loss.layers]",
        "flips = [None, *(matching_instability(a, b, boxes.shape[1]).count for a, b in zip(pairs, pairs[1:]))]",
        "numbers = dict(total_loss=float(loss.total))",
        "steps = [dict(layer_loss=float(s.total), loss_class=float(s.loss_class), loss_bbox=float(s.loss_bbox),",
        "    loss_giou=float(s.loss_giou), class_normalizer=float(s.class_normalizer), empty_share=s.empty_share, layer_flips=n)",
        "    for s, n in zip(loss.layers, flips)]",
        STEADY,
    ]


def _nms(c: Controls, imports: set[str]) -> list[str]:
    from demos.perception.detr_matching import THRESHOLDS

    imports |= {
        "import numpy as np",
        "from core.perception.anchor_matching import anchor_assignment, suppression_steps",
        "from core.perception.average_precision import average_precision",
        "from core.perception.boxes import cxcywh_to_xyxy",
        "from core.perception.detr_matching import Detections, postprocess",
    }
    foreground, background, rescue = THRESHOLDS[c.thresholds]
    return [
        "height, width = size",
        "d = postprocess(logits[-1], boxes[-1], image_size=size)",
        "corners = cxcywh_to_xyxy(goals) * np.array([width, height, width, height])",
        f"told = anchor_assignment(d.boxes_xyxy, corners, foreground_iou={foreground}, background_iou={background},"
        f" allow_low_quality={rescue})",
        f"trace = list(suppression_steps(d.boxes_xyxy, d.scores, iou_threshold={c.nms_iou}, score_threshold=0.05,"
        " labels=d.labels))",
        "numbers = dict(matched=len(found.query_idx), positives=int(told.positives.sum()))",
        "for name, k in dict(all=np.flatnonzero(trace[-1].seen), kept=trace[-1].kept).items():",
        "    some = Detections(d.scores[k], d.labels[k], d.boxes_xyxy[k], d.query_idx[k])",
        "    ap = average_precision([some], [(labels, corners)], num_classes=logits.shape[2] - 1)",
        "    hits = sum(int(c.hit.sum()) for c in ap.classes)",
        '    numbers |= {f"found_{name}": hits, f"false_{name}": len(k) - hits}',
        "steps = [dict(kept=len(s.kept), keeper_iou=s.iou if k else None) for k, s in enumerate(trace)]",
        STEADY,
    ]


def _attention(c: Controls, imports: set[str]) -> list[str]:
    imports |= {"import math", "from core.perception.detr_matching import postprocess"}
    body = ["height, width = output.features.shape[-2:]"]
    if c.view == "decoder":
        imports.add("from core.perception.attention_maps import query_attention")
        body += [
            "d = postprocess(logits[-1], boxes[-1], image_size=size)",
            "maps = query_attention(output.decoder_cross_attention[-1, 0], (height, width))",
            f"kept = [k for k in range(len(d.scores)) if d.scores[k] >= {c.score} and not ids[d.query_idx[k]].startswith('n')]",
            "steps = [dict(kept_score=float(d.scores[k]), attention_sum=math.fsum(maps[int(ids[d.query_idx[k]])].ravel()),",
            "    attention_peak=float(maps[int(ids[d.query_idx[k]])].max())) for k in kept]",
        ]
    else:
        imports.add("from core.perception.tiny_detr import attention_views")
        view = "attends_to" if c.view == "encoder_row" else "attended_by"
        body += [
            "weights = output.encoder_attention[-1, 0].double().mean(0)",
            "places = [(row, column) for row in range(height) for column in range(width)]",
            f"maps = [attention_views(weights, (height, width), row=r, column=k).{view} for r, k in places]",
            "steps = [dict(attention_sum=math.fsum(m.ravel()), attention_peak=float(m.max())) for m in maps]",
        ]
    return [*body, STEADY]
