"""Snapshots into files: SAVE, BGSAVE, save points, and the new base of a log that is compacted.

One file is written at a time, in slices between the turns of the loop; what is asked for meanwhile waits. The loop encodes,
a thread writes (``background_file``). A file gets its name when it is complete and safe on disk; until then it has a temporary
one, which is never read.

**Slices.** While clients are served a slice takes a fifth of the time since the one before, within bounds: a sixth of the time
goes into the file, whether turns are short or long, and nobody waits noticeably longer. Without clients slices are long.

**Compaction** begins a new increment of the journal first, so that base and increment meet at one position. That waits for
an fsync of what the journal has written, so the journal is asked for one before, and the wait is short.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.journal.bodies import SESSIONS_FIELD
from kvorum.journal.disk import Disk, DiskError
from kvorum.journal.journal import BaseChange, Journal
from kvorum.journal.manifest import Manifest
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_format import standard_aux
from kvorum.journal.rdb.file_writer import FileWriter
from kvorum.journal.rdb.snapshot_sink import FileSink
from kvorum.keyspace.snapshot import Snapshot
from kvorum.server.background_file import SYNC_BYTES, BackgroundFile, BackgroundWork
from kvorum.session.pipeline import SNAPSHOT_FAILED

if TYPE_CHECKING:
    from kvorum.config import Config
    from kvorum.server.reloading import Reloading
    from kvorum.session.context import ServerContext

IDLE_SLICE_NS = 1_000_000
BUSY_SHARE = 6  # a slice takes one of so many parts of the time since the one before, while clients are served
LEAST_SLICE_NS = 50_000
MOST_SLICE_NS = 150_000
STEP_WORK = 100  # elements between two looks at the clock: some ten microseconds
BLOCK_BYTES = 1 << 15  # are summed up and handed on at once
DISK_WAIT_S = 0.002  # between two looks at the thread
WAIT_AFTER_FAILURE_S = 5
UNSAFE_BYTES = 1 << 16  # in the journal, which a compaction waits for
MOST_FLUSHES = 200  # looks at the journal, DISK_WAIT_S apart, before a compaction begins all the same
LOG_PERCENT = 10
LOG_PAUSE_MS = 1000
FAILURES_BEFORE_REST = 3  # compactions that failed one after the other; then the pauses double
MOST_REST_MINUTES = 60
SNAPSHOT = "snapshot"
BASE = "base"

_TEMPORARY = re.compile(r"temp-(\d+)-\d+\..+")


@dataclass(slots=True)
class History:
    """How the last ones ended; times are Unix seconds and durations seconds, -1: none yet. ``count``: so many were begun,
    ``failures`` of them failed one after the other, ``aside_bytes``: what the last one kept in memory at the most."""

    last_ok: bool = True
    last_time_s: int = 0
    last_duration_s: int = -1
    last_try_s: int = 0
    count: int = 0
    failures: int = 0
    aside_bytes: int = 0


class Writing:
    """One file on its way. ``base_of``: the journal whose base it will be; ``beside`` False: nobody else works meanwhile;
    ``more_aux``: fields for its head."""

    def __init__(
        self, context: ServerContext, disk: Disk, path: str, temporary: str, journal: Journal | None = None,
        *, is_base: bool = False, beside: bool = True, threaded: bool = True,
        more_aux: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:  # fmt: skip
        config = context.config
        self.path = path
        self.began_ms = context.clock.wall_ms()
        self.changes = context.effects.commands
        self.base_of = journal
        self.first_kept = journal.manifest.increments[-1].sequence if journal is not None else 0
        self.keys_total = sum(map(len, context.keyspace.databases))
        self.beside = beside
        self.change: BaseChange | None = None
        self.changed: BackgroundWork | None = None
        self.complete = False  # everything is in the hands of the thread
        self.aside_bytes = 0
        self.logged_percent = 0
        self.logged_ms = self.began_ms
        is_base = is_base or journal is not None
        syncs = config.aof_rewrite_incremental_fsync if is_base else config.rdb_save_incremental_fsync
        policy = config.maxmemory_policy.value
        aux = standard_aux(self.began_ms, context.memory.used_bytes(), is_base)
        self.index = 0 if journal is None else journal.index  # of the last entry in it
        self.term = 0 if journal is None else journal.term
        if journal is not None:
            aux += [(b"kvorum-index", b"%d" % journal.index), (b"kvorum-term", b"%d" % journal.term)]
            aux += [(b"kvorum-time", b"%d" % self.began_ms)]
        sessions = context.once.results.encode()
        if sessions:
            aux.append((SESSIONS_FIELD, sessions))
        aux += more_aux
        sync_bytes = SYNC_BYTES if syncs else 0
        self.file = BackgroundFile(disk, path, temporary, sync_bytes=sync_bytes, beside=beside and threaded)
        self._writer = FileWriter(
            self.file.write, now_ms=self.began_ms, policy=policy, lfu_decay_time=config.lfu_decay_time,
            compress=config.rdbcompression, checksum=config.rdbchecksum, block_bytes=BLOCK_BYTES,
        )  # fmt: skip
        self._writer.begin(aux)
        self._snapshot = Snapshot(context.keyspace, FileSink(self._writer, policy.endswith(("-lru", "-lfu"))))

    @property
    def keys_written(self) -> int:
        """So many have been encoded."""
        return self._writer.keys

    @property
    def percent(self) -> float:
        """How far it is."""
        return 100 * self.keys_written / self.keys_total if self.keys_total else 100.0

    @property
    def pending_bytes(self) -> int:
        """What is encoded, in memory, and not in the file yet."""
        return self._writer.size - self.file.written_bytes

    def step(self, work: int = STEP_WORK) -> bool:
        """Encode some more; whether everything is."""
        done = self._snapshot.step(work)
        self.aside_bytes = max(self.aside_bytes, self.pending_bytes)
        if done:
            self._writer.finish()
            self.file.finish()
            self.complete = True
        return done

    def run(self) -> None:
        """All that is left, at once."""
        while not self.complete:
            self.step()
        self.file.wait()

    def change_base(self, beside: bool) -> None:
        """The file is there: let the log's manifest name it."""
        journal = self.base_of
        assert journal is not None
        self.change = journal.begin_change(journal.manifest.next_base(journal.filename), self.first_kept)
        self.changed = BackgroundWork(self.change.run, beside=beside)

    def end_change(self) -> None:
        """Wait for that, and let the journal go on. ``DiskError``: it failed."""
        if self.base_of is None or self.change is None or self.changed is None:
            return
        self.changed.join()
        self.base_of.end_change(self.change)
        if self.changed.error is not None:
            raise self.changed.error

    def abandon(self) -> None:
        """Leave nothing behind, soon; a base whose change has begun is taken."""
        if self.change is not None:
            with contextlib.suppress(DiskError):
                self.end_change()
            return
        if self._snapshot.running:
            self._snapshot.abort()
        self.file.abandon()


