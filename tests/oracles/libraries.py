"""Single files of libraries that do not import as a whole here, loaded with stand-ins for what they import and we do
not run."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import contextmanager
from functools import cache
from importlib.metadata import distribution
from types import ModuleType


def load_file(distribution_name: str, path: str) -> ModuleType:
    """One file of an installed distribution as a module."""
    location = distribution(distribution_name).locate_file(path)
    spec = importlib.util.spec_from_file_location(f"oracle_{path.replace('/', '_').removesuffix('.py')}", str(location))
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
