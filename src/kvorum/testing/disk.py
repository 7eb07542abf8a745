"""A disk in memory that records what was done to it, fails on demand, and knows what a crash may leave behind.

It has the interface of ``kvorum.journal.disk.Disk``; the same tests run over both. Only what changes something, and
the three fsyncs, are operations with a number: ``fail`` and ``shorten`` name them by it, ``crash_states`` crashes
after each.

**What is safe.** Content is safe after a successful ``fsync`` or ``fdatasync`` of the file, names after
``sync_directory`` of their directory (both, if a rename crosses directories). An fsync covers what was done before it
began: it is recorded when it ends, and ``covers`` says how many operations there were when it began; ``while_syncing``
is called in between. After an fsync that failed, what it should have made safe never becomes safe by another one, nor
does what is appended to it: Linux forgets which pages it could not write.

**What a crash may leave behind**, after each operation, is any combination of

- for each file, what is safe plus a prefix of the appends, replacements and truncations since. The last append or
  replacement may moreover be torn: at every byte if it has at most ``small_bytes`` (``SMALL_BYTES`` unless told), else
  at every sector boundary of the file, and one byte from its start and end. What is missing may be missing altogether,
  or, from the end of an operation or a sector boundary on, be zeros up to the length that the file had: some file
  systems note the new length before the data are there. (One zero at the very end, in a sector of its own, is left
  out: nothing tells it from a damaged byte.)
- for the names, what is safe plus any subset of the changes since, in their order: a rename may be lost and a later
  one kept. A file without a name is gone, and so is what is in a directory that is gone.

**Bounds**, so that the number of states stays finite and the same in every run: prefixes beyond ``MOST_PREFIXES``
operations of a file are thinned out in the middle; more than ``MOST_FREE_CHANGES`` changes of names give all
prefixes, all but one, and single ones; and where the combinations after one operation are more than
``MOST_COMBINATIONS``, each part varies alone, with all others safe only, and with all others complete.

Equal states come again after later operations, since more has been promised by then; ``CrashState.key`` is for
remembering what recovery made of it.
"""

from __future__ import annotations

import errno
import itertools
import posixpath
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

from kvorum.journal.disk import Buffer, DiskError, DiskFile, FileView, disk_error

