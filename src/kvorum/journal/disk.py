"""The door to the file system: everything that the journal does with files goes through a ``Disk``.

``RealDisk`` calls the operating system. ``kvorum.testing.disk.FakeDisk`` keeps files in memory, fails on demand and
knows what a crash may leave behind. Whatever goes wrong is a ``DiskError`` that names operation and file; no
OSError leaves this module.

``append`` is one system call and says how much of it was written, because what to do about a short write is the
journal's decision; ``append_all`` is for files that nobody reads before they are complete. ``fsync`` may be called
by another thread while this one appends: it covers what had been appended when it began.

Rejected: io.FileIO and buffered files, whose own buffers would stand between a write and the answer that it allows.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from types import TracebackType
from typing import Protocol

if sys.platform == "darwin":
    import fcntl

Buffer = bytes | bytearray | memoryview

FILE_MODE = 0o644
DIRECTORY_MODE = 0o755


class DiskError(Exception):
    """An operation on a file failed. ``written`` is what ``append_all`` had written before."""

    def __init__(self, operation: str, path: str, number: int, reason: str | None = None) -> None:
        super().__init__(operation, path, number, reason)
        self.operation = operation
        self.path = path
        self.errno = number
        self.reason = reason if reason is not None else os.strerror(number)
        self.written = 0

    def __str__(self) -> str:
        return f"cannot {self.operation} {self.path}: {self.reason}"


class NoSpaceError(DiskError):
    """The file system or the quota is full."""


class NoPermissionError(DiskError):
    """It is not allowed, or the file system is mounted read-only."""


class MissingFileError(DiskError):
    """There is no such file or directory."""


class FileExistsAlreadyError(DiskError):
    """There is such a file already."""


_ERRORS: dict[int, type[DiskError]] = {
    errno.ENOSPC: NoSpaceError,
    errno.EDQUOT: NoSpaceError,
    errno.EFBIG: NoSpaceError,
    errno.EACCES: NoPermissionError,
    errno.EPERM: NoPermissionError,
    errno.EROFS: NoPermissionError,
    errno.ENOENT: MissingFileError,
    errno.EEXIST: FileExistsAlreadyError,
}


def disk_error(operation: str, path: str, number: int | None) -> DiskError:
    """The typed error for an errno."""
    known = number if number is not None else errno.EIO
    return _ERRORS.get(known, DiskError)(operation, path, known)


class DiskFile:
    """A file that is open for appending, or for ``write_at``. ``descriptor`` is the system's, for those who call fsync
    without the lock of the interpreter; negative in a fake."""

    __slots__ = ("descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def __repr__(self) -> str:
        return f"DiskFile({self.path!r}, {self.descriptor})"


class FileView:
    """The content of a file, mapped where possible; a context manager. ``data`` is valid until ``close``. Who looks at it
    any longer, such as the traceback of an error, keeps it mapped."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = memoryview(data)
        self.size = len(data)

    def close(self) -> None:
        """Let go of the file."""
        mapped = self.data.obj
        try:
            self.data.release()
        except BufferError:
            return
        if isinstance(mapped, mmap.mmap):
            mapped.close()

    def __enter__(self) -> FileView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Disk(Protocol):
    """What the journal asks of a file system. All methods raise DiskError; paths are whole."""

    def create(self, path: str, replace: bool = False) -> DiskFile:
        """A new empty file; with ``replace`` an existing one is emptied, else it is an error."""

    def open_append(self, path: str) -> DiskFile:
        """An existing file, to write at its end."""

    def open_update(self, path: str) -> DiskFile:
        """An existing file, for ``write_at``."""

    def write_at(self, file: DiskFile, offset: int, data: Buffer) -> None:
        """Replace bytes inside of a file, all of them or with an error; its length stays."""

    def append(self, file: DiskFile, *parts: Buffer) -> int:
        """Write at the end, all parts by one system call; how many bytes were written, which may be too few."""

    def fsync(self, file: DiskFile) -> None:
        """Wait until the content and its length are safe. The name is only safe after ``sync_directory``."""

    def fdatasync(self, file: DiskFile) -> None:
        """The same without times and other attributes."""

    def truncate(self, file: DiskFile, size: int) -> None:
        """Cut the end off."""

    def close(self, file: DiskFile) -> None:
        """Done with it."""

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in place of the file that had it."""

    def unlink(self, path: str) -> None:
        """Remove a name."""

    def make_directory(self, path: str) -> None:
        """A new directory, in an existing one; none is made if there is one."""

    def sync_directory(self, path: str) -> None:
        """Wait until the names in a directory are safe."""

    def list_directory(self, path: str) -> list[str]:
        """The names in it, sorted."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory of that name."""

    def size(self, path: str) -> int:
        """Bytes of a file."""

    def read(self, path: str) -> bytes:
        """All of a small file."""

    def view(self, path: str) -> FileView:
        """A file to be read here and there."""

    def free_bytes(self, path: str) -> int:
        """How much may still be written to the file system that holds this directory."""


