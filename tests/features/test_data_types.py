"""Hashes, lists, sets and sorted sets as a user meets them: compact and big forms, a life on each, pages, copies, sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer

MEMBERS = 1000


def hash_of(client: Any, key: str, members: list[str]) -> None:
    client.hset(key, mapping={member: member for member in members})


def list_of(client: Any, key: str, members: list[str]) -> None:
    client.rpush(key, *members)


def set_of(client: Any, key: str, members: list[str]) -> None:
    client.sadd(key, *members)


def sorted_set_of(client: Any, key: str, members: list[str]) -> None:
    client.zadd(key, {member: place for place, member in enumerate(members)})


Fill = Callable[[Any, str, list[str]], None]
TYPES: dict[str, Fill] = {"hash": hash_of, "list": list_of, "set": set_of, "zset": sorted_set_of}
WORDS = [f"word:{number}" for number in range(MEMBERS)]
NUMBERS = [str(number) for number in range(MEMBERS)]


@pytest.mark.parametrize("kind", TYPES)
def test_a_life_on_each(client: Any, kind: str) -> None:
    TYPES[kind](client, "k", WORDS)
    assert client.type("k").decode() == kind
    assert client.expire("k", 100)
    assert 0 < client.ttl("k") <= 100
    assert client.pexpire("k", 1)
    while client.exists("k"):
        pass
    assert client.type("k") == b"none"


@pytest.mark.parametrize(
    ("kind", "members", "option", "small", "big"),
    [
        ("hash", WORDS, "hash-max-listpack-entries", b"listpack", b"hashtable"),
        ("set", NUMBERS, "set-max-intset-entries", b"intset", b"hashtable"),
        ("zset", WORDS, "zset-max-listpack-entries", b"listpack", b"skiplist"),
    ],
)
def test_small_ones_are_compact(
    client: Any, kind: str, members: list[str], option: str, small: bytes, big: bytes
) -> None:
    limit = int(client.config_get(option)[option])
    TYPES[kind](client, "k", members[:limit])
    assert client.object("ENCODING", "k") == small
    TYPES[kind](client, "k", members[: limit + 1])
    assert client.object("ENCODING", "k") == big
    client.config_set(option, 2)
    try:
        TYPES[kind](client, "other", members[:3])
        assert client.object("ENCODING", "other") == big
    finally:
        client.config_set(option, limit)


@pytest.mark.parametrize("kind", ["hash", "set", "zset"])
def test_pages_miss_nothing_that_stays(client: Any, kind: str) -> None:
    """While the collection grows and shrinks between the pages."""
    scan, remove = {
        "hash": (client.hscan, client.hdel),
        "set": (client.sscan, client.srem),
        "zset": (client.zscan, client.zrem),
    }[kind]
    fleeting = [f"fleeting:{number}" for number in range(10 * MEMBERS)]
    TYPES[kind](client, "k", WORDS)
    seen: set[bytes] = set()
    cursor, pages = scan("k", count=10)
    turn = 0
    while True:
        seen |= {each[0] if isinstance(each, list | tuple) else each for each in pages}
        if cursor == 0:
            break
        if turn % 20 == 0:
            TYPES[kind](client, "k", fleeting)
        elif turn % 20 == 10:
            remove("k", *fleeting)
        turn += 1
        cursor, pages = scan("k", cursor, count=10)
    assert {word.encode() for word in WORDS} <= seen
    assert turn > 20


@pytest.mark.parametrize("kind", TYPES)
def test_copies(
    client: Any, kind: str, start_kvorum: Callable[..., KvorumServer], connect: Callable[..., Any], protocol: int
) -> None:
    """In the same server by COPY, by DUMP and RESTORE; into another one by MIGRATE."""
    TYPES[kind](client, "k", WORDS)
    payload = client.dump("k")
    assert client.copy("k", "copy")
    assert client.restore("restored", 100_000, payload)
    assert client.dump("copy") == payload
    assert 0 < client.pttl("restored") <= 100_000
    with pytest.raises(redis.ResponseError, match="Target key name already exists"):
        client.restore("restored", 0, payload)
    with pytest.raises(redis.ResponseError, match="DUMP payload version or checksum are wrong"):
        client.restore("broken", 0, payload[:20] + b"?" + payload[21:])
    assert client.exists("broken") == 0
    server = start_kvorum()
    assert client.migrate(server.host, server.port, "k", 0, 50_000) == b"OK"
    assert client.exists("k") == 0
    assert connect(server, protocol=protocol).type("k").decode() == kind


def test_sorting(client: Any) -> None:
    client.rpush("l", 3, 10, 2)
    assert client.sort("l") == [b"2", b"3", b"10"]
    assert client.sort("l", alpha=True, desc=True) == [b"3", b"2", b"10"]
    client.mset({"weight:2": 9, "weight:3": 1, "weight:10": 5, "name:3": "three"})
    assert client.sort("l", by="weight:*", get=["#", "name:*"], start=0, num=2) == [b"3", b"three", b"10", None]
    assert client.sort("l", store="sorted") == 3
    assert client.lrange("sorted", 0, -1) == [b"2", b"3", b"10"]


def test_bitmaps(client: Any) -> None:
    assert [client.setbit("visits", day, 1) for day in (1, 3, 30)] == [0, 0, 0]
    assert client.bitcount("visits") == 3
    assert client.bitpos("visits", 1) == 1
    client.setbit("other", 3, 1)
    assert client.bitop("AND", "both", "visits", "other") == 4
    assert client.bitcount("both") == 1
    assert client.bitfield("counters").incrby("u8", "#1", 250).overflow("SAT").incrby("u8", "#1", 10).execute() == [
        250,
        255,
    ]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["LPUSH", "s", "x"], "wrong kind of value"),
        (["HINCRBY", "h", "max", "1"], "increment or decrement would overflow"),
        (["HINCRBYFLOAT", "h", "n", "nan"], "value is not a valid float"),
        (["ZADD", "z", "nan", "m"], "value is not a valid float"),
        (["ZINCRBY", "z", "-inf", "infinite"], "resulting score is not a number"),
        (["LSET", "l", "7", "x"], "index out of range"),
        (["LPOP", "l", "-1"], "value is out of range, must be positive"),
        (["SINTERCARD", "9223372036854775807", "s"], "Number of keys can't be greater than number of args"),
        (["SETBIT", "s2", "4294967296", "1"], "bit offset is not an integer or out of range"),
        (["BLPOP", "nothing", "-1"], "timeout is negative"),
        (["BLPOP", "nothing", "nan"], "timeout is not a float or out of range"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(client: Any, words: list[str], error: str) -> None:
    client.hset("h", mapping={"max": 2**63 - 1, "n": 1})
    client.rpush("l", "a")
    client.sadd("s", "a")
    client.zadd("z", {"infinite": "+inf"})
    before = {key: client.dump(key) for key in client.scan_iter()}
    with pytest.raises(redis.ResponseError, match=error):
        client.execute_command(*words)
    assert {key: client.dump(key) for key in client.scan_iter()} == before
