"""Controls -> a few lines of Python that print the numbers of the whole view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demos.systems.flash_attention import Controls

PICTURES = ("coffee", "rocket")
HEAD = (
    "import json",
    "",
    "import numpy as np",
    "import torch",
    "",
    "from core.systems.attention_blocks import sram_use",
    "from core.systems.attention_comparison import agreement, materialised_attention",
    "from core.systems.attention_traffic import traffic_steps",
    "from core.systems.flash_attention import attention_tiles, collect_tiles",
)


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. Uploads are called qkv.npz and photo.png."""
    from demos.systems.flash_attention_blocks import capacity_of, memory_options

    imports = list(HEAD)
    body = ["", "", "def known(x):", "    return x if np.isfinite(x) else None", "", "", "torch.set_num_threads(1)"]
    imports += _inputs(c, body)
    options = memory_options(c)
    body += [
        f"q, k, v = (torch.from_numpy(x).to(torch.{c.dtype}) for x in (q, k, v))",
        "(n_q, d), n_k = q.shape, len(k)",
        f"capacity, memory = {capacity_of(c)}, {options!r}",
    ]
    if c.blocks == "given":
        body.append(f"block_q, block_k = min({c.block_q}, n_q), min({c.block_k}, n_k)")
    elif c.blocks == "paper":
        imports.append("from core.systems.attention_blocks import paper_block_sizes")
        body += [
            f"sizes = paper_block_sizes(capacity // {options['dtype_bytes']}, d)",
            "block_q, block_k = min(sizes.block_q, n_q), min(sizes.block_k, n_k)",
        ]
    else:
        imports.append("from core.systems.attention_blocks import largest_feasible_blocks")
        body += [
            f"fit = dict(multiple={1 if c.chip == 'own' else 16}, limit_q=n_q, limit_k=n_k, **memory)",
            "sizes = largest_feasible_blocks(capacity, d, **fit)",
            "block_q, block_k = min(sizes.block_q, n_q), min(sizes.block_k, n_k)",
        ]
    keys = {
        "left": "None",
        "right": "tuple(range(columns - 1, -1, -1))",
        "shuffled": f"tuple(int(j) for j in np.random.default_rng({c.seed + 1}).permutation(columns))",
    }[c.key_order]
    state = f"torch.{c.dtype}" if c.state == "same" else "None"
    body += [
        "columns = -(-n_k // block_k)",
        f"key_order = {keys}",
        f"row, tiles = min({c.row}, n_q - 1), dict(block_q=block_q, block_k=block_k, causal={c.causal})",
        f"rules = dict(order={c.order!r}, rule={c.rule!r}, rescale_threshold={c.threshold}, state_dtype={state})",
    ]
    imports += _DIRECTIONS[c.direction](c, body)
    body += [
        "total, standard = steps[-1].total.total, steps[-1].standard.total",
        "numbers.update(traffic_ratio=total / standard, max_error=known(apart.max_error))",
        "if apart.not_finite:",
        '    numbers["not_finite"] = apart.not_finite',
    ]
    if c.key_order != "left" and c.direction == "forward":
        body += [
            "straight = collect_tiles(attention_tiles(q, k, v, **tiles, **rules), q, v).output",
            'numbers["equal_share"] = agreement(output, straight).equal_share',
        ]
    if c.direction == "decode":
        body.append("lines = lines[-1:]")
    body += [
        "for key in lines[0]:  # of what changes from step to step, only what does not",
        "    if len({repr(line[key]) for line in lines}) == 1:",
        "        numbers[key] = lines[0][key]",
        "print(json.dumps(numbers))",
    ]
    return "\n".join([*imports, *body]) + "\n"


_LINES = (
    "lines = []",
    "moved = dict(way, dtype_bytes=memory['dtype_bytes'], heads=heads, initial={initial!r})",
    "steps = list(traffic_steps(n_q, d, n_k=n_k, **moved, **tiles))",
    "for step, s in enumerate(steps):",
    '    line = {{"flash_bytes": s.total.total, "standard_bytes": s.standard.total, "ideal_bytes": s.total.ideal_total}}',
)
_CHIP = (
    "    use = sram_use(len(s.tile.rows), len(s.tile.cols), d, capacity_bytes=capacity, **memory)",
    '    line["sram_bytes"] = use.total',
)


