"""Majorities, and majorities of two configurations at once: what is committed, and who won a vote.

Members are kept in ascending order, so that nothing depends on the order of a hash table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from kvorum.replication.raft.core.entries import NO_LIMIT

# Up to where a voter has acknowledged, or None if it never did.
AckedIndex = Callable[[int], int | None]


class VoteResult(Enum):
    PENDING = "pending"
    LOST = "lost"
    WON = "won"


class MajorityConfig:
    """Voters of whom more than half decide. No voters at all agree to everything, which makes one half of a joint
    configuration harmless as long as it is empty."""

    __slots__ = ("ids",)

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self.ids = tuple(sorted(set(ids)))

    def committed_index(self, acked_index: AckedIndex) -> int:
        """The highest index that a majority has acknowledged; NO_LIMIT if there are no voters."""
        if not self.ids:
            return NO_LIMIT
        indexes = []
        for voter in self.ids:
            index = acked_index(voter)
            indexes.append(0 if index is None else index)
        indexes.sort()
        # As many as a majority stand at this place or to the right of it.
        return indexes[(len(indexes) - 1) // 2]

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        if not self.ids:
            return VoteResult.WON
        granted = missing = 0
        for voter in self.ids:
            vote = votes.get(voter)
            if vote is None:
                missing += 1
            elif vote:
                granted += 1
        majority = len(self.ids) // 2 + 1
        if granted >= majority:
            return VoteResult.WON
        return VoteResult.PENDING if granted + missing >= majority else VoteResult.LOST


@dataclass(frozen=True, slots=True)
class JointConfig:
    """Both halves must agree. ``outgoing`` is empty unless a change of membership is under way."""

    incoming: MajorityConfig = field(default_factory=MajorityConfig)
    outgoing: MajorityConfig = field(default_factory=MajorityConfig)

    @property
    def ids(self) -> tuple[int, ...]:
        """Everybody who votes in either half, ascending."""
        return tuple(sorted({*self.incoming.ids, *self.outgoing.ids}))

    def committed_index(self, acked_index: AckedIndex) -> int:
        incoming = self.incoming.committed_index(acked_index)
        if not self.outgoing.ids:
            return incoming
        return min(incoming, self.outgoing.committed_index(acked_index))

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        results = (self.incoming.vote_result(votes), self.outgoing.vote_result(votes))
        if VoteResult.LOST in results:
            return VoteResult.LOST
        return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON
