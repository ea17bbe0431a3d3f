"""Controls -> a few lines of Python that print the numbers of the whole view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demos.systems.checkpointing_inputs import CONFIGS, PHOTO_PIXELS, PICTURES

if TYPE_CHECKING:
    from demos.systems.checkpointing import Controls

HEAD = (
    "import json",
    "",
    "import torch",
    "",
    "from core.systems.checkpoint_plans import CheckpointPlan, checkpoint_plan, pinned_plan, segments_plan",
)


SNAPSHOT = """import json
from pathlib import Path

from core.systems.memory_snapshot import read_snapshot

made, size = read_snapshot(Path("snapshot.pickle").read_bytes()), 1 << 20
numbers = {
    "allocated_peak": made.peak_allocated_bytes / size,
    "reserved_peak": made.peak_reserved_bytes / size,
    "before_trace": made.start_allocated_bytes / size,
    "trace_events": len(made.events),
}
print(json.dumps(numbers))
"""


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. Uploads are called photo.png, config.json and snapshot.pickle."""
    if c.model == "snapshot":
        return SNAPSHOT
    imports, body = list(HEAD), ["", "torch.set_num_threads(1)"]
    fake = c.model == "config"
    imports += _chain(c, body)
    body.append("n, size = len(chain.layers), 1 << " + ("30" if fake else "20"))
    imports += _plan(c, body, fake=fake)
    if fake:
        imports.append("from core.systems.checkpointing import predict_run")
        body.append(f"run = predict_run(chain, plan, early_stop={c.early_stop}, loss={c.loss!r})")
    else:
        imports.append("from core.systems.checkpointing import run_with_checkpoints")
        options = (
            f"preserve_rng_state={c.preserve_rng_state}, early_stop={c.early_stop}, loss={c.loss!r}, seed={c.seed}"
        )
        body.append(f"run = run_with_checkpoints(chain, plan=plan, {options})")
    body += [
        "numbers = {",
        '    "peak": run.peak_bytes / size,',
        '    "activation_peak_units": run.activation_peak_bytes / chain.unit_bytes,',
        '    "kept": run.kept_bytes / size,',
        '    "extra_forwards": sum(plan.forward_calls) - n,',
        '    "flops_ratio": run.flops_ratio,',
        "}",
    ]
    imports += _rest(c, body, fake=fake)
    body.append("print(json.dumps(numbers))")
    return "\n".join([*imports, *body]) + "\n"


def _chain(c: Controls, body: list[str]) -> list[str]:
    """Lines that make the chain, and the imports they need."""
    device = "" if c.device == "cpu" else f", device={c.device!r}"
    if c.model == "mlp":
        body.append(
            f"chain = mlp_chain(layers={c.layers}, width={c.width}, rows={c.rows}, dropout={c.dropout}, seed={c.seed}{device})"
        )
        return ["from core.systems.checkpoint_models import mlp_chain"]
    if c.model == "transformer":
        sizes = f"width={c.width}, heads={c.heads}, tokens={c.tokens}, batch={c.batch}"
        body.append(f"sizes = dict({sizes}, dropout={c.dropout}, seed={c.seed}{device})")
        body.append(f"chain = transformer_chain(blocks={c.layers}, **sizes)")
        return ["from core.systems.checkpoint_models import transformer_chain"]
    if c.model == "unet":
        path = f"assets/images/{c.picture}.jpg" if c.picture in PICTURES else "photo.png"
        body.append(f'rgb = read_image("{path}", max_pixels={PHOTO_PIXELS}).rgb')
        body.append(f"chain = unet_chain(rgb, channels={c.channels}, seed={c.seed}{device})")
        return ["from core.systems.checkpoint_models import unet_chain", "from demos.kit.uploads import read_image"]
    if c.named == "own":
        body += ['with open("config.json") as file:', "    config = json.load(file)"]
    else:
        body.append(f"config = {dict(CONFIGS[c.named])!r}")
    body += [
        "shape = transformer_shape(config)",
        "with FakeTensorMode():",
        f"    sizes = dict(batch={c.micro_batch}, tokens=min({c.sequence}, shape.positions))",
        f"    chain = config_chain(shape, **sizes, dtype={c.dtype!r}, seed={c.seed})",
    ]
    return [
        "from torch._subclasses.fake_tensor import FakeTensorMode",
        "from core.systems.transformer_config import config_chain, transformer_shape",
    ]


