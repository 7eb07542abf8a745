"""What a follower does with messages, and what everybody does who recognises a leader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.core import election
from kvorum.replication.raft.core.changer import restore
from kvorum.replication.raft.core.config import ReadOnlyOption
from kvorum.replication.raft.core.entries import NO_NODE, Entry, EntryId, Snapshot
from kvorum.replication.raft.core.errors import MalformedMessageError, ProposalDroppedError, ReadIndexDroppedError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.read_only import ReadState

if TYPE_CHECKING:
    from kvorum.replication.raft.core.raft import Raft, Step


def _step_propose(raft: Raft, message: Message) -> None:
    if raft.lead == NO_NODE or raft.disable_proposal_forwarding:
        raft.logger.info("drops a proposal", node=raft.id, term=raft.term, lead=raft.lead)
        raise ProposalDroppedError
    raft.send(Message(MessageType.PROPOSE, to=raft.lead, from_=message.from_, entries=message.entries))


def _step_append(raft: Raft, message: Message) -> None:
    _hear_of_leader(raft, message)
    handle_append_entries(raft, message)


def _step_heartbeat(raft: Raft, message: Message) -> None:
    _hear_of_leader(raft, message)
    handle_heartbeat(raft, message)


def _step_snapshot(raft: Raft, message: Message) -> None:
    _hear_of_leader(raft, message)
    handle_snapshot(raft, message)


def _hear_of_leader(raft: Raft, message: Message) -> None:
    raft.election_elapsed = 0
    raft.lead = message.from_


def _step_transfer_leader(raft: Raft, message: Message) -> None:
    if raft.lead == NO_NODE:
        raft.logger.info("no leader to hand over", node=raft.id, term=raft.term)
        return
    raft.send(Message(MessageType.TRANSFER_LEADER, to=raft.lead, from_=message.from_))


def _step_forget_leader(raft: Raft, message: Message) -> None:
    if raft.read_only.option is ReadOnlyOption.LEASE_BASED:
        raft.logger.error("does not forget its leader, who may hold a lease", node=raft.id, lead=raft.lead)
    elif raft.lead != NO_NODE:
        raft.logger.info("forgets its leader", node=raft.id, term=raft.term, lead=raft.lead)
        raft.lead = NO_NODE


def _step_timeout_now(raft: Raft, message: Message) -> None:
    """A transfer needs no pre-vote: the leader itself has agreed."""
    raft.logger.info("is asked to become the leader", node=raft.id, term=raft.term, lead=message.from_)
    election.hup(raft, election.CampaignType.TRANSFER)


def _step_read_index(raft: Raft, message: Message) -> None:
    if raft.lead == NO_NODE:
        raft.logger.info("no leader to ask for a read index", node=raft.id, term=raft.term)
        raise ReadIndexDroppedError
    raft.send(Message(MessageType.READ_INDEX, to=raft.lead, from_=message.from_, context=message.context))


def _step_read_index_response(raft: Raft, message: Message) -> None:
    raft.read_states.append(ReadState(message.index, message.context))


STEPS: Final[dict[MessageType, Step]] = {
    MessageType.PROPOSE: _step_propose,
    MessageType.APPEND: _step_append,
    MessageType.HEARTBEAT: _step_heartbeat,
    MessageType.SNAPSHOT: _step_snapshot,
    MessageType.TRANSFER_LEADER: _step_transfer_leader,
    MessageType.FORGET_LEADER: _step_forget_leader,
    MessageType.TIMEOUT_NOW: _step_timeout_now,
    MessageType.READ_INDEX: _step_read_index,
    MessageType.READ_INDEX_RESPONSE: _step_read_index_response,
}


def handle_append_entries(raft: Raft, message: Message) -> None:
    log = raft.log
    previous = EntryId(message.log_term, message.index)
    _check_entries(previous, message.entries, message.term)
    if previous.index < log.committed:
        # Delayed: everything up to the commit index is known to match.
        raft.send(Message(MessageType.APPEND_RESPONSE, to=message.from_, index=log.committed))
        return
    last = log.maybe_append(previous, message.entries, message.commit)
    if last is not None:
        raft.send(Message(MessageType.APPEND_RESPONSE, to=message.from_, index=last))
        return
    # All entries of the leader before this one have at most its term: where ours are above, trying them is useless.
    hint = log.find_conflict_by_term(min(previous.index, log.last_index()), previous.term)
    raft.logger.debug(
        "rejects an append",
        node=raft.id,
        to=message.from_,
        index=previous.index,
        log_term=previous.term,
        hint=hint.index,
    )
    raft.send(
        Message(
            MessageType.APPEND_RESPONSE,
            to=message.from_,
            index=previous.index,
            reject=True,
            reject_hint=hint.index,
            log_term=hint.term,
        )
    )


def _check_entries(previous: EntryId, entries: Sequence[Entry], term: int) -> None:
    """Indexes count up by one, terms never go down nor above the leader's; else something that is not Raft sent this."""
    index, last_term = previous.index, previous.term
    for entry in entries:
        index += 1
        if entry.index != index or entry.term < last_term:
            raise MalformedMessageError(f"entry {entry.term}/{entry.index} follows {last_term}/{index - 1}")
        last_term = entry.term
    if last_term > term:
        raise MalformedMessageError(f"an entry of term {last_term} from a leader of term {term}")


def handle_heartbeat(raft: Raft, message: Message) -> None:
    raft.log.commit_to(message.commit)
    raft.bind()
    raft.send(Message(MessageType.HEARTBEAT_RESPONSE, to=message.from_, context=message.context))


def handle_snapshot(raft: Raft, message: Message) -> None:
    if message.snapshot is None:
        raise MalformedMessageError("a snapshot message without a snapshot")
    restored = restore_snapshot(raft, message.snapshot)
    index = raft.log.last_index() if restored else raft.log.committed
    raft.send(Message(MessageType.APPEND_RESPONSE, to=message.from_, index=index))


def restore_snapshot(raft: Raft, snapshot: Snapshot) -> bool:
    """Let the snapshot replace the log; False if nothing is gained by it.

    This node need not be in its configuration: a snapshot that is older than the addition of the node does as well as one
    made for it, if the log goes on from there.
    """
    log = raft.log
    if snapshot.index <= log.committed:
        raft.logger.info("ignores an old snapshot", node=raft.id, index=snapshot.index, committed=log.committed)
        return False
    if log.match_term(snapshot.index, snapshot.term):
        raft.logger.info("has all entries of the snapshot", node=raft.id, index=snapshot.index)
        log.commit_to(snapshot.index)
        return False
    log.restore(snapshot)
    raft.configuration_index = snapshot.index
    raft.switch_to_configuration(*restore(raft.tracker, log.last_index(), snapshot.conf_state))
    raft.logger.info("restores a snapshot", node=raft.id, index=snapshot.index, term=snapshot.term)
    return True
