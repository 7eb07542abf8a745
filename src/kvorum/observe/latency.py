"""The latency monitor: for each kind of event the last 160 seconds in which it took long, with the worst of each.

Unlike the slow log, which tells of commands, this also tells of the server's own work (expiry, eviction, the disk).
Whoever does such work offers its duration; what is below ``latency-monitor-threshold`` is forgotten.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_SAMPLES = 160


@dataclass(slots=True)
class Sample:
    """The worst of one second. ``time_s`` is Unix time."""

    time_s: int
    milliseconds: int


@dataclass(slots=True)
class Analysis:
    """What the samples of one event say together, in milliseconds; ``period_s`` reaches back to the oldest."""

    samples: int = 0
    average: int = 0
    least: int = 0
    most: int = 0
    mean_deviation: int = 0
    period_s: int = 0
    all_time_high: int = 0


class Series:
    """The samples of one event, oldest first, and the worst ever seen."""

    __slots__ = ("all_time_high", "samples")

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self.all_time_high = 0

    def add(self, time_s: int, milliseconds: int) -> None:
        self.all_time_high = max(self.all_time_high, milliseconds)
        if self.samples and self.samples[-1].time_s == time_s:
            last = self.samples[-1]
            last.milliseconds = max(last.milliseconds, milliseconds)
        else:
            self.samples.append(Sample(time_s, milliseconds))

    def analyse(self, now_s: int) -> Analysis:
        """Means are rounded down, as Redis does."""
        values = [sample.milliseconds for sample in self.samples]
        if not values:
            return Analysis(all_time_high=self.all_time_high)
        average = sum(values) // len(values)
        return Analysis(
            samples=len(values),
            average=average,
            least=min(values),
            most=max(values),
            mean_deviation=sum(abs(average - value) for value in values) // len(values),
            period_s=(now_s - min(sample.time_s for sample in self.samples)) or 1,
            all_time_high=self.all_time_high,
        )


class LatencyMonitor:
    """All events of one server. ``threshold_ms`` is ``latency-monitor-threshold``; 0 turns the monitor off."""

    def __init__(self, threshold_ms: int = 0) -> None:
        self.threshold_ms = threshold_ms
        self.events: dict[str, Series] = {}

    @property
    def limit_ns(self) -> int | None:
        """Commands from this duration on should be offered; None: none at all."""
        return self.threshold_ms * 1_000_000 if self.threshold_ms > 0 else None

    def offer(self, event: str, milliseconds: int, now_ms: int) -> None:
        """Something took so long, and ended at ``now_ms`` (Unix ms): note it if that is long."""
        if self.threshold_ms <= 0 or milliseconds < self.threshold_ms:
            return
        series = self.events.get(event)
        if series is None:
            series = self.events[event] = Series()
        series.add(now_ms // 1000, milliseconds)

    def reset(self, event: str) -> bool:
        """Forget one event, named in any case; False if there was none."""
        found = [name for name in self.events if name.lower() == event.lower()]
        for name in found:
            del self.events[name]
        return bool(found)

    def reset_all(self) -> int:
        """Forget all events; returns how many there were."""
        count = len(self.events)
        self.events.clear()
        return count
