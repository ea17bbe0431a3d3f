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

    imports, body = list(HEAD), ["", "torch.set_num_threads(1)"]
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
        f"tiles = dict(block_q=block_q, block_k=block_k, causal={c.causal})",
        f"rules = dict(order={c.order!r}, rule={c.rule!r}, rescale_threshold={c.threshold}, state_dtype={state})",
        "output = collect_tiles(attention_tiles(q, k, v, key_order=key_order, **tiles, **rules), q, v).output",
        f"exact = materialised_attention(q.double(), k.double(), v.double(), causal={c.causal})",
        "apart = agreement(output, exact)",
        f"sizes = dict(dtype_bytes={options['dtype_bytes']}, heads=heads, initial={c.initial!r})",
    ]
    if c.direction == "decode":
        body.append("q, key_order = q[-1:], None")
        body.append("n_q, tiles['block_q'] = 1, 1")
    way, order = ("backward", "None") if c.direction == "backward" else ("forward", "key_order")
    body += [
        f"moved = dict(direction={way!r}, order={c.order!r}, key_order={order}, **tiles, **sizes)",
        "steps = list(traffic_steps(n_q, d, n_k=n_k, **moved))",
        "total, standard = steps[-1].total.total, steps[-1].standard.total",
        'numbers = {"traffic_ratio": total / standard, "max_error": apart.max_error}',
        'numbers["max_error"] = apart.max_error if np.isfinite(apart.max_error) else None',
        "if apart.not_finite:",
        '    numbers["not_finite"] = apart.not_finite',
    ]
    if c.key_order != "left":
        body += [
            "straight = collect_tiles(attention_tiles(q, k, v, **tiles, **rules), q, v).output",
            'numbers["equal_share"] = agreement(output, straight).equal_share',
        ]
    body += [
        "on_chip = {sram_use(len(s.tile.rows), len(s.tile.cols), d, capacity_bytes=capacity, **memory).total for s in steps}",
        "if len(on_chip) == 1:  # all tiles are of one size",
        '    numbers["sram_bytes"] = on_chip.pop()',
        "print(json.dumps(numbers))",
    ]
    return "\n".join([*imports, *body]) + "\n"


def _inputs(c: Controls, body: list[str]) -> list[str]:
    """Lines that make q, k, v and heads, and the imports they need."""
    if c.source == "noise":
        keys = f", n_k={c.keys}" if c.keys else ""
        body.append(f"x = noise_inputs({c.tokens}, {c.channels}, seed={c.seed}{keys}, spread={c.spread})")
        body.append(f"q, k, v, heads = x.q, x.k, x.v, {c.heads}")
        return ["from core.systems.attention_inputs import noise_inputs"]
    if c.source == "arrays":
        body += [
            'x = np.load("qkv.npz")',
            'q, k, v = (x[name].astype(np.float64) for name in "qkv")',
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
