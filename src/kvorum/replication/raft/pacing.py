"""A follower that is far behind must not take the leader's time from everybody else.

What it needs is read from files again, checked, and sent: a millisecond of the loop for each message, and each answer asks for
the next message at once. So such answers are taken in slowly: after each one comes a pause that is a multiple of what it
cost. The loop is the others' for four fifths of the time, whatever the disk, the machine and the size of the entries.

Only answers wait that lead to reading; heartbeats and everything else pass. Consensus does not mind: to it the follower is
merely slow. How many can wait is bounded by the window of appends under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from kvorum.replication.raft.core.messages import Message

PAUSE_SHARE = 4  # a pause is so many times as long as the work before it


class Clock(Protocol):
    """``kvorum.clock.Clock`` fits."""

    def monotonic_ns(self) -> int: ...


class Pacing:
    """``take`` deals with one answer, and does all that follows from it."""

    def __init__(
        self,
        clock: Clock,
        call_later: Callable[[float, Callable[[], object]], Any],
        take: Callable[[Message], object],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._take = take
        self._waiting: deque[Message] = deque()
        self._pausing = False

    def __len__(self) -> int:
        """So many answers wait."""
        return len(self._waiting)

    def receive(self, message: Message) -> None:
        """An answer that costs work: its turn comes."""
        self._waiting.append(message)
        if not self._pausing:
            self._next()

    def _next(self) -> None:
        if not self._waiting:
            self._pausing = False
            return
        began_ns = self._clock.monotonic_ns()
        self._take(self._waiting.popleft())
        spent_ns = self._clock.monotonic_ns() - began_ns
        self._pausing = True
        self._call_later(PAUSE_SHARE * spent_ns / 1e9, self._next)
