"""Linearizable reads without entries in the log (section 6.4 of Ongaro's thesis), in rounds.

A read may be answered from the state as of the commit index at its arrival, once it is certain that at that time
nobody else had been elected. A *round* of heartbeats makes it certain: a quorum answered heartbeats that were sent after
the read had arrived. One round runs at a time; reads that arrive meanwhile wait for the next one, which begins as soon as
the running one is confirmed. So any number of reads cost one round, and no answer can confirm a read that it is older than.

What heartbeats carry is never the reader's own context but the number of the round, which never goes back as long as the
process lives; and no process leads the same term twice. An answer to anything earlier confirms nothing.

With leases each heartbeat carries the tick of its sending, too. A follower that answers it will vote for nobody else
for an election timeout after it arrived, which is later than it was sent.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from kvorum.replication.raft.core.config import ReadOnlyOption
from kvorum.replication.raft.core.errors import ReadIndexDroppedError
from kvorum.replication.raft.core.quorum import JointConfig, VoteResult

# Number of the round, or 0; tick of the sending.
_CONTEXT: Final = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class ReadState:
    """The read with this context may be answered as soon as everything up to ``index`` is applied."""

    index: int
    context: bytes


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Who asked, and the commit index when it arrived."""

    from_: int
    context: bytes
    index: int


class ReadOnly:
    """The leader's pending reads. ``waiting`` arrived since the running round began."""

    def __init__(self, own: int, option: ReadOnlyOption, max_pending: int) -> None:
        self.option = option
        self.waiting: list[ReadRequest] = []
        self.round: list[ReadRequest] = []
        self._own = own
        self._max_pending = max_pending
        self._round_number = 0
        self._acks: dict[int, bool] = {}
        self._acked_ticks: dict[int, int] = {}

    def reset(self) -> None:
        """Nothing that was asked or answered before counts any more."""
        self.waiting = []
        self.round = []
        self._acks.clear()
        self._acked_ticks.clear()

    def add(self, request: ReadRequest) -> None:
        """Raises ReadIndexDroppedError if too many are pending."""
        if len(self.waiting) + len(self.round) >= self._max_pending:
            raise ReadIndexDroppedError
        self.waiting.append(request)

    def begin_round(self) -> bool:
        """Begin a round for what waits, unless one is running or nothing waits. The next heartbeats belong to it."""
        if self.round or not self.waiting:
            return False
        self.round, self.waiting = self.waiting, []
        self._round_number += 1
        self._acks = {self._own: True}
        return True

    def heartbeat_context(self, tick: int) -> bytes:
        """What the heartbeats that are sent now must carry."""
        if not self.round and self.option is ReadOnlyOption.SAFE:
            return b""
        return _CONTEXT.pack(self._round_number if self.round else 0, tick)

    def receive_ack(self, from_: int, context: bytes) -> None:
        """A heartbeat was answered. What is not of our making is ignored."""
        if len(context) != _CONTEXT.size:
            return
        round_number, tick = _CONTEXT.unpack(context)
        if self.round and round_number == self._round_number:
            self._acks[from_] = True
        self._acked_ticks[from_] = max(tick, self._acked_ticks.get(from_, 0))

    def finish_round(self, voters: JointConfig) -> list[ReadRequest]:
        """The reads that are certain now: those of the running round, if a quorum has answered."""
        if not self.round or voters.vote_result(self._acks) is not VoteResult.WON:
            return []
        confirmed, self.round = self.round, []
        return confirmed

    def lease_start(self, voters: JointConfig, tick: int) -> int:
        """The latest tick from which a quorum is bound; 0 if none ever was."""
        acked = {**self._acked_ticks, self._own: tick}
        return voters.committed_index(acked.get)
