"""MIGRATE: to a redis-server, from one, to another kvorum, and to targets that misbehave."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

import kvorum
from kvorum.net.migration import MOST, MigrationConnections
from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from kvorum.testing.replication_stream import EffectReader
from tests.commands.observation import Pair


def migrate(client: redis.Redis, target: Any, *words: object, key: object = "key", timeout: int = 2000) -> Any:
    """MIGRATE to the target's database 3."""
    return client.execute_command("MIGRATE", target.host, target.port, key, 3, timeout, *words)


def digest(client: redis.Redis, key: str = "key") -> bytes:
    return client.execute_command("DEBUG", "DIGEST-VALUE", key)[0]


@pytest.fixture(params=["to redis", "from redis"])
def both(
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    debuggable_server: KvorumServer,
    connect: Callable[..., redis.Redis],
) -> tuple[redis.Redis, redis.Redis, Any]:
    """Client of the source, client of the target's database 3, and the target."""
    source, target = debuggable_server, redis_server
    if request.param == "from redis":
        source, target = target, source  # type: ignore[assignment]
    clients = connect(source), connect(target, db=3)
    for client in clients:
        client.flushall()
    return (*clients, target)


def test_values_of_all_types_are_moved(both: Any) -> None:
    source, target, server = both
    source.set("string", b"\x00\xff" * 5000)
    source.set("integer", 12345678901234)
    source.rpush("list", *range(3000), *"abc")
    source.sadd("set", *range(600), "x")
    source.sadd("intset", 1, 2, 3)
    source.hset("hash", mapping={f"field:{number}": number for number in range(300)})
    source.hset("small", mapping={"a": 1})
    source.zadd("zset", {f"member:{number}": number / 7 for number in range(300)})
    source.zadd("short", {"a": 1.5, "b": float("inf")})
    for key in source.keys("*"):
        expected = digest(source, key)
        assert migrate(source, server, key=key) == b"OK"
        assert not source.exists(key)
        assert digest(target, key) == expected
    assert target.dbsize() == 9


def test_copy_and_replace(both: Any) -> None:
    source, target, server = both
    source.set("key", "new")
    assert migrate(source, server, "COPY") == b"OK"
    assert (source.get("key"), target.get("key")) == (b"new", b"new")
    target.set("key", "old")
    with pytest.raises(
        redis.ResponseError, match="Target instance replied with error: BUSYKEY Target key name already"
    ):
        migrate(source, server)
    assert (source.get("key"), target.get("key")) == (b"new", b"old")
    assert migrate(source, server, "replace", "copy") == b"OK"
    assert migrate(source, server, "REPLACE") == b"OK"
    assert (source.get("key"), target.get("key")) == (None, b"new")


def test_the_expiry_goes_with_the_key(both: Any) -> None:
    source, target, server = both
    source.set("key", "value", px=100_000)
    migrate(source, server)
    assert 90_000 < target.pttl("key") <= 100_000
    source.set("key", "value")
    migrate(source, server, "REPLACE")
    assert target.pttl("key") == -1


def test_several_keys_and_missing_ones(both: Any) -> None:
    source, target, server = both
    source.mset({"a": 1, "b": 2, "c": 3})
    assert migrate(source, server, "KEYS", "a", "nothing", "b", key="") == b"OK"
    assert (source.keys("*"), sorted(target.keys("*"))) == ([b"c"], [b"a", b"b"])
    assert migrate(source, server, "KEYS", "a", "b", key="") == b"NOKEY"
    assert migrate(source, server, "KEYS", key="") == b"NOKEY"
    assert migrate(source, server, key="nothing") == b"NOKEY"


def test_what_the_target_refuses_stays(both: Any) -> None:
    source, target, server = both
    source.mset({"a": 1, "b": 2, "c": 3})
    target.set("b", "old")
    with pytest.raises(redis.ResponseError, match="BUSYKEY"):
        migrate(source, server, "KEYS", "a", "b", "c", key="")
    assert source.keys("*") == [b"b"]
    assert sorted(target.keys("*")) == [b"a", b"b", b"c"]


