"""Which form of a module is imported: the compiled one, or with ``KVORUM_PLAIN=1`` its plain ``.py`` source.

The build leaves extension modules beside the sources, and Python prefers them. Two finders are put in front of the
usual ones, at most one of them per process:

* For debugging, coverage and simulation the whole package runs interpreted: ``PlainFinder`` knows only ``.py`` files.
* Otherwise a module that is written in Cython, or has a ``.pxd`` sidecar, must have been compiled: ``CompiledFinder``
  refuses to fall back silently to its source, which would be correct but many times slower.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PACKAGE = "kvorum"
# The plain twins, on asyncio's own transports, serve where there is no epoll.
NEED_EPOLL = frozenset({"kvorum.net.connection", "kvorum.net.reactor"})


class PlainFinder(MetaPathFinder):
    """Resolves modules below kvorum to their source files only."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PACKAGE + ".") or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None


class CompiledFinder(MetaPathFinder):
    """Finds nothing by itself; raises an ImportError for a module that should be compiled and is not."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PACKAGE + ".") or path is None or (name in NEED_EPOLL and not hasattr(select, "epoll")):
            return None
        for folder in path:
            stem = os.path.join(folder, name.rpartition(".")[2])
            hand_written = os.path.exists(stem + ".pyx")
            sidecar = os.path.exists(stem + ".pxd") and os.path.exists(stem + ".py")
            if (hand_written or sidecar) and not any(os.path.exists(stem + suffix) for suffix in EXTENSION_SUFFIXES):
                raise ImportError(
                    f"{name} has not been compiled for this Python: run `make build` in the source tree"
                    " (or set KVORUM_PLAIN=1 to run interpreted, which is slow)",
                    name=name,
                )
        return None


def requested() -> bool:
    """Whether the environment asks for the plain twins."""
    return os.environ.get("KVORUM_PLAIN", "") not in ("", "0")


def install() -> None:
    """Put the finder that the environment asks for in front; doing it twice changes nothing."""
    if not any(isinstance(finder, PlainFinder | CompiledFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, PlainFinder() if requested() else CompiledFinder())
