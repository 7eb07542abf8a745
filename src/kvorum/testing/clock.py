"""A clock that stands still until a test moves it."""

from __future__ import annotations

from kvorum.clock import Clock


class FakeClock(Clock):
    """Both readings advance together; only ``set_wall_ms`` parts them."""

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic_ns: int = 1_000_000_000) -> None:
        self._wall_ns = wall_ms * 1_000_000
        self._monotonic_ns = monotonic_ns

    def wall_ms(self) -> int:
        return self._wall_ns // 1_000_000

    def wall_us(self) -> int:
        return self._wall_ns // 1_000

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def advance(self, milliseconds: float) -> None:
        """Let time pass."""
        nanoseconds = round(milliseconds * 1_000_000)
        assert nanoseconds >= 0, "time does not go back; use set_wall_ms for a clock that is set"
        self._wall_ns += nanoseconds
        self._monotonic_ns += nanoseconds

    def set_wall_ms(self, wall_ms: int) -> None:
        """What an operator or NTP does to the wall clock: it jumps, the monotonic one does not."""
        self._wall_ns = wall_ms * 1_000_000
