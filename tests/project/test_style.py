"""Limits of style. They only ever get tighter: what is better than its limit lowers the limit."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from bench.figures import percentile

CODE = {".py", ".pyx", ".pxd"}
TEXT = CODE | {".md", ".toml", ".txt", ".in", ".cfg", ".yml", ".yaml", ".json", ".sh", ".conf", ".ts", ".tsx", ""}
MADE = {"build", "dist", "results", "node_modules", "__pycache__"}
MAX_LINES = 800
# Files that are longer, with their number of lines: to be split, never to grow.
LONGER: dict[str, int] = {
    "src/kvorum/keyspace/table.pyx": 1340,
    "src/kvorum/keyspace/table.py": 940,
}
MAX_FUNCTION_LINES_P90 = 30


def files(root: Path, suffixes: set[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        # What tools keep for themselves stands in hidden folders; only CI's is part of the source.
        folders[:] = sorted(
            name
            for name in folders
            if name not in MADE and (name == ".ci" or not name.startswith(".")) and not name.endswith(".egg-info")
        )
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in suffixes)


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_files_are_short(root: Path) -> None:
    lengths = {path.relative_to(root).as_posix(): len(lines_of(path)) for path in files(root, CODE)}
    assert {name: length for name, length in lengths.items() if length > LONGER.get(name, MAX_LINES)} == {}
    assert [name for name in LONGER if lengths.get(name, 0) <= MAX_LINES] == [], "these are no longer exceptions"


def test_functions_are_short(package: Path) -> None:
    lengths = [
        float((node.end_lineno or node.lineno) - node.lineno + 1)
        for path in files(package, {".py"})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert percentile(lengths, 0.9) <= MAX_FUNCTION_LINES_P90


def test_modules_say_what_they_are_for(package: Path) -> None:
    silent = []
    for path in files(package, {".py", ".pyx"}):
        text = path.read_text(encoding="utf-8")
        # Cython's directives and encodings may stand first, as comments.
        body = re.sub(r"\A(?:#.*\n|\s*\n)*", "", text)
        if not re.match(r'r?"""\s*\S', body) or body.startswith('""""""'):
            silent.append(str(path.relative_to(package)))
    assert silent == []


def test_nothing_is_left_to_be_done_in_the_code(root: Path) -> None:
    # Spelled so that this file does not find itself.
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b")
    assert list(lines_with(root, CODE | {".md", ".sh"}, marks)) == []


def test_no_path_of_one_machine_and_no_address_of_a_registry(root: Path) -> None:
    folders = ["/" + name + "/" for name in ("work", "root", "tmp/k", "Users")] + ["/home/" + r"[a-z]\w*/"]
    hosts = [name.replace("_", r"\.") for name in ("pypi_org", "pythonhosted_org", "deb_debian_org", "npmjs_org")]
    pattern = re.compile("(?<![A-Za-z0-9_.$*}])(?:" + "|".join(folders) + ")|" + "|".join(hosts))
    assert list(lines_with(root, TEXT, pattern)) == []


def test_compiled_and_plain_twins_come_in_pairs(package: Path) -> None:
    """What Python imports has a plain twin; what is only cimported by other Cython modules needs none."""
    alone = [path for path in files(package, {".pyx"}) if not path.with_suffix(".py").exists()]
    modules = [".".join(("kvorum", *path.relative_to(package).with_suffix("").parts)) for path in alone]
    python = "\n".join(path.read_text(encoding="utf-8") for path in files(package, {".py"}))
    pattern = re.compile(rf"^\s*(?:from|import) (?:{'|'.join(modules)})\b", re.MULTILINE)
    assert not modules or pattern.findall(python) == []


def lines_with(root: Path, suffixes: set[str], pattern: re.Pattern[str]) -> Iterator[str]:
    for path in files(root, suffixes):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"
