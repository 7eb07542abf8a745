"""MULTI, EXEC, DISCARD, WATCH: as redis-server answers, also with several clients and with errors in the middle."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.commands.conversation import conversations, encode
from tests.commands.observation import Pair
from tests.differential.wire import Wire

ALONE = """
MULTI / SET k 1 / INCR k / GET k / EXEC / GET k
MULTI / EXEC
EXEC
DISCARD
MULTI / MULTI / PING / EXEC
MULTI / SET k 1 / DISCARD / GET k / EXEC
MULTI / WATCH k / SET k 1 / EXEC
MULTI / NOSUCH a b / SET k 1 / EXEC / GET k
MULTI / GET / PING / EXEC / PING
MULTI / GET a b c / DISCARD / PING
MULTI / SET k v / INCR k / SET k 2 / EXEC / GET k
MULTI / EXEC k / EXEC
MULTI / UNWATCH / EXEC
MULTI / SELECT 3 / SET k three / EXEC / GET k / SELECT 0 / GET k
MULTI / CLIENT ID extra / EXEC
MULTI / CONFIG NOSUCH / EXEC
MULTI / HELLO 9 / PING / EXEC
MULTI / RESET / EXEC
MULTI / SET k v EX 0 / SET k w / EXEC / GET k
MULTI / ECHO \\x00\\r\\n / EXEC
WATCH k / MULTI / SET k 1 / EXEC
WATCH k / SET k 1 / MULTI / SET k 2 / EXEC / GET k
WATCH k / SET k 1 / UNWATCH / MULTI / SET k 2 / EXEC / GET k
WATCH k / SET k 1 / DISCARD / MULTI / DISCARD / MULTI / SET k 2 / EXEC / GET k
WATCH k / SET k 1 / MULTI / GET / EXEC / MULTI / PING / EXEC
SET k 1 / WATCH k / DEL k / MULTI / PING / EXEC
SET k 1 / WATCH k / EXPIRE k 100 / MULTI / PING / EXEC
SET k 1 / WATCH k / PERSIST k / MULTI / PING / EXEC
SET k 1 / WATCH k / RENAME k l / MULTI / PING / EXEC
SET k 1 / WATCH l / RENAME k l / MULTI / PING / EXEC
SET k 1 / WATCH l / COPY k l / MULTI / PING / EXEC
SET k 1 / WATCH k / GET k / MULTI / PING / EXEC
SET k 1 / WATCH k / MOVE k 4 / MULTI / PING / EXEC
SET k 1 / WATCH k / FLUSHDB / MULTI / PING / EXEC
WATCH k / FLUSHDB / MULTI / PING / EXEC
SET k 1 / WATCH k / FLUSHALL / MULTI / PING / EXEC
SET k 1 / WATCH k / SWAPDB 0 5 / MULTI / PING / EXEC
WATCH k / SWAPDB 0 5 / MULTI / PING / EXEC
SET x foo PX 1 / DEBUG SLEEP 0.01 / SELECT 1 / WATCH x / SWAPDB 0 1 / MULTI / PING / EXEC
SET k 1 / WATCH k / SWAPDB 4 5 / MULTI / PING / EXEC
SET k 1 / WATCH k / SELECT 2 / SET k 2 / MULTI / PING / EXEC
WATCH k k l / SET l 1 / MULTI / PING / EXEC / MULTI / PING / EXEC
WATCH
SET k 1 / WATCH k / APPEND k 2 / MULTI / PING / EXEC
SET k 1 / WATCH k / GETEX k PERSIST / MULTI / PING / EXEC
SET k 1 / WATCH k / SETRANGE k 5 x / MULTI / PING / EXEC
SET k 1 / WATCH k / GETDEL k / MULTI / PING / EXEC
WATCH k / MSETNX k 1 l 2 / MULTI / PING / EXEC
WATCH k / HSET k f v / MULTI / PING / EXEC
WATCH k / RPUSH k v / MULTI / PING / EXEC
WATCH k / SADD k v / MULTI / PING / EXEC
WATCH k / ZADD k 1 v / MULTI / PING / EXEC
WATCH k / SETBIT k 7 1 / MULTI / PING / EXEC
SADD k a / WATCH k / SADD k a / SREM k b / MULTI / PING / EXEC
SET k 1 PX 1 / DEBUG SLEEP 0.01 / WATCH k / GET k / MULTI / PING / EXEC
SET k 1 PX 1 / DEBUG SLEEP 0.01 / WATCH k / DEL k / MULTI / PING / EXEC
SET k 1 PX 1 / DEBUG SLEEP 0.01 / WATCH k / FLUSHALL / MULTI / PING / EXEC
SET k 1 PX 1 / DEBUG SLEEP 0.01 / WATCH k / SET k 2 / MULTI / PING / EXEC
SET k 1 PX 20 / WATCH k / DEBUG SLEEP 0.05 / MULTI / PING / EXEC
"""


@pytest.mark.parametrize("conversation", conversations(ALONE), ids=" / ".join)
def test_one_client(pair: Pair, conversation: list[str]) -> None:
    for words in conversation:
        pair.ask_words(*encode(words))


def test_another_client_breaks_the_watch(
    pair: Pair, debuggable_server: KvorumServer, redis_server: RedisServer
) -> None:
    with (
        Wire(debuggable_server.host, debuggable_server.port) as kvorum,
        Wire(redis_server.host, redis_server.port) as redis,
    ):
        other = Pair(kvorum, redis)
        pair.ask("SET k 1")
        pair.ask("WATCH k")
        other.ask("SET k 2")
        pair.ask("MULTI")
        pair.ask("SET k 3")
        assert pair.ask("EXEC").kind in (b"*", b"_")
        assert pair.ask("GET k").value == b"2"
        pair.ask("WATCH k")
        pair.ask("MULTI")
        other.ask("GET k")
        pair.ask("SET k 3")
        pair.ask("EXEC")
        assert other.ask("GET k").value == b"3"


def test_a_transaction_is_not_interrupted(debuggable_server: KvorumServer) -> None:
    """Two clients interleave their requests; what stands between MULTI and EXEC happens at once."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as one,
        Wire(debuggable_server.host, debuggable_server.port) as two,
    ):
        one.ask(b"FLUSHALL")
        one.ask(b"MULTI")
        for _ in range(3):
            assert one.ask(b"INCR", b"counter").value == b"QUEUED"
            assert two.ask(b"GET", b"counter").value is None
        assert [item.integer for item in one.ask(b"EXEC").items] == [1, 2, 3]


