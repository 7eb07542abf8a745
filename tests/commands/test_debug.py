"""DEBUG beside redis-server: what test suites use of it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from tests.commands.observation import Pair
from tests.differential.wire import Wire

SAMPLES = [
    "string", "integer", "double", "bignum", "null", "array", "set", "map", "attrib", "push", "verbatim", "true",
    "false",
]  # fmt: skip


@pytest.mark.parametrize("kind", [*SAMPLES, "nonsense", "STRING"])
def test_protocol(pair: Pair, kind: str) -> None:
    replies = [pair.ask(f"debug protocol {kind}")]
    if replies[0].kind in (b"|", b">"):
        replies.append(pair.kvorum.read())
        assert replies[1] == pair.redis.read()
    pair.ask("ping")


def test_digests_are_those_of_redis(pair: Pair) -> None:
    pair.ask("debug digest")
    for words in (
        (b"SET", b"a", b"1"), (b"SET", b"b", b"text", b"EX", b"100"), (b"SET", b"", b""), (b"SELECT", b"3"),
        (b"SET", b"a", bytes(range(256))), (b"SET", b"\xff\r\n", b"-17"),
    ):  # fmt: skip
        pair.ask_words(*words)
        pair.ask("debug digest")
    pair.ask_words(b"DEBUG", b"DIGEST-VALUE", b"a", b"missing", b"\xff\r\n")
    pair.ask("debug digest-value")
    pair.ask("debug digest x")


def test_digests_depend_on_the_database(pair: Pair) -> None:
    pair.ask("set key value")
    before = pair.ask("debug digest")
    pair.ask("swapdb 0 1")
    assert pair.ask("debug digest") != before


def test_populate(pair: Pair) -> None:
    pair.ask("set key:3 kept")
    for line in (
        "debug populate 10", "dbsize", "get key:0", "get key:9", "get key:3", "debug populate 5 p", "get p:4",
        "debug populate 3 q 3", "get q:2", "debug populate 2 r 20", "get r:1", "debug populate -1", "debug populate x",
        "debug populate 1 p -1", "debug populate 1 p x", "debug populate", "debug populate 1 2 3 4", "debug populate 0",
        "object encoding key:0", "debug digest",
    ):  # fmt: skip
        pair.ask(line)


def test_populate_with_a_size_has_no_other_bytes(pair: Pair) -> None:
    pair.ask("debug populate 100 key 1000")
    pair.ask("debug digest")


def test_sleeping_stops_the_server(pair: Pair, debuggable_server: KvorumServer) -> None:
    with Wire(debuggable_server.host, debuggable_server.port) as other:
        other.ask(b"PING")
        started = time.monotonic()
        pair.kvorum.ask(b"DEBUG", b"SLEEP", b"0.05")
        assert time.monotonic() - started >= 0.05
    for line in (
        "debug sleep 0",
        "debug sleep x",
        "debug sleep -1",
        "debug sleep 0.001abc",
        "debug sleep",
        "debug sleep 1 2",
    ):
        pair.ask(line)


def test_keys_stay_while_active_expiry_is_off(pair: Pair) -> None:
    pair.ask("debug set-active-expire 0")
    try:
        pair.ask("set gone value px 1")
        pair.ask("debug sleep 0.01")
        pair.ask("debug sleep 0.25")
        pair.ask("dbsize")
        pair.ask("get gone")
        pair.ask("dbsize")
    finally:
        pair.ask("debug set-active-expire 1")


def test_a_number_is_incremented_where_it_lies(pair: Pair) -> None:
    pair.ask("set counter 20000")
    addresses = set()
    for _ in range(3):
        pair.ask("incr counter")
        addresses.add((pair.kvorum.ask(b"DEBUG", b"OBJECT", b"counter").value or b"").split()[1])
    assert len(addresses) == 1


def test_object(pair: Pair) -> None:
    for value in (b"1", b"200", b"70000", b"-3000000000", b"text", b"x" * 100):
        pair.ask_words(b"SET", b"key", value)
        ours, theirs = pair.same_shape("debug object key")
        known = (b"refcount", b"encoding")
        assert [facts(ours)[name] for name in known] == [facts(theirs)[name] for name in known]
        assert facts(ours).keys() == facts(theirs).keys()
    pair.ask("debug object missing")
    pair.ask("debug object")


@pytest.mark.parametrize("value", [b"1", b"-128", b"128", b"40000", b"2147483648", b"text", b"x" * 15])
def test_serialized_length(pair: Pair, value: bytes) -> None:
    pair.ask_words(b"SET", b"key", value)
    ours, theirs = pair.same_shape("debug object key")
    assert facts(ours)[b"serializedlength"] == facts(theirs)[b"serializedlength"]


def facts(reply: Any) -> dict[bytes, bytes]:
    return dict(word.split(b":", 1) for word in reply.value.split()[1:])


@pytest.mark.parametrize(
    "line",
    [
        "debug", "debug what", "debug jmap x", "debug log", "debug sdslen missing", "debug listpack missing",
        "debug quicklist missing", "debug htstats-key missing", "debug htstats 16", "debug htstats x",
        "debug htstats -1", "debug reload what", "debug quicklist-packed-threshold 5gb",
        "debug quicklist-packed-threshold x", "debug quicklist-packed-threshold 100b",
        "debug quicklist-packed-threshold 0", "debug quicklist-packed-threshold -1",
        "debug set-skip-checksum-validation 1", "debug set-skip-checksum-validation 0",
        "debug replybuffer resizing 0", "debug replybuffer resizing 1",
        "debug replybuffer peak-reset-time never", "debug replybuffer peak-reset-time reset",
        "debug replybuffer peak-reset-time 100", "debug replybuffer peak-reset-time x",
        "debug replybuffer what 1", "debug replybuffer resizing", "debug replicate a b", "debug replicate",
        "debug change-repl-id", "debug log hello", "debug client-eviction", "debug stringmatch-test",
        "debug clusterlink kill all x", "debug clusterlink kill", "debug set-disable-deny-scripts 1",
        "debug set-disable-deny-scripts 0", "debug pause-cron 0", "debug help x", "debug aof-flush-sleep 0",
        "debug set-active-expire", "debug digest-value missing", "debug protocol",
    ],
)  # fmt: skip
def test_same_answers(pair: Pair, line: str) -> None:
    pair.ask(line)


def test_client_eviction_shows_the_classes_of_sizes(pair: Pair) -> None:
    pages = []
    for wire in (pair.kvorum, pair.redis):
        wire.ask(b"CONFIG", b"SET", b"maxmemory-clients", b"100mb")
        page = wire.ask(b"DEBUG", b"CLIENT-EVICTION").value
        wire.ask(b"CONFIG", b"SET", b"maxmemory-clients", b"0")
        assert isinstance(page, bytes)
        pages.append([re.sub(r"tot-mem: +\d+, clients: \d+", "", line) for line in page.decode().split("\n")])
        assert sum(map(int, re.findall(rb"clients: (\d+)", page))) >= 1
    assert pages[0] == pages[1]


def test_values_of_other_encodings(pair: Pair) -> None:
    pair.ask("set number 1")
    pair.ask("set text value")
    for subcommand in ("sdslen", "listpack", "quicklist", "htstats-key"):
        pair.ask(f"debug {subcommand} number")
    pair.same_shape("debug sdslen text")
    pair.ask("debug listpack text")
    pair.ask("debug htstats-key text")


@pytest.mark.parametrize("text", ["ERR custom", "WRONG", "two words", ""])
def test_error(pair: Pair, text: str) -> None:
    assert pair.ask_words(b"DEBUG", b"ERROR", text.encode()).is_error
    pair.ask_words(b"DEBUG", b"ERROR", b"new\r\nline")
    pair.ask_words(b"CONFIG", b"RESETSTAT")


def test_tables(pair: Pair) -> None:
    ours, _ = pair.same_shape("debug htstats 0")
    assert b"No stats available" in (ours.value or b"")
    pair.ask("debug populate 100")
    pair.ask("expire key:1 100")
    ours, theirs = pair.same_shape("debug htstats 0")
    for reply in (ours, theirs):
        assert b"[Dictionary HT]" in (reply.value or b"")
        assert b" number of elements: 100\n" in (reply.value or b"")
        assert b" number of elements: 1\n" in (reply.value or b"")


def test_growth(pair: Pair) -> None:
    pair.kvorum.ask(b"DEBUG", b"GROWTH", b"RESET")
    pair.kvorum.ask(b"DEBUG", b"POPULATE", b"300000")
    reply = pair.kvorum.ask(b"DEBUG", b"GROWTH").items
    numbers = {name.value: count.integer for name, count in zip(reply[::2], reply[1::2], strict=True)}
    assert numbers.keys() == {b"count", b"total-ns", b"longest-ns"}
    if os.environ.get("KVORUM_PLAIN") != "1":  # the plain table is a dict, which does not tell
        assert (numbers[b"count"] or 0) > 0
        assert 0 < (numbers[b"longest-ns"] or 0) <= (numbers[b"total-ns"] or 0)
    assert pair.kvorum.ask(b"DEBUG", b"GROWTH", b"WHAT").is_error


def test_patterns(pair: Pair) -> None:
    assert pair.kvorum.ask(b"DEBUG", b"STRINGMATCH-LEN", b"h[ae]llo*", b"hello world").integer == 1
    assert pair.kvorum.ask(b"DEBUG", b"STRINGMATCH-LEN", b"h[ae]llo", b"hillo").integer == 0


def test_reloading_changes_nothing(pair: Pair) -> None:
    members = " ".join(f"member:{number}" for number in range(600))
    lines = [
        "set number 12", "append raw x", "setbit bits 5 1", "set late v exat 4000000000", "rpush list a 1",
        f"rpush long {members}",
        "sadd numbers 3 -70000", f"sadd members {members}", "sadd few 1 2", f"hset hash {members}", "hset small f v",
        "zadd zset 1.5 a -inf b", "zadd big " + " ".join(f"{number} {number}" for number in range(300)),
    ]  # fmt: skip
    for line in [*lines, "select 3", "set elsewhere x", "select 0", "debug reload"]:
        pair.ask(line)
    keys = [line.split()[1] for line in lines]
    for key in keys:
        pair.ask(f"debug digest-value {key}")
        pair.ask(f"object encoding {key}")
        pair.ask(f"pttl {key}" if key != "late" else f"expiretime {key}")
    pair.ask("debug digest")
    pair.ask("dbsize")


def test_what_is_not_there_is_refused(pair: Pair) -> None:
    for line in (b"DEBUG LOADAOF", b"DEBUG RELOAD WHAT", b"DEBUG CONFIG-REWRITE-FORCE-ALL"):
        assert pair.kvorum.ask(*line.split()).is_error
    assert pair.kvorum.ask(b"PING").value == b"PONG"


def test_help(pair: Pair) -> None:
    pair.same_shape("debug help")


@pytest.mark.parametrize("setting", ["no", "local", "yes"])
def test_permission(start_kvorum: Callable[..., Any], start_redis: Callable[..., Any], setting: str) -> None:
    ours = start_kvorum("--enable-debug-command", setting)
    theirs = start_redis("--enable-debug-command", setting)
    with Wire(ours.host, ours.port) as kvorum, Wire(theirs.host, theirs.port) as redis:
        for line in (b"DEBUG SLEEP 0", b"DEBUG WHAT"):
            assert kvorum.ask(*line.split()) == redis.ask(*line.split())


@pytest.mark.parametrize("how", [b"SEGFAULT", b"PANIC", b"ASSERT"])
def test_crashing(start_kvorum: Callable[..., KvorumServer], how: bytes) -> None:
    server = start_kvorum("--enable-debug-command", "yes")
    with Wire(server.host, server.port) as wire, pytest.raises(ConnectionError):
        wire.ask(b"DEBUG", how)
    server.process.wait()
    assert (server.process.returncode or 0) < 0
