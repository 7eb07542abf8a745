"""What the core raises: refusals that a caller lives with, and broken invariants after which a node must stop."""

from __future__ import annotations


class RaftError(Exception):
    """Something was refused or dropped. The state machine is intact and goes on."""


class ProposalDroppedError(RaftError):
    """The proposal did not enter any log: no leader, a transfer under way, not a member, or the uncommitted tail is full."""

    def __init__(self) -> None:
        super().__init__("raft proposal dropped")


class ReadIndexDroppedError(RaftError):
    """The read will never be answered: no leader is known here, or too many reads are pending."""

    def __init__(self) -> None:
        super().__init__("raft read index dropped")


class StepLocalMessageError(RaftError):
    """A message that only a node itself may make came from somewhere else."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step raft local message")


class StepPeerNotFoundError(RaftError):
    """A response came from a node that is not a member."""

    def __init__(self) -> None:
        super().__init__("raft: cannot step as peer not found")


class MalformedMessageError(RaftError):
    """A message contradicts itself, such as entries with gaps. Nothing of it was used."""


class ConfChangeError(RaftError):
    """The change of membership is not allowed from this configuration."""


class StorageError(RaftError):
    """What was asked of a storage is not there."""


class CompactedError(StorageError):
    """The entry was dropped from the log, because a snapshot holds its effects."""

    def __init__(self) -> None:
        super().__init__("requested index is unavailable due to compaction")


class UnavailableError(StorageError):
    """The entry is not in the log yet."""

    def __init__(self) -> None:
        super().__init__("requested entry at index is unavailable")


class SnapshotOutOfDateError(StorageError):
    """A newer snapshot is there already."""

    def __init__(self) -> None:
        super().__init__("requested index is older than the existing snapshot")


class SnapshotTemporarilyUnavailableError(StorageError):
    """The snapshot is still being made; the core asks again later."""

    def __init__(self) -> None:
        super().__init__("snapshot is temporarily unavailable")


class InvariantError(Exception):
    """The log contradicts what Raft guarantees: it was lost, damaged or overwritten, or the caller broke the contract.

    The node must stop at once and must neither vote nor acknowledge any more; others go on without it.
    """
