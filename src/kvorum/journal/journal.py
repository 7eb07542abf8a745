"""The journal: the log of effects on disk, as an increment of Redis' multi-part append-only file.

``write`` is where ``Effects`` hands over its batches: at the end of a turn the turn's batch becomes one entry, written by one
system call. What has been written is *safe* when an fsync that began later has ended; ``flusher`` does that beside the
event loop. Two positions say how far it is, ``written`` and ``safe``; both are positions of ``Effects``.

Policy (``appendfsync``): with ``always`` an fsync follows every write at once, and who waits for a position is told by the
flusher; with ``everysec`` the server's cron asks once a second; with ``no`` only the operating system decides.

*A write that fails* (disk full) is taken back as far as it came, so that the file never holds half an entry; the batch
is kept, ``failed`` says why, and ``retry`` tries again. While it is set the pipeline refuses writes with MISCONF, so no
more than one turn ever waits in memory, and what expires. *An fsync that fails* leaves nobody knowing what is on disk:
``broken`` is set, and the server has to end; it never tries again and hopes.

The increment grows up to ``segment_bytes``, then the next one begins; the manifest names it before anything is in it.
Memory for it is not reserved in advance: on ext4 that made no fsync faster (254 against 257 microseconds).
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from kvorum.journal.disk import Disk, DiskError, DiskFile, RealDisk, append_all, disk_error
from kvorum.journal.entries import annotation, durable, select
from kvorum.journal.flusher import Flusher
from kvorum.journal.manifest import Manifest, ManifestFile, forget_unnamed, note_unnamed, write_manifest
from kvorum.journal.recovery import Resume
from kvorum.journal.writing import write_entry

SELECT_BYTES = 17  # of "*2\r\n$6\r\nSELECT\r\n$", which every batch begins with
FEW_BYTES = 1 << 20  # so much may be waited for in the event loop when an increment ends
MOST_DELAYS = 20  # of the end of an increment, while more than that is not safe
ALWAYS = "always"
EVERYSEC = "everysec"
NO = "no"


class Journal:
    """The open end of a log.

    ``manifest`` is the directory's. The journal goes on where ``resume`` says, behind what was read there, or begins a new
    increment. ``index`` and ``term`` are those of the last entry on disk, ``position`` is where ``Effects`` stands.
    ``named``: whether the manifest on disk is to name what is written from the beginning; if not, it does so with the
    first base.

    To be set at any time: ``policy``, ``segment_bytes``, ``timestamps`` (Redis' lines with the time), ``paused`` (no fsync
    meanwhile), ``prompt`` (with ``always`` each entry asks for its fsync; else somebody else does that for several).
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        filename: str,
        manifest: Manifest,
        *,
        clock: Callable[[], int],
        index: int = 0,
        term: int = 1,
        position: int = 0,
        policy: str = EVERYSEC,
        segment_bytes: int = 1 << 30,
        named: bool = True,
        resume: Resume | None = None,
        on_safe: Callable[[], object] | None = None,
        wake_fd: int = -1,
    ) -> None:
        self.disk = disk
        self.directory = directory
        self.filename = filename
        self.manifest = manifest
        self.index = index
        self.term = term
        self.policy = policy
        self.segment_bytes = segment_bytes
        self.named = named
        self.changing = False  # of the base: see begin_change
        self.timestamps = False
        self.written = position
        self.size = 0  # of the increment
        self.failed: DiskError | None = None
        self.on_failure: Callable[[], object] | None = None  # called when a write has failed
        self.paused = False
        self.prompt = True
        self._broken: DiskError | None = None
        self._clock = clock
        self._database = -1  # which one the file is in
        self._durable_offset = 0
        self._idle_position = position
        self._timestamp_s = 0
        self._delays = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._direct = type(disk) is RealDisk
        self.flusher = Flusher(disk, on_safe, wake_fd, position)
        self.file: DiskFile = self._begin_increment() if resume is None else self._go_on(resume)

    @property
    def safe(self) -> int:
        """Everything up to this position is safe on disk."""
        return self.flusher.safe

    @property
    def broken(self) -> DiskError | None:
        """The fsync that failed, or half an entry that could not be removed."""
        return self._broken if self._broken is not None else self.flusher.error

    @property
    def unsafe_bytes(self) -> int:
        """So much was written and is not safe yet."""
        return self.written - self.flusher.safe

    def append(self, batch: bytes) -> None:
        """Write a batch of effects as an entry."""
        line_end = batch.index(b"\r\n", SELECT_BYTES)
        start = batch.index(b"\r\n", line_end + 2) + 2
        database = int(batch[line_end + 2 : start - 2])
        last = -1 if batch.find(b"SELECT", start) >= 0 else database  # -1: the next entry says where it is
        self.write(batch, start, database, last, self.written + len(batch))

    def write(self, batch: bytes, start: int, database: int, last: int, position: int) -> None:
        """The same, for who knows the batch: see ``batches.JournalSink``."""
        if len(batch) <= start:  # nothing that lasts
            self.written = position
            if self.failed is None:
                self.flusher.skip(position)
            return
        self.index += 1
        self.written = position
        time_ms = self._clock()
        before = self._lines_before(database, time_ms)
        self._database = last
        if self.failed is None and self._direct:
            size = write_entry(self.file.descriptor, before, self.index, self.term, time_ms, database, batch, start)
            if size > 0:
                self._note_written(size)
                return
            if size < 0:
                self.failed = disk_error("write", self.file.path, -size)
        body = batch[start:]
        self._write_slowly([before, annotation(self.index, self.term, time_ms, database, body), body])

    def _lines_before(self, database: int, time_ms: int) -> bytes:
        """What the annotation needs before it: how far the file is safe, the time for Redis, the database."""
        lines = b""
        if self.timestamps and time_ms // 1000 != self._timestamp_s:
            self._timestamp_s = time_ms // 1000
            lines = b"#TS:%d\r\n" % self._timestamp_s
        if self.flusher.durable_size > self._durable_offset:
            self._durable_offset = self.flusher.durable_size
            lines += durable(self.flusher.durable_index, self._durable_offset)
        return lines + select(database) if database != self._database else lines

    def _write_slowly(self, parts: list[bytes]) -> None:
        """Write by ways that may be tried again; what could not be written is kept."""
        size = sum(map(len, parts))
        if self.failed is not None or not self._try(parts, size):
            self._take_back()
            self._kept += parts
            self._kept_bytes += size
            if self.on_failure is not None:
                self.on_failure()
            return
        self._note_written(size)

    def _try(self, parts: list[bytes], size: int) -> bool:
        try:
            if self._direct or self.disk.append(self.file, *parts) != size:
                # Rare: too short, as when the disk is nearly full. Take it back and write it as a whole, or fail.
                self.disk.truncate(self.file, self.size)
                append_all(self.disk, self.file, *parts)
        except DiskError as error:
            self.failed = error
            return False
        return True

    def _take_back(self) -> None:
        try:
            self.disk.truncate(self.file, self.size)
        except DiskError as error:
            self._broken = error  # half an entry that cannot be removed: nothing may follow it

    def _note_written(self, size: int) -> None:
        self.size += size
        self.flusher.note(self.index, self.size, self.written)
        if self.policy == ALWAYS and self.prompt and not self.paused:
            self.flusher.request()

    def retry(self) -> bool:
        """Write what could not be written; whether nothing is left of it."""
        if self.failed is None:
            return True
        self.failed = None
        if self._kept and not self._try(self._kept, self._kept_bytes):
            self._take_back()
            return False
        size = self._kept_bytes
        self._kept, self._kept_bytes = [], 0
        self._note_written(size)
        return True

    def flush(self) -> None:
        """Ask for an fsync, if there is anything that is not safe."""
        if self.flusher.safe < self.written and self.failed is None:
            self.flusher.request()

    def note_idle(self) -> None:
        """Nothing happens: let the file say how far it is safe, rather than the next entry."""
        flusher = self.flusher
        if self._idle_position != self.written:
            self._idle_position = self.written
        elif flusher.safe == self.written and flusher.durable_size > self._durable_offset and self.failed is None:
            line = durable(flusher.durable_index, flusher.durable_size)
            self._durable_offset = flusher.durable_size
            if self._try([line], len(line)):
                self.size += len(line)
                flusher.note(self.index, self.size, self.written)
            else:
                self._take_back()
                self.failed = None  # no entry was lost; the next one finds out

    def rotate_if_big(self) -> None:
        """Begin the next increment if this one is long enough."""
        if self.size < self.segment_bytes or self.failed is not None or self.changing:
            return
        if self.unsafe_bytes > FEW_BYTES and self._delays < MOST_DELAYS:  # let the thread wait for that first
            self._delays += 1
            self.flush()
            return
        self.rotate()

    def rotate(self) -> ManifestFile:
        """Begin the next increment, which is returned. Everything before it is safe then.

        :raises DiskError: that failed, or what could not be written earlier is still kept; the old increment goes on.
        """
        self._delays = 0
        if self.failed is not None:
            raise self.failed  # what is kept will not become safe before ``retry``
        self.flusher.wait(self.written)
        if self.broken is not None:
            raise self.broken
        old = self.file
        self.file = self._begin_increment()
        self.disk.close(old)
        return self.manifest.increments[-1]

    def _go_on(self, resume: Resume) -> DiskFile:
        file = self.disk.open_append(resume.path)
        self.size = resume.size
        self.flusher.begin(file, self.index, self.size)
        return file

    def _begin_increment(self) -> DiskFile:
        """A new file. Its first line says that the one before is safe to its end."""
        increment = self.manifest.next_increment(self.filename)
        file = self.disk.create(posixpath.join(self.directory, increment.name), replace=True)
        line = durable(self.index, 0)
        try:
            append_all(self.disk, file, line)
            self.disk.fsync(file)
            if not (self.named or self.manifest.files):
                note_unnamed(self.disk, self.directory)
            self.disk.sync_directory(self.directory)  # no manifest names what a crash could take away
            manifest = self.manifest.with_increment(increment)
            if self.named:
                write_manifest(self.disk, self.directory, self.filename, manifest)
                forget_unnamed(self.disk, self.directory)
        except DiskError:
            self.disk.close(file)
            raise
        self.manifest = manifest
        self.size = self._durable_offset = len(line)
        self._database = -1
        self.flusher.begin(file, self.index, self.size)
        return file

    def replace_base(self, base: ManifestFile, first_kept: int) -> None:
        """The file ``base``, which is safe on disk, holds everything before increment ``first_kept``."""
        change = self.begin_change(base, first_kept)
        try:
            change.run()
        finally:
            self.end_change(change)

    def begin_change(self, base: ManifestFile, first_kept: int) -> BaseChange:
        """The same in steps, for who runs the change in another thread: no increment begins before ``end_change``."""
        self.changing = True
        return BaseChange(
            self.disk, self.directory, self.filename, self.manifest, self.manifest.with_base(base, first_kept)
        )

    def end_change(self, change: BaseChange) -> None:
        """The change has run, as far as it came."""
        self.manifest = change.reached
        self.named = self.named or change.reached is not change.before
        self.changing = False

    def close(self) -> None:
        """Make everything safe, note that, and close; after an error as far as that goes."""
        if self.retry() and self.broken is None:
            self.flusher.wait(self.written)
            if self.safe == self.written and self.size > self._durable_offset:
                self.disk.append(self.file, durable(self.index, self.size))
                self.disk.fsync(self.file)
        self.flusher.close()
        self.disk.close(self.file)


class BaseChange:
    """A new base takes the place of the old one and of some increments. ``reached``: the manifest that the directory has,
    or, after a failure, may as well be taken to have."""

    def __init__(self, disk: Disk, directory: str, filename: str, before: Manifest, after: Manifest) -> None:
        self.before = before
        self.reached = before
        self._after = after
        self._disk = disk
        self._directory = directory
        self._filename = filename

    def run(self) -> None:
        """Name the new base, then remove what it replaces; waits for the disk. Raises DiskError."""
        write_manifest(self._disk, self._directory, self._filename, self._after)
        self.reached = self._after
        forget_unnamed(self._disk, self._directory)
        for past in self._after.history:
            path = posixpath.join(self._directory, past.name)
            if self._disk.exists(path):
                self._disk.unlink(path)
        rest = self._after.without_history()
        write_manifest(self._disk, self._directory, self._filename, rest)
        self.reached = rest