def _plan(c: Controls, body: list[str], *, fake: bool) -> list[str]:
    from demos.systems.checkpointing_inputs import pins_of

    k = f"min({c.k}, n)"
    lines = {
        "none": 'checkpoint_plan("none", n)',
        "every_layer": "segments_plan(n, n)",
        "every_kth": f"pinned_plan(n, range(0, n, {k}))",
        "sqrt": 'checkpoint_plan("sqrt", n)',
        "sequential": f'checkpoint_plan("checkpoint_sequential", n, segments={k})',
        "matmul": 'CheckpointPlan(segments_plan(n, n).nodes, "matmul")',
        "attention": 'CheckpointPlan(segments_plan(n, n).nodes, "attention")',
        "revolve": f"revolve_plan(n, {k})",
        "own": f"pinned_plan(n, [i for i in {pins_of(c.pins, 10**5)!r} if i < n])",
    }
    if c.strategy == "optimal":
        if fake:
            from demos.systems.checkpointing import CARD_NAMES, OPTIMIZERS

            body += [
                "costs, layer_sizes = profile_layers(chain)",
                f"fixed = plan_free_bytes(chain, optimizer={OPTIMIZERS[c.optimizer]!r})",
                f"card = next(card for card in CARDS if card.name == {CARD_NAMES[c.card]!r})",
                "plan = optimal_checkpoints(costs, layer_sizes, card.total_bytes - fixed).plan",
            ]
            return [
                "from core.systems.checkpoint_schedules import optimal_checkpoints",
                "from core.systems.memory_accounting import profile_layers",
                "from core.systems.peak_prediction import plan_free_bytes",
            ]
        body += [
            "costs, layer_sizes = profile_layers(chain)",
            "fixed = 2 * sum(p.nbytes for p in chain.parameters) + chain.inputs.nbytes",
            f"budget = {round(c.budget * (1 << 20))}",
        ]
        if c.model == "unet":  # skips: the plan must also fit when it is run on empty tensors
            body += [
                "found = [p.plan for p in checkpoint_frontier(costs, layer_sizes) if p.peak + fixed <= budget]",
                "plan = next(p for p in reversed(found) if predict_run(chain, p).peak_bytes <= budget)",
            ]
            return [
                "from core.systems.checkpoint_schedules import checkpoint_frontier",
                "from core.systems.checkpointing import predict_run",
                "from core.systems.memory_accounting import profile_layers",
            ]
        body.append("plan = optimal_checkpoints(costs, layer_sizes, budget - fixed).plan")
        return [
            "from core.systems.checkpoint_schedules import optimal_checkpoints",
            "from core.systems.memory_accounting import profile_layers",
        ]
    body.append(f"plan = {lines[c.strategy]}")
    return ["from core.systems.checkpoint_schedules import revolve_plan"] if c.strategy == "revolve" else []


def _rest(c: Controls, body: list[str], *, fake: bool) -> list[str]:
    """What stands below the run's own numbers: the card's verdict, the budget, what is compared."""
    if fake:
        from demos.systems.checkpointing import CARD_NAMES, OPTIMIZERS

        body += [
            f"made = step_prediction(run, chain, optimizer={OPTIMIZERS[c.optimizer]!r})",
            f"card = next(card for card in CARDS if card.name == {CARD_NAMES[c.card]!r})",
            "verdict = fits_card(made, card)",
            'numbers["peak"] = made.peak_bytes / size',
            'numbers["parameter_count"] = shape.parameter_count',
            'numbers["optimizer_bytes"] = made.optimizer_bytes / size',
            'numbers["reserved"] = made.reserved_peak_bytes / size',
            'numbers["needed"] = verdict.needed_bytes / size',
            'numbers["free"] = verdict.free_bytes / size',
        ]
        return ["from core.systems.peak_prediction import CARDS, fits_card, step_prediction"]
    needed: list[str] = []
    if c.budget:
        body.append(f'numbers["headroom"] = ({round(c.budget * (1 << 20))} - run.peak_bytes) / size')
    if c.compare == "gradients":
        needed.append("from core.systems.checkpointing import compare_gradients")
        body += [
            f"same = compare_gradients(chain, plan, preserve_rng_state={c.preserve_rng_state}, seed={c.seed})",
            'numbers["equal_gradients"] = (same.total - same.differing) / same.total',
            'numbers["gradient_error"] = same.max_abs_difference',
        ]
    if c.compare == "bytes":
        needed.append("from core.systems.memory_accounting import reconcile")
        body += [
            f"counted = reconcile(chain, plan, loss={c.loss!r}, seed={c.seed})",
            'for key in ("predicted", "allocator", "rounded", "reserved"):',
            '    numbers[f"{key}_bytes"] = getattr(counted, f"{key}_bytes") / size',
        ]
    return needed
