"""What a node of a group is started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from kvorum.replication.raft.core.entries import NO_LIMIT, NO_NODE
from kvorum.replication.raft.core.logger import Logger, SilentLogger
from kvorum.replication.raft.core.messages import is_local_target
from kvorum.replication.raft.core.storage import Storage

DEFAULT_MAX_INFLIGHT_MESSAGES = 256
DEFAULT_MAX_INFLIGHT_BYTES = 64 << 20
DEFAULT_MAX_MESSAGE_BYTES = 1 << 20
DEFAULT_MAX_PENDING_READS = 4096


class RandomSource(Protocol):
    """``random.Random`` fits."""

    def randrange(self, stop: int, /) -> int: ...


class ReadOnlyOption(Enum):
    """How the leader makes sure that it still is the leader before it answers a read.

    ``SAFE``: a quorum says so after the read arrived. ``LEASE_BASED``: a quorum promised, short enough ago, to elect nobody
    else; without such a promise as with ``SAFE``. That is right as long as clocks run at about the same speed. All members
    must have the same option.
    """

    SAFE = "safe"
    LEASE_BASED = "lease-based"


@dataclass(slots=True)
class Config:
    """Times are ticks, sizes are bytes.

    ``applied``: last entry that the state machine contains, at a restart. ``max_message_size``: of the entries of one append; 0
    is one entry. ``max_committed_size_per_ready``: of committed entries that are handed out and not reported as applied; 0 is
    the size of a message. ``max_uncommitted_size``: data in the leader's uncommitted tail, beyond which proposals are
    dropped. ``max_inflight_messages``, ``max_inflight_bytes``: appends under way to one follower. ``max_pending_reads``: reads
    that wait for confirmation, beyond which they are dropped. ``max_clock_drift_ticks``: by how much a follower's clock may
    be ahead of the leader's after one election timeout.
    """

    id: int
    storage: Storage
    random: RandomSource
    election_tick: int = 10
    heartbeat_tick: int = 1
    applied: int = 0
    async_storage_writes: bool = False
    max_message_size: int = DEFAULT_MAX_MESSAGE_BYTES
    max_committed_size_per_ready: int = 0
    max_uncommitted_size: int = NO_LIMIT
    max_inflight_messages: int = DEFAULT_MAX_INFLIGHT_MESSAGES
    max_inflight_bytes: int = DEFAULT_MAX_INFLIGHT_BYTES
    max_pending_reads: int = DEFAULT_MAX_PENDING_READS
    max_clock_drift_ticks: int = 1
    check_quorum: bool = True
    pre_vote: bool = True
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    disable_proposal_forwarding: bool = False
    # The check is made against the applied configuration, so it also refuses what would be right once more is applied.
    disable_conf_change_validation: bool = False
    step_down_on_removal: bool = True
    logger: Logger = field(default_factory=SilentLogger)

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot work."""
        if self.id == NO_NODE or is_local_target(self.id):
            raise ValueError("this id is reserved")
        if self.heartbeat_tick <= 0:
            raise ValueError("heartbeats need at least one tick")
        if self.election_tick <= self.heartbeat_tick:
            raise ValueError("an election timeout must be longer than the time between heartbeats")
        if self.max_inflight_messages <= 0:
            raise ValueError("at least one message must be allowed in flight")
        if self.max_inflight_bytes < self.max_message_size:
            raise ValueError("one message must be allowed in flight")
        if self.read_only_option is ReadOnlyOption.LEASE_BASED and not self.check_quorum:
            raise ValueError("leases need check_quorum")

    @property
    def max_applying_size(self) -> int:
        return self.max_committed_size_per_ready or self.max_message_size

    @property
    def lease_ticks(self) -> int:
        """For how long a promise holds on the leader's clock. Both clocks may be within a tick, so one tick is lost at
        either end."""
        return self.election_tick - 2 - self.max_clock_drift_ticks
