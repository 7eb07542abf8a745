"""Restoring to a point in time: a new data directory with the base of a log and its entries up to there.

The log itself is only read. Whole increments are copied as they are and the last one up to the end of an entry, so the
copy has the checksums of the original, and is read through once more before it is called good. Its manifest is written
last: until then no server takes the new directory for one.

What redis-server has written has no index. It belongs to the entry before it, and counts as later than that: a point
on that entry leaves it out. Its time is that of its last ``#TS:`` line; without such lines it is included only if
something behind it is.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from datetime import UTC, datetime

from kvorum.journal.disk import Disk, DiskError, FileView
from kvorum.journal.entries import COMMANDS, DAMAGED, END, EntryReader
from kvorum.journal.inspection import inspect_file, inspect_log
from kvorum.journal.manifest import FileKind, Manifest, ManifestError, ManifestFile, read_manifest, write_manifest
from kvorum.journal.repair import copy_bytes


class RestoreError(Exception):
    """It cannot be restored; the text says why and what is possible."""


@dataclass(frozen=True, slots=True)
class Point:
    """Up to which entry: its index, or the last one at a time (Unix ms). The other is -1."""

    index: int = -1
    time_ms: int = -1

    def __str__(self) -> str:
        return f"index {self.index}" if self.index >= 0 else show_ms(self.time_ms)


@dataclass(frozen=True, slots=True)
class Restored:
    """What is in the new directory: up to which entry, and its time in Unix ms (-1: unknown), in how many files."""

    index: int
    time_ms: int
    files: int


def show_ms(time_ms: int) -> str:
    """Unix milliseconds for people, so that they are understood as a point, too."""
    try:
        shown = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
    except (OverflowError, ValueError, OSError):
        return f"{time_ms}ms"
    return f"{shown}{time_ms % 1000:03d}Z"


def restore(disk: Disk, directory: str, filename: str, point: Point, target: str) -> Restored:
    """Make the data directory ``target``, which must be empty or not there yet. RestoreError, DiskError."""
    try:
        manifest = read_manifest(disk, directory, filename)
    except ManifestError as error:
        raise RestoreError(str(error)) from error
    if manifest is None:
        raise RestoreError(f"{posixpath.join(directory, filename)}.manifest: there is no such file")
    if disk.exists(target) and disk.list_directory(target):
        raise RestoreError(f"{target}: this directory is not empty; name one that is not there yet")
    found = _Search(disk, directory, manifest, point).run()
    _write(disk, directory, filename, found, target)
    return Restored(found.index, found.time_ms, len(found.pieces))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The beginning of a file up to ``end``."""

    file: ManifestFile
    end: int


