"""Client libraries that tests bring for themselves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import client_libraries
import pytest
from client_libraries import LIBRARIES, Library, UnavailableError, bring


def test_a_machine_without_node_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match=r"^javascript \(ioredis@.*\): there is no node here$"):
        bring("javascript", tmp_path)


def test_the_tools_own_words_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("node", "echo v20.0.0"), ("npm", "echo npm error code ENOTFOUND >&2; exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(UnavailableError, match="npm error code ENOTFOUND"):
        bring("javascript", tmp_path)
    (programs / "node").write_text("#!/bin/sh\necho v16.1.0\n")
    with pytest.raises(UnavailableError, match="18 or newer, this is v16"):
        bring("javascript", tmp_path)
    assert not (tmp_path / "javascript").exists()


def test_calls_side_by_side_install_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[Path] = []

    def install(packages: tuple[str, ...], folder: Path) -> None:
        installed.append(folder)
        (folder / "place").mkdir()

    monkeypatch.setitem(client_libraries.LIBRARIES, "made-up", Library(("x@1",), install, "place"))
    with ThreadPoolExecutor() as pool:
        places = list(pool.map(lambda _: bring("made-up", tmp_path), range(8)))
    assert set(places) == {tmp_path / "made-up" / "place"}
    assert places[0].is_dir()
    assert len(installed) == 1
    monkeypatch.setitem(client_libraries.LIBRARIES, "made-up", Library(("x@2",), install, "place"))
    bring("made-up", tmp_path)
    assert len(installed) == 2


def test_versions_are_pinned() -> None:
    packages = [package for library in LIBRARIES.values() for package in library.packages]
    assert packages
    assert all("@" in package or "==" in package for package in packages)
