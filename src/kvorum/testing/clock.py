"""A clock that stands still until a test moves it."""

from __future__ import annotations


class FakeClock:
    """Implements ``kvorum.clock.Clock``; both readings advance together."""

    __slots__ = ("_monotonic_us", "_wall_us")

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic_us: int = 1_000_000) -> None:
        self._wall_us = wall_ms * 1000
        self._monotonic_us = monotonic_us

    def wall_ms(self) -> int:
        return self._wall_us // 1000

    def monotonic_us(self) -> int:
        return self._monotonic_us

    def advance(self, milliseconds: float) -> None:
        """Let time pass."""
        microseconds = round(milliseconds * 1000)
        assert microseconds >= 0, "time does not go back; use set_wall_ms for a clock that is set"
        self._wall_us += microseconds
        self._monotonic_us += microseconds

    def set_wall_ms(self, wall_ms: int) -> None:
        """What an operator or NTP does to the wall clock: it jumps, the monotonic one does not."""
        self._wall_us = wall_ms * 1000
