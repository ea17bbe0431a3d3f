"""Where truth and predictions come from: scenes and the bundled network, photographs, uploads, what visitors drag and draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.perception.assignment import greedy_trap
from core.perception.box_annotations import confident_logits, label_map_boxes
from core.perception.box_perturbation import perturbed_predictions
from core.perception.boxes import xyxy_to_cxcywh
from core.perception.shape_scenes import CLASSES as SHAPES
from core.perception.shape_scenes import shape_scene
from demos.kit.drawings import BoxEdit, read_boxes
from demos.kit.hub import HUB, HubModel
from demos.kit.upload_errors import Note, UploadError
from demos.kit.uploads import read_image

if TYPE_CHECKING:
    from core.perception.tiny_detr import TinyDetr, TinyDetrOutput
    from demos.perception.detr_matching import Controls

ASSETS = Path(__file__).parents[2] / "assets"
WEIGHTS = ASSETS / "models" / "tiny_detr.safetensors"
PHOTOS = {
    "coffee": (2, 3, 4, 1),
    "rocket": (1,),
}  # bundled photographs: the classes of their masks, as numbered in the mask
DRAWN_CLASSES = 4  # of an uploaded photo
SCENE_SIDE = 432  # px of a scene as shown
PHOTO_PIXELS = 700_000
TRUTH, PREDICTION = "t", "p"  # the sets of boxes in what is drawn
HUB_QUERIES = 20  # of a large model's hundred: those that may have found something
MOST_QUERIES = 60  # shown and matched: a matrix with more cannot be read
HUB_MODEL = HubModel(
    "DETR ResNet-50",
    "facebook/detr-resnet-50",
    "no_timm",
    ("config.json", "model.safetensors"),
    ("transformers",),
    167,
)


@dataclass(frozen=True)
class Truth:
    """The objects of one picture."""

    ids: tuple[str, ...]  # G
    labels: np.ndarray  # (G,)
    boxes: np.ndarray  # (G, 4) cxcywh


@dataclass(frozen=True)
class Predictions:
    """A set of predictions; of every decoder layer if a network made them."""

    ids: tuple[str, ...]  # Q
    logits: np.ndarray  # (L, Q, K + 1)
    boxes: np.ndarray  # (L, Q, 4) cxcywh


@dataclass(frozen=True)
class Problem:
    """What is to be matched with what, and what it is drawn on."""

    image: np.ndarray | None  # (H, W, 3) uint8
    names: tuple[str, ...]  # (K,) text keys of classes, or names as they are
    truth: Truth
    predictions: Predictions
    before: Problem | None = None  # the same without what was dragged, if anything was
    output: TinyDetrOutput | None = None  # of the bundled network
    cost: np.ndarray | None = None  # (Q, G) costs that were given instead of boxes
    notes: tuple[Note, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px."""
        assert self.image is not None
        return self.image.shape[0], self.image.shape[1]


def problem_of(c: Controls) -> Problem:
    """Everything the controls say about truth and predictions.

    Raises:
        UploadError: what was uploaded or drawn cannot be used, or a network is not here; one sentence says why.
    """
    if c.source == "trap":
        return _trap()
    image, names, truth, notes = _picture(c)
    names = coco_names() if c.predictor == "hub" else names
    edits = read_boxes(c.boxes, sets=(TRUTH, PREDICTION), classes=len(names))
    mine = _edited_truth(truth, [e for e in edits if e.set == TRUTH])
    # the network saw the picture, not the boxes: only predictions made from the truth follow it
    predictions, output, more = _predictions(c, image, names, mine)
    changed = _edited_predictions(predictions, [e for e in edits if e.set == PREDICTION], c, len(names))
    if len(changed.ids) > MOST_QUERIES:
        raise UploadError("too_many_boxes", count=len(changed.ids), limit=MOST_QUERIES)
    problem = Problem(image, names, mine, changed, output=output, notes=(*notes, *more))
    if not edits:
        return problem
    untouched = _predictions(c, image, names, truth)[0] if made_from_truth(c) else predictions
    return replace(problem, before=replace(problem, truth=truth, predictions=untouched))


