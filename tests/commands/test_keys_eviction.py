"""``maxmemory`` on a real server: the limit holds, each policy takes the keys that it should, what is used stays."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest
import redis

import kvorum
from kvorum.testing.clock import FakeClock
from kvorum.testing.kvorum_server import KvorumServer

LIMIT_BYTES = 4_000_000
VALUE = "v" * 500
BATCH = 100
# Enough to fill the limit several times.
KEYS = 20_000


@pytest.fixture
def limited(start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any]) -> Callable[[str], Any]:
    """``limited(policy)``: a client of a server that has room for about a third of ``KEYS``."""
    return lambda policy: connect(start_kvorum("--maxmemory", str(LIMIT_BYTES), "--maxmemory-policy", policy))


def zipf_numbers(count: int, exponent: float, seed: int) -> Iterator[int]:
    """Numbers below ``count``, the small ones far more often."""
    weights = list(itertools.accumulate((number + 1) ** -exponent for number in range(count)))
    random_source = random.Random(seed)
    while True:
        yield from random_source.choices(range(count), cum_weights=weights, k=1000)


def names(numbers: Iterable[int]) -> list[str]:
    return [f"key:{number}" for number in numbers]


def write(client: Any, numbers: range, **options: int) -> None:
    for start in range(numbers.start, numbers.stop, BATCH):
        with client.pipeline(transaction=False) as pipe:
            for number in range(start, min(start + BATCH, numbers.stop)):
                pipe.set(f"key:{number}", VALUE, **options)
            pipe.execute()


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_hot_keys_survive_a_zipf_load(policy: str) -> None:
    clock = FakeClock()  # access clocks tick in seconds: each batch has one of its own
    numbers = zipf_numbers(KEYS, 1.0, seed=7)
    with (
        kvorum.Server(
            port=0, clock=clock, randomness=random.Random(3), maxmemory=LIMIT_BYTES, maxmemory_policy=policy
        ) as server,
        closing(redis.Redis(port=server.port)) as client,
    ):
        for _ in range(1000):
            clock.advance(1000)
            batch = list(itertools.islice(numbers, BATCH))
            for number, value in zip(batch, client.mget(names(batch)), strict=True):
                if value is None:
                    client.set(f"key:{number}", VALUE)
        assert client.info("stats")["evicted_keys"] > 1000
        assert client.info("memory")["used_memory"] <= LIMIT_BYTES * 1.01
        assert client.exists(*names(range(200))) >= 198  # random eviction keeps about 193
        assert client.exists(*names(range(KEYS - 5000, KEYS))) < 1500


def test_used_memory_stays_below_the_limit_after_every_write(limited: Callable[[str], Any]) -> None:
    client = limited("allkeys-random")
    for start in range(0, KEYS, 1000):
        write(client, range(start, start + 1000))
        assert client.info("memory")["used_memory"] <= LIMIT_BYTES * 1.01
    assert client.info("stats")["evicted_keys"] > KEYS // 3
    assert client.dbsize() < KEYS // 2


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_policies_over_all_keys_make_room(limited: Callable[[str], Any], policy: str) -> None:
    client = limited(policy)
    write(client, range(KEYS))
    assert client.get(f"key:{KEYS - 1}") is not None
    assert client.info("stats")["evicted_keys"] > KEYS // 3


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_policies_over_volatile_keys_spare_the_others(limited: Callable[[str], Any], policy: str) -> None:
    client = limited(policy)
    for number in range(1000):
        client.set(f"stays:{number}", VALUE)
    write(client, range(KEYS), ex=1000)
    assert client.info("stats")["evicted_keys"] > KEYS // 3
    assert client.exists(*(f"stays:{number}" for number in range(1000))) == 1000


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_writes_are_refused_where_nothing_may_be_evicted(limited: Callable[[str], Any], policy: str) -> None:
    client = limited(policy)
    with pytest.raises(redis.OutOfMemoryError) as refused:
        write(client, range(KEYS))
    assert "command not allowed when used memory > 'maxmemory'." in str(refused.value)
    assert client.info("stats")["evicted_keys"] == 0
    assert client.get("key:0") == VALUE.encode()
    assert client.delete("key:0", "key:1", "key:2", "key:3", "key:4", "key:5", "key:6", "key:7") == 8
    while client.info("memory")["used_memory"] > LIMIT_BYTES:
        assert client.execute_command("UNLINK", client.randomkey()) == 1
    assert client.set("key:0", "small")


def test_the_shortest_lives_go_first_under_volatile_ttl(limited: Callable[[str], Any]) -> None:
    client = limited("volatile-ttl")
    client.config_set("maxmemory-samples", 10)
    write(client, range(1000), ex=100_000)
    write(client, range(1000, KEYS), ex=1000)
    survivors = client.exists(*(f"key:{number}" for number in range(1000)))
    assert survivors > 950


def test_the_least_recently_used_go_first(limited: Callable[[str], Any]) -> None:
    client = limited("allkeys-lru")
    client.config_set("maxmemory-samples", 10)
    write(client, range(4000))
    while client.object("idletime", "key:0") < 2:
        pass
    used = [f"key:{number}" for number in range(0, 4000, 2)]
    client.mget(used)
    write(client, range(10_000, 13_500))
    kept = client.exists(*used)
    left = client.exists(*(f"key:{number}" for number in range(1, 4000, 2)))
    assert kept > 1900
    assert left < 900


def test_a_lower_limit_is_reached_without_further_writes(limited: Callable[[str], Any]) -> None:
    client = limited("allkeys-lru")
    write(client, range(KEYS))
    client.config_set("maxmemory", LIMIT_BYTES // 4)
    while client.info("memory")["used_memory"] > LIMIT_BYTES // 4:
        pass
    assert client.dbsize() < KEYS // 8
    client.config_set("maxmemory", 0)
    write(client, range(KEYS))
    assert client.dbsize() == KEYS


def test_an_evicted_key_is_an_event_of_its_own_in_the_counters(limited: Callable[[str], Any]) -> None:
    client = limited("allkeys-lru")
    write(client, range(KEYS))
    with client.pipeline(transaction=False) as at_once:  # between two requests the timer may evict as well
        stats, size = at_once.info("stats").dbsize().execute()
    assert stats["evicted_keys"] + size == KEYS
    assert stats["expired_keys"] == 0
