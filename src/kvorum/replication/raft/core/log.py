"""The log: the storage's stable part and the unstable end as one, and how far it is committed and applied.

Invariants: ``applied <= applying <= committed <= last_index()``; what is committed never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvorum.replication.raft.core.entries import NO_LIMIT, Entry, EntryId, Snapshot, entries_size, limit_size
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, UnavailableError
from kvorum.replication.raft.core.logger import Logger
from kvorum.replication.raft.core.storage import Storage
from kvorum.replication.raft.core.unstable import UNKNOWN_TERM, Unstable


class RaftLog:
    """``committed``: on the disks of a quorum, as far as is known here. ``applying``: handed out to be applied.
    ``applied``: reported as applied. At most ``max_applying_size`` bytes are handed out and not yet reported."""

    def __init__(self, storage: Storage, logger: Logger, max_applying_size: int = NO_LIMIT) -> None:
        self.storage = storage
        self.unstable = Unstable(storage.last_index() + 1)
        self.committed = self.applying = self.applied = storage.first_index() - 1
        self._logger = logger
        self._max_applying_size = max_applying_size
        self._applying_size = 0
        self._applying_paused = False

    # Where it begins and ends, and what is at an index.

    def first_index(self) -> int:
        snapshot = self.unstable.snapshot
        return self.storage.first_index() if snapshot is None else snapshot.index + 1

    def last_index(self) -> int:
        unstable = self.unstable
        if unstable.entries:
            return unstable.offset + len(unstable.entries) - 1
        return self.storage.last_index() if unstable.snapshot is None else unstable.snapshot.index

    def last_entry_id(self) -> EntryId:
        index = self.last_index()
        term = self.term(index)
        if term == UNKNOWN_TERM:
            raise InvariantError(f"the log has no term for its last entry {index}")
        return EntryId(term, index)

    def term(self, index: int) -> int:
        """UNKNOWN_TERM if the entry was compacted or does not exist."""
        unstable = self.unstable
        if index >= unstable.offset or unstable.snapshot is not None:
            return unstable.term(index)
        try:
            return self.storage.term(index)
        except (CompactedError, UnavailableError):
            return UNKNOWN_TERM

    def match_term(self, index: int, term: int) -> bool:
        """Whether this very entry is here."""
        return self.term(index) == term

    def is_up_to_date(self, last: EntryId) -> bool:
        """Whether a log that ends so is no older than this one (section 5.4.1 of the paper)."""
        own = self.last_entry_id()
        return (last.term, last.index) >= (own.term, own.index)

    def entries(self, low: int, max_size: int) -> list[Entry]:
        """From ``low`` to the end, limited. Raises CompactedError."""
        high = self.last_index() + 1
        return self.slice(low, high, max_size) if low < high else []

    def slice(self, low: int, high: int, max_size: int) -> list[Entry]:
        """Entries ``low`` to ``high - 1`` as far as they fit into ``max_size`` bytes, at least one. Raises CompactedError."""
        offset = self.unstable.offset
        if low < offset and low < self.first_index():
            raise CompactedError
        if not low <= high <= self.last_index() + 1:
            raise InvariantError(f"entries {low} to {high - 1} are not in a log that ends at {self.last_index()}")
        if low >= offset:
            return limit_size(self.unstable.slice(low, high), max_size)
        stable_high = min(high, offset)
        entries = self.storage.entries(low, stable_high, max_size)
        if high <= offset or len(entries) < stable_high - low:
            return entries
        room = max_size - entries_size(entries)
        if room > 0:
            rest = limit_size(self.unstable.slice(offset, high), room)
            # One entry comes in any case; here it need not.
            if len(rest) > 1 or entries_size(rest) <= room:
                entries += rest
        return entries

    def scan(self, low: int, high: int) -> Iterator[Entry]:
        """Entries ``low`` to ``high - 1``, read piece by piece."""
        while low < high:
            entries = self.slice(low, high, self._max_applying_size)
            yield from entries
            low += len(entries)

    def snapshot(self) -> Snapshot:
        """The newest one. Raises SnapshotTemporarilyUnavailableError."""
        return self.storage.snapshot() if self.unstable.snapshot is None else self.unstable.snapshot

    # Appending.

    def maybe_append(self, previous: EntryId, entries: Sequence[Entry], committed: int) -> int | None:
        """Add the entries of a leader, if the entry before them is here; None if it is not. Returns the index of the last
        one. Only entries that contradict the leader's are replaced, so that a delayed message cannot undo anything."""
        if not self.match_term(previous.index, previous.term):
            return None
        last = previous.index + len(entries)
        conflict = self.find_conflict(entries)
        if conflict is not None:
            self.append(entries[conflict - previous.index - 1 :])
        self.commit_to(min(committed, last))
        return last

    def find_conflict(self, entries: Sequence[Entry]) -> int | None:
        """Index of the first of them that is missing here or has another term here."""
        for entry in entries:
            if self.term(entry.index) != entry.term:
                if entry.index <= self.last_index():
                    self._logger.info(
                        "entries are overruled",
                        index=entry.index,
                        existing_term=self.term(entry.index),
                        conflicting_term=entry.term,
                    )
                return entry.index
        return None

    def find_conflict_by_term(self, index: int, term: int) -> EntryId:
        """Where this log may end matching another one, of which only one entry is known: the last entry up to ``index`` whose
        term is not above ``term``. Term 0 means that the term of that entry is not known, or that there is none.

        Terms never go down in a log, so everything in between would contradict that entry: whole terms are skipped where
        trying one entry after the other would take one round trip each.
        """
        while index > 0:
            own = self.term(index)
            if own == UNKNOWN_TERM:
                return EntryId(0, index)
            if own <= term:
                return EntryId(own, index)
            index -= 1
        return EntryId(0, 0)

    def append(self, entries: Sequence[Entry]) -> int:
        """Add entries, in place of what is there from the first of them on. Returns the last index."""
        if entries:
            if entries[0].index <= self.committed:
                raise InvariantError(f"entry {entries[0].index} is committed and would be replaced")
            self.unstable.truncate_and_append(entries)
        return self.last_index()

    def restore(self, snapshot: Snapshot) -> None:
        self._logger.info("log begins again with a snapshot", index=snapshot.index, term=snapshot.term)
        self.committed = snapshot.index
        self.unstable.restore(snapshot)

    # Committing.

    def commit_to(self, index: int) -> None:
        """Never goes back."""
        if index > self.committed:
            if index > self.last_index():
                raise InvariantError(
                    f"entry {index} is committed, but this log ends at {self.last_index()}: was it lost?"
                )
            self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commit up to this entry if it is one of that term; a leader may count acknowledgements only for entries of its own
        term (section 5.4.2 of the paper). Whether anything is new."""
        if index > self.committed and self.match_term(index, term):
            self.commit_to(index)
            return True
        return False

    # Applying.

    def _max_appliable_index(self, allow_unstable: bool) -> int:
        return self.committed if allow_unstable else min(self.committed, self.unstable.offset - 1)

    def has_next_committed_entries(self, allow_unstable: bool) -> bool:
        """Nothing is applied while a snapshot waits, which comes first."""
        return (
            not self._applying_paused
            and self.unstable.snapshot is None
            and self.applying < self._max_appliable_index(allow_unstable)
        )

    def next_committed_entries(self, allow_unstable: bool) -> list[Entry]:
        """What may be applied next. With ``allow_unstable`` also entries that are not on the own disk yet."""
        if not self.has_next_committed_entries(allow_unstable):
            return []
        high = self._max_appliable_index(allow_unstable) + 1
        return self.slice(self.applying + 1, high, self._max_applying_size - self._applying_size)

    def accept_applying(self, index: int, size: int, allow_unstable: bool) -> None:
        """Entries up to ``index`` with so many bytes have been handed out. If there would have been more, the limit was
        reached, and nothing is handed out until something has been applied."""
        if index > self.committed:
            raise InvariantError(f"entry {index} is applied, but only {self.committed} is committed")
        self.applying = index
        self._applying_size += size
        self._applying_paused = self._applying_size >= self._max_applying_size or index < self._max_appliable_index(
            allow_unstable
        )

    def applied_to(self, index: int, size: int) -> None:
        if not self.applied <= index <= self.committed:
            raise InvariantError(f"applied {index} is not between {self.applied} and {self.committed}")
        self.applied = index
        self.applying = max(self.applying, index)
        self._applying_size = max(0, self._applying_size - size)
        self._applying_paused = self._applying_size >= self._max_applying_size
