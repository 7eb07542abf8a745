"""Reads scenario scripts in the format of Cockroach's datadriven: commands, a line of dashes, the output expected.

::

    # a comment
    command positional key=value list=(1,2,3)
    input of the command, if any
    ----
    expected output, up to an empty line
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ARGUMENT = re.compile(r"(?P<key>[^\s=]+)(?:=(?:\((?P<list>[^)]*)\)|(?P<value>\S*)))?")
SEPARATOR = "----"


@dataclass(frozen=True)
class Argument:
    """``key``, ``key=value`` or ``key=(value,value)``; ``values`` is None without ``=``."""

    key: str
    values: tuple[str, ...] | None


@dataclass(frozen=True)
class Directive:
    """One command with what it should print. ``line``: where it stands, beginning at 1."""

    line: int
    command: str
    arguments: tuple[Argument, ...]
    input: str
    expected: str

    @property
    def positional(self) -> list[str]:
        return [argument.key for argument in self.arguments if argument.values is None]

    @property
    def options(self) -> dict[str, tuple[str, ...]]:
        return {argument.key: argument.values for argument in self.arguments if argument.values is not None}

    def option(self, key: str, default: str) -> str:
        """The only value of an option."""
        (value,) = self.options.get(key, (default,))
        return value


def read_directives(path: Path) -> Iterator[Directive]:
    lines = path.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        at += 1
        if not line or line.startswith("#"):
            continue
        start = at
        while line.endswith("\\"):
            line = line[:-1] + lines[at].strip()
            at += 1
        separator = lines.index(SEPARATOR, at)
        text = "\n".join(lines[at:separator])
        expected, at = _expected(lines, separator + 1)
        command, *rest = line.split(maxsplit=1)
        yield Directive(start, command, tuple(_arguments(rest[0] if rest else "")), text, expected)


def _expected(lines: list[str], at: int) -> tuple[str, int]:
    """The output, and where it ends. Between two pairs of separators it may hold empty lines."""
    if lines[at : at + 1] == [SEPARATOR]:
        end = at + 1
        while lines[end : end + 2] != [SEPARATOR, SEPARATOR]:
            end += 1
        return "\n".join(lines[at + 1 : end]), end + 2
    end = at
    while end < len(lines) and lines[end].strip():
        end += 1
    return "\n".join(lines[at:end]), end


def _arguments(text: str) -> Iterator[Argument]:
    for match in _ARGUMENT.finditer(text):
        values: tuple[str, ...] | None = None
        if match["list"] is not None:
            values = tuple(re.split(r"[,\s]+", match["list"].strip())) if match["list"].strip() else ()
        elif match["value"] is not None:
            values = (match["value"],)
        yield Argument(match["key"], values)
