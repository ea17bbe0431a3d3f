"""Converts two bundled networks, once: `python -m training.person_networks`, or with the folder that the packages lie in.

Person segmentation and pose landmarks were trained by the MediaPipe authors and published, under the Apache License 2.0, inside
two npm packages as TFLite files. This takes the files out (`npm pack` fetches the packages unless a folder with the .tgz files is
given), checks their sums, and writes what `core.perception.graph_network` runs: weights as safetensors in the half precision
that the files hold them in, so without any loss, and the layers as JSON. LiteRT then runs the original on random numbers; the
means of all its maps are kept in the JSON, and how far the converted network is from them is written to person_networks.log.

Besides npm it needs two packages that nothing else here needs: `pip install ai-edge-litert flatbuffers`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from core.perception.graph_network import FORMAT, read_graph, run_graph

ROOT = Path(__file__).parents[1]
MODELS, LOG = ROOT / "assets" / "models", Path(__file__).with_suffix(".log")
LARGEST = 5e-3  # deviation from LiteRT that is still rounding, as a share of a map's largest value


@dataclass(frozen=True)
class Source:
    """One network: where it comes from, and what its answers are called here."""

    name: str
    package: str
    version: str
    file: str
    sha256: str
    outputs: dict[str, str]  # name of the file's output -> name here


SOURCES = (
    Source(
        "person_segmentation",
        "@mediapipe/selfie_segmentation",
        "0.1.1675465747",
        "selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        {"activation_10": "mask"},
    ),
    Source(
        "pose_landmarks",
        "@mediapipe/pose",
        "0.5.1675469404",
        "pose_landmark_lite.tflite",
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
        {
            "Identity": "landmarks",
            "Identity_1": "presence",
            "Identity_2": "mask_logits",
            "Identity_3": "heatmap_logits",
            "Identity_4": "world_landmarks",
        },
    ),
)
OPS = {
    "CONV_2D": "convolution",
    "DEPTHWISE_CONV_2D": "depthwise_convolution",
    "TRANSPOSE_CONV": "transposed_convolution",
    "ADD": "add",
    "MUL": "multiply",
    "PAD": "pad",
    "RESIZE_BILINEAR": "resize_bilinear",
    "AVERAGE_POOL_2D": "average_pool",
    "MAX_POOL_2D": "max_pool",
    "RELU": "relu",
    "HARD_SWISH": "hard_swish",
    "LOGISTIC": "sigmoid",
    "RESHAPE": "flatten",
}
PADDINGS, FUSED = ("same", "valid"), {0: "none", 1: "relu", 3: "relu6"}  # as the file format numbers them
CUSTOM = (
    b"Convolution2DTransposeBias"  # MediaPipe's own transposed convolution with a bias: same layout as the built-in one
)


def schema() -> Any:
    """The file format's classes."""
    from ai_edge_litert import schema_py_generated  # pyright: ignore[reportMissingImports]

    return schema_py_generated


def parse(flatbuffer: bytes) -> Any:
    """The file as a tree of plain objects."""
    s = schema()
    return s.ModelT.InitFromObj(s.Model.GetRootAs(flatbuffer, 0))


