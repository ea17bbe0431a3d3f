"""Numbers on screen and the receipts that prove them.

A `Number` says what is shown, by which formula, with which operands, and which `core` function computed it. Its receipt says against
which independent reference that function was compared, by which test, and how far the two were ever apart. Receipts are written by
the tests (`make receipts`) into assets/receipts.json and carry a fingerprint of the source they vouch for.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[2]
RECEIPTS = ROOT / "assets" / "receipts.json"

Kind = Literal["computed", "measured", "quoted"]


@dataclass(frozen=True)
class Number:
    """One figure on screen.

    `formula` is written with the operands' names; `operands` gives this screen's values for them, so the filled-in formula can be
    read, and evaluated by a test. A sequence operand is filled in as a list.
    """

    key: str  # "mean_iou": name of the label and of the quantity that the receipt vouches for
    value: float | int | None  # None or NaN: undefined here, drawn as "–"
    source: Callable[..., Any]  # the core function that computed it
    formula: str = ""  # "n_kk / (t_k + p_k − n_kk)"
    operands: Mapping[str, Any] = field(default_factory=lambda: dict[str, Any]())
    unit: str = ""
    convention: str = ""  # text key of the convention in force
    item: str = ""  # which of several: a class's name
    kind: Kind = "computed"
    gauge: bool = True  # a value in 0…1 is a share of something, and drawn as a bar

    @property
    def receipt_key(self) -> str:
        """`module.function:quantity`, the key in receipts.json."""
        return receipt_key(self.source, self.key)

    @property
    def filled(self) -> str:
        """The formula with this number's operands in place of their names."""
        if not self.formula:
            return ""
        names = sorted(self.operands, key=len, reverse=True)
        if not names:
            return self.formula
        return _names(tuple(names)).sub(lambda match: format_operand(self.operands[match[1]]), self.formula)


@cache
def _names(names: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the names as a word of its own."""
    return re.compile(r"(?<![\w])(" + "|".join(map(re.escape, names)) + r")(?![\w])")


def format_value(value: float | int | None, unit: str = "") -> str:
    """What the reader sees: "–" for undefined, integers whole, thousands set apart, everything else to four significant decimals.

    >>> format_value(0.53846153), format_value(1234567), format_value(float("nan")), format_value(12.5, "px")
    ('0.5385', '1\u202f234\u202f567', '–', '12.50 px')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float) and math.isinf(value):
        text = "∞" if value > 0 else "−∞"
    elif isinstance(value, int):
        text = f"{value:,}".replace(",", "\u202f")
    elif abs(value) >= 1000:
        text = f"{value:,.1f}".replace(",", "\u202f")
    elif abs(value) >= 10:
        text = f"{value:.2f}"
    elif value != 0 and abs(value) < 1e-3:
        text = f"{value:.2e}"
    else:
        text = f"{value:.4f}"
        if text.lstrip("-") == "1.0000" and abs(value) < 1:  # nearly perfect is not perfect
            text = f"{value:.9f}".rstrip("0") if abs(value) < 1 - 1e-9 else "1 − " + f"{1 - abs(value):.0e}"
    text = text.replace("-", "−")
    return f"{text} {unit}".rstrip()


def format_operand(value: Any) -> str:
    """An operand as it stands inside a filled-in formula, to six digits: readable, and exact enough to be evaluated again."""
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_operand(v) for v in value) + "]"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.6g}"


def receipt_key(source: Callable[..., Any], quantity: str) -> str:
    return f"{source.__module__}.{source.__qualname__}:{quantity}"


@cache
def where(source: Callable[..., Any]) -> str:
    """`core/perception/x.py:120`, the line at which the function begins."""
    target: Any = inspect.unwrap(source)
    path = Path(inspect.getsourcefile(target) or "").resolve()
    return f"{path.relative_to(ROOT).as_posix()}:{inspect.getsourcelines(target)[1]}"


@cache
def fingerprint(module_file: str) -> str:
    """Hash of a module's code, deaf to comments, docstrings and layout."""
    tree = ast.parse(Path(module_file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body[0] = ast.Pass()
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def source_fingerprint(source: Callable[..., Any]) -> str:
    return fingerprint(inspect.getsourcefile(inspect.unwrap(source)) or "")


@cache
def load_receipts() -> Mapping[str, Any]:
    """All receipts by key; empty before the first `make receipts`."""
    return json.loads(RECEIPTS.read_text(encoding="utf-8")) if RECEIPTS.exists() else {}


def receipt_of(number: Number) -> Mapping[str, Any] | None:
    """The receipt that vouches for this number, or None."""
    return load_receipts().get(number.receipt_key)
