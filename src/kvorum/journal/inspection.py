"""What is in the files of a log, and whether all of it is whole: what ``kvorum check`` and ``kvorum restore`` know.

``inspect_log`` goes through manifest, base and increments as a start does, with the same reader of entries, but executes
nothing and keeps nothing: each file is mapped, a base passes through a keyspace that is emptied after every step, and
of entries only counts remain. So the memory that it needs does not grow with the files.

Nothing is ever changed here. What a start would cut off as torn is a problem too, but one that says so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kvorum.journal.bodies import MEMBERS_LINE
from kvorum.journal.crc32c import crc32c
from kvorum.journal.directory import DirectoryError, read_node
from kvorum.journal.disk import Disk, DiskError, FileView
from kvorum.journal.entries import COMMANDS, DAMAGED, END, EntryReader
from kvorum.journal.manifest import FileKind, Manifest, ManifestError, ManifestFile, manifest_path, read_manifest
from kvorum.journal.rdb import RdbError
from kvorum.journal.rdb.file_reader import FileReader
from kvorum.journal.records import Damage, DamageKind
from kvorum.journal.recovery import RDB_MAGIC, STEP_BYTES, RecoveryError, is_rdb, place_of, refuse_lost_manifest
from kvorum.keyspace.table import Keyspace

# Of what a base may contain; a server has as many as its option says.
DATABASES = 16384
# Why a command cannot stand in a log, or nothing: its name as it stands there, and how many words it has.
Verify = Callable[[bytes, int], str]
# Is told of every record that was read: what was read (ENTRY or COMMANDS), by whom.
Listener = Callable[[int, EntryReader], object]
FROM_BACKUP = "restore the file from a backup or another node"
BASE_REMEDY = FROM_BACKUP + "; nothing can be cut off here"
_ANNOTATION = re.compile(
    rb"(#kvorum 1 ([0-9]{1,18}) [0-9]{1,18} [0-9]{1,18} [0-9]{1,18} ([0-9]{1,18})) ([0-9a-f]{8})\r\n"
)
_OFFSET = re.compile(r"byte (\d+)")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong. ``offset``: from there on, negative if the file as a whole; ``torn``: a start cuts it off by itself."""

    file: str
    offset: int
    what: str
    remedy: str
    bytes_after: int = 0
    torn: bool = False

    def __str__(self) -> str:
        place = f", byte {self.offset}" if self.offset >= 0 else ""
        rest = f" ({self.bytes_after} bytes from there on)" if self.bytes_after else ""
        return f"{self.file}{place}: {self.what}{rest}; {self.remedy}"


