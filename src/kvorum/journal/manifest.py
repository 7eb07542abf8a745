"""The manifest: which files, in which order, are the data.

It is redis-server 7's, so that each can read the other's directory. One line per file::

    file appendonly.aof.2.base.rdb seq 2 type b
    file appendonly.aof.1.incr.aof seq 1 type h
    file appendonly.aof.2.incr.aof seq 2 type i

``b`` is the base, at most one; ``i`` are the increments to be applied to it, with rising numbers; ``h`` are files
of the past, to be removed. Names with unusual characters are quoted as in redis.conf. Pairs of other words are left
to later versions, as Redis does.

kvorum's manifests begin with a comment, which Redis skips: format and checksum of all bytes after that line::

    #kvorum-manifest 1 <CRC-32C, eight hexadecimal digits>

It stands first, because a file that lost its end would lose a last line with it, and would then look like Redis'. A
manifest without it is Redis' own.

A manifest is a value: what changes it returns another, and ``write_manifest`` replaces the file as a whole, safely
on disk before it has its name. It is written first and obeyed afterwards: files are created before a manifest names
them, and removed after the last manifest that names them is gone.

A log that is switched on while the server runs has no manifest before its first base is written. Meanwhile its increments
are there, and the file ``kvorum-unnamed``, which says that it is not the manifest that got lost.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from kvorum.journal.crc32c import crc32c
from kvorum.journal.disk import Disk, append_all
from kvorum.quoting import UnbalancedQuotesError, quote, split_words

# Redis reads lines into a buffer of so many bytes, the line feed included.
LONGEST_LINE = 1024
LARGEST_SEQUENCE = 2**63 - 1
UNNAMED_FILE = "kvorum-unnamed"
_PLAIN_NAME = re.compile(rb"[!#-&(-\[\]-~]+")
_CHECKSUM = re.compile(rb"#kvorum-manifest 1 ([0-9a-f]{8})")
_REMEDY = (
    "restore the file from a backup, or correct it if you know what belongs there: the files beside it, the "
    "base first, then the increments by their numbers"
)


class FileKind(Enum):
    """What a file is for; the value is Redis' letter."""

    BASE = "b"
    HISTORY = "h"
    INCREMENT = "i"


