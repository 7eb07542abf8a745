"""What the leader does with messages: proposals, acknowledgements, reads, snapshots, transfers of leadership."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvorum.replication.raft.core import replication
from kvorum.replication.raft.core.changer import Changer
from kvorum.replication.raft.core.conf_change import ConfChangeV2, decode_conf_change, is_conf_change
from kvorum.replication.raft.core.entries import NO_NODE, Entry
from kvorum.replication.raft.core.errors import ConfChangeError, ProposalDroppedError, ReadIndexDroppedError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.progress import Progress, ProgressState
from kvorum.replication.raft.core.read_only import ReadRequest, ReadState

if TYPE_CHECKING:
    from collections.abc import Callable

    from kvorum.replication.raft.core.raft import Raft, Step


def _step_beat(raft: Raft, message: Message) -> None:
    replication.broadcast_heartbeat(raft)


def _step_check_quorum(raft: Raft, message: Message) -> None:
    """Without contact to a quorum somebody else may lead by now, and nothing can be committed here."""
    if not raft.tracker.quorum_active():
        raft.logger.warning("steps down: no contact to a quorum", node=raft.id, term=raft.term)
        raft.become_follower(raft.term, NO_NODE)
    for node, progress in raft.tracker.progress.items():
        if node != raft.id:
            progress.recent_active = False


# Proposals.


def _step_propose(raft: Raft, message: Message) -> None:
    assert message.entries, "a proposal without entries"
    if not raft.accepts_proposals():
        raft.logger.debug("drops a proposal", node=raft.id, term=raft.term, lead_transferee=raft.lead_transferee)
        raise ProposalDroppedError
    entries = list(message.entries)
    for place, entry in enumerate(entries):
        if is_conf_change(entry):
            entries[place] = _admit_conf_change(raft, entry, raft.log.last_index() + place + 1)
    if not raft.append_entries(entries):
        raise ProposalDroppedError
    replication.broadcast_append(raft)


def _admit_conf_change(raft: Raft, entry: Entry, index: int) -> Entry:
    """The entry itself, or an empty one in its place: one change at a time, and only one that can be applied."""
    change = decode_conf_change(entry).as_v2()
    reason = "" if raft.disable_conf_change_validation else _why_refused(raft, change)
    if reason:
        raft.logger.info("ignores a change of membership", node=raft.id, change=change, reason=reason)
        return Entry(0, 0)
    raft.pending_conf_index = index
    return entry


def _why_refused(raft: Raft, change: ConfChangeV2) -> str:
    """With no other change under way, the configuration in force is the one that this change will meet."""
    if raft.pending_conf_index > raft.log.applied:
        return "another one may not be applied yet"
    if raft.tracker.conf_state.voters_outgoing and change.changes:
        return "the joint configuration must be left first"
    try:
        Changer(raft.tracker, raft.log.last_index()).change(change)
    except ConfChangeError as error:
        return str(error)
    return ""


# Reads.


def _step_read_index(raft: Raft, message: Message) -> None:
    if not raft.committed_entry_in_current_term():
        # What earlier leaders committed is known only with the first entry of the own term.
        if len(raft.pending_read_index_messages) >= raft.max_pending_reads:
            raise ReadIndexDroppedError
        raft.pending_read_index_messages.append(message)
        return
    request = ReadRequest(message.from_, message.context, raft.log.committed)
    if raft.tracker.is_only_voter(raft.id) or raft.holds_lease():
        _answer_read(raft, request)
        return
    raft.read_only.add(request)
    begin_read_round(raft)


def begin_read_round(raft: Raft) -> None:
    if raft.read_only.begin_round():
        replication.broadcast_heartbeat(raft)


def finish_read_round(raft: Raft) -> None:
    """Answer what the running round has confirmed, if it has, and begin the next one."""
    # Again only if this node alone is a quorum by now, so that the next round is confirmed as it begins.
    while confirmed := raft.read_only.finish_round(raft.tracker.voters):
        for request in confirmed:
            _answer_read(raft, request)
        begin_read_round(raft)


def _answer_read(raft: Raft, request: ReadRequest) -> None:
    if request.from_ in (NO_NODE, raft.id):
        raft.read_states.append(ReadState(request.index, request.context))
    else:
        raft.send(
            Message(MessageType.READ_INDEX_RESPONSE, to=request.from_, index=request.index, context=request.context)
        )


def _release_pending_reads(raft: Raft) -> None:
    """The first entry of the own term is committed."""
    messages, raft.pending_read_index_messages = raft.pending_read_index_messages, []
    for message in messages:
        _step_read_index(raft, message)


# What followers say.


def _of_member(step: Callable[[Raft, Message, Progress], None]) -> Step:
    """The step of a message that means nothing unless its sender is a member."""

    def checked(raft: Raft, message: Message) -> None:
        progress = raft.tracker.progress.get(message.from_)
        if progress is None:
            raft.logger.debug("ignores who is not a member", node=raft.id, from_=message.from_, type=message.type.name)
        else:
            step(raft, message, progress)

    return checked


def _step_append_response(raft: Raft, message: Message, progress: Progress) -> None:
    progress.recent_active = True
    if message.reject:
        _handle_rejection(raft, message, progress)
    elif progress.maybe_update(message.index) or (
        # An acknowledgement of what is known to match is no news, but ends the probing.
        progress.match == message.index and progress.state == ProgressState.PROBE
    ):
        _handle_acknowledgement(raft, message, progress)


def _handle_rejection(raft: Raft, message: Message, progress: Progress) -> None:
    """Find an earlier place where the logs may match.

    The follower's entry at the hint has a certain term, and its terms before that are no higher. So all of our entries
    with a higher term cannot be there, and the next probe goes to the last one that could: at most one probe per term.
    """
    hint = message.reject_hint
    if message.log_term > 0:
        hint = raft.log.find_conflict_by_term(hint, message.log_term).index
    if progress.maybe_decrement(message.index, hint):
        raft.logger.debug("goes back", node=raft.id, follower=message.from_, next=progress.next)
        if progress.state == ProgressState.REPLICATE:
            progress.become_probe()
        replication.send_append(raft, message.from_)


def _handle_acknowledgement(raft: Raft, message: Message, progress: Progress) -> None:
    from_ = message.from_
    _advance_state(raft, message, progress)
    if raft.maybe_commit():
        _release_pending_reads(raft)
        replication.broadcast_append(raft)
    elif from_ != raft.id and progress.can_bump_commit(raft.log.committed):
        # The next heartbeat would tell it, too, but later.
        replication.send_append(raft, from_)
    if from_ != raft.id:
        # There may be room for several messages by now.
        while replication.maybe_send_append(raft, from_, send_if_empty=False):
            pass
    if from_ == raft.lead_transferee and progress.match == raft.log.last_index():
        _send_timeout_now(raft, from_)


def _advance_state(raft: Raft, message: Message, progress: Progress) -> None:
    if progress.state == ProgressState.PROBE:
        progress.become_replicate()
    elif progress.state == ProgressState.REPLICATE:
        progress.inflights.free_up_to(message.index)
    elif progress.match + 1 >= raft.log.first_index():
        # Whatever snapshot it got and from where: the log reaches back far enough to go on.
        raft.logger.debug("follower has its snapshot", node=raft.id, follower=message.from_, match=progress.match)
        progress.become_probe()
        progress.become_replicate()


def _step_heartbeat_response(raft: Raft, message: Message, progress: Progress) -> None:
    progress.recent_active = True
    progress.append_paused = False
    # With a full window this sends an empty append, which finds out whether everything in the window got lost; while
    # probing it gives a follower that lacks nothing the occasion to say so.
    if progress.match < raft.log.last_index() or progress.state == ProgressState.PROBE:
        replication.send_append(raft, message.from_)
    if message.context:
        raft.read_only.receive_ack(message.from_, message.context)
        finish_read_round(raft)


def _step_snapshot_status(raft: Raft, message: Message, progress: Progress) -> None:
    if progress.state != ProgressState.SNAPSHOT:
        return
    if message.reject:
        # Else probing would begin behind a snapshot that never arrived.
        progress.pending_snapshot = 0
    progress.become_probe()
    raft.logger.debug("snapshot was sent", node=raft.id, follower=message.from_, failed=message.reject)
    # If it was received, the follower speaks next; if not, the next try has time until the next heartbeat.
    progress.append_paused = True


def _step_unreachable(raft: Raft, message: Message, progress: Progress) -> None:
    """Probably an append got lost."""
    if progress.state == ProgressState.REPLICATE:
        progress.become_probe()
    raft.logger.debug("follower is not reachable", node=raft.id, follower=message.from_)


# Transfer of leadership (section 3.10 of the thesis).


def _step_transfer_leader(raft: Raft, message: Message, progress: Progress) -> None:
    transferee = message.from_
    if progress.is_learner or transferee == raft.lead_transferee:
        raft.logger.info("ignores a transfer of leadership", node=raft.id, term=raft.term, to=transferee)
        return
    if raft.lead_transferee != NO_NODE:
        raft.logger.info("gives up a transfer of leadership", node=raft.id, term=raft.term, to=raft.lead_transferee)
        raft.abort_leader_transfer()
    if transferee == raft.id:
        return
    raft.logger.info("begins a transfer of leadership", node=raft.id, term=raft.term, to=transferee)
    # It has one election timeout.
    raft.election_elapsed = 0
    raft.lead_transferee = transferee
    if progress.match == raft.log.last_index():
        _send_timeout_now(raft, transferee)
    else:
        replication.send_append(raft, transferee)


def _send_timeout_now(raft: Raft, to: int) -> None:
    raft.logger.info("asks its successor to campaign", node=raft.id, term=raft.term, to=to)
    raft.lease_given_away = True
    raft.send(Message(MessageType.TIMEOUT_NOW, to=to))


STEPS: Final[dict[MessageType, Step]] = {
    MessageType.BEAT: _step_beat,
    MessageType.CHECK_QUORUM: _step_check_quorum,
    MessageType.PROPOSE: _step_propose,
    MessageType.READ_INDEX: _step_read_index,
    MessageType.APPEND_RESPONSE: _of_member(_step_append_response),
    MessageType.HEARTBEAT_RESPONSE: _of_member(_step_heartbeat_response),
    MessageType.SNAPSHOT_STATUS: _of_member(_step_snapshot_status),
    MessageType.UNREACHABLE: _of_member(_step_unreachable),
    MessageType.TRANSFER_LEADER: _of_member(_step_transfer_leader),
}
