"""What candidates and pre-candidates do with messages: count votes, and give way to a leader of their term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.core import election, follower, replication
from kvorum.replication.raft.core.entries import NO_NODE
from kvorum.replication.raft.core.errors import ProposalDroppedError, ReadIndexDroppedError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.quorum import VoteResult
from kvorum.replication.raft.core.status import Role

if TYPE_CHECKING:
    from kvorum.replication.raft.core.raft import Raft, Step


def _step_propose(raft: Raft, message: Message) -> None:
    raft.logger.info("drops a proposal", node=raft.id, term=raft.term, lead=NO_NODE)
    raise ProposalDroppedError


def _step_read_index(raft: Raft, message: Message) -> None:
    raise ReadIndexDroppedError


def _step_append(raft: Raft, message: Message) -> None:
    raft.become_follower(message.term, message.from_)
    follower.handle_append_entries(raft, message)


def _step_heartbeat(raft: Raft, message: Message) -> None:
    raft.become_follower(message.term, message.from_)
    follower.handle_heartbeat(raft, message)


def _step_snapshot(raft: Raft, message: Message) -> None:
    raft.become_follower(message.term, message.from_)
    follower.handle_snapshot(raft, message)


def _step_vote_response(raft: Raft, message: Message) -> None:
    granted = not message.reject
    raft.logger.info(
        "gets a vote" if granted else "does not get a vote",
        node=raft.id,
        type=message.type.name,
        voter=message.from_,
        term=raft.term,
    )
    if message.reject:
        election.learn_from_refusal(raft, message)
    raft.tracker.record_vote(message.from_, granted)
    result = raft.tracker.tally_votes()
    if result is VoteResult.WON:
        if raft.role == Role.PRE_CANDIDATE:
            election.campaign(raft, election.CampaignType.ELECTION)
        else:
            raft.become_leader()
            replication.broadcast_append(raft)
    elif result is VoteResult.LOST:
        # The own term: that of a refused pre-vote may lie in the future.
        raft.become_follower(raft.term, NO_NODE)


_STEPS: Final[dict[MessageType, Step]] = {
    MessageType.PROPOSE: _step_propose,
    MessageType.READ_INDEX: _step_read_index,
    MessageType.APPEND: _step_append,
    MessageType.HEARTBEAT: _step_heartbeat,
    MessageType.SNAPSHOT: _step_snapshot,
}
# Each counts only the answers to its own question: those to the pre-vote may still arrive during the election.
STEPS: Final[dict[MessageType, Step]] = {**_STEPS, MessageType.VOTE_RESPONSE: _step_vote_response}
PRE_CANDIDATE_STEPS: Final[dict[MessageType, Step]] = {**_STEPS, MessageType.PRE_VOTE_RESPONSE: _step_vote_response}
