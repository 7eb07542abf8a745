"""The clocks of a node: a monotonic one that runs a little too fast or too slow, and a wall clock that also jumps."""

from __future__ import annotations

from kvorum.clock import Clock
from kvorum.testing.simulation.scheduler import MILLISECOND_NS, Scheduler

EPOCH_MS = 1_700_000_000_000


class NodeClock(Clock):
    """``rate``: how many of its seconds pass in one real second. It is the machine's: it outlives the server."""

    def __init__(self, scheduler: Scheduler, rate: float = 1.0, offset_ms: int = 0) -> None:
        self._scheduler = scheduler
        self._rate = rate
        self._offset_us = offset_ms * 1000

    def monotonic_ns(self) -> int:
        return 1_000_000_000 + int(self._scheduler.now_ns * self._rate)

    def wall_ms(self) -> int:
        return self.wall_us() // 1000

    def wall_us(self) -> int:
        return EPOCH_MS * 1000 + (self.monotonic_ns() // 1000) + self._offset_us

    def jump(self, milliseconds: int) -> None:
        """Somebody sets the wall clock."""
        self._offset_us += milliseconds * MILLISECOND_NS // 1000
