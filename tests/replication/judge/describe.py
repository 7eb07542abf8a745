"""Prints messages, Readys and progress the way the expected output of the scripts has them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from kvorum.replication.raft.core.conf_change import ConfChangeType, decode_conf_change
from kvorum.replication.raft.core.entries import NO_NODE, ConfState, Entry, EntryType, HardState, Snapshot
from kvorum.replication.raft.core.messages import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, Message, MessageType
from kvorum.replication.raft.core.progress import Progress, ProgressState
from kvorum.replication.raft.core.quorum import VoteResult
from kvorum.replication.raft.core.ready import Ready
from kvorum.replication.raft.core.status import Role

ROLES = {
    Role.FOLLOWER: "StateFollower",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
    Role.PRE_CANDIDATE: "StatePreCandidate",
}
PROGRESS_STATES = {
    ProgressState.PROBE: "StateProbe",
    ProgressState.REPLICATE: "StateReplicate",
    ProgressState.SNAPSHOT: "StateSnapshot",
}
VOTE_RESULTS = {VoteResult.PENDING: "VotePending", VoteResult.LOST: "VoteLost", VoteResult.WON: "VoteWon"}
ENTRY_TYPES = {
    EntryType.NORMAL: "EntryNormal",
    EntryType.CONF_CHANGE: "EntryConfChange",
    EntryType.CONF_CHANGE_V2: "EntryConfChangeV2",
}
MESSAGE_TYPES = {
    MessageType.HUP: "MsgHup",
    MessageType.BEAT: "MsgBeat",
    MessageType.PROPOSE: "MsgProp",
    MessageType.APPEND: "MsgApp",
    MessageType.APPEND_RESPONSE: "MsgAppResp",
    MessageType.VOTE: "MsgVote",
    MessageType.VOTE_RESPONSE: "MsgVoteResp",
    MessageType.SNAPSHOT: "MsgSnap",
    MessageType.HEARTBEAT: "MsgHeartbeat",
    MessageType.HEARTBEAT_RESPONSE: "MsgHeartbeatResp",
    MessageType.UNREACHABLE: "MsgUnreachable",
    MessageType.SNAPSHOT_STATUS: "MsgSnapStatus",
    MessageType.CHECK_QUORUM: "MsgCheckQuorum",
    MessageType.TRANSFER_LEADER: "MsgTransferLeader",
    MessageType.TIMEOUT_NOW: "MsgTimeoutNow",
    MessageType.READ_INDEX: "MsgReadIndex",
    MessageType.READ_INDEX_RESPONSE: "MsgReadIndexResp",
    MessageType.PRE_VOTE: "MsgPreVote",
    MessageType.PRE_VOTE_RESPONSE: "MsgPreVoteResp",
    MessageType.STORAGE_APPEND: "MsgStorageAppend",
    MessageType.STORAGE_APPEND_RESPONSE: "MsgStorageAppendResp",
    MessageType.STORAGE_APPLY: "MsgStorageApply",
    MessageType.STORAGE_APPLY_RESPONSE: "MsgStorageApplyResp",
    MessageType.FORGET_LEADER: "MsgForgetLeader",
}
CHANGE_LETTERS = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}
_LETTERS = {kind: letter for letter, kind in CHANGE_LETTERS.items()}
_TARGETS = {NO_NODE: "None", LOCAL_APPEND_THREAD: "AppendThread", LOCAL_APPLY_THREAD: "ApplyThread"}


def describe_ready(ready: Ready) -> str:
    lines = []
    if ready.soft_state is not None:
        lines.append(f"Lead:{ready.soft_state.lead} State:{ROLES[ready.soft_state.role]}")
    if ready.hard_state is not None:
        lines.append(f"HardState {_hard_state(ready.hard_state)}")
    if ready.read_states:
        lines.append(f"ReadStates {ready.read_states}")
    if ready.entries:
        lines += ["Entries:", *describe_entries(ready.entries)]
    if ready.snapshot is not None:
        lines.append(f"Snapshot {_snapshot(ready.snapshot)}")
    if ready.committed_entries:
        lines += ["CommittedEntries:", *describe_entries(ready.committed_entries)]
    if ready.messages:
        lines += ["Messages:", *map(describe_message, ready.messages)]
    if not lines:
        return "<empty Ready>"
    return "\n".join([f"Ready MustSync={str(ready.must_sync).lower()}:", *lines]) + "\n"


def _hard_state(hard_state: HardState) -> str:
    vote = f" Vote:{hard_state.vote}" if hard_state.vote else ""
    return f"Term:{hard_state.term}{vote} Commit:{hard_state.commit}"


def _snapshot(snapshot: Snapshot) -> str:
    state = snapshot.conf_state
    return (
        f"Index:{snapshot.index} Term:{snapshot.term} ConfState:Voters:{_ids(state.voters)}"
        f" VotersOutgoing:{_ids(state.voters_outgoing)} Learners:{_ids(state.learners)}"
        f" LearnersNext:{_ids(state.learners_next)} AutoLeave:{str(state.auto_leave).lower()}"
    )


def _ids(ids: Iterable[int]) -> str:
    return "[" + " ".join(map(str, ids)) + "]"


def describe_message(message: Message, indent: str = "") -> str:
    way = f"{_target(message.from_)}->{_target(message.to)}"
    parts = [f"{indent}{way} {MESSAGE_TYPES[message.type]} Term:{message.term} Log:{message.log_term}/{message.index}"]
    if message.reject:
        parts.append(f" Rejected (Hint: {message.reject_hint})")
    if message.commit:
        parts.append(f" Commit:{message.commit}")
    if message.vote:
        parts.append(f" Vote:{message.vote}")
    if len(message.entries) == 1:
        parts.append(f" Entries:[{describe_entry(message.entries[0])}]")
    elif message.entries:
        lines = "".join(f"\n{indent}  {line}" for line in describe_entries(message.entries))
        parts.append(f" Entries:[{lines}\n{indent}]")
    if message.snapshot is not None and message.snapshot.index:
        parts.append(f"\n{indent}  Snapshot: {_snapshot(message.snapshot)}")
    if message.responses:
        responses = "".join("\n" + describe_message(response, indent + "  ") for response in message.responses)
        parts.append(f" Responses:[{responses}\n{indent}]")
    return "".join(parts)


def _target(node: int) -> str:
    return _TARGETS.get(node, f"{node:x}")


def describe_entries(entries: Iterable[Entry]) -> list[str]:
    return [describe_entry(entry) for entry in entries]


def describe_entry(entry: Entry) -> str:
    if entry.type is EntryType.NORMAL:
        text = json.dumps(entry.data.decode(), ensure_ascii=False)
    else:
        changes = decode_conf_change(entry).as_v2().changes
        text = " ".join(f"{_LETTERS[change.type]}{change.node_id}" for change in changes)
    return f"{entry.term}/{entry.index} {ENTRY_TYPES[entry.type]}{' ' if text else ''}{text}"


def describe_configuration(state: ConfState) -> str:
    text = f"voters={_hexadecimal(state.voters)}"
    if state.voters_outgoing:
        text += f"&&{_hexadecimal(state.voters_outgoing)}"
    if state.learners:
        text += f" learners={_hexadecimal(state.learners)}"
    if state.learners_next:
        text += f" learners_next={_hexadecimal(state.learners_next)}"
    return text + (" autoleave" if state.auto_leave else "")


def _hexadecimal(ids: Iterable[int]) -> str:
    return "(" + " ".join(f"{node:x}" for node in ids) + ")"


def describe_progress(progress: Mapping[int, Progress]) -> str:
    return "".join(f"{node}: {_progress(one)}\n" for node, one in sorted(progress.items()))


def _progress(progress: Progress) -> str:
    text = f"{PROGRESS_STATES[progress.state]} match={progress.match} next={progress.next}"
    if progress.is_learner:
        text += " learner"
    if progress.is_paused():
        text += " paused"
    if progress.pending_snapshot:
        text += f" pendingSnap={progress.pending_snapshot}"
    if not progress.recent_active:
        text += " inactive"
    if progress.inflights.count:
        text += f" inflight={progress.inflights.count}"
        text += "[full]" if progress.inflights.full() else ""
    return text
