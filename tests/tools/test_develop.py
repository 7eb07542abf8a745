"""Setting up a source tree."""

from __future__ import annotations

import sys
from pathlib import Path

import develop
import pytest


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose tools note that they were called; the one for client libraries fails until it has the file ``net``."""
    (tmp_path / "tools").mkdir()
    (tmp_path / ".cache").mkdir()
    note = "import pathlib, sys\nwith open('calls', 'a') as calls: print(*sys.argv[1:], file=calls)\n"
    (tmp_path / "tools" / "debian_packages.py").write_text(note)
    (tmp_path / "tools" / "client_libraries.py").write_text(
        note + "if not pathlib.Path('net').exists(): sys.exit('there is no network')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(develop, "ROOT", tmp_path)
    monkeypatch.setattr(develop, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(develop, "PEERS_STAMP", tmp_path / ".cache" / "stamp")
    return tmp_path


def test_what_tests_talk_to_is_brought_once(tree: Path) -> None:
    (tree / "net").touch()
    develop.bring_peers()
    develop.bring_peers()
    assert (tree / "calls").read_text().split() == ["redis", "javascript", "hiredis"]


def test_what_cannot_be_had_is_told_and_tried_again(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    develop.bring_peers()
    assert capsys.readouterr().err == "kvorum: not brought: there is no network\n" * 2
    (tree / "net").touch()
    develop.bring_peers()
    assert (tree / "calls").read_text().split() == ["redis", "javascript", "hiredis"] * 2
    assert capsys.readouterr().err == ""
