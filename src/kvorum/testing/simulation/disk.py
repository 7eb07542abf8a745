"""A node's disk: files in memory, fsyncs that take time, and crashes that leave one of the states that a crash may leave.

What ``FakeDisk`` enumerates, this one draws: see there what is safe and what may be torn, lost or zero. The threads that a
server has for its disk (fsync of the log, writing of snapshots) become events here, by ``SimulatedFlusher`` and
``SimulatedFile``, which stand in the place of ``Flusher`` and ``BackgroundFile`` while a simulation runs (``threadless``).
"""

from __future__ import annotations

import posixpath
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from kvorum.journal.disk import DiskError, DiskFile
from kvorum.server.background_file import BackgroundFile
from kvorum.testing.disk import FakeDisk, Operation
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, NodeLoop

DIRECTORY = "/"


class SimulatedDisk(FakeDisk):
    """``loop`` is that of the node's present life. ``slowest_ns``: so long an fsync takes at most."""

    loop: NodeLoop
    fastest_ns = MILLISECOND_NS // 5
    slowest_ns = 20 * MILLISECOND_NS

    def slow_down(self, slowest_ns: int) -> None:
        """An fsync may take so long."""
        self.slowest_ns = slowest_ns

    def recover(self) -> None:
        """As fast as in the beginning."""
        self.slowest_ns = SimulatedDisk.slowest_ns

    def sync_delay_ns(self) -> int:
        return self.loop.scheduler.between(self.fastest_ns, self.slowest_ns)

    def end_sync(self, file: DiskFile, covers: int) -> None:
        """An fdatasync ends that began when there were so many operations. DiskError."""
        self._record(Operation("fdatasync", file.path, inode=self._inode(file), covers=covers), "fsync")

    def after_crash(self, random: random.Random) -> SimulatedDisk:
        """What is found by the next start."""
        state = self.crash(random)
        disk = SimulatedDisk(state.directories, state.files, self.capacity)
        disk.fastest_ns, disk.slowest_ns = self.fastest_ns, self.slowest_ns
        return disk

    def after_exit(self) -> SimulatedDisk:
        """The process is gone, the machine stays: what was written is there."""
        disk = SimulatedDisk(self._directories, self.files, self.capacity)
        disk.fastest_ns, disk.slowest_ns = self.fastest_ns, self.slowest_ns
        return disk


class SimulatedFlusher:
    """``journal.flusher.Flusher`` with events in the place of its thread."""

    def __init__(
        self, disk: SimulatedDisk, on_safe: Callable[[], object] | None = None, wake_fd: int = -1, position: int = 0
    ) -> None:
        assert wake_fd < 0, "the plain reactor is called, not woken"
        self.safe = position
        self.durable_index = 0
        self.durable_size = 0
        self.error: DiskError | None = None
        self.busy = False
        self.count = 0
        self._disk = disk
        self._on_safe = on_safe
        self._file: DiskFile | None = None
        self._noted = (0, 0, position)
        self._covered: tuple[int, int, int] = self._noted  # by the fsync that is going on
        self._covers = 0
        self._wanted = False
        self._event: Any = None

    def begin(self, file: DiskFile, index: int, size: int = 0, position: int = -1) -> None:
        self._wanted = False
        self._finish()
        self._file = file
        if position >= 0:
            self.safe = position
        self._noted = (index, size, position if position >= 0 else self._noted[2])
        self.durable_index, self.durable_size = index, size

    def note(self, index: int, size: int, position: int) -> None:
        self._noted = (index, size, position)

    def skip(self, position: int) -> None:
        if self.safe == self._noted[2]:
            self.safe = position
        self._noted = (*self._noted[:2], position)

    def request(self) -> None:
        if self.error is not None:
            return
        if self.busy:
            self._wanted = True
            return
        self._start()
        self._event = self._disk.loop.after(self._disk.sync_delay_ns(), self._end)

    def _start(self) -> None:
        self._wanted = False
        self.busy = True
        self._covered, self._covers = self._noted, len(self._disk.operations)

    def _end(self) -> None:
        self._complete()
        if self._on_safe is not None:
            self._on_safe()
        if self._wanted:
            self.request()

    def _complete(self) -> None:
        assert self._file is not None
        index, size, position = self._covered
        self.busy = False
        self._event = None
        try:
            self._disk.end_sync(self._file, self._covers)
        except DiskError as error:
            self.error = error
            return
        self.count += 1
        self.safe = self._noted[2] if index == self._noted[0] else max(self.safe, position)
        self.durable_index, self.durable_size = index, size

    def _finish(self) -> None:
        """Wait for the fsync that is going on."""
        if self.busy:
            self._event.cancel()
            self._complete()
            self._disk.loop.call_soon(self._tell)

    def _tell(self) -> None:
        if self._on_safe is not None:
            self._on_safe()

    def wait(self, position: int) -> None:
        if self.safe < position:
            self._finish()
        if self.safe < position and self.error is None:
            self._start()
            self._complete()
            self._disk.loop.call_soon(self._tell)

    def is_quick(self) -> bool:
        """Some of the fsyncs the loop does itself."""
        return self._disk.loop.scheduler.chance(0.2)

    def flush_now(self) -> None:
        self.wait(self._noted[2])

    def close(self) -> None:
        self._finish()
        if self._wanted and self.error is None:
            self._start()
            self._complete()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the simulated flusher has no {name}: the real one has changed")


