"""Time is handed in: whoever needs a clock gets a ``Clock``, so that tests and simulations can give their own.

The session reads ``monotonic_ns`` once for every command, so the compiled twin declares both methods at C level.
"""

from __future__ import annotations

import time


class Clock:
    """What time it is: ``monotonic_ns`` for durations, ``wall_ms`` (Unix time) for expiry and log lines."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary moment; never goes back."""
        raise NotImplementedError("a clock says what time it is")

    def wall_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return self.wall_us() // 1000

    def wall_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        raise NotImplementedError("a clock says what time it is")

    def calibrate(self) -> None:
        """Called by whoever has a timer: a clock that needs it compares itself with a better one."""


class SystemClock(Clock):
    """The machine's clocks."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def wall_us(self) -> int:
        return time.time_ns() // 1_000
