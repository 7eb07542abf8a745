"""A file that a thread writes and forces to disk, so that the event loop waits for neither.

The loop hands over blocks and asks now and then how it stands; nothing here calls back. A file is written under a temporary
name, which nobody reads, and gets its own when everything is safe on disk. What is handed over and not written yet is
``pending_bytes``: whoever writes faster than the disk should rest above ``PENDING_LIMIT_BYTES``.

Blocks are handed over by the megabyte. The thread needs the interpreter's lock once for each system call, and under load it
waits some milliseconds for that.

``beside`` False: no thread, everything happens at once in the call, as for SAVE.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import sys
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from kvorum.journal.disk import Disk, DiskError, DiskFile, append_all

HANDED_OVER_BYTES = 1 << 18
PENDING_LIMIT_BYTES = 8 << 20
SYNC_BYTES = 4 << 20  # between two fsyncs of a file that is being written, as in Redis
NICENESS = 5  # of the thread
MOST_PARTS = 512  # of one system call; the least that systems allow is 1,024 on Linux


def step_back() -> None:
    """Let this thread leave the processor to the event loop where both want it; elsewhere than on Linux only processes can."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class BackgroundWork:
    """Something that waits for the disk, done by a thread of its own. ``done``: it has ended, ``error`` says how."""

    def __init__(self, work: Callable[[], None], *, beside: bool = True) -> None:
        self.error: DiskError | None = None
        self.done = False
        self._work = work
        self._thread: threading.Thread | None = None
        if beside:
            self._thread = threading.Thread(target=self._run, name="kvorum-disk", daemon=True)
            self._thread.start()
        else:
            self._run()

    def _run(self) -> None:
        try:
            self._work()
        except DiskError as error:
            self.error = error
        except Exception as error:  # no memory, or a bug: whoever waits is to hear of it
            self.error = DiskError("write to", "disk", 0, repr(error))
        self.done = True

    def join(self) -> None:
        """Wait until it is done."""
        if self._thread is not None:
            self._thread.join()


class BackgroundFile:
    """One file on its way. ``done``: it has its name, safely, or ``error`` says why not, or it was abandoned.

    ``sync_bytes``: an fsync follows every so many bytes; 0: only one at the end.

    :raises DiskError: the temporary file cannot be made.
    """

    def __init__(self, disk: Disk, path: str, temporary: str, *, sync_bytes: int = 0, beside: bool = True) -> None:
        self.path = path
        self.temporary = temporary
        self.error: DiskError | None = None
        self.done = False
        self._disk = disk
        self._sync_bytes = sync_bytes
        self._unsynced_bytes = 0
        self._handed_over = 0
        self.written_bytes = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._abandoned = False
        self._naming = threading.Lock()  # between giving the file its name and giving it up
        self._file: DiskFile | None = disk.create(temporary, replace=True)
        self._queue: SimpleQueue[list[bytes] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        if beside:
            self._thread = threading.Thread(target=self._run, name="kvorum-save", daemon=True)
            self._thread.start()

    @property
    def pending_bytes(self) -> int:
        """Handed over, and not written yet."""
        return self._handed_over + self._gathered_bytes - self.written_bytes

    @property
    def full(self) -> bool:
        """Whether the disk is behind."""
        return self.pending_bytes >= PENDING_LIMIT_BYTES

    # The loop's side

    def write(self, block: bytes) -> None:
        """Append. ``DiskError``: an earlier block could not be written."""
        self.check()
        self._gathered.append(block)
        self._gathered_bytes += len(block)
        if self._gathered_bytes >= HANDED_OVER_BYTES or len(self._gathered) >= MOST_PARTS:
            self._hand_over()

    def _hand_over(self) -> None:
        blocks, self._gathered = self._gathered, []
        self._handed_over += self._gathered_bytes
        self._gathered_bytes = 0
        if self._thread is not None:
            self._queue.put(blocks)
        else:
            self._try_to(blocks)
            self.check()

    def finish(self) -> None:
        """That was all: make it safe and give it its name. ``done`` says when that has happened."""
        self._hand_over()
        if self._thread is not None:
            self._queue.put(None)
        else:
            self._try_to(None)
            self.check()

    def check(self) -> None:
        """Raise what went wrong so far."""
        if self.error is not None:
            raise self.error

    def wait(self) -> None:
        """After ``finish``: wait until it is done. ``DiskError``: it failed."""
        if self._thread is not None:
            self._thread.join()
        self.check()

    def abandon(self) -> None:
        """Leave nothing behind. The thread goes when the system call that it is in has ended; twice is harmless.

        A file that has its name already keeps it.
        """
        with self._naming:
            self._abandoned = True
        if self._thread is not None:
            self._queue.put(None)
        elif not self.done:
            self._remove()

    def join(self) -> None:
        """Wait for the thread of a file that was abandoned."""
        if self._thread is not None:
            self._thread.join()

    # The thread's side

    def _run(self) -> None:
        step_back()
        while not self.done:
            self._try_to(self._queue.get())

    def _try_to(self, blocks: list[bytes] | None) -> None:
        """Write these, or, None, end."""
        try:
            if self._abandoned:
                self._remove()
            elif blocks is not None:
                self._append(blocks)
            else:
                self._complete()
        except Exception as error:  # also no memory, or a bug: whoever waits is to hear of it
            # First, since who sees that it is done looks whether it went well.
            self.error = error if isinstance(error, DiskError) else DiskError("write", self.temporary, 0, repr(error))
            self._remove()

    def _append(self, blocks: Sequence[bytes]) -> None:
        assert self._file is not None
        size = sum(map(len, blocks))
        if size == 0:
            return
        now = self._disk.append(self._file, *blocks)
        if now < size:
            append_all(self._disk, self._file, b"".join(blocks)[now:])
        self.written_bytes += size
        self._unsynced_bytes += size
        if self._sync_bytes and self._unsynced_bytes >= self._sync_bytes:
            self._disk.fdatasync(self._file)
            self._unsynced_bytes = 0

    def _complete(self) -> None:
        assert self._file is not None
        self._disk.fsync(self._file)
        self._close()
        with self._naming:
            if not self._abandoned:
                self._disk.rename(self.temporary, self.path)
        if self._abandoned:
            self._remove()
            return
        self._disk.sync_directory(posixpath.dirname(self.path))
        self.done = True

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._disk.close(file)

    def _remove(self) -> None:
        """Close and remove what there is; that it cannot be removed either is not the news."""
        try:
            self._close()
            if self._disk.exists(self.temporary):
                self._disk.unlink(self.temporary)
        except DiskError:
            pass  # the next start removes it
        self.done = True
