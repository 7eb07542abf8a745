"""Imports point downwards, and what must not touch the outside world imports nothing that could."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

# From the top to the bottom. A room may import rooms of lower layers, and within its own layer only itself.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"testing", "__init__"}),
    frozenset({"cli"}),
    frozenset({"server", "embedded"}),
    frozenset({"net", "web"}),
    frozenset({"session"}),
    frozenset({"commands"}),
    frozenset({"replication", "cluster"}),
    frozenset({"journal", "pubsub", "acl", "scripting"}),
    frozenset({"keyspace"}),
    frozenset({"resp"}),
    frozenset({"observe"}),
    frozenset({"config"}),
    frozenset({"errors", "clock", "glob", "quoting", "version", "_plain"}),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# They are handed the time, chance and bytes; so that a simulation can hand them others.
PURE_ROOMS = ("resp", "keyspace", "commands", "replication/raft/core")
OUTSIDE_WORLD = frozenset({"asyncio", "socket", "time", "random", "select", "selectors", "threading", "secrets"})
CYTHON_IMPORT = re.compile(r"^\s*(?:from\s+([\w.]+)\s+c?import\s+(\w+)|c?import\s+([\w.]+))", re.MULTILINE)


def sources(package: Path) -> Iterator[Path]:
    for suffix in ("py", "pyx", "pxd"):
        yield from sorted(package.rglob(f"*.{suffix}"))


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports while it runs; what only type checkers see does not count."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return {
            whole or (f"kvorum.{name}" if module == "kvorum" else module)
            for module, name, whole in CYTHON_IMPORT.findall(text)
        }
    return set(imported_by(ast.parse(text)))


def imported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full"
        assert node.module is not None
        if node.module == "kvorum":
            yield from (f"kvorum.{alias.name}" for alias in node.names)
        else:
            yield node.module
    for child in ast.iter_child_nodes(node):
        yield from imported_by(child)


def room_of(module: str) -> str:
    """``kvorum.net.reactor`` is in the room ``net``; the package itself bears nothing but its version."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__version__" else "version"


def test_every_room_has_its_layer(package: Path) -> None:
    rooms = {path.relative_to(package).parts[0].partition(".")[0] for path in sources(package)}
    assert rooms - set(LEVEL) == set()


def test_imports_point_downwards(package: Path) -> None:
    wrong = []
    for path in sources(package):
        here = path.relative_to(package).with_suffix("").parts[0]
        for module in imported(path):
            if module.split(".")[0] == "kvorum" and here != "__init__":
                there = room_of(module)
                if there not in (here, "version") and LEVEL.get(there, 0) <= LEVEL[here]:
                    wrong.append(f"{path.relative_to(package)} imports {module}")
    assert wrong == []


def test_pure_rooms_know_no_clock_no_chance_and_no_socket(package: Path) -> None:
    wrong = [
        f"{path.relative_to(package)} imports {module}"
        for room in PURE_ROOMS
        if (package / room).exists()
        for path in sources(package / room)
        for module in imported(path)
        if module.split(".")[0] in OUTSIDE_WORLD
    ]
    assert wrong == []


def test_no_room_reaches_into_another_rooms_private_modules(package: Path) -> None:
    wrong = []
    for path in sources(package):
        here = path.relative_to(package).with_suffix("").parts[0]
        for module in imported(path):
            parts = module.split(".")
            if parts[0] == "kvorum" and parts[1:2] != [here] and any(part.startswith("_") for part in parts[2:]):
                wrong.append(f"{path.relative_to(package)} imports {module}")
    assert wrong == []


def test_no_function_changes_a_global(package: Path) -> None:
    """Two servers run side by side in one process."""
    wrong = [
        str(path.relative_to(package))
        for path in sources(package)
        if re.search(r"^\s+global\s+\w", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert wrong == []
