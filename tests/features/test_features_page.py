"""docs/features.md names tests that exist, at least one for each feature."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
ROWS = [line.strip("| ").rsplit(" | ", 1) for line in PAGE.splitlines() if re.match(r"\| (?!feature)", line)]


def is_there(name: str) -> bool:
    """Whether ``folder/test_file.py::Class::function`` exists."""
    file, *inner = name.split("::")
    path = ROOT / "tests" / file
    if not path.exists():
        return False
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for part in inner:
        found = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


def test_each_feature_has_a_test_that_exists() -> None:
    assert len(ROWS) > 30
    for feature, tests in ROWS:
        names = re.findall(r"`([^`]+)`", tests)
        assert names, feature
        missing = [name for name in names if not name.startswith("make ") and not is_there(name)]
        assert missing == [], feature


def test_each_file_of_this_folder_checks_some_feature() -> None:
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in files if f"`features/{name}" not in PAGE} == set()
