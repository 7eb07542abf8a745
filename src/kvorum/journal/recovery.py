"""What a start finds on disk, read back: the manifest's base, then its increments, in steps.

``Recovery`` reads; it executes nothing itself: the commands of the log go to ``apply``, which is the server's command table.
While it works nothing expires (``EXPIRY_IGNORE``): who wrote the log has decided what had expired.

The end of the last increment may be torn: ``cut`` removes it, and the log says how many bytes went. So may be that of an
earlier one, if no file behind it has an entry, or says that more entries were safe on disk: a rotation creates the next file
before anything is in it. Any other damage raises ``RecoveryError`` with file, offset and remedy, before a single byte on
disk is changed. A suffix of plain commands, which redis-server leaves when it has run in this directory, is executed, and
``adopted`` says that a new base is wanted.

In a Raft group only what is committed may be executed (``apply_to``); what stands behind it is read and checked, and
``offsets`` says where.

What was read may never have been fsynced, if the process before this one was killed: ``cut`` makes it safe, before anybody
reads it or anything is written behind it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from kvorum.errors import CommandError
from kvorum.journal.bodies import SESSIONS_FIELD, MalformedBodyError, body_lines
from kvorum.journal.disk import Disk, DiskError, FileView
from kvorum.journal.entries import COMMANDS, DAMAGED, END, EntryReader
from kvorum.journal.manifest import UNNAMED_FILE, FileKind, Manifest, ManifestError, ManifestFile, read_manifest
from kvorum.journal.offsets import MARK_BYTES, EntryOffsets
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.records import Damage, DamageKind
from kvorum.keyspace.table import EXPIRY_IGNORE, Keyspace

STEP_BYTES = 1 << 20
LEADING_BYTES = 100  # more than the line that an increment begins with
RDB_MAGIC = b"REDIS"
RDB_SUFFIX = ".rdb"
_NUMBER = re.compile(rb"[0-9]{1,18}")
# ``apply`` gets a database (-1: the one that is selected) and commands in RESP; what it raises ends the recovery.
Apply = Callable[[int, bytes], object]
ALL = -1  # entries may be executed
# Gets index, term and the annotation lines of an entry, before its commands are executed.
OnLines = Callable[[int, int, list[bytes]], object]


class RecoveryError(Exception):
    """The data on disk cannot be used as it is; the text names file, offset and remedy."""


@dataclass(slots=True)
class Torn:
    """The torn end of an increment: what ``Recovery.cut`` removes."""

    path: str
    size: int
    bytes_after: int


@dataclass(frozen=True, slots=True)
class Resume:
    """The last increment, whole and kvorum's own: a journal may go on appending to it after ``cut``. Which database the
    file is in then counts as unknown: the next entry needs a SELECT. Everything up to ``size`` is safe."""

    increment: ManifestFile
    path: str
    size: int
    index: int
    term: int


class Recovery:
    """Reads a log. Call ``step`` until ``finished``, then ``cut``; ``close`` in any case.

    ``load_truncated``: whether a torn end may be cut off (``aof-load-truncated``); else it is refused like other damage.
    ``apply_to``: the last entry to execute, in a group; commands without annotation are then damage. Negative: all.
    ``stop_after``: the last entry to read, for who reads a log to whose end somebody writes; what is torn or wrong behind
    it is not looked at. ``on_lines`` gets the annotation lines of the entries that are executed, and those
    that the base has in its field for exactly-once sessions.

    To be read: ``manifest`` (None: there is no log), ``index``, ``term`` and ``time_ms`` of the last entry, ``applied``,
    the last one that was executed or is in the base, ``offsets`` of all; ``base_index``, ``base_term``, ``members`` (opaque)
    and ``offset``, as the head of the base has them; ``bytes_read`` of ``bytes_total``, ``torn``, ``adopted``,
    ``keys_loaded`` from the base, ``resume`` (None: a new increment is needed).
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        filename: str,
        keyspace: Keyspace,
        apply: Apply,
        load_truncated: bool = True,
        apply_to: int = ALL,
        stop_after: int = ALL,
        on_lines: OnLines | None = None,
    ) -> None:
        self.disk = disk
        self.directory = directory
        self.keyspace = keyspace
        self.load_truncated = load_truncated
        self.index = 0
        self.term = 1
        self.time_ms = 0
        self.applied = 0
        self.base_index = 0
        self.base_term = 0
        self.members = b""
        self.offset = 0
        self.offsets = EntryOffsets()
        self.bytes_total = 0
        self.torn: Torn | None = None
        self.resume: Resume | None = None
        self.adopted = False
        self.keys_loaded = 0
        self.finished = False
        self._apply = apply
        self._apply_to = apply_to
        self._stop_after = stop_after
        self._on_lines = on_lines
        self._next_mark = 0
        self._last_term = 0
        self._bytes_done = 0
        self._files: list[ManifestFile] = []
        self._cuts: list[Torn] = []
        self._view: FileView | None = None
        self._rdb: FileReader | None = None
        self._entries: EntryReader | None = None
        self.manifest = self._open(filename)

    def _open(self, filename: str) -> Manifest | None:
        try:
            manifest = read_manifest(self.disk, self.directory, filename)
            if manifest is None:
                refuse_lost_manifest(self.disk, self.directory, filename)
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
                self._read_rdb()
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
        if is_rdb(self._files[0], self._view):
            self._rdb = FileReader(self._view.data, self.keyspace, whole=False, skip_expired=False)
        else:
            self._read_from(0)

    def _read_from(self, start: int) -> None:
        """The rest of the file is commands."""
        assert self._view is not None
        self.offsets.begin_file(self._path(self._files[0]), self.index + 1, start)
        self._next_mark = start + MARK_BYTES
        safe = self._view.size if self._files[0].is_whole else 0  # else ``_damaged`` finds out
        self._entries = EntryReader(self._view.data, self._path(self._files[0]), start, self.index, self.term, safe)

    def _read_rdb(self) -> None:
        assert self._rdb is not None
        path = self._path(self._files[0])
        try:
            self._rdb.load_some(STEP_BYTES)
        except RdbError as error:
            # The reader keeps its error. If the error's traceback kept the reader, too, only the cyclic collector could free
            # them, and with them the memory of the file, which is about to be closed.
            self._rdb = None
            raise RecoveryError(f"{path}: {error}; restore the file from a backup") from None
        if not self._rdb.finished:
            return
        self.keys_loaded += self._rdb.keys_loaded
        try:
            self._begin_behind(self._rdb.aux)
        except ValueError as error:
            raise RecoveryError(f"{path}, byte 0: {error}") from error
        end = self._rdb.position
        self._rdb = None
        self._read_from(end)

    def _begin_behind(self, aux: dict[bytes, bytes]) -> None:
        """The log goes on behind the base with this head; ValueError."""
        self.index, self.term = place_of(aux)
        self.applied = self.base_index = self.index
        self.base_term = self._last_term = self.term if self.index else 0
        self.members = aux.get(b"kvorum-members", b"")
        self.offset = _number(aux.get(b"kvorum-offset", b"0"), "offset")
        if SESSIONS_FIELD in aux and self._on_lines is not None:
            self._on_lines(self.index, self.term, aux[SESSIONS_FIELD].split(b"\r\n"))
        self.offsets.reset(self.base_index, self.base_term)

    def _read_entries(self) -> None:
        reader = self._entries
        assert reader is not None
        until = reader.end + STEP_BYTES
        while reader.end < until:
            if 0 <= self._stop_after <= self.index:
                self.close()
                self.finished = True
                return
            kind = reader.next()
            if kind == END:
                self._end_file()
                return
            if kind == DAMAGED:
                assert reader.damage is not None
                self._damaged(reader.damage)
                return
            self._execute(reader, kind)

    def _execute(self, reader: EntryReader, kind: int) -> None:
        """What was read last."""
        try:
            if kind == COMMANDS:
                self._take_over(reader)
                return
            self._note(reader)
            if self._apply_to < 0 or reader.index <= self._apply_to:
                self._execute_entry(reader)
        except (RecoveryError, CommandError, MalformedBodyError) as error:
            what = _reason(error)
            if "; " not in what:
                what += f"; {Damage(reader.file, reader.start, DamageKind.GARBAGE, what, 0).remedy}"
            raise RecoveryError(f"{reader.file}, byte {reader.start}: {what}") from error

    def _take_over(self, reader: EntryReader) -> None:
        """Commands of redis-server."""
        if self._apply_to >= 0:
            what = (
                "commands without annotation, and the log is that of a group, in which all members must have the same"
            )
            raise RecoveryError(f"{what}; {Damage('', 0, DamageKind.UNANNOTATED, what, 0).remedy}")
        self.adopted = True
        self._apply(-1, reader.bytes_of(reader.start, reader.end))

    def _note(self, reader: EntryReader) -> None:
        """An entry is there, whether it is executed or not."""
        self.index, self.term = reader.index, reader.term
        if reader.time_ms:  # the no-op of a term has none
            self.time_ms = reader.time_ms
        if reader.term != self._last_term:
            self._last_term = reader.term
            self.offsets.note_term(reader.index, reader.term)
        if reader.start >= self._next_mark:
            self.offsets.note(reader.index, reader.start)
            self._next_mark = reader.start + MARK_BYTES

    def _execute_entry(self, reader: EntryReader) -> None:
        databases = len(self.keyspace.databases)
        if reader.database >= databases:
            raise RecoveryError(
                f"entry {reader.index} is for database {reader.database}, and there are only {databases}; start with "
                f"--databases {reader.database + 1} or more"
            )
        body = reader.body()
        lines, start = body_lines(body)
        if lines and self._on_lines is not None:
            self._on_lines(reader.index, reader.term, lines)
        if start < len(body):
            self._apply(reader.database, body[start:] if start else body)
        self.applied = reader.index

    def _damaged(self, damage: Damage) -> None:
        if not damage.torn:
            raise RecoveryError(str(damage))
        cuts = [Torn(damage.file, damage.offset, damage.bytes_after)]
        for later in self._files[1:]:
            cuts += self._torn_behind(damage, self._path(later))
        if not self.load_truncated:
            raise RecoveryError(
                f"{damage.file}, byte {damage.offset}: {damage.what} ({damage.bytes_after} bytes from there on), and "
                "aof-load-truncated is no; set it to yes, or run `kvorum check --fix`, which shows what would go"
            )
        self.torn, self._cuts = cuts[0], cuts
        del self._files[1:]
        self._end_file()

    def _torn_behind(self, damage: Damage, path: str) -> list[Torn]:
        """What must go of a file behind one that is torn; raises if it has entries, or knows of some that are gone."""
        with self.disk.view(path) as view:
            self._bytes_done += view.size
            reader = EntryReader(view.data, path)
            kind = reader.next()
            known, after = reader.durable_index, reader.damage
            reader.close()
        if kind == END or (kind == DAMAGED and after is not None and after.torn):
            if known <= self.index:
                return [Torn(path, after.offset, after.bytes_after)] if after is not None else []
            what = f"{path} says that entries up to {known} were safe on disk"
        else:
            what = f"{path} has more entries"
        lost = Damage(damage.file, damage.offset, DamageKind.LOST, f"{damage.what}, and {what}", damage.bytes_after)
        raise RecoveryError(str(lost))

    def _end_file(self) -> None:
        assert self._view is not None
        assert self._entries is not None
        if len(self._files) == 1 and self._files[0].kind is FileKind.INCREMENT and not self._cuts:
            self.resume = self._resumed(self._entries)
        self._entries.close()
        self._entries = None
        self._bytes_done += self._view.size
        self._view.close()
        self._view = None
        del self._files[0]

    def _resumed(self, reader: EntryReader) -> Resume | None:
        """How to go on with the file that was read last; commands of redis-server in it end it."""
        if reader.has_commands:
            return None
        return Resume(self._files[0], reader.file, reader.file_size, self.index, self.term)

    def cut(self) -> None:
        """Remove the torn end, and make safe what was read: nothing may be written or answered before that."""
        if self.manifest is None:
            return
        # From the last file to the first: what a crash leaves in between is torn in the same way.
        for torn in reversed(self._cuts):
            self._make_safe(torn.path, torn.size)
        cut = {torn.path for torn in self._cuts}
        for one in self.manifest.data_files:
            path = self._path(one)
            if path not in cut:
                self._make_safe(path)

    def _make_safe(self, path: str, size: int = -1) -> None:
        file = self.disk.open_append(path)
        try:
            if size >= 0:
                self.disk.truncate(file, size)
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


