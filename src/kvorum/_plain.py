"""Importing the plain twins: with ``KVORUM_PLAIN=1`` every kvorum module comes from its ``.py`` source.

The build leaves extension modules beside the sources, and Python prefers them. For debugging, coverage and simulation
the same package must run interpreted, so a finder that knows only source files is put in front of the usual ones.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PACKAGE = "kvorum"


class SourceOnlyFinder:
    """A meta path finder that resolves modules below kvorum to their source files only."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(PACKAGE + ".") or path is None:
            return None
        for folder in path:
            finder = FileFinder(folder, (SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES))
            spec = finder.find_spec(name)
            if spec is not None:
                return spec
        return None


def requested() -> bool:
    """Whether the environment asks for the plain twins."""
    return os.environ.get("KVORUM_PLAIN", "") not in ("", "0")


def install() -> None:
    """Put the finder in front; doing it twice changes nothing."""
    if not any(finder is SourceOnlyFinder for finder in sys.meta_path):
        sys.meta_path.insert(0, SourceOnlyFinder)  # type: ignore[arg-type]
