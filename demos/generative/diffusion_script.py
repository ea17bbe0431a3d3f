"""Controls -> a few lines of Python that print the numbers of the whole view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from demos.generative.diffusion_images import script_of_images
from demos.generative.diffusion_likelihood import script_lines as likelihood_lines
from demos.generative.diffusion_line import script_lines as line_lines
from demos.generative.diffusion_samplers import script_lines as samplers_lines

if TYPE_CHECKING:
    from demos.generative.diffusion_trajectories import Controls

PROCESSES = {"vp": "VP", "subvp": "SubVP", "ve": "VE"}


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. An upload is called photo.png."""
    from demos.generative.diffusion_inputs import direction_of, process_of
    from demos.generative.diffusion_trajectories import noise_point

    if c.lens == "images":
        return script_of_images(c)
    process = PROCESSES[c.process]
    imports = {
        "from core.generative.lanes import marginal_agreement, path_bundle, three_lanes",
        f"from core.generative.sde import {process}",
    }
    body = mixture_lines(c, imports)
    body.append(f"direction = {direction_of(c)!r}")
    if c.lens == "line":
        body += line_lines()
    body += [f"process = {process}()", "score = None"]
    if c.error_kind != "none" and c.error_size and c.lens != "likelihood":
        imports.add("from core.generative.scores import ExactScore, inject_error")
        body[-1] = "score = ExactScore(mixture, process)"
        body.append(f"score = inject_error(score, process, kind={c.error_kind!r}, size={c.error_size})")
    if c.lens in ("samplers", "likelihood"):
        imports = {line for line in imports if "core.generative.lanes" not in line}
        lines = samplers_lines if c.lens == "samplers" else likelihood_lines
        body += lines(c, imports)
        if c.lens == "likelihood" and c.process == "ve":
            body.append('numbers["alpha"] = process.alpha(1.0)')
        return script(imports, body)
    body += [
        f"options = dict(steps={c.steps}, seed={c.seed}, stochasticity={c.stochasticity}, score=score)",
        f"lanes = three_lanes(mixture, process, particles={c.particles}, **options)",
        "found = marginal_agreement(lanes, mixture, process, direction=direction)",
        'numbers = {"critical": found.critical_two}',
    ]
    if c.lens == "point":
        body += [
            f"point = {noise_point(c, process_of(c))!r}",
            f"bundle = path_bundle(mixture, process, point, paths={c.paths}, **options)",
            'numbers["return_error"] = bundle.return_error',
        ]
    else:
        imports = {line.replace("marginal_agreement, path_bundle,", "marginal_agreement,") for line in imports}
        body.append('numbers["same_end"] = lanes.same_end')
    if c.process == "ve":
        body.append('numbers["alpha"] = process.alpha(1.0)')
    return script(imports, body)


def script(imports: set[str], body: list[str]) -> str:
    head = ["import json", "", "import torch", "", *sorted(imports), "", "torch.set_num_threads(1)"]
    return "\n".join([*head, *body, "print(json.dumps(numbers))"]) + "\n"


def mixture_lines(c: Any, imports: set[str]) -> list[str]:
    """Lines that make the mixture."""
    from demos.generative.diffusion_inputs import COMPONENTS, PHOTO_PIXELS, modes_of

    if c.source == "modes":
        modes = modes_of(c.modes)
        imports.add("from core.generative.mixtures import gaussian_mixture")
        return [
            f"weights = {[m.weight for m in modes]!r}",
            f"means = {[[m.x, m.y] for m in modes]!r}",
            f"stds = {[[m.std_x, m.std_y] for m in modes]!r}",
            "covariances = torch.tensor([[[a**2, 0.0], [0.0, b**2]] for a, b in stds], dtype=torch.float64)",
            "mixture = gaussian_mixture(weights, means, covariances)",
        ]
    if c.source in ("photo", "rocket"):
        imports |= {
            "from core.generative.shapes import picture_mixture",
            "from demos.kit.uploads import read_image",
        }
        path = "photo.png" if c.source == "photo" else "assets/images/rocket.jpg"
        return [
            f'rgb = read_image("{path}", max_pixels={PHOTO_PIXELS}).rgb',
            f"mixture = picture_mixture(rgb, most={COMPONENTS}, dark={c.dark})",
        ]
    imports.add("from core.generative.shapes import shape_mixture")
    return [f'mixture = shape_mixture("{c.source}")']
