"""Which form of a module is imported."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import kvorum.clock
from kvorum._plain import CompiledFinder, PlainFinder
from kvorum.testing.twins import load_plain


@pytest.mark.parametrize("sources", [["made.pyx"], ["made.pyx", "made.py"], ["made.py", "made.pxd"]])
def test_a_module_that_was_not_compiled_says_how_to_compile_it(tmp_path: Path, sources: list[str]) -> None:
    for source in sources:
        (tmp_path / source).touch()
    with pytest.raises(ImportError, match=r"kvorum\.made has not been compiled .* run `make build`"):
        CompiledFinder().find_spec("kvorum.made", [str(tmp_path)])
    (tmp_path / f"made{EXTENSION_SUFFIXES[0]}").touch()
    assert CompiledFinder().find_spec("kvorum.made", [str(tmp_path)]) is None


def test_plain_modules_and_others_packages_need_no_compiling(tmp_path: Path) -> None:
    (tmp_path / "made.py").touch()
    (tmp_path / "other.pyx").touch()
    assert CompiledFinder().find_spec("kvorum.made", [str(tmp_path)]) is None
    assert CompiledFinder().find_spec("elsewhere.other", [str(tmp_path)]) is None


@pytest.mark.parametrize("name", ["connection", "reactor"])
def test_the_plain_reactor_serves_where_there_is_no_epoll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / f"{name}.pyx").touch()
    monkeypatch.delattr(select, "epoll", raising=False)
    assert CompiledFinder().find_spec(f"kvorum.net.{name}", [str(tmp_path)]) is None


def test_the_plain_finder_sees_sources_only(tmp_path: Path) -> None:
    (tmp_path / "made.py").touch()
    (tmp_path / f"made{EXTENSION_SUFFIXES[0]}").touch()
    spec = PlainFinder().find_spec("kvorum.made", [str(tmp_path)])
    assert spec is not None
    assert spec.origin == str(tmp_path / "made.py")
    assert PlainFinder().find_spec("kvorum.none", [str(tmp_path)]) is None


def test_the_environment_chooses_the_plain_form() -> None:
    program = "import kvorum.resp.parser, kvorum.clock; print(kvorum.resp.parser.__file__, kvorum.clock.__file__)"
    environment = {**os.environ, "KVORUM_PLAIN": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert [Path(name).name for name in done] == ["parser.py", "clock.py"]


def test_a_plain_twin_stands_beside_the_compiled_module() -> None:
    plain = load_plain("kvorum.clock")
    assert plain is load_plain("kvorum.clock")
    assert plain is not kvorum.clock
    assert plain.__file__ is not None
    assert plain.__file__.endswith("clock.py")
