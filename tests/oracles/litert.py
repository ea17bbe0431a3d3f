"""LiteRT runs a network that is described as a list of layers: the description is written as a TFLite file of its own."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

SAME, VALID = 0, 1
FUSED = {"none": 0, "relu": 1, "relu6": 3}
CUSTOM = (
    "Convolution2DTransposeBias"  # MediaPipe's own operator: three numbers are its options, padding and two strides
)
FLOAT, WHOLE = 0, 2  # of the format's types of numbers
CODES = {
    "convolution": "CONV_2D",
    "depthwise_convolution": "DEPTHWISE_CONV_2D",
    "transposed_convolution": "TRANSPOSE_CONV",
    "add": "ADD",
    "multiply": "MUL",
    "pad": "PAD",
    "resize_bilinear": "RESIZE_BILINEAR",
    "average_pool": "AVERAGE_POOL_2D",
    "max_pool": "MAX_POOL_2D",
    "relu": "RELU",
    "hard_swish": "HARD_SWISH",
    "sigmoid": "LOGISTIC",
    "flatten": "RESHAPE",
}


class Writer:
    """Collects tensors and operators of one file."""

    def __init__(self, schema: Any) -> None:
        self.s = schema
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators = [], []
        self.places: dict[str, int] = {}

    def tensor(self, name: str, shape: list[int], values: np.ndarray | None = None) -> int:
        tensor = self.s.TensorT()
        tensor.name, tensor.shape = name.encode(), shape
        tensor.type = FLOAT if values is None or values.dtype == np.float32 else WHOLE
        if values is not None:
            buffer = self.s.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        self.places[name] = len(self.graph.tensors) - 1
        return self.places[name]

    def code(self, name: str) -> int:
        if name == CUSTOM:
            self.model.operatorCodes.append(self.s.OperatorCodeT())
            self.model.operatorCodes[-1].customCode = CUSTOM.encode()
            self.model.operatorCodes[-1].builtinCode = self.model.operatorCodes[-1].deprecatedBuiltinCode = 32
            return len(self.model.operatorCodes) - 1
        number = getattr(self.s.BuiltinOperator, name)
        for index, code in enumerate(self.model.operatorCodes):
            if code.builtinCode == number:
                return index
        code = self.s.OperatorCodeT()
        code.builtinCode = number
        code.deprecatedBuiltinCode, code.version = min(number, 127), 3 if name == "TRANSPOSE_CONV" else 1
        if name == "RESIZE_BILINEAR":
            code.version = 3
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def options(self, kind: str, **values: Any) -> tuple[int, Any]:
        made = getattr(self.s, f"{kind}T")()
        for name, value in values.items():
            assert hasattr(made, name)
            setattr(made, name, value)
        return getattr(self.s.BuiltinOptions, kind), made


def rows_first(shape: list[int], batch: int) -> list[int]:
    """[C, H, W] -> [B, H, W, C]."""
    return [batch, *shape[1:], shape[0]] if len(shape) == 3 else [batch, *shape]


def tflite_of(
    document: Mapping[str, Any], weights: Mapping[str, np.ndarray], *, batch: int = 1, last: bool = False
) -> bytes:
    """The file; every layer is an output. Weights lie as in PyTorch.

    With `last` only what the description says is an output, and the transposed convolution is MediaPipe's own operator.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    w = Writer(schema)
    start = document["input"]
    w.graph.inputs = [w.tensor(start["name"], rows_first(start["shape"], batch))]
    for node in document["nodes"]:
        inputs, kind, options = _operands(w, node, weights, batch)
        operator = schema.OperatorT()
        own = last and node["op"] == "transposed_convolution"
        operator.opcodeIndex = w.code(CUSTOM if own else CODES[node["op"]])
        operator.inputs = inputs
        operator.outputs = [w.tensor(node["name"], rows_first(node["shape"], batch))]
        if own:  # reads the map first, and no size
            operator.inputs = [inputs[2], inputs[1], inputs[3]]
            operator.customOptions = np.frombuffer(np.array([1, *[node["stride"]] * 2], np.int32).tobytes(), np.uint8)
        elif kind:
            operator.builtinOptionsType, operator.builtinOptions = w.options(kind, **options)
        w.graph.operators.append(operator)
    wanted = document["outputs"].values() if last else [node["name"] for node in document["nodes"]]
    w.graph.outputs = [w.places[name] for name in wanted]
    builder = flatbuffers.Builder(1024)
    builder.Finish(w.model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operands(
    w: Writer, node: Mapping[str, Any], weights: Mapping[str, np.ndarray], batch: int
) -> tuple[list[int], str, dict[str, Any]]:
    """Tensors that an operator reads, and its options."""
    name, op, inputs = node["name"], node["op"], [w.places[source] for source in node["inputs"]]
    stride, fused = node.get("stride", 1), FUSED[node.get("activation", "none")]
    if op in ("convolution", "depthwise_convolution", "transposed_convolution"):
        order = {"convolution": (0, 2, 3, 1), "depthwise_convolution": (1, 2, 3, 0)}.get(op, (1, 2, 3, 0))
        kernel = np.asarray(weights[f"{name}.weight"], np.float32).transpose(order)
        bias = np.asarray(weights.get(f"{name}.bias", np.zeros(node["shape"][0])), np.float32)
        constants = [
            w.tensor(f"{name}.weight", list(kernel.shape), kernel),
            w.tensor(f"{name}.bias", list(bias.shape), bias),
        ]
        common = {
            "padding": SAME if node.get("padding") == "same" else VALID,
            "strideW": stride,
            "strideH": stride,
            "fusedActivationFunction": fused,
        }
        if op == "transposed_convolution":
            size = np.array(rows_first(node["shape"], batch), np.int32)
            return (
                [w.tensor(f"{name}.size", [4], size), constants[0], *inputs, constants[1]],
                "TransposeConvOptions",
                common,
            )
        factor = {"dilationWFactor": 1, "dilationHFactor": 1}
        if op == "convolution":
            return [*inputs, *constants], "Conv2DOptions", common | factor
        return [*inputs, *constants], "DepthwiseConv2DOptions", common | factor | {"depthMultiplier": 1}
    if op in ("average_pool", "max_pool"):
        window = node["window"]
        sides = {"filterWidth": window, "filterHeight": window, "strideW": stride, "strideH": stride}
        return inputs, "Pool2DOptions", sides | {"padding": VALID, "fusedActivationFunction": fused}
    if op == "pad":
        left, right, top, bottom = node["border"]
        border = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        return [*inputs, w.tensor(f"{name}.border", [4, 2], border)], "PadOptions", {}
    if op == "resize_bilinear":
        size = np.array(node["shape"][1:], np.int32)
        return (
            [*inputs, w.tensor(f"{name}.size", [2], size)],
            "ResizeBilinearOptions",
            {"alignCorners": False, "halfPixelCenters": True},
        )
    if op == "flatten":
        return [*inputs, w.tensor(f"{name}.size", [2], np.array([batch, *node["shape"]], np.int32))], "", {}
    kinds = {"add": "AddOptions", "multiply": "MulOptions"}
    return (inputs, kinds[op], {"fusedActivationFunction": fused}) if op in kinds else (inputs, "", {})


def run_tflite(flatbuffer: bytes, x: np.ndarray, *, plain: bool = True) -> dict[str, np.ndarray]:
    """Every output for (B, C, H, W), as (B, C, H, W) or (B, n): by LiteRT's plain kernels, or by its usual fast ones."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF if plain else OpResolverType.AUTO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = Interpreter(model_content=flatbuffer, num_threads=1, experimental_op_resolver_type=kernels)
    engine.allocate_tensors()
    engine.set_tensor(engine.get_input_details()[0]["index"], np.moveaxis(x, 1, 3).astype(np.float32))
    engine.invoke()
    found = {detail["name"]: engine.get_tensor(detail["index"]) for detail in engine.get_output_details()}
    return {name: np.moveaxis(a, 3, 1) if a.ndim == 4 else a for name, a in found.items()}


def litert_maps(
    document: Mapping[str, Any], weights: Mapping[str, np.ndarray], x: np.ndarray, *, plain: bool = True
) -> dict[str, np.ndarray]:
    """Every map of a described network, by LiteRT."""
    return run_tflite(tflite_of(document, weights, batch=x.shape[0]), x, plain=plain)