def test_a_watching_client_that_is_closed_by_the_news_of_an_expiry(debuggable_server: KvorumServer) -> None:
    """FLUSHALL removes what has expired first; the news are more than a subscriber may have unread."""
    key = b"k" * 20_000_000
    with ExitStack() as stack:
        closed, other, client = (
            stack.enter_context(Wire(debuggable_server.host, debuggable_server.port)) for _ in range(3)
        )
        limits = [b"client-output-buffer-limit", b"pubsub 1mb 0 0"]
        client.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"Ex", *limits)
        client.ask(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0")
        closed.ask(b"HELLO", b"3")
        closed.ask(b"WATCH", b"a")
        closed.ask(b"SUBSCRIBE", b"__keyevent@0__:expired")
        client.ask(b"SET", key, b"v")
        other.ask(b"WATCH", key)
        other.ask(b"WATCH", b"z")
        client.ask(b"PEXPIRE", key, b"1")
        client.ask(b"DEBUG", b"SLEEP", b"0.005")
        assert client.ask(b"FLUSHALL").value == b"OK"
        client.ask(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"1")
        limits = [b"client-output-buffer-limit", b"pubsub 32mb 8mb 60"]
        client.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"", *limits)


def test_a_client_that_is_closed_on_the_way_to_its_exec(debuggable_server: KvorumServer) -> None:
    """Room has to be made for EXEC, and the news of the eviction are more than the client may have unread: it is closed, and
    what it sent last is not executed. Least of all a transaction whose keys were modified."""
    pubsub_limit, evicted = b"client-output-buffer-limit", b"k" * 20_000_000
    with ExitStack() as stack:
        sleeper, client, closed = (
            stack.enter_context(Wire(debuggable_server.host, debuggable_server.port)) for _ in range(3)
        )
        client.ask(b"FLUSHALL")
        client.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"Ee", pubsub_limit, b"pubsub 1mb 0 0")
        client.ask(b"CONFIG", b"SET", b"maxmemory-policy", b"volatile-ttl", b"maxmemory", b"70mb")
        closed.ask(b"HELLO", b"3")
        closed.ask(b"SUBSCRIBE", b"__keyevent@0__:evicted")
        closed.ask_all([(b"WATCH", b"k"), (b"MULTI",), (b"SET", b"executed", b"yes")])
        client.ask(b"SET", b"k", b"v")
        client.ask(b"SET", evicted, b"v", b"EX", b"1000")
        sleeper.send(b"DEBUG", b"SLEEP", b"0.5")  # then the server finds both requests at once, in this order
        time.sleep(0.1)
        client.send(b"SETRANGE", b"long", b"60000000", b"x")
        time.sleep(0.1)
        closed.send(b"EXEC")
        client.read()
        assert [client.ask(b"EXISTS", key).integer for key in (b"executed", evicted)] == [0, 0]
        client.ask(b"CONFIG", b"SET", b"maxmemory", b"0", b"maxmemory-policy", b"noeviction")
        client.ask(b"CONFIG", b"SET", b"notify-keyspace-events", b"", pubsub_limit, b"pubsub 32mb 8mb 60")
        client.ask(b"FLUSHALL")