def _trap() -> Problem:
    cost = greedy_trap()
    empty = np.zeros((0, 4))
    ids = tuple(str(i) for i in range(cost.shape[0]))
    goals = tuple(str(i) for i in range(cost.shape[1]))
    return Problem(
        None,
        (),
        Truth(goals, np.zeros(0, np.int64), empty),
        Predictions(ids, np.zeros((1, 0, 1)), np.zeros((1, 0, 4))),
        cost=cost,
    )


# -- pictures and their objects --------------------------------------------------------------------------------------------------


def _picture(c: Controls) -> tuple[np.ndarray, tuple[str, ...], Truth, tuple[Note, ...]]:
    if c.source == "scene":
        image, labels, boxes = _scene(c.scene, c.objects)
        return image, SHAPES, _truth(labels, boxes), ()
    if c.source in PHOTOS:
        image, labels, boxes = _photo(c.source)
        return image, tuple(f"{c.source}:{k}" for k in range(len(PHOTOS[c.source]))), _truth(labels, boxes), ()
    if not c.photo:
        raise UploadError("photo_for_boxes")
    picture = read_image(c.photo[0], max_pixels=PHOTO_PIXELS)
    nothing = _truth(np.zeros(0, np.int64), np.zeros((0, 4)))
    return picture.rgb, tuple(f"drawn:{k}" for k in range(DRAWN_CLASSES)), nothing, picture.notes


def _truth(labels: np.ndarray, boxes: np.ndarray) -> Truth:
    return Truth(tuple(str(i) for i in range(len(labels))), labels, boxes)