class ManifestError(Exception):
    """A manifest that cannot be trusted. ``line`` counts from 1; 0 is the file as a whole."""

    def __init__(self, file: str, line: int, what: str, remedy: str = _REMEDY) -> None:
        super().__init__(file, line, what, remedy)
        self.file = file
        self.line = line
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        place = f", line {self.line}" if self.line else ""
        return f"{self.file}{place}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One line: a name in the directory of the manifest, its number and its kind."""

    name: str
    sequence: int
    kind: FileKind

    @property
    def was_increment(self) -> bool:
        """Whether it is, or was before it became a file of the past, an increment: then only its name tells."""
        return self.kind is FileKind.INCREMENT or (self.kind is FileKind.HISTORY and ".incr." in self.name)

    @property
    def is_whole(self) -> bool:
        """Whether it has had its name only since it was whole and safe, so that its end cannot be torn: a base, unless
        redis-server before version 7 has appended to it."""
        return self.kind is FileKind.BASE and ".base." in self.name


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files in the order in which they stand: base, history, increments. ``checked``: it was read with its
    checksum."""

    base: ManifestFile | None = None
    increments: tuple[ManifestFile, ...] = ()
    history: tuple[ManifestFile, ...] = ()
    checked: bool = False

    @property
    def files(self) -> tuple[ManifestFile, ...]:
        """All of them, as they are written."""
        return (*([self.base] if self.base is not None else []), *self.history, *self.increments)

    @property
    def data_files(self) -> tuple[ManifestFile, ...]:
        """Those that are read at the start, in order."""
        return (*([self.base] if self.base is not None else []), *self.increments)

    def next_increment(self, filename: str) -> ManifestFile:
        """What a new increment is called; ``filename`` is the option appendfilename."""
        past = (one for one in self.history if one.was_increment)
        sequence = _after((*past, *self.increments))
        return ManifestFile(f"{filename}.{sequence}.incr.aof", sequence, FileKind.INCREMENT)

    def next_base(self, filename: str, suffix: str = "rdb") -> ManifestFile:
        """What a new base is called; the suffix is ``rdb``, or ``aof`` for one that consists of commands."""
        past = [one for one in self.history if not one.was_increment]
        sequence = _after((*past, *([self.base] if self.base is not None else [])))
        return ManifestFile(f"{filename}.{sequence}.base.{suffix}", sequence, FileKind.BASE)

    def with_increment(self, increment: ManifestFile) -> Manifest:
        """With one more increment at the end."""
        assert increment.kind is FileKind.INCREMENT
        return replace(self, increments=(*self.increments, increment))

    def with_base(self, base: ManifestFile, first_kept: int) -> Manifest:
        """With a new base that contains all increments before number ``first_kept``: these and the old base are
        history."""
        assert base.kind is FileKind.BASE
        done = [one for one in self.increments if one.sequence < first_kept]
        past = [*([self.base] if self.base is not None else []), *done]
        return Manifest(
            base,
            tuple(one for one in self.increments if one.sequence >= first_kept),
            (*self.history, *(replace(one, kind=FileKind.HISTORY) for one in past)),
        )

    def replaced_by(self, base: ManifestFile, increment: ManifestFile) -> Manifest:
        """With this base and this increment in the place of everything, which is history."""
        return replace(self.with_base(base, increment.sequence), increments=(increment,))

    def with_history(self, kept: tuple[ManifestFile, ...]) -> Manifest:
        """After the other files of the past were removed."""
        return replace(self, history=kept)


def parse_manifest(text: bytes, file: str) -> Manifest:
    """What a manifest says; ``file`` is for ManifestError, which it raises rather than guess."""
    if not text:
        raise ManifestError(file, 0, "the manifest is empty")
    checked = _check(text, file)
    found: list[ManifestFile] = []
    for number, line in enumerate(text.split(b"\n")[:-1], 1):
        if line.startswith(b"#"):
            continue
        if len(line) >= LONGEST_LINE:
            raise ManifestError(file, number, f"the line has more than the {LONGEST_LINE - 1} bytes that Redis reads")
        one = _parse_line(line, file, number)
        _check_order(one, found, file, number)
        found.append(one)
    if not text.endswith(b"\n") and not text.rpartition(b"\n")[2].startswith(b"#"):
        raise ManifestError(file, text.count(b"\n") + 1, "the line does not end")
    if not found:
        raise ManifestError(file, 0, "the manifest names no file")
    bases = [one for one in found if one.kind is FileKind.BASE]
    return Manifest(
        bases[0] if bases else None,
        tuple(one for one in found if one.kind is FileKind.INCREMENT),
        tuple(one for one in found if one.kind is FileKind.HISTORY),
        checked,
    )


def format_manifest(manifest: Manifest) -> bytes:
    """The content of the file."""
    assert manifest.files, "a manifest without files would be taken for a damaged one"
    lines = b"".join(map(_format_line, manifest.files))
    return b"#kvorum-manifest 1 %08x\n%b" % (crc32c(lines), lines)


def manifest_path(directory: str, filename: str) -> str:
    """Where the manifest is; ``filename`` is the option appendfilename."""
    return posixpath.join(directory, f"{filename}.manifest")


def temporary_path(directory: str, filename: str) -> str:
    """Where the next manifest is while it is written, as in Redis. What is found there is never read."""
    return posixpath.join(directory, f"temp-{filename}.manifest")


def read_manifest(disk: Disk, directory: str, filename: str) -> Manifest | None:
    """The manifest of a directory; None if it has none. Raises ManifestError and DiskError."""
    path = manifest_path(directory, filename)
    if not disk.exists(path):
        return None
    return parse_manifest(disk.read(path), path)


def write_manifest(disk: Disk, directory: str, filename: str, manifest: Manifest) -> None:
    """Replace the manifest of a directory: when this returns the new one is safe, and until then the old
    one or the new one is there, also after a DiskError."""
    temporary = temporary_path(directory, filename)
    file = disk.create(temporary, replace=True)
    try:
        append_all(disk, file, format_manifest(manifest))
        disk.fsync(file)
    finally:
        disk.close(file)
    disk.rename(temporary, manifest_path(directory, filename))
    disk.sync_directory(directory)


def note_unnamed(disk: Disk, directory: str) -> None:
    """Increments follow that no manifest names yet. The name is safe after ``sync_directory``; DiskError."""
    disk.close(disk.create(posixpath.join(directory, UNNAMED_FILE), replace=True))


def forget_unnamed(disk: Disk, directory: str) -> None:
    """There is a manifest now; DiskError."""
    path = posixpath.join(directory, UNNAMED_FILE)
    if disk.exists(path):
        disk.unlink(path)


def _check(text: bytes, file: str) -> bool:
    """Whether the first line is kvorum's; raises if it does not fit the rest."""
    head, _, rest = text.partition(b"\n")
    if not head.startswith(b"#kvorum"):
        return False
    found = _CHECKSUM.fullmatch(head)
    if found is None:
        known = head.startswith(b"#kvorum-manifest ") and not head.startswith(b"#kvorum-manifest 1 ")
        remedy = "start the version of kvorum that wrote it, or a later one; or " + _REMEDY if known else _REMEDY
        raise ManifestError(file, 1, "there is no checksum of the format 1 after #kvorum-manifest", remedy)
    if crc32c(rest) != int(found[1], 16):
        raise ManifestError(
            file,
            1,
            "the checksum does not fit the lines after it",
            f"if you have edited them on purpose, remove this line; else {_REMEDY}",
        )
    return True


