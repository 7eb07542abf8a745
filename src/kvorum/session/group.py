"""What sessions and commands know of the Raft group that the server is a member of; ``server.group`` implements it.

``ServerContext.group`` is None on a server that stands alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kvorum.replication.raft.core.status import Status
    from kvorum.replication.raft.joining import Door
    from kvorum.replication.raft.members import Member, Members

# What became of a request to change the group: None if it was done, else why not.
Done = Callable[[str | None], object]


class GroupView(Protocol):
    """The group as this member sees it."""

    @property
    def raft_id(self) -> int:
        """This member's number, born with its votes file."""

    @property
    def name(self) -> str:
        """This member's name: ``node-id``, or the identity of its directory."""

    @property
    def group_id(self) -> str:
        """32 hexadecimal digits; empty before it belongs to a group."""

    @property
    def term(self) -> int: ...

    @property
    def commit_index(self) -> int: ...

    @property
    def applied_index(self) -> int: ...

    @property
    def is_leader(self) -> bool: ...

    @property
    def serving(self) -> bool:
        """Whether this is the leader, and everything before its term's first entry is applied: it executes commands."""

    @property
    def leader(self) -> Member | None:
        """Who leads, as far as is known here."""

    @property
    def members(self) -> Members: ...

    @property
    def offset(self) -> int:
        """Bytes of RESP that the applied part of the log has had since the group was formed."""

    def status(self) -> Status:
        """The core's own view, with the progress of every member if this one leads."""

    def acknowledged(self, position: int) -> int:
        """How many other members have the log on disk up to this position of ``Effects``; 0 unless this one leads."""

    def when_acknowledged(self, position: int, count: int, call: Callable[[], object]) -> None:
        """Call once so many others have it, or when this member stops leading."""

    def reachable_replicas(self) -> int:
        """How many other members were heard of within an election timeout; 0 unless this one leads."""

    def add(self, member: Member, done: Done) -> None:
        """Make it a learner, and a voter as soon as it has caught up."""

    def remove(self, raft_id: int, done: Done) -> None:
        """Take a member out; the leader itself hands over first."""

    def transfer(self, raft_id: int, done: Done) -> None:
        """Let another member lead; 0: the one that is furthest."""

    def may_decide(self) -> bool:
        """Whether keys may expire and be evicted: only the leader decides that, and only while a quorum is near."""

    def drive_soon(self) -> None:
        """What was committed to the log outside of a turn is to go on."""

    def promote(self, raft_id: int, done: Done) -> None:
        """Let a learner vote."""

    @property
    def door(self) -> Door:
        """Where servers ask who this is, and to be let in."""

    def invite(self, address: str) -> object:
        """Join the group of which a member is there; only without a group."""

    def on_change(self, call: Callable[[], object]) -> None:
        """Call whenever the leader, the term, the members or ``serving`` has changed."""