@lru_cache(maxsize=16)
def _scene(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scene = shape_scene(seed, count=count, side=SCENE_SIDE)
    return scene.image, scene.labels, scene.boxes


@lru_cache(maxsize=4)
def _photo(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from PIL import Image

    image = read_image(ASSETS / "images" / f"{name}.jpg").rgb
    with Image.open(ASSETS / "masks" / f"{name}.png") as mask:
        found = label_map_boxes(np.asarray(mask), classes=PHOTOS[name])
    return image, found.labels, found.boxes


# -- predictions -----------------------------------------------------------------------------------------------------------------


def _predictions(
    c: Controls, image: np.ndarray, names: Sequence[str], truth: Truth
) -> tuple[Predictions, TinyDetrOutput | None, tuple[Note, ...]]:
    if c.predictor == "tiny" and c.source == "scene":
        output = _tiny(image.tobytes(), image.shape)
        logits, boxes = output.pred_logits[:, 0].double().numpy(), output.pred_boxes[:, 0].double().numpy()
        return _numbered(logits, boxes), output, ()
    if c.predictor == "hub":
        return _numbered(*_hub(image.tobytes(), image.shape)), None, ()
    if c.predictor == "drawn":
        return _numbered(np.zeros((1, 0, len(names) + 1)), np.zeros((1, 0, 4))), None, ()
    made = perturbed_predictions(
        truth.labels,
        truth.boxes,
        num_classes=len(names),
        num_queries=c.queries,
        box_noise=c.noise,
        label_flips=c.label_flips,
        duplicates=c.duplicates,
        misses=min(c.misses, len(truth.labels)),
        confidence=c.confidence,
        seed=c.seed,
    )
    notes = (Note("tiny_needs_scene", {}),) if c.predictor == "tiny" else ()
    return _numbered(made.pred_logits[None], made.pred_boxes[None]), None, notes


def made_from_truth(c: Controls) -> bool:
    return c.predictor == "noisy" or (c.predictor == "tiny" and c.source != "scene")


def _numbered(logits: np.ndarray, boxes: np.ndarray) -> Predictions:
    return Predictions(tuple(str(i) for i in range(boxes.shape[1])), logits, boxes)


@lru_cache(maxsize=1)
def tiny_network() -> TinyDetr:
    from safetensors.torch import load_file

    from core.perception.tiny_detr import load_tiny_detr

    return load_tiny_detr(load_file(WEIGHTS)).double()  # the same numbers on any count of threads


@lru_cache(maxsize=16)
def _tiny(image: bytes, shape: tuple[int, ...]) -> TinyDetrOutput:
    from core.perception.tiny_detr import detect

    return detect(tiny_network(), np.frombuffer(image, np.uint8).reshape(shape).copy())


# -- what was dragged ------------------------------------------------------------------------------------------------------------


def _edited_truth(truth: Truth, edits: Sequence[BoxEdit]) -> Truth:
    touched = {e.id: e for e in edits}
    kept = [i for i, name in enumerate(truth.ids) if touched.get(name) is None or touched[name].xyxy is not None]
    boxes, labels = truth.boxes[kept].copy(), truth.labels[kept].copy()
    ids = [truth.ids[i] for i in kept]
    for row, name in enumerate(ids):
        if (edit := touched.get(name)) is not None:
            boxes[row], labels[row] = xyxy_to_cxcywh([edit.xyxy])[0], edit.label
    new = [e for e in edits if e.added and e.xyxy is not None]
    if new:
        boxes = np.concatenate([boxes, xyxy_to_cxcywh([e.xyxy for e in new])])
        labels = np.concatenate([labels, [e.label for e in new]])
    return Truth((*ids, *(e.id for e in new)), labels, boxes)


def _edited_predictions(p: Predictions, edits: Sequence[BoxEdit], c: Controls, classes: int) -> Predictions:
    """What was dragged counts in the last layer. A new class speaks with the confidence of the slider."""
    touched = {e.id: e for e in edits}
    kept = [i for i, name in enumerate(p.ids) if touched.get(name) is None or touched[name].xyxy is not None]
    boxes, logits, ids = p.boxes[:, kept].copy(), p.logits[:, kept].copy(), [p.ids[i] for i in kept]
    for row, name in enumerate(ids):
        if (edit := touched.get(name)) is not None and edit.label is not None:
            boxes[-1, row] = xyxy_to_cxcywh([edit.xyxy])[0]
            if edit.label != spoken_class(logits[-1, row]):
                logits[-1, row] = confident_logits([edit.label], [c.confidence], num_classes=classes)[0]
    new = [e for e in edits if e.added and e.xyxy is not None]
    if new:
        layers = boxes.shape[0]
        more = xyxy_to_cxcywh([e.xyxy for e in new])
        said = confident_logits([e.label for e in new], [c.confidence] * len(new), num_classes=classes)
        boxes = np.concatenate([boxes, np.repeat(more[None], layers, 0)], axis=1)
        logits = np.concatenate([logits, np.repeat(said[None], layers, 0)], axis=1)
    return Predictions((*ids, *(e.id for e in new)), logits, boxes)


def spoken_class(logits: np.ndarray) -> int:
    """The class of which a prediction is most sure, ∅ left out."""
    return int(np.argmax(logits[..., :-1]))


# -- a large DETR, if it can be had ----------------------------------------------------------------------------------------------


def coco_names() -> tuple[str, ...]:
    """Names of the 91 classes, from the model's own configuration."""
    config = _hub_network().config
    return tuple(str(config.id2label[k]) for k in range(len(config.id2label)))


@lru_cache(maxsize=1)
def _hub_network_at(folder: str) -> Any:
    import transformers  # pyright: ignore[reportMissingImports]

    model = transformers.DetrForObjectDetection.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, attn_implementation="eager"
    )
    return model.eval()


def _hub_network() -> Any:
    folder = HUB.folder(HUB_MODEL)
    try:
        return _hub_network_at(str(folder))
    except Exception as error:  # a file that does not fit the package's version, say
        raise UploadError("hub_failed", model=HUB_MODEL.title, reason=type(error).__name__) from error


@lru_cache(maxsize=4)
def _hub(image: bytes, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(L, Q, K + 1) logits and (L, Q, 4) boxes of the HUB_QUERIES queries that are least sure of ∅, in their own order."""
    import torch

    from core.perception.detr_preprocessing import imagenet_input

    model, pixels = _hub_network(), np.frombuffer(image, np.uint8).reshape(shape).copy()
    with torch.inference_mode():
        found = model(pixel_values=imagenet_input(pixels), output_hidden_states=True)
        states = torch.stack(
            found.decoder_hidden_states[1:-1]
        )  # (L - 1, 1, Q, d) before the norm that all layers share
        states = torch.cat([model.model.decoder.layernorm(states), found.last_hidden_state[None]])
        logits = model.class_labels_classifier(states)[:, 0].double().numpy()
        boxes = model.bbox_predictor(states).sigmoid()[:, 0].double().numpy()
    sure = (logits[-1, :, :-1] - logits[-1, :, -1:]).max(axis=1)
    best = np.sort(np.argsort(-sure, kind="stable")[:HUB_QUERIES])
    return logits[:, best], boxes[:, best]
