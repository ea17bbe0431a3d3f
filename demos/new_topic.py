"""`python -m demos.new_topic systems/flash_attention "FlashAttention" ["中文标题"]`: a small topic that runs, to be made into the real one.

It writes the topic through every layer (core, demo, figures, texts in both languages, and their tests) from
demos/new_topic_templates/, and names it in demos/__init__.py. Nothing that exists is overwritten.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import keyword
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = Path(__file__).with_name("new_topic_templates")
GROUP_ORDER = ("perception", "video", "generative", "systems", "multimodal")
FILES = {
    "core.txt": "core/$group/$topic.py",
    "test_core.txt": "tests/core/$group/test_$topic.py",
    "demo.txt": "demos/$group/$topic.py",
    "test_demo.txt": "tests/demos/$group/test_$topic.py",
    "figures.txt": "demos/$group/${topic}_figures.py",
    "test_figures.txt": "tests/demos/$group/test_${topic}_figures.py",
    "en.json.txt": "assets/text/en/$slug.json",
    "en.md.txt": "assets/text/en/$slug.md",
    "zh.json.txt": "assets/text/zh/$slug.json",
    "zh.md.txt": "assets/text/zh/$slug.md",
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
RESERVED = {"labels", "errors", "glossary"}  # the house's own texts
NEXT = """
Five steps from here; the topic runs as it is, so every one of them ends with tests that pass.
  1. Look at it: make receipts goldens, then make run. It is a running mean.
  2. Write the computation in core/$group/$topic.py, its oracle in tests/core/$group/test_$topic.py.
  3. Say which numbers are shown in demos/$group/$topic.py, draw them in demos/$group/${topic}_figures.py.
  4. Write the words in assets/text/en/$slug.json and .md, and in assets/text/zh/.
  5. Run make receipts goldens test, and read what changed in tests/golden/$slug/ before you keep it.
"""


class TopicError(ValueError):
    """Why a topic cannot be made, in one sentence."""


def names_of(path: str, title: str, title_zh: str = "") -> dict[str, str]:
    """What the templates' placeholders stand for.

    Raises:
        TopicError: if the path is not <group>/<snake_case>, or a title cannot stand in every file.
    """
    group, _, topic = path.partition("/")
    if group not in GROUP_ORDER:
        raise TopicError(f"the group must be one of {', '.join(GROUP_ORDER)}, got {group!r}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", topic) or keyword.iskeyword(topic):
        raise TopicError(f"the topic must be one name in snake_case, got {topic!r}")
    slug = topic.replace("_", "-")
    if topic.endswith("_figures") or topic in GROUP_ORDER or slug in RESERVED:
        raise TopicError(f"the name {topic!r} is taken by the house itself")
    title_zh = title_zh or f"{title}（初稿）"
    for given in (title, title_zh):
        if not 2 <= len(given) <= 60 or given != given.strip() or re.search(r'["\\{}<>\x00-\x1f]', given):
            raise TopicError(f'a title is one line of 2 to 60 characters without any of "\\{{}}<>, got {given!r}')
    if CHINESE.search(title) or not CHINESE.search(title_zh):
        raise TopicError(f"the first title is the English one, the second the Chinese, got {title!r} and {title_zh!r}")
    return {"group": group, "topic": topic, "slug": slug, "title": title, "title_zh": title_zh}


def registered(source: str, *, group: str, topic: str) -> str:
    """demos/__init__.py with the topic at the end of its group; a new group stands where the teaching order has it."""
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assigned = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    groups = next((node.value for node in assigned if re.match(r"GROUPS\b", ast.unparse(node))), None)
    if not imports or not isinstance(groups, ast.Dict) or not groups.keys:
        raise TopicError("demos/__init__.py must import its demos and name them in a dictionary GROUPS")
    keys = [str(ast.literal_eval(key)) for key in groups.keys if key is not None]
    lines = source.splitlines(keepends=True)

    def offset(line: int | None, column: int | None) -> int:
        """Where a position of the tree, whose columns count bytes, lies in the source."""
        assert line is not None
        assert column is not None
        before = "".join(lines[: line - 1])
        return len(before) + len(lines[line - 1].encode()[:column].decode())

    if group in keys:
        members = groups.values[keys.index(group)]
        if not isinstance(members, ast.Tuple) or not members.elts:
            raise TopicError(f"demos/__init__.py must list the demos of {group} in a tuple")
        at, text = offset(members.elts[-1].end_lineno, members.elts[-1].end_col_offset), f", {topic}"
        if source.startswith(",)", at):  # the comma that makes a tuple of one
            source = source[:at] + source[at + 1 :]
    else:
        earlier = [k for k, key in enumerate(keys) if _place(key) <= _place(group)]
        if earlier:
            last = groups.values[earlier[-1]]
            at, text = offset(last.end_lineno, last.end_col_offset), f',\n    "{group}": ({topic},)'
        else:
            at, text = offset(groups.lineno, groups.col_offset) + 1, f'\n    "{group}": ({topic},),'
    source = source[:at] + text + source[at:]
    at = offset(imports[-1].end_lineno, imports[-1].end_col_offset)
    return f"{source[:at]}\nfrom demos.{group}.{topic} import DEMO as {topic}{source[at:]}"


def _place(group: str) -> int:
    return GROUP_ORDER.index(group) if group in GROUP_ORDER else len(GROUP_ORDER)


def create(path: str, title: str, title_zh: str = "") -> dict[str, str]:
    """Write the topic and register it; returns its names.

    Raises:
        TopicError: before anything is written.
    """
    names = names_of(path, title, title_zh)
    texts = {
        ROOT / Template(target).substitute(names): Template(
            (TEMPLATES / template).read_text(encoding="utf-8")
        ).substitute(names)
        for template, target in FILES.items()
    }
    if existing := [file for file in texts if file.exists()]:
        raise TopicError(f"{existing[0].relative_to(ROOT).as_posix()} exists already; nothing was written")
    if importlib.util.find_spec("ruff") is None:
        raise TopicError("ruff is missing: pip install ruff, or use make topic")
    list_file = ROOT / "demos" / "__init__.py"
    listing = registered(list_file.read_text(encoding="utf-8"), group=names["group"], topic=names["topic"])
    for layer in ("core", "demos"):
        package = ROOT / layer / names["group"] / "__init__.py"
        if not package.exists():
            texts[package] = ""
    for file, text in {**texts, list_file: listing}.items():
        if file.suffix == ".json":
            text = json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    # Where an import stands and where a line breaks depend on the names.
    python = [str(file) for file in (*texts, list_file) if file.suffix == ".py"]
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, *python], cwd=ROOT, check=True)
    return names


def main(arguments: Sequence[str]) -> int:
    if not 2 <= len(arguments) <= 3:
        print(__doc__)
        return 2
    try:
        names = create(*arguments)
    except TopicError as error:
        print(f"No topic was made: {error}.", file=sys.stderr)
        return 1
    for target in FILES.values():
        print(Template(target).substitute(names))
    print(Template(NEXT).substitute(names), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
