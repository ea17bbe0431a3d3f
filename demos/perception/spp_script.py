"""Controls -> a few lines of Python that print the same numbers."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from demos.perception.spp_inputs import DECODED_PIXELS, GREYS, NETWORK_MAPS, PHOTOS, TILE, box_of, levels_of

if TYPE_CHECKING:
    from demos.perception.spatial_pyramid_pooling import Controls

SIDE = 256  # px of the square that the network sees
MOST_RATE = 48  # of the dilated filters that are stepped through


def script_of(c: Controls) -> str:
    """Runs from the repository's root and prints one line of JSON. Uploads lie beside it, under their own names."""
    imports = {"import json"}
    body: list[str] = []
    _features(c, imports, body)
    views = {"pyramid": _pyramid, "box": _box, "block": _block, "averages": _averages, "atrous": _atrous}
    views[c.view](c, imports, body)
    body.append("print(json.dumps(numbers))")
    plain = sorted(line for line in imports if line.startswith("import"))
    return "\n".join([*plain, "", *sorted(imports.difference(plain)), "", *body]) + "\n"


def _features(c: Controls, imports: set[str], body: list[str]) -> None:
    if c.source == "array":
        imports |= {
            "from demos.perception.spp_inputs import inputs_of",
            "from demos.perception.spatial_pyramid_pooling import Controls",
        }
        files = tuple(PurePath(path).name for path in c.feature_file)
        body += [f"x = inputs_of(Controls(source='array', feature_file={files!r})).features", "found = None"]
        return
    imports.add("import numpy as np")
    if c.source in PHOTOS:
        imports.add("from PIL import Image")
        body.append(f'photo = np.asarray(Image.open("assets/images/{c.source}.jpg").convert("RGB"))')
    elif c.source == "tiles":
        body.append(f"greys = np.kron(np.array({GREYS}, np.uint8), np.ones(({TILE}, {TILE}), np.uint8))")
        body.append("photo = np.repeat(greys[..., None], 3, axis=2)")
    else:
        imports.add("from demos.kit.uploads import read_image")
        name = PurePath(c.photo[0]).name if c.photo else ""
        body.append(f"photo = read_image({name!r}, max_pixels={DECODED_PIXELS}).rgb")
    if c.features in NETWORK_MAPS:
        imports |= {"from demos.kit.uploads import Picture", "from demos.perception.spp_inputs import from_network"}
        body += [f"found = from_network(Picture(photo, photo.shape[1::-1], ()), {c.features!r})", "x = found.features"]
        return
    imports |= {"import cv2", "from core.perception.filter_bank import filter_features"}
    activation = "none" if c.features == "signed" else "relu"
    body += [
        f"image = cv2.resize(photo, ({c.width}, {c.height}), interpolation=cv2.INTER_AREA)",
        f"found = filter_features(image, stride={c.stride}, padding={c.padding!r}, activation={activation!r})",
        "x = found.features",
    ]


def _lengths(c: Controls) -> list[str]:
    sized = ["numbers.update(map_width=x.shape[3], map_height=x.shape[2])"] if c.source != "array" else []
    reads = ["numbers.update(values_read=pyramid.values_read, cells_read=pyramid.cells_read)"]
    return [
        "numbers = dict(vector_length=pyramid.length, expected_length=pyramid.expected_length)",
        *((sized + reads) if c.view == "pyramid" else []),
        "x0, y0, x1, y1 = pyramid.window",
        f"channel = x[0, min({c.channel}, x.shape[1] - 1), y0:y1, x0:x1].numpy()",
        f"steps = list(pooling_steps(channel, {levels_of(c.levels)}, rule=pyramid.rule))[1:]",
        "if len({step.value for step in steps}) == 1:  # every bin read the same",
        '    numbers["bin_maximum"] = steps[0].value',
    ]


def _pyramid(c: Controls, imports: set[str], body: list[str]) -> None:
    imports |= {
        "from core.perception.pooling_steps import pooling_steps",
        "from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool",
    }
    options = f"rule={c.rule!r}, order={c.order!r}, start={c.start!r}"
    body += [f"pyramid = spatial_pyramid_pool(x, {levels_of(c.levels)}, {options})", *_lengths(c)]


def _box(c: Controls, imports: set[str], body: list[str]) -> None:
    imports |= {
        "from core.perception.pooling_steps import pooling_steps",
        "from core.perception.spatial_pyramid_pooling import spatial_pyramid_pool",
        "from core.perception.window_projection import project_window",
    }
    if c.source == "array":
        body += ["height, width = 16 * x.shape[2], 16 * x.shape[3]", "centre, stride = 7.5, 16"]
        body.append("box = (0.3 * width, 0.3 * height, 0.7 * width - 1, 0.7 * height - 1)" if not c.box else "")
    else:
        body.append("centre, stride = found.first_centre, found.stride")
    if c.source != "array" or c.box:
        side = (SIDE, SIDE) if c.features in NETWORK_MAPS else (c.height, c.width)
        body.append(f"box = {box_of(c.box, side)}")
    body += [
        f"window = project_window(box, stride=stride, rule={c.projection!r}, map_size=tuple(x.shape[2:]), first_centre=centre)",
        f"options = dict(order={c.order!r}, start={c.start!r}, window=window.cells_xyxy)",
        f"pyramid = spatial_pyramid_pool(x, {levels_of(c.levels)}, **options)",
        *_lengths(c),
        "numbers.update(cells=window.cells, iou=window.iou)",
        "for name, axis in (('columns', window.x), ('rows', window.y)):",
        "    numbers.update({f'first_cell[{name}]': axis.first, f'last_cell[{name}]': axis.last})",
    ]


def _block(c: Controls, imports: set[str], body: list[str]) -> None:
    imports.add("from core.perception.sppf_equivalence import compare_blocks, tie_gradients")
    body += [
        f"blocks, ties = compare_blocks(x, kernel={c.kernel}), tie_gradients(x, kernel={c.kernel})",
        "numbers = dict(differing_bits=sum(blocks.differing))",
        'for name, cost in zip(("spp", "sppf", "separable"), blocks.costs):',
        '    numbers[f"comparisons_per_pixel[{name}]"] = cost.per_pixel',
        "numbers.update(tied_pixels=ties.tied, differing_gradients=ties.differing)",
    ]


def _averages(c: Controls, imports: set[str], body: list[str]) -> None:
    imports |= {"import math", "from core.perception.pyramid_averages import pyramid_averages"}
    body += [
        "averages = pyramid_averages(x)",
        "errors = [level.nesting_error for level in averages.levels]",
        "numbers = dict(channels_out=averages.channels_out)",
        'numbers["nesting_error"] = max(error for error in errors if math.isfinite(error))',
    ]


def _atrous(c: Controls, imports: set[str], body: list[str]) -> None:
    imports.add("from core.perception.atrous_coverage import atrous_coverage")
    body += [
        f"coverages = [atrous_coverage(tuple(x.shape[2:]), rate) for rate in range(1, {MOST_RATE} + 1)]",
        "numbers = {}",
        'for name in ("all_taps", "one_tap", "mean_taps"):',
        "    values = {getattr(coverage, name) for coverage in coverages}",
        "    if len(values) == 1:  # the same at every rate",
        "        numbers[name] = values.pop()",
    ]
