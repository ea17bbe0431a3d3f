"""Seeded bugs of the bundled networks: how they are run, and how pictures go in and answers come out."""

from tests.sabotage import Sabotage

GRAPH = "core/perception/graph_network.py"
GEOMETRY = "core/perception/map_geometry.py"
PERSON = "core/perception/person_segmentation.py"
POSE = "core/perception/pose_network.py"
SCRIPT = "training/person_networks.py"
SCRIPT_TESTS = "tests/core/perception/test_graph_network.py"

SABOTAGES = (
    Sabotage(
        GRAPH,
        "return total // 2, total - total // 2",
        "return total - total // 2, total // 2",
        "the odd zero goes in front",
    ),
    Sabotage(GRAPH, "(-(-size // stride) - 1)", "(size // stride - 1)", "cells rounded down"),
    Sabotage(
        GRAPH,
        "F.pad(x, (left, right, top, bottom))",
        "F.pad(x, (top, bottom, left, right))",
        "rows and columns exchanged",
    ),
    Sabotage(GRAPH, "stride=node.stride, groups=x.shape[1])", "groups=x.shape[1])", "depthwise stride forgotten"),
    Sabotage(GRAPH, "align_corners=False", "align_corners=True", "corners aligned"),
    Sabotage(GRAPH, 'mode="bilinear", align_corners=False', 'mode="nearest"', "nearest instead of bilinear"),
    Sabotage(GRAPH, "return F.hardswish(x)", "return F.silu(x)", "swish instead of hard swish"),
    Sabotage(GRAPH, "return F.avg_pool2d", "return F.max_pool2d", "the largest instead of the mean"),
    Sabotage(GRAPH, "    return x * y\n", "    return x + y\n", "the gate is added"),
    Sabotage(GRAPH, "else F.relu6(made)", "else F.relu(made)", "relu6 does not stop at 6"),
    Sabotage(
        GRAPH,
        "    return F.pad(x, node.border)",
        "    return F.pad(x, node.border[2:] + node.border[:2])",
        "border turned",
    ),
    Sabotage(GRAPH, "if x.shape[2:] != (1, 1):", "if False:", "several places are flattened"),
    Sabotage(GRAPH, "        known.add(node.name)\n", "", "layers do not know each other"),
    Sabotage(GRAPH, "    if left:\n", "    if False:\n", "weights left over are passed over"),
    Sabotage(GRAPH, "    if name in known:\n", "    if False:\n", "a name may come twice"),
    Sabotage(GRAPH, "        if source not in known:\n", "        if False:\n", "what a layer reads is not looked for"),
    Sabotage(GRAPH, "found[0].ndim != 4", "found[0].ndim < 1", "weights of any shape"),
    Sabotage(GRAPH, "        if name not in known:\n", "        if False:\n", "an output may be missing"),
    Sabotage(
        GRAPH,
        "        if tuple(values.shape) != (x.shape[0], *node.shape):\n",
        "        if False:\n",
        "a map's shape is not compared",
    ),
    Sabotage(GRAPH, "or tuple(x.shape[1:]) != network.input_shape", "", "any picture size"),
    Sabotage(
        GRAPH, "    return _steps(network, x)", "    yield from _steps(network, x)", "checked at the first step only"
    ),
    Sabotage(GRAPH, "@torch.no_grad()\n", "@torch.inference_mode()\n", "maps that no gradient can go through"),
    Sabotage(GRAPH, "t.detach().to(dtype)", "t.detach().float()", "always single precision"),
    Sabotage(
        GRAPH,
        "Tensor, node.weight), node.bias, stride=node.stride)\n\n\ndef _depthwise",
        "Tensor, node.weight), None, stride=node.stride)\n\n\ndef _depthwise",
        "bias forgotten",
    ),
    Sabotage(GRAPH, "for t in (node.weight, node.bias)", "for t in (node.weight,)", "biases are not counted"),
    Sabotage(GEOMETRY, "(k - 1) / 2 - ahead", "(k - 1) / 2", "padding in front is forgotten"),
    Sabotage(
        GEOMETRY,
        "widest.field + (k - 1) * widest.stride",
        "widest.field + (k - 1) * widest.stride * node.stride",
        "field grows by the new stride",
    ),
    Sabotage(GEOMETRY, "ahead = float(node.border[0])", "ahead = 0.0", "a border in front is forgotten"),
    Sabotage(GEOMETRY, "if sizes[source][1:] != (1, 1)", "", "gates count as maps"),
    Sabotage(GEOMETRY, "or enlarges or", "or", "goes on behind an enlargement"),
    Sabotage(GEOMETRY, "widest.stride * node.stride,", "node.stride,", "strides do not multiply"),
    Sabotage(PERSON, "float() / 255", "float()", "bytes are not scaled"),
    Sabotage(PERSON, "cv2.INTER_AREA if", "cv2.INTER_NEAREST if", "pixels are picked, not averaged"),
    Sabotage(
        PERSON, "min(image.shape[:2]) >= SIDE", "max(image.shape[:2]) < SIDE", "enlarging and shrinking exchanged"
    ),
    Sabotage(PERSON, ".permute(2, 0, 1)[None]", ".permute(2, 1, 0)[None]", "the picture lies on its side"),
    Sabotage(
        PERSON,
        "enlarged(small, image.shape[1], image.shape[0])",
        "enlarged(small, image.shape[0], image.shape[1])",
        "width and height exchanged",
    ),
    Sabotage(PERSON, "self.probability >= LIKELY", "self.probability > 1 - LIKELY + 0.3", "another threshold"),
    Sabotage(PERSON, '    if "mask" not in answers:\n', "    if False:\n", "an answer is taken for granted"),
    Sabotage(PERSON, "x.to(like)", "x", "the picture stays in single precision"),
    Sabotage(PERSON, "np.ascontiguousarray(image)", "np.ascontiguousarray(image[..., ::-1])", "blue and red exchanged"),
    Sabotage(
        POSE,
        "return shares * self.side + np.array([self.left, self.top]",
        "return shares * self.side + np.array([self.top, self.left]",
        "left and top exchanged",
    ),
    Sabotage(POSE, "shares[:, 2] * crop.side", "shares[:, 2]", "depth is not scaled"),
    Sabotage(POSE, "rows[:, 3:].sigmoid()", "rows[:, 3:]", "visibility is no probability"),
    Sabotage(
        POSE,
        "        likely[:n, 0],\n        likely[:n, 1],",
        "        likely[:n, 1],\n        likely[:n, 0],",
        "visibility and presence exchanged",
    ),
    Sabotage(POSE, 'answers["heatmap_logits"].sigmoid()', 'answers["heatmap_logits"]', "heatmaps are no probabilities"),
    Sabotage(POSE, 'answers["mask_logits"].sigmoid()[0]', 'answers["mask_logits"][0]', "the mask is no probability"),
    Sabotage(POSE, "square[top - crop.top :", "square[0 :", "the mask slips up"),
    Sabotage(
        POSE, "    if left < right and top < bottom:\n", "    if True:\n", "a crop beside the picture is laid on it"
    ),
    Sabotage(POSE, ".clip(0, height - 1)", " % height", "the picture is repeated, not its border"),
    Sabotage(POSE, "-((side - width) // 2)", "-(side - width)", "the picture lies at the right of its crop"),
    Sabotage(
        POSE,
        "round(max(right - left, bottom - top) * reach)",
        "round(min(right - left, bottom - top) * reach)",
        "the shorter side counts",
    ),
    Sabotage(POSE, "(left + right - side) / 2", "left - side / 2", "around the corner of the box"),
    Sabotage(
        POSE,
        "(x - radius, y - radius, x + radius, y + radius)",
        "(x, y, x + radius, y + radius)",
        "a quarter of the circle",
    ),
    Sabotage(POSE, "heatmap[top : row + reach + 1,", "heatmap[top : row + reach,", "a row of cells is left out"),
    Sabotage(
        POSE,
        "max(0, row - reach), max(0, column - reach)",
        "row - reach, column - reach",
        "negative rows count from the end",
    ),
    Sabotage(POSE, "part.max() >= least", "part.max() < least", "unsure heatmaps decide"),
    Sabotage(POSE, "and 0 <= row < height)", "and row < height)", "rows above the crop"),
    Sabotage(POSE, "and 0 <= row < height)", "and 0 <= row)", "rows below the crop"),
    Sabotage(POSE, "math.floor(shares[k, 0] * width)", "int(shares[k, 0] * width)", "truncated towards zero"),
    Sabotage(
        POSE, "crop.to_picture(refine_landmarks(shares[:, :2], heatmaps))[:n]", "points[:n]", "nothing is refined"
    ),
    Sabotage(POSE, "    if set(answers) != wanted:\n", "    if False:\n", "any network will do"),
    Sabotage(
        SCRIPT,
        'PADDINGS, FUSED = ("same", "valid")',
        'PADDINGS, FUSED = ("valid", "same")',
        "paddings exchanged",
        SCRIPT_TESTS,
    ),
    Sabotage(
        SCRIPT,
        "kernel.transpose(3, 0, 1, 2)",
        "kernel.transpose(3, 0, 2, 1)",
        "the last kernel is turned",
        SCRIPT_TESTS,
    ),
    Sabotage(SCRIPT, "(0, 3, 1, 2) if op", "(0, 3, 2, 1) if op", "kernels are turned", SCRIPT_TESTS),
    Sabotage(SCRIPT, "[*columns, *rows]", "[*rows, *columns]", "borders exchanged", SCRIPT_TESTS),
    Sabotage(
        SCRIPT, "[shape[3], shape[1], shape[2]]", "[shape[1], shape[2], shape[3]]", "channels stay last", SCRIPT_TESTS
    ),
    Sabotage(SCRIPT, "hexdigest() != source.sha256", 'hexdigest() == ""', "any file will do", SCRIPT_TESTS),
    Sabotage(
        SCRIPT, 'node |= {"stride": int(options.strideW),', 'node |= {"stride": 1,', "strides are lost", SCRIPT_TESTS
    ),
)
