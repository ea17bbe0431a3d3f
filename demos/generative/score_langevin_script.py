"""Controls -> a few lines of Python that print the numbers of the whole view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demos.generative.diffusion_inputs import REACH as SHAPES_REACH
from demos.generative.diffusion_script import mixture_lines, script
from demos.generative.score_langevin_inputs import (
    HIDDEN,
    PLANE,
    REPORTS,
    TRAINED_ON,
    power,
    sigmas_of,
    start_of,
    step_of,
)

if TYPE_CHECKING:
    from demos.generative.score_langevin import Controls


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. An upload is called photo.png."""
    if c.lens == "manifold":
        return _manifold(c)
    imports = {"from core.generative.langevin import geometric_levels"}
    body = _data(c, imports)
    body.append(f"sigmas = geometric_levels({sigmas_of(c)[0]!r}, {sigmas_of(c)[-1]!r}, {c.levels})")
    if c.lens == "net" or c.score == "learned":
        body += _network(c, imports)
    if c.lens == "net":
        body.append('numbers = {"loss": last.loss, "excess": last.excess}')
    elif c.lens == "objectives":
        imports |= {"from core.generative.objective_race import objective_constants"}
        body += [
            f"found = objective_constants(mixture, sigma={power(c.noise)})",
            'numbers = {"fisher": found.fisher, "denoising_constant": found.denoising_gap}',
            'numbers["implicit_constant"] = found.implicit_gap',
        ]
    else:
        body += _walks(c, imports)
    return script(imports, body)


def _data(c: Controls, imports: set[str]) -> list[str]:
    if c.source == "toy":
        imports.add("from core.generative.mixtures import gaussian_mixture")
        return ["mixture = gaussian_mixture([0.8, 0.2], [[5.0, 5.0], [-5.0, -5.0]], 1.0)"]
    return [*mixture_lines(c, imports), f"mixture = mixture.diffused({PLANE / SHAPES_REACH!r}, 0.0)"]


def _network(c: Controls, imports: set[str]) -> list[str]:
    imports.add("from core.generative.score_network import score_network, train_score_network")
    return [
        "scale = float(mixture.covariance.trace() / 2) ** 0.5",
        f"network = score_network(2, hidden={HIDDEN}, scale=scale, seed={c.seed})",
        f"options = dict(updates={c.updates}, samples={TRAINED_ON}, report_every={max(1, c.updates // REPORTS)}, seed={c.seed})",
        "*_, last = train_score_network(network, mixture, sigmas, **options)",
        "network = last.network",
    ]


def _walks(c: Controls, imports: set[str]) -> list[str]:
    from demos.generative.score_langevin_walk import FAR, FRAMES, exact_law

    start = start_of(c)
    imports |= {
        "from core.generative.langevin import annealed_langevin, langevin, share_error, smoothed_score",
        "from core.generative.plane import component_groups",
        "from core.generative.walks import group_weights, kept_states, record_walk, start_points",
        f"from core.generative.chain_law import {type(start).__name__}",
    }
    learned = c.score == "learned"
    total = c.levels * c.steps_each
    score = "network" if learned else f"smoothed_score(mixture, toy={c.level_score == 'toy'})"
    plain = "lambda x: network(x, sigmas[-1])" if learned else "lambda x: exact(x, 0.0)"
    body = [
        f"start = {start!r}",
        f"x = start_points(start, {c.particles}, seed={c.seed})",
        f"options = dict(step_size={step_of(c)}, convention={c.convention!r})",
        "exact = smoothed_score(mixture)",
        f"plain = langevin({plain}, x, steps={total}, seed={c.seed}, **options)",
        f"annealed = annealed_langevin({score}, x, sigmas, steps_each={c.steps_each}, seed={c.seed},",
        f"                             final_denoise={c.final_denoise}, **options)",
        "groups = component_groups(mixture)",
        f"kept = kept_states({c.levels}, {c.steps_each}, {FRAMES})",
        f"plain = record_walk(plain, kept, mixture, groups, reach={FAR})",
        f"annealed = record_walk(annealed, kept, mixture, groups, reach={FAR})",
        "steps = {}  # what of both walks is the same at every step speaks of the whole",
        'for name, walk in (("plain", plain), ("annealed", annealed)):',
        '    steps[f"share[{name}]"], steps[f"moved[{name}]"] = walk.shares[:, 0].tolist(), walk.moved.tolist()',
        "numbers = {key: values[-1] for key, values in steps.items() if len(set(values)) == 1}",
        "weights = group_weights(mixture, groups)",
        "share = float(annealed.shares[-1, 0])",
        'numbers |= {"weight": float(weights[0]), "share_error": share_error(share, len(x))}',
        'numbers |= {"law[plain]": None, "law[annealed]": None, "bias": None}',
    ]
    for name, law in (("plain", exact_law(c, annealed=False)), ("annealed", exact_law(c, annealed=True))):
        if law is None:
            continue
        imports |= {f"from core.generative.chain_law import {type(start).__name__}, chain_law, law_bias"}
        ladder = f"sigmas, steps_each={c.steps_each}" if name == "annealed" else f"[], steps_each={total}"
        more = f", toy={c.level_score == 'toy'}, final_denoise={c.final_denoise}" if name == "annealed" else ""
        body += [
            f"law = chain_law(mixture, start, {ladder}{more}, **options)",
            f'numbers["law[{name}]"] = float(law.shares[-1, 0])',
        ]
        if name == "annealed":
            body.append('numbers["bias"] = float(law_bias(law, weights)[-1, 0])')
    return body


def _manifold(c: Controls) -> str:
    from demos.generative.score_langevin_manifold import DRAWS, HIGHEST, LEVELS, LOWEST

    imports = {
        "from core.generative.langevin import geometric_levels",
        "from core.generative.manifold import curve_points, filled_directions",
    }
    body = [
        f"data = curve_points({c.curve!r}, {c.points})",
        f"sigmas = geometric_levels({HIGHEST}, {LOWEST}, {LEVELS})",
        f"found = filled_directions(data, sigmas, draws={DRAWS}, seed={c.seed})",
        'numbers = {"least": found.least}',
    ]
    return script(imports, body)
