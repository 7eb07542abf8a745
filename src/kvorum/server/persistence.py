"""Data on disk: what a server does with its journal and its snapshots, from the start to the end.

At the start ``load`` reads what is there, in steps, while clients are answered LOADING: the append-only file if
``appendonly`` is on, else the snapshot. With ``appendonly`` on and no log there yet, a snapshot that is there becomes its base.
Then the journal takes the effects of every turn. ``tick`` is called by cron.
"""

from __future__ import annotations

import asyncio
import posixpath
from typing import TYPE_CHECKING

from kvorum.config import ValueRefusedError
from kvorum.errors import OUTCOME_UNKNOWN, CommandError, StartupError
from kvorum.journal.directory import DataDirectory, DirectoryError
from kvorum.journal.disk import Disk, DiskError, FileView, RealDisk
from kvorum.journal.journal import ALWAYS, EVERYSEC, Journal
from kvorum.journal.manifest import Manifest, ManifestError, read_manifest
from kvorum.journal.offsets import EntryOffsets
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.recovery import ALL, STEP_BYTES, Recovery, RecoveryError, Resume
from kvorum.journal.single_file import take_over
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_IGNORE
from kvorum.replication.raft.hard_state import FILE_NAME as VOTES_FILE
from kvorum.replication.raft.hard_state import HardStateError
from kvorum.resp.parser import Parser, Scratch
from kvorum.resp.writer import Writer
from kvorum.server.persistence_fields import persistence_fields
from kvorum.server.reloading import Reloading
from kvorum.server.saving import BASE, Saving
from kvorum.session.pipeline import DISK_FAILED, LOADING
from kvorum.session.session import Session

if TYPE_CHECKING:
    from kvorum.config import Config
    from kvorum.net.reactor import Reactor
    from kvorum.server.group import Group
    from kvorum.session.context import ServerContext

PROGRESS_STEPS = 64  # of the loading are between two looks at other clients' requests
NANOSECONDS = 1_000_000_000


