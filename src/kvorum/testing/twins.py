"""Loading the plain twin of a compiled module beside it, so that one test runs over both."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import kvorum


def load_plain(name: str) -> ModuleType:
    """The module ``name`` made from its ``.py`` source, under a name of its own.

    What the twin imports itself comes from the normal package: a twin that depends on another twin is tested in a
    process of its own with ``KVORUM_PLAIN=1``.
    """
    alias = "plain:" + name
    if alias in sys.modules:
        return sys.modules[alias]
    source = Path(kvorum.__file__).parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(alias, source)
    if spec is None or spec.loader is None:
        raise ImportError(f"no source for {name} at {source}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    spec.loader.exec_module(module)
    return module