def append_all(disk: Disk, file: DiskFile, *parts: Buffer) -> None:
    """Append everything, by several system calls if need be; ``written`` of the error says how far it came."""
    rest = b"".join(parts) if len(parts) > 1 else parts[0]
    view = memoryview(rest)
    written = 0
    while written < len(view):
        try:
            now = disk.append(file, view[written:])
        except DiskError as error:
            error.written = written
            raise
        if now <= 0:
            stuck = disk_error("write", file.path, errno.EIO)
            stuck.written = written
            raise stuck
        written += now


class RealDisk:
    """The operating system's file systems."""

    def create(self, path: str, replace: bool = False) -> DiskFile:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
        return self._open("create", path, flags)

    def open_append(self, path: str) -> DiskFile:
        return self._open("open", path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def open_update(self, path: str) -> DiskFile:
        return self._open("open", path, os.O_WRONLY | os.O_CLOEXEC)

    def write_at(self, file: DiskFile, offset: int, data: Buffer) -> None:
        try:
            written = os.pwrite(file.descriptor, data, offset)
        except OSError as error:
            raise disk_error("write", file.path, error.errno) from error
        if written != len(data):  # of a file that is there already: not for lack of space
            raise disk_error("write", file.path, errno.EIO)

    def _open(self, operation: str, path: str, flags: int) -> DiskFile:
        try:
            return DiskFile(path, os.open(path, flags, FILE_MODE))
        except OSError as error:
            raise disk_error(operation, path, error.errno) from error

    def append(self, file: DiskFile, *parts: Buffer) -> int:
        try:
            if len(parts) == 1:
                return os.write(file.descriptor, parts[0])
            return os.writev(file.descriptor, parts)
        except OSError as error:
            raise disk_error("write", file.path, error.errno) from error

    def fsync(self, file: DiskFile) -> None:
        try:
            if sys.platform == "darwin":
                fcntl.fcntl(file.descriptor, fcntl.F_FULLFSYNC)
            else:
                os.fsync(file.descriptor)
        except OSError as error:
            raise disk_error("fsync", file.path, error.errno) from error

    def fdatasync(self, file: DiskFile) -> None:
        if sys.platform == "darwin":
            self.fsync(file)
            return
        try:
            os.fdatasync(file.descriptor)
        except OSError as error:
            raise disk_error("fsync", file.path, error.errno) from error

    def truncate(self, file: DiskFile, size: int) -> None:
        try:
            os.ftruncate(file.descriptor, size)
        except OSError as error:
            raise disk_error("truncate", file.path, error.errno) from error

    def close(self, file: DiskFile) -> None:
        descriptor, file.descriptor = file.descriptor, -1
        try:
            os.close(descriptor)
        except OSError as error:
            raise disk_error("close", file.path, error.errno) from error

    def rename(self, source: str, target: str) -> None:
        try:
            os.replace(source, target)
        except OSError as error:
            raise disk_error(f"rename to {target}", source, error.errno) from error

    def unlink(self, path: str) -> None:
        try:
            os.unlink(path)
        except OSError as error:
            raise disk_error("remove", path, error.errno) from error

    def make_directory(self, path: str) -> None:
        try:
            os.mkdir(path, DIRECTORY_MODE)
        except OSError as error:
            if not (error.errno == errno.EEXIST and os.path.isdir(path)):
                raise disk_error("create directory", path, error.errno) from error

    def sync_directory(self, path: str) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            # Some network file systems have no such thing: their names are safe at once, or never.
            if error.errno not in (errno.EINVAL, errno.EBADF):
                raise disk_error("fsync directory", path, error.errno) from error

    def list_directory(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except OSError as error:
            raise disk_error("list", path, error.errno) from error

    def exists(self, path: str) -> bool:
        try:
            os.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise disk_error("look for", path, error.errno) from error
        return True

    def size(self, path: str) -> int:
        try:
            return os.stat(path).st_size
        except OSError as error:
            raise disk_error("look at", path, error.errno) from error

    def read(self, path: str) -> bytes:
        try:
            with open(path, "rb", buffering=0) as file:
                return file.readall()
        except OSError as error:
            raise disk_error("read", path, error.errno) from error

    def view(self, path: str) -> FileView:
        try:
            with open(path, "rb", buffering=0) as file:
                # An empty file cannot be mapped.
                if os.fstat(file.fileno()).st_size == 0:
                    return FileView(file.readall())
                return FileView(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise disk_error("read", path, error.errno) from error

    def free_bytes(self, path: str) -> int:
        try:
            answer = os.statvfs(path)
        except OSError as error:
            raise disk_error("ask for free space in", path, error.errno) from error
        return answer.f_bavail * answer.f_frsize
