"""DUMP and RESTORE as clients see them, beside redis-server; the payloads themselves are tested in ``tests/journal/rdb``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import pytest
import redis

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.observation import Pair
from tests.differential.wire import Reply, Wire
from tests.journal.rdb.encodings import binary_double, intset, length, payload, seal, string, strings, ziplist, zipmap

HELLO = payload(0, string(b"hello"), version=10)
YEAR_MS = 365 * 24 * 3600 * 1000

MAKERS = {
    "string": ["SET key hello"],
    "integer": ["SET key 1234567890123"],
    "list": ["RPUSH key a b c 1 2 3"],
    "long list": ["RPUSH key " + " ".join(f"element:{number}" for number in range(3000))],
    "hash": ["HSET key field value 1 2"],
    "big hash": ["HSET key " + " ".join(f"field:{number} {number}" for number in range(1000))],
    "set": ["SADD key a b c"],
    "intset": ["SADD key 1 2 3 100000"],
    "big set": ["SADD key " + " ".join(map(str, range(0, 5000, 3)))],
    "sorted set": ["ZADD key 1 a 2.5 b -inf c"],
    "big sorted set": ["ZADD key " + " ".join(f"{number / 7} member:{number}" for number in range(1000))],
}


def value_of(wire: Wire, *words: bytes) -> bytes:
    value = wire.ask(*words).value
    assert value is not None
    return value


def digest(wire: Wire, key: bytes = b"key") -> bytes | None:
    return wire.ask(b"DEBUG", b"DIGEST-VALUE", key).items[0].value


@pytest.mark.parametrize("name", MAKERS)
def test_values_go_from_one_server_to_the_other(pair: Pair, name: str) -> None:
    for line in MAKERS[name]:
        pair.ask(line)
    expected = digest(pair.redis)
    dumps = {wire: value_of(wire, b"DUMP", b"key") for wire in (pair.kvorum, pair.redis)}
    for wire, other in ((pair.kvorum, pair.redis), (pair.redis, pair.kvorum)):
        wire.ask(b"RESTORE", b"key", b"0", dumps[other], b"REPLACE")
        assert digest(wire) == expected
        assert value_of(wire, b"DUMP", b"key")[0] == dumps[other][0]
    pair.ask("OBJECT ENCODING key")
    pair.ask("PTTL key")


def test_what_is_not_there_has_no_payload(pair: Pair) -> None:
    assert not pair.ask("DUMP nothing").value


@pytest.mark.parametrize(
    "words",
    [
        [b"key", b"0", HELLO],
        [b"key", b"0", HELLO, b"REPLACE"],
        [b"key", b"%d" % YEAR_MS, HELLO, b"replace"],
        [b"key", b"4000000000000", HELLO, b"absttl", b"REPLACE"],
        [b"key", b"1", HELLO, b"ABSTTL", b"REPLACE"],
        [b"other", b"1", HELLO, b"ABSTTL"],
        [b"other", b"0", HELLO, b"ABSTTL"],
        [b"other", b"0", HELLO, b"IDLETIME", b"1000"],
        [b"other", b"0", HELLO, b"FREQ", b"100"],
        [b"other", b"0", HELLO, b"IDLETIME", b"-1"],
        [b"other", b"0", HELLO, b"IDLETIME", b"x"],
        [b"other", b"0", HELLO, b"IDLETIME"],
        [b"other", b"0", HELLO, b"FREQ", b"256"],
        [b"other", b"0", HELLO, b"FREQ", b"-1"],
        [b"other", b"0", HELLO, b"FREQ", b"1", b"IDLETIME", b"1"],
        [b"other", b"0", HELLO, b"IDLETIME", b"1", b"FREQ", b"1"],
        [b"other", b"0", HELLO, b"IDLETIME", b"1", b"IDLETIME", b"2"],
        [b"other", b"0", HELLO, b"WHATEVER"],
        [b"other", b"-1", HELLO],
        [b"other", b"x", HELLO],
        [b"other", b"9223372036854775807", HELLO],
        [b"other", b"9223372036854775808", HELLO],
        [b"key", b"x", b"..."],
        [b"key", b"0", b"..."],
        [b"other", b"x", b"..."],
        [b"other", b"0", b"..."],
        [b"other", b"0", b""],
        [b"other", b"0", HELLO[:-1] + b"?"],
        [b"other", b"0", HELLO[1:]],
        [b"other", b"0", payload(0, string(b"hello"), version=99)],
        [b"other", b"0", payload(0, b"\x3fhell")],
        [b"other", b"0", payload(8, string(b"hello"))],
        [b"other", b"0", payload(99, string(b"hello"))],
        [b"other", b"0", payload(2, length(0))],
        [b"other", b"0", seal(b"")],
        [b"other", b"0"],
    ],
)
def test_options_and_errors(pair: Pair, words: list[bytes]) -> None:
    pair.ask("SET key before")
    pair.ask_words(b"RESTORE", *words)
    for key in ("key", "other"):
        pair.ask(f"GET {key}")
        pair.ask(f"PEXPIRETIME {key}" if words[1] != b"%d" % YEAR_MS else f"TTL {key}")
        ours, theirs = pair.same_shape(f"OBJECT IDLETIME {key}")
        assert abs((ours.integer or 0) - (theirs.integer or 0)) <= 1  # a second may begin between the two
    pair.ask("DBSIZE")
    pair.ask_words(b"RESTORE-ASKING", *words)
    pair.ask("DBSIZE")


@pytest.mark.parametrize(
    "written",
    [
        payload(1, length(2), strings([b"a", b"b"])),
        payload(3, length(2), string(b"a"), b"\x031.5", string(b"b"), b"\xfe"),
        payload(5, length(1), string(b"a"), binary_double(2.5)),
        payload(9, string(zipmap([(b"a", b"1"), (b"b", b"2")], unused=1))),
        payload(10, string(ziplist([b"a", b"1", b"-70000"]))),
        payload(11, string(intset([1, 2, 3], 4))),
        payload(12, string(ziplist([b"a", b"1", b"b", b"2.5"]))),
        payload(13, string(ziplist([b"a", b"1", b"b", b"2.5"]))),
        payload(14, length(2), string(ziplist([b"a"])), string(ziplist([b"1", b"2"]))),
    ],
)
def test_old_encodings_are_understood_alike(pair: Pair, written: bytes) -> None:
    pair.ask_words(b"RESTORE", b"key", b"0", written)
    pair.ask("TYPE key")
    pair.ask("OBJECT ENCODING key")
    assert digest(pair.kvorum) == digest(pair.redis)


def test_the_policy_decides_which_clock_is_set(pair: Pair) -> None:
    for policy, question in (("allkeys-lru", "OBJECT IDLETIME key"), ("allkeys-lfu", "OBJECT FREQ key")):
        pair.ask(f"CONFIG SET maxmemory-policy {policy}")
        for option in ((b"IDLETIME", b"1000"), (b"FREQ", b"100")):
            pair.ask_words(b"RESTORE", b"key", b"0", HELLO, b"REPLACE", *option)
            pair.ask(question)


def test_a_skipped_checksum(pair: Pair) -> None:
    pair.ask("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1")
    try:
        assert pair.ask_words(b"RESTORE", b"key", b"0", HELLO[:-1] + b"?").value == b"OK"
        assert pair.ask_words(b"RESTORE", b"new", b"0", payload(0, string(b"a"), version=99)).is_error
    finally:
        pair.ask("DEBUG SET-SKIP-CHECKSUM-VALIDATION 0")


def test_a_small_string_may_be_compressed_or_not(pair: Pair) -> None:
    pair.ask_words(b"SET", b"key", b"ab" * 500)
    assert len(value_of(pair.kvorum, b"DUMP", b"key")) < 100
    for wire in (pair.kvorum, pair.redis):
        wire.ask(b"CONFIG", b"SET", b"rdbcompression", b"no")
    try:
        assert len(pair.ask("DUMP key").value or b"") > 1000
    finally:
        for wire in (pair.kvorum, pair.redis):
            wire.ask(b"CONFIG", b"SET", b"rdbcompression", b"yes")


@pytest.fixture
def wire(debuggable_server: KvorumServer) -> Iterator[Wire]:
    with Wire(debuggable_server.host, debuggable_server.port) as wire:
        wire.ask(b"FLUSHALL")
        yield wire


def test_version_11_and_its_sets_are_read(wire: Wire) -> None:
    """What Redis 7.2 writes; 7.0 refuses it."""
    written = payload(20, string(bytes.fromhex("0d0000000200816102816202ff")), version=11)
    assert wire.ask(b"RESTORE", b"key", b"0", written) == Reply(b"+", b"OK")
    assert {item.value for item in wire.ask(b"SMEMBERS", b"key").items} == {b"a", b"b"}


@pytest.mark.parametrize(("kind", "what"), [(15, b"streams"), (19, b"streams"), (21, b"streams"), (7, b"modules")])
def test_types_that_are_not_there_are_named(wire: Wire, kind: int, what: bytes) -> None:
    reply = wire.ask(b"RESTORE", b"key", b"0", payload(kind, b"\x00\x00"))
    assert reply.is_error
    assert (reply.value or b"").startswith(b"ERR Bad data format: ")
    assert what in (reply.value or b"")


def test_a_refused_payload_changes_nothing(wire: Wire) -> None:
    wire.ask(b"SET", b"key", b"before")
    wire.ask(b"RESTORE", b"key", b"0", payload(2, length(2), strings([b"a", b"a"])), b"REPLACE")
    assert wire.ask(b"GET", b"key").value == b"before"


@pytest.mark.parametrize("name", MAKERS)
def test_copies_of_all_types_are_independent(pair: Pair, name: str) -> None:
    for line in MAKERS[name]:
        pair.ask(line)
    pair.ask("COPY key copy")
    pair.ask("COPY key copy")
    pair.ask("COPY key copy REPLACE")
    assert digest(pair.kvorum, b"copy") == digest(pair.kvorum, b"key") == digest(pair.redis, b"copy")
    pair.ask("OBJECT ENCODING copy")
    pair.ask("DEL key")
    assert digest(pair.kvorum, b"copy") == digest(pair.redis, b"copy")


@pytest.mark.parametrize("name", MAKERS)
def test_debug_object_tells_how_long_the_value_is_in_a_file(pair: Pair, name: str) -> None:
    for line in MAKERS[name]:
        pair.ask(line)
    lengths = [
        int(value_of(wire, b"DEBUG", b"OBJECT", b"key").split(b"serializedlength:")[1].split()[0])
        for wire in (pair.kvorum, pair.redis)
    ]
    assert 0.9 * lengths[1] - 2 <= lengths[0] <= 1.1 * lengths[1] + 2


EVENTFUL = [
    [b"RPUSH", b"list", b"3", b"1", b"2"],
    [b"RESTORE", b"k", b"0", HELLO],
    [b"RESTORE", b"k", b"0", HELLO, b"REPLACE"],
    [b"RESTORE", b"k", b"1", HELLO, b"ABSTTL", b"REPLACE"],
    [b"RESTORE", b"k", b"1", HELLO, b"ABSTTL"],
    [b"RESTORE", b"volatile", b"100000", HELLO],
    [b"SORT", b"list", b"STORE", b"out"],
    [b"SORT", b"list", b"STORE", b"out"],
    [b"SORT", b"nothing", b"STORE", b"out"],
    [b"SORT", b"nothing", b"STORE", b"out"],
    [b"COPY", b"list", b"copy"],
    [b"COPY", b"list", b"copy", b"REPLACE"],
]


def test_the_same_events_are_told(pair: Pair, debuggable_server: KvorumServer, redis_server: RedisServer) -> None:
    told = []
    for wire, server in ((pair.kvorum, debuggable_server), (pair.redis, redis_server)):
        wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"KEAn")
        try:
            with redis.Redis(host=server.host, port=server.port) as client, client.pubsub() as listener:
                listener.psubscribe("__keyevent@0__:*", "marker")
                assert listener.get_message(timeout=10) is not None
                assert listener.get_message(timeout=10) is not None
                for words in EVENTFUL:
                    wire.ask(*words)
                client.publish("marker", "end")
                messages = iter(listener.listen())
                told.append([(found["channel"], found["data"]) for found in takewhile(is_event, messages)])
        finally:
            wire.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"")
    assert told[0] == told[1]
    assert (b"__keyevent@0__:sortstore", b"out") in told[0]


def is_event(message: Any) -> bool:
    return message["channel"] != b"marker"
