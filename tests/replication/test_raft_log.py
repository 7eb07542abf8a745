"""The log as a whole, whatever part of it is in the storage, being written, or compacted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kvorum.replication.raft.core.entries import NO_LIMIT, Entry, EntryId, Snapshot, entries_size
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, UnavailableError
from kvorum.replication.raft.core.log import RaftLog
from kvorum.replication.raft.core.logger import SilentLogger
from kvorum.replication.raft.core.storage import MemoryStorage
from kvorum.replication.raft.core.unstable import UNKNOWN_TERM


def log_of(terms: list[int], *, stable: int = 0) -> RaftLog:
    """A log with entries of these terms from index 1 on, of which the first ``stable`` are in the storage."""
    storage = MemoryStorage()
    entries = [Entry(term, index) for index, term in enumerate(terms, 1)]
    storage.append(entries[:stable])
    log = RaftLog(storage, SilentLogger())
    log.append(entries[stable:])
    return log


@pytest.mark.parametrize("stable", [0, 1, 3])
@pytest.mark.parametrize(
    ("term", "index", "newer"), [(1, 9, False), (3, 2, False), (3, 3, True), (3, 4, True), (4, 1, True)]
)
def test_whose_log_is_newer(stable: int, term: int, index: int, newer: bool) -> None:
    assert log_of([1, 2, 3], stable=stable).is_up_to_date(EntryId(term, index)) is newer


@pytest.mark.parametrize(
    ("ours", "theirs", "place"),
    [
        # The leader learns that the follower's log has term 2 at 6: of its own entries only the first can be there.
        ([1, 3, 3, 3, 5, 5, 5, 5, 5], EntryId(2, 6), EntryId(1, 1)),
        # The follower learns that the leader's log has term 3 at 8: what it has of higher terms cannot be there.
        ([1, 3, 3, 4, 4, 5, 5, 5, 6], EntryId(3, 8), EntryId(3, 3)),
        ([2, 2, 2], EntryId(1, 3), EntryId(0, 0)),
        ([1, 1, 1], EntryId(1, 3), EntryId(1, 3)),
        ([1, 1, 1], EntryId(5, 9), EntryId(0, 9)),
    ],
)
def test_where_two_logs_may_match(ours: list[int], theirs: EntryId, place: EntryId) -> None:
    assert log_of(ours).find_conflict_by_term(theirs.index, theirs.term) == place


def test_a_delayed_append_removes_nothing() -> None:
    log = log_of([1, 1, 1, 2])
    assert log.maybe_append(EntryId(1, 1), [Entry(1, 2)], committed=9) == 2
    assert log.last_index() == 4
    assert log.committed == 2, "no more than this message is known to match"


def test_an_append_replaces_what_contradicts_it() -> None:
    log = log_of([1, 1, 2, 2], stable=3)
    assert log.maybe_append(EntryId(1, 1), [Entry(1, 2), Entry(3, 3)], committed=2) == 3
    assert log.last_entry_id() == EntryId(3, 3)
    assert log.unstable.next_entries() == [Entry(3, 3)]


def test_an_append_that_does_not_fit_changes_nothing() -> None:
    log = log_of([1, 1])
    assert log.maybe_append(EntryId(1, 3), [Entry(1, 4)], committed=4) is None
    assert log.maybe_append(EntryId(2, 2), [Entry(2, 3)], committed=3) is None
    assert (log.last_index(), log.committed) == (2, 0)


def test_what_is_committed_is_never_replaced() -> None:
    log = log_of([1, 1])
    log.commit_to(2)
    with pytest.raises(InvariantError):
        log.append([Entry(2, 2)])


def test_a_commit_index_beyond_the_log_means_that_the_log_was_lost() -> None:
    with pytest.raises(InvariantError):
        log_of([1, 1]).commit_to(3)


def test_reports_of_writes_that_were_overtaken_are_ignored() -> None:
    log = log_of([1, 1])
    log.unstable.accept_in_progress()
    log.append([Entry(2, 2)])
    log.unstable.stable_to(2, 1)
    assert log.unstable.next_entries() == [Entry(2, 2)]
    assert len(log.unstable.entries) == 2
    log.unstable.stable_to(1, 1)
    log.unstable.stable_to(1, 1)
    assert log.unstable.entries == [Entry(2, 2)]


class LogMachine(RuleBasedStateMachine):
    """A log beside a plain list; ``written`` is what the storage has been given, in the order of the Readys."""

    @initialize(limit=st.sampled_from([1, 40, 100, NO_LIMIT]))
    def begin(self, limit: int) -> None:
        self.storage = MemoryStorage()
        self.log = RaftLog(self.storage, SilentLogger(), limit)
        self.limit = limit
        self.model = [Entry(0, 0)]
        self.first = 1
        self.term = 1
        self.writes: list[tuple[list[Entry], EntryId]] = []
        self.applying: list[Entry] = []

    @rule(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4))
    def append(self, sizes: list[int]) -> None:
        start = len(self.model)
        entries = [Entry(self.term, start + place, bytes(size)) for place, size in enumerate(sizes)]
        self.log.append(entries)
        self.model += entries

    @rule(data=st.data(), count=st.integers(1, 3))
    def overrule(self, data: st.DataObject, count: int) -> None:
        """A new leader; reports of the writes before it do not count any more."""
        self.term += 1
        self.writes = [(entries, EntryId(0, 0)) for entries, _ in self.writes]
        first = data.draw(st.integers(self.log.committed + 1, len(self.model)))
        entries = [Entry(self.term, first + place, b"new") for place in range(count)]
        self.log.append(entries)
        self.model[first:] = entries

    @rule()
    def hand_out(self) -> None:
        entries = self.log.unstable.next_entries()
        report = self.log.last_entry_id() if self.log.unstable.entries else EntryId(0, 0)
        self.log.unstable.accept_in_progress()
        self.writes.append((entries, report))

    @precondition(lambda self: self.writes)
    @rule()
    def write(self) -> None:
        entries, report = self.writes.pop(0)
        self.storage.append(entries)
        if report.index:
            self.log.unstable.stable_to(report.index, report.term)

    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        self.log.commit_to(data.draw(st.integers(self.log.committed, len(self.model) - 1)))

    @rule(allow_unstable=st.booleans())
    def apply(self, allow_unstable: bool) -> None:
        entries = self.log.next_committed_entries(allow_unstable)
        assert bool(entries) == self.log.has_next_committed_entries(allow_unstable)
        if entries:
            assert entries == self.model[self.log.applying + 1 : entries[-1].index + 1]
            self.log.accept_applying(entries[-1].index, entries_size(entries), allow_unstable)
            self.applying += entries
            outstanding = entries_size(self.applying)
            assert outstanding <= self.limit or len(entries) == 1

    @precondition(lambda self: self.applying)
    @rule(data=st.data())
    def applied(self, data: st.DataObject) -> None:
        count = data.draw(st.integers(1, len(self.applying)))
        done, self.applying = self.applying[:count], self.applying[count:]
        self.log.applied_to(done[-1].index, entries_size(done))

    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        last = min(self.log.applied, self.log.unstable.offset - 1, self.storage.last_index())
        if last >= self.first:
            self.first = data.draw(st.integers(self.first, last)) + 1
            self.storage.compact(self.first - 1)

    @rule(gap=st.integers(0, 3))
    def restore(self, gap: int) -> None:
        """A snapshot comes, is written and applied."""
        if self.writes or self.applying:
            return
        index = len(self.model) + gap
        snapshot = Snapshot(index, self.term)
        self.log.restore(snapshot)
        assert self.log.unstable.next_snapshot() == snapshot
        assert not self.log.has_next_committed_entries(True)
        self.model += [Entry(self.term, place) for place in range(len(self.model), index + 1)]
        self.first = index + 1
        self.check()
        self.log.unstable.accept_in_progress()
        self.storage.apply_snapshot(snapshot)
        self.log.unstable.stable_snapshot_to(index)
        self.log.applied_to(index, 0)

    @invariant()
    def check(self) -> None:
        log, last = self.log, len(self.model) - 1
        assert (log.first_index(), log.last_index()) == (self.first, last)
        assert log.last_entry_id().term == (self.model[last].term if last else 0)
        for index in range(self.first - 1, last + 1):
            assert log.term(index) == self.model[index].term
        assert log.term(last + 1) == log.term(self.first - 2) == UNKNOWN_TERM
        assert log.entries(self.first, NO_LIMIT) == self.model[self.first :]
        assert list(log.scan(self.first, last + 1)) == self.model[self.first :]

    @rule(data=st.data(), size=st.integers(0, 200))
    def slice(self, data: st.DataObject, size: int) -> None:
        low = data.draw(st.integers(self.first, len(self.model)))
        high = data.draw(st.integers(low, len(self.model)))
        entries = self.log.slice(low, high, size)
        assert entries == self.model[low : low + len(entries)]
        assert bool(entries) == (low < high)
        assert len(entries) <= 1 or entries_size(entries) <= size
        if len(entries) < high - low:
            assert entries_size(self.model[low : low + len(entries) + 1]) > size
        with pytest.raises(CompactedError):
            self.log.slice(self.first - 1, high, size)
        with pytest.raises(InvariantError):
            self.log.slice(low, len(self.model) + 1, size)


LogMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLog = LogMachine.TestCase


@given(st.integers(1, 5), st.integers(6, 9))
def test_the_storage_knows_what_is_gone_and_what_never_was(compacted: int, beyond: int) -> None:
    storage = MemoryStorage()
    storage.append([Entry(index, index) for index in range(1, 6)])
    storage.compact(compacted)
    assert storage.term(compacted) == compacted
    with pytest.raises(CompactedError):
        storage.entries(compacted, 6, NO_LIMIT)
    with pytest.raises(CompactedError):
        storage.term(compacted - 1)
    with pytest.raises(UnavailableError):
        storage.term(beyond)
    with pytest.raises(UnavailableError):
        storage.entries(compacted + 1, beyond + 1, NO_LIMIT)
    if compacted < 5:
        rest = [Entry(index, index) for index in range(compacted + 1, 6)]
        assert storage.entries(compacted + 1, 6, NO_LIMIT) == rest