def _forward(c: Controls, body: list[str]) -> list[str]:
    body += [
        "visited = list(attention_tiles(q, k, v, key_order=key_order, **tiles, **rules))",
        "output = collect_tiles(visited, q, v).output",
        f"exact = materialised_attention(q.double(), k.double(), v.double(), causal={c.causal})",
        "apart, numbers, last = agreement(output, exact), {}, None",
        "story = {s.step: s for s in query_steps(visited, row, n_k=n_k)}",
        f"way = dict(order={c.order!r}, key_order=key_order)",
        *(line.format(initial=c.initial) for line in _LINES),
        *_CHIP,
        "    now = story.get(step)",
        "    last = now or last",
        '    line["row_max"] = last and known(last.row_max)',
        '    line["row_sum"] = last and known(last.row_sum)',
        '    line["rescale"] = now and known(now.rescale)',
        "    lines.append(line)",
    ]
    return ["from core.systems.attention_query import query_steps"]


def _backward(c: Controls, body: list[str]) -> list[str]:
    body += [
        "final = collect_tiles(attention_tiles(q, k, v, key_order=key_order, **tiles, **rules), q, v)",
        f"grad = torch.from_numpy(noise_inputs(*final.output.shape, seed={c.seed + 2}).q).to(q.dtype)",
        "got = flash_attention_backward(q, k, v, final.output, final.logsumexp, grad, **tiles)",
        "wide = tuple(x.double().requires_grad_() for x in (q, k, v))",
        f"exact = torch.autograd.grad(materialised_attention(*wide, causal={c.causal}), wide, grad.double())",
        "ours = torch.cat([x.flatten() for x in (got.grad_q, got.grad_k, got.grad_v)])",
        "apart = agreement(ours, torch.cat([x.flatten() for x in exact]))",
        'numbers = {"delta": known(float(got.delta[row]))}',
        f"way = dict(direction='backward', order={c.order!r})",
        *(line.format(initial=c.initial) for line in _LINES),
        "    lines.append(line)",
    ]
    return [
        "from core.systems.attention_inputs import noise_inputs",
        "from core.systems.flash_attention_backward import flash_attention_backward",
    ]


def _decode(c: Controls, body: list[str]) -> list[str]:
    body += [
        "q, n_q = q[row : row + 1], 1",
        "tiles.update(block_q=1, causal=False)",
        f"found = split_kv_decode(q, k, v, splits={c.splits}, block_k=block_k)",
        "apart = agreement(found.output, materialised_attention(q.double(), k.double(), v.double()))",
        'numbers = {"parts": len(found.parts), "logsumexp": float(found.logsumexp[0])}',
        f"way = dict(order={c.order!r}, key_order=key_order)",
        *(line.format(initial=c.initial) for line in _LINES),
        "    lines.append(line)",
        'numbers["sram_bytes"] = sram_use(1, block_k, d, capacity_bytes=capacity, **memory).total',
    ]
    return ["from core.systems.split_kv_decoding import split_kv_decode"]


_DIRECTIONS = {"forward": _forward, "backward": _backward, "decode": _decode}


def _inputs(c: Controls, body: list[str]) -> list[str]:
    """Lines that make q, k, v and heads, and the imports they need."""
    if c.source == "noise":
        keys = f", n_k={c.keys}" if c.keys else ""
        body.append(f"x = noise_inputs({c.tokens}, {c.channels}, seed={c.seed}{keys}, spread={c.spread})")
        body.append(f"q, k, v, heads = x.q, x.k, x.v, {c.heads}")
        return ["from core.systems.attention_inputs import noise_inputs"]
    if c.source == "arrays":
        body += [
            'with np.load("qkv.npz") as x:',
            '    q, k, v = (x[name].astype(np.float64) for name in "qkv")',
            "heads = len(q) if q.ndim == 3 else 1",
            "if q.ndim == 3:",
            f"    q, k, v = (array[min({c.head}, heads - 1)] for array in (q, k, v))",
        ]
        return []
    path = f"assets/images/{c.source}.jpg" if c.source in PICTURES else "photo.png"
    body += [
        f'rgb = read_image("{path}", max_pixels=200_000).rgb',
        f"height, width, columns = *rgb.shape[:2], min({c.patches}, rgb.shape[1])",
        "rows = max(1, min(height, round(columns * height / width), 1024 // columns))",
        f"x = patch_inputs(rgb, rows=rows, columns=columns, d={c.channels}, sharpness={c.sharpness}, seed={c.seed})",
        f"q, k, v, heads = x.q, x.k, x.v, {c.heads}",
    ]
    return ["from core.systems.attention_inputs import patch_inputs", "from demos.kit.uploads import read_image"]
