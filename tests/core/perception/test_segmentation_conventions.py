import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import MeanIoU

from core.perception.segmentation_accumulation import ACCUMULATIONS, accumulate_scores
from core.perception.segmentation_conventions import AXES, library_table
from core.perception.segmentation_metrics import confusion_matrix
from tests.oracles import segmentation as oracle
from tests.oracles.libraries import mmseg_iou_metric, smp_functional

TARGET = np.array([[0, 0, 1, 1], [0, 255, 1, 1], [2, 2, 255, 0]])
PREDICTION = np.array([[0, 1, 1, 1], [0, 3, 1, 0], [2, 2, 4, 3]])
FLOAT32 = 1e-6  # what these libraries compute in

quick = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def sets(draw):
    """(predictions, targets, K, ignore): images of one shape, some classes absent, some only predicted, odd labels."""
    k = draw(st.sampled_from([1, 2, 3, 5]))
    ignore = draw(st.sampled_from([None, 0, k - 1, k, 255, -1]))
    strange = draw(st.sampled_from([None, k, k + 1, 255, -1]))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    predictions, targets = [], []
    for _ in range(draw(st.integers(1, 3))):
        target = rng.choice(rng.integers(0, k, 2), (4, 5))
        prediction = np.where(rng.random((4, 5)) < 0.6, target, rng.choice(rng.integers(0, k, 2), (4, 5)))
        if ignore is not None:
            target[rng.random((4, 5)) < 0.2] = ignore
        if strange is not None:
            prediction[rng.random((4, 5)) < 0.1] = strange
        predictions.append(prediction)
        targets.append(target)
    return predictions, targets, k, ignore


def rows(predictions, targets, k, ignore):
    return {row.name: row for row in library_table(predictions, targets, num_classes=k, ignore_index=ignore)}


def compare(receipt, row, mean, per_class, *, reference, tolerance):
    assert row.errors == ()
    receipt(library_table, "mean_iou", row.mean_iou, mean, reference=reference, tolerance=tolerance)
    if per_class is not None:
        receipt(library_table, "iou", row.per_class, per_class, reference=reference, tolerance=tolerance)


