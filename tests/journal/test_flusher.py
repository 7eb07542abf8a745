"""fsyncs beside the loop."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kvorum.journal.disk import DiskError, DiskFile, RealDisk
from kvorum.journal.flusher import Flusher


class FailingOnce(RealDisk):
    """The first fsync fails, and the next one would pretend that all is well, as an operating system does."""

    def __init__(self) -> None:
        self.count = 0

    def fdatasync(self, file: DiskFile) -> None:
        self.count += 1
        if self.count == 1:
            raise DiskError("fsync", file.path, errno.EIO)
        super().fdatasync(file)


@pytest.mark.parametrize("way", ["flush_now", "request"])
def test_after_an_fsync_that_failed_none_is_tried_again(way: str, tmp_path: Path) -> None:
    disk = FailingOnce()
    file = disk.create(str(tmp_path / "log"))
    flusher = Flusher(disk)
    flusher.begin(file, 0)
    flusher.note(1, 10, 10)
    if way == "request":
        flusher.request()
        flusher.wait(10)
    else:
        flusher.flush_now()
    assert flusher.error is not None
    flusher.request()
    flusher.request()
    flusher.close()
    disk.close(file)
    assert disk.count == 1
    assert flusher.safe == 0