class Reader:
    """One subgraph: its layers, and its constants with the files' DEQUANTIZE taken away."""

    def __init__(self, flatbuffer: bytes, outputs: dict[str, str]) -> None:
        self.model, self.outputs = parse(flatbuffer), outputs
        self.graph = self.model.subgraphs[0]
        self.names = {v: k for k, v in vars(schema().BuiltinOperator).items() if not k.startswith("_")}
        self.halves: dict[int, int] = {}  # what DEQUANTIZE makes -> the float16 constant that it reads
        self.layers: list[Any] = []
        for operator in self.graph.operators:
            if self.kind(operator) == "DEQUANTIZE":
                self.halves[int(operator.outputs[0])] = int(operator.inputs[0])
            else:
                self.layers.append(operator)
        self.called = self.short_names()

    def kind(self, operator: Any) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        if code.customCode == CUSTOM:
            return "TRANSPOSE_CONV"
        return self.names[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def shape(self, tensor: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.graph.tensors[tensor].shape)

    def constant(self, tensor: int) -> np.ndarray:
        tensor = self.halves.get(tensor, tensor)
        kinds = {schema().TensorType.FLOAT16: np.float16, schema().TensorType.INT32: np.int32}
        described = self.graph.tensors[tensor]
        data = self.model.buffers[described.buffer].data
        return np.frombuffer(bytes(data), kinds[described.type]).reshape(self.shape(tensor))

    def short_names(self) -> dict[int, str]:
        """tensor -> a name that people can read: the original's first word, numbered where it comes twice."""
        said: dict[int, str] = {int(self.graph.inputs[0]): "input"}
        for operator in self.layers:
            whole = self.graph.tensors[int(operator.outputs[0])].name.decode()
            first = whole.split(";")[0].removeprefix("model_1/model/").split("/")[0].removesuffix("__xeno_compat__1")
            name, count = self.outputs.get(whole, first), 1
            while name in said.values():
                count += 1
                name = f"{first}.{count}"
            said[int(operator.outputs[0])] = name
        return said


def planes(shape: tuple[int, ...]) -> list[int]:
    """(1, H, W, C) -> [C, H, W]; (1, n) -> [n]."""
    return [shape[3], shape[1], shape[2]] if len(shape) == 4 else list(shape[1:])


def convert(flatbuffer: bytes, outputs: dict[str, str]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Layers and weights, as `read_graph` takes them.

    Raises:
        ValueError: if the file holds something that `graph_network` does not compute.
    """
    reader = Reader(flatbuffer, outputs)
    weights: dict[str, torch.Tensor] = {}
    nodes = [layer(reader, operator, weights) for operator in reader.layers]
    graph = reader.graph
    first = int(graph.inputs[0])
    wanted = {outputs[graph.tensors[int(t)].name.decode()]: reader.called[int(t)] for t in graph.outputs}
    document = {
        "format": FORMAT,
        "input": {"name": reader.called[first], "shape": planes(reader.shape(first))},
        "outputs": wanted,
        "nodes": nodes,
    }
    return document, weights


def layer(reader: Reader, operator: Any, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """One layer; its weights go into `weights`, as PyTorch lays them out."""
    kind, options = reader.kind(operator), operator.builtinOptions
    if kind not in OPS:
        raise ValueError(f"{kind} is not among what the networks here compute")
    made, read = int(operator.outputs[0]), [int(t) for t in operator.inputs]
    name, op = reader.called[made], OPS[kind]
    maps = read[:2] if op in ("add", "multiply") else read[:1]
    node: dict[str, Any] = {"name": name, "op": op, "inputs": [reader.called[t] for t in maps]}
    node["shape"] = planes(reader.shape(made))
    if kind == "TRANSPOSE_CONV":  # its options are three numbers: padding, and the strides of columns and rows
        stride, other = (int(n) for n in np.frombuffer(bytes(operator.customOptions), np.int32)[1:])
        kernel = reader.constant(read[1])
        if stride != other or kernel.shape[1:3] != (stride, stride):
            raise ValueError(f"{name}: a transposed convolution whose windows overlap")
        weights[f"{name}.weight"] = torch.from_numpy(
            kernel.transpose(3, 0, 1, 2).copy()
        )  # (C, k, k, in) -> (in, C, k, k)
        weights[f"{name}.bias"] = torch.from_numpy(reader.constant(read[2]).copy())
        node["stride"] = stride
    elif op in ("convolution", "depthwise_convolution"):
        if (options.dilationWFactor, options.dilationHFactor) != (1, 1) or options.strideW != options.strideH:
            raise ValueError(f"{name}: dilated, or with two strides")
        kernel = reader.constant(read[1]).transpose((0, 3, 1, 2) if op == "convolution" else (3, 0, 1, 2))
        weights[f"{name}.weight"] = torch.from_numpy(kernel.copy())
        weights[f"{name}.bias"] = torch.from_numpy(reader.constant(read[2]).copy())
        node |= {"stride": int(options.strideW), "padding": PADDINGS[options.padding]}
    elif op in ("average_pool", "max_pool"):
        sides = {options.filterWidth, options.filterHeight, options.strideW, options.strideH}
        if len(sides) > 1 or PADDINGS[options.padding] != "valid":
            raise ValueError(f"{name}: a pooling that reaches outside, or overlaps")
        node |= {"window": int(options.filterWidth), "stride": int(options.strideW)}
    elif op == "pad":
        batch, rows, columns, channels = reader.constant(read[1]).tolist()
        if any((*batch, *channels)):
            raise ValueError(f"{name}: pads more than rows and columns")
        node["border"] = [*columns, *rows]
    elif op == "resize_bilinear" and (options.alignCorners or not options.halfPixelCenters):
        raise ValueError(f"{name}: not resized by pixel centres")
    elif op == "flatten" and reader.shape(read[0])[1:3] != (1, 1):
        raise ValueError(f"{name}: reshapes more than one place")
    fused = getattr(options, "fusedActivationFunction", 0)
    if fused not in FUSED:
        raise ValueError(f"{name}: unknown activation {fused}")
    return node | ({"activation": FUSED[fused]} if fused else {})


def all_maps(flatbuffer: bytes, outputs: dict[str, str], x: np.ndarray) -> dict[str, np.ndarray]:
    """Every map by LiteRT's plain kernels, as (C, H, W) or (n,): of a copy of the file in which each layer is an output.

    The one operator that those kernels lack, MediaPipe's transposed convolution, is left out, with what follows it.
    """
    import flatbuffers  # pyright: ignore[reportMissingImports]
    from ai_edge_litert.interpreter import Interpreter, OpResolverType  # pyright: ignore[reportMissingImports]

    reader = Reader(flatbuffer, outputs)
    model, graph = reader.model, reader.graph
    kept = [model.operatorCodes[o.opcodeIndex].customCode == CUSTOM for o in graph.operators]
    graph.operators = graph.operators[: kept.index(True) if True in kept else None]
    made = {int(o.outputs[0]) for o in graph.operators}
    wanted = [tensor for tensor in reader.called if tensor in made]
    graph.outputs = np.array(wanted, np.int32)
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = Interpreter(
            model_content=bytes(builder.Output()), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
        )
    engine.allocate_tensors()
    engine.set_tensor(engine.get_input_details()[0]["index"], x)
    engine.invoke()
    answers = [engine.get_tensor(detail["index"])[0] for detail in engine.get_output_details()]
    return {
        reader.called[tensor]: np.moveaxis(answer, 2, 0) if answer.ndim == 3 else answer
        for tensor, answer in zip(wanted, answers, strict=True)
    }


def answers_of(flatbuffer: bytes, outputs: dict[str, str], x: np.ndarray) -> dict[str, np.ndarray]:
    """The file as it is, by LiteRT as it usually runs."""
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]

    engine = Interpreter(model_content=flatbuffer, num_threads=1)
    engine.allocate_tensors()
    engine.set_tensor(engine.get_input_details()[0]["index"], x)
    engine.invoke()
    found = {outputs[d["name"]]: engine.get_tensor(d["index"])[0] for d in engine.get_output_details()}
    return {name: np.moveaxis(a, 2, 0) if a.ndim == 3 else a for name, a in found.items()}


def marks(values: np.ndarray) -> list[float]:
    """What is kept of a map: mean, root mean square, and the values in its middle and at its end."""
    flat = values.astype(np.float64).ravel()
    kept = flat.mean(), np.sqrt(np.square(flat).mean()), flat[len(flat) // 2], flat[-1]
    return [float(f"{v:.7g}") for v in kept]


def fetch(source: Source, folder: Path | None) -> bytes:
    """The TFLite file out of its package.

    Raises:
        ValueError: if it is not the file that was converted here.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        if folder is None:
            wanted = f"{source.package}@{source.version}"
            subprocess.run(["npm", "pack", "--silent", wanted], cwd=place, check=True, stdout=subprocess.DEVNULL)
        name = f"{source.package.removeprefix('@').replace('/', '-')}-{source.version}.tgz"
        with tarfile.open(place / name) as package:
            member = package.extractfile(f"package/{source.file}")
            assert member is not None
            flatbuffer = member.read()
    if hashlib.sha256(flatbuffer).hexdigest() != source.sha256:
        raise ValueError(f"{source.file} of {source.package} is not the file that was converted here")
    return flatbuffer


def written(document: dict[str, Any]) -> str:
    """JSON with one layer, and one map's marks, a line."""
    lines: list[str] = []
    for key, value in document.items():
        inside = value["maps"] if key == "litert" else value
        if key == "nodes":
            rows = ",\n".join("  " + json.dumps(row) for row in inside)
            lines.append(f' "nodes": [\n{rows}\n ]')
        elif key == "litert":
            rest = {k: v for k, v in value.items() if k != "maps"}
            rows = ",\n".join(f"   {json.dumps(name)}: {json.dumps(row)}" for name, row in inside.items())
            lines.append(f' "litert": {json.dumps(rest)[:-1]},\n  "maps": {{\n{rows}\n  }}\n }}')
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def make(source: Source, folder: Path | None, log: list[str]) -> None:
    """One network: convert, compare, write."""
    flatbuffer = fetch(source, folder)
    document, weights = convert(flatbuffer, source.outputs)
    network = read_graph(document, weights)
    shape = tuple(document["input"]["shape"])
    x = np.random.default_rng(0).random((1, *shape[1:], shape[0]), np.float32)
    run = run_graph(network, torch.from_numpy(x).permute(0, 3, 1, 2))
    maps, answers = all_maps(flatbuffer, source.outputs, x), answers_of(flatbuffer, source.outputs, x)
    worst, where = 0.0, ""
    for name, theirs in (maps | answers).items():
        ours = run.maps[name][0].numpy()
        apart = float(np.abs(ours - theirs).max()) / max(1e-3, float(np.abs(theirs).max()))
        if apart > worst:
            worst, where = apart, name
        if name in answers:
            log.append(
                f"  {name}: off by {float(np.abs(ours - answers[name]).max()):.2g} of {np.abs(theirs).max():.4g}"
            )
    log.append(
        f"  {len(maps)} of {len(network.nodes)} maps: off by at most {worst:.2g} of their largest value ({where})"
    )
    if worst > LARGEST:
        raise ValueError(f"{source.name}: {where} is off by {worst:.2g} of its largest value")
    save_file(weights, MODELS / f"{source.name}.safetensors")
    document["litert"] = {
        "engine": f"ai-edge-litert {version('ai-edge-litert')}",
        "input": f"numpy.random.default_rng(0).random({(1, *shape[1:], shape[0])}, numpy.float32)",
        "columns": ["mean", "root mean square", "middle value", "last value"],
        "maps": {name: marks(values) for name, values in (maps | answers).items()},
    }
    document["about"] = {
        "package": f"npm {source.package} {source.version}",
        "file": source.file,
        "sha256": source.sha256,
        "licence": "Apache-2.0",
        "parameters": network.parameters,
    }
    (MODELS / f"{source.name}.json").write_text(written(document), encoding="utf-8")
    for suffix in ("safetensors", "json"):
        made = (MODELS / f"{source.name}.{suffix}").read_bytes()
        log.append(f"  {source.name}.{suffix}: {len(made)} bytes, sha256 {hashlib.sha256(made).hexdigest()}")


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    log: list[str] = []
    for source in SOURCES:
        log.append(f"{source.name}: {source.file} of {source.package} {source.version}")
        make(source, folder, log)
    LOG.write_text("\n".join(log) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
