"""Seeded bugs: each must make its module's tests fail. `python -m tests.sabotage [word]` (make sabotage) runs those
whose file or reason holds the word, all without one, and exits with 1 if any bug survives.

Every bug is planted in a copy of the tree, never in the tree itself.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("core", "demos", "tests", "training", "assets", "pyproject.toml")
NEVER = shutil.ignore_patterns("__pycache__", ".hypothesis", "bench", "e2e", "images", "videos")
LOG = "pytest.log"
NEVER_RAN = 99
EARLY = "ignore::pytest.PytestAssertRewriteWarning"  # about what is preloaded
PATIENCE_S = 300  # a bug that makes the tests hang is a bug found


@dataclass(frozen=True)
class Sabotage:
    """One plausible bug."""

    file: str  # "core/perception/pixel_codes.py"
    old: str  # occurs exactly once in it
    new: str
    why: str  # the mistake in a few words
    tests: str = ""  # test file, where it is not the mirror image of `file`

    @property
    def test_file(self) -> str:
        path = Path(self.file)
        return self.tests or (Path("tests") / path.parent / f"test_{path.name}").as_posix()


def sabotages() -> tuple[Sabotage, ...]:
    """Every seeded bug."""
    from tests import sabotages as package

    modules = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(bug for name in modules for bug in importlib.import_module(f"{package.__name__}.{name}").SABOTAGES)


def patched(source: str, bug: Sabotage) -> str:
    """The source with the bug in it."""
    if source.count(bug.old) != 1:
        raise ValueError(
            f"{bug.file}: the text of {bug.why!r} must occur exactly once, occurs {source.count(bug.old)} times"
        )
    return source.replace(bug.old, bug.new)


def survives(bug: Sabotage, tree: Path) -> bool:
    """Whether the tests pass with the bug in the copied tree, which is put right again."""
    file = tree / bug.file
    source = file.read_text(encoding="utf-8")
    file.write_text(patched(source, bug), encoding="utf-8")
    try:
        status = run_tests(tree, bug.test_file)
    finally:
        file.write_text(source, encoding="utf-8")
    if status not in (0, 1, None):  # 0 passed, 1 failed; anything else means that the tests never ran
        log = (tree / LOG).read_text(encoding="utf-8")
        raise RuntimeError(f"{bug.test_file} could not run with {bug.why!r}:\n{log[-3000:]}")
    return status == 0


def run_tests(tree: Path, test_file: str) -> int | None:
    """pytest's status for one file of the copied tree; None if it lost patience.

    In a forked child, because importing the libraries takes longer than running the tests.
    """
    child = os.fork()
    if not child:
        try:
            os.chdir(tree)
            with (tree / LOG).open("w", encoding="utf-8") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            for name in [name for name in sys.modules if name.split(".")[0] in ("core", "demos", "tests")]:
                del sys.modules[name]
            sys.path[:] = [str(tree), *(p for p in sys.path if Path(p or ".").resolve() != ROOT)]
            sys.dont_write_bytecode = True
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(tree / "examples")
            status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--tb=short", "-W", EARLY, test_file])
        except BaseException:
            traceback.print_exc()
            status = NEVER_RAN
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(status))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def preload() -> None:
    """Import what most tests import, once, before the children are forked."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    for name in (
        "cv2",
        "gradio",
        "hypothesis.strategies",
        "plotly.graph_objects",
        "scipy.ndimage",
        "scipy.spatial",
        "sklearn.metrics",
        "torch",
        "torchmetrics",
        "transformers.loss.loss_deformable_detr",
        "transformers.models.detr.modeling_detr",
    ):
        importlib.import_module(name)


def main(words: Sequence[str]) -> int:
    chosen = [bug for bug in sabotages() if all(word in f"{bug.file} {bug.why}" for word in words)]
    if not chosen:
        print(f"no seeded bug matches {' '.join(words)!r}")
        return 1
    preload()
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, ignore=NEVER)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, tree / name)
        print("| module | seeded bug | found | s |\n|---|---|---|---|")
        for bug in chosen:
            start = time.perf_counter()
            alive = survives(bug, tree)
            survivors += alive
            verdict = "**survives**" if alive else "yes"
            print(f"| {bug.file} | {bug.why} | {verdict} | {time.perf_counter() - start:.1f} |", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
