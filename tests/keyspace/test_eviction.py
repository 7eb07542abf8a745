"""``maxmemory``: the right keys go, in bounded steps, and each removal is reported."""

from __future__ import annotations

import pytest

from kvorum.keyspace.eviction import MAX_EVICTIONS, POLICIES, Evictor
from kvorum.keyspace.table import Database, Keyspace


def evictor(keyspace: Keyspace, policy: str, samples: int = 10) -> Evictor:
    made = Evictor(keyspace)
    made.configure(policy=policy, samples=samples)
    keyspace.configure_access_clock(policy, 10, 1)
    return made


def fill(database: Database, count: int = 1000) -> None:
    """Half of the keys are volatile."""
    now_ms = database.keyspace.now_ms
    for number in range(count):
        database.set_string(b"stays%d" % number, b"v" * 50)
        database.set_string(b"volatile%d" % number, b"v" * 50, expire_ms=now_ms + 10**6 + number * 1000)


def numbers(database: Database, prefix: bytes) -> list[int]:
    steps = database.key_steps(1000)
    return [int(key[len(prefix) :]) for step in steps for key in step if key.startswith(prefix)]


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_reaches_the_limit(keyspace: Keyspace, policy: str) -> None:
    removed: list[tuple[int, bytes, str]] = []
    keyspace.on_removed = lambda *what: removed.append(what)
    for database in keyspace.databases[:2]:
        fill(database, 300)
    limit = keyspace.used_bytes * 9 // 10
    evicting = evictor(keyspace, policy)
    while keyspace.used_bytes > limit:
        assert evicting.evict_down_to(limit)
    assert keyspace.evicted_keys == len(removed) == len(set(removed)) > 50
    assert {index for index, _, _ in removed} == {0, 1}
    assert {reason for _, _, reason in removed} == {"evicted"}
    if policy.startswith("volatile"):
        assert all(key.startswith(b"volatile") for _, key, _ in removed)
    for index, key, _ in removed:
        assert not keyspace.databases[index].exists(key)


def test_noeviction_evicts_nothing(keyspace: Keyspace, database: Database) -> None:
    fill(database, 10)
    assert not evictor(keyspace, "noeviction").evict_down_to(100)
    assert len(database) == 20


def test_volatile_policies_leave_the_others(keyspace: Keyspace, database: Database) -> None:
    fill(database, 100)
    evicting = evictor(keyspace, "volatile-lru")
    while evicting.evict_down_to(100):
        pass
    assert len(database) == 100
    assert database.volatile_count == 0


def test_lru_keeps_what_is_used(keyspace: Keyspace, database: Database) -> None:
    eviction = evictor(keyspace, "allkeys-lru")
    fill(database)
    keyspace.now_ms += 100_000
    for number in range(0, 1000, 2):
        database.get(b"stays%d" % number)
    for _ in range(700):
        assert eviction.evict_one()
    left = numbers(database, b"stays")
    assert sum(number % 2 == 0 for number in left) == 500
    assert database.volatile_count + len(left) == 1300


def test_lfu_keeps_what_is_used_often(keyspace: Keyspace, database: Database) -> None:
    eviction = evictor(keyspace, "allkeys-lfu")
    fill(database)
    for _ in range(30):
        for number in range(0, 1000, 2):
            database.get(b"stays%d" % number)
    assert (database.frequency(b"stays0") or 0) > (database.frequency(b"stays1") or 0)
    for _ in range(700):
        assert eviction.evict_one()
    assert sum(number % 2 == 0 for number in numbers(database, b"stays")) > 495


def test_ttl_prefers_what_ends_soon(keyspace: Keyspace, database: Database) -> None:
    eviction = evictor(keyspace, "volatile-ttl")
    fill(database)
    for _ in range(200):
        assert eviction.evict_one()
    left = numbers(database, b"volatile")
    assert len(left) == 800
    assert sum(number >= 500 for number in left) > 490


def test_one_call_is_bounded(keyspace: Keyspace, database: Database) -> None:
    fill(database, MAX_EVICTIONS)
    assert evictor(keyspace, "allkeys-random").evict_down_to(0)
    assert len(database) == MAX_EVICTIONS


def test_what_was_flushed_is_freed_first(keyspace: Keyspace, database: Database) -> None:
    fill(keyspace.databases[1], 2000)
    keyspace.databases[1].flush(asynchronous=True)
    fill(database, 10)
    assert evictor(keyspace, "allkeys-lru").evict_down_to(database.used_bytes + 200_000)
    assert len(database) == 20
    assert keyspace.pending_frees < 4000


def test_a_key_that_became_persistent_is_spared(keyspace: Keyspace, database: Database) -> None:
    eviction = evictor(keyspace, "volatile-lru")
    for number in range(16):
        database.set_string(b"key%d" % number, b"v", expire_ms=keyspace.now_ms + 1000)
    assert eviction.evict_one()
    left = [key for step in database.key_steps(100) for key in step]
    for key in left:
        database.persist(key)
    assert not eviction.evict_one()
    assert len(database) == 15


def test_frequency_grows_logarithmically_and_decays(keyspace: Keyspace, database: Database) -> None:
    keyspace.configure_access_clock("allkeys-lfu", 10, 1)
    database.set_string(b"key", b"v")
    assert database.frequency(b"key") == 5
    for _ in range(1000):
        database.get(b"key")
    risen = database.frequency(b"key") or 0
    assert 10 <= risen <= 40
    keyspace.now_ms += 3 * 60_000
    assert database.frequency(b"key") == risen - 3
    keyspace.now_ms += 300 * 60_000
    assert database.frequency(b"key") == 0


def test_idle_time_and_frequency_can_be_set(keyspace: Keyspace, database: Database) -> None:
    database.set_string(b"key", b"v")
    assert database.set_idle_seconds(b"key", 1234)
    assert database.idle_seconds(b"key") == 1234
    assert not database.set_idle_seconds(b"other", 1)
    keyspace.configure_access_clock("allkeys-lfu", 10, 1)
    assert database.set_frequency(b"key", 77)
    assert database.frequency(b"key") == 77
    assert not database.set_frequency(b"other", 1)
    assert database.idle_seconds(b"other") is None
    assert database.frequency(b"other") is None
    assert database.clock(b"other") is None