@dataclass(slots=True)
class FileReport:
    """One file. Indexes, terms and times (Unix ms) are -1 where there is none; ``keys`` and ``entries_in`` are by database;
    ``names`` counts commands by their names in upper case. ``terms`` are how many the entries have, ``no_ops`` the
    entries without a body that terms begin with, ``members_entries`` those that change a group. ``plain_start`` and
    ``plain_commands`` are what stands there without annotation."""

    path: str
    kind: str
    size: int = 0
    is_rdb: bool = False
    rdb_version: int = 0
    has_checksum: bool = False
    keys: dict[int, int] = field(default_factory=dict)
    expires: int = 0
    aux: dict[bytes, bytes] = field(default_factory=dict)
    entries: int = 0
    first_index: int = -1
    last_index: int = -1
    first_term: int = -1
    last_term: int = -1
    first_time_ms: int = -1
    last_time_ms: int = -1
    entries_in: dict[int, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    terms: int = 0
    no_ops: int = 0
    members_entries: int = 0
    durable_index: int = -1
    durable_offset: int = 0
    plain_start: int = -1
    plain_commands: int = 0
    problem: Problem | None = None

    @property
    def name(self) -> str:
        """Without its directory."""
        return posixpath.basename(self.path)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is lost with this file: no entry, no command, no word of entries that were safe."""
        return self.entries == 0 and self.plain_commands == 0 and self.durable_index <= 0


@dataclass(slots=True)
class LogReport:
    """A whole log. ``problem`` is that of no single file."""

    directory: str
    filename: str
    node_id: str = ""
    manifest: Manifest | None = None
    files: list[FileReport] = field(default_factory=list)
    problem: Problem | None = None
    node_problem: Problem | None = None

    @property
    def problems(self) -> list[Problem]:
        """All, in the order of the files."""
        found = [self.problem, self.node_problem, *(one.problem for one in self.files)]
        return [one for one in found if one is not None]

    @property
    def base(self) -> FileReport | None:
        """The file with which the log begins."""
        return self.files[0] if self.files and self.files[0].kind == FileKind.BASE.name.lower() else None


def inspect_log(
    disk: Disk, directory: str, filename: str, verify: Verify | None = None, listener: Listener | None = None
) -> LogReport:
    """Everything that the manifest of a directory names; what is wrong is in the report."""
    report = LogReport(directory, filename)
    try:
        report.node_id = read_node(disk, directory)
    except (DirectoryError, DiskError) as error:
        file, offset, what, remedy = _apart(str(error), posixpath.join(directory, "kvorum-node"))
        report.node_problem = Problem(file, offset, what, remedy)
    path = manifest_path(directory, filename)
    try:
        report.manifest = read_manifest(disk, directory, filename)
        if report.manifest is None:
            refuse_lost_manifest(disk, directory, filename)
    except ManifestError as error:
        line = f"line {error.line}: " if error.line else ""
        report.problem = Problem(path, 0, f"{line}{error.what}", error.remedy)
    except (RecoveryError, DiskError) as error:
        report.problem = Problem(*_apart(str(error), path))
    if report.manifest is not None:
        _inspect_files(disk, report, report.manifest, verify, listener)
    return report


def _inspect_files(
    disk: Disk, report: LogReport, manifest: Manifest, verify: Verify | None, listener: Listener | None
) -> None:
    index, term = 0, 0
    for one in manifest.data_files:
        path = posixpath.join(report.directory, one.name)
        found = inspect_file(disk, path, one, verify, listener, index, term)
        report.files.append(found)
        if found.problem is not None:
            index, term = -1, 0  # what follows is looked at for itself
        elif found.last_index >= 0:
            index, term = found.last_index, found.last_term
    for at, torn in enumerate(report.files):
        if torn.problem is not None and torn.problem.torn:
            _look_behind(torn, report.files[at + 1 :], torn.last_index)


def _look_behind(torn: FileReport, later: list[FileReport], last_index: int) -> None:
    """A torn end before files that have entries, or know of entries that are gone, is not torn."""
    for one in later:
        if one.entries or one.plain_commands or one.durable_index > max(last_index, 0):
            assert torn.problem is not None
            what = f"{torn.problem.what}, and {one.name} goes on behind it"
            torn.problem = replace(torn.problem, what=what, torn=False, remedy=_remedy(DamageKind.LOST))
            return


def inspect_file(
    disk: Disk,
    path: str,
    file: ManifestFile | None = None,
    verify: Verify | None = None,
    listener: Listener | None = None,
    index: int = -1,
    term: int = 0,
) -> FileReport:
    """One file, which follows the entry ``index`` (negative: unknown) of ``term``. Without ``file``: one that stands for
    itself, a snapshot or an increment, which its beginning tells."""
    report = FileReport(path, file.kind.name.lower() if file is not None else "file")
    try:
        with disk.view(path) as view:
            report.size = view.size
            report.is_rdb = is_rdb(file, view) if file is not None else _begins_as_rdb(path, view)
            start = _inspect_rdb(report, view) if report.is_rdb else 0
            if report.problem is None and file is None and report.is_rdb and not path.endswith(".aof"):
                _need_end(report, start)
            elif report.problem is None:
                index, term = (report.last_index, report.last_term) if report.is_rdb else (index, term)
                safe = view.size if file is not None and file.is_whole else 0
                _Increment(report, verify, listener).read(EntryReader(view.data, path, start, index, term, safe))
    except DiskError as error:
        what = f"{error.reason}, and the manifest names this file" if file is not None else error.reason
        report.problem = Problem(path, -1, what, FROM_BACKUP)
    return report


def _begins_as_rdb(path: str, view: FileView) -> bool:
    return path.endswith(".rdb") or bytes(view.data[: len(RDB_MAGIC)]) == RDB_MAGIC


def _need_end(report: FileReport, end: int) -> None:
    """A snapshot has nothing behind its checksum."""
    if end < report.size:
        report.problem = Problem(
            report.path, end, "the snapshot ends here, and something follows", FROM_BACKUP, report.size - end
        )


def _inspect_rdb(report: FileReport, view: FileView) -> int:
    """Where the RDB part ends."""
    keyspace = Keyspace(DATABASES)
    reader = FileReader(view.data, keyspace, whole=False, skip_expired=False, strict=True)
    try:
        while not reader.finished:
            reader.load_some(STEP_BYTES)
            for database in keyspace.databases:
                if len(database):
                    report.keys[database.index] = report.keys.get(database.index, 0) + len(database)
                    report.expires += database.volatile_count
                    database.flush()
        report.aux, report.rdb_version = dict(reader.aux), reader.version
        end: int = reader.position
        report.has_checksum = reader.version >= 5 and any(view.data[end - 8 : end])
        report.last_index, report.last_term = place_of(report.aux)
        report.last_time_ms = _time_of(report.aux)
        return end
    except (RdbError, ValueError) as error:
        place = _OFFSET.search(str(error))
        offset = int(place[1]) if place else reader.position
        report.problem = Problem(report.path, offset, str(error), BASE_REMEDY, report.size - offset)
    finally:
        keyspace.flush_all()
        del reader  # which the error's traceback would keep, and the reader the error
    return 0


def _time_of(aux: dict[bytes, bytes]) -> int:
    """Unix ms at which an RDB file began, at the latest; -1 if it does not say. Redis' own field has seconds."""
    exact = aux.get(b"kvorum-time", b"")
    if exact.isdigit() and len(exact) < 19:
        return int(exact)
    seconds = aux.get(b"ctime", b"")
    return int(seconds) * 1000 + 999 if seconds.isdigit() and len(seconds) < 16 else -1


class _Increment:
    """Goes through the entries and commands of one file."""

    def __init__(self, report: FileReport, verify: Verify | None, listener: Listener | None) -> None:
        self.report = report
        self.counts: dict[tuple[bytes, int], int] = {}
        self._verify = verify
        self._listener = listener
        self._known = 0

    def read(self, reader: EntryReader) -> None:
        """Up to the end, or to what is wrong."""
        report = self.report
        try:
            while report.problem is None:
                kind = reader.next()
                if kind == END:
                    break
                if kind == DAMAGED:
                    assert reader.damage is not None
                    report.problem = _problem(reader.damage)
                    break
                self._note_plain(reader) if kind == COMMANDS else self._note_entry(reader)
                if self._listener is not None and report.problem is None:
                    self._listener(kind, reader)
        finally:
            report.durable_index, report.durable_offset = reader.durable_index, max(reader.durable_offset, 0)
            for (name, _), count in self.counts.items():
                shown = name.decode(errors="backslashreplace").upper()
                report.names[shown] = report.names.get(shown, 0) + count
            reader.close()

    def _note_entry(self, reader: EntryReader) -> None:
        report = self.report
        self._tally(reader, reader.body_start)
        if report.problem is not None:
            return
        if report.entries == 0:
            report.first_index, report.first_term = reader.index, reader.term
        if report.entries == 0 or reader.term != report.last_term:
            report.terms += 1
        report.entries += 1
        report.last_index, report.last_term = reader.index, reader.term
        if is_no_op(reader):
            report.no_ops += 1
            return
        if changes_members(reader):
            report.members_entries += 1
            return
        if report.first_time_ms < 0:
            report.first_time_ms = reader.time_ms
        report.last_time_ms = reader.time_ms
        report.entries_in[reader.database] = report.entries_in.get(reader.database, 0) + 1

    def _note_plain(self, reader: EntryReader) -> None:
        report = self.report
        if report.plain_start < 0:
            report.plain_start = reader.start
        before = sum(self.counts.values())
        self._tally(reader, reader.start)
        report.plain_commands += sum(self.counts.values()) - before
        if reader.timestamp_s:
            report.last_time_ms = max(report.last_time_ms, reader.timestamp_s * 1000)

    def _tally(self, reader: EntryReader, start: int) -> None:
        """Count the commands; a run of redis-server's has lines between them."""
        trouble = ""
        if reader.tally(start, reader.end, self.counts, start == reader.start) < 0:
            trouble = "these are not whole commands"
        elif len(self.counts) > self._known:
            for name, words in list(self.counts)[self._known :]:
                trouble = trouble or (self._verify(name, words) if self._verify is not None else "")
            self._known = len(self.counts)
        if not trouble and self._count(b"multi") != self._count(b"exec"):
            trouble = "a transaction is not whole"
        if trouble:
            after = self.report.size - reader.start
            self.report.problem = Problem(self.report.path, reader.start, trouble, _remedy(DamageKind.GARBAGE), after)

    def _count(self, word: bytes) -> int:
        return self.counts.get((word, 1), 0) + self.counts.get((word.upper(), 1), 0)


def is_no_op(reader: EntryReader) -> bool:
    """Whether the entry that was read last has no body: a term begins with it."""
    return reader.body_start == reader.end


def changes_members(reader: EntryReader) -> bool:
    """Whether the entry that was read last changes the members of a group, and bears nothing else."""
    start = reader.body_start
    return reader.bytes_of(start, min(reader.end, start + len(MEMBERS_LINE))) == MEMBERS_LINE


def _problem(damage: Damage) -> Problem:
    return Problem(damage.file, damage.offset, damage.what, damage.remedy, damage.bytes_after, damage.torn)


def _remedy(kind: DamageKind) -> str:
    return Damage("", 0, kind, "", 0).remedy


def _apart(text: str, path: str) -> tuple[str, int, str, str]:
    """File, offset, what and remedy of an error's text."""
    what, _, remedy = text.removeprefix(path).partition("; ")
    place = re.match(r", byte (\d+)", what)
    what = what[place.end() :] if place else what
    return path, int(place[1]) if place else -1, what.removeprefix(": "), remedy or FROM_BACKUP


@dataclass(frozen=True, slots=True)
class Loss:
    """Entries in a piece of a file that cannot be used as it is: how many are whole by themselves, and which. Those that
    are damaged themselves are not counted, but their indexes are, as far as they can be read."""

    entries: int
    first_index: int
    last_index: int


def entries_behind(view: FileView, offset: int) -> Loss:
    """What is annotated as an entry behind ``offset``."""
    whole, indexes, at = 0, [], offset
    while (found := _ANNOTATION.search(view.data, at)) is not None:
        index, length = int(found[2]), int(found[3])
        end = found.end() + length
        at = found.end()
        indexes.append(index)
        if end <= view.size and crc32c(view.data[found.end() : end], crc32c(found[1])) == int(found[4], 16):
            whole, at = whole + 1, end
    return Loss(whole, indexes[0] if indexes else -1, max(indexes, default=-1))
