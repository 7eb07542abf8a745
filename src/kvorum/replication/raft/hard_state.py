"""The votes file: what a member has promised, and who it is.

``kvorum-raft`` has two slots of 512 bytes, a sector of a disk each. A slot holds the same record twice::

    magic 8 bytes, sequence 8, raft_id 8, term 8, vote 8, commit 8, group_id 16, zeros, CRC-32C 4     256 bytes, big-endian

The valid record with the highest sequence is in force. A save that has to be safe goes to the slot that the last such save
did not take, and is fsynced before it returns: whatever a crash makes of it, the other slot has what was promised. A new
commit index alone is not fsynced, and goes to that same other slot, again and again.

Why each record stands there twice: a crash leaves the beginning of what was written and behind it what was there before, so
one of the two is always whole. Where neither is, the slot is damaged and not torn; it may have held the last promise, and
the older one in the other slot must not be taken for it. Rejected: a new file and a rename for each save, which costs a
second fsync at the moment when a group waits for votes.
"""

from __future__ import annotations

import posixpath
import struct
from dataclasses import dataclass, replace
from typing import Final

from kvorum.journal.crc32c import crc32c
from kvorum.journal.directory import VOTES_FILE
from kvorum.journal.disk import Disk, DiskFile, append_all
from kvorum.replication.raft.core.entries import HardState

FILE_NAME: Final = VOTES_FILE
TEMPORARY_NAME: Final = "temp-kvorum-raft"
RECORD_BYTES: Final = 256
SLOT_BYTES: Final = 2 * RECORD_BYTES
SLOTS: Final = 2
LARGEST_ID: Final = 2**62
_MAGIC: Final = b"kvraft 1"
_MAGIC_OF_ANY: Final = b"kvraft "
_FIELDS: Final = struct.Struct(">8sQQQQQ16s")
_CHECKSUM: Final = struct.Struct(">I")
_NO_GROUP: Final = bytes(16)
_LARGEST: Final = 2**63 - 1
_REMEDY: Final = (
    "without it this member cannot know what it has promised: remove it from its group, empty its directory, and add it "
    "again as a new one"
)


class HardStateError(Exception):
    """The votes file cannot be used; the text names file, offset and remedy."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What one slot holds. ``group_id`` is 16 bytes, zeros before the member belongs to a group."""

    sequence: int
    raft_id: int
    state: HardState
    group_id: bytes

    def encode(self) -> bytes:
        state = self.state
        fields = _FIELDS.pack(_MAGIC, self.sequence, self.raft_id, state.term, state.vote, state.commit, self.group_id)
        text = fields.ljust(RECORD_BYTES - _CHECKSUM.size, b"\0")
        return text + _CHECKSUM.pack(crc32c(text))


