"""Graphical clients: what they ask when they connect, list keys and open one, replayed beside a redis-server.

Every request must be answered with the same type of reply that Redis gives; where Redis gives an error (it is neither a
cluster nor a sentinel) the tool expects one.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest

from kvorum.testing.kvorum_server import KvorumServer
from kvorum.testing.redis_server import RedisServer
from tests.differential.wire import Wire

# One line is one write: requests that are separated by ";" are sent as a pipeline.
OPENINGS = {
    "RedisInsight": """
        CLIENT SETNAME redisinsight-common-a77b23c1
        CLIENT SETINFO LIB-NAME ioredis; CLIENT SETINFO LIB-VER 5.4.1
        INFO
        CLUSTER INFO
        SENTINEL masters
        MODULE LIST
        COMMAND INFO FT._LIST JSON.GET TS.GET BF.INFO
        CONFIG GET databases
        ACL WHOAMI
        CLIENT LIST
        DBSIZE
        SCAN 0 MATCH * COUNT 10000
        SCAN 0 MATCH user:* COUNT 500 TYPE string
        TYPE user:1; TTL user:1; MEMORY USAGE user:1 SAMPLES 0; STRLEN user:1
        GETRANGE user:1 0 4999; GET user:1
        OBJECT ENCODING user:1; OBJECT IDLETIME user:1
        SLOWLOG GET 50
        SLOWLOG LEN
        CONFIG GET slowlog*
        LATENCY LATEST
        MEMORY STATS
        COMMAND DOCS
        INFO commandstats
        MONITOR
    """,
    "Another Redis Desktop Manager": """
        INFO
        CLIENT SETNAME ardm
        SELECT 0
        PING
        CONFIG GET databases
        INFO KEYSPACE
        SCAN 0 MATCH * COUNT 500
        EXISTS user:1
        TYPE user:1
        TTL user:1
        GET user:1
        MEMORY USAGE user:1
        OBJECT FREQ user:1
        SLOWLOG GET 20000
        CONFIG GET slowlog-log-slower-than
        CONFIG GET slowlog-max-len
        CLIENT LIST
        MONITOR
    """,
    "Medis": """
        INFO
        PING
        SELECT 0
        CONFIG GET databases
        INFO
        TYPE *
        SCAN 0 MATCH * COUNT 100
        TYPE user:1; TYPE user:2; TYPE nothing
        PTTL user:1; OBJECT ENCODING user:1; STRLEN user:1
        GET user:1
        EXISTS user:3
        CONFIG GET *
    """,
    "redis-commander": """
        CLIENT SETNAME redis-commander
        INFO
        SELECT 0
        COMMAND
        MODULE LIST
        INFO cluster
        INFO keyspace; CONFIG GET databases
        SCAN 0 MATCH * COUNT 200
        TYPE user:1
        TTL user:1
        GET user:1
        INFO
    """,
    "redis-cli and scripts like it": """
        HELLO 3
        COMMAND DOCS
        CLIENT NO-TOUCH ON
        CLIENT ID
        INFO everything
        CONFIG GET save appendonly
        DBSIZE
        SCAN 0 TYPE string COUNT 50
        OBJECT HELP
        MEMORY DOCTOR
        LATENCY HISTOGRAM
        COMMAND GETKEYS MSET a 1 b 2
        CLIENT INFO
        RESET
    """,
}
# redis-server 7.0 does not have these yet; 7.2 answers OK or a number.
NEWER_THAN_THE_ORACLE = ("CLIENT SETINFO", "CLIENT NO-TOUCH")


@pytest.fixture
def servers(kvorum_server: KvorumServer, redis_server: RedisServer) -> Iterator[tuple[Wire, Wire]]:
    with Wire(kvorum_server.host, kvorum_server.port) as kvorum, Wire(redis_server.host, redis_server.port) as redis:
        for wire in (kvorum, redis):
            wire.ask(b"FLUSHALL")
            wire.ask(b"MSET", b"user:1", b'{"name": "Ada"}', b"user:2", b"2", b"other", b"x" * 6000)
            wire.ask(b"EXPIRE", b"user:1", b"1000")
        yield kvorum, redis


@pytest.mark.parametrize("tool", OPENINGS)
def test_opening(servers: tuple[Wire, Wire], tool: str) -> None:
    kvorum, redis = servers
    for line in filter(None, map(str.strip, OPENINGS[tool].splitlines())):
        requests = [[word.encode() for word in shlex.split(request)] for request in line.split(";")]
        ours, theirs = kvorum.ask_all(requests), redis.ask_all(requests)
        if line.startswith(NEWER_THAN_THE_ORACLE):
            assert not any(reply.is_error for reply in ours), line
        else:
            assert [reply.kind for reply in ours] == [reply.kind for reply in theirs], f"{line}: {ours} {theirs}"


def test_they_find_the_keys_and_their_facts(servers: tuple[Wire, Wire]) -> None:
    kvorum, _ = servers
    cursor, page = kvorum.ask(b"SCAN", b"0", b"MATCH", b"*", b"COUNT", b"500").items
    assert cursor.value == b"0"
    assert sorted(key.value or b"" for key in page.items) == [b"other", b"user:1", b"user:2"]
    info = (kvorum.ask(b"INFO").value or b"").decode()
    assert "db0:keys=3,expires=1" in info
    # Tools look for these by name.
    for field in ("redis_version", "used_memory_human", "connected_clients", "instantaneous_ops_per_sec", "keyspace_hits",
                  "used_cpu_sys", "uptime_in_days", "os", "process_id", "role", "cluster_enabled", "total_commands_processed",
                  "instantaneous_input_kbps", "total_connections_received", "used_memory_peak_human"):  # fmt: skip
        assert f"\r\n{field}:" in info, field