class _Search:
    """Finds the end of what is to be restored: ``pieces``, and ``index`` and ``time_ms`` of the last entry in them."""

    def __init__(self, disk: Disk, directory: str, manifest: Manifest, point: Point) -> None:
        self.disk = disk
        self.directory = directory
        self.manifest = manifest
        self.point = point
        self.pieces: list[_Piece] = []
        self.index = self.term = 0
        self.time_ms = -1
        self._first = ""  # the earliest point there is, in words
        self._waiting: list[_Piece] = []  # of which only what comes later tells whether they belong to it
        self._done = False

    def run(self) -> _Search:
        """Read up to the point. RestoreError: it is not there, or not all before it is whole."""
        if self.manifest.base is not None:
            self._take_base(self.manifest.base)
        for one in self.manifest.increments:
            if self._done:
                break
            with self.disk.view(self._path(one)) as view:
                self._read(one, view)
        if not self._done and not self._is_reached():
            self._refuse_later()
        if not self.pieces:
            raise RestoreError(
                f"{self.point} lies before everything that is there; the earliest possible is {self._first}"
            )
        return self

    def _path(self, one: ManifestFile) -> str:
        return posixpath.join(self.directory, one.name)

    def _take_base(self, base: ManifestFile) -> None:
        report = inspect_file(self.disk, self._path(base), base)
        if report.problem is not None:
            raise RestoreError(str(report.problem))
        self.index, self.term = max(report.last_index, 0), max(report.last_term, 1)
        self.time_ms = report.last_time_ms
        self.pieces.append(_Piece(base, report.size))
        self._first = f"index {self.index}" + (f" or {show_ms(self.time_ms)}" if self.time_ms >= 0 else "")
        if self._is_before(self.index, self.time_ms):
            raise RestoreError(
                f"{self.point} lies before {self._path(base)}, with which the log begins; the earliest possible is "
                f"{self._first}; for an earlier one, an older backup is needed"
            )

    def _is_before(self, index: int, time_ms: int) -> bool:
        """Whether the point lies before this."""
        return self.point.index < index if self.point.index >= 0 else self.point.time_ms < time_ms

    def _is_reached(self) -> bool:
        return self.index == self.point.index if self.point.index >= 0 else self.time_ms >= self.point.time_ms

    def _read(self, one: ManifestFile, view: FileView) -> None:
        reader = EntryReader(view.data, self._path(one), 0, self.index, self.term)
        try:
            while not self._done:
                kind = reader.next()
                if kind == END:
                    return
                if kind == DAMAGED:
                    self._damaged(one, reader)
                    return
                self._commands(one, reader) if kind == COMMANDS else self._entry(one, reader)
        finally:
            reader.close()

    def _entry(self, one: ManifestFile, reader: EntryReader) -> None:
        time_ms = reader.time_ms or self.time_ms  # what a group writes for itself has none
        when = f" or {show_ms(time_ms)}" if time_ms >= 0 else ""
        self._first = self._first or f"index {reader.index}{when}"
        if self._is_before(reader.index, time_ms if time_ms >= 0 else self.point.time_ms):
            self._done = True
            return
        self._take(one, reader.end)
        self.index, self.term, self.time_ms = reader.index, reader.term, time_ms

    def _commands(self, one: ManifestFile, reader: EntryReader) -> None:
        time_ms = reader.timestamp_s * 1000
        if self.point.index >= 0 and self.index >= self.point.index:
            self._done = True
        elif self.point.time_ms >= 0 and reader.timestamp_s:
            self._first = self._first or show_ms(time_ms)
            if self.point.time_ms < time_ms:
                self._done = True
                return
            self._take(one, reader.end)
            self.time_ms = max(self.time_ms, time_ms)
        else:
            self._waiting.append(_Piece(one, reader.end))

    def _take(self, one: ManifestFile, end: int) -> None:
        """Everything up to here belongs to it."""
        for piece in (*self._waiting, _Piece(one, end)):
            if self.pieces and self.pieces[-1].file == piece.file:
                self.pieces.pop()
            self.pieces.append(piece)
        self._waiting.clear()

    def _damaged(self, one: ManifestFile, reader: EntryReader) -> None:
        damage = reader.damage
        assert damage is not None
        if self._is_reached() and self.point.index >= 0:
            self._done = True
        elif not damage.torn or one != self.manifest.increments[-1]:
            raise RestoreError(
                f"{damage.file}, byte {damage.offset}: {damage.what} ({damage.bytes_after} bytes from there on), and "
                f"{self.point} lies behind it; the latest possible is index {self.index}{self._when()}"
            )

    def _refuse_later(self) -> None:
        raise RestoreError(
            f"{self.point} lies behind the end of the log; the latest possible is index {self.index}{self._when()}"
        )

    def _when(self) -> str:
        return f" or {show_ms(self.time_ms)}" if self.time_ms >= 0 else ""


def _write(disk: Disk, directory: str, filename: str, found: _Search, target: str) -> None:
    """The new directory; nothing of it is left after an error."""
    place = posixpath.join(target, posixpath.basename(directory.rstrip("/")) or "appendonlydir")
    made: list[str] = []
    try:
        for path in (target, place):
            disk.make_directory(path)
            disk.sync_directory(posixpath.dirname(path) or ".")
        for piece in found.pieces:
            path = posixpath.join(place, piece.file.name)
            made.append(path)
            _copy(disk, posixpath.join(directory, piece.file.name), path, piece.end)
        files = [piece.file for piece in found.pieces]
        base = files[0] if files[0].kind is FileKind.BASE else None
        manifest = Manifest(base, tuple(one for one in files if one.kind is FileKind.INCREMENT))
        disk.sync_directory(place)
        write_manifest(disk, place, filename, manifest)
        _verify(disk, place, filename, found)
    except BaseException:
        _remove(
            disk,
            [*made, posixpath.join(place, f"temp-{filename}.manifest"), posixpath.join(place, f"{filename}.manifest")],
        )
        raise


def _copy(disk: Disk, source: str, target: str, end: int) -> None:
    file = disk.create(target)
    try:
        with disk.view(source) as view:
            copy_bytes(disk, view, file, 0, end)
        disk.fsync(file)
    finally:
        disk.close(file)


def _verify(disk: Disk, place: str, filename: str, found: _Search) -> None:
    """Read what was written."""
    report = inspect_log(disk, place, filename)
    if report.problems:
        raise RestoreError(f"the copy is not whole: {report.problems[0]}")
    last = max((one.last_index for one in report.files), default=-1)
    if max(last, 0) != found.index:
        raise RestoreError(f"{place}: the copy ends with index {last} instead of {found.index}; try again")


def _remove(disk: Disk, paths: list[str]) -> None:
    for path in paths:
        try:
            if disk.exists(path):
                disk.unlink(path)
        except DiskError:
            continue  # the first error is the one to tell
