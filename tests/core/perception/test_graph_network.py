"""graph_network against LiteRT (where it can be installed), against plain loops, and the script that converted the bundled networks."""

import hashlib
import json
import re
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.perception.graph_network import (
    OPERATORS,
    GraphNetwork,
    graph_steps,
    read_graph,
    run_graph,
    same_padding,
)
from tests.oracles import networks as oracle
from tests.oracles.litert import litert_maps, tflite_of
from training import person_networks as training

MODELS = Path(__file__).parents[3] / "assets" / "models"
NAMES = ("person_segmentation", "pose_landmarks")
PARAMETERS = {"person_segmentation": 106_401, "pose_landmarks": 1_363_089}
NO_LITERT = "LiteRT has no build for this system: pip install --no-deps -r requirements-oracles.txt"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def litert():
    pytest.importorskip("ai_edge_litert", reason=NO_LITERT)
    pytest.importorskip("flatbuffers", reason=NO_LITERT)


def stored(name):
    return json.loads((MODELS / f"{name}.json").read_text(encoding="utf-8")), load_file(MODELS / f"{name}.safetensors")


def random_input(batch=1, side=256):
    """The numbers that LiteRT was asked about when the networks were converted."""
    x = np.random.default_rng(0).random((batch, side, side, 3), np.float32)
    return torch.from_numpy(np.moveaxis(x, 3, 1).copy())


def portrait():
    image = pytest.importorskip("skimage.data").astronaut()
    return torch.from_numpy(image.reshape(256, 2, 256, 2, 3).mean((1, 3), dtype=np.float32) / 255).permute(2, 0, 1)[
        None
    ]


def one_layer(op, x, shape, *, inputs=("x",), weights=None, **more):
    """A document of a single layer called "y" that reads x."""
    layer = {"name": "y", "op": op, "inputs": list(inputs), "shape": list(shape), **more}
    document = {
        "format": 1,
        "input": {"name": "x", "shape": list(x.shape[1:])},
        "nodes": [layer],
        "outputs": {"y": "y"},
    }
    return document, {f"y.{kind}": torch.from_numpy(value) for kind, value in (weights or {}).items()}


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


