"""Which pixels a cell of a network's map looks at.

Notation: s stride, k window, p padding in front; j pixels between neighbouring cells, c the place of the first cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.perception.graph_network import GraphNetwork, same_padding


@dataclass(frozen=True, slots=True)
class MapGeometry:
    """Where the cells of a map look, along the rows of places that its convolutions walk over."""

    stride: int  # input pixels from one cell to the next
    first_centre: float  # px: cell i looks at first_centre + i · stride
    field: int  # px on a side that the convolutions of a cell see; a pooled gate on the way sees the whole input


def map_geometry(network: GraphNetwork, name: str) -> MapGeometry:
    """Trace a map back to the pixels of the input.

    Convention: pixel i has its centre at i. Of two maps that are added, the wider one counts; gates (a map of one place that
    is multiplied in) are passed over.

    Args:
        network: from `read_graph`.
        name: of a layer, with nothing transposed or resized before it.

    Raises:
        ValueError: if there is no such layer, or it lies behind an enlargement.

    Source: own, the usual recurrences: j ← j·s, c ← c + ((k − 1)/2 − p)·j, field ← field + (k − 1)·j.
    Differs: nothing left out.

    >>> import torch
    >>> from core.perception.graph_network import read_graph
    >>> layer = {"name": "c", "op": "convolution", "inputs": ["x"], "shape": [1, 4, 4], "stride": 2, "padding": "same"}
    >>> text = {"format": 1, "input": {"name": "x", "shape": [1, 8, 8]}, "nodes": [layer], "outputs": {}}
    >>> print(map_geometry(read_graph(text, {"c.weight": torch.ones(1, 1, 3, 3)}), "c"))
    MapGeometry(stride=2, first_centre=1.0, field=3)
    """
    sizes = {network.input_name: network.input_shape} | {node.name: node.shape for node in network.nodes}
    known = {network.input_name: MapGeometry(1, 0.0, 1)}
    for node in network.nodes:
        before = [source for source in node.inputs if sizes[source][1:] != (1, 1)]
        enlarges = node.op in ("transposed_convolution", "resize_bilinear")
        if not before or enlarges or any(source not in known for source in before):
            continue
        widest = max((known[source] for source in before), key=lambda geometry: geometry.field)
        k = node.window if node.weight is None else node.weight.shape[3]
        ahead = float(node.border[0])
        if node.padding == "same":
            ahead = float(same_padding(sizes[node.inputs[0]][2], window=k, stride=node.stride)[0])
        known[node.name] = MapGeometry(
            widest.stride * node.stride,
            widest.first_centre + ((k - 1) / 2 - ahead) * widest.stride,
            widest.field + (k - 1) * widest.stride,
        )
    if name not in known:
        raise ValueError(f"name must be a layer before any enlargement, got {name!r}")
    return known[name]