def is_rdb(file: ManifestFile, view: FileView) -> bool:
    """Whether a file of the manifest is to be read as RDB: a base, by its name or by how it begins."""
    if file.kind is not FileKind.BASE:
        return False
    return file.name.endswith(RDB_SUFFIX) or bytes(view.data[: len(RDB_MAGIC)]) == RDB_MAGIC


def place_of(aux: dict[bytes, bytes]) -> tuple[int, int]:
    """Index and term of the last entry that a base contains; 0 and 1 if it is not kvorum's. ValueError."""
    words = aux.get(b"kvorum-index", b"0"), aux.get(b"kvorum-term", b"1")
    if not all(_NUMBER.fullmatch(word) for word in words):
        raise ValueError(f"{words[0]!r} is no index, or {words[1]!r} no term; restore the file from a backup")
    return int(words[0]), int(words[1])


def _number(word: bytes, what: str) -> int:
    if not _NUMBER.fullmatch(word):
        raise ValueError(f"{word!r} is no {what}; restore the file from a backup")
    return int(word)


def refuse_lost_manifest(disk: Disk, directory: str, filename: str) -> None:
    """Without a manifest a directory holds no log. Raises RecoveryError if its files say that there must have been one: all
    that a start leaves behind that was interrupted is a first base and a first increment without entries."""
    if not disk.exists(directory) or disk.exists(posixpath.join(directory, UNNAMED_FILE)):
        return
    for name in disk.list_directory(directory):
        found = re.fullmatch(re.escape(filename) + r"\.([0-9]+)\.(base|incr)\.(rdb|aof)", name)
        path = posixpath.join(directory, name)
        if found and (int(found[1]) > 1 or (found[2] == "incr" and _has_entries(disk, path))):
            raise RecoveryError(
                f"{posixpath.join(directory, filename)}.manifest: there is no such file, but {name} belongs to a log; put "
                "the manifest back, or move the files of the log away to start without them"
            )


def _has_entries(disk: Disk, path: str) -> bool:
    """Whether there is more in an increment than the line that it begins with."""
    return disk.size(path) > LEADING_BYTES or b"*" in disk.read(path)


def _reason(error: RecoveryError | CommandError | MalformedBodyError) -> str:
    return error.message.decode(errors="backslashreplace") if isinstance(error, CommandError) else str(error)
