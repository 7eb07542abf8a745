"""A file that a thread writes: what reaches the disk, in which order, and what is left when it fails or is given up."""

from __future__ import annotations

import errno
import threading

import pytest

from kvorum.journal.disk import DiskError, DiskFile
from kvorum.server.background_file import HANDED_OVER_BYTES, PENDING_LIMIT_BYTES, BackgroundFile
from kvorum.testing.disk import FakeDisk

PATH, TEMPORARY = "/data/dump.rdb", "/data/temp-1-1.dump.rdb"
BLOCK = b"x" * (HANDED_OVER_BYTES // 2)


class SlowDisk(FakeDisk):
    """All fsyncs wait for ``go``; ``waiting`` says that one does."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = threading.Event()
        self.go = threading.Event()

    def fsync(self, file: DiskFile) -> None:
        self.waiting.set()
        assert self.go.wait(60)
        super().fsync(file)

    def fdatasync(self, file: DiskFile) -> None:
        self.fsync(file)


def write_all(file: BackgroundFile, *blocks: bytes) -> None:
    for block in blocks:
        file.write(block)
    file.finish()
    file.wait()


def steps(disk: FakeDisk) -> list[str]:
    return [operation.name for operation in disk.operations]


@pytest.mark.parametrize("beside", [True, False])
def test_it_gets_its_name_when_it_is_safe(beside: bool) -> None:
    disk = FakeDisk(files={PATH: b"the one before"})
    file = BackgroundFile(disk, PATH, TEMPORARY, beside=beside)
    for _ in range(5):
        file.write(BLOCK)
    file.finish()
    file.wait()
    assert file.done
    assert disk.files == {PATH: BLOCK * 5}
    assert steps(disk)[-3:] == ["fsync", "rename", "sync_directory"]
    assert steps(disk).count("fsync") == 1
    assert disk.open_files == []
    assert file.pending_bytes == 0


def test_fsyncs_follow_the_writes() -> None:
    disk = FakeDisk()
    file = BackgroundFile(disk, PATH, TEMPORARY, sync_bytes=2 * HANDED_OVER_BYTES, beside=False)
    for _ in range(8):
        file.write(BLOCK)
    file.finish()
    assert steps(disk).count("fdatasync") == 2


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("failing", ["append", "fsync", "rename", "sync_directory"])
def test_what_fails_is_told_and_nothing_is_left(failing: str, beside: bool) -> None:
    plan = ["create", "append", "fsync", "rename", "sync_directory"]
    disk = FakeDisk(files={PATH: b"the one before"})
    disk.fail(plan.index(failing), errno.EIO)
    file = BackgroundFile(disk, PATH, TEMPORARY, beside=beside)
    with pytest.raises(DiskError, match=PATH if failing == "rename" else "data"):
        write_all(file, b"content")
    assert file.done
    assert disk.open_files == []
    assert disk.files == {PATH: b"content" if failing == "sync_directory" else b"the one before"}


def test_a_full_disk() -> None:
    disk = FakeDisk(capacity=HANDED_OVER_BYTES + 10)
    file = BackgroundFile(disk, PATH, TEMPORARY, beside=False)
    with pytest.raises(DiskError, match="No space"):
        write_all(file, *[BLOCK] * 10)
    assert disk.files == {}


def test_it_cannot_even_begin() -> None:
    with pytest.raises(DiskError):
        BackgroundFile(FakeDisk(), "/nowhere/dump.rdb", "/nowhere/temp-1-1.dump.rdb")


def test_it_is_given_up_while_the_thread_waits_for_the_disk() -> None:
    disk = SlowDisk()
    file = BackgroundFile(disk, PATH, TEMPORARY)
    file.write(b"content")
    file.finish()
    assert disk.waiting.wait(60)
    file.abandon()
    assert not file.done
    disk.go.set()
    file.join()
    assert disk.files == {}
    assert disk.open_files == []
    assert "rename" not in steps(disk)


def test_it_is_given_up_in_the_middle() -> None:
    disk = FakeDisk()
    for beside in (True, False):
        file = BackgroundFile(disk, PATH, TEMPORARY, beside=beside)
        file.write(b"content")
        file.abandon()
        file.abandon()
        file.join()
        assert disk.files == {}


def test_who_writes_faster_than_the_disk_is_told() -> None:
    disk = SlowDisk()
    file = BackgroundFile(disk, PATH, TEMPORARY, sync_bytes=1)
    while not file.full:
        file.write(BLOCK)
    assert PENDING_LIMIT_BYTES <= file.pending_bytes < PENDING_LIMIT_BYTES + HANDED_OVER_BYTES
    disk.go.set()
    file.finish()
    file.wait()
    assert file.pending_bytes == 0
    assert len(disk.files[PATH]) >= PENDING_LIMIT_BYTES
