"""Who may import whom, and what the pure layers never touch: the table of layers, read off the syntax trees."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = sorted(ROOT.glob("core/**/*.py"))
FIGURES = sorted(ROOT.glob("demos/**/*_figures.py"))
KIT = sorted(ROOT.glob("demos/kit/*.py"))
TOPICS = sorted(path for path in ROOT.glob("demos/*/*.py") if path.parent.name != "kit")
TOPIC_PARTS = [path for path in TOPICS if path not in FIGURES]
STAGE = sorted(ROOT.glob("assets/stage/*.js"))

CORE_IMPORTS = {"numpy", "torch", "scipy", "cv2", "core"}
STANDARD = {
    "__future__",
    "abc",
    "bisect",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "enum",
    "fractions",
    "functools",
}
STANDARD |= {"heapq", "itertools", "math", "numbers", "operator", "string", "sys", "typing", "types", "warnings"}
STANDARD |= {"threading", "time", "weakref"}  # code that is watched while it runs
SAFE_RANDOM = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64"}
# Words of subjects. The stage draws any of them, so it needs to know none.
SUBJECTS = re.compile(
    r"\b(m?iou|giou|dice|jaccard|precision|recall|f1|confusion|softmax|sigmoid|logits?|entropy|attention|hausdorff|panoptic|"
    r"logsumexp|kernel|convolve|gradient|loss|sigma|beta|drift|epe|matmul|mean|variance|std)\b",
    re.IGNORECASE,
)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_in(tree: ast.AST) -> set[str]:
    """Dotted names of everything imported below `tree`: modules, and `module.name` for names taken from them."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def at_import_time(tree: ast.Module) -> ast.Module:
    """The module without the bodies of its functions and without what only type checkers read."""
    kept: list[ast.stmt] = []

    def visit(statements: list[ast.stmt]) -> None:
        for node in statements:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                visit(node.orelse)
            elif isinstance(node, (ast.ClassDef, ast.If, ast.With, ast.For, ast.While, ast.Try)):
                for part in ("body", "orelse", "finalbody"):
                    visit(getattr(node, part, []))
                for handler in getattr(node, "handlers", []):
                    visit(handler.body)
            else:
                kept.append(node)

    visit(tree.body)
    return ast.Module(kept, [])


