"""A crash at every moment in the life of a group's member: its votes, and its log when entries are cut off or replaced.

As in ``test_crash_states.py`` the disk records everything, and every state that a crash may leave is read by a fresh start. Of
the log it must find exactly what it was at some moment: nothing mixed, nothing that was cut off for good, and everything
that was safe then. Each fsync is left out once, and the test must notice.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvorum.journal.disk import DiskFile
from kvorum.journal.journal import Journal
from kvorum.journal.manifest import Manifest
from kvorum.journal.recovery import Recovery, RecoveryError
from kvorum.keyspace.table import Keyspace
from kvorum.replication.raft.core.entries import ConfState, Entry, EntryType, HardState, Snapshot
from kvorum.replication.raft.entry_data import encode
from kvorum.replication.raft.hard_state import HardStateError, HardStateFile
from kvorum.replication.raft.storage import JournalStorage
from kvorum.testing.disk import CrashState, FakeDisk

pytestmark = pytest.mark.timeout(300)

PLACE = "/data/log"
FILENAME = "a.aof"
EVERYTHING = 1 << 40
Forget = Callable[[str, str], bool]


class BrokenPromiseError(AssertionError):
    """A crash took what was promised, or left what never was."""


class ForgetfulDisk(FakeDisk):
    """Leaves out fsyncs: ``forget`` is asked with the operation and the path."""

    def __init__(self, forget: Forget | None = None) -> None:
        super().__init__(("/", "/data", PLACE))
        self.forget = forget

    def fsync(self, file: DiskFile) -> None:
        if self.forget is None or not self.forget("fsync", file.path):
            super().fsync(file)

    def fdatasync(self, file: DiskFile) -> None:
        if self.forget is None or not self.forget("fdatasync", file.path):
            super().fdatasync(file)

    def sync_directory(self, path: str) -> None:
        if self.forget is None or not self.forget("sync_directory", path):
            super().sync_directory(path)


# The votes


def vote(disk: FakeDisk) -> list[tuple[int, HardState]]:
    """Saves all kinds of things; the number of operations before each and what was promised after it, in order."""
    promised: list[tuple[int, HardState]] = []
    file = HardStateFile.create(disk, "/data", 7)
    promised.append((len(disk.operations), file.state))
    for term, vote, commit, sync in (
        (1, 0, 0, True), (1, 3, 0, True), (1, 3, 5, False), (1, 3, 6, False), (2, 1, 6, True), (2, 1, 8, False),
        (4, 2, 8, True), (5, 2, 8, True),
    ):  # fmt: skip
        file.save(HardState(term, vote, commit), sync)
        if sync:
            promised.append((len(disk.operations), file.state))
    file.close()
    return promised


def check_votes(state: CrashState, promised: list[tuple[int, HardState]]) -> None:
    """Whether what is found after a crash has the last promise made before it, or what came after."""
    last = max((after for after, _ in promised if after <= state.after), default=-1)
    try:
        for life in range(2):  # the second life finds what the first has found
            file = HardStateFile.open(disk := state.disk(), "/data")
            if file is None:
                if last >= 0:
                    raise BrokenPromiseError(f"{state.what}: the file is gone")
                return
            found = file.state
            file.close()
            if last >= 0 and (found.term, found.vote) < max((one.term, 0) for at, one in promised if at <= last):
                raise BrokenPromiseError(f"{state.what}: life {life} finds {found}")
            known = {(one.term, one.vote) for at, one in promised if at >= last} | ({(0, 0)} if last < 0 else set())
            if (found.term, found.vote) not in known or found.commit > 8:
                raise BrokenPromiseError(f"{state.what}: life {life} finds {found}, promised were {promised}")
            state = CrashState(state.after, disk.files, state.directories, state.what)
    except HardStateError as error:
        raise BrokenPromiseError(f"{state.what}: {error}") from error


def check_all_votes(disk: FakeDisk, promised: list[tuple[int, HardState]]) -> int:
    """How many states a crash may leave; all are checked."""
    states = 0
    for state in disk.crash_states():
        check_votes(state, promised)
        states += 1
    return states


def test_no_crash_makes_a_vote_forgotten() -> None:
    disk = FakeDisk()
    disk.small_bytes = 4096  # torn at every byte
    assert check_all_votes(disk, vote(disk)) > 1000


def test_a_vote_that_is_not_fsynced_is_noticed() -> None:
    for left_out in ("fsync", "fdatasync", "sync_directory"):
        disk = ForgetfulDisk(lambda operation, path, left_out=left_out: operation == left_out)  # type: ignore[misc]
        promised = vote(disk)
        with pytest.raises(BrokenPromiseError):
            check_all_votes(disk, promised)


def test_a_start_that_crashes_finds_the_votes_again() -> None:
    disk = FakeDisk()
    promised = vote(disk)
    for state in disk.crash_states():
        if state.after < len(disk.operations) - 4:
            continue
        second = state.disk()
        second.small_bytes = 4096
        found = HardStateFile.open(second, "/data")
        assert found is not None
        found.close()
        for again in second.crash_states():
            check_votes(CrashState(state.after, again.files, again.directories, again.what), promised)


# The log

Log = tuple[int, tuple[Entry, ...]]  # the index that the base ends with, and what follows


class Member:
    """A member's log over a recording disk, and what it was at each moment. ``moments``: the number of operations before, and
    the log as it may be from then on; ``promises``: the number of operations after, the moment, and what is safe."""

    def __init__(self, disk: FakeDisk) -> None:
        self.disk = disk
        self.moments: list[tuple[int, Log]] = [(0, (0, ()))]
        self.promises: list[tuple[int, int, Log]] = []
        self.journal = Journal(disk, PLACE, FILENAME, Manifest(), clock=lambda: 5)
        self.storage = JournalStorage(self.journal, HardState(), ConfState(), Snapshot(), cache_bytes=0)
        self.promise()

    @property
    def log(self) -> Log:
        return self.moments[-1][1]

    def append(self, term: int, first: int, last: int, size: int = 3) -> None:
        base, before = self.log
        added = [entry(term, index, size) for index in range(first, last + 1)]
        kept = before[: first - base - 1]
        began = len(self.disk.operations)
        for count in range(len(before) - 1, len(kept) - 1, -1):  # files are cut one after the other
            self.moments.append((began, (base, before[:count])))
        cut = len(self.moments) - 1
        for count in range(1, len(added) + 1):
            self.moments.append((began, (base, (*kept, *added[:count]))))
        self.storage.append(added)
        if kept != before:  # what was cut off must never come back
            self.promises.append((len(self.disk.operations), cut, (base, kept)))

    def flush(self) -> None:
        self.journal.flusher.flush_now()
        self.promise()

    def promise(self) -> None:
        self.promises.append((len(self.disk.operations), len(self.moments) - 1, self.log))

    def rotate(self) -> None:
        self.journal.rotate()
        self.promise()

    def install(self, index: int, term: int) -> None:
        disk = self.disk
        file = disk.create(f"{PLACE}/temp-received")
        disk.append(file, rdb(index, term))
        disk.fsync(file)
        disk.close(file)
        self.moments.append((len(disk.operations), (index, ())))
        self.storage.install(f"{PLACE}/temp-received", Snapshot(index, term))
        self.promise()


def entry(term: int, index: int, size: int) -> Entry:
    if index % 4 == 0:
        return Entry(term, index)
    if index % 5 == 0:
        return Entry(term, index, b"member %d" % term, EntryType.CONF_CHANGE)
    value = b"%d:%d" % (term, index) + b"." * size
    return Entry(term, index, encode(index, 0, b"*2\r\n$4\r\nPING\r\n$%d\r\n%b\r\n" % (len(value), value)))


def rdb(index: int, term: int) -> bytes:
    fields = {b"kvorum-index": b"%d" % index, b"kvorum-term": b"%d" % term}
    text = b"".join(b"\xfa" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields.items())
    return b"REDIS0010" + text + b"\xff" + bytes(8)


def found_after(state: CrashState) -> Log:
    """What a start finds."""
    disk = state.disk()
    try:
        recovery = Recovery(disk, PLACE, FILENAME, Keyspace(16), lambda database, commands: None, apply_to=0)
        try:
            while not recovery.finished:
                recovery.step()
            recovery.cut()
        finally:
            recovery.close()
    except RecoveryError as error:
        raise BrokenPromiseError(f"{state.what}: {error}") from error
    if recovery.manifest is None:
        return 0, ()
    journal = Journal(
        disk, PLACE, FILENAME, recovery.manifest, clock=lambda: 5, index=recovery.index, term=recovery.term,
        resume=recovery.resume, offsets=recovery.offsets,
    )  # fmt: skip
    storage = JournalStorage(journal, HardState(), ConfState(), Snapshot())
    first, last = storage.first_index(), storage.last_index()
    entries = storage.entries(first, last + 1, EVERYTHING) if first <= last else []
    journal.close()
    return first - 1, tuple(entries)


def begins_with(log: Log, beginning: Log) -> bool:
    return log[0] == beginning[0] and log[1][: len(beginning[1])] == beginning[1]


def common(one: Log, other: Log) -> int:
    """How many entries two logs begin with alike."""
    if one[0] != other[0]:
        return 0
    pairs = zip(one[1], other[1], strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one[1]), len(other[1])))


def check_log(state: CrashState, found: Log, member: Member) -> None:
    """Whether a crash may leave this: the beginning of the log as it was at a moment since the last promise, with everything
    in it that was promised."""
    made = [promise for promise in member.promises if promise[0] <= state.after]
    since, safe = (made[-1][1], made[-1][2]) if made else (0, (0, ()))
    for began, log in member.moments[since:]:
        if began <= state.after and begins_with(log, found) and len(found[1]) >= common(log, safe):
            return
    raise BrokenPromiseError(f"{state.what}: {found} was found, and {safe} was promised")


def live(member: Member) -> None:
    """Everything that happens to a log."""
    member.append(1, 1, 3)
    member.flush()
    member.append(1, 4, 5)
    member.append(2, 3, 4)
    member.flush()
    member.append(2, 5, 6, size=600)
    member.rotate()
    member.append(2, 7, 8)
    member.rotate()
    member.append(2, 9, 9)
    member.append(3, 6, 7)
    member.append(3, 8, 8)
    member.flush()
    member.install(20, 4)
    member.append(4, 21, 22)
    member.flush()
    member.append(5, 21, 21)
    member.flush()


def check_all(member: Member) -> int:
    """How many states a crash may leave; all are checked."""
    seen: dict[object, Log] = {}
    states = 0
    for state in member.disk.crash_states():
        if state.key not in seen:
            seen[state.key] = found_after(state)
        check_log(state, seen[state.key], member)
        states += 1
    return states


def test_no_crash_mixes_what_was_overruled_with_what_came_after() -> None:
    disk = ForgetfulDisk()
    disk.small_bytes = 4096  # torn at every byte
    member = Member(disk)
    live(member)
    assert check_all(member) > 3000
    member.journal.close()


LEFT_OUT: dict[str, Forget] = {
    "of the log": lambda operation, path: operation == "fdatasync" and path.endswith("incr.aof"),
    "of a truncation": lambda operation, path: operation == "fsync" and path.endswith("incr.aof"),
    "of the manifest": lambda operation, path: operation == "fsync" and path.endswith("manifest"),
    "of names": lambda operation, path: operation == "sync_directory",
    "of the received base": lambda operation, path: operation == "fsync" and path.endswith("temp-received"),
}


@pytest.mark.parametrize("what", sorted(LEFT_OUT))
def test_an_fsync_that_is_left_out_is_noticed(what: str) -> None:
    member = Member(ForgetfulDisk(LEFT_OUT[what]))
    live(member)
    with pytest.raises(BrokenPromiseError):
        check_all(member)
    member.journal.close()


@pytest.mark.parametrize("shorter", [1, 3])
def test_a_log_that_is_not_cut_before_it_goes_on_is_noticed(shorter: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if what is to be cut off were only forgotten."""
    monkeypatch.setattr(FakeDisk, "truncate", lambda self, file, size: None)
    member = Member(ForgetfulDisk())
    member.append(1, 1, 3)
    member.append(2, shorter, 3)
    member.flush()
    with pytest.raises(BrokenPromiseError):
        check_all(member)
    member.journal.close()
