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
from kvorum.errors import CommandError, StartupError
from kvorum.journal.directory import DataDirectory, DirectoryError
from kvorum.journal.disk import Disk, DiskError, FileView, RealDisk
from kvorum.journal.journal import ALWAYS, EVERYSEC, Journal
from kvorum.journal.manifest import Manifest
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.recovery import STEP_BYTES, Recovery, RecoveryError
from kvorum.keyspace.table import EXPIRY_DELETE, EXPIRY_IGNORE
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
        self.loaded_keys = 0
        self.expired_keys = 0
        self.loading_started_ms = 0
        self.loading_total_bytes = 0
        self.loading_done_bytes = 0
        self._reactor = reactor
        self._replayer = Session(0, context, None, Parser(Scratch()), Writer(2))
        self._next_fsync_ns = 0
        context.make_safe = self.make_safe
        self.saving = context.saving = Saving(context, self.disk, lambda: self.journal)
        self.saving.reloading = Reloading(context, self.saving, lambda: self.journal, self._apply, has_files)

    # The start

    async def load(self) -> None:
        """Read what is on disk, and open the journal.

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
            recovery = Recovery(
                self.disk, directory, config.appendfilename, self.context.keyspace, self._apply,
                load_truncated=config.aof_load_truncated,
            )  # fmt: skip
            try:
                await self._recover(recovery)
            finally:
                recovery.close()
            if recovery.manifest is None:
                await self._load_snapshot(posixpath.join(config.dir, config.dbfilename))
            recovery.cut()
            self.owned.claim()
            self.saving.remove_leftovers(directory)
            self._open_journal(directory, recovery)
        except (RecoveryError, DirectoryError, DiskError) as error:
            raise StartupError(str(error)) from error
        finally:
            if self.journal is None:
                self._release()
            self.context.keyspace.expiry_mode = EXPIRY_DELETE
            pipeline.gates &= ~LOADING

    async def _recover(self, recovery: Recovery) -> None:
        log = self.context.log
        self.loading_total_bytes = recovery.bytes_total
        percent = -1
        while not recovery.finished:
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
            while not reader.finished:
                self.loading_done_bytes = reader.load_some(STEP_BYTES)
                await asyncio.sleep(0)
        except RdbError as error:
            raise StartupError(f"{path}: {error}; restore the file from a backup, or move it away") from error
        finally:
            self.loaded_keys, self.expired_keys = reader.keys_loaded, reader.keys_expired
            del reader
            view.close()
        self.context.log.notice("snapshot loaded", file=path, keys=self.loaded_keys, expired=self.expired_keys)

    def _apply(self, database: int, commands: bytes) -> None:
        """Execute what the log says."""
        session = self._replayer
        if database >= 0:
            session.select(database)
        session.parser.feed(commands)
        try:
            self.context.pipeline.apply(session)
        except CommandError as error:
            raise RecoveryError(f"a command of the log cannot be executed: {error.message.decode()}") from error
        if session.parser.buffered():
            raise RecoveryError("an entry of the log ends in the middle of a command")
        session.parser.settle()

    # The journal

    def _open_journal(self, directory: str, recovery: Recovery) -> None:
        config = self.context.config
        if recovery.manifest is None and not self.disk.exists(directory):
            self.disk.make_directory(directory)
            self.disk.sync_directory(config.dir)
        manifest = recovery.manifest or Manifest()
        if recovery.manifest is None and any(map(len, self.context.keyspace.databases)):
            manifest = self.saving.first_base(directory, config.appendfilename)
        self.journal = Journal(
            self.disk, directory, config.appendfilename, manifest,
            clock=self.context.clock.wall_ms, index=recovery.index, term=recovery.term, on_safe=self._log_is_safe,
        )  # fmt: skip
        self.saving.log_begins()
        self.apply_policy(config)
        self.context.effects.sinks.append(self._append)
        if recovery.adopted:  # redis-server has written here: from now on everything is ours
            self.saving.want(BASE)

    def refuse_switch(self, config: Config) -> None:
        """CONFIG SET appendonly: what is not logged yet would have to be written first."""
        if config.appendonly != (self.journal is not None):
            raise ValueRefusedError("the append-only file is switched on and off at the start")

    def apply_policy(self, config: Config) -> None:
        """appendfsync may have changed."""
        journal, outbox = self.journal, self.context.outbox
        if journal is None:
            return
        journal.policy = config.appendfsync.value
        outbox.holding = journal.policy == ALWAYS
        if outbox.holding:
            outbox.safe, outbox.required = journal.safe, journal.written
            journal.flush()
        else:
            outbox.safe = outbox.required
            self._reactor.log_is_safe()

    def _append(self, batch: bytes) -> None:
        """The effects of a turn."""
        journal = self.journal
        assert journal is not None
        journal.append(batch)
        if journal.failed is not None:
            self._write_failed()
        if self.context.outbox.holding:
            self.context.outbox.required = journal.written

    def _write_failed(self) -> None:
        journal, pipeline = self.journal, self.context.pipeline
        assert journal is not None
        if not pipeline.gates & DISK_FAILED:
            self.context.log.warning(
                "the append-only file cannot be written: writes are refused", reason=str(journal.failed)
            )
            pipeline.disk_error = journal.failed.reason.encode() if journal.failed is not None else b""
            pipeline.gates |= DISK_FAILED

    def _log_is_safe(self) -> None:
        """Called by the thread that has ended an fsync."""
        journal = self.journal
        if journal is not None and self.context.outbox.holding:
            self.context.outbox.safe = journal.safe
            self._reactor.log_is_safe()

    def make_safe(self) -> bool:
        """WAITAOF: wait for an fsync of everything so far; whether it is safe then."""
        journal = self.journal
        if journal is None:
            return False
        self.context.effects.commit()
        if journal.failed is None:
            journal.flusher.wait(journal.written)
        return journal.failed is None and journal.broken is None

    def tick(self, now_ns: int) -> None:
        """What is due: an fsync each second, another try after a failure, the next increment."""
        self.saving.tick()
        journal = self.journal
        if journal is None:
            return
        if journal.broken is not None:
            self.context.log.warning(
                "the append-only file is not safe on disk: the server ends", reason=str(journal.broken)
            )
            self.context.request_shutdown()
            return
        if journal.failed is not None:
            if not journal.retry():
                return
            self.context.pipeline.gates &= ~DISK_FAILED
            self.context.log.notice("the append-only file can be written again")
        if journal.policy == EVERYSEC and now_ns >= self._next_fsync_ns:
            self._next_fsync_ns = now_ns + NANOSECONDS
            journal.flush()
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
        if self.journal is None:
            return
        try:
            self.journal.close()
        except DiskError as error:
            self.context.log.warning("the append-only file was not closed in order", reason=str(error))
        self.journal = None
        self._release()
