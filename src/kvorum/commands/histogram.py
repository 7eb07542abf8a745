"""How long a command took, as a histogram with a fixed relative precision.

It has the shape of an HDR histogram with two significant digits from 1 ns to 1 s, as Redis keeps it: below 256 ns one
counter per nanosecond, above it 128 counters per doubling. So percentiles and the counts of LATENCY HISTOGRAM come out
like Redis' for the same durations. Recording costs a shift or two and one addition.
"""

from __future__ import annotations

from array import array

LARGEST_NS = 1_000_000_000
EXACT_BELOW = 256
HALF = EXACT_BELOW // 2
DOUBLINGS = 23
COUNTERS = (DOUBLINGS + 1) * HALF

FIRST_LEVEL_NS = 1024
LAST_LEVEL_NS = 1 << 29


def counter_of(nanoseconds: int) -> int:
    """Index of the counter that stands for a duration."""
    shift = 0
    while nanoseconds >> shift >= EXACT_BELOW:
        shift += 1
    return shift * HALF + (nanoseconds >> shift)


def highest_of(counter: int) -> int:
    """The longest duration, in nanoseconds, that a counter stands for."""
    if counter < EXACT_BELOW:
        return counter
    shift = counter // HALF - 1
    return ((counter - shift * HALF + 1) << shift) - 1


class Histogram:
    """Counts of durations; ``total`` is the number of all."""

    def __init__(self) -> None:
        self.counts = array("q", bytes(8 * COUNTERS))
        self.total = 0

    def record(self, nanoseconds: int) -> None:
        """Count one duration; what is out of range is counted as the nearest end of it."""
        if nanoseconds < 1:
            nanoseconds = 1
        elif nanoseconds > LARGEST_NS:
            nanoseconds = LARGEST_NS
        shift = 0
        while nanoseconds >> shift >= EXACT_BELOW:
            shift += 1
        self.counts[shift * HALF + (nanoseconds >> shift)] += 1
        self.total += 1

    def percentile(self, percent: float) -> int:
        """The duration in nanoseconds that ``percent`` of all did not exceed; 0 if there are none."""
        wanted = max(int(min(percent, 100.0) / 100 * self.total + 0.5), 1)
        met = 0
        for counter in range(COUNTERS):
            met += self.counts[counter]
            if met >= wanted:
                if percent == 0.0:
                    return highest_of(counter - 1) + 1 if counter else 0
                return highest_of(counter)
        return 0

    def cumulative(self) -> list[tuple[int, int]]:
        """(microseconds, how many were no longer) at each power of two where the number grows."""
        steps: list[tuple[int, int]] = []
        level = FIRST_LEVEL_NS
        last = counter_of(level)
        met = reported = 0
        for counter in range(COUNTERS):
            met += self.counts[counter]
            if counter == last:
                if met > reported:
                    steps.append((highest_of(counter) // 1000, met))
                    reported = met
                level *= 2
                last = counter_of(level) if level <= LAST_LEVEL_NS else COUNTERS - 1
        return steps
