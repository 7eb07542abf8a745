"""Elections: who may campaign, how, and who gets the own vote (sections 5.2 and 5.4.1 of the paper; 9.6 of the thesis for
the pre-vote, in which a node asks whether it would win before it disturbs anybody's term)."""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.core.conf_change import is_conf_change
from kvorum.replication.raft.core.entries import NO_NODE, EntryId
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.status import Role

if TYPE_CHECKING:
    from kvorum.replication.raft.core.raft import Raft

# In a refusal: index and term of the last entry that the refuser knows to be committed.
_COMMITTED: Final = struct.Struct(">QQ")
# In a VOTE: the leader itself wishes this election, so that its lease does not stand against it.
FORCED: Final = b"transfer"

VOTE_RESPONSES: Final = {
    MessageType.VOTE: MessageType.VOTE_RESPONSE,
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESPONSE,
}


class CampaignType(Enum):
    PRE_ELECTION = "pre-election"
    ELECTION = "election"
    TRANSFER = "transfer"


def hup(raft: Raft, campaign_type: CampaignType) -> None:
    """Campaign, if this node may."""
    if raft.role == Role.LEADER:
        return
    if not raft.promotable():
        raft.logger.warning("may not campaign", node=raft.id, term=raft.term)
    elif _has_unapplied_conf_changes(raft):
        # It may not even know yet who votes.
        raft.logger.warning(
            "may not campaign before it has applied changes of membership", node=raft.id, term=raft.term
        )
    else:
        raft.logger.info("begins an election", node=raft.id, term=raft.term, campaign=campaign_type.value)
        campaign(raft, campaign_type)


def _has_unapplied_conf_changes(raft: Raft) -> bool:
    return any(is_conf_change(entry) for entry in raft.log.scan(raft.log.applied + 1, raft.log.committed + 1))


def campaign(raft: Raft, campaign_type: CampaignType) -> None:
    """Ask every voter. The own vote is a message, too, since it counts only once it is on disk."""
    if campaign_type is CampaignType.PRE_ELECTION:
        raft.become_pre_candidate()
        vote_type = MessageType.PRE_VOTE
        term = raft.term + 1
    else:
        raft.become_candidate()
        vote_type = MessageType.VOTE
        term = raft.term
    last = raft.log.last_entry_id()
    for voter in raft.tracker.voters.ids:
        if voter == raft.id:
            raft.send(Message(VOTE_RESPONSES[vote_type], to=voter, term=term))
            continue
        raft.send(
            Message(
                vote_type,
                to=voter,
                term=term,
                index=last.index,
                log_term=last.term,
                context=FORCED if campaign_type is CampaignType.TRANSFER else b"",
            )
        )


def step_vote(raft: Raft, message: Message) -> None:
    """Vote for whoever is up to date, unless this node has voted for somebody else or has a leader.

    Learners vote, too: a learner may have been promoted and not know it yet, and then its vote may be needed to elect the
    only node that could tell it. Who really is a voter is decided by the one who counts.
    """
    is_pre_vote = message.type == MessageType.PRE_VOTE
    can_vote = (
        raft.vote == message.from_
        or (raft.vote == NO_NODE and raft.lead == NO_NODE)
        or (is_pre_vote and message.term > raft.term)
    )
    granted = can_vote and raft.log.is_up_to_date(EntryId(message.log_term, message.index))
    raft.logger.info(
        "grants a vote" if granted else "refuses a vote",
        node=raft.id,
        type=message.type.name,
        to=message.from_,
        term=message.term,
        log_term=message.log_term,
        index=message.index,
    )
    if not granted:
        refuse_vote(raft, message)
        return
    # The term that was asked for, not the own one: with a pre-vote it is higher, and the asker ignores lower ones.
    raft.send(Message(VOTE_RESPONSES[message.type], to=message.from_, term=message.term))
    if not is_pre_vote:
        raft.election_elapsed = 0
        raft.vote = message.from_


def refuse_vote(raft: Raft, message: Message) -> None:
    """Refuse, and say what is committed.

    The configuration in force is the one that is applied, so a node that lost touch just when a change of membership was
    committed may ask the voters of a configuration that is no more, among them one whose log is longer and who may not
    campaign any more. Without this nobody could win.
    """
    committed = raft.log.committed
    raft.send(
        Message(
            VOTE_RESPONSES[message.type],
            to=message.from_,
            term=raft.term,
            reject=True,
            context=_COMMITTED.pack(committed, max(raft.log.term(committed), 0)),
        )
    )


def learn_from_refusal(raft: Raft, message: Message) -> None:
    """An entry that is committed anywhere is committed, if it is the same entry."""
    if len(message.context) == _COMMITTED.size:
        index, term = _COMMITTED.unpack(message.context)
        if raft.log.maybe_commit(index, term):
            raft.logger.info("learns of commits by a refusal", node=raft.id, from_=message.from_, committed=index)
