"""A network as a list of named layers, run one by one, so that every map on the way can be looked at.

Source: the operators of LiteRT (tensorflow/lite/kernels), whose padding rule is not PyTorch's: "same" gives ⌈n/s⌉ cells, and an
odd pixel of padding goes behind, never in front.
Notation: B pictures, C channels, H × W places; k window, s stride. Maps are (B, C, H, W), kernels as in torch.nn.functional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

FORMAT = 1  # of the documents that `read_graph` understands
PADDINGS = ("valid", "same")
ACTIVATIONS = ("none", "relu", "relu6")


@dataclass(frozen=True, slots=True)
class Node:
    """One layer."""

    name: str
    op: str  # one of OPERATORS
    inputs: tuple[str, ...]  # names of layers before it, or of the network's input
    shape: tuple[int, ...]  # (C, H, W) or (n,) of its map, for every picture
    weight: (
        Tensor | None
    )  # (C, C_in, k, k), depthwise (C, 1, k, k), transposed (C_in, C, k, k); None: the layer has none
    bias: Tensor | None  # (C,)
    stride: int  # s
    window: int  # k of a pooling layer
    padding: str  # one of PADDINGS
    border: tuple[int, int, int, int]  # zeros that `pad` adds on the left, right, top, bottom
    activation: str  # one of ACTIVATIONS, applied to what the layer made


@dataclass(frozen=True, slots=True)
class GraphNetwork:
    """Layers in an order in which they can run."""

    input_name: str
    input_shape: tuple[int, ...]  # (C, H, W)
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]  # what an answer is -> name of the layer that gives it

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(t.numel() for node in self.nodes for t in (node.weight, node.bias) if t is not None)


@dataclass(frozen=True, slots=True)
class LayerStep:
    """The network has run one layer further."""

    index: int  # from 0
    node: Node
    values: Tensor  # (B, *node.shape)


@dataclass(frozen=True, slots=True)
class GraphRun:
    """Every map of one run."""

    maps: Mapping[str, Tensor]  # by name of layer, in the order of running, the input first; each (B, *shape)
    outputs: Mapping[str, Tensor]  # the network's answers, by what they are


def same_padding(size: int, *, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis such that ⌈size / stride⌉ windows fit.

    Convention: LiteRT's and TensorFlow's; an odd zero goes behind. (PyTorch's `padding=1` would put it in front: every
    map would be shifted by a pixel.)

    Args:
        size, window, stride: in cells, at least 1.

    Raises:
        ValueError: if one is below 1.

    Source: tensorflow/lite/kernels/padding.h, ComputePaddingWithOffset.
    Differs: no dilation.

    >>> print(same_padding(256, window=3, stride=2), same_padding(5, window=3, stride=2))
    (0, 1) (1, 1)
    """
    if min(size, window, stride) < 1:
        raise ValueError(f"size, window and stride must be at least 1, got {size}, {window} and {stride}")
    total = max(0, (-(-size // stride) - 1) * stride + window - size)
    return total // 2, total - total // 2


def _padded(node: Node, x: Tensor) -> Tensor:
    if node.padding == "valid":
        return x
    assert node.weight is not None
    k_h, k_w = node.weight.shape[2:]
    top, bottom = same_padding(x.shape[2], window=k_h, stride=node.stride)
    left, right = same_padding(x.shape[3], window=k_w, stride=node.stride)
    return F.pad(x, (left, right, top, bottom))


def _convolution(node: Node, x: Tensor) -> Tensor:
    return F.conv2d(_padded(node, x), cast(Tensor, node.weight), node.bias, stride=node.stride)


def _depthwise(node: Node, x: Tensor) -> Tensor:
    return F.conv2d(_padded(node, x), cast(Tensor, node.weight), node.bias, stride=node.stride, groups=x.shape[1])


def _transposed(node: Node, x: Tensor) -> Tensor:
    return F.conv_transpose2d(x, cast(Tensor, node.weight), node.bias, stride=node.stride)


def _added(_: Node, x: Tensor, y: Tensor) -> Tensor:
    return x + y


def _multiplied(_: Node, x: Tensor, y: Tensor) -> Tensor:
    """Also a map of one place with a whole one: a gate on every channel."""
    return x * y


def _bordered(node: Node, x: Tensor) -> Tensor:
    return F.pad(x, node.border)


def _resized(node: Node, x: Tensor) -> Tensor:
    """Pixel centres lie at (i + ½) / n of the picture; outside the outermost centres the border's value holds."""
    return F.interpolate(x, size=list(node.shape[1:]), mode="bilinear", align_corners=False)


def _averaged(node: Node, x: Tensor) -> Tensor:
    return F.avg_pool2d(x, node.window, node.stride)


def _largest(node: Node, x: Tensor) -> Tensor:
    return F.max_pool2d(x, node.window, node.stride)


def _relu(_: Node, x: Tensor) -> Tensor:
    return F.relu(x)


def _hard_swish(_: Node, x: Tensor) -> Tensor:
    return F.hardswish(x)


def _sigmoid(_: Node, x: Tensor) -> Tensor:
    return x.sigmoid()


def _flattened(node: Node, x: Tensor) -> Tensor:
    """Of a single place, so that the order of rows, columns and channels cannot matter."""
    if x.shape[2:] != (1, 1):
        raise ValueError(f"layer {node.name!r}: flatten needs a map of one place, got {tuple(x.shape[2:])}")
    return x.flatten(1)


# How many maps a layer reads, whether it has weights, and what it does
OPERATORS: dict[str, tuple[int, bool, Callable[..., Tensor]]] = {
    "convolution": (1, True, _convolution),
    "depthwise_convolution": (1, True, _depthwise),
    "transposed_convolution": (1, True, _transposed),
    "add": (2, False, _added),
    "multiply": (2, False, _multiplied),
    "pad": (1, False, _bordered),
    "resize_bilinear": (1, False, _resized),
    "average_pool": (1, False, _averaged),
    "max_pool": (1, False, _largest),
    "relu": (1, False, _relu),
    "hard_swish": (1, False, _hard_swish),
    "sigmoid": (1, False, _sigmoid),
    "flatten": (1, False, _flattened),
}


def read_graph(
    document: Mapping[str, Any], weights: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> GraphNetwork:
    """A network from its description and its weights.

    Convention: weights are named `<layer>.weight` and `<layer>.bias`; whatever they are stored in, they are computed with
    in `dtype`. Pooling is "valid": no window reaches outside.

    Args:
        document: `format`, `input` (name and shape), `nodes` and `outputs`, as in assets/models/person_segmentation.json.
        weights: by name, all on one device, which is where the network then runs.
        dtype: a floating type.

    Raises:
        ValueError: if the format, an operator, a padding or an activation is unknown, a layer reads what is not there before
            it, a name comes twice, or weights are missing or left over.

    Source: own.
    Differs: nothing left out.

    >>> layer = {"name": "twice", "op": "add", "inputs": ["x", "x"], "shape": [1, 2, 2]}
    >>> text = {"format": 1, "input": {"name": "x", "shape": [1, 2, 2]}, "nodes": [layer], "outputs": {"sum": "twice"}}
    >>> print(run_graph(read_graph(text, {}), torch.ones(1, 1, 2, 2)).outputs["sum"].sum())
    tensor(8.)
    """
    if document.get("format") != FORMAT:
        raise ValueError(f"document must have format {FORMAT}, got {document.get('format')!r}")
    start: Mapping[str, Any] = document["input"]
    known, left, nodes = {str(start["name"])}, dict(weights), list[Node]()
    for item in cast("list[dict[str, Any]]", document["nodes"]):
        node = _read_node(item, known, left, dtype)
        known.add(node.name)
        nodes.append(node)
    if left:
        raise ValueError(f"weights must belong to layers, but {sorted(left)[0]!r} belongs to none")
    outputs = {str(key): str(name) for key, name in document["outputs"].items()}
    for key, name in outputs.items():
        if name not in known:
            raise ValueError(f"output {key!r} names the layer {name!r}, which is not there")
    return GraphNetwork(str(start["name"]), tuple(start["shape"]), tuple(nodes), outputs)


def _read_node(item: Mapping[str, Any], known: set[str], left: dict[str, Tensor], dtype: torch.dtype) -> Node:
    """One layer; its weights are taken out of `left`."""
    name, op, inputs = str(item["name"]), str(item["op"]), tuple(str(x) for x in item["inputs"])
    if op not in OPERATORS:
        raise ValueError(f"layer {name!r}: unknown operator {op!r}, must be one of {', '.join(OPERATORS)}")
    arity, weighted, _ = OPERATORS[op]
    padding, activation = str(item.get("padding", "valid")), str(item.get("activation", "none"))
    if padding not in PADDINGS or activation not in ACTIVATIONS:
        raise ValueError(f"layer {name!r}: unknown padding {padding!r} or activation {activation!r}")
    if padding == "same" and op not in ("convolution", "depthwise_convolution"):
        raise ValueError(f"layer {name!r}: padding 'same' is for convolutions, not for {op}")
    if name in known:
        raise ValueError(f"layer {name!r} comes twice")
    if len(inputs) != arity:
        raise ValueError(f"layer {name!r}: {op} reads {arity} maps, got {len(inputs)}")
    for source in inputs:
        if source not in known:
            raise ValueError(f"layer {name!r} reads {source!r}, which no layer before it gives")
    found = [left.pop(f"{name}.{kind}", None) for kind in ("weight", "bias")] if weighted else [None, None]
    if weighted and (found[0] is None or found[0].ndim != 4):
        said = "none" if found[0] is None else tuple(found[0].shape)
        raise ValueError(f"layer {name!r}: {name}.weight must have four dimensions, got {said}")
    weight, bias = (None if t is None else t.detach().to(dtype) for t in found)
    shape, border = tuple(int(n) for n in item["shape"]), cast("list[int]", item.get("border", [0, 0, 0, 0]))
    left_side, right, top, bottom = border
    return Node(
        name,
        op,
        inputs,
        shape,
        weight,
        bias,
        int(item.get("stride", 1)),
        int(item.get("window", 1)),
        padding,
        (left_side, right, top, bottom),
        activation,
    )


def graph_steps(network: GraphNetwork, x: Tensor) -> Iterator[LayerStep]:
    """Run the network layer by layer.

    Convention: a layer's activation belongs to its map.

    Args:
        network: from `read_graph`.
        x: (B, C, H, W) of the network's own size, in the type and on the device of its weights.

    Raises:
        ValueError: at the call if x has another shape, type or device; on the way if a map has not the shape that the
            network says.

    Source: own.
    Differs: nothing left out.

    >>> layer = {"name": "up", "op": "resize_bilinear", "inputs": ["x"], "shape": [1, 1, 4]}
    >>> text = {"format": 1, "input": {"name": "x", "shape": [1, 1, 2]}, "nodes": [layer], "outputs": {}}
    >>> for step in graph_steps(read_graph(text, {}), torch.tensor([[[[0.0, 1.0]]]])):
    ...     print(step.index, step.node.name, step.values.tolist())
    0 up [[[[0.0, 0.25, 0.75, 1.0]]]]
    """
    if x.ndim != 4 or tuple(x.shape[1:]) != network.input_shape or not x.shape[0]:
        raise ValueError(f"x must be (B, {', '.join(map(str, network.input_shape))}), got {tuple(x.shape)}")
    for node in network.nodes:
        if node.weight is not None and (node.weight.dtype, node.weight.device) != (x.dtype, x.device):
            raise ValueError(
                f"x must be {node.weight.dtype} on {node.weight.device}, as the weights, got {x.dtype} on {x.device}"
            )
    return _steps(network, x)


@torch.no_grad()
def _steps(network: GraphNetwork, x: Tensor) -> Iterator[LayerStep]:
    maps = {network.input_name: x}
    for index, node in enumerate(network.nodes):
        made = OPERATORS[node.op][2](node, *(maps[name] for name in node.inputs))
        values = made if node.activation == "none" else F.relu(made) if node.activation == "relu" else F.relu6(made)
        if tuple(values.shape) != (x.shape[0], *node.shape):
            raise ValueError(
                f"layer {node.name!r} should give {(x.shape[0], *node.shape)}, but gave {tuple(values.shape)}"
            )
        maps[node.name] = values
        yield LayerStep(index, node, values)


def run_graph(network: GraphNetwork, x: Tensor) -> GraphRun:
    """Run the network and keep every map.

    Convention: as `graph_steps`.

    Args:
        network, x: as `graph_steps`.

    Raises:
        ValueError: as `graph_steps`.

    Source: own.
    Differs: nothing left out.

    >>> layer = {"name": "half", "op": "average_pool", "inputs": ["x"], "shape": [1, 1, 1], "window": 2, "stride": 2}
    >>> text = {"format": 1, "input": {"name": "x", "shape": [1, 2, 2]}, "nodes": [layer], "outputs": {"mean": "half"}}
    >>> found = run_graph(read_graph(text, {}), torch.arange(4.0).reshape(1, 1, 2, 2))
    >>> print(list(found.maps), found.outputs["mean"].item())
    ['x', 'half'] 1.5
    """
    maps = {network.input_name: x} | {step.node.name: step.values for step in graph_steps(network, x)}
    return GraphRun(maps, {key: maps[name] for key, name in network.outputs.items()})
