"""Single files of libraries that do not import as a whole here, loaded with stand-ins for what they import and we do
not run."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from functools import cache
from importlib.metadata import distribution
from types import ModuleType


def load_file(distribution_name: str, path: str, *, name: str = "") -> ModuleType:
    """One file of an installed distribution as a module; its relative imports are looked up beside `name`."""
    location = distribution(distribution_name).locate_file(path)
    name = name or f"oracle_{path.replace('/', '_').removesuffix('.py')}"
    spec = importlib.util.spec_from_file_location(name, str(location))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def stand_ins(modules: dict[str, dict[str, object]]):
    """Put modules with these attributes into sys.modules, then take them out again."""
    before = {name: sys.modules.get(name) for name in modules}
    for name, attributes in modules.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(attributes)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


@cache
def smp_functional() -> ModuleType:
    """segmentation_models_pytorch.metrics.functional."""
    return load_file("segmentation-models-pytorch", "segmentation_models_pytorch/metrics/functional.py")


@cache
def mmseg_iou_metric() -> type:
    """mmseg's IoUMetric class; only its static methods can run."""

    class Registry:
        def register_module(self):
            return lambda cls: cls

    modules = {
        "mmengine": {},
        "mmengine.dist": {"is_main_process": None},
        "mmengine.evaluator": {"BaseMetric": object},
        "mmengine.logging": {"MMLogger": None, "print_log": None},
        "mmengine.utils": {"mkdir_or_exist": None},
        "prettytable": {"PrettyTable": None},
        "mmseg": {},
        "mmseg.registry": {"METRICS": Registry()},
    }
    with stand_ins(modules):
        return load_file("mmsegmentation", "mmseg/evaluation/metrics/iou_metric.py").IoUMetric


class AnyRegistry:
    """OpenMMLab's registries keep classes by name; here they only hand them back."""

    def register_module(self, **_: object):
        return lambda cls: cls


@cache
def mmpose_codec(name: str) -> type:
    """One of mmpose's codecs: "msra_heatmap.MSRAHeatmap", "simcc_label.SimCCLabel"."""
    package, (file, codec) = "mmpose.codecs", name.split(".")
    parts = {
        part: load_file("mmpose", f"mmpose/codecs/utils/{part}.py") for part in ("post_processing", "gaussian_heatmap")
    }
    modules = {
        "mmpose": {},
        "mmpose.registry": {"KEYPOINT_CODECS": AnyRegistry()},
        package: {"__path__": []},
        f"{package}.base": {"BaseKeypointCodec": object},
        f"{package}.utils": {"__path__": [], **vars(parts["post_processing"])},
        f"{package}.utils.post_processing": vars(parts["post_processing"]),
        f"{package}.utils.gaussian_heatmap": vars(parts["gaussian_heatmap"]),
    }
    with stand_ins(modules):
        refinement = load_file("mmpose", "mmpose/codecs/utils/refinement.py", name=f"{package}.utils.refinement")
        with stand_ins({f"{package}.utils.refinement": vars(refinement)}):
            return getattr(load_file("mmpose", f"mmpose/codecs/{file}.py", name=f"{package}.{file}"), codec)


@cache
def mmpose_loss(name: str) -> type:
    """One of mmpose's losses: "classification_loss.KLDiscretLoss", "regression_loss.RLELoss"."""
    package, (file, loss) = "mmpose.models.losses", name.split(".")
    flow = load_file("mmpose", "mmpose/models/utils/realnvp.py")
    modules = {
        "mmpose": {},
        "mmpose.registry": {"MODELS": AnyRegistry()},
        "mmpose.datasets": {},
        "mmpose.datasets.datasets": {},
        "mmpose.datasets.datasets.utils": {"parse_pose_metainfo": None},
        "mmpose.models": {"__path__": []},
        package: {"__path__": []},
        "mmpose.models.utils": {"__path__": []},
        "mmpose.models.utils.realnvp": vars(flow),
    }
    with stand_ins(modules):
        return getattr(load_file("mmpose", f"mmpose/models/losses/{file}.py", name=f"{package}.{file}"), loss)
