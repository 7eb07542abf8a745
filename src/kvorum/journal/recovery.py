"""What a start finds on disk, read back: the manifest's base, then its increments, in steps.

``Recovery`` reads; it executes nothing itself: the commands of the log go to ``apply``, which is the server's command table.
While it works nothing expires (``EXPIRY_IGNORE``): who wrote the log has decided what had expired.

The end of the last increment may be torn: it is cut off, and the log says how many bytes went. Any other damage raises
``RecoveryError`` with file, offset and remedy, before a single byte on disk is changed. A suffix of plain commands, which
redis-server leaves when it has run in this directory, is executed, and ``adopted`` says that a new base is wanted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from kvorum.journal.disk import Disk, DiskError, FileView
from kvorum.journal.entries import COMMANDS, DAMAGED, END, EntryReader
from kvorum.journal.manifest import FileKind, Manifest, ManifestError, ManifestFile, read_manifest
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.records import Damage
from kvorum.keyspace.table import EXPIRY_IGNORE, Keyspace

STEP_BYTES = 1 << 20
RDB_MAGIC = b"REDIS"
# ``apply`` gets a database (-1: the one that is selected) and commands in RESP; what it raises ends the recovery.
Apply = Callable[[int, bytes], object]


class RecoveryError(Exception):
    """The data on disk cannot be used as it is; the text names file, offset and remedy."""


@dataclass(slots=True)
class Torn:
    """The torn end of an increment: what ``Recovery.cut`` removes."""

    path: str
    size: int
    bytes_after: int


class Recovery:
    """Reads a log. Call ``step`` until ``finished``, then ``cut``; ``close`` in any case.

    To be read: ``manifest`` (None: there is no log), ``index`` and ``term`` of the last entry, ``bytes_read`` of
    ``bytes_total``, ``torn``, ``adopted``, ``keys_loaded`` from the base.
    """

    def __init__(self, disk: Disk, directory: str, filename: str, keyspace: Keyspace, apply: Apply) -> None:
        self.disk = disk
        self.directory = directory
        self.keyspace = keyspace
        self.index = 0
        self.term = 1
        self.bytes_total = 0
        self.torn: Torn | None = None
        self.adopted = False
        self.keys_loaded = 0
        self.finished = False
        self._apply = apply
        self._bytes_done = 0
        self._files: list[ManifestFile] = []
        self._view: FileView | None = None
        self._rdb: FileReader | None = None
        self._entries: EntryReader | None = None
        self.manifest = self._open(filename)

    def _open(self, filename: str) -> Manifest | None:
        try:
            manifest = read_manifest(self.disk, self.directory, filename)
            if manifest is None:
                self.finished = True
                return None
            self._files = list(manifest.data_files)
            for one in self._files:
                path = self._path(one)
                if not self.disk.exists(path):
                    raise RecoveryError(
                        f"{path}: the manifest names this file and it is not there; put it back, or take the directory"
                        " from a backup"
                    )
                self.bytes_total += self.disk.size(path)
        except (ManifestError, DiskError) as error:
            raise RecoveryError(str(error)) from error
        return manifest

    @property
    def bytes_read(self) -> int:
        """How far it is."""
        if self._rdb is not None:
            return self._bytes_done + self._rdb.position
        return self._bytes_done + (self._entries.end if self._entries is not None else 0)

    def step(self) -> None:
        """Read about ``STEP_BYTES`` more."""
        mode = self.keyspace.expiry_mode
        self.keyspace.expiry_mode = EXPIRY_IGNORE
        try:
            if self._view is None:
                self._next_file()
            elif self._rdb is not None:
                self._read_rdb(self._rdb)
            else:
                self._read_entries()
        except DiskError as error:
            raise RecoveryError(str(error)) from error
        finally:
            self.keyspace.expiry_mode = mode

    def _path(self, one: ManifestFile) -> str:
        return posixpath.join(self.directory, one.name)

    def _next_file(self) -> None:
        if not self._files:
            self.finished = True
            return
        path = self._path(self._files[0])
        self._view = self.disk.view(path)
        if self._files[0].kind is FileKind.BASE and bytes(self._view.data[: len(RDB_MAGIC)]) == RDB_MAGIC:
            self._rdb = FileReader(self._view.data, self.keyspace, whole=False, skip_expired=False)
        else:
            self._read_from(0)

    def _read_from(self, start: int) -> None:
        """The rest of the file is commands."""
        assert self._view is not None
        last = len(self._files) == 1
        self._entries = EntryReader(
            self._view.data,
            self._path(self._files[0]),
            start,
            self.index if self.index else -1,
            self.term if self.index else 0,
            0 if last else self._view.size,
        )

    def _read_rdb(self, reader: FileReader) -> None:
        try:
            reader.load_some(STEP_BYTES)
        except RdbError as error:
            raise RecoveryError(f"{self._path(self._files[0])}: {error}; restore the file from a backup") from error
        if reader.finished:
            self.keys_loaded += reader.keys_loaded
            self.index = int(reader.aux.get(b"kvorum-index", b"0"))
            self.term = int(reader.aux.get(b"kvorum-term", b"1"))
            end = reader.position
            self._rdb = None
            self._read_from(end)

    def _read_entries(self) -> None:
        reader = self._entries
        assert reader is not None
        until = reader.end + STEP_BYTES
        while reader.end < until:
            kind = reader.next()
            if kind == END:
                self._end_file()
                return
            if kind == DAMAGED:
                assert reader.damage is not None
                self._damaged(reader.damage)
                return
            if kind == COMMANDS:
                self.adopted = True
                self._apply(-1, reader.bytes_of(reader.start, reader.end))
            else:
                self._apply(reader.database, reader.body())
                self.index, self.term = reader.index, reader.term

    def _damaged(self, damage: Damage) -> None:
        if not damage.torn or len(self._files) > 1:
            raise RecoveryError(str(damage))
        self.torn = Torn(damage.file, damage.offset, damage.bytes_after)
        self._end_file()

    def _end_file(self) -> None:
        assert self._view is not None
        assert self._entries is not None
        self._entries.close()
        self._entries = None
        self._bytes_done += self._view.size
        self._view.close()
        self._view = None
        del self._files[0]

    def cut(self) -> None:
        """Remove the torn end, for good: nothing is written after it before that is safe."""
        if self.torn is None:
            return
        file = self.disk.open_append(self.torn.path)
        try:
            self.disk.truncate(file, self.torn.size)
            self.disk.fsync(file)
        finally:
            self.disk.close(file)

    def close(self) -> None:
        """Let go of the files."""
        if self._entries is not None:
            self._entries.close()
        self._entries = self._rdb = None
        if self._view is not None:
            self._view.close()
            self._view = None