def test_memory_limit(pair: Pair, debuggable_server: KvorumServer, redis_server: RedisServer) -> None:
    """A queued write that finds no memory aborts; a transaction that was queued before the limit fails as a whole."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as kvorum,
        Wire(redis_server.host, redis_server.port) as redis,
    ):
        other = Pair(kvorum, redis)
        pair.ask("SET k v")
        pair.ask("MULTI")
        pair.ask("SET k v")
        other.ask("CONFIG SET maxmemory 1")
        assert (pair.ask("EXEC").value or b"").startswith(b"EXECABORT")
        pair.ask("MULTI")
        assert (pair.ask("SET k v").value or b"").startswith(b"OOM")
        pair.ask("PING")
        pair.ask("EXEC")
        pair.ask("MULTI")
        pair.ask("GET k")
        pair.ask("EXEC")
        other.ask("CONFIG SET maxmemory 0")


def test_a_queue_that_grows_beyond_the_query_buffer_limit(debuggable_server: KvorumServer) -> None:
    with (
        Wire(debuggable_server.host, debuggable_server.port) as one,
        Wire(debuggable_server.host, debuggable_server.port) as two,
    ):
        two.ask(b"CONFIG", b"SET", b"client-query-buffer-limit", b"1mb")
        one.ask(b"MULTI")
        with pytest.raises(OSError, match=r"closed|reset|Broken"):
            one.ask_all([(b"SET", b"k", b"x" * 100_000)] * 20)
        assert two.ask(b"PING").value == b"PONG"
        two.ask(b"CONFIG", b"SET", b"client-query-buffer-limit", b"1gb")


def test_a_queue_of_short_commands_counts_as_memory_of_the_client(debuggable_server: KvorumServer) -> None:
    """Most of what it takes is not in the bytes of the commands."""
    with (
        Wire(debuggable_server.host, debuggable_server.port) as one,
        Wire(debuggable_server.host, debuggable_server.port) as two,
    ):
        number = b"%d" % (one.ask(b"CLIENT", b"ID").integer or 0)
        one.ask(b"MULTI")
        one.ask_all([(b"PING",)] * 10_000)
        shown = two.ask(b"CLIENT", b"LIST", b"ID", number).value or b""
        assert b" multi-mem=40000 " in shown
        assert 2_000_000 < int(shown.split(b" tot-mem=")[1].split()[0]) < 4_000_000


def test_monitor_shows_the_commands_of_a_transaction(
    debuggable_server: KvorumServer, redis_server: RedisServer
) -> None:
    seen = []
    for server in (debuggable_server, redis_server):
        with Wire(server.host, server.port) as watcher, Wire(server.host, server.port) as client:
            watcher.ask(b"MONITOR")
            for words in ("MULTI", "SET k v", "GET k", "EXEC", "PING"):
                client.ask(*words.encode().split())
            lines = [watcher.read().value or b"" for _ in range(5)]
            seen.append([line.split(b"] ", 1)[1] for line in lines])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("mode", ["SKIP", "OFF"])
def test_the_late_reply_of_a_client_that_wants_none(
    mode: str, debuggable_server: KvorumServer, redis_server: RedisServer
) -> None:
    for server in (debuggable_server, redis_server):
        with Wire(server.host, server.port) as waiting, Wire(server.host, server.port) as other:
            other.ask(b"FLUSHALL")
            number = waiting.ask(b"CLIENT", b"ID").value or b""
            waiting.send(b"CLIENT", b"REPLY", mode.encode())
            waiting.send(b"BLPOP", b"queue", b"0")
            while b" cmd=blpop " not in (other.ask(b"CLIENT", b"LIST", b"ID", number).value or b""):
                pass
            other.ask(b"RPUSH", b"queue", b"item")
            if mode == "OFF":
                waiting.send(b"CLIENT", b"REPLY", b"ON")
                assert waiting.read().value == b"OK"
            assert waiting.ask(b"PING").value == b"PONG"
            assert other.ask(b"EXISTS", b"queue").integer == 0