class SimulatedFile(BackgroundFile):
    """``BackgroundFile`` whose thread is events: each block and the end take some time."""

    def __init__(
        self, disk: SimulatedDisk, path: str, temporary: str, *, sync_bytes: int = 0, beside: bool = True
    ) -> None:
        super().__init__(disk, path, temporary, sync_bytes=sync_bytes, beside=False)
        self._simulated = disk
        self._beside = beside
        self._tasks: deque[list[bytes] | None] = deque()
        self._running = False

    def _hand_over(self) -> None:
        blocks, self._gathered = self._gathered, []
        self._handed_over += self._gathered_bytes
        self._gathered_bytes = 0
        self._put(blocks)

    def finish(self) -> None:
        self._hand_over()
        self._put(None)

    def _put(self, blocks: list[bytes] | None) -> None:
        if not self._beside:
            self._try_to(blocks)
            self.check()
            return
        self._tasks.append(blocks)
        self._go_on()

    def _go_on(self) -> None:
        if self._tasks and not self._running and not self.done:
            self._running = True
            self._simulated.loop.after(self._simulated.sync_delay_ns(), self._work)

    def _work(self) -> None:
        self._running = False
        if self._tasks and not self.done:
            self._try_to(self._tasks.popleft())
            self._go_on()

    def wait(self) -> None:
        self.join()
        self.check()

    def join(self) -> None:
        while self._tasks and not self.done:
            self._try_to(self._tasks.popleft())

    def abandon(self) -> None:
        self._abandoned = True
        if self._beside:
            self._put(None)
        elif not self.done:
            self._remove()


class SimulatedWork:
    """``BackgroundWork``, done at once."""

    def __init__(self, work: Callable[[], None], *, beside: bool = True) -> None:
        self.error: DiskError | None = None
        self.done = False
        try:
            work()
        except DiskError as error:
            self.error = error
        self.done = True

    def join(self) -> None:
        """It is done."""


@contextmanager
def threadless() -> Iterator[None]:
    """Servers that are made meanwhile have no threads; their disks must be simulated ones."""
    with (
        mock.patch("kvorum.journal.journal.Flusher", SimulatedFlusher),
        mock.patch("kvorum.server.saving.BackgroundFile", SimulatedFile),
        mock.patch("kvorum.server.saving.BackgroundWork", SimulatedWork),
    ):
        yield


def data_directory() -> str:
    """Where a server's log is."""
    return posixpath.join(DIRECTORY, "appendonlydir")
