"""The end of the log that is not in the storage yet: entries, and perhaps a snapshot that replaces everything before.

It serves twice: what is new is handed out to be written, and what is being written still answers for itself until the
storage can. Entries before ``offset_in_progress`` have been handed out.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvorum.replication.raft.core.entries import Entry, Snapshot
from kvorum.replication.raft.core.errors import InvariantError

# No entry has this term: it is not known here.
UNKNOWN_TERM = -1


class Unstable:
    """``entries[i]`` has the index ``offset + i``. The offset may be less than the last index of the storage: then the next
    write cuts the storage's log off first."""

    __slots__ = ("entries", "offset", "offset_in_progress", "snapshot", "snapshot_in_progress")

    def __init__(self, offset: int) -> None:
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False
        self.entries: list[Entry] = []
        self.offset = offset
        self.offset_in_progress = offset

    def term(self, index: int) -> int:
        """UNKNOWN_TERM if the entry is not here."""
        at = index - self.offset
        if 0 <= at < len(self.entries):
            return self.entries[at].term
        if self.snapshot is not None and self.snapshot.index == index:
            return self.snapshot.term
        return UNKNOWN_TERM

    def has_next_entries(self) -> bool:
        return self.offset_in_progress - self.offset < len(self.entries)

    def next_entries(self) -> list[Entry]:
        """What has not been handed out."""
        return self.entries[self.offset_in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """Everything has been handed out."""
        self.offset_in_progress = self.offset + len(self.entries)
        self.snapshot_in_progress = self.snapshot is not None

    def stable_to(self, index: int, term: int) -> None:
        """The storage has all entries up to this one and no write is under way that could replace them. If the entry is not
        here or has another term by now, then this speaks of entries that are gone, and is ignored."""
        if index < self.offset or self.term(index) != term:
            return
        del self.entries[: index + 1 - self.offset]
        self.offset = index + 1
        self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def stable_snapshot_to(self, index: int) -> None:
        if self.snapshot is not None and self.snapshot.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """The snapshot replaces everything."""
        self.offset = snapshot.index + 1
        self.offset_in_progress = self.offset
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: Sequence[Entry]) -> None:
        """Add entries; what was there from the first of them on is gone, and must be handed out again."""
        first = entries[0].index
        if first > self.offset + len(self.entries):
            raise InvariantError(f"gap in the log before entry {first}")
        if first <= self.offset:
            self.entries = list(entries)
            self.offset = first
        else:
            self.entries[first - self.offset :] = entries
        self.offset_in_progress = max(self.offset, min(self.offset_in_progress, first))

    def slice(self, low: int, high: int) -> list[Entry]:
        """Entries ``low`` to ``high - 1``, which must all be here."""
        if not self.offset <= low <= high <= self.offset + len(self.entries):
            raise InvariantError(f"entries {low} to {high - 1} are not among the unstable ones")
        return self.entries[low - self.offset : high - self.offset]
