"""Controls -> a few lines of Python that print the same numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demos.kit.drawings import BOX_UNITS
from demos.perception.simcc_inputs import codec_of, margin_of, subject_of
from demos.perception.simcc_residuals import COUNT, DENSITIES, ERROR, FIGURES, FRESH, recorded

if TYPE_CHECKING:
    from demos.perception.simcc import Controls


STEADY = (
    "numbers = {key: value for key, value in steps[0].items() if all(repr(step[key]) == repr(value) for step in steps)}"
)


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON: every number that is the same at all steps."""
    lines = {"joint": _joint, "laws": _laws, "rle": _rle, "heads": _heads}[c.lens](c)
    return "\n".join([*lines, "print(json.dumps(numbers))"]) + "\n"


def _joint(c: Controls) -> list[str]:
    subject = subject_of(c)
    trouble = f"offset={(c.offset_x, c.offset_y)}, share={c.share}, noise={c.noise}, seed={c.seed}"
    return [
        "import json",
        "from math import hypot",
        "import numpy as np",
        "from core.perception.joint_readings import DECODERS, PoseCodec, decoder_laws, joint_readings",
        "",
        f"codec = {codec_of(c)!r}",
        f"places = {subject.places.tolist()}",
        f"joint = np.array(places) / {BOX_UNITS} * codec.input_size",
        f"seen = joint_readings(joint, codec, {trouble})",
        "errors = (seen.found - seen.truth).tolist()  # decoder, place, (x, y)",
        "steps = [",
        '    {f"distance[{name}]": hypot(*errors[d][t]) for d, name in enumerate(DECODERS)} for t in range(len(places))',
        "]",
        STEADY,
        "laws = dict(zip(DECODERS, decoder_laws(codec)))",
        'numbers |= {f"law[{name}]": laws[name].mean_distance for name in ("argmax", "simcc")}',
    ]


def _laws(c: Controls) -> list[str]:
    return [
        "import json",
        "from core.perception.joint_readings import DECODERS, PoseCodec, decoder_errors, label_memory",
        "from core.perception.quantization_error import error_trail",
        "",
        f"codec = {codec_of(c)!r}",
        f"seen = decoder_errors(codec, count={c.count}, seed={c.seed}, margin={margin_of(codec_of(c))})",
        "trails = {name: error_trail(seen.found[d], seen.truth) for d, name in enumerate(DECODERS)}",
        'numbers = {f"mean_distance[{name}]": float(trail.mean_distance[-1]) for name, trail in trails.items()}',
        "memory = label_memory(codec)",
        'numbers |= {"memory_heatmap": memory.heatmap, "memory_simcc": memory.simcc}',
    ]


def _rle(c: Controls) -> list[str]:
    if c.cloud == "network":
        cloud = [
            "from demos.perception.simcc_heads import network_residuals",
            "",
            f"both = torch.from_numpy(network_residuals({FIGURES})).float()",
            "known, fresh = both[::2], both[1::2]",
        ]
    else:
        cloud = [
            "from core.perception.residual_clouds import residual_cloud",
            "",
            f"both = torch.from_numpy(residual_cloud({c.cloud!r}, count={COUNT + FRESH}, seed={c.seed})).float()",
            f"known, fresh = both[:{COUNT}], both[{COUNT}:]",
        ]
    return [
        "import json",
        "import torch",
        "from core.perception.residual_log_likelihood import (",
        "    best_sigma, flow_training, log_density, residual_log_likelihood,",
        ")",
        *cloud,
        "torch.set_num_threads(1)",
        f"marks = {recorded(c.updates)}",
        f"training = flow_training(known, steps={c.updates}, batch=256, seed={c.seed}, record=marks)",
        "flows = [step.flow for step in training if step.step in marks]",
        f"error, variant = {ERROR}, {c.variant!r}",
        "pred, target, steps = torch.tensor([error]), torch.zeros(1, 2), []",
        "with torch.inference_mode():",
        "    for flow in flows:",
        f"        fit = {{k: -float(log_density(fresh, flow, kind=k).double().mean()) for k in {DENSITIES[:3]}}}",
        "        said = residual_log_likelihood(pred, pred.abs(), target, flow, variant=variant)",
        "        sigma = float(best_sigma(error, flow, variant=variant)[0])",
        '        step = {f"fit_{k}": value for k, value in fit.items()}',
        '        steps.append(step | {"rle_loss": float(said.loss), "best_sigma": sigma})',
        STEADY,
    ]


def _heads(c: Controls) -> list[str]:
    return [
        "import json",
        "from math import hypot",
        "from demos.perception.simcc_heads import HEADS, heads_of",
        "",
        f"said = heads_of({c.figure}, occluded={c.occluded})",
        "errors = said.errors.tolist()  # head, joint, (x, y)",
        "steps = [",
        '    {f"distance[{name}]": hypot(*errors[i][k]) for i, name in enumerate(HEADS)} for k in range(len(said.names))',
        "]",
        STEADY,
        'numbers |= {f"mean_distance[{name}]": float(v) for name, v in zip(HEADS, said.means)}',
    ]