class HardStateFile:
    """The open file of a member, until ``close``.

    ``state`` is what was saved last, ``raft_id`` a number from 1 to ``LARGEST_ID`` that was born with the file, ``group_id``
    32 hexadecimal digits, or empty. After a DiskError nobody knows what the file holds: the member must stop.
    """

    def __init__(self, disk: Disk, file: DiskFile, record: _Record, slot: int) -> None:
        self._disk = disk
        self._file = file
        self._record = record
        self._safe_slot = slot  # which the last fsynced record is in

    @classmethod
    def create(cls, disk: Disk, directory: str, raft_id: int) -> HardStateFile:
        """A new member's file, safe on disk; there must be none. DiskError."""
        assert 1 <= raft_id <= LARGEST_ID
        record = _Record(1, raft_id, HardState(), _NO_GROUP)
        temporary, path = posixpath.join(directory, TEMPORARY_NAME), posixpath.join(directory, FILE_NAME)
        assert not disk.exists(path), f"{path} is there already"
        file = disk.create(temporary, replace=True)
        try:
            append_all(disk, file, record.encode() * (SLOTS * SLOT_BYTES // RECORD_BYTES))
            disk.fsync(file)
        finally:
            disk.close(file)
        disk.rename(temporary, path)
        disk.sync_directory(directory)
        return cls(disk, disk.open_update(path), record, 0)

    @classmethod
    def open(cls, disk: Disk, directory: str) -> HardStateFile | None:
        """The file of the directory, None if there is none. What was found is made safe before it returns.

        :raises HardStateError: it is damaged, or of a later version.
        :raises DiskError: it cannot be read or written.
        """
        path = posixpath.join(directory, FILE_NAME)
        if not disk.exists(path):
            return None
        record, slot = _newest(disk.read(path), path)
        found = cls(disk, disk.open_update(path), record, slot)
        try:
            found._save(record, sync=True)
        except BaseException:
            found.close()
            raise
        return found

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def raft_id(self) -> int:
        return self._record.raft_id

    @property
    def group_id(self) -> str:
        group_id = self._record.group_id
        return "" if group_id == _NO_GROUP else group_id.hex()

    @property
    def state(self) -> HardState:
        return self._record.state

    def save(self, state: HardState, sync: bool) -> None:
        """Note a hard state; with ``sync`` it is safe on disk when this returns. Without, only the commit index may have
        changed. A commit index must not be beyond what is safe of the log. DiskError."""
        before = self._record.state
        assert sync or (state.term, state.vote) == (before.term, before.vote), "a promise has to be safe on disk"
        self._save(replace(self._record, state=state), sync)

    def set_group(self, group_id: str) -> None:
        """The member belongs to this group from now on, safely on disk. DiskError."""
        assert self.group_id in ("", group_id), f"the member belongs to the group {self.group_id} already"
        self._save(replace(self._record, group_id=bytes.fromhex(group_id)), sync=True)

    def close(self) -> None:
        """Done with it. DiskError."""
        self._disk.close(self._file)

    def _save(self, record: _Record, sync: bool) -> None:
        self._record = record = replace(record, sequence=self._record.sequence + 1)
        slot = 1 - self._safe_slot
        self._disk.write_at(self._file, slot * SLOT_BYTES, record.encode() * (SLOT_BYTES // RECORD_BYTES))
        if sync:
            self._disk.fdatasync(self._file)
            self._safe_slot = slot


def _newest(text: bytes, path: str) -> tuple[_Record, int]:
    """The record in force, and its slot."""
    if len(text) != SLOTS * SLOT_BYTES:
        raise HardStateError(f"{path}, byte {len(text)}: it has not {SLOTS * SLOT_BYTES} bytes; {_REMEDY}")
    best: tuple[_Record, int] | None = None
    for slot in range(SLOTS):
        start = slot * SLOT_BYTES
        records = [_decode(text[at : at + RECORD_BYTES]) for at in (start, start + RECORD_BYTES)]
        whole = [record for record in records if record is not None]
        if not whole:
            _refuse_later_version(text[start:], path, start)
            raise HardStateError(f"{path}, byte {start}: neither copy of the record has the right checksum; {_REMEDY}")
        newest = max(whole, key=lambda record: record.sequence)
        if best is None or newest.sequence > best[0].sequence:
            best = newest, slot
    assert best is not None
    return best


def _refuse_later_version(text: bytes, path: str, offset: int) -> None:
    if text.startswith(_MAGIC_OF_ANY) and not text.startswith(_MAGIC):
        raise HardStateError(
            f"{path}, byte {offset}: the file has an unknown format; start the version of kvorum that wrote it, or a later one"
        )


def _decode(text: bytes) -> _Record | None:
    """A record; None if it is not whole."""
    body = text[: -_CHECKSUM.size]
    if _CHECKSUM.pack(crc32c(body)) != text[-_CHECKSUM.size :]:
        return None
    magic, sequence, raft_id, term, vote, commit, group_id = _FIELDS.unpack_from(body)
    if magic != _MAGIC or not 1 <= raft_id <= LARGEST_ID or max(term, vote, commit) > _LARGEST:
        return None
    return _Record(sequence, raft_id, HardState(term, vote, commit), group_id)