def _parse_line(line: bytes, file: str, number: int) -> ManifestFile:
    try:
        words = split_words(line)
    except UnbalancedQuotesError as error:
        raise ManifestError(file, number, str(error)) from error
    if len(words) < 6 or len(words) % 2 or b"\0" in line:
        raise ManifestError(file, number, "this is not `file NAME seq NUMBER type b|h|i`")
    pairs: dict[bytes, bytes] = {}
    for key, value in zip(words[::2], words[1::2], strict=True):
        if key.lower() in pairs:
            raise ManifestError(file, number, f"`{os.fsdecode(key)}` stands there twice")
        pairs[key.lower()] = value
    missing = [key for key in (b"file", b"seq", b"type") if key not in pairs]
    if missing:
        raise ManifestError(file, number, f"`{os.fsdecode(missing[0])}` is missing")
    return ManifestFile(
        _name(pairs[b"file"], file, number), _sequence(pairs[b"seq"], file, number), _kind(pairs[b"type"], file, number)
    )


def _name(word: bytes, file: str, number: int) -> str:
    name = os.fsdecode(word)
    if not word or word in (b".", b"..") or any(byte in word for byte in b"/\\\0"):
        raise ManifestError(file, number, f"{name!r} is not the name of a file in the directory of the manifest")
    return name


def _sequence(word: bytes, file: str, number: int) -> int:
    sequence = int(word) if re.fullmatch(rb"[1-9][0-9]{0,18}", word) else 0
    if not 0 < sequence <= LARGEST_SEQUENCE:
        raise ManifestError(file, number, f"{os.fsdecode(word)!r} is not the number of a file")
    return sequence


def _kind(word: bytes, file: str, number: int) -> FileKind:
    try:
        return FileKind(os.fsdecode(word))
    except ValueError as error:
        raise ManifestError(file, number, f"{os.fsdecode(word)!r} is not a type of file (b, h or i)") from error


def _check_order(one: ManifestFile, before: Iterable[ManifestFile], file: str, number: int) -> None:
    """Whether a line may follow those before it."""
    for other in before:
        if other.name == one.name:
            raise ManifestError(file, number, f"{one.name} is named twice")
        if one.kind is other.kind is FileKind.BASE:
            raise ManifestError(file, number, f"there is a second base: {other.name} and {one.name}")
        if one.kind is other.kind is FileKind.INCREMENT and one.sequence <= other.sequence:
            raise ManifestError(file, number, f"increment {one.sequence} follows increment {other.sequence}")


def _format_line(one: ManifestFile) -> bytes:
    name = os.fsencode(one.name)
    if not _PLAIN_NAME.fullmatch(name):
        name = quote(name)
    line = b"file %b seq %d type %b\n" % (name, one.sequence, one.kind.value.encode())
    assert len(line) <= LONGEST_LINE, f"no file system has a name as long as {one.name}"
    return line


def _after(files: Iterable[ManifestFile]) -> int:
    return max((one.sequence for one in files), default=0) + 1
