"""The README's endpoint example runs as it stands, against the running app."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:7860/"


def test_the_endpoint_example_runs(app_url: str, tmp_path: Path) -> None:
    block = re.search(r"<!-- endpoint-example -->\s*```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None, "README.md has no Python block after <!-- endpoint-example -->"
    assert ADDRESS in block[1]
    program = block[1].replace(ADDRESS, app_url)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = re.search(r"# (0\.\d+)", block[1])
    assert said is not None
    assert float(done.stdout) == pytest.approx(float(said[1])), "the example's comment says something else"
