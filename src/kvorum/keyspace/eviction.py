"""``maxmemory``: choosing the keys that have to go, by one of Redis' eight policies.

LRU, LFU and TTL are approximate as in Redis: each round draws ``maxmemory-samples`` keys of every database, keeps the
best candidates of all rounds so far in a pool of 16, and evicts the best one. A candidate's key may be gone,
persistent or used again by then; the first two are passed over, and a used one is a fair loss (Redis decides so too).

The table removes the key and reports it (``Keyspace.on_removed`` with the reason "evicted"), so that its deletion
enters the log. What one call may evict is bounded: a limit that was lowered by gigabytes is reached over many calls,
not in one long stall.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

from kvorum.keyspace.table import FREQUENCY, IDLENESS, TIME_TO_LIVE

if TYPE_CHECKING:
    from kvorum.keyspace.table import Database, Keyspace

POOL_SIZE = 16
MAX_EVICTIONS = 100  # per call: about 500 us; the server's timer goes on with it
FREE_STEP = 1000  # entries of flushed databases that are freed at a time before any living key has to go

# Policy name -> (only volatile keys, measure; None: random)
POLICIES: dict[str, tuple[bool, int | None]] = {
    "allkeys-lru": (False, IDLENESS),
    "allkeys-lfu": (False, FREQUENCY),
    "allkeys-random": (False, None),
    "volatile-lru": (True, IDLENESS),
    "volatile-lfu": (True, FREQUENCY),
    "volatile-random": (True, None),
    "volatile-ttl": (True, TIME_TO_LIVE),
}
NO_EVICTION = "noeviction"


class Evictor:
    """Makes room in a keyspace. The pool holds (score, database index, key), the best candidate last."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._policy = NO_EVICTION
        self._volatile_only = False
        self._measure: int | None = None
        self._samples = 5
        self._pool: list[tuple[int, int, bytes]] = []
        self._next_database = 0

    def configure(self, *, policy: str, samples: int) -> None:
        """``policy``: Redis' name of it, lower case."""
        if policy != self._policy:
            self._pool.clear()
        self._policy = policy
        self._samples = samples
        if policy != NO_EVICTION:
            self._volatile_only, self._measure = POLICIES[policy]

    def evict_down_to(self, limit_bytes: int) -> bool:
        """Evict until the keyspace uses at most so many bytes, or as many keys as one call may.

        False: it uses more, and the policy finds nothing to evict.
        """
        keyspace = self._keyspace
        for _ in range(MAX_EVICTIONS):
            if keyspace.used_bytes <= limit_bytes:
                return True
            if keyspace.pending_frees:
                keyspace.free_some(FREE_STEP)
            elif self._policy == NO_EVICTION or not self.evict_one():
                return False
        return True

    def evict_one(self) -> bool:
        """Evict the best candidate; False: there is none."""
        if self._measure is None:
            return self._evict_random()
        while self._fill_pool(self._measure):
            while self._pool:
                _, index, key = self._pool.pop()
                if self._keyspace.databases[index].evict(key, self._volatile_only):
                    return True
        return False

    def _fill_pool(self, measure: int) -> bool:
        """Sample every database; False: there is nothing to sample."""
        found = False
        pool = self._pool
        databases = self._keyspace.databases
        # Among equal scores the last one found goes first: each database takes its turn to be the last.
        self._next_database = (self._next_database + 1) % len(databases)
        for database in databases[self._next_database :] + databases[: self._next_database]:
            if not self._evictable(database):
                continue
            sample = database.eviction_sample(self._samples, self._volatile_only, measure)
            found = found or bool(sample)
            index = database.index
            for score, key in sample:
                if len(pool) == POOL_SIZE:
                    if score <= pool[0][0]:
                        continue
                    del pool[0]
                candidate = (score, index, key)
                if candidate not in pool:
                    insort(pool, candidate, key=_score)
        return found

    def _evict_random(self) -> bool:
        databases = self._keyspace.databases
        for _ in databases:
            database = databases[self._next_database]
            self._next_database = (self._next_database + 1) % len(databases)
            key = database.random_volatile_key() if self._volatile_only else database.random_present_key()
            if key is not None and database.evict(key):
                return True
        return False

    def _evictable(self, database: Database) -> int:
        return database.volatile_count if self._volatile_only else len(database)


def _score(candidate: tuple[int, int, bytes]) -> int:
    return candidate[0]