class Persistence:
    """The files of one server."""

    def __init__(self, context: ServerContext, reactor: Reactor, has_files: bool) -> None:
        """``has_files``: whether a snapshot in the directory is this server's."""
        self.context = context
        self.disk: Disk = RealDisk()
        self.has_files = has_files
        self.journal: Journal | None = None
        self.owned: DataDirectory | None = None
        self.group: Group | None = None  # whose log this is
        self.loaded_keys = 0
        self.expired_keys = 0
        self.ending = False  # to be set: whatever is being read need not be read to its end
        self.loading_started_ms = 0
        self.loading_total_bytes = 0
        self.loading_done_bytes = 0
        self._reactor = reactor
        self._replayer = Session(0, context, None, Parser(Scratch()), Writer(2))
        self._next_fsync_ns = 0
        self._last_index = 0  # of the log before, if it was switched off, and its term
        self._last_term = 1
        context.flush_log = self.flush_log
        context.outbox.on_broken = self._log_broken
        self.saving = context.saving = Saving(context, self.disk, lambda: self.journal)
        self.saving.reloading = Reloading(context, self.saving, lambda: self.journal, self.execute, has_files)

    # The start

    async def load(self) -> None:
        """Read what is on disk, and open the journal. If the server is to end meanwhile, it stops in the middle and nothing is
        changed; clients are answered LOADING until the end.

        :raises StartupError: the data cannot be used as they are; nothing was changed.
        """
        config = self.context.config
        directory = posixpath.join(config.dir, config.appenddirname)
        pipeline = self.context.pipeline
        pipeline.gates |= LOADING
        self.context.keyspace.expiry_mode = EXPIRY_IGNORE
        self.loading_started_ms = self.context.clock.wall_ms()
        try:
            if self.has_files:
                self.saving.remove_leftovers(config.dir)
            if not config.appendonly:
                await self._load_snapshot(posixpath.join(config.dir, config.dbfilename))
                return
            self.owned = DataDirectory.open(self.disk, directory, config.node_id)
            self._take_over_single_file(posixpath.join(config.dir, config.appendfilename), directory)
            recovery = Recovery(
                self.disk, directory, config.appendfilename, self.context.keyspace, self.execute,
                load_truncated=config.aof_load_truncated, apply_to=self._apply_to(directory, self.owned.node_id),
                on_lines=self._take_lines,
            )  # fmt: skip
            try:
                await self._recover(recovery)
            finally:
                recovery.close()
            if recovery.manifest is None:
                await self._load_snapshot(posixpath.join(config.dir, config.dbfilename))
            if self.ending:
                return
            recovery.cut()
            self.owned.claim()
            self.saving.remove_leftovers(directory)
            if self.group is not None:
                self.group.recovered(directory, recovery)
            else:
                self._open_journal(directory, recovery)
        except (RecoveryError, DirectoryError, DiskError, HardStateError) as error:
            raise StartupError(str(error)) from error
        finally:
            if self.journal is None and not (self.group is not None and self.group.opened):
                self._release()  # a server that waits for its group keeps the directory
            self.context.keyspace.expiry_mode = EXPIRY_DELETE
            if not self.ending:
                pipeline.gates &= ~LOADING

    def _apply_to(self, directory: str, name: str) -> int:
        """The last entry that may be applied: a member of a group knows how far its log is committed."""
        if self.group is not None:
            return self.group.open(directory, name)
        path = posixpath.join(directory, VOTES_FILE)
        if self.disk.exists(path):
            raise StartupError(
                f"{path}: the directory belongs to a member of a group; start it with --peers, --raft-join or "
                "--raft-bootstrap as before, or remove this file if the node is never to be a member again"
            )
        return ALL

    def _take_over_single_file(self, path: str, directory: str) -> None:
        """What redis-server before version 7 has left becomes the base of the log."""
        if take_over(self.disk, path, directory):
            self.context.log.notice("single append-only file moved into the directory", file=path, directory=directory)
        elif self.disk.exists(path):
            self.context.log.warning(
                "this file is not read: there is a log in the directory", file=path, directory=directory
            )

    async def _recover(self, recovery: Recovery) -> None:
        log = self.context.log
        self.loading_total_bytes = recovery.bytes_total
        percent = -1
        while not (recovery.finished or self.ending):
            recovery.step()
            self.loading_done_bytes = recovery.bytes_read
            now_percent = 100 * recovery.bytes_read // max(recovery.bytes_total, 1)
            if now_percent // 10 > percent // 10:
                percent = now_percent
                log.notice("loading the append-only file", percent=percent)
            await asyncio.sleep(0)
        self.loaded_keys = recovery.keys_loaded
        if recovery.torn is not None:
            log.warning(
                "the append-only file ends in the middle of an entry, which is cut off",
                file=recovery.torn.path, offset=recovery.torn.size, bytes=recovery.torn.bytes_after,
            )  # fmt: skip

    async def _load_snapshot(self, path: str) -> None:
        if not (self.has_files and self.disk.exists(path)):
            return
        view: FileView = self.disk.view(path)
        reader = FileReader(view.data, self.context.keyspace)
        self.loading_total_bytes = view.size
        try:
            while not (reader.finished or self.ending):
                before, self.loading_done_bytes = self.loading_done_bytes, reader.load_some(STEP_BYTES)
                percent = 100 * self.loading_done_bytes // max(view.size, 1)
                if percent // 10 > 100 * before // max(view.size, 1) // 10:
                    self.context.log.notice("loading the snapshot", percent=percent)
                await asyncio.sleep(0)
        except RdbError as error:
            raise StartupError(f"{path}: {error}; restore the file from a backup, or move it away") from error
        finally:
            self.loaded_keys, self.expired_keys = reader.keys_loaded, reader.keys_expired
            del reader
            view.close()
        if self.ending:
            return
        self.context.log.notice("snapshot loaded", file=path, keys=self.loaded_keys, expired=self.expired_keys)

    def _take_lines(self, index: int, term: int, lines: list[bytes]) -> None:
        """Lines of an entry, or of the base, that is read at the start."""
        self.context.once.results.take(lines)
        if self.group is not None:
            self.group.note_lines(index, term, lines)

    def execute(self, database: int, commands: bytes) -> None:
        """Execute what the log says."""
        session = self._replayer
        if database >= 0:
            session.select(database)
        session.parser.feed(commands)
        try:
            self.context.pipeline.apply(session)
        except CommandError as error:
            raise RecoveryError(
                f"a command of the log cannot be executed: {error.message.decode(errors='backslashreplace')}"
            ) from error
        if session.parser.buffered():
            raise RecoveryError("an entry of the log ends in the middle of a command")
        session.parser.settle()

    # The journal

    def _open_journal(self, directory: str, recovery: Recovery) -> None:
        config = self.context.config
        self.make_directory(directory)
        manifest = recovery.manifest or Manifest()
        if recovery.manifest is None and any(map(len, self.context.keyspace.databases)):
            manifest = self.saving.first_base(directory, config.appendfilename)
        self.begin(directory, manifest, index=recovery.index, term=recovery.term, resume=recovery.resume)
        if recovery.adopted:  # redis-server has written here: from now on everything is ours
            self.saving.want(BASE)

    def make_directory(self, directory: str) -> None:
        if not self.disk.exists(directory):
            self.disk.make_directory(directory)
            self.disk.sync_directory(self.context.config.dir)

    def begin(
        self,
        directory: str,
        manifest: Manifest,
        *,
        index: int,
        term: int,
        resume: Resume | None = None,
        named: bool = True,
        offsets: EntryOffsets | None = None,
    ) -> None:
        """Open the journal: from now on it gets the effects."""
        context = self.context
        context.effects.commit()  # what was done before the log began is none of its business
        # In a group that commands were executed at: it is ahead of the own clock where that is behind who led before.
        clock = context.clock.wall_ms if self.group is None else lambda: context.keyspace.now_ms
        journal = self.journal = Journal(
            self.disk, directory, context.config.appendfilename, manifest, clock=clock, index=index,
            term=term, position=context.effects.position, named=named, resume=resume, offsets=offsets,
            on_safe=self._reactor.log_is_safe, wake_fd=self._reactor.wake_fd,
        )  # fmt: skip
        journal.on_failure = self.write_failed
        journal.prompt = False  # the reactor asks, for all that it has executed until nothing is ready
        context.outbox.flusher = journal.flusher
        context.outbox.named = named
        context.effects.journal = journal.write
        self.apply_policy(context.config)

    def switch(self, config: Config) -> None:
        """CONFIG SET appendonly. What is there becomes the base of a new log; until it is written, the directory says what
        it said before."""
        if config.appendonly == (self.journal is not None):
            return
        if self.group is not None:
            raise ValueRefusedError("a member of a group keeps its log on disk")
        if not config.appendonly:
            self.context.effects.commit()
            self._end()
            return
        directory = posixpath.join(config.dir, config.appenddirname)
        try:
            self.make_directory(directory)
            self.owned = DataDirectory.open(self.disk, directory, config.node_id)
            self.owned.claim()
            manifest = read_manifest(self.disk, directory, config.appendfilename) or Manifest()
            self.begin(directory, manifest, index=self._last_index, term=self._last_term, named=False)
        except (DiskError, ManifestError, DirectoryError) as error:
            self._release()
            self.context.log.warning("the append-only file cannot be switched on", reason=str(error))
            raise ValueRefusedError("Unable to turn on AOF. Check server logs.") from error
        self.saving.want(BASE)

    def _end(self) -> None:
        """Close the journal: everything is safe then, if that can be."""
        journal, self.journal = self.journal, None
        if journal is None:
            return
        context = self.context
        context.effects.journal = None
        if self.saving.compacting:
            self.saving.close()
        try:
            journal.close()
        except DiskError as error:
            context.log.warning("the append-only file was not closed in order", reason=str(error))
        if journal.failed is not None:
            context.log.warning("the last writes are not in the append-only file", reason=str(journal.failed))
        self._last_index, self._last_term = journal.index, journal.term
        self._release()
        context.outbox.flusher = None
        context.pipeline.gates &= ~DISK_FAILED
        self.hold_replies()

    def apply_policy(self, config: Config) -> None:
        """Options of the journal may have changed."""
        journal = self.journal
        if journal is None:
            return
        journal.policy = config.appendfsync.value
        journal.segment_bytes = config.aof_segment_size
        journal.timestamps = config.aof_timestamp_enabled
        self.hold_replies()

    @property
    def decides(self) -> bool:
        """Whether the disk of this node alone says what is safe."""
        return self.group is None or self.group.sole

    def hold_replies(self) -> None:
        """Whether replies wait for the log, by the policy in force."""
        journal, outbox = self.journal, self.context.outbox
        if not self.decides:
            return
        wanted = journal is not None and journal.policy == ALWAYS and not journal.paused
        if wanted and not outbox.holding:
            outbox.start_holding()
            self.flush_log()
        elif not wanted and outbox.holding:
            outbox.stop_holding()
        self._reactor.log_is_safe()

    def write_failed(self) -> None:
        """The journal could not write the effects of this turn; it keeps them."""
        journal, pipeline, outbox = self.journal, self.context.pipeline, self.context.outbox
        assert journal is not None
        assert journal.failed is not None
        if outbox.holding and self.decides:
            outbox.fail(OUTCOME_UNKNOWN + str(journal.failed).encode())
            self._reactor.log_is_safe()  # it may be cron that writes: the reactor is to look
        if not pipeline.gates & DISK_FAILED:
            self.context.log.warning(
                "the append-only file cannot be written: writes are refused", reason=str(journal.failed)
            )
            pipeline.disk_error = journal.failed.reason.encode()
            pipeline.gates |= DISK_FAILED

    def _log_broken(self) -> None:
        """An fsync has failed: nobody knows what is on disk. Whose replies wait is told so, then the server ends."""
        journal, context = self.journal, self.context
        if journal is None or journal.broken is None:
            return
        reason = str(journal.broken)
        context.log.warning("the append-only file is not safe on disk: the server ends", reason=reason)
        if context.outbox.holding:
            context.outbox.fail(OUTCOME_UNKNOWN + reason.encode())
        context.pipeline.disk_error = reason.encode()
        context.pipeline.gates |= DISK_FAILED
        context.request_shutdown(status=1)

    def flush_log(self) -> None:
        """Ask for an fsync of everything so far."""
        self.context.effects.commit()
        if self.journal is not None:
            self.journal.flush()

    def tick(self, now_ns: int) -> None:
        """What is due: an fsync each second, another try after a failure, the next increment."""
        self.saving.tick()
        journal, config = self.journal, self.context.config
        if journal is None:
            return
        if journal.broken is not None:
            if self.context.outbox.on_broken is not None:
                self.context.outbox.on_broken = None
                self._log_broken()
            return
        if journal.failed is not None:
            if not journal.retry():
                self.write_failed()  # who has read meanwhile what is kept is told, too: no reply waits for space
                return
            journal.flush()  # who wanted that while nothing could be written was not heard
            self.context.pipeline.gates &= ~DISK_FAILED
            self.context.log.notice("the append-only file can be written again")
        if journal.paused != (config.no_appendfsync_on_rewrite and self.saving.writing is not None):
            journal.paused = not journal.paused
            self.hold_replies()
        if journal.policy == EVERYSEC and now_ns >= self._next_fsync_ns and not journal.paused:
            self._next_fsync_ns = now_ns + NANOSECONDS
            journal.flush()
        journal.note_idle()
        if journal.named and not self.context.outbox.named:
            self.context.outbox.named = True
            self._reactor.log_is_safe()
        if not journal.named and self.saving.writing is None and self.saving.rested(self.saving.compactions):
            self.saving.want(BASE)  # the log that was switched on still has none
        try:
            journal.rotate_if_big()
        except DiskError as error:
            self.context.log.warning("no new increment: the old one goes on", reason=str(error))

    def fields(self) -> dict[str, object]:
        """What INFO persistence shows of this, by Redis' names."""
        return persistence_fields(self)

    def _release(self) -> None:
        """Let another process have the directory."""
        if self.owned is not None:
            self.owned.close()
            self.owned = None

    def close(self) -> None:
        """Make everything safe."""
        self.saving.close()
        journal = self.journal
        self._end()
        self._release()
        if journal is not None and journal.failed is not None:
            self.context.request_shutdown(status=1)  # forced to end: what could not be written is lost
