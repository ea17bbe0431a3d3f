"""A topic made by `demos.new_topic` passes what every topic must pass, in a copy of this repository."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demos.new_topic import FILES, GROUP_ORDER, ROOT, TEMPLATES, TopicError, names_of, registered

COPIED = ("core", "demos", "assets", "tests", "training", "app.py", "pyproject.toml", "Makefile", "README.md")
PINS = ("requirements.txt", "requirements-oracles.txt", "constraints.txt")
NEVER = shutil.ignore_patterns("__pycache__", ".*", "e2e", "bench")
PATH, TITLE = "systems/scaffold_probe", "Probe of the scaffold"
GROUP, TOPIC, SLUG = "systems", "scaffold_probe", "scaffold-probe"
CORE, TEST = f"core/{GROUP}/{TOPIC}.py", f"tests/core/{GROUP}/test_{TOPIC}.py"
WRITE_RECEIPTS = "pytest --write-receipts tests/core"
WRITE_GOLDENS = "pytest --write-goldens tests/demos/test_contract.py"
EVERYWHERE = "page or same_files or terms or every_path or texts_belong or one_to_one or outlives or slugs"


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=tree, env=env, capture_output=True, text=True, timeout=240
    )


def passes(done: subprocess.CompletedProcess[str]) -> bool:
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-3000:])
    return done.returncode == 0


def contents(tree: Path) -> dict[str, bytes]:
    """Every file but caches, whose folders begin with a dot."""
    files = {p.relative_to(tree).as_posix(): p for p in tree.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the repository with the new topic in it."""
    tree = tmp_path_factory.mktemp("copy")
    for name in (*COPIED, *PINS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=NEVER)
        elif (ROOT / name).exists():
            shutil.copy2(ROOT / name, tree / name)
    before = contents(tree)
    done = python(tree, "demos.new_topic", PATH, TITLE)
    assert passes(done)
    after = contents(tree)
    new = {f.replace("$group", GROUP).replace("${topic}", TOPIC).replace("$topic", TOPIC) for f in FILES.values()}
    new = {f.replace("$slug", SLUG) for f in new}
    packages = {f"{layer}/{GROUP}/__init__.py" for layer in ("core", "demos")}
    assert new <= set(after) - set(before) <= new | packages
    assert [name for name in before if before[name] != after[name]] == ["demos/__init__.py"]
    assert all(file in done.stdout for file in new)
    assert [line.strip()[0] for line in done.stdout.splitlines() if line.startswith("  ")] == list("12345")
    yield tree
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def proved(tree: Path) -> Path:
    """The copy with the receipts that the new topic's own tests write."""
    assert passes(python(tree, *WRITE_RECEIPTS.split()[:-1], TEST, CORE))
    return tree


def test_new_files_are_clean(tree: Path) -> None:
    files = [str(path.relative_to(tree)) for path in tree.rglob(f"*{TOPIC}*.py")] + ["demos/__init__.py"]
    assert len(files) == 7
    assert passes(python(tree, "ruff", "check", *files))
    assert passes(python(tree, "ruff", "format", "--check", *files))
    assert passes(python(tree, "pyright", "--pythonpath", sys.executable, CORE, f"demos/{GROUP}"))


def test_a_second_run_refuses_and_changes_nothing(tree: Path) -> None:
    before = contents(tree)
    command = [
        sys.executable,
        "demos/new_topic.py",
        PATH,
        TITLE,
    ]  # as a file: without the seconds that importing demos takes
    again = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert contents(tree) == before


def test_its_own_tests_write_its_receipts(proved: Path) -> None:
    receipts = json.loads((proved / "assets" / "receipts.json").read_text(encoding="utf-8"))
    wanted = {"running_mean:final_mean", "running_mean_steps:running_mean", "running_mean_steps:weight"}
    assert {f"core.{GROUP}.{TOPIC}.{key}" for key in wanted} <= set(receipts)


def test_it_passes_what_every_topic_must_pass(proved: Path) -> None:
    rules = ["tests/test_layers.py", "tests/test_mirror.py", "tests/test_text.py"]
    tabs = [f"tests/demos/{GROUP}", "tests/demos/test_panel.py", "tests/demos/test_page.py"]
    assert passes(python(proved, *WRITE_GOLDENS.split(), *tabs, *rules, "-k", f"scaffold or {EVERYWHERE}"))
    goldens = sorted(path.stem for path in (proved / "tests" / "golden" / SLUG).iterdir())
    assert goldens == ["drift", "memory", "start"]


