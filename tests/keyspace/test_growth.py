"""Tables that grow and shrink: nothing is lost, nothing is scanned over, no step is long, no byte is left."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from kvorum.keyspace.hashing import key_slot
from kvorum.keyspace.table import Database, Keyspace
from tests.keyspace.tables import new_keyspace, only_compiled, scan_all

MANY = 200_000
SLOT = key_slot(b"{tag}")


@pytest.fixture(scope="module")
def crowded() -> Database:
    """One slot with very many keys, in the compiled table."""
    database = new_keyspace("compiled").databases[0]
    for number in range(MANY):
        database.set_string(b"{tag}%d" % number, b"%d" % number)
    return database


@only_compiled
def test_one_slot_holds_very_many_keys(crowded: Database) -> None:
    assert len(crowded) == crowded.slot_count(SLOT) == MANY
    for number in range(0, MANY, 37):
        assert crowded.peek(b"{tag}%d" % number) == b"%d" % number
        assert crowded.peek(b"{tag}x%d" % number) is None


@only_compiled
def test_a_full_scan_returns_each_key_once(crowded: Database) -> None:
    found = scan_all(crowded, 1000)
    assert len(found) == MANY
    assert set(found) == {b"{tag}%d" % number for number in range(MANY)}


@only_compiled
def test_keys_of_a_slot_are_listed(crowded: Database) -> None:
    assert len(set(crowded.slot_keys(SLOT, 1234))) == 1234
    assert crowded.slot_keys(SLOT + 1, 10) == []
    assert crowded.slot_keys(SLOT, 0) == []


@only_compiled
def test_random_keys_come_from_everywhere(crowded: Database) -> None:
    drawn = [crowded.random_key() for _ in range(4000)]
    numbers = [int(key[len(b"{tag}") :]) for key in drawn if key is not None]
    for tenth in range(10):
        low, high = tenth * MANY // 10, (tenth + 1) * MANY // 10
        assert 300 < sum(low <= number < high for number in numbers) < 500


def test_random_keys_are_about_evenly_distributed(keyspace: Keyspace) -> None:
    database = keyspace.databases[0]
    keys = [b"{tag}%d" % number for number in range(60)] + [b"alone", b"other", b"third"]
    for key in keys:
        database.set_string(key, b"v")
    drawn = [database.random_key() for _ in range(len(keys) * 200)]
    counts = [drawn.count(key) for key in keys]
    assert min(counts) > 130
    assert max(counts) < 280


@only_compiled
def test_no_growth_step_is_long() -> None:
    keyspace = new_keyspace("compiled")
    keyspace.growth_clock = time.thread_time_ns
    for number in range(MANY):
        keyspace.databases[0].set_string(b"{tag}%d" % number, b"v")
    grown = keyspace.growth_statistics()
    assert grown["count"] > 50
    assert 0 < grown["longest_ns"] < 2_000_000
    assert grown["longest_ns"] <= grown["total_ns"]
    keyspace.reset_growth_statistics()
    assert keyspace.growth_statistics() == {"count": 0, "total_ns": 0, "longest_ns": 0}


def grow(database: Database, step: int) -> None:
    for number in range(step * 400, (step + 1) * 400):
        database.set_string(b"{tag}new%d" % number, b"v")


def shrink(database: Database, step: int) -> None:
    for number in range(step * 400, (step + 1) * 400):
        database.delete(b"{tag}new%d" % number)


def churn(database: Database, step: int) -> None:
    (grow if step % 2 else shrink)(database, step // 4)


@pytest.mark.parametrize("change", [grow, shrink, churn])
@pytest.mark.parametrize("count", [1, 10, 300])
def test_what_stays_is_scanned_whatever_changes_meanwhile(
    keyspace: Keyspace, change: Callable[[Database, int], None], count: int
) -> None:
    database = keyspace.databases[0]
    staying = {b"{tag}%d" % number for number in range(300)} | {b"other%d" % number for number in range(50)}
    for key in staying:
        database.set_string(key, b"v")
    if change is shrink:
        for step in range(40):
            grow(database, step)
    found: set[bytes] = set()
    cursor, step = 0, 0
    while True:
        cursor, keys = database.scan(cursor, count)
        assert cursor < 2**53
        found.update(keys)
        if cursor == 0:
            break
        if step < 40 or step % 16 == 0:
            change(database, step % 40)
        step += 1
        assert step < 40_000
    assert staying <= found


def test_deleting_everything_leaves_no_byte(keyspace: Keyspace) -> None:
    database = keyspace.databases[1]
    keys = [b"{tag}%d" % number for number in range(20_000)] + [b"key%d" % number for number in range(5_000)]
    for number, key in enumerate(keys):
        database.set_string(key, b"v" * (number % 60), expire_ms=keyspace.now_ms + 1000 if number % 3 else 0)
    assert keyspace.used_bytes > 25_000 * 40
    random.Random(5).shuffle(keys)
    for key in keys[:-2]:
        assert database.delete(key)
    assert all(database.peek(key) is not None for key in keys[-2:])
    for key in keys[-2:]:
        assert database.delete(key)
    assert database.used_bytes == database.table_bytes == database.expiry_bytes == keyspace.used_bytes == 0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_flushed_database_is_freed(keyspace: Keyspace, asynchronous: bool) -> None:
    database = keyspace.databases[0]
    for number in range(10_000):
        database.set_string(b"{tag}%d" % number, b"v" * 2000, expire_ms=keyspace.now_ms + 5)
        database.set_string(b"key%d" % number, b"v")
    assert database.flush(asynchronous) == 20_000
    assert len(database) == database.volatile_count == database.used_bytes == 0
    assert keyspace.pending_frees == (20_000 if asynchronous else 0)
    database.set_string(b"new", b"value")
    steps = 0
    while keyspace.free_some(500):
        steps += 1
        assert keyspace.pending_frees >= 20_000 - steps * 600
    assert steps >= 30 or not asynchronous
    assert keyspace.pending_frees == 0
    assert database.get(b"new") == b"value"
    database.delete(b"new")
    assert keyspace.used_bytes == 0


def test_several_flushed_databases_are_freed_to_the_end(keyspace: Keyspace) -> None:
    keyspace.databases[0].set_string(b"first", b"v")
    for number in range(50):
        keyspace.databases[1].set_string(b"{tag}%d" % number, b"v")
    keyspace.flush_all(asynchronous=True)
    while keyspace.free_some(50):
        pass
    assert keyspace.pending_frees == 0
    assert keyspace.used_bytes == 0


def test_memory_follows_the_values(keyspace: Keyspace) -> None:
    database = keyspace.databases[0]
    database.set_string(b"key", b"short")
    base = keyspace.used_bytes
    database.set_string(b"key", b"x" * 100_000)
    assert 99_900 <= keyspace.used_bytes - base < 100_400
    database.append(b"key", b"y" * 100_000)
    assert 199_900 <= keyspace.used_bytes - base < 260_000
    database.set_string(b"key", b"short")
    assert keyspace.used_bytes <= base + 64


def test_an_empty_keyspace_uses_nothing(keyspace: Keyspace) -> None:
    assert keyspace.used_bytes == 0
    assert keyspace.databases[0].scan(0) == (0, [])
    assert keyspace.databases[0].random_key() is None
    assert keyspace.free_some(10) == 0


@pytest.mark.parametrize("count", [1000, 2**31, 2**62, 2**63 - 1])
def test_any_count_is_harmless(keyspace: Keyspace, count: int) -> None:
    database = keyspace.databases[0]
    for number in range(100):
        database.set_string(b"key%d" % number, b"v")
    assert database.scan(0, count)[0] == 0
    assert len(scan_all(database, count)) == 100
    assert len(database.slot_keys(SLOT, count)) == database.slot_count(SLOT) == 0


@pytest.mark.parametrize("cursor", [1, 2**39, 2**53 - 1, 2**53, 2**64 - 1])
def test_any_cursor_is_harmless(keyspace: Keyspace, cursor: int) -> None:
    database = keyspace.databases[0]
    for number in range(100):
        database.set_string(b"key%d" % number, b"v")
    following, keys = database.scan(cursor, 5)
    assert len(keys) <= 100
    assert 0 <= following < 2**53