SMALL_BYTES = 256
SECTOR_BYTES = 512
MOST_TEARS = 64
MOST_PREFIXES = 64
MOST_FREE_CHANGES = 6
MOST_COMBINATIONS = 4096


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that was done, or tried. ``target`` is the new name of a rename, ``data`` what an append wrote, or
    ``write_at``, ``size`` that of a truncation, ``offset`` that of ``write_at``, ``covers`` how many operations there
    were when an fsync began."""

    name: str
    path: str
    target: str = ""
    data: bytes = b""
    size: int = 0
    offset: int = 0
    inode: int = -1
    error: int = 0
    covers: int = -1

    def __str__(self) -> str:
        words = [self.name, self.path]
        if self.target:
            words.append(f"to {self.target}")
        if self.name == "append":
            words.append(f"{len(self.data)} bytes")
        if self.name == "write_at":
            words.append(f"{len(self.data)} bytes at {self.offset}")
        if self.name == "truncate":
            words.append(f"to {self.size} bytes")
        if self.error:
            words.append(f"fails with {errno.errorcode.get(self.error, self.error)}")
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class CrashState:
    """What is found after a crash that followed ``after`` operations; ``what`` says how it came about."""

    after: int
    files: Mapping[str, bytes]
    directories: frozenset[str]
    what: str

    @property
    def key(self) -> tuple[frozenset[tuple[str, bytes]], frozenset[str]]:
        """Equal for states in which the same is found."""
        return frozenset(self.files.items()), self.directories

    def disk(self) -> FakeDisk:
        """A disk on which exactly this is found, and safe."""
        return FakeDisk(self.directories, self.files)


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _alone(
    method: Callable[Concatenate[FakeDisk, _Arguments], _Result],
) -> Callable[Concatenate[FakeDisk, _Arguments], _Result]:
    """One thread at a time."""

    @wraps(method)
    def locked(self: FakeDisk, /, *arguments: _Arguments.args, **named: _Arguments.kwargs) -> _Result:
        with self._lock:
            return method(self, *arguments, **named)

    return locked


class FakeDisk:
    """Files in memory. ``capacity`` is the space for all of them, None for endless; ``unreadable`` maps paths to
    the errno of opening and reading them; ``operations`` is what was done. Threads may share
    it."""

    def __init__(
        self,
        directories: Iterable[str] = ("/", "/data"),
        files: Mapping[str, bytes] | None = None,
        capacity: int | None = None,
    ) -> None:
        self.capacity = capacity
        self.unreadable: dict[str, int] = {}
        self.while_syncing: Callable[[DiskFile], object] | None = None
        self.operations: list[Operation] = []
        self.small_bytes = SMALL_BYTES
        self._lock = threading.RLock()
        self._directories = set(directories)
        self._contents: list[bytearray] = []
        self._names: dict[str, int] = {}
        self._open: dict[int, DiskFile] = {}
        self._inodes: dict[int, int] = {}
        self._failures: dict[int, int] = {}
        self._short: dict[int, int] = {}
        for path, content in (files or {}).items():
            self._names[path] = len(self._contents)
            self._contents.append(bytearray(content))
        self._first_directories = frozenset(self._directories)
        self._first_names = dict(self._names)
        self._first_contents = [bytes(content) for content in self._contents]

    # What tests do.

    def fail(self, number: int, error: int, count: int = 1) -> None:
        """Operation ``number``, from 0, and the following ones, ``count`` in all, fail with this errno and without
        effect."""
        self._failures.update(dict.fromkeys(range(number, number + count), error))

    def shorten(self, number: int, written: int) -> None:
        """Operation ``number``, if it is an append, writes no more than so many bytes."""
        self._short[number] = written

    @property
    def files(self) -> dict[str, bytes]:
        """Everything there is, as the running program sees it."""
        return {path: bytes(self._contents[inode]) for path, inode in sorted(self._names.items())}

    @property
    def failed(self) -> bool:
        """Whether anything has failed so far."""
        return any(operation.error for operation in self.operations)

    @property
    def open_files(self) -> list[str]:
        """Paths under which the files that are open were opened."""
        return sorted(file.path for file in self._open.values())

    def crash_states(self) -> Iterator[CrashState]:
        """What a crash may leave behind, after none and after each of the operations so far."""
        safety = _Safety(self._first_directories, self._first_names, self._first_contents, self.small_bytes)
        yield from safety.states(0, "before the first operation")
        for number, operation in enumerate(self.operations, 1):
            safety.apply(number, operation)
            yield from safety.states(number, str(operation))

    def crash(self, chance: Random) -> CrashState:
        """One of the states that a crash now may leave; with a third of the probability each, nothing is lost that was done, or
        everything that may be."""
        safety = _Safety(self._first_directories, self._first_names, self._first_contents, self.small_bytes)
        for number, operation in enumerate(self.operations, 1):
            safety.apply(number, operation)
        return safety.any_state(len(self.operations), chance)

    # What the journal does.

    @_alone
    def create(self, path: str, replace: bool = False) -> DiskFile:
        if path in self._directories:
            raise disk_error("create", path, errno.EISDIR)
        if path in self._names and not replace:
            raise disk_error("create", path, errno.EEXIST)
        self._need_directory("create", path)
        if path in self._names:
            self._record(Operation("truncate", path, inode=self._names[path]), "create")
            self._contents[self._names[path]].clear()
            return self._opened(path)
        self._record(Operation("create", path, inode=len(self._contents)), "create")
        self._names[path] = len(self._contents)
        self._contents.append(bytearray())
        return self._opened(path)

    @_alone
    def open_append(self, path: str) -> DiskFile:
        self._need_file("open", path)
        return self._opened(path)

    @_alone
    def append(self, file: DiskFile, *parts: Buffer) -> int:
        inode = self._inode(file)
        data = b"".join(parts)
        room = self._short.get(len(self.operations), len(data))
        if self.capacity is not None:
            free = self.capacity - self._used_bytes()
            if free <= 0 and data:
                self._failures.setdefault(len(self.operations), errno.ENOSPC)
            room = min(room, max(free, 0))
        self._record(Operation("append", file.path, data=data[:room], inode=inode), "write")
        self._contents[inode] += data[:room]
        return len(data[:room])

    def open_update(self, path: str) -> DiskFile:
        return self.open_append(path)

    @_alone
    def write_at(self, file: DiskFile, offset: int, data: Buffer) -> None:
        inode = self._inode(file)
        assert offset + len(data) <= len(self._contents[inode]), "only what is there is replaced"
        self._record(Operation("write_at", file.path, data=bytes(data), offset=offset, inode=inode), "write")
        self._contents[inode][offset : offset + len(data)] = data

    def fsync(self, file: DiskFile) -> None:
        self._sync("fsync", file)

    def fdatasync(self, file: DiskFile) -> None:
        self._sync("fdatasync", file)

    def _sync(self, name: str, file: DiskFile) -> None:
        inode, covers = self._inode(file), len(self.operations)
        if self.while_syncing is not None:
            self.while_syncing(file)
        self._record(Operation(name, file.path, inode=inode, covers=covers), "fsync")

    @_alone
    def truncate(self, file: DiskFile, size: int) -> None:
        inode = self._inode(file)
        self._record(Operation("truncate", file.path, size=size, inode=inode), "truncate")
        _resize(self._contents[inode], size)

    @_alone
    def close(self, file: DiskFile) -> None:
        self._inode(file)
        del self._open[id(file)], self._inodes[id(file)]

    @_alone
    def rename(self, source: str, target: str) -> None:
        operation = f"rename to {target}"
        self._need_file(operation, source)
        self._need_directory(operation, target)
        inode = self._names[source]
        self._record(Operation("rename", source, target, inode=inode), operation)
        del self._names[source]
        self._names[target] = inode

    @_alone
    def unlink(self, path: str) -> None:
        self._need_file("remove", path)
        self._record(Operation("unlink", path), "remove")
        del self._names[path]

    @_alone
    def make_directory(self, path: str) -> None:
        if path in self._names:
            raise disk_error("create directory", path, errno.EEXIST)
        self._need_directory("create directory", path)
        if path not in self._directories:
            self._record(Operation("make_directory", path), "create directory")
            self._directories.add(path)

    @_alone
    def sync_directory(self, path: str) -> None:
        if path not in self._directories:
            raise disk_error("fsync directory", path, errno.ENOENT)
        self._record(Operation("sync_directory", path), "fsync directory")

    def list_directory(self, path: str) -> list[str]:
        if path not in self._directories:
            raise disk_error("list", path, errno.ENOTDIR if path in self._names else errno.ENOENT)
        everything = {*self._names, *self._directories} - {"/"}
        return sorted(posixpath.basename(name) for name in everything if posixpath.dirname(name) == path)

    def exists(self, path: str) -> bool:
        return path in self._names or path in self._directories

    def size(self, path: str) -> int:
        self._need_file("look at", path)
        return len(self._contents[self._names[path]])

    def read(self, path: str) -> bytes:
        self._need_file("read", path)
        return bytes(self._contents[self._names[path]])

    def view(self, path: str) -> FileView:
        return FileView(self.read(path))

    def free_bytes(self, path: str) -> int:
        if not self.exists(path):
            raise disk_error("ask for free space in", path, errno.ENOENT)
        return max((1 << 40 if self.capacity is None else self.capacity) - self._used_bytes(), 0)

    def _used_bytes(self) -> int:
        held = {*self._names.values(), *self._inodes.values()}
        return sum(len(self._contents[inode]) for inode in held)

    def _opened(self, path: str) -> DiskFile:
        # As of real files, the number of one that was closed is used again.
        used = {file.descriptor for file in self._open.values()}
        file = DiskFile(path, next(number for number in itertools.count(-1, -1) if number not in used))
        self._open[id(file)] = file
        self._inodes[id(file)] = self._names[path]
        return file

    def _inode(self, file: DiskFile) -> int:
        assert id(file) in self._inodes, f"{file.path} is not open"
        return self._inodes[id(file)]

    def _need_file(self, operation: str, path: str) -> None:
        if path in self.unreadable:
            raise disk_error(operation, path, self.unreadable[path])
        if path not in self._names:
            raise disk_error(operation, path, errno.EISDIR if path in self._directories else errno.ENOENT)

    def _need_directory(self, operation: str, path: str) -> None:
        if posixpath.dirname(path) not in self._directories:
            raise disk_error(operation, path, errno.ENOENT)

    @_alone
    def _record(self, operation: Operation, name: str) -> None:
        """Note it; raise what it is to fail with."""
        error = self._failures.get(len(self.operations), 0)
        if error:
            self.operations.append(replace(operation, data=b"", size=0, offset=0, error=error))
            raise disk_error(name, operation.path, error)
        self.operations.append(operation)


@dataclass(slots=True)
class _Content:
    """A file: what is safe of it, and what was done since. After a failed fsync nothing more becomes safe."""

    safe: bytes = b""
    pending: list[tuple[int, Operation]] = field(default_factory=list)
    given_up: bool = False

    def sync(self, covers: int) -> None:
        """What was done before so many operations is safe."""
        content = bytearray(self.safe)
        while self.pending and self.pending[0][0] <= covers:
            _carry_out(self.pending.pop(0)[1], content)
        self.safe = bytes(content)

    def variants(self, small_bytes: int) -> list[bytes]:
        """What a crash may make of it, the safe one first and the complete one last."""
        found = [self.safe]
        for _, operation in self.pending:
            content = bytearray(found[-1])
            _carry_out(operation, content)
            found.append(bytes(content))
        torn: list[bytes] = []
        if self.pending and self.pending[-1][1].name == "write_at":
            torn = _torn_inside(found[-2], self.pending[-1][1], small_bytes)
        elif self.pending and self.pending[-1][1].name == "append":
            before, data = found[-2], self.pending[-1][1].data
            torn = [before + data[:size] for size in _tears(len(before), len(data), small_bytes)]
        if len(found) > MOST_PREFIXES:
            found = found[: MOST_PREFIXES // 2] + found[-MOST_PREFIXES // 2 :]
        whole = found[-1]
        short = [*found[:-1], *torn]
        sectors = [one for one in torn if len(one) % SECTOR_BYTES == 0 and len(one) < len(whole) - 1]
        zeros = [one + bytes(len(whole) - len(one)) for one in (*found[:-1], *sectors) if len(one) < len(whole)]
        return list(dict.fromkeys([*short, *zeros, whole]))


@dataclass(slots=True)
class _Change:
    """A change of names that is not safe before these directories are."""

    operation: Operation
    unsafe: set[str]


class _Safety:
    """What is safe and what is not yet, while the operations are gone through again."""

    def __init__(
        self, directories: frozenset[str], names: dict[str, int], contents: Sequence[bytes], small_bytes: int
    ) -> None:
        self.small_bytes = small_bytes
        self.directories = set(directories)
        self.names = dict(names)
        self.contents = {inode: _Content(content) for inode, content in enumerate(contents)}
        self.changes: list[_Change] = []

    def apply(self, number: int, operation: Operation) -> None:
        """Go through one operation; ``number`` counts from 1."""
        name = operation.name
        if name in ("fsync", "fdatasync"):
            self._fsync(self.contents[operation.inode], operation)
        elif operation.error:
            return
        elif name in ("append", "write_at", "truncate"):
            content = self.contents[operation.inode]
            content.pending.append((number, operation))
            if name == "truncate" and operation.size <= len(content.safe):
                content.given_up = False  # what was lost is cut off
        elif name == "sync_directory":
            self._sync_directory(operation.path)
        else:
            if name == "create":
                self.contents[operation.inode] = _Content()
            places = {posixpath.dirname(operation.path)}
            if operation.target:
                places.add(posixpath.dirname(operation.target))
            self.changes.append(_Change(operation, places))

    @staticmethod
    def _fsync(content: _Content, operation: Operation) -> None:
        content.given_up |= bool(operation.error) and bool(content.pending)
        if not operation.error and not content.given_up:
            content.sync(operation.covers)

    def _sync_directory(self, path: str) -> None:
        for change in self.changes:
            change.unsafe.discard(path)
            if not change.unsafe:
                _change(change.operation, self.names, self.directories)
        self.changes = [change for change in self.changes if change.unsafe]

    def states(self, after: int, what: str) -> Iterator[CrashState]:
        """All states that a crash at this moment may leave behind, each once."""
        seen = set()
        for chosen, contents in self._combinations():
            state = self._state(after, chosen, contents, what)
            if state.key not in seen:
                seen.add(state.key)
                yield state

    def _state(self, after: int, chosen: Sequence[_Change], contents: Mapping[int, bytes], what: str) -> CrashState:
        names, directories = dict(self.names), set(self.directories)
        for change in chosen:
            _change(change.operation, names, directories)
        # A directory that is gone takes with it what it held.
        kept = frozenset(one for one in directories if _reachable(one, directories))
        files = {path: contents[inode] for path, inode in names.items() if posixpath.dirname(path) in kept}
        return CrashState(after, files, kept, what)

    def any_state(self, after: int, chance: Random) -> CrashState:
        """One of them."""
        mode = chance.choice(("everything", "nothing", "something"))
        contents = {}
        for inode, content in sorted(self.contents.items()):
            variants = content.variants(self.small_bytes)
            possible = {"everything": variants[-1:], "nothing": variants[:1]}.get(mode, variants)
            contents[inode] = chance.choice(possible)
        kept = {"everything": 1.0, "nothing": 0.0}.get(mode, 0.5)
        chosen = [change for change in self.changes if chance.random() < kept]
        return self._state(after, chosen, contents, f"a crash that keeps {mode}")

    def _combinations(self) -> Iterator[tuple[Sequence[_Change], dict[int, bytes]]]:
        named = {*self.names.values(), *(change.operation.inode for change in self.changes)}
        inodes = sorted(named & set(self.contents))
        choices = [self.contents[inode].variants(self.small_bytes) for inode in inodes]
        subsets = _subsets(self.changes)
        count = len(subsets)
        for variants in choices:
            count *= len(variants)
        if count <= MOST_COMBINATIONS:
            for chosen in subsets:
                for contents in itertools.product(*choices):
                    yield chosen, dict(zip(inodes, contents, strict=True))
            return
        for pick in (0, -1):
            base = [variants[pick] for variants in choices]
            for chosen in subsets:
                yield chosen, dict(zip(inodes, base, strict=True))
            for position, variants in enumerate(choices):
                for variant in variants:
                    varied = [*base[:position], variant, *base[position + 1 :]]
                    yield subsets[pick], dict(zip(inodes, varied, strict=True))


def _carry_out(operation: Operation, content: bytearray) -> None:
    """Do to a content what an append or a truncation did."""
    if operation.name == "append":
        content += operation.data
    elif operation.name == "write_at":
        content[operation.offset : operation.offset + len(operation.data)] = operation.data
    else:
        _resize(content, operation.size)


def _torn_inside(before: bytes, operation: Operation, small_bytes: int) -> list[bytes]:
    """What a crash may make of bytes that are being replaced: the beginning is new, the rest is as it was."""
    start, data = operation.offset, operation.data
    tears = _tears(start, len(data), small_bytes)
    return [before[:start] + data[:size] + before[start + size :] for size in tears]


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content += bytes(size - len(content))


def _tears(offset: int, size: int, small_bytes: int) -> list[int]:
    """How much of an append of so many bytes may have been written, at this offset of the file; neither nothing nor
    all."""
    if size <= small_bytes:
        return list(range(1, size))
    sectors = [
        boundary - offset for boundary in range(offset // SECTOR_BYTES * SECTOR_BYTES, offset + size, SECTOR_BYTES)
    ]
    inside = [cut for cut in sectors if 1 < cut < size - 1]
    if len(inside) > MOST_TEARS:
        inside = inside[: MOST_TEARS // 2] + inside[-MOST_TEARS // 2 :]
    return [1, *inside, size - 1]


def _subsets(changes: Sequence[_Change]) -> list[list[_Change]]:
    """Which changes may be kept, none first and all last."""
    if len(changes) <= MOST_FREE_CHANGES:
        sizes = range(len(changes) + 1)
        return [list(chosen) for size in sizes for chosen in itertools.combinations(changes, size)]
    alone = [[change] for change in changes]
    prefixes = [list(changes[:size]) for size in range(len(changes))]
    without_one = [[*changes[:position], *changes[position + 1 :]] for position in range(len(changes))]
    return [*prefixes, *alone, *without_one, list(changes)]


def _change(operation: Operation, names: dict[str, int], directories: set[str]) -> None:
    """Do to names on disk what the operation did, as far as what it needs is there."""
    if operation.name == "create":
        names[operation.path] = operation.inode
    elif operation.name == "make_directory":
        directories.add(operation.path)
    elif operation.name == "unlink":
        names.pop(operation.path, None)
    else:
        assert operation.name == "rename"
        if names.get(operation.path) == operation.inode:
            del names[operation.path]
        names[operation.target] = operation.inode


def _reachable(path: str, directories: set[str]) -> bool:
    while path != posixpath.dirname(path):
        if path not in directories:
            return False
        path = posixpath.dirname(path)
    return True


__all__ = ["CrashState", "DiskError", "FakeDisk", "Operation"]