def test_its_tests_can_fail(tree: Path) -> None:
    core = tree / CORE
    source = core.read_text(encoding="utf-8")
    assert source.count("weight = 1 / n if") == 1
    core.write_text(source.replace("weight = 1 / n if", "weight = 1 / (n + 1) if"), encoding="utf-8")
    done = python(
        tree, "pytest", "-q", TEST, "-k", "not between and not order"
    )  # what Hypothesis would shrink at leisure
    core.write_text(source, encoding="utf-8")
    assert done.returncode == 1
    for test in (
        "arithmetic_means_are_cumulative_sums_divided",
        "every_mean_is_its_weighted_sum",
        "one_value_is_its_mean",
    ):
        assert f"FAILED {TEST}::test_{test}" in done.stdout


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_make_runs_the_same_commands() -> None:
    command = ["make", "--dry-run", "topic", "receipts", "goldens", f"TOPIC={PATH}", f"TITLE={TITLE}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert WRITE_RECEIPTS in said
    assert WRITE_GOLDENS in said
    assert 'python -m demos.new_topic "$TOPIC" "$TITLE"' in said


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_follow_from_the_path() -> None:
    names = names_of("video/optical_flow", "Optical flow", "光流")
    assert names == {
        "group": "video",
        "topic": "optical_flow",
        "slug": "optical-flow",
        "title": "Optical flow",
        "title_zh": "光流",
    }
    assert names_of("video/optical_flow", "Optical flow")["title_zh"] == "Optical flow（初稿）"


WRONG_PATHS = (
    "flash nowhere/flash kit/flash systems/ systems/Flash systems/a-b systems/a/b ../core/a /systems/a systems/1a systems/a__b "
    "systems/_a systems/import systems/a_figures systems/labels systems/video"
)


@pytest.mark.parametrize("path", WRONG_PATHS.split())
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(TopicError, match=r"must be one|taken by the house"):
        names_of(path, "A title")


@pytest.mark.parametrize(
    "title", ["", "A", " A title", 'A "title"', "A\ntitle", "A {title}", "<b>A", "a\\b", "A" * 61, "标题"]
)
def test_other_titles_are_refused(title: str) -> None:
    with pytest.raises(TopicError, match="title"):
        names_of("systems/a", title)


def test_the_second_title_is_chinese() -> None:
    with pytest.raises(TopicError, match="the second the Chinese"):
        names_of("systems/a", "A title", "Un titre")


def test_templates_and_files_are_one_to_one() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == set(FILES)


# -- the list of demos -------------------------------------------------------------------------------------------------

ONE = 'from demos.video.a import DEMO as a\n\nGROUPS = {\n    "video": (a,),\n}\n'
LONG = 'from demos.video.a import DEMO as a\nfrom demos.video.b import DEMO as b\n\nGROUPS = {"video": (\n    b,  # 先\n    a,\n)}\n'


def groups_in(source: str) -> dict[str, list[str]]:
    (groups,) = [node.value for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    assert isinstance(groups, ast.Dict)
    pairs = zip(groups.keys, groups.values, strict=True)
    return {ast.literal_eval(key): [ast.unparse(e) for e in value.elts] for key, value in pairs}  # type: ignore[union-attr]


@pytest.mark.parametrize("source", [ONE, LONG])
@pytest.mark.parametrize("group", GROUP_ORDER)
def test_a_topic_comes_last_in_its_group_and_a_group_in_its_place(source: str, group: str) -> None:
    before, after = groups_in(source), groups_in(registered(source, group=group, topic="new"))
    assert after == {**before, group: [*before.get(group, []), "new"]}
    assert list(after) == sorted(after, key=GROUP_ORDER.index)
    assert f"from demos.{group}.new import DEMO as new\n" in registered(source, group=group, topic="new")
    assert source.count("# 先") == registered(source, group=group, topic="new").count("# 先")


def test_the_list_of_this_repository_can_be_added_to() -> None:
    source = (ROOT / "demos" / "__init__.py").read_text(encoding="utf-8")
    for group in GROUP_ORDER:
        assert groups_in(registered(source, group=group, topic="new"))[group][-1] == "new"


@pytest.mark.parametrize(
    "source", ["", "import a\nGROUPS = {}\n", "from a import b\nGROUPS = [b]\n", ONE.replace("(a,)", "[a]")]
)
def test_a_list_in_another_form_is_left_to_its_author(source: str) -> None:
    with pytest.raises(TopicError, match="must"):
        registered(source, group="video", topic="new")
