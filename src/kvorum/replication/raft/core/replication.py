"""What the leader sends to its followers: appends, snapshots where the log no longer reaches back, heartbeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvorum.replication.raft.core.entries import payload_size
from kvorum.replication.raft.core.errors import CompactedError, InvariantError, SnapshotTemporarilyUnavailableError
from kvorum.replication.raft.core.messages import Message, MessageType
from kvorum.replication.raft.core.progress import Progress, ProgressState
from kvorum.replication.raft.core.unstable import UNKNOWN_TERM

if TYPE_CHECKING:
    from kvorum.replication.raft.core.entries import Entry
    from kvorum.replication.raft.core.raft import Raft


def broadcast_append(raft: Raft) -> None:
    """To everybody, even if there is nothing but the commit index to tell."""
    for node in raft.tracker.progress:
        if node != raft.id:
            send_append(raft, node)


def broadcast_append_of_news(raft: Raft) -> None:
    """To those who lack entries."""
    for node in raft.tracker.progress:
        if node != raft.id:
            maybe_send_append(raft, node, send_if_empty=False)


def send_append(raft: Raft, to: int) -> None:
    maybe_send_append(raft, to, send_if_empty=True)


def maybe_send_append(raft: Raft, to: int, send_if_empty: bool) -> bool:
    """Send one append with as many entries as a message may hold, or a snapshot. Whether anything was sent.

    Empty ones convey the commit index, and find out what was lost while the window is full.
    """
    progress = raft.tracker.progress[to]
    if progress.is_paused():
        return False
    previous = progress.next - 1
    previous_term = raft.log.term(previous)
    if previous_term == UNKNOWN_TERM:
        return maybe_send_snapshot(raft, to, progress)
    entries: list[Entry] = []
    if progress.state != ProgressState.REPLICATE or not progress.inflights.full():
        try:
            entries = raft.log.entries(progress.next, raft.max_message_size)
        except CompactedError:
            return send_if_empty and maybe_send_snapshot(raft, to, progress)
    if not entries and not send_if_empty:
        return False
    raft.send(
        Message(
            MessageType.APPEND,
            to=to,
            index=previous,
            log_term=previous_term,
            entries=entries,
            commit=raft.log.committed,
        )
    )
    progress.sent_entries(len(entries), payload_size(entries))
    progress.sent_commit = raft.log.committed
    return True


def maybe_send_snapshot(raft: Raft, to: int, progress: Progress) -> bool:
    """Unless the follower is silent, in which case the snapshot would be made for nothing, or there is none yet."""
    if not progress.recent_active:
        raft.logger.debug("no snapshot for a node that is not active", node=raft.id, to=to)
        return False
    try:
        snapshot = raft.log.snapshot()
    except SnapshotTemporarilyUnavailableError:
        raft.logger.debug("snapshot is not ready", node=raft.id, to=to)
        return False
    if snapshot.index == 0:
        raise InvariantError("the log was compacted and there is no snapshot in its place")
    raft.logger.info(
        "sends a snapshot",
        node=raft.id,
        to=to,
        index=snapshot.index,
        term=snapshot.term,
        first_index=raft.log.first_index(),
    )
    progress.become_snapshot(snapshot.index)
    raft.send(Message(MessageType.SNAPSHOT, to=to, snapshot=snapshot))
    return True


def broadcast_heartbeat(raft: Raft) -> None:
    """A follower is told of no commit index that it is not known to have: its log may hold other entries there."""
    context = raft.read_only.heartbeat_context(raft.ticks)
    for node, progress in raft.tracker.progress.items():
        if node != raft.id:
            commit = min(progress.match, raft.log.committed)
            raft.send(Message(MessageType.HEARTBEAT, to=node, commit=commit, context=context))
            progress.sent_commit = commit
