import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.perception.graph_network import read_graph, run_graph
from core.perception.map_geometry import MapGeometry, map_geometry

MODELS = Path(__file__).parents[3] / "assets" / "models"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def bundled(name):
    document = json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8"))
    return read_graph(document, load_file(MODELS / f"{name}.safetensors"))


def chain(layers, side):
    """Layers after one another, all weights one: what a cell gets from a lit pixel tells whether it looks there."""
    nodes, weights, before, size = [], {}, "x", side
    for i, (op, k, stride, padding) in enumerate(layers):
        name = f"layer{i}"
        size = size + 2 * k if op == "pad" else -(-size // stride) if padding == "same" else (size - k) // stride + 1
        node = {"name": name, "op": op, "inputs": [before], "shape": [1, size, size], "stride": stride}
        if op == "pad":
            node |= {"border": [k] * 4, "stride": 1}
        elif op.endswith("pool"):
            node["window"] = k
        else:
            node["padding"] = padding
            weights[f"{name}.weight"] = torch.ones(1, 1, k, k)
        nodes.append(node)
        before = name
    return read_graph(
        {"format": 1, "input": {"name": "x", "shape": [1, side, side]}, "nodes": nodes, "outputs": {}}, weights
    ), before


CHAINS = (
    [("convolution", 3, 2, "same"), ("depthwise_convolution", 3, 2, "same"), ("convolution", 5, 1, "same")],
    [("pad", 1, 1, ""), ("convolution", 3, 2, "valid"), ("convolution", 3, 1, "same"), ("max_pool", 2, 2, "valid")],
    [("convolution", 5, 2, "same"), ("average_pool", 2, 2, "valid"), ("convolution", 1, 1, "valid")],
    [("depthwise_convolution", 5, 2, "same"), ("depthwise_convolution", 5, 2, "same"), ("convolution", 2, 1, "valid")],
)


@pytest.mark.parametrize("layers", CHAINS, ids=range(len(CHAINS)))
def test_cells_look_where_lit_pixels_reach_them(layers, receipt):
    side = 64
    network, name = chain(layers, side)
    lit = torch.zeros(side, 1, side, side)
    lit[torch.arange(side), 0, 32, torch.arange(side)] = 1  # one column of row 32 after another
    found = run_graph(network, lit).maps[name][:, 0]
    middle = found.sum((0, 2)).argmax()
    geometry = map_geometry(network, name)
    first, last = 3, found.shape[2] - 4  # cells that see no border
    for cell in (first, last):
        seen = np.flatnonzero(found[:, middle, cell].numpy())
        receipt(map_geometry, "field", geometry.field, seen[-1] - seen[0] + 1, reference="lighting pixel after pixel")
        centre = (seen[0] + seen[-1]) / 2
        receipt(
            map_geometry,
            "centre",
            geometry.first_centre + cell * geometry.stride,
            centre,
            reference="lighting pixel after pixel",
        )


@pytest.mark.parametrize(
    ("name", "layer", "stride"),
    [
        ("person_segmentation", "h_swish", 2),
        ("person_segmentation", "conv2d_4", 4),
        ("person_segmentation", "add", 8),
        ("person_segmentation", "add_4", 16),
        ("pose_landmarks", "re_lu", 2),
        ("pose_landmarks", "add", 4),
    ],
)
def test_strides_of_the_bundled_encoders(name, layer, stride, receipt):
    network = bundled(name)
    geometry = map_geometry(network, layer)
    size = run_graph(network, torch.zeros(1, *network.input_shape)).maps[layer].shape[1:]
    for key, count in (("map_height", size[1]), ("map_width", size[2])):
        receipt(run_graph, key, count, len(range(0, 256, stride)), reference="counting every stride-th pixel")
    assert geometry.stride == stride == 256 // size[2]
    assert geometry.field % 2 == 1
    last = geometry.first_centre + (size[2] - 1) * stride
    assert 0 <= geometry.first_centre <= stride
    assert 255 - stride <= last <= 255


def test_the_input_is_itself_and_gates_are_passed_over():
    network = bundled("person_segmentation")
    assert map_geometry(network, "input") == MapGeometry(1, 0.0, 1)
    gated = map_geometry(network, "multiply")  # the whole map's average, multiplied in
    assert gated == map_geometry(network, "re_lu_1") == MapGeometry(4, 3.0, 7)
    for wrong in ("up_sampling2d", "add_5", "conv2d_39", "mask", "nothing"):
        with pytest.raises(ValueError, match="before any enlargement"):
            map_geometry(network, wrong)
