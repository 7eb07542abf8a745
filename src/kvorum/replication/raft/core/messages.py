"""Messages between nodes, and between a node and its own storage; their numbers are the ones etcd's Raft uses.

``APPEND``, ``VOTE`` and ``SNAPSHOT`` are the paper's AppendEntries, RequestVote and InstallSnapshot. A message with term 0
is local: it was made by the node itself or its caller, or was forwarded on a client's behalf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from kvorum.replication.raft.core.entries import NO_NODE, Entry, Snapshot

# Addressees of local storage work: the thread that writes the log, and the one that applies what is committed.
LOCAL_APPEND_THREAD: Final = (1 << 64) - 1
LOCAL_APPLY_THREAD: Final = (1 << 64) - 2


class MessageType(IntEnum):
    """What a message says; where it is not the paper's, what for."""

    HUP = 0  # begin an election
    BEAT = 1  # send heartbeats
    PROPOSE = 2
    APPEND = 3
    APPEND_RESPONSE = 4
    VOTE = 5
    VOTE_RESPONSE = 6
    SNAPSHOT = 7
    HEARTBEAT = 8
    HEARTBEAT_RESPONSE = 9
    UNREACHABLE = 10  # the transport lost something on its way to a peer
    SNAPSHOT_STATUS = 11  # the transport delivered a snapshot, or failed to
    CHECK_QUORUM = 12  # step down unless a quorum was heard of
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14  # campaign at once, the leader wishes it
    READ_INDEX = 15
    READ_INDEX_RESPONSE = 16
    PRE_VOTE = 17
    PRE_VOTE_RESPONSE = 18
    STORAGE_APPEND = 19
    STORAGE_APPEND_RESPONSE = 20
    STORAGE_APPLY = 21
    STORAGE_APPLY_RESPONSE = 22
    FORGET_LEADER = 23


# Never taken from the network.
LOCAL_MESSAGES: Final = frozenset(
    {
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAPSHOT_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND,
        MessageType.STORAGE_APPEND_RESPONSE,
        MessageType.STORAGE_APPLY,
        MessageType.STORAGE_APPLY_RESPONSE,
    }
)
# Only taken from members.
RESPONSES: Final = frozenset(
    {
        MessageType.APPEND_RESPONSE,
        MessageType.VOTE_RESPONSE,
        MessageType.HEARTBEAT_RESPONSE,
        MessageType.UNREACHABLE,
        MessageType.READ_INDEX_RESPONSE,
        MessageType.PRE_VOTE_RESPONSE,
        MessageType.STORAGE_APPEND_RESPONSE,
        MessageType.STORAGE_APPLY_RESPONSE,
    }
)
# They promise something that must be on disk before anybody hears of it.
PROMISES: Final = frozenset({MessageType.APPEND_RESPONSE, MessageType.VOTE_RESPONSE, MessageType.PRE_VOTE_RESPONSE})
# Their term is the one that is campaigned for, which with PRE_VOTE is not the sender's own.
CAMPAIGN_MESSAGES: Final = frozenset(
    {MessageType.VOTE, MessageType.VOTE_RESPONSE, MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESPONSE}
)
# Forwarded for a client, whichever term it is by then.
TERMLESS_MESSAGES: Final = frozenset({MessageType.PROPOSE, MessageType.READ_INDEX})


@dataclass(slots=True)
class Message:
    """One message. Which fields mean something depends on the type:

    ==========================  =========================================================================================
    ``APPEND``                  ``entries`` come after the entry ``index``, which has term ``log_term``; ``commit``
    ``APPEND_RESPONSE``         matches up to ``index``; or ``reject``: not at ``index``, try at ``reject_hint`` (its term is
                                ``log_term``)
    ``VOTE``, ``PRE_VOTE``      the candidate's last entry: ``index``, ``log_term``; ``context`` if a transfer forces it
    their responses             ``reject``, then what is committed in ``context``
    ``HEARTBEAT`` and response  ``commit``; ``context`` comes back as it went out
    ``SNAPSHOT``                ``snapshot``
    ``READ_INDEX``, response    the reader's ``context``; ``index``
    ``SNAPSHOT_STATUS``         ``reject``: it failed
    ``STORAGE_APPEND``          write ``entries``, ``snapshot`` and, unless ``term`` is 0, the hard state ``term``, ``vote``,
                                ``commit``; then deliver ``responses``
    ``STORAGE_APPEND_RESPONSE`` the log is stable up to ``index``, whose term is ``log_term``; ``snapshot`` was applied
    ``STORAGE_APPLY``           apply ``entries``, then deliver ``responses``
    ==========================  =========================================================================================
    """

    type: MessageType
    to: int = NO_NODE
    from_: int = NO_NODE
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: Sequence[Entry] = ()
    commit: int = 0
    vote: int = NO_NODE
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: Sequence[Message] = ()


def is_local_target(node: int) -> bool:
    """Whether the id is one of the storage threads."""
    return node in (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
