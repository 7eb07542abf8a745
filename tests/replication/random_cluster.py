"""A group of cores under a seeded scheduler that delays, loses, doubles and reorders messages, cuts links, crashes and
pauses nodes, loses what was not on disk, compacts logs and changes the membership. After every step it checks what Raft
promises. It is small and quick, and knows nothing of the server around the core.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kvorum.replication.raft.core.conf_change import (
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    is_conf_change,
)
from kvorum.replication.raft.core.config import Config, ReadOnlyOption
from kvorum.replication.raft.core.entries import EMPTY_HARD_STATE, NO_LIMIT, ConfState, Entry, HardState, Snapshot
from kvorum.replication.raft.core.errors import RaftError
from kvorum.replication.raft.core.messages import Message, MessageType, is_local_target
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.status import Role
from kvorum.replication.raft.core.storage import MemoryStorage
from kvorum.replication.raft.core.unstable import UNKNOWN_TERM

FIRST_INDEX = 1
ELECTION_TICK = 10
# How many steps of the scheduler make a tick.
STEPS_PER_TICK = 4
# How late a late message may be.
MOST_LATE_STEPS = 25 * STEPS_PER_TICK
# A clock may be so much faster or slower: over one election timeout that is less than the drift that is allowed for.
CLOCK_ERROR = 0.04


@dataclass(frozen=True)
class Chances:
    """Per step, and per message for ``lose`` and ``double``."""

    async_storage_writes: bool = True
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    message_size: int = 100
    first_members: int = 3
    all_members: int = 3
    deliver: float = 0.8
    lose: float = 0.02
    double: float = 0.03
    late: float = 0.05
    write: float = 0.6
    propose: float = 0.4
    read: float = 0.2
    crash: float = 0.003
    restart: float = 0.02
    pause: float = 0.003
    cut: float = 0.01
    heal: float = 0.02
    compact: float = 0.01
    change: float = 0.0
    transfer: float = 0.003
    unreachable: float = 0.01


class Member:
    """One node with its disk, which outlives a crash, and its state machine, which does not."""

    def __init__(self, cluster: RandomCluster, node: int, snapshot: Snapshot) -> None:
        self.cluster = cluster
        self.id = node
        self.storage = MemoryStorage()
        if snapshot.index:
            self.storage.apply_snapshot(snapshot)
            self.storage.set_hard_state(HardState(snapshot.term, 0, snapshot.index))
        self.stable_commit = snapshot.index
        self.clock = cluster.random.random()
        self.rate = 1 + cluster.random.uniform(-CLOCK_ERROR, CLOCK_ERROR)
        self.paused = False
        self.missed_ticks = 0
        self.start()

    def start(self) -> None:
        chances = self.cluster.chances
        snapshot = self.storage.snapshot()
        self.applied = snapshot.index
        self.conf_state = snapshot.conf_state
        self.appends: list[Message] = []
        self.applies: list[Message] = []
        # Lowest index that is right for a read, by context.
        self.reads: dict[bytes, int] = {}
        self.raw: RawNode | None = RawNode(
            Config(
                id=self.id,
                storage=self.storage,
                random=self.cluster.random,
                applied=self.applied,
                election_tick=ELECTION_TICK,
                async_storage_writes=chances.async_storage_writes,
                read_only_option=chances.read_only_option,
                max_message_size=chances.message_size,
                max_inflight_messages=4,
                max_inflight_bytes=300,
                max_committed_size_per_ready=200,
                max_uncommitted_size=2000,
                max_pending_reads=20,
            )
        )

    def crash(self) -> None:
        """What was not written is gone, and perhaps the last commit index, which need not have been on disk."""
        self.raw = None
        self.paused = False
        self.missed_ticks = 0
        hard_state = self.storage.hard_state
        if self.cluster.random.random() < 0.5:
            self.storage.set_hard_state(replace(hard_state, commit=min(hard_state.commit, self.stable_commit)))

    @property
    def runs(self) -> bool:
        return self.raw is not None and not self.paused

    def core(self) -> RawNode:
        assert self.raw is not None
        return self.raw

    def attempt(self, call: Callable[[RawNode], object]) -> None:
        """Do something that may be refused, and then what follows from it."""
        with suppress(RaftError):
            call(self.core())
        self.cluster.check(self)

    def pass_time(self, ticks: float) -> None:
        before = int(self.clock)
        self.clock += ticks * self.rate
        self.missed_ticks += int(self.clock) - before
        while self.runs and self.missed_ticks:
            self.missed_ticks -= 1
            self.attempt(RawNode.tick)

    # Readys.

    def handle_ready(self) -> None:
        core = self.core()
        ready = core.ready()
        for read in ready.read_states:
            floor = self.reads.pop(read.context, None)
            assert floor is None or read.index >= floor, f"stale read at {self.id}: {read.index} < {floor}"
        if not self.cluster.chances.async_storage_writes:
            self.write(ready.hard_state or EMPTY_HARD_STATE, ready.entries, ready.snapshot, sync=ready.must_sync)
        for message in ready.messages:
            if message.type is MessageType.STORAGE_APPEND:
                self.appends.append(message)
            elif message.type is MessageType.STORAGE_APPLY:
                self.applies.append(message)
            else:
                self.cluster.send(message)
        if not self.cluster.chances.async_storage_writes:
            self.apply(ready.committed_entries)
            core.advance()
        self.cluster.check(self)

    def work(self) -> None:
        """One piece of storage work."""
        queues = [queue for queue in (self.appends, self.applies) if queue]
        if not queues:
            return
        work = self.cluster.random.choice(queues).pop(0)
        if work.type is MessageType.STORAGE_APPEND:
            hard_state = HardState(work.term, work.vote, work.commit)
            self.write(hard_state, work.entries, work.snapshot, sync=bool(work.responses))
        else:
            self.apply(work.entries)
        for response in work.responses:
            if response.to == self.id:
                self.attempt(lambda raw, response=response: raw.step(response))  # type: ignore[misc]
            else:
                self.cluster.send(response)
        self.cluster.check(self)

    def write(self, hard_state: HardState, entries: Sequence[Entry], snapshot: Snapshot | None, *, sync: bool) -> None:
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
            self.applied, self.conf_state = snapshot.index, snapshot.conf_state
            assert snapshot.data == self.cluster.digest(snapshot.index)
        self.storage.append(entries)
        if hard_state != EMPTY_HARD_STATE:
            self.storage.set_hard_state(hard_state)
            if sync:
                self.stable_commit = hard_state.commit

    def apply(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.index <= self.applied:
                continue  # A snapshot has overtaken it.
            assert entry.index == self.applied + 1, "applied in order, each once"
            self.cluster.applied(self, entry)
            self.applied = entry.index
            if is_conf_change(entry):
                self.conf_state = self.core().apply_conf_change(entry)

    def compact(self) -> None:
        first = self.storage.first_index()
        if self.applied > first and self.storage.last_index() >= self.applied > self.storage.snapshot().index:
            self.storage.create_snapshot(self.applied, self.conf_state, self.cluster.digest(self.applied))
            self.storage.compact(self.cluster.random.randint(first, self.applied))


@dataclass
class RandomCluster:
    """``committed``: term and data of everything that any node has ever taken for committed, by index. ``leaders``,
    ``first_commit``: who led a term, and its commit index when it began to."""

    seed: int
    chances: Chances
    random: random.Random = field(init=False)
    members: dict[int, Member] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    late: list[tuple[int, Message]] = field(default_factory=list)
    now: int = 0
    cuts: set[tuple[int, int]] = field(default_factory=set)
    leaders: dict[int, int] = field(default_factory=dict)
    committed: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    last_applied: int = 0
    first_commit: dict[int, int] = field(default_factory=dict)
    reads: int = 0
    proposals: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        voters = tuple(range(1, self.chances.first_members + 1))
        first = Snapshot(FIRST_INDEX, 1, ConfState(voters=voters), b"%d" % FIRST_INDEX)
        for node in range(1, self.chances.all_members + 1):
            self.members[node] = Member(self, node, first if node in voters else Snapshot())

    def digest(self, index: int) -> bytes:
        """Stands for the state after this entry."""
        assert index == FIRST_INDEX or index in self.committed, "state that was never committed"
        return b"%d" % index

    # The scheduler.

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()

    def step(self) -> None:
        self.now += 1
        self.messages += [message for due, message in self.late if due <= self.now]
        self.late = [(due, message) for due, message in self.late if due > self.now]
        for member in self.members.values():
            member.pass_time(1 / STEPS_PER_TICK)
            if member.runs:
                self.let_work(member)
        self.deliver_some()
        self.disturb()

    def let_work(self, member: Member) -> None:
        chances, chance = self.chances, self.random.random
        if chance() < chances.propose and member.core().accepts_proposals():
            self.proposals += 1
            data = b"%d" % self.proposals + b"." * self.random.randrange(60)
            member.attempt(lambda raw: raw.propose(data))
        if chance() < chances.read:
            self.read(member)
        if member.core().has_ready() and chance() < 0.9:
            member.handle_ready()
        while chance() < chances.write and member.runs:
            member.work()
            if not member.appends and not member.applies:
                break

    def read(self, member: Member) -> None:
        self.reads += 1
        context = b"%d" % self.reads
        # Whatever was applied anywhere may have been acknowledged to a client.
        member.reads[context] = self.last_applied
        member.attempt(lambda raw: raw.read_index(context))

    def send(self, message: Message) -> None:
        assert not is_local_target(message.to)
        chance = self.random.random
        if chance() >= self.chances.lose:
            self.messages.append(message)
        if chance() < self.chances.double:
            self.messages.append(message)
        if chance() < self.chances.late:
            self.late.append((self.now + self.random.randrange(MOST_LATE_STEPS), message))
        if message.type is MessageType.SNAPSHOT:
            failed = chance() < 0.3
            self.members[message.from_].attempt(lambda raw: raw.report_snapshot(message.to, failed))

    def deliver_some(self) -> None:
        for _ in range(len(self.messages)):
            if self.random.random() >= self.chances.deliver:
                continue
            # Mostly in order.
            at = 0 if self.random.random() < 0.8 else self.random.randrange(len(self.messages))
            message = self.messages.pop(at)
            member = self.members.get(message.to)
            if member is not None and member.runs and (message.from_, message.to) not in self.cuts:
                member.attempt(lambda raw, message=message: raw.step(message))  # type: ignore[misc]

    def disturb(self) -> None:
        chances, chance = self.chances, self.random.random
        member = self.random.choice(list(self.members.values()))
        other = self.random.choice(list(self.members.values()))
        if member.raw is None:
            if chance() < chances.restart * len(self.members):
                member.start()
            return
        if chance() < chances.crash * len(self.members):
            member.crash()
            return
        if chance() < chances.pause * len(self.members) or (member.paused and chance() < 0.2):
            member.paused = not member.paused
            member.pass_time(0)
        if chance() < chances.cut:
            self.cut(member.id)
        if chance() < chances.heal:
            self.cuts.clear()
        if chance() < chances.compact * len(self.members):
            member.compact()
        if not member.runs:
            return
        if chance() < chances.transfer:
            member.attempt(lambda raw: raw.transfer_leader(other.id))
        if chance() < chances.unreachable:
            member.attempt(lambda raw: raw.report_unreachable(other.id))
        if chance() < chances.change:
            member.attempt(lambda raw: raw.propose_conf_change(self.random_change()))

    def cut(self, node: int) -> None:
        """One way or both, to one node or to all."""
        others = [other for other in self.members if other != node]
        if self.random.random() < 0.5:
            others = [self.random.choice(others)]
        ways = self.random.choice(((0,), (1,), (0, 1)))
        self.cuts |= {((node, other), (other, node))[way] for other in others for way in ways}

    def random_change(self) -> ConfChangeV2:
        if self.random.random() < 0.3:
            return ConfChangeV2()
        singles = tuple(
            ConfChangeSingle(
                self.random.choice(
                    (ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.REMOVE_NODE)
                ),
                self.random.choice(list(self.members)),
            )
            for _ in range(self.random.choice((1, 1, 1, 2, 3)))
        )
        return ConfChangeV2(singles, self.random.choice(list(ConfChangeTransition)))

    # What must hold.

    def check(self, member: Member) -> None:
        raft = member.core().raft
        log = raft.log
        assert log.applied <= log.applying <= log.committed <= log.last_index()
        if raft.role == Role.LEADER:
            self.check_leader(member)
        for progress in raft.tracker.progress.values():
            assert progress.match < progress.next
            assert progress.inflights.count <= progress.inflights.max_messages
        self.check_committed(member)

    def check_leader(self, member: Member) -> None:
        """One in a term, with everything that is committed, and committing only entries of its own term by itself."""
        raft = member.core().raft
        log = raft.log
        if raft.term not in self.leaders:
            self.leaders[raft.term] = member.id
            self.first_commit[raft.term] = log.committed
            for index, (term, _) in self.committed.items():
                own = log.term(index)
                assert own == term or (own == UNKNOWN_TERM and index < log.first_index()), f"leader lacks entry {index}"
        assert self.leaders[raft.term] == member.id, f"two leaders in term {raft.term}"
        assert log.committed == self.first_commit[raft.term] or log.term(log.committed) == raft.term

    def check_committed(self, member: Member) -> None:
        """Nodes never differ in what they take for committed."""
        log = member.core().raft.log
        low = max(log.first_index(), FIRST_INDEX + 1, log.applied + 1)
        if low <= log.committed:
            for entry in log.slice(low, log.committed + 1, NO_LIMIT):
                self.commit(entry)

    def commit(self, entry: Entry) -> None:
        known = self.committed.setdefault(entry.index, (entry.term, entry.data))
        assert known == (entry.term, entry.data), f"two entries were committed at {entry.index}"

    def applied(self, member: Member, entry: Entry) -> None:
        self.commit(entry)
        self.last_applied = max(self.last_applied, entry.index)

    # In the end.

    def settle(self) -> None:
        """With all faults gone the group gets on: somebody leads, and all members have the same."""
        self.cuts.clear()
        self.chances = replace(
            self.chances, deliver=1.0, lose=0.0, double=0.0, late=0.0, write=0.9, propose=0.0, read=0.0, crash=0.0, restart=1.0,
            pause=0.0, cut=0.0, change=0.0, transfer=0.0, unreachable=0.0,
        )  # fmt: skip
        for member in self.members.values():
            if member.raw is None:
                member.start()
            member.paused = False
            member.pass_time(0)
        self.run(40 * ELECTION_TICK * STEPS_PER_TICK)
        (leader,) = {leader.id for leader in self.leading()}
        log = self.members[leader].core().raft.log
        assert log.committed == log.last_index(), "the first entry of a term commits all before it"
        self.members[leader].attempt(lambda raw: raw.propose(b"last"))
        self.run(10 * ELECTION_TICK * STEPS_PER_TICK)
        state = self.members[leader].conf_state
        for node in state.voters + state.learners:
            assert self.members[node].applied == self.last_applied, f"{node} does not catch up"
            assert self.members[node].conf_state == state

    def leading(self) -> list[Member]:
        """Who leads in the highest term of all leaders."""
        leaders = [member for member in self.members.values() if member.core().raft.role == Role.LEADER]
        term = max((member.core().raft.term for member in leaders), default=0)
        return [member for member in leaders if member.core().raft.term == term]
