"""What ARCHITECTURE.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAMED = re.compile(r"`([\w./]+):([\w.]+)(?:\(\))?`")


@pytest.fixture(scope="module")
def architecture(root: Path) -> str:
    return (root / "ARCHITECTURE.md").read_text(encoding="utf-8")


def module_files(package: Path, module: str) -> list[Path]:
    """The files that a module may be written in: ``net/reactor.pyx``, ``net.reactor`` or ``kvorum.net.reactor``."""
    stem = re.sub(r"\.(py|pyx|pxd)$", "", module).removeprefix("src/").replace(".", "/").removeprefix("kvorum/")
    candidates = [package / f"{stem}{suffix}" for suffix in (".py", ".pyx", ".pxd", "/__init__.py")]
    return [path for path in candidates if path.exists()]


def defines(text: str, name: str) -> bool:
    """Whether the source defines a function, method, class or constant of that name."""
    definition = rf"^\s*(?:async\s+)?(?:def|class|cdef|cpdef)\b[^=\n]*\b{name}\b\s*[(:]"
    return re.search(rf"{definition}|^{name}\s*[:=]", text, re.MULTILINE) is not None


def test_every_function_named_exists(architecture: str, package: Path) -> None:
    named = NAMED.findall(architecture)
    missing = []
    for module, attribute in named:
        text = "\n".join(path.read_text(encoding="utf-8") for path in module_files(package, module))
        if not all(defines(text, name) for name in attribute.split(".")):
            missing.append(f"{module}:{attribute}")
    assert missing == []
    assert named, "the life of a command names its functions"


def test_every_file_named_exists(architecture: str, root: Path, package: Path) -> None:
    named = re.findall(r"`([\w.-]+/[\w./-]*)`", architecture)
    missing = [
        name
        for name in named
        if not any((place / name).exists() for place in (root, package)) and not module_files(package, name)
    ]
    assert missing == []
