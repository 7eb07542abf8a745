"""The append-only directory as a whole: who writes to it, and whose it is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvorum.journal.crc32c import crc32c
from kvorum.journal.directory import (
    LOCK_FILE,
    NODE_FILE,
    DataDirectory,
    DirectoryError,
    DirectoryInUseError,
    format_node,
    holder,
    is_node_id,
    parse_node,
    read_node,
)  # fmt: skip
from kvorum.journal.disk import DiskError, NoSpaceError, RealDisk
from kvorum.testing.disk import FakeDisk

PLACE = "/data/log"
HOLD = """
import sys
from kvorum.journal.directory import DataDirectory
from kvorum.journal.disk import RealDisk
held = DataDirectory.open(RealDisk(), sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def fresh(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def test_an_identity_is_born_once(tmp_path: Path) -> None:
    first = DataDirectory.open(RealDisk(), fresh(tmp_path))
    assert read_node(RealDisk(), fresh(tmp_path)) == ""
    first.claim()
    first.close()
    first.close()
    again = DataDirectory.open(RealDisk(), fresh(tmp_path))
    again.claim()
    again.close()
    assert first.node_id == again.node_id == read_node(RealDisk(), fresh(tmp_path))
    assert len(first.node_id) == 36
    other = DataDirectory.open(RealDisk(), str(tmp_path / "other"))
    other.close()
    assert other.node_id != first.node_id


def test_a_chosen_identity_is_kept_and_another_one_refused() -> None:
    disk = FakeDisk()
    DataDirectory.open(disk, PLACE, "north-1").claim()
    assert DataDirectory.open(disk, PLACE).node_id == "north-1"
    assert DataDirectory.open(disk, PLACE, "north-1").node_id == "north-1"
    before = disk.files
    with pytest.raises(DirectoryError, match=r"/data/log/kvorum-node, byte 0: .* node north-1, .* --node-id north-1"):
        DataDirectory.open(disk, PLACE, "north-2")
    assert disk.files == before


@pytest.mark.parametrize("word", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_words_that_are_no_identity(word: str) -> None:
    assert not is_node_id(word)


def test_every_changed_byte_of_an_identity_is_found() -> None:
    line = format_node("8d3c6f0e-0000-4000-8000-000000000001")
    for at in range(len(line)):
        for changed in {line[at] ^ 0x01, line[at] ^ 0x80, 0, ord("7")} - {line[at]}:
            with pytest.raises(DirectoryError, match=rf"{NODE_FILE}, byte \d+: .*; "):
                parse_node(line[:at] + bytes([changed]) + line[at + 1 :], NODE_FILE)
    for size in range(len(line)):
        with pytest.raises(DirectoryError):
            parse_node(line[:size], NODE_FILE)


def test_an_identity_of_a_later_version_is_told() -> None:
    later = b"kvorum-node 2 abc"
    with pytest.raises(DirectoryError, match="unknown format 2"):
        parse_node(b"%b %08x\n" % (later, crc32c(later)), NODE_FILE)


def test_a_crash_leaves_the_whole_identity_or_none() -> None:
    disk = FakeDisk()
    DataDirectory.open(disk, PLACE, "north-1").claim()
    for state in disk.crash_states():
        found = state.disk()
        taken = DataDirectory.open(found, PLACE)
        assert taken.node_id
        if state.after == len(disk.operations):
            assert taken.node_id == "north-1"


def test_without_space_there_is_no_identity_and_a_clear_error() -> None:
    disk = FakeDisk(capacity=10)
    taken = DataDirectory.open(disk, PLACE)
    with pytest.raises(NoSpaceError, match=r"cannot write /data/log/temp-kvorum-node: No space"):
        taken.claim()
    assert f"{PLACE}/{NODE_FILE}" not in disk.files
    assert disk.open_files == []


def test_an_unreadable_identity_is_told() -> None:
    disk = FakeDisk(("/", "/data", PLACE), {f"{PLACE}/{NODE_FILE}": format_node("a")})
    disk.unreadable[f"{PLACE}/{NODE_FILE}"] = errno.EACCES
    with pytest.raises(DiskError, match=r"cannot read .*kvorum-node: Permission denied"):
        DataDirectory.open(disk, PLACE)


def test_a_second_process_is_refused_and_learns_who_the_first_is(tmp_path: Path) -> None:
    path = fresh(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert holder(path) == process.pid
        with pytest.raises(DirectoryInUseError, match=f"the process {process.pid} is using this directory; stop"):
            DataDirectory.open(RealDisk(), path)
        process.kill()
    assert holder(path) is None
    DataDirectory.open(RealDisk(), path).close()
    assert (tmp_path / "log" / LOCK_FILE).read_bytes() == b""


def test_two_servers_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    held = DataDirectory.open(RealDisk(), fresh(tmp_path))
    assert holder(fresh(tmp_path)) == os.getpid()
    with pytest.raises(DirectoryInUseError, match="another server in this process"):
        DataDirectory.open(RealDisk(), fresh(tmp_path))
    held.close()
    DataDirectory.open(RealDisk(), fresh(tmp_path)).close()