@quick
@given(case=sets())
def test_mmseg_is_mmsegmentation(case, receipt):
    predictions, targets, k, ignore = case
    library = mmseg_iou_metric()
    skip = 10**6 if ignore is None else ignore  # a label that does not occur: mmseg always ignores one
    areas = [
        library.intersect_and_union(torch.tensor(p), torch.tensor(t), k, skip)
        for p, t in zip(predictions, targets, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mean of an empty slice
        iou = library.total_area_to_metrics(*(sum(area) for area in zip(*areas, strict=True)))["IoU"]
        mean = np.nanmean(iou)
    row = rows(*case)["mmseg_iou_metric"]
    compare(receipt, row, mean, iou, reference="mmsegmentation", tolerance=FLOAT32)


@quick
@given(case=sets())
def test_hf_is_its_histogram_rule(case, receipt):
    predictions, targets, k, ignore = case
    mean, iou = oracle.hf_mean_iou(predictions, targets, k, 10**6 if ignore is None else ignore)
    reference = "HF evaluate's rule, written out"
    compare(receipt, rows(*case)["hf_mean_iou"], mean, iou, reference=reference, tolerance=1e-12)


@quick
@given(case=sets())
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_jaccard_is_torchmetrics(average, case, receipt):
    predictions, targets, k, ignore = case
    row = rows(*case)[f"torchmetrics_jaccard_{average}"]
    if k == 1:  # torchmetrics asks for two classes
        assert row.errors == ("one_class",)
        return
    metric = MulticlassJaccardIndex(k, average=average, ignore_index=ignore)
    each = MulticlassJaccardIndex(k, average=None, ignore_index=ignore)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for p, t in zip(predictions, targets, strict=True):
                metric.update(torch.tensor(p), torch.tensor(t))
                each.update(torch.tensor(p), torch.tensor(t))
            mean, per_class = float(metric.compute()), each.compute().numpy()
    except RuntimeError as error:
        few = "more unique values" not in str(error)
        assert row.errors == (("label_out_of_range",) if few else ("too_many_labels",))
        assert row.mean_iou is row.per_class is None
        return
    per_class = None if average == "micro" else per_class
    compare(receipt, row, mean, per_class, reference="torchmetrics", tolerance=FLOAT32)


@quick
@given(case=sets())
def test_mean_iou_is_torchmetrics_segmentation(case, receipt):
    predictions, targets, k, _ = case
    row = rows(*case)["torchmetrics_mean_iou"]
    metric, each = (MeanIoU(k, per_class=flag, input_format="index") for flag in (False, True))
    try:
        for p, t in zip(predictions, targets, strict=True):
            metric.update(torch.tensor(p)[None], torch.tensor(t)[None])
            each.update(torch.tensor(p)[None], torch.tensor(t)[None])
    except RuntimeError:
        assert row.errors == ("label_out_of_range",)
        assert row.mean_iou is None
        return
    per_class = np.atleast_1d(each.compute().numpy())
    per_class[per_class < 0] = np.nan
    compare(receipt, row, float(metric.compute()), per_class, reference="torchmetrics", tolerance=FLOAT32)


@quick
@given(case=sets())
def test_jaccard_is_scikit_learns(case, receipt):
    predictions, targets, k, ignore = case
    p, t = np.concatenate(predictions).ravel(), np.concatenate(targets).ravel()
    if ignore is not None:
        p, t = p[t != ignore], t[t != ignore]
    found = rows(*case)
    if not t.size:
        assert found["sklearn_jaccard_auto"].errors == found["sklearn_jaccard_labels"].errors == ("no_pixels",)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # absent classes
        auto = jaccard_score(t, p, average="macro")
        listed = jaccard_score(t, p, average="macro", labels=range(k))
        each = jaccard_score(t, p, average=None, labels=range(k))
    present = np.isin(np.arange(k), np.union1d(t, p))
    tolerance = 1e-12
    auto_each = np.where(present, each, np.nan)
    compare(receipt, found["sklearn_jaccard_auto"], auto, auto_each, reference="scikit-learn", tolerance=tolerance)
    compare(receipt, found["sklearn_jaccard_labels"], listed, each, reference="scikit-learn", tolerance=tolerance)


@quick
@given(case=sets())
def test_semseg_is_its_histogram_rule(case, receipt):
    predictions, targets, k, ignore = case
    mean, iou = oracle.semseg_mean_iou(predictions, targets, k, ignore)
    compare(receipt, rows(*case)["semseg"], mean, iou, reference="semseg's rule, written out", tolerance=1e-12)


@quick
@given(case=sets())
def test_smp_is_segmentation_models_pytorch(case, receipt):
    predictions, targets, k, ignore = case
    library, found = smp_functional(), rows(*case)
    p, t = torch.tensor(np.array(predictions)), torch.tensor(np.array(targets))
    try:
        stats = library.get_stats(p, t, mode="multiclass", num_classes=k, ignore_index=ignore)
    except ValueError:
        for name in ("smp_macro", "smp_micro", "smp_macro_imagewise"):
            assert found[name].errors == ("ignore_inside_classes",)
            assert found[name].mean_iou is None
        return
    each = library.iou_score(*stats, reduction="none").double().mean(0)
    tp, fp, fn, tn = (counts.sum(0, keepdim=True) for counts in stats)
    whole = library.iou_score(tp, fp, fn, tn, reduction="none")[0]
    for name, per_class in (("macro", whole), ("micro", None), ("macro-imagewise", each)):
        mean = float(library.iou_score(*stats, reduction=name))
        row = found[f"smp_{name.replace('-', '_')}"]
        per_class = None if per_class is None else per_class.numpy()
        compare(receipt, row, mean, per_class, reference="segmentation-models-pytorch", tolerance=FLOAT32)


@quick
@given(case=sets())
def test_target_present_is_the_mean_over_classes_with_target_pixels(case, receipt):
    predictions, targets, k, ignore = case
    p, t = np.concatenate(predictions), np.concatenate(targets)
    iou, recall, _, _ = oracle.class_scores(p, t, k, ignore)
    mean = oracle.nanmean([i for i, r in zip(iou, recall, strict=True) if not np.isnan(r)])
    per_class = np.where(np.isnan(recall), np.nan, iou)
    row = rows(*case)["target_present"]
    compare(receipt, row, mean, per_class, reference="sets of pixels", tolerance=1e-12)


def test_an_image_with_more_classes_weighs_more_in_mean_iou_and_imagewise_scores(receipt):
    targets = [np.zeros((2, 3), int), np.array([[0, 0, 1], [1, 2, 2]])]
    predictions = [np.zeros((2, 3), int), np.array([[0, 1, 1], [1, 1, 2]])]
    metric = MeanIoU(3, input_format="index")
    for p, t in zip(predictions, targets, strict=True):
        metric.update(torch.tensor(p)[None], torch.tensor(t)[None])
    row = rows(predictions, targets, 3, None)["torchmetrics_mean_iou"]
    assert row.mean_iou == pytest.approx((1 + 0.5 + 0.5 + 0.5) / 4)  # not ((1) + (0.5 + 0.5 + 0.5) / 3) / 2
    compare(receipt, row, float(metric.compute()), None, reference="torchmetrics", tolerance=FLOAT32)


def test_the_documented_example_gives_the_documented_table():
    table = rows([PREDICTION], [TARGET], 5, 255)
    assert {name: row.mean_iou and round(row.mean_iou, 4) for name, row in table.items()} == {
        "mmseg_iou_metric": 0.5,
        "hf_mean_iou": 0.5,
        "torchmetrics_jaccard_macro": 0.5,
        "torchmetrics_jaccard_micro": 0.5385,
        "torchmetrics_jaccard_weighted": 0.6,
        "torchmetrics_mean_iou": None,
        "sklearn_jaccard_auto": 0.5,
        "sklearn_jaccard_labels": 0.4,
        "semseg": 0.4,
        "smp_macro": 0.6,
        "smp_micro": 0.5385,
        "smp_macro_imagewise": 0.6,
        "target_present": 0.6667,
    }
    assert table["torchmetrics_mean_iou"].errors == ("label_out_of_range",)


def test_rows_say_which_conventions_they_follow():
    for row in library_table([PREDICTION], [TARGET], num_classes=5, ignore_index=255):
        assert row.accumulation in ACCUMULATIONS
        assert row.absent in ("exclude", "zero", "one", "pooled")
        assert row.predicted_only in ("zero", "exclude", "pooled")
        assert (row.absent == "pooled") == (row.predicted_only == "pooled") == (row.average == "micro")
        assert (row.mean_iou is None) == bool(row.errors)
        assert row.note == f"note_{row.name}"


def test_the_stated_conventions_reproduce_the_rows():
    """Each macro row without a trap equals our own function with the row's options: the switches are the libraries."""
    rng = np.random.default_rng(3)
    targets = [rng.choice([0, 1, 2], (6, 7)), rng.choice([0, 3], (6, 7))]
    predictions = [np.where(rng.random((6, 7)) < 0.7, t, rng.choice([0, 1, 4], (6, 7))) for t in targets]
    matrices = [confusion_matrix(p, t, num_classes=6) for p, t in zip(predictions, targets, strict=True)]
    for row in library_table(predictions, targets, num_classes=6):
        if row.average == "macro":
            options = {"absent": row.absent, "predicted_only": row.predicted_only, "accumulation": row.accumulation}
            assert accumulate_scores(matrices, **options).mean_iou == pytest.approx(row.mean_iou), row.name


def test_axes_offer_what_the_functions_take():
    offered = {axis.key: tuple(option.value for option in axis.options) for axis in AXES}
    assert offered["accumulation"] == ACCUMULATIONS
    assert offered["absent"] == ("exclude", "zero", "one")
    assert offered["predicted_only"] == ("zero", "exclude")
    assert offered["ignored"][:2] == ("drop", "exclude")
    assert all(option.libraries for axis in AXES for option in axis.options)


def test_a_prediction_out_of_range_may_slip_past_torchmetrics_into_another_class():
    target, prediction = np.array([[0, 0, 1, 1]]), np.array([[0, 2, 1, 1]])  # 0·2 + 2 = 1·2 + 0: counted as (1, 0)
    row = rows([prediction], [target], 2, 255)["torchmetrics_jaccard_macro"]
    assert row.errors == ("too_many_labels",) or row.per_class.tolist() == pytest.approx([0.5, 2 / 3])


def test_images_may_differ_in_size_and_type():
    small, large = np.array([[0, 1]], np.uint8), torch.tensor([[0, 1, 1], [1, 0, 0]])
    table = library_table([small, large], [small, large], num_classes=2)
    assert {row.mean_iou for row in table} == {1.0} | {row.mean_iou for row in table if row.name == "semseg"}


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="same images, got 2 and 1"):
        library_table([PREDICTION] * 2, [TARGET], num_classes=5, ignore_index=255)
    with pytest.raises(ValueError, match="got 0 and 0"):
        library_table([], [], num_classes=5)
    with pytest.raises(ValueError, match="target must hold"):
        library_table([PREDICTION], [TARGET], num_classes=5)
    with pytest.raises(TypeError, match="integer"):
        library_table([PREDICTION * 0.5], [TARGET], num_classes=5, ignore_index=255)
