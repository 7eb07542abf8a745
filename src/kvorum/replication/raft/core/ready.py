"""What a node wants done."""

from __future__ import annotations

from dataclasses import dataclass

from kvorum.replication.raft.core.entries import Entry, HardState, Snapshot
from kvorum.replication.raft.core.messages import Message
from kvorum.replication.raft.core.read_only import ReadState
from kvorum.replication.raft.core.status import SoftState


@dataclass(slots=True)
class Ready:
    """``soft_state``, ``hard_state``: None if unchanged. ``entries``, ``hard_state`` and ``snapshot`` are to be written,
    ``committed_entries`` to be applied, ``messages`` to be sent, ``read_states`` to be answered; in which order, says the
    contract in ``kvorum.replication.raft.core``. ``must_sync``: the write must be on disk before the messages leave; if
    not, only the commit index has changed, which may be lost.

    With asynchronous storage writes the messages contain all of that, and the other fields are only for the eye.
    """

    soft_state: SoftState | None
    hard_state: HardState | None
    read_states: list[ReadState]
    entries: list[Entry]
    snapshot: Snapshot | None
    committed_entries: list[Entry]
    messages: list[Message]
    must_sync: bool