def test_a_target_with_a_password(both: Any) -> None:
    source, target, server = both
    source.mset({"a": 1, "b": 2})
    target.config_set("requirepass", "secret")
    try:
        for words in (("AUTH", "wrong"), ("AUTH2", "default", "wrong"), ("AUTH2", "nobody", "secret")):
            with pytest.raises(redis.ResponseError, match=r"Target instance replied with error: WRONGPASS"):
                migrate(source, server, *words, key="a")
        assert migrate(source, server, "AUTH", "secret", "REPLACE", key="a") == b"OK"
        assert migrate(source, server, "AUTH2", "default", "secret", "REPLACE", key="b") == b"OK"
    finally:
        target.config_set("requirepass", "")
    assert sorted(target.keys("*")) == [b"a", b"b"]
    assert source.dbsize() == 0


@pytest.mark.parametrize(
    "line",
    [
        "MIGRATE 127.0.0.1 1 nothing 0 1000",
        "MIGRATE 127.0.0.1 1 nothing x 1000",
        "MIGRATE 127.0.0.1 1 nothing 0 x",
        "MIGRATE 127.0.0.1 1 nothing x y",
        "MIGRATE 127.0.0.1 1 nothing 0 1000 WHATEVER",
        "MIGRATE 127.0.0.1 1 nothing 0 1000 AUTH",
        "MIGRATE 127.0.0.1 1 nothing 0 1000 AUTH2 x",
        "MIGRATE 127.0.0.1 1 nothing 0 1000 KEYS a b",
        "MIGRATE 127.0.0.1 1 nothing 0 1000 COPY REPLACE AUTH x KEYS a b",
        "MIGRATE 127.0.0.1 1 nothing 0",
        "MIGRATE 127.0.0.1 1 key 0 1000",
        "MIGRATE 127.0.0.1 1 key 0 -5 COPY REPLACE",
        "MIGRATE 127.0.0.1 x key 0 1000",
        "MIGRATE no.such.host.invalid 1 key 0 1000",
        "MIGRATE 127.0.0.1 99999 key 0 100",
        "COMMAND GETKEYS MIGRATE host port key 0 100",
        "COMMAND GETKEYSANDFLAGS MIGRATE host port key 0 100 COPY AUTH KEYS KEYS a b",
        "COMMAND GETKEYS MIGRATE host port key 0 100 KEYS a b",
        "COMMAND GETKEYS MIGRATE host port key 0 100 KEYS",
    ],
)
def test_errors_are_those_of_redis(pair: Pair, line: str) -> None:
    pair.ask("SET key value")
    pair.ask(line)
    pair.ask("GET key")


# Targets that misbehave