CASES = {
    "same 3, stride 2, even": ("convolution", (2, 6, 8), (4, 3, 4), (4, 2, 3, 3), {"stride": 2, "padding": "same"}),
    "same 3, stride 2, odd": ("convolution", (2, 7, 5), (4, 4, 3), (4, 2, 3, 3), {"stride": 2, "padding": "same"}),
    "same 2": ("convolution", (2, 5, 5), (3, 5, 5), (3, 2, 2, 2), {"padding": "same", "activation": "relu6"}),
    "valid 2, stride 2": ("convolution", (3, 7, 6), (2, 3, 3), (2, 3, 2, 2), {"stride": 2, "activation": "relu"}),
    "one place": ("convolution", (5, 3, 4), (2, 3, 4), (2, 5, 1, 1), {}),
    "depthwise same 5, stride 2": (
        "depthwise_convolution",
        (4, 9, 6),
        (4, 5, 3),
        (4, 1, 5, 5),
        {"stride": 2, "padding": "same"},
    ),
    "depthwise valid": ("depthwise_convolution", (3, 6, 6), (3, 4, 4), (3, 1, 3, 3), {"activation": "relu6"}),
    "transposed": ("transposed_convolution", (4, 3, 5), (2, 6, 10), (4, 2, 2, 2), {"stride": 2}),
    "pad": ("pad", (2, 3, 4), (2, 6, 9), None, {"border": [2, 3, 1, 2]}),
    "twice": ("resize_bilinear", (2, 3, 5), (2, 6, 10), None, {}),
    "uneven": ("resize_bilinear", (2, 3, 5), (2, 7, 4), None, {}),
    "average": ("average_pool", (3, 6, 9), (3, 2, 3), None, {"window": 3, "stride": 3}),
    "average of all": ("average_pool", (3, 4, 4), (3, 1, 1), None, {"window": 4, "stride": 4}),
    "largest": ("max_pool", (3, 6, 7), (3, 3, 3), None, {"window": 2, "stride": 2}),
    "relu": ("relu", (2, 4, 4), (2, 4, 4), None, {}),
    "hard swish": ("hard_swish", (2, 4, 4), (2, 4, 4), None, {}),
    "sigmoid": ("sigmoid", (2, 4, 4), (2, 4, 4), None, {}),
    "flatten": ("flatten", (7, 1, 1), (7,), None, {}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_operator_is_a_plain_loop(case, receipt):
    op, before, after, kernel, options = case
    x = random(2, *before).astype(np.float64) * 4
    weights = {"weight": random(*kernel, seed=1), "bias": random(after[0], seed=2)} if kernel else {}
    document, stored_weights = one_layer(op, x, after, weights=weights, **options)
    got = run_graph(read_graph(document, stored_weights, dtype=torch.float64), torch.from_numpy(x)).maps["y"]
    expected = oracle.layer(op, x, shape=after, weights=weights, **options)
    receipt(run_graph, "map", got, expected, reference="sums written out in loops", tolerance=1e-12)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_operator_is_litert(case, litert, receipt):
    op, before, after, kernel, options = case
    x = random(1, *before) * 4
    weights = {"weight": random(*kernel, seed=1), "bias": random(after[0], seed=2)} if kernel else {}
    document, stored_weights = one_layer(op, x, after, weights=weights, **options)
    got = run_graph(read_graph(document, stored_weights), torch.from_numpy(x)).maps["y"]
    expected = litert_maps(document, {name: w.numpy() for name, w in stored_weights.items()}, x)["y"]
    receipt(run_graph, "map", got, expected, reference="ai-edge-litert", tolerance=1e-5)


@pytest.mark.parametrize(("op", "of"), [("add", np.add), ("multiply", np.multiply)])
@pytest.mark.parametrize("other", [(3, 4, 5), (3, 1, 1)])
def test_two_maps_and_a_gate_on_every_channel(op, of, other, litert):
    x = random(1, 3, 4, 5)
    nodes = [
        {"name": "pooled", "op": "max_pool", "inputs": ["x"], "shape": [3, 4, 5], "window": 1, "stride": 1},
        {"name": "y", "op": op, "inputs": ["x", "pooled"], "shape": [3, 4, 5]},
    ]
    if other == (3, 1, 1):  # a gate is made from the map itself
        x = random(1, 3, 4, 4)
        nodes[0] |= {"op": "average_pool", "shape": [3, 1, 1], "window": 4, "stride": 4}
        nodes[1]["shape"] = [3, 4, 4]
    document = {"format": 1, "input": {"name": "x", "shape": list(x.shape[1:])}, "nodes": nodes, "outputs": {"y": "y"}}
    run = run_graph(read_graph(document, {}), torch.from_numpy(x))
    second = x.mean((2, 3), keepdims=True) if other == (3, 1, 1) else x
    assert run.outputs["y"].numpy() == pytest.approx(of(x, second), abs=1e-6)
    assert run.outputs["y"].numpy() == pytest.approx(litert_maps(document, {}, x)["y"], abs=1e-6)


def test_the_odd_zero_goes_behind(receipt):
    """TensorFlow's rule, counted out: as many windows as ⌈size / stride⌉, with as few zeros as possible, the fewer in front."""
    for size in range(1, 12):
        for window in range(1, 6):
            for stride in range(1, 5):
                before, after = same_padding(size, window=window, stride=stride)
                wanted = -(-size // stride)
                least = next(n for n in range(40) if (size + n - window) // stride + 1 >= wanted and size + n >= window)
                receipt(same_padding, "zeros", before + after, least, reference="counting up")
                assert after - before in (0, 1)
    for wrong in ((0, 3, 1), (3, 0, 1), (3, 3, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            same_padding(wrong[0], window=wrong[1], stride=wrong[2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("picture", ["random", "photo"])
def test_all_maps_of_the_bundled_networks_are_litert_s(name, picture, litert, receipt):
    """To rounding: no farther from the same network in double precision than twice what LiteRT's own two kernels are."""
    document, weights = stored(name)
    x = random_input() if picture == "random" else portrait()
    arrays = {key: value.numpy() for key, value in weights.items()}
    plain, fast = (litert_maps(document, arrays, x.numpy(), plain=p) for p in (True, False))
    ours = run_graph(read_graph(document, weights), x).maps
    exact = run_graph(read_graph(document, weights, dtype=torch.float64), x.double()).maps
    assert set(plain) == set(ours) - {"input"}
    for key, theirs in plain.items():
        largest = max(1e-3, np.abs(theirs).max())
        mine, other, quick = (
            float(np.abs(np.asarray(maps[key], np.float64) - exact[key].numpy()).max() / largest)
            for maps in (ours, plain, fast)
        )
        assert mine <= 2 * max(other, quick) + 2e-6, key
    for key, layer in document["outputs"].items():
        largest = float(np.abs(plain[layer]).max())
        share = (ours[layer].numpy() - plain[layer]) / max(largest, 1e-3)
        receipt(read_graph, f"{name}.{key}", share, np.zeros_like(share), reference="ai-edge-litert", tolerance=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_bundled_networks_answer_as_the_original_files_did(name, receipt):
    """The originals are not here; what LiteRT made of them when they were converted is: four numbers of every map."""
    document, weights = stored(name)
    run = run_graph(read_graph(document, weights, dtype=torch.float64), random_input().double())
    said = document["litert"]["maps"]
    missing = {node["name"] for node in document["nodes"]} - set(said)
    assert missing <= {"segment"}  # the one operator of its own that LiteRT's plain kernels lack
    for layer, (mean, square, middle, last) in said.items():
        values = run.maps[layer].numpy().ravel()
        got = [values.mean(), np.sqrt(np.square(values).mean()), values[len(values) // 2], values[-1]]
        unit = max(1e-6, square)
        receipt(
            run_graph,
            "marks",
            np.array(got) / unit,
            np.array([mean, square, middle, last]) / unit,
            reference=f"LiteRT 2.3.0 on the file that the network was made from, {name}",
            tolerance=2e-3,
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_bundled_weights_are_what_is_said_of_them(name):
    document, weights = stored(name)
    about = document["about"]
    source = next(s for s in training.SOURCES if s.name == name)
    assert (about["sha256"], about["licence"]) == (source.sha256, "Apache-2.0")
    assert all(w.dtype == torch.float16 for w in weights.values())  # as the originals hold them: nothing was rounded
    network = read_graph(document, weights)
    assert network.parameters == about["parameters"] == PARAMETERS[name] == sum(w.numel() for w in weights.values())
    assert {node.op for node in network.nodes} <= set(OPERATORS)
    log = (Path(training.__file__).with_suffix(".log")).read_text(encoding="utf-8")
    for suffix in ("json", "safetensors"):
        assert hashlib.sha256((MODELS / f"{name}.{suffix}").read_bytes()).hexdigest() in log


def test_all_operators_are_needed_by_the_bundled_networks():
    assert {node["op"] for name in NAMES for node in stored(name)[0]["nodes"]} == set(OPERATORS)


def test_steps_are_the_run_one_layer_at_a_time_and_never_change():
    document, weights = stored("person_segmentation")
    network = read_graph(document, weights)
    before = {name: w.clone() for name, w in weights.items()}
    x = random_input()
    steps = list(graph_steps(network, x))
    run = run_graph(network, x)
    assert [s.index for s in steps] == list(range(len(network.nodes)))
    assert list(run.maps) == ["input", *(s.node.name for s in steps)]
    assert all(torch.equal(s.values, run.maps[s.node.name]) for s in steps)
    assert run.maps["input"] is x
    assert not any(s.values.requires_grad or s.values.is_inference() for s in steps)
    assert all(torch.equal(w, before[name]) for name, w in weights.items())
    assert isinstance(network, GraphNetwork)


def test_a_batch_is_its_pictures():
    document, weights = stored("person_segmentation")
    network = read_graph(document, weights)
    pair = random_input(2)
    both = run_graph(network, pair).maps["add_4"]
    each = [run_graph(network, one[None]).maps["add_4"] for one in pair]
    assert both.numpy() == pytest.approx(torch.cat(each).numpy(), abs=1e-4)
    strided = pair.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert run_graph(network, strided).maps["add_4"].numpy() == pytest.approx(both.numpy(), abs=1e-4)
    assert (both[0] - both[1]).abs().max() > 1


def test_half_precision_stays_near():
    document, weights = stored("person_segmentation")
    exact = run_graph(read_graph(document, weights), portrait()).outputs["mask"]
    half = run_graph(read_graph(document, weights, dtype=torch.bfloat16), portrait().bfloat16()).outputs["mask"]
    assert ((half.float() >= 0.5) != (exact >= 0.5)).float().mean() < 0.02


def test_nan_goes_through():
    document, weights = stored("person_segmentation")
    x = portrait()
    x[0, 0, 0, 0] = float("nan")
    assert run_graph(read_graph(document, weights), x).outputs["mask"].isnan().all()  # its gates average everything


X = np.zeros((1, 2, 4, 4), np.float32)
WRONG = {
    "unknown operator 'softmax'": (one_layer("softmax", X, (2, 4, 4)), ""),
    "unknown padding 'full'": (one_layer("relu", X, (2, 4, 4), padding="full"), ""),
    "or activation 'tanh'": (one_layer("relu", X, (2, 4, 4), activation="tanh"), ""),
    "padding 'same' is for convolutions, not for max_pool": (
        one_layer("max_pool", X, (2, 2, 2), padding="same", window=2, stride=2),
        "",
    ),
    "add reads 2 maps, got 1": (one_layer("add", X, (2, 4, 4)), ""),
    "reads 'z', which no layer before it gives": (one_layer("relu", X, (2, 4, 4), inputs=["z"]), ""),
    "y.weight must have four dimensions, got none": (one_layer("convolution", X, (2, 4, 4)), ""),
    "y.weight must have four dimensions, got (2, 2)": (
        one_layer("convolution", X, (2, 4, 4), weights={"weight": np.zeros((2, 2), np.float32)}),
        "",
    ),
    "'y.weight' belongs to none": (one_layer("relu", X, (2, 4, 4), weights={"weight": np.zeros(1, np.float32)}), ""),
    "should give (1, 2, 5, 5), but gave (1, 2, 4, 4)": (one_layer("relu", X, (2, 5, 5)), "run"),
    "flatten needs a map of one place, got (4, 4)": (one_layer("flatten", X, (2,)), "run"),
}


@pytest.mark.parametrize(("case", "message"), [(case, said) for said, case in WRONG.items()], ids=list(WRONG))
def test_mistaken_networks_are_named(case, message):
    (document, weights), when = case
    if when == "run":
        network = read_graph(document, weights)
        with pytest.raises(ValueError, match=re.escape(message)):
            run_graph(network, torch.from_numpy(X))
    else:
        with pytest.raises(ValueError, match=re.escape(message)):
            read_graph(document, weights)


def test_mistaken_documents_and_pictures_are_named():
    document, weights = one_layer("convolution", X, (1, 4, 4), weights={"weight": np.zeros((1, 2, 1, 1), np.float32)})
    with pytest.raises(ValueError, match="format 1, got 2"):
        read_graph({**document, "format": 2}, weights)
    with pytest.raises(ValueError, match="'y' comes twice"):
        read_graph({**document, "nodes": document["nodes"] * 2}, weights)
    with pytest.raises(ValueError, match="output 'mask' names the layer 'z'"):
        read_graph({**document, "outputs": {"mask": "z"}}, weights)
    network = read_graph(document, weights)
    for shape in ((2, 4, 4), (1, 2, 4, 5), (0, 2, 4, 4)):
        with pytest.raises(ValueError, match=re.escape(f"x must be (B, 2, 4, 4), got {shape}")):
            graph_steps(network, torch.zeros(shape))  # at the call, not at the first step
    with pytest.raises(ValueError, match=r"must be torch\.float32 on cpu, as the weights, got torch\.float64"):
        graph_steps(network, torch.zeros(1, 2, 4, 4, dtype=torch.float64))


# -- the script that converted them ----------------------------------------------------------------------------------------------


def halved(flatbuffer):
    """The file with its weights as the originals hold them: in half precision, each behind a DEQUANTIZE."""
    import flatbuffers

    s, model = training.schema(), training.parse(flatbuffer)
    graph = model.subgraphs[0]
    code = s.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = s.BuiltinOperator.DEQUANTIZE
    model.operatorCodes.append(code)
    extra = []
    for operator in graph.operators:
        operator.inputs = [int(tensor) for tensor in operator.inputs]
        for place, tensor in enumerate(operator.inputs):
            described = graph.tensors[tensor]
            if described.type != s.TensorType.FLOAT32 or model.buffers[described.buffer].data is None:
                continue
            values = np.frombuffer(bytes(model.buffers[described.buffer].data), np.float32)
            half, whole = s.TensorT(), s.TensorT()
            half.shape, half.type, half.name = described.shape, s.TensorType.FLOAT16, described.name + b"/half"
            half.buffer = len(model.buffers)
            model.buffers.append(s.BufferT())
            model.buffers[-1].data = np.frombuffer(values.astype(np.float16).tobytes(), np.uint8)
            whole.shape, whole.name = described.shape, described.name + b"/whole"
            graph.tensors += [half, whole]
            loosen = s.OperatorT()
            loosen.opcodeIndex = len(model.operatorCodes) - 1
            loosen.inputs, loosen.outputs = [len(graph.tensors) - 2], [len(graph.tensors) - 1]
            operator.inputs[place] = len(graph.tensors) - 1
            extra.append(loosen)
    graph.operators = extra + graph.operators
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("name", NAMES)
def test_converting_gives_the_same_network_again(name, litert):
    """What is bundled, written as a TFLite file by other code, is converted to what is bundled."""
    document, weights = stored(name)
    arrays = {key: value.numpy() for key, value in weights.items()}
    flatbuffer = halved(tflite_of(document, arrays, last=True))
    again, found = training.convert(flatbuffer, {layer: key for key, layer in document["outputs"].items()})
    assert set(found) == set(weights)
    assert all(torch.equal(found[key], weights[key]) and found[key].dtype == torch.float16 for key in weights)
    for mine, theirs in zip(again["nodes"], document["nodes"], strict=True):
        assert mine == theirs
    assert again["outputs"] == document["outputs"]
    assert again["input"]["shape"] == document["input"]["shape"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_every_operator_is_converted(case, litert):
    """Also with borders and sides that no bundled network has."""
    op, before, after, kernel, options = case
    weights = {"weight": random(*kernel, seed=1), "bias": random(after[0], seed=2)} if kernel else {}
    document, stored_weights = one_layer(op, np.zeros((1, *before)), after, weights=weights, **options)
    arrays = {name: w.numpy() for name, w in stored_weights.items()}
    again, found = training.convert(halved(tflite_of(document, arrays, last=True)), {"y": "y"})
    said = read_graph(again, found).nodes[0]
    meant = read_graph(document, {name: w.half() for name, w in stored_weights.items()}).nodes[0]
    for field in ("name", "op", "shape", "stride", "window", "padding", "border", "activation"):
        assert getattr(said, field) == getattr(meant, field), field
    assert said.inputs == ("input",)
    for kind in ("weight", "bias"):
        assert (getattr(said, kind) is None) == (not weights)
        assert not weights or torch.equal(getattr(said, kind), getattr(meant, kind))


def test_the_script_refuses_another_file(tmp_path):
    source = training.SOURCES[0]
    with tarfile.open(tmp_path / "mediapipe-selfie_segmentation-0.1.1675465747.tgz", "w:gz") as package:
        member = tarfile.TarInfo(f"package/{source.file}")
        member.size = 3
        package.addfile(member, BytesIO(b"TFL"))
    with pytest.raises(ValueError, match="is not the file that was converted here"):
        training.fetch(source, tmp_path)


def test_the_script_writes_json_that_reads_back():
    document, _ = stored("person_segmentation")
    assert json.loads(training.written(document)) == document
    assert training.written(document) == (MODELS / "person_segmentation.json").read_text(encoding="utf-8")
    assert training.marks(np.array([1.0, -1.0, 3.0])) == pytest.approx([1.0, (11 / 3) ** 0.5, -1.0, 3.0], rel=1e-6)
