"""What a node says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from kvorum.replication.raft.core.entries import NO_NODE, ConfState, HardState
from kvorum.replication.raft.core.progress import Progress


class Role(IntEnum):
    """``PRE_CANDIDATE`` asks whether it would win, without disturbing anybody's term."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


@dataclass(frozen=True, slots=True)
class SoftState:
    """What is good to know and need not be stored."""

    lead: int
    role: Role


@dataclass(frozen=True, slots=True)
class BasicStatus:
    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    lead_transferee: int


@dataclass(frozen=True, slots=True)
class Status:
    """``progress`` is empty unless the node leads; it is a copy."""

    basic: BasicStatus
    conf_state: ConfState
    progress: dict[int, Progress] = field(default_factory=dict)


NOT_LED = SoftState(NO_NODE, Role.FOLLOWER)
