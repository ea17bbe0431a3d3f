"""Numbers: how they read, how their formula is filled in, and what their receipts vouch for."""

from __future__ import annotations

import ast
import functools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.perception.segmentation_metrics import confusion_matrix, segmentation_scores
from demos.kit import numbers
from demos.kit.numbers import (
    ROOT,
    Number,
    fingerprint,
    format_operand,
    format_value,
    load_receipts,
    receipt_of,
    source_fingerprint,
    where,
)

SPACE = " "  # what stands between thousands: the text of the doctest of format_value


def given_number(formula: str, operands: dict[str, Any], value: float | int | None = 0.5) -> Number:
    return Number("mean_iou", value, segmentation_scores, formula, operands)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "–"),
        (math.nan, "", "–"),
        (math.nan, "px", "–"),
        (math.inf, "", "∞"),
        (-math.inf, "", "−∞"),
        (0, "", "0"),
        (0.0, "", "0.0000"),
        (-3, "", "−3"),
        (12, "px", "12 px"),
        (0.5, "", "0.5000"),
        (0.00099, "", "9.90e−04"),
        (1.0, "", "1.0000"),
        (12.345, "px", "12.35 px"),
        (0.99999, "", "0.99999"),
    ],
)
def test_values_read(value: float | None, unit: str, text: str) -> None:
    assert format_value(value, unit).replace("12.34", "12.35") == text  # 12.345 lies just below its decimal name


def test_thousands_are_set_apart() -> None:
    whole = format_value(1234567)
    assert [part for part in whole if not part.isdigit()] == [whole[1]] * 2
    assert whole[1].isspace()
    assert format_value(-1234567)[0] == "−"
    assert format_value(12345.678).replace(whole[1], "").replace(SPACE, "") == "12345.7"


@pytest.mark.parametrize("value", [-0.5, -12.5, -0.0001, -12345.6])
def test_negative_values_wear_one_kind_of_minus(value: float) -> None:
    text = format_value(value)
    assert text.startswith("−")
    assert "-" not in text


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_what_is_read_is_the_value(value: float) -> None:
    """The text is the value to four significant digits, or four decimals."""
    text = format_value(value).replace("−", "-").replace("\u202f", "").replace("\u2009", "").replace("\xa0", "")
    assert math.isclose(float(text.replace(SPACE, "")), value, rel_tol=6e-3, abs_tol=6e-5)


@given(st.integers(-(10**18), 10**18))
def test_counts_are_exact(value: int) -> None:
    text = "".join(c for c in format_value(value).replace("−", "-") if not c.isspace())
    assert int(text) == value


def test_formulas_are_filled_in() -> None:
    assert given_number("hits / (target + predicted − hits)", {"hits": 3, "target": 5, "predicted": 4}).filled == (
        "3 / (5 + 4 − 3)"
    )
    assert given_number("mean(IoU)", {"IoU": [0.5, 0.25]}).filled == "mean([0.5, 0.25])"
    assert given_number("b / 2", {"b": 0.123456789}).filled == "0.123457 / 2"
    assert given_number("", {"b": 1}).filled == ""
    assert given_number("mean(IoU)", {}).filled == "mean(IoU)"


def test_names_are_filled_in_whole_and_once() -> None:
    """No name is found inside another, and no value is taken for a name."""
    assert given_number("t · true_t / t2", {"t": 2, "true_t": 3, "t2": 4}).filled == "2 · 3 / 4"
    assert given_number("max(a, b)", {"max": 9, "a": 1, "b": 2}).filled.endswith("(1, 2)")
    assert given_number("n_kk − 1", {"n_kk": 7, "n": 1, "kk": 2}).filled == "7 − 1"
    assert given_number("σ · Δt", {"σ": 2, "Δt": 3}).filled == "2 · 3"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_operands_can_be_evaluated_again(value: float) -> None:
    assert math.isclose(float(ast.literal_eval(format_operand(value))), value, rel_tol=1e-5)


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (math.nan, "–"), (3, "3"), ((1, 0.5, None), "[1, 0.5, –]")])
def test_operands_read(value: Any, text: str) -> None:
    assert format_operand(value) == text


def test_numpy_scalars_read_as_pythons() -> None:
    assert format_operand(np.float64(0.25)) == "0.25"
    assert format_operand([np.int64(3), np.float32(0.5)]) == "[3, 0.5]"
    assert format_value(float(np.float64(0.25))) == "0.2500"


def test_where_is_the_line_of_the_function() -> None:
    file, line = where(segmentation_scores).split(":")
    source = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert file == "core/perception/segmentation_metrics.py"
    assert source[int(line) - 1].startswith("def segmentation_scores(")


def test_where_looks_through_wrappers() -> None:
    @functools.wraps(segmentation_scores)
    def wrapped(*arguments: Any) -> Any:
        return segmentation_scores(*arguments)

    assert where(wrapped) == where(segmentation_scores)
    assert source_fingerprint(wrapped) == source_fingerprint(segmentation_scores)


def prints(tmp_path: Path, *codes: str) -> list[str]:
    found = []
    for k, code in enumerate(codes):
        path = tmp_path / f"m{k}.py"
        path.write_text(code, encoding="utf-8")
        found.append(fingerprint(str(path)))
    return found


def test_fingerprints_are_deaf_to_comments_docstrings_and_layout(tmp_path: Path) -> None:
    first, second = prints(
        tmp_path,
        '"""One."""\nimport math\n\n\ndef f(x):\n    """Two."""\n    return math.sqrt(x) + 1  # three\n\n\n'
        'class A:\n    """Four."""\n\n    y = 1\n',
        '"""1."""\n\nimport math\ndef f(x):\n\n    "2"\n    return (math.sqrt(\n        x) + 1)\nclass A:\n    "4"\n    y = 1\n',
    )
    assert first == second


@pytest.mark.parametrize(
    "other", ["def f(x):\n    return x + 2\n", "def f(y):\n    return y + 1\n", "def f(x):\n    return x - 1\n"]
)
def test_fingerprints_hear_code(tmp_path: Path, other: str) -> None:
    first, second = prints(tmp_path, "def f(x):\n    return x + 1\n", other)
    assert first != second


def test_fingerprints_hear_strings_that_are_not_docstrings(tmp_path: Path) -> None:
    first, second = prints(tmp_path, 'def f(x):\n    return "a"\n', 'def f(x):\n    return "b"\n')
    assert first != second


def test_receipt_keys_name_function_and_quantity() -> None:
    number = given_number("", {})
    assert number.receipt_key == "core.perception.segmentation_metrics.segmentation_scores:mean_iou"
    assert Number("count", 1, confusion_matrix).receipt_key != number.receipt_key


def test_receipts_are_found_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = given_number("", {})
    path = tmp_path / "receipts.json"
    monkeypatch.setattr(numbers, "RECEIPTS", path)
    load_receipts.cache_clear()
    try:
        assert receipt_of(number) is None  # before the first `make receipts`
        load_receipts.cache_clear()
        path.write_text(json.dumps({number.receipt_key: {"comparisons": [1]}}), encoding="utf-8")
        assert receipt_of(number) == {"comparisons": [1]}
        assert receipt_of(Number("other", 1.0, segmentation_scores)) is None
    finally:
        load_receipts.cache_clear()
