"""redis-py's helpers for the server's commands parse what they get, in both protocols."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from kvorum.testing.kvorum_server import KvorumServer


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def client(request: pytest.FixtureRequest, debuggable_server: KvorumServer, connect: Any) -> Any:
    client = connect(debuggable_server, protocol=request.param)
    client.flushall()
    client.set("key", "value")
    return client


def test_server(client: Any) -> None:
    assert client.dbsize() == 1
    seconds, microseconds = client.time()
    assert seconds > 1_700_000_000
    assert 0 <= microseconds < 1_000_000
    assert isinstance(client.lastsave(), datetime.datetime)
    assert client.role()[0] == b"master"
    assert b"Redis ver. 7.0.15" in client.lolwut()
    assert client.lolwut(5, 10, 2)
    assert client.swapdb(0, 1) is True
    assert client.flushdb() is True
    assert client.flushall(asynchronous=True) is True


def test_objects_and_memory(client: Any) -> None:
    assert client.object("encoding", "key") == b"embstr"
    assert client.object("refcount", "key") == 1
    assert client.object("idletime", "key") in (0, 1)
    assert client.memory_usage("key", samples=1) > 8
    assert client.memory_stats()["keys.count"] == 1
    assert client.memory_malloc_stats()
    assert client.memory_purge() is True
    assert "serializedlength" in str(client.debug_object("key"))  # redis-py parses it in RESP2 only


def test_slowlog(client: Any) -> None:
    client.config_set("slowlog-log-slower-than", 0)
    client.slowlog_reset()
    client.get("key")
    client.config_set("slowlog-log-slower-than", 10_000)
    entries = client.slowlog_get()
    assert client.slowlog_len() == len(entries)
    assert b"GET key" in [entry["command"] for entry in entries]
    assert entries[0].keys() >= {"id", "start_time", "duration", "command", "client_address", "client_name"}


def test_latency(client: Any) -> None:
    client.config_set("latency-monitor-threshold", 5)
    client.execute_command("DEBUG", "SLEEP", "0.01")
    client.config_set("latency-monitor-threshold", 0)
    [[event, when, last, worst]] = client.latency_latest()
    assert event == b"command"
    assert client.latency_history("command") == [[when, last]]
    assert last == worst >= 10
    assert client.latency_reset() == 1
