"""Two fixtures. `receipt`: a comparison with a reference that is asserted *and* written down. `golden`: what must not change unseen.

`pytest --write-receipts` (that is `make receipts`) writes every comparison of the run to assets/receipts.json (those of test files
that did not run stay, while the files exist), and
`pytest --write-goldens` every golden to tests/golden/; read the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import pytest

from demos.kit.numbers import RECEIPTS, receipt_key, source_fingerprint

_written: dict[str, dict[str, Any]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-receipts", action="store_true", help="write assets/receipts.json from this run's comparisons"
    )
    parser.addoption("--write-goldens", action="store_true", help="write tests/golden/ from what this run shows")


GOLDEN = Path(__file__).parent / "golden"


def canonical(value: Any) -> Any:
    """JSON with six significant digits, undefined numbers null."""
    if isinstance(value, dict):
        return {str(k): canonical(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [canonical(v) for v in value]
    if isinstance(value, float):
        return None if value != value else str(value) if abs(value) == float("inf") else float(f"{value:.6g}")
    return value


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """`golden("<slug>/<preset>.json", value)` asserts that the value is what the file says."""

    def compare(name: str, value: Any) -> None:
        path, now = GOLDEN / name, canonical(value)
        if request.config.getoption("--write-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        assert path.is_file(), f"{path.name} is missing: pytest --write-goldens, and read it"
        assert now == json.loads(path.read_text(encoding="utf-8"))

    return compare


@cache
def with_version(reference: str) -> str:
    """A distribution's name with its version, anything else as it is. Looked up once: a search of all that is installed."""
    try:
        return f"{reference} {version(reference)}"
    except (PackageNotFoundError, ValueError):
        return reference


@pytest.fixture
def receipt(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`receipt(source, quantity, got, expected, reference="scikit-learn", tolerance=1e-12)`.

    Asserts |got − expected| ≤ tolerance elementwise (NaN equals NaN, inf equals inf) and records the largest deviation seen under
    `source:quantity`. `reference` is a distribution's name (its version is added) or a description of the brute force or closed form.
    """

    def compare(
        source: Callable[..., Any], quantity: str, got: Any, expected: Any, *, reference: str, tolerance: float = 1e-12
    ) -> None:
        left, right = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
        assert left.shape == right.shape, f"{quantity}: shape {left.shape} against the reference's {right.shape}"
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        with np.errstate(invalid="ignore"):
            apart = np.where(same, 0.0, np.abs(left - right))
        deviation = float(apart.max(initial=0.0))
        assert deviation <= tolerance, f"{quantity}: off by {deviation:g} from {reference}: {left} against {right}"
        name = with_version(reference)
        key = receipt_key(source, quantity)
        entry = _written.setdefault(key, {"fingerprint": source_fingerprint(source), "comparisons": {}})
        test = request.node.nodeid.split("[")[0]
        line = entry["comparisons"].setdefault(
            f"{name} | {test}", {"reference": name, "test": test, "deviation": 0.0, "tolerance": tolerance}
        )
        line["deviation"] = max(line["deviation"], deviation)
        line["tolerance"] = max(line["tolerance"], tolerance)

    return compare


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--write-receipts") or not _written:
        return
    ran = {item.nodeid.split("::")[0] for item in session.items}
    for key, entry in json.loads(RECEIPTS.read_text(encoding="utf-8")).items() if RECEIPTS.is_file() else ():
        kept = _written.setdefault(key, {"fingerprint": entry["fingerprint"], "comparisons": {}})
        for line in entry["comparisons"]:
            file = line["test"].split("::")[0]
            if (
                file not in ran
                and (session.config.rootpath / file).is_file()
                and kept["fingerprint"] == entry["fingerprint"]
            ):
                kept["comparisons"][f"{line['reference']} | {line['test']}"] = line
    receipts = {
        key: {
            "fingerprint": entry["fingerprint"],
            "comparisons": [entry["comparisons"][k] for k in sorted(entry["comparisons"])],
        }
        for key, entry in sorted(_written.items())
        if entry["comparisons"]
    }
    RECEIPTS.write_text(json.dumps(receipts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
