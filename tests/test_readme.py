"""README.md promises only what there is."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
MAKE_ONLY = {".venv"}  # made by `make`
ENDINGS = r"\.(py|md|txt|json|js|css|toml|png|jpg|yml)$"


def front_matter() -> dict[str, Any]:
    return yaml.safe_load(README.split("---\n")[1])


def paths() -> list[str]:
    """Paths in backticks, in links, and in the annotated tree."""
    tree = README.split("## The tree")[1].split("```")[1]
    quoted = re.findall(r"(?<!`)`([^`\s]+)`(?!`)", README)
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    named = [path for path in quoted if re.search(ENDINGS, path) or path.endswith("/")]
    return sorted({*named, *linked, *(line.split()[0] for line in tree.splitlines() if line.strip())})


@pytest.mark.parametrize("path", [path for path in paths() if path not in MAKE_ONLY])
def test_named_paths_exist(path: str) -> None:
    assert (REPOSITORY / path).exists()


def test_paths_are_found_at_all() -> None:
    assert {"app.py", "core/", "constraints.txt", "demos/contract.py"} <= set(paths())


def test_named_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = {
        word for words in re.findall(r"(?:^|`)make ((?:[a-z]+ ?)+)", README, re.MULTILINE) for word in words.split()
    }
    assert {"run", "test", "bench"} <= named
    assert named <= targets


def test_front_matter_is_what_spaces_reads() -> None:
    matter = front_matter()
    assert matter["title"] == "Glassbox"
    assert matter["sdk"] == "gradio"
    assert (REPOSITORY / matter["app_file"]).exists()
    assert matter["python_version"] == "3.12"
    assert len(matter["short_description"]) <= 60
    assert matter["license"] == "apache-2.0"


def test_front_matter_and_installed_gradio_satisfy_the_requirements() -> None:
    lines = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split()
    gradio = next(requirement for line in lines if (requirement := Requirement(line)).name == "gradio")
    assert Version(front_matter()["sdk_version"]) in gradio.specifier
    assert Version(version("gradio")) in gradio.specifier
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio=={front_matter()['sdk_version']}" in pins


def test_constraints_are_exact_and_without_cuda() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert not [pin.name for pin in pins if pin.name.startswith(("nvidia", "cuda", "triton"))]
    for python in ("3.10", "3.11", "3.12"):
        place = {"python_version": python, "python_full_version": f"{python}.5", "sys_platform": "linux"}
        chosen = [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate(place)]
        assert len(chosen) == len(set(chosen)), f"two versions of one library on Python {python}"
        for line in (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split():
            assert Requirement(line).name in chosen, f"{line} has no version on Python {python}"
