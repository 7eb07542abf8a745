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

*In a Raft group* entries come with index and term (``write_entry``), and those that a leader overrules are cut off
(``truncate_after``); a snapshot that a leader sends takes the place of everything (``install_base``).

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
from kvorum.journal.offsets import MARK_BYTES, EntryOffsets
from kvorum.journal.reading import start_of
from kvorum.journal.recovery import Resume
from kvorum.journal.writing import write_entry as write_at_once

FEW_BYTES = 1 << 20  # so much may be waited for in the event loop when an increment ends
PARTS = 3  # that an entry is written in: what stands before, its annotation, its body
MOST_DELAYS = 20  # of the end of an increment, while more than that is not safe
ALWAYS = "always"
EVERYSEC = "everysec"
NO = "no"


class Journal:
    """The open end of a log.

    ``manifest`` is the directory's. The journal goes on where ``resume`` says, behind what was read there, or begins a new
    increment. ``index`` and ``term`` are those of the last entry on disk, ``position`` is where ``Effects`` stands.
    ``named``: whether the manifest on disk is to name what is written from the beginning; if not, it does so with the
    first base. ``offsets``: where the entries stand that are there already.

    To be set at any time: ``policy``, ``segment_bytes``, ``timestamps`` (Redis' lines with the time), ``paused`` (no fsync
    meanwhile), ``prompt`` (with ``always`` each entry asks for its fsync; else somebody else does that for several),
    ``keep_bytes`` (so much of what a new base replaces stays, as files of the past, for followers that lag behind; a restart
    does not know them any more).
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
        offsets: EntryOffsets | None = None,
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
        self.keep_bytes = 0
        self._broken: DiskError | None = None
        self._clock = clock
        self._database = -1  # which one the file is in
        self._durable_offset = 0
        self._idle_position = position
        self._timestamp_s = 0
        self._delays = 0
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self.offsets = offsets if offsets is not None else EntryOffsets(index, term if index else 0)
        self._next_mark = 0
        self._last_term = self.offsets.term(index)  # that the offsets know of
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

    @property
    def durable_index(self) -> int:
        """Entries up to this one are safe on disk. It goes back when entries are cut off; ``safe`` never does."""
        index: int = self.flusher.durable_index
        return index

    @property
    def written_index(self) -> int:
        """The last entry that is in the file; those behind it are kept for ``retry``."""
        return self.index - len(self._kept) // PARTS

    def write(self, batch: bytes, start: int, database: int, last: int, position: int) -> None:
        """Write a batch of effects as the next entry, in the term of the last one: see ``batches.JournalSink``."""
        if len(batch) <= start:  # nothing that lasts
            self.written = position
            if self.failed is None:
                self.flusher.skip(position)
            return
        self.index += 1
        self.written = position
        self._write(self._clock(), database, last, batch, start)

    def write_entry(
        self, index: int, term: int, time_ms: int, database: int, data: bytes, start: int, position: int = -1
    ) -> None:
        """Write the next entry of a group: its body is ``data`` from ``start`` on, and may be empty. ``position``, if it is
        given, is higher than before; ``safe`` has reached it when the entry is on disk."""
        if index != self.index + 1 or term < self.term:
            raise ValueError(f"entry {index} of term {term} cannot follow entry {self.index} of term {self.term}")
        size = len(data) - start
        self.index = index
        self.term = term
        self.written = position if position >= 0 else self.written + max(size, 1)
        last = database
        if size == 0:
            last = self._database  # nothing that a database would matter for
        elif data.find(b"SELECT", start) >= 0:
            last = -1  # the next entry says where it is
        self._write(time_ms, database, last, data, start)

    def _write(self, time_ms: int, database: int, last: int, data: bytes, start: int) -> None:
        before = self._lines_before(database if len(data) > start else self._database, time_ms)
        self._database = last
        if self.term != self._last_term:
            self.offsets.note_term(self.index, self.term)
            self._last_term = self.term
        if self.failed is None and self._direct:
            size = write_at_once(self.file.descriptor, before, self.index, self.term, time_ms, database, data, start)
            if size > 0:
                if self.size >= self._next_mark:
                    self._mark()
                self._note_written(size)
                return
            if size < 0:
                self.failed = disk_error("write", self.file.path, -size)
        body = data[start:]
        self._write_slowly([before, annotation(self.index, self.term, time_ms, database, body), body])

    def _mark(self) -> None:
        """The entry that was just written begins where the file ended before."""
        self.offsets.note(self.index, self.size)
        self._next_mark = self.size + MARK_BYTES

    def _lines_before(self, database: int, time_ms: int) -> bytes:
        """What the annotation needs before it: how far the file is safe, the time for Redis, the database."""
        lines = b""
        if self.timestamps and time_ms and time_ms // 1000 != self._timestamp_s:
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
        if self.size >= self._next_mark:
            self._mark()
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

    def begin_positions(self, position: int) -> None:
        """From now on positions are counted from here, also if that is less than before; everything is safe. DiskError."""
        self._settle()
        self.written = self._idle_position = position
        self.flusher.begin(self.file, self.index, self.size, position)

    def truncate_after(self, index: int) -> None:
        """Cut off the entries behind this one. When it returns that is safe on disk, and so is everything before.

        Files are cut from the last to the first, and those that have nothing left stay as empty ones: whatever a crash leaves
        is the log up to some entry, and no manifest changes, which may be about to change for another reason.

        :raises DiskError: the journal is as it was (``failed``), or nobody knows how far it came (``broken``).
        """
        if index >= self.index:
            return
        self._settle()
        place = self.offsets.place(index + 1)
        start = start_of(self.disk, place, index + 1)
        try:
            for path in reversed(self.offsets.files_after(place.path)):
                self._cut(path, 0)
            self._cut(place.path, start)
        except DiskError as error:
            self._broken = error
            raise
        self.offsets.truncate_after(index)
        self.index = index
        self.term = self._last_term = self.offsets.term(index)
        self._begin_anew(start if place.path == self.file.path else 0)

    def install_base(self, path: str, index: int, term: int) -> str:
        """The file at ``path``, a base that ends with this entry and is safe on disk, takes the place of everything. It gets
        another name, which is returned, in the directory of the log, which must be on the same file system. No change of the
        base is under way.

        :raises DiskError: the log is as it was, or nobody knows (``broken``).
        """
        assert not self.changing
        self._settle()
        base = self.manifest.next_base(self.filename)
        increment = self.manifest.next_increment(self.filename)
        file = self._create(increment, index)
        try:
            self.disk.rename(path, posixpath.join(self.directory, base.name))
            self.disk.sync_directory(self.directory)
        except DiskError:
            self.disk.close(file)
            raise
        self._replace_all(
            BaseChange(
                self.disk, self.directory, self.filename, self.manifest, self.manifest.replaced_by(base, increment)
            ),
            file,
        )
        self.index = index
        self.term = self._last_term = term
        self.offsets.reset(index, term)
        self._enter(file)
        return posixpath.join(self.directory, base.name)

    def _replace_all(self, change: BaseChange, file: DiskFile) -> None:
        """Name the new base, and go on in this file."""
        try:
            change.run()
        except DiskError as error:
            if change.reached is change.before:
                self._broken = error  # which of the two manifests there is, and so which increment it names
                self.disk.close(file)
                raise
            # Only files of the past have stayed: the next change removes them.
        old, self.file = self.file, file
        self.manifest = change.reached
        self.named = True
        self.disk.close(old)

    def _settle(self) -> None:
        """Make safe what was written, or raise."""
        if not self.retry():
            assert self.failed is not None
            raise self.failed
        self.flusher.wait(self.written)
        if self.broken is not None:
            raise self.broken

    def _cut(self, path: str, size: int) -> None:
        is_open = path == self.file.path
        file = self.file if is_open else self.disk.open_append(path)
        try:
            self.disk.truncate(file, size)
            self.disk.fsync(file)
        finally:
            if not is_open:
                self.disk.close(file)

    def _begin_anew(self, size: int) -> None:
        """The file has so many bytes, and all of them are safe."""
        self.size = size
        self._durable_offset = min(self._durable_offset, size)
        self._database = -1
        self._next_mark = 0
        self.flusher.begin(self.file, self.index, size)

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
        if self.broken is None and self.flusher.durable_size < self.size:
            self._sync_end()
        if self.broken is not None:
            raise self.broken
        old = self.file
        self.file = self._begin_increment()
        self.disk.close(old)
        return self.manifest.increments[-1]

    def _sync_end(self) -> None:
        """Behind the last entry stands a line that says how far the file was safe, and is not safe itself."""
        try:
            self.disk.fdatasync(self.file)
        except DiskError as error:
            self._broken = error

    def _go_on(self, resume: Resume) -> DiskFile:
        file = self.disk.open_append(resume.path)
        self.size = resume.size
        self.flusher.begin(file, self.index, self.size)
        if resume.path not in self.offsets.files:
            self.offsets.begin_file(resume.path, self.index + 1, resume.size)
        return file

    def _begin_increment(self) -> DiskFile:
        """A new file. Its first line says that the one before is safe to its end."""
        increment = self.manifest.next_increment(self.filename)
        if not (self.named or self.manifest.files):
            note_unnamed(self.disk, self.directory)
        file = self._create(increment, self.index)
        try:
            manifest = self.manifest.with_increment(increment)
            if self.named:
                write_manifest(self.disk, self.directory, self.filename, manifest)
                forget_unnamed(self.disk, self.directory)
        except DiskError:
            self.disk.close(file)
            raise
        self.manifest = manifest
        self._enter(file)
        return file

    def _create(self, increment: ManifestFile, index: int) -> DiskFile:
        """The file of an increment that follows this entry, safe on disk with its first line and its name."""
        file = self.disk.create(posixpath.join(self.directory, increment.name), replace=True)
        try:
            append_all(self.disk, file, durable(index, 0))
            self.disk.fsync(file)
            self.disk.sync_directory(self.directory)  # no manifest names what a crash could take away
        except DiskError:
            self.disk.close(file)
            raise
        return file

    def _enter(self, file: DiskFile) -> None:
        """Go on in this file, which has its first line."""
        self.size = self._durable_offset = len(durable(self.index, 0))
        self._database = -1
        self._next_mark = self.size + MARK_BYTES
        self.offsets.begin_file(file.path, self.index + 1)
        self.flusher.begin(file, self.index, self.size)

    def begin_change(self, base: ManifestFile, first_kept: int) -> BaseChange:
        """The file ``base``, which is safe on disk, holds everything before increment ``first_kept``. Who calls it lets the
        change run, in another thread if that suits, and then calls ``end_change``; no increment begins meanwhile."""
        after = self.manifest.with_base(base, first_kept)
        change = BaseChange(self.disk, self.directory, self.filename, self.manifest, after, self._for_followers(after))
        self.changing = True
        return change

    def _for_followers(self, after: Manifest) -> tuple[ManifestFile, ...]:
        """The newest files of the past that are to stay."""
        known = set(self.offsets.files)
        kept: list[ManifestFile] = []
        room = self.keep_bytes
        for past in reversed(after.history):
            if not past.was_increment:
                continue
            path = posixpath.join(self.directory, past.name)
            room -= self.disk.size(path) if path in known else room + 1
            if room < 0:
                break
            kept.append(past)
        return tuple(reversed(kept))

    def end_change(self, change: BaseChange) -> None:
        """The change has run, as far as it came."""
        self.manifest = change.reached
        self.named = self.named or change.reached is not change.before
        self.changing = False
        if change.reached is not change.before and self.manifest.increments:
            first = (*change.kept, *self.manifest.increments)[0]
            self.offsets.drop_files_before(posixpath.join(self.directory, first.name))

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
    or, after a failure, may as well be taken to have. ``kept``: files of the past that are not removed."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        filename: str,
        before: Manifest,
        after: Manifest,
        kept: tuple[ManifestFile, ...] = (),
    ) -> None:
        self.before = before
        self.reached = before
        self.kept = kept
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
            if past not in self.kept and self._disk.exists(path):
                self._disk.unlink(path)
        rest = self._after.with_history(self.kept)
        write_manifest(self._disk, self._directory, self._filename, rest)
        self.reached = rest
