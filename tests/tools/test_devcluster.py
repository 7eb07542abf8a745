"""The group to play with: ``make cluster-up``, ``make rejoin``, ``make cluster-down``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import devcluster
import pytest

from kvorum.testing.connection import Connection


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the group is; whatever still runs there at the end is killed."""
    folder = tmp_path / "group"
    monkeypatch.setattr(devcluster, "FOLDER", folder)
    yield folder
    for file in folder.glob("*.pid"):
        pid = devcluster.pid_of(file.stem)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def call(port: int, *words: str) -> object:
    with Connection(devcluster.HOST, port) as connection:
        return connection.call(*words)


def test_a_group_is_started_loses_a_server_gets_it_back_and_ends(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert devcluster.main(["up", "--port", "0"]) == 0
    told = capsys.readouterr().out
    assert told.count("leads") == 1
    assert told.count("follows") == 2
    ports = devcluster.Group.load().ports
    assert call(ports["n1"], "SET", "key", "value") == b"OK"
    pid = devcluster.pid_of("n2")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert devcluster.pid_of("n2") is None
    assert devcluster.main(["rejoin", "n2", str(ports["n2"])]) == 0
    assert call(ports["n2"], "GET", "key") == b"value"
    assert (folder / "n2.log").read_text().count("Ready to accept connections") == 2
    assert devcluster.main(["down", "--wipe"]) == 0
    assert not folder.exists()


@pytest.mark.parametrize("words", [["down"], ["status"], ["rejoin", "n1"]])
def test_without_a_group_there_is_nothing_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert devcluster.main(words) == 1
    assert capsys.readouterr().err == "kvorum: there is no group; `make cluster-up` makes one\n"


def test_only_a_server_of_this_group_is_taken_for_one(folder: Path) -> None:
    folder.mkdir()
    (folder / "n1.pid").write_text(str(os.getpid()))
    assert devcluster.pid_of("n1") is None
