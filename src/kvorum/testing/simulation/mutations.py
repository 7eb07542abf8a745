"""Bugs that consensus is known for, to be put into it: the simulation must catch every one, or it proves nothing.

Each is a context manager under which the group has the bug. ``python -m kvorum.testing.simulation --mutation NAME 1-50``
runs seeds with it until one fails, and is content only then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from kvorum.replication.raft.core.entries import Entry, HardState
from kvorum.replication.raft.core.log import RaftLog
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.raft import Raft
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.unstable import Unstable
from kvorum.replication.raft.driver import RaftDriver
from kvorum.replication.raft.hard_state import HardStateFile


@contextmanager
def no_entry_at_term_start() -> Iterator[None]:
    """A leader does not begin its term with an entry of its own, and takes what it has for committed."""
    original = Raft.append_entries

    def append_entries(self: Raft, entries: list[Entry]) -> bool:
        is_first = len(entries) == 1 and entries[0] == Entry(0, 0) and self.log.last_entry_id().term != self.term
        return True if is_first else original(self, entries)

    with (
        mock.patch.object(Raft, "append_entries", append_entries),
        mock.patch.object(Raft, "committed_entry_in_current_term", return_value=True),
    ):
        yield


@contextmanager
def acknowledgement_without_term() -> Iterator[None]:
    """Nobody looks at the term: what an older leader sends is taken and acknowledged, and what was acknowledged to it, or by the
    own disk in its time, counts in this term."""
    original = Raft.step

    def step(self: Raft, message: Message) -> None:
        if 0 < message.term < self.term:
            leads = self.role is Role.LEADER
            expected = MessageType.APPEND_RESPONSE if leads else MessageType.APPEND
            if message.type in (expected, MessageType.STORAGE_APPEND_RESPONSE):
                message = replace(message, term=self.term)
        original(self, message)

    def stable_to(self: Unstable, index: int, term: int) -> None:
        if self.offset <= index < self.offset + len(self.entries):
            original_stable_to(self, index, self.term(index))

    original_stable_to = Unstable.stable_to
    with mock.patch.object(Raft, "step", step), mock.patch.object(Unstable, "stable_to", stable_to):
        yield


@contextmanager
def unconditional_truncation() -> Iterator[None]:
    """Whatever a leader sends takes the place of what stands there, and of everything behind it."""

    def find_conflict(self: RaftLog, entries: Sequence[Entry]) -> int | None:
        behind = [entry.index for entry in entries if entry.index > self.committed]
        return behind[0] if behind else None

    with mock.patch.object(RaftLog, "find_conflict", find_conflict):
        yield


@contextmanager
def reused_read_context() -> Iterator[None]:
    """A late answer to one question of a reader passes for the answer to a later one."""

    class OneContext:
        @staticmethod
        def pack(reader: int, number: int) -> bytes:
            return b"%d" % reader

    with mock.patch("kvorum.replication.raft.driver._CONTEXT", OneContext):
        yield


@contextmanager
def vote_not_persisted() -> Iterator[None]:
    """Term and vote stay in memory until something else is written."""
    original = HardStateFile.save

    def save(self: Any, state: HardState, sync: bool) -> None:
        if self.state.term == 0:  # it is only just made
            original(self, state, sync)
        self._record = replace(self._record, state=state)

    with mock.patch.object(HardStateFile, "save", save):
        yield


@contextmanager
def commit_of_an_older_term() -> Iterator[None]:
    """A leader commits what a quorum has, of whichever term it is."""

    def maybe_commit(self: RaftLog, index: int, term: int) -> bool:
        if index > self.committed:
            self.commit_to(index)
            return True
        return False

    with mock.patch.object(RaftLog, "maybe_commit", maybe_commit):
        yield


@contextmanager
def acknowledgement_before_fsync() -> Iterator[None]:
    """What was written counts as safe."""

    def deliver_durable(self: Any) -> bool:
        told = False
        while self._waiting:
            for response in self._waiting.popleft()[1]:
                if response.to == self.node.raft.id:
                    self.node.step(response)
                    told = True
                else:
                    self.transport.send(response)
        self.transport.flush()
        return told

    with mock.patch.object(RaftDriver, "_deliver_durable", deliver_durable):
        yield


@contextmanager
def unconfirmed_reads() -> Iterator[None]:
    """A leader answers reads without asking whether it still leads."""
    with mock.patch.object(Raft, "holds_lease", return_value=True):
        yield


@contextmanager
def memory_not_rebuilt() -> Iterator[None]:
    """What another leader has overruled stays in the memory of who had executed it."""

    def rebuild_machine(self: RaftDriver) -> None:
        self.executed = self.applied

    with mock.patch.object(RaftDriver, "rebuild_machine", rebuild_machine):
        yield


@contextmanager
def snapshot_taken_for_installed() -> Iterator[None]:
    """A snapshot that comes while a compaction keeps the log still is acknowledged, and never installed."""

    def installed(self: Any) -> None:
        self.writing_paused = False
        unwritten, self._unwritten = self._unwritten, deque()
        for message in unwritten:
            if message.snapshot is not None:
                self._installing = None
                self._waiting.append((0, message.responses))
            else:
                self._write(message)

    with mock.patch.object(RaftDriver, "installed", installed):
        yield


@contextmanager
def alone_for_ever() -> Iterator[None]:
    """A leader that was alone goes on writing its log by itself when others have joined."""
    original = RaftDriver.leave_sole

    def leave_sole(self: Any) -> None:
        role_changed = self.machine.role_changed
        self.machine.role_changed = lambda: None
        try:
            original(self)
        finally:
            self.machine.role_changed = role_changed

    with mock.patch.object(RaftDriver, "leave_sole", leave_sole):
        yield


MUTATIONS: dict[str, Callable[[], AbstractContextManager[None]]] = {
    mutation.__name__: mutation
    for mutation in (
        no_entry_at_term_start,
        acknowledgement_without_term,
        unconditional_truncation,
        reused_read_context,
        vote_not_persisted,
        commit_of_an_older_term,
        acknowledgement_before_fsync,
        unconfirmed_reads,
        memory_not_rebuilt,
        alone_for_ever,
        snapshot_taken_for_installed,
    )
}
