"""DEBUG RELOAD and DEBUG LOADAOF: the data as they are on disk take the place of those in memory, at once.

Nobody is told of it: no effects, no events. What the files do not hold is gone, also from the log's point of view; if memory
and log may differ afterwards (RELOAD of a file that was not just written), the log gets a new base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kvorum import errors
from kvorum.errors import CommandError
from kvorum.journal.disk import DiskError
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.server.saving import BASE, Saving

if TYPE_CHECKING:
    from kvorum.journal.journal import Journal
    from kvorum.session.context import ServerContext

STEP_BYTES = 1 << 24


class Reloading:
    """Reads a server's files again. ``apply`` executes commands of the log; ``has_files`` False: there are none."""

    def __init__(
        self,
        context: ServerContext,
        saving: Saving,
        journal: Callable[[], Journal | None],
        apply: Callable[[int, bytes], object],
        has_files: bool,
    ) -> None:
        self.has_files = has_files
        self._context = context
        self._saving = saving
        self._journal = journal
        self._apply = apply

    def reload(self, save: bool, flush: bool, merge: bool) -> None:
        """Write a snapshot (``save``), forget everything (``flush``), read the snapshot; ``merge``: keys that are there are
        replaced, else they are an error.

        :raises CommandError: the snapshot cannot be written or read; then only part of it may be there.
        """
        if save:
            self._saving.save_now()
        else:
            self._saving.complete()
        with self._unseen():
            if flush:
                self._forget_everything()
            self._read_snapshot(merge)
        if self._saving.has_journal and not save:
            self._saving.want(BASE, later=True)
        self._context.log.warning("DB reloaded by DEBUG RELOAD")

    def _read_snapshot(self, merge: bool) -> None:
        path = self._saving.snapshot_path()
        try:
            with self._saving.disk.view(path) as view:
                reader = FileReader(view.data, self._context.keyspace, replace=merge)
                try:
                    while not reader.finished:
                        reader.load_some(STEP_BYTES)
                finally:
                    del reader
        except (DiskError, RdbError) as error:
            self._context.log.warning("the snapshot cannot be loaded", file=path, reason=str(error))
            raise CommandError(errors.RELOAD_FAILED) from error

    def load_log(self) -> None:
        """Forget everything and execute the log.

        :raises CommandError: there is none, or it cannot be used.
        """
        journal, context = self._journal(), self._context
        if journal is None or journal.failed is not None:
            raise CommandError(errors.NO_APPEND_ONLY_FILE)
        context.effects.commit()
        self._saving.complete()
        if not journal.named:  # it was just switched on: what is in memory is nowhere else
            raise CommandError(errors.NO_APPEND_ONLY_FILE)
        with self._unseen():
            self._forget_everything()
            try:
                self._execute(journal)
            except (RecoveryError, DiskError) as error:
                context.log.warning("the append-only file cannot be loaded", reason=str(error))
                raise CommandError(b"ERR " + str(error).encode()) from error
        self._saving.changes_saved = context.effects.commands
        context.log.warning("Append Only File loaded by DEBUG LOADAOF")

    def _execute(self, journal: Journal) -> None:
        disk, keyspace = self._saving.disk, self._context.keyspace
        recovery = Recovery(disk, journal.directory, journal.filename, keyspace, self._apply)
        try:
            while not recovery.finished:
                recovery.step()
        finally:
            recovery.close()

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """What is read is no change: nobody hears of events."""
        keyspace = self._context.keyspace
        observed, keyspace.observed = keyspace.observed, 0
        try:
            yield
        finally:
            keyspace.observed = observed

    def _forget_everything(self) -> None:
        context = self._context
        context.contents_change(range(len(context.keyspace.databases)))
        context.tracking.everything_modified()
        context.keyspace.flush_all(False)
