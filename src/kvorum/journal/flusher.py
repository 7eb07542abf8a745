"""The thread that makes what was written safe: one fsync at a time, for all that has arrived meanwhile.

The event loop notes what it has written and goes on; the thread waits in the system call without the interpreter's
lock. So a slow disk delays only those who wait for it, and the slower it is the more writes share one fsync.

Where an fsync takes less than a millisecond, the loop does it itself (``is_quick``). On two cores that a client and the
server keep busy, the thread got its share of a core so late that an fsync of 240 microseconds took 450: 40,000 writes per
second of 50 clients with ``appendfsync always``, against 50,000.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from kvorum.journal.disk import Disk, DiskError, DiskFile


class Flusher:
    """``disk``: what does the fsync. Each one that has ended, well or not, is told by a byte to ``wake_fd`` (an eventfd, 8
    bytes), or else by ``on_safe``, called in the thread. ``position``: everything up to there is safe already.

    ``safe``: the position up to which everything is on disk. ``durable_index``, ``durable_size``: the same as the last
    entry, and as the size of the file that is open. ``error``: an fsync failed; nothing is promised any more."""

    def __init__(
        self, disk: Disk, on_safe: Callable[[], object] | None = None, wake_fd: int = -1, position: int = 0
    ) -> None:
        self.safe = position
        self.durable_index = 0
        self.durable_size = 0
        self.error: DiskError | None = None
        self.busy = False
        self.count = 0
        self._disk = disk
        self._on_safe = on_safe
        self._wake_fd = wake_fd
        self._file: DiskFile | None = None
        self._noted = (0, 0, position)  # index, size, position that have been written
        self._wanted = False
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def begin(self, file: DiskFile, index: int, size: int = 0, position: int = -1) -> None:
        """From now on this file is written, behind its ``size`` bytes; everything before is safe. Waits for an fsync of
        the file before, if one is still going on. ``position``: positions are counted anew from there."""
        with self._changed:
            self._wanted = False
            self._changed.wait_for(lambda: not self.busy)  # with a file that is about to be closed
            self._file = file
            if position >= 0:
                self.safe = position
            self._noted = (index, size, position if position >= 0 else self._noted[2])
            self.durable_index, self.durable_size = index, size

    def note(self, index: int, size: int, position: int) -> None:
        """So much of the file was written; no fsync is asked for yet."""
        with self._changed:
            self._noted = (index, size, position)

    def skip(self, position: int) -> None:
        """The position moves forward although nothing was written."""
        with self._changed:
            if self.safe == self._noted[2]:
                self.safe = position
            self._noted = (*self._noted[:2], position)

    def request(self) -> None:
        """Make safe what was noted. Returns at once. After a failure nothing is tried again: a second fsync may well succeed, and
        says nothing of what the first one lost."""
        if self.error is not None:
            return
        with self._changed:
            self._wanted = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kvorum-fsync", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, position: int) -> None:
        """Return when this position is safe, or an fsync has failed."""
        if self.safe < position and self.error is None:
            self.request()
            with self._changed:
                self._changed.wait_for(lambda: self.safe >= position or self.error is not None)

    def is_quick(self) -> bool:
        """Whether to call ``flush_now``: the compiled twin finds out what an fsync takes, and whether that is less than it
        costs to hand it to a thread and to be woken by it."""
        return False

    def flush_now(self) -> None:
        """Make safe what was noted, in this thread."""
        self.wait(self._noted[2])

    def close(self) -> None:
        """End the thread after the fsync that is going on."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closing)
                if self._closing and not self._wanted:
                    return
                self._wanted = False
                self.busy = True
                file, (index, size, position) = self._file, self._noted
            try:
                assert file is not None
                self._disk.fdatasync(file)
            except DiskError as error:
                self.error = error
            with self._changed:
                self.busy = False
                self.count += 1
                if self.error is None:
                    # What was only skipped since then is safe with it.
                    self.safe = self._noted[2] if index == self._noted[0] else position
                    if file is self._file:
                        self.durable_index, self.durable_size = index, size
                self._changed.notify_all()
            if self._wake_fd >= 0:
                os.write(self._wake_fd, (1).to_bytes(8, sys.byteorder))
            elif self._on_safe is not None:
                self._on_safe()
            if self.error is not None:
                return
