"""The state machine: one node's role in its group, its term, its vote and its log.

Everything happens in ``step`` and ``tick``. What follows for the outside is left in ``messages``, ``messages_after_append``
and ``read_states``, where ``RawNode`` collects it. A message meets first the rules about terms, which are the same for
everybody, then the table of its receiver's role::

                       no leader heard of                  votes of a quorum
             ┌──────────────────────────┐              ┌────────────────────────┐
             │                          ▼              │                        ▼
         FOLLOWER ──────────────▶ PRE_CANDIDATE ─▶ CANDIDATE                 LEADER
             ▲                          │              │                        │
             └──────────────────────────┴──────────────┴────────────────────────┘
                    a leader of the same term, or anything of a higher term,
                    or lost; the leader also without contact to a quorum

Invariants: the term never goes down; a node votes once in a term; a leader only ever appends to its log; only entries of the
own term are committed by counting. The configuration in force is the one *applied*, not the last one in the log; that is
safe because a change is proposed only when the one before is applied, nobody campaigns before applying all changes that
are committed, and majorities of neighbouring configurations overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.replication.raft.core import candidate, election, follower, leader, replication
from kvorum.replication.raft.core.changer import Changer, restore
from kvorum.replication.raft.core.conf_change import decode_conf_change, is_conf_change
from kvorum.replication.raft.core.config import Config, ReadOnlyOption
from kvorum.replication.raft.core.entries import (
    EMPTY_HARD_STATE,
    NO_NODE,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Snapshot,
    entries_size,
    payload_size,
)
from kvorum.replication.raft.core.errors import InvariantError, ProposalDroppedError
from kvorum.replication.raft.core.log import RaftLog
from kvorum.replication.raft.core.messages import (
    CAMPAIGN_MESSAGES,
    PROMISES,
    TERMLESS_MESSAGES,
    Message,
    MessageType,
)
from kvorum.replication.raft.core.read_only import ReadOnly, ReadState
from kvorum.replication.raft.core.status import Role, SoftState
from kvorum.replication.raft.core.tracker import ProgressMap, ProgressTracker

Step = Callable[["Raft", Message], None]


class Raft:
    """One node of a group. See the module."""

    def __init__(self, config: Config) -> None:
        self.id = config.id
        self.logger = config.logger
        self.term = 0
        self.vote = NO_NODE
        self.role = Role.FOLLOWER
        self.lead = NO_NODE
        # Who is to lead next; nothing is proposed meanwhile.
        self.lead_transferee = NO_NODE
        self.log = RaftLog(config.storage, config.logger, config.max_applying_size)
        self.tracker = ProgressTracker(config.max_inflight_messages, config.max_inflight_bytes)
        # To be sent at once, and as soon as everything unstable up to now is on disk.
        self.messages: list[Message] = []
        self.messages_after_append: list[Message] = []
        self.read_only = ReadOnly(config.id, config.read_only_option, config.max_pending_reads)
        self.read_states: list[ReadState] = []
        # Reads that came to a leader whose first entry was not committed yet.
        self.pending_read_index_messages: list[Message] = []
        # The configuration in force is the one as of this entry.
        self.configuration_index = max(config.applied, self.log.applied)
        # No further change of membership is proposed before everything up to here is applied.
        self.pending_conf_index = 0
        # An estimate, which may be too low but never too high; only the leader keeps it.
        self.uncommitted_size = 0
        # Ticks since the start, beginning at one; since the leader was heard of or an election began; since the last heartbeat.
        self.ticks = 1
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_timeout = 0
        # With leases: until then this node has promised to vote for nobody but its leader, whatever else it hears.
        self._bound_until_tick = 0
        # Who was asked to campaign may do so at any time in this term, whatever others promised.
        self.lease_given_away = False
        self._set_options(config)
        self._recover(config)

    def _set_options(self, config: Config) -> None:
        self.election_timeout = config.election_tick
        self.heartbeat_timeout = config.heartbeat_tick
        self.lease_ticks = config.lease_ticks
        self.max_message_size = config.max_message_size
        self.max_uncommitted_size = config.max_uncommitted_size
        self.max_pending_reads = config.max_pending_reads
        self.check_quorum = config.check_quorum
        self.pre_vote = config.pre_vote
        self.disable_proposal_forwarding = config.disable_proposal_forwarding
        self.disable_conf_change_validation = config.disable_conf_change_validation
        self.step_down_on_removal = config.step_down_on_removal
        self._random = config.random

    def _recover(self, config: Config) -> None:
        """Go on from what the storage holds."""
        hard_state, conf_state = config.storage.initial_state()
        self.switch_to_configuration(*restore(self.tracker, self.log.last_index(), conf_state))
        if max(hard_state.commit, config.applied) > self.log.last_index():
            raise InvariantError(f"entries are lost: {hard_state}, but the log ends at {self.log.last_index()}")
        # What is applied or in a snapshot was committed, even if the stored commit index is older.
        self.log.committed = max(hard_state.commit, config.applied, self.log.committed)
        self.log.applied_to(max(config.applied, self.log.applied), 0)
        self.term = hard_state.term
        self.vote = hard_state.vote
        self._commit_earlier_changes()
        self.become_follower(self.term, NO_NODE)
        if hard_state != EMPTY_HARD_STATE:
            # It may have answered a leader just before the restart.
            self.bind()
        self.logger.info(
            "starts",
            node=self.id,
            voters=self.tracker.voters.ids,
            term=self.term,
            commit=self.log.committed,
            applied=self.log.applied,
            last_index=self.log.last_index(),
        )

    def _commit_earlier_changes(self) -> None:
        """A leader proposes a change of membership only when the one before is applied; so of the changes in a log all but
        the last are committed, even if the commit index that said so did not survive. Without this the node could
        campaign with a configuration that is two changes old, whose majorities need not overlap with those in force.
        """
        tail = self.log.scan(self.log.committed + 1, self.log.last_index() + 1)
        changes = [entry.index for entry in tail if is_conf_change(entry)]
        if len(changes) > 1 and not self.disable_conf_change_validation:
            self.log.commit_to(changes[-2])

    def soft_state(self) -> SoftState:
        return SoftState(self.lead, self.role)

    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    # Sending.

    def send(self, message: Message) -> None:
        """Have the message sent; its term and sender are filled in.

        What promises something waits until all that is unstable now is on disk: a vote or an acknowledgement that a crash
        could undo might elect two leaders or lose what was committed. Refusals wait, too: they may rest on the same state.
        """
        if message.from_ == NO_NODE:
            message.from_ = self.id
        if message.type in CAMPAIGN_MESSAGES:
            assert message.term != 0, "the term that is campaigned for must be given"
        else:
            assert message.term == 0, "the term is filled in here"
            if message.type not in TERMLESS_MESSAGES:
                message.term = self.term
        if message.type in PROMISES:
            self.messages_after_append.append(message)
        else:
            assert message.to != self.id, "only promises are sent to oneself"
            self.messages.append(message)

    # Time.

    def tick(self) -> None:
        self.ticks += 1
        self.election_elapsed += 1
        if self.role == Role.LEADER:
            self._tick_heartbeat()
        elif self.election_elapsed >= self.randomized_election_timeout and self.promotable():
            self.election_elapsed = 0
            self._campaign()

    def _tick_heartbeat(self) -> None:
        self.heartbeat_elapsed += 1
        if self.election_elapsed >= self.election_timeout:
            self.election_elapsed = 0
            if self.check_quorum:
                self.step(Message(MessageType.CHECK_QUORUM, from_=self.id))
            if self.role == Role.LEADER and self.lead_transferee != NO_NODE:
                self.abort_leader_transfer()
        if self.role == Role.LEADER and self.heartbeat_elapsed >= self.heartbeat_timeout:
            self.heartbeat_elapsed = 0
            self.step(Message(MessageType.BEAT, from_=self.id))

    def _campaign(self) -> None:
        election.hup(self, election.CampaignType.PRE_ELECTION if self.pre_vote else election.CampaignType.ELECTION)

    # Roles.

    def _reset(self, term: int) -> None:
        if self.term != term:
            self.term = term
            self.vote = NO_NODE
        self.lead = NO_NODE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        # So that seldom two begin at the same time.
        self.randomized_election_timeout = self.election_timeout + self._random.randrange(self.election_timeout)
        self.abort_leader_transfer()
        self.tracker.reset_votes()
        self.tracker.restart(self.id, self.log.last_index())
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.read_only.reset()
        self.pending_read_index_messages = []
        self.lease_given_away = False

    def become_follower(self, term: int, lead: int) -> None:
        self._reset(term)
        self.lead = lead
        self.role = Role.FOLLOWER
        self.logger.info("becomes follower", node=self.id, term=self.term, lead=lead)

    def become_candidate(self) -> None:
        assert self.role != Role.LEADER, "a leader has won already"
        self._reset(self.term + 1)
        self.vote = self.id
        self.role = Role.CANDIDATE
        self.logger.info("becomes candidate", node=self.id, term=self.term)

    def become_pre_candidate(self) -> None:
        """Neither term nor vote change."""
        assert self.role != Role.LEADER, "a leader has won already"
        self.tracker.reset_votes()
        self.lead = NO_NODE
        self.role = Role.PRE_CANDIDATE
        self.logger.info("becomes pre-candidate", node=self.id, term=self.term)

    def become_leader(self) -> None:
        assert self.role == Role.CANDIDATE, "only an election makes a leader"
        self._reset(self.term)
        self.lead = self.id
        self.role = Role.LEADER
        own = self.tracker.progress[self.id]
        own.become_replicate()
        own.recent_active = True
        # There may be a change of membership in what is not applied. Looking for it would cost more than waiting.
        self.pending_conf_index = self.log.last_index()
        # Only with an entry of the own term can those before it be committed.
        appended = self.append_entries([Entry(0, 0)])
        assert appended, "an empty entry is never refused"
        self.logger.info("becomes leader", node=self.id, term=self.term)

    def promotable(self) -> bool:
        """Whether this node votes, and has its state together."""
        own = self.tracker.progress.get(self.id)
        return own is not None and not own.is_learner and self.log.unstable.snapshot is None

    def abort_leader_transfer(self) -> None:
        self.lead_transferee = NO_NODE

    # Steps.

    def step(self, message: Message) -> None:
        """Take in a message, which must not be changed afterwards. Raises RaftError if it was refused."""
        if message.term > self.term:
            if not self._accept_higher_term(message):
                return
        elif 0 < message.term < self.term:
            self._answer_lower_term(message)
            return
        step = _STEPS[self.role].get(message.type)
        if step is not None:
            step(self, message)

    def _accept_higher_term(self, message: Message) -> bool:
        """Take over the term, if the message is one that asserts it; False if the message is to be ignored."""
        kind = message.type
        is_vote = kind in (MessageType.VOTE, MessageType.PRE_VOTE)
        if is_vote and message.context != election.FORCED and self._is_bound():
            self.logger.info(
                "ignores a campaign while it has a leader", node=self.id, from_=message.from_, term=message.term
            )
            return False
        if kind == MessageType.PRE_VOTE or (kind == MessageType.PRE_VOTE_RESPONSE and not message.reject):
            # The term is only what would be campaigned for.
            return True
        is_from_leader = kind in (MessageType.APPEND, MessageType.HEARTBEAT, MessageType.SNAPSHOT)
        self.logger.info(
            "learns of a higher term", node=self.id, from_=message.from_, term=message.term, type=kind.name
        )
        self.become_follower(message.term, message.from_ if is_from_leader else NO_NODE)
        return True

    def bind(self) -> None:
        """A leader who may hold a lease is answered: from now on it can count on this node for an election timeout."""
        if self.read_only.option is ReadOnlyOption.LEASE_BASED:
            self._bound_until_tick = self.ticks + self.election_timeout

    def _is_bound(self) -> bool:
        """Whether a leader was heard of so recently that nobody else gets this node's vote."""
        return self.ticks < self._bound_until_tick or (
            self.check_quorum and self.lead != NO_NODE and self.election_elapsed < self.election_timeout
        )

    def _answer_lower_term(self, message: Message) -> None:
        kind = message.type
        if (self.check_quorum or self.pre_vote) and kind in (MessageType.HEARTBEAT, MessageType.APPEND):
            # Its vote requests are ignored by those who have a leader, so a node with a higher term could never come
            # back: this answer makes the leader step down and the group agree on a new term.
            self.send(Message(MessageType.APPEND_RESPONSE, to=message.from_))
        elif kind == MessageType.PRE_VOTE:
            # Silence could be a deadlock between a higher term and a longer log.
            election.refuse_vote(self, message)
        elif kind == MessageType.STORAGE_APPEND_RESPONSE:
            # Entries may have been overwritten in the meantime, see ``RawNode``. A snapshot is right in any term.
            if message.snapshot is not None:
                self._applied_snapshot(message.snapshot)
        else:
            self.logger.debug(
                "ignores a lower term", node=self.id, from_=message.from_, term=message.term, type=kind.name
            )

    def step_hup(self, message: Message) -> None:
        if self.read_only.option is ReadOnlyOption.LEASE_BASED and self._is_bound():
            self.logger.warning("does not campaign against a leader who may hold a lease", node=self.id, lead=self.lead)
        else:
            self._campaign()

    def step_storage_append_response(self, message: Message) -> None:
        if message.index != 0:
            self.log.unstable.stable_to(message.index, message.log_term)
        if message.snapshot is not None:
            self._applied_snapshot(message.snapshot)

    def step_storage_apply_response(self, message: Message) -> None:
        if message.entries:
            self._applied_to(message.entries[-1].index, entries_size(message.entries))
            self.uncommitted_size = max(0, self.uncommitted_size - payload_size(message.entries))

    # The log.

    def accepts_proposals(self) -> bool:
        """Whether this node leads, is a member, and is not about to hand over. The size may still be refused."""
        return self.role == Role.LEADER and self.id in self.tracker.progress and self.lead_transferee == NO_NODE

    def has_room_for(self, size: int) -> bool:
        """Whether so many bytes of data may be added to the uncommitted tail. A tail without data takes any size, and no
        data always fits: the first entry of a term, and leaving a joint configuration."""
        return self.uncommitted_size == 0 or size == 0 or self.uncommitted_size + size <= self.max_uncommitted_size

    def append_entries(self, entries: list[Entry]) -> bool:
        """The leader adds entries, whose term and index it determines; False if the uncommitted tail would get too big."""
        size = payload_size(entries)
        if not self.has_room_for(size):
            self.logger.warning("drops a proposal: too much is uncommitted", node=self.id, size=self.uncommitted_size)
            return False
        self.uncommitted_size += size
        index = self.log.last_index()
        appended = []
        for entry in entries:
            index += 1
            appended.append(Entry(self.term, index, entry.data, entry.type))
        self.log.append(appended)
        # The own acknowledgement, when they are on the own disk.
        self.send(Message(MessageType.APPEND_RESPONSE, to=self.id, index=index))
        return True

    def adopt_written(self, last: int) -> None:
        """Entries up to ``last`` are in the storage, committed and applied without this having seen them: their only judge was
        this node. InvariantError: it does not lead alone, or something is under way."""
        log = self.log
        alone = self.role == Role.LEADER and list(self.tracker.progress) == [self.id]
        if not alone or log.unstable.entries or log.unstable.snapshot is not None or last < log.committed:
            raise InvariantError(f"entries up to {last} were written by a node that does not lead alone")
        log.unstable.offset = log.unstable.offset_in_progress = last + 1
        log.committed = log.applying = log.applied = last
        progress = self.tracker.progress[self.id]
        progress.match, progress.next = last, last + 1

    def maybe_commit(self) -> bool:
        """Commit what a quorum has. Whether anything is new, which everybody should be told."""
        return self.log.maybe_commit(self.tracker.committed(), self.term)

    def committed_entry_in_current_term(self) -> bool:
        return self.log.term(self.log.committed) == self.term

    def holds_lease(self) -> bool:
        """Whether a quorum is bound to this leader for certain."""
        if self.read_only.option is ReadOnlyOption.SAFE or self.lease_given_away:
            return False
        start = self.read_only.lease_start(self.tracker.voters, self.ticks)
        return start > 0 and self.ticks - start <= self.lease_ticks

    def _applied_to(self, index: int, size: int) -> None:
        index = max(index, self.log.applied)
        self.log.applied_to(index, size)
        if self.tracker.conf_state.auto_leave and index >= self.pending_conf_index and self.role == Role.LEADER:
            # If a transfer of leadership is under way this is dropped, and tried again with the next entry that is applied,
            # or by the next leader.
            try:
                self.step(Message(MessageType.PROPOSE, entries=(Entry(0, 0, b"", EntryType.CONF_CHANGE_V2),)))
                self.logger.info("leaves the joint configuration", node=self.id, conf_state=self.tracker.conf_state)
            except ProposalDroppedError:
                self.logger.debug("cannot leave the joint configuration yet", node=self.id)

    def _applied_snapshot(self, snapshot: Snapshot) -> None:
        self.log.unstable.stable_snapshot_to(snapshot.index)
        self._applied_to(snapshot.index, 0)

    # Membership.

    def apply_conf_change(self, entry: Entry) -> ConfState:
        """Raises ConfChangeError, in which case the log holds what it should never have let in."""
        if entry.index <= self.configuration_index:
            # A snapshot that came in the meantime knows better.
            return self.tracker.conf_state
        change = decode_conf_change(entry).as_v2()
        self.configuration_index = entry.index
        return self.switch_to_configuration(*Changer(self.tracker, self.log.last_index()).change(change))

    def switch_to_configuration(self, conf_state: ConfState, progress: ProgressMap) -> ConfState:
        """Use this configuration from now on."""
        self.tracker.switch(conf_state, progress)
        self.logger.info("switches to a configuration", node=self.id, conf_state=conf_state)
        if self.role == Role.LEADER:
            own = progress.get(self.id)
            if own is not None and not own.is_learner:
                self._lead_configuration()
            elif self.step_down_on_removal:
                self.become_follower(self.term, NO_NODE)
        return conf_state

    def _lead_configuration(self) -> None:
        if self.maybe_commit():
            # Fewer need to agree now.
            replication.broadcast_append(self)
        else:
            # New members need not wait for the next heartbeat or proposal.
            replication.broadcast_append_of_news(self)
        if self.lead_transferee not in self.tracker.voters.ids:
            self.abort_leader_transfer()
        leader.finish_read_round(self)


_COMMON_STEPS: Final[dict[MessageType, Step]] = {
    MessageType.HUP: Raft.step_hup,
    MessageType.STORAGE_APPEND_RESPONSE: Raft.step_storage_append_response,
    MessageType.STORAGE_APPLY_RESPONSE: Raft.step_storage_apply_response,
    MessageType.VOTE: election.step_vote,
    MessageType.PRE_VOTE: election.step_vote,
}
_STEPS: Final[dict[Role, dict[MessageType, Step]]] = {
    Role.FOLLOWER: {**_COMMON_STEPS, **follower.STEPS},
    Role.CANDIDATE: {**_COMMON_STEPS, **candidate.STEPS},
    Role.LEADER: {**_COMMON_STEPS, **leader.STEPS},
    Role.PRE_CANDIDATE: {**_COMMON_STEPS, **candidate.PRE_CANDIDATE_STEPS},
}
