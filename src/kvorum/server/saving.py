"""Snapshots into files: SAVE, BGSAVE, save points, and the new base of a log that is compacted.

One file is written at a time, in slices of about a millisecond between the turns of the loop; what is asked for meanwhile
waits. A file gets its name when it is complete and safe on disk; until then it has a temporary one, which is never read.
A compaction begins a new increment of the journal first, so that base and increment meet at one position.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvorum.errors import CommandError
from kvorum.journal.disk import Disk, DiskError, DiskFile, append_all
from kvorum.journal.journal import Journal
from kvorum.journal.manifest import Manifest
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_format import standard_aux
from kvorum.journal.rdb.file_writer import FileWriter
from kvorum.journal.rdb.snapshot_sink import FileSink
from kvorum.keyspace.snapshot import Snapshot

if TYPE_CHECKING:
    from kvorum.session.context import ServerContext

SLICE_NS = 1_000_000
STEP_WORK = 500  # elements between two looks at the clock
WAIT_AFTER_FAILURE_S = 5
SNAPSHOT = "snapshot"
BASE = "base"


@dataclass(slots=True)
class History:
    """How the last ones ended; times are Unix seconds and durations seconds, -1: none yet."""

    last_ok: bool = True
    last_time_s: int = 0
    last_duration_s: int = -1
    last_try_s: int = 0
    count: int = 0


class Writing:
    """One file on its way. ``base_of``: the journal whose base it will be."""

    def __init__(
        self, context: ServerContext, disk: Disk, path: str, journal: Journal | None, is_base: bool = False
    ) -> None:
        config = context.config
        self.path = path
        self.temporary = posixpath.join(posixpath.dirname(path), f"temp-{context.run_id}.{posixpath.basename(path)}")
        self.began_ms = context.clock.wall_ms()
        self.changes = context.effects.commands
        self.base_of = journal
        self.first_kept = journal.manifest.increments[-1].sequence if journal is not None else 0
        self.keys_total = sum(map(len, context.keyspace.databases))
        self._disk = disk
        self._file: DiskFile | None = disk.create(self.temporary, replace=True)
        policy = config.maxmemory_policy.value
        self._writer = FileWriter(
            self._write, now_ms=self.began_ms, policy=policy, lfu_decay_time=config.lfu_decay_time,
            compress=config.rdbcompression, checksum=config.rdbchecksum,
        )  # fmt: skip
        aux = standard_aux(self.began_ms, context.memory.used_bytes(), is_base or journal is not None)
        if journal is not None:
            aux += [(b"kvorum-index", b"%d" % journal.index), (b"kvorum-term", b"%d" % journal.term)]
        self._writer.begin(aux)
        self._snapshot = Snapshot(context.keyspace, FileSink(self._writer, policy.endswith(("-lru", "-lfu"))))

    def _write(self, block: bytes) -> None:
        assert self._file is not None
        append_all(self._disk, self._file, block)

    @property
    def keys_written(self) -> int:
        """So many are in the file."""
        return self._writer.keys

    def step(self) -> bool:
        """Write on; whether everything is written."""
        return self._snapshot.step(STEP_WORK)

    def finish(self) -> None:
        """Give the file its name, safely."""
        assert self._file is not None
        self._writer.finish()
        self._disk.fsync(self._file)
        self._disk.close(self._file)
        self._file = None
        self._disk.rename(self.temporary, self.path)
        self._disk.sync_directory(posixpath.dirname(self.path))

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._snapshot.running:
            self._snapshot.abort()
        if self._file is not None:
            self._disk.close(self._file)
            self._file = None
        if self._disk.exists(self.temporary):
            self._disk.unlink(self.temporary)


class Saving:
    """The writer of one server."""

    def __init__(self, context: ServerContext, disk: Disk, journal: Callable[[], Journal | None]) -> None:
        self.context = context
        self.disk = disk
        self.writing: Writing | None = None
        self.snapshots = History(last_time_s=context.clock.wall_ms() // 1000)
        self.compactions = History()
        self.changes_saved = 0
        self.wanted: list[str] = []
        self.base_bytes = 0
        self._journal = journal
        self._timer: Any = None

    @property
    def changes(self) -> int:
        """Since the last snapshot."""
        return self.context.effects.commands - self.changes_saved

    @property
    def saving(self) -> bool:
        """Whether a snapshot is being written."""
        return self.writing is not None and self.writing.base_of is None

    @property
    def compacting(self) -> bool:
        """Whether a base is being written."""
        return self.writing is not None and self.writing.base_of is not None

    @property
    def has_journal(self) -> bool:
        """Whether there is a log to compact."""
        return self._journal() is not None

    def _history(self, writing: Writing) -> History:
        return self.snapshots if writing.base_of is None else self.compactions

    def snapshot_path(self) -> str:
        """Where snapshots go."""
        config = self.context.config
        return posixpath.join(config.dir, config.dbfilename)

    # Beginning

    def want(self, kind: str) -> bool:
        """Begin, or do it after the file that is being written; whether it begins now."""
        if self.writing is not None:
            if kind not in self.wanted:
                self.wanted.append(kind)
            return False
        if kind == BASE:
            # Not in the middle of a turn, nor of a transaction: what it has done so far would be in the base, and its
            # effects behind it.
            if kind not in self.wanted:
                self.wanted.append(kind)
                self.context.call_later(0, self._take_next)
            return True
        self._begin(kind)
        self._timer = self.context.call_later(0, self._slice)
        return True

    def _begin(self, kind: str) -> None:
        history = self.snapshots if kind == SNAPSHOT else self.compactions
        history.last_try_s = self.context.clock.wall_ms() // 1000
        try:
            if kind == SNAPSHOT:
                self.writing = Writing(self.context, self.disk, self.snapshot_path(), None)
            else:
                journal = self._journal()
                assert journal is not None, "there is no log to compact"
                self.context.effects.commit()  # what this turn has done so far belongs before the base
                journal.rotate()
                base = journal.manifest.next_base(journal.filename)
                self.writing = Writing(self.context, self.disk, posixpath.join(journal.directory, base.name), journal)
        except (DiskError, RdbError) as error:
            history.last_ok = False
            self.context.log.warning("no file can be written", what=kind, reason=str(error))
            raise CommandError(b"ERR " + str(error).encode()) from error

    # Going on

    def _slice(self) -> None:
        self._timer = None
        writing = self.writing
        if writing is None:
            return
        until_ns = self.context.clock.monotonic_ns() + SLICE_NS
        try:
            done = False
            while not done and self.context.clock.monotonic_ns() < until_ns:
                done = writing.step()
            if done:
                self._finish(writing)
        except (DiskError, RdbError) as error:
            self._fail(writing, error)
        if self.writing is not None:
            self._timer = self.context.call_later(0, self._slice)
        else:
            self._take_next()

    def _take_next(self) -> None:
        while self.wanted and self.writing is None:
            try:
                self._begin(self.wanted.pop(0))
            except CommandError:
                continue  # the log has said it
            self._timer = self.context.call_later(0, self._slice)

    def _finish(self, writing: Writing) -> None:
        writing.finish()
        journal = writing.base_of
        if journal is not None:
            self.context.effects.commit()
            journal.replace_base(journal.manifest.next_base(journal.filename), writing.first_kept)
            self.base_bytes = self.disk.size(writing.path)
        else:
            self.changes_saved = writing.changes
        self.writing = None
        history = self._history(writing)
        now_ms = self.context.clock.wall_ms()
        history.last_ok = True
        history.last_time_s = now_ms // 1000
        history.last_duration_s = (now_ms - writing.began_ms) // 1000
        history.count += 1
        self.context.log.notice(
            "file written", file=writing.path, keys=writing.keys_written, ms=now_ms - writing.began_ms
        )

    def _fail(self, writing: Writing, error: Exception) -> None:
        self.writing = None
        self._history(writing).last_ok = False
        self.context.log.warning("writing a file failed", file=writing.path, reason=str(error))
        try:
            writing.abandon()
        except DiskError as another:
            self.context.log.warning("its beginning could not be removed", file=writing.temporary, reason=str(another))

    def save_now(self) -> None:
        """SAVE: everything at once, while others wait. ``CommandError``: it failed."""
        self._begin(SNAPSHOT)
        writing = self.writing
        assert writing is not None
        try:
            while not writing.step():
                pass
            self._finish(writing)
        except (DiskError, RdbError) as error:
            self._fail(writing, error)
            raise CommandError(b"ERR " + str(error).encode()) from error

    def first_base(self, directory: str, filename: str) -> Manifest:
        """A log begins where there are keys already: write them as its base, before anything is promised."""
        base = Manifest().next_base(filename)
        writing = Writing(self.context, self.disk, posixpath.join(directory, base.name), None, is_base=True)
        try:
            while not writing.step():
                pass
            writing.finish()
        except BaseException:
            writing.abandon()
            raise
        self.base_bytes = self.disk.size(writing.path)
        return Manifest(base=base)

    def save_at_the_end(self, always: bool, never: bool) -> None:
        """The server is about to end: write a snapshot if that is asked for, or if there are save points."""
        if never or not (always or self.context.config.save):
            return
        self.close()
        self.save_now()

    def tick(self) -> None:
        """The save points, and the growth of the log."""
        if self.writing is not None:
            return
        now_s = self.context.clock.wall_ms() // 1000
        config, history = self.context.config, self.snapshots
        rests = history.last_ok or now_s - history.last_try_s > WAIT_AFTER_FAILURE_S
        for point in config.save:
            if rests and self.changes >= point.changes and now_s - history.last_time_s >= point.seconds:
                self._try(SNAPSHOT)
                return
        journal = self._journal()
        if journal is not None and config.auto_aof_rewrite_percentage:
            grown = journal.total_bytes
            base = max(self.base_bytes, 1)
            if (
                grown >= config.auto_aof_rewrite_min_size
                and grown * 100 >= base * config.auto_aof_rewrite_percentage
                and (self.compactions.last_ok or now_s - self.compactions.last_try_s > WAIT_AFTER_FAILURE_S)
            ):
                journal.total_bytes = 0
                self._try(BASE)

    def _try(self, kind: str) -> None:
        try:
            self.want(kind)
        except CommandError:
            return  # the log has said it

    def close(self) -> None:
        """Give up what is being written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.abandon()
