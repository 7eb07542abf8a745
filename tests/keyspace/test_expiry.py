"""Expiry: lazily when a key is asked for, actively by the cycle, and what is reported."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from kvorum.keyspace.expiry import BATCH, ExpiryCycle
from kvorum.keyspace.table import EXPIRY_HIDE, EXPIRY_IGNORE, Database, Keyspace


@pytest.fixture
def removed(keyspace: Keyspace) -> list[tuple[int, bytes, str]]:
    """What the keyspace reports."""
    reports: list[tuple[int, bytes, str]] = []
    keyspace.on_removed = lambda *what: reports.append(what)
    return reports


class Clock:
    """Every look at it takes ``step_ns``."""

    def __init__(self, step_ns: int = 1000) -> None:
        self._times: Iterator[int] = count(0, step_ns)

    def __call__(self) -> int:
        return next(self._times)


def test_a_key_lives_until_its_time_has_passed(
    keyspace: Keyspace, database: Database, removed: list[tuple[int, bytes, str]]
) -> None:
    database.set_string(b"key", b"value", expire_ms=keyspace.now_ms)
    assert database.get(b"key") == b"value"
    keyspace.now_ms += 1
    assert database.peek(b"key") is None
    assert len(database) == 1
    assert database.get(b"key") is None
    assert len(database) == database.volatile_count == 0
    assert removed == [(0, b"key", "expired")]
    assert (keyspace.hits, keyspace.misses, keyspace.expired_keys) == (1, 1, 1)


def test_a_write_finds_an_expired_key_gone(
    keyspace: Keyspace, database: Database, removed: list[tuple[int, bytes, str]]
) -> None:
    for key in (b"counter", b"text", b"doomed"):
        database.set_string(key, b"5", expire_ms=keyspace.now_ms)
    keyspace.now_ms += 1
    assert database.increment(b"counter", 1) == 1
    assert database.append(b"text", b"new") == 3
    assert not database.delete(b"doomed")
    assert database.expire_at(b"counter") == database.expire_at(b"text") == -1
    assert sorted(removed) == [(0, key, "expired") for key in (b"counter", b"doomed", b"text")]


def test_hidden_keys_stay(keyspace: Keyspace, database: Database, removed: list[tuple[int, bytes, str]]) -> None:
    keyspace.expiry_mode = EXPIRY_HIDE
    database.set_string(b"key", b"value", expire_ms=keyspace.now_ms - 1)
    assert database.get(b"key") is None
    assert not database.exists(b"key")
    assert database.scan(0) == (0, [])
    assert len(database) == 1
    database.set_string(b"key", b"new")
    assert database.get(b"key") == b"new"
    assert len(database) == 1
    assert removed == []


def test_ignored_expiries_change_nothing(keyspace: Keyspace, database: Database) -> None:
    keyspace.expiry_mode = EXPIRY_IGNORE
    database.set_string(b"key", b"1", expire_ms=keyspace.now_ms - 1)
    assert database.increment(b"key", 1) == 2
    assert database.expire_at(b"key") == keyspace.now_ms - 1
    ExpiryCycle(keyspace).run(Clock())
    assert database.get(b"key") == b"2"


def test_the_cycle_finds_every_expired_key(keyspace: Keyspace, removed: list[tuple[int, bytes, str]]) -> None:
    for database in keyspace.databases:
        for number in range(1000):
            database.set_string(b"gone%d" % number, b"v", expire_ms=keyspace.now_ms + 10)
            database.set_string(b"later%d" % number, b"v", expire_ms=keyspace.now_ms + 10_000)
            database.set_string(b"never%d" % number, b"v")
    keyspace.now_ms += 11
    cycle = ExpiryCycle(keyspace)
    runs = 0
    while keyspace.expired_keys < 1000 * len(keyspace.databases):
        cycle.run(Clock())
        runs += 1
        assert runs <= 2000 // BATCH + 2
    assert len(removed) == len(set(removed)) == 1000 * len(keyspace.databases)
    assert all(len(database) == 2000 and database.volatile_count == 1000 for database in keyspace.databases)


def test_a_few_expired_keys_among_many_are_found_within_a_lap(keyspace: Keyspace, database: Database) -> None:
    for number in range(3000):
        soon = number % 1000 == 500
        database.set_string(b"key%d" % number, b"v", expire_ms=keyspace.now_ms + (1 if soon else 10**6))
    keyspace.now_ms += 2
    cycle = ExpiryCycle(keyspace)
    for _ in range(3000 // BATCH + 2):
        cycle.run(Clock())
    assert keyspace.expired_keys == 3
    assert len(database) == 2997
    assert 0 < database.average_ttl_ms <= 10**6


def test_keys_removed_by_others_do_not_hide_expired_ones(keyspace: Keyspace, database: Database) -> None:
    for number in range(2000):
        database.set_string(b"key%d" % number, b"v", expire_ms=keyspace.now_ms + (10**6 if number % 2 else 1))
    keyspace.now_ms += 2
    keyspace.databases[0].expire_some(300)
    for number in range(1, 1999, 2):
        database.delete(b"key%d" % number)
    while len(database) > 1:
        seen, _, _ = database.expire_some(100)
        assert seen
    assert keyspace.expired_keys == 1000


def test_the_cycle_stops_when_its_time_is_up(keyspace: Keyspace, database: Database) -> None:
    for number in range(5000):
        database.set_string(b"key%d" % number, b"v", expire_ms=keyspace.now_ms - 1)
    cycle = ExpiryCycle(keyspace)
    cycle.run(Clock(step_ns=2_000_000))
    assert cycle.behind
    assert cycle.times_behind == 1
    assert cycle.pause_ns == 15_000_000, "5 ms of every 20: a quarter of the time"
    assert 0 < keyspace.expired_keys <= 5 * BATCH
    for _ in range(100):
        cycle.run(Clock(step_ns=2_000_000))
    assert len(database) == 0
    assert not cycle.behind


def test_stale_keys_are_estimated(keyspace: Keyspace, database: Database) -> None:
    cycle = ExpiryCycle(keyspace)
    assert cycle.run(Clock()) == 0
    database.set_string(b"key", b"v", expire_ms=keyspace.now_ms - 1)
    assert cycle.run(Clock()) == pytest.approx(5.0)
    assert cycle.run(Clock()) == pytest.approx(4.75)


@pytest.mark.parametrize("switch", ["active_expiry", "expiry_mode"])
def test_the_cycle_can_be_switched_off(keyspace: Keyspace, database: Database, switch: str) -> None:
    database.set_string(b"key", b"v", expire_ms=keyspace.now_ms - 1)
    setattr(keyspace, switch, EXPIRY_HIDE if switch == "expiry_mode" else False)
    ExpiryCycle(keyspace).run(Clock())
    assert len(database) == 1


def test_counting_and_touching_are_as_asked(keyspace: Keyspace, database: Database) -> None:
    database.set_string(b"key", b"v")
    keyspace.now_ms += 60_000
    database.exists(b"key")
    database.type_name(b"key")
    database.peek(b"key")
    assert (keyspace.hits, keyspace.misses) == (2, 0)
    assert database.idle_seconds(b"key") == 60
    keyspace.no_touch = True
    database.get(b"key")
    assert database.idle_seconds(b"key") == 60
    keyspace.no_touch = False
    assert database.touch(b"key")
    assert database.idle_seconds(b"key") == 0
    before = keyspace.hits, keyspace.misses
    assert database.lookup_for_write(b"key")
    assert not database.lookup_for_write(b"other")
    assert (keyspace.hits, keyspace.misses) == before
    assert not database.touch(b"other")
    assert keyspace.misses == before[1] + 1
