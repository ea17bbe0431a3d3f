"""Every seeded bug still fits its source; `python -m tests.sabotage` shows that the tests find it."""

import ast
from collections import Counter

import pytest

from tests.sabotage import ROOT, patched, sabotages


@pytest.mark.parametrize("bug", sabotages(), ids=lambda bug: f"{bug.file}: {bug.why}")
def test_a_seeded_bug_fits_its_source_once_and_is_valid_python(bug):
    source = (ROOT / bug.file).read_text(encoding="utf-8")
    broken = patched(source, bug)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(source))
    assert (ROOT / bug.test_file).is_file()


def test_every_sabotaged_module_has_at_least_five_bugs_and_no_two_are_alike():
    found = sabotages()
    assert min(Counter(bug.file for bug in found).values()) >= 5
    assert len({(bug.file, bug.old, bug.new) for bug in found}) == len(found)