class GroupLog(Protocol):
    """What a compaction asks where the log is that of a Raft group."""

    def may_compact(self) -> bool:
        """Whether memory is exactly what the log has by now. False: soon; it is asked again."""

    def base_aux(self) -> list[tuple[bytes, bytes]]:
        """Fields for the head of a base that is begun now."""

    def is_committed(self, index: int) -> bool:
        """Whether this entry will stay; before that no base that has it is named."""

    def base_changed(self, index: int, term: int) -> None:
        """There is a new base, which ends with this entry; the log begins behind it."""


class Saving:
    """The writer of one server. ``threaded``: whether a thread writes; tests whose disk has to do everything in one
    order set it to False."""

    def __init__(self, context: ServerContext, disk: Disk, journal: Callable[[], Journal | None]) -> None:
        self.context = context
        self.disk = disk
        self.threaded = True
        self.writing: Writing | None = None
        self.snapshots = History(last_time_s=context.clock.wall_ms() // 1000)
        self.compactions = History()
        self.changes_saved = 0
        self.wanted: list[str] = []
        self._rewritten: tuple[Journal | None, int] = (None, 0)
        self._closed_bytes: tuple[Manifest | None, int] = (None, 0)
        self._preparing = 0  # looks at a journal that is to be compacted
        self._rest_until_s = 0
        self._journal = journal
        self._timer: Any = None
        self.reloading: Reloading | None = None  # what DEBUG reads the files again with
        self.group: GroupLog | None = None  # whose members the log is shared with
        self._given_up: Writing | None = None  # the last one; its thread may still wait for the disk
        self._numbers = itertools.count(1)
        self._slice_ended_ns = 0
        self._commands_before = 0
        for name in ("save", "stop-writes-on-bgsave-error"):
            context.config.on_change(name, self._refuse_or_allow_writes)

    # To be read

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
        """Whether a base is being written, or about to be."""
        return self._preparing > 0 or (self.writing is not None and self.writing.base_of is not None)

    @property
    def has_journal(self) -> bool:
        """Whether there is a log to compact."""
        return self._journal() is not None

    @property
    def log_bytes(self) -> int:
        """The size of the whole log, base included."""
        journal = self._journal()
        if journal is None:
            return 0
        if self._closed_bytes[0] is not journal.manifest:
            closed = (one for one in journal.manifest.data_files if one != journal.manifest.increments[-1])
            sizes = (self._size(posixpath.join(journal.directory, one.name)) for one in closed)
            self._closed_bytes = (journal.manifest, sum(sizes))
        return self._closed_bytes[1] + journal.size

    @property
    def rewritten_bytes(self) -> int:
        """The size of the log after the last compaction, or when it was opened: what its growth is measured by."""
        journal = self._journal()
        if self._rewritten[0] is not journal:
            self._rewritten = (journal, self.log_bytes)
        return self._rewritten[1]

    def _size(self, path: str) -> int:
        try:
            return self.disk.size(path)
        except DiskError:
            return 0

    def snapshot_path(self) -> str:
        """Where snapshots go."""
        config = self.context.config
        return posixpath.join(config.dir, config.dbfilename)

    # Temporary files

    def _temporary(self, path: str) -> str:
        folder, name = posixpath.split(path)
        return posixpath.join(folder, f"temp-{os.getpid()}-{next(self._numbers)}.{name}")

    def remove_leftovers(self, directory: str) -> None:
        """Remove what processes that are gone have left of files that they had not completed."""
        try:
            for name in self._leftovers(directory):
                self.disk.unlink(posixpath.join(directory, name))
                self.context.log.notice("unfinished file of an earlier process removed", file=name, directory=directory)
        except DiskError as error:
            self.context.log.warning("unfinished files of earlier processes are left", reason=str(error))

    def _leftovers(self, directory: str) -> Iterator[str]:
        if not self.disk.exists(directory):
            return
        config = self.context.config
        for name in self.disk.list_directory(directory):
            found = _TEMPORARY.fullmatch(name)
            ours = name.endswith((f".{config.dbfilename}", ".base.rdb", ".base.aof"))
            if found is not None and ours and not _is_alive(int(found[1])):
                yield name

    # Beginning

    def want(self, kind: str, later: bool = False) -> bool:
        """Begin, or do it after the file that is being written, or (``later``) after this turn; whether it begins now.

        :raises CommandError: a snapshot cannot be begun.
        """
        if self.writing is not None or self._preparing or later or kind in self.wanted:
            if kind not in self.wanted:
                self.wanted.append(kind)
            if self.writing is None and self._timer is None:
                self._next_at(0, self._take_next)
            return False
        if kind == BASE:
            # Not in the middle of a turn, nor of a transaction: what it has done so far would be in the base, and its
            # effects behind it.
            self._preparing = 1
            self._next_at(0, self._prepare)
            return True
        self._begin(kind)
        return True

    def _next_at(self, delay_s: float, work: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.context.call_later(delay_s, work)

    def _prepare(self) -> None:
        """A compaction begins when the journal has little that is not safe yet, or after a bounded number of tries."""
        self._timer = None
        journal = self._journal()
        if journal is None:
            self._preparing = 0
            self._take_next()
            return
        if journal.written - journal.safe > UNSAFE_BYTES and self._preparing <= MOST_FLUSHES and journal.failed is None:
            self._preparing += 1
            journal.flush()
            self._next_at(DISK_WAIT_S, self._prepare)
            return
        if self.group is not None and not self.group.may_compact():
            self._preparing = 1
            self._next_at(DISK_WAIT_S, self._prepare)
            return
        self._preparing = 0
        try:
            self._begin(BASE)
        except CommandError:  # the log has said it
            self._take_next()

    def _begin(self, kind: str, beside: bool = True) -> None:
        history = self.snapshots if kind == SNAPSHOT else self.compactions
        history.last_try_s = self.context.clock.wall_ms() // 1000
        history.count += 1
        try:
            self.writing = self._open(kind, beside)
        except (DiskError, RdbError) as error:
            if beside:
                self._note_failure(history)
            self.context.log.warning("no file can be written", what=kind, reason=str(error))
            raise CommandError(b"ERR " + str(error).encode()) from error
        if beside:
            self.context.log.notice("writing a file", file=self.writing.path, keys=self.writing.keys_total)
            self._slice_ended_ns = self.context.clock.monotonic_ns()
            self._commands_before = self.context.pipeline.commands
            self._next_at(0, self._slice)

    def _open(self, kind: str, beside: bool) -> Writing:
        if kind == SNAPSHOT:
            path = self.snapshot_path()
            return Writing(self.context, self.disk, path, self._temporary(path), beside=beside, threaded=self.threaded)
        journal = self._journal()
        assert journal is not None, "there is no log to compact"
        self.context.effects.commit()  # what this turn has done so far belongs before the base
        journal.rotate()
        path = posixpath.join(journal.directory, journal.manifest.next_base(journal.filename).name)
        return Writing(
            self.context, self.disk, path, self._temporary(path), journal, beside=beside, threaded=self.threaded,
            more_aux=self.group.base_aux() if self.group is not None else (),
        )  # fmt: skip

    # Going on

    def _slice(self) -> None:
        self._timer = None
        writing = self.writing
        if writing is None:
            return
        delay_s = 0.0
        try:
            if writing.complete or writing.file.full:
                delay_s = self._look_at_the_file(writing)
            else:
                delay_s = self._encode(writing)
        except (DiskError, RdbError) as error:
            self._fail(writing, error)
        if self.writing is not None:
            self._next_at(delay_s, self._slice)
        else:
            self._take_next()

    def _look_at_the_file(self, writing: Writing) -> float:
        writing.file.check()
        if writing.file.done and writing.base_of is not None and writing.change is None:
            if self.group is not None and not self.group.is_committed(writing.index):
                return DISK_WAIT_S
            writing.change_base(self.threaded)
        if writing.file.done and (writing.changed is None or writing.changed.done):
            self._finish(writing)
        return DISK_WAIT_S

    def _encode(self, writing: Writing) -> float:
        """One slice; when the next one is due, in seconds."""
        if self.context.config.rdb_key_save_delay > 0:
            return self._encode_slowly(writing)
        clock, pipeline = self.context.clock, self.context.pipeline
        began_ns = clock.monotonic_ns()
        busy = pipeline.commands != self._commands_before
        self._commands_before = pipeline.commands
        slice_ns = IDLE_SLICE_NS
        if busy:
            share_ns = (began_ns - self._slice_ended_ns) // BUSY_SHARE
            slice_ns = min(max(share_ns, LEAST_SLICE_NS), MOST_SLICE_NS)
        until_ns = began_ns + slice_ns
        while not writing.step() and clock.monotonic_ns() < until_ns:
            pass
        self._slice_ended_ns = clock.monotonic_ns()
        self._log_progress(writing)
        return BUSY_SHARE * slice_ns / 1e9 if busy else 0.0

    def _encode_slowly(self, writing: Writing) -> float:
        """A key or a few, with the pause of rdb-key-save-delay after each."""
        before = writing.keys_written
        writing.step(1)
        return (writing.keys_written - before) * self.context.config.rdb_key_save_delay / 1e6

    def _log_progress(self, writing: Writing) -> None:
        percent, now_ms = int(writing.percent), self.context.keyspace.now_ms
        if percent >= writing.logged_percent + LOG_PERCENT and now_ms >= writing.logged_ms + LOG_PAUSE_MS:
            writing.logged_percent, writing.logged_ms = percent, now_ms
            self.context.log.notice("writing a file", file=writing.path, percent=percent)

    def _take_next(self) -> None:
        self._timer = None
        while self.wanted and self.writing is None and not self._preparing:
            kind = self.wanted.pop(0)
            if kind == BASE:
                self._preparing = 1
                self._prepare()
                continue
            try:
                self._begin(kind)
            except CommandError:
                continue  # the log has said it

    def _finish(self, writing: Writing) -> None:
        """The file is complete and has its name."""
        journal = writing.base_of
        if journal is not None:
            if writing.change is None:  # nobody else works meanwhile
                writing.change_base(False)
            self._end_change(writing)
            self._rewritten = (journal, self.log_bytes)
        else:
            self.changes_saved = writing.changes
        self.writing = None
        self._note_success(writing)

    def _end_change(self, writing: Writing) -> None:
        """Let the journal go on, and the group know what the base is by now: also if not all came about. ``DiskError``."""
        try:
            writing.end_change()
        finally:
            self._tell_group(writing)

    def _tell_group(self, writing: Writing) -> None:
        change = writing.change
        if self.group is not None and change is not None and change.reached is not change.before:
            self.group.base_changed(writing.index, writing.term)

    def _note_success(self, writing: Writing) -> None:
        history = self._history(writing)
        now_ms = self.context.clock.wall_ms()
        history.last_ok = True
        history.failures = 0
        history.last_time_s = now_ms // 1000
        if writing.beside:
            history.last_duration_s = (now_ms - writing.began_ms) // 1000
        history.aside_bytes = writing.aside_bytes
        self._rest_until_s = 0
        self._refuse_or_allow_writes()
        self.context.log.notice(
            "file written", file=writing.path, keys=writing.keys_written, ms=now_ms - writing.began_ms
        )

    def _history(self, writing: Writing) -> History:
        return self.snapshots if writing.base_of is None else self.compactions

    def _fail(self, writing: Writing, error: Exception) -> None:
        self.writing = None
        if writing.beside:  # SAVE has its error to show
            self._note_failure(self._history(writing))
        self.context.log.warning("writing a file failed", file=writing.path, reason=str(error))
        writing.abandon()

    def _note_failure(self, history: History) -> None:
        history.last_ok = False
        history.failures += 1
        if history is self.compactions and history.failures >= FAILURES_BEFORE_REST:
            minutes = min(1 << (history.failures - FAILURES_BEFORE_REST), MOST_REST_MINUTES)
            self._rest_until_s = history.last_try_s + 60 * minutes
        self._refuse_or_allow_writes()

    def _refuse_or_allow_writes(self, config: Config | None = None) -> None:
        """stop-writes-on-bgsave-error: who relies on save points is told that they do not work."""
        config = self.context.config
        pipeline = self.context.pipeline
        if config.stop_writes_on_bgsave_error and config.save and not self.snapshots.last_ok:
            pipeline.gates |= SNAPSHOT_FAILED
        else:
            pipeline.gates &= ~SNAPSHOT_FAILED

    # At once

    def save_now(self) -> None:
        """SAVE: everything at once, while others wait. ``CommandError``: it failed.

        What is being written is completed before.
        """
        self.complete()
        try:
            self._begin(SNAPSHOT, beside=False)
            writing = self.writing
            assert writing is not None
            self._run(writing)
        finally:
            if self.wanted and self._timer is None:
                self._next_at(0, self._take_next)

    def _run(self, writing: Writing) -> None:
        try:
            writing.run()
            self._finish(writing)
        except (DiskError, RdbError) as error:
            self._fail(writing, error)
            raise CommandError(b"ERR " + str(error).encode()) from error

    def complete(self) -> None:
        """Complete what is being written, at once; what goes wrong with it stands in the log."""
        writing = self.writing
        if writing is None:
            return
        with contextlib.suppress(CommandError):
            self._run(writing)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.wanted:
            self._next_at(0, self._take_next)

    def first_base(
        self, directory: str, filename: str, before: Manifest | None = None, aux: Sequence[tuple[bytes, bytes]] = ()
    ) -> Manifest:
        """A log begins where there are keys already: write them as its base, before anything is promised. ``before``: the log
        that ends here, ``aux``: fields for the head."""
        base = (before or Manifest()).next_base(filename)
        path = posixpath.join(directory, base.name)
        writing = Writing(
            self.context, self.disk, path, self._temporary(path), is_base=True, beside=False, more_aux=aux
        )
        try:
            writing.run()
        except BaseException:
            writing.abandon()
            raise
        return (before or Manifest()).with_base(base, sys.maxsize)

    def save_at_the_end(self, always: bool, never: bool) -> None:
        """The server is about to end: write a snapshot if that is asked for, or if there are save points; but never of half the
        data, while they are being read. A log that was switched on gets its base: else there would be nothing on disk.

        :raises CommandError: that cannot be written, or the log cannot: what it still keeps in memory would be lost.
        """
        if self.context.loading:
            return
        journal = self._journal()
        if journal is not None and not journal.retry():
            self.context.log.warning("the append-only file cannot be written", reason=str(journal.failed))
            raise CommandError(errors.SHUTDOWN_FAILED)
        self._name_the_log()
        if never or not (always or self.context.config.save):
            return
        self.close()
        self.save_now()

    def _name_the_log(self) -> None:
        journal = self._journal()
        if journal is None or journal.named:
            return
        self.complete()
        self.abandon()  # what has only been asked for
        if not journal.named:
            self._begin(BASE, beside=False)
            assert self.writing is not None
            self._run(self.writing)

    def everything_flushed(self) -> None:
        """FLUSHALL: a snapshot of what was there is not wanted any more, and with save points the file is to be empty, too."""
        if self.saving:
            self.abandon()
        if self.context.config.save:
            with contextlib.suppress(CommandError):  # the log has said it
                self.save_now()
        if self.wanted and self._timer is None:
            self._next_at(0, self._take_next)

    def abandon(self) -> None:
        """Give up what is being written; what waits goes on waiting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._preparing = 0
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.abandon()
            self._tell_group(writing)
            self._given_up = writing
            self.context.log.notice("writing a file was given up", file=writing.path)

    def close(self) -> None:
        """Give up what is being written, and what waits."""
        self.wanted.clear()
        self.abandon()
        if self._given_up is not None:
            self._given_up.file.join()

    # By itself

    def tick(self) -> None:
        """The save points, and the growth of the log."""
        if self.writing is not None or self._preparing or self.context.loading:
            return
        if self.wanted:
            if self._timer is None:
                self._next_at(0, self._take_next)  # something else was given up, and nobody has looked since
            return
        now_s = self.context.clock.wall_ms() // 1000
        history = self.snapshots
        rested = self.rested(history)
        for point in self.context.config.save:
            if rested and self.changes >= point.changes and now_s - history.last_time_s > point.seconds:
                self.context.log.notice("a save point is reached", changes=point.changes, seconds=point.seconds)
                self._try(SNAPSHOT)
                return
        if self._has_grown() and self.rested(self.compactions):
            self._try(BASE)

    def rested(self, history: History) -> bool:
        """Whether another try is due: the last one went well, or was long enough ago."""
        now_s = self.context.clock.wall_ms() // 1000
        if history is self.compactions and now_s < self._rest_until_s:
            return False
        return history.last_ok or now_s - history.last_try_s > WAIT_AFTER_FAILURE_S

    def _has_grown(self) -> bool:
        config = self.context.config
        size = self.log_bytes
        if not config.auto_aof_rewrite_percentage or size <= config.auto_aof_rewrite_min_size:
            return False
        return size * 100 // max(self.rewritten_bytes, 1) - 100 >= config.auto_aof_rewrite_percentage

    def _try(self, kind: str) -> None:
        try:
            self.want(kind)
        except CommandError:
            return  # the log has said it


def _is_alive(process: int) -> bool:
    """Whether another process of this number runs; one that had ours is gone."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