def packages(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def calls(tree: ast.AST) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def impure(tree: ast.AST) -> set[str]:
    """Calls that reach outside: files, the network, the screen, the state of a global random generator."""
    wrong: set[str] = set()
    for name in calls(tree):
        last = name.split(".")[-1]
        if name in ("open", "print", "input", "exec", "eval", "breakpoint", "__import__"):
            wrong.add(name)
        if re.match(r"(np|numpy)\.random\.", name) and last not in SAFE_RANDOM:
            wrong.add(name)
        if re.match(r"(random|torch\.random|torch\.cuda)\.", name) and last not in ("is_available",):
            wrong.add(name)
        if name in ("torch.manual_seed", "torch.seed", "torch.set_rng_state", "cv2.setRNGSeed", "default_rng"):
            wrong.add(name)
        if last in ("imread", "imwrite", "fromfile", "tofile", "loadtxt", "savetxt", "memmap", "savez", "genfromtxt"):
            wrong.add(name)
        if name.startswith(
            ("sys.std", "sys.argv", "os.", "pathlib.", "subprocess.", "socket.", "urllib.", "requests.")
        ):
            wrong.add(name)
        if name in ("np.load", "np.save", "torch.load", "torch.save", "cv2.VideoCapture", "cv2.VideoWriter"):
            wrong.add(name)
    return wrong


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_core_imports_arrays_and_itself_only(path: Path) -> None:
    assert packages(imports_in(tree_of(path))) <= CORE_IMPORTS | STANDARD


@pytest.mark.parametrize("path", CORE, ids=relative)
def test_core_touches_no_file_no_network_no_screen_and_no_global_generator(path: Path) -> None:
    assert impure(tree_of(path)) <= {"cv2.setRNGSeed"} & allowed_in(path)


def allowed_in(path: Path) -> set[str]:
    """OpenCV's k-means and GrabCut take no generator: the function that calls them seeds OpenCV's own, which is thread-local."""
    return {"cv2.setRNGSeed"} if relative(path) == "core/perception/photo_segmentation.py" else set()


@pytest.mark.parametrize("path", FIGURES, ids=relative)
def test_figures_know_no_gradio_and_no_torch(path: Path) -> None:
    names = packages(imports_in(tree_of(path)))
    assert names <= {"__future__", "collections", "dataclasses", "functools", "typing", "math"} | {
        "numpy",
        "plotly",
        "cv2",
        "core",
        "demos",
    }


@pytest.mark.parametrize("path", KIT, ids=relative)
def test_the_kit_loads_gradio_only_when_asked(path: Path) -> None:
    """Tests, exports and scripts use the kit without paying for Gradio."""
    assert not packages(imports_in(at_import_time(tree_of(path)))) & {"gradio", "torch", "plotly"}


@pytest.mark.parametrize("path", KIT, ids=relative)
def test_the_kit_knows_no_topic(path: Path) -> None:
    ours = {name for name in imports_in(tree_of(path)) if name.startswith(("demos", "core"))}
    assert all(name.startswith("demos.kit.") for name in ours)


@pytest.mark.parametrize("path", TOPIC_PARTS, ids=relative)
def test_topics_draw_nothing(path: Path) -> None:
    names = imports_in(tree_of(path))
    assert not packages(names) & {"plotly", "matplotlib"}
    assert "tests" not in packages(names)


@pytest.mark.parametrize("path", TOPICS, ids=relative)
def test_gradio_is_for_layouts(path: Path) -> None:
    """Within a topic only the file that lays it out, the one with a DEMO, may know Gradio."""
    tree = tree_of(path)
    lays_out = any(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "DEMO" for n in tree.body)
    assert lays_out or "gradio" not in packages(imports_in(tree))


def test_the_app_knows_demos_only() -> None:
    assert packages(imports_in(tree_of(ROOT / "app.py"))) <= {"sys", "demos"}


@pytest.mark.parametrize("path", [*CORE, *KIT, *TOPICS], ids=relative)
def test_nobody_imports_tests_or_training(path: Path) -> None:
    assert not packages(imports_in(tree_of(path))) & {"tests", "training", "app"}


@pytest.mark.parametrize("path", STAGE, ids=relative)
def test_the_stage_knows_no_subject(path: Path) -> None:
    """The browser draws and never computes."""
    code = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not SUBJECTS.findall(code)
    mathematics = set(re.findall(r"\bMath\.(\w+)", code))
    assert mathematics <= {"abs", "ceil", "floor", "hypot", "log10", "max", "min", "round", "sign", "sqrt"}  # layout


@pytest.mark.parametrize("path", STAGE, ids=relative)
def test_the_stage_never_takes_data_for_code_or_leaves_the_server(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", code)
    addresses = set(re.findall(r"https?://[\w.]+", code))
    assert addresses <= {"http://www.w3.org"}  # names of SVG's namespaces, never asked for
    assert not re.findall(r"\bXMLHttpRequest|\bWebSocket|\bEventSource|sendBeacon|\bimport\(", code)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("np.random.rand(3)", {"np.random.rand"}),
        ("np.random.default_rng(0)", set[str]()),
        ("open('x')", {"open"}),
        ("print(1)", {"print"}),
        ("torch.manual_seed(0)", {"torch.manual_seed"}),
        ("random.random()", {"random.random"}),
        ("cv2.imread('x')", {"cv2.imread"}),
        ("sys.stdout.write('x')", {"sys.stdout.write"}),
        ("rng.random(3)", set[str]()),
    ],
)
def test_the_finder_finds(code: str, found: set[str]) -> None:
    assert impure(ast.parse(code)) == found


def test_import_time_is_told_apart() -> None:
    tree = ast.parse(
        "import a\nif TYPE_CHECKING:\n import b\ndef f():\n import c\nclass D:\n import d\ntry:\n import e\nexcept E:\n import g"
    )
    assert imports_in(at_import_time(tree)) == {"a", "d", "e", "g"}


def test_all_layers_are_looked_at() -> None:
    assert min(map(len, (CORE, FIGURES, KIT, TOPICS, STAGE))) >= 1
