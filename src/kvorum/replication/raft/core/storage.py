"""The stable part of the log as the core reads it; it never writes. And one that lives in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from kvorum.replication.raft.core.entries import ConfState, Entry, HardState, Snapshot, limit_size
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, SnapshotOutOfDateError, UnavailableError


class Storage(Protocol):
    """What has been written on the core's behalf, and nothing else: entries must not appear here before the core handed
    them out, nor vanish unless it handed out others in their place or a snapshot covers them.

    Anything that is raised and not listed here passes through the core; the node must then stop.
    """

    def initial_state(self) -> tuple[HardState, ConfState]:
        """Read once, at the start. The configuration is the one as of ``Config.applied``."""

    def entries(self, low: int, high: int, max_size: int) -> list[Entry]:
        """Entries ``low`` to ``high - 1``, as many as fit into ``max_size`` bytes (``entries_size``) but at least one. The list
        is the caller's. Raises CompactedError, UnavailableError."""

    def term(self, index: int) -> int:
        """Term of an entry between ``first_index() - 1`` and ``last_index()``: the term of the entry before the first one
        is known even though the entry is gone. Raises CompactedError, UnavailableError."""

    def last_index(self) -> int: ...

    def first_index(self) -> int: ...

    def snapshot(self) -> Snapshot:
        """The newest one. Raises SnapshotTemporarilyUnavailableError if there will be one later."""


class MemoryStorage:
    """A Storage for tests and simulations, with the writing side that a real one has, too."""

    def __init__(self) -> None:
        self.hard_state = HardState()
        self._snapshot = Snapshot()
        # The first stands for the last one that was compacted; it bears only index and term.
        self._entries = [Entry(0, 0)]

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.hard_state, self._snapshot.conf_state

    def entries(self, low: int, high: int, max_size: int) -> list[Entry]:
        offset = self._entries[0].index
        if low <= offset:
            raise CompactedError
        if high > self.last_index() + 1 or len(self._entries) == 1:
            raise UnavailableError
        return limit_size(self._entries[low - offset : high - offset], max_size)

    def term(self, index: int) -> int:
        offset = self._entries[0].index
        if index < offset:
            raise CompactedError
        if index - offset >= len(self._entries):
            raise UnavailableError
        return self._entries[index - offset].term

    def last_index(self) -> int:
        return self._entries[0].index + len(self._entries) - 1

    def first_index(self) -> int:
        return self._entries[0].index + 1

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def set_hard_state(self, hard_state: HardState) -> None:
        self.hard_state = hard_state

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Let the snapshot replace everything. Raises SnapshotOutOfDateError if it is older than the one that is here."""
        if self._snapshot.index != 0 and self._snapshot.index >= snapshot.index:
            raise SnapshotOutOfDateError
        self._snapshot = snapshot
        self._entries = [Entry(snapshot.term, snapshot.index)]

    def create_snapshot(self, index: int, conf_state: ConfState | None, data: bytes) -> Snapshot:
        """Record the state after ``index``; with None the configuration is that of the snapshot before."""
        if index <= self._snapshot.index:
            raise SnapshotOutOfDateError
        before = self._snapshot.conf_state
        self._snapshot = replace(
            self._snapshot, index=index, term=self.term(index), conf_state=conf_state or before, data=data
        )
        return self._snapshot

    def compact(self, index: int) -> None:
        """Drop every entry up to and with ``index``, which must have been applied."""
        offset = self._entries[0].index
        if index <= offset:
            raise CompactedError
        if index > self.last_index():
            raise UnavailableError
        last = self._entries[index - offset]
        self._entries = [Entry(last.term, last.index), *self._entries[index - offset + 1 :]]

    def append(self, entries: Sequence[Entry]) -> None:
        """Write these; whatever was there from the first of them on is gone."""
        if not entries:
            return
        skip = max(0, self.first_index() - entries[0].index)
        if skip >= len(entries):
            return
        at = entries[skip].index - self._entries[0].index
        if at > len(self._entries):
            raise InvariantError(f"entries {self.last_index() + 1} to {entries[0].index - 1} are missing")
        self._entries[at:] = entries[skip:]
