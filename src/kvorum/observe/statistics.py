"""Counters of one server: what INFO stats, clients and errorstats tell.

Most counts are kept where the thing happens: the reactor counts bytes and connections, the pipeline commands, the
keyspace hits and evictions. ``Statistics`` knows where to look (``watch``) and remembers their values at the last
``CONFIG RESETSTAT``, so that nobody on the hot path has to offer a way to start again. What nobody else counts stands
here as attributes.

Nothing here reads a clock: ``sample`` is told the time by the server's cron.
"""

from __future__ import annotations

from collections.abc import Callable

# Kinds of errors that are counted apart. Scripts can return any word as an error code; the rest goes into one bin.
MAX_ERROR_CODES = 128
OVERFLOW_CODE = b"ERRORSTATS_OVERFLOW"
# Rates are means over the last so many samples, which are 100 ms apart, however often cron comes by.
SAMPLES = 16
SAMPLE_PERIOD_NS = 100_000_000
EARLY_NS = 10_000_000

Source = Callable[[], int]


class Rate:
    """How fast a counter has been growing, per second, over the last ``SAMPLES`` samples."""

    __slots__ = ("_last_ns", "_last_value", "_next", "_samples")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples; the next one only sets the starting point."""
        self._samples = [0] * SAMPLES
        self._next = 0
        self._last_ns = 0
        self._last_value = 0

    def sample(self, value: int, now_ns: int) -> None:
        """Note that the counter stands at ``value`` now (monotonic clock)."""
        if self._last_ns > 0:
            passed_ns = now_ns - self._last_ns
            grown = value - self._last_value
            self._samples[self._next] = grown * 1_000_000_000 // passed_ns if passed_ns > 0 else 0
            self._next = (self._next + 1) % SAMPLES
        self._last_ns = now_ns
        self._last_value = value

    @property
    def per_second(self) -> int:
        """The mean; while there are few samples the missing ones count as zero, as in Redis."""
        return sum(self._samples) // SAMPLES


class Statistics:
    """The counters of one server, and those of its parts as seen since the last reset."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._baselines: dict[str, int] = {}
        self._rates: dict[str, Rate] = {}
        self._next_sample_ns = 0
        self.errors: dict[bytes, int] = {}
        self.error_replies = 0
        self.peak_memory_bytes = 0
        self.expire_cycle_ns = 0
        # Of all clients: counted as they change while a memory limit is set, else as cron measured them last.
        self.client_buffer_bytes = 0
        self.startup_memory_bytes = 0
        self.startup_rss_bytes = 0

    def watch(self, name: str, source: Source, *, rate: bool = False) -> None:
        """Name a counter that another part keeps; with ``rate`` its speed is measured by ``sample``."""
        self._sources[name] = source
        self._baselines[name] = 0
        if rate:
            self._rates[name] = Rate()

    def count(self, name: str) -> int:
        """What a watched counter has counted since the last reset; 0 if there is no such counter."""
        source = self._sources.get(name)
        return 0 if source is None else source() - self._baselines[name]

    def per_second(self, name: str) -> int:
        """The present speed of a counter watched with ``rate``; 0 if there is none."""
        rate = self._rates.get(name)
        return 0 if rate is None else rate.per_second

    def sample(self, now_ns: int) -> None:
        """Measure the rates, if it is time; cron calls this at each tick with the monotonic clock."""
        if now_ns < self._next_sample_ns:
            return
        self._next_sample_ns = now_ns + SAMPLE_PERIOD_NS - EARLY_NS
        for name, rate in self._rates.items():
            rate.sample(self.count(name), now_ns)

    def count_error(self, code: bytes) -> None:
        """An error reply with this prefix (``ERR``, ``WRONGTYPE``, …) went out."""
        self.error_replies += 1
        if code not in self.errors and len(self.errors) >= MAX_ERROR_CODES:
            code = OVERFLOW_CODE
        self.errors[code] = self.errors.get(code, 0) + 1

    def note_memory(self, used_bytes: int) -> None:
        """Keep the highest memory use ever seen."""
        self.peak_memory_bytes = max(self.peak_memory_bytes, used_bytes)

    def reset(self) -> None:
        """CONFIG RESETSTAT: count from here. The peak of memory stays, as in Redis."""
        self._baselines = {name: source() for name, source in self._sources.items()}
        for rate in self._rates.values():
            rate.reset()
        self.errors = {}
        self.error_replies = 0
        self.expire_cycle_ns = 0
