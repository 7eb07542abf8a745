"""The core as its caller sees it: takes in messages, ticks and proposals, gives out what is to be done.

The contract is in ``kvorum.replication.raft.core``. Not safe for several threads; nothing here waits, reads a clock or
touches a file.
"""

from __future__ import annotations

from kvorum.replication.raft.core.conf_change import AnyConfChange
from kvorum.replication.raft.core.config import Config
from kvorum.replication.raft.core.entries import (
    EMPTY_HARD_STATE,
    ConfState,
    Entry,
    EntryId,
    Snapshot,
    entries_size,
)
from kvorum.replication.raft.core.errors import StepLocalMessageError, StepPeerNotFoundError
from kvorum.replication.raft.core.messages import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    LOCAL_MESSAGES,
    RESPONSES,
    Message,
    MessageType,
    is_local_target,
)
from kvorum.replication.raft.core.raft import Raft
from kvorum.replication.raft.core.ready import Ready
from kvorum.replication.raft.core.status import BasicStatus, Role, Status


class RawNode:
    """One member of a group."""

    def __init__(self, config: Config) -> None:
        self.raft = Raft(config)
        self._async_storage_writes = config.async_storage_writes
        # As they were in the last Ready.
        self._soft_state = self.raft.soft_state()
        self._hard_state = self.raft.hard_state()
        # Without asynchronous storage writes: what the storage threads would have answered.
        self._steps_on_advance: list[Message] = []

    # What comes in.

    def tick(self) -> None:
        """One tick has passed."""
        self.raft.tick()

    def step(self, message: Message) -> None:
        """Take in a message from another node, or a response of a storage thread. Raises RaftError if it was refused, which
        concerns nobody but a client whose proposal it was."""
        if not is_local_target(message.from_):
            if message.type in LOCAL_MESSAGES:
                raise StepLocalMessageError
            if message.type in RESPONSES and message.from_ not in self.raft.tracker.progress:
                raise StepPeerNotFoundError
        self.raft.step(message)

    def campaign(self) -> None:
        """Begin an election now, if this node may."""
        self.raft.step(Message(MessageType.HUP))

    def accepts_proposals(self, size: int = 0) -> bool:
        """Whether a proposal with so many bytes of data would enter the log of this node, the leader."""
        return self.raft.accepts_proposals() and self.raft.has_room_for(size)

    def propose(self, data: bytes) -> EntryId | None:
        """Propose an entry. Returns which one it became, or None if it was forwarded to the leader. Whether it will be
        committed is another matter. Raises ProposalDroppedError."""
        return self._propose(Entry(0, 0, data))

    def propose_conf_change(self, change: AnyConfChange) -> EntryId | None:
        """Propose a change of membership. While another one is under way, or if it does not fit the configuration, an empty
        entry takes its place."""
        return self._propose(Entry(0, 0, change.encode(), change.entry_type))

    def _propose(self, entry: Entry) -> EntryId | None:
        self.raft.step(Message(MessageType.PROPOSE, from_=self.raft.id, entries=(entry,)))
        return EntryId(self.raft.term, self.raft.log.last_index()) if self.raft.role == Role.LEADER else None

    def adopt_written(self, last: int) -> None:
        """A leader that is the only member has written entries of its term to the storage by itself, up to ``last``, and applied
        them. Nothing else may be under way."""
        self.raft.adopt_written(last)

    def apply_conf_change(self, entry: Entry) -> ConfState:
        """A committed change of membership is applied. Returns what snapshots must record from here on."""
        return self.raft.apply_conf_change(entry)

    def read_index(self, context: bytes) -> None:
        """Ask for an index from which a linearizable read may be answered; it comes as a ReadState with this context.
        Raises ReadIndexDroppedError if it is already known that it never will."""
        self.raft.step(Message(MessageType.READ_INDEX, context=context))

    def report_unreachable(self, node: int) -> None:
        """Something sent to this node was lost."""
        self.raft.step(Message(MessageType.UNREACHABLE, from_=node))

    def report_snapshot(self, node: int, failed: bool) -> None:
        """A snapshot was received by this node, or will never be."""
        self.raft.step(Message(MessageType.SNAPSHOT_STATUS, from_=node, reject=failed))

    def transfer_leader(self, transferee: int) -> None:
        """Try to make this node the leader. If that takes longer than an election timeout, all stays as it is."""
        self.raft.step(Message(MessageType.TRANSFER_LEADER, from_=transferee))

    def forget_leader(self) -> None:
        """A follower has reason to think that its leader is dead, and is free to vote for somebody else. It does not
        campaign by that. Ignored with leases."""
        self.raft.step(Message(MessageType.FORGET_LEADER))

    # What goes out.

    def has_ready(self) -> bool:
        raft = self.raft
        return bool(
            raft.messages
            or raft.messages_after_append
            or raft.log.unstable.has_next_entries()
            or raft.log.has_next_committed_entries(not self._async_storage_writes)
            or raft.read_states
            or raft.log.unstable.next_snapshot() is not None
            or self._hard_state_changed()
            or self._soft_state_changed()
        )

    def ready(self) -> Ready:
        """What is to be done now. All of it must be done; it is not given out again."""
        ready = self._collect()
        if self._async_storage_writes:
            self._add_storage_work(ready)
        else:
            self._remember_for_advance(ready)
        self._accept(ready)
        return ready

    def advance(self) -> None:
        """The last Ready has been dealt with. Only without asynchronous storage writes."""
        assert not self._async_storage_writes, "the responses of the storage threads take the place of advance"
        steps, self._steps_on_advance = self._steps_on_advance, []
        for message in steps:
            self.raft.step(message)

    def _hard_state_changed(self) -> bool:
        raft = self.raft
        stored = self._hard_state
        return stored.commit != raft.log.committed or stored.term != raft.term or stored.vote != raft.vote

    def _soft_state_changed(self) -> bool:
        return self._soft_state.lead != self.raft.lead or self._soft_state.role != self.raft.role

    def _collect(self) -> Ready:
        raft = self.raft
        entries = raft.log.unstable.next_entries()
        stored = self._hard_state
        return Ready(
            soft_state=raft.soft_state() if self._soft_state_changed() else None,
            hard_state=raft.hard_state() if self._hard_state_changed() else None,
            read_states=raft.read_states,
            entries=entries,
            snapshot=raft.log.unstable.next_snapshot(),
            committed_entries=raft.log.next_committed_entries(not self._async_storage_writes),
            messages=raft.messages,
            must_sync=bool(entries) or stored.vote != raft.vote or stored.term != raft.term,
        )

    def _accept(self, ready: Ready) -> None:
        raft = self.raft
        if ready.soft_state is not None:
            self._soft_state = ready.soft_state
        if ready.hard_state is not None:
            self._hard_state = ready.hard_state
        raft.read_states = []
        raft.messages = []
        raft.messages_after_append = []
        raft.log.unstable.accept_in_progress()
        committed = ready.committed_entries
        if committed:
            raft.log.accept_applying(committed[-1].index, entries_size(committed), not self._async_storage_writes)

    def _remember_for_advance(self, ready: Ready) -> None:
        """Promises to others leave with the rest: by the contract after the write. Those to itself wait for ``advance``."""
        assert not self._steps_on_advance, "advance was not called after the Ready before"
        for message in self.raft.messages_after_append:
            (self._steps_on_advance if message.to == self.raft.id else ready.messages).append(message)
        if self._needs_append_response(ready):
            self._steps_on_advance.append(self._append_response(ready.snapshot))
        if ready.committed_entries:
            self._steps_on_advance.append(self._apply_response(ready.committed_entries))

    # Asynchronous storage writes.

    def _add_storage_work(self, ready: Ready) -> None:
        raft = self.raft
        if ready.entries or ready.hard_state is not None or ready.snapshot is not None or raft.messages_after_append:
            ready.messages.append(self._append_work(ready))
        if ready.committed_entries:
            ready.messages.append(
                Message(
                    MessageType.STORAGE_APPLY,
                    to=LOCAL_APPLY_THREAD,
                    from_=raft.id,
                    entries=ready.committed_entries,
                    responses=[self._apply_response(ready.committed_entries)],
                )
            )

    def _append_work(self, ready: Ready) -> Message:
        """What the append thread is to write, and what it is to deliver after that: the promises that rest on it, then the
        news that the log is stable. In this order the leader finds the terms of what it acknowledges in memory."""
        responses = self.raft.messages_after_append
        if self._needs_append_response(ready):
            responses.append(self._append_response(ready.snapshot))
        hard_state = EMPTY_HARD_STATE if ready.hard_state is None else ready.hard_state
        return Message(
            MessageType.STORAGE_APPEND,
            to=LOCAL_APPEND_THREAD,
            from_=self.raft.id,
            term=hard_state.term,
            vote=hard_state.vote,
            commit=hard_state.commit,
            entries=ready.entries,
            snapshot=ready.snapshot,
            responses=responses,
        )

    def _needs_append_response(self, ready: Ready) -> bool:
        return bool(self.raft.log.unstable.entries) or ready.snapshot is not None

    def _append_response(self, snapshot: Snapshot | None) -> Message:
        """The word that everything handed out so far is stable. It bears the log's last entry and the current term, and
        after a change of term it counts no more, for a reason:

        entries A at some indexes are being written, then a new leader's B are handed out at the same indexes, then the first
        leader is back with A again. When the first write of A is reported, A is in memory and in the storage, and yet
        the write of B is still to come and will be in the storage for a while. If A were dropped from memory now, the log
        would show B. Each of these turns is a new term, so a report counts only within the term in which the write was
        handed out.

        So that nothing stays in memory because its report came too late, any write reports on the whole log, even if it
        wrote nothing but a new term.
        """
        response = Message(
            MessageType.STORAGE_APPEND_RESPONSE,
            to=self.raft.id,
            from_=LOCAL_APPEND_THREAD,
            term=self.raft.term,
            snapshot=snapshot,
        )
        if self.raft.log.unstable.entries:
            last = self.raft.log.last_entry_id()
            response.index = last.index
            response.log_term = last.term
        return response

    def _apply_response(self, entries: list[Entry]) -> Message:
        return Message(MessageType.STORAGE_APPLY_RESPONSE, to=self.raft.id, from_=LOCAL_APPLY_THREAD, entries=entries)

    # What it says of itself.

    def basic_status(self) -> BasicStatus:
        raft = self.raft
        return BasicStatus(raft.id, raft.hard_state(), raft.soft_state(), raft.log.applied, raft.lead_transferee)

    def status(self) -> Status:
        """With the progress of everybody, if this node leads."""
        raft = self.raft
        progress = raft.tracker.progress if raft.role == Role.LEADER else {}
        return Status(
            self.basic_status(), raft.tracker.conf_state, {node: one.clone() for node, one in progress.items()}
        )
