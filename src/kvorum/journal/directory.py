"""The append-only directory as a whole: one process at a time writes to it, and it belongs to one node.

**The lock** is a ``flock`` on the file ``kvorum-lock`` in the directory. The operating system takes it back when its
process ends, however that happens; what stands in the file, the process id, is only for the message to whoever comes
second. A fake disk has no locks.

**The identity** is a word, a UUID unless the operator chose another, that is born with the directory and stands in
``kvorum-node``, one line::

    kvorum-node 1 <identity> <CRC-32C of the line before this field, eight hexadecimal digits>

A directory without one (fresh, or redis-server's) gets one by ``claim``, which is called when the data in it turned out to
be usable: a start that fails leaves no identity behind. The file is complete and safe on disk before it has its name.

redis-server reads only what its manifest names, so neither file bothers it.

Rejected: the lock on the directory itself, which saves a file but tells nobody which process holds it, and fails on
network file systems; a pid file without a lock, which outlives its process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import posixpath
import re
import uuid
from collections.abc import Callable

from kvorum.journal.crc32c import crc32c
from kvorum.journal.disk import FILE_MODE, Disk, DiskError, RealDisk, append_all, disk_error

NODE_FILE = "kvorum-node"
TEMPORARY_NODE_FILE = "temp-kvorum-node"
LOCK_FILE = "kvorum-lock"
VOTES_FILE = "kvorum-raft"  # of a member of a group: see kvorum.replication.raft.hard_state
_NODE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rb"(kvorum-node ([0-9]{1,9}) ([A-Za-z0-9._-]{1,64})) ([0-9a-f]{8})\n")
_LONGEST_PID = 20
# A file system that has no locks: better to serve without than not at all.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class DirectoryError(Exception):
    """The directory cannot be used by this node or process; the text names file and remedy."""


class DirectoryInUseError(DirectoryError):
    """Another process writes to it. ``pid`` is its process id, 0 if that is unknown."""

    def __init__(self, path: str, pid: int) -> None:
        super().__init__(path, pid)
        self.path = path
        self.pid = pid

    def __str__(self) -> str:
        who = f"the process {self.pid}" if self.pid else "another process"
        if self.pid == os.getpid():
            who = f"another server in this process ({self.pid})"
        return f"{self.path}: {who} is using this directory; stop that server first, or take another directory (dir)"


def is_node_id(word: str) -> bool:
    """Whether a node can be called that."""
    return _NODE_ID.fullmatch(word) is not None


def format_node(node_id: str) -> bytes:
    """The content of ``kvorum-node``."""
    head = b"kvorum-node 1 " + node_id.encode()
    return b"%b %08x\n" % (head, crc32c(head))


def parse_node(text: bytes, file: str) -> str:
    """The identity that stands in ``file``; raises DirectoryError."""
    remedy = "if you know the node's identity, remove this file and start with --node-id IDENTITY; else restore it"
    found = _LINE.fullmatch(text)
    if found is None:
        raise DirectoryError(f"{file}, byte 0: this is not `kvorum-node 1 IDENTITY CHECKSUM`; {remedy}")
    if crc32c(found[1]) != int(found[4], 16):
        raise DirectoryError(f"{file}, byte {found.start(4)}: the checksum does not fit the line; {remedy}")
    if found[2] != b"1":
        what = f"the unknown format {int(found[2])}; start the version of kvorum that wrote it, or a later one"
        raise DirectoryError(f"{file}, byte {found.start(2)}: {what}")
    return found[3].decode()


def read_node(disk: Disk, path: str) -> str:
    """The identity of the directory ``path``, empty if it has none yet; raises DirectoryError and DiskError."""
    file = posixpath.join(path, NODE_FILE)
    return parse_node(disk.read(file), file) if disk.exists(file) else ""


class DataDirectory:
    """A directory that this process may write to, until ``close``. ``node_id`` is the identity of its node."""

    def __init__(self, disk: Disk, path: str, node_id: str, is_claimed: bool, lock: int) -> None:
        self.path = path
        self.node_id = node_id
        self._disk = disk
        self._is_claimed = is_claimed
        self._lock = lock

    @classmethod
    def open(
        cls,
        disk: Disk,
        path: str,
        node_id: str = "",
        make_id: Callable[[], object] = uuid.uuid4,
        checks_node: bool = True,
    ) -> DataDirectory:
        """Take the directory, which is made if there is none. ``node_id``: who it must belong to; empty: to whomever.
        ``checks_node``: whether it matters if the identity can be read; else it is not to be claimed.

        :raises DirectoryError: another process or node has it, or its identity cannot be read.
        :raises DiskError: it cannot be made, read or locked.
        """
        if not disk.exists(path):
            disk.make_directory(path)
            disk.sync_directory(posixpath.dirname(path) or ".")
        lock = _lock(path) if isinstance(disk, RealDisk) else -1
        try:
            found = read_node(disk, path) if checks_node else ""
            if node_id and found and node_id != found:
                raise DirectoryError(
                    f"{posixpath.join(path, NODE_FILE)}, byte 0: the directory belongs to the node {found}, and this is "
                    f"the node {node_id}; start it with --node-id {found}, or in another directory (dir)"
                )
        except BaseException:
            _unlock(lock)
            raise
        return cls(disk, path, found or node_id or str(make_id()), bool(found), lock)

    def claim(self) -> None:
        """Write the identity down, if that has not been done; DiskError."""
        if self._is_claimed:
            return
        disk, temporary = self._disk, posixpath.join(self.path, TEMPORARY_NODE_FILE)
        file = disk.create(temporary, replace=True)
        try:
            append_all(disk, file, format_node(self.node_id))
            disk.fsync(file)
        finally:
            disk.close(file)
        disk.rename(temporary, posixpath.join(self.path, NODE_FILE))
        disk.sync_directory(self.path)
        self._is_claimed = True

    def close(self) -> None:
        """Let others have it; twice is harmless."""
        lock, self._lock = self._lock, -1
        _unlock(lock)


def holder(path: str) -> int | None:
    """The process that has the directory: its id, 0 if that is unknown, None if nobody has it. Nothing is changed."""
    try:
        descriptor = os.open(posixpath.join(path, LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _lock(path: str) -> int:
    """The descriptor that holds the lock."""
    file = posixpath.join(path, LOCK_FILE)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise disk_error("open", file, error.errno) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        pid = _pid_in(descriptor)
        os.close(descriptor)
        raise DirectoryInUseError(path, pid) from None
    except OSError as error:
        if error.errno == errno.ENOSPC or error.errno in _NO_LOCKS:
            return descriptor  # without the process id, which is only for a message
        os.close(descriptor)
        raise disk_error("lock", file, error.errno) from error
    return descriptor


def _pid_in(descriptor: int) -> int:
    text = os.pread(descriptor, _LONGEST_PID, 0).strip()
    return int(text) if text.isdigit() else 0


def _unlock(descriptor: int) -> None:
    if descriptor < 0:
        return
    try:
        os.ftruncate(descriptor, 0)
    except OSError:
        pass  # an old process id stays behind: whoever takes the lock next replaces it
    finally:
        os.close(descriptor)


__all__ = ["DataDirectory", "DirectoryError", "DirectoryInUseError", "DiskError", "holder", "is_node_id", "read_node"]
