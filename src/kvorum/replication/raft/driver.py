"""One member of a group at work: the core, the log on disk, the peers, and the state machine that the log drives.

The core (``replication.raft.core``) says what is to be done; the driver does it, in one thread and in this order:

1. Messages to peers leave first, before anything is written: so the disks of a group work at the same time.
2. What the core wants on disk is written. A change of term or vote is on disk, fsynced, when ``save`` returns.
3. Promises that rest on what was written leave as soon as an fsync has covered it; one fsync covers all that was written
   before. Where the disk is quick the loop does it itself, else the journal's thread.
4. What is committed is applied. What this node has executed itself, as the leader, is not executed again.

A leader's memory runs ahead of the commit point. Where another leader overrules what it had executed, the state machine is
built anew from base and log (``Machine.rebuild``); meanwhile the log goes on.

A *sole* member is the only one of its group. It writes to the journal by itself, as a server without a group does, and
tells the core in one step when that matters; so a group of one costs nothing per turn.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from kvorum.errors import NOT_APPLIED, NOT_CONFIRMED, OUTCOME_OPEN
from kvorum.replication.raft.commit_point import CommitPoint
from kvorum.replication.raft.core.entries import Entry, EntryType, HardState, Snapshot
from kvorum.replication.raft.core.errors import ProposalDroppedError, RaftError, ReadIndexDroppedError
from kvorum.replication.raft.core.messages import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, Message, MessageType
from kvorum.replication.raft.core.raw_node import RawNode
from kvorum.replication.raft.core.status import Role, SoftState

if TYPE_CHECKING:
    from kvorum.journal.flusher import Flusher
    from kvorum.replication.raft.hard_state import HardStateFile
    from kvorum.replication.raft.storage import JournalStorage

_CONTEXT = struct.Struct(">QQ")
# A member that could not run for long catches up with its clock, but does not begin an election for that alone: what its
# leader has sent meanwhile is still to be read.
MOST_TICKS_OF_FOLLOWER = 2
COMMIT_SAVE_TICKS = 20
PAUSE_TICKS = 5
NO_TERM = -1
RETRY_READ_TICKS = 4


class Transport(Protocol):
    """The peers."""

    def send(self, message: Message) -> None: ...

    def flush(self) -> None: ...


class Machine(Protocol):
    """What the log drives: the keyspace and who may use it."""

    def apply(self, entry: Entry) -> None:
        """Execute a committed entry that has effects."""

    def apply_members(self, entry: Entry) -> None:
        """The members change."""

    def rebuild(self) -> None:
        """What was executed is not what is committed: begin anew; ``RaftDriver.built`` when everything committed is there."""

    def install(self, snapshot: Snapshot) -> None:
        """A received snapshot takes the place of everything; ``RaftDriver.built`` when it is on disk and in memory."""

    def role_changed(self) -> None:
        """Leader, term or ``serving`` may have changed."""

    def released(self) -> None:
        """Replies may leave that have waited."""

    def commit(self) -> None:
        """Propose what was executed so far, in the term it was executed in."""

    def refused(self, message: bytes) -> None:
        """What waits gets this error."""

    def progressed(self) -> None:
        """Something was done; somebody may wait for that."""

    def failed(self, error: BaseException) -> None:
        """Memory and disk may not agree any more: the node has to end."""


class RaftDriver:
    """One member.

    ``schedule`` calls something soon, after what is going on now. ``reader_id`` is a number that no other life of any node had.
    """

    def __init__(
        self,
        node: RawNode,
        storage: JournalStorage,
        votes: HardStateFile,
        transport: Transport,
        machine: Machine,
        *,
        applied: int,
        reader_id: int,
        election_ticks: int,
        schedule: Callable[[Callable[[], object]], object],
    ) -> None:
        self.node = node
        self.storage = storage
        self.votes = votes
        self.transport = transport
        self.machine = machine
        self.applied = applied
        self.executed = applied  # up to this entry the state machine holds everything, committed or not
        self._executed_term = 0  # of the last entry that was executed, and not applied yet
        self.sole = False
        self.serving = False
        self.building = False  # the state machine is being built anew: what is committed waits
        self.transferring = False
        self.prompt = True  # replies wait for what is promised: where the disk is quick, the loop waits for it
        self.ticks = 0
        self.heard: dict[int, int] = {}  # the tick when a peer was last heard of
        self.commit_point = CommitPoint(self.flush, self._flusher)
        # The round of the reads that were executed since it was called last; 0: there were none.
        self.take_round: Callable[[], int] = lambda: 0
        self.catch_up: Callable[[], object] = lambda: None  # with the clock: leases end by ticks alone
        self._election_ticks = election_ticks
        self._schedule = schedule
        self._soft = SoftState(0, Role.FOLLOWER)
        self._serve_from = 0
        self._reader = reader_id
        self._context = 0
        self._asked: dict[bytes, int] = {}  # contexts of reads that no answer has come to: their round
        self._asked_tick = 0
        self._lost_tick = 0  # when leadership was lost with proposals open
        self._lost_round = 0  # the last round of reads then: what no proposal stands for was confirmed by nobody
        # Promises, and the position of the journal that must be safe before.
        self._waiting: deque[tuple[int, Sequence[Message]]] = deque()
        self._unapplied: deque[Message] = deque()
        self._unwritten: deque[Message] = deque()  # while a snapshot is being installed or an increment ends
        self._installing: Message | None = None  # bears the snapshot that is being installed
        self.writing_paused = False
        self._paused_tick = 0  # when a compaction has asked for that
        self._driving = False
        self._scheduled = False
        self._failed: BaseException | None = None

    def _flusher(self) -> Flusher:
        return self.storage.journal.flusher

    # What it says of itself

    @property
    def is_leader(self) -> bool:
        return self._soft.role == Role.LEADER

    @property
    def lead(self) -> int:
        """Who leads; 0: unknown."""
        return self._soft.lead

    @property
    def term(self) -> int:
        return self.node.raft.term

    @property
    def commit_index(self) -> int:
        return self.storage.journal.index if self.sole else self.node.raft.log.committed

    @property
    def applied_index(self) -> int:
        return self.storage.journal.index if self.sole else self.applied

    def quorum_is_near(self) -> bool:
        """Whether a quorum was heard of within half an election timeout; only a leader knows."""
        if self.sole:
            return True
        if not self.is_leader:
            return False
        raft = self.node.raft
        oldest = self.ticks - max(self._election_ticks // 2, 2)
        near = {node: node == raft.id or self.heard.get(node, -1) >= oldest for node in sorted(raft.tracker.progress)}
        return raft.tracker.voters.vote_result(near).name == "WON"

    # What comes in

    def tick(self, count: int = 1) -> None:
        """So many ticks have passed."""
        self.ticks += count
        if self._failed is not None:
            return
        try:
            if self.ticks % COMMIT_SAVE_TICKS < count:
                self.save_commit()
            if self.sole:
                return
            if self.serving:
                self.machine.commit()  # this may be the tick that ends its leadership
            for _ in range(count if self.is_leader else min(count, MOST_TICKS_OF_FOLLOWER)):
                self.node.tick()
        except Exception as error:
            self._fail(error)
            return
        if self.transferring and self.is_leader and not self.node.raft.lead_transferee:
            self.transferring = False
            self.machine.role_changed()
        if self._paused_tick and self.ticks - self._paused_tick > PAUSE_TICKS:
            self.resume_writing()
        if self._asked and self.ticks - self._asked_tick >= RETRY_READ_TICKS and self.is_leader:
            self._ask(max(self._asked.values()))
        if self._lost_tick and self.ticks - self._lost_tick > 3 * self._election_ticks:
            self._lost_tick = 0
            if self.commit_point.give_up():
                self.machine.refused(OUTCOME_OPEN)
        self.drive()

    def asks_for_old_entries(self, message: Message) -> bool:
        """Whether what follows from this message is reading entries from files that memory does not have any more."""
        return (
            message.type == MessageType.APPEND_RESPONSE
            and self.is_leader
            and not message.reject
            and message.index + 1 < self.storage.in_memory_from
        )

    def note_heard(self, raft_id: int) -> None:
        """A peer was heard of."""
        self.heard[raft_id] = self.ticks

    def receive(self, message: Message, soon: bool = True) -> None:
        """A peer's message. What is to be done is done ``soon``, for several at once, or else when ``drive`` is called."""
        if self._failed is not None:
            return
        self.leave_sole()
        self.note_heard(message.from_)
        if self.serving and message.term > self.node.raft.term:
            self.machine.commit()
        try:
            self.node.step(message)
        except RaftError:
            return  # refused, and nothing else
        except Exception as error:
            self._fail(error)
            return
        if self.node.raft.role != self._soft.role:
            self.drive()  # before anybody executes in a role that has ended
        elif soon and not self._scheduled:
            self._scheduled = True
            self._schedule(self._drive_later)

    def _drive_later(self) -> None:
        self._scheduled = False
        self.drive()

    def write(self, data: bytes, position: int) -> None:
        """The effects of this leader's turn as an entry. They were executed; whatever becomes of them, the core has to hear of
        it before it hears of anything else."""
        try:
            entry = self.node.propose(data)
        except ProposalDroppedError:
            entry = None
        if entry is None:  # not the leader any more: who executed it should have known
            self.executed += 1
            self.commit_point.propose(self.executed, NO_TERM, position, 0)
            self._overrule(self.executed)
            return
        self.executed, self._executed_term = entry.index, entry.term
        self.commit_point.propose(entry.index, entry.term, position, self.take_round())

    def flush(self) -> None:
        """Replies wait: have the reads confirmed that no entry confirms, and go on."""
        self.catch_up()
        round_ = self.take_round()
        if round_:
            self._ask(round_)
        self.drive()

    def _ask(self, round_: int) -> None:
        """Ask a quorum whether this node still leads; contexts are never used twice."""
        if not self.serving:  # a follower's answer would say nothing of what a leader has read
            self._lost_round = max(self._lost_round, round_)
            if not self.commit_point.pending:
                self.machine.refused(NOT_CONFIRMED)
            return
        self._context += 1
        context = _CONTEXT.pack(self._reader, self._context)
        self._asked_tick = self.ticks
        self._asked[context] = round_
        try:
            self.node.read_index(context)
        except ReadIndexDroppedError:
            return  # asked again after a while, or refused when the leader changes

    # What goes out

    def drive(self) -> None:
        """Do everything that is to be done now."""
        if self._driving or self._failed is not None:
            return
        self._driving = True
        try:
            while True:
                while self.node.has_ready():
                    self._work()
                if not self._deliver():
                    break
        except Exception as error:
            self._fail(error)
        finally:
            self._driving = False
        self.machine.progressed()

    def _fail(self, error: BaseException) -> None:
        """The contract: after this the node neither votes nor acknowledges."""
        self._failed = error
        self.machine.failed(error)

    def _work(self) -> None:
        ready = self.node.ready()
        local = []
        sent = False
        for message in ready.messages:
            if message.to == LOCAL_APPEND_THREAD or message.to == LOCAL_APPLY_THREAD:
                local.append(message)
            else:
                self.transport.send(message)
                sent = True
        if sent:
            self.transport.flush()
        if ready.soft_state is not None:
            self._note_role(ready.soft_state)
        for message in local:
            if message.to == LOCAL_APPLY_THREAD:
                self._unapplied.append(message)
            elif self.writing_paused:
                self._unwritten.append(message)
            else:
                self._write(message)
        if ready.read_states:
            for state in ready.read_states:
                self.commit_point.confirm(self._asked.pop(state.context, 0))
            self._asked = {
                context: round_ for context, round_ in self._asked.items() if round_ > self.commit_point.confirmed
            }
            self.machine.released()
        self._apply()

    def _write(self, message: Message) -> None:
        """Put on disk what the core wants there; its promises wait for the fsync."""
        storage = self.storage
        if message.snapshot is not None:
            self._begin_installation(message, message.snapshot)
            return
        if message.entries:
            first = message.entries[0].index
            if first <= storage.last_index() or self._has_lost(message.entries):
                self._overrule(first)
            storage.append(message.entries)
        self._save(message)
        if message.responses:
            self._waiting.append((storage.journal.written, message.responses))

    def _save(self, message: Message) -> None:
        """Term and vote. The commit index alone may lag, and never is ahead of the entries it speaks of."""
        stored = self.votes.state
        if message.term and (message.term, message.vote) != (stored.term, stored.vote):
            commit = min(message.commit, self.storage.journal.durable_index)
            self.votes.save(HardState(message.term, message.vote, max(commit, stored.commit)), sync=True)

    def save_commit(self) -> None:
        """Note how far the log is committed, so that a start need not ask others before it shows what it has."""
        stored = self.votes.state
        commit = min(self.commit_index, self.storage.journal.durable_index)
        if commit > stored.commit:
            self.votes.save(HardState(stored.term, stored.vote, commit), sync=False)

    def _begin_installation(self, message: Message, snapshot: Snapshot) -> None:
        """Nothing is written until the snapshot is on disk. What was promised before is made true before."""
        journal = self.storage.journal
        if (
            journal.failed is None
        ):  # else it would be waited for in vain; whether there is room now, the installation finds out
            journal.flusher.wait(journal.written)
        self._deliver_durable()
        if self.commit_point.give_up():
            self.machine.refused(OUTCOME_OPEN)
        self.writing_paused = self.building = True
        self._installing = message
        self._unwritten.append(message)
        self.machine.install(snapshot)

    def _deliver(self) -> bool:
        """Promises that are covered by an fsync leave; whether the core got any."""
        if not self._waiting:
            return False
        journal = self.storage.journal
        if self._waiting[-1][0] > journal.safe and journal.failed is None:
            if self.prompt and journal.flusher.is_quick():
                journal.flusher.flush_now()
            else:
                journal.flusher.request()
        return self._deliver_durable()

    def look_at_the_disk(self) -> None:
        """An fsync may have ended."""
        if self._waiting and self._waiting[0][0] <= self.storage.journal.safe:
            self.drive()

    def _deliver_durable(self) -> bool:
        safe = self.storage.journal.safe
        own = self.node.raft.id
        told = sent = False
        while self._waiting and self._waiting[0][0] <= safe:
            for response in self._waiting.popleft()[1]:
                if response.to == own:
                    self.node.step(response)
                    told = True
                else:
                    self.transport.send(response)
                    sent = True
        if sent:
            self.transport.flush()
        return told

    # Applying

    def _apply(self) -> None:
        released = False
        while self._unapplied and not self.building:
            message = self._unapplied.popleft()
            for entry in message.entries:
                if entry.index > self.applied:
                    released = self._apply_one(entry) or released
            for response in message.responses:
                self.node.step(response)
        if released:
            self.machine.released()
        if self._lost_tick and not self.commit_point.pending:
            self._lost_tick = 0
            if self._lost_round > self.commit_point.confirmed:
                self.machine.refused(NOT_CONFIRMED)  # a later leadership does not speak for the reads of this one
        if self.is_leader and not self.serving and self.applied >= self._serve_from and not self.building:
            self.serving = True
            self.machine.role_changed()

    def _apply_one(self, entry: Entry) -> bool:
        """One committed entry; whether replies have waited for it."""
        if entry.type != EntryType.NORMAL:
            self.machine.apply_members(entry)
        elif entry.data and entry.index > self.executed:
            self.machine.apply(entry)
        self.applied = entry.index
        self.executed = max(self.executed, entry.index)
        return self.commit_point.reach(entry.index, entry.term)

    def _has_lost(self, entries: Sequence[Entry]) -> bool:
        """Whether they replace what was executed here and never came as far as the disk. What is executed and not applied is of
        one term; what replaces it is so from its first entry on, since what was not handed out nobody else can have."""
        first = entries[0]
        return self.applied < first.index <= self.executed and first.term != self._executed_term

    def _overrule(self, first: int) -> None:
        """Entries from ``first`` on are replaced."""
        if self.commit_point.overrule(first):
            self._lost_tick = 0
            # Of what was not replaced nobody knows yet; one error is for all that wait.
            self.machine.refused(OUTCOME_OPEN if self.commit_point.give_up() else NOT_APPLIED)
        if first <= self.executed:
            self.rebuild_machine()

    def rebuild_machine(self) -> None:
        """The state machine is not what the log says."""
        if self._installing is not None:
            return  # a snapshot takes the place of everything in any case
        self.executed = self.applied
        self.building = True
        self.machine.rebuild()

    def built(self, index: int) -> None:
        """The state machine holds everything up to ``index`` now, and nothing else."""
        self.building = False
        self.applied = max(index, self.applied)
        self.executed = self.applied
        if self.writing_paused:
            self.installed()
        if self._failed is None:
            self._apply()
        self.drive()

    def installed(self) -> None:
        """What has waited for a snapshot to be on disk, or for an increment to end, is written now."""
        if self._failed is None:
            try:
                self._write_what_waited()
            except Exception as error:
                self._fail(error)

    def _write_what_waited(self) -> None:
        self.writing_paused = False
        unwritten, self._unwritten = self._unwritten, deque()
        for message in unwritten:
            if message is self._installing:
                self._installing = None
                self._save(message)
                self._waiting.append((0, message.responses))
            elif self.writing_paused:
                self._unwritten.append(message)
            else:
                self._write(message)

    # Leading

    def _note_role(self, soft: SoftState) -> None:
        before, self._soft = self._soft, soft
        if soft.role == Role.LEADER and before.role != Role.LEADER:
            self._serve_from = self.node.raft.log.last_index()
        elif before.role == Role.LEADER and soft.role != Role.LEADER:
            self.serving = self.transferring = False
            self._lost_round = max(self.take_round(), *self._asked.values(), 0)
            self._asked.clear()
            if self.commit_point.pending:
                self._lost_tick = max(self.ticks, 1)
            else:
                self.machine.refused(NOT_CONFIRMED)
        self.machine.role_changed()

    def enter_sole(self) -> bool:
        """From now on the journal may be written without the core, if this is the leader and the only member."""
        if self.sole or not self.serving or self.commit_point.pending or self._waiting or self._asked or self.building:
            return self.sole
        raft, journal = self.node.raft, self.storage.journal
        if journal.failed is not None or journal.broken is not None:
            return False
        if list(raft.tracker.progress) != [raft.id] or raft.log.unstable.entries or self.node.has_ready():
            return False
        if not raft.log.applied == raft.log.committed == self.storage.last_index():
            return False
        journal.term = raft.term
        self.sole = True
        return True

    def leave_sole(self) -> None:
        """Tell the core of everything that was written without it."""
        if not self.sole:
            return
        self.machine.commit()  # to the journal, as everything before
        journal = self.storage.journal
        if journal.failed is not None:
            return  # what a full disk has not taken is on no disk: there is nothing to tell before it is
        journal.flusher.wait(journal.written)  # the core, and whoever waits for a reply, takes it for safe from now on
        if journal.broken is not None:
            self._fail(journal.broken)  # it is not: the server is about to end, and who waits is told by what ends it
            return
        self.sole = False
        self.storage.note_written(journal.index)
        self.node.adopt_written(journal.index)
        self.applied = self.executed = journal.index
        self.machine.role_changed()
        self.drive()

    # Compaction

    def may_compact(self) -> bool:
        """Whether the state machine is exactly what the log on disk has, so that a base can end here. If not, that will be so
        soon: elsewhere than on the leader nothing more is written until what is written is applied."""
        if self.building or self.node.raft.pending_conf_index > self.applied:
            return False
        if self.sole:
            return True
        if self.is_leader:
            self.machine.commit()
            self.drive()
            return self.executed == self.storage.last_index()
        if self.applied == self.storage.last_index():
            return True
        if not self.writing_paused:
            self.writing_paused = True
            self._paused_tick = max(self.ticks, 1)
        return False

    def resume_writing(self) -> None:
        """The base has begun, or will not."""
        self._paused_tick = 0
        if self.writing_paused and not self.building:
            self._schedule(self._write_on)

    def _write_on(self) -> None:
        if self.writing_paused and not self.building:
            self.installed()
            self.drive()

    def best_successor(self) -> int:
        """The voter whose log is furthest, of those that were heard of lately; 0: none."""
        raft = self.node.raft
        near = self.ticks - self._election_ticks
        others = [
            (progress.match, -node) for node, progress in raft.tracker.progress.items()
            if node != raft.id and not progress.is_learner and self.heard.get(node, -1) >= near
        ]  # fmt: skip
        return -max(others)[1] if others else 0

    def transfer(self, target: int) -> None:
        """Let another member lead; replies that wait are not lost, and nothing is executed until it leads or does not."""
        self.leave_sole()
        self.machine.commit()
        self.transferring = True
        self.machine.role_changed()
        self.node.transfer_leader(target)
        self.drive()
