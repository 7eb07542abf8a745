"""The journal: the log of effects on disk, as an increment of Redis' multi-part append-only file.

``append`` is a sink of ``Effects``: at the end of a turn it gets the turn's batch and writes it as one entry, by one
system call. What has been written is *safe* when an fsync that began later has ended; ``flusher`` does that beside the
event loop. Two positions, both bytes of all entries since the start, say how far it is: ``written`` and ``safe``.

Policy (``appendfsync``): with ``always`` an fsync follows every write at once, and who waits for a position (the
reactor, for replies) is called by ``on_safe``; with ``everysec`` the server's cron asks once a second; with ``no`` only
the operating system decides.

*A write that fails* (disk full) is taken back as far as it came, so that the file never holds half an entry; the batch
is kept, ``failed`` says why, and ``retry`` tries again. While it is set the pipeline refuses writes with MISCONF, so no
more than one turn ever waits in memory. *An fsync that fails* leaves nobody knowing what is on disk: ``broken`` is set,
and the server has to end; it never tries again and hopes.

The increment grows up to ``segment_bytes``, then the next one begins; the manifest names it before anything is in it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from kvorum.journal.disk import Disk, DiskError, DiskFile, append_all
from kvorum.journal.entries import annotation, durable, select
from kvorum.journal.flusher import Flusher
from kvorum.journal.manifest import Manifest, ManifestFile, write_manifest

SELECT_BYTES = 17  # of "*2\r\n$6\r\nSELECT\r\n$", which every batch begins with
ALWAYS = "always"
EVERYSEC = "everysec"
NO = "no"


class Journal:
    """The open end of a log.

    ``manifest`` is the directory's; a new increment is begun, so that what an earlier process wrote is never touched.
    ``index`` and ``term`` are those of the last entry on disk.
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
        policy: str = EVERYSEC,
        segment_bytes: int = 1 << 30,
        on_safe: Callable[[], object] | None = None,
    ) -> None:
        self.disk = disk
        self.directory = directory
        self.filename = filename
        self.manifest = manifest
        self.index = index
        self.term = term
        self.policy = policy
        self.segment_bytes = segment_bytes
        self.written = 0
        self.size = 0  # of the increment
        self.total_bytes = 0  # of all increments of this process
        self.failed: DiskError | None = None
        self.paused = False  # no fsync meanwhile: no-appendfsync-on-rewrite
        self._clock = clock
        self._database = -1  # which one the file is in
        self._durable_offset = 0
        self._kept: tuple[bytes, ...] = ()
        self._kept_bytes = 0
        self.flusher = Flusher(disk, on_safe)
        self.file: DiskFile = self._begin_increment()

    @property
    def safe(self) -> int:
        """Everything up to this position is safe on disk."""
        return self.flusher.safe

    @property
    def broken(self) -> DiskError | None:
        """The fsync that failed."""
        return self.flusher.error

    def append(self, batch: bytes) -> None:
        """Write the effects of one turn as an entry."""
        line_end = batch.index(b"\r\n", SELECT_BYTES)
        body_start = batch.index(b"\r\n", line_end + 2) + 2
        database = int(batch[line_end + 2 : body_start - 2])
        body = memoryview(batch)[body_start:]
        self.index += 1
        head = annotation(self.index, self.term, self._clock(), database, body)
        if self.flusher.durable_size > self._durable_offset:
            self._durable_offset = self.flusher.durable_size
            head = durable(self.flusher.durable_index, self._durable_offset) + head
        if database != self._database:
            head = select(database) + head if not head.startswith(b"#kvorum-durable") else _behind_first(head, database)
        # Where the commands themselves go elsewhere, the next entry says where it is.
        self._database = -1 if batch.find(b"SELECT", body_start) >= 0 else database
        self._write(head, body)

    def _write(self, *parts: bytes | memoryview) -> None:
        size = sum(map(len, parts))
        self.written += size
        if self.failed is not None or not self._try(parts, size):
            self._kept = (*self._kept, *map(bytes, parts))
            self._kept_bytes += size
            return
        self._note_written(size)

    def _try(self, parts: tuple[bytes | memoryview, ...], size: int) -> bool:
        try:
            if self.disk.append(self.file, *parts) != size:
                # Rare: too short, as when the disk is nearly full. Take it back and write it as a whole, or fail.
                self.disk.truncate(self.file, self.size)
                append_all(self.disk, self.file, *parts)
        except DiskError as error:
            self.failed = error
            self._take_back()
            return False
        return True

    def _take_back(self) -> None:
        try:
            self.disk.truncate(self.file, self.size)
        except DiskError as error:
            self.flusher.error = error  # half an entry that cannot be removed: nothing may follow it

    def _note_written(self, size: int) -> None:
        self.size += size
        self.total_bytes += size
        self.flusher.note(self.file, self.index, self.size, self.written)
        if self.policy == ALWAYS and not self.paused:
            self.flusher.request()

    def retry(self) -> bool:
        """Write what could not be written; whether nothing is left of it."""
        if self.failed is None:
            return True
        parts, size = self._kept, self._kept_bytes
        self.failed = None
        if parts and not self._try(parts, size):
            return False
        self._kept, self._kept_bytes = (), 0
        self._note_written(size)
        return True

    def flush(self) -> None:
        """Ask for an fsync, if there is anything that is not safe."""
        if self.flusher.safe < self.written and self.failed is None:
            self.flusher.request()

    def rotate_if_big(self) -> None:
        """Begin the next increment if this one is long enough."""
        if self.size >= self.segment_bytes and self.failed is None:
            self.rotate()

    def rotate(self) -> ManifestFile:
        """Begin the next increment, which is returned. Everything before it is safe then."""
        self.flusher.wait(self.written)
        old = self.file
        self.file = self._begin_increment()
        self.disk.close(old)
        return self.manifest.increments[-1]

    def _begin_increment(self) -> DiskFile:
        increment = self.manifest.next_increment(self.filename)
        file = self.disk.create(posixpath.join(self.directory, increment.name), replace=True)
        self.disk.fsync(file)
        manifest = self.manifest.with_increment(increment)
        write_manifest(self.disk, self.directory, self.filename, manifest)
        self.manifest = manifest
        self.size = self._durable_offset = 0
        self._database = -1
        self.flusher.begin(file, self.index)
        return file

    def replace_base(self, base: ManifestFile, first_kept: int) -> None:
        """The file ``base``, which is safe on disk, holds everything before increment ``first_kept``."""
        manifest = self.manifest.with_base(base, first_kept)
        write_manifest(self.disk, self.directory, self.filename, manifest)
        self.manifest = manifest
        for past in manifest.history:
            self.disk.unlink(posixpath.join(self.directory, past.name))
        self.manifest = manifest.without_history()
        write_manifest(self.disk, self.directory, self.filename, self.manifest)

    def close(self) -> None:
        """Make everything safe, note that, and close; after an error as far as that goes."""
        if self.retry() and self.broken is None:
            self.flusher.wait(self.written)
            if self.safe == self.written and self.size > self._durable_offset:
                self.disk.append(self.file, durable(self.index, self.size))
                self.disk.fsync(self.file)
        self.flusher.close()
        self.disk.close(self.file)


def _behind_first(head: bytes, database: int) -> bytes:
    """The durable line stays in front, the SELECT stands right before the annotation."""
    first, _, rest = head.partition(b"\r\n")
    return first + b"\r\n" + select(database) + rest