class Target:
    """Listens; takes one connection after the other and gives each to the next of the given functions."""

    def __init__(self, *answers: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self.connections = 0
        self._answers = answers
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(20)
                self.connections += 1
                answer(connection)
        self._listener.close()

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def answering(*parts: bytes, request_end: bytes) -> Callable[[socket.socket], None]:
    """Answers in these parts as soon as the request is whole, and hangs up when the client does."""

    def answer(connection: socket.socket) -> None:
        request = b""
        while not request.rstrip().endswith(request_end):
            received = connection.recv(65536)
            assert received, "the client hung up"
            request += received
        for part in parts:
            connection.sendall(part)

    return answer


def silent(connection: socket.socket) -> None:
    """Reads until the client hangs up."""
    while connection.recv(65536):
        pass


def hanging_up(connection: socket.socket) -> None:
    """Says nothing."""


@pytest.fixture
def source() -> Iterator[tuple[redis.Redis, list[tuple[bytes, ...]], kvorum.Server]]:
    """A server in this process, its client, and what it logs."""
    logged: list[tuple[bytes, ...]] = []
    reader = EffectReader()
    with kvorum.Server(port=0) as server, ExitStack() as stack:
        server.server.context.effects.sinks.append(
            lambda batch: logged.extend(effect.command for effect in reader.feed(batch))
        )
        client = redis.Redis(host=server.host, port=server.port)
        stack.callback(client.close)
        client.mset({"a": 1, "b": 2, "c": 3})
        yield client, logged, server


OK_SELECT = b"+OK\r\n"
END = b"REPLACE"


def test_a_connection_that_breaks_before_anything_was_taken_is_replaced_once(source: Any) -> None:
    client, logged, _ = source
    target = Target(hanging_up, answering(OK_SELECT, b"+OK\r\n", request_end=END))
    assert migrate(client, target, "REPLACE", key="a") == b"OK"
    target.join()
    assert target.connections == 2
    assert logged[-1] == (b"DEL", b"a")


def test_a_connection_that_breaks_twice_is_an_error(source: Any) -> None:
    client, logged, _ = source
    target = Target(hanging_up, hanging_up)
    with pytest.raises(redis.ResponseError, match=r"^IOERR error or timeout (reading from|writing to) target instance"):
        migrate(client, target, key="a")
    target.join()
    assert client.dbsize() == 3
    assert not any(command[0] == b"DEL" for command in logged)


def test_a_target_that_is_silent_times_out_and_is_not_asked_again(source: Any) -> None:
    client, _, server = source
    target = Target(silent)
    began = time.monotonic()
    with pytest.raises(redis.ResponseError, match=r"^IOERR error or timeout reading from target instance"):
        migrate(client, target, key="a", timeout=100)
    assert time.monotonic() - began < 5
    target.join()
    assert target.connections == 1
    assert client.get("a") == b"1"
    assert len(server.server.context.migration) == 0


def test_keys_that_were_taken_before_the_connection_broke_are_gone(source: Any) -> None:
    client, logged, _ = source
    target = Target(answering(OK_SELECT, b"+OK\r\n", request_end=b"REPLACE"))
    with pytest.raises(redis.ResponseError, match=r"^IOERR error or timeout reading from target instance"):
        migrate(client, target, "REPLACE", "KEYS", "a", "b", "c", key="")
    target.join()
    assert sorted(client.keys("*")) == [b"b", b"c"]
    assert logged[-1] == (b"DEL", b"a")


def test_only_keys_that_were_taken_are_deleted(source: Any) -> None:
    client, logged, _ = source
    target = Target(answering(b"+OK\r\n+O", b"K\r\n-ERR no\r\n", b"+OK\r\n", request_end=END))
    with pytest.raises(redis.ResponseError, match=r"^Target instance replied with error: ERR no$"):
        migrate(client, target, "REPLACE", "KEYS", "a", "b", "c", key="")
    target.join()
    assert client.keys("*") == [b"b"]
    assert logged[-1] == (b"DEL", b"a", b"c")


def test_copies_are_told_to_nobody(source: Any) -> None:
    client, logged, _ = source
    before = len(logged)
    target = Target(answering(OK_SELECT, b"+OK\r\n", request_end=END))
    assert migrate(client, target, "REPLACE", "COPY", key="a") == b"OK"
    target.join()
    assert len(logged) == before
    assert client.get("a") == b"1"


def test_a_refused_database_fails_all_keys(source: Any) -> None:
    client, _, _ = source
    target = Target(answering(b"-ERR DB index is out of range\r\n", b"+OK\r\n+OK\r\n", request_end=END))
    with pytest.raises(redis.ResponseError, match="Target instance replied with error: ERR DB index is out of range"):
        migrate(client, target, "REPLACE", "KEYS", "a", "b", key="")
    target.join()
    assert client.dbsize() == 3


def test_a_long_answer_is_not_waited_for(source: Any) -> None:
    client, _, _ = source
    target = Target(answering(b"-" + b"x" * 5000, request_end=END))
    with pytest.raises(redis.ResponseError):
        migrate(client, target, "REPLACE", key="a")
    assert client.get("a") == b"1"


def test_connections_are_kept_and_remember_their_database(source: Any, redis_server: RedisServer) -> None:
    client, _, _ = source
    with redis.Redis(host=redis_server.host, port=redis_server.port, db=3) as target:
        target.flushall()
        target.config_resetstat()
        for key in ("a", "b", "c"):
            assert migrate(client, redis_server, key=key) == b"OK"
        assert target.info("commandstats")["cmdstat_select"]["calls"] == 1
    assert client.info("stats")["migrate_cached_sockets"] == 1
    client.set("a", 1)
    client.execute_command("MIGRATE", redis_server.host, redis_server.port, "a", 4, 1000, "REPLACE")
    assert client.info("stats")["migrate_cached_sockets"] == 1


def test_connections_are_kept_for_a_while_only_and_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("kvorum.net.migration.time.monotonic", lambda: now_s)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = b"%d" % listener.getsockname()[1]
        kept = MigrationConnections(random.Random(1))
        first = kept.connect(b"127.0.0.1", port, 1000)
        assert kept.connect(b"127.0.0.1", port, 1000) is first
        now_s += 9
        kept.close_unused()
        assert len(kept) == 1
        now_s += 2
        kept.close_unused()
        assert len(kept) == 0
        for number in range(MOST + 5):
            kept.connect(b"127.0.0.1", b" " * number + port, 1000)
        assert len(kept) == MOST
        kept.close_all()
        assert len(kept) == 0
