"""A group of drivers in one thread: disks, network and state machines in memory."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from kvorum.replication.raft.core.config import Config
from kvorum.replication.raft.core.entries import ConfState, Entry, HardState, Snapshot
from kvorum.replication.raft.core.messages import Message
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.storage import MemoryStorage
from kvorum.replication.raft.driver import RaftDriver

ELECTION_TICKS = 10


class Flusher:
    """An fsync happens at once where it is ``quick``, else when ``finish`` is called."""

    def __init__(self, journal: Journal) -> None:
        self.error: object = None
        self.quick = True
        self.wanted = 0
        self._journal = journal

    def is_quick(self) -> bool:
        return self.quick

    def flush_now(self) -> None:
        self._journal.safe = self._journal.written
        self._journal.durable_index = self._journal.index

    def request(self) -> None:
        self.wanted = self._journal.written

    def wait(self, written: int) -> None:
        self.flush_now()

    def finish(self) -> None:
        self._journal.safe = self.wanted
        self._journal.durable_index = self._journal.index


class Journal:
    failed: Exception | None = None
    broken: Exception | None = None

    def __init__(self) -> None:
        self.index = self.durable_index = self.written = self.safe = 0
        self.term = 1
        self.flusher = Flusher(self)


class Storage(MemoryStorage):
    """What ``JournalStorage`` offers the driver."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal()

    def append(self, entries: Any) -> None:
        super().append(entries)
        journal = self.journal
        journal.index, journal.term = self.last_index(), entries[-1].term
        journal.written += sum(len(entry.data) + 1 for entry in entries)
        if entries[0].index <= journal.durable_index:
            journal.durable_index = entries[0].index - 1

    def note_written(self, index: int) -> None:
        assert index == self.last_index()


class Votes:
    def __init__(self, state: HardState) -> None:
        self.state = state

    def save(self, state: HardState, sync: bool) -> None:
        assert sync or (state.term, state.vote) == (self.state.term, self.state.vote)
        self.state = state


class Member:
    """One driver; ``data`` is its state machine, ``heard`` what those were told who waited."""

    def __init__(self, group: Group, id: int, voters: tuple[int, ...]) -> None:
        self.group = group
        self.id = id
        self.data: list[bytes] = []
        self.told: list[bytes] = []
        self.failure: BaseException | None = None
        self.rebuilt = 0
        self.commits = b""  # what is executed by a client just before the driver asks for it
        self.open_round = 1
        self.reading = False
        storage = Storage()
        storage.apply_snapshot(Snapshot(1, 1, ConfState(voters)))
        storage.journal.index = storage.journal.durable_index = 1
        storage.hard_state = HardState(1, 0, 1)
        self.votes = Votes(storage.hard_state)
        node = RawNode(
            Config(
                id=id, storage=storage, random=random.Random(id), election_tick=ELECTION_TICKS, applied=1,
                async_storage_writes=True, disable_proposal_forwarding=True,
            )
        )  # fmt: skip
        self.storage = storage
        self.driver = RaftDriver(
            node, storage, self.votes, self, self, applied=1, reader_id=id, election_ticks=ELECTION_TICKS,  # type: ignore[arg-type]
            schedule=group.schedule,
        )  # fmt: skip
        self.driver.take_round = self._take_round

    # The transport

    def send(self, message: Message) -> None:
        self.group.network.append((self.id, message))

    def flush(self) -> None:
        pass

    # The machine

    def apply(self, entry: Entry) -> None:
        self.data.append(entry.data)

    def apply_members(self, entry: Entry) -> None:
        self.driver.node.apply_conf_change(entry)

    def rebuild(self) -> None:
        self.rebuilt += 1
        target = self.driver.applied

        def finish() -> None:
            self.data = (
                [one.data for one in self.storage.entries(2, target + 1, 1 << 30) if one.data] if target > 1 else []
            )
            self.driver.built(target)

        self.group.schedule(finish)

    def install(self, snapshot: Snapshot) -> None:
        raise AssertionError("nobody is that far behind")

    def role_changed(self) -> None:
        pass

    def released(self) -> None:
        pass

    def refused(self, message: bytes) -> None:
        self.told.append(message)
        self.driver.commit_point.forget()

    def commit(self) -> None:
        if self.commits:
            data, self.commits = self.commits, b""
            self.data.append(data)
            self.driver.write(data, sum(map(len, self.data)))

    def progressed(self) -> None:
        pass

    def failed(self, error: BaseException) -> None:
        self.failure = error
        raise error

    # Clients

    def execute(self, data: bytes) -> int:
        """A write: executed at once. Returns its position."""
        assert self.driver.serving
        self.data.append(data)
        position = sum(map(len, self.data)) + 1000 * self.rebuilt
        self.driver.write(data, position)
        self.driver.flush()
        return position

    def read(self) -> int:
        """A read: its round."""
        assert self.driver.serving
        self.reading = True
        round_ = self.open_round
        self.driver.flush()
        return round_

    def _take_round(self) -> int:
        if not self.reading:
            return 0
        self.reading = False
        self.open_round += 1
        return self.open_round - 1

    @property
    def safe(self) -> int:
        return self.driver.commit_point.safe


class Group:
    """Members 1 to ``size``; who is in ``cut`` hears and is heard by nobody."""

    def __init__(self, size: int) -> None:
        self.network: deque[tuple[int, Message]] = deque()
        self.cut: set[int] = set()
        self.paused: set[int] = set()  # for these no time passes
        self.lost: list[Message] = []  # what was cut off
        self._soon: deque[Callable[[], object]] = deque()
        voters = tuple(range(1, size + 1))
        self.members = [Member(self, id, voters) for id in voters]

    def schedule(self, call: Callable[[], object]) -> None:
        self._soon.append(call)

    def settle(self) -> None:
        """Deliver everything, until nothing is on its way."""
        while self.network or self._soon:
            while self._soon:
                self._soon.popleft()()
            if self.network:
                from_, message = self.network.popleft()
                if self.cut & {from_, message.to}:
                    self.lost.append(message)
                else:
                    self.members[message.to - 1].driver.receive(message)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            for member in self.members:
                if member.id not in self.paused:
                    member.driver.tick()
            self.settle()

    def elect(self) -> Member:
        """Tick until somebody outside of the cut serves."""
        for _ in range(40 * ELECTION_TICKS):
            for member in self.members:
                if member.driver.serving and member.id not in self.cut:
                    return member
            self.tick()
        raise AssertionError("nobody was elected")
