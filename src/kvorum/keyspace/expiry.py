"""Active expiry: deleting keys whose time has passed although nobody asks for them.

Each run walks on over the databases' volatile entries from where the last one stopped. It looks at enough of them
that a lap takes about ``LAP_SECONDS``, and where many turn out to be expired it goes on while they are, until its
time is up: Redis' adaptive idea, over a dense array instead of random samples, so that an expired key is found within
a lap for sure.

The time comes from a clock that is handed in; the work between two looks at it is ``BATCH`` entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kvorum.keyspace.table import EXPIRY_DELETE

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database, Keyspace

BATCH = 64
LAP_SECONDS = 10
MAX_FLOOR = 20_000  # entries that a run looks at however few of them are expired: about 1 ms
SLICE_NS = 5_000_000  # the longest run; while ``behind`` the next one may come sooner
BASE_SHARE_PERCENT = 25  # of the time between two runs, plus 2 per step of effort, as in Redis
STALE_PERCENT = 10  # accepted share of expired keys among the volatile ones, less 1 per step of effort, as in Redis
SMOOTHING = 0.05


class ExpiryCycle:
    """The walk over all databases.

    ``behind``: the last run ended because its time was up, as it has ``times_behind`` times. The next one may begin
    ``pause_ns`` after its end without taking more than its share of the time.
    """

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._next_database = 0
        self.stale_percent = 0.0
        self.behind = False
        self.times_behind = 0
        self.pause_ns = 0

    def run(self, monotonic_ns: Callable[[], int], *, hz: int = 10, effort: int = 1) -> float:
        """One run; returns the running estimate of the percentage of keys that are expired but still there."""
        keyspace = self._keyspace
        self.behind = False
        if not keyspace.active_expiry or keyspace.expiry_mode != EXPIRY_DELETE:
            return self.stale_percent
        share_percent = BASE_SHARE_PERCENT + 2 * (effort - 1)
        slice_ns = min(1_000_000_000 // hz * share_percent // 100, SLICE_NS)
        deadline_ns = monotonic_ns() + slice_ns
        self.pause_ns = slice_ns * (100 - share_percent) // share_percent
        accepted_percent = STALE_PERCENT - (effort - 1)
        seen_in_all = expired_in_all = 0
        databases = keyspace.databases
        for _ in databases:
            database = databases[self._next_database]
            if database.volatile_count:
                seen, expired = self._walk(database, monotonic_ns, deadline_ns, hz, accepted_percent)
                seen_in_all += seen
                expired_in_all += expired
            if self.behind:
                self.times_behind += 1
                break
            self._next_database = (self._next_database + 1) % len(databases)
        percent = 100 * expired_in_all / seen_in_all if seen_in_all else 0.0
        self.stale_percent += (percent - self.stale_percent) * SMOOTHING
        return self.stale_percent

    def _walk(
        self, database: Database, monotonic_ns: Callable[[], int], deadline_ns: int, hz: int, accepted_percent: int
    ) -> tuple[int, int]:
        """At most one lap over one database; how many entries were seen and how many of them expired."""
        lap = database.volatile_count
        floor = min(max(lap // (hz * LAP_SECONDS), BATCH), MAX_FLOOR)
        seen = expired = remaining_ms = 0
        while seen < lap:
            batch, gone, remaining = database.expire_some(BATCH)
            if not batch:
                break
            seen += batch
            expired += gone
            remaining_ms += remaining
            if seen >= floor and gone * 100 <= batch * accepted_percent:
                break
            if monotonic_ns() >= deadline_ns:
                self.behind = seen < lap
                break
        if seen > expired:
            _note_ttl(database, remaining_ms // (seen - expired))
        return seen, expired


def _note_ttl(database: Database, sample_ms: int) -> None:
    """A running mean over about fifty runs, as INFO keyspace shows it."""
    average = database.average_ttl_ms
    database.average_ttl_ms = average + (sample_ms - average) // 50 if average else sample_ms
