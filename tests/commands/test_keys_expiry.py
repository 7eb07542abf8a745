"""Keys leave although nobody reads them, and the counters tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis

from kvorum.testing.kvorum_server import KvorumServer

WAIT_S = 30.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_S} s for {what}"


def set_many(client: Any, count: int, lives_ms: int, prefix: str = "key") -> None:
    with client.pipeline(transaction=False) as pipe:
        for number in range(count):
            pipe.set(f"{prefix}:{number}", "x" * 50, px=lives_ms)
        pipe.execute()


def test_expired_keys_leave_by_themselves(kvorum_client: Any) -> None:
    expired_before = kvorum_client.info("stats")["expired_keys"]
    set_many(kvorum_client, 20_000, 100)
    kvorum_client.set("stays", "v")
    wait_until(lambda: kvorum_client.dbsize() == 1, "the expired keys to leave")
    assert kvorum_client.info("stats")["expired_keys"] - expired_before == 20_000
    assert kvorum_client.keys() == [b"stays"]


def test_expired_keys_leave_every_database(
    kvorum_server: KvorumServer, kvorum_client: Any, connect: Callable[..., Any]
) -> None:
    others = [connect(kvorum_server, db=index) for index in (0, 3, 15)]
    for client in others:
        set_many(client, 500, 50)
    wait_until(lambda: all(client.dbsize() == 0 for client in others), "the expired keys to leave")


def test_a_few_short_lives_among_many_long_ones_end_in_time(kvorum_client: Any) -> None:
    set_many(kvorum_client, 20_000, 10_000_000, "long")
    set_many(kvorum_client, 200, 50, "short")
    wait_until(lambda: kvorum_client.dbsize() <= 20_000 + 50, "most of the short-lived keys to leave")
    assert not any(kvorum_client.mget([f"short:{number}" for number in range(200)]))


def test_without_active_expiry_a_key_leaves_when_it_is_met(start_kvorum: Callable[..., KvorumServer]) -> None:
    server = start_kvorum("--enable-debug-command", "yes")
    with redis.Redis(host=server.host, port=server.port) as client:
        client.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        client.set("j", "v", px=1)
        client.set("k", "v", px=1)
        wait_until(lambda: client.get("k") is None, "the key's time")
        assert client.dbsize() == 1
        assert client.exists("j") == 0
        assert client.dbsize() == 0


def test_the_volatile_keys_and_their_average_life_are_told(kvorum_client: Any) -> None:
    set_many(kvorum_client, 100, 500_000)
    kvorum_client.set("stays", "v")
    wait_until(lambda: kvorum_client.info("keyspace")["db0"]["avg_ttl"] > 0, "the average to be sampled")
    told = kvorum_client.info("keyspace")["db0"]
    assert told["keys"] == 101
    assert told["expires"] == 100
    assert 400_000 < told["avg_ttl"] <= 500_000
